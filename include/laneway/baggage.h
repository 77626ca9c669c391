/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The lane as a member of the W3C baggage (https://www.w3.org/TR/baggage/): which lane the members of a request name, and
 * whether one more may be put there. A member of ours is one whose key is the name of a tag's header. What lane.h asks of
 * whoever includes it holds here too, and
 *
 *   lw_get_names(slot)   the automaton of header names
 *
 * Only read, where the names know the header: with --baggage. Several lines are one list (RFC 9110 5.3), and so a member
 * is added as a line of its own.
 */
#include "laneway/lane_types.h"

/* What every platform passes on; more may be lost on the way. */
#define LW_BAGGAGE_MEMBERS 64
#define LW_BAGGAGE_BYTES 8192

enum lw_baggage_state {
	LW_BAGGAGE_START = 0, /* of a member */
	LW_BAGGAGE_KEY,
	LW_BAGGAGE_KEY_END, /* blanks before '=' */
	LW_BAGGAGE_VALUE_START,
	LW_BAGGAGE_VALUE,
	LW_BAGGAGE_PERCENT, /* the first digit of %XX */
	LW_BAGGAGE_PERCENT2,
	LW_BAGGAGE_VALUE_END, /* blanks behind it */
	LW_BAGGAGE_PROPERTY,
	LW_BAGGAGE_MALFORMED,
};

struct lw_baggage_ctx {
	struct lw_head *head;
	const struct lw_names *names;
};

static __always_inline __u32 lw_baggage_hex(__u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10u : 16;
}

static __always_inline void lw_baggage_put(struct lw_baggage *b, __u8 c)
{
	__u32 n = b->key.len;

	if (n >= LW_TAG_VALUE_LEN)
		return; /* too long to name a lane */
	b->key.value[n & (LW_TAG_VALUE_LEN - 1)] = c;
	b->key.len = n + 1;
}

/* A member of the line ends at offset `end` of its value. */
static __always_inline void lw_baggage_member(struct lw_baggage *b, __u32 end)
{
	const struct lw_tag *tag = NULL;
	struct lw_tag_key key;

	b->members++;
	b->line_members++;
	if (b->key.header < LW_HDR_TAG_FIRST || b->key.header > LW_HDR_TAG_LAST)
		return;
	b->ours |= 1u << (b->line & 31);
	/* a copy: before Linux 6.2 a key may not be in memory that a function was given */
	key = b->key;
	if (key.len < LW_TAG_VALUE_LEN)
		tag = lw_get_tag(&key);
	if (!tag) {
		b->stale++;
		b->cut_line = b->line;
		b->cut = b->element;
		b->cut_len = end - b->element;
	} else if (!b->named) {
		b->named = 1;
		b->lane = tag->lane;
	} else if (b->lane != tag->lane) {
		b->ambiguous = 1;
	}
}

/* One byte of a line's value; behind the last a comma, which ends the last member. */
static long lw_baggage_byte_cb(__u32 i, void *arg)
{
	struct lw_baggage_ctx *ctx = arg;
	struct lw_baggage *b = &ctx->head->bag;
	__u8 c = i < b->len ? LW_AT(ctx->head, b->off + i) : ',';
	__u32 blank = c == ' ' || c == '\t', digit, state = b->state;

	if (state == LW_BAGGAGE_PERCENT || state == LW_BAGGAGE_PERCENT2) {
		digit = lw_baggage_hex(c);
		if (digit < 16) {
			b->percent = b->percent << 4 | digit;
			if (state == LW_BAGGAGE_PERCENT2)
				lw_baggage_put(b, b->percent);
			b->state = state == LW_BAGGAGE_PERCENT ? LW_BAGGAGE_PERCENT2 :
								 LW_BAGGAGE_VALUE;
			return 0;
		}
		b->key.len = LW_TAG_VALUE_LEN; /* no value that we have written */
		state = LW_BAGGAGE_VALUE;
	}
	if (state == LW_BAGGAGE_VALUE_START && !blank)
		state = LW_BAGGAGE_VALUE;
	switch (state) {
	case LW_BAGGAGE_START:
		if (blank)
			break;
		if (c == ',') {
			/* an empty element, which RFC 9110 5.6.1 tells to pass over */
			b->element = i + 1;
			break;
		}
		state = LW_BAGGAGE_KEY;
		if (!lw_names_is_token(ctx->names, c))
			state = LW_BAGGAGE_MALFORMED;
		b->name = lw_names_next(ctx->names, LW_NAMES_START, c);
		b->key.len = 0;
		__builtin_memset(b->key.value, 0, sizeof(b->key.value));
		break;
	case LW_BAGGAGE_KEY:
	case LW_BAGGAGE_KEY_END:
		if (c == '=') {
			b->key.header = lw_names_id(ctx->names, b->name);
			state = LW_BAGGAGE_VALUE_START;
		} else if (blank) {
			state = LW_BAGGAGE_KEY_END;
		} else if (state == LW_BAGGAGE_KEY_END || !lw_names_is_token(ctx->names, c)) {
			state = LW_BAGGAGE_MALFORMED;
		} else {
			b->name = lw_names_next(ctx->names, b->name, c);
		}
		break;
	case LW_BAGGAGE_VALUE_START:
		break;
	case LW_BAGGAGE_VALUE:
	case LW_BAGGAGE_VALUE_END:
		if (c == ',') {
			lw_baggage_member(b, i);
			b->element = i + 1;
			state = LW_BAGGAGE_START;
		} else if (c == ';') {
			state = LW_BAGGAGE_PROPERTY;
		} else if (blank) {
			state = LW_BAGGAGE_VALUE_END;
		} else if (state == LW_BAGGAGE_VALUE_END || c <= ' ' || c > '~' || c == '"' ||
			   c == '\\') {
			state = LW_BAGGAGE_MALFORMED;
		} else if (c == '%') {
			b->percent = 0;
			state = LW_BAGGAGE_PERCENT;
		} else {
			lw_baggage_put(b, c);
		}
		break;
	case LW_BAGGAGE_PROPERTY:
		if (c == ',') {
			lw_baggage_member(b, i);
			b->element = i + 1;
			state = LW_BAGGAGE_START;
		} else if ((c < ' ' && !blank) || c > '~' || c == '"' || c == '\\') {
			state = LW_BAGGAGE_MALFORMED;
		}
		break;
	default:
		state = LW_BAGGAGE_MALFORMED;
		break;
	}
	b->state = state;
	return state == LW_BAGGAGE_MALFORMED;
}

/* Of the stale member that ended in this line: which bytes of the head go with it. */
static __always_inline void lw_baggage_cut(struct lw_baggage *b, const struct lw_capture *cap)
{
	if (b->line_members == 1) { /* nothing would be left of the line */
		b->cut = cap->line;
		b->cut_len = cap->line_len;
		return;
	}
	if (b->cut + b->cut_len < b->len) {
		b->cut_len++; /* the comma behind it */
	} else if (b->cut) {
		b->cut--; /* the last one: the comma before it */
		b->cut_len++;
	}
	b->cut += b->off;
}

static long lw_baggage_line_cb(__u32 i, void *arg)
{
	struct lw_baggage_ctx *ctx = arg;
	struct lw_baggage *b = &ctx->head->bag;
	const struct lw_capture *cap;

	if (i >= ctx->head->caps.n)
		return 1;
	cap = &ctx->head->caps.at[i & (LW_CAPTURES - 1)];
	if (cap->header != LW_HDR_BAGGAGE)
		return 0;
	b->line = i;
	b->off = cap->value;
	b->len = cap->value_len;
	b->bytes += cap->value_len + 1u; /* the comma that joins two lines */
	b->state = LW_BAGGAGE_START;
	b->element = 0;
	b->line_members = 0;
	LW_LOOP(b->len + 1u, lw_baggage_byte_cb, ctx);
	if (b->state == LW_BAGGAGE_MALFORMED) {
		b->malformed = 1;
		b->ours |= 1u << (i & 31); /* others may read it their way */
	} else if (b->stale && b->cut_line == i) {
		lw_baggage_cut(b, cap);
	}
	return 0;
}

/* Reads all there is into head->bag. A malformed line names no lane, nor do those beside it. */
static __always_inline void lw_baggage_read(struct lw_head *head, __u32 slot)
{
	struct lw_baggage_ctx ctx = { .head = head };
	struct lw_baggage *b = &head->bag;

	b->named = b->ambiguous = b->malformed = 0;
	b->members = b->bytes = b->stale = b->ours = 0;
	if (!head->caps.first[LW_HDR_BAGGAGE])
		return;
	b->key.slot = slot;
	ctx.names = lw_get_names(slot);
	if (ctx.names)
		LW_LOOP(LW_CAPTURES, lw_baggage_line_cb, &ctx);
	if (b->malformed)
		b->named = b->ambiguous = 0;
}

enum lw_baggage_todo {
	LW_BAGGAGE_ADD,
	LW_BAGGAGE_REPLACE, /* cut what head->bag says, and add */
	LW_BAGGAGE_HAVE, /* the member is there */
	LW_BAGGAGE_LEAVE, /* malformed, or full: touch nothing */
};

/* For a request in a lane, whose member takes len bytes. */
static __always_inline enum lw_baggage_todo lw_baggage_todo(const struct lw_baggage *b, __u32 lane,
							    __u32 len)
{
	if (b->malformed)
		return LW_BAGGAGE_LEAVE;
	if (b->named && b->lane == lane)
		return LW_BAGGAGE_HAVE;
	if (b->named || b->stale > 1)
		return LW_BAGGAGE_LEAVE;
	if (b->members - b->stale + 1 > LW_BAGGAGE_MEMBERS || b->bytes + len > LW_BAGGAGE_BYTES)
		return LW_BAGGAGE_LEAVE;
	return b->stale ? LW_BAGGAGE_REPLACE : LW_BAGGAGE_ADD;
}
