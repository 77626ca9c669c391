/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Every bound both sides must agree on. Beside each: what happens when it is reached.
 */

/*
 * Which keys and values there are, and what they mean: lw_config.abi. An agent goes on with the maps of its own build alone (lw_record_build()), so
 * that these change without another number. Of another build's it reads lw_config, lw_flow and lw_up where they are as large as its own, and tells
 * it that all is over where this number is the same, too (user/kern/leftover.c): raise it where lw_config's flags or their place change and
 * its size does not. A build of another one is for tests of upgrades (make next).
 */
#ifndef LW_ABI_VERSION
#define LW_ABI_VERSION 1
#endif

/* Lanes in an agent's life, lane 0 (base) included. More: the source reports an error for the lane. */
#define LW_MAX_LANES 16
/* Workloads in release at once. More: the source reports an error for the workload, it stays direct. */
#define LW_MAX_WORKLOADS 4096
/* Destinations (address and port), pods, and endpoints of workloads in release, per generation. */
#define LW_MAX_DESTS 65536
#define LW_MAX_PODS 65536
#define LW_MAX_GROUPS 65536
#define LW_MAX_ENDPOINTS 131072
/* Entry rules. More: the source reports an error for the rule. */
#define LW_MAX_RULES 1024
#define LW_MAX_STEPS 8192
#define LW_MAX_DFAS 256
/* Steps one request may take through the entry rules of its destination. More: base, counted. */
#define LW_MAX_STEPS_RUN 512

/* Flows (enrolled downstream sockets) on a node. Full: not enrolled, counted. */
#define LW_MAX_FLOWS 65536
/*
 * Upstream sockets. Full, but for the agent's reserve (or its descriptors are): none is opened for a lane, requests that
 * need one follow the own peer or are refused, counted.
 */
#define LW_MAX_UPSTREAMS 65536
/* Sockets with a verdict program: downstream, upstream, and the pods' ends of these. */
#define LW_MAX_STREAMS (LW_MAX_FLOWS + 2 * LW_MAX_UPSTREAMS)
/* Upstream sockets one downstream socket may hold (one a lane). More: miss, own peer, counted. */
#define LW_FLOW_UPS 4
/* Fresh upstream sockets waiting for one client namespace and endpoint. */
#define LW_POOL_SLOTS 64
#define LW_MAX_POOLS 16384

/* Kinds of counters. Full: further ones are counted by their reason alone. */
#define LW_MAX_STATS 8192

/* A request or response head. Longer: the connection becomes opaque. Power of two. */
#define LW_HEAD_MAX 16384
/* Heads looked at at once: by tasks that take one CPU from one another, and beyond those of all CPUs together. More: not looked at, opaque. */
#define LW_SCRATCH_CPU 4
#define LW_SCRATCH_SPARE 32
/* Times a head may arrive in a further piece before the connection becomes opaque. */
#define LW_HEAD_PIECES_MAX 256
/* Requests outstanding (pipelined) on one upstream socket. More: opaque. */
#define LW_PIPELINE_MAX 32
/*
 * Bytes of one downstream socket that may wait in the agent. More: the send is refused. Nothing holds the sender back meanwhile: this is what
 * it may send while the agent waits for a processor.
 */
#define LW_PUNT_MAX_BYTES (64 << 20)
/* Steered packets waiting for one reader. More: the agent carries the rest, and TCP holds the pod back. */
#define LW_BACKLOG_MAX 256
/* Bytes of responses between two looks at that. */
#define LW_BACKLOG_LOOK (256 << 10)
/* Unread bytes of one direction that went from socket to socket. More: the rest takes TCP, which knows a window. */
#define LW_BYPASS_MAX (1 << 20)
/* Upstream connections of this node being opened at one moment. More: the oldest stays without the bypass. */
#define LW_MAX_CONNECTING 8192
/* Windows of chunk framing looked at in one run of a program. */
#define LW_CHUNK_WINDOWS 32768

