/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A group of tests that must hold whichever way steered bytes take: past TCP on one node, over TCP between two. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* Runs them both ways. LAB_TEST: only those of that name. For main() to return: a count of failures could be one of run.sh's 77 and 78. */
#define RUN_BOTH_WAYS(name, tests, setup, teardown)                                               \
	({                                                                                        \
		int failed_;                                                                      \
                                                                                                  \
		if (getenv("LAB_TEST"))                                                           \
			cmocka_set_test_filter(getenv("LAB_TEST"));                               \
		failed_ = cmocka_run_group_tests_name(name ", past TCP", tests, setup, teardown); \
		setenv("LAB_NO_BYPASS", "1", 1);                                                  \
		!!(failed_ +                                                                      \
		   cmocka_run_group_tests_name(name ", over TCP", tests, setup, teardown));       \
	})
