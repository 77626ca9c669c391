/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hop: the HTTP/1.1 service the demo, the tests and the benchmark run in their pods. It stands in for
 * the services of the example (it prints their line, and asks the next hop for the rest of it), and has
 * an endpoint for every kind of framing. `hop --help` lists both.
 *
 * One epoll loop a thread, nothing shared between threads. A connection is served one request at a time;
 * pipelined requests wait in its input buffer.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "pattern.h"

#define HEAD_MAX (64u << 10)
#define IN_MAX (256u << 10)
#define OUT_MAX (8u << 20) /* an echo stops reading when this much waits for its reader */
/* A body up to here is echoed when it is whole: proxies take an answer before the end for a refusal. */
#define ECHO_WHOLE (4u << 20)
#define HEADERS_MAX 200
#define LISTS_MAX 32
#define THREADS_MAX 64

struct endpoint {
	struct sockaddr_storage addr;
	socklen_t len;
};

static struct {
	const char *name, *color, *config, *ip;
	struct endpoint listen[LISTS_MAX], next[LISTS_MAX];
	const char *forward[LISTS_MAX];
	const char *registry;
	int nlisten, nnext, nforward, threads;
	long idle_ms;
	bool as_asked;
} opt = { .name = "A", .color = "", .threads = 1 };

