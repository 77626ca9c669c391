/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods whose requests' tags are not believed. Those of workloads in the image have a row there already, with the flag in it;
 * the others, such as a gateway's, get one for the flag alone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "core/state_internal.h"

struct row {
	struct lw_addr addr;
	const struct lw_k8s_object *pod;
};

struct rows {
	struct row *items;
	size_t n, room;
};

bool lw_state_is_untrusted(const struct lw_state_builder *builder, const struct lw_k8s_object *pod)
{
	for (size_t i = 0; i < builder->nuntrusted; i++)
		if (lw_pod_label_names(&builder->untrusted[i], pod))
			return true;
	return false;
}

static int add(struct rows *rows, const struct lw_addr *addr, const struct lw_k8s_object *pod)
{
	if (rows->n == rows->room) {
		size_t room = rows->room ? rows->room * 2 : 16;
		struct row *items = reallocarray(rows->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		rows->items = items;
		rows->room = room;
	}
	rows->items[rows->n++] = (struct row){ *addr, pod };
	return 0;
}

/* A pod on the host network makes its node's address one that is not believed: better that than the other way round. */
static int add_pod(struct lw_state *state, const struct lw_model_link *l, struct rows *rows)
{
	struct lw_state_pod *pod = lw_state_pod_of(state, l);
	int r = 0;

	if (l->pod->ended || (pod->workload && pod->workload->in_image))
		return 0;
	for (size_t i = 0; r == 0 && i < l->pod->nips; i++) {
		bool lost = l->pod->host_network ? lw_addr_is_any(&l->pod->ips[i]) :
						   lw_state_loses_address(state, pod, i);

		if (!lost)
			r = add(rows, &l->pod->ips[i], l->object);
	}
	return r;
}

static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	int order = memcmp(&x->addr, &y->addr, sizeof(x->addr));

	return order ? order : strcmp(x->pod->meta.name, y->pod->meta.name);
}

int lw_state_put_untrusted(struct lw_state *state)
{
	const struct lw_state_builder *builder = state->builder;
	struct rows rows = {};
	int r = 0;

	for (size_t i = 0; i < builder->nuntrusted; i++) {
		const struct lw_model_link *l =
			lw_pod_label_pods(&builder->untrusted[i], state->model);

		for (; r == 0 && l; l = l->next)
			r = add_pod(state, l, &rows);
	}
	/* by several of the list, or of one node's address */
	if (rows.n > 1)
		qsort(rows.items, rows.n, sizeof(rows.items[0]), compare);
	for (size_t i = 0; r >= 0 && i < rows.n; i++) {
		struct lw_pod_key key = { .addr = rows.items[i].addr };
		struct lw_pod value = { .flags = LW_POD_UNTRUSTED };

		if (i > 0 && memcmp(&key.addr, &rows.items[i - 1].addr, sizeof(key.addr)) == 0)
			continue;
		lw_state_pod_name(&rows.items[i].pod->meta, value.name);
		r = lw_state_put(state, LW_TABLE_PODS, &key, &value);
	}
	free(rows.items);
	return r < 0 ? r : 0;
}
