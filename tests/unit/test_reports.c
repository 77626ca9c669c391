/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "daemon/reports.h"
#include "kube/events.h"

#define S LW_NS_PER_SEC
#define NODES 200
#define START (100000 * S)

/* A workload with a pod on each of the first `nodes` nodes. */
static struct lw_listing_workload workload;
static struct lw_listing_endpoint endpoints[NODES];
static struct lw_listing_lane lane = { .name = "gray",
				       .tag_header = "x-mse-tag",
				       .tag_value = "gray",
				       .open = true };
static char names[NODES][32];
static struct lw_listing listing;
static struct lw_findings none;

static void world(size_t nodes)
{
	workload = (struct lw_listing_workload){ .name = "default/Deployment/web",
						 .rollout = "default/ro",
						 .rollout_uid = "u1",
						 .traffic_routing = "default/tr",
						 .revision = "c1",
						 .lane_name = "gray",
						 .why = "its phase is Healthy, not Progressing",
						 .route = LW_LISTING_PLAIN };
	for (size_t i = 0; i < nodes; i++) {
		(void)snprintf(names[i], sizeof(names[i]), "node-%zu", i);
		endpoints[i] =
			(struct lw_listing_endpoint){ .workload = workload.name, .node = names[i] };
	}
	listing = (struct lw_listing){ .lanes = &lane,
				       .nlanes = 1,
				       .workloads = &workload,
				       .nworkloads = 1,
				       .endpoints = endpoints,
				       .nendpoints = nodes };
}
static void lane_is(size_t ready)
{
	workload.route = LW_LISTING_LANE;
	workload.open = true;
	workload.canary_pods = 2;
	workload.canary_ready = ready;
}
static void lane_closed(void)
{
	workload.route = LW_LISTING_PLAIN;
	workload.open = false;
	listing.nendpoints = 0;
}

struct sent {
	char reason[32], message[256];
	uint64_t hash, id, age_ns;
	size_t count;
	int answer;
};
static int on_send(const struct lw_report *report, uint64_t id, void *arg)
{
	struct sent *sent = arg;

	(void)snprintf(sent->reason, sizeof(sent->reason), "%s", report->reason);
	(void)snprintf(sent->message, sizeof(sent->message), "%s", report->message);
	assert_string_equal(report->ns, "default");
	assert_string_equal(report->rollout, "ro");
	sent->hash = report->hash;
	sent->id = id;
	sent->age_ns = report->age_ns;
	sent->count++;
	return sent->answer;
}

/* An agent that has seen the workload in no release. */
static struct lw_reports *agent(const char *node)
{
	struct lw_reports *r;

	assert_int_equal(lw_reports_new(node, &r), 0);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_int_equal(lw_reports_due(r), UINT64_MAX);
	return r;
}
/* What it sends at that time, "" for nothing. */
static const char *at(struct lw_reports *r, uint64_t now, struct sent *sent)
{
	size_t before = sent->count;

	lw_reports_send(r, now, on_send, sent);
	assert_true(sent->count <= before + 1);
	return sent->count > before ? sent->reason : "";
}

static void a_release(void **state)
{
	struct sent sent = {};
	struct lw_reports *r;
	uint64_t opened;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(2);
	lw_reports_update(r, &listing, &none, &none, START + 10 * S);
	assert_int_equal(lw_reports_due(r), START + 10 * S);
	assert_string_equal(at(r, START + 10 * S, &sent), "LaneOpened");
	assert_string_equal(
		sent.message,
		"lane gray is open: its requests (x-mse-tag: gray) go to the canary pods of "
		"default/Deployment/web, 2 of 2 ready");
	opened = sent.hash;
	lw_reports_update(r, &listing, &none, &none, START + 20 * S);
	assert_string_equal(at(r, START + 20 * S, &sent), "");
	lane_is(0);
	lw_reports_update(r, &listing, &none, &none, START + 30 * S);
	assert_string_equal(at(r, START + 30 * S, &sent), "NoReadyCanary");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START + 40 * S);
	assert_string_equal(at(r, START + 40 * S, &sent), "LaneOpened");
	assert_true(sent.hash == opened);
	lane_closed();
	lw_reports_update(r, &listing, &none, &none, START + 50 * S);
	assert_string_equal(at(r, START + 50 * S, &sent), "LaneClosed");
	assert_non_null(
		strstr(sent.message,
		       "lane gray is closed for default/Deployment/web: its phase is Healthy"));
	assert_int_equal(lw_reports_due(r), UINT64_MAX);
	/* the next release has other canary pods, and an Event of its own */
	world(1);
	workload.revision = "c2";
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START + 60 * S);
	assert_string_equal(at(r, START + 60 * S, &sent), "LaneOpened");
	assert_true(sent.hash != opened);
	lw_reports_free(&r);
}

