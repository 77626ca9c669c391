/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/fields.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "conf/yaml_tree.h"
#include "core/finding.h"

/* ---- what is wrong ---- */

static void describe(struct json_object *value, char *buf, size_t size)
{
	switch (json_object_get_type(value)) {
	case json_type_null:
		(void)snprintf(buf, size, "nothing");
		return;
	case json_type_boolean:
		(void)snprintf(buf, size, "the boolean %s",
			       json_object_get_boolean(value) ? "true" : "false");
		return;
	case json_type_int:
		(void)snprintf(buf, size, "the integer %lld",
			       (long long)json_object_get_int64(value));
		return;
	case json_type_double:
		(void)snprintf(buf, size, "the number %g", json_object_get_double(value));
		return;
	case json_type_string:
		(void)snprintf(buf, size, "\"%.80s\"", json_object_get_string(value));
		return;
	case json_type_array:
		(void)snprintf(buf, size, "a list");
		return;
	case json_type_object:
		(void)snprintf(buf, size, "a mapping");
		return;
	}
}

static void fail_at(struct lw_fields *fields, unsigned int line, const char *text)
{
	if (fields->failed)
		return;
	fields->failed = true;
	fields->error_line = line ? line : fields->line;
	(void)snprintf(fields->error, sizeof(fields->error), "%s: %s", fields->path, text);
}

void lw_fields_fail(struct lw_fields *fields, struct json_object *value, const char *expected)
{
	char got[100], text[240];

	describe(value, got, sizeof(got));
	(void)snprintf(text, sizeof(text), "expected %.120s, got %s", expected, got);
	fail_at(fields, lw_tree_line(value), text);
}

void lw_fields_complain(struct lw_fields *fields, const char *format, ...)
{
	char text[240];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fail_at(fields, 0, text);
}

void lw_fields_flaw(struct lw_fields *fields, const char *text)
{
	struct lw_fields_flaw *flaw;

	if (++fields->nflaws > LW_FINDINGS_EACH)
		return;
	flaw = lw_fields_new(fields, struct lw_fields_flaw, 1);
	if (!flaw)
		return;
	flaw->line = fields->line;
	flaw->text = lw_arena_printf(fields->arena, "%s: %s", fields->path, text);
	if (!flaw->text) {
		fields->failed = fields->no_memory = true;
		return;
	}
	if (fields->last_flaw)
		fields->last_flaw->next = flaw;
	else
		fields->flaws = flaw;
	fields->last_flaw = flaw;
}

/* ---- where we are ---- */

static struct lw_fields_mark enter(struct lw_fields *fields, struct json_object *value,
				   const char *key, size_t i)
{
	struct lw_fields_mark mark = { strlen(fields->path), fields->line };
	char *end = fields->path + mark.path_len;
	size_t room = sizeof(fields->path) - mark.path_len;

	if (key)
		(void)snprintf(end, room, "%s%s", mark.path_len ? "." : "", key);
	else
		(void)snprintf(end, room, "[%zu]", i);
	if (lw_tree_line(value))
		fields->line = lw_tree_line(value);
	return mark;
}

struct lw_fields_mark lw_fields_enter(struct lw_fields *fields, struct json_object *value,
				      const char *key)
{
	return enter(fields, value, key, 0);
}

struct lw_fields_mark lw_fields_enter_index(struct lw_fields *fields, struct json_object *value,
					    size_t i)
{
	return enter(fields, value, NULL, i);
}

void lw_fields_leave(struct lw_fields *fields, struct lw_fields_mark mark)
{
	fields->path[mark.path_len] = '\0';
	fields->line = mark.line;
}

/* ---- getters ---- */

struct json_object *lw_fields_get(struct json_object *parent, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(parent, json_type_object))
		(void)json_object_object_get_ex(parent, key, &value);
	return value;
}

static void fail_member(struct lw_fields *fields, struct json_object *value, const char *key,
			const char *expected)
{
	struct lw_fields_mark mark = lw_fields_enter(fields, NULL, key);

	lw_fields_fail(fields, value, expected);
	lw_fields_leave(fields, mark);
}

/* The member if it is of the type; NULL and perhaps a failure if not. */
static struct json_object *typed(struct lw_fields *fields, struct json_object *parent,
				 const char *key, enum json_type type, bool needed,
				 const char *expected)
{
	struct json_object *value = lw_fields_get(parent, key);

	if (!value && !needed)
		return NULL;
	if (value && json_object_is_type(value, type))
		return value;
	fail_member(fields, value, key, expected);
	return NULL;
}

struct json_object *lw_fields_map(struct lw_fields *fields, struct json_object *parent,
				  const char *key, bool needed)
{
	return typed(fields, parent, key, json_type_object, needed, "a mapping");
}

