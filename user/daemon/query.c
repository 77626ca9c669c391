/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/query.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/explain.h"
#include "core/listing.h"
#include "daemon/findings.h"
#include "daemon/json.h"
#include "daemon/listing_json.h"
#include "daemon/seen.h"
#include "daemon/source.h"
#include "kern/kern.h"
#include "laneway/reasons.h"

#define HEADERS_MAX 256

/* A command fills data in, or returns -errno and says why. */
typedef int (*command)(const struct lw_query *q, struct json_object *request,
		       struct json_object *data, const char **ret_error);

#define NAME(id, name, help) name,
#define HELP(id, name, help) help,
static const char *const evidence_names[] = { LW_EVIDENCE_LIST(NAME) };
static const char *const reason_names[] = { LW_REASON_LIST(NAME) };
static const char *const reason_helps[] = { LW_REASON_LIST(HELP) };

static const char *evidence_name(unsigned int evidence)
{
	return evidence < LW_EVIDENCE__MAX ? evidence_names[evidence] : "unknown";
}

static const char *reason_name(unsigned int reason)
{
	return reason < LW_REASON__MAX ? reason_names[reason] : "unknown";
}

static void add_addr(struct json_object *o, const char *key, const struct lw_addr *addr,
		     uint16_t port)
{
	char buf[LW_ADDR_STRLEN];

	lw_json_add_str(o, key, lw_addr_format_port(addr, port, buf));
}

/* "" for an image without it: the state has moved on since. */
static const char *workload_name(const struct lw_query *q, uint32_t id)
{
	struct lw_slot_key key = { .id = id };
	const struct lw_workload *w;

	w = q->image ? lw_image_get(q->image, LW_TABLE_WORKLOADS, &key) : NULL;
	return w ? w->name : "";
}

static const char *pod_name(const struct lw_query *q, const struct lw_addr *addr)
{
	struct lw_pod_key key = { .addr = *addr };
	const struct lw_pod *pod = q->image ? lw_image_get(q->image, LW_TABLE_PODS, &key) : NULL;

	return pod ? pod->name : "";
}

static const char *lane_name(const struct lw_query *q, unsigned int id, char buf[16])
{
	const char *name = lw_seen_lane(q->seen, id);

	if (id == 0)
		return "base";
	(void)snprintf(buf, 16, "#%u", id);
	return name ? name : buf;
}

/* ---- stats ---- */

struct stats {
	const struct lw_query *query;
	struct json_object *array;
	bool seen[LW_REASON__MAX];
	uint64_t ok, other;
};

