/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Calls that may wait for as long as somebody else likes, made by other threads. The kernel's for a socket that an application
 * has locked are such: it is locked while the application sends, and what it sends may be memory that is not there yet, a page of a
 * file on a server that hangs (tcp_sendmsg()). No signal ends that wait.
 *
 * Calls of one owner are made one after another. Who has kept a call waiting is not waited for again: its calls are made by a thread
 * of their own, until there was none for a minute.
 */
#include <stdint.h>

struct lw_aside {
	uint64_t owner; /* whose doing it is if it takes long, such as a pod's */
	unsigned int patience_ms; /* it is waited for, from its begin or its last sign of life on */
	/* In another thread. 0 or -errno. */
	int (*call)(struct lw_aside *aside);
	/* Frees it, in another thread, behind a call that was not waited for. */
	void (*drop)(struct lw_aside *aside);
	/* aside.c's */
	struct lw_aside *next;
	unsigned int alive;
	int r;
	enum { LW_ASIDE_QUEUED, LW_ASIDE_DONE, LW_ASIDE_LEFT } state;
};

/*
 * What the call has returned, or -EBUSY: it is not made, as too many wait. The caller keeps what it has. Or -EINPROGRESS: it will
 * be made, and `aside` is not the caller's any more. From one thread only.
 */
int lw_aside_do(struct lw_aside *aside);
/* Until all that were not waited for are made, but no longer: what is left when the process ends is never made. */
void lw_aside_settle(unsigned int patience_ms);
/* By the call: it gets on. */
void lw_aside_is_alive(struct lw_aside *aside);
