/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Time that only goes forward, the same as bpf_ktime_get_ns() in the kernel programs.
 */
#include <stdint.h>
#include <time.h>

#define LW_NS_PER_SEC 1000000000ull
#define LW_NS_PER_MS 1000000ull

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t lw_clock_ns(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * LW_NS_PER_SEC + (uint64_t)ts.tv_nsec;
}
