/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "base/str.h"
#include "core/state_internal.h"

static bool eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static const char *lane_label(const struct lw_state_builder *builder,
			      const struct lw_k8s_pairs *labels)
{
	const char *value = lw_k8s_pairs_get(labels, builder->lane_label);
	size_t len = strlen(builder->lane_label_prefix);

	for (size_t i = 0; (!value || !value[0]) && i < labels->n; i++) {
		if (strncmp(labels->items[i].key, builder->lane_label_prefix, len) == 0)
			value = labels->items[i].key + len;
	}
	return value && value[0] && !eq(value, "base") ? value : NULL;
}

/* ---- which of them is what ---- */

/* The revisions of a workload as lw_model_text_hash() has them. */
struct revisions {
	bool by_template; /* else by controller-revision-hash */
	uint64_t canary, stable;
};

static uint64_t revision_of(const struct revisions *revisions, const struct lw_state_pod *pod)
{
	return revisions->by_template ? pod->model->template_hash : pod->model->revision_hash;
}

bool lw_state_is_serving(const struct lw_state_pod *pod)
{
	return pod->model->ready && !pod->model->deleting;
}

static void sort_roles(struct lw_state_workload *workload)
{
	const struct revisions revisions = {
		.by_template = eq(workload->decision.hash_label, "pod-template-hash"),
		.canary = lw_model_text_hash(workload->decision.canary_hash),
		.stable = lw_model_text_hash(workload->decision.stable_hash),
	};
	enum lw_listing_route route = workload->decision.route;
	/* all pods of the Deployment itself are the old version's, also where it was between two of them as the release began */
	bool extra_only =
		workload->rollout && workload->rollout->rollout.style == LW_K8S_STYLE_CANARY;
	bool stable_seen = false, canary_serves = false;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		uint64_t revision = revision_of(&revisions, pod);

		/* Not told, or not yet: its own Deployment tells it, in a release that is rolling.
		 */
		if (revisions.canary ? revision == revisions.canary :
				       pod->extra == LW_STATE_EXTRA && route == LW_LISTING_LANE) {
			pod->role = LW_STATE_CANARY;
			canary_serves |= lw_state_is_serving(pod);
		} else if (revisions.stable && !pod->extra && revision == revisions.stable) {
			stable_seen = true;
		}
	}
	if (route == LW_LISTING_NEW && !canary_serves)
		workload->decision.route = route = LW_LISTING_PLAIN;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		uint64_t revision = revision_of(&revisions, pod);

		/* Of neither revision. That is only believed where there are stable pods besides.
		 */
		if (pod->role == LW_STATE_BASE &&
		    (pod->extra ||
		     (stable_seen && !extra_only && revision && revision != revisions.stable)))
			pod->role = LW_STATE_DRAIN;
		if (route == LW_LISTING_NEW)
			pod->role = pod->role == LW_STATE_CANARY ? LW_STATE_BASE : LW_STATE_DRAIN;
		else if (route == LW_LISTING_STABLE && pod->role == LW_STATE_CANARY)
			pod->role = LW_STATE_DRAIN;
	}
}

static void count_roles(struct lw_state_workload *workload)
{
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role == LW_STATE_BASE) {
			workload->base++;
			workload->base_ready += lw_state_is_serving(pod);
		} else if (pod->role == LW_STATE_CANARY) {
			workload->canary++;
			workload->canary_ready += lw_state_is_serving(pod);
		} else {
			workload->draining++;
		}
	}
}

/* The lane of the workload's canary pods, and of each by itself. */
static void name_lanes(struct lw_state *state, struct lw_state_workload *workload)
{
	const struct lw_k8s_rollout *rollout = &workload->rollout->rollout;
	const char *first = NULL;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role == LW_STATE_BASE)
			continue;
		pod->lane_name = lane_label(state->builder, &pod->object->meta.labels);
		/* The least, so that the order of pods does not matter. */
		if (pod->role == LW_STATE_CANARY && pod->lane_name &&
		    (!first || strcmp(pod->lane_name, first) < 0))
			first = pod->lane_name;
	}
	workload->lane_name = first;
	/* None yet: what they are going to be called. Upstream patches the pods of the extra Deployment alone. */
	if (!first && rollout->style == LW_K8S_STYLE_CANARY)
		workload->lane_name = lane_label(state->builder, &rollout->patch_labels);
	if (!workload->lane_name)
		workload->lane_name = state->builder->default_lane;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role != LW_STATE_BASE && !pod->lane_name)
			pod->lane_name = workload->lane_name;
	}
}

