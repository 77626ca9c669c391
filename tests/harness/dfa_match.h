/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the kernel programs do with an automaton, all of a value at once. */
#include <stdbool.h>
#include <stddef.h>

#include "laneway/dfa.h"

static inline bool lw_dfa_match(const struct lw_dfa *dfa, const void *value, size_t len)
{
	const unsigned char *byte = value;
	__u16 state = dfa->start;

	for (size_t i = 0; i < len && state; i++)
		state = lw_dfa_next(dfa, state, byte[i]);
	return lw_dfa_accepts(dfa, state);
}
