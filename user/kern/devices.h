/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The FIN guard, and what is read of requests that arrive (bpf/hook_tc.h), on the host side of pods' network devices: attached to
 * every device whose name matches, also to those that come later. A tcx link where the kernel has them (6.6), which goes with the
 * agent; else tc_filter.h.
 */
#include "kern/kern.h"
#include "kern/others.h"

/* enum bpf_attach_type of 6.6; older headers end before it. */
#define LW_TCX_EGRESS 47

struct lw_devices;

/*
 * patterns: fnmatch(3) ones, NULL-terminated; not kept. NULL: of no device. 0 or -errno. A device that cannot be attached to is
 * warned of and left. With LW_KERN_MODE_NONE there is nothing to do and *ret is NULL.
 */
int lw_devices_start(struct lw_kern *kern, const char *const *patterns, struct lw_devices **ret);
/* Detaches. Takes NULL. */
void lw_devices_stop(struct lw_devices **devices);

/* How many devices the program is on now. *ret_patterns: by how many patterns. Takes NULL. */
size_t lw_devices_count(const struct lw_devices *devices, size_t *ret_patterns);

/*
 * Programs of others on the hooks of our cgroup, and on the egress of these devices; as they were when they were last asked for, where
 * the kernel does not tell at once. Takes NULL.
 */
void lw_devices_each_other(struct lw_devices *devices, lw_other_cb cb, void *arg);
