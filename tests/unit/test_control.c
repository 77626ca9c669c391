/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server runs on a loop in a thread of its own, clients in the test's.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <ev.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/control.h"
#include "daemon/lock.h"

#define TIMEOUT_MS 1500 /* of the server towards its clients */
#define WAIT_MS 10000 /* towards the server */
#define BIG (4u << 20)

struct server {
	char dir[64], path[128];
	struct ev_loop *loop;
	struct lw_control *control;
	ev_async stop;
	pthread_t thread;
};

static char *answer(const char *request, void *arg)
{
	char *reply;

	(void)arg;
	if (strcmp(request, "bye") == 0)
		return NULL;
	if (strcmp(request, "big") == 0) {
		reply = malloc(BIG + 1);
		memset(reply, 'b', BIG);
		reply[BIG] = '\0';
		return reply;
	}
	return asprintf(&reply, "<%s>", request) < 0 ? NULL : reply;
}

/* Of the streams of one server. */
static unsigned int begun, ended, flooded;

/* "stream N": N lines. "flood": as many as there is room for. "no": it cannot be. */
static bool stream_begin(struct lw_control_stream *stream, const char *request, char **ret_reply,
			 void *arg)
{
	char line[1024];
	unsigned int n = 0;

	(void)arg;
	if (strcmp(request, "no") == 0) {
		*ret_reply = strdup("never");
		return true;
	}
	if (sscanf(request, "stream %u", &n) != 1 && strcmp(request, "flood") != 0)
		return false;
	begun++;
	for (unsigned int i = 0; n == 0 || i < n; i++) {
		(void)snprintf(line, sizeof(line), "line %u%*s", i, n ? 0 : 900, "");
		if (!lw_control_stream_send(stream, line))
			break;
		flooded = i + 1;
	}
	return true;
}

static void stream_end(struct lw_control_stream *stream, void *arg)
{
	(void)arg;
	ended++;
	(void)lw_control_stream_send(stream, "the end");
}

static void on_stop(struct ev_loop *loop, ev_async *w, int revents)
{
	(void)w;
	(void)revents;
	ev_break(loop, EVBREAK_ALL);
}

static void *serve(void *arg)
{
	struct server *s = arg;

	ev_run(s->loop, 0);
	return NULL;
}

