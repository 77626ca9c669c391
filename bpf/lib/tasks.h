/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Threads and processes by a name that is not used again. */
#include "maps.h"

static __always_inline void lw_task_key(__u64 task, struct lw_task_key *key)
{
	int pid = 0;

	bpf_probe_read_kernel(&pid, sizeof(pid),
			      (void *)task + bpf_core_field_offset(struct task_struct, pid));
	bpf_probe_read_kernel(&key->started, sizeof(key->started),
			      (void *)task + bpf_core_field_offset(struct task_struct, start_time));
	key->tid = pid;
}

/* A pointer, or a number of that size, in the kernel's memory. */
static __always_inline __u64 lw_pointer_at(__u64 at)
{
	__u64 p = 0;

	bpf_probe_read_kernel(&p, sizeof(p), (void *)at);
	return p;
}

#define LW_TASK_POINTER(task, field) \
	lw_pointer_at((task) + bpf_core_field_offset(struct task_struct, field))

/* A thread, and its process. */
static __always_inline void lw_task_keys(__u64 task, struct lw_task_key *thread,
					 struct lw_task_key *proc)
{
	lw_task_key(task, thread);
	lw_task_key(LW_TASK_POINTER(task, group_leader), proc);
}

/* The calling ones. */
static __always_inline void lw_current_keys(struct lw_task_key *thread, struct lw_task_key *proc)
{
	lw_task_keys(bpf_get_current_task(), thread, proc);
}
