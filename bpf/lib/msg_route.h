/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: the upstream sockets of a connection, chosen, taken and let go; whether a response is due.
 */
#include "lib/choose.h"
#include "lib/ends.h"
#include "lib/peer.h"

/* Lets go of upstream socket i. It is never used again: the agent closes it. */
__noinline int lw_release(struct lw_flow *f, __u64 cookie, __u32 i)
{
	struct lw_flow_up *fu;
	struct lw_up *up;
	__u64 c;

	if (!f)
		return 0;
	fu = &f->ups[i & (LW_FLOW_UPS - 1)];
	c = fu->up;
	up = lw_up_of(c);
	if (up)
		__sync_fetch_and_or(&up->flags, LW_UP_ORPHAN);
	lw_emit(LW_EVENT_UP_RELEASED, cookie, c, f, fu);
	fu->up = 0;
	return 0;
}

struct lw_member_ctx {
	struct lw_endpoint_key key;
	const struct lw_flow_up *fu;
	__u32 found;
};

static long lw_member_cb(__u32 i, void *arg)
{
	struct lw_member_ctx *c = arg;
	const struct lw_endpoint *ep;

	c->key.idx = i;
	ep = bpf_map_lookup_elem(&lw_endpoints, &c->key);
	if (!ep)
		return 1;
	if (!lw_addr_equal(&ep->addr, &c->fu->addr))
		return 0;
	c->found = 1;
	return 1;
}

/* Is what ups[i] is connected to still an endpoint of its lane, and the same pod? */
__noinline int lw_still_endpoint(struct lw_flow *f, __u32 slot, __u32 i)
{
	struct lw_member_ctx c = {};
	const struct lw_pod *pod;

	if (!f)
		return 0;
	c.fu = &f->ups[i & (LW_FLOW_UPS - 1)];
	pod = lw_pod_of(slot, &c.fu->addr);
	if (!pod || pod->uid_hash != c.fu->uid_hash)
		return 0;
	c.key.slot = slot;
	c.key.group = f->group;
	c.key.lane = c.fu->lane;
	bpf_loop(LW_MAX_ENDPOINTS, lw_member_cb, &c, 0);
	return c.found;
}

/* Is a response due from ups[i]? busy: one is, on the route of the last request (enum lw_busy). */
static __always_inline int lw_is_answering(const struct lw_flow *f, __u32 busy, __u32 i)
{
	return busy && f->route != LW_ROUTE_PEER && f->up == i;
}

/* Brings what the flow remembers of the state to this generation. */
__noinline int lw_refresh(struct lw_flow *f, struct lw_run *r, __u32 busy)
{
	const struct lw_config *conf = lw_conf();
	const struct lw_workload *w;
	const struct lw_dest *dest;
	struct lw_slot_key wk = {};
	const struct lw_pod *pod;
	struct lw_peer peer;
	__u32 i;

	if (!f || !r)
		return 0;
	dest = lw_dest_of(r->slot, &f->asked, f->asked_port);
	if (dest) {
		f->workload = dest->workload;
		f->group = dest->group;
	} else if (conf && f->gen < conf->since && conf->agent > 1) {
		/* these are numbers that another agent gave */
		f->workload = 0;
		f->group = 0;
	}
	wk.slot = r->slot;
	wk.id = f->workload;
	w = bpf_map_lookup_elem(&lw_workloads, &wk);
	f->entry = w ? w->entry : 0;
	if (w)
		f->workload_hash = w->name_hash;
	/* of whichever workload: a Service may have pods of several */
	lw_peer_is(&peer, lw_pod_of(r->slot, &f->peer), f->peer_unknown);
	pod = lw_client_pod(r->slot, f);
	f->own_lane = pod ? lw_pod_own_lane(pod) : 0;
	if (lw_addr_equal(&f->peer, &f->client))
		lw_peer_is_client(&peer, f->own_lane);
	f->peer_lane = peer.lane;
	f->peer_base = peer.base;
	f->untrusted = pod && (pod->flags & LW_POD_UNTRUSTED);
	for (i = 0; i < LW_FLOW_UPS; i++) {
		struct lw_flow_up *fu = &f->ups[i];

		if (!fu->up || lw_is_answering(f, busy, i))
			continue;
		if (!lw_still_endpoint(f, r->slot, i))
			lw_release(f, r->cookie, i);
	}
	f->gen = r->generation;
	return 0;
}

