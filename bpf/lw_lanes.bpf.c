/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All programs, one object: they share every map. One header a hook. */
#include "vmlinux.h"
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "lib/state.h"
#include "lib/kept.h"
#include "lib/events.h"
#include "lib/bypass.h"
#include "lib/hops.h"
#include "lib/stream.h"
#include "lib/evidence.h"

#include "hook_connect.h"
#include "hook_sockops.h"
#include "hook_sockopt.h"
#include "hook_msg.h"
#include "hook_skb.h"
#include "hook_far.h"
#include "hook_tc.h"
#include "agent_calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
