/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#pragma once
/*
 * Which requests a thread, and a process, has read and not yet answered: read when the bytes up to the end of its head
 * have gone to the application, answered with the next bytes the application sends on that connection, but for interim responses and the rest of the
 * answer before. What is read on a connection whose requests are not known counts as unknown, until one is known again (LW_ACC_STICKY) or the
 * connection ends (LW_ACC_FOR_GOOD).
 *
 * A process whose answers come from the threads that read the requests and sent others for them, one at a time, while its other threads read or
 * answer requests of any lane, is taken to work like that (lw_task.proven); the first answer by another thread, or the
 * first request that is read before the one before is answered, ends that for good. Others that merely wait meanwhile
 * prove nothing: then no thread had an occasion to take up another's request. Nor do requests for which nothing was waited for: there
 * was no occasion to leave the thread.
 *
 * When requests came and went is noted for the sake of children (lib/evidence.h).
 */
#include "laneway/inbound.h"
#include "lib/at_work.h"
#include "lib/older.h"
#include "lib/says.h"

/* Bytes were read that were not seen arriving: they count as unknown until the connection's next request. */
static __always_inline int lw_hold_unseen(struct lw_accepted *a, __u32 write_seq)
{
	if (!(a->flags & LW_ACC_STICKY) || !lw_holds_here(a))
		lw_hold(a, LW_IN_UNKNOWN, LW_ACC_STICKY, write_seq);
	return 0;
}

static __always_inline struct lw_in *lw_in_of(const struct lw_accepted *a, __u16 opening)
{
	struct lw_tuple tuple = a->tuple;
	struct lw_in *in = bpf_map_lookup_elem(&lw_inbound, &tuple);

	return in && in->state == LW_IN_FOLLOWED && in->opening == opening ? in : NULL;
}

/* Of the pod whose address was connected to; NULL: it is read like any other. */
static __always_inline struct lw_leaf *lw_leaf_read(struct lw_accepted *a)
{
	const __u64 *netns;
	struct lw_leaf *leaf = lw_leaf_at(&a->tuple.local, &netns);

	if (!leaf || *netns == a->netns)
		return leaf;
	lw_leaf_forget(&a->tuple.local);
	return NULL;
}

static __always_inline __u64 lw_netns_of(struct task_struct *task)
{
	return task->nsproxy->net_ns->net_cookie;
}

/* Is the reader of the pod, and no process that reads and calls in several? What those are at work on is counted with them. */
static __always_inline int lw_reads_at_home(const struct lw_accepted *a)
{
	struct task_struct *task = bpf_get_current_task_btf();

	return lw_netns_of(task) == a->netns && lw_netns_of(task->group_leader) == a->netns;
}

/*
 * Bytes that have arrived were looked at with MSG_PEEK. If a request may be among them the application may be at work on it: the process that has looked
 * last, if the connection was handed over since.
 */
static __noinline int lw_looked(struct lw_accepted *a, __u32 copied, __u32 write_seq, __u32 opening)
{
	struct lw_config *conf = lw_conf();
	struct lw_in *in;
	__u32 requests;

	if (!conf || (a->held && (!(a->flags & LW_ACC_UNANSWERED) || lw_holds_here(a))))
		return 0;
	if (a->held && !(a->flags & LW_ACC_LOOKED))
		return lw_hold(a, LW_IN_UNKNOWN, a->flags & LW_ACC_UNANSWERED, write_seq);
	in = conf->flags & LW_CONF_INBOUND ? lw_in_of(a, opening) : NULL;
	if (in) {
		requests = *(const volatile __u32 *)&in->requests;
		if (!requests ||
		    (__s32)(in->last[(requests - 1) & (LW_IN_REQUESTS - 1)].end - copied) <= 0)
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
	struct lw_leaf *leaf = NULL;
	struct tcp_sock *tp;
	struct lw_in *in;
	__u32 was, copied, write_seq, i, n, requests, found = 0, lane = LW_IN_UNKNOWN, expects = 0,
						      fresh, unseen;

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
		a->netns = lw_pointer_at(
			lw_pointer_at((__u64)sk +
				      bpf_core_field_offset(struct sock, __sk_common.skc_net.net)) +
			bpf_core_field_offset(struct net, net_cookie));
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	copied = tp->copied_seq;
	write_seq = tp->write_seq;
	was = a->copied;
	fresh = a->fresh;
	if (conf->flags & LW_CONF_INBOUND)
		leaf = lw_leaf_read(a);
	if (leaf && lw_leaf_state(leaf) == LW_LEAF_ALONE && lw_reads_at_home(a)) {
		a->copied = copied;
		a->fresh = 0;
		if (!a->held)
			lw_hold_leaf(a, leaf, write_seq);
		/* it has called by now, and may have seen nothing at work */
		if ((a->flags & LW_ACC_LEAF) && lw_leaf_state(leaf) != LW_LEAF_ALONE)
			lw_hold(a, LW_IN_UNKNOWN, LW_ACC_BLIND, write_seq);
		return 0;
	}
	if (copied == was && !fresh)
		return lw_looked(a, copied, write_seq, lw_leaf_opening(leaf, conf));
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
	in = lw_in_of(a, lw_leaf_opening(leaf, conf));
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
	    (a->held && !(a->flags & LW_ACC_LOOKED) &&
	     ((__s32)(write_seq - a->write_seq) <= 0 || (a->sent & LW_SENT_BEFORE))) ||
	    (fresh && lw_older_still(conf) && lw_older_at_work(sk))) {
		lane = LW_IN_UNKNOWN;
		n = LW_ACC_FOR_GOOD;
	}
	lw_hold(a, lane, n, write_seq);
	return 0;
}

