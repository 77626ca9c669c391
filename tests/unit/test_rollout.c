/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/*
 * One row is one situation. Steps are written one character each: '-' neither traffic nor matches, 'w' traffic,
 * 'm' matches, 'b' both, '0' traffic "0%"; upper case: the step replaces all pods.
 */
struct row {
	const char *name;
	/* the Rollout */
	enum lw_k8s_style style;
	const char *steps;
	bool no_service; /* no trafficRoutings */
	const char *kind; /* NULL: Deployment */
	const char *phase; /* NULL: Progressing */
	const char *reason; /* NULL: InRolling */
	int step; /* 0: 1; -1: 0 */
	const char *state; /* NULL: StepPaused */
	const char *canary, *stable; /* NULL: "new", "old" */
	const char *hash, *rollout_hash;
	const char *finalising; /* NULL: none */
	bool failed; /* condition Succeeded is False */
	/* the TrafficRouting; shared_phase NULL: not bound */
	const char *shared_phase;
	const char *finalizer; /* NULL: of this Rollout; "": none */
	bool shared_missing, shared_no_rule;
	/* what was remembered */
	int previous_step;
	bool unrouted;
	const char *remembered_stable;
	/* what must come out */
	enum lw_listing_route route;
	int own_step; /* 0: no rule of its own */
	bool shared_rule, base_is_all;
	const char *canary_hash, *stable_hash; /* NULL: not looked at */
};

#define PLAIN LW_LISTING_PLAIN
#define STABLE LW_LISTING_STABLE
#define LANE LW_LISTING_LANE
#define NEW LW_LISTING_NEW
#define CANARY LW_K8S_STYLE_CANARY
#define PARTITION LW_K8S_STYLE_PARTITION
#define BLUE_GREEN LW_K8S_STYLE_BLUE_GREEN

