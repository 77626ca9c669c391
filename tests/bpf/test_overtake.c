/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that go past TCP overtake none that go by it, wherever the kernel has those: what TCP has acknowledged is not at the client yet,
 * nor is what waits on its way into the client's socket. And the own peer's end of file overtakes none of either.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "laneway/reasons.h"
#include "late.h"
#include "locked.h"
#include "lw_lanes.skel.h"
#include "turns.h"

#define LATE_NS (500 * LW_NS_PER_MS)
#define ROUNDS 8
#define ROUNDS_MAX 40 /* until it has come about, which is the scheduler's to say */
#define N 3000000
#define INTERIM "HTTP/1.1 102 Processing\r\n\r\n"

static int setup(void **state)
{
	(void)state;
	return late_start(LATE_NS);
}

/* A connection with an upstream connection to the gray pod. On one processor who holds others up may have left none to the agent. */
static void open_gray(int *c, int *b, int *g)
{
	const struct lw_config *conf = lab_kern()->config;
	uint64_t until = patience();

	while (lw_clock_ns() - __atomic_load_n(&conf->heartbeat_ns, __ATOMIC_ACQUIRE) >
	       conf->heartbeat_max_ns / 2)
		a_little_later(until);
	open_pair(LAB_BASE, base, c, b);
	*g = -1;
	gray_turn(*c, gray, g);
}

/* All that fd has sent is acknowledged. */
static bool is_acknowledged(int fd)
{
	const struct tcp_info i = lab_tcp_info(fd);

	return !i.tcpi_unacked && !i.tcpi_notsent_bytes;
}

static uint64_t upstream_address(int c)
{
	struct lw_flow f;
	struct lw_far far;

	assert_true(lab_flow(c, &f));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_fars),
					     &f.ups[f.up & (LW_FLOW_UPS - 1)].up, &far),
			 0);
	return far.up_sk;
}

/*
 * An interim response takes the connection, for the client is within a send; somebody has locked the upstream socket when it comes. So it is
 * looked at by whoever unlocks that one, in no interrupt's place: he has had it acknowledged when another takes his processor, or works beside
 * him. The final response comes then. True: it was so, and not over before.
 */
