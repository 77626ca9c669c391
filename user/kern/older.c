/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The connections that pods had accepted before the agent came. Accepted are those whose port is listened on in their
 * network namespace: sock_diag does not tell which end has connected. A port that is no longer listened on is missed.
 */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/internal.h"
#include "kern/netns.h"
#include "kern/reads.h"

#define BIT(state) (1u << (state))

struct older {
	int map;
	size_t found;
	bool full;
	unsigned char listened[65536 / 8]; /* by port, of the namespace at hand */
};

typedef void (*each_cb)(struct older *older, const struct inet_diag_msg *m);

static void set_addr(struct lw_addr *to, const struct inet_diag_msg *m, const __be32 from[4])
{
	memset(to, 0, sizeof(*to));
	if (m->idiag_family == AF_INET) {
		to->ip[10] = to->ip[11] = 0xff;
		memcpy(to->ip + 12, from, 4);
	} else {
		memcpy(to->ip, from, 16);
	}
}

static void note_listener(struct older *older, const struct inet_diag_msg *m)
{
	unsigned int port = ntohs(m->id.idiag_sport);

	older->listened[port / 8] |= (unsigned char)(1u << (port % 8));
}

static void note_connection(struct older *older, const struct inet_diag_msg *m)
{
	unsigned int port = ntohs(m->id.idiag_sport);
	uint64_t cookie = (uint64_t)m->id.idiag_cookie[1] << 32 | m->id.idiag_cookie[0];
	struct lw_tuple t = { .local_port = (uint16_t)port, .peer_port = ntohs(m->id.idiag_dport) };

	if (!(older->listened[port / 8] >> (port % 8) & 1))
		return;
	set_addr(&t.local, m, m->id.idiag_src);
	set_addr(&t.peer, m, m->id.idiag_dst);
	if (bpf_map_update_elem(older->map, &cookie, &t, BPF_ANY))
		older->full = true;
	else
		older->found++;
}

/* All sockets of one family in some of the states. 0 or -errno. */
static int each(struct older *older, int sock, int family, uint32_t states, each_cb cb)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.r = { .sdiag_family = (__u8)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states },
	};
	char buf[32768] __attribute__((aligned(__alignof__(struct nlmsghdr))));
	struct pollfd p = { .fd = sock, .events = POLLIN };

	if (send(sock, &req, sizeof(req), 0) < 0)
		return -errno;
	for (;;) {
		ssize_t n;

		/* the kernel dumps within send(2) and recv(2) */
		if (poll(&p, 1, 1000) != 1)
			return -ETIMEDOUT;
		n = recv(sock, buf, sizeof(buf), 0);
		if (n <= 0)
			return n ? -errno : -EIO;
		for (struct nlmsghdr *h = (struct nlmsghdr *)buf; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
			cb(older, NLMSG_DATA(h));
		}
	}
}

static int look(int sock, void *arg)
{
	struct older *older = arg;
	int r = 0;

	memset(older->listened, 0, sizeof(older->listened));
	for (int pass = 0; !r && pass < 2; pass++) {
		uint32_t states = pass ? BIT(TCP_ESTABLISHED) | BIT(TCP_CLOSE_WAIT) : BIT(TCP_LISTEN);
		each_cb cb = pass ? note_connection : note_listener;

		r = each(older, sock, AF_INET, states, cb);
		if (!r)
			r = each(older, sock, AF_INET6, states, cb);
	}
	return r;
}

int lw_reads_add_older(struct lw_kern *kern)
{
	_cleanup_free_ struct older *older = calloc(1, sizeof(*older));
	_cleanup_(lw_netns_free) struct lw_netns *ns = NULL;
	int r;

	if (!older)
		return -ENOMEM;
	older->map = bpf_map__fd(kern->skel->maps.lw_older);
	r = lw_netns_new(&ns);
	if (!r)
		r = lw_netns_each(ns, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG, look, older);
	if (!r && older->full)
		r = -E2BIG;
	if (!r && older->found)
		kern->config->flags |= LW_CONF_OLDER;
	lw_debug("%zu connections that pods had accepted before", older->found);
	return r;
}
