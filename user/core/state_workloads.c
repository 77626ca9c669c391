/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/state_internal.h"

/* ---- workloads ---- */

static int compare_names(const void *a, const void *b)
{
	const struct lw_k8s_meta *x = &(*(const struct lw_k8s_object *const *)a)->meta;
	const struct lw_k8s_meta *y = &(*(const struct lw_k8s_object *const *)b)->meta;
	int order = strcmp(x->ns, y->ns);

	return order ? order : strcmp(x->name, y->name);
}

static size_t name_parts(struct lw_bytes key[4], const char *ns, const char *group,
			 const char *kind, const char *name)
{
	key[0] = LW_BYTES_STR(ns);
	key[1] = LW_BYTES_STR(group);
	key[2] = LW_BYTES_STR(kind);
	key[3] = LW_BYTES_STR(name);
	return 4;
}

struct lw_state_workload *lw_state_find_workload(const struct lw_state *state, const char *ns,
						 const char *group, const char *kind,
						 const char *name)
{
	struct lw_bytes key[4];

	return lw_bytemap_get(&state->by_name, key, name_parts(key, ns, group, kind, name));
}

/* Nothing of it is the object's from which it was told. */
static struct lw_state_workload *new_workload(struct lw_state *state, const char *ns,
					      const char *group, const char *kind, const char *name)
{
	struct lw_state_workload *workload =
		lw_arena_new_array(state->arena, struct lw_state_workload, 1);
	const char *const parts[] = { ns, kind, name };
	struct lw_bytes key[4];
	size_t size = 0;
	char *full;

	for (size_t i = 0; i < 3; i++)
		size += strlen(parts[i]) + 1;
	full = lw_arena_alloc(state->arena, size, 1);
	if (!workload || !full)
		return NULL;
	workload->full_name = full;
	for (size_t i = 0; i < 3; i++) {
		size_t len = strlen(parts[i]);

		memcpy(full, parts[i], len);
		full[len] = i < 2 ? '/' : '\0';
		full += len + 1;
	}
	workload->ns = lw_arena_strdup(state->arena, ns);
	workload->group = lw_arena_strdup(state->arena, group);
	workload->kind = lw_arena_strdup(state->arena, kind);
	workload->name = lw_arena_strdup(state->arena, name);
	if (!workload->ns || !workload->group || !workload->kind || !workload->name)
		return NULL;
	workload->rollout_name = workload->shared_name = workload->lane_name = "";
	workload->decision.canary_hash = workload->decision.stable_hash =
		workload->decision.hash_label = "";
	workload->notes_end = &workload->notes;
	workload->entries_end = &workload->entries;
	if (lw_bytemap_put(&state->by_name, key, name_parts(key, ns, group, kind, name), workload) <
	    0)
		return NULL;
	*state->workloads_end = workload;
	state->workloads_end = &workload->next;
	state->nworkloads++;
	return workload;
}

/* How many pods the workload wants; -1: its object does not tell. */
static int pods_wanted(const struct lw_state_workload *workload)
{
	return workload->deployment ? workload->deployment->workload.replicas : -1;
}

static void decide(struct lw_state *state, struct lw_state_workload *workload, size_t wanted)
{
	lw_rollout_decide(workload->rollout, workload->shared,
			  lw_model_memory_of(state->model, workload->rollout), wanted,
			  &workload->decision);
}

static int add_duplicate(struct lw_state *state, const struct lw_k8s_object *rollout,
			 const struct lw_state_workload *workload)
{
	struct lw_state_duplicate *duplicate =
		lw_arena_new_array(state->arena, struct lw_state_duplicate, 1);

	if (!duplicate)
		return -ENOMEM;
	duplicate->ns = lw_arena_strdup(state->arena, rollout->meta.ns);
	duplicate->name = lw_arena_strdup(state->arena, rollout->meta.name);
	if (!duplicate->ns || !duplicate->name)
		return -ENOMEM;
	duplicate->workload = workload;
	*state->duplicates_end = duplicate;
	state->duplicates_end = &duplicate->next;
	return 0;
}

