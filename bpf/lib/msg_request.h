/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: what becomes of a request, once its head is whole: its lane, its route, and how it is sent there.
 */

/* Base requests of one flow that may wait in it to be counted. */
#define LW_BASE_BULK 1024

/* The request in h has its lane and route: whoever traces wants to know. */
static __always_inline void lw_traced(struct lw_flow *f, struct lw_run *r, struct lw_head *h)
{
	if (r->hop_lanes >> (f->lane & 31) & 1)
		lw_hop_tell(f, h, r->cookie);
}

/* What becomes of a request. */
struct lw_plan {
	__u32 busy; /* enum lw_busy: of the request before it */
	__u32 lane;
	__u32 target; /* lane of the pod that it is for */
	__u32 reason;
	__u32 route; /* enum lw_route */
	__u32 i; /* which of the flow's upstream sockets, where the route is not the own peer */
	__u32 modify; /* its head is to be altered */
	__u32 fin_held; /* the own peer is about to end: it is for no request any more */
};

/* Its lane, and that of the pod it is for. -1: the connection is opaque instead. */
static __always_inline int lw_plan_lane(struct lw_flow *f, struct lw_run *r, struct lw_head *h,
					struct lw_decision *d, struct lw_plan *plan)
{
	struct lw_learned learned = {};
	int calls;

	plan->busy = lw_is_busy(f, r);
	plan->fin_held = f->fin_held;
	if (plan->busy == LW_BUSY_OPAQUE) {
		lw_opaque(f, LW_REASON_OPAQUE_RESPONSE);
		return -1;
	}
	/*
	 * Who sends the next request has had the answer to the last one, wherever that ended. To stay with its pod would be to
	 * give it base requests.
	 */
	if (plan->busy == LW_BUSY_LOST) {
		lw_give_up(f, r);
		plan->busy = LW_BUSY_NO;
	}
	if (f->gen != r->generation)
		lw_refresh(f, r, plan->busy);
	h->eval.untrusted = f->untrusted;
	if ((r->flags & LW_CONF_INBOUND) && !f->own_lane) {
		/* first: from here on what arrives is read */
		calls = f->calls ? 1 : lw_learn_calls(f->netns);
		lw_learn(h, f, r->slot, r->flags, &learned);
		lw_learn_older(f->netns, &learned);
		if (calls < 0)
			lw_learned_unread(&learned);
		f->calls = calls > 0;
	}
	lw_decide_request(h, r->slot | f->own_lane << 16, &learned, f->entry, d);
	plan->lane = d->lane;
	plan->modify = d->lane || d->strip;
	plan->reason = d->reason;
	plan->target = lw_target_lane(r->slot, f->group, d->lane,
				      !plan->fin_held && lw_own_peer_serves(f, d->lane));
	if (plan->target != plan->lane)
		plan->reason = LW_REASON_NO_ENDPOINT;
	return 0;
}

/* By the agent. That is no miss: what it missed before, its lane or a pod of it, is the reason to tell. */
static __always_inline void lw_plan_carried(struct lw_plan *plan)
{
	plan->route = LW_ROUTE_PUNT;
	if (plan->reason == LW_REASON_OK)
		plan->reason = LW_REASON_POOL_EMPTY;
}

