/* SPDX-License-Identifier: Apache-2.0 */
#include "core/explain_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "core/names.h"
#include "laneway/follow.h"

#define SOURCE_SHOWN 72
/* Lines kept for what follows the conditions. */
#define LINES_AFTER 12

/* One decision. lane.h has no context to hand to its lookups: the one at hand is in `the_run`. */
struct run {
	const struct lw_image *image;
	struct {
		__u32 id;
		const struct lw_step *step;
	} visits[LW_MAX_STEPS_RUN];
	size_t nvisits;
	unsigned throws; /* weights met that are neither 0 nor 100 */
	unsigned hit; /* of these, the one that takes the request, from 1; 0: none does */
};

static _Thread_local struct run *the_run;

static const void *get(enum lw_table_id table, __u32 id)
{
	struct lw_slot_key key = { .id = id };

	return lw_image_get(the_run->image, table, &key);
}

static const struct lw_step *get_step(__u32 id)
{
	const struct lw_step *step = get(LW_TABLE_STEPS, id);

	if (step && the_run->nvisits < LW_MAX_STEPS_RUN) {
		the_run->visits[the_run->nvisits].id = id;
		the_run->visits[the_run->nvisits++].step = step;
	}
	return step;
}

static const struct lw_tag *get_tag(const struct lw_tag_key *key)
{
	return lw_image_get(the_run->image, LW_TABLE_TAGS, key);
}

static const struct lw_group *get_group(__u32 group, __u32 lane)
{
	struct lw_group_key key = { .group = group, .lane = lane };

	return lw_image_get(the_run->image, LW_TABLE_GROUPS, &key);
}

/* Called for the step visited last. */
static __u32 throw_dice(void)
{
	__u32 pct = the_run->visits[the_run->nvisits - 1].step->weight_pct;

	if (pct == 0 || pct >= 100)
		return 0;
	return ++the_run->throws == the_run->hit ? 0 : 99;
}

#define lw_get_step(slot, id) get_step(id)
#define lw_get_rule(slot, id) ((const struct lw_rule *)get(LW_TABLE_RULES, id))
#define lw_get_dfa(slot, id) ((const struct lw_dfa *)get(LW_TABLE_DFAS, id))
#define lw_get_lane(slot, id) ((const struct lw_lane *)get(LW_TABLE_LANES, id))
#define lw_get_names(slot) ((const struct lw_names *)get(LW_TABLE_NAMES, 0))
#define lw_get_tag(key) get_tag(key)
#define lw_get_group(slot, group, lane) ((void)(slot), get_group(group, lane))
#define LW_DICE() throw_dice()

#include "laneway/lane.h"
#include "laneway/route.h"

struct explain {
	const struct lw_explain_request *request;
	struct lw_explain_result *ret;
	struct run run;
	struct lw_head head;
	const struct lw_dest *dest;
	unsigned peer_lane; /* of the pod the connection itself goes to */
	struct lw_peer peer; /* what that is to requests */
};

/* ---- words ---- */

#define line(e, ...) lw_explain_line((e)->ret, __VA_ARGS__)
#define quote lw_explain_quote
#define QUOTE_LEN LW_EXPLAIN_QUOTE_LEN

static const char *lane_name(unsigned lane)
{
	const struct lw_lane *row;

	if (!lane)
		return "base";
	row = lw_get_lane(0, lane);
	return row ? row->name : "unknown";
}

/* ---- the head ---- */

static void put(struct explain *e, size_t *len, const char *text)
{
	size_t n = strlen(text);

	/* one byte too many is enough to know that the head is too long */
	if (*len + n > LW_HEAD_MAX) {
		*len = LW_HEAD_MAX + 1;
		return;
	}
	memcpy(e->head.buf + *len, text, n);
	*len += n;
}