static int setup(void **state)
{
	struct server *s = calloc(1, sizeof(*s));

	(void)snprintf(s->dir, sizeof(s->dir), "/tmp/lw-control-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	(void)snprintf(s->path, sizeof(s->path), "%s/run/agent.sock", s->dir);
	s->loop = ev_loop_new(EVFLAG_AUTO);
	assert_non_null(s->loop);
	ev_async_init(&s->stop, on_stop);
	ev_async_start(s->loop, &s->stop);
	assert_int_equal(
		lw_control_start(s->loop,
				 &(struct lw_control_options){ .path = s->path,
							       .handler = answer,
							       .stream_begin = stream_begin,
							       .stream_end = stream_end,
							       .timeout_ms = TIMEOUT_MS },
				 &s->control),
		0);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct server *s = *state;

	ev_async_send(s->loop, &s->stop);
	(void)pthread_join(s->thread, NULL);
	lw_control_stop(&s->control);
	assert_null(s->control);
	assert_int_equal(access(s->path, F_OK), -1);
	ev_async_stop(s->loop, &s->stop);
	ev_loop_destroy(s->loop);
	*strrchr(s->path, '/') = '\0';
	(void)rmdir(s->path);
	(void)rmdir(s->dir);
	free(s);
	return 0;
}

static void wait_for(const unsigned int *what, unsigned int value)
{
	for (int i = 0; i < 1000 && __atomic_load_n(what, __ATOMIC_ACQUIRE) != value; i++)
		(void)usleep(10000);
	assert_int_equal(__atomic_load_n(what, __ATOMIC_ACQUIRE), value);
}

static int dial(const struct server *s)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(addr.sun_path, s->path, strlen(s->path) + 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Reads until `want` bytes or the end of file; fails after 10 s. Number of bytes. */
static size_t read_upto(int fd, char *buf, size_t want)
{
	size_t len = 0;

	while (len < want) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		assert_int_equal(poll(&pfd, 1, 10000), 1);
		n = recv(fd, buf + len, want - len, 0);
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	return len;
}

static void test_call(void **state)
{
	struct server *s = *state;
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	for (int i = 0; i < 3; i++) {
		_cleanup_free_ char *reply = NULL;

		assert_int_equal(lw_control_call(s->path, "hello", 5000, &reply), 0);
		assert_string_equal(reply, "<hello>");
	}
}

static void test_big_reply(void **state)
{
	struct server *s = *state;
	_cleanup_free_ char *reply = NULL;

	assert_int_equal(lw_control_call(s->path, "big", 5000, &reply), 0);
	assert_int_equal(strlen(reply), BIG);
}

static void test_several_requests(void **state)
{
	static const char requests[] = "one\ntwo\nthree\nhalf";
	_cleanup_close_ int fd = dial(*state);
	char buf[64] = "";

	assert_int_equal(send(fd, requests, strlen(requests), 0), (ssize_t)strlen(requests));
	assert_int_equal(read_upto(fd, buf, 20), 20);
	assert_string_equal(buf, "<one>\n<two>\n<three>\n");
	assert_int_equal(send(fd, "+half\n", 6, 0), 6);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(read_upto(fd, buf, 12), 12);
	assert_string_equal(buf, "<half+half>\n");
}

static void test_handler_ends_it(void **state)
{
	struct server *s = *state;
	char *reply = NULL;

	assert_int_equal(lw_control_call(s->path, "bye", 5000, &reply), -EPIPE);
	assert_null(reply);
}

static void test_request_too_long(void **state)
{
	static char junk[LW_CONTROL_REQUEST_MAX];
	_cleanup_close_ int fd = dial(*state);
	char c;

	memset(junk, 'x', sizeof(junk));
	for (size_t at = 0; at < sizeof(junk);) {
		ssize_t n = send(fd, junk + at, sizeof(junk) - at, MSG_NOSIGNAL);

		assert_true(n > 0);
		at += (size_t)n;
	}
	assert_int_equal(read_upto(fd, &c, 1), 0);
}

static void test_silent_client_is_dropped(void **state)
{
	_cleanup_close_ int fd = dial(*state);
	uint64_t begin_ns = lw_clock_ns();
	char c;

	assert_int_equal(send(fd, "never ended", 11, 0), 11);
	assert_int_equal(read_upto(fd, &c, 1), 0);
	assert_true(lw_clock_ns() - begin_ns >= (TIMEOUT_MS - 50) * LW_NS_PER_MS);
}

static void test_slow_reader_is_dropped(void **state)
{
	struct server *s = *state;
	_cleanup_close_ int fd = dial(s);
	_cleanup_free_ char *buf = malloc(BIG + 1), *reply = NULL;
	struct pollfd pfd = { .fd = fd, .events = POLLHUP };

	/* Reads nothing until it has been dropped; another client is served all the while. */
	assert_int_equal(send(fd, "big\n", 4, 0), 4);
	assert_int_equal(lw_control_call(s->path, "hello", 5000, &reply), 0);
	pfd.events = 0;
	assert_int_equal(poll(&pfd, 1, 10000), 1);
	assert_true(pfd.revents & POLLHUP);
	assert_true(read_upto(fd, buf, BIG + 1) < BIG + 1);
}

static void test_more_clients_than_served(void **state)
{
	enum { EXTRA = 8 };
	struct server *s = *state;
	int fds[LW_CONTROL_CLIENTS + EXTRA];
	char buf[8];

	for (size_t i = 0; i < LW_CONTROL_CLIENTS + EXTRA; i++) {
		fds[i] = dial(s);
		assert_int_equal(send(fds[i], "x\n", 2, 0), 2);
	}
	/* Those beyond the limit wait until others leave. */
	for (size_t i = 0; i < LW_CONTROL_CLIENTS + EXTRA; i++) {
		assert_int_equal(read_upto(fds[i], buf, 4), 4);
		assert_memory_equal(buf, "<x>\n", 4);
		fds[i] = lw_close(fds[i]);
	}
}

static void test_nobody_there(void **state)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	char dir[] = "/tmp/lw-control-XXXXXX", path[64], longer[256], *reply = NULL;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/s", dir);
	assert_int_equal(lw_control_call(path, "x", 1000, &reply), -ENOENT);
	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(lw_control_call(path, "x", 1000, &reply), -ECONNREFUSED);
	/* Listens and never answers. */
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(lw_control_call(path, "x", 100, &reply), -ETIMEDOUT);
	memset(longer, 'p', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(lw_control_call(longer, "x", 100, &reply), -ENAMETOOLONG);
	assert_null(reply);
	(void)unlink(path);
	(void)rmdir(dir);
}

static void test_lock(void **state)
{
	char dir[] = "/tmp/lw-control-XXXXXX", path[64];
	int first = -1, second = -1;

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/agent.sock.lock", dir);
	for (int i = 0; i < 2; i++) {
		const char *what = i ? dir : path; /* a file that is made, a directory */

		assert_int_equal(lw_lock_take(what, &first), 0);
		assert_int_equal(lw_lock_take(what, &second), -EBUSY);
		assert_int_equal(second, -1);
		first = lw_close(first);
		assert_int_equal(lw_lock_take(what, &second), 0);
		second = lw_close(second);
	}
	(void)unlink(path);
	(void)rmdir(dir);
}

static void test_stream(void **state)
{
	const struct server *s = *state;
	_cleanup_(lw_control_close) struct lw_control_lines *lines = NULL;
	_cleanup_free_ char *reply = NULL;
	const char *line;
	char want[32];

	ended = begun = 0;
	assert_int_equal(lw_control_open(s->path, "stream 3", WAIT_MS, &lines), 0);
	for (unsigned int i = 0; i < 3; i++) {
		(void)snprintf(want, sizeof(want), "line %u", i);
		assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), 0);
		assert_string_equal(line, want);
	}
	assert_false(lw_control_has_line(lines));
	/* nothing to say is no reason to be dropped */
	assert_int_equal(lw_control_next(lines, 3 * TIMEOUT_MS, -1, &line), -ETIMEDOUT);
	assert_int_equal(lw_control_call(s->path, "a", WAIT_MS, &reply), 0);
	assert_string_equal(reply, "<a>");
	lw_control_enough(lines);
	assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), 0);
	assert_string_equal(line, "the end");
	assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), -EPIPE);
	wait_for(&ended, 1);
}

