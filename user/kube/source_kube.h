/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The source `--kube`, `--kubeconfig`: keeps a model equal to what an API server has, as far as it is needed.
 *
 * Open all the time: Rollouts and TrafficRoutings of all namespaces, Services that pass lanes on, the pods of the node, and pods
 * that were asked for. While anything is in release: the pods of these Services. While a Rollout progresses that steers at all (it
 * has trafficRoutings, or is bound to a TrafficRouting), and for LW_SOURCE_LINGER_S more: its workload by name,
 * the Deployments made for canary pods and the Services of its namespace, and the Pods that the workload selects, and
 * the Service at which requests enter. ReplicaSets are not watched: whose a pod is follows from its owner's name.
 *
 * What several watches hold is in the model until none does; of two versions the newer counts. A Rollout that begins to
 * progress gets into the model when what belongs to it is complete: half of a workload's pods would mean that the
 * other half is not there.
 *
 * While the API server is away the model stays as it is. A complete list takes the place of what was there by what
 * differs.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/finding.h"
#include "core/model.h"

struct ev_loop;
struct lw_kube_config;
struct lw_source_kube;

/* A release that starts again within so many seconds finds its watches open. */
#define LW_SOURCE_LINGER_S 30
/* How long a watch may be silent; a server sends a bookmark a minute. */
#define LW_SOURCE_SILENT_S 150

struct lw_source_kube_options {
	struct ev_loop *loop;
	struct lw_kube_config *config;
	struct lw_model *model;
	unsigned int silent_s; /* 0: LW_SOURCE_SILENT_S */
	/* "NAMESPACE/LABEL=VALUE": pods that are watched all the time, too; ends with NULL; NULL: none. Must outlive it. */
	const char *const *pods;
	const char *node; /* whose pods are watched all the time; NULL: none's. Must outlive it */
	bool enrol_ahead; /* what belongs to Rollouts is watched all the time, not in release alone */
	lw_finding_cb finding; /* may be NULL */
	lw_finding_forget_cb forget; /* likewise; of an object that has come anew, or gone */
	/* The model, or what lw_source_kube_ready() says, has changed. From the event loop, never from within a call. */
	void (*changed)(void *arg);
	/* Something of lw_source_kube_info() has: a new error, or away and back. As above. */
	void (*state)(void *arg);
	void *arg; /* of all */
};

/* config, model and loop must outlive it. Asks nothing yet. 0 or -errno. */
int lw_source_kube_open(const struct lw_source_kube_options *options, struct lw_source_kube **ret);
/* Takes NULL; sets *source to NULL. The model keeps its objects. Not from within a callback. */
void lw_source_kube_close(struct lw_source_kube **source);

/* All that is asked for at the start has come once. */
bool lw_source_kube_ready(const struct lw_source_kube *source);
/* Objects that are bad now, or a part of which is. */
size_t lw_source_kube_errors(const struct lw_source_kube *source);

struct lw_source_kube_info {
	const char *server, *context;
	const char *version; /* of the Rollouts: "v1beta1"; "" while it is not known */
	bool connected;
	uint64_t away_ns; /* lw_clock_ns() since when not; 0: connected */
	uint64_t heard_ns; /* when anything last came; 0: never */
	uint64_t requests, bytes, connections;
	size_t waiting; /* Rollouts whose objects are not complete yet */
	const char *error; /* of the last request that failed, and of what does not work now; "" */
};
void lw_source_kube_info(const struct lw_source_kube *source, struct lw_source_kube_info *ret);

struct lw_source_kube_watch {
	const char *path, *labels, *fields; /* "" where there is none */
	const char *state; /* "listing", "watching", "waiting", "closing" */
	size_t objects;
	unsigned int lists; /* complete so far */
	bool synced;
	const char *error; /* "" */
};
void lw_source_kube_each(const struct lw_source_kube *source,
			 void (*cb)(const struct lw_source_kube_watch *watch, void *arg),
			 void *arg);
