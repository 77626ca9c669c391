/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Which lane a request is in: evidence, strongest first, and the entry rules as a decision list. Compiled
 * for the kernel programs and for user space (explain, tests). Before including it, define
 *
 *   lw_get_step/rule/dfa/tag/lane/names(...)   state of one generation: a map, or an image
 *   LW_DICE()                            a random __u32
 */
#include "laneway/dfa.h"
#include "laneway/lane_types.h"
#include "laneway/reasons.h"

struct lw_eval_ctx {
	struct lw_head *head;
	const struct lw_step *step;
	const struct lw_dfa *dfa;
};

#define LW_AT(head, i) ((head)->buf[(i) & (LW_HEAD_MAX - 1)])

#include "laneway/trace.h"

/* RFC 9112 3.2: origin-form, or absolute-form whose path starts at the third slash. */
static long lw_eval_target_cb(__u32 i, void *arg)
{
	struct lw_eval_ctx *c = arg;
	struct lw_eval *e = &c->head->eval;
	__u32 at = c->head->scan.target + i;
	__u8 b = LW_AT(c->head, at);

	if (e->mode == 0) { /* scheme and authority */
		if (b == '/' && ++e->slashes == 3) {
			e->mode = 1;
			e->path = at;
		} else {
			return 0;
		}
	}
	if (e->mode == 1) {
		if (b != '?' && b != '#') {
			e->path_len++;
			return 0;
		}
		if (b == '#')
			return 1;
		e->mode = 2;
		e->query = at + 1;
		return 0;
	}
	if (b == '#')
		return 1;
	e->query_len++;
	return 0;
}

static __always_inline void lw_eval_target(struct lw_eval_ctx *c)
{
	struct lw_eval *e = &c->head->eval;

	if (e->have_path)
		return;
	e->have_path = 1;
	e->path = c->head->scan.target;
	e->path_len = 0;
	e->query = 0;
	e->query_len = 0;
	e->slashes = 0;
	e->mode = LW_AT(c->head, e->path) == '/' || LW_AT(c->head, e->path) == '*';
	LW_LOOP(c->head->scan.target_len, lw_eval_target_cb, c);
}

enum lw_param_mode {
	LW_PARAM_START = 0,
	LW_PARAM_NAME,
	LW_PARAM_SKIP,
	LW_PARAM_FOUND,
};

/* Finds name=value among pairs split by ';' (cookies, RFC 6265 4.2.1) or '&' (query parameters). */
static long lw_eval_param_cb(__u32 i, void *arg)
{
	struct lw_eval_ctx *c = arg;
	struct lw_eval *e = &c->head->eval;
	__u8 b = LW_AT(c->head, e->off + i);
	__u8 sep = c->step->subject == LW_SUBJECT_COOKIE ? ';' : '&';

	if (e->mode == LW_PARAM_FOUND) {
		if (b == sep)
			return 1;
		e->len++;
		return 0;
	}
	if (b == sep) {
		/* "a&b": a parameter without a value */
		if (e->mode == LW_PARAM_NAME && sep == '&' && e->matched == c->step->name_len) {
			e->mode = LW_PARAM_FOUND;
			return 1;
		}
		e->mode = LW_PARAM_START;
		return 0;
	}
	if (e->mode == LW_PARAM_SKIP)
		return 0;
	if (e->mode == LW_PARAM_START) {
		if (b == ' ' || b == '\t')
			return 0;
		e->mode = LW_PARAM_NAME;
		e->matched = 0;
	}
	if (b == '=') {
		if (e->matched == c->step->name_len) {
			e->mode = LW_PARAM_FOUND;
			e->path = e->off + i + 1; /* borrowed: where the value starts */
			e->len = 0;
		} else {
			e->mode = LW_PARAM_SKIP;
		}
		return 0;
	}
	if (e->matched < c->step->name_len &&
	    b == (__u8)c->step->name[e->matched & (LW_STEP_NAME_LEN - 1)])
		e->matched++;
	else
		e->mode = LW_PARAM_SKIP;
	return 0;
}

