/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Self-tests: in a child process with a network namespace of its own, loopback connections are treated
 * as laneway treats applications', and read the way applications read. A way of enrolling that fails one
 * is not used, unless it concerns only clients that can be kept out; see docs/ARCHITECTURE.md, "Which mode".
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
#include "base/clock.h"
#include "kern/internal.h"
#include "kern/notice.h"
#include "kern/record.h"
#include "lw_selftest.skel.h"

#define MAX_RESULTS LW_RECORD_TESTS
#define WAIT_MS 2000
/* What fails is bad if it fails twice: a machine that is stalled, or short of memory for a moment, is no kernel that is wrong. */
#define TRIES 4
#define FAILURES 2
/*
 * Many times what all buffers on its way hold, and read in pieces of what nginx and Java read: so what is asked in between is asked of
 * queues that are full. The kernel doubles BUFFER. Not less: a steered packet that finds no room waits for a tick of the clock.
 */
#define BIG (1 << 19)
#define PIECE 4096
#define BUFFER (1 << 16)

struct pair {
	int near, far;
	uint64_t cookie, far_cookie;
};

/* One way of enrolling, with a downstream and an upstream connection. */
struct bench {
	struct lw_selftest_bpf *skel;
	struct pair down, up;
	char prefix[16];
	struct lw_selftest_result *results; /* of this try */
	size_t n;
	uint8_t *failures; /* of each test, in all tries */
	bool ok; /* but for clients that are kept out, and for what passes TCP by */
	uint32_t keeps; /* enum lw_keep */
	enum lw_past past;
};

/* Every test, once for each way of enrolling. */
static const struct test {
	const char *names[2]; /* with msg, with verdict */
	const char *about;
	uint32_t keeps; /* enum lw_keep: it concerns these clients alone */
	bool past; /* it concerns what passes TCP by, as read by these or by all */
} tests[] = {
#define TEST(name, about, keeps)                                      \
	{                                                             \
		{ "msg-" name, "verdict-" name }, about, keeps, false \
	}
#define PAST(name, about, keeps)                                     \
	{                                                            \
		{ "msg-" name, "verdict-" name }, about, keeps, true \
	}
	TEST("connect", "a connected socket can be enrolled, and bound to an upstream one", 0),
	TEST("fionread-native", "ioctl(FIONREAD) tells what waits from the own peer", 0),
	TEST("edges-native", "512 KiB of the own peer's, read at the edges of epoll, is whole", 0),
	TEST("large-native",
	     "the same by a client that reads on while FIONREAD tells of more, as nginx does", 0),
	TEST("peek-native", "MSG_PEEK shows what waits from the own peer, and leaves it there", 0),
	TEST("splice-native", "splice(2) reads what the own peer sent", LW_KEEP_SPLICE),
	TEST("fionread-steered", "ioctl(FIONREAD) tells what waits from another pod",
	     LW_KEEP_FIONREAD),
	TEST("edges-steered", "512 KiB of another pod's, read at the edges of epoll, is whole", 0),
	TEST("large-steered", "the same by a client that reads on while FIONREAD tells of more",
	     LW_KEEP_FIONREAD),
	TEST("peek-steered", "MSG_PEEK shows what waits from another pod, and leaves it there", 0),
	TEST("splice-steered", "splice(2) reads what another pod sent", LW_KEEP_SPLICE),
	TEST("upload-native", "512 KiB sent to the own peer arrives there whole", 0),
	TEST("order", "answers of the own peer and of another pod, in turn, are read in this order",
	     0),
	TEST("send-steered", "a request goes to another pod, and no byte of it to the own peer", 0),
	TEST("upload-steered", "512 KiB sent to another pod arrives there whole", 0),
	TEST("half-close", "behind the client's end of file the own peer still answers", 0),
	TEST("half-close-steered", "behind the client's end of file another pod still answers", 0),
	TEST("eof-native", "the own peer's end of file comes behind its bytes", 0),
	TEST("eof-steered", "an end of file that follows another pod's bytes comes behind them", 0),
	TEST("fin-asleep",
	     "another pod's own end of file ends a recv(2) that sleeps, behind its bytes", 0),
	TEST("fin-edge", "another pod's own end of file is an edge of epoll, behind its bytes", 0),
	PAST("fionread-past",
	     "ioctl(FIONREAD) tells a server what a client of the node has sent past TCP",
	     LW_KEEP_FIONREAD),
	PAST("edges-past", "512 KiB past TCP, read at the edges of epoll, is whole", 0),
	PAST("large-past", "the same by a server that reads on while FIONREAD tells of more",
	     LW_KEEP_FIONREAD),
	PAST("peek-past", "MSG_PEEK shows what has passed TCP by, and leaves it there", 0),
	TEST("splice-past", "splice(2) reads what has passed TCP by", LW_KEEP_SPLICE),
	PAST("order-past", "bytes past TCP and bytes by it, in turn, are read in this order", 0),
	PAST("eof-past", "the connection's end of file comes behind bytes past TCP", 0),
	PAST("eof-past-asleep", "and ends a recv(2) that sleeps", 0),
	TEST("notice", "who asks FIONREAD is noticed, and can be kept out", 0),
#undef TEST
#undef PAST
};
#define NTESTS (sizeof(tests) / sizeof(tests[0]))
_Static_assert(2 * NTESTS <= MAX_RESULTS, "room for all of both modes");

