/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Steered bytes between two sockets of one node, past TCP: which take that way, when they may not, and that
 * none overtakes another. What TCP carried is told by the pod's end of the connection (TCP_INFO).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/addr.h"
#include "kern/internal.h"
#include "lw_lanes.skel.h"
#include "laneway/reasons.h"
#include "locked.h"
#include "turns.h"
#include "two_pods.h"

#define WAIT_MS lab_patience_ms(2000)
#define PUT "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n"
#define ANSWER "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

static uint64_t got_by_tcp(int fd)
{
	return lab_tcp_info(fd).tcpi_bytes_received;
}

/* Or is to be: what the window, or a busy machine, has kept back so far is counted. */
static uint64_t sent_by_tcp(int fd)
{
	const struct tcp_info i = lab_tcp_info(fd);

	return i.tcpi_bytes_sent + i.tcpi_notsent_bytes;
}

static char *noise(size_t n)
{
	char *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + (i * 2654435761u >> 13) % 26);
	return p;
}

/* Once the acknowledgements are in, a turn passes TCP by. */
static void pass_by(int c, int *g)
{
	uint64_t got, sent;

	for (int i = 0; i < 200; i++) {
		got = got_by_tcp(*g);
		sent = sent_by_tcp(*g);
		gray_turn(c, gray, g);
		if ((got_by_tcp(*g) == got || !lab_requests_pass_by()) && sent_by_tcp(*g) == sent)
			return;
		usleep(10000);
	}
	fail_msg("%s", "it takes TCP for good");
}

/* A connection with an upstream connection to the gray pod, whose bytes have all been read. */
static void open_gray(int *c, int *b, int *g)
{
	open_pair(LAB_BASE, base, c, b);
	*g = -1;
	gray_turn(*c, gray, g);
	pass_by(*c, g);
}

static void close_all(int c, int b, int g)
{
	close(c);
	close(b);
	close(g);
}

static void steered_bytes_pass_tcp_by(void **state)
{
	uint64_t got, sent;
	int c, b, g;

	(void)state;
	open_gray(&c, &b, &g);
	got = got_by_tcp(g);
	sent = sent_by_tcp(g);
	for (int i = 0; i < 5; i++) {
		gray_turn(c, gray, &g);
		base_turn(c, b);
	}
	assert_int_equal(got_by_tcp(g),
			 lab_requests_pass_by() ? got : got + 5 * strlen(GRAY_TAGGED));
	assert_int_equal(sent_by_tcp(g), sent);
	assert_true(got_by_tcp(b) > 0);
	close_all(c, b, g);
}

