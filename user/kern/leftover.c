/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/leftover.h"

#include <bpf/bpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/aside.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kern/downstream.h"
#include "kern/internal.h"
#include "kern/netns.h"

/* A pinned map whose values have this size; another build's is left alone. -1 if there is none. */
static int open_pin(const char *dir, const char *name, size_t value_size)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct bpf_map_info info = { 0 };
	__u32 len = sizeof(info);

	if (asprintf(&path, "%s/%s", dir, name) < 0) {
		path = NULL;
		return -1;
	}
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || info.value_size != value_size)
		return -1;
	return TAKE_FD(fd);
}

/* `agent`: what is with that one is not left over; 0: all is. */
static bool unfinished(const struct lw_flow *f, int ups, uint32_t agent)
{
	const struct lw_flow_up *fu = &f->ups[f->up % LW_FLOW_UPS];
	struct lw_up up;
	bool known;

	if (f->route == LW_ROUTE_PEER)
		return false;
	known = !bpf_map_lookup_elem(ups, &fu->up, &up) && !(up.flags & LW_UP_GONE);
	if (agent && (f->punt ? (f->punt_to & 1) == (agent & 1) : known && up.agent == agent))
		return false;
	if (f->punt || f->frame.state != LW_FRAME_HEAD || (f->flags & LW_FLOW_OPAQUE))
		return true;
	return known && (lw_up_is_due(&up) || (up.flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)));
}

struct walk {
	struct lw_netns *ns;
	int flows, ups;
	uint32_t agent;
	size_t n;
};

static int reset_one(const void *key, const void *value, void *arg)
{
	const uint64_t down = *(const uint64_t *)key;
	struct walk *w = arg;
	struct lw_flow f;

	/* others have been reset since this one was read */
	if (unfinished(value, w->ups, w->agent) && !bpf_map_lookup_elem(w->flows, key, &f) &&
	    unfinished(&f, w->ups, w->agent) && !lw_downstream_reset(w->ns, down, &f))
		w->n++;
	return 0;
}

/* Resets who waits for what does not come any more. With its connection a flow goes: not from key to key (lw_rows_each()). */
static void reset_unfinished(struct lw_kern *kern, int flows, int ups, uint32_t agent)
{
	_cleanup_(lw_netns_free) struct lw_netns *ns = NULL;
	struct walk w = { .flows = flows, .ups = ups, .agent = agent };

	if (lw_netns_new(&ns))
		return;
	w.ns = ns;
	(void)lw_rows_each(kern, flows, sizeof(uint64_t), sizeof(struct lw_flow), reset_one, &w);
	lw_aside_settle(LW_LOCKS_PATIENCE_MS);
	if (w.n)
		lw_info("reset %zu connections whose request or response ended with an earlier agent",
			w.n);
}

void lw_leftover_end(const char *pin_dir, bool stop, struct lw_kern *kern)
{
	_cleanup_close_ int config = open_pin(pin_dir, "config", sizeof(struct lw_config));
	_cleanup_close_ int flows = open_pin(pin_dir, "flows", sizeof(struct lw_flow));
	_cleanup_close_ int ups = open_pin(pin_dir, "ups", sizeof(struct lw_up));
	struct lw_config c;
	uint32_t zero = 0;

	if (config < 0 || flows < 0 || ups < 0)
		return;
	if (stop && !bpf_map_lookup_elem(config, &zero, &c) && c.abi == LW_ABI_VERSION) {
		c.flags |= LW_CONF_STOPPED;
		(void)bpf_map_update_elem(config, &zero, &c, BPF_ANY);
	}
	reset_unfinished(kern, flows, ups, 0);
}

void lw_leftover_retire(const struct lw_left *left)
{
	uint64_t key, next, *at = NULL;
	struct lw_up up;
	int r;

	reset_unfinished(left->kern, left->flows, left->ups, left->agent);
	r = bpf_map_get_next_key(left->ups, NULL, &next);
	while (!r) {
		lw_kern_heartbeat(left->kern);
		key = next;
		at = &key;
		r = bpf_map_get_next_key(left->ups, at, &next); /* before the key may go */
		if (bpf_map_lookup_elem(left->ups, &key, &up) || up.agent == left->agent)
			continue;
		(void)bpf_map_delete_elem(left->ups, &key);
		(void)bpf_map_delete_elem(left->streams, &key);
	}
}
