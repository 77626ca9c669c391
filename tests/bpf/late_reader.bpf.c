/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Holds a socket's verdict program up: TCP has acknowledged what is for it, and nobody has had it yet. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Kernel address of the socket; nanoseconds to hold it up for. bpf_loop() ends it after some 8 million turns in any case. */
__u64 late_sk, late_ns;
int began, ended;

static long turn(__u32 i, __u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

SEC("fentry/sk_psock_verdict_data_ready")
int BPF_PROG(late_reader, void *sk)
{
	__u64 until = bpf_ktime_get_ns() + late_ns;

	if ((__u64)sk != late_sk)
		return 0;
	__sync_fetch_and_add(&began, 1);
	bpf_loop(1 << 23, turn, &until, 0);
	__sync_fetch_and_add(&ended, 1);
	return 0;
}