/* Names and values, bytes, NUL included where a string. */
#define LW_NAME_LEN 64
#define LW_SOURCE_LEN 128
#define LW_LANE_NAME_LEN 32
#define LW_TAG_VALUE_LEN 64
/* Header block put on a steered request (multiple of 8). Longer: the source reports an error. */
#define LW_BLOCK_LEN 512
/* Different header names that requestHeaderModifier may take away on one rule. */
#define LW_MODS_REMOVE 8
/* Header lines of interest kept of one head. More: opaque. */
#define LW_CAPTURES 32
/* Bytes of a trace id that are looked at; a longer one ends there. */
#define LW_TRACE_VALUE_MAX 128
/* Bytes of an Exact or PathPrefix value, cookie or query name. */
#define LW_STEP_VALUE_LEN 4096
#define LW_STEP_NAME_LEN 256

/* Automata: states x classes of a regular expression; of the set of header names. */
#define LW_DFA_TRANS 32768
#define LW_NAMES_STATES 2048
#define LW_NAMES_CLASSES 64

/*
 * Processes, names of programs, and addresses of pods that are kept out. Full: the process longest not seen is forgotten; an
 * error at start; an error, and the rest is not kept out.
 */
#define LW_MAX_KEPT 4096
#define LW_MAX_KEPT_NAMES 256
#define LW_MAX_KEPT_PODS 16384

/* Cgroups of pods of this node's host network. Full: the rest is told by the node's address. */
#define LW_MAX_HOST_PODS 4096
/* How deep below the root such a cgroup may be. Deeper: likewise. */
#define LW_HOST_POD_LEVELS 12

/*
 * How long a dead agent's last state still chooses base pods for Services that are not pinned to a revision, nanoseconds. Longer:
 * pods may have come and gone meanwhile, and the node's own choice (kube-proxy) has canaries among the others.
 */
#define LW_LAST_CHOICE_NS 30000000000ull
/* In which a pod's thread brings what it sends past TCP to the client's queue. Longer: an end of file of the own peer's may come before it. */
#define LW_GIVING_NS 1000000000ull

/* Connections that pods of this node have accepted, of which requests are followed. More: the one longest idle is not. */
#define LW_MAX_INBOUND 65536
/* Request heads that arrive in pieces at one moment. More: the oldest is not read. */
#define LW_MAX_IN_HEADS 256
/* Trace ids of requests that pods of this node have got. More: the oldest is forgotten. */
#define LW_MAX_TRACES 65536
/* Of one request so many are noted: nobody needs more, and they push others' out. */
#define LW_IN_TRACE_IDS 8
/* Heads looked at in one packet. More: the connection is not followed any more. */
#define LW_IN_STEPS 4096
/* Connections that pods had accepted before the agent came. More: the agent says so, and reads are no evidence. */
#define LW_MAX_OLDER 262144
/* Pods that worked on requests when the agent came. More: they count as one. */
#define LW_MAX_OLDER_PODS 4096
/* Threads that have read a request. More: what they read is counted with their process alone, which proves nothing then. */
#define LW_MAX_THREADS 65536
/* Processes, likewise. More: reads are no evidence while any of those works on one. */
#define LW_MAX_PROCS 16384
/* Network namespaces of pods, likewise. More: the work of no pod is evidence while any of those works on one. */
#define LW_MAX_AT_PODS 16384
/* Network namespaces that call destinations, or are left alone as they do not; addresses of the latter. More: they are read like any other. */
#define LW_MAX_LEAVES 16384
#define LW_MAX_LEAF_ADDRS 32768
/* Counters of lane requests at work, of a network namespace each. Namespaces more: some share one. Power of two. */
#define LW_AT_LANES 4096
/* Processes between one that sends and one that it was started by, itself included. More: the latter's work is no evidence. */
#define LW_PARENT_LEVELS 4
/* Processes above one that ends and leaves children, which these may come to. More: one further up is not told. */
#define LW_ORPHAN_LEVELS 32
/* Ring of traced requests, bytes. Full: the request goes on, what would be told of it is lost and counted. Power of two. */
#define LW_HOPS_BYTES (1 << 20)
/* Bytes of method and target told of one. More: cut. */
#define LW_HOP_LINE 128
/* Bytes of its trace id. More: cut; of the six headers' usual ids only a long x-request-id is. */
#define LW_HOP_TRACE 96
