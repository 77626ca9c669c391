/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/yaml_tree.h"

/* json-c keeps no lines: they are found by walking the text once more, beside what it made of it.
 */

struct cursor {
	const char *p, *end;
	unsigned int line;
};

static void skip_blanks(struct cursor *cursor)
{
	for (; cursor->p < cursor->end && strchr(" \t\r\n", *cursor->p) && *cursor->p; cursor->p++)
		cursor->line += *cursor->p == '\n';
}

/* Past the string that begins here; its bytes between the quotes in *ret. */
static void skip_string(struct cursor *cursor, const char **ret, size_t *ret_len)
{
	*ret = ++cursor->p;
	while (cursor->p < cursor->end && *cursor->p != '"') {
		cursor->p += *cursor->p == '\\';
		cursor->p++;
	}
	if (cursor->p > cursor->end)
		cursor->p = cursor->end;
	*ret_len = (size_t)(cursor->p - *ret);
	cursor->p++;
}

static struct json_object *member_of(struct json_object *map, const char *key, size_t len)
{
	struct json_object *value = NULL, *name;
	char *quoted, plain[256];

	if (len < sizeof(plain) && !memchr(key, '\\', len)) {
		memcpy(plain, key, len);
		plain[len] = '\0';
		(void)json_object_object_get_ex(map, plain, &value);
		return value;
	}
	if (asprintf(&quoted, "\"%.*s\"", (int)len, key) < 0)
		return NULL;
	name = json_tokener_parse(quoted);
	free(quoted);
	if (name)
		(void)json_object_object_get_ex(map, json_object_get_string(name), &value);
	(void)json_object_put(name);
	return value;
}

/*
 * Walks the text of a value that json-c has accepted, and gives its tree lines. value may be NULL.
 * False at what json-c lets pass though it is no JSON: a key in single quotes.
 */
static bool give_lines(struct cursor *cursor, struct json_object *value)
{
	const char *text;
	size_t len;

	skip_blanks(cursor);
	if (value)
		json_object_set_userdata(value, (void *)(uintptr_t)cursor->line, NULL);
	if (cursor->p >= cursor->end)
		return true;
	if (*cursor->p == '"') {
		skip_string(cursor, &text, &len);
	} else if (*cursor->p == '{' || *cursor->p == '[') {
		char close = *cursor->p == '{' ? '}' : ']';
		size_t i = 0;

		cursor->p++;
		for (skip_blanks(cursor); cursor->p < cursor->end && *cursor->p != close;
		     skip_blanks(cursor)) {
			struct json_object *item = NULL;

			if (*cursor->p == ',') {
				cursor->p++;
				continue;
			}
			if (close == ']') {
				if (json_object_is_type(value, json_type_array))
					item = json_object_array_get_idx(value, i++);
			} else if (*cursor->p != '"') {
				return false;
			} else {
				skip_string(cursor, &text, &len);
				if (json_object_is_type(value, json_type_object))
					item = member_of(value, text, len);
				skip_blanks(cursor);
				cursor->p++; /* the colon */
			}
			if (!give_lines(cursor, item))
				return false;
		}
		cursor->p++;
	} else {
		while (cursor->p < cursor->end && !strchr(" \t\r\n,]}", *cursor->p))
			cursor->p++;
	}
	return true;
}

int lw_json_each(const char *text, size_t len, lw_tree_cb cb, void *arg)
{
	struct cursor cursor = { text, text + len, 1 };
	struct json_tokener *tokener;
	size_t number = 0;
	int r = 0;

	tokener = json_tokener_new_ex(LW_TREE_DEPTH_MAX);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS |
						JSON_TOKENER_VALIDATE_UTF8);
	if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
		cursor.p += 3;
	for (skip_blanks(&cursor); r == 0 && cursor.p < cursor.end; skip_blanks(&cursor)) {
		struct lw_tree_document document = { .number = ++number, .line = cursor.line };
		size_t left = (size_t)(cursor.end - cursor.p);
		enum json_tokener_error error;
		bool ended;

		json_tokener_reset(tokener);
		document.root = json_tokener_parse_ex(tokener, cursor.p,
						      left > INT32_MAX ? INT32_MAX : (int)left);
		error = json_tokener_get_error(tokener);
		/* A number at the very end might go on. */
		ended = error == json_tokener_continue;
		if (ended) {
			document.root = json_tokener_parse_ex(tokener, "", -1);
			error = json_tokener_get_error(tokener);
		}
		if (error == json_tokener_success && give_lines(&cursor, document.root)) {
			/* The cursor is behind it. */
		} else if (error == json_tokener_success) {
			(void)json_object_put(document.root);
			document.root = NULL;
			document.line = cursor.line;
			document.error = "a key is not in double quotes";
			cursor.p = cursor.end;
		} else {
			size_t parsed = ended ? left : json_tokener_get_parse_end(tokener);

			for (size_t i = 0; i < parsed && i < left; i++)
				document.line += cursor.p[i] == '\n';
			document.error = ended ? "the text ends in the middle of a value" :
						 json_tokener_error_desc(error);
			cursor.p = cursor.end;
		}
		r = cb(&document, arg);
		(void)json_object_put(document.root);
	}
	json_tokener_free(tokener);
	return r;
}
