/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Where a request goes whose lane is known (lane.h): which lane's endpoints it is for, and whether the pod that its connection goes to, the
 * own peer, serves it. Compiled for the kernel programs and for user space (explain, tests). Before including it, define
 *
 *   lw_get_group(slot, group, lane)      of the state of one generation, a map or an image; NULL: no ready endpoint
 */
#include "laneway/abi.h"
#include "laneway/http.h"

/* What the own peer is to requests of its connection. */
struct lw_peer {
	__u32 lane; /* it serves those of this one; LW_LANE_ONCE: it is for no new request */
	__u32 base; /* and those of base as well (LW_POD_BASE) */
};

/* The lane that a pod is in as what requests are sent to; 0: base. NULL: what is no pod, or none of a workload in release. */
static __always_inline __u32 lw_pod_lane(const struct lw_pod *pod)
{
	return pod && pod->workload ? pod->lane : 0;
}

/* unknown: which pod it is nobody knows, and it may be a canary (LW_SK_UNKNOWN). */
static __always_inline void lw_peer_is(struct lw_peer *peer, const struct lw_pod *pod,
				       __u32 unknown)
{
	peer->lane = lw_pod_lane(pod);
	peer->base = peer->lane && (pod->flags & LW_POD_BASE);
	/* a canary that is leaving takes no new request of anybody; a base pod's clients are its own matter */
	if (unknown ||
	    (peer->lane && (!(pod->flags & LW_POD_READY) || (pod->flags & LW_POD_TERMINATING)))) {
		peer->lane = LW_LANE_ONCE;
		peer->base = 0;
	}
}

/*
 * The client itself, after lw_peer_is(). What a pod asks itself, as the command of a hook that ends it may, is no other's to do, whether it is
 * ready or leaves, while that is in the lane of what it sends.
 */
static __always_inline void lw_peer_is_client(struct lw_peer *peer, __u32 own_lane)
{
	peer->lane = own_lane;
}

/* Is it a pod for requests that are for this lane's endpoints? 0: base's. */
static __always_inline int lw_peer_serves(const struct lw_peer *peer, __u32 lane)
{
	return lane == peer->lane || (!lane && peer->base);
}

static __always_inline int lw_has_endpoint(__u32 slot, __u32 group, __u32 lane)
{
	const struct lw_group *g = lw_get_group(slot, group, lane);

	return g && g->count;
}

/* Whose endpoints a request in this lane is for: the lane's, or base's where it has none. own: its own peer serves the lane. */
static __always_inline __u32 lw_target_lane(__u32 slot, __u32 group, __u32 lane, int own)
{
	return !lane || own || lw_has_endpoint(slot, group, lane) ? lane : 0;
}

/* Has the group a ready pod of any lane? Not inlined: a look-up a lane. */
static __noinline int lw_has_canaries(__u32 slot, __u32 group)
{
	__u32 lane;

	for (lane = 1; lane < LW_MAX_LANES; lane++)
		if (lw_get_group(slot, group, lane))
			return 1;
	return 0;
}
