/* SPDX-License-Identifier: Apache-2.0 */
/* A slow reader's response goes through the agent (user/kern/relay.c), which has others to serve meanwhile. */
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "drop_own.skel.h"
#include "kern/internal.h"
#include "lw_lanes.skel.h"
#include "turns.h"
#include "two_pods.h"

#define N 33554432
#define HEAD "HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n"
/* Nothing has come for that long: nothing is on its way. */
#define QUIET_MS 300

static struct drop_own_bpf *drop;

static int setup(void **state)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts);
	int r = two_pods_start(&(struct lab_options){ 0 });

	(void)state;
	drop = drop_own_bpf__open_and_load();
	assert_non_null(drop);
	hook.ifindex = (int)if_nametoindex("lo");
	opts.prog_fd = bpf_program__fd(drop->progs.drop_own);
	assert_int_equal(bpf_tc_hook_create(&hook), 0);
	assert_int_equal(bpf_tc_attach(&hook, &opts), 0);
	return r;
}

static int teardown(void **state)
{
	drop_own_bpf__destroy(drop);
	return lab_teardown(state);
}

struct answer {
	int fd;
	char *body;
};

static void *send_answer(void *arg)
{
	const struct answer *a = arg;

	lab_send(a->fd, HEAD);
	lab_send_n(a->fd, a->body, N);
	return NULL;
}

struct rows {
	uint64_t down;
	int n;
};

static int count_row(uint64_t cookie, const struct lw_up *up, void *arg)
{
	struct rows *rows = arg;

	(void)cookie;
	rows->n += up->down == rows->down;
	return 0;
}

/* Beside its upstream socket c has the near end of a connection that the agent has made to itself. */
static bool is_relayed(int c)
{
	struct rows rows = { 0 };
	socklen_t len = sizeof(rows.down);

	assert_int_equal(getsockopt(c, SOL_SOCKET, SO_COOKIE, &rows.down, &len), 0);
	assert_int_equal(lw_kern_each_up(lab_kern(), count_row, &rows), 0);
	return rows.n == 2;
}

/* What is there, and comes while it is read. */
static size_t read_what_comes(int c, char *buf, size_t n)
{
	struct pollfd p = { .fd = c, .events = POLLIN };
	size_t got = 0;

	while (got < n && poll(&p, 1, lab_patience_ms(QUIET_MS)) == 1) {
		ssize_t k = recv(c, buf + got, n - got, MSG_DONTWAIT);

		got += k > 0 ? (size_t)k : 0;
	}
	return got;
}

static uint64_t heartbeat(void)
{
	return __atomic_load_n(&lab_kern()->config->heartbeat_ns, __ATOMIC_ACQUIRE);
}

/* The way over the agent's own connection is blocked for some time: it goes on with all else, and with this when the way is free. */
static void blocked_way(void **state)
{
	struct answer answer = { .body = lab_noise(N, 3) };
	char *got = malloc(N);
	uint64_t until, now;
	size_t n = 0;
	pthread_t pod;
	int c, b, g;

	(void)state;
	assert_non_null(got);
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	answer.fd = g;
	assert_int_equal(pthread_create(&pod, NULL, send_answer, &answer), 0);
	until = lw_clock_ns() + (uint64_t)lab_patience_ms(20000) * LW_NS_PER_MS;
	while (!is_relayed(c)) {
		assert_true(lw_clock_ns() < until);
		poll(NULL, 0, 1);
	}
	__atomic_store_n(&drop->bss->drops, 1, __ATOMIC_RELEASE);
	lab_expect(c, HEAD);
	n = read_what_comes(c, got, N);
	assert_true(n < N);
	now = lw_clock_ns();
	until = now + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;
	while (heartbeat() < now + LW_NS_PER_SEC) {
		assert_true(lw_clock_ns() < until);
		poll(NULL, 0, 1);
	}
	assert_true(__atomic_load_n(&drop->bss->dropped, __ATOMIC_ACQUIRE) > 0);
	__atomic_store_n(&drop->bss->drops, 0, __ATOMIC_RELEASE);
	lab_recv_n(c, got + n, N - n);
	assert_memory_equal(got, answer.body, N);
	assert_int_equal(pthread_join(pod, NULL), 0);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	free(got);
	free(answer.body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(blocked_way, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("relay", tests, setup, teardown);
}
