/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <regex.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "../harness/dfa_match.h"
#include "core/regex.h"
#include "laneway/dfa.h"

static struct lw_dfa dfa;

/* Of the processor, which others may have meanwhile. */
static double spent_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

static void test_language(void **state)
{
	/* Values are split at '|', or sep. NO_VALUE: an empty list is no value, rather than the
	 * empty one. */
	enum { NO_VALUE = 1 };
	static const struct {
		const char *pattern, *accept, *reject;
		char sep;
	} rows[] = {
		{ "xiaoming", "xiaoming", "|xiaomin|xiaoming1|1xiaoming|XIAOMING", 0 },
		{ "", "", "a| ", 0 },
		{ "xiao.*", "xiao|xiaoming|xiao ming|xiao\xc3\xa9", "xia|axiao|xiao\n", 0 },
		{ "^gray$", "gray", "gray |xgray|", 0 },
		{ "\\Agray\\z", "gray", "gray |xgray|", 0 },
		{ "^^a$$", "a", "aa|", 0 },
		{ "^$", "", "a", 0 },
		{ "$^", "", "a", 0 },
		{ "a*$^", "", "a|aa",
		  0 }, /* the start differs from a later state with the same edges */
		{ "^a|b$|^c$", "a|b|c", "ab|ac|", 0 },
		{ "(^a|b$)*", "|a|ab|b", "ba|aa|bb", 0 },
		{ "(^|x)a", "a|xa", "xxa|x", 0 },
		{ "a(b|$)", "ab|a", "abb|b", 0 },
		{ "a^b", "", "ab|a^b|a", NO_VALUE },
		{ "a$b", "", "ab|a$b|a", NO_VALUE },
		{ "(a|ab)(c|bcd)(d*)", "abcd|acd|abcdd|ac|abc", "abd|abcdcd", 0 },
		{ "a|b|", "a|b|", "ab|c", 0 },
		{ "(|a)+b", "b|ab|aab", "a|ba", 0 },
		{ "()*x()", "x", "|xx", 0 },
		{ "a*?b+?c??d{1,2}?", "bd|aabbcdd|bdd", "ad|bddd|bccd", 0 },
		{ "[a-c]+", "a|abc", "|d|abd|A", 0 },
		{ "[^a-c]+", "d|xyz|-|\n", "|a|xay", 0 },
		{ "[]a]+", "]|a|]a", "b|[", 0 },
		{ "[^]a]", "b|[", "]|a", 0 },
		{ "[a-]", "a|-", "b", 0 },
		{ "[-a]", "a|-", "b", 0 },
		{ "[a\\-z]", "a|-|z", "b", 0 },
		{ "[a-c-e]", "a|b|c|-|e", "d", 0 },
		{ "[\\w-.]+", "a-b.c|_", "a b|/", 0 },
		{ "[a-zA-Z0-9-_]+", "a-B_9", "a.b|", 0 },
		{ "[+--]", "+|,|-", ".|*", 0 },
		{ "[[:alpha:][:digit:]]+", "aZ9", "a_|", 0 },
		{ "[[:^digit:]]", "a|\xff", "0|9", 0 },
		{ "[^[:space:]]", "a|\x1f", " |\t|\n|\v", 0 },
		{ "\\S", "a|\v", " |\t|\n", 0 },
		{ "[[:punct:]]+", "!/:@[`{~-_", "a|0| ", 0 },
		{ "[[:xdigit:]]{2}", "fF|09|aA", "fg|f", 0 },
		{ "[[:upper:][:blank:]]", "A| |\t", "a|\n", 0 },
		{ "[[:cntrl:]]", "\x01|\x1f|\x7f", " |a|~", 0 },
		{ "[[:ascii:]]", "\x01|\x7f|a", "\x80|\xff", 0 },
		{ "[[:graph:]]", "!|~|a", " |\x7f", 0 },
		{ "[[:print:]]", "!|~| ", "\x1f|\x7f", 0 },
		{ "[[:word:]]", "_|a|0", "-| ", 0 },
		{ "[[:alpha]", "[|:|a|l|p|h", "]|b", 0 },
		{ "[[a]", "[|a", "]", 0 },
		{ "\\d\\D\\w\\W\\s\\S", "1aa- x|1 _.\tx", "aaa- x|1aa-xx", 0 },
		{ "[\\d.]+", "1.2|.", "a|", 0 },
		{ "[\\D]", "a| ", "1", 0 },
		{ "\\.\\*\\+\\?\\(\\)\\[\\]\\{\\}\\^\\$\\/\\-\\_\\ ", ".*+?()[]{}^$/-_ ", "x", 0 },
		{ "a\\|b", "a|b", "a,b,a\\|b", ',' },
		{ "\\x41\\x7e\\x{42}\\t", "A~B\t", "A~Bt", 0 },
		{ "\\xff[\\x80-\\x8f]", "\xff\x80|\xff\x8f", "\xff\x90|\xff", 0 },
		{ "a{3}", "aaa", "aa|aaaa|a{3}", 0 },
		{ "a{2,}", "aa|aaa|aaaaaaaa", "a|", 0 },
		{ "a{2,3}", "aa|aaa", "a|aaaa", 0 },
		{ "a{0}b", "b", "ab", 0 },
		{ "(ab){0,2}", "|ab|abab", "a|ababab", 0 },
		{ "(a{2}){2,3}", "aaaa|aaaaaa", "aa|aaaaa|aaaaaaaa", 0 },
		{ "a{", "a{", "a", 0 },
		{ "a{x}", "a{x}", "a", 0 },
		{ "{a}", "{a}", "a", 0 },
		{ "a]}", "a]}", "a", 0 },
		{ "(?:ab)+", "ab|abab", "a|aba", 0 },
		{ "(?P<user>x)(?<v>y)", "xy", "x|y", 0 },
		{ "(?i)Gray[a-c]",
		  "gray"
		  "a|GRAYC|gRaYB",
		  "grayd|gra", 0 },
		{ "(?i)[^a]", "b|B", "a|A", 0 },
		{ "(?i)[[:lower:]][[:^upper:]]", "a1|A1", "aa|aA", 0 },
		{ "(?i)\\x41_", "a_|A_", "b_|A\x7f", 0 },
		{ "a(?i:b)c", "abc|aBc", "Abc|abC", 0 },
		{ "(a(?i)b|c)d", "abd|aBd|Cd|cd", "Abd|abD|CD", 0 },
		{ "(?i)a(?-i)b", "Ab|ab", "AB", 0 },
		{ "(?s).", "\n|a", "|aa", 0 },
		{ "(?is-i:A.)", "A\n|Ax", "a\n", 0 },
		{ "(?s)(?-s:.)", "a", "\n", 0 },
		{ "\xc3\xa9+", "\xc3\xa9|\xc3\xa9\xc3\xa9", "\xc3\xa9\xa9|\xc3", 0 },
		{ "\xe4\xb8\xad?x", "x|\xe4\xb8\xadx", "\xe4\xb8x", 0 },
		{ "\xff*", "|\xff|\xff\xff", "a", 0 },
		{ "(\\d{1,3}\\.){3}\\d{1,3}", "10.0.0.1|255.255.255.255",
		  "10.0.0|1000.1.1.1|10.0.0.1.", 0 },
		{ ".*(iPhone|Android [4-9]).*", "Mozilla (iPhone; x)|Android 9",
		  "Android 3|Windows", 0 },
		{ "(.*; ?)?user=(a|b)(;.*)?", "user=a|x=1; user=b; y=2|x;user=a", "xuser=a|user=ab",
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char err[200] = "";

		if (lw_regex_compile(rows[i].pattern, &dfa, NULL, err, sizeof(err)))
			fail_msg("'%s': %s", rows[i].pattern, err);
		for (int want = 1; want >= 0; want--) {
			const char *value = want ? rows[i].accept : rows[i].reject;
			char sep = rows[i].sep > NO_VALUE ? rows[i].sep : '|';

			if (rows[i].sep == NO_VALUE && !*value)
				continue;
			for (;;) {
				size_t len = strcspn(value, (char[]){ sep, 0 });

				if (lw_dfa_match(&dfa, value, len) != want)
					fail_msg("'%s' %s '%.*s'", rows[i].pattern,
						 want ? "misses" : "takes", (int)len, value);
				value += len;
				if (!*value++)
					break;
			}
		}
	}
}

static void test_nul_in_value(void **state)
{
	(void)state;
	assert_int_equal(lw_regex_compile("a.b|\\x00", &dfa, NULL, NULL, 0), 0);
	assert_true(lw_dfa_match(&dfa, "a\0b", 3));
	assert_true(lw_dfa_match(&dfa, "\0", 1));
	assert_false(lw_dfa_match(&dfa, "a\0bc", 4));
	assert_false(lw_dfa_match(&dfa, "", 0));
}

static void test_refused(void **state)
{
	static const struct {
		const char *pattern, *err;
	} rows[] = {
		{ "(a)\\1", "back-reference \\1 at position 4 is not supported" },
		{ "\\k<x>", "back-reference \\k at position 1 is not supported" },
		{ "x(?=a)", "lookahead (?= at position 2 is not supported" },
		{ "x(?!a)", "lookahead (?! at position 2 is not supported" },
		{ "(?<=a)", "lookbehind (?< at position 1 is not supported" },
		{ "(?<!a)", "lookbehind (?< at position 1 is not supported" },
		{ "a\\b", "word boundary \\b at position 2 is not supported" },
		{ "a\\B", "word boundary \\B at position 2 is not supported" },
		{ "[\\b]", "word boundary \\b at position 2 is not supported" },
		{ "\\pL", "Unicode class \\p at position 1 is not supported" },
		{ "[\\P{Greek}]", "Unicode class \\P at position 2 is not supported" },
		{ "a*+", "possessive repetition at position 2 is not supported" },
		{ "a?+", "possessive repetition at position 2 is not supported" },
		{ "a{2}+", "possessive repetition at position 2 is not supported" },
		{ "(?>a)", "possessive group (?> at position 1 is not supported" },
		{ "(?m)^a", "multi-line mode (?m) at position 1 is not supported" },
		{ "(?x)a", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?)", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?i", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?-)", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?#c)a", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?R)", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?P=n)", "the group (? at position 1 is of a kind that is not supported" },
		{ "(?<1>a)", "the group name at position 1 is not one" },
		{ "(*ACCEPT)", "a verb (* at position 1 is not supported" },
		{ "\\Z", "escape \\Z at position 1 is not supported" },
		{ "\\v", "escape \\v at position 1 is not supported" },
		{ "\\0", "escape \\0 at position 1 is not supported" },
		{ "\\Qa\\E", "escape \\Q at position 1 is not supported" },
		{ "\\\xc3\xa9", "escaped byte 0xc3 at position 1 is not supported" },
		{ "[\xc3\xa9]",
		  "a multi-byte character in a class at position 2 is not supported" },
		{ "[a-\xc3\xa9]",
		  "a multi-byte character in a class at position 4 is not supported" },
		{ "\\x4", "\\x at position 1 wants two hexadecimal digits" },
		{ "\\x{}", "\\x at position 1 wants two hexadecimal digits" },
		{ "\\x{4", "\\x at position 1 wants two hexadecimal digits" },
		{ "\\x{100}",
		  "a code point \\x{...} of more than one byte at position 1 is not supported" },
		{ "a\\", "the backslash at position 2 has nothing after it" },
		{ "[a", "the bracket [ at position 1 is not closed" },
		{ "[a-", "the bracket [ at position 1 is not closed" },
		{ "[]", "the bracket [ at position 1 is not closed" },
		{ "[\\w-", "the bracket [ at position 1 is not closed" },
		{ "[b-a]", "the range at position 2 does not end with a later character" },
		{ "[a-\\d]", "the range at position 2 does not end with a later character" },
		{ "[a-b--]", "the range at position 5 does not start with a character" },
		{ "[\\d--]", "the range at position 4 does not start with a character" },
		{ "[[:foo:]]", "the class [:name:] at position 2 is not a known one" },
		{ "[[.a.]]", "a collating element in a class at position 2 is not supported" },
		{ "[[=a=]]", "a collating element in a class at position 2 is not supported" },
		{ "[:alpha:]",
		  "a class [:name:] at position 1 stands outside of brackets: write [[:name:]]" },
		{ "(a", "the group ( at position 1 is not closed" },
		{ "a)", "the ) at position 2 closes no group" },
		{ "*a", "the repetition at position 1 has nothing to repeat" },
		{ "a|+", "the repetition at position 3 has nothing to repeat" },
		{ "(?i)*", "the repetition at position 5 has nothing to repeat" },
		{ "a**", "the repetition at position 3 has nothing to repeat" },
		{ "a{2}{3}", "the repetition at position 5 has nothing to repeat" },
		{ "{2}", "the repetition at position 1 has nothing to repeat" },
		{ "^*", "the repetition at position 2 is of an anchor" },
		{ "a{,3}", "the repetition at position 2 has no lower bound: write {0,n}" },
		{ "a{3,2}", "the repetition at position 2 has its bounds in the wrong order" },
		{ "a{1001}", "the repetition at position 2 is of more than 1000 times" },
		{ "a{1,99999999999}", "the repetition at position 2 is of more than 1000 times" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char err[200] = "";

		dfa.nstates = 4711;
		assert_int_equal(lw_regex_compile(rows[i].pattern, &dfa, NULL, err, sizeof(err)),
				 -EINVAL);
		assert_string_equal(err, rows[i].err);
		assert_int_equal(dfa.nstates, 4711);
	}
}

