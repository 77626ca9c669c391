/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Of which lane the request is that another one is sent for, where the application has not said so by the tag. By its
 * trace id first: that works whoever sends it. Then by what the sending thread and its process are at work on
 * (hook_reads.h): sure where all of that is in one lane. Where it is mixed, a thread counts by itself only in a
 * process that has shown that its threads work on what they read; else it is ambiguous, which is base. A process that was
 * started for a request is asked about as the thread that has started it.
 */
#include "leaves.h"
#include "state.h"
#include "tasks.h"

/* By capture i of the head. 1: it is known; base is no evidence, but an answer. */
__noinline int lw_learn_trace(struct lw_head *h, const struct lw_addr *pod, __u32 slot, __u32 i,
			      struct lw_learned *l)
{
	struct lw_trace_key key = {};
	const struct lw_trace *t;

	if (!h || !pod || !l || !lw_trace_id(h, i, &key) || lw_trace_is_none(&key))
		return 0;
	key.pod = *pod;
	t = bpf_map_lookup_elem(&lw_traces, &key);
	/* elements are used again at once: what was read there is this id's if it is still found by it */
	return t && lw_learned_by_trace(t, slot, key.header, l) &&
	       bpf_map_lookup_elem(&lw_traces, &key) == t;
}

/* One of so many requests of a connection is noted as a call of its thread, where nothing else is asked about that. */
#define LW_CALLS_NOTED 8

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

/*
 * The one lane of all requests at work; 0: none is in a lane; LW_IN_UNKNOWN: mixed. Others are read and answered meanwhile: by each
 * lane's count alone, of which the one that the asker's own request is in stays above 0 all the while. Two of these numbers, or one
 * and the total, need not be of the same moment.
 */
static __always_inline __u32 lw_task_lane(const struct lw_task *t, __u32 slot)
{
	const volatile __u32 *n = t->n;
	__u32 lane, one = 0, others = n[0] | n[LW_IN_UNKNOWN];

	for (lane = 1; lane < LW_MAX_LANES; lane++) {
		if (!n[lane])
			continue;
		if (!lw_get_lane(slot, lane))
			others |= n[lane];
		else if (one)
			return LW_IN_UNKNOWN;
		else
			one = lane;
	}
	return one && others ? LW_IN_UNKNOWN : one;
}

/* Who is asked what it is at work on: the caller, or one that it was started by. */
struct lw_asked {
	struct lw_task_key thread; /* the caller, or the one that has started the child */
	struct lw_task_key proc;
	__u64 started; /* when the child was, below which the caller is; 0: it is the caller itself */
};

/*
 * The first process above the caller that has read requests. 0: there is none. The thread that has started a process is its
 * parent as long as that lives (real_parent).
 */
static __noinline int lw_started_by(struct lw_asked *a)
{
	__u64 task = bpf_get_current_task();
	struct lw_task_key proc = {};
	const struct lw_task *p;
	__u32 i;

	for (i = 0; i < LW_PARENT_LEVELS; i++) {
		task = LW_TASK_POINTER(task, group_leader);
		bpf_probe_read_kernel(
			&a->started, sizeof(a->started),
			(void *)task + bpf_core_field_offset(struct task_struct, start_time));
		task = LW_TASK_POINTER(task, real_parent);
		if (!task)
			return 0;
		lw_task_keys(task, &a->thread, &proc);
		p = bpf_map_lookup_elem(&lw_procs, &proc);
		if (p) {
			a->proc = proc;
			return 1;
		}
	}
	return 0;
}

/* Was nothing but requests of this lane at work, and at least one, ever since the child was started? */
static __always_inline int lw_only_since(const struct lw_task *t, __u32 lane, __u64 started)
{
	__u32 k;

	if (started < t->since)
		return 0;
	for (k = 0; k <= LW_IN_UNKNOWN; k++)
		if (k != lane && started < t->at[k])
			return 0;
	return 1;
}

/*
 * The one that was asked is not the caller, and may end meanwhile. Its elements are used again at once then: what was read
 * there is its own if they are still found by its keys.
 */
static __always_inline int lw_learn_parent(const struct lw_asked *a, const struct lw_task *p,
					   const struct lw_task *t, __u32 lane,
					   struct lw_learned *l)
{
	if (bpf_map_lookup_elem(&lw_procs, &a->proc) != p ||
	    bpf_map_lookup_elem(&lw_threads, &a->thread) != t)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED);
	return lw_learned_is(l, lane, LW_EVIDENCE_PARENT, LW_REASON_OK);
}

