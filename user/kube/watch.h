/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One list and the watch that follows it, as a state machine without a transport: it says which request is
 * next and when, takes what comes back, and keeps a set of objects equal to what the API server has.
 *
 *	LIST    the first one from the server's cache (resourceVersion=0), in chunks where the server makes them;
 *	        after 410 Gone "not older than what was seen" from its cache, and if it refuses that too, a
 *	        consistent one. Nothing is applied until the list is complete; what has gone meanwhile goes then,
 *	        what is the same version is not touched. So a list takes the place of the set all at once.
 *	WATCH   from the list's resourceVersion, and after an end or a cut from that of the last event or
 *	        bookmark. 410, as a status or as an event, leads back to LIST.
 *
 * After an error the next try comes after a random time of up to 1 s, 2 s, 4 s ... 30 s, after a watch that was cut when it
 * had brought something or had been open for a while, of up to 1 s; after one that the server ended in order, at once.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_object;
struct lw_watch;

/* Items of a list's chunk. */
#define LW_WATCH_LIMIT 500
/* A watch is opened for so long, at random: not all nodes come again at the same time. */
#define LW_WATCH_MIN_S 1800
#define LW_WATCH_MAX_S 3600
#define LW_WATCH_BACKOFF_MAX_MS 30000

struct lw_watch_callbacks {
	/* Makes of a tree what apply() takes. NULL: it is bad (said already), and the version before stays. */
	void *(*build)(struct json_object *tree, void *arg);
	/*
	 * It is in the set in this version (a number, 0 if it is none); first: it was not before. built is taken over;
	 * NULL: it was bad.
	 */
	void (*apply)(const char *ns, const char *name, uint64_t version, bool first, void *built,
		      void *arg);
	/* It is no longer in the set. */
	void (*gone)(const char *ns, const char *name, void *arg);
	void (*drop)(void *built, void *arg); /* what was built is not applied */
	void *arg;
};

struct lw_watch_options {
	const char *path; /* "/api/v1/namespaces/shop/pods" */
	const char *labels, *fields; /* selectors; NULL: none */
	const char *api_version, *kind; /* of items that do not say: "v1", "Pod" */
	struct lw_watch_callbacks callbacks;
};

enum lw_watch_state { LW_WATCH_LIST, LW_WATCH_WATCH };

/* Copies the options. 0 or -ENOMEM. */
int lw_watch_new(const struct lw_watch_options *options, struct lw_watch **ret);
/* Takes NULL; sets *watch to NULL. Says gone() of everything in the set if `forget` is set. */
void lw_watch_free(struct lw_watch **watch, bool forget);

/* lw_clock_ns() from which on the next request may begin; UINT64_MAX while one is under way. */
uint64_t lw_watch_due(const struct lw_watch *watch);
/* Begins it. *ret is path and query, to be freed; *ret_expire_s the server's own limit, 0 for a list. 0 or -ENOMEM. */
int lw_watch_begin(struct lw_watch *watch, uint64_t now_ns, char **ret, unsigned int *ret_expire_s);
/* The answer's status line, before its body. 0 or -ENOMEM. */
int lw_watch_head(struct lw_watch *watch, long status);
/* A piece of the body. 0: go on; else end the request, and call lw_watch_end(). */
int lw_watch_data(struct lw_watch *watch, const char *data, size_t len);
/* It is over. trouble: what went wrong on the way, NULL if nothing did. retry_after_s: the server's wish, 0 if none. */
void lw_watch_end(struct lw_watch *watch, uint64_t now_ns, const char *trouble,
		  unsigned int retry_after_s);

/* The server has been reached by others: what waits because it could not be tries within a second. */
void lw_watch_hurry(struct lw_watch *watch, uint64_t now_ns);

enum lw_watch_state lw_watch_state(const struct lw_watch *watch);
/* Its set has been complete once. */
bool lw_watch_synced(const struct lw_watch *watch);
/* It is following: a watch is open and was answered. */
bool lw_watch_following(const struct lw_watch *watch);
size_t lw_watch_count(const struct lw_watch *watch);
/* Why the last try failed, "" if it did not. */
const char *lw_watch_error(const struct lw_watch *watch);
/* HTTP status of the last answer; 0: there was none. */
long lw_watch_status(const struct lw_watch *watch);
/* Complete lists so far. */
unsigned int lw_watch_lists(const struct lw_watch *watch);
const char *lw_watch_path(const struct lw_watch *watch);
const char *lw_watch_labels(const struct lw_watch *watch);
const char *lw_watch_fields(const struct lw_watch *watch);
