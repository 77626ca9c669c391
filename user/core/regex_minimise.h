/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which states of an automaton do the same. Internal to regex.c.
 */
#include <stdint.h>

/*
 * next: [state * nclasses + class]; n < UINT16_MAX states. Fills ret_block[n], by state, with numbers from 0 on
 * that two states share if and only if they accept the same. How many numbers, or -ENOMEM.
 */
int lw_regex_minimise(const uint16_t *next, const uint8_t *accept, unsigned n, unsigned nclasses,
		      uint16_t *ret_block);
