/* SPDX-License-Identifier: Apache-2.0 */
/* Destinations at the addresses of Services, and their groups. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/state_rows.h"

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
			    const struct lw_state_owner *owner, enum lw_family family,
			    const struct lw_k8s_service_port *port,
			    const struct selection *selection, struct lw_candidates *candidates)
{
	const struct lw_k8s_service *spec = &service->service;
	uint32_t group = 0;
	int r;

	for (size_t i = 0; i < spec->nips; i++) {
		const struct lw_model_link *l = lw_model_same_address(state->model, service, i);
		bool mine = lw_family_of(&spec->ips[i]) == family;

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
			group = lw_state_group_id(state, owner, 's', service->meta.ns,
						  service->meta.name, family, "", port->port);
		if (group == 0)
			return -ENOMEM;
		r = lw_state_put_dest(state, &spec->ips[i], port->port, selection->workload->id,
				      group,
				      LW_DEST_SERVICE | (is_pinned(spec) ? 0 : LW_DEST_UNPINNED) |
					      (spec->sticky ? LW_DEST_STICKY : 0));
		if (r < 0)
			return r;
	}
	if (group == 0)
		return 0;
	for (size_t i = 0; i < selection->n; i++) {
		const struct lw_state_pod *pod = selection->pods[i];
		uint16_t number = port->target ?
					  port->target :
					  lw_k8s_port_called(&pod->object->pod, port->target_name);

		if (number == 0)
			continue;
		r = lw_state_offer(state, candidates, pod, family, number);
		if (r < 0)
			return r;
	}
	return lw_state_put_group(state, group, spec->sticky, candidates);
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
		       struct selection *selection, struct lw_candidates *candidates)
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
		for (enum lw_family family = LW_V4; family < LW_FAMILIES; family++) {
			r = put_service_port(state, service, &known->owner, family,
					     &service->service.ports[i], selection, candidates);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int lw_state_put_services(struct lw_state *state, struct lw_candidates *candidates)
{
	struct selection selection = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i < lw_model_count(state->model, LW_K8S_SERVICE); i++) {
		if (state->services[i].owner.changed)
			r = put_service(state, lw_model_at(state->model, LW_K8S_SERVICE, i),
					&selection, candidates);
	}
	free(selection.pods);
	return r;
}
