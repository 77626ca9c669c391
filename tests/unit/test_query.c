/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The answers of the control socket, over an image and a kernel side made up here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "core/image.h"
#include "core/listing.h"
#include "daemon/findings.h"
#include "daemon/json.h"
#include "daemon/query.h"
#include "daemon/seen.h"
#include "daemon/source.h"
#include "kern/devices.h"
#include "kern/host_pods.h"
#include "kern/kern.h"
#include "kern/learned.h"
#include "laneway/reasons.h"
#include "../harness/fake_kern.h"
#include "../harness/yaml_model.h"

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"
#define WORKLOAD FAKE_WORKLOAD

/* ---- a kernel side: what it has learned ---- */

/* TRACE has arrived at 127.0.0.1, with a request of lane 1. */
int lw_learned_trace(const struct lw_kern *kern, const struct lw_trace_key *key,
		     struct lw_trace *ret)
{
	struct lw_addr pod;

	(void)kern;
	assert_int_equal(lw_addr_parse("127.0.0.1", &pod), 0);
	if (memcmp(&pod, &key->pod, sizeof(pod)) != 0 || key->header != LW_HDR_TRACEPARENT ||
	    strcmp(key->id, TRACE) != 0)
		return -ENOENT;
	*ret = (struct lw_trace){ .lane = 1 };
	return 0;
}

/* ---- the rest of a query ---- */

struct fixture {
	struct lw_kern kern;
	struct lw_image *image;
	struct lw_listing listing;
	struct lw_findings source, build, node;
	struct lw_seen seen;
	struct lw_query query;
	struct ev_loop *loop;
	struct lw_model *model;
	struct lw_source *folder;
	char dir[32];
};

static void ignore_finding(const struct lw_finding *finding, void *arg)
{
	(void)finding;
	(void)arg;
}

static void ignore_forgotten(const char *prefix, void *arg)
{
	(void)prefix;
	(void)arg;
}

static void ignore_change(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct lw_slot_key key = { .id = 1 };
	struct lw_workload workload = { .name = WORKLOAD, .name_hash = lw_name_hash(WORKLOAD) };
	struct lw_lane lane = { .name = "gray",
				.block_len = 24,
				.block = "X-MSE-Tag:        gray\r\n" };
	struct lw_pod_key pod_key = {};
	struct lw_pod pod = { .workload = 1, .lane = 1, .name = "default/a-gray-1" };
	struct lw_dest_key dest_key = { .port = 80 };
	struct lw_dest dest = { .workload = 1, .group = 1 };

	assert_int_equal(lw_image_new(&f->image), 0);
	assert_int_equal(lw_image_put(f->image, LW_TABLE_WORKLOADS, &key, &workload), 0);
	assert_int_equal(lw_image_put(f->image, LW_TABLE_LANES, &key, &lane), 0);
	assert_int_equal(lw_addr_parse("fd00::12", &pod_key.addr), 0);
	assert_int_equal(lw_image_put(f->image, LW_TABLE_PODS, &pod_key, &pod), 0);
	assert_int_equal(lw_addr_parse("10.0.0.1", &dest_key.addr), 0);
	assert_int_equal(lw_image_put(f->image, LW_TABLE_DESTS, &dest_key, &dest), 0);
	assert_int_equal(lw_image_seal(f->image), 0);
	f->kern = (struct lw_kern){ .mode = LW_KERN_MODE_MSG,
				    .generation = 4,
				    .flows = 2,
				    .left_alone = 5,
				    .header = LW_HDR_TAG_FIRST };
	lw_seen_add(&f->seen, f->image, f->kern.generation);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, "a.yaml:1: wrong" }, &f->source);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_WARNING, "odd" }, &f->build);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_WARNING, "no device" }, &f->node);
	(void)strcpy(f->dir, "/tmp/lw-query.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->loop = ev_loop_new(0);
	assert_int_equal(lw_model_new(&f->model), 0);
	assert_int_equal(lw_source_open(&(struct lw_source_options){ .state_dir = f->dir }, f->loop,
					f->model, ignore_finding, ignore_forgotten, ignore_change,
					NULL, &f->folder),
			 0);
	f->query = (struct lw_query){
		.kern = &f->kern,
		.image = f->image,
		.listing = &f->listing,
		.seen = &f->seen,
		.source = f->folder,
		.started_ns = lw_clock_ns(),
		.errors = 1,
		.source_findings = &f->source,
		.build_findings = &f->build,
		.node_findings = &f->node,
		.devices = (struct lw_devices *)&f->kern, /* only asked whether it is there */
	};
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_source_close(&f->folder);
	lw_model_free(&f->model);
	ev_loop_destroy(f->loop);
	(void)rmdir(f->dir);
	lw_image_free(&f->image);
	lw_seen_clear(&f->seen);
	lw_findings_clear(&f->source);
	lw_findings_clear(&f->build);
	lw_findings_clear(&f->node);
	free(f);
	return 0;
}

