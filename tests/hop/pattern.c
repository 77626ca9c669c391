/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern.h"

char lw_pattern[LW_PATTERN_PERIOD * LW_PATTERN_COPIES];

void lw_pattern_init(void)
{
	uint64_t x = 0x9e3779b97f4a7c15ull;

	for (size_t i = 0; i < LW_PATTERN_PERIOD; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		lw_pattern[i] =
			"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[x >> 58];
	}
	for (size_t i = LW_PATTERN_PERIOD; i < sizeof(lw_pattern); i++)
		lw_pattern[i] = lw_pattern[i - LW_PATTERN_PERIOD];
}
