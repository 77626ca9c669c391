/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

static void test_copy(void **state)
{
	char buf[4];

	(void)state;
	assert_true(lw_str_copy(buf, sizeof(buf), "abc"));
	assert_string_equal(buf, "abc");
	assert_false(lw_str_copy(buf, sizeof(buf), "abcd"));
	assert_string_equal(buf, "abc");
	assert_true(lw_str_copy(buf, sizeof(buf), ""));
	assert_string_equal(buf, "");
}

static void test_u64(void **state)
{
	static const struct {
		const char *in;
		uint64_t max, value;
		int r;
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "65535", 65535, 65535, 0 },
		{ "65536", 65535, 0, -ERANGE },
		{ "18446744073709551615", UINT64_MAX, UINT64_MAX, 0 },
		{ "18446744073709551616", UINT64_MAX, 0, -ERANGE },
		{ "99999999999999999999", UINT64_MAX, 0, -ERANGE },
		{ "007", 10, 7, 0 },
		{ "", 10, 0, -EINVAL },
		{ "+1", 10, 0, -EINVAL },
		{ "-1", 10, 0, -EINVAL },
		{ " 1", 10, 0, -EINVAL },
		{ "1 ", 10, 0, -EINVAL },
		{ "0x1", 10, 0, -EINVAL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t value = 42;

		assert_int_equal(lw_str_u64(cases[i].in, cases[i].max, &value), cases[i].r);
		assert_int_equal(value, cases[i].r ? 42 : cases[i].value);
	}
}

static void test_utf8(void **state)
{
	(void)state;
	assert_int_equal(lw_str_utf8_len("a"), 1);
	assert_int_equal(lw_str_utf8_len(""), 0);
	assert_int_equal(lw_str_utf8_len("\xc3\xa4"), 2);
	assert_int_equal(lw_str_utf8_len("\xe7\x81\xb0"), 3);
	assert_int_equal(lw_str_utf8_len("\xf0\x9f\x9a\x80"), 4);
	assert_int_equal(lw_str_utf8_len("\x80"), 0);
	assert_int_equal(lw_str_utf8_len("\xc3"), 0); /* cut off */
	assert_int_equal(lw_str_utf8_len("\xe7\x81"), 0);
	assert_int_equal(lw_str_utf8_len("\xc0\x80"), 0); /* overlong */
	assert_int_equal(lw_str_utf8_len("\xe0\x80\x80"), 0);
	assert_int_equal(lw_str_utf8_len("\xed\xa0\x80"), 0); /* surrogate */
	assert_int_equal(lw_str_utf8_len("\xf4\x90\x80\x80"), 0); /* beyond U+10FFFF */
	assert_int_equal(lw_str_utf8_len("\xff"), 0);
}

static void test_json(void **state)
{
	char buf[64];

	(void)state;
	lw_str_json("a\"b\\c\nd\x01\xc3\xa4\xff", buf, sizeof(buf));
	assert_string_equal(buf, "\"a\\\"b\\\\c\\nd\\u0001\xc3\xa4\xef\xbf\xbd\"");
	lw_str_json("", buf, 3);
	assert_string_equal(buf, "\"\"");
	/* Cut between characters, never inside one. */
	lw_str_json("ab\xc3\xa4", buf, 6);
	assert_string_equal(buf, "\"ab\"");
	lw_str_json("a\x01", buf, 8);
	assert_string_equal(buf, "\"a\"");
}

static void test_parts(void **state)
{
	struct lw_str_parts parts = {};
	char lengthy[5000];

	(void)state;
	assert_string_equal(lw_str_parts_end(&parts), "");
	lw_str_part(&parts, ",", "%s:%d", "http", 80);
	assert_string_equal(parts.text, "http:80");
	lw_str_part(&parts, ",", "%d", 81);
	assert_string_equal(lw_str_parts_end(&parts), "http:80,81");
	for (int i = 0; i < 1000; i++)
		lw_str_part(&parts, ",", "%d", 1000 + i);
	(void)lw_str_parts_end(&parts);
	assert_in_range(strlen(parts.text), 960, sizeof(parts.text) - 1);
	assert_non_null(strstr(parts.text, "http:80,81,1000,1001,"));
	assert_string_equal(strstr(parts.text, " and"), " and 806 more");
	assert_int_equal(strtol(strrchr(parts.text, ',') + 1, NULL, 10), 1193);

	/* One that is too long by itself is seen as far as it goes, up to a whole character. */
	for (size_t odd = 0; odd < 2; odd++) {
		memset(lengthy, 'x', sizeof(lengthy));
		for (size_t i = odd; i + 2 < sizeof(lengthy); i += 2)
			memcpy(lengthy + i, "\xc3\xa4", 2);
		lengthy[sizeof(lengthy) - 1] = '\0';
		parts = (struct lw_str_parts){};
		lw_str_part(&parts, " and ", "%s", "header a = b");
		lw_str_part(&parts, " and ", "%s", lengthy);
		lw_str_part(&parts, " and ", "%s", "path /");
		assert_non_null(strstr(lw_str_parts_end(&parts), "... and 1 more"));
		assert_in_range(strlen(parts.text), 960, sizeof(parts.text) - 1);
		for (const char *s = parts.text; *s; s += lw_str_utf8_len(s))
			assert_int_not_equal(lw_str_utf8_len(s), 0);
	}
	memset(lengthy, 0x80, sizeof(lengthy) - 1);
	parts = (struct lw_str_parts){};
	lw_str_part(&parts, "", "%s", lengthy);
	assert_string_equal(lw_str_parts_end(&parts), "...");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),  cmocka_unit_test(test_u64),
		cmocka_unit_test(test_utf8),  cmocka_unit_test(test_json),
		cmocka_unit_test(test_parts),
	};

	return !!cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
