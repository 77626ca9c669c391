/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Trace ids in request heads: of a header that carries one (enum lw_header_id, TRACE_FIRST to TRACE_LAST), the part of
 * its value that stays the same from hop to hop. Compiled for the kernel programs and for user space; included by
 * lane.h, whose LW_AT it needs.
 *
 *   traceparent      00-ID-span-flags                 W3C Trace Context, 3.2
 *   b3               ID-span-sampled                  B3, single header; "0", "1" and "d" have no id
 *   x-b3-traceid     ID                               B3, several headers
 *   sw8              1-ID-segment-...                 SkyWalking, cross process propagation v3
 *   uber-trace-id    ID:span:parent:flags             Jaeger; some of its clients write a colon as %3A
 *   x-request-id     ID
 *
 * One of zeros alone is none, see lw_trace_is_zeros().
 */
#include "laneway/lane_types.h"

/* Shorter ones are not looked at: they are numbers, which requests have by chance. */
#define LW_TRACE_ID_MIN 8

/* Bytes of the header's value before the id. */
static __always_inline __u32 lw_trace_skip(__u32 header)
{
	return header == LW_HDR_TRACEPARENT ? 3 : header == LW_HDR_SW8 ? 2 : 0;
}

/* Fills all of the key but the pod from capture i. Returns 0 if there is no trace id in it. */
static __always_inline int lw_trace_id(struct lw_head *head, __u32 i, struct lw_trace_key *key)
{
	const struct lw_capture *cap = &head->caps.at[i & (LW_CAPTURES - 1)];
	__u32 off = cap->value, n = cap->value_len, k, skip = lw_trace_skip(cap->header);
	__u64 hash = 14695981039346656037ull; /* FNV-1a */
	int end = 0, or_end = 0, c;

	if (cap->header < LW_HDR_TRACE_FIRST || cap->header > LW_HDR_TRACE_LAST)
		return 0;
	switch (cap->header) {
	case LW_HDR_TRACEPARENT:
	case LW_HDR_B3:
	case LW_HDR_SW8:
		end = or_end = '-';
		break;
	case LW_HDR_UBER_TRACE_ID:
		end = ':';
		or_end = '%';
		break;
	default:
		break;
	}
	if (n <= skip || (skip && LW_AT(head, off + skip - 1) != '-'))
		return 0;
	off += skip;
	n -= skip;
	for (k = 0; k < LW_TRACE_VALUE_MAX; k++) {
		if (k >= n)
			break;
		c = LW_AT(head, off + k);
		/* one branch, as Linux 6.1's verifier follows each of them behind each byte: either end is this byte */
		if (end && (c - end) * (c - or_end) == 0)
			break;
		if (k < LW_TRACE_ID_LEN)
			key->id[k] = (char)c;
		hash = (hash ^ (__u64)c) * 1099511628211ull;
	}
	if (k < LW_TRACE_ID_MIN)
		return 0;
	if (k > LW_TRACE_ID_LEN)
		__builtin_memcpy(key->id + LW_TRACE_ID_LEN - sizeof(hash), &hash, sizeof(hash));
	key->header = cap->header;
	key->len = k;
	return 1;
}

/*
 * Whoever has no id to send may send zeros, for any request (W3C Trace Context, 3.2.2.3): 16 of them, 32, or a nil UUID (RFC 9562,
 * 5.9). Not looked at in lw_trace_id(): Linux 6.1's verifier would follow it behind each byte of an id.
 */
static __always_inline int lw_trace_is_zeros(const struct lw_trace_key *key)
{
	const __u64 *id = (const __u64 *)key->id, zeros = 0x3030303030303030ull;

	if (id[0] != zeros)
		return 0;
	switch (key->len) {
	case 16:
		return id[1] == zeros;
	case 32:
		return id[1] == zeros && id[2] == zeros && id[3] == zeros;
	case 36: /* "-0000-00", "00-0000-", and "0000" at last; little endian */
		return id[1] == 0x30302d303030302dull && id[2] == 0x2d303030302d3030ull &&
		       id[3] == zeros && id[4] == (zeros & 0xffffffff);
	default:
		return 0;
	}
}
