/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that wait for as long as somebody else likes: here, for a byte in a pipe. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/aside.h"

/* Of what is to be done, which is for hangs; and of what is not to be done in it. */
#define LONG_MS 20000
#define SHORT_MS 20

struct call {
	struct lw_aside aside;
	int fd; /* read from; -1: nothing is */
	int alive; /* signs of life before, a quarter of its patience apart */
	int r;
	int *dropped, *order; /* counted up; order: set to the count of calls made so far */
	int *made;
};

static int run(struct lw_aside *aside)
{
	struct call *c = (struct call *)aside;
	char byte;

	for (int i = 0; i < c->alive; i++) {
		poll(NULL, 0, (int)aside->patience_ms / 4);
		lw_aside_is_alive(aside);
	}
	if (c->fd >= 0)
		assert_int_equal(read(c->fd, &byte, 1), 1);
	if (c->order)
		*c->order = __atomic_add_fetch(c->made, 1, __ATOMIC_SEQ_CST);
	return c->r;
}

static void drop(struct lw_aside *aside)
{
	struct call *c = (struct call *)aside;

	__atomic_add_fetch(c->dropped, 1, __ATOMIC_SEQ_CST);
	free(c);
}

static struct call *make(uint64_t owner, int fd, int *dropped)
{
	struct call *c = calloc(1, sizeof(*c));

	c->aside = (struct lw_aside){ .owner = owner,
				      .patience_ms = fd < 0 ? LONG_MS : SHORT_MS,
				      .call = run,
				      .drop = drop };
	c->fd = fd;
	c->dropped = dropped;
	return c;
}

static void wait_for(const int *n, int want)
{
	for (int ms = 0; __atomic_load_n(n, __ATOMIC_SEQ_CST) != want; ms++) {
		assert_in_range(ms, 0, 10000);
		poll(NULL, 0, 1);
	}
}

static void returns_what_the_call_does(void **state)
{
	int dropped = 0;
	struct call *c = make(1, -1, &dropped);

	(void)state;
	assert_int_equal(lw_aside_do(&c->aside), 0);
	c->r = -ENOENT;
	assert_int_equal(lw_aside_do(&c->aside), -ENOENT);
	assert_int_equal(dropped, 0);
	free(c);
}

/* It takes twice as long as its patience in all. Where its thread gets no processor for that long between two of them it is with more patience. */
static void signs_of_life_are_waited_for(void **state)
{
	int dropped = 0, left = 0, r = -EINPROGRESS;

	(void)state;
	for (uint32_t ms = 100; r; ms *= 2) {
		struct call *c = make(100 + ms, -1, &dropped);

		assert_in_range(ms, 0, LONG_MS);
		c->aside.patience_ms = ms;
		c->alive = 8;
		r = lw_aside_do(&c->aside);
		if (!r)
			free(c);
		else
			left++;
	}
	wait_for(&dropped, left);
}

static void is_not_waited_for_beyond_patience(void **state)
{
	int dropped = 0, made = 0, order[4] = { 0 }, fds[2];
	struct call *c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c = make(2, fds[0], &dropped);
	c->made = &made;
	c->order = &order[0];
	assert_int_equal(lw_aside_do(&c->aside), -EINPROGRESS);
	/* others go on, and are waited for */
	c = make(3, -1, &dropped);
	assert_int_equal(lw_aside_do(&c->aside), 0);
	free(c);
	/* its own come behind it, and nobody waits at all */
	for (int i = 1; i < 4; i++) {
		c = make(2, -1, &dropped);
		c->made = &made;
		c->order = &order[i];
		assert_int_equal(lw_aside_do(&c->aside), -EINPROGRESS);
	}
	assert_int_equal(__atomic_load_n(&dropped, __ATOMIC_SEQ_CST), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	wait_for(&dropped, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(order[i], i + 1);
	/* nor for what it asks next */
	c = make(2, fds[0], &dropped);
	assert_int_equal(lw_aside_do(&c->aside), -EINPROGRESS);
	assert_int_equal(write(fds[1], "x", 1), 1);
	wait_for(&dropped, 5);
	close(fds[0]);
	close(fds[1]);
}

/* What was left is waited for in the end, but not for ever. */
static void settles(void **state)
{
	int dropped = 0, made = 0, order, fds[2];
	struct call *c;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	c = make(6, fds[0], &dropped);
	c->made = &made;
	c->order = &order;
	assert_int_equal(lw_aside_do(&c->aside), -EINPROGRESS);
	lw_aside_settle(SHORT_MS);
	assert_int_equal(__atomic_load_n(&made, __ATOMIC_SEQ_CST), 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	lw_aside_settle(LONG_MS);
	assert_int_equal(__atomic_load_n(&made, __ATOMIC_SEQ_CST), 1);
	wait_for(&dropped, 1);
	close(fds[0]);
	close(fds[1]);
}

/* One owner's calls, and owners, are bounded: what is not made is the caller's still. */
static void too_many_are_refused(void **state)
{
	int dropped = 0, n = 0, owners, fds[2];
	struct call *c;
	int r;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	for (;; n++) {
		c = make(4, fds[0], &dropped);
		r = lw_aside_do(&c->aside);
		if (r != -EINPROGRESS)
			break;
		assert_in_range(n, 0, 100000);
	}
	assert_int_equal(r, -EBUSY);
	free(c);
	assert_in_range(n, 100, 10000);
	for (owners = 1;; owners++) {
		c = make(1000 + (uint64_t)owners, fds[0], &dropped);
		r = lw_aside_do(&c->aside);
		if (r != -EINPROGRESS)
			break;
		n++;
		assert_in_range(owners, 0, 1000);
	}
	assert_int_equal(r, -EBUSY);
	free(c);
	assert_in_range(owners, 10, 200);
	for (int i = 0; i < n; i++)
		assert_int_equal(write(fds[1], "x", 1), 1);
	wait_for(&dropped, n);
	close(fds[0]);
	close(fds[1]);
}

/* A child has none of the threads, and starts its own. */
static void after_a_fork(void **state)
{
	int dropped = 0, status;
	struct call *c = make(5, -1, &dropped);
	pid_t pid;

	(void)state;
	assert_int_equal(lw_aside_do(&c->aside), 0);
	pid = fork();
	if (!pid)
		_exit(lw_aside_do(&c->aside) ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(lw_aside_do(&c->aside), 0);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(returns_what_the_call_does),
		cmocka_unit_test(signs_of_life_are_waited_for),
		cmocka_unit_test(is_not_waited_for_beyond_patience),
		cmocka_unit_test(after_a_fork),
		cmocka_unit_test(settles),
		cmocka_unit_test(too_many_are_refused),
	};

	return !!cmocka_run_group_tests_name("aside", tests, NULL, NULL);
}
