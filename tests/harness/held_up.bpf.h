/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Put in front of a program's source (-include), holds up the data path's programs at random, before they have looked at anything and when they have
 * done: what is told by one of them is then for some ms not so yet, or was so, and whatever may come in between does. The names of
 * programs are macros here, which put a function of that name before the one that is written there.
 */
#include "vmlinux.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define HELD_UP_NS_MAX 5000000

static long held_up_turn(__u32 i, void *arg)
{
	(void)i;
	return bpf_ktime_get_ns() > *(const __u64 *)arg;
}

/* Not inlined: those it is put into have no stack to spare. */
__attribute__((unused)) static __noinline int held_up(int one_in)
{
	__u64 until = bpf_ktime_get_ns() + bpf_get_prandom_u32() % HELD_UP_NS_MAX;

	if (!(bpf_get_prandom_u32() % one_in))
		bpf_loop(1 << 20, held_up_turn, &until, 0);
	return 0;
}

#define HOLD_UP(one_in, name, ctx_type, arg)            \
	name(ctx_type *held_up_ctx)                     \
	{                                               \
		int held_up_r;                          \
                                                        \
		held_up(one_in);                        \
		held_up_r = name##_itself(held_up_ctx); \
		held_up(one_in);                        \
		return held_up_r;                       \
	}                                               \
	static __always_inline int name##_itself(arg)

/* What runs for each packet more seldom than what runs for each send. */
static __always_inline int lw_msg_itself(struct sk_msg_md *msg);
#define lw_msg(arg) HOLD_UP(5, lw_msg, struct sk_msg_md, arg)
static __always_inline int lw_far_msg_itself(struct sk_msg_md *msg);
#define lw_far_msg(arg) HOLD_UP(5, lw_far_msg, struct sk_msg_md, arg)
static __always_inline int lw_reply_itself(struct __sk_buff *skb);
#define lw_reply(arg) HOLD_UP(5, lw_reply, struct __sk_buff, arg)
static __always_inline int lw_native_itself(struct __sk_buff *skb);
#define lw_native(arg) HOLD_UP(20, lw_native, struct __sk_buff, arg)
static __always_inline int lw_to_pod_itself(struct __sk_buff *skb);
#define lw_to_pod(arg) HOLD_UP(30, lw_to_pod, struct __sk_buff, arg)
static __always_inline int lw_read_itself(__u64 *ctx);
#define lw_read(arg) HOLD_UP(5, lw_read, __u64, arg)
static __always_inline int lw_sends_itself(__u64 *ctx);
#define lw_sends(arg) HOLD_UP(5, lw_sends, __u64, arg)
static __always_inline int lw_sends_locked_itself(__u64 *ctx);
#define lw_sends_locked(arg) HOLD_UP(5, lw_sends_locked, __u64, arg)
static __always_inline int lw_sent_itself(__u64 *ctx);
#define lw_sent(arg) HOLD_UP(5, lw_sent, __u64, arg)
