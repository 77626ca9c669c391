/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Of which lane the request is that another one is sent for, where the application has not said so by the tag. By its
 * trace id first: that works whoever sends it. Then by what the sending thread and its process are at work on
 * (hook_reads.h): sure where all of that is in one lane. Where it is mixed, a thread counts by itself only in a
 * process that has shown that its threads work on what they read; else it is ambiguous, which is base.
 */
#include "state.h"
#include "tasks.h"

/* By capture i of the head. 1: it is known; base is no evidence, but an answer. */
__noinline int lw_learn_trace(struct lw_head *h, const struct lw_addr *pod, __u32 slot, __u32 i, struct lw_learned *l)
{
	struct lw_trace_key key = {};
	const struct lw_trace *t;

	if (!h || !pod || !l || !lw_trace_id(h, i, &key))
		return 0;
	key.pod = *pod;
	t = bpf_map_lookup_elem(&lw_traces, &key);
	return t ? lw_learned_by_trace(t, slot, l) : 0;
}

struct lw_learn_ctx {
	struct lw_head *h;
	const struct lw_addr *pod;
	__u32 slot;
	__u32 known;
	struct lw_learned *l;
};

static long lw_learn_trace_cb(__u32 i, void *arg)
{
	struct lw_learn_ctx *c = arg;
	struct lw_learned l = {};

	if (i >= c->h->caps.n)
		return 1;
	if (!lw_learn_trace(c->h, c->pod, c->slot, i, &l))
		return 0;
	lw_learned_add(c->l, c->known, &l);
	c->known = 1;
	return 0;
}

/* The one lane of all requests at work; 0: none is in a lane; LW_IN_UNKNOWN: mixed. */
static __always_inline __u32 lw_task_lane(const struct lw_task *t, __u32 slot)
{
	__u32 lane, one = 0;

	for (lane = 1; lane < LW_MAX_LANES; lane++) {
		if (!t->n[lane] || !lw_get_lane(slot, lane))
			continue;
		if (one)
			return LW_IN_UNKNOWN;
		one = lane;
	}
	return one && t->total != t->n[one & (LW_MAX_LANES - 1)] ? LW_IN_UNKNOWN : one;
}

/* By what the calling thread and its process are at work on. */
__noinline int lw_learn_tasks(__u32 slot, struct lw_learned *l)
{
	struct lw_task_key thread = {}, proc = {};
	const struct lw_task *p, *t;
	__u64 *uncounted;
	__u32 lane, zero = 0;

	if (!l)
		return 0;
	lw_current_keys(&thread, &proc);
	p = bpf_map_lookup_elem(&lw_procs, &proc);
	t = bpf_map_lookup_elem(&lw_threads, &thread);
	if (!p && t && t->total) /* there was no room to count with the process what the thread has read */
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (!p || !p->total)
		return 0;
	lane = lw_task_lane(p, slot);
	if (!lane)
		return 0;
	uncounted = bpf_map_lookup_elem(&lw_uncounted, &zero);
	if (!uncounted || *uncounted)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (lane != LW_IN_UNKNOWN)
		return lw_learned_is(l, lane, t && t->n[lane & (LW_MAX_LANES - 1)] ? LW_EVIDENCE_THREAD : LW_EVIDENCE_PROCESS,
				     LW_REASON_OK);
	if (p->n[LW_IN_UNKNOWN])
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (!(p->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES)) && p->proven < LW_TASK_PROVEN)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNPROVEN);
	if ((p->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES)) || !t || t->total != 1)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED);
	lane = lw_task_lane(t, slot);
	if (lane && lane != LW_IN_UNKNOWN)
		lw_learned_is(l, lane, LW_EVIDENCE_THREAD, LW_REASON_OK);
	return 0;
}

/* Not by work, where a pod may be at work on something that nobody has seen coming. */
__noinline int lw_learn_older(__u64 netns, struct lw_learned *l)
{
	struct lw_config *conf = lw_conf();
	const struct lw_older_count *count;
	__u32 none = 0, *pod;
	__u64 key = netns, age;

	if (!l || !conf || l->evidence == LW_EVIDENCE_NONE || l->evidence == LW_EVIDENCE_TRACE)
		return 0;
	age = bpf_ktime_get_ns() - conf->older_ns;
	if (age >= LW_OLDER_SURE_NS)
		return 0;
	pod = bpf_map_lookup_elem(&lw_older_pods, &key);
	count = bpf_map_lookup_elem(&lw_older_counts, pod ?: &none);
	if (count && (count->sure || (age < LW_OLDER_DOUBT_NS && count->doubt)))
		lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	return 0;
}

__noinline int lw_learn(struct lw_head *h, const struct lw_addr *pod, __u32 slot, __u32 reads, struct lw_learned *l)
{
	struct lw_learn_ctx c = { .h = h, .pod = pod, .slot = slot, .l = l };

	if (!h || !pod || !l)
		return 0;
	bpf_loop(LW_CAPTURES, lw_learn_trace_cb, &c, 0);
	if (!c.known && reads)
		lw_learn_tasks(slot, l);
	return 0;
}
