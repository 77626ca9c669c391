/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"
#include "daemon/findings.h"
#include "daemon/json.h"
#include "daemon/listing_json.h"
#include "daemon/query_explain.h"
#include "daemon/self_test.h"
#include "daemon/source.h"
#include "daemon/words.h"
#include "kern/devices.h"
#include "kern/host_pods.h"
#include "kern/kern.h"
#include "kern/leaves.h"
#include "laneway/reasons.h"

/* A command fills data in, or returns -errno and says why. */
typedef int (*command)(const struct lw_query *q, struct json_object *request,
		       struct json_object *data, const char **ret_error);

#define PING "ping"
#define HELP(id, name, help) help,
static const char *const evidence_helps[] = { LW_EVIDENCE_LIST(HELP) };

/* ---- stats ---- */

struct stats {
	const struct lw_query *query;
	struct json_object *array;
	bool seen[LW_REASON__MAX];
	bool seen_evidence[LW_EVIDENCE__MAX];
	uint64_t ok, carried, other; /* requests; carried: by the agent, or unreachable */
	uint64_t unreachable;
};

static int on_stat(const struct lw_stat_key *key, uint64_t count, void *arg)
{
	struct stats *stats = arg;
	struct json_object *o;
	char buf[16];

	if (key->reason == LW_REASON_OK)
		stats->ok += count;
	else if (key->reason == LW_REASON_POOL_EMPTY)
		stats->carried += count;
	else if (key->reason <= LW_REASON_LAST_OUTCOME)
		stats->other += count;
	else if (key->reason == LW_REASON_UNREACHABLE)
		stats->unreachable += count;
	if (!stats->array)
		return 0;
	o = lw_json_new_object(stats->array, NULL);
	lw_json_add_str(o, "workload",
			lw_word_workload_hash(stats->query->seen, key->workload_hash, buf));
	lw_json_add_str(o, "lane", lw_word_lane(stats->query->seen, key->lane, buf));
	lw_json_add_str(o, "evidence", lw_word_evidence(key->evidence));
	lw_json_add_str(o, "reason", lw_word_reason(key->reason));
	lw_json_add_int(o, "count", (int64_t)count);
	lw_json_add_bool(o, "outcome", key->reason <= LW_REASON_LAST_OUTCOME);
	if (key->reason < LW_REASON__MAX)
		stats->seen[key->reason] = true;
	if (key->evidence < LW_EVIDENCE__MAX)
		stats->seen_evidence[key->evidence] = true;
	return 0;
}

static int compare_stats(const void *a, const void *b)
{
	static const char *const keys[] = { "workload", "lane", "evidence", "reason" };
	struct json_object *x = *(struct json_object *const *)a;
	struct json_object *y = *(struct json_object *const *)b;

	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		int r = strcmp(lw_json_str(x, keys[i]), lw_json_str(y, keys[i]));

		if (r)
			return r;
	}
	return 0;
}

/* Requests of each workload by evidence, from the sorted rows. */
static void add_workloads(struct json_object *rows, struct json_object *array)
{
	struct json_object *w = NULL, *evidence = NULL;

	for (size_t i = 0; i < lw_json_len(rows); i++) {
		struct json_object *row = lw_json_at(rows, i);
		const char *name = lw_json_str(row, "workload"),
			   *what = lw_json_str(row, "evidence");

		if (!lw_json_bool(row, "outcome"))
			continue;
		if (!w || strcmp(lw_json_str(w, "workload"), name) != 0) {
			w = lw_json_new_object(array, NULL);
			lw_json_add_str(w, "workload", name);
			evidence = lw_json_new_object(w, "evidence");
		}
		lw_json_add_int(w, "requests",
				lw_json_int(w, "requests") + lw_json_int(row, "count"));
		lw_json_add_int(evidence, what,
				lw_json_int(evidence, what) + lw_json_int(row, "count"));
	}
}