/* Who reads requests is told how much there is of them: nobody keeps a server out, as clients are that this kernel would hurt. */
static void servers_are_told_of_requests(void **state)
{
	struct pollfd p = { .events = POLLIN };
	int c, b, n;

	(void)state;
	open_gray(&c, &b, &p.fd);
	for (int i = 0; i < 3; i++) {
		lab_send(c, GET);
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		assert_int_equal(ioctl(p.fd, FIONREAD, &n), 0);
		assert_int_equal(n, strlen(GET));
		lab_expect(p.fd, GET);
		lab_send(p.fd, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	close_all(c, b, p.fd);
}

/* Somebody splices in the pod: no splice(2) sees what passes TCP by. Connections that are there take it, those to come are left alone. */
static void who_splices_gets_theirs_by_tcp(void **state)
{
	struct lw_kern *kern = lab_kern();
	int fd = bpf_map__fd(kern->skel->maps.lw_spliced), c[2], b[2], g[2];
	uint64_t netns, since = 1, got;
	socklen_t len = sizeof(netns);

	(void)state;
	open_gray(&c[0], &b[0], &g[0]);
	assert_int_equal(getsockopt(c[0], SOL_SOCKET, SO_NETNS_COOKIE, &netns, &len), 0);
	assert_int_equal(bpf_map_update_elem(fd, &netns, &since, BPF_ANY), 0);
	__atomic_add_fetch(&kern->config->spliced, 1, __ATOMIC_RELEASE);
	open_pair(LAB_BASE, base, &c[1], &b[1]);
	g[1] = -1;
	for (int i = 0; i < 2; i++) {
		gray_turn(c[i], gray, &g[i]);
		for (int turn = 0; turn < 3; turn++) {
			got = got_by_tcp(g[i]);
			gray_turn(c[i], gray, &g[i]);
			assert_int_equal(got_by_tcp(g[i]), got + strlen(GRAY_TAGGED));
		}
	}
	/* the agent fills its pools again when it comes to it */
	for (int i = 0; i < WAIT_MS && lab_count(LW_REASON_KEPT_SPLICE) == 0; i++)
		usleep(1000);
	assert_true(lab_count(LW_REASON_KEPT_SPLICE) > 0);
	assert_int_equal(bpf_map_delete_elem(fd, &netns), 0);
	__atomic_add_fetch(&kern->config->spliced, 1, __ATOMIC_RELEASE);
	if (lab_requests_pass_by())
		pass_by(c[0], &g[0]);
	for (int i = 0; i < 2; i++)
		close_all(c[i], b[i], g[i]);
}

/* Pods that are in no lane learn of their requests' lanes from the wire. */
static void base_pods_get_theirs_by_tcp(void **state)
{
	int c = lab_connect(LAB_GRAY, LAB_PORT), g = lab_accept(gray, c), b = -1;
	uint64_t before;

	(void)state;
	lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
	before = got_by_tcp(b);
	lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
	assert_int_equal(got_by_tcp(b), before + strlen(BASE_REQUEST));
	close_all(c, b, g);
}

static void send_what_is_taken(int fd, const char *data, size_t n, size_t *out)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	while (*out < n && poll(&p, 1, 200) == 1) {
		size_t piece = n - *out < 50000 ? n - *out : 50000;
		ssize_t k = send(fd, data + *out, piece, MSG_DONTWAIT | MSG_NOSIGNAL);

		/* a full upstream socket says so here, and not to poll() */
		if (k < 0)
			return;
		*out += (size_t)k;
	}
}

/* All of data from one end to the other, though the reader begins only when the sender is held back. */
static void carry(int from, int to, const char *data, size_t n)
{
	char *got = malloc(n);
	size_t out = 0, in = 0;

	assert_non_null(got);
	while (in < n) {
		size_t before = out;

		send_what_is_taken(from, data, n, &out);
		lab_recv_n(to, got + in, out - before);
		in = out;
	}
	assert_memory_equal(got, data, n);
	free(got);
}

/* Not so much that the agent takes the response over (LW_BACKLOG_MAX): there is no way back from that. */
static void what_is_not_read_takes_tcp(void **state)
{
	enum { N = 3000000 };
	char *body = noise(N), head[128];
	uint64_t got, sent;
	int c, b, g;

	(void)state;
	open_gray(&c, &b, &g);
	for (int round = 0; round < 3; round++) {
		got = got_by_tcp(g);
		sent = sent_by_tcp(g);
		snprintf(head, sizeof(head), PUT, (int)N);
		lab_send(c, head);
		lab_expect(g, head);
		carry(c, g, body, N);
		/* the first LW_BYPASS_MAX bytes, and what had been read before they were full */
		assert_in_range(got_by_tcp(g) - got, N / 2,
				lab_requests_pass_by() ? N - LW_BYPASS_MAX / 2 : N + sizeof(head));
		snprintf(head, sizeof(head), ANSWER, (int)N);
		lab_send(g, head);
		lab_expect(c, head);
		carry(g, c, body, N);
		assert_in_range(sent_by_tcp(g) - sent, N / 2, N - LW_BYPASS_MAX / 2);
		/* all has been read: the next ones pass by again */
		pass_by(c, &g);
		base_turn(c, b);
	}
	close_all(c, b, g);
	free(body);
}

/* A pod may answer before it has read a request's body, and read the rest of it later. */
static void unread_body_is_not_overtaken(void **state)
{
	char head[128], first[256];
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	snprintf(head, sizeof(head), PUT, 10);
	/* the first by the agent and TCP, the second and third past it or not */
	for (int i = 0; i < 3; i++) {
		snprintf(first, sizeof(first), "%s0123456789", head);
		lab_send(c, first);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, head);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
		lab_send(c, GET);
		lab_expect(g, "0123456789");
		lab_expect(g, GET);
		lab_send(g, OK(2, "ok"));
		lab_expect(c, OK(2, "ok"));
	}
	close_all(c, b, g);
}

