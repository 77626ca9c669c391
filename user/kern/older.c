/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that pods had accepted before the agent came. Accepted are those whose port is listened on in their
 * network namespace: sock_diag does not tell which end has connected. A port that is no longer listened on is missed.
 *
 * Where the last bytes came in, a request is at work that nobody has seen arriving; where they went out, none is. Both times
 * are of the kernel's clock of jiffies: if they are the same, one may be.
 *
 * But what went out may have been no answer. An earlier agent of this build has left what it saw of each connection (lw_accepted): a request that had
 * been read by then and not answered is at work still, unless something was sent since.
 */
#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/internal.h"
#include "kern/netns.h"
#include "kern/reads.h"
#include "kern/sock_diag.h"

#define BIT(state) (1u << (state))
/* A tick of the kernel's clock of jiffies is 10 ms at most, and it is read twice. */
#define JIFFY_MS 20
/* In which the kernel tells of no more sockets of a pod. */
#define DUMP_PATIENCE_MS 1000
/* In which it loads modules for the first who asks. */
#define MODULES_PATIENCE_MS 10000
/* So many pods are waited for. */
#define GIVEN_UP_MAX 4

struct older {
	const struct lw_kern *kern;
	int map, work, pods;
	struct lw_older_count *counts; /* mmapped */
	size_t found, at_work, npods; /* npods: with an index of their own */
	unsigned int given_up; /* pods */
	uint64_t netns; /* the namespace at hand */
	uint64_t asked_ns; /* when the kernel was asked what is at hand */
	unsigned int patience_ms;
	uint32_t pod; /* its index, once pod_known; 0: there was no room */
	bool full, pod_known;
	unsigned char listened[65536 / 8]; /* by port, of the namespace at hand */
};

static void note_listener(void *arg, const struct lw_sock_seen *seen)
{
	struct older *older = arg;
	unsigned int port = ntohs(seen->msg->id.idiag_sport);

	older->listened[port / 8] |= (unsigned char)(1u << (port % 8));
}

static bool accepted(const struct older *older, const struct inet_diag_msg *m)
{
	unsigned int port = ntohs(m->id.idiag_sport);

	return older->listened[port / 8] >> (port % 8) & 1;
}

