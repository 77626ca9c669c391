/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * lw_msg: every send of a downstream socket. Follows the request framing; at a head decides the lane,
 * and from there to the end of the request sends on one route: the own peer, an upstream socket, or the agent.
 *
 * Fails open: what cannot be decided follows the own peer (or, LW_CONF_FAIL_CLOSED, is refused with
 * EACCES). Once bytes of a request are on a route, the rest takes the same one or the send fails.
 */

/* First look at a head; longer ones cost a second, larger copy. Power of two. */
#define LW_HEAD_LOOK 2048
/* Base requests of one flow that may wait in it to be counted. */
#define LW_BASE_BULK 1024

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
	__u32 head; /* the message starts with a request head */
	__u32 hop_lanes; /* requests of these lanes are traced */
	__u32 agent; /* lw_config.agent */
};

static __always_inline __u32 lw_read_write_seq(__u64 sk)
{
	__u32 seq = 0;

	bpf_probe_read_kernel(&seq, sizeof(seq), (void *)sk + bpf_core_field_offset(struct tcp_sock, write_seq));
	return seq;
}

/*
 * write_seq of the upstream socket a redirect has just been set to. Where the socket is, is remembered:
 * a redirect cannot be taken back, so the next run could not ask this way before it knows its route.
 */
static __always_inline __u32 lw_redirected_seq(struct sk_msg_md *msg, struct lw_up *up)
{
	__u64 sk = 0;

	bpf_probe_read_kernel(&sk, sizeof(sk), (void *)msg + bpf_core_field_offset(struct sk_msg, sk_redir));
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

/*
 * The verdict for bytes that go on to the own peer. A message keeps where its earlier bytes were redirected to, also while
 * the kernel holds it back, and SK_PASS then means there (sk_psock_map_verd()). It can only be set to something else: to
 * the socket itself, whose connection the bytes then take as they are.
 */
static __always_inline int lw_to_peer(struct sk_msg_md *msg, __u64 cookie)
{
	__u64 redir = 0;

	bpf_probe_read_kernel(&redir, sizeof(redir), (void *)msg + bpf_core_field_offset(struct sk_msg, sk_redir));
	return redir ? bpf_msg_redirect_hash(msg, &lw_down_socks, &cookie, 0) : SK_PASS;
}

/* The last thing before a verdict: what it is for, and what the route's socket will then have taken. */
static __always_inline int lw_done(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, __u32 seq)
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
	if (r->head)
		f->punt_to = r->agent & 1;
	fu = &f->ups[f->up & (LW_FLOW_UPS - 1)];
	if (f->punt_bytes + r->n > LW_PUNT_MAX_BYTES)
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
	p.flags = (r->head == 2 ? LW_PUNT_IS_HEAD : 0) | (f->flags & LW_FLOW_OPAQUE ? LW_PUNT_OPAQUE : 0);

	if (bpf_msg_push_data(msg, 0, sizeof(p), 0))
		return SK_DROP;
	/*
	 * A message that was held back is kept for later sends, its ring of fragments with end marks where it
	 * has been used (tcp_bpf_push()); a reader of the agent's socket would stop at such a mark (sk_msg_recvmsg())
	 * and lose the rest: make it one fragment.
	 */
	if (bpf_msg_pull_data(msg, 0, f->flags & LW_FLOW_CORKED ? p.len + sizeof(p) : sizeof(p), 0))
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
	f->punt_bytes += r->n;
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
__noinline int lw_to_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, __u64 cookie, __u32 first)
{
	struct lw_up *up = bpf_map_lookup_elem(&lw_ups, &cookie);

	if (!f || !r || !up || (up->flags & LW_UP_DEAD))
		return LW_TO_UP_LOST;
	/* a message that was once held back has end marks on its ring (lw_punt()) */
	if ((r->flags & LW_CONF_BYPASS) && !(f->flags & (LW_FLOW_CORKED | LW_FLOW_OPAQUE)) &&
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
static __always_inline int lw_sent_up(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_up *up,
				      int how)
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
		up = bpf_map_lookup_elem(&lw_ups, &c);
		if (how == LW_TO_UP_LOST || !up) {
			/* half a request is at a pod that is gone: there is nowhere right for the rest */
			lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_UP_LOST);
			return SK_DROP;
		}
		if ((f->flags & LW_FLOW_OPAQUE) && !(up->flags & LW_UP_OPAQUE))
			__sync_fetch_and_or(&up->flags, LW_UP_OPAQUE);
		return lw_sent_up(msg, f, r, up, how);
	}
	lw_done(msg, f, r, r->write_seq);
	return lw_to_peer(msg, r->cookie);
}

