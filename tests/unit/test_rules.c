/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entry rules as the kernel gets them, run by a small evaluator of its own over path, query and
 * headers.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "../harness/dfa_match.h"
#include "core/image.h"
#include "core/regex.h"
#include "core/rules.h"
#include "laneway/names.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
/* clang-format off */
#define LIST(type, ...) (type[]){ __VA_ARGS__ }
#define COUNT(type, ...) N(((type[]){ __VA_ARGS__ }))
#define CONDS(...) .conds = LIST(struct lw_rules_cond, __VA_ARGS__), .nconds = COUNT(struct lw_rules_cond, __VA_ARGS__)
#define SET(...) .set = LIST(struct lw_rules_mod, __VA_ARGS__), .nset = COUNT(struct lw_rules_mod, __VA_ARGS__)
#define ADD(...) .add = LIST(struct lw_rules_mod, __VA_ARGS__), .nadd = COUNT(struct lw_rules_mod, __VA_ARGS__)
#define REMOVE(...) .remove = LIST(const char *, __VA_ARGS__), .nremove = COUNT(const char *, __VA_ARGS__)
#define HEADER(name, value) { LW_SUBJECT_HEADER, LW_OP_EXACT, name, value }
#define HEADER_RE(name, value) { LW_SUBJECT_HEADER, LW_OP_REGEX, name, value }
#define COOKIE(name, value) { LW_SUBJECT_COOKIE, LW_OP_EXACT, name, value }
#define COOKIE_RE(name, value) { LW_SUBJECT_COOKIE, LW_OP_REGEX, name, value }
#define QUERY(name, value) { LW_SUBJECT_QUERY, LW_OP_EXACT, name, value }
#define QUERY_RE(name, value) { LW_SUBJECT_QUERY, LW_OP_REGEX, name, value }
#define PATH(op, value) { LW_SUBJECT_PATH, LW_OP_##op, NULL, value }
/* clang-format on */

