/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/state_rows.h"

int lw_state_put(struct lw_state *state, enum lw_table_id table, const void *key, const void *value)
{
	int r = lw_image_put(state->image, table, key, value);

	if (r != -E2BIG)
		return r;
	if (!(state->full & (1u << table)))
		lw_state_say(state, LW_FINDING_ERROR,
			     "%s holds %zu rows and is full: some of the state is not in force",
			     lw_tables[table].name, lw_tables[table].max_rows);
	state->full |= 1u << table;
	return 1;
}

/* ---- workloads ---- */

/* Clusters keep pods that are gone for a while, and addresses are used again at once. */
bool lw_state_loses_address(const struct lw_state *state, const struct lw_state_pod *pod, size_t i)
{
	const struct lw_k8s_meta *meta, *other;
	const struct lw_model_link *l;

	if (lw_addr_is_any(&pod->model->ips[i]))
		return true;
	if (!pod->model->contested)
		return false;
	for (l = lw_model_same_address(state->model, pod->object, i); l; l = l->next) {
		int order;

		if (l->pod == pod->model)
			continue;
		if (l->object->kind == LW_K8S_SERVICE)
			return true;
		if (l->pod->ended)
			continue;
		if (l->pod->host_network)
			return true;
		if (pod->model->deleting != l->pod->deleting) {
			if (pod->model->deleting)
				return true;
			continue;
		}
		if (pod->model->ready != l->pod->ready) {
			if (l->pod->ready)
				return true;
			continue;
		}
		meta = &pod->object->meta;
		other = &l->object->meta;
		order = strcmp(other->ns, meta->ns);
		if (order < 0 || (order == 0 && strcmp(other->name, meta->name) < 0))
			return true;
	}
	return false;
}

static void find_addresses(const struct lw_state *state, struct lw_state_workload *workload)
{
	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		size_t nips = pod->model->nips < 64 ? pod->model->nips : 64;

		pod->out = pod->model->host_network;
		pod->lost_ips = 0;
		for (size_t i = 0; i < nips; i++)
			pod->lost_ips |= (uint64_t)lw_state_loses_address(state, pod, i) << i;
	}
}

/* Where a destination at the pod's addresses of the family leads, by a name or (""; number 0) by any port. */
struct dest {
	enum lw_family family;
	const char *name;
	uint32_t group; /* 0: none has been asked for yet */
};

static int put_pod_dest(struct lw_state *state, const struct lw_state_workload *workload,
			const struct lw_state_pod *pod, uint16_t number, bool taken,
			struct dest *dest, struct lw_candidates *candidates)
{
	int r;

	for (size_t i = 0; i < pod->model->nips; i++) {
		if (lw_family_of(&pod->model->ips[i]) != dest->family || lw_state_has_lost(pod, i))
			continue;
		if (dest->group == 0)
			dest->group =
				lw_state_group_id(state, &workload->owner, 'p', workload->group,
						  workload->full_name, dest->family, dest->name, 0);
		if (dest->group == 0)
			return -ENOMEM;
		if (taken)
			continue;
		r = lw_state_put_dest(state, &pod->model->ips[i], number, workload->id, dest->group,
				      0);
		if (r < 0)
			return r;
	}
	return lw_state_offer(state, candidates, pod, dest->family, number);
}

/* Any port. */
static int put_pod_dests(struct lw_state *state, const struct lw_state_workload *workload,
			 enum lw_family family, struct lw_candidates *candidates)
{
	struct dest dest = { .family = family, .name = "" };
	int r = 0;

	for (const struct lw_state_pod *pod = workload->pods; r == 0 && pod; pod = pod->next)
		if (!pod->out)
			r = put_pod_dest(state, workload, pod, 0, false, &dest, candidates);
	if (r < 0 || dest.group == 0)
		return r;
	return lw_state_put_group(state, dest.group, false, candidates);
}

/* Those by the ports that are called the same and numbered differently. */
static int put_port_dests(struct lw_state *state, const struct lw_state_workload *workload,
			  enum lw_family family, const struct lw_state_port *ports, size_t n,
			  struct lw_candidates *candidates)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < n;) {
		struct dest dest = { .family = family, .name = ports[i].name };

		for (; r == 0 && i < n && strcmp(ports[i].name, dest.name) == 0; i++)
			if (!ports[i].pod->out)
				r = put_pod_dest(state, workload, ports[i].pod, ports[i].number,
						 ports[i].taken, &dest, candidates);
		if (r == 0 && dest.group)
			r = lw_state_put_group(state, dest.group, false, candidates);
	}
	return r;
}

void lw_state_pod_name(const struct lw_k8s_meta *meta, char name[LW_NAME_LEN])
{
	size_t ns_len = strlen(meta->ns);

	(void)lw_str_copy(name, LW_NAME_LEN, meta->ns);
	if (ns_len + 1 < LW_NAME_LEN) {
		name[ns_len] = '/';
		(void)lw_str_copy(name + ns_len + 1, LW_NAME_LEN - ns_len - 1, meta->name);
	}
}

/*
 * Of those that are not believed, or of the others. An address without a row is no destination and no endpoint either: a canary
 * pod would pass for a base one.
 */
