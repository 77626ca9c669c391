/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/seen.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/image.h"

static void name_of(unsigned int n, char name[LW_SOURCE_LEN])
{
	(void)snprintf(name, LW_SOURCE_LEN, "ns/Deployment/w%u", n);
}

static void add(struct lw_seen *seen, unsigned int from, unsigned int n)
{
	struct lw_image *image = NULL;

	assert_int_equal(lw_image_new(&image), 0);
	for (unsigned int i = from; i < from + n; i++) {
		struct lw_slot_key key = { .id = i + 1 };
		struct lw_workload w = {};

		name_of(i, w.name);
		w.name_hash = lw_name_hash(w.name);
		assert_int_equal(lw_image_put(image, LW_TABLE_WORKLOADS, &key, &w), 0);
	}
	assert_int_equal(lw_image_seal(image), 0);
	lw_seen_add(seen, image, 1);
	lw_image_free(&image);
}

static bool knows(const struct lw_seen *seen, unsigned int n)
{
	char name[LW_SOURCE_LEN];
	const char *known;

	name_of(n, name);
	known = lw_seen_workload(seen, lw_name_hash(name));
	assert_true(!known || strcmp(known, name) == 0);
	return known;
}

static void what_was_in_force_keeps_its_name(void **state)
{
	struct lw_seen *seen = calloc(1, sizeof(*seen));

	(void)state;
	assert_non_null(seen);
	add(seen, 0, 10);
	add(seen, 10, 10);
	for (unsigned int i = 0; i < 20; i++)
		assert_true(knows(seen, i));
	assert_false(knows(seen, 20));
	assert_null(lw_seen_workload(seen, 0));
	lw_seen_clear(seen);
	assert_false(knows(seen, 0));
	free(seen);
}

/* Of a cluster that has had more workloads than there is room for, those of now are named. */
static void what_is_in_force_is_named_whatever_was(void **state)
{
	struct lw_seen *seen = calloc(1, sizeof(*seen));
	unsigned int at = 0;

	(void)state;
	assert_non_null(seen);
	for (unsigned int i = 0; i < 5; i++, at += LW_MAX_WORKLOADS - 1) {
		add(seen, at, LW_MAX_WORKLOADS - 1);
		for (unsigned int k = at; k < at + LW_MAX_WORKLOADS - 1; k++)
			assert_true(knows(seen, k));
		assert_true(seen->count <= LW_SEEN_MAX);
	}
	assert_false(knows(seen, 0));
	lw_seen_clear(seen);
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_in_force_keeps_its_name),
		cmocka_unit_test(what_is_in_force_is_named_whatever_was),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
