/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Keys, values and events shared by the kernel programs and the agent, and read by bpftool.
 *
 * Conventions. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. Ports are in host order, as all numbers are. Times are
 * CLOCK_MONOTONIC nanoseconds. A cookie is the kernel's number for a socket (SO_COOKIE), and for a network namespace (SO_NETNS_COOKIE). A pid is the
 * number of a process in the host's PID namespace. Lane 0 is base. Padding is spelled out and zero.
 *
 * Generations. The state of a rollout lives in the maps whose key starts with `slot`. There are two
 * slots; lw_config.generation & 1 names the one in force. The agent writes the idle slot in full, then
 * stores the next generation: a decision, which reads the generation once, sees all of one state.
 */
#include <linux/types.h>

#include "laneway/limits.h"

#define LW_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded" /* what is not spelled out would be left unwritten */

struct lw_addr {
	__u8 ip[16]; /* the first byte first */
};
LW_ASSERT_SIZE(struct lw_addr, 16);

/* ---- configuration: lw_config, one element, mmapped by the agent ---- */

enum lw_config_flags {
	LW_CONF_FAIL_CLOSED = 1 << 0, /* a miss refuses the request instead of following the own peer */
	LW_CONF_PREFER_LOCAL = 1 << 1, /* choose pods of this node where there are any */
	LW_CONF_NATIVE_VERDICT = 1 << 2, /* downstream sockets carry the pass-all verdict too */
	LW_CONF_STOPPED = 1 << 3, /* the agent has ended: requests follow the own peer, untouched */
	LW_CONF_BYPASS = 1 << 4, /* between sockets of this node steered bytes need no TCP */
	LW_CONF_NO_PUNT = 1 << 5, /* the agent can open no upstream socket for now, or is about to end: nothing is handed to it */
	LW_CONF_KEEPS_OUT = 1 << 6, /* there are programs or processes that are not enrolled: look for them */
	LW_CONF_INBOUND = 1 << 7, /* a lane is open: requests that arrive at pods are read */
	LW_CONF_READS = 1 << 8, /* the hooks of lw_reads are there: what each thread is working on is known */
	LW_CONF_OLDER = 1 << 9, /* lw_older is not empty */
	LW_CONF_KEEPS_PODS = 1 << 10, /* lw_kept_pods is not empty: look for the client's address */
	LW_CONF_HOST_PODS = 1 << 11, /* lw_host_pods is not empty */
	LW_CONF_POD_EVIDENCE = 1 << 12, /* what all of a pod is working on is evidence for those of its processes that read no requests */
	LW_CONF_TCP_SHORT = 1 << 13, /* TCP has next to no memory left: nothing is enrolled, and steered bytes keep to TCP */
	LW_CONF_WIRE_REQUESTS = 1 << 14, /* with LW_CONF_BYPASS: requests need TCP all the same, as who reads them and asks FIONREAD would be told of none */
};

struct lw_config {
	__u32 abi; /* LW_ABI_VERSION */
	__u32 flags; /* enum lw_config_flags */
	__u64 generation; /* of the state in force; 0: no state yet, nothing is enrolled */
	__u64 heartbeat_ns; /* last sign of life of the agent */
	__u64 heartbeat_max_ns; /* nanoseconds; the last one longer ago: the agent is taken for dead, nothing is punted */
	__u32 down_rcvbuf; /* receive buffer of downstream sockets, bytes; 0: left to the kernel */
	__u32 down_sndbuf; /* likewise send buffer */
	__u32 agent; /* number of the agent at work: 1, and one more for each that has taken these maps over, or left them to the next */
	__u32 other_pid; /* pid of an agent of another build that is still at work; its sockets are no clients'; 0: none */
	__u32 reads; /* number of the hooks that count what threads are at work on: what others counted is void. 0: none do */
	__u32 hop_sample; /* of the requests traced, those whose lw_hop.dice is no more than this */
	__u64 since; /* the agent's first generation: ids of workloads and groups of earlier ones mean nothing */
	__u64 netns; /* cookie of the agent's network namespace: the node's own, not a pod's */
	__u32 hop_lanes; /* bit n: requests of lane n are told in lw_hops; 0: nobody traces */
	__u32 hop_workload; /* of these, only those to this one (lw_workload.name_hash); 0: to any */
	__u32 openings; /* how often LW_CONF_INBOUND was set: what is known of connections from before is void */
	__u32 reads_last; /* the last number that `reads` has been, whatever became of that agent: none is given twice */
	__u32 spliced; /* by the programs: how many network namespaces have come into lw_spliced */
	__u32 pad;
	__u64 older_ns; /* when the agent looked which requests pods were at work on already; 0: not yet, or they were on none */
};
LW_ASSERT_SIZE(struct lw_config, 104);

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

