/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "core/ids.h"

static uint32_t id_of(struct lw_ids *ids, const char *kind, uint32_t n)
{
	const struct lw_bytes name[] = { LW_BYTES_STR(kind), LW_BYTES_OF(n) };
	uint32_t id = lw_ids_get(ids, name, 2);

	assert_int_not_equal(id, 0);
	return id;
}

static void a_name_keeps_its_number(void **state)
{
	struct lw_ids ids = {};

	(void)state;
	for (uint32_t n = 0; n < LW_IDS_LEAST; n++)
		assert_int_equal(id_of(&ids, "a", n), n + 1);
	assert_false(lw_ids_are_many(&ids));
	for (uint32_t n = 0; n < LW_IDS_LEAST; n++)
		assert_int_equal(id_of(&ids, "a", n), n + 1);
	assert_int_equal(id_of(&ids, "b", 0), LW_IDS_LEAST + 1);
	assert_true(lw_ids_are_many(&ids));
	lw_ids_clear(&ids);
}

/* Names that come and go, some of them in use at a time, and a few for good. */
static void what_is_not_in_use_is_forgotten(void **state)
{
	struct lw_ids ids = {};
	uint32_t lasting[10], last = 0;
	size_t rounds = 0, most = 0, pages = 0;
	int marks[10];

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		lasting[i] = id_of(&ids, "lasting", i);
		lw_ids_set(&ids, lasting[i], &marks[i]);
	}
	for (uint32_t n = 0; n < 1000000; n++) {
		uint32_t id = id_of(&ids, "passing", n);

		assert_true(id > last); /* none twice */
		last = id;
		assert_null(lw_ids_of(&ids, id));
		lw_ids_set(&ids, id, &marks[0]);
		most = ids.by_name.count > most ? ids.by_name.count : most;
		if (!lw_ids_are_many(&ids))
			continue;
		rounds++;
		for (uint32_t i = 0; i < 10; i++)
			lw_ids_use(&ids, lasting[i]);
		for (uint32_t k = 0; k < 100; k++)
			lw_ids_use(&ids, id_of(&ids, "passing", n - k));
		lw_ids_forget(&ids);
		assert_int_equal(ids.by_name.count, 110);
		assert_int_equal(id_of(&ids, "passing", n - 99), last - 99);
		assert_ptr_equal(lw_ids_of(&ids, last - 99), &marks[0]);
	}
	assert_true(rounds > 10);
	assert_in_range(most, LW_IDS_LEAST, LW_IDS_LEAST + 1000);
	for (uint32_t i = 0; i < 10; i++) {
		assert_int_equal(id_of(&ids, "lasting", i), lasting[i]);
		assert_ptr_equal(lw_ids_of(&ids, lasting[i]), &marks[i]);
	}
	for (size_t i = 0; i < ids.npages; i++)
		pages += ids.pages[i] != NULL;
	assert_in_range(pages, 1, LW_IDS_LEAST / LW_IDS_PAGE + 4);
	/* One that has been forgotten is a new one. */
	assert_int_equal(id_of(&ids, "passing", 0), last + 1);
	lw_ids_clear(&ids);
	assert_int_equal(ids.by_name.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_keeps_its_number),
		cmocka_unit_test(what_is_not_in_use_is_forgotten),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
