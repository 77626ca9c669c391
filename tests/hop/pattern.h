/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The bytes of test bodies. Byte i of the body with seed s is lw_pattern[(i + s) % LW_PATTERN_PERIOD]:
 * printable, and with a prime period, so that a lost, doubled or foreign piece shows.
 */
#include <stddef.h>
#include <stdint.h>

#define LW_PATTERN_PERIOD 65521u
/* Periods in the buffer: at least LW_PATTERN_RUN bytes can be read from any start. */
#define LW_PATTERN_COPIES 18u
#define LW_PATTERN_RUN (LW_PATTERN_PERIOD * (LW_PATTERN_COPIES - 1))

extern char lw_pattern[LW_PATTERN_PERIOD * LW_PATTERN_COPIES];
/* First of all. */
void lw_pattern_init(void);

static inline const char *lw_pattern_at(uint64_t seed, uint64_t offset)
{
	return lw_pattern + (seed + offset) % LW_PATTERN_PERIOD;
}

#define LW_FNV_START 0xcbf29ce484222325ull
static inline uint64_t lw_fnv(uint64_t hash, const void *data, size_t len)
{
	const unsigned char *p = data;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * 0x100000001b3ull;
	return hash;
}
