/* SPDX-License-Identifier: Apache-2.0 */
#include "core/regex_set.h"

#include <string.h>

static const struct {
	const char *name;
	const char *ranges; /* pairs of first and last byte; NULL: they start with NUL */
} posix_classes[] = {
	{ "alnum", "09AZaz" },	 { "alpha", "AZaz" },	 { "ascii", NULL },
	{ "blank", "\t\t  " },	 { "cntrl", NULL },	 { "digit", "09" },
	{ "graph", "!~" },	 { "lower", "az" },	 { "print", " ~" },
	{ "punct", "!/:@[`{~" }, { "space", "\t\r  " },	 { "upper", "AZ" },
	{ "word", "09AZ__az" },	 { "xdigit", "09AFaf" },
};

void lw_regex_set_range(struct lw_regex_set *set, unsigned lo, unsigned hi)
{
	for (unsigned byte = lo; byte <= hi; byte++)
		set->bits[byte / 64] |= 1ull << (byte % 64);
}

void lw_regex_set_ranges(struct lw_regex_set *set, const char *ranges)
{
	for (; *ranges; ranges += 2)
		lw_regex_set_range(set, (unsigned char)ranges[0], (unsigned char)ranges[1]);
}

void lw_regex_set_invert(struct lw_regex_set *set)
{
	for (unsigned i = 0; i < 4; i++)
		set->bits[i] = ~set->bits[i];
}

void lw_regex_set_merge(struct lw_regex_set *set, const struct lw_regex_set *other)
{
	for (unsigned i = 0; i < 4; i++)
		set->bits[i] |= other->bits[i];
}

/* 'A'..'Z' are bits 1..26 of word 1, 'a'..'z' the same 32 further on. */
void lw_regex_set_fold(struct lw_regex_set *set)
{
	const uint64_t upper = 0x07fffffeull;
	uint64_t both = (set->bits[1] & upper) | (set->bits[1] >> 32 & upper);

	set->bits[1] |= both | both << 32;
}

bool lw_regex_set_posix(struct lw_regex_set *set, const char *name, size_t len)
{
	for (size_t i = 0; i < sizeof(posix_classes) / sizeof(posix_classes[0]); i++) {
		if (strlen(posix_classes[i].name) != len ||
		    strncmp(posix_classes[i].name, name, len))
			continue;
		if (posix_classes[i].ranges)
			lw_regex_set_ranges(set, posix_classes[i].ranges);
		else
			lw_regex_set_range(set, 0, *name == 'a' ? 0x7f : 0x1f);
		if (*name == 'c')
			lw_regex_set_range(set, 0x7f, 0x7f);
		return true;
	}
	return false;
}