static void test_stream_cannot_be(void **state)
{
	const struct server *s = *state;
	_cleanup_(lw_control_close) struct lw_control_lines *lines = NULL;
	const char *line;

	ended = begun = 0;
	assert_int_equal(lw_control_open(s->path, "no\nb", WAIT_MS, &lines), 0);
	assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), 0);
	assert_string_equal(line, "never");
	assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), 0);
	assert_string_equal(line, "<b>");
	assert_int_equal(begun + ended, 0);
}

/* What waits for a reader has a bound, is whole lines, and reaches a slow one in the end. */
static void test_stream_of_a_slow_reader(void **state)
{
	const struct server *s = *state;
	_cleanup_(lw_control_close) struct lw_control_lines *lines = NULL;
	_cleanup_free_ char *reply = NULL;
	unsigned int n = 0, at;
	const char *line;

	ended = begun = flooded = 0;
	assert_int_equal(lw_control_open(s->path, "flood", WAIT_MS, &lines), 0);
	wait_for(&begun, 1);
	/* others are served meanwhile */
	assert_int_equal(lw_control_call(s->path, "a", WAIT_MS, &reply), 0);
	lw_control_enough(lines);
	while (lw_control_next(lines, WAIT_MS, -1, &line) == 0 && strcmp(line, "the end") != 0) {
		assert_int_equal(sscanf(line, "line %u", &at), 1);
		assert_int_equal(at, n++);
		assert_in_range(strlen(line), 900, 1000);
	}
	assert_string_equal(line, "the end");
	assert_int_equal(n, flooded);
	assert_in_range(n, (LW_CONTROL_STREAM_MAX - 2048) / 1000, 4096);
	assert_int_equal(lw_control_next(lines, WAIT_MS, -1, &line), -EPIPE);
	assert_int_equal(ended, 1);
}

/* One that goes without a word, with everything still on its way to it. */
static void test_stream_is_cut(void **state)
{
	const struct server *s = *state;
	struct lw_control_lines *lines = NULL;
	_cleanup_free_ char *reply = NULL;

	ended = begun = 0;
	assert_int_equal(lw_control_open(s->path, "flood", WAIT_MS, &lines), 0);
	wait_for(&begun, 1);
	lw_control_close(&lines);
	wait_for(&ended, 1);
	assert_int_equal(lw_control_call(s->path, "a", WAIT_MS, &reply), 0);
	/* and one that is there when the server ends */
	assert_int_equal(lw_control_open(s->path, "stream 1", WAIT_MS, &lines), 0);
	wait_for(&begun, 2);
	lw_control_close(&lines);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_call, setup, teardown),
		cmocka_unit_test_setup_teardown(test_big_reply, setup, teardown),
		cmocka_unit_test_setup_teardown(test_several_requests, setup, teardown),
		cmocka_unit_test_setup_teardown(test_handler_ends_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_request_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silent_client_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slow_reader_is_dropped, setup, teardown),
		cmocka_unit_test_setup_teardown(test_more_clients_than_served, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_cannot_be, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_of_a_slow_reader, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stream_is_cut, setup, teardown),
		cmocka_unit_test(test_nobody_there),
		cmocka_unit_test(test_lock),
	};

	return !!cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