/* The whole reply; its "data" or "error" belongs to it. */
static struct json_object *ask(const struct fixture *f, const char *request)
{
	_cleanup_free_ char *line = lw_query_answer(&f->query, request);
	struct json_object *reply;

	assert_non_null(line);
	assert_null(strchr(line, '\n'));
	reply = json_tokener_parse(line);
	assert_non_null(reply);
	assert_true(!lw_json_get(reply, "data") != !lw_json_get(reply, "error"));
	return reply;
}

static void test_status(void **state)
{
	_cleanup_json_ struct json_object *reply = ask(*state, "{\"cmd\":\"status\"}");
	struct json_object *data = lw_json_get(reply, "data"), *o;

	assert_true(lw_json_bool(data, "steering"));
	assert_string_equal(lw_json_str(data, "mode"), "msg");
	assert_int_equal(lw_json_int(data, "generation"), 4);
	o = lw_json_get(data, "counts");
	assert_int_equal(lw_json_int(o, "workloads"), 1);
	assert_int_equal(lw_json_int(o, "flows"), 2);
	assert_int_equal(lw_json_int(o, "upstreams"), 1);
	o = lw_json_get(data, "decisions");
	assert_int_equal(lw_json_int(o, "ok"), 540);
	assert_int_equal(lw_json_int(o, "carried"), 3);
	assert_int_equal(lw_json_int(o, "other"), 0); /* what is counted besides is no outcome */
	o = lw_json_get(data, "selftests");
	assert_int_equal(lw_json_len(o), 2);
	assert_true(lw_json_bool(lw_json_at(o, 0), "ok"));
	assert_false(lw_json_bool(lw_json_at(o, 1), "ok"));
	assert_string_equal(lw_json_str(lw_json_at(o, 0), "concerns"), "");
	assert_string_equal(lw_json_str(lw_json_at(o, 1), "concerns"), "splice");
	assert_int_equal(lw_json_int(data, "selftests_us"), 123456);
	o = lw_json_get(data, "bypass");
	assert_false(lw_json_bool(o, "requests"));
	assert_true(lw_json_bool(o, "responses"));
	assert_int_equal(lw_json_int(data, "left_alone"), 5);
	o = lw_json_get(data, "host_pods");
	assert_int_equal(lw_json_int(o, "pods"), 3);
	assert_int_equal(lw_json_int(o, "found"), 2);
	o = lw_json_get(data, "kept_out");
	assert_true(lw_json_bool(o, "fionread") && lw_json_bool(o, "splice") &&
		    lw_json_bool(o, "fionread_noticed"));
	assert_false(lw_json_bool(o, "splice_noticed"));
	assert_int_equal(lw_json_int(o, "pod_addresses"), 5);
	o = lw_json_at(lw_json_get(o, "processes"), 0);
	assert_int_equal(lw_json_int(o, "pid"), getpid());
	assert_true(lw_json_bool(o, "alive"));
	assert_int_equal(lw_json_int(o, "connections"), 3);
	assert_string_equal(lw_json_str(o, "program"), "sixteen bytes..!");
	assert_string_equal(lw_json_str(o, "why"), "fionread");
	o = lw_json_get(lw_json_get(data, "kept_out"), "processes");
	assert_int_equal(lw_json_len(o), 3);
	assert_false(lw_json_bool(lw_json_at(o, 1), "alive"));
	assert_false(lw_json_bool(lw_json_at(o, 2), "alive"));
	o = lw_json_get(data, "devices");
	assert_int_equal(lw_json_int(o, "patterns"), 4);
	assert_int_equal(lw_json_int(o, "attached"), 12);
	o = lw_json_get(data, "others");
	assert_int_equal(lw_json_len(o), 3);
	assert_string_equal(lw_json_str(lw_json_at(o, 1), "program"), "theirs");
	assert_string_equal(lw_json_str(lw_json_at(o, 1), "where"), "tc egress");
	assert_int_equal(lw_json_int(lw_json_at(o, 1), "count"), 2);
	assert_true(lw_json_bool(lw_json_at(o, 2), "before"));
	assert_int_equal(lw_json_len(lw_json_get(data, "attached")), 1);
	o = lw_json_get(data, "source");
	assert_string_equal(lw_json_str(o, "path"), ((struct fixture *)*state)->dir);
	assert_int_equal(lw_json_int(o, "errors"), 1);
	assert_int_equal(lw_json_int(o, "warnings"), 2);
	assert_int_equal(lw_json_len(lw_json_get(o, "findings")), 3);
}

