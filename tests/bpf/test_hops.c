/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is told of requests to whoever traces, and that nothing is while nobody does.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "kern/hops.h"
#include "kern/internal.h"
#include "kern/kern.h"
#include "lw_lanes.skel.h"
#include "laneway/reasons.h"
#include "both_ways.h"
#include "two_pods.h"
#include "turns.h"

#define GRAY_LANE 1
#define EVERY UINT32_MAX

static struct lw_hops *hops;
static struct lw_hop last;
static unsigned int seen;

static void on_hop(const struct lw_hop *hop, void *arg)
{
	(void)arg;
	last = *hop;
	seen++;
}

/* Hops since the last call. */
static unsigned int take(void)
{
	seen = 0;
	assert_true(lw_hops_read(hops, 1u << 20, on_hop, NULL) >= 0);
	return seen;
}

static void want(uint32_t lanes, uint32_t workload, uint32_t sample)
{
	lw_hops_set(hops, &(struct lw_hops_filter){ lanes, workload, sample });
}

static int setup(void **state)
{
	(void)state;
	two_pods_start(&(struct lab_options){ 0 });
	return lw_hops_new(lab_kern(), &hops);
}

static int teardown(void **state)
{
	lw_hops_free(&hops);
	return lab_teardown(state);
}

static int clean(void **state)
{
	want(0, 0, 0);
	take();
	return lab_clean(state);
}

static void nobody_traces(void **state)
{
	uint64_t lost = lw_hops_lost(hops);
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	assert_int_equal(take(), 0);
	assert_int_equal(lw_hops_lost(hops), lost);
	close(c);
	close(b);
	close(g);
}