enum lw_busy {
	LW_BUSY_NO,
	LW_BUSY_YES, /* a response is due on the route of the last request */
	LW_BUSY_OPAQUE, /* the route must be kept for good */
	LW_BUSY_LOST, /* the response, or the rest of its request, could not be followed: its upstream socket is good for no other */
};

__noinline int lw_is_busy(struct lw_flow *f, struct lw_run *r)
{
	struct lw_up *up;
	__u64 c, punt;

	if (!f || !r || !f->requests)
		return LW_BUSY_NO;
	if (f->route == LW_ROUTE_PEER) {
		/*
		 * Nothing has come since the last request ended, or, where steered bytes overtake
		 * the peer's in the receive queue, not all has been read.
		 */
		if (r->rcv_nxt == f->rcv_seq)
			return LW_BUSY_YES;
		return !(r->flags & LW_CONF_NATIVE_VERDICT) && r->copied_seq != r->rcv_nxt;
	}
	punt = *(volatile __u64 *)&f->punt;
	if (f->route == LW_ROUTE_PUNT && !punt)
		f->route = LW_ROUTE_UP; /* the agent has bound it */
	c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
	up = lw_up_of(c);
	if (f->route == LW_ROUTE_PUNT) {
		/* it was bound, and has ended: with it the agent has given up what it had of the request yet */
		if (c && !up)
			return LW_BUSY_LOST;
		if (!up || lw_up_is_due(up))
			return LW_BUSY_YES;
		/* answered in full, which says nothing of whether the pod has all of the request: the agent may have some yet */
		if (((__u32)punt >> 1) != f->punt_written)
			return LW_BUSY_LOST;
		f->punt = 0;
		f->route = LW_ROUTE_UP;
	}
	if (!up)
		return LW_BUSY_NO;
	if (up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE))
		return LW_BUSY_OPAQUE;
	if (up->frame.state == LW_FRAME_LOST)
		return LW_BUSY_LOST;
	/* answered, but by more than the client has read: the answer to what comes now could overtake the end of it */
	return lw_up_is_due(up) ||
	       (up->flags & LW_UP_RELAY ? !lw_queue_is_empty(f->sk) : lw_is_waiting(f->sk));
}

/*
 * After LW_BUSY_LOST: its upstream socket goes, and what may still come of it. Of one that has ended nothing does: the client, which asks
 * for more, has had its answer.
 */
static __always_inline void lw_give_up(struct lw_flow *f, struct lw_run *r)
{
	__u64 c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;

	if (lw_up_of(c))
		lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_RESPONSE_LOST);
	lw_release(f, r->cookie, f->up);
	f->punt = 0;
}

/*
 * No response is due on the route any more, or none that could be told: may what comes next take another? Of one that could not be
 * followed to its end, what may still come is dropped.
 */
__noinline int lw_is_over(struct lw_flow *f, struct lw_run *r)
{
	__u32 busy;

	if (!f || !r)
		return 0;
	busy = lw_is_busy(f, r);
	if (busy == LW_BUSY_LOST)
		lw_give_up(f, r);
	return busy == LW_BUSY_NO || busy == LW_BUSY_LOST;
}

/*
 * Doubt is base: a request that cannot be read goes to the own peer, and all that follows it, unless an answer to an
 * earlier one is due elsewhere.
 */
__noinline int lw_doubt(struct lw_flow *f, struct lw_run *r)
{
	if (!f || !r || f->route == LW_ROUTE_PEER || !f->ups[f->up & (LW_FLOW_UPS - 1)].lane)
		return 0;
	if (lw_is_over(f, r))
		f->route = LW_ROUTE_PEER;
	return 0;
}

/*
 * Is ups[i], on which no response is due, for no further request? One was for a single one; that of an earlier agent goes, as that is about
 * to end, or has ended; and where the pod has answered without reading, there may be no room for a whole head.
 */
static __always_inline int lw_is_spent(const struct lw_flow *f, const struct lw_run *r,
				       const struct lw_up *up, __u32 i)
{
	return f->ups[i].lane == LW_LANE_ONCE || up->agent != r->agent ||
	       ((up->flags & LW_UP_REQ_WIRE) && up->sk && !lw_takes_a_head(up->sk));
}

