/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * sockops: enrols downstream sockets when they are established, finds the pods' ends of upstream connections on this
 * node, and notices the end of downstream and upstream sockets in the same instant the kernel does.
 */
#include "lib/ends.h"
#include "lib/peer.h"

#define LW_AF_INET 2
#define LW_SOL_SOCKET 1
#define LW_SO_SNDBUF 7
#define LW_SO_RCVBUF 8

/* A context field must be read at a constant offset: compilers like to merge two reads into one. */
#define LW_CTX(ctx, field)                                                                     \
	({                                                                                     \
		__u32 value_;                                                                  \
		asm volatile("%0 = *(u32 *)(%1 + %2)"                                          \
			     : "=r"(value_)                                                    \
			     : "r"(ctx), "i"(__builtin_offsetof(struct bpf_sock_ops, field))); \
		value_;                                                                        \
	})

static __always_inline void lw_sock_local(struct bpf_sock_ops *ctx, struct lw_addr *local,
					  struct lw_addr *peer)
{
	__u32 *l = (__u32 *)local->ip, *p = (__u32 *)peer->ip;

	if (LW_CTX(ctx, family) == LW_AF_INET) {
		lw_addr4(local, LW_CTX(ctx, local_ip4));
		lw_addr4(peer, LW_CTX(ctx, remote_ip4));
		return;
	}
	l[0] = LW_CTX(ctx, local_ip6[0]);
	l[1] = LW_CTX(ctx, local_ip6[1]);
	l[2] = LW_CTX(ctx, local_ip6[2]);
	l[3] = LW_CTX(ctx, local_ip6[3]);
	p[0] = LW_CTX(ctx, remote_ip6[0]);
	p[1] = LW_CTX(ctx, remote_ip6[1]);
	p[2] = LW_CTX(ctx, remote_ip6[2]);
	p[3] = LW_CTX(ctx, remote_ip6[3]);
}

#define LW_EBUSY 16

/* Is it in a sockmap? It has just been established: not in one of ours. */
static __always_inline int lw_is_taken(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return tp && lw_psock_of((__u64)tp);
}

/*
 * Has it been told to say when what is sent without a copy is through (MSG_ZEROCOPY)? Of what goes by sk_msg nobody says so if it is steered, and
 * more than once if not (tcp_bpf_push() sends each piece with the caller's flags).
 */
static __always_inline int lw_is_zero_copy(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	unsigned long flags = 0;

	if (tp)
		bpf_probe_read_kernel(
			&flags, sizeof(flags),
			(void *)tp + bpf_core_field_offset(struct sock, __sk_common.skc_flags));
	return flags >> bpf_core_enum_value(enum sock_flags, SOCK_ZEROCOPY) & 1;
}

static __always_inline void lw_enrol(struct bpf_sock_ops *ctx, struct bpf_sock *sk,
				     struct lw_sk *st)
{
	__u64 cookie = st->cookie;
	struct lw_config *conf = lw_conf();
	int size, err;
	struct lw_flow f = {};

	/*
	 * It is in another product's map already. The kernel would refuse a second program of one kind (EBUSY) and run two of
	 * different kinds, one of which knows nothing of steered bytes.
	 */
	if (lw_is_taken(sk)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_FOREIGN);
		return;
	}
	if (lw_is_zero_copy(sk)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_ZEROCOPY);
		return;
	}

	lw_sock_local(ctx, &f.client, &f.peer);
	if (conf && (conf->flags & LW_CONF_KEEPS_PODS)) {
		struct lw_addr client = f.client;

		if (st->host_pod)
			lw_host_pod_addr(&client, st->host_pod);
		if (bpf_map_lookup_elem(&lw_kept_pods, &client)) {
			lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_POD);
			return;
		}
	}
	f.client_port = ctx->local_port;
	f.peer_port = bpf_ntohl(ctx->remote_port);
	f.asked = st->asked;
	f.asked_port = st->asked_port;
	f.netns = st->netns;
	f.host_pod = st->host_pod;
	f.pid = st->pid;
	f.workload = st->workload;
	f.group = st->group;
	f.peer_unknown = !!(st->flags & LW_SK_UNKNOWN);
	if (conf && (conf->flags & LW_CONF_TCP_SHORT) && lw_agent_alive(conf) &&
	    lw_may_be_plain(&f, conf->generation & 1)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_TCP_MEMORY);
		return;
	}
	f.since_ns = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&lw_flows, &cookie, &f, BPF_ANY)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_FLOWS_FULL);
		return;
	}
	err = bpf_sock_ops_cb_flags_set(ctx,
					ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG);
	if (!err)
		err = bpf_sock_hash_update(ctx, &lw_down_socks, &cookie, BPF_ANY);
	if (err) {
		bpf_map_delete_elem(&lw_flows, &cookie);
		lw_count(0, 0, LW_EVIDENCE_NONE,
			 err == -LW_EBUSY ? LW_REASON_FOREIGN : LW_REASON_ENROL);
		return;
	}
	/* steered bytes do not wait in TCP's window: room for a window of them (docs/operations.md) */
	size = conf ? conf->down_rcvbuf : 0;
	if (size)
		bpf_setsockopt(ctx, LW_SOL_SOCKET, LW_SO_RCVBUF, &size, sizeof(size));
	/*
	 * Room for a whole upload: the kernel wakes who sleeps in recv(2) also when a buffer that was full has room
	 * again, and on a socket with programs the call then returns EAGAIN (tcp_bpf_recvmsg_parser() waits but once).
	 */
	size = conf ? conf->down_sndbuf : 0;
	if (size)
		bpf_setsockopt(ctx, LW_SOL_SOCKET, LW_SO_SNDBUF, &size, sizeof(size));
	{ /* a block of its own, as others above, lets what is no longer needed share the stack */
		struct lw_tuple tuple;

		lw_flow_tuple(&f, &tuple);
		bpf_map_update_elem(&lw_tuples, &tuple, &cookie, BPF_ANY);
	}
}