/* repeat times middle between open and close, into a static buffer. */
static const char *nest(const char *open, const char *middle, const char *close, unsigned repeat)
{
	static char buf[3 * LW_REGEX_LEN_MAX];
	size_t len = 0;

	for (unsigned i = 0; i < repeat; i++)
		len += snprintf(buf + len, sizeof(buf) - len, "%s", open);
	len += snprintf(buf + len, sizeof(buf) - len, "%s", middle);
	for (unsigned i = 0; i < repeat; i++)
		len += snprintf(buf + len, sizeof(buf) - len, "%s", close);
	assert_in_range(len, 0, sizeof(buf) - 1);
	return buf;
}

static void check_bounded(const char *pattern, int want)
{
	double start = spent_s();
	char err[200] = "";
	int r = lw_regex_compile(pattern, &dfa, NULL, err, sizeof(err));

	/* Sanitizers included; the real thing is over in a tenth of it. */
	if (spent_s() - start > 3)
		fail_msg("'%.60s' took %.1f s", pattern, spent_s() - start);
	if (r != want)
		fail_msg("'%.60s' gave %d, not %d (%s)", pattern, r, want, err);
}

static void test_bounds(void **state)
{
	(void)state;
	check_bounded("(a|b)*a(a|b){20}", -E2BIG);
	check_bounded("((((a{1,100}){1,100}){1,100}))", -E2BIG);
	check_bounded("(((((){1000}){1000}){1000}){1000})", -E2BIG);
	check_bounded("(.{0,30}a.{0,30}b.{0,30}){1,20}", -E2BIG);
	check_bounded("(?:a{0,9}b{0,9}c{0,9}){0,99}", -E2BIG);
	check_bounded("(((a?){99}){99})", -E2BIG);
	check_bounded(nest("(.*[a-m].{3,9}|", "x", ")", 60), 0);
	check_bounded(nest("(", "a", ")*", LW_REGEX_DEPTH_MAX), 0);
	check_bounded(nest("(", "a", ")*", LW_REGEX_DEPTH_MAX + 1), -EINVAL);
	check_bounded(nest("(", "a", "", LW_REGEX_LEN_MAX), -EINVAL);
	check_bounded(nest("", "", "a", LW_DFA_STATES - 2),
		      0); /* n bytes: n + 1 states, and the dead one */
	check_bounded(nest("", "", "a", LW_DFA_STATES - 1), -E2BIG);
	check_bounded(nest("", "", "a", LW_REGEX_LEN_MAX + 1), -EINVAL);
	check_bounded(nest("(a*)*", "", "", 800), 0);
	check_bounded(nest("[^a]?[^b]?.?", "", "", 300), 0);
	check_bounded(nest("|", "", "", LW_REGEX_LEN_MAX), 0);

	assert_int_equal(lw_regex_compile("[0-9]{1000}", &dfa, NULL, NULL, 0), 0);
	assert_int_equal(dfa.nstates, 1002);
	assert_int_equal(dfa.nclasses, 2);
	assert_int_equal(lw_regex_compile("(a|b)*a(a|b){10}", &dfa, NULL, NULL, 0), 0);
	assert_int_equal(dfa.nstates, 2049);
	assert_int_equal(dfa.nclasses, 3);
}

