/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * What `laneway trace` shows: one record a request, in a ring of its own. Whoever sends has no time for it: a ring that is full
 * loses the record, and nobody is woken, the agent looks by itself. Callers ask lw_config.hop_lanes first, which is 0
 * while nobody traces.
 */
#include "lib/state.h"

struct lw_hop_trace {
	struct lw_head *h;
	__u32 header, at, len; /* len 0: none */
};

__noinline __u32 lw_hop_trace_len(struct lw_head *h, __u32 i)
{
	struct lw_trace_key key = {};

	return h && lw_trace_id(h, i, &key) ? key.len : 0;
}

/* Of several headers with a trace id it is the first in the order of enum lw_header_id. */
static long lw_hop_trace_cb(__u32 i, void *arg)
{
	struct lw_hop_trace *t = arg;
	__u32 header = (LW_HDR_TRACE_FIRST + i) & (LW_HDR__MAX - 1), cap = t->h->caps.first[header];

	if (!cap)
		return 0;
	cap = (cap - 1) & (LW_CAPTURES - 1);
	t->len = lw_hop_trace_len(t->h, cap);
	if (!t->len)
		return 0;
	t->header = header;
	t->at = t->h->caps.at[cap].value + lw_trace_skip(header);
	return 1;
}

/* f holds what was decided for the request in h. */
__noinline int lw_hop_tell(struct lw_flow *f, struct lw_head *h, __u64 cookie)
{
	struct lw_config *conf = lw_conf();
	const struct lw_flow_up *fu;
	struct lw_hop_trace trace = { .h = h };
	__u32 dice, n, zero = 0;
	struct lw_hop *hop;
	__u64 *lost;

	if (!f || !h || !conf)
		return 0;
	if (conf->hop_workload && conf->hop_workload != f->workload_hash)
		return 0;
	dice = bpf_get_prandom_u32();
	if (dice > conf->hop_sample)
		return 0;
	bpf_loop(LW_HDR_TRACE_LAST - LW_HDR_TRACE_FIRST + 1, lw_hop_trace_cb, &trace, 0);
	/* a killed agent takes nothing out, and cannot say that nobody traces any more */
	hop = lw_agent_alive(conf) ? bpf_ringbuf_reserve(&lw_hops, sizeof(*hop), 0) : NULL;
	if (!hop) {
		lost = bpf_map_lookup_elem(&lw_hops_lost, &zero);
		if (lost)
			__sync_fetch_and_add(lost, 1);
		return 0;
	}
	__builtin_memset(hop, 0, sizeof(*hop));
	hop->at_ns = bpf_ktime_get_ns();
	hop->down = cookie;
	hop->client = f->client;
	hop->client_port = f->client_port;
	hop->asked = f->asked;
	hop->asked_port = f->asked_port;
	hop->lane = f->lane;
	hop->evidence = f->evidence;
	hop->header = f->header;
	hop->reason = f->reason;
	hop->route = f->route;
	hop->pid = f->pid;
	hop->workload_hash = f->workload_hash;
	hop->dice = dice;
	if (f->reason != LW_REASON_REFUSED) {
		fu = &f->ups[f->up & (LW_FLOW_UPS - 1)];
		hop->pod = f->route == LW_ROUTE_PEER ? f->peer : fu->addr;
		hop->pod_port = f->route == LW_ROUTE_PEER ? f->peer_port : fu->port;
	}
	hop->line_len = h->scan.target + h->scan.target_len;
	n = LW_AT_MOST(hop->line_len, LW_HOP_LINE);
	bpf_probe_read_kernel(hop->line, n, h->buf);
	hop->trace_header = trace.header;
	hop->trace_len = trace.len;
	n = LW_AT_MOST(trace.len, LW_HOP_TRACE);
	bpf_probe_read_kernel(hop->trace, n, h->buf + (trace.at & (LW_HEAD_MAX - 1)));
	bpf_ringbuf_submit(hop, BPF_RB_NO_WAKEUP);
	return 0;
}