static const struct row rows[] = {
	/* Phases: routing only in Progressing. */
	{ "phase Healthy", CANARY, "ww", .phase = "Healthy", .route = PLAIN, .canary_hash = "",
	  .stable_hash = "" },
	{ "phase Initial", CANARY, "ww", .phase = "Initial", .route = PLAIN },
	{ "phase not told", CANARY, "ww", .phase = "", .route = PLAIN },
	{ "phase Terminating", CANARY, "ww", .phase = "Terminating", .route = PLAIN },
	{ "phase Disabling", CANARY, "ww", .phase = "Disabling", .route = PLAIN },
	{ "phase Disabled", CANARY, "ww", .phase = "Disabled", .route = PLAIN },
	{ "Healthy, state frozen in StepPaused", CANARY, "ww", .phase = "Healthy", .step = 2,
	  .route = PLAIN, .canary_hash = "" },
	{ "Healthy after a rollback: the abandoned version's pods may live on", CANARY, "ww",
	  .phase = "Healthy", .reason = "", .failed = true, .step = 2, .route = STABLE,
	  .canary_hash = "new", .stable_hash = "" },
	{ "rolled back, and the phase is yet to follow", PARTITION, "ww", .reason = "",
	  .failed = true, .step = 2, .route = STABLE, .canary_hash = "new" },
	{ "Healthy after a rollback in batches: the hashes are one", PARTITION, "ww",
	  .phase = "Healthy", .reason = "", .failed = true, .canary = "old", .route = PLAIN,
	  .canary_hash = "" },
	{ "disabled after a rollback", CANARY, "ww", .phase = "Disabled", .reason = "",
	  .failed = true, .route = PLAIN },
	{ "rolled back, and the next release begins", CANARY, "ww", .reason = "Initializing",
	  .failed = true, .route = STABLE, .canary_hash = "" },

	/* Reasons. */
	{ "reason InRolling", CANARY, "ww", .route = LANE, .own_step = 1, .canary_hash = "new",
	  .stable_hash = "old" },
	{ "reason Paused", CANARY, "ww", .reason = "Paused", .step = 2, .route = LANE,
	  .own_step = 2 },
	{ "reason Initializing: hashes are the release before's", CANARY, "ww",
	  .reason = "Initializing", .route = STABLE, .canary_hash = "", .stable_hash = "" },
	{ "reason Initializing, v2 overtaken by v3: the stable one is remembered", PARTITION, "ww",
	  .reason = "Initializing", .remembered_stable = "old", .canary = "", .stable = "",
	  .route = STABLE, .canary_hash = "", .stable_hash = "old" },
	{ "reason Cancelling, state frozen in StepPaused", CANARY, "ww", .reason = "Cancelling",
	  .step = 2, .route = STABLE, .canary_hash = "new", .stable_hash = "old" },
	{ "reason Finalising, canary", CANARY, "ww", .reason = "Finalising", .step = 2,
	  .state = "Completed", .route = PLAIN },
	{ "reason Finalising, partition", PARTITION, "ww", .reason = "Finalising", .step = 2,
	  .state = "Completed", .route = PLAIN },
	{ "reason Finalising, blue-green: all to new", BLUE_GREEN, "ww", .reason = "Finalising",
	  .step = 2, .state = "Completed", .route = NEW, .canary_hash = "new",
	  .stable_hash = "old" },
	{ "reason Finalising, blue-green without traffic routing", BLUE_GREEN, "ww",
	  .no_service = true, .reason = "Finalising", .route = PLAIN },
	{ "reason Completed", CANARY, "ww", .reason = "Completed", .route = PLAIN },
	{ "condition not True", CANARY, "ww", .reason = "", .route = PLAIN },
	{ "a reason of a later version", CANARY, "ww", .reason = "Dancing", .route = PLAIN },

	/* States of a step, first step. */
	{ "step 1 BeforeStepUpgrade", CANARY, "ww", .state = "BeforeStepUpgrade", .route = STABLE,
	  .canary_hash = "", .stable_hash = "old" },
	{ "step 1 StepUpgrade: the canary's hash may be the release before's", CANARY, "ww",
	  .state = "StepUpgrade", .route = STABLE, .canary_hash = "" },
	{ "step 1 StepTrafficRouting", CANARY, "ww", .state = "StepTrafficRouting", .route = LANE,
	  .own_step = 1, .canary_hash = "new" },
	{ "step 1 StepMetricsAnalysis", CANARY, "ww", .state = "StepMetricsAnalysis", .route = LANE,
	  .own_step = 1 },
	{ "step 1 StepPaused", CANARY, "ww", .state = "StepPaused", .route = LANE, .own_step = 1 },
	{ "step 1 StepReady", CANARY, "ww", .state = "StepReady", .route = LANE, .own_step = 1 },
	{ "step 1 of an unknown state", CANARY, "ww", .state = "StepDreaming", .route = STABLE },
	{ "step 1 without a state", CANARY, "ww", .state = "", .route = STABLE },

	/* Later steps. */
	{ "step 2 BeforeStepUpgrade: step 1's", CANARY, "wm", .step = 2,
	  .state = "BeforeStepUpgrade", .route = LANE, .own_step = 1, .canary_hash = "new" },
	{ "step 2 StepUpgrade: step 1's", CANARY, "wm", .step = 2, .state = "StepUpgrade",
	  .route = LANE, .own_step = 1 },
	{ "step 2 StepTrafficRouting: its own", CANARY, "wm", .step = 2,
	  .state = "StepTrafficRouting", .route = LANE, .own_step = 2 },
	{ "step 2 StepReady by an edit of the plan", CANARY, "wm", .step = 2, .state = "StepReady",
	  .previous_step = 1, .unrouted = true, .route = LANE, .own_step = 1 },
	{ "step 1 StepReady by an edit of the plan", CANARY, "wm", .state = "StepReady",
	  .unrouted = true, .route = STABLE },
	{ "step 3 StepUpgrade, jumped to before any step was ready", CANARY, "www", .step = 3,
	  .state = "StepUpgrade", .previous_step = -1, .route = STABLE, .canary_hash = "" },
	{ "step 2 StepReady: its own", CANARY, "wm", .step = 2, .state = "StepReady", .route = LANE,
	  .own_step = 2 },
	{ "Completed, still InRolling: the last step's", CANARY, "wm", .step = 2,
	  .state = "Completed", .route = LANE, .own_step = 2 },
	{ "matches and traffic", CANARY, "b", .route = LANE, .own_step = 1 },

	/* Steps without a route. */
	{ "step with neither", CANARY, "w-", .step = 2, .route = PLAIN },
	{ "step with neither, on entering it", CANARY, "w-", .step = 2,
	  .state = "BeforeStepUpgrade", .route = PLAIN },
	{ "step with neither, upgrading", CANARY, "w-", .step = 2, .state = "StepUpgrade",
	  .route = PLAIN },
	{ "step 1 with neither", CANARY, "-w", .state = "StepUpgrade", .route = PLAIN },
	{ "the step before had neither, upgrading", CANARY, "-w", .step = 2, .state = "StepUpgrade",
	  .route = PLAIN },
	{ "the step before had neither, routed", CANARY, "-w", .step = 2, .route = LANE,
	  .own_step = 2 },

	/* Jumps. */
	{ "jumped from 3 back to 1, upgrading: step 3's", CANARY, "wmw", .step = 1,
	  .state = "StepUpgrade", .previous_step = 3, .route = LANE, .own_step = 3,
	  .canary_hash = "new" },
	{ "jumped from 1 to 3, upgrading: step 1's", CANARY, "wmw", .step = 3,
	  .state = "BeforeStepUpgrade", .previous_step = 1, .route = LANE, .own_step = 1 },
	{ "jumped to 3 before step 1 was ever routed", CANARY, "wmw", .step = 3,
	  .state = "StepUpgrade", .previous_step = -1, .route = STABLE },
	{ "jumped to 3, not seen: index - 1", CANARY, "wmw", .step = 3, .state = "StepUpgrade",
	  .route = LANE, .own_step = 2 },
	{ "jumped straight to StepTrafficRouting", CANARY, "wmw", .step = 3,
	  .state = "StepTrafficRouting", .previous_step = 1, .route = LANE, .own_step = 3 },
	{ "remembered step is no longer in the plan", CANARY, "ww", .step = 2,
	  .state = "StepUpgrade", .previous_step = 7, .route = STABLE },

	{ "step 1 anew, as its plan was edited: its route stays", CANARY, "mw", .step = 1,
	  .state = "BeforeStepUpgrade", .previous_step = 1, .route = LANE, .own_step = 1,
	  .canary_hash = "new" },
	{ "step 1 anew, upgrading", CANARY, "mw", .step = 1, .state = "StepUpgrade",
	  .previous_step = 1, .route = LANE, .own_step = 1, .canary_hash = "new" },

	/* Index out of the plan. */
	{ "index beyond the plan", CANARY, "w", .step = 2, .route = STABLE },
	{ "index 0", CANARY, "w", .step = -1, .route = STABLE },

	/* Hashes of pods. */
	{ "no stable revision: upstream waits", CANARY, "w", .stable = "", .route = PLAIN },
	{ "no canary pods yet", CANARY, "w", .canary = "", .route = LANE, .own_step = 1,
	  .canary_hash = "" },
	{ "rollback in batches: no pod is a canary", PARTITION, "w", .canary = "old",
	  .kind = "CloneSet", .route = STABLE, .canary_hash = "", .stable_hash = "old" },
	{ "a plan not taken up, the old one unknown", CANARY, "w", .hash = "b", .rollout_hash = "a",
	  .route = STABLE },
	{ "a plan taken up", CANARY, "w", .hash = "a", .rollout_hash = "a", .route = LANE,
	  .own_step = 1 },
	{ "no hash annotation", CANARY, "w", .rollout_hash = "a", .route = LANE, .own_step = 1 },
	{ "no hash in the status", CANARY, "w", .hash = "a", .route = LANE, .own_step = 1 },

	/* v3 has come while v2 is rolling: the reason stays InRolling until all that was v2's is taken down. */
	{ "overtaken, routes being taken back", PARTITION, "ww", .step = 2,
	  .finalising = "FinalisingStepRouteTrafficToStable", .route = STABLE, .canary_hash = "new",
	  .stable_hash = "old" },
	{ "overtaken, pods being let go", PARTITION, "ww", .step = 2,
	  .finalising = "ReleaseWorkloadControl", .route = STABLE },
	{ "overtaken, in a step with neither", CANARY, "w-", .step = 2,
	  .finalising = "RemoveCanaryService", .route = STABLE },
	{ "overtaken, a TrafficRouting does not mind", CANARY, "w",
	  .finalising = "ReleaseWorkloadControl", .shared_phase = "Progressing", .route = LANE,
	  .shared_rule = true },
	{ "Finalising, blue-green, with the step it is at", BLUE_GREEN, "ww",
	  .reason = "Finalising", .step = 2, .finalising = "ResumeWorkload", .route = NEW },

	/* Partition style. */
	{ "partition, step 1 routed", PARTITION, "ww", .route = LANE, .own_step = 1 },
	{ "partition, step replaces all, upgrading: unpinned first", PARTITION, "wW", .step = 2,
	  .state = "BeforeStepUpgrade", .route = LANE, .own_step = 1, .base_is_all = true },
	{ "partition, step replaces all, paused: its route was never written", PARTITION, "wW",
	  .step = 2, .route = LANE, .own_step = 1, .base_is_all = true },
	{ "partition, only step replaces all", PARTITION, "W", .route = PLAIN },
	{ "canary style, a step of all pods is a step", CANARY, "wW", .step = 2, .route = LANE,
	  .own_step = 2 },

	/* Blue-green. */
	{ "blue-green, traffic 0%", BLUE_GREEN, "0w", .route = LANE, .own_step = 1 },
	{ "blue-green, step 1 upgrading", BLUE_GREEN, "0w", .state = "StepUpgrade",
	  .route = STABLE },
	{ "blue-green, step of all pods", BLUE_GREEN, "wW", .step = 2, .route = LANE,
	  .own_step = 2 },
	{ "blue-green, Cancelling", BLUE_GREEN, "ww", .reason = "Cancelling", .route = STABLE },

	/* No traffic routing at all. */
	{ "steps without trafficRoutings do nothing", CANARY, "wm", .no_service = true,
	  .route = PLAIN },

	/* Bound to a TrafficRouting. */
	{ "bound, Progressing", CANARY, "-", .no_service = true, .shared_phase = "Progressing",
	  .route = LANE, .shared_rule = true, .canary_hash = "new" },
	{ "bound, Progressing, step 1 StepUpgrade: steps do not matter, the hash does", CANARY, "-",
	  .no_service = true, .state = "StepUpgrade", .shared_phase = "Progressing", .route = LANE,
	  .shared_rule = true, .canary_hash = "" },
	{ "bound, Progressing, steps with traffic do not matter", CANARY, "w", .no_service = true,
	  .shared_phase = "Progressing", .route = LANE, .shared_rule = true },
	{ "bound, Paused", CANARY, "-", .no_service = true, .reason = "Paused",
	  .shared_phase = "Progressing", .route = LANE, .shared_rule = true },
	{ "bound, no rule in the TrafficRouting", CANARY, "-", .no_service = true,
	  .shared_phase = "Progressing", .shared_no_rule = true, .route = LANE },
	{ "bound, no stable revision: the TrafficRouting does not ask", CANARY, "-",
	  .no_service = true, .stable = "", .shared_phase = "Progressing", .route = LANE,
	  .shared_rule = true },
	{ "bound, finalizer is another's", CANARY, "-", .no_service = true,
	  .shared_phase = "Progressing", .finalizer = "progressing.rollouts.kruise.io/web-2",
	  .route = STABLE },
	{ "bound, no finalizer", CANARY, "-", .no_service = true, .shared_phase = "Progressing",
	  .finalizer = "", .route = STABLE },
	{ "bound, the controller's own finalizer only", CANARY, "-", .no_service = true,
	  .shared_phase = "Progressing", .finalizer = "rollouts.kruise.io/trafficrouting",
	  .route = STABLE },
	{ "bound, TrafficRouting Healthy still", CANARY, "-", .no_service = true,
	  .shared_phase = "Healthy", .route = STABLE },
	{ "bound, TrafficRouting Initial", CANARY, "-", .no_service = true,
	  .shared_phase = "Initial", .route = STABLE },
	{ "bound, TrafficRouting has no phase yet", CANARY, "-", .no_service = true,
	  .shared_phase = "", .route = STABLE },
	{ "bound, TrafficRouting Finalizing", CANARY, "-", .no_service = true,
	  .shared_phase = "Finalizing", .route = STABLE },
	{ "bound, TrafficRouting Terminating", CANARY, "-", .no_service = true,
	  .shared_phase = "Terminating", .route = STABLE },
	{ "bound, TrafficRouting not there", CANARY, "-", .no_service = true,
	  .shared_phase = "Progressing", .shared_missing = true, .route = STABLE },
	{ "bound, Initializing: the finalizer comes before any pod", CANARY, "-",
	  .no_service = true, .reason = "Initializing", .shared_phase = "Progressing",
	  .route = STABLE },
	{ "bound, Cancelling", CANARY, "-", .no_service = true, .reason = "Cancelling",
	  .shared_phase = "Finalizing", .finalizer = "", .route = STABLE },
	{ "bound, Finalising", CANARY, "-", .no_service = true, .reason = "Finalising",
	  .shared_phase = "Progressing", .finalizer = "", .route = PLAIN },
	{ "bound, phase Healthy with a finalizer left", CANARY, "-", .no_service = true,
	  .phase = "Healthy", .shared_phase = "Progressing", .route = PLAIN },

	/* Both. */
	{ "both in force", CANARY, "w", .shared_phase = "Progressing", .route = LANE, .own_step = 1,
	  .shared_rule = true },
	{ "own step has neither, shared holds", CANARY, "-", .shared_phase = "Progressing",
	  .route = LANE, .shared_rule = true },
	{ "own upgrading at step 1, shared holds", CANARY, "w", .state = "StepUpgrade",
	  .shared_phase = "Progressing", .route = LANE, .shared_rule = true },
	{ "both in force, a step replaces all", PARTITION, "wW", .step = 2,
	  .shared_phase = "Progressing", .route = LANE, .own_step = 1, .shared_rule = true,
	  .base_is_all = true },
	{ "own in force, shared has no finalizer", CANARY, "w", .shared_phase = "Progressing",
	  .finalizer = "", .route = LANE, .own_step = 1 },

	/* Labels by kind of workload. */
	{ "StatefulSet", PARTITION, "w", .kind = "StatefulSet", .canary = "web-6d4", .route = LANE,
	  .own_step = 1, .canary_hash = "web-6d4" },
	{ "DaemonSet of Kruise: no stable revision, no routing", PARTITION, "w",
	  .kind = "DaemonSet", .stable = "", .route = PLAIN },
};

