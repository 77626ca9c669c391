/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Where bytes lie that a socket's application has not read, and who has locked it: read from the kernel's own structures, and only what a
 * wrong answer could not hurt. A socket is an address; one that has been freed answers anything.
 */

static __always_inline __u32 lw_rmem(__u64 sk)
{
	__u32 n = 0;

	bpf_probe_read_kernel(
		&n, sizeof(n),
		(void *)sk + bpf_core_field_offset(struct sock, sk_backlog.rmem_alloc.counter));
	return n;
}

/*
 * An upstream socket that is gone is no longer in lw_up_socks, but the pod's end of it may be in lw_far_socks yet: by
 * then the pod's end has got the FIN. An address that has been freed answers anything: then the socket is in no map either.
 */
static __always_inline __u8 lw_state_of(__u64 sk)
{
	__u8 state = 0;

	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)sk +
				      bpf_core_field_offset(struct sock, __sk_common.skc_state));
	return state;
}

static __always_inline int lw_is_established(__u64 sk)
{
	return lw_state_of(sk) == BPF_TCP_ESTABLISHED;
}

/* Until it has sent a FIN of its own. */
static __always_inline int lw_takes_bytes(__u64 sk)
{
	__u8 state = lw_state_of(sk);

	return state == BPF_TCP_ESTABLISHED || state == BPF_TCP_CLOSE_WAIT;
}

/* Its application has closed it, or the side that it receives on. */
#define LW_RCV_SHUTDOWN 1 /* RCV_SHUTDOWN, include/net/sock.h */
static __always_inline int lw_is_read_no_more(__u64 sk)
{
	__u8 shutdown = 0;

	bpf_probe_read_kernel(&shutdown, sizeof(shutdown),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_shutdown));
	return shutdown & LW_RCV_SHUTDOWN;
}

/*
 * Is TCP about to be short of memory? Past the second number of net.ipv4.tcp_mem, and from there on until it is back below the first
 * (sk_enter_memory_pressure(), sk_leave_memory_pressure()), it refuses some to a socket that has more than its share
 * (__sk_mem_raise_allocated()). An eighth before that: more than one send takes.
 */
static __always_inline int lw_tcp_is_tight(__u64 sk)
{
	__u64 proto = 0, at = 0, limit = 0, pressed = 0;
	/* below 0 where processors have kept more than there is (sk_memory_allocated_sub()) */
	__s64 used = 0;

	if (!bpf_core_field_exists(struct proto, memory_allocated) ||
	    !bpf_core_field_exists(struct proto, sysctl_mem))
		return 0;
	bpf_probe_read_kernel(&proto, sizeof(proto),
			      (void *)sk +
				      bpf_core_field_offset(struct sock, __sk_common.skc_prot));
	bpf_probe_read_kernel(&at, sizeof(at),
			      (void *)proto +
				      bpf_core_field_offset(struct proto, memory_allocated));
	bpf_probe_read_kernel(&used, sizeof(used), (void *)at);
	bpf_probe_read_kernel(&at, sizeof(at),
			      (void *)proto + bpf_core_field_offset(struct proto, sysctl_mem));
	bpf_probe_read_kernel(&limit, sizeof(limit), (void *)(at + sizeof(limit)));
	bpf_probe_read_kernel(&at, sizeof(at),
			      (void *)proto + bpf_core_field_offset(struct proto, memory_pressure));
	bpf_probe_read_kernel(&pressed, sizeof(pressed), (void *)at);
	return pressed || used > (__s64)(limit - limit / 8);
}

/* Is an application within a system call that has locked the socket? */
static __always_inline int lw_is_locked(__u64 sk)
{
	int owned = 0;

	bpf_probe_read_kernel(&owned, sizeof(owned),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_lock.owned));
	return owned;
}

/* Or the kernel, which has something for it? What lies on a way into the socket is there once nobody has locked it. */
static __always_inline int lw_is_held(__u64 sk)
{
	__u64 owner = 0;
	int val = 0;

	if (bpf_core_field_exists(struct sock___rt, sk_lock.slock.lock.owner))
		bpf_probe_read_kernel(&owner, sizeof(owner),
				      (void *)sk + bpf_core_field_offset(struct sock___rt,
									 sk_lock.slock.lock.owner));
	else if (bpf_core_field_exists(struct sock, sk_lock.slock.rlock.raw_lock.val))
		bpf_probe_read_kernel(
			&val, sizeof(val),
			(void *)sk +
				bpf_core_field_offset(struct sock,
						      sk_lock.slock.rlock.raw_lock.val.counter));
	return lw_is_locked(sk) || val || owner;
}

/* Will the socket take n bytes, in whatever pieces, without waiting? */
static __always_inline int lw_takes_all(__u64 sk, int n)
{
	int queued = 0, limit = 0;

	bpf_probe_read_kernel(&queued, sizeof(queued),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_wmem_queued));
	bpf_probe_read_kernel(&limit, sizeof(limit),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_sndbuf));
	return limit - queued > n;
}

