/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waits until no kernel program runs any more that began before: what it may have read can be written then.
 *
 * An update of a map of maps returns when that is so (maybe_wait_bpf_programs(), kernel/bpf/syscall.c), on every
 * kernel that we run on. membarrier() is no way to wait: with nohz_full= it fails, and with one processor it returns at once, also where a
 * program can be preempted (kernel/sched/membarrier.c).
 */
#include <errno.h>

#include "base/cleanup.h"
#include "kern/internal.h"

int lw_wait_open(struct lw_kern *kern)
{
	_cleanup_close_ int inner = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lw_nothing",
						   sizeof(uint32_t), sizeof(uint32_t), 1, NULL);
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = (uint32_t)inner);

	if (inner < 0)
		return -errno;
	kern->wait_map = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "lw_wait", sizeof(uint32_t),
					sizeof(uint32_t), 1, &opts);
	if (kern->wait_map < 0)
		return -errno;
	kern->wait_inner = TAKE_FD(inner);
	return 0;
}

void lw_wait_close(struct lw_kern *kern)
{
	kern->wait_map = lw_close(kern->wait_map);
	kern->wait_inner = lw_close(kern->wait_inner);
}

int lw_wait_for_programs(const struct lw_kern *kern)
{
	const uint32_t zero = 0;

	return bpf_map_update_elem(kern->wait_map, &zero, &kern->wait_inner, BPF_ANY) ? -errno : 0;
}