static uint64_t cookie_of(const struct inet_diag_msg *m)
{
	return (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
}

enum at_work { AT_REST, AT_WORK, MAYBE_AT_WORK };

static enum at_work by_times(const struct tcp_info *info)
{
	if (!info)
		return MAYBE_AT_WORK;
	if (!info->tcpi_bytes_received)
		return AT_REST;
	/* milliseconds since then */
	if (info->tcpi_last_data_recv != info->tcpi_last_data_sent || !info->tcpi_bytes_sent)
		return info->tcpi_last_data_recv < info->tcpi_last_data_sent ||
				       !info->tcpi_bytes_sent ?
			       AT_WORK :
			       AT_REST;
	return MAYBE_AT_WORK;
}

/* That the earlier agent's hooks have counted to the end; *until says what ends it. */
static bool was_at_work(const struct older *older, const struct lw_sock_seen *seen,
			enum lw_older_until *until)
{
	struct lw_accepted a;

	if (!seen->storage || !older->kern->reads_before)
		return false;
	memcpy(&a, seen->storage, sizeof(a));
	if (a.agent != older->kern->reads_before || !a.held ||
	    ((a.flags & LW_ACC_STICKY) && (a.sent & LW_SENT_ANSWER)))
		return false;
	/* how it is answered shows nothing: it need not be a request, or it need not be the one that is */
	*until = a.flags & LW_ACC_FOR_GOOD ? LW_OLDER_CLOSED :
		 a.flags & LW_ACC_BLIND	   ? LW_OLDER_SENT :
					     LW_OLDER_RESPONSE;
	return true;
}

/* Since then, as far as that can be told. */
static bool nothing_was_sent(const struct older *older, const struct tcp_info *info)
{
	uint64_t ago_ms = (older->asked_ns - older->kern->reads_before_ns) / LW_NS_PER_MS;

	return info && info->tcpi_last_data_sent > ago_ms + JIFFY_MS;
}

static enum at_work at_work(const struct older *older, const struct lw_sock_seen *seen,
			    enum lw_older_until *until)
{
	enum at_work work = by_times(seen->info);

	*until = LW_OLDER_SENT;
	if (!was_at_work(older, seen, until) || work == AT_WORK)
		return work;
	return *until == LW_OLDER_CLOSED || nothing_was_sent(older, seen->info) ? AT_WORK :
										  MAYBE_AT_WORK;
}

/* The index of the pod at hand in lw_older_counts. */
static uint32_t pod_index(struct older *older)
{
	uint32_t next = (uint32_t)older->npods + 1;

	if (older->pod_known)
		return older->pod;
	older->pod_known = true;
	older->pod = 0;
	if (next < LW_MAX_OLDER_PODS &&
	    !bpf_map_update_elem(older->pods, &older->netns, &next, BPF_ANY)) {
		older->npods++;
		older->pod = next;
	}
	return older->pod;
}

static void count(struct older *older, const struct lw_older_work *w, int64_t n)
{
	struct lw_older_count *c = &older->counts[w->pod];

	__atomic_add_fetch(w->doubt ? &c->doubt : &c->sure, (uint64_t)n, __ATOMIC_RELAXED);
}

static void note_work(struct older *older, uint64_t cookie, const struct lw_older_work *w)
{
	count(older, w, 1); /* first: whoever deletes it takes it off again */
	/* listed twice, or noted by a try that failed: its row stands, and so does its count */
	if (bpf_map_update_elem(older->work, &cookie, w, BPF_NOEXIST) && errno != EEXIST) {
		count(older, w, -1);
		older->full = true;
	}
}

static void note_connection(void *arg, const struct lw_sock_seen *seen)
{
	const struct inet_diag_msg *m = seen->msg;
	struct older *older = arg;
	struct lw_tuple t = { .local_port = ntohs(m->id.idiag_sport),
			      .peer_port = ntohs(m->id.idiag_dport) };
	uint64_t cookie = cookie_of(m);
	enum lw_older_until until;
	enum at_work work;

	if (!accepted(older, m))
		return;
	lw_sock_diag_addr(m, m->id.idiag_src, &t.local);
	lw_sock_diag_addr(m, m->id.idiag_dst, &t.peer);
	if (bpf_map_update_elem(older->map, &cookie, &t, BPF_ANY))
		older->full = true;
	else
		older->found++;
	work = at_work(older, seen, &until);
	if (work != AT_REST) {
		struct lw_older_work w = { .pod = pod_index(older),
					   .doubt = work == MAYBE_AT_WORK,
					   .until = (__u16)until };

		note_work(older, cookie, &w);
		older->at_work++;
	}
}

/* Was it answered, or may it have been, after it had been listed, and before it was noted? From then on lw_reads sees it. */
static void look_again(void *arg, const struct lw_sock_seen *seen)
{
	uint64_t cookie = cookie_of(seen->msg);
	struct older *older = arg;
	enum lw_older_until until;
	struct lw_older_work w;
	enum at_work work;

	if (!accepted(older, seen->msg) || bpf_map_lookup_elem(older->work, &cookie, &w))
		return;
	work = at_work(older, seen, &until);
	if (work == AT_WORK || (work == MAYBE_AT_WORK && w.doubt) ||
	    bpf_map_delete_elem(older->work, &cookie))
		return;
	count(older, &w, -1);
	if (work == MAYBE_AT_WORK) {
		w.doubt = 1;
		note_work(older, cookie, &w);
	}
}

static void nothing(void *arg, const struct lw_sock_seen *seen)
{
	(void)arg;
	(void)seen;
}

static int each(struct older *older, int sock, int family, uint32_t states, lw_sock_cb cb)
{
	const struct lw_sock_asked asked = {
		.family = family,
		.states = states,
		.netns = older->netns,
		.info = true,
		.storage = older->kern->reads_before ?
				   bpf_map__fd(older->kern->skel->maps.lw_accepted) :
				   -1,
		.patience_ms = older->patience_ms
	};

	older->asked_ns = lw_clock_ns();
	return lw_sock_diag_each(sock, &asked, cb, older);
}

/* A question about nobody's sockets: those that listen are not locked for it. As each(). */
static int ask(struct older *older, unsigned int patience_ms)
{
	_cleanup_close_ int sock =
		socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
	const unsigned int usual = older->patience_ms;
	int r;

	older->netns = 0;
	older->patience_ms = patience_ms;
	r = sock < 0 ? -errno : each(older, sock, AF_INET, BIT(BPF_TCP_LISTEN), nothing);
	older->patience_ms = usual;
	return r;
}

/* Has the kernel load what it takes (inet_diag_lock_handler()): that must not pass for a pod's doing. */
static int load_modules(struct older *older)
{
	int r = 0;

	/* built in it is not seen there, and the kernel is asked in vain */
	if (access("/sys/module/tcp_diag", F_OK))
		r = ask(older, MODULES_PATIENCE_MS);
	return r == -EINPROGRESS ? -EBUSY : r;
}

/* Does the kernel tell of nobody's sockets meanwhile? One of 6.1 has one lock for all dumps (inet_diag_lock_handler()). */
static bool is_stuck(struct older *older)
{
	return ask(older, DUMP_PATIENCE_MS) == -EINPROGRESS;
}

/* Of no request of this pod can be said any more whether it is at work. 0, or -EBUSY: nor of the others'. */
static int give_up(struct older *older)
{
	struct lw_unseen_args args = { .netns = older->netns };

	lw_warn("list the connections that a pod has accepted (network namespace cookie %llu): one of its processes has kept a socket "
		"locked for long; of what it sends, the lane is known by tags and trace ids alone",
		(unsigned long long)older->netns);
	if (++older->given_up > GIVEN_UP_MAX || is_stuck(older))
		return -EBUSY;
	return lw_kern_call(older->kern->skel->progs.lw_unseen, &args, sizeof(args));
}

static int look(int sock, void *arg)
{
	static const struct {
		uint32_t states;
		lw_sock_cb cb;
	} passes[] = {
		{ BIT(BPF_TCP_LISTEN), note_listener },
		{ BIT(BPF_TCP_ESTABLISHED) | BIT(BPF_TCP_CLOSE_WAIT), note_connection },
		{ BIT(BPF_TCP_ESTABLISHED) | BIT(BPF_TCP_CLOSE_WAIT), look_again },
	};
	struct older *older = arg;
	socklen_t len = sizeof(older->netns);
	int r = 0;

	memset(older->listened, 0, sizeof(older->listened));
	older->pod_known = false;
	if (getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &older->netns, &len))
		return -errno;
	for (size_t i = 0; !r && i < sizeof(passes) / sizeof(passes[0]); i++) {
		r = each(older, sock, AF_INET, passes[i].states, passes[i].cb);
		if (!r)
			r = each(older, sock, AF_INET6, passes[i].states, passes[i].cb);
	}
	return r == -EINPROGRESS ? give_up(older) : r;
}

