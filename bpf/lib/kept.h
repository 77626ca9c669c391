/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Clients that are kept out: who is the current process, and is it one of them? */
#include "lib/state.h"

/* The calling process, and its name. */
static __always_inline void lw_who(struct lw_kept_key *key, char comm[16])
{
	__u64 task = bpf_get_current_task(), leader = 0;

	bpf_probe_read_kernel(&leader, sizeof(leader),
			      (void *)task +
				      bpf_core_field_offset(struct task_struct, group_leader));
	bpf_probe_read_kernel(&key->started, sizeof(key->started),
			      (void *)leader +
				      bpf_core_field_offset(struct task_struct, start_time));
	bpf_probe_read_kernel(comm, 16,
			      (void *)leader + bpf_core_field_offset(struct task_struct, comm));
	key->pid = bpf_get_current_pid_tgid() >> 32;
}

/* What is behind the terminating zero of a comm is what was there before. */
static __always_inline void lw_name_key(struct lw_kept_name *name, const char comm[16])
{
	__u32 i, ended = 0;

	for (i = 0; i < 16; i++) {
		ended |= !comm[i];
		name->comm[i] = ended ? 0 : comm[i];
	}
}

static __always_inline __u32 lw_kept_reason(__u32 why)
{
	if (why & LW_KEEP_NAME)
		return LW_REASON_KEPT_NAME;
	return why & LW_KEEP_FIONREAD ? LW_REASON_KEPT_FIONREAD : LW_REASON_KEPT_SPLICE;
}

/* Notes that the process is kept out. */
static __always_inline struct lw_kept *lw_keep(const struct lw_kept_key *key, const char comm[16],
					       __u32 why)
{
	struct lw_kept *kept = bpf_map_lookup_elem(&lw_kept, key), first = {};

	if (kept) {
		if (!(kept->why & why))
			__sync_fetch_and_or(&kept->why, why);
		return kept;
	}
	first.since_ns = bpf_ktime_get_ns();
	first.why = why;
	__builtin_memcpy(first.comm, comm, sizeof(first.comm));
	bpf_map_update_elem(&lw_kept, key, &first, BPF_NOEXIST);
	return bpf_map_lookup_elem(&lw_kept, key);
}

/* May the process that connects not be enrolled? Counts the connection then. */
static __always_inline int lw_is_kept_out(const struct lw_config *conf)
{
	struct lw_kept_name name = {};
	struct lw_kept_key key = {};
	struct lw_kept *kept;
	char comm[16] = {};

	if (!(conf->flags & LW_CONF_KEEPS_OUT))
		return 0;
	lw_who(&key, comm);
	kept = bpf_map_lookup_elem(&lw_kept, &key);
	if (!kept) {
		lw_name_key(&name, comm);
		if (!bpf_map_lookup_elem(&lw_kept_names, &name))
			return 0;
		kept = lw_keep(&key, comm, LW_KEEP_NAME);
	}
	if (kept)
		__sync_fetch_and_add(&kept->connections, 1);
	lw_count(0, 0, LW_EVIDENCE_NONE, lw_kept_reason(kept ? kept->why : LW_KEEP_NAME));
	return 1;
}
