/* SPDX-License-Identifier: Apache-2.0 */
#include "core/rollout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define FINALIZER_PREFIX "progressing.rollouts.kruise.io/"

static bool eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool has_text(const char *s)
{
	return s[0] != '\0';
}

static void decide(struct lw_rollout_decision *d, enum lw_listing_route route, const char *format,
		   ...) __attribute__((format(printf, 3, 4)));
static void decide(struct lw_rollout_decision *d, enum lw_listing_route route, const char *format,
		   ...)
{
	va_list args;

	d->route = route;
	va_start(args, format);
	(void)vsnprintf(d->why, sizeof(d->why), format, args);
	va_end(args);
}

static bool has_rule(const struct lw_k8s_route *route)
{
	return route->nmatches > 0 || route->weight_pct >= 0;
}

static bool is_rolling(const struct lw_k8s_rollout *rollout)
{
	return eq(rollout->status.phase, "Progressing") &&
	       (eq(rollout->status.reason, "InRolling") || eq(rollout->status.reason, "Paused"));
}

static bool hashes_differ(const struct lw_k8s_rollout *rollout)
{
	return has_text(rollout->hash) && has_text(rollout->status.rollout_hash) &&
	       !eq(rollout->hash, rollout->status.rollout_hash);
}

bool lw_rollout_plan_is_stale(const struct lw_k8s_object *object)
{
	const struct lw_k8s_rollout *rollout = &object->rollout;

	return hashes_differ(rollout) ||
	       (rollout->status.observed_generation > 0 &&
		rollout->status.observed_generation < object->meta.generation);
}

/* Pods of the current step are being made: the route of the step before is in force. */
static bool is_upgrading(const char *state)
{
	return eq(state, "BeforeStepUpgrade") || eq(state, "StepUpgrade");
}

static bool is_routed(const char *state)
{
	return eq(state, "StepTrafficRouting") || eq(state, "StepMetricsAnalysis") ||
	       eq(state, "StepPaused") || eq(state, "StepReady") || eq(state, "Completed");
}

static bool plan_has_changed(const struct lw_k8s_rollout *prev, const struct lw_k8s_rollout *next)
{
	return !eq(prev->status.rollout_hash, next->status.rollout_hash);
}

/* Step k was not seen to be ready, but k + 1 has begun, which is no jump (doStepJump()): it was. */
static bool was_ready_unseen(const struct lw_k8s_rollout *prev, const struct lw_k8s_rollout *next)
{
	return next->status.step == prev->status.step + 1 && !plan_has_changed(prev, next) &&
	       is_upgrading(prev->status.step_state);
}

void lw_rollout_remember(const struct lw_k8s_object *prev_object,
			 const struct lw_k8s_object *next_object, struct lw_model_memory *memory)
{
	const struct lw_k8s_rollout *prev = &prev_object->rollout, *next = &next_object->rollout;
	bool reset =
		eq(next->status.phase, "Progressing") && eq(next->status.reason, "Initializing");

	if (reset && (is_rolling(prev) || lw_rollout_is_abandoned(prev_object)) &&
	    has_text(prev->status.stable_revision)) {
		free(memory->stable);
		memory->stable = strdup(prev->status.stable_revision);
	} else if (!reset) {
		free(memory->stable);
		memory->stable = NULL;
	}

	if (!is_rolling(prev) || !is_rolling(next) ||
	    !eq(prev->status.update_revision, next->status.update_revision)) {
		memory->previous_step = 0;
		memory->unrouted = false;
		return;
	}
	if (prev->status.step != next->status.step ||
	    (is_routed(prev->status.step_state) && is_upgrading(next->status.step_state))) {
		/* the plan was edited, and the same step begins anew: its route stays until then */
		if ((is_routed(prev->status.step_state) && !memory->unrouted) ||
		    was_ready_unseen(prev, next))
			memory->previous_step = prev->status.step;
		else if (memory->previous_step == 0)
			memory->previous_step = prev->status.step > 1 ? prev->status.step - 1 : -1;
		memory->unrouted = false;
	}
	if (!eq(next->status.step_state, "StepReady"))
		memory->unrouted = false;
	else if (is_upgrading(prev->status.step_state) && plan_has_changed(prev, next))
		memory->unrouted = true;
}

