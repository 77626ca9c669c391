/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
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

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_json),
	};

	return !!cmocka_run_group_tests_name("str", tests, NULL, NULL);
}