struct json_object *lw_fields_array(struct lw_fields *fields, struct json_object *parent,
				    const char *key, size_t max, size_t *ret_n)
{
	struct json_object *value = typed(fields, parent, key, json_type_array, false, "a list");
	struct lw_fields_mark mark;

	*ret_n = value ? json_object_array_length(value) : 0;
	if (*ret_n <= max)
		return value;
	mark = lw_fields_enter(fields, value, key);
	lw_fields_complain(fields, "expected at most %zu items, got %zu", max, *ret_n);
	lw_fields_leave(fields, mark);
	*ret_n = 0;
	return NULL;
}

static const char *copy(struct lw_fields *fields, const char *s)
{
	const char *c = lw_arena_strdup(fields->arena, s);

	if (c)
		return c;
	fields->failed = fields->no_memory = true;
	return "";
}

const char *lw_fields_string(struct lw_fields *fields, struct json_object *parent, const char *key,
			     bool needed)
{
	struct json_object *value =
		typed(fields, parent, key, json_type_string, needed, "a string");

	if (!value)
		return "";
	if (needed && json_object_get_string_len(value) == 0)
		fail_member(fields, value, key, "a string that is not empty");
	if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value))
		fail_member(fields, value, key, "a string without a NUL");
	return copy(fields, json_object_get_string(value));
}

int64_t lw_fields_int(struct lw_fields *fields, struct json_object *parent, const char *key,
		      int64_t min, int64_t max, int64_t fallback)
{
	struct json_object *value = typed(fields, parent, key, json_type_int, false, "an integer");
	char expected[80];
	int64_t i;

	if (!value)
		return fallback;
	i = json_object_get_int64(value);
	if (i >= min && i <= max)
		return i;
	(void)snprintf(expected, sizeof(expected), "an integer from %lld to %lld", (long long)min,
		       (long long)max);
	fail_member(fields, value, key, expected);
	return fallback;
}

bool lw_fields_bool(struct lw_fields *fields, struct json_object *parent, const char *key)
{
	struct json_object *value =
		typed(fields, parent, key, json_type_boolean, false, "true or false");

	return value && json_object_get_boolean(value);
}

size_t lw_fields_enum(struct lw_fields *fields, struct json_object *parent, const char *key,
		      const char *const *names, size_t fallback)
{
	struct json_object *value = lw_fields_get(parent, key);
	char expected[120] = "";

	/* An empty string is what Go leaves of an absent one. */
	if (!value || (json_object_is_type(value, json_type_string) &&
		       json_object_get_string_len(value) == 0))
		return fallback;
	for (size_t i = 0; names[i]; i++) {
		size_t len = strlen(expected);

		if (json_object_is_type(value, json_type_string) &&
		    strcmp(json_object_get_string(value), names[i]) == 0)
			return i;
		(void)snprintf(expected + len, sizeof(expected) - len, "%s%s", i == 0 ? "" : " or ",
			       names[i]);
	}
	fail_member(fields, value, key, expected);
	return fallback;
}

void *lw_fields_alloc(struct lw_fields *fields, size_t count, size_t size)
{
	void *p = lw_arena_alloc(fields->arena, count, size);

	if (!p)
		fields->failed = fields->no_memory = true;
	return p;
}

struct lw_k8s_pairs lw_fields_pairs(struct lw_fields *fields, struct json_object *parent,
				    const char *key, const char *prefix)
{
	struct json_object *map = lw_fields_map(fields, parent, key, false);
	struct lw_k8s_pair *items;
	struct lw_fields_mark mark;
	size_t n = 0;

	if (!map)
		return (struct lw_k8s_pairs){};
	items = lw_fields_new(fields, struct lw_k8s_pair, (size_t)json_object_object_length(map));
	mark = lw_fields_enter(fields, map, key);
	json_object_object_foreach(map, name, value) {
		(void)value;
		if (!items || (prefix && strncmp(name, prefix, strlen(prefix)) != 0))
			continue;
		if (!value)
			fail_member(fields, NULL, name, "a string");
		items[n].key = copy(fields, name);
		items[n].value = lw_fields_string(fields, map, name, false);
		n++;
	}
	lw_fields_leave(fields, mark);
	return (struct lw_k8s_pairs){ items, n };
}

const char *const *lw_fields_strings(struct lw_fields *fields, struct json_object *parent,
				     const char *key, size_t max, size_t *ret_n)
{
	struct json_object *array = lw_fields_array(fields, parent, key, max, ret_n);
	struct lw_fields_mark outer, inner;
	const char **items;

	items = lw_fields_new(fields, const char *, *ret_n);
	if (!items) {
		*ret_n = 0;
		return NULL;
	}
	outer = lw_fields_enter(fields, array, key);
	for (size_t i = 0; i < *ret_n; i++) {
		struct json_object *value = json_object_array_get_idx(array, i);

		inner = lw_fields_enter_index(fields, value, i);
		if (!json_object_is_type(value, json_type_string))
			lw_fields_fail(fields, value, "a string");
		items[i] = copy(fields, value ? json_object_get_string(value) : "");
		lw_fields_leave(fields, inner);
	}
	lw_fields_leave(fields, outer);
	return items;
}
