/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of requests: where laneway/http.h and frame.h, walked as lw_msg does, and libhttp-parser both understand it,
 * they must find the same messages. What they frame differently must have been called opaque.
 */
#include "http_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The kernel side's lw_look(): rescans from the start of the head with every piece. */
static void walk_requests(struct walk *walk, const uint8_t *data, size_t size)
{
	static struct lw_head head;
	size_t off = 0;

	while (off < size && walk->n < MESSAGES_MAX) {
		size_t n = size - off < LW_HEAD_MAX ? size - off : LW_HEAD_MAX;
		struct message *m = &walk->messages[walk->n];
		struct lw_frame f = {};

		memset(&head.scan, 0, sizeof(head.scan));
		memset(&head.caps, 0, sizeof(head.caps));
		memcpy(head.buf, data + off, n);
		while (!lw_scan_step(&head.scan, fuzz_names(), &head.caps, head.buf, LW_HEAD_MAX, n, 0))
			;
		if (head.scan.state != LW_SCAN_DONE) {
			walk->opaque = head.scan.state == LW_SCAN_ERROR || n == LW_HEAD_MAX;
			return;
		}
		if (head.scan.pos > n || head.caps.n > LW_CAPTURES)
			abort();
		lw_frame_request(&head.scan, &f);
		if ((head.scan.flags & (LW_SCAN_CAPTURES_FULL | LW_SCAN_IS_CONNECT)) || f.state == LW_FRAME_LOST) {
			walk->opaque = true;
			return;
		}
		*m = (struct message){ .start = off, .head_end = off + head.scan.pos };
		m->is_head = head.scan.flags & LW_SCAN_IS_HEAD;
		m->upgrade = head.scan.flags & LW_SCAN_HAS_UPGRADE;
		m->closes = lw_scan_closes(&head.scan);
		walk->n++;
		off = walk_body(&f, data, m->head_end, size, &m->body);
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
