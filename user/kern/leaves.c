/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/leaves.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "core/bytemap.h"
#include "kern/internal.h"
#include "kern/netns.h"
#include "kern/sock_diag.h"

#define LOOK_S 1.
/* A request is counted when it is read, and when the thread that has read it answers. */
#define TURNS_A_REQUEST 2
/* In which the kernel tells of no more sockets of a pod: the agent has others to serve. */
#define DUMP_PATIENCE_MS 100
/* Of one pod. Further ones are read like any other. */
#define ADDRS_MAX 16
/* Looks between two for rows of pods that have ended. */
#define LOOKS_TO_SWEEP 60
/* Of all states of TCP but LISTEN: whose addresses are the pod's own. */
#define STATES (((1u << (BPF_TCP_CLOSING + 1)) - 2) & ~(1u << BPF_TCP_LISTEN))

struct pod {
	uint64_t netns; /* cookie */
	uint64_t turns; /* of its processes, at this look */
	uint64_t from; /* likewise when counting began */
	pid_t pid; /* of one of them */
};

struct lw_leaves {
	struct lw_kern *kern;
	struct ev_loop *loop;
	ev_timer timer;
	uint64_t after;
	struct lw_bytemap pods; /* by cookie */
	uint32_t openings; /* lw_config.openings, as of the last look */
	uint64_t workloads; /* which ones are in release, likewise */
	unsigned int looks;
};

static int map_of(const struct lw_kern *kern)
{
	return bpf_map__fd(kern->skel->maps.lw_leaves);
}

static int addrs_of(const struct lw_kern *kern)
{
	return bpf_map__fd(kern->skel->maps.lw_leaf_addrs);
}

static int set(const struct lw_kern *kern, uint64_t netns, enum lw_leaf_state state, bool forget)
{
	struct lw_leaf_args args = { .netns = netns, .state = state, .forget = forget };

	return lw_kern_call(kern->skel->progs.lw_leaf_set, &args, sizeof(args));
}

static int each_row(struct lw_kern *kern, lw_row_cb cb, void *arg)
{
	return lw_rows_each(kern, map_of(kern), sizeof(uint64_t), sizeof(struct lw_leaf), cb, arg);
}

struct ending {
	struct lw_kern *kern;
	bool forget; /* what is held, too */
};

static int end_row(const void *key, const void *value, void *arg)
{
	const struct lw_leaf *leaf = value;
	const struct ending *e = arg;
	int r;

	if (leaf->state != LW_LEAF_ALONE && !(e->forget && leaf->held))
		return 0;
	r = set(e->kern, *(const uint64_t *)key, LW_LEAF_NOT, e->forget);
	return r < 0 ? r : 0;
}

int lw_leaves_forget(struct lw_kern *kern)
{
	struct ending e = { kern, true };

	return each_row(kern, end_row, &e);
}

static int count_row(const void *key, const void *value, void *arg)
{
	const struct lw_leaf *leaf = value;
	size_t *n = arg;

	(void)key;
	*n += leaf->state == LW_LEAF_ALONE;
	return 0;
}

/* While no lane is open nobody is, and nobody is left alone. */
static bool is_read(const struct lw_kern *kern)
{
	return kern->skel && kern->config &&
	       (__atomic_load_n(&kern->config->flags, __ATOMIC_RELAXED) & LW_CONF_INBOUND);
}

size_t lw_leaves_count(struct lw_kern *kern)
{
	size_t n = 0;

	if (is_read(kern))
		(void)each_row(kern, count_row, &n);
	return n;
}

bool lw_leaves_is(const struct lw_kern *kern, const struct lw_addr *addr)
{
	struct lw_leaf leaf;
	uint64_t netns;

	return is_read(kern) && !bpf_map_lookup_elem(addrs_of(kern), addr, &netns) &&
	       !bpf_map_lookup_elem(map_of(kern), &netns, &leaf) && leaf.state == LW_LEAF_ALONE;
}

/* The same for the same ones, in any order. */
static uint64_t workloads_in_release(const struct lw_kern *kern)
{
	const struct lw_image *image = kern->slots[kern->config->generation & 1];
	uint64_t sum = 0;

	for (size_t i = 0; image && i < lw_image_rows(image, LW_TABLE_WORKLOADS); i++) {
		const struct lw_workload *w = lw_image_value(image, LW_TABLE_WORKLOADS, i);

		sum += lw_bytes_hash(w->name, strlen(w->name), 0);
	}
	return sum;
}

