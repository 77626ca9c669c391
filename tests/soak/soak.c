/* SPDX-License-Identifier: Apache-2.0 */
/*
 * soak: threads that ask hop for all it has, over kept and fresh connections, in both lanes, and check each
 * answer: which pod (lane), whose answer (X-Id), and every byte of the body. Prints "half" on standard error
 * when half is done, then one line of JSON. Exit 0: nothing wrong, nothing lost.
 *
 * --by-rule: so many of a hundred requests of the lane have no tag, but an x-user that a rule is for, which sets x-mse-tag and "x-set: new",
 * adds "x-add: more" and removes x-secret. They have lines for all of that to be done to, requests without a lane too; GET /head tells what of
 * it the pod got.
 *
 * It goes on after what is lost or wrong, and counts requests without and with the tag apart. Wrong is: bytes that are
 * not the answer's, another's answer, the wrong lane. Lost, by how: the connection was refused or never made (connect),
 * the send was refused (eacces), the agent answered 503 (unavailable), a reset (reset), EPIPE (epipe: docs/limits.md), an early end of file (eof), no
 * answer in time (timeout), no memory for the send (nomem), or else (other). "stale" is a part of these: a connection that had been used before ended
 * before a byte of the answer came, which happens to every client whose server may close idle connections (EPIPE, where the server has closed its
 * end and a second send follows the reset).
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include "../hop/pattern.h"
#include "../harness/target.h"
#include "../harness/tool.h"

#define TARGETS_MAX 16
#define THREADS_MAX 256
#define REPORTS_MAX 20
#define BODY_MAX (1u << 20)

static struct {
	struct sockaddr_storage target[TARGETS_MAX];
	socklen_t target_len[TARGETS_MAX];
	int ntarget, threads;
	uint64_t requests, seed, pace_us, until_us;
	unsigned int seconds, timeout, tag_percent, by_rule;
	bool may_fall_back, polls, bytes;
	const char *tag, *mark, *never; /* never: in the name of a pod that is none of ours */
	FILE *log;
} opt = { .threads = 16,
	  .requests = 1000000,
	  .timeout = 30,
	  .tag_percent = 50,
	  .tag = "gray",
	  .mark = "gray[" };

enum loss {
	LOSS_CONNECT,
	LOSS_EACCES,
	LOSS_UNAVAILABLE,
	LOSS_RESET,
	LOSS_EPIPE,
	LOSS_EOF,
	LOSS_TIMEOUT,
	LOSS_NOMEM,
	LOSS_OTHER,
	LOSS__MAX
};
static const char *const loss_names[] = { "connect", "eacces",	"unavailable", "reset", "epipe",
					  "eof",     "timeout", "nomem",       "other" };

/* Of requests without the tag, [0], and with it, [1]. */
static struct {
	atomic_uint_fast64_t sent, ok, fell_back, wrong_lane, wrong_bytes, stale, slowest_us,
		lost[LOSS__MAX];
} count[2];
static atomic_uint_fast64_t taken, done, connections;
static atomic_int reports;
static atomic_bool enough; /* SIGTERM, or the time is over */

struct client {
	unsigned int id;
	uint64_t rng;
	int fd;
	int target;
	unsigned int requests; /* of the connection at hand, the current one included */
	int last_tag; /* of the one before; -1: none */
	bool reading; /* the current one has been sent */
	int why; /* what fill() last said to line() */
	uint64_t since_us; /* when the current one began */
	uint64_t got; /* bytes that have come since then */
	char in[65536];
	size_t start, end;
	char *body; /* what to send, framed */
	size_t body_cap;
};

static uint64_t draw(struct client *c, uint64_t below)
{
	return (next_random(&c->rng) >> 11) % below;
}

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
	va_list ap;

	/* what is wrong is always told of: there should be none */
	if (format[0] != 'w' && atomic_fetch_add(&reports, 1) >= REPORTS_MAX)
		return;
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
}

