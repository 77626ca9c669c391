/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is put on and taken off requests besides the tag, byte by byte: the lane in the baggage, and tags of clients that
 * are not believed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "laneway/reasons.h"
#include "both_ways.h"
#include "turns.h"
#include "two_pods.h"

#define GRAY_LANE 1
#define BLUE_LANE 2
#define BLUE "127.0.0.31"
#define GATEWAY "127.0.0.71"
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LINE "GET / HTTP/1.1\r\n"
#define MEMBER "baggage:        x-mse-tag=gray\r\n"
#define B "baggage: "

static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" },
					 { "blue", "x-mse-tag", "blue" },
					 { 0 } };
static const struct lab_pod pods[] = {
	{ .ip = LAB_BASE },
	{ .ip = LAB_GRAY, .lane = GRAY_LANE },
	{ .ip = BLUE, .lane = BLUE_LANE },
	{ .ip = GATEWAY, .workload = 2, .untrusted = true },
	{ 0 },
};
static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" };
static const struct lw_rules_entry plain_entry = { .conds = &cond, .nconds = 1, .lane = GRAY_LANE };

static int blue;

static void publish(bool baggage, const struct lw_rules_entry *entry)
{
	lab_publish(&(struct lab_state){
		.pods = pods, .lanes = lanes, .entries = entry, .nentries = 1, .baggage = baggage });
}

static int setup(void **state)
{
	const struct lab_state s = { .pods = pods, .lanes = lanes };

	(void)state;
	two_pods_start(&(struct lab_options){ .state = &s });
	blue = lab_listen(BLUE);
	return 0;
}

struct row {
	const char *request, *arrives;
};

