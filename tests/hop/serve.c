/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/uio.h>

#include "pattern.h"

#define READ_SLOWLY (16u << 10) /* bytes at a time, where a body is read at a rate */
#define WRITE_SLOWLY (2u << 10) /* likewise, where an answer is written at one */

/* When so many bytes at the connection's pace are due. Many of a pace are due together: each look at what is due is one at every connection. */
static uint64_t due_at(uint64_t now, uint64_t bytes, uint64_t kbps)
{
	uint64_t ms = bytes / (kbps ? kbps : 1);

	return ms < 100 ? now + ms : (now + ms) | 15;
}

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
			run = c->gen_end - c->gen_at < LW_PATTERN_RUN ?
				      (size_t)(c->gen_end - c->gen_at) :
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
			iov[msg.msg_iovlen++] = (struct iovec){
				(void *)(uintptr_t)lw_pattern_at(c->seed, c->gen_at), run
			};
		if (opt.bytes) {
			msg.msg_iovlen = 1;
			iov[0].iov_len = 1;
		}
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
	if (opt.ids >= 0 && c->id[0] && dprintf(opt.ids, "%s\n", c->id) < 0)
		die("write an id");
	if (c->expect && !c->http10 && (c->chunked || c->body_left))
		buf_printf(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
	c->state = STATE_BODY;
	return true;
}

/* It has read its share of the body for now. */
static bool reads_slowly(const struct conn *c)
{
	return c->kbps && c->state == STATE_BODY && c->deadline;
}

void conn_run(struct conn *c)
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
	/* what the socket buffers hold, and nothing else, is what it is ahead of its reader */
	if (c->kbps && c->state == STATE_BODY && !c->deadline)
		set_deadline(c, due_at(now_ms(), READ_SLOWLY, c->kbps));
	watch(c->w, &c->ob,
	      (!c->eof && !reads_slowly(c) && buf_len(&c->in) < IN_MAX &&
			       buf_len(&c->out) <= OUT_MAX ?
		       EPOLLIN :
		       0u) |
		      (c->blocked ? EPOLLOUT : 0u));
}

static void conn_read(struct conn *c, uint32_t events)
{
	while (events & (EPOLLIN | EPOLLHUP) && !c->eof && buf_len(&c->in) < IN_MAX) {
		bool slowly = c->kbps && c->state == STATE_BODY;
		size_t room;
		ssize_t n;

		buf_reserve(&c->in, c->state == STATE_BODY ? 65536 : 4096);
		room = c->in.cap - c->in.end;
		room = slowly && room > READ_SLOWLY ? READ_SLOWLY : room;
		n = recv(c->ob.fd, c->in.data + c->in.end, room, 0);
		if (n > 0) {
			c->in.end += (size_t)n;
			if ((size_t)n < room || slowly)
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

static void conn_event(struct conn *c, uint32_t events)
{
	if (events & EPOLLERR)
		conn_close(c);
	else if (!reads_slowly(c) || events & EPOLLHUP)
		conn_read(c, events);
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
	if (c->state == STATE_BODY) {
		conn_read(c, EPOLLIN);
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
	} else if (c->action == ACT_SLOWLY) {
		/* what a full buffer has kept is no reason to catch up */
		if (c->gen_at == c->gen_end)
			c->gen_end = c->arg - c->gen_at < WRITE_SLOWLY ? c->arg :
									 c->gen_at + WRITE_SLOWLY;
		if (c->gen_end < c->arg)
			set_deadline(c, due_at(now, WRITE_SLOWLY, c->arg2));
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
			inet_ntop(AF_INET, &((struct sockaddr_in *)&local)->sin_addr, c->ip,
				  sizeof(c->ip));
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
	int fd = socket(at->addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1,
	    zero = 0;

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

void *worker_run(void *arg)
{
	struct epoll_event events[256];
	struct object listeners[LISTS_MAX];
	struct worker *w = arg;

	for (int i = 0; i < opt.nlisten; i++) {
		listeners[i] =
			(struct object){ .kind = KIND_LISTEN, .fd = open_listener(&opt.listen[i]) };
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
