/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Who runs `laneway trace`: each is a stream of the control socket with a filter of its own. The kernel side is told what any
 * of them wants, and nothing is when there is none. A tracer that is slow loses hops; they are counted.
 *
 * A tracer is sent {"data": {...}} once, then {"hop": {...}}, and {"lost": {"ring": N, "reader": N}} whenever that
 * has changed, and at its end: what it has lost so far because more came than the agent took, and because it did not
 * read.
 */
#include <stdbool.h>

#define LW_TRACERS_MAX 16

struct ev_loop;
struct lw_control_stream;
struct lw_hops;
struct lw_image;
struct lw_model;
struct lw_seen;
struct lw_tracers;

struct lw_tracers_options {
	struct ev_loop *loop;
	struct lw_hops *const *hops; /* *hops NULL: nothing is steered on this kernel, or not yet */
	const struct lw_image *const *image; /* in force; *image may be NULL */
	const struct lw_seen *seen;
	const struct lw_model *model; /* knows clients that are in no release */
};

/* All that is named must outlive it. 0 or -ENOMEM. */
int lw_tracers_new(const struct lw_tracers_options *options, struct lw_tracers **ret);
/* Takes NULL, sets NULL. All streams have ended. */
void lw_tracers_free(struct lw_tracers **tracers);

/* As stream_begin and stream_end of control.h. */
bool lw_tracers_begin(struct lw_tracers *tracers, struct lw_control_stream *stream,
		      const char *request, char **ret_reply);
void lw_tracers_end(struct lw_tracers *tracers, struct lw_control_stream *stream);
