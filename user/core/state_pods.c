/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "core/state_internal.h"

/* Keys of a Service's selector that are looked at. With more it selects nothing here. */
#define SELECTOR_MAX 64

static bool eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static struct lw_state_pod *pod_of(struct lw_state *state, const struct lw_model_link *link)
{
	struct lw_state_pod *pod = &state->pods[link->pod->index];

	pod->model = link->pod;
	pod->object = link->object;
	return pod;
}

/* Both told and not the same: an object of that name that has been made anew. */
static bool other_uid(const char *a, const char *b)
{
	return a[0] && b[0] && !eq(a, b);
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

/* ---- the pods of a workload ---- */

static void take_pod(struct lw_state_workload *workload, struct lw_state_pod *pod,
		     enum lw_state_extra extra)
{
	if (pod->workload || pod->model->ended)
		return;
	pod->workload = workload;
	pod->extra = (uint8_t)extra;
	pod->next = workload->pods;
	workload->pods = pod;
	workload->npods++;
	if (pod->model->host_network)
		workload->host_network = true;
}

static void take_owned(struct lw_state *state, struct lw_state_workload *workload,
		       const char *group, const char *kind, const char *name, const char *uid,
		       enum lw_state_extra extra)
{
	uint64_t uid_hash = lw_model_text_hash(uid);
	const struct lw_model_link *l;

	for (l = lw_model_owned(state->model, LW_K8S_POD, workload->ns, group, kind, name); l;
	     l = l->next) {
		__builtin_prefetch(l->next);
		if (l->pod->owner_uid == 0 || uid_hash == 0 || l->pod->owner_uid == uid_hash)
			take_pod(workload, pod_of(state, l), extra);
	}
}

/* Pods of a Deployment, by its ReplicaSets, and by their names where those are not in the model. */
static void take_deployment(struct lw_state *state, struct lw_state_workload *workload,
			    const char *name, const char *uid, enum lw_state_extra extra)
{
	const struct lw_model_link *l;

	for (l = lw_model_owned(state->model, LW_K8S_REPLICA_SET, workload->ns, "apps",
				"Deployment", name);
	     l; l = l->next) {
		if (!other_uid(l->object->meta.owner.uid, uid))
			take_owned(state, workload, "apps", "ReplicaSet", l->object->meta.name,
				   l->object->meta.uid, extra);
	}
	for (l = lw_model_named_after(state->model, workload->ns, name); l; l = l->next) {
		/* Most have been taken already, and need no looking up. */
		if (!pod_of(state, l)->workload &&
		    !lw_model_get(state->model, LW_K8S_REPLICA_SET, workload->ns,
				  l->object->meta.owner.name))
			take_pod(workload, pod_of(state, l), extra);
	}
}

/* The Deployment of a pod, length of its name in *ret_len; NULL if it has none. */
static const char *deployment_of(const struct lw_state *state, const struct lw_k8s_object *pod,
				 size_t *ret_len)
{
	const char *hash = lw_k8s_pairs_get(&pod->meta.labels, "pod-template-hash");
	const struct lw_k8s_object *set;
	size_t len = strlen(pod->meta.owner.name), hash_len;

	if (!eq(pod->meta.owner.kind, "ReplicaSet"))
		return NULL;
	set = lw_model_get(state->model, LW_K8S_REPLICA_SET, pod->meta.ns, pod->meta.owner.name);
	if (set) {
		*ret_len = strlen(set->meta.owner.name);
		return eq(set->meta.owner.kind, "Deployment") ? set->meta.owner.name : NULL;
	}
	hash_len = hash ? strlen(hash) : 0;
	if (hash_len == 0 || len < hash_len + 2 ||
	    !eq(pod->meta.owner.name + len - hash_len, hash) ||
	    pod->meta.owner.name[len - hash_len - 1] != '-')
		return NULL;
	*ret_len = len - hash_len - 1;
	return pod->meta.owner.name;
}

/*
 * Canary pods whose extra Deployment `<name>-<random>` is not in the model: they carry the canary's
 * hash, and the workload's labels (or, where that is not in the model either, its name).
 */
static int take_unknown_extras(struct lw_state *state, struct lw_state_workload *workload,
			       const struct lw_k8s_object *deployment)
{
	const char *hash = workload->rollout->rollout.status.pod_template_hash;
	const struct lw_model_link *l;
	size_t name_len = strlen(workload->name);

	if (!hash[0] || workload->rollout->rollout.style != LW_K8S_STYLE_CANARY)
		return 0;
	for (l = lw_model_labelled(state->model, workload->ns, "pod-template-hash", hash, NULL); l;
	     l = l->next) {
		const char *owner;
		size_t len;

		if (pod_of(state, l)->workload)
			continue;
		owner = deployment_of(state, l->object, &len);
		if (!owner || len <= name_len || strncmp(owner, workload->name, name_len) != 0 ||
		    owner[name_len] != '-')
			continue;
		owner = lw_arena_strndup(state->arena, owner, len);
		if (!owner)
			return -ENOMEM;
		if (lw_model_get(state->model, LW_K8S_DEPLOYMENT, workload->ns, owner))
			continue;
		if (!deployment || lw_k8s_selector_matches(&deployment->workload.selector,
							   &l->object->meta.labels))
			take_pod(workload, pod_of(state, l), LW_STATE_EXTRA);
	}
	return 0;
}

static bool is_deployment(const struct lw_state_workload *workload)
{
	return eq(workload->kind, "Deployment") && eq(workload->group, "apps");
}

static int take_pods(struct lw_state *state, struct lw_state_workload *workload)
{
	const struct lw_k8s_object *deployment;
	const struct lw_model_link *l;

	if (!is_deployment(workload)) {
		take_owned(state, workload, workload->group, workload->kind, workload->name, "",
			   LW_STATE_MAIN);
		return 0;
	}
	deployment = lw_model_get(state->model, LW_K8S_DEPLOYMENT, workload->ns, workload->name);
	workload->deployment = deployment;
	for (l = lw_model_extras(state->model, workload->ns, workload->name); l; l = l->next)
		take_deployment(state, workload, l->object->meta.name, l->object->meta.uid,
				l->object->meta.deleting ? LW_STATE_EXTRA_LEAVING : LW_STATE_EXTRA);
	take_deployment(state, workload, workload->name, deployment ? deployment->meta.uid : "",
			LW_STATE_MAIN);
	if (deployment) {
		/* A Deployment's ReplicaSets adopt what they select. */
		for (l = lw_model_orphans(state->model, workload->ns); l; l = l->next) {
			if (lw_k8s_selector_matches(&deployment->workload.selector,
						    &l->object->meta.labels))
				take_pod(workload, pod_of(state, l), LW_STATE_MAIN);
		}
	}
	return workload->rollout ? take_unknown_extras(state, workload, deployment) : 0;
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

static bool is_serving(const struct lw_state_pod *pod)
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
	bool stable_seen = false, canary_serves = false;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		uint64_t revision = revision_of(&revisions, pod);

		/* Not told, or not yet: its own Deployment tells it, in a release that is rolling.
		 */
		if (revisions.canary ? revision == revisions.canary :
				       pod->extra == LW_STATE_EXTRA && route == LW_LISTING_LANE) {
			pod->role = LW_STATE_CANARY;
			canary_serves |= is_serving(pod);
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
		    (pod->extra || (stable_seen && revision && revision != revisions.stable)))
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
			workload->base_ready += is_serving(pod);
		} else if (pod->role == LW_STATE_CANARY) {
			workload->canary++;
			workload->canary_ready += is_serving(pod);
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

	/* Upstream patches the pods of the extra Deployment alone. */
	workload->lane_name = rollout->style == LW_K8S_STYLE_CANARY ?
				      lane_label(state->builder, &rollout->patch_labels) :
				      NULL;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role == LW_STATE_BASE)
			continue;
		pod->lane_name = lane_label(state->builder, &pod->object->meta.labels);
		/* The least, so that the order of pods does not matter. */
		if (pod->role == LW_STATE_CANARY && pod->lane_name &&
		    (!first || strcmp(pod->lane_name, first) < 0))
			first = pod->lane_name;
	}
	if (!workload->lane_name)
		workload->lane_name = first ? first : state->builder->default_lane;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (pod->role != LW_STATE_BASE && !pod->lane_name)
			pod->lane_name = workload->lane_name;
	}
}

