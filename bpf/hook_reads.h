/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Which requests a thread, and a process, has read and not yet answered: read when the bytes up to the end of its head
 * have gone to the application, answered with the next bytes the application sends on that connection. What is read on a
 * connection whose requests are not known counts as unknown, for as long as the connection lasts.
 *
 * Counts are exact: each connection says in its storage what it has added, and that is taken off once, whoever comes
 * first. Where a process' count cannot be kept for want of room that is counted too (lw_uncounted).
 *
 * A process whose answers come from the threads that read the requests, one at a time, while its other threads read or
 * answer requests of any lane, is taken to work like that (lw_task.proven); the first answer by another thread, or the
 * first request that is read before the one before is answered, ends that for good. Others that merely wait meanwhile
 * prove nothing: then no thread had an occasion to take up another's request.
 *
 * When requests came and went is noted for the sake of children (lib/evidence.h).
 */
#include "laneway/inbound.h"
#include "lib/state.h"
#include "lib/tasks.h"

/* Not on the stack, which has no room for it. */
static const struct lw_task lw_at_nothing;

static __always_inline struct lw_task *lw_task_of(void *map, const void *key)
{
	struct lw_task *t = bpf_map_lookup_elem(map, key);

	if (t)
		return t;
	bpf_map_update_elem(map, key, &lw_at_nothing, BPF_NOEXIST);
	return bpf_map_lookup_elem(map, key);
}

/* A connection from the pod itself: over loopback, or to an address of its own. */
static __always_inline int lw_is_inside(const struct lw_tuple *t)
{
	const __u32 *w = (const __u32 *)t->local.ip;

	if (lw_addr_equal(&t->local, &t->peer))
		return 1;
	if (w[0] || w[1])
		return 0;
	return w[2] == bpf_htonl(0xffff) ? t->local.ip[12] == 127 : !w[2] && w[3] == bpf_htonl(1);
}

/* Without --pod-evidence what matters of a pod is whether it is at work for a lane (LW_REASON_ELSEWHERE): all else need not be counted. */
static __always_inline int lw_counts_for_pod(__u32 lane)
{
	const struct lw_config *conf = lw_conf();

	return (lane && lane < LW_IN_UNKNOWN) || (conf && (conf->flags & LW_CONF_POD_EVIDENCE));
}

/*
 * A pod's element is deleted where nothing is at work and a process has ended; if others live, they make another. Elements are
 * used again at once, so that the one at hand may be another pod's by now: it is this one's if it is still found by the
 * key once it cannot be deleted any more, for something is counted there, or by anybody else, for it says that it ends.
 */
static __noinline int lw_pod_may_end(struct lw_task *pod, __u64 netns)
{
	__u64 key = netns;

	if (!(pod->flags & LW_TASK_LEFT) || __sync_val_compare_and_swap(&pod->total, 0, LW_TASK_ENDS) != 0)
		return 0;
	if (bpf_map_lookup_elem(&lw_at_pods, &key) == pod)
		return bpf_map_delete_elem(&lw_at_pods, &key);
	__sync_fetch_and_add(&pod->total, LW_TASK_ENDS);
	return 0;
}

/* 1: counted with its pod. */
static __noinline int lw_pod_add(__u64 netns, __u32 lane)
{
	__u64 key = netns;
	struct lw_task *pod;
	__u32 i;

	for (i = 0; i < 3 && lane <= LW_IN_UNKNOWN; i++) {
		pod = lw_task_of(&lw_at_pods, &key);
		if (!pod)
			return 0;
		if (__sync_fetch_and_add(&pod->total, 1) & LW_TASK_ENDS)
			continue;
		if (bpf_map_lookup_elem(&lw_at_pods, &key) == pod) {
			__sync_fetch_and_add(&pod->n[lane], 1);
			return 1;
		}
		__sync_fetch_and_add(&pod->total, -1);
	}
	return 0;
}

