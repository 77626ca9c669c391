/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The lines of `laneway explain`: how they are cut, and what is said of conditions, and of evidence that the
 * programs learn at run time.
 */
#include "core/explain.h"
#include "laneway/lane_types.h"

#define LW_EXPLAIN_QUOTE_LEN 44
/* Processes at work that get a line. */
#define LW_EXPLAIN_WORK_LINES 6

/* Adds one, cut before a whole character. Beyond LW_EXPLAIN_LINES: nothing. */
void lw_explain_line(struct lw_explain_result *ret, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* In quotes; cut to fit before a whole character, with "..." then; what a terminal would act on as '?'. */
const char *lw_explain_quote(const void *text, size_t len, char buf[static LW_EXPLAIN_QUOTE_LEN]);

/* `header user-agent is not "xiaoming" (it is "curl")` */
void lw_explain_cond(const struct lw_head *head, const struct lw_step *step, bool held, char *buf,
		     size_t size);
/* Of one header; in_lane: the client's pod is in a lane itself. */
void lw_explain_tell_trace(const struct lw_explain_learned *learned,
			   const struct lw_explain_trace *trace, const char *lane, bool in_lane,
			   struct lw_explain_result *ret);
/* Whether threads and processes count, and why not. */
void lw_explain_tell_tasks(const struct lw_explain_learned *learned, struct lw_explain_result *ret);
/* What that comes to for a process of the same pod that has read no request itself. */
void lw_explain_tell_pod(const struct lw_explain_learned *learned, struct lw_explain_result *ret);
/* Of one process; lanes: "2 gray, 1 base". */
void lw_explain_tell_work(const struct lw_explain_work *work, const char *lanes,
			  struct lw_explain_result *ret);
