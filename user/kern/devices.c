/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/devices.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "core/bytemap.h"
#include "kern/internal.h"
#include "kern/tc_filter.h"

struct device {
	int ifindex;
	int link; /* tcx; -1: a clsact filter */
};

/* A program of others. */
struct other {
	const char *where;
	char program[64];
	bool before;
};

/*
 * What is asked of devices takes the kernel's one lock for all of them (rtnl_lock()), which is held for as long as hundreds of pods take
 * to end, and what is asked of cgroups that of all cgroups (cgroup_mutex): so a thread of its own asks, and nobody waits for it longer than
 * LOOK_MS.
 */
#define LOOK_MS 300

struct lw_devices {
	struct lw_kern *kern;
	char **patterns;
	int netlink, wake; /* eventfd */
	bool running;
	pthread_t thread;
	struct lw_bytemap devices; /* by ifindex; the thread's, while it runs */
	size_t count; /* of these, for others to read */
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t looked;
	bool stop;
	uint64_t looks_asked, looks_done;
	struct other *others; /* of the last look */
	size_t nothers;
};

static void tell_count(struct lw_devices *d)
{
	__atomic_store_n(&d->count, d->devices.count, __ATOMIC_RELAXED);
}

static bool wanted(const struct lw_devices *d, const char *name)
{
	for (size_t i = 0; d->patterns[i]; i++)
		if (!fnmatch(d->patterns[i], name, 0))
			return true;
	return false;
}

static void add(struct lw_devices *d, int ifindex, const char *name)
{
	const struct lw_bytes key = LW_BYTES_OF(ifindex);
	int prog = d->kern->to_pod, r = 0;
	struct device *dev;

	if (lw_bytemap_get(&d->devices, &key, 1) || !wanted(d, name))
		return;
	dev = calloc(1, sizeof(*dev));
	if (!dev || lw_bytemap_put(&d->devices, &key, 1, dev)) {
		free(dev);
		return;
	}
	dev->ifindex = ifindex;
	dev->link = bpf_link_create(prog, ifindex, LW_TCX_EGRESS, NULL);
	if (dev->link < 0) {
		dev->link = -1;
		/* there is one filter, and another agent's build has it from now on */
		r = __atomic_load_n(&d->kern->superseded, __ATOMIC_ACQUIRE) && !d->kern->shared ?
			    -EBUSY :
			    lw_filter_attach(prog, ifindex);
	}
	if (r) {
		lw_log(r == -ENODEV || r == -EBUSY ?
			       LW_LOG_DEBUG :
			       LW_LOG_WARN, /* it has gone meanwhile, or is another agent's */
		       "attach to device '%s': %s, closes of its pods' peers are not kept back, and requests that arrive there not read",
		       name, strerror(-r));
		(void)lw_bytemap_remove(&d->devices, &key, 1);
		free(dev);
		return;
	}
	lw_debug("attached to device '%s'", name);
}

static void device_free(struct device *dev)
{
	if (!dev)
		return;
	(void)lw_close(dev->link);
	free(dev);
}

static void forget(struct lw_devices *d, int ifindex)
{
	const struct lw_bytes key = LW_BYTES_OF(ifindex);

	device_free(lw_bytemap_remove(&d->devices, &key, 1));
}

/* `main`: in the main thread, which is alive meanwhile. */
static void add_all(struct lw_devices *d, bool main)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		if (main)
			lw_kern_heartbeat(d->kern);
		add(d, (int)i->if_index, i->if_name);
		if (!wanted(d, i->if_name))
			lw_filter_remove_abandoned(d->kern, (int)i->if_index, i->if_name);
	}
	if (all)
		if_freenameindex(all);
}

static bool is_there(void *value, void *arg)
{
	struct device *dev = value;
	char name[IF_NAMESIZE];

	(void)arg;
	if (if_indextoname((unsigned int)dev->ifindex, name))
		return true;
	device_free(dev);
	return false;
}

static void on_netlink(struct lw_devices *d)
{
	char buf[32768] __attribute__((aligned(__alignof__(struct nlmsghdr))));
	ssize_t n = recv(d->netlink, buf, sizeof(buf), MSG_DONTWAIT);

	if (n < 0 && errno == ENOBUFS) {
		/* messages were lost: look at everything */
		lw_bytemap_filter(&d->devices, is_there, NULL);
		add_all(d, false);
	}
	for (struct nlmsghdr *h = (struct nlmsghdr *)buf; n > 0 && NLMSG_OK(h, (size_t)n);
	     h = NLMSG_NEXT(h, n)) {
		struct ifinfomsg *info = NLMSG_DATA(h);
		char name[IF_NAMESIZE];

		/* that a device leaves its bridge is told likewise, as news of the bridge's family */
		if (h->nlmsg_type == RTM_DELLINK && info->ifi_family != AF_BRIDGE)
			forget(d, info->ifi_index);
		else if (h->nlmsg_type == RTM_NEWLINK &&
			 if_indextoname((unsigned int)info->ifi_index, name))
			add(d, info->ifi_index, name);
	}
	tell_count(d);
}

/* ---- others' programs ---- */

struct look {
	struct lw_kern *kern;
	bool main; /* in the main thread, which is alive meanwhile */
	struct other *others;
	size_t n, room;
};

static void note_other(const char *where, const char *program, bool before, void *arg)
{
	struct look *look = arg;
	struct other *o;

	if (look->n == look->room) {
		size_t room = look->room ? 2 * look->room : 64;

		o = realloc(look->others, room * sizeof(*o));
		if (!o)
			return;
		look->others = o;
		look->room = room;
	}
	o = &look->others[look->n++];
	o->where = where;
	o->before = before;
	(void)snprintf(o->program, sizeof(o->program), "%s", program);
}

