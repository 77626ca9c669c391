/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The end of another process, told on the event loop. */
#include <sys/types.h>

struct ev_loop;
struct lw_process_watch;

/* Calls gone once, when that process has ended; at once from the loop if it has already. 0 or -errno. */
int lw_process_watch_start(struct ev_loop *loop, pid_t pid, void (*gone)(void *arg), void *arg,
			   struct lw_process_watch **ret);
/* Takes NULL, sets NULL. */
void lw_process_watch_stop(struct lw_process_watch **watch);