static void die(const char *what)
{
	fprintf(stderr, "hop: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- byte queues ---- */

struct buf {
	char *data;
	size_t start, end, cap;
};

static size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static char *buf_head(struct buf *b)
{
	return b->data + b->start;
}

static void buf_reserve(struct buf *b, size_t n)
{
	if (b->cap - b->end >= n)
		return;
	if (b->start) {
		memmove(b->data, b->data + b->start, b->end - b->start);
		b->end -= b->start;
		b->start = 0;
	}
	if (b->cap - b->end >= n)
		return;
	b->cap = (b->end + n) * 3 / 2;
	b->data = realloc(b->data, b->cap);
	if (!b->data)
		die("memory");
}

static void buf_put(struct buf *b, const void *data, size_t n)
{
	if (!n)
		return;
	buf_reserve(b, n);
	memcpy(b->data + b->end, data, n);
	b->end += n;
}

__attribute__((format(printf, 2, 3))) static void buf_printf(struct buf *b, const char *format, ...)
{
	va_list ap;
	int n;

	buf_reserve(b, 512);
	for (;;) {
		size_t room = b->cap - b->end;

		va_start(ap, format);
		n = vsnprintf(b->data + b->end, room, format, ap);
		va_end(ap);
		if (n >= 0 && (size_t)n < room)
			break;
		buf_reserve(b, (size_t)n + 1);
	}
	b->end += (size_t)n;
}

static void buf_drop(struct buf *b, size_t n)
{
	b->start += n;
	if (b->start == b->end)
		b->start = b->end = 0;
}

static void buf_free(struct buf *b)
{
	free(b->data);
	memset(b, 0, sizeof(*b));
}

/* ---- connections ---- */

enum kind { KIND_LISTEN, KIND_CONN, KIND_UP };

struct object { /* what epoll points at; first member of the structs below */
	enum kind kind;
	int fd;
	uint32_t events;
	bool closed;
	struct object *next_dead;
};

enum state {
	STATE_HEAD, /* a request head is due */
	STATE_BODY, /* its body */
	STATE_WAIT, /* the next hop's answer, or a timer */
	STATE_SEND, /* the answer goes out */
	STATE_TUNNEL, /* bytes are echoed until end of file */
	STATE_LINGER, /* all sent, write side shut; the peer's end of file is due */
};

enum action {
	ACT_CHAIN,
	ACT_ID,
	ACT_SIZE,
	ACT_CHUNKED,
	ACT_CLOSE,
	ACT_ECHO,
	ACT_HASH,
	ACT_HEAD,
	ACT_STATUS,
	ACT_SLOW,
	ACT_DRIP,
	ACT_EARLY,
	ACT_UPGRADE,
	ACT_CONNECT,
	ACT_RESET,
	ACT_SHORT,
	ACT_NONE,
};

enum chunk { CK_SIZE, CK_EXT, CK_SIZE_LF, CK_DATA, CK_DATA_CR, CK_DATA_LF, CK_LINE, CK_LINE_REST, CK_LINE_LF, CK_END_LF };

struct worker;
struct up;

struct conn {
	struct object ob;
	struct worker *w;
	struct conn *prev, *next;
	struct buf in, out;
	enum state state;
	bool eof, blocked;
	char ip[INET6_ADDRSTRLEN];

	/* the request */
	enum action action;
	bool http10, keep, is_head, chunked, expect, trailers, extensions, streaming;
	uint64_t arg, arg2, seed;
	uint64_t body_left; /* of a body with a length */
	enum chunk ck;
	uint64_t ck_left;
	int ck_digits;
	uint64_t body_len, body_hash;
	char tag[256], id[128];
	struct buf head, forward; /* head as received, or the body to echo; header lines for the next hop */
	struct buf target; /* as asked for */

	/* the answer */
	bool answer_chunked, answer_close, answer_reset;
	uint64_t gen_at, gen_end; /* pattern bytes still to be made */
	uint64_t deadline; /* ms; 0: none */
	uint64_t drips;
	struct up *up;
};

struct up {
	struct object ob;
	struct worker *w;
	struct conn *owner; /* NULL: idle in the pool */
	struct up *next_idle;
	struct endpoint to;
	bool reused, close, connected;
	struct buf in, req;
};

struct worker {
	int ep;
	uint64_t next_timer; /* no deadline is before this */
	unsigned int turn;
	struct conn *conns;
	struct up *idle; /* connections of the pool that wait for a request */
	struct object *dead;
	struct endpoint next[LISTS_MAX];
	int nnext;
	struct timespec registry_read; /* mtime of the registry file as last read */
};

static void conn_run(struct conn *c);
static void up_start(struct conn *c);

/* ms; 0: none. */
static void set_deadline(struct conn *c, uint64_t deadline)
{
	c->deadline = deadline;
	if (deadline && deadline < c->w->next_timer)
		c->w->next_timer = deadline;
}

static void watch(struct worker *w, struct object *ob, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.ptr = ob };
	int op = ob->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (ob->closed || ob->events == (events | EPOLLERR))
		return;
	if (epoll_ctl(w->ep, op, ob->fd, &ev) < 0)
		die("epoll_ctl");
	ob->events = events | EPOLLERR; /* never 0 once added */
}

/* The memory stays until this batch of events is done with: it may still point here. */
static void object_close(struct worker *w, struct object *ob)
{
	close(ob->fd);
	ob->closed = true;
	ob->next_dead = w->dead;
	w->dead = ob;
}

static void up_close(struct up *u)
{
	struct up **p = &u->w->idle;

	if (u->ob.closed)
		return;
	while (*p && *p != u)
		p = &(*p)->next_idle;
	if (*p)
		*p = u->next_idle;
	object_close(u->w, &u->ob);
}

static void conn_close(struct conn *c)
{
	if (c->ob.closed)
		return;
	if (c->up) {
		c->up->owner = NULL;
		up_close(c->up);
	}
	if (c->prev)
		c->prev->next = c->next;
	else
		c->w->conns = c->next;
	if (c->next)
		c->next->prev = c->prev;
	object_close(c->w, &c->ob);
}

static void reap(struct worker *w)
{
	while (w->dead) {
		struct object *ob = w->dead;

		w->dead = ob->next_dead;
		if (ob->kind == KIND_CONN) {
			struct conn *c = (struct conn *)ob;

			buf_free(&c->in);
			buf_free(&c->out);
			buf_free(&c->head);
			buf_free(&c->forward);
			buf_free(&c->target);
		} else {
			struct up *u = (struct up *)ob;

			buf_free(&u->in);
			buf_free(&u->req);
		}
		free(ob);
	}
}

/* ---- answers ---- */

static const char *status_text(int status)
{
	switch (status) {
	case 200: return "OK";
	case 204: return "No Content";
	case 304: return "Not Modified";
	case 400: return "Bad Request";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 431: return "Request Header Fields Too Large";
	case 502: return "Bad Gateway";
	default: return "Status";
	}
}

/* length < 0: not known beforehand. Chooses the framing and leaves the body to the caller. */
static void answer_head(struct conn *c, int status, int64_t length, const char *extra)
{
	bool bodyless = status == 204 || status == 304 || status < 200;

	c->answer_chunked = length < 0 && !c->http10 && c->action != ACT_CLOSE && !bodyless;
	if (length < 0 && !c->answer_chunked && !bodyless)
		c->keep = false;
	buf_printf(&c->out,
		   "HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nX-Pod: %s%s[%s]\r\nX-Lane-Seen: %s\r\n", status,
		   status_text(status), opt.name, opt.color, c->ip, c->tag);
	if (c->id[0])
		buf_printf(&c->out, "X-Id: %s\r\n", c->id);
	if (length >= 0 && !bodyless)
		buf_printf(&c->out, "Content-Length: %lld\r\n", (long long)length);
	if (c->answer_chunked)
		buf_printf(&c->out, "Transfer-Encoding: chunked\r\n%s", c->trailers ? "Trailer: X-Trailer\r\n" : "");
	if (!c->keep)
		buf_printf(&c->out, "Connection: close\r\n");
	else if (c->http10)
		buf_printf(&c->out, "Connection: keep-alive\r\n");
	buf_printf(&c->out, "%s\r\n", extra);
}

static void answer_text(struct conn *c, int status, const char *text, size_t len)
{
	answer_head(c, status, (int64_t)len, "");
	if (!c->is_head && status != 204 && status != 304)
		buf_put(&c->out, text, len);
	c->state = STATE_SEND;
}

static void answer_error(struct conn *c, int status, const char *why)
{
	c->keep = false;
	c->action = ACT_NONE;
	answer_text(c, status, why, strlen(why));
}

static void put_chunk(struct conn *c, const void *data, size_t len)
{
	if (c->answer_chunked)
		buf_printf(&c->out, "%zx%s\r\n", len, c->extensions ? ";ext=\"a;b\"" : "");
	buf_put(&c->out, data, len);
	if (c->answer_chunked)
		buf_put(&c->out, "\r\n", 2);
}

static void put_last_chunk(struct conn *c)
{
	if (c->answer_chunked)
		buf_printf(&c->out, "0\r\n%s\r\n", c->trailers ? "X-Trailer: done\r\n" : "");
}

/* The service's own line; the next hop's is put behind it. */
static void put_line(struct conn *c, struct buf *line)
{
	buf_printf(line, "%s%s[%s]", opt.name, opt.color, c->ip);
	if (opt.config)
		buf_printf(line, "[config=%s]", opt.config);
}

static void answer_chain(struct conn *c, int status, const char *rest, size_t len)
{
	struct buf line = { 0 };

	put_line(c, &line);
	if (len) {
		buf_put(&line, " -> ", 4);
		buf_put(&line, rest, len);
	}
	if (!len || rest[len - 1] != '\n')
		buf_put(&line, "\n", 1);
	answer_text(c, status, buf_head(&line), buf_len(&line));
	buf_free(&line);
}

/* The answer's head and what has come of the body. */
static void echo_start(struct conn *c)
{
	c->streaming = true;
	answer_head(c, 200, c->chunked ? -1 : (int64_t)(c->body_len + c->body_left), "");
	if (buf_len(&c->head) && !c->is_head)
		put_chunk(c, buf_head(&c->head), buf_len(&c->head));
	buf_drop(&c->head, buf_len(&c->head));
}

/* The request is in, body and all (a long ACT_ECHO is answered for the most part). */
static void answer(struct conn *c)
{
	char text[128];

	c->gen_at = c->gen_end = 0;
	switch (c->action) {
	case ACT_CHAIN:
		if (opt.nnext || opt.registry) {
			c->state = STATE_WAIT;
			up_start(c);
			return;
		}
		answer_chain(c, 200, "", 0);
		return;
	case ACT_ID:
		snprintf(text, sizeof(text), "%s%s[%s]\n", opt.name, opt.color, c->ip);
		answer_text(c, 200, text, strlen(text));
		return;
	case ACT_SIZE:
		answer_head(c, 200, (int64_t)c->arg, "");
		c->gen_end = c->is_head ? 0 : c->arg;
		break;
	case ACT_CHUNKED:
	case ACT_CLOSE:
		answer_head(c, 200, -1, "");
		c->gen_end = c->is_head ? 0 : c->arg;
		if (c->is_head)
			c->answer_chunked = false;
		else if (!c->gen_end)
			put_last_chunk(c);
		break;
	case ACT_RESET:
	case ACT_SHORT:
		c->answer_reset = c->action == ACT_RESET;
		answer_head(c, 200, (int64_t)c->arg * 2 + 1, "");
		c->keep = false;
		c->gen_end = c->arg;
		break;
	case ACT_HASH:
		snprintf(text, sizeof(text), "%llu %016llx\n", (unsigned long long)c->body_len,
			 (unsigned long long)c->body_hash);
		answer_text(c, 200, text, strlen(text));
		return;
	case ACT_HEAD:
		answer_text(c, 200, buf_head(&c->head), buf_len(&c->head));
		return;
	case ACT_STATUS:
		snprintf(text, sizeof(text), "status %llu\n", (unsigned long long)c->arg);
		answer_text(c, (int)c->arg, text, strlen(text));
		return;
	case ACT_SLOW:
		c->state = STATE_WAIT;
		set_deadline(c, now_ms() + c->arg);
		return;
	case ACT_DRIP:
		answer_head(c, 200, (int64_t)c->arg * 16, "");
		c->drips = c->is_head ? 0 : c->arg;
		set_deadline(c, c->drips ? now_ms() + c->arg2 : 0);
		c->state = c->drips ? STATE_WAIT : STATE_SEND;
		return;
	case ACT_EARLY:
		buf_printf(&c->out, "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
		answer_text(c, 200, "early\n", 6);
		return;
	case ACT_UPGRADE:
		buf_printf(&c->out,
			   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Pod: %s%s[%s]\r\n\r\n",
			   opt.name, opt.color, c->ip);
		c->state = STATE_TUNNEL;
		return;
	case ACT_CONNECT:
		buf_printf(&c->out, "HTTP/1.1 200 Connected\r\nX-Pod: %s%s[%s]\r\n\r\n", opt.name, opt.color, c->ip);
		c->state = STATE_TUNNEL;
		return;
	case ACT_ECHO:
		if (!c->streaming)
			echo_start(c);
		if (!c->is_head)
			put_last_chunk(c);
		break;
	case ACT_NONE:
		break;
	}
	c->state = STATE_SEND;
}

/* ---- requests ---- */

struct slice {
	const char *at;
	size_t len;
};

static bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && !strncasecmp(s.at, text, s.len);
}

/* Whether a comma-separated header value holds the word. */
static bool list_has(struct slice s, const char *word)
{
	size_t n = strlen(word);

	while (s.len) {
		const char *comma = memchr(s.at, ',', s.len);
		size_t len = comma ? (size_t)(comma - s.at) : s.len;
		struct slice item = { s.at, len };

		while (item.len && (*item.at == ' ' || *item.at == '\t'))
			item.at++, item.len--;
		while (item.len && (item.at[item.len - 1] == ' ' || item.at[item.len - 1] == '\t'))
			item.len--;
		if (item.len == n && !strncasecmp(item.at, word, n))
			return true;
		s.at += comma ? len + 1 : len;
		s.len -= comma ? len + 1 : len;
	}
	return false;
}

static bool is_token(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)p[i]) && (!p[i] || !strchr("!#$%&'*+-.^_`|~", p[i])))
			return false;
	return n > 0;
}

