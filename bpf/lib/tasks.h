/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Threads and processes by a name that is not used again. */
#include "maps.h"

static __always_inline void lw_task_key(__u64 task, struct lw_task_key *key)
{
	int pid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid), (void *)task + bpf_core_field_offset(struct task_struct, pid));
	bpf_probe_read_kernel(&key->started, sizeof(key->started),
			      (void *)task + bpf_core_field_offset(struct task_struct, start_time));
	key->tid = pid;
}

/* The calling thread, and its process. */
static __always_inline void lw_current_keys(struct lw_task_key *thread, struct lw_task_key *proc)
{
	__u64 task = bpf_get_current_task(), leader = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader),
			      (void *)task + bpf_core_field_offset(struct task_struct, group_leader));
	lw_task_key(task, thread);
	lw_task_key(leader, proc);
}
