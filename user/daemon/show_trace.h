/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Hops as they come, a line each, in columns. What is to come is not known: a column grows with what stands in it.
 */
#include <stdbool.h>

struct json_object;

#define LW_SHOW_TRACE_COLUMNS 9

struct lw_show_trace {
	bool begun; /* the titles are out */
	int widths[LW_SHOW_TRACE_COLUMNS];
};

/* Titles, as wide as the columns are now. Zeroed to begin with. */
void lw_show_trace_begin(struct lw_show_trace *show);
/* The "hop" of tracers.h. */
void lw_show_trace_hop(struct lw_show_trace *show, struct json_object *hop);
