/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods of this node's host network, as clients: they share an address, and are told by their cgroups (kern/host_pods.h). Each has a row
 * of its own, which says in what lane it is and whether it is believed, whatever the row of the node's address says.
 */
#include <errno.h>
#include <string.h>

#include "core/state_internal.h"

/* Its workload is left alone, as what requests are sent to. What its canary pods send is in their lane all the same, while that is open. */
static uint16_t lane_of(const struct lw_state *state, const struct lw_state_pod *pod)
{
	/* without a release nobody may have asked which of its pods are canary */
	if (!pod->workload || !pod->workload->host_release || pod->role != LW_STATE_CANARY ||
	    !pod->lane_name)
		return 0;
	for (uint16_t id = 1; id < LW_MAX_LANES; id++) {
		const char *name = state->builder->lanes[id];

		if (name && strcmp(name, pod->lane_name) == 0)
			return state->lanes[id].open ? id : 0;
	}
	return 0;
}

int lw_state_put_host_pods(struct lw_state *state)
{
	const struct lw_state_builder *builder = state->builder;

	for (const struct lw_model_link *l = lw_model_host_network(state->model); l; l = l->next) {
		struct lw_pod value = { .flags = LW_POD_LOCAL };
		struct lw_pod_key key = {};
		int r;

		if (l->pod->ended || !l->pod->uid || !builder->node_hash ||
		    l->pod->node != builder->node_hash)
			continue;
		if (lw_state_is_untrusted(builder, l->object))
			value.flags |= LW_POD_UNTRUSTED;
		value.lane = lane_of(state, lw_state_pod_of(state, l));
		lw_host_pod_addr(&key.addr, l->pod->uid);
		lw_state_pod_name(&l->object->meta, value.name);
		r = lw_state_put(state, LW_TABLE_PODS, &key, &value);
		if (r < 0)
			return r;
	}
	return 0;
}
