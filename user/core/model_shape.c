/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model_shape.h"

#include <string.h>

static bool eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

static bool same_pairs(const struct lw_k8s_pairs *a, const struct lw_k8s_pairs *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		if (!eq(a->items[i].key, b->items[i].key) ||
		    !eq(a->items[i].value, b->items[i].value))
			return false;
	}
	return true;
}

static bool same_ips(const struct lw_addr *a, size_t na, const struct lw_addr *b, size_t nb)
{
	return na == nb && (na == 0 || memcmp(a, b, na * sizeof(*a)) == 0);
}

static bool same_owner(const struct lw_k8s_owner *a, const struct lw_k8s_owner *b)
{
	return eq(a->name, b->name) && eq(a->uid, b->uid) && eq(a->kind, b->kind) &&
	       eq(a->group, b->group);
}

static bool same_selector(const struct lw_k8s_selector *a, const struct lw_k8s_selector *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++) {
		const struct lw_k8s_selector_term *x = &a->terms[i], *y = &b->terms[i];

		if (x->op != y->op || !eq(x->key, y->key) || x->nvalues != y->nvalues)
			return false;
		for (size_t k = 0; k < x->nvalues; k++) {
			if (!eq(x->values[k], y->values[k]))
				return false;
		}
	}
	return true;
}

static bool has_ended(const struct lw_k8s_pod *pod)
{
	return eq(pod->phase, "Succeeded") || eq(pod->phase, "Failed");
}

static bool same_pod(const struct lw_k8s_pod *a, const struct lw_k8s_pod *b)
{
	return a->host_network == b->host_network && eq(a->keep_out, b->keep_out) &&
	       has_ended(a) == has_ended(b) && same_ips(a->ips, a->nips, b->ips, b->nips);
}

static bool same_service(const struct lw_k8s_service *a, const struct lw_k8s_service *b)
{
	if (a->external != b->external || a->sticky != b->sticky ||
	    !same_ips(a->ips, a->nips, b->ips, b->nips) ||
	    !same_pairs(&a->selector, &b->selector) || a->nports != b->nports)
		return false;
	for (size_t i = 0; i < a->nports; i++) {
		const struct lw_k8s_service_port *x = &a->ports[i], *y = &b->ports[i];

		if (x->port != y->port || x->target != y->target ||
		    !eq(x->target_name, y->target_name))
			return false;
	}
	return true;
}

/* Pods of a canary whose own Deployment is not in the model are found by the hash in the status. */
static bool same_rollout(const struct lw_k8s_rollout *a, const struct lw_k8s_rollout *b)
{
	return eq(a->workload_group, b->workload_group) && eq(a->workload_kind, b->workload_kind) &&
	       eq(a->workload_name, b->workload_name) && eq(a->service, b->service) &&
	       eq(a->traffic_routing, b->traffic_routing) && a->style == b->style &&
	       a->no_canary_service == b->no_canary_service &&
	       eq(a->status.pod_template_hash, b->status.pod_template_hash);
}

bool lw_model_same_shape(const struct lw_k8s_object *a, const struct lw_k8s_object *b)
{
	if (!eq(a->meta.uid, b->meta.uid))
		return false;
	switch (a->kind) {
	case LW_K8S_ROLLOUT:
		return same_rollout(&a->rollout, &b->rollout);
	case LW_K8S_TRAFFIC_ROUTING:
		return true;
	case LW_K8S_POD:
		return same_pairs(&a->meta.labels, &b->meta.labels) &&
		       same_owner(&a->meta.owner, &b->meta.owner) && same_pod(&a->pod, &b->pod);
	case LW_K8S_SERVICE:
		return same_service(&a->service, &b->service) &&
		       lw_k8s_passes_lanes(a) == lw_k8s_passes_lanes(b);
	case LW_K8S_DEPLOYMENT:
		/* One that is being deleted counts otherwise as the owner of a canary's pods. */
		return a->meta.deleting == b->meta.deleting &&
		       same_pairs(&a->meta.labels, &b->meta.labels) &&
		       same_selector(&a->workload.selector, &b->workload.selector);
	case LW_K8S_REPLICA_SET:
		return same_owner(&a->meta.owner, &b->meta.owner);
	case LW_K8S__MAX:
		break;
	}
	return false;
}