/* The automaton is the smallest one, state 0 is dead, and no index leaves its table. */
static void test_form(void **state)
{
	static const char *const patterns[] = { "",	  "a",		"(a|b)*abb", "a^b",
						"(?s).*", "x(y|z)+|xy", "[^a]{0,40}" };
	static const unsigned nstates[] = { 2, 3, 5, 1, 1, 4, 42 };

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		assert_int_equal(lw_regex_compile(patterns[i], &dfa, NULL, NULL, 0), 0);
		/* "(?s).*" needs no dead state, which is there all the same. */
		assert_int_equal(dfa.nstates, nstates[i] + !strcmp(patterns[i], "(?s).*"));
		assert_in_range(dfa.start, 0, dfa.nstates - 1);
		assert_int_equal(dfa.accept[0], 0);
		for (unsigned byte = 0; byte < 256; byte++) {
			assert_in_range(dfa.class_of[byte], 0, dfa.nclasses - 1);
			assert_int_equal(lw_dfa_next(&dfa, 0, byte), 0);
		}
		for (unsigned k = 0; k < (unsigned)dfa.nstates * dfa.nclasses; k++)
			assert_in_range(dfa.next[k], 0, dfa.nstates - 1);
	}
}

/* ---- against the C library's regular expressions, on what both have ---- */