static enum loss loss_of(int r)
{
	switch (-r) {
	case EACCES:
		return LOSS_EACCES;
	case ENOENT:
		return LOSS_UNAVAILABLE;
	case ECONNRESET:
	case ECONNABORTED: /* what SOCK_DESTROY leaves */
		return LOSS_RESET;
	case EPIPE:
		return LOSS_EPIPE;
	case ENODATA:
		return LOSS_EOF;
	case EAGAIN:
		return LOSS_TIMEOUT;
	case ENOMEM:
		return LOSS_NOMEM;
	default:
		return LOSS_OTHER;
	}
}

/* For whoever knows which faults there were at that time: "KIND lost|wrong|fell_back HOW BEGAN_US ENDED_US TARGET" by CLOCK_MONOTONIC. */
static void note(const struct client *c, int tag, const char *what, const char *how)
{
	if (opt.log)
		fprintf(opt.log, "%s %s %s %llu %llu %d\n", tag ? "lane" : "base", what, how,
			(unsigned long long)c->since_us, (unsigned long long)now_us(), c->target);
}

static void report_lost(const struct client *c, const char *id, int tag, int r, const char *head)
{
	struct sockaddr_storage a = { 0 };
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info), alen = sizeof(a);

	(void)getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	(void)getsockname(c->fd, (struct sockaddr *)&a, &alen);
	report("lost: %s to target %d from port %u, tag %d, request %u of its connection, the one before with tag %d: %s %s after %llu us, "
	       "TCP state %u\n%.200s\n",
	       id, c->target, ntohs(((struct sockaddr_in *)&a)->sin_port), tag, c->requests,
	       c->last_tag, c->reading ? "reading" : "sending", strerror(-r),
	       (unsigned long long)(now_us() - c->since_us), info.tcpi_state, head);
}

