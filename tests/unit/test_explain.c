/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `laneway explain` says, over an image made by core/rules.h and by hand.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "core/explain.h"
#include "core/regex.h"
#include "core/rules.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define GRAY 1
#define BLUE 2
#define EMPTY 3 /* a lane without a ready pod */
#define WORKLOAD "default/Deployment/a"
#define VIP "10.96.0.1"
#define LEFT_VIP \
	"10.96.0.2" /* of a Service without a base pod that is ready: others choose, perhaps a canary */
#define LONE_VIP "10.96.0.3" /* likewise, and there is no canary either */
#define BASE_POD "10.0.0.1"
#define GRAY_POD "10.0.0.3"
#define UNREADY_POD "10.0.0.4"
#define LEAVING_POD "10.0.0.5"
#define OLD_POD "10.0.0.6" /* of a blue-green release that is being finished */
#define BOTH_POD "10.0.0.7" /* of a lane, and takes base requests: its step replaces all pods */
#define BOTH_UNREADY_POD "10.0.0.8" /* likewise */
#define CLIENT "10.0.9.9"
#define SOURCE "TrafficRouting default/mse-traffic"

struct fixture {
	struct lw_image *image;
	struct lw_explain_result result;
};

static struct lw_addr addr(const char *text)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(text, &a), 0);
	return a;
}

static void put(struct fixture *f, enum lw_table_id table, const void *key, const void *value)
{
	assert_int_equal(lw_image_put(f->image, table, key, value), 0);
}

static void put_pod(struct fixture *f, const char *ip, unsigned lane, const char *name,
		    unsigned flags)
{
	struct lw_pod_key key = { .addr = addr(ip) };
	struct lw_pod pod = { .workload = 7, .lane = lane, .flags = flags };
	struct lw_dest_key dest_key = { .addr = addr(ip) };
	struct lw_dest dest = { .workload = 7, .group = 1 };

	snprintf(pod.name, sizeof(pod.name), "%s", name);
	put(f, LW_TABLE_PODS, &key, &pod);
	put(f, LW_TABLE_DESTS, &dest_key, &dest);
}

/* Group 1: by the pods' own addresses, any port; group 2: the Service's, port 80 to 8080. */
static void put_group(struct fixture *f, unsigned lane, const char *const *ips, size_t n)
{
	for (unsigned group = 1; group <= 2; group++) {
		struct lw_group_key key = { .group = group, .lane = lane };
		struct lw_group value = { .count = n };

		put(f, LW_TABLE_GROUPS, &key, &value);
		for (size_t i = 0; i < n; i++) {
			struct lw_endpoint_key ek = { .group = group, .lane = lane, .idx = i };
			struct lw_endpoint ep = { .addr = addr(ips[i]),
						  .port = group == 2 ? 8080 : 0 };

			put(f, LW_TABLE_ENDPOINTS, &ek, &ep);
		}
	}
}

static void put_left(struct fixture *f, const char *vip, unsigned group)
{
	struct lw_dest_key key = { .addr = addr(vip), .port = 80 };
	struct lw_dest dest = { .workload = 7,
				.group = group,
				.flags = LW_DEST_SERVICE | LW_DEST_UNPINNED };

	put(f, LW_TABLE_DESTS, &key, &dest);
}

