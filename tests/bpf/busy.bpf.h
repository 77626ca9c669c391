/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What takes a program long, and says when it has begun and ended. */
#include <bpf/bpf_helpers.h>

int began, ended;
int enough; /* set by who has no need of it any more */

static long busy_turn(__u32 i, __u64 *until)
{
	return enough || bpf_ktime_get_ns() >= *until;
}

/* bpf_loop() ends after some 8 million turns in any case, which are less than a second. */
static long busy_turns(__u32 i, __u64 *until)
{
	bpf_loop(1 << 23, busy_turn, until, 0);
	return busy_turn(i, until);
}

/* Runs for that long, or until it is enough. */
static void be_busy(__u64 ns)
{
	__u64 until = bpf_ktime_get_ns() + ns;

	__sync_fetch_and_add(&began, 1);
	bpf_loop(1 << 10, busy_turns, &until, 0);
	__sync_fetch_and_add(&ended, 1);
}
