/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/str.h"
#include "core/state_internal.h"

struct owned_listing {
	struct lw_listing listing; /* first: what callers hold */
	struct lw_arena *arena;
};

/* Copies made for one listing; failed is looked at once, at the end. */
struct list {
	struct lw_state *state;
	struct owned_listing *out;
	struct lw_arena *arena;
	bool failed;
	struct lw_listing_workload *workloads;
	const struct lw_state_workload **sources; /* of workloads[], in the same order */
	size_t nworkloads;
	struct lw_listing_rule *rules;
	size_t nrules;
};

const char *lw_listing_route_name(enum lw_listing_route route)
{
	static const char *const names[] = {
		[LW_LISTING_PLAIN] = "plain", [LW_LISTING_STABLE] = "stable",
		[LW_LISTING_LANE] = "lane",   [LW_LISTING_NEW] = "new",
		[LW_LISTING_ENTRY] = "entry",
	};

	return names[route];
}

void lw_listing_free(struct lw_listing **listing)
{
	struct owned_listing *owned = (struct owned_listing *)*listing;

	if (!owned)
		return;
	lw_arena_free(&owned->arena);
	free(owned);
	*listing = NULL;
}

static const char *dup(struct list *list, const char *s)
{
	const char *copy = lw_arena_strdup(list->arena, s);

	if (!copy)
		list->failed = true;
	return copy ? copy : "";
}

static const char *dup_name(struct list *list, const struct lw_k8s_meta *meta)
{
	const char *copy = lw_arena_printf(list->arena, "%s/%s", meta->ns, meta->name);

	if (!copy)
		list->failed = true;
	return copy ? copy : "";
}

/* NULL, and failed set, when out of memory. */
static void *array(struct list *list, size_t count, size_t size)
{
	void *items = lw_arena_alloc(list->arena, count, size);

	if (!items)
		list->failed = true;
	return items;
}

static const char *const *dup_addresses(struct list *list, const struct lw_addr *ips, size_t nips)
{
	const char **texts = array(list, nips, sizeof(const char *));
	char buf[LW_ADDR_STRLEN];

	for (size_t i = 0; texts && i < nips; i++)
		texts[i] = dup(list, lw_addr_format(&ips[i], buf));
	return texts;
}

/* ---- workloads ---- */

static int compare_sources(const void *a, const void *b)
{
	const struct lw_state_workload *x = *(const struct lw_state_workload *const *)a;
	const struct lw_state_workload *y = *(const struct lw_state_workload *const *)b;

	return strcmp(x->full_name, y->full_name);
}

/* An entry rule takes all its pods for base. */
static void count_entry(const struct lw_state_workload *from, struct lw_listing_workload *to)
{
	to->base_pods = from->npods;
	to->base_ready = to->canary_pods = to->canary_ready = to->draining_pods = 0;
	for (const struct lw_state_pod *pod = from->pods; pod; pod = pod->next)
		to->base_ready += lw_state_is_serving(pod);
}

/* In the image for a release to come, and for nothing else. */
static bool is_only_ahead(const struct list *list, const struct lw_state_workload *workload)
{
	return list->state->builder->enrol_ahead && workload->rollout && workload->is_entry &&
	       !workload->entries;
}