struct fixture {
	struct lw_rules *rules;
	struct lw_image *image;
	char err[256];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(lw_rules_new(&f->rules), 0);
	assert_int_equal(lw_image_new(&f->image), 0);
	assert_int_equal(
		lw_rules_lane(f->rules, 1, "gray", "x-mse-tag", "gray", f->err, sizeof(f->err)), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_rules_free(&f->rules);
	lw_rules_free(&f->rules);
	lw_image_free(&f->image);
	lw_regex_cache_clear();
	free(f);
	return 0;
}

static uint32_t add(struct fixture *f, const struct lw_rules_entry *entries, size_t n)
{
	uint32_t entry = UINT32_MAX;

	if (lw_rules_workload(f->rules, entries, n, &entry, f->err, sizeof(f->err)))
		fail_msg("%s", f->err);
	return entry;
}

static void finish(struct fixture *f)
{
	assert_int_equal(lw_rules_finish(f->rules, f->image), 0);
	assert_int_equal(lw_image_seal(f->image), 0);
}

static const void *get(struct fixture *f, enum lw_table_id table, uint32_t id)
{
	struct lw_slot_key key = { .id = id };

	return lw_image_get(f->image, table, &key);
}

/* The lane that the tag names; 0: none. */
static uint32_t tagged(struct fixture *f, unsigned header, const char *value)
{
	struct lw_tag_key key = { .header = (__u16)header, .len = (__u16)strlen(value) };
	const struct lw_tag *tag;

	memcpy(key.value, value, key.len);
	tag = lw_image_get(f->image, LW_TABLE_TAGS, &key);
	return tag ? tag->lane : 0;
}

static unsigned header_id(struct fixture *f, const char *name)
{
	const struct lw_names *names = get(f, LW_TABLE_NAMES, 0);
	__u16 state = LW_NAMES_START;

	assert_non_null(names);
	for (; *name; name++)
		state = lw_names_next(names, state, *name);
	return lw_names_id(names, state);
}

/* ---- the evaluator ---- */

struct request {
	unsigned dice; /* 0..99 */
	const char *target;
	const char *headers[8][2];
};

/* Finds "name=value" among parts set apart by sep; blanks before a part are skipped. */
static const char *find_pair(const char *text, char sep, const char *name, size_t name_len,
			     size_t *len)
{
	for (;;) {
		size_t part;

		if (sep == ';')
			text += strspn(text, " \t");
		part = strcspn(text, sep == ';' ? ";" : "&#");
		if (part >= name_len && !memcmp(text, name, name_len) &&
		    (part == name_len || text[name_len] == '=')) {
			*len = part > name_len ? part - name_len - 1 : 0;
			return text + name_len + (part > name_len);
		}
		if (text[part] != sep)
			return NULL;
		text += part + 1;
	}
}

static const char *subject(struct fixture *f, const struct lw_step *step, const struct request *q,
			   size_t *len)
{
	size_t path = strcspn(q->target, "?#");

	switch (step->subject) {
	case LW_SUBJECT_PATH:
		*len = path;
		return q->target;
	case LW_SUBJECT_QUERY:
		return q->target[path] == '?' ? find_pair(q->target + path + 1, '&', step->name,
							  step->name_len, len) :
						NULL;
	}
	for (size_t i = 0; i < N(q->headers) && q->headers[i][0]; i++) {
		unsigned id = header_id(f, q->headers[i][0]);
		const char *value = q->headers[i][1];

		if (step->subject == LW_SUBJECT_HEADER && id == step->header_id) {
			*len = strlen(value);
			return value;
		}
		if (step->subject == LW_SUBJECT_COOKIE && id == LW_HDR_COOKIE) {
			value = find_pair(value, ';', step->name, step->name_len, len);
			if (value)
				return value;
		}
	}
	return NULL;
}

static bool holds(struct fixture *f, const struct lw_step *step, const struct request *q)
{
	const struct lw_dfa *dfa;
	const char *value;
	size_t len;

	if (step->subject == LW_SUBJECT_DICE)
		return q->dice < step->weight_pct;
	value = subject(f, step, q, &len);
	if (!value)
		return false;
	switch (step->op) {
	case LW_OP_EXACT:
		return len == step->value_len && !memcmp(value, step->value, len);
	case LW_OP_PREFIX:
		return len >= step->value_len && !memcmp(value, step->value, step->value_len) &&
		       (len == step->value_len || value[step->value_len] == '/');
	case LW_OP_REGEX:
		dfa = get(f, LW_TABLE_DFAS, step->dfa);
		assert_non_null(dfa);
		return lw_dfa_match(dfa, value, len);
	}
	fail_msg("op %u", step->op);
	return false;
}

/* The rule's source; NULL: none holds. */
static const char *decide(struct fixture *f, uint32_t entry, const struct request *q)
{
	uint32_t at = entry;

	for (unsigned n = 0; at != LW_STEP_END; n++) {
		const struct lw_step *step = get(f, LW_TABLE_STEPS, at);

		assert_in_range(n, 0, LW_MAX_STEPS_RUN - 1);
		assert_non_null(step);
		at = holds(f, step, q) ? step->on_match : step->on_miss;
		if (at & LW_STEP_ENTER) {
			const struct lw_rule *rule = get(f, LW_TABLE_RULES, at & ~LW_STEP_ENTER);

			assert_non_null(rule);
			return rule->source;
		}
	}
	return NULL;
}

static void check(struct fixture *f, uint32_t entry, const char *want, struct request q)
{
	const char *got = decide(f, entry, &q);

	if (!want != !got || (want && strcmp(want, got)))
		fail_msg("%s, %s: %s for %s", q.target, q.headers[0][0] ? q.headers[0][1] : "",
			 got ?: "base", want ?: "base");
}
#define REQ(...) ((struct request){ .dice = 99, __VA_ARGS__ })

/* ---- decision lists ---- */

static void test_headers(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(HEADER("User-Agent", "xiaoming"), HEADER_RE("X-Region", "cn-(bj|sh)")),
		  .lane = 1, .source = "one" },
		{ CONDS(HEADER("user-agent", "xiaohong"), HEADER("USER-AGENT", "ignored")),
		  .lane = 1, .source = "two" },
		{ CONDS(HEADER("x-mse-tag", "other")), .lane = 1, .source = "three" },
		{ CONDS(HEADER("Cookie", "a=b")), .lane = 1, .source = "four" },
	};
	uint32_t entry = add(f, entries, N(entries));

	finish(f);
	assert_int_equal(entry, 1);
	check(f, entry, "one", REQ("/", { { "user-agent", "xiaoming" }, { "x-region", "cn-sh" } }));
	check(f, entry, "one", REQ("/", { { "x-region", "cn-bj" }, { "USER-Agent", "xiaoming" } }));
	check(f, entry, NULL, REQ("/", { { "user-agent", "xiaoming" } }));
	check(f, entry, NULL, REQ("/", { { "user-agent", "xiaoming" }, { "x-region", "cn-bj2" } }));
	check(f, entry, NULL, REQ("/", { { "user-agent", "Xiaoming" }, { "x-region", "cn-sh" } }));
	/* Of several headers with one name the first decides. */
	check(f, entry, NULL,
	      REQ("/",
		  { { "user-agent", "x" }, { "user-agent", "xiaoming" }, { "x-region", "cn-bj" } }));
	check(f, entry, "two", REQ("/", { { "user-agent", "xiaohong" } }));
	check(f, entry, "three", REQ("/", { { "X-MSE-Tag", "other" } }));
	check(f, entry, "four", REQ("/", { { "cookie", "a=b" } }));
	check(f, entry, NULL, REQ("/"));
	/* The second "user-agent" of entry two is gone: 2 + 1 + 1 + 1 steps. */
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_STEPS), 5);
}

