/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The smallest programs that use a socket the way laneway does, for the self-tests at start: what the
 * kernel at hand makes of such sockets decides whether applications' sockets may become such.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_SOCKHASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} downs SEC(".maps"), ups SEC(".maps");

/* Upstream to downstream cookie and back; empty: pass. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} routes SEC(".maps");

/* From an enrolled socket to another one, into whose queue goes what is sent on it. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 256);
	__type(key, __u64);
	__type(value, __u64);
} pasts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u64);
} cookies SEC(".maps");

/* An end of file is handed on, too, the packet without bytes that it is. */
__u32 st_fins;

SEC("sk_msg")
int st_send(struct sk_msg_md *msg)
{
	struct bpf_sock *sk = msg->sk;
	__u64 *cookie, *up, *past, key;

	if (!sk)
		return SK_PASS;
	cookie = bpf_sk_storage_get(&cookies, sk, 0, 0);
	if (!cookie)
		return SK_PASS;
	past = bpf_map_lookup_elem(&pasts, cookie);
	if (past) {
		key = *past;
		return bpf_msg_redirect_hash(msg, &downs, &key, BPF_F_INGRESS);
	}
	up = bpf_map_lookup_elem(&routes, cookie);
	if (!up)
		return SK_PASS;
	key = *up;
	return bpf_msg_redirect_hash(msg, &ups, &key, 0);
}

SEC("sk_skb/stream_verdict")
int st_native(struct __sk_buff *skb)
{
	(void)skb;
	return SK_PASS;
}

SEC("sk_skb/stream_verdict")
int st_reply(struct __sk_buff *skb)
{
	__u64 key = bpf_get_socket_cookie(skb), *down;

	if (!skb->len && !st_fins)
		return SK_PASS;
	down = bpf_map_lookup_elem(&routes, &key);
	if (!down)
		return SK_PASS;
	key = *down;
	return bpf_sk_redirect_hash(skb, &downs, &key, BPF_F_INGRESS);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
