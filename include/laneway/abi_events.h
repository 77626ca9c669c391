/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What programs tell: counters in lw_stats, and the ring buffers lw_events and lw_hops. */
#include "laneway/abi_base.h"

/* lw_stats, per CPU, key lw_stat_key. */
struct lw_stat_key {
	__u16 lane; /* that the request is in */
	__u8 evidence; /* enum lw_evidence */
	__u8 reason; /* enum lw_reason */
	__u32 workload_hash; /* lw_workload.name_hash; 0: none is told */
};
LW_ASSERT_SIZE(struct lw_stat_key, 8);
struct lw_stat {
	__u64 count; /* how often */
};
LW_ASSERT_SIZE(struct lw_stat, 8);

/* ---- ring buffer lw_events: hints to the agent; a lost one is made up for by its periodic sweep ---- */

enum lw_event_type {
	LW_EVENT_TAKEN = 1, /* an upstream socket left a pool: refill */
	LW_EVENT_DOWN_CLOSED = 2, /* close its upstream sockets */
	LW_EVENT_UP_DEAD = 3, /* an upstream socket closed; end or reset its downstream socket if a response is due */
	LW_EVENT_UP_RELEASED = 4, /* an upstream socket left its downstream socket: close it */
	LW_EVENT_DOWN_FIN = 5, /* the client has closed its sending side: so are its upstream sockets' to be */
	LW_EVENT_RELAY = 6, /* an upstream socket has got LW_UP_RELAY */
};
struct lw_event {
	__u32 type; /* enum lw_event_type */
	__u32 pid; /* lw_flow.pid; likewise netns. 0 of LW_EVENT_UP_DEAD and LW_EVENT_RELAY */
	__u64 down; /* cookie of the downstream socket; 0: none */
	__u64 up; /* cookie of the upstream socket; 0 of LW_EVENT_DOWN_CLOSED and LW_EVENT_DOWN_FIN */
	__u64 netns;
	struct lw_addr addr; /* lw_flow_up.addr, of LW_EVENT_TAKEN and LW_EVENT_UP_RELEASED alone; likewise port and lane */
	__u16 port;
	__u16 lane;
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_event, 56);

/* ---- ring buffer lw_hops: what `laneway trace` shows, while somebody does ---- */

/* One request, as it was sent on. */
struct lw_hop {
	__u64 at_ns; /* when that was */
	__u64 down; /* cookie of the connection it came on */
	struct lw_addr client; /* and client_port: of who has sent it */
	struct lw_addr asked; /* and asked_port: where that has asked to connect to */
	struct lw_addr pod; /* and pod_port: that it was sent to; all zero: to none, it was refused */
	__u16 client_port;
	__u16 asked_port;
	__u16 pod_port;
	__u16 lane;
	__u8 evidence; /* enum lw_evidence */
	__u8 reason; /* enum lw_reason */
	__u8 route; /* enum lw_route */
	__u8 trace_header; /* enum lw_header_id of the header that the trace id is from; 0: there is none */
	__u32 pid; /* process that connected */
	__u32 workload_hash; /* lw_workload.name_hash */
	__u32 dice; /* random: who wants one of N takes those up to the N-th part of all numbers */
	__u32 line_len; /* bytes of "METHOD target"; line holds the first of them */
	__u16 trace_len; /* bytes of the trace id, up to LW_TRACE_VALUE_MAX; trace holds the first of them */
	__u8 header; /* as of a flow: what decided, which need not be trace_header */
	__u8 pad;
	char line[LW_HOP_LINE]; /* as it stands in the head; zero-filled */
	char trace[LW_HOP_TRACE]; /* as it stands in the header, without what changes from hop to hop (trace.h) */
};
LW_ASSERT_SIZE(struct lw_hop, 96 + LW_HOP_LINE + LW_HOP_TRACE);