/*
 * Or a head of n bytes, altered or not? One that is altered must not be taken in part: what of it has gone is counted
 * with what was put in (tcp_bpf_send_verdict()), and who sends the rest again does not know of that. The kernel adds to what
 * waits until it is more than the buffer (sk_stream_memory_free()): an empty one takes any head.
 */
static __always_inline int lw_has_room(__u64 sk, int n)
{
	int queued = 0;

	bpf_probe_read_kernel(&queued, sizeof(queued),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_wmem_queued));
	return !queued || lw_takes_all(sk, n);
}

/* Of whatever length. */
static __always_inline int lw_takes_a_head(__u64 sk)
{
	return lw_has_room(sk, 2 * LW_HEAD_MAX);
}

/* sk_user_data carries flags in its low bits (SK_USER_DATA_PTRMASK). */
#define LW_USER_DATA_MASK (~7ull)

static __always_inline __u64 lw_psock_of(__u64 sk)
{
	__u64 psock = 0;

	bpf_probe_read_kernel(&psock, sizeof(psock),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_user_data));
	return psock & LW_USER_DATA_MASK;
}

/* Has all been read that was put into the socket's queue past TCP, or by its verdict? */
static __always_inline int lw_queue_is_empty(__u64 sk)
{
	__u64 psock = lw_psock_of(sk), head, first = 0;

	if (!psock)
		return 0;
	head = psock + bpf_core_field_offset(struct sk_psock, ingress_msg);
	bpf_probe_read_kernel(&first, sizeof(first), (void *)head);
	return first == head;
}

#define LW_TCP_FIELD(sk, field)                                                               \
	({                                                                                    \
		__u32 value_ = 0;                                                             \
		bpf_probe_read_kernel(&value_, sizeof(value_),                                \
				      (void *)(sk) +                                          \
					      bpf_core_field_offset(struct tcp_sock, field)); \
		value_;                                                                       \
	})

/* Steered packets in the queue before a socket; -1: it takes none. */
static __always_inline int lw_queue_len(__u64 psock)
{
	__u32 n = 0;

	if (!psock)
		return -1;
	bpf_probe_read_kernel(&n, sizeof(n),
			      (void *)psock + bpf_core_field_offset(struct sk_psock, ingress_skb) +
				      bpf_core_field_offset(struct sk_buff_head, qlen));
	return n;
}

/* Whoever brings packets of that queue into the socket (sk_psock_backlog()); 0: nobody is at it. */
static __always_inline __u64 lw_queue_worker(__u64 psock)
{
	void *mutex = (void *)psock + bpf_core_field_offset(struct sk_psock, work_mutex);
	__u64 owner = 0;

	if (!psock)
		return 0;
	if (bpf_core_field_exists(struct mutex___rt, rtmutex.owner))
		bpf_probe_read_kernel(
			&owner, sizeof(owner),
			mutex + bpf_core_field_offset(struct mutex___rt, rtmutex.owner));
	else if (bpf_core_field_exists(struct mutex, owner))
		bpf_probe_read_kernel(&owner, sizeof(owner),
				      mutex + bpf_core_field_offset(struct mutex, owner));
	return owner;
}

/*
 * Steered packets that wait on their way into a socket; -1: it takes none. One that has been taken from the queue, as 6.1 does first, is
 * not in the socket before its worker is gone. So that is looked at last.
 */
static __always_inline int lw_queued(__u64 sk)
{
	__u64 psock = sk ? lw_psock_of(sk) : 0;
	int n = lw_queue_len(psock);

	return n ? n : !!lw_queue_worker(psock);
}

/*
 * An end of file that has gone into the socket's queue: sk_psock_backlog() takes that empty packet for a hard error, leaves it where it is and
 * stops for good.
 */
#define LW_PSOCK_TX_ENABLED 1ul
static __always_inline int lw_queue_has_ended(__u64 psock)
{
	unsigned long state = LW_PSOCK_TX_ENABLED;

	if (psock)
		bpf_probe_read_kernel(&state, sizeof(state),
				      (void *)psock +
					      bpf_core_field_offset(struct sk_psock, state));
	return !(state & LW_PSOCK_TX_ENABLED);
}

/* As lw_queued(), but 0 once the queue has ended. */
static __always_inline int lw_backlogged(__u64 sk)
{
	return lw_queue_has_ended(sk ? lw_psock_of(sk) : 0) ? 0 : lw_queued(sk);
}

/*
 * Do bytes wait before a socket that its application is yet to get? Not those of a packet that is in the socket already, and for a moment
 * still in the queue, as of 6.2: who has read all there is may ask in that moment. In it the worker is at it, and nothing is unread.
 */
static __always_inline int lw_is_waiting(__u64 sk)
{
	__u64 psock = sk ? lw_psock_of(sk) : 0;

	if (lw_queue_len(psock) <= 0 || lw_queue_has_ended(psock) ||
	    (lw_queue_worker(psock) && lw_queue_is_empty(sk)))
		return 0;
	/* without a worker: it may have taken the last of them out just now */
	return lw_queue_len(psock) > 0;
}
