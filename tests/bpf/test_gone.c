/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upstream socket is closed while a program is at work on its row: what that writes comes to no other socket's (user/kern/gone.c).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include "kern/internal.h"
#include "late.h"
#include "lw_lanes.skel.h"
#include "turns.h"

/* At most; whether it comes about is the scheduler's to say, and so long a slow machine may take for it. */
#define ROUNDS 60
#define ENOUGH 6
#define OTHERS 4

static int setup(void **state)
{
	(void)state;
	/* at most: the agent keeps rows for 2 s (gone.c) */
	return late_start(1500 * LW_NS_PER_MS);
}

/* The program is held up as it is about to follow it. */
static void *send_response(void *arg)
{
	int g = *(int *)arg;

	late->bss->sender = (int)gettid();
	(void)send(g, OK(0, ""), sizeof(OK(0, "")) - 1, MSG_NOSIGNAL);
	return NULL;
}

/* A port at which nothing waits in a pool: what is asked there gets sockets, and rows, of its own. */
static int listen_at(const char *ip, uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = inet_addr(ip) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, OTHERS), 0);
	return fd;
}

/* True: its row was let go of while the program was at work on it, and others were opened. */
static bool is_closed_meanwhile(uint16_t port)
{
	struct linger reset = { .l_onoff = 1 };
	int at_base = listen_at(LAB_BASE, port), at_gray = listen_at(LAB_GRAY, port);
	int c, b, g, next[OTHERS], own[OTHERS], to[OTHERS];
	bool closed, ended = false;
	struct lw_flow f;
	pthread_t pod;
	uint64_t up;

	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < OTHERS; i++) {
		next[i] = lab_connect(LAB_BASE, port);
		own[i] = lab_accept(at_base, next[i]);
	}
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	/* an answer that came by the connection, as the agent carried the first request, would have the next take it, too */
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	assert_true(lab_flow(c, &f));
	up = f.ups[f.up & (LW_FLOW_UPS - 1)].up;
	late_is_enough(false);
	assert_int_equal(pthread_create(&pod, NULL, send_response, &g), 0);
	while (!is_late() && !ended)
		ended = !pthread_tryjoin_np(pod, NULL);
	assert_int_equal(setsockopt(c, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)), 0);
	close(c);
	for (uint64_t until = patience(); lab_has_upstream(up);)
		a_little_later(until);
	for (int i = 0; i < OTHERS; i++) {
		lab_send(next[i], GRAY_REQUEST);
		to[i] = lab_accept_request(at_gray);
		lab_expect(to[i], GRAY_TAGGED);
	}
	closed = is_late();
	late_is_enough(true);
	while (is_late())
		poll(NULL, 0, 1);
	if (!ended)
		assert_int_equal(pthread_join(pod, NULL), 0);
	for (int i = 0; i < OTHERS; i++) {
		lab_send(to[i], OK(4, "gray"));
		lab_expect(next[i], OK(4, "gray"));
		base_turn(next[i], own[i]);
		close(next[i]);
		close(own[i]);
		close(to[i]);
	}
	close(b);
	close(g);
	lab_drain(at_base);
	lab_drain(at_gray);
	close(at_base);
	close(at_gray);
	return closed;
}

static void a_row_is_not_used_again_at_once(void **state)
{
	/* of one processor, which nobody takes from another within the kernel, it does not come about */
	const bool may = sysconf(_SC_NPROCESSORS_ONLN) > 1;
	const int rounds = may ? ROUNDS : 1;
	int closed = 0, i;

	(void)state;
	for (i = 0; i < rounds && closed < ENOUGH; i++)
		closed += is_closed_meanwhile((uint16_t)(LAB_PORT + 1 + i));
	print_message("brought about in %d of %d\n", closed, i);
	if (may)
		assert_true(closed > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(a_row_is_not_used_again_at_once, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return LATE_RUN("gone", tests, setup);
}
