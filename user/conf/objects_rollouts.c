/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "conf/fields.h"
#include "core/regex.h"
#include "core/rules.h"

/* Bounds of config/crd/bases of openkruise/rollouts. */
#define STEPS_MAX 50
#define LIST_MAX 16
#define NAME_MAX_LEN 256
#define HEADER_VALUE_MAX_LEN 4096
#define QUERY_VALUE_MAX_LEN 1024
/* The CRD bounds neither of these. */
#define MATCHES_MAX 128
#define CONDITIONS_MAX 64
/* Of an object's regular expressions together, as lw_regex_work() has it: some 0.3 s, in which the agent does nothing else. */
#define REGEX_WORK_MAX (1u << 26)

#define COOKIE_HEADER "canary-by-cookie"

static bool is_token(const char *s)
{
	for (; *s; s++) {
		if (!strchr("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
			    *s))
			return false;
	}
	return true;
}

static const char *read_name(struct lw_fields *fields, struct json_object *parent)
{
	const char *name = lw_fields_string(fields, parent, "name", true);

	if (!is_token(name) || strlen(name) > NAME_MAX_LEN) {
		struct lw_fields_mark mark = lw_fields_enter(fields, NULL, "name");

		lw_fields_fail(fields, lw_fields_get(parent, "name"),
			       "HTTP token characters, 256 at most");
		lw_fields_leave(fields, mark);
	}
	return name;
}

static const char *read_value(struct lw_fields *fields, struct json_object *parent, size_t max,
			      bool needed)
{
	const char *value = lw_fields_string(fields, parent, "value", needed);

	if (strlen(value) > max) {
		struct lw_fields_mark mark =
			lw_fields_enter(fields, lw_fields_get(parent, "value"), "value");

		lw_fields_complain(fields, "expected %zu bytes at most, got %zu", max,
				   strlen(value));
		lw_fields_leave(fields, mark);
	}
	return value;
}

/* ---- matches ---- */

static bool is_again(const struct lw_k8s_cond *conds, size_t n, const struct lw_k8s_cond *cond)
{
	for (size_t i = 0; i < n; i++) {
		if (conds[i].subject != cond->subject)
			continue;
		if (cond->subject == LW_SUBJECT_COOKIE) /* the same header name, canary-by-cookie */
			return true;
		if (cond->subject == LW_SUBJECT_HEADER ?
			    strcasecmp(conds[i].name, cond->name) == 0 :
			    strcmp(conds[i].name, cond->name) == 0)
			return true;
	}
	return false;
}

/* headers or queryParams of a match; of equal names the first counts. */
static void read_conds(struct lw_fields *fields, struct json_object *match, const char *key,
		       enum lw_subject subject, struct lw_k8s_cond *conds, size_t *nconds)
{
	static const char *const types[] = { "Exact", "RegularExpression", NULL };
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	size_t n;

	array = lw_fields_array(fields, match, key, LIST_MAX, &n);
	outer = lw_fields_enter(fields, array, key);
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct lw_k8s_cond cond = { .subject = subject };

		inner = lw_fields_enter_index(fields, item, i);
		cond.op = lw_fields_enum(fields, item, "type", types, 0) == 0 ? LW_OP_EXACT :
										LW_OP_REGEX;
		cond.name = read_name(fields, item);
		cond.value = read_value(fields, item,
					subject == LW_SUBJECT_HEADER ? HEADER_VALUE_MAX_LEN :
								       QUERY_VALUE_MAX_LEN,
					true);
		if (subject == LW_SUBJECT_HEADER && strcasecmp(cond.name, COOKIE_HEADER) == 0)
			cond = (struct lw_k8s_cond){ LW_SUBJECT_COOKIE, LW_OP_EXACT, cond.value,
						     "always" };
		if (!is_again(conds, *nconds, &cond))
			conds[(*nconds)++] = cond;
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
}