static const char *or_else(const char *s, const char *fallback)
{
	return s ? s : fallback;
}

/* Room for one row's objects; the strings are the row's. */
struct objects {
	struct lw_k8s_object rollout, shared;
	struct lw_k8s_step steps[8];
	struct lw_k8s_match match;
	const char *finalizers[1];
};

static void make(const struct row *row, struct objects *o)
{
	struct lw_k8s_rollout *rollout = &o->rollout.rollout;

	*o = (struct objects){};
	o->rollout.kind = LW_K8S_ROLLOUT;
	o->rollout.meta.ns = "default";
	o->rollout.meta.name = "web";
	rollout->workload_group = "apps";
	rollout->workload_kind = or_else(row->kind, "Deployment");
	rollout->workload_name = "web";
	rollout->style = row->style;
	rollout->service = row->no_service ? "" : "web";
	rollout->traffic_routing = row->shared_phase ? "entry" : "";
	rollout->hash = or_else(row->hash, "");
	rollout->steps = o->steps;
	rollout->nsteps = strlen(row->steps);
	for (size_t i = 0; i < rollout->nsteps; i++) {
		char c = row->steps[i];

		o->steps[i].replicas = c >= 'A' && c <= 'Z' ? 10 : 1;
		o->steps[i].route.weight_pct = c == 'w' || c == 'W' || c == 'b' ? 20 :
					       c == '0'				? 0 :
										  -1;
		o->steps[i].route.matches = &o->match;
		o->steps[i].route.nmatches = c == 'm' || c == 'M' || c == 'b';
	}
	rollout->status.phase = or_else(row->phase, "Progressing");
	rollout->status.reason = or_else(row->reason, "InRolling");
	rollout->status.failed = row->failed;
	rollout->status.step = row->step < 0 ? 0 : row->step == 0 ? 1 : row->step;
	rollout->status.step_state = or_else(row->state, "StepPaused");
	rollout->status.pod_template_hash = or_else(row->canary, "new");
	rollout->status.stable_revision = or_else(row->stable, "old");
	rollout->status.rollout_hash = or_else(row->rollout_hash, "");
	rollout->status.update_revision = "";
	rollout->status.finalising_step = or_else(row->finalising, "");

	o->shared.kind = LW_K8S_TRAFFIC_ROUTING;
	o->shared.meta.ns = "default";
	o->shared.meta.name = "entry";
	o->finalizers[0] = or_else(row->finalizer, "progressing.rollouts.kruise.io/web");
	o->shared.meta.finalizers = o->finalizers;
	o->shared.meta.nfinalizers = 1;
	o->shared.traffic_routing.service = "web";
	o->shared.traffic_routing.phase = or_else(row->shared_phase, "");
	o->shared.traffic_routing.route.weight_pct = row->shared_no_rule ? -1 : 30;
}