static void build(struct fixture *f, const struct lw_rules_entry *entries, size_t n)
{
	static const char *const names[] = { "", "gray", "blue", "empty" };
	static const char *const base[] = { BASE_POD, "10.0.0.2" }, *const gray[] = { GRAY_POD };
	struct lw_slot_key id = { .id = 7 };
	struct lw_workload w = { .name = WORKLOAD };
	struct lw_dest_key key = { .addr = addr(VIP), .port = 80 };
	struct lw_dest dest = { .workload = 7, .group = 2, .flags = LW_DEST_SERVICE };
	struct lw_rules *rules;
	char err[256] = "";

	lw_image_free(&f->image);
	assert_int_equal(lw_image_new(&f->image), 0);
	assert_int_equal(lw_rules_new(&rules), 0);
	for (unsigned lane = GRAY; lane <= EMPTY; lane++)
		assert_int_equal(lw_rules_lane(rules, lane, names[lane], "x-mse-tag", names[lane],
					       err, sizeof(err)),
				 0);
	if (n && lw_rules_workload(rules, entries, n, &w.entry, err, sizeof(err)))
		fail_msg("%s", err);
	assert_int_equal(lw_rules_finish(rules, f->image), 0);
	lw_rules_free(&rules);
	put(f, LW_TABLE_WORKLOADS, &id, &w);
	put(f, LW_TABLE_DESTS, &key, &dest);
	put_pod(f, BASE_POD, 0, "default/a-1", LW_POD_READY | LW_POD_LOCAL);
	put_pod(f, "10.0.0.2", 0, "default/a-2", LW_POD_READY);
	put_pod(f, GRAY_POD, GRAY, "default/a-gray", LW_POD_READY);
	put_pod(f, UNREADY_POD, GRAY, "default/a-unready", 0);
	put_pod(f, LEAVING_POD, GRAY, "default/a-leaving", LW_POD_READY | LW_POD_TERMINATING);
	put_pod(f, OLD_POD, EMPTY, "default/a-old", LW_POD_READY | LW_POD_TERMINATING | LW_POD_OLD);
	put_pod(f, BOTH_POD, GRAY, "default/a-both", LW_POD_READY | LW_POD_BASE);
	put_pod(f, BOTH_UNREADY_POD, GRAY, "default/a-both-unready", LW_POD_BASE);
	put_group(f, 0, base, N(base));
	put_group(f, GRAY, gray, N(gray));
	put_left(f, LEFT_VIP, 3);
	put_left(f, LONE_VIP, 4);
	put(f, LW_TABLE_GROUPS, &(struct lw_group_key){ .group = 3, .lane = GRAY },
	    &(struct lw_group){ .count = 1 });
	assert_int_equal(lw_image_seal(f->image), 0);
}

