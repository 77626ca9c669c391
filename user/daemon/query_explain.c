/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/query_explain.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/explain.h"
#include "core/names.h"
#include "daemon/at_work.h"
#include "daemon/json.h"
#include "daemon/query.h"
#include "daemon/words.h"
#include "kern/kern.h"
#include "kern/learned.h"
#include "kern/leaves.h"

#define HEADERS_MAX 256

static void add_work(const struct lw_query *q, const struct lw_explain_work *work,
		     struct json_object *array)
{
	const struct lw_task *t = &work->task;
	struct json_object *o = lw_json_new_object(array, NULL), *lanes;
	char program[sizeof(work->program) + 1], buf[16];

	lw_str_printable(work->program, strnlen(work->program, sizeof(work->program)), program);
	lw_json_add_int(o, "pid", work->pid);
	lw_json_add_str(o, "program", program);
	lw_json_add_int(o, "requests", t->total);
	lanes = lw_json_new_object(o, "lanes");
	for (unsigned int lane = 0; lane < LW_MAX_LANES; lane++)
		if (t->n[lane])
			lw_json_add_int(lanes, lw_word_lane(q->seen, lane, buf), t->n[lane]);
	lw_json_add_int(o, "unseen", t->n[LW_IN_UNKNOWN]);
	lw_json_add_str(o, "threads",
			t->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES) ? "no-evidence" :
			t->proven < LW_TASK_PROVEN			      ? "unproven" :
										"proven");
}

/* What the programs have learned of the client's requests, and which of it counts for this one. */
static void add_learned(const struct lw_query *q, const struct lw_explain_learned *learned,
			const struct lw_explain_result *result, struct json_object *data)
{
	static const char *const states[] = { LW_EXPLAIN_TRACE_STATES(LW_EXPLAIN_TRACE_NAME) };
	struct json_object *o = lw_json_new_object(data, "learned"), *array;
	char buf[16];

	lw_json_add_bool(o, "inbound", learned->inbound);
	lw_json_add_bool(o, "reads", learned->reads);
	lw_json_add_bool(o, "left_alone", learned->left_alone);
	lw_json_add_bool(o, "uncounted", learned->uncounted);
	array = lw_json_new_array(o, "traces");
	for (size_t i = 0; i < result->ntraces; i++) {
		const struct lw_explain_trace *t = &result->traces[i];
		struct json_object *trace = lw_json_new_object(array, NULL);

		lw_json_add_str(trace, "header", lw_names_name(t->header));
		lw_json_add_str(trace, "id", t->id);
		lw_json_add_str(trace, "state", states[t->state]);
		lw_json_add_str(trace, "lane",
				t->state == LW_EXPLAIN_TRACE_LANE ?
					lw_word_lane(q->seen, t->lane, buf) :
					"");
	}
	lw_json_add_bool(o, "run_time", result->tasks);
	array = lw_json_new_array(o, "work");
	for (size_t i = 0; i < learned->nwork; i++)
		add_work(q, &learned->work[i], array);
	lw_json_add_int(o, "work_total", (int64_t)learned->work_total);
	lw_json_add_int(o, "work_elsewhere", (int64_t)learned->nowhere);
}

static int find_trace(void *arg, const struct lw_trace_key *key, struct lw_trace *ret)
{
	return lw_learned_trace(arg, key, ret);
}