/* The tuple of the connection as the pod sees it; `far`: ctx is the pod's end, else the upstream socket. */
static __always_inline void lw_far_tuple(struct bpf_sock_ops *ctx, struct lw_tuple *t, __u32 far)
{
	__u16 local = LW_CTX(ctx, local_port), remote = bpf_ntohl(LW_CTX(ctx, remote_port));

	if (far) {
		lw_sock_local(ctx, &t->local, &t->peer);
		t->local_port = local;
		t->peer_port = remote;
	} else {
		lw_sock_local(ctx, &t->peer, &t->local);
		t->peer_port = local;
		t->local_port = remote;
	}
}

/* An upstream socket has its ports and is about to send SYN: its pod may be on this node. */
static __always_inline void lw_up_connecting(struct bpf_sock_ops *ctx, struct lw_sk *st)
{
	struct lw_connecting c = { .up = st->cookie };
	struct lw_config *conf = lw_conf();
	struct lw_tuple t = {};

	if (!conf || !(conf->flags & LW_CONF_BYPASS))
		return;
	lw_far_tuple(ctx, &t, 0);
	c.sk = (__u64)ctx->sk;
	bpf_map_update_elem(&lw_connecting, &t, &c, BPF_ANY);
}

/*
 * A socket accepted by a pod that is in a lane. If it is the other end of an upstream connection, requests and
 * responses may take the bypass. Addresses alone would not prove it, a pod can give itself any; that both
 * ends agree on both initial sequence numbers does (RFC 9293, 3.4.1).
 */
static __always_inline void lw_far_accepted(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct lw_config *conf = lw_conf();
	struct lw_connecting *c;
	const struct lw_pod *pod;
	struct lw_tuple t = {};
	struct lw_far far = {};
	struct lw_sk *st;
	__u64 up;

	if (!conf || !(conf->flags & LW_CONF_BYPASS) || (conf->flags & LW_CONF_STOPPED))
		return;
	lw_far_tuple(ctx, &t, 1);
	pod = lw_pod_of(conf->generation & 1, &t.local);
	if (!pod || !pod->lane)
		return;
	c = bpf_map_lookup_elem(&lw_connecting, &t);
	if (!c)
		return;
	up = c->up;
	far.up_sk = c->sk;
	far.sk = (__u64)sk;
	if (LW_TCP_FIELD(far.up_sk, snd_una) != LW_CTX(ctx, rcv_nxt) ||
	    LW_TCP_FIELD(far.up_sk, rcv_nxt) != LW_CTX(ctx, snd_nxt))
		return;
	bpf_map_delete_elem(&lw_connecting, &t);
	far.netns = bpf_get_netns_cookie(ctx);
	if (bpf_map_lookup_elem(&lw_spliced, &far.netns)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_SPLICE);
		return;
	}
	if ((conf->flags & LW_CONF_KEEPS_PODS) && bpf_map_lookup_elem(&lw_kept_pods, &t.local)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_POD);
		return;
	}
	if (lw_is_zero_copy(sk)) {
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_KEPT_ZEROCOPY);
		return;
	}
	if (lw_is_taken(sk)) {
		/* the pod's own programs would not see what passes TCP by */
		lw_count(0, 0, LW_EVIDENCE_NONE, LW_REASON_FOREIGN);
		return;
	}
	st = bpf_sk_storage_get(&lw_sk, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!st)
		return;
	st->role = LW_ROLE_FAR;
	st->cookie = up;
	if (bpf_sock_ops_cb_flags_set(ctx,
				      ctx->bpf_sock_ops_cb_flags | BPF_SOCK_OPS_STATE_CB_FLAG) ||
	    bpf_sock_hash_update(ctx, &lw_far_socks, &up, BPF_NOEXIST))
		return;
	bpf_map_update_elem(&lw_fars, &up, &far, BPF_ANY);
}

