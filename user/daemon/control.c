/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control.h"

#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"

struct client {
	struct lw_control *control;
	struct client *prev, *next;
	int fd;
	ev_io io;
	ev_timer deadline; /* of the request that is awaited or the reply that is being sent */
	char *in; /* LW_CONTROL_REQUEST_MAX + 1 */
	size_t in_len;
	char *out; /* NULL: reading */
	size_t out_len, out_at;
};

struct lw_control {
	struct ev_loop *loop;
	struct sockaddr_un addr;
	int fd;
	ev_io io;
	ev_timer retry; /* accept again after running out of descriptors */
	double timeout_s;
	lw_control_handler handler;
	void *arg;
	struct client *clients;
	unsigned int nclients;
};

static int fill_addr(const char *path, struct sockaddr_un *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sun_family = AF_UNIX;
	if (!lw_str_copy(ret->sun_path, sizeof(ret->sun_path), path))
		return -ENAMETOOLONG;
	return 0;
}

static void accept_on(struct lw_control *control)
{
	if (control->nclients < LW_CONTROL_CLIENTS)
		ev_io_start(control->loop, &control->io);
}

static void client_free(struct client *client)
{
	struct lw_control *control = client->control;

	ev_io_stop(control->loop, &client->io);
	ev_timer_stop(control->loop, &client->deadline);
	if (client->prev)
		client->prev->next = client->next;
	else
		control->clients = client->next;
	if (client->next)
		client->next->prev = client->prev;
	control->nclients--;
	(void)lw_close(client->fd);
	free(client->in);
	free(client->out);
	free(client);
	accept_on(control);
}

static void await(struct client *client, int events)
{
	struct ev_loop *loop = client->control->loop;

	ev_io_stop(loop, &client->io);
	ev_io_set(&client->io, client->fd, events);
	ev_io_start(loop, &client->io);
	ev_timer_again(loop, &client->deadline);
}

/* False: the client is gone. */
static bool client_send(struct client *client)
{
	while (client->out_at < client->out_len) {
		ssize_t n = send(client->fd, client->out + client->out_at,
				 client->out_len - client->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			if (errno == EAGAIN)
				return true;
			client_free(client);
			return false;
		}
		client->out_at += (size_t)n;
	}
	free(client->out);
	client->out = NULL;
	await(client, EV_READ);
	return true;
}

/* Answers the requests that are in whole, one reply on its way at a time. */
static void client_answer(struct client *client)
{
	while (!client->out) {
		struct lw_control *control = client->control;
		char *end = memchr(client->in, '\n', client->in_len), *grown;
		size_t used;

		if (!end) {
			if (client->in_len == LW_CONTROL_REQUEST_MAX)
				client_free(client);
			return;
		}
		*end = '\0';
		used = (size_t)(end - client->in) + 1;
		client->out = control->handler(client->in, control->arg);
		client->in_len -= used;
		memmove(client->in, client->in + used, client->in_len);
		if (!client->out) {
			client_free(client);
			return;
		}
		client->out_at = 0;
		client->out_len = strlen(client->out);
		grown = realloc(client->out, client->out_len + 2);
		if (!grown) {
			client_free(client);
			return;
		}
		client->out = grown;
		memcpy(client->out + client->out_len, "\n", 2);
		client->out_len++;
		await(client, EV_WRITE);
		if (!client_send(client))
			return;
	}
}

static void on_client(struct ev_loop *loop, ev_io *w, int revents)
{
	struct client *client = w->data;
	ssize_t n;

	(void)loop;
	if (revents & EV_WRITE) {
		if (client_send(client))
			client_answer(client);
		return;
	}
	do {
		n = recv(client->fd, client->in + client->in_len,
			 LW_CONTROL_REQUEST_MAX - client->in_len, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		client_free(client);
		return;
	}
	client->in_len += (size_t)n;
	client_answer(client);
}

static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	client_free(w->data);
}

static void on_retry(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	accept_on(w->data);
}

static void on_accept(struct ev_loop *loop, ev_io *w, int revents)
{
	struct lw_control *control = w->data;
	_cleanup_close_ int fd = -1;
	struct client *client;

	(void)revents;
	fd = accept4(control->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
			/* The connection stays queued: polling for it at once would spin. */
			ev_io_stop(loop, &control->io);
			ev_timer_stop(loop, &control->retry);
			ev_timer_set(&control->retry, 1., 0.);
			ev_timer_start(loop, &control->retry);
		}
		return;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return;
	client->in = malloc(LW_CONTROL_REQUEST_MAX + 1);
	if (!client->in) {
		free(client);
		return;
	}
	client->control = control;
	client->fd = TAKE_FD(fd);
	ev_io_init(&client->io, on_client, client->fd, EV_READ);
	ev_timer_init(&client->deadline, on_deadline, 0., control->timeout_s);
	client->io.data = client;
	client->deadline.data = client;
	client->next = control->clients;
	if (client->next)
		client->next->prev = client;
	control->clients = client;
	if (++control->nclients == LW_CONTROL_CLIENTS)
		ev_io_stop(loop, &control->io);
	await(client, EV_READ);
}

