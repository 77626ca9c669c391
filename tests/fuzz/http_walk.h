/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the two HTTP fuzzers share: a stream of bytes as messages, once as the kernel programs see it
 * (laneway/follow.h), once as libhttp-parser does, and the comparison.
 */
#include <http_parser.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/names.h"
#include "laneway/follow.h"

#define MESSAGES_MAX 64

struct message {
	size_t start, head_end, end; /* offsets; end is valid if `complete` */
	uint64_t body; /* content bytes, without chunk framing */
	unsigned status;
	bool complete;
	bool is_head; /* method HEAD */
	bool upgrade; /* asks for, or is, the end of HTTP */
	bool closes; /* the connection ends with it */
};

struct walk {
	struct message messages[MESSAGES_MAX];
	size_t n; /* whose head is complete */
	bool opaque; /* stopped there: what follows is not interpreted */
	enum http_errno err; /* of libhttp-parser */
	size_t err_at;
};

static const struct lw_names *fuzz_names(void)
{
	static struct lw_names names;
	static bool built;

	if (!built && lw_names_build(NULL, 0, &names) < 0)
		abort();
	built = true;
	return &names;
}

/* What the followers have the stream's bytes from: a piece of it. */
static long walk_load(void *from, __u32 off, void *buf, __u32 n)
{
	memcpy(buf, (const uint8_t *)from + off, n);
	return 0;
}

/* Is the byte at hand one of content, not of a head or chunk framing? */
static bool walk_in_content(const struct lw_frame *f)
{
	return f->state == LW_FRAME_LENGTH || f->state == LW_FRAME_CLOSE ||
	       (f->state == LW_FRAME_CHUNKED && f->chunk == LW_CHUNK_DATA);
}

/* ---- the reference ---- */

struct reference {
	struct walk *walk;
	struct message at;
	size_t pos; /* of the byte at hand */
	uint32_t head_bits; /* responses: bit n % 32: final response n answers a HEAD */
	uint32_t finals;
};

static int ref_begin(http_parser *p)
{
	struct reference *r = p->data;

	r->at = (struct message){ .start = r->pos };
	return 0;
}

static int ref_headers(http_parser *p)
{
	struct reference *r = p->data;
	bool skip = false;

	r->at.head_end = r->pos + 1;
	r->at.is_head = p->type == HTTP_REQUEST && p->method == HTTP_HEAD;
	r->at.upgrade = p->upgrade;
	r->at.closes = p->http_minor == 0 ? !(p->flags & F_CONNECTION_KEEP_ALIVE) :
					    p->flags & F_CONNECTION_CLOSE;
	if (p->type == HTTP_RESPONSE) {
		r->at.status = p->status_code;
		/* the library leaves to its caller which responses have no body whatever they say */
		if (p->status_code >= 200) {
			skip = r->head_bits >> (r->finals++ & 31) & 1;
			skip = skip || p->status_code == 204 || p->status_code == 304;
		} else {
			skip = true;
		}
	}
	if (r->walk->n < MESSAGES_MAX)
		r->walk->messages[r->walk->n++] = r->at;
	return skip;
}

static int ref_body(http_parser *p, const char *at, size_t n)
{
	struct reference *r = p->data;

	(void)at;
	if (r->walk->n)
		r->walk->messages[r->walk->n - 1].body += n;
	return 0;
}

static int ref_complete(http_parser *p)
{
	struct reference *r = p->data;

	if (r->walk->n) {
		struct message *m = &r->walk->messages[r->walk->n - 1];

		m->complete = true;
		m->end = r->pos + 1;
		m->upgrade = p->upgrade;
	}
	return 0;
}

