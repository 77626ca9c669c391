/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/* Connections that pods had accepted before the agent came, and the requests that were at work on them (user/kern/older.c). */
#include "says.h"
#include "state.h"

static __always_inline int lw_older_still(const struct lw_config *conf)
{
	return conf->older_ns && bpf_ktime_get_ns() - conf->older_ns < LW_OLDER_SURE_NS;
}

/* Is a request on it that was at work when the agent came? */
static __always_inline int lw_older_at_work(struct sock *sk)
{
	__u64 cookie = bpf_get_socket_cookie(sk);

	return bpf_map_lookup_elem(&lw_older_work, &cookie) != NULL;
}

static __always_inline void lw_older_done(const struct lw_older_work *w, __u64 cookie)
{
	__u32 pod = w->pod, doubt = w->doubt;
	struct lw_older_count *count = bpf_map_lookup_elem(&lw_older_counts, &pod);

	if (!bpf_map_delete_elem(&lw_older_work, &cookie) && count)
		__sync_fetch_and_add(doubt ? &count->doubt : &count->sure, -1);
}

/* Is it answered, by what is sent (msg, see lw_says())? */
static __always_inline void lw_older_sent(struct sock *sk, __u64 msg)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	const struct lw_older_work *w = bpf_map_lookup_elem(&lw_older_work, &cookie);
	int says;

	if (!w || w->until == LW_OLDER_CLOSED)
		return;
	says = lw_says(msg);
	if (says != LW_SAYS_INTERIM && (says != LW_SAYS_ELSE || w->until == LW_OLDER_SENT))
		lw_older_done(w, cookie);
}

/* Nobody waits for an answer any more. */
static __always_inline void lw_older_closed(struct sock *sk)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	const struct lw_older_work *w = bpf_map_lookup_elem(&lw_older_work, &cookie);

	if (w)
		lw_older_done(w, cookie);
}

/* A connection that was there before the agent: of those the agent has found. */
static __always_inline struct lw_accepted *lw_older_one(struct sock *sk, __u32 agent)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct lw_tuple *t = bpf_map_lookup_elem(&lw_older, &cookie);
	struct lw_accepted *a;

	if (!t)
		return NULL;
	a = bpf_sk_storage_get(&lw_accepted, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (a) {
		a->tuple = *t;
		a->agent = agent;
		a->fresh = 1;
	} else {
		lw_add_uncounted(0, 1); /* see lw_pod_accepted() */
	}
	bpf_map_delete_elem(&lw_older, &cookie);
	return a;
}
