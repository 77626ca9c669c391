/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ends of file by an application's descriptors (user/kern/ends.c): without programs, but not without root. The application is this
 * process; the alarm that interrupts a look is made to come at once where a test wants that, as on a machine that is short of
 * processors.
 */
#include <errno.h>
#include <ev.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "kern/ends.h"

#define SOCKETS \
	300 /* more than are looked at in one turn, and the one that counts behind all others */
#define PATIENCE_S 60.
#define NOT_TOLD 1

static bool at_once; /* the alarm */

/* Instead of the C library's. */
int setitimer(__itimer_which_t which, const struct itimerval *new, struct itimerval *old)
{
	(void)which;
	(void)old;
	return at_once && new->it_value.tv_usec ? raise(SIGALRM) : 0;
}

struct turn {
	struct ev_loop *loop;
	struct lw_ends *ends;
	int others[SOCKETS], pair[2];
	int told;
};

static void on_end(void *arg, uint64_t id, int r)
{
	struct turn *t = arg;

	assert_int_equal(id, 7);
	t->told = r;
	ev_break(t->loop, EVBREAK_ALL);
}

static void on_late(struct ev_loop *loop, ev_timer *w, int events)
{
	(void)w;
	(void)events;
	ev_break(loop, EVBREAK_ALL);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len), 0);
	return cookie;
}

static void begin(struct turn *t)
{
	*t = (struct turn){ .loop = ev_loop_new(EVFLAG_AUTO), .told = NOT_TOLD };
	for (size_t i = 0; i < SOCKETS; i++) {
		t->others[i] = socket(AF_UNIX, SOCK_STREAM, 0);
		assert_true(t->others[i] >= 0);
	}
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, t->pair), 0);
	assert_int_equal(lw_ends_new(t->loop, on_end, t, &t->ends), 0);
}

static void ask(struct turn *t, uint64_t cookie)
{
	ev_timer late;

	assert_int_equal(lw_ends_ask(t->ends, getpid(), 1, cookie, 7), 0);
	ev_timer_init(&late, on_late, PATIENCE_S, 0.);
	ev_timer_start(t->loop, &late);
	ev_run(t->loop, 0);
	ev_timer_stop(t->loop, &late);
}

static void end(struct turn *t)
{
	lw_ends_free(&t->ends);
	ev_loop_destroy(t->loop);
	for (size_t i = 0; i < SOCKETS; i++)
		close(t->others[i]);
	close(t->pair[0]);
	close(t->pair[1]);
}

static void ends(bool interrupted)
{
	struct turn t;
	char c;

	at_once = interrupted;
	begin(&t);
	assert_int_equal(recv(t.pair[0], &c, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	ask(&t, cookie_of(t.pair[0]));
	assert_int_equal(t.told, 0);
	assert_int_equal(recv(t.pair[0], &c, 1, 0), 0);
	end(&t);
}

static void one_behind_many(void **state)
{
	(void)state;
	ends(false);
}

/* A look that is interrupted before it begins has not seen that there is no such socket. */
static void one_behind_many_looks_interrupted(void **state)
{
	(void)state;
	ends(true);
}

static void none(void **state)
{
	(void)state;
	for (int i = 0; i < 2; i++) {
		struct turn t;

		at_once = i;
		begin(&t);
		ask(&t, UINT64_MAX);
		assert_int_equal(t.told, -ENOENT);
		end(&t);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_behind_many),
		cmocka_unit_test(one_behind_many_looks_interrupted),
		cmocka_unit_test(none),
	};

	return !!cmocka_run_group_tests_name("ends", tests, NULL, NULL);
}