/*
 * Low byte: a live upstream socket of this flow for the lane; next byte: a free slot. LW_FLOW_UPS: none. There is one or the other where
 * no response is due: for a lane more than there are slots one that was not used last goes.
 */
__noinline __u32 lw_find_up(struct lw_flow *f, struct lw_run *r, __u32 lane, __u32 busy)
{
	__u32 i, found = LW_FLOW_UPS, room = LW_FLOW_UPS;

	if (!f || !r)
		return LW_FLOW_UPS | LW_FLOW_UPS << 8;
	for (i = 0; i < LW_FLOW_UPS; i++) {
		__u64 c = f->ups[i].up;
		struct lw_up *up;

		if (c) {
			up = lw_up_of(c);
			/* another connection's, which ended as the agent gave it that one: what it was in is this one's now */
			if (up && up->down != r->cookie) {
				f->ups[i].up = 0;
				c = 0;
			} else if (!up || (up->flags & LW_UP_DEAD) ||
				   (!lw_is_answering(f, busy, i) && lw_is_spent(f, r, up, i))) {
				lw_release(f, r->cookie, i);
				c = 0;
			} else if (up->agent != r->agent) {
				continue;
			}
		}
		if (!c)
			room = i;
		else if (f->ups[i].lane == lane)
			found = i;
	}
	if (!busy && found == LW_FLOW_UPS && room == LW_FLOW_UPS) {
		room = (f->up + 1) & (LW_FLOW_UPS - 1);
		lw_release(f, r->cookie, room);
	}
	return found | room << 8;
}

/* Chooses an endpoint in the lane for ups[i]. 0: there is none. */
__noinline int lw_pick(struct lw_flow *f, struct lw_run *r, __u32 lane, __u32 i)
{
	const struct lw_endpoint *ep;
	const struct lw_pod *pod;
	struct lw_flow_up *fu;

	if (!f || !r)
		return 0;
	ep = lw_choose(r->flags, r->slot, f->group, lane, f->netns);
	if (!ep)
		return 0;
	fu = &f->ups[i & (LW_FLOW_UPS - 1)];
	pod = lw_pod_of(r->slot, &ep->addr);
	fu->up = 0;
	fu->addr = ep->addr;
	fu->port = ep->port ? ep->port : f->asked_port;
	fu->lane = lane;
	fu->uid_hash = pod ? pod->uid_hash : 0;
	return 1;
}

/* Takes a fresh upstream socket for ups[i], which lw_pick() has filled. 1: taken. */
__noinline int lw_take(struct lw_flow *f, struct lw_run *r, __u32 i)
{
	struct lw_pool_key key = {};
	struct lw_flow_up *fu;
	struct lw_pool *p;
	struct lw_up *up;
	__u32 k;
	__u64 c;

	if (!f || !r)
		return 0;
	fu = &f->ups[i & (LW_FLOW_UPS - 1)];
	key.netns = f->netns;
	key.addr = fu->addr;
	key.port = fu->port;
	p = bpf_map_lookup_elem(&lw_pools, &key);
	if (!p)
		return 0;
	for (k = 0; k < LW_POOL_SLOTS; k++) {
		c = p->up[k];
		if (!c || __sync_val_compare_and_swap(&p->up[k], c, 0) != c)
			continue;
		up = lw_up_of(c);
		if (!up || (up->flags & LW_UP_DEAD) || up->down)
			continue;
		/* the pool is gone, and what it was in is another's now: nobody may have this one, the agent is to close it */
		if (up->self != c || up->netns != key.netns || up->port != key.port ||
		    !lw_addr_equal(&up->addr, &key.addr)) {
			lw_up_closed(c);
			continue;
		}
		if (up->agent != r->agent) {
			/* an earlier agent's, which is to find it unused */
			__sync_fetch_and_or(&up->flags, LW_UP_DEAD);
			continue;
		}
		up->down = r->cookie;
		fu->up = c;
		__sync_fetch_and_add(&p->takes, 1);
		lw_emit(LW_EVENT_TAKEN, r->cookie, c, f, fu);
		return 1;
	}
	__sync_fetch_and_add(&p->misses, 1);
	return 0;
}
