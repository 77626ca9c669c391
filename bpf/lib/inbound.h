/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Requests on their way into a pod: each one's lane, and where in the stream its head ends, so that lw_reads can tell when
 * it has been read; and the trace ids it carries. A connection is followed from the first packet on that begins as a
 * request does, in the order of its bytes; what came twice is passed over. Where bytes were not seen (they took another
 * way, or came out of order) that is noted, and the connection followed again from its next request on. Alters nothing.
 */
#include "leaves.h"
#include "packet.h"

/* A packet, and how far it has been looked at. Plain data: functions checked by themselves take it. */
struct lw_in_at {
	struct lw_packet p;
	__u32 at; /* of the next byte to look at, in skb->data */
	__u32 left; /* bytes from there on */
	__u32 slot;
};

struct lw_in_run {
	struct __sk_buff *skb;
	struct lw_in *in;
	struct lw_in_at *a;
};

static __always_inline int lw_begins_request(__u8 c)
{
	return c >= 'A' && c <= 'Z';
}

__noinline int lw_in_tags(struct lw_head *h, __u32 slot, struct lw_decision *d)
{
	if (!h || !d)
		return -1;
	lw_read_tags(h, slot, d);
	return 0;
}

/*
 * Has the tag been put there by somebody who is believed? Not where anybody may send this pod one; nor where it comes from a pod
 * that anybody may send one (peer: its flags), unless it is sent to a destination: what goes there has such tags taken off (lw_msg).
 */
__noinline int lw_in_untrusted(const struct lw_tuple *t, __u32 slot, __u32 peer)
{
	const struct lw_pod *pod;

	if (!t)
		return 1;
	pod = lw_pod_of(slot, &t->local);
	if (pod && (pod->flags & LW_POD_UNTRUSTED))
		return 1;
	return (peer & LW_POD_UNTRUSTED) && !lw_dest_of(slot, &t->local, t->local_port);
}

/* The lane of a request that has arrived: that of its tag, or of the pod that sent it. */
__noinline __u32 lw_in_lane(struct lw_head *h, const struct lw_tuple *t, __u32 slot)
{
	const struct lw_pod *pod;
	struct lw_decision d = {};
	__u32 lane, flags;

	if (!h || !t)
		return LW_IN_UNKNOWN;
	pod = lw_pod_of(slot, &t->peer);
	lane = pod ? lw_pod_own_lane(pod) : 0;
	if (h->scan.options & LW_SCAN_TAGS) {
		flags = pod ? pod->flags : 0;
		h->eval.untrusted = lw_in_untrusted(t, slot, flags);
		lw_in_tags(h, slot, &d);
		if (d.evidence == LW_EVIDENCE_AMBIGUOUS)
			return LW_IN_UNKNOWN;
		if (d.evidence != LW_EVIDENCE_NONE)
			lane = d.lane;
	}
	return lane < LW_MAX_LANES ? lane : LW_IN_UNKNOWN;
}

/* Notes that a request of this lane has come with capture i's trace id, if there is one in it: 1. */
__noinline int lw_in_trace(struct lw_head *h, const struct lw_tuple *t, __u32 i, __u32 lane)
{
	struct lw_trace first = { .lane = lane }, *known;
	struct lw_trace_key key = {};

	if (!h || !t || !lw_trace_id(h, i, &key) || lw_trace_is_none(&key))
		return 0;
	key.pod = t->local;
	known = bpf_map_lookup_elem(&lw_traces, &key);
	if (!known) {
		/* not in place of what another CPU has noted meanwhile: of two lanes one would be forgotten */
		if (!bpf_map_update_elem(&lw_traces, &key, &first, BPF_NOEXIST))
			return 1;
		known = bpf_map_lookup_elem(&lw_traces, &key);
	}
	if (known && known->lane != lane)
		known->lane = LW_IN_UNKNOWN;
	return 1;
}

struct lw_in_traces_ctx {
	struct lw_head *h;
	const struct lw_tuple *t;
	__u32 lane;
	__u32 ids;
};

static long lw_in_traces_cb(__u32 i, void *arg)
{
	struct lw_in_traces_ctx *c = arg;

	if (i >= c->h->caps.n || c->ids >= LW_IN_TRACE_IDS)
		return 1;
	c->ids += lw_in_trace(c->h, c->t, i, c->lane);
	return 0;
}