/* Partition style, and the step leaves no pod of the old version. Percentages are rounded up, as upstream does. */
static bool replaces_all(const struct lw_k8s_rollout *plan, const struct lw_k8s_step *step,
			 size_t pods)
{
	size_t n = step->replicas < 0 ? 0 : (size_t)step->replicas;

	if (plan->style != LW_K8S_STYLE_PARTITION || step->replicas < 0)
		return false;
	if (pods == 0)
		return step->replicas_pct && n >= 100;
	return (step->replicas_pct ? (n * pods + 99) / 100 : n) >= pods;
}

/* Whose route is in force while the current step's is not; 0: none. */
static int step_before(const struct lw_k8s_rollout *plan, int step,
		       const struct lw_model_memory *memory)
{
	int previous = memory ? memory->previous_step : 0;

	if (previous == 0)
		previous = step - 1;
	return previous >= 1 && (size_t)previous <= plan->nsteps ? previous : 0;
}

/* One whose current step has a rule, in a state that was understood. */
static void decide_step(const struct lw_k8s_rollout *rollout, const struct lw_k8s_rollout *plan,
			const struct lw_model_memory *memory, size_t pods,
			struct lw_rollout_decision *d)
{
	const char *state = rollout->status.step_state;
	int current = rollout->status.step, in_force = current;
	const struct lw_k8s_step *step = &plan->steps[current - 1];

	d->base_is_all = replaces_all(plan, step, pods);
	if (is_upgrading(state) || (memory && memory->unrouted) || d->base_is_all)
		in_force = step_before(plan, current, memory);

	if (in_force == 0 && d->base_is_all) {
		d->base_is_all = false;
		decide(d, LW_LISTING_PLAIN,
		       "step %d replaces all pods and no step routed before it", current);
		return;
	}
	if (in_force == 0) {
		decide(d, LW_LISTING_STABLE,
		       "step %d is in state %s and no step routed before it: all to stable",
		       current, state);
		return;
	}
	if (!has_rule(&plan->steps[in_force - 1].route)) {
		d->base_is_all = false;
		decide(d, LW_LISTING_PLAIN,
		       "step %d is in state %s, and step %d, still in force, has neither traffic nor matches",
		       current, state, in_force);
		return;
	}
	d->own_rule = &plan->steps[in_force - 1].route;
	d->own_step = in_force;
	if (in_force == current)
		decide(d, LW_LISTING_LANE, "step %d is in state %s", current, state);
	else
		decide(d, LW_LISTING_LANE,
		       "step %d is in state %s: the rule of step %d is in force", current, state,
		       in_force);
}

/* Rolling, with trafficRoutings of its own. */
static void decide_own(const struct lw_k8s_rollout *rollout, const struct lw_k8s_rollout *plan,
		       const struct lw_model_memory *memory, size_t pods,
		       struct lw_rollout_decision *d)
{
	int current = rollout->status.step;

	if (!has_text(rollout->status.stable_revision)) {
		decide(d, LW_LISTING_PLAIN, "its status names no stable revision");
	} else if (has_text(rollout->status.finalising_step)) {
		decide(d, LW_LISTING_STABLE, "a newer release overtakes it: all to stable first");
	} else if (plan == rollout && hashes_differ(rollout)) {
		decide(d, LW_LISTING_STABLE,
		       "its plan was edited and is not taken up yet, and the one in force is not known");
	} else if (current < 1 || (size_t)current > plan->nsteps) {
		decide(d, LW_LISTING_STABLE, "its status names step %d of %zu", current,
		       plan->nsteps);
	} else if (!has_rule(&plan->steps[current - 1].route)) {
		decide(d, LW_LISTING_PLAIN, "step %d has neither traffic nor matches", current);
	} else if (!is_upgrading(rollout->status.step_state) &&
		   !is_routed(rollout->status.step_state)) {
		decide(d, LW_LISTING_STABLE, "step %d is in unknown state \"%.40s\"", current,
		       rollout->status.step_state);
	} else {
		decide_step(rollout, plan, memory, pods, d);
	}
}

