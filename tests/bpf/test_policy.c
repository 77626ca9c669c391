/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of a request that cannot have the pod it should: fail open, fail closed, no pod in the lane, no agent.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"
#include "laneway/reasons.h"
#include "turns.h"

#define REFUSAL "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

static int base;

static void start(const struct lab_options *options)
{
	lab_start(options);
	base = lab_listen(LAB_BASE);
}

/* The send is refused as a whole. */
static void send_refused(int c, const char *text)
{
	ssize_t n = send(c, text, strlen(text), MSG_NOSIGNAL);

	assert_int_equal(n, -1);
	assert_int_equal(errno, EACCES);
}

/* No pod listens at the gray address. */
static void closed_and_unreachable_is_answered_503(void **state)
{
	static const char *const reqs[] = {
		GRAY_REQUEST,
		"HEAD / HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n",
		"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 5\r\n\r\nhello",
	};

	(void)state;
	start(&(struct lab_options){ .fail_closed = true });
	for (size_t i = 0; i < sizeof(reqs) / sizeof(reqs[0]); i++) {
		int c, b;

		open_pair(LAB_BASE, base, &c, &b);
		base_turn(c, b);
		lab_send(c, reqs[i]);
		lab_expect(c, REFUSAL);
		/* as the answer says */
		lab_expect_eof(c);
		lab_expect_nothing(b);
		close(c);
		/* the base pod has had this connection and no other */
		lab_expect_eof(b);
		close(b);
		assert_int_equal(lab_count(LW_REASON_UNREACHABLE), i + 1);
	}
}

/* A body of many messages: all of it goes to the agent, none to the base pod. */
static void closed_and_unreachable_takes_the_body(void **state)
{
	enum { N = 300000, PIECE = 7000 };
	char *body = calloc(1, N);
	int c, b;

	(void)state;
	start(&(struct lab_options){ .fail_closed = true });
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, "PUT / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 300000\r\n\r\n");
	for (size_t at = 0; at < N; at += PIECE) {
		size_t n = N - at < PIECE ? N - at : PIECE;
		/* the answer may have come before the body is through: the rest has nowhere to go then */
		ssize_t k = send(c, body + at, n, MSG_NOSIGNAL);

		if (k < 0)
			break;
		assert_int_equal(k, n);
	}
	lab_expect(c, REFUSAL);
	lab_expect_nothing(b);
	close(c);
	close(b);
	free(body);
}

/* An agent that takes what it is handed: so much waits there that it has not written to the pod, and no more. */
static void what_waits_in_the_agent_is_bounded(void **state)
{
	static const char head[] =
		"PUT / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 100000000\r\n\r\n";
	enum { PIECE = 1 << 20, WRITTEN = 8 * PIECE };
	struct lw_bind_args args = { .seq = 1, .bytes = WRITTEN };
	struct lw_punt first;
	char *body = calloc(1, PIECE);
	int agent[2], c, b;
	size_t sent = 0;
	ssize_t n;

	(void)state;
	start(&(struct lab_options){ .no_agent = true });
	assert_int_equal(lw_tcp_pair(agent), 0);
	for (uint32_t key = 0; key < 2; key++) {
		uint64_t fd = (uint64_t)agent[0];

		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(lab_kern()->skel->maps.lw_punt_sock), &key,
					    &fd, BPF_ANY),
			0);
	}
	open_pair(LAB_BASE, base, &c, &b);
	lab_kern()->config->heartbeat_ns = lw_clock_ns();
	lab_send(c, head);
	assert_int_equal(lab_count(LW_REASON_POOL_EMPTY), 1);
	assert_int_equal(recv(agent[0], &first, sizeof(first), 0), sizeof(first));
	args.down = first.down;
	args.id = first.id;
	while ((n = send(c, body, PIECE, MSG_NOSIGNAL)) > 0) {
		sent += (size_t)n;
		/* not all of it, so that the rest comes to the agent as well */
		if (sent == LW_PUNT_MAX_BYTES - PIECE)
			assert_int_equal(
				lw_kern_call(lab_kern()->skel->progs.lw_bind, &args, sizeof(args)),
				1);
	}
	assert_int_equal(errno, EACCES);
	/* the head is there, too */
	assert_in_range(sent, LW_PUNT_MAX_BYTES + WRITTEN - PIECE, LW_PUNT_MAX_BYTES + WRITTEN - 1);
	lab_expect_nothing(b);
	close(c);
	close(b);
	close(agent[0]);
	close(agent[1]);
	free(body);
}

