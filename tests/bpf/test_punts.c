/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of many messages that no upstream socket was ready for, of clients that close behind them and read no answer. */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "laneway/reasons.h"
#include "turns.h"
#include "two_pods.h"

#define CLIENTS 100
#define HEAD "POST / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: 30\r\n\r\n"
#define BODY "0123456789"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

static int any_up(uint64_t cookie, const struct lw_up *up, void *arg)
{
	(void)cookie;
	(void)up;
	(void)arg;
	return 1;
}

static void a_little_later(uint64_t until)
{
	assert_true(lw_clock_ns() < until);
	poll(NULL, 0, 1);
}

/* The agent opens a socket for the request, and its pod takes no connection yet. The body and the end have come when it does. */
static void left_before_the_pod_is_connected_to(void **state)
{
	uint64_t until = lw_clock_ns() + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;
	struct pollfd p = { .fd = gray, .events = POLLIN };
	int c, b, g, other, others;

	(void)state;
	assert_int_equal(listen(gray, 0), 0);
	other = lab_connect(LAB_GRAY, LAB_PORT);
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, HEAD);
	assert_int_equal(lab_count(LW_REASON_POOL_EMPTY), 1);
	while (!lw_kern_each_up(lab_kern(), any_up, NULL))
		a_little_later(until);
	poll(NULL, 0, 10);
	lab_pause_agent();
	for (int i = 0; i < 3; i++)
		lab_send(c, BODY);
	close(c);
	/* its SYN is repeated after a second */
	assert_int_equal(listen(gray, 1024), 0);
	others = lab_accept(gray, other);
	assert_int_equal(poll(&p, 1, lab_patience_ms(5000)), 1);
	poll(NULL, 0, 50);
	lab_resume_agent();
	g = lab_accept_request(gray);
	lab_expect(g, HEAD BODY BODY BODY);
	lab_expect_eof(g);
	close(g);
	close(b);
	close(other);
	close(others);
}

/* All of them at once, some in the middle of the agent's work on them. */
static void left_by_many(void **state)
{
	int c[CLIENTS], b[CLIENTS];

	(void)state;
	for (int i = 0; i < CLIENTS; i++)
		open_pair(LAB_BASE, base, &c[i], &b[i]);
	for (int i = 0; i < CLIENTS; i++) {
		lab_send(c[i], HEAD);
		for (int k = 0; k < 3; k++)
			lab_send(c[i], BODY);
		close(c[i]);
	}
	for (int i = 0; i < CLIENTS; i++) {
		int g = lab_accept_request(gray);

		lab_expect(g, HEAD BODY BODY BODY);
		close(g);
		lab_expect_eof(b[i]);
		close(b[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(left_before_the_pod_is_connected_to, lab_clean),
		cmocka_unit_test_teardown(left_by_many, lab_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return !!cmocka_run_group_tests_name("punts", tests, setup, lab_teardown);
}
