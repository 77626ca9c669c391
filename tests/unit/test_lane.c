/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lane of a request as the kernel programs decide it, over an image made by core/rules.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/names.h"
#include "core/regex.h"
#include "core/rules.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))

static uint32_t dice, throws;

static uint32_t throw_dice(void)
{
	throws++;
	return dice;
}

#define LW_DICE() throw_dice()
#include "../harness/image_lane.h"

/* clang-format off */
#define LIST(type, ...) (type[]){ __VA_ARGS__ }
#define COUNT(type, ...) N(((type[]){ __VA_ARGS__ }))
#define CONDS(...) .conds = LIST(struct lw_rules_cond, __VA_ARGS__), .nconds = COUNT(struct lw_rules_cond, __VA_ARGS__)
/* clang-format on */
#define GRAY 1
#define BLUE 2
#define GREEN 3
#define NO_LANE 0
#define TAG_GRAY "x-mse-tag: gray\r\n"
#define TAG_BLUE "x-mse-tag: blue\r\n"

/* The workload of a test: its rules, and what they say of the dice. */
static uint32_t build(const struct lw_rules_entry *entries, size_t n)
{
	static const struct image_lane lanes[] = {
		{ GRAY, "gray", "x-mse-tag", "gray" },
		{ BLUE, "blue", "x-mse-tag", "blue" },
		{ GREEN, "green", "X-Lane", "green" },
		{ 0 },
	};

	return image_build(lanes, false, entries, n);
}

static struct lw_decision decide_for(const struct lw_learned *learned, const char *target,
				     const char *lines, unsigned own_lane, uint32_t entry)
{
	static struct lw_head head;
	struct lw_decision d;
	int len;

	memset(&head, 0, offsetof(struct lw_head, buf));
	/* what an earlier request left in the buffer must not matter */
	memset(head.buf, 'x', sizeof(head.buf));
	len = snprintf((char *)head.buf, sizeof(head.buf), "GET %s HTTP/1.1\r\nHost: a\r\n%s\r\n",
		       target, lines);
	memset(head.buf + len, '/', 64);
	assert_int_equal(lw_scan_request(&head, lw_get_names(0), len), 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.scan.pos, len);
	throws = 0;
	lw_decide(&head, 0, own_lane, learned, entry, &d);
	return d;
}

static struct lw_decision decide(const char *target, const char *lines, unsigned own_lane,
				 uint32_t entry)
{
	return decide_for(&(const struct lw_learned){}, target, lines, own_lane, entry);
}

/* ---- evidence ---- */