static int setup(void **state)
{
	static const struct lw_rules_cond agent = { LW_SUBJECT_HEADER, LW_OP_EXACT, "User-Agent",
						    "xiaoming" };
	static const struct lw_rules_cond path[] = {
		{ LW_SUBJECT_PATH, LW_OP_PREFIX, NULL, "/api" },
		{ LW_SUBJECT_COOKIE, LW_OP_REGEX, "user", "a.*" },
	};
	static const struct lw_rules_entry entries[] = {
		{ .conds = &agent, .nconds = 1, .lane = GRAY, .source = SOURCE " match 1" },
		{ .conds = path, .nconds = 2, .lane = EMPTY, .source = SOURCE " match 2" },
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	build(f, entries, N(entries));
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_image_free(&f->image);
	lw_regex_cache_clear();
	free(f);
	return 0;
}

static const struct lw_explain_result *ask(struct fixture *f, const char *from, const char *to,
					   uint16_t port, const char *path, const char *header)
{
	struct lw_explain_request q = {
		.from = addr(from),
		.to = addr(to),
		.to_port = port,
		.path = path,
		.headers = &header,
		.nheaders = !!header,
	};

	memset(&f->result, 0xff, sizeof(f->result));
	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	assert_true(f->result.ntrace > 0 && f->result.ntrace <= LW_EXPLAIN_LINES);
	return &f->result;
}

/* The trace has a line with both. */
static void has(const struct lw_explain_result *r, const char *a, const char *b)
{
	for (size_t i = 0; i < r->ntrace; i++)
		if (strstr(r->trace[i], a) && strstr(r->trace[i], b))
			return;
	for (size_t i = 0; i < r->ntrace; i++)
		print_message("%s\n", r->trace[i]);
	fail_msg("no line with '%s' and '%s'", a, b);
}

static void check(const struct lw_explain_result *r, unsigned lane, unsigned served,
		  enum lw_evidence evidence, enum lw_reason reason)
{
	static const char *const names[] = { "base", "gray", "blue", "empty" };

	assert_true(r->known);
	assert_string_equal(r->workload, WORKLOAD);
	assert_int_equal(r->lane, lane);
	assert_string_equal(r->lane_name, names[lane]);
	assert_int_equal(r->served_lane, served);
	assert_int_equal(r->evidence, evidence);
	assert_int_equal(r->reason, reason);
}

static void check_endpoint(const struct lw_explain_result *r, size_t i, const char *ip,
			   uint16_t port, const char *pod, bool local)
{
	struct lw_addr want = addr(ip);

	assert_true(i < r->nendpoints);
	assert_memory_equal(&r->endpoints[i].addr, &want, sizeof(want));
	assert_int_equal(r->endpoints[i].port, port);
	assert_string_equal(r->endpoints[i].pod, pod);
	assert_int_equal(r->endpoints[i].local, local);
}

static void test_unknown(void **state)
{
	const struct lw_explain_result *r = ask(*state, CLIENT, "192.0.2.1", 80, "/", NULL);

	assert_false(r->known);
	assert_int_equal(r->nendpoints, 0);
	has(r, "192.0.2.1:80", "no workload in release");
	/* another port of the Service */
	r = ask(*state, CLIENT, VIP, 81, "/", NULL);
	assert_false(r->known);
	has(r, "belongs to no workload in release", "these ports do: 80");
}

static void test_base(void **state)
{
	const struct lw_explain_result *r =
		ask(*state, CLIENT, VIP, 80, NULL, "User-Agent: curl/8");

	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	assert_string_equal(r->rule_source, "");
	assert_int_equal(r->nendpoints, 2);
	assert_int_equal(r->endpoints_total, 2);
	check_endpoint(r, 0, BASE_POD, 8080, "default/a-1", true);
	check_endpoint(r, 1, "10.0.0.2", 8080, "default/a-2", false);
	has(r, SOURCE " match 1", "header User-Agent is not \"xiaoming\" (it is \"curl/8\")");
	has(r, SOURCE " match 2", "path does not start with \"/api\" (it is \"/\")");
	has(r, "no rule holds", "base");
	has(ask(*state, CLIENT, VIP, 80, "/", NULL), "match 1",
	    "is not \"xiaoming\" (there is none)");
}

static void test_entry(void **state)
{
	const struct lw_explain_result *r =
		ask(*state, CLIENT, VIP, 80, "/x?y", "user-agent: xiaoming");

	check(r, GRAY, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK);
	assert_string_equal(r->rule_source, SOURCE " match 1");
	assert_int_equal(r->nendpoints, 1);
	check_endpoint(r, 0, GRAY_POD, 8080, "default/a-gray", false);
	has(r, SOURCE " match 1", "is \"xiaoming\": holds");
	has(r, "lane gray has 1 ready pod", "");
	for (size_t i = 0; i < r->ntrace; i++)
		assert_null(strstr(r->trace[i], "match 2"));
}

static void test_no_endpoint(void **state)
{
	const struct lw_explain_result *r =
		ask(*state, CLIENT, VIP, 80, "/api/x", "Cookie: user=anna");

	check(r, EMPTY, 0, LW_EVIDENCE_ENTRY, LW_REASON_NO_ENDPOINT);
	assert_string_equal(r->rule_source, SOURCE " match 2");
	check_endpoint(r, 0, BASE_POD, 8080, "default/a-1", true);
	has(r, "lane empty has no ready pod", "base");
	has(r, "match 2", "path starts with \"/api\"");
	has(r, "match 2", "cookie user matches \"a.*\"");
}

static void test_tags(void **state)
{
	static const char *const both[] = { "x-mse-tag: gray", "X-MSE-TAG: blue" };
	struct fixture *f = *state;
	struct lw_explain_request q = {
		.from = addr(CLIENT), .to = addr(VIP), .to_port = 80, .headers = both, .nheaders = 2
	};
	const struct lw_explain_result *r = ask(f, CLIENT, VIP, 80, "/", "X-MSE-Tag: gray");

	check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	has(r, "tag X-MSE-Tag \"gray\"", "lane gray");
	r = ask(f, CLIENT, VIP, 80, "/", "x-mse-tag: red");
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	has(r, "\"red\"", "no open lane");
	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	check(&f->result, 0, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_OK);
	has(&f->result, "contradict", "base");
}

/* The trace ids that have arrived at CLIENT: the last byte says with requests of which lane. */
#define TRACE(last) "4bf92f3577b34da6a3ce929d0e0e47" last
static int find_trace(void *arg, const struct lw_trace_key *key, struct lw_trace *ret)
{
	struct lw_addr client = addr(CLIENT);

	if (arg)
		return *(int *)arg;
	if (memcmp(&key->pod, &client, sizeof(client)) ||
	    strncmp(key->id, TRACE(""), strlen(TRACE(""))) ||
	    strnlen(key->id, sizeof(key->id)) != 32)
		return -ENOENT;
	ret->lane = (unsigned)strtoul(key->id + strlen(TRACE("")), NULL, 16);
	return 0;
}

static const struct lw_explain_result *ask_learned(struct fixture *f, const char *from,
						   const struct lw_explain_learned *learned,
						   const char *const *headers, size_t n)
{
	struct lw_explain_request q = { .from = addr(from),
					.to = addr(VIP),
					.to_port = 80,
					.headers = headers,
					.nheaders = n,
					.learned = learned };

	memset(&f->result, 0xff, sizeof(f->result));
	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	return &f->result;
}
#define LEARNED(...)                                                                \
	ask_learned(*state, CLIENT, &learned, (const char *const[]){ __VA_ARGS__ }, \
		    N(((const char *const[]){ __VA_ARGS__ })))

/* Ready or not, leaving or old: a pod that asks itself is answered by itself, unless the request is in another lane. */
static void test_itself(void **state)
{
	static const char *const pods[] = { BASE_POD, GRAY_POD, UNREADY_POD, LEAVING_POD, OLD_POD };
	struct fixture *f = *state;

	for (size_t i = 0; i < N(pods); i++) {
		const struct lw_explain_result *r = ask(f, pods[i], pods[i], 8080, "/", "a: b");
		struct lw_addr self = addr(pods[i]);

		assert_int_equal(r->reason, LW_REASON_OK);
		assert_int_equal(r->endpoints_total, 1);
		assert_memory_equal(&r->endpoints[0].addr, &self, sizeof(self));
	}
	check(ask(f, BASE_POD, BASE_POD, 8080, "/", "x-mse-tag: gray"), GRAY, GRAY, LW_EVIDENCE_TAG,
	      LW_REASON_OK);
}

/* Base is another lane than its own for one that takes base requests only as long as it is ready. */
static void test_itself_both(void **state)
{
	static const char *const doubt[] = { "x-mse-tag: gray", "X-MSE-TAG: blue" };
	static const char *const pods[] = { BOTH_POD, BOTH_UNREADY_POD };
	struct fixture *f = *state;

	for (size_t i = 0; i < N(pods); i++) {
		struct lw_explain_request q = { .from = addr(pods[i]),
						.to = addr(pods[i]),
						.to_port = 1234,
						.headers = doubt,
						.nheaders = 2 };
		const struct lw_explain_result *r = ask(f, pods[i], pods[i], 1234, "/", NULL);

		check(r, GRAY, GRAY, LW_EVIDENCE_POD, LW_REASON_OK);
		assert_int_equal(r->endpoints_total, 1);
		check_endpoint(r, 0, pods[i], 1234, i ? "default/a-both-unready" : "default/a-both",
			       false);
		assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
		check(&f->result, 0, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_OK);
		assert_int_equal(f->result.endpoints_total, i ? 2 : 1);
		check_endpoint(&f->result, 0, i ? BASE_POD : BOTH_POD, 1234,
			       i ? "default/a-1" : "default/a-both", i);
	}
}

/* Whoever else chose the pod may have chosen a canary: it is for no request, and the only one that there is for base's. */
static void test_left_to_service(void **state)
{
	const struct lw_explain_result *r = ask(*state, CLIENT, LONE_VIP, 80, "/", NULL);

	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	has(r, "no ready pod is known for this Service", "");
	r = ask(*state, CLIENT, LEFT_VIP, 80, "/", NULL);
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_NO_ENDPOINT);
	has(r, "which one the connection goes to is not known", "");
	has(r, "no ready pod is known for this Service", "");
	for (size_t i = 0; i < r->ntrace; i++)
		assert_null(strstr(r->trace[i], "goes to base"));
	r = ask(*state, CLIENT, LEFT_VIP, 80, "/", "x-mse-tag: gray");
	check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	r = ask(*state, CLIENT, LEFT_VIP, 80, "/", "x-mse-tag: blue");
	check(r, BLUE, 0, LW_EVIDENCE_TAG, LW_REASON_NO_ENDPOINT);
	has(r, "lane blue has no ready pod", "goes to base");
}

