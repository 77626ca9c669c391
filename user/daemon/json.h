/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * json-c, with less to write: building that cannot half fail, reading that takes NULL and the wrong
 * type for "not there".
 */
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/cleanup.h"

struct lw_addr;

#define _cleanup_json_ _cleanup_(lw_cleanup_json)

static inline void lw_cleanup_json(struct json_object **o)
{
	if (*o)
		(void)json_object_put(*o);
}

/* Member `key` of an object; NULL if there is none. Still the object's. */
struct json_object *lw_json_get(struct json_object *o, const char *key);
/* "" if not there or no string. */
const char *lw_json_str(struct json_object *o, const char *key);
/* 0 if not there or no number. */
int64_t lw_json_int(struct json_object *o, const char *key);
bool lw_json_bool(struct json_object *o, const char *key);
/* An array's length; 0 for all else. */
size_t lw_json_len(struct json_object *o);
struct json_object *lw_json_at(struct json_object *o, size_t i);

/*
 * Adding to an object (key) or an array (key NULL). Out of memory ends the process with one line: a
 * reply is made of thousands of small pieces, and half of one would be a wrong answer.
 */
struct json_object *lw_json_new_object(struct json_object *parent, const char *key);
struct json_object *lw_json_new_array(struct json_object *parent, const char *key);
void lw_json_add_str(struct json_object *parent, const char *key, const char *value);
void lw_json_add_int(struct json_object *parent, const char *key, int64_t value);
void lw_json_add_bool(struct json_object *parent, const char *key, bool value);
/* As lw_addr_format_port(). */
void lw_json_add_addr(struct json_object *parent, const char *key, const struct lw_addr *addr,
		      uint16_t port);