static void test_evidence(void **state)
{
	const struct lw_rules_entry entries[] = {
		{ CONDS({ LW_SUBJECT_HEADER, LW_OP_EXACT, "user-agent", "xiaoming" }),
		  .lane = GRAY },
	};
	static const struct {
		const char *lines;
		unsigned own_lane, lane, evidence;
	} rows[] = {
		{ "", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		/* the tag is the strongest */
		{ TAG_GRAY, NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ TAG_BLUE, NO_LANE, BLUE, LW_EVIDENCE_TAG },
		{ "X-MSE-TAG:\tgray \r\n", NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ TAG_BLUE "User-Agent: xiaoming\r\n", GRAY, BLUE, LW_EVIDENCE_TAG },
		{ "x-lane: green\r\n", NO_LANE, GREEN, LW_EVIDENCE_TAG },
		{ "x-lane: red\r\n" TAG_BLUE "x-lane: blue\r\n", NO_LANE, BLUE, LW_EVIDENCE_TAG },
		/* said twice, in one header or two */
		{ TAG_GRAY TAG_GRAY, NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ TAG_GRAY TAG_BLUE, NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS },
		{ TAG_GRAY "x-lane: green\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS },
		{ TAG_GRAY TAG_BLUE "User-Agent: xiaoming\r\n", BLUE, NO_LANE,
		  LW_EVIDENCE_AMBIGUOUS },
		/* what names no lane is no evidence, beside one that does, either */
		{ "x-mse-tag: red\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: Gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: gra\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: grayx\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag:\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: green\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: 123456789012345678901234567890123456789012345678901234567890123\r\n",
		  NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: 1234567890123456789012345678901234567890123456789012345678901234\r\n",
		  NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ "x-mse-tag: red\r\n" TAG_GRAY, NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ TAG_GRAY "x-mse-tag: red\r\n", NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ "x-mse-tag: red\r\nUser-Agent: xiaoming\r\n", NO_LANE, GRAY, LW_EVIDENCE_ENTRY },
		/* then the pod, then the rule */
		{ "", BLUE, BLUE, LW_EVIDENCE_POD },
		{ "User-Agent: xiaoming\r\n", BLUE, BLUE, LW_EVIDENCE_POD },
		{ "User-Agent: xiaoming\r\n", NO_LANE, GRAY, LW_EVIDENCE_ENTRY },
	};
	uint32_t entry = build(entries, N(entries));

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_decision d = decide("/", rows[i].lines, rows[i].own_lane, entry);

		if (d.lane != rows[i].lane || d.evidence != rows[i].evidence ||
		    d.reason != LW_REASON_OK)
			fail_msg("'%s': lane %u, evidence %u", rows[i].lines, d.lane, d.evidence);
		assert_int_equal(d.header, d.evidence != LW_EVIDENCE_TAG ? LW_HDR_OTHER :
					   d.lane == GREEN		 ? LW_HDR_TAG_FIRST + 1 :
									   LW_HDR_TAG_FIRST);
		assert_int_equal(d.tagged, d.evidence == LW_EVIDENCE_TAG);
		assert_int_equal(!!d.rule, d.evidence == LW_EVIDENCE_ENTRY);
	}
	assert_int_equal(decide("/", "User-Agent: xiaoming\r\n", NO_LANE, 0).evidence,
			 LW_EVIDENCE_NONE);
}

static void test_learned_header(void **state)
{
	const struct lw_trace gray = { .lane = GRAY }, base = {},
			      several = { .lane = LW_IN_UNKNOWN };
	struct lw_learned all = {}, one;
	struct lw_decision d;

	(void)state;
	build(NULL, 0);
	lw_learned_by_trace(&gray, 0, LW_HDR_B3, &one);
	lw_learned_add(&all, 0, &one);
	d = decide_for(&all, "/", "", BLUE, 0);
	assert_int_equal(d.evidence, LW_EVIDENCE_TRACE);
	assert_int_equal(d.header, LW_HDR_B3);
	/* another one that agrees: the first stays */
	lw_learned_by_trace(&gray, 0, LW_HDR_REQUEST_ID, &one);
	lw_learned_add(&all, 1, &one);
	assert_int_equal(decide_for(&all, "/", "", NO_LANE, 0).header, LW_HDR_B3);
	/* what is stronger has one of its own */
	assert_int_equal(decide_for(&all, "/", TAG_BLUE, NO_LANE, 0).header, LW_HDR_TAG_FIRST);
	assert_int_equal(decide_for(&all, "/", TAG_BLUE TAG_GRAY, NO_LANE, 0).header, LW_HDR_OTHER);
	/* one that contradicts it: in none */
	lw_learned_by_trace(&base, 0, LW_HDR_SW8, &one);
	assert_int_equal(one.header, LW_HDR_OTHER);
	lw_learned_add(&all, 1, &one);
	d = decide_for(&all, "/", "", NO_LANE, 0);
	assert_int_equal(d.evidence, LW_EVIDENCE_AMBIGUOUS);
	assert_int_equal(d.header, LW_HDR_OTHER);
	lw_learned_by_trace(&several, 0, LW_HDR_SW8, &one);
	assert_int_equal(one.header, LW_HDR_OTHER);
}

/* It may be for a request of a lane, and nobody can tell: that changes nothing but what a base request is counted as. */
static void check_untold(unsigned reason)
{
	const struct lw_rules_entry entries[] = {
		{ CONDS({ LW_SUBJECT_HEADER, LW_OP_EXACT, "user-agent", "xiaoming" }),
		  .lane = GRAY },
	};
	const struct lw_learned untold = { .evidence = LW_EVIDENCE_NONE, .reason = reason };
	const struct {
		const char *lines;
		unsigned own_lane, lane, evidence, reason;
	} rows[] = {
		{ "", NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS, reason },
		{ "x-mse-tag: red\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS, reason },
		{ TAG_BLUE, NO_LANE, BLUE, LW_EVIDENCE_TAG, LW_REASON_OK },
		{ TAG_GRAY TAG_BLUE, NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS, LW_REASON_OK },
		{ "", BLUE, BLUE, LW_EVIDENCE_POD, LW_REASON_OK },
		{ "User-Agent: xiaoming\r\n", NO_LANE, GRAY, LW_EVIDENCE_ENTRY, LW_REASON_OK },
	};
	uint32_t entry = build(entries, N(entries));

	for (size_t i = 0; i < N(rows); i++) {
		struct lw_decision d =
			decide_for(&untold, "/", rows[i].lines, rows[i].own_lane, entry);

		if (d.lane != rows[i].lane || d.evidence != rows[i].evidence ||
		    d.reason != rows[i].reason)
			fail_msg("'%s': lane %u, evidence %u, reason %u", rows[i].lines, d.lane,
				 d.evidence, d.reason);
	}
	assert_int_equal(decide_for(&untold, "/", "", NO_LANE, 0).reason, reason);
}

static void test_elsewhere(void **state)
{
	(void)state;
	check_untold(LW_REASON_ELSEWHERE);
}

static void test_first_call(void **state)
{
	(void)state;
	check_untold(LW_REASON_FIRST_CALL);
}

/* ---- one condition ---- */

struct row {
	struct lw_rules_cond cond;
	const char *target, *lines;
	bool holds;
};

#define HEADER(op, name, value)                            \
	{                                                  \
		LW_SUBJECT_HEADER, LW_OP_##op, name, value \
	}
#define COOKIE(op, name, value)                            \
	{                                                  \
		LW_SUBJECT_COOKIE, LW_OP_##op, name, value \
	}
#define QUERY(op, name, value)                            \
	{                                                 \
		LW_SUBJECT_QUERY, LW_OP_##op, name, value \
	}
#define PATH(op, value)                                  \
	{                                                \
		LW_SUBJECT_PATH, LW_OP_##op, NULL, value \
	}

static const struct row rows[] = {
	{ HEADER(EXACT, "X-User", "xiaoming"), "/", "x-user: xiaoming\r\n", true },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "X-USER:  xiaoming\t\r\n", true },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user: xiaominG\r\n", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user: xiaomin\r\n", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user: xiaomingx\r\n", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user2: xiaoming\r\n", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user: a\r\nx-user: xiaoming\r\n", false },
	{ HEADER(EXACT, "x-user", "xiaoming"), "/", "x-user: xiaoming\r\nx-user: a\r\n", true },
	{ HEADER(EXACT, "x-user", ""), "/", "x-user:\r\n", true },
	{ HEADER(EXACT, "x-user", ""), "/", "x-user: a\r\n", false },
	{ HEADER(EXACT, "x-user", ""), "/", "", false },
	{ HEADER(EXACT, "x-user", "12345678"), "/", "x-user: 12345678\r\n", true },
	{ HEADER(EXACT, "x-user", "12345678"), "/", "x-user: 12345679\r\n", false },
	{ HEADER(EXACT, "x-user", "123456789"), "/", "x-user: 123456789\r\n", true },
	{ HEADER(EXACT, "x-user", "123456789"), "/", "x-user: 123456780\r\n", false },
	{ HEADER(EXACT, "x-user", "a long value, of more than sixteen"), "/",
	  "x-user: a long value, of more than sixteen\r\n", true },
	{ HEADER(EXACT, "x-user", "a long value, of more than sixteen"), "/",
	  "x-user: a long value; of more than sixteen\r\n", false },
	{ HEADER(REGEX, "user-agent", ".*xiao(ming|hong).*"), "/",
	  "User-Agent: the xiaohong 1.0\r\n", true },
	{ HEADER(REGEX, "user-agent", ".*xiao(ming|hong).*"), "/",
	  "User-Agent: the xiaolan 1.0\r\n", false },
	{ HEADER(REGEX, "user-agent", "xiao"), "/", "User-Agent: xiaoming\r\n", false },
	{ HEADER(REGEX, "user-agent", ".*"), "/", "User-Agent:\r\n", true },
	{ HEADER(REGEX, "user-agent", ".*"), "/", "", false },

	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: user=always\r\n", true },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: a=b; user=always; c=d\r\n", true },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: a=b;user=always;c\r\n", true },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: user=never; user=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: xuser=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: users=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: use=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: a=user=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: User=always\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: user=alwayss\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: user=\"always\"\r\n", false },
	{ COOKIE(EXACT, "user", "always"), "/", "Cookie: user\r\n", false },
	{ COOKIE(EXACT, "user", ""), "/", "Cookie: user=; a=b\r\n", true },
	{ COOKIE(EXACT, "user", ""), "/", "Cookie: user=\r\n", true },
	{ COOKIE(EXACT, "user", "a=b"), "/", "Cookie: user=a=b\r\n", true },
	{ COOKIE(EXACT, "user", "always"), "/", "", false },
	{ COOKIE(REGEX, "user", "al.*"), "/", "Cookie: a=b; user=always\r\n", true },
	{ COOKIE(REGEX, "user", "al.*"), "/", "Cookie: user=x; a=always\r\n", false },

	{ QUERY(EXACT, "v", "2"), "/?v=2", "", true },
	{ QUERY(EXACT, "v", "2"), "/a?u=1&v=2&w=3", "", true },
	{ QUERY(EXACT, "v", "2"), "/a?v=1&v=2", "", false },
	{ QUERY(EXACT, "v", "2"), "/a?vv=2", "", false },
	{ QUERY(EXACT, "v", "2"), "/a?u=v=2", "", false },
	{ QUERY(EXACT, "v", "2"), "/v=2", "", false },
	{ QUERY(EXACT, "v", "2"), "/", "", false },
	{ QUERY(EXACT, "v", "2"), "/?", "", false },
	{ QUERY(EXACT, "v", "2"), "/?#v=2", "", false },
	{ QUERY(EXACT, "v", "2"), "/?v=2#f", "", true },
	{ QUERY(EXACT, "v", "2"), "http://h/?v=2", "", true },
	{ QUERY(EXACT, "v", "2"), "/?%76=2", "", false },
	{ QUERY(EXACT, "v", "a+b%20"), "/?v=a+b%20", "", true },
	{ QUERY(EXACT, "v", ""), "/?v=", "", true },
	{ QUERY(EXACT, "v", ""), "/?v", "", true },
	{ QUERY(EXACT, "v", ""), "/?v&w=1", "", true },
	{ QUERY(EXACT, "v", ""), "/?w", "", false },
	{ QUERY(EXACT, "v", "?"), "/?v=?", "", true },
	{ QUERY(REGEX, "v", "[0-9]+"), "/?v=123&w=a", "", true },
	{ QUERY(REGEX, "v", "[0-9]+"), "/?v=12a", "", false },

	{ PATH(EXACT, "/a/b"), "/a/b", "", true },
	{ PATH(EXACT, "/a/b"), "/a/b?c", "", true },
	{ PATH(EXACT, "/a/b"), "/a/b#c", "", true },
	{ PATH(EXACT, "/a/b"), "http://host:80/a/b?c", "", true },
	{ PATH(EXACT, "/a/b"), "/a/b/", "", false },
	{ PATH(EXACT, "/a/b"), "/a/B", "", false },
	{ PATH(EXACT, "/a/b"), "/x?/a/b", "", false },
	{ PATH(EXACT, "/"), "/", "", true },
	{ PATH(EXACT, "/"), "http://host/", "", true },
	{ PATH(EXACT, "/"), "http://host", "", false },
	{ PATH(EXACT, "/"), "*", "", false },
	{ PATH(PREFIX, "/api"), "/api", "", true },
	{ PATH(PREFIX, "/api"), "/api/", "", true },
	{ PATH(PREFIX, "/api"), "/api/x?y", "", true },
	{ PATH(PREFIX, "/api"), "/api?y", "", true },
	{ PATH(PREFIX, "/api/"), "/api", "", true },
	{ PATH(PREFIX, "/api"), "/apix", "", false },
	{ PATH(PREFIX, "/api"), "/ap", "", false },
	{ PATH(PREFIX, "/api"), "/x/api", "", false },
	{ PATH(PREFIX, "/"), "/", "", true },
	{ PATH(PREFIX, "/"), "/x", "", true },
	{ PATH(REGEX, "/v[0-9]/.*"), "/v2/x?y=/", "", true },
	{ PATH(REGEX, "/v[0-9]/.*"), "/vx/x", "", false },
};

