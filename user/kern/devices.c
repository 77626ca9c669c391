/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/devices.h"

#include <errno.h>
#include <fnmatch.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "core/bytemap.h"
#include "kern/internal.h"

/*
 * Ours among the filters of a device. Which of the two says who made the clsact qdisc that it hangs on, to any agent and
 * to `cleanup`, also when the one that made it was killed: only a qdisc of ours goes with the filter.
 */
#define HANDLE_FOUND 0x6c77
#define HANDLE_MADE 0x6c78

struct device {
	int ifindex;
	int link; /* tcx; -1: a clsact filter */
	char name[IF_NAMESIZE];
};

struct lw_devices {
	struct lw_kern *kern;
	struct ev_loop *loop;
	char **patterns;
	struct lw_bytemap devices; /* by ifindex */
	int netlink;
	ev_io io;
};

bool lw_devices_is_our_filter(uint32_t handle, uint32_t priority)
{
	return (handle == HANDLE_FOUND || handle == HANDLE_MADE) && priority == LW_FILTER_PRIORITY;
}

static bool wanted(const struct lw_devices *d, const char *name)
{
	for (size_t i = 0; d->patterns[i]; i++)
		if (!fnmatch(d->patterns[i], name, 0))
			return true;
	return false;
}

static int remove_qdisc(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_INGRESS | BPF_TC_EGRESS);

	return bpf_tc_hook_destroy(&hook);
}

static bool has_filter(const struct bpf_tc_hook *hook, uint32_t handle)
{
	LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handle, .priority = LW_FILTER_PRIORITY);

	return !bpf_tc_query(hook, &opts);
}

static int attach_filter(int prog, int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, opts, .prog_fd = prog, .handle = HANDLE_FOUND, .priority = LW_FILTER_PRIORITY,
		    .flags = BPF_TC_F_REPLACE);
	int made = bpf_tc_hook_create(&hook), r;

	if (made && made != -EEXIST)
		return made;
	if (!made || has_filter(&hook, HANDLE_MADE))
		opts.handle = HANDLE_MADE;
	r = bpf_tc_attach(&hook, &opts);
	if (r && !made)
		(void)remove_qdisc(ifindex);
	return r;
}

/* Somebody else's filter keeps the qdisc, whoever made it. One that comes between the look and the end goes with it. */
static int detach_filter(int ifindex)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	LIBBPF_OPTS(bpf_tc_opts, found, .handle = HANDLE_FOUND, .priority = LW_FILTER_PRIORITY);
	LIBBPF_OPTS(bpf_tc_opts, made, .handle = HANDLE_MADE, .priority = LW_FILTER_PRIORITY);

	if (bpf_tc_detach(&hook, &made))
		return bpf_tc_detach(&hook, &found);
	if (!lw_others_have_filters(ifindex))
		(void)remove_qdisc(ifindex);
	return 0;
}

/* An agent that has said nothing for so long has ended, however busy the machine is. */
#define SILENT_NS (10 * LW_NS_PER_SEC)

/* Has the agent of that configuration stopped, or been killed? */
static bool has_ended(uint32_t map_id)
{
	_cleanup_close_ int fd = bpf_map_get_fd_by_id(map_id);
	_cleanup_free_ struct lw_config *conf = NULL;
	struct bpf_map_info info = {};
	uint32_t len = sizeof(info), zero = 0;

	/* of whatever build: the first fields of it are the same in all */
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len) || strcmp(info.name, "lw_config") != 0 || info.key_size != sizeof(zero) ||
	    info.value_size < offsetof(struct lw_config, heartbeat_max_ns))
		return false;
	conf = calloc(1, info.value_size > sizeof(*conf) ? info.value_size : sizeof(*conf));
	if (!conf || bpf_map_lookup_elem(fd, &zero, conf))
		return false;
	return (conf->flags & LW_CONF_STOPPED) || lw_clock_ns() - conf->heartbeat_ns > SILENT_NS;
}

/* Is that program, of a filter of ours, one that nobody has any use for? Another agent of this machine may have its own. */
static bool is_abandoned(const struct lw_devices *d, uint32_t prog_id)
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(prog_id);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info), maps[64];

	/* what an earlier agent has left to us */
	if (!bpf_obj_get_info_by_fd(d->kern->to_pod, &info, &len) && info.id == prog_id)
		return true;
	info = (struct bpf_prog_info){ .nr_map_ids = sizeof(maps) / sizeof(maps[0]), .map_ids = (uintptr_t)maps };
	len = sizeof(info);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	for (uint32_t i = 0; i < info.nr_map_ids && i < sizeof(maps) / sizeof(maps[0]); i++)
		if (has_ended(maps[i]))
			return true;
	return false;
}

