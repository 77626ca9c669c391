/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Two builders of one model: one follows its last build where it can, the other builds from nothing each time. What
 * they make must be the same.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/model.h"

struct lw_twin;

/* Never NULL. enrol_ahead: of lw_state_options */
struct lw_twin *lw_twin_new(const struct lw_model *model, bool enrol_ahead);
void lw_twin_free(struct lw_twin *twin);
/*
 * Builds with both; listing: lists with both, too. NULL, or what differs: one line, valid until the next call.
 * *ret_followed: the first one has followed.
 */
const char *lw_twin_build(struct lw_twin *twin, bool listing, bool *ret_followed);
/* The image of the last build. */
const struct lw_image *lw_twin_image(const struct lw_twin *twin);
