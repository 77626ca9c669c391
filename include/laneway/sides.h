/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What the two sides that this folder is compiled for, the kernel programs and user space, do differently.
 *
 *   LW_LOOP(n, fn, ctx)   fn(i, ctx) for i in 0..n-1 until it returns 1
 *   LW_AT_MOST(n, max)    n, or max where that is less: for sizes given to helpers
 *   LW_CHECKED_ONCE       a function that the verifier checks once by itself, not again for every state its callers may be in:
 *                         its pointers are to plain memory and may not be NULL
 */
#include <linux/types.h>

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef __noinline
#define __noinline __attribute__((noinline))
#endif

#ifdef __bpf__

#define LW_LOOP(n, fn, ctx) bpf_loop(n, fn, ctx, 0)
#define LW_CHECKED_ONCE __noinline
/* Compilers like to compare a copy of n, and Linux 6.1's verifier then knows no bound of n itself. */
#define LW_AT_MOST(n, max)                                                                \
	({                                                                                \
		__u64 bounded_ = (n);                                                     \
		asm volatile("if %0 <= %1 goto +1\n%0 = %1" : "+r"(bounded_) : "i"(max)); \
		(__u32) bounded_;                                                         \
	})

#else

#define LW_LOOP(n, fn, ctx) lw_loop(n, fn, ctx)
#define LW_CHECKED_ONCE static inline
#define LW_AT_MOST(n, max) ((n) < (max) ? (__u32)(n) : (max))

static inline void lw_loop(__u32 n, long (*fn)(__u32 i, void *ctx), void *ctx)
{
	for (__u32 i = 0; i < n; i++)
		if (fn(i, ctx))
			return;
}

#endif
