/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that runs for long. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "busy.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

__u64 busy_ns;

SEC("socket")
int busy(struct __sk_buff *skb)
{
	be_busy(busy_ns);
	return 0;
}