/* The same with a body that is still on the wire, as the pod has no room for it. */
static void body_on_the_wire_is_not_overtaken(void **state)
{
	enum { N = 3000000 };
	char *body = noise(N), *got = malloc(N), head[128];
	int c, b, g, size = 65536;
	size_t out = 0;

	(void)state;
	assert_non_null(got);
	open_gray(&c, &b, &g);
	assert_int_equal(setsockopt(g, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	snprintf(head, sizeof(head), PUT, (int)N);
	lab_send(c, head);
	lab_expect(g, head);
	while (out < N)
		send_what_is_taken(c, body, N, &out);
	lab_send(g, OK(0, ""));
	lab_expect(c, OK(0, ""));
	lab_send(c, GET);
	lab_recv_n(g, got, N);
	assert_memory_equal(got, body, N);
	lab_expect(g, GET);
	lab_send(g, OK(2, "ok"));
	lab_expect(c, OK(2, "ok"));
	close_all(c, b, g);
	free(body);
	free(got);
}

/* A client that asks and asks and reads nothing: what waits for it in the queue has a bound. */
static void unread_answers_are_bounded(void **state)
{
	enum { N = 100000, TIMES = 30 };
	char *body = noise(N), *got = malloc(N), head[64];
	uint64_t before;
	int c, b, g;

	(void)state;
	assert_non_null(got);
	open_gray(&c, &b, &g);
	before = sent_by_tcp(g);
	snprintf(head, sizeof(head), ANSWER, (int)N);
	for (int i = 0; i < TIMES; i++) {
		lab_send(c, GET);
		lab_expect(g, GET);
		body[0] = (char)('A' + i);
		lab_send(g, head);
		lab_send_n(g, body, N);
	}
	assert_true(sent_by_tcp(g) - before >= (uint64_t)N * TIMES - LW_BYPASS_MAX - N);
	for (int i = 0; i < TIMES; i++) {
		body[0] = (char)('A' + i);
		lab_expect(c, head);
		lab_recv_n(c, got, N);
		assert_memory_equal(got, body, N);
	}
	gray_turn(c, gray, &g);
	close_all(c, b, g);
	free(body);
	free(got);
}

/* Pipelined: some answers past TCP, some by it, none before its turn. */
static void pipelined_answers_keep_their_order(void **state)
{
	enum { N = 300000, DEPTH = 8 };
	char *body = noise(N), *got = malloc(N), head[64];
	int c, b, g;

	(void)state;
	assert_non_null(got);
	open_gray(&c, &b, &g);
	snprintf(head, sizeof(head), ANSWER, (int)N);
	for (int round = 0; round < 10; round++) {
		for (int i = 0; i < DEPTH; i++)
			lab_send(c, GET);
		for (int i = 0; i < DEPTH; i++) {
			size_t out = 0;

			lab_expect(g, GET);
			body[0] = (char)('A' + i);
			lab_send(g, head);
			while (out < N)
				send_what_is_taken(g, body, N, &out);
		}
		for (int i = 0; i < DEPTH; i++) {
			body[0] = (char)('A' + i);
			lab_expect(c, head);
			lab_recv_n(c, got, N);
			assert_memory_equal(got, body, N);
		}
	}
	close_all(c, b, g);
	free(body);
	free(got);
}

/* A pod can give itself any address. That it sits at the other end takes both ends' sequence numbers. */
static void addresses_prove_nothing(void **state)
{
	struct lw_lanes_bpf *s = lab_kern()->skel;
	struct lw_connecting claimed = { .up = 0x1234567890 };
	struct lw_tuple t = { .local_port = LAB_PORT };
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
			   to = sa;
	socklen_t len = sizeof(sa);
	struct lw_far far;
	int c = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), g;

	(void)state;
	assert_int_equal(bind(c, (struct sockaddr *)&sa, sizeof(sa)), 0);
	assert_int_equal(getsockname(c, (struct sockaddr *)&sa, &len), 0);
	assert_int_equal(lw_addr_parse("127.0.0.1", &t.peer), 0);
	assert_int_equal(lw_addr_parse(LAB_GRAY, &t.local), 0);
	t.peer_port = ntohs(sa.sin_port);
	assert_int_equal(
		bpf_map_update_elem(bpf_map__fd(s->maps.lw_connecting), &t, &claimed, BPF_ANY), 0);
	to.sin_addr.s_addr = inet_addr(LAB_GRAY);
	to.sin_port = htons(LAB_PORT);
	assert_int_equal(connect(c, (struct sockaddr *)&to, sizeof(to)), 0);
	g = lab_accept(gray, c);
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(s->maps.lw_fars), &claimed.up, &far),
			 -ENOENT);
	/* it was looked at, and refused: the claim is still there */
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(s->maps.lw_connecting), &t, &claimed), 0);
	assert_int_equal(bpf_map_delete_elem(bpf_map__fd(s->maps.lw_connecting), &t), 0);
	close(c);
	close(g);
}