/* ---- into the image ---- */

int lw_state_add_to_image(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_bytes key[] = { LW_BYTES_STR(workload->group),
				  LW_BYTES_STR(workload->full_name) };

	if (workload->in_image)
		return 0;
	if (workload->id == 0)
		workload->id = lw_ids_get(&state->builder->workload_ids, key, 2);
	if (workload->id == 0)
		return -ENOMEM;
	workload->in_image = true;
	return 0;
}

int lw_state_add_as_entry(struct lw_state *state, struct lw_state_workload *workload)
{
	if (workload->in_image)
		return 0;
	workload->is_entry = true;
	return lw_state_add_to_image(state, workload);
}

/* 0, -ENOMEM, or -ENOSPC when there are no lanes left. */
static int give_lanes(struct lw_state *state, struct lw_state_workload *workload)
{
	int lane;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role == LW_STATE_BASE)
			continue;
		lane = lw_state_lane_id(state, pod->lane_name, workload->rollout);
		if (lane <= 0)
			return lane < 0 ? lane : -ENOSPC;
		pod->lane = (uint16_t)lane;
	}
	lane = lw_state_lane_id(state, workload->lane_name, workload->rollout);
	if (lane <= 0)
		return lane < 0 ? lane : -ENOSPC;
	workload->lane = (uint16_t)lane;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->lane == 0)
			continue;
		workload->lanes_used |= 1u << pod->lane;
		workload->lanes_open |= (uint32_t)(pod->role == LW_STATE_CANARY) << pod->lane;
	}
	return 0;
}

static void keep_out(struct lw_state_workload *workload, const char *why)
{
	workload->kept_out = true;
	workload->decision.route = LW_LISTING_PLAIN;
	(void)strncpy(workload->decision.why, why, sizeof(workload->decision.why) - 1);
}

static void unsort(struct lw_state_workload *workload)
{
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		pod->role = LW_STATE_BASE;
		pod->lane = 0;
		pod->lane_name = NULL;
	}
	workload->base = workload->base_ready = workload->canary = workload->canary_ready =
		workload->draining = 0;
	workload->lane = 0;
	workload->lanes_used = workload->lanes_open = 0;
	workload->open = workload->kept_out = false;
	workload->in_release = workload->host_release = false;
}

int lw_state_sort_workload(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_rollout_decision *decision = &workload->decision;
	int r;

	unsort(workload);
	sort_roles(workload);
	count_roles(workload);
	name_lanes(state, workload);
	if (decision->leftovers && (!workload->draining || !workload->base_ready)) {
		const char *why =
			workload->draining ?
				"it was rolled back, and pods of the abandoned version are all that are ready" :
				"it was rolled back";

		unsort(workload);
		decision->route = LW_LISTING_PLAIN;
		(void)lw_str_copy(decision->why, sizeof(decision->why), why);
	}
	if (decision->route == LW_LISTING_PLAIN)
		return 0;
	if (decision->route == LW_LISTING_LANE && workload->canary == 0) {
		size_t len = strlen(decision->why);

		(void)strncpy(decision->why + len,
			      workload->npods ? ", but no canary pod is known" :
						", but no pod of the workload is known",
			      sizeof(decision->why) - 1 - len);
	}
	if (workload->canary + workload->draining == 0)
		return 0;
	if (workload->host_network) {
		lw_state_report(
			state, LW_FINDING_ERROR, workload->rollout,
			"pods of %s use the host network, where an address tells no pod: left alone",
			workload->full_name);
		keep_out(workload, "its pods use the host network, where an address tells no pod");
		workload->host_release = true;
		return 0;
	}
	r = give_lanes(state, workload);
	if (r == -ENOSPC)
		keep_out(workload, "there are no lanes left");
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	workload->open = decision->route == LW_LISTING_LANE && workload->canary > 0;
	/*
	 * Nothing of the old version is left: base requests have nowhere else to go. In the other styles it is there to the
	 * end: if there is no pod of it now, one is on its way.
	 */
	if (decision->route == LW_LISTING_LANE && workload->base == 0 &&
	    workload->rollout->rollout.style == LW_K8S_STYLE_PARTITION)
		decision->base_is_all = true;
	workload->in_release = true;
	return 0;
}
