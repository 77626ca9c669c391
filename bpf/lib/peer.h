/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What the pod that a connection goes to by itself is to its requests: laneway/route.h for a flow. */
#include "lib/state.h"
#include "laneway/route.h"

/* The own peer, as of f->gen. */
static __always_inline int lw_own_peer_serves(const struct lw_flow *f, __u32 lane)
{
	struct lw_peer peer = { .lane = f->peer_lane, .base = f->peer_base };

	return lw_peer_serves(&peer, lane);
}

/*
 * May its requests take its own connection, unseen? Not where that may lead base requests to a canary, nor where a gateway's forged tags
 * would pass.
 */
static __noinline int lw_may_be_plain(const struct lw_flow *f, __u32 slot)
{
	const struct lw_pod *pod;

	if (!f || f->peer_unknown)
		return 0;
	pod = lw_pod_of(slot, &f->peer);
	if (lw_pod_lane(pod) && !(pod->flags & LW_POD_BASE))
		return 0;
	pod = lw_client_pod(slot, f);
	return !pod || !(pod->flags & LW_POD_UNTRUSTED);
}
