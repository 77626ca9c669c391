/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/addr.h"

static void test_parse(void **state)
{
	static const struct {
		const char *in, *out; /* NULL: refused */
		bool v4;
	} cases[] = {
		{ "10.0.0.1", "10.0.0.1", true },
		{ "0.0.0.0", "0.0.0.0", true },
		{ "::ffff:10.0.0.1", "10.0.0.1", true },
		{ "fd00::1", "fd00::1", false },
		{ "FD00:0:0::0001", "fd00::1", false },
		{ "::", "::", false },
		{ "", NULL, false },
		{ "10.0.0", NULL, false },
		{ "10.0.0.256", NULL, false },
		{ "10.0.0.1 ", NULL, false },
		{ "[fd00::1]", NULL, false },
		{ "fd00::1%eth0", NULL, false },
		{ "localhost", NULL, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char buf[LW_ADDR_STRLEN];
		struct lw_addr addr;
		int r;

		memset(&addr, 0x5a, sizeof(addr));
		r = lw_addr_parse(cases[i].in, &addr);
		if (!cases[i].out) {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(addr.ip[0], 0x5a);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(lw_addr_format(&addr, buf), cases[i].out);
		assert_int_equal(lw_addr_is_v4(&addr), cases[i].v4);
	}
}

static void test_parse_port(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "10.0.0.1:80", "10.0.0.1:80" },
		{ "[fd00::1]:65535", "[fd00::1]:65535" },
		{ "[::ffff:1.2.3.4]:1", "1.2.3.4:1" },
		{ "10.0.0.1", NULL },
		{ "10.0.0.1:", NULL },
		{ "10.0.0.1:0", NULL },
		{ "10.0.0.1:65536", NULL },
		{ "10.0.0.1:-1", NULL },
		{ "10.0.0.1: 80", NULL },
		{ "10.0.0.1:80x", NULL },
		{ "fd00::1:80", NULL }, /* is it a port? */
		{ "[10.0.0.1]:80", NULL },
		{ "[fd00::1]", NULL },
		{ "[]:80", NULL },
		{ "[:80", NULL },
		{ ":80", NULL },
		{ "", NULL },
		{ "[0000000000000000000000000000000000000000000000000000000000000000::1]:80",
		  NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char buf[LW_ADDR_STRLEN];
		struct lw_addr addr;
		uint16_t port = 7;
		int r = lw_addr_parse_port(cases[i].in, &addr, &port);

		if (!cases[i].out) {
			assert_int_equal(r, -EINVAL);
			assert_int_equal(port, 7);
			continue;
		}
		assert_int_equal(r, 0);
		assert_string_equal(lw_addr_format_port(&addr, port, buf), cases[i].out);
	}
}

static void test_any_port(void **state)
{
	char buf[LW_ADDR_STRLEN];
	struct lw_addr addr;

	(void)state;
	assert_int_equal(lw_addr_parse("10.0.0.1", &addr), 0);
	assert_string_equal(lw_addr_format_port(&addr, 0, buf), "10.0.0.1:*");
	assert_false(lw_addr_is_any(&addr));
	assert_int_equal(lw_addr_parse("0.0.0.0", &addr), 0);
	assert_true(lw_addr_is_any(&addr));
	assert_int_equal(lw_addr_parse("::", &addr), 0);
	assert_true(lw_addr_is_any(&addr));
}

static void test_longest(void **state)
{
	char buf[LW_ADDR_STRLEN];
	struct lw_addr addr;

	(void)state;
	memset(&addr, 0xff, sizeof(addr));
	assert_string_equal(lw_addr_format_port(&addr, 65535, buf),
			    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535");
}

static void test_sockaddr(void **state)
{
	struct sockaddr_storage ss;
	const struct sockaddr_in *in = (const struct sockaddr_in *)&ss;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&ss;
	struct lw_addr addr;

	(void)state;
	assert_int_equal(lw_addr_parse("10.1.2.3", &addr), 0);
	assert_int_equal(lw_addr_to_sockaddr(&addr, 8080, &ss), sizeof(*in));
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(in->sin_addr.s_addr, htonl(0x0a010203));
	assert_int_equal(in->sin_port, htons(8080));
	assert_int_equal(lw_addr_parse("fd00::17", &addr), 0);
	assert_int_equal(lw_addr_to_sockaddr(&addr, 8080, &ss), sizeof(*in6));
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_memory_equal(&in6->sin6_addr, addr.ip, 16);
	assert_int_equal(in6->sin6_port, htons(8080));
}

static void test_own(void **state)
{
	struct lw_addr addr;

	(void)state;
	assert_int_equal(lw_addr_parse("127.0.0.1", &addr), 0);
	assert_true(lw_addr_is_own(&addr));
	/* for documentation (RFC 5737, RFC 3849) */
	assert_int_equal(lw_addr_parse("203.0.113.9", &addr), 0);
	assert_false(lw_addr_is_own(&addr));
	assert_int_equal(lw_addr_parse("2001:db8::9", &addr), 0);
	assert_false(lw_addr_is_own(&addr));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),	 cmocka_unit_test(test_parse_port),
		cmocka_unit_test(test_any_port), cmocka_unit_test(test_longest),
		cmocka_unit_test(test_sockaddr), cmocka_unit_test(test_own),
	};

	return !!cmocka_run_group_tests_name("addr", tests, NULL, NULL);
}
