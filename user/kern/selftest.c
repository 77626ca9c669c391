/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-tests: in a child process with a network namespace of its own, loopback connections are treated
 * as laneway treats applications', and read the way applications read. A way of enrolling that fails one
 * is not used; see docs/ARCHITECTURE.md, "Which mode".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/internal.h"
#include "lw_selftest.skel.h"

#define MAX_RESULTS 16
#define WAIT_MS 2000
#define BIG (1 << 20)

struct pair {
	int near, far;
	uint64_t cookie; /* of near */
};

/* One way of enrolling, with a downstream and an upstream connection. */
struct bench {
	struct lw_selftest_bpf *skel;
	struct pair down, up;
	char prefix[16];
	struct lw_selftest_result *results;
	size_t *n;
	bool ok;
};

static bool report(struct bench *b, const char *name, bool ok, const char *format, ...) __attribute__((format(printf, 4, 5)));
static bool report(struct bench *b, const char *name, bool ok, const char *format, ...)
{
	static const char *const names[][2] = {
#define NAME(n) { "msg-" n, "verdict-" n }
		NAME("connect"), NAME("send-steered"), NAME("fionread-native"), NAME("fionread-steered"),
		NAME("large-native"), NAME("large-steered"), NAME("order"),
#undef NAME
	};
	struct lw_selftest_result *r = &b->results[(*b->n)++];
	va_list args;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (size_t j = 0; j < 2; j++)
			if (!strncmp(names[i][j], b->prefix, strlen(b->prefix)) && !strcmp(names[i][j] + strlen(b->prefix), name))
				r->name = names[i][j];
	r->ok = ok;
	va_start(args, format);
	(void)vsnprintf(r->detail, sizeof(r->detail), format, args);
	va_end(args);
	b->ok &= ok;
	return ok;
}

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

static int pair_open(struct pair *p)
{
	_cleanup_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a), clen = sizeof(p->cookie);

	p->near = p->far = -1;
	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) || getsockname(l, (struct sockaddr *)&a, &len))
		return -errno;
	p->near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->near < 0 || connect(p->near, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	p->far = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (p->far < 0 || getsockopt(p->near, SOL_SOCKET, SO_COOKIE, &p->cookie, &clen))
		return -errno;
	return 0;
}

static void pair_close(struct pair *p)
{
	p->near = lw_close(p->near);
	p->far = lw_close(p->far);
}

static int enrol(struct bpf_map *map, const struct pair *p)
{
	uint64_t fd = (uint64_t)p->near;

	return bpf_map_update_elem(bpf_map__fd(map), &p->cookie, &fd, BPF_ANY) ? -errno : 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, WAIT_MS) == 1 && (p.revents & POLLIN);
}

static void fill(char *buf, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)((at + i) * 31 >> 3);
}

/*
 * Reads as nginx does: an edge from epoll, then FIONREAD says how much to take, and an answer of 0 means
 * wait for the next edge. The sender is a child, so that neither side waits for the other's buffers.
 */
