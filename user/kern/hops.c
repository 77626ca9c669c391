/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/hops.h"

#include <errno.h>

#include "base/cleanup.h"
#include "kern/internal.h"

struct lw_hops {
	struct lw_kern *kern;
	struct ring_buffer *ring;
	/* of the read under way */
	void (*cb)(const struct lw_hop *hop, void *arg);
	void *arg;
	unsigned int left, taken;
};

/* libbpf stops at a negative number, and has taken this one out then. */
#define ENOUGH (-ECANCELED)

static int on_record(void *arg, void *data, size_t size)
{
	struct lw_hops *hops = arg;

	if (size >= sizeof(struct lw_hop))
		hops->cb(data, hops->arg);
	hops->taken++;
	return --hops->left ? 0 : ENOUGH;
}

int lw_hops_new(struct lw_kern *kern, struct lw_hops **ret)
{
	_cleanup_(lw_hops_free) struct lw_hops *hops = calloc(1, sizeof(*hops));

	if (!hops)
		return -ENOMEM;
	if (!kern->skel)
		return -EOPNOTSUPP;
	hops->kern = kern;
	hops->ring = ring_buffer__new(bpf_map__fd(kern->skel->maps.lw_hops), on_record, hops, NULL);
	if (!hops->ring)
		return -errno;
	*ret = TAKE_PTR(hops);
	return 0;
}

void lw_hops_free(struct lw_hops **hops)
{
	struct lw_hops *h = TAKE_PTR(*hops);

	if (!h)
		return;
	if (h->kern)
		lw_hops_set(h, &(struct lw_hops_filter){});
	ring_buffer__free(h->ring);
	free(h);
}

void lw_hops_set(struct lw_hops *hops, const struct lw_hops_filter *filter)
{
	struct lw_config *config = hops->kern->config;

	__atomic_store_n(&config->hop_workload, filter->workload, __ATOMIC_RELAXED);
	__atomic_store_n(&config->hop_sample, filter->sample, __ATOMIC_RELAXED);
	__atomic_store_n(&config->hop_lanes, filter->lanes, __ATOMIC_RELEASE);
}

int lw_hops_read(struct lw_hops *hops, unsigned int max,
		 void (*cb)(const struct lw_hop *hop, void *arg), void *arg)
{
	int r;

	if (!max)
		return 0;
	hops->cb = cb;
	hops->arg = arg;
	hops->left = max;
	hops->taken = 0;
	r = ring_buffer__consume(hops->ring);
	return r < 0 && r != ENOUGH ? r : (int)hops->taken;
}

uint64_t lw_hops_lost(const struct lw_hops *hops)
{
	_cleanup_free_ uint64_t *values = NULL;
	int cpus = libbpf_num_possible_cpus();
	const uint32_t zero = 0;
	uint64_t sum = 0;

	values = cpus > 0 ? calloc((size_t)cpus, sizeof(*values)) : NULL;
	if (!values ||
	    bpf_map_lookup_elem(bpf_map__fd(hops->kern->skel->maps.lw_hops_lost), &zero, values))
		return 0;
	for (int i = 0; i < cpus; i++)
		sum += values[i];
	return sum;
}
