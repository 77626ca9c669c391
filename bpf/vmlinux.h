/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The kernel types the programs look into, and of each only the fields they read. Offsets come from the
 * running kernel's BTF at load time.
 */
#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	__u64 net_cookie;
};

struct nsproxy {
	struct net *net_ns;
};

/* Counters of all sockets of a protocol, in pages. */
struct proto {
	long *memory_allocated; /* atomic */
	long *sysctl_mem; /* of three: little, pressure, all */
	unsigned long *memory_pressure; /* not 0: under it */
};

struct sock_common {
	unsigned short skc_family;
	unsigned char skc_state;
	struct proto *skc_prot;
	unsigned long skc_flags;
	struct {
		struct net *net;
	} skc_net;
	struct {
		__s64 counter;
	} skc_cookie;
};

struct inode {
	unsigned short i_mode;
};

struct file {
	struct inode *f_inode;
	void *private_data;
};

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct {
	struct fdtable *fdt;
};

struct signal_struct {
	struct {
		int counter;
	} live;
};

struct list_head {
	struct list_head *next;
};

struct pid_namespace {
	struct task_struct *child_reaper;
};

struct upid {
	int nr;
	struct pid_namespace *ns;
};

struct pid {
	unsigned int level;
	struct upid numbers[1];
};

struct task_struct {
	struct task_struct *group_leader;
	struct task_struct *real_parent;
	struct list_head children;
	struct pid *thread_pid;
	struct signal_struct *signal;
	int pid;
	struct files_struct *files;
	struct nsproxy *nsproxy;
	__u64 start_time;
	char comm[16];
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	void *sk_user_data;
	struct {
		int owned;
		struct {
			struct {
				struct {
					struct {
						int counter;
					} val;
				} raw_lock;
			} rlock;
		} slock;
	} sk_lock;
	struct {
		struct {
			int counter;
		} rmem_alloc;
	} sk_backlog;
	int sk_wmem_queued;
	int sk_sndbuf;
	int sk_err;
	__u8 sk_shutdown;
};

/* with PREEMPT_RT */
struct sock___rt {
	struct {
		struct {
			struct {
				struct task_struct *owner;
			} lock;
		} slock;
	} sk_lock;
};

struct socket {
	struct sock *sk;
};

struct pt_regs {
#if defined(__TARGET_ARCH_arm64)
	__u64 orig_x0;
#else
	unsigned long di;
#endif
};

struct iov_iter {
	__u8 iter_type;
	unsigned long iov_offset;
	unsigned long count;
	const void *__iov;
	void *ubuf;
};

/* before Linux 6.4 */
struct iov_iter___old {
	const void *iov;
};

/* their numbers are the running kernel's, too (bpf_core_enum_value()) */
enum sock_flags {
	SOCK_ZEROCOPY,
};

enum iter_type {
	ITER_UBUF,
	ITER_IOVEC,
};

struct msghdr {
	struct iov_iter msg_iter;
};

struct sk_buff_head {
	__u32 qlen;
};

struct sk_buff {
	char cb[48];
};

struct tcp_skb_cb {
	__u32 seq;
};

struct mutex {
	struct {
		__s64 counter;
	} owner;
};

struct mutex___rt {
	struct {
		struct task_struct *owner;
	} rtmutex;
};

struct sk_psock {
	struct sk_buff_head ingress_skb;
	struct list_head ingress_msg;
	unsigned long state;
	struct mutex work_mutex;
};

struct sk_msg {
	struct sock *sk_redir;
};

struct tcp_sock {
	__u32 write_seq;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 snd_una;
	_Bool is_mptcp;
};

#pragma clang attribute pop