static bool final_response_comes_early(size_t size)
{
	struct held client, upstream;
	int c, b, g, u, one = 1;
	unsigned int slow = 50000, fast = ~0u; /* bytes a second */
	char *body = lab_noise(size, 1), *got = malloc(size), head[128];
	bool early = false;

	assert_non_null(got);
	open_gray(&c, &b, &g);
	/* what is yet to be sent of a request keeps memory by: TCP is quick then with what comes (tcp_rcv_established(), sk_forward_alloc) */
	u = lab_upstream(c);
	assert_int_equal(setsockopt(u, SOL_SOCKET, SO_MAX_PACING_RATE, &slow, sizeof(slow)), 0);
	snprintf(head, sizeof(head),
		 "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n", (int)size);
	lab_send(c, head);
	lab_expect(g, head);
	lab_send_n(c, body, size);
	assert_int_equal(setsockopt(g, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	/* or the acknowledgement might wait for more */
	assert_int_equal(setsockopt(u, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
	hold(&client, c);
	/* the first of them tell the upstream socket what window to expect, the last does not come unexpected */
	for (int i = 0; i < 3; i++) {
		uint64_t until = patience();

		lab_send(g, INTERIM);
		while (!is_acknowledged(g))
			a_little_later(until);
	}
	hold(&upstream, u);
	lab_send(g, INTERIM);
	let_go(&client);
	joined(&client);
	late_is_enough(false);
	late->bss->verdict_sk = upstream_address(c);
	let_go(&upstream);
	while (!early && pthread_tryjoin_np(upstream.thread, NULL) == EBUSY)
		early = is_late() && is_acknowledged(g) && is_late();
	lab_send(g, OK(5, "final"));
	if (early) {
		early = is_late();
		late_is_enough(true);
		joined(&upstream);
	}
	for (int i = 0; i < 4; i++)
		lab_expect(c, INTERIM);
	lab_expect(c, OK(5, "final"));
	late->bss->verdict_sk = 0;
	assert_int_equal(setsockopt(u, SOL_SOCKET, SO_MAX_PACING_RATE, &fast, sizeof(fast)), 0);
	lab_recv_n(g, got, size);
	assert_memory_equal(got, body, size);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	close(u);
	free(body);
	free(got);
	return early;
}

/*
 * As of 6.7 a thread that works on what came while a socket was locked acknowledges it when it has got to the end. What it sends on the way
 * tells the same earlier; for the test that is turned off.
 */
static void acknowledge_at_once(void)
{
	int fd = open("/proc/sys/net/ipv4/tcp_backlog_ack_defer", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		assert_int_equal(errno, ENOENT);
		return;
	}
	assert_int_equal(write(fd, "0", 1), 1);
	close(fd);
}

static void what_is_acknowledged_is_not_overtaken(void **state)
{
	int early = 0, i;

	(void)state;
	acknowledge_at_once();
	late->bss->late_ns = (uint64_t)lab_patience_ms(1) * LATE_NS;
	for (i = 0; i < ROUNDS || (!early && i < ROUNDS_MAX); i++)
		early += final_response_comes_early(N + (size_t)i * 700);
	late->bss->late_ns = LATE_NS;
	late_is_enough(false);
	print_message("brought about in %d of %d\n", early, i);
	/* one processor, which nobody takes from another within the kernel: it does not come about */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		assert_true(early > 0);
}

/*
 * The end of an upstream connection comes in one packet with the response, and the thread that looks at it, as it had locked the socket, is held up
 * between the two: the client gets its response, and no reset.
 */
static void an_end_is_not_before_what_it_ends(void **state)
{
	(void)state;
	late->bss->late_ns = 60 * LW_NS_PER_MS;
	/* the agent learns of the end in two ways, and has to learn of it in one of them first */
	for (int i = 0; i < 60; i++) {
		struct held client, upstream;
		int c, b, g, u, one = 1;

		open_gray(&c, &b, &g);
		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		u = lab_upstream(c);
		hold(&client, c);
		hold(&upstream, u);
		assert_int_equal(setsockopt(g, IPPROTO_TCP, TCP_CORK, &one, sizeof(one)), 0);
		lab_send(g, OK(4, "last"));
		close(g);
		let_go(&client);
		joined(&client);
		late->bss->verdict_sk = upstream_address(c);
		let_go(&upstream);
		joined(&upstream);
		late->bss->verdict_sk = 0;
		lab_expect(c, OK(4, "last"));
		base_turn(c, b);
		close(c);
		close(b);
		close(u);
	}
	late->bss->late_ns = LATE_NS;
}

static void *send_response(void *arg)
{
	lab_send(*(int *)arg, OK(4, "last"));
	return NULL;
}

/*
 * The own peer closes when the response has been followed to its end, and the pod's thread is held up before it brings it to the client. True: it
 * was so, and not over before.
 */
static bool peer_closes_before_it_is_there(void)
{
	bool early, ended = false;
	struct lw_flow f;
	pthread_t pod;
	int c, b, g;

	open_gray(&c, &b, &g);
	/* the first went by the agent, and its answer by TCP */
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	assert_true(lab_flow(c, &f));
	late_is_enough(false);
	late->bss->passed_sk = f.sk;
	assert_int_equal(pthread_create(&pod, NULL, send_response, &g), 0);
	while (!is_late() && !ended)
		ended = !pthread_tryjoin_np(pod, NULL);
	close(b);
	early = is_late();
	/* waited for within recv(2), which an end of file would end */
	lab_expect(c, OK(4, "last"));
	lab_expect_eof(c);
	late->bss->passed_sk = 0;
	if (!ended)
		assert_int_equal(pthread_join(pod, NULL), 0);
	close(c);
	close(g);
	return early;
}

static void nor_by_the_own_peers_end(void **state)
{
	int early = 0, i;

	(void)state;
	for (i = 0; i < ROUNDS || (!early && i < ROUNDS_MAX); i++)
		early += peer_closes_before_it_is_there();
	late_is_enough(false);
	print_message("brought about in %d of %d\n", early, i);
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		assert_true(early > 0);
}

/* Sends data on fd, which somebody reads at some time. */
struct answer {
	int fd;
	const char *head, *body;
	size_t n;
};

static void *send_answer(void *arg)
{
	struct answer *a = arg;

	lab_send(a->fd, a->head);
	lab_send_n(a->fd, a->body, a->n);
	return NULL;
}

/* Is the last response of c's upstream socket through, as far as that is known there? */
static bool is_answered(int c)
{
	struct lw_flow f;
	struct lw_up up;

	assert_true(lab_flow(c, &f));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_ups),
					     &f.ups[f.up & (LW_FLOW_UPS - 1)].up, &up),
			 0);
	return up.req_seq == up.resp_seq;
}

/* A client that asks for another lane's before it has read its answer, which is more than its socket takes: in the order it has asked. */
static void ask_before_reading(size_t size)
{
	char *body = lab_noise(size, 2), *got = malloc(size), head[64];
	struct answer answer = { .head = head, .body = body, .n = size };
	struct pollfd next[2];
	pthread_t pod;
	struct lw_flow f;
	int c, b, g;

	assert_non_null(got);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", size);
	open_gray(&c, &b, &g);
	answer.fd = g;
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	assert_int_equal(pthread_create(&pod, NULL, send_answer, &answer), 0);
	/* or the pod is held back, which nobody tells */
	for (int ms = 0; ms < 500 && !is_answered(c); ms++)
		poll(NULL, 0, 1);
	lab_send(c, BASE_REQUEST);
	next[0] = (struct pollfd){ .fd = g, .events = POLLIN };
	next[1] = (struct pollfd){ .fd = b, .events = POLLIN };
	assert_int_equal(poll(next, 2, lab_patience_ms(5000)), 1);
	lab_expect(next[0].revents ? g : b, BASE_REQUEST);
	if (next[1].revents)
		lab_send(b, OK(4, "next"));
	lab_expect(c, head);
	lab_recv_n(c, got, size);
	assert_memory_equal(got, body, size);
	assert_int_equal(pthread_join(pod, NULL), 0);
	if (next[0].revents)
		lab_send(g, OK(4, "next"));
	lab_expect(c, OK(4, "next"));
	print_message("%zu bytes: to the %s pod\n", size, next[0].revents ? "same" : "other");
	/* where there is room for all of the answer it may be another */
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, next[0].revents ? LW_REASON_OPAQUE_PIPELINED : LW_REASON_OK);
	close(c);
	close(b);
	close(g);
	free(body);
	free(got);
}

