/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By itself, not in lw_lanes: not every kernel has every hook, and without them the rest works. */
#include "vmlinux.h"
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "hook_reads.h"
#include "hook_tasks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