static void test_cookies_and_query(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(COOKIE("user", "gray")), .lane = 1, .source = "cookie" },
		{ CONDS(COOKIE_RE("id", "[0-9]+")), .lane = 1, .source = "cookie re" },
		{ CONDS(QUERY("canary", "1"), QUERY("canary", "2")), .lane = 1, .source = "query" },
		{ CONDS(QUERY_RE("u", "a%20.*"), QUERY("U", "")), .lane = 1, .source = "query re" },
	};
	uint32_t entry = add(f, entries, N(entries));

	finish(f);
	check(f, entry, "cookie", REQ("/", { { "Cookie", "a=b; user=gray; c=d" } }));
	check(f, entry, NULL, REQ("/", { { "Cookie", "a=b; xuser=gray; user=g" } }));
	check(f, entry, NULL, REQ("/", { { "Cookie", "User=gray" } }));
	check(f, entry, "cookie re", REQ("/", { { "Cookie", "user=b;id=42" } }));
	check(f, entry, NULL, REQ("/", { { "Cookie", "id=4a" } }));
	check(f, entry, "query", REQ("/p?a=b&canary=1#x"));
	check(f, entry, NULL, REQ("/p?canary=2"));
	check(f, entry, NULL, REQ("/p#?canary=1"));
	check(f, entry, NULL, REQ("/p?Canary=1"));
	check(f, entry, "query re", REQ("/p?u=a%20b&U"));
	check(f, entry, NULL, REQ("/p?u=a b&U="));
}

static void test_paths(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(PATH(EXACT, "/exact/")), .lane = 1, .source = "exact" },
		{ CONDS(PATH(PREFIX, "/api/")), .lane = 1, .source = "prefix" },
		{ CONDS(PATH(REGEX, "/v[12]/.*")), .lane = 1, .source = "regex" },
	};
	const struct lw_rules_entry root = { CONDS(PATH(PREFIX, "/")), .lane = 1,
					     .source = "root" };
	uint32_t entry = add(f, entries, N(entries)), second = add(f, &root, 1);

	finish(f);
	assert_int_equal(second, 4);
	check(f, entry, "exact", REQ("/exact/?a=b"));
	check(f, entry, NULL, REQ("/exact"));
	check(f, entry, "prefix", REQ("/api"));
	check(f, entry, "prefix", REQ("/api/"));
	check(f, entry, "prefix", REQ("/api/x?y"));
	check(f, entry, NULL, REQ("/apix"));
	check(f, entry, NULL, REQ("/Api"));
	check(f, entry, "regex", REQ("/v1/x#y"));
	check(f, entry, NULL, REQ("/v3/x"));
	check(f, entry, NULL, REQ("/x/v1/x"));
	check(f, second, "root", REQ("/"));
	check(f, second, "root", REQ("/api"));
}

static void test_weights(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(HEADER("a", "b")), .weight_pct = 77, .lane = 1, .source = "match" },
		{ .weight_pct = 30, .lane = 1, .source = "weight" },
	};
	const struct lw_rules_entry none = { .weight_pct = 0, .lane = 1 },
				    all = { .weight_pct = 100, .lane = 1, .source = "all" };
	uint32_t entry = add(f, entries, 2), never = add(f, &none, 1), always = add(f, &all, 1);
	unsigned entered = 0;

	assert_int_equal(add(f, NULL, 0), 0);
	finish(f);
	for (unsigned dice = 0; dice < 100; dice++) {
		const struct request q = { .target = "/", .dice = dice };

		entered += decide(f, entry, &q) != NULL;
		assert_null(decide(f, never, &q));
		assert_string_equal(decide(f, always, &q), "all");
	}
	assert_int_equal(entered, 30);
	check(f, entry, "match", REQ("/", { { "a", "b" } }));
	check(f, entry, NULL, REQ("/"));
	assert_int_equal(((const struct lw_step *)get(f, LW_TABLE_STEPS, 1))->weight_pct, 0);
}

/* ---- what is put on, and taken off, a request ---- */

static const struct lw_rule *only_rule(struct fixture *f, const struct lw_rules_entry *entry)
{
	add(f, entry, 1);
	finish(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 1);
	return get(f, LW_TABLE_RULES, 1);
}