static int add_release(struct lw_state *state, const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	struct lw_state_workload *workload;

	workload = lw_state_find_workload(state, rollout->meta.ns, spec->workload_group,
					  spec->workload_kind, spec->workload_name);
	if (workload)
		return add_duplicate(state, rollout, workload);
	workload = new_workload(state, rollout->meta.ns, spec->workload_group, spec->workload_kind,
				spec->workload_name);
	if (!workload)
		return -ENOMEM;
	workload->rollout = rollout;
	workload->rollout_name = lw_arena_strdup(state->arena, rollout->meta.name);
	workload->shared_name = lw_arena_strdup(state->arena, spec->traffic_routing);
	if (!workload->rollout_name || !workload->shared_name)
		return -ENOMEM;
	if (spec->traffic_routing[0])
		workload->shared = lw_model_get(state->model, LW_K8S_TRAFFIC_ROUTING,
						rollout->meta.ns, spec->traffic_routing);
	if (lw_state_is_deployment(workload))
		workload->deployment =
			lw_model_get(state->model, LW_K8S_DEPLOYMENT, workload->ns, workload->name);
	workload->unsorted = workload->untaken = true;
	state->nuntaken++;
	return 0;
}

/* The pods of a workload, if nobody has asked for them yet. */
static int take(struct lw_state *state, struct lw_state_workload *workload)
{
	if (!workload->untaken)
		return 0;
	workload->untaken = false;
	state->nuntaken--;
	return lw_state_take_pods(state, workload);
}

/* Its connections are enrolled before its release begins: one may outlive many. */
static bool is_ahead(const struct lw_state *state, const struct lw_state_workload *workload)
{
	return state->builder->enrol_ahead && workload->rollout &&
	       lw_k8s_routes_traffic(workload->rollout);
}

static int sort_release(struct lw_state *state, struct lw_state_workload *workload)
{
	int wanted = pods_wanted(workload), r;

	/* misspelt, malformed, or left out: the next release would go by it */
	if (workload->shared_name[0] && !workload->shared)
		lw_state_report(
			state, LW_FINDING_WARNING, workload->rollout,
			"annotation rollouts.kruise.io/trafficrouting: TrafficRouting %s is not there",
			workload->shared_name);
	if (wanted >= 0) {
		decide(state, workload, (size_t)wanted);
		/* Most are between two releases: their pods are left alone, and need not be found. */
		if (workload->untaken && workload->decision.route == LW_LISTING_PLAIN &&
		    !is_ahead(state, workload))
			return 0;
	}
	r = take(state, workload);
	if (r < 0)
		return r;
	if (wanted < 0) /* how many pods are there now says nothing: one may be on its way */
		decide(state, workload, 0);
	return lw_state_sort_workload(state, workload);
}

/* The pods of a workload that sort_release() has passed by. */
static int take_untaken(struct lw_state *state, struct lw_state_workload *workload)
{
	int r;

	if (!workload || !workload->untaken)
		return 0;
	r = take(state, workload);
	return r < 0 ? r : lw_state_sort_workload(state, workload);
}

int lw_state_take_rest(struct lw_state *state)
{
	int r = 0;

	for (struct lw_state_workload *w = state->workloads; r == 0 && w && state->nuntaken > 0;
	     w = w->next)
		r = take_untaken(state, w);
	return r;
}

/* What is kept of the build before says nothing of entries and lanes. */
static int put_in_place(struct lw_state *state, struct lw_state_workload *workload)
{
	workload->in_image = workload->is_entry = false;
	workload->entry = 0;
	workload->entries = NULL;
	workload->entries_end = &workload->entries;
	for (const struct lw_state_note *note = workload->notes; note; note = note->next)
		lw_state_say(state, note->severity, "%s", note->text);
	if (!workload->in_release)
		return is_ahead(state, workload) && !workload->host_network && !workload->kept_out ?
			       lw_state_add_as_entry(state, workload) :
			       0;
	for (uint16_t id = 1; id < LW_MAX_LANES; id++) {
		state->lanes[id].used |= workload->lanes_used >> id & 1;
		state->lanes[id].open |= workload->lanes_open >> id & 1;
	}
	return lw_state_add_to_image(state, workload);
}

int lw_state_sort_releases(struct lw_state *state)
{
	int r = 0;

	for (const struct lw_state_duplicate *d = state->duplicates; d; d = d->next) {
		const struct lw_k8s_object *rollout =
			lw_model_get(state->model, LW_K8S_ROLLOUT, d->ns, d->name);

		lw_state_report(state, LW_FINDING_ERROR, rollout,
				"%s is already released by Rollout %s/%s: ignored",
				d->workload->full_name, d->workload->ns, d->workload->rollout_name);
	}
	for (struct lw_state_workload *w = state->workloads; r == 0 && w; w = w->next) {
		if (w->unsorted) {
			w->notes = NULL;
			w->notes_end = &w->notes;
			state->keeping_notes = w;
			r = sort_release(state, w);
			state->keeping_notes = NULL;
			w->owner.changed = true;
			w->unsorted = false;
		}
		if (r == 0)
			r = put_in_place(state, w);
	}
	return r;
}

