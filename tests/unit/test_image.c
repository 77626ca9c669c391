/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct lw_image *new_image(void)
{
	struct lw_image *image = NULL;

	assert_int_equal(lw_image_new(&image), 0);
	return image;
}

static void put_group(struct lw_image *image, uint32_t group, uint32_t lane, uint32_t count)
{
	const struct lw_group_key key = { .group = group, .lane = lane };
	const struct lw_group value = { .count = count };

	assert_int_equal(lw_image_put(image, LW_TABLE_GROUPS, &key, &value), 0);
}

static void rows_come_sorted_and_are_found(void **state)
{
	struct lw_image *image = new_image();
	struct lw_group_key key = { .group = 1 };

	(void)state;
	/* 7919 is prime to 5000: every number once, in no order. Two bytes of the key vary, and lanes. */
	for (uint32_t i = 0; i < 5000; i++)
		put_group(image, i * 7919 % 5000, i % 3, i);
	assert_int_equal(lw_image_seal(image), 0);
	assert_int_equal(lw_image_rows(image, LW_TABLE_GROUPS), 5000);
	for (size_t row = 1; row < 5000; row++)
		assert_true(memcmp(lw_image_key(image, LW_TABLE_GROUPS, row - 1),
				   lw_image_key(image, LW_TABLE_GROUPS, row), sizeof(key)) < 0);
	for (uint32_t i = 0; i < 5000; i++) {
		const struct lw_group *value;

		key.group = i * 7919 % 5000;
		key.lane = i % 3;
		value = lw_image_get(image, LW_TABLE_GROUPS, &key);
		assert_non_null(value);
		assert_int_equal(value->count, i);
	}
	key.lane = 9;
	assert_null(lw_image_get(image, LW_TABLE_GROUPS, &key));
	assert_int_equal(lw_image_rows(image, LW_TABLE_DESTS), 0);
	assert_null(lw_image_get(image, LW_TABLE_DESTS, &(struct lw_dest_key){}));
	lw_image_free(&image);
	assert_null(image);
}

static void long_keys_sort_too(void **state)
{
	struct lw_image *image = new_image();
	uint32_t seed = 1;

	(void)state;
	for (uint32_t i = 0; i < 1000; i++) {
		struct lw_dest_key key = { .port = (uint16_t)i };
		const struct lw_dest value = { .workload = i };

		for (size_t byte = 0; byte < sizeof(key.addr); byte++) {
			seed = seed * 1103515245u + 12345u;
			key.addr.ip[byte] = (uint8_t)(seed >> 16) & 3; /* many begin alike */
		}
		assert_int_equal(lw_image_put(image, LW_TABLE_DESTS, &key, &value), 0);
	}
	assert_int_equal(lw_image_seal(image), 0);
	for (size_t row = 0; row < 1000; row++) {
		const struct lw_dest_key *key = lw_image_key(image, LW_TABLE_DESTS, row);
		const struct lw_dest *value = lw_image_value(image, LW_TABLE_DESTS, row);

		assert_int_equal(value->workload, key->port);
		assert_ptr_equal(lw_image_get(image, LW_TABLE_DESTS, key), value);
		if (row > 0)
			assert_true(memcmp(lw_image_key(image, LW_TABLE_DESTS, row - 1), key,
					   sizeof(*key)) < 0);
	}
	lw_image_free(&image);
}

static void a_value_stays_with_its_key(void **state)
{
	struct lw_image *image = new_image();

	(void)state;
	for (uint32_t i = 300; i > 0; i--)
		put_group(image, i, 0, i * 2);
	assert_int_equal(lw_image_seal(image), 0);
	for (size_t row = 0; row < 300; row++) {
		const struct lw_group_key *key = lw_image_key(image, LW_TABLE_GROUPS, row);
		const struct lw_group *value = lw_image_value(image, LW_TABLE_GROUPS, row);

		assert_int_equal(value->count, key->group * 2);
	}
	lw_image_free(&image);
}

static uint32_t count_of(const struct lw_image *image, uint32_t group)
{
	const struct lw_group_key key = { .group = group };
	const struct lw_group *value = lw_image_get(image, LW_TABLE_GROUPS, &key);

	assert_non_null(value);
	return value->count;
}

static bool is_odd(enum lw_table_id table, const void *key, const void *value, void *arg)
{
	const struct lw_group_key *group = key;

	(void)value;
	(void)arg;
	return table == LW_TABLE_GROUPS && group->group % 2;
}

static void a_copy_leaves_out_and_takes_in(void **state)
{
	struct lw_image *image = new_image(), *copy = NULL, *shared;
	const struct lw_slot_key lane_key = { .id = 1 };
	const struct lw_lane lane = {};

	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		put_group(image, i * 37 % 100, 0, 1000 + i * 37 % 100);
	assert_int_equal(lw_image_put(image, LW_TABLE_LANES, &lane_key, &lane), 0);
	assert_int_equal(lw_image_seal(image), 0);
	shared = lw_image_ref(image);
	assert_int_equal(lw_image_copy(image, is_odd, NULL, &copy), 0);
	lw_image_free(&image);
	/* In the place of one that was left out, between, before and behind what is kept. */
	put_group(copy, 200, 0, 2200);
	put_group(copy, 50, 0, 2050);
	put_group(copy, 0, 0, 2000);
	assert_int_equal(lw_image_seal(copy), 0);
	assert_int_equal(lw_image_rows(copy, LW_TABLE_GROUPS), 53);
	assert_int_equal(lw_image_rows(copy, LW_TABLE_LANES), 0);
	for (size_t row = 0; row < 53; row++) {
		const struct lw_group_key *key = lw_image_key(copy, LW_TABLE_GROUPS, row);
		const struct lw_group *value = lw_image_value(copy, LW_TABLE_GROUPS, row);

		assert_true(row == 0 || memcmp(lw_image_key(copy, LW_TABLE_GROUPS, row - 1), key,
					       sizeof(*key)) < 0);
		assert_int_equal(value->count, key->group + (key->group % 2 ? 1000 : 2000));
	}
	/* The one it was made of is as it was. */
	assert_int_equal(lw_image_rows(shared, LW_TABLE_GROUPS), 100);
	lw_image_free(&copy);
	assert_int_equal(lw_image_copy(shared, is_odd, NULL, &copy), 0);
	/* What is kept was there first. */
	put_group(copy, 51, 0, 1);
	assert_int_equal(lw_image_seal(copy), 1);
	assert_int_equal(lw_image_rows(copy, LW_TABLE_GROUPS), 50);
	assert_int_equal(count_of(copy, 51), 1051);
	lw_image_free(&copy);
	lw_image_free(&shared);
}

