/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What takes a program long, and says when it has begun and ended. */
#include <bpf/bpf_helpers.h>

int began, ended;

static long busy_turn(__u32 i, __u64 *until)
{
	return bpf_ktime_get_ns() >= *until;
}

/* Runs for that long; bpf_loop() ends it after some 8 million turns in any case. */
static void be_busy(__u64 ns)
{
	__u64 until = bpf_ktime_get_ns() + ns;

	__sync_fetch_and_add(&began, 1);
	bpf_loop(1 << 23, busy_turn, &until, 0);
	__sync_fetch_and_add(&ended, 1);
}
