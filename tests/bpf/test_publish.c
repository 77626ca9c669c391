/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an image to the maps: what is written, what is left alone, what a failure leaves, and that a decision never
 * sees a mix of two states.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../harness/yaml_model.h"
#include "base/clock.h"
#include "core/state_build.h"
#include "kern/internal.h"
#include "laneway/reasons.h"
#include "turns.h"

#define GRAY2 "127.0.0.22"
#define ALTERNATIONS 2000
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, { 0 } };
static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" };
static const struct lw_rules_mod set_a = { "x-v", "a" }, set_b = { "x-v", "b" };
static const struct lw_rules_entry entry_a = { .conds = &cond,
					       .nconds = 1,
					       .lane = 1,
					       .set = &set_a,
					       .nset = 1,
					       .source = "a" };
static const struct lw_rules_entry entry_b = { .conds = &cond,
					       .nconds = 1,
					       .lane = 1,
					       .set = &set_b,
					       .nset = 1,
					       .source = "b" };
static const struct lab_pod pods_a[] = {
	{ .ip = LAB_BASE },
	{ .ip = LAB_GRAY, .lane = 1 },
	{ .ip = GRAY2, .lane = 1, .terminating = true },
	{ 0 },
};
static const struct lab_pod pods_b[] = {
	{ .ip = LAB_BASE },
	{ .ip = LAB_GRAY, .lane = 1, .terminating = true },
	{ .ip = GRAY2, .lane = 1 },
	{ 0 },
};
static const struct lab_pod pods_less[] = { { .ip = LAB_BASE }, { 0 } };
/* In state a the rule says x-v: a and the lane is the first gray pod; in b likewise with b and the second. */
static const struct lab_state state_a = { .pods = pods_a,
					  .lanes = lanes,
					  .entries = &entry_a,
					  .nentries = 1 };
static const struct lab_state state_b = { .pods = pods_b,
					  .lanes = lanes,
					  .entries = &entry_b,
					  .nentries = 1 };
static const struct lab_state state_less = { .pods = pods_less };

static int base, gray[2];

static int setup(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){ .state = &state_a });
	base = lab_listen(LAB_BASE);
	gray[0] = lab_listen(LAB_GRAY);
	gray[1] = lab_listen(GRAY2);
	return 0;
}

static int clean(void **state)
{
	lab_clean(state);
	lab_publish(&state_a);
	return 0;
}

static uint32_t slot_in_force(void)
{
	return lw_kern_generation(lab_kern()) & 1;
}

static size_t rows_of_slot(enum lw_table_id t, uint32_t slot)
{
	const struct lw_table_info *info = &lw_tables[t];
	int fd = lw_kern_map_fd(lab_kern(), t);
	char key[128], next[128];
	size_t n = 0;
	bool any = false;

	assert_in_range(info->key_size, 1, sizeof(key));
	while (!bpf_map_get_next_key(fd, any ? key : NULL, next)) {
		uint32_t s;

		any = true;
		memcpy(key, next, info->key_size);
		memcpy(&s, key + info->slot_offset, sizeof(s));
		n += s == slot;
	}
	return n;
}

/* The maps hold the image in this slot, row for row, and nothing else there. */
static void expect_slot(uint32_t slot, const struct lab_state *s)
{
	struct lw_image *image = lab_image(s);

	for (enum lw_table_id t = 0; t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		char *value = malloc(info->value_size), key[128];

		assert_int_equal(rows_of_slot(t, slot), lw_image_rows(image, t));
		for (size_t i = 0; i < lw_image_rows(image, t); i++) {
			memcpy(key, lw_image_key(image, t, i), info->key_size);
			memcpy(key + info->slot_offset, &slot, sizeof(slot));
			assert_int_equal(
				bpf_map_lookup_elem(lw_kern_map_fd(lab_kern(), t), key, value), 0);
			assert_memory_equal(value, lw_image_value(image, t, i), info->value_size);
		}
		free(value);
	}
	lw_image_free(&image);
}

static void maps_equal_the_image(void **state)
{
	static const struct lab_state *const order[] = {
		&state_a, &state_b,    &state_less, &state_a,
		&state_a, &state_less, &state_less, &state_b,
	};
	const struct lab_state *before = NULL;
	uint64_t gen = lw_kern_generation(lab_kern());

	(void)state;
	for (size_t i = 0; i < COUNT(order); i++) {
		lab_publish(order[i]);
		assert_int_equal(lw_kern_generation(lab_kern()), ++gen);
		expect_slot(slot_in_force(), order[i]);
		/* the other slot is as it was: readers may still be there */
		if (before)
			expect_slot(!slot_in_force(), before);
		before = order[i];
	}
}