static void read_path(struct lw_fields *fields, struct json_object *match,
		      struct lw_k8s_cond *conds, size_t *nconds)
{
	static const char *const types[] = { "Exact", "PathPrefix", "RegularExpression", NULL };
	static const enum lw_op ops[] = { LW_OP_EXACT, LW_OP_PREFIX, LW_OP_REGEX };
	struct json_object *path = lw_fields_map(fields, match, "path", false);
	struct lw_k8s_cond cond = { .subject = LW_SUBJECT_PATH, .name = "" };
	struct lw_fields_mark mark;

	if (!path)
		return;
	mark = lw_fields_enter(fields, path, "path");
	cond.op = ops[lw_fields_enum(fields, path, "type", types, 1)];
	cond.value = read_value(fields, path, QUERY_VALUE_MAX_LEN, false);
	if (!cond.value[0])
		cond.value = "/";
	conds[(*nconds)++] = cond;
	lw_fields_leave(fields, mark);
}

/* If it has a regular expression: told once, as those of all matches behind it share its fate. */
static bool refuse_costly(struct lw_fields *fields, struct lw_k8s_match *match)
{
	bool has_regex = false;

	for (size_t i = 0; i < match->n; i++)
		has_regex |= match->conds[i].op == LW_OP_REGEX;
	if (!has_regex)
		return false;
	match->refused = "the regular expressions before it in its object take too long to compile";
	if (!fields->regex_refused)
		lw_fields_flaw(
			fields,
			"the regular expressions of this object take too long to compile: those from here on are refused");
	fields->regex_refused = true;
	return true;
}

/*
 * Whether the rules' compiler will take it: builds go by what is found here. If not, no request enters by it; but the object's status
 * must not stand still for that, as a release would.
 */
static void check_match(struct lw_fields *fields, struct lw_k8s_match *match)
{
	struct lw_rules_cond cond;
	struct lw_rules_entry entry = { .conds = &cond, .nconds = 1, .weight_pct = 100, .lane = 1 };
	char err[200];
	int r = 0;

	/* one by one: a match alone has room for thirty costly ones */
	for (size_t i = 0; r == 0 && !fields->failed && i < match->n; i++) {
		size_t work = lw_regex_work();

		if (fields->regex_work > REGEX_WORK_MAX && refuse_costly(fields, match))
			return;
		cond = (struct lw_rules_cond){ match->conds[i].subject, match->conds[i].op,
					       match->conds[i].name, match->conds[i].value };
		r = lw_rules_check(&entry, err, sizeof(err));
		fields->regex_work += lw_regex_work() - work;
	}
	if (r == -EINVAL) {
		lw_fields_flaw(fields, err);
		match->refused = lw_arena_strdup(fields->arena, err);
	}
	if (r < 0 && !match->refused)
		fields->failed = fields->no_memory = true;
}

/*
 * Only steps of v1beta1 have path and queryParams. Of a match by these an API server leaves what else it has, and tells clients of
 * v1alpha1 no more of a v1beta1 one: what is without any condition then was never meant to hold for every request.
 */
static void refuse_wider(struct lw_fields *fields, struct json_object *item,
			 struct lw_k8s_match *match)
{
	if (fields->failed)
		return;
	if (lw_fields_get(item, "path") || lw_fields_get(item, "queryParams"))
		match->refused =
			"path and queryParams are for steps of v1beta1 Rollouts: without them it would hold for more than it says";
	else if (match->n == 0)
		match->refused =
			"a match without headers: in v1alpha1 it may be what is left of one by path or queryParams, which steps of v1beta1 Rollouts have";
	if (match->refused)
		lw_fields_flaw(fields, match->refused);
}

/* full: path and queryParams too. used: must compile. */
static void read_matches(struct lw_fields *fields, struct json_object *parent, bool full, bool used,
			 struct lw_k8s_route *route)
{
	struct lw_k8s_match *matches;
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	size_t n;

