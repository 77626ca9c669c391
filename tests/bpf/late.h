/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The laboratory with two pods, and somebody who can be held up within the kernel (late_reader.bpf.c). */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/clock.h"
#include "late_reader.skel.h"
#include "two_pods.h"

static struct late_reader_bpf *late;

/* What main() returns. */
#define LATE_RUN(name, tests, setup)                                                       \
	(lab_has_fentry() ? !!cmocka_run_group_tests_name(name, tests, setup, late_stop) : \
			    late_not_here())

static inline int late_not_here(void)
{
	printf("n/a: fentry programs, of which this kernel has none, or lets nobody load one\n");
	return 0;
}

static inline int late_start(uint64_t ns)
{
	late = late_reader_bpf__open_and_load();
	assert_non_null(late);
	assert_int_equal(late_reader_bpf__attach(late), 0);
	late->bss->late_ns = ns;
	return two_pods_start(&(struct lab_options){ .guard = true });
}

static inline int late_stop(void **state)
{
	late_reader_bpf__destroy(late);
	return lab_teardown(state);
}

static inline bool is_late(void)
{
	return __atomic_load_n(&late->bss->began, __ATOMIC_ACQUIRE) >
	       __atomic_load_n(&late->bss->ended, __ATOMIC_ACQUIRE);
}

/* Whoever is held up, or comes to be, is not, as far as the test is concerned. */
static inline void late_is_enough(bool yes)
{
	__atomic_store_n(&late->bss->enough, yes, __ATOMIC_RELEASE);
}

static inline uint64_t patience(void)
{
	return lw_clock_ns() + (uint64_t)lab_patience_ms(5000) * LW_NS_PER_MS;
}

static inline void a_little_later(uint64_t until)
{
	assert_true(lw_clock_ns() < until);
	poll(NULL, 0, 1);
}