/* What probes ask: nothing is counted or walked over for it. */
static void test_probes(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ struct json_object *reply = NULL, *no = NULL, *pong = NULL;
	_cleanup_free_ char *line = NULL;
	struct json_object *data;

	f->kern.error = -EIO; /* of every table */
	reply = ask(f, "{\"cmd\":\"status\",\"brief\":true}");
	data = lw_json_get(reply, "data");
	assert_true(lw_json_bool(data, "steering"));
	assert_string_equal(lw_json_str(data, "why"), "");
	assert_string_equal(lw_json_str(data, "mode"), "msg");
	assert_int_equal(lw_json_int(data, "generation"), 4);
	assert_null(lw_json_get(data, "counts"));
	assert_null(lw_json_get(data, "others"));
	f->query.pending = true;
	no = ask(f, "{\"cmd\":\"status\",\"brief\":true}");
	assert_false(lw_json_bool(lw_json_get(no, "data"), "steering"));
	assert_true(*lw_json_str(lw_json_get(no, "data"), "why") != '\0');

	line = lw_query_ping("{\"cmd\":\"ping\"}");
	assert_non_null(line);
	pong = json_tokener_parse(line);
	assert_non_null(lw_json_get(pong, "data"));
	assert_null(lw_query_ping("{\"cmd\":\"status\"}"));
	assert_null(lw_query_ping("{\"cmd\":\"lanes\",\"what\":\"ping\"}"));
	assert_null(lw_query_ping("ping"));
}

static bool steering(const struct fixture *f, bool *ret_why)
{
	_cleanup_json_ struct json_object *reply = ask(f, "{\"cmd\":\"status\"}");
	struct json_object *data = lw_json_get(reply, "data");

	*ret_why = *lw_json_str(data, "why") != '\0';
	return lw_json_bool(data, "steering");
}

static void test_not_steering(void **state)
{
	struct fixture *f = *state;
	bool why;

	f->query.pending = true;
	assert_false(steering(f, &why));
	assert_true(why);
	f->query.pending = false;
	f->kern.generation = 0;
	assert_false(steering(f, &why));
	assert_true(why);
	f->kern.generation = 1;
	f->kern.mode = LW_KERN_MODE_NONE;
	assert_false(steering(f, &why));
	assert_true(why);
	f->kern.mode = LW_KERN_MODE_VERDICT;
	assert_true(steering(f, &why));
	assert_false(why);
}

