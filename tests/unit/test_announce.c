/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/announce.h"

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon/reports.h"
#include "kube/events.h"

/* Those who take it up, in place of reports.c and events.c. */
static size_t updates, found;

int lw_reports_new(const char *node, struct lw_reports **ret)
{
	(void)node;
	*ret = calloc(1, 1);
	return 0;
}
void lw_reports_free(struct lw_reports **reports)
{
	free(*reports);
	*reports = NULL;
}
void lw_reports_update(struct lw_reports *reports, const struct lw_listing *listing,
		       const struct lw_findings *source, const struct lw_findings *build,
		       uint64_t now_ns)
{
	(void)reports;
	(void)now_ns;
	assert_non_null(listing);
	found = source->count + build->count;
	updates++;
}
uint64_t lw_reports_due(const struct lw_reports *reports)
{
	(void)reports;
	return UINT64_MAX;
}
void lw_reports_send(struct lw_reports *reports, uint64_t now_ns,
		     int (*send)(const struct lw_report *report, uint64_t id, void *arg), void *arg)
{
	(void)reports;
	(void)now_ns;
	(void)send;
	(void)arg;
}
void lw_reports_failed(struct lw_reports *reports, uint64_t id, uint64_t now_ns)
{
	(void)reports;
	(void)id;
	(void)now_ns;
}
int lw_kube_events_new(struct ev_loop *loop, struct lw_kube_config *config, const char *host,
		       void (*done)(uint64_t id, const char *error, void *arg), void *arg,
		       struct lw_kube_events **ret)
{
	(void)loop;
	(void)config;
	(void)host;
	(void)done;
	(void)arg;
	*ret = NULL;
	return 0;
}
void lw_kube_events_free(struct lw_kube_events **events)
{
	(void)events;
}
int lw_kube_events_write(struct lw_kube_events *events, const struct lw_kube_event *event,
			 uint64_t id)
{
	(void)events;
	(void)event;
	(void)id;
	return 0;
}
void lw_kube_events_name(const char *object, uint64_t hash, char *ret, size_t size)
{
	(void)object;
	(void)hash;
	(void)snprintf(ret, size, "x");
}

/* An object with a flaw in each of its parts, each of which is news. */
static void many_news_are_taken_up_once(void **state)
{
	struct ev_loop *loop = ev_loop_new(EVFLAG_AUTO);
	struct lw_findings source = {}, build = {};
	struct lw_listing listing = {};
	struct lw_announcer *a;

	(void)state;
	assert_int_equal(lw_announcer_new(loop, NULL, "n1", &a), 0);
	for (size_t i = 0; i < 2000; i++) {
		char text[64];

		(void)snprintf(text, sizeof(text), "Rollout shop/web: flaw %zu", i);
		lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, text }, &source);
		lw_announcer_update(a, "v1beta1", &listing, &source, &build);
	}
	assert_int_equal(updates, 0);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(updates, 1);
	assert_int_equal(found, 2000);
	/* and not again without news */
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(updates, 1);
	lw_announcer_update(a, "v1beta1", &listing, &source, &build);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(updates, 2);
	/* nor when it has ended */
	lw_announcer_update(a, "v1beta1", &listing, &source, &build);
	lw_announcer_free(&a);
	ev_run(loop, EVRUN_NOWAIT);
	assert_int_equal(updates, 2);
	lw_findings_clear(&source);
	ev_loop_destroy(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_news_are_taken_up_once),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