static void test_conditions(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_rules_entry e = { .conds = &rows[i].cond, .nconds = 1, .lane = GRAY };
		struct lw_decision d = decide(rows[i].target, rows[i].lines, NO_LANE, build(&e, 1));

		if (d.lane != (rows[i].holds ? GRAY : NO_LANE))
			fail_msg("%s %s: '%s' '%s'", rows[i].cond.name ?: "path",
				 rows[i].cond.value, rows[i].target, rows[i].lines);
		assert_int_equal(d.evidence, rows[i].holds ? LW_EVIDENCE_ENTRY : LW_EVIDENCE_NONE);
	}
}

/* ---- lists ---- */

static void test_and_or(void **state)
{
	const struct lw_rules_entry entries[] = {
		{ CONDS(HEADER(EXACT, "a", "1"), QUERY(EXACT, "q", "1"), PATH(PREFIX, "/p")),
		  .lane = GRAY, .source = "first" },
		{ CONDS(HEADER(EXACT, "a", "1"), COOKIE(EXACT, "c", "1")), .lane = BLUE,
		  .source = "second" },
		{ CONDS(HEADER(EXACT, "a", "2")), .lane = GRAY, .source = "third" },
	};
	static const struct {
		const char *target, *lines;
		unsigned lane;
		const char *source;
	} cases[] = {
		{ "/p/x?q=1", "a: 1\r\ncookie: c=1\r\n", GRAY, "first" },
		{ "/p/x?q=2", "a: 1\r\ncookie: c=1\r\n", BLUE, "second" },
		{ "/px?q=1", "a: 1\r\ncookie: c=1\r\n", BLUE, "second" },
		{ "/p?q=1", "a: 2\r\ncookie: c=1\r\n", GRAY, "third" },
		{ "/?q=1", "a: 1\r\n", NO_LANE, NULL },
		{ "/p?q=1", "cookie: c=1\r\n", NO_LANE, NULL },
	};
	uint32_t entry = build(entries, N(entries));

	(void)state;
	for (size_t i = 0; i < N(cases); i++) {
		struct lw_decision d = decide(cases[i].target, cases[i].lines, NO_LANE, entry);

		assert_int_equal(d.lane, cases[i].lane);
		assert_int_equal(!!d.rule, !!cases[i].source);
		if (d.rule)
			assert_string_equal(lw_get_rule(0, d.rule & ~LW_STEP_ENTER)->source,
					    cases[i].source);
	}
}

