/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The answers to "status" and "stats" as Prometheus text (exposition format 0.0.4). */

struct json_object;

/* To be freed. NULL: out of memory. */
char *lw_metrics_text(struct json_object *status, struct json_object *stats);