/* ---- state of one generation ---- */

struct lw_slot_key {
	__u32 slot; /* generation & 1 */
	__u32 id; /* of a workload, lane, step, rule or automaton */
};
LW_ASSERT_SIZE(struct lw_slot_key, 8);

enum lw_dest_flags {
	LW_DEST_SERVICE = 1 << 0, /* a ClusterIP: a pod is chosen at connect */
	LW_DEST_UNPINNED = 1 << 1, /* its selector names no revision: whoever else chooses a pod may choose a canary */
	LW_DEST_STICKY = 1 << 2, /* sessionAffinity: ClientIP: whoever else chooses has sessions of ours */
};

/* lw_dests: where a client may connect to. Looked up with the port, then with port 0 (any port). */
struct lw_dest_key {
	struct lw_addr addr;
	__u32 slot; /* generation & 1 */
	__u16 port; /* 0: any */
	__u16 pad;
};
struct lw_dest {
	__u32 workload; /* lw_workloads id */
	__u32 group; /* lw_groups id: the endpoints that serve this destination */
	__u32 flags; /* enum lw_dest_flags */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_dest, 16);

enum lw_pod_flags {
	LW_POD_READY = 1 << 0, /* as Kubernetes says */
	LW_POD_TERMINATING = 1 << 1, /* running requests finish, no new one is steered here */
	LW_POD_LOCAL = 1 << 2, /* on this node */
	LW_POD_UNTRUSTED = 1 << 3, /* tags on its requests count for nothing, and are taken off */
	LW_POD_OLD = 1 << 4, /* of the version that all are taken off: its lane is for what it is sent, what it sends is base's */
	LW_POD_BASE = 1 << 5, /* of a lane, and takes base requests, too: its step replaces all pods */
};
/* Of what a pod sends by itself. */
#define lw_pod_own_lane(pod) ((pod)->flags & LW_POD_OLD ? 0 : (pod)->lane)

/*
 * A pod of this node's host network has no address of its own: it is told by the cgroup of who connects (lw_host_pods). In lw_pods and
 * lw_kept_pods it is at an address that nobody has (RFC 6666), made of a number for its uid.
 */
static inline __attribute__((always_inline)) void lw_host_pod_addr(struct lw_addr *a, __u64 pod)
{
	__u32 *w = (__u32 *)a->ip;

	w[0] = 0;
	w[1] = 0;
	w[2] = (__u32)(pod >> 32);
	w[3] = (__u32)pod;
	a->ip[0] = 1;
}

/* lw_pods: every IP of every pod of a workload in release. */
struct lw_pod_key {
	struct lw_addr addr;
	__u32 slot; /* generation & 1 */
};
struct lw_pod {
	__u32 workload; /* lw_workloads id; 0: none in the state, it is there for its flags */
	__u16 lane; /* that it is in */
	__u16 flags; /* enum lw_pod_flags */
	__u32 uid_hash; /* tells a pod from a later one with the same address */
	char name[LW_NAME_LEN]; /* namespace/name, cut to fit; ends with NUL */
};
LW_ASSERT_SIZE(struct lw_pod, 76);

/* lw_workloads, key lw_slot_key. */
struct lw_workload {
	__u32 entry; /* first lw_steps id of its entry rules; 0: none */
	__u32 name_hash; /* lw_name_hash() of name: names the workload in lw_stats across generations */
	char name[LW_SOURCE_LEN]; /* namespace/kind/name, cut to fit; ends with NUL */
};
LW_ASSERT_SIZE(struct lw_workload, 136);

/* FNV-1a of a NUL-terminated name. */
static inline __u32 lw_name_hash(const char *name)
{
	__u32 h = 2166136261u;

	for (; *name; name++)
		h = (h ^ (__u8)*name) * 16777619u;
	return h;
}

