/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/json.h"

#include <string.h>

#include "base/addr.h"
#include "base/log.h"
#include "base/str.h"

struct json_object *lw_json_get(struct json_object *o, const char *key)
{
	struct json_object *value = NULL;

	if (json_object_is_type(o, json_type_object))
		(void)json_object_object_get_ex(o, key, &value);
	return value;
}

const char *lw_json_str(struct json_object *o, const char *key)
{
	struct json_object *value = lw_json_get(o, key);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";
}

int64_t lw_json_int(struct json_object *o, const char *key)
{
	struct json_object *value = lw_json_get(o, key);

	return json_object_is_type(value, json_type_int) ? json_object_get_int64(value) : 0;
}

bool lw_json_bool(struct json_object *o, const char *key)
{
	struct json_object *value = lw_json_get(o, key);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

size_t lw_json_len(struct json_object *o)
{
	return json_object_is_type(o, json_type_array) ? json_object_array_length(o) : 0;
}

struct json_object *lw_json_at(struct json_object *o, size_t i)
{
	return i < lw_json_len(o) ? json_object_array_get_idx(o, i) : NULL;
}

static void *must(void *p)
{
	if (!p) {
		lw_error("out of memory while writing JSON");
		abort();
	}
	return p;
}

static void add_to(struct json_object *parent, const char *key, struct json_object *value)
{
	int r = key ? json_object_object_add(parent, key, value) :
		      json_object_array_add(parent, value);

	(void)must(r == 0 ? parent : NULL);
}

struct json_object *lw_json_new_object(struct json_object *parent, const char *key)
{
	struct json_object *o = must(json_object_new_object());

	if (parent)
		add_to(parent, key, o);
	return o;
}

struct json_object *lw_json_new_array(struct json_object *parent, const char *key)
{
	struct json_object *o = must(json_object_new_array());

	if (parent)
		add_to(parent, key, o);
	return o;
}

void lw_json_add_str(struct json_object *parent, const char *key, const char *value)
{
	static const char replacement[] = "\xef\xbf\xbd";
	size_t bad = 0, at = 0;
	_cleanup_free_ char *clean = NULL;

	/* json-c writes out what it is given; names and headers need not be UTF-8. */
	for (const char *p = value; *p;) {
		size_t len = lw_str_utf8_len(p);

		bad += len == 0;
		p += len ? len : 1;
	}
	if (bad == 0) {
		add_to(parent, key, must(json_object_new_string(value)));
		return;
	}
	clean = must(malloc(strlen(value) + bad * 2 + 1));
	while (*value) {
		size_t len = lw_str_utf8_len(value);

		if (len == 0) {
			memcpy(clean + at, replacement, 3);
			at += 3;
			value++;
			continue;
		}
		memcpy(clean + at, value, len);
		at += len;
		value += len;
	}
	clean[at] = '\0';
	add_to(parent, key, must(json_object_new_string(clean)));
}

void lw_json_add_int(struct json_object *parent, const char *key, int64_t value)
{
	add_to(parent, key, must(json_object_new_int64(value)));
}

void lw_json_add_bool(struct json_object *parent, const char *key, bool value)
{
	add_to(parent, key, must(json_object_new_boolean(value)));
}

void lw_json_add_addr(struct json_object *parent, const char *key, const struct lw_addr *addr,
		      uint16_t port)
{
	char buf[LW_ADDR_STRLEN];

	lw_json_add_str(parent, key, lw_addr_format_port(addr, port, buf));
}
