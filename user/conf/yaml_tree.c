/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/yaml_tree.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/cleanup.h"
#include "core/bytemap.h"

#define TAG_PREFIX "tag:yaml.org,2002:"

struct anchor {
	struct anchor *next;
	struct json_object *value;
	size_t nodes;
	bool whole; /* false while what it names is still being read */
};

struct reader {
	yaml_parser_t parser;
	unsigned int first_line; /* of the text given to the parser, from 0 */
	struct anchor *anchors;
	struct lw_bytemap by_name; /* the last anchor of each */
	size_t alias_nodes;
	unsigned int error_line;
	char error[200];
};

unsigned int lw_tree_line(struct json_object *value)
{
	return value ? (unsigned int)(uintptr_t)json_object_get_userdata(value) : 0;
}

static void set_line(struct json_object *value, unsigned int line)
{
	if (value)
		json_object_set_userdata(value, (void *)(uintptr_t)line, NULL);
}

static int fail(struct reader *reader, size_t line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static int fail(struct reader *reader, size_t line, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reader->error, sizeof(reader->error), format, args);
	va_end(args);
	reader->error_line = reader->first_line + (unsigned int)line + 1;
	return -EINVAL;
}

static int next_event(struct reader *reader, yaml_event_t *event)
{
	const yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(&reader->parser, event))
		return 0;
	if (parser->error == YAML_MEMORY_ERROR)
		return -ENOMEM;
	if (parser->error == YAML_READER_ERROR)
		return fail(reader, parser->mark.line, "%s", parser->problem);
	return fail(reader, parser->problem_mark.line, "%s%s%s",
		    parser->context ? parser->context : "", parser->context ? ": " : "",
		    parser->problem ? parser->problem : "not YAML");
}

/* ---- scalars ---- */

static bool among(const char *s, const char *const *list)
{
	for (; *list; list++) {
		if (strcmp(s, *list) == 0)
			return true;
	}
	return false;
}

static bool is_null(const char *s)
{
	return among(s, (const char *const[]){ "", "~", "null", "Null", "NULL", NULL });
}

static bool to_bool(const char *s, bool *ret)
{
	static const char *const yes[] = { "y",	   "Y",	   "yes", "Yes", "YES", "true",
					   "True", "TRUE", "on",  "On",	 "ON",	NULL };
	static const char *const no[] = { "n",	   "N",	    "no",  "No",  "NO",	 "false",
					  "False", "FALSE", "off", "Off", "OFF", NULL };

	*ret = among(s, yes);
	return *ret || among(s, no);
}

/* As Go's strconv.ParseInt(s, 0, 64) once underscores are gone: 12, 0x1f, 0o17, 017, 0b11. */
static bool to_int(const char *s, int64_t *ret)
{
	bool negative = *s == '-';
	uint64_t limit, value = 0;
	unsigned int base = 10;

	if (*s == '-' || *s == '+')
		s++;
	if (s[0] == '0' && s[1] != '\0') {
		base = s[1] == 'x' || s[1] == 'X' ? 16 : s[1] == 'b' || s[1] == 'B' ? 2 : 8;
		s += base != 8 || s[1] == 'o' || s[1] == 'O' ? 2 : 1;
	}
	limit = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
	if (*s == '\0')
		return false;
	for (; *s; s++) {
		unsigned int digit = *s >= '0' && *s <= '9' ? (unsigned int)(*s - '0') :
				     *s >= 'a' && *s <= 'f' ? (unsigned int)(*s - 'a' + 10) :
				     *s >= 'A' && *s <= 'F' ? (unsigned int)(*s - 'A' + 10) :
							      99;

		if (digit >= base || value > (limit - digit) / base)
			return false;
		value = value * base + digit;
	}
	*ret = negative ? (int64_t)(0 - value) : (int64_t)value;
	return true;
}

/* [-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?, and the infinities. */
static bool to_float(const char *s, double *ret)
{
	static const char *const plus[] = {
		".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF", NULL
	};
	static const char *const minus[] = { "-.inf", "-.Inf", "-.INF", NULL };
	static const char *const none[] = { ".nan", ".NaN", ".NAN", NULL };
	const char *p = s;
	size_t before, after = 0;

	if (among(s, plus) || among(s, minus)) {
		*ret = *s == '-' ? -INFINITY : INFINITY;
		return true;
	}
	if (among(s, none)) {
		*ret = NAN;
		return true;
	}
	p += *p == '-' || *p == '+';
	before = strspn(p, "0123456789");
	p += before;
	if (*p == '.') {
		after = strspn(++p, "0123456789");
		p += after;
	}
	if (before + after == 0)
		return false;
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		before = strspn(p, "0123456789");
		if (before == 0)
			return false;
		p += before;
	}
	if (*p != '\0')
		return false;
	*ret = strtod(s, NULL);
	return true;
}