bool lw_selftest_name(const char *name, struct lw_selftest_result *ret)
{
	for (size_t i = 0; i < 2 * NTESTS; i++) {
		const struct test *t = &tests[i / 2];

		if (strcmp(t->names[i % 2], name) != 0)
			continue;
		*ret = (struct lw_selftest_result){ .name = t->names[i % 2],
						    .about = t->about,
						    .keeps = t->keeps,
						    .past = t->past };
		return true;
	}
	return false;
}

static bool report(struct bench *b, const char *name, bool ok, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* For tests: LW_SELFTEST_FAIL=NAME:TIMES has the test fail so often in each mode, NAME without that. */
static bool is_to_fail(const struct bench *b, size_t test)
{
	const char *fail = getenv("LW_SELFTEST_FAIL"),
		   *name = tests[test].names[0] + strlen("msg-");
	size_t len = strlen(name);

	return fail && !strncmp(fail, name, len) && fail[len] == ':' &&
	       b->failures[test] < atoi(fail + len + 1);
}

static void judge(struct bench *b, const struct lw_selftest_result *r)
{
	if (!r->ok && r->past)
		/* who asks FIONREAD is kept out as a client; nobody keeps out a server */
		b->past = r->keeps && b->past != LW_PAST_NONE && (b->keeps & r->keeps) ?
				  LW_PAST_RESPONSES :
				  LW_PAST_NONE;
	else if (!r->ok && r->keeps)
		b->keeps |= r->keeps;
	else
		b->ok &= r->ok;
}

static bool report(struct bench *b, const char *name, bool ok, const char *format, ...)
{
	struct lw_selftest_result *r = &b->results[b->n++];
	size_t skip = strlen(b->prefix), i = 0;
	va_list args;

	while (i < NTESTS && strcmp(tests[i].names[0] + strlen("msg-"), name) != 0)
		i++;
	if (i == NTESTS) /* cannot be: each is called by its name above */
		abort();
	ok = ok && !is_to_fail(b, i);
	b->failures[i] += !ok;
	*r = (struct lw_selftest_result){ .name = tests[i].names[skip != strlen("msg-")],
					  .about = tests[i].about,
					  .ok = ok,
					  .keeps = tests[i].keeps,
					  .past = tests[i].past };
	va_start(args, format);
	(void)vsnprintf(r->detail, sizeof(r->detail), format, args);
	va_end(args);
	judge(b, r);
	return ok;
}

static int loopback_up(void)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq ifr = { .ifr_name = "lo", .ifr_flags = IFF_UP };

	return fd < 0 || ioctl(fd, SIOCSIFFLAGS, &ifr) ? -errno : 0;
}

/* Small buffers; and no call waits for ever: where bytes do not come others may find no room. */
static int set_up(int fd)
{
	const struct timeval patience = { .tv_sec = WAIT_MS / 1000,
					  .tv_usec = WAIT_MS % 1000 * 1000 };
	const int size = BUFFER;

	return setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) ||
			       setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience,
					  sizeof(patience)) ||
			       setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience,
					  sizeof(patience)) ?
		       -errno :
		       0;
}

