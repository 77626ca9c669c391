/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Hints to the agent. Losing one costs time, never correctness: the agent sweeps. */
#include "lib/maps.h"

static __always_inline void lw_emit(__u32 type, __u64 down, __u64 up, const struct lw_flow *f,
				    const struct lw_flow_up *fu)
{
	struct lw_event e = { .type = type, .down = down, .up = up };

	if (f) {
		e.pid = f->pid;
		e.netns = f->netns;
	}
	if (fu) {
		e.addr = fu->addr;
		e.port = fu->port;
		e.lane = fu->lane;
	}
	bpf_ringbuf_output(&lw_events, &e, sizeof(e), 0);
}
