/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Processes of the machine, by what /proc says of them.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Is pid still the process that the kernel started then (task_struct.start_time: nanoseconds of CLOCK_MONOTONIC), and not a later
 * one? As exactly as /proc tells it, a hundredth of a second; less on a machine that has been suspended.
 */
bool lw_process_is(pid_t pid, uint64_t started_ns);
