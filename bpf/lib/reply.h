/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Follows the framing of responses, wherever their bytes are: in a packet that has arrived (lw_reply), or in what a pod of this node sends
 * (lw_far_msg).
 */
#include "lib/state.h"

/* Of a response head, bytes looked at in one piece. */
#define LW_REPLY_WINDOW 2048
#define LW_REPLY_STEPS 32768

struct lw_reply_ctx {
	void *ctx; /* of the program: where the bytes are */
	struct lw_up *up;
	struct lw_head *head;
	const struct lw_names *names;
	__u32 off; /* in what the program was given */
	__u32 len; /* of it */
	__u32 surplus; /* what is behind off is no answer to anything */
};

static __always_inline void lw_response_ended(struct lw_up *up)
{
	up->resp_seq++;
	__builtin_memset(up->scan_state, 0, sizeof(up->scan_state));
	((struct lw_scan *)up->scan_state)->response = 1;
}

/* One step through the bytes: a run of body, or a window of head or chunk framing. load: n bytes from c->off into buf */
static __always_inline long lw_reply_step(struct lw_reply_ctx *c, long (*load)(struct lw_reply_ctx *c, void *buf, __u32 n))
{
	struct lw_up *up = c->up;
	struct lw_frame *f = &up->frame;
	struct lw_scan *scan = (struct lw_scan *)up->scan_state;
	__u32 n = c->len - c->off, skipped;

	if (c->off >= c->len || f->state == LW_FRAME_LOST)
		return 1;
	skipped = lw_frame_skip(f, n);
	if (skipped) {
		c->off += skipped;
		if (f->state == LW_FRAME_HEAD)
			lw_response_ended(up);
		return 0;
	}
	n = LW_AT_MOST(n, LW_REPLY_WINDOW);
	if (f->state == LW_FRAME_CHUNKED && n > LW_WINDOW)
		n = LW_WINDOW;
	if (n < 1 || load(c, c->head->buf, n)) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (f->state == LW_FRAME_CHUNKED) {
		c->off += lw_chunk_window(f, (const struct lw_window *)c->head->buf, n);
		if (f->state == LW_FRAME_HEAD)
			lw_response_ended(up);
		return 0;
	}

	if (!lw_up_is_due(up)) {
		c->surplus = 1;
		return 1;
	}
	c->off += lw_scan_response(scan, c->head, c->names, n);
	if (scan->state == LW_SCAN_ERROR || scan->pos > LW_HEAD_MAX) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (scan->state != LW_SCAN_DONE)
		return 0;
	if (scan->status == 101) {
		__sync_fetch_and_or(&up->flags, LW_UP_TUNNEL);
		f->state = LW_FRAME_LOST;
		return 1;
	}
	if (scan->status < 200) {
		/* interim: the final response follows */
		__builtin_memset(up->scan_state, 0, sizeof(up->scan_state));
		scan->response = 1;
		return 0;
	}
	if (lw_scan_closes(scan))
		__sync_fetch_and_or(&up->flags, LW_UP_CLOSING);
	lw_frame_response(scan, (up->head_bits >> (up->resp_seq & (LW_PIPELINE_MAX - 1))) & 1, f);
	if (f->state == LW_FRAME_HEAD)
		lw_response_ended(up);
	return 0;
}

/* Follows response bytes. cb: one step through them; c: all but head filled. */
static __always_inline void lw_follow_reply(struct lw_reply_ctx *c, long (*cb)(__u32 i, void *arg))
{
	struct lw_up *up = c->up;
	struct lw_scratch *s;

	if (up->frame.state == LW_FRAME_LOST || up->frame.state == LW_FRAME_CLOSE)
		return;
	if (up->frame.state == LW_FRAME_LENGTH && up->frame.left > c->len) {
		up->frame.left -= c->len;
		return;
	}
	s = lw_scratch_take();
	if (!s) {
		up->frame.state = LW_FRAME_LOST;
		return;
	}
	c->head = &s->head;
	bpf_loop(LW_REPLY_STEPS, cb, c, 0);
	if (c->off < c->len && !c->surplus)
		up->frame.state = LW_FRAME_LOST;
	lw_scratch_put(s);
}
