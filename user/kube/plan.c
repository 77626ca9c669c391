/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kube/selector.h"

#define EXTRAS "rollouts.kruise.io/canary-deployment"

/* Whether all of them have been complete once, and whether one that has not is in trouble. */
struct needs {
	bool complete, failed;
};

static struct lw_kube_follow *need(struct lw_source_kube *source, struct needs *needs,
				   const struct lw_kube_aim *aim)
{
	struct lw_kube_follow *follow = lw_kube_want(source, aim);

	if (!follow || !lw_watch_synced(follow->watch)) {
		needs->complete = false;
		needs->failed |= follow && lw_watch_error(follow->watch)[0];
	}
	return follow;
}

static const struct {
	const char *group, *kind, *api_version, *resource;
} workload_kinds[] = {
	{ "apps", "Deployment", "apps/v1", "deployments" },
	{ "apps", "StatefulSet", "apps/v1", "statefulsets" },
	{ "apps", "DaemonSet", "apps/v1", "daemonsets" },
	{ "apps", "ReplicaSet", "apps/v1", "replicasets" },
	{ "apps.kruise.io", "CloneSet", "apps.kruise.io/v1alpha1", "clonesets" },
	{ "apps.kruise.io", "StatefulSet", "apps.kruise.io/v1beta1", "statefulsets" },
	{ "apps.kruise.io", "DaemonSet", "apps.kruise.io/v1alpha1", "daemonsets" },
};

static struct lw_kube_follow *need_objects(struct lw_source_kube *source, struct needs *needs,
					   enum lw_k8s_kind kind, const char *api_version,
					   const char *ns, const char *resource, const char *labels)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s/namespaces/%s/%s",
		       strchr(api_version, '/') ? "/apis" : "/api", api_version, ns, resource);
	return need(source, needs,
		    &(struct lw_kube_aim){ LW_KUBE_OBJECTS, kind, api_version,
					   lw_k8s_kind_name(kind), path, labels, NULL, false });
}

/* The workload itself; NULL: of a kind whose pods cannot be found. */
static struct lw_kube_follow *need_workload(struct lw_source_kube *source, struct needs *needs,
					    const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	char path[512], fields[300];

	for (size_t i = 0; i < sizeof(workload_kinds) / sizeof(workload_kinds[0]); i++) {
		const char *api_version = workload_kinds[i].api_version;

		if (strcmp(spec->workload_group, workload_kinds[i].group) != 0 ||
		    strcmp(spec->workload_kind, workload_kinds[i].kind) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/apis/%s/namespaces/%s/%s", api_version,
			       rollout->meta.ns, workload_kinds[i].resource);
		(void)snprintf(fields, sizeof(fields), "metadata.name=%s", spec->workload_name);
		return need(source, needs,
			    &(struct lw_kube_aim){
				    LW_KUBE_WORKLOAD, i == 0 ? LW_K8S_DEPLOYMENT : LW_K8S__MAX,
				    api_version, spec->workload_kind, path, NULL, fields, false });
	}
	return NULL;
}

/* The pods of a Service at which requests enter. */
static void need_entry(struct lw_source_kube *source, struct needs *needs, const char *ns,
		       const char *name)
{
	const struct lw_k8s_object *service =
		lw_model_get(source->o.model, LW_K8S_SERVICE, ns, name);
	_cleanup_free_ char *labels =
		service ? lw_selector_of_service(&service->service.selector) : NULL;

	if (labels)
		(void)need_objects(source, needs, LW_K8S_POD, "v1", ns, "pods", labels);
}

/* Wants what belongs to a Rollout that is in release, has been (leftovers), or may be (enrol_ahead). */
static struct needs plan_release(struct lw_source_kube *source, const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	const struct lw_k8s_object *shared = NULL;
	struct needs needs = { .complete = true };
	struct lw_kube_follow *workload;

	workload = need_workload(source, &needs, rollout);
	if (strcmp(spec->workload_kind, "Deployment") == 0)
		(void)need_objects(source, &needs, LW_K8S_DEPLOYMENT, "apps/v1", rollout->meta.ns,
				   "deployments", EXTRAS);
	(void)need_objects(source, &needs, LW_K8S_SERVICE, "v1", rollout->meta.ns, "services",
			   NULL);
	if (workload && workload->selector)
		(void)need_objects(source, &needs, LW_K8S_POD, "v1", rollout->meta.ns, "pods",
				   workload->selector);
	if (spec->traffic_routing[0])
		shared = lw_model_get(source->o.model, LW_K8S_TRAFFIC_ROUTING, rollout->meta.ns,
				      spec->traffic_routing);
	if (shared && shared->traffic_routing.service[0])
		need_entry(source, &needs, rollout->meta.ns, shared->traffic_routing.service);
	if (spec->service[0])
		need_entry(source, &needs, rollout->meta.ns, spec->service);
	return needs;
}

/*
 * Services that pass lanes on: wherever they are, and while there is a release, their pods. Whether they have come holds nothing up
 * once it is known that they will not: what they lack is a tag, what waits is a release.
 */