static __noinline int lw_pod_sub(__u64 netns, __u32 lane)
{
	__u64 key = netns;
	struct lw_task *pod = bpf_map_lookup_elem(&lw_at_pods, &key);

	if (!pod || lane > LW_IN_UNKNOWN)
		return 0;
	__sync_fetch_and_add(&pod->n[lane], -1);
	if (__sync_fetch_and_add(&pod->total, -1) == 1)
		lw_pod_may_end(pod, key);
	return 0;
}

static __always_inline void lw_lanes_add(__u64 netns, __u32 lane, __s64 n)
{
	__u32 key = netns & (LW_AT_LANES - 1);
	__u64 *at;

	if (!lane || lane >= LW_IN_UNKNOWN)
		return;
	at = bpf_map_lookup_elem(&lw_at_lanes, &key);
	if (at)
		__sync_fetch_and_add(at, n);
}

/* When comes before how many: who sees that a request is no longer there sees until when it was. */
static __always_inline void lw_task_add(struct lw_task *t, __u32 lane, __s32 n, __u64 now)
{
	lane = LW_AT_MOST(lane, LW_IN_UNKNOWN); /* it is never more; so the verifier knows, too */
	if (!t->total)
		(void)__sync_lock_test_and_set(&t->since, now);
	(void)__sync_lock_test_and_set(&t->at[lane], now);
	__sync_fetch_and_add(&t->n[lane], n);
	__sync_fetch_and_add(&t->total, n);
}

/* What a connection has added to the counts. */
struct lw_held {
	struct lw_task_key thread;
	struct lw_task_key proc;
	__u32 lane;
	__u32 flags;
	__u32 turn;
	__u32 pad;
};

/* What no answer ends. */
#define LW_ACC_UNANSWERED (LW_ACC_STICKY | LW_ACC_FOR_GOOD | LW_ACC_LOOKED)

/*
 * Takes it: 1, or 0 if there is nothing, or of such flags, or another has. An answer comes without the socket's lock, and meanwhile
 * another thread may read the next request there; but what is said of one is written while nothing is held, and no number is held
 * twice. So if the number is still the same, what was read before belongs to it.
 */
static __always_inline int lw_take(struct lw_accepted *a, struct lw_held *h, __u32 but)
{
	__u32 held;

	if (!*(volatile __u32 *)&a->held) /* most often */
		return 0;
	held = __sync_fetch_and_add(&a->held, 0); /* what follows is read after it */
	if (!held)
		return 0;
	h->thread = a->thread;
	h->proc = a->proc;
	h->lane = a->lane;
	h->flags = a->flags;
	h->turn = a->turn;
	return !(h->flags & but) && __sync_val_compare_and_swap(&a->held, held, 0) == held;
}

/* Takes what was taken off the counts. p: its process' element, NULL: not looked up. */
static __always_inline void lw_take_off(struct lw_accepted *a, const struct lw_held *h, struct lw_task *p)
{
	struct lw_task *t = h->flags & LW_ACC_NO_THREAD ? NULL : bpf_map_lookup_elem(&lw_threads, &h->thread);
	__u64 now = bpf_ktime_get_ns();

	if (t)
		lw_task_add(t, h->lane, -1, now);
	if (h->flags & LW_ACC_NO_POD)
		lw_add_uncounted(LW_UNCOUNTED_PODS, -1);
	else if (!(h->flags & LW_ACC_NOT_POD))
		lw_pod_sub(a->netns, h->lane);
	if (h->flags & LW_ACC_UNCOUNTED) {
		lw_add_uncounted(0, -1);
	} else {
		t = p ? p : bpf_map_lookup_elem(&lw_procs, &h->proc);
		if (t)
			lw_task_add(t, h->lane, -1, now);
	}
	lw_lanes_add(a->netns, h->lane, -1); /* at last: who sees none there looks no further */
}

