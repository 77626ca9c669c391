/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Threads beside the main one, which all signals are for. */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>

#include "base/clock.h"

/* 0 or -errno. */
static inline int lw_thread_start(void *(*run)(void *arg), void *arg, pthread_t *ret)
{
	sigset_t all, old;
	int r;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &old);
	r = -pthread_create(ret, NULL, run, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

/* One whose deadlines are of lw_clock_ns(). */
static inline void lw_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	(void)pthread_condattr_init(&attr);
	(void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	(void)pthread_cond_init(cond, &attr);
	(void)pthread_condattr_destroy(&attr);
}

/* The time ns of lw_clock_ns(), for pthread_cond_timedwait(). */
static inline struct timespec lw_cond_until(uint64_t ns)
{
	return (struct timespec){ .tv_sec = (time_t)(ns / LW_NS_PER_SEC),
				  .tv_nsec = (long)(ns % LW_NS_PER_SEC) };
}
