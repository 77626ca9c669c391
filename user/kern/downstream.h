/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Ends an application's connection from outside, the way its peer would have, by a reset. An end of file: ends.h.
 */
#include <stdint.h>

#include "laneway/abi.h"

struct lw_netns;

/* How long an application's socket may be locked before nobody waits for it (base/aside.h). */
#define LW_LOCK_PATIENCE_MS 20
/* And all that are left, before the process ends. */
#define LW_LOCKS_PATIENCE_MS 500

/* Reset, by sock_diag. 0: done, or once its application has let go of its lock; -ENOENT (gone already), or -errno. */
int lw_downstream_reset(struct lw_netns *ns, uint64_t cookie, const struct lw_flow *flow);
