/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an agent that was killed left behind: pinned maps, and applications' sockets that its programs still
 * sit on.
 */

#include <stdbool.h>
#include <stdint.h>

struct lw_kern;

/*
 * Resets the connections whose request or response was on an upstream socket and not through: these sockets went with
 * the agent. stop: tells those programs that no agent will come, and what they would refuse (--fail-closed) follows its own
 * peer from here on. Does nothing where there is nothing. kern: as below; NULL: there is none.
 */
void lw_leftover_end(const char *pin_dir, bool stop, struct lw_kern *kern);

/* Maps that are gone on with. */
struct lw_left {
	struct lw_kern *kern; /* gives signs of life meanwhile, if it does at all */
	int flows, ups, streams;
	uint32_t agent; /* whose upstream sockets are not left over; 0: all are */
};
/* The same for these: clients are reset, and upstream sockets that went with earlier agents forgotten. */
void lw_leftover_retire(const struct lw_left *left);
