/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* What passes between the agent and the programs beside maps: arguments of those it runs itself, and frames of punted requests. */
#include "laneway/abi_sockets.h"

/* lw_pool_put: 0: put; 1: the pool has `max` already, or there is none. lw_pool_drop, of which max is nothing: 0: taken out; 1: it was not there */
struct lw_pool_put_args {
	struct lw_pool_key key; /* of the pool */
	__u64 up; /* cookie of the upstream socket */
	__u32 max; /* 1..LW_POOL_SLOTS */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_pool_put_args, 48);
/*
 * lw_bind: gives a punted request's downstream socket its upstream socket. First with seq 0, before anything is
 * written there: from then on the response may arrive. Then with the number of messages written: the rest goes without the
 * agent. With `written` it only notes that so many are about to be. 0: done; 1: more than seq messages have been punted, write
 * these first; 2: no such flow, or none of its requests is with the agent.
 */
struct lw_bind_args {
	__u64 down; /* cookies */
	__u64 up;
	__u32 seq; /* messages written to the upstream socket; 0: none yet */
	__u32 id; /* lw_punt.id of the request */
	struct lw_addr addr; /* of the pod that it is connected to */
	__u16 port; /* likewise */
	__u16 lane; /* LW_LANE_ONCE: for this request only */
	__u32 written; /* 1: seq is of lw_flow.punt_written alone */
	__u64 bytes; /* bytes written since the last call: they wait in the agent no more */
};
LW_ASSERT_SIZE(struct lw_bind_args, 56);
/* lw_up_mark: sets flags. 0, or 1: no such upstream socket */
struct lw_up_mark_args {
	__u64 up; /* cookie */
	__u32 flags; /* enum lw_up_flags to set */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_up_mark_args, 16);
/* lw_backlog: steered packets that wait on their way into a downstream socket; -1: no such flow */
struct lw_backlog_args {
	__u64 down; /* cookie */
};
LW_ASSERT_SIZE(struct lw_backlog_args, 8);
/* lw_leave: of a downstream socket that is to be left to TCP, as that is short of memory. 0: done, 1: not, or no such flow */
enum lw_leave {
	LW_LEAVE_ASK, /* its next head takes the own peer; 0: that was said before, and nothing of it is under way elsewhere */
	LW_LEAVE_NOT, /* it was asked, and may stay */
	LW_LEAVE_LEFT, /* it is in lw_down_socks no more */
};
struct lw_leave_args {
	__u64 down; /* cookie */
	__u32 what; /* enum lw_leave */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_leave_args, 16);
/* lw_leaf_set: of a pod that does not call. 0: done; 1: it calls; 2: there is no such row, or no room for one */
struct lw_leaf_args {
	__u64 netns; /* the pod's cookie */
	__u32 state; /* LW_LEAF_ALONE, or LW_LEAF_NOT */
	__u32 forget; /* 1: nothing is held there, as who has counted it is gone: of those that call, too */
};
LW_ASSERT_SIZE(struct lw_leaf_args, 16);
/* lw_unseen: of the pod in the network namespace of that cookie not all requests are seen being read (lw_at_unseen), for good */
struct lw_unseen_args {
	__u64 netns; /* that cookie */
};
LW_ASSERT_SIZE(struct lw_unseen_args, 8);

/* Before every punted message on the agent's punt socket. */
#define LW_PUNT_MAGIC 0x6c776e70756e7431ull
enum lw_punt_flags {
	LW_PUNT_IS_HEAD = 1 << 0, /* the request is a HEAD */
	LW_PUNT_OPAQUE = 1 << 1, /* the connection has become opaque on this route */
	LW_PUNT_CLOSES = 1 << 2, /* the request says that the connection ends with its answer */
};
struct lw_punt {
	__u64 magic; /* LW_PUNT_MAGIC */
	__u64 down; /* cookie of the downstream socket */
	__u64 netns; /* cookie of the client's network namespace */
	__u32 seq; /* which message of its request: 1, 2 ... */
	__u32 id; /* of the request, different from others of this connection */
	struct lw_addr addr; /* wanted endpoint */
	__u16 port; /* likewise */
	__u16 lane; /* that it was chosen for */
	__u32 len; /* bytes that follow */
	__u32 pid; /* process that connected */
	__u32 flags; /* enum lw_punt_flags */
};
LW_ASSERT_SIZE(struct lw_punt, 64);
