/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* A TCP packet on its way to a pod. Knows packets, never maps. */
#include "state.h"

#define LW_ETH_P_IP 0x0800
#define LW_ETH_P_IPV6 0x86DD
#define LW_ETH_P_8021Q 0x8100
#define LW_ETH_P_8021AD 0x88A8
#define LW_ETH_HLEN 14

#define LW_TCP_FIN 0x01
#define LW_TCP_SYN 0x02
#define LW_TCP_RST 0x04

struct lw_packet {
	struct lw_tuple t; /* as the pod sees it */
	__u32 seq;
	__u32 off; /* of the payload, from the network header */
	__u32 len; /* of it, bytes */
	__u8 flags; /* of the TCP header */
	__u8 start; /* where the network header starts in skb->data, if there is payload; LW_NO_START: it cannot be told */
	__u8 pad[2];
};
#define LW_NO_START 0xff

struct lw_ipv4_header {
	__u8 ihl, tos;
	__be16 tot_len, id, frag_off;
	__u8 ttl, protocol;
	__be16 check;
	__be32 saddr, daddr;
};
struct lw_ipv6_header {
	__be32 flow;
	__be16 payload_len;
	__u8 nexthdr, hop_limit;
	__be32 saddr[4], daddr[4];
};
struct lw_tcp_header {
	__be16 source, dest;
	__be32 seq, ack;
	__u8 doff, flags;
};

/* As they follow each other where there are no options: read at once, as each call costs. */
struct lw_ipv4_tcp {
	struct lw_ipv4_header ip;
	struct lw_tcp_header tcp;
};
struct lw_ipv6_tcp {
	struct lw_ipv6_header ip;
	struct lw_tcp_header tcp;
};

/* From the network header on: the headers are in one piece. */
#define LW_LOAD(skb, at, to) \
	bpf_skb_load_bytes_relative(skb, at, to, sizeof(*(to)), BPF_HDR_START_NET)

/*
 * Where the network header, which has these bytes at offset 4, starts in skb->data, as bpf_skb_load_bytes() counts, which also
 * finds what is in fragments. Behind an Ethernet header, or there is none.
 */
static __always_inline __u32 lw_packet_start(struct __sk_buff *skb, const __u32 *at_net)
{
	__u32 at_data[4], i, k;

	for (i = 0; i < 2; i++) {
		k = i ? 0 : LW_ETH_HLEN;
		if (!bpf_skb_load_bytes(skb, k + 4, at_data, sizeof(at_data)) &&
		    at_data[0] == at_net[0] && at_data[1] == at_net[1] && at_data[2] == at_net[2] &&
		    at_data[3] == at_net[3])
			return k;
	}
	return LW_NO_START;
}

/*
 * 0 if it is a TCP packet with its whole header: a later fragment has none, and behind IPv6 extension headers it is not
 * looked for. VLAN tags that the device has not taken out are stepped over.
 */
static __noinline int lw_packet_read(struct __sk_buff *skb, struct lw_packet *p)
{
	union {
		struct lw_ipv4_tcp v4;
		struct lw_ipv6_tcp v6;
		__u32 words[5];
	} h;
	__be16 proto = skb->protocol;
	struct lw_tcp_header *tcp;
	__u32 l3 = 0, l4, end, i;

	for (i = 0; i < 2; i++) {
		if (proto != bpf_htons(LW_ETH_P_8021Q) && proto != bpf_htons(LW_ETH_P_8021AD))
			break;
		if (LW_LOAD(skb, l3 + 2, &proto))
			return -1;
		l3 += 4;
	}
	if (proto == bpf_htons(LW_ETH_P_IP)) {
		tcp = &h.v4.tcp;
		if (LW_LOAD(skb, l3, &h.v4) || h.v4.ip.protocol != LW_IPPROTO_TCP ||
		    (h.v4.ip.frag_off & bpf_htons(0x1fff)))
			return -1;
		l4 = l3 + (h.v4.ip.ihl & 0xf) * 4;
		end = l3 + bpf_ntohs(h.v4.ip.tot_len);
		lw_addr4(&p->t.peer, h.v4.ip.saddr);
		lw_addr4(&p->t.local, h.v4.ip.daddr);
		if (l4 != l3 + sizeof(h.v4.ip) && LW_LOAD(skb, l4, tcp))
			return -1;
	} else if (proto == bpf_htons(LW_ETH_P_IPV6)) {
		tcp = &h.v6.tcp;
		if (LW_LOAD(skb, l3, &h.v6) || h.v6.ip.nexthdr != LW_IPPROTO_TCP)
			return -1;
		l4 = l3 + sizeof(h.v6.ip);
		end = l4 + bpf_ntohs(h.v6.ip.payload_len);
		__builtin_memcpy(p->t.peer.ip, h.v6.ip.saddr, sizeof(h.v6.ip.saddr));
		__builtin_memcpy(p->t.local.ip, h.v6.ip.daddr, sizeof(h.v6.ip.daddr));
	} else {
		return -1;
	}
	p->t.peer_port = bpf_ntohs(tcp->source);
	p->t.local_port = bpf_ntohs(tcp->dest);
	p->seq = bpf_ntohl(tcp->seq);
	p->flags = tcp->flags;
	p->off = l4 + (tcp->doff >> 4) * 4;
	p->len = end > p->off ? end - p->off : 0;
	if (!p->len)
		return 0;
	/* words: of the network header, which is not the IP header if there is a VLAN tag between */
	if (l3 && LW_LOAD(skb, 0, &h.words))
		return -1;
	p->start = lw_packet_start(skb, h.words + 1);
	return 0;
}
