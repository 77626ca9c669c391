/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller: asks the service in the middle, over so many connections at once, with and without the tag, and checks by each
 * answer which pod behind it was reached, and for whom. Prints one line of JSON.
 *
 * A request is "GET /call/ID", of every two one with the tag. Its answer has to contain what the last service says of the
 * request it got: "lane=gray|base uri=/call/ID tag=gray|- trace=...;" (runtimes.sh). Of these
 *   kept     a tagged request reached the lane, with its tag
 *   missed   it reached base, or the lane without its tag
 *   right    one without the tag reached base, and still had none
 *   wrong    all else: one without the tag in the lane or tagged, another's answer, another's trace
 *   lost     no answer, or none with status 200
 * Connections are kept for as long as the service keeps them. A request is begun as soon as the one before is answered.
 *
 * It can also be a client that means harm: one that repeats another's trace ids (--trace-seed), sends heads in pieces, or goes
 * away once it has asked (--abandon; such requests are neither answered nor lost). SIGTERM ends it at once.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../harness/tool.h"

#define CONNECTIONS_MAX 4096
#define ANSWER_MAX 8192
#define REPORTS_MAX 20
#define VALUE_MAX 256

enum pieces { WHOLE, CUT, BYTES };

static struct {
	struct sockaddr_in target;
	unsigned long requests, seed, trace_seed;
	unsigned int connections, timeout_s, tagged, seconds;
	enum pieces pieces;
	bool trace, passed, close, early, abandon;
	const char *tag, *trace_header;
} opt = { .requests = 1000,
	  .connections = 1,
	  .timeout_s = 30,
	  .tagged = 50,
	  .tag = "gray",
	  .trace_header = "traceparent" };

struct conn {
	int fd;
	bool tag, busy;
	unsigned long id;
	uint64_t since_ms;
	char want[64], trace[VALUE_MAX];
	char head[512 + VALUE_MAX], in[ANSWER_MAX];
	size_t head_len, sent, len;
};

static struct {
	unsigned long tagged, kept, missed, right, wrong, lost, opened, done, abandoned, slowest_ms;
} count;
static unsigned long taken;
static uint64_t rng, until_ms;
static volatile sig_atomic_t enough;
static int ep;

__attribute__((format(printf, 1, 2))) static void report(const char *format, ...)
{
	static int told;
	va_list ap;

	if (format[0] != 'w' && told++ >= REPORTS_MAX)
		return;
	va_start(ap, format);
	vfprintf(stderr, format, ap);
	va_end(ap);
}

static void die(const char *what)
{
	perror(what);
	exit(2);
}

static void hang_up(struct conn *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

static void lose(struct conn *c, const char *why)
{
	report("lost: %s, tag %d: %s after %llu ms: %.*s\n", c->want, c->tag, why,
	       (unsigned long long)(now_ms() - c->since_ms), (int)(c->len < 300 ? c->len : 300),
	       c->in);
	count.lost++;
	count.done++;
	c->busy = false;
	hang_up(c);
}

static void dial(struct conn *c, unsigned int slot)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = slot };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("caller: socket");
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	/* blocking: on this machine, to a listener that takes it up at once or not at all */
	if (connect(c->fd, (struct sockaddr *)&opt.target, sizeof(opt.target))) {
		lose(c, strerror(errno));
		return;
	}
	count.opened++;
	if (epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &ev))
		die("caller: epoll_ctl");
}