/* Sets off, len to the value of a cookie or parameter within [off, off + len). Returns 0 if there is none. */
static __always_inline int lw_eval_param(struct lw_eval_ctx *c)
{
	struct lw_eval *e = &c->head->eval;
	__u32 n = e->len, path = e->path;

	e->mode = LW_PARAM_START;
	e->matched = 0;
	e->len = 0;
	e->path = e->off;
	LW_LOOP(n, lw_eval_param_cb, c);
	e->off = e->path;
	e->path = path;
	if (e->mode == LW_PARAM_NAME && c->step->subject == LW_SUBJECT_QUERY &&
	    e->matched == c->step->name_len)
		return 1; /* the last one, without a value */
	return e->mode == LW_PARAM_FOUND;
}

static long lw_eval_equal_cb(__u32 i, void *arg)
{
	struct lw_eval_ctx *c = arg;
	struct lw_eval *e = &c->head->eval;
	__u32 at = i * 8, left;
	__u64 a, b;

	if (at >= c->step->value_len)
		return 1;
	left = c->step->value_len - at;
	a = lw_load8(c->head->buf + ((e->off + at) & (LW_HEAD_MAX - 1)));
	b = lw_load8(c->step->value + (at & (LW_STEP_VALUE_LEN - 8)));
	a ^= b;
	if (left < 8)
		a <<= 8 * (8 - left); /* little endian: the first bytes are the low ones */
	if (!a)
		return 0;
	e->ok = 0;
	return 1;
}

static long lw_eval_regex_cb(__u32 i, void *arg)
{
	struct lw_eval_ctx *c = arg;
	struct lw_eval *e = &c->head->eval;

	e->state = lw_dfa_next(c->dfa, e->state, LW_AT(c->head, e->off + i));
	return e->state == 0;
}

/* Does the condition at hand hold? */
static __always_inline int lw_eval_cond(struct lw_eval_ctx *c)
{
	struct lw_eval *e = &c->head->eval;
	const struct lw_step *step = c->step;
	struct lw_captures *caps = &c->head->caps;
	__u32 n;

	switch (step->subject) {
	case LW_SUBJECT_DICE:
		return LW_DICE() % 100 < step->weight_pct;
	case LW_SUBJECT_HEADER:
	case LW_SUBJECT_COOKIE: {
		__u32 id = step->subject == LW_SUBJECT_COOKIE ? LW_HDR_COOKIE : step->header_id;
		__u32 first = caps->first[id & (LW_HDR__MAX - 1)];
		const struct lw_capture *cap;

		if (!first)
			return 0;
		cap = &caps->at[(first - 1) & (LW_CAPTURES - 1)];
		e->off = cap->value;
		e->len = cap->value_len;
		if (step->subject == LW_SUBJECT_COOKIE && !lw_eval_param(c))
			return 0;
		break;
	}
	case LW_SUBJECT_QUERY:
		lw_eval_target(c);
		e->off = e->query;
		e->len = e->query_len;
		if (!e->len || !lw_eval_param(c))
			return 0;
		break;
	case LW_SUBJECT_PATH:
		lw_eval_target(c);
		e->off = e->path;
		e->len = e->path_len;
		break;
	default:
		return 0;
	}

	n = step->value_len;
	switch (step->op) {
	case LW_OP_PREFIX:
		/* whole elements: "/a" holds for "/a" and "/a/b", not for "/ab"; the last '/' was cut off */
		if (e->len < n || (e->len > n && LW_AT(c->head, e->off + n) != '/'))
			return 0;
		break;
	case LW_OP_EXACT:
		if (e->len != n)
			return 0;
		break;
	case LW_OP_REGEX:
		c->dfa = lw_get_dfa(e->slot, step->dfa);
		if (!c->dfa)
			return 0;
		e->state = c->dfa->start;
		LW_LOOP(e->len, lw_eval_regex_cb, c);
		return lw_dfa_accepts(c->dfa, e->state);
	default:
		return 0;
	}
	e->ok = 1;
	if (n)
		LW_LOOP((n + 7) / 8, lw_eval_equal_cb, c);
	return e->ok;
}