static bool looks_like_number(const char *s)
{
	return *s && strchr("0123456789+-.", *s);
}

static void strip_underscores(char *s)
{
	char *to = s;

	for (; *s; s++) {
		if (*s != '_')
			*to++ = *s;
	}
	*to = '\0';
}

/* What a plain scalar without a tag means. *ret may become NULL: null. */
static int resolve(const char *s, size_t len, struct json_object **ret)
{
	_cleanup_free_ char *number = NULL;
	int64_t i;
	double d;
	bool b;

	if (strlen(s) == len && is_null(s)) {
		*ret = NULL;
		return 0;
	}
	if (strlen(s) != len)
		*ret = json_object_new_string_len(s, (int)len);
	else if (to_bool(s, &b))
		*ret = json_object_new_boolean(b);
	else if (looks_like_number(s)) {
		number = strdup(s);
		if (!number)
			return -ENOMEM;
		strip_underscores(number);
		if (to_int(number, &i))
			*ret = json_object_new_int64(i);
		else if (to_float(number, &d))
			*ret = json_object_new_double(d);
		else
			*ret = json_object_new_string_len(s, (int)len);
	} else {
		*ret = json_object_new_string_len(s, (int)len);
	}
	return *ret ? 0 : -ENOMEM;
}

static int read_scalar(struct reader *reader, const yaml_event_t *event, struct json_object **ret)
{
	const char *s = (const char *)event->data.scalar.value,
		   *tag = (const char *)event->data.scalar.tag;
	static const char *const resolved[] = { TAG_PREFIX "int", TAG_PREFIX "float",
						TAG_PREFIX "bool", TAG_PREFIX "null", NULL };
	size_t len = event->data.scalar.length;

	(void)reader;
	if ((event->data.scalar.plain_implicit && !tag) || (tag && among(tag, resolved)))
		return resolve(s, len, ret);
	*ret = json_object_new_string_len(s, (int)len);
	return *ret ? 0 : -ENOMEM;
}

/* ---- anchors ---- */

static int add_anchor(struct reader *reader, const yaml_char_t *name, struct anchor **ret)
{
	struct anchor *anchor;

	*ret = NULL;
	if (!name)
		return 0;
	anchor = calloc(1, sizeof(*anchor));
	if (!anchor)
		return -ENOMEM;
	anchor->next = reader->anchors;
	reader->anchors = anchor;
	*ret = anchor;
	return lw_bytemap_put(&reader->by_name, &LW_BYTES_STR((const char *)name), 1, anchor);
}

static void set_anchor(struct anchor *anchor, struct json_object *value, size_t nodes)
{
	if (!anchor)
		return;
	anchor->value = json_object_get(value);
	anchor->nodes = nodes;
	anchor->whole = true;
}

static void free_anchors(struct reader *reader)
{
	struct anchor *anchor, *next;

	for (anchor = reader->anchors; anchor; anchor = next) {
		next = anchor->next;
		(void)json_object_put(anchor->value);
		free(anchor);
	}
	lw_bytemap_clear(&reader->by_name);
}

static int read_alias(struct reader *reader, const yaml_event_t *event, struct json_object **ret,
		      size_t *ret_nodes)
{
	const char *name = (const char *)event->data.alias.anchor;
	const struct anchor *anchor = lw_bytemap_get(&reader->by_name, &LW_BYTES_STR(name), 1);

	if (!anchor)
		return fail(reader, event->start_mark.line, "alias *%.60s names no anchor", name);
	if (!anchor->whole)
		return fail(reader, event->start_mark.line, "alias *%.60s is inside what it names",
			    name);
	reader->alias_nodes += anchor->nodes;
	if (reader->alias_nodes > LW_TREE_ALIAS_NODES_MAX)
		return fail(reader, event->start_mark.line, "aliases stand for more than %d nodes",
			    LW_TREE_ALIAS_NODES_MAX);
	*ret = json_object_get(anchor->value);
	*ret_nodes = anchor->nodes;
	return 0;
}

/* ---- collections ---- */

static int read_node(struct reader *reader, yaml_event_t *event, unsigned int depth,
		     struct json_object **ret, size_t *ret_nodes);

static int read_next(struct reader *reader, unsigned int depth, struct json_object **ret,
		     size_t *ret_nodes)
{
	yaml_event_t event;
	int r;

	r = next_event(reader, &event);
	if (r < 0)
		return r;
	r = read_node(reader, &event, depth, ret, ret_nodes);
	yaml_event_delete(&event);
	return r;
}