static void a_canary_that_starts_is_no_news(void **state)
{
	struct sent sent = {};
	struct lw_reports *r;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(0);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_string_equal(at(r, START + (LW_REPORT_GRACE_S - 1) * S, &sent), "");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START + (LW_REPORT_GRACE_S - 1) * S);
	assert_string_equal(at(r, START + LW_REPORT_GRACE_S * S, &sent), "LaneOpened");
	lw_reports_free(&r);

	world(1);
	r = agent("node-0");
	lane_is(0);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_string_equal(at(r, START + LW_REPORT_GRACE_S * S, &sent), "NoReadyCanary");
	lw_reports_free(&r);
}

/* Of any number of nodes three would tell, each at a time of its own, and all of the same. */
static void few_tell(void **state)
{
	(void)state;
	for (size_t nodes = 1; nodes <= NODES; nodes = nodes * 3 + 1) {
		size_t at_rank[LW_REPORT_RANKS] = {}, silent = 0;
		uint64_t hash = 0;

		for (size_t i = 0; i < nodes + 2; i++) {
			struct sent sent = {};
			struct lw_reports *r;
			uint64_t due;
			char name[32];

			world(nodes);
			(void)snprintf(name, sizeof(name), "node-%zu", i);
			r = agent(name);
			lane_is(1);
			lw_reports_update(r, &listing, &none, &none, START);
			due = lw_reports_due(r);
			if (due == UINT64_MAX) {
				silent++;
			} else {
				size_t rank = (size_t)((due - START) / (LW_REPORT_RANK_S * S));

				assert_true(rank < LW_REPORT_RANKS);
				at_rank[rank]++;
				assert_string_equal(at(r, due, &sent), "LaneOpened");
				assert_true(hash == 0 || hash == sent.hash);
				hash = sent.hash;
				/* who comes later takes what was told meanwhile for told */
				assert_int_equal(sent.age_ns, rank * LW_REPORT_RANK_S * S);
			}
			lw_reports_free(&r);
		}
		for (size_t rank = 0; rank < LW_REPORT_RANKS; rank++)
			assert_int_equal(at_rank[rank], rank < nodes);
		assert_int_equal(silent,
				 nodes + 2 - (nodes < LW_REPORT_RANKS ? nodes : LW_REPORT_RANKS));
	}
}

static void what_holds_is_told_again(void **state)
{
	struct sent sent = {};
	struct lw_reports *r;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_string_equal(at(r, START, &sent), "LaneOpened");
	assert_string_equal(at(r, START + (LW_REPORT_AGAIN_S - 1) * S, &sent), "");
	assert_string_equal(at(r, START + LW_REPORT_AGAIN_S * S, &sent), "LaneOpened");
	/* old enough to be counted up, and not told twice by the one that comes after */
	assert_true(sent.age_ns > LW_REPORT_RANKS * LW_REPORT_RANK_S * S &&
		    sent.age_ns < LW_REPORT_AGAIN_S * S);
	lw_reports_free(&r);
}

static void a_start_in_mid_release(void **state)
{
	struct sent sent = {};
	struct lw_reports *r;

	(void)state;
	world(1);
	lane_is(1);
	assert_int_equal(lw_reports_new("node-0", &r), 0);
	/* soon after the machine's start: what is older than that is told all the same */
	lw_reports_update(r, &listing, &none, &none, S);
	assert_string_equal(at(r, S, &sent), "LaneOpened");
	assert_int_equal(sent.age_ns, LW_REPORT_AGAIN_S * S);
	lw_reports_free(&r);
}

static void trouble(void **state)
{
	struct sent sent = { .answer = -EBUSY };
	struct lw_reports *r;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_string_equal(at(r, START, &sent), "LaneOpened");
	assert_int_equal(lw_reports_due(r), START + LW_REPORT_RETRY_S * S);
	sent.answer = 0;
	assert_string_equal(at(r, START + LW_REPORT_RETRY_S * S, &sent), "LaneOpened");
	lw_reports_failed(r, sent.id, START + 100 * S);
	assert_int_equal(lw_reports_due(r), START + (100 + LW_REPORT_RETRY_S) * S);
	/* something else has come meanwhile: the old one is not told late */
	lane_is(0);
	lw_reports_update(r, &listing, &none, &none, START + 101 * S);
	lw_reports_failed(r, sent.id, START + 101 * S);
	assert_string_equal(at(r, START + 101 * S, &sent), "NoReadyCanary");
	lw_reports_free(&r);
}