static uint64_t seed;

static unsigned draw(unsigned n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (seed >> 33) % n;
}

static size_t gen(char *buf, size_t size, unsigned depth)
{
	static const char *const atoms[] = { "a",    "b",     "c",	     ".",   "[ab]",
					     "[^a]", "[a-c]", "[[:alpha:]]", "\\.", "d" };
	static const char *const repeats[] = { "*", "+", "?", "{2}", "{1,2}", "{0,2}", "{1,}" };
	size_t len = 0;
	unsigned branches = 1 + draw(2);

	for (unsigned b = 0; b < branches; b++) {
		if (b)
			len += snprintf(buf + len, size - len, "|");
		for (unsigned n = 1 + draw(3); n; n--) {
			if (depth && draw(3) == 0) {
				len += snprintf(buf + len, size - len, "(");
				len += gen(buf + len, size - len, depth - 1);
				len += snprintf(buf + len, size - len, ")");
			} else {
				len += snprintf(buf + len, size - len, "%s", atoms[draw(10)]);
			}
			if (draw(3) == 0)
				len += snprintf(buf + len, size - len, "%s", repeats[draw(7)]);
		}
	}
	return len;
}

static void test_against_libc(void **state)
{
	double end = spent_s() + 2.5;
	unsigned rounds, patterns = 0, agreed[2] = {};

	(void)state;
	seed = 0x2545f4914f6cdd1dull;
	for (rounds = 0; rounds < 3000 && spent_s() < end; rounds++) {
		char pattern[1024], anchored[1100];
		regex_t libc;
		int r;

		gen(pattern, sizeof(pattern), 2);
		snprintf(anchored, sizeof(anchored), "^(%s)$", pattern);
		assert_int_equal(regcomp(&libc, anchored, REG_EXTENDED | REG_NOSUB), 0);
		r = lw_regex_compile(pattern, &dfa, NULL, NULL, 0);
		if (r && r != -E2BIG)
			fail_msg("'%s': %d", pattern, r);
		patterns += r == 0;
		for (unsigned i = 0; i < 30 && r == 0; i++) {
			char value[12];
			unsigned len = draw(sizeof(value));
			bool mine, theirs;

			for (unsigned k = 0; k < len; k++)
				value[k] = "aaabbcd."[draw(8)];
			value[len] = '\0';
			mine = lw_dfa_match(&dfa, value, len);
			theirs = regexec(&libc, value, 0, NULL, 0) == 0;
			if (mine != theirs)
				fail_msg("'%s' on '%s': %d, the C library: %d", pattern, value,
					 mine, theirs);
			agreed[mine]++;
		}
		regfree(&libc);
	}
	/* Neither answer may be so rare that the comparison says nothing. */
	assert_in_range(patterns, rounds - rounds / 10, rounds);
	assert_in_range(patterns, 100, UINT32_MAX);
	assert_in_range(agreed[1], patterns, UINT32_MAX);
	assert_in_range(agreed[0], patterns, UINT32_MAX);
}

