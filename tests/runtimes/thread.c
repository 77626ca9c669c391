/* SPDX-License-Identifier: Apache-2.0 */
/*
 * thread: a thread for each connection, with a connection of its own to the next service; one of the programs in the middle.
 * PORT, UPSTREAM and FORWARD as start.sh has them.
 *   --fork    a process for each connection
 *   --sip     reads its requests byte by byte
 *   --early   begins each answer, with an interim one, before it has read the request
 *   --again   one connection at a time, one request of each, and each by a new thread (with --fork: process) with the number
 *             of the one before. A tagged request is read and never answered: its thread ends, and its connection stays open
 *             until HELD_MAX others do. At SIGTERM it says how many had the number.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/tool.h"

#define MESSAGE_MAX 8192
#define HELD_MAX 100

static struct sockaddr_in upstream = { .sin_family = AF_INET };
static const char *forward;
static bool forks, early, again, sip;
static struct {
	int made, same, tid; /* threads of --again; those with the wanted number; the number */
} * numbers; /* shared with the processes */

static int dial(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || connect(fd, (struct sockaddr *)&upstream, sizeof(upstream))) {
		perror("thread: connect");
		exit(1);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* A whole message into buf, NUL-terminated: a head and what its Content-Length says. Its length; 0 at the end or an error. */
static size_t message(int fd, char *buf, size_t at_once)
{
	size_t len = 0, body;
	char *end;

	for (;;) {
		ssize_t r =
			recv(fd, buf + len,
			     MESSAGE_MAX - 1 - len < at_once ? MESSAGE_MAX - 1 - len : at_once, 0);

		if (r <= 0)
			return 0;
		len += (size_t)r;
		buf[len] = 0;
		end = strstr(buf, "\r\n\r\n");
		if (!end)
			continue;
		body = header_of(buf, "Content-Length") ?
			       strtoul(header_of(buf, "Content-Length"), NULL, 10) :
			       0;
		if ((size_t)(end + 4 - buf) + body <= len)
			return len;
	}
}

static void *serve(void *arg)
{
	static const char interim[] = "HTTP/1.1 103 Early Hints\r\n\r\n";
	char in[MESSAGE_MAX], out[MESSAGE_MAX];
	int fd = (int)(intptr_t)arg, up = dial();

	if (again) {
		numbers->made++;
		numbers->same += numbers->tid == (int)syscall(SYS_gettid);
		numbers->tid = (int)syscall(SYS_gettid);
	}
	while ((!early || send(fd, interim, sizeof(interim) - 1, MSG_NOSIGNAL) > 0) &&
	       message(fd, in, sip ? 1 : MESSAGE_MAX)) {
		const char *value = header_of(in, forward), *body;
		char *path = strchr(in, ' ') + 1;
		int n;

		if (again && header_of(in, "x-mse-tag"))
			break;
		n = snprintf(out, sizeof(out), "GET %.*s HTTP/1.1\r\nHost: next\r\n%s%s%.*s%s\r\n",
			     (int)strcspn(path, " "), path, value ? forward : "", value ? ": " : "",
			     value ? (int)strcspn(value, "\r") : 0, value ? value : "",
			     value ? "\r\n" : "");
		if (send(up, out, (size_t)n, MSG_NOSIGNAL) != n || !message(up, in, MESSAGE_MAX)) {
			perror("thread: the next service");
			break;
		}
		body = strstr(in, "\r\n\r\n") + 4;
		n = snprintf(out, sizeof(out),
			     "HTTP/1.1 %.3s OK\r\nContent-Length: %zu\r\n%s\r\n%s", in + 9,
			     strlen(body), again ? "Connection: close\r\n" : "", body);
		if (send(fd, out, (size_t)n, MSG_NOSIGNAL) != n || again)
			break;
	}
	close(up);
	if (!again)
		close(fd);
	return NULL;
}

/* The next thread or process gets the number of the last one, unless somebody else is quicker. */
static void take_number_again(void)
{
	FILE *f = fopen("/proc/sys/kernel/ns_last_pid", "we");

	if (!numbers->tid)
		return;
	if (!f || fprintf(f, "%d", numbers->tid - 1) < 0 || fclose(f)) {
		perror("thread: ns_last_pid");
		exit(1);
	}
}

/* A thread or process for the connection; with --again its end is waited for. */
static void begin(int fd)
{
	pthread_t t;

	if (again)
		take_number_again();
	if (forks) {
		pid_t pid = fork();

		if (!pid) {
			serve((void *)(intptr_t)fd);
			_exit(0);
		}
		if (again)
			waitpid(pid, NULL, 0);
		else
			close(fd);
	} else if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd)) {
		close(fd);
	} else if (again) {
		pthread_join(t, NULL);
	} else {
		pthread_detach(t);
	}
}

static void on_term(int signal)
{
	(void)signal;
	dprintf(1, "%d of %d\n", numbers->same, numbers->made);
	_exit(0);
}

int main(int argc, char **argv)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	const char *to = getenv("UPSTREAM"), *port = getenv("PORT");
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1, held[HELD_MAX];
	unsigned int n = 0;
	char host[64];

	for (int i = 1; i < argc; i++) {
		forks |= !strcmp(argv[i], "--fork");
		early |= !strcmp(argv[i], "--early");
		again |= !strcmp(argv[i], "--again");
		sip |= !strcmp(argv[i], "--sip");
	}
	forward = getenv("FORWARD");
	if (!to || !port || !forward || !strchr(to, ':'))
		return 2;
	snprintf(host, sizeof(host), "%.*s", (int)strcspn(to, ":"), to);
	upstream.sin_port = htons((uint16_t)atoi(strchr(to, ':') + 1));
	at.sin_port = htons((uint16_t)atoi(port));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	numbers = mmap(NULL, sizeof(*numbers), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	if (numbers == MAP_FAILED || inet_pton(AF_INET, host, &upstream.sin_addr) != 1 ||
	    bind(fd, (struct sockaddr *)&at, sizeof(at)) || listen(fd, 1024)) {
		perror("thread: listen");
		return 1;
	}
	if (again)
		signal(SIGTERM, on_term);
	else if (forks)
		signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int s = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

		if (s < 0)
			continue;
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		begin(s);
		if (!again)
			continue;
		if (n >= HELD_MAX)
			close(held[n % HELD_MAX]);
		held[n++ % HELD_MAX] = s;
	}
}