static __noinline int lw_let_go(struct lw_accepted *a)
{
	struct lw_held h = {};

	if (lw_take(a, &h, 0))
		lw_take_off(a, &h, NULL);
	return 0;
}

/* As lw_current_keys(), without a call for each field: programs on tracepoints may follow the kernel's own pointers. */
static __always_inline void lw_reader_keys(struct lw_task_key *thread, struct lw_task_key *proc)
{
	struct task_struct *task = bpf_get_current_task_btf(), *leader = task->group_leader;

	thread->tid = task->pid;
	thread->started = task->start_time;
	proc->tid = leader->pid;
	proc->started = leader->start_time;
}

/* The calling thread has read a request. */
static __noinline int lw_hold(struct lw_accepted *a, __u32 lane, __u32 flags, __u32 write_seq)
{
	struct lw_task_key thread = {}, proc = {};
	struct lw_task *t, *p;
	__u64 now;

	lw_let_go(a);
	lw_lanes_add(a->netns, lane, 1);
	lw_reader_keys(&thread, &proc);
	now = bpf_ktime_get_ns();
	t = lw_task_of(&lw_threads, &thread);
	p = lw_task_of(&lw_procs, &proc);
	a->thread = thread;
	a->proc = proc;
	a->lane = lane;
	a->flags = flags;
	a->write_seq = write_seq;
	a->sent = 0;
	if (t) {
		if (p && !(flags & (LW_ACC_LOOKED | LW_ACC_BLIND)) && t->total != t->n[LW_IN_UNKNOWN] && !(p->flags & LW_TASK_INTERLEAVES))
			__sync_fetch_and_or(&p->flags, LW_TASK_INTERLEAVES);
		lw_task_add(t, lane, 1, now);
	} else {
		a->flags |= LW_ACC_NO_THREAD;
		if (p)
			p->proven = 0; /* whether this thread does so too is not seen */
	}
	if (!lw_counts_for_pod(lane) || lw_is_inside(&a->tuple)) {
		a->flags |= LW_ACC_NOT_POD;
	} else if (!lw_pod_add(a->netns, lane)) {
		a->flags |= LW_ACC_NO_POD;
		lw_add_uncounted(LW_UNCOUNTED_PODS, 1);
	}
	if (p) {
		p->netns = a->netns;
		lw_task_add(p, lane, 1, now);
		if (lane < LW_IN_UNKNOWN)
			a->turn = __sync_fetch_and_add(&p->turns, 1) + 1;
	} else {
		a->flags |= LW_ACC_UNCOUNTED;
		lw_add_uncounted(0, 1);
	}
	a->serial = a->serial + 1 ?: 1;
	(void)__sync_lock_test_and_set(&a->held, a->serial);
	return 0;
}

/* Where the bytes cannot be read: an interim response has no more than that, and no final one that matters less (RFC 9110 15.2.1). */
#define LW_INTERIM_MAX 64

enum lw_says {
	LW_SAYS_UNKNOWN,
	LW_SAYS_INTERIM, /* a response of 1xx begins, after which another one comes; 101 is a last one */
	LW_SAYS_FINAL, /* another one begins */
	LW_SAYS_ELSE, /* none begins */
};