struct again {
	int c;
	uint64_t up; /* what it has had its answer by */
	volatile bool ready;
	volatile bool sent; /* the pod's send is through */
	bool raced; /* it was not when it mattered */
};

/* A client that asks again in the very moment that it has an answer, while the pod is still at work on its send. */
static void *ask_again(void *arg)
{
	static char got[256];
	struct again *a = arg;
	ssize_t n;

	do
		n = recv(a->c, got, sizeof(OK(4, "gray")) - 1, MSG_DONTWAIT);
	while (n < 0 && errno == EAGAIN);
	if (n != sizeof(OK(4, "gray")) - 1 ||
	    send(a->c, GRAY_REQUEST, sizeof(GRAY_REQUEST) - 1, MSG_NOSIGNAL) < 0)
		return NULL;
	a->raced = !a->sent;
	n = recv(a->c, got, sizeof(got) - 1, 0);
	got[n > 0 ? n : 0] = 0;
	return got;
}

/*
 * Bytes behind an answer are no answer to the request that comes before the pod's send is through. That is so in one of 80, where
 * there is more than one CPU; how often is told, as it cannot be made sure.
 */
static void surplus_is_no_answer(void **state)
{
	enum { N = 400 };
	int raced = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		struct again a = { 0 };
		int b, g, next;
		pthread_t client;
		void *got;

		open_gray(&a.c, &b, &g);
		lab_send(a.c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		assert_int_equal(pthread_create(&client, NULL, ask_again, &a), 0);
		usleep(200); /* it is at it */
		lab_send(g, OK(4, "gray") "JUNK!");
		a.sent = true;
		next = lab_accept_request(gray);
		lab_expect(next, GRAY_TAGGED);
		lab_send(next, OK(5, "other"));
		assert_int_equal(pthread_join(client, &got), 0);
		assert_non_null(got);
		assert_string_equal(got, OK(5, "other"));
		raced += a.raced;
		close_all(a.c, b, g);
		close(next);
	}
	print_message("asked before the send was through: %d of %d\n", raced, N);
}

static void only_on(cpu_set_t *was, int policy)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	if (was)
		assert_int_equal(sched_getaffinity(0, sizeof(*was), was), 0);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(sched_setscheduler(0, policy, &(struct sched_param){ 0 }), 0);
}

/* As ask_again(), on the pod's CPU, which it does not give back before its upstream socket is gone. */
static void *ask_again_alone(void *arg)
{
	int ups = bpf_map__fd(lab_kern()->skel->maps.lw_ups);
	struct again *a = arg;
	bool gone = false;
	struct lw_up up;

	only_on(NULL, SCHED_OTHER);
	a->ready = true;
	lab_expect(a->c, OK(4, "gray"));
	lab_send(a->c, GRAY_REQUEST);
	for (int i = 0; i < 100000 && !gone; i++)
		gone = bpf_map_lookup_elem(ups, &a->up, &up) != 0;
	a->raced = gone && !a->sent;
	return NULL;
}

/*
 * What is behind an answer may be looked at when the agent has closed the socket already: the client does not get it. Brought about only
 * where the kernel lets another thread run within a send, as 6.12's does and one without preemption does not: how often is told.
 */
static void surplus_comes_too_late(void **state)
{
	enum { N = 20 };
	int raced = 0;

	(void)state;
	for (int i = 0; i < N; i++) {
		struct again a = { 0 };
		struct lw_flow flow;
		pthread_t client;
		cpu_set_t was;
		int b, g, next;

		open_gray(&a.c, &b, &g);
		lab_send(a.c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		assert_true(lab_flow(a.c, &flow));
		a.up = flow.ups[flow.up & (LW_FLOW_UPS - 1)].up;
		only_on(&was, SCHED_IDLE);
		assert_int_equal(pthread_create(&client, NULL, ask_again_alone, &a), 0);
		/* it has come to wait for the answer when it lets this thread, which has the CPU's leavings, run */
		while (!a.ready)
			(void)sched_yield();
		/* its end is refused where there is nobody to take it any more */
		(void)send(g, OK(4, "gray") "JUNK!", sizeof(OK(4, "gray") "JUNK!") - 1,
			   MSG_NOSIGNAL);
		a.sent = true;
		assert_int_equal(pthread_join(client, NULL), 0);
		assert_int_equal(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){ 0 }), 0);
		assert_int_equal(sched_setaffinity(0, sizeof(was), &was), 0);
		next = lab_accept_request(gray);
		lab_expect(next, GRAY_TAGGED);
		lab_send(next, OK(5, "other"));
		lab_expect(a.c, OK(5, "other"));
		raced += a.raced;
		close_all(a.c, b, g);
		close(next);
	}
	print_message("the socket was gone before the send was through: %d of %d\n", raced, N);
}