static int answer_stats(const struct lw_query *q, struct json_object *request,
			struct json_object *data, const char **ret_error)
{
	struct stats stats = { .query = q, .array = lw_json_new_array(data, "stats") };
	struct json_object *workloads = lw_json_new_array(data, "workloads");
	struct json_object *evidence = lw_json_new_object(data, "evidence");
	struct json_object *reasons = lw_json_new_object(data, "reasons");
	int r;

	(void)request;
	r = lw_kern_each_stat(q->kern, on_stat, &stats);
	if (r < 0) {
		*ret_error = "read the counters";
		return r;
	}
	json_object_array_sort(stats.array, compare_stats);
	add_workloads(stats.array, workloads);
	for (size_t i = 0; i < LW_EVIDENCE__MAX; i++)
		if (stats.seen_evidence[i])
			lw_json_add_str(evidence, lw_word_evidence((unsigned int)i),
					evidence_helps[i]);
	for (size_t i = 0; i < LW_REASON__MAX; i++)
		if (stats.seen[i])
			lw_json_add_str(reasons, lw_word_reason((unsigned int)i),
					lw_word_reason_help((unsigned int)i));
	return 0;
}

/* ---- flows ---- */

struct flows {
	const struct lw_query *query;
	struct json_object *array;
	size_t limit, total;
	uint64_t now_ns;
};

static int on_flow(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	struct flows *flows = arg;
	const struct lw_query *q = flows->query;
	const struct lw_addr *addr = &flow->peer;
	uint16_t port = flow->peer_port;
	unsigned int route = flow->route;
	struct json_object *o;
	char buf[16], client[LW_WORD_CLIENT_LEN];

	if (flows->total++ >= flows->limit)
		return 0;
	if (flow->route != LW_ROUTE_PEER && flow->up < LW_FLOW_UPS) {
		addr = &flow->ups[flow->up].addr;
		port = flow->ups[flow->up].port;
	}
	o = lw_json_new_object(flows->array, NULL);
	lw_json_add_int(o, "cookie", (int64_t)cookie);
	lw_json_add_int(o, "pid", flow->pid);
	lw_json_add_int(o, "netns", (int64_t)flow->netns);
	lw_json_add_addr(o, "client", &flow->client, flow->client_port);
	lw_json_add_str(o, "client_pod", lw_word_client(q->image, q->model, &flow->client, client));
	lw_json_add_addr(o, "asked", &flow->asked, flow->asked_port);
	lw_json_add_addr(o, "peer", &flow->peer, flow->peer_port);
	lw_json_add_str(o, "peer_pod", lw_word_pod(q->image, &flow->peer));
	lw_json_add_addr(o, "endpoint", addr, port);
	lw_json_add_str(o, "pod", lw_word_pod(q->image, addr));
	lw_json_add_str(o, "workload", lw_word_workload(q->image, flow->workload));
	/* bound already, and not yet sent on again */
	if (route == LW_ROUTE_PUNT && !flow->punt)
		route = LW_ROUTE_UP;
	lw_json_add_str(o, "route", lw_word_route(route));
	lw_json_add_str(o, "lane", lw_word_lane(q->seen, flow->lane, buf));
	lw_json_add_str(o, "evidence", lw_word_evidence(flow->evidence));
	lw_json_add_str(o, "header", lw_word_header(q->seen, flow->header, flow->lane, flow->gen));
	lw_json_add_str(o, "reason", lw_word_reason(flow->reason));
	lw_json_add_bool(o, "opaque", flow->flags & LW_FLOW_OPAQUE);
	lw_json_add_int(o, "requests", (int64_t)flow->requests);
	lw_json_add_int(o, "age_ms",
			flows->now_ns > flow->since_ns ?
				(int64_t)((flows->now_ns - flow->since_ns) / LW_NS_PER_MS) :
				0);
	return 0;
}

static int answer_flows(const struct lw_query *q, struct json_object *request,
			struct json_object *data, const char **ret_error)
{
	int64_t limit = lw_json_get(request, "limit") ? lw_json_int(request, "limit") : 1000;
	struct flows flows = {
		.query = q,
		.array = lw_json_new_array(data, "flows"),
		.limit = limit > 0 ? (size_t)limit : 0,
		.now_ns = lw_clock_ns(),
	};
	int r;