static int render(struct explain *e, size_t *ret_len)
{
	const struct lw_explain_request *q = e->request;
	const char *path = q->path && *q->path ? q->path : "/";
	char host[LW_ADDR_STRLEN];
	bool has_host = false;
	size_t len = 0;

	for (size_t i = 0; i < q->nheaders; i++) {
		const char *colon = strchr(q->headers[i], ':');

		if (!colon)
			return -EINVAL;
		if (colon - q->headers[i] == 4 && !strncasecmp(q->headers[i], "host", 4))
			has_host = true;
	}
	put(e, &len, "GET ");
	put(e, &len, path);
	put(e, &len, " HTTP/1.1\r\n");
	if (!has_host) {
		put(e, &len, "Host: ");
		put(e, &len, lw_addr_format_port(&q->to, q->to_port, host));
		put(e, &len, "\r\n");
	}
	for (size_t i = 0; i < q->nheaders; i++) {
		put(e, &len, q->headers[i]);
		put(e, &len, "\r\n");
	}
	put(e, &len, "\r\n");
	*ret_len = len;
	return 0;
}

/* As lw_look() of the kernel programs. OK, or why the connection would become opaque. */
static enum lw_reason scan(struct explain *e, size_t len)
{
	const struct lw_names *names = get(LW_TABLE_NAMES, 0);
	struct lw_frame frame = {};
	__u32 why;

	if (len > LW_HEAD_MAX)
		return LW_REASON_OPAQUE_HEAD_SIZE;
	if (!names)
		return LW_REASON_OPAQUE_MALFORMED;
	(void)lw_scan_request(&e->head, names, len);
	return lw_request_look(&e->head.scan, len, &frame, &why) == LW_LOOK_DONE ? LW_REASON_OK :
										   why;
}

/* ---- where to ---- */

static const struct lw_pod *pod_of(const struct lw_addr *addr)
{
	struct lw_pod_key key = { .addr = *addr };

	return lw_image_get(the_run->image, LW_TABLE_PODS, &key);
}

static const struct lw_dest *dest_of(const struct lw_addr *addr, uint16_t port)
{
	struct lw_dest_key key = { .addr = *addr, .port = port };
	const struct lw_dest *dest = lw_image_get(the_run->image, LW_TABLE_DESTS, &key);

	if (dest)
		return dest;
	key.port = 0;
	return lw_image_get(the_run->image, LW_TABLE_DESTS, &key);
}

/* "80, 443": those under which the address is a destination, as many as there is room for; "" where it is none. */
static const char *ports_of(const struct lw_addr *addr, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < lw_image_rows(the_run->image, LW_TABLE_DESTS) && at < size; i++) {
		const struct lw_dest_key *key = lw_image_key(the_run->image, LW_TABLE_DESTS, i);

		if (memcmp(&key->addr, addr, sizeof(*addr)) == 0)
			at += (size_t)snprintf(buf + at, size - at, "%s%u", at ? ", " : "",
					       key->port);
	}
	return buf;
}

static size_t group_count(const struct explain *e, unsigned lane)
{
	const struct lw_group *group = get_group(e->dest->group, lane);

	return group ? group->count : 0;
}

/* The lane of the endpoints. *own_peer: the connection's own peer serves it. As lw_on_request(). */
static unsigned route(const struct explain *e, unsigned lane, enum lw_reason *reason,
		      bool *own_peer)
{
	unsigned target = lw_target_lane(0, e->dest->group, lane, lw_peer_serves(&e->peer, lane));

	if (target != lane)
		*reason = LW_REASON_NO_ENDPOINT;
	*own_peer = lw_peer_serves(&e->peer, target);
	if (*own_peer || lw_has_endpoint(0, e->dest->group, target))
		return target;
	*own_peer = true;
	*reason = LW_REASON_NO_ENDPOINT;
	return e->peer_lane;
}

static void add_endpoint(struct explain *e, const struct lw_addr *addr, uint16_t port)
{
	const struct lw_pod *pod = pod_of(addr);
	struct lw_explain_endpoint *to;

	if (e->ret->nendpoints == LW_EXPLAIN_ENDPOINTS)
		return;
	to = &e->ret->endpoints[e->ret->nendpoints++];
	to->addr = *addr;
	to->port = port;
	to->local = pod && (pod->flags & LW_POD_LOCAL);
	(void)lw_str_copy(to->pod, sizeof(to->pod), pod ? pod->name : "");
}