static void add_explanation(const struct lw_explain_request *ask,
			    const struct lw_explain_result *result, struct json_object *data)
{
	struct json_object *array, *client;

	lw_json_add_bool(data, "known", result->known);
	client = lw_json_new_object(data, "client");
	lw_json_add_str(client, "pod", result->client.pod);
	lw_json_add_str(client, "lane", result->client.lane_name);
	lw_json_add_bool(client, "untrusted", result->client.untrusted);
	lw_json_add_bool(client, "kept_out", ask->kept_out);
	lw_json_add_bool(client, "host_network", ask->host_network);
	lw_json_add_str(data, "workload", result->workload);
	lw_json_add_str(data, "lane", result->lane_name);
	lw_json_add_int(data, "lane_id", result->lane);
	lw_json_add_int(data, "served_lane_id", result->served_lane);
	/* of what is left alone nothing is decided */
	lw_json_add_str(data, "evidence", result->known ? lw_word_evidence(result->evidence) : "");
	lw_json_add_str(data, "header", result->header);
	lw_json_add_str(data, "reason", result->known ? lw_word_reason(result->reason) : "");
	lw_json_add_str(data, "reason_help",
			result->known ? lw_word_reason_help(result->reason) : "");
	lw_json_add_str(data, "rule", result->rule_source);
	array = lw_json_new_array(data, "endpoints");
	for (size_t i = 0; i < result->nendpoints; i++) {
		const struct lw_explain_endpoint *e = &result->endpoints[i];
		struct json_object *o = lw_json_new_object(array, NULL);

		lw_json_add_addr(o, "address", &e->addr, e->port);
		lw_json_add_str(o, "pod", e->pod);
		lw_json_add_bool(o, "local", e->local);
	}
	lw_json_add_int(data, "endpoints_total", (int64_t)result->endpoints_total);
	array = lw_json_new_array(data, "chances");
	for (size_t i = 0; i < result->nchances; i++) {
		const struct lw_explain_chance *c = &result->chances[i];
		struct json_object *o = lw_json_new_object(array, NULL);

		lw_json_add_int(o, "weight", c->weight_pct);
		lw_json_add_str(o, "lane", c->lane_name);
		lw_json_add_int(o, "lane_id", c->lane);
		lw_json_add_int(o, "served_lane_id", c->served_lane);
		lw_json_add_str(o, "reason", lw_word_reason(c->reason));
		lw_json_add_str(o, "rule", c->rule_source);
	}
	array = lw_json_new_array(data, "trace");
	for (size_t i = 0; i < result->ntrace; i++)
		lw_json_add_str(array, NULL, result->trace[i]);
}

int lw_query_explain(const struct lw_query *q, struct json_object *request,
		     struct json_object *data, const char **ret_error)
{
	struct json_object *array = lw_json_get(request, "headers");
	const char *headers[HEADERS_MAX];
	struct lw_explain_request ask = {
		.path = lw_json_str(request, "path"),
		.headers = headers,
		.nheaders = lw_json_len(array),
	};
	struct lw_explain_learned learned = { .trace = find_trace, .arg = q->kern };
	_cleanup_free_ struct lw_explain_result *result = NULL;
	_cleanup_free_ struct lw_at_work *work = NULL;
	uint64_t uncounted;
	char kept[64];
	int r;

	if (!q->image) {
		*ret_error = "no state is in force yet";
		return -EAGAIN;
	}
	if (lw_addr_parse(lw_json_str(request, "from"), &ask.from) < 0 ||
	    lw_addr_parse_port(lw_json_str(request, "to"), &ask.to, &ask.to_port) < 0) {
		*ret_error = "from is an IP address, to is IP:PORT";
		return -EINVAL;
	}
	if (ask.nheaders > HEADERS_MAX) {
		*ret_error = "too many headers";
		return -E2BIG;
	}
	for (size_t i = 0; i < ask.nheaders; i++) {
		if (!json_object_is_type(lw_json_at(array, i), json_type_string)) {
			*ret_error = "headers are strings";
			return -EINVAL;
		}
		headers[i] = json_object_get_string(lw_json_at(array, i));
	}
	if (!*ask.path)
		ask.path = "/";
	lw_learned_state(q->kern, &learned.inbound, &learned.reads, &learned.pod_evidence,
			 &uncounted);
	learned.uncounted = uncounted != 0;
	learned.left_alone = lw_leaves_is(q->kern, &ask.from);
	work = calloc(1, sizeof(*work));
	r = work ? lw_at_work_find(q->kern, &ask.from, work) : -ENOMEM;
	if (r < 0) {
		*ret_error = "read what processes are at work on";
		return r;
	}
	learned.work = work->work;
	learned.nwork = work->n;
	learned.work_total = work->total;
	learned.nowhere = work->nowhere;
	ask.learned = &learned;
	ask.kept_out = lw_kern_keeps_pod(q->kern, &ask.from);
	ask.host_network = lw_addr_is_own(&ask.from);
	if (lw_at_work_kept(q->kern, &ask.from, kept, sizeof(kept)))
		ask.kept_process = kept;
	result = calloc(1, sizeof(*result));
	r = result ? lw_explain(q->image, &ask, result) : -ENOMEM;
	if (r < 0) {
		*ret_error = r == -EINVAL ? "a header is 'Name: value'" : "evaluate the request";
		return r;
	}
	add_explanation(&ask, result, data);
	add_learned(q, &learned, result, data);
	return 0;
}
