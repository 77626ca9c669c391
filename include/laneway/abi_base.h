/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What all of abi.h is made of. */
#include <linux/types.h>

#include "laneway/limits.h"

#define LW_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)

struct lw_addr {
	__u8 ip[16]; /* the first byte first */
};
LW_ASSERT_SIZE(struct lw_addr, 16);
