/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/agent.h"

#include <malloc.h>
#include <errno.h>
#include <ev.h>
#include <limits.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "core/model.h"
#include "core/state_build.h"
#include "daemon/control.h"
#include "daemon/findings.h"
#include "daemon/query.h"
#include "daemon/seen.h"
#include "daemon/source.h"
#include "kern/devices.h"
#include "kern/kern.h"
#include "kern/upstream.h"

/* Memory kept for the next state. */
#define KEEP_BYTES (256 << 20)
#define RETRY_S 1.

struct agent {
	const struct lw_agent_options *options;
	struct ev_loop *loop;
	struct lw_agent_locks locks;
	bool mounted; /* lw_kern_open() mounted the bpffs: lw_kern_close() unmounts it */
	ev_signal sigterm, sigint, sighup;
	ev_timer retry; /* of what failed */

	struct lw_model *model;
	struct lw_source *source;
	struct lw_state_builder *builder;
	struct lw_findings source_findings, build_findings;
	uint64_t started_ns;
	bool pending; /* the model is ahead of what is in force */

	struct lw_kern *kern;
	struct lw_upstreams *upstreams;
	struct lw_devices *devices;
	struct lw_control *control;
	/* In force. */
	struct lw_image *image;
	struct lw_listing *listing;
	struct lw_seen seen;
};

static const char *bpffs_or_default(const char *bpffs)
{
	return bpffs ? bpffs : "/sys/fs/bpf";
}