/* ---- request bodies ---- */

struct lw_chunks_ctx {
	struct sk_msg_md *msg;
	struct lw_frame *f;
	__u32 off;
	__u32 size;
	struct lw_window win;
};

static long lw_chunks_cb(__u32 i, void *arg)
{
	struct lw_chunks_ctx *c = arg;
	struct lw_frame *f = c->f;
	__u32 n = c->size - c->off, skipped;

	(void)i;
	if (c->off >= c->size || f->state != LW_FRAME_CHUNKED)
		return 1;
	skipped = lw_frame_skip(f, n);
	if (skipped) {
		c->off += skipped;
		return 0;
	}
	if (n > LW_WINDOW)
		n = LW_WINDOW;
	if (n < 1 || bpf_msg_pull_data(c->msg, c->off, c->off + n, 0) ||
	    bpf_probe_read_kernel(c->win.b, n, (void *)(long)c->msg->data)) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	c->off += lw_chunk_window(f, &c->win, n);
	return 0;
}

/* Follows body bytes from offset off on; returns where they end in the message. */
__noinline __u32 lw_follow_body(struct sk_msg_md *msg, struct lw_frame *f, __u32 off, __u32 size)
{
	struct lw_chunks_ctx c = { .msg = msg, .f = f, .off = off, .size = size };

	if (!f)
		return size;
	if (f->state == LW_FRAME_LENGTH)
		return off + lw_frame_skip(f, size - off);
	if (f->state == LW_FRAME_CHUNKED)
		bpf_loop(LW_CHUNK_WINDOWS, lw_chunks_cb, &c, 0);
	return c.off;
}

/* ---- heads ---- */

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
	up = bpf_map_lookup_elem(&lw_ups, &c);
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

/* Brings what the flow remembers of the state to this generation. */
__noinline int lw_refresh(struct lw_flow *f, struct lw_run *r, __u32 busy)
{
	const struct lw_config *conf = lw_conf();
	const struct lw_workload *w;
	const struct lw_dest *dest;
	struct lw_slot_key wk = {};
	const struct lw_pod *pod;
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
	pod = lw_pod_of(r->slot, &f->peer);
	f->peer_lane = pod && pod->workload == f->workload ? pod->lane : 0;
	/* a canary that is leaving takes no new request of anybody; a base pod's clients are its own matter */
	if (f->peer_lane && (!(pod->flags & LW_POD_READY) || (pod->flags & LW_POD_TERMINATING)))
		f->peer_lane = LW_LANE_ONCE;
	pod = lw_client_pod(r->slot, f);
	f->own_lane = pod ? pod->lane : 0;
	f->untrusted = pod && (pod->flags & LW_POD_UNTRUSTED);
	for (i = 0; i < LW_FLOW_UPS; i++) {
		struct lw_flow_up *fu = &f->ups[i];

		if (!fu->up || (busy && f->up == i))
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
};

__noinline int lw_is_busy(struct lw_flow *f, struct lw_run *r)
{
	struct lw_up *up;
	__u64 c;

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
	c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
	up = bpf_map_lookup_elem(&lw_ups, &c);
	if (f->route == LW_ROUTE_PUNT && f->punt) {
		if (!up || up->req_seq != up->resp_seq)
			return LW_BUSY_YES;
		/* answered in full before the agent came to say so: the request was whole */
		f->punt = 0;
		f->route = LW_ROUTE_UP;
	}
	if (!up)
		return LW_BUSY_NO;
	if (up->frame.state == LW_FRAME_LOST || (up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)))
		return LW_BUSY_OPAQUE;
	return up->req_seq != up->resp_seq;
}