/* A row that is the same as two states before is not written again: what was put there by hand stays. */
static void only_differences_are_written(void **state)
{
	int fd = lw_kern_map_fd(lab_kern(), LW_TABLE_WORKLOADS);
	struct lw_workload w, marked;
	struct lw_slot_key key = { .id = LAB_WORKLOAD };

	(void)state;
	lab_publish(&state_a);
	lab_publish(&state_b);
	key.slot = !slot_in_force();
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &w), 0);
	marked = w;
	marked.name_hash = 4711;
	assert_int_equal(bpf_map_update_elem(fd, &key, &marked, BPF_EXIST), 0);
	lab_publish(&state_a);
	assert_int_equal(slot_in_force(), key.slot);
	assert_int_equal(bpf_map_lookup_elem(fd, &key, &w), 0);
	assert_int_equal(w.name_hash, 4711);
	/* and a row that differs is, beside it */
	marked.name_hash = lw_name_hash(marked.name);
	assert_int_equal(bpf_map_update_elem(fd, &key, &marked, BPF_EXIST), 0);
	expect_slot(slot_in_force(), &state_a);
}

/* Rows of no slot fill a map: the state that has no room there is refused, and the old one goes on. */
static void failed_publish_keeps_the_old_state(void **state)
{
	static const enum lw_table_id full[] = { LW_TABLE_LANES, LW_TABLE_TAGS };
	static const struct lab_lane more[] = {
		{ "gray", "x-mse-tag", "gray" },
		{ "l2", "x-mse-tag", "2" },
		{ "l3", "x-mse-tag", "3" },
		{ 0 },
	};
	static const struct lab_state too_big = {
		.pods = pods_b, .lanes = more, .entries = &entry_b, .nentries = 1
	};
	uint64_t gen;
	uint32_t slot;
	int c, b, g = -1;

	(void)state;
	lab_publish(&state_a);
	gen = lw_kern_generation(lab_kern());
	slot = slot_in_force();
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < COUNT(full); i++) {
		const struct lw_table_info *info = &lw_tables[full[i]];
		struct lw_image *image = lab_image(&too_big);
		int fd = lw_kern_map_fd(lab_kern(), full[i]), n = 0;
		char *value = calloc(1, info->value_size), key[128] = "";
		uint32_t no_slot = 9;

		memcpy(key + info->slot_offset, &no_slot, sizeof(no_slot));
		for (;; n++) {
			memcpy(key + info->key_size - sizeof(n), &n, sizeof(n));
			if (full[i] == LW_TABLE_LANES)
				((struct lw_slot_key *)key)->id = 1000u + (uint32_t)n;
			if (bpf_map_update_elem(fd, key, value, BPF_NOEXIST))
				break;
		}
		assert_int_equal(errno, E2BIG);
		assert_true(n > 0);

		for (int again = 0; again < 2; again++) {
			assert_true(lw_kern_publish(lab_kern(), image) < 0);
			assert_int_equal(lw_kern_generation(lab_kern()), gen);
			expect_slot(slot, &state_a);
			lane_turn(
				c, gray[0], &g, "GET / HTTP/1.1\r\nu: 1\r\n\r\n",
				"GET / HTTP/1.1\r\nx-mse-tag: gray\r\nx-v:        a\r\nu: 1\r\n\r\n");
		}
		while (n-- > 0) {
			memcpy(key + info->key_size - sizeof(n), &n, sizeof(n));
			if (full[i] == LW_TABLE_LANES)
				((struct lw_slot_key *)key)->id = 1000u + (uint32_t)n;
			assert_int_equal(bpf_map_delete_elem(fd, key), 0);
		}
		/* with room again, the same state is taken */
		assert_int_equal(lw_kern_publish(lab_kern(), image), 0);
		assert_int_equal(lw_kern_generation(lab_kern()), ++gen);
		expect_slot(slot_in_force(), &too_big);
		lab_publish(&state_a);
		lab_publish(&state_a); /* no slot has its rows any more */
		gen += 2;
		slot = slot_in_force();
		close(g);
		g = -1;
		lw_image_free(&image);
		free(value);
	}
	close(c);
	close(b);
}