/* Its route. -1: the connection is opaque instead, as the request would have to overtake the one before. */
static __always_inline int lw_plan_route(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
					 struct lw_plan *plan)
{
	plan->route = LW_ROUTE_PEER;
	plan->i = 0;
	if (!lw_own_peer_serves(f, plan->target) || plan->fin_held) {
		__u32 found = lw_find_up(f, r, plan->target, plan->busy), room = found >> 8;

		found &= 0xff;
		if (found < LW_FLOW_UPS) {
			plan->route = LW_ROUTE_UP;
			plan->i = found;
		} else if (plan->busy && (f->route == LW_ROUTE_PUNT || room >= LW_FLOW_UPS)) {
			plan->route = LW_ROUTE_PUNT; /* found out below */
		} else if (lw_pick(f, r, plan->target, room)) {
			plan->route = LW_ROUTE_PUNT;
			plan->i = room;
		} else {
			plan->reason = LW_REASON_NO_ENDPOINT;
		}
	}
	plan->i &= LW_FLOW_UPS - 1;
	/* a request behind one that is still with the agent has no route to be sure of either */
	if (plan->busy && (plan->route != f->route || plan->route == LW_ROUTE_PUNT ||
			   (plan->route == LW_ROUTE_UP && plan->i != f->up))) {
		lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
		return -1;
	}
	/*
	 * Of a message that was held back the kernel throws away what a redirect is not for (tcp_bpf_send_verdict() frees
	 * it all): the next request's beginning cannot wait in it for a route of its own. To the own peer, too, it is redirected where an
	 * earlier part of it was (lw_to_peer()).
	 */
	if ((plan->route != LW_ROUTE_PEER || lw_redirected(msg)) && (f->flags & LW_FLOW_CORKED) &&
	    r->n < r->size) {
		if (!plan->target && plan->route != LW_ROUTE_PEER && !lw_redirected(msg)) {
			/* doubt is base, which the own peer is not, or not for long: all of it goes to a base pod, as a tunnel would */
			r->n = r->size;
			f->flags |= LW_FLOW_OPAQUE;
			plan->reason = LW_REASON_OPAQUE_PIPELINED;
		} else {
			if (!plan->busy)
				lw_doubt(f, r);
			lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
			return -1;
		}
	}
	if (plan->route == LW_ROUTE_PUNT) {
		struct lw_config *conf = lw_conf();

		if (lw_take(f, r, plan->i)) {
			plan->route = LW_ROUTE_UP;
		} else if (!conf || !lw_agent_alive(conf)) {
			plan->reason = LW_REASON_AGENT_STALE;
			plan->route = LW_ROUTE_PEER;
		} else if (conf->flags & LW_CONF_NO_PUNT) {
			plan->reason = LW_REASON_NO_SOCKETS;
			plan->route = LW_ROUTE_PEER;
		} else {
			lw_plan_carried(plan);
		}
	}
	return 0;
}

/* What was decided, for whoever looks at the flow. */
static __always_inline void lw_note(struct lw_flow *f, const struct lw_decision *d,
				    const struct lw_plan *plan)
{
	f->lane = plan->lane;
	f->evidence = d->evidence;
	f->header = d->header;
	f->reason = plan->reason;
}

/* The request in h goes where the flow's route says. */
static __always_inline void lw_decided(struct lw_flow *f, struct lw_run *r, struct lw_head *h,
				       const struct lw_decision *d, const struct lw_plan *plan)
{
	lw_note(f, d, plan);
	lw_count(f->workload_hash, plan->lane, d->evidence, plan->reason);
	lw_traced(f, r, h);
}

#define LW_NOT_SENT -2

/* To its upstream socket. LW_NOT_SENT: that is gone, nothing has been altered. -1: the connection is opaque instead. */
static __always_inline int lw_send_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
				      struct lw_head *h, struct lw_decision *d,
				      const struct lw_plan *plan)
{
	__u64 c = f->ups[plan->i].up;
	struct lw_up *up = lw_up_of(c);
	__u32 bit;
	int how;

	if (!up)
		return LW_NOT_SENT;
	if (up->req_seq - up->resp_seq >= LW_PIPELINE_MAX) {
		lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
		return -1;
	}
	how = lw_to_up(msg, f, r, c, 1);
	if (how == LW_TO_UP_LOST)
		return LW_NOT_SENT;
	bit = 1u << (up->req_seq & (LW_PIPELINE_MAX - 1));
	if (plan->modify && lw_modify(msg, f, r, h, d))
		return SK_DROP;
	if (r->head & LW_RUN_IS_HEAD)
		up->head_bits |= bit;
	else
		up->head_bits &= ~bit;
	if (r->head & LW_RUN_CLOSES)
		__sync_fetch_and_or(&up->flags, LW_UP_CLOSING);
	up->req_seq++;
	if (f->flags & LW_FLOW_OPAQUE)
		__sync_fetch_and_or(&up->flags, LW_UP_OPAQUE);
	f->route = LW_ROUTE_UP;
	f->up = plan->i;
	lw_decided(f, r, h, d, plan);
	return lw_sent_up(msg, f, r, up, how);
}

