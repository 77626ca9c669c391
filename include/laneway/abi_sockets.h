/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What is known of sockets: sk, flows (downstream), ups (upstream), fars and connecting (pods' ends), tuples, streams, pools; and of clients that
 * are not enrolled: kept_names, kept.
 */
#include "laneway/abi_base.h"

enum lw_role {
	LW_ROLE_DOWN = 1, /* an application's, to a destination; enrolled once it is established */
	LW_ROLE_UP = 2, /* the agent's, an upstream socket */
	LW_ROLE_FAR = 3, /* a pod's end of an upstream connection, on this node */
	LW_ROLE_CHOSEN = 4, /* not enrolled, but a pod may have been chosen for it */
};
/* Of what connect did. */
enum lw_sk_flags {
	LW_SK_CHOSEN = 1 << 0, /* it put a pod in place of `asked`, which is what the application knows */
	LW_SK_UNKNOWN = 1 << 1, /* it left that to others, who may have chosen a canary: nobody knows which pod it is */
};
/* lw_sk: sk_storage of every socket that takes part; of a downstream socket what connect knew. */
struct lw_sk {
	__u64 cookie; /* its own; LW_ROLE_FAR: of the upstream socket at the other end */
	__u64 netns; /* cookie of the client's network namespace */
	struct lw_addr asked; /* where the application has asked to connect to */
	__u16 asked_port; /* likewise */
	__u16 role; /* enum lw_role; 0: it takes no part any more */
	__u32 pid; /* of who connected */
	__u32 workload; /* lw_workloads id */
	__u32 group; /* lw_groups id */
	__u64 host_pod; /* number of the pod that connected, if that is on the host network (lw_host_pods); 0: its address tells */
	__u32 flags; /* enum lw_sk_flags */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_sk, 64);

/* Where the framing of one direction stands; shared code in http.h. */
enum lw_frame_state {
	LW_FRAME_HEAD = 0, /* a head is due */
	LW_FRAME_LENGTH, /* `left` body bytes are due */
	LW_FRAME_CHUNKED, /* within a chunked body, `chunk` says where */
	LW_FRAME_CLOSE, /* until end of file */
	LW_FRAME_LOST, /* not understood: opaque */
};
struct lw_frame {
	__u64 left; /* body or chunk bytes still due */
	__u8 state; /* enum lw_frame_state */
	__u8 chunk; /* enum lw_chunk_state, http.h */
	__u8 digits; /* seen of the chunk size at hand */
	__u8 pad[5];
};
LW_ASSERT_SIZE(struct lw_frame, 16);

enum lw_route {
	LW_ROUTE_PEER = 0, /* the downstream socket's own peer */
	LW_ROUTE_UP = 1, /* upstream socket ups[up] */
	LW_ROUTE_PUNT = 2, /* by the agent, until it has bound ups[up] */
};
enum lw_flow_flags {
	LW_FLOW_OPAQUE = 1 << 0, /* stays on its route for good */
	LW_FLOW_UPGRADE = 1 << 1, /* the last request asked for an upgrade */
	LW_FLOW_SENT = 1 << 2, /* sent_seq is valid */
	LW_FLOW_CORKED = 1 << 3, /* the kernel has held a piece of a head back once */
	LW_FLOW_FIN_SENT = 1 << 4, /* the application has closed its sending side */
	LW_FLOW_EXPECTS = 1 << 5, /* the last request has an Expect header: an interim response may come before its body's end */
};

/* Instead of a lane: of none, and for one request at most. */
#define LW_LANE_ONCE 0xffff
struct lw_flow_up {
	__u64 up; /* cookie of the upstream socket; 0: free, or the agent opens it (LW_ROUTE_PUNT) */
	struct lw_addr addr; /* of the pod */
	__u16 port; /* likewise */
	__u16 lane; /* whose requests it is for; LW_LANE_ONCE: for one request alone */
	__u32 uid_hash; /* lw_pod.uid_hash when the pod was chosen; 0: it had no row */
};
LW_ASSERT_SIZE(struct lw_flow_up, 32);

/* lw_flows, key: the downstream socket's cookie. Written by the programs, read by the agent. */
struct lw_flow {
	struct lw_addr client; /* address of the downstream socket */
	struct lw_addr asked; /* address the application connected to */
	struct lw_addr peer; /* pod it is connected to */
	__u16 client_port; /* of these three */
	__u16 asked_port;
	__u16 peer_port;
	__u16 flags; /* enum lw_flow_flags */
	__u64 netns; /* cookie of the client's network namespace */
	__u64 host_pod; /* lw_sk.host_pod */
	__u32 pid; /* process that connected */
	__u32 workload; /* lw_workloads id, as of gen; 0: none */
	__u32 group; /* lw_groups id, likewise */
	__u8 route; /* enum lw_route of the current or last request */
	__u8 up; /* index in ups for LW_ROUTE_UP, LW_ROUTE_PUNT */
	__u8 lane; /* of the last request */
	__u8 evidence; /* enum lw_evidence of the last request */
	__u8 reason; /* enum lw_reason of the last request or of opaqueness */
	__u8 untrusted; /* as of gen: the client's pod has LW_POD_UNTRUSTED */
	__u16 pieces; /* pieces so far of the head that is arriving */
	__u32 held_seq; /* write_seq of the socket as the kernel was asked to hold it back */
	__u64 requests; /* heads seen */
	__u64 since_ns; /* when it was enrolled */
	struct lw_frame frame; /* of the request stream */
	__u32 sent_seq; /* write_seq of the route's socket once the last send has gone out whole */
	__u32 skip; /* bytes followed already that the kernel did not take: the application sends them again */
	__u32 rcv_seq; /* rcv_nxt of the downstream socket at the end of the last request */
	__u32 entry; /* lw_workload.entry, as of gen */
	__u64 sk; /* kernel address of the socket: lw_backlog looks at its queue */
	__u64 gen; /* generation that entry, workload_hash and the lanes below are of */
	__u32 workload_hash; /* lw_workload.name_hash */
	__u32 base_ok; /* base requests without evidence that lw_stats does not hold yet */
	__u8 punt_to; /* lw_punt_sock key: the agent that has the request */
	__u8 header; /* enum lw_header_id of what the evidence was read in; 0: in none */
	__u8 calls; /* 1: lw_leaves says that its network namespace calls, and nothing is at work there any more that nobody has seen arriving */
	__u8 pad2;
	__u32 punt_written; /* messages of it that the agent is about to write whole; set by it */
	/* written by others while lw_msg writes flags */
	__u8 fin_held; /* 1: the own peer has closed; tc kept that back while a response was due */
	__u8 noticed; /* enum lw_keep: the application has done what this kernel gets wrong: opaque from the next request on */
	__u8 peer_unknown; /* 1: LW_SK_UNKNOWN */
	__u8 peer_base; /* 1: as of gen, the own peer takes base requests as well as its lane's (LW_POD_BASE) */
	__u16 peer_lane; /* lane of the own peer; LW_LANE_ONCE: it is for no new request */
	__u16 own_lane; /* lane of the client's pod */
	__u64 punt; /* id << 32 | messages punted << 1 | 1 while the agent holds request id; 0 otherwise */
	__u64 punt_bytes; /* bytes of the request, punted and not written to its upstream socket yet, as far as the agent has said */
	/* written by lw_sockops as an upstream socket ends */
	__u64 ended_up; /* cookie of the last that did */
	__u32 ended_seq; /* its write_seq, behind the last byte that it took */
	__u32 pad3;
	struct lw_flow_up ups[LW_FLOW_UPS];
};
LW_ASSERT_SIZE(struct lw_flow, 344);

enum lw_up_flags {
	LW_UP_DEAD = 1 << 0, /* FIN or RST seen, or closed */
	LW_UP_ORPHAN = 1 << 1, /* its downstream socket is gone: late bytes are dropped */
	LW_UP_TUNNEL = 1 << 2, /* 101, or CONNECT: bytes both ways from here on */
	LW_UP_OPAQUE = 1 << 3, /* its downstream socket is opaque on this route: responses are not followed */
	LW_UP_CLOSING = 1 << 4, /* the last request, or response, said that the connection ends with it */
	LW_UP_FIN_SENT = 1 << 5, /* its end of file has been sent on to the downstream socket */
	LW_UP_RELAY = 1 << 6, /* its reader is slow: bytes stay here, and the agent takes them over at the reader's pace */
	LW_UP_REQ_WIRE = 1 << 7, /* bytes of requests have gone over the connection, and may not have been read yet */
	LW_UP_RESP_WIRE = 1 << 8, /* likewise of responses */
	LW_UP_GONE = 1 << 9, /* the agent has closed it: as good as no row, which it soon is */
	LW_UP_CUT = 1 << 10, /* a part of a response has been dropped: nothing that comes goes on, and the client is reset */
	LW_UP_RESET = 1 << 11, /* it ended without a FIN: where that would be what ends a response, bytes of it are missing */
};
/* lw_ups, key: the upstream socket's cookie. Made by the agent, then written by the programs. */
struct lw_up {
	__u64 self; /* the key: tells who looked it up that the element has not been given to another since */
	__u64 down; /* cookie of the downstream socket it belongs to; 0: waiting in a pool */
	__u64 netns; /* cookie of the client's network namespace, in which it was opened */
	struct lw_addr addr; /* of the pod */
	__u16 port; /* likewise; 0: the other end is the agent's own, which answers itself or relays */
	__u16 pad;
	__u32 flags; /* enum lw_up_flags */
	__u32 req_seq; /* requests sent; written by lw_msg only */
	__u32 resp_seq; /* final responses ended; written by lw_reply and lw_far_msg, whichever has the bytes */
	__u32 head_bits; /* bit (n % 32): request n was HEAD */
	__u32 passed_req; /* bytes that took the bypass since the pod had read all of them; written by lw_msg only */
	__u32 passed_resp; /* likewise of responses, and the downstream socket; written by lw_far_msg only */
	__u32 agent; /* lw_config.agent of the one that opened it: no other's may be given a request */
	__u64 bytes; /* of responses, so far */
	__u64 looked; /* bytes when the reader's backlog was last looked at */
	__u64 sk; /* kernel address of the socket, once used: lw_msg reads its write_seq there */
	__u64 reply_sk; /* likewise, once bytes have come: the FIN guard looks whether more are being taken from it */
	__u64 passed_ns; /* when bytes of a response last took the bypass, by CLOCK_MONOTONIC_COARSE; 0: never */
	struct lw_frame frame; /* of the response stream */
	__u64 scan_state[8]; /* struct lw_scan, http.h */
};
LW_ASSERT_SIZE(struct lw_up, 192);
/* Has it a request that is not answered in full? */
static inline __attribute__((always_inline)) int lw_up_is_due(const struct lw_up *up)
{
	return up->req_seq != up->resp_seq;
}

/* lw_tuples: an enrolled connection as tc sees it, for the FIN guard. lw_connecting: as the pod sees it. */
struct lw_tuple {
	struct lw_addr local; /* of the end that it is seen from */
	struct lw_addr peer; /* of the other */
	__u16 local_port; /* of these two */
	__u16 peer_port;
};
LW_ASSERT_SIZE(struct lw_tuple, 36);

/* lw_fars, key: an upstream socket's cookie. The pod's end of its connection is on this node, in lw_far_socks. */
struct lw_far {
	__u64 sk; /* kernel address of the pod's socket; read only, and only what a wrong answer could not hurt */
	__u64 up_sk; /* kernel address of the upstream socket */
	__u64 netns; /* cookie of the pod's network namespace */
	__u32 spliced; /* lw_config.spliced, when it was last looked whether somebody splices there */
	__u32 kept; /* 1: somebody does, and requests take the connection */
};
LW_ASSERT_SIZE(struct lw_far, 32);

/* lw_connecting, key: lw_tuple as the pod sees it. An upstream socket on its way to its pod. */
struct lw_connecting {
	__u64 up; /* its cookie */
	__u64 sk; /* its kernel address */
};
LW_ASSERT_SIZE(struct lw_connecting, 16);

/* lw_streams, key: cookie of a socket that carries a verdict program. What has arrived at it. */
struct lw_stream {
	__u32 next; /* TCP sequence number behind the last byte that the program was given */
	__u32 twice; /* bytes yet to be taken off, for they came twice. Not 0 for good: it failed, nothing is delivered any more */
};
LW_ASSERT_SIZE(struct lw_stream, 8);

/* lw_pools: fresh upstream sockets. The agent fills through lw_pool_put, lw_msg takes. */
struct lw_pool_key {
	__u64 netns; /* cookie of the clients' network namespace */
	struct lw_addr addr; /* of the pod */
	__u16 port; /* likewise */
	__u16 pad[3];
};
LW_ASSERT_SIZE(struct lw_pool_key, 32);
struct lw_pool {
	__u64 up[LW_POOL_SLOTS]; /* cookies; 0: empty */
	/* for who looks at the map: no program and no agent reads these */
	__u64 takes; /* requests that got one here */
	__u64 misses; /* requests that found none */
};
LW_ASSERT_SIZE(struct lw_pool, 528);

/* ---- clients that are not enrolled: lw_kept_names, lw_kept ---- */

enum lw_keep {
	LW_KEEP_FIONREAD = 1 << 0, /* asks ioctl(FIONREAD) */
	LW_KEEP_SPLICE = 1 << 1, /* reads with splice(2) */
	LW_KEEP_NAME = 1 << 2, /* is on the list of programs */
	LW_KEEP_MEMORY = 1 << 3, /* not for what it does: TCP has next to no memory left (LW_CONF_TCP_SHORT) */
};

/* Key of lw_kept_names, as in /proc/PID/comm, zeros behind. Value: __u32, LW_KEEP_NAME. */
struct lw_kept_name {
	char comm[16]; /* of the process's first thread */
};
LW_ASSERT_SIZE(struct lw_kept_name, 16);

/* Key of lw_kept: a process. */
struct lw_kept_key {
	__u64 started; /* task_struct.start_time: pids are used again */
	__u32 pid;
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_kept_key, 16);

struct lw_kept {
	__u64 since_ns; /* when it was noticed */
	__u64 connections; /* how many were not enrolled */
	__u32 why; /* enum lw_keep */
	char comm[16]; /* its name then */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_kept, 40);