static int client_connect(struct client *c)
{
	struct timeval timeout = { .tv_sec = opt.timeout };
	int one = 1;

	c->target = (int)draw(c, (uint64_t)opt.ntarget);
	c->start = c->end = 0;
	c->requests = 0;
	c->last_tag = -1;
	c->since_us = now_us();
	c->fd = socket(opt.target[c->target].ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (connect(c->fd, (const struct sockaddr *)&opt.target[c->target],
		    opt.target_len[c->target]) < 0)
		return -errno;
	atomic_fetch_add(&connections, 1);
	return 0;
}

static void client_close(struct client *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static int send_all(struct client *c, const char *p, size_t n)
{
	while (n) {
		ssize_t r = send(c->fd, p, opt.bytes ? 1 : n, MSG_NOSIGNAL);

		if (r < 0)
			return -errno;
		p += r;
		n -= (size_t)r;
	}
	return 0;
}

static bool has_ended(const struct client *c)
{
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	return !getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &len) &&
	       (info.tcpi_state == TCP_CLOSE || info.tcpi_state == TCP_CLOSE_WAIT);
}

/* More input. 1, 0 at end of file, -errno. */
static int fill(struct client *c)
{
	struct pollfd p = { .fd = c->fd, .events = POLLIN };
	ssize_t r;

	if (c->start) {
		memmove(c->in, c->in + c->start, c->end - c->start);
		c->end -= c->start;
		c->start = 0;
	}
	if (c->end == sizeof(c->in))
		return -E2BIG;
	if (opt.polls && poll(&p, 1, (int)opt.timeout * 1000) <= 0)
		return -EAGAIN;
	r = recv(c->fd, c->in + c->end, sizeof(c->in) - c->end, 0);
	/* a recv() that sleeps when its connection is reset or closed may get EAGAIN first (docs/limits.md) */
	if (r < 0 && errno == EAGAIN && has_ended(c))
		r = recv(c->fd, c->in + c->end, sizeof(c->in) - c->end, 0);
	if (r < 0)
		return -errno;
	c->end += (size_t)r;
	c->got += (uint64_t)r;
	return r > 0;
}

/* A line without its end, NUL-terminated within c->in; NULL when the connection ended first. */
static char *line(struct client *c)
{
	for (;;) {
		char *p = c->in + c->start, *eol = memchr(p, '\n', c->end - c->start);

		if (eol) {
			c->start += (size_t)(eol + 1 - p);
			*eol = 0;
			if (eol > p && eol[-1] == '\r')
				eol[-1] = 0;
			return p;
		}
		c->why = fill(c);
		if (c->why <= 0)
			return NULL;
	}
}

/* After line() has returned NULL. An early end of file is ENODATA, which no socket call returns. */
static int why(const struct client *c)
{
	return c->why < 0 ? c->why : -ENODATA;
}

/* Reads n body bytes and compares them with the pattern. 0, 1 when they differ, -errno. */
static int body_piece(struct client *c, uint64_t n, uint64_t seed, uint64_t *offset, bool compare)
{
	int bad = 0;

	while (n) {
		size_t have = c->end - c->start;
		int r;

		if (!have) {
			r = fill(c);
			if (r <= 0)
				return r ? r : -ENODATA;
			have = c->end - c->start;
		}
		if (have > n)
			have = (size_t)n;
		if (compare && memcmp(c->in + c->start, lw_pattern_at(seed, *offset), have))
			bad = 1;
		*offset += have;
		c->start += have;
		n -= have;
	}
	return bad;
}

struct answer {
	int status;
	char pod[128], id[64], tag[64], text[2048];
	uint64_t length;
	bool chunked, close, has_length;
};

/* Reads one answer. 0, 1 when the body differs, -errno when the connection or the framing fails. */
static int read_answer(struct client *c, bool is_head, uint64_t seed, bool pattern,
		       struct answer *a)
{
	uint64_t offset = 0;
	char *l;
	int r;

	do {
		memset(a, 0, sizeof(*a));
		l = line(c);
		if (!l)
			return why(c);
		if (strncmp(l, "HTTP/1.1 ", 9))
			return -EPROTO;
		a->status = atoi(l + 9);
		while ((l = line(c)) && *l) {
			char *value = strchr(l, ':');

			if (!value)
				return -EPROTO;
			*value++ = 0;
			value += strspn(value, " ");
			if (!strcasecmp(l, "X-Pod"))
				snprintf(a->pod, sizeof(a->pod), "%s", value);
			else if (!strcasecmp(l, "X-Id"))
				snprintf(a->id, sizeof(a->id), "%s", value);
			else if (!strcasecmp(l, "X-Lane-Seen"))
				snprintf(a->tag, sizeof(a->tag), "%s", value);
			else if (!strcasecmp(l, "Content-Length"))
				a->length = strtoull(value, NULL, 10), a->has_length = true;
			else if (!strcasecmp(l, "Transfer-Encoding"))
				a->chunked = true;
			else if (!strcasecmp(l, "Connection"))
				a->close = !strcasecmp(value, "close");
		}
		if (!l)
			return why(c);
	} while (a->status < 200);
	if (is_head || a->status == 204 || a->status == 304)
		return 0;
	if (a->has_length && !pattern && a->length < sizeof(a->text)) {
		while (c->end - c->start < a->length) {
			r = fill(c);
			if (r <= 0)
				return r ? r : -ENODATA;
		}
		memcpy(a->text, c->in + c->start, (size_t)a->length);
		c->start += (size_t)a->length;
		return 0;
	}
	if (a->has_length)
		return body_piece(c, a->length, seed, &offset, pattern);
	if (a->chunked) {
		int bad = 0;

		while ((l = line(c))) {
			uint64_t n = strtoull(l, NULL, 16);

			if (!n)
				break;
			r = body_piece(c, n, seed, &offset, pattern);
			if (r < 0)
				return r;
			bad |= r;
			l = line(c);
			if (!l)
				return why(c);
			if (*l)
				return -EPROTO;
		}
		while (l && (l = line(c)) && *l)
			;
		a->length = offset;
		return l ? bad : why(c);
	}
	a->close = true;
	for (int bad = 0;;) {
		if (c->start == c->end) {
			r = fill(c);
			if (r < 0)
				return r;
			if (!r) {
				a->length = offset;
				return bad;
			}
		}
		bad |= body_piece(c, c->end - c->start, seed, &offset, pattern);
	}
}

static uint64_t draw_size(struct client *c)
{
	if (opt.bytes)
		return draw(c, draw(c, 10) ? 300 : 3000);
	switch (draw(c, 20)) {
	case 0:
		return 0;
	case 1:
		return draw(c, 200000);
	case 2:
		return draw(c, 100) ? draw(c, 20000) : draw(c, BODY_MAX);
	default:
		return draw(c, 3000);
	}
}

enum what {
	GET_SIZE,
	GET_CHUNKED,
	GET_CLOSE,
	HEAD_SIZE,
	POST_ECHO,
	POST_CHUNKED,
	PUT_HASH,
	EXPECT_HASH,
	GET_204,
	GET_ID,
	GET_HEAD,
	WHAT__MAX
};

/* The body with seed, in chunks; its bytes. */
static size_t frame_chunked(struct client *c, uint64_t seed, uint64_t size)
{
	size_t at = 0, out = 0;

	while (at < size) {
		size_t n = 1 + (size_t)draw(c, 8000);

		n = n < size - at ? n : (size_t)(size - at);
		out += (size_t)sprintf(c->body + out, "%zx%s\r\n", n, draw(c, 4) ? "" : ";e=1");
		memcpy(c->body + out, lw_pattern_at(seed, at), n);
		out += n;
		out += (size_t)sprintf(c->body + out, "\r\n");
		at += n;
	}
	return out + (size_t)sprintf(c->body + out, "0\r\n%s\r\n", draw(c, 2) ? "" : "X-T: 1\r\n");
}

/* The next line of a head, without its end and the blanks that may fill it; false: the empty one, or none. */
static bool head_line(const char **at, char *line, size_t room)
{
	const char *eol = strstr(*at, "\r\n"), *p = *at;
	size_t n = 0;

	if (!eol || eol == p)
		return false;
	for (; p < eol; p++)
		if (n + 1 < room && !(n && line[n - 1] == ' ' && *p == ' '))
			line[n++] = *p;
	while (n && line[n - 1] == ' ')
		n--;
	line[n] = 0;
	*at = eol + 2;
	return true;
}

static bool is_of(const char *line, const char *name)
{
	return !strncasecmp(line, name, strlen(name)) && line[strlen(name)] == ':';
}

/*
 * Whether the pod got the head that was sent, in order, with the lane's lines put on once each, wherever, and what the rule takes away gone.
 */
static bool is_head(const char *got, const char *sent, bool lane, bool rule)
{
	char put[3][64] = { "", "x-set: new", "x-add: more" }, line[1024], want[1024];
	unsigned int times[3] = { 0 }, n = rule ? 3 : lane ? 1 : 0, i;
	bool more;

	snprintf(put[0], sizeof(put[0]), "x-mse-tag: %s", opt.tag);
	while (head_line(&got, line, sizeof(line))) {
		for (i = 0; i < n && strcasecmp(line, put[i]); i++)
			;
		if (i < n) {
			times[i]++;
			continue;
		}
		do {
			more = head_line(&sent, want, sizeof(want));
		} while (more && ((lane && is_of(want, "x-mse-tag")) ||
				  (rule && (is_of(want, "x-set") || is_of(want, "x-secret")))));
		if (!more || strcmp(line, want))
			return false;
	}
	for (i = 0; i < n; i++)
		if (times[i] != 1)
			return false;
	while (head_line(&sent, want, sizeof(want)))
		if (!(lane && is_of(want, "x-mse-tag")) &&
		    !(rule && (is_of(want, "x-set") || is_of(want, "x-secret"))))
			return false;
	return true;
}

/* One request. False: the connection is of no more use. */
static bool one(struct client *c, uint64_t n)
{
	uint64_t size = draw_size(c), seed = draw(c, 60000), hash = LW_FNV_START;
	enum what what = (enum what)draw(c, WHAT__MAX);
	bool tag = draw(c, 100) < opt.tag_percent,
	     rule = tag && opt.by_rule && draw(c, 100) < opt.by_rule,
	     close = what == GET_CLOSE || !draw(c, 12), has_body, gray;
	char head[1024], id[64], want[64];
	size_t head_len, body_len = 0;
	struct answer a;
	uint64_t took;
	int r = 0, last_tag;

	c->requests++;
	c->since_us = now_us();
	c->reading = false;
	c->got = 0;
	atomic_fetch_add(&count[tag].sent, 1);
	if (what == GET_CLOSE)
		size %= 50000;
	has_body = what == POST_ECHO || what == POST_CHUNKED || what == PUT_HASH ||
		   what == EXPECT_HASH;
	snprintf(id, sizeof(id), "%u-%llu", c->id, (unsigned long long)n);
	static const char *const formats[] = {
		[GET_SIZE] = "GET /size/%llu?seed=%llu",
		[GET_CHUNKED] = "GET /chunked/%llu?seed=%llu&trailer&ext",
		[GET_CLOSE] = "GET /close/%llu?seed=%llu",
		[HEAD_SIZE] = "HEAD /size/%llu?seed=%llu",
		[POST_ECHO] = "POST /echo?n=%llu&m=%llu",
		[POST_CHUNKED] = "POST /echo?n=%llu&m=%llu",
		[PUT_HASH] = "PUT /echo?hash&n=%llu&m=%llu",
		[EXPECT_HASH] = "POST /continue?n=%llu&m=%llu",
		[GET_204] = "GET /status/204?n=%llu&m=%llu",
		[GET_ID] = "GET /id?n=%llu&m=%llu",
		[GET_HEAD] = "GET /head?n=%llu&m=%llu",
	};
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	head_len = (size_t)snprintf(head, sizeof(head), formats[what], (unsigned long long)size,
				    (unsigned long long)seed);
#pragma GCC diagnostic pop
	head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len,
				     " HTTP/1.1\r\nHost: web\r\nX-Id: %s\r\n%s", id,
				     close ? "Connection: close\r\n" : "");
	if (tag && !rule)
		head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len,
					     "x-mse-tag: %s\r\n", opt.tag);
	if (opt.by_rule &&
	    (rule ||
	     !tag)) /* the ones that are taken away before, between and behind those that stay */
		head_len += (size_t)snprintf(
			head + head_len, sizeof(head) - head_len,
			"%sX-Secret: a\r\nx-keep: 1\r\nx-set: old\r\nx-user: %s\r\nx-set: older\r\nx-add: one\r\n%s",
			draw(c, 2) ? "x-secret: b\r\n" : "", rule ? "xiaoming" : "li",
			draw(c, 2) ? "x-secret: c\r\n" : "");
	if (what == EXPECT_HASH)
		head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len,
					     "Expect: 100-continue\r\n");
	if (what == POST_CHUNKED) {
		head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len,
					     "Transfer-Encoding: chunked\r\n");
		body_len = frame_chunked(c, seed, size);
	} else if (has_body) {
		head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len,
					     "Content-Length: %llu\r\n", (unsigned long long)size);
		body_len = (size_t)size;
		memcpy(c->body, lw_pattern_at(seed, 0), body_len);
	}
	head_len += (size_t)snprintf(head + head_len, sizeof(head) - head_len, "\r\n");

	/* In one send, in two, or with the head cut. */
	if (body_len && body_len < 4096 && what != EXPECT_HASH && draw(c, 2)) {
		char all[8192];

		memcpy(all, head, head_len);
		memcpy(all + head_len, c->body, body_len);
		r = send_all(c, all, head_len + body_len);
	} else {
		size_t cut = draw(c, rule ? 4 : 10) ? head_len : (size_t)draw(c, head_len),
		       cut2 = cut;

		if (rule && cut < head_len && draw(c, 2))
			cut2 += (size_t)draw(c, head_len - cut);
		r = send_all(c, head, cut);
		if (!r)
			r = send_all(c, head + cut, cut2 - cut);
		if (!r)
			r = send_all(c, head + cut2, head_len - cut2);
		if (!r)
			r = send_all(c, c->body, body_len);
	}
	c->reading = !r;
	if (!r)
		r = read_answer(c, what == HEAD_SIZE, seed,
				what == GET_SIZE || what == GET_CHUNKED || what == GET_CLOSE ||
					what == POST_ECHO || what == POST_CHUNKED,
				&a);
	if (r >= 0 && a.status == 503 && !a.pod[0])
		r = -ENOENT; /* the agent's own answer */
	if (r < 0) {
		enum loss how = loss_of(r);

		atomic_fetch_add(&count[tag].lost[how], 1);
		if (c->requests > 1 && !c->got &&
		    (how == LOSS_RESET || how == LOSS_EOF || how == LOSS_EPIPE)) {
			atomic_fetch_add(&count[tag].stale, 1);
			note(c, tag, "lost", "stale");
		} else {
			note(c, tag, "lost", loss_names[how]);
		}
		report_lost(c, id, tag, r, head);
		return false;
	}
	took = now_us() - c->since_us;
	for (uint64_t most = atomic_load(&count[tag].slowest_us);
	     took > most && !atomic_compare_exchange_weak(&count[tag].slowest_us, &most, took);)
		;
	last_tag = c->last_tag;
	c->last_tag = tag;
	gray = strstr(a.pod, opt.mark) != NULL;
	/* where there is no agent nobody puts the tag on */
	snprintf(want, sizeof(want), "%s",
		 tag && !(rule && !gray && opt.may_fall_back && !a.tag[0]) ? opt.tag : "");
	if (has_body)
		hash = lw_fnv(LW_FNV_START, lw_pattern_at(seed, 0), (size_t)size);
	if (what == PUT_HASH || what == EXPECT_HASH) {
		char text[64];

		snprintf(text, sizeof(text), "%llu %016llx\n", (unsigned long long)size,
			 (unsigned long long)hash);
		r |= strcmp(text, a.text) != 0;
	} else if (what == GET_ID) {
		r |= strncmp(a.text, a.pod, strlen(a.pod)) != 0 || a.length != strlen(a.pod) + 1;
	} else if (what == GET_HEAD) {
		r |= !is_head(a.text, head, want[0], rule && want[0]);
	} else if (what != GET_204) {
		r |= a.length != size;
	}
	if (r || a.status != (what == GET_204 ? 204 : 200) ||
	    (gray != tag && (gray || !opt.may_fall_back)) ||
	    (opt.never && strstr(a.pod, opt.never)) || strcmp(a.id, id) || strcmp(a.tag, want)) {
		bool bytes = r || gray == tag;

		atomic_fetch_add(bytes ? &count[tag].wrong_bytes : &count[tag].wrong_lane, 1);
		note(c, tag, "wrong", bytes ? "bytes" : "lane");
		report("wrong: %s to target %d, tag %d: status %d, pod %s, id %s, tag %s, %llu of %llu bytes, body %s\n%.200s\n",
		       id, c->target, tag, a.status, a.pod, a.id, a.tag,
		       (unsigned long long)a.length, (unsigned long long)size,
		       r ? "differs" : "right", head);
	} else {
		atomic_fetch_add(gray == tag ? &count[tag].ok : &count[tag].fell_back, 1);
		if (gray != tag)
			note(c, tag, "fell_back", "base");
	}
	if (c->start != c->end) {
		atomic_fetch_add(&count[tag].wrong_bytes, 1);
		note(c, tag, "wrong", "bytes");
		report("wrong: %s to target %d, tag %d, request %u of its connection, the one before with tag %d: %zu bytes after the answer: %.*s\n%.200s\n",
		       id, c->target, tag, c->requests, last_tag, c->end - c->start,
		       (int)(c->end - c->start > 200 ? 200 : c->end - c->start), c->in + c->start,
		       head);
		return false;
	}
	return !a.close && !close;
}

