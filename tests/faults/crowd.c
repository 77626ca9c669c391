/* SPDX-License-Identifier: Apache-2.0 */
/*
 * crowd: very many connections of one process, by one epoll loop, each answer checked for lane, identity and body.
 *   crowd hold N  --target IP:PORT ...    opens N, one request each; says "held" and keeps them until a line on standard input;
 *                                         then one more request each, and their ends
 *   crowd slow N --size S --kbps K ...    N requests of S bytes, each read at K kB/s through a small receive buffer
 *   crowd upload N --size S --kbps K ...  N bodies of S bytes, which the pod reads at K kB/s; the answer is their hash
 *   crowd write N --size S --kbps K ...   N bodies of S bytes, each sent at K kB/s; the answer is their hash
 *   crowd answer N --size S --kbps K ...  N requests of S bytes, which the pod writes at K kB/s
 *   crowd rate R --seconds S ...          R new connections a second, one request each
 *   crowd drip N --ms MS ...              N heads sent a byte every MS (slowloris), to their end
 * --tagged PERCENT (50). --slow PERCENT (100): of slow, upload, write and answer; the others read, are read, send or are answered as fast as it goes.
 * --timeout SECONDS (60): until an answer, or of these four until a byte moves. One line of JSON at the end: what was sent, lost, wrong, without and with the tag.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../hop/pattern.h"
#include "../harness/target.h"
#include "../harness/tool.h"

#define TARGETS_MAX 16
#define HEAD_MAX 512
#define SLOTS_MAX (1u << 17)
#define OPENING_MAX 256 /* connections being made at one moment */
#define WRITE_SLOWLY 4096u /* bytes at a time */

enum mode { HOLD, SLOW, UPLOAD, WRITE, ANSWER, RATE, DRIP };

struct conn {
	int fd;
	unsigned int id, slot, round;
	bool tag, slow, connecting, in_body, bad;
	uint64_t since_ms, next_ms, moved_ms; /* moved: a byte went or came */
	size_t sent, out_len, head_len; /* of the request's head: sent, and in all */
	char head[HEAD_MAX], text[64]; /* the answer's; text: of an upload's */
	uint64_t left, offset, put; /* put: of the body that is sent */
};

static struct {
	struct sockaddr_storage target[TARGETS_MAX];
	socklen_t len[TARGETS_MAX];
	int ntarget;
	enum mode mode;
	unsigned int n, seconds, kbps, tagged, slow, ms, timeout_ms;
	uint64_t size;
} opt = { .seconds = 60,
	  .kbps = 64,
	  .tagged = 50,
	  .slow = 100,
	  .size = 100,
	  .ms = 50,
	  .timeout_ms = 60000 };
static struct {
	unsigned long sent, ok, fell_back, lost, nomem, wrong, slowest_ms;
} count[2];
static struct conn *conns;
static unsigned int slots, opened, opening, done, waiting; /* waiting: answered, held */
static int ep;

static void watch(struct conn *c, uint32_t events, int op)
{
	struct epoll_event ev = { .events = events, .data.u32 = c->slot };

	if (epoll_ctl(ep, op, c->fd, &ev)) {
		perror("crowd: epoll_ctl");
		exit(1);
	}
}

static void finish(struct conn *c)
{
	if (c->connecting)
		opening--;
	close(c->fd);
	c->fd = -1;
	done++;
}

static void lose(struct conn *c, const char *why)
{
	static int told;
	bool nomem = !strcmp(why, strerror(ENOMEM));

	if (told++ < 20)
		fprintf(stderr,
			"crowd: lost: %u, round %u, tag %d: %s after %llu ms, %llu bytes of the body sent, %llu come\n",
			c->id, c->round, c->tag, why, (unsigned long long)(now_ms() - c->since_ms),
			(unsigned long long)c->put, (unsigned long long)c->offset);
	count[c->tag].lost++;
	count[c->tag].nomem += nomem;
	finish(c);
}

/* A body is sent, and its hash is the answer. */
static bool uploads(void)
{
	return opt.mode == UPLOAD || opt.mode == WRITE;
}

/* Goes on for long: what counts is that bytes move. */
static bool is_long(void)
{
	return opt.mode == SLOW || opt.mode == ANSWER || uploads();
}