/*
 * A whole head is in h, of a request of this lane; `end`: the sequence number behind it. The lane is the caller's matter, as
 * finding it takes memory: Linux 6.1 counts each function's in steps of 32 bytes, 512 in all.
 */
__noinline int lw_in_request_seen(struct lw_in *in, struct lw_head *h, const struct lw_tuple *t,
				  __u32 lane, __u32 end)
{
	struct lw_in_traces_ctx c = { .h = h, .t = t, .lane = lane };
	struct lw_in_request *q;

	if (!in || !h || !t)
		return 0;
	lw_frame_request(&h->scan, &in->frame);
	if (in->frame.state == LW_FRAME_LOST || (h->scan.flags & LW_SCAN_CAPTURES_FULL)) {
		in->state = LW_IN_LOST;
		return 0;
	}
	if (h->scan.options & LW_SCAN_TRACES)
		bpf_loop(LW_CAPTURES, lw_in_traces_cb, &c, 0);
	q = &in->last[in->requests & (LW_IN_REQUESTS - 1)];
	q->end = end;
	q->lane = lane;
	q->expects = !!h->caps.first[LW_HDR_EXPECT];
	/* read by lw_reads on another CPU, once the packet is with the application */
	__sync_fetch_and_add(&in->requests, 1);
	return 0;
}

/*
 * Maps by a connection's tuple: Linux 6.1 takes no key from memory that a function checked by itself was given. Functions
 * of their own, as the way from a packet to a member of baggage takes most of the stack there is.
 */
static __noinline struct lw_head *lw_in_begun(const struct lw_tuple *t)
{
	struct lw_tuple key = *t;

	return bpf_map_lookup_elem(&lw_in_heads, &key);
}

static __noinline long lw_in_keep(const struct lw_tuple *t, struct lw_head *h)
{
	struct lw_tuple key = *t;

	return bpf_map_update_elem(&lw_in_heads, &key, h, BPF_ANY);
}

static __noinline long lw_in_drop(const struct lw_tuple *t)
{
	struct lw_tuple key = *t;

	return bpf_map_delete_elem(&lw_in_heads, &key);
}

/* The rest of a head that has begun in an earlier packet. Bytes of this one that it takes. */
__noinline __u32 lw_in_rest(struct __sk_buff *skb, struct lw_in *in, const struct lw_in_at *a)
{
	const struct lw_names *names;
	struct lw_head *h;
	__u32 pos, n;

	if (!in || !a)
		return 0;
	names = lw_get_id(&lw_names, a->slot, 0);
	h = lw_in_begun(&a->p.t);
	if (!h || !names) {
		in->state = LW_IN_GAP;
		return 0;
	}
	pos = h->scan.pos;
	/* another CPU gave the element to this connection while one wrote on behalf of the connection that had it before */
	if (pos != in->frame.left) {
		in->state = LW_IN_GAP;
		return 0;
	}
	n = LW_AT_MOST(a->left, LW_HEAD_BEHIND);
	if (n < 1 || pos >= LW_HEAD_MAX ||
	    bpf_skb_load_bytes(skb, a->at, h->buf + (pos & (LW_HEAD_MAX - 1)),
			       LW_SIZE(n, LW_HEAD_BEHIND))) {
		in->state = LW_IN_LOST;
		return 0;
	}
	lw_scan_request(h, names, pos + n > LW_HEAD_MAX ? LW_HEAD_MAX : pos + n);
	n = h->scan.pos - pos;
	/* and the other way round: these bytes may be in another connection's head by now, and its in this one's (the map forgets who came first) */
	if (lw_in_begun(&a->p.t) != h) {
		in->state = LW_IN_GAP;
		return n;
	}
	if (h->scan.state == LW_SCAN_ERROR || h->scan.pos >= LW_HEAD_MAX) {
		in->state = LW_IN_LOST;
	} else if (h->scan.state == LW_SCAN_DONE) {
		lw_in_request_seen(in, h, &a->p.t, lw_in_lane(h, &a->p.t, a->slot), in->next + n);
		in->split = 0;
	} else {
		in->frame.left = h->scan.pos;
		return n;
	}
	lw_in_drop(&a->p.t);
	return n;
}