static void list_workload(struct list *list, const struct lw_state_workload *from,
			  struct lw_listing_workload *to)
{
	*to = (struct lw_listing_workload){
		.id = from->in_image ? from->id : 0,
		.name = dup(list, from->full_name),
		.rollout = "",
		.rollout_uid = "",
		.traffic_routing = "",
		.style = "",
		.phase = "",
		.reason = "",
		.step_state = "",
		.base_hash = dup(list, from->decision.stable_hash),
		.canary_hash = dup(list, from->decision.canary_hash),
		.revision = from->rollout ?
				    dup(list, from->rollout->rollout.status.update_revision) :
				    "",
		.route = from->is_entry && !is_only_ahead(list, from) ? LW_LISTING_ENTRY :
									from->decision.route,
		.open = from->open,
		.lane_name = from->rollout ? dup(list, from->lane_name) : "",
		.lane = from->lane,
		.why = dup(list, from->rollout ? from->decision.why :
						 "an entry rule guards it; it has no Rollout"),
		.base_pods = from->base,
		.base_ready = from->base_ready,
		.canary_pods = from->canary,
		.canary_ready = from->canary_ready,
		.draining_pods = from->draining,
	};
	if (from->is_entry)
		count_entry(from, to);
	if (is_only_ahead(list, from)) {
		to->why = lw_arena_printf(list->arena, "%s; connections are enrolled ahead",
					  from->decision.why);
		list->failed |= !to->why;
	}
	if (from->rollout) {
		const struct lw_k8s_rollout *rollout = &from->rollout->rollout;

		to->rollout = dup_name(list, &from->rollout->meta);
		to->rollout_uid = dup(list, from->rollout->meta.uid);
		to->style = lw_k8s_style_name(rollout->style);
		to->phase = dup(list, rollout->status.phase);
		to->reason = dup(list, rollout->status.reason);
		to->step = rollout->status.step;
		to->steps = (int)rollout->nsteps;
		to->step_state = dup(list, rollout->status.step_state);
		if (rollout->traffic_routing[0]) {
			to->traffic_routing = lw_arena_printf(list->arena, "%s/%s", from->ns,
							      rollout->traffic_routing);
			list->failed |= !to->traffic_routing;
		}
	}
}

static void list_workloads(struct list *list)
{
	const struct lw_state *state = list->state;
	size_t n = 0;

	list->workloads = array(list, state->nworkloads, sizeof(list->workloads[0]));
	list->sources = array(list, state->nworkloads, sizeof(list->sources[0]));
	if (list->failed)
		return;
	for (const struct lw_state_workload *w = state->workloads; w; w = w->next) {
		/* Looked at for a rule that then led nowhere. */
		if (w->rollout || w->in_image)
			list->sources[n++] = w;
	}
	qsort(list->sources, n, sizeof(list->sources[0]), compare_sources);
	for (size_t i = 0; i < n; i++)
		list_workload(list, list->sources[i], &list->workloads[i]);
	list->nworkloads = n;
}

/* ---- rules ---- */

static void list_rule(struct list *list, const struct lw_state_workload *workload,
		      const struct lw_state_entry *entry)
{
	struct lw_listing_rule *to = &list->rules[list->nrules++];

	*to = (struct lw_listing_rule){
		.source = dup(list, entry->source),
		.text = lw_state_rule_text(list->arena, entry),
		.lane = entry->lane,
		.lane_name = dup(list, lw_state_lane_name(list->state, entry->lane)),
		.workload = dup(list, workload->full_name),
	};
	list->failed |= !to->text;
}

static void list_rules(struct list *list)
{
	size_t n = 0;

	for (size_t i = 0; i < list->nworkloads; i++) {
		for (const struct lw_state_entry *e = list->sources[i]->entries; e; e = e->next)
			n++;
	}
	list->rules = array(list, n, sizeof(list->rules[0]));
	for (size_t i = 0; list->rules && i < list->nworkloads; i++) {
		for (const struct lw_state_entry *e = list->sources[i]->entries; e; e = e->next)
			list_rule(list, list->sources[i], e);
	}
}

/* ---- lanes ---- */

static int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool takes_part(const struct list *list, size_t workload, const char *lane)
{
	if (!list->sources[workload]->rollout)
		return false;
	if (strcmp(list->workloads[workload].lane_name, lane) == 0)
		return true;
	if (list->sources[workload]->is_entry)
		return false;
	for (const struct lw_state_pod *pod = list->sources[workload]->pods; pod; pod = pod->next) {
		if (pod->role == LW_STATE_CANARY && strcmp(pod->lane_name, lane) == 0)
			return true;
	}
	return false;
}

