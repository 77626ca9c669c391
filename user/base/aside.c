/* SPDX-License-Identifier: Apache-2.0 */
#include "base/aside.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/thread.h"

/* Threads of owners that have kept a call waiting, and calls that wait for one of them. */
#define OWN_MAX 64
#define QUEUE_MAX 1024
#define IDLE_NS (60 * LW_NS_PER_SEC)

struct worker {
	struct worker *next; /* of those with an owner */
	bool owned;
	uint64_t owner;
	struct lw_aside *first, **end;
	size_t n;
	pthread_cond_t wake;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t done; /* made by the first worker */
static struct worker *shared; /* makes the calls that are waited for; NULL: to be started */
static struct worker *owned;
static size_t nowned;

/* False: there was nothing to do for long, and nobody knows of the worker any more. */
static bool wait_for_one(struct worker *w)
{
	const struct timespec until = lw_cond_until(lw_clock_ns() + IDLE_NS);
	struct worker **link = &owned;

	while (!w->first) {
		if (!w->owned) {
			(void)pthread_cond_wait(&w->wake, &lock);
		} else if (pthread_cond_timedwait(&w->wake, &lock, &until) == ETIMEDOUT &&
			   !w->first) {
			while (*link != w)
				link = &(*link)->next;
			*link = w->next;
			nowned--;
			return false;
		}
	}
	return true;
}

static void *work(void *arg)
{
	struct worker *w = arg;

	(void)pthread_mutex_lock(&lock);
	while (wait_for_one(w)) {
		struct lw_aside *aside = w->first;
		bool left;

		(void)pthread_mutex_unlock(&lock);
		aside->r = aside->call(aside);
		(void)pthread_mutex_lock(&lock);
		w->first = aside->next;
		if (!w->first)
			w->end = &w->first;
		w->n--;
		left = aside->state == LW_ASIDE_LEFT;
		aside->state = LW_ASIDE_DONE;
		(void)pthread_cond_signal(&done);
		if (!left)
			continue;
		(void)pthread_mutex_unlock(&lock);
		aside->drop(aside);
		(void)pthread_mutex_lock(&lock);
	}
	(void)pthread_mutex_unlock(&lock);
	(void)pthread_cond_destroy(&w->wake);
	free(w);
	return NULL;
}

/* A child has none of the threads. */
static void begin_anew(void)
{
	static const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER;

	lock = unlocked;
	shared = owned = NULL;
	nowned = 0;
	lw_cond_init(&done);
}

static int start(struct worker **ret)
{
	struct worker *w = calloc(1, sizeof(*w));
	static bool again;
	pthread_t thread;
	int r;

	if (!w)
		return -ENOMEM;
	if (!again) {
		lw_cond_init(&done);
		(void)pthread_atfork(NULL, NULL, begin_anew);
	}
	again = true;
	lw_cond_init(&w->wake);
	w->end = &w->first;
	r = lw_thread_start(work, w, &thread);
	if (r) {
		(void)pthread_cond_destroy(&w->wake);
		free(w);
		return r;
	}
	(void)pthread_detach(thread);
	*ret = w;
	return 0;
}

static void give(struct worker *w, struct lw_aside *aside)
{
	aside->next = NULL;
	*w->end = aside;
	w->end = &aside->next;
	w->n++;
	(void)pthread_cond_signal(&w->wake);
}

/* Waits for as long as it may take. False: it takes longer. */
static bool is_done(struct lw_aside *aside)
{
	unsigned int alive = 0, now_alive = 0;

	do {
		const struct timespec until =
			lw_cond_until(lw_clock_ns() + aside->patience_ms * LW_NS_PER_MS);
		int r = 0;

		alive = now_alive;
		while (aside->state != LW_ASIDE_DONE && r != ETIMEDOUT)
			r = pthread_cond_timedwait(&done, &lock, &until);
		now_alive = __atomic_load_n(&aside->alive, __ATOMIC_RELAXED);
	} while (aside->state != LW_ASIDE_DONE && now_alive != alive);
	return aside->state == LW_ASIDE_DONE;
}

static int by_owner(struct worker *w, struct lw_aside *aside)
{
	if (w->n >= QUEUE_MAX)
		return -EBUSY;
	aside->state = LW_ASIDE_LEFT;
	give(w, aside);
	return -EINPROGRESS;
}

static int by_shared(struct lw_aside *aside)
{
	struct worker *w;
	int r;

	if (nowned >= OWN_MAX)
		return -EBUSY;
	r = shared ? 0 : start(&shared);
	if (r)
		return r;
	w = shared;
	give(w, aside);
	if (is_done(aside))
		return aside->r;
	aside->state = LW_ASIDE_LEFT;
	w->owner = aside->owner;
	w->owned = true;
	w->next = owned;
	owned = w;
	nowned++;
	shared = NULL;
	return -EINPROGRESS;
}

int lw_aside_do(struct lw_aside *aside)
{
	struct worker *w;
	int r;

	aside->state = LW_ASIDE_QUEUED;
	aside->alive = 0;
	(void)pthread_mutex_lock(&lock);
	for (w = owned; w && w->owner != aside->owner; w = w->next)
		;
	r = w ? by_owner(w, aside) : by_shared(aside);
	(void)pthread_mutex_unlock(&lock);
	return r;
}

static bool any_left(void)
{
	for (const struct worker *w = owned; w; w = w->next)
		if (w->first)
			return true;
	return false;
}

void lw_aside_settle(unsigned int patience_ms)
{
	const struct timespec until = lw_cond_until(lw_clock_ns() + patience_ms * LW_NS_PER_MS);

	(void)pthread_mutex_lock(&lock);
	while (any_left() && pthread_cond_timedwait(&done, &lock, &until) != ETIMEDOUT)
		;
	(void)pthread_mutex_unlock(&lock);
}

void lw_aside_is_alive(struct lw_aside *aside)
{
	__atomic_add_fetch(&aside->alive, 1, __ATOMIC_RELAXED);
}