/* ---- a reader beside a writer ---- */

struct servers {
	atomic_bool stop;
	atomic_int wrong; /* requests that arrived where they must not */
	atomic_int right[2];
};

/* Answers every request of the gray pods, of the base pod; each connection's pod is known by its listener. */
static void *serve(void *arg)
{
	static const char *const mark[] = { "\r\nx-v:        a\r\n", "\r\nx-v:        b\r\n" };
	struct servers *s = arg;
	struct pollfd p[512] = { { gray[0], POLLIN, 0 },
				 { gray[1], POLLIN, 0 },
				 { base, POLLIN, 0 } };
	int pod[512] = { 0, 1, 2 };
	nfds_t n = 3;

	while (!s->stop) {
		if (poll(p, n, 10) <= 0)
			continue;
		for (nfds_t i = 0; i < n; i++) {
			char req[512] = "";
			ssize_t k;

			if (!p[i].revents)
				continue;
			if (i < 3) {
				if (n < COUNT(p)) {
					pod[n] = pod[i];
					p[n++] = (struct pollfd){ accept(p[i].fd, NULL, NULL),
								  POLLIN, 0 };
					p[n - 1].revents = 0;
				}
				continue;
			}
			k = recv(p[i].fd, req, sizeof(req) - 1, MSG_DONTWAIT | MSG_PEEK);
			if (k > 0 && !strstr(req, "\r\n\r\n"))
				continue; /* the rest is in another packet */
			if (k > 0)
				k = recv(p[i].fd, req, (size_t)k, MSG_DONTWAIT);
			if (k <= 0) {
				close(p[i].fd);
				p[i] = p[--n];
				pod[i] = pod[n];
				i--;
				continue;
			}
			if (pod[i] == 2 || !strstr(req, mark[pod[i]]) ||
			    strstr(req, mark[!pod[i]]) || !strstr(req, "\r\n\r\n"))
				s->wrong++;
			else
				s->right[pod[i]]++;
			lab_send(p[i].fd, OK(1, "x"));
		}
	}
	while (n > 3)
		close(p[--n].fd);
	return NULL;
}

struct publishing {
	atomic_int left;
	struct lw_image *images[2];
};

static void *alternate(void *arg)
{
	struct publishing *p = arg;

	for (int i = 0; i < ALTERNATIONS; i++) {
		if (lw_kern_publish(lab_kern(), p->images[i & 1]))
			abort();
		p->left--;
	}
	return NULL;
}

/* Which rule and which pod: both of the same state, or a request carries one's mark to the other's pod. */
static void no_decision_sees_a_mix(void **state)
{
	struct publishing p = { .left = ALTERNATIONS,
				.images = { lab_image(&state_b), lab_image(&state_a) } };
	struct servers s = { 0 };
	pthread_t server, writer;
	int c[4], turns = 0;
	uint64_t patience = lab_kern()->config->heartbeat_max_ns;

	(void)state;
	/* an agent that gets no processor for long sends requests to their own peers, which is another matter */
	lab_kern()->config->heartbeat_max_ns = UINT64_MAX / 2;
	assert_int_equal(pthread_create(&server, NULL, serve, &s), 0);
	for (size_t i = 0; i < COUNT(c); i++)
		c[i] = lab_connect(LAB_BASE, LAB_PORT);
	assert_int_equal(pthread_create(&writer, NULL, alternate, &p), 0);
	while (p.left > 0) {
		int k = turns++ % (int)COUNT(c);

		lab_send(c[k], "GET / HTTP/1.1\r\nu: 1\r\n\r\n");
		lab_expect(c[k], OK(1, "x"));
	}
	pthread_join(writer, NULL);
	for (size_t i = 0; i < COUNT(c); i++)
		close(c[i]);
	s.stop = true;
	pthread_join(server, NULL);
	lab_kern()->config->heartbeat_max_ns = patience;
	print_message("%d states, %d requests: %d and %d\n", ALTERNATIONS, turns, s.right[0],
		      s.right[1]);
	assert_int_equal(s.wrong, 0);
	assert_int_equal(s.right[0] + s.right[1], turns);
	assert_true(s.right[0] > 0);
	assert_true(s.right[1] > 0);
	lw_image_free(&p.images[0]);
	lw_image_free(&p.images[1]);
}

