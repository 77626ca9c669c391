/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What would be decided for one request, and by which rule of which object: the decision of the kernel
 * programs (laneway/lane.h), made again over the image they were filled from.
 *
 * Weights are told, not thrown: the result is that of a request which no weight takes, and `chances` has
 * the outcome for each weight that may take it. A weight of 100 or 0 is no chance.
 *
 * Evidence that the programs learn at run time: trace ids are looked up where the programs do. What a sending thread and
 * its process are at work on depends on who sends: `tasks` says that it comes before the result, and the lines what
 * there is now.
 *
 * What is not in the image is left out: whether a pool has a socket ready, fail-closed, and that pods of this node may
 * be preferred. The request is a GET without a body; Host is `to`, unless a header says otherwise.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/image.h"
#include "laneway/reasons.h"

#define LW_EXPLAIN_ENDPOINTS 16
#define LW_EXPLAIN_CHANCES 8
#define LW_EXPLAIN_TRACES 8
#define LW_EXPLAIN_LINES 48
#define LW_EXPLAIN_LINE_LEN 160

/* A process of the client's pod that has read requests and not answered them. */
struct lw_explain_work {
	pid_t pid;
	char program[16]; /* as in /proc/PID/comm */
	struct lw_task task;
};

/* What the programs have learned, now. */
struct lw_explain_learned {
	bool inbound; /* requests that arrive at pods are read: a lane is open, and nobody has switched it off */
	bool reads; /* what threads are at work on is known on this kernel */
	bool pod_evidence; /* and what a whole pod is at work on counts for those of its processes that read no requests */
	bool left_alone; /* but not what arrives at the client's pod, as that has called nothing in release */
	bool uncounted; /* and counts for nothing now: there was no room to count all of it */
	/* 0, -ENOENT: no request has arrived with it, or it is forgotten, or another -errno: it cannot be said. */
	int (*trace)(void *arg, const struct lw_trace_key *key, struct lw_trace *ret);
	void *arg;
	const struct lw_explain_work *work; /* at the client's address */
	size_t nwork; /* of these */
	size_t work_total; /* that there are */
	size_t nowhere; /* processes at work that this agent does not see: of which pod they are cannot be said */
};

struct lw_explain_request {
	struct lw_addr from; /* the client's own address */
	struct lw_addr to;
	uint16_t to_port;
	const char *path; /* request target, query included */
	const char *const *headers; /* "Name: value" */
	size_t nheaders;
	const struct lw_explain_learned *learned; /* NULL: nothing is known of that */
	bool kept_out; /* by its pod's annotation */
	bool host_network; /* it is the node's own address, which pods of the host network share */
	/* one of its processes that is kept out, and why; NULL: none is known */
	const char *kept_process;
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

#define LW_EXPLAIN_TRACE_STATES(X)                                                       \
	X(NO_ID, "no-id") /* there is no trace id in the header */                       \
	X(NOT_ASKED, "not-asked") /* the programs do not look it up, or we cannot */     \
	X(NOT_HELD, "not-held") /* no request has arrived with it, or it is forgotten */ \
	X(LANE, "lane") /* it has arrived with requests of one open lane, */             \
	X(BASE, "base") /* of base, */                                                   \
	X(CLOSED, "closed") /* of a lane that is no longer open, */                      \
	X(SEVERAL, "several") /* of several */
#define LW_EXPLAIN_TRACE_ENUM(id, name) LW_EXPLAIN_TRACE_##id,
#define LW_EXPLAIN_TRACE_NAME(id, name) name,
enum lw_explain_trace_state {
	LW_EXPLAIN_TRACE_STATES(LW_EXPLAIN_TRACE_ENUM) LW_EXPLAIN_TRACE__MAX
};

/* A header of the request that may carry a trace id. */
struct lw_explain_trace {
	unsigned char header; /* enum lw_header_id */
	enum lw_explain_trace_state state;
	unsigned lane; /* where state is LANE */
	char id[LW_TRACE_VALUE_MAX + 1]; /* printable */
};

struct lw_explain_endpoint {
	struct lw_addr addr;
	uint16_t port;
	bool local; /* on this node */
	char pod[LW_NAME_LEN]; /* "" if the image does not know it */
};

/* Who asks. */
struct lw_explain_client {
	char pod[LW_NAME_LEN]; /* "": none that the image knows */
	char lane_name[LW_LANE_NAME_LEN]; /* of what it sends by itself */
	bool untrusted; /* tags on its requests count for nothing */
};

struct lw_explain_result {
	bool known; /* false: no destination of a workload in release, the connection is left alone */
	char workload[LW_SOURCE_LEN];
	struct lw_explain_client client;
	unsigned int lane; /* wanted */
	char lane_name[LW_LANE_NAME_LEN];
	unsigned int served_lane; /* of the endpoints: base where the lane has none */
	enum lw_evidence evidence;
	char header[LW_STEP_NAME_LEN + 1]; /* that the evidence was read in; "" if it was in none */
	enum lw_reason reason;
	char rule_source[LW_SOURCE_LEN]; /* "" unless an entry rule held */
	struct lw_explain_trace traces[LW_EXPLAIN_TRACES]; /* those looked at first */
	size_t ntraces;
	bool tasks; /* what the sending thread, its process, or the one that has started it is at work on comes before this, and was left out */
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
