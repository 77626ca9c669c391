/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static const char *status_text(int status)
{
	switch (status) {
	case 200:
		return "OK";
	case 204:
		return "No Content";
	case 304:
		return "Not Modified";
	case 400:
		return "Bad Request";
	case 404:
		return "Not Found";
	case 405:
		return "Method Not Allowed";
	case 431:
		return "Request Header Fields Too Large";
	case 502:
		return "Bad Gateway";
	default:
		return "Status";
	}
}

/* length < 0: not known beforehand. Chooses the framing and leaves the body to the caller. */
static void answer_head(struct conn *c, int status, int64_t length, const char *extra)
{
	bool bodyless = status == 204 || status == 304 || status < 200;

	c->answer_chunked = length < 0 && !c->http10 && c->action != ACT_CLOSE && !bodyless;
	if (length < 0 && !c->answer_chunked && !bodyless)
		c->keep = false;
	buf_printf(
		&c->out,
		"HTTP/1.1 %d %s\r\nContent-Type: text/plain\r\nX-Pod: %s%s[%s]\r\nX-Lane-Seen: %s\r\n",
		status, status_text(status), opt.name, opt.color, c->ip, c->tag);
	if (c->id[0])
		buf_printf(&c->out, "X-Id: %s\r\n", c->id);
	if (length >= 0 && !bodyless)
		buf_printf(&c->out, "Content-Length: %lld\r\n", (long long)length);
	if (c->answer_chunked)
		buf_printf(&c->out, "Transfer-Encoding: chunked\r\n%s",
			   c->trailers ? "Trailer: X-Trailer\r\n" : "");
	if (!c->keep)
		buf_printf(&c->out, "Connection: close\r\n");
	else if (c->http10)
		buf_printf(&c->out, "Connection: keep-alive\r\n");
	buf_printf(&c->out, "%s\r\n", extra);
}

void answer_text(struct conn *c, int status, const char *text, size_t len)
{
	answer_head(c, status, (int64_t)len, "");
	if (!c->is_head && status != 204 && status != 304)
		buf_put(&c->out, text, len);
	c->state = STATE_SEND;
}

void answer_error(struct conn *c, int status, const char *why)
{
	c->keep = false;
	c->action = ACT_NONE;
	answer_text(c, status, why, strlen(why));
}

void put_chunk(struct conn *c, const void *data, size_t len)
{
	if (c->answer_chunked)
		buf_printf(&c->out, "%zx%s\r\n", len, c->extensions ? ";ext=\"a;b\"" : "");
	buf_put(&c->out, data, len);
	if (c->answer_chunked)
		buf_put(&c->out, "\r\n", 2);
}

void put_last_chunk(struct conn *c)
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

void answer_chain(struct conn *c, int status, const char *rest, size_t len)
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

void echo_start(struct conn *c)
{
	c->streaming = true;
	answer_head(c, 200, c->chunked ? -1 : (int64_t)(c->body_len + c->body_left), "");
	if (buf_len(&c->head) && !c->is_head)
		put_chunk(c, buf_head(&c->head), buf_len(&c->head));
	buf_drop(&c->head, buf_len(&c->head));
}

void answer(struct conn *c)
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
		if (c->cork &&
		    !c->keep) /* what does not fill a packet waits for the end of file, and is in one with it */
			setsockopt(c->ob.fd, IPPROTO_TCP, TCP_CORK, &(int){ 1 }, sizeof(int));
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
	case ACT_SLOWLY:
		answer_head(c, 200, (int64_t)c->arg, "");
		c->arg = c->is_head ? 0 : c->arg;
		set_deadline(c, c->arg ? now_ms() + 1 : 0);
		c->state = c->arg ? STATE_WAIT : STATE_SEND;
		return;
	case ACT_EARLY:
		buf_printf(&c->out, "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n");
		answer_text(c, 200, "early\n", 6);
		return;
	case ACT_UPGRADE:
		buf_printf(
			&c->out,
			"HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: Upgrade\r\nX-Pod: %s%s[%s]\r\n\r\n",
			opt.name, opt.color, c->ip);
		c->state = STATE_TUNNEL;
		return;
	case ACT_CONNECT:
		buf_printf(&c->out, "HTTP/1.1 200 Connected\r\nX-Pod: %s%s[%s]\r\n\r\n", opt.name,
			   opt.color, c->ip);
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
