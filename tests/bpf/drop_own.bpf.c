/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A firewall in the way of what the agent sends to itself: drops what goes from 127.0.0.1 to 127.0.0.1, while it is told to. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

int drops, dropped;

SEC("tc")
int drop_own(struct __sk_buff *skb)
{
	__u32 ends[2];

	if (!drops || skb->protocol != bpf_htons(ETH_P_IP) ||
	    bpf_skb_load_bytes(skb, ETH_HLEN + offsetof(struct iphdr, saddr), ends, sizeof(ends)) ||
	    ends[0] != bpf_htonl(0x7f000001) || ends[1] != ends[0])
		return TC_ACT_OK;
	__sync_fetch_and_add(&dropped, 1);
	return TC_ACT_STOLEN; /* as on the way: who sends is not told, as by TC_ACT_SHOT */
}
