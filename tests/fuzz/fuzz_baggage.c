/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of baggage: whatever stands there, what is to be done about it leaves something well-formed. The first byte says who sends
 * it, the rest are the head's lines.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/rules.h"
#include "../harness/image_lane.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GRAY 1
#define START "GET / HTTP/1.1\r\n"

static const struct image_lane lanes[] = {
	{ GRAY, "gray", "x-tag", "gray" },
	{ 2, "blue", "x-tag", "b,e" },
	{ 3, "green", "env", "green" },
	{ 0 },
};

/* False: no head. */
static bool decide(struct lw_head *head, size_t len, bool untrusted, struct lw_decision *d)
{
	memset(head, 0, offsetof(struct lw_head, bag));
	memset(&head->bag, 0xee, sizeof(head->bag));
	head->eval.untrusted = untrusted;
	(void)lw_scan_request(head, lw_get_names(0), len);
	if (head->scan.state != LW_SCAN_DONE || head->scan.pos != len ||
	    (head->scan.flags & LW_SCAN_CAPTURES_FULL))
		return false;
	lw_decide(head, 0, GRAY, &(const struct lw_learned){}, 0, d);
	return true;
}

static size_t cut(struct lw_head *head, size_t len, size_t at, size_t n)
{
	if (at < head->scan.fields || !n || at + n > len - 2)
		abort();
	memmove(head->buf + at, head->buf + at + n, len - at - n);
	return len - n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct lw_head head;
	struct lw_decision d, after;
	enum lw_baggage_todo todo;
	struct lw_baggage was;
	size_t len;

	if (!image)
		image_build(lanes, true, NULL, 0);
	if (size < 1 || size > 4096)
		return 0;
	len = sizeof(START) - 1;
	memcpy(head.buf, START, len);
	memcpy(head.buf + len, data + 1, size - 1);
	len += size - 1;
	memcpy(head.buf + len, "\r\n", 2);
	len += 2;
	if (!decide(&head, len, data[0] & 1, &d))
		return 0;
	was = head.bag;
	todo = lw_baggage_todo(&was, GRAY, 16);
	if (d.strip) {
		/* from the last line to the first, as the kernel programs do */
		for (size_t i = head.caps.n; i-- > 0;) {
			const struct lw_capture *cap = &head.caps.at[i];

			if ((was.ours >> i & 1) ||
			    (cap->header >= LW_HDR_TAG_FIRST && cap->header <= LW_HDR_TAG_LAST))
				len = cut(&head, len, cap->line, cap->line_len);
		}
		/* nothing is left that anybody could believe */
		if (!decide(&head, len, false, &after) || after.evidence != LW_EVIDENCE_POD ||
		    after.tagged || head.bag.malformed || head.bag.named || head.bag.stale ||
		    head.bag.ours)
			abort();
	} else if (todo == LW_BAGGAGE_REPLACE) {
		len = cut(&head, len, was.cut, was.cut_len);
		if (!decide(&head, len, false, &after) || head.bag.malformed || head.bag.stale ||
		    head.bag.members != was.members - 1 ||
		    lw_baggage_todo(&head.bag, GRAY, 16) != LW_BAGGAGE_ADD)
			abort();
	}
	return 0;
}
