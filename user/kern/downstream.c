/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/downstream.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "kern/netns.h"

int lw_downstream_reset(struct lw_netns *ns, uint64_t cookie, const struct lw_flow *flow)
{
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
	} req = {
		.h = { .nlmsg_len = sizeof(req), .nlmsg_type = SOCK_DESTROY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK },
		.r = { .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u },
	};
	struct {
		struct nlmsghdr h;
		struct nlmsgerr e;
		char more[256];
	} ack;
	bool v4 = lw_addr_is_v4(&flow->client);
	_cleanup_close_ int fd = -1;
	struct pollfd p = { .events = POLLIN };

	fd = lw_netns_socket(ns, flow->netns, (pid_t)flow->pid, AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return fd;
	req.r.sdiag_family = v4 ? AF_INET : AF_INET6;
	memcpy(req.r.id.idiag_src, flow->client.ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	memcpy(req.r.id.idiag_dst, flow->peer.ip + (v4 ? 12 : 0), v4 ? 4 : 16);
	req.r.id.idiag_sport = htons(flow->client_port);
	req.r.id.idiag_dport = htons(flow->peer_port);
	req.r.id.idiag_cookie[0] = (__u32)cookie;
	req.r.id.idiag_cookie[1] = (__u32)(cookie >> 32);
	if (send(fd, &req, sizeof(req), 0) < 0)
		return -errno;
	p.fd = fd;
	/* the kernel answers within send(2) */
	if (poll(&p, 1, 0) != 1 || recv(fd, &ack, sizeof(ack), 0) < (ssize_t)sizeof(ack.h) + (ssize_t)sizeof(int) ||
	    ack.h.nlmsg_type != NLMSG_ERROR)
		return -EIO;
	return ack.e.error;
}
