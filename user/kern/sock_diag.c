/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/sock_diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/aside.h"
#include "base/cleanup.h"

#define TYPE(attr) ((attr)->rta_type & NLA_TYPE_MASK)

/* Of the attributes in n bytes from `a` on, the one of that type; NULL: there is none. */
static const struct rtattr *find(const struct rtattr *a, int n, unsigned int type)
{
	for (; RTA_OK(a, n); a = RTA_NEXT(a, n))
		if (TYPE(a) == type)
			return a;
	return NULL;
}

static const struct rtattr *find_in(const struct rtattr *nest, unsigned int type)
{
	return nest ? find(RTA_DATA(nest), (int)RTA_PAYLOAD(nest), type) : NULL;
}

static struct lw_sock_seen seen_of(const struct nlmsghdr *h)
{
	struct lw_sock_seen seen = { .msg = NLMSG_DATA(h) };
	const struct rtattr *first = (const struct rtattr *)(seen.msg + 1);
	int n = (int)(h->nlmsg_len - NLMSG_LENGTH(sizeof(*seen.msg)));
	const struct rtattr *info = find(first, n, INET_DIAG_INFO);
	const struct rtattr *storages = find(first, n, INET_DIAG_SK_BPF_STORAGES);
	const struct rtattr *value =
		find_in(find_in(storages, SK_DIAG_BPF_STORAGE), SK_DIAG_BPF_STORAGE_MAP_VALUE);

	if (info && RTA_PAYLOAD(info) >= offsetof(struct tcp_info, tcpi_bytes_retrans))
		seen.info = RTA_DATA(info);
	if (value)
		seen.storage = RTA_DATA(value);
	return seen;
}

/* All sockets of one family in some of the states, as the kernel tells of them. */
struct dump {
	struct lw_aside aside;
	int sock;
	struct {
		struct nlmsghdr h;
		struct inet_diag_req_v2 r;
		struct rtattr storages, map; /* one within the other */
		uint32_t map_fd;
	} req;
	char *buf;
	size_t len, room;
};
#define DUMP_STEP 32768

static int dump_run(struct lw_aside *aside)
{
	struct dump *d = (struct dump *)aside;
	struct pollfd p = { .fd = d->sock, .events = POLLIN };

	if (send(d->sock, &d->req, d->req.h.nlmsg_len, 0) < 0)
		return -errno;
	for (;;) {
		const struct nlmsghdr *h;
		ssize_t n;

		if (d->room - d->len < DUMP_STEP) {
			char *buf = realloc(d->buf, d->room + 8 * DUMP_STEP);

			if (!buf)
				return -ENOMEM;
			d->buf = buf;
			d->room += 8 * DUMP_STEP;
		}
		/* the kernel dumps within send(2) and recv(2) */
		if (poll(&p, 1, 1000) != 1)
			return -ETIMEDOUT;
		n = recv(d->sock, d->buf + d->len, DUMP_STEP, 0);
		if (n <= 0)
			return n ? -errno : -EIO;
		lw_aside_is_alive(aside);
		h = (const struct nlmsghdr *)(d->buf + d->len);
		d->len += NLMSG_ALIGN((size_t)n);
		for (; NLMSG_OK(h, (size_t)n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE)
				return 0;
			if (h->nlmsg_type == NLMSG_ERROR)
				return ((const struct nlmsgerr *)NLMSG_DATA(h))->error;
		}
	}
}

static void dump_drop(struct lw_aside *aside)
{
	struct dump *d = (struct dump *)aside;

	(void)lw_close(d->sock);
	free(d->buf);
	free(d);
}

void lw_sock_diag_addr(const struct inet_diag_msg *m, const __be32 from[4], struct lw_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (m->idiag_family == AF_INET) {
		ret->ip[10] = ret->ip[11] = 0xff;
		memcpy(ret->ip + 12, from, 4);
	} else {
		memcpy(ret->ip, from, 16);
	}
}

int lw_sock_diag_each(int sock, const struct lw_sock_asked *asked, lw_sock_cb cb, void *arg)
{
	struct dump *d = calloc(1, sizeof(*d));
	const struct nlmsghdr *h;
	size_t left;
	int r;

	if (!d)
		return -ENOMEM;
	d->aside = (struct lw_aside){ .owner = asked->netns,
				      .patience_ms = asked->patience_ms,
				      .call = dump_run,
				      .drop = dump_drop };
	d->req.h = (struct nlmsghdr){ .nlmsg_len = sizeof(d->req),
				      .nlmsg_type = SOCK_DIAG_BY_FAMILY,
				      .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP };
	d->req.r =
		(struct inet_diag_req_v2){ .sdiag_family = (__u8)asked->family,
					   .sdiag_protocol = IPPROTO_TCP,
					   .idiag_ext = asked->info ? 1 << (INET_DIAG_INFO - 1) : 0,
					   .idiag_states = asked->states };
	if (asked->storage < 0) {
		d->req.h.nlmsg_len = offsetof(typeof(d->req), storages);
	} else {
		d->req.map_fd = (uint32_t)asked->storage;
		d->req.map = (struct rtattr){ .rta_len = RTA_LENGTH(sizeof(d->req.map_fd)),
					      .rta_type = SK_DIAG_BPF_STORAGE_REQ_MAP_FD };
		d->req.storages = (struct rtattr){ .rta_len = RTA_LENGTH(d->req.map.rta_len),
						   .rta_type = INET_DIAG_REQ_SK_BPF_STORAGES };
	}
	/* in a thread it may outlive the caller's */
	d->sock = fcntl(sock, F_DUPFD_CLOEXEC, 3);
	r = d->sock < 0 ? -errno : lw_aside_do(&d->aside);
	if (r == -EINPROGRESS)
		return r;
	h = (const struct nlmsghdr *)d->buf;
	left = d->len;
	for (; !r && NLMSG_OK(h, left) && h->nlmsg_type != NLMSG_DONE; h = NLMSG_NEXT(h, left)) {
		const struct lw_sock_seen seen = seen_of(h);

		cb(arg, &seen);
	}
	dump_drop(&d->aside);
	return r;
}