int lw_lock_mkdir(const char *path)
{
	char dir[PATH_MAX];
	char *slash;

	if (!lw_str_copy(dir, sizeof(dir), path))
		return -ENAMETOOLONG;
	slash = strrchr(dir, '/');
	if (!slash || slash == dir)
		return 0;
	*slash = '\0';
	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

int lw_lock_take(const char *path, int *ret_fd)
{
	_cleanup_close_ int fd = -1;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int lw_control_start(struct ev_loop *loop, const struct lw_control_options *options,
		     struct lw_control **ret)
{
	_cleanup_free_ struct lw_control *control = NULL;
	_cleanup_close_ int fd = -1;
	mode_t mask;
	int r;

	control = calloc(1, sizeof(*control));
	if (!control)
		return -ENOMEM;
	r = fill_addr(options->path, &control->addr);
	if (r < 0)
		return r;
	r = lw_lock_mkdir(options->path);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (unlink(options->path) < 0 && errno != ENOENT)
		return -errno;
	/* The mode has to be right from the start: a chmod() afterwards leaves a gap. */
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&control->addr, sizeof(control->addr)) < 0 ? -errno : 0;
	(void)umask(mask);
	if (r < 0)
		return r;
	if (listen(fd, LW_CONTROL_CLIENTS) < 0) {
		r = -errno;
		(void)unlink(options->path);
		return r;
	}

	control->loop = loop;
	control->handler = options->handler;
	control->arg = options->arg;
	control->timeout_s =
		(options->timeout_ms ? options->timeout_ms : LW_CONTROL_TIMEOUT_MS) / 1000.;
	control->fd = TAKE_FD(fd);
	ev_io_init(&control->io, on_accept, control->fd, EV_READ);
	ev_timer_init(&control->retry, on_retry, 0., 0.);
	control->io.data = control;
	control->retry.data = control;
	accept_on(control);
	*ret = TAKE_PTR(control);
	return 0;
}

void lw_control_stop(struct lw_control **control)
{
	struct lw_control *c = TAKE_PTR(*control);

	if (!c)
		return;
	while (c->clients)
		client_free(c->clients);
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->retry);
	(void)unlink(c->addr.sun_path);
	(void)lw_close(c->fd);
	free(c);
}

/* 0 when fd is ready, -ETIMEDOUT, or -errno. */
static int wait_ready(int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd pfd = { .fd = fd, .events = events };
		uint64_t now = lw_clock_ns();
		int n;

		if (now >= deadline_ns)
			return -ETIMEDOUT;
		n = poll(&pfd, 1, (int)((deadline_ns - now) / LW_NS_PER_MS) + 1);
		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

static int send_all(int fd, const char *data, size_t len, uint64_t deadline_ns)
{
	while (len > 0) {
		ssize_t n;
		int r;

		r = wait_ready(fd, POLLOUT, deadline_ns);
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

static int recv_line(int fd, uint64_t deadline_ns, char **ret)
{
	_cleanup_free_ char *line = NULL;
	size_t len = 0, size = 0;

	for (;;) {
		char *end;
		ssize_t n;
		int r;

		if (len + 1 >= size) {
			char *grown;

			if (size >= LW_CONTROL_REPLY_MAX)
				return -EMSGSIZE;
			size = size ? size * 2 : 4096;
			grown = realloc(line, size);
			if (!grown)
				return -ENOMEM;
			line = grown;
		}
		r = wait_ready(fd, POLLIN, deadline_ns);
		if (r < 0)
			return r;
		n = recv(fd, line + len, size - len - 1, 0);
		if (n < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			return errno == ECONNRESET ? -EPIPE : -errno;
		}
		if (n == 0)
			return -EPIPE;
		end = memchr(line + len, '\n', (size_t)n);
		if (end) {
			*end = '\0';
			*ret = TAKE_PTR(line);
			return 0;
		}
		len += (size_t)n;
	}
}

int lw_control_call(const char *path, const char *request, unsigned int timeout_ms,
		    char **ret_reply)
{
	uint64_t deadline_ns = lw_clock_ns() + timeout_ms * LW_NS_PER_MS;
	_cleanup_close_ int fd = -1;
	struct sockaddr_un addr;
	int r;

	r = fill_addr(path, &addr);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* A full queue of a unix socket says EAGAIN at once and cannot be polled for. */
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		struct timespec pause = { .tv_nsec = 10 * LW_NS_PER_MS };

		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		if (lw_clock_ns() >= deadline_ns)
			return -ETIMEDOUT;
		(void)nanosleep(&pause, NULL);
	}
	r = send_all(fd, request, strlen(request), deadline_ns);
	if (r == 0)
		r = send_all(fd, "\n", 1, deadline_ns);
	if (r < 0)
		return r;
	return recv_line(fd, deadline_ns, ret_reply);
}