static void add_endpoints(struct explain *e, unsigned lane, bool own_peer)
{
	const struct lw_explain_request *q = e->request;
	size_t n = group_count(e, lane);

	if (own_peer && (!(e->dest->flags & LW_DEST_SERVICE) || !n)) {
		e->ret->endpoints_total = 1;
		add_endpoint(e, &q->to, q->to_port);
		return;
	}
	e->ret->endpoints_total = n;
	for (size_t i = 0; i < n && i < LW_EXPLAIN_ENDPOINTS; i++) {
		struct lw_endpoint_key key = { .group = e->dest->group, .lane = lane, .idx = i };
		const struct lw_endpoint *ep =
			lw_image_get(the_run->image, LW_TABLE_ENDPOINTS, &key);

		if (ep)
			add_endpoint(e, &ep->addr, ep->port ? ep->port : q->to_port);
	}
}

static void tell_route(struct explain *e, unsigned lane, unsigned served, enum lw_reason reason,
		       bool own_peer)
{
	bool service = e->dest->flags & LW_DEST_SERVICE;
	size_t n = group_count(e, served);

	/* of a base request to a Service what is said below says all */
	if (reason == LW_REASON_NO_ENDPOINT && (lane || !own_peer || !service))
		line(e, "lane %s has no ready pod for this destination: %s", lane_name(lane),
		     own_peer && !service ? "the request stays with the pod asked for" :
					    "the request goes to base");
	if (own_peer && !service)
		line(e, "the pod asked for is in lane %s: the request goes there",
		     lane_name(served));
	else if (!n)
		line(e, "no ready pod is known for this Service: the connection is left to it");
	else
		line(e, "lane %s has %zu ready pod%s for this destination", lane_name(served), n,
		     n == 1 ? "" : "s");
}

/* ---- the decision in words ---- */

static void tell_tags(struct explain *e)
{
	const struct lw_captures *caps = &e->head.caps;

	for (__u32 i = 0; i < caps->n; i++) {
		const struct lw_capture *cap = &caps->at[i];
		const char *text = (const char *)e->head.buf + cap->line;
		int name_len = (int)((const char *)memchr(text, ':', cap->line_len) - text);
		char value[QUOTE_LEN];
		__u32 lane;

		if (cap->header < LW_HDR_TAG_FIRST || cap->header > LW_HDR_TAG_LAST)
			continue;
		if (e->head.eval.untrusted) {
			line(e, "tag %.*s is taken off: the client is not believed", name_len,
			     text);
			continue;
		}
		lane = lw_tag_lane(&e->head, 0, i);
		quote(e->head.buf + cap->value, cap->value_len, value);
		if (lane == LW_LANE_UNKNOWN)
			line(e, "tag %.*s %s names no open lane: no evidence", name_len, text,
			     value);
		else
			line(e, "tag %.*s %s names lane %s", name_len, text, value,
			     lane_name(lane));
	}
}

static void tell_baggage(struct explain *e)
{
	const struct lw_baggage *b = &e->head.bag;

	if (!e->head.caps.first[LW_HDR_BAGGAGE])
		return;
	if (e->head.eval.untrusted) {
		if (b->ours)
			line(e,
			     "lines of baggage that may name a lane are taken off: the client is not believed");
	} else if (b->malformed) {
		line(e, "the baggage is malformed: no evidence, and left as it is");
	} else if (b->ambiguous) {
		line(e, "members of the baggage name different lanes");
	} else if (b->named) {
		line(e, "a member of the baggage names lane %s", lane_name(b->lane));
	} else if (b->stale) {
		line(e, "a member of the baggage names no open lane: no evidence");
	}
}

