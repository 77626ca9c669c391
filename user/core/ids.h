/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Numbers for names, from 1. None is given twice. A name keeps its number while it is in use, and beyond that until there are many more
 * that are not: names come for as long as the process lives, as those of preview environments do.
 */
#include <stdint.h>

#include "core/bytemap.h"

#define LW_IDS_PAGE 1024
/* Names that are kept in any case. */
#define LW_IDS_LEAST 16384

struct lw_ids_page {
	const void *of[LW_IDS_PAGE];
	uint64_t used[LW_IDS_PAGE / 64];
};

/* From {}. */
struct lw_ids {
	struct lw_bytemap by_name; /* value: the number, as a pointer */
	struct lw_ids_page **pages; /* NULL: without a number that is known */
	size_t npages;
	uint32_t last;
	size_t many; /* names; 0: not told yet */
};

void lw_ids_clear(struct lw_ids *ids);
/* The number of a name, made at first sight; 0: out of memory. */
uint32_t lw_ids_get(struct lw_ids *ids, const struct lw_bytes *name, size_t nparts);

/* What goes with a number: of those that lw_ids_get() has given and lw_ids_forget() has left. NULL until it is set. */
static inline const void *lw_ids_of(const struct lw_ids *ids, uint32_t id)
{
	return ids->pages[id / LW_IDS_PAGE]->of[id % LW_IDS_PAGE];
}
static inline void lw_ids_set(struct lw_ids *ids, uint32_t id, const void *of)
{
	ids->pages[id / LW_IDS_PAGE]->of[id % LW_IDS_PAGE] = of;
}

/* It is time: twice as many as were in use the last time. Then lw_ids_use() for all that are, and lw_ids_forget() for the rest. */
bool lw_ids_are_many(const struct lw_ids *ids);
void lw_ids_use(struct lw_ids *ids, uint32_t id);
void lw_ids_forget(struct lw_ids *ids);
