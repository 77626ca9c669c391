/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Pods that call nothing in release are left alone: what arrives there is not read (bpf/lib/leaves.h). Here is looked which ones they are: those whose
 * processes have answered so many requests since a lane was opened, or workloads came into release, and which have connected to no destination.
 */
#include <ev.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kern/kern.h"

/* Requests, as --leaf-after has it if nothing is said. */
#define LW_LEAF_AFTER 10000

struct lw_leaves;

/* after: so many requests; 0: no pod is left alone. 0 or -errno. */
int lw_leaves_start(struct lw_kern *kern, struct ev_loop *loop, uint64_t after,
		    struct lw_leaves **ret);
/* Takes NULL. */
void lw_leaves_stop(struct lw_leaves **leaves);
/* A state has been put in force: if other workloads are in release now nobody is left alone until he has answered as many again. Takes NULL. */
void lw_leaves_published(struct lw_leaves *leaves);

/* Nobody is left alone, and nothing counted as at work there: who has counted is gone. Who calls is known on. 0 or -errno. */
int lw_leaves_forget(struct lw_kern *kern);
/* leaves_gone.c: where there are many rows, those of pods that have ended go. 0 or -errno. */
int lw_leaves_sweep(struct lw_kern *kern);
/* How many pods are left alone. */
size_t lw_leaves_count(struct lw_kern *kern);
/* Is the pod at that address? */
bool lw_leaves_is(const struct lw_kern *kern, const struct lw_addr *addr);