static int count_fars(void)
{
	int fd = bpf_map__fd(lab_kern()->skel->maps.lw_fars), n = 0;
	uint64_t key, *at = NULL;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		n++;
	}
	return n;
}

/* ---- sockets that their applications keep locked ---- */

struct sending {
	int fd;
	const char *text;
	int done;
};

static void *send_text(void *arg)
{
	struct sending *s = arg;

	(void)send(s->fd, s->text, strlen(s->text), MSG_NOSIGNAL);
	__atomic_store_n(&s->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Is text sent on fd, while `locked` is locked? */
static bool is_sent(int fd, const char *text, int locked)
{
	struct sending s = { .fd = fd, .text = text };
	struct held h;
	pthread_t thread;
	bool sent;

	hold(&h, locked);
	assert_int_equal(pthread_create(&thread, NULL, send_text, &s), 0);
	for (int ms = 0; !__atomic_load_n(&s.done, __ATOMIC_ACQUIRE) && ms < WAIT_MS; ms++)
		poll(NULL, 0, 1);
	sent = __atomic_load_n(&s.done, __ATOMIC_ACQUIRE);
	let_go(&h);
	joined(&h);
	pthread_join(thread, NULL);
	return sent;
}

/* A pod that answers a client does not wait until that one has sent what it is sending: it may answer others with the same thread. */
static void locked_client_keeps_no_pod_waiting(void **state)
{
	int c, b, g;

	(void)state;
	open_gray(&c, &b, &g);
	lab_send(c, GET);
	lab_expect(g, GET);
	assert_true(is_sent(g, OK(4, "gray"), c));
	lab_expect(c, OK(4, "gray"));
	close_all(c, b, g);
}

/* Nor a client for a pod. */
static void locked_pod_keeps_no_client_waiting(void **state)
{
	int c, b, g;

	(void)state;
	open_gray(&c, &b, &g);
	assert_true(is_sent(c, GET, g));
	lab_expect(g, GET);
	close_all(c, b, g);
}

/* Nothing is left of connections that have ended, whoever ended them. */
static void nothing_is_left_behind(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		int c, b, g;

		open_gray(&c, &b, &g);
		gray_turn(c, gray, &g);
		if (i % 2) {
			close(c);
			lab_expect_eof(g);
			close(g);
		} else {
			close(g);
			base_turn(c, b);
			close(c);
		}
		close(b);
	}
	/* the pool lets go of what it holds in its own time, that of earlier tests too */
	for (int i = 0; i < 2000 && count_fars(); i++)
		usleep(10000);
	assert_int_equal(count_fars(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(steered_bytes_pass_tcp_by, lab_clean),
		cmocka_unit_test_teardown(servers_are_told_of_requests, lab_clean),
		cmocka_unit_test_teardown(who_splices_gets_theirs_by_tcp, lab_clean),
		cmocka_unit_test_teardown(base_pods_get_theirs_by_tcp, lab_clean),
		cmocka_unit_test_teardown(what_is_not_read_takes_tcp, lab_clean),
		cmocka_unit_test_teardown(unread_body_is_not_overtaken, lab_clean),
		cmocka_unit_test_teardown(body_on_the_wire_is_not_overtaken, lab_clean),
		cmocka_unit_test_teardown(unread_answers_are_bounded, lab_clean),
		cmocka_unit_test_teardown(pipelined_answers_keep_their_order, lab_clean),
		cmocka_unit_test_teardown(addresses_prove_nothing, lab_clean),
		cmocka_unit_test_teardown(surplus_is_no_answer, lab_clean),
		cmocka_unit_test_teardown(surplus_comes_too_late, lab_clean),
		cmocka_unit_test_teardown(locked_client_keeps_no_pod_waiting, lab_clean),
		cmocka_unit_test_teardown(locked_pod_keeps_no_client_waiting, lab_clean),
		cmocka_unit_test_teardown(nothing_is_left_behind, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("bypass", tests, setup, lab_teardown);
}
