/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ends of file for applications' sockets, by shutdown(SHUT_RD) on the application's own descriptor. Which descriptor
 * that is only a look at all of its process tells, and some processes have ten thousand: however many ends wait for one
 * process there is one pass over its descriptors, a few hundred at a turn of the loop.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ev_loop;
struct lw_ends;

/*
 * 0: done, or once the application has let go of the socket's lock; -ENOENT (the process is gone, or no descriptor of it is the
 * socket), or -errno. May ask for more ends.
 */
typedef void (*lw_end_cb)(void *arg, uint64_t id, int r);

int lw_ends_new(struct ev_loop *loop, lw_end_cb cb, void *arg, struct lw_ends **ret);
/* What waits is forgotten. */
void lw_ends_free(struct lw_ends **ends);
/*
 * The socket of that cookie, which the process connected, in that network namespace. cb(id) follows, from the loop, unless this
 * fails: -ENOMEM or -errno. id is the caller's.
 */
int lw_ends_ask(struct lw_ends *ends, pid_t pid, uint64_t netns, uint64_t cookie, uint64_t id);
/* The socket is not to be ended any more, and nothing is told of it. */
void lw_ends_forget(struct lw_ends *ends, pid_t pid, uint64_t cookie);
bool lw_ends_any(const struct lw_ends *ends);
