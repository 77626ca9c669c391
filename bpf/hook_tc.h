/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * tc, egress of a pod's host-side device: what goes to the pod. The FIN guard: while a steered response is
 * due, the own peer's FIN or RST would end the client's connection under it. It is kept back; the peer's TCP repeats a FIN,
 * and answers anything more with another RST. Without a live agent nothing is kept back. Alters no packet.
 */
#define LW_ETH_P_IP 0x0800
#define LW_ETH_P_IPV6 0x86DD
#define LW_TC_OK -1 /* TC_ACT_UNSPEC: on to the next program */
#define LW_TC_DROP 2 /* TC_ACT_SHOT */

struct lw_tcp_ports {
	__be16 source;
	__be16 dest;
};

SEC("tc")
int lw_guard(struct __sk_buff *skb)
{
	struct lw_tuple t = {};
	struct lw_tcp_ports ports;
	struct lw_config *conf;
	struct lw_flow *f;
	struct lw_up *up;
	__u32 off, due;
	__u64 *cookie, c;
	__u8 b, flags;

	if (skb->protocol == bpf_htons(LW_ETH_P_IP)) {
		__u32 saddr, daddr;
		__u16 frag;

		if (bpf_skb_load_bytes_relative(skb, 9, &b, 1, BPF_HDR_START_NET) || b != LW_IPPROTO_TCP)
			return LW_TC_OK;
		if (bpf_skb_load_bytes_relative(skb, 0, &b, 1, BPF_HDR_START_NET))
			return LW_TC_OK;
		off = (b & 0xf) * 4;
		/* a later fragment has no TCP header */
		if (bpf_skb_load_bytes_relative(skb, 6, &frag, 2, BPF_HDR_START_NET) || (frag & bpf_htons(0x1fff)))
			return LW_TC_OK;
		if (bpf_skb_load_bytes_relative(skb, off + 13, &flags, 1, BPF_HDR_START_NET) || !(flags & 5))
			return LW_TC_OK;
		if (bpf_skb_load_bytes_relative(skb, 12, &saddr, 4, BPF_HDR_START_NET) ||
		    bpf_skb_load_bytes_relative(skb, 16, &daddr, 4, BPF_HDR_START_NET))
			return LW_TC_OK;
		lw_addr4(&t.peer, saddr);
		lw_addr4(&t.local, daddr);
	} else if (skb->protocol == bpf_htons(LW_ETH_P_IPV6)) {
		/* extension headers before TCP: not looked into, nothing is kept back */
		if (bpf_skb_load_bytes_relative(skb, 6, &b, 1, BPF_HDR_START_NET) || b != LW_IPPROTO_TCP)
			return LW_TC_OK;
		off = 40;
		if (bpf_skb_load_bytes_relative(skb, off + 13, &flags, 1, BPF_HDR_START_NET) || !(flags & 5))
			return LW_TC_OK;
		if (bpf_skb_load_bytes_relative(skb, 8, t.peer.ip, 16, BPF_HDR_START_NET) ||
		    bpf_skb_load_bytes_relative(skb, 24, t.local.ip, 16, BPF_HDR_START_NET))
			return LW_TC_OK;
	} else {
		return LW_TC_OK;
	}
	if (bpf_skb_load_bytes_relative(skb, off, &ports, sizeof(ports), BPF_HDR_START_NET))
		return LW_TC_OK;
	t.peer_port = bpf_ntohs(ports.source);
	t.local_port = bpf_ntohs(ports.dest);
	cookie = bpf_map_lookup_elem(&lw_tuples, &t);
	conf = lw_conf();
	if (!cookie || !conf || !lw_agent_alive(conf))
		return LW_TC_OK;
	c = *cookie;
	f = bpf_map_lookup_elem(&lw_flows, &c);
	if (!f)
		return LW_TC_OK;
	due = f->route == LW_ROUTE_PUNT && f->punt;
	if (f->route != LW_ROUTE_PEER) {
		c = f->ups[f->up & (LW_FLOW_UPS - 1)].up;
		up = bpf_map_lookup_elem(&lw_ups, &c);
		if (up) /* answered in full, perhaps before the agent came to say that the request is on its way */
			due = !(up->flags & LW_UP_DEAD) && up->req_seq != up->resp_seq;
	}
	if (!due)
		return LW_TC_OK;
	f->flags |= LW_FLOW_FIN_HELD;
	lw_count(f->workload_hash, f->lane, f->evidence, LW_REASON_FIN_HELD);
	return LW_TC_DROP;
}