static void *client_run(void *arg)
{
	struct client *c = arg;

	for (;;) {
		uint64_t n = atomic_fetch_add(&taken, 1);

		if (n >= opt.requests || atomic_load(&enough))
			break;
		if (opt.until_us && now_us() >= opt.until_us)
			break;
		if (opt.pace_us)
			usleep((useconds_t)draw(c, 2 * opt.pace_us));
		if (c->fd < 0) {
			int r = client_connect(c);

			if (r < 0) {
				int tag = draw(c, 100) < opt.tag_percent;

				atomic_fetch_add(&count[tag].sent, 1);
				atomic_fetch_add(&count[tag].lost[LOSS_CONNECT], 1);
				note(c, tag, "lost", "connect");
				report("lost: connect to target %d: %s\n", c->target, strerror(-r));
				client_close(c);
				usleep(20000); /* or a pod that refuses would be most of the load */
				continue;
			}
		}
		if (!one(c, n) || !draw(c, 200))
			client_close(c);
		if (atomic_fetch_add(&done, 1) + 1 == opt.requests / 2)
			fprintf(stderr, "half\n");
	}
	client_close(c);
	return NULL;
}

static int usage(void)
{
	fputs("usage: soak --target IP:PORT ... [--requests N | --seconds N] [--threads N] [--tag gray] [--seed N]\n"
	      "            [--tagged PERCENT] [--pace US] [--timeout SECONDS] [--may-fall-back] [--never NAME] [--log FILE]\n"
	      "            [--polls] [--by-rule PERCENT] [--bytes]\n"
	      "--may-fall-back: base may answer a tagged request. --never: answers of such pods are wrong. --pace: mean pause before a request.\n"
	      "--polls: clients wait in poll(2), not in recv(2). --bytes: they send byte by byte, and bodies are smaller. SIGTERM ends it.\n",
	      stderr);
	return 2;
}

