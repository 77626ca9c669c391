/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The answer to `laneway explain`. */

struct json_object;
struct lw_query;

/* Fills data in, or returns -errno and says why. */
int lw_query_explain(const struct lw_query *query, struct json_object *request,
		     struct json_object *data, const char **ret_error);