static __always_inline int lw_in_scan(struct __sk_buff *skb, struct lw_head *h,
				      const struct lw_names *names, __u32 at, __u32 n)
{
	if (n < 1 || n > LW_HEAD_MAX ||
	    bpf_skb_load_bytes(skb, at, h->buf, LW_SIZE(n, LW_HEAD_MAX)))
		return -1;
	return lw_scan_request(h, names, n);
}

/* A head begins. Bytes of this packet that it takes. */
__noinline __u32 lw_in_head(struct __sk_buff *skb, struct lw_in *in, const struct lw_in_at *a)
{
	const struct lw_names *names;
	struct lw_scratch *s;
	struct lw_head *h;
	__u32 n, took = 0;

	if (!in || !a)
		return 0;
	names = lw_get_id(&lw_names, a->slot, 0);
	s = lw_scratch_take();
	if (!s || !names) {
		in->state = LW_IN_GAP;
		if (s)
			lw_scratch_put(s);
		return 0;
	}
	h = &s->head;
	lw_request_begin(h);
	n = LW_AT_MOST(a->left, LW_HEAD_BEHIND);
	if (lw_in_scan(skb, h, names, a->at, n))
		goto lost;
	if (h->scan.state < LW_SCAN_DONE && a->left > n) {
		n = LW_AT_MOST(a->left, LW_HEAD_MAX);
		if (lw_in_scan(skb, h, names, a->at, n))
			goto lost;
	}
	took = h->scan.pos;
	if (h->scan.state == LW_SCAN_DONE) {
		lw_in_request_seen(in, h, &a->p.t, lw_in_lane(h, &a->p.t, a->slot),
				   in->next + took);
	} else if (h->scan.state == LW_SCAN_ERROR || took >= LW_HEAD_MAX) {
		goto lost;
	} else if (lw_in_keep(&a->p.t, h)) {
		in->state = LW_IN_GAP;
	} else {
		in->split = 1;
		in->frame.left = took;
	}
	lw_scratch_put(s);
	return took;
lost:
	in->state = LW_IN_LOST;
	lw_scratch_put(s);
	return took;
}

/* Framing of a chunked body, up to the next data. Bytes of this packet that it takes. */
__noinline __u32 lw_in_chunk(struct __sk_buff *skb, struct lw_in *in, const struct lw_in_at *a)
{
	/* before 6.3 a helper may not fill up a part of what is on the stack and was never written */
	struct lw_window w = {};
	__u32 n;

	if (!in || !a)
		return 0;
	n = LW_AT_MOST(a->left, LW_WINDOW);
	if (n < 1 || bpf_skb_load_bytes(skb, a->at, w.b, LW_SIZE(n, LW_WINDOW)))
		return 0;
	n = lw_chunk_window(&in->frame, &w, n);
	if (in->frame.state == LW_FRAME_LOST)
		in->state = LW_IN_LOST;
	return n;
}

static long lw_in_step_cb(__u32 i, void *arg)
{
	struct lw_in_run *run = arg;
	struct lw_in_at *r = run->a;
	struct lw_in *in = run->in;
	struct lw_frame *f = &in->frame;
	__u32 took;

	(void)i;
	if (!r->left || in->state != LW_IN_FOLLOWED)
		return 1;
	took = lw_frame_skip(f, r->left);
	if (took) {
		goto next;
	} else if (f->state == LW_FRAME_CHUNKED) {
		took = lw_in_chunk(run->skb, in, r);
	} else if (in->split) {
		took = lw_in_rest(run->skb, in, r);
	} else {
		took = lw_in_head(run->skb, in, r);
	}
	if (!took) {
		if (in->state == LW_IN_FOLLOWED)
			in->state = LW_IN_LOST;
		return 1;
	}
next:
	if (took > r->left)
		took = r->left;
	r->at += took;
	r->left -= took;
	in->next += took;
	return !r->left;
}

static __noinline long lw_in_new(const struct lw_tuple *t, __u32 opening)
{
	struct lw_tuple key = *t;
	struct lw_in first = { .opening = opening, .state = LW_IN_GAP };

	/* another CPU may have made it meanwhile, and be at it */
	return bpf_map_update_elem(&lw_inbound, &key, &first, BPF_NOEXIST);
}

