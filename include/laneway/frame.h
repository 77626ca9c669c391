/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What comes behind an HTTP/1.x head, and where it ends (RFC 9112 6 and 7). Compiled for the kernel programs and for user space.
 */
#include "laneway/http.h"

/* After DONE of a request: what follows. LW_FRAME_HEAD: no body; LW_FRAME_LOST: framing in doubt. */
static __always_inline void lw_frame_request(const struct lw_scan *s, struct lw_frame *f)
{
	f->left = 0;
	f->chunk = 0;
	f->digits = 0;
	if (s->flags & LW_SCAN_HAS_CHUNKED) {
		/* RFC 9112 6.3 (3) and 6.1: both, or in HTTP/1.0, is how requests are smuggled */
		f->state = s->flags & (LW_SCAN_HAS_LENGTH | LW_SCAN_HTTP_1_0) ? LW_FRAME_LOST :
										LW_FRAME_CHUNKED;
	} else if (s->length) {
		f->left = s->length;
		f->state = LW_FRAME_LENGTH;
	} else {
		f->state = LW_FRAME_HEAD;
	}
}

/* After DONE of a response to a request that was (is_head) a HEAD. RFC 9112 6.3. */
static __always_inline void lw_frame_response(const struct lw_scan *s, __u32 is_head,
					      struct lw_frame *f)
{
	f->left = 0;
	f->chunk = 0;
	f->digits = 0;
	if (is_head || s->status < 200 || s->status == 204 || s->status == 304) {
		f->state = LW_FRAME_HEAD;
	} else if (s->flags & LW_SCAN_HAS_CHUNKED) {
		f->state = s->flags & (LW_SCAN_HAS_LENGTH | LW_SCAN_HTTP_1_0) ? LW_FRAME_LOST :
										LW_FRAME_CHUNKED;
	} else if (s->flags & LW_SCAN_HAS_LENGTH) {
		f->left = s->length;
		f->state = s->length ? LW_FRAME_LENGTH : LW_FRAME_HEAD;
	} else {
		f->state = LW_FRAME_CLOSE;
	}
}

/* Where a chunked body stands (RFC 9112 7.1). */
enum lw_chunk_state {
	LW_CHUNK_SIZE = 0,
	LW_CHUNK_EXT,
	LW_CHUNK_SIZE_LF,
	LW_CHUNK_DATA, /* lw_frame.left bytes */
	LW_CHUNK_DATA_CR,
	LW_CHUNK_DATA_LF,
	LW_CHUNK_TRAILER, /* start of a trailer line or of the empty line */
	LW_CHUNK_TRAILER_NAME,
	LW_CHUNK_TRAILER_LINE,
	LW_CHUNK_TRAILER_LF,
	LW_CHUNK_END_LF,
};

/* The token characters of RFC 9110 5.6.2, 0..63 and 64..127. */
#define LW_TOKEN_LOW 0x3ff6cfa00000000ull
#define LW_TOKEN_HIGH 0x57ffffffc7fffffeull

static __always_inline __u32 lw_is_token(__u8 c)
{
	return c < 0x80 && ((c & 0x40 ? LW_TOKEN_HIGH : LW_TOKEN_LOW) >> (c & 0x3f) & 1);
}

/* Takes one byte of chunk framing (never of chunk data). f->state becomes HEAD at the end, LOST on doubt. */
static __always_inline void lw_chunk_byte(struct lw_frame *f, __u8 c)
{
	__u32 digit;

	switch (f->chunk) {
	case LW_CHUNK_SIZE:
		if (c >= '0' && c <= '9')
			digit = c - '0';
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			digit = (c | 0x20) - 'a' + 10;
		else
			digit = 16;
		if (digit < 16) {
			if (f->digits >= 15) {
				f->state = LW_FRAME_LOST;
				break;
			}
			f->digits++;
			f->left = f->left * 16 + digit;
			break;
		}
		if (!f->digits)
			f->state = LW_FRAME_LOST;
		else if (c == '\r')
			f->chunk = LW_CHUNK_SIZE_LF;
		else if (c == ';')
			f->chunk = LW_CHUNK_EXT;
		else
			f->state = LW_FRAME_LOST;
		break;
	case LW_CHUNK_EXT:
		if (c == '\r')
			f->chunk = LW_CHUNK_SIZE_LF;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			f->state = LW_FRAME_LOST;
		break;
	case LW_CHUNK_SIZE_LF:
		if (c != '\n')
			f->state = LW_FRAME_LOST;
		else
			f->chunk = f->left ? LW_CHUNK_DATA : LW_CHUNK_TRAILER;
		break;
	case LW_CHUNK_DATA_CR:
		if (c != '\r')
			f->state = LW_FRAME_LOST;
		f->chunk = LW_CHUNK_DATA_LF;
		break;
	case LW_CHUNK_DATA_LF:
		if (c != '\n')
			f->state = LW_FRAME_LOST;
		f->chunk = LW_CHUNK_SIZE;
		f->digits = 0;
		break;
	case LW_CHUNK_TRAILER:
		if (c == '\r')
			f->chunk = LW_CHUNK_END_LF;
		else if (lw_is_token(c))
			f->chunk = LW_CHUNK_TRAILER_NAME;
		else
			f->state = LW_FRAME_LOST;
		break;
	case LW_CHUNK_TRAILER_NAME:
		if (c == ':')
			f->chunk = LW_CHUNK_TRAILER_LINE;
		else if (!lw_is_token(c))
			f->state = LW_FRAME_LOST;
		break;
	case LW_CHUNK_TRAILER_LINE:
		if (c == '\r')
			f->chunk = LW_CHUNK_TRAILER_LF;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			f->state = LW_FRAME_LOST;
		break;
	case LW_CHUNK_TRAILER_LF:
		if (c != '\n')
			f->state = LW_FRAME_LOST;
		f->chunk = LW_CHUNK_TRAILER;
		break;
	case LW_CHUNK_END_LF:
		f->state = c == '\n' ? LW_FRAME_HEAD : LW_FRAME_LOST;
		break;
	default:
		f->state = LW_FRAME_LOST;
		break;
	}
}

/* A window of chunk framing. */
#define LW_WINDOW 32
struct lw_window {
	__u8 b[LW_WINDOW];
};

/* Follows chunk framing in the first n bytes of the window up to chunk data or the end; how many bytes. */
LW_CHECKED_ONCE int lw_chunk_window(struct lw_frame *f, const struct lw_window *w, __u32 n)
{
	__u32 k;

	if (!f || !w)
		return 0;
	for (k = 0; k < LW_WINDOW; k++) {
		if (k >= n)
			break;
		lw_chunk_byte(f, w->b[k]);
		if (f->state != LW_FRAME_CHUNKED || f->chunk == LW_CHUNK_DATA)
			return k + 1;
	}
	return k;
}

/* Takes up to n body bytes that need not be looked at; returns how many. */
static __always_inline __u32 lw_frame_skip(struct lw_frame *f, __u32 n)
{
	if (f->state == LW_FRAME_CLOSE || f->state == LW_FRAME_LOST)
		return n;
	if (f->state != LW_FRAME_LENGTH &&
	    !(f->state == LW_FRAME_CHUNKED && f->chunk == LW_CHUNK_DATA))
		return 0;
	if (n > f->left)
		n = f->left;
	f->left -= n;
	if (!f->left) {
		if (f->state == LW_FRAME_LENGTH)
			f->state = LW_FRAME_HEAD;
		else
			f->chunk = LW_CHUNK_DATA_CR;
	}
	return n;
}
