/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * HTTP/1.x heads, followed byte by byte (RFC 9112); what comes behind one: frame.h. Compiled for the kernel programs and for
 * user space. Reads bytes, allocates nothing, knows no maps.
 *
 * A head is scanned by lw_scan_step() calls, each of which takes at least one byte; the state survives
 * between calls, so that a response head may arrive in any pieces. What RFC 9112 lets a recipient
 * tolerate and two recipients could read differently (bare CR or LF, obs-fold, blanks before the colon,
 * Content-Length beside Transfer-Encoding, lists of lengths) ends in LW_SCAN_ERROR: the caller then
 * stops interpreting the connection.
 */
#include "laneway/abi.h"
#include "laneway/names.h"
#include "laneway/sides.h"

enum lw_scan_state {
	LW_SCAN_START = 0, /* request method or status line, by lw_scan.response */
	LW_SCAN_TARGET_START,
	LW_SCAN_TARGET,
	LW_SCAN_VERSION, /* "HTTP/1.x" of a request, then CR */
	LW_SCAN_STATUS, /* the three digits */
	LW_SCAN_REASON,
	LW_SCAN_LINE_LF, /* LF of the first line */
	LW_SCAN_FIELD, /* a field line or the empty line */
	LW_SCAN_NAME,
	LW_SCAN_OWS, /* blanks before the value */
	LW_SCAN_VALUE,
	LW_SCAN_LENGTH, /* Content-Length digits */
	LW_SCAN_CODING, /* Transfer-Encoding, must be "chunked" */
	LW_SCAN_OPTION, /* Connection, a list of tokens */
	LW_SCAN_TRAIL, /* blanks behind a length or coding */
	LW_SCAN_VALUE_LF,
	LW_SCAN_END_LF,
	LW_SCAN_DONE,
	LW_SCAN_ERROR,
};

enum lw_scan_flags {
	LW_SCAN_HAS_LENGTH = 1 << 0,
	LW_SCAN_HAS_CHUNKED = 1 << 1,
	LW_SCAN_HAS_UPGRADE = 1 << 2,
	LW_SCAN_IS_HEAD = 1 << 3, /* method HEAD */
	LW_SCAN_IS_CONNECT = 1 << 4,
	LW_SCAN_HTTP_1_0 = 1 << 5,
	LW_SCAN_NOT_HTTP = 1 << 6, /* error before the first line was HTTP/1.x */
	LW_SCAN_CAPTURES_FULL = 1 << 7,
};

enum lw_scan_options {
	LW_SCAN_CLOSE = 1 << 0, /* "Connection: close" */
	LW_SCAN_KEEP_ALIVE = 1 << 1,
	/* a header that a tag may be in, baggage included, is among the captures */
	LW_SCAN_TAGS = 1 << 2,
	LW_SCAN_TRACES = 1 << 3, /* likewise a trace id */
};

/* Zero but for `response`: at the start of a head. Offsets are bytes from the start of the head. */
struct lw_scan {
	__u8 state; /* enum lw_scan_state */
	__u8 response; /* 1: a response */
	__u8 header; /* enum lw_header_id of the field at hand */
	__u8 flags; /* enum lw_scan_flags */
	__u16 name; /* state of the names automaton */
	__u16 status;
	__u32 pos; /* bytes taken */
	__u32 count; /* bytes taken of the element at hand */
	__u64 method; /* first 8 bytes */
	__u64 length; /* Content-Length */
	__u32 target; /* where the target starts */
	__u32 target_len;
	__u32 fields; /* where the first field line starts */
	__u32 line; /* where the field line at hand starts */
	__u32 value; /* where its value starts */
	__u32 value_end; /* behind the last byte of it that is no blank */
	__u8 options; /* enum lw_scan_options: seen */
	__u8 option; /* likewise: what the token of Connection at hand may still become */
	__u8 pad[6];
};
LW_ASSERT_SIZE(struct lw_scan, 64);

/* A field line of interest: any name the automaton knows. */
struct lw_capture {
	__u16 line; /* where it starts */
	__u16 line_len; /* CR LF included */
	__u16 value;
	__u16 value_len;
	__u8 header; /* enum lw_header_id */
	__u8 pad;
};