int lw_reads_add_older(struct lw_kern *kern)
{
	const size_t size = LW_MAX_OLDER_PODS * sizeof(struct lw_older_count);
	_cleanup_free_ struct older *older = calloc(1, sizeof(*older));
	_cleanup_(lw_netns_free) struct lw_netns *ns = NULL;
	int r;

	if (!older)
		return -ENOMEM;
	older->kern = kern;
	older->patience_ms = DUMP_PATIENCE_MS;
	older->map = bpf_map__fd(kern->skel->maps.lw_older);
	older->work = bpf_map__fd(kern->skel->maps.lw_older_work);
	older->pods = bpf_map__fd(kern->skel->maps.lw_older_pods);
	older->counts = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED,
			     bpf_map__fd(kern->skel->maps.lw_older_counts), 0);
	if (older->counts == MAP_FAILED)
		return -errno;
	memset(older->counts, 0, size); /* of an earlier agent's time */
	/* before the first is listed: what is answered, and read on those that are noted, is seen from now on */
	__atomic_store_n(&kern->config->older_ns, lw_clock_ns(), __ATOMIC_RELEASE);
	lw_kern_set_flag(kern, LW_CONF_OLDER, true);
	/* a connection that went by lw_sockops before that looked is listed: its state follows in the same softirq */
	r = lw_wait_for_programs(kern);
	if (!r)
		r = load_modules(older);
	if (!r)
		r = lw_netns_new(&ns);
	if (!r)
		r = lw_netns_each(ns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG, look, older);
	if (!r && older->full)
		r = -E2BIG;
	if (r || !older->found)
		lw_kern_set_flag(kern, LW_CONF_OLDER, false);
	/* then nobody need look for them with each answer */
	if (!older->at_work)
		__atomic_store_n(&kern->config->older_ns, 0, __ATOMIC_RELEASE);
	munmap(older->counts, size);
	lw_debug("%zu connections that pods had accepted before, %zu with a request at work",
		 older->found, older->at_work);
	return r;
}