	r = lw_kern_each_flow(q->kern, on_flow, &flows);
	if (r < 0) {
		*ret_error = "read the flows";
		return r;
	}
	lw_json_add_int(data, "total", (int64_t)flows.total);
	return 0;
}

/* ---- status ---- */

static int count_flow(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	(void)cookie;
	(void)flow;
	++*(int64_t *)arg;
	return 0;
}

static int count_up(uint64_t cookie, const struct lw_up *up, void *arg)
{
	(void)cookie;
	(void)up;
	++*(int64_t *)arg;
	return 0;
}

static int add_counts(const struct lw_query *q, struct json_object *data)
{
	static const struct {
		const char *name;
		enum lw_table_id table;
	} tables[] = {
		{ "lanes", LW_TABLE_LANES },	     { "workloads", LW_TABLE_WORKLOADS },
		{ "pods", LW_TABLE_PODS },	     { "destinations", LW_TABLE_DESTS },
		{ "endpoints", LW_TABLE_ENDPOINTS }, { "rules", LW_TABLE_RULES },
	};
	struct json_object *counts = lw_json_new_object(data, "counts");
	int64_t flows = 0, ups = 0;
	int r;

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		lw_json_add_int(counts, tables[i].name,
				q->image ? (int64_t)lw_image_rows(q->image, tables[i].table) : 0);
	r = lw_kern_each_flow(q->kern, count_flow, &flows);
	if (r == 0)
		r = lw_kern_each_up(q->kern, count_up, &ups);
	lw_json_add_int(counts, "flows", flows);
	lw_json_add_int(counts, "upstreams", ups);
	return r;
}

static void add_source(const struct lw_query *q, struct json_object *data)
{
	struct json_object *source = lw_json_new_object(data, "source"), *findings;

	lw_source_json(q->source, source);
	lw_json_add_int(source, "errors", (int64_t)q->errors);
	lw_json_add_int(source, "warnings",
			(int64_t)(q->source_findings->warnings + q->build_findings->warnings +
				  q->node_findings->warnings));
	findings = lw_json_new_array(source, "findings");
	lw_findings_json(q->source_findings, findings);
	lw_findings_json(q->build_findings, findings);
	lw_findings_json(q->node_findings, findings);
	lw_json_add_int(source, "findings_truncated",
			(int64_t)(lw_findings_more(q->source_findings) +
				  lw_findings_more(q->build_findings) +
				  lw_findings_more(q->node_findings)));
}

static void on_kept(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg)
{
	struct json_object *o = lw_json_new_object(arg, NULL);
	char comm[sizeof(kept->comm) + 1] = "";

	memcpy(comm, kept->comm, sizeof(kept->comm));
	lw_json_add_int(o, "pid", key->pid);
	lw_json_add_str(o, "program", comm);
	lw_json_add_str(o, "why", lw_word_keep(kept->why));
	/* its row stays until there is no room for another */
	lw_json_add_bool(o, "alive", lw_process_is((pid_t)key->pid, key->started));
	lw_json_add_int(o, "connections", (int64_t)kept->connections);
	lw_json_add_int(o, "since_ms_ago",
			(int64_t)((lw_clock_ns() - kept->since_ns) / LW_NS_PER_MS));
}

/* Pods on the host network that are told apart, and those that are not. */
static void add_host_pods(const struct lw_query *q, struct json_object *data)
{
	struct json_object *o = lw_json_new_object(data, "host_pods");
	size_t n, found;

	lw_host_pods_count(q->host_pods, &n, &found);
	lw_json_add_int(o, "pods", (int64_t)n);
	lw_json_add_int(o, "found", (int64_t)found);
}