/* At gray, over an upstream socket and, where it is the own peer, natively; the first one by the agent. */
static void at_gray(const char *from, const struct row *rows, size_t n)
{
	int c, b, g = -1;

	c = lab_connect_from(from, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	for (size_t i = 0; i < n; i++)
		lane_turn(c, gray, &g, rows[i].request, rows[i].arrives);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	c = lab_connect_from(from, LAB_GRAY, LAB_PORT);
	g = lab_accept(gray, c);
	for (size_t i = 0; i < n; i++)
		lane_turn(c, gray, &g, rows[i].request, rows[i].arrives);
	close(c);
	close(g);
}

static void baggage(void **state)
{
	static const struct row rows[] = {
		/* entering, with no baggage, with some, in several lines */
		{ LINE "u: 1\r\n\r\n", LINE TAG MEMBER "u: 1\r\n\r\n" },
		{ LINE "u: 1\r\n" B "a=1\r\n\r\n", LINE TAG MEMBER "u: 1\r\n" B "a=1\r\n\r\n" },
		{ LINE B "a=1\r\nu: 1\r\nBaggage: b=2;p\r\n\r\n",
		  LINE TAG MEMBER B "a=1\r\nu: 1\r\nBaggage: b=2;p\r\n\r\n" },
		/* tagged already */
		{ LINE "x-mse-tag: gray\r\n\r\n", LINE MEMBER "x-mse-tag: gray\r\n\r\n" },
		{ LINE "x-mse-tag: gray\r\n" B "a=1\r\n\r\n",
		  LINE MEMBER "x-mse-tag: gray\r\n" B "a=1\r\n\r\n" },
		/* with the member already */
		{ LINE "x-mse-tag: gray\r\n" B "x-mse-tag=gray,a=1\r\n\r\n",
		  LINE "x-mse-tag: gray\r\n" B "x-mse-tag=gray,a=1\r\n\r\n" },
		/* with nothing but the member */
		{ LINE B "a=1,x-mse-tag=gray\r\n\r\n", LINE TAG B "a=1,x-mse-tag=gray\r\n\r\n" },
		/* beside a tag that names no lane: in its place, by whatever evidence */
		{ LINE "x-mse-tag: old\r\n" B "a=1,x-mse-tag=gray\r\nX-MSE-Tag: older\r\n\r\n",
		  LINE TAG B "a=1,x-mse-tag=gray\r\n\r\n" },
		/* a member of another time: replaced */
		{ LINE "u: 1\r\n" B "x-mse-tag=red\r\n\r\n", LINE TAG MEMBER "u: 1\r\n\r\n" },
		{ LINE "u: 1\r\n" B "a=1,x-mse-tag=red;p=1, b=2\r\nc: d\r\n\r\n",
		  LINE TAG MEMBER "u: 1\r\n" B "a=1, b=2\r\nc: d\r\n\r\n" },
		{ LINE "x-mse-tag: gray\r\n" B "a=1,x-mse-tag=red\r\n\r\n",
		  LINE MEMBER "x-mse-tag: gray\r\n" B "a=1\r\n\r\n" },
		/* beside a tag that names no lane, which the rule takes off */
		{ LINE "x-mse-tag: old\r\nu: 1\r\n" B
		       "x-mse-tag=red,a=1\r\nx-mse-tag: older\r\n\r\n",
		  LINE TAG MEMBER "u: 1\r\n" B "a=1\r\n\r\n" },
		/* with a body that looks like one */
		{ "POST / HTTP/1.1\r\nu: 1\r\n" B
		  "x-mse-tag=red\r\nContent-Length: 12\r\n\r\nbaggage: a=1",
		  "POST / HTTP/1.1\r\n" TAG MEMBER
		  "u: 1\r\nContent-Length: 12\r\n\r\nbaggage: a=1" },
	};
	/* malformed, or more than one is stale: as it was, and counted */
	static const struct row left[] = {
		{ LINE "u: 1\r\n" B "a\r\n\r\n", LINE TAG "u: 1\r\n" B "a\r\n\r\n" },
		{ LINE "x-mse-tag: gray\r\n" B "a=\"\r\n\r\n",
		  LINE "x-mse-tag: gray\r\n" B "a=\"\r\n\r\n" },
		{ LINE "u: 1\r\n" B "x-mse-tag=red,x-mse-tag=green\r\n\r\n",
		  LINE TAG "u: 1\r\n" B "x-mse-tag=red,x-mse-tag=green\r\n\r\n" },
	};
	uint64_t before;

	(void)state;
	publish(true, &plain_entry);
	before = lab_count(LW_REASON_BAGGAGE);
	at_gray(NULL, rows, COUNT(rows));
	assert_int_equal(lab_count(LW_REASON_BAGGAGE), before);
	at_gray(NULL, left, COUNT(left));
	assert_int_equal(lab_count(LW_REASON_BAGGAGE), before + 2 * COUNT(left));
}

static void baggage_as_evidence(void **state)
{
	static const char member[] = LINE B "x-mse-tag=blue\r\n\r\n";
	static const char *const untouched[] = {
		LINE "x-mse-tag: gray\r\n" B "x-mse-tag=blue\r\n\r\n",
		LINE B "x-mse-tag=blue,x-mse-tag=gray\r\n\r\n",
		LINE B "x-mse-tag=red\r\n\r\n",
		LINE B "a=1\r\n\r\n",
		LINE B "x-mse-tag=gray;\"\r\n\r\n",
	};
	uint64_t ambiguous = lab_count_evidence(LW_EVIDENCE_AMBIGUOUS);
	int c, b, s = -1;
	struct lw_flow f;

	(void)state;
	publish(true, &plain_entry);
	open_pair(LAB_BASE, base, &c, &b);
	lane_turn(c, blue, &s, member,
		  LINE "x-mse-tag:        blue\r\n" B "x-mse-tag=blue\r\n\r\n");
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.lane, BLUE_LANE);
	assert_int_equal(f.evidence, LW_EVIDENCE_BAGGAGE);
	assert_int_equal(f.header, LW_HDR_BAGGAGE);
	for (size_t i = 0; i < COUNT(untouched); i++)
		turn(c, b, untouched[i], untouched[i], OK(0, ""));
	assert_int_equal(lab_count_evidence(LW_EVIDENCE_AMBIGUOUS), ambiguous + 2);
	/* without the option nobody looks, and nothing is put there */
	publish(false, &plain_entry);
	turn(c, b, member, member, OK(0, ""));
	close(s);
	close(c);
	close(b);
	at_gray(NULL,
		&(struct row){ LINE "u: 1\r\n" B "x-mse-tag=red\r\n\r\n",
			       LINE TAG "u: 1\r\n" B "x-mse-tag=red\r\n\r\n" },
		1);
}

