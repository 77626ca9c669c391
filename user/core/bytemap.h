/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A hash map from byte strings to pointers. Keys are copied.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct lw_bytemap {
	struct lw_bytemap_node **buckets;
	size_t nbuckets; /* a power of two, or 0 */
	size_t count;
};

/* Keys are made of parts so that callers need not join them: each part's length is hashed with it.
 */
struct lw_bytes {
	const void *data;
	size_t len;
};
#define LW_BYTES_STR(s) ((struct lw_bytes){ (s), strlen(s) })
#define LW_BYTES_OF(x) ((struct lw_bytes){ &(x), sizeof(x) })

uint64_t lw_bytes_hash(const void *data, size_t len, uint64_t seed);

/* NULL if absent. */
void *lw_bytemap_get(const struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts);
/* Sets, replacing. 0 or -ENOMEM, the map is then as before. */
int lw_bytemap_put(struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts, void *value);
/* The value that was there, or NULL. */
void *lw_bytemap_remove(struct lw_bytemap *map, const struct lw_bytes *key, size_t nparts);
/* Asks keep for every value, in no order, and removes those it says no to. keep may free them. */
void lw_bytemap_filter(struct lw_bytemap *map, bool (*keep)(void *value, void *arg), void *arg);
/* Frees all nodes; the map is empty and usable again. Values are the caller's. */
void lw_bytemap_clear(struct lw_bytemap *map);
