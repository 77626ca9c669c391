/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/control.h"

#include <errno.h>
#include <ev.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/lock.h"

/* Of what may wait in a stream, kept for its last lines. */
#define LAST_LINES 1024

struct lw_control_stream {
	struct client *client;
	char *held; /* LW_CONTROL_STREAM_MAX */
	size_t len;
	bool ending; /* stream_end() has been called: what waits is the last of it */
};

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
	bool streams;
	struct lw_control_stream stream;
};

struct lw_control {
	struct ev_loop *loop;
	struct sockaddr_un addr;
	struct stat made; /* what stands at addr as long as it is ours */
	int fd;
	ev_io io;
	ev_timer retry; /* accept again after running out of descriptors */
	double timeout_s;
	struct lw_control_options options;
	struct client *clients;
	unsigned int nclients;
};

int lw_control_addr(const char *path, struct sockaddr_un *ret)
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

static void stream_end(struct client *client)
{
	const struct lw_control_options *o = &client->control->options;

	if (!client->streams || client->stream.ending)
		return;
	client->stream.ending = true;
	o->stream_end(&client->stream, o->arg);
}

static void client_free(struct client *client)
{
	struct lw_control *control = client->control;

	stream_end(client);
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
	free(client->stream.held);
	free(client->in);
	free(client->out);
	free(client);
	accept_on(control);
}

static void watch(struct client *client, int events)
{
	struct ev_loop *loop = client->control->loop;

	ev_io_stop(loop, &client->io);
	ev_io_set(&client->io, client->fd, events);
	ev_io_start(loop, &client->io);
}

static void await(struct client *client, int events)
{
	watch(client, events);
	ev_timer_again(client->control->loop, &client->deadline);
}

/* ---- streams. Errors are left for the watcher to find: a stream is never ended under who sends on it ---- */

static ssize_t send_some(int fd, const char *data, size_t len)
{
	ssize_t n;

	do {
		n = send(fd, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	return n;
}

/* False: nobody will read it any more. */
static bool stream_flush(struct lw_control_stream *stream)
{
	ssize_t n = stream->len ? send_some(stream->client->fd, stream->held, stream->len) : 0;

	if (n < 0)
		return errno == EAGAIN;
	stream->len -= (size_t)n;
	memmove(stream->held, stream->held + n, stream->len);
	return true;
}

bool lw_control_stream_send(struct lw_control_stream *stream, const char *line)
{
	size_t len = strlen(line) + 1, sent = 0;
	struct iovec iov[2] = {
		{ .iov_base = (char *)line, .iov_len = len - 1 },
		{ .iov_base = "\n", .iov_len = 1 },
	};
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	ssize_t n;

	if (stream->len + len > LW_CONTROL_STREAM_MAX - (stream->ending ? 0 : LAST_LINES))
		return false;
	if (!stream->held) {
		stream->held = malloc(LW_CONTROL_STREAM_MAX);
		if (!stream->held)
			return false;
	}
	if (!stream->len) {
		n = sendmsg(stream->client->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		sent = n > 0 ? (size_t)n : 0;
		if (sent == len)
			return true;
		watch(stream->client, EV_READ | EV_WRITE);
	}
	if (sent < len - 1)
		memcpy(stream->held + stream->len, line + sent, len - 1 - sent);
	stream->len += len - sent;
	stream->held[stream->len - 1] = '\n';
	return true;
}

static void on_stream(struct client *client, int revents)
{
	char ignored[512];
	ssize_t n;

	if (revents & EV_WRITE) {
		if (!stream_flush(&client->stream) ||
		    (client->stream.ending && !client->stream.len)) {
			client_free(client);
			return;
		}
		if (!client->stream.len)
			watch(client, EV_READ);
	}
	if (!(revents & EV_READ))
		return;
	do {
		n = recv(client->fd, ignored, sizeof(ignored), MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n > 0 || (n < 0 && errno == EAGAIN))
		return;
	/* perhaps it has closed its sending side alone, and reads on */
	stream_end(client);
	if (client->stream.len && stream_flush(&client->stream) && client->stream.len)
		await(client, EV_WRITE);
	else
		client_free(client);
}

/* The answer to a request, as the handlers'. A stream has begun where client->streams is set. */
static char *answer(struct client *client)
{
	struct lw_control *control = client->control;
	const struct lw_control_options *o = &control->options;
	char *reply = NULL;

	client->stream.client = client;
	if (!o->stream_begin || !o->stream_begin(&client->stream, client->in, &reply, o->arg))
		return o->handler(client->in, o->arg);
	if (!reply) {
		client->streams = true;
		ev_timer_stop(control->loop, &client->deadline);
	}
	return reply;
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
		char *end = memchr(client->in, '\n', client->in_len), *grown;
		size_t used;

		if (!end) {
			if (client->in_len == LW_CONTROL_REQUEST_MAX)
				client_free(client);
			return;
		}
		*end = '\0';
		used = (size_t)(end - client->in) + 1;
		client->out = answer(client);
		if (client->streams)
			return;
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
	if (client->streams) {
		on_stream(client, revents);
		return;
	}
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

/* What an agent that was killed has left; -EEXIST: it is something else, and stays. */
static int unlink_socket(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
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
	r = lw_control_addr(options->path, &control->addr);
	if (r < 0)
		return r;
	r = lw_lock_mkdir(options->path);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = unlink_socket(options->path);
	if (r < 0)
		return r;
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

	if (stat(options->path, &control->made) < 0)
		return -errno;
	control->loop = loop;
	control->options = *options;
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

void lw_control_end_streams(struct lw_control *control)
{
	struct client *client, *next;

	for (client = control ? control->clients : NULL; client; client = next) {
		next = client->next;
		if (client->streams)
			client_free(client);
	}
}

void lw_control_stop(struct lw_control **control)
{
	struct lw_control *c = TAKE_PTR(*control);
	struct stat now;

	if (!c)
		return;
	while (c->clients)
		client_free(c->clients);
	ev_io_stop(c->loop, &c->io);
	ev_timer_stop(c->loop, &c->retry);
	/* another agent may have taken the place */
	if (stat(c->addr.sun_path, &now) == 0 && now.st_ino == c->made.st_ino &&
	    now.st_dev == c->made.st_dev)
		(void)unlink(c->addr.sun_path);
	(void)lw_close(c->fd);
	free(c);
}
