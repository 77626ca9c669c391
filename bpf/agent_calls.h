/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Programs the agent runs itself, for changes that must be atomic against the data path. */
#include "lib/ends.h"
#include "lib/peer.h"

SEC("syscall")
int lw_pool_put(struct lw_pool_put_args *args)
{
	struct lw_pool_key key = args->key;
	struct lw_pool *p = bpf_map_lookup_elem(&lw_pools, &key);
	__u64 up = args->up;
	__u32 i, max = args->max;

	if (!p)
		return 1;
	for (i = 0; i < LW_POOL_SLOTS; i++) {
		if (i >= max)
			break;
		if (__sync_val_compare_and_swap(&p->up[i], 0, up) == 0)
			return 0;
	}
	return 1;
}

/* Takes a socket out of its pool: 0 done, 1 it was not there (any more). */
SEC("syscall")
int lw_pool_drop(struct lw_pool_put_args *args)
{
	struct lw_pool_key key = args->key;
	struct lw_pool *p = bpf_map_lookup_elem(&lw_pools, &key);
	__u64 up = args->up;
	__u32 i;

	if (!p)
		return 1;
	for (i = 0; i < LW_POOL_SLOTS; i++)
		if (__sync_val_compare_and_swap(&p->up[i], up, 0) == up)
			return 0;
	return 1;
}

static __always_inline int lw_has_up(const struct lw_flow *f, __u64 up)
{
	__u32 i;

	for (i = 0; i < LW_FLOW_UPS; i++)
		if (f->ups[i].up == up)
			return 1;
	return 0;
}

SEC("syscall")
int lw_bind(struct lw_bind_args *args)
{
	__u64 down = args->down, up = args->up, punt;
	struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &down);
	struct lw_flow_up *fu;

	if (!f)
		return 2;
	fu = &f->ups[f->up & (LW_FLOW_UPS - 1)];
	punt = f->punt;
	if (!punt || punt >> 32 != args->id)
		/* the response came, and the next request, before we were back here */
		return args->seq && lw_has_up(f, up) ? 0 : 2;
	if (args->written) {
		f->punt_written = args->seq;
		return 0;
	}
	if (!args->seq) {
		/* the own peer, or the agent's own answer: it has been counted as one that is where it was to go */
		if (args->lane == LW_LANE_ONCE && fu->up != up)
			lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_UNREACHABLE);
		fu->addr = args->addr;
		fu->port = args->port;
		fu->lane = args->lane;
		fu->up = up;
		return 0;
	}
	__sync_fetch_and_sub(&f->punt_bytes, args->bytes);
	if ((__u32)punt >> 1 != args->seq)
		return 1;
	/* from here on lw_msg sends on the upstream socket; before, it was still punting */
	return __sync_val_compare_and_swap(&f->punt, punt, 0) == punt ? 0 : 1;
}

SEC("syscall")
int lw_up_mark(struct lw_up_mark_args *args)
{
	__u64 c = args->up;
	struct lw_up *up = lw_up_of(c);

	if (!up)
		return 1;
	__sync_fetch_and_or(&up->flags, args->flags);
	return 0;
}

SEC("syscall")
int lw_backlog(struct lw_backlog_args *args)
{
	__u64 down = args->down;
	struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &down);

	return f ? lw_backlogged(f->sk) : -1;
}

/* Is nothing of the flow under way, elsewhere than on its own connection? */
static __always_inline int lw_is_at_rest(const struct lw_flow *f)
{
	struct lw_up *up;

	/* a piece of a head is held back in what the socket loses; and so is what of a response has not been read */
	if (f->punt || f->pieces || (f->sk && (!lw_queue_is_empty(f->sk) || lw_queued(f->sk))))
		return 0;
	if (f->route == LW_ROUTE_PEER)
		return 1;
	up = lw_up_of(f->ups[f->up & (LW_FLOW_UPS - 1)].up);
	return f->frame.state == LW_FRAME_HEAD && !f->skip &&
	       (!up || (!lw_up_is_due(up) && up->frame.state == LW_FRAME_HEAD &&
			!(up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE | LW_UP_RELAY))));
}

SEC("syscall")
int lw_leave(struct lw_leave_args *args)
{
	__u64 down = args->down;
	struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &down);
	struct lw_config *conf = lw_conf();

	if (!f || !conf)
		return 1;
	if (args->what == LW_LEAVE_LEFT) {
		if (!(f->flags & LW_FLOW_OPAQUE) || f->reason != LW_REASON_TCP_MEMORY)
			lw_count(f->workload_hash, 0, LW_EVIDENCE_NONE, LW_REASON_TCP_MEMORY);
		lw_down_closed(down);
		return 0;
	}
	if (args->what == LW_LEAVE_NOT) {
		f->noticed &= ~LW_KEEP_MEMORY;
		return 0;
	}
	/* its own peer is about to close, or not for its base requests */
	if (f->fin_held || !lw_may_be_plain(f, conf->generation & 1))
		return 1;
	if (!(f->noticed & LW_KEEP_MEMORY)) {
		f->noticed |= LW_KEEP_MEMORY;
		return 1;
	}
	return !lw_is_at_rest(f);
}

SEC("syscall")
int lw_leaf_set(struct lw_leaf_args *args)
{
	__u64 netns = args->netns;
	struct lw_leaf *leaf = args->state == LW_LEAF_ALONE ?
				       lw_leaf_of(&netns) :
				       bpf_map_lookup_elem(&lw_leaves, &netns);

	if (!leaf)
		return 2;
	if (args->forget)
		(void)__sync_lock_test_and_set(&leaf->held, 0);
	return lw_leaf_is(leaf, args->state);
}

SEC("syscall")
int lw_unseen(struct lw_unseen_args *args)
{
	lw_unseen_add(args->netns, 1);
	return 0;
}
