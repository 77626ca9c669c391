/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The state in force as lane.h and route.h read it, and what every program does with configuration and counters. */
#include "lib/maps.h"

static __always_inline void *lw_get_id(void *map, __u32 slot, __u32 id)
{
	struct lw_slot_key key = { .slot = slot, .id = id };

	return bpf_map_lookup_elem(map, &key);
}
#define lw_get_step(slot, id) ((const struct lw_step *)lw_get_id(&lw_steps, slot, id))
#define lw_get_rule(slot, id) ((const struct lw_rule *)lw_get_id(&lw_rules, slot, id))
#define lw_get_dfa(slot, id) ((const struct lw_dfa *)lw_get_id(&lw_dfas, slot, id))
#define lw_get_lane(slot, id) ((const struct lw_lane *)lw_get_id(&lw_lanes, slot, id))
#define lw_get_names(slot) ((const struct lw_names *)lw_get_id(&lw_names, slot, 0))
#define lw_get_tag(key) ((const struct lw_tag *)bpf_map_lookup_elem(&lw_tags, key))
static __always_inline const struct lw_group *lw_get_group(__u32 slot, __u32 group, __u32 lane)
{
	struct lw_group_key key = { .slot = slot, .group = group, .lane = lane };

	return bpf_map_lookup_elem(&lw_groups, &key);
}
#define LW_DICE() bpf_get_prandom_u32()

#include "laneway/follow.h"
#include "laneway/lane.h"

/*
 * n, which is 1 to max, a power of two: for sizes that must not be 0. Linux 6.1's verifier learns nothing from a comparison
 * of n with 0.
 */
#define LW_SIZE(n, max)                                                                    \
	({                                                                                 \
		__u64 sized_ = (n);                                                        \
		asm volatile("%0 += -1\n%0 &= %1\n%0 += 1" : "+r"(sized_) : "i"((max)-1)); \
		(__u32) sized_;                                                            \
	})

static __always_inline struct lw_config *lw_conf(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&lw_config, &zero);
}

static __always_inline void lw_unseen_add(__u64 netns, __s64 n)
{
	__u32 key = netns & (LW_AT_LANES - 1);
	__u64 *at = bpf_map_lookup_elem(&lw_at_unseen, &key);

	if (at)
		__sync_fetch_and_add(at, n);
}

static __always_inline int lw_agent_alive(const struct lw_config *conf)
{
	/* the heartbeat may be a little younger than our clock reading */
	return (__s64)(bpf_ktime_get_ns() - conf->heartbeat_ns) < (__s64)conf->heartbeat_max_ns;
}

/* What has no room is counted by its reason alone: those rows are the agent's, and always there. */
static __always_inline void lw_count_n(__u32 workload_hash, __u32 lane, __u32 evidence,
				       __u32 reason, __u64 n)
{
	struct lw_stat_key key = {
		.lane = lane,
		.evidence = evidence,
		.reason = reason,
		.workload_hash = workload_hash,
	};
	struct lw_stat *s = bpf_map_lookup_elem(&lw_stats, &key), first = { .count = n };

	if (!s) {
		if (!bpf_map_update_elem(&lw_stats, &key, &first, BPF_NOEXIST))
			return;
		s = bpf_map_lookup_elem(&lw_stats, &key); /* another CPU's, made just now */
	}
	if (!s) {
		key.lane = 0;
		key.evidence = 0;
		key.workload_hash = 0;
		s = bpf_map_lookup_elem(&lw_stats, &key);
	}
	/* two tasks of one CPU may be here at once */
	if (s)
		__sync_fetch_and_add(&s->count, n);
}

static __always_inline void lw_count(__u32 workload_hash, __u32 lane, __u32 evidence, __u32 reason)
{
	lw_count_n(workload_hash, lane, evidence, reason, 1);
}

/* Base requests are most of all, and must cost least: they are counted in the flow and moved from there in bulk. */
static __always_inline void lw_count_base(struct lw_flow *f)
{
	if (f->base_ok)
		lw_count_n(f->workload_hash, 0, LW_EVIDENCE_NONE, LW_REASON_OK, f->base_ok);
	f->base_ok = 0;
}

/*
 * Of 0, or LW_UNCOUNTED_PODS: while it is not 0, none of that work is evidence. What is added for good counts until an agent
 * begins anew.
 */
static __always_inline void lw_add_uncounted(__u32 of, __s64 n)
{
	__u64 *uncounted = bpf_map_lookup_elem(&lw_uncounted, &of);

	if (uncounted)
		__sync_fetch_and_add(uncounted, n);
}

static __always_inline const struct lw_pod *lw_pod_of(__u32 slot, const struct lw_addr *addr)
{
	struct lw_pod_key key = { .addr = *addr, .slot = slot };

	return bpf_map_lookup_elem(&lw_pods, &key);
}

