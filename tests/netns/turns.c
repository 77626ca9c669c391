/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turns: requests of a lane that come and go, many times a second, while one process is at work on another request all the time.
 *   turns serve PORT IP:PORT   a thread for each connection, which answers each request at once; but GET /calls/N asks IP:PORT N
 *                              times first, and its answer is how many of these were answered by pods whose name begins with 'c'
 *   turns ask IP:PORT          sends tagged requests, one after another, until its standard input ends; then says how many
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct sockaddr_in to = { .sin_family = AF_INET };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void address(const char *text)
{
	char ip[64] = "";
	int port = 0;

	if (sscanf(text, "%63[^:]:%d", ip, &port) != 2 ||
	    inet_pton(AF_INET, ip, &to.sin_addr) != 1) {
		fprintf(stderr, "turns: '%s' is no IP:PORT\n", text);
		exit(2);
	}
	to.sin_port = htons((in_port_t)port);
}

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		die("turns: connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* A whole message into buf, whose body is as long as its head says. Its body; NULL at the end. */
static char *message(int fd, char buf[4096])
{
	size_t len = 0;

	for (;;) {
		ssize_t n = recv(fd, buf + len, 4095 - len, 0);
		char *end, *length;

		if (n <= 0)
			return NULL;
		len += (size_t)n;
		buf[len] = 0;
		end = strstr(buf, "\r\n\r\n");
		if (!end)
			continue;
		length = strcasestr(buf, "\r\nContent-Length:");
		if (len >= (size_t)(end + 4 - buf) +
				   (length && length < end ? strtoul(length + 17, NULL, 10) : 0))
			return end + 4;
	}
}

static void put(int fd, const char *text)
{
	size_t len = strlen(text);

	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("turns: send");
}

static unsigned long calls(unsigned long n)
{
	unsigned long canary = 0;
	char buf[4096];
	int fd = dial();

	while (n--) {
		const char *body;

		put(fd, "GET /id HTTP/1.1\r\nHost: a\r\n\r\n");
		body = message(fd, buf);
		if (!body) {
			fprintf(stderr, "turns: no answer\n");
			exit(1);
		}
		canary += *body == 'c';
	}
	close(fd);
	return canary;
}

static void *serve(void *arg)
{
	int fd = *(int *)arg;
	char buf[4096], answer[128], number[24];
	unsigned long n;

	free(arg);
	while (message(fd, buf)) {
		n = strncmp(buf, "GET /calls/", 11) ? 0 : calls(strtoul(buf + 11, NULL, 10));
		(void)snprintf(number, sizeof(number), "%lu\n", n);
		(void)snprintf(answer, sizeof(answer),
			       "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(number),
			       number);
		put(fd, answer);
	}
	close(fd);
	return NULL;
}

static void listen_on(const char *port)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons((in_port_t)atoi(port)) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 64))
		die("turns: listen");
	for (;;) {
		int *conn = malloc(sizeof(*conn));
		pthread_t thread;

		if (!conn)
			die("turns");
		*conn = accept(fd, NULL, NULL);
		if (*conn < 0)
			die("turns: accept");
		setsockopt(*conn, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (pthread_create(&thread, NULL, serve, conn))
			die("turns: start a thread");
		pthread_detach(thread);
	}
}

static void ask(void)
{
	struct pollfd p = { .fd = STDIN_FILENO, .events = POLLIN };
	unsigned long n = 0;
	char buf[4096];
	int fd = dial();

	while (!poll(&p, 1, 0)) {
		put(fd, "GET / HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n");
		if (!message(fd, buf)) {
			fprintf(stderr, "turns: no answer\n");
			exit(1);
		}
		n++;
	}
	printf("%lu\n", n);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "serve")) {
		address(argv[3]);
		listen_on(argv[2]);
	} else if (argc == 3 && !strcmp(argv[1], "ask")) {
		address(argv[2]);
		ask();
	} else {
		fprintf(stderr, "usage: turns serve PORT IP:PORT | turns ask IP:PORT\n");
		return 2;
	}
	return 0;
}
