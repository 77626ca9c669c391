/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * A segment that is sent again may hold bytes that have arrived before, in front of new ones. TCP queues it as it
 * is, and leaves it to the reader to pass over what it has (tcp_recvmsg_locked()). A verdict program is given all of it
 * (tcp_read_skb()), and so, without this, is the application: bytes twice, in base connections too.
 */
#include "state.h"

/* bpf_skb_adjust_room() takes off fewer than 4096 bytes at once (sk_skb_adjust_room()). */
#define LW_TRIM_STEP 4000
#define LW_TRIM_STEPS 1024

struct lw_trim_ctx {
	struct __sk_buff *skb;
	struct lw_stream *s;
};

static long lw_trim_cb(__u32 i, void *arg)
{
	struct lw_trim_ctx *c = arg;
	__u32 n = c->s->twice;

	(void)i;
	if (n > LW_TRIM_STEP)
		n = LW_TRIM_STEP;
	if (!n || bpf_skb_adjust_room(c->skb, -(__s32)n, 0, 0))
		return 1;
	c->s->twice -= n;
	return 0;
}

/*
 * Takes off the skb what its socket has been given before. SK_PASS, or SK_DROP if nothing is left of it. Must see
 * every skb of the socket. If taking off fails for want of memory, nothing is delivered any more: rather a connection
 * that stands still than one with a hole.
 */
__noinline int lw_stream_trim(struct __sk_buff *skb)
{
	__u64 cookie = bpf_get_socket_cookie(skb);
	struct lw_trim_ctx c = { .skb = skb };
	struct lw_stream *s, first = {};
	__u32 seq = 0, len = skb->len, twice;

	if (!len)
		return SK_PASS;
	bpf_probe_read_kernel(&seq, sizeof(seq),
			      (void *)skb + bpf_core_field_offset(struct sk_buff, cb) +
				      bpf_core_field_offset(struct tcp_skb_cb, seq));
	s = bpf_map_lookup_elem(&lw_streams, &cookie);
	if (!s) {
		first.next = seq + len;
		bpf_map_update_elem(&lw_streams, &cookie, &first, BPF_NOEXIST);
		return SK_PASS;
	}
	if (s->twice)
		return SK_DROP;
	twice = s->next - seq;
	if ((__s32)twice > 0) {
		if (twice >= len)
			return SK_DROP;
		s->twice = twice;
		c.s = s;
		bpf_loop(LW_TRIM_STEPS, lw_trim_cb, &c, 0);
		if (s->twice)
			return SK_DROP;
	}
	s->next = seq + len;
	return SK_PASS;
}