static void check_block(const __u8 *block, size_t len, const char *want)
{
	assert_int_equal(len, strlen(want));
	assert_int_equal(len % 8, 0);
	assert_memory_equal(block, want, len);
	for (size_t i = len; i < LW_BLOCK_LEN; i++)
		assert_int_equal(block[i], 0);
}

static void test_lane(void **state)
{
	struct fixture *f = *state;
	const struct lw_lane *lane;

	assert_int_equal(
		lw_rules_lane(f->rules, 15, "blue", "X-Mse-Tag", "blu", f->err, sizeof(f->err)), 0);
	assert_int_equal(lw_rules_lane(f->rules, 2, "red", "X-Tag", "gray", f->err, sizeof(f->err)),
			 0);
	assert_int_equal(
		lw_rules_lane(f->rules, 1, "gray", "X-MSE-TAG", "gray", f->err, sizeof(f->err)), 0);
	finish(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 3);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_TAGS), 3);
	lane = get(f, LW_TABLE_LANES, 1);
	assert_string_equal(lane->name, "gray");
	assert_int_equal(lane->tag_header, LW_HDR_TAG_FIRST);
	check_block(lane->block, lane->block_len, "x-mse-tag:        gray\r\n");
	lane = get(f, LW_TABLE_LANES, 15);
	check_block(lane->block, lane->block_len,
		    "X-Mse-Tag: blu\r\n"); /* fits without a blank more */
	assert_int_equal(tagged(f, LW_HDR_TAG_FIRST, "blu"), 15);
	assert_int_equal(tagged(f, LW_HDR_TAG_FIRST, "gray"), 1);
	assert_int_equal(tagged(f, LW_HDR_TAG_FIRST + 1, "gray"), 2);
	assert_int_equal(header_id(f, "x-mse-tag"), LW_HDR_TAG_FIRST);
	assert_int_equal(header_id(f, "x-tag"), LW_HDR_TAG_FIRST + 1);
	assert_int_equal(header_id(f, "cookie"), LW_HDR_COOKIE);
}

static void test_mods(void **state)
{
	const struct lw_rules_entry entry = {
		CONDS(HEADER("x-a", "b")),
		SET({ "X-Set", "1" }, { "X-MSE-Tag", "gray" }, { "x-set", "ignored" }),
		ADD({ "X-Add", "a b" }, { "x-mse-tag", "gray" }),
		REMOVE("X-Gone", "x-SET", "Cookie"),
		.lane = 1,
		.source = "TrafficRouting default/mse-traffic match 1",
	};
	struct fixture *f = *state;
	const struct lw_rule *rule = only_rule(f, &entry);

	assert_int_equal(rule->lane, 1);
	assert_string_equal(rule->source, entry.source);
	check_block(rule->block, rule->block_len, "x-mse-tag: gray\r\nX-Set: 1\r\nX-Add:  a b\r\n");
	assert_int_equal(rule->nremove, 4);
	assert_int_equal(rule->remove[0], LW_HDR_TAG_FIRST);
	/* In order of first use: the rule's own names come before its conditions'. */
	assert_int_equal(rule->remove[1], header_id(f, "x-set"));
	assert_int_equal(rule->remove[2], header_id(f, "x-gone"));
	assert_int_equal(rule->remove[3], LW_HDR_COOKIE);
	assert_in_range(header_id(f, "x-a"), LW_HDR_WATCHED_FIRST, LW_HDR_WATCHED_FIRST + 2);
	assert_in_range(header_id(f, "x-set"), LW_HDR_WATCHED_FIRST, LW_HDR_WATCHED_FIRST + 2);
	assert_int_equal(header_id(f, "x-add"), 0); /* nothing to look for */
}

static void test_plain_rule(void **state)
{
	const struct lw_rules_entry entry = { .weight_pct = 5, .lane = 1 };
	const struct lw_rule *rule = only_rule(*state, &entry);

	check_block(rule->block, rule->block_len, "x-mse-tag:        gray\r\n");
	assert_int_equal(rule->nremove, 1);
	assert_int_equal(rule->remove[0], LW_HDR_TAG_FIRST);
	assert_string_equal(rule->source, "");
}

