/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Kubernetes objects as far as the product reads them, typed and checked. An object lives in one
 * arena together with everything it points to, and does not change once it is in a model. Strings
 * are never NULL unless a comment says so: absent is "".
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/arena.h"
#include "laneway/abi.h"

enum lw_k8s_kind {
	LW_K8S_ROLLOUT,
	LW_K8S_TRAFFIC_ROUTING,
	LW_K8S_POD,
	LW_K8S_SERVICE,
	LW_K8S_DEPLOYMENT,
	LW_K8S_REPLICA_SET,
	LW_K8S__MAX,
};
/* "Rollout" */
const char *lw_k8s_kind_name(enum lw_k8s_kind kind);

struct lw_k8s_pair {
	const char *key;
	const char *value;
};
struct lw_k8s_pairs {
	const struct lw_k8s_pair *items;
	size_t n;
};
/* NULL if absent. */
const char *lw_k8s_pairs_get(const struct lw_k8s_pairs *pairs, const char *key);

/* The owner reference with controller: true. */
struct lw_k8s_owner {
	const char *group; /* "apps", of apiVersion "apps/v1"; "" for the core group */
	const char *kind; /* "": no controller */
	const char *name;
	const char *uid;
};

struct lw_k8s_meta {
	const char *ns; /* "default" where the object names none */
	const char *name;
	const char *uid;
	const char *origin; /* where it was read: "FILE:LINE: document N" */
	int64_t generation; /* 0: not told */
	bool deleting; /* deletionTimestamp is set */
	struct lw_k8s_pairs labels;
	struct lw_k8s_pairs annotations; /* those below rollouts.kruise.io/ only */
	const char *const *finalizers; /* sorted by strcmp() */
	size_t nfinalizers;
	struct lw_k8s_owner owner;
};

/* ---- workloads, Services, Pods ---- */

enum lw_k8s_selector_op { LW_K8S_IN, LW_K8S_NOT_IN, LW_K8S_EXISTS, LW_K8S_DOES_NOT_EXIST };
struct lw_k8s_selector_term {
	const char *key;
	enum lw_k8s_selector_op op;
	const char *const *values;
	size_t nvalues;
};
/* metav1.LabelSelector; matchLabels are IN with one value. Empty: selects nothing here. */
struct lw_k8s_selector {
	const struct lw_k8s_selector_term *terms;
	size_t n;
};
bool lw_k8s_selector_matches(const struct lw_k8s_selector *selector,
			     const struct lw_k8s_pairs *labels);

struct lw_k8s_workload { /* Deployment, ReplicaSet */
	int32_t replicas; /* 1 where it is not told */
	struct lw_k8s_selector selector;
};

/* TCP ports kept of one pod, with a name and without each, and of one Service. */
#define LW_K8S_PORTS_MAX 256

struct lw_k8s_container_port {
	const char *name;
	uint16_t number; /* TCP only */
};
struct lw_k8s_pod {
	const char *node;
	const char *phase; /* "" counts as Running if it is ready */
	bool host_network;
	bool ready; /* condition Ready is True */
	/* annotation laneway.io/keep-out; "true": its own connections are not enrolled */
	const char *keep_out;
	struct lw_addr *ips; /* podIPs, else podIP */
	size_t nips;
	const struct lw_k8s_container_port *ports;
	size_t nports;
	/* of these by strcmp() of their names, the first of each */
	const struct lw_k8s_container_port **named;
	size_t nnamed;
};
/* Number of the first port that the pod calls so; 0: none. */
uint16_t lw_k8s_port_called(const struct lw_k8s_pod *pod, const char *name);

struct lw_k8s_service_port {
	const char *name;
	uint16_t port;
	uint16_t target; /* 0: by name */
	const char *target_name;
};
struct lw_k8s_service {
	bool external; /* type ExternalName */
	bool sticky; /* sessionAffinity: ClientIP */
	struct lw_addr *ips; /* clusterIPs, else clusterIP; none if headless */
	size_t nips;
	struct lw_k8s_pairs selector;
	const struct lw_k8s_service_port *ports; /* TCP only */
	size_t nports;
};