static int pair_open(struct pair *p)
{
	_cleanup_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a), clen = sizeof(p->cookie), flen = sizeof(p->far_cookie);

	p->near = p->far = -1;
	/* whoever is accepted has what the listening socket has */
	if (l < 0 || set_up(l) || bind(l, (struct sockaddr *)&a, sizeof(a)) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&a, &len))
		return -errno;
	p->near = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->near < 0 || set_up(p->near) || connect(p->near, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	p->far = accept4(l, NULL, NULL, SOCK_CLOEXEC);
	if (p->far < 0 || getsockopt(p->near, SOL_SOCKET, SO_COOKIE, &p->cookie, &clen) ||
	    getsockopt(p->far, SOL_SOCKET, SO_COOKIE, &p->far_cookie, &flen))
		return -errno;
	return 0;
}

static void pair_close(struct pair *p)
{
	p->near = lw_close(p->near);
	p->far = lw_close(p->far);
}

static int enrol(const struct bpf_map *map, int sock, uint64_t cookie)
{
	uint64_t fd = (uint64_t)sock;

	return bpf_map_update_elem(bpf_map__fd(map), &cookie, &fd, BPF_ANY) ? -errno : 0;
}

static bool readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	errno = ETIMEDOUT;
	return poll(&p, 1, WAIT_MS) == 1 && (p.revents & POLLIN);
}

/*
 * recv(), once there is something. A packet on its way to the verdict makes a socket look readable for a moment, and where softirqs are
 * put off for longer; and a wake-up that comes late ends the one sleep that a recv(2) on a socket with programs has.
 */
static ssize_t take(int fd, char *buf, size_t n, int flags)
{
	uint64_t until = lw_clock_ns() + WAIT_MS * LW_NS_PER_MS;
	ssize_t k;

	while ((k = readable(fd) ? recv(fd, buf, n, flags | MSG_DONTWAIT) : -1) < 0 &&
	       (errno == EAGAIN || errno == EINTR) && lw_clock_ns() < until)
		(void)sched_yield();
	return k;
}

static void fill(char *buf, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		buf[i] = (char)((at + i) * 31 >> 3);
}

/*
 * Reads at the edges of epoll. ask: as nginx does, FIONREAD says whether there is more, and an answer of 0 means wait
 * for the next edge. The sender is a child, so that neither side waits for the other's buffers.
 */
static bool read_large(int from, int to, bool ask, char *why, size_t why_len)
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
	while (got < BIG &&
	       ((n = epoll_wait(ep, &ev, 1, WAIT_MS)) == 1 || (n < 0 && errno == EINTR))) {
		do {
			ssize_t k = recv(to, buf + got, BIG - got < PIECE ? BIG - got : PIECE,
					 MSG_DONTWAIT);

			if (k <= 0)
				break;
			got += (size_t)k;
			n = 0;
			if (ask)
				(void)ioctl(to, FIONREAD, &n);
		} while (n > 0 || !ask);
	}
	if (pid > 0) {
		if (got < BIG)
			(void)kill(pid, SIGKILL);
		(void)waitpid(pid, NULL, 0);
	}
	if (got < BIG) {
		(void)snprintf(why, why_len, "stalled after %zu of %d bytes", got, BIG);
		return false;
	}
	if (memcmp(buf, want, BIG)) {
		(void)snprintf(why, why_len, "bytes differ from what was sent");
		return false;
	}
	(void)snprintf(why, why_len, "%d bytes", BIG);
	return true;
}

/* Sends on one end, asks FIONREAD on the other, and takes the bytes. */
static bool ask_fionread(struct bench *b, const char *name, int from, int to)
{
	char buf[512], c;
	int n = -1;
	bool ok;

	fill(buf, sizeof(buf), 0);
	/* looked at before it is asked for: then it is there */
	ok = write(from, buf, sizeof(buf)) == (ssize_t)sizeof(buf) &&
	     take(to, &c, 1, MSG_PEEK) == 1 && !ioctl(to, FIONREAD, &n) && n == (int)sizeof(buf);
	(void)recv(to, buf, sizeof(buf), MSG_DONTWAIT);
	return report(b, name, ok, "%d of %zu bytes told", n, sizeof(buf));
}