/* ---- into the image ---- */

/* Clusters keep pods that are gone for a while, and addresses are used again at once. */
static bool loses_address(const struct lw_state *state, const struct lw_state_pod *pod, size_t i)
{
	const struct lw_k8s_meta *meta, *other;
	const struct lw_model_link *l;

	if (lw_addr_is_any(&pod->model->ips[i]))
		return true;
	if (!pod->model->contested)
		return false;
	for (l = lw_model_same_address(state->model, pod->object, i); l; l = l->next) {
		int order;

		if (l->pod == pod->model)
			continue;
		if (l->object->kind == LW_K8S_SERVICE)
			return true;
		if (l->pod->ended)
			continue;
		if (l->pod->host_network)
			return true;
		if (pod->model->deleting != l->pod->deleting) {
			if (pod->model->deleting)
				return true;
			continue;
		}
		if (pod->model->ready != l->pod->ready) {
			if (l->pod->ready)
				return true;
			continue;
		}
		meta = &pod->object->meta;
		other = &l->object->meta;
		order = strcmp(other->ns, meta->ns);
		if (order < 0 || (order == 0 && strcmp(other->name, meta->name) < 0))
			return true;
	}
	return false;
}

int lw_state_add_to_image(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_bytes key[] = { LW_BYTES_STR("workload"), LW_BYTES_STR(workload->full_name) };

	if (workload->in_image)
		return 0;
	workload->id = lw_state_id(state, &state->builder->last_workload, key, 2);
	if (workload->id == 0)
		return -ENOMEM;
	workload->in_image = true;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		size_t nips = pod->model->nips < 64 ? pod->model->nips : 64;

		pod->out = pod->model->host_network;
		for (size_t i = 0; i < nips; i++)
			pod->lost_ips |= (uint64_t)loses_address(state, pod, i) << i;
	}
	return 0;
}

