/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What a Rollout's state means for traffic. Pure: one Rollout, the TrafficRouting it is bound to,
 * and what was remembered of earlier versions in; one decision out. Which pods exist is not asked
 * here. The choices, and the code of openkruise/rollouts they follow (below pkg/ if not said):
 *
 * Routing at all: only in status.phase Progressing, by the reason of condition Progressing
 * (controller/rollout/rollout_progressing.go).
 *   InRolling, Paused   By the step or the TrafficRouting, below.
 *   Initializing        STABLE. A newer release overtakes (doProgressingReset: routes to stable, the
 *                       stable Service stays pinned), or one begins. The status is that of the
 *                       release before: of its hashes none is used, but the stable one remembered
 *                       from while it was rolling.
 *   Cancelling          STABLE. Rollback: routes to stable come first (rollout_canary.go nextCanaryTask).
 *   Finalising          PLAIN for canary and partition: the stable Service is unpinned first. NEW
 *                       for blue-green: all to new first (rollout_bluegreen.go nextBlueGreenTask).
 *   any other, none     PLAIN, but where condition Succeeded is False, which it stays until the next release (phase Progressing
 *                       or Healthy): STABLE for as long as there are pods of podTemplateHash. A rollback counts as over
 *                       before they are gone (batchrelease's Finalize() waits for blue-green only).
 * STABLE differs from PLAIN in what this product adds: clients that were handed pod addresses by a
 * registry do not pass the pinned Service, so the canary's pods are taken out of their way here.
 * spec.disabled and a deletion count once the phase says so (rollout_status.go), not before.
 *
 * Which pods (util/controller_finder.go): by label pod-template-hash for Deployment, ReplicaSet and
 * CloneSet, by controller-revision-hash for any other kind: on pods of Deployments Rollouts puts one
 * of its own making (controller/batchrelease/labelpatch). Canary is podTemplateHash, stable is
 * stableRevision; canaryRevision and updatedRevision are upstream's own hashes and no label values
 * (api/v1beta1/rollout_types.go). Both are kept up in phase Progressing only. At step 1 until
 * StepUpgrade is over, and after a jump from there, podTemplateHash may be that of the release before (rollout_canary.go
 * runCanary) and is not used, unless a jump led back there, or its plan was edited. The two being equal
 * is a rollback in batches, whose "canary" is the old version: STABLE, and no pod is a canary.
 *
 * Own trafficRoutings (rollout_canary.go, rollout_bluegreen.go runCanary), by the step's state:
 *   a finalisingStep              STABLE: in reason InRolling it is set by doProgressingReset alone, and
 *                                 nothing but Initializing takes it back.
 *   neither traffic nor matches   PLAIN in every state: torn down on entering the step.
 *   BeforeStepUpgrade,
 *   StepUpgrade                   The previous step's route; STABLE if there was none. The previous
 *                                 step is the remembered one, else index - 1.
 *   StepTrafficRouting            This step's: its pods are ready, and a change is all at once here.
 *   StepMetricsAnalysis,
 *   StepPaused, StepReady,
 *   Completed                     This step's; but for StepReady from within its upgrade, by an edit of the plan
 *                                 (rollout_status.go handleRolloutPlanChanged): as in StepUpgrade.
 *   any other, no such step       STABLE.
 * matches win over traffic (api/v1beta1). Without stableRevision upstream waits (trafficrouting/
 * manager.go): PLAIN. Partition style with a step that replaces all pods, percentages rounded up:
 * the stable Service is unpinned first and the step's own route never written, so base is all pods and
 * the rule stays the previous step's.
 *
 * A plan that is edited: status.rolloutHash is not annotation rollouts.kruise.io/hash, or the status
 * has not observed the generation. The last plan that was taken up is in force, if it was seen. If
 * not, and the hashes differ, own trafficRoutings are STABLE: doubt is base.
 *
 * Bound by annotation rollouts.kruise.io/trafficrouting; the spec's trafficRoutingRef has no reader
 * upstream (controller/trafficrouting/trafficrouting_controller.go). LANE while the finalizer
 * progressing.rollouts.kruise.io/<rollout> is on the TrafficRouting and its phase is Progressing;
 * steps do not matter. With the finalizer and phase Healthy, Initial or none it is about to be:
 * STABLE. So it is with another phase: Finalizing is of another Rollout's release; Terminating, somebody deletes it in
 * the middle of this one, whose canaries stay. And with no finalizer, and no such TrafficRouting: it cannot go while it has
 * the finalizer, and without it the Rollout would not have got so far; so it could not be read, or is out of order, and
 * doubt is base.
 *
 * Neither: PLAIN; steps' traffic and matches do nothing (trafficrouting/manager.go
 * DoTrafficRouting). Both: LANE if either says so, with the rules of those that do; else what the
 * Rollout's own say.
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
	bool leftovers; /* STABLE for as long as there are pods of canary_hash, and others that are ready */
	const char *hash_label; /* label that tells revisions apart */
	const char *canary_hash; /* "": not known, or not to be trusted now */
	const char *stable_hash; /* "": not known, or not to be trusted now */
	char why[160]; /* one short sentence */
};

/*
 * rollout is a Rollout. shared is the TrafficRouting its annotation names, NULL if there is none. memory may be
 * NULL. pods: how many the workload wants, 0: not known; whether a step replaces all pods is told by it, but for 100%.
 */
void lw_rollout_decide(const struct lw_k8s_object *rollout, const struct lw_k8s_object *shared,
		       const struct lw_model_memory *memory, size_t pods,
		       struct lw_rollout_decision *ret);

/* Its last release was rolled back, and there may be pods of it yet: canary_hash's. */
bool lw_rollout_is_abandoned(const struct lw_k8s_object *rollout);

/* What to remember when version next takes the place of prev. All but adopted. */
void lw_rollout_remember(const struct lw_k8s_object *prev, const struct lw_k8s_object *next,
			 struct lw_model_memory *memory);
/* The controller has not taken up this version's plan. */
bool lw_rollout_plan_is_stale(const struct lw_k8s_object *rollout);