/* Nobody looks at what it sends, whatever that says. */
static void test_kept_out(void **state)
{
	static const char *const tag[] = { "x-mse-tag: gray" };
	struct fixture *f = *state;
	struct lw_explain_request q = { .from = addr(CLIENT),
					.to = addr(VIP),
					.to_port = 80,
					.headers = tag,
					.nheaders = 1,
					.kept_out = true };

	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	check(&f->result, 0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_POD);
	has(&f->result, "kept out", "own connection");
	assert_string_equal(f->result.lane_name, "base");
	assert_string_equal(f->result.endpoints[0].pod, "default/a-1");
	/* it may have connected to the canary itself */
	q.to = addr(GRAY_POD);
	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	check(&f->result, 0, GRAY, LW_EVIDENCE_NONE, LW_REASON_KEPT_POD);
	assert_int_equal(f->result.endpoints_total, 1);
	assert_string_equal(f->result.endpoints[0].pod, "default/a-gray");
}

static void check_trace(const struct lw_explain_result *r, size_t i, unsigned header,
			enum lw_explain_trace_state s, const char *id)
{
	assert_in_range(i, 0, r->ntraces - 1);
	assert_int_equal(r->traces[i].header, header);
	assert_int_equal(r->traces[i].state, s);
	assert_string_equal(r->traces[i].id, id);
}