/* The rule that holds if this step and those it leads to on a match do; NULL if there is none. */
static const struct lw_rule *rule_of(const struct lw_step *step)
{
	__u32 next = step->on_match;

	for (unsigned i = 0; i < LW_MAX_STEPS_RUN && next && !(next & LW_STEP_ENTER); i++) {
		step = get(LW_TABLE_STEPS, next);
		next = step ? step->on_match : LW_STEP_END;
	}
	return next ? lw_get_rule(0, next & ~LW_STEP_ENTER) : NULL;
}

static void tell_steps(struct explain *e)
{
	const struct run *run = &e->run;
	size_t left_out = 0;

	for (size_t i = 0; i < run->nvisits; i++) {
		const struct lw_step *step = run->visits[i].step;
		const struct lw_rule *rule = rule_of(step);
		const struct lw_eval *eval = &e->head.eval;
		__u32 next = i + 1 < run->nvisits ? run->visits[i + 1].id :
			     eval->rule		  ? eval->rule :
						    eval->step;
		bool held = next == step->on_match;
		char cond[160];

		/* the last one is what decided */
		if (e->ret->ntrace >= LW_EXPLAIN_LINES - LINES_AFTER && i + 1 < run->nvisits) {
			left_out++;
			continue;
		}
		if (left_out)
			line(e, "(%zu more conditions)", left_out);
		left_out = 0;
		if (step->subject != LW_SUBJECT_DICE)
			lw_explain_cond(&e->head, step, held, cond, sizeof(cond));
		else if (step->weight_pct == 0 || step->weight_pct >= 100)
			(void)snprintf(cond, sizeof(cond), "the weight is %u of 100",
				       step->weight_pct);
		else
			(void)snprintf(cond, sizeof(cond),
				       "a weight of %u of 100 decides by chance", step->weight_pct);
		line(e, "%.*s: %s%s", SOURCE_SHOWN, rule ? rule->source : "no rule", cond,
		     next & LW_STEP_ENTER ? ": holds" : "");
	}
}

/* As lw_learn() of the kernel programs, threads and processes left out. True: the trace says which lane, or that it is base. */
static bool learn(struct explain *e, unsigned own_lane, struct lw_learned *ret)
{
	const struct lw_explain_learned *known = e->request->learned;
	bool asked = known && known->inbound && !own_lane, found = false;

	for (__u32 i = 0; i < e->head.caps.n; i++) {
		struct lw_trace_key key = { .pod = e->request->from };
		const struct lw_capture *cap = &e->head.caps.at[i];
		struct lw_explain_trace t = { .header = cap->header };
		struct lw_learned one = {};
		struct lw_trace trace;
		int r = -ENOENT;

		if (cap->header < LW_HDR_TRACE_FIRST || cap->header > LW_HDR_TRACE_LAST)
			continue;
		if (lw_trace_id(&e->head, i, &key) && !lw_trace_is_zeros(&key)) {
			lw_str_printable((const char *)e->head.buf + cap->value +
						 lw_trace_skip(cap->header),
					 key.len, t.id);
			if (asked)
				r = known->trace(known->arg, &key, &trace);
			t.state = !asked || (r && r != -ENOENT) ? LW_EXPLAIN_TRACE_NOT_ASKED :
				  r				? LW_EXPLAIN_TRACE_NOT_HELD :
								  LW_EXPLAIN_TRACE_LANE;
		}
		if (t.state == LW_EXPLAIN_TRACE_LANE) {
			(void)lw_learned_by_trace(&trace, 0, cap->header, &one);
			t.lane = one.lane;
			if (one.evidence == LW_EVIDENCE_AMBIGUOUS)
				t.state = LW_EXPLAIN_TRACE_SEVERAL;
			else if (!one.lane)
				t.state = trace.lane ? LW_EXPLAIN_TRACE_CLOSED :
						       LW_EXPLAIN_TRACE_BASE;
			lw_learned_add(ret, found, &one);
			found = true;
		}
		if (e->ret->ntraces < LW_EXPLAIN_TRACES)
			e->ret->traces[e->ret->ntraces++] = t;
	}
	return found;
}

