/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads and bodies of HTTP/1.x, as the kernel programs follow them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/names.h"
#include "laneway/follow.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define TAG LW_HDR_TAG_FIRST
#define AGENT LW_HDR_WATCHED_FIRST
/* Of a text with NULs in it. */
#define TEXT(s) s, sizeof(s) - 1

static struct lw_names names;
static struct lw_head head;

static int setup(void **state)
{
	static const struct lw_names_entry entries[] = {
		{ "x-mse-tag", TAG },
		{ "User-Agent", AGENT },
	};

	(void)state;
	return lw_names_build(entries, N(entries), &names);
}

/* Scans len bytes of text in pieces that end at `cut` and at the end; the buffer is filled with rubbish behind. */
static void scan_cut(const char *text, size_t len, size_t cut, int response)
{
	const size_t ends[] = { cut, len };

	memset(&head, 0, sizeof(head));
	memset(head.buf, '\r', sizeof(head.buf));
	head.scan.response = response;
	assert_true(len <= LW_HEAD_MAX);
	for (size_t i = 0; i < N(ends); i++) {
		size_t base = response ? head.scan.pos : 0, n = ends[i] - base;

		if (ends[i] <= head.scan.pos)
			continue;
		/* a request is gathered in the buffer, of a response only what is new is there */
		memcpy(head.buf, text + base, n);
		if (response) {
			int taken = lw_scan_response(&head.scan, &head, &names, n);

			assert_int_equal(head.scan.pos, base + taken);
		} else {
			assert_int_equal(lw_scan_request(&head, &names, n), 0);
		}
	}
}

static void scan(const char *text, size_t len, int response)
{
	scan_cut(text, len, len, response);
}

/* ---- heads of requests ---- */

#define GET "GET / HTTP/1.1\r\n"
#define POST "POST / HTTP/1.1\r\n"
#define FINE LW_SCAN_DONE, 0
#define BAD LW_SCAN_ERROR, 0
#define NOT_HTTP LW_SCAN_ERROR, LW_SCAN_NOT_HTTP

