/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Threads and processes that end, or begin another program: what is known of them ends too, and their children go to others. */
#include "lib/at_work.h"

static __always_inline struct lw_task *lw_proc_of(__u64 task)
{
	struct lw_task_key key = {};

	lw_task_key(LW_TASK_POINTER(task, group_leader), &key);
	return bpf_map_lookup_elem(&lw_procs, &key);
}

/*
 * The children of a thread that ends come to another of its process, or to a process above it that is a subreaper, or to the
 * first of its namespace (find_new_reaper()), and look from then on as if they had been started there.
 */
static __always_inline void lw_orphans(__u64 task)
{
	__u64 children = task + bpf_core_field_offset(struct task_struct, children), now, pid, at,
	      first;
	struct lw_task *p;
	__u32 level = 0, i;

	if (lw_pointer_at(children) == children)
		return;
	now = bpf_ktime_get_ns();
	pid = LW_TASK_POINTER(task, thread_pid);
	bpf_probe_read_kernel(&level, sizeof(level),
			      (void *)pid + bpf_core_field_offset(struct pid, level));
	at = pid + bpf_core_field_offset(struct pid, numbers) +
	     (__u64)level * bpf_core_type_size(struct upid) +
	     bpf_core_field_offset(struct upid, ns);
	first = lw_pointer_at(lw_pointer_at(at) +
			      bpf_core_field_offset(struct pid_namespace, child_reaper));
	p = lw_proc_of(first);
	if (p && LW_TASK_POINTER(first, group_leader) != LW_TASK_POINTER(task, group_leader))
		p->adopted = now;
	p = lw_proc_of(task);
	if (p)
		p->moved = now;
	for (i = 0; i < LW_ORPHAN_LEVELS && task; i++) {
		task = LW_TASK_POINTER(task, real_parent);
		p = lw_proc_of(task);
		if (p)
			p->adopted = now;
	}
}

/* Another program, which may work in another way. What is at work on connections that it has still is counted on. */
SEC("tp_btf/sched_process_exec")
int lw_execs(__u64 *ctx)
{
	struct lw_task *p = lw_proc_of(ctx[0]);

	if (!p)
		return 0;
	__sync_fetch_and_and(&p->flags, ~(LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES));
	p->proven = 0;
	p->turns = 0;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int lw_exits(__u64 *ctx)
{
	__u64 task = ctx[0], signal = 0, netns;
	struct lw_task_key key = {};
	struct lw_task *p;
	int live = 1;

	lw_orphans(task);
	lw_task_key(task, &key);
	bpf_map_delete_elem(&lw_threads, &key);
	bpf_probe_read_kernel(&signal, sizeof(signal),
			      (void *)task + bpf_core_field_offset(struct task_struct, signal));
	bpf_probe_read_kernel(&live, sizeof(live),
			      (void *)signal +
				      bpf_core_field_offset(struct signal_struct, live.counter));
	if (live)
		return 0;
	lw_task_key(LW_TASK_POINTER(task, group_leader), &key);
	p = bpf_map_lookup_elem(&lw_procs, &key);
	if (!p)
		return 0;
	netns = p->netns;
	bpf_map_delete_elem(&lw_procs, &key);
	p = bpf_map_lookup_elem(&lw_at_pods, &netns);
	if (!p)
		return 0;
	__sync_fetch_and_or(&p->flags, LW_TASK_LEFT);
	lw_pod_may_end(p, netns);
	return 0;
}
