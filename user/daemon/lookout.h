/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What may be wrong on the node though every object is right, looked for from time to time while the agent runs: no device that
 * --device names, and clients that --untrusted names but that are kept out.
 */
#include <stdbool.h>
#include <stdio.h>

#include "core/finding.h"
#include "core/pod_cgroup.h"

struct lw_devices;
struct lw_kern;
struct lw_model;

struct lw_lookout {
	struct lw_kern *kern;
	const struct lw_devices *devices; /* NULL: none is wanted */
	const struct lw_model *model;
	const char *const *untrusted; /* as lw_state_options has it */
};

/* All that holds now. */
void lw_lookout_look(const struct lw_lookout *lookout, lw_finding_cb cb, void *arg);
/* The pod of a process, by its /proc/PID/cgroup. False: it is in none. */
bool lw_lookout_pod_uid(FILE *cgroup, char uid[LW_POD_UID_LEN]);
