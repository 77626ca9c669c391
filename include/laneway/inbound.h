/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What is remembered of the requests that have arrived on a connection. */
#include "laneway/abi.h"
#include "laneway/http.h"

/*
 * Of `requests` that have arrived: may one whose head ends behind `was`, a sequence number, not be among the last any more? The place of the
 * oldest may be taken in this very moment, by the rest of the head whose first bytes are being read, and the count not yet have
 * followed.
 */
static __always_inline int lw_in_forgot(const struct lw_in *in, __u32 requests, __u32 was)
{
	__u32 newest = in->last[(requests - 1) & (LW_IN_REQUESTS - 1)].end;
	__u32 oldest = in->last[requests & (LW_IN_REQUESTS - 1)].end;
	__u32 next = *(const volatile __u32 *)&in->next;

	if (requests >= LW_IN_REQUESTS && (__s32)(oldest - newest) > 0) {
		requests++;
		oldest = in->last[requests & (LW_IN_REQUESTS - 1)].end;
	}
	/* the latter: behind a long body the oldest is so far back that it looks ahead */
	return requests > LW_IN_REQUESTS && (__s32)(oldest - was) > 0 && next - oldest < next - was;
}
