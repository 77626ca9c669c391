/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of responses: where laneway/follow.h, as lw_reply uses it, and libhttp-parser both understand it, they must find
 * the same messages. The pieces it arrives in must not matter. Input: 4 bytes saying which
 * of the requests were HEAD, 1 byte for the size of the pieces, the stream.
 */
#include "http_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct replies {
	struct lw_reply_ctx c;
	struct walk *walk;
	const uint8_t *data;
	size_t base; /* where the piece at hand starts */
	size_t start; /* where the message at hand does */
	bool full; /* no room for one more */
};

/* The head of a response has ended. */
static void add_message(struct replies *r)
{
	struct message *m = &r->walk->messages[r->walk->n++];
	const uint8_t *status = r->data + r->start + strlen("HTTP/1.1 ");

	*m = (struct message){ .start = r->start, .head_end = r->base + r->c.off };
	m->status = (status[0] - '0') * 100 + (status[1] - '0') * 10 + (status[2] - '0');
	/* what an interim one says of it is for nobody */
	m->closes = m->status < 200 || (r->c.up->flags & LW_UP_CLOSING);
	r->c.up->flags = 0;
}

static void have_followed(struct replies *r, uint64_t content)
{
	struct message *m = &r->walk->messages[r->walk->n - 1];

	m->body += content;
	m->end = r->base + r->c.off;
	m->complete = r->c.up->frame.state == LW_FRAME_HEAD;
	if (m->complete)
		r->start = m->end;
}

static long reply_cb(__u32 i, void *arg)
{
	struct replies *r = arg;
	const struct lw_frame *f = &r->c.up->frame;
	const struct lw_scan *scan = (const struct lw_scan *)r->c.up->scan_state;
	bool head = f->state == LW_FRAME_HEAD, content = walk_in_content(f);
	__u32 from = r->c.off;
	long over;

	(void)i;
	if (head && r->walk->n == MESSAGES_MAX) {
		r->full = true;
		return 1;
	}
	over = lw_reply_step(&r->c, walk_load);
	if (r->c.off > r->c.len)
		abort();
	if (r->c.off == from)
		return over;
	/* the head goes on, or it is none */
	if (head && (f->state == LW_FRAME_LOST || (f->state == LW_FRAME_HEAD && scan->pos)))
		return over;
	if (head)
		add_message(r);
	have_followed(r, content ? r->c.off - from : 0);
	return over;
}

/* In pieces of `piece` bytes. */
static void walk_responses(struct walk *walk, const uint8_t *data, size_t size, size_t piece,
			   uint32_t head_bits)
{
	static struct lw_head head;
	/* all requests are out */
	struct lw_up up = { .req_seq = UINT32_MAX, .head_bits = head_bits };
	struct replies r = { .walk = walk, .data = data };
	size_t n;

	lw_response_begin(&up);
	for (; r.base < size && !r.full && up.frame.state != LW_FRAME_LOST; r.base += n) {
		n = size - r.base < piece ? size - r.base : piece;
		r.c = (struct lw_reply_ctx){ .from = (void *)(data + r.base),
					     .up = &up,
					     .head = &head,
					     .names = fuzz_names(),
					     .len = n };
		if (lw_reply_skip(&r.c)) {
			r.c.off = n;
			have_followed(&r, n);
		} else {
			lw_reply_follow(&r.c, reply_cb);
		}
	}
	walk->opaque = up.frame.state == LW_FRAME_LOST && !r.full;
}

/*
 * A trailer with the name of a framing header frames nothing (RFC 9110 6.5.1), and an interim response, 204, 304
 * and one to HEAD end with the head, whatever they say of a body (RFC 9112 6.3).
 */
static bool lenient(enum http_errno err, const struct message *m, bool body)
{
	if (err == HPE_UNEXPECTED_CONTENT_LENGTH)
		return body || (m->complete && m->end == m->head_end);
	return body && err == HPE_INVALID_CONTENT_LENGTH;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct walk ours, pieces, ref;
	uint32_t head_bits;
	size_t piece;

	if (size < 5)
		return 0;
	memcpy(&head_bits, data, sizeof(head_bits));
	piece = data[4] + 1;
	data += 5;
	size -= 5;
	memset(&ours, 0, sizeof(ours));
	memset(&pieces, 0, sizeof(pieces));
	memset(&ref, 0, sizeof(ref));
	walk_responses(&ours, data, size, SIZE_MAX, head_bits);
	walk_responses(&pieces, data, size, piece, head_bits);
	if (ours.n != pieces.n || ours.opaque != pieces.opaque)
		finding("pieces matter", ours.n, &ours, &pieces);
	for (size_t i = 0; i < ours.n; i++)
		if (memcmp(&ours.messages[i], &pieces.messages[i], sizeof(ours.messages[i])) != 0)
			finding("pieces matter", i, &ours, &pieces);
	if (!walk_comparable(data, size))
		return 0;
	walk_reference(&ref, HTTP_RESPONSE, head_bits, data, size);
	walk_compare(&ours, &ref, lenient);
	return 0;
}
