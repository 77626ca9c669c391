/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Reading typed fields out of a tree, for objects.c and objects_rollouts.c: every getter knows
 * where it is, and the first field that is not as it should be is the object's one finding. Once
 * that has happened, getters go on giving harmless values: callers look at `failed` at the end
 * only.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/k8s.h"

struct json_object;

#define LW_FIELDS_PATH_LEN 256

struct lw_fields {
	struct lw_arena *arena; /* what is read is copied there */
	bool failed;
	bool no_memory;
	unsigned int line; /* of the innermost thing that has one */
	char path[LW_FIELDS_PATH_LEN]; /* "spec.ports[0].port" */
	char error[512]; /* "spec.ports[0].port: expected an integer, got nothing" */
	unsigned int error_line;
	/* in the order of the object; LW_FINDINGS_EACH of them */
	struct lw_fields_flaw *flaws, *last_flaw;
	size_t nflaws; /* all of them */
	size_t regex_work; /* what the regular expressions so far took */
	bool regex_refused; /* that it is too much has been told */
};

/* Something is wrong with a part, and the object can do without it. */
struct lw_fields_flaw {
	struct lw_fields_flaw *next;
	unsigned int line;
	const char *text; /* as error has it */
};

/* Says what is wrong with the field at path, for the first time. */
void lw_fields_fail(struct lw_fields *fields, struct json_object *value, const char *expected);
/* The same in free words. */
void lw_fields_complain(struct lw_fields *fields, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* It is told, and does not fail the object. */
void lw_fields_flaw(struct lw_fields *fields, const char *text);

/* Where path was, to go back to. */
struct lw_fields_mark {
	size_t path_len;
	unsigned int line;
};
struct lw_fields_mark lw_fields_enter(struct lw_fields *fields, struct json_object *value,
				      const char *key);
struct lw_fields_mark lw_fields_enter_index(struct lw_fields *fields, struct json_object *value,
					    size_t i);
void lw_fields_leave(struct lw_fields *fields, struct lw_fields_mark mark);

/* The member, or NULL: absent, null, or parent is NULL. */
struct json_object *lw_fields_get(struct json_object *parent, const char *key);

/*
 * Members by type. Absent and null are the same, and give NULL, "" or fallback; `needed` makes that
 * a failure. The containers are to be read between enter and leave.
 */
struct json_object *lw_fields_map(struct lw_fields *fields, struct json_object *parent,
				  const char *key, bool needed);
/* *ret_n: its items, 0 if absent; more than max is a failure. */
struct json_object *lw_fields_array(struct lw_fields *fields, struct json_object *parent,
				    const char *key, size_t max, size_t *ret_n);
const char *lw_fields_string(struct lw_fields *fields, struct json_object *parent, const char *key,
			     bool needed);
int64_t lw_fields_int(struct lw_fields *fields, struct json_object *parent, const char *key,
		      int64_t min, int64_t max, int64_t fallback);
bool lw_fields_bool(struct lw_fields *fields, struct json_object *parent, const char *key);
/* One of the NULL-terminated names: its index; fallback if absent. */
size_t lw_fields_enum(struct lw_fields *fields, struct json_object *parent, const char *key,
		      const char *const *names, size_t fallback);
/* A mapping of strings. prefix: only keys that begin so (NULL: all). */
struct lw_k8s_pairs lw_fields_pairs(struct lw_fields *fields, struct json_object *parent,
				    const char *key, const char *prefix);
const char *const *lw_fields_strings(struct lw_fields *fields, struct json_object *parent,
				     const char *key, size_t max, size_t *ret_n);
/* A zeroed array; NULL, and failed set, when out of memory. */
void *lw_fields_alloc(struct lw_fields *fields, size_t count, size_t size);
#define lw_fields_new(fields, type, count) ((type *)lw_fields_alloc(fields, count, sizeof(type)))

/* objects_rollouts.c: the parts of Rollout and TrafficRouting. version: "v1alpha1", "v1beta1". */
void lw_objects_rollout(struct lw_fields *fields, struct json_object *root, const char *version,
			struct lw_k8s_object *object);
void lw_objects_traffic_routing(struct lw_fields *fields, struct json_object *root,
				struct lw_k8s_object *object);
