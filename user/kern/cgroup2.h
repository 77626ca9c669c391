/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The folder of cgroup version 2 that the hooks are attached to. */
#include <stdbool.h>

/* 0: it is in a hierarchy of version 2; 1: it is not; -errno: it cannot be looked at. */
int lw_cgroup2_is_not(const char *dir);

/*
 * The folder for `dir`: itself, or, where that is of version 1 and version 2 is mounted below it ("hybrid"), DIR/unified.
 * NULL: the first cgroup2 of /proc/self/mounts. The caller frees it. NULL is returned if none is mounted, or for want of memory.
 */
char *lw_cgroup2_find(const char *dir);