/* A header that is watched before it becomes a tag has one id, the tag's. */
static void test_watched_then_tag(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(HEADER("X-Later", "v"), HEADER("x-w", "v")), REMOVE("x-later"), .lane = 1,
		  .source = "s" },
	};
	uint32_t entry = add(f, entries, 1);
	const struct lw_rule *rule;

	assert_int_equal(
		lw_rules_lane(f->rules, 2, "blue", "x-LATER", "blue", f->err, sizeof(f->err)), 0);
	finish(f);
	assert_int_equal(header_id(f, "x-later"), LW_HDR_TAG_FIRST + 1);
	assert_int_equal(header_id(f, "x-w"), LW_HDR_WATCHED_FIRST);
	assert_int_equal(tagged(f, LW_HDR_TAG_FIRST + 1, "blue"), 2);
	rule = get(f, LW_TABLE_RULES, 1);
	assert_int_equal(rule->nremove, 2);
	assert_int_equal(rule->remove[1], LW_HDR_TAG_FIRST + 1);
	check(f, entry, "s", REQ("/", { { "x-later", "v" }, { "x-w", "v" } }));
}

static void test_same_regex_shared(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entries[] = {
		{ CONDS(HEADER_RE("a", "x.*"), COOKIE_RE("b", "x.*")), .lane = 1 },
		{ CONDS(PATH(REGEX, "x.*"), HEADER_RE("b", "y.*")), .lane = 1 },
	};

	add(f, entries, 2);
	add(f, entries, 1);
	finish(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 2);
	assert_int_equal(((const struct lw_step *)get(f, LW_TABLE_STEPS, 1))->dfa, 1);
	assert_int_equal(((const struct lw_step *)get(f, LW_TABLE_STEPS, 4))->dfa, 2);
}

/* ---- what is refused ---- */

static const char *repeat(char c, size_t n)
{
	static char buf[8192];

	assert_in_range(n, 0, sizeof(buf) - 1);
	memset(buf, c, n);
	buf[n] = '\0';
	return buf;
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	const struct {
		struct lw_rules_entry entry;
		const char *err;
	} rows[] = {
		{ { .weight_pct = 101, .lane = 1 }, "the weight 101 is over 100" },
		{ { CONDS(HEADER("", "v")), .lane = 1 }, "a header has no name" },
		{ { CONDS(HEADER(NULL, "v")), .lane = 1 }, "a header has no name" },
		{ { CONDS(HEADER("a b", "v")), .lane = 1 },
		  "header \"a b\": the name has a character that may not stand in one" },
		{ { CONDS(HEADER("a", NULL)), .lane = 1 }, "header \"a\" has no value" },
		{ { CONDS(HEADER("a", "b\nc")), .lane = 1 },
		  "header \"a\": the value has a character that may not stand in a request" },
		{ { CONDS(HEADER_RE("a", "(?=b)")), .lane = 1 },
		  "header \"a\": regular expression: lookahead (?= at position 1 is not supported" },
		{ { CONDS(COOKIE_RE("c", "(a|b)*a(a|b){20}")), .lane = 1 },
		  "cookie \"c\": regular expression: its automaton is too large (limit: 4096 states, 32768 transitions)" },
		{ { CONDS(COOKIE("a=b", "v")), .lane = 1 },
		  "cookie \"a=b\": the name has a character that may not stand in one" },
		{ { CONDS(QUERY("", "v")), .lane = 1 }, "a query parameter has no name" },
		{ { CONDS(QUERY("a&b", "v")), .lane = 1 },
		  "query parameter \"a&b\": write the name as it stands in the URL, percent-encoded" },
		{ { CONDS(PATH(EXACT, "api")), .lane = 1 }, "path \"api\" does not start with /" },
		{ { CONDS(PATH(PREFIX, "")), .lane = 1 }, "path \"\" does not start with /" },
		{ { CONDS({ LW_SUBJECT_HEADER, LW_OP_PREFIX, "a", "/" }), .lane = 1 },
		  "header \"a\": PathPrefix is for paths" },
		{ { CONDS({ LW_SUBJECT_HEADER, 9, "a", "/" }), .lane = 1 },
		  "header \"a\": unknown kind of match" },
		{ { CONDS({ LW_SUBJECT_DICE, LW_OP_EXACT, "a", "/" }), .lane = 1 },
		  "a condition of an unknown subject" },
		{ { SET({ "Content-Length", "1" }), .lane = 1 },
		  "set header \"Content-Length\": this header frames the message and cannot be changed" },
		{ { ADD({ "TE", "1" }), .lane = 1 },
		  "add header \"TE\": this header frames the message and cannot be changed" },
		{ { REMOVE("host"), .lane = 1 },
		  "remove header \"host\": this header frames the message and cannot be changed" },
		{ { REMOVE("transfer-encoding"), .lane = 1 },
		  "remove header \"transfer-encoding\": this header frames the message and cannot be changed" },
		{ { SET({ "a", "b\r\nc: d" }), .lane = 1 },
		  "set header \"a\": the value has a character that may not stand in one" },
		{ { SET({ "a:", "b" }), .lane = 1 },
		  "set header \"a:\": the name has a character that may not stand in one" },
		{ { SET({ "a\r\nb", "b" }), .lane = 1 },
		  "set header \"a??b\": the name has a character that may not stand in one" },
	};
	uint32_t entry = 4711;

	for (size_t i = 0; i < N(rows); i++) {
		const struct lw_rules_entry both[] = {
			{ CONDS(HEADER_RE("n", "n+")), REMOVE("m"), .lane = 1 }, rows[i].entry
		};

		assert_int_equal(lw_rules_check(&rows[i].entry, f->err, sizeof(f->err)), -EINVAL);
		assert_string_equal(f->err, rows[i].err);
		f->err[0] = '\0';
		assert_int_equal(
			lw_rules_workload(f->rules, both, 2, &entry, f->err, sizeof(f->err)),
			-EINVAL);
		assert_string_equal(f->err, rows[i].err);
	}
	assert_int_equal(entry, 4711);
	finish(f);
	/* Nothing of what was refused is left. */
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_STEPS), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 0);
	assert_int_equal(header_id(f, "n"), 0);
	assert_int_equal(header_id(f, "m"), 0);
	assert_int_equal(header_id(f, "x-mse-tag"), LW_HDR_TAG_FIRST);
}