/* To the agent. LW_NOT_SENT: it cannot be taken; the head is altered already. */
static __always_inline int lw_send_punt(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
					struct lw_head *h, struct lw_decision *d,
					const struct lw_plan *plan)
{
	__u32 was_route = f->route, was_up = f->up;

	if (plan->modify && lw_modify(msg, f, r, h, d))
		return SK_DROP;
	f->route = LW_ROUTE_PUNT;
	f->up = plan->i;
	if (lw_punt(msg, f, r) == SK_PASS) {
		lw_decided(f, r, h, d, plan);
		return SK_PASS;
	}
	f->route = was_route;
	f->up = was_up;
	f->punt = 0;
	return LW_NOT_SENT;
}

/* To the own peer: because it is the right one, or for want of better. */
static __always_inline int lw_send_peer(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
					struct lw_head *h, struct lw_decision *d,
					struct lw_plan *plan)
{
	/* a base request is not refused for what its peer may be */
	if (!lw_own_peer_serves(f, plan->target) && (plan->target || !f->peer_unknown) &&
	    (r->flags & LW_CONF_FAIL_CLOSED)) {
		plan->reason = LW_REASON_REFUSED;
		lw_decided(f, r, h, d, plan);
		return SK_DROP;
	}
	lw_note(f, d, plan);
	/* a head that goes out in part is sent again by its application, which does not know of what was put in: better without; but not with a stranger's tag */
	if (plan->modify && !d->strip && !lw_has_room(f->sk, h->scan.pos + LW_HEAD_LOOK)) {
		lw_count(f->workload_hash, d->lane, d->evidence, LW_REASON_PUSH);
		plan->modify = 0;
	}
	if (plan->modify && lw_modify(msg, f, r, h, d))
		return SK_DROP;
	f->route = LW_ROUTE_PEER;
	if (plan->lane || d->evidence || plan->reason)
		lw_count(f->workload_hash, plan->lane, d->evidence, plan->reason);
	else if (++f->base_ok >= LW_BASE_BULK)
		lw_count_base(f);
	lw_traced(f, r, h);
	return lw_send_own(msg, f, r);
}

/* A whole head is in h, r->n covers the request as far as this message holds it. -1: the connection is opaque instead. */
static __always_inline int lw_on_request(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
					 struct lw_head *h)
{
	struct lw_decision d = {};
	struct lw_plan plan = {};
	int v = LW_NOT_SENT;

	if (lw_plan_lane(f, r, h, &d, &plan) || lw_plan_route(msg, f, r, &plan))
		return -1;
	r->head = LW_RUN_HEAD | (h->scan.flags & LW_SCAN_IS_HEAD ? LW_RUN_IS_HEAD : 0) |
		  (lw_scan_closes(&h->scan) ? LW_RUN_CLOSES : 0);
	f->punt_bytes = 0;
	if (plan.route == LW_ROUTE_UP) {
		v = lw_send_up(msg, f, r, h, &d, &plan);
		if (v == LW_NOT_SENT) {
			struct lw_config *conf = lw_conf();

			lw_release(f, r->cookie, plan.i);
			/* it has ended just now; to the own peer a base request may not go, which may be a canary */
			if (!plan.busy && conf && lw_agent_alive(conf) &&
			    !(conf->flags & LW_CONF_NO_PUNT))
				lw_plan_carried(&plan);
		}
	}
	if (plan.route == LW_ROUTE_PUNT) {
		v = lw_send_punt(msg, f, r, h, &d, &plan);
		if (v == LW_NOT_SENT)
			plan.modify = 0;
	}
	if (v != LW_NOT_SENT)
		return v;
	if (plan.route != LW_ROUTE_PEER)
		plan.reason = LW_REASON_REDIRECT;
	return lw_send_peer(msg, f, r, h, &d, &plan);
}