/*
 * Low byte: a live upstream socket of this flow for the lane; next byte: a free slot. LW_FLOW_UPS: none. One that an earlier
 * agent opened is let go, once no response is due on it: that agent is about to end, or has ended.
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
			up = bpf_map_lookup_elem(&lw_ups, &c);
			if (!up || (up->flags & LW_UP_DEAD) || f->ups[i].lane == LW_LANE_ONCE ||
			    (up->agent != r->agent && !(busy && f->up == i))) {
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
	ep = lw_choose(r->flags, r->slot, f->group, lane);
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
		up = bpf_map_lookup_elem(&lw_ups, &c);
		if (!up || (up->flags & LW_UP_DEAD) || up->down)
			continue;
		if (up->agent != r->agent) {
			/* an earlier agent's, which is to find it unused */
			__sync_fetch_and_or(&up->flags, LW_UP_DEAD);
			continue;
		}
		up->lane = fu->lane;
		up->down = r->cookie;
		fu->up = c;
		__sync_fetch_and_add(&p->takes, 1);
		lw_emit(LW_EVENT_TAKEN, r->cookie, c, f, fu);
		return 1;
	}
	__sync_fetch_and_add(&p->misses, 1);
	return 0;
}

/* ---- what is put on a steered request, and taken off it ---- */

struct lw_strip_ctx {
	struct sk_msg_md *msg;
	struct lw_head *head;
	__u64 mask[4]; /* headers whose lines go */
	__u32 lines; /* captures that go */
	__u32 cut; /* bytes of the baggage go, as head->bag says */
	__u32 removed;
	__u32 failed;
};

/* Lines of all tags. */
#define LW_STRIP_TAGS ((2ull << LW_HDR_TAG_LAST) - (1ull << LW_HDR_TAG_FIRST))

/* From the last line to the first, so that the offsets of those before stay true. */
static long lw_strip_cb(__u32 i, void *arg)
{
	struct lw_strip_ctx *c = arg;
	const struct lw_capture *cap;
	__u32 k, at, len;

	if (i >= c->head->caps.n)
		return 1;
	k = (c->head->caps.n - 1 - i) & (LW_CAPTURES - 1);
	cap = &c->head->caps.at[k];
	at = cap->line;
	len = cap->line_len;
	if (!(c->mask[cap->header >> 6 & 3] >> (cap->header & 63) & 1) && !(c->lines >> k & 1)) {
		if (!c->cut || c->head->bag.cut_line != k)
			return 0;
		at = c->head->bag.cut;
		len = c->head->bag.cut_len;
	}
	if (bpf_msg_pop_data(c->msg, at, len, 0)) {
		c->failed = 1;
		return 1;
	}
	c->removed += len;
	return 0;
}

struct lw_block {
	__u64 w[LW_BLOCK_LEN / 8];
};

/*
 * Puts bytes from..from + len of a block there; len_from: len | from << 16. 0, or -1 if the message was left without its
 * header, or -2 if it must not go out at all.
 */
__noinline int lw_put_block(struct sk_msg_md *msg, struct lw_run *r, __u32 at, const struct lw_block *block,
			    __u32 len_from)
{
	__u32 i, len = len_from & 0xffff, word = len_from >> 19;
	void *p, *end;

	if (!r || !block || len < 8 || len > LW_BLOCK_LEN)
		return -1;
	if (bpf_msg_push_data(msg, at, len, 0))
		return -1;
	r->grown += len;
	if (bpf_msg_pull_data(msg, at, at + len, 0))
		return -2;
	p = (void *)(long)msg->data;
	end = (void *)(long)msg->data_end;
	/* the pushed bytes hold whatever the page held: write every one */
	for (i = 0; i < LW_BLOCK_LEN / 8; i++) {
		if (i * 8 >= len)
			return 0;
		if (p + 8 > end)
			return -2;
		*(__u64 *)p = block->w[(word + i) & (LW_BLOCK_LEN / 8 - 1)];
		p += 8;
	}
	return 0;
}

/* What goes with a request of a lane: len | from << 16 of its block's bytes. `bare`: the baggage it has will be gone. */
static __always_inline __u32 lw_block_part(struct lw_flow *f, struct lw_head *h, const struct lw_decision *d,
					   struct lw_strip_ctx *c, __u32 tag_len, __u32 baggage_len, __u32 bare)
{
	__u32 len = d->tagged ? 0 : tag_len, from = d->tagged ? tag_len : 0;
	enum lw_baggage_todo todo;

