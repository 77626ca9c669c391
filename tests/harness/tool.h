/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What programs of the tests share that link nothing of ours: time, numbers by a seed, headers of a message. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"

static inline uint64_t now_ms(void)
{
	return lw_clock_ns() / LW_NS_PER_MS;
}

static inline uint64_t now_us(void)
{
	return lw_clock_ns() / 1000;
}

/* The number that follows *rng, which is never 0 (xorshift64). */
static inline uint64_t next_random(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

/* Of a head that ends with a NUL, where the value of this header starts; NULL: it has none. */
static inline const char *header_of(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); n && p; p = strstr(p + 2, "\r\n"))
		if (!strncasecmp(p + 2, name, n) && p[2 + n] == ':')
			return p + 3 + n + strspn(p + 3 + n, " ");
	return NULL;
}
