/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/listing_json.h"

#include "core/listing.h"
#include "daemon/json.h"

static void add_ips(struct json_object *o, const char *const *ips, size_t nips)
{
	struct json_object *array = lw_json_new_array(o, "ips");

	for (size_t i = 0; i < nips; i++)
		lw_json_add_str(array, NULL, ips[i]);
}

static void add_lane(const struct lw_listing_lane *lane, struct json_object *lanes)
{
	struct json_object *o = lw_json_new_object(lanes, NULL), *workloads;

	lw_json_add_int(o, "id", lane->id);
	lw_json_add_str(o, "name", lane->name);
	lw_json_add_bool(o, "open", lane->open);
	lw_json_add_str(o, "tag_header", lane->tag_header);
	lw_json_add_str(o, "tag_value", lane->tag_value);
	lw_json_add_str(o, "why", lane->why);
	workloads = lw_json_new_array(o, "workloads");
	for (size_t i = 0; i < lane->nworkloads; i++)
		lw_json_add_str(workloads, NULL, lane->workloads[i]->name);
}

static void add_workload(const struct lw_listing_workload *w, struct json_object *workloads)
{
	struct json_object *o = lw_json_new_object(workloads, NULL), *pods;

	lw_json_add_str(o, "name", w->name);
	lw_json_add_int(o, "id", w->id);
	lw_json_add_str(o, "route", lw_listing_route_name(w->route));
	lw_json_add_str(o, "lane", w->lane_name);
	lw_json_add_bool(o, "open", w->open);
	lw_json_add_str(o, "why", w->why);
	lw_json_add_str(o, "rollout", w->rollout);
	lw_json_add_str(o, "traffic_routing", w->traffic_routing);
	lw_json_add_str(o, "style", w->style);
	lw_json_add_str(o, "phase", w->phase);
	lw_json_add_str(o, "reason", w->reason);
	lw_json_add_int(o, "step", w->step);
	lw_json_add_int(o, "steps", w->steps);
	lw_json_add_str(o, "step_state", w->step_state);
	lw_json_add_str(o, "base_hash", w->base_hash);
	lw_json_add_str(o, "canary_hash", w->canary_hash);
	pods = lw_json_new_object(o, "pods");
	lw_json_add_int(pods, "base", (int64_t)w->base_pods);
	lw_json_add_int(pods, "base_ready", (int64_t)w->base_ready);
	lw_json_add_int(pods, "canary", (int64_t)w->canary_pods);
	lw_json_add_int(pods, "canary_ready", (int64_t)w->canary_ready);
	lw_json_add_int(pods, "draining", (int64_t)w->draining_pods);
}

void lw_listing_json_lanes(const struct lw_listing *listing, struct json_object *data)
{
	struct json_object *lanes = lw_json_new_array(data, "lanes");
	struct json_object *workloads = lw_json_new_array(data, "workloads");
	struct json_object *rules = lw_json_new_array(data, "rules");

	for (size_t i = 0; i < listing->nlanes; i++)
		add_lane(&listing->lanes[i], lanes);
	for (size_t i = 0; i < listing->nworkloads; i++)
		add_workload(&listing->workloads[i], workloads);
	for (size_t i = 0; i < listing->nrules; i++) {
		const struct lw_listing_rule *rule = &listing->rules[i];
		struct json_object *o = lw_json_new_object(rules, NULL);

		lw_json_add_str(o, "workload", rule->workload);
		lw_json_add_str(o, "lane", rule->lane_name);
		lw_json_add_str(o, "when", rule->text);
		lw_json_add_str(o, "source", rule->source);
	}
}

void lw_listing_json_endpoints(const struct lw_listing *listing, struct json_object *data)
{
	struct json_object *endpoints = lw_json_new_array(data, "endpoints");
	struct json_object *services = lw_json_new_array(data, "services");

	for (size_t i = 0; i < listing->nendpoints; i++) {
		const struct lw_listing_endpoint *e = &listing->endpoints[i];
		struct json_object *o = lw_json_new_object(endpoints, NULL);

		lw_json_add_str(o, "workload", e->workload);
		lw_json_add_str(o, "lane", e->lane_name);
		lw_json_add_str(o, "pod", e->pod);
		add_ips(o, e->ips, e->nips);
		lw_json_add_str(o, "ports", e->ports);
		lw_json_add_str(o, "node", e->node);
		lw_json_add_bool(o, "ready", e->ready);
		lw_json_add_bool(o, "terminating", e->terminating);
		lw_json_add_bool(o, "local", e->local);
	}
	for (size_t i = 0; i < listing->nservices; i++) {
		const struct lw_listing_service *s = &listing->services[i];
		struct json_object *o = lw_json_new_object(services, NULL);

		lw_json_add_str(o, "service", s->service);
		lw_json_add_str(o, "workload", s->workload);
		add_ips(o, s->ips, s->nips);
		lw_json_add_str(o, "ports", s->ports);
	}
}
