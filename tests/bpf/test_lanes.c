/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several lanes at once, entry rules of every kind, and what they take off and put on a request, byte by byte.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kern/internal.h"
#include "laneway/reasons.h"
#include "both_ways.h"
#include "turns.h"

#define BLUE "127.0.0.31"
#define BLUE2 "127.0.0.32"
#define GREEN "127.0.0.41"
#define GRAY_LANE 1
#define BLUE_LANE 2
#define GREEN_LANE 3
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct lab_lane lanes[] = {
	{ "gray", "x-mse-tag", "gray" },
	{ "blue", "x-mse-tag", "blue" },
	{ "green", "x-env", "green" },
	{ 0 },
};
static const struct lab_pod pods[] = {
	{ .ip = LAB_BASE },
	{ .ip = LAB_GRAY, .lane = GRAY_LANE },
	{ .ip = BLUE, .lane = BLUE_LANE },
	{ .ip = GREEN, .lane = GREEN_LANE },
	{ 0 },
};

static int base, gray, blue, blue2, green;

static void publish(const struct lw_rules_entry *entries, size_t n)
{
	lab_publish(&(struct lab_state){
		.pods = pods, .lanes = lanes, .entries = entries, .nentries = n });
}

static int setup(void **state)
{
	static const struct lab_state s = { .pods = pods, .lanes = lanes };

	(void)state;
	lab_start(&(struct lab_options){ .state = &s, .prefer_local = true });
	base = lab_listen(LAB_BASE);
	gray = lab_listen(LAB_GRAY);
	blue = lab_listen(BLUE);
	blue2 = lab_listen(BLUE2);
	green = lab_listen(GREEN);
	return 0;
}

static int clean(void **state)
{
	lab_clean(state);
	publish(NULL, 0);
	return 0;
}

static void lanes_in_turn(void **state)
{
	static const char to_gray[] = "GET / HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n";
	static const char to_blue[] = "GET / HTTP/1.1\r\nX-MSE-TAG: blue\r\n\r\n";
	static const char to_green[] = "GET / HTTP/1.1\r\nX-Env: green\r\n\r\n";
	int c, b, g = -1, bl = -1, gr = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 4; i++) {
		lane_turn(c, gray, &g, to_gray, to_gray);
		lane_turn(c, blue, &bl, to_blue, to_blue);
		if (i % 2)
			base_turn(c, b);
		lane_turn(c, green, &gr, to_green, to_green);
	}
	close(c);
	lab_expect_eof(g);
	lab_expect_eof(bl);
	lab_expect_eof(gr);
	lab_expect_eof(b);
	close(g);
	close(bl);
	close(gr);
	close(b);
}

static void contradicting_tags_are_base(void **state)
{
	static const char *const reqs[] = {
		"GET / HTTP/1.1\r\nx-mse-tag: gray\r\nx-mse-tag: blue\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-tag: blue\r\nA: b\r\nX-Mse-Tag: gray\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-tag: gray\r\nx-env: green\r\n\r\n",
		"GET / HTTP/1.1\r\nx-env: green\r\nx-mse-tag: blue\r\nx-mse-tag: blue\r\n\r\n",
	};
	static const char twice[] =
		"GET / HTTP/1.1\r\nx-mse-tag: gray\r\nx-mse-tag: gray\r\nx-env: other\r\n\r\n";
	uint64_t before = lab_count_evidence(LW_EVIDENCE_AMBIGUOUS);
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < COUNT(reqs); i++) {
		turn(c, b, reqs[i], reqs[i], OK(0, ""));
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.lane, 0);
		assert_int_equal(f.evidence, LW_EVIDENCE_AMBIGUOUS);
		assert_int_equal(f.header, LW_HDR_OTHER);
		assert_int_equal(lab_count_evidence(LW_EVIDENCE_AMBIGUOUS), before + i + 1);
	}
	/* twice the same, and a value that names no lane: no contradiction */
	lane_turn(c, gray, &g, twice, twice);
	assert_int_equal(lab_count_evidence(LW_EVIDENCE_AMBIGUOUS), before + COUNT(reqs));
	close(c);
	close(b);
	close(g);
}

