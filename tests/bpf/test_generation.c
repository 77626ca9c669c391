/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state changes under open connections: lanes close and open, pods drain, addresses change hands.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "laneway/reasons.h"
#include "both_ways.h"
#include "turns.h"

#define GRAY2 "127.0.0.22"
#define TAGGED "GET /t HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n"

static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "User-Agent",
					   "xiaoming" };
static const struct lw_rules_mod set = { "x-mse-tag", "gray" };
static const struct lw_rules_entry entry = { .conds = &cond,
					     .nconds = 1,
					     .lane = 1,
					     .set = &set,
					     .nset = 1,
					     .source = "match 1" };
static const struct lab_lane gray_lane[] = { { "gray", "x-mse-tag", "gray" }, { 0 } };
static const struct lab_lane no_lane[] = { { 0 } };

static const struct lab_pod pods_open[] = { { .ip = LAB_BASE },
					    { .ip = LAB_GRAY, .lane = 1 },
					    { 0 } };
static const struct lab_pod pods_draining[] = {
	{ .ip = LAB_BASE },
	{ .ip = LAB_GRAY, .lane = 1, .terminating = true },
	{ 0 },
};
static const struct lab_state open_state = { .pods = pods_open,
					     .lanes = gray_lane,
					     .entries = &entry,
					     .nentries = 1 };
/* as the builder writes a closed lane: its pods are there, to be left alone */
static const struct lab_state closed_state = { .pods = pods_draining, .lanes = no_lane };
static const struct lab_state drained_state = { .pods = pods_draining,
						.lanes = gray_lane,
						.entries = &entry,
						.nentries = 1 };

static int base, gray, gray2;

static int setup(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){ .state = &open_state });
	base = lab_listen(LAB_BASE);
	gray = lab_listen(LAB_GRAY);
	gray2 = lab_listen(GRAY2);
	return 0;
}

static int clean(void **state)
{
	lab_clean(state);
	lab_publish(&open_state);
	return 0;
}

static void lane_closes_and_opens(void **state)
{
	uint64_t gen = 0;
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 3; i++) {
		gray_turn(c, gray, &g);
		assert_true(lab_flow(c, &f));
		assert_true(f.gen > gen);
		gen = f.gen;
		lab_publish(&closed_state);
		/* no rule, and the tag names no lane that is open: both as they are, to base */
		turn(c, b, GRAY_REQUEST, GRAY_REQUEST, OK(0, ""));
		turn(c, b, TAGGED, TAGGED, OK(0, ""));
		assert_true(lab_flow(c, &f));
		assert_true(f.gen > gen);
		gen = f.gen;
		assert_int_equal(f.lane, 0);
		/* let go of, and closed: not kept for later */
		lab_expect_eof(g);
		close(g);
		g = -1;
		lab_publish(&open_state);
	}
	gray_turn(c, gray, &g);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
}

/* A request under way ends where it began, whatever is published meanwhile. */
static void running_request_finishes(void **state)
{
	static const struct lab_state *const next[] = { &closed_state, &drained_state };
	int c, b, g;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		lab_publish(&open_state);
		open_pair(LAB_BASE, base, &c, &b);
		lab_send(
			c,
			"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 10\r\n\r\n01234");
		g = lab_accept_request(gray);
		lab_expect(g, "POST / HTTP/1.1\r\n" TAG
			      "User-Agent: xiaoming\r\nContent-Length: 10\r\n\r\n01234");
		lab_publish(next[i]);
		lab_send(c, "567");
		lab_expect(g, "567");
		lab_publish(next[i]);
		lab_send(c, "89");
		lab_expect(g, "89");
		lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
		lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
		lab_publish(next[i]);
		lab_send(g, "def");
		lab_expect(c, "def");
		lab_expect_nothing(b);
		base_turn(c, b);
		lab_expect_eof(g);
		close(g);
		close(c);
		close(b);
		lab_drain(gray);
	}
}

static void draining_pod_gets_no_new_request(void **state)
{
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&drained_state);
	/* the lane is open but has no pod */
	turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, LW_REASON_NO_ENDPOINT);
	lab_expect_eof(g);
	close(g);
	close(c);
	close(b);
}

/* Nor where the first request behind the change was a base one, in front of which another is due on the own peer. */
static void draining_pod_behind_pipelined_base_requests(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, BASE_REQUEST);
	lab_expect(b, BASE_REQUEST);
	lab_publish(&drained_state);
	lab_send(c, BASE_REQUEST);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(1, "1") OK(1, "2"));
	lab_expect(c, OK(1, "1") OK(1, "2"));
	turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	lab_expect_eof(g);
	close(g);
	close(c);
	close(b);
}

/* With the second pod of the lane: the next request goes there, on the same connection. */
static void next_pod_takes_over(void **state)
{
	static const struct lab_pod pods[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = 1, .terminating = true },
		{ .ip = GRAY2, .lane = 1 },
		{ 0 },
	};
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	int c, b, g = -1, g2 = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&s);
	gray_turn(c, gray2, &g2);
	lab_expect_eof(g);
	base_turn(c, b);
	gray_turn(c, gray2, &g2);
	close(g);
	close(g2);
	close(c);
	close(b);
}

/* Likewise where the draining pod is the connection's own peer. */
static void draining_peer_gets_no_new_request(void **state)
{
	static const struct lab_pod pods[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = 1, .terminating = true },
		{ .ip = GRAY2, .lane = 1 },
		{ 0 },
	};
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	int c, g, g2 = -1;

	(void)state;
	open_pair(LAB_GRAY, gray, &c, &g);
	turn(c, g, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	lab_publish(&s);
	lab_send(c, GRAY_REQUEST);
	assert_int_equal(lab_bound_to(c), 22);
	g2 = lab_accept_request(gray2);
	lab_expect(g2, GRAY_TAGGED);
	lab_send(g2, OK(0, ""));
	lab_expect(c, OK(0, ""));
	lab_expect_nothing(g);
	close(g);
	close(g2);
	close(c);
}