struct lw_captures {
	__u32 n;
	__u8 first[LW_HDR__MAX]; /* index + 1 of the first capture of a header; 0: none */
	struct lw_capture at[LW_CAPTURES];
};

#define LW_METHOD_HEAD 0x44414548ull /* "HEAD", little endian */
#define LW_METHOD_CONNECT 0x5443454e4e4f43ull /* "CONNECT" */
/* "HTTP/1." and "chunked", little endian */
#define LW_HTTP_1 0x2e312f50545448ull
#define LW_CHUNKED 0x64656b6e756863ull
#define LW_METHOD_MAX 20
#define LW_LENGTH_DIGITS 18
/* "close" and "keep-ali", little endian */
#define LW_CLOSE 0x65736f6c63ull
#define LW_KEEP_ALI 0x696c612d7065656bull

static __always_inline void lw_scan_fail(struct lw_scan *s)
{
	if (s->state < LW_SCAN_FIELD)
		s->flags |= LW_SCAN_NOT_HTTP;
	s->state = LW_SCAN_ERROR;
}

static __always_inline void lw_scan_capture(struct lw_scan *s, struct lw_captures *caps)
{
	__u32 n;
	struct lw_capture *c;

	if (!caps || s->header == LW_HDR_OTHER)
		return;
	if (s->header == LW_HDR_BAGGAGE ||
	    (s->header >= LW_HDR_TAG_FIRST && s->header <= LW_HDR_TAG_LAST))
		s->options |= LW_SCAN_TAGS;
	else if (s->header >= LW_HDR_TRACE_FIRST && s->header <= LW_HDR_TRACE_LAST)
		s->options |= LW_SCAN_TRACES;
	n = caps->n;
	if (n >= LW_CAPTURES) {
		s->flags |= LW_SCAN_CAPTURES_FULL;
		return;
	}
	c = &caps->at[n & (LW_CAPTURES - 1)];
	c->line = s->line;
	c->line_len = s->pos - s->line;
	c->value = s->value;
	c->value_len = s->value_end - s->value;
	c->header = s->header;
	if (!caps->first[s->header])
		caps->first[s->header] = n + 1;
	caps->n = n + 1;
}

/* One byte of a list of connection options (RFC 9110 7.6.1): close and keep-alive matter. */
static __always_inline void lw_scan_option(struct lw_scan *s, __u8 c)
{
	__u32 i = s->count;
	__u8 lower = c | 0x20;

	if (c == ',' || c == ' ' || c == '\t' || c == '\r') {
		if ((s->option & LW_SCAN_CLOSE) && i == 5)
			s->options |= LW_SCAN_CLOSE;
		if ((s->option & LW_SCAN_KEEP_ALIVE) && i == 10)
			s->options |= LW_SCAN_KEEP_ALIVE;
		s->option = LW_SCAN_CLOSE | LW_SCAN_KEEP_ALIVE;
		s->count = 0;
		return;
	}
	if (i > 4 || lower != (__u8)(LW_CLOSE >> (8 * (i & 7))))
		s->option &= ~LW_SCAN_CLOSE;
	if (i < 8 ? lower != (__u8)(LW_KEEP_ALI >> (8 * (i & 7))) :
		    i > 9 || lower != (i == 8 ? 'v' : 'e'))
		s->option &= ~LW_SCAN_KEEP_ALIVE;
	s->count = i + 1;
}

/* Does the message end its connection? RFC 9112 9.3. */
static __always_inline int lw_scan_closes(const struct lw_scan *s)
{
	return (s->options & LW_SCAN_CLOSE) ||
	       ((s->flags & LW_SCAN_HTTP_1_0) && !(s->options & LW_SCAN_KEEP_ALIVE));
}

/* Takes one byte of a head. Does nothing once the state is DONE or ERROR. */
static __always_inline void lw_scan_byte(struct lw_scan *s, const struct lw_names *names,
					 struct lw_captures *caps, __u8 c)
{
	__u32 state = s->state;