/* ---- how long a step takes, of a thousand workloads with ten pods each ---- */

#define WORKLOADS 1000
#define PODS 10

static char *append(char *p, const char *end, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static char *append(char *p, const char *end, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	p += vsnprintf(p, (size_t)(end - p), format, ap);
	va_end(ap);
	assert_true(p < end);
	return p;
}

static char *rollout(char *p, const char *end, int w, int step)
{
	return append(
		p, end,
		"---\n{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: w%d},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: w%d}, strategy: {canary: {"
		" trafficRoutings: [{service: w%d}], steps: [{matches: [{headers: [{name: user, value: me}]}]},"
		" {matches: [{headers: [{name: user, value: you}]}]}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		" canaryStatus: {currentStepIndex: %d, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}\n",
		w, w, w, step);
}

static void measure(struct lw_state_builder *builder, struct lw_model *model, const char *what)
{
	struct lw_test_findings findings = { 0 };
	struct lw_image *image = NULL;
	uint64_t gen = lw_kern_generation(lab_kern()), t0, t1, t2;

	t0 = lw_clock_ns();
	assert_int_equal(lw_state_build(builder, model, lw_test_finding, &findings, &image), 0);
	t1 = lw_clock_ns();
	assert_int_equal(lw_kern_publish(lab_kern(), image), 0);
	t2 = lw_clock_ns();
	assert_string_equal(findings.text, "");
	assert_int_equal(lw_kern_generation(lab_kern()), gen + 1);
	assert_int_equal(lw_image_rows(image, LW_TABLE_WORKLOADS), WORKLOADS);
	assert_int_equal(lw_image_rows(image, LW_TABLE_PODS), WORKLOADS * PODS);
	assert_int_equal(rows_of_slot(LW_TABLE_PODS, slot_in_force()), WORKLOADS * PODS);
	print_message("%s: built in %.1f ms, in force after %.1f ms more\n", what,
		      (double)(t1 - t0) / 1e6, (double)(t2 - t1) / 1e6);
	lw_image_free(&image);
}

static void thousand_workloads(void **state)
{
	const struct lw_state_options options = { .node = "n1" };
	size_t room = 16u << 20;
	char *yaml = malloc(room), *p = yaml, *end = yaml + room;
	struct lw_state_builder *builder;
	struct lw_model *model;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	assert_int_equal(lw_state_builder_new(&options, &builder), 0);
	for (int w = 0; w < WORKLOADS; w++) {
		p = rollout(p, end, w, 1);
		p = append(
			p, end,
			"---\n{apiVersion: v1, kind: Service, metadata: {name: w%d}, spec: {selector: {app: w%d},"
			" clusterIPs: [10.%d.%d.1], ports: [{port: 80, targetPort: 8080}]}}\n",
			w, w, 200 + w / 256, w % 256);
		for (int k = 0; k < PODS; k++) {
			const char *hash = k ? "old" : "new";

			p = append(
				p, end,
				"---\n{apiVersion: v1, kind: Pod, metadata: {name: w%d-%d, uid: u-%d-%d,"
				" labels: {app: w%d, pod-template-hash: %s},"
				" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: w%d-%s, controller: true}]},"
				" spec: {nodeName: n1, containers: [{ports: [{name: http, containerPort: 8080}]}]},"
				" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [{ip: 10.%d.%d.%d}]}}\n",
				w, k, w, k, w, hash, w, hash, w / 256, w % 256, k + 10);
		}
	}
	lw_test_load(model, yaml, NULL);
	measure(builder, model, "the first state");
	measure(builder, model, "the same again, in the other slot");
	for (int step = 2; step >= 1; step--) {
		(void)rollout(yaml, end, 500, step);
		lw_test_load(model, yaml, NULL);
		measure(builder, model, "one Rollout's next step");
	}
	lw_state_builder_free(&builder);
	lw_model_free(&model);
	free(yaml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(maps_equal_the_image, clean),
		cmocka_unit_test_teardown(only_differences_are_written, clean),
		cmocka_unit_test_teardown(failed_publish_keeps_the_old_state, clean),
		cmocka_unit_test_teardown(no_decision_sees_a_mix, clean),
		cmocka_unit_test_teardown(thousand_workloads, clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("publish", tests, setup, lab_teardown);
}
