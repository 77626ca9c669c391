/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * How many requests a thread, a process and a pod are at work on, of each lane.
 *
 * Counts are exact: each connection says in its storage what it has added, and that is taken off once, whoever comes
 * first. Where a process' count cannot be kept for want of room that is counted too (lw_uncounted).
 */
#include "leaves.h"
#include "state.h"
#include "tasks.h"

/* Not on the stack, which has no room for it. */
static const struct lw_task lw_at_nothing;

static __always_inline struct lw_task *lw_task_of(void *map, const void *key)
{
	struct lw_task *t = bpf_map_lookup_elem(map, key);

	if (t)
		return t;
	bpf_map_update_elem(map, key, &lw_at_nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/* A connection from the pod itself: over loopback, or to an address of its own. */
static __always_inline int lw_is_inside(const struct lw_tuple *t)
{
	const __u32 *w = (const __u32 *)t->local.ip;

	if (lw_addr_equal(&t->local, &t->peer))
		return 1;
	if (w[0] || w[1])
		return 0;
	return w[2] == bpf_htonl(0xffff) ? t->local.ip[12] == 127 : !w[2] && w[3] == bpf_htonl(1);
}

/* Without --pod-evidence what matters of a pod is whether it is at work for a lane (LW_REASON_ELSEWHERE): all else need not be counted. */
static __always_inline int lw_counts_for_pod(__u32 lane)
{
	const struct lw_config *conf = lw_conf();

	return (lane && lane < LW_IN_UNKNOWN) || (conf && (conf->flags & LW_CONF_POD_EVIDENCE));
}

/*
 * A pod's element is deleted where nothing is at work and a process has ended; if others live, they make another. Elements are
 * used again at once, so that the one at hand may be another pod's by now: it is this one's if it is still found by the
 * key once it cannot be deleted any more, for something is counted there, or by anybody else, for it says that it ends.
 */
static __noinline int lw_pod_may_end(struct lw_task *pod, __u64 netns)
{
	__u64 key = netns;

	if (!(pod->flags & LW_TASK_LEFT) ||
	    __sync_val_compare_and_swap(&pod->total, 0, LW_TASK_ENDS) != 0)
		return 0;
	if (bpf_map_lookup_elem(&lw_at_pods, &key) == pod)
		return bpf_map_delete_elem(&lw_at_pods, &key);
	__sync_fetch_and_add(&pod->total, LW_TASK_ENDS);
	return 0;
}

/* 1: counted with its pod. */
static __noinline int lw_pod_add(__u64 netns, __u32 lane)
{
	__u64 key = netns;
	struct lw_task *pod;
	__u32 i;

	for (i = 0; i < 3 && lane <= LW_IN_UNKNOWN; i++) {
		pod = lw_task_of(&lw_at_pods, &key);
		if (!pod)
			return 0;
		if (__sync_fetch_and_add(&pod->total, 1) & LW_TASK_ENDS)
			continue;
		if (bpf_map_lookup_elem(&lw_at_pods, &key) == pod) {
			__sync_fetch_and_add(&pod->n[lane], 1);
			return 1;
		}
		__sync_fetch_and_add(&pod->total, -1);
	}
	return 0;
}

static __noinline int lw_pod_sub(__u64 netns, __u32 lane)
{
	__u64 key = netns;
	struct lw_task *pod = bpf_map_lookup_elem(&lw_at_pods, &key);

	if (!pod || lane > LW_IN_UNKNOWN)
		return 0;
	__sync_fetch_and_add(&pod->n[lane], -1);
	if (__sync_fetch_and_add(&pod->total, -1) == 1)
		lw_pod_may_end(pod, key);
	return 0;
}

static __always_inline void lw_lanes_add(__u64 netns, __u32 lane, __s64 n)
{
	__u32 key = netns & (LW_AT_LANES - 1);
	__u64 *at;

	if (!lane || lane >= LW_IN_UNKNOWN)
		return;
	at = bpf_map_lookup_elem(&lw_at_lanes, &key);
	if (at)
		__sync_fetch_and_add(at, n);
}

/* When comes before how many: who sees that a request is no longer there sees until when it was. */
static __always_inline void lw_task_add(struct lw_task *t, __u32 lane, __s32 n, __u64 now)
{
	lane = LW_AT_MOST(lane, LW_IN_UNKNOWN); /* it is never more; so the verifier knows, too */
	if (!t->total)
		(void)__sync_lock_test_and_set(&t->since, now);
	(void)__sync_lock_test_and_set(&t->at[lane], now);
	__sync_fetch_and_add(&t->n[lane], n);
	__sync_fetch_and_add(&t->total, n);
}

/* What a connection has added to the counts. */
struct lw_held {
	struct lw_task_key thread;
	struct lw_task_key proc;
	__u32 lane;
	__u32 flags;
	__u32 turn;
	__u32 calls;
};

/* What no answer ends. */
#define LW_ACC_UNANSWERED (LW_ACC_STICKY | LW_ACC_FOR_GOOD | LW_ACC_LOOKED)

/*
 * Takes it: 1, or 0 if there is nothing, or of such flags, or another has. An answer comes without the socket's lock, and meanwhile
 * another thread may read the next request there; but what is said of one is written while nothing is held, and no number is held
 * twice. So if the number is still the same, what was read before belongs to it.
 */
static __always_inline int lw_take(struct lw_accepted *a, struct lw_held *h, __u32 but)
{
	__u32 held;

	if (!*(volatile __u32 *)&a->held) /* most often */
		return 0;
	held = __sync_fetch_and_add(&a->held, 0); /* what follows is read after it */
	if (!held)
		return 0;
	h->thread = a->thread;
	h->proc = a->proc;
	h->lane = a->lane;
	h->flags = a->flags;
	h->turn = a->turn;
	h->calls = a->calls;
	return !(h->flags & but) && __sync_val_compare_and_swap(&a->held, held, 0) == held;
}

/* Takes what was taken off the counts. p: its process' element, NULL: not looked up. */
static __always_inline void lw_take_off(struct lw_accepted *a, const struct lw_held *h,
					struct lw_task *p)
{
	struct lw_task *t;
	__u64 now;

	if (h->flags & LW_ACC_LEAF) {
		lw_leaf_add(a->netns, -1);
		return;
	}
	t = h->flags & LW_ACC_NO_THREAD ? NULL : bpf_map_lookup_elem(&lw_threads, &h->thread);
	now = bpf_ktime_get_ns();
	if (t)
		lw_task_add(t, h->lane, -1, now);
	if (h->flags & LW_ACC_NO_POD)
		lw_add_uncounted(LW_UNCOUNTED_PODS, -1);
	else if (!(h->flags & LW_ACC_NOT_POD))
		lw_pod_sub(a->netns, h->lane);
	if (h->flags & LW_ACC_UNCOUNTED) {
		lw_add_uncounted(0, -1);
	} else {
		t = p ? p : bpf_map_lookup_elem(&lw_procs, &h->proc);
		if (t)
			lw_task_add(t, h->lane, -1, now);
	}
	lw_lanes_add(a->netns, h->lane, -1); /* at last: who sees none there looks no further */
}

static __noinline int lw_let_go(struct lw_accepted *a)
{
	struct lw_held h = {};

	if (lw_take(a, &h, 0))
		lw_take_off(a, &h, NULL);
	return 0;
}

/* As lw_current_keys(), without a call for each field: programs on tracepoints may follow the kernel's own pointers. */
static __always_inline void lw_reader_keys(struct lw_task_key *thread, struct lw_task_key *proc)
{
	struct task_struct *task = bpf_get_current_task_btf(), *leader = task->group_leader;

	thread->tid = task->pid;
	thread->started = task->start_time;
	proc->tid = leader->pid;
	proc->started = leader->start_time;
}

static __always_inline void lw_hold_now(struct lw_accepted *a)
{
	a->serial = a->serial + 1 ?: 1;
	(void)__sync_lock_test_and_set(&a->held, a->serial);
}

/* Something was read while the pod was left alone. */
static __always_inline void lw_hold_leaf(struct lw_accepted *a, struct lw_leaf *leaf,
					 __u32 write_seq)
{
	__sync_fetch_and_add(&leaf->held, 1);
	a->lane = LW_IN_UNKNOWN;
	a->flags = LW_ACC_LEAF | LW_ACC_EXPECTS;
	a->write_seq = write_seq;
	a->sent = 0;
	lw_hold_now(a);
}

/* The calling thread has read a request. */
static __noinline int lw_hold(struct lw_accepted *a, __u32 lane, __u32 flags, __u32 write_seq)
{
	struct lw_task_key thread = {}, proc = {};
	struct lw_task *t, *p;
	__u64 now;

	lw_let_go(a);
	lw_lanes_add(a->netns, lane, 1);
	lw_reader_keys(&thread, &proc);
	now = bpf_ktime_get_ns();
	t = lw_task_of(&lw_threads, &thread);
	p = lw_task_of(&lw_procs, &proc);
	a->thread = thread;
	a->proc = proc;
	a->lane = lane;
	a->flags = flags;
	a->write_seq = write_seq;
	a->sent = 0;
	if (t) {
		a->calls = t->calls;
		if (p && !(flags & (LW_ACC_LOOKED | LW_ACC_BLIND)) &&
		    t->total != t->n[LW_IN_UNKNOWN] && !(p->flags & LW_TASK_INTERLEAVES))
			__sync_fetch_and_or(&p->flags, LW_TASK_INTERLEAVES);
		lw_task_add(t, lane, 1, now);
	} else {
		a->flags |= LW_ACC_NO_THREAD;
		if (p)
			p->proven = 0; /* whether this thread does so too is not seen */
	}
	if (!lw_counts_for_pod(lane) || lw_is_inside(&a->tuple)) {
		a->flags |= LW_ACC_NOT_POD;
	} else if (!lw_pod_add(a->netns, lane)) {
		a->flags |= LW_ACC_NO_POD;
		lw_add_uncounted(LW_UNCOUNTED_PODS, 1);
	}
	if (p) {
		p->netns = a->netns;
		lw_task_add(p, lane, 1, now);
		if (lane < LW_IN_UNKNOWN)
			a->turn = __sync_fetch_and_add(&p->turns, 1) + 1;
	} else {
		a->flags |= LW_ACC_UNCOUNTED;
		lw_add_uncounted(0, 1);
	}
	lw_hold_now(a);
	return 0;
}

/* Does what is held count with the calling process? The connection may have been handed to it by the one that read before. */
static __always_inline int lw_holds_here(const struct lw_accepted *a)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

	return a->held && a->proc.tid == (__u32)leader->pid &&
	       a->proc.started == leader->start_time;
}
