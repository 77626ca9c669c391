/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics by HTTP: what is asked for, what is not there, and who asks oddly. */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "daemon/exporter.h"

struct source {
	bool gone;
	int asked;
};

static char *text_of(void *arg, char *error, size_t size)
{
	struct source *source = arg;
	char *text = NULL;

	source->asked++;
	if (source->gone)
		(void)snprintf(error, size, "no agent there");
	else
		assert_true(asprintf(&text, "laneway_up %d\n", source->asked) > 0);
	return text;
}

static struct lw_exporter *start(struct source *source, const char *ip)
{
	struct lw_exporter *exporter;
	struct lw_addr addr;

	assert_int_equal(lw_addr_parse(ip, &addr), 0);
	assert_int_equal(lw_exporter_start(&addr, 0, text_of, source, &exporter), 0);
	return exporter;
}

/* host: the client is 127.0.0.HOST. */
static int connect_from(uint32_t host, const struct lw_exporter *exporter)
{
	const struct sockaddr_in own = { .sin_family = AF_INET,
					 .sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + host) };
	const struct sockaddr_in a = { .sin_family = AF_INET,
				       .sin_port = htons(lw_exporter_port(exporter)),
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (const struct sockaddr *)&own, sizeof(own)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

/* All that comes until the end of the connection; "" where that is a reset. */
static const char *ask_from(uint32_t host, const struct lw_exporter *exporter, const char *request)
{
	static char answer[8192];
	int fd = connect_from(host, exporter);
	size_t n = 0;
	ssize_t k;

	(void)send(fd, request, strlen(request), MSG_NOSIGNAL);
	while ((k = recv(fd, answer + n, sizeof(answer) - 1 - n, 0)) > 0)
		n += (size_t)k;
	answer[k < 0 ? 0 : n] = '\0';
	close(fd);
	return answer;
}

#define ask(exporter, request) ask_from(1, exporter, request)
#define ASK(method, path, more) \
	ask(exporter, method " " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more)

static void has(const char *answer, const char *status, const char *end)
{
	if (strncmp(answer, status, strlen(status)) != 0 || strlen(answer) < strlen(end) ||
	    strcmp(answer + strlen(answer) - strlen(end), end) != 0)
		fail_msg("expected '%s' ... '%s', got '%s'", status, end, answer);
}

static void answers(void **state)
{
	struct source source = {};
	struct lw_exporter *exporter = start(&source, "127.0.0.1");

	(void)state;
	has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\nlaneway_up 1\n");
	assert_non_null(strcasestr(ASK("GET", "/metrics", "\r\n"),
				   "\r\nContent-Type: text/plain; version=0.0.4"));
	has(ASK("HEAD", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "\r\n\r\n");
	has(ASK("GET", "/metrics?x=y", "\r\n"), "HTTP/1.1 200 OK\r\n", "\n");
	has(ASK("GET", "/", "\r\n"), "HTTP/1.1 404 ", "there is /metrics\n");
	has(ASK("POST", "/metrics", "Content-Length: 5\r\n\r\nhello"), "HTTP/1.1 405 ",
	    "GET and HEAD only\n");
	/* which is no request: it is closed, and the next one is answered */
	has(ask(exporter, "nonsense\r\n\r\n"), "", "");
	has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "\n");
	lw_exporter_stop(&exporter);
	assert_null(exporter);
}

/* However many ask at once: once a second. Half a thousand take less than that, or the second one is due. */
static void asks_seldom(void **state)
{
	struct source source = {};
	struct lw_exporter *exporter = start(&source, "127.0.0.1");
	time_t begin = time(NULL);

	(void)state;
	for (int i = 0; i < 500; i++)
		has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "\n");
	assert_in_range(source.asked, 1, time(NULL) - begin + 2);
	lw_exporter_stop(&exporter);
}

static void without_an_agent(void **state)
{
	struct source source = { .gone = true };
	struct lw_exporter *exporter = start(&source, "127.0.0.1");

	(void)state;
	has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 503 ", "\r\n\r\nno agent there\n");
	lw_exporter_stop(&exporter);
}

/* Of those that say nothing what is over the bound is closed at once; behind them there is room again. */
static void idle_clients(void **state)
{
	struct source source = {};
	struct lw_exporter *exporter = start(&source, "127.0.0.1");
	int idle[LW_EXPORTER_CLIENTS + 8];
	char c;

	(void)state;
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		idle[i] = connect_from(1 + i / LW_EXPORTER_CLIENTS_EACH, exporter);
	assert_true(recv(idle[LW_EXPORTER_CLIENTS + 7], &c, 1, 0) <= 0);
	for (size_t i = 0; i < sizeof(idle) / sizeof(idle[0]); i++)
		close(idle[i]);
	/* its thread has yet to see that they have gone */
	while (!*ASK("GET", "/metrics", "\r\n"))
		;
	has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "laneway_up 1\n");
	lw_exporter_stop(&exporter);
}

/* Who keeps as many connections as there may be, and sends a byte of a head now and then, keeps nobody else out. */
static void dripping_clients(void **state)
{
	struct source source = {};
	struct lw_exporter *exporter = start(&source, "127.0.0.1");
	int drips[LW_EXPORTER_CLIENTS];
	char c;

	(void)state;
	for (size_t i = 0; i < LW_EXPORTER_CLIENTS; i++) {
		drips[i] = connect_from(1, exporter);
		(void)send(drips[i], "G", 1, MSG_NOSIGNAL);
	}
	has(ask_from(2, exporter, "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
	    "HTTP/1.1 200 OK\r\n", "laneway_up 1\n");
	assert_true(recv(drips[LW_EXPORTER_CLIENTS - 1], &c, 1, 0) <= 0);
	for (size_t i = 0; i < LW_EXPORTER_CLIENTS; i++)
		close(drips[i]);
	lw_exporter_stop(&exporter);
}

static void address_is_taken(void **state)
{
	struct source source = {};
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct lw_exporter *exporter = start(&source, "127.0.0.1"), *second = NULL;
	socklen_t len = sizeof(a);
	struct lw_addr addr;
	int fd;

	(void)state;
	assert_int_equal(lw_addr_parse("127.0.0.1", &addr), 0);
	/* as while one agent follows another */
	assert_int_equal(
		lw_exporter_start(&addr, lw_exporter_port(exporter), text_of, &source, &second), 0);
	lw_exporter_stop(&exporter);
	exporter = second;
	has(ASK("GET", "/metrics", "\r\n"), "HTTP/1.1 200 OK\r\n", "\n");
	lw_exporter_stop(&exporter);
	second = NULL;
	/* somebody else's */
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(lw_exporter_start(&addr, ntohs(a.sin_port), text_of, &source, &second),
			 -EADDRINUSE);
	close(fd);
	/* an address that is not this machine's */
	assert_int_equal(lw_addr_parse("192.0.2.1", &addr), 0);
	assert_int_equal(lw_exporter_start(&addr, 0, text_of, &source, &second), -EADDRNOTAVAIL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers),	    cmocka_unit_test(asks_seldom),
		cmocka_unit_test(without_an_agent), cmocka_unit_test(idle_clients),
		cmocka_unit_test(dripping_clients), cmocka_unit_test(address_is_taken),
	};

	return !!cmocka_run_group_tests_name("exporter", tests, NULL, NULL);
}