/* The Deployment of this name, or the one that it was made for. NULL: out of memory. */
static const char *main_deployment(struct lw_state *state, const char *ns, const char *name,
				   size_t len)
{
	const char *text = lw_arena_strndup(state->scratch, name, len);
	const struct lw_k8s_object *deployment =
		text ? lw_model_get(state->model, LW_K8S_DEPLOYMENT, ns, text) : NULL;

	return deployment && lw_model_extra_of(deployment) ? lw_model_extra_of(deployment) : text;
}

/* Takes the pods of those that the pod may be of. */
static int take_for(struct lw_state *state, const struct lw_state_pod *pod)
{
	const struct lw_k8s_meta *meta = &pod->object->meta;
	const char *deployment;
	size_t len;
	int r = 0;

	if (state->nuntaken == 0)
		return 0;
	if (!meta->owner.kind[0]) /* any may adopt it */
		return lw_state_take_rest(state);
	deployment = lw_state_deployment_of(state, pod->object, &len);
	if (!deployment)
		return take_untaken(state,
				    lw_state_find_workload(state, meta->ns, meta->owner.group,
							   meta->owner.kind, meta->owner.name));
	/* its own, or that of the Deployment whose extra one, `<name>-<random>`, it is of */
	for (size_t i = len; r == 0 && i > 0; i--) {
		const char *name;

		if (i < len && deployment[i] != '-')
			continue;
		name = main_deployment(state, meta->ns, deployment, i);
		if (!name)
			return -ENOMEM;
		r = take_untaken(
			state, lw_state_find_workload(state, meta->ns, "apps", "Deployment", name));
	}
	return r;
}

int lw_state_add_releases(struct lw_state *state)
{
	size_t npods = lw_model_count(state->model, LW_K8S_POD);
	size_t n = lw_model_count(state->model, LW_K8S_ROLLOUT);
	const struct lw_k8s_object **rollouts;
	int r;

	state->pods = lw_arena_new_array(state->arena, struct lw_state_pod, npods);
	rollouts = lw_arena_new_array(state->scratch, const struct lw_k8s_object *, n);
	if (!state->pods || !rollouts)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		rollouts[i] = lw_model_at(state->model, LW_K8S_ROLLOUT, i);
	qsort(rollouts, n, sizeof(rollouts[0]), compare_names);
	for (size_t i = 0; i < n; i++) {
		r = add_release(state, rollouts[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int lw_state_entry_workload(struct lw_state *state, struct lw_state_pod *pod,
			    const struct lw_k8s_object *service, struct lw_state_workload **ret)
{
	const struct lw_k8s_meta *meta = &pod->object->meta;
	const char *group = meta->owner.group, *kind = meta->owner.kind, *name = meta->owner.name,
		   *deployment;
	struct lw_state_workload *workload = pod->workload;
	size_t len;
	int r;

	if (!workload) {
		r = take_for(state, pod);
		if (r < 0)
			return r;
		workload = pod->workload;
	}
	if (workload) {
		*ret = workload;
		return 0;
	}
	deployment = lw_state_deployment_of(state, pod->object, &len);
	if (deployment) {
		kind = "Deployment";
		name = main_deployment(state, meta->ns, deployment, len);
		if (!name)
			return -ENOMEM;
	} else if (!kind[0]) {
		group = "";
		kind = "Service";
		name = service->meta.name;
	}
	workload = lw_state_find_workload(state, meta->ns, group, kind, name);
	if (!workload) {
		workload = new_workload(state, meta->ns, group, kind, name);
		if (!workload)
			return -ENOMEM;
		r = lw_state_take_pods(state, workload);
		if (r < 0)
			return r;
	}
	/* A pod that nothing owns, or whose owner has been made anew: the first rule that leads there names it. */
	if (!pod->workload) {
		state->order_matters = true;
		lw_state_take_pod(state, workload, pod, LW_STATE_MAIN);
	}
	*ret = workload;
	return 0;
}