static void check_row(const struct row *row)
{
	struct lw_model_memory memory = {
		.previous_step = row->previous_step,
		.unrouted = row->unrouted,
		.stable = (char *)row->remembered_stable,
	};
	struct lw_rollout_decision d;
	struct objects o;

	make(row, &o);
	lw_rollout_decide(&o.rollout, row->shared_phase && !row->shared_missing ? &o.shared : NULL,
			  &memory, 10, &d);
	if (d.route != row->route)
		fail_msg("%s: route %s, not %s: %s", row->name, lw_listing_route_name(d.route),
			 lw_listing_route_name(row->route), d.why);
	if (d.own_step != row->own_step || !d.own_rule != !row->own_step)
		fail_msg("%s: rule of step %d, not %d: %s", row->name, d.own_step, row->own_step,
			 d.why);
	if (row->own_step && d.own_rule != &o.steps[row->own_step - 1].route)
		fail_msg("%s: another step's rule", row->name);
	if (!d.shared_rule != !row->shared_rule)
		fail_msg("%s: shared rule %s", row->name,
			 d.shared_rule ? "in force" : "not in force");
	if (d.base_is_all != row->base_is_all)
		fail_msg("%s: base_is_all %d", row->name, d.base_is_all);
	if (row->canary_hash && strcmp(d.canary_hash, row->canary_hash) != 0)
		fail_msg("%s: canary \"%s\", not \"%s\"", row->name, d.canary_hash,
			 row->canary_hash);
	if (row->stable_hash && strcmp(d.stable_hash, row->stable_hash) != 0)
		fail_msg("%s: stable \"%s\", not \"%s\"", row->name, d.stable_hash,
			 row->stable_hash);
	if (d.why[0] == '\0' || strlen(d.why) > 150)
		fail_msg("%s: why is \"%s\"", row->name, d.why);
}

