/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an agent that was killed left behind: pinned maps, and applications' sockets that its programs still
 * sit on.
 */

#include <stdbool.h>

/*
 * Resets the connections whose request or response was on an upstream socket and not through: these sockets went with
 * the agent. stop: tells those programs that no agent will come, and what they would refuse (--fail-closed) follows its own
 * peer from here on. Does nothing where there is nothing.
 */
void lw_leftover_end(const char *pin_dir, bool stop);