static void refuse(struct fixture *f, const struct lw_rules_entry *entry, const char *err)
{
	uint32_t ret;

	assert_int_equal(lw_rules_workload(f->rules, entry, 1, &ret, f->err, sizeof(f->err)),
			 -EINVAL);
	if (!strstr(f->err, err))
		fail_msg("'%s' lacks '%s'", f->err, err);
}

static void test_tag_in_mods(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry set = { SET({ "x-MSE-tag", "blue" }), .lane = 1 };
	const struct lw_rules_entry added = { ADD({ "x-mse-tag", "blue" }), .lane = 1 };
	const struct lw_rules_entry lane2 = { .weight_pct = 1, .lane = 2 },
				    lane0 = { .weight_pct = 1 };
	const struct lw_rules_entry lane99 = { .weight_pct = 1, .lane = 99 };

	refuse(f, &set,
	       "header \"x-mse-tag\" is the lane's tag and must get its value \"gray\", not \"blue\"");
	refuse(f, &added, "header \"x-mse-tag\" is the lane's tag");
	refuse(f, &lane2, "lane 2 has not been declared");
	refuse(f, &lane0, "lane 0 has not been declared");
	refuse(f, &lane99, "lane 99 has not been declared");
}

static void test_lengths(void **state)
{
	struct fixture *f = *state;
	struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "a", NULL };
	struct lw_rules_entry entry = { .conds = &cond, .nconds = 1, .lane = 1 };
	struct lw_rules_mod mod = { "a", NULL };
	struct lw_rules_entry mods = { .set = &mod, .nset = 1, .lane = 1 };
	const struct lw_step *step;
	/* "x-mse-tag: gray\r\n" is 17 bytes, "a: " and "\r\n" 5. */
	const size_t fits = LW_BLOCK_LEN - 17 - 5;

	cond.value = repeat('v', LW_STEP_VALUE_LEN + 1);
	refuse(f, &entry, "header \"a\": the value is longer than 4096 bytes");
	cond.value = repeat('v', LW_STEP_VALUE_LEN);
	add(f, &entry, 1);
	cond.value = "v";
	cond.name = repeat('n', LW_STEP_NAME_LEN + 1);
	refuse(f, &entry, "is longer than 256 bytes");
	cond.subject = LW_SUBJECT_QUERY;
	refuse(f, &entry, "is longer than 256 bytes");
	cond.name = repeat('n', LW_STEP_NAME_LEN);
	add(f, &entry, 1);

	mod.value = repeat('v', fits + 1);
	refuse(f, &mods, "the headers to put on a request take 513 bytes; the limit is 512");
	mod.value = repeat('v', fits);
	add(f, &mods, 1);

	finish(f);
	step = get(f, LW_TABLE_STEPS, 1);
	assert_int_equal(step->value_len, LW_STEP_VALUE_LEN);
	assert_memory_equal(step->value, repeat('v', LW_STEP_VALUE_LEN), LW_STEP_VALUE_LEN);
	step = get(f, LW_TABLE_STEPS, 2);
	assert_int_equal(step->name_len, LW_STEP_NAME_LEN);
	assert_int_equal(step->value_len, 1);
	assert_int_equal(step->value[1], 0); /* nothing of the step before */
	assert_int_equal(((const struct lw_rule *)get(f, LW_TABLE_RULES, 3))->block_len,
			 LW_BLOCK_LEN);
}

