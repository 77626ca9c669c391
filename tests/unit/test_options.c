/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/options.h"

static const struct option known[] = {
	{ "options", required_argument, NULL, 1 },
	{ "device", required_argument, NULL, 2 },
	{ "events", no_argument, NULL, 3 },
	{ "help", no_argument, NULL, 'h' },
	{},
};
static char path[] = "/tmp/lw_options.XXXXXX";
static char error[256];

static void write_file(const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static int expand(const char *text, struct lw_options *ret)
{
	char *argv[] = { "agent", "--options", path, "--device=c", NULL };

	write_file(text, strlen(text));
	error[0] = '\0';
	return lw_options_expand(4, argv, known, ret, error, sizeof(error));
}

static void takes_up(void **state)
{
	struct lw_options o = {};

	(void)state;
	assert_int_equal(expand("# why\n\n device  a*  \nevents\r\ndevice=b=c\n", &o), 0);
	assert_int_equal(o.argc, 7);
	assert_string_equal(o.argv[0], "agent");
	assert_string_equal(o.argv[1], "--device=a*");
	assert_string_equal(o.argv[2], "--events");
	assert_string_equal(o.argv[3], "--device=b=c");
	assert_string_equal(o.argv[4], "--options");
	assert_string_equal(o.argv[6], "--device=c");
	assert_null(o.argv[7]);
	lw_options_clear(&o);
	assert_null(o.argv);
}

static void without_a_file(void **state)
{
	char *argv[] = { "agent", "--device", "a", "--", "--options=/none", NULL };
	struct lw_options o = {};

	(void)state;
	assert_int_equal(lw_options_expand(5, argv, known, &o, error, sizeof(error)), 0);
	assert_int_equal(o.argc, 5);
	for (int i = 0; i <= 5; i++)
		assert_ptr_equal(o.argv[i], argv[i]);
	lw_options_clear(&o);
}

static void both_spellings_last_without_newline(void **state)
{
	char joined[64], *argv[] = { "agent", joined, NULL };
	struct lw_options o = {};

	(void)state;
	(void)snprintf(joined, sizeof(joined), "--options=%s", path);
	write_file("events", 6);
	assert_int_equal(lw_options_expand(2, argv, known, &o, error, sizeof(error)), 0);
	assert_int_equal(o.argc, 3);
	assert_string_equal(o.argv[1], "--events");
	lw_options_clear(&o);
}

static void refused(const char *text, const char *want)
{
	struct lw_options o = {};
	char line[256];

	assert_true(expand(text, &o) < 0);
	(void)snprintf(line, sizeof(line), "%s%s", path, want);
	assert_string_equal(error, line);
	assert_null(o.argv);
}

static void says_what_is_wrong(void **state)
{
	(void)state;
	refused("events\nevent\n", ":2: 'event' is no option that may stand here");
	refused("--events\n", ":1: '--events' is no option that may stand here");
	refused("options /x\n", ":1: 'options' is no option that may stand here");
	refused("help\n", ":1: 'help' is no option that may stand here");
	refused("\n\ndevice\n", ":3: 'device' takes a value: device VALUE");
	refused("events yes\n", ":1: 'events' takes no value, not 'yes'");
}

static void no_file_of_options(void **state)
{
	char *argv[] = { "agent", "--options=/tmp/lw_options.none", NULL },
	     *here[] = { "agent", "--options", path, NULL };
	static char large[LW_OPTIONS_MAX_BYTES + 1];
	struct lw_options o = {};

	(void)state;
	assert_true(lw_options_expand(2, argv, known, &o, error, sizeof(error)) < 0);
	assert_string_equal(error, "read '/tmp/lw_options.none': No such file or directory");
	write_file("device a\0b\n", 11);
	assert_true(lw_options_expand(3, here, known, &o, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "bytes that are 0"));
	memset(large, '\n', sizeof(large));
	write_file(large, sizeof(large));
	assert_true(lw_options_expand(3, here, known, &o, error, sizeof(error)) < 0);
	assert_non_null(strstr(error, "too large"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(takes_up),
		cmocka_unit_test(without_a_file),
		cmocka_unit_test(both_spellings_last_without_newline),
		cmocka_unit_test(says_what_is_wrong),
		cmocka_unit_test(no_file_of_options),
	};
	int fd = mkstemp(path), r;

	if (fd < 0)
		return 1;
	(void)close(fd);
	r = !!cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(path);
	return r;
}
