/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sends that hold a whole request and the beginning of the next: what the kernel holds back of them (bpf_msg_cork_bytes()), what it does not
 * although it was asked to, and what it took in part, goes where it is to, and nowhere else.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "base/clock.h"
#include "both_ways.h"
#include "kern/internal.h"
#include "laneway/reasons.h"
#include "lw_lanes.skel.h"
#include "turns.h"
#include "two_pods.h"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

/*
 * The rest of a held message is thrown away where it is redirected (tcp_bpf_send_verdict()), and one of which an earlier part was steered goes
 * to the own peer by a redirect, too.
 */
static void base_behind_a_part(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++) {
		int c, b, g = -1;

		open_pair(LAB_BASE, base, &c, &b);
		gray_turn(c, gray, &g);
		lab_send(c, GRAY_REQUEST "GET /a HT");
		lab_expect(g, GRAY_TAGGED);
		lab_send(g, OK(4, "gray"));
		lab_expect(c, OK(4, "gray"));
		lab_send(c, "TP/1.1\r\nHost: w\r\n\r\n" BASE_REQUEST);
		lab_expect(b, BASE_REQUEST BASE_REQUEST);
		lab_send(b, OK(1, "1") OK(1, "2"));
		lab_expect(c, OK(1, "1") OK(1, "2"));
		close(c);
		close(b);
		close(g);
	}
}

/* The upstream socket that the first of the message went to is no more. */
static void part_behind_one_that_is_gone(void **state)
{
	struct lw_flow f;
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST "GET /a HT");
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	assert_true(lab_flow(c, &f));
	close(g);
	for (uint64_t until = lw_clock_ns() + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;
	     lab_has_upstream(f.ups[f.up].up); poll(NULL, 0, 1))
		assert_true(lw_clock_ns() < until);
	/* the last of it is freed by a worker of the kernel's, of which nobody tells: sooner there is less to see */
	poll(NULL, 0, 300);
	lab_send(c, "TP/1.1\r\n");
	lab_send(c, "Host: w\r\n");
	lab_send(c, "\r\n");
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	g = -1;
	gray_turn(c, gray, &g);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
}

#define HEAD_LEN 15000
#define RING (17 * 32768)
#define POST "POST /p HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nContent-Length: "

static char *second_head(void)
{
	char *head = malloc(HEAD_LEN + 1);

	assert_int_equal(snprintf(head, HEAD_LEN + 1,
				  "GET /s HTTP/1.1\r\nX: %0*d\r\nx-mse-tag: gray\r\n\r\n",
				  HEAD_LEN - 41, 7),
			 HEAD_LEN);
	return head;
}

/*
 * So much in one send that the kernel's ring of fragments is full within the second request's head: of that nothing is held back. It goes to
 * the own peer, and not where the first request went. What follows of it is refused, as it could be answered before that. `punted`: to the agent.
 * Where the ring ends is the kernel's to say: where it is not within the head, the second request is with the first one's pod. Returns whether it was
 * within the head once.
 */
static bool try_full_within_a_head(bool punted)
{
	char *body = lab_noise(RING, 3), *got = malloc(2 * RING), *text = malloc(2 * RING),
	     *second = second_head();
	bool seen = false;

	for (size_t n = RING / 2; n < RING; n += HEAD_LEN * 2 / 3) {
		char head[128];
		int c, b, g = -1, c2, b2, g2 = -1,
			  len = snprintf(head, sizeof(head), POST "%06zu\r\n\r\n", n);
		size_t first = (size_t)len + n, size = first + HEAD_LEN, sent;
		ssize_t k;

		memcpy(text, head, (size_t)len);
		memcpy(text + len, body, n);
		memcpy(text + first, second, HEAD_LEN);
		open_pair(LAB_BASE, base, &c, &b);
		if (!punted)
			gray_turn(c, gray, &g);
		k = send(c, text, size, MSG_NOSIGNAL);
		assert_true(k >= (ssize_t)first && k <= (ssize_t)size);
		sent = (size_t)k;
		if (g < 0)
			g = lab_accept_request(gray);
		lab_recv_n(g, got, first);
		assert_memory_equal(got, text, first);
		if (sent < size) {
			/* for good: the kernel does not ask again after a refusal (psock->eval stays) */
			assert_int_equal(send(c, text + sent, size - sent, MSG_NOSIGNAL), -1);
			assert_int_equal(errno, EACCES);
			seen = true;
		} else if (!punted) {
			/* where it is with the agent that may have bound it only after the second one came: then that is no more looked at, either */
			lab_recv_n(g, got, HEAD_LEN);
			assert_memory_equal(got, second, HEAD_LEN);
			lab_send(g, OK(4, "2nd."));
			lab_expect(c, OK(4, "2nd."));
		}
		lab_send(g, OK(4, "gray"));
		lab_expect(c, OK(4, "gray"));
		if (sent < size) {
			lab_recv_n(b, got, sent - first);
			assert_memory_equal(got, second, sent - first);
		}
		lab_expect_nothing(b);
		if (sent < size || !punted)
			lab_expect_nothing(g);
		/* nobody else's request has suffered */
		open_pair(LAB_BASE, base, &c2, &b2);
		gray_turn(c2, gray, &g2);
		base_turn(c2, b2);
		close(c);
		close(b);
		close(g);
		close(c2);
		close(b2);
		close(g2);
		lab_drain(base);
		lab_drain(gray);
	}
	free(second);
	free(text);
	free(got);
	free(body);
	return seen;
}

