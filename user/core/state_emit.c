/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/str.h"
#include "core/state_internal.h"

/* Of one address family; groups do not mix them. */
enum family { V4, V6, FAMILIES };

/* One endpoint on its way into a group. */
struct candidate {
	uint16_t lane;
	bool far; /* not on this node; sorts after those that are */
	struct lw_endpoint endpoint;
};

struct candidates {
	struct candidate *items;
	size_t n, room;
};

static enum family family_of(const struct lw_addr *addr)
{
	return lw_addr_is_v4(addr) ? V4 : V6;
}

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

static bool is_local(const struct lw_state *state, const struct lw_state_pod *pod)
{
	return state->builder->node_hash && pod->model->node == state->builder->node_hash;
}

static uint16_t flags_of(const struct lw_state *state, const struct lw_state_pod *pod)
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

static bool takes_requests(const struct lw_state_pod *pod)
{
	return lw_state_is_serving(pod) && lw_state_role(pod) != LW_STATE_DRAIN;
}

static bool lost(const struct lw_state_pod *pod, size_t i)
{
	return i >= 64 || (pod->lost_ips >> i & 1);
}

static bool base_is_all(const struct lw_state_pod *pod)
{
	return pod->workload && pod->workload->in_image && pod->workload->decision.base_is_all;
}

/* ---- groups ---- */

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
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

static int add_candidate(struct candidates *candidates, const struct candidate *candidate)
{
	if (candidates->n == candidates->room) {
		size_t room = candidates->room ? candidates->room * 2 : 64;
		struct candidate *items = realloc(candidates->items, room * sizeof(*items));

		if (!items)
			return -ENOMEM;
		candidates->items = items;
		candidates->room = room;
	}
	candidates->items[candidates->n++] = *candidate;
	return 0;
}

