/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Answers of the agent, printed for people. Each takes the "data" of query.h's reply of that name.
 */
#include <stdbool.h>

struct json_object;

void lw_show_status(struct json_object *data);
/* Of an answer that may be brief: the agent, and whether it steers. */
void lw_show_steering(struct json_object *data);
void lw_show_lanes(struct json_object *data);
void lw_show_endpoints(struct json_object *data);
void lw_show_flows(struct json_object *data);
void lw_show_stats(struct json_object *data);
void lw_show_explain(struct json_object *data);
/* Of an object with "evidence" and "header", in buf: "trace (traceparent)"; without the header where it has the evidence's own name. */
#define LW_SHOW_EVIDENCE_LEN 320
const char *lw_show_evidence(struct json_object *o, char buf[LW_SHOW_EVIDENCE_LEN]);
/* Of an object with "findings": "error: file: document 2: field: message", one a line, on stdout, and how many there are besides. */
void lw_show_findings(struct json_object *o, const char *indent);
/* As indented JSON. */
void lw_show_json(struct json_object *data);
