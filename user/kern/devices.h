/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The FIN guard on the host side of pods' network devices: attached to every device whose name matches, also
 * to those that come later. A tcx link where the kernel has them (6.6), which goes with the agent; else a clsact
 * filter, which a killed agent leaves: it lets everything pass then, and the next agent replaces it.
 */
#include <ev.h>

#include "kern/kern.h"

struct lw_devices;

/*
 * patterns: fnmatch(3) ones, NULL-terminated; not kept. 0 or -errno. A device that cannot be attached to is
 * warned of and left. With LW_KERN_MODE_NONE there is nothing to do and *ret is NULL.
 */
int lw_devices_start(struct lw_kern *kern, struct ev_loop *loop, const char *const *patterns, struct lw_devices **ret);
/* Detaches. Takes NULL. */
void lw_devices_stop(struct lw_devices **devices);

/* Removes the filters a killed agent left on any device. How many. */
int lw_devices_cleanup(void);