static int on_stat(const struct lw_stat_key *key, uint64_t count, void *arg)
{
	struct stats *stats = arg;
	const char *name = lw_seen_workload(stats->query->seen, key->workload_hash);
	struct json_object *o;
	char buf[16];

	if (key->reason == LW_REASON_OK)
		stats->ok += count;
	else
		stats->other += count;
	if (!stats->array)
		return 0;
	(void)snprintf(buf, sizeof(buf), "#%08x", key->workload_hash);
	o = lw_json_new_object(stats->array, NULL);
	lw_json_add_str(o, "workload", name ? name : key->workload_hash ? buf : "-");
	lw_json_add_str(o, "lane", lane_name(stats->query, key->lane, buf));
	lw_json_add_str(o, "evidence", evidence_name(key->evidence));
	lw_json_add_str(o, "reason", reason_name(key->reason));
	lw_json_add_int(o, "count", (int64_t)count);
	if (key->reason < LW_REASON__MAX)
		stats->seen[key->reason] = true;
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

static int answer_stats(const struct lw_query *q, struct json_object *request,
			struct json_object *data, const char **ret_error)
{
	struct stats stats = { .query = q, .array = lw_json_new_array(data, "stats") };
	struct json_object *reasons = lw_json_new_object(data, "reasons");
	int r;

	(void)request;
	r = lw_kern_each_stat(q->kern, on_stat, &stats);
	if (r < 0) {
		*ret_error = "read the counters";
		return r;
	}
	json_object_array_sort(stats.array, compare_stats);
	for (size_t i = 0; i < LW_REASON__MAX; i++)
		if (stats.seen[i])
			lw_json_add_str(reasons, reason_names[i], reason_helps[i]);
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
	static const char *const routes[] = {
		[LW_ROUTE_PEER] = "peer",
		[LW_ROUTE_UP] = "up",
		[LW_ROUTE_PUNT] = "punt",
	};
	struct flows *flows = arg;
	const struct lw_query *q = flows->query;
	const struct lw_addr *addr = &flow->peer;
	uint16_t port = flow->peer_port;
	unsigned int route = flow->route;
	struct json_object *o;
	char buf[16];

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
	add_addr(o, "client", &flow->client, flow->client_port);
	add_addr(o, "asked", &flow->asked, flow->asked_port);
	add_addr(o, "peer", &flow->peer, flow->peer_port);
	lw_json_add_str(o, "peer_pod", pod_name(q, &flow->peer));
	add_addr(o, "endpoint", addr, port);
	lw_json_add_str(o, "pod", pod_name(q, addr));
	lw_json_add_str(o, "workload", workload_name(q, flow->workload));
	/* bound already, and not yet sent on again */
	if (route == LW_ROUTE_PUNT && !flow->punt)
		route = LW_ROUTE_UP;
	lw_json_add_str(o, "route",
			route < sizeof(routes) / sizeof(*routes) ? routes[route] : "unknown");
	lw_json_add_str(o, "lane", lane_name(q, flow->lane, buf));
	lw_json_add_str(o, "evidence", evidence_name(flow->evidence));
	lw_json_add_str(o, "reason", reason_name(flow->reason));
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
			(int64_t)(q->source_findings->warnings + q->build_findings->warnings));
	findings = lw_json_new_array(source, "findings");
	lw_findings_json(q->source_findings, findings);
	lw_findings_json(q->build_findings, findings);
}

static void on_kept(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg)
{
	struct json_object *o = lw_json_new_object(arg, NULL);
	char comm[sizeof(kept->comm) + 1] = "";

	memcpy(comm, kept->comm, sizeof(kept->comm));
	lw_json_add_int(o, "pid", key->pid);
	lw_json_add_str(o, "program", comm);
	lw_json_add_str(o, "why", kept->why & LW_KEEP_NAME     ? "name" :
				  kept->why & LW_KEEP_FIONREAD ? "fionread" :
								 "splice");
	lw_json_add_int(o, "connections", (int64_t)kept->connections);
	lw_json_add_int(o, "since_ms_ago", (int64_t)((lw_clock_ns() - kept->since_ns) / LW_NS_PER_MS));
}

static void add_kept_out(const struct lw_query *q, struct json_object *data)
{
	struct json_object *o = lw_json_new_object(data, "kept_out");
	uint32_t noticed, keeps = lw_kern_keeps(q->kern, &noticed);

	lw_json_add_bool(o, "fionread", keeps & LW_KEEP_FIONREAD);
	lw_json_add_bool(o, "splice", keeps & LW_KEEP_SPLICE);
	lw_json_add_bool(o, "fionread_noticed", noticed & LW_KEEP_FIONREAD);
	lw_json_add_bool(o, "splice_noticed", noticed & LW_KEEP_SPLICE);
	(void)lw_kern_each_kept(q->kern, on_kept, lw_json_new_array(o, "processes"));
}

static int answer_status(const struct lw_query *q, struct json_object *request,
			 struct json_object *data, const char **ret_error)
{
	const struct lw_selftest_result *tests = lw_kern_selftests(q->kern);
	const char *const *attached = lw_kern_attached(q->kern);
	enum lw_kern_mode mode = lw_kern_mode(q->kern);
	struct stats stats = { .query = q };
	struct json_object *array, *decisions;
	struct utsname uts = {};
	const char *why = "";
	int r;