/* It sends a request: a thread that then answers the one it has read has waited in between, as a rule, and has not lost it. */
static __always_inline void lw_note_call(const struct lw_task *p, struct lw_task *t)
{
	if (t && p->proven < LW_TASK_PROVEN &&
	    !(p->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES)))
		__sync_fetch_and_add(&t->calls, 1);
}

/* Likewise where nobody asks which lane it is in. */
__noinline int lw_learn_call(void)
{
	struct lw_asked a = {};
	const struct lw_task *p;

	lw_current_keys(&a.thread, &a.proc);
	p = bpf_map_lookup_elem(&lw_procs, &a.proc);
	if (!p && lw_started_by(&a))
		p = bpf_map_lookup_elem(&lw_procs, &a.proc);
	if (p)
		lw_note_call(p, bpf_map_lookup_elem(&lw_threads, &a.thread));
	return 0;
}

/*
 * By what the calling thread and its process are at work on; where a process has read no request itself, by what the one
 * is at work on that has started it. Not by one that had nothing at work then: a worker that was forked beforehand, or a helper, is
 * there for any request. 0: nothing of that says anything.
 */
__noinline int lw_learn_tasks(__u32 slot, struct lw_learned *l)
{
	struct lw_asked a = {};
	const struct lw_task *p;
	struct lw_task *t;
	__u64 *uncounted;
	__u32 lane, zero = 0;

	if (!l)
		return 0;
	lw_current_keys(&a.thread, &a.proc);
	p = bpf_map_lookup_elem(&lw_procs, &a.proc);
	t = bpf_map_lookup_elem(&lw_threads, &a.thread);
	if (!p && t &&
	    t->total) /* there was no room to count with the process what the thread has read */
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (!p && lw_started_by(&a)) {
		p = bpf_map_lookup_elem(&lw_procs, &a.proc);
		t = bpf_map_lookup_elem(&lw_threads, &a.thread);
	}
	if (!p)
		return 0;
	lw_note_call(p, t);
	lane = p->total ? lw_task_lane(p, slot) : 0;
	if (!lane) /* who reads requests answers for itself, and for its children */
		return p->turns != 0;
	if (a.started && (a.started < p->since || a.started < p->adopted))
		return 0;
	uncounted = bpf_map_lookup_elem(&lw_uncounted, &zero);
	if (!uncounted || *uncounted)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (lane != LW_IN_UNKNOWN && !a.started)
		return lw_learned_is(l, lane,
				     t && t->n[lane & (LW_MAX_LANES - 1)] ? LW_EVIDENCE_THREAD :
									    LW_EVIDENCE_PROCESS,
				     LW_REASON_OK);
	if (lane != LW_IN_UNKNOWN && lw_only_since(p, lane, a.started))
		return lw_learn_parent(&a, p, t, lane, l);
	if (p->n[LW_IN_UNKNOWN])
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (!(p->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES)) && p->proven < LW_TASK_PROVEN)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNPROVEN);
	if ((p->flags & (LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES)) || !t || t->total != 1)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED);
	lane = lw_task_lane(t, slot);
	if (!lane || lane == LW_IN_UNKNOWN)
		return 1;
	if (!a.started)
		return lw_learned_is(l, lane, LW_EVIDENCE_THREAD, LW_REASON_OK);
	if (a.started < p->moved || !lw_only_since(t, lane, a.started))
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED);
	return lw_learn_parent(&a, p, t, lane, l);
}

/*
 * A request on a connection of this network namespace: it calls. 1: it is known to. With the next request it is to be asked again: -1: something that it was
 * at work on when it first did is not answered yet, which nobody has seen arriving; 0: there was no room to note it.
 */
static __noinline int lw_calls_from(__u64 netns)
{
	__u64 key = netns;
	const struct lw_leaf *leaf = lw_leaf_calls(&key);

	if (!leaf)
		return 0;
	return lw_leaf_is_unread(leaf) ? -1 : 1;
}

static __always_inline __u64 lw_netns_at(__u64 task)
{
	__u64 net = LW_TASK_POINTER(task, nsproxy);

	net = net ? lw_pointer_at(net + bpf_core_field_offset(struct nsproxy, net_ns)) : 0;
	return net ? lw_pointer_at(net + bpf_core_field_offset(struct net, net_cookie)) : 0;
}

/* Of the caller, too, and its process, which may have connections in several (lw_reads_at_home()). */
__noinline int lw_learn_calls(__u64 netns)
{
	__u64 task = bpf_get_current_task(), own = lw_netns_at(task), leaders;
	int calls = lw_calls_from(netns), also;

	leaders = lw_netns_at(LW_TASK_POINTER(task, group_leader));
	if (own && own != netns) {
		also = lw_calls_from(own);
		calls = also < calls ? also : calls;
	}
	if (leaders && leaders != netns && leaders != own) {
		also = lw_calls_from(leaders);
		calls = also < calls ? also : calls;
	}
	return calls;
}

