/* SPDX-License-Identifier: Apache-2.0 */
#include "core/state_build.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/state_internal.h"

/* Builds that follow one another without one from nothing between: what they leave in the arena has a bound. */
#define FOLLOW_MAX 1000

static int copy(char **ret, const char *s, const char *fallback)
{
	*ret = strdup(s ? s : fallback);
	return *ret ? 0 : -ENOMEM;
}

static int add_untrusted(struct lw_state_builder *builder, const char *const *list)
{
	size_t n = 0;
	int r = 0;

	while (list && list[n])
		n++;
	builder->untrusted = calloc(n + 1, sizeof(builder->untrusted[0]));
	if (!builder->untrusted)
		return -ENOMEM;
	for (; r == 0 && builder->nuntrusted < n; builder->nuntrusted++)
		r = lw_pod_label_parse(list[builder->nuntrusted],
				       &builder->untrusted[builder->nuntrusted]);
	return r;
}

int lw_state_builder_new(const struct lw_state_options *options, struct lw_state_builder **ret)
{
	_cleanup_(lw_state_builder_free) struct lw_state_builder *builder =
		calloc(1, sizeof(*builder));
	int r;

	if (!builder || copy(&builder->tag_header, options->tag_header, "x-mse-tag") < 0 ||
	    copy(&builder->lane_label, options->lane_label, "alicloud.service.tag") < 0 ||
	    copy(&builder->lane_label_prefix, options->lane_label_prefix, "opensergo.io/canary-") <
		    0 ||
	    copy(&builder->default_lane, options->default_lane, "gray") < 0 ||
	    copy(&builder->node, options->node, "") < 0 || lw_arena_new(&builder->arena) < 0 ||
	    lw_arena_new(&builder->scratch) < 0)
		return -ENOMEM;
	builder->node_hash = lw_model_text_hash(builder->node);
	builder->from_nothing = options->from_nothing;
	builder->baggage = options->baggage;
	builder->enrol_ahead = options->enrol_ahead;
	r = add_untrusted(builder, options->untrusted);
	if (r < 0)
		return r;
	builder->nlanes = 1;
	*ret = TAKE_PTR(builder);
	return 0;
}

int lw_state_builder_lane(struct lw_state_builder *builder, unsigned int id, const char *name)
{
	char *copied;

	if (id == 0 || id >= LW_MAX_LANES || !*name || builder->lanes[id])
		return -EINVAL;
	copied = strdup(name);
	if (!copied)
		return -ENOMEM;
	builder->lanes[id] = copied;
	return 0;
}

void lw_state_builder_free(struct lw_state_builder **builder_ptr)
{
	struct lw_state_builder *builder = *builder_ptr;

	if (!builder)
		return;
	lw_ids_clear(&builder->workload_ids);
	lw_ids_clear(&builder->group_ids);
	lw_bytemap_clear(&builder->last.by_name);
	lw_image_free(&builder->last.before);
	lw_rules_free(&builder->rules);
	lw_arena_free(&builder->arena);
	lw_arena_free(&builder->scratch);
	free(builder->tag_header);
	free(builder->lane_label);
	free(builder->lane_label_prefix);
	free(builder->default_lane);
	free(builder->node);
	for (size_t i = 0; i < LW_MAX_LANES; i++)
		free(builder->lanes[i]);
	for (size_t i = 0; i < builder->nuntrusted; i++)
		lw_pod_label_clear(&builder->untrusted[i]);
	free(builder->untrusted);
	free(builder);
	*builder_ptr = NULL;
}

/* Told when the build is through; those of a workload also by the builds that find nothing new of it. */
static void note(struct lw_state *state, enum lw_severity severity, const char *text)
{
	struct lw_state_workload *of = state->keeping_notes;
	struct lw_arena *arena = of ? state->arena : state->scratch;
	struct lw_state_note *new = lw_arena_new_array(arena, struct lw_state_note, 1);

	if (new)
		new->text = lw_arena_strdup(arena, text);
	if (!new || !new->text) {
		lw_finding_emit(state->cb, state->arg, severity, "%s", text);
		state->order_matters = true; /* not kept: the next build has to find it by itself */
		return;
	}
	new->severity = severity;
	if (of) {
		*of->notes_end = new;
		of->notes_end = &new->next;
	} else {
		*state->notes_end = new;
		state->notes_end = &new->next;
	}
}