/* A killed agent may have been told of devices that we are not. */
static void remove_abandoned(const struct lw_devices *d, int ifindex, const char *name)
{
	LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = ifindex, .attach_point = BPF_TC_EGRESS);
	static const uint32_t handles[] = { HANDLE_FOUND, HANDLE_MADE };

	for (size_t i = 0; i < 2; i++) {
		LIBBPF_OPTS(bpf_tc_opts, opts, .handle = handles[i], .priority = LW_FILTER_PRIORITY);

		if (bpf_tc_query(&hook, &opts) || !is_abandoned(d, opts.prog_id))
			continue;
		if (!detach_filter(ifindex))
			lw_info("took off device '%s' what an earlier agent left there", name);
		return;
	}
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
	(void)snprintf(dev->name, sizeof(dev->name), "%s", name);
	dev->link = bpf_link_create(prog, ifindex, LW_TCX_EGRESS, NULL);
	if (dev->link < 0) {
		dev->link = -1;
		r = attach_filter(prog, ifindex);
	}
	if (r) {
		lw_warn("attach to device '%s': %s, closes of its pods' peers are not kept back", name, strerror(-r));
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

static void add_all(struct lw_devices *d)
{
	struct if_nameindex *all = if_nameindex();

	for (struct if_nameindex *i = all; i && i->if_index; i++) {
		add(d, (int)i->if_index, i->if_name);
		if (!wanted(d, i->if_name))
			remove_abandoned(d, (int)i->if_index, i->if_name);
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

static void on_netlink(struct ev_loop *loop, ev_io *w, int events)
{
	struct lw_devices *d = w->data;
	char buf[32768] __attribute__((aligned(__alignof__(struct nlmsghdr))));
	ssize_t n = recv(d->netlink, buf, sizeof(buf), MSG_DONTWAIT);

	(void)loop;
	(void)events;
	if (n < 0 && errno == ENOBUFS) {
		/* messages were lost: look at everything */
		lw_bytemap_filter(&d->devices, is_there, NULL);
		add_all(d);
	}
	for (struct nlmsghdr *h = (struct nlmsghdr *)buf; n > 0 && NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
		struct ifinfomsg *info = NLMSG_DATA(h);
		char name[IF_NAMESIZE];

		/* that a device leaves its bridge is told likewise, as news of the bridge's family */
		if (h->nlmsg_type == RTM_DELLINK && info->ifi_family != AF_BRIDGE)
			forget(d, info->ifi_index);
		else if (h->nlmsg_type == RTM_NEWLINK && if_indextoname((unsigned int)info->ifi_index, name))
			add(d, info->ifi_index, name);
	}
}

static int copy_patterns(struct lw_devices *d, const char *const *patterns)
{
	size_t n = 0;

	while (patterns[n])
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

int lw_devices_start(struct lw_kern *kern, struct ev_loop *loop, const char *const *patterns, struct lw_devices **ret)
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
	d->loop = loop;
	d->netlink = -1;
	r = copy_patterns(d, patterns);
	if (r)
		return r;
	/* watched before listed: none is missed in between */
	d->netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (d->netlink < 0 || bind(d->netlink, (struct sockaddr *)&sa, sizeof(sa)))
		return -errno;
	add_all(d);
	ev_io_init(&d->io, on_netlink, d->netlink, EV_READ);
	d->io.data = d;
	ev_io_start(loop, &d->io);
	r = lw_kern_note_attached(kern, "lw_to_pod (tc egress on %zu devices at start, and on those that come)", d->devices.count);
	if (r)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

static bool detach(void *value, void *arg)
{
	const struct lw_devices *d = arg;
	struct device *dev = value;

	/* there is one filter, and by now it is another agent's */
	if (dev->link < 0 && !d->kern->superseded)
		(void)detach_filter(dev->ifindex);
	device_free(dev);
	return false;
}

void lw_devices_stop(struct lw_devices **d_)
{
	struct lw_devices *d = *d_;

	*d_ = NULL;
	if (!d)
		return;
	if (d->io.data)
		ev_io_stop(d->loop, &d->io);
	(void)lw_close(d->netlink);
	lw_bytemap_filter(&d->devices, detach, d);
	lw_bytemap_clear(&d->devices);
	for (size_t i = 0; d->patterns && d->patterns[i]; i++)
		free(d->patterns[i]);
	free(d->patterns);
	free(d);
}

struct other_walk {
	const struct lw_devices *devices;
	lw_other_cb cb;
	void *arg;
};

static bool each_other(void *value, void *arg)
{
	struct device *dev = value;
	struct other_walk *w = arg;

	lw_others_each_tc(w->devices->kern, dev->ifindex, w->cb, w->arg);
	return true;
}

void lw_devices_each_other(struct lw_devices *d, lw_other_cb cb, void *arg)
{
	struct other_walk w = { d, cb, arg };

	if (d)
		lw_bytemap_filter(&d->devices, each_other, &w);
}

int lw_devices_cleanup(void)
{
	struct if_nameindex *all = if_nameindex();
	int n = 0;

	for (struct if_nameindex *i = all; i && i->if_index; i++)
		n += !detach_filter((int)i->if_index);
	if (all)
		if_freenameindex(all);
	return n;
}
