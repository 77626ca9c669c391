/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* laneway/lane.h over `image`, for tests, and what makes one. LW_DICE() may be defined before; else dice show 0. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/image.h"
#include "core/regex.h"
#include "core/rules.h"
#include "laneway/follow.h"

static struct lw_image *image;

static const void *get(enum lw_table_id table, uint32_t slot, uint32_t id)
{
	struct lw_slot_key key = { .slot = slot, .id = id };

	return lw_image_get(image, table, &key);
}

#define lw_get_step(slot, id) ((const struct lw_step *)get(LW_TABLE_STEPS, slot, id))
#define lw_get_rule(slot, id) ((const struct lw_rule *)get(LW_TABLE_RULES, slot, id))
#define lw_get_dfa(slot, id) ((const struct lw_dfa *)get(LW_TABLE_DFAS, slot, id))
#define lw_get_lane(slot, id) ((const struct lw_lane *)get(LW_TABLE_LANES, slot, id))
#define lw_get_names(slot) ((const struct lw_names *)get(LW_TABLE_NAMES, slot, 0))
#define lw_get_tag(key) ((const struct lw_tag *)lw_image_get(image, LW_TABLE_TAGS, key))
#ifndef LW_DICE
#define LW_DICE() 0
#endif
#include "laneway/lane.h"

struct image_lane {
	uint16_t lane;
	const char *name, *header, *value;
};

/* `image` anew: lanes, of which the last has no name, and a workload with these rules, if there are any. Its entry. */
static inline uint32_t image_build(const struct image_lane *lanes, bool baggage,
				   const struct lw_rules_entry *entries, size_t n)
{
	struct lw_rules *rules;
	uint32_t entry = 0;
	char err[256] = "";
	int r;

	lw_image_free(&image);
	if (lw_image_new(&image) || lw_rules_new(&rules))
		abort();
	r = baggage ? lw_rules_use_baggage(rules) : 0;
	for (; !r && lanes->name; lanes++)
		r = lw_rules_lane(rules, lanes->lane, lanes->name, lanes->header, lanes->value, err,
				  sizeof(err));
	if (!r && n)
		r = lw_rules_workload(rules, entries, n, &entry, err, sizeof(err));
	if (r || lw_rules_finish(rules, image) || lw_image_seal(image)) {
		fprintf(stderr, "image: %s\n", err);
		abort();
	}
	lw_rules_free(&rules);
	return entry;
}

static inline int image_teardown(void **state)
{
	(void)state;
	lw_image_free(&image);
	lw_regex_cache_clear();
	return 0;
}
