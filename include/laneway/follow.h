/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * HTTP/1.x connections, followed: requests and their bodies as a client sends them, responses in the pieces in which they arrive.
 * Compiled for the kernel programs and for user space. Where the bytes are is the caller's matter: what looks at a few of
 * them takes a `load`, which copies n bytes from offset `off` into buf, and returns 0 if it could.
 */
#include "laneway/frame.h"
#include "laneway/lane_types.h"
#include "laneway/reasons.h"

/* ---- heads: as many of their bytes as there are, in memory ---- */

struct lw_scan_ctx {
	struct lw_scan *scan;
	struct lw_head *head; /* captures and bytes */
	const struct lw_names *names;
	__u32 len; /* bytes in head->buf */
	__u32 base; /* offset in the head of the first of them */
};

static long lw_scan_request_cb(__u32 i, void *arg)
{
	struct lw_scan_ctx *c = arg;

	(void)i;
	return lw_scan_step(c->scan, c->names, &c->head->caps, c->head->buf, LW_HEAD_MAX, c->len,
			    0);
}

static long lw_scan_response_cb(__u32 i, void *arg)
{
	struct lw_scan_ctx *c = arg;

	(void)i;
	return lw_scan_step(c->scan, c->names, NULL, c->head->buf, LW_HEAD_MAX, c->len, c->base);
}

/* Scans on over head->buf, which holds the first len bytes of a request. */
LW_CHECKED_ONCE int lw_scan_request(struct lw_head *head, const struct lw_names *names, __u32 len)
{
	struct lw_scan_ctx c = { .head = head, .names = names, .len = len };

	if (!head || !names)
		return -1;
	c.scan = &head->scan;
	LW_LOOP(LW_HEAD_MAX, lw_scan_request_cb, &c);
	return 0;
}

/* Scans on over head->buf, which holds the next len bytes of a response. Returns how many were taken. */
LW_CHECKED_ONCE int lw_scan_response(struct lw_scan *scan, struct lw_head *head,
				     const struct lw_names *names, __u32 len)
{
	struct lw_scan_ctx c = { .scan = scan, .head = head, .names = names, .len = len };

	if (!scan || !head || !names)
		return -1;
	c.base = scan->pos;
	LW_LOOP(LW_HEAD_MAX, lw_scan_response_cb, &c);
	return scan->pos - c.base;
}

/* ---- requests ---- */

/* At the start of a head. */
static __always_inline void lw_request_begin(struct lw_head *h)
{
	__builtin_memset(&h->scan, 0, sizeof(h->scan));
	__builtin_memset(h->caps.first, 0, sizeof(h->caps.first));
	h->caps.n = 0;
}

enum lw_head_look {
	LW_LOOK_DONE, /* whole: the frame says what follows */
	LW_LOOK_MORE, /* not whole yet */
	LW_LOOK_OPAQUE, /* the connection is not to be interpreted any more */
};

/* A request's head has been scanned, as far as `size` bytes have it. OPAQUE: *why says why. */
static __always_inline int lw_request_look(const struct lw_scan *s, __u32 size, struct lw_frame *f,
					   __u32 *why)
{
	*why = LW_REASON_OPAQUE_MALFORMED;
	if (s->state == LW_SCAN_DONE) {
		if (s->flags & LW_SCAN_CAPTURES_FULL)
			return LW_LOOK_OPAQUE;
		lw_frame_request(s, f);
		return f->state == LW_FRAME_LOST ? LW_LOOK_OPAQUE : LW_LOOK_DONE;
	}
	if (s->state == LW_SCAN_ERROR) {
		if (s->flags & LW_SCAN_NOT_HTTP)
			*why = LW_REASON_OPAQUE_NOT_HTTP;
		return LW_LOOK_OPAQUE;
	}
	*why = LW_REASON_OPAQUE_HEAD_SIZE;
	return size >= LW_HEAD_MAX ? LW_LOOK_OPAQUE : LW_LOOK_MORE;
}