static void test_removes(void **state)
{
	struct fixture *f = *state;
	/* The tag is the eighth. */
	const struct lw_rules_entry eight = {
		REMOVE("a", "b", "c", "d", "e", "f", "g", "X-mse-tag", "A"), .lane = 1
	};
	const struct lw_rules_entry nine = { REMOVE("a", "b", "c", "d", "e", "f", "g", "h"),
					     .lane = 1 };

	refuse(f, &nine, "more than 8 headers to set and remove, the lane's tag included");
	add(f, &eight, 1);
	finish(f);
	assert_int_equal(((const struct lw_rule *)get(f, LW_TABLE_RULES, 1))->nremove, 8);
}

static void test_lanes_refused(void **state)
{
	static const struct {
		unsigned lane;
		const char *name, *header, *value, *err;
	} rows[] = {
		{ 0, "x", "x-t", "x", "lane 0 is not in 1..15" },
		{ 16, "x", "x-t", "x", "lane 16 is not in 1..15" },
		{ 2, "", "x-t", "x", "the lane's name must have 1 to 31 bytes" },
		{ 2, "12345678901234567890123456789012", "x-t", "x",
		  "the lane's name must have 1 to 31 bytes" },
		{ 2, "x", "x t", "x",
		  "tag header \"x t\": the name has a character that may not stand in one" },
		{ 2, "x", "host", "x",
		  "tag header \"host\": this header frames the message and cannot be changed" },
		{ 2, "x", "Cookie", "x",
		  "tag header \"Cookie\" cannot be a tag: it says something else" },
		{ 2, "x", "x-t", "", "tag header \"x-t\": the value must have 1 to 63 bytes" },
		{ 2, "x", "x-t", " a",
		  "tag header \"x-t\": the value starts or ends with a blank" },
		{ 2, "x", "x-t", "a\n",
		  "tag header \"x-t\": the value has a character that may not stand in one" },
		{ 2, "x", "X-MSE-TAG", "gray",
		  "lane \"x\" has the same tag \"X-MSE-TAG: gray\" as lane \"gray\"" },
		{ 1, "gray", "x-mse-tag", "blue",
		  "lane \"gray\" has the tag \"x-mse-tag: gray\" already and cannot be lane \"gray\" with \"x-mse-tag: blue\" too" },
	};
	struct fixture *f = *state;
	char name[16];

	for (size_t i = 0; i < N(rows); i++) {
		assert_int_equal(lw_rules_lane(f->rules, rows[i].lane, rows[i].name, rows[i].header,
					       rows[i].value, f->err, sizeof(f->err)),
				 -EINVAL);
		assert_string_equal(f->err, rows[i].err);
	}
	/* A tag's value tells upper from lower case. */
	assert_int_equal(
		lw_rules_lane(f->rules, 2, "x", "x-mse-tag", "Gray", f->err, sizeof(f->err)), 0);
	for (unsigned i = 3; i < 10; i++) {
		snprintf(name, sizeof(name), "x-t%u", i);
		assert_int_equal(lw_rules_lane(f->rules, i, "l", name, "v", f->err, sizeof(f->err)),
				 0);
	}
	assert_int_equal(lw_rules_lane(f->rules, 10, "l", "x-t10", "v", f->err, sizeof(f->err)),
			 -EINVAL);
	assert_string_equal(f->err, "tag header \"x-t10\": more than 8 different headers as tags");
	for (unsigned i = 10; i < LW_MAX_LANES; i++) {
		snprintf(name, sizeof(name), "v%u", i);
		assert_int_equal(
			lw_rules_lane(f->rules, i, "l", "x-t3", name, f->err, sizeof(f->err)), 0);
	}
	finish(f);
	assert_int_equal(header_id(f, "x-t9"), LW_HDR_TAG_LAST);
	assert_int_equal(header_id(f, "x-t10"), 0);
}

