/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Between two sockets of one node bytes need no TCP: lw_msg puts requests into the receive queue of the
 * pod's end of the upstream connection, lw_far_msg puts responses into that of the downstream socket.
 *
 * Such bytes overtake whatever is still on the wire. So a request, and a response, takes the bypass only from its
 * first byte on, and only if nothing sent before it in the same direction is on the wire or was left unread.
 *
 * And they know no window. So no more than LW_BYPASS_MAX bytes may be waiting to be read; what comes on top, and all after
 * it up to the end of that request or response, takes the upstream connection, where TCP holds the sender back.
 *
 * Nor does TCP wait for the receiver's lock as the bypass does (bpf_tcp_ingress()), which an application keeps for as long as bytes
 * that it sends are not there. Where it is taken the bytes take the connection, too.
 */
#include "state.h"

static __always_inline __u32 lw_rmem(__u64 sk)
{
	__u32 n = 0;

	bpf_probe_read_kernel(&n, sizeof(n),
			      (void *)sk + bpf_core_field_offset(struct sock, sk_backlog.rmem_alloc.counter));
	return n;
}

/*
 * An upstream socket that is gone is no longer in lw_up_socks, but the pod's end of it may be in lw_far_socks yet: by
 * then the pod's end has got the FIN. An address that has been freed answers anything: then the socket is in no map either.
 */
static __always_inline int lw_is_established(__u64 sk)
{
	__u8 state = 0;

	bpf_probe_read_kernel(&state, sizeof(state),
			      (void *)sk + bpf_core_field_offset(struct sock, __sk_common.skc_state));
	return state == BPF_TCP_ESTABLISHED;
}

/* Is an application within a system call that has locked the socket? */
static __always_inline int lw_is_locked(__u64 sk)
{
	int owned = 0;

	bpf_probe_read_kernel(&owned, sizeof(owned), (void *)sk + bpf_core_field_offset(struct sock, sk_lock.owned));
	return owned;
}

/* Or the kernel, which has something for it? What lies on a way into the socket is there once nobody has locked it. */
static __always_inline int lw_is_held(__u64 sk)
{
	__u64 owner = 0;
	int val = 0;

	if (bpf_core_field_exists(struct sock___rt, sk_lock.slock.lock.owner))
		bpf_probe_read_kernel(&owner, sizeof(owner),
				      (void *)sk + bpf_core_field_offset(struct sock___rt, sk_lock.slock.lock.owner));
	else if (bpf_core_field_exists(struct sock, sk_lock.slock.rlock.raw_lock.val))
		bpf_probe_read_kernel(&val, sizeof(val),
				      (void *)sk + bpf_core_field_offset(struct sock, sk_lock.slock.rlock.raw_lock.val.counter));
	return lw_is_locked(sk) || val || owner;
}

/* sk_user_data carries flags in its low bits (SK_USER_DATA_PTRMASK). */
#define LW_USER_DATA_MASK (~7ull)

static __always_inline __u64 lw_psock_of(__u64 sk)
{
	__u64 psock = 0;

	bpf_probe_read_kernel(&psock, sizeof(psock), (void *)sk + bpf_core_field_offset(struct sock, sk_user_data));
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

#define LW_TCP_FIELD(sk, field)                                                                      \
	({                                                                                           \
		__u32 value_ = 0;                                                                    \
		bpf_probe_read_kernel(&value_, sizeof(value_),                                       \
				      (void *)(sk) + bpf_core_field_offset(struct tcp_sock, field)); \
		value_;                                                                              \
	})

/* All that was sent from one end has arrived at the other, and has been read there. */
static __always_inline int lw_wire_is_read(__u64 from, __u64 to)
{
	return from && to && LW_TCP_FIELD(from, write_seq) == LW_TCP_FIELD(from, snd_una) &&
	       LW_TCP_FIELD(to, copied_seq) == LW_TCP_FIELD(to, rcv_nxt) && !lw_rmem(to);
}

/* May the next n bytes of a request go to the pod's socket itself? `first`: the request starts with them. */
__noinline int lw_request_may_bypass(struct lw_up *up, __u64 cookie, __u32 n, __u32 first)
{
	struct lw_far *far;

	if (!up || (up->flags & (LW_UP_DEAD | LW_UP_ORPHAN | LW_UP_TUNNEL | LW_UP_OPAQUE | LW_UP_RELAY)))
		return 0;
	far = bpf_map_lookup_elem(&lw_fars, &cookie);
	if (!far || !lw_is_established(far->sk))
		return 0;
	if (up->flags & LW_UP_REQ_WIRE) {
		if (!first || up->req_seq != up->resp_seq || !lw_wire_is_read(far->up_sk, far->sk))
			return 0;
		__sync_fetch_and_and(&up->flags, ~LW_UP_REQ_WIRE);
	}
	if (lw_queue_is_empty(far->sk))
		up->passed_req = 0;
	if (up->passed_req + n > LW_BYPASS_MAX || lw_is_locked(far->sk))
		return 0;
	up->passed_req += n;
	return 1;
}