/* Puts a pod's addresses of the family among the candidates, if it takes requests. */
static int offer(struct lw_state *state, struct candidates *candidates,
		 const struct lw_state_pod *pod, enum family family, uint16_t port)
{
	struct candidate candidate = {
		.lane = lw_state_role(pod) == LW_STATE_CANARY ? pod->lane : 0,
		.far = !is_local(state, pod),
		.endpoint = { .port = port, .flags = flags_of(state, pod) },
	};
	int r;

	if (!takes_requests(pod))
		return 0;
	for (size_t i = 0; i < pod->model->nips; i++) {
		if (family_of(&pod->model->ips[i]) != family || lost(pod, i))
			continue;
		candidate.endpoint.addr = pod->model->ips[i];
		r = add_candidate(candidates, &candidate);
		if (r == 0 && candidate.lane != 0 && base_is_all(pod)) {
			struct candidate too = candidate;

			too.lane = 0;
			r = add_candidate(candidates, &too);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

/* Writes the group's rows, and empties candidates. */
static int put_group(struct lw_state *state, uint32_t group, bool sticky, struct candidates *candidates)
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
			r = lw_state_put(state, LW_TABLE_ENDPOINTS, &key, &candidates->items[i].endpoint);
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

static int put_dest(struct lw_state *state, const struct lw_addr *addr, uint16_t port,
		    uint32_t workload, uint32_t group, uint32_t flags)
{
	struct lw_dest_key key = { .addr = *addr, .port = port };
	struct lw_dest value = { .workload = workload, .group = group, .flags = flags };
	int r = lw_state_put(state, LW_TABLE_DESTS, &key, &value);

	return r < 0 ? r : 0;
}

/* Makes array[id] writable. 0 or -ENOMEM. */
static int make_room(const void ***array, size_t *room, uint32_t id)
{
	size_t want = *room ? *room : 1024;
	const void **items;

	if (id < *room)
		return 0;
	while (want <= id)
		want *= 2;
	items = reallocarray(*array, want, sizeof(*items));
	if (!items)
		return -ENOMEM;
	*array = items;
	*room = want;
	return 0;
}

/* Distinct for every family, workload or Service, and port. 0: out of memory. */
static uint32_t group_id(struct lw_state *state, const struct lw_state_owner *owner, char type, const char *ns,
			 const char *name, enum family family, const char *port_name, uint16_t port)
{
	struct lw_state_builder *builder = state->builder;
	const struct lw_bytes key[] = {
		LW_BYTES_OF(type),   LW_BYTES_STR(ns),	      LW_BYTES_STR(name),
		LW_BYTES_OF(family), LW_BYTES_STR(port_name), LW_BYTES_OF(port),
	};
	uint32_t id = lw_state_id(state, &builder->last_group, key, 6);

	if (id == 0 || make_room((const void ***)&builder->groups, &builder->groups_room, id) < 0)
		return 0;
	builder->groups[id] = owner;
	return id;
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

/* Which port names stand for different numbers. */
static int find_ports(struct lw_state *state, struct lw_state_workload *workload)
{
	size_t room = 0;

	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next)
		room += pod->object->pod.nports;
	workload->nports = 0;
	workload->ports = lw_arena_new_array(state->scratch, struct lw_state_port, room);
	if (!workload->ports)
		return -ENOMEM;
	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		for (size_t i = 0; i < pod->object->pod.nports; i++) {
			const struct lw_k8s_container_port *port = &pod->object->pod.ports[i];
			size_t at = 0;

			if (!port->name[0])
				continue;
			while (at < workload->nports &&
			       strcmp(workload->ports[at].name, port->name) != 0)
				at++;
			if (at == workload->nports)
				workload->ports[workload->nports++] =
					(struct lw_state_port){ .name = port->name,
								.number = port->number };
			else if (workload->ports[at].number != port->number)
				workload->ports[at].differs = true;
		}
	}
	return 0;
}

/* Number of the first TCP port the pod calls so; 0: none. */
static uint16_t port_called(const struct lw_state_pod *pod, const char *name)
{
	for (size_t i = 0; i < pod->object->pod.nports; i++) {
		if (strcmp(pod->object->pod.ports[i].name, name) == 0)
			return pod->object->pod.ports[i].number;
	}
	return 0;
}

/* Has the pod this number already as a destination, under a port of the workload before this one?
 */
static bool is_taken(const struct lw_state_workload *workload, const struct lw_state_pod *pod,
		     size_t before, uint16_t number)
{
	for (size_t i = 0; i < before; i++) {
		if (workload->ports[i].differs &&
		    port_called(pod, workload->ports[i].name) == number)
			return true;
	}
	return false;
}

/* The destinations of one address family and port (NULL: any) at pod addresses, and their group. */
static int put_pod_dests(struct lw_state *state, struct lw_state_workload *workload,
			 enum family family, size_t port_index, struct candidates *candidates)
{
	const struct lw_state_port *port =
		port_index < workload->nports ? &workload->ports[port_index] : NULL;
	uint32_t group = 0;
	int r;

	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		uint16_t number = port ? port_called(pod, port->name) : 0;

		if (pod->out || (port && number == 0))
			continue;
		for (size_t i = 0; i < pod->model->nips; i++) {
			if (family_of(&pod->model->ips[i]) != family || lost(pod, i))
				continue;
			if (group == 0)
				group = group_id(state, &workload->owner, 'p', workload->group,
						 workload->full_name, family, port ? port->name : "", 0);
			if (group == 0)
				return -ENOMEM;
			if (port && is_taken(workload, pod, port_index, number))
				continue;
			r = put_dest(state, &pod->model->ips[i], number, workload->id, group, 0);
			if (r < 0)
				return r;
		}
		r = offer(state, candidates, pod, family, number);
		if (r < 0)
			return r;
	}
	return group ? put_group(state, group, false, candidates) : 0;
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
static int put_pods(struct lw_state *state, const struct lw_state_workload *workload, bool untrusted)
{
	int r;

	for (struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		const struct lw_k8s_meta *meta = &pod->object->meta;
		struct lw_pod value = {
			.workload = workload->id,
			.lane = lw_state_role(pod) == LW_STATE_BASE ? 0 : pod->lane,
			.flags = flags_of(state, pod),
			/* written by hand, it may have none */
			.uid_hash = (uint32_t)((pod->model->uid ? pod->model->uid : lw_model_text_hash(meta->name)) >> 32),
		};

		if (pod->out || (value.flags & LW_POD_UNTRUSTED ? !untrusted : untrusted))
			continue;
		lw_state_pod_name(meta, value.name);
		for (size_t i = 0; i < pod->model->nips; i++) {
			struct lw_pod_key key = { .addr = pod->model->ips[i] };

			if (lost(pod, i))
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

/* The lanes in which pods of the workload take requests. */
static uint32_t find_served(const struct lw_state_workload *workload)
{
	uint32_t lanes = 0;

	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		if (!takes_requests(pod))
			continue;
		lanes |= 1u << (lw_state_role(pod) == LW_STATE_CANARY ? pod->lane : 0);
		lanes |= base_is_all(pod);
	}
	return lanes;
}

static int put_workload(struct lw_state *state, struct lw_state_workload *workload)
{
	struct lw_slot_key key = { .id = workload->id };
	struct lw_workload value = { .entry = workload->entry };
	int r;

	if (workload->owner.changed)
		workload->served = find_served(workload);
	value.lanes = workload->served;
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

static int put_addresses(struct lw_state *state, struct lw_state_workload *workload, struct candidates *candidates)
{
	int r = put_pods(state, workload, false);

	if (r < 0)
		return r;
	r = find_ports(state, workload);
	for (enum family family = V4; r == 0 && family < FAMILIES; family++) {
		r = put_pod_dests(state, workload, family, SIZE_MAX, candidates);
		for (size_t i = 0; r == 0 && i < workload->nports; i++) {
			if (workload->ports[i].differs)
				r = put_pod_dests(state, workload, family, i, candidates);
		}
	}
	return r;
}

/* ---- Services ---- */

struct selection {
	const struct lw_k8s_service *service;
	struct lw_state_pod **pods;
	size_t n, room;
	const struct lw_state_workload *workload;
};

static int select_pod(struct lw_state *state, struct lw_state_pod *pod, void *arg)
{
	const struct lw_state_workload *workload = pod->workload, *best;
	struct selection *selection = arg;

	(void)state;
	/* Which pods of a workload in release are stable, the release tells; of all others, what the Service itself says. */
	if (!(workload && workload->in_image && !workload->is_entry) &&
	    !lw_state_names_revision(selection->service, pod->model))
		return 0;
	if (selection->n == selection->room) {
		size_t room = selection->room ? selection->room * 2 : 64;
		struct lw_state_pod **pods =
			realloc(selection->pods, room * sizeof(struct lw_state_pod *));

		if (!pods)
			return -ENOMEM;
		selection->pods = pods;
		selection->room = room;
	}
	selection->pods[selection->n++] = pod;

	best = selection->workload;
	if (!workload || !workload->in_image || workload == best)
		return 0;
	if (!best || best->is_entry > workload->is_entry ||
	    (best->is_entry == workload->is_entry &&
	     strcmp(workload->full_name, best->full_name) < 0))
		selection->workload = workload;
	return 0;
}

/* As Rollouts does it for the time of a release: its selector names the revision. */
static bool is_pinned(const struct lw_k8s_service *spec)
{
	for (size_t i = 0; i < spec->selector.n; i++)
		if (lw_state_is_hash_key(spec->selector.items[i].key))
			return true;
	return false;
}

static int put_service_port(struct lw_state *state, const struct lw_k8s_object *service,
			    const struct lw_state_owner *owner, enum family family, const struct lw_k8s_service_port *port,
			    const struct selection *selection, struct candidates *candidates)
{
	const struct lw_k8s_service *spec = &service->service;
	uint32_t group = 0;
	int r;

	for (size_t i = 0; i < spec->nips; i++) {
		const struct lw_model_link *l = lw_model_same_address(state->model, service, i);
		bool mine = family_of(&spec->ips[i]) == family;

		/* Two Services with one address: the first by name. */
		for (; mine && l; l = l->next) {
			const struct lw_k8s_meta *other = &l->object->meta;
			int order = strcmp(other->ns, service->meta.ns);

			if (l->object->kind == LW_K8S_SERVICE &&
			    (order < 0 ||
			     (order == 0 && strcmp(other->name, service->meta.name) < 0)))
				mine = false;
		}
		if (!mine)
			continue;
		if (group == 0)
			group = group_id(state, owner, 's', service->meta.ns, service->meta.name, family,
					 "", port->port);
		if (group == 0)
			return -ENOMEM;
		r = put_dest(state, &spec->ips[i], port->port, selection->workload->id, group,
			     LW_DEST_SERVICE | (is_pinned(spec) ? 0 : LW_DEST_UNPINNED) |
				     (spec->sticky ? LW_DEST_STICKY : 0));
		if (r < 0)
			return r;
	}
	if (group == 0)
		return 0;
	for (size_t i = 0; i < selection->n; i++) {
		const struct lw_state_pod *pod = selection->pods[i];
		uint16_t number = port->target ? port->target : port_called(pod, port->target_name);

		if (number == 0)
			continue;
		r = offer(state, candidates, pod, family, number);
		if (r < 0)
			return r;
	}
	return put_group(state, group, spec->sticky, candidates);
}

static bool port_is_again(const struct lw_k8s_service *service, size_t i)
{
	for (size_t before = 0; before < i; before++) {
		if (service->ports[before].port == service->ports[i].port)
			return true;
	}
	return false;
}

static int put_service(struct lw_state *state, const struct lw_k8s_object *service,
		       struct selection *selection, struct candidates *candidates)
{
	struct lw_state_service *known = &state->services[lw_model_index_of(state->model, service)];
	int r;

	selection->service = &service->service;
	selection->n = 0;
	selection->workload = NULL;
	r = lw_state_each_selected(state, service, select_pod, selection);
	known->workload = selection->workload;
	if (r < 0 || !selection->workload)
		return r;
	for (size_t i = 0; i < service->service.nports; i++) {
		if (port_is_again(&service->service, i))
			continue;
		for (enum family family = V4; family < FAMILIES; family++) {
			r = put_service_port(state, service, &known->owner, family, &service->service.ports[i],
					     selection, candidates);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int put_services(struct lw_state *state, struct candidates *candidates)
{
	struct selection selection = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i < lw_model_count(state->model, LW_K8S_SERVICE); i++) {
		if (state->services[i].owner.changed)
			r = put_service(state, lw_model_at(state->model, LW_K8S_SERVICE, i), &selection, candidates);
	}
	free(selection.pods);
	return r;
}

/* ---- what is kept of the image before ---- */

static int find_changed(struct lw_state *state)
{
	struct lw_state_builder *builder = state->builder;
	int r;

	for (struct lw_state_workload *w = state->workloads; w; w = w->next) {
		w->owner.changed |= w->in_image != w->was_in_image;
		if (!w->in_image)
			continue;
		r = make_room((const void ***)&builder->workloads, &builder->workloads_room, w->id);
		if (r < 0)
			return r;
		builder->workloads[w->id] = w;
	}
	return lw_state_mark_services(state);
}

/* Rules come anew with every build, and with them the entry of every workload. */
static bool keep(enum lw_table_id table, const void *key, const void *value, void *arg)
{
	const struct lw_state_builder *builder = arg;

	switch (table) {
	case LW_TABLE_DESTS:
		return !builder->groups[((const struct lw_dest *)value)->group]->changed;
	case LW_TABLE_PODS:
		/* rows of no workload come anew with every build */
		return ((const struct lw_pod *)value)->workload &&
		       !builder->workloads[((const struct lw_pod *)value)->workload]->owner.changed;
	case LW_TABLE_GROUPS:
		return !builder->groups[((const struct lw_group_key *)key)->group]->changed;
	case LW_TABLE_ENDPOINTS:
		return !builder->groups[((const struct lw_endpoint_key *)key)->group]->changed;
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
	struct candidates candidates = {};
	int r;

	r = find_changed(state);
	if (r == 0)
		r = state->before ? lw_image_copy(state->before, keep, state->builder, &state->image) :
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
		r = put_services(state, &candidates);
	free(candidates.items);
	settle(state);
	return r;
}
