/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/str.h"
#include "core/state_internal.h"

#define WEIGHT SIZE_MAX

/* ---- which tag a lane has ---- */

/* The set entry that is the tag: the one with the configured name, else the first. NULL: none. */
static const struct lw_k8s_pair *tag_of(const struct lw_state_builder *builder,
					const struct lw_k8s_route *route)
{
	for (size_t i = 0; i < route->modifier.nset; i++) {
		if (strcasecmp(route->modifier.set[i].key, builder->tag_header) == 0)
			return &route->modifier.set[i];
	}
	return route->modifier.nset > 0 ? &route->modifier.set[0] : NULL;
}

static bool is_configured(const struct lw_state *state, const char *header)
{
	return strcasecmp(header, state->builder->tag_header) == 0;
}

static void tag_lane(struct lw_state *state, uint16_t id, const struct lw_k8s_route *route,
		     const struct lw_k8s_object *from)
{
	const struct lw_k8s_pair *tag = tag_of(state->builder, route);
	struct lw_state_lane *lane = &state->lanes[id];

	if (!tag)
		return;
	if (!lane->tag_header) {
		lane->tag_header = tag->key;
		lane->tag_value = tag->value;
		lane->tag_from = from;
		if (route->modifier.nset > 1 && !is_configured(state, tag->key))
			lw_state_report(
				state, LW_FINDING_WARNING, from,
				"sets %zu headers, none of them \"%s\": the first, \"%s: %s\", is the tag of lane %s; who sends it enters the lane",
				route->modifier.nset, state->builder->tag_header, tag->key,
				tag->value, lw_state_lane_name(state, id));
	} else if (is_configured(state, tag->key) && !is_configured(state, lane->tag_header)) {
		/* that one was a guess */
		lw_state_report(
			state, LW_FINDING_WARNING, lane->tag_from,
			"sets \"%s: %s\" for lane %s, which %s %s/%s tags \"%s: %s\": that one is the tag",
			lane->tag_header, lane->tag_value, lw_state_lane_name(state, id),
			lw_k8s_kind_name(from->kind), from->meta.ns, from->meta.name, tag->key,
			tag->value);
		lane->tag_header = tag->key;
		lane->tag_value = tag->value;
		lane->tag_from = from;
	} else if (strcasecmp(lane->tag_header, tag->key) != 0 ||
		   strcmp(lane->tag_value, tag->value) != 0) {
		lw_state_report(
			state, LW_FINDING_WARNING, from,
			"sets \"%s: %s\" for lane %s, which %s %s/%s tags \"%s: %s\": that one is the tag",
			tag->key, tag->value, lw_state_lane_name(state, id),
			lw_k8s_kind_name(lane->tag_from->kind), lane->tag_from->meta.ns,
			lane->tag_from->meta.name, lane->tag_header, lane->tag_value);
	}
}

static int declare_lanes(struct lw_state *state)
{
	char err[256];
	int r;

	for (uint16_t id = 1; id < LW_MAX_LANES; id++) {
		struct lw_state_lane *lane = &state->lanes[id];
		const char *name = lw_state_lane_name(state, id);

		if (!lane->used)
			continue;
		lane->untagged = false;
		if (lane->tag_header) {
			r = lw_rules_lane(state->rules, id, name, lane->tag_header, lane->tag_value,
					  err, sizeof(err));
			if (r != -EINVAL) {
				if (r < 0)
					return r;
				continue;
			}
			lw_state_report(state, LW_FINDING_ERROR, lane->tag_from,
					"\"%s: %s\" cannot tag lane %s: %s", lane->tag_header,
					lane->tag_value, name, err);
			lane->untagged =
				strcasecmp(lane->tag_header, state->builder->tag_header) == 0 &&
				strcmp(lane->tag_value, name) == 0;
			if (lane->untagged)
				continue;
		}
		lane->tag_header = state->builder->tag_header;
		lane->tag_value = name;
		r = lw_rules_lane(state->rules, id, name, lane->tag_header, lane->tag_value, err,
				  sizeof(err));
		if (r < 0 && r != -EINVAL)
			return r;
		lane->untagged = r < 0;
		if (lane->untagged)
			lw_state_say(state, LW_FINDING_ERROR, "lane %s cannot be tagged: %s", name,
				     err);
	}
	return 0;
}

