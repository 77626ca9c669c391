/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* The memory that lane.h works in. */
#include "laneway/http.h"

struct lw_eval {
	__u32 slot;
	__u32 step; /* at hand; LW_STEP_END: over */
	__u32 rule; /* LW_STEP_ENTER | lw_rules id once a rule holds */
	__u32 steps; /* taken */
	__u32 off, len; /* the subject at hand, in the head */
	__u32 mode, matched; /* of the search for a cookie or parameter */
	__u32 ok; /* the condition at hand holds so far */
	__u32 state; /* of the automaton */
	__u32 path, path_len, query, query_len; /* in the head */
	__u32 have_path;
	__u32 slashes;
	__u32 untrusted; /* set by the caller: tags that the request brings along count for nothing */
};

/* What baggage.h has found in the request's baggage, and where it stands. */
struct lw_baggage {
	__u32 named, lane; /* a member of ours names this lane */
	__u32 ambiguous; /* two name different ones */
	__u32 malformed;
	__u32 members, bytes;
	__u32 stale; /* members of ours that name no open lane */
	/* the last of these: in which capture, and which bytes of the head go with it */
	__u32 cut_line, cut, cut_len;
	__u32 ours; /* bit i: capture i has a member of ours, or is malformed */
	/* while it is read: */
	__u32 state; /* enum lw_baggage_state */
	__u32 line, off, len; /* the capture at hand, and its value */
	__u32 line_members;
	__u32 element; /* where in the value the member at hand starts, blanks included */
	__u32 percent;
	__u32 name; /* of the automaton */
	struct lw_tag_key key;
};

/* Behind the longest head: what is loaded there in one piece may begin anywhere in it. */
#define LW_HEAD_BEHIND 2048

/* A head and all that is known of it. Scratch: a few a CPU (LW_SCRATCH_CPU). */
struct lw_head {
	struct lw_scan scan;
	struct lw_captures caps;
	struct lw_eval eval;
	struct lw_baggage bag;
	__u8 buf[LW_HEAD_MAX + LW_HEAD_BEHIND];
};
