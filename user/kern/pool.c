/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools of fresh upstream sockets, one for each client namespace and endpoint: how many are held ready. See docs/adr/0003.
 */
#include <errno.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

/* A pool is kept where at least this many sockets a second are taken: where connections live long,
 * one idle connection more is not worth what it costs a server that serves one connection at a time. */
#define POOL_RATE_MIN 2.0
/* Share of a second's takes held ready. */
#define POOL_SHARE 0.1
#define POOL_FEW 8
/* Beyond the first few, this share: the agent is back with fresh ones within so much of a second, also when it is busy. */
#define POOL_SHARE_MORE 0.01

void lw_pool_put(struct lw_upstreams *ups, struct upstream *u)
{
	struct lw_pool_put_args args = { .key = u->pool->key,
					 .up = u->cookie,
					 .max = ups->pool_max };
	int r;

	u->pool->connecting--;
	u->state = UPSTREAM_READY;
	u->pool->ready++;
	r = lw_upstream_enter(ups, u);
	if (!r)
		r = lw_kern_call(ups->kern->skel->progs.lw_pool_put, &args, sizeof(args));
	if (r) {
		u->pool->ready--;
		u->state = UPSTREAM_FAILED;
		lw_upstream_close(ups, u);
		return;
	}
	u->since_ns = lw_clock_ns();
	lw_upstream_watch(u);
}

static void fill(struct lw_upstreams *ups, struct pool *p)
{
	unsigned int want = 0;

	if (ups->retired)
		return;
	if (p->rate >= POOL_RATE_MIN) {
		want = (unsigned int)(p->rate * POOL_SHARE) + 1;
		if (want > POOL_FEW)
			want = POOL_FEW + (unsigned int)(p->rate * POOL_SHARE_MORE);
		if (want > ups->pool_max)
			want = ups->pool_max;
	}
	while (p->ready + p->connecting < want) {
		struct upstream *u;

		if (lw_upstream_open(ups, &p->key, p->lane, p->pid, &u))
			return; /* the next tick tries again */
		u->pool = p;
		p->connecting++;
	}
}

void lw_pool_demand(struct lw_upstreams *ups, const struct lw_pool_key *key, uint16_t lane,
		    pid_t pid)
{
	const struct lw_bytes bytes = LW_BYTES_OF(*key);
	static const struct lw_pool empty;
	struct pool *p = lw_bytemap_get(&ups->pools, &bytes, 1);
	int fd = bpf_map__fd(ups->kern->skel->maps.lw_pools);

	if (ups->retired)
		return;
	if (!p) {
		/* full: requests there are punted. There already: an earlier agent's, and what is in it is passed over */
		if (bpf_map_update_elem(fd, key, &empty, BPF_NOEXIST) && errno != EEXIST)
			return;
		p = calloc(1, sizeof(*p));
		if (!p || lw_bytemap_put(&ups->pools, &bytes, 1, p)) {
			(void)bpf_map_delete_elem(fd, key);
			free(p);
			return;
		}
		p->key = *key;
	}
	p->lane = lane;
	p->pid = pid;
	p->taken++;
	/* a burst is seen within the second, not after it */
	if (p->taken > p->rate)
		p->rate = p->taken;
	fill(ups, p);
}

static bool tick(void *value, void *arg)
{
	struct lw_upstreams *ups = arg;
	struct pool *p = value;

	p->rate = p->rate / 2 + p->taken / 2.0;
	p->idle_ticks = p->taken ? 0 : p->idle_ticks + 1;
	p->taken = 0;
	fill(ups, p);
	if (p->idle_ticks < 10 || p->ready || p->connecting)
		return true;
	(void)bpf_map_delete_elem(bpf_map__fd(ups->kern->skel->maps.lw_pools), &p->key);
	free(p);
	return false;
}

void lw_pools_tick(struct lw_upstreams *ups)
{
	lw_bytemap_filter(&ups->pools, tick, ups);
}

static bool free_one(void *value, void *arg)
{
	(void)arg;
	free(value);
	return false;
}

void lw_pools_free(struct lw_upstreams *ups)
{
	lw_bytemap_filter(&ups->pools, free_one, NULL);
	lw_bytemap_clear(&ups->pools);
}