static void add_kept_out(const struct lw_query *q, struct json_object *data)
{
	struct json_object *o = lw_json_new_object(data, "kept_out");
	uint32_t noticed, keeps = lw_kern_keeps(q->kern, &noticed);

	lw_json_add_bool(o, "fionread", keeps & LW_KEEP_FIONREAD);
	lw_json_add_bool(o, "splice", keeps & LW_KEEP_SPLICE);
	lw_json_add_bool(o, "fionread_noticed", noticed & LW_KEEP_FIONREAD);
	lw_json_add_bool(o, "splice_noticed", noticed & LW_KEEP_SPLICE);
	lw_json_add_int(o, "pod_addresses", (int64_t)lw_kern_kept_pods(q->kern));
	(void)lw_kern_each_kept(q->kern, on_kept, lw_json_new_array(o, "processes"));
}

/* What passes TCP by between two pods of this node. */
static void add_bypass(const struct lw_query *q, struct json_object *data)
{
	struct json_object *o = lw_json_new_object(data, "bypass");
	enum lw_past past = lw_kern_past(q->kern);

	lw_json_add_bool(o, "requests", past == LW_PAST_ALL);
	lw_json_add_bool(o, "responses", past != LW_PAST_NONE);
}

/* One entry for the same program in the same place, as pods' devices are many. */
static void on_other(const char *where, const char *program, bool before, void *arg)
{
	struct json_object *o;

	for (size_t i = 0; i < lw_json_len(arg); i++) {
		o = lw_json_at(arg, i);
		if (strcmp(lw_json_str(o, "where"), where) == 0 &&
		    strcmp(lw_json_str(o, "program"), program) == 0 &&
		    lw_json_bool(o, "before") == before) {
			lw_json_add_int(o, "count", lw_json_int(o, "count") + 1);
			return;
		}
	}
	o = lw_json_new_object(arg, NULL);
	lw_json_add_str(o, "where", where);
	lw_json_add_str(o, "program", program);
	lw_json_add_bool(o, "before", before);
	lw_json_add_int(o, "count", 1);
}

static void add_devices(const struct lw_query *q, struct json_object *data)
{
	struct json_object *o;
	size_t patterns, n;

	if (!q->devices)
		return;
	o = lw_json_new_object(data, "devices");
	n = lw_devices_count(q->devices, &patterns);
	lw_json_add_int(o, "patterns", (int64_t)patterns);
	lw_json_add_int(o, "attached", (int64_t)n);
}

static void add_others(const struct lw_query *q, struct json_object *data)
{
	struct json_object *array = lw_json_new_array(data, "others");

	lw_devices_each_other(q->devices, on_other, array);
}

static int answer_status(const struct lw_query *q, struct json_object *request,
			 struct json_object *data, const char **ret_error)
{
	const char *const *attached = lw_kern_attached(q->kern);
	enum lw_kern_mode mode = lw_kern_mode(q->kern);
	struct stats stats = { .query = q };
	struct json_object *array, *decisions;
	struct utsname uts = {};
	const char *why = "";
	int r;