	s->pos++;
	switch (state) {
	case LW_SCAN_START:
		if (s->response) {
			/* "HTTP/1.x SP" */
			__u32 i = s->count++;

			if (i < 7) {
				if (c != (__u8)(LW_HTTP_1 >> (8 * (i & 7))))
					lw_scan_fail(s);
			} else if (i == 7) {
				if (c == '0')
					s->flags |= LW_SCAN_HTTP_1_0;
				else if (c != '1')
					lw_scan_fail(s);
			} else if (c == ' ') {
				s->state = LW_SCAN_STATUS;
				s->count = 0;
			} else {
				lw_scan_fail(s);
			}
			break;
		}
		if (c == ' ' && s->count) {
			if (s->method == LW_METHOD_HEAD && s->count == 4)
				s->flags |= LW_SCAN_IS_HEAD;
			else if (s->method == LW_METHOD_CONNECT && s->count == 7)
				s->flags |= LW_SCAN_IS_CONNECT;
			s->state = LW_SCAN_TARGET_START;
			break;
		}
		/* RFC 9110 9.1 allows any token; registered methods are capitals and '-' */
		if (!((c >= 'A' && c <= 'Z') || (c == '-' && s->count)) ||
		    s->count >= LW_METHOD_MAX) {
			lw_scan_fail(s);
			break;
		}
		if (s->count < 8)
			s->method |= (__u64)c << (8 * (s->count & 7));
		s->count++;
		break;
	case LW_SCAN_TARGET_START:
		if (c <= ' ' || c == 0x7f) {
			lw_scan_fail(s);
			break;
		}
		s->target = s->pos - 1;
		s->state = LW_SCAN_TARGET;
		break;
	case LW_SCAN_TARGET:
		if (c == ' ') {
			s->target_len = s->pos - 1 - s->target;
			s->state = LW_SCAN_VERSION;
			s->count = 0;
		} else if (c < ' ' || c == 0x7f) {
			lw_scan_fail(s);
		}
		break;
	case LW_SCAN_VERSION: {
		__u32 i = s->count++;

		if (i < 7) {
			if (c != (__u8)(LW_HTTP_1 >> (8 * (i & 7))))
				lw_scan_fail(s);
		} else if (i == 7) {
			if (c == '0')
				s->flags |= LW_SCAN_HTTP_1_0;
			else if (c != '1')
				lw_scan_fail(s);
		} else if (c == '\r') {
			s->state = LW_SCAN_LINE_LF;
		} else {
			lw_scan_fail(s);
		}
		break;
	}
	case LW_SCAN_STATUS:
		if (s->count < 3) {
			if (c < '0' || c > '9' || (!s->count && (c == '0' || c > '5'))) {
				lw_scan_fail(s);
				break;
			}
			s->status = s->status * 10 + (c - '0');
			s->count++;
		} else if (c == ' ') {
			s->state = LW_SCAN_REASON;
		} else if (c == '\r') {
			/* the blank may be missing when the reason is: widely sent, RFC 9112 4 wants it */
			s->state = LW_SCAN_LINE_LF;
		} else {
			lw_scan_fail(s);
		}
		break;
	case LW_SCAN_REASON:
		if (c == '\r')
			s->state = LW_SCAN_LINE_LF;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			lw_scan_fail(s);
		break;
	case LW_SCAN_LINE_LF:
		if (c != '\n') {
			lw_scan_fail(s);
			break;
		}
		s->fields = s->pos;
		s->state = LW_SCAN_FIELD;
		break;
	case LW_SCAN_FIELD:
		if (c == '\r') {
			s->state = LW_SCAN_END_LF;
			break;
		}
		s->line = s->pos - 1;
		s->name = LW_NAMES_START;
		if (!lw_names_is_token(names, c)) {
			/* obs-fold (RFC 9112 5.2), a bare LF, or no field line at all */
			lw_scan_fail(s);
			break;
		}
		s->name = lw_names_next(names, s->name, c);
		s->state = LW_SCAN_NAME;
		break;
	case LW_SCAN_NAME:
		if (c == ':') {
			s->header = lw_names_id(names, s->name);
			s->count = 0;
			s->state = LW_SCAN_OWS;
		} else if (!lw_names_is_token(names, c)) {
			lw_scan_fail(s);
		} else {
			s->name = lw_names_next(names, s->name, c);
		}
		break;
	case LW_SCAN_OWS:
		if (c == ' ' || c == '\t')
			break;
		s->value = s->pos - 1;
		s->value_end = s->value;
		if (s->header == LW_HDR_CONTENT_LENGTH) {
			if ((s->flags & LW_SCAN_HAS_LENGTH) || c < '0' || c > '9') {
				lw_scan_fail(s);
				break;
			}
			s->flags |= LW_SCAN_HAS_LENGTH;
			s->length = c - '0';
			s->count = 1;
			s->value_end = s->pos;
			s->state = LW_SCAN_LENGTH;
			break;
		}
		if (s->header == LW_HDR_TRANSFER_ENCODING) {
			if ((s->flags & LW_SCAN_HAS_CHUNKED) || (c | 0x20) != 'c') {
				lw_scan_fail(s);
				break;
			}
			s->count = 1;
			s->state = LW_SCAN_CODING;
			break;
		}
		if (s->header == LW_HDR_UPGRADE)
			s->flags |= LW_SCAN_HAS_UPGRADE;
		if (c == '\r') {
			s->state = LW_SCAN_VALUE_LF;
			break;
		}
		if (c < ' ' || c == 0x7f) {
			lw_scan_fail(s);
			break;
		}
		s->value_end = s->pos;
		s->state = LW_SCAN_VALUE;
		if (s->header == LW_HDR_CONNECTION) {
			s->option = LW_SCAN_CLOSE | LW_SCAN_KEEP_ALIVE;
			s->count = 0;
			s->state = LW_SCAN_OPTION;
			lw_scan_option(s, c);
		}
		break;
	case LW_SCAN_OPTION:
		if (c == '\r')
			s->state = LW_SCAN_VALUE_LF;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			lw_scan_fail(s);
		else if (c != ' ' && c != '\t')
			s->value_end = s->pos;
		lw_scan_option(s, c);
		break;
	case LW_SCAN_VALUE:
		if (c == '\r')
			s->state = LW_SCAN_VALUE_LF;
		else if ((c < ' ' && c != '\t') || c == 0x7f)
			lw_scan_fail(s);
		else if (c != ' ' && c != '\t')
			s->value_end = s->pos;
		break;
	case LW_SCAN_LENGTH:
		if (c >= '0' && c <= '9') {
			if (s->count >= LW_LENGTH_DIGITS) {
				lw_scan_fail(s);
				break;
			}
			s->length = s->length * 10 + (c - '0');
			s->count++;
			s->value_end = s->pos;
		} else if (c == '\r') {
			s->state = LW_SCAN_VALUE_LF;
		} else if (c == ' ') {
			s->state = LW_SCAN_TRAIL;
		} else {
			lw_scan_fail(s);
		}
		break;
	case LW_SCAN_CODING:
		if (s->count < 7) {
			s->value_end = s->pos;
			if ((c | 0x20) != (__u8)(LW_CHUNKED >> (8 * (s->count & 7))))
				lw_scan_fail(s);
			s->count++;
		} else if (c == '\r') {
			s->flags |= LW_SCAN_HAS_CHUNKED;
			s->state = LW_SCAN_VALUE_LF;
		} else if (c == ' ') {
			s->flags |= LW_SCAN_HAS_CHUNKED;
			s->state = LW_SCAN_TRAIL;
		} else {
			lw_scan_fail(s);
		}
		break;
	case LW_SCAN_TRAIL:
		/* RFC 9110 5.6.3 allows tabs; some readers then take the value for another one */
		if (c == '\r')
			s->state = LW_SCAN_VALUE_LF;
		else if (c != ' ')
			lw_scan_fail(s);
		break;
	case LW_SCAN_VALUE_LF:
		if (c != '\n') {
			lw_scan_fail(s);
			break;
		}
		lw_scan_capture(s, caps);
		s->state = LW_SCAN_FIELD;
		break;
	case LW_SCAN_END_LF:
		s->state = c == '\n' ? LW_SCAN_DONE : LW_SCAN_ERROR;
		break;
	default:
		s->pos--;
		break;
	}
}

