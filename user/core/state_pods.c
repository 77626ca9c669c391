/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/state_internal.h"

static bool eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

struct lw_state_pod *lw_state_pod_of(struct lw_state *state, const struct lw_model_link *link)
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

/* ---- the pods of a workload ---- */

void lw_state_take_pod(struct lw_state *state, struct lw_state_workload *workload,
		       struct lw_state_pod *pod, enum lw_state_extra extra)
{
	if (pod->model->ended)
		return;
	if (pod->workload) {
		/* Of two that claim it, the one that is asked first has it. */
		state->order_matters |= pod->workload != workload;
		return;
	}
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
			lw_state_take_pod(state, workload, lw_state_pod_of(state, l), extra);
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
		if (lw_state_pod_of(state, l)->workload != workload &&
		    !lw_model_get(state->model, LW_K8S_REPLICA_SET, workload->ns,
				  l->object->meta.owner.name))
			lw_state_take_pod(state, workload, lw_state_pod_of(state, l), extra);
	}
}

/* The Deployment of a pod, length of its name in *ret_len; NULL if it has none. */
const char *lw_state_deployment_of(const struct lw_state *state, const struct lw_k8s_object *pod,
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

/* What `generateName` puts behind a name. */
#define RANDOM_LEN 5
#define RANDOM_CHARS "bcdfghjklmnpqrstvwxz2456789"

/* The Deployment of the pod, if it may be the workload's extra one `<name>-<random>` and is not in the model. */
static int is_unknown_extra(struct lw_state *state, const struct lw_state_workload *workload,
			    const struct lw_k8s_object *pod, bool *ret_random)
{
	size_t name_len = strlen(workload->name), len;
	const char *owner = lw_state_deployment_of(state, pod, &len);

	if (!owner || len <= name_len + 1 || strncmp(owner, workload->name, name_len) != 0 ||
	    owner[name_len] != '-')
		return 0;
	*ret_random = len - name_len - 1 == RANDOM_LEN &&
		      strspn(owner + name_len + 1, RANDOM_CHARS) >= RANDOM_LEN;
	owner = lw_arena_strndup(state->scratch, owner, len);
	if (!owner)
		return -ENOMEM;
	return !lw_model_get(state->model, LW_K8S_DEPLOYMENT, workload->ns, owner);
}

/*
 * Canary pods whose extra Deployment is not in the model: they carry the canary's hash, and the workload's labels (or, where
 * that is not in the model either, its name). While that hash is not believed, as it may be the release before's, nothing tells
 * them from those that are left of that one.
 */
static int take_unknown_extras(struct lw_state *state, struct lw_state_workload *workload,
			       const struct lw_k8s_object *deployment)
{
	const char *hash = workload->rollout->rollout.status.pod_template_hash;
	const struct lw_model_link *l;
	bool random;

	if (!hash[0])
		return 0;
	for (l = lw_model_labelled(state->model, workload->ns, "pod-template-hash", hash, NULL); l;
	     l = l->next) {
		int r = lw_state_pod_of(state, l)->workload == workload ?
				0 :
				is_unknown_extra(state, workload, l->object, &random);

		if (r < 0)
			return r;
		if (r > 0 && (!deployment || lw_k8s_selector_matches(&deployment->workload.selector,
								     &l->object->meta.labels)))
			lw_state_take_pod(state, workload, lw_state_pod_of(state, l),
					  LW_STATE_EXTRA_LEAVING);
	}
	return 0;
}

/*
 * Those of the release before, which a newer one has overtaken: their Deployment is gone, and what they were is no longer told,
 * but they go only one by one. Their Deployment's name tells, if it is one that Rollouts has made up.
 */
static int take_left_extras(struct lw_state *state, struct lw_state_workload *workload,
			    const struct lw_k8s_object *deployment)
{
	const struct lw_k8s_selector *selector = &deployment->workload.selector;
	const struct lw_model_link *l = NULL;
	bool random = false;

	for (size_t i = 0; i < selector->n && !l; i++) {
		if (selector->terms[i].op == LW_K8S_IN && selector->terms[i].nvalues == 1)
			l = lw_model_labelled(state->model, workload->ns, selector->terms[i].key,
					      selector->terms[i].values[0], NULL);
	}
	for (; l; l = l->next) {
		int r = lw_state_pod_of(state, l)->workload == workload ?
				0 :
				is_unknown_extra(state, workload, l->object, &random);

		if (r < 0)
			return r;
		if (r > 0 && random && lw_k8s_selector_matches(selector, &l->object->meta.labels))
			lw_state_take_pod(state, workload, lw_state_pod_of(state, l),
					  LW_STATE_EXTRA_LEAVING);
	}
	return 0;
}

bool lw_state_is_deployment(const struct lw_state_workload *workload)
{
	return eq(workload->kind, "Deployment") && eq(workload->group, "apps");
}

int lw_state_take_pods(struct lw_state *state, struct lw_state_workload *workload)
{
	const struct lw_k8s_object *deployment;
	const struct lw_model_link *l;
	int r;

	if (!lw_state_is_deployment(workload)) {
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
				lw_state_take_pod(state, workload, lw_state_pod_of(state, l),
						  LW_STATE_MAIN);
		}
	}
	if (!workload->rollout || workload->rollout->rollout.style != LW_K8S_STYLE_CANARY)
		return 0;
	r = take_unknown_extras(state, workload, deployment);
	return r == 0 && deployment ? take_left_extras(state, workload, deployment) : r;
}
