/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Which of the ready endpoints of a group a connection, or a request, gets. */
#include "lib/state.h"

/* Chooses one of n endpoints, in turn. */
static __always_inline __u32 lw_turn(__u32 group, __u32 lane, __u32 n)
{
	__u32 k = (group * 16 + lane) & (LW_TURNS - 1);
	__u64 *turn = bpf_map_lookup_elem(&lw_turns, &k);

	if (!turn || !n)
		return 0;
	return (__u32)__sync_fetch_and_add(turn, 1) % n;
}

/* The finaliser of MurmurHash3. */
static __always_inline __u64 lw_mix(__u64 x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdull;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53ull;
	return x ^ x >> 33;
}

struct lw_keeps_ctx {
	struct lw_endpoint_key key;
	__u32 found;
	__u64 client, most;
};

static long lw_keeps_cb(__u32 i, void *arg)
{
	struct lw_keeps_ctx *c = arg;
	const struct lw_endpoint *ep;
	const __u64 *addr;
	__u64 weight;

	c->key.idx = i;
	ep = bpf_map_lookup_elem(&lw_endpoints, &c->key);
	if (!ep)
		return 1;
	addr = (const __u64 *)ep->addr.ip;
	weight = lw_mix(lw_mix(lw_mix(c->client) ^ addr[0]) ^ addr[1]);
	if (weight < c->most)
		return 0;
	c->most = weight;
	c->found = i;
	return 0;
}

/* Of n endpoints that of this client, by rendezvous hashing: one that goes moves its own clients alone, one that comes takes its share. */
static __noinline __u32 lw_keeps(const struct lw_endpoint_key *key, __u32 n, __u64 client)
{
	struct lw_keeps_ctx c = { .key = *key, .client = client };

	bpf_loop(n, lw_keeps_cb, &c, 0);
	return c.found;
}

/*
 * A ready endpoint of the group in the lane; NULL if there is none. client: the cookie of its network namespace, for a group whose
 * clients keep their endpoints.
 */
static __always_inline const struct lw_endpoint *lw_choose(__u32 flags, __u32 slot, __u32 group,
							   __u32 lane, __u64 client)
{
	struct lw_endpoint_key ek = { .slot = slot, .group = group, .lane = lane };
	const struct lw_group *g = lw_get_group(slot, group, lane);
	__u32 n;

	if (!g || !g->count)
		return NULL;
	n = g->count;
	if ((flags & LW_CONF_PREFER_LOCAL) && g->local)
		n = g->local;
	ek.idx = g->flags & LW_GROUP_STICKY ? lw_keeps(&ek, n, client) : lw_turn(group, lane, n);
	return bpf_map_lookup_elem(&lw_endpoints, &ek);
}
