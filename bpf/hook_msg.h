/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: every send of a downstream socket. Follows the request framing; at a head decides the lane,
 * and from there to the end of the request sends on one route: the own peer, an upstream socket, or the agent.
 *
 * Fails open: what cannot be decided follows the own peer (or, LW_CONF_FAIL_CLOSED, is refused with
 * EACCES). Once bytes of a request are on a route, the rest takes the same one or the send fails.
 */

#include "lib/msg_send.h"
#include "lib/msg_route.h"
#include "lib/msg_modify.h"

/* Base requests of one flow that may wait in it to be counted. */
#define LW_BASE_BULK 1024

enum lw_head_look {
	LW_LOOK_DONE,
	LW_LOOK_MORE, /* the head is not whole yet */
	LW_LOOK_OPAQUE, /* reason is in the flow */
};

static __always_inline int lw_read_head(struct sk_msg_md *msg, struct lw_head *h, const struct lw_names *names,
					__u32 n)
{
	if (n < 1 || n > LW_HEAD_MAX || bpf_msg_pull_data(msg, 0, n, 0) ||
	    bpf_probe_read_kernel(h->buf, n, (void *)(long)msg->data))
		return -1;
	return lw_scan_request(h, names, n);
}

__noinline int lw_look(struct sk_msg_md *msg, struct lw_flow *f, struct lw_head *h, struct lw_run *r)
{
	struct lw_slot_key nk = {};
	const struct lw_names *names;
	__u32 n;

	if (!f || !h || !r)
		return LW_LOOK_OPAQUE;
	n = r->size;
	nk.slot = r->slot;
	names = bpf_map_lookup_elem(&lw_names, &nk);
	__builtin_memset(&h->scan, 0, sizeof(h->scan));
	__builtin_memset(h->caps.first, 0, sizeof(h->caps.first));
	h->caps.n = 0;
	if (!names)
		goto malformed;
	n = LW_AT_MOST(n, LW_HEAD_LOOK);
	if (lw_read_head(msg, h, names, n))
		goto malformed;
	if (h->scan.state < LW_SCAN_DONE && r->size > n) {
		n = LW_AT_MOST(r->size, LW_HEAD_MAX);
		if (lw_read_head(msg, h, names, n))
			goto malformed;
	}
	if (h->scan.state == LW_SCAN_DONE) {
		if (h->scan.flags & LW_SCAN_CAPTURES_FULL)
			goto malformed;
		lw_frame_request(&h->scan, &f->frame);
		if (f->frame.state == LW_FRAME_LOST)
			goto malformed;
		return LW_LOOK_DONE;
	}
	if (h->scan.state == LW_SCAN_ERROR) {
		lw_opaque(f, f->flags & LW_FLOW_UPGRADE ? LW_REASON_OPAQUE_UPGRADE :
			     h->scan.flags & LW_SCAN_NOT_HTTP ? LW_REASON_OPAQUE_NOT_HTTP :
								LW_REASON_OPAQUE_MALFORMED);
		return LW_LOOK_OPAQUE;
	}
	if (r->size >= LW_HEAD_MAX) {
		lw_opaque(f, LW_REASON_OPAQUE_HEAD_SIZE);
		return LW_LOOK_OPAQUE;
	}
	if (f->flags & LW_FLOW_UPGRADE) {
		/* perhaps another protocol by now, whose first bytes look like a method: do not hold them back */
		lw_opaque(f, LW_REASON_OPAQUE_UPGRADE);
		return LW_LOOK_OPAQUE;
	}
	return LW_LOOK_MORE;
malformed:
	lw_opaque(f, LW_REASON_OPAQUE_MALFORMED);
	return LW_LOOK_OPAQUE;
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
static __always_inline int lw_plan_lane(struct lw_flow *f, struct lw_run *r, struct lw_head *h, struct lw_decision *d,
					struct lw_plan *plan)
{
	struct lw_learned learned = {};
	struct lw_group_key gk = {};
	const struct lw_group *g;

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
		lw_learn(h, f, r->slot, r->flags, &learned);
		lw_learn_older(f->netns, &learned);
	}
	lw_decide_request(h, r->slot | f->own_lane << 16, &learned, f->entry, d);
	plan->lane = d->lane;
	plan->modify = d->lane || d->strip;
	plan->reason = d->reason;
	plan->target = d->lane;
	if (plan->lane && (plan->lane != f->peer_lane || plan->fin_held)) {
		gk.slot = r->slot;
		gk.group = f->group;
		gk.lane = plan->lane;
		g = bpf_map_lookup_elem(&lw_groups, &gk);
		if (!g || !g->count) {
			plan->target = 0;
			plan->reason = LW_REASON_NO_ENDPOINT;
		}
	}
	return 0;
}