	array = lw_fields_array(fields, parent, "matches", MATCHES_MAX, &n);
	matches = lw_fields_new(fields, struct lw_k8s_match, n);
	if (!matches)
		return;
	outer = lw_fields_enter(fields, array, "matches");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);
		struct lw_k8s_cond *conds =
			lw_fields_new(fields, struct lw_k8s_cond, 2 * LIST_MAX + 1);

		inner = lw_fields_enter_index(fields, item, i);
		if (!json_object_is_type(item, json_type_object))
			lw_fields_fail(fields, item, "a mapping");
		if (conds) {
			read_conds(fields, item, "headers", LW_SUBJECT_HEADER, conds,
				   &matches[i].n);
			if (full) {
				read_conds(fields, item, "queryParams", LW_SUBJECT_QUERY, conds,
					   &matches[i].n);
				read_path(fields, item, conds, &matches[i].n);
			}
			matches[i].conds = conds;
			if (used && !full)
				refuse_wider(fields, item, &matches[i]);
			if (used && !matches[i].refused)
				check_match(fields, &matches[i]);
		}
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	route->matches = matches;
	route->nmatches = n;
}

/* ---- requestHeaderModifier ---- */

static const struct lw_k8s_pair *read_headers(struct lw_fields *fields,
					      struct json_object *modifier, const char *key,
					      size_t *ret_n)
{
	struct lw_fields_mark outer, inner;
	struct lw_k8s_pair *pairs;
	struct json_object *array;

	array = lw_fields_array(fields, modifier, key, LIST_MAX, ret_n);
	pairs = lw_fields_new(fields, struct lw_k8s_pair, *ret_n);
	outer = lw_fields_enter(fields, array, key);
	for (size_t i = 0; pairs && i < *ret_n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, item, i);
		pairs[i].key = read_name(fields, item);
		pairs[i].value = read_value(fields, item, HEADER_VALUE_MAX_LEN, true);
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	return pairs;
}

static void check_modifier(struct lw_fields *fields, const struct lw_k8s_modifier *modifier)
{
	struct lw_rules_mod set[LIST_MAX], add[LIST_MAX];
	struct lw_rules_entry entry = { .weight_pct = 100,
					.lane = 1,
					.set = set,
					.nset = modifier->nset,
					.add = add,
					.nadd = modifier->nadd,
					.remove = modifier->remove,
					.nremove = modifier->nremove };
	char err[200];
	int r;

	if (fields->failed)
		return;
	for (size_t i = 0; i < modifier->nset; i++)
		set[i] = (struct lw_rules_mod){ modifier->set[i].key, modifier->set[i].value };
	for (size_t i = 0; i < modifier->nadd; i++)
		add[i] = (struct lw_rules_mod){ modifier->add[i].key, modifier->add[i].value };
	r = lw_rules_check(&entry, err, sizeof(err));
	if (r == -EINVAL)
		lw_fields_flaw(fields, err);
	else if (r < 0)
		fields->failed = fields->no_memory = true;
}

static void read_modifier(struct lw_fields *fields, struct json_object *parent, bool used,
			  struct lw_k8s_modifier *modifier)
{
	struct json_object *map = lw_fields_map(fields, parent, "requestHeaderModifier", false);
	struct lw_fields_mark mark;

	if (!map)
		return;
	mark = lw_fields_enter(fields, map, "requestHeaderModifier");
	modifier->set = read_headers(fields, map, "set", &modifier->nset);
	modifier->add = read_headers(fields, map, "add", &modifier->nadd);
	modifier->remove = lw_fields_strings(fields, map, "remove", LIST_MAX, &modifier->nremove);
	if (used)
		check_modifier(fields, modifier);
	lw_fields_leave(fields, mark);
}

/* ---- steps ---- */

/* "20%"; the number, or fallback if absent. */
static int read_percent(struct lw_fields *fields, struct json_object *parent, const char *key,
			int fallback)
{
	struct json_object *value = lw_fields_get(parent, key);
	struct lw_fields_mark mark;
	const char *s;
	char *end;
	long pct;

	if (!value)
		return fallback;
	if (json_object_is_type(value, json_type_string)) {
		s = json_object_get_string(value);
		pct = strtol(s, &end, 10);
		if (s[0] >= '0' && s[0] <= '9' && strcmp(end, "%") == 0 && pct <= 100)
			return (int)pct;
	}
	mark = lw_fields_enter(fields, NULL, key);
	lw_fields_fail(fields, value, "a percentage, \"0%\" to \"100%\"");
	lw_fields_leave(fields, mark);
	return fallback;
}