	if (!baggage_len)
		return len;
	todo = bare ? LW_BAGGAGE_ADD : lw_baggage_todo(&h->bag, d->lane, baggage_len);
	if (todo == LW_BAGGAGE_HAVE)
		return len;
	if (todo == LW_BAGGAGE_LEAVE) {
		lw_count(f->workload_hash, d->lane, d->evidence, LW_REASON_BAGGAGE);
		return len;
	}
	c->cut = todo == LW_BAGGAGE_REPLACE;
	return (len + baggage_len) | from << 16;
}

/* 0, or -2 as above. */
__noinline int lw_modify(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r, struct lw_head *h,
			 const struct lw_decision *d)
{
	struct lw_strip_ctx c = { .msg = msg };
	const struct lw_block *block = NULL;
	const struct lw_lane *lane;
	__u32 part = 0, i, bare;
	int err = 0;

	if (!f || !r || !h || !d)
		return -2;
	c.head = h;
	if (d->strip) {
		c.mask[0] = LW_STRIP_TAGS;
		c.lines = h->bag.ours;
	}
	if (d->rule) {
		const struct lw_rule *rule = lw_get_rule(r->slot, d->rule & ~LW_STEP_ENTER);

		if (!rule)
			return 0;
		for (i = 0; i < LW_MODS_REMOVE; i++) {
			if (i >= rule->nremove)
				break;
			c.mask[rule->remove[i] >> 6 & 3] |= 1ull << (rule->remove[i] & 63);
		}
		bare = c.mask[0] >> LW_HDR_BAGGAGE & 1;
		block = (const struct lw_block *)rule->block;
		part = lw_block_part(f, h, d, &c, rule->block_len, rule->baggage_len, bare);
	} else if (d->lane) {
		lane = lw_get_lane(r->slot, d->lane);
		if (lane) {
			block = (const struct lw_block *)lane->block;
			part = lw_block_part(f, h, d, &c, lane->block_len, lane->baggage_len, 0);
		}
	}
	if (c.mask[0] | c.mask[1] | c.mask[2] | c.mask[3] | c.lines | c.cut)
		bpf_loop(LW_CAPTURES, lw_strip_cb, &c, 0);
	r->grown -= c.removed;
	if (c.failed)
		err = -1;
	else if (block && (part & 0xffff))
		err = lw_put_block(msg, r, h->scan.fields, block, part);
	if (err == -1)
		lw_count(f->workload_hash, d->lane, d->evidence, LW_REASON_PUSH);
	if (err == -2)
		return -2;
	/* each fragment would be a packet of its own (tcp_bpf_push()): make the head one again */
	if (r->grown && h->scan.pos <= LW_HEAD_LOOK)
		bpf_msg_pull_data(msg, 0, h->scan.pos + r->grown, 0);
	return 0;
}

/*
 * Doubt is base: a request that cannot be read goes to the own peer, and all that follows it, unless an answer to an
 * earlier one is due elsewhere.
 */
__noinline int lw_doubt(struct lw_flow *f, struct lw_run *r)
{
	if (!f || !r || f->route == LW_ROUTE_PEER || !f->ups[f->up & (LW_FLOW_UPS - 1)].lane)
		return 0;
	if (lw_is_busy(f, r) == LW_BUSY_NO)
		f->route = LW_ROUTE_PEER;
	return 0;
}

/* The request in h has its lane and route: whoever traces wants to know. */
static __always_inline void lw_traced(struct lw_flow *f, struct lw_run *r, struct lw_head *h)
{
	if (r->hop_lanes >> (f->lane & 31) & 1)
		lw_hop_tell(f, h, r->cookie);
}

/*
 * A whole head is in h, r->n covers the request as far as this message holds it. Chooses the route.
 */
static __always_inline int lw_on_request(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r,
					 struct lw_head *h)
{
	struct lw_learned learned = {};
	struct lw_decision d = {};
	struct lw_group_key gk = {};
	__u32 busy = lw_is_busy(f, r), lane, target, i = 0, reason, route = LW_ROUTE_PEER;
	__u32 is_head = !!(h->scan.flags & LW_SCAN_IS_HEAD), fin_held = f->flags & LW_FLOW_FIN_HELD, modify;
	struct lw_up *up;
	int how;
	__u64 c;

