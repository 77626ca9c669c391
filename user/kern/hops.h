/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests as they are sent on, one record each, for whoever traces. Off until lw_hops_set() says what is wanted;
 * whatever is off costs the programs one load.
 */
#include "kern/kern.h"

struct lw_hops;

struct lw_hops_filter {
	uint32_t lanes; /* bit n: requests of lane n; 0: off */
	uint32_t workload; /* only to this one (lw_workload.name_hash); 0: to any */
	uint32_t sample; /* only those whose lw_hop.dice is no more than this; UINT32_MAX: all */
};

/* 0, -EOPNOTSUPP with LW_KERN_MODE_NONE, or -errno. kern must outlive it. */
int lw_hops_new(struct lw_kern *kern, struct lw_hops **ret);
/* Switches it off. Takes NULL, sets NULL. */
void lw_hops_free(struct lw_hops **hops);

void lw_hops_set(struct lw_hops *hops, const struct lw_hops_filter *filter);
/*
 * Takes what waits, `max` at most: more is left for the next call. It may hold what was told before the last
 * lw_hops_set(). How many, or -errno.
 */
int lw_hops_read(struct lw_hops *hops, unsigned int max,
		 void (*cb)(const struct lw_hop *hop, void *arg), void *arg);
/* How many did not fit in the ring since the programs were loaded. */
uint64_t lw_hops_lost(const struct lw_hops *hops);