static bool is_at_work(const struct lw_leaves *leaves)
{
	const uint32_t both = LW_CONF_INBOUND | LW_CONF_READS;
	const struct lw_kern *kern = leaves->kern;

	return !kern->superseded && !kern->left &&
	       (__atomic_load_n(&kern->config->flags, __ATOMIC_RELAXED) & both) == both;
}

static bool drop(void *value, void *arg)
{
	(void)arg;
	free(value);
	return false;
}

static bool reset_turns(void *value, void *arg)
{
	struct pod *pod = value;

	(void)arg;
	pod->turns = 0;
	pod->pid = 0;
	return true;
}

static int add_process(const void *key_, const void *value, void *arg)
{
	const struct lw_task_key *key = key_;
	const struct lw_task *task = value;
	struct lw_leaves *leaves = arg;
	const struct lw_bytes netns = LW_BYTES_OF(task->netns);
	struct pod *pod = lw_bytemap_get(&leaves->pods, &netns, 1);

	if (!pod) {
		pod = calloc(1, sizeof(*pod));
		if (!pod || lw_bytemap_put(&leaves->pods, &netns, 1, pod)) {
			free(pod);
			return -ENOMEM;
		}
		pod->netns = task->netns;
	}
	pod->turns += task->turns;
	pod->pid = (pid_t)key->tid;
	return 0;
}

/* Of the pods that have processes that have read something. */
static int count_turns(struct lw_leaves *leaves)
{
	lw_bytemap_filter(&leaves->pods, reset_turns, NULL);
	return lw_rows_each(leaves->kern, bpf_map__fd(leaves->kern->skel->maps.lw_procs),
			    sizeof(struct lw_task_key), sizeof(struct lw_task), add_process,
			    leaves);
}

static bool begin(void *value, void *arg)
{
	struct pod *pod = value;

	(void)arg;
	pod->from = pod->turns;
	return true;
}

/* Whoever has called none of those that were in release may well call one that is now. */
static void begin_anew_if_changed(struct lw_leaves *leaves)
{
	const uint32_t openings = leaves->kern->config->openings;
	const uint64_t workloads = workloads_in_release(leaves->kern);
	struct ending e = { leaves->kern, false };
	int r;

	if (openings == leaves->openings && workloads == leaves->workloads)
		return;
	r = each_row(leaves->kern, end_row, &e);
	if (!r)
		r = count_turns(leaves);
	if (r) {
		lw_warn("read pods again that were left alone: %s", strerror(-r));
		return; /* with the next look once more */
	}
	leaves->openings = openings;
	leaves->workloads = workloads;
	lw_bytemap_filter(&leaves->pods, begin, NULL);
}

/* Addresses of a pod. */
struct found {
	struct lw_addr addrs[ADDRS_MAX];
	size_t n;
};

/* Those packets come to by no device. */
static bool is_inside(const struct lw_addr *addr)
{
	static const struct lw_addr one = { .ip = { [15] = 1 } }, none = {};

	return lw_addr_is_v4(addr) ?
		       addr->ip[12] == 127 || addr->ip[12] == 0 :
		       !memcmp(addr, &one, sizeof(one)) || !memcmp(addr, &none, sizeof(none));
}

static void add_address(void *arg, const struct lw_sock_seen *seen)
{
	const struct inet_diag_msg *m = seen->msg;
	struct found *found = arg;
	struct lw_addr addr;

	lw_sock_diag_addr(m, m->id.idiag_src, &addr);
	if (is_inside(&addr))
		return;
	for (size_t i = 0; i < found->n; i++)
		if (!memcmp(&found->addrs[i], &addr, sizeof(addr)))
			return;
	if (found->n < ADDRS_MAX)
		found->addrs[found->n++] = addr;
}

