/* SPDX-License-Identifier: Apache-2.0 */
#include "hop.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "pattern.h"

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
	{ "id", ACT_ID },	  { "size", ACT_SIZE },	      { "chunked", ACT_CHUNKED },
	{ "close", ACT_CLOSE },	  { "echo", ACT_ECHO },	      { "head", ACT_HEAD },
	{ "status", ACT_STATUS }, { "slow", ACT_SLOW },	      { "drip", ACT_DRIP },
	{ "early", ACT_EARLY },	  { "upgrade", ACT_UPGRADE }, { "reset", ACT_RESET },
	{ "short", ACT_SHORT },	  { "continue", ACT_HASH },   { "slowly", ACT_SLOWLY },
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
	for (word = query ? strtok_r(query, "&", &rest) : NULL; word;
	     word = strtok_r(NULL, "&", &rest)) {
		if (!strncmp(word, "seed=", 5))
			c->seed = strtoull(word + 5, NULL, 10);
		else if (!strncmp(word, "kbps=", 5))
			c->kbps = strtoull(word + 5, NULL, 10);
		else if (!strcmp(word, "hash") && c->action == ACT_ECHO)
			c->action = ACT_HASH;
		else if (!strcmp(word, "trailer"))
			c->trailers = true;
		else if (!strcmp(word, "ext"))
			c->extensions = true;
		else if (!strcmp(word, "cork"))
			c->cork = true;
	}
}

const char *parse_head(struct conn *c, const char *p, size_t len)
{
	const char *end = p + len - 2, *eol, *sp1, *sp2;
	bool has_length = false, has_host = false, has_te = false, upgrade = false;
	struct slice method, target;

	c->keep = true;
	c->http10 = c->is_head = c->chunked = c->expect = c->trailers = c->extensions =
		c->streaming = c->cork = false;
	c->answer_close = c->answer_reset = false;
	c->arg = c->arg2 = c->seed = c->kbps = c->body_left = c->body_len = c->drips = c->gen_at =
		c->gen_end = 0;
	c->body_hash = LW_FNV_START;
	c->tag[0] = c->id[0] = 0;
	c->forward.start = c->forward.end = c->head.start = c->head.end = c->target.start =
		c->target.end = 0;

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
		while (value.len &&
		       (value.at[value.len - 1] == ' ' || value.at[value.len - 1] == '\t'))
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
			buf_printf(&c->forward, "%.*s: %.*s\r\n", (int)name.len, name.at,
				   (int)value.len, value.at);
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

int body_run(struct conn *c)
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
				c->ck_left =
					c->ck_left * 16 + (uint64_t)(isdigit((unsigned char)ch) ?
									     ch - '0' :
									     (ch | 32) - 'a' + 10);
			} else if (!c->ck_digits ||
				   (ch != '\r' && ch != ';' && ch != ' ' && ch != '\t')) {
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
