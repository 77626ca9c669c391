/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool lw_str_copy(char *dst, size_t size, const char *src)
{
	size_t len = strnlen(src, size);

	if (len < size) {
		memcpy(dst, src, len + 1);
		return true;
	}
	memcpy(dst, src, size - 1);
	dst[size - 1] = '\0';
	return false;
}

void lw_str_printable(const char *src, size_t len, char *dst)
{
	for (size_t i = 0; i < len; i++)
		dst[i] = (char)(src[i] >= ' ' && src[i] < 0x7f ? src[i] : '?');
	dst[len] = '\0';
}

int lw_str_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		unsigned int digit = (unsigned char)*s - '0';

		if (digit > 9)
			return -EINVAL;
		if (value > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		value = value * 10 + digit;
	}
	if (value > max)
		return -ERANGE;
	*ret = value;
	return 0;
}

size_t lw_str_utf8_len(const char *s)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t len;

	if (u[0] == 0)
		return 0;
	if (u[0] < 0x80)
		return 1;
	if (u[0] >= 0xc2 && u[0] <= 0xdf)
		len = 2;
	else if (u[0] >= 0xe0 && u[0] <= 0xef)
		len = 3;
	else if (u[0] >= 0xf0 && u[0] <= 0xf4)
		len = 4;
	else
		return 0;
	/* The terminator is no continuation byte, so this never reads past it. */
	for (size_t i = 1; i < len; i++)
		if ((u[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, beyond U+10FFFF. */
	if ((u[0] == 0xe0 && u[1] < 0xa0) || (u[0] == 0xed && u[1] > 0x9f) ||
	    (u[0] == 0xf0 && u[1] < 0x90) || (u[0] == 0xf4 && u[1] > 0x8f))
		return 0;
	return len;
}

void lw_str_make_plain(char *s)
{
	while (*s) {
		size_t len = lw_str_shown_len(s);

		if (len == 0)
			*s++ = '?';
		else
			s += len;
	}
}

size_t lw_str_shown_len(const char *s)
{
	size_t len = lw_str_utf8_len(s);

	if ((unsigned char)s[0] < 0x20 || s[0] == 0x7f)
		return 0;
	return len == 2 && (unsigned char)s[0] == 0xc2 && (unsigned char)s[1] < 0xa0 ? 0 : len;
}

void lw_str_json(const char *s, char *dst, size_t size)
{
	size_t at = 0;

	assert(size >= 3);
	dst[at++] = '"';
	while (*s) {
		size_t step = lw_str_utf8_len(s), n;
		char piece[8];

		if (step == 0) {
			n = (size_t)snprintf(piece, sizeof(piece), "\xef\xbf\xbd");
			step = 1;
		} else if (*s == '"' || *s == '\\') {
			n = (size_t)snprintf(piece, sizeof(piece), "\\%c", *s);
		} else if (*s == '\n') {
			n = (size_t)snprintf(piece, sizeof(piece), "\\n");
		} else if ((unsigned char)*s < 0x20 || *s == 0x7f) {
			n = (size_t)snprintf(piece, sizeof(piece), "\\u%04x", (unsigned char)*s);
		} else {
			memcpy(piece, s, step);
			n = step;
		}
		if (at + n + 2 > size)
			break;
		memcpy(dst + at, piece, n);
		at += n;
		s += step;
	}
	dst[at++] = '"';
	dst[at] = '\0';
}

/* For "...", and " and N more". */
#define PARTS_TAIL 40

void lw_str_part(struct lw_str_parts *parts, const char *separator, const char *format, ...)
{
	size_t room = sizeof(parts->text) - PARTS_TAIL - parts->len;
	char *end = parts->text + parts->len;
	va_list args;
	int sep, len;

	if (parts->cut) {
		parts->more++;
		return;
	}
	sep = snprintf(end, room, "%s", parts->len > 0 ? separator : "");
	va_start(args, format);
	len = (size_t)sep < room ? vsnprintf(end + sep, room - (size_t)sep, format, args) : 0;
	va_end(args);
	if ((size_t)sep < room && (size_t)(sep + len) < room) {
		parts->len += (size_t)(sep + len);
		return;
	}
	parts->cut = true;
	/* Hardly anything of it would be seen. */
	if (parts->len > 0 && room < PARTS_TAIL) {
		*end = '\0';
		parts->more++;
		return;
	}
	/* Not within a character. */
	for (end += room - 1; end > parts->text && (end[-1] & 0xc0) == 0x80;)
		end--;
	if (end > parts->text && (end[-1] & 0xc0) == 0xc0)
		end--;
	parts->len = (size_t)(end - parts->text) + 3;
	(void)snprintf(end, PARTS_TAIL, "...");
}

const char *lw_str_parts_end(struct lw_str_parts *parts)
{
	if (parts->more > 0)
		(void)snprintf(parts->text + parts->len, sizeof(parts->text) - parts->len,
			       " and %zu more", parts->more);
	return parts->text;
}
