/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Programs of other products where ours are attached. They are left alone; that they are there explains what a
 * reader of the status may see: a connect that goes elsewhere, a FIN guard that gets no packets.
 */
#include "kern/kern.h"

/* where: "cgroup/connect4", "tc egress". before: it runs before ours; on tc it may then keep packets from ours. */
typedef void (*lw_other_cb)(const char *where, const char *program, bool before, void *arg);

/* In force for the cgroup of ours: attached there or above. */
void lw_others_each_cgroup(const struct lw_kern *kern, lw_other_cb cb, void *arg);
/* On the egress of a device, tcx links and classic filters. tcx: ours is a link there, not a filter. */
void lw_others_each_tc(const struct lw_kern *kern, int ifindex, bool tcx, lw_other_cb cb,
		       void *arg);
/* Any classic filter at all, on the way in or out; also where that cannot be told. */
bool lw_others_have_filters(int ifindex);
