/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Running a compiled regular expression, byte by byte. Compiled into the kernel programs and the
 * agent alike: no libc, every index masked so that the verifier sees its bound.
 */
#include <linux/types.h>

#include "laneway/abi.h"

#define LW_DFA_STATES (sizeof(((struct lw_dfa *)0)->accept))

_Static_assert((LW_DFA_TRANS & (LW_DFA_TRANS - 1)) == 0, "LW_DFA_TRANS is a power of two");
_Static_assert((LW_DFA_STATES & (LW_DFA_STATES - 1)) == 0, "accept is a power of two long");

/* The state after byte. 0: no continuation can match. Start with dfa->start. */
static inline __u16 lw_dfa_next(const struct lw_dfa *dfa, __u16 state, __u8 byte)
{
	__u32 idx = (__u32)state * dfa->nclasses + dfa->class_of[byte];

	return dfa->next[idx & (LW_DFA_TRANS - 1)];
}

/* 1: the value may end in state. */
static inline int lw_dfa_accepts(const struct lw_dfa *dfa, __u16 state)
{
	return dfa->accept[state & (LW_DFA_STATES - 1)];
}
