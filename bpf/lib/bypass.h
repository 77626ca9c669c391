/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Between two sockets of one node bytes need no TCP: lw_msg puts requests into the receive queue of the
 * pod's end of the upstream connection, lw_far_msg puts responses into that of the downstream socket.
 *
 * Such bytes overtake whatever is still on the wire. So a request, and a response, takes the bypass only from its
 * first byte on, and only if nothing sent before it in the same direction is on the wire or was left unread.
 *
 * And they know no window. So no more than LW_BYPASS_MAX bytes may be waiting to be read; what comes on top, and all after
 * it up to the end of that request or response, takes the upstream connection, where TCP holds the sender back.
 *
 * Where the kernel refuses memory to the receiver they would be taken in part (bpf_tcp_ingress()), and the program asked once more about the rest,
 * which it has followed already: a response would be cut off, a request's framing lost. Before it comes to that they take the connection
 * (lw_tcp_is_tight()).
 *
 * Nor does TCP wait for the receiver's lock as the bypass does (bpf_tcp_ingress()), which an application keeps for as long as bytes
 * that it sends are not there. Where it is taken the bytes take the connection, too.
 */
#include "queues.h"
#include "state.h"

/* All that was sent from one end has arrived at the other, and has been read there. */
static __always_inline int lw_wire_is_read(__u64 from, __u64 to)
{
	return from && to && LW_TCP_FIELD(from, write_seq) == LW_TCP_FIELD(from, snd_una) &&
	       LW_TCP_FIELD(to, copied_seq) == LW_TCP_FIELD(to, rcv_nxt) && !lw_rmem(to);
}

/* Does somebody splice in the pod? Looked up anew only where there are more such pods than there were. */
static __always_inline int lw_is_spliced(struct lw_far *far)
{
	struct lw_config *conf = lw_conf();
	__u32 spliced = conf ? conf->spliced : 0;

	if (far->spliced != spliced) {
		far->spliced = spliced;
		far->kept = !!bpf_map_lookup_elem(&lw_spliced, &far->netns);
	}
	return far->kept;
}

/* May the next n bytes of a request go to the pod's socket itself? `first`: the request starts with them. */
__noinline int lw_request_may_bypass(struct lw_up *up, __u64 cookie, __u32 n, __u32 first)
{
	struct lw_far *far;

	if (!up ||
	    (up->flags & (LW_UP_DEAD | LW_UP_ORPHAN | LW_UP_TUNNEL | LW_UP_OPAQUE | LW_UP_RELAY)))
		return 0;
	far = bpf_map_lookup_elem(&lw_fars, &cookie);
	if (!far || !lw_is_established(far->sk) || lw_is_spliced(far))
		return 0;
	if (up->flags & LW_UP_REQ_WIRE) {
		if (!first || lw_up_is_due(up) || !lw_wire_is_read(far->up_sk, far->sk))
			return 0;
		__sync_fetch_and_and(&up->flags, ~LW_UP_REQ_WIRE);
	}
	if (lw_queue_is_empty(far->sk))
		up->passed_req = 0;
	if (up->passed_req + n > LW_BYPASS_MAX || lw_is_locked(far->sk) || lw_tcp_is_tight(far->sk))
		return 0;
	up->passed_req += n;
	return 1;
}
