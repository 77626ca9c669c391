/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: where bytes of a send go, the own peer, an upstream socket or the agent, and what of them has gone; request bodies.
 */

/* Of a request head. */
enum lw_run_head {
	LW_RUN_HEAD = 1 << 0,
	LW_RUN_IS_HEAD = 1 << 1, /* its method is HEAD */
	/* the connection ends with its answer, whether or not that says so (RFC 9112, 9.6) */
	LW_RUN_CLOSES = 1 << 2,
};

/* One run of the program. Plain data, so that functions checked by themselves can take it. */
struct lw_run {
	__u64 cookie;
	__u64 generation;
	__u32 flags; /* enum lw_config_flags */
	__u32 slot;
	__u32 size; /* bytes in the message */
	__u32 n; /* bytes of it that this verdict is for */
	__u32 grown; /* bytes put in by us, less those taken out (two's complement) */
	__u32 write_seq; /* of the downstream socket */
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 head; /* enum lw_run_head of the one that the message starts with; 0: with none */
	__u32 hop_lanes; /* requests of these lanes are traced */
	__u32 agent; /* lw_config.agent */
};

static __always_inline __u32 lw_read_write_seq(__u64 sk)
{
	__u32 seq = 0;

	bpf_probe_read_kernel(&seq, sizeof(seq),
			      (void *)sk + bpf_core_field_offset(struct tcp_sock, write_seq));
	return seq;
}

/*
 * write_seq of the upstream socket a redirect has just been set to. Where the socket is, is remembered:
 * a redirect cannot be taken back, so the next run could not ask this way before it knows its route.
 */
static __always_inline __u32 lw_redirected_seq(struct sk_msg_md *msg, struct lw_up *up)
{
	__u64 sk = 0;

	bpf_probe_read_kernel(&sk, sizeof(sk),
			      (void *)msg + bpf_core_field_offset(struct sk_msg, sk_redir));
	up->sk = sk;
	return lw_read_write_seq(sk);
}

/*
 * A send may be taken in part: the rest is thrown away and the application told to send it again
 * (tcp_bpf_send_verdict()). What the socket took since the last run tells how much of what was followed then is
 * yet to come: that much passes without being followed twice. After such a failure the kernel applies the old verdict to the
 * next message without asking (psock->eval stays): then more went out than was followed.
 */
__noinline int lw_account(struct lw_flow *f, struct lw_run *r, __u32 seq)
{
	__s32 more;

	if (!f || !r || !(f->flags & LW_FLOW_SENT))
		return 0;
	f->flags &= ~LW_FLOW_SENT;
	more = (__s32)(seq - f->sent_seq);
	if (!more)
		return 0;
	if (more < 0) {
		f->skip += -more;
		return 0;
	}
	if ((__u32)more <= f->skip) {
		f->skip -= more;
		return 0;
	}
	more -= f->skip;
	f->skip = 0;
	if (f->frame.state == LW_FRAME_LENGTH && (__u64)more <= f->frame.left) {
		f->frame.left -= more;
		if (!f->frame.left)
			f->frame.state = LW_FRAME_HEAD;
		return 0;
	}
	f->flags |= LW_FLOW_OPAQUE;
	f->reason = LW_REASON_OPAQUE_PARTIAL;
	lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_OPAQUE_PARTIAL);
	return 0;
}

__noinline int lw_opaque(struct lw_flow *f, __u32 reason)
{
	if (!f || (f->flags & LW_FLOW_OPAQUE))
		return 0;
	f->flags |= LW_FLOW_OPAQUE;
	f->reason = reason;
	lw_count(f->workload_hash, f->lane, f->evidence, reason);
	return 0;
}

/* Where earlier bytes of the message were redirected to, if any were. */
static __always_inline __u64 lw_redirected(struct sk_msg_md *msg)
{
	__u64 redir = 0;

	bpf_probe_read_kernel(&redir, sizeof(redir),
			      (void *)msg + bpf_core_field_offset(struct sk_msg, sk_redir));
	return redir;
}

/*
 * The verdict for bytes that go on to the own peer. A message keeps where its earlier bytes were redirected to, also while
 * the kernel holds it back, and SK_PASS then means there (sk_psock_map_verd()). It can only be set to something else: to
 * the socket itself, whose connection the bytes then take as they are.
 */