	(void)request;
	if (mode == LW_KERN_MODE_NONE)
		why = "no way of enrolling sockets is safe on this kernel, see the self-tests";
	else if (!lw_source_ready(q->source))
		why = "the API server's objects have not all come yet, nothing is steered";
	else if (lw_kern_generation(q->kern) == 0)
		why = "no state is in force yet";
	else if (q->pending)
		why = "the last change could not be put in force, trying again";
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
	lw_json_add_int(decisions, "other", (int64_t)stats.other);
	add_kept_out(q, data);
	array = lw_json_new_array(data, "selftests");
	for (; tests->name; tests++) {
		struct json_object *o = lw_json_new_object(array, NULL);

		lw_json_add_str(o, "name", tests->name);
		lw_json_add_bool(o, "ok", tests->ok);
		lw_json_add_str(o, "about", tests->about);
		lw_json_add_str(o, "concerns", tests->keeps & LW_KEEP_FIONREAD ? "fionread" :
					       tests->keeps & LW_KEEP_SPLICE   ? "splice" :
										 "");
		lw_json_add_str(o, "detail", tests->detail);
	}
	array = lw_json_new_array(data, "attached");
	for (; *attached; attached++)
		lw_json_add_str(array, NULL, *attached);
	return 0;
}

/* ---- lanes, endpoints, explain ---- */

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

static void add_explanation(const struct lw_explain_result *result, struct json_object *data)
{
	struct json_object *array;

	lw_json_add_bool(data, "known", result->known);
	lw_json_add_str(data, "workload", result->workload);
	lw_json_add_str(data, "lane", result->lane_name);
	lw_json_add_int(data, "lane_id", result->lane);
	lw_json_add_int(data, "served_lane_id", result->served_lane);
	lw_json_add_str(data, "evidence", evidence_name(result->evidence));
	lw_json_add_str(data, "reason", reason_name(result->reason));
	lw_json_add_str(
		data, "reason_help",
		(unsigned int)result->reason < LW_REASON__MAX ? reason_helps[result->reason] : "");
	lw_json_add_str(data, "rule", result->rule_source);
	array = lw_json_new_array(data, "endpoints");
	for (size_t i = 0; i < result->nendpoints; i++) {
		const struct lw_explain_endpoint *e = &result->endpoints[i];
		struct json_object *o = lw_json_new_object(array, NULL);

		add_addr(o, "address", &e->addr, e->port);
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
		lw_json_add_str(o, "reason", reason_name(c->reason));
		lw_json_add_str(o, "rule", c->rule_source);
	}
	array = lw_json_new_array(data, "trace");
	for (size_t i = 0; i < result->ntrace; i++)
		lw_json_add_str(array, NULL, result->trace[i]);
}

static int answer_explain(const struct lw_query *q, struct json_object *request,
			  struct json_object *data, const char **ret_error)
{
	struct json_object *array = lw_json_get(request, "headers");
	const char *headers[HEADERS_MAX];
	struct lw_explain_request ask = {
		.path = lw_json_str(request, "path"),
		.headers = headers,
		.nheaders = lw_json_len(array),
	};
	_cleanup_free_ struct lw_explain_result *result = NULL;
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
	result = calloc(1, sizeof(*result));
	r = result ? lw_explain(q->image, &ask, result) : -ENOMEM;
	if (r < 0) {
		*ret_error = r == -EINVAL ? "a header is 'Name: value'" : "evaluate the request";
		return r;
	}
	add_explanation(result, data);
	return 0;
}

static const struct {
	const char *name;
	command answer;
} commands[] = {
	{ "status", answer_status }, { "lanes", answer_lanes }, { "endpoints", answer_endpoints },
	{ "flows", answer_flows },   { "stats", answer_stats }, { "explain", answer_explain },
};

char *lw_query_answer(const struct lw_query *query, const char *request)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(request);
	_cleanup_json_ struct json_object *reply = lw_json_new_object(NULL, NULL);
	const char *name = lw_json_str(parsed, "cmd");
	const char *error = "no such command";
	char text[256];
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
	return strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
}