static void list_lane(struct list *list, const char *name, struct lw_listing_lane *lane)
{
	const struct lw_state_builder *builder = list->state->builder;
	const struct lw_listing_workload **workloads;
	const struct lw_listing_rule **rules;
	const char *why = NULL;
	bool untagged = false;
	size_t nopen = 0;

	*lane = (struct lw_listing_lane){ .name = dup(list, name),
					  .tag_header = "",
					  .tag_value = "" };
	for (uint16_t id = 1; id < LW_MAX_LANES; id++) {
		if (builder->lanes[id] && strcmp(builder->lanes[id], name) == 0)
			lane->id = id;
	}
	if (lane->id && list->state->lanes[lane->id].used) {
		lane->open = list->state->lanes[lane->id].open;
		untagged = list->state->lanes[lane->id].untagged;
	}
	if (lane->id && list->state->lanes[lane->id].used && !untagged) {
		lane->tag_header = dup(list, list->state->lanes[lane->id].tag_header);
		lane->tag_value = dup(list, list->state->lanes[lane->id].tag_value);
	}
	workloads = array(list, list->nworkloads, sizeof(workloads[0]));
	rules = array(list, list->nrules, sizeof(rules[0]));
	if (!workloads || !rules)
		return;
	for (size_t i = 0; i < list->nworkloads; i++) {
		if (!takes_part(list, i, name))
			continue;
		workloads[lane->nworkloads++] = &list->workloads[i];
		nopen += list->workloads[i].open;
		if (!why)
			why = list->workloads[i].why;
	}
	for (size_t i = 0; i < list->nrules; i++) {
		if (lane->id && list->rules[i].lane == lane->id)
			rules[lane->nrules++] = &list->rules[i];
	}
	lane->workloads = workloads;
	lane->rules = rules;
	if (lane->open)
		lane->why = lw_arena_printf(list->arena, "%zu of %zu workloads are in it%s", nopen,
					    lane->nworkloads,
					    untagged ? "; it has no tag: no request enters it" :
					    lane->nrules == 0 ? "; no rule leads into it" :
								"");
	else if (lane->nworkloads == 1)
		lane->why = lw_arena_printf(list->arena, "%s: %s", workloads[0]->rollout, why);
	else
		lane->why =
			lw_arena_printf(list->arena, "none of its %zu workloads is in it; %s: %s",
					lane->nworkloads, workloads[0]->rollout, why);
	list->failed |= !lane->why;
}

static void list_lanes(struct list *list)
{
	const char **names;
	struct lw_listing_lane *lanes;
	size_t n = 0, kept = 0;

	names = array(list, list->nworkloads + LW_MAX_LANES, sizeof(names[0]));
	if (!names)
		return;
	for (size_t i = 0; i < list->nworkloads; i++) {
		if (list->sources[i]->rollout)
			names[n++] = list->workloads[i].lane_name;
	}
	for (uint16_t id = 1; id < LW_MAX_LANES; id++) {
		if (list->state->lanes[id].open)
			names[n++] = list->state->builder->lanes[id];
	}
	qsort(names, n, sizeof(names[0]), compare_strings);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 || strcmp(names[i], names[kept - 1]) != 0)
			names[kept++] = names[i];
	}
	lanes = array(list, kept, sizeof(lanes[0]));
	if (!lanes)
		return;
	for (size_t i = 0; i < kept; i++)
		list_lane(list, names[i], &lanes[i]);
	list->out->listing.lanes = lanes;
	list->out->listing.nlanes = kept;
}

/* ---- endpoints and Services ---- */

static int compare_endpoints(const void *a, const void *b)
{
	const struct lw_listing_endpoint *x = a, *y = b;
	int order = strcmp(x->workload, y->workload);

	if (order != 0)
		return order;
	if (x->lane != y->lane)
		return x->lane < y->lane ? -1 : 1;
	return strcmp(x->pod, y->pod);
}

static const char *ports_text(struct list *list, const struct lw_k8s_pod *pod)
{
	struct lw_str_parts text = {};

	for (size_t i = 0; i < pod->nports; i++)
		lw_str_part(&text, ",", "%s%s%u", pod->ports[i].name,
			    pod->ports[i].name[0] ? ":" : "", pod->ports[i].number);
	return dup(list, lw_str_parts_end(&text));
}

static void list_endpoint(struct list *list, const char *workload, const struct lw_state_pod *from,
			  struct lw_listing_endpoint *to)
{
	const struct lw_k8s_pod *pod = &from->object->pod;
	const char *node = list->state->builder->node;
	enum lw_state_role role = lw_state_role(from);
	uint16_t lane = role == LW_STATE_BASE ? 0 : from->lane;