static void test_traces(void **state)
{
	struct lw_explain_learned learned = { .inbound = true, .reads = true, .trace = find_trace };
	const struct lw_explain_result *r;
	int broken = -EPERM;

	r = LEARNED("traceparent: 00-" TRACE("01") "-00f067aa0ba902b7-01");
	check(r, GRAY, GRAY, LW_EVIDENCE_TRACE, LW_REASON_OK);
	check_trace(r, 0, LW_HDR_TRACEPARENT, LW_EXPLAIN_TRACE_LANE, TRACE("01"));
	assert_false(r->tasks);
	has(r, "trace id \"" TRACE("01") "\" of traceparent", "lane gray");
	has(r, "the trace (traceparent) decides", "gray");
	assert_string_equal(r->header, "traceparent");
	r = LEARNED("traceparent: 00-ffffffffffffffffffffffffffffffff-00f067aa0ba902b7-01",
		    "X-Request-Id: " TRACE("01"));
	check(r, GRAY, GRAY, LW_EVIDENCE_TRACE, LW_REASON_OK);
	assert_string_equal(r->header, "x-request-id");

	/* base is an answer, too: threads are not asked, rules are */
	r = LEARNED("b3: " TRACE("00") "-00f067aa0ba902b7-1", "User-Agent: xiaoming");
	check(r, GRAY, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK);
	check_trace(r, 0, LW_HDR_B3, LW_EXPLAIN_TRACE_BASE, TRACE("00"));
	assert_false(r->tasks);
	r = LEARNED("uber-trace-id: " TRACE("09") ":1:0:1");
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	check_trace(r, 0, LW_HDR_UBER_TRACE_ID, LW_EXPLAIN_TRACE_CLOSED, TRACE("09"));
	r = LEARNED("uber-trace-id: " TRACE("09") "%3A1%3A0%3A1");
	check_trace(r, 0, LW_HDR_UBER_TRACE_ID, LW_EXPLAIN_TRACE_CLOSED, TRACE("09"));
	r = LEARNED("X-Request-ID: " TRACE("10"));
	check(r, 0, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_TRACE_REUSED);
	check_trace(r, 0, LW_HDR_REQUEST_ID, LW_EXPLAIN_TRACE_SEVERAL, TRACE("10"));
	has(r, "several lanes have arrived", "base");
	assert_string_equal(r->header, "");
	r = LEARNED("x-b3-traceid: " TRACE("01"), "x-request-id: " TRACE("02"));
	check(r, 0, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_TRACE_REUSED);
	assert_int_equal(r->ntraces, 2);
	r = LEARNED("x-request-id: elsewhere-1234");
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	check_trace(r, 0, LW_HDR_REQUEST_ID, LW_EXPLAIN_TRACE_NOT_HELD, "elsewhere-1234");
	assert_true(r->tasks);
	has(r, "\"elsewhere-1234\" of x-request-id", "no evidence");
	r = LEARNED("b3: 0");
	check_trace(r, 0, LW_HDR_B3, LW_EXPLAIN_TRACE_NO_ID, "");

	/* the tag is stronger */
	r = LEARNED("traceparent: 00-" TRACE("02") "-00f067aa0ba902b7-01", "x-mse-tag: gray");
	check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	assert_string_equal(r->header, "x-mse-tag");
	has(r, "the tag (x-mse-tag) decides", "gray");
	/* where the programs do not look it is not looked up */
	learned.arg = &broken;
	r = LEARNED("x-request-id: " TRACE("01"));
	check_trace(r, 0, LW_HDR_REQUEST_ID, LW_EXPLAIN_TRACE_NOT_ASKED, TRACE("01"));
	has(r, TRACE("01"), "it could not be looked up");
	learned.arg = NULL;
	r = ask_learned(*state, GRAY_POD, &learned,
			(const char *const[]){ "x-request-id: " TRACE("01") }, 1);
	check(r, GRAY, GRAY, LW_EVIDENCE_POD, LW_REASON_OK);
	check_trace(r, 0, LW_HDR_REQUEST_ID, LW_EXPLAIN_TRACE_NOT_ASKED, TRACE("01"));
	has(r, TRACE("01"), "in a lane itself");
	learned.inbound = false;
	r = LEARNED("x-request-id: " TRACE("01"));
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	has(r, TRACE("01"), "--no-inbound");
	assert_false(r->tasks);
}

