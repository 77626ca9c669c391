/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * setsockopt: no TLS by the kernel on a downstream socket that carries a verdict. What arrives there is taken out of TCP's queue as it
 * comes, and kernel TLS reads TCP's queue: it warns of one that is empty (tls_strp_load_anchor_with_queue()), and the client gets EBADMSG. Refused it
 * encrypts by itself, as on a kernel without CONFIG_TLS, which answers the same. Newer kernels refuse the key (EINVAL).
 */

#define LW_SOL_TCP 6
#define LW_TCP_ULP 31
#define LW_ENOENT 2

SEC("cgroup/setsockopt")
int lw_setsockopt(struct bpf_sockopt *ctx)
{
	const char *name = ctx->optval;
	struct lw_sk *st;
	__u64 cookie;

	/*
	 * The value is the caller's own, not the copy that programs see (__cgroup_bpf_run_filter_setsockopt()): of one
	 * longer than a page there is no whole copy, and of a key of TLS the kernel warns in 6.18 (copy_from_sockptr_offset()).
	 */
	ctx->optlen = 0;
	if (ctx->level != LW_SOL_TCP || ctx->optname != LW_TCP_ULP || !ctx->sk)
		return 1;
	if ((void *)(name + 3) > ctx->optval_end || name[0] != 't' || name[1] != 'l' ||
	    name[2] != 's')
		return 1;
	st = bpf_sk_storage_get(&lw_sk, ctx->sk, 0, 0);
	if (!st || st->role != LW_ROLE_DOWN)
		return 1;
	cookie = st->cookie;
	if (!bpf_map_lookup_elem(&lw_flows, &cookie))
		return 1;
	bpf_set_retval(-LW_ENOENT);
	return 0;
}
