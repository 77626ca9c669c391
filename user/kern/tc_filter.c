/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/tc_filter.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/internal.h"
#include "kern/others.h"

/*
 * Ours among the filters of a device. Which of the two says who made the clsact qdisc that it hangs on, to any agent and
 * to `cleanup`, also when the one that made it was killed: only a qdisc of ours goes with the filter.
 */
#define HANDLE_FOUND 0x6c77
#define HANDLE_MADE 0x6c78

bool lw_filter_is_ours(uint32_t handle, uint32_t priority)
{
	return (handle == HANDLE_FOUND || handle == HANDLE_MADE) && priority == LW_FILTER_PRIORITY;
}

static int remove_qdisc(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex,
		    .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_destroy(&hook);
}

static bool has_filter(const struct bpf_tc_hook *hook, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = LW_FILTER_PRIORITY);

	return !bpf_tc_query(hook, &opts);
}

int lw_filter_attach(int prog, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = HANDLE_FOUND,
		    .priority = LW_FILTER_PRIORITY, .flags = BPF_TC_F_REPLACE);
	int made = bpf_tc_hook_create(&hook), r;

	if (made && made != -EEXIST)
		return made;
	if (!made || has_filter(&hook, HANDLE_MADE))
		opts.handle = HANDLE_MADE;
	r = bpf_tc_attach(&hook, &opts);
	if (r && !made)
		(void)remove_qdisc(ifindex);
	return r;
}

/* Somebody else's filter keeps the qdisc, whoever made it. One that comes between the look and the end goes with it. */
int lw_filter_detach(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = HANDLE_FOUND, .priority = LW_FILTER_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, made, .handle = HANDLE_MADE, .priority = LW_FILTER_PRIORITY);

	if (bpf_tc_detach(&hook, &made))
		return bpf_tc_detach(&hook, &found);
	if (!lw_others_have_filters(ifindex))
		(void)remove_qdisc(ifindex);
	return 0;
}

/* An agent that has said nothing for so long has ended, however busy the machine is. */
#define SILENT_NS (10 * LW_NS_PER_SEC)

/* Has the agent of that configuration stopped, or been killed? */
static bool has_ended(uint32_t map_id)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(map_id);
	_cleanup_free_ struct lw_config *conf = NULL;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;

	/* of whatever build: the first fields of it are the same in all */
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) ||
	    strcmp(info.name, "lw_config") != 0 || info.key_size != sizeof(zero) ||
	    info.value_size < offsetof(struct lw_config, heartbeat_max_ns))
		return false;
	conf = calloc(1, info.value_size > sizeof(*conf) ? info.value_size : sizeof(*conf));
	if (!conf || bpf_map_lookup_elem(fd, &zero, conf))
		return false;
	return (conf->flags & LW_CONF_STOPPED) || lw_clock_ns() - conf->heartbeat_ns > SILENT_NS;
}

/* Is that program, of a filter of ours, one that nobody has any use for? Another agent of this machine may have its own. */
static bool is_abandoned(const struct lw_kern *kern, uint32_t prog_id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info), maps[64];

	/* what an earlier agent has left to us */
	if (!bpf_obj_get_info_by_fd(kern->to_pod, &info, &len) && info.id == prog_id)
		return true;
	info = (struct bpf_prog_info){ .nr_map_ids = sizeof(maps) / sizeof(maps[0]),
				       .map_ids = (uintptr_t)maps };
	len = sizeof(info);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(maps) / sizeof(maps[0]); i++)
		if (has_ended(maps[i]))
			return true;
	return false;
}

void lw_filter_remove_abandoned(const struct lw_kern *kern, int ifindex, const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	static const uint32_t handles[] = { HANDLE_FOUND, HANDLE_MADE };

	for (size_t i = 0; i < 2; i++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handles[i],
			    .priority = LW_FILTER_PRIORITY);

		if (bpf_tc_query(&hook, &opts) || !is_abandoned(kern, opts.prog_id))
			continue;
		if (!lw_filter_detach(ifindex))
			lw_info("took off device '%s' what an earlier agent left there", name);
		return;
	}
}

int lw_filter_cleanup(void)
{
	struct if_nameindex *all = if_nameindex();
	int n = 0;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		n += !lw_filter_detach((int)i->if_index);
	if (all)
		if_freenameindex(all);
	return n;
}
