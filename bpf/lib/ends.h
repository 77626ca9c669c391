/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The ends of downstream and upstream sockets, as the kernel tells of them or a program finds out, and what ends with them. */
#include "lib/events.h"
#include "lib/state.h"

/* shutdown() or close(): all its bytes are on their way, an end of file belongs behind them. */
static __always_inline void lw_down_fin(__u64 cookie)
{
	struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &cookie);
	__u32 i, any = 0;

	if (!f)
		return;
	f->flags |= LW_FLOW_FIN_SENT;
	for (i = 0; i < LW_FLOW_UPS; i++)
		any |= !!f->ups[i].up;
	/* what is with the agent yet it looks for itself */
	if (any)
		lw_emit(LW_EVENT_DOWN_FIN, cookie, 0, f, NULL);
}

/* The downstream socket is gone: its upstream sockets go with it, no other may ever have them. */
static __always_inline void lw_down_closed(__u64 cookie)
{
	struct lw_flow *f = bpf_map_lookup_elem(&lw_flows, &cookie);
	struct lw_tuple tuple;
	__u32 i, any = 0;

	if (!f)
		return;
	for (i = 0; i < LW_FLOW_UPS; i++) {
		__u64 c = f->ups[i].up;
		struct lw_up *up;

		if (!c)
			continue;
		any = 1;
		up = lw_up_of(c);
		if (up)
			__sync_fetch_and_or(&up->flags, LW_UP_ORPHAN);
	}
	if (any || f->punt)
		lw_emit(LW_EVENT_DOWN_CLOSED, cookie, 0, f, NULL);
	lw_count_base(f);
	bpf_map_delete_elem(&lw_streams, &cookie);
	lw_flow_tuple(f, &tuple);
	bpf_map_delete_elem(&lw_tuples, &tuple);
	bpf_map_delete_elem(&lw_flows, &cookie);
}

/* An upstream socket leaves a state in which it takes bytes: how many it has taken is known from here on. Before its FIN, which counts as one. */
static __noinline int lw_up_ended(struct bpf_sock *sk, __u64 cookie)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct lw_up *up = lw_up_of(cookie);
	struct lw_flow *f;
	__u64 down;

	if (!tp || !up)
		return 0;
	down = lw_down_of(up, cookie);
	f = bpf_map_lookup_elem(&lw_flows, &down);
	if (!f || f->ended_up == cookie)
		return 0;
	f->ended_seq = tp->write_seq;
	/* atomic: the number is there before it */
	__sync_lock_test_and_set(&f->ended_up, cookie);
	return 0;
}

/*
 * An upstream socket that was in state `was` is closed: by a reset, a time-out, or whoever may destroy sockets (tcp_reset(), tcp_write_err() and tcp_abort()
 * set its error before), unless the pod's FIN had come.
 */
static __always_inline void lw_up_reset(struct bpf_sock *sk, __u64 cookie, __u32 was)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	struct lw_up *up = lw_up_of(cookie);
	int error = 0;

	if (!tp || !up ||
	    (was != BPF_TCP_ESTABLISHED && was != BPF_TCP_FIN_WAIT1 && was != BPF_TCP_FIN_WAIT2))
		return;
	bpf_probe_read_kernel(&error, sizeof(error),
			      (void *)tp + bpf_core_field_offset(struct sock, sk_err));
	if (error)
		__sync_fetch_and_or(&up->flags, LW_UP_RESET);
}

static __always_inline void lw_up_closed(__u64 cookie)
{
	struct lw_up *up = lw_up_of(cookie);

	if (!up || (up->flags & LW_UP_DEAD))
		return;
	__sync_fetch_and_or(&up->flags, LW_UP_DEAD);
	lw_emit(LW_EVENT_UP_DEAD, up->down, cookie, NULL, NULL);
}