static void copy_text(char *to, size_t room, struct slice s)
{
	size_t n = s.len < room - 1 ? s.len : room - 1;

	memcpy(to, s.at, n);
	to[n] = 0;
}

static const struct {
	const char *path;
	enum action action;
} endpoints[] = {
	{ "id", ACT_ID },	{ "size", ACT_SIZE },	{ "chunked", ACT_CHUNKED }, { "close", ACT_CLOSE },
	{ "echo", ACT_ECHO },	{ "head", ACT_HEAD },	{ "status", ACT_STATUS },   { "slow", ACT_SLOW },
	{ "drip", ACT_DRIP },	{ "early", ACT_EARLY }, { "upgrade", ACT_UPGRADE }, { "reset", ACT_RESET },
	{ "short", ACT_SHORT }, { "continue", ACT_HASH },
};

static void choose_action(struct conn *c, struct slice target)
{
	char path[1024], *query, *word, *rest = NULL;

	copy_text(path, sizeof(path), target);
	query = strchr(path, '?');
	if (query)
		*query++ = 0;
	c->action = ACT_CHAIN;
	word = strtok_r(path, "/", &rest);
	for (size_t i = 0; word && i < sizeof(endpoints) / sizeof(endpoints[0]); i++) {
		if (strcmp(word, endpoints[i].path))
			continue;
		c->action = endpoints[i].action;
		word = strtok_r(NULL, "/", &rest);
		c->arg = word ? strtoull(word, NULL, 10) : 0;
		word = strtok_r(NULL, "/", &rest);
		c->arg2 = word ? strtoull(word, NULL, 10) : 0;
		break;
	}
	if (c->action == ACT_STATUS && (c->arg < 200 || c->arg > 599))
		c->arg = 200;
	for (word = query ? strtok_r(query, "&", &rest) : NULL; word; word = strtok_r(NULL, "&", &rest)) {
		if (!strncmp(word, "seed=", 5))
			c->seed = strtoull(word + 5, NULL, 10);
		else if (!strcmp(word, "hash") && c->action == ACT_ECHO)
			c->action = ACT_HASH;
		else if (!strcmp(word, "trailer"))
			c->trailers = true;
		else if (!strcmp(word, "ext"))
			c->extensions = true;
	}
}