static void every_row_is_as_upstream(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		check_row(&rows[i]);
}

static void hash_label_goes_by_kind(void **state)
{
	static const char *const kinds[][2] = {
		{ "Deployment", "pod-template-hash" },
		{ "CloneSet", "pod-template-hash" },
		{ "StatefulSet", "controller-revision-hash" },
		{ "DaemonSet", "controller-revision-hash" },
		{ "GameServerSet", "controller-revision-hash" },
	};
	struct lw_rollout_decision d;
	struct objects o;

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct row row = { "kind", PARTITION, "w", .kind = kinds[i][0] };

		make(&row, &o);
		lw_rollout_decide(&o.rollout, NULL, NULL, 10, &d);
		assert_string_equal(d.hash_label, kinds[i][1]);
	}
}

static void steps_of_all_pods_are_told_by_number_and_percentage(void **state)
{
	/* intstr.GetScaledValueFromIntOrPercent(..., true); 0: it is not known how many */
	static const struct {
		int pct;
		size_t pods;
		bool all;
	} percent[] = {
		{ 100, 5, true },  { 81, 5, true },  { 80, 5, false }, { 95, 10, true },
		{ 90, 10, false }, { 1, 1, true },   { 0, 1, false },  { 99, 100, false },
		{ 99, 99, true },  { 100, 0, true }, { 99, 0, false },
	};
	const struct row row = { "all", PARTITION, "ww", .step = 2 };
	struct lw_rollout_decision d;
	struct objects o;

	(void)state;
	make(&row, &o);
	o.steps[1].replicas = 4;
	lw_rollout_decide(&o.rollout, NULL, NULL, 5, &d);
	assert_false(d.base_is_all);
	lw_rollout_decide(&o.rollout, NULL, NULL, 4, &d);
	assert_true(d.base_is_all);
	lw_rollout_decide(&o.rollout, NULL, NULL, 0, &d);
	assert_false(d.base_is_all);
	o.steps[1].replicas_pct = true;
	for (size_t i = 0; i < sizeof(percent) / sizeof(percent[0]); i++) {
		o.steps[1].replicas = percent[i].pct;
		lw_rollout_decide(&o.rollout, NULL, NULL, percent[i].pods, &d);
		if (d.base_is_all != percent[i].all)
			fail_msg("%d%% of %zu pods", percent[i].pct, percent[i].pods);
	}
}

