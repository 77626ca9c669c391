/* SPDX-License-Identifier: Apache-2.0 */
/* The client's end of the control socket. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/control.h"

#define FOREVER UINT64_MAX

struct lw_control_lines {
	int fd;
	char *buf;
	size_t at, len, size; /* buf[at..len) has been received, and not handed out */
};

/* 0 when fd is ready, -EINTR when stop_fd can be read, -ETIMEDOUT, or -errno. */
static int wait_ready(int fd, short events, int stop_fd, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd pfd[2] = { { .fd = fd, .events = events },
					 { .fd = stop_fd, .events = POLLIN } };
		uint64_t now = lw_clock_ns();
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(pfd, 2,
			 deadline_ns == FOREVER ? -1 :
						  (int)((deadline_ns - now) / LW_NS_PER_MS) + 1);
		if (n > 0)
			return pfd[1].revents ? -EINTR : 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	while (len > 0) {
		ssize_t n;
		int r;

		r = wait_ready(fd, POLLOUT, -1, deadline_ns);
		if (r < 0)
			return r;
		n = send(fd, data, len, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return -errno;
		}
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

/* Room for at least one more byte. 0, -EMSGSIZE or -ENOMEM. */
static int make_room(struct lw_control_lines *lines)
{
	size_t size = lines->size ? lines->size * 2 : 4096;
	char *grown;

	if (lines->at) {
		lines->len -= lines->at;
		memmove(lines->buf, lines->buf + lines->at, lines->len);
		lines->at = 0;
	}
	if (lines->len < lines->size)
		return 0;
	if (lines->size >= LW_CONTROL_REPLY_MAX)
		return -EMSGSIZE;
	grown = realloc(lines->buf, size);
	if (!grown)
		return -ENOMEM;
	lines->buf = grown;
	lines->size = size;
	return 0;
}

static int next(struct lw_control_lines *lines, uint64_t deadline_ns, int stop_fd,
		const char **ret_line)
{
	size_t looked = lines->at;

	for (;;) {
		char *end = lines->len > looked ?
				    memchr(lines->buf + looked, '\n', lines->len - looked) :
				    NULL;
		ssize_t n;
		int r;

		if (end) {
			*end = '\0';
			*ret_line = lines->buf + lines->at;
			lines->at = (size_t)(end - lines->buf) + 1;
			return 0;
		}
		r = make_room(lines);
		if (r < 0)
			return r;
		looked = lines->len;
		r = wait_ready(lines->fd, POLLIN, stop_fd, deadline_ns);
		if (r < 0)
			return r;
		n = recv(lines->fd, lines->buf + lines->len, lines->size - lines->len, 0);
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return errno == ECONNRESET ? -EPIPE : -errno;
		}
		if (n == 0)
			return -EPIPE;
		lines->len += (size_t)n;
	}
}

int lw_control_next(struct lw_control_lines *lines, int timeout_ms, int stop_fd,
		    const char **ret_line)
{
	return next(lines,
		    timeout_ms < 0 ? FOREVER : lw_clock_ns() + (uint64_t)timeout_ms * LW_NS_PER_MS,
		    stop_fd, ret_line);
}

bool lw_control_has_line(const struct lw_control_lines *lines)
{
	return lines->len > lines->at &&
	       memchr(lines->buf + lines->at, '\n', lines->len - lines->at);
}

void lw_control_enough(struct lw_control_lines *lines)
{
	(void)shutdown(lines->fd, SHUT_WR);
}

void lw_control_close(struct lw_control_lines **lines)
{
	struct lw_control_lines *l = TAKE_PTR(*lines);

	if (!l)
		return;
	(void)lw_close(l->fd);
	free(l->buf);
	free(l);
}

static int open_until(const char *path, const char *request, uint64_t deadline_ns,
		      struct lw_control_lines **ret)
{
	_cleanup_(lw_control_close) struct lw_control_lines *lines = calloc(1, sizeof(*lines));
	struct sockaddr_un addr;
	int r;

	if (strlen(request) >= LW_CONTROL_REQUEST_MAX) /* with the end of its line */
		return -E2BIG;
	if (!lines)
		return -ENOMEM;
	lines->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (lines->fd < 0)
		return -errno;
	r = lw_control_addr(path, &addr);
	if (r < 0)
		return r;
	/* A full queue of a unix socket says EAGAIN at once and cannot be polled for. */
	while (connect(lines->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		struct timespec pause = { .tv_nsec = 10 * LW_NS_PER_MS };

		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (lw_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
	}
	r = send_all(lines->fd, request, strlen(request), deadline_ns);
	if (r == 0)
		r = send_all(lines->fd, "\n", 1, deadline_ns);
	if (r == 0)
		*ret = TAKE_PTR(lines);
	return r;
}

int lw_control_open(const char *path, const char *request, unsigned int timeout_ms,
		    struct lw_control_lines **ret)
{
	return open_until(path, request, lw_clock_ns() + timeout_ms * LW_NS_PER_MS, ret);
}

int lw_control_call(const char *path, const char *request, unsigned int timeout_ms,
		    char **ret_reply)
{
	uint64_t deadline_ns = lw_clock_ns() + timeout_ms * LW_NS_PER_MS;
	_cleanup_(lw_control_close) struct lw_control_lines *lines = NULL;
	const char *line;
	int r;

	r = open_until(path, request, deadline_ns, &lines);
	if (r == 0)
		r = next(lines, deadline_ns, -1, &line);
	if (r < 0)
		return r;
	*ret_reply = strdup(line);
	return *ret_reply ? 0 : -ENOMEM;
}
