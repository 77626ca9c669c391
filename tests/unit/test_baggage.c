/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lane in the W3C baggage: what counts as evidence, what is done about it, and the lines that are put on.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/regex.h"
#include "core/rules.h"
#include "../harness/image_lane.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

#define GRAY 1
#define BLUE 2
#define ODD 3
#define NO_LANE 0
#define B "baggage: "

static struct lw_head head;
static const struct lw_rules_cond is_li = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "li" };

/* The entry rule: u is li. */
static uint32_t build(bool baggage, const struct lw_rules_entry *entry)
{
	static const struct image_lane lanes[] = {
		{ GRAY, "gray", "x-mse-tag", "gray" },
		{ BLUE, "blue", "X-Mse-Tag", "blue" },
		{ ODD, "odd", "X-Env", "a b,c;%\"\xc3\xa4" },
		{ 0 },
	};

	return image_build(lanes, baggage, entry, entry ? 1 : 0);
}

static struct lw_decision decide(const char *lines, unsigned own_lane, uint32_t entry,
				 bool untrusted)
{
	struct lw_decision d;
	int len;

	memset(&head, 0, offsetof(struct lw_head, bag));
	/* what an earlier request left there must not matter */
	memset(&head.bag, 0xee, sizeof(head.bag));
	memset(head.buf, 'x', sizeof(head.buf));
	head.eval.untrusted = untrusted;
	len = snprintf((char *)head.buf, sizeof(head.buf), "GET / HTTP/1.1\r\n%s\r\n", lines);
	assert_in_range(len, 1, LW_HEAD_MAX);
	assert_int_equal(lw_scan_request(&head, lw_get_names(0), (__u32)len), 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	lw_decide(&head, 0, own_lane, &(const struct lw_learned){}, entry, &d);
	return d;
}

static void test_evidence(void **state)
{
	static const struct {
		const char *lines;
		unsigned own_lane, lane, evidence;
	} rows[] = {
		{ B "x-mse-tag=gray\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ "BAGGAGE:x-mse-tag=gray\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "a=1, x-mse-tag = gray ;p=1;q , b=2\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "a=1\r\n" B "b=2,x-mse-tag=blue\r\n", NO_LANE, BLUE, LW_EVIDENCE_BAGGAGE },
		{ B ",, ,x-mse-tag=gray,\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "X-MSE-Tag=gray\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		/* encoded in whatever way */
		{ B "x-mse-tag=%67ra%79\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "x-env=a%20b%2Cc%3b%25%22%C3%a4\r\n", NO_LANE, ODD, LW_EVIDENCE_BAGGAGE },
		{ B "x-mse-tag=gra%7\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gray%zz\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=%67%7,a=1\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		/* a tag wins, unless they contradict each other */
		{ B "x-mse-tag=gray\r\nx-mse-tag: gray\r\n", NO_LANE, GRAY, LW_EVIDENCE_TAG },
		{ B "x-mse-tag=gray\r\nx-mse-tag: blue\r\n", NO_LANE, NO_LANE,
		  LW_EVIDENCE_AMBIGUOUS },
		{ B "x-mse-tag=red\r\nx-mse-tag: blue\r\n", NO_LANE, BLUE, LW_EVIDENCE_TAG },
		{ B "x-mse-tag=gray\r\nx-mse-tag: red\r\n", NO_LANE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "x-mse-tag=gray,x-mse-tag=blue\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_AMBIGUOUS },
		{ B "x-mse-tag=gray\r\n" B "x-mse-tag=gray\r\n", NO_LANE, GRAY,
		  LW_EVIDENCE_BAGGAGE },
		/* stronger than the pod and the rule */
		{ B "x-mse-tag=gray\r\n", BLUE, GRAY, LW_EVIDENCE_BAGGAGE },
		{ B "x-mse-tag=blue\r\nu: li\r\n", NO_LANE, BLUE, LW_EVIDENCE_BAGGAGE },
		{ B "x-mse-tag=red\r\nu: li\r\n", NO_LANE, GRAY, LW_EVIDENCE_ENTRY },
		{ B "x-mse-tag=red\r\n", BLUE, BLUE, LW_EVIDENCE_POD },
		/* names no lane */
		{ B "x-mse-tag=Gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tags=gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "mse-tag=gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "a=x-mse-tag=gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "a=1;x-mse-tag=gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "u=li\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B
		  "x-mse-tag=1234567890123456789012345678901234567890123456789012345678901234567890\r\n",
		  NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		/* malformed, in whichever line */
		{ B "x-mse-tag=gray,b\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gray,=b\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gr ay\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=\"gray\"\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gray;a=\"\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gray\\\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x mse=gray\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "x-mse-tag=gray\r\n" B "a=1;\xc3\xa4\r\n", NO_LANE, NO_LANE, LW_EVIDENCE_NONE },
		{ B "b\r\nx-mse-tag: gray\r\n", NO_LANE, GRAY, LW_EVIDENCE_TAG },
	};
	const struct lw_rules_entry entry = { .conds = &is_li, .nconds = 1, .lane = GRAY };
	uint32_t at = build(true, &entry);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_decision d = decide(rows[i].lines, rows[i].own_lane, at, false);

		if (d.lane != rows[i].lane || d.evidence != rows[i].evidence)
			fail_msg("'%s': lane %u, evidence %u", rows[i].lines, d.lane, d.evidence);
		assert_int_equal(d.tagged, d.evidence == LW_EVIDENCE_TAG);
		assert_int_equal(d.header, d.evidence == LW_EVIDENCE_TAG     ? LW_HDR_TAG_FIRST :
					   d.evidence == LW_EVIDENCE_BAGGAGE ? LW_HDR_BAGGAGE :
									       LW_HDR_OTHER);
		assert_int_equal(d.strip, 0);
	}
	/* without the option nobody looks */
	at = build(false, &entry);
	assert_int_equal(decide(B "x-mse-tag=gray\r\n", NO_LANE, at, false).evidence,
			 LW_EVIDENCE_NONE);
	assert_int_equal(
		decide(B "x-mse-tag=gray\r\nx-mse-tag: blue\r\n", NO_LANE, at, false).evidence,
		LW_EVIDENCE_TAG);
}

/* What is left of the lines once the member that has to go is gone. */
static void expect_left(const char *left)
{
	char *text = (char *)head.buf + head.scan.fields;
	const char *from = (char *)head.buf + head.bag.cut;

	memmove((char *)from, from + head.bag.cut_len,
		(size_t)((char *)head.buf + head.scan.pos - from));
	text[head.scan.pos - head.scan.fields - head.bag.cut_len - 2] = '\0';
	assert_string_equal(text, left);
}

static void test_what_to_do(void **state)
{
	static const struct {
		const char *lines;
		enum lw_baggage_todo todo;
		const char *left;
	} rows[] = {
		{ "", LW_BAGGAGE_ADD, NULL },
		{ B "a=1\r\n", LW_BAGGAGE_ADD, NULL },
		{ B "\r\n", LW_BAGGAGE_ADD, NULL },
		{ B "a=1,x-mse-tag=gray\r\n", LW_BAGGAGE_HAVE, NULL },
		{ B "a=1,x-mse-tag=gray\r\nx-mse-tag: gray\r\n", LW_BAGGAGE_HAVE, NULL },
		{ B "x-mse-tag=red,x-mse-tag=gray\r\n", LW_BAGGAGE_HAVE, NULL },
		{ B "x-mse-tag=red\r\n", LW_BAGGAGE_REPLACE, "" },
		{ "a: b\r\n" B "x-mse-tag=red\r\nc: d\r\n", LW_BAGGAGE_REPLACE,
		  "a: b\r\nc: d\r\n" },
		{ B "x-mse-tag=red,a=1\r\n", LW_BAGGAGE_REPLACE, B "a=1\r\n" },
		{ B "a=1,x-mse-tag=red\r\n", LW_BAGGAGE_REPLACE, B "a=1\r\n" },
		{ B "a=1, x-mse-tag=red;p , b=2\r\n", LW_BAGGAGE_REPLACE, B "a=1, b=2\r\n" },
		{ B "a=1,x-mse-tag=red,\r\n", LW_BAGGAGE_REPLACE, B "a=1,\r\n" },
		{ B "a=1,,x-mse-tag=red\r\n", LW_BAGGAGE_REPLACE, B "a=1,\r\n" },
		{ B "a=1\r\n" B "x-env=old\r\n", LW_BAGGAGE_REPLACE, B "a=1\r\n" },
		{ B "x-mse-tag=red,x-mse-tag=green\r\n", LW_BAGGAGE_LEAVE, NULL },
		{ B "b\r\n", LW_BAGGAGE_LEAVE, NULL },
		{ B "a=1\r\n" B "b\r\n", LW_BAGGAGE_LEAVE, NULL },
	};

	(void)state;
	build(true, NULL);
	for (size_t i = 0; i < N(rows); i++) {
		decide(rows[i].lines, GRAY, 0, false);
		if (lw_baggage_todo(&head.bag, GRAY, 32) != rows[i].todo)
			fail_msg("'%s': %d", rows[i].lines, lw_baggage_todo(&head.bag, GRAY, 32));
		if (rows[i].left)
			expect_left(rows[i].left);
	}
}

static void test_limits(void **state)
{
	char *lines = calloc(1, LW_HEAD_MAX);

	(void)state;
	build(true, NULL);
	for (int n = 62; n <= 66; n++) {
		char *end = lines + sprintf(lines, B);

		for (int i = 0; i < n; i++)
			end += sprintf(end, "%sk%d=v", i == 0 ? "" : i == 30 ? "\r\n" B : ",", i);
		strcpy(end, "\r\n");
		decide(lines, GRAY, 0, false);
		assert_int_equal(head.bag.members, n);
		assert_int_equal(lw_baggage_todo(&head.bag, GRAY, 32),
				 n < 64 ? LW_BAGGAGE_ADD : LW_BAGGAGE_LEAVE);
	}
	for (int n = 8180; n <= 8200; n++) {
		/* as one list: "k=…,x-mse-tag=gray" */
		sprintf(lines, B "k=%0*d\r\n", n - 2, 1);
		decide(lines, GRAY, 0, false);
		assert_int_equal(lw_baggage_todo(&head.bag, GRAY, 8),
				 n + 1 + 8 <= 8192 ? LW_BAGGAGE_ADD : LW_BAGGAGE_LEAVE);
	}
	free(lines);
}

static void test_untrusted(void **state)
{
	static const struct {
		const char *lines;
		unsigned lane, evidence;
		bool strip;
	} rows[] = {
		{ "", NO_LANE, LW_EVIDENCE_NONE, false },
		{ "x-mse-tag: gray\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		{ "x-mse-tag: gray\r\nx-mse-tag: blue\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		/* it may name one by the time it gets somewhere */
		{ "x-mse-tag: red\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		{ "X-ENV:\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		{ "x-mse-tag: blue\r\nu: li\r\n", GRAY, LW_EVIDENCE_ENTRY, true },
		{ B "x-mse-tag=gray\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		{ B "x-mse-tag=red\r\nu: li\r\n", GRAY, LW_EVIDENCE_ENTRY, true },
		{ B "b\r\n", NO_LANE, LW_EVIDENCE_NONE, true },
		{ B "a=1\r\n", NO_LANE, LW_EVIDENCE_NONE, false },
	};
	const struct lw_rules_entry entry = { .conds = &is_li, .nconds = 1, .lane = GRAY };
	uint32_t at = build(true, &entry);

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_decision d = decide(rows[i].lines, NO_LANE, at, true);

		if (d.lane != rows[i].lane || d.evidence != rows[i].evidence ||
		    d.strip != rows[i].strip)
			fail_msg("'%s': lane %u, evidence %u, strip %u", rows[i].lines, d.lane,
				 d.evidence, d.strip);
		assert_int_equal(d.tagged, 0);
		assert_int_equal(d.header, LW_HDR_OTHER);
		if (d.lane)
			assert_int_equal(lw_baggage_todo(&head.bag, GRAY, 32), LW_BAGGAGE_ADD);
	}
	assert_int_equal(decide("x-mse-tag: blue\r\n", GRAY, at, true).lane, GRAY);
	/* of several lines, those that may name a lane */
	decide("a: b\r\n" B "a=1\r\nx-mse-tag: gray\r\n" B "x-mse-tag=gray,c=2\r\n" B "b\r\n",
	       NO_LANE, at, true);
	/* captures 0: baggage, 1: tag, 2, 3: baggage */
	assert_int_equal(head.bag.ours, 1 << 2 | 1 << 3);
}

static void expect_block(const __u8 *block, size_t len, size_t more, const char *tag,
			 const char *baggage)
{
	assert_int_equal(len % 8, 0);
	assert_int_equal(more % 8, 0);
	assert_int_equal(len, strlen(tag));
	assert_memory_equal(block, tag, len);
	assert_int_equal(more, strlen(baggage));
	assert_memory_equal(block + len, baggage, more);
}

static void test_blocks(void **state)
{
	static const struct lw_rules_mod own[] = { { "Baggage", "a=1,x-mse-tag=gray" } },
					 other[] = { { "baggage", "a=1" } };
	struct lw_rules_entry entry = { .conds = &is_li, .nconds = 1, .lane = GRAY };
	const struct lw_lane *lane;
	const struct lw_rule *rule;
	struct lw_rules *rules;
	char err[256] = "", value[64], name[512];

	(void)state;
	build(true, &entry);
	lane = get(LW_TABLE_LANES, 0, GRAY);
	expect_block(lane->block, lane->block_len, lane->baggage_len, "x-mse-tag:        gray\r\n",
		     "baggage:        x-mse-tag=gray\r\n");
	lane = get(LW_TABLE_LANES, 0, ODD);
	expect_block(lane->block, lane->block_len, lane->baggage_len,
		     "X-Env:      a b,c;%\"\xc3\xa4\r\n",
		     "baggage:        x-env=a%20b%2Cc%3B%25%22%C3%A4\r\n");
	rule = get(LW_TABLE_RULES, 0, 1);
	expect_block(rule->block, rule->block_len, rule->baggage_len, "x-mse-tag:        gray\r\n",
		     "baggage:        x-mse-tag=gray\r\n");
	/* a rule that brings the member along */
	entry.set = own;
	entry.nset = 1;
	build(true, &entry);
	rule = get(LW_TABLE_RULES, 0, 1);
	assert_int_equal(rule->baggage_len, 0);
	entry.set = other;
	build(true, &entry);
	rule = get(LW_TABLE_RULES, 0, 1);
	assert_int_equal(rule->baggage_len, 32);
	/* without the option */
	build(false, &entry);
	lane = get(LW_TABLE_LANES, 0, GRAY);
	assert_int_equal(lane->baggage_len, 0);

	/* what cannot be */
	assert_int_equal(lw_rules_new(&rules), 0);
	assert_int_equal(lw_rules_use_baggage(rules), 0);
	assert_int_equal(lw_rules_lane(rules, 1, "gray", "Baggage", "gray", err, sizeof(err)),
			 -EINVAL);
	memset(name, 'n', sizeof(name));
	name[300] = '\0';
	assert_int_equal(lw_rules_lane(rules, 1, "gray", name, "gray", err, sizeof(err)), -EINVAL);
	memset(value, '%', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	name[40] = '\0';
	assert_int_equal(lw_rules_lane(rules, 1, "gray", name, value, err, sizeof(err)), 0);
	lw_rules_free(&rules);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_evidence, image_teardown),
		cmocka_unit_test_teardown(test_what_to_do, image_teardown),
		cmocka_unit_test_teardown(test_limits, image_teardown),
		cmocka_unit_test_teardown(test_untrusted, image_teardown),
		cmocka_unit_test_teardown(test_blocks, image_teardown),
	};

	return !!cmocka_run_group_tests_name("baggage", tests, NULL, NULL);
}
