/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The agent's share of the data path: opens upstream sockets in the clients' network namespaces, ahead of
 * demand where there is some, carries the requests that found none ready, and ends what the kernel side
 * says is over. Bounds: see limits.h and LW_POOL_MAX_DEFAULT.
 */
#include <ev.h>

#include "kern/kern.h"

/* Fresh sockets held ready for one client namespace and endpoint, at most. */
#define LW_POOL_MAX_DEFAULT 64

struct lw_upstreams;

struct lw_upstreams_options {
	unsigned int pool_max; /* 1..LW_POOL_SLOTS; 0: LW_POOL_MAX_DEFAULT */
	bool fail_closed; /* a request that reaches no pod of its lane is answered 503 */
};

/* 0 or -errno. With LW_KERN_MODE_NONE there is nothing to do and *ret is NULL. kern and loop outlive it. */
int lw_upstreams_start(struct lw_kern *kern, struct ev_loop *loop,
		       const struct lw_upstreams_options *options, struct lw_upstreams **ret);
/*
 * Steers no new request, and runs the loop until those under way have ended, DRAIN_SECONDS at most or until
 * it is broken out of. Takes NULL.
 */
void lw_upstreams_drain(struct lw_upstreams *ups);
/*
 * Another agent goes on with the same maps. Nothing new is begun; requests that are on our upstream sockets, or in our hands,
 * end there, and each socket is closed once none is. Takes NULL.
 */
void lw_upstreams_retire(struct lw_upstreams *ups);
/* The agent that this one took over from has ended: its pools, now empty, are given up. Takes NULL. */
void lw_upstreams_other_gone(struct lw_upstreams *ups);
/*
 * Closes every upstream socket. A client whose request or response is not through is reset: what would
 * follow must not reach another pod. Takes NULL.
 */
void lw_upstreams_stop(struct lw_upstreams **ups);
