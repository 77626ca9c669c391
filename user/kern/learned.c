/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/learned.h"

#include <errno.h>

#include "kern/internal.h"

void lw_learned_state(const struct lw_kern *kern, bool *ret_inbound, bool *ret_reads,
		      bool *ret_pods, uint64_t *ret_uncounted)
{
	uint32_t flags = kern->config ? __atomic_load_n(&kern->config->flags, __ATOMIC_RELAXED) : 0,
		 zero = 0;

	*ret_inbound = flags & LW_CONF_INBOUND;
	*ret_reads = flags & LW_CONF_READS;
	*ret_pods = flags & LW_CONF_POD_EVIDENCE;
	if (!kern->skel ||
	    bpf_map_lookup_elem(bpf_map__fd(kern->skel->maps.lw_uncounted), &zero, ret_uncounted))
		*ret_uncounted = 0;
}

int lw_learned_trace(const struct lw_kern *kern, const struct lw_trace_key *key,
		     struct lw_trace *ret)
{
	if (!kern->skel)
		return -ENOENT;
	return bpf_map_lookup_elem(bpf_map__fd(kern->skel->maps.lw_traces), key, ret) ? -errno : 0;
}

void lw_learned_each_process(const struct lw_kern *kern,
			     void (*cb)(const struct lw_task_key *key, const struct lw_task *task,
					void *arg),
			     void *arg)
{
	struct lw_task_key key, next, *at = NULL;
	struct lw_task task;
	int fd;

	if (!kern->skel)
		return;
	fd = bpf_map__fd(kern->skel->maps.lw_procs);
	/* a key that is deleted meanwhile begins the walk anew: some may be told twice, and it must end */
	for (size_t i = 0; i < 2 * LW_MAX_PROCS && !bpf_map_get_next_key(fd, at, &next); i++) {
		key = next;
		at = &key;
		if (!bpf_map_lookup_elem(fd, &key, &task) && task.total)
			cb(&key, &task, arg);
	}
}
