/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/state_internal.h"

/* Whatever pointed to the version before points to this one from here on. */

static void rollout_changed(struct lw_state *state, const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	struct lw_state_workload *workload =
		lw_state_find_workload(state, rollout->meta.ns, spec->workload_group,
				       spec->workload_kind, spec->workload_name);

	/* Not a duplicate's. */
	if (!workload || strcmp(workload->rollout_name, rollout->meta.name) != 0)
		return;
	workload->rollout = rollout;
	workload->unsorted = true;
}

static void traffic_routing_changed(struct lw_state *state, const struct lw_k8s_object *shared)
{
	for (struct lw_state_workload *w = state->workloads; w; w = w->next) {
		if (strcmp(w->shared_name, shared->meta.name) != 0 ||
		    strcmp(w->ns, shared->meta.ns) != 0)
			continue;
		w->shared = shared;
		w->unsorted = true;
	}
}

/* How many pods it wants tells the last step of a release. */
static void deployment_changed(struct lw_state *state, const struct lw_k8s_object *deployment)
{
	struct lw_state_workload *workload = lw_state_find_workload(
		state, deployment->meta.ns, "apps", "Deployment", deployment->meta.name);

	if (!workload)
		return;
	workload->deployment = deployment;
	workload->unsorted = workload->rollout != NULL;
}

static void pod_changed(struct lw_state *state, const struct lw_model_pod *model,
			const struct lw_k8s_object *object)
{
	struct lw_state_pod *pod = &state->pods[model->index];

	if (!pod->model) /* nobody has asked for it */
		return;
	pod->model = model;
	pod->object = object;
	state->changed_pods[state->nchanged_pods++] = pod;
	if (!pod->workload)
		return;
	pod->workload->owner.changed = true;
	pod->workload->unsorted = pod->workload->rollout != NULL;
}

int lw_state_follow(struct lw_state *state)
{
	const struct lw_k8s_object *object = NULL;
	uint64_t version = 0;
	size_t npods = 0;

	while ((object = lw_model_changed_before(state->model, object, &version)) &&
	       version > state->version)
		npods += object->kind == LW_K8S_POD;
	state->changed_pods =
		lw_arena_new_array(state->scratch, const struct lw_state_pod *, npods);
	if (!state->changed_pods)
		return -ENOMEM;
	object = NULL;
	while ((object = lw_model_changed_before(state->model, object, &version)) &&
	       version > state->version) {
		switch (object->kind) {
		case LW_K8S_ROLLOUT:
			rollout_changed(state, object);
			break;
		case LW_K8S_TRAFFIC_ROUTING:
			traffic_routing_changed(state, object);
			break;
		case LW_K8S_DEPLOYMENT:
			deployment_changed(state, object);
			break;
		case LW_K8S_POD:
			pod_changed(state, lw_model_pod_of(state->model, object), object);
			break;
		case LW_K8S_SERVICE: /* looked up where it is needed */
		case LW_K8S_REPLICA_SET:
		case LW_K8S__MAX:
			break;
		}
	}
	return 0;
}