/* ---- Kruise Rollouts ---- */

struct lw_k8s_cond {
	enum lw_subject subject;
	enum lw_op op;
	const char *name;
	const char *value;
};
/* All conditions hold; of equal names the first only. None at all: every request. */
struct lw_k8s_match {
	const struct lw_k8s_cond *conds;
	size_t n;
	/* NULL, or why no request enters by it, though n conditions are all there is to read */
	const char *refused;
};
struct lw_k8s_modifier {
	const struct lw_k8s_pair *set;
	size_t nset;
	const struct lw_k8s_pair *add;
	size_t nadd;
	const char *const *remove;
	size_t nremove;
};
/* What leads into a lane: matches if there are any, else weight if it is not negative. */
struct lw_k8s_route {
	int weight_pct; /* -1: none */
	const struct lw_k8s_match *matches;
	size_t nmatches;
	struct lw_k8s_modifier modifier;
};

enum lw_k8s_style { LW_K8S_STYLE_CANARY, LW_K8S_STYLE_PARTITION, LW_K8S_STYLE_BLUE_GREEN };
/* "canary", "partition", "blue-green" */
const char *lw_k8s_style_name(enum lw_k8s_style style);

struct lw_k8s_step {
	struct lw_k8s_route route;
	bool replicas_pct;
	int32_t replicas; /* a number or a percentage; -1: not told */
};

/* Rollout, both versions, in the shape of v1beta1. */
struct lw_k8s_rollout {
	const char *workload_group; /* "apps" */
	const char *workload_kind;
	const char *workload_name;
	enum lw_k8s_style style;
	const struct lw_k8s_step *steps;
	size_t nsteps;
	const char *service; /* trafficRoutings[0].service; "": no trafficRoutings */
	bool no_canary_service; /* disableGenerateCanaryService */
	const char *traffic_routing; /* annotation rollouts.kruise.io/trafficrouting */
	const char *hash; /* annotation rollouts.kruise.io/hash */
	struct lw_k8s_pairs patch_labels; /* canary.patchPodTemplateMetadata.labels */

	struct {
		int64_t observed_generation; /* 0: not told */
		const char *phase;
		const char *reason; /* of condition Progressing where it is True, else "" */
		bool failed; /* condition Succeeded is False: the last release was rolled back */
		/* of canaryStatus or blueGreenStatus */
		int32_t step; /* currentStepIndex */
		const char *step_state;
		const char *pod_template_hash;
		const char *stable_revision;
		const char *rollout_hash;
		const char *update_revision; /* canaryRevision, updatedRevision */
		const char *finalising_step;
	} status;
};

struct lw_k8s_traffic_routing {
	const char *service; /* objectRef[0].service; only the first is used upstream */
	struct lw_k8s_route route;
	const char *phase;
};

struct lw_model_record;
struct lw_k8s_object {
	struct lw_arena *arena; /* owns the object */
	struct lw_model_record *record; /* the model's, while the object is in one */
	enum lw_k8s_kind kind;
	struct lw_k8s_meta meta;
	union {
		struct lw_k8s_rollout rollout;
		struct lw_k8s_traffic_routing traffic_routing;
		struct lw_k8s_pod pod;
		struct lw_k8s_service service;
		struct lw_k8s_workload workload; /* Deployment, ReplicaSet */
	};
};

/*
 * A Service whose pods pass lanes on: requests to them carry their lane's tag while one is open, though they have neither
 * canary nor entry rule. Label laneway.io/passes-lanes: "true".
 */
#define LW_K8S_PASSES_LANES "laneway.io/passes-lanes"
bool lw_k8s_passes_lanes(const struct lw_k8s_object *service);
/* Does the Rollout do anything about traffic: by itself, or by a TrafficRouting it is bound to? */
bool lw_k8s_routes_traffic(const struct lw_k8s_object *rollout);

/* An empty object of the kind: every string "", replicas and weights as not told. 0 or -ENOMEM. */
int lw_k8s_object_new(enum lw_k8s_kind kind, struct lw_k8s_object **ret);
/* Takes NULL; sets *object to NULL. */
void lw_k8s_object_free(struct lw_k8s_object **object);