static int compare_finalizer(const void *key, const void *item)
{
	const char *finalizer = *(const char *const *)item;
	int order = strncmp(FINALIZER_PREFIX, finalizer, strlen(FINALIZER_PREFIX));

	return order ? order : strcmp(key, finalizer + strlen(FINALIZER_PREFIX));
}

static bool is_held_by(const struct lw_k8s_object *shared, const char *rollout)
{
	return shared->meta.nfinalizers > 0 &&
	       bsearch(rollout, shared->meta.finalizers, shared->meta.nfinalizers,
		       sizeof(shared->meta.finalizers[0]), compare_finalizer);
}

/* Rolling, bound to a TrafficRouting. */
static void decide_shared(const struct lw_k8s_object *object, const struct lw_k8s_object *shared,
			  struct lw_rollout_decision *d)
{
	const char *name = object->rollout.traffic_routing;
	const char *phase = shared ? shared->traffic_routing.phase : "";

	if (!shared) {
		/* the finalizer would not let it go: it is malformed, or has been left out */
		decide(d, LW_LISTING_STABLE, "TrafficRouting %.60s is not there", name);
	} else if (!is_held_by(shared, object->meta.name)) {
		/* it was put there before its pods were made: somebody has taken it away, or what takes it away is yet to be seen */
		decide(d, LW_LISTING_STABLE, "TrafficRouting %.60s does not carry its finalizer",
		       name);
	} else if (eq(phase, "Progressing")) {
		decide(d, LW_LISTING_LANE, "it is in TrafficRouting %.60s, which is Progressing",
		       name);
		if (has_rule(&shared->traffic_routing.route))
			d->shared_rule = &shared->traffic_routing.route;
	} else if (eq(phase, "") || eq(phase, "Initial") || eq(phase, "Healthy")) {
		decide(d, LW_LISTING_STABLE, "TrafficRouting %.60s is not Progressing yet", name);
	} else {
		/* of another Rollout's release, or it was deleted in the middle of this one, whose canaries go on */
		decide(d, LW_LISTING_STABLE, "TrafficRouting %.60s is %.20s", name, phase);
	}
}

/* No step of this release has been through its upgrade: podTemplateHash may be the release before's. */
static bool is_early(const struct lw_k8s_rollout *rollout, const struct lw_model_memory *memory)
{
	int previous = memory ? memory->previous_step : 0;

	if (is_routed(rollout->status.step_state) && !(memory && memory->unrouted))
		return false;
	return previous <= 0 && (rollout->status.step <= 1 || previous < 0);
}

static void decide_rolling(const struct lw_k8s_object *object, const struct lw_k8s_object *shared,
			   const struct lw_model_memory *memory, size_t pods,
			   struct lw_rollout_decision *d)
{
	const struct lw_k8s_rollout *rollout = &object->rollout;
	const struct lw_k8s_rollout *plan =
		memory && memory->adopted ? &memory->adopted->rollout : rollout;
	struct lw_rollout_decision by_shared;

