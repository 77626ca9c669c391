/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The laboratory with one base and one gray pod that listen: what a test needs that asks for no more. */
#include "../harness/lab.h"

static int base, gray;

static inline int two_pods_start(const struct lab_options *options)
{
	lab_start(options);
	base = lab_listen(LAB_BASE);
	gray = lab_listen(LAB_GRAY);
	return 0;
}