/* Reads the head in [p, p + len), blank line included. An error text, or NULL. */
static const char *parse_head(struct conn *c, const char *p, size_t len)
{
	const char *end = p + len - 2, *eol, *sp1, *sp2;
	bool has_length = false, has_host = false, has_te = false, upgrade = false;
	struct slice method, target;

	c->keep = true;
	c->http10 = c->is_head = c->chunked = c->expect = c->trailers = c->extensions = c->streaming = false;
	c->answer_close = c->answer_reset = false;
	c->arg = c->arg2 = c->seed = c->body_left = c->body_len = c->drips = c->gen_at = c->gen_end = 0;
	c->body_hash = LW_FNV_START;
	c->tag[0] = c->id[0] = 0;
	c->forward.start = c->forward.end = c->head.start = c->head.end = c->target.start = c->target.end = 0;

	for (size_t i = 0; i < len; i++) {
		if (!p[i])
			return "NUL in the head\n";
		if (p[i] == '\n' && (!i || p[i - 1] != '\r'))
			return "bare LF\n";
		if (p[i] == '\r' && p[i + 1] != '\n')
			return "bare CR\n";
	}
	eol = memchr(p, '\r', len);
	sp1 = memchr(p, ' ', (size_t)(eol - p));
	sp2 = sp1 ? memchr(sp1 + 1, ' ', (size_t)(eol - sp1 - 1)) : NULL;
	if (!sp2 || !is_token(p, (size_t)(sp1 - p)) || sp2 == sp1 + 1)
		return "bad request line\n";
	method = (struct slice){ p, (size_t)(sp1 - p) };
	target = (struct slice){ sp1 + 1, (size_t)(sp2 - sp1 - 1) };
	if (eol - sp2 != 9 || memcmp(sp2, " HTTP/1.", 8) || (sp2[8] != '0' && sp2[8] != '1'))
		return "bad version\n";
	c->http10 = sp2[8] == '0';
	if (c->http10)
		c->keep = false;
	c->is_head = method.len == 4 && !memcmp(method.at, "HEAD", 4);
	choose_action(c, target);
	buf_put(&c->target, target.at, target.len);
	if (method.len == 7 && !memcmp(method.at, "CONNECT", 7))
		c->action = ACT_CONNECT;
	if (c->action == ACT_HEAD)
		buf_put(&c->head, p, len);

	for (p = eol + 2; p < end; p = eol + 2) {
		const char *colon;
		struct slice name, value;

		eol = memchr(p, '\r', (size_t)(end - p) + 1);
		colon = memchr(p, ':', (size_t)(eol - p));
		if (!colon || !is_token(p, (size_t)(colon - p)))
			return "bad header line\n";
		name = (struct slice){ p, (size_t)(colon - p) };
		value = (struct slice){ colon + 1, (size_t)(eol - colon - 1) };
		while (value.len && (*value.at == ' ' || *value.at == '\t'))
			value.at++, value.len--;
		while (value.len && (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
			value.len--;

		if (slice_is(name, "content-length")) {
			uint64_t n = 0;

			if (has_length || !value.len || value.len > 18)
				return "bad Content-Length\n";
			for (size_t i = 0; i < value.len; i++) {
				if (!isdigit((unsigned char)value.at[i]))
					return "bad Content-Length\n";
				n = n * 10 + (uint64_t)(value.at[i] - '0');
			}
			has_length = true;
			c->body_left = n;
		} else if (slice_is(name, "transfer-encoding")) {
			if (has_te || !slice_is(value, "chunked") || c->http10)
				return "bad Transfer-Encoding\n";
			has_te = c->chunked = true;
			c->ck = CK_SIZE;
			c->ck_digits = 0;
			c->ck_left = 0;
		} else if (slice_is(name, "connection")) {
			if (list_has(value, "close"))
				c->keep = false;
			else if (c->http10 && list_has(value, "keep-alive"))
				c->keep = true;
			upgrade |= list_has(value, "upgrade");
		} else if (slice_is(name, "expect")) {
			c->expect = slice_is(value, "100-continue");
		} else if (slice_is(name, "host")) {
			if (has_host)
				return "two Host lines\n";
			has_host = true;
		} else if (slice_is(name, "x-id")) {
			copy_text(c->id, sizeof(c->id), value);
		}
		for (int i = 0; i < opt.nforward; i++) {
			if (!slice_is(name, opt.forward[i]))
				continue;
			buf_printf(&c->forward, "%.*s: %.*s\r\n", (int)name.len, name.at, (int)value.len, value.at);
			if (i == 0)
				copy_text(c->tag, sizeof(c->tag), value);
		}
	}
	if (has_length && has_te)
		return "Content-Length and Transfer-Encoding\n";
	if (!has_host && !c->http10)
		return "no Host\n";
	if (c->action == ACT_UPGRADE && !upgrade)
		c->action = ACT_ID;
	if (c->action == ACT_CONNECT)
		c->body_left = 0;
	return NULL;
}

static void body_data(struct conn *c, const char *p, size_t n)
{
	if (c->action == ACT_ECHO && !c->streaming && buf_len(&c->head) + n > ECHO_WHOLE)
		echo_start(c);
	c->body_len += n;
	if (c->action == ACT_ECHO && n && c->streaming && !c->is_head)
		put_chunk(c, p, n);
	else if (c->action == ACT_ECHO && !c->streaming)
		buf_put(&c->head, p, n);
	else if (c->action == ACT_HASH)
		c->body_hash = lw_fnv(c->body_hash, p, n);
}

/* Takes what there is of the body off the input. 1: the body is whole; 0: more is due; -1: malformed. */
static int body_run(struct conn *c)
{
	if (!c->chunked) {
		size_t n = buf_len(&c->in) < c->body_left ? buf_len(&c->in) : (size_t)c->body_left;

		body_data(c, buf_head(&c->in), n);
		buf_drop(&c->in, n);
		c->body_left -= n;
		return c->body_left == 0;
	}
	while (buf_len(&c->in)) {
		char *p = buf_head(&c->in), ch = *p;
		size_t n = 1;

		switch (c->ck) {
		case CK_SIZE:
			if (isxdigit((unsigned char)ch)) {
				if (++c->ck_digits > 15)
					return -1;
				c->ck_left = c->ck_left * 16 +
					     (uint64_t)(isdigit((unsigned char)ch) ? ch - '0' : (ch | 32) - 'a' + 10);
			} else if (!c->ck_digits || (ch != '\r' && ch != ';' && ch != ' ' && ch != '\t')) {
				return -1;
			} else {
				c->ck = ch == '\r' ? CK_SIZE_LF : CK_EXT;
			}
			break;
		case CK_EXT:
			if (ch == '\n')
				return -1;
			if (ch == '\r')
				c->ck = CK_SIZE_LF;
			break;
		case CK_SIZE_LF:
			if (ch != '\n')
				return -1;
			c->ck = c->ck_left ? CK_DATA : CK_LINE;
			break;
		case CK_DATA:
			n = buf_len(&c->in) < c->ck_left ? buf_len(&c->in) : (size_t)c->ck_left;
			body_data(c, p, n);
			c->ck_left -= n;
			if (!c->ck_left)
				c->ck = CK_DATA_CR;
			break;
		case CK_DATA_CR:
			if (ch != '\r')
				return -1;
			c->ck = CK_DATA_LF;
			break;
		case CK_DATA_LF:
			if (ch != '\n')
				return -1;
			c->ck = CK_SIZE;
			c->ck_digits = 0;
			break;
		case CK_LINE:
			c->ck = ch == '\r' ? CK_END_LF : CK_LINE_REST;
			break;
		case CK_LINE_REST:
			if (ch == '\r')
				c->ck = CK_LINE_LF;
			break;
		case CK_LINE_LF:
			if (ch != '\n')
				return -1;
			c->ck = CK_LINE;
			break;
		case CK_END_LF:
			if (ch != '\n')
				return -1;
			buf_drop(&c->in, 1);
			return 1;
		}
		buf_drop(&c->in, n);
		if (buf_len(&c->out) > OUT_MAX)
			return 0;
	}
	return 0;
}

/* ---- the next hop ---- */

static void up_watch(struct up *u)
{
	watch(u->w, &u->ob, EPOLLIN | (!u->connected || buf_len(&u->req) ? EPOLLOUT : 0u));
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->len == b->len && !memcmp(&a->addr, &b->addr, a->len);
}

static bool parse_endpoint(const char *text, struct endpoint *ret);

/*
 * The registry is a file of "IP:PORT" lines that someone else replaces. As with the clients of a real one,
 * pooled connections to instances that have left are given up.
 */
static void registry_look(struct worker *w)
{
	struct up *u, *after;
	char line[256];
	struct stat st;
	FILE *f;

	if (!opt.registry || stat(opt.registry, &st) < 0 || !memcmp(&st.st_mtim, &w->registry_read, sizeof(st.st_mtim)))
		return;
	f = fopen(opt.registry, "re");
	if (!f)
		return;
	w->registry_read = st.st_mtim;
	w->nnext = 0;
	while (w->nnext < LISTS_MAX && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		if (line[0] && parse_endpoint(line, &w->next[w->nnext]))
			w->nnext++;
	}
	fclose(f);
	for (u = w->idle; u; u = after) {
		bool listed = false;

		after = u->next_idle;
		for (int i = 0; i < w->nnext; i++)
			listed |= endpoint_equal(&w->next[i], &u->to);
		if (!listed)
			up_close(u);
	}
}

static struct up *up_connect(struct worker *w, const struct endpoint *to)
{
	struct up *u = calloc(1, sizeof(*u));
	int one = 1;

	if (!u)
		die("memory");
	u->ob.kind = KIND_UP;
	u->w = w;
	u->to = *to;
	u->ob.fd = socket(to->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (u->ob.fd < 0)
		die("socket");
	setsockopt(u->ob.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(u->ob.fd, (const struct sockaddr *)&to->addr, to->len) < 0 && errno != EINPROGRESS) {
		close(u->ob.fd);
		free(u);
		return NULL;
	}
	return u;
}

static void up_request(struct conn *c, struct up *u)
{
	const struct endpoint *to = &u->to;
	char host[INET6_ADDRSTRLEN] = "";
	unsigned int port;

	if (to->addr.ss_family == AF_INET) {
		const struct sockaddr_in *a = (const void *)&to->addr;

		inet_ntop(AF_INET, &a->sin_addr, host, sizeof(host));
		port = ntohs(a->sin_port);
	} else {
		const struct sockaddr_in6 *a = (const void *)&to->addr;

		inet_ntop(AF_INET6, &a->sin6_addr, host, sizeof(host));
		port = ntohs(a->sin6_port);
	}
	u->owner = c;
	c->up = u;
	buf_printf(&u->req, strchr(host, ':') ? "GET %.*s HTTP/1.1\r\nHost: [%s]:%u\r\n" : "GET %.*s HTTP/1.1\r\nHost: %s:%u\r\n",
		   opt.as_asked ? (int)buf_len(&c->target) : 1, opt.as_asked ? buf_head(&c->target) : "/", host, port);
	buf_put(&u->req, buf_head(&c->forward), buf_len(&c->forward));
	buf_put(&u->req, "\r\n", 2);
	up_watch(u);
}

static void up_start(struct conn *c)
{
	struct worker *w = c->w;
	const struct endpoint *to;
	struct up **p, *u;

	registry_look(w);
	if (!w->nnext) {
		answer_chain(c, 502, "!nobody", 7);
		return;
	}
	to = &w->next[w->turn++ % (unsigned int)w->nnext];
	for (p = &w->idle; *p && !endpoint_equal(&(*p)->to, to); p = &(*p)->next_idle)
		;
	u = *p;
	if (u) {
		*p = u->next_idle;
		u->reused = true;
	} else {
		u = up_connect(w, to);
	}
	if (!u) {
		answer_chain(c, 502, "!connect", 8);
		return;
	}
	up_request(c, u);
}

static void up_failed(struct up *u, const char *why)
{
	struct conn *c = u->owner;
	/* A connection of the pool may have been closed as we wrote: that request was not answered, ask anew. */
	bool again = c && u->reused && !u->in.end;
	struct endpoint to = u->to;

	u->owner = NULL;
	up_close(u);
	if (!c)
		return;
	c->up = NULL;
	if (again) {
		u = up_connect(c->w, &to);
		if (u) {
			up_request(c, u);
			return;
		}
	}
	answer_chain(c, 502, why, strlen(why));
	conn_run(c);
}

/* Length of the whole response in u->in with its body at *body; 0: not whole yet; -1: not understood. */
static ssize_t up_response(struct up *u, bool eof, size_t *body, int *status)
{
	for (;;) {
		char *p = buf_head(&u->in), *end = memmem(p, buf_len(&u->in), "\r\n\r\n", 4), *line;
		long long length = -1;

		if (!end)
			return eof ? -1 : 0;
		if (buf_len(&u->in) < 12 || memcmp(p, "HTTP/1.", 7))
			return -1;
		*status = atoi(p + 9);
		if (*status >= 100 && *status < 200) {
			buf_drop(&u->in, (size_t)(end + 4 - p));
			continue;
		}
		u->close = p[7] == '0';
		for (line = memmem(p, (size_t)(end + 2 - p), "\r\n", 2); line && line < end;
		     line = memmem(line + 2, (size_t)(end - line), "\r\n", 2)) {
			if (!strncasecmp(line + 2, "content-length:", 15))
				length = atoll(line + 17);
			else if (!strncasecmp(line + 2, "connection: close", 17))
				u->close = true;
		}
		*body = (size_t)(end + 4 - p);
		if (length < 0) {
			u->close = true;
			return eof ? (ssize_t)buf_len(&u->in) : 0;
		}
		if (buf_len(&u->in) < *body + (size_t)length)
			return eof ? -1 : 0;
		return (ssize_t)(*body + (size_t)length);
	}
}

static void up_event(struct up *u)
{
	struct conn *c = u->owner;
	bool eof = false;
	size_t body = 0;
	ssize_t n;
	int status = 0;

	if (!c) { /* idle: data or end of file, either way not fit for another request */
		up_close(u);
		return;
	}
	while (buf_len(&u->req)) {
		n = send(u->ob.fd, buf_head(&u->req), buf_len(&u->req), MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN)
				break;
			up_failed(u, "!send");
			return;
		}
		u->connected = true;
		buf_drop(&u->req, (size_t)n);
	}
	for (;;) {
		buf_reserve(&u->in, 4096);
		n = recv(u->ob.fd, u->in.data + u->in.end, u->in.cap - u->in.end, 0);
		if (n > 0) {
			u->in.end += (size_t)n;
			continue;
		}
		if (n < 0 && errno != EAGAIN && errno != ENOTCONN) {
			up_failed(u, "!recv");
			return;
		}
		eof = n == 0;
		break;
	}
	n = up_response(u, eof, &body, &status);
	if (n == 0) {
		up_watch(u);
		return;
	}
	if (n < 0) {
		up_failed(u, eof ? "!eof" : "!response");
		return;
	}
	answer_chain(c, status, buf_head(&u->in) + body, (size_t)n - body);
	buf_drop(&u->in, (size_t)n);
	c->up = NULL;
	u->owner = NULL;
	if (u->close || eof || buf_len(&u->in)) {
		up_close(u);
	} else {
		u->next_idle = u->w->idle;
		u->w->idle = u;
		up_watch(u);
	}
	conn_run(c);
}

/* ---- the life of a connection ---- */

/* Sends what there is. False: the connection is gone. */
static bool conn_flush(struct conn *c)
{
	c->blocked = false;
	for (;;) {
		struct iovec iov[2];
		struct msghdr msg = { .msg_iov = iov };
		size_t run = 0, queued;
		ssize_t n;

		if (c->gen_at < c->gen_end) {
			run = c->gen_end - c->gen_at < LW_PATTERN_RUN ? (size_t)(c->gen_end - c->gen_at) :
									LW_PATTERN_RUN;
			if (c->answer_chunked) {
				/* Sizes of many digits and of one, never the same twice running. */
				size_t piece = 1 + (size_t)((c->gen_at * 2654435761u) % 40000);

				if (buf_len(&c->out) < 65536) {
					run = run < piece ? run : piece;
					put_chunk(c, lw_pattern_at(c->seed, c->gen_at), run);
					c->gen_at += run;
					if (c->gen_at == c->gen_end)
						put_last_chunk(c);
					continue;
				}
				run = 0;
			}
		}
		queued = buf_len(&c->out);
		if (!queued && !run)
			return true;
		if (queued)
			iov[msg.msg_iovlen++] = (struct iovec){ buf_head(&c->out), queued };
		if (run)
			iov[msg.msg_iovlen++] =
				(struct iovec){ (void *)(uintptr_t)lw_pattern_at(c->seed, c->gen_at), run };
		n = sendmsg(c->ob.fd, &msg, MSG_NOSIGNAL);
		if (n < 0) {
			if (errno == EAGAIN) {
				c->blocked = true;
				return true;
			}
			conn_close(c);
			return false;
		}
		if ((size_t)n < queued) {
			buf_drop(&c->out, (size_t)n);
		} else {
			if (queued)
				buf_drop(&c->out, queued);
			c->gen_at += (size_t)n - queued;
		}
	}
}

/* The answer is out: end the connection, or look for the next request. False: it is gone. */
static bool conn_answered(struct conn *c)
{
	if (c->answer_reset) {
		struct linger hard = { .l_onoff = 1 };

		setsockopt(c->ob.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
		conn_close(c);
		return false;
	}
	if (c->keep) {
		c->state = STATE_HEAD;
		return true;
	}
	shutdown(c->ob.fd, SHUT_WR);
	c->state = STATE_LINGER;
	return true;
}

/* Looks for a request head at the front of the input. True: the state has moved on. */
static bool conn_head(struct conn *c)
{
	const char *error;
	char *p, *end;
	size_t len;

	while (buf_len(&c->in) >= 2 && !memcmp(buf_head(&c->in), "\r\n", 2))
		buf_drop(&c->in, 2);
	p = buf_head(&c->in);
	end = buf_len(&c->in) ? memmem(p, buf_len(&c->in), "\r\n\r\n", 4) : NULL;
	if (!end && buf_len(&c->in) < HEAD_MAX) {
		/* Not HTTP at all: say so at once instead of waiting for an end of head that never comes. */
		if (!buf_len(&c->in) || isupper((unsigned char)*p))
			return false;
		len = buf_len(&c->in);
		error = "not HTTP\n";
	} else if (!end) {
		len = buf_len(&c->in);
		error = "head too long\n";
	} else {
		len = (size_t)(end + 4 - p);
		error = parse_head(c, p, len);
	}
	if (error) {
		c->tag[0] = c->id[0] = 0;
		c->is_head = c->http10 = c->answer_reset = false;
		c->gen_at = c->gen_end = 0;
		buf_drop(&c->in, len);
		answer_error(c, !end && len >= HEAD_MAX ? 431 : 400, error);
		return true;
	}
	buf_drop(&c->in, len);
	c->deadline = 0;
	if (c->expect && !c->http10 && (c->chunked || c->body_left))
		buf_printf(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	c->state = STATE_BODY;
	return true;
}

static void conn_run(struct conn *c)
{
	bool more = true;

	while (more && !c->ob.closed) {
		int r;

		more = false;
		switch (c->state) {
		case STATE_HEAD:
			more = conn_head(c);
			/* An answer to a pipelined request can wait for the next one's, end of file cannot. */
			if (!more && c->eof) {
				if (!conn_flush(c))
					return;
				if (!c->blocked) {
					conn_close(c);
					return;
				}
			}
			break;
		case STATE_BODY:
			if (buf_len(&c->out) > OUT_MAX)
				break;
			r = body_run(c);
			if (r < 0) {
				buf_drop(&c->in, buf_len(&c->in));
				answer_error(c, 400, "bad chunk\n");
				more = true;
			} else if (r > 0) {
				answer(c);
				more = true;
			} else if (c->eof && !buf_len(&c->in)) {
				conn_close(c);
				return;
			}
			break;
		case STATE_WAIT:
			break;
		case STATE_SEND:
			if (!conn_flush(c))
				return;
			if (!c->blocked && !buf_len(&c->out) && c->gen_at >= c->gen_end)
				more = conn_answered(c);
			break;
		case STATE_TUNNEL:
			if (buf_len(&c->out) < OUT_MAX && buf_len(&c->in)) {
				buf_put(&c->out, buf_head(&c->in), buf_len(&c->in));
				buf_drop(&c->in, buf_len(&c->in));
			}
			if (c->eof && !buf_len(&c->in)) {
				c->keep = false;
				c->state = STATE_SEND;
				more = true;
			}
			break;
		case STATE_LINGER:
			buf_drop(&c->in, buf_len(&c->in));
			if (c->eof) {
				conn_close(c);
				return;
			}
			break;
		}
	}
	/* What STATE_SEND left blocked is not tried again here: were it sent now, nobody would see that the answer is out. */
	if (c->ob.closed || (c->state != STATE_SEND && !conn_flush(c)))
		return;
	if (c->state == STATE_HEAD)
		set_deadline(c, opt.idle_ms && !c->blocked ? now_ms() + (uint64_t)opt.idle_ms : 0);
	watch(c->w, &c->ob,
	      (!c->eof && buf_len(&c->in) < IN_MAX && buf_len(&c->out) <= OUT_MAX ? EPOLLIN : 0u) |
		      (c->blocked ? EPOLLOUT : 0u));
}

static void conn_event(struct conn *c, uint32_t events)
{
	if (events & EPOLLERR) {
		conn_close(c);
		return;
	}
	while (events & (EPOLLIN | EPOLLHUP) && !c->eof && buf_len(&c->in) < IN_MAX) {
		size_t room;
		ssize_t n;

		buf_reserve(&c->in, c->state == STATE_BODY ? 65536 : 4096);
		room = c->in.cap - c->in.end;
		n = recv(c->ob.fd, c->in.data + c->in.end, room, 0);
		if (n > 0) {
			c->in.end += (size_t)n;
			if ((size_t)n < room)
				break;
			continue;
		}
		if (n == 0) {
			c->eof = true;
		} else if (errno != EAGAIN) {
			conn_close(c);
			return;
		}
		break;
	}
	conn_run(c);
}

static void conn_timer(struct conn *c, uint64_t now)
{
	char text[64];

	c->deadline = 0;
	if (c->state == STATE_HEAD) {
		if (buf_len(&c->in) == 0)
			conn_close(c);
		return;
	}
	if (c->state != STATE_WAIT)
		return;
	if (c->action == ACT_DRIP) {
		snprintf(text, sizeof(text), "drip %10llu", (unsigned long long)c->drips);
		buf_put(&c->out, text, 15);
		buf_put(&c->out, "\n", 1);
		if (--c->drips)
			set_deadline(c, now + c->arg2);
		else
			c->state = STATE_SEND;
	} else {
		snprintf(text, sizeof(text), "slow %llu\n", (unsigned long long)c->arg);
		answer_text(c, 200, text, strlen(text));
	}
	conn_run(c);
}

/* Runs what is due; milliseconds until the next, or -1. */
static int timers(struct worker *w)
{
	uint64_t now = now_ms(), next = UINT64_MAX;
	struct conn *after;

	if (now < w->next_timer)
		return w->next_timer == UINT64_MAX ? -1 : (int)(w->next_timer - now);
	w->next_timer = UINT64_MAX;
	for (struct conn *c = w->conns; c; c = after) {
		after = c->next;
		if (c->deadline && c->deadline <= now)
			conn_timer(c, now);
		if (!c->ob.closed && c->deadline && c->deadline < next)
			next = c->deadline;
	}
	w->next_timer = next;
	if (next == UINT64_MAX)
		return -1;
	return next > now ? (int)(next - now) : 0;
}

static void accept_all(struct worker *w, int fd)
{
	for (;;) {
		struct sockaddr_storage local = { 0 };
		socklen_t len = sizeof(local);
		struct conn *c;
		int one = 1, s;

		s = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (s < 0)
			return;
		c = calloc(1, sizeof(*c));
		if (!c)
			die("memory");
		setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		getsockname(s, (struct sockaddr *)&local, &len);
		if (opt.ip) {
			snprintf(c->ip, sizeof(c->ip), "%s", opt.ip);
		} else if (local.ss_family == AF_INET) {
			inet_ntop(AF_INET, &((struct sockaddr_in *)&local)->sin_addr, c->ip, sizeof(c->ip));
		} else {
			const struct in6_addr *a = &((struct sockaddr_in6 *)&local)->sin6_addr;

			if (IN6_IS_ADDR_V4MAPPED(a))
				inet_ntop(AF_INET, &a->s6_addr[12], c->ip, sizeof(c->ip));
			else
				inet_ntop(AF_INET6, a, c->ip, sizeof(c->ip));
		}
		c->ob.kind = KIND_CONN;
		c->ob.fd = s;
		c->w = w;
		c->next = w->conns;
		if (w->conns)
			w->conns->prev = c;
		w->conns = c;
		set_deadline(c, opt.idle_ms ? now_ms() + (uint64_t)opt.idle_ms : 0);
		watch(w, &c->ob, EPOLLIN);
	}
}

static int open_listener(const struct endpoint *at)
{
	int fd = socket(at->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1, zero = 0;

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (at->addr.ss_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (const struct sockaddr *)&at->addr, at->len) < 0)
		die("bind");
	if (listen(fd, 4096) < 0)
		die("listen");
	return fd;
}

static void *worker_run(void *arg)
{
	struct epoll_event events[256];
	struct object listeners[LISTS_MAX];
	struct worker *w = arg;

	for (int i = 0; i < opt.nlisten; i++) {
		listeners[i] = (struct object){ .kind = KIND_LISTEN, .fd = open_listener(&opt.listen[i]) };
		watch(w, &listeners[i], EPOLLIN);
	}
	for (;;) {
		int timeout = timers(w), n;

		reap(w);
		n = epoll_wait(w->ep, events, 256, timeout);
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		for (int i = 0; i < n; i++) {
			struct object *ob = events[i].data.ptr;

			if (ob->closed)
				continue;
			if (ob->kind == KIND_LISTEN)
				accept_all(w, ob->fd);
			else if (ob->kind == KIND_CONN)
				conn_event((struct conn *)ob, events[i].events);
			else
				up_event((struct up *)ob);
		}
		reap(w);
	}
	return NULL;
}

/* "PORT", ":PORT", "IP:PORT" or "[IP6]:PORT". */
static bool parse_endpoint(const char *text, struct endpoint *ret)
{
	char host[128] = "";
	const char *colon = strrchr(text, ':'), *port = colon ? colon + 1 : text;
	struct sockaddr_in *v4 = (void *)&ret->addr;
	struct sockaddr_in6 *v6 = (void *)&ret->addr;

	memset(ret, 0, sizeof(*ret));
	if (colon)
		snprintf(host, sizeof(host), "%.*s", (int)(colon - text), text);
	if (host[0] == '[') {
		memmove(host, host + 1, strlen(host));
		host[strcspn(host, "]")] = 0;
	}
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)atoi(port));
		ret->len = sizeof(*v4);
		return true;
	}
	if (inet_pton(AF_INET6, host[0] ? host : "::", &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)atoi(port));
		ret->len = sizeof(*v6);
		return true;
	}
	fprintf(stderr, "hop: '%s': expected IP:PORT or [IP]:PORT\n", text);
	return false;
}

