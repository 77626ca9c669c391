/* SPDX-License-Identifier: Apache-2.0 */
#include "core/image.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define SLOT_OF(type) offsetof(struct type, slot)

const struct lw_table_info lw_tables[LW_TABLE__MAX] = {
	[LW_TABLE_DESTS] = { "lw_dests", sizeof(struct lw_dest_key), sizeof(struct lw_dest),
			     SLOT_OF(lw_dest_key), LW_MAX_DESTS },
	[LW_TABLE_PODS] = { "lw_pods", sizeof(struct lw_pod_key), sizeof(struct lw_pod),
			    SLOT_OF(lw_pod_key), LW_MAX_PODS },
	[LW_TABLE_WORKLOADS] = { "lw_workloads", sizeof(struct lw_slot_key),
				 sizeof(struct lw_workload), SLOT_OF(lw_slot_key),
				 LW_MAX_WORKLOADS },
	[LW_TABLE_LANES] = { "lw_lanes", sizeof(struct lw_slot_key), sizeof(struct lw_lane),
			     SLOT_OF(lw_slot_key), LW_MAX_LANES },
	[LW_TABLE_TAGS] = { "lw_tags", sizeof(struct lw_tag_key), sizeof(struct lw_tag),
			    SLOT_OF(lw_tag_key), LW_MAX_LANES },
	[LW_TABLE_GROUPS] = { "lw_groups", sizeof(struct lw_group_key), sizeof(struct lw_group),
			      SLOT_OF(lw_group_key), LW_MAX_GROUPS },
	[LW_TABLE_ENDPOINTS] = { "lw_endpoints", sizeof(struct lw_endpoint_key),
				 sizeof(struct lw_endpoint), SLOT_OF(lw_endpoint_key),
				 LW_MAX_ENDPOINTS },
	[LW_TABLE_STEPS] = { "lw_steps", sizeof(struct lw_slot_key), sizeof(struct lw_step),
			     SLOT_OF(lw_slot_key), LW_MAX_STEPS },
	[LW_TABLE_RULES] = { "lw_rules", sizeof(struct lw_slot_key), sizeof(struct lw_rule),
			     SLOT_OF(lw_slot_key), LW_MAX_RULES },
	[LW_TABLE_DFAS] = { "lw_dfas", sizeof(struct lw_slot_key), sizeof(struct lw_dfa),
			    SLOT_OF(lw_slot_key), LW_MAX_DFAS },
	[LW_TABLE_NAMES] = { "lw_names", sizeof(struct lw_slot_key), sizeof(struct lw_names),
			     SLOT_OF(lw_slot_key), 1 },
};

struct table {
	unsigned char *keys;
	unsigned char *values;
	uint32_t *order; /* row to position; NULL until sealed */
	size_t count;
	size_t dropped; /* when it was sealed */
	size_t first_dropped; /* position */
	size_t sorted; /* so many stand in order already, from the first on */
	size_t room;
};

struct lw_image {
	struct table tables[LW_TABLE__MAX];
	unsigned int refs;
	bool sealed;
};

int lw_image_new(struct lw_image **ret)
{
	struct lw_image *image = calloc(1, sizeof(*image));

	if (!image)
		return -ENOMEM;
	image->refs = 1;
	*ret = image;
	return 0;
}

struct lw_image *lw_image_ref(struct lw_image *image)
{
	image->refs++;
	return image;
}

void lw_image_free(struct lw_image **image_ptr)
{
	struct lw_image *image = *image_ptr;

	*image_ptr = NULL;
	if (!image || --image->refs > 0)
		return;
	for (size_t i = 0; i < LW_TABLE__MAX; i++) {
		free(image->tables[i].keys);
		free(image->tables[i].values);
		free(image->tables[i].order);
	}
	free(image);
}

_Static_assert(sizeof(struct lw_tag_key) <= 256, "sort() counts bytes of keys in 8 bits");

static int make_room(struct table *table, const struct lw_table_info *info, size_t room)
{
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

static void append(struct table *table, const struct lw_table_info *info, const void *key,
		   const void *value)
{
	memcpy(table->keys + table->count * info->key_size, key, info->key_size);
	memcpy(table->values + table->count * info->value_size, value, info->value_size);
	table->count++;
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
		r = make_room(table, info, table->room ? table->room * 2 : 8);
		if (r < 0)
			return r;
	}
	append(table, info, key, value);
	return 0;
}

int lw_image_copy(const struct lw_image *from, lw_image_keep keep, void *arg, struct lw_image **ret)
{
	_cleanup_(lw_image_free) struct lw_image *image = NULL;
	int r = lw_image_new(&image);

	for (enum lw_table_id id = 0; r == 0 && id < LW_TABLE__MAX; id++) {
		size_t n = lw_image_rows(from, id);
		struct table *table = &image->tables[id];

		if (n > 0)
			r = make_room(table, &lw_tables[id], n + n / 8 + 8);
		for (size_t row = 0; r == 0 && row < n; row++) {
			const void *key = lw_image_key(from, id, row),
				   *value = lw_image_value(from, id, row);

			if (keep(id, key, value, arg))
				append(table, &lw_tables[id], key, value);
		}
		table->sorted = table->count;
	}
	if (r == 0)
		*ret = TAKE_PTR(image);
	return r;
}

