/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Kubernetes Events, written to an API server over a connection of their own, which is opened with the first.
 *
 * Several writers may have the same to say: an Event's name is told by what it says, so that the first one makes it and the
 * others find it there. Who finds it there looks how old it is, and counts it up only if it is older than what there is to say.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct lw_kube_config;
struct lw_kube_events;

/* Under way at one time; more are refused. */
#define LW_KUBE_EVENTS_MAX 16

struct lw_kube_event {
	/* The object it is about. */
	const char *api_version, *kind, *ns, *object, *uid;
	const char *name; /* of the Event */
	const char *reason, *message;
	bool warning;
	int64_t since; /* Unix time: one that was written last before this is counted up */
};

/* host: who writes. done: an Event that began with lw_kube_events_write() is over; error NULL: it is there. From the event loop. 0 or -errno. */
int lw_kube_events_new(struct ev_loop *loop, struct lw_kube_config *config, const char *host,
		       void (*done)(uint64_t id, const char *error, void *arg), void *arg,
		       struct lw_kube_events **ret);
/* Takes NULL; sets *events to NULL. What is under way ends without a word. Not from within done(). */
void lw_kube_events_free(struct lw_kube_events **events);
/* Copies event; id comes back with done(). 0, -EBUSY: too many are under way, or -ENOMEM. */
int lw_kube_events_write(struct lw_kube_events *events, const struct lw_kube_event *event,
			 uint64_t id);

/* "web.0123456789abcdef": of an Event on the object, for what is told apart by hash. size: 254 is enough. */
void lw_kube_events_name(const char *object, uint64_t hash, char *ret, size_t size);
/* "2026-11-24T17:00:00Z" */
void lw_kube_events_time(int64_t unix_time, char ret[32]);
/* 0 where s is no such time; fractions of a second are left out. */
int64_t lw_kube_events_parse_time(const char *s);