/* ---- which workloads a rule guards ---- */

struct targets {
	struct lw_state_workload **items;
	size_t n, room;
	const struct lw_k8s_object *service;
};

static int add_target(struct lw_state *state, struct targets *targets,
		      struct lw_state_workload *workload)
{
	for (size_t i = 0; i < targets->n; i++) {
		if (targets->items[i] == workload)
			return 0;
	}
	if (targets->n == targets->room) {
		size_t room = targets->room ? targets->room * 2 : 1;
		struct lw_state_workload **items;

		items = lw_arena_new_array(state->arena, struct lw_state_workload *, room);
		if (!items)
			return -ENOMEM;
		if (targets->n > 0)
			memcpy(items, targets->items, targets->n * sizeof(items[0]));
		targets->items = items;
		targets->room = room;
	}
	targets->items[targets->n++] = workload;
	return 0;
}

static int target_pod(struct lw_state *state, struct lw_state_pod *pod, void *arg)
{
	struct lw_state_workload *workload;
	struct targets *targets = arg;
	int r;

	r = lw_state_entry_workload(state, pod, targets->service, &workload);
	if (r < 0)
		return r;
	return add_target(state, targets, workload);
}

static int compare_targets(const void *a, const void *b)
{
	const struct lw_state_workload *x = *(const struct lw_state_workload *const *)a;
	const struct lw_state_workload *y = *(const struct lw_state_workload *const *)b;

	return strcmp(x->full_name, y->full_name);
}

/* The workloads behind a Service; which they are is kept while the shape of the model is. */
static int find_targets(struct lw_state *state, const char *ns, const char *name,
			struct targets *targets)
{
	const struct lw_k8s_object *service = lw_model_get(state->model, LW_K8S_SERVICE, ns, name);
	struct lw_state_service *known;
	int r;

	if (!service)
		return 0;
	known = &state->services[lw_model_index_of(state->model, service)];
	if (!known->targets_known) {
		targets->service = service;
		r = lw_state_each_selected(state, service, target_pod, targets);
		if (r < 0)
			return r;
		/* the order of pods is that of their last changes: nothing may follow from it */
		if (targets->n > 1)
			qsort(targets->items, targets->n, sizeof(targets->items[0]),
			      compare_targets);
		known->targets = targets->items;
		known->ntargets = targets->n;
		known->targets_known = true;
	}
	targets->items = known->targets;
	targets->n = targets->room = known->ntargets; /* whoever adds to them gets a copy */
	return 0;
}

/* ---- entries ---- */

static int add_entry(struct lw_state *state, struct lw_state_workload *workload,
		     const struct lw_k8s_route *route, size_t match, uint16_t lane,
		     const char *source)
{
	struct lw_state_entry *entry = lw_arena_new_array(state->scratch, struct lw_state_entry, 1);

	if (!entry)
		return -ENOMEM;
	if (!workload->entries) {
		*state->entered_end = workload;
		state->entered_end = &workload->next_entered;
		workload->next_entered = NULL;
	}
	*entry = (struct lw_state_entry){
		.source = source, .route = route, .match = match, .lane = lane
	};
	*workload->entries_end = entry;
	workload->entries_end = &entry->next;
	return 0;
}