int lw_state_add_as_entry(struct lw_state *state, struct lw_state_workload *workload)
{
	if (workload->in_image)
		return 0;
	workload->is_entry = true;
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		pod->role = LW_STATE_BASE;
		pod->lane = 0;
	}
	workload->base = workload->base_ready = workload->canary = workload->canary_ready =
		workload->draining = 0;
	count_roles(workload);
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
		state->lanes[pod->lane].used = true;
		state->lanes[pod->lane].open |= pod->role == LW_STATE_CANARY;
	}
	return 0;
}

static void keep_out(struct lw_state_workload *workload, const char *why)
{
	workload->decision.route = LW_LISTING_PLAIN;
	(void)strncpy(workload->decision.why, why, sizeof(workload->decision.why) - 1);
}

static int sort_workload(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_rollout_decision *decision = &workload->decision;
	int r;

	sort_roles(workload);
	count_roles(workload);
	name_lanes(state, workload);
	if (decision->route == LW_LISTING_PLAIN)
		return 0;
	if (workload->canary + workload->draining == 0) {
		if (decision->route == LW_LISTING_LANE) {
			size_t len = strlen(decision->why);

			(void)strncpy(decision->why + len, ", but no canary pod is known",
				      sizeof(decision->why) - 1 - len);
		}
		return 0;
	}
	if (workload->host_network) {
		lw_state_report(
			state, LW_FINDING_ERROR, workload->rollout,
			"pods of %s use the host network, where an address tells no pod: left alone",
			workload->full_name);
		keep_out(workload, "its pods use the host network, where an address tells no pod");
		return 0;
	}
	r = give_lanes(state, workload);
	if (r == -ENOSPC)
		keep_out(workload, "there are no lanes left");
	if (r < 0)
		return r == -ENOSPC ? 0 : r;
	workload->open = decision->route == LW_LISTING_LANE && workload->canary > 0;
	/* Nothing of the old version is left: base requests have nowhere else to go. */
	if (decision->route == LW_LISTING_LANE && workload->base == 0)
		decision->base_is_all = true;
	return lw_state_add_to_image(state, workload);
}

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

