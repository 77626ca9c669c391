/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nodes KUBECONFIG N: the sources of N nodes in one process, each with a model and connections of its own, by the agent's
 * code: what so many agents ask of an API server. Prints a line a second, and after a line on standard input and at its
 * end a summary since the last: "nodes N ready N requests N bytes N connections N objects N steps N".
 */
#include <ev.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/model.h"
#include "kube/config.h"
#include "kube/source_kube.h"

struct node {
	struct lw_model *model;
	struct lw_source_kube *source;
	uint64_t changes;
	char name[32]; /* as cluster.py has them */
};

static struct node *nodes;
static size_t n;
static struct lw_source_kube_info last;

static void on_finding(const struct lw_finding *finding, void *arg)
{
	(void)arg;
	(void)fprintf(stderr, "%s\n", finding->text);
}

static void on_change(void *arg)
{
	((struct node *)arg)->changes++;
}

static void on_state(void *arg)
{
	struct lw_source_kube_info info;

	lw_source_kube_info(((struct node *)arg)->source, &info);
	if (info.error[0])
		(void)fprintf(stderr, "%s\n", info.error);
}

static void summary(const char *what)
{
	uint64_t requests = 0, bytes = 0, connections = 0, changes = 0;
	size_t ready = 0, objects = 0;

	for (size_t i = 0; i < n; i++) {
		struct lw_source_kube_info info;

		lw_source_kube_info(nodes[i].source, &info);
		requests += info.requests;
		bytes += info.bytes;
		connections += info.connections;
		changes += nodes[i].changes;
		ready += lw_source_kube_ready(nodes[i].source);
		for (enum lw_k8s_kind kind = 0; kind < LW_K8S__MAX; kind++)
			objects += lw_model_count(nodes[i].model, kind);
	}
	(void)printf("%s nodes %zu ready %zu requests %" PRIu64 " bytes %" PRIu64
		     " connections %" PRIu64 " objects %zu changes %" PRIu64 "\n",
		     what, n, ready, requests - last.requests, bytes - last.bytes,
		     connections - last.connections, objects, changes);
	(void)fflush(stdout);
	if (strcmp(what, "sum") == 0)
		last = (struct lw_source_kube_info){ .requests = requests,
						     .bytes = bytes,
						     .connections = connections };
}

static void on_second(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	summary("now");
}

static void on_input(struct ev_loop *loop, ev_io *w, int revents)
{
	char line[64];
	ssize_t got = read(w->fd, line, sizeof(line));

	(void)revents;
	summary("sum");
	if (got <= 0)
		ev_break(loop, EVBREAK_ALL);
}

int main(int argc, char **argv)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	struct lw_kube_config *config;
	char error[256];
	ev_timer second;
	ev_io input;

	if (argc != 3 || !loop) {
		(void)fprintf(stderr, "usage: nodes KUBECONFIG N\n");
		return 2;
	}
	if (lw_kube_config_file(argv[1], NULL, &config, error, sizeof(error)) < 0) {
		(void)fprintf(stderr, "%s\n", error);
		return 1;
	}
	n = (size_t)strtoul(argv[2], NULL, 10);
	nodes = calloc(n, sizeof(*nodes));
	for (size_t i = 0; nodes && i < n; i++) {
		(void)snprintf(nodes[i].name, sizeof(nodes[i].name), "node-%zu", i);
		if (lw_model_new(&nodes[i].model) < 0 ||
		    lw_source_kube_open(&(struct lw_source_kube_options){ .loop = loop,
									  .config = config,
									  .model = nodes[i].model,
									  .node = nodes[i].name,
									  .finding = on_finding,
									  .changed = on_change,
									  .state = on_state,
									  .arg = &nodes[i] },
					&nodes[i].source) < 0)
			return 1;
	}
	ev_timer_init(&second, on_second, 1., 1.);
	ev_timer_start(loop, &second);
	ev_io_init(&input, on_input, STDIN_FILENO, EV_READ);
	ev_io_start(loop, &input);
	ev_run(loop, 0);
	for (size_t i = 0; nodes && i < n; i++) {
		lw_source_kube_close(&nodes[i].source);
		lw_model_free(&nodes[i].model);
	}
	free(nodes);
	lw_kube_config_free(&config);
	return 0;
}