/* The rule's alternatives, for every target; what leads to a workload puts it in the image. from: what the rule is of. */
static int add_rule(struct lw_state *state, const struct targets *targets,
		    const struct lw_k8s_object *from, const struct lw_k8s_route *route,
		    uint16_t lane, const char *source)
{
	size_t n = route->nmatches > 0 ? route->nmatches : 1;
	int r;

	if (route->nmatches == 0 && route->weight_pct <= 0)
		return 0;
	for (size_t t = 0; t < targets->n; t++) {
		if (targets->items[t]->host_network && targets->items[t]->rollout != from)
			lw_state_report(
				state, LW_FINDING_WARNING, from,
				"pods of %s, where its requests enter, use the host network, where an address tells no pod: none enters there",
				targets->items[t]->full_name);
	}
	for (size_t i = 0; i < n; i++) {
		const char *text;

		if (route->nmatches > 0)
			text = lw_arena_printf(state->scratch, "%s match %zu", source, i + 1);
		else
			text = lw_arena_printf(state->scratch, "%s weight %d", source,
					       route->weight_pct);
		if (!text)
			return -ENOMEM;
		for (size_t t = 0; t < targets->n; t++) {
			struct lw_state_workload *workload = targets->items[t];

			if (workload->host_network)
				continue;
			r = lw_state_add_as_entry(state, workload);
			if (r < 0)
				return r;
			r = add_entry(state, workload, route, route->nmatches > 0 ? i : WEIGHT,
				      lane, text);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

static int add_own_rule(struct lw_state *state, struct lw_state_workload *workload)
{
	const struct lw_k8s_route *rule = workload->decision.own_rule;
	const struct lw_k8s_meta *meta = &workload->rollout->meta;
	struct targets targets = {};
	const char *source;
	int r;

	r = find_targets(state, meta->ns, workload->rollout->rollout.service, &targets);
	if (r == 0 &&
	    targets.n ==
		    0) /* its Service is not in the model: it is the workload's by definition */
		r = add_target(state, &targets, workload);
	if (r < 0)
		return r;
	source = lw_arena_printf(state->scratch, "Rollout %s/%s step %d", meta->ns, meta->name,
				 workload->decision.own_step);
	if (!source)
		return -ENOMEM;
	tag_lane(state, workload->lane, rule, workload->rollout);
	return add_rule(state, &targets, workload->rollout, rule, workload->lane, source);
}

static bool is_in(const struct lw_state_workload *workload, const struct lw_k8s_object *shared)
{
	return workload->open && workload->shared == shared && workload->decision.shared_rule;
}

/*
 * Into which lane: the one that its tag names, else that of the workload it guards, else the first
 * by name of Rollout. 0: nothing in it is open.
 */
static uint16_t lane_of(const struct lw_state *state, const struct lw_k8s_object *shared,
			const struct lw_k8s_route *route, const struct targets *targets)
{
	const struct lw_k8s_pair *tag = tag_of(state->builder, route);
	const struct lw_state_workload *workload;
	uint16_t first = 0;

	for (workload = state->workloads; workload; workload = workload->next) {
		if (!is_in(workload, shared))
			continue;
		if (tag && strcmp(tag->value, workload->lane_name) == 0)
			return workload->lane;
		if (first == 0)
			first = workload->lane;
	}
	for (size_t i = 0; i < targets->n; i++) {
		if (is_in(targets->items[i], shared))
			return targets->items[i]->lane;
	}
	return first;
}

static int add_shared_rule(struct lw_state *state, const struct lw_k8s_object *shared,
			   const struct lw_k8s_route *route)
{
	struct targets targets = {};
	const char *source;
	uint16_t lane;
	int r;

	r = find_targets(state, shared->meta.ns, shared->traffic_routing.service, &targets);
	if (r < 0)
		return r;
	if (targets.n == 0)
		lw_state_report(
			state, LW_FINDING_WARNING, shared,
			"spec.objectRef[0].service: Service %s is not there or selects no pod: no request enters by it",
			shared->traffic_routing.service);
	lane = lane_of(state, shared, route, &targets);
	if (lane == 0)
		return 0;
	source = lw_arena_printf(state->scratch, "TrafficRouting %s/%s", shared->meta.ns,
				 shared->meta.name);
	if (!source)
		return -ENOMEM;
	tag_lane(state, lane, route, shared);
	return add_rule(state, &targets, shared, route, lane, source);
}

static int compare_objects(const void *a, const void *b)
{
	const struct lw_k8s_meta *x = &(*(const struct lw_k8s_object *const *)a)->meta;
	const struct lw_k8s_meta *y = &(*(const struct lw_k8s_object *const *)b)->meta;
	int order = strcmp(x->ns, y->ns);

	return order ? order : strcmp(x->name, y->name);
}

static int add_shared_rules(struct lw_state *state)
{
	const struct lw_k8s_object **shared;
	size_t n = 0;
	int r;

	shared =
		lw_arena_new_array(state->scratch, const struct lw_k8s_object *, state->nworkloads);
	if (!shared)
		return -ENOMEM;
	for (const struct lw_state_workload *w = state->workloads; w; w = w->next) {
		if (w->shared && is_in(w, w->shared))
			shared[n++] = w->shared;
	}
	qsort(shared, n, sizeof(shared[0]), compare_objects);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && shared[i] == shared[i - 1])
			continue;
		r = add_shared_rule(state, shared[i], &shared[i]->traffic_routing.route);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- workloads that pass lanes on ---- */

/* Into the image without a rule. */
static int add_without_rule(struct lw_state *state, const char *ns, const char *service)
{
	struct targets targets = {};
	int r = find_targets(state, ns, service, &targets);

	for (size_t t = 0; r == 0 && t < targets.n; t++)
		r = targets.items[t]->host_network ? 0 :
						     lw_state_add_as_entry(state, targets.items[t]);
	return r;
}

/* While a lane is open, or may come to be: what is sent to them gets its tag. */
static int add_passing(struct lw_state *state)
{
	bool open = state->builder->enrol_ahead;
	int r = 0;

	for (const struct lw_state_workload *w = state->workloads; w && !open; w = w->next)
		open = w->open;
	for (size_t i = 0; r == 0 && open && i < lw_model_count(state->model, LW_K8S_SERVICE);
	     i++) {
		const struct lw_k8s_object *service = lw_model_at(state->model, LW_K8S_SERVICE, i);

		/* one without an address of its own, too: its clients ask for its pods' */
		if (state->services[i].passes && !service->service.external)
			r = add_without_rule(state, service->meta.ns, service->meta.name);
	}
	return r;
}

/* Where requests are going to enter. */
static int add_ahead(struct lw_state *state)
{
	int r = 0;

	for (const struct lw_state_workload *w = state->workloads; r == 0 && w; w = w->next) {
		if (w->rollout && w->shared && w->shared->traffic_routing.service[0])
			r = add_without_rule(state, w->ns, w->shared->traffic_routing.service);
	}
	return r;
}

/* ---- compiling ---- */

static int to_rules_entry(struct lw_state *state, const struct lw_state_entry *entry,
			  struct lw_rules_entry *ret)
{
	const struct lw_k8s_modifier *modifier = &entry->route->modifier;
	const char *tag_header = state->lanes[entry->lane].tag_header;
	struct lw_rules_mod *set, *add;
	struct lw_rules_cond *conds;

	*ret = (struct lw_rules_entry){
		.weight_pct = 100, /* a match without conditions */
		.lane = entry->lane,
		.remove = modifier->remove,
		.nremove = modifier->nremove,
		.source = entry->source,
	};
	if (entry->match == WEIGHT) {
		ret->weight_pct = (unsigned int)entry->route->weight_pct;
	} else {
		const struct lw_k8s_match *match = &entry->route->matches[entry->match];

		conds = lw_arena_new_array(state->scratch, struct lw_rules_cond, match->n);
		if (!conds)
			return -ENOMEM;
		for (size_t i = 0; i < match->n; i++) {
			const struct lw_k8s_cond *cond = &match->conds[i];

			conds[i] = (struct lw_rules_cond){ cond->subject, cond->op, cond->name,
							   cond->value };
		}
		ret->conds = conds;
		ret->nconds = match->n;
	}
	set = lw_arena_new_array(state->scratch, struct lw_rules_mod, modifier->nset);
	add = lw_arena_new_array(state->scratch, struct lw_rules_mod, modifier->nadd);
	if (!set || !add)
		return -ENOMEM;
	for (size_t i = 0; i < modifier->nset; i++) {
		/* The tag is put on whatever the rule sets; where they differ that was said. */
		if (strcasecmp(modifier->set[i].key, tag_header) != 0)
			set[ret->nset++] = (struct lw_rules_mod){ modifier->set[i].key,
								  modifier->set[i].value };
	}
	for (size_t i = 0; i < modifier->nadd; i++)
		add[i] = (struct lw_rules_mod){ modifier->add[i].key, modifier->add[i].value };
	ret->set = set;
	ret->add = add;
	ret->nadd = modifier->nadd;
	return 0;
}

/* Of a route, what its header lines are in a lane: the same for each of its matches, and of its targets. */
struct modifier {
	const struct lw_k8s_route *route;
	uint16_t lane;
	const char *refused; /* NULL, or why */
};

static int check_modifier(struct lw_state *state, const struct lw_state_entry *entry,
			  const struct lw_rules_entry *compiled, struct modifier *last)
{
	struct lw_rules_entry bare = *compiled;
	char err[256];
	int r;

	if (last->route == entry->route && last->lane == entry->lane)
		return 0;
	bare.nconds = 0;
	bare.weight_pct = 100;
	r = lw_rules_check(&bare, err, sizeof(err));
	if (r < 0 && r != -EINVAL)
		return r;
	*last = (struct modifier){ entry->route, entry->lane, NULL };
	if (r < 0)
		last->refused = lw_arena_strdup(state->scratch, err);
	return r < 0 && !last->refused ? -ENOMEM : 0;
}

/*
 * Why no request enters by the entry, NULL if one may. Its conditions were looked at when they were read: here it would be for every
 * target in every build, and one object has room for two thousand regular expressions.
 */
static int find_refused(struct lw_state *state, struct lw_state_entry *entry,
			struct lw_rules_entry *compiled, struct modifier *last, const char **ret)
{
	int r;

	*ret = entry->match == WEIGHT ? NULL : entry->route->matches[entry->match].refused;
	if (*ret || state->lanes[entry->lane].untagged)
		return 0;
	r = to_rules_entry(state, entry, compiled);
	if (r == 0)
		r = check_modifier(state, entry, compiled, last);
	*ret = last->refused;
	return r;
}

static void say_refused(struct lw_state *state, const struct lw_state_entry *entry, const char *why,
			size_t *refusals)
{
	if (++*refusals <= LW_FINDINGS_EACH)
		lw_state_say(state, LW_FINDING_ERROR, "%s: %s", entry->source, why);
}

/* It holds for requests of any kind: for all of them, or as the dice say. */
static bool holds_for_any(const struct lw_state_entry *entry)
{
	return entry->match == WEIGHT || entry->route->matches[entry->match].n == 0;
}

/*
 * A workload may have rules of several objects. Who asks for something by a condition is asked for it before the rest is shared out:
 * else what one object is given by its weight would be missing from another's matches.
 */
static void put_any_last(struct lw_state_workload *workload)
{
	struct lw_state_entry *entry, *any = NULL, **any_end = &any, **end = &workload->entries;

	for (entry = workload->entries; entry; entry = entry->next) {
		struct lw_state_entry ***to = holds_for_any(entry) ? &any_end : &end;

		**to = entry;
		*to = &entry->next;
	}
	*any_end = NULL;
	*end = any;
	workload->entries_end = any ? any_end : end;
}

/* Of all requests nothing is left for whatever comes behind. */
static void say_hidden(struct lw_state *state, const struct lw_state_workload *workload)
{
	const struct lw_state_entry *all = NULL;

	for (const struct lw_state_entry *entry = workload->entries; entry; entry = entry->next) {
		if (entry->refused)
			continue;
		if (all && entry->lane != all->lane)
			lw_state_say(
				state, LW_FINDING_WARNING,
				"%s: no request enters %s by it, as all that are left do by %s",
				entry->source, workload->full_name, all->source);
		if (!all && holds_for_any(entry) &&
		    (entry->match != WEIGHT || entry->route->weight_pct >= 100))
			all = entry;
	}
}

static int compile(struct lw_state *state, struct lw_state_workload *workload,
		   struct modifier *last)
{
	struct lw_rules_entry *entries;
	struct lw_state_entry *entry;
	const char *refused;
	size_t n = 0, refusals = 0;
	char err[256];
	int r;

	put_any_last(workload);
	for (entry = workload->entries; entry; entry = entry->next)
		n++;
	entries = lw_arena_new_array(state->scratch, struct lw_rules_entry, n);
	if (!entries)
		return -ENOMEM;
	n = 0;
	for (entry = workload->entries; entry; entry = entry->next) {
		r = find_refused(state, entry, &entries[n], last, &refused);
		if (r < 0)
			return r;
		/* of the lane it was said */
		entry->refused = refused || state->lanes[entry->lane].untagged;
		if (refused)
			say_refused(state, entry, refused, &refusals);
		n += !entry->refused;
	}
	if (refusals > LW_FINDINGS_EACH)
		lw_state_say(state, LW_FINDING_ERROR, "entry rules of %s: and %zu more are refused",
			     workload->full_name, refusals - LW_FINDINGS_EACH);
	r = lw_rules_workload(state->rules, entries, n, &workload->entry, err, sizeof(err));
	for (entry = workload->entries; entry && r == -EINVAL; entry = entry->next)
		entry->refused = true;
	if (r == -EINVAL) {
		lw_state_say(state, LW_FINDING_ERROR, "entry rules of %s: %s", workload->full_name,
			     err);
		r = 0;
	}
	if (r == 0)
		say_hidden(state, workload);
	return r;
}

int lw_state_add_rules(struct lw_state *state)
{
	struct lw_state_workload *workload;
	struct modifier last = {};
	int r;

	/* Entry workloads are put at the end meanwhile, and have no rule of their own. */
	for (workload = state->workloads; workload; workload = workload->next) {
		if (!workload->open || !workload->decision.own_rule)
			continue;
		r = add_own_rule(state, workload);
		if (r < 0)
			return r;
	}
	r = add_shared_rules(state);
	if (r == 0)
		r = add_passing(state);
	if (r == 0 && state->builder->enrol_ahead)
		r = add_ahead(state);
	if (r < 0)
		return r;
	r = declare_lanes(state);
	if (r < 0)
		return r;
	for (workload = state->entered; workload; workload = workload->next_entered) {
		r = compile(state, workload, &last);
		if (r < 0)
			return r;
	}
	return 0;
}

/* ---- for people ---- */

static void add_cond(struct lw_str_parts *text, const struct lw_k8s_cond *cond)
{
	const char *op = cond->op == LW_OP_REGEX ? "~" : "=", *and = " and ";

	switch (cond->subject) {
	case LW_SUBJECT_HEADER:
		lw_str_part(text, and, "header %s %s %s", cond->name, op, cond->value);
		break;
	case LW_SUBJECT_COOKIE:
		lw_str_part(text, and, "cookie %s %s %s", cond->name, op, cond->value);
		break;
	case LW_SUBJECT_QUERY:
		lw_str_part(text, and, "query %s %s %s", cond->name, op, cond->value);
		break;
	case LW_SUBJECT_PATH:
		if (cond->op == LW_OP_PREFIX)
			lw_str_part(text, and, "path below %s", cond->value);
		else
			lw_str_part(text, and, "path %s %s", op, cond->value);
		break;
	case LW_SUBJECT_DICE:
		break;
	}
}

const char *lw_state_rule_text(struct lw_arena *arena, const struct lw_state_entry *entry)
{
	struct lw_str_parts text = {};
	const struct lw_k8s_match *match;

	if (entry->refused)
		return lw_arena_strdup(arena, "no request: refused");
	if (entry->match == WEIGHT && entry->route->weight_pct < 100)
		return lw_arena_printf(arena, "%d%% of requests", entry->route->weight_pct);
	match = entry->match == WEIGHT ? NULL : &entry->route->matches[entry->match];
	if (!match || match->n == 0)
		return lw_arena_strdup(arena, "all requests");
	for (size_t i = 0; i < match->n; i++)
		add_cond(&text, &match->conds[i]);
	return lw_arena_strdup(arena, lw_str_parts_end(&text));
}
