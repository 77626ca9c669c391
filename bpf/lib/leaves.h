/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Pods that call nothing in release: what arrives there is not read, as nobody would ask what they are at work on (struct lw_leaf).
 *
 * How many of its connections have something unanswered is counted all the same. When such a pod makes its first call, what it is at work on is of unknown
 * lanes, and until that is answered its work is no evidence; but not for longer than LW_OLDER_SURE_NS, as behind an agent's start.
 */
#include "state.h"

/* Of the pod at this address, as its row says it; *netns: the row's. NULL: none. */
static __always_inline struct lw_leaf *lw_leaf_at(const struct lw_addr *addr, const __u64 **netns)
{
	*netns = bpf_map_lookup_elem(&lw_leaf_addrs, addr);
	return *netns ? bpf_map_lookup_elem(&lw_leaves, *netns) : NULL;
}

static __always_inline __u32 lw_leaf_state(const struct lw_leaf *leaf)
{
	return *(const volatile __u32 *)&leaf->state;
}

/* What lw_in.opening has to be for what is known of a connection to hold. */
static __always_inline __u16 lw_leaf_opening(const struct lw_leaf *leaf,
					     const struct lw_config *conf)
{
	return conf->openings + (leaf ? *(const volatile __u32 *)&leaf->ends : 0);
}

/* The address is another pod's now. */
static __always_inline void lw_leaf_forget(const struct lw_addr *addr)
{
	bpf_map_delete_elem(&lw_leaf_addrs, addr);
}

/*
 * It is in that state from now on, unless it calls. What is known of its connections is void before anybody reads them again. 0, or 1: it is
 * not, as it calls, or is nothing that could be ended.
 */
static __always_inline int lw_leaf_is(struct lw_leaf *leaf, __u32 to)
{
	__u32 i, state;

	for (i = 0; i < 4; i++) {
		state = lw_leaf_state(leaf);
		if (state == to || state == LW_LEAF_CALLS)
			return state != to;
		if (state == LW_LEAF_ALONE) {
			(void)__sync_lock_test_and_set(&leaf->ended_ns, bpf_ktime_get_ns());
			__sync_fetch_and_add(&leaf->ends, 1);
		}
		if (__sync_val_compare_and_swap(&leaf->state, state, to) == state)
			return 0;
	}
	return 1;
}

static __always_inline struct lw_leaf *lw_leaf_of(__u64 *netns)
{
	struct lw_leaf first = {}, *leaf = bpf_map_lookup_elem(&lw_leaves, netns);

	if (leaf)
		return leaf;
	bpf_map_update_elem(&lw_leaves, netns, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&lw_leaves, netns);
}

/* This network namespace calls. NULL: there is no room to note it. */
static __always_inline struct lw_leaf *lw_leaf_calls(__u64 *netns)
{
	struct lw_leaf *leaf = lw_leaf_of(netns);

	if (leaf)
		lw_leaf_is(leaf, LW_LEAF_CALLS);
	return leaf;
}

/* Is something at work in it that nobody has seen arriving, as it was left alone? */
static __always_inline int lw_leaf_is_unread(const struct lw_leaf *leaf)
{
	return *(const volatile __u64 *)&leaf->held &&
	       (lw_leaf_state(leaf) == LW_LEAF_ALONE ||
		bpf_ktime_get_ns() - leaf->ended_ns < LW_OLDER_SURE_NS);
}

static __always_inline void lw_leaf_add(__u64 netns, __s64 n)
{
	__u64 key = netns;
	struct lw_leaf *leaf = bpf_map_lookup_elem(&lw_leaves, &key);

	if (leaf)
		__sync_fetch_and_add(&leaf->held, n);
}