static void test_weight(void **state)
{
	struct lw_rules_entry entries[] = {
		{ CONDS(HEADER(EXACT, "a", "1")), .lane = BLUE },
		{ .weight_pct = 30, .lane = GRAY },
	};
	uint32_t entry = build(entries, N(entries));
	unsigned taken = 0;

	(void)state;
	for (dice = 0; dice < 1000; dice++)
		taken += decide("/", "", NO_LANE, entry).lane == GRAY;
	assert_int_equal(taken, 300);
	assert_int_equal(throws, 1);
	dice = 0;
	assert_int_equal(decide("/", "a: 1\r\n", NO_LANE, entry).lane, BLUE);
	assert_int_equal(throws, 0);
	entries[1].weight_pct = 0;
	assert_int_equal(decide("/", "", NO_LANE, build(entries, N(entries))).lane, NO_LANE);
	entries[1].weight_pct = 100;
	dice = 99;
	assert_int_equal(decide("/", "", NO_LANE, build(entries, N(entries))).lane, GRAY);
}

/* As long as a list may be, and one that goes in circles, which the agent does not make. */
static void test_steps(void **state)
{
	static struct lw_rules_cond conds[LW_MAX_STEPS_RUN];
	static char values[LW_MAX_STEPS_RUN][8];
	struct lw_rules_entry e = { .conds = conds, .nconds = N(conds), .lane = GRAY };
	struct lw_slot_key key = { .id = 1 };
	struct lw_names *names;
	struct lw_step *step;
	struct lw_decision d;
	char *lines, *end;

	(void)state;
	for (size_t i = 0; i < N(conds); i++) {
		snprintf(values[i], sizeof(values[i]), "%zu", i);
		conds[i] = (struct lw_rules_cond)COOKIE(EXACT, values[i], "1");
	}
	lines = end = malloc(N(conds) * 8 + 64);
	assert_non_null(lines);
	end = stpcpy(end, "Cookie: ");
	for (size_t i = 0; i < N(conds); i++)
		end += sprintf(end, "%zu=1; ", i);
	strcpy(end, "\r\n");
	d = decide("/", lines, NO_LANE, build(&e, 1));
	assert_int_equal(d.lane, GRAY);
	assert_int_equal(d.reason, LW_REASON_OK);
	free(lines);

	lw_image_free(&image);
	assert_int_equal(lw_image_new(&image), 0);
	step = calloc(1, sizeof(*step));
	names = calloc(1, sizeof(*names));
	assert_non_null(step);
	assert_non_null(names);
	step->subject = LW_SUBJECT_DICE;
	step->on_match = step->on_miss = 1;
	assert_int_equal(lw_image_put(image, LW_TABLE_STEPS, &key, step), 0);
	key.id = 0;
	assert_int_equal(lw_names_build(NULL, 0, names), 0);
	assert_int_equal(lw_image_put(image, LW_TABLE_NAMES, &key, names), 0);
	assert_int_equal(lw_image_seal(image), 0);
	free(step);
	free(names);
	d = decide("/", "", NO_LANE, 1);
	assert_int_equal(d.lane, NO_LANE);
	assert_int_equal(d.reason, LW_REASON_STEPS);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_evidence, image_teardown),
		cmocka_unit_test_teardown(test_learned_header, image_teardown),
		cmocka_unit_test_teardown(test_elsewhere, image_teardown),
		cmocka_unit_test_teardown(test_first_call, image_teardown),
		cmocka_unit_test_teardown(test_conditions, image_teardown),
		cmocka_unit_test_teardown(test_and_or, image_teardown),
		cmocka_unit_test_teardown(test_weight, image_teardown),
		cmocka_unit_test_teardown(test_steps, image_teardown),
	};

	return !!cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
