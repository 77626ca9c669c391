/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/others.h"

#include <errno.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/cleanup.h"
#include "kern/devices.h"
#include "kern/internal.h"
#include "kern/tc_filter.h"

/* Of one hook, that are looked at. */
#define MANY 64
#define TC_EGRESS "tc egress"

/* By name: an agent before us may have loaded the one that is attached. */
static bool is_ours(const struct lw_kern *kern, const char *name)
{
	struct bpf_program *prog;

	bpf_object__for_each_program(
		prog, kern->skel->obj) if (strncmp(bpf_program__name(prog), name,
						   BPF_OBJ_NAME_LEN - 1) == 0) return true;
	return false;
}

/* "" if it is gone. */
static void name_of(uint32_t id, char name[BPF_OBJ_NAME_LEN])
{
	_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
	struct bpf_prog_info info = {};
	uint32_t len = sizeof(info);

	name[0] = '\0';
	if (fd >= 0 && !bpf_obj_get_info_by_fd(fd, &info, &len))
		(void)strncpy(name, info.name, BPF_OBJ_NAME_LEN - 1);
	name[BPF_OBJ_NAME_LEN - 1] = '\0';
}

/* target: a cgroup's descriptor, or a device's index for tcx. The programs run in the order of the list. before: all run before ours. */
static void each_queried(const struct lw_kern *kern, int target, enum bpf_attach_type type,
			 uint32_t flags, const char *where, bool before, lw_other_cb cb, void *arg)
{
	char name[BPF_OBJ_NAME_LEN];
	uint32_t ids[MANY], n = MANY;

	/* a kernel without this hook says EINVAL */
	if (bpf_prog_query(target, type, flags, NULL, ids, &n))
		return;
	for (uint32_t i = n; i-- > 0;) {
		name_of(ids[i], name);
		if (is_ours(kern, name))
			before = true;
		else
			cb(where, name, before, arg);
	}
}

void lw_others_each_cgroup(const struct lw_kern *kern, lw_other_cb cb, void *arg)
{
	static const struct {
		enum bpf_attach_type type;
		const char *where;
	} hooks[] = {
		{ BPF_CGROUP_INET4_CONNECT, "cgroup/connect4" },
		{ BPF_CGROUP_INET6_CONNECT, "cgroup/connect6" },
		{ BPF_CGROUP_INET4_GETPEERNAME, "cgroup/getpeername4" },
		{ BPF_CGROUP_INET6_GETPEERNAME, "cgroup/getpeername6" },
		{ BPF_CGROUP_SOCK_OPS, "sockops" },
		{ BPF_CGROUP_SETSOCKOPT, "cgroup/setsockopt" },
	};
	/* the last one is ours in one mode alone */
	const size_t n =
		sizeof(hooks) / sizeof(hooks[0]) - (kern->found.mode != LW_KERN_MODE_VERDICT);

	if (!kern->skel)
		return;
	for (size_t i = 0; i < n; i++)
		each_queried(kern, kern->cgroup_fd, hooks[i].type, BPF_F_QUERY_EFFECTIVE,
			     hooks[i].where, false, cb, arg);
}

/* ---- classic filters, by netlink: libbpf asks only for one whose handle is known ---- */

static const struct rtattr *attr_of(const struct rtattr *first, size_t len, unsigned int type)
{
	for (const struct rtattr *a = first; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if ((a->rta_type & NLA_TYPE_MASK) == type)
			return a;
	return NULL;
}

static uint32_t u32_of(const struct rtattr *a)
{
	uint32_t value = 0;

	if (a && RTA_PAYLOAD(a) >= sizeof(value))
		memcpy(&value, RTA_DATA(a), sizeof(value));
	return value;
}

struct told {
	bool tcx; /* ours is */
	lw_other_cb cb;
	void *arg;
};

/* What `tc filter show dev DEVICE egress` lists. A filter's own head comes without a handle, and is no filter. */
static void on_filter(const struct nlmsghdr *h, void *arg)
{
	const struct told *told = arg;
	const struct tcmsg *t = NLMSG_DATA(h);
	const struct rtattr *first =
		(const struct rtattr *)((const char *)t + NLMSG_ALIGN(sizeof(*t)));
	size_t len = NLMSG_PAYLOAD(h, sizeof(*t));
	const struct rtattr *kind = attr_of(first, len, TCA_KIND),
			    *options = attr_of(first, len, TCA_OPTIONS);
	uint32_t priority = TC_H_MAJ(t->tcm_info) >> 16, id = 0;
	char name[64] = "";

	if (h->nlmsg_type != RTM_NEWTFILTER || !t->tcm_handle ||
	    lw_filter_is_ours(t->tcm_handle, priority))
		return;
	if (kind)
		(void)snprintf(name, sizeof(name), "%.*s", (int)RTA_PAYLOAD(kind),
			       (const char *)RTA_DATA(kind));
	if (strcmp(name, "bpf") == 0 && options) {
		const struct rtattr *nested = RTA_DATA(options);

		id = u32_of(attr_of(nested, RTA_PAYLOAD(options), TCA_BPF_ID));
		if (id)
			name_of(id, name);
	}
	/* the kernel asks tcx first, and filters when all of that have let the packet go on (sch_handle_egress()) */
	told->cb(TC_EGRESS, name, !told->tcx && priority < LW_FILTER_PRIORITY, told->arg);
}

/* side: TC_H_MIN_INGRESS or TC_H_MIN_EGRESS. 0 when all were seen, or -errno. */
static int each_filter(int ifindex, uint32_t side, void (*cb)(const struct nlmsghdr *h, void *arg),
		       void *arg)
{
	struct {
		struct nlmsghdr head;
		struct tcmsg tc;
	} ask = {
		.head = { .nlmsg_len = sizeof(ask),
			  .nlmsg_type = RTM_GETTFILTER,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			  .nlmsg_seq = 1 },
		.tc = { .tcm_family = AF_UNSPEC,
			.tcm_ifindex = ifindex,
			.tcm_parent = TC_H_MAKE(TC_H_CLSACT, side) },
	};
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	char buf[32768] __attribute__((aligned(__alignof__(struct nlmsghdr))));
	struct timeval patience = { .tv_sec = 1 };

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    send(fd, &ask, sizeof(ask), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n <= 0)
			return n ? -errno : -EIO;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, (size_t)n);
		     h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
			cb(h, arg);
		}
	}
}

static void note_filter(const struct nlmsghdr *h, void *arg)
{
	bool *any = arg;

	*any |= h->nlmsg_type == RTM_NEWTFILTER;
}

bool lw_others_have_filters(int ifindex)
{
	bool any = false;

	return each_filter(ifindex, TC_H_MIN_INGRESS, note_filter, &any) ||
	       each_filter(ifindex, TC_H_MIN_EGRESS, note_filter, &any) || any;
}

void lw_others_each_tc(const struct lw_kern *kern, int ifindex, bool tcx, lw_other_cb cb, void *arg)
{
	struct told told = { tcx, cb, arg };

	if (!kern->skel)
		return;
	each_queried(kern, ifindex, LW_TCX_EGRESS, 0, TC_EGRESS, !tcx, cb, arg);
	(void)each_filter(ifindex, TC_H_MIN_EGRESS, on_filter, &told);
}
