/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* Members of JSON objects that somebody else has written: any may be missing, or of another type. */
#include <json-c/json.h>

/* NULL: map is no object, or has no such member of that type. It belongs to map. */
static inline struct json_object *lw_kube_member(struct json_object *map, const char *key,
						 enum json_type type)
{
	struct json_object *value = NULL;

	if (json_object_is_type(map, json_type_object))
		(void)json_object_object_get_ex(map, key, &value);
	return json_object_is_type(value, type) ? value : NULL;
}

/* A string, or "". It belongs to map. */
static inline const char *lw_kube_text(struct json_object *map, const char *key)
{
	struct json_object *value = lw_kube_member(map, key, json_type_string);

	return value ? json_object_get_string(value) : "";
}