/* A value of the trace header for the trace of this number; its span is another each time. */
static void make_trace(unsigned long id, char *ret, size_t room)
{
	uint64_t high = (opt.trace_seed * 1000003 + id + 1) * 0x9e3779b97f4a7c15ull,
		 low = (high ^ high >> 29) * 0xbf58476d1ce4e5b9ull;
	uint64_t span = next_random(&rng) | 1;
	char hex[33];

	low ^= low >> 32;
	snprintf(hex, sizeof(hex), "%016llx%016llx", (unsigned long long)high,
		 (unsigned long long)low);
	if (!strcmp(opt.trace_header, "b3")) {
		snprintf(ret, room, "%s-%016llx-1", hex, (unsigned long long)span);
	} else if (!strcmp(opt.trace_header, "uber-trace-id")) {
		snprintf(ret, room, "%s:%016llx:0:1", hex, (unsigned long long)span);
	} else if (!strcmp(opt.trace_header, "x-request-id")) {
		snprintf(ret, room, "%.8s-%.4s-%.4s-%.4s-%s", hex, hex + 8, hex + 12, hex + 16,
			 hex + 20);
	} else if (!strcmp(opt.trace_header, "sw8")) {
		static const char digits[] =
			"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
		char base64[45];

		for (unsigned int i = 0; i < 11; i++) {
			const unsigned char *p = (const unsigned char *)hex + 3 * i;
			unsigned int v = (unsigned int)p[0] << 16 | (unsigned int)p[1] << 8 |
					 (i < 10 ? p[2] : 0);

			for (unsigned int k = 0; k < 4; k++)
				base64[4 * i + k] = digits[v >> (18 - 6 * k) & 63];
		}
		base64[43] = '=';
		base64[44] = 0;
		/* of the segment, service, instance and endpoint of the caller, and the address it calls */
		snprintf(ret, room,
			 "1-%s-c2VnbWVudA==-%llu-Y2FsbGVy-aW5zdGFuY2U=-L2NhbGw=-MTAuMC4wLjE6ODA=",
			 base64, (unsigned long long)span % 100);
	} else if (!strcmp(opt.trace_header, "x-b3-traceid")) {
		snprintf(ret, room, "%s", hex);
	} else {
		snprintf(ret, room, "00-%s-%016llx-01", hex, (unsigned long long)span);
	}
}

static bool more(void)
{
	return taken < opt.requests && !enough && (!until_ms || now_ms() < until_ms);
}

/* Of every hundred so many are tagged; of every two exactly one, if it is half of them. */
static bool draw_tag(unsigned long id)
{
	static bool first;

	if (opt.tagged != 50)
		return (next_random(&rng) >> 20) % 100 < opt.tagged;
	if (id % 2 == 0)
		first = next_random(&rng) >> 20 & 1;
	return (id % 2 == 0) == first;
}

/* The next piece of the request. Each is a segment of its own: what came before it is on its way. */
static void send_on(struct conn *c)
{
	size_t n = c->head_len - c->sent;

	if (opt.pieces == BYTES)
		n = 1;
	else if (opt.pieces == CUT && !c->sent)
		n = 1 + c->id / 2 % (c->head_len - 1);
	if (send(c->fd, c->head + c->sent, n, MSG_NOSIGNAL) != (ssize_t)n) {
		lose(c, strerror(errno));
		return;
	}
	c->sent += n;
}

static void begin(struct conn *c, unsigned int slot)
{
	while (!c->busy && more()) {
		c->id = taken++;
		c->tag = draw_tag(c->id);
		c->busy = true;
		c->since_ms = now_ms();
		count.tagged += c->tag;
		snprintf(c->want, sizeof(c->want), "/call/%lu-%lu", opt.seed, c->id);
		make_trace(c->id, c->trace, sizeof(c->trace));
		c->head_len = (size_t)snprintf(
			c->head, sizeof(c->head),
			"GET %s HTTP/1.1\r\nHost: middle\r\n%s%s%s%s%s%s%s%s\r\n", c->want,
			opt.trace ? opt.trace_header : "", opt.trace ? ": " : "",
			opt.trace ? c->trace : "", opt.trace ? "\r\n" : "",
			opt.close ? "Connection: close\r\n" : "", c->tag ? "x-mse-tag: " : "",
			c->tag ? opt.tag : "", c->tag ? "\r\n" : "");
		c->sent = 0;
		if (c->fd < 0) {
			c->len = 0;
			dial(c, slot);
		} else if (!opt.early) {
			c->len = 0;
		}
		if (c->busy)
			send_on(c);
	}
}

