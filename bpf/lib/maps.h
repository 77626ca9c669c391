/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Every map: who writes, who reads, what happens when it is full. Pinned below <bpffs>/laneway under
 * these names. "agent" writes mean the user-space side.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "laneway/lane_types.h"

/* Agent writes, programs read. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct lw_config);
} lw_config SEC(".maps");

/*
 * The state, two generations. Agent writes the idle one, programs read the one in force. Full: what does not
 * fit is left out, and said; a write that fails all the same leaves the state in force as it is.
 */
#define LW_STATE_MAP(name_, key_, value_, max_)       \
	struct {                                      \
		__uint(type, BPF_MAP_TYPE_HASH);      \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__uint(max_entries, 2 * (max_));      \
		__type(key, key_);                    \
		__type(value, value_);                \
	} name_ SEC(".maps")

LW_STATE_MAP(lw_dests, struct lw_dest_key, struct lw_dest, LW_MAX_DESTS);
LW_STATE_MAP(lw_pods, struct lw_pod_key, struct lw_pod, LW_MAX_PODS);
LW_STATE_MAP(lw_workloads, struct lw_slot_key, struct lw_workload, LW_MAX_WORKLOADS);
LW_STATE_MAP(lw_lanes, struct lw_slot_key, struct lw_lane, LW_MAX_LANES);
LW_STATE_MAP(lw_tags, struct lw_tag_key, struct lw_tag, LW_MAX_LANES);
LW_STATE_MAP(lw_groups, struct lw_group_key, struct lw_group, LW_MAX_GROUPS);
LW_STATE_MAP(lw_endpoints, struct lw_endpoint_key, struct lw_endpoint, LW_MAX_ENDPOINTS);
LW_STATE_MAP(lw_steps, struct lw_slot_key, struct lw_step, LW_MAX_STEPS);
LW_STATE_MAP(lw_rules, struct lw_slot_key, struct lw_rule, LW_MAX_RULES);
LW_STATE_MAP(lw_dfas, struct lw_slot_key, struct lw_dfa, LW_MAX_DFAS);
LW_STATE_MAP(lw_names, struct lw_slot_key, struct lw_names, 1);

/* lw_connect writes for downstream sockets, the agent for upstream ones, lw_sockops for the pods' ends of these. Freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lw_sk);
} lw_sk SEC(".maps");

/* Downstream sockets; these carry lw_msg. lw_sockops writes. Full: not enrolled. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, LW_MAX_FLOWS);
	__type(key, __u64);
	__type(value, __u64);
} lw_down_socks SEC(".maps");

/* Upstream sockets; these carry lw_reply. Agent writes. Full: the agent opens no more. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, LW_MAX_UPSTREAMS);
	__type(key, __u64);
	__type(value, __u64);
} lw_up_socks SEC(".maps");

/*
 * Pods' ends of upstream connections, by the upstream socket's cookie; these carry lw_far_msg. lw_sockops
 * writes. Full: that connection has no bypass.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, LW_MAX_UPSTREAMS);
	__type(key, __u64);
	__type(value, __u64);
} lw_far_socks SEC(".maps");

/* lw_sockops makes and deletes, lw_msg reads. Full: as above. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_UPSTREAMS);
	__type(key, __u64);
	__type(value, struct lw_far);
} lw_fars SEC(".maps");

/* lw_sockops makes when an upstream socket connects, and takes when its pod accepts. Full: the oldest goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_CONNECTING);
	__type(key, struct lw_tuple);
	__type(value, struct lw_connecting);
} lw_connecting SEC(".maps");

/*
 * What has arrived at each socket with a verdict program. The programs make; lw_sockops and the agent delete with
 * the socket. There is room for all of them.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_STREAMS);
	__type(key, __u64);
	__type(value, struct lw_stream);
} lw_streams SEC(".maps");

/* The agent's socket that takes punted messages, key lw_config.agent & 1: where one takes over from another both do. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lw_punt_sock SEC(".maps");

/* lw_sockops makes, it and lw_leave delete, lw_msg writes, lw_bind, lw_to_pod and lw_notice a field or two each, the agent reads. Full: not enrolled, counted. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_FLOWS);
	__type(key, __u64);
	__type(value, struct lw_flow);
} lw_flows SEC(".maps");

/* Agent makes and, some time after the socket, deletes, programs write. Full: the agent opens no more. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_UPSTREAMS);
	__type(key, __u64);
	__type(value, struct lw_up);
} lw_ups SEC(".maps");

/*
 * The agent makes and deletes, lw_pool_put fills, lw_msg takes. Full: the agent keeps no pool for that endpoint,
 * requests are punted.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_POOLS);
	__type(key, struct lw_pool_key);
	__type(value, struct lw_pool);
} lw_pools SEC(".maps");

/* Cookie of the downstream socket behind a connection. lw_sockops writes, lw_to_pod reads. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_FLOWS);
	__type(key, struct lw_tuple);
	__type(value, __u64);
} lw_tuples SEC(".maps");

/* Programs count, the agent sums up. Full: new kinds are counted by their reason alone, for which the agent makes a row each. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_HASH);
	__uint(max_entries, LW_MAX_STATS);
	__type(key, struct lw_stat_key);
	__type(value, struct lw_stat);
} lw_stats SEC(".maps");

/* Whose turn it is among the endpoints of a group, by the low bits of its number. Whoever chooses writes. */
#define LW_TURNS 4096
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LW_TURNS);
	__type(key, __u32);
	__type(value, __u64);
} lw_turns SEC(".maps");