/* 8 bytes from any address. The kernel programs load them at once: the verifier knows the buffer, the CPU the rest. */
static __always_inline __u64 lw_load8(const void *p)
{
#ifdef __bpf__
	return *(const __u64 *)p;
#else
	__u64 w;

	__builtin_memcpy(&w, p, sizeof(w));
	return w;
#endif
}

/* Of 8 bytes, how many at the front are above SP and not DEL; `blank`: SP counts as such too. */
static __always_inline __u32 lw_scan_plain(__u64 w, __u32 blank)
{
	const __u64 ones = 0x0101010101010101ull, highs = 0x8080808080808080ull;
	__u64 low = (w - ones * (blank ? 0x20 : 0x21)) & ~w & highs;
	__u64 del = w ^ (ones * 0x7f);
	__u64 m;

	del = (del - ones) & ~del & highs;
	m = low | del;
	if (!m)
		return 8;
	m = (m & -m) - 1; /* ones below the first hit; the hit is the top bit of its byte */
	return (((m >> 7) & ones) * ones) >> 56;
}

/* Plain bytes of a value or target at the front of w, of which `left` count; they are taken. */
static __always_inline __u32 lw_scan_take_plain(struct lw_scan *s, __u64 w, __u32 left)
{
	__u32 blank = s->state == LW_SCAN_VALUE, n = lw_scan_plain(w, blank), last;

	if (n > left)
		n = left;
	if (!n)
		return 0;
	last = w >> (8 * (n - 1)) & 0xff;
	/* value_end wants the last byte that is no blank; a run of blanks is rare */
	if (blank && last == ' ' && n > 1)
		return 0;
	s->pos += n;
	if (blank && last != ' ')
		s->value_end = s->pos;
	return n;
}