static __always_inline int lw_to_peer(struct sk_msg_md *msg, __u64 cookie)
{
	return lw_redirected(msg) ? bpf_msg_redirect_hash(msg, &lw_down_socks, &cookie, 0) :
				    SK_PASS;
}

/* The last thing before a verdict: what it is for, and what the route's socket will then have taken. */
static __always_inline int lw_done(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
				   __u32 seq)
{
	__u32 n = r->n + r->grown;

	/* not for a whole message: the count would outlive a send taken in part, and cover the next request */
	if (r->n < r->size)
		bpf_msg_apply_bytes(msg, n);
	f->sent_seq = seq + n;
	f->flags |= LW_FLOW_SENT;
	return SK_PASS;
}

/*
 * To the own peer. Of a held message that is redirected, as it is there where an earlier part of it was, what the socket has no room for is lost, and the
 * application told that it has gone (tcp_bpf_send_verdict()): then it is refused, for good.
 */
static __always_inline int lw_send_own(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	if ((f->flags & LW_FLOW_CORKED) && lw_redirected(msg) &&
	    !lw_takes_all(f->sk, r->n + r->grown))
		return SK_DROP;
	lw_done(msg, f, r, r->write_seq);
	return lw_to_peer(msg, r->cookie);
}

/*
 * One more message for the agent, with its frame in front. SK_PASS: on its way. SK_DROP: it cannot be
 * taken, and the message is as it was. -1: the agent has bound an upstream socket in the meantime.
 */
__noinline int lw_punt(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	const struct lw_flow_up *fu;
	struct lw_punt p = {};
	__u64 was = 0;
	void *data, *end;
	__u32 i;

	if (!f || !r)
		return SK_DROP;
	if (r->head) {
		f->punt_to = r->agent & 1;
		f->punt_written = 0;
	}
	fu = &f->ups[f->up & (LW_FLOW_UPS - 1)];
	if (f->punt_bytes + (r->n + r->grown) > LW_PUNT_MAX_BYTES)
		return SK_DROP;
	if (!r->head) {
		for (i = 0; i < 2; i++) {
			was = f->punt;
			if (!was)
				return -1;
			if (__sync_val_compare_and_swap(&f->punt, was, was + 2) == was)
				break;
			was = 0;
		}
		if (!was)
			return -1;
	}
	p.magic = LW_PUNT_MAGIC;
	p.down = r->cookie;
	p.netns = f->netns;
	p.seq = (((__u32)was) >> 1) + 1;
	p.id = r->head ? (__u32)f->requests : was >> 32;
	p.addr = fu->addr;
	p.port = fu->port;
	p.lane = fu->lane;
	p.len = r->n + r->grown;
	p.pid = f->pid;
	p.flags = (r->head & LW_RUN_IS_HEAD ? LW_PUNT_IS_HEAD : 0) |
		  (r->head & LW_RUN_CLOSES ? LW_PUNT_CLOSES : 0) |
		  (f->flags & LW_FLOW_OPAQUE ? LW_PUNT_OPAQUE : 0);

	if (bpf_msg_push_data(msg, 0, sizeof(p), 0))
		return SK_DROP;
	/*
	 * One fragment, which is queued whole or not at all: of several bpf_tcp_ingress() queues the first where memory is short, and
	 * says nothing of it; the agent would take the next client's message for the rest. Where there are no pages for that it has to
	 * be left to chance, but not of a message that was held back: that is kept for later sends, its ring of fragments with end
	 * marks where it has been used (tcp_bpf_push()), and a reader stops at such a mark (sk_msg_recvmsg()).
	 */
	if (bpf_msg_pull_data(msg, 0, p.len + sizeof(p), 0) &&
	    ((f->flags & LW_FLOW_CORKED) || bpf_msg_pull_data(msg, 0, sizeof(p), 0)))
		goto undo;
	data = (void *)(long)msg->data;
	end = (void *)(long)msg->data_end;
	if (data + sizeof(p) > end)
		goto undo;
	__builtin_memcpy(data, &p, sizeof(p));
	if (bpf_msg_redirect_map(msg, &lw_punt_sock, f->punt_to & 1, BPF_F_INGRESS) != SK_PASS)
		goto undo;
	if (r->head)
		f->punt = (__u64)(__u32)f->requests << 32 | 3;
	__sync_fetch_and_add(&f->punt_bytes, p.len);
	f->flags &= ~LW_FLOW_CORKED; /* a message that is redirected is not kept */
	if (r->n < r->size)
		bpf_msg_apply_bytes(msg, p.len + sizeof(p));
	return SK_PASS;
undo:
	bpf_msg_pop_data(msg, 0, sizeof(p), 0);
	return SK_DROP;
}