static void test_flows(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ struct json_object *reply = NULL;
	struct json_object *flow;

	f->kern.flows = 5;
	reply = ask(f, "{\"cmd\":\"flows\",\"limit\":3}");
	assert_int_equal(lw_json_int(lw_json_get(reply, "data"), "total"), 5);
	assert_int_equal(lw_json_len(lw_json_get(lw_json_get(reply, "data"), "flows")), 3);
	flow = lw_json_at(lw_json_get(lw_json_get(reply, "data"), "flows"), 0);
	assert_string_equal(lw_json_str(flow, "client"), "10.0.0.7:40000");
	assert_string_equal(lw_json_str(flow, "asked"), "10.96.0.12:8080");
	assert_string_equal(lw_json_str(flow, "peer"), "10.0.0.11:8080");
	assert_string_equal(lw_json_str(flow, "endpoint"), "[fd00::12]:8081");
	assert_string_equal(lw_json_str(flow, "pod"), "default/a-gray-1");
	assert_string_equal(lw_json_str(flow, "workload"), WORKLOAD);
	assert_string_equal(lw_json_str(flow, "route"), "up");
	assert_string_equal(lw_json_str(flow, "lane"), "gray");
	assert_string_equal(lw_json_str(flow, "evidence"), "tag");
	assert_string_equal(lw_json_str(flow, "reason"), "ok");
	assert_int_equal(lw_json_int(flow, "requests"), 7);
	assert_in_range(lw_json_int(flow, "age_ms"), 5000, 60000);
}

static const char *header(const struct fixture *f, char buf[64])
{
	_cleanup_json_ struct json_object *reply = ask(f, "{\"cmd\":\"flows\"}");

	(void)snprintf(buf, 64, "%s",
		       lw_json_str(lw_json_at(lw_json_get(lw_json_get(reply, "data"), "flows"), 0),
				   "header"));
	return buf;
}

/* Which header the decision was read in: those of tags by the lane, as that had it then. */
static void test_headers(void **state)
{
	struct lw_lane other = { .name = "gray", .block_len = 16, .block = "x-env:    gray\r\n" };
	struct lw_slot_key key = { .id = 1 };
	struct fixture *f = *state;
	char buf[64];

	assert_string_equal(header(f, buf), "X-MSE-Tag");
	f->kern.header = LW_HDR_TAG_LAST; /* another number in another generation */
	assert_string_equal(header(f, buf), "X-MSE-Tag");
	f->kern.header = LW_HDR_BAGGAGE;
	assert_string_equal(header(f, buf), "baggage");
	f->kern.header = LW_HDR_B3_TRACE_ID;
	assert_string_equal(header(f, buf), "x-b3-traceid");
	f->kern.header = LW_HDR_OTHER;
	assert_string_equal(header(f, buf), "");

	/* the lane's tag has another header since */
	f->kern.header = LW_HDR_TAG_FIRST;
	lw_image_free(&f->image);
	assert_int_equal(lw_image_new(&f->image), 0);
	assert_int_equal(lw_image_put(f->image, LW_TABLE_LANES, &key, &other), 0);
	assert_int_equal(lw_image_seal(f->image), 0);
	f->query.image = f->image;
	lw_seen_add(&f->seen, f->image, f->kern.generation + 1);
	assert_string_equal(header(f, buf), "");
	f->kern.generation++;
	assert_string_equal(header(f, buf), "x-env");
	lw_seen_add(&f->seen, f->image, f->kern.generation + 1);
	assert_string_equal(header(f, buf), "x-env");
}

static const char *client_pod(const struct fixture *f, const char *pods, char buf[64])
{
	_cleanup_json_ struct json_object *reply = NULL;

	lw_test_load(f->model, pods, NULL);
	reply = ask(f, "{\"cmd\":\"flows\"}");
	(void)snprintf(buf, 64, "%s",
		       lw_json_str(lw_json_at(lw_json_get(lw_json_get(reply, "data"), "flows"), 0),
				   "client_pod"));
	return buf;
}

