/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/reports.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "core/bytemap.h"

/* One thing that is told of a Rollout; the next one takes its place. */
struct slot {
	const char *reason; /* NULL: nothing */
	bool warning, again; /* again: while it holds */
	char *message;
	uint64_t hash, id, due_ns;
	int64_t since_ns; /* may lie before the machine's start */
};

enum { SLOT_LANE, SLOT_RULES, SLOTS };

enum lane_state { LANE_NONE, LANE_OPEN, LANE_NO_POD, LANE_CLOSED };

struct record {
	struct record *next;
	char *ns, *name, *uid; /* of the Rollout */
	enum lane_state state;
	bool was_open; /* in this release */
	char *lane, *revision; /* of the lane that was open last */
	int rank; /* this node's; -1: others tell */
	uint64_t rules; /* hash of what was refused; 0: nothing */
	struct slot slots[SLOTS];
	bool seen;
};

struct lw_reports {
	char *node;
	struct record *records;
	struct lw_bytemap by_name;
	uint64_t next_id;
	bool begun; /* a state was seen */
};

static uint64_t hash_str(const char *s, uint64_t seed)
{
	return lw_bytes_hash(s, strlen(s), seed);
}

static int set(char **at, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

/* ---- who ---- */

/* In a listing endpoints are sorted by workload. */
static size_t first_endpoint(const struct lw_listing *listing, const char *workload)
{
	size_t low = 0, high = listing->nendpoints;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (strcmp(listing->endpoints[mid].workload, workload) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool is_before(const char *a, const char *b, uint64_t seed)
{
	uint64_t x = hash_str(a, seed), y = hash_str(b, seed);

	return x != y ? x < y : strcmp(a, b) < 0;
}

/*
 * Where this node comes among those with pods of the workload; -1: it has none, or comes too late. -2: no pod is listed,
 * as of a lane that has closed: what was found before counts.
 */
static int rank_of(const struct lw_reports *reports, const struct lw_listing *listing,
		   const struct lw_listing_workload *w)
{
	uint64_t seed = hash_str(w->rollout, 0);
	const char *before[LW_REPORT_RANKS];
	size_t at = first_endpoint(listing, w->name), nbefore = 0;
	bool any = false, here = false;

	for (; at < listing->nendpoints && strcmp(listing->endpoints[at].workload, w->name) == 0;
	     at++) {
		const char *node = listing->endpoints[at].node;
		bool known = false;

		if (!*node)
			continue;
		any = true;
		if (strcmp(node, reports->node) == 0) {
			here = true;
			continue;
		}
		if (nbefore == LW_REPORT_RANKS || !is_before(node, reports->node, seed))
			continue;
		for (size_t i = 0; i < nbefore; i++)
			known |= strcmp(before[i], node) == 0;
		if (!known)
			before[nbefore++] = node;
	}
	if (!any)
		return -2;
	return here && nbefore < LW_REPORT_RANKS ? (int)nbefore : -1;
}

/* ---- what ---- */

static void clear_slot(struct slot *slot)
{
	free(slot->message);
	*slot = (struct slot){ .due_ns = UINT64_MAX };
}

struct news {
	const char *reason;
	bool warning, again;
	uint64_t hash;
	uint64_t wait_s;
};

/* Takes message. */
static void tell(struct lw_reports *reports, struct record *record, struct slot *slot,
		 const struct news *news, char *message, uint64_t now_ns)
{
	clear_slot(slot);
	if (record->rank < 0 || !*record->uid) {
		free(message);
		return;
	}
	slot->reason = news->reason;
	slot->warning = news->warning;
	slot->again = news->again;
	slot->message = message;
	slot->hash = hash_str(news->reason, news->hash);
	slot->id = ++reports->next_id;
	/* What is found at the start has been so for some time: who was there has told it. */
	slot->since_ns =
		(int64_t)now_ns - (reports->begun ? 0 : LW_REPORT_AGAIN_S * (int64_t)LW_NS_PER_SEC);
	slot->due_ns =
		now_ns + (news->wait_s + (uint64_t)record->rank * LW_REPORT_RANK_S) * LW_NS_PER_SEC;
}

static enum lane_state state_of(const struct record *record, const struct lw_listing_workload *w)
{
	if (w->route == LW_LISTING_LANE && w->open)
		return w->canary_ready > 0 ? LANE_OPEN : LANE_NO_POD;
	/* no canary pod at all: at first there is none yet */
	if (w->route == LW_LISTING_LANE)
		return record->was_open ? LANE_NO_POD : record->state;
	return record->state == LANE_NONE ? LANE_NONE : LANE_CLOSED;
}

static const struct lw_listing_lane *lane_of(const struct lw_listing *listing, const char *name)
{
	for (size_t i = 0; i < listing->nlanes; i++)
		if (strcmp(listing->lanes[i].name, name) == 0)
			return &listing->lanes[i];
	return NULL;
}

static char *lane_message(const struct record *record, const struct lw_listing *listing,
			  const struct lw_listing_workload *w, enum lane_state state)
{
	const struct lw_listing_lane *lane = lane_of(listing, w->lane_name);
	char *text = NULL;
	int n;

	if (state == LANE_OPEN)
		n = asprintf(
			&text,
			"lane %s is open: its requests (%s: %s) go to the canary pods of %s, %zu of %zu ready",
			w->lane_name, lane ? lane->tag_header : "", lane ? lane->tag_value : "",
			w->name, w->canary_ready, w->canary_pods);
	else if (state == LANE_NO_POD)
		n = asprintf(
			&text,
			"lane %s has no ready canary pod of %s: its requests go to the stable pods",
			w->lane_name, w->name);
	else
		n = asprintf(&text, "lane %s is closed for %s: %s",
			     record->lane ? record->lane : w->lane_name, w->name, w->why);
	return n < 0 ? NULL : text;
}

static void update_lane(struct lw_reports *reports, struct record *record,
			const struct lw_listing *listing, const struct lw_listing_workload *w,
			uint64_t now_ns)
{
	static const struct news what[] = {
		[LANE_OPEN] = { "LaneOpened", false, true, 0, 0 },
		[LANE_NO_POD] = { "NoReadyCanary", true, true, 0, 0 },
		[LANE_CLOSED] = { "LaneClosed", false, false, 0, 0 },
	};
	enum lane_state state = state_of(record, w);
	struct news news;
	char *message;

	if (state == LANE_OPEN || state == LANE_NO_POD) {
		/* another release has followed at once */
		if (record->revision && *w->revision &&
		    strcmp(record->revision, w->revision) != 0 && state == record->state)
			record->state = LANE_NONE;
		if (set(&record->lane, w->lane_name) < 0 ||
		    (*w->revision && set(&record->revision, w->revision) < 0))
			return;
	}
	if (state == record->state || state == LANE_NONE)
		return;
	message = lane_message(record, listing, w, state);
	if (!message)
		return;
	news = what[state];
	news.hash = hash_str(record->revision ? record->revision : "",
			     hash_str(record->lane ? record->lane : "", hash_str(record->uid, 0)));
	news.wait_s = state == LANE_NO_POD && !record->was_open ? LW_REPORT_GRACE_S : 0;
	tell(reports, record, &record->slots[SLOT_LANE], &news, message, now_ns);
	record->state = state;
	record->was_open = state == LANE_OPEN || (record->was_open && state != LANE_CLOSED);
}

/* The errors that are told of an object, the first of each. */
struct errors {
	struct lw_bytemap by_object;
};

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '/';
}

/*
 * The object whose finding it is: of "API server: Rollout shop/web: spec...", "TrafficRouting shop/entry match 1: ..." and "entry
 * rules of shop/Deployment/web: ..." the first word with a slash, and the word before it, which of a workload is none of its kinds.
 * What comes behind may be quoted from the object, and name anybody's.
 */
static bool object_of(const char *text, struct lw_bytes key[2])
{
	struct lw_bytes before = {};

	while (*text) {
		size_t n = 0, slashes = 0;

		while (is_name(text[n]))
			slashes += text[n++] == '/';
		if (slashes > 0) {
			key[0] = slashes > 1 ? (struct lw_bytes){ "", 0 } : before;
			key[1] = (struct lw_bytes){ text, n };
			return true;
		}
		before = (struct lw_bytes){ text, n };
		text += n;
		text += strcspn(text, " ");
		text += *text == ' ';
	}
	return false;
}

/* Without memory some are told the next time. */
static void index_errors(struct errors *errors, const struct lw_findings *findings)
{
	struct lw_bytes key[2];

	for (size_t i = 0; findings->errors > 0 && i < findings->count; i++) {
		const struct lw_finding *f = &findings->items[i];

		if (f->severity == LW_FINDING_ERROR && object_of(f->text, key) &&
		    !lw_bytemap_get(&errors->by_object, key, 2))
			(void)lw_bytemap_put(&errors->by_object, key, 2, (void *)f->text);
	}
}

static const char *first_error(const struct errors *errors, const struct lw_listing_workload *w)
{
	const struct lw_bytes keys[][2] = {
		{ LW_BYTES_STR("Rollout"), LW_BYTES_STR(w->rollout) },
		{ LW_BYTES_STR("TrafficRouting"), LW_BYTES_STR(w->traffic_routing) },
		{ LW_BYTES_STR(""), LW_BYTES_STR(w->name) },
	};
	const char *error = NULL;

	for (size_t i = 0; !error && i < sizeof(keys) / sizeof(keys[0]); i++)
		error = lw_bytemap_get(&errors->by_object, keys[i], 2);
	return error;
}

static void update_rules(struct lw_reports *reports, struct record *record, const char *error,
			 uint64_t now_ns)
{
	uint64_t hash = error ? hash_str(error, hash_str(record->uid, 0)) : 0;
	char *message;

	if (hash == record->rules)
		return;
	if (!error) {
		record->rules = 0;
		clear_slot(&record->slots[SLOT_RULES]);
		return;
	}
	message = strdup(error);
	if (!message)
		return;
	record->rules = hash;
	tell(reports, record, &record->slots[SLOT_RULES],
	     &(struct news){ "RuleRefused", true, true, hash, 0 }, message, now_ns);
}

/* ---- records ---- */

static void free_record(struct record *record)
{
	for (size_t i = 0; i < SLOTS; i++)
		free(record->slots[i].message);
	free(record->ns);
	free(record->name);
	free(record->uid);
	free(record->lane);
	free(record->revision);
	free(record);
}

/* NULL when out of memory. A Rollout made anew under a name is another one. */
static struct record *get_record(struct lw_reports *reports, const struct lw_listing_workload *w)
{
	struct lw_bytes key[2] = { LW_BYTES_STR(w->rollout), LW_BYTES_STR(w->rollout_uid) };
	struct record *record = lw_bytemap_get(&reports->by_name, key, 2);
	const char *slash = strchr(w->rollout, '/');

	if (record || !slash)
		return record;
	record = calloc(1, sizeof(*record));
	if (!record)
		return NULL;
	record->rank = -1;
	for (size_t i = 0; i < SLOTS; i++)
		record->slots[i].due_ns = UINT64_MAX;
	record->ns = strndup(w->rollout, (size_t)(slash - w->rollout));
	record->name = strdup(slash + 1);
	record->uid = strdup(w->rollout_uid);
	if (!record->ns || !record->name || !record->uid ||
	    lw_bytemap_put(&reports->by_name, key, 2, record) < 0) {
		free_record(record);
		return NULL;
	}
	record->next = reports->records;
	reports->records = record;
	return record;
}

static void drop_gone(struct lw_reports *reports)
{
	struct record **at = &reports->records, *record;

	while ((record = *at)) {
		_cleanup_free_ char *name = NULL;

		if (record->seen) {
			record->seen = false;
			at = &record->next;
			continue;
		}
		if (asprintf(&name, "%s/%s", record->ns, record->name) < 0) {
			name = NULL;
			return;
		}
		(void)lw_bytemap_remove(
			&reports->by_name,
			(struct lw_bytes[]){ LW_BYTES_STR(name), LW_BYTES_STR(record->uid) }, 2);
		*at = record->next;
		free_record(record);
	}
}

/* Pods move, and who tells follows: asked when there is news, and for what is told again. */
static void update_rank(struct lw_reports *reports, struct record *record,
			const struct lw_listing *listing, const struct lw_listing_workload *w)
{
	int rank = rank_of(reports, listing, w);

	if (rank > -2)
		record->rank = rank;
}

void lw_reports_update(struct lw_reports *reports, const struct lw_listing *listing,
		       const struct lw_findings *source, const struct lw_findings *build,
		       uint64_t now_ns)
{
	struct errors errors = {};

	/* what an object says comes before what follows from it */
	index_errors(&errors, source);
	index_errors(&errors, build);
	for (size_t i = 0; i < listing->nworkloads; i++) {
		const struct lw_listing_workload *w = &listing->workloads[i];
		struct record *record = *w->rollout ? get_record(reports, w) : NULL;

		if (!record)
			continue;
		record->seen = true;
		if (w->route != LW_LISTING_PLAIN)
			update_rank(reports, record, listing, w);
		update_lane(reports, record, listing, w, now_ns);
		update_rules(reports, record, first_error(&errors, w), now_ns);
	}
	lw_bytemap_clear(&errors.by_object);
	drop_gone(reports);
	reports->begun = true;
}

/* ---- sending ---- */

uint64_t lw_reports_due(const struct lw_reports *reports)
{
	uint64_t due = UINT64_MAX;

	for (const struct record *record = reports->records; record; record = record->next)
		for (size_t i = 0; i < SLOTS; i++)
			if (record->slots[i].due_ns < due)
				due = record->slots[i].due_ns;
	return due;
}

static void send_slot(const struct record *record, struct slot *slot, uint64_t now_ns,
		      int (*send)(const struct lw_report *report, uint64_t id, void *arg),
		      void *arg)
{
	const struct lw_report report = {
		.ns = record->ns,
		.rollout = record->name,
		.uid = record->uid,
		.reason = slot->reason,
		.message = slot->message,
		.warning = slot->warning,
		.hash = slot->hash,
		.age_ns = (int64_t)now_ns > slot->since_ns ?
				  (uint64_t)((int64_t)now_ns - slot->since_ns) :
				  0,
	};

	if (send(&report, slot->id, arg) < 0) {
		slot->due_ns = now_ns + LW_REPORT_RETRY_S * LW_NS_PER_SEC;
		return;
	}
	slot->due_ns = UINT64_MAX;
	if (slot->again) {
		slot->due_ns =
			now_ns + (LW_REPORT_AGAIN_S + (uint64_t)record->rank * LW_REPORT_RANK_S) *
					 LW_NS_PER_SEC;
		slot->since_ns = (int64_t)now_ns + LW_REPORT_AGAIN_S / 2 * (int64_t)LW_NS_PER_SEC;
	}
}

void lw_reports_send(struct lw_reports *reports, uint64_t now_ns,
		     int (*send)(const struct lw_report *report, uint64_t id, void *arg), void *arg)
{
	for (struct record *record = reports->records; record; record = record->next) {
		for (size_t i = 0; i < SLOTS; i++) {
			if (record->slots[i].due_ns > now_ns)
				continue;
			if (record->rank < 0)
				record->slots[i].due_ns = UINT64_MAX; /* the pods have moved away */
			else
				send_slot(record, &record->slots[i], now_ns, send, arg);
		}
	}
}

void lw_reports_failed(struct lw_reports *reports, uint64_t id, uint64_t now_ns)
{
	for (struct record *record = reports->records; record; record = record->next) {
		for (size_t i = 0; i < SLOTS; i++) {
			struct slot *slot = &record->slots[i];

			if (slot->reason && slot->id == id)
				slot->due_ns = now_ns + LW_REPORT_RETRY_S * LW_NS_PER_SEC;
		}
	}
}

int lw_reports_new(const char *node, struct lw_reports **ret)
{
	struct lw_reports *reports = calloc(1, sizeof(*reports));

	if (!reports)
		return -ENOMEM;
	reports->node = strdup(node);
	if (!reports->node) {
		free(reports);
		return -ENOMEM;
	}
	*ret = reports;
	return 0;
}

void lw_reports_free(struct lw_reports **reports_ptr)
{
	struct lw_reports *reports = *reports_ptr;
	struct record *record;

	if (!reports)
		return;
	while ((record = reports->records)) {
		reports->records = record->next;
		free_record(record);
	}
	lw_bytemap_clear(&reports->by_name);
	free(reports->node);
	free(reports);
	*reports_ptr = NULL;
}
