/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Names of workloads, lanes and their tags' headers that have been in force: counters outlive what they count. Of workloads
 * LW_SEEN_MAX at most: where there are more, those that are not in force are forgotten, and shown by number.
 */
#include <stdint.h>

#include "laneway/limits.h"

#define LW_SEEN_MAX (LW_MAX_WORKLOADS * 2)

struct lw_image;

struct lw_seen {
	/* Open addressing by the hash, which is one already; never full. */
	struct {
		uint32_t hash;
		char *name; /* NULL: free */
	} workloads[LW_SEEN_MAX * 2];
	unsigned int count;
	char lanes[LW_MAX_LANES][LW_LANE_NAME_LEN];
	struct {
		char header[LW_STEP_NAME_LEN + 1];
		uint64_t since; /* generation */
	} tags[LW_MAX_LANES];
};

/* Takes up the names of a sealed image, which came into force with this generation; keeps what it can without memory. */
void lw_seen_add(struct lw_seen *seen, const struct lw_image *image, uint64_t generation);
/* By lw_name_hash() of the name; NULL if it has not been seen, or hash is 0. */
const char *lw_seen_workload(const struct lw_seen *seen, uint32_t hash);
/* NULL if it has not been seen. */
const char *lw_seen_lane(const struct lw_seen *seen, unsigned int id);
/* The header of the lane's tag as of that generation, or a later one; NULL if it has not been seen, or was another one then. */
const char *lw_seen_tag(const struct lw_seen *seen, unsigned int lane, uint64_t generation);
/* Empties; a zeroed struct is empty too. */
void lw_seen_clear(struct lw_seen *seen);