/*
 * Sets where the verdict takes r->n bytes: to the upstream socket, or past its connection to the pod's. `first`: a
 * request starts with them. Only where it says LOST has nothing been set, and another route may be tried.
 */
enum lw_to_up {
	LW_TO_UP_LOST, /* the upstream socket is gone */
	LW_TO_UP_WIRE,
	LW_TO_UP_BYPASS,
};
__noinline int lw_to_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, __u64 cookie,
			__u32 first)
{
	struct lw_up *up = lw_up_of(cookie);

	if (!f || !r || !up || (up->flags & LW_UP_DEAD))
		return LW_TO_UP_LOST;
	/* a message that was once held back has end marks on its ring (lw_punt()) */
	if ((r->flags & (LW_CONF_BYPASS | LW_CONF_WIRE_REQUESTS)) == LW_CONF_BYPASS &&
	    !(f->flags & (LW_FLOW_CORKED | LW_FLOW_OPAQUE)) &&
	    lw_request_may_bypass(up, cookie, r->n, first) &&
	    bpf_msg_redirect_hash(msg, &lw_far_socks, &cookie, BPF_F_INGRESS) == SK_PASS)
		return LW_TO_UP_BYPASS;
	if (bpf_msg_redirect_hash(msg, &lw_up_socks, &cookie, 0) != SK_PASS)
		return LW_TO_UP_LOST;
	if (!(up->flags & LW_UP_REQ_WIRE))
		__sync_fetch_and_or(&up->flags, LW_UP_REQ_WIRE);
	return LW_TO_UP_WIRE;
}

/* The last thing before the verdict of lw_to_up(). */
static __always_inline int lw_sent_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
				      struct lw_up *up, int how)
{
	f->flags &= ~LW_FLOW_CORKED;
	if (how == LW_TO_UP_WIRE)
		return lw_done(msg, f, r, lw_redirected_seq(msg, up));
	if (r->n < r->size)
		bpf_msg_apply_bytes(msg, r->n + r->grown);
	return SK_PASS;
}

/* Sends r->n bytes, which do not start a request, on the route they belong to. */
__noinline int lw_forward(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	struct lw_up *up;
	int how;
	__u64 c;

	if (!f || !r)
		return SK_PASS;
	if (f->route == LW_ROUTE_PUNT) {
		int v = f->punt ? lw_punt(msg, f, r) : -1;

		if (v >= 0)
			return v;
		f->route = LW_ROUTE_UP;
	}
	if (f->route == LW_ROUTE_UP) {
		c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
		how = lw_to_up(msg, f, r, c, 0);
		up = lw_up_of(c);
		if (how == LW_TO_UP_LOST || !up) {
			/* half a request is at a pod that is gone: there is nowhere right for the rest */
			lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_UP_LOST);
			return SK_DROP;
		}
		if ((f->flags & LW_FLOW_OPAQUE) && !(up->flags & LW_UP_OPAQUE))
			__sync_fetch_and_or(&up->flags, LW_UP_OPAQUE);
		return lw_sent_up(msg, f, r, up, how);
	}
	return lw_send_own(msg, f, r);
}

/* ---- request bodies ---- */

static __always_inline long lw_load_msg(void *from, __u32 off, void *buf, __u32 n)
{
	struct sk_msg_md *msg = from;

	if (bpf_msg_pull_data(msg, off, off + n, 0))
		return -1;
	return bpf_probe_read_kernel(buf, n, (void *)(long)msg->data);
}

static long lw_body_cb(__u32 i, void *arg)
{
	(void)i;
	return lw_body_step(arg, lw_load_msg);
}

/* Follows body bytes from offset off on; returns where they end in the message. */
__noinline __u32 lw_follow_body(struct sk_msg_md *msg, struct lw_frame *f, __u32 off, __u32 size)
{
	struct lw_body_ctx c = { .from = msg, .f = f, .off = off, .len = size };

	if (!f)
		return size;
	return lw_body_follow(&c, lw_body_cb);
}
