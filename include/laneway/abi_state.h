/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * The configuration and the state of a release: what the agent writes, and programs read. lw_config, dests, pods, workloads, lanes, tags,
 * groups, endpoints; and entry rules: steps, rules, dfas, names.
 */
#include "laneway/abi_base.h"

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
	LW_CONF_TCP_SHORT = 1 << 13, /* TCP has next to no memory left: nothing is enrolled */
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
LW_ASSERT_SIZE(struct lw_dest_key, 24);
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
LW_ASSERT_SIZE(struct lw_pod_key, 20);
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
	__u16 tag_header; /* enum lw_header_id of the tag's header */
	__u16 pad;
	char name[LW_LANE_NAME_LEN]; /* ends with NUL */
	__u8 block[LW_BLOCK_LEN]; /* "x-mse-tag:  gray\r\n": blanks after the colon fill it to 8 bytes */
};
LW_ASSERT_SIZE(struct lw_lane, 552);

/* lw_tags: which lane a tag's value names. */
struct lw_tag_key {
	__u32 slot; /* generation & 1 */
	__u16 header; /* enum lw_header_id of the tag's header */
	__u16 len; /* bytes of value */
	char value[LW_TAG_VALUE_LEN]; /* zero-filled */
};
LW_ASSERT_SIZE(struct lw_tag_key, 72);
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
LW_ASSERT_SIZE(struct lw_rule, 664);

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
