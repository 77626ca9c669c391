/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_reserve(struct buf *b, size_t n)
{
	if (b->cap - b->end >= n)
		return;
	if (b->start) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->cap - b->end >= n)
		return;
	b->cap = (b->end + n) * 3 / 2;
	b->data = realloc(b->data, b->cap);
	if (!b->data)
		die("memory");
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	if (!n)
		return;
	buf_reserve(b, n);
	memcpy(b->data + b->end, data, n);
	b->end += n;
}

void buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	int n;

	buf_reserve(b, 512);
	for (;;) {
		size_t room = b->cap - b->end;

		va_start(ap, format);
		n = vsnprintf(b->data + b->end, room, format, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < room)
			break;
		buf_reserve(b, (size_t)n + 1);
	}
	b->end += (size_t)n;
}

void buf_drop(struct buf *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}
