/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <cmocka.h>

#include "core/names.h"
#include "laneway/names.h"

static struct lw_names names;

/* Id of a name; -1: it has a byte that may not stand in one. */
static int run(const char *name)
{
	__u16 state = LW_NAMES_START;

	for (; *name; name++) {
		if (!lw_names_is_token(&names, *name))
			return -1;
		state = lw_names_next(&names, state, *name);
	}
	return lw_names_id(&names, state);
}

static void test_ids(void **state)
{
	static const struct lw_names_entry entries[] = {
		{ "x-mse-tag", 8 }, { "User-Agent", 16 },	  { "user", 17 },
		{ "X-MSE-TAG", 8 }, { "a!#$%&'*+-.^_`|~9", 255 }, { "cookie", LW_HDR_COOKIE },
	};

	(void)state;
	assert_int_equal(lw_names_build(entries, sizeof(entries) / sizeof(entries[0]), &names), 0);
	assert_int_equal(run("x-mse-tag"), 8);
	assert_int_equal(run("X-Mse-Tag"), 8);
	assert_int_equal(run("user-agent"), 16);
	assert_int_equal(run("USER-AGENT"), 16);
	assert_int_equal(run("user"), 17);
	assert_int_equal(run("A!#$%&'*+-.^_`|~9"), 255);
	assert_int_equal(run("content-LENGTH"), LW_HDR_CONTENT_LENGTH);
	assert_int_equal(run("Transfer-Encoding"), LW_HDR_TRANSFER_ENCODING);
	assert_int_equal(run("Upgrade"), LW_HDR_UPGRADE);
	assert_int_equal(run("Cookie"), LW_HDR_COOKIE);

	assert_int_equal(run(""), 0);
	assert_int_equal(run("use"), 0);
	assert_int_equal(run("users"), 0);
	assert_int_equal(run("user-agent2"), 0);
	assert_int_equal(run("xx-mse-tag"), 0);
	assert_int_equal(run("host"), 0);
	assert_int_equal(run("user agent"), -1);
	assert_int_equal(run("us\xc3\xa9r"), -1);
}

/* '^' and '~', '@' and '`', '[' and '{' differ by the bit that tells upper from lower case. */
static void test_only_letters_fold(void **state)
{
	static const struct lw_names_entry entries[] = { { "a^`", 16 }, { "a|", 17 } };

	(void)state;
	assert_int_equal(lw_names_build(entries, 2, &names), 0);
	assert_int_equal(run("A^`"), 16);
	assert_int_equal(run("a~`"), 0);
	assert_int_equal(run("a^@"), -1);
	assert_int_equal(run("a\\"), -1);
}

static void test_classes(void **state)
{
	static const char tchars[] =
		"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
	static const struct lw_names_entry all[] = {
		{ "!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz", 16 },
	};

	(void)state;
	for (unsigned with_all = 0; with_all < 2; with_all++) {
		assert_int_equal(lw_names_build(all, with_all, &names), 0);
		for (unsigned byte = 0; byte < 256; byte++) {
			int tchar = byte && strchr(tchars, byte);

			assert_int_equal(!!names.class_of[byte], !!tchar);
			assert_int_equal(!!lw_names_is_tchar(byte), !!tchar);
			assert_in_range(names.class_of[byte], 0, LW_NAMES_CLASSES - 1);
		}
		for (unsigned byte = 'a'; byte <= 'z'; byte++)
			assert_int_equal(names.class_of[byte], names.class_of[byte - 32]);
		/* Class 1 leads nowhere, neither does class 0, nor the dead state. */
		for (unsigned s = 0; s < LW_NAMES_STATES; s++) {
			assert_int_equal(names.next[s * LW_NAMES_CLASSES], 0);
			assert_int_equal(names.next[s * LW_NAMES_CLASSES + 1], 0);
		}
		for (unsigned k = 0; k < LW_NAMES_CLASSES; k++)
			assert_int_equal(names.next[k], 0);
		assert_int_equal(names.id_of[0], 0);
	}
	assert_int_equal(run(all[0].name), 16);
	assert_int_equal(lw_names_build(NULL, 0, &names), 0);
	assert_int_equal(names.class_of['j'], 1);
	assert_int_equal(names.class_of['J'], 1);
	assert_true(names.class_of['C'] > 1);
}

static void test_refused(void **state)
{
	static const struct lw_names_entry bad[] = {
		{ "", 16 },	    { "a b", 16 },	   { "a:", 16 },
		{ "\xc3\xa9", 16 }, { "a", LW_HDR_OTHER }, { "a\r\n", 16 },
	};
	static const struct lw_names_entry twice[] = { { "a-b", 16 }, { "A-B", 17 } };
	static const struct lw_names_entry length[] = { { "Content-Length", 16 } };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(lw_names_build(&bad[i], 1, &names), -EINVAL);
	assert_int_equal(lw_names_build(twice, 2, &names), -EEXIST);
	assert_int_equal(lw_names_build(length, 1, &names), -EEXIST);
}

static void test_full(void **state)
{
	/* Fixed names take FIXED states (they share their beginnings), dead and start two. */
	enum { FIXED = 102, ALL = LW_HDR__MAX - LW_HDR_WATCHED_FIRST };
	static char text[ALL][16];
	struct lw_names_entry entries[ALL];
	char longest[LW_NAMES_STATES];

	(void)state;
	for (unsigned i = 0; i < ALL; i++) {
		snprintf(text[i], sizeof(text[i]), "%c%02x-name", 'a' + i % 5, i);
		entries[i] = (struct lw_names_entry){ text[i], LW_HDR_WATCHED_FIRST + i };
	}
	assert_int_equal(lw_names_build(entries, ALL, &names), 0);
	for (unsigned i = 0; i < ALL; i++)
		assert_int_equal(run(text[i]), LW_HDR_WATCHED_FIRST + i);

	memset(longest, 'z', sizeof(longest));
	entries[0] = (struct lw_names_entry){ longest, 16 };
	longest[LW_NAMES_STATES - 2 - FIXED] = '\0';
	assert_int_equal(lw_names_build(entries, 1, &names), 0);
	assert_int_equal(run(longest), 16);
	longest[LW_NAMES_STATES - 2 - FIXED] = 'z';
	longest[LW_NAMES_STATES - 1 - FIXED] = '\0';
	assert_int_equal(lw_names_build(entries, 1, &names), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ids),	cmocka_unit_test(test_only_letters_fold),
		cmocka_unit_test(test_classes), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_full),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