static void walk_reference(struct walk *walk, enum http_parser_type type, uint32_t head_bits,
			   const uint8_t *data, size_t size)
{
	static const http_parser_settings settings = {
		.on_message_begin = ref_begin,
		.on_headers_complete = ref_headers,
		.on_body = ref_body,
		.on_message_complete = ref_complete,
	};
	struct reference r = { .walk = walk, .head_bits = head_bits };
	http_parser p;

	http_parser_init(&p, type);
	p.data = &r;
	for (r.pos = 0; r.pos < size && walk->n < MESSAGES_MAX; r.pos++) {
		size_t n = http_parser_execute(&p, &settings, (const char *)data + r.pos, 1);

		if (HTTP_PARSER_ERRNO(&p) != HPE_OK) {
			walk->err = HTTP_PARSER_ERRNO(&p);
			walk->err_at = r.pos;
			return;
		}
		if (p.upgrade && walk->n && walk->messages[walk->n - 1].complete) {
			walk->opaque = true;
			return;
		}
		if (n != 1)
			abort();
	}
}

/* ---- the comparison ---- */

/*
 * libhttp-parser 2.9.4 takes any header whose name only starts with "Transfer-Encoding" for one that
 * frames the message, and Proxy-Connection for Connection: there it is no reference.
 */
static bool walk_comparable(const uint8_t *data, size_t size)
{
	static const char name[] = "transfer-encoding", proxy[] = "proxy-connection";
	const size_t n = sizeof(name) - 1;

	for (size_t i = 0; i + n < size; i++)
		if ((!strncasecmp((const char *)data + i, name, n) && lw_is_token(data[i + n])) ||
		    !strncasecmp((const char *)data + i, proxy, sizeof(proxy) - 1))
			return false;
	return true;
}

static void finding(const char *what, size_t i, const struct walk *ours, const struct walk *ref)
{
	const struct message *a = &ours->messages[i], *b = &ref->messages[i];

	fprintf(stderr, "message %zu: %s\n", i, what);
	fprintf(stderr, "ours:      %zu, head to %zu, %s %zu, body %llu, %zu heads, opaque %d\n",
		a->start, a->head_end, a->complete ? "end" : "no end", a->end,
		(unsigned long long)a->body, ours->n, ours->opaque);
	fprintf(stderr, "reference: %zu, head to %zu, %s %zu, body %llu, %zu heads, %s at %zu\n",
		b->start, b->head_end, b->complete ? "end" : "no end", b->end,
		(unsigned long long)b->body, ref->n, http_errno_name(ref->err), ref->err_at);
	abort();
}

/*
 * Ours may give up earlier. It may go on where the reference has given up only for the reasons in
 * `lenient`; wherever both go on, they must agree.
 */
static void walk_compare(const struct walk *ours, const struct walk *ref,
			 bool (*lenient)(enum http_errno, const struct message *, bool body))
{
	for (size_t i = 0; i < ours->n; i++) {
		const struct message *a = &ours->messages[i], *b = &ref->messages[i];

		if (i >= ref->n) {
			if (i == MESSAGES_MAX || (i && ref->messages[i - 1].upgrade))
				return;
			if (ref->err == HPE_OK)
				finding("a head for us alone", i, ours, ref);
			if (!lenient(ref->err, a, false))
				finding("more lenient about a head", i, ours, ref);
			return;
		}
		if (a->start != b->start || a->head_end != b->head_end)
			finding("the heads differ", i, ours, ref);
		if (a->is_head != b->is_head || a->status != b->status)
			finding("method HEAD or status differ", i, ours, ref);
		if (b->closes && !a->closes)
			finding("a close was overlooked", i, ours, ref);
		if (b->upgrade && !a->upgrade)
			finding("an upgrade was overlooked", i, ours, ref);
		if (ours->opaque && i + 1 == ours->n && !a->complete)
			return;
		if (i == MESSAGES_MAX - 1)
			return;
		if (a->complete && b->complete) {
			if (a->end != b->end || a->body != b->body)
				finding("the bodies differ", i, ours, ref);
		} else if (a->complete) {
			if (ref->err == HPE_OK)
				finding("an end for us alone", i, ours, ref);
			if (!lenient(ref->err, a, true))
				finding("more lenient about a body", i, ours, ref);
			return;
		} else if (b->complete) {
			finding("an end for the reference alone", i, ours, ref);
		}
	}
	if (!ours->opaque && ref->n > ours->n && ours->n < MESSAGES_MAX)
		finding("a head for the reference alone", ours->n, ours, ref);
}