void lw_state_say(struct lw_state *state, enum lw_severity severity, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	note(state, severity, text);
}

void lw_state_report(struct lw_state *state, enum lw_severity severity,
		     const struct lw_k8s_object *object, const char *format, ...)
{
	const char *origin = object->meta.origin;
	char text[768];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	lw_state_say(state, severity, "%s%s%s %s/%s: %s", origin, origin[0] ? ": " : "",
		     lw_k8s_kind_name(object->kind), object->meta.ns, object->meta.name, text);
}

int lw_state_lane_id(struct lw_state *state, const char *name, const struct lw_k8s_object *for_whom)
{
	struct lw_state_builder *builder = state->builder;

	for (size_t i = 1; i < LW_MAX_LANES; i++) {
		if (builder->lanes[i] && strcmp(builder->lanes[i], name) == 0)
			return (int)i;
	}
	while (builder->nlanes < LW_MAX_LANES && builder->lanes[builder->nlanes])
		builder->nlanes++;
	if (builder->nlanes == LW_MAX_LANES) {
		lw_state_report(
			state, LW_FINDING_ERROR, for_whom,
			"lane %s is one too many: %d lanes have been open since the start, and ids are not used again",
			name, LW_MAX_LANES - 1);
		return 0;
	}
	builder->lanes[builder->nlanes] = strdup(name);
	if (!builder->lanes[builder->nlanes])
		return -ENOMEM;
	return (int)builder->nlanes++;
}

const char *lw_state_lane_name(const struct lw_state *state, uint16_t lane)
{
	return lane == 0 ? "base" : state->builder->lanes[lane];
}

static int find_workloads(struct lw_state *state)
{
	int r;

	if (state->before)
		return lw_state_follow(state);
	r = lw_state_add_releases(state);
	return r < 0 ? r : lw_state_add_services(state);
}

/* What a row is for, where it says so. */
static const char *name_of(enum lw_table_id table, const void *value)
{
	switch (table) {
	case LW_TABLE_PODS:
		return ((const struct lw_pod *)value)->name;
	case LW_TABLE_WORKLOADS:
		return ((const struct lw_workload *)value)->name;
	case LW_TABLE_LANES:
		return ((const struct lw_lane *)value)->name;
	case LW_TABLE_RULES:
		return ((const struct lw_rule *)value)->source;
	default:
		return "";
	}
}

/* It should not be, and yet it must not keep all others from being in force. */
static void say_dropped(struct lw_state *state)
{
	char text[768] = "";

	for (enum lw_table_id id = 0; id < LW_TABLE__MAX; id++) {
		const void *value = NULL;
		size_t n = lw_image_dropped(state->image, id, &value), len = strlen(text);
		const char *name = n > 0 ? name_of(id, value) : "";

		if (n > 0)
			(void)snprintf(text + len, sizeof(text) - len, "%s%s%s%zu in %s",
				       len ? ", " : "", name, name[0] ? ": " : "", n,
				       lw_tables[id].name);
	}
	lw_state_say(
		state, LW_FINDING_ERROR,
		"rows stand twice (%s): the first of each is in force, and all the rest; this is a fault of laneway",
		text);
	state->order_matters = true;
}

static int build(struct lw_state *state)
{
	int r;

	r = lw_rules_new(&state->rules);
	if (r == 0 && state->builder->baggage)
		r = lw_rules_use_baggage(state->rules);
	if (r < 0)
		return r;
	r = find_workloads(state);
	if (r < 0)
		return r;
	r = lw_state_sort_releases(state);
	if (r < 0)
		return r;
	r = lw_state_add_rules(state);
	if (r < 0)
		return r;
	r = lw_state_emit(state);
	if (r < 0)
		return r;
	r = lw_rules_finish(state->rules, state->image);
	if (r == -E2BIG) {
		lw_state_say(state, LW_FINDING_ERROR, "a table of entry rules is full");
		r = 0;
	}
	if (r < 0)
		return r;
	r = lw_image_seal(state->image);
	if (r > 0)
		say_dropped(state);
	return r < 0 ? r : 0;
}