static void closed_without_an_agent_refuses_the_send(void **state)
{
	static const char post_head[] =
		"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 5\r\n\r\n";
	static const char post[] =
		"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 5\r\n\r\nhello";
	static const char chunked[] =
		"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
	static const char *const refused[] = { GRAY_REQUEST, post, post_head, chunked };

	(void)state;
	start(&(struct lab_options){ .fail_closed = true, .no_agent = true });
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		int c, b;

		open_pair(LAB_BASE, base, &c, &b);
		base_turn(c, b);
		send_refused(c, refused[i]);
		/* the kernel keeps to a refusal: nothing more leaves on this connection, not half a request either */
		send_refused(c, "hello");
		send_refused(c, BASE_REQUEST);
		close(c);
		lab_expect_eof(b);
		close(b);
		assert_int_equal(lab_count(LW_REASON_REFUSED), i + 1);
	}
}

/* Not even an untagged request may follow a peer that is of a lane. */
static void closed_refuses_base_requests_to_a_gray_peer(void **state)
{
	int gray, c, g;

	(void)state;
	start(&(struct lab_options){ .fail_closed = true, .no_agent = true });
	gray = lab_listen(LAB_GRAY);
	open_pair(LAB_GRAY, gray, &c, &g);
	turn(c, g, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	send_refused(c, BASE_REQUEST);
	close(c);
	lab_expect_eof(g);
	close(g);
}

static void open_and_unreachable_falls_back(void **state)
{
	static const char head[] =
		"POST / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 10\r\n\r\n";
	static const char at_base[] =
		"POST / HTTP/1.1\r\n" TAG
		"User-Agent: xiaoming\r\nContent-Length: 10\r\n\r\n0123456789";
	int c, b, b2[LW_FLOW_UPS + 1];

	(void)state;
	start(&(struct lab_options){ 0 });
	open_pair(LAB_BASE, base, &c, &b);
	/* each of these serves one request, and leaves its place to the next */
	for (int i = 0; i < LW_FLOW_UPS + 1; i++) {
		lab_send(c, head);
		lab_send(c, "01234");
		lab_send(c, "56789");
		b2[i] = lab_accept_request(base);
		lab_expect(b2[i], at_base);
		lab_send(b2[i], OK(2, "b2"));
		lab_expect(c, OK(2, "b2"));
		base_turn(c, b);
	}
	/* each was counted as one that the agent carries, and is none that got there */
	assert_int_equal(lab_count(LW_REASON_POOL_EMPTY), LW_FLOW_UPS + 1);
	assert_int_equal(lab_count(LW_REASON_UNREACHABLE), LW_FLOW_UPS + 1);
	for (int i = 0; i < LW_FLOW_UPS + 1; i++)
		close(b2[i]);
	close(c);
	close(b);
}

static void open_without_an_agent_follows_the_peer(void **state)
{
	int gray, c, b, g;

	(void)state;
	start(&(struct lab_options){ .no_agent = true });
	gray = lab_listen(LAB_GRAY);
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	base_turn(c, b);
	/* a hand-over that failed, or a heartbeat that is old: counted as one of the two */
	assert_int_equal(lab_count(LW_REASON_AGENT_STALE) + lab_count(LW_REASON_REDIRECT), 1);
	close(c);
	close(b);

	open_pair(LAB_GRAY, gray, &c, &g);
	turn(c, g, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	assert_int_equal(lab_count(LW_REASON_AGENT_STALE) + lab_count(LW_REASON_REDIRECT), 1);
	turn(c, g, BASE_REQUEST, BASE_REQUEST, OK(0, ""));
	assert_int_equal(lab_count(LW_REASON_AGENT_STALE) + lab_count(LW_REASON_REDIRECT), 2);
	close(c);
	close(g);
}

/* Its last heartbeat is a moment old, so that the request is handed over, and nobody is there to take it. */
static void open_with_an_agent_just_killed_follows_the_peer(void **state)
{
	uint64_t ok;
	int c, b;

	(void)state;
	start(&(struct lab_options){ 0 });
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	ok = lab_count(LW_REASON_OK);
	lab_kill_agent();
	for (unsigned int i = 1; i <= 3; i++) {
		struct lw_flow f;

		turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.route, LW_ROUTE_PEER);
		assert_true(f.reason == LW_REASON_REDIRECT || f.reason == LW_REASON_AGENT_STALE);
		assert_int_equal(lab_count(LW_REASON_AGENT_STALE) + lab_count(LW_REASON_REDIRECT),
				 i);
		assert_int_equal(lab_count(LW_REASON_POOL_EMPTY), 0);
		assert_int_equal(lab_count(LW_REASON_OK), ok);
	}
	base_turn(c, b);
	assert_int_equal(lab_count(LW_REASON_OK), ok + 1);
	close(c);
	close(b);
}

/* Who connects to a ClusterIP for which nobody else has an answer, so long after the agent's last sign of life: 1, a base pod. */
static int is_given_a_pod(uint64_t age_ns)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(LAB_VIP_PORT),
				 .sin_addr.s_addr = inet_addr(LAB_VIP) };
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), err = 0;

	lab_kern()->config->heartbeat_ns = lw_clock_ns() - age_ns;
	if (connect(c, (struct sockaddr *)&a, sizeof(a)))
		err = errno;
	close(c);
	assert_true(!err || err == ECONNREFUSED);
	return !err;
}