static void rules(void **state)
{
	static const char *const of_it[] = {
		"API server: Rollout default/ro: spec.strategy: expected a mapping",
		"API server: TrafficRouting default/tr: and 17 more",
		"entry rules of default/Deployment/web: a table is full",
		"Rollout default/ro step 2 match 1: no closing )",
	};
	struct lw_findings build = {}, other = {};
	struct sent sent = {};
	struct lw_reports *r;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START);
	assert_string_equal(at(r, START, &sent), "LaneOpened");
	/* of another one whose name begins with this one's; and a mere warning */
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR,
					      "TrafficRouting default/tr-2 match 1: bad" },
			&other);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR,
					      "TrafficRouting default/tr.x match 1: bad" },
			&other);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, "Pod default/tr: bad" }, &other);
	lw_findings_add(
		&(struct lw_finding){ LW_FINDING_WARNING, "TrafficRouting default/tr: odd" },
		&other);
	/* what is quoted from an object may name anybody's */
	lw_findings_add(
		&(struct lw_finding){
			LW_FINDING_ERROR,
			"API server: Pod other/x: status.phase: got \"Rollout default/ro: x\"" },
		&other);
	lw_findings_add(
		&(struct lw_finding){
			LW_FINDING_ERROR,
			"API server: Rollout other/ro: \"TrafficRouting default/tr\" default/Deployment/web" },
		&other);
	lw_reports_update(r, &listing, &other, &none, START + S);
	assert_string_equal(at(r, START + S, &sent), "");
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR,
					      "TrafficRouting default/tr match 1: no closing )" },
			&build);
	lw_reports_update(r, &listing, &other, &build, START + 2 * S);
	assert_string_equal(at(r, START + 2 * S, &sent), "RuleRefused");
	assert_string_equal(sent.message, "TrafficRouting default/tr match 1: no closing )");
	lw_reports_update(r, &listing, &none, &none, START + 3 * S);
	assert_int_equal(lw_reports_due(r), START + LW_REPORT_AGAIN_S * S); /* the lane's alone */
	for (size_t i = 0; i < sizeof(of_it) / sizeof(of_it[0]); i++) {
		struct lw_findings one = {};

		lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, of_it[i] }, &one);
		lw_reports_update(r, &listing, &one, &none, START + 4 * S);
		assert_string_equal(at(r, START + 4 * S, &sent), "RuleRefused");
		assert_string_equal(sent.message, of_it[i]);
		lw_findings_clear(&one);
	}
	lw_findings_clear(&build);
	lw_findings_clear(&other);
	lw_reports_free(&r);
}

static void a_rollout_goes(void **state)
{
	struct sent sent = {};
	struct lw_reports *r;

	(void)state;
	world(1);
	r = agent("node-0");
	lane_is(1);
	lw_reports_update(r, &listing, &none, &none, START);
	listing.nworkloads = 0;
	lw_reports_update(r, &listing, &none, &none, START);
	assert_int_equal(lw_reports_due(r), UINT64_MAX);
	assert_string_equal(at(r, START, &sent), "");
	lw_reports_free(&r);
}

static void names_and_times(void **state)
{
	char name[256], longest[260], time[32];

	(void)state;
	lw_kube_events_name("web", 0x1234, name, sizeof(name));
	assert_string_equal(name, "web.0000000000001234");
	memset(longest, 'a', sizeof(longest));
	longest[253] = '\0';
	longest[235] = '.';
	lw_kube_events_name(longest, 1, name, sizeof(name));
	assert_int_equal(strlen(name), 235 + 17);
	lw_kube_events_time(1795539801, time);
	assert_int_equal(lw_kube_events_parse_time(time), 1795539801);
	assert_int_equal(lw_kube_events_parse_time("2026-11-24T17:00:00.123456Z"),
			 lw_kube_events_parse_time("2026-11-24T17:00:00Z"));
	assert_int_equal(lw_kube_events_parse_time(""), 0);
	assert_int_equal(lw_kube_events_parse_time("yesterday"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_release),
		cmocka_unit_test(a_canary_that_starts_is_no_news),
		cmocka_unit_test(few_tell),
		cmocka_unit_test(what_holds_is_told_again),
		cmocka_unit_test(a_start_in_mid_release),
		cmocka_unit_test(trouble),
		cmocka_unit_test(rules),
		cmocka_unit_test(a_rollout_goes),
		cmocka_unit_test(names_and_times),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
