/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/downstream.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/aside.h"
#include "base/cleanup.h"
#include "kern/netns.h"

struct reset {
	struct lw_aside aside;
	int fd;
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} req;
};

static int destroy(struct lw_aside *aside)
{
	const struct reset *reset = (const struct reset *)aside;
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[256];
	} ack;
	struct pollfd p = { .fd = reset->fd, .events = POLLIN };

	if (send(reset->fd, &reset->req, sizeof(reset->req), 0) < 0)
		return -errno;
	/* the kernel answers within send(2) */
	if (poll(&p, 1, 0) != 1 ||
	    recv(reset->fd, &ack, sizeof(ack), 0) < (ssize_t)sizeof(ack.h) + (ssize_t)sizeof(int) ||
	    ack.h.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return ack.e.error;
}

static void drop(struct lw_aside *aside)
{
	struct reset *reset = (struct reset *)aside;

	(void)lw_close(reset->fd);
	free(reset);
}

int lw_downstream_reset(struct lw_netns *ns, uint64_t cookie, const struct lw_flow *flow)
{
	struct reset *reset = calloc(1, sizeof(*reset));
	bool v4 = lw_addr_is_v4(&flow->client);
	struct inet_diag_req_v2 *req;
	int r;

	if (!reset)
		return -ENOMEM;
	reset->aside = (struct lw_aside){ .owner = flow->netns,
					  .patience_ms = LW_LOCK_PATIENCE_MS,
					  .call = destroy,
					  .drop = drop };
	reset->req.h = (struct nlmsghdr){ .nlmsg_len = sizeof(reset->req),
					  .nlmsg_type = SOCK_DESTROY,
					  .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK };
	req = &reset->req.r;
	req->sdiag_protocol = IPPROTO_TCP;
	req->idiag_states = ~0u;
	req->sdiag_family = v4 ? AF_INET : AF_INET6;
	memcpy(req->id.idiag_src, flow->client.ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(req->id.idiag_dst, flow->peer.ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	req->id.idiag_sport = htons(flow->client_port);
	req->id.idiag_dport = htons(flow->peer_port);
	req->id.idiag_cookie[0] = (__u32)cookie;
	req->id.idiag_cookie[1] = (__u32)(cookie >> 32);
	reset->fd = lw_netns_socket(ns, flow->netns, (pid_t)flow->pid, AF_NETLINK, SOCK_RAW,
				    NETLINK_SOCK_DIAG);
	/* it takes the socket's lock (tcp_abort()) */
	r = reset->fd < 0 ? reset->fd : lw_aside_do(&reset->aside);
	if (r == -EINPROGRESS)
		return 0;
	drop(&reset->aside);
	return r;
}