/* The agent may have bound the first request each time when the kernel gets to that head: then it is not refused, and nothing is seen of it. */
static void full_within_a_head(bool punted)
{
	bool seen = false;

	for (int i = 0; !seen && i < (punted ? 10 : 1); i++)
		seen = try_full_within_a_head(punted);
	assert_true(seen);
}

static void full_within_a_head_behind_a_steered_one(void **state)
{
	(void)state;
	full_within_a_head(false);
}

static void full_within_a_head_behind_a_punted_one(void **state)
{
	(void)state;
	full_within_a_head(true);
}

/* Nothing that is held back, or was not, was steered: base requests of that kind are whole, whatever their sends look like. */
static void full_within_a_head_behind_a_base_one(void **state)
{
	char *body = lab_noise(RING, 4), *got = malloc(2 * RING), *text = malloc(2 * RING),
	     *second = malloc(HEAD_LEN + 1);

	(void)state;
	snprintf(second, HEAD_LEN + 1, "GET /s HTTP/1.1\r\nX: %0*d\r\n\r\n", HEAD_LEN - 24, 7);
	for (size_t n = RING / 2; n < RING; n += HEAD_LEN * 2 / 3) {
		int c, b,
			len = sprintf(
				text,
				"POST /p HTTP/1.1\r\nHost: w\r\nContent-Length: %06zu\r\n\r\n", n);
		size_t first = (size_t)len + n;

		memcpy(text + len, body, n);
		memcpy(text + first, second, HEAD_LEN);
		open_pair(LAB_BASE, base, &c, &b);
		lab_send_n(c, text, first + HEAD_LEN);
		lab_recv_n(b, got, first + HEAD_LEN);
		assert_memory_equal(got, text, first + HEAD_LEN);
		lab_send(b, OK(1, "1") OK(1, "2"));
		lab_expect(c, OK(1, "1") OK(1, "2"));
		base_turn(c, b);
		close(c);
		close(b);
	}
	free(second);
	free(text);
	free(got);
	free(body);
}

#define INNER "GET /smuggled HTTP/1.1\r\nHost: w\r\n\r\n"
#define UNIT (sizeof(INNER) - 1)

