/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Running the automaton of header names, byte by byte. Compiled into the kernel programs and the
 * agent alike: no libc, every index masked so that the verifier sees its bound.
 */
#include <linux/types.h>

#include "laneway/abi.h"

#define LW_NAMES_DEAD 0
#define LW_NAMES_START 1

_Static_assert((LW_NAMES_STATES & (LW_NAMES_STATES - 1)) == 0, "LW_NAMES_STATES is a power of two");
_Static_assert((LW_NAMES_CLASSES & (LW_NAMES_CLASSES - 1)) == 0,
	       "LW_NAMES_CLASSES is a power of two");

/* Whether byte may stand in a header name at all (RFC 9110, 5.6.2). */
static inline int lw_names_is_token(const struct lw_names *names, __u8 byte)
{
	return names->class_of[byte] != 0;
}

/*
 * The state after byte; start with LW_NAMES_START. LW_NAMES_DEAD: the name is none of the set, and
 * stays so; it is that for a byte that may not stand in a name, too: lw_names_is_token() tells the
 * two apart.
 */
static inline __u16 lw_names_next(const struct lw_names *names, __u16 state, __u8 byte)
{
	__u32 class = names->class_of[byte];

	/*
	 * The compiler knows nothing of class here, and so cannot make an OR of the sum and its mask. Linux 6.1's verifier
	 * takes the result of such an OR for unbounded.
	 */
	__asm__ volatile("" : "+r"(class));
	return names->next[((__u32)state * LW_NAMES_CLASSES + class) &
			   (LW_NAMES_STATES * LW_NAMES_CLASSES - 1)];
}

/* The enum lw_header_id of a name that ends in state; LW_HDR_OTHER if it is none of the set. */
static inline __u8 lw_names_id(const struct lw_names *names, __u16 state)
{
	return names->id_of[state & (LW_NAMES_STATES - 1)];
}