struct lw_body_ctx {
	void *from; /* for load */
	struct lw_frame *f;
	__u32 off; /* in what there is */
	__u32 len; /* of it */
	struct lw_window win;
};

/* One step through a chunked body: a run of data, or a window of framing. */
static __always_inline long lw_body_step(struct lw_body_ctx *c,
					 long (*load)(void *from, __u32 off, void *buf, __u32 n))
{
	struct lw_frame *f = c->f;
	__u32 n = c->len - c->off, skipped;

	if (c->off >= c->len || f->state != LW_FRAME_CHUNKED)
		return 1;
	skipped = lw_frame_skip(f, n);
	if (skipped) {
		c->off += skipped;
		return 0;
	}
	if (n > LW_WINDOW)
		n = LW_WINDOW;
	if (n < 1 || load(c->from, c->off, c->win.b, n)) {
		f->state = LW_FRAME_LOST;
		return 1;
	}
	c->off += lw_chunk_window(f, &c->win, n);
	return 0;
}

/* Follows a request's body up to its end, or that of the bytes; step: one step. Returns where. */
static __always_inline __u32 lw_body_follow(struct lw_body_ctx *c, long (*step)(__u32 i, void *arg))
{
	if (c->f->state == LW_FRAME_LENGTH)
		return c->off + lw_frame_skip(c->f, c->len - c->off);
	if (c->f->state == LW_FRAME_CHUNKED)
		LW_LOOP(LW_CHUNK_WINDOWS, step, c);
	return c->off;
}

/* ---- responses ---- */

/* Of a response head, bytes looked at in one piece. */
#define LW_REPLY_WINDOW 2048
#define LW_REPLY_STEPS 32768

struct lw_reply_ctx {
	void *from; /* for load */
	struct lw_up *up;
	struct lw_head *head; /* memory */
	const struct lw_names *names;
	__u32 off; /* in what there is */
	__u32 len; /* of it */
	__u32 surplus; /* what is behind off is no answer to anything */
};

/* At the start of a response, or of one that follows an interim one. */
static __always_inline void lw_response_begin(struct lw_up *up)
{
	__builtin_memset(up->scan_state, 0, sizeof(up->scan_state));
	((struct lw_scan *)up->scan_state)->response = 1;
}

static __always_inline void lw_response_ended(struct lw_up *up)
{
	up->resp_seq++;
	lw_response_begin(up);
}

/* One step through the bytes: a run of body, or a window of head or chunk framing. */
static __always_inline long lw_reply_step(struct lw_reply_ctx *c,
					  long (*load)(void *from, __u32 off, void *buf, __u32 n))
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
	if (n < 1 || load(c->from, c->off, c->head->buf, n)) {
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
		lw_response_begin(up);
		return 0;
	}
	if (lw_scan_closes(scan))
		__sync_fetch_and_or(&up->flags, LW_UP_CLOSING);
	lw_frame_response(scan, (up->head_bits >> (up->resp_seq & (LW_PIPELINE_MAX - 1))) & 1, f);
	if (f->state == LW_FRAME_HEAD)
		lw_response_ended(up);
	return 0;
}

/* Takes all bytes, where none of them need be looked at: 1 if so. */
static __always_inline int lw_reply_skip(struct lw_reply_ctx *c)
{
	struct lw_frame *f = &c->up->frame;

	if (f->state == LW_FRAME_LOST || f->state == LW_FRAME_CLOSE)
		return 1;
	if (f->state != LW_FRAME_LENGTH || f->left <= c->len)
		return 0;
	f->left -= c->len;
	return 1;
}

/* Follows the bytes; step: one step. */
static __always_inline void lw_reply_follow(struct lw_reply_ctx *c,
					    long (*step)(__u32 i, void *arg))
{
	LW_LOOP(LW_REPLY_STEPS, step, c);
	if (c->off < c->len && !c->surplus)
		c->up->frame.state = LW_FRAME_LOST;
}