static size_t request(const struct conn *c, char *buf)
{
	char path[64];

	if (uploads())
		return (size_t)snprintf(
			buf, HEAD_MAX,
			"POST /echo?hash&kbps=%u HTTP/1.1\r\nHost: web\r\nX-Id: %u-%u\r\n%sConnection: close\r\n"
			"Content-Length: %llu\r\n\r\n",
			opt.mode == UPLOAD && c->slow ? opt.kbps : 0, c->id, c->round,
			c->tag ? "x-mse-tag: gray\r\n" : "", (unsigned long long)opt.size);
	if (opt.mode == ANSWER && c->slow)
		snprintf(path, sizeof(path), "slowly/%llu/%u", (unsigned long long)opt.size,
			 opt.kbps);
	else
		snprintf(path, sizeof(path), "size/%llu", (unsigned long long)opt.size);
	return (size_t)snprintf(
		buf, HEAD_MAX, "GET /%s?seed=%u HTTP/1.1\r\nHost: web\r\nX-Id: %u-%u\r\n%s%s\r\n",
		path, c->id % 60000, c->id, c->round, c->tag ? "x-mse-tag: gray\r\n" : "",
		opt.mode == HOLD && !c->round ? "" : "Connection: close\r\n");
}

static void send_on(struct conn *c)
{
	char buf[HEAD_MAX];
	size_t len = c->out_len = request(c, buf), n = len - c->sent;
	ssize_t r;

	if (opt.mode == DRIP) {
		if (now_ms() < c->next_ms)
			return;
		n = 1;
		c->next_ms = now_ms() + opt.ms;
	}
	r = send(c->fd, buf + c->sent, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (r < 0 && errno == EAGAIN)
		return;
	if (r < 0) {
		lose(c, strerror(errno));
		return;
	}
	c->sent += (size_t)r;
	c->moved_ms = now_ms();
	if (c->sent == len && opt.mode != SLOW)
		watch(c, uploads() ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
	if (c->sent == len && opt.mode == SLOW)
		c->next_ms = now_ms();
}

/* Sends of the body what is taken, or as much as is due. */
static void upload_on(struct conn *c)
{
	bool slowly = opt.mode == WRITE && c->slow;

	for (int i = 0; i < 16 && c->put < opt.size; i++) {
		size_t n = opt.size - c->put < LW_PATTERN_RUN ? (size_t)(opt.size - c->put) :
								LW_PATTERN_RUN;
		ssize_t r = send(c->fd, lw_pattern_at(c->id % 60000, c->put),
				 slowly && n > WRITE_SLOWLY ? WRITE_SLOWLY : n,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (r < 0 && errno == EAGAIN) {
			/* poll may say that it is writable all the same (docs/limits.md, "A slow canary") */
			c->next_ms = now_ms() + 10;
			watch(c, EPOLLIN, EPOLL_CTL_MOD);
			return;
		}
		if (r < 0) {
			lose(c, strerror(errno));
			return;
		}
		c->put += (uint64_t)r;
		c->moved_ms = now_ms();
		if (slowly && c->put < opt.size) {
			c->next_ms = c->moved_ms + WRITE_SLOWLY / opt.kbps;
			watch(c, EPOLLIN, EPOLL_CTL_MOD);
			return;
		}
	}
	if (c->put == opt.size)
		watch(c, EPOLLIN, EPOLL_CTL_MOD);
}

static void begin(struct conn *c, unsigned int round)
{
	c->round = round;
	c->sent = c->head_len = 0;
	c->in_body = false;
	c->offset = c->put = 0;
	c->since_ms = c->moved_ms = now_ms();
	count[c->tag].sent++;
	send_on(c);
}

static void answered(struct conn *c, bool right)
{
	unsigned long took = (unsigned long)(now_ms() - c->since_ms);
	bool gray = strstr(c->head, "gray[") != NULL;
	char id[32];

	snprintf(id, sizeof(id), "X-Id: %u-%u\r\n", c->id, c->round);
	if (!right || strncmp(c->head, "HTTP/1.1 200", 12) || !strstr(c->head, id) ||
	    (gray && !c->tag)) {
		fprintf(stderr, "crowd: wrong: %u, tag %d, body %s: %.300s\n", c->id, c->tag,
			right ? "right" : "differs", c->head);
		count[c->tag].wrong++;
	} else if (gray != c->tag) {
		count[c->tag].fell_back++;
	} else {
		count[c->tag].ok++;
	}
	if (took > count[c->tag].slowest_ms)
		count[c->tag].slowest_ms = took;
	if (opt.mode == HOLD && !c->round) {
		waiting++;
		return;
	}
	finish(c);
}

/* Whether the answer is what hop says of a body that arrived as it was sent. */
static bool is_hash(const struct conn *c)
{
	uint64_t hash = LW_FNV_START, n;
	char want[64];

	for (uint64_t at = 0; at < opt.size; at += n) {
		n = opt.size - at < LW_PATTERN_RUN ? opt.size - at : LW_PATTERN_RUN;
		hash = lw_fnv(hash, lw_pattern_at(c->id % 60000, at), (size_t)n);
	}
	snprintf(want, sizeof(want), "%llu %016llx\n", (unsigned long long)opt.size,
		 (unsigned long long)hash);
	return !strcmp(c->text, want);
}

/* Reads up to most bytes. */
static void read_on(struct conn *c, size_t most)
{
	static char buf[65536];

	while (c->fd >= 0 && most) {
		ssize_t r = recv(c->fd, buf, most < sizeof(buf) ? most : sizeof(buf), MSG_DONTWAIT);
		char *p = buf, *end;

		if (r < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (r <= 0) {
			lose(c, r ? strerror(errno) : "end of file");
			return;
		}
		most -= (size_t)r;
		c->moved_ms = now_ms();
		if (!c->in_body) {
			size_t n = (size_t)r < HEAD_MAX - 1 - c->head_len ?
					   (size_t)r :
					   HEAD_MAX - 1 - c->head_len,
			       had = c->head_len;

			memcpy(c->head + had, buf, n);
			c->head[c->head_len = had + n] = 0;
			end = strstr(c->head, "\r\n\r\n");
			if (!end)
				continue;
			end[2] = 0;
			p = buf + (end + 4 - c->head - (ptrdiff_t)had);
			c->in_body = true;
			c->left = strtoull(strstr(c->head, "Content-Length: ") ?
						   strstr(c->head, "Content-Length: ") + 16 :
						   "0",
					   NULL, 10);
			c->bad = !uploads() && c->left != opt.size;
		}
		r -= p - buf;
		if ((uint64_t)r > c->left)
			c->bad = true;
		else if (uploads() && c->offset + (uint64_t)r < sizeof(c->text))
			memcpy(c->text + c->offset, p, (size_t)r);
		else if (uploads() || memcmp(p, lw_pattern_at(c->id % 60000, c->offset), (size_t)r))
			c->bad = true;
		c->offset += (uint64_t)r;
		c->left -= (uint64_t)r < c->left ? (uint64_t)r : c->left;
		if (!c->left && uploads()) {
			c->text[c->offset < sizeof(c->text) ? c->offset : 0] = 0;
			answered(c, !c->bad && is_hash(c));
			return;
		}
		if (!c->left) {
			answered(c, !c->bad);
			return;
		}
	}
}

static bool open_one(void)
{
	struct conn *c = &conns[opened % slots];
	int t = (int)(opened % (unsigned int)opt.ntarget), small = 4096;

	if (opened >= slots && c->fd >= 0)
		return false; /* it still waits for its answer: the rate is more than can be had */
	c->slot = opened % slots;
	c->id = opened++;
	c->tag = c->id * 37 % 100 < opt.tagged; /* of every hundred */
	c->slow = c->id * 73 / 10 % 100 < opt.slow; /* of either lane */
	c->since_ms = now_ms();
	c->fd = socket(opt.target[t].ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	c->connecting = true;
	opening++;
	if (c->fd < 0) {
		perror("crowd: socket");
		exit(1);
	}
	if (opt.mode == SLOW && c->slow)
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	watch(c, EPOLLOUT, EPOLL_CTL_ADD);
	if (connect(c->fd, (struct sockaddr *)&opt.target[t], opt.len[t]) && errno != EINPROGRESS) {
		count[c->tag].sent++;
		lose(c, strerror(errno));
	}
	return true;
}

static void on_event(struct conn *c, uint32_t events)
{
	int error = 0;
	socklen_t len = sizeof(error);

	if (c->fd < 0)
		return;
	if (c->connecting) {
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error) {
			count[c->tag].sent++;
			lose(c, strerror(error));
			return;
		}
		c->connecting = false;
		opening--;
		/* these two are driven by the clock */
		watch(c, (opt.mode == SLOW && c->slow) || opt.mode == DRIP ? 0 : EPOLLIN,
		      EPOLL_CTL_MOD);
		begin(c, 0);
		return;
	}
	if (uploads() && (events & EPOLLOUT))
		upload_on(c);
	if (c->fd >= 0 && !(opt.mode == SLOW && c->slow) &&
	    (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		read_on(c, SIZE_MAX);
}

static bool add_target(const char *text)
{
	if (opt.ntarget == TARGETS_MAX)
		return false;
	opt.len[opt.ntarget] = lw_target_parse(text, &opt.target[opt.ntarget]);
	return opt.len[opt.ntarget] && ++opt.ntarget;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, 0, 't' },  { "size", 1, 0, 'z' },    { "kbps", 1, 0, 'k' },
		{ "seconds", 1, 0, 's' }, { "ms", 1, 0, 'm' },	    { "tagged", 1, 0, 'p' },
		{ "slow", 1, 0, 'w' },	  { "timeout", 1, 0, 'T' }, { 0 }
	};
	static const char *const modes[] = { "hold",   "slow", "upload", "write",
					     "answer", "rate", "drip" };
	static struct epoll_event events[1024];
	struct rlimit l;
	uint64_t start, tick_ms = 0;
	unsigned int total, second_round = 0;
	bool told = false;
	int o;

	if (argc < 3)
		return 2;
	for (opt.mode = HOLD; opt.mode <= DRIP && strcmp(argv[1], modes[opt.mode]); opt.mode++)
		;
	opt.n = (unsigned int)atoi(argv[2]);
	optind = 3;
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 't':
			if (!add_target(optarg))
				return 2;
			break;
		case 'z':
			opt.size = strtoull(optarg, NULL, 10);
			break;
		case 'k':
			opt.kbps = (unsigned int)atoi(optarg);
			break;
		case 's':
			opt.seconds = (unsigned int)atoi(optarg);
			break;
		case 'm':
			opt.ms = (unsigned int)atoi(optarg);
			break;
		case 'p':
			opt.tagged = (unsigned int)atoi(optarg);
			break;
		case 'w':
			opt.slow = (unsigned int)atoi(optarg);
			break;
		case 'T':
			opt.timeout_ms = (unsigned int)atoi(optarg) * 1000;
			break;
		default:
			return 2;
		}
	}
	total = opt.mode == RATE ? opt.n * opt.seconds : opt.n;
	if (opt.mode > DRIP || !opt.ntarget || !total || (opt.mode != RATE && total > SLOTS_MAX))
		return 2;
	if (!getrlimit(RLIMIT_NOFILE, &l)) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
	}
	lw_pattern_init();
	ep = epoll_create1(EPOLL_CLOEXEC);
	slots = total < SLOTS_MAX ? total : SLOTS_MAX;
	conns = calloc(slots, sizeof(*conns));
	if (ep < 0 || !conns)
		return 1;
	start = now_ms();
	while (done < total) {
		uint64_t now = now_ms();
		unsigned int due =
			opt.mode == RATE ? (unsigned int)((now - start) * opt.n / 1000) : total;
		int n;

		while (opened < total && opened < due && opening < OPENING_MAX && open_one())
			;
		n = epoll_wait(ep, events, 1024, opt.mode == HOLD ? 100 : 5);
		for (int i = 0; i < n; i++)
			on_event(&conns[events[i].data.u32], events[i].events);
		if (opt.mode == HOLD && waiting && waiting + done == total && !told) {
			char line[8];

			told = true;
			printf("held\n");
			fflush(stdout);
			if (read(0, line, 1) < 0)
				return 1;
			now = now_ms();
		}
		if (told)
			for (unsigned int k = 0; k < 500 && second_round < total;
			     second_round++, k++)
				if (conns[second_round].fd >= 0)
					begin(&conns[second_round], 1);
		now = now_ms();
		if (now - tick_ms < 10)
			continue;
		for (unsigned int i = 0; i < opened && i < slots; i++) {
			struct conn *c = &conns[i];

			if (c->fd < 0 || c->connecting)
				continue;
			if ((opt.mode == SLOW || opt.mode == DRIP || uploads()) &&
			    c->sent < c->out_len) {
				send_on(c);
			} else if (opt.mode == SLOW && c->slow && now >= c->next_ms) {
				/* 4 KiB at a time, or what is due by now */
				size_t n = c->next_ms ?
						   4096 + (size_t)(now - c->next_ms) * opt.kbps :
						   4096;

				c->next_ms = now + 4096 / opt.kbps;
				read_on(c, n);
			} else if (uploads() && c->put < opt.size && now >= c->next_ms) {
				watch(c, EPOLLIN | EPOLLOUT, EPOLL_CTL_MOD);
			}
			if (c->fd >= 0 && !(opt.mode == HOLD && c->in_body && !c->left) &&
			    now > (is_long() ? c->moved_ms : c->since_ms) + opt.timeout_ms) {
				lose(c, "no answer in time");
			}
		}
		tick_ms = now;
	}
	printf("{\"connections\": %u, \"seconds\": %.1f", total, (double)(now_ms() - start) / 1000);
	for (int i = 0; i < 2; i++)
		printf(", \"%s\": {\"sent\": %lu, \"ok\": %lu, \"fell_back\": %lu, \"lost\": %lu, \"wrong\": %lu, \"slowest_ms\": %lu, \"how\": {\"nomem\": %lu}}",
		       i ? "lane" : "base", count[i].sent, count[i].ok, count[i].fell_back,
		       count[i].lost, count[i].wrong, count[i].slowest_ms, count[i].nomem);
	printf("}\n");
	return count[0].wrong || count[1].wrong || count[0].lost || count[1].lost;
}