static void tell_traces(struct explain *e, unsigned own_lane)
{
	for (size_t i = 0; i < e->ret->ntraces; i++)
		lw_explain_tell_trace(e->request->learned, &e->ret->traces[i],
				      lane_name(e->ret->traces[i].lane), own_lane != 0, e->ret);
}

static void tell_tasks(struct explain *e)
{
	const struct lw_explain_learned *known = e->request->learned;

	lw_explain_tell_tasks(known, e->ret);
	for (size_t i = 0; e->ret->tasks && i < known->nwork && i < LW_EXPLAIN_WORK_LINES; i++) {
		const struct lw_task *t = &known->work[i].task;
		char lanes[LW_EXPLAIN_LINE_LEN] = "";
		size_t at = 0;

		for (unsigned lane = 0; lane <= LW_IN_UNKNOWN && at < sizeof(lanes); lane++)
			if (t->n[lane])
				at += (size_t)snprintf(lanes + at, sizeof(lanes) - at, "%s%u %s",
						       at ? ", " : "", t->n[lane],
						       lane == LW_IN_UNKNOWN ? "not seen arriving" :
									       lane_name(lane));
		lw_explain_tell_work(&known->work[i], lanes, e->ret);
	}
	if (e->ret->tasks)
		lw_explain_tell_pod(known, e->ret);
}

static void name_header(struct explain *e, const struct lw_decision *d)
{
	const struct lw_lane *lane = lw_get_lane(0, d->lane);

	if (lane && d->evidence == LW_EVIDENCE_TAG)
		lw_names_tag(lane, e->ret->header);
	else
		(void)lw_str_copy(e->ret->header, sizeof(e->ret->header), lw_names_name(d->header));
}

static void tell_decision(struct explain *e, const struct lw_decision *d)
{
	switch (d->evidence) {
	case LW_EVIDENCE_TAG:
		line(e, "the tag (%s) decides: lane %s", e->ret->header, lane_name(d->lane));
		return;
	case LW_EVIDENCE_AMBIGUOUS:
		line(e, d->reason == LW_REASON_TRACE_REUSED ?
				"requests of several lanes have arrived with this trace: base" :
				"the tags contradict each other: base");
		return;
	case LW_EVIDENCE_TRACE:
		line(e, "the trace (%s) decides: lane %s", e->ret->header, lane_name(d->lane));
		return;
	case LW_EVIDENCE_BAGGAGE:
		line(e, "the baggage decides: lane %s", lane_name(d->lane));
		return;
	case LW_EVIDENCE_POD:
		line(e, "the client's own requests are in its lane: %s", lane_name(d->lane));
		return;
	default:
		break;
	}
	if (!e->run.nvisits) {
		line(e, "the destination has no entry rule: base");
		return;
	}
	tell_steps(e);
	if (d->evidence == LW_EVIDENCE_ENTRY)
		line(e, "the rule decides: lane %s", lane_name(d->lane));
	else if (d->reason == LW_REASON_STEPS)
		line(e, "over %d conditions were looked at: base", LW_MAX_STEPS_RUN);
	else
		line(e, "no %srule holds: base", e->run.throws ? "other " : "");
}

static void decide(struct explain *e, unsigned own_lane, const struct lw_learned *learned,
		   __u32 entry, unsigned hit, struct lw_decision *ret)
{
	e->run.nvisits = 0;
	e->run.throws = 0;
	e->run.hit = hit;
	lw_decide(&e->head, 0, own_lane, learned, entry, ret);
}

