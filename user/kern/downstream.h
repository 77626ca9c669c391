/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ends an application's connection from outside, the way its peer would have: an end of file behind all
 * bytes that were steered to it, or a reset.
 */
#include <stdint.h>

#include "laneway/abi.h"

struct lw_netns;

/* End of file: shutdown(SHUT_RD) on the application's own descriptor. 0, -ENOENT (no descriptor found), -errno. */
int lw_downstream_eof(uint64_t cookie, const struct lw_flow *flow);
/* Reset, by sock_diag. 0, -ENOENT (gone already), or -errno. */
int lw_downstream_reset(struct lw_netns *ns, uint64_t cookie, const struct lw_flow *flow);
