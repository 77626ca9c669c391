/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * sk_skb verdicts. lw_reply, on upstream sockets: response bytes go to the downstream socket that asked,
 * and the responses' framing is followed, so that "a response is due" is known. lw_native, on downstream sockets
 * and pods' ends of kernels that need it: takes what the peer sent, nothing else.
 */

SEC("sk_skb/stream_verdict")
int lw_native(struct __sk_buff *skb)
{
	return lw_stream_trim(skb);
}

/* Of a response head, bytes looked at in one piece. */
#define LW_REPLY_WINDOW 2048
#define LW_REPLY_STEPS 32768

struct lw_reply_ctx {
	void *ctx; /* of the program: where the bytes are */
	struct lw_up *up;
	struct lw_head *head;
	const struct lw_names *names;
	__u32 off; /* in what the program was given */
	__u32 len; /* of it */
	__u32 surplus; /* what is behind off is no answer to anything */
};

static __always_inline void lw_response_ended(struct lw_up *up)
{
	up->resp_seq++;
	__builtin_memset(up->scan_state, 0, sizeof(up->scan_state));
	((struct lw_scan *)up->scan_state)->response = 1;
}

/* One step through the bytes: a run of body, or a window of head or chunk framing. load: n bytes from c->off into buf */
static __always_inline long lw_reply_step(struct lw_reply_ctx *c, long (*load)(struct lw_reply_ctx *c, void *buf, __u32 n))
{
	struct lw_up *up = c->up;
	struct lw_frame *f = &up->frame;
	struct lw_scan *scan = (struct lw_scan *)up->scan_state;
	__u32 n = c->len - c->off, skipped;

	if (c->off >= c->len || f->state == LW_FRAME_LOST)
		return 1;
	skipped = lw_frame_skip(f, n);
	if (skipped) {
		c->off += skipped;
		if (f->state == LW_FRAME_HEAD)
			lw_response_ended(up);
		return 0;
	}
	n = LW_AT_MOST(n, LW_REPLY_WINDOW);
	if (f->state == LW_FRAME_CHUNKED && n > LW_WINDOW)
		n = LW_WINDOW;
	if (n < 1 || load(c, c->head->buf, n)) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (f->state == LW_FRAME_CHUNKED) {
		c->off += lw_chunk_window(f, (const struct lw_window *)c->head->buf, n);
		if (f->state == LW_FRAME_HEAD)
			lw_response_ended(up);
		return 0;
	}

	if (!lw_up_is_due(up)) {
		c->surplus = 1;
		return 1;
	}
	c->off += lw_scan_response(scan, c->head, c->names, n);
	if (scan->state == LW_SCAN_ERROR || scan->pos > LW_HEAD_MAX) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (scan->state != LW_SCAN_DONE)
		return 0;
	if (scan->status == 101) {
		__sync_fetch_and_or(&up->flags, LW_UP_TUNNEL);
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (scan->status < 200) {
		/* interim: the final response follows */
		__builtin_memset(up->scan_state, 0, sizeof(up->scan_state));
		scan->response = 1;
		return 0;
	}
	if (lw_scan_closes(scan))
		__sync_fetch_and_or(&up->flags, LW_UP_CLOSING);
	lw_frame_response(scan, (up->head_bits >> (up->resp_seq & (LW_PIPELINE_MAX - 1))) & 1, f);
	if (f->state == LW_FRAME_HEAD)
		lw_response_ended(up);
	return 0;
}

/* Follows response bytes. cb: one step through them; c: all but head filled. */
static __always_inline void lw_follow_reply(struct lw_reply_ctx *c, long (*cb)(__u32 i, void *arg))
{
	struct lw_up *up = c->up;
	struct lw_scratch *s;

	if (up->frame.state == LW_FRAME_LOST || up->frame.state == LW_FRAME_CLOSE)
		return;
	if (up->frame.state == LW_FRAME_LENGTH && up->frame.left > c->len) {
		up->frame.left -= c->len;
		return;
	}
	s = lw_scratch_take();
	if (!s) {
		up->frame.state = LW_FRAME_LOST;
		return;
	}
	c->head = &s->head;
	bpf_loop(LW_REPLY_STEPS, cb, c, 0);
	if (c->off < c->len && !c->surplus)
		up->frame.state = LW_FRAME_LOST;
	lw_scratch_put(s);
}

static __always_inline long lw_load_skb(struct lw_reply_ctx *c, void *buf, __u32 n)
{
	return bpf_skb_load_bytes(c->ctx, c->off, buf, n);
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
static __always_inline int lw_reply_fin(struct __sk_buff *skb, struct lw_up *up, const struct lw_config *conf,
					__u64 down)
{
	if (!(conf->flags & LW_CONF_NATIVE_VERDICT) || (up->flags & LW_UP_RELAY))
		return SK_PASS;
	if (up->frame.state == LW_FRAME_CLOSE)
		up->resp_seq = up->req_seq;
	else if (!(up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)) &&
		 !((up->flags & LW_UP_CLOSING) && up->frame.state == LW_FRAME_HEAD && !lw_up_is_due(up)))
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
	if (!(up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)) && up->frame.state == LW_FRAME_HEAD && !lw_up_is_due(up)) {
		/* no request is out: whatever this is, the client must not take it for an answer */
		lw_up_closed(cookie);
		return SK_DROP;
	}
	nk.slot = conf->generation & 1;
	names = bpf_map_lookup_elem(&lw_names, &nk);
	if (!names)
		up->frame.state = LW_FRAME_LOST;
	else if (!(up->flags & LW_UP_OPAQUE)) {
		struct lw_reply_ctx c = { .ctx = skb, .up = up, .names = names, .len = skb->len };

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
		if (f && lw_queue_len(f->sk ? lw_psock_of(f->sk) : 0) > LW_BACKLOG_MAX && up->port) {
			__sync_fetch_and_or(&up->flags, LW_UP_RELAY);
			lw_emit(LW_EVENT_RELAY, down, cookie, NULL, NULL);
			return SK_PASS;
		}
	}
	return bpf_sk_redirect_hash(skb, &lw_down_socks, &down, BPF_F_INGRESS);
}