static void test_cache(void **state)
{
	struct lw_regex *a = NULL, *b = NULL, *c = NULL;
	struct lw_dfa *expanded = calloc(1, sizeof(*expanded));
	char err[200] = "", pattern[32];

	(void)state;
	assert_non_null(expanded);
	assert_int_equal(lw_regex_get("xiao.*", &a, NULL, 0), 0);
	assert_int_equal(lw_regex_get("xiao.*", &b, NULL, 0), 0);
	assert_ptr_equal(a, b);
	assert_int_equal(lw_regex_get("xiao.+", &c, NULL, 0), 0);
	assert_ptr_not_equal(a, c);
	assert_int_equal(lw_regex_compile("xiao.*", &dfa, NULL, NULL, 0), 0);
	lw_regex_expand(a, expanded);
	assert_memory_equal(expanded, &dfa, sizeof(dfa));
	lw_regex_put(&b);
	assert_null(b);

	for (unsigned i = 0; i < 2; i++) {
		err[0] = '\0';
		assert_int_equal(lw_regex_get("(?=x)", &b, err, sizeof(err)), -EINVAL);
		assert_string_equal(err, "lookahead (?= at position 1 is not supported");
		assert_int_equal(lw_regex_get("(a|b)*a(a|b){20}", &b, err, sizeof(err)), -E2BIG);
		assert_null(b);
	}
	/* Those that are held stay, however many others come. */
	for (unsigned i = 0; i < LW_REGEX_CACHE_MAX + 100; i++) {
		snprintf(pattern, sizeof(pattern), "p%u", i);
		assert_int_equal(lw_regex_get(pattern, &b, NULL, 0), 0);
		lw_regex_put(&b);
	}
	assert_int_equal(lw_regex_get("xiao.*", &b, NULL, 0), 0);
	assert_ptr_equal(a, b);
	lw_regex_put(&a);
	lw_regex_put(&b);
	lw_regex_put(&c);
	lw_regex_cache_clear();
	free(expanded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_language), cmocka_unit_test(test_nul_in_value),
		cmocka_unit_test(test_refused),	 cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_form),	 cmocka_unit_test(test_against_libc),
		cmocka_unit_test(test_cache),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