static void read_replicas(struct lw_fields *fields, struct json_object *item,
			  struct lw_k8s_step *step)
{
	struct json_object *value = lw_fields_get(item, "replicas");

	step->replicas = -1;
	if (json_object_is_type(value, json_type_string)) {
		step->replicas_pct = true;
		step->replicas = read_percent(fields, item, "replicas", -1);
	} else if (value) {
		step->replicas = (int32_t)lw_fields_int(fields, item, "replicas", 0, INT32_MAX, -1);
	}
}

static void read_step(struct lw_fields *fields, struct json_object *item, bool alpha, bool used,
		      struct lw_k8s_step *step)
{
	if (!json_object_is_type(item, json_type_object))
		lw_fields_fail(fields, item, "a mapping");
	read_replicas(fields, item, step);
	if (alpha) {
		/* As upstream converts it: api/v1alpha1/conversion.go. */
		step->route.weight_pct = (int)lw_fields_int(fields, item, "weight", 0, 100, -1);
		if (step->replicas < 0 && step->route.weight_pct >= 0) {
			step->replicas_pct = true;
			step->replicas = step->route.weight_pct;
		}
	} else {
		step->route.weight_pct = read_percent(fields, item, "traffic", -1);
	}
	read_matches(fields, item, !alpha, used, &step->route);
	read_modifier(fields, item, used, &step->route.modifier);
}

static void read_steps(struct lw_fields *fields, struct json_object *strategy, bool alpha,
		       struct lw_k8s_rollout *rollout)
{
	struct lw_fields_mark outer, inner;
	struct lw_k8s_step *steps;
	struct json_object *array;
	size_t n;

	array = lw_fields_array(fields, strategy, "steps", STEPS_MAX, &n);
	steps = lw_fields_new(fields, struct lw_k8s_step, n);
	if (!steps)
		return;
	outer = lw_fields_enter(fields, array, "steps");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, item, i);
		read_step(fields, item, alpha, rollout->service[0], &steps[i]);
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	rollout->steps = steps;
	rollout->nsteps = n;
}

/* The Service of the first of the references, "" if there is none. */
static const char *read_service_ref(struct lw_fields *fields, struct json_object *parent,
				    const char *key, size_t max)
{
	struct lw_fields_mark outer, inner;
	struct json_object *array, *first;
	const char *service;
	size_t n;

	array = lw_fields_array(fields, parent, key, max, &n);
	if (n == 0)
		return "";
	first = json_object_array_get_idx(array, 0);
	outer = lw_fields_enter(fields, array, key);
	inner = lw_fields_enter_index(fields, first, 0);
	service = lw_fields_string(fields, first, "service", true);
	lw_fields_leave(fields, inner);
	lw_fields_leave(fields, outer);
	return service;
}

/* ---- Rollout ---- */

static void read_workload_ref(struct lw_fields *fields, struct json_object *parent,
			      struct lw_k8s_rollout *rollout)
{
	struct json_object *ref = lw_fields_map(fields, parent, "workloadRef", true);
	struct lw_fields_mark mark = lw_fields_enter(fields, ref, "workloadRef");
	const char *version, *slash;

	if (ref) {
		version = lw_fields_string(fields, ref, "apiVersion", true);
		rollout->workload_kind = lw_fields_string(fields, ref, "kind", true);
		rollout->workload_name = lw_fields_string(fields, ref, "name", true);
		slash = strchr(version, '/');
		rollout->workload_group = lw_arena_strndup(fields->arena, version,
							   slash ? (size_t)(slash - version) : 0);
		if (!rollout->workload_group) {
			rollout->workload_group = "";
			fields->failed = fields->no_memory = true;
		}
	}
	lw_fields_leave(fields, mark);
}