static int put_pods(struct lw_state *state, const struct lw_state_workload *workload,
		    bool untrusted)
{
	int r;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		const struct lw_k8s_meta *meta = &pod->object->meta;
		struct lw_pod value = {
			.workload = workload->id,
			.lane = lw_state_role(pod) == LW_STATE_BASE ? 0 : pod->lane,
			.flags = lw_state_pod_flags(state, pod),
			/* written by hand, it may have none */
			.uid_hash = (uint32_t)((pod->model->uid ? pod->model->uid :
								  lw_model_text_hash(meta->name)) >>
					       32),
		};

		if (pod->out || (value.flags & LW_POD_UNTRUSTED ? !untrusted : untrusted))
			continue;
		if (value.lane && lw_state_role(pod) == LW_STATE_CANARY &&
		    lw_state_base_is_all(pod))
			value.flags |= LW_POD_BASE;
		lw_state_pod_name(meta, value.name);
		for (size_t i = 0; i < pod->model->nips; i++) {
			struct lw_pod_key key = { .addr = pod->model->ips[i] };

			if (lw_state_has_lost(pod, i))
				continue;
			r = lw_state_put(state, LW_TABLE_PODS, &key, &value);
			if (r < 0)
				return r;
			if (r > 0)
				pod->lost_ips |= 1ull << i;
		}
	}
	return 0;
}

static int put_workload(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_slot_key key = { .id = workload->id };
	struct lw_workload value = { .entry = workload->entry };
	int r;

	(void)lw_str_copy(value.name, sizeof(value.name), workload->full_name);
	value.name_hash = lw_name_hash(value.name);
	r = lw_state_put(state, LW_TABLE_WORKLOADS, &key, &value);
	if (r > 0)
		workload->in_image = false;
	return r < 0 ? r : 0;
}

/* Those rows without which a pod is believed, first: there may not be room for all. */
static int put_untrusted(struct lw_state *state)
{
	int r = 0;

	for (struct lw_state_workload *w = state->workloads; r == 0 && w; w = w->next) {
		if (!w->in_image || !w->owner.changed)
			continue;
		find_addresses(state, w);
		r = put_pods(state, w, true);
	}
	if (r == 0)
		r = lw_state_put_untrusted(state);
	return r ? r : lw_state_put_host_pods(state);
}

static int put_addresses(struct lw_state *state, struct lw_state_workload *workload,
			 struct lw_candidates *candidates)
{
	struct lw_state_port *ports;
	size_t nports;
	int r = put_pods(state, workload, false);

	if (r == 0)
		r = lw_state_find_ports(state, workload, &ports, &nports);
	for (enum lw_family family = LW_V4; r == 0 && family < LW_FAMILIES; family++) {
		r = put_pod_dests(state, workload, family, candidates);
		if (r == 0)
			r = put_port_dests(state, workload, family, ports, nports, candidates);
	}
	return r;
}

/* ---- what is kept of the image before ---- */

static int find_changed(struct lw_state *state)
{
	for (struct lw_state_workload *w = state->workloads; w; w = w->next) {
		w->owner.changed |= w->in_image != w->was_in_image;
		if (w->in_image)
			lw_ids_set(&state->builder->workload_ids, w->id, w);
	}
	return lw_state_mark_services(state);
}

static bool group_has_changed(const struct lw_state_builder *builder, uint32_t group)
{
	return ((const struct lw_state_owner *)lw_ids_of(&builder->group_ids, group))->changed;
}

/* Rules come anew with every build, and with them the entry of every workload. */
static bool keep(enum lw_table_id table, const void *key, const void *value, void *arg)
{
	const struct lw_state_builder *builder = arg;
	const struct lw_state_workload *workload;

	switch (table) {
	case LW_TABLE_DESTS:
		return !group_has_changed(builder, ((const struct lw_dest *)value)->group);
	case LW_TABLE_PODS:
		/* rows of no workload come anew with every build */
		if (!((const struct lw_pod *)value)->workload)
			return false;
		workload =
			lw_ids_of(&builder->workload_ids, ((const struct lw_pod *)value)->workload);
		return !workload->owner.changed;
	case LW_TABLE_GROUPS:
		return !group_has_changed(builder, ((const struct lw_group_key *)key)->group);
	case LW_TABLE_ENDPOINTS:
		return !group_has_changed(builder, ((const struct lw_endpoint_key *)key)->group);
	default:
		return false;
	}
}

static void settle(struct lw_state *state)
{
	for (struct lw_state_workload *w = state->workloads; w; w = w->next) {
		w->was_in_image = w->in_image;
		w->owner.changed = false;
	}
}

int lw_state_emit(struct lw_state *state)
{
	struct lw_candidates candidates = {};
	int r;

	r = find_changed(state);
	if (r == 0)
		r = state->before ?
			    lw_image_copy(state->before, keep, state->builder, &state->image) :
			    lw_image_new(&state->image);
	for (struct lw_state_workload *w = state->workloads; r == 0 && w; w = w->next) {
		if (w->in_image)
			r = put_workload(state, w);
	}
	if (r == 0)
		r = put_untrusted(state);
	for (struct lw_state_workload *w = state->workloads; r == 0 && w; w = w->next) {
		if (w->in_image && w->owner.changed)
			r = put_addresses(state, w, &candidates);
	}
	if (r == 0)
		r = lw_state_put_services(state, &candidates);
	free(candidates.items);
	settle(state);
	return r;
}