/* A client that is in no release is in no image; the model knows it where its address is its own. */
static void test_client_by_model(void **state)
{
	struct fixture *f = *state;
	char buf[64];

	f->query.model = f->model;
	assert_string_equal(client_pod(f, "", buf), "");
	assert_string_equal(
		client_pod(f,
			   "{apiVersion: v1, kind: Pod, metadata: {name: old, namespace: edge},"
			   " status: {phase: Succeeded, podIP: 10.0.0.7}}\n---\n"
			   "{apiVersion: v1, kind: Pod, metadata: {name: gw, namespace: edge},"
			   " status: {phase: Running, podIP: 10.0.0.7}}",
			   buf),
		"edge/gw");
	assert_string_equal(
		client_pod(f,
			   "{apiVersion: v1, kind: Pod, metadata: {name: other, namespace: edge},"
			   " status: {phase: Running, podIP: 10.0.0.7}}",
			   buf),
		"");
}

static void test_stats(void **state)
{
	_cleanup_json_ struct json_object *reply = ask(*state, "{\"cmd\":\"stats\"}");
	struct json_object *data = lw_json_get(reply, "data");
	struct json_object *stats = lw_json_get(data, "stats"), *s;

	assert_int_equal(lw_json_len(stats), 4);
	/* Sorted; what the state does not know any more has a number for a name. */
	s = lw_json_at(stats, 0);
	assert_string_equal(lw_json_str(s, "workload"), "#00000001");
	assert_string_equal(lw_json_str(s, "lane"), "#14");
	assert_string_equal(lw_json_str(s, "reason"), "unknown");
	s = lw_json_at(stats, 1);
	assert_string_equal(lw_json_str(s, "workload"), WORKLOAD);
	assert_string_equal(lw_json_str(s, "lane"), "base");
	assert_int_equal(lw_json_int(s, "count"), 500);
	s = lw_json_at(stats, 3);
	assert_string_equal(lw_json_str(s, "reason"), "pool-empty");
	assert_int_equal(json_object_object_length(lw_json_get(data, "reasons")), 2);

	/* by workload: every request once, and what is no request's outcome not at all */
	stats = lw_json_get(data, "workloads");
	assert_int_equal(lw_json_len(stats), 1);
	s = lw_json_at(stats, 0);
	assert_string_equal(lw_json_str(s, "workload"), WORKLOAD);
	assert_int_equal(lw_json_int(s, "requests"), 543);
	s = lw_json_get(s, "evidence");
	assert_int_equal(lw_json_int(s, "none"), 500);
	assert_int_equal(lw_json_int(s, "tag"), 43);
	assert_int_equal(json_object_object_length(lw_json_get(data, "evidence")), 2);
}

static void test_names_outlive_the_state(void **state)
{
	struct fixture *f = *state;
	_cleanup_json_ struct json_object *reply = NULL;
	struct json_object *s;
	struct lw_image *empty;

	assert_int_equal(lw_image_new(&empty), 0);
	assert_int_equal(lw_image_seal(empty), 0);
	lw_image_free(&f->image);
	f->image = empty;
	f->query.image = empty;
	lw_seen_add(&f->seen, empty, f->kern.generation);
	reply = ask(f, "{\"cmd\":\"stats\"}");
	s = lw_json_at(lw_json_get(lw_json_get(reply, "data"), "stats"), 2);
	assert_string_equal(lw_json_str(s, "workload"), WORKLOAD);
	assert_string_equal(lw_json_str(s, "lane"), "gray");
}

static void test_kernel_errors(void **state)
{
	static const char *const requests[] = { "{\"cmd\":\"flows\"}", "{\"cmd\":\"stats\"}",
						"{\"cmd\":\"status\"}" };
	struct fixture *f = *state;

	f->kern.error = -EPERM;
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		_cleanup_json_ struct json_object *reply = ask(f, requests[i]);

		assert_non_null(strstr(lw_json_str(reply, "error"), strerror(EPERM)));
	}
}