/* The outcome for each weight that may take the request; throws: how many there are. */
static void explain_chances(struct explain *e, unsigned own_lane, __u32 entry, unsigned throws)
{
	const struct lw_learned nothing = {}; /* that would decide: no weight was met then */

	for (unsigned hit = 1; hit <= throws && e->ret->nchances < LW_EXPLAIN_CHANCES; hit++) {
		struct lw_explain_chance *to = &e->ret->chances[e->ret->nchances];
		unsigned seen = 0;
		const struct lw_rule *rule;
		struct lw_decision d;
		bool own_peer;

		decide(e, own_lane, &nothing, entry, hit, &d);
		for (size_t i = 0; i < e->run.nvisits && seen < hit; i++) {
			const struct lw_step *step = e->run.visits[i].step;

			if (step->subject == LW_SUBJECT_DICE && step->weight_pct &&
			    step->weight_pct < 100) {
				seen++;
				to->weight_pct = step->weight_pct;
			}
		}
		rule = d.rule ? lw_get_rule(0, d.rule & ~LW_STEP_ENTER) : NULL;
		to->lane = d.lane;
		to->reason = d.reason;
		to->served_lane = route(e, d.lane, &to->reason, &own_peer);
		(void)lw_str_copy(to->lane_name, sizeof(to->lane_name), lane_name(d.lane));
		(void)lw_str_copy(to->rule_source, sizeof(to->rule_source),
				  rule ? rule->source : "");
		e->ret->nchances++;
		line(e, "the %u of 100 go to lane %s%s%s (%.*s)", to->weight_pct, to->lane_name,
		     to->served_lane == to->lane ? "" : ", served by ",
		     to->served_lane == to->lane ? "" : lane_name(to->served_lane), SOURCE_SHOWN,
		     to->rule_source);
	}
}

static void explain_dest(struct explain *e)
{
	const struct lw_explain_request *q = e->request;
	const struct lw_pod *pod = pod_of(&q->to);
	char addr[LW_ADDR_STRLEN], ports[64];

	lw_addr_format_port(&q->to, q->to_port, addr);
	e->dest = dest_of(&q->to, q->to_port);
	if (!e->dest) {
		ports_of(&q->to, ports, sizeof(ports));
		line(e, "%s belongs to no workload in release%s%s", addr,
		     *ports ? "; of that address these ports do: " : "", ports);
		return;
	}
	e->ret->known = true;
	if (e->dest->flags & LW_DEST_SERVICE) {
		bool left = (e->dest->flags & LW_DEST_UNPINNED) && !group_count(e, 0);

		/* as lw_connect() */
		lw_peer_is(&e->peer, NULL, left && lw_has_canaries(0, e->dest->group));
		line(e,
		     left ? "%s is a Service's that has canaries among its pods, and no base pod that is ready: which one the connection goes to is not known" :
			    "%s is a Service's: the connection itself goes to a base pod",
		     addr);
		return;
	}
	e->peer_lane = lw_pod_lane(pod);
	lw_peer_is(&e->peer, pod, 0);
	line(e, "%s is pod %s in lane %s%s", addr, pod ? pod->name : "", lane_name(e->peer_lane),
	     e->peer.lane == LW_LANE_ONCE ?
		     "; it takes no new request, as it is not ready or on its way out" :
		     "");
}

static unsigned explain_client(struct explain *e)
{
	const struct lw_pod *pod = pod_of(&e->request->from);
	struct lw_explain_client *client = &e->ret->client;
	unsigned lane = pod ? lw_pod_own_lane(pod) : 0;
	char addr[LW_ADDR_STRLEN];

	lw_addr_format(&e->request->from, addr);
	client->untrusted = pod && (pod->flags & LW_POD_UNTRUSTED);
	e->head.eval.untrusted = client->untrusted;
	(void)lw_str_copy(client->pod, sizeof(client->pod), pod ? pod->name : "");
	(void)lw_str_copy(client->lane_name, sizeof(client->lane_name), lane_name(lane));
	if (pod)
		line(e, "client %s is pod %s in lane %s", addr, pod->name, lane_name(lane));
	else if (e->request->host_network)
		line(e,
		     "client %s is this node: what follows is of its processes; pods of the host network are told by their cgroups",
		     addr);
	else
		line(e, "client %s is no pod of a workload in release: no lane of its own", addr);
	return lane;
}

/* The connection is left alone, and what is sent over it is looked at by nobody. */
static void leave_alone(struct explain *e, enum lw_reason reason)
{
	e->ret->reason = reason;
	e->ret->served_lane = e->peer_lane;
	(void)lw_str_copy(e->ret->lane_name, sizeof(e->ret->lane_name), "base");
	add_endpoints(e, e->peer_lane, true);
}

