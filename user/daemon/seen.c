/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/seen.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "core/image.h"
#include "core/names.h"

#define SLOTS (LW_SEEN_MAX * 2)

/* The slot of the hash, or the free one where it belongs. */
static unsigned int slot_of(const struct lw_seen *seen, uint32_t hash)
{
	unsigned int i = hash % SLOTS;

	while (seen->workloads[i].name && seen->workloads[i].hash != hash)
		i = (i + 1) % SLOTS;
	return i;
}

static void forget_workloads(struct lw_seen *seen)
{
	for (unsigned int i = 0; i < SLOTS; i++)
		free(seen->workloads[i].name);
	memset(seen->workloads, 0, sizeof(seen->workloads));
	seen->count = 0;
}

/* False: there is no room for all of them. */
static bool add_workloads(struct lw_seen *seen, const struct lw_image *image)
{
	for (size_t row = 0; row < lw_image_rows(image, LW_TABLE_WORKLOADS); row++) {
		const struct lw_workload *w = lw_image_value(image, LW_TABLE_WORKLOADS, row);
		unsigned int i = slot_of(seen, w->name_hash);

		if (seen->workloads[i].name)
			continue;
		if (seen->count == LW_SEEN_MAX)
			return false;
		seen->workloads[i].name = strdup(w->name);
		if (!seen->workloads[i].name)
			continue;
		seen->workloads[i].hash = w->name_hash;
		seen->count++;
	}
	return true;
}

static void add_tag(struct lw_seen *seen, unsigned int id, const struct lw_lane *lane,
		    uint64_t generation)
{
	char header[LW_STEP_NAME_LEN + 1];

	lw_names_tag(lane, header);
	if (strcmp(seen->tags[id].header, header) == 0)
		return;
	(void)lw_str_copy(seen->tags[id].header, sizeof(seen->tags[id].header), header);
	seen->tags[id].since = generation;
}

void lw_seen_add(struct lw_seen *seen, const struct lw_image *image, uint64_t generation)
{
	/* what is in force matters more than what was */
	if (!add_workloads(seen, image)) {
		forget_workloads(seen);
		(void)add_workloads(seen, image);
	}
	for (size_t row = 0; row < lw_image_rows(image, LW_TABLE_LANES); row++) {
		const struct lw_slot_key *key = lw_image_key(image, LW_TABLE_LANES, row);
		const struct lw_lane *lane = lw_image_value(image, LW_TABLE_LANES, row);

		if (key->id >= LW_MAX_LANES)
			continue;
		(void)lw_str_copy(seen->lanes[key->id], sizeof(seen->lanes[0]), lane->name);
		add_tag(seen, key->id, lane, generation);
	}
}

const char *lw_seen_workload(const struct lw_seen *seen, uint32_t hash)
{
	return hash ? seen->workloads[slot_of(seen, hash)].name : NULL;
}

const char *lw_seen_lane(const struct lw_seen *seen, unsigned int id)
{
	return id < LW_MAX_LANES && *seen->lanes[id] ? seen->lanes[id] : NULL;
}

const char *lw_seen_tag(const struct lw_seen *seen, unsigned int lane, uint64_t generation)
{
	return lane < LW_MAX_LANES && *seen->tags[lane].header &&
			       generation >= seen->tags[lane].since ?
		       seen->tags[lane].header :
		       NULL;
}

void lw_seen_clear(struct lw_seen *seen)
{
	forget_workloads(seen);
	memset(seen, 0, sizeof(*seen));
}
