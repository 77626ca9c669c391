/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "laneway/inbound.h"

/* As lw_in_request_seen() does it, in the two steps that another CPU may come between. */
static void place(struct lw_in *in, uint32_t end)
{
	in->last[in->requests & (LW_IN_REQUESTS - 1)].end = end;
}

static void count(struct lw_in *in)
{
	in->next = in->last[in->requests & (LW_IN_REQUESTS - 1)].end;
	in->requests++;
}

/* Heads of 100 bytes each, from `start` on. */
static struct lw_in arrived(uint32_t n, uint32_t start)
{
	struct lw_in in = {};

	for (uint32_t i = 1; i <= n; i++) {
		place(&in, start + 100 * i);
		count(&in);
	}
	return in;
}

static int forgot(const struct lw_in *in, uint32_t was)
{
	return lw_in_forgot(in, in->requests, was);
}

static void the_last_ones_are_remembered(void **state)
{
	/* the second one lets the sequence numbers run over */
	static const uint32_t starts[] = { 1000, UINT32_MAX - 450 };

	(void)state;
	for (size_t s = 0; s < 2; s++)
		for (uint32_t n = 0; n < 12; n++) {
			struct lw_in in = arrived(n, starts[s]);

			for (uint32_t read = 0; read <= n; read++)
				/* whether the one before the oldest has been read cannot be told: it may not have been */
				assert_int_equal(forgot(&in, starts[s] + 100 * read),
						 n > LW_IN_REQUESTS && n - read >= LW_IN_REQUESTS);
		}
}

/* All were read before; of the next one the first bytes are being read while the last ones arrive. */
static void one_that_is_being_noted_hides_none(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 12; n++) {
		struct lw_in in = arrived(n, 1000);

		place(&in, 1000 + 100 * (n + 1));
		assert_int_equal(forgot(&in, 1000 + 100 * n), 0);
		count(&in);
		assert_int_equal(forgot(&in, 1000 + 100 * n), 0);
	}
}

/* With as many unread as are remembered, it takes the place of the first of them. */
static void one_that_is_being_noted_may_hide_one(void **state)
{
	(void)state;
	for (uint32_t n = LW_IN_REQUESTS; n < 12; n++) {
		struct lw_in in = arrived(n, 1000);

		place(&in, 1000 + 100 * (n + 1));
		assert_int_equal(forgot(&in, 1000 + 100 * (n - LW_IN_REQUESTS)), 1);
	}
}

/* The last one has a body of 3 GiB, which is being read: from there the oldest looks as if it were ahead. */
static void one_of_long_ago_is_read(void **state)
{
	(void)state;
	for (uint32_t n = 1; n < 12; n++) {
		struct lw_in in = arrived(n, 1000);

		for (uint32_t i = 0; i < 3 * 1024; i++) {
			assert_int_equal(forgot(&in, in.next), 0);
			in.next += 1 << 20;
			assert_int_equal(forgot(&in, in.next - (1 << 20)), 0);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_ones_are_remembered),
		cmocka_unit_test(one_that_is_being_noted_hides_none),
		cmocka_unit_test(one_that_is_being_noted_may_hide_one),
		cmocka_unit_test(one_of_long_ago_is_read),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