/* The tag is stronger than the pod, the pod than the rule. */
static void evidence_has_an_order(void **state)
{
	static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" };
	static const struct lw_rules_entry to_gray = { .conds = &cond,
						       .nconds = 1,
						       .lane = GRAY_LANE };
	int c, b, s = -1;
	struct lw_flow f;

	(void)state;
	publish(&to_gray, 1);
	c = lab_connect_from(BLUE, LAB_BASE, LAB_PORT);
	b = lab_accept(base, c);
	lane_turn(c, blue, &s, "GET / HTTP/1.1\r\nu: 1\r\n\r\n",
		  "GET / HTTP/1.1\r\nx-mse-tag:        blue\r\nu: 1\r\n\r\n");
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_POD);
	assert_int_equal(f.header, LW_HDR_OTHER);
	close(s);
	s = -1;
	lane_turn(c, green, &s, "GET / HTTP/1.1\r\nu: 1\r\nx-env: green\r\n\r\n",
		  "GET / HTTP/1.1\r\nu: 1\r\nx-env: green\r\n\r\n");
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_TAG);
	assert_int_equal(f.header, LW_HDR_TAG_FIRST + 1);
	close(s);
	close(c);
	close(b);
}

struct row {
	const char *request, *arrives;
};

static void at_gray(const struct row *rows, size_t n)
{
	int c, b, g = -1;

	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < n; i++)
		lane_turn(c, gray, &g, rows[i].request, rows[i].arrives);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
}

