/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The state in force, or about to be, as plain data for people: which lanes there are, which
 * workloads take part and which do not and why, which rules lead into them, and where the pods are.
 * Made by lw_state_build() together with the image, from the same decisions. Holds copies of
 * everything: it stays valid when the model changes. Never NULL: strings (empty where there is
 * nothing to say).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "laneway/abi.h"

/* One alternative that leads into a lane. */
struct lw_listing_rule {
	const char *source; /* "TrafficRouting default/mse-traffic match 1" */
	const char *text; /* "header User-Agent = xiaoming and query a ~ ^b$", "30% of requests",
			     "all requests" */
	uint16_t lane;
	const char *lane_name;
	const char *workload; /* whose destinations it guards: "default/Deployment/spring-cloud-a" */
};

enum lw_listing_route {
	LW_LISTING_PLAIN, /* not touched: traffic follows its own way */
	LW_LISTING_STABLE, /* all requests to the stable pods */
	LW_LISTING_LANE, /* base requests to the stable pods, the lane's to the canary pods */
	LW_LISTING_NEW, /* all requests to the new pods */
	LW_LISTING_ENTRY, /* not in release itself: its destinations carry a lane's entry rule */
};
/* "plain", "stable", "lane", "new", "entry" */
const char *lw_listing_route_name(enum lw_listing_route route);

/* A workload that a Rollout names, or that carries an entry rule. */
struct lw_listing_workload {
	uint32_t id; /* lw_workloads id; 0: not in the image */
	const char *name; /* "default/Deployment/spring-cloud-a" */
	const char *rollout; /* "default/rollout-a"; "" for LW_LISTING_ENTRY */
	const char *rollout_uid; /* "" where the object has none */
	const char *traffic_routing; /* "default/mse-traffic", or "" */
	const char *style; /* "canary", "partition", "blue-green", or "" */
	const char *phase; /* of the Rollout: "Progressing" */
	const char *reason; /* of its condition Progressing: "InRolling" */
	int step; /* current step, from 1; 0: none */
	int steps;
	const char *step_state; /* "StepPaused" */
	const char *base_hash; /* value of the label that tells stable pods, or "" */
	const char *canary_hash;
	const char *revision; /* that the Rollout releases: tells one release from the next; "" */
	enum lw_listing_route route;
	bool open; /* its lane takes requests: route is LANE and a canary pod is known */
	const char *lane_name; /* of its canary pods, open or not */
	uint16_t lane; /* 0 while it has never been open */
	const char *why; /* one short sentence */
	size_t base_pods, base_ready;
	size_t canary_pods, canary_ready;
	size_t draining_pods; /* of neither, or of a lane that is closed: no new requests */
};

struct lw_listing_lane {
	uint16_t id; /* 1..15; 0 while it has never been open */
	const char *name;
	const char *tag_header; /* "x-mse-tag"; "" while it is not open, or can have none */
	const char *tag_value;
	bool open;
	const char *why; /* one short sentence */
	const struct lw_listing_workload *const *workloads;
	size_t nworkloads;
	const struct lw_listing_rule *const *rules; /* that lead into it */
	size_t nrules;
};

/* A pod of a workload in the image. */
struct lw_listing_endpoint {
	const char *workload; /* "default/Deployment/spring-cloud-a" */
	uint16_t lane;
	const char *lane_name; /* "base" for lane 0 */
	const char *pod; /* "default/spring-cloud-a-5d4f-x2x8s" */
	const char *const *ips;
	size_t nips;
	const char *node;
	bool ready;
	bool terminating; /* no new requests: being deleted, or its lane is closed */
	bool local; /* on this node */
	const char *ports; /* "http:8080,9090", as its containers name them; "" if they name none */
};

/* A Service that is a destination of a workload in the image. */
struct lw_listing_service {
	const char *service; /* "default/spring-cloud-a" */
	const char *workload;
	const char *const *ips;
	size_t nips;
	const char *ports; /* "20001->20001,80->http" */
};

struct lw_listing {
	const struct lw_listing_lane *lanes; /* by name */
	size_t nlanes;
	const struct lw_listing_workload *workloads; /* by name */
	size_t nworkloads;
	const struct lw_listing_rule *rules; /* by workload, in the order they are tried */
	size_t nrules;
	const struct lw_listing_endpoint *endpoints; /* by workload, lane, pod */
	size_t nendpoints;
	const struct lw_listing_service *services; /* by name */
	size_t nservices;
};

/* Takes NULL; sets *listing to NULL. */
void lw_listing_free(struct lw_listing **listing);
