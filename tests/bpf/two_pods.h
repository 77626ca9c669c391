/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The laboratory with one base and one gray pod that listen: what a test needs that asks for no more. */
#include <unistd.h>

#include "../harness/lab.h"

static int base, gray;

static inline int two_pods_start(const struct lab_options *options)
{
	lab_start(options);
	base = lab_listen(LAB_BASE);
	gray = lab_listen(LAB_GRAY);
	return 0;
}

static inline int two_pods_stop(void **state)
{
	(void)state;
	close(base);
	close(gray);
	lab_stop();
	return 0;
}

/* After each test: no connection is left for the next. */
static inline int two_pods_clean(void **state)
{
	(void)state;
	lab_drain(base);
	lab_drain(gray);
	return 0;
}