/* A rule that takes the baggage off, or sets its own. */
static void baggage_and_modifiers(void **state)
{
	static const char *const remove[] = { "baggage" };
	static const struct lw_rules_mod set[] = { { "baggage", "own=1" } };
	struct lw_rules_entry entry = plain_entry;

	(void)state;
	entry.remove = remove;
	entry.nremove = 1;
	publish(true, &entry);
	at_gray(NULL,
		&(struct row){ LINE "u: 1\r\n" B "x-mse-tag=red,a=1\r\n" B "broken\r\n\r\n",
			       LINE TAG MEMBER "u: 1\r\n\r\n" },
		1);
	entry = plain_entry;
	entry.set = set;
	entry.nset = 1;
	publish(true, &entry);
	at_gray(NULL,
		&(struct row){ LINE "u: 1\r\n" B "x-mse-tag=red,a=1\r\n\r\n",
			       LINE "x-mse-tag: gray\r\nbaggage:        own=1\r\n" MEMBER
				    "u: 1\r\n\r\n" },
		1);
}

/* At every cut of the head into two sends, and long heads, of several pages. */
static void baggage_in_pieces(void **state)
{
	static const char req[] = LINE "u: 1\r\n" B "a=1,x-mse-tag=red\r\n\r\n",
			  want[] = LINE TAG MEMBER "u: 1\r\n" B "a=1\r\n\r\n";
	char *big = calloc(1, 16384), *out = calloc(1, 16384), *p = big, *w = out;
	int c, b, g = -1;

	(void)state;
	publish(true, &plain_entry);
	open_pair(LAB_BASE, base, &c, &b);
	lane_turn(c, gray, &g, req, want);
	for (size_t at = 1; at < sizeof(req) - 1; at++) {
		lab_send_n(c, req, at);
		lab_send_n(c, req + at, sizeof(req) - 1 - at);
		lab_expect(g, want);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	p += sprintf(p, LINE "u: 1\r\n");
	w += sprintf(w, LINE TAG MEMBER "u: 1\r\n");
	for (int i = 0; i < 20; i++) {
		p += sprintf(p, "X-%d: %0*d\r\nBaggage: k%d=%0*d%s\r\n", i, 100 + i, i, i, 200, i,
			     i == 11 ? " , x-mse-tag=red" : "");
		w += sprintf(w, "X-%d: %0*d\r\nBaggage: k%d=%0*d%s\r\n", i, 100 + i, i, i, 200, i,
			     i == 11 ? " " : "");
	}
	sprintf(p, "\r\n");
	sprintf(w, "\r\n");
	lane_turn(c, gray, &g, big, out);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	free(big);
	free(out);
}

static void not_believed(void **state)
{
	static const struct row base_rows[] = {
		{ LINE "x-mse-tag: gray\r\n\r\n", LINE "\r\n" },
		{ LINE "a: b\r\nX-Mse-Tag: gray\r\nc: d\r\nx-mse-tag: blue\r\n\r\n",
		  LINE "a: b\r\nc: d\r\n\r\n" },
		{ LINE "x-mse-tag: red\r\na: b\r\n\r\n", LINE "a: b\r\n\r\n" },
		{ "POST / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: 17\r\n\r\nx-mse-tag: gray\r\n",
		  "POST / HTTP/1.1\r\nContent-Length: 17\r\n\r\nx-mse-tag: gray\r\n" },
		/* whoever brings none is left alone */
		{ LINE "a: b\r\n" B "x-mse-tag=gray\r\n\r\n",
		  LINE "a: b\r\n" B "x-mse-tag=gray\r\n\r\n" },
	};
	static const struct row with_baggage[] = {
		{ LINE B "x-mse-tag=gray\r\n\r\n", LINE "\r\n" },
		{ LINE B "a=1\r\n" B "b=2,x-mse-tag=red\r\nx-mse-tag: gray\r\n\r\n",
		  LINE B "a=1\r\n\r\n" },
		{ LINE B "a=1\r\n" B "broken\r\nc: d\r\n\r\n", LINE B "a=1\r\nc: d\r\n\r\n" },
		{ LINE B "a=1\r\n\r\n", LINE B "a=1\r\n\r\n" },
	};
	static const struct row entering[] = {
		{ LINE "u: 1\r\n\r\n", LINE TAG "u: 1\r\n\r\n" },
		{ LINE "x-mse-tag: blue\r\nu: 1\r\n\r\n", LINE TAG "u: 1\r\n\r\n" },
		{ LINE "u: 1\r\nx-mse-tag: gray\r\nx-mse-tag: gray\r\n\r\n",
		  LINE TAG "u: 1\r\n\r\n" },
	};
	static const struct row entering_with_baggage[] = {
		{ LINE "u: 1\r\n" B "x-mse-tag=blue,a=1\r\n" B "b=2\r\n\r\n",
		  LINE TAG MEMBER "u: 1\r\n" B "b=2\r\n\r\n" },
		{ LINE "u: 1\r\n" B "broken\r\n\r\n", LINE TAG MEMBER "u: 1\r\n\r\n" },
	};
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	publish(false, &plain_entry);
	c = lab_connect_from(GATEWAY, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	for (size_t i = 0; i < COUNT(base_rows); i++) {
		turn(c, b, base_rows[i].request, base_rows[i].arrives, OK(0, ""));
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.lane, 0);
		assert_int_equal(f.evidence, LW_EVIDENCE_NONE);
		base_turn(c, b);
	}
	publish(true, &plain_entry);
	for (size_t i = 0; i < COUNT(with_baggage); i++)
		turn(c, b, with_baggage[i].request, with_baggage[i].arrives, OK(0, ""));
	close(c);
	close(b);
	publish(false, &plain_entry);
	at_gray(GATEWAY, entering, COUNT(entering));
	publish(true, &plain_entry);
	at_gray(GATEWAY, entering_with_baggage, COUNT(entering_with_baggage));

	/* somebody else's tag is believed all the while */
	open_pair(LAB_BASE, base, &c, &b);
	publish(false, &plain_entry);
	lane_turn(c, gray, &g, base_rows[0].request, base_rows[0].request);
	close(c);
	close(b);
	close(g);
}

/* Who is believed is a matter of the state: of the next request, on connections that are there already. */
static void trust_comes_and_goes(void **state)
{
	static const struct lab_pod trusted[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = GRAY_LANE },
		{ .ip = GATEWAY, .workload = 2 },
		{ 0 },
	};
	static const char req[] = LINE "x-mse-tag: gray\r\n\r\n";
	int c, b, g = -1;

	(void)state;
	publish(false, &plain_entry);
	c = lab_connect_from(GATEWAY, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	turn(c, b, req, LINE "\r\n", OK(0, ""));
	lab_publish(&(struct lab_state){ .pods = trusted, .lanes = lanes });
	lane_turn(c, gray, &g, req, req);
	publish(false, &plain_entry);
	turn(c, b, req, LINE "\r\n", OK(0, ""));
	close(c);
	close(b);
	close(g);
}

/* At every cut of the head: the tag is off all the same. */
static void not_believed_in_pieces(void **state)
{
	static const char req[] = LINE "a: b\r\nx-mse-tag: gray\r\nc: d\r\n\r\n",
			  want[] = LINE "a: b\r\nc: d\r\n\r\n";
	int c, b;

	(void)state;
	publish(false, &plain_entry);
	c = lab_connect_from(GATEWAY, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	for (size_t at = 1; at < sizeof(req) - 1; at++) {
		lab_send_n(c, req, at);
		lab_send_n(c, req + at, sizeof(req) - 1 - at);
		lab_expect(b, want);
		lab_send(b, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	/* two in one send */
	lab_send(c, LINE "x-mse-tag: gray\r\n\r\n" LINE "x-mse-tag: blue\r\na: b\r\n\r\n");
	lab_expect(b, LINE "\r\n" LINE "a: b\r\n\r\n");
	close(c);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(baggage, lab_clean),
		cmocka_unit_test_teardown(baggage_as_evidence, lab_clean),
		cmocka_unit_test_teardown(baggage_and_modifiers, lab_clean),
		cmocka_unit_test_teardown(baggage_in_pieces, lab_clean),
		cmocka_unit_test_teardown(not_believed, lab_clean),
		cmocka_unit_test_teardown(trust_comes_and_goes, lab_clean),
		cmocka_unit_test_teardown(not_believed_in_pieces, lab_clean),
	};

	return RUN_BOTH_WAYS("tags", tests, setup, lab_teardown);
}