static void explain(struct explain *e, size_t head_len)
{
	struct lw_explain_result *ret = e->ret;
	struct lw_decision d = {};
	const struct lw_workload *w;
	const struct lw_rule *rule;
	struct lw_slot_key key = {};
	struct lw_learned learned = {};
	unsigned own_lane, throws;
	enum lw_reason reason;
	bool own_peer = true, traced;

	explain_dest(e);
	if (!e->dest)
		return;
	key.id = e->dest->workload;
	w = lw_image_get(the_run->image, LW_TABLE_WORKLOADS, &key);
	(void)lw_str_copy(ret->workload, sizeof(ret->workload), w ? w->name : "");
	own_lane = explain_client(e);
	/* as lw_refresh() */
	if (!(e->dest->flags & LW_DEST_SERVICE) &&
	    memcmp(&e->request->from, &e->request->to, sizeof(e->request->to)) == 0) {
		line(e, "it asks itself: what is in its own lane stays with it");
		e->peer_lane = own_lane;
		lw_peer_is_client(&e->peer, own_lane);
	}
	if (e->request->kept_out) {
		line(e,
		     "it is kept out, as its annotation laneway.io/keep-out says: the request follows its own connection");
		leave_alone(e, LW_REASON_KEPT_POD);
		return;
	}

	if (e->request->kept_process)
		line(e,
		     "%s is kept out: what it sends follows its own connection, untouched; what follows is of other processes there",
		     e->request->kept_process);

	reason = scan(e, head_len);
	if (reason != LW_REASON_OK) {
		line(e, "%s: the connection stays where it is, untouched, for good",
		     reason == LW_REASON_OPAQUE_HEAD_SIZE ? "the head is longer than the limit" :
							    "the request is not understood");
		leave_alone(e, reason);
		return;
	}

	traced = learn(e, own_lane, &learned);
	decide(e, own_lane, &learned, w ? w->entry : 0, 0, &d);
	ret->tasks = !traced && !own_lane && e->request->learned && e->request->learned->inbound &&
		     e->request->learned->reads &&
		     (d.evidence == LW_EVIDENCE_NONE || d.evidence == LW_EVIDENCE_ENTRY);
	tell_tags(e);
	tell_baggage(e);
	tell_traces(e, own_lane);
	if (!traced && (d.evidence == LW_EVIDENCE_NONE || d.evidence == LW_EVIDENCE_ENTRY))
		tell_tasks(e);
	name_header(e, &d);
	tell_decision(e, &d);
	rule = d.rule ? lw_get_rule(0, d.rule & ~LW_STEP_ENTER) : NULL;
	throws = e->run.throws;
	ret->lane = d.lane;
	ret->evidence = d.evidence;
	ret->reason = d.reason;
	ret->served_lane = route(e, d.lane, &ret->reason, &own_peer);
	(void)lw_str_copy(ret->lane_name, sizeof(ret->lane_name), lane_name(d.lane));
	(void)lw_str_copy(ret->rule_source, sizeof(ret->rule_source), rule ? rule->source : "");
	tell_route(e, ret->lane, ret->served_lane, ret->reason, own_peer);
	add_endpoints(e, ret->served_lane, own_peer);
	explain_chances(e, own_lane, w ? w->entry : 0, throws);
}

int lw_explain(const struct lw_image *image, const struct lw_explain_request *request,
	       struct lw_explain_result *ret)
{
	_cleanup_free_ struct explain *e = calloc(1, sizeof(*e));
	size_t head_len;
	int r;

	if (!e)
		return -ENOMEM;
	memset(ret, 0, sizeof(*ret));
	e->request = request;
	e->ret = ret;
	e->run.image = image;
	r = render(e, &head_len);
	if (r < 0)
		return r;
	the_run = &e->run;
	explain(e, head_len);
	the_run = NULL;
	return 0;
}
