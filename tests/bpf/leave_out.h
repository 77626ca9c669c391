/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A case that cannot run here. cmocka calls a program that left some out a success: tests/run.sh reads these lines, and judges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* Something that this machine might have is missing. */
#define SKIP_CASE(why)                            \
	do {                                      \
		print_message("SKIP: %s\n", why); \
		skip();                           \
	} while (0)

/* This kernel is known to have no such thing. */
#define NOT_HERE(why)                            \
	do {                                     \
		print_message("n/a: %s\n", why); \
		skip();                          \
	} while (0)