static void peek(struct bench *b, const char *name, int from, int to)
{
	char first[64] = "", second[64] = "";
	bool ok;

	ok = write(from, "peek here", 9) == 9 &&
	     take(to, first, sizeof(first) - 1, MSG_PEEK) == 9 &&
	     recv(to, second, sizeof(second) - 1, MSG_DONTWAIT) == 9 &&
	     !strcmp(first, "peek here") && !strcmp(second, first);
	(void)report(b, name, ok, "seen '%s', then read '%s'", first, second);
}

static void spliced(struct bench *b, const char *name, int from, int to)
{
	int fds[2] = { -1, -1 };
	char buf[64] = "";
	ssize_t n = -1;

	/* SPLICE_F_NONBLOCK is for the pipe only */
	if (!pipe2(fds, O_CLOEXEC) && !fcntl(to, F_SETFL, O_RDWR | O_NONBLOCK) &&
	    write(from, "through a pipe", 14) == 14 && take(to, buf + 63, 1, MSG_PEEK) == 1) {
		buf[63] = '\0';
		n = splice(to, NULL, fds[1], NULL, 14, SPLICE_F_NONBLOCK);
		if (n < 0)
			n = -errno;
	}
	if (n > 0)
		(void)!read(fds[0], buf, sizeof(buf) - 1);
	else
		(void)recv(to, buf + 32, 31, MSG_DONTWAIT); /* what follows shall not find it */
	(void)report(b, name, n == 14 && !strcmp(buf, "through a pipe"),
		     n < 0 ? "%s" : "'%s' came through", n < 0 ? strerror((int)-n) : buf);
	(void)fcntl(to, F_SETFL, O_RDWR);
	(void)lw_close(fds[0]);
	(void)lw_close(fds[1]);
}

static int enrol_both(struct bench *b)
{
	int fd, r = pair_open(&b->down);

	if (!r)
		r = pair_open(&b->up);
	if (!r)
		r = enrol(b->skel->maps.downs, b->down.near, b->down.cookie);
	if (!r)
		r = enrol(b->skel->maps.ups, b->up.near, b->up.cookie);
	fd = b->down.near;
	if (!r && (bpf_map_update_elem(bpf_map__fd(b->skel->maps.cookies), &fd, &b->down.cookie,
				       BPF_ANY) ||
		   bpf_map_update_elem(bpf_map__fd(b->skel->maps.routes), &b->up.cookie,
				       &b->down.cookie, BPF_ANY)))
		r = -errno;
	return r;
}

/* Both connections anew. */
static int renew(struct bench *b)
{
	pair_close(&b->down);
	pair_close(&b->up);
	return enrol_both(b);
}

/* Likewise: what follows is the last thing that a connection does. */
static bool again(struct bench *b, const char *name)
{
	int r = renew(b);

	return !r || report(b, name, false, "%s", strerror(-r));
}

static bool large(struct bench *b, const char *name, int from, int to, bool ask)
{
	char why[160];
	bool ok = read_large(from, to, ask, why, sizeof(why));

	/* what is left of it is not for those that follow */
	ok = report(b, name, ok, "%s", why);
	if (!ok)
		(void)renew(b);
	return ok;
}

/* The client says that it has no more to ask, and is answered. steered: by another pod, whose connection the agent half-closes for it. */
static void half_close(struct bench *b, const char *name, bool steered)
{
	const struct pair *p = steered ? &b->up : &b->down;
	int near = b->down.near, r;
	char buf[64] = "";

	r = !steered || !bpf_map_update_elem(bpf_map__fd(b->skel->maps.routes), &b->down.cookie,
					     &b->up.cookie, BPF_ANY);
	r = r && write(near, "ask", 3) == 3 && !shutdown(near, SHUT_WR) &&
	    (!steered || !shutdown(p->near, SHUT_WR)) && take(p->far, buf, 3, 0) == 3 &&
	    take(p->far, buf + 8, 1, 0) == 0 && !strcmp(buf, "ask") &&
	    write(p->far, "bye", 3) == 3 && take(near, buf, sizeof(buf) - 1, 0) == 3;
	(void)report(b, name, r && !strcmp(buf, "bye"), "read '%s'", buf);
}

