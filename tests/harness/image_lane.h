/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* laneway/lane.h over `image`, for tests. LW_DICE() may be defined before; else dice show 0. */
#include <stdint.h>

#include "core/image.h"
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