static void test_work(void **state)
{
	struct lw_explain_work work[] = {
		{ .pid = 71, .program = "alone", .task = { .total = 2 } },
		{ .pid = 72, .program = "mixed", .task = { .total = 3 } },
		{ .pid = 73, .program = "unseen", .task = { .total = 1 } }
	};
	struct lw_explain_learned learned = { .inbound = true, .reads = true, .trace = find_trace };
	const struct lw_explain_result *r = LEARNED("x: y");

	assert_true(r->tasks);
	has(r, "before the rules", "only at run time");
	has(r, "no process at the client's address is at work", "");
	work[0].task.n[GRAY] = 2;
	work[1].task.n[GRAY] = 1;
	work[1].task.n[0] = 2;
	work[2].task.n[LW_IN_UNKNOWN] = 1;
	learned.work = work;
	learned.nwork = learned.work_total = 3;
	learned.nowhere = 4;
	r = LEARNED("User-Agent: xiaoming");
	check(r, GRAY, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK);
	assert_true(r->tasks);
	has(r, "alone[71] is at work on 2: 2 gray", "");
	has(r, "mixed[72] is at work on 3: 2 base, 1 gray", "not yet shown");
	has(r, "unseen[73] is at work on 1: 1 not seen arriving", "");
	has(r, "4 processes at work are not among those", "");
	has(r, "what a process of that pod that has read none sends", "'elsewhere'");
	learned.pod_evidence = true;
	has(LEARNED("x: y"), "what a process of that pod that has read none sends",
	    "--pod-evidence");
	work[1].task.proven = LW_TASK_PROVEN;
	has(LEARNED("x: y"), "mixed[72]", "the sending thread's own counts");
	work[1].task.flags = LW_TASK_INTERLEAVES;
	has(LEARNED("x: y"), "mixed[72]", "its threads are no evidence");
	learned.left_alone = true;
	has(LEARNED("x: y"), "the client has called nothing in release", "'first-call')");
	learned.uncounted = true;
	has(LEARNED("x: y"), "for want of room", "ambiguous");
	learned.work_total = 100;
	has(LEARNED("x: y"), "100 processes", "the first of them");
	learned.reads = false;
	r = LEARNED("x: y");
	assert_false(r->tasks);
	has(r, "not known on this kernel", "no evidence");
	/* nobody asks them where the tag decides */
	learned.reads = true;
	r = LEARNED("x-mse-tag: gray");
	assert_false(r->tasks);
	for (size_t i = 0; i < r->ntrace; i++)
		assert_null(strstr(r->trace[i], "at work"));
}

/* A pod asked for by its own address serves what is in its lane. */
static void test_pods(void **state)
{
	const struct lw_explain_result *r = ask(*state, GRAY_POD, BASE_POD, 1234, "/", NULL);

	check(r, GRAY, GRAY, LW_EVIDENCE_POD, LW_REASON_OK);
	assert_int_equal(r->endpoints_total, 1);
	check_endpoint(r, 0, GRAY_POD, 1234, "default/a-gray", false);
	has(r, "client " GRAY_POD, "lane gray");

	r = ask(*state, CLIENT, BASE_POD, 1234, "/", NULL);
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	assert_int_equal(r->endpoints_total, 1);
	check_endpoint(r, 0, BASE_POD, 1234, "default/a-1", true);

	/* leaves a canary peer for base, and for a lane that is not there */
	r = ask(*state, CLIENT, GRAY_POD, 1234, "/", NULL);
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	assert_int_equal(r->endpoints_total, 2);
	r = ask(*state, CLIENT, GRAY_POD, 1234, "/", "x-mse-tag: blue");
	check(r, BLUE, 0, LW_EVIDENCE_TAG, LW_REASON_NO_ENDPOINT);
	r = ask(*state, CLIENT, GRAY_POD, 1234, "/", "x-mse-tag: gray");
	check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	assert_int_equal(r->endpoints_total, 1);
}