static long lw_eval_step_cb(__u32 i, void *arg)
{
	struct lw_eval_ctx *c = arg;
	struct lw_eval *e = &c->head->eval;
	const struct lw_step *step = lw_get_step(e->slot, e->step);

	(void)i;
	if (!step) {
		e->step = LW_STEP_END;
		return 1;
	}
	c->step = step;
	e->steps++;
	e->step = lw_eval_cond(c) ? step->on_match : step->on_miss;
	if (e->step & LW_STEP_ENTER) {
		e->rule = e->step;
		e->step = LW_STEP_END;
	}
	return e->step == LW_STEP_END;
}

/* Runs the decision list from `entry`; the rule that holds is in head->eval.rule. */
static __always_inline enum lw_reason lw_eval_entry(struct lw_head *head, __u32 slot, __u32 entry)
{
	struct lw_eval_ctx c = { .head = head };

	head->eval.slot = slot;
	head->eval.step = entry;
	head->eval.rule = 0;
	head->eval.steps = 0;
	head->eval.have_path = 0;
	LW_LOOP(LW_MAX_STEPS_RUN, lw_eval_step_cb, &c);
	return head->eval.step == LW_STEP_END ? LW_REASON_OK : LW_REASON_STEPS;
}

#include "laneway/baggage.h"

/* What is known of the request that another one is sent for (bpf/lib/evidence.h). */
struct lw_learned {
	__u32 lane; /* 0 where it is ambiguous */
	__u8 evidence; /* NONE, TRACE, THREAD, PROCESS, PARENT, POD_WORK, AMBIGUOUS */
	__u8 reason; /* OK, or why it is ambiguous; of NONE: so only if no rule holds */
	__u8 header; /* enum lw_header_id of what carries the trace id, of TRACE; else 0 */
	__u8 pad;
};

static __always_inline int lw_learned_is(struct lw_learned *l, __u32 lane, __u32 evidence,
					 __u32 reason)
{
	l->lane = lane;
	l->evidence = evidence;
	l->reason = reason;
	l->header = 0;
	return 1;
}

/* What it says of a request that the trace id in this header has arrived with requests of this lane. Base is no evidence, but an answer: 1. */
static __always_inline int lw_learned_by_trace(const struct lw_trace *t, __u32 slot, __u32 header,
					       struct lw_learned *l)
{
	__u32 lane = t->lane;

	(void)slot; /* user space has but one */
	if (lane == LW_IN_UNKNOWN)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_TRACE_REUSED);
	if (!lane || !lw_get_lane(slot, lane)) /* base, or a lane that is no longer open */
		return lw_learned_is(l, 0, LW_EVIDENCE_NONE, LW_REASON_OK);
	lw_learned_is(l, lane, LW_EVIDENCE_TRACE, LW_REASON_OK);
	l->header = header;
	return 1;
}

/* known: there is something in `all` already, which one more trace id may contradict; where it agrees the first header stays. */
static __always_inline void lw_learned_add(struct lw_learned *all, __u32 known,
					   const struct lw_learned *one)
{
	if (!known)
		*all = *one;
	else if (one->lane != all->lane || one->evidence != all->evidence)
		lw_learned_is(all, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_TRACE_REUSED);
}

struct lw_decision {
	__u32 lane;
	__u32 rule; /* LW_STEP_ENTER | lw_rules id if an entry rule decided */
	__u8 evidence; /* enum lw_evidence */
	__u8 reason; /* OK, STEPS, or why it is ambiguous */
	__u8 tagged; /* the lane's tag is on the request already */
	__u8 strip; /* it brings tags that are not believed: they are to be taken off */
	__u8 header; /* enum lw_header_id of what a tag, baggage or trace was read in; else 0 */
	__u8 pad[3];
};

#define LW_LANE_UNKNOWN 0xffffffffu

/*
 * The lane that the tag in capture i names; LW_LANE_UNKNOWN if it names none that is open. Not inlined: the way on to the
 * baggage has no stack to spare for this key.
 */
static __noinline __u32 lw_tag_lane(struct lw_head *head, __u32 slot, __u32 i)
{
	const struct lw_capture *cap = &head->caps.at[i & (LW_CAPTURES - 1)];
	struct lw_tag_key key = {};
	const struct lw_tag *tag;
	__u32 k, n = cap->value_len, off = cap->value;

	if (n >= LW_TAG_VALUE_LEN)
		return LW_LANE_UNKNOWN;
	key.slot = slot;
	key.header = cap->header;
	key.len = n;
	for (k = 0; k < LW_TAG_VALUE_LEN; k++) {
		if (k >= n)
			break;
		key.value[k] = LW_AT(head, off + k);
	}
	tag = lw_get_tag(&key);
	return tag ? tag->lane : LW_LANE_UNKNOWN;
}

