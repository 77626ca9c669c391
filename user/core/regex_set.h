/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Sets of bytes. Internal to regex.c.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lw_regex_set {
	uint64_t bits[4];
};

static inline bool lw_regex_set_has(const struct lw_regex_set *set, unsigned byte)
{
	return set->bits[byte / 64] >> (byte % 64) & 1;
}

/* Adds lo..hi. */
void lw_regex_set_range(struct lw_regex_set *set, unsigned lo, unsigned hi);
/* Adds several: pairs of first and last byte. */
void lw_regex_set_ranges(struct lw_regex_set *set, const char *ranges);
/* Adds a class such as "alpha"; false: there is none of that name. */
bool lw_regex_set_posix(struct lw_regex_set *set, const char *name, size_t len);
void lw_regex_set_merge(struct lw_regex_set *set, const struct lw_regex_set *other);
void lw_regex_set_invert(struct lw_regex_set *set);
/* Adds the other case of every ASCII letter in it. */
void lw_regex_set_fold(struct lw_regex_set *set);