static void what_is_told(void **state)
{
	static const char tagged[] =
		"POST /a/b?secret=1 HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: 3\r\n\r\nabc";
	static const char entering[] = "GET / HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n";
	uint64_t before = lw_clock_ns();
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	want(1u << GRAY_LANE, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	assert_int_equal(take(), 0); /* base is not asked for */

	/* no upstream socket yet: the agent carries it */
	lane_turn(c, gray, &g, tagged, tagged);
	assert_true(lab_flow(c, &f));
	assert_int_equal(take(), 1);
	assert_int_equal(last.lane, GRAY_LANE);
	assert_int_equal(last.evidence, LW_EVIDENCE_TAG);
	assert_int_equal(last.header, LW_HDR_TAG_FIRST);
	assert_int_equal(last.workload_hash, lw_name_hash("lab/Deployment/w1"));
	assert_memory_equal(&last.client, &f.client, sizeof(last.client));
	assert_int_equal(last.client_port, f.client_port);
	assert_memory_equal(&last.asked, &f.asked, sizeof(last.asked));
	assert_int_equal(last.asked.ip[15], 11);
	assert_int_equal(last.asked_port, LAB_PORT);
	assert_int_equal(last.pod.ip[15], 21);
	assert_int_equal(last.pod_port, LAB_PORT);
	assert_int_equal(last.pid, getpid());
	assert_in_range(last.at_ns, before, lw_clock_ns());
	assert_int_equal(last.line_len, strlen("POST /a/b?secret=1"));
	assert_memory_equal(last.line, "POST /a/b?secret=1", last.line_len);
	/* and nothing of what stands behind it */
	for (size_t i = last.line_len; i < LW_HOP_LINE; i++)
		assert_int_equal(last.line[i], 0);

	lane_turn(c, gray, &g, entering, "GET / HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n");
	assert_int_equal(take(), 1);
	assert_int_equal(last.evidence, LW_EVIDENCE_ENTRY);
	assert_int_equal(last.header, LW_HDR_OTHER);
	assert_int_equal(last.reason, LW_REASON_OK);
	assert_int_equal(last.route, LW_ROUTE_UP);
	assert_int_equal(last.line_len, strlen("GET /"));

	want(1u << GRAY_LANE | 1, 0, EVERY);
	base_turn(c, b);
	assert_int_equal(take(), 1);
	assert_int_equal(last.lane, 0);
	assert_int_equal(last.evidence, LW_EVIDENCE_NONE);
	assert_int_equal(last.header, LW_HDR_OTHER);
	assert_int_equal(last.route, LW_ROUTE_PEER);
	assert_int_equal(last.pod.ip[15], 11);
	assert_int_equal(last.trace_header, 0);
	assert_int_equal(last.trace_len, 0);
	close(c);
	close(b);
	close(g);
}

/* Of each header its trace id; of several the first in the order of enum lw_header_id that has one. */
static void trace_ids(void **state)
{
#define LONG_ID \
	"TGVuZ3RoIGFzIHRoYXQgb2YgYSByZWFsIHN3OCB0cmFjZSBpZCwgZW5jb2RlZCBpbiBiYXNlNjQsIGFzIGl0IGNvbWVz"
	static const struct {
		const char *headers;
		unsigned int header;
		const char *id;
	} cases[] = {
		{ "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n",
		  LW_HDR_TRACEPARENT, "4bf92f3577b34da6a3ce929d0e0e4736" },
		{ "b3: 0123456789abcdef-00f067aa0ba902b7-1\r\n", LW_HDR_B3, "0123456789abcdef" },
		{ "X-B3-TraceId: 463ac35c9f6413ad48485a3953bb6124\r\n", LW_HDR_B3_TRACE_ID,
		  "463ac35c9f6413ad48485a3953bb6124" },
		{ "sw8: 1-" LONG_ID "-YQ==-1-YQ==-YQ==-YQ==-YQ==\r\n", LW_HDR_SW8, LONG_ID },
		{ "uber-trace-id: 4bf92f3577b34da6:1:0:1\r\n", LW_HDR_UBER_TRACE_ID,
		  "4bf92f3577b34da6" },
		{ "X-Request-Id: req-0001-0002\r\n", LW_HDR_REQUEST_ID, "req-0001-0002" },
		{ "x-request-id: req-0001-0002\r\nb3: 0\r\nuber-trace-id: 4bf92f3577b34da6:1:0:1\r\n",
		  LW_HDR_UBER_TRACE_ID, "4bf92f3577b34da6" },
		{ "b3: 0\r\nx-request-id: short\r\n", 0, "" },
	};
	char req[1024], id[121];
	int c, b;

	(void)state;
	_Static_assert(sizeof(LONG_ID) - 1 <= LW_HOP_TRACE, "told whole");
	want(1, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(req, sizeof(req), "GET / HTTP/1.1\r\n%s\r\n", cases[i].headers);
		turn(c, b, req, req, OK(0, ""));
		assert_int_equal(take(), 1);
		assert_int_equal(last.trace_header, cases[i].header);
		assert_int_equal(last.trace_len, strlen(cases[i].id));
		assert_memory_equal(last.trace, cases[i].id, last.trace_len);
		for (size_t k = last.trace_len; k < LW_HOP_TRACE; k++)
			assert_int_equal(last.trace[k], 0);
	}
	/* longer than there is room */
	memset(id, 'x', sizeof(id) - 1);
	id[sizeof(id) - 1] = 0;
	snprintf(req, sizeof(req), "GET / HTTP/1.1\r\nx-request-id: %s\r\n\r\n", id);
	turn(c, b, req, req, OK(0, ""));
	assert_int_equal(take(), 1);
	assert_int_equal(last.trace_len, sizeof(id) - 1);
	assert_memory_equal(last.trace, id, LW_HOP_TRACE);
	close(c);
	close(b);
}

/* A request for another one is in its lane by the header with that one's trace id, which need not be the first with any. */
static void which_trace_decides(void **state)
{
	static const struct {
		const char *headers;
		unsigned int header;
	} cases[] = {
		{ "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\nx-request-id: req-0001-0002\r\n",
		  LW_HDR_REQUEST_ID },
		{ "x-request-id: another-one\r\nb3: 0123456789abcdef-00f067aa0ba902b7-1\r\n",
		  LW_HDR_B3 },
		{ "x-request-id: req-0001-0002\r\nb3: 0123456789abcdef-00f067aa0ba902b7-1\r\n",
		  LW_HDR_REQUEST_ID },
	};
	const struct lw_trace of_gray = { .lane = GRAY_LANE };
	struct lw_trace_key keys[] = {
		{ .header = LW_HDR_REQUEST_ID, .len = 13, .id = "req-0001-0002" },
		{ .header = LW_HDR_B3, .len = 16, .id = "0123456789abcdef" },
	};
	int traces = bpf_map__fd(lab_kern()->skel->maps.lw_traces), c, b, g = -1;
	char req[1024], arrives[1024];
	struct lw_flow f;

	(void)state;
	want(1u << GRAY_LANE, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	assert_true(lab_flow(c, &f));
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		keys[i].pod = f.client;
		assert_int_equal(bpf_map_update_elem(traces, &keys[i], &of_gray, BPF_ANY), 0);
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		snprintf(req, sizeof(req), "GET / HTTP/1.1\r\n%s\r\n", cases[i].headers);
		snprintf(arrives, sizeof(arrives), "GET / HTTP/1.1\r\n" TAG "%s\r\n",
			 cases[i].headers);
		lane_turn(c, gray, &g, req, arrives);
		assert_int_equal(take(), 1);
		assert_int_equal(last.evidence, LW_EVIDENCE_TRACE);
		assert_int_equal(last.header, cases[i].header);
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.evidence, LW_EVIDENCE_TRACE);
		assert_int_equal(f.header, cases[i].header);
	}
	/* as the own peer's it is told in another place */
	close(c);
	close(g);
	close(b);
	c = lab_connect(LAB_GRAY, LAB_PORT);
	g = lab_accept(gray, c);
	lane_turn(c, gray, &g, req, arrives);
	assert_int_equal(take(), 1);
	assert_int_equal(last.header, LW_HDR_REQUEST_ID);
	assert_int_equal(last.route, LW_ROUTE_PEER);
	close(c);
	close(g);
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
		assert_int_equal(bpf_map_delete_elem(traces, &keys[i]), 0);
}