/* A body of n bytes to the gray pod, which reads nothing of it and whose buffers are small: how much of it the client gets rid of. */
static size_t send_unread(const char *body, size_t n, int *c, int *b, int *g)
{
	char head[128];
	int up, small = 4096, len = snprintf(head, sizeof(head), POST "%zu\r\n\r\n", n);
	size_t at = 0;

	open_pair(LAB_BASE, base, c, b);
	*g = -1;
	gray_turn(*c, gray, g);
	assert_int_equal(setsockopt(*g, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	up = lab_upstream(*c);
	assert_int_equal(setsockopt(up, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	close(up);
	lab_send_n(*c, head, (size_t)len);
	for (;;) {
		struct pollfd p = { .fd = *c, .events = POLLOUT };
		ssize_t k = send(*c, body + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		assert_true(k > 0 || errno == EAGAIN);
		if (k < 0 && poll(&p, 1, 100) >= 0) {
			k = send(*c, body + at, n - at, MSG_DONTWAIT | MSG_NOSIGNAL);
			if (k < 0)
				return at;
		}
		if (k > 0)
			at += (size_t)k;
		if (at == n)
			return n;
	}
}

/*
 * The last of a body was taken in part, its pod has answered and closed: what is sent of it again is no request, though it looks like one, and
 * goes nowhere.
 */
static void rest_of_a_body_is_no_request(void **state)
{
	enum { N = 8000000 };
	char *body = malloc(N);
	int c, b, g;
	struct lw_flow f;
	size_t room, at;
	int seen[2] = { 0, 0 }, turn = 0;

	(void)state;
	for (size_t i = 0; i + UNIT <= N; i += UNIT)
		memcpy(body + i, INNER, UNIT);
	room = send_unread(body, N, &c, &b, &g);
	assert_true(room < N);
	close(c);
	close(b);
	close(g);
	for (size_t more = 20000; more < 1500000; more += 60000) {
		const size_t n = (room + more) / UNIT * UNIT;

		at = send_unread(body, n, &c, &b, &g);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
		assert_true(lab_flow(c, &f));
		close(g);
		lab_wait_ups_ended(c);
		/* one half of them when its row is no more, either */
		for (uint64_t until =
			     lw_clock_ns() + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;
		     turn % 2 && lab_has_upstream(f.ups[f.up].up); poll(NULL, 0, 1))
			assert_true(lw_clock_ns() < until);
		if (at < n) {
			/* from where a request seems to begin */
			assert_int_equal(send(c, body, n - at, MSG_NOSIGNAL), -1);
			assert_int_equal(errno, EACCES);
			seen[turn % 2]++;
		}
		turn++;
		lab_expect_nothing(b);
		close(c);
		close(b);
		lab_drain(gray);
	}
	assert_true(seen[0] > 0 && seen[1] > 0);
	free(body);
}

/* The agent has bound the first one's upstream socket: that is the second one's, too, whether or not it has been answered. */
static void second_behind_one_that_is_bound(void **state)
{
	struct lw_flow f;
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	for (uint64_t until = lw_clock_ns() + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;;
	     poll(NULL, 0, 1)) {
		assert_true(lab_flow(c, &f));
		if (!f.punt)
			break;
		assert_true(lw_clock_ns() < until);
	}
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, OK(1, "1") OK(1, "2"));
	lab_expect(c, OK(1, "1") OK(1, "2"));
	base_turn(c, b);
	gray_turn(c, gray, &g);
	close(c);
	close(b);
	close(g);
}

/* Who sends a request and closes, as a webhook may: natively the pod has it, and so it has when the agent carries it. */
static void client_does_not_wait(void **state)
{
	uint64_t carried = lab_count(LW_REASON_POOL_EMPTY);

	(void)state;
	for (int i = 0; i < 10; i++) {
		int c, b, g;

		open_pair(LAB_BASE, base, &c, &b);
		lab_send(c, GRAY_REQUEST);
		close(c);
		lab_expect_eof(b);
		close(b);
		g = lab_accept_request(gray);
		lab_expect(g, GRAY_TAGGED);
		lab_expect_eof(g);
		close(g);
		lab_drain(gray);
	}
	assert_true(lab_count(LW_REASON_POOL_EMPTY) > carried);
}

/*
 * A client that has connected to a canary, and pipelines base requests of which a part was held back, behind an answer that was not understood:
 * the socket that one came by is given up, and another base pod's is for them. The canary is for none of them.
 */
static void base_of_a_canarys_client(void **state)
{
	static const char doubtful[] = "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok";
	uint64_t counted = lab_count(LW_REASON_OPAQUE_PIPELINED);
	struct lw_flow f;

	(void)state;
	for (int i = 0; i < 4; i++) {
		int c, g, b = -1, b2;
		bool lost = i & 1, whole = i & 2;

		open_pair(LAB_GRAY, gray, &c, &g);
		lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
		if (lost) {
			lab_send(c, BASE_REQUEST);
			lab_expect(b, BASE_REQUEST);
			lab_send(b, doubtful);
			lab_expect(c, doubtful);
		}
		lab_send(c, "GET /a HT");
		lab_send(c, whole ? "TP/1.1\r\nHost: w\r\n\r\n" BASE_REQUEST :
				    "TP/1.1\r\nHost: w\r\n\r\nGET /a HT");
		b2 = lost ? lab_accept_request(base) : b;
		lab_expect(b2, whole ? BASE_REQUEST BASE_REQUEST : BASE_REQUEST "GET /a HT");
		if (!whole) {
			lab_send(c, "TP/1.1\r\nHost: w\r\n\r\n");
			lab_expect(b2, "TP/1.1\r\nHost: w\r\n\r\n");
		}
		lab_send(b2, OK(1, "1") OK(1, "2"));
		lab_expect(c, OK(1, "1") OK(1, "2"));
		assert_true(lab_flow(c, &f));
		assert_true(f.flags & LW_FLOW_OPAQUE);
		assert_int_equal(f.reason, LW_REASON_OPAQUE_PIPELINED);
		assert_int_equal(lab_count(LW_REASON_OPAQUE_PIPELINED), ++counted);
		close(c);
		lab_expect_eof(g);
		close(g);
		close(b);
		if (lost)
			close(b2);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(base_behind_a_part, lab_clean),
		cmocka_unit_test_teardown(part_behind_one_that_is_gone, lab_clean),
		cmocka_unit_test_teardown(full_within_a_head_behind_a_steered_one, lab_clean),
		cmocka_unit_test_teardown(full_within_a_head_behind_a_punted_one, lab_clean),
		cmocka_unit_test_teardown(full_within_a_head_behind_a_base_one, lab_clean),
		cmocka_unit_test_teardown(rest_of_a_body_is_no_request, lab_clean),
		cmocka_unit_test_teardown(second_behind_one_that_is_bound, lab_clean),
		cmocka_unit_test_teardown(client_does_not_wait, lab_clean),
		cmocka_unit_test_teardown(base_of_a_canarys_client, lab_clean),
	};

	return RUN_BOTH_WAYS("held", tests, setup, lab_teardown);
}