/* "HTTP/1.0" or "HTTP/1.1" at once: 8, or 0 if w is neither. */
static __always_inline __u32 lw_scan_version(struct lw_scan *s, __u64 w)
{
	__u8 minor = w >> 56;

	if ((w & 0xffffffffffffffull) != LW_HTTP_1 || (minor != '0' && minor != '1'))
		return 0;
	if (minor == '0')
		s->flags |= LW_SCAN_HTTP_1_0;
	s->count = 8;
	s->pos += 8;
	return 8;
}

/* Bytes that are taken in one step at most: one by one; of a name. */
#define LW_SCAN_STEP_BYTES 8
#define LW_SCAN_NAME_STEP 16

static __always_inline __u32 lw_scan_name(struct lw_scan *s, const struct lw_names *names,
					  const __u8 *buf, __u32 size, __u32 at, __u32 left)
{
	__u16 name = s->name;
	__u32 n;

	for (n = 0; n < LW_SCAN_NAME_STEP; n++) {
		__u8 c = buf[(at + n) & (size - 1)];

		if (n >= left || c == ':' || !lw_names_is_token(names, c))
			break;
		name = lw_names_next(names, name, c);
	}
	s->name = name;
	s->pos += n;
	return n;
}

/*
 * One step over buf, which holds `len` bytes of the head from its byte `base` on, in `size` bytes of memory
 * (power of two, 8 more bytes readable behind). Takes one byte, or several that have the same part to play. Returns 1 when
 * there is nothing left to do: DONE, ERROR, or all bytes taken.
 */
static __always_inline long lw_scan_step(struct lw_scan *s, const struct lw_names *names,
					 struct lw_captures *caps, const __u8 *buf, __u32 size,
					 __u32 len, __u32 base)
{
	__u32 at = s->pos - base, n = 0;

	if (at >= len || s->state >= LW_SCAN_DONE)
		return 1;
	if (s->state == LW_SCAN_VALUE || s->state == LW_SCAN_TARGET)
		n = lw_scan_take_plain(s, lw_load8(buf + (at & (size - 1))), len - at);
	else if (s->state == LW_SCAN_NAME)
		n = lw_scan_name(s, names, buf, size, at, len - at);
	else if (!s->count && len - at >= 8 &&
		 (s->state == LW_SCAN_VERSION || (s->state == LW_SCAN_START && s->response)))
		n = lw_scan_version(s, lw_load8(buf + (at & (size - 1))));
	at += n;
	if (n >= 8)
		return 0;
	n = 0;
	do {
		if (at + n >= len)
			return 0;
		lw_scan_byte(s, names, caps, buf[(at + n) & (size - 1)]);
		if (s->state == LW_SCAN_VALUE || s->state == LW_SCAN_TARGET ||
		    s->state == LW_SCAN_NAME || s->state >= LW_SCAN_DONE)
			return 0;
		/* Linux 6.1 wants loops that jump back */
		__asm__ volatile("" : "+r"(n));
	} while (++n < LW_SCAN_STEP_BYTES);
	return 0;
}
