/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What must be there before anything is tried: so that its lack is told in one sentence, and not as some later call's error. */

#define LW_KERNEL_MAJOR 6
#define LW_KERNEL_MINOR 1

/* 0, or -errno with one line logged: the kernel, its configuration, the agent's rights, its PID namespace, or the folder that is to be its cgroup. */
int lw_needs_check(const char *cgroup);