static bool look_at(void *value, void *arg)
{
	const struct device *dev = value;
	struct look *look = arg;

	if (look->main)
		lw_kern_heartbeat(look->kern);
	lw_others_each_tc(look->kern, dev->ifindex, dev->link >= 0, note_other, look);
	return true;
}

/* Has been asked for `asked` looks by now. */
static void look(struct lw_devices *d, uint64_t asked, bool main)
{
	struct look look = { .kern = d->kern, .main = main };

	if (main)
		lw_kern_heartbeat(d->kern);
	lw_others_each_cgroup(d->kern, note_other, &look);
	lw_bytemap_filter(&d->devices, look_at, &look);
	(void)pthread_mutex_lock(&d->lock);
	free(d->others);
	d->others = look.others;
	d->nothers = look.n;
	d->looks_done = asked;
	(void)pthread_cond_signal(&d->looked);
	(void)pthread_mutex_unlock(&d->lock);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
	struct lw_devices *d = arg;
	struct pollfd p[] = { { .fd = d->netlink, .events = POLLIN },
			      { .fd = d->wake, .events = POLLIN } };

	for (;;) {
		uint64_t asked, done, n;
		bool stop;

		(void)poll(p, 2, -1);
		if (p[1].revents)
			(void)!read(d->wake, &n, sizeof(n));
		(void)pthread_mutex_lock(&d->lock);
		stop = d->stop;
		asked = d->looks_asked;
		done = d->looks_done;
		(void)pthread_mutex_unlock(&d->lock);
		if (stop)
			return NULL;
		if (p[0].revents)
			on_netlink(d);
		if (asked != done)
			look(d, asked, false);
	}
}

static void wake(struct lw_devices *d)
{
	const uint64_t one = 1;

	(void)!write(d->wake, &one, sizeof(one));
}

static int copy_patterns(struct lw_devices *d, const char *const *patterns)
{
	size_t n = 0;

	while (patterns && patterns[n])
		n++;
	d->patterns = calloc(n + 1, sizeof(*d->patterns));
	if (!d->patterns)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		d->patterns[i] = strdup(patterns[i]);
		if (!d->patterns[i])
			return -ENOMEM;
	}
	return 0;
}

int lw_devices_start(struct lw_kern *kern, const char *const *patterns, struct lw_devices **ret)
{
	_cleanup_(lw_devices_stop) struct lw_devices *d = NULL;
	struct sockaddr_nl sa = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int r;

	*ret = NULL;
	if (lw_kern_mode(kern) == LW_KERN_MODE_NONE)
		return 0;
	d = calloc(1, sizeof(*d));
	if (!d)
		return -ENOMEM;
	d->kern = kern;
	d->netlink = d->wake = -1;
	(void)pthread_mutex_init(&d->lock, NULL);
	lw_cond_init(&d->looked);
	r = copy_patterns(d, patterns);
	if (r)
		return r;
	/* watched before listed: none is missed in between */
	d->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (d->netlink < 0 || bind(d->netlink, (struct sockaddr *)&sa, sizeof(sa)))
		return -errno;
	d->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (d->wake < 0)
		return -errno;
	if (d->patterns[0]) {
		add_all(d, true);
		tell_count(d);
		r = lw_kern_note_attached(
			kern, "lw_to_pod (tc egress on the devices that --device names)");
	}
	look(d, 0, true);
	if (!r)
		r = lw_thread_start(run, d, &d->thread);
	if (r)
		return r;
	d->running = true;
	*ret = TAKE_PTR(d);
	return 0;
}

static bool detach(void *value, void *arg)
{
	const struct lw_devices *d = arg;
	struct device *dev = value;

	/* there is one filter, and by now it is another agent's */
	if (dev->link < 0 && !d->kern->superseded)
		(void)lw_filter_detach(dev->ifindex);
	device_free(dev);
	return false;
}

void lw_devices_stop(struct lw_devices **d_)
{
	struct lw_devices *d = *d_;

	*d_ = NULL;
	if (!d)
		return;
	if (d->running) {
		(void)pthread_mutex_lock(&d->lock);
		d->stop = true;
		(void)pthread_mutex_unlock(&d->lock);
		wake(d);
		(void)pthread_join(d->thread, NULL);
	}
	(void)pthread_cond_destroy(&d->looked);
	(void)pthread_mutex_destroy(&d->lock);
	(void)lw_close(d->netlink);
	(void)lw_close(d->wake);
	free(d->others);
	lw_bytemap_filter(&d->devices, detach, d);
	lw_bytemap_clear(&d->devices);
	for (size_t i = 0; d->patterns && d->patterns[i]; i++)
		free(d->patterns[i]);
	free(d->patterns);
	free(d);
}

size_t lw_devices_count(const struct lw_devices *d, size_t *ret_patterns)
{
	*ret_patterns = 0;
	while (d && d->patterns[*ret_patterns])
		++*ret_patterns;
	return d ? __atomic_load_n(&d->count, __ATOMIC_RELAXED) : 0;
}

void lw_devices_each_other(struct lw_devices *d, lw_other_cb cb, void *arg)
{
	const struct timespec until = lw_cond_until(lw_clock_ns() + LOOK_MS * LW_NS_PER_MS);
	uint64_t asked;

	if (!d)
		return;
	lw_kern_heartbeat(d->kern); /* several may ask in one turn */
	(void)pthread_mutex_lock(&d->lock);
	asked = ++d->looks_asked;
	wake(d);
	while (d->looks_done < asked &&
	       pthread_cond_timedwait(&d->looked, &d->lock, &until) != ETIMEDOUT)
		;
	for (size_t i = 0; i < d->nothers; i++)
		cb(d->others[i].where, d->others[i].program, d->others[i].before, arg);
	(void)pthread_mutex_unlock(&d->lock);
}