/* One of its processes is: what is said is of the others. */
static void test_kept_process(void **state)
{
	static const char *const tag[] = { "x-mse-tag: gray" };
	struct fixture *f = *state;
	struct lw_explain_request q = { .from = addr(CLIENT),
					.to = addr(VIP),
					.to_port = 80,
					.headers = tag,
					.nheaders = 1,
					.kept_process = "nginx[12] (name)" };

	assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
	check(&f->result, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	has(&f->result, "nginx[12] (name) is kept out", "other processes");
}

/* A pod that takes no new request is left for another one of its lane. */
static void test_leaving(void **state)
{
	static const char *const pods[] = { UNREADY_POD, LEAVING_POD };
	const struct lw_explain_result *r;

	for (size_t i = 0; i < N(pods); i++) {
		r = ask(*state, CLIENT, pods[i], 1234, "/", "x-mse-tag: gray");
		check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
		assert_int_equal(r->endpoints_total, 1);
		check_endpoint(r, 0, GRAY_POD, 1234, "default/a-gray", false);
		has(r, pods[i], "it takes no new request");
		r = ask(*state, CLIENT, pods[i], 1234, "/", NULL);
		check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
		assert_int_equal(r->endpoints_total, 2);
	}
	/* Nobody else is in that lane. */
	r = ask(*state, CLIENT, OLD_POD, 1234, "/", "x-mse-tag: empty");
	check(r, EMPTY, 0, LW_EVIDENCE_TAG, LW_REASON_NO_ENDPOINT);
	check_endpoint(r, 0, BASE_POD, 1234, "default/a-1", true);
	/* base's own is base's matter */
	r = ask(*state, CLIENT, BASE_POD, 1234, "/", NULL);
	check_endpoint(r, 0, BASE_POD, 1234, "default/a-1", true);
}

/* Where a step replaces all pods, who is connected to one stays with it. */
static void test_both(void **state)
{
	const struct lw_explain_result *r = ask(*state, CLIENT, BOTH_POD, 1234, "/", NULL);

	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	assert_int_equal(r->endpoints_total, 1);
	check_endpoint(r, 0, BOTH_POD, 1234, "default/a-both", false);
	r = ask(*state, CLIENT, BOTH_POD, 1234, "/", "x-mse-tag: gray");
	check(r, GRAY, GRAY, LW_EVIDENCE_TAG, LW_REASON_OK);
	check_endpoint(r, 0, BOTH_POD, 1234, "default/a-both", false);
}

/* What it sends is base's: the canaries of other workloads are not for it. */
static void test_old(void **state)
{
	const struct lw_explain_result *r = ask(*state, OLD_POD, VIP, 80, "/", NULL);

	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	has(r, "client " OLD_POD, "lane base");
}

static void test_weights(void **state)
{
	static const struct lw_rules_entry entries[] = {
		{ .weight_pct = 0, .lane = BLUE, .source = SOURCE " weight 0" },
		{ .weight_pct = 30, .lane = GRAY, .source = SOURCE " weight 30" },
		{ .weight_pct = 50, .lane = BLUE, .source = SOURCE " weight 50" },
	};
	static const struct lw_rules_entry all = { .weight_pct = 100,
						   .lane = GRAY,
						   .source = "all" };
	const struct lw_explain_result *r;

	build(*state, entries, N(entries));
	for (unsigned i = 0; i < 50; i++) {
		r = ask(*state, CLIENT, VIP, 80, "/", NULL);
		check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
		assert_int_equal(r->nchances, 2);
		assert_int_equal(r->chances[0].weight_pct, 30);
		assert_int_equal(r->chances[0].lane, GRAY);
		assert_int_equal(r->chances[0].served_lane, GRAY);
		assert_string_equal(r->chances[0].lane_name, "gray");
		assert_string_equal(r->chances[0].rule_source, SOURCE " weight 30");
		assert_int_equal(r->chances[1].weight_pct, 50);
		assert_int_equal(r->chances[1].lane, BLUE);
		assert_int_equal(r->chances[1].served_lane, 0);
		assert_int_equal(r->chances[1].reason, LW_REASON_NO_ENDPOINT);
	}
	has(r, "weight 30", "a weight of 30 of 100 decides by chance");
	has(r, "weight 0", "the weight is 0 of 100");
	has(r, "the 30 of 100 go to lane gray", "weight 30");
	has(r, "the 50 of 100 go to lane blue", "served by base");

	r = ask(*state, CLIENT, VIP, 80, "/", "x-mse-tag: gray");
	assert_int_equal(r->nchances, 0);
	build(*state, &all, 1);
	r = ask(*state, CLIENT, VIP, 80, "/", NULL);
	check(r, GRAY, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK);
	assert_int_equal(r->nchances, 0);
}

static void test_not_understood(void **state)
{
	struct fixture *f = *state;
	const char *bad = "no colon";
	struct lw_explain_request q = {
		.from = addr(CLIENT), .to = addr(VIP), .to_port = 80, .headers = &bad, .nheaders = 1
	};
	const struct lw_explain_result *r;
	char *big;

	assert_int_equal(lw_explain(f->image, &q, &f->result), -EINVAL);
	r = ask(f, CLIENT, VIP, 80, "/", "Name : value");
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OPAQUE_MALFORMED);
	assert_int_equal(r->nendpoints, 2);
	r = ask(f, CLIENT, VIP, 80, "/a b", "x-mse-tag: gray");
	check(r, 0, 0, LW_EVIDENCE_NONE, LW_REASON_OPAQUE_NOT_HTTP);
	r = ask(f, CLIENT, GRAY_POD, 80, "/a b", NULL);
	check(r, 0, GRAY, LW_EVIDENCE_NONE, LW_REASON_OPAQUE_NOT_HTTP);
	check_endpoint(r, 0, GRAY_POD, 80, "default/a-gray", false);

	for (size_t over = 0; over < 2; over++) {
		static const char rest[] = "GET / HTTP/1.1\r\nHost: x\r\nA:\r\n\r\n";
		size_t n = LW_HEAD_MAX - (sizeof(rest) - 1) + over;
		const char *headers[2] = { "Host: x", NULL };

		big = calloc(1, n + 3);
		assert_non_null(big);
		memset(big, 'v', n + 2);
		memcpy(big, "A:", 2);
		headers[1] = big;
		q.headers = headers;
		q.nheaders = 2;
		assert_int_equal(lw_explain(f->image, &q, &f->result), 0);
		free(big);
		assert_int_equal(f->result.reason,
				 over ? LW_REASON_OPAQUE_HEAD_SIZE : LW_REASON_OK);
	}
}