/* The address is another pod's by now: what was bound before must not carry a request there. */
static void address_of_a_new_pod(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE },
					       { .ip = LAB_GRAY, .lane = 1, .uid = 77 },
					       { 0 } };
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	int c, b, g = -1, g2 = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&s);
	/* a connection of its own */
	gray_turn(c, gray, &g2);
	assert_int_not_equal(g, g2);
	lab_expect_eof(g);
	close(g);
	close(g2);
	close(c);
	close(b);
}

static void address_of_another_workload(void **state)
{
	static const struct lab_pod pods[] = {
		{ .ip = LAB_BASE },
		{ .ip = GRAY2, .lane = 1 },
		{ .ip = LAB_GRAY, .lane = 1, .workload = 2 },
		{ 0 },
	};
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	int c, b, g = -1, g2 = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&s);
	gray_turn(c, gray2, &g2);
	lab_expect_eof(g);
	close(g);
	close(g2);
	close(c);
	close(b);
}

/* A pod promoted from its lane to base, as at the end of a release: the same address, another lane. */
static void promoted_pod_serves_base(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE, .terminating = true },
					       { .ip = LAB_GRAY },
					       { 0 } };
	static const struct lab_state s = { .pods = pods, .lanes = gray_lane };
	int c, g;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_GRAY, gray, &c, &g);
	turn(c, g, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	lab_publish(&s);
	base_turn(c, g);
	turn(c, g, TAGGED, TAGGED, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, LW_REASON_NO_ENDPOINT);
	close(c);
	close(g);
}

/* Connections of the time before: once enrolled, they follow. Those made while no state knew the pod do not. */
static void forgotten_workload_is_left_alone(void **state)
{
	static const struct lab_pod none[] = { { 0 } };
	static const struct lab_state s = { .pods = none };
	int c, b, g = -1, late, lb;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&s);
	turn(c, b, GRAY_REQUEST, GRAY_REQUEST, OK(0, ""));
	lab_expect_eof(g);
	close(g);
	g = -1;
	open_pair(LAB_BASE, base, &late, &lb);
	turn(late, lb, GRAY_REQUEST, GRAY_REQUEST, OK(0, ""));
	assert_false(lab_flow(late, &f));
	lab_publish(&open_state);
	gray_turn(c, gray, &g);
	turn(late, lb, GRAY_REQUEST, GRAY_REQUEST, OK(0, ""));
	close(late);
	close(lb);
	close(c);
	close(b);
	close(g);
}

/* Nor by the rules of another workload, which have the numbers that its own had. */
static void forgotten_workload_has_no_rules(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE2, .workload = 2 },
					       { .ip = GRAY2, .lane = 1, .workload = 2 },
					       { 0 } };
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1, .first = 2
	};
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_publish(&s);
	turn(c, b, GRAY_REQUEST, GRAY_REQUEST, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.lane, 0);
	assert_int_equal(f.evidence, LW_EVIDENCE_NONE);
	close(c);
	close(b);
	close(g);
}

/* Where all are taken to the new version, what the old pods send is base's: the lane may be another workload's. */
static void what_an_old_pod_sends_is_base(void **state)
{
	static const struct lab_pod pods[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = 1 },
		{ .ip = GRAY2, .lane = 1, .terminating = true, .old = true },
		{ 0 },
	};
	/* not ready: it is the client here, and is to get no request */
	static const struct lab_pod before[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = 1 },
		{ .ip = GRAY2, .lane = 1, .unready = true },
		{ 0 },
	};
	static const struct lab_state s = {
		.pods = pods, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	static const struct lab_state s_before = {
		.pods = before, .lanes = gray_lane, .entries = &entry, .nentries = 1
	};
	static const char plain[] = "GET /p HTTP/1.1\r\n\r\n";
	struct lw_flow f;
	int c, b, g = -1;

	(void)state;
	lab_publish(&s_before);
	c = lab_connect_from(GRAY2, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	lane_turn(c, gray, &g, plain, "GET /p HTTP/1.1\r\nx-mse-tag:        gray\r\n\r\n");
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_POD);
	lab_publish(&s);
	turn(c, b, plain, plain, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.lane, 0);
	assert_int_equal(f.evidence, LW_EVIDENCE_NONE);
	/* a tag holds all the same */
	lane_turn(c, gray, &g, TAGGED, TAGGED);
	close(c);
	close(b);
	close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(lane_closes_and_opens, clean),
		cmocka_unit_test_teardown(running_request_finishes, clean),
		cmocka_unit_test_teardown(draining_pod_gets_no_new_request, clean),
		cmocka_unit_test_teardown(draining_pod_behind_pipelined_base_requests, clean),
		cmocka_unit_test_teardown(next_pod_takes_over, clean),
		cmocka_unit_test_teardown(draining_peer_gets_no_new_request, clean),
		cmocka_unit_test_teardown(address_of_a_new_pod, clean),
		cmocka_unit_test_teardown(address_of_another_workload, clean),
		cmocka_unit_test_teardown(promoted_pod_serves_base, clean),
		cmocka_unit_test_teardown(what_an_old_pod_sends_is_base, clean),
		cmocka_unit_test_teardown(forgotten_workload_is_left_alone, clean),
		cmocka_unit_test_teardown(forgotten_workload_has_no_rules, clean),
	};

	return RUN_BOTH_WAYS("generation", tests, setup, lab_teardown);
}
