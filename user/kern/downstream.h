/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ends an application's connection from outside, the way its peer would have, by a reset. An end of file: ends.h.
 */
#include <stdint.h>

#include "laneway/abi.h"

struct lw_netns;

/* Reset, by sock_diag. 0, -ENOENT (gone already), or -errno. */
int lw_downstream_reset(struct lw_netns *ns, uint64_t cookie, const struct lw_flow *flow);