	*to = (struct lw_listing_endpoint){
		.workload = workload,
		.lane = lane,
		.lane_name = dup(list, lw_state_lane_name(list->state, lane)),
		.pod = dup_name(list, &from->object->meta),
		.ips = dup_addresses(list, pod->ips, pod->nips),
		.nips = pod->nips,
		.node = dup(list, pod->node),
		.ready = pod->ready,
		.terminating = from->object->meta.deleting || role == LW_STATE_DRAIN,
		.local = node[0] && strcmp(node, pod->node) == 0,
		.ports = ports_text(list, pod),
	};
}

static void list_endpoints(struct list *list)
{
	struct lw_listing_endpoint *endpoints;
	size_t n = 0;

	for (size_t i = 0; i < list->nworkloads; i++)
		n += list->sources[i]->in_image ? list->sources[i]->npods : 0;
	endpoints = array(list, n, sizeof(endpoints[0]));
	if (!endpoints)
		return;
	n = 0;
	for (size_t i = 0; i < list->nworkloads; i++) {
		if (!list->sources[i]->in_image)
			continue;
		for (const struct lw_state_pod *pod = list->sources[i]->pods; pod; pod = pod->next)
			list_endpoint(list, list->workloads[i].name, pod, &endpoints[n++]);
	}
	qsort(endpoints, n, sizeof(endpoints[0]), compare_endpoints);
	list->out->listing.endpoints = endpoints;
	list->out->listing.nendpoints = n;
}

static int compare_services(const void *a, const void *b)
{
	const struct lw_listing_service *x = a, *y = b;

	return strcmp(x->service, y->service);
}

static const char *service_ports(struct list *list, const struct lw_k8s_service *service)
{
	struct lw_str_parts text = {};

	for (size_t i = 0; i < service->nports; i++) {
		const struct lw_k8s_service_port *port = &service->ports[i];

		if (port->target)
			lw_str_part(&text, ",", "%u->%u", port->port, port->target);
		else
			lw_str_part(&text, ",", "%u->%s", port->port, port->target_name);
	}
	return dup(list, lw_str_parts_end(&text));
}

static void list_services(struct list *list)
{
	const struct lw_state *state = list->state;
	size_t nservices = lw_model_count(state->model, LW_K8S_SERVICE), n = 0;
	struct lw_listing_service *services;

	for (size_t i = 0; i < nservices; i++)
		n += state->services[i].workload != NULL;
	services = array(list, n, sizeof(services[0]));
	if (!services)
		return;
	n = 0;
	for (size_t i = 0; i < nservices; i++) {
		const struct lw_k8s_object *object = lw_model_at(state->model, LW_K8S_SERVICE, i);

		if (!state->services[i].workload)
			continue;
		services[n++] = (struct lw_listing_service){
			.service = dup_name(list, &object->meta),
			.workload = dup(list, state->services[i].workload->full_name),
			.ips = dup_addresses(list, object->service.ips, object->service.nips),
			.nips = object->service.nips,
			.ports = service_ports(list, &object->service),
		};
	}
	qsort(services, n, sizeof(services[0]), compare_services);
	list->out->listing.services = services;
	list->out->listing.nservices = n;
}

int lw_state_list_all(struct lw_state *state, struct lw_listing **ret)
{
	struct list list = { .state = state };
	struct lw_listing *listing;

	list.out = calloc(1, sizeof(*list.out));
	if (!list.out)
		return -ENOMEM;
	listing = &list.out->listing;
	if (lw_arena_new(&list.out->arena) < 0) {
		free(list.out);
		return -ENOMEM;
	}
	list.arena = list.out->arena;
	list_workloads(&list);
	if (!list.failed)
		list_rules(&list);
	if (!list.failed)
		list_lanes(&list);
	if (!list.failed)
		list_endpoints(&list);
	if (!list.failed)
		list_services(&list);
	listing->workloads = list.workloads;
	listing->nworkloads = list.nworkloads;
	listing->rules = list.rules;
	listing->nrules = list.nrules;
	if (list.failed) {
		lw_listing_free(&listing);
		return -ENOMEM;
	}
	*ret = listing;
	return 0;
}
