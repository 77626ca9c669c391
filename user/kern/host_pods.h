/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pods on the host network share their node's address. As clients they are told apart by the cgroup of the process that connects: here
 * their cgroups are looked for, below the folder of --cgroup, by the pods' UIDs (core/pod_cgroup.h).
 */
#include <ev.h>

#include "kern/kern.h"

struct lw_host_pod {
	const char *uid, *ns, *name;
	uint64_t key; /* of lw_host_pod_addr() */
};

struct lw_host_pods;

/* 0 or -errno. */
int lw_host_pods_start(struct lw_kern *kern, struct ev_loop *loop, struct lw_host_pods **ret);
/* Takes NULL. */
void lw_host_pods_stop(struct lw_host_pods **pods);
/* From here on these are looked for, and no others. 0 or -errno, and then it is as before. */
int lw_host_pods_set(struct lw_host_pods *pods, const struct lw_host_pod *list, size_t n);
/* How many there are, and of how many a cgroup was found. Takes NULL. */
void lw_host_pods_count(const struct lw_host_pods *pods, size_t *ret_n, size_t *ret_found);