static void ends(struct bench *b)
{
	static const char *const names[] = { "half-close", "half-close-steered", "eof-native",
					     "eof-steered" };

	for (size_t i = 0; i < 4; i++) {
		char buf[64] = "";
		int r, near;

		if (!again(b, names[i]))
			continue;
		if (i < 2) {
			half_close(b, names[i], i == 1);
			continue;
		}
		near = b->down.near;
		if (i == 2)
			r = write(b->down.far, "bye", 3) == 3 && !shutdown(b->down.far, SHUT_WR);
		else /* as the agent does it */
			r = write(b->up.far, "bye", 3) == 3 && take(near, buf, 1, MSG_PEEK) == 1 &&
			    !shutdown(near, SHUT_RD);
		r = r && take(near, buf, sizeof(buf) - 1, 0) == 3 && take(near, buf + 8, 1, 0) == 0;
		(void)report(b, names[i], r && !strcmp(buf, "bye"), "read '%s'%s", buf,
			     r ? ", then the end" : "");
	}
}

/* Has the process come to sleep? */
static bool sleeps(pid_t pid)
{
	char path[64], stat[512], *end;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	for (int us = 0; us < WAIT_MS * 1000; us += 50) {
		_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? -1 : read(fd, stat, sizeof(stat) - 1);

		if (n <= 0)
			return false;
		stat[n] = 0;
		end = strrchr(stat, ')'); /* its name may have anything in it */
		if (end && strncmp(end, ") S", 3) == 0)
			return true;
		(void)usleep(50);
	}
	return false;
}

/* The next byte, or 0 at the end of file, or what was wrong. */
static int read_on(int fd, char *to)
{
	uint64_t until = lw_clock_ns() + WAIT_MS * LW_NS_PER_MS;
	ssize_t n;

	/* it sleeps but once, and a wake-up for what has been read comes late: the next one is for us */
	do
		n = recv(fd, to, 1, 0);
	while (n < 0 && (errno == EAGAIN || errno == EINTR) && lw_clock_ns() < until);
	/* seldom the kernel says of the packet that a FIN is that it is no packet, and then that it is the end (docs/limits.md) */
	if (n < 0 && errno == EPIPE)
		n = recv(fd, to, 1, 0);
	return n < 0 ? -errno : (int)n;
}

/*
 * Bytes from `from`, then the end of file of `ends`. The reader sleeps, with all the bytes, when that comes: a child tells it by what
 * it has written.
 */
static void asleep(struct bench *b, const char *name, int to, int from, int ends)
{
	_cleanup_close_ int in = -1;
	char buf[8] = "", *at = buf;
	struct pollfd p = { .events = POLLIN };
	int fds[2], status = 0, r = 0;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC)) {
		(void)report(b, name, false, "%s", strerror(errno));
		return;
	}
	p.fd = in = fds[0];
	pid = fork();
	if (!pid) {
		while (at < buf + 3 && (r = read_on(to, at)) == 1)
			at++;
		if (r != 1 || strcmp(buf, "bye") != 0 || write(fds[1], buf, 1) != 1)
			_exit(EBADMSG);
		r = read_on(to, buf);
		_exit(r > 0 ? EBADMSG : -r);
	}
	(void)lw_close(fds[1]);
	r = pid > 0 && write(from, "bye", 3) == 3 && poll(&p, 1, WAIT_MS) == 1 &&
	    read(in, buf, 1) == 1 && sleeps(pid) && !shutdown(ends, SHUT_WR) &&
	    poll(&p, 1, WAIT_MS) == 1; /* it has ended */
	if (pid > 0) {
		(void)kill(pid, SIGKILL);
		(void)waitpid(pid, &status, 0);
	}
	r = r && WIFEXITED(status);
	(void)report(b, name, r && !WEXITSTATUS(status), "%s",
		     !r			 ? "it went on sleeping" :
		     WEXITSTATUS(status) ? strerror(WEXITSTATUS(status)) :
					   "read 'bye', then the end");
}

