/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a Rollout's state means for traffic. Pure: one Rollout, the TrafficRouting it is bound to, and
 * what was remembered of earlier versions in; one decision out. Which pods exist is not asked here.
 *
 * The choices, and the upstream code they follow (openkruise/rollouts):
 *
 * Routing at all. Only in status.phase Progressing (pkg/controller/rollout/rollout_progressing.go), by the
 *   reason of condition Progressing:
 *   InRolling, Paused   by the step, below, or by the TrafficRouting
 *   Initializing        a newer release overtakes (doProgressingReset: routes to stable, the stable Service
 *                       stays pinned) or one begins: STABLE; the status is that of the release before, so
 *                       neither of its hashes is used, but one remembered from while it was rolling
 *   Cancelling          rollback; routes to stable come first and the stable Service is unpinned only after
 *                       the pods are back (rollout_canary.go nextCanaryTask): STABLE
 *   Finalising          success; canary and partition: PLAIN, as the stable Service is unpinned first.
 *                       Blue-green: NEW (rollout_bluegreen.go nextBlueGreenTask: all to new first)
 *   any other, or none  PLAIN
 *   STABLE differs from PLAIN in what this product adds: clients that were handed pod addresses by a
 *   registry do not go through the pinned Service, so the canary's pods must be taken from their way.
 *   spec.disabled and a deletion count once the phase says so (rollout_status.go), not before.
 * Which pods (pkg/util/controller_finder.go): label pod-template-hash for Deployment, ReplicaSet and CloneSet,
 *   controller-revision-hash for any other kind, as Rollouts puts a controller-revision-hash of its own on pods
 *   of Deployments (pkg/controller/batchrelease/labelpatch). Canary: podTemplateHash. Stable: stableRevision.
 *   podTemplateHash is not trusted at step 1 before StepUpgrade is over: until then it may be that of the
 *   release before (rollout_canary.go runCanary); unless a jump led back there. canaryRevision and updatedRevision are hashes of upstream's
 *   own and never label values (api/v1beta1/rollout_types.go).
 *   Neither outside phase Progressing: they are not kept up then (rollout_status.go).
 *   podTemplateHash equal to stableRevision is a rollback in batches, whose "canary" is the old version: STABLE.
 * Own trafficRoutings (rollout_canary.go, rollout_bluegreen.go runCanary), state of the current step:
 *   step has neither traffic nor matches   PLAIN in every state: torn down on entering the step
 *   BeforeStepUpgrade, StepUpgrade         the previous step's route; at step 1 STABLE
 *   StepTrafficRouting                     this step's: pods are ready, and a change is all at once here
 *   StepMetricsAnalysis, StepPaused, StepReady, Completed    this step's
 *   any other state, or no such step       STABLE
 *   The previous step is the remembered one, else index - 1.
 *   Without stableRevision upstream waits (pkg/trafficrouting/manager.go): PLAIN.
 *   matches win over traffic (api/v1beta1). Partition style whose step replaces all pods: the stable Service is
 *   unpinned first and the step's own route never written: base is all pods, the rule stays the previous step's.
 * Plan being edited: status.rolloutHash differs from annotation rollouts.kruise.io/hash, or status has not
 *   observed the generation: the last plan that was taken up, if it was seen. Else, where the hashes differ, STABLE
 *   for own trafficRoutings: the plan in force is not known, and doubt is base.
 * Bound by annotation rollouts.kruise.io/trafficrouting (the spec's trafficRoutingRef has no reader upstream):
 *   in the lane while finalizer progressing.rollouts.kruise.io/<rollout> is on the TrafficRouting and its
 *   phase is Progressing (pkg/controller/trafficrouting/trafficrouting_controller.go). Steps do not matter. Phase Healthy,
 *   Initial or none with the finalizer on: STABLE, it is about to be. No finalizer, Finalizing, Terminating, or no such
 *   TrafficRouting: PLAIN.
 * With neither: PLAIN, steps' traffic and matches do nothing (pkg/trafficrouting/manager.go DoTrafficRouting).
 * With both: LANE if either says so, with the rules of those that do; else what the own says.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/k8s.h"
#include "core/listing.h"
#include "core/model.h"

struct lw_rollout_decision {
	enum lw_listing_route route; /* PLAIN, STABLE, LANE or NEW */
	/* In force if route is LANE; NULL: no rule leads in from there. */
	const struct lw_k8s_route *own_rule; /* of the Rollout itself; source step below */
	int own_step; /* whose rule it is, from 1 */
	const struct lw_k8s_route *shared_rule; /* of the TrafficRouting */
	bool base_is_all; /* LANE: base requests may go to any pod */
	const char *hash_label; /* label that tells revisions apart */
	const char *canary_hash; /* "": not known, or not to be trusted now */
	const char *stable_hash; /* "": not known, or not to be trusted now */
	char why[160]; /* one short sentence */
};

/*
 * rollout is a Rollout. shared is the TrafficRouting its annotation names, NULL if there is none. memory may be
 * NULL. pods: how many the workload has, or wants; steps of all pods are told by it.
 */
void lw_rollout_decide(const struct lw_k8s_object *rollout, const struct lw_k8s_object *shared,
		       const struct lw_model_memory *memory, size_t pods,
		       struct lw_rollout_decision *ret);

/* What to remember when version next takes the place of prev. previous_step and stable only. */
void lw_rollout_remember(const struct lw_k8s_object *prev, const struct lw_k8s_object *next,
			 struct lw_model_memory *memory);
/* The controller has not taken up this version's plan. */
bool lw_rollout_plan_is_stale(const struct lw_k8s_object *rollout);