	if (busy == LW_BUSY_OPAQUE) {
		lw_opaque(f, LW_REASON_OPAQUE_RESPONSE);
		return -1;
	}
	if (f->gen != r->generation)
		lw_refresh(f, r, busy);
	h->eval.untrusted = f->untrusted;
	if ((r->flags & LW_CONF_INBOUND) && !f->own_lane) {
		lw_learn(h, f, r->slot, r->flags, &learned);
		lw_learn_older(f->netns, &learned);
	}
	lw_decide_request(h, r->slot | f->own_lane << 16, &learned, f->entry, &d);
	lane = d.lane;
	modify = lane || d.strip;
	reason = d.reason;
	target = lane;
	if (lane && (lane != f->peer_lane || fin_held)) {
		const struct lw_group *g;

		gk.slot = r->slot;
		gk.group = f->group;
		gk.lane = lane;
		g = bpf_map_lookup_elem(&lw_groups, &gk);
		if (!g || !g->count) {
			target = 0;
			reason = LW_REASON_NO_ENDPOINT;
		}
	}
	if (target != f->peer_lane || fin_held) {
		__u32 found = lw_find_up(f, r, target, busy), room = found >> 8;

		found &= 0xff;
		if (found < LW_FLOW_UPS) {
			route = LW_ROUTE_UP;
			i = found;
		} else if (room >= LW_FLOW_UPS) {
			reason = LW_REASON_UPS_FULL;
		} else if (busy && f->route == LW_ROUTE_PUNT) {
			route = LW_ROUTE_PUNT; /* found out below */
		} else if (lw_pick(f, r, target, room)) {
			route = LW_ROUTE_PUNT;
			i = room;
		} else {
			reason = LW_REASON_NO_ENDPOINT;
		}
	}
	i &= LW_FLOW_UPS - 1;
	/* a request behind one that is still with the agent has no route to be sure of either */
	if (busy && (route != f->route || route == LW_ROUTE_PUNT || (route == LW_ROUTE_UP && i != f->up))) {
		lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
		return -1;
	}
	/*
	 * Of a message that was held back the kernel throws away what a redirect is not for (tcp_bpf_send_verdict() frees
	 * it all): the next request's beginning cannot wait in it for a route of its own.
	 */
	if (route != LW_ROUTE_PEER && (f->flags & LW_FLOW_CORKED) && r->n < r->size) {
		if (!busy)
			lw_doubt(f, r);
		lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
		return -1;
	}
	if (route == LW_ROUTE_PUNT) {
		struct lw_config *conf = lw_conf();

		if (lw_take(f, r, i)) {
			route = LW_ROUTE_UP;
		} else if (!conf || !lw_agent_alive(conf)) {
			reason = LW_REASON_AGENT_STALE;
			route = LW_ROUTE_PEER;
		} else if (conf->flags & LW_CONF_NO_PUNT) {
			reason = LW_REASON_NO_SOCKETS;
			route = LW_ROUTE_PEER;
		} else {
			reason = LW_REASON_POOL_EMPTY;
		}
	}
	r->head = 1 + is_head;
	f->punt_bytes = 0;

