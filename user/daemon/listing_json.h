/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The listing of a state as JSON: what `laneway lanes`, `endpoints` and `check` answer.
 */
struct json_object;
struct lw_listing;

/* {"lanes": [...], "workloads": [...], "rules": [...]} into data. */
void lw_listing_json_lanes(const struct lw_listing *listing, struct json_object *data);
/* {"endpoints": [...], "services": [...]} into data. */
void lw_listing_json_endpoints(const struct lw_listing *listing, struct json_object *data);
