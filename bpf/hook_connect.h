/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * cgroup connect and getpeername. A connection to a destination of a workload in release is noted in its
 * socket's storage; a ClusterIP becomes a pod, so that the peer is known. Fails open: whatever goes
 * wrong, the connection goes where the application said.
 */
#include "laneway/route.h"
#include "lib/choose.h"
#include "lib/leaves.h"

#define LW_SOCK_STREAM 1

/* The pod of the host network that the calling process is in; 0: none that is known. */
static __always_inline __u64 lw_host_pod_of(const struct lw_config *conf, __u64 netns)
{
	int level;

	if (!(conf->flags & LW_CONF_HOST_PODS) || (conf->netns && netns != conf->netns))
		return 0;
	for (level = 1; level <= LW_HOST_POD_LEVELS; level++) {
		__u64 cgroup = bpf_get_current_ancestor_cgroup_id(level), *pod;

		if (!cgroup)
			return 0;
		pod = bpf_map_lookup_elem(&lw_host_pods, &cgroup);
		if (pod)
			return *pod;
	}
	return 0;
}

/*
 * An old state is no reason to send anybody to a pod, as it may be gone. But a Service that has canaries among its pods would give
 * them base requests, and without an agent nobody could take these back: so its last choice holds for a while. A Service that has
 * none, and whose clients keep their pods, is left to whoever has given them these pods.
 */
static __always_inline int lw_may_choose(const struct lw_config *conf, const struct lw_dest *dest)
{
	if (!(dest->flags & LW_DEST_SERVICE))
		return 0;
	if (dest->flags & LW_DEST_UNPINNED)
		return (__s64)(bpf_ktime_get_ns() - conf->heartbeat_ns) < (__s64)LW_LAST_CHOICE_NS;
	return !(dest->flags & LW_DEST_STICKY) && lw_agent_alive(conf);
}

/*
 * *addr and *port are the destination; overwritten when a pod was chosen. Returns 1 then.
 */
static __always_inline int lw_connect(struct bpf_sock_addr *ctx, struct lw_addr *addr, __u16 *port)
{
	struct lw_config *conf = lw_conf();
	const struct lw_endpoint *ep;
	struct lw_dest *dest;
	struct lw_sk *st;
	__u32 slot, kept;
	__u64 netns;

	if (!conf || !conf->generation)
		return 0;
	if (ctx->type != LW_SOCK_STREAM || ctx->protocol != LW_IPPROTO_TCP || !ctx->sk)
		return 0;
	slot = conf->generation & 1;
	dest = lw_dest_of(slot, addr, *port);
	st = bpf_sk_storage_get(&lw_sk, ctx->sk, 0, 0);
	if (st && st->role == LW_ROLE_UP)
		return 0; /* the agent's own */
	if (!dest) {
		/* perhaps the same socket's second try, after a first one that failed */
		if (st)
			st->role = 0;
		return 0;
	}
	/* nobody sees the requests of who is kept out, and the node might give them a canary */
	kept = lw_is_kept_out(conf);
	if (kept && !(dest->flags & LW_DEST_UNPINNED)) {
		if (st)
			st->role = 0;
		return 0;
	}
	if (conf->other_pid && bpf_get_current_pid_tgid() >> 32 == conf->other_pid)
		return 0;
	netns = bpf_get_netns_cookie(ctx);
	/* before its first request: what arrives from now on is read */
	lw_leaf_calls(&netns);
	st = bpf_sk_storage_get(&lw_sk, ctx->sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (st) {
		st->cookie = bpf_get_socket_cookie(ctx);
		st->netns = netns;
		st->asked = *addr;
		st->asked_port = *port;
		st->pid = bpf_get_current_pid_tgid() >> 32;
		st->host_pod = lw_host_pod_of(conf, st->netns);
		st->workload = dest->workload;
		st->group = dest->group;
		st->role = kept ? LW_ROLE_CHOSEN : LW_ROLE_DOWN;
		st->flags = 0;
	} else {
		/* no memory, or more of it than net.core.optmem_max lets one socket have: not enrolled, and it sees which pod it has */
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_ENROL);
		if (!(dest->flags & LW_DEST_UNPINNED))
			return 0;
	}
	ep = lw_may_choose(conf, dest) ? lw_choose(conf->flags, slot, dest->group, 0, netns) : NULL;
	if (!ep) {
		if (st && (dest->flags & LW_DEST_UNPINNED) && lw_has_canaries(slot, dest->group))
			st->flags = LW_SK_UNKNOWN;
		return 0;
	}
	if (st)
		st->flags = LW_SK_CHOSEN;
	*addr = ep->addr;
	if (ep->port)
		*port = ep->port;
	return 1;
}

SEC("cgroup/connect4")
int lw_connect4(struct bpf_sock_addr *ctx)
{
	struct lw_addr addr;
	__u16 port = bpf_ntohs(ctx->user_port);

	lw_addr4(&addr, ctx->user_ip4);
	if (lw_connect(ctx, &addr, &port)) {
		ctx->user_ip4 = ((__u32 *)addr.ip)[3];
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

SEC("cgroup/connect6")
int lw_connect6(struct bpf_sock_addr *ctx)
{
	struct lw_addr addr;
	__u32 *w = (__u32 *)addr.ip;
	__u16 port = bpf_ntohs(ctx->user_port);

	w[0] = ctx->user_ip6[0];
	w[1] = ctx->user_ip6[1];
	w[2] = ctx->user_ip6[2];
	w[3] = ctx->user_ip6[3];
	if (lw_connect(ctx, &addr, &port)) {
		ctx->user_ip6[0] = w[0];
		ctx->user_ip6[1] = w[1];
		ctx->user_ip6[2] = w[2];
		ctx->user_ip6[3] = w[3];
		ctx->user_port = bpf_htons(port);
	}
	return 1;
}

/*
 * The address the application asked for, if connect chose another. Where it did not, somebody else may have, who answers this by himself:
 * to say here what came to our connect would undo that.
 */
static __always_inline struct lw_sk *lw_asked(struct bpf_sock_addr *ctx)
{
	struct lw_sk *st;

	if (!ctx->sk)
		return NULL;
	st = bpf_sk_storage_get(&lw_sk, ctx->sk, 0, 0);
	return st && (st->role == LW_ROLE_DOWN || st->role == LW_ROLE_CHOSEN) &&
			       (st->flags & LW_SK_CHOSEN) ?
		       st :
		       NULL;
}

SEC("cgroup/getpeername4")
int lw_getpeername4(struct bpf_sock_addr *ctx)
{
	struct lw_sk *st = lw_asked(ctx);

	if (st) {
		ctx->user_ip4 = ((__u32 *)st->asked.ip)[3];
		ctx->user_port = bpf_htons(st->asked_port);
	}
	return 1;
}

SEC("cgroup/getpeername6")
int lw_getpeername6(struct bpf_sock_addr *ctx)
{
	struct lw_sk *st = lw_asked(ctx);
	__u32 *w;

	if (st) {
		w = (__u32 *)st->asked.ip;
		ctx->user_ip6[0] = w[0];
		ctx->user_ip6[1] = w[1];
		ctx->user_ip6[2] = w[2];
		ctx->user_ip6[3] = w[3];
		ctx->user_port = bpf_htons(st->asked_port);
	}
	return 1;
}