/* Those that its connections have now: who has none is asked again at the next look. */
static int find_addresses(struct lw_netns *ns, const struct pod *pod, struct found *found)
{
	static const int families[] = { AF_INET, AF_INET6 };
	_cleanup_close_ int sock =
		lw_netns_socket(ns, pod->netns, pod->pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	int r = sock < 0 ? sock : 0;

	for (size_t i = 0; !r && i < sizeof(families) / sizeof(families[0]); i++)
		r = lw_sock_diag_each(sock,
				      &(struct lw_sock_asked){ .family = families[i],
							       .states = STATES,
							       .netns = pod->netns,
							       .storage = -1,
							       .patience_ms = DUMP_PATIENCE_MS },
				      add_address, found);
	return r;
}

/* 0: it is left alone, or calls; 1: it has no connection now; -ENOSPC: there is no room for its rows; or another -errno. */
static int leave_alone(struct lw_leaves *leaves, struct lw_netns *ns, const struct pod *pod)
{
	struct found found = {};
	int r = find_addresses(ns, pod, &found);

	if (r || !found.n)
		return r ? r : 1;
	/* first: where its row has no address both ends of the reading take it for none */
	for (size_t i = 0; i < found.n; i++)
		if (bpf_map_update_elem(addrs_of(leaves->kern), &found.addrs[i], &pod->netns,
					BPF_ANY))
			return errno == E2BIG ? -ENOSPC : -errno;
	r = set(leaves->kern, pod->netns, LW_LEAF_ALONE, false);
	for (size_t i = 0; r == 2 && i < found.n; i++) /* nobody would find them without a row */
		(void)bpf_map_delete_elem(addrs_of(leaves->kern), &found.addrs[i]);
	if (r == 0)
		lw_debug(
			"a pod (network namespace cookie %llu) has called nothing in release: what arrives there is not read until it does",
			(unsigned long long)pod->netns);
	return r == 2 ? -ENOSPC : r < 0 ? r : 0;
}

struct looking {
	struct lw_leaves *leaves;
	struct lw_netns *ns;
	bool full; /* there was no room for a pod's rows */
};

static bool look_at(void *value, void *arg)
{
	struct looking *l = arg;
	struct lw_leaves *leaves = l->leaves;
	struct pod *pod = value;
	struct lw_leaf leaf;
	int r = 0;

	if (!pod->pid)
		return drop(pod, NULL);
	if (pod->from > pod->turns) /* one of its processes has ended */
		pod->from = pod->turns;
	/* also of one that is left alone: what it reads is at an address that it did not have then, or had no connection on */
	if (pod->turns - pod->from < leaves->after * TURNS_A_REQUEST ||
	    (!bpf_map_lookup_elem(map_of(leaves->kern), &pod->netns, &leaf) &&
	     leaf.state == LW_LEAF_CALLS))
		return true;
	lw_kern_heartbeat(leaves->kern);
	if (!l->ns)
		r = lw_netns_new(&l->ns);
	if (!r)
		r = leave_alone(leaves, l->ns, pod);
	if (r < 0)
		lw_debug("leave a pod alone that calls nothing: %s", strerror(-r));
	l->full |= r == -ENOSPC;
	if (r <= 0)
		pod->from = pod->turns; /* after as many again */
	return true;
}

static void look(struct lw_leaves *leaves)
{
	struct looking l = { .leaves = leaves };
	int r;

	if (!is_at_work(leaves))
		return;
	begin_anew_if_changed(leaves);
	r = count_turns(leaves);
	if (!r)
		lw_bytemap_filter(&leaves->pods, look_at, &l);
	lw_netns_free(&l.ns);
	if (!r && (l.full || ++leaves->looks % LOOKS_TO_SWEEP == 0))
		r = lw_leaves_sweep(leaves->kern);
	if (r)
		lw_debug("look for pods that call nothing: %s", strerror(-r));
}

static void on_timer(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)revents;
	look(w->data);
}

void lw_leaves_published(struct lw_leaves *leaves)
{
	if (leaves && is_at_work(leaves))
		begin_anew_if_changed(leaves);
}

int lw_leaves_start(struct lw_kern *kern, struct ev_loop *loop, uint64_t after,
		    struct lw_leaves **ret)
{
	struct lw_leaves *leaves;

	*ret = NULL;
	if (!after || lw_kern_mode(kern) == LW_KERN_MODE_NONE)
		return 0;
	leaves = calloc(1, sizeof(*leaves));
	if (!leaves)
		return -ENOMEM;
	leaves->kern = kern;
	leaves->loop = loop;
	leaves->after = after;
	ev_timer_init(&leaves->timer, on_timer, LOOK_S, LOOK_S);
	leaves->timer.data = leaves;
	ev_timer_start(loop, &leaves->timer);
	*ret = leaves;
	return 0;
}

void lw_leaves_stop(struct lw_leaves **leaves_)
{
	struct lw_leaves *leaves = *leaves_;

	*leaves_ = NULL;
	if (!leaves)
		return;
	ev_timer_stop(leaves->loop, &leaves->timer);
	lw_bytemap_filter(&leaves->pods, drop, NULL);
	lw_bytemap_clear(&leaves->pods);
	free(leaves);
}
