/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of pods that call, or are left alone, whose network namespaces have ended. No cookie is given twice: who was there before all namespaces were
 * listed, and is not among them, has ended. But the list may lack one that lives (a process that ended just then): where it has a flow its
 * row stays, as such a connection is not asked again whether its pod calls (lw_flow.calls), and so it does where something is at work that nobody has seen
 * arriving. What else is forgotten of one that lives its next call tells.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "core/bytemap.h"
#include "kern/internal.h"
#include "kern/leaves.h"
#include "kern/netns.h"

/* Fewer stay. */
#define ROWS_MIN (LW_MAX_LEAVES / 2)

struct sweep {
	struct lw_kern *kern;
	struct lw_bytemap
		gone; /* cookies by themselves: of rows whose namespaces have not been found yet */
	int rows, addrs; /* maps */
};

static int add_row(const void *key, const void *value, void *arg)
{
	uint64_t *cookie = malloc(sizeof(*cookie));
	struct sweep *s = arg;
	struct lw_bytes bytes;

	(void)value;
	if (!cookie)
		return -ENOMEM;
	*cookie = *(const uint64_t *)key;
	bytes = LW_BYTES_OF(*cookie);
	if (lw_bytemap_put(&s->gone, &bytes, 1, cookie)) {
		free(cookie);
		return -ENOMEM;
	}
	return 0;
}

static void is_there(struct sweep *s, uint64_t cookie)
{
	const struct lw_bytes bytes = LW_BYTES_OF(cookie);

	free(lw_bytemap_remove(&s->gone, &bytes, 1));
}

static int on_namespace(int sock, void *arg)
{
	socklen_t len = sizeof(uint64_t);
	uint64_t cookie;

	if (getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len))
		return -errno;
	is_there(arg, cookie);
	return 0;
}

static int on_flow(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	(void)cookie;
	is_there(arg, flow->netns);
	return 0;
}

static bool drop(void *cookie, void *arg)
{
	(void)arg;
	free(cookie);
	return false;
}

static int forget_address(const void *key, const void *value, void *arg)
{
	const uint64_t cookie = *(const uint64_t *)value;
	const struct lw_bytes bytes = LW_BYTES_OF(cookie);
	struct sweep *s = arg;

	if (lw_bytemap_get(&s->gone, &bytes, 1))
		(void)bpf_map_delete_elem(s->addrs, key);
	return 0;
}

static bool forget(void *cookie, void *arg)
{
	struct sweep *s = arg;

	lw_kern_heartbeat(s->kern);
	(void)bpf_map_delete_elem(s->rows, cookie);
	free(cookie);
	return false;
}

static bool is_at_rest(void *cookie, void *arg)
{
	struct sweep *s = arg;
	struct lw_leaf leaf;

	return (!bpf_map_lookup_elem(s->rows, cookie, &leaf) && !leaf.held) || drop(cookie, NULL);
}

/* What is left in s->gone has ended. */
static int find_gone(struct sweep *s)
{
	_cleanup_(lw_netns_free) struct lw_netns *ns = NULL;
	int r = lw_netns_new(&ns);

	if (!r)
		r = lw_netns_each(ns, AF_INET, SOCK_DGRAM, 0, on_namespace, s);
	is_there(s, s->kern->config->netns); /* of all but the agent's own */
	return r ? r : lw_kern_each_flow(s->kern, on_flow, s);
}

int lw_leaves_sweep(struct lw_kern *kern)
{
	struct sweep s = { .kern = kern,
			   .rows = bpf_map__fd(kern->skel->maps.lw_leaves),
			   .addrs = bpf_map__fd(kern->skel->maps.lw_leaf_addrs) };
	int r;

	r = lw_rows_each(kern, s.rows, sizeof(uint64_t), sizeof(struct lw_leaf), add_row, &s);
	if (!r && s.gone.count >= ROWS_MIN) {
		r = find_gone(&s);
		if (!r)
			lw_bytemap_filter(&s.gone, is_at_rest, &s);
		if (!r)
			r = lw_rows_each(kern, s.addrs, sizeof(struct lw_addr), sizeof(uint64_t),
					 forget_address, &s);
		if (!r)
			lw_bytemap_filter(&s.gone, forget, &s);
	}
	lw_bytemap_filter(&s.gone, drop, NULL);
	lw_bytemap_clear(&s.gone);
	return r;
}
