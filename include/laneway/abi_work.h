/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Which lane the requests are in that a pod is working on: inbound, threads, procs, at_pods, accepted, older_work, older_counts, leaves, traces.
 */
#include "laneway/abi_sockets.h"

/* Instead of a lane: of which lane is not known. */
#define LW_IN_UNKNOWN LW_MAX_LANES

enum lw_in_state {
	LW_IN_FOLLOWED = 0,
	LW_IN_GAP, /* bytes went by unseen: followed again from the next request on */
	LW_IN_LOST, /* no HTTP/1.x, or framing in doubt: for good */
};
struct lw_in_request {
	__u32 end; /* TCP sequence number behind its head */
	__u8 lane; /* of it, or LW_IN_UNKNOWN */
	__u8 expects; /* 1: it has an Expect header, and the first bytes back may be an interim response */
	__u16 pad;
};
LW_ASSERT_SIZE(struct lw_in_request, 8);
#define LW_IN_REQUESTS 4
#define LW_IN_BEHIND (1u << 30) /* no window of TCP is larger (RFC 7323, 2.3): as far behind the application may be in reading */
/* lw_inbound, key: lw_tuple as the pod sees it. A connection that a pod has accepted, as lw_to_pod reads it on its way in. */
struct lw_in {
	__u32 next; /* sequence number of the first byte not seen yet */
	__u8 state; /* enum lw_in_state */
	__u8 split; /* 1: the head at hand is in lw_in_heads; frame.left is how much of it */
	__u16 opening; /* lw_config.openings and its pod's lw_leaf.ends, low bits of the sum, when it was made; another: void, it was not read since */
	__u32 requests; /* heads seen */
	__u32 from; /* sequence number of the first byte since it is followed without a gap, or LW_IN_BEHIND before next */
	struct lw_in_request last[LW_IN_REQUESTS]; /* [(n - 1) % LW_IN_REQUESTS]: the n-th */
	struct lw_frame frame; /* of the request stream */
	__u32 busy; /* 1: a packet of it is being read; one that comes meanwhile, on another CPU, is not */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_in, 72);

/* A thread, or by its leader a process; threads' numbers are used again. */
struct lw_task_key {
	__u64 started; /* task_struct.start_time */
	__u32 tid; /* number of the thread, as a pid */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_task_key, 16);
enum lw_task_flags {
	LW_TASK_HANDS_OVER = 1 << 0, /* one thread has read a request, another has answered it */
	LW_TASK_INTERLEAVES = 1 << 1, /* a thread has read a request before it had answered the one before */
	LW_TASK_LEFT = 1 << 2, /* of pods: a process has ended that has read requests; it may have been the last */
};
/*
 * lw_threads, lw_procs, lw_at_pods: the requests that a thread, any of the process, or any process of a network namespace has read
 * and not answered.
 */
struct lw_task {
	__u32 n[LW_MAX_LANES + 1]; /* how many, [lane]; [LW_IN_UNKNOWN]: that may be in any */
	__u32 total; /* of all lanes; of pods LW_TASK_ENDS: the element is about to be deleted, nothing may be counted there any more */
	__u32 flags; /* enum lw_task_flags; of processes: for good, until another program is executed */
	__u32 proven; /* of processes: answers by the thread that read the request, and called for it, while others were read or answered */
	__u32 turns; /* of processes: how often a request whose lane is known was read or answered */
	__u32 calls; /* of threads: how often it, or a child of it, was seen to send a request; not each time */
	/* for children (bpf/lib/evidence.h): when */
	__u64 since; /* it last had nothing at work, and read something */
	__u64 adopted; /* of processes: a child of another may last have come to it */
	__u64 moved; /* of processes: a child of one of its threads may last have come to another of them */
	__u64 at[LW_MAX_LANES + 1]; /* [lane]: a request of that lane was last read, or answered */
	__u64 netns; /* of processes: cookie of the network namespace where it has last read one */
};
LW_ASSERT_SIZE(struct lw_task, 256);
#define LW_TASK_ENDS 0x80000000u /* or-ed to lw_task.total */
/* As often must a process have shown that a thread works on what it reads, before threads are told apart. */
#define LW_TASK_PROVEN 32