static void on_term(int signal)
{
	(void)signal;
	atomic_store(&enough, true);
}

static uint64_t lost_of(int tag)
{
	uint64_t n = 0;

	for (int i = 0; i < LOSS__MAX; i++)
		n += atomic_load(&count[tag].lost[i]);
	return n;
}

static uint64_t wrong_of(int tag)
{
	return atomic_load(&count[tag].wrong_lane) + atomic_load(&count[tag].wrong_bytes);
}

static void print_kind(int tag)
{
	printf(", \"%s\": {\"sent\": %llu, \"ok\": %llu, \"fell_back\": %llu, \"lost\": %llu, \"stale\": %llu, \"wrong_lane\": %llu, "
	       "\"wrong_bytes\": %llu, \"wrong\": %llu, \"slowest_ms\": %llu, \"how\": {",
	       tag ? "lane" : "base", (unsigned long long)atomic_load(&count[tag].sent),
	       (unsigned long long)atomic_load(&count[tag].ok),
	       (unsigned long long)atomic_load(&count[tag].fell_back),
	       (unsigned long long)lost_of(tag), (unsigned long long)atomic_load(&count[tag].stale),
	       (unsigned long long)atomic_load(&count[tag].wrong_lane),
	       (unsigned long long)atomic_load(&count[tag].wrong_bytes),
	       (unsigned long long)wrong_of(tag),
	       (unsigned long long)atomic_load(&count[tag].slowest_us) / 1000);
	for (int i = 0; i < LOSS__MAX; i++)
		printf("%s\"%s\": %llu", i ? ", " : "", loss_names[i],
		       (unsigned long long)atomic_load(&count[tag].lost[i]));
	printf("}}");
}

