/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Strings and number parsing that libc leaves out.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Copies src, cut to fit, always terminated. True if it fitted whole. size > 0. */
bool lw_str_copy(char *dst, size_t size, const char *src);

/* len bytes as text: '?' for what is not printable ASCII, terminated. dst has room for len + 1. */
void lw_str_printable(const char *src, size_t len, char *dst);

/* A decimal number, all of s, no sign, no blanks, at most max. 0, -EINVAL or -ERANGE; *ret then stays. */
int lw_str_u64(const char *s, uint64_t max, uint64_t *ret);

/*
 * Writes s as a JSON string, quotes included. Bytes that are not UTF-8 become U+FFFD. Cut to fit at a
 * whole character, always closed and terminated. size >= 3.
 */
void lw_str_json(const char *s, char *dst, size_t size);

/*
 * Length of the character at s that a terminal may show as it is: valid UTF-8 and no control character, those of ISO 6429's second set
 * (U+0080 to U+009F, as good as an escape to some) included. 0: there is none.
 */
size_t lw_str_shown_len(const char *s);

/* '?' for what lw_str_shown_len() says a terminal may not show. */
void lw_str_make_plain(char *s);

/*
 * Text for people that is made of parts, from {}. What has no room is cut ("..."), and what comes behind
 * that counted: "80->http,81->admin and 200 more".
 */
struct lw_str_parts {
	char text[1024];
	size_t len;
	bool cut;
	size_t more;
};
/* separator: before all but the first. */
void lw_str_part(struct lw_str_parts *parts, const char *separator, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* The whole; no part comes behind. */
const char *lw_str_parts_end(struct lw_str_parts *parts);

/* Length of the valid UTF-8 character at s (1..4), 0 if there is none. s is terminated. */
size_t lw_str_utf8_len(const char *s);