static bool plan_passing(struct lw_source_kube *source, bool releasing)
{
	struct needs needs = { .complete = true };

	(void)need(source, &needs,
		   &(struct lw_kube_aim){ LW_KUBE_OBJECTS, LW_K8S_SERVICE, "v1",
					  lw_k8s_kind_name(LW_K8S_SERVICE), "/api/v1/services",
					  LW_K8S_PASSES_LANES "=true", NULL, false });
	for (size_t i = 0; releasing && i < lw_model_count(source->o.model, LW_K8S_SERVICE); i++) {
		const struct lw_k8s_object *service =
			lw_model_at(source->o.model, LW_K8S_SERVICE, i);

		if (lw_k8s_passes_lanes(service))
			need_entry(source, &needs, service->meta.ns, service->meta.name);
	}
	return needs.complete || needs.failed;
}

/* The pods of this node, in release or not: what they say of themselves as clients counts. As above, what is refused holds nothing up. */
static bool plan_node(struct lw_source_kube *source)
{
	struct needs needs = { .complete = true };
	char fields[300];

	if (!source->o.node)
		return true;
	(void)snprintf(fields, sizeof(fields), "spec.nodeName=%s", source->o.node);
	(void)need(source, &needs,
		   &(struct lw_kube_aim){ LW_KUBE_OBJECTS, LW_K8S_POD, "v1",
					  lw_k8s_kind_name(LW_K8S_POD), "/api/v1/pods", NULL,
					  fields, false });
	return needs.complete || needs.failed;
}

static void plan_roots(struct lw_source_kube *source, bool *ret_synced)
{
	struct needs needs = { .complete = source->version };
	char api_version[64], path[128];

	if (source->version) {
		(void)snprintf(api_version, sizeof(api_version), LW_KUBE_GROUP "/%s",
			       source->version);
		(void)snprintf(path, sizeof(path), "/apis/%s/rollouts", api_version);
		(void)need(source, &needs,
			   &(struct lw_kube_aim){ LW_KUBE_OBJECTS, LW_K8S_ROLLOUT, api_version,
						  "Rollout", path, NULL, NULL, true });
	}
	if (source->version && source->has_shared)
		(void)need(source, &needs,
			   &(struct lw_kube_aim){ LW_KUBE_OBJECTS, LW_K8S_TRAFFIC_ROUTING,
						  LW_KUBE_GROUP "/v1alpha1", "TrafficRouting",
						  "/apis/" LW_KUBE_GROUP
						  "/v1alpha1/trafficroutings",
						  NULL, NULL, true });
	for (const char *const *pods = source->o.pods; pods && *pods; pods++) {
		_cleanup_free_ char *ns = strndup(*pods, strcspn(*pods, "/"));

		if (ns)
			(void)need_objects(source, &needs, LW_K8S_POD, "v1", ns, "pods",
					   *pods + strlen(ns) + 1);
		else
			needs.complete = false;
	}
	*ret_synced = needs.complete;
}

void lw_kube_plan(struct lw_source_kube *source)
{
	uint64_t now = lw_clock_ns();
	bool roots, passing, own, releasing = false, complete = true;

	source->replan = source->leftovers = false;
	for (struct lw_kube_follow *follow = source->follows; follow; follow = follow->next)
		follow->wanted = false;
	plan_roots(source, &roots);
	for (struct lw_kube_held *held = source->rollouts; held && !releasing; held = held->next) {
		const struct lw_k8s_object *rollout = lw_kube_newest(source, held);

		releasing = rollout && lw_kube_is_in_release(rollout);
	}
	passing = plan_passing(source, releasing || source->o.enrol_ahead);
	own = plan_node(source);
	for (struct lw_kube_held *held = source->rollouts; held; held = held->next) {
		const struct lw_k8s_object *rollout = lw_kube_newest(source, held);
		struct needs needs;
		bool leftovers;

		if (!rollout)
			continue;
		leftovers = lw_kube_has_leftovers(source, rollout);
		source->leftovers |= leftovers;
		if (!(source->o.enrol_ahead ? lw_k8s_routes_traffic(rollout) :
					      lw_kube_is_in_release(rollout) || leftovers))
			continue;
		needs = plan_release(source, rollout);
		if (!lw_kube_is_in_release(rollout)) {
			/* it is in the model without its pods already: only the first state waits for them */
			complete &= needs.complete || needs.failed;
			continue;
		}
		/* Without the TrafficRoutings it is not known where requests enter. */
		if (!needs.complete || !roots || !passing || !own) {
			/* One namespace that is refused does not keep the others from being steered. */
			complete &= !held->waiting || needs.failed;
			continue;
		}
		held->loaded = true;
		if (held->waiting) {
			struct lw_k8s_object *object = TAKE_PTR(held->waiting);

			source->waiting--;
			lw_kube_upsert(source, object);
		}
	}
	for (struct lw_kube_follow *follow = source->follows; follow; follow = follow->next) {
		if (follow->wanted)
			follow->unwanted_ns = 0;
		else if (follow->unwanted_ns == 0)
			follow->unwanted_ns = now;
	}
	if (!source->ready && roots && passing && own && complete) {
		source->ready = source->changed = source->news = true;
	}
}