/* lw_lanes, key lw_slot_key with id = lane. Lane 0 is not in the map. */
struct lw_lane {
	__u16 block_len; /* bytes of block that are the tag's line, a multiple of 8 */
	__u16 baggage_len; /* bytes of block behind these, likewise: the baggage's line; 0: none is put on */
	__u32 pad;
	char name[LW_LANE_NAME_LEN]; /* ends with NUL */
	__u8 block[LW_BLOCK_LEN]; /* "x-mse-tag:  gray\r\n": blanks after the colon fill it to 8 bytes */
};

/* lw_tags: which lane a tag's value names. */
struct lw_tag_key {
	__u32 slot; /* generation & 1 */
	__u16 header; /* enum lw_header_id of the tag's header */
	__u16 len; /* bytes of value */
	char value[LW_TAG_VALUE_LEN]; /* zero-filled */
};
struct lw_tag {
	__u32 lane; /* that it names */
};
LW_ASSERT_SIZE(struct lw_tag, 4);

/* lw_groups: the ready endpoints, by lane, of one destination. Absent: none. */
struct lw_group_key {
	__u32 slot; /* generation & 1 */
	__u32 group; /* lw_dest.group */
	__u32 lane; /* that they serve */
};
LW_ASSERT_SIZE(struct lw_group_key, 12);
enum lw_group_flags {
	LW_GROUP_STICKY = 1 << 0, /* a client keeps its endpoint, as long as that is there */
};
struct lw_group {
	__u32 count; /* how many: lw_endpoints idx 0..count-1 */
	__u32 local; /* of these, on this node: idx 0..local-1 */
	__u32 flags; /* enum lw_group_flags */
	__u32 pad;
};
LW_ASSERT_SIZE(struct lw_group, 16);
struct lw_endpoint_key {
	__u32 slot; /* generation & 1 */
	__u32 group; /* as of lw_groups, likewise lane */
	__u32 lane;
	__u32 idx; /* 0..lw_group.count-1 */
};
LW_ASSERT_SIZE(struct lw_endpoint_key, 16);
struct lw_endpoint {
	struct lw_addr addr; /* of the pod */
	__u16 port; /* 0: the port the client asked for */
	__u16 pad;
};
LW_ASSERT_SIZE(struct lw_endpoint, 20);

/* ---- entry rules: a decision list ---- */

/* Ids of header names, as the automaton lw_names tells them. */
enum lw_header_id {
	LW_HDR_OTHER = 0,
	LW_HDR_CONTENT_LENGTH = 1,
	LW_HDR_TRANSFER_ENCODING = 2,
	LW_HDR_UPGRADE = 3,
	LW_HDR_COOKIE = 4,
	LW_HDR_CONNECTION = 5,
	LW_HDR_EXPECT = 6,
	LW_HDR_BAGGAGE = 7, /* with --baggage */
	LW_HDR_TAG_FIRST = 8, /* 8..15: header names of lane tags */
	LW_HDR_TAG_LAST = 15,
	LW_HDR_TRACE_FIRST = 16, /* 16..21: what carries a trace id, trace.h */
	LW_HDR_TRACEPARENT = 16,
	LW_HDR_B3 = 17,
	LW_HDR_B3_TRACE_ID = 18,
	LW_HDR_SW8 = 19,
	LW_HDR_UBER_TRACE_ID = 20,
	LW_HDR_REQUEST_ID = 21,
	LW_HDR_TRACE_LAST = 21,
	LW_HDR_WATCHED_FIRST = 24, /* names in entry rules and modifiers */
	LW_HDR__MAX = 256,
};

enum lw_subject {
	LW_SUBJECT_HEADER = 1, /* first header with header_id */
	LW_SUBJECT_COOKIE = 2, /* first cookie called name */
	LW_SUBJECT_QUERY = 3, /* first query parameter called name, not decoded */
	LW_SUBJECT_PATH = 4, /* the target up to '?' or '#', not decoded */
	LW_SUBJECT_DICE = 5, /* true for weight_pct of 100 requests */
};
enum lw_op {
	LW_OP_EXACT = 1,
	LW_OP_REGEX = 2, /* dfa; the whole value must match */
	LW_OP_PREFIX = 3, /* Kubernetes PathPrefix: whole path elements */
};

