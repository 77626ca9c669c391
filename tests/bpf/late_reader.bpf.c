/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Holds up who brings bytes to a socket: the verdict program, for which TCP has acknowledged what nobody has had yet; the kernel's worker, who
 * has put into the socket what is in the queue before it, too; and the program of a socket that sends, while it follows what is sent; and
 * the kernel behind that program, before it brings that past TCP.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "busy.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Kernel addresses of the sockets; nanoseconds to hold each up for. */
__u64 verdict_sk, worker_sk, passed_sk, late_ns;
int sender; /* the number of its thread; it is held up once */

SEC("fentry/sk_psock_verdict_data_ready")
int BPF_PROG(late_verdict, void *sk)
{
	if ((__u64)sk == verdict_sk)
		be_busy(late_ns);
	return 0;
}

SEC("fentry/bpf_msg_pull_data")
int BPF_PROG(late_sender)
{
	int tid = (__u32)bpf_get_current_pid_tgid();

	if (sender == tid && __sync_bool_compare_and_swap(&sender, tid, 0))
		be_busy(late_ns);
	return 0;
}

SEC("fentry/tcp_bpf_sendmsg_redir")
int BPF_PROG(late_redirect, void *sk)
{
	if ((__u64)sk == passed_sk)
		be_busy(late_ns);
	return 0;
}

/* what it calls when the bytes are in the socket */
SEC("fentry/sock_def_readable")
int BPF_PROG(late_worker, void *sk)
{
	char name[16];

	if ((__u64)sk == worker_sk && !bpf_get_current_comm(name, sizeof(name)) &&
	    !bpf_strncmp(name, 7, "kworker"))
		be_busy(late_ns);
	return 0;
}