static void a_long_target_is_cut(void **state)
{
	char req[4096], line[2048];
	int c, b;

	(void)state;
	memset(line, 'x', sizeof(line));
	memcpy(line, "GET /", 5);
	snprintf(req, sizeof(req), "%.*s HTTP/1.1\r\nSecret: s\r\n\r\n", (int)sizeof(line), line);
	want(1, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	turn(c, b, req, req, OK(0, ""));
	assert_int_equal(take(), 1);
	assert_int_equal(last.line_len, sizeof(line));
	assert_memory_equal(last.line, line, LW_HOP_LINE);
	close(c);
	close(b);
}

static void filters(void **state)
{
	const uint32_t mine = lw_name_hash("lab/Deployment/w1");
	unsigned int n = 0;
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	want(~0u, mine + 1, EVERY);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	assert_int_equal(take(), 0);
	want(~0u, mine, EVERY);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	assert_int_equal(take(), 2);
	want(~1u, mine, EVERY);
	base_turn(c, b);
	assert_int_equal(take(), 0);
	want(1u << GRAY_LANE, 0, EVERY / 4);
	for (int i = 0; i < 400; i++) {
		gray_turn(c, gray, &g);
		n += take();
		assert_true(!seen || last.dice <= EVERY / 4);
	}
	assert_in_range(n, 40, 180); /* of 100, seven standard deviations */
	close(c);
	close(b);
	close(g);
}

/* The ring runs full: requests go on all the same, and every hop is told or counted. */
static void a_full_ring_loses(void **state)
{
	enum { N = LW_HOPS_BYTES / sizeof(struct lw_hop) + 500 };
	uint64_t lost = lw_hops_lost(hops);
	unsigned int told;
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	want(1u << GRAY_LANE, 0, EVERY);
	for (unsigned int i = 0; i < N; i++)
		gray_turn(c, gray, &g);
	lost = lw_hops_lost(hops) - lost;
	told = take();
	print_message("%u requests: %u hops told, %u lost\n", (unsigned int)N, told,
		      (unsigned int)lost);
	assert_true(lost >= 500);
	assert_int_equal(told + lost, N);
	/* there is room again */
	gray_turn(c, gray, &g);
	assert_int_equal(take(), 1);
	close(c);
	close(b);
	close(g);
}

/* A few at a time: the rest waits. */
static void read_in_parts(void **state)
{
	int c, b;

	(void)state;
	want(1, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 5; i++)
		base_turn(c, b);
	assert_int_equal(lw_hops_read(hops, 2, on_hop, NULL), 2);
	assert_int_equal(lw_hops_read(hops, 2, on_hop, NULL), 2);
	assert_int_equal(lw_hops_read(hops, 2, on_hop, NULL), 1);
	assert_int_equal(lw_hops_read(hops, 2, on_hop, NULL), 0);
	close(c);
	close(b);
}

/* Nobody would take it out. Last: the agent is gone then. */
static void a_killed_agent(void **state)
{
	struct lw_config conf = { .heartbeat_max_ns = LW_NS_PER_SEC };
	uint64_t killed, lost;
	int c, b;

	(void)state;
	want(1, 0, EVERY);
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	assert_int_equal(take(), 1);
	lab_kill_agent();
	lost = lw_hops_lost(hops);
	killed = lw_clock_ns();
	while (lw_clock_ns() - killed <= conf.heartbeat_max_ns)
		usleep(10000);
	base_turn(c, b);
	assert_int_equal(take(), 0);
	assert_int_equal(lw_hops_lost(hops) - lost, 1);
	close(c);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(nobody_traces, clean),
		cmocka_unit_test_teardown(what_is_told, clean),
		cmocka_unit_test_teardown(trace_ids, clean),
		cmocka_unit_test_teardown(which_trace_decides, clean),
		cmocka_unit_test_teardown(a_long_target_is_cut, clean),
		cmocka_unit_test_teardown(filters, clean),
		cmocka_unit_test_teardown(a_full_ring_loses, clean),
		cmocka_unit_test_teardown(read_in_parts, clean),
		cmocka_unit_test_teardown(a_killed_agent, clean),
	};

	return RUN_BOTH_WAYS("hops", tests, setup, teardown);
}