static void modifiers(void **state)
{
	static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" };
	static const struct lw_rules_mod set[] = { { "x-mse-tag", "gray" }, { "X-Set", "new" } };
	static const struct lw_rules_mod add[] = { { "X-Add", "more" } };
	static const char *const remove[] = { "X-Gone", "Cookie" };
	static const struct lw_rules_entry entry = {
		.conds = &cond,
		.nconds = 1,
		.lane = GRAY_LANE,
		.set = set,
		.nset = 2,
		.add = add,
		.nadd = 1,
		.remove = remove,
		.nremove = 2,
	};
#define PUT "x-mse-tag: gray\r\nX-Set: new\r\nX-Add:       more\r\n"
	static const struct row rows[] = {
		{ "GET / HTTP/1.1\r\nu: 1\r\n\r\n", "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
		/* at the start, in the middle, at the end of the head */
		{ "GET / HTTP/1.1\r\nX-Gone: 1\r\nu: 1\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nu: 1\r\nX-Gone: 1\r\nB: c\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\nB: c\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nu: 1\r\nx-gone:\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
		/* set replaces, whatever the case, however often it stands there */
		{ "GET / HTTP/1.1\r\nx-set: old\r\nu: 1\r\nX-SET: older\r\nB: c\r\nX-Set:oldest\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\nB: c\r\n\r\n" },
		/* add stands beside what is there */
		{ "GET / HTTP/1.1\r\nu: 1\r\nX-Add: one\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\nX-Add: one\r\n\r\n" },
		/* names that only begin or end like one */
		{ "GET / HTTP/1.1\r\nX-Gone2: 1\r\nu: 1\r\nX-Gon: 1\r\nAX-Gone: 2\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "X-Gone2: 1\r\nu: 1\r\nX-Gon: 1\r\nAX-Gone: 2\r\n\r\n" },
		/* one after the other, and all kinds at once */
		{ "GET / HTTP/1.1\r\nX-Gone: 1\r\nX-Gone: 2\r\nX-Gone: 3\r\nu: 1\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
		{ "POST /x HTTP/1.1\r\nCookie: a=b; c=d\r\nu: 1\r\nX-Gone:   spaces  \r\nContent-Length: 12\r\nX-Set: \r\n\r\nX-Gone: 1\r\n\r",
		  "POST /x HTTP/1.1\r\n" PUT "u: 1\r\nContent-Length: 12\r\n\r\nX-Gone: 1\r\n\r" },
		/* an empty tag, or one of no lane, makes way for the lane's own */
		{ "GET / HTTP/1.1\r\nX-Mse-Tag:\r\nu: 1\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
		{ "GET / HTTP/1.1\r\nu: 1\r\nx-mse-tag: red\r\n\r\n",
		  "GET / HTTP/1.1\r\n" PUT "u: 1\r\n\r\n" },
	};
	static const char untouched[] = "GET / HTTP/1.1\r\nX-Gone: 1\r\nX-Set: old\r\nu: 2\r\n\r\n";
	static const char tagged[] =
		"GET / HTTP/1.1\r\nX-Gone: 1\r\nX-Set: old\r\nu: 1\r\nx-mse-tag: gray\r\n\r\n";
	int c, b, g = -1;

	(void)state;
	publish(&entry, 1);
	at_gray(rows, COUNT(rows));
	/* only where the rule let it in: not at base, not with a tag of an earlier hop */
	open_pair(LAB_BASE, base, &c, &b);
	turn(c, b, untouched, untouched, OK(0, ""));
	lane_turn(c, gray, &g, tagged, tagged);
	close(c);
	close(b);
	close(g);
}

/* Twenty lines taken away, in a head of several pages, sent in pieces, with a body behind it. */
static void modifiers_on_a_long_head(void **state)
{
	static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" };
	static const char *const remove[] = { "X-Gone" };
	static const struct lw_rules_entry entry = {
		.conds = &cond,
		.nconds = 1,
		.lane = GRAY_LANE,
		.remove = remove,
		.nremove = 1,
	};
	char *req = calloc(1, 32768), *want = calloc(1, 32768), *p = req, *w = want;
	int c, b, g = -1;

	(void)state;
	publish(&entry, 1);
	p += sprintf(p, "POST / HTTP/1.1\r\n");
	w += sprintf(w, "POST / HTTP/1.1\r\nx-mse-tag:        gray\r\n");
	for (int i = 0; i < 20; i++) {
		p += sprintf(p, "X-Gone: %0*d\r\n", 100 + i * 7, i);
		p += sprintf(p, "X-Stays-%d: %0*d\r\n", i, 300 + i, i);
		w += sprintf(w, "X-Stays-%d: %0*d\r\n", i, 300 + i, i);
	}
	p += sprintf(p, "u: 1\r\nContent-Length: 5\r\n\r\nhello");
	w += sprintf(w, "u: 1\r\nContent-Length: 5\r\n\r\nhello");
	open_pair(LAB_BASE, base, &c, &b);
	lane_turn(c, gray, &g, req, want);
	for (size_t piece = 1000; piece < 9000; piece += 1777) {
		size_t n = (size_t)(p - req);

		for (size_t at = 0; at < n; at += piece)
			lab_send_n(c, req + at, n - at < piece ? n - at : piece);
		lab_expect(g, want);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	base_turn(c, b);
	lab_expect_nothing(g);
	close(c);
	close(b);
	close(g);
	free(req);
	free(want);
}

struct match_row {
	struct lw_rules_cond cond;
	const char *request;
	bool holds;
};

static void conditions_on_real_requests(void **state)
{
#define PATH(op, v)                          \
	{                                    \
		LW_SUBJECT_PATH, op, NULL, v \
	}
#define QUERY(op, v)                         \
	{                                    \
		LW_SUBJECT_QUERY, op, "q", v \
	}
#define COOKIE(op, v)                            \
	{                                        \
		LW_SUBJECT_COOKIE, op, "user", v \
	}
#define HEADER(op, v)                           \
	{                                       \
		LW_SUBJECT_HEADER, op, "X-H", v \
	}
#define GET(target, fields) "GET " target " HTTP/1.1\r\n" fields "\r\n"
	static const struct match_row rows[] = {
		{ PATH(LW_OP_EXACT, "/a/b"), GET("/a/b", ""), true },
		{ PATH(LW_OP_EXACT, "/a/b"), GET("/a/b?x=1", ""), true },
		{ PATH(LW_OP_EXACT, "/a/b"), GET("/a/b/", ""), false },
		{ PATH(LW_OP_EXACT, "/a/b"), GET("/A/b", ""), false },
		{ PATH(LW_OP_EXACT, "/a/b"), GET("http://w/a/b", ""), true },
		{ PATH(LW_OP_PREFIX, "/api"), GET("/api", ""), true },
		{ PATH(LW_OP_PREFIX, "/api"), GET("/api/v1", ""), true },
		{ PATH(LW_OP_PREFIX, "/api"), GET("/apis", ""), false },
		{ PATH(LW_OP_PREFIX, "/api"), GET("/x/api", ""), false },
		{ PATH(LW_OP_REGEX, "/v[0-9]+/.*"), GET("/v12/x", ""), true },
		{ PATH(LW_OP_REGEX, "/v[0-9]+/.*"), GET("/vx/x", ""), false },
		{ QUERY(LW_OP_EXACT, "1"), GET("/?q=1", ""), true },
		{ QUERY(LW_OP_EXACT, "1"), GET("/?a=b&q=1&c=d", ""), true },
		{ QUERY(LW_OP_EXACT, "1"), GET("/?aq=1&q=2", ""), false },
		{ QUERY(LW_OP_EXACT, "1"), GET("/q=1", ""), false },
		{ QUERY(LW_OP_REGEX, "[a-c]{2}"), GET("/?q=ab#q=x", ""), true },
		{ COOKIE(LW_OP_EXACT, "me"), GET("/", "Cookie: a=b; user=me\r\n"), true },
		{ COOKIE(LW_OP_EXACT, "me"), GET("/", "cookie: user=me; a=b\r\n"), true },
		{ COOKIE(LW_OP_EXACT, "me"), GET("/", "Cookie: xuser=me; user=you\r\n"), false },
		{ COOKIE(LW_OP_EXACT, "me"), GET("/", "X-Cookie: user=me\r\n"), false },
		{ COOKIE(LW_OP_REGEX, "m.*"), GET("/", "Cookie: user=mine\r\n"), true },
		{ HEADER(LW_OP_REGEX, "^(ab|cd)+$"), GET("/", "x-h:  abcdab \r\n"), true },
		{ HEADER(LW_OP_REGEX, "^(ab|cd)+$"), GET("/", "x-h: abcda\r\n"), false },
		{ HEADER(LW_OP_EXACT, "v"), GET("/", "X-H: v\r\n"), true },
		{ HEADER(LW_OP_EXACT, "v"), GET("/", "X-H: v v\r\n"), false },
	};
	struct lw_flow f;

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		const struct lw_rules_entry entry = { .conds = &rows[i].cond,
						      .nconds = 1,
						      .lane = GRAY_LANE };
		int c, b, g = -1;
		char want[256];

		publish(&entry, 1);
		open_pair(LAB_BASE, base, &c, &b);
		if (rows[i].holds) {
			const char *fields = strstr(rows[i].request, "\r\n") + 2;

			snprintf(want, sizeof(want), "%.*s%s%s", (int)(fields - rows[i].request),
				 rows[i].request, TAG, fields);
			lane_turn(c, gray, &g, rows[i].request, want);
		} else {
			turn(c, b, rows[i].request, rows[i].request, OK(0, ""));
		}
		assert_true(lab_flow(c, &f));
		if (f.lane != (rows[i].holds ? GRAY_LANE : 0))
			print_error("row %zu: %s\n", i, rows[i].request);
		assert_int_equal(f.lane, rows[i].holds ? GRAY_LANE : 0);
		assert_int_equal(f.evidence, rows[i].holds ? LW_EVIDENCE_ENTRY : LW_EVIDENCE_NONE);
		close(c);
		close(b);
		if (g >= 0)
			close(g);
	}
}

/* AND within a match, OR between them, the first that holds decides; lanes of their own. */
static void several_matches(void **state)
{
	static const struct lw_rules_cond both[] = {
		{ LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" },
		{ LW_SUBJECT_PATH, LW_OP_PREFIX, NULL, "/in" },
	};
	static const struct lw_rules_cond one[] = { { LW_SUBJECT_HEADER, LW_OP_EXACT, "u", "1" } };
	static const struct lw_rules_cond other[] = { { LW_SUBJECT_COOKIE, LW_OP_EXACT, "u",
							"2" } };
	static const struct lw_rules_entry entries[] = {
		{ .conds = both, .nconds = 2, .lane = GRAY_LANE },
		{ .conds = one, .nconds = 1, .lane = BLUE_LANE },
		{ .conds = other, .nconds = 1, .lane = GREEN_LANE },
	};
	int c, b, g = -1, bl = -1, gr = -1;

	(void)state;
	publish(entries, COUNT(entries));
	open_pair(LAB_BASE, base, &c, &b);
	lane_turn(c, gray, &g, "GET /in HTTP/1.1\r\nu: 1\r\n\r\n",
		  "GET /in HTTP/1.1\r\n" TAG "u: 1\r\n\r\n");
	lane_turn(c, blue, &bl, "GET /out HTTP/1.1\r\nu: 1\r\n\r\n",
		  "GET /out HTTP/1.1\r\nx-mse-tag:        blue\r\nu: 1\r\n\r\n");
	lane_turn(c, green, &gr, "GET /in HTTP/1.1\r\nCookie: u=2\r\n\r\n",
		  "GET /in HTTP/1.1\r\nx-env:   green\r\nCookie: u=2\r\n\r\n");
	turn(c, b, "GET /in HTTP/1.1\r\nu: 2\r\n\r\n", "GET /in HTTP/1.1\r\nu: 2\r\n\r\n",
	     OK(0, ""));
	close(c);
	close(b);
	close(g);
	close(bl);
	close(gr);
}

static void weights(void **state)
{
	static const unsigned int pcts[] = { 0, 100, 50 };
	enum { N = 300 };

	(void)state;
	for (size_t i = 0; i < COUNT(pcts); i++) {
		const struct lw_rules_entry entry = { .weight_pct = pcts[i], .lane = GRAY_LANE };
		int c, b, g = -1, in = 0;
		struct lw_flow f;

		publish(&entry, 1);
		open_pair(LAB_BASE, base, &c, &b);
		for (int k = 0; k < N; k++) {
			lab_send(c, BASE_REQUEST);
			assert_true(lab_flow(c, &f));
			if (f.lane) {
				in++;
				if (g < 0)
					g = lab_accept_request(gray);
				lab_expect(g, "GET /a HTTP/1.1\r\n" TAG "Host: w\r\n\r\n");
			} else {
				lab_expect(b, BASE_REQUEST);
			}
			lab_send(f.lane ? g : b, OK(0, ""));
			lab_expect(c, OK(0, ""));
		}
		print_message("weight %u: %d of %d\n", pcts[i], in, N);
		if (pcts[i] == 50)
			/* 8.7 standard deviations either way */
			assert_in_range(in, N / 4, 3 * N / 4);
		else
			assert_int_equal(in, N * pcts[i] / 100);
		close(c);
		close(b);
		if (g >= 0)
			close(g);
	}
}

/* The pods of this node where there are any, else all in turn. */
static void local_pods_first(void **state)
{
	static const char to_blue[] = "GET / HTTP/1.1\r\nx-mse-tag: blue\r\n\r\n";
	static const int locals[] = { 31, 32, 0 };
	enum { N = 6 };

	(void)state;
	for (size_t i = 0; i < COUNT(locals); i++) {
		const struct lab_pod some[] = {
			{ .ip = LAB_BASE },
			{ .ip = BLUE, .lane = BLUE_LANE, .local = locals[i] == 31 },
			{ .ip = BLUE2, .lane = BLUE_LANE, .local = locals[i] == 32 },
			{ 0 },
		};
		int seen[2] = { 0, 0 };

		lab_publish(&(struct lab_state){ .pods = some, .lanes = lanes });
		for (int k = 0; k < N; k++) {
			unsigned int last;
			int c, b, s;

			open_pair(LAB_BASE, base, &c, &b);
			lab_send(c, to_blue);
			last = lab_bound_to(c);
			s = lab_accept_request(last == 31 ? blue : blue2);
			lab_expect(s, to_blue);
			seen[last - 31]++;
			close(c);
			close(b);
			close(s);
		}
		assert_int_equal(seen[0], locals[i] == 31 ? N : locals[i] == 32 ? 0 : N / 2);
		assert_int_equal(seen[0] + seen[1], N);
	}
}

/* As lane_turn(), of an upstream connection that may have been closed meanwhile. */
static void turn_anew(int c, int listener, int *g, const char *request)
{
	char byte;

	lab_send(c, request);
	/* its end comes, or the request */
	if (*g >= 0 && recv(*g, &byte, 1, MSG_PEEK) <= 0) {
		close(*g);
		*g = -1;
	}
	if (*g < 0)
		*g = lab_accept_request(listener);
	lab_expect(*g, request);
	lab_send(*g, OK(4, "lane"));
	lab_expect(c, OK(4, "lane"));
}

/* More lanes than a connection may hold upstream sockets, and a canary for its own peer: each request gets to its lane, and base's to base. */
static void upstream_sockets_run_out(void **state)
{
	static const struct lab_lane many[] = {
		{ "l1", "t", "1" }, { "l2", "t", "2" }, { "l3", "t", "3" },
		{ "l4", "t", "4" }, { "l5", "t", "5" }, { 0 },
	};
	static const struct lab_pod some[] = {
		{ .ip = LAB_BASE },
		{ .ip = LAB_GRAY, .lane = 1 },
		{ .ip = BLUE, .lane = 2 },
		{ .ip = BLUE2, .lane = 3 },
		{ .ip = GREEN, .lane = 4 },
		{ .ip = "127.0.0.51", .lane = 5 },
		{ 0 },
	};
	const int fifth = lab_listen("127.0.0.51"),
		  listeners[] = { base, gray, blue, blue2, green, fifth };
	int c, own, s[] = { -1, -1, -1, -1, -1, -1 };

	(void)state;
	lab_publish(&(struct lab_state){ .pods = some, .lanes = many });
	open_pair(LAB_GRAY, gray, &c, &own);
	for (int turns = 0; turns < 3; turns++) {
		turn(c, own, "GET / HTTP/1.1\r\nt: 1\r\n\r\n", "GET / HTTP/1.1\r\nt: 1\r\n\r\n",
		     OK(0, ""));
		for (int i = 0; i < 6; i++) {
			char req[64];

			if (i == 1)
				continue;
			(void)snprintf(req, sizeof(req),
				       i ? "GET / HTTP/1.1\r\nt: %d\r\n\r\n" :
					   "GET / HTTP/1.1\r\n\r\n",
				       i);
			turn_anew(c, listeners[i], &s[i], req);
		}
		lab_expect_nothing(own);
	}
	for (int i = 0; i < 6; i++)
		if (s[i] >= 0)
			close(s[i]);
	close(c);
	close(own);
	lab_unlisten(fifth);
}

/* Base requests that are just on their way from a flow to lw_stats, where the one is read before and the other behind it. */
static void counters_never_fall(void **state)
{
	int flows = bpf_map__fd(lab_kern()->skel->maps.lw_flows), c, b;
	uint64_t before = lab_count(LW_REASON_OK), down;
	socklen_t len = sizeof(down);
	struct lw_flow f;
	uint32_t moving;

	(void)state;
	lab_publish(&(struct lab_state){ .pods = pods, .lanes = lanes });
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	base_turn(c, b);
	assert_int_equal(lab_count(LW_REASON_OK), before + 2);
	assert_int_equal(getsockopt(c, SOL_SOCKET, SO_COOKIE, &down, &len), 0);
	assert_true(lab_flow(c, &f));
	moving = f.base_ok;
	assert_int_equal(moving, 2);
	f.base_ok = 0;
	assert_int_equal(bpf_map_update_elem(flows, &down, &f, BPF_EXIST), 0);
	assert_int_equal(lab_count(LW_REASON_OK), before + 2);
	f.base_ok = moving;
	assert_int_equal(bpf_map_update_elem(flows, &down, &f, BPF_EXIST), 0);
	base_turn(c, b);
	assert_int_equal(lab_count(LW_REASON_OK), before + 3);
	close(c);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(counters_never_fall, clean),
		cmocka_unit_test_teardown(lanes_in_turn, clean),
		cmocka_unit_test_teardown(contradicting_tags_are_base, clean),
		cmocka_unit_test_teardown(evidence_has_an_order, clean),
		cmocka_unit_test_teardown(modifiers, clean),
		cmocka_unit_test_teardown(modifiers_on_a_long_head, clean),
		cmocka_unit_test_teardown(conditions_on_real_requests, clean),
		cmocka_unit_test_teardown(several_matches, clean),
		cmocka_unit_test_teardown(weights, clean),
		cmocka_unit_test_teardown(local_pods_first, clean),
		cmocka_unit_test_teardown(upstream_sockets_run_out, clean),
	};

	return RUN_BOTH_WAYS("lanes", tests, setup, lab_teardown);
}