static void service_without_an_agent(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE },
					       { .ip = LAB_GRAY, .lane = 1 },
					       {} };
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const char *const vips[] = { LAB_VIP, NULL };
	struct lab_state s = { .pods = pods, .lanes = lanes, .vips = vips };

	(void)state;
	start(&(struct lab_options){ .no_agent = true, .state = &s });
	assert_int_equal(is_given_a_pod(0), 1);
	assert_int_equal(is_given_a_pod(2 * LW_NS_PER_SEC), 0);
	/* its pods are of all revisions: for a while rather one that may be gone than a canary */
	s.unpinned = true;
	lab_publish(&s);
	assert_int_equal(is_given_a_pod(0), 1);
	assert_int_equal(is_given_a_pod(2 * LW_NS_PER_SEC), 1);
	assert_int_equal(is_given_a_pod(LW_LAST_CHOICE_NS - LW_NS_PER_SEC), 1);
	assert_int_equal(is_given_a_pod(LW_LAST_CHOICE_NS), 0);
}

/* A client of the ClusterIP, whose pod the node chooses. Returns that pod's end of the connection. *ret_node: for close(). */
static int node_chooses(int *ret_node, int *ret_client)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(LAB_VIP_PORT),
				 .sin_addr.s_addr = inet_addr(LAB_VIP) };
	int one = 1;

	*ret_node = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(*ret_node, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	assert_int_equal(bind(*ret_node, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(*ret_node, 8), 0);
	*ret_client = lab_connect(LAB_VIP, LAB_VIP_PORT);
	return lab_accept(*ret_node, *ret_client);
}

/*
 * No base pod was ready, so the node chose, a canary as it happened; nobody knows which pod it is. Base requests follow it for as long as
 * there is no other, and not for the connection's life.
 */
static void pod_nobody_knows(bool closed)
{
	static const struct lab_pod unready[] = { { .ip = LAB_BASE, .unready = true },
						  { .ip = LAB_GRAY, .lane = 1 },
						  {} };
	static const struct lab_pod ready[] = { { .ip = LAB_BASE },
						{ .ip = LAB_GRAY, .lane = 1 },
						{} };
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const char *const vips[] = { LAB_VIP, NULL };
	struct lab_state s = { .pods = unready, .lanes = lanes, .vips = vips, .unpinned = true };
	int node, c, chosen, b = -1;

	start(&(struct lab_options){ .state = &s, .fail_closed = closed });
	chosen = node_chooses(&node, &c);
	base_turn(c, chosen);
	assert_int_equal(lab_count(LW_REASON_NO_ENDPOINT), 1);
	s.pods = ready;
	lab_publish(&s);
	lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
	lab_expect_nothing(chosen);
	/* without the agent, and without another connection to a base pod, it is the peer's again: refused for what that may be it is not */
	lab_kill_agent();
	close(b);
	turn(c, chosen, BASE_REQUEST, BASE_REQUEST, OK(4, "base"));
	close(c);
	close(chosen);
	close(node);
}

static void pod_that_nobody_knows(void **state)
{
	(void)state;
	pod_nobody_knows(false);
}

static void pod_that_nobody_knows_when_closed(void **state)
{
	(void)state;
	pod_nobody_knows(true);
}

/* Likewise chosen by the node, where there are no canaries: the peer is base's. */
static void pod_that_is_base_whichever_it_is(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE, .unready = true },
					       { .ip = LAB_GRAY, .lane = 1, .unready = true },
					       {} };
	static const struct lab_pod ready[] = { { .ip = LAB_BASE },
						{ .ip = LAB_GRAY, .lane = 1 },
						{} };
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const char *const vips[] = { LAB_VIP, NULL };
	struct lab_state s = { .pods = pods, .lanes = lanes, .vips = vips, .unpinned = true };
	int node, c, chosen;

	(void)state;
	start(&(struct lab_options){ .state = &s });
	chosen = node_chooses(&node, &c);
	base_turn(c, chosen);
	s.pods = ready;
	lab_publish(&s);
	base_turn(c, chosen);
	close(c);
	close(chosen);
	close(node);
}