static void fin_edge(struct bench *b)
{
	_cleanup_close_ int ep = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };
	char buf[8] = "";
	int n = 0, r;

	if (!again(b, "fin-edge"))
		return;
	r = ep >= 0 && !epoll_ctl(ep, EPOLL_CTL_ADD, b->down.near, &ev) &&
	    write(b->up.far, "bye", 3) == 3;
	while (r && n < 3) {
		ssize_t k = epoll_wait(ep, &ev, 1, WAIT_MS) == 1 ?
				    recv(b->down.near, buf + n, sizeof(buf) - 1 - (size_t)n,
					 MSG_DONTWAIT) :
				    0;

		r = k > 0 || (k < 0 && errno == EAGAIN); /* not there yet: another edge tells */
		n += k > 0 ? (int)k : 0;
	}
	r = r && recv(b->down.near, buf + 4, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN &&
	    !shutdown(b->up.far, SHUT_WR) && epoll_wait(ep, &ev, 1, WAIT_MS) == 1 &&
	    read_on(b->down.near, buf + 4) == 0;
	(void)report(b, "fin-edge", r && !strcmp(buf, "bye"), "read '%s'%s", buf,
		     r ? ", then the end" : "");
}

/*
 * The end of file that another pod sends itself, as a packet without bytes, handed on like any other, where the client's socket has a
 * verdict. Without one recv(2) would fail with EFAULT, and the agent ends it otherwise.
 */
static void fins(struct bench *b)
{
	b->skel->bss->st_fins = 1;
	if (again(b, "fin-asleep"))
		asleep(b, "fin-asleep", b->down.near, b->up.far, b->up.far);
	fin_edge(b);
	b->skel->bss->st_fins = 0;
}

/*
 * Between two pods of a node what is sent on one enrolled socket goes into the queue of another (lw_msg, lw_far_msg). Here it is a
 * request, on its way to the pod's end of the upstream connection, for nobody can keep out whoever reads there.
 */
static bool again_past(struct bench *b, const char *name)
{
	int r;

	if (!again(b, name))
		return false;
	r = enrol(b->skel->maps.downs, b->up.far, b->up.far_cookie);
	if (!r && bpf_map_update_elem(bpf_map__fd(b->skel->maps.pasts), &b->down.cookie,
				      &b->up.far_cookie, BPF_ANY))
		r = -errno;
	return !r || report(b, name, false, "%s", strerror(-r));
}

/* A message past TCP, one by it, and so on: each is sent when the one before has been read. */
static void order_past(struct bench *b)
{
	char buf[16] = "";
	bool ok = true;

	for (size_t i = 0; ok && i < 4; i++)
		ok = write(i % 2 ? b->up.near : b->down.near, &"onetwosixten"[3 * i], 3) == 3 &&
		     take(b->up.far, buf + 3 * i, 3, 0) == 3;
	(void)report(b, "order-past", ok && !strcmp(buf, "onetwosixten"), "read '%s'", buf);
}

static void eof_past(struct bench *b)
{
	char buf[64] = "";
	bool ok;

	if (!again_past(b, "eof-past"))
		return;
	ok = write(b->down.near, "bye", 3) == 3 && !shutdown(b->up.near, SHUT_WR) &&
	     take(b->up.far, buf, sizeof(buf) - 1, 0) == 3 && take(b->up.far, buf + 8, 1, 0) == 0;
	(void)report(b, "eof-past", ok && !strcmp(buf, "bye"), "read '%s'%s", buf,
		     ok ? ", then the end" : "");
}

static void pass_by(struct bench *b)
{
	bool r = true;

	if (!again_past(b, "fionread-past"))
		return;
	if (!ask_fionread(b, "fionread-past", b->down.near, b->up.far) ||
	    !large(b, "large-past", b->down.near, b->up.far, true))
		r = again_past(b, "edges-past");
	if (!r || !large(b, "edges-past", b->down.near, b->up.far, false))
		return;
	peek(b, "peek-past", b->down.near, b->up.far);
	spliced(b, "splice-past", b->down.near, b->up.far);
	order_past(b);
	eof_past(b);
	if (again_past(b, "eof-past-asleep"))
		asleep(b, "eof-past-asleep", b->up.far, b->down.near, b->up.near);
}

