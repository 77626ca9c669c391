/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Our program on a device where the kernel has no tcx (before 6.6): a clsact filter, which a killed agent leaves. It lets everything
 * pass then, and the next agent replaces it, or takes it off a device that it was not told of. The clsact qdisc goes with the
 * filter if an agent made it and nobody else has a filter there.
 */
#include <stdbool.h>
#include <stdint.h>

struct lw_kern;

/* Of our filter among those of a device. */
#define LW_FILTER_PRIORITY 0x6c77

/* Each 0 or -errno. */
int lw_filter_attach(int prog, int ifindex);
int lw_filter_detach(int ifindex);
bool lw_filter_is_ours(uint32_t handle, uint32_t priority);
/* A killed agent may have been told of devices that we are not. name: the device's. */
void lw_filter_remove_abandoned(const struct lw_kern *kern, int ifindex, const char *name);
/* Removes the filters a killed agent left on any device. How many. */
int lw_filter_cleanup(void);