static void test_before_the_first_state(void **state)
{
	static const char *const requests[] = { "lanes", "endpoints", "explain" };
	struct fixture *f = *state;
	bool why;

	f->query.image = NULL;
	f->query.listing = NULL;
	f->kern.generation = 0;
	assert_false(steering(f, &why));
	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		_cleanup_json_ struct json_object *reply = NULL;
		char request[64];

		(void)snprintf(request, sizeof(request), "{\"cmd\":\"%s\"}", requests[i]);
		reply = ask(f, request);
		assert_non_null(lw_json_get(reply, "error"));
	}
}

static struct json_object *explain(struct fixture *f, const char *from, const char *header)
{
	char request[256];

	(void)snprintf(
		request, sizeof(request),
		"{\"cmd\":\"explain\",\"from\":\"%s\",\"to\":\"10.0.0.1:80\",\"headers\":[\"%s\"]}",
		from, header);
	return ask(f, request);
}

static void test_explain_learned(void **state)
{
	_cleanup_json_ struct json_object *reply = NULL, *other = NULL;
	struct json_object *learned, *work;
	char comm[17] = "";
	FILE *f = fopen("/proc/self/comm", "re");

	assert_non_null(f);
	assert_non_null(fgets(comm, sizeof(comm), f));
	(void)fclose(f);
	comm[strcspn(comm, "\n")] = '\0';

	reply = explain(*state, "127.0.0.1", "x: y");
	learned = lw_json_get(lw_json_get(reply, "data"), "learned");
	assert_true(lw_json_bool(learned, "inbound"));
	assert_false(lw_json_bool(learned, "left_alone"));
	assert_int_equal(lw_json_int(learned, "work_total"), 1);
	assert_int_equal(lw_json_int(learned, "work_elsewhere"), 1);
	work = lw_json_at(lw_json_get(learned, "work"), 0);
	assert_int_equal(lw_json_int(work, "pid"), getpid());
	assert_string_equal(lw_json_str(work, "program"), comm);
	assert_int_equal(lw_json_int(work, "requests"), 3);
	assert_int_equal(lw_json_int(lw_json_get(work, "lanes"), "base"), 1);
	assert_string_equal(lw_json_str(work, "threads"), "unproven");

	/* an address that is not this namespace's */
	other = explain(*state, "192.0.2.77", "x: y");
	learned = lw_json_get(lw_json_get(other, "data"), "learned");
	assert_int_equal(lw_json_len(lw_json_get(learned, "work")), 0);
	assert_int_equal(lw_json_int(learned, "work_total"), 0);
}

static void test_explain_kept_out(void **state)
{
	_cleanup_json_ struct json_object *kept = explain(*state, "192.0.2.7", "x: y");
	_cleanup_json_ struct json_object *other = explain(*state, "192.0.2.77", "x: y");

	assert_string_equal(lw_json_str(lw_json_get(kept, "data"), "reason"), "kept-pod");
	assert_string_not_equal(lw_json_str(lw_json_get(other, "data"), "reason"), "kept-pod");
}

static void test_nonsense(void **state)
{
	static const char *const requests[] = {
		"",
		"x",
		"[]",
		"{}",
		"{\"cmd\":1}",
		"{\"cmd\":\"\"}",
		"{\"cmd\":\"Status\"}",
		"{\"cmd\":\"explain\"}",
		"{\"cmd\":\"explain\",\"from\":\"10.0.0.1\",\"to\":\"10.0.0.2\"}",
		"{\"cmd\":\"explain\",\"from\":\"10.0.0.1\",\"to\":\"10.0.0.2:80\",\"headers\":[1]}",
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		_cleanup_json_ struct json_object *reply = ask(*state, requests[i]);

		assert_non_null(lw_json_get(reply, "error"));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_status, setup, teardown),
		cmocka_unit_test_setup_teardown(test_probes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_steering, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flows, setup, teardown),
		cmocka_unit_test_setup_teardown(test_headers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_client_by_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stats, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_outlive_the_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kernel_errors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_before_the_first_state, setup, teardown),
		cmocka_unit_test_setup_teardown(test_explain_learned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_explain_kept_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
	};

	return !!cmocka_run_group_tests_name("query", tests, NULL, NULL);
}