static void run(struct bench *b)
{
	int downs = bpf_map__fd(b->skel->maps.downs), ups = bpf_map__fd(b->skel->maps.ups);
	bool verdict = b->prefix[0] == 'v';
	char buf[64] = "";
	int r = 0;

	if (bpf_prog_attach(bpf_program__fd(b->skel->progs.st_send), downs, BPF_SK_MSG_VERDICT,
			    0) ||
	    (verdict && bpf_prog_attach(bpf_program__fd(b->skel->progs.st_native), downs,
					BPF_SK_SKB_VERDICT, 0)) ||
	    bpf_prog_attach(bpf_program__fd(b->skel->progs.st_reply), ups, BPF_SK_SKB_VERDICT, 0))
		r = -errno;
	if (!r)
		r = enrol_both(b);
	if (!report(b, "connect", !r, "%s", r ? strerror(-r) : "sockets enrolled"))
		return;

	if (!ask_fionread(b, "fionread-native", b->down.far, b->down.near))
		return; /* what follows would wait for the stalls found */
	large(b, "edges-native", b->down.far, b->down.near, false);
	large(b, "large-native", b->down.far, b->down.near, true);
	peek(b, "peek-native", b->down.far, b->down.near);
	spliced(b, "splice-native", b->down.far, b->down.near);
	r = ask_fionread(b, "fionread-steered", b->up.far, b->down.near);
	large(b, "edges-steered", b->up.far, b->down.near, false);
	if (r)
		large(b, "large-steered", b->up.far, b->down.near, true);
	peek(b, "peek-steered", b->up.far, b->down.near);
	spliced(b, "splice-steered", b->up.far, b->down.near);
	if (!b->ok)
		return;

	/* a native answer, read, then a steered one: in this order */
	r = write(b->down.far, "one", 3) == 3 && take(b->down.near, buf, 3, 0) == 3 &&
	    write(b->up.far, "two", 3) == 3 && take(b->down.near, buf + 3, 3, 0) == 3 &&
	    write(b->down.far, "six", 3) == 3 && take(b->down.near, buf + 6, 3, 0) == 3;
	(void)report(b, "order", r && !strcmp(buf, "onetwosix"), "read '%s'", buf);

	/* a request's body to the own peer, which does not fit the buffers on its way */
	large(b, "upload-native", b->down.near, b->down.far, true);

	/* requests: to the upstream connection, and nothing to the own peer */
	memset(buf, 0, sizeof(buf));
	if (bpf_map_update_elem(bpf_map__fd(b->skel->maps.routes), &b->down.cookie, &b->up.cookie,
				BPF_ANY)) {
		(void)report(b, "send-steered", false, "%s", strerror(errno));
		return;
	}
	r = send(b->down.near, "request", 7, 0) == 7 && take(b->up.far, buf, sizeof(buf), 0) == 7 &&
	    recv(b->down.far, buf + 32, 1, MSG_DONTWAIT) < 0;
	(void)report(b, "send-steered", r && !strcmp(buf, "request"), "'%s' at the upstream end",
		     buf);
	large(b, "upload-steered", b->down.near, b->up.far, true);
	ends(b);
	if (verdict)
		fins(b);
	if (b->ok)
		pass_by(b);
}

/* Does the kernel have a hook that tells who asks FIONREAD? Without, such clients cannot be kept out. */
static bool can_notice(void)
{
	struct lw_notice *notice = NULL;
	bool yes = lw_notice_start(NULL, LW_KEEP_FIONREAD, false, &notice) == LW_KEEP_FIONREAD;

	lw_notice_stop(&notice);
	return yes;
}

/* One try at everything, on new connections. */
static void try_all(struct bench *b, enum lw_kern_mode mode)
{
	b->down = b->up = (struct pair){ .near = -1, .far = -1 };
	b->n = 0;
	b->ok = true;
	b->keeps = 0;
	b->past = LW_PAST_ALL;
	(void)snprintf(b->prefix, sizeof(b->prefix), "%s-", lw_kern_mode_name(mode));
	b->skel = lw_selftest_bpf__open_and_load();
	if (!b->skel) {
		(void)report(b, "connect", false, "load the programs: %s", strerror(errno));
		return;
	}
	run(b);
	pair_close(&b->down);
	pair_close(&b->up);
	lw_selftest_bpf__destroy(b->skel);
}

/* Adds what a try has found to what those before have: what has passed once has passed. Returns how many there are. */
static size_t merge(struct lw_selftest_result *all, size_t n, const struct bench *b)
{
	for (size_t i = 0; i < b->n; i++) {
		size_t k = 0;

		while (k < n && strcmp(all[k].name, b->results[i].name) != 0)
			k++;
		if (k == n || !all[k].ok)
			all[k] = b->results[i];
		n += k == n;
	}
	return n;
}