/* 0 with -1 in *ret_fd where no bpffs is mounted: there is nobody's pin to protect. */
static int lock_bpffs(const char *bpffs, int *ret_fd)
{
	struct statfs fs;

	if (statfs(bpffs_or_default(bpffs), &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return 0;
	return lw_lock_take(bpffs_or_default(bpffs), ret_fd);
}

int lw_agent_lock(const char *socket, const char *bpffs, struct lw_agent_locks *ret)
{
	_cleanup_(lw_agent_unlock) struct lw_agent_locks locks = LW_AGENT_LOCKS_INIT;
	char path[PATH_MAX];
	int r;

	if (snprintf(path, sizeof(path), "%s.lock", socket) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	r = lw_lock_mkdir(path);
	if (r < 0)
		return r;
	r = lw_lock_take(path, &locks.socket_fd);
	if (r < 0)
		return r;
	r = lock_bpffs(bpffs, &locks.bpffs_fd);
	if (r < 0)
		return r;
	ret->socket_fd = TAKE_FD(locks.socket_fd);
	ret->bpffs_fd = TAKE_FD(locks.bpffs_fd);
	return 0;
}

void lw_agent_unlock(struct lw_agent_locks *locks)
{
	locks->socket_fd = lw_close(locks->socket_fd);
	locks->bpffs_fd = lw_close(locks->bpffs_fd);
}

static void retry_later(struct agent *agent)
{
	if (ev_is_active(&agent->retry))
		return;
	ev_timer_set(&agent->retry, RETRY_S, 0.);
	ev_timer_start(agent->loop, &agent->retry);
}

/* Builds from the model and puts it in force. What is in force stays when that fails. */
static int publish(struct agent *agent)
{
	_cleanup_(lw_listing_free) struct lw_listing *listing = NULL;
	_cleanup_(lw_image_free) struct lw_image *image = NULL;
	_cleanup_(lw_findings_clear) struct lw_findings found = {}, before = {};
	uint64_t begin_ns = lw_clock_ns(), in_force_us;
	int r;

	agent->pending = true;
	r = lw_state_build(agent->builder, agent->model, lw_findings_add, &found, &image);
	if (r < 0) {
		lw_warn("build the state: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	lw_findings_log(&found, &agent->build_findings);
	before = agent->build_findings;
	agent->build_findings = found;
	found = (struct lw_findings){};

	r = lw_kern_publish(agent->kern, image);
	if (r < 0) {
		lw_warn("put the state in force: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	in_force_us = (lw_kern_in_force_ns(agent->kern) - begin_ns) / 1000;
	r = lw_state_list(agent->builder, &listing);
	if (r < 0) {
		lw_warn("list the state: %s, retrying", strerror(-r));
		retry_later(agent);
		return r;
	}
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	agent->image = TAKE_PTR(image);
	agent->listing = TAKE_PTR(listing);
	agent->pending = false;
	lw_seen_add(&agent->seen, agent->image);
	lw_info("generation %llu in force after %llu us: %zu lanes, %zu workloads, %zu pods",
		(unsigned long long)lw_kern_generation(agent->kern),
		(unsigned long long)in_force_us, lw_image_rows(agent->image, LW_TABLE_LANES),
		lw_image_rows(agent->image, LW_TABLE_WORKLOADS),
		lw_image_rows(agent->image, LW_TABLE_PODS));
	return 0;
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct agent *agent = arg;

	if (!lw_findings_has(&agent->source_findings, finding))
		lw_log(finding->severity == LW_FINDING_ERROR ? LW_LOG_ERROR : LW_LOG_WARN, "%s",
		       finding->text);
	lw_findings_add(finding, &agent->source_findings);
}

/* Takes up what has changed in the source. */
static void refresh(struct agent *agent)
{
	int r = lw_source_refresh(agent->source);

	if (r < 0) {
		/* Part of it may have been taken up. */
		agent->pending = true;
		retry_later(agent);
	}
	/* Bad objects that have been put right say so by their number only. */
	if (lw_source_errors(agent->source) == 0 && agent->source_findings.errors > 0)
		lw_findings_clear(&agent->source_findings);
	if (!agent->kern || !lw_source_ready(agent->source))
		return;
	/* Questions come often; what failed is tried again by the timer only. */
	if (r > 0 || (agent->pending && !ev_is_active(&agent->retry)))
		(void)publish(agent);
}

static void on_source(void *arg)
{
	refresh(arg);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	refresh(w->data);
}

static void on_stop(struct ev_loop *loop, ev_signal *w, int revents)
{
	(void)revents;
	lw_info("stopping on signal %d", w->signum);
	ev_break(loop, EVBREAK_ALL);
}

static void on_hup(struct ev_loop *loop, ev_signal *w, int revents)
{
	struct agent *agent = w->data;

	(void)loop;
	(void)revents;
	lw_info("putting the state in force anew on SIGHUP");
	agent->pending = true;
	refresh(agent);
}

static char *on_request(const char *request, void *arg)
{
	struct agent *agent = arg;
	struct lw_query query;

	/* What was written to the folder before this question is part of the answer. */
	refresh(agent);
	query = (struct lw_query){
		.kern = agent->kern,
		.image = agent->image,
		.listing = agent->listing,
		.seen = &agent->seen,
		.pending = agent->pending,
		.source = agent->source,
		.started_ns = agent->started_ns,
		.errors = lw_source_errors(agent->source) + agent->build_findings.errors,
		.source_findings = &agent->source_findings,
		.build_findings = &agent->build_findings,
	};
	return lw_query_answer(&query, request);
}

static int start_state(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	char host[256] = "";
	int r;

	if (!o->node)
		(void)gethostname(host, sizeof(host) - 1);
	r = lw_state_builder_new(
		&(struct lw_state_options){ .tag_header = o->tag_header,
					    .lane_label = o->lane_label,
					    .lane_label_prefix = o->lane_label_prefix,
					    .node = o->node ? o->node : host },
		&agent->builder);
	if (r < 0) {
		lw_error("start: %s", strerror(-r));
		return r;
	}
	r = lw_model_new(&agent->model);
	if (r < 0) {
		lw_error("start: %s", strerror(-r));
		return r;
	}
	return lw_source_open(&o->source, agent->loop, agent->model, on_finding, on_source, agent,
			      &agent->source);
}

static int start_kern(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	r = lw_kern_open(&(struct lw_kern_options){ .cgroup = o->cgroup,
						    .bpffs = o->bpffs,
						    .fail_closed = o->fail_closed,
						    .prefer_local = o->prefer_local,
						    .no_bypass = o->no_bypass,
						    .keep_out = o->keep_out,
						    .watch_syscalls = o->watch_syscalls },
			 &agent->kern);
	if (r < 0)
		return r;
	if (agent->locks.bpffs_fd < 0) {
		agent->mounted = true;
		r = lock_bpffs(o->bpffs, &agent->locks.bpffs_fd);
		if (r < 0) {
			lw_error("lock '%s': %s", bpffs_or_default(o->bpffs), strerror(-r));
			return r;
		}
	}
	r = lw_upstreams_start(agent->kern, agent->loop,
			       &(struct lw_upstreams_options){ .pool_max = o->pool_max,
							       .fail_closed = o->fail_closed },
			       &agent->upstreams);
	if (r < 0) {
		lw_error("start the upstream sockets: %s", strerror(-r));
		return r;
	}
	if (!o->devices)
		return 0;
	r = lw_devices_start(agent->kern, agent->loop, o->devices, &agent->devices);
	if (r < 0)
		lw_error("attach to the devices: %s", strerror(-r));
	return r;
}

static int start(struct agent *agent)
{
	const struct lw_agent_options *o = agent->options;
	int r;

	r = lw_agent_lock(o->socket, o->bpffs, &agent->locks);
	if (r == -EBUSY) {
		lw_error("another agent is at work with '%s' or '%s'", o->socket,
			 bpffs_or_default(o->bpffs));
		return r;
	}
	if (r < 0) {
		lw_error("lock '%s.lock': %s", o->socket, strerror(-r));
		return r;
	}
	r = start_state(agent);
	if (r < 0)
		return r;
	r = start_kern(agent);
	if (r < 0)
		return r;
	/* An API server has not answered yet. */
	r = lw_source_ready(agent->source) ? publish(agent) : 0;
	if (r < 0) {
		lw_error("put the first state in force: %s", strerror(-r));
		return r;
	}
	r = lw_control_start(agent->loop,
			     &(struct lw_control_options){
				     .path = o->socket, .handler = on_request, .arg = agent },
			     &agent->control);
	if (r < 0)
		lw_error("listen on '%s': %s", o->socket, strerror(-r));
	return r;
}

/* In reverse; whatever had been started. */
static void stop(struct agent *agent)
{
	lw_control_stop(&agent->control);
	lw_upstreams_drain(agent->upstreams);
	lw_devices_stop(&agent->devices);
	lw_upstreams_stop(&agent->upstreams);
	/* An open descriptor would keep it from being unmounted. */
	if (agent->mounted)
		agent->locks.bpffs_fd = lw_close(agent->locks.bpffs_fd);
	lw_kern_close(&agent->kern);
	ev_timer_stop(agent->loop, &agent->retry);
	lw_source_close(&agent->source);
	lw_model_free(&agent->model);
	lw_state_builder_free(&agent->builder);
	lw_image_free(&agent->image);
	lw_listing_free(&agent->listing);
	lw_seen_clear(&agent->seen);
	lw_findings_clear(&agent->source_findings);
	lw_findings_clear(&agent->build_findings);
	lw_agent_unlock(&agent->locks);
	ev_signal_stop(agent->loop, &agent->sigterm);
	ev_signal_stop(agent->loop, &agent->sigint);
	ev_signal_stop(agent->loop, &agent->sighup);
}

int lw_agent_run(const struct lw_agent_options *options)
{
	/* Too large for the stack; there is one. */
	static struct agent agent;
	int r;

	agent.options = options;
	agent.locks = (struct lw_agent_locks)LW_AGENT_LOCKS_INIT;
	agent.started_ns = lw_clock_ns();
	agent.loop = ev_default_loop(EVFLAG_AUTO);
	if (!agent.loop) {
		lw_error("start the event loop");
		return -ENOMEM;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	/* a state is built and thrown away at every change: keep its memory, page faults are most of the time it takes */
	(void)mallopt(M_MMAP_THRESHOLD, KEEP_BYTES);
	(void)mallopt(M_TRIM_THRESHOLD, KEEP_BYTES);
	/* Before anything is attached: a signal during the start is kept for the loop, which then ends. */
	ev_signal_init(&agent.sigterm, on_stop, SIGTERM);
	ev_signal_init(&agent.sigint, on_stop, SIGINT);
	ev_signal_init(&agent.sighup, on_hup, SIGHUP);
	ev_signal_start(agent.loop, &agent.sigterm);
	ev_signal_start(agent.loop, &agent.sigint);
	ev_signal_start(agent.loop, &agent.sighup);
	ev_timer_init(&agent.retry, on_retry, RETRY_S, 0.);
	agent.retry.data = &agent;
	agent.sighup.data = &agent;

	r = start(&agent);
	if (r == 0) {
		if (lw_kern_mode(agent.kern) == LW_KERN_MODE_NONE)
			lw_warn("no way of enrolling sockets is safe on this kernel: not steering; "
				"see laneway status");
		else
			lw_info("steering (mode %s), control socket '%s'",
				lw_kern_mode_name(lw_kern_mode(agent.kern)), options->socket);
		ev_run(agent.loop, 0);
	}
	stop(&agent);
	return r;
}