/* As much as waits before a socket, and so much that the agent takes it over (LW_BACKLOG_MAX), each on kernels with large and small sockets. */
static void what_waits_is_not_overtaken(void **state)
{
	(void)state;
	for (size_t mb = 4; mb <= 16; mb *= 2)
		ask_before_reading(mb << 20);
}

/* But one that has read all of it is in no doubt, even if it asks when the last of it is yet in the queue, too. */
static void what_has_been_read_waits_no_more(void **state)
{
	static const char text[] = OK(4, "gray");
	char got[sizeof(text)] = "";
	int c, b, g;
	struct lw_flow f;

	(void)state;
	open_gray(&c, &b, &g);
	for (int i = 0; i < 5; i++) {
		uint64_t until = patience();
		struct held client;
		size_t n = 0;

		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		assert_true(lab_flow(c, &f));
		late->bss->worker_sk = f.sk;
		/* by the connection */
		hold(&client, c);
		lab_send(g, text);
		let_go(&client);
		joined(&client);
		/* it never sleeps: the turn is to come as soon as the last byte is there */
		for (ssize_t k; n<sizeof(text) - 1; n += k> 0 ? (size_t)k : 0) {
			k = recv(c, got + n, sizeof(text) - 1 - n, MSG_DONTWAIT);
			assert_true(lw_clock_ns() < until);
		}
		assert_string_equal(got, text);
		base_turn(c, b);
		late->bss->worker_sk = 0;
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.flags & LW_FLOW_OPAQUE, 0);
	}
	close(c);
	close(b);
	close(g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_acknowledged_is_not_overtaken, lab_clean),
		cmocka_unit_test_teardown(an_end_is_not_before_what_it_ends, lab_clean),
		cmocka_unit_test_teardown(nor_by_the_own_peers_end, lab_clean),
		cmocka_unit_test_teardown(what_waits_is_not_overtaken, lab_clean),
		cmocka_unit_test_teardown(what_has_been_read_waits_no_more, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return LATE_RUN("overtake", tests, setup);
}