/* What the state knows of an address that clients connect to; NULL: nothing. */
static __always_inline struct lw_dest *lw_dest_of(__u32 slot, const struct lw_addr *addr,
						  __u16 port)
{
	struct lw_dest_key key = { .addr = *addr, .slot = slot, .port = port };
	struct lw_dest *dest = bpf_map_lookup_elem(&lw_dests, &key);

	if (dest)
		return dest;
	key.port = 0;
	return bpf_map_lookup_elem(&lw_dests, &key);
}

/* A pod of the host network that is no longer known is told by its node's address again. */
static __always_inline const struct lw_pod *lw_client_pod(__u32 slot, const struct lw_flow *f)
{
	const struct lw_pod *pod = NULL;
	struct lw_addr addr;

	if (f->host_pod) {
		lw_host_pod_addr(&addr, f->host_pod);
		pod = lw_pod_of(slot, &addr);
	}
	return pod ? pod : lw_pod_of(slot, &f->client);
}

/* Checked by itself, once: what calls it does so behind each length that an id may have. */
__noinline int lw_trace_is_none(const struct lw_trace_key *key)
{
	return !key || lw_trace_is_zeros(key);
}

static __always_inline struct lw_scratch *lw_scratch_claim(__u32 k)
{
	struct lw_scratch *s = bpf_map_lookup_elem(&lw_scratch, &k);

	return s && __sync_val_compare_and_swap(&s->busy, 0, 1) == 0 ? s : NULL;
}

/* -1: none is free. */
__noinline int lw_scratch_find(void)
{
	__u32 i, first = LW_SCRATCH_SPARE + bpf_get_smp_processor_id() * LW_SCRATCH_CPU;

	for (i = 0; i < LW_SCRATCH_CPU; i++)
		if (lw_scratch_claim(first + i))
			return first + i;
	for (i = 0; i < LW_SCRATCH_SPARE; i++)
		if (lw_scratch_claim(i))
			return i;
	return -1;
}

static __always_inline struct lw_scratch *lw_scratch_take(void)
{
	__u32 k = lw_scratch_find();

	return bpf_map_lookup_elem(&lw_scratch, &k);
}

static __always_inline void lw_scratch_put(struct lw_scratch *s)
{
	(void)__sync_lock_test_and_set(&s->busy, 0);
}

#define LW_IPPROTO_TCP 6 /* netinet/in.h */

static __always_inline void lw_addr4(struct lw_addr *a, __u32 be)
{
	__u32 *w = (__u32 *)a->ip;

	w[0] = 0;
	w[1] = 0;
	w[2] = bpf_htonl(0xffff);
	w[3] = be;
}

/* By words: addresses are 4-byte aligned. Not memcmp(): older compilers call it, and there is none. */
static __always_inline int lw_addr_equal(const struct lw_addr *a, const struct lw_addr *b)
{
	const __u32 *x = (const __u32 *)a->ip, *y = (const __u32 *)b->ip;

	return x[0] == y[0] && x[1] == y[1] && x[2] == y[2] && x[3] == y[3];
}

/*
 * The row of an upstream socket; NULL: there is none any more. One that has been closed keeps it for a while: a program may be at work on it, and the
 * kernel gives a row that is deleted to the next socket at once.
 */
static __always_inline struct lw_up *lw_up_of(__u64 cookie)
{
	struct lw_up *up = bpf_map_lookup_elem(&lw_ups, &cookie);

	return up && !(up->flags & LW_UP_GONE) ? up : NULL;
}

/*
 * Whose downstream socket is it? 0: nobody's, or the element is another upstream socket's by now: a map's elements are
 * used again at once when the agent deletes one, and a program may be held up between its look-up and its reads.
 */
static __always_inline __u64 lw_down_of(const struct lw_up *up, __u64 cookie)
{
	__u64 down = *(const volatile __u64 *)&up->down;

	return *(const volatile __u64 *)&up->self == cookie ? down : 0;
}

/* Its key in lw_tuples. */
static __always_inline void lw_flow_tuple(const struct lw_flow *f, struct lw_tuple *t)
{
	t->local = f->client;
	t->peer = f->peer;
	t->local_port = f->client_port;
	t->peer_port = f->peer_port;
}

/* slot_own: the slot, and the lane of the client's pod in the high half: a function has five arguments at most. */
__noinline int lw_decide_request(struct lw_head *head, __u32 slot_own,
				 const struct lw_learned *learned, __u32 entry,
				 struct lw_decision *d)
{
	if (!head || !learned || !d)
		return -1;
	lw_decide(head, slot_own & 0xffff, slot_own >> 16, learned, entry, d);
	return 0;
}
