/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_far_msg: every send of a pod on its end of an upstream connection, where that end is on this node. Response
 * bytes go into the receive queue of the downstream socket that asked, as far as lib/bypass.h allows; the rest takes
 * the connection and comes to lw_reply.
 */
#include "lib/ends.h"
#include "lib/reply.h"

static long lw_reply_msg_cb(__u32 i, void *arg)
{
	(void)i;
	return lw_reply_step(arg, lw_load_msg);
}

/*
 * By the connection, as without us: see lw_to_peer(). What is behind an answer that the client has got already may come when its upstream
 * socket is given up and gone; it is refused then, with the connection.
 */
static __always_inline int lw_far_pass(struct sk_msg_md *msg, __u64 cookie)
{
	return lw_redirected(msg) ? bpf_msg_redirect_hash(msg, &lw_far_socks, &cookie, 0) : SK_PASS;
}

/*
 * Is all that took the connection in the downstream socket's queue by now? TCP acknowledges bytes before lw_reply gets them
 * (tcp_rcv_established()), and where the upstream socket was locked, as by a client that sends on it, that is done by a thread, which others may
 * run beside, or in the middle of. So: all acknowledged, then that socket at rest, then nothing on its way into the other.
 */
static __always_inline int lw_wire_is_through(struct lw_up *up, __u64 cookie,
					      const struct tcp_sock *tp, const struct lw_flow *f)
{
	const struct lw_far *far = bpf_map_lookup_elem(&lw_fars, &cookie);

	if (!far || tp->write_seq != tp->snd_una)
		return 0;
	/* atomic, its result used: what comes next is not read before */
	if (!(__sync_fetch_and_and(&up->flags, ~LW_UP_RESP_WIRE) & LW_UP_RESP_WIRE) ||
	    lw_is_held(far->up_sk) || lw_queued(f->sk)) {
		__sync_fetch_and_or(&up->flags, LW_UP_RESP_WIRE);
		return 0;
	}
	return 1;
}

SEC("sk_msg")
int lw_far_msg(struct sk_msg_md *msg)
{
	struct lw_reply_ctx c = { .from = msg, .len = msg->size };
	struct bpf_sock *sk = msg->sk;
	struct lw_slot_key nk = {};
	const struct lw_scan *scan;
	struct lw_config *conf = lw_conf();
	struct tcp_sock *tp;
	struct lw_flow *f;
	struct lw_sk *st;
	struct lw_up *up;
	__u64 cookie, down;

	if (!sk || !conf)
		return SK_PASS;
	st = bpf_sk_storage_get(&lw_sk, sk, 0, 0);
	tp = bpf_skc_to_tcp_sock(sk);
	if (!st || st->role != LW_ROLE_FAR || !tp)
		return SK_PASS;
	cookie = st->cookie;
	up = lw_up_of(cookie);
	if (!up)
		return lw_far_pass(msg, cookie);
	/* see lw_msg: keeps the map, and with it the bytes that its sockets have not read */
	if (conf->abi != LW_ABI_VERSION)
		return bpf_msg_redirect_hash(msg, &lw_far_socks, &cookie, BPF_F_INGRESS);
	down = lw_down_of(up, cookie);
	if (!down ||
	    (up->flags &
	     (LW_UP_DEAD | LW_UP_ORPHAN | LW_UP_CUT | LW_UP_TUNNEL | LW_UP_OPAQUE | LW_UP_RELAY)) ||
	    up->frame.state == LW_FRAME_LOST || up->frame.state == LW_FRAME_CLOSE)
		goto wire;
	f = bpf_map_lookup_elem(&lw_flows, &down);
	if (!f)
		goto wire;
	scan = (const struct lw_scan *)up->scan_state;
	if (up->frame.state == LW_FRAME_HEAD && !scan->pos) {
		/* a response begins, and if nobody asked for it lw_reply will know what to do */
		if (!lw_up_is_due(up))
			goto wire;
		if ((up->flags & LW_UP_RESP_WIRE) && !lw_wire_is_through(up, cookie, tp, f))
			return lw_far_pass(msg, cookie);
	}
	if (up->flags & LW_UP_RESP_WIRE)
		return lw_far_pass(msg, cookie);
	if (lw_queue_is_empty(f->sk))
		up->passed_resp = 0;
	/* the end of file that waits for the response's end is not to pass it: see lw_is_giving() */
	if (f->fin_held || (f->flags & LW_FLOW_FIN_SENT))
		goto wire;
	if (up->passed_resp + c.len > LW_BYPASS_MAX || lw_is_locked(f->sk) ||
	    lw_tcp_is_tight(f->sk))
		goto wire;
	nk.slot = conf->generation & 1;
	c.names = bpf_map_lookup_elem(&lw_names, &nk);
	if (!c.names || bpf_msg_redirect_hash(msg, &lw_down_socks, &down, BPF_F_INGRESS) != SK_PASS)
		goto wire;
	up->passed_ns = bpf_ktime_get_coarse_ns();
	up->passed_resp += c.len;
	up->bytes += c.len;
	c.up = up;
	lw_follow_reply(&c, lw_reply_msg_cb);
	/*
	 * What nobody has asked for is looked at by itself, goes over the connection, and is for lw_reply to throw away. It is not to be
	 * an answer to what the client sends before that: so no request is given to this socket from now on.
	 */
	if (c.surplus) {
		lw_up_closed(cookie);
		bpf_msg_apply_bytes(msg, c.off);
	}
	return SK_PASS;
wire:
	up->passed_ns = 0; /* by whoever sends this all is there that he has sent before */
	__sync_fetch_and_or(&up->flags, LW_UP_RESP_WIRE);
	return lw_far_pass(msg, cookie);
}
