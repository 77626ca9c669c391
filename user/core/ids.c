/* SPDX-License-Identifier: Apache-2.0 */
#include "core/ids.h"

#include <stdlib.h>

void lw_ids_clear(struct lw_ids *ids)
{
	lw_bytemap_clear(&ids->by_name);
	for (size_t i = 0; i < ids->npages; i++)
		free(ids->pages[i]);
	free(ids->pages);
	*ids = (struct lw_ids){};
}

static bool make_page(struct lw_ids *ids, size_t page)
{
	if (page >= ids->npages) {
		size_t npages = page + 1 + page / 2;
		struct lw_ids_page **pages = reallocarray(ids->pages, npages, sizeof(pages[0]));

		if (!pages)
			return false;
		for (size_t i = ids->npages; i < npages; i++)
			pages[i] = NULL;
		ids->pages = pages;
		ids->npages = npages;
	}
	if (!ids->pages[page])
		ids->pages[page] = calloc(1, sizeof(*ids->pages[page]));
	return ids->pages[page];
}

uint32_t lw_ids_get(struct lw_ids *ids, const struct lw_bytes *name, size_t nparts)
{
	uint32_t id = (uint32_t)(uintptr_t)lw_bytemap_get(&ids->by_name, name, nparts);

	if (id != 0)
		return id;
	id = ids->last + 1;
	if (!make_page(ids, id / LW_IDS_PAGE) ||
	    lw_bytemap_put(&ids->by_name, name, nparts, (void *)(uintptr_t)id) < 0)
		return 0;
	ids->last = id;
	return id;
}

bool lw_ids_are_many(const struct lw_ids *ids)
{
	return ids->by_name.count > (ids->many ? ids->many : LW_IDS_LEAST);
}

void lw_ids_use(struct lw_ids *ids, uint32_t id)
{
	ids->pages[id / LW_IDS_PAGE]->used[id % LW_IDS_PAGE / 64] |= 1ull << id % 64;
}

static bool is_used(void *value, void *arg)
{
	uint32_t id = (uint32_t)(uintptr_t)value;
	const struct lw_ids *ids = arg;

	return ids->pages[id / LW_IDS_PAGE]->used[id % LW_IDS_PAGE / 64] >> id % 64 & 1;
}

void lw_ids_forget(struct lw_ids *ids)
{
	lw_bytemap_filter(&ids->by_name, is_used, ids);
	for (size_t i = 0; i < ids->npages; i++) {
		struct lw_ids_page *page = ids->pages[i];
		uint64_t any = 0;

		for (size_t k = 0; page && k < LW_IDS_PAGE / 64; k++) {
			any |= page->used[k];
			page->used[k] = 0;
		}
		if (any)
			continue;
		free(page);
		ids->pages[i] = NULL;
	}
	ids->many = LW_IDS_LEAST + 2 * ids->by_name.count;
}