/* ---- what is remembered ---- */

struct version {
	int step;
	const char *state;
	const char *reason; /* NULL: InRolling */
	const char *revision; /* NULL: the same */
	const char *plan; /* the status' rolloutHash; NULL: "h1" */
	int previous; /* what must be remembered once this version has come */
	bool unrouted; /* likewise */
};

static void remember_all(const char *name, const struct version *versions, size_t n)
{
	struct lw_model_memory memory = {};
	struct objects before, now;

	for (size_t i = 0; i < n; i++) {
		const struct row row = { name,
					 CANARY,
					 "wwwww",
					 .step = versions[i].step,
					 .state = versions[i].state,
					 .reason = versions[i].reason };

		make(&row, &now);
		now.rollout.rollout.status.update_revision = or_else(versions[i].revision, "r1");
		now.rollout.rollout.status.rollout_hash = or_else(versions[i].plan, "h1");
		if (i > 0)
			lw_rollout_remember(&before.rollout, &now.rollout, &memory);
		if (memory.previous_step != versions[i].previous)
			fail_msg("%s: version %zu: %d remembered, not %d", name, i,
				 memory.previous_step, versions[i].previous);
		if (memory.unrouted != versions[i].unrouted)
			fail_msg("%s: version %zu: unrouted %d", name, i, memory.unrouted);
		before = now;
	}
	free(memory.stable);
}