	if (has_text(d->canary_hash) && eq(d->canary_hash, d->stable_hash)) {
		d->canary_hash = ""; /* it is no canary's: what is neither is on its way out */
		decide(d, LW_LISTING_STABLE,
		       "rolled back in batches: its canary revision is the stable one");
		return;
	}
	by_shared = *d;
	if (has_text(rollout->traffic_routing))
		decide_shared(object, shared, &by_shared);
	if (!has_text(plan->service)) {
		*d = by_shared;
		return;
	}
	decide_own(rollout, plan, memory, pods, d);
	if (by_shared.route != LW_LISTING_LANE)
		return;
	by_shared.own_rule = d->route == LW_LISTING_LANE ? d->own_rule : NULL;
	by_shared.own_step = d->route == LW_LISTING_LANE ? d->own_step : 0;
	by_shared.base_is_all = d->route == LW_LISTING_LANE && d->base_is_all;
	*d = by_shared;
}

static bool has_hash_label(const struct lw_k8s_rollout *rollout)
{
	return eq(rollout->workload_kind, "Deployment") ||
	       eq(rollout->workload_kind, "ReplicaSet") || eq(rollout->workload_kind, "CloneSet");
}

/*
 * Rolled back, and taken for over at once (rollout_progressing.go): pods of the abandoned version may live on, of an extra Deployment that is
 * yet to be collected, or of one that is being rolled back natively.
 */
bool lw_rollout_is_abandoned(const struct lw_k8s_object *object)
{
	const __auto_type status = &object->rollout.status;

	return status->failed && !has_text(status->reason) &&
	       (eq(status->phase, "Healthy") || eq(status->phase, "Progressing")) &&
	       has_text(status->pod_template_hash) && has_text(status->stable_revision) &&
	       !eq(status->pod_template_hash, status->stable_revision);
}

void lw_rollout_decide(const struct lw_k8s_object *object, const struct lw_k8s_object *shared,
		       const struct lw_model_memory *memory, size_t pods,
		       struct lw_rollout_decision *d)
{
	const struct lw_k8s_rollout *rollout = &object->rollout;
	const char *phase = rollout->status.phase, *reason = rollout->status.reason;

	*d = (struct lw_rollout_decision){
		.hash_label =
			has_hash_label(rollout) ? "pod-template-hash" : "controller-revision-hash",
		.canary_hash = rollout->status.pod_template_hash,
		.stable_hash = rollout->status.stable_revision,
	};
	if (!has_text(rollout->service) && !has_text(rollout->traffic_routing)) {
		decide(d, LW_LISTING_PLAIN,
		       "it has no trafficRoutings and is bound to no TrafficRouting");
	} else if (lw_rollout_is_abandoned(object)) {
		/* of what is neither version nothing is known: there may be a newer one that is no release */
		d->stable_hash = "";
		d->leftovers = true;
		decide(d, LW_LISTING_STABLE,
		       "it was rolled back, and pods of the abandoned version are left");
	} else if (!eq(phase, "Progressing")) {
		decide(d, LW_LISTING_PLAIN, "its phase is %.20s, not Progressing",
		       has_text(phase) ? phase : "not told");
	} else if (is_rolling(rollout)) {
		if (is_early(rollout, memory))
			d->canary_hash = "";
		decide_rolling(object, shared, memory, pods, d);
	} else if (eq(reason, "Initializing")) {
		d->canary_hash = "";
		d->stable_hash = memory && memory->stable ? memory->stable : "";
		decide(d, LW_LISTING_STABLE, "its release is being set up");
	} else if (eq(reason, "Cancelling")) {
		decide(d, LW_LISTING_STABLE, "it is being rolled back");
	} else if (eq(reason, "Finalising") && rollout->style == LW_K8S_STYLE_BLUE_GREEN &&
		   has_text(rollout->service)) {
		decide(d, LW_LISTING_NEW, "it is being finished: all to the new pods");
	} else if (eq(reason, "Finalising")) {
		decide(d, LW_LISTING_PLAIN, "it is being finished");
	} else {
		decide(d, LW_LISTING_PLAIN, "the reason of its condition Progressing is \"%.40s\"",
		       reason);
	}
	/* Neither hash is kept up once a release is over. */
	if (d->route == LW_LISTING_PLAIN && !is_rolling(rollout))
		d->canary_hash = d->stable_hash = "";
}