/* Host is the address, unless a header says otherwise. */
static void test_host(void **state)
{
	static const struct lw_rules_cond conds[] = {
		{ LW_SUBJECT_HEADER, LW_OP_EXACT, "host", VIP ":80" },
		{ LW_SUBJECT_HEADER, LW_OP_EXACT, "host", "a.example" },
	};
	static const struct lw_rules_entry entries[] = {
		{ .conds = &conds[0], .nconds = 1, .lane = GRAY },
		{ .conds = &conds[1], .nconds = 1, .lane = BLUE },
	};

	build(*state, entries, N(entries));
	assert_int_equal(ask(*state, CLIENT, VIP, 80, "/", NULL)->lane, GRAY);
	assert_int_equal(ask(*state, CLIENT, VIP, 80, "/", "HOST: a.example")->lane, BLUE);
	assert_int_equal(ask(*state, CLIENT, VIP, 80, "/", "Host: b.example")->lane, 0);
}

/* More conditions than lines: the one that decides is told all the same. Long texts are cut at a character. */
static void test_long(void **state)
{
	static struct lw_rules_cond conds[200];
	static struct lw_rules_entry entries[200];
	static char value[400], source[200];
	const struct lw_explain_result *r;

	for (size_t i = 0; i < sizeof(value) - 4; i += 3)
		memcpy(value + i, "\xe7\x81\xb0", 3);
	memset(source, 'S', sizeof(source) - 1);
	for (size_t i = 0; i < N(conds); i++) {
		conds[i] =
			(struct lw_rules_cond){ LW_SUBJECT_HEADER, LW_OP_EXACT, "a-header", value };
		entries[i] = (struct lw_rules_entry){
			.conds = &conds[i], .nconds = 1, .lane = GRAY, .source = source
		};
	}
	conds[N(conds) - 1].value = "x";
	build(*state, entries, N(entries));
	r = ask(*state, CLIENT, VIP, 80, "/", "a-header: x");
	check(r, GRAY, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK);
	has(r, "more conditions)", "");
	has(r, "is \"x\"", "holds");
	has(r, "the rule decides", "gray");
	for (size_t i = 0; i < r->ntrace; i++)
		for (const char *c = r->trace[i]; *c;) {
			size_t len = (unsigned char)*c < 0x80 ? 1 : 3;

			assert_true(len == 1 || !memcmp(c, "\xe7\x81\xb0", 3));
			c += len;
		}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_unknown, setup, teardown),
		cmocka_unit_test_setup_teardown(test_base, setup, teardown),
		cmocka_unit_test_setup_teardown(test_entry, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_endpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(test_tags, setup, teardown),
		cmocka_unit_test_setup_teardown(test_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_itself_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_left_to_service, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_out, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_traces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_work, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pods, setup, teardown),
		cmocka_unit_test_setup_teardown(test_leaving, setup, teardown),
		cmocka_unit_test_setup_teardown(test_both, setup, teardown),
		cmocka_unit_test_setup_teardown(test_old, setup, teardown),
		cmocka_unit_test_setup_teardown(test_weights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_understood, setup, teardown),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
	};

	return !!cmocka_run_group_tests_name("explain", tests, NULL, NULL);
}