/* Has a test failed that may pass another time? No kernel serves those who splice: that is not tried again. */
static bool is_in_doubt(const struct lw_selftest_result *all, size_t n, const struct bench *b)
{
	for (size_t k = 0; k < n; k++)
		for (size_t i = 0; !all[k].ok && !(all[k].keeps & LW_KEEP_SPLICE) && i < NTESTS;
		     i++)
			if (all[k].name == tests[i].names[b->prefix[0] == 'v'] &&
			    b->failures[i] < FAILURES)
				return true;
	return false;
}

/* The same as seen by the last try alone: were there such, others have not been reached. */
static bool is_through(const struct bench *b)
{
	for (size_t i = 0; i < b->n; i++)
		if (!b->results[i].ok && !(b->results[i].keeps & LW_KEEP_SPLICE))
			return false;
	return true;
}

static int child(struct lw_selftest_result *results, size_t *n, enum lw_kern_mode *mode,
		 uint32_t *keeps, enum lw_past *past)
{
	static const enum lw_kern_mode modes[] = { LW_KERN_MODE_MSG, LW_KERN_MODE_VERDICT };
	static struct lw_selftest_result found[MAX_RESULTS];
	int r;

	*mode = LW_KERN_MODE_NONE;
	*keeps = 0;
	*past = LW_PAST_NONE;
	/* the event loop's handler would interrupt the waits when a sender below ends */
	(void)signal(SIGCHLD, SIG_DFL);
	if (unshare(CLONE_NEWNET))
		return -errno;
	r = loopback_up();
	for (size_t i = 0; !r && i < 2; i++) {
		struct lw_selftest_result *all = results + *n;
		uint8_t failures[NTESTS] = {};
		struct bench b = { .results = found, .failures = failures };
		bool known = false;
		size_t nall = 0;

		/* the best there is: everybody but those who splice, whom no kernel serves */
		if (*mode != LW_KERN_MODE_NONE && !(*keeps & LW_KEEP_FIONREAD))
			break;
		for (size_t k = 0; !known && k < TRIES; k++) {
			try_all(&b, modes[i]);
			nall = merge(all, nall, &b);
			known = is_through(&b) || !is_in_doubt(all, nall, &b);
		}
		b.ok = known;
		b.keeps = 0;
		b.past = LW_PAST_ALL;
		for (size_t k = 0; k < nall; k++)
			judge(&b, &all[k]);
		if (b.ok && (b.keeps & LW_KEEP_FIONREAD)) {
			bool yes = can_notice();

			b.n = 0;
			(void)report(&b, "notice", yes, "%s",
				     yes ? "by a hook of this kernel" :
					   "this kernel has no hook for it (fentry on tcp_ioctl)");
			nall = merge(all, nall, &b);
		}
		*n += nall;
		if (b.ok && (*mode == LW_KERN_MODE_NONE || !(b.keeps & LW_KEEP_FIONREAD))) {
			*mode = modes[i];
			*keeps = b.keeps;
			*past = b.past;
		}
	}
	return r;
}

/* Names are pointers into the program, the same in the child: they pass through the pipe. */
struct outcome {
	int r;
	enum lw_kern_mode mode;
	uint32_t keeps;
	enum lw_past past;
	size_t n;
	struct lw_selftest_result results[MAX_RESULTS];
};

int lw_selftest_run(struct lw_selftest *ret)
{
	_cleanup_free_ struct outcome *o = calloc(1, sizeof(*o));
	_cleanup_free_ struct lw_selftest_result *results =
		calloc(MAX_RESULTS + 1, sizeof(*results));
	_cleanup_close_ int in = -1, out = -1;
	uint64_t since = lw_clock_ns();
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
		o->r = child(o->results, &o->n, &o->mode, &o->keeps, &o->past);
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
	*ret = (struct lw_selftest){ .tests = TAKE_PTR(results),
				     .mode = o->mode,
				     .keeps = o->keeps,
				     .past = o->past,
				     .took_us = (uint32_t)((lw_clock_ns() - since) / 1000) };
	return 0;
}