static void same_rows_are_the_same(void **state)
{
	struct lw_image *images[4];

	(void)state;
	for (uint32_t k = 0; k < 4; k++) {
		images[k] = new_image();
		for (uint32_t i = 0; i < 100; i++)
			put_group(images[k], k == 1 ? 99 - i : i, 0,
				  k == 1 ? 99 - i : i + (k == 2 && i == 50));
		if (k == 3)
			put_group(images[k], 100, 0, 1);
		assert_true(lw_image_seal(images[k]) >= 0);
	}
	assert_true(lw_image_same(images[0], images[0]));
	assert_true(lw_image_same(images[0], images[1]));
	assert_false(lw_image_same(images[0], images[2])); /* a value */
	assert_false(lw_image_same(images[0], images[3])); /* a row */
	for (uint32_t k = 0; k < 4; k++)
		lw_image_free(&images[k]);
}

static void the_first_row_of_a_key_stays(void **state)
{
	struct lw_image *image = new_image(), *copy = NULL;
	const void *dropped = NULL;

	(void)state;
	put_group(image, 3, 0, 1);
	put_group(image, 1, 0, 2);
	put_group(image, 2, 0, 3);
	put_group(image, 1, 0, 4);
	put_group(image, 3, 0, 5);
	put_group(image, 1, 0, 6);
	assert_int_equal(lw_image_seal(image), 3);
	assert_int_equal(lw_image_dropped(image, LW_TABLE_GROUPS, &dropped), 3);
	assert_int_equal(((const struct lw_group *)dropped)->count, 4);
	assert_int_equal(lw_image_dropped(image, LW_TABLE_DESTS, &dropped), 0);
	assert_int_equal(lw_image_rows(image, LW_TABLE_GROUPS), 3);
	assert_int_equal(count_of(image, 1), 2);
	assert_int_equal(count_of(image, 2), 3);
	assert_int_equal(count_of(image, 3), 1);
	/* Those that were dropped do not come back. */
	assert_int_equal(lw_image_copy(image, is_odd, NULL, &copy), 0);
	assert_int_equal(lw_image_seal(copy), 0);
	assert_int_equal(lw_image_rows(copy, LW_TABLE_GROUPS), 2);
	assert_int_equal(count_of(copy, 1), 2);
	lw_image_free(&copy);
	lw_image_free(&image);
}

static void a_full_table_is_refused(void **state)
{
	struct lw_image *image = new_image();
	struct lw_slot_key key = {};
	struct lw_lane lane = {};

	(void)state;
	for (key.id = 0; key.id < LW_MAX_LANES; key.id++)
		assert_int_equal(lw_image_put(image, LW_TABLE_LANES, &key, &lane), 0);
	assert_int_equal(lw_image_put(image, LW_TABLE_LANES, &key, &lane), -E2BIG);
	assert_int_equal(lw_image_seal(image), 0);
	assert_int_equal(lw_image_rows(image, LW_TABLE_LANES), LW_MAX_LANES);
	lw_image_free(&image);
}

static void tables_say_what_their_maps_are(void **state)
{
	(void)state;
	for (size_t i = 0; i < LW_TABLE__MAX; i++) {
		assert_non_null(lw_tables[i].name);
		assert_true(strlen(lw_tables[i].name) < 16); /* the kernel cuts there */
		assert_true(lw_tables[i].slot_offset + sizeof(__u32) <= lw_tables[i].key_size);
		assert_true(lw_tables[i].value_size > 0 && lw_tables[i].max_rows > 0);
	}
	assert_int_equal(lw_tables[LW_TABLE_DESTS].slot_offset, 16);
	assert_int_equal(lw_tables[LW_TABLE_TAGS].slot_offset, 0);
}

static void nothing_is_freed_twice(void **state)
{
	struct lw_image *image = NULL;

	(void)state;
	lw_image_free(&image);
	image = new_image();
	assert_int_equal(lw_image_seal(image), 0);
	lw_image_free(&image);
	lw_image_free(&image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_come_sorted_and_are_found),
		cmocka_unit_test(long_keys_sort_too),
		cmocka_unit_test(a_value_stays_with_its_key),
		cmocka_unit_test(a_copy_leaves_out_and_takes_in),
		cmocka_unit_test(same_rows_are_the_same),
		cmocka_unit_test(the_first_row_of_a_key_stays),
		cmocka_unit_test(a_full_table_is_refused),
		cmocka_unit_test(tables_say_what_their_maps_are),
		cmocka_unit_test(nothing_is_freed_twice),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
