/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Keys, values and events shared by the kernel programs and the agent, and read by bpftool.
 *
 *   abi_state.h     configuration, and the state of a release
 *   abi_sockets.h   sockets and connections; clients that are not enrolled
 *   abi_work.h      requests that pods are working on
 *   abi_events.h    counters and rings
 *   abi_calls.h     what the agent calls, and is handed
 *
 * Conventions. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d. Ports are in host order, as all numbers are. Times are
 * CLOCK_MONOTONIC nanoseconds. A cookie is the kernel's number for a socket (SO_COOKIE), and for a network namespace (SO_NETNS_COOKIE). A pid is the
 * number of a process in the host's PID namespace. Lane 0 is base. Padding is spelled out and zero.
 *
 * Generations. The state of a rollout lives in the maps whose key starts with `slot`. There are two
 * slots; lw_config.generation & 1 names the one in force. The agent writes the idle slot in full, then
 * stores the next generation: a decision, which reads the generation once, sees all of one state.
 */
#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wpadded" /* what is not spelled out would be left unwritten */
#include "laneway/abi_base.h"
#include "laneway/abi_state.h"
#include "laneway/abi_sockets.h"
#include "laneway/abi_work.h"
#include "laneway/abi_events.h"
#include "laneway/abi_calls.h"
#pragma GCC diagnostic pop
