/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

static void up_watch(struct up *u)
{
	watch(u->w, &u->ob, EPOLLIN | (!u->connected || buf_len(&u->req) ? EPOLLOUT : 0u));
}

static bool endpoint_equal(const struct endpoint *a, const struct endpoint *b)
{
	return a->len == b->len && !memcmp(&a->addr, &b->addr, a->len);
}

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

	if (!opt.registry || stat(opt.registry, &st) < 0 ||
	    !memcmp(&st.st_mtim, &w->registry_read, sizeof(st.st_mtim)))
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
	if (connect(u->ob.fd, (const struct sockaddr *)&to->addr, to->len) < 0 &&
	    errno != EINPROGRESS) {
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
	buf_printf(&u->req,
		   strchr(host, ':') ? "GET %.*s HTTP/1.1\r\nHost: [%s]:%u\r\n" :
				       "GET %.*s HTTP/1.1\r\nHost: %s:%u\r\n",
		   opt.as_asked ? (int)buf_len(&c->target) : 1,
		   opt.as_asked ? buf_head(&c->target) : "/", host, port);
	buf_put(&u->req, buf_head(&c->forward), buf_len(&c->forward));
	buf_put(&u->req, "\r\n", 2);
	up_watch(u);
}

void up_start(struct conn *c)
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

void up_event(struct up *u)
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