#define LW_STEP_END 0u /* on_match, on_miss: no rule holds */
#define LW_STEP_ENTER 0x80000000u /* or-ed with a lw_rules id: this rule holds */

/* lw_steps, key lw_slot_key, id >= 1. One condition and where to go on from it. */
struct lw_step {
	__u8 subject; /* enum lw_subject */
	__u8 op; /* enum lw_op */
	__u16 header_id; /* enum lw_header_id; of LW_SUBJECT_HEADER alone */
	__u16 name_len; /* bytes of name */
	__u16 value_len; /* bytes of value */
	__u32 weight_pct; /* 0..100; of LW_SUBJECT_DICE alone */
	__u32 dfa; /* lw_dfas id; of LW_OP_REGEX alone */
	__u32 on_match; /* a step id, LW_STEP_END, or LW_STEP_ENTER | rule */
	__u32 on_miss; /* likewise */
	char name[LW_STEP_NAME_LEN]; /* of the cookie or parameter; zero-filled */
	char value[LW_STEP_VALUE_LEN]; /* to compare with; likewise */
};
LW_ASSERT_SIZE(struct lw_step, 4376);

/* lw_rules, key lw_slot_key: what entering by this rule means. */
struct lw_rule {
	__u16 lane; /* that is entered */
	__u16 block_len; /* bytes of block but the baggage's, a multiple of 8; the tag's line is among them */
	__u16 nremove; /* elements of remove */
	__u16 remove[LW_MODS_REMOVE]; /* lw_header_id of lines to take away first (remove, and set) */
	__u16 baggage_len; /* lw_lane.baggage_len */
	char source[LW_SOURCE_LEN]; /* "TrafficRouting default/mse-traffic match 1", cut to fit; ends with NUL */
	__u8 block[LW_BLOCK_LEN]; /* lines to put on, as lw_lane.block */
};

/* lw_dfas, key lw_slot_key: one regular expression over bytes, whole value. */
struct lw_dfa {
	__u16 nclasses; /* of bytes: those of one lead to the same states */
	__u16 start; /* state before the first byte */
	__u16 nstates; /* nstates * nclasses <= LW_DFA_TRANS; state 0 is dead */
	__u16 pad;
	__u8 class_of[256]; /* [byte] */
	__u8 accept[4096]; /* [state] 1: the value may end here */
	__u16 next[LW_DFA_TRANS]; /* [state * nclasses + class] state */
};
LW_ASSERT_SIZE(struct lw_dfa, 69896);

/* lw_names, key lw_slot_key with id 0: the set of header names that matter, any letter case. */
struct lw_names {
	__u8 class_of[256]; /* [byte] 0: not a token character; 1: a token character in no name of the set */
	__u8 id_of[LW_NAMES_STATES]; /* [state] enum lw_header_id if a name ends here, else 0 */
	__u16 next[LW_NAMES_STATES * LW_NAMES_CLASSES]; /* [state * LW_NAMES_CLASSES + class] state; 0: no such name; start 1 */
};
LW_ASSERT_SIZE(struct lw_names, 264448);

/* ---- sockets ---- */

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
	__u8 pad2[3];
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
	struct lw_frame frame; /* of the response stream */
	__u64 scan_state[8]; /* struct lw_scan, http.h */
};
/* Has it a request that is not answered in full? */
static inline __attribute__((always_inline)) int lw_up_is_due(const struct lw_up *up)
{
	return up->req_seq != up->resp_seq;
}

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

/* lw_tuples: an enrolled connection as tc sees it, for the FIN guard. lw_connecting: as the pod sees it. */
struct lw_tuple {
	struct lw_addr local; /* of the end that it is seen from */
	struct lw_addr peer; /* of the other */
	__u16 local_port; /* of these two */
	__u16 peer_port;
};
LW_ASSERT_SIZE(struct lw_tuple, 36);