/* A step that replaces all pods: they are the lane's, and base's. Base needs nobody for what its own peer serves. */
static void pods_of_a_lane_that_serve_base(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_GRAY, .lane = 1, .base_too = true },
					       {} };
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const struct lab_state s = { .pods = pods, .lanes = lanes };
	struct lw_flow f;
	int gray, c, g;

	(void)state;
	start(&(struct lab_options){ .fail_closed = true, .no_agent = true, .state = &s });
	gray = lab_listen(LAB_GRAY);
	open_pair(LAB_GRAY, gray, &c, &g);
	base_turn(c, g);
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.route, LW_ROUTE_PEER);
	assert_int_equal(lab_count(LW_REASON_REFUSED), 0);
	close(c);
	close(g);
}

/* A Service has pods of two workloads, and counts as the first one's: the other's canary gets no base request of its clients either. */
static void canary_of_another_workload(void **state)
{
	static const struct lab_pod pods[] = {
		{ .ip = LAB_BASE }, { .ip = LAB_GRAY, .lane = 1, .workload = LAB_WORKLOAD + 1 }, {}
	};
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const struct lab_state s = { .pods = pods, .lanes = lanes };
	struct lw_dest_key own = {}, other = {};
	int gray, c, g, b = -1, dests;
	struct lw_dest dest;

	(void)state;
	start(&(struct lab_options){ .state = &s });
	dests = bpf_map__fd(lab_kern()->skel->maps.lw_dests);
	own.slot = other.slot = lab_kern()->config->generation & 1;
	assert_int_equal(lw_addr_parse(LAB_BASE, &own.addr), 0);
	assert_int_equal(lw_addr_parse(LAB_GRAY, &other.addr), 0);
	assert_int_equal(bpf_map_lookup_elem(dests, &own, &dest), 0);
	assert_int_equal(bpf_map_update_elem(dests, &other, &dest, BPF_EXIST), 0);
	gray = lab_listen(LAB_GRAY);
	open_pair(LAB_GRAY, gray, &c, &g);
	lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
	lab_expect_nothing(g);
	close(c);
	close(g);
	close(b);
}