static void read_strategy(struct lw_fields *fields, struct json_object *spec, bool alpha,
			  const char *style, struct lw_k8s_rollout *rollout)
{
	struct json_object *strategy = lw_fields_map(fields, spec, "strategy", true);
	struct lw_fields_mark outer = lw_fields_enter(fields, strategy, "strategy"), inner,
			      patch_mark;
	struct json_object *canary = lw_fields_map(fields, strategy, "canary", false);
	struct json_object *blue_green =
		alpha ? NULL : lw_fields_map(fields, strategy, "blueGreen", false);
	struct json_object *used = blue_green ? blue_green : canary, *patch;
	bool extra;

	if (canary && blue_green)
		lw_fields_complain(fields, "expected canary or blueGreen, got both");
	if (!used && strategy && !fields->failed)
		lw_fields_complain(fields, alpha ? "expected canary, got nothing" :
						   "expected canary or blueGreen, got neither");
	inner = lw_fields_enter(fields, used, blue_green ? "blueGreen" : "canary");
	extra = alpha ? strcasecmp(style, "partition") != 0 :
			lw_fields_bool(fields, used, "enableExtraWorkloadForCanary");
	if (blue_green)
		rollout->style = LW_K8S_STYLE_BLUE_GREEN;
	else if (extra && strcmp(rollout->workload_kind, "Deployment") == 0)
		rollout->style = LW_K8S_STYLE_CANARY;
	else
		rollout->style = LW_K8S_STYLE_PARTITION;
	rollout->no_canary_service = lw_fields_bool(fields, used, "disableGenerateCanaryService");
	rollout->service = read_service_ref(fields, used, "trafficRoutings", 1);
	read_steps(fields, used, alpha, rollout);
	patch = lw_fields_map(fields, used, "patchPodTemplateMetadata", false);
	patch_mark = lw_fields_enter(fields, patch, "patchPodTemplateMetadata");
	rollout->patch_labels = lw_fields_pairs(fields, patch, "labels", NULL);
	lw_fields_leave(fields, patch_mark);
	lw_fields_leave(fields, inner);
	lw_fields_leave(fields, outer);
}

static void read_conditions(struct lw_fields *fields, struct json_object *status,
			    struct lw_k8s_rollout *rollout)
{
	struct lw_fields_mark outer, inner;
	struct json_object *array;
	size_t n;

	rollout->status.reason = "";

	array = lw_fields_array(fields, status, "conditions", CONDITIONS_MAX, &n);
	outer = lw_fields_enter(fields, array, "conditions");
	for (size_t i = 0; i < n; i++) {
		struct json_object *item = json_object_array_get_idx(array, i);

		const char *type, *is;

		inner = lw_fields_enter_index(fields, item, i);
		type = lw_fields_string(fields, item, "type", true);
		is = lw_fields_string(fields, item, "status", true);
		if (strcmp(type, "Progressing") == 0 && strcmp(is, "True") == 0)
			rollout->status.reason = lw_fields_string(fields, item, "reason", false);
		else if (strcmp(type, "Succeeded") == 0)
			rollout->status.failed = strcmp(is, "False") == 0;
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
}

static void read_status(struct lw_fields *fields, struct json_object *root,
			struct lw_k8s_rollout *rollout)
{
	bool blue_green = rollout->style == LW_K8S_STYLE_BLUE_GREEN;
	const char *key = blue_green ? "blueGreenStatus" : "canaryStatus";
	struct json_object *status = lw_fields_map(fields, root, "status", false), *release;
	struct lw_fields_mark outer = lw_fields_enter(fields, status, "status"), inner;
	__auto_type to = &rollout->status;

