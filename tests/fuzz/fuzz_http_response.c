/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream of responses: where laneway/http.h and frame.h, walked as lw_reply does, and libhttp-parser both understand
 * it, they must find the same messages. The pieces it arrives in must not matter. Input: 4 bytes saying which
 * of the requests were HEAD, 1 byte for the size of the pieces, the stream.
 */
#include "http_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As lw_reply_cb(), over pieces of `piece` bytes. */
static void walk_responses(struct walk *walk, const uint8_t *data, size_t size, size_t piece, uint32_t head_bits)
{
	static struct lw_head head;
	struct lw_scan scan = { .response = 1 };
	struct lw_frame f = {};
	struct message *m = NULL;
	size_t off = 0, end = 0, start = 0;
	uint32_t finals = 0;

	while (off < size) {
		uint32_t n, base = scan.pos;

		if (off == end)
			end = size - off < piece ? size : off + piece;
		if (f.state == LW_FRAME_CLOSE) {
			m->body += end - off;
			off = end;
			continue;
		}
		if (f.state != LW_FRAME_HEAD) {
			off = walk_body(&f, data, off, end, &m->body);
			m->complete = f.state == LW_FRAME_HEAD;
			m->end = off;
			walk->opaque = f.state == LW_FRAME_LOST;
			if (walk->opaque)
				return;
			start = off;
			continue;
		}
		if (walk->n == MESSAGES_MAX)
			return;
		n = end - off < 2048 ? end - off : 2048;
		memcpy(head.buf, data + off, n);
		while (!lw_scan_step(&scan, fuzz_names(), NULL, head.buf, LW_HEAD_MAX, n, base))
			;
		if (scan.pos - base > n)
			abort();
		off += scan.pos - base;
		if (scan.state == LW_SCAN_ERROR || scan.pos > LW_HEAD_MAX || scan.status == 101) {
			walk->opaque = true;
			return;
		}
		if (scan.state != LW_SCAN_DONE)
			continue;
		m = &walk->messages[walk->n++];
		*m = (struct message){ .start = start, .head_end = off, .end = off, .status = scan.status };
		m->closes = lw_scan_closes(&scan);
		if (scan.status < 200) {
			m->complete = true;
		} else {
			lw_frame_response(&scan, head_bits >> (finals++ & 31) & 1, &f);
			m->complete = f.state == LW_FRAME_HEAD;
			if (f.state == LW_FRAME_LOST) {
				walk->n--;
				walk->opaque = true;
				return;
			}
		}
		scan = (struct lw_scan){ .response = 1 };
		start = off;
	}
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
