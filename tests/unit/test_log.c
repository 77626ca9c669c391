/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"

static char captured[65536];

struct capture {
	int saved, file;
};

static struct capture begin(void)
{
	struct capture c = { .saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3),
			     .file = memfd_create("stderr", MFD_CLOEXEC) };

	assert_true(c.saved >= 0 && c.file >= 0);
	assert_int_equal(dup2(c.file, STDERR_FILENO), STDERR_FILENO);
	return c;
}

static const char *end(struct capture c)
{
	ssize_t n;

	assert_int_equal(dup2(c.saved, STDERR_FILENO), STDERR_FILENO);
	n = pread(c.file, captured, sizeof(captured) - 1, 0);
	assert_true(n >= 0);
	captured[n] = '\0';
	(void)close(c.saved);
	(void)close(c.file);
	return captured;
}

static int reset(void **state)
{
	(void)state;
	lw_log_set_level(LW_LOG_INFO);
	lw_log_set_format(LW_LOG_FORMAT_TEXT);
	return 0;
}

static void test_levels(void **state)
{
	struct capture c = begin();

	(void)state;
	lw_error("one %d", 1);
	lw_warn("two\n");
	lw_info("three");
	lw_debug("four");
	lw_log_set_level(LW_LOG_ERROR);
	lw_warn("five");
	lw_error("six");
	assert_string_equal(end(c), "error: one 1\nwarn: two\ninfo: three\nerror: six\n");
	assert_false(lw_log_enabled(LW_LOG_WARN));
}

static void test_one_line(void **state)
{
	struct capture c = begin();

	(void)state;
	/* A name from a file must not be able to forge a line. */
	lw_info("pod 'a\nerror: b\x1b[2J\xc2\x9b"
		"2J\xff'");
	assert_string_equal(end(c), "info: pod 'a error: b [2J  2J\xff'\n");
}

static void test_json(void **state)
{
	struct json_object *o, *v;
	struct capture c = begin();
	const char *text;

	(void)state;
	lw_log_set_format(LW_LOG_FORMAT_JSON);
	lw_warn("say \"hi\"\nand %s", "\xff");
	text = end(c);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	o = json_tokener_parse(text);
	assert_non_null(o);
	assert_true(json_object_object_get_ex(o, "level", &v));
	assert_string_equal(json_object_get_string(v), "warn");
	assert_true(json_object_object_get_ex(o, "msg", &v));
	assert_string_equal(json_object_get_string(v), "say \"hi\"\nand \xef\xbf\xbd");
	assert_true(json_object_object_get_ex(o, "ts", &v));
	assert_true(json_object_get_double(v) > 1.6e9);
	(void)json_object_put(o);
}

static void test_long(void **state)
{
	static char big[20000];
	struct capture c;
	size_t len;

	(void)state;
	memset(big, '"', sizeof(big) - 1);
	for (int format = 0; format < LW_LOG_FORMAT__MAX; format++) {
		lw_log_set_format(format);
		c = begin();
		lw_info("%s", big);
		len = strlen(end(c));
		assert_true(len > 4000 && len < 30000);
		assert_int_equal(captured[len - 1], '\n');
	}
}

static void test_names(void **state)
{
	enum lw_log_format format = LW_LOG_FORMAT_TEXT;
	enum lw_log_level level = LW_LOG_WARN;

	(void)state;
	assert_int_equal(lw_log_level_parse("debug", &level), 0);
	assert_int_equal(level, LW_LOG_DEBUG);
	assert_int_equal(lw_log_level_parse("Debug", &level), -EINVAL);
	assert_int_equal(level, LW_LOG_DEBUG);
	assert_int_equal(lw_log_format_parse("json", &format), 0);
	assert_int_equal(format, LW_LOG_FORMAT_JSON);
	assert_int_equal(lw_log_format_parse("", &format), -EINVAL);
}

static void test_errno(void **state)
{
	struct capture c = begin();
	int saved;

	(void)state;
	errno = EXDEV;
	lw_info("x");
	saved = errno;
	(void)end(c);
	assert_int_equal(saved, EXDEV);
}

static size_t drain(int fd, char *to, size_t size)
{
	size_t n = 0;
	ssize_t got;

	while ((got = read(fd, to + n, size - 1 - n)) > 0)
		n += (size_t)got;
	to[n] = '\0';
	return n;
}

/* Nobody reads: lines are dropped, not waited for, and counted. */
static void test_full_pipe(void **state)
{
	static char text[1 << 20], long_line[4000];
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3), fds[2], lines = 0;
	const char *last;

	(void)state;
	memset(long_line, 'x', sizeof(long_line) - 1);
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(dup2(fds[1], STDERR_FILENO), STDERR_FILENO);
	lw_log_drop(true);
	for (int i = 0; i < 1000; i++)
		lw_info("line %d %s", i, i % 3 ? "" : long_line);
	drain(fds[0], text, sizeof(text));
	lw_info("the next");
	lw_info("and one more");
	drain(fds[0], text + strlen(text), sizeof(text) - strlen(text));
	lw_log_drop(false);
	assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
	close(saved);
	close(fds[0]);
	close(fds[1]);
	for (const char *p = text; (p = strstr(p, "info: line ")); p++)
		lines++;
	assert_in_range(lines, 10, 999);
	last = strstr(text, "warn: ");
	assert_non_null(last);
	assert_int_equal(last[-1], '\n');
	assert_int_equal(atoi(last + strlen("warn: ")), 1000 - lines);
	assert_non_null(strstr(
		last,
		" lines of this log are missing: nobody has read it\ninfo: the next\ninfo: and one more\n"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_levels, reset),
		cmocka_unit_test_teardown(test_one_line, reset),
		cmocka_unit_test_teardown(test_json, reset),
		cmocka_unit_test_teardown(test_long, reset),
		cmocka_unit_test_teardown(test_names, reset),
		cmocka_unit_test_teardown(test_errno, reset),
		cmocka_unit_test_teardown(test_full_pipe, reset),
	};

	return !!cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