	to->observed_generation =
		lw_fields_int(fields, status, "observedGeneration", 0, INT64_MAX, 0);
	to->phase = lw_fields_string(fields, status, "phase", false);
	read_conditions(fields, status, rollout);
	release = lw_fields_map(fields, status, key, false);
	inner = lw_fields_enter(fields, release, key);
	to->step = (int32_t)lw_fields_int(fields, release, "currentStepIndex", 0, INT32_MAX, 0);
	to->step_state = lw_fields_string(fields, release, "currentStepState", false);
	to->pod_template_hash = lw_fields_string(fields, release, "podTemplateHash", false);
	to->stable_revision = lw_fields_string(fields, release, "stableRevision", false);
	to->rollout_hash = lw_fields_string(fields, release, "rolloutHash", false);
	to->update_revision = lw_fields_string(
		fields, release, blue_green ? "updatedRevision" : "canaryRevision", false);
	to->finalising_step = lw_fields_string(fields, release, "finalisingStep", false);
	lw_fields_leave(fields, inner);
	lw_fields_leave(fields, outer);
}

static const char *annotation(const struct lw_k8s_object *object, const char *key)
{
	const char *value = lw_k8s_pairs_get(&object->meta.annotations, key);

	return value ? value : "";
}

void lw_objects_rollout(struct lw_fields *fields, struct json_object *root, const char *version,
			struct lw_k8s_object *object)
{
	bool alpha = strcmp(version, "v1alpha1") == 0;
	struct json_object *spec = lw_fields_map(fields, root, "spec", true), *ref = spec;
	struct lw_fields_mark outer = lw_fields_enter(fields, spec, "spec"), inner = outer;
	struct lw_k8s_rollout *rollout = &object->rollout;

	rollout->traffic_routing = annotation(object, "rollouts.kruise.io/trafficrouting");
	rollout->hash = annotation(object, "rollouts.kruise.io/hash");
	if (alpha) {
		ref = lw_fields_map(fields, spec, "objectRef", true);
		inner = lw_fields_enter(fields, ref, "objectRef");
	}
	if (ref)
		read_workload_ref(fields, ref, rollout);
	if (alpha)
		lw_fields_leave(fields, inner);
	if (spec)
		read_strategy(fields, spec, alpha,
			      annotation(object, "rollouts.kruise.io/rolling-style"), rollout);
	lw_fields_leave(fields, outer);
	read_status(fields, root, rollout);
}

/* ---- TrafficRouting ---- */

/* Nobody bounds it: neither the API server nor Rollouts. The rest of the object, its status above all, does not hang on it. */
static int read_weight(struct lw_fields *fields, struct json_object *strategy)
{
	int64_t weight = lw_fields_int(fields, strategy, "weight", INT32_MIN, INT32_MAX, -1);
	struct lw_fields_mark mark;
	char text[100];

	if (!lw_fields_get(strategy, "weight") || (weight >= 0 && weight <= 100))
		return (int)weight;
	mark = lw_fields_enter(fields, lw_fields_get(strategy, "weight"), "weight");
	(void)snprintf(text, sizeof(text),
		       "expected an integer from 0 to 100, got %lld: no request enters by it",
		       (long long)weight);
	if (!fields->failed)
		lw_fields_flaw(fields, text);
	lw_fields_leave(fields, mark);
	return -1;
}

void lw_objects_traffic_routing(struct lw_fields *fields, struct json_object *root,
				struct lw_k8s_object *object)
{
	struct lw_k8s_traffic_routing *routing = &object->traffic_routing;
	struct json_object *spec = lw_fields_map(fields, root, "spec", true), *strategy, *status;
	struct lw_fields_mark outer = lw_fields_enter(fields, spec, "spec"), inner;

	if (spec) {
		routing->service = read_service_ref(fields, spec, "objectRef", LIST_MAX);
		if (!routing->service[0] && !fields->failed)
			lw_fields_complain(fields,
					   "expected objectRef with a service, got nothing");
		strategy = lw_fields_map(fields, spec, "strategy", true);
		inner = lw_fields_enter(fields, strategy, "strategy");
		routing->route.weight_pct = read_weight(fields, strategy);
		read_matches(fields, strategy, false, true, &routing->route);
		read_modifier(fields, strategy, true, &routing->route.modifier);
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	status = lw_fields_map(fields, root, "status", false);
	outer = lw_fields_enter(fields, status, "status");
	routing->phase = lw_fields_string(fields, status, "phase", false);
	lw_fields_leave(fields, outer);
}
