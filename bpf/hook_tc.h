/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * tc, egress of a pod's host-side device: what goes to the pod. Alters no packet.
 *
 * Requests that arrive are read while a lane is open (lib/inbound.h).
 *
 * The FIN guard: while a steered response is due, the own peer's FIN or RST would end the client's connection under it, and what
 * it says before ("408 Request Timeout") would be taken for the response. It is kept back; the peer's TCP repeats it, and answers
 * anything more with another RST. Without a live agent nothing is kept back.
 */
#include "lib/inbound.h"

#define LW_TC_OK -1 /* TC_ACT_UNSPEC: on to the next program */
#define LW_TC_DROP 2 /* TC_ACT_SHOT */

/*
 * All bytes of the response have been followed. Are the last of them on their way into the client's queue yet? The program that follows them
 * has ended before they are there. Of an upstream socket it and what the kernel does behind it are under one lock. What takes the bypass is
 * brought by a thread of the pod, which others may run before (tcp_bpf_sendmsg_redir()): a while has to do, and the peer's TCP asks again. Where
 * an end of file is known to wait already the response takes the connection (lw_far_msg). A client that has closed is to be done with at once.
 */
static __always_inline int lw_is_giving(struct lw_up *up, const struct lw_flow *f)
{
	/* atomic, its result used: what comes next is not read before what says that all has been followed */
	if (__sync_fetch_and_or(&up->flags, 0) & LW_UP_GONE)
		return 0;
	if (f->sk && lw_is_read_no_more(f->sk))
		return 0;
	return (up->reply_sk && lw_is_held(up->reply_sk)) ||
	       (up->passed_ns &&
		(__s64)(bpf_ktime_get_coarse_ns() - up->passed_ns) < (__s64)LW_GIVING_NS);
}

/* Not inlined: lw_to_pod has no stack to spare. */
static __noinline int lw_guard(const struct lw_packet *p, const struct lw_config *conf)
{
	__u64 *cookie, c;
	struct lw_flow *f;
	struct lw_up *up;
	__u32 due;

	if (!p)
		return LW_TC_OK;
	cookie = bpf_map_lookup_elem(&lw_tuples, &p->t);
	if (!cookie || !lw_agent_alive(conf))
		return LW_TC_OK;
	c = *cookie;
	f = bpf_map_lookup_elem(&lw_flows, &c);
	if (!f)
		return LW_TC_OK;
	if (f->route == LW_ROUTE_PEER)
		return LW_TC_OK;
	/* the response to a request before this one once more, as its acknowledgement is late */
	if (!(p->flags & (LW_TCP_FIN | LW_TCP_RST)) && (__s32)(p->seq - f->rcv_seq) < 0)
		return LW_TC_OK;
	c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
	up = lw_up_of(c);
	if (up) /* where responses are not followed any more its end is the connection's */
		due = !(up->flags & LW_UP_DEAD) &&
		      (lw_up_is_due(up) || (up->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)));
	else /* answered in full, perhaps before the agent came to say that the request is on its way */
		due = f->route == LW_ROUTE_PUNT && f->punt && !c;
	/* all of it has come, which is not to say that it is through: on its way to a slow reader it may wait for long */
	if (!due && !(up && ((up->flags & LW_UP_RELAY) || lw_is_giving(up, f))) &&
	    lw_backlogged(f->sk) <= 0)
		return LW_TC_OK;
	f->fin_held = 1;
	lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_FIN_HELD);
	return LW_TC_DROP;
}

/* Does a response begin with this packet? */
static __always_inline int lw_begins_response(struct __sk_buff *skb, const struct lw_packet *p)
{
	__u32 word = 0;

	return p->len >= sizeof(word) && p->start != LW_NO_START &&
	       !bpf_skb_load_bytes(skb, p->start + p->off, &word, sizeof(word)) &&
	       word == bpf_htonl(0x48545450); /* "HTTP" */
}

SEC("tc")
int lw_to_pod(struct __sk_buff *skb)
{
	struct lw_config *conf = lw_conf();
	struct lw_in_at r = {};

	if (!conf || lw_packet_read(skb, &r.p))
		return LW_TC_OK;
	if (conf->flags & LW_CONF_INBOUND)
		lw_in_packet(skb, &r, conf);
	return (r.p.flags & (LW_TCP_FIN | LW_TCP_RST)) || lw_begins_response(skb, &r.p) ?
		       lw_guard(&r.p, conf) :
		       LW_TC_OK;
}