/* The lane has no ready pod: base is right then, also where misses are refused. */
static void no_gray_pod(const struct lab_options *options)
{
	static const char tagged[] = "GET / HTTP/1.1\r\nA: b\r\nX-MSE-TAG: gray\r\n\r\n";
	struct lw_flow f;
	int c, b;

	start(options);
	open_pair(LAB_BASE, base, &c, &b);
	turn(c, b, tagged, tagged, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_TAG);
	assert_int_equal(f.header, LW_HDR_TAG_FIRST);
	assert_int_equal(f.lane, 1);
	assert_int_equal(f.reason, LW_REASON_NO_ENDPOINT);
	assert_int_equal(lab_count(LW_REASON_NO_ENDPOINT), 1);
	/* further on, other workloads may have the lane: the tag is put on all the same */
	turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	assert_int_equal(lab_count(LW_REASON_NO_ENDPOINT), 2);
	base_turn(c, b);
	assert_int_equal(lab_count(LW_REASON_NO_ENDPOINT), 2);
	close(c);
	close(b);
}

static void no_endpoint_is_base(void **state)
{
	(void)state;
	no_gray_pod(&(struct lab_options){ .no_gray = true });
}

static void no_endpoint_is_base_when_closed(void **state)
{
	(void)state;
	no_gray_pod(&(struct lab_options){ .no_gray = true, .fail_closed = true });
}

static void no_endpoint_is_base_without_an_agent(void **state)
{
	(void)state;
	no_gray_pod(
		&(struct lab_options){ .no_gray = true, .fail_closed = true, .no_agent = true });
}

/* Connected to the gray pod before it stopped being ready: it gets nothing more, tagged or not. */
static void unready_peer_gets_no_request(void **state)
{
	int gray, base2, c, b, g;

	(void)state;
	start(&(struct lab_options){ .no_gray = true });
	base2 = lab_listen(LAB_BASE2);
	gray = lab_listen(LAB_GRAY);
	open_pair(LAB_GRAY, gray, &c, &g);
	lab_send(c, BASE_REQUEST);
	b = lab_accept_request(lab_bound_to(c) == 11 ? base : base2);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(0, ""));
	lab_expect(c, OK(0, ""));
	turn(c, b, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	lab_expect_nothing(g);
	close(c);
	close(b);
	close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(closed_and_unreachable_is_answered_503, lab_teardown),
		cmocka_unit_test_teardown(closed_and_unreachable_takes_the_body, lab_teardown),
		cmocka_unit_test_teardown(what_waits_in_the_agent_is_bounded, lab_teardown),
		cmocka_unit_test_teardown(closed_without_an_agent_refuses_the_send, lab_teardown),
		cmocka_unit_test_teardown(closed_refuses_base_requests_to_a_gray_peer,
					  lab_teardown),
		cmocka_unit_test_teardown(open_and_unreachable_falls_back, lab_teardown),
		cmocka_unit_test_teardown(open_with_an_agent_just_killed_follows_the_peer,
					  lab_teardown),
		cmocka_unit_test_teardown(open_without_an_agent_follows_the_peer, lab_teardown),
		cmocka_unit_test_teardown(service_without_an_agent, lab_teardown),
		cmocka_unit_test_teardown(pod_that_nobody_knows, lab_teardown),
		cmocka_unit_test_teardown(pod_that_nobody_knows_when_closed, lab_teardown),
		cmocka_unit_test_teardown(pod_that_is_base_whichever_it_is, lab_teardown),
		cmocka_unit_test_teardown(pods_of_a_lane_that_serve_base, lab_teardown),
		cmocka_unit_test_teardown(canary_of_another_workload, lab_teardown),
		cmocka_unit_test_teardown(no_endpoint_is_base, lab_teardown),
		cmocka_unit_test_teardown(no_endpoint_is_base_when_closed, lab_teardown),
		cmocka_unit_test_teardown(no_endpoint_is_base_without_an_agent, lab_teardown),
		cmocka_unit_test_teardown(unready_peer_gets_no_request, lab_teardown),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