static const struct {
	const char *text;
	size_t len;
	unsigned state, flags;
} requests[] = {
	/* the first line */
	{ TEXT(GET "\r\n"), FINE },
	{ TEXT("GET / HTTP/1.0\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HTTP_1_0 },
	{ TEXT("HEAD / HTTP/1.1\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_IS_HEAD },
	{ TEXT("HEADS / HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("HEA / HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("CONNECT a:1 HTTP/1.1\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_IS_CONNECT },
	{ TEXT("CONNECTS a:1 HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("M-SEARCH * HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("ABCDEFGHIJKLMNOPQRST / HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("ABCDEFGHIJKLMNOPQRSTU / HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET http://a/b?c#d HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("GET /\xc3\xa4 HTTP/1.1\r\n\r\n"), FINE },
	{ TEXT("get / HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("-A / HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT(" GET / HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("\r\n" GET "\r\n"), NOT_HTTP },
	{ TEXT("GET  / HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET\t/ HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET /  HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET /\t HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET /a\x7f HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET \x7f HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET /a\0b HTTP/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET /\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/1.2\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/1.10\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/2.0\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / http/1.1\r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/1.1 \r\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/1.1\n\r\n"), NOT_HTTP },
	{ TEXT("GET / HTTP/1.1\r\r\n"), NOT_HTTP },
	{ TEXT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), NOT_HTTP },
	{ TEXT("\x16\x03\x01\x02"), NOT_HTTP },
	{ TEXT("HTTP/1.1 200 OK\r\n\r\n"), NOT_HTTP },
	/* field lines */
	{ TEXT(GET "a:b\r\nc: d \t\r\ne:\r\nf: \r\n\r\n"), FINE },
	{ TEXT(GET "a: b\tc \x80\xff\r\n\r\n"), FINE },
	{ TEXT(GET "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n"), FINE },
	{ TEXT(GET "a : b\r\n\r\n"), BAD },
	{ TEXT(GET "a\t: b\r\n\r\n"), BAD },
	{ TEXT(GET ": b\r\n\r\n"), BAD },
	{ TEXT(GET " a: b\r\n\r\n"), BAD },
	{ TEXT(GET "a: b\r\n c\r\n\r\n"), BAD },
	{ TEXT(GET "a: b\r\n\tc\r\n\r\n"), BAD },
	{ TEXT(GET "a: b\n\r\n"), BAD },
	{ TEXT(GET "a: b\r\n\n"), BAD },
	{ TEXT(GET "a: b\r\n\rx"), BAD },
	{ TEXT(GET "a: b\rc\r\n\r\n"), BAD },
	{ TEXT(GET "a: b\0c\r\n\r\n"), BAD },
	{ TEXT(GET "a: \x01\r\n\r\n"), BAD },
	{ TEXT(GET "a: \x7f\r\n\r\n"), BAD },
	{ TEXT(GET "a: b\x7f\r\n\r\n"), BAD },
	{ TEXT(GET "a\r\n\r\n"), BAD },
	{ TEXT(GET "a\xe4: b\r\n\r\n"), BAD },
	{ TEXT(GET "a\0: b\r\n\r\n"), BAD },
	{ TEXT(GET "upgrade: h2c\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_UPGRADE },
	{ TEXT(GET "Connection: a\x01\r\n\r\n"), BAD },
	{ TEXT(GET "Connection: a\n\r\n"), BAD },
	{ TEXT(GET "Connection: a, \r\n\r\n"), FINE },
	{ TEXT(GET "upgrade:\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_UPGRADE },
	{ TEXT(GET "x-upgrade: h2c\r\n\r\n"), FINE },
	/* lengths */
	{ TEXT(POST "Content-Length: 0\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "CONTENT-length:5  \r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length:\t5\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5\t\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5 \t\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 999999999999999999\r\n\r\n"), LW_SCAN_DONE,
	  LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 1000000000000000000\r\n\r\n"), LW_SCAN_ERROR,
	  LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length:\r\n\r\n"), BAD },
	{ TEXT(POST "Content-Length: \r\n\r\n"), BAD },
	{ TEXT(POST "Content-Length: +5\r\n\r\n"), BAD },
	{ TEXT(POST "Content-Length: -5\r\n\r\n"), BAD },
	{ TEXT(POST "Content-Length: 0x5\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5, 5\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5 5\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), LW_SCAN_ERROR,
	  LW_SCAN_HAS_LENGTH },
	{ TEXT(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), LW_SCAN_ERROR,
	  LW_SCAN_HAS_LENGTH },
	/* codings */
	{ TEXT(POST "Transfer-Encoding: chunked\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_CHUNKED },
	{ TEXT(POST "transfer-encoding:CHUNKED  \r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HAS_CHUNKED },
	{ TEXT(POST "Transfer-Encoding: chunked\t\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: chunked \t\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_CHUNKED },
	{ TEXT(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: chunked, identity\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: chunkedx\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: chunke\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: xchunked\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding:\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: identity\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encoding: \x0b"
		    "chunked\r\n\r\n"),
	  BAD },
	{ TEXT(POST "Transfer-Encoding: chunked x\r\n\r\n"), LW_SCAN_ERROR, LW_SCAN_HAS_CHUNKED },
	{ TEXT(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  LW_SCAN_ERROR, LW_SCAN_HAS_CHUNKED },
	{ TEXT(POST "Transfer-Encoding : chunked\r\n\r\n"), BAD },
	{ TEXT(POST "Transfer-Encodingk: x\r\n\r\n"), FINE },
	{ TEXT(POST "X-Transfer-Encoding: x\r\n\r\n"), FINE },
	{ TEXT(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), LW_SCAN_DONE,
	  LW_SCAN_HAS_LENGTH | LW_SCAN_HAS_CHUNKED },
};

static void test_requests(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(requests); i++) {
		scan(requests[i].text, requests[i].len, 0);
		if (head.scan.state != requests[i].state || head.scan.flags != requests[i].flags)
			fail_msg("'%s': state %u, flags %#x", requests[i].text, head.scan.state,
				 head.scan.flags);
		if (head.scan.state == LW_SCAN_DONE)
			assert_int_equal(head.scan.pos, requests[i].len);
	}
}

/* Every state can be stopped in: the start of a head, whatever its length, is none and no error. */
static void test_states(void **state)
{
	static const char text[] =
		"PUT /x HTTP/1.1\r\nContent-Length: 5 \r\nTransfer-Encoding: chunked \r\n\r\n";
	static const char response[] = "HTTP/1.1 200 OK\r\n\r\n";
	uint32_t seen = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(text) - 1; n++) {
		scan(text, n, 0);
		assert_true(head.scan.state < LW_SCAN_DONE);
		assert_int_equal(head.scan.pos, n);
		seen |= 1u << head.scan.state;
	}
	for (size_t n = 0; n < sizeof(response) - 1; n++) {
		scan(response, n, 1);
		assert_true(head.scan.state < LW_SCAN_DONE);
		seen |= 1u << head.scan.state;
	}
	scan(TEXT(GET "a: b"), 0);
	seen |= 1u << head.scan.state;
	scan(TEXT(GET "Connection: a"), 0);
	seen |= 1u << head.scan.state;
	assert_int_equal(seen, (1u << LW_SCAN_DONE) - 1);
}

/* Nothing behind the head is touched, and nothing happens after the end. */
static void test_end(void **state)
{
	static const char text[] = GET "\r\nGET /2 HTTP/1.1\r\n\r\n";
	struct lw_scan was;

	(void)state;
	scan(text, sizeof(text) - 1, 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.scan.pos, sizeof(GET "\r\n") - 1);
	was = head.scan;
	lw_scan_byte(&head.scan, &names, NULL, 'x');
	assert_memory_equal(&was, &head.scan, sizeof(was));
}

static void test_fields(void **state)
{
	static const char text[] =
		"DELETE /some/path?q=1 HTTP/1.1\r\nContent-Length: 12345678901\r\n\r\n";

	(void)state;
	scan(TEXT(text), 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.scan.target, 7);
	assert_int_equal(head.scan.target_len, strlen("/some/path?q=1"));
	assert_int_equal(head.scan.fields, strstr(text, "Content") - text);
	assert_int_equal(head.scan.length, 12345678901ull);
}

/* ---- captures ---- */

static void check_capture(size_t i, unsigned header, const char *line, const char *value)
{
	const struct lw_capture *c = &head.caps.at[i];

	assert_true(i < head.caps.n);
	assert_int_equal(c->header, header);
	assert_int_equal(c->line_len, strlen(line));
	assert_memory_equal(head.buf + c->line, line, c->line_len);
	assert_int_equal(c->value_len, strlen(value));
	assert_memory_equal(head.buf + c->value, value, c->value_len);
}

static void test_captures(void **state)
{
	(void)state;
	scan(TEXT(GET
		  "Host: a\r\nX-MSE-Tag: gray\r\nuser-agent:\t \tcurl/8  (a  long, long value)  \t \r\n"
		  "Content-Length: 3\r\nCookie:a=b; c=d\r\nx-mse-tag:\r\nX-mse-tag2: no\r\nx-mse-ta: no\r\n\r\n"),
	     0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.caps.n, 5);
	check_capture(0, TAG, "X-MSE-Tag: gray\r\n", "gray");
	check_capture(1, AGENT, "user-agent:\t \tcurl/8  (a  long, long value)  \t \r\n",
		      "curl/8  (a  long, long value)");
	check_capture(2, LW_HDR_CONTENT_LENGTH, "Content-Length: 3\r\n", "3");
	check_capture(3, LW_HDR_COOKIE, "Cookie:a=b; c=d\r\n", "a=b; c=d");
	check_capture(4, TAG, "x-mse-tag:\r\n", "");
	assert_int_equal(head.caps.first[TAG], 1);
	assert_int_equal(head.caps.first[AGENT], 2);
	assert_int_equal(head.caps.first[LW_HDR_COOKIE], 4);
	assert_int_equal(head.caps.first[LW_HDR_UPGRADE], 0);
	/* of those that frame the message, too */
	scan(TEXT(POST "Content-Length: 123 \r\nUpgrade: \r\nConnection: a , close \r\n\r\n"), 0);
	assert_int_equal(head.caps.n, 3);
	check_capture(0, LW_HDR_CONTENT_LENGTH, "Content-Length: 123 \r\n", "123");
	check_capture(1, LW_HDR_UPGRADE, "Upgrade: \r\n", "");
	check_capture(2, LW_HDR_CONNECTION, "Connection: a , close \r\n", "a , close");
	scan(TEXT(POST "Transfer-Encoding: Chunked \r\n\r\n"), 0);
	assert_int_equal(head.caps.n, 1);
	check_capture(0, LW_HDR_TRANSFER_ENCODING, "Transfer-Encoding: Chunked \r\n", "Chunked");
}

static void test_captures_full(void **state)
{
	char text[4096] = GET;

	(void)state;
	for (unsigned i = 0; i < LW_CAPTURES; i++)
		strcat(text, "Cookie: a\r\n");
	strcat(text, "\r\n");
	scan(text, strlen(text), 0);
	assert_int_equal(head.caps.n, LW_CAPTURES);
	assert_int_equal(head.scan.flags, 0);
	strcpy(text + strlen(text) - 2, "Cookie: b\r\n\r\n");
	scan(text, strlen(text), 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.caps.n, LW_CAPTURES);
	assert_int_equal(head.scan.flags, LW_SCAN_CAPTURES_FULL);
}

/* Values of every length around the eight bytes looked at together, with blanks within and behind. */
static void test_value_ends(void **state)
{
	char text[256], value[32];

	(void)state;
	for (unsigned n = 1; n < 24; n++)
		for (unsigned blank = 0; blank < n; blank++)
			for (unsigned tail = 0; tail < 18; tail++) {
				memset(value, 'v', n);
				value[n] = '\0';
				if (blank && blank < n - 1)
					value[blank] = blank % 2 ? ' ' : '\t';
				snprintf(text, sizeof(text), GET "User-Agent: %s%*s\r\n\r\n", value,
					 tail, "");
				scan(text, strlen(text), 0);
				assert_int_equal(head.scan.state, LW_SCAN_DONE);
				assert_int_equal(head.caps.n, 1);
				assert_int_equal(head.caps.at[0].value_len, n);
				assert_memory_equal(head.buf + head.caps.at[0].value, value, n);
			}
}

/* Each byte value at each place of a long target and of a long value ends as it does byte by byte. */
static void test_plain_bytes(void **state)
{
	char text[] = "GET /0123456789abcdef HTTP/1.1\r\nUser-Agent: 0123456789abcdefghij\r\n\r\n";
	size_t len = sizeof(text) - 1;

	(void)state;
	for (size_t at = 4; at < len - 4; at++) {
		char was = text[at];

		for (unsigned b = 0; b < 256; b++) {
			struct lw_captures caps = {};
			struct lw_scan slow = {};

			text[at] = (char)b;
			for (size_t i = 0; i < len && slow.state < LW_SCAN_DONE; i++)
				lw_scan_byte(&slow, &names, &caps, text[i]);
			scan(text, len, 0);
			assert_memory_equal(&head.scan, &slow, sizeof(slow));
			assert_int_equal(head.caps.n, caps.n);
			for (unsigned i = 0; i < caps.n; i++)
				assert_memory_equal(&head.caps.at[i], &caps.at[i],
						    sizeof(caps.at[i]));
		}
		text[at] = was;
	}
}

/* ---- heads of responses ---- */

static const struct {
	const char *text;
	size_t len;
	unsigned state, flags, status;
} responses[] = {
	{ TEXT("HTTP/1.1 200 OK\r\n\r\n"), FINE, 200 },
	{ TEXT("HTTP/1.0 200 OK\r\n\r\n"), LW_SCAN_DONE, LW_SCAN_HTTP_1_0, 200 },
	{ TEXT("HTTP/1.1 404 \r\n\r\n"), FINE, 404 },
	{ TEXT("HTTP/1.1 599\r\n\r\n"), FINE, 599 },
	{ TEXT("HTTP/1.1 100 a\tb \xe4\r\n\r\n"), FINE, 100 },
	{ TEXT("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nA: b\r\n\r\n"), LW_SCAN_DONE,
	  LW_SCAN_HAS_LENGTH, 200 },
	{ TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), LW_SCAN_DONE,
	  LW_SCAN_HAS_CHUNKED, 200 },
	{ TEXT("HTTP/1.2 200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/2 200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("http/1.1 200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("\r\nHTTP/1.1 200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/1.1  200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/1.1\t200 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/1.1 20 OK\r\n\r\n"), NOT_HTTP, 20 },
	{ TEXT("HTTP/1.1 2000 OK\r\n\r\n"), NOT_HTTP, 200 },
	{ TEXT("HTTP/1.1 099 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/1.1 600 OK\r\n\r\n"), NOT_HTTP, 0 },
	{ TEXT("HTTP/1.1 200 O\x01K\r\n\r\n"), NOT_HTTP, 200 },
	{ TEXT("HTTP/1.1 200 OK\x7f\r\n\r\n"), NOT_HTTP, 200 },
	{ TEXT("HTTP/1.1 200 OK\n\r\n"), NOT_HTTP, 200 },
	{ TEXT("HTTP/1.1 200 OK\rx"), NOT_HTTP, 200 },
	{ TEXT("HTTP/1.1 200 OK\r\na : b\r\n\r\n"), BAD, 200 },
	{ TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), LW_SCAN_ERROR,
	  LW_SCAN_HAS_LENGTH, 200 },
	{ TEXT("GET / HTTP/1.1\r\n\r\n"), NOT_HTTP, 0 },
};

static void test_responses(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(responses); i++) {
		scan(responses[i].text, responses[i].len, 1);
		if (head.scan.state != responses[i].state ||
		    head.scan.flags != responses[i].flags ||
		    head.scan.status != responses[i].status)
			fail_msg("'%s': state %u, flags %#x, status %u", responses[i].text,
				 head.scan.state, head.scan.flags, head.scan.status);
	}
}

static void test_closes(void **state)
{
	static const struct {
		const char *version, *options;
		int closes;
	} rows[] = {
		{ "1.1", "X: close", 0 },
		{ "1.0", "X: keep-alive", 1 },
		{ "1.1", "Connection: close", 1 },
		{ "1.1", "connection:CLOSE", 1 },
		{ "1.1", "Connection: keep-alive", 0 },
		{ "1.0", "Connection: Keep-Alive", 0 },
		{ "1.0", "Connection: keep-alive, close", 1 },
		{ "1.1", "Connection: upgrade ,\tclose ", 1 },
		{ "1.1", "Connection: te,close,x", 1 },
		{ "1.1", "Connection: x\r\nConnection: close", 1 },
		{ "1.1", "Connection: closed", 0 },
		{ "1.1", "Connection: xclose", 0 },
		{ "1.1", "Connection: clos", 0 },
		{ "1.1", "Connection: close-x", 0 },
		{ "1.1", "Connection:", 0 },
		{ "1.0", "Connection: keep-alivex", 1 },
		{ "1.0", "Connection: keep-aliv", 1 },
		{ "1.0", "Connection: keepXalive", 1 },
	};
	char text[256];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		snprintf(text, sizeof(text), "HTTP/%s 200 OK\r\n%s\r\n\r\n", rows[i].version,
			 rows[i].options);
		scan(text, strlen(text), 1);
		assert_int_equal(head.scan.state, LW_SCAN_DONE);
		if (lw_scan_closes(&head.scan) != rows[i].closes)
			fail_msg("'%s'", text);
	}
}

/* ---- in pieces ---- */

static void check_pieces(const char *text, size_t len, int response)
{
	struct lw_captures caps;
	struct lw_scan whole;

	scan(text, len, response);
	whole = head.scan;
	caps = head.caps;
	for (size_t cut = 0; cut < len; cut++) {
		scan_cut(text, len, cut, response);
		if (memcmp(&whole, &head.scan, sizeof(whole)) ||
		    memcmp(&caps, &head.caps, sizeof(caps)))
			fail_msg("'%s' cut at %zu", text, cut);
	}
}

static void test_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(requests); i++)
		check_pieces(requests[i].text, requests[i].len, 0);
	for (size_t i = 0; i < N(responses); i++)
		check_pieces(responses[i].text, responses[i].len, 1);
	check_pieces(
		TEXT(GET
		     "Cookie: a long value of many bytes  and blanks \r\nx-mse-tag: gray\r\n\r\n"),
		0);
}

/* ---- bodies ---- */

static void test_frame_request(void **state)
{
	static const struct {
		unsigned flags;
		uint64_t length;
		unsigned frame;
	} rows[] = {
		{ 0, 0, LW_FRAME_HEAD },
		{ LW_SCAN_HAS_LENGTH, 0, LW_FRAME_HEAD },
		{ LW_SCAN_HAS_LENGTH, 5, LW_FRAME_LENGTH },
		{ LW_SCAN_HAS_LENGTH | LW_SCAN_IS_HEAD, 5, LW_FRAME_LENGTH },
		{ LW_SCAN_HAS_LENGTH | LW_SCAN_HTTP_1_0, 5, LW_FRAME_LENGTH },
		{ LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_CHUNKED },
		{ LW_SCAN_HAS_CHUNKED | LW_SCAN_HAS_LENGTH, 0, LW_FRAME_LOST },
		{ LW_SCAN_HAS_CHUNKED | LW_SCAN_HAS_LENGTH, 5, LW_FRAME_LOST },
		{ LW_SCAN_HAS_CHUNKED | LW_SCAN_HTTP_1_0, 0, LW_FRAME_LOST },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_scan s = { .flags = rows[i].flags, .length = rows[i].length };
		struct lw_frame f = { .left = 99, .chunk = 99, .digits = 99 };

		lw_frame_request(&s, &f);
		assert_int_equal(f.state, rows[i].frame);
		assert_int_equal(f.left, rows[i].frame == LW_FRAME_LENGTH ? rows[i].length : 0);
		assert_int_equal(f.chunk, LW_CHUNK_SIZE);
		assert_int_equal(f.digits, 0);
	}
}

/* RFC 9112 6.3, rule by rule. */
static void test_frame_response(void **state)
{
	static const struct {
		unsigned status, is_head, flags;
		uint64_t length;
		unsigned frame;
	} rows[] = {
		/* 1: none for HEAD, 1xx, 204, 304, whatever the head says */
		{ 200, 1, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_HEAD },
		{ 200, 1, LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_HEAD },
		{ 200, 1, 0, 0, LW_FRAME_HEAD },
		{ 100, 0, 0, 0, LW_FRAME_HEAD },
		{ 199, 0, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_HEAD },
		{ 204, 0, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_HEAD },
		{ 204, 0, LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_HEAD },
		{ 304, 0, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_HEAD },
		{ 304, 0, LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_HEAD },
		{ 205, 0, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_LENGTH },
		/* 3: both; and chunked in HTTP/1.0, which does not know it */
		{ 200, 0, LW_SCAN_HAS_CHUNKED | LW_SCAN_HAS_LENGTH, 5, LW_FRAME_LOST },
		{ 200, 0, LW_SCAN_HAS_CHUNKED | LW_SCAN_HTTP_1_0, 0, LW_FRAME_LOST },
		/* 4 */
		{ 200, 0, LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_CHUNKED },
		{ 500, 0, LW_SCAN_HAS_CHUNKED, 0, LW_FRAME_CHUNKED },
		/* 6 */
		{ 200, 0, LW_SCAN_HAS_LENGTH, 5, LW_FRAME_LENGTH },
		{ 200, 0, LW_SCAN_HAS_LENGTH, 0, LW_FRAME_HEAD },
		{ 200, 0, LW_SCAN_HAS_LENGTH | LW_SCAN_HTTP_1_0, 5, LW_FRAME_LENGTH },
		/* 8 */
		{ 200, 0, 0, 0, LW_FRAME_CLOSE },
		{ 200, 0, LW_SCAN_HTTP_1_0, 0, LW_FRAME_CLOSE },
	};

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		struct lw_scan s = { .flags = rows[i].flags,
				     .length = rows[i].length,
				     .status = rows[i].status };
		struct lw_frame f = { .left = 99, .chunk = 99, .digits = 99 };

		lw_frame_response(&s, rows[i].is_head, &f);
		if (f.state != rows[i].frame)
			fail_msg("row %zu: %u", i, f.state);
		assert_int_equal(f.left, rows[i].frame == LW_FRAME_LENGTH ? rows[i].length : 0);
		assert_int_equal(f.chunk, LW_CHUNK_SIZE);
		assert_int_equal(f.digits, 0);
	}
}

/* Follows a chunked body, no more than `piece` bytes at a time; returns how many bytes were taken. */
static size_t follow(struct lw_frame *f, const char *text, size_t len, size_t piece,
		     uint64_t *content)
{
	size_t off = 0;

	*f = (struct lw_frame){ .state = LW_FRAME_CHUNKED };
	*content = 0;
	while (off < len && f->state == LW_FRAME_CHUNKED) {
		size_t n = len - off < piece ? len - off : piece;
		uint32_t skipped = lw_frame_skip(f, n);

		assert_true(skipped <= n);
		*content += skipped;
		off += skipped;
		if (!skipped)
			lw_chunk_byte(f, text[off++]);
	}
	return off;
}

static const struct {
	const char *text;
	size_t len;
	unsigned frame;
	size_t taken; /* for LOST: the offending byte is the last one taken */
	uint64_t content;
} chunked[] = {
	{ TEXT("0\r\n\r\n"), LW_FRAME_HEAD, 5, 0 },
	{ TEXT("000\r\n\r\nGET"), LW_FRAME_HEAD, 7, 0 },
	{ TEXT("5\r\nhello\r\n0\r\n\r\n"), LW_FRAME_HEAD, 15, 5 },
	{ TEXT("5\r\nhello\r\nA\r\n0123456789\r\n0b\r\n0123456789a\r\n0\r\n\r\nX"), LW_FRAME_HEAD,
	  47, 26 },
	{ TEXT("2\r\n\r\n\r\n0\r\n\r\n"), LW_FRAME_HEAD, 12, 2 },
	{ TEXT("1;a\r\nx\r\n0;a=b;c=\"d e\"\r\n\r\n"), LW_FRAME_HEAD, 25, 1 },
	{ TEXT("1;\ta=\xe4\r\nx\r\n0\r\n\r\n"), LW_FRAME_HEAD, 16, 1 },
	{ TEXT("0\r\na: b\r\nC:d\r\ne:\r\n\r\n"), LW_FRAME_HEAD, 20, 0 },
	{ TEXT("5\r\nhello\r\n0\r\n"), LW_FRAME_CHUNKED, 13, 5 },
	{ TEXT("000000000000001\r\nx\r\n0\r\n\r\n"), LW_FRAME_HEAD, 25, 1 },
	{ TEXT("0000000000000001\r\n"), LW_FRAME_LOST, 16, 0 },
	{ TEXT("\r\n"), LW_FRAME_LOST, 1, 0 },
	{ TEXT(";a\r\n"), LW_FRAME_LOST, 1, 0 },
	{ TEXT("g\r\n"), LW_FRAME_LOST, 1, 0 },
	{ TEXT("-1\r\n"), LW_FRAME_LOST, 1, 0 },
	{ TEXT("0x1\r\n"), LW_FRAME_LOST, 2, 0 },
	{ TEXT(" 1\r\n"), LW_FRAME_LOST, 1, 0 },
	{ TEXT("1 \r\n"), LW_FRAME_LOST, 2, 0 },
	{ TEXT("1 ;a\r\n"), LW_FRAME_LOST, 2, 0 },
	{ TEXT("1\nx"), LW_FRAME_LOST, 2, 0 },
	{ TEXT("1\rx"), LW_FRAME_LOST, 3, 0 },
	{ TEXT("1;a\nx"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("1;a\0\r\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("1;a\x7f\r\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("1;a\rb\r\n"), LW_FRAME_LOST, 5, 0 },
	{ TEXT("1\r\nxy\r\n"), LW_FRAME_LOST, 5, 1 },
	{ TEXT("1\r\nx\n"), LW_FRAME_LOST, 5, 1 },
	{ TEXT("1\r\nx\r0"), LW_FRAME_LOST, 6, 1 },
	{ TEXT("1\r\nx0\r\n"), LW_FRAME_LOST, 5, 1 },
	{ TEXT("0\r\n\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("0\r\n\rx"), LW_FRAME_LOST, 5, 0 },
	{ TEXT("0\r\n a: b\r\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("0\r\n: b\r\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("0\r\n\xe4: b\r\n"), LW_FRAME_LOST, 4, 0 },
	{ TEXT("0\r\na : b\r\n"), LW_FRAME_LOST, 5, 0 },
	{ TEXT("0\r\nab\r\n"), LW_FRAME_LOST, 6, 0 },
	{ TEXT("0\r\na: b\n"), LW_FRAME_LOST, 8, 0 },
	{ TEXT("0\r\na: \0\r\n"), LW_FRAME_LOST, 7, 0 },
	{ TEXT("0\r\na: \x7f\r\n"), LW_FRAME_LOST, 7, 0 },
	{ TEXT("0\r\na: b\rx"), LW_FRAME_LOST, 9, 0 },
	{ TEXT("0\r\na: b\r\n c\r\n"), LW_FRAME_LOST, 10, 0 },
};

static void test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(chunked); i++)
		for (size_t piece = 1; piece <= chunked[i].len; piece++) {
			struct lw_frame f;
			uint64_t content;
			size_t taken = follow(&f, chunked[i].text, chunked[i].len, piece, &content);

			if (f.state != chunked[i].frame || taken != chunked[i].taken ||
			    content != chunked[i].content)
				fail_msg("'%s' by %zu: state %u, %zu bytes, content %llu",
					 chunked[i].text, piece, f.state, taken,
					 (unsigned long long)content);
		}
}

static void test_tokens(void **state)
{
	(void)state;
	for (unsigned b = 0; b < 256; b++)
		assert_int_equal(!!lw_is_token(b), !!lw_names_is_tchar(b));
}

static void test_skip(void **state)
{
	struct lw_frame f = { .state = LW_FRAME_LENGTH, .left = 5 };

	(void)state;
	assert_int_equal(lw_frame_skip(&f, 0), 0);
	assert_int_equal(lw_frame_skip(&f, 3), 3);
	assert_int_equal(f.state, LW_FRAME_LENGTH);
	assert_int_equal(lw_frame_skip(&f, 100), 2);
	assert_int_equal(f.state, LW_FRAME_HEAD);
	assert_int_equal(lw_frame_skip(&f, 100), 0);
	f = (struct lw_frame){ .state = LW_FRAME_LENGTH, .left = 999999999999999999ull };
	assert_int_equal(lw_frame_skip(&f, UINT32_MAX), UINT32_MAX);
	assert_true(f.left == 999999999999999999ull - UINT32_MAX);
	f = (struct lw_frame){ .state = LW_FRAME_CLOSE };
	assert_int_equal(lw_frame_skip(&f, 100), 100);
	assert_int_equal(f.state, LW_FRAME_CLOSE);
	f = (struct lw_frame){ .state = LW_FRAME_LOST };
	assert_int_equal(lw_frame_skip(&f, 100), 100);
	f = (struct lw_frame){ .state = LW_FRAME_CHUNKED };
	assert_int_equal(lw_frame_skip(&f, 100), 0);
	f = (struct lw_frame){ .state = LW_FRAME_CHUNKED, .chunk = LW_CHUNK_DATA, .left = 2 };
	lw_chunk_byte(&f, 'x'); /* chunk data is not for it */
	assert_int_equal(f.state, LW_FRAME_LOST);
}

/* The longest head there may be. */
static void test_long_head(void **state)
{
	static char text[LW_HEAD_MAX];

	(void)state;
	memset(text, 'a', sizeof(text));
	memcpy(text, GET "User-Agent: ", sizeof(GET "User-Agent: ") - 1);
	memcpy(text + sizeof(text) - 4, "\r\n\r\n", 4);
	scan(text, sizeof(text), 0);
	assert_int_equal(head.scan.state, LW_SCAN_DONE);
	assert_int_equal(head.scan.pos, LW_HEAD_MAX);
	assert_int_equal(head.caps.at[0].value_len,
			 LW_HEAD_MAX - sizeof(GET "User-Agent: ") + 1 - 4);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_captures),
		cmocka_unit_test(test_captures_full),
		cmocka_unit_test(test_value_ends),
		cmocka_unit_test(test_plain_bytes),
		cmocka_unit_test(test_closes),
		cmocka_unit_test(test_responses),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_frame_request),
		cmocka_unit_test(test_frame_response),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_skip),
		cmocka_unit_test(test_long_head),
	};

	return !!cmocka_run_group_tests_name("http", tests, setup, NULL);
}