static struct lw_state_workload *find_workload(const struct lw_state *state, const char *ns,
					       const char *group, const char *kind,
					       const char *name)
{
	struct lw_bytes key[4];

	return lw_bytemap_get(&state->by_name, key, name_parts(key, ns, group, kind, name));
}

static struct lw_state_workload *new_workload(struct lw_state *state, const char *ns,
					      const char *group, const char *kind, const char *name)
{
	struct lw_state_workload *workload =
		lw_arena_new_array(state->arena, struct lw_state_workload, 1);
	size_t ns_len = strlen(ns), kind_len = strlen(kind), name_len = strlen(name);
	struct lw_bytes key[4];
	char *full;

	full = lw_arena_alloc(state->arena, ns_len + kind_len + name_len + 3, 1);
	if (!workload || !full)
		return NULL;
	memcpy(full, ns, ns_len);
	full[ns_len] = '/';
	memcpy(full + ns_len + 1, kind, kind_len);
	full[ns_len + 1 + kind_len] = '/';
	memcpy(full + ns_len + kind_len + 2, name, name_len);

	workload->ns = ns;
	workload->group = group;
	workload->kind = kind;
	workload->name = name;
	workload->full_name = full;
	workload->lane_name = "";
	workload->decision.canary_hash = workload->decision.stable_hash =
		workload->decision.hash_label = "";
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

static int add_release(struct lw_state *state, const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	struct lw_state_workload *workload;
	int r, wanted;

	workload = find_workload(state, rollout->meta.ns, spec->workload_group, spec->workload_kind,
				 spec->workload_name);
	if (workload) {
		lw_state_report(state, LW_FINDING_ERROR, rollout,
				"%s is already released by Rollout %s/%s: ignored",
				workload->full_name, workload->rollout->meta.ns,
				workload->rollout->meta.name);
		return 0;
	}
	workload = new_workload(state, rollout->meta.ns, spec->workload_group, spec->workload_kind,
				spec->workload_name);
	if (!workload)
		return -ENOMEM;
	workload->rollout = rollout;
	if (spec->traffic_routing[0])
		workload->shared = lw_model_get(state->model, LW_K8S_TRAFFIC_ROUTING,
						rollout->meta.ns, spec->traffic_routing);
	if (is_deployment(workload))
		workload->deployment = lw_model_get(state->model, LW_K8S_DEPLOYMENT, workload->ns,
						    workload->name);
	wanted = pods_wanted(workload);
	if (wanted >= 0) {
		/* Most are between two releases: their pods are left alone, and need not be found. */
		decide(state, workload, (size_t)wanted);
		if (workload->decision.route == LW_LISTING_PLAIN) {
			workload->untaken = true;
			state->nuntaken++;
			return 0;
		}
	}
	r = take_pods(state, workload);
	if (r < 0)
		return r;
	if (wanted < 0)
		decide(state, workload, workload->npods);
	return sort_workload(state, workload);
}

/* The pods of a workload that add_release() has passed by. */
static int take_untaken(struct lw_state *state, struct lw_state_workload *workload)
{
	int r;

	if (!workload || !workload->untaken)
		return 0;
	workload->untaken = false;
	state->nuntaken--;
	r = take_pods(state, workload);
	return r < 0 ? r : sort_workload(state, workload);
}

int lw_state_take_rest(struct lw_state *state)
{
	int r = 0;

	for (struct lw_state_workload *w = state->workloads; r == 0 && w && state->nuntaken > 0; w = w->next)
		r = take_untaken(state, w);
	return r;
}

/* Those that the pod may be of. */
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
	deployment = deployment_of(state, pod->object, &len);
	if (!deployment)
		return take_untaken(state, find_workload(state, meta->ns, meta->owner.group, meta->owner.kind,
							 meta->owner.name));
	/* its own, or that of the Deployment whose extra one, `<name>-<random>`, it is of */
	for (size_t i = len; r == 0 && i > 0; i--) {
		const char *name;

		if (i < len && deployment[i] != '-')
			continue;
		name = lw_arena_strndup(state->arena, deployment, i);
		if (!name)
			return -ENOMEM;
		r = take_untaken(state, find_workload(state, meta->ns, "apps", "Deployment", name));
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
	rollouts = lw_arena_new_array(state->arena, const struct lw_k8s_object *, n);
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
	deployment = deployment_of(state, pod->object, &len);
	if (deployment) {
		kind = "Deployment";
		name = lw_arena_strndup(state->arena, deployment, len);
		if (!name)
			return -ENOMEM;
	} else if (!kind[0]) {
		group = "";
		kind = "Service";
		name = service->meta.name;
	}
	workload = find_workload(state, meta->ns, group, kind, name);
	if (!workload) {
		workload = new_workload(state, meta->ns, group, kind, name);
		if (!workload)
			return -ENOMEM;
		r = take_pods(state, workload);
		if (r < 0)
			return r;
		count_roles(workload);
	}
	/* A pod that nothing owns, or whose owner has been made anew. */
	if (!pod->workload) {
		take_pod(workload, pod, LW_STATE_MAIN);
		workload->base++;
		workload->base_ready += is_serving(pod);
	}
	*ret = workload;
	return 0;
}

/* ---- Services ---- */

bool lw_state_is_hash_key(const char *key)
{
	return eq(key, "pod-template-hash") || eq(key, "controller-revision-hash");
}

static bool has_label(const struct lw_model_pod *pod, uint64_t label)
{
	for (size_t i = 0; i < pod->nlabels; i++) {
		if (pod->labels[i] == label)
			return true;
	}
	return false;
}

int lw_state_each_selected(struct lw_state *state, const struct lw_k8s_object *service,
			   int (*cb)(struct lw_state *state, struct lw_state_pod *pod, void *arg),
			   void *arg)
{
	const struct lw_k8s_pairs *selector = &service->service.selector;
	const struct lw_model_link *fewest = NULL;
	size_t fewest_count = SIZE_MAX, nlabels = 0;
	uint64_t labels[SELECTOR_MAX];
	int r;

	for (size_t i = 0; i < selector->n && fewest_count > 0; i++) {
		const struct lw_model_link *l;
		size_t count;

		if (lw_state_is_hash_key(selector->items[i].key))
			continue;
		if (nlabels == SELECTOR_MAX)
			return 0;
		labels[nlabels++] =
			lw_model_label_hash(selector->items[i].key, selector->items[i].value);
		l = lw_model_labelled(state->model, service->meta.ns, selector->items[i].key,
				      selector->items[i].value, &count);
		if (count < fewest_count) {
			fewest = l;
			fewest_count = count;
		}
	}
	for (; fewest; fewest = fewest->next) {
		bool selected = !fewest->pod->ended;

		__builtin_prefetch(fewest->next);
		for (size_t i = 0; i < nlabels && selected; i++)
			selected = has_label(fewest->pod, labels[i]);
		r = selected ? cb(state, pod_of(state, fewest), arg) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}