/* What is sent, by its first bytes. msg: a msghdr in the kernel's memory, its bytes in the application's; 0: not at hand. */
static __noinline int lw_says(__u64 msg)
{
	__u64 iter = msg + bpf_core_field_offset(struct msghdr, msg_iter), offset, at, left, part[2] = {};
	static const char begins[] = "HTTP/1.";
	__u8 type = 0;
	char b[12] = {};
	__u32 i;

	if (!msg)
		return LW_SAYS_UNKNOWN;
	bpf_probe_read_kernel(&type, sizeof(type), (void *)iter + bpf_core_field_offset(struct iov_iter, iter_type));
	offset = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, iov_offset));
	if (type == bpf_core_enum_value(enum iter_type, ITER_UBUF)) {
		at = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, ubuf));
		left = lw_pointer_at(iter + bpf_core_field_offset(struct iov_iter, count));
	} else if (type == bpf_core_enum_value(enum iter_type, ITER_IOVEC)) {
		at = bpf_core_field_exists(struct iov_iter, __iov) ? bpf_core_field_offset(struct iov_iter, __iov) :
								     bpf_core_field_offset(struct iov_iter___old, iov);
		bpf_probe_read_kernel(part, sizeof(part), (void *)lw_pointer_at(iter + at)); /* of struct iovec */
		at = part[0];
		left = part[1] - offset;
	} else {
		return LW_SAYS_UNKNOWN;
	}
	left = LW_AT_MOST(left, sizeof(b));
	if (!left || bpf_probe_read_user(b, left, (void *)at + offset))
		return LW_SAYS_UNKNOWN;
	for (i = 0; i < sizeof(begins) - 1; i++)
		if (i < left && b[i] != begins[i])
			return LW_SAYS_ELSE;
	if (left < sizeof(b))
		return LW_SAYS_UNKNOWN;
	return b[9] == '1' && (b[10] != '0' || b[11] != '1') ? LW_SAYS_INTERIM : LW_SAYS_FINAL;
}

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

