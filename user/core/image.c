/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_OF(type) offsetof(struct type, slot)

const struct lw_table_info lw_tables[LW_TABLE__MAX] = {
	[LW_TABLE_DESTS] = { "lw_dests", sizeof(struct lw_dest_key), sizeof(struct lw_dest), SLOT_OF(lw_dest_key),
			     LW_MAX_DESTS },
	[LW_TABLE_PODS] = { "lw_pods", sizeof(struct lw_pod_key), sizeof(struct lw_pod), SLOT_OF(lw_pod_key),
			    LW_MAX_PODS },
	[LW_TABLE_WORKLOADS] = { "lw_workloads", sizeof(struct lw_slot_key), sizeof(struct lw_workload),
				 SLOT_OF(lw_slot_key), LW_MAX_WORKLOADS },
	[LW_TABLE_LANES] = { "lw_lanes", sizeof(struct lw_slot_key), sizeof(struct lw_lane), SLOT_OF(lw_slot_key),
			     LW_MAX_LANES },
	[LW_TABLE_TAGS] = { "lw_tags", sizeof(struct lw_tag_key), sizeof(struct lw_tag), SLOT_OF(lw_tag_key),
			    LW_MAX_LANES },
	[LW_TABLE_GROUPS] = { "lw_groups", sizeof(struct lw_group_key), sizeof(struct lw_group),
			      SLOT_OF(lw_group_key), LW_MAX_GROUPS },
	[LW_TABLE_ENDPOINTS] = { "lw_endpoints", sizeof(struct lw_endpoint_key), sizeof(struct lw_endpoint),
				 SLOT_OF(lw_endpoint_key), LW_MAX_ENDPOINTS },
	[LW_TABLE_STEPS] = { "lw_steps", sizeof(struct lw_slot_key), sizeof(struct lw_step), SLOT_OF(lw_slot_key),
			     LW_MAX_STEPS },
	[LW_TABLE_RULES] = { "lw_rules", sizeof(struct lw_slot_key), sizeof(struct lw_rule), SLOT_OF(lw_slot_key),
			     LW_MAX_RULES },
	[LW_TABLE_DFAS] = { "lw_dfas", sizeof(struct lw_slot_key), sizeof(struct lw_dfa), SLOT_OF(lw_slot_key),
			    LW_MAX_DFAS },
	[LW_TABLE_NAMES] = { "lw_names", sizeof(struct lw_slot_key), sizeof(struct lw_names), SLOT_OF(lw_slot_key),
			     1 },
};

struct table {
	unsigned char *keys;
	unsigned char *values;
	uint32_t *order; /* row to position; NULL until sealed */
	size_t count;
	size_t room;
};

struct lw_image {
	struct table tables[LW_TABLE__MAX];
	bool sealed;
};

int lw_image_new(struct lw_image **ret)
{
	struct lw_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	*ret = image;
	return 0;
}

void lw_image_free(struct lw_image **image)
{
	if (!*image)
		return;
	for (size_t i = 0; i < LW_TABLE__MAX; i++) {
		free((*image)->tables[i].keys);
		free((*image)->tables[i].values);
		free((*image)->tables[i].order);
	}
	free(*image);
	*image = NULL;
}

static int make_room(struct table *table, const struct lw_table_info *info)
{
	size_t room = table->room ? table->room * 2 : 8;
	unsigned char *p;

	if (room > info->max_rows)
		room = info->max_rows;
	p = realloc(table->keys, room * info->key_size);
	if (!p)
		return -ENOMEM;
	table->keys = p;
	p = realloc(table->values, room * info->value_size);
	if (!p)
		return -ENOMEM;
	table->values = p;
	table->room = room;
	return 0;
}

int lw_image_put(struct lw_image *image, enum lw_table_id id, const void *key, const void *value)
{
	const struct lw_table_info *info = &lw_tables[id];
	struct table *table = &image->tables[id];
	int r;

	assert(!image->sealed);
	if (table->count == info->max_rows)
		return -E2BIG;
	if (table->count == table->room) {
		r = make_room(table, info);
		if (r < 0)
			return r;
	}
	memcpy(table->keys + table->count * info->key_size, key, info->key_size);
	memcpy(table->values + table->count * info->value_size, value, info->value_size);
	table->count++;
	return 0;
}

/*
 * Sorts by the bytes of the keys, last first, leaving out those that are the same in all rows: keys are short
 * and differ in few bytes, so this is a handful of passes where comparing would take n log n.
 */
static int sort(struct table *table, size_t key_size)
{
	uint32_t *from, *to, *spare;

	from = malloc(table->count * sizeof(*from));
	to = spare = malloc(table->count * sizeof(*spare));
	if (!from || !spare) {
		free(from);
		free(spare);
		return -ENOMEM;
	}
	for (size_t i = 0; i < table->count; i++)
		from[i] = (uint32_t)i;

	for (size_t byte = key_size; byte-- > 0;) {
		const unsigned char *column = table->keys + byte;
		size_t start[257] = {};

		for (size_t i = 0; i < table->count; i++)
			start[column[i * key_size] + 1]++;
		if (start[column[0] + 1] == table->count)
			continue;
		for (size_t i = 1; i < 257; i++)
			start[i] += start[i - 1];
		for (size_t i = 0; i < table->count; i++)
			to[start[column[from[i] * key_size]]++] = from[i];
		spare = from;
		from = to;
		to = spare;
	}
	free(to);
	table->order = from;
	return 0;
}

int lw_image_seal(struct lw_image *image)
{
	int r;

	assert(!image->sealed);
	for (size_t i = 0; i < LW_TABLE__MAX; i++) {
		struct table *table = &image->tables[i];
		size_t key_size = lw_tables[i].key_size;

		free(table->order);
		table->order = NULL;
		if (table->count == 0)
			continue;
		r = sort(table, key_size);
		if (r < 0)
			return r;
		for (size_t row = 1; row < table->count; row++) {
			if (memcmp(table->keys + table->order[row - 1] * key_size,
				   table->keys + table->order[row] * key_size, key_size) == 0)
				return -EEXIST;
		}
	}
	image->sealed = true;
	return 0;
}

size_t lw_image_rows(const struct lw_image *image, enum lw_table_id id)
{
	assert(image->sealed);
	return image->tables[id].count;
}

const void *lw_image_key(const struct lw_image *image, enum lw_table_id id, size_t row)
{
	const struct table *table = &image->tables[id];

	assert(image->sealed && row < table->count);
	return table->keys + table->order[row] * lw_tables[id].key_size;
}

const void *lw_image_value(const struct lw_image *image, enum lw_table_id id, size_t row)
{
	const struct table *table = &image->tables[id];

	assert(image->sealed && row < table->count);
	return table->values + table->order[row] * lw_tables[id].value_size;
}

const void *lw_image_get(const struct lw_image *image, enum lw_table_id id, const void *key)
{
	size_t low = 0, high = lw_image_rows(image, id);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = memcmp(lw_image_key(image, id, middle), key, lw_tables[id].key_size);

		if (order == 0)
			return lw_image_value(image, id, middle);
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
