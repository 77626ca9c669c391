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
};

/* A head and all that is known of it. Scratch: one at a time a CPU. */
struct lw_head {
	struct lw_scan scan;
	struct lw_captures caps;
	struct lw_eval eval;
	__u8 buf[LW_HEAD_MAX + 64];
};