/* ---- which lane the requests are in that a pod is working on ---- */

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
	__u16 opening; /* lw_config.openings, its low bits, when it was made; another: void, the ports may be another connection's */
	__u32 requests; /* heads seen */
	__u32 from; /* sequence number of the first byte since it is followed without a gap, or LW_IN_BEHIND before next */
	struct lw_in_request last[LW_IN_REQUESTS]; /* [(n - 1) % LW_IN_REQUESTS]: the n-th */
	struct lw_frame frame; /* of the request stream */
};
LW_ASSERT_SIZE(struct lw_in, 64);

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
	__u32 proven; /* of processes: answers by the thread that read the request, while others were read or answered */
	__u32 turns; /* of processes: how often a request whose lane is known was read or answered */
	__u32 pad;
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
};
/* What has been sent since a request was read, and is no answer to it. */
enum lw_accepted_sent {
	LW_SENT_INTERIM = 1 << 0, /* an interim response */
	LW_SENT_BEFORE = 1 << 1, /* the rest of the answer before: the client does not wait for ends */
};
/* lw_accepted: sk_storage of every connection that a pod has accepted. */
struct lw_accepted {
	struct lw_tuple tuple; /* as the pod sees it */
	__u32 copied; /* sequence number of the first byte the application has not read */
	struct lw_task_key thread; /* that has read the request at work */
	struct lw_task_key proc; /* its process */
	__u32 held; /* not 0: a request has been read and not answered; its serial. Set after, and taken with, all that is said of it */
	__u32 write_seq; /* of the socket when it was read, a sequence number */
	__u8 lane; /* of it, or LW_IN_UNKNOWN */
	__u8 fresh; /* 1: how far the application had read before is not known */
	__u16 flags; /* enum lw_accepted_flags */
	__u32 agent; /* lw_config.reads when it was first seen; another: what is held here is void */
	__u32 turn; /* lw_task.turns of the process once the request was read */
	__u16 sent; /* enum lw_accepted_sent, since it was read */
	__u16 unseen; /* 1: it is in lw_at_unseen */
	__u32 serial; /* of the last one that was held */
	__u32 pad;
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
/* lw_older_work, by the connection's cookie */
struct lw_older_work {
	__u32 pod; /* index in lw_older_counts */
	__u32 doubt; /* 1: it may have been answered */
};
LW_ASSERT_SIZE(struct lw_older_work, 8);
/* lw_older_counts: requests of a pod that are not answered yet; the agent and lw_reads add to it atomically */
struct lw_older_count {
	__u64 sure; /* that are at work */
	__u64 doubt; /* that may have been answered */
};
LW_ASSERT_SIZE(struct lw_older_count, 16);

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
	__u32 trace_len; /* bytes of the trace id, up to LW_TRACE_VALUE_MAX; trace holds the first of them */
	char line[LW_HOP_LINE]; /* as it stands in the head; zero-filled */
	char trace[LW_HOP_TRACE]; /* as it stands in the header, without what changes from hop to hop (trace.h) */
};

/* ---- arguments of the programs the agent runs itself ---- */

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
#define LW_LANE_ONCE 0xffff
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
/* lw_unseen: of the pod in the network namespace of that cookie not all requests are seen being read (lw_at_unseen), for good */
struct lw_unseen_args {
	__u64 netns; /* that cookie */
};
LW_ASSERT_SIZE(struct lw_unseen_args, 8);

/* Before every punted message on the agent's punt socket. */
#define LW_PUNT_MAGIC 0x6c776e70756e7431ull
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
enum lw_punt_flags {
	LW_PUNT_IS_HEAD = 1 << 0, /* the request is a HEAD */
	LW_PUNT_OPAQUE = 1 << 1, /* the connection has become opaque on this route */
	LW_PUNT_CLOSES = 1 << 2, /* the request says that the connection ends with its answer */
};

LW_ASSERT_SIZE(struct lw_dest_key, 24);
LW_ASSERT_SIZE(struct lw_pod_key, 20);
LW_ASSERT_SIZE(struct lw_tag_key, 72);
LW_ASSERT_SIZE(struct lw_lane, 552);
LW_ASSERT_SIZE(struct lw_rule, 664);
LW_ASSERT_SIZE(struct lw_event, 56);
LW_ASSERT_SIZE(struct lw_hop, 96 + LW_HOP_LINE + LW_HOP_TRACE);
LW_ASSERT_SIZE(struct lw_punt, 64);
LW_ASSERT_SIZE(struct lw_frame, 16);
LW_ASSERT_SIZE(struct lw_sk, 64);
LW_ASSERT_SIZE(struct lw_up, 176);
#pragma GCC diagnostic pop