static void the_step_jumped_from_is_remembered(void **state)
{
	static const struct version forward[] = {
		{ 1, "BeforeStepUpgrade", .previous = 0 }, { 1, "StepPaused", .previous = 0 },
		{ 3, "BeforeStepUpgrade", .previous = 1 }, { 3, "StepUpgrade", .previous = 1 },
		{ 3, "StepPaused", .previous = 1 },	   { 4, "StepUpgrade", .previous = 3 },
	};
	static const struct version back[] = {
		{ 4, "StepPaused", .previous = 0 },
		{ 2, "StepUpgrade", .previous = 4 },
		{ 1, "StepUpgrade", .previous = 4 }, /* step 2 was never routed */
		{ 1, "StepPaused", .previous = 4 },
	};
	static const struct version early[] = {
		{ 1, "StepUpgrade", .previous = 0 },
		{ 3, "StepUpgrade", .previous = -1 }, /* nothing was routed */
		{ 4, "StepUpgrade",
		  .previous =
			  3 }, /* the next one is no jump: step 3 was ready, and nobody saw it */
	};
	/* The plan is edited while a step's pods are made, so that the next step is the current one: its own route is never written. */
	static const struct version skipped[] = {
		{ 1, "StepPaused", .previous = 0 },
		{ 2, "BeforeStepUpgrade", .previous = 1 },
		{ 2, "StepUpgrade", .previous = 1 },
		{ 2, "StepReady", .plan = "h2", .previous = 1, .unrouted = true },
		{ 3, "BeforeStepUpgrade", .plan = "h2", .previous = 1 },
		{ 3, "StepPaused", .plan = "h2", .previous = 1 },
		{ 4, "StepUpgrade", .plan = "h2", .previous = 3 },
	};
	/* Likewise, and nobody saw that it was ready. */
	static const struct version skipped_unseen[] = {
		{ 1, "StepPaused", .previous = 0 },
		{ 2, "StepUpgrade", .previous = 1 },
		{ 3, "BeforeStepUpgrade", .plan = "h2", .previous = 1 },
	};
	static const struct version ready[] = {
		{ 1, "StepPaused", .previous = 0 },
		{ 2, "StepUpgrade", .previous = 1 },
		{ 2, "StepReady", .previous = 1 },
		{ 3, "BeforeStepUpgrade", .previous = 2 },
	};
	/* Its plan is edited, and the same step begins anew. */
	static const struct version edited[] = {
		{ 1, "StepPaused", .previous = 0 },
		{ 1, "BeforeStepUpgrade", .previous = 1 },
		{ 1, "StepUpgrade", .previous = 1 },
		{ 1, "StepPaused", .previous = 1 },
		{ 2, "BeforeStepUpgrade", .previous = 1 },
		{ 2, "StepPaused", .previous = 1 },
		{ 2, "StepUpgrade", .previous = 2 },
	};
	static const struct version newer[] = {
		{ 3, "StepPaused", .previous = 0 },
		{ 4, "StepUpgrade", .previous = 3 },
		{ 1, "BeforeStepUpgrade", .reason = "Initializing", .revision = "r2",
		  .previous = 0 },
		{ 1, "BeforeStepUpgrade", .revision = "r2", .previous = 0 },
	};

	/* Likewise where nobody has seen what was between. */
	static const struct version unseen[] = {
		{ 3, "StepPaused", .previous = 0 },
		{ 1, "StepUpgrade", .revision = "r2", .previous = 0 },
	};

	(void)state;
#define ALL(versions) remember_all(#versions, versions, sizeof(versions) / sizeof(versions[0]))
	ALL(forward);
	ALL(back);
	ALL(early);
	ALL(skipped);
	ALL(skipped_unseen);
	ALL(ready);
	ALL(edited);
	ALL(newer);
	ALL(unseen);
#undef ALL
}

