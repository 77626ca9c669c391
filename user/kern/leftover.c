/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/leftover.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/downstream.h"
#include "kern/netns.h"

/* A pinned map whose values have this size; another build's is left alone. -1 if there is none. */
static int open_pin(const char *dir, const char *name, size_t value_size)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (asprintf(&path, "%s/%s", dir, name) < 0)
		return -1;
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != value_size)
		return -1;
	return TAKE_FD(fd);
}

static bool unfinished(const struct lw_flow *f, int ups)
{
	const struct lw_flow_up *fu = &f->ups[f->up % LW_FLOW_UPS];
	struct lw_up up;

	if (f->route == LW_ROUTE_PEER)
		return false;
	if (f->punt || f->frame.state != LW_FRAME_HEAD || (f->flags & LW_FLOW_OPAQUE))
		return true;
	return !bpf_map_lookup_elem(ups, &fu->up, &up) &&
	       (up.req_seq != up.resp_seq || (up.flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)));
}

void lw_leftover_end(const char *pin_dir, bool stop)
{
	_cleanup_close_ int config = open_pin(pin_dir, "config", sizeof(struct lw_config));
	_cleanup_close_ int flows = open_pin(pin_dir, "flows", sizeof(struct lw_flow));
	_cleanup_close_ int ups = open_pin(pin_dir, "ups", sizeof(struct lw_up));
	_cleanup_(lw_netns_free) struct lw_netns *ns = NULL;
	struct lw_config c;
	struct lw_flow f;
	uint32_t zero = 0;
	uint64_t key, *at = NULL;
	size_t n = 0;

	if (config < 0 || flows < 0 || ups < 0 || lw_netns_new(&ns))
		return;
	if (stop && !bpf_map_lookup_elem(config, &zero, &c) && c.abi == LW_ABI_VERSION) {
		c.flags |= LW_CONF_STOPPED;
		(void)bpf_map_update_elem(config, &zero, &c, BPF_ANY);
	}
	while (!bpf_map_get_next_key(flows, at, &key)) {
		at = &key;
		if (!bpf_map_lookup_elem(flows, &key, &f) && unfinished(&f, ups) && !lw_downstream_reset(ns, key, &f))
			n++;
	}
	if (n)
		lw_info("reset %zu connections whose request or response ended with an earlier agent", n);
}