/* One row while it is sorted: up to eight bytes of its key, the last one lowest. */
struct sort_row {
	uint64_t bytes;
	uint32_t row;
};

/* Positions of the bytes that are not the same in all keys that are not sorted yet. */
static size_t find_varying(const struct table *table, size_t key_size, uint8_t *ret)
{
	const unsigned char *first = table->keys + table->sorted * key_size;
	uint8_t differs[256] = {};
	size_t n = 0;

	for (size_t i = table->sorted + 1; i < table->count; i++) {
		const unsigned char *key = table->keys + i * key_size;

		for (size_t byte = 0; byte < key_size; byte++)
			differs[byte] |= key[byte] ^ first[byte];
	}
	for (size_t byte = 0; byte < key_size; byte++) {
		if (differs[byte])
			ret[n++] = (uint8_t)byte;
	}
	return n;
}

/* Sorts rows by their lowest n bytes, keeping the order of equal ones; the result is in *from. */
static void sort_rows(struct sort_row **from, struct sort_row **to, size_t count, size_t n)
{
	size_t starts[8][257] = {};

	for (size_t i = 0; i < count; i++) {
		for (size_t byte = 0; byte < n; byte++)
			starts[byte][((*from)[i].bytes >> (8 * byte) & 255) + 1]++;
	}
	for (size_t byte = 0; byte < n; byte++) {
		struct sort_row *swap = *from;
		size_t *start = starts[byte];

		for (size_t i = 1; i < 257; i++)
			start[i] += start[i - 1];
		for (size_t i = 0; i < count; i++)
			(*to)[start[swap[i].bytes >> (8 * byte) & 255]++] = swap[i];
		*from = *to;
		*to = swap;
	}
}

/*
 * Sorts by the bytes of the keys, last first, leaving out those that are the same in all rows: keys
 * differ in few bytes, so this is a handful of passes where comparing would take n log n. The rows are in
 * *from in the end.
 */
static void sort_new(const struct table *table, size_t key_size, struct sort_row **from,
		     struct sort_row **to)
{
	size_t n = table->count - table->sorted, left;
	uint8_t varying[256];

	for (size_t i = 0; i < n; i++)
		(*from)[i].row = (uint32_t)(table->sorted + i);
	for (left = find_varying(table, key_size, varying); left > 0;) {
		size_t nbytes = left < 8 ? left : 8;

		left -= nbytes;
		for (size_t i = 0; i < n; i++) {
			const unsigned char *key = table->keys + (*from)[i].row * key_size;

			(*from)[i].bytes = 0;
			for (size_t byte = 0; byte < nbytes; byte++)
				(*from)[i].bytes =
					(*from)[i].bytes << 8 | key[varying[left + byte]];
		}
		sort_rows(from, to, n, nbytes);
	}
}

/* Sorts what is new, and puts it between what is in order. */
static int sort(struct table *table, size_t key_size)
{
	size_t n = table->count - table->sorted, old = 0, new = 0;
	struct sort_row *from, *to;

	table->order = malloc(table->count * sizeof(*table->order));
	from = malloc((n + 1) * sizeof(*from));
	to = malloc((n + 1) * sizeof(*to));
	if (!table->order || !from || !to) {
		free(from);
		free(to);
		return -ENOMEM;
	}
	sort_new(table, key_size, &from, &to);
	for (size_t i = 0; i < table->count; i++) {
		bool take_new = new < n && (old == table->sorted ||
					    memcmp(table->keys + from[new].row * key_size,
						   table->keys + old * key_size, key_size) < 0);

		table->order[i] = take_new ? from[new ++].row : (uint32_t)old++;
	}
	free(from);
	free(to);
	return 0;
}

/* Of rows with the same key only the first one put stays: they are next to each other, in that order. */
static void drop_repeated(struct table *table, size_t key_size)
{
	size_t kept = 1;

	for (size_t row = 1; row < table->count; row++) {
		if (memcmp(table->keys + table->order[kept - 1] * key_size,
			   table->keys + table->order[row] * key_size, key_size) != 0)
			table->order[kept++] = table->order[row];
		else if (kept == row)
			table->first_dropped = table->order[row];
	}
	table->dropped = table->count - kept;
	table->count = kept;
}

int lw_image_seal(struct lw_image *image)
{
	size_t dropped = 0;
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
		drop_repeated(table, key_size);
		dropped += table->dropped;
	}
	image->sealed = true;
	return (int)dropped;
}

size_t lw_image_dropped(const struct lw_image *image, enum lw_table_id id, const void **ret_value)
{
	const struct table *table = &image->tables[id];

	assert(image->sealed);
	if (table->dropped > 0)
		*ret_value = table->values + table->first_dropped * lw_tables[id].value_size;
	return table->dropped;
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

bool lw_image_same(const struct lw_image *a, const struct lw_image *b)
{
	for (enum lw_table_id t = 0; a != b && t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		size_t n = lw_image_rows(a, t);

		if (n != lw_image_rows(b, t))
			return false;
		for (size_t i = 0; i < n; i++)
			if (memcmp(lw_image_key(a, t, i), lw_image_key(b, t, i), info->key_size) !=
				    0 ||
			    memcmp(lw_image_value(a, t, i), lw_image_value(b, t, i),
				   info->value_size) != 0)
				return false;
	}
	return true;
}