static void the_stable_revision_survives_a_reset(void **state)
{
	const struct row rolling = { "rolling", PARTITION, "w", .step = 1 };
	const struct row reset = { "reset",	 PARTITION,   "w", .reason = "Initializing",
				   .canary = "", .stable = "" };
	const struct row abandoned = { "abandoned",	   PARTITION,	 "w",
				       .phase = "Healthy", .reason = "", .failed = true };
	const struct row healthy = { "healthy", PARTITION, "w", .phase = "Healthy" };
	struct lw_model_memory memory = {};
	struct objects a, b;

	(void)state;
	make(&rolling, &a);
	make(&reset, &b);
	lw_rollout_remember(&a.rollout, &b.rollout, &memory);
	assert_string_equal(memory.stable, "old");
	lw_rollout_remember(&b.rollout, &b.rollout, &memory);
	assert_string_equal(memory.stable, "old");
	lw_rollout_remember(&b.rollout, &a.rollout, &memory);
	assert_null(memory.stable);
	/* One that was rolled back, whose pods may be there yet as the next one begins. */
	make(&abandoned, &a);
	lw_rollout_remember(&a.rollout, &b.rollout, &memory);
	assert_string_equal(memory.stable, "old");
	lw_rollout_remember(&b.rollout, &a.rollout, &memory);
	assert_null(memory.stable);
	/* A release that begins: the status names the revision before the stable one. */
	make(&healthy, &a);
	lw_rollout_remember(&a.rollout, &b.rollout, &memory);
	assert_null(memory.stable);
}

static void an_edited_plan_waits_until_it_is_taken_up(void **state)
{
	const struct row row = { "edited", CANARY, "mm", .hash = "b", .rollout_hash = "a" };
	const struct row old_row = { "old", CANARY, "ww", .hash = "a", .rollout_hash = "a" };
	struct lw_model_memory memory = {};
	struct lw_rollout_decision d;
	struct objects old, edited;

	(void)state;
	make(&old_row, &old);
	make(&row, &edited);
	assert_false(lw_rollout_plan_is_stale(&old.rollout));
	assert_true(lw_rollout_plan_is_stale(&edited.rollout));
	memory.adopted = &old.rollout;
	lw_rollout_decide(&edited.rollout, NULL, &memory, 10, &d);
	assert_int_equal(d.route, LANE);
	assert_ptr_equal(d.own_rule, &old.steps[0].route);

	/* Not even the annotation is written yet. */
	edited.rollout.rollout.hash = "a";
	edited.rollout.meta.generation = 5;
	edited.rollout.rollout.status.observed_generation = 4;
	assert_true(lw_rollout_plan_is_stale(&edited.rollout));
	edited.rollout.rollout.status.observed_generation = 5;
	assert_false(lw_rollout_plan_is_stale(&edited.rollout));
	/* nor is there one that says so: it is in force */
	edited.rollout.rollout.status.observed_generation = 0;
	assert_false(lw_rollout_plan_is_stale(&edited.rollout));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_as_upstream),
		cmocka_unit_test(hash_label_goes_by_kind),
		cmocka_unit_test(steps_of_all_pods_are_told_by_number_and_percentage),
		cmocka_unit_test(the_step_jumped_from_is_remembered),
		cmocka_unit_test(the_stable_revision_survives_a_reset),
		cmocka_unit_test(an_edited_plan_waits_until_it_is_taken_up),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
