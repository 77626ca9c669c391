/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The control socket: a unix stream socket, mode 0600, on which a client sends one request a line and
 * gets one line back for each. Transport only; what the lines say is the handler's business.
 *
 * Bounds. A request is at most LW_CONTROL_REQUEST_MAX bytes: a longer one ends the connection. At most
 * LW_CONTROL_CLIENTS are served at once: more wait in the kernel's queue. A client that takes longer
 * than LW_CONTROL_TIMEOUT_MS to send a request or to read a reply is dropped.
 */
#include <stddef.h>

#define LW_CONTROL_REQUEST_MAX 65536
#define LW_CONTROL_REPLY_MAX (64u << 20)
#define LW_CONTROL_CLIENTS 64
#define LW_CONTROL_TIMEOUT_MS 10000
#define LW_CONTROL_PATH "/run/laneway/agent.sock"

struct ev_loop;
struct lw_control;

/*
 * Answers one request, terminated and without its newline. Returns a reply the caller frees, one line
 * without a newline, or NULL to end the connection.
 */
typedef char *(*lw_control_handler)(const char *request, void *arg);

struct lw_control_options {
	const char *path;
	lw_control_handler handler;
	void *arg;
	unsigned int timeout_ms; /* 0: LW_CONTROL_TIMEOUT_MS */
};

/*
 * Listens; what stood at path before is taken away, so hold lw_lock_take() on it. The directory is
 * made if it is missing. 0 or -errno.
 */
int lw_control_start(struct ev_loop *loop, const struct lw_control_options *options,
		     struct lw_control **ret);
/* Drops every client and takes the socket away. Takes NULL, sets NULL. */
void lw_control_stop(struct lw_control **control);

/*
 * One request, one reply, as a client. The reply is the caller's to free. 0, or -errno: -ENOENT and
 * -ECONNREFUSED when nobody listens, -ETIMEDOUT, -EPIPE when the connection ended early, -EMSGSIZE.
 */
int lw_control_call(const char *path, const char *request, unsigned int timeout_ms,
		    char **ret_reply);

/*
 * Takes the lock that one agent at a time may hold: on the file at path, made if missing, or on a
 * directory. 0, -EBUSY when another process holds it, or -errno. The lock goes with the descriptor;
 * the file stays.
 */
int lw_lock_take(const char *path, int *ret_fd);
/* Makes the directory that path is in. 0 or -errno. */
int lw_lock_mkdir(const char *path);