	if (route == LW_ROUTE_UP) {
		c = f->ups[i].up;
		up = bpf_map_lookup_elem(&lw_ups, &c);
		if (up && up->req_seq - up->resp_seq >= LW_PIPELINE_MAX) {
			lw_opaque(f, LW_REASON_OPAQUE_PIPELINED);
			return -1;
		}
		how = up ? lw_to_up(msg, f, r, c, 1) : LW_TO_UP_LOST;
		if (up && how != LW_TO_UP_LOST) {
			__u32 bit = 1u << (up->req_seq & (LW_PIPELINE_MAX - 1));

			if (modify && lw_modify(msg, f, r, h, &d))
				return SK_DROP;
			if (is_head)
				up->head_bits |= bit;
			else
				up->head_bits &= ~bit;
			up->req_seq++;
			f->route = LW_ROUTE_UP;
			f->up = i;
			f->lane = lane;
			f->evidence = d.evidence;
			f->reason = reason;
			lw_count(f->workload_hash, lane, d.evidence, reason);
			lw_traced(f, r, h);
			return lw_sent_up(msg, f, r, up, how);
		}
		lw_release(f, r->cookie, i);
		reason = LW_REASON_REDIRECT;
	} else if (route == LW_ROUTE_PUNT) {
		__u32 was_route = f->route, was_up = f->up;

		if (modify && lw_modify(msg, f, r, h, &d))
			return SK_DROP;
		f->route = LW_ROUTE_PUNT;
		f->up = i;
		if (lw_punt(msg, f, r) == SK_PASS) {
			f->lane = lane;
			f->evidence = d.evidence;
			f->reason = reason;
			lw_count(f->workload_hash, lane, d.evidence, reason);
			lw_traced(f, r, h);
			return SK_PASS;
		}
		f->route = was_route;
		f->up = was_up;
		f->punt = 0;
		reason = LW_REASON_REDIRECT;
		modify = 0; /* it is done already */
	}

	/* the own peer: because it is the right one, or for want of better */
	f->lane = lane;
	f->evidence = d.evidence;
	f->reason = reason;
	if (target != f->peer_lane && (r->flags & LW_CONF_FAIL_CLOSED)) {
		f->reason = LW_REASON_REFUSED;
		lw_count(f->workload_hash, lane, d.evidence, LW_REASON_REFUSED);
		lw_traced(f, r, h);
		return SK_DROP;
	}
	if (modify && lw_modify(msg, f, r, h, &d))
		return SK_DROP;
	f->route = LW_ROUTE_PEER;
	if (lane || d.evidence || reason)
		lw_count(f->workload_hash, lane, d.evidence, reason);
	else if (++f->base_ok >= LW_BASE_BULK)
		lw_count_base(f);
	lw_traced(f, r, h);
	lw_done(msg, f, r, r->write_seq);
	return lw_to_peer(msg, r->cookie);
}

static __always_inline int lw_on_head(struct sk_msg_md *msg, struct lw_flow *f, struct lw_run *r)
{
	struct lw_scratch *s;
	int look, v;

	if (f->flags & (LW_FLOW_KEPT_FIONREAD | LW_FLOW_KEPT_SPLICE)) {
		lw_doubt(f, r);
		lw_opaque(f, f->flags & LW_FLOW_KEPT_FIONREAD ? LW_REASON_KEPT_FIONREAD : LW_REASON_KEPT_SPLICE);
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
			f->flags &= ~LW_FLOW_UPGRADE;
			if (flags & LW_SCAN_HAS_UPGRADE)
				f->flags |= LW_FLOW_UPGRADE;
			v = lw_on_request(msg, f, r, &s->head);
			/* CONNECT is the last request there is, in its lane like any other */
			if (flags & LW_SCAN_IS_CONNECT)
				lw_opaque(f, LW_REASON_OPAQUE_UPGRADE);
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
	if (!f || !conf)
		return SK_PASS;
	if ((f->flags & LW_FLOW_OPAQUE) && f->route == LW_ROUTE_PEER)
		return lw_to_peer(msg, r.cookie);
	/*
	 * Never so: names the map that the socket is in, which keeps that map, and with it the socket's place, for
	 * as long as this program has sockets. A map that goes takes the bytes with it that its sockets have not read.
	 */
	if (conf->abi != LW_ABI_VERSION)
		return bpf_msg_redirect_hash(msg, &lw_down_socks, &r.cookie, BPF_F_INGRESS);
	if ((conf->flags & LW_CONF_STOPPED) && (f->route == LW_ROUTE_PEER || f->frame.state == LW_FRAME_HEAD))
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
	if (f->frame.state == LW_FRAME_HEAD)
		return lw_on_head(msg, f, &r);
	/* the last of the body may go out unseen: the last seen has to do */
	f->rcv_seq = r.rcv_nxt;
	r.n = lw_follow_body(msg, &f->frame, 0, r.size);
	if (f->frame.state == LW_FRAME_LOST) {
		lw_opaque(f, LW_REASON_OPAQUE_MALFORMED);
		r.n = r.size;
	}
	return lw_forward(msg, f, &r);
}