static __always_inline int lw_is_mptcp(struct bpf_sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);
	__u8 is = 0;

	if (tp && bpf_core_field_exists(tp->is_mptcp))
		bpf_probe_read_kernel(&is, sizeof(is),
				      (void *)tp +
					      bpf_core_field_offset(struct tcp_sock, is_mptcp));
	return is;
}

/* A pod has accepted a connection: what it reads there may tell what it sends for (hook_reads.h). */
static __always_inline void lw_pod_accepted(struct bpf_sock_ops *ctx, struct bpf_sock *sk)
{
	struct lw_config *conf = lw_conf();
	__u64 netns = bpf_get_netns_cookie(ctx);
	struct lw_accepted *a;
	const __u64 *leaf;

	if (!conf || !(conf->flags & LW_CONF_READS) || netns == conf->netns)
		return;
	a = bpf_sk_storage_get(&lw_accepted, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!a) {
		/* what is read there would be missing in all counts, for as long as the connection lasts: nobody says how long */
		lw_add_uncounted(0, 1);
		return;
	}
	lw_far_tuple(ctx, &a->tuple, 1);
	a->copied = LW_CTX(ctx, rcv_nxt);
	a->agent = conf->reads;
	/* before its first request: that is read where the pod that is left alone is another one, which had the address before */
	if (lw_leaf_at(&a->tuple.local, &leaf) && *leaf != netns)
		lw_leaf_forget(&a->tuple.local);
	if (lw_is_mptcp(sk)) {
		a->netns = netns;
		a->unseen = 1;
		lw_unseen_add(a->netns, 1);
	}
}

SEC("sockops")
int lw_sockops(struct bpf_sock_ops *ctx)
{
	struct bpf_sock *sk;
	struct lw_sk *st;

	if (ctx->op != BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB && ctx->op != BPF_SOCK_OPS_STATE_CB &&
	    ctx->op != BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB &&
	    ctx->op != BPF_SOCK_OPS_TCP_CONNECT_CB)
		return 1;
	sk = ctx->sk;
	if (!sk)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_PASSIVE_ESTABLISHED_CB) {
		lw_far_accepted(ctx, sk);
		lw_pod_accepted(ctx, sk);
		return 1;
	}
	st = bpf_sk_storage_get(&lw_sk, sk, 0, 0);
	if (!st)
		return 1;
	if (ctx->op == BPF_SOCK_OPS_TCP_CONNECT_CB) {
		if (st->role == LW_ROLE_UP)
			lw_up_connecting(ctx, st);
		return 1;
	}
	if (ctx->op == BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB) {
		if (st->role == LW_ROLE_DOWN)
			lw_enrol(ctx, sk, st);
		else if (st->role == LW_ROLE_UP)
			bpf_sock_ops_cb_flags_set(ctx, ctx->bpf_sock_ops_cb_flags |
							       BPF_SOCK_OPS_STATE_CB_FLAG);
		return 1;
	}
	if (st->role == LW_ROLE_FAR) {
		__u64 cookie = bpf_get_socket_cookie(ctx);

		if (ctx->args[1] == BPF_TCP_CLOSE)
			bpf_map_delete_elem(&lw_streams, &cookie);
	} else if (st->role == LW_ROLE_DOWN) {
		if (ctx->args[1] == BPF_TCP_CLOSE)
			lw_down_closed(st->cookie);
		else if (ctx->args[1] == BPF_TCP_FIN_WAIT1 || ctx->args[1] == BPF_TCP_LAST_ACK)
			lw_down_fin(st->cookie);
	} else if (st->role == LW_ROLE_UP) {
		__u64 up = st->cookie;

		if (ctx->args[1] == BPF_TCP_CLOSE)
			lw_up_reset(sk, up, ctx->args[0]);
		/* the other side closed it; FIN_WAIT is our own end of file, the answer is yet to come */
		if (ctx->args[1] != BPF_TCP_FIN_WAIT1 && ctx->args[1] != BPF_TCP_FIN_WAIT2)
			lw_up_closed(up);
		if (ctx->args[1] == BPF_TCP_CLOSE)
			bpf_map_delete_elem(&lw_fars, &up);
		/* its state is the one before until this program is through (tcp_set_state()) */
		if (ctx->args[1] != BPF_TCP_CLOSE_WAIT)
			lw_up_ended(sk, up);
	}
	return 1;
}