/* No send is larger (MAX_RW_COUNT). */
#define LW_SEND_MAX 0x7fffffff

/* Where `size` bytes end that are about to be sent (msg), or have been. What is read before the answer is told by it to be read so. */
static __always_inline void lw_note_sent(struct lw_accepted *a, struct sock *sk, int size,
					 __u64 msg)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	if (tp)
		a->write_seq = tp->write_seq + (msg ? size : 0);
}

/* lw_sent runs when the client may have the answer and has asked again: by what is sent, not by what was at work before. */
static __always_inline int lw_is_sent_before(const struct lw_accepted *a, struct sock *sk)
{
	struct tcp_sock *tp = bpf_skc_to_tcp_sock(sk);

	return !tp || tp->write_seq == a->write_seq;
}

/* Did the thread that has read the request send one for it? */
static __always_inline int lw_has_called(const struct lw_held *h)
{
	const struct lw_task *t = bpf_map_lookup_elem(&lw_threads, &h->thread);

	return t && t->calls != h->calls;
}

static __always_inline int lw_answered(struct sock *sk, int size, __u64 msg)
{
	struct lw_accepted *a = bpf_sk_storage_get(&lw_accepted, sk, 0, 0);
	struct lw_config *conf = lw_conf();
	struct lw_held h = {};
	struct lw_task *p;
	int says;

	if (conf && size > 0 && lw_older_still(conf))
		lw_older_sent(sk, msg);
	if (!a || !conf || a->agent != conf->reads || !a->held || size <= 0 ||
	    (a->flags & (LW_ACC_FOR_GOOD | LW_ACC_LOOKED)) || (!msg && lw_is_sent_before(a, sk)))
		return 0;
	says = lw_says(msg);
	if (says == LW_SAYS_INTERIM || (says == LW_SAYS_UNKNOWN && (a->flags & LW_ACC_EXPECTS) &&
					!a->sent && size <= LW_INTERIM_MAX)) {
		a->sent |= LW_SENT_INTERIM;
		lw_note_sent(a, sk, size, msg);
		return 0;
	}
	/* the rest of it, or of the answer before, if this request has come in the midst of that */
	if (says == LW_SAYS_ELSE && (a->sent || !(a->flags & LW_ACC_BLIND))) {
		if (!a->sent)
			a->sent = LW_SENT_BEFORE;
		else if (a->sent == LW_SENT_INTERIM)
			lw_note_sent(a, sk, size, msg);
		return 0;
	}
	if (a->flags & LW_ACC_STICKY) {
		a->sent = LW_SENT_ANSWER;
		return 0;
	}
	if (!lw_take(a, &h, LW_ACC_UNANSWERED))
		return 0;
	p = h.flags & (LW_ACC_UNCOUNTED | LW_ACC_LEAF) ? NULL :
							 bpf_map_lookup_elem(&lw_procs, &h.proc);
	if (p && !(h.flags & LW_ACC_BLIND)) {
		if ((__u32)bpf_get_current_pid_tgid() != h.thread.tid) {
			if (!(p->flags & LW_TASK_HANDS_OVER))
				__sync_fetch_and_or(&p->flags, LW_TASK_HANDS_OVER);
		} else if (h.lane < LW_IN_UNKNOWN) {
			if (p->proven < LW_TASK_PROVEN && p->turns != h.turn &&
			    !(h.flags & LW_ACC_NO_THREAD) &&
			    /* not another by the same number */
			    bpf_get_current_task_btf()->start_time == h.thread.started &&
			    lw_has_called(&h))
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

	return lw_answered((struct sock *)ctx[0], LW_AT_MOST(size, LW_SEND_MAX), ctx[1]);
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
		lw_older_closed(sk);
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

	return state == BPF_TCP_FIN_WAIT1 || state == BPF_TCP_LAST_ACK ?
		       lw_closed((struct sock *)ctx[0]) :
		       0;
}

/* The connection is gone, and the application has closed it. */
SEC("tp_btf/tcp_destroy_sock")
int lw_gone(__u64 *ctx)
{
	return lw_closed((struct sock *)ctx[0]);
}