static void test_limits_of_all(void **state)
{
	struct fixture *f = *state;
	struct lw_rules_cond conds[LW_MAX_STEPS_RUN + 1];
	struct lw_rules_entry entry = { .conds = conds, .lane = 1 };
	char text[32];

	for (size_t i = 0; i < N(conds); i++)
		conds[i] = (struct lw_rules_cond){ LW_SUBJECT_COOKIE, LW_OP_EXACT, "c", "v" };
	entry.nconds = N(conds);
	refuse(f, &entry, "more than 512 conditions");
	entry.nconds = N(conds) / 2 + 1;
	assert_int_equal(lw_rules_workload(f->rules, (struct lw_rules_entry[]){ entry, entry }, 2,
					   &(uint32_t){ 0 }, f->err, sizeof(f->err)),
			 -EINVAL);
	assert_string_equal(f->err, "more than 512 conditions in the entry rules of one workload");
	entry.nconds = LW_MAX_STEPS_RUN;
	for (unsigned i = 0; i < LW_MAX_STEPS / LW_MAX_STEPS_RUN - 1; i++)
		add(f, &entry, 1);
	/* LW_MAX_STEPS_RUN steps are left, for 232 headers and then 256 expressions. */
	entry.nconds = 1;
	conds[0].subject = LW_SUBJECT_HEADER;
	for (unsigned i = 0; i <= LW_HDR__MAX - LW_HDR_WATCHED_FIRST; i++) {
		snprintf(text, sizeof(text), "h%u", i);
		conds[0].name = text;
		if (i < LW_HDR__MAX - LW_HDR_WATCHED_FIRST)
			add(f, &entry, 1);
		else
			refuse(f, &entry,
			       "header \"h232\": more than 232 different headers in entry rules");
	}
	conds[0] = (struct lw_rules_cond){ LW_SUBJECT_COOKIE, LW_OP_REGEX, "c", text };
	for (unsigned i = 0; i <= LW_MAX_DFAS; i++) {
		snprintf(text, sizeof(text), "r%u", i);
		if (i < LW_MAX_DFAS)
			add(f, &entry, 1);
		else
			refuse(f, &entry,
			       "more than 256 different regular expressions in entry rules");
	}
	conds[0] = (struct lw_rules_cond){ LW_SUBJECT_COOKIE, LW_OP_EXACT, "c", "v" };
	for (unsigned i = 0; i < LW_MAX_STEPS_RUN - 232 - LW_MAX_DFAS; i++)
		add(f, &entry, 1);
	refuse(f, &entry, "more than 8192 conditions in all entry rules");
	finish(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_STEPS), LW_MAX_STEPS);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), LW_MAX_DFAS);
	assert_int_equal(header_id(f, "h231"), LW_HDR__MAX - 1);
}

static void test_too_many_rules(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entry = { .weight_pct = 1, .lane = 1 };

	for (unsigned i = 0; i < LW_MAX_RULES; i++)
		assert_int_equal(add(f, &entry, 1), i + 1);
	refuse(f, &entry, "more than 1024 entry rules in all");
	finish(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), LW_MAX_RULES);
}

static void test_names_too_long(void **state)
{
	struct fixture *f = *state;
	struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, NULL, "v" };
	struct lw_rules_entry entry = { .conds = &cond, .nconds = 1, .lane = 1 };
	unsigned n = 0;

	/* Fixed names and the tag have 122 bytes. */
	for (cond.name = repeat('a', 200); n < (LW_NAMES_STATES - 2 - 122) / 200;
	     n++, cond.name = repeat('a' + n, 200))
		add(f, &entry, 1);
	refuse(f, &entry, "the headers in entry rules have more than 2046 bytes of names");
	cond.name = repeat('a', 200);
	add(f, &entry, 1);
	finish(f);
	assert_int_equal(header_id(f, repeat('A', 200)), LW_HDR_WATCHED_FIRST);
}

static void test_thousand_workloads(void **state)
{
	struct fixture *f = *state;
	const struct lw_rules_entry entry = {
		CONDS(HEADER("User-Agent", "xiaoming"), HEADER_RE("x-u", "[a-m].*")),
		SET({ "x-mse-tag", "gray" }),
		.lane = 1,
		.source = "TrafficRouting default/mse-traffic match 1",
	};

	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(add(f, &entry, 1), 2 * i + 1);
	assert_int_equal(lw_rules_finish(f->rules, f->image), 0);
	assert_int_equal(lw_image_seal(f->image), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 1);
	check(f, 1999, entry.source, REQ("/", { { "user-agent", "xiaoming" }, { "x-u", "bob" } }));
	check(f, 1999, NULL, REQ("/", { { "user-agent", "xiaoming" }, { "x-u", "zoe" } }));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_headers),
		T(test_cookies_and_query),
		T(test_paths),
		T(test_weights),
		T(test_lane),
		T(test_mods),
		T(test_plain_rule),
		T(test_watched_then_tag),
		T(test_same_regex_shared),
		T(test_refused),
		T(test_tag_in_mods),
		T(test_lengths),
		T(test_removes),
		T(test_lanes_refused),
		T(test_limits_of_all),
		T(test_too_many_rules),
		T(test_names_too_long),
		T(test_thousand_workloads),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
