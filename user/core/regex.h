/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Regular expressions to the automata that the kernel programs run. Bytes, whole value, no
 * captures; the accepted syntax is in docs/rules.md. Time and memory are bounded for every pattern.
 * Pure.
 */
#include <stddef.h>

#include "laneway/abi.h"

/* Bounds of a pattern: its bytes, its nested groups, the count in {m,n}. */
#define LW_REGEX_LEN_MAX 4096
#define LW_REGEX_DEPTH_MAX 64
#define LW_REGEX_REPEAT_MAX 1000

/*
 * 0, -ENOMEM, -EINVAL (not a regular expression, or one with a construct that is not accepted) or
 * -E2BIG (its automaton is too large). On failure err is one clause, such as "lookahead (?= at
 * position 3 is not supported" (positions are bytes, the first is 1), and *ret is untouched. err
 * may be NULL if err_len is 0. *ret_work (may be NULL): what it took, in steps of some 5 ns, which are
 * the same on every machine.
 */
int lw_regex_compile(const char *pattern, struct lw_dfa *ret, size_t *ret_work, char *err,
		     size_t err_len);

/*
 * A compiled pattern in a process-wide cache (LW_REGEX_CACHE_MAX patterns, least recently used out
 * first; refused patterns are kept as well, with their error). Not thread-safe.
 */
struct lw_regex;
#define LW_REGEX_CACHE_MAX 512

/* As lw_regex_compile(); *ret is valid until lw_regex_put(), the same pointer for a same pattern. */
int lw_regex_get(const char *pattern, struct lw_regex **ret, char *err, size_t err_len);
/* What all patterns took that lw_regex_get() was asked for, those counted again that were at hand. */
size_t lw_regex_work(void);
/* Takes NULL; sets *regex to NULL. */
void lw_regex_put(struct lw_regex **regex);
void lw_regex_expand(const struct lw_regex *regex, struct lw_dfa *ret);
/* Frees every pattern nobody holds. */
void lw_regex_cache_clear(void);
