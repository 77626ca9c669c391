/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is to be told about Rollouts, and by whom: a lane opens, closes, has no ready canary pod, a rule is refused. Every
 * agent sees all of it, and one is to tell: of the nodes that have pods of the workload, the first in an order that follows
 * from the Rollout and the nodes' names, so that all agents find the same one without asking each other. The second and the
 * third come LW_REPORT_RANK_S seconds later each, and find it told (docs/adr/0013-events.md). No other node tells anything.
 *
 * Pure: time and the sending are the caller's.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/listing.h"
#include "daemon/findings.h"

#define LW_REPORT_RANKS 3
#define LW_REPORT_RANK_S 10
/* What still holds is told again: an API server forgets Events after an hour. */
#define LW_REPORT_AGAIN_S (30 * 60)
/* A canary that starts is not ready at first, which is no news. */
#define LW_REPORT_GRACE_S 30
/* After one that could not be sent. */
#define LW_REPORT_RETRY_S 30

struct lw_reports;

struct lw_report {
	const char *ns, *rollout, *uid;
	const char *reason; /* "LaneOpened" */
	const char *message;
	bool warning;
	uint64_t hash; /* of what it is about: the same on every node */
	uint64_t age_ns; /* how long it has been so; what was told before that is old */
};

/* node: this one. 0 or -ENOMEM. */
int lw_reports_new(const char *node, struct lw_reports **ret);
/* Takes NULL; sets *reports to NULL. */
void lw_reports_free(struct lw_reports **reports);
/* Takes up a state that is in force. Without memory some of it is left out, and taken up the next time. */
void lw_reports_update(struct lw_reports *reports, const struct lw_listing *listing,
		       const struct lw_findings *source, const struct lw_findings *build,
		       uint64_t now_ns);
/* When lw_reports_send() has something to do; UINT64_MAX: never. */
uint64_t lw_reports_due(const struct lw_reports *reports);
/* Hands over what is due; send returns 0, or -errno, and is then asked again later. id: for lw_reports_failed(). */
void lw_reports_send(struct lw_reports *reports, uint64_t now_ns,
		     int (*send)(const struct lw_report *report, uint64_t id, void *arg),
		     void *arg);
/* What send had taken did not arrive: it is due again. */
void lw_reports_failed(struct lw_reports *reports, uint64_t id, uint64_t now_ns);
