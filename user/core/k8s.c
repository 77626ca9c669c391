/* SPDX-License-Identifier: Apache-2.0 */
#include "core/k8s.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *lw_k8s_kind_name(enum lw_k8s_kind kind)
{
	static const char *const names[LW_K8S__MAX] = {
		[LW_K8S_ROLLOUT] = "Rollout",
		[LW_K8S_TRAFFIC_ROUTING] = "TrafficRouting",
		[LW_K8S_POD] = "Pod",
		[LW_K8S_SERVICE] = "Service",
		[LW_K8S_DEPLOYMENT] = "Deployment",
		[LW_K8S_REPLICA_SET] = "ReplicaSet",
	};

	return names[kind];
}

const char *lw_k8s_style_name(enum lw_k8s_style style)
{
	static const char *const names[] = {
		[LW_K8S_STYLE_CANARY] = "canary",
		[LW_K8S_STYLE_PARTITION] = "partition",
		[LW_K8S_STYLE_BLUE_GREEN] = "blue-green",
	};

	return names[style];
}

const char *lw_k8s_pairs_get(const struct lw_k8s_pairs *pairs, const char *key)
{
	for (size_t i = 0; i < pairs->n; i++) {
		if (strcmp(pairs->items[i].key, key) == 0)
			return pairs->items[i].value;
	}
	return NULL;
}

static int compare_name(const void *name, const void *port)
{
	return strcmp(name, (*(const struct lw_k8s_container_port *const *)port)->name);
}

uint16_t lw_k8s_port_called(const struct lw_k8s_pod *pod, const char *name)
{
	const struct lw_k8s_container_port **port =
		pod->nnamed ? bsearch(name, pod->named, pod->nnamed, sizeof(pod->named[0]),
				      compare_name) :
			      NULL;

	return port ? (*port)->number : 0;
}

static bool term_matches(const struct lw_k8s_selector_term *term, const struct lw_k8s_pairs *labels)
{
	const char *value = lw_k8s_pairs_get(labels, term->key);
	bool among = false;

	for (size_t i = 0; value && i < term->nvalues && !among; i++)
		among = strcmp(value, term->values[i]) == 0;

	switch (term->op) {
	case LW_K8S_IN:
		return among;
	case LW_K8S_NOT_IN:
		return !among; /* also without the label */
	case LW_K8S_EXISTS:
		return value;
	case LW_K8S_DOES_NOT_EXIST:
		return !value;
	}
	return false;
}

bool lw_k8s_selector_matches(const struct lw_k8s_selector *selector,
			     const struct lw_k8s_pairs *labels)
{
	for (size_t i = 0; i < selector->n; i++) {
		if (!term_matches(&selector->terms[i], labels))
			return false;
	}
	return selector->n > 0;
}

static void init_rollout(struct lw_k8s_rollout *rollout)
{
	rollout->workload_group = rollout->workload_kind = rollout->workload_name = "";
	rollout->service = rollout->traffic_routing = rollout->hash = "";
	rollout->status.phase = rollout->status.reason = rollout->status.step_state = "";
	rollout->status.pod_template_hash = rollout->status.stable_revision = "";
	rollout->status.rollout_hash = rollout->status.update_revision = "";
	rollout->status.finalising_step = "";
}

int lw_k8s_object_new(enum lw_k8s_kind kind, struct lw_k8s_object **ret)
{
	struct lw_k8s_object *object;
	struct lw_arena *arena;
	int r;

	r = lw_arena_new(&arena);
	if (r < 0)
		return r;
	object = lw_arena_new_array(arena, struct lw_k8s_object, 1);
	if (!object) {
		lw_arena_free(&arena);
		return -ENOMEM;
	}
	object->arena = arena;
	object->kind = kind;
	object->meta.ns = "default";
	object->meta.name = object->meta.uid = object->meta.origin = "";
	object->meta.owner = (struct lw_k8s_owner){ "", "", "", "" };

	switch (kind) {
	case LW_K8S_ROLLOUT:
		init_rollout(&object->rollout);
		break;
	case LW_K8S_TRAFFIC_ROUTING:
		object->traffic_routing.service = object->traffic_routing.phase = "";
		object->traffic_routing.route.weight_pct = -1;
		break;
	case LW_K8S_POD:
		object->pod.node = object->pod.phase = object->pod.keep_out = "";
		break;
	case LW_K8S_DEPLOYMENT:
	case LW_K8S_REPLICA_SET:
		object->workload.replicas = 1;
		break;
	case LW_K8S_SERVICE:
	case LW_K8S__MAX:
		break;
	}
	*ret = object;
	return 0;
}

void lw_k8s_object_free(struct lw_k8s_object **object)
{
	struct lw_arena *arena;

	if (!*object)
		return;
	arena = (*object)->arena;
	*object = NULL;
	lw_arena_free(&arena);
}

bool lw_k8s_passes_lanes(const struct lw_k8s_object *service)
{
	const char *value = lw_k8s_pairs_get(&service->meta.labels, LW_K8S_PASSES_LANES);

	return value && strcmp(value, "true") == 0;
}

bool lw_k8s_routes_traffic(const struct lw_k8s_object *rollout)
{
	return rollout->rollout.service[0] || rollout->rollout.traffic_routing[0];
}