/*
 * The lane that a request's tags name, and where there is none, that of its baggage: into *d, evidence NONE if none is
 * named. A tag that names no open lane is no evidence. eval.untrusted must be set: then they count for nothing.
 */
static __always_inline void lw_read_tags(struct lw_head *head, __u32 slot, struct lw_decision *d)
{
	__u32 tag = LW_LANE_UNKNOWN, i;

	d->lane = 0;
	d->rule = 0;
	d->evidence = LW_EVIDENCE_NONE;
	d->reason = LW_REASON_OK;
	d->tagged = 0;
	d->strip = 0;
	d->header = 0;
	for (i = 0; i < LW_CAPTURES; i++) {
		__u32 lane;

		if (i >= head->caps.n)
			break;
		if (head->caps.at[i].header < LW_HDR_TAG_FIRST ||
		    head->caps.at[i].header > LW_HDR_TAG_LAST)
			continue;
		if (head->eval.untrusted) {
			d->strip = 1;
			continue;
		}
		lane = lw_tag_lane(head, slot, i);
		if (lane == LW_LANE_UNKNOWN)
			continue;
		if (tag != LW_LANE_UNKNOWN && tag != lane) {
			d->evidence = LW_EVIDENCE_AMBIGUOUS;
			d->header = 0;
			return;
		}
		tag = lane;
		/* here and not behind the loop: in memory Linux 6.1's verifier does not follow it. A lane has one such header */
		d->header = head->caps.at[i].header;
	}
	lw_baggage_read(head, slot);
	if (head->eval.untrusted) {
		/* lines of baggage that name a lane, or may be read so, go as well */
		d->strip |= !!head->bag.ours;
		head->bag.named = head->bag.malformed = head->bag.stale = 0;
	} else if (head->bag.ambiguous ||
		   (head->bag.named && tag != LW_LANE_UNKNOWN && tag != head->bag.lane)) {
		d->evidence = LW_EVIDENCE_AMBIGUOUS;
		d->header = 0;
		return;
	}
	if (tag != LW_LANE_UNKNOWN) {
		d->lane = tag;
		d->evidence = LW_EVIDENCE_TAG;
		d->tagged = 1;
	} else if (head->bag.named) {
		d->lane = head->bag.lane;
		d->evidence = LW_EVIDENCE_BAGGAGE;
		d->header = LW_HDR_BAGGAGE;
	}
}

/*
 * The lane of a scanned request head. own_lane: of the client's pod. learned: what is known of the request that it is sent
 * for. entry: of the destination's workload. eval.untrusted must be set. Contradicting evidence is ambiguous: base.
 */
static __always_inline void lw_decide(struct lw_head *head, __u32 slot, __u32 own_lane,
				      const struct lw_learned *learned, __u32 entry,
				      struct lw_decision *d)
{
	lw_read_tags(head, slot, d);
	if (d->evidence != LW_EVIDENCE_NONE)
		return;
	if (learned->evidence != LW_EVIDENCE_NONE) {
		d->lane = learned->lane;
		d->evidence = learned->evidence;
		d->reason = learned->reason;
		d->header = learned->header;
		return;
	}
	if (own_lane) {
		d->lane = own_lane;
		d->evidence = LW_EVIDENCE_POD;
		return;
	}
	if (entry)
		d->reason = lw_eval_entry(head, slot, entry);
	if (entry && d->reason == LW_REASON_OK && head->eval.rule) {
		const struct lw_rule *rule = lw_get_rule(slot, head->eval.rule & ~LW_STEP_ENTER);

		if (rule) {
			d->lane = rule->lane;
			d->rule = head->eval.rule;
			d->evidence = LW_EVIDENCE_ENTRY;
			return;
		}
	}
	if (learned->reason != LW_REASON_OK && d->reason == LW_REASON_OK) {
		d->evidence = LW_EVIDENCE_AMBIGUOUS;
		d->reason = learned->reason;
	}
}