static bool add_target(const char *text)
{
	if (opt.ntarget == TARGETS_MAX)
		return false;
	opt.target_len[opt.ntarget] = lw_target_parse(text, &opt.target[opt.ntarget]);
	return opt.target_len[opt.ntarget] && ++opt.ntarget;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, 0, 't' },  { "requests", 1, 0, 'n' },
		{ "threads", 1, 0, 'j' }, { "tag", 1, 0, 'g' },
		{ "seed", 1, 0, 's' },	  { "seconds", 1, 0, 'S' },
		{ "pace", 1, 0, 'p' },	  { "timeout", 1, 0, 'T' },
		{ "tagged", 1, 0, 'P' },  { "may-fall-back", 0, 0, 'f' },
		{ "log", 1, 0, 'l' },	  { "never", 1, 0, 'N' },
		{ "polls", 0, 0, 'o' },	  { "by-rule", 1, 0, 'r' },
		{ "bytes", 0, 0, 'b' },	  { 0 }
	};
	static char mark[64];
	pthread_t threads[THREADS_MAX];
	struct timespec from, to;
	double seconds;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 't':
			if (!add_target(optarg))
				return usage();
			break;
		case 'n':
			opt.requests = strtoull(optarg, NULL, 10);
			break;
		case 'j':
			opt.threads = atoi(optarg);
			break;
		case 's':
			opt.seed = strtoull(optarg, NULL, 10);
			break;
		case 'S':
			opt.seconds = (unsigned int)atoi(optarg);
			opt.requests = UINT64_MAX;
			break;
		case 'p':
			opt.pace_us = strtoull(optarg, NULL, 10);
			break;
		case 'T':
			opt.timeout = (unsigned int)atoi(optarg);
			break;
		case 'P':
			opt.tag_percent = (unsigned int)atoi(optarg);
			break;
		case 'N':
			opt.never = optarg;
			break;
		case 'f':
			opt.may_fall_back = true;
			break;
		case 'o':
			opt.polls = true;
			break;
		case 'b':
			opt.bytes = true;
			break;
		case 'r':
			opt.by_rule = (unsigned int)atoi(optarg);
			break;
		case 'l':
			opt.log = fopen(optarg, "we");
			if (!opt.log)
				return usage();
			setvbuf(opt.log, NULL, _IOLBF, 0);
			break;
		case 'g':
			opt.tag = optarg;
			snprintf(mark, sizeof(mark), "%s[", optarg);
			opt.mark = mark;
			break;
		default:
			return usage();
		}
	}
	if (!opt.ntarget || opt.threads < 1 || opt.threads > THREADS_MAX || !opt.requests)
		return usage();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGTERM, on_term);
	lw_pattern_init();
	if (opt.seconds)
		opt.until_us = now_us() + opt.seconds * 1000000ull;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < opt.threads; i++) {
		struct client *c = calloc(1, sizeof(*c));

		if (!c)
			return 1;
		c->id = (unsigned int)i;
		c->fd = -1;
		c->rng = (opt.seed + 1) * 0x9e3779b97f4a7c15ull +
			 (uint64_t)i * 0x2545f4914f6cdd1dull + 1;
		c->body = malloc(BODY_MAX * 8);
		if (!c->body || pthread_create(&threads[i], NULL, client_run, c))
			return 1;
	}
	for (int i = 0; i < opt.threads; i++)
		pthread_join(threads[i], NULL);
	clock_gettime(CLOCK_MONOTONIC, &to);
	seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	printf("{\"requests\": %llu, \"tagged\": %llu, \"connections\": %llu, \"wrong\": %llu, \"lost\": %llu, \"seconds\": %.1f",
	       (unsigned long long)atomic_load(&done),
	       (unsigned long long)atomic_load(&count[1].sent),
	       (unsigned long long)atomic_load(&connections),
	       (unsigned long long)(wrong_of(0) + wrong_of(1)),
	       (unsigned long long)(lost_of(0) + lost_of(1)), seconds);
	print_kind(0);
	print_kind(1);
	printf("}\n");
	return wrong_of(0) || wrong_of(1) || lost_of(0) || lost_of(1) ||
	       (!opt.seconds && !atomic_load(&enough) && atomic_load(&done) != opt.requests);
}
