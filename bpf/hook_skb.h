/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * sk_skb verdicts. lw_reply, on upstream sockets: response bytes go to the downstream socket that asked,
 * and the responses' framing is followed, so that "a response is due" is known. lw_native, on downstream sockets
 * and pods' ends of kernels that need it: takes what the peer sent, nothing else.
 */
#include "lib/ends.h"
#include "lib/reply.h"

SEC("sk_skb/stream_verdict")
int lw_native(struct __sk_buff *skb)
{
	return lw_stream_trim(skb);
}

static __always_inline long lw_load_skb(void *from, __u32 off, void *buf, __u32 n)
{
	return bpf_skb_load_bytes(from, off, buf, n);
}

static long lw_reply_skb_cb(__u32 i, void *arg)
{
	(void)i;
	return lw_reply_step(arg, lw_load_skb);
}

/*
 * The end of an upstream connection. Where it ends a response, or a response announced it, it is the
 * client's end of file too, behind all its bytes. (A FIN that came with data is not seen here: the agent then sends
 * one of its own making.) Without a verdict on the downstream socket a redirected FIN would
 * make recv(2) fail with EFAULT (tcp_bpf_recvmsg(); tcp_bpf_recvmsg_parser() knows it): there the agent does it.
 */
static __always_inline int lw_reply_fin(struct __sk_buff *skb, struct lw_up *up,
					const struct lw_config *conf, __u64 down)
{
	if (!(conf->flags & LW_CONF_NATIVE_VERDICT) || (up->flags & LW_UP_RELAY))
		return SK_PASS;
	/* of one that is not understood the client sees for itself whether it is whole, as it would of its own peer's */
	if (up->frame.state == LW_FRAME_CLOSE || up->frame.state == LW_FRAME_LOST)
		up->resp_seq = up->req_seq;
	else if (!(up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)) &&
		 !((up->flags & LW_UP_CLOSING) && up->frame.state == LW_FRAME_HEAD &&
		   !lw_up_is_due(up)))
		return SK_PASS;
	__sync_fetch_and_or(&up->flags, LW_UP_FIN_SENT);
	return bpf_sk_redirect_hash(skb, &lw_down_socks, &down, BPF_F_INGRESS);
}

SEC("sk_skb/stream_verdict")
int lw_reply(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb), down;
	struct lw_slot_key nk = {};
	const struct lw_names *names;
	struct lw_config *conf;
	struct lw_up *up;

	if (lw_stream_trim(skb) != SK_PASS)
		return SK_DROP;
	up = lw_up_of(cookie);
	if (!up)
		return SK_PASS;
	if (up->flags & (LW_UP_ORPHAN | LW_UP_CUT))
		return skb->len ? SK_DROP : SK_PASS;
	down = lw_down_of(up, cookie);
	conf = lw_conf();
	if (!down || !conf)
		return SK_PASS; /* waiting in a pool: the agent sees the bytes and throws the socket away */
	if (!skb->len)
		return lw_reply_fin(skb, up, conf, down);
	up->reply_sk = (__u64)skb->sk;
	if (!(up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)) && up->frame.state == LW_FRAME_HEAD &&
	    !lw_up_is_due(up)) {
		/* no request is out: whatever this is, the client must not take it for an answer */
		lw_up_closed(cookie);
		return SK_DROP;
	}
	nk.slot = conf->generation & 1;
	names = bpf_map_lookup_elem(&lw_names, &nk);
	if (!names)
		up->frame.state = LW_FRAME_LOST;
	else if (!(up->flags & LW_UP_OPAQUE)) {
		struct lw_reply_ctx c = { .from = skb, .up = up, .names = names, .len = skb->len };

		lw_follow_reply(&c, lw_reply_skb_cb);
		if (c.surplus) {
			/* the connection is not to be used again, and the client must not take this for the next answer */
			lw_up_closed(cookie);
			if (bpf_skb_change_tail(skb, c.off, 0)) {
				/* nor is it to wait for the end of this one: it is reset, as of an answer that was cut off */
				up->resp_seq--;
				__sync_fetch_and_or(&up->flags, LW_UP_CUT);
				return SK_DROP;
			}
		}
	}
	up->bytes += skb->len;
	if (up->flags & LW_UP_RELAY)
		return SK_PASS;
	/* redirected packets know no window: a slow reader's would pile up without end */
	if (up->bytes - up->looked >= LW_BACKLOG_LOOK) {
		struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &down);

		up->looked = up->bytes;
		if (f && lw_queue_len(f->sk ? lw_psock_of(f->sk) : 0) > LW_BACKLOG_MAX &&
		    up->port) {
			__sync_fetch_and_or(&up->flags, LW_UP_RELAY);
			lw_emit(LW_EVENT_RELAY, down, cookie, NULL, NULL);
			return SK_PASS;
		}
	}
	return bpf_sk_redirect_hash(skb, &lw_down_socks, &down, BPF_F_INGRESS);
}