/* What is due by itself: pieces of heads, leaving, giving up. True: some is due at once. */
static bool turn(struct conn *conns)
{
	uint64_t now = now_ms();
	bool again = false;

	for (unsigned int i = 0; i < opt.connections; i++) {
		struct conn *c = &conns[i];

		if (c->busy && c->sent < c->head_len)
			send_on(c);
		if (c->busy && opt.abandon && c->sent == c->head_len &&
		    now - c->since_ms >= c->id % 16) {
			count.abandoned++;
			count.done++;
			c->busy = false;
			hang_up(c);
		}
		if (c->busy && now - c->since_ms > opt.timeout_s * 1000ull)
			lose(c, "no answer in time");
		begin(c, i);
		again |= c->busy && c->sent < c->head_len;
	}
	return again;
}

/* The field NAME= of what the last service says, up to a blank or ";". */
static bool field(const char *text, const char *name, char *ret, size_t room)
{
	const char *p = strstr(text, name);
	size_t n;

	if (!p)
		return false;
	p += strlen(name);
	n = strcspn(p, " ;");
	if (n >= room || !p[n])
		return false;
	memcpy(ret, p, n);
	ret[n] = 0;
	return true;
}

/* NULL: it is in order. */
static const char *judge(const struct conn *c, const char *body)
{
	char lane[16], uri[64], tag[64], trace[VALUE_MAX];
	const char *said = strstr(body, "lane=");
	bool in_lane;

	if (!said || !field(said, "lane=", lane, sizeof(lane)) ||
	    !field(said, " uri=", uri, sizeof(uri)) || !field(said, " tag=", tag, sizeof(tag)) ||
	    !field(said, " trace=", trace, sizeof(trace)))
		return "not the answer of the last service";
	if (strstr(said + 1, "lane="))
		return "more than one answer";
	if (strcmp(uri, c->want))
		return "the answer of another request";
	if (strcmp(trace, opt.trace && opt.passed ? c->trace : "-"))
		return "another trace header";
	in_lane = !strcmp(lane, opt.tag);
	if (!in_lane && strcmp(lane, "base"))
		return "another lane";
	if (strcmp(tag, "-") && (!c->tag || strcmp(tag, opt.tag)))
		return "another tag";
	if (!c->tag && in_lane)
		return "it had no tag and was in the lane";
	if (!c->tag)
		count.right++;
	else if (in_lane && strcmp(tag, "-"))
		count.kept++;
	else
		count.missed++;
	return NULL;
}

static bool says(const char *value, const char *word)
{
	return value && !strncasecmp(value, word, strlen(word));
}

/* Takes the chunks' frames off the body, in place. True: it is whole. */
static bool unchunk(char *body, size_t len)
{
	size_t at = 0, out = 0;

	for (;;) {
		char *end, *eol = memmem(body + at, len - at, "\r\n", 2);
		unsigned long n;

		if (!eol)
			return false;
		n = strtoul(body + at, &end, 16);
		at = (size_t)(eol + 2 - body);
		if (n > len || at + n + 2 > len)
			return false;
		if (!n) {
			body[out] = 0;
			return true; /* no trailers here */
		}
		memmove(body + out, body + at, n);
		out += n;
		at += n + 2;
	}
}

