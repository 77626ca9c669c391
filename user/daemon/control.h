/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control socket: a unix stream socket, mode 0600, on which a client sends one request a line and
 * gets one line back for each. Transport only; what the lines say is the handler's business.
 *
 * Bounds. A request is at most LW_CONTROL_REQUEST_MAX bytes: a longer one ends the connection. At most
 * LW_CONTROL_CLIENTS are served at once: more wait in the kernel's queue. A client that takes longer
 * than LW_CONTROL_TIMEOUT_MS to send a request or to read a reply is dropped.
 *
 * A request may begin a stream: from then on the client is sent lines until it closes its connection, or its sending side
 * of it. At most LW_CONTROL_STREAM_MAX bytes wait for it; it may be as slow as it likes.
 */
#include <stdbool.h>
#include <stddef.h>

#define LW_CONTROL_REQUEST_MAX 65536
#define LW_CONTROL_REPLY_MAX (64u << 20)
#define LW_CONTROL_CLIENTS 64
#define LW_CONTROL_TIMEOUT_MS 10000
#define LW_CONTROL_STREAM_MAX (256u << 10)
#define LW_CONTROL_PATH "/run/laneway/agent.sock"

struct ev_loop;
struct lw_control;

/*
 * Answers one request, terminated and without its newline. Returns a reply the caller frees, one line
 * without a newline, or NULL to end the connection.
 */
typedef char *(*lw_control_handler)(const char *request, void *arg);

/* A client that has begun a stream. */
struct lw_control_stream;
/* One line, without its newline. False: there is no room for it, it was dropped. */
bool lw_control_stream_send(struct lw_control_stream *stream, const char *line);

struct lw_control_options {
	const char *path;
	lw_control_handler handler;
	/*
	 * Asked before the handler, unless NULL. True: the request began a stream, whose first line is the answer; or
	 * it cannot, and *ret_reply is the answer, the callee's to free.
	 */
	bool (*stream_begin)(struct lw_control_stream *stream, const char *request,
			     char **ret_reply, void *arg);
	/* The client is going; lines sent from here on reach it if it has closed its sending side alone. */
	void (*stream_end)(struct lw_control_stream *stream, void *arg);
	void *arg; /* of all */
	unsigned int timeout_ms; /* 0: LW_CONTROL_TIMEOUT_MS */
};

/*
 * Listens; what stood at path before is taken away, so hold a lock on it (lock.h). The directory is
 * made if it is missing. 0 or -errno.
 */
int lw_control_start(struct ev_loop *loop, const struct lw_control_options *options,
		     struct lw_control **ret);
/* Drops every client that is sent a stream, behind what stream_end() has still to say. Takes NULL. */
void lw_control_end_streams(struct lw_control *control);
/* Drops every client and takes the socket away. Takes NULL, sets NULL. */
void lw_control_stop(struct lw_control **control);

/*
 * One request, one reply, as a client. The reply is the caller's to free. 0, or -errno: -ENOENT and
 * -ECONNREFUSED when nobody listens, -ETIMEDOUT, -EPIPE when the connection ended early, -EMSGSIZE, -E2BIG: the request is too long.
 */
int lw_control_call(const char *path, const char *request, unsigned int timeout_ms,
		    char **ret_reply);

/* Many lines to one request, as a client. */
struct lw_control_lines;
/* Sends the request. 0 or -errno as above. */
int lw_control_open(const char *path, const char *request, unsigned int timeout_ms,
		    struct lw_control_lines **ret);
/* Takes NULL, sets NULL. */
void lw_control_close(struct lw_control_lines **lines);
/*
 * The next line; it stays valid until the next call. Waits timeout_ms (negative: for ever), and no longer than until stop_fd (negative:
 * none) can be read. 0, -EINTR (stop_fd), -ETIMEDOUT, -EPIPE (there are no more), -EMSGSIZE or -errno.
 */
int lw_control_next(struct lw_control_lines *lines, int timeout_ms, int stop_fd,
		    const char **ret_line);
/* A further line is there already. */
bool lw_control_has_line(const struct lw_control_lines *lines);
/* Enough: the server says what it has left to say, and ends. */
void lw_control_enough(struct lw_control_lines *lines);

struct sockaddr_un;
/* 0 or -ENAMETOOLONG. */
int lw_control_addr(const char *path, struct sockaddr_un *ret);