/*
 * While something is at work that nobody has seen arriving: it may be for that. Nor do trace ids say more: it may have come with one that another
 * request had before.
 */
static __always_inline void lw_learned_unread(struct lw_learned *l)
{
	if (l->evidence != LW_EVIDENCE_NONE)
		lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	else if (l->reason == LW_REASON_OK)
		l->reason = LW_REASON_FIRST_CALL;
}

/* Not by work, where a pod may be at work on something that nobody has seen coming. */
__noinline int lw_learn_older(__u64 netns, struct lw_learned *l)
{
	struct lw_config *conf = lw_conf();
	const struct lw_older_count *count;
	__u32 none = 0, *pod, at = netns & (LW_AT_LANES - 1);
	__u64 key = netns, age, *unseen;

	if (!l || !conf || l->evidence == LW_EVIDENCE_NONE || l->evidence == LW_EVIDENCE_TRACE)
		return 0;
	unseen = bpf_map_lookup_elem(&lw_at_unseen, &at);
	if (unseen && *unseen)
		return lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED_UNREAD);
	if (!conf->older_ns)
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

/*
 * By what all of the pod is at work on: for those of its processes that read no requests, but get them from one that does. A
 * guess (a process may send things of its own), so only where the agent was told to; else what may have been missed is counted.
 */
__noinline int lw_learn_pod(__u64 netns, __u32 slot, __u32 flags, struct lw_learned *l)
{
	__u32 lane, procs = 0, pods = LW_UNCOUNTED_PODS;
	const struct lw_task *all;
	__u64 key = netns, *none, *no_pod;

	if (!l)
		return 0;
	all = bpf_map_lookup_elem(&lw_at_pods, &key);
	lane = all ? lw_task_lane(all, slot) : 0;
	/* the element may have been deleted meanwhile, and be another pod's */
	if (!lane || bpf_map_lookup_elem(&lw_at_pods, &key) != all)
		return 0;
	none = bpf_map_lookup_elem(&lw_uncounted, &procs);
	no_pod = bpf_map_lookup_elem(&lw_uncounted, &pods);
	if ((flags & LW_CONF_POD_EVIDENCE) && lane != LW_IN_UNKNOWN && none && !*none && no_pod &&
	    !*no_pod)
		return lw_learned_is(l, lane, LW_EVIDENCE_POD_WORK, LW_REASON_OK);
	return lw_learned_is(l, 0, LW_EVIDENCE_NONE, LW_REASON_ELSEWHERE);
}

/*
 * May the caller, which is at work on requests of this lane that it has read itself, be at work on another, that a process above it had read when it
 * started the caller?
 */
static __noinline int lw_may_be_parents(__u32 slot, __u32 lane)
{
	struct lw_asked a = {};
	const struct lw_task *p;

	if (!lw_started_by(&a))
		return 0;
	p = bpf_map_lookup_elem(&lw_procs, &a.proc);
	return p && p->total && a.started >= p->since && lw_task_lane(p, slot) != lane;
}

/* May any process of this network namespace be at work for a lane? Most often none is, and then nothing is to be looked for. */
static __always_inline int lw_lanes_at_work(__u64 netns)
{
	__u32 key = netns & (LW_AT_LANES - 1);
	const __u64 *at = bpf_map_lookup_elem(&lw_at_lanes, &key);

	return !at || *(const volatile __u64 *)at;
}

__noinline int lw_learn(struct lw_head *h, const struct lw_flow *f, __u32 slot, __u32 flags,
			struct lw_learned *l)
{
	struct lw_learn_ctx c = { .h = h, .slot = slot, .l = l };

	if (!h || !f || !l)
		return 0;
	c.pod = &f->client;
	if (h->scan.options & LW_SCAN_TRACES)
		bpf_loop(LW_CAPTURES, lw_learn_trace_cb, &c, 0);
	if (!(flags & LW_CONF_READS))
		return 0;
	if (!c.known && lw_lanes_at_work(f->netns)) {
		if (!lw_learn_tasks(slot, l))
			lw_learn_pod(f->netns, slot, flags, l);
		else if ((l->evidence == LW_EVIDENCE_THREAD ||
			  l->evidence == LW_EVIDENCE_PROCESS) &&
			 lw_may_be_parents(slot, l->lane))
			lw_learned_is(l, 0, LW_EVIDENCE_AMBIGUOUS, LW_REASON_MIXED);
	} else if (!(f->requests & (LW_CALLS_NOTED - 1))) {
		lw_learn_call();
	}
	return 0;
}