static int read_sequence(struct reader *reader, unsigned int depth, struct json_object *array,
			 size_t *nodes)
{
	for (;;) {
		struct json_object *item = NULL;
		yaml_event_t event;
		size_t n = 0;
		int r;

		r = next_event(reader, &event);
		if (r < 0)
			return r;
		if (event.type == YAML_SEQUENCE_END_EVENT) {
			yaml_event_delete(&event);
			return 0;
		}
		r = read_node(reader, &event, depth, &item, &n);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
		*nodes += n;
		if (json_object_array_add(array, item) < 0) {
			(void)json_object_put(item);
			return -ENOMEM;
		}
	}
}

/* Members of a mapping, or of the mappings in a sequence, that map has not got itself. */
static int merge(struct reader *reader, size_t line, struct json_object *map,
		 struct json_object *from)
{
	if (json_object_is_type(from, json_type_object)) {
		json_object_object_foreach(from, key, value) {
			if (json_object_object_get_ex(map, key, NULL))
				continue;
			if (json_object_object_add(map, key, json_object_get(value)) < 0) {
				(void)json_object_put(value);
				return -ENOMEM;
			}
		}
		return 0;
	}
	if (!json_object_is_type(from, json_type_array))
		return fail(reader, line, "<< wants a mapping, or a sequence of mappings");
	for (size_t i = 0; i < json_object_array_length(from); i++) {
		struct json_object *item = json_object_array_get_idx(from, i);
		int r;

		if (!json_object_is_type(item, json_type_object))
			return fail(reader, line, "<< wants a mapping, or a sequence of mappings");
		r = merge(reader, line, map, item);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_member(struct reader *reader, const yaml_event_t *key, unsigned int depth,
		       struct json_object *map, struct json_object *merged, size_t *nodes)
{
	const char *name = (const char *)key->data.scalar.value;
	struct json_object *value = NULL;
	size_t n = 0;
	int r;

	r = read_next(reader, depth, &value, &n);
	if (r < 0)
		return r;
	*nodes += n;
	if (strlen(name) != key->data.scalar.length) {
		r = fail(reader, key->start_mark.line, "a key holds a NUL");
	} else if (strcmp(name, "<<") == 0 && key->data.scalar.plain_implicit) {
		/* Added once the mapping's own members are known: those count. */
		r = json_object_array_add(merged, value) < 0 ? -ENOMEM : 0;
		if (r == 0)
			return 0;
	} else if (json_object_object_get_ex(map, name, NULL)) {
		r = fail(reader, key->start_mark.line, "key \"%.100s\" stands twice in one mapping",
			 name);
	} else {
		r = json_object_object_add(map, name, value) < 0 ? -ENOMEM : 0;
		if (r == 0)
			return 0;
	}
	(void)json_object_put(value);
	return r;
}

static int read_mapping(struct reader *reader, unsigned int depth, struct json_object *map,
			size_t *nodes)
{
	struct json_object *merged = json_object_new_array();
	size_t line = 0;
	int r = merged ? 0 : -ENOMEM;

	while (r == 0) {
		yaml_event_t key;

		r = next_event(reader, &key);
		if (r < 0)
			break;
		line = key.start_mark.line;
		if (key.type == YAML_MAPPING_END_EVENT) {
			yaml_event_delete(&key);
			break;
		}
		if (key.type == YAML_SCALAR_EVENT)
			r = read_member(reader, &key, depth, map, merged, nodes);
		else
			r = fail(reader, line, "a key is no scalar");
		yaml_event_delete(&key);
	}
	for (size_t i = 0; r == 0 && i < json_object_array_length(merged); i++)
		r = merge(reader, line, map, json_object_array_get_idx(merged, i));
	(void)json_object_put(merged);
	return r;
}

static int read_collection(struct reader *reader, const yaml_event_t *event, unsigned int depth,
			   struct json_object **ret, size_t *nodes)
{
	bool is_map = event->type == YAML_MAPPING_START_EVENT;
	struct json_object *value;
	int r;

	if (depth >= LW_TREE_DEPTH_MAX)
		return fail(reader, event->start_mark.line, "nested deeper than %d",
			    LW_TREE_DEPTH_MAX);
	value = is_map ? json_object_new_object() : json_object_new_array();
	if (!value)
		return -ENOMEM;
	set_line(value, reader->first_line + (unsigned int)event->start_mark.line + 1);
	r = is_map ? read_mapping(reader, depth + 1, value, nodes) :
		     read_sequence(reader, depth + 1, value, nodes);
	if (r < 0)
		(void)json_object_put(value);
	else
		*ret = value;
	return r;
}

static int read_node(struct reader *reader, yaml_event_t *event, unsigned int depth,
		     struct json_object **ret, size_t *ret_nodes)
{
	struct json_object *value = NULL;
	struct anchor *anchor = NULL;
	size_t nodes = 1;
	int r;

	switch (event->type) {
	case YAML_ALIAS_EVENT:
		return read_alias(reader, event, ret, ret_nodes);
	case YAML_SCALAR_EVENT:
		r = add_anchor(reader, event->data.scalar.anchor, &anchor);
		if (r == 0)
			r = read_scalar(reader, event, &value);
		if (r == 0)
			set_line(value,
				 reader->first_line + (unsigned int)event->start_mark.line + 1);
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		r = add_anchor(reader,
			       event->type == YAML_MAPPING_START_EVENT ?
				       event->data.mapping_start.anchor :
				       event->data.sequence_start.anchor,
			       &anchor);
		if (r == 0)
			r = read_collection(reader, event, depth, &value, &nodes);
		break;
	default:
		r = fail(reader, event->start_mark.line, "a value is missing");
		break;
	}
	if (r < 0)
		return r;
	set_anchor(anchor, value, nodes);
	*ret = value;
	*ret_nodes = nodes;
	return 0;
}

/* ---- documents ---- */

static int read_document(struct reader *reader, struct json_object **ret)
{
	bool seen = false;

	for (;;) {
		yaml_event_type_t type;
		yaml_event_t event;
		size_t nodes;
		int r;

		r = next_event(reader, &event);
		if (r < 0)
			return r;
		type = event.type;
		if (type == YAML_STREAM_END_EVENT || type == YAML_STREAM_START_EVENT ||
		    type == YAML_DOCUMENT_START_EVENT || type == YAML_DOCUMENT_END_EVENT) {
			yaml_event_delete(&event);
			if (type == YAML_STREAM_END_EVENT)
				return 0;
			continue;
		}
		/* lw_yaml_each() has cut documents apart where it knows the ends of lines; the parser knows more of them. */
		if (seen) {
			r = fail(
				reader, event.start_mark.line,
				"a second document in what is read as one: write the file as UTF-8, with LF or CRLF at the ends of lines");
			yaml_event_delete(&event);
			return r;
		}
		seen = true;
		r = read_node(reader, &event, 0, ret, &nodes);
		yaml_event_delete(&event);
		if (r < 0)
			return r;
	}
}

static int hand_on(const char *text, size_t len, size_t number, unsigned int first_line,
		   lw_tree_cb cb, void *arg)
{
	struct lw_tree_document document = { .number = number, .line = first_line + 1 };
	struct reader reader = { .first_line = first_line };
	int r;

	if (!yaml_parser_initialize(&reader.parser))
		return -ENOMEM;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
	r = read_document(&reader, &document.root);
	if (r == -EINVAL) {
		(void)json_object_put(document.root);
		document.root = NULL;
		document.error = reader.error;
		document.line = reader.error_line;
	}
	if (r == 0 || r == -EINVAL)
		r = cb(&document, arg);
	(void)json_object_put(document.root);
	free_anchors(&reader);
	yaml_parser_delete(&reader.parser);
	return r;
}

/* "---" or "..." at the start of a line, with a blank or the line's end after it. */
static bool is_marker(const char *line, size_t len, const char *marker)
{
	return len >= 3 && memcmp(line, marker, 3) == 0 && (len == 3 || strchr(" \t\r\n", line[3]));
}

/*
 * Documents are cut apart here and parsed one by one: the parser cannot go on after an error, and a
 * marker at the start of a line ends a document whatever it is in the middle of.
 */
int lw_yaml_each(const char *text, size_t len, lw_tree_cb cb, void *arg)
{
	size_t start = 0, at = 0, number = 0;
	unsigned int line = 0, first_line = 0;
	bool begun = false; /* a document, not only comments and directives before one */
	int r = 0;

	while (at < len && r == 0) {
		const char *eol = memchr(text + at, '\n', len - at);
		size_t end = eol ? (size_t)(eol - text) + 1 : len;
		bool is_start = is_marker(text + at, end - at, "---");
		bool is_end = is_marker(text + at, end - at, "...");

		if (begun && (is_start || is_end)) {
			r = hand_on(text + start, at - start, ++number, first_line, cb, arg);
			begun = false;
			start = is_end ? end : at;
			first_line = is_end ? line + 1 : line;
		}
		if (is_start) {
			begun = true;
		} else if (!is_end && !begun) {
			const char *p = text + at, *stop = text + end;

			while (p < stop && strchr(" \t\r\n", *p) && *p)
				p++;
			begun = p < stop && *p != '#' && *p != '%';
		}
		at = end;
		line++;
	}
	if (r == 0 && begun)
		r = hand_on(text + start, len - start, ++number, first_line, cb, arg);
	return r;
}