static bool read_large(int from, int to, char *why, size_t why_len)
{
	_cleanup_free_ char *buf = malloc(BIG), *want = malloc(BIG);
	_cleanup_close_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	size_t got = 0;
	pid_t pid;
	int n;

	if (!buf || !want || ep < 0 || epoll_ctl(ep, EPOLL_CTL_ADD, to, &ev)) {
		(void)snprintf(why, why_len, "%s", strerror(errno));
		return false;
	}
	fill(want, BIG, 0);
	pid = fork();
	if (!pid) {
		for (size_t at = 0; at < BIG;) {
			ssize_t w = write(from, want + at, BIG - at);

			if (w <= 0)
				_exit(1);
			at += (size_t)w;
		}
		_exit(0);
	}
	/* stopped and continued, epoll_wait() ends with EINTR, and that is no stall */
	while (got < BIG && ((n = epoll_wait(ep, &ev, 1, WAIT_MS)) == 1 || (n < 0 && errno == EINTR))) {
		do {
			ssize_t k = recv(to, buf + got, BIG - got, MSG_DONTWAIT);

			if (k <= 0)
				break;
			got += (size_t)k;
			n = 0;
			(void)ioctl(to, FIONREAD, &n);
		} while (n > 0);
	}
	if (pid > 0) {
		if (got < BIG)
			(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	if (got < BIG) {
		(void)snprintf(why, why_len, "stalled after %zu of %d bytes: a client that asks FIONREAD hangs", got, BIG);
		return false;
	}
	if (memcmp(buf, want, BIG)) {
		(void)snprintf(why, why_len, "bytes differ from what was sent");
		return false;
	}
	(void)snprintf(why, why_len, "%d bytes by edges and FIONREAD", BIG);
	return true;
}

/* Sends on one end, asks FIONREAD on the other, and takes the bytes. */
static bool ask_fionread(struct bench *b, const char *name, int from)
{
	char buf[512];
	int n = -1;
	bool ok;

	fill(buf, sizeof(buf), 0);
	ok = write(from, buf, sizeof(buf)) == (ssize_t)sizeof(buf) && readable(b->down.near) &&
	     !ioctl(b->down.near, FIONREAD, &n) && n == (int)sizeof(buf);
	(void)recv(b->down.near, buf, sizeof(buf), MSG_DONTWAIT);
	return report(b, name, ok, "%d of %zu bytes told", n, sizeof(buf));
}

static void run(struct bench *b)
{
	int downs = bpf_map__fd(b->skel->maps.downs), ups = bpf_map__fd(b->skel->maps.ups);
	int routes = bpf_map__fd(b->skel->maps.routes), fd;
	bool verdict = b->prefix[0] == 'v';
	char buf[64] = "", why[160];
	int r = 0;

	if (bpf_prog_attach(bpf_program__fd(b->skel->progs.st_send), downs, BPF_SK_MSG_VERDICT, 0) ||
	    (verdict && bpf_prog_attach(bpf_program__fd(b->skel->progs.st_native), downs, BPF_SK_SKB_VERDICT, 0)) ||
	    bpf_prog_attach(bpf_program__fd(b->skel->progs.st_reply), ups, BPF_SK_SKB_VERDICT, 0))
		r = -errno;
	if (!r)
		r = pair_open(&b->down);
	if (!r)
		r = pair_open(&b->up);
	if (!r)
		r = enrol(b->skel->maps.downs, &b->down);
	if (!r)
		r = enrol(b->skel->maps.ups, &b->up);
	fd = b->down.near;
	if (!r && (bpf_map_update_elem(bpf_map__fd(b->skel->maps.cookies), &fd, &b->down.cookie, BPF_ANY) ||
		   bpf_map_update_elem(routes, &b->up.cookie, &b->down.cookie, BPF_ANY)))
		r = -errno;
	if (!report(b, "connect", !r, "%s", r ? strerror(-r) : "sockets enrolled"))
		return;

	(void)ask_fionread(b, "fionread-native", b->down.far);
	(void)ask_fionread(b, "fionread-steered", b->up.far);
	if (!b->ok)
		return; /* what follows would wait for the stalls found */
	(void)report(b, "large-native", read_large(b->down.far, b->down.near, why, sizeof(why)), "%s", why);
	(void)report(b, "large-steered", read_large(b->up.far, b->down.near, why, sizeof(why)), "%s", why);

	/* a native answer, read, then a steered one: in this order */
	r = write(b->down.far, "one", 3) == 3 && readable(b->down.near) && recv(b->down.near, buf, 3, 0) == 3 &&
	    write(b->up.far, "two", 3) == 3 && readable(b->down.near) && recv(b->down.near, buf + 3, 3, 0) == 3 &&
	    write(b->down.far, "six", 3) == 3 && readable(b->down.near) && recv(b->down.near, buf + 6, 3, 0) == 3;
	(void)report(b, "order", r && !strcmp(buf, "onetwosix"), "read '%s'", buf);

	/* requests: to the upstream connection, and nothing to the own peer */
	memset(buf, 0, sizeof(buf));
	if (bpf_map_update_elem(routes, &b->down.cookie, &b->up.cookie, BPF_ANY)) {
		(void)report(b, "send-steered", false, "%s", strerror(errno));
		return;
	}
	r = send(b->down.near, "request", 7, 0) == 7 && readable(b->up.far) && recv(b->up.far, buf, sizeof(buf), 0) == 7 &&
	    recv(b->down.far, buf + 32, 1, MSG_DONTWAIT) < 0;
	(void)report(b, "send-steered", r && !strcmp(buf, "request"), "'%s' at the upstream end", buf);
}

static int child(struct lw_selftest_result *results, size_t *n, enum lw_kern_mode *mode)
{
	static const enum lw_kern_mode modes[] = { LW_KERN_MODE_MSG, LW_KERN_MODE_VERDICT };
	int r;

	*mode = LW_KERN_MODE_NONE;
	/* the event loop's handler would interrupt the waits when a sender below ends */
	(void)signal(SIGCHLD, SIG_DFL);
	if (unshare(CLONE_NEWNET))
		return -errno;
	r = loopback_up();
	for (size_t i = 0; !r && *mode == LW_KERN_MODE_NONE && i < 2; i++) {
		struct bench b = { .down = { -1, -1, 0 }, .up = { -1, -1, 0 }, .results = results, .n = n, .ok = true };

		(void)snprintf(b.prefix, sizeof(b.prefix), "%s-", lw_kern_mode_name(modes[i]));
		b.skel = lw_selftest_bpf__open_and_load();
		if (!b.skel) {
			(void)report(&b, "connect", false, "load the programs: %s", strerror(errno));
			continue;
		}
		run(&b);
		if (b.ok)
			*mode = modes[i];
		pair_close(&b.down);
		pair_close(&b.up);
		lw_selftest_bpf__destroy(b.skel);
	}
	return r;
}

/* Names are pointers into the program, the same in the child: they pass through the pipe. */
struct outcome {
	int r;
	enum lw_kern_mode mode;
	size_t n;
	struct lw_selftest_result results[MAX_RESULTS];
};

int lw_selftest_run(struct lw_selftest_result **ret, enum lw_kern_mode *ret_mode)
{
	_cleanup_free_ struct outcome *o = calloc(1, sizeof(*o));
	_cleanup_free_ struct lw_selftest_result *results = calloc(MAX_RESULTS + 1, sizeof(*results));
	_cleanup_close_ int in = -1, out = -1;
	size_t got = 0;
	int fds[2];
	pid_t pid;

	if (!o || !results)
		return -ENOMEM;
	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	in = fds[0];
	out = fds[1];
	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		o->r = child(o->results, &o->n, &o->mode);
		_exit(write(out, o, sizeof(*o)) == (ssize_t)sizeof(*o) ? 0 : 1);
	}
	out = lw_close(out);
	while (got < sizeof(*o)) {
		ssize_t k = read(in, (char *)o + got, sizeof(*o) - got);

		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			break;
		got += (size_t)k;
	}
	(void)waitpid(pid, NULL, 0);
	if (got < sizeof(*o))
		return -EPIPE;
	if (o->r)
		return o->r;
	memcpy(results, o->results, sizeof(o->results));
	*ret = TAKE_PTR(results);
	*ret_mode = o->mode;
	return 0;
}