/* Programs to agent. Full: the event is lost, the agent's sweep finds what it said. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} lw_events SEC(".maps");

/*
 * Programs to whoever traces (lib/hops.h). Full: the hop is lost and counted in lw_hops_lost; the request is not held up.
 */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, LW_HOPS_BYTES);
} lw_hops SEC(".maps");

/* Programs count, the agent sums up. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} lw_hops_lost SEC(".maps");

/*
 * Room for one head. A program may be preempted by another task's on the same CPU, so each run claims a slot of its own: one of its CPU's,
 * which are behind the spare ones, or of those. None free: the head is not looked at. The agent makes it as large as the machine has CPUs.
 */
struct lw_scratch {
	__u32 busy;
	__u32 pad;
	struct lw_head head;
};
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LW_SCRATCH_SPARE + LW_SCRATCH_CPU);
	__type(key, __u32);
	__type(value, struct lw_scratch);
} lw_scratch SEC(".maps");

/* Names of programs that are kept out, and why (enum lw_keep). Agent writes, lw_connect reads. Bounded by what the agent takes. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, LW_MAX_KEPT_NAMES);
	__type(key, struct lw_kept_name);
	__type(value, __u32);
} lw_kept_names SEC(".maps");

/* Addresses of pods whose connections are not enrolled. Agent writes, lw_sockops reads. Full: the rest is not kept out, an error says so. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_KEPT_PODS);
	__type(key, struct lw_addr);
	__type(value, __u32);
} lw_kept_pods SEC(".maps");

/* Of which pod of the host network a cgroup is: its id; the number of the pod. Agent writes, lw_connect reads. Full: such pods are told by their node's address. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_HOST_PODS);
	__type(key, __u64);
	__type(value, __u64);
} lw_host_pods SEC(".maps");

/* Processes that have done what the kernel gets wrong on an enrolled socket. lw_notice and, for those of lw_kept_names, lw_connect write, lw_connect and the agent read. Full: the one longest unused goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_KEPT);
	__type(key, struct lw_kept_key);
	__type(value, struct lw_kept);
} lw_kept SEC(".maps");

/*
 * Network namespaces, by cookie, in which somebody has read a connection with splice(2), and when first. lw_notice makes, lw_sockops and
 * lw_msg look. Full: the one longest not looked at goes, and is noticed again.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_KEPT);
	__type(key, __u64);
	__type(value, __u64);
} lw_spliced SEC(".maps");

/*
 * Connections that pods have accepted, as lw_to_pod reads them. It makes them; lw_reads looks. Full: the one longest
 * not looked at goes, and what is at work on it counts as unknown until its next request.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_INBOUND);
	__type(key, struct lw_tuple);
	__type(value, struct lw_in);
} lw_inbound SEC(".maps");

/* A request head whose rest is yet to come. Full: the oldest goes, and its request is one that was not seen. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_IN_HEADS);
	__type(key, struct lw_tuple);
	__type(value, struct lw_head);
} lw_in_heads SEC(".maps");

/* lw_to_pod writes, lw_msg reads. Full: the oldest goes, and requests with that trace id have other evidence or none. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, LW_MAX_TRACES);
	__type(key, struct lw_trace_key);
	__type(value, struct lw_trace);
} lw_traces SEC(".maps");

/* lw_sockops, and of lw_older lw_read, make, lw_reads writes. Freed with the socket. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct lw_accepted);
} lw_accepted SEC(".maps");

/* Cookies of connections that pods had accepted before the agent came. The agent makes, lw_reads takes. Full: see there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_OLDER);
	__type(key, __u64);
	__type(value, struct lw_tuple);
} lw_older SEC(".maps");

/*
 * Those of them on which a request was at work then, by cookie; whoever deletes one takes it off its pod's count. The agent
 * makes, lw_reads takes. Pods by the cookie of their network namespace, and each one's count; 0 is of all that found no room.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_OLDER);
	__type(key, __u64);
	__type(value, struct lw_older_work);
} lw_older_work SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_OLDER_PODS);
	__type(key, __u64);
	__type(value, __u32);
} lw_older_pods SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, LW_MAX_OLDER_PODS);
	__type(key, __u32);
	__type(value, struct lw_older_count);
} lw_older_counts SEC(".maps");

/*
 * What threads and processes are at work on. lw_reads writes, and deletes when they end; lw_msg reads. Threads full: counted
 * with the process alone. Processes full: counted in lw_uncounted, and while that is not 0 no work is evidence.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_THREADS);
	__type(key, struct lw_task_key);
	__type(value, struct lw_task);
} lw_threads SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_PROCS);
	__type(key, struct lw_task_key);
	__type(value, struct lw_task);
} lw_procs SEC(".maps");
/*
 * What all processes of a network namespace are at work on, by its cookie. lw_reads writes, and deletes once a process has ended
 * and nothing is at work; lw_msg reads. Full: counted in lw_uncounted, and while that is not 0 no pod's work is evidence.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_AT_PODS);
	__type(key, __u64);
	__type(value, struct lw_task);
} lw_at_pods SEC(".maps");
/*
 * Requests of lanes, base not among them, that processes of a network namespace are at work on, [its cookie % LW_AT_LANES]. 0: none of
 * its processes can have evidence, and nobody looks for any. lw_reads writes, lw_msg reads.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LW_AT_LANES);
	__type(key, __u32);
	__type(value, __u64);
} lw_at_lanes SEC(".maps");
/*
 * Connections of a network namespace, [its cookie % LW_AT_LANES], whose requests are never seen being read, for they are MPTCP's, and 1
 * for all there whom the agent could not list. Not 0: work is no evidence there. lw_sockops, lw_reads and lw_unseen write, lw_msg reads.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LW_AT_LANES);
	__type(key, __u32);
	__type(value, __u64);
} lw_at_unseen SEC(".maps");
/*
 * Pods that call, and pods that are left alone as they do not, by the cookie of their network namespace; and addresses of the latter, each with that
 * cookie: whoever gets one of these later has another. The agent makes the one kind, lw_connect and lw_msg the other, and end the first. lw_sockops and
 * lw_reads delete addresses that are somebody else's now. Full: pods are read like any other.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_LEAVES);
	__type(key, __u64);
	__type(value, struct lw_leaf);
} lw_leaves SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, LW_MAX_LEAF_ADDRS);
	__type(key, struct lw_addr);
	__type(value, __u64);
} lw_leaf_addrs SEC(".maps");
/* [0]: requests that could not be counted with their process; [1]: with their pod. */
#define LW_UNCOUNTED_PODS 1
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, __u64);
} lw_uncounted SEC(".maps");
