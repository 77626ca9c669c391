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

#include "kube/config.h"

#define HEAD "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
#define SILENT_S 1

static struct ev_loop *loop;

/* A connection of the server: "/drip" gets a byte now and then, all else a head and nothing more. */
struct served {
	ev_io io;
	ev_timer drip;
};

static struct {
	ev_io io;
	struct served at[4];
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
	char buf[4096];
	ssize_t n = recv(w->fd, buf, sizeof(buf) - 1, 0);

	(void)revents;
	if (n <= 0) {
		ev_io_stop(l, w);
		ev_timer_stop(l, &s->drip);
		return;
	}
	buf[n] = '\0';
	assert_int_equal(send(w->fd, HEAD, strlen(HEAD), MSG_NOSIGNAL), strlen(HEAD));
	if (strncmp(buf, "GET /drip ", 10) == 0)
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
};

static int on_head(long status, void *arg)
{
	(void)arg;
	assert_int_equal(status, 200);
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
	ev_break(loop, EVBREAK_ALL);
}

static void on_too_late(struct ev_loop *l, ev_timer *w, int revents)
{
	(void)revents;
	*(bool *)w->data = true;
	ev_break(l, EVBREAK_ALL);
}

static void what_another_connection_brings_is_no_sign_of_life(void **state)
{
	static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct answer drips = {}, still = {};
	struct lw_http_request *one, *two;
	struct lw_kube_config config = {};
	socklen_t len = sizeof(addr);
	bool too_late = false;
	struct lw_http *http;
	char url[64];
	ev_timer end;

	(void)state;
	loop = ev_loop_new(EVFLAG_AUTO);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 8), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	ev_io_init(&server.io, on_connection, fd, EV_READ);
	ev_io_start(loop, &server.io);
	(void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", ntohs(addr.sin_port));
	config.server = url;
	assert_int_equal(lw_http_new(loop, &config, &http), 0);
	assert_int_equal(lw_http_get(http, "/drip", 0, 3, SILENT_S, &callbacks, &drips, &one), 0);
	ev_timer_init(&end, on_too_late, 20., 0.);
	end.data = &too_late;
	ev_timer_start(loop, &end);
	/* its head says which version the server speaks: of HTTP/2 one connection would do */
	ev_run(loop, 0);
	assert_int_equal(lw_http_get(http, "/still", 0, 3, SILENT_S, &callbacks, &still, &two), 0);
	while (!still.trouble && !too_late)
		ev_run(loop, 0);
	assert_int_equal(server.n, 2);
	assert_false(too_late);
	assert_null(drips.trouble);
	assert_true(drips.bytes > 2);
	assert_string_equal(still.trouble, "the server was silent for 1 s");
	assert_int_equal(still.bytes, 2);

	lw_http_free(&http);
	ev_timer_stop(loop, &end);
	ev_io_stop(loop, &server.io);
	for (size_t i = 0; i < server.n; i++) {
		ev_io_stop(loop, &server.at[i].io);
		ev_timer_stop(loop, &server.at[i].drip);
		(void)close(server.at[i].io.fd);
	}
	(void)close(fd);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_another_connection_brings_is_no_sign_of_life),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