static void usage(FILE *out)
{
	fputs("usage: hop --listen [IP]:PORT ... [--name A] [--color gray] [--config base] [--ip SHOWN]\n"
	      "           [--next IP:PORT ... | --registry FILE] [--forward HEADER ...] [--idle MS] [--threads N] [--as-asked]\n"
	      "       hop --pattern N [--seed S]      writes the body of /size/N?seed=S to standard output\n"
	      "\n"
	      "--next may be given several times: the pods of the next service, asked in turn over\n"
	      "connections kept alive; --registry names a file of such lines, read again when it changes.\n"
	      "--forward names a header that is handed on; the first is the tag.\n"
	      "--as-asked asks the next service for the same target; without it, for \"/\".\n"
	      "--idle closes a connection that has been quiet between requests for so long.\n"
	      "\n"
	      "/              the example's line, with the next hop's behind it\n"
	      "/id            \"A[ip]\", no next hop\n"
	      "/size/N        N bytes with Content-Length      /chunked/N   chunked (?trailer, ?ext)\n"
	      "/close/N       until end of file                /short/N     half a body, then end of file\n"
	      "/reset/N       half a body, then a reset        /drip/N/MS   N times 16 bytes, MS between\n"
	      "/echo          the request's body (?hash: its length and FNV-1a 64)\n"
	      "/head          the request's head as received   /slow/MS     an answer after MS\n"
	      "/status/CODE   that status                      /continue    as /echo?hash\n"
	      "/early         103, then 200                    /upgrade     101, then an echo\n"
	      "?seed=S moves the pattern of /size, /chunked and /close. CONNECT is an echo too.\n"
	      "Every answer has X-Pod, X-Lane-Seen (the tag) and the request's own X-Id.\n",
	      out);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "listen", 1, 0, 'l' },  { "name", 1, 0, 'n' },    { "color", 1, 0, 'c' },   { "config", 1, 0, 'C' },
		{ "next", 1, 0, 'x' },	  { "forward", 1, 0, 'f' }, { "threads", 1, 0, 't' }, { "idle", 1, 0, 'i' },
		{ "pattern", 1, 0, 'p' }, { "seed", 1, 0, 's' },    { "ip", 1, 0, 'a' },      { "help", 0, 0, 'h' },
		{ "registry", 1, 0, 'r' }, { "as-asked", 0, 0, 'A' },
		{ 0 },
	};
	uint64_t pattern = UINT64_MAX, seed = 0;
	pthread_t threads[THREADS_MAX];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'l':
			if (opt.nlisten == LISTS_MAX || !parse_endpoint(optarg, &opt.listen[opt.nlisten++]))
				return 1;
			break;
		case 'x':
			if (opt.nnext == LISTS_MAX || !parse_endpoint(optarg, &opt.next[opt.nnext++]))
				return 1;
			break;
		case 'f':
			if (opt.nforward < LISTS_MAX)
				opt.forward[opt.nforward++] = optarg;
			break;
		case 'r': opt.registry = optarg; break;
		case 'A': opt.as_asked = true; break;
		case 'n': opt.name = optarg; break;
		case 'c': opt.color = optarg; break;
		case 'C': opt.config = optarg; break;
		case 'a': opt.ip = optarg; break;
		case 't': opt.threads = atoi(optarg); break;
		case 'i': opt.idle_ms = atol(optarg); break;
		case 'p': pattern = strtoull(optarg, NULL, 10); break;
		case 's': seed = strtoull(optarg, NULL, 10); break;
		case 'h': usage(stdout); return 0;
		default: usage(stderr); return 1;
		}
	}
	lw_pattern_init();
	for (uint64_t at = 0; pattern != UINT64_MAX && at < pattern;) {
		size_t n = pattern - at < LW_PATTERN_RUN ? (size_t)(pattern - at) : LW_PATTERN_RUN;

		n = fwrite(lw_pattern_at(seed, at), 1, n, stdout);
		if (!n)
			die("write");
		at += n;
	}
	if (pattern != UINT64_MAX)
		return fflush(stdout) ? 1 : 0;
	if (!opt.nlisten || opt.threads < 1 || opt.threads > THREADS_MAX) {
		usage(stderr);
		return 1;
	}
	if (!opt.nforward)
		opt.forward[opt.nforward++] = "x-mse-tag";
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < opt.threads; i++) {
		struct worker *w = calloc(1, sizeof(*w));

		if (!w)
			die("memory");
		memcpy(w->next, opt.next, sizeof(w->next));
		w->nnext = opt.nnext;
		w->ep = epoll_create1(EPOLL_CLOEXEC);
		if (w->ep < 0)
			die("epoll");
		if (i == opt.threads - 1)
			worker_run(w);
		else if (pthread_create(&threads[i], NULL, worker_run, w))
			die("thread");
	}
	return 0;
}
