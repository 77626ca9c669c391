/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What would be decided for one request, and by which rule of which object: the decision of the kernel
 * programs (laneway/lane.h), made again over the image they were filled from.
 *
 * Weights are told, not thrown: the result is that of a request which no weight takes, and `chances` has
 * the outcome for each weight that may take it. A weight of 100 or 0 is no chance. What is not
 * in the image is left out: whether a pool has a socket ready, fail-closed, and that pods of this node may be
 * preferred. The request is a GET without a body; Host is `to`, unless a header says otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/image.h"
#include "laneway/reasons.h"

#define LW_EXPLAIN_ENDPOINTS 16
#define LW_EXPLAIN_CHANCES 8
#define LW_EXPLAIN_LINES 48
#define LW_EXPLAIN_LINE_LEN 160

struct lw_explain_request {
	struct lw_addr from; /* the client's own address */
	struct lw_addr to;
	uint16_t to_port;
	const char *path; /* request target, query included */
	const char *const *headers; /* "Name: value" */
	size_t nheaders;
};

/* What a weight leaves to chance: the outcome if it takes the request. */
struct lw_explain_chance {
	unsigned int weight_pct; /* of the requests that no rule before it takes */
	unsigned int lane;
	unsigned int served_lane;
	enum lw_reason reason;
	char lane_name[LW_LANE_NAME_LEN];
	char rule_source[LW_SOURCE_LEN];
};

struct lw_explain_endpoint {
	struct lw_addr addr;
	uint16_t port;
	bool local; /* on this node */
	char pod[LW_NAME_LEN]; /* "" if the image does not know it */
};

struct lw_explain_result {
	bool known; /* false: no destination of a workload in release, the connection is left alone */
	char workload[LW_SOURCE_LEN];
	unsigned int lane; /* wanted */
	char lane_name[LW_LANE_NAME_LEN];
	unsigned int served_lane; /* of the endpoints: base where the lane has none */
	enum lw_evidence evidence;
	enum lw_reason reason;
	char rule_source[LW_SOURCE_LEN]; /* "" unless an entry rule held */
	struct lw_explain_chance chances[LW_EXPLAIN_CHANCES];
	size_t nchances;
	struct lw_explain_endpoint endpoints[LW_EXPLAIN_ENDPOINTS]; /* one of these serves it */
	size_t nendpoints; /* filled in above */
	size_t endpoints_total; /* that there are */
	char trace[LW_EXPLAIN_LINES][LW_EXPLAIN_LINE_LEN]; /* how it was decided, step by step */
	size_t ntrace;
};

/* 0, -EINVAL for a header line without a colon, or -ENOMEM; *ret then is undefined. */
int lw_explain(const struct lw_image *image, const struct lw_explain_request *request,
	       struct lw_explain_result *ret);
