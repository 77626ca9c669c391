/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holds up who brings bytes to a socket: the verdict program, for which TCP has acknowledged what nobody has had yet, and the kernel's worker, who
 * has put into the socket what is in the queue before it, too.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Kernel addresses of the sockets; nanoseconds to hold each up for. bpf_loop() ends it after some 8 million turns in any case. */
__u64 verdict_sk, worker_sk, late_ns;
int began, ended;

static long turn(__u32 i, __u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

static int be_late(void)
{
	__u64 until = bpf_ktime_get_ns() + late_ns;

	__sync_fetch_and_add(&began, 1);
	bpf_loop(1 << 23, turn, &until, 0);
	__sync_fetch_and_add(&ended, 1);
	return 0;
}

SEC("fentry/sk_psock_verdict_data_ready")
int BPF_PROG(late_verdict, void *sk)
{
	return (__u64)sk == verdict_sk ? be_late() : 0;
}

/* what it calls when the bytes are in the socket */
SEC("fentry/sock_def_readable")
int BPF_PROG(late_worker, void *sk)
{
	char name[16];

	if ((__u64)sk != worker_sk || bpf_get_current_comm(name, sizeof(name)) || bpf_strncmp(name, 7, "kworker"))
		return 0;
	return be_late();
}