enum lw_accepted_flags {
	LW_ACC_STICKY = 1 << 0, /* counts until its next request: what its bytes mean is not known */
	LW_ACC_EXPECTS = 1 << 1, /* what is sent first may be an interim response */
	LW_ACC_UNCOUNTED = 1 << 2, /* there was no room to count it with its process */
	LW_ACC_FOR_GOOD = 1 << 3, /* counts until the connection ends: which request an answer is for is not followed */
	LW_ACC_NO_THREAD = 1 << 4, /* as LW_ACC_UNCOUNTED, with its thread */
	LW_ACC_NO_POD = 1 << 5, /* likewise with its pod */
	LW_ACC_NOT_POD = 1 << 6, /* nothing to be counted with its pod: it is from the pod itself, or of no interest there */
	LW_ACC_LOOKED = 1 << 7, /* a request has been looked at with MSG_PEEK: counts until it is read */
	LW_ACC_BLIND = 1 << 8, /* read while no lane was open: it need not be a request, and how it is answered shows nothing */
	LW_ACC_LEAF = 1 << 9, /* read while its pod was left alone: counted in lw_leaf.held, and nowhere else */
};
/* What has been sent since a request was read. */
enum lw_accepted_sent {
	LW_SENT_INTERIM = 1 << 0, /* an interim response */
	LW_SENT_BEFORE = 1 << 1, /* the rest of the answer before: the client does not wait for ends */
	LW_SENT_ANSWER = 1 << 2, /* of what counts until the next request (LW_ACC_STICKY): it has been answered, if it was one */
};
/* lw_accepted: sk_storage of every connection that a pod has accepted. */
struct lw_accepted {
	struct lw_tuple tuple; /* as the pod sees it */
	__u32 copied; /* sequence number of the first byte the application has not read */
	struct lw_task_key thread; /* that has read the request at work */
	struct lw_task_key proc; /* its process */
	__u32 held; /* not 0: a request has been read and not answered; its serial. Set after, and taken with, all that is said of it */
	__u32 write_seq; /* of the socket when it was read, or behind the interim response that was sent since, a sequence number */
	__u8 lane; /* of it, or LW_IN_UNKNOWN */
	__u8 fresh; /* 1: how far the application had read before is not known */
	__u16 flags; /* enum lw_accepted_flags */
	__u32 agent; /* lw_config.reads when it was first seen; another: what is held here is void */
	__u32 turn; /* lw_task.turns of the process once the request was read */
	__u16 sent; /* enum lw_accepted_sent, since it was read */
	__u16 unseen; /* 1: it is in lw_at_unseen */
	__u32 serial; /* of the last one that was held */
	__u32 calls; /* lw_task.calls of the thread when it was read */
	__u64 netns; /* cookie of its network namespace; 0: not looked up yet */
};
LW_ASSERT_SIZE(struct lw_accepted, 112);

/*
 * Requests that pods were at work on when the agent came: nobody has seen whose they are. While one of a pod is not answered,
 * work is no evidence there; but not for longer than LW_OLDER_SURE_NS, and where the kernel's clock of 1 to 10 ms does not tell
 * whether the last bytes of a connection came or went, LW_OLDER_DOUBT_NS.
 */
#define LW_OLDER_SURE_NS 60000000000ull
#define LW_OLDER_DOUBT_NS 5000000000ull
/* Until what it counts, at most; an interim response is never it. */
enum lw_older_until {
	LW_OLDER_SENT = 0, /* something is sent */
	LW_OLDER_RESPONSE, /* a response begins: an earlier agent has seen that none had, and what is sent before may be the rest of the one before */
	LW_OLDER_CLOSED, /* the connection ends: an earlier agent has seen more requests than answers on it */
};
/* lw_older_work, by the connection's cookie */
struct lw_older_work {
	__u32 pod; /* index in lw_older_counts */
	__u16 doubt; /* 1: it may have been answered */
	__u16 until; /* enum lw_older_until */
};
LW_ASSERT_SIZE(struct lw_older_work, 8);
/* lw_older_counts: requests of a pod that are not answered yet; the agent and lw_reads add to it atomically */
struct lw_older_count {
	__u64 sure; /* that are at work */
	__u64 doubt; /* that may have been answered */
};
LW_ASSERT_SIZE(struct lw_older_count, 16);

/*
 * lw_leaves, key: cookie of a network namespace. A pod that has called no destination, though it has answered many requests since those that there are
 * were there, is left alone: what arrives there is not read, for nobody would ask what it is at work on. Its first call ends that.
 */
enum lw_leaf_state {
	LW_LEAF_NOT = 0, /* it is read like any other */
	LW_LEAF_ALONE, /* it is left alone */
	LW_LEAF_CALLS, /* it has connected to a destination: read for good */
};
struct lw_leaf {
	__u32 state; /* enum lw_leaf_state */
	__u32 ends; /* how often it has been left alone no more */
	__u64 ended_ns; /* when last; 0: never */
	__u64 held; /* connections on which something was read while it was left alone that is not answered yet */
};
LW_ASSERT_SIZE(struct lw_leaf, 24);

/* lw_traces: of which lane the requests are that arrived at a pod with a trace id. */
#define LW_TRACE_ID_LEN 40
struct lw_trace_key {
	struct lw_addr pod; /* where it arrived */
	__u8 header; /* enum lw_header_id of the header that it was in */
	__u8 len; /* bytes of the id, before it was cut */
	__u8 pad[6];
	char id[LW_TRACE_ID_LEN]; /* zero-filled; of a longer one a hash is in the last 8 bytes */
};
LW_ASSERT_SIZE(struct lw_trace_key, 64);
struct lw_trace {
	__u32 lane; /* of the requests; LW_IN_UNKNOWN: they do not agree */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_trace, 8);