/* What there is of the answer; eof: nothing more will come. True: the request is done with. */
static bool look(struct conn *c, bool eof)
{
	char *end, *body;
	const char *length, *why;
	size_t got, behind = 0;
	bool keep;

	c->in[c->len] = 0;
	while (!strncmp(c->in, "HTTP/1.1 1", 10) && (end = strstr(c->in, "\r\n\r\n"))) {
		c->len -= (size_t)(end + 4 - c->in);
		memmove(c->in, end + 4, c->len + 1);
	}
	end = strstr(c->in, "\r\n\r\n");
	if (!end)
		return false;
	body = end + 4;
	got = c->len - (size_t)(body - c->in);
	*end = 0;
	length = header_of(c->in, "Content-Length");
	keep = !eof && !says(header_of(c->in, "Connection"), "close") &&
	       (!strncmp(c->in, "HTTP/1.1", 8) ||
		says(header_of(c->in, "Connection"), "keep-alive"));
	if (says(header_of(c->in, "Transfer-Encoding"), "chunked")) {
		char copy[ANSWER_MAX];

		memcpy(copy, body, got + 1);
		if (!unchunk(copy, got)) {
			*end = '\r';
			return false;
		}
		strcpy(body, copy);
	} else if (length ? got < strtoul(length, NULL, 10) : !eof) {
		*end = '\r';
		return false;
	} else if (length) {
		behind = got - strtoul(length, NULL, 10);
		if (behind && !opt.early) {
			lose(c, "bytes behind the answer");
			return true;
		}
	}
	if (strncmp(c->in + 8, " 200", 4)) {
		*end = '\r';
		lose(c, "status");
		return true;
	}
	why = judge(c, body);
	if (why) {
		count.wrong++;
		report("wrong: %s, tag %d: %s: %.200s\n", c->want, c->tag, why, body);
	}
	if (now_ms() - c->since_ms > count.slowest_ms)
		count.slowest_ms = (unsigned long)(now_ms() - c->since_ms);
	count.done++;
	c->busy = false;
	memmove(c->in, c->in + c->len - behind, behind);
	c->len = behind;
	if (!keep)
		hang_up(c);
	return true;
}

static void on_event(struct conn *c, unsigned int slot)
{
	ssize_t r;

	if (c->fd < 0)
		return;
	r = recv(c->fd, c->in + c->len, sizeof(c->in) - 1 - c->len, MSG_DONTWAIT);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (!c->busy) {
		if (r > 0 && opt.early) {
			c->len += (size_t)r;
			return;
		}
		if (r > 0) {
			count.wrong++;
			report("wrong: bytes that nobody asked for behind %s\n", c->want);
		}
		hang_up(c);
		return;
	}
	if (r > 0)
		c->len += (size_t)r;
	if (look(c, r == 0))
		;
	else if (r < 0)
		lose(c, strerror(errno));
	else if (r == 0)
		lose(c, "end of file");
	else if (c->len == sizeof(c->in) - 1)
		lose(c, "too long");
	begin(c, slot);
}

static void on_term(int signal)
{
	(void)signal;
	enough = 1;
}

static int usage(void)
{
	fputs("usage: caller --target IP:PORT [--requests N | --seconds N] [--connections N] [--tagged PERCENT] [--seed N]\n"
	      "              [--timeout SECONDS] [--trace] [--trace-header NAME] [--trace-seed N] [--passed] [--close]\n"
	      "              [--pieces cut|bytes] [--early] [--abandon]\n"
	      "--trace: with a trace header; those of one --trace-seed are the same. --passed: the service in the middle has to hand it on.\n"
	      "--close: a connection a request. --pieces: heads in two, cut at every place in turn, or byte by byte.\n"
	      "--early: the service may begin its answer before it is asked. --abandon: goes away once it has asked.\n",
	      stderr);
	return 2;
}

