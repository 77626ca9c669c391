/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the kernel tells of the TCP sockets of a network namespace (sock_diag). */
#include <stdbool.h>
#include <stdint.h>

#include <linux/inet_diag.h>
#include <linux/tcp.h>

#include "laneway/abi.h"

/* One of them, as long as it is called back for. */
struct lw_sock_seen {
	const struct inet_diag_msg *msg;
	const struct tcp_info *info; /* NULL: not asked for, or not told in full */
	const void *storage; /* what it has in the map that was asked for; NULL: nothing */
};
/* One of its addresses. */
void lw_sock_diag_addr(const struct inet_diag_msg *m, const __be32 from[4], struct lw_addr *ret);
typedef void (*lw_sock_cb)(void *arg, const struct lw_sock_seen *seen);

struct lw_sock_asked {
	int family; /* AF_INET, AF_INET6 */
	uint32_t states; /* 1 << BPF_TCP_..., or-ed */
	uint64_t netns; /* cookie of the namespace that the socket is of: who keeps the caller waiting is known by it (base/aside.h) */
	bool info; /* struct tcp_info as well: the kernel waits for each one's lock */
	int storage; /* a map of sk_storage; -1: none */
	unsigned int patience_ms; /* in which it tells of no more of them */
};

/*
 * Asks a socket of family NETLINK_SOCK_DIAG for all sockets that are asked for, then calls cb for each. 0; -EINPROGRESS: one is locked by its
 * application, and until it is not the kernel does not go on (tcp_get_info()); or another -errno. cb is not called then.
 */
int lw_sock_diag_each(int sock, const struct lw_sock_asked *asked, lw_sock_cb cb, void *arg);
