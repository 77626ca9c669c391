/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent reads of the kernel side's tables: flows, upstream sockets, counters, processes that are kept out.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "kern/internal.h"

/* Rows read at once. */
#define ROWS 512

/*
 * By whole buckets: going from key to key begins anew where a key has gone in between, and among connections that come and
 * go by the thousand that has no end. And there are tens of thousands: the agent is alive meanwhile.
 */
int lw_rows_each(struct lw_kern *kern, int fd, size_t key_size, size_t size, lw_row_cb cb,
		 void *arg)
{
	_cleanup_free_ char *keys = calloc(ROWS, key_size);
	_cleanup_free_ char *values = calloc(ROWS, size);
	uint32_t at, *from = NULL;
	bool more = true;
	int r = 0;

	if (!keys || !values)
		return -ENOMEM;
	while (!r && more) {
		uint32_t n = ROWS;

		if (bpf_map_lookup_batch(fd, from, &at, keys, values, &n, NULL)) {
			if (errno != ENOENT) /* the last ones */
				return -errno;
			more = false;
		}
		from = &at;
		if (kern)
			lw_kern_heartbeat(kern);
		for (uint32_t i = 0; !r && i < n; i++)
			r = cb(keys + i * key_size, values + i * size, arg);
	}
	return r;
}

struct each_flow {
	int (*cb)(uint64_t cookie, const struct lw_flow *flow, void *arg);
	void *arg;
};

static int on_flow_row(const void *key, const void *value, void *arg)
{
	const struct each_flow *each = arg;

	return each->cb(*(const uint64_t *)key, value, each->arg);
}

int lw_kern_each_flow(struct lw_kern *kern,
		      int (*cb)(uint64_t cookie, const struct lw_flow *flow, void *arg), void *arg)
{
	struct each_flow each = { cb, arg };

	if (!kern->skel)
		return 0;
	return lw_rows_each(kern, bpf_map__fd(kern->skel->maps.lw_flows), sizeof(uint64_t),
			    sizeof(struct lw_flow), on_flow_row, &each);
}

struct each_up {
	int (*cb)(uint64_t cookie, const struct lw_up *up, void *arg);
	void *arg;
};

static int on_up_row(const void *key, const void *value, void *arg)
{
	const struct each_up *each = arg;
	const struct lw_up *up = value;

	return up->flags & LW_UP_GONE ? 0 : each->cb(*(const uint64_t *)key, value, each->arg);
}

int lw_kern_each_up(struct lw_kern *kern,
		    int (*cb)(uint64_t cookie, const struct lw_up *up, void *arg), void *arg)
{
	struct each_up each = { cb, arg };

	if (!kern->skel)
		return 0;
	return lw_rows_each(kern, bpf_map__fd(kern->skel->maps.lw_ups), sizeof(uint64_t),
			    sizeof(struct lw_up), on_up_row, &each);
}

struct each_kept {
	void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept, void *arg);
	void *arg;
};

static int on_kept_row(const void *key, const void *value, void *arg)
{
	const struct each_kept *each = arg;

	each->cb(key, value, each->arg);
	return 0;
}

int lw_kern_each_kept(struct lw_kern *kern,
		      void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept,
				 void *arg),
		      void *arg)
{
	struct each_kept each = { cb, arg };

	if (!kern->skel)
		return 0;
	return lw_rows_each(kern, bpf_map__fd(kern->skel->maps.lw_kept), sizeof(struct lw_kept_key),
			    sizeof(struct lw_kept), on_kept_row, &each);
}

/*
 * Base requests by workload: they are counted in flows, and move to lw_stats from there. What moves while both are read must not be counted
 * twice, so lw_stats is read first; then it may be missed, and as a counter never falls, what was told before is told again.
 */
struct lw_base_counts {
	struct {
		uint32_t hash;
		uint64_t now, told;
	} at[LW_MAX_WORKLOADS];
	size_t n;
};

/* NULL: there is no room. */
static uint64_t *base_of(struct lw_base_counts *b, uint32_t hash)
{
	size_t i = 0;

	while (i < b->n && b->at[i].hash != hash)
		i++;
	if (i == LW_MAX_WORKLOADS)
		return NULL;
	if (i == b->n) {
		b->at[i].hash = hash;
		b->n++;
	}
	return &b->at[i].now;
}

static int add_waiting(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	uint64_t *now = flow->base_ok ? base_of(arg, flow->workload_hash) : NULL;

	(void)cookie;
	if (now)
		*now += flow->base_ok;
	return 0;
}

int lw_kern_each_stat(struct lw_kern *kern,
		      int (*cb)(const struct lw_stat_key *key, uint64_t count, void *arg),
		      void *arg)
{
	_cleanup_free_ struct lw_stat *values = NULL;
	struct lw_stat_key key, *at = NULL;
	struct lw_base_counts *b;
	int fd, r = 0, cpus = libbpf_num_possible_cpus();

	if (!kern->skel)
		return 0;
	if (cpus < 0)
		return cpus;
	values = calloc((size_t)cpus, sizeof(*values));
	if (!kern->base)
		kern->base = calloc(1, sizeof(*kern->base));
	b = kern->base;
	if (!values || !b)
		return -ENOMEM;
	for (size_t i = 0; i < b->n; i++)
		b->at[i].now = 0;
	fd = bpf_map__fd(kern->skel->maps.lw_stats);
	while (!r && !bpf_map_get_next_key(fd, at, &key)) {
		uint64_t sum = 0, *now = NULL;

		at = &key;
		if (bpf_map_lookup_elem(fd, &key, values))
			continue;
		for (int i = 0; i < cpus; i++)
			sum += values[i].count;
		if (!sum)
			continue; /* it was made to be there */
		if (!key.lane && !key.evidence && !key.reason)
			now = base_of(b, key.workload_hash);
		if (now)
			*now += sum;
		else
			r = cb(&key, sum, arg);
	}
	(void)lw_kern_each_flow(kern, add_waiting, b);
	for (size_t i = 0; !r && i < b->n; i++) {
		struct lw_stat_key only = { .workload_hash = b->at[i].hash };

		if (b->at[i].told < b->at[i].now)
			b->at[i].told = b->at[i].now;
		r = cb(&only, b->at[i].told, arg);
	}
	return r;
}
