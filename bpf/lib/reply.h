/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Follows the framing of responses, wherever their bytes are: in a packet that has arrived (lw_reply), or in what a pod of this node sends
 * (lw_far_msg). laneway/follow.h in scratch memory.
 */
#include "lib/state.h"

/* step: one step through the bytes; c: all but head filled. */
static __always_inline void lw_follow_reply(struct lw_reply_ctx *c,
					    long (*step)(__u32 i, void *arg))
{
	struct lw_scratch *s;

	if (lw_reply_skip(c))
		return;
	s = lw_scratch_take();
	if (!s) {
		c->up->frame.state = LW_FRAME_LOST;
		return;
	}
	c->head = &s->head;
	lw_reply_follow(c, step);
	lw_scratch_put(s);
}
