/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that fall silent, of a server of HTTP/1.1: each has a connection of its own.
 */
#include "kube/http.h"

#include <arpa/inet.h>
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "kube/config.h"

#define HEAD(status) "HTTP/1.1 " status "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
#define SILENT_S 3
#define ANSWER_S 3

static struct ev_loop *loop;

/* A connection of the server: "/still" gets a head and nothing more, all else a byte now and then. */
struct served {
	ev_io io;
	ev_timer drip;
};

static struct {
	ev_io io;
	struct served at[12];
	size_t n;
} server;

static void on_drip(struct ev_loop *l, ev_timer *w, int revents)
{
	struct served *s = w->data;

	(void)l;
	(void)revents;
	(void)send(s->io.fd, "1\r\n \r\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void on_request(struct ev_loop *l, ev_io *w, int revents)
{
	struct served *s = w->data;
	const char *head = HEAD("200 OK");
	char buf[4096];
	ssize_t n = recv(w->fd, buf, sizeof(buf) - 1, 0);

	(void)revents;
	if (n <= 0) {
		ev_io_stop(l, w);
		ev_timer_stop(l, &s->drip);
		return;
	}
	buf[n] = '\0';
	if (strncmp(buf, "GET /refused ", 13) == 0)
		head = HEAD("502 Bad Gateway");
	assert_int_equal(send(w->fd, head, strlen(head), MSG_NOSIGNAL), strlen(head));
	if (strncmp(buf, "GET /still ", 11) != 0)
		ev_timer_start(l, &s->drip);
}

static void on_connection(struct ev_loop *l, ev_io *w, int revents)
{
	struct served *s = &server.at[server.n];
	int fd = accept(w->fd, NULL, NULL);

	(void)revents;
	assert_true(fd >= 0 && server.n < sizeof(server.at) / sizeof(server.at[0]));
	server.n++;
	ev_io_init(&s->io, on_request, fd, EV_READ);
	ev_timer_init(&s->drip, on_drip, .1, .1);
	s->io.data = s->drip.data = s;
	ev_io_start(l, &s->io);
}

struct answer {
	const char *trouble; /* "" for an end without */
	char text[128];
	size_t bytes;
	long status;
	uint64_t ended_ns;
};

static int on_head(long status, void *arg)
{
	((struct answer *)arg)->status = status;
	ev_break(loop, EVBREAK_ALL);
	return 0;
}

static int on_data(const char *data, size_t len, void *arg)
{
	(void)data;
	((struct answer *)arg)->bytes += len;
	return 0;
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct answer *answer = arg;

	(void)retry_after_s;
	(void)snprintf(answer->text, sizeof(answer->text), "%s", trouble ? trouble : "");
	answer->trouble = answer->text;
	answer->ended_ns = lw_clock_ns();
	ev_break(loop, EVBREAK_ALL);
}

static void on_too_late(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(l, EVBREAK_ALL);
}

/* A server, and who asks it. */
struct fixture {
	struct lw_kube_config config;
	struct lw_http *http;
	char url[64];
	ev_timer end;
	bool too_late;
	int fd;
};

static int setup(void **state)
{
	struct sockaddr_in addr = { .sin_family = AF_INET,
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct fixture *f = calloc(1, sizeof(*f));
	socklen_t len = sizeof(addr);

	memset(&server, 0, sizeof(server));
	loop = ev_loop_new(EVFLAG_AUTO);
	f->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(f->fd, 16), 0);
	assert_int_equal(getsockname(f->fd, (struct sockaddr *)&addr, &len), 0);
	ev_io_init(&server.io, on_connection, f->fd, EV_READ);
	ev_io_start(loop, &server.io);
	(void)snprintf(f->url, sizeof(f->url), "http://127.0.0.1:%u", ntohs(addr.sin_port));
	f->config.server = f->url;
	assert_int_equal(lw_http_new(loop, &f->config, &f->http), 0);
	ev_timer_init(&f->end, on_too_late, 20., 0.);
	f->end.data = &f->too_late;
	ev_timer_start(loop, &f->end);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_http_free(&f->http);
	ev_timer_stop(loop, &f->end);
	ev_io_stop(loop, &server.io);
	for (size_t i = 0; i < server.n; i++) {
		ev_io_stop(loop, &server.at[i].io);
		ev_timer_stop(loop, &server.at[i].drip);
		(void)close(server.at[i].io.fd);
	}
	(void)close(f->fd);
	ev_loop_destroy(loop);
	free(f);
	return 0;
}

static void ask(struct fixture *f, const char *target, struct answer *answer)
{
	static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };
	struct lw_http_request *request;

	assert_int_equal(
		lw_http_get(f->http, target, 0, ANSWER_S, SILENT_S, &callbacks, answer, &request),
		0);
}

/* Its head says which version the server speaks: of HTTP/2 one connection would do. */
static void ask_first(struct fixture *f, struct answer *answer)
{
	ask(f, "/drip", answer);
	ev_run(loop, 0);
	assert_int_equal(answer->status, 200);
}

static void wait_for(struct fixture *f, const struct answer *answer)
{
	while (!answer->trouble && !f->too_late)
		ev_run(loop, 0);
	assert_false(f->too_late);
}

static void what_another_connection_brings_is_no_sign_of_life(void **state)
{
	struct answer drips = {}, still = {};
	struct fixture *f = *state;

	ask_first(f, &drips);
	ask(f, "/still", &still);
	wait_for(f, &still);
	assert_int_equal(server.n, 2);
	assert_null(drips.trouble);
	assert_true(drips.bytes > 2);
	assert_string_equal(still.trouble, "the server was silent for 3 s");
	assert_int_equal(still.bytes, 2);
}

/* They fell silent together, each on a connection of its own. */
static void the_silent_are_not_cut_together(void **state)
{
	struct answer drips = {}, still[10] = {};
	uint64_t first = UINT64_MAX, last = 0;
	struct fixture *f = *state;

	ask_first(f, &drips);
	for (size_t i = 0; i < 10; i++)
		ask(f, "/still", &still[i]);
	for (size_t i = 0; i < 10; i++) {
		wait_for(f, &still[i]);
		assert_string_equal(still[i].trouble, "the server was silent for 3 s");
		first = first < still[i].ended_ns ? first : still[i].ended_ns;
		last = last > still[i].ended_ns ? last : still[i].ended_ns;
	}
	assert_int_equal(server.n, 11);
	/* of the 375 ms of an eighth, as good as always */
	assert_true(last - first > 75 * LW_NS_PER_MS);
}

/* By a proxy that has an error to tell and no end of it, however little it is. */
static void a_refusal_comes_to_an_end(void **state)
{
	struct answer drips = {}, refused = {};
	struct fixture *f = *state;

	ask_first(f, &drips);
	ask(f, "/refused", &refused);
	wait_for(f, &refused);
	assert_int_equal(refused.status, 502);
	assert_string_equal(refused.trouble, "");
	assert_true(refused.bytes > 2);
	assert_null(drips.trouble);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(what_another_connection_brings_is_no_sign_of_life),
		T(the_silent_are_not_cut_together),
		T(a_refusal_comes_to_an_end),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
