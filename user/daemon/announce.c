/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/announce.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "daemon/reports.h"
#include "kube/events.h"

/* Two writers' clocks, and the second in which a time is told. */
#define SLACK_S 5

struct lw_announcer {
	struct ev_loop *loop;
	struct lw_reports *reports;
	struct lw_kube_events *events;
	char api_version[64];
	ev_timer due;
	/* What there is to be told at the end of this turn of the loop. */
	ev_prepare turn;
	const struct lw_listing *listing;
	const struct lw_findings *source, *build;
	char said[512]; /* the trouble logged last */
};

static void schedule(struct lw_announcer *a)
{
	uint64_t due = lw_reports_due(a->reports), now = lw_clock_ns();

	ev_timer_stop(a->loop, &a->due);
	if (due == UINT64_MAX)
		return;
	ev_timer_set(&a->due, due > now ? (double)(due - now) / 1e9 + .001 : 0., 0.);
	ev_timer_start(a->loop, &a->due);
}

static int send_event(const struct lw_report *report, uint64_t id, void *arg)
{
	struct lw_announcer *a = arg;
	char name[256];

	lw_kube_events_name(report->rollout, report->hash, name, sizeof(name));
	return lw_kube_events_write(a->events,
				    &(struct lw_kube_event){
					    .api_version = a->api_version,
					    .kind = "Rollout",
					    .ns = report->ns,
					    .object = report->rollout,
					    .uid = report->uid,
					    .name = name,
					    .reason = report->reason,
					    .message = report->message,
					    .warning = report->warning,
					    .since = (int64_t)time(NULL) -
						     (int64_t)(report->age_ns / LW_NS_PER_SEC) -
						     SLACK_S,
				    },
				    id);
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_announcer *a = w->data;

	(void)loop;
	(void)revents;
	lw_reports_send(a->reports, lw_clock_ns(), send_event, a);
	schedule(a);
}

static void on_turn(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct lw_announcer *a = w->data;

	(void)revents;
	ev_prepare_stop(loop, w);
	lw_reports_update(a->reports, a->listing, a->source, a->build, lw_clock_ns());
	schedule(a);
}

static void on_done(uint64_t id, const char *error, void *arg)
{
	struct lw_announcer *a = arg;

	if (!error) {
		a->said[0] = '\0';
		return;
	}
	if (strcmp(a->said, error) != 0)
		lw_warn("write an Event: %s, trying again", error);
	(void)lw_str_copy(a->said, sizeof(a->said), error);
	lw_reports_failed(a->reports, id, lw_clock_ns());
	schedule(a);
}

int lw_announcer_new(struct ev_loop *loop, struct lw_kube_config *config, const char *node,
		     struct lw_announcer **ret)
{
	_cleanup_(lw_announcer_free) struct lw_announcer *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->loop = loop;
	ev_timer_init(&a->due, on_due, 0., 0.);
	ev_prepare_init(&a->turn, on_turn);
	a->turn.data = a->due.data = a;
	r = lw_reports_new(node, &a->reports);
	if (r == 0)
		r = lw_kube_events_new(loop, config, node, on_done, a, &a->events);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(a);
	return 0;
}

void lw_announcer_free(struct lw_announcer **announcer)
{
	struct lw_announcer *a = *announcer;

	if (!a)
		return;
	ev_timer_stop(a->loop, &a->due);
	ev_prepare_stop(a->loop, &a->turn);
	lw_kube_events_free(&a->events);
	lw_reports_free(&a->reports);
	free(a);
	*announcer = NULL;
}

void lw_announcer_update(struct lw_announcer *a, const char *version,
			 const struct lw_listing *listing, const struct lw_findings *source,
			 const struct lw_findings *build)
{
	(void)snprintf(a->api_version, sizeof(a->api_version), "rollouts.kruise.io/%s", version);
	a->listing = listing;
	a->source = source;
	a->build = build;
	ev_prepare_start(a->loop, &a->turn);
}