	if (mode == LW_KERN_MODE_NONE)
		why = "no way of enrolling sockets is safe on this kernel, see the self-tests";
	else if (q->why)
		why = q->why;
	else if (!lw_source_ready(q->source))
		why = "the API server's objects have not all come yet, nothing is steered";
	else if (lw_kern_generation(q->kern) == 0)
		why = "no state is in force yet";
	else if (q->pending)
		why = "the last change could not be put in force, trying again";
	else if (!lw_source_settled(q->source))
		why = "a file has gone from the folder, whose objects go, too, if it does not come back within 0.1 s; or it is being written, and is read when it is closed";
	(void)uname(&uts);
	lw_json_add_str(data, "version", LW_VERSION);
	lw_json_add_int(data, "pid", getpid());
	lw_json_add_str(data, "kernel", uts.release);
	lw_json_add_int(data, "uptime_ms",
			(int64_t)((lw_clock_ns() - q->started_ns) / LW_NS_PER_MS));
	lw_json_add_bool(data, "steering", !*why);
	lw_json_add_str(data, "why", why);
	lw_json_add_str(data, "mode", lw_kern_mode_name(mode));
	lw_json_add_int(data, "generation", (int64_t)lw_kern_generation(q->kern));
	if (lw_json_bool(request, "brief"))
		return 0;
	add_source(q, data);
	r = add_counts(q, data);
	if (r < 0) {
		*ret_error = "count the flows";
		return r;
	}
	r = lw_kern_each_stat(q->kern, on_stat, &stats);
	if (r < 0) {
		*ret_error = "read the counters";
		return r;
	}
	decisions = lw_json_new_object(data, "decisions");
	lw_json_add_int(decisions, "ok", (int64_t)stats.ok);
	/* some that no pod took were counted by another reason, and counters of several CPUs are not read at one moment */
	lw_json_add_int(decisions, "carried",
			(int64_t)(stats.carried > stats.unreachable ?
					  stats.carried - stats.unreachable :
					  0));
	lw_json_add_int(decisions, "other", (int64_t)(stats.other + stats.unreachable));
	add_kept_out(q, data);
	add_bypass(q, data);
	add_host_pods(q, data);
	add_devices(q, data);
	lw_json_add_int(data, "left_alone", (int64_t)lw_leaves_count(q->kern));
	add_others(q, data);
	lw_json_add_int(data, "selftests_us", lw_kern_selftests_us(q->kern));
	lw_self_test_json(lw_kern_selftests(q->kern), data);
	array = lw_json_new_array(data, "attached");
	for (; *attached; attached++)
		lw_json_add_str(array, NULL, *attached);
	return 0;
}

/* ---- lanes, endpoints ---- */

static int answer_lanes(const struct lw_query *q, struct json_object *request,
			struct json_object *data, const char **ret_error)
{
	(void)request;
	if (!q->listing) {
		*ret_error = "no state is in force yet";
		return -EAGAIN;
	}
	lw_listing_json_lanes(q->listing, data);
	return 0;
}

static int answer_endpoints(const struct lw_query *q, struct json_object *request,
			    struct json_object *data, const char **ret_error)
{
	(void)request;
	if (!q->listing) {
		*ret_error = "no state is in force yet";
		return -EAGAIN;
	}
	lw_listing_json_endpoints(q->listing, data);
	return 0;
}

static const struct {
	const char *name;
	command answer;
} commands[] = {
	{ "status", answer_status }, { "lanes", answer_lanes }, { "endpoints", answer_endpoints },
	{ "flows", answer_flows },   { "stats", answer_stats }, { "explain", lw_query_explain },
};

char *lw_query_ping(const char *request)
{
	_cleanup_json_ struct json_object *parsed = NULL, *reply = NULL;

	/* nearly all are others, and need not be parsed twice */
	if (!strstr(request, PING))
		return NULL;
	parsed = json_tokener_parse(request);
	if (strcmp(lw_json_str(parsed, "cmd"), PING) != 0)
		return NULL;
	reply = lw_json_new_object(NULL, NULL);
	(void)lw_json_new_object(reply, "data");
	return strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
}

char *lw_query_answer(const struct lw_query *query, const char *request)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(request);
	_cleanup_json_ struct json_object *reply = lw_json_new_object(NULL, NULL);
	const char *name = lw_json_str(parsed, "cmd");
	const char *error = "the agent, version " LW_VERSION ", knows no such command";
	char text[256], *line;
	int r = -EINVAL;

	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++) {
		if (strcmp(commands[i].name, name) == 0) {
			r = commands[i].answer(query, parsed, lw_json_new_object(reply, "data"),
					       &error);
			break;
		}
	}
	if (r < 0) {
		json_object_object_del(reply, "data");
		(void)snprintf(text, sizeof(text), "%s: %s", error, strerror(-r));
		lw_json_add_str(reply, "error", text);
	}
	/* of all flows it is some 30 MB: to write that, and to let go of the tree, each takes its time */
	lw_kern_heartbeat(query->kern);
	line = strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
	lw_kern_heartbeat(query->kern);
	return line;
}
