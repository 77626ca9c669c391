/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/yaml_tree.h"

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

struct seen {
	size_t count, errors;
	char text[4096]; /* "N@LINE: JSON" or "N@LINE! error", a document a line */
	unsigned int line_of_key; /* of member "x" at the root */
};

static int see(const struct lw_tree_document *document, void *arg)
{
	struct json_object *x = NULL;
	struct seen *seen = arg;
	size_t len = strlen(seen->text);

	seen->count++;
	seen->errors += document->error != NULL;
	(void)snprintf(seen->text + len, sizeof(seen->text) - len, "%zu@%u%s %s\n",
		       document->number, document->line, document->error ? "!" : ":",
		       document->error ?
			       document->error :
			       json_object_to_json_string_ext(
				       document->root,
				       JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	if (json_object_is_type(document->root, json_type_object) &&
	    json_object_object_get_ex(document->root, "x", &x))
		seen->line_of_key = lw_tree_line(x);
	return 0;
}

static struct seen read_yaml_bytes(const char *yaml, size_t len)
{
	struct seen seen = {};

	assert_int_equal(lw_yaml_each(yaml, len, see, &seen), 0);
	return seen;
}

static struct seen read_yaml(const char *yaml)
{
	return read_yaml_bytes(yaml, strlen(yaml));
}

static struct seen read_json(const char *json)
{
	struct seen seen = {};

	assert_int_equal(lw_json_each(json, strlen(json), see, &seen), 0);
	return seen;
}

/* What `x: <scalar>` is in JSON. */
static void scalars_mean_what_they_mean_to_kubernetes(void **state)
{
	static const struct {
		const char *yaml, *json;
	} rows[] = {
		{ "", "null" },
		{ "~", "null" },
		{ "null", "null" },
		{ "NULL", "null" },
		{ "nUll", "\"nUll\"" },
		{ "true", "true" },
		{ "Yes", "true" },
		{ "on", "true" },
		{ "y", "true" },
		{ "off", "false" },
		{ "n", "false" },
		{ "tRue", "\"tRue\"" },
		{ "'true'", "\"true\"" },
		{ "\"on\"", "\"on\"" },
		{ "12", "12" },
		{ "-7", "-7" },
		{ "+7", "7" },
		{ "0x1F", "31" },
		{ "0o17", "15" },
		{ "017", "15" },
		{ "0b101", "5" },
		{ "1_000", "1000" },
		{ "0", "0" },
		{ "0899", "899.0" },
		{ "9223372036854775807", "9223372036854775807" },
		{ "-9223372036854775808", "-9223372036854775808" },
		{ "1e3", "1000.0" },
		{ "1.5", "1.5" },
		{ "1.2.3", "\"1.2.3\"" },
		{ "12ab", "\"12ab\"" },
		{ "-", NULL },
		{ "0x", "\"0x\"" },
		{ "1:30", "\"1:30\"" },
		{ "20%", "\"20%\"" },
		{ "2026-11-22T09:00:00Z", "\"2026-11-22T09:00:00Z\"" },
		{ "2026-11-22", "\"2026-11-22\"" },
		{ "10.0.0.1", "\"10.0.0.1\"" },
		{ "fd00::1", "\"fd00::1\"" },
		{ "!!str 12", "\"12\"" },
		{ "!!int '12'", "12" },
		{ "! 12", "\"12\"" },
		{ "'it''s'", "\"it's\"" },
		{ "\"a\\tb\\u00e9\"", "\"a\\tb\xc3\xa9\"" },
		{ "|\n  a\n  b", "\"a\\nb\"" },
		{ "|\n  a\n  b\n", "\"a\\nb\\n\"" },
		{ "|-\n  a\n   b\n", "\"a\\n b\"" },
		{ ">\n  a\n  b\n\n  c\n", "\"a b\\nc\\n\"" },
		{ "|+\n  a\n\n", "\"a\\n\\n\"" },
		{ "[1, two, 'three']", "[1,\"two\",\"three\"]" },
		{ "{a: 1, b: {c: }}", "{\"a\":1,\"b\":{\"c\":null}}" },
		{ "# nothing", "null" },
		{ "a # comment", "\"a\"" },
		{ "a#b", "\"a#b\"" },
	};
	char yaml[256], json[256];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct seen seen;

		(void)snprintf(yaml, sizeof(yaml), "x: %s", rows[i].yaml);
		seen = read_yaml(yaml);
		if (!rows[i].json) {
			assert_int_equal(seen.errors, 1);
			continue;
		}
		(void)snprintf(json, sizeof(json), "1@1: {\"x\":%s}\n", rows[i].json);
		if (strcmp(seen.text, json) != 0)
			fail_msg("%s: %s, not %s", rows[i].yaml, seen.text, json);
	}
}

static void anchors_and_merges(void **state)
{
	(void)state;
	assert_string_equal(read_yaml("a: &l {k: 1}\nb: *l\nc: [*l, *l]\n").text,
			    "1@1: {\"a\":{\"k\":1},\"b\":{\"k\":1},\"c\":[{\"k\":1},{\"k\":1}]}\n");
	assert_string_equal(read_yaml("a: &s word\nb: *s\n").text,
			    "1@1: {\"a\":\"word\",\"b\":\"word\"}\n");
	assert_string_equal(read_yaml("a: &l {k: 1, m: 2}\nb: {<<: *l, k: 3}\n").text,
			    "1@1: {\"a\":{\"k\":1,\"m\":2},\"b\":{\"k\":3,\"m\":2}}\n");
	assert_string_equal(read_yaml("b: {<<: [{k: 1}, {k: 2, m: 2}]}\n").text,
			    "1@1: {\"b\":{\"k\":1,\"m\":2}}\n");
	/* The last of a name counts, and a name of one document is none of the next's. */
	assert_string_equal(read_yaml("a: &x 1\nb: &x 2\nc: *x\n").text,
			    "1@1: {\"a\":1,\"b\":2,\"c\":2}\n");
	assert_string_equal(read_yaml("a: &x 1\n---\nb: *x\n").text,
			    "1@1: {\"a\":1}\n2@3! alias *x names no anchor\n");
	assert_string_equal(read_yaml("a: &x [1, *x]\n").text,
			    "1@1! alias *x is inside what it names\n");
	assert_string_equal(read_yaml("a: {<<: 1}\n").text,
			    "1@1! << wants a mapping, or a sequence of mappings\n");
}

static void aliases_of_aliases_end_somewhere(void **state)
{
	char yaml[2048] = "a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n";
	struct seen seen = {};

	(void)state;
	for (int i = 1; i <= 9; i++) {
		size_t len = strlen(yaml);

		(void)snprintf(yaml + len, sizeof(yaml) - len,
			       "a%d: &a%d [*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d,*a%d]\n", i,
			       i, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1,
			       i - 1);
	}
	assert_int_equal(lw_yaml_each(yaml, strlen(yaml), see, &seen), 0);
	assert_int_equal(seen.errors, 1);
	assert_non_null(strstr(seen.text, "aliases stand for more than 1000000 nodes"));
}

static int count(const struct lw_tree_document *document, void *arg)
{
	assert_null(document->error);
	*(size_t *)arg = json_object_array_length(document->root);
	return 0;
}

/* The one named first, behind many others. Looked for in a list of them it would take minutes. */
static void many_aliases_are_found_at_once(void **state)
{
	const int anchors = 50000, aliases = 500000;
	char *yaml = malloc(4 << 20), *at = yaml;
	size_t items = 0;
	clock_t begin;

	(void)state;
	assert_non_null(yaml);
	at += sprintf(at, "[&a x");
	for (int i = 0; i < anchors; i++)
		at += sprintf(at, ",&n%05d x", i);
	for (int i = 0; i < aliases; i++)
		at += sprintf(at, ",*a ");
	at += sprintf(at, "]\n");
	assert_true(at - yaml < 4 << 20);
	begin = clock();
	assert_int_equal(lw_yaml_each(yaml, (size_t)(at - yaml), count, &items), 0);
	assert_int_equal(items, 1 + anchors + aliases);
	assert_true((clock() - begin) / CLOCKS_PER_SEC < 20);
	free(yaml);
}

static void documents_stand_alone(void **state)
{
	struct seen seen;

	(void)state;
	seen = read_yaml("# first\na: 1\n---\nb: [1\n---\nc: 3\n...\n---\n# nothing\n---\nd: 4\n");
	assert_string_equal(seen.text,
			    "1@1: {\"a\":1}\n"
			    "2@5! while parsing a flow sequence: did not find expected ',' or ']'\n"
			    "3@5: {\"c\":3}\n4@8: null\n5@10: {\"d\":4}\n");
	seen = read_yaml("---\na: 1\n--- {b: 2}\n");
	assert_string_equal(seen.text, "1@1: {\"a\":1}\n2@3: {\"b\":2}\n");
	assert_string_equal(read_yaml("%YAML 1.1\n---\na: 1\n").text, "1@1: {\"a\":1}\n");
	assert_string_equal(read_yaml("\xef\xbb\xbf"
				      "a: 1\n")
				    .text,
			    "1@1: {\"a\":1}\n");
	assert_string_equal(read_yaml("a: 1\r\n---\r\nb: 2\r\n").text,
			    "1@1: {\"a\":1}\n2@2: {\"b\":2}\n");
	assert_string_equal(read_yaml("a: ----\n").text, "1@1: {\"a\":\"----\"}\n");
	assert_int_equal(read_yaml("").count, 0);
	assert_int_equal(read_yaml("# only\n\n  # comments\n").count, 0);
}

/* Documents are told apart by markers behind LF, in UTF-8: elsewhere a second one must not pass for the first. */
static void other_encodings_have_one_document(void **state)
{
	static const char one[] = "a: 1\n", two[] = "a: 1\n---\nb: 2\n";
	static const char second[] =
		"a second document in what is read as one: write the file as UTF-8";
	struct seen seen;

	(void)state;
	assert_string_equal(read_yaml("a: 1\rb: 2\r").text, "1@1: {\"a\":1,\"b\":2}\n");
	seen = read_yaml("a: 1\r---\rb: 2\r---\rc: 3\r");
	assert_int_equal(seen.count, 1);
	assert_int_equal(seen.errors, 1);
	assert_non_null(strstr(seen.text, "1@3! "));
	assert_non_null(strstr(seen.text, second));
	for (int n = 1; n <= 2; n++) {
		const char *text = n == 1 ? one : two;
		char wide[64] = "\xff\xfe";
		size_t len = 2;

		for (; *text; text++) {
			wide[len++] = *text;
			wide[len++] = '\0';
		}
		seen = read_yaml_bytes(wide, len);
		assert_int_equal(seen.count, 1);
		assert_int_equal(seen.errors, n - 1);
		assert_non_null(strstr(seen.text, n == 1 ? "{\"a\":1}" : second));
	}
}

static void errors_name_their_line(void **state)
{
	(void)state;
	assert_string_equal(read_yaml("a: 1\n---\nb: 1\nb: 2\n").text,
			    "1@1: {\"a\":1}\n2@4! key \"b\" stands twice in one mapping\n");
	assert_string_equal(
		read_yaml("a: 1\n\tb: 2\n").text,
		"1@2! while scanning a plain scalar: found a tab character that violates indentation\n");
	assert_string_equal(read_yaml("[1]: 2\n").text, "1@1! a key is no scalar\n");
	assert_int_equal(read_yaml("a: \"half").errors, 1);
	assert_int_equal(read_yaml("a: \x01\n").errors, 1);
}

static void values_know_their_line(void **state)
{
	(void)state;
	assert_int_equal(read_yaml("a: 1\nb:\n  c: 2\nx: 3\n").line_of_key, 4);
	assert_int_equal(read_yaml("a: 1\n---\n# c\nx:\n- 3\n").line_of_key, 5);
	assert_int_equal(
		read_json("{\"a\": [1, {\"x\": \"}\\\"\"}],\n \"b\": \"y\\\\\",\n\n\"x\": 3}")
			.line_of_key,
		4);
	assert_int_equal(read_json("{\n\"\\u0078\":\n 3}").line_of_key, 3);
	assert_int_equal(lw_tree_line(NULL), 0);
}

static void nesting_has_a_bound(void **state)
{
	char text[2 * 300 + 1];

	(void)state;
	for (int deep = 0; deep < 2; deep++) {
		size_t depth = deep ? 300 : 250;

		memset(text, '[', depth);
		memset(text + depth, ']', depth);
		text[2 * depth] = '\0';
		assert_int_equal(read_yaml(text).errors, deep);
		assert_int_equal(read_json(text).errors, deep);
	}
}

static void json_documents(void **state)
{
	struct seen seen;

	(void)state;
	assert_string_equal(read_json("{\"a\": 1}\n{\"b\": \"\\u00e9\\/\"} 12").text,
			    "1@1: {\"a\":1}\n2@2: {\"b\":\"\xc3\xa9/\"}\n3@2: 12\n");
	assert_string_equal(read_json(" \n").text, "");
	seen = read_json("{\"a\": 1,\n");
	assert_int_equal(seen.errors, 1);
	assert_non_null(strstr(seen.text, "the text ends in the middle of a value"));
	assert_int_equal(read_json("{\"a\": }").errors, 1);
	assert_int_equal(read_json("{'a': 1}").errors, 1);
	seen = read_json("{\"a\": 1}\n\n{\"a\": oops}");
	assert_int_equal(seen.errors, 1);
	assert_non_null(strstr(seen.text, "1@1: {\"a\":1}\n2@3! "));
}

static int stop(const struct lw_tree_document *document, void *arg)
{
	(void)document;
	++*(int *)arg;
	return 7;
}

static void the_reader_may_stop(void **state)
{
	int calls = 0;

	(void)state;
	assert_int_equal(lw_yaml_each("a: 1\n---\nb: 2\n", 15, stop, &calls), 7);
	assert_int_equal(lw_json_each("1 2", 3, stop, &calls), 7);
	assert_int_equal(calls, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(scalars_mean_what_they_mean_to_kubernetes),
		cmocka_unit_test(anchors_and_merges),
		cmocka_unit_test(aliases_of_aliases_end_somewhere),
		cmocka_unit_test(many_aliases_are_found_at_once),
		cmocka_unit_test(documents_stand_alone),
		cmocka_unit_test(other_encodings_have_one_document),
		cmocka_unit_test(errors_name_their_line),
		cmocka_unit_test(values_know_their_line),
		cmocka_unit_test(nesting_has_a_bound),
		cmocka_unit_test(json_documents),
		cmocka_unit_test(the_reader_may_stop),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
