/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Notices applications that do what the kernel at hand gets wrong on an enrolled connection: ask FIONREAD, read with
 * splice(2). The connection follows its own peer from the next request on, and the process gets no other one enrolled.
 * A pod's end of an upstream connection has its reader, too, whom nobody can name before he has read: whoever splices in a pod, on whatever
 * connection, makes its ends take TCP from there on. (Who asks FIONREAD needs no notice there, as requests take TCP where it is wrong.)
 * By fentry, which costs nobody else anything; a syscall's tracepoint makes every syscall of the machine slower, and is
 * for kernels without fentry, if asked for.
 */
#include <asm/unistd.h>

#include "lib/kept.h"

#define LW_FIONREAD 0x541b
#define LW_INET 2
#define LW_INET6 10
#define LW_TCP 6
#define LW_S_IFMT 0170000
#define LW_S_IFSOCK 0140000

/* Servers in that network namespace may splice what they are sent. */
static __always_inline void lw_note_spliced(__u64 sk)
{
	struct lw_config *conf = lw_conf();
	__u64 net = 0, netns = 0, now = bpf_ktime_get_ns();
	__u16 family = 0, protocol = 0;

	/* the hook of all system calls sees splices of other sockets, too */
	bpf_probe_read_kernel(&family, sizeof(family),
			      (void *)sk +
				      bpf_core_field_offset(struct sock, __sk_common.skc_family));
	bpf_probe_read_kernel(&protocol, sizeof(protocol),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_protocol));
	if ((family != LW_INET && family != LW_INET6) || protocol != LW_TCP)
		return;
	bpf_probe_read_kernel(&net, sizeof(net),
			      (void *)sk +
				      bpf_core_field_offset(struct sock, __sk_common.skc_net.net));
	bpf_probe_read_kernel(&netns, sizeof(netns),
			      (void *)net + bpf_core_field_offset(struct net, net_cookie));
	if (!netns || !conf || bpf_map_lookup_elem(&lw_spliced, &netns))
		return;
	if (!bpf_map_update_elem(&lw_spliced, &netns, &now, BPF_NOEXIST))
		__sync_fetch_and_add(&conf->spliced, 1);
}

static __always_inline int lw_notice(__u64 sk, __u32 why)
{
	struct lw_kept_key key = {};
	char comm[16] = {};
	struct lw_flow *f;
	__u64 cookie = 0;

	bpf_probe_read_kernel(
		&cookie, sizeof(cookie),
		(void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_cookie.counter));
	if (why == LW_KEEP_SPLICE)
		lw_note_spliced(sk);
	if (!cookie)
		return 0;
	f = bpf_map_lookup_elem(&lw_flows, &cookie);
	if (!f || (f->noticed & why))
		return 0;
	/* of two calls at once, one of each kind, one may win: the other is noticed the next time */
	f->noticed |= why;
	lw_who(&key, comm);
	lw_keep(&key, comm, why);
	return 0;
}

SEC("fentry/tcp_ioctl")
int lw_see_ioctl(__u64 *ctx)
{
	return (__u32)ctx[1] == LW_FIONREAD ? lw_notice(ctx[0], LW_KEEP_FIONREAD) : 0;
}

SEC("fentry/tcp_splice_read")
int lw_see_splice(__u64 *ctx)
{
	__u64 sk = 0;

	bpf_probe_read_kernel(&sk, sizeof(sk),
			      (void *)ctx[0] + bpf_core_field_offset(struct socket, sk));
	return lw_notice(sk, LW_KEEP_SPLICE);
}

/* The socket behind a descriptor of the calling process; 0: it is none. */
static __always_inline __u64 lw_sock_of(__u64 fd)
{
	__u64 at = bpf_get_current_task(), file = 0, inode = 0, sk = 0;
	unsigned int max = 0;
	unsigned short mode = 0;

#define LW_READ(to, type, field)                 \
	bpf_probe_read_kernel(&(to), sizeof(to), \
			      (void *)at + bpf_core_field_offset(struct type, field))
	LW_READ(at, task_struct, files);
	LW_READ(at, files_struct, fdt);
	LW_READ(max, fdtable, max_fds);
	LW_READ(at, fdtable, fd);
	if (fd >= max ||
	    bpf_probe_read_kernel(&file, sizeof(file), (void *)at + fd * sizeof(file)) || !file)
		return 0;
	at = file;
	LW_READ(inode, file, f_inode);
	LW_READ(sk, file, private_data);
	at = inode;
	LW_READ(mode, inode, i_mode);
	if ((mode & LW_S_IFMT) != LW_S_IFSOCK)
		return 0;
	at = sk;
	LW_READ(sk, socket, sk);
#undef LW_READ
	return sk;
}

#if defined(__TARGET_ARCH_arm64)
#define LW_FIRST_ARG bpf_core_field_offset(struct pt_regs, orig_x0)
#else
#define LW_FIRST_ARG bpf_core_field_offset(struct pt_regs, di)
#endif

/*
 * Of all system calls: the tracepoint of this one alone needs tracefs to be mounted, to learn its number, and makes all
 * calls slower as well.
 */
SEC("tp_btf/sys_enter")
int lw_enter_splice(__u64 *ctx)
{
	__u64 fd = 0, sk;

	if (ctx[1] != __NR_splice)
		return 0;
	bpf_probe_read_kernel(&fd, sizeof(fd), (void *)ctx[0] + LW_FIRST_ARG);
	sk = lw_sock_of((__u32)fd);
	return sk ? lw_notice(sk, LW_KEEP_SPLICE) : 0;
}