static bool set_target(const char *text)
{
	char host[64];
	const char *colon = strrchr(text, ':');

	if (!colon)
		return false;
	snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	opt.target.sin_family = AF_INET;
	opt.target.sin_port = htons((uint16_t)atoi(colon + 1));
	return inet_pton(AF_INET, host, &opt.target.sin_addr) == 1;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "target", 1, 0, 't' },       { "requests", 1, 0, 'n' },
		{ "connections", 1, 0, 'c' },  { "seed", 1, 0, 's' },
		{ "timeout", 1, 0, 'T' },      { "trace", 0, 0, 'r' },
		{ "passed", 0, 0, 'p' },       { "tagged", 1, 0, 'P' },
		{ "trace-header", 1, 0, 'h' }, { "seconds", 1, 0, 'S' },
		{ "close", 0, 0, 'C' },	       { "trace-seed", 1, 0, 'R' },
		{ "pieces", 1, 0, 'k' },       { "early", 0, 0, 'e' },
		{ "abandon", 0, 0, 'a' },      { 0 }
	};
	struct epoll_event events[256];
	struct conn *conns;
	bool trace_seed = false, again = false;
	uint64_t start, tick = 0;
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 't':
			if (!set_target(optarg))
				return usage();
			break;
		case 'n':
			opt.requests = strtoul(optarg, NULL, 10);
			break;
		case 'c':
			opt.connections = (unsigned int)atoi(optarg);
			break;
		case 's':
			opt.seed = strtoul(optarg, NULL, 10);
			break;
		case 'T':
			opt.timeout_s = (unsigned int)atoi(optarg);
			break;
		case 'r':
			opt.trace = true;
			break;
		case 'p':
			opt.passed = true;
			break;
		case 'P':
			opt.tagged = (unsigned int)atoi(optarg);
			break;
		case 'h':
			opt.trace_header = optarg;
			break;
		case 'S':
			opt.seconds = (unsigned int)atoi(optarg);
			opt.requests = ULONG_MAX;
			break;
		case 'R':
			opt.trace_seed = strtoul(optarg, NULL, 10);
			trace_seed = true;
			break;
		case 'C':
			opt.close = true;
			break;
		case 'k':
			opt.pieces = !strcmp(optarg, "cut")   ? CUT :
				     !strcmp(optarg, "bytes") ? BYTES :
								WHOLE;
			if (opt.pieces == WHOLE)
				return usage();
			break;
		case 'e':
			opt.early = true;
			break;
		case 'a':
			opt.abandon = true;
			break;
		default:
			return usage();
		}
	}
	if (!opt.target.sin_port || !opt.connections || opt.connections > CONNECTIONS_MAX ||
	    !opt.requests)
		return usage();
	if (!trace_seed)
		opt.trace_seed = opt.seed;
	signal(SIGTERM, on_term);
	rng = (opt.seed + 1) * 0x9e3779b97f4a7c15ull;
	ep = epoll_create1(EPOLL_CLOEXEC);
	conns = calloc(opt.connections, sizeof(*conns));
	if (ep < 0 || !conns)
		die("caller");
	start = now_ms();
	until_ms = opt.seconds ? start + opt.seconds * 1000ull : 0;
	for (unsigned int i = 0; i < opt.connections; i++) {
		conns[i].fd = -1;
		begin(&conns[i], i);
	}
	again = opt.pieces != WHOLE;
	while (!enough && (count.done < taken || more())) {
		int n = epoll_wait(ep, events, 256, again ? 0 : opt.abandon ? 1 : 200);

		if (n < 0 && errno != EINTR)
			die("caller: epoll_wait");
		for (int i = 0; i < n; i++)
			on_event(&conns[events[i].data.u32], events[i].data.u32);
		if (!opt.pieces && !opt.abandon && now_ms() - tick < 200)
			continue;
		tick = now_ms();
		again = turn(conns);
	}
	printf("{\"requests\": %lu, \"tagged\": %lu, \"kept\": %lu, \"missed\": %lu, \"right\": %lu, \"wrong\": %lu, \"lost\": %lu, "
	       "\"abandoned\": %lu, \"connections\": %lu, \"slowest_ms\": %lu, \"seconds\": %.2f}\n",
	       count.done, count.tagged, count.kept, count.missed, count.right, count.wrong,
	       count.lost, count.abandoned, count.opened, count.slowest_ms,
	       (double)(now_ms() - start) / 1000);
	return count.wrong || count.lost;
}
