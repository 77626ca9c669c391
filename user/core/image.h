/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * One generation of the state as the kernel will hold it: a table for each map of abi_state.h whose key has
 * a slot. Pure memory. The slot in every key is 0 here; the publisher writes the real one.
 *
 * Ids (workload, group, lane) outlive a generation: enrolled connections keep them. Whoever builds
 * images gives the same thing the same id, but for what has long been in none, and never re-uses one.
 */
#include <stdbool.h>
#include <stddef.h>

#include "laneway/abi.h"

enum lw_table_id {
	LW_TABLE_DESTS,
	LW_TABLE_PODS,
	LW_TABLE_WORKLOADS,
	LW_TABLE_LANES,
	LW_TABLE_TAGS,
	LW_TABLE_GROUPS,
	LW_TABLE_ENDPOINTS,
	LW_TABLE_STEPS,
	LW_TABLE_RULES,
	LW_TABLE_DFAS,
	LW_TABLE_NAMES, /* key: struct lw_slot_key with id 0 */
	LW_TABLE__MAX,
};

struct lw_table_info {
	const char *name; /* of the map: "lw_dests" */
	size_t key_size;
	size_t value_size;
	size_t slot_offset; /* of the __u32 slot in the key */
	size_t max_rows;
};
extern const struct lw_table_info lw_tables[LW_TABLE__MAX];

struct lw_image;

/* 0 or -ENOMEM. */
int lw_image_new(struct lw_image **ret);
/* One more owner of a sealed image, which does not change any more. Returns it. */
struct lw_image *lw_image_ref(struct lw_image *image);
/* Gives up one's share. Takes NULL; sets *image to NULL. */
void lw_image_free(struct lw_image **image);

/*
 * A new image, not sealed, with those rows of a sealed one that keep says yes to. Sealing it sorts only what
 * is put there besides. 0 or -ENOMEM; *ret then stays.
 */
typedef bool (*lw_image_keep)(enum lw_table_id table, const void *key, const void *value,
			      void *arg);
int lw_image_copy(const struct lw_image *from, lw_image_keep keep, void *arg,
		  struct lw_image **ret);

/* Copies key and value in. 0, -ENOMEM, or -E2BIG when the table has max_rows. Only before lw_image_seal(). */
int lw_image_put(struct lw_image *image, enum lw_table_id table, const void *key,
		 const void *value);
/*
 * Sorts every table by key (memcmp). Where a key stands more than once the row put first stays, or the one that was copied, and the
 * others are dropped: one mistake is not to cost all the rest. How many were dropped, or -ENOMEM.
 */
int lw_image_seal(struct lw_image *image);

/* Sealed images only. */
/* How many rows lw_image_seal() has dropped; if any, *ret_value is the value of the first by key. */
size_t lw_image_dropped(const struct lw_image *image, enum lw_table_id table,
			const void **ret_value);
size_t lw_image_rows(const struct lw_image *image, enum lw_table_id table);
const void *lw_image_key(const struct lw_image *image, enum lw_table_id table, size_t row);
const void *lw_image_value(const struct lw_image *image, enum lw_table_id table, size_t row);
/* The same rows. */
bool lw_image_same(const struct lw_image *a, const struct lw_image *b);
/* NULL if absent. */
const void *lw_image_get(const struct lw_image *image, enum lw_table_id table, const void *key);
