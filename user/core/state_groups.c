/* SPDX-License-Identifier: Apache-2.0 */
/* Pods as endpoints, and groups of them: what the destinations of workloads and of Services share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/state_rows.h"

struct lw_candidate {
	uint16_t lane;
	bool far; /* not on this node; sorts after those that are */
	struct lw_endpoint endpoint;
};

static bool is_local(const struct lw_state *state, const struct lw_state_pod *pod)
{
	return state->builder->node_hash && pod->model->node == state->builder->node_hash;
}

uint16_t lw_state_pod_flags(const struct lw_state *state, const struct lw_state_pod *pod)
{
	uint16_t flags = 0;

	if (pod->model->ready)
		flags |= LW_POD_READY;
	if (pod->model->deleting || lw_state_role(pod) == LW_STATE_DRAIN)
		flags |= LW_POD_TERMINATING;
	if (is_local(state, pod))
		flags |= LW_POD_LOCAL;
	if (lw_state_is_untrusted(state->builder, pod->object))
		flags |= LW_POD_UNTRUSTED;
	if (lw_state_role(pod) == LW_STATE_DRAIN && pod->workload->decision.route == LW_LISTING_NEW)
		flags |= LW_POD_OLD;
	return flags;
}

bool lw_state_takes_requests(const struct lw_state_pod *pod)
{
	return lw_state_is_serving(pod) && lw_state_role(pod) != LW_STATE_DRAIN;
}

bool lw_state_has_lost(const struct lw_state_pod *pod, size_t i)
{
	return i >= 64 || (pod->lost_ips >> i & 1);
}

bool lw_state_base_is_all(const struct lw_state_pod *pod)
{
	return pod->workload && pod->workload->in_image && pod->workload->decision.base_is_all;
}

static int compare_candidates(const void *a, const void *b)
{
	const struct lw_candidate *x = a, *y = b;
	int order;

	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	if (x->far != y->far)
		return x->far ? 1 : -1;
	order = memcmp(&x->endpoint.addr, &y->endpoint.addr, sizeof(x->endpoint.addr));
	if (order != 0)
		return order;
	return (int)x->endpoint.port - (int)y->endpoint.port;
}

static int add_candidate(struct lw_candidates *candidates, const struct lw_candidate *candidate)
{
	if (candidates->n == candidates->room) {
		size_t room = candidates->room ? candidates->room * 2 : 64;
		struct lw_candidate *items = realloc(candidates->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		candidates->items = items;
		candidates->room = room;
	}
	candidates->items[candidates->n++] = *candidate;
	return 0;
}

int lw_state_offer(struct lw_state *state, struct lw_candidates *candidates,
		   const struct lw_state_pod *pod, enum lw_family family, uint16_t port)
{
	struct lw_candidate candidate = {
		.lane = lw_state_role(pod) == LW_STATE_CANARY ? pod->lane : 0,
		.far = !is_local(state, pod),
		.endpoint.port = port,
	};
	int r;

	if (!lw_state_takes_requests(pod))
		return 0;
	for (size_t i = 0; i < pod->model->nips; i++) {
		if (lw_family_of(&pod->model->ips[i]) != family || lw_state_has_lost(pod, i))
			continue;
		candidate.endpoint.addr = pod->model->ips[i];
		r = add_candidate(candidates, &candidate);
		if (r == 0 && candidate.lane != 0 && lw_state_base_is_all(pod)) {
			struct lw_candidate too = candidate;

			too.lane = 0;
			r = add_candidate(candidates, &too);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int lw_state_put_group(struct lw_state *state, uint32_t group, bool sticky,
		       struct lw_candidates *candidates)
{
	struct lw_endpoint_key key = { .group = group };
	struct lw_group_key group_key = { .group = group };
	size_t i = 0;
	int r;

	if (candidates->n > 1)
		qsort(candidates->items, candidates->n, sizeof(candidates->items[0]),
		      compare_candidates);
	while (i < candidates->n) {
		struct lw_group value = { .flags = sticky ? LW_GROUP_STICKY : 0 };

		key.lane = group_key.lane = candidates->items[i].lane;
		for (key.idx = 0; i < candidates->n && candidates->items[i].lane == key.lane; i++) {
			r = lw_state_put(state, LW_TABLE_ENDPOINTS, &key,
					 &candidates->items[i].endpoint);
			if (r < 0)
				return r;
			if (r > 0)
				continue;
			key.idx++;
			value.count++;
			value.local += !candidates->items[i].far;
		}
		if (value.count == 0)
			continue;
		r = lw_state_put(state, LW_TABLE_GROUPS, &group_key, &value);
		if (r < 0)
			return r;
	}
	candidates->n = 0;
	return 0;
}

int lw_state_put_dest(struct lw_state *state, const struct lw_addr *addr, uint16_t port,
		      uint32_t workload, uint32_t group, uint32_t flags)
{
	struct lw_dest_key key = { .addr = *addr, .port = port };
	struct lw_dest value = { .workload = workload, .group = group, .flags = flags };
	int r = lw_state_put(state, LW_TABLE_DESTS, &key, &value);

	return r < 0 ? r : 0;
}

uint32_t lw_state_group_id(struct lw_state *state, const struct lw_state_owner *owner, char type,
			   const char *ns, const char *name, enum lw_family family,
			   const char *port_name, uint16_t port)
{
	struct lw_state_builder *builder = state->builder;
	const struct lw_bytes key[] = {
		LW_BYTES_OF(type),   LW_BYTES_STR(ns),	      LW_BYTES_STR(name),
		LW_BYTES_OF(family), LW_BYTES_STR(port_name), LW_BYTES_OF(port),
	};
	uint32_t id = lw_ids_get(&builder->group_ids, key, 6);

	if (id)
		lw_ids_set(&builder->group_ids, id, owner);
	return id;
}