/*
 * Numbers of what is not in the image. A connection that has one of them gets its numbers anew, from the row of the address that it has
 * asked for, before they are looked at in another generation (lw_refresh()): what comes back may have a new one.
 */
static void forget_ids(struct lw_state *state)
{
	struct lw_state_builder *builder = state->builder;
	const struct lw_image *image = state->image;

	if (!lw_ids_are_many(&builder->workload_ids) && !lw_ids_are_many(&builder->group_ids))
		return;
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_WORKLOADS); i++)
		lw_ids_use(&builder->workload_ids,
			   ((const struct lw_slot_key *)lw_image_key(image, LW_TABLE_WORKLOADS, i))
				   ->id);
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_DESTS); i++)
		lw_ids_use(
			&builder->group_ids,
			((const struct lw_dest *)lw_image_value(image, LW_TABLE_DESTS, i))->group);
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_ENDPOINTS); i++)
		lw_ids_use(&builder->group_ids, ((const struct lw_endpoint_key *)lw_image_key(
							 image, LW_TABLE_ENDPOINTS, i))
							->group);
	lw_ids_forget(&builder->workload_ids);
	lw_ids_forget(&builder->group_ids);
	for (struct lw_state_workload *w = state->workloads; w; w = w->next)
		if (!w->in_image)
			w->id = 0;
}

/* From nothing: takes back all that the last build has left. */
static void begin(struct lw_state_builder *builder, const struct lw_model *model)
{
	struct lw_state *state = &builder->last;

	lw_bytemap_clear(&state->by_name);
	lw_image_free(&state->before);
	lw_arena_reset(builder->arena);
	*state = (struct lw_state){
		.builder = builder,
		.model = model,
		.arena = builder->arena,
		.scratch = builder->scratch,
	};
	state->workloads_end = &state->workloads;
	state->duplicates_end = &state->duplicates;
}

/* What the last build has kept is of use still. */
static bool can_follow(const struct lw_state *last, const struct lw_model *model)
{
	return last->before && !last->builder->from_nothing && last->model == model &&
	       lw_model_shape(model) <= last->version && !last->order_matters && !last->full &&
	       last->followed < FOLLOW_MAX;
}

int lw_state_build(struct lw_state_builder *builder, const struct lw_model *model, lw_finding_cb cb,
		   void *arg, struct lw_image **ret_image)
{
	struct lw_state *state = &builder->last;
	bool follows = can_follow(state, model);
	int r;

	if (!follows)
		begin(builder, model);
	lw_arena_reset(builder->scratch);
	memset(state->lanes, 0, sizeof(state->lanes));
	state->entered = NULL;
	state->entered_end = &state->entered;
	state->nchanged_pods = 0;
	state->notes = NULL;
	state->notes_end = &state->notes;
	state->cb = cb;
	state->arg = arg;
	state->followed += follows;

	r = build(state);
	if (r == 0) {
		lw_rules_free(&builder->rules);
		builder->rules = TAKE_PTR(state->rules);
	}
	lw_rules_free(&state->rules);
	/* One that did not succeed is followed by none. */
	lw_image_free(&state->before);
	/* what has room must not depend on what there was before */
	if (follows && r == 0 && (state->order_matters || state->full)) {
		lw_image_free(&state->image);
		return lw_state_build(builder, model, cb, arg, ret_image);
	}
	if (r == 0) {
		for (const struct lw_state_note *n = state->notes; n; n = n->next)
			lw_finding_emit(cb, arg, n->severity, "%s", n->text);
		forget_ids(state);
		state->version = lw_model_version(model);
		state->before = lw_image_ref(state->image);
		*ret_image = TAKE_PTR(state->image);
	}
	lw_image_free(&state->image);
	return r;
}

bool lw_state_has_followed(const struct lw_state_builder *builder)
{
	return builder->last.followed > 0;
}

int lw_state_list(struct lw_state_builder *builder, struct lw_listing **ret)
{
	int r = lw_state_take_rest(&builder->last);

	return r < 0 ? r : lw_state_list_all(&builder->last, ret);
}