/* It is answered, by what is sent (msg, see lw_says()), or nobody waits for an answer any more. */
static __always_inline void lw_older_done(struct sock *sk, __u64 msg)
{
	__u64 cookie = bpf_get_socket_cookie(sk);
	struct lw_older_work *w = bpf_map_lookup_elem(&lw_older_work, &cookie);
	struct lw_older_count *count;
	__u32 pod, doubt;

	if (!w || lw_says(msg) == LW_SAYS_INTERIM)
		return;
	pod = w->pod;
	doubt = w->doubt;
	count = bpf_map_lookup_elem(&lw_older_counts, &pod);
	if (!bpf_map_delete_elem(&lw_older_work, &cookie) && count)
		__sync_fetch_and_add(doubt ? &count->doubt : &count->sure, -1);
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

/* Does what is held count with the calling process? The connection may have been handed to it by the one that read before. */
static __always_inline int lw_holds_here(const struct lw_accepted *a)
{
	struct task_struct *leader = bpf_get_current_task_btf()->group_leader;

	return a->held && a->proc.tid == (__u32)leader->pid && a->proc.started == leader->start_time;
}

/* Bytes were read that were not seen arriving: they count as unknown until the connection's next request. */
static __always_inline int lw_hold_unseen(struct lw_accepted *a, __u32 write_seq)
{
	if (!(a->flags & LW_ACC_STICKY) || !lw_holds_here(a))
		lw_hold(a, LW_IN_UNKNOWN, LW_ACC_STICKY, write_seq);
	return 0;
}

static __always_inline struct lw_in *lw_in_of(const struct lw_accepted *a, const struct lw_config *conf)
{
	struct lw_tuple tuple = a->tuple;
	struct lw_in *in = bpf_map_lookup_elem(&lw_inbound, &tuple);

	return in && in->state == LW_IN_FOLLOWED && in->opening == (__u16)conf->openings ? in : NULL;
}

/* Bytes that have arrived were looked at with MSG_PEEK. If a request may be among them the application may be at work on it. */
static __noinline int lw_looked(struct lw_accepted *a, __u32 copied, __u32 write_seq)
{
	struct lw_config *conf = lw_conf();
	struct lw_in *in;
	__u32 requests;

	if (!conf || a->held)
		return 0;
	in = conf->flags & LW_CONF_INBOUND ? lw_in_of(a, conf) : NULL;
	if (in) {
		requests = *(const volatile __u32 *)&in->requests;
		if (!requests || (__s32)(in->last[(requests - 1) & (LW_IN_REQUESTS - 1)].end - copied) <= 0)
			return 0;
	}
	return lw_hold(a, LW_IN_UNKNOWN, LW_ACC_LOOKED, write_seq);
}

/* Bytes have gone to the application, in whose thread this runs; the socket is locked. */
SEC("tp_btf/tcp_rcv_space_adjust")
int lw_read(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct lw_accepted *a = bpf_sk_storage_get(&lw_accepted, sk, 0, 0);
	struct lw_config *conf = lw_conf();
	struct tcp_sock *tp;
	struct lw_in *in;
	__u32 was, copied, write_seq, i, n, requests, found = 0, lane = LW_IN_UNKNOWN, expects = 0, fresh, unseen;

	if (!conf || (conf->flags & LW_CONF_STOPPED) || !conf->reads)
		return 0;
	if (!a && (conf->flags & LW_CONF_OLDER))
		a = lw_older_one(sk, conf->reads);
	if (!a)
		return 0;
	if (a->agent != conf->reads) {
		/* of an earlier agent's time, after which counting began anew: as if it were an older one */
		a->held = 0;
		a->flags = 0;
		a->fresh = 1;
		a->agent = conf->reads;
	}
	if (!a->netns)
		a->netns = lw_pointer_at(lw_pointer_at((__u64)sk + bpf_core_field_offset(struct sock, __sk_common.skc_net.net)) +
					 bpf_core_field_offset(struct net, net_cookie));
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	copied = tp->copied_seq;
	write_seq = tp->write_seq;
	was = a->copied;
	fresh = a->fresh;
	if (copied == was && !fresh)
		return lw_looked(a, copied, write_seq);
	a->copied = copied;
	a->fresh = 0;
	if (a->held && (a->flags & LW_ACC_FOR_GOOD)) {
		if (!lw_holds_here(a))
			lw_hold(a, LW_IN_UNKNOWN, LW_ACC_FOR_GOOD, write_seq);
		return 0;
	}
	if (!(conf->flags & LW_CONF_INBOUND)) {
		if (!(a->flags & LW_ACC_STICKY) || !lw_holds_here(a))
			lw_hold(a, LW_IN_UNKNOWN, LW_ACC_BLIND, write_seq);
		return 0;
	}
	in = lw_in_of(a, conf);
	/* a FIN counts for one */
	if (!in || (__s32)(copied - in->next) > 1)
		return lw_hold_unseen(a, write_seq);
	if (fresh)
		was = in->from;
	requests = *(const volatile __u32 *)&in->requests; /* another CPU may be noting one more */
	for (i = 0; i < LW_IN_REQUESTS; i++) {
		const struct lw_in_request *q = &in->last[i];

		if (i >= requests || (__s32)(q->end - was) <= 0 || (__s32)(copied - q->end) < 0)
			continue;
		found++;
		lane = q->lane;
		expects = q->expects;
	}
	if (fresh && (found > 1 || (!found && (__s32)(copied - was) <= 0)))
		return lw_hold_unseen(a, write_seq);
	/* what came before the connection was followed, or followed again, may be a request */
	unseen = (__s32)(in->from - was) > 0;
	if (unseen && !found)
		return lw_hold_unseen(a, write_seq);
	unseen |= !fresh && lw_in_forgot(in, requests, was);
	if (!found && !unseen)
		return 0;
	n = expects ? LW_ACC_EXPECTS : 0;
	/* several at once, or one before the last is answered: pipelining */
	if (found > 1 || unseen ||
	    (a->held && !(a->flags & LW_ACC_LOOKED) && (write_seq == a->write_seq || (a->sent & LW_SENT_BEFORE))) ||
	    (fresh && lw_older_still(conf) && lw_older_at_work(sk))) {
		lane = LW_IN_UNKNOWN;
		n = LW_ACC_FOR_GOOD;
	}
	lw_hold(a, lane, n, write_seq);
	return 0;
}

static __always_inline int lw_answered(struct sock *sk, int size, __u64 msg)
{
	struct lw_accepted *a = bpf_sk_storage_get(&lw_accepted, sk, 0, 0);
	struct lw_config *conf = lw_conf();
	struct lw_held h = {};
	struct tcp_sock *tp;
	struct lw_task *p;
	int says;

	if (conf && size > 0 && lw_older_still(conf))
		lw_older_done(sk, msg);
	if (!a || !conf || a->agent != conf->reads || !a->held || size <= 0 ||
	    (a->flags & LW_ACC_UNANSWERED))
		return 0;
	/* lw_sent runs when the client may have the answer and has asked again: by what is sent, not by what was at work before */
	tp = msg ? NULL : bpf_skc_to_tcp_sock(sk);
	if (tp && tp->write_seq == a->write_seq)
		return 0;
	says = lw_says(msg);
	if (says == LW_SAYS_INTERIM ||
	    (says == LW_SAYS_UNKNOWN && (a->flags & LW_ACC_EXPECTS) && !a->sent && size <= LW_INTERIM_MAX)) {
		a->sent |= LW_SENT_INTERIM;
		return 0;
	}
	/* the rest of it, or of the answer before, if this request has come in the midst of that */
	if (says == LW_SAYS_ELSE && (a->sent || !(a->flags & LW_ACC_BLIND))) {
		if (!a->sent)
			a->sent = LW_SENT_BEFORE;
		return 0;
	}
	if (!lw_take(a, &h, LW_ACC_UNANSWERED))
		return 0;
	p = h.flags & LW_ACC_UNCOUNTED ? NULL : bpf_map_lookup_elem(&lw_procs, &h.proc);
	if (p && !(h.flags & LW_ACC_BLIND)) {
		if ((__u32)bpf_get_current_pid_tgid() != h.thread.tid) {
			if (!(p->flags & LW_TASK_HANDS_OVER))
				__sync_fetch_and_or(&p->flags, LW_TASK_HANDS_OVER);
		} else if (h.lane < LW_IN_UNKNOWN) {
			if (p->proven < LW_TASK_PROVEN && p->turns != h.turn && !(h.flags & LW_ACC_NO_THREAD) &&
			    bpf_get_current_task_btf()->start_time == h.thread.started) /* not another by the same number */
				__sync_fetch_and_add(&p->proven, 1);
			__sync_fetch_and_add(&p->turns, 1);
		}
	}
	lw_take_off(a, &h, p);
	return 0;
}

/*
 * One of these three is used, the first that the kernel has. The first two run before the bytes are on their way: whoever
 * gets them may ask again before the third has run.
 */
SEC("fentry/tcp_sendmsg")
int lw_sends(__u64 *ctx)
{
	return lw_answered((struct sock *)ctx[0], ctx[2], ctx[1]);
}

/* Linux 6.16 */
SEC("tp_btf/tcp_sendmsg_locked")
int lw_sends_locked(__u64 *ctx)
{
	const struct msghdr *msg = (const struct msghdr *)ctx[1];
	unsigned long size = msg->msg_iter.count;

	return lw_answered((struct sock *)ctx[0], size > LW_INTERIM_MAX ? LW_INTERIM_MAX + 1 : size, ctx[1]);
}

/* Linux 6.3 */
SEC("tp_btf/sock_send_length")
int lw_sent(__u64 *ctx)
{
	return lw_answered((struct sock *)ctx[0], ctx[1], 0);
}

static __always_inline int lw_closed(struct sock *sk)
{
	struct lw_config *conf = lw_conf();
	struct lw_accepted *a;

	if (conf && lw_older_still(conf))
		lw_older_done(sk, 0);
	a = bpf_sk_storage_get(&lw_accepted, sk, 0, 0);
	if (!a || !conf || a->agent != conf->reads)
		return 0;
	if (a->unseen) {
		a->unseen = 0;
		lw_unseen_add(a->netns, -1);
	}
	lw_let_go(a);
	return 0;
}

/* The application has closed its sending side. Not BPF_TCP_CLOSE: that may be a reset, which the program does not know of. */
SEC("tp_btf/inet_sock_set_state")
int lw_closes(__u64 *ctx)
{
	__u32 state = ctx[2];

	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_LAST_ACK ? lw_closed((struct sock *)ctx[0]) : 0;
}

/* The connection is gone, and the application has closed it. */
SEC("tp_btf/tcp_destroy_sock")
int lw_gone(__u64 *ctx)
{
	return lw_closed((struct sock *)ctx[0]);
}

static __always_inline struct lw_task *lw_proc_of(__u64 task)
{
	struct lw_task_key key = {};

	lw_task_key(LW_TASK_POINTER(task, group_leader), &key);
	return bpf_map_lookup_elem(&lw_procs, &key);
}

/*
 * The children of a thread that ends come to another of its process, or to a process above it that is a subreaper, or to the
 * first of its namespace (find_new_reaper()), and look from then on as if they had been started there.
 */
static __always_inline void lw_orphans(__u64 task)
{
	__u64 children = task + bpf_core_field_offset(struct task_struct, children), now, pid, at, first;
	struct lw_task *p;
	__u32 level = 0, i;

	if (lw_pointer_at(children) == children)
		return;
	now = bpf_ktime_get_ns();
	pid = LW_TASK_POINTER(task, thread_pid);
	bpf_probe_read_kernel(&level, sizeof(level), (void *)pid + bpf_core_field_offset(struct pid, level));
	at = pid + bpf_core_field_offset(struct pid, numbers) + (__u64)level * bpf_core_type_size(struct upid) +
	     bpf_core_field_offset(struct upid, ns);
	first = lw_pointer_at(lw_pointer_at(at) + bpf_core_field_offset(struct pid_namespace, child_reaper));
	p = lw_proc_of(first);
	if (p && LW_TASK_POINTER(first, group_leader) != LW_TASK_POINTER(task, group_leader))
		p->adopted = now;
	p = lw_proc_of(task);
	if (p)
		p->moved = now;
	for (i = 0; i < LW_ORPHAN_LEVELS && task; i++) {
		task = LW_TASK_POINTER(task, real_parent);
		p = lw_proc_of(task);
		if (p)
			p->adopted = now;
	}
}

/* Another program, which may work in another way. What is at work on connections that it has still is counted on. */
SEC("tp_btf/sched_process_exec")
int lw_execs(__u64 *ctx)
{
	struct lw_task *p = lw_proc_of(ctx[0]);

	if (!p)
		return 0;
	__sync_fetch_and_and(&p->flags, ~(LW_TASK_HANDS_OVER | LW_TASK_INTERLEAVES));
	p->proven = 0;
	p->turns = 0;
	return 0;
}

SEC("tp_btf/sched_process_exit")
int lw_exits(__u64 *ctx)
{
	__u64 task = ctx[0], signal = 0, netns;
	struct lw_task_key key = {};
	struct lw_task *p;
	int live = 1;

	lw_orphans(task);
	lw_task_key(task, &key);
	bpf_map_delete_elem(&lw_threads, &key);
	bpf_probe_read_kernel(&signal, sizeof(signal), (void *)task + bpf_core_field_offset(struct task_struct, signal));
	bpf_probe_read_kernel(&live, sizeof(live),
			      (void *)signal + bpf_core_field_offset(struct signal_struct, live.counter));
	if (live)
		return 0;
	lw_task_key(LW_TASK_POINTER(task, group_leader), &key);
	p = bpf_map_lookup_elem(&lw_procs, &key);
	if (!p)
		return 0;
	netns = p->netns;
	bpf_map_delete_elem(&lw_procs, &key);
	p = bpf_map_lookup_elem(&lw_at_pods, &netns);
	if (!p)
		return 0;
	__sync_fetch_and_or(&p->flags, LW_TASK_LEFT);
	lw_pod_may_end(p, netns);
	return 0;
}
