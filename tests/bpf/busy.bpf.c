/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A program that runs for long, and says when it has begun and ended. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Nanoseconds to run for; bpf_loop() ends it after some 8 million turns in any case. */
__u64 busy_ns;
int began, ended;

static long turn(__u32 i, __u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

SEC("socket")
int busy(struct __sk_buff *skb)
{
	__u64 until = bpf_ktime_get_ns() + busy_ns;

	__sync_fetch_and_add(&began, 1);
	bpf_loop(1 << 23, turn, &until, 0);
	__sync_fetch_and_add(&ended, 1);
	return 0;
}