static __always_inline void lw_in_start(struct lw_in *in, __u32 seq)
{
	in->next = seq;
	in->from = seq;
	in->split = 0;
	in->frame.left = 0;
	in->frame.state = LW_FRAME_HEAD;
	in->state = LW_IN_FOLLOWED;
}

/* The packet's bytes, of a connection that is followed, or begins to be. */
static __always_inline void lw_in_bytes(struct __sk_buff *skb, struct lw_in *in, struct lw_in_at *r,
					const struct lw_config *conf)
{
	struct lw_in_run run = { .skb = skb, .a = r, .in = in };
	const struct lw_packet *p = &r->p;
	__u32 end = p->seq + p->len;
	__s32 ahead;
	__u8 c;

	r->at = p->start + p->off;
	r->left = p->len;
	if (in->state == LW_IN_FOLLOWED) {
		ahead = p->seq - in->next;
		if (ahead > 0 && in->frame.state == LW_FRAME_LENGTH &&
		    in->frame.left >= (__u32)ahead) {
			/* of a body nothing need be seen */
			lw_frame_skip(&in->frame, ahead);
			in->next = p->seq;
		} else if (ahead > 0) {
			in->state = LW_IN_GAP;
		} else if (ahead < 0) {
			if ((__s32)(end - in->next) <= 0)
				return; /* all of it has been seen */
			r->at -= ahead;
			r->left += ahead;
		}
	}
	if (in->state == LW_IN_GAP) {
		if (bpf_skb_load_bytes(skb, r->at, &c, 1) || !lw_begins_request(c))
			return;
		lw_in_start(in, p->seq);
	}
	r->slot = conf->generation & 1;
	bpf_loop(LW_IN_STEPS, lw_in_step_cb, &run, 0);
	if (r->left && in->state == LW_IN_FOLLOWED)
		in->state = LW_IN_LOST;
	/* the map has given the element to another connection meanwhile */
	else if (in->state == LW_IN_FOLLOWED && in->next != end)
		in->state = LW_IN_GAP;
	/* numbers go round: what is further back the application has read */
	if (in->next - in->from > LW_IN_BEHIND)
		in->from = in->next - LW_IN_BEHIND;
}

/* A packet to a pod. */
static __always_inline void lw_in_packet(struct __sk_buff *skb, struct lw_in_at *r,
					 const struct lw_config *conf)
{
	const struct lw_packet *p = &r->p;
	const struct lw_leaf *leaf;
	const __u64 *netns;
	struct lw_in *in;
	__u16 opening;
	__u8 c;

	/* the ports are used again: also where nothing is read now */
	if (p->flags & LW_TCP_SYN)
		bpf_map_delete_elem(&lw_inbound, &p->t);
	if (!p->len || (p->flags & LW_TCP_SYN))
		return;
	leaf = lw_leaf_at(&p->t.local, &netns);
	if (leaf && lw_leaf_state(leaf) == LW_LEAF_ALONE)
		return;
	opening = lw_leaf_opening(leaf, conf);
	in = bpf_map_lookup_elem(&lw_inbound, &p->t);
	/* or they may have been while no lane was open, or the pod was left alone */
	if (in && in->opening != opening) {
		bpf_map_delete_elem(&lw_inbound, &p->t);
		in = NULL;
	}
	if (in && in->state == LW_IN_LOST)
		return;
	if (p->start == LW_NO_START)
		return;
	if (!in) {
		if (bpf_skb_load_bytes(skb, p->start + p->off, &c, 1) || !lw_begins_request(c))
			return;
		lw_in_new(&p->t, opening);
		in = bpf_map_lookup_elem(&lw_inbound, &p->t);
		if (!in)
			return;
	}
	/*
	 * Another CPU is at a packet of the same connection, as where its sender has moved, or sends once more: two would count bytes of a body twice, or
	 * not at all, and take them for a head. This one has not been seen, as if it had been lost behind here; what was missed shows by its numbers.
	 */
	if (__sync_val_compare_and_swap(&in->busy, 0, 1))
		return;
	lw_in_bytes(skb, in, r, conf);
	(void)__sync_lock_test_and_set(&in->busy, 0);
}
