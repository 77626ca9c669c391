/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of requests: where laneway/follow.h, as lw_msg uses it, and libhttp-parser both understand it, they must find the
 * same messages. What they frame differently must have been called opaque.
 */
#include "http_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct request_body {
	struct lw_body_ctx c;
	uint64_t content;
};

static long body_cb(__u32 i, void *arg)
{
	struct request_body *b = arg;
	__u32 from = b->c.off;
	bool content = walk_in_content(b->c.f);
	long over = lw_body_step(&b->c, walk_load);

	(void)i;
	if (content)
		b->content += b->c.off - from;
	return over;
}

/* As in pieces that end within a head or behind a request: lw_msg scans from the start of the head with every piece. */
static void walk_requests(struct walk *walk, const uint8_t *data, size_t size)
{
	static struct lw_head head;
	size_t off = 0;

	while (off < size && walk->n < MESSAGES_MAX) {
		size_t n = size - off < LW_HEAD_MAX ? size - off : LW_HEAD_MAX;
		struct message *m = &walk->messages[walk->n];
		struct request_body body = {};
		struct lw_frame f = {};
		bool length;
		__u32 why;
		int look;

		lw_request_begin(&head);
		memcpy(head.buf, data + off, n);
		if (lw_scan_request(&head, fuzz_names(), n))
			abort();
		if (head.scan.pos > n || head.caps.n > LW_CAPTURES)
			abort();
		look = lw_request_look(&head.scan, n, &f, &why);
		if (look != LW_LOOK_DONE || (head.scan.flags & LW_SCAN_IS_CONNECT)) {
			walk->opaque = look != LW_LOOK_MORE;
			return;
		}
		*m = (struct message){ .start = off, .head_end = off + head.scan.pos };
		m->is_head = head.scan.flags & LW_SCAN_IS_HEAD;
		m->upgrade = head.scan.flags & LW_SCAN_HAS_UPGRADE;
		m->closes = lw_scan_closes(&head.scan);
		walk->n++;
		length = f.state == LW_FRAME_LENGTH;
		body.c = (struct lw_body_ctx){
			.from = (void *)data, .f = &f, .off = m->head_end, .len = size
		};
		off = lw_body_follow(&body.c, body_cb);
		m->body = length ? off - m->head_end : body.content;
		m->complete = f.state == LW_FRAME_HEAD;
		m->end = off;
		if (f.state == LW_FRAME_LOST) {
			walk->opaque = true;
			return;
		}
	}
}

/*
 * Methods and targets do not frame anything, and whether to go on after one that the server refuses is
 * the server's business: any method in capitals and any target without blanks will do. A trailer with the
 * name of a framing header frames nothing (RFC 9110 6.5.1).
 */
static bool lenient(enum http_errno err, const struct message *m, bool body)
{
	(void)m;
	if (body)
		return err == HPE_INVALID_CONTENT_LENGTH || err == HPE_UNEXPECTED_CONTENT_LENGTH;
	return err == HPE_INVALID_METHOD || err == HPE_INVALID_URL || err == HPE_INVALID_HOST;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct walk ours, ref;

	memset(&ours, 0, sizeof(ours));
	memset(&ref, 0, sizeof(ref));
	walk_requests(&ours, data, size);
	if (!walk_comparable(data, size))
		return 0;
	walk_reference(&ref, HTTP_REQUEST, 0, data, size);
	walk_compare(&ours, &ref, lenient);
	return 0;
}