/* Its route. -1: the connection is opaque instead, as the request would have to overtake the one before. */
static __always_inline int lw_plan_route(struct lw_flow *f, struct lw_run *r, struct lw_plan *plan)
{
	plan->route = LW_ROUTE_PEER;
	plan->i = 0;
	if (plan->target != f->peer_lane || plan->fin_held) {
		__u32 found = lw_find_up(f, r, plan->target, plan->busy), room = found >> 8;

		found &= 0xff;
		if (found < LW_FLOW_UPS) {
			plan->route = LW_ROUTE_UP;
			plan->i = found;
		} else if (room >= LW_FLOW_UPS) {
			plan->reason = LW_REASON_UPS_FULL;
		} else if (plan->busy && f->route == LW_ROUTE_PUNT) {
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
	 * it all): the next request's beginning cannot wait in it for a route of its own.
	 */
	if (plan->route != LW_ROUTE_PEER && (f->flags & LW_FLOW_CORKED) && r->n < r->size) {
		if (!plan->busy)
			lw_doubt(f, r);
		lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
		return -1;
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
			plan->reason = LW_REASON_POOL_EMPTY;
		}
	}
	return 0;
}

/* The request in h goes where the flow's route says. */
static __always_inline void lw_decided(struct lw_flow *f, struct lw_run *r, struct lw_head *h, const struct lw_decision *d,
				       const struct lw_plan *plan)
{
	f->lane = plan->lane;
	f->evidence = d->evidence;
	f->reason = plan->reason;
	lw_count(f->workload_hash, plan->lane, d->evidence, plan->reason);
	lw_traced(f, r, h);
}

#define LW_NOT_SENT -2

/* To its upstream socket. LW_NOT_SENT: that is gone, nothing has been altered. -1: the connection is opaque instead. */
static __always_inline int lw_send_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_head *h,
				      struct lw_decision *d, const struct lw_plan *plan)
{
	__u64 c = f->ups[plan->i].up;
	struct lw_up *up = bpf_map_lookup_elem(&lw_ups, &c);
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
	if (h->scan.flags & LW_SCAN_IS_HEAD)
		up->head_bits |= bit;
	else
		up->head_bits &= ~bit;
	up->req_seq++;
	if (f->flags & LW_FLOW_OPAQUE)
		__sync_fetch_and_or(&up->flags, LW_UP_OPAQUE);
	f->route = LW_ROUTE_UP;
	f->up = plan->i;
	lw_decided(f, r, h, d, plan);
	return lw_sent_up(msg, f, r, up, how);
}

/* To the agent. LW_NOT_SENT: it cannot be taken; the head is altered already. */
static __always_inline int lw_send_punt(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_head *h,
					struct lw_decision *d, const struct lw_plan *plan)
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
static __always_inline int lw_send_peer(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_head *h,
					struct lw_decision *d, struct lw_plan *plan)
{
	if (plan->target != f->peer_lane && (r->flags & LW_CONF_FAIL_CLOSED)) {
		plan->reason = LW_REASON_REFUSED;
		lw_decided(f, r, h, d, plan);
		return SK_DROP;
	}
	f->lane = plan->lane;
	f->evidence = d->evidence;
	f->reason = plan->reason;
	if (plan->modify && lw_modify(msg, f, r, h, d))
		return SK_DROP;
	f->route = LW_ROUTE_PEER;
	if (plan->lane || d->evidence || plan->reason)
		lw_count(f->workload_hash, plan->lane, d->evidence, plan->reason);
	else if (++f->base_ok >= LW_BASE_BULK)
		lw_count_base(f);
	lw_traced(f, r, h);
	lw_done(msg, f, r, r->write_seq);
	return lw_to_peer(msg, r->cookie);
}

