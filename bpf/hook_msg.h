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
#include "lib/msg_request.h"

static __always_inline int lw_read_head(struct sk_msg_md *msg, struct lw_head *h,
					const struct lw_names *names, __u32 n)
{
	if (n < 1 || n > LW_HEAD_MAX || bpf_msg_pull_data(msg, 0, n, 0) ||
	    bpf_probe_read_kernel(h->buf, n, (void *)(long)msg->data))
		return -1;
	return lw_scan_request(h, names, n);
}

/* enum lw_head_look. OPAQUE: the reason is in the flow. */
__noinline int lw_look(struct sk_msg_md *msg, struct lw_flow *f, struct lw_head *h,
		       struct lw_run *r)
{
	struct lw_slot_key nk = {};
	const struct lw_names *names;
	__u32 n, why = LW_REASON_OPAQUE_MALFORMED;
	int look = LW_LOOK_OPAQUE;

	if (!f || !h || !r)
		return look;
	n = r->size;
	nk.slot = r->slot;
	names = bpf_map_lookup_elem(&lw_names, &nk);
	lw_request_begin(h);
	if (!names)
		goto opaque;
	n = LW_AT_MOST(n, LW_HEAD_LOOK);
	if (lw_read_head(msg, h, names, n))
		goto opaque;
	if (h->scan.state < LW_SCAN_DONE && r->size > n) {
		n = LW_AT_MOST(r->size, LW_HEAD_MAX);
		if (lw_read_head(msg, h, names, n))
			goto opaque;
	}
	look = lw_request_look(&h->scan, r->size, &f->frame, &why);
	/* perhaps another protocol by now, whose first bytes look like a method: do not hold them back */
	if ((f->flags & LW_FLOW_UPGRADE) &&
	    (look == LW_LOOK_MORE || h->scan.state == LW_SCAN_ERROR)) {
		look = LW_LOOK_OPAQUE;
		why = LW_REASON_OPAQUE_UPGRADE;
	}
opaque:
	if (look == LW_LOOK_OPAQUE)
		lw_opaque(f, why);
	return look;
}

static __always_inline int lw_on_head(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	struct lw_scratch *s;
	int look, v;

	if (f->pieces && r->write_seq != f->held_seq) {
		/*
		 * The kernel has not held the first piece back, for want of room in the message (sk_msg_full()): it is with the own peer. With the
		 * rest it could be answered there before what is due elsewhere.
		 */
		if (f->route != LW_ROUTE_PEER && !lw_is_over(f, r))
			return SK_DROP;
		f->pieces = 0;
		f->flags &= ~LW_FLOW_CORKED;
		f->route = LW_ROUTE_PEER;
		lw_opaque(f, LW_REASON_OPAQUE_PIECES);
		return lw_forward(msg, f, r);
	}
	if (f->noticed) {
		f->pieces = 0;
		lw_doubt(f, r);
		lw_opaque(f, f->noticed & LW_KEEP_FIONREAD ? LW_REASON_KEPT_FIONREAD :
			     f->noticed & LW_KEEP_SPLICE   ? LW_REASON_KEPT_SPLICE :
							     LW_REASON_TCP_MEMORY);
		return lw_forward(msg, f, r);
	}
	s = lw_scratch_take();
	if (!s) {
		lw_doubt(f, r);
		lw_opaque(f, LW_REASON_SCRATCH);
		return lw_forward(msg, f, r);
	}
	look = lw_look(msg, f, &s->head, r);
	if (look == LW_LOOK_MORE && ++f->pieces > LW_HEAD_PIECES_MAX) {
		lw_opaque(f, LW_REASON_OPAQUE_PIECES);
		look = LW_LOOK_OPAQUE;
	}
	if (look == LW_LOOK_MORE) {
		f->held_seq = r->write_seq;
		f->flags |= LW_FLOW_CORKED;
		bpf_msg_cork_bytes(msg, r->size + 1);
		lw_scratch_put(s);
		/* where it is not held back this is where it goes; and the socket that an earlier part went to may be gone by the next run */
		return lw_to_peer(msg, r->cookie);
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
	if ((conf->flags & LW_CONF_STOPPED) && f->route == LW_ROUTE_PEER) {
		f->pieces = 0;
		return lw_to_peer(msg, r.cookie);
	}
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
			struct lw_up *up = lw_up_of(c);

			seq = f->sent_seq;
			if (up && up->sk) {
				__u32 now = lw_read_write_seq(up->sk);

				/* a FIN of its own counts as a byte, and behind that its address means nothing; looked at after the count */
				if (lw_takes_bytes(up->sk))
					seq = now;
			}
			/* known for as long as it may be asked for: its row is gone soon after it */
			if (c && *(volatile __u64 *)&f->ended_up == c)
				seq = f->ended_seq;
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
		/*
		 * Its own peer has closed it, which the application has yet to see: the request is to fail as it does without us, and be asked
		 * again on another connection. A pod of a lane would do what it asks, and nobody would read the answer. Where the agent has stopped
		 * the next request is the own peer's, too; what is none, and one in front of which an answer is due, ends where it began.
		 */
		if ((sk->state == BPF_TCP_CLOSE_WAIT || (r.flags & LW_CONF_STOPPED)) &&
		    lw_is_over(f, &r)) {
			f->pieces = 0;
			return lw_to_peer(msg, r.cookie);
		}
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