/* A whole head is in h, r->n covers the request as far as this message holds it. -1: the connection is opaque instead. */
static __always_inline int lw_on_request(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_head *h)
{
	struct lw_decision d = {};
	struct lw_plan plan = {};
	int v = LW_NOT_SENT;

	if (lw_plan_lane(f, r, h, &d, &plan) || lw_plan_route(f, r, &plan))
		return -1;
	r->head = 1 + !!(h->scan.flags & LW_SCAN_IS_HEAD);
	f->punt_bytes = 0;
	if (plan.route == LW_ROUTE_UP) {
		v = lw_send_up(msg, f, r, h, &d, &plan);
		if (v == LW_NOT_SENT)
			lw_release(f, r->cookie, plan.i);
	} else if (plan.route == LW_ROUTE_PUNT) {
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

static __always_inline int lw_on_head(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	struct lw_scratch *s;
	int look, v;

	if (f->noticed) {
		lw_doubt(f, r);
		lw_opaque(f, f->noticed & LW_KEEP_FIONREAD ? LW_REASON_KEPT_FIONREAD : LW_REASON_KEPT_SPLICE);
		return lw_forward(msg, f, r);
	}
	s = lw_scratch_take();
	if (!s) {
		lw_doubt(f, r);
		lw_opaque(f, LW_REASON_SCRATCH);
		return lw_forward(msg, f, r);
	}
	if (f->pieces && r->size <= f->held) {
		/* the kernel did not hold the first piece back: it is with the own peer */
		f->route = LW_ROUTE_PEER;
		lw_opaque(f, LW_REASON_OPAQUE_PIECES);
		look = LW_LOOK_OPAQUE;
	} else {
		look = lw_look(msg, f, &s->head, r);
	}
	if (look == LW_LOOK_MORE && ++f->pieces > LW_HEAD_PIECES_MAX) {
		lw_opaque(f, LW_REASON_OPAQUE_PIECES);
		look = LW_LOOK_OPAQUE;
	}
	if (look == LW_LOOK_MORE) {
		f->held = r->size;
		f->flags |= LW_FLOW_CORKED;
		bpf_msg_cork_bytes(msg, r->size + 1);
		lw_scratch_put(s);
		return SK_PASS;
	}
	f->pieces = 0;
	v = -1;
	if (look == LW_LOOK_OPAQUE)
		lw_doubt(f, r);
	if (look == LW_LOOK_DONE) {
		__u32 flags = s->head.scan.flags;

		r->n = lw_follow_body(msg, &f->frame, s->head.scan.pos, r->size);
		if (f->frame.state == LW_FRAME_LOST) {
			lw_doubt(f, r);
			lw_opaque(f, LW_REASON_OPAQUE_MALFORMED);
		} else {
			f->flags &= ~(LW_FLOW_UPGRADE | LW_FLOW_EXPECTS);
			if (flags & LW_SCAN_HAS_UPGRADE)
				f->flags |= LW_FLOW_UPGRADE;
			if (s->head.caps.first[LW_HDR_EXPECT])
				f->flags |= LW_FLOW_EXPECTS;
			/*
			 * CONNECT is the last request there is, in its lane like any other. Its answer is not followed: what it says of
			 * a length means nothing (RFC 9110 9.3.6), and the server may be the first to speak behind it.
			 */
			if (flags & LW_SCAN_IS_CONNECT)
				f->flags |= LW_FLOW_OPAQUE;
			v = lw_on_request(msg, f, r, &s->head);
			if (flags & LW_SCAN_IS_CONNECT) {
				f->flags &= ~LW_FLOW_OPAQUE;
				lw_opaque(f, LW_REASON_OPAQUE_UPGRADE);
			}
		}
	}
	lw_scratch_put(s);
	if (v < 0) {
		r->n = r->size;
		return lw_forward(msg, f, r);
	}
	f->requests++;
	f->rcv_seq = r->rcv_nxt;
	return v;
}

SEC("sk_msg")
int lw_msg(struct sk_msg_md *msg)
{
	struct lw_run r = { .size = msg->size };
	struct bpf_sock *sk = msg->sk;
	struct lw_config *conf;
	struct tcp_sock *tp;
	struct lw_sk *st;
	struct lw_flow *f;

	/* a message the kernel held back once is used again for later sends: what was asked for it still stands */
	bpf_msg_cork_bytes(msg, 0);
	bpf_msg_apply_bytes(msg, 0);
	if (!sk)
		return SK_PASS;
	st = bpf_sk_storage_get(&lw_sk, sk, 0, 0);
	if (!st)
		return SK_PASS;
	r.cookie = st->cookie;
	f = bpf_map_lookup_elem(&lw_flows, &r.cookie);
	conf = lw_conf();
	/* reset in the middle of a message: what is left is not for where the first of it went */
	if (!f || !conf)
		return lw_to_peer(msg, r.cookie);
	if ((f->flags & LW_FLOW_OPAQUE) && f->route == LW_ROUTE_PEER)
		return lw_to_peer(msg, r.cookie);
	/*
	 * Never so: names the map that the socket is in, which keeps that map, and with it the socket's place, for
	 * as long as this program has sockets. A map that goes takes the bytes with it that its sockets have not read.
	 */
	if (conf->abi != LW_ABI_VERSION)
		return bpf_msg_redirect_hash(msg, &lw_down_socks, &r.cookie, BPF_F_INGRESS);
	if ((conf->flags & LW_CONF_STOPPED) && f->route == LW_ROUTE_PEER)
		return lw_to_peer(msg, r.cookie);
	r.generation = conf->generation;
	r.flags = conf->flags;
	r.slot = r.generation & 1;
	r.hop_lanes = conf->hop_lanes;
	r.agent = conf->agent;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return SK_PASS;
	f->sk = (__u64)tp;
	r.write_seq = tp->write_seq;
	r.rcv_nxt = tp->rcv_nxt;
	r.copied_seq = tp->copied_seq;

	if (f->flags & LW_FLOW_SENT) {
		__u32 seq = r.write_seq;

		if (f->route == LW_ROUTE_UP) {
			__u64 c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
			struct lw_up *up = bpf_map_lookup_elem(&lw_ups, &c);

			seq = f->sent_seq;
			if (up && up->sk && !(up->flags & LW_UP_DEAD)) {
				__u32 now = lw_read_write_seq(up->sk);

				/* the FIN of a socket that closes with a killed agent counts as a byte; looked at after the count */
				if (lw_is_established(up->sk))
					seq = now;
			}
		}
		lw_account(f, &r, seq);
	}
	r.n = r.size;
	if (f->flags & LW_FLOW_OPAQUE)
		return lw_forward(msg, f, &r);
	if (f->skip) {
		if (r.n > f->skip)
			r.n = f->skip;
		f->skip -= r.n;
		return lw_forward(msg, f, &r);
	}
	if (f->frame.state == LW_FRAME_HEAD) {
		/* the next request is the own peer's; what is none, and one in front of which an answer is due, ends where it began */
		if ((r.flags & LW_CONF_STOPPED) && lw_is_over(f, &r))
			return lw_to_peer(msg, r.cookie);
		return lw_on_head(msg, f, &r);
	}
	/*
	 * What has come by now is no answer to the request, but to its Expect: the last of the body may go out unseen, the last
	 * seen has to do. Without one it is the answer, which came early.
	 */
	if (f->flags & LW_FLOW_EXPECTS)
		f->rcv_seq = r.rcv_nxt;
	r.n = lw_follow_body(msg, &f->frame, 0, r.size);
	if (f->frame.state == LW_FRAME_LOST) {
		lw_opaque(f, LW_REASON_OPAQUE_MALFORMED);
		r.n = r.size;
	}
	return lw_forward(msg, f, &r);
}
