/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The direct path on real sockets, byte by byte: which pod a request goes to, what it looks like
 * there, and what comes back.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <cmocka.h>

#include "kern/internal.h"
#include "laneway/reasons.h"
#include "lw_lanes.skel.h"
#include "../harness/lab.h"
#include "both_ways.h"
#include "turns.h"
#include "two_pods.h"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

static void base_request_is_untouched(void **state)
{
	int c = lab_connect(LAB_BASE, LAB_PORT), b = lab_accept(base, c);
	struct lw_flow f;

	(void)state;
	lab_send(c, BASE_REQUEST);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.requests, 1);
	assert_int_equal(f.route, LW_ROUTE_PEER);
	close(c);
	close(b);
}

static void requests_alternate_on_one_connection(void **state)
{
	int c = lab_connect(LAB_BASE, LAB_PORT), b = lab_accept(base, c), g = -1;

	(void)state;
	for (int i = 0; i < 5; i++) {
		lab_send(c, BASE_REQUEST);
		lab_expect(b, BASE_REQUEST);
		lab_send(b, OK(4, "base"));
		lab_expect(c, OK(4, "base"));

		lab_send(c, GRAY_REQUEST);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, GRAY_TAGGED);
		lab_expect_nothing(b);
		lab_send(g, OK(4, "gray"));
		lab_expect(c, OK(4, "gray"));
	}
	close(c);
	lab_expect_eof(g);
	lab_expect_eof(b);
	close(g);
	close(b);
}

static void tagged_request_goes_as_it_is(void **state)
{
	static const char *const spellings[] = { "x-mse-tag: gray", "X-Mse-Tag:gray",
						 "X-MSE-TAG: \t gray  " };
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < 3; i++) {
		char req[256];

		snprintf(req, sizeof(req), "GET / HTTP/1.1\r\nHost: w\r\n%s\r\n\r\n", spellings[i]);
		lab_send(c, req);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, req);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	lab_expect_nothing(b);
	close(c);
	close(g);
	close(b);
}

static void other_values_are_base(void **state)
{
	static const char *const reqs[] = {
		"GET / HTTP/1.1\r\nx-mse-tag: blue\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-tag: grayer\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-tag:\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-tags: gray\r\n\r\n",
		"GET / HTTP/1.1\r\nx-mse-ta: gray\r\n\r\n",
		"GET / HTTP/1.1\r\nUser-Agent: xiaoming2\r\n\r\n",
		"GET / HTTP/1.1\r\nUser-Agent: Xiaoming\r\n\r\n",
		"GET / HTTP/1.1\r\nUser-Agen: xiaoming\r\n\r\n",
		"GET / HTTP/1.1\r\nA: User-Agent: xiaoming\r\n\r\n",
		/* the first header of a name decides */
		"GET / HTTP/1.1\r\nUser-Agent: x\r\nUser-Agent: xiaoming\r\n\r\n",
	};
	int c, b;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < sizeof(reqs) / sizeof(reqs[0]); i++) {
		lab_send(c, reqs[i]);
		lab_expect(b, reqs[i]);
		lab_send(b, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	close(c);
	close(b);
}

/* Whatever a test left behind is gone before the next: a failure stays its own. */
static void untagged_leaves_the_gray_pod(void **state)
{
	int c = lab_connect(LAB_GRAY, LAB_PORT), g = lab_accept(gray, c), b,
	    base2 = lab_listen(LAB_BASE2);
	struct lw_flow f;

	(void)state;
	lab_send(c, BASE_REQUEST);
	/* either base pod, in turn */
	lab_expect_nothing(g);
	while (!lab_flow(c, &f) || !f.ups[f.up].up)
		;
	b = lab_accept_request(f.ups[f.up].addr.ip[15] == 11 ? base : base2);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	lab_expect_nothing(b);
	close(c);
	lab_expect_eof(b);
	close(b);
	close(g);
	lab_unlisten(base2);
}

static void gray_pods_own_requests_are_gray(void **state)
{
	int c = lab_connect_from(LAB_GRAY, LAB_BASE, LAB_PORT), b = lab_accept(base, c), g;
	struct lw_flow f;

	(void)state;
	lab_send(c, BASE_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, "GET /a HTTP/1.1\r\nx-mse-tag:        gray\r\nHost: w\r\n\r\n");
	lab_expect_nothing(b);
	lab_send(g, OK(0, ""));
	lab_expect(c, OK(0, ""));
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_POD);
	close(c);
	close(g);
	close(b);
}

static void cluster_ip_becomes_a_pod(void **state)
{
	int base2 = lab_listen(LAB_BASE2), c = lab_connect(LAB_VIP, LAB_VIP_PORT), b, g = -1;
	struct sockaddr_in a;
	socklen_t len = sizeof(a);
	struct lw_flow f;

	(void)state;
	assert_int_equal(getpeername(c, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(a.sin_addr.s_addr, inet_addr(LAB_VIP));
	assert_int_equal(ntohs(a.sin_port), LAB_VIP_PORT);
	assert_true(lab_flow(c, &f));
	b = lab_accept(f.peer.ip[15] == 11 ? base : base2, c);
	base_turn(c, b);
	gray_turn(c, gray, &g);
	close(c);
	close(b);
	close(g);
	lab_unlisten(base2);
}

static void pump(int c, int s, const char *data, size_t n);

struct exchange {
	const char *request, *at_gray, *response;
};

/* Every kind of framing, through the gray pod; after each the connection still knows where it is. */
static void framing_through_gray(void **state)
{
	static const struct exchange ex[] = {
		{ "POST /p HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 5\r\n\r\nhello",
		  "POST /p HTTP/1.1\r\n" TAG
		  "User-Agent: xiaoming\r\nContent-Length: 5\r\n\r\nhello",
		  OK(2, "ok") },
		{ "POST /p HTTP/1.1\r\nUser-Agent: xiaoming\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: 1\r\nU: GET / HTTP/1.1\r\n\r\n",
		  "POST /p HTTP/1.1\r\n" TAG
		  "User-Agent: xiaoming\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\nA\r\n0123456789\r\n0\r\nT: 1\r\nU: GET / HTTP/1.1\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n0\r\nA: b\r\n\r\n" },
		{ "HEAD /h HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n",
		  "HEAD /h HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n",
		  "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" },
		{ "GET /n HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET /n HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n",
		  "HTTP/1.1 204 No Content\r\n\r\n" },
		{ "GET /m HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET /m HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n",
		  "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n" },
		{ "GET /e HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET /e HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n",
		  "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" OK(
			  3, "end") },
		{ "GET /0 HTTP/1.0\r\nUser-Agent: xiaoming\r\nConnection: keep-alive\r\n\r\n",
		  "GET /0 HTTP/1.0\r\n" TAG
		  "User-Agent: xiaoming\r\nConnection: keep-alive\r\n\r\n",
		  "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx" },
	};
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < sizeof(ex) / sizeof(ex[0]); i++) {
		lab_send(c, ex[i].request);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, ex[i].at_gray);
		lab_send(g, ex[i].response);
		lab_expect(c, ex[i].response);
		base_turn(c, b);
	}
	/* and with the response byte by byte, the request in pieces */
	for (size_t i = 0; i < sizeof(ex) / sizeof(ex[0]); i++) {
		size_t n = strlen(ex[i].request), half = n / 2;

		lab_send_n(c, ex[i].request, half);
		lab_send_n(c, ex[i].request + half, n - half);
		lab_expect(g, ex[i].at_gray);
		for (const char *p = ex[i].response; *p; p++) {
			char got;

			lab_send_n(g, p, 1);
			lab_recv_n(c, &got, 1);
			assert_int_equal(got, *p);
		}
		base_turn(c, b);
	}
	lab_expect_nothing(g);
	close(c);
	close(g);
	close(b);
}

static void heads_in_pieces(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t cut = 1; cut < strlen(GRAY_REQUEST); cut++) {
		lab_send_n(c, GRAY_REQUEST, cut);
		lab_send(c, &GRAY_REQUEST[cut]);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, GRAY_TAGGED);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
	}
	for (const char *p = BASE_REQUEST; *p; p++)
		lab_send_n(c, p, 1);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(0, ""));
	lab_expect(c, OK(0, ""));
	for (const char *p = GRAY_REQUEST; *p; p++)
		lab_send_n(c, p, 1);
	lab_expect(g, GRAY_TAGGED);
	lab_expect_nothing(b);
	close(c);
	close(g);
	close(b);
}

/* A head of n bytes with the wanted header at its end. */
static char *long_head(size_t n)
{
	static const char start[] = "GET / HTTP/1.1\r\nX: ",
			  end[] = "\r\nUser-Agent: xiaoming\r\n\r\n";
	char *h = malloc(n + 1);

	memset(h, 'a', n);
	memcpy(h, start, sizeof(start) - 1);
	memcpy(h + n - (sizeof(end) - 1), end, sizeof(end));
	return h;
}

static void heads_up_to_16k(void **state)
{
	static const size_t sizes[] = { 100,  1023, 1024,  2047,  2048, 2049,
					4096, 8191, 16000, 16383, 16384 };
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *h = long_head(sizes[i]), *want = malloc(sizes[i] + 64);

		snprintf(want, sizes[i] + 64, "GET / HTTP/1.1\r\n" TAG "%s", h + 16);
		lab_send(c, h);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, want);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
		free(h);
		free(want);
	}
	close(c);
	close(g);
	close(b);
}

#define TAGS_8 TAG TAG TAG TAG TAG TAG TAG TAG

/* Each makes the connection opaque: it stays with the base pod, byte for byte, whatever follows. */
static void doubt_is_opaque(void **state)
{
	static const struct {
		const char *bytes;
		unsigned int reason;
	} rows[] = {
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: 1, 1\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: 0x1\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length:\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nContent-Length: 9999999999999999999\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nA: b\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\nA: \x01\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\r\n: b\r\n\r\n", LW_REASON_OPAQUE_MALFORMED },
		{ "GET / HTTP/1.1\n\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "GET / HTTP/2.0\r\n\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "GET  / HTTP/1.1\r\n\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "get / HTTP/1.1\r\n\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "\x16\x03\x01\x02", LW_REASON_OPAQUE_NOT_HTTP },
		{ "*1\r\n$4\r\nPING\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "\r\nGET / HTTP/1.1\r\n\r\n", LW_REASON_OPAQUE_NOT_HTTP },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello",
		  LW_REASON_OPAQUE_MALFORMED },
		{ "CONNECT a:1 HTTP/1.1\r\n\r\n", LW_REASON_OPAQUE_UPGRADE },
		/* one line more than are kept, and it might contradict them */
		{ "GET / HTTP/1.1\r\n" TAGS_8 TAGS_8 TAGS_8 TAGS_8 TAG "\r\n",
		  LW_REASON_OPAQUE_MALFORMED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint64_t before = lab_count(rows[i].reason);
		struct lw_flow f;
		int c, b;

		open_pair(LAB_BASE, base, &c, &b);
		lab_send(c, rows[i].bytes);
		lab_expect(b, rows[i].bytes);
		/* now, not because of what follows */
		assert_true(lab_flow(c, &f));
		if (!(f.flags & LW_FLOW_OPAQUE) || f.reason != rows[i].reason)
			print_error("row %zu '%s': flags %x reason %u\n", i, rows[i].bytes, f.flags,
				    f.reason);
		assert_true(f.flags & LW_FLOW_OPAQUE);
		assert_int_equal(f.reason, rows[i].reason);
		assert_int_equal(lab_count(rows[i].reason), before + 1);
		lab_send(c, GRAY_REQUEST);
		lab_expect(b, GRAY_REQUEST);
		close(c);
		close(b);
	}
}

/* Nobody knows where the gray pod's response ended. What follows from the client is base's, and what follows from that pod nobody's. */
static void doubt_behind_a_doubtful_response(void **state)
{
	static const char doubtful[] = "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok";
	uint64_t lost = lab_count(LW_REASON_RESPONSE_LOST);
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, doubtful);
	lab_expect(c, doubtful);
	lab_send(c, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	lab_expect(b, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	assert_int_equal(lab_count(LW_REASON_RESPONSE_LOST), lost + 1);
	(void)send(g, "late", 4, MSG_NOSIGNAL);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	close(c);
	close(b);
	close(g);
}

/* All of whole requests with a body of n bytes each, one behind the other, until one is taken in part: so much is left of it. */
static size_t send_until_in_part(int c, const char *request, size_t n, int *requests)
{
	for (*requests = 1; *requests < LW_PIPELINE_MAX; ++*requests) {
		ssize_t k = send(c, request, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (k < 0) /* none of it: the one before was the last */
			return 0;
		if ((size_t)k < n)
			return n - (size_t)k;
	}
	return 0;
}

/*
 * The agent is told to end. What is left of a request goes where it began, also where the kernel took its last send in part; so does one
 * that comes before the answer to another has; and all others are the own peer's.
 */
static void the_agent_is_told_to_end(void **state)
{
	enum { BODY = 400000 };
	struct lw_config *config = lab_kern()->config;
	int c, b, g = -1, small = 64 << 10, n;
	char head[128], *request = malloc(BODY + sizeof(head)), *got = malloc(BODY + sizeof(head));
	size_t len, left;
	struct lw_flow f;

	(void)state;
	assert_int_equal(setsockopt(gray, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	len = (size_t)snprintf(head, sizeof(head),
			       "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n",
			       BODY);
	memcpy(request, head, len);
	memset(request + len, 'x', BODY);
	len += BODY;
	left = send_until_in_part(c, request, len, &n);
	assert_in_range(left, 1, len - 1);
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.frame.state, LW_FRAME_HEAD);

	config->flags |= LW_CONF_STOPPED;
	for (int i = 0; i < n - 1; i++) {
		lab_recv_n(g, got, len);
		assert_memory_equal(got, request, len);
	}
	lab_send_n(c, request + len - left, left);
	lab_recv_n(g, got, len);
	assert_memory_equal(got, request, len);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_expect_nothing(b);
	for (int i = 0; i < n + 1; i++)
		lab_send(g, OK(4, "gray"));
	for (int i = 0; i < n + 1; i++)
		lab_recv_n(c, got, sizeof(OK(4, "gray")) - 1);
	lab_send(c, GRAY_REQUEST);
	lab_expect(b, GRAY_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	config->flags &= ~(uint32_t)LW_CONF_STOPPED;
	close(c);
	close(b);
	close(g);
	lab_unlisten(gray);
	gray = lab_listen(LAB_GRAY);
	free(request);
	free(got);
}

static void head_over_16k_is_opaque(void **state)
{
	char *h = long_head(16385), *got = malloc(16385);
	struct lw_flow f;
	int c, b;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, h);
	lab_recv_n(b, got, 16385);
	assert_memory_equal(got, h, 16385);
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, LW_REASON_OPAQUE_HEAD_SIZE);
	close(c);
	close(b);
	free(h);
	free(got);
}

static void pipelining(void **state)
{
	struct lw_flow f;
	int c, b, g = -1;

	(void)state;
	/* in one lane: goes on */
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, BASE_REQUEST BASE_REQUEST BASE_REQUEST);
	lab_expect(b, BASE_REQUEST BASE_REQUEST BASE_REQUEST);
	lab_send(b, OK(1, "1") OK(1, "2") OK(1, "3"));
	lab_expect(c, OK(1, "1") OK(1, "2") OK(1, "3"));
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED GRAY_TAGGED);
	lab_send(g, OK(1, "1") OK(1, "2"));
	lab_expect(c, OK(1, "1") OK(1, "2"));
	base_turn(c, b);
	/* across lanes: stays where it is */
	lab_send(c, BASE_REQUEST GRAY_REQUEST);
	lab_expect(b, BASE_REQUEST GRAY_REQUEST);
	lab_expect_nothing(g);
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, LW_REASON_OPAQUE_PIPELINED);
	close(c);
	close(b);
	close(g);

	/* likewise on the gray side */
	g = -1;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_send(c, BASE_REQUEST);
	lab_expect(g, BASE_REQUEST);
	lab_expect_nothing(b);
	lab_send(g, OK(1, "1") OK(1, "2"));
	lab_expect(c, OK(1, "1") OK(1, "2"));
	close(c);
	close(b);
	close(g);

	/* more than can be followed: what comes on top goes there as it is */
	g = -1;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	for (int i = 0; i < LW_PIPELINE_MAX; i++) {
		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
	}
	assert_true(lab_flow(c, &f));
	assert_false(f.flags & LW_FLOW_OPAQUE);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_REQUEST);
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.reason, LW_REASON_OPAQUE_PIPELINED);
	close(c);
	close(b);
	close(g);
}

static void upgrade_stays_on_its_route(void **state)
{
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(
		c,
		"GET /ws HTTP/1.1\r\nUser-Agent: xiaoming\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	g = lab_accept_request(gray);
	lab_expect(g, "GET /ws HTTP/1.1\r\n" TAG
		      "User-Agent: xiaoming\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	lab_send(g, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	lab_expect(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	lab_send(c, "GE");
	lab_expect(g, "GE");
	lab_send(c, "\x81\x02ho");
	lab_expect(g, "\x81\x02ho");
	lab_send(g, "more");
	lab_expect(c, "more");
	lab_expect_nothing(b);
	close(g);
	lab_expect_eof(c);
	close(c);
	close(b);

	/* refused: an ordinary response, an ordinary connection */
	g = -1;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(
		c,
		"GET /ws HTTP/1.1\r\nUser-Agent: xiaoming\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	g = lab_accept_request(gray);
	lab_expect(g, "GET /ws HTTP/1.1\r\n" TAG
		      "User-Agent: xiaoming\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
	lab_send(g, OK(2, "no"));
	lab_expect(c, OK(2, "no"));
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
}

/* Another protocol may say what looks like a request, even one of base: it is for who speaks that protocol. */
static void request_in_a_tunnel(void **state)
{
	static const char upgrade[] =
		"GET /ws HTTP/1.1\r\nx-mse-tag: gray\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
	static const char switching[] =
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n";
	uint64_t before = lab_count(LW_REASON_OPAQUE_RESPONSE);
	struct lw_flow f;
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, upgrade);
	lab_expect(g, upgrade);
	lab_send(g, switching);
	lab_expect(c, switching);
	for (int i = 0; i < 2; i++) {
		lab_send(c, BASE_REQUEST);
		lab_expect(g, BASE_REQUEST);
	}
	lab_expect_nothing(b);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	assert_true(lab_flow(c, &f));
	assert_true(f.flags & LW_FLOW_OPAQUE);
	assert_int_equal(f.reason, LW_REASON_OPAQUE_RESPONSE);
	assert_int_equal(lab_count(LW_REASON_OPAQUE_RESPONSE), before + 1);
	close(c);
	close(b);
	close(g);
}

/* Behind CONNECT all is the tunnel's, whatever the answer says of a length (RFC 9110 9.3.6), and whoever speaks first. */
static void connect_is_a_tunnel_at_once(void **state)
{
	(void)state;
	for (int with_up = 0; with_up < 2; with_up++) {
		int c, b, g = -1;

		open_pair(LAB_BASE, base, &c, &b);
		if (with_up)
			gray_turn(c, gray, &g);
		lab_send(c, "CONNECT a:1 HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n");
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, "CONNECT a:1 HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n");
		lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
		lab_send(g, "220 ready");
		lab_expect(c, "220 ready");
		lab_send(c, "HELO");
		lab_expect(g, "HELO");
		close(c);
		close(b);
		close(g);
	}
}

static void end_of_file_ends_the_response(void **state)
{
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
	close(g);
	lab_expect(c, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
	lab_expect_eof(c);
	close(c);
	close(b);
}

/* The end of file comes behind the last byte, however the packets fall and however slow the reader is. */
static void end_of_file_behind_many_bytes(void **state)
{
	static const size_t sizes[] = { 1, 1000, 65536, 100000, 1000003, 5000000, 9000001 };
	char *body = lab_noise(9000001, 11);

	(void)state;
	for (size_t round = 0; round < 3; round++)
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			int c, b, g;

			open_pair(LAB_BASE, base, &c, &b);
			lab_send(c, GRAY_REQUEST);
			g = lab_accept_request(gray);
			lab_expect(g, GRAY_TAGGED);
			lab_send(g, "HTTP/1.1 200 OK\r\n\r\n");
			lab_expect(c, "HTTP/1.1 200 OK\r\n\r\n");
			if (sizes[i] > 60000)
				pump(g, c, body, sizes[i] - 60000);
			lab_send_n(g, body + (sizes[i] > 60000 ? sizes[i] - 60000 : 0),
				   sizes[i] > 60000 ? 60000 : sizes[i]);
			close(g);
			char *got = malloc(60000);

			lab_recv_n(c, got, sizes[i] > 60000 ? 60000 : sizes[i]);
			lab_expect_eof(c);
			free(got);
			close(c);
			close(b);
		}
	free(body);
}

/* The agent looks for the socket in the process that connected; where it is not, the client is not left waiting. */
static void end_of_file_in_another_process(void **state)
{
	int c, b, g, status;
	pid_t reader;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	reader = fork();
	assert_true(reader >= 0);
	if (!reader) {
		struct pollfd p = { .fd = c, .events = POLLIN };
		char buf[64];
		ssize_t n, sum = 0;

		/* or they stay open */
		close(b);
		close(g);
		do {
			n = poll(&p, 1, lab_patience_ms(10000)) == 1 ?
				    recv(c, buf, sizeof(buf), 0) :
				    0;
			sum += n > 0 ? n : 0;
		} while (n > 0);
		if (!n && !p.revents)
			_exit(3);
		_exit(sum != sizeof("HTTP/1.1 200 OK\r\n\r\nall of it") - 1 ?
			      2 :
			      n < 0 && errno == ECONNABORTED);
	}
	close(c);
	lab_send(g, "HTTP/1.1 200 OK\r\n\r\nall of it");
	close(g);
	assert_int_equal(waitpid(reader, &status, 0), reader);
	assert_true(WIFEXITED(status));
	/* a reset, behind all bytes, where nothing else can be put behind them (docs/limits.md) */
	assert_int_equal(WEXITSTATUS(status), lw_kern_mode(lab_kern()) == LW_KERN_MODE_MSG);
	close(b);
}

/* A client that has said all it has to say is still answered; the pod sees its end of file, too. */
static void half_close_by_the_client(void **state)
{
	char byte;
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	shutdown(c, SHUT_WR);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	lab_expect_eof(g);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	assert_int_equal(recv(c, &byte, 1, MSG_DONTWAIT), -1);
	close(g);
	close(b);
	close(c);
}

/* A response that announces the end of its connection brings it, behind its last byte, and so does one to a request that asked for it; others do not. */
static void announced_close_ends_the_connection(void **state)
{
	static const struct {
		const char *response;
		bool closes;
		const char *request, *tagged;
	} rows[] = {
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", true,
		  GRAY_REQUEST, GRAY_TAGGED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nconnection: x, Close\r\n\r\nok", true,
		  GRAY_REQUEST, GRAY_TAGGED },
		{ "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", true, GRAY_REQUEST,
		  GRAY_TAGGED },
		{ "HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", false,
		  GRAY_REQUEST, GRAY_TAGGED },
		{ "HTTP/1.1 200 OK\r\nConnection: closed\r\nContent-Length: 2\r\n\r\nok", false,
		  GRAY_REQUEST, GRAY_TAGGED },
		{ "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", false,
		  GRAY_REQUEST, GRAY_TAGGED },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true,
		  "GET / HTTP/1.0\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET / HTTP/1.0\r\n" TAG "User-Agent: xiaoming\r\n\r\n" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", true,
		  "GET / HTTP/1.1\r\nConnection: close\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET / HTTP/1.1\r\n" TAG "Connection: close\r\nUser-Agent: xiaoming\r\n\r\n" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false,
		  "GET / HTTP/1.0\r\nConnection: keep-alive\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET / HTTP/1.0\r\n" TAG
		  "Connection: keep-alive\r\nUser-Agent: xiaoming\r\n\r\n" },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", false,
		  "GET / HTTP/1.1\r\nX: close\r\nUser-Agent: xiaoming\r\n\r\n",
		  "GET / HTTP/1.1\r\n" TAG "X: close\r\nUser-Agent: xiaoming\r\n\r\n" },
	};

	(void)state;
	/* as the first request of its upstream socket, and as the second, which no agent has in its hands */
	for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++) {
		size_t row = i / 2;
		int c, b, g = -1;

		open_pair(LAB_BASE, base, &c, &b);
		if (i % 2)
			gray_turn(c, gray, &g);
		lab_send(c, rows[row].request);
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, rows[row].tagged);
		lab_send(g, rows[row].response);
		close(g);
		lab_expect(c, rows[row].response);
		if (rows[row].closes)
			lab_expect_eof(c);
		else
			base_turn(c, b);
		close(c);
		close(b);
	}
}

/*
 * The own peer has closed the connection, and the client, which has not seen it, asks for the lane: as without us it gets no answer, and no pod has done
 * what it asked.
 */
static void own_peer_has_closed(void **state)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_pair(LAB_BASE, base, &c, &b);
		g = -1;
		if (i)
			gray_turn(c, gray, &g);
		close(b);
		for (int ms = 0; ms < lab_patience_ms(5000); ms++) {
			assert_int_equal(getsockopt(c, IPPROTO_TCP, TCP_INFO, &info, &len), 0);
			if (info.tcpi_state == BPF_TCP_CLOSE_WAIT)
				break;
			poll(NULL, 0, 1);
		}
		assert_int_equal(info.tcpi_state, BPF_TCP_CLOSE_WAIT);
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.requests, i);
		lab_send(c, GRAY_REQUEST);
		/* for no pod: it is not so much as looked at */
		if (lab_flow(c, &f))
			assert_int_equal(f.requests, i);
		lab_expect_eof(c);
		/* its upstream socket goes with the connection, and no byte has come there */
		if (i)
			lab_expect_eof(g);
		close(c);
		if (i)
			close(g);
	}
}

/* The first request is with the agent yet when the second comes: both are answered, in order. */
static void pipelined_behind_a_punt(void **state)
{
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	/* tagged where a socket was ready, else behind the first as it is */
	char got[sizeof(GRAY_TAGGED)] = "";

	lab_recv_n(g, got, sizeof(GRAY_REQUEST) - 1);
	if (strstr(got, "x-mse-tag"))
		lab_recv_n(g, got, sizeof(GRAY_TAGGED) - sizeof(GRAY_REQUEST));
	lab_send(g, OK(1, "1") OK(1, "2"));
	lab_expect(c, OK(1, "1") OK(1, "2"));
	close(c);
	close(b);
	close(g);
}

/* What one send left behind in the kernel must not hold back or mislead a later, smaller one. */
static void sends_of_all_sizes_after_a_split_head(void **state)
{
	char *body = lab_noise(3000, 5), head[1200];
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (size_t cut = 1; cut < 600; cut += 37) {
		for (size_t piece = 1; piece < 600; piece += 113) {
			size_t n = (size_t)snprintf(
				head, sizeof(head),
				"POST / HTTP/1.1\r\nContent-Length: 500\r\nX: %0550d\r\n\r\n", 1);

			lab_send_n(c, head, cut);
			lab_send_n(c, head + cut, n - cut);
			for (size_t at = 0; at < 500; at += piece)
				lab_send_n(c, body + at, 500 - at < piece ? 500 - at : piece);
			lab_expect(b, head);
			char got[500];

			lab_recv_n(b, got, sizeof(got));
			assert_memory_equal(got, body, sizeof(got));
			lab_send(b, OK(0, ""));
			lab_expect(c, OK(0, ""));
		}
		gray_turn(c, gray, &g);
	}
	close(c);
	close(b);
	close(g);
	free(body);
}

static void cut_off_response_is_reset(void **state)
{
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	close(g);
	lab_expect_reset(c);
	close(c);
	close(b);
}

static void idle_upstream_may_close(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	for (int i = 0; i < 3; i++) {
		gray_turn(c, gray, &g);
		close(g);
		g = -1;
		lab_wait_ups_ended(c);
		base_turn(c, b);
	}
	close(c);
	close(b);
}

static void unasked_bytes_reach_nobody(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(g, "HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
	close(g);
	g = -1;
	lab_wait_ups_ended(c);
	base_turn(c, b);
	gray_turn(c, gray, &g);
	close(c);
	close(b);
	close(g);
}

/* What is behind an answer, in one send with it, is dropped; what may come behind that is not to be the next one's. */
static void surplus_ends_its_connection(void **state)
{
	int c, b, g = -1, next = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, OK(4, "gray") "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	lab_expect(c, OK(4, "gray"));
	gray_turn(c, gray, &next);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	close(next);
}

/*
 * A pod that answers what it has not read: its connection is full. A head that it took in part, or not at all, would come a second time
 * without what was put in.
 */
static void full_upstream_socket_gets_no_head(void **state)
{
	static const char head[] =
		"POST /p HTTP/1.1\r\nHost: w\r\nx-mse-tag: gray\r\nContent-Length: 3000000\r\n\r\n";
	char *body = lab_noise(3000000, 7);
	int c, b, g = -1, next = -1, up, small = 4096, middle = 100000;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	/* more than goes past its connection, of which the pod reads nothing */
	assert_int_equal(setsockopt(g, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	lab_send(c, head);
	lab_send_n(c, body, 3000000);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	up = lab_upstream(c);
	assert_int_equal(setsockopt(up, SOL_SOCKET, SO_SNDBUF, &middle, sizeof(middle)), 0);
	close(up);
	assert_int_equal(send(c, GRAY_REQUEST, strlen(GRAY_REQUEST), MSG_DONTWAIT),
			 strlen(GRAY_REQUEST));
	next = lab_accept_request(gray);
	lab_expect(next, GRAY_TAGGED);
	lab_send(next, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	gray_turn(c, gray, &next);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	close(next);
	free(body);
}

static int find_bound(uint64_t cookie, const struct lw_up *up, void *arg)
{
	if (!up->down)
		return 0;
	*(uint64_t *)arg = cookie;
	return 1;
}

/* A map's element may be given to another socket while a program still looks at it: that one's client gets nothing. */
static void element_of_another(void **state)
{
	int fd = bpf_map__fd(lab_kern()->skel->maps.lw_ups), c, b, g = -1;
	uint64_t cookie = 0;
	struct lw_up up;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	assert_int_equal(lw_kern_each_up(lab_kern(), find_bound, &cookie), 1);
	lab_send(c, GRAY_REQUEST);
	lab_expect(g, GRAY_TAGGED);
	assert_int_equal(bpf_map_lookup_elem(fd, &cookie, &up), 0);
	assert_true(up.self == cookie);
	up.self++;
	assert_int_equal(bpf_map_update_elem(fd, &cookie, &up, BPF_EXIST), 0);
	lab_send(g, OK(4, "gray"));
	lab_expect_reset(c);
	close(c);
	close(b);
	close(g);
}

/* Likewise that of a connection, to which the agent gives an upstream socket as it ends: who has it now does not use that one. */
static void upstream_socket_of_another(void **state)
{
	int fd = bpf_map__fd(lab_kern()->skel->maps.lw_flows), c[2], b[2], g[2] = { -1, -1 },
	    other = -1;
	uint64_t down;
	socklen_t len = sizeof(down);
	struct lw_flow f[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		open_pair(LAB_BASE, base, &c[i], &b[i]);
		gray_turn(c[i], gray, &g[i]);
		assert_true(lab_flow(c[i], &f[i]));
	}
	f[1].ups[f[1].up & (LW_FLOW_UPS - 1)].up = f[0].ups[f[0].up & (LW_FLOW_UPS - 1)].up;
	assert_int_equal(getsockopt(c[1], SOL_SOCKET, SO_COOKIE, &down, &len), 0);
	assert_int_equal(bpf_map_update_elem(fd, &down, &f[1], BPF_EXIST), 0);
	gray_turn(c[1], gray, &other);
	lab_expect_nothing(g[0]);
	gray_turn(c[0], gray, &g[0]);
	for (int i = 0; i < 2; i++) {
		base_turn(c[i], b[i]);
		close(c[i]);
		close(b[i]);
		close(g[i]);
	}
	close(other);
}

static void refused_gray_falls_back(void **state)
{
	int c, b;

	(void)state;
	lab_unlisten(gray);
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	/* by way of the agent: a second connection to the base pod */
	int b2 = lab_accept_request(base);

	lab_expect(b2, GRAY_TAGGED);
	lab_send(b2, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	base_turn(c, b);
	gray = lab_listen(LAB_GRAY);
	int g = -1;

	gray_turn(c, gray, &g);
	close(c);
	close(b);
	close(b2);
	close(g);
}

/* Sends all of data on c without blocking while reading it from s, slowly at first; compares. */
static void pump(int c, int s, const char *data, size_t n)
{
	char *got = malloc(n);
	size_t out = 0, in = 0;

	while (in < n) {
		ssize_t k;

		while (out < n && (k = send(c, data + out, n - out > 300000 ? 300000 : n - out,
					    MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
			out += (size_t)k;
		k = recv(s, got + in, n - in > 70000 ? 70000 : n - in, out < n ? MSG_DONTWAIT : 0);
		if (k > 0)
			in += (size_t)k;
	}
	assert_memory_equal(got, data, n);
	free(got);
}

/* Sends that the kernel takes only in part must not lose the place in the body. */
static void big_bodies_in_part(void **state)
{
	enum { N = 12000000 };
	char *body = lab_noise(N, 7), head[128];
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	for (int round = 0; round < 2; round++) {
		snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nContent-Length: %d\r\n\r\n", N);
		lab_send(c, head);
		lab_expect(b, head);
		pump(c, b, body, N);
		lab_send(b, OK(0, ""));
		lab_expect(c, OK(0, ""));
		gray_turn(c, gray, &g);

		snprintf(head, sizeof(head),
			 "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n", N);
		lab_send(c, head);
		lab_expect(g, head);
		pump(c, g, body, N);
		lab_send(g, OK(0, ""));
		lab_expect(c, OK(0, ""));
		base_turn(c, b);

		/* responses */
		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", N);
		lab_send(g, head);
		lab_expect(c, head);
		pump(g, c, body, N);
		base_turn(c, b);
	}
	assert_true(lab_flow(c, &f));
	assert_false(f.flags & LW_FLOW_OPAQUE);
	close(c);
	close(b);
	close(g);
	free(body);
}

static void many_chunks(void **state)
{
	enum { CHUNKS = 3000 };
	char *body = malloc(CHUNKS * 64), *noisy = lab_noise(32, 3);
	size_t n = 0;
	int c, b, g = -1;

	(void)state;
	for (int i = 0; i < CHUNKS; i++) {
		int len = 1 + i % 31;

		n += (size_t)sprintf(body + n, "%x\r\n", len);
		memcpy(body + n, noisy, (size_t)len);
		n += (size_t)len;
		n += (size_t)sprintf(body + n, "\r\n");
	}
	n += (size_t)sprintf(body + n, "0\r\n\r\n");
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	for (int i = 0; i < 2; i++) {
		static const char plain[] = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
		static const char tagged[] =
			"POST / HTTP/1.1\r\nx-mse-tag: gray\r\nTransfer-Encoding: chunked\r\n\r\n";

		lab_send(c, plain);
		lab_expect(b, plain);
		pump(c, b, body, n);
		lab_send(b, OK(0, ""));
		lab_expect(c, OK(0, ""));
		lab_send(c, tagged);
		lab_expect(g, tagged);
		pump(c, g, body, n);
		lab_send(g, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		lab_expect(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
		pump(g, c, body, n);
		base_turn(c, b);
	}
	close(c);
	close(b);
	close(g);
	free(body);
	free(noisy);
}

/* Many connections at once, each with its own answers. */
static void answers_do_not_mix(void **state)
{
	enum { N = 64 };
	int c[N], b[N], g[N];

	(void)state;
	for (int i = 0; i < N; i++)
		open_pair(LAB_BASE, base, &c[i], &b[i]);
	for (int i = 0; i < N; i++) {
		char req[128], want[160];

		snprintf(req, sizeof(req), "GET /%d HTTP/1.1\r\nUser-Agent: xiaoming\r\n\r\n", i);
		snprintf(want, sizeof(want),
			 "GET /%d HTTP/1.1\r\n" TAG "User-Agent: xiaoming\r\n\r\n", i);
		lab_send(c[i], req);
		g[i] = lab_accept_request(gray);
		lab_expect(g[i], want);
	}
	for (int i = N - 1; i >= 0; i--) {
		char res[64];

		snprintf(res, sizeof(res), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d", i);
		lab_send(g[i], res);
	}
	for (int i = 0; i < N; i++) {
		char res[64];

		snprintf(res, sizeof(res), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d", i);
		lab_expect(c[i], res);
		close(c[i]);
	}
	for (int i = 0; i < N; i++) {
		lab_expect_eof(g[i]);
		close(g[i]);
		close(b[i]);
	}
}

/* One request a connection: the pool fills with demand, and its sockets are each used once. */
static void pool_serves_connections_in_a_row(void **state)
{
	enum { N = 200 };
	uint64_t before = lab_count(LW_REASON_POOL_EMPTY), punted, used[N];

	(void)state;
	for (int i = 0; i < N; i++) {
		struct lw_flow f;
		int c, b, g = -1;

		open_pair(LAB_BASE, base, &c, &b);
		gray_turn(c, gray, &g);
		assert_true(lab_flow(c, &f));
		used[i] = f.ups[f.up].up;
		assert_true(used[i]);
		for (int k = 0; k < i; k++)
			assert_true(used[i] != used[k]);
		close(c);
		close(b);
		close(g);
	}
	punted = lab_count(LW_REASON_POOL_EMPTY) - before;
	print_message("%d connections, %d by the agent\n", N, (int)punted);
	/* a handful, while the pool learns what is asked of it; more where an agent has little of a slow machine */
	assert_true(punted < N / 2);
}

/* Marks the sockets that wait in pools as ended, as lw_sockops does. How many; cookies of the first n in marked. */
static size_t end_pooled(uint64_t *marked, size_t n)
{
	struct lw_lanes_bpf *s = lab_kern()->skel;
	int pools = bpf_map__fd(s->maps.lw_pools), ups = bpf_map__fd(s->maps.lw_ups);
	struct lw_pool_key key, *at = NULL;
	struct lw_pool pool;
	struct lw_up up;
	size_t found = 0;

	for (; !bpf_map_get_next_key(pools, at, &key); at = &key) {
		if (bpf_map_lookup_elem(pools, &key, &pool))
			continue;
		for (size_t k = 0; k < LW_POOL_SLOTS; k++) {
			if (!pool.up[k] || bpf_map_lookup_elem(ups, &pool.up[k], &up))
				continue;
			up.flags |= LW_UP_DEAD;
			assert_int_equal(bpf_map_update_elem(ups, &pool.up[k], &up, BPF_EXIST), 0);
			assert_in_range(found, 0, n - 1);
			marked[found++] = pool.up[k];
		}
	}
	return found;
}

/* Its pod has ended it, which the agent does not know yet. */
static void ended_socket_of_the_pool_is_passed_over(void **state)
{
	uint64_t marked[LW_POOL_SLOTS * 4];
	size_t n = 0;

	(void)state;
	for (int i = 0; !n; i++) {
		struct lw_flow f;
		int c, b, g = -1;

		assert_in_range(i, 0, 10000);
		open_pair(LAB_BASE, base, &c, &b);
		/* demand fills the pool */
		n = end_pooled(marked, sizeof(marked) / sizeof(marked[0]));
		gray_turn(c, gray, &g);
		assert_true(lab_flow(c, &f));
		for (size_t k = 0; k < n; k++)
			assert_true(f.ups[f.up].up != marked[k]);
		close(c);
		close(b);
		close(g);
	}
}

static void begin_a_body(int *c, int *b, int *g)
{
	static const char half[] =
		"PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: 8\r\n\r\nhalf";

	*g = -1;
	open_pair(LAB_BASE, base, c, b);
	/* or the request would be with the agent, not on an upstream socket */
	gray_turn(*c, gray, g);
	lab_send(*c, half);
	lab_expect(*g, half);
}

/* Its upstream socket has gone with the agent whose it was, in the middle of a request: there is nowhere right for the rest. */
static void rest_of_a_body_is_refused(int c, int b, int g)
{
	uint64_t before = lab_count(LW_REASON_UP_LOST);

	lab_expect_eof(g);
	close(g);
	lab_wait_ups_ended(c);
	assert_int_equal(send(c, "rest", 4, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EACCES);
	assert_int_equal(lab_count(LW_REASON_UP_LOST), before + 1);
	lab_expect_nothing(b);
	close(c);
	close(b);
}

static void base_goes_on_without_the_agent(void **state)
{
	uint64_t redirects;
	int c, b, g = -1, half_c, half_b, half_g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	begin_a_body(&half_c, &half_b, &half_g);
	lab_kill_agent();
	redirects = lab_count(LW_REASON_REDIRECT);
	lab_expect_eof(g);
	base_turn(c, b);
	/* first the hand-over to the agent fails, then its heartbeat is old: the own peer takes the request */
	while (lab_count(LW_REASON_AGENT_STALE) == 0) {
		lab_send(c, GRAY_REQUEST);
		lab_expect(b, GRAY_TAGGED);
		lab_send(b, OK(4, "base"));
		lab_expect(c, OK(4, "base"));
	}
	assert_true(lab_count(LW_REASON_REDIRECT) > redirects);
	close(c);
	close(b);
	rest_of_a_body_is_refused(half_c, half_b, half_g);
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
}

/*
 * The end of one send is held back, and its beginning was redirected: once it is whole it goes where it belongs, and not
 * where the beginning went. Both ways a first request takes: by the agent, and by an upstream socket that is there.
 */
static void held_back_behind_a_redirect(void **state)
{
	(void)state;
	for (int with_up = 0; with_up < 2; with_up++) {
		int c, b, g = -1;

		open_pair(LAB_BASE, base, &c, &b);
		if (with_up) {
			gray_turn(c, gray, &g);
			base_turn(c, b);
		}
		lab_send(c, GRAY_REQUEST "GET /a HT");
		if (g < 0)
			g = lab_accept_request(gray);
		lab_expect(g, GRAY_TAGGED);
		lab_send(g, OK(4, "gray"));
		lab_expect(c, OK(4, "gray"));
		lab_send(c, "TP/1.1\r\nHost: w\r\n\r\n");
		lab_expect(b, BASE_REQUEST);
		lab_expect_nothing(g);
		lab_send(b, OK(4, "base"));
		lab_expect(c, OK(4, "base"));
		close(c);
		close(b);
		close(g);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(base_request_is_untouched, lab_clean),
		cmocka_unit_test_teardown(requests_alternate_on_one_connection, lab_clean),
		cmocka_unit_test_teardown(tagged_request_goes_as_it_is, lab_clean),
		cmocka_unit_test_teardown(other_values_are_base, lab_clean),
		cmocka_unit_test_teardown(untagged_leaves_the_gray_pod, lab_clean),
		cmocka_unit_test_teardown(gray_pods_own_requests_are_gray, lab_clean),
		cmocka_unit_test_teardown(cluster_ip_becomes_a_pod, lab_clean),
		cmocka_unit_test_teardown(framing_through_gray, lab_clean),
		cmocka_unit_test_teardown(heads_in_pieces, lab_clean),
		cmocka_unit_test_teardown(heads_up_to_16k, lab_clean),
		cmocka_unit_test_teardown(doubt_is_opaque, lab_clean),
		cmocka_unit_test_teardown(doubt_behind_a_doubtful_response, lab_clean),
		cmocka_unit_test_teardown(head_over_16k_is_opaque, lab_clean),
		cmocka_unit_test_teardown(pipelining, lab_clean),
		cmocka_unit_test_teardown(upgrade_stays_on_its_route, lab_clean),
		cmocka_unit_test_teardown(request_in_a_tunnel, lab_clean),
		cmocka_unit_test_teardown(connect_is_a_tunnel_at_once, lab_clean),
		cmocka_unit_test_teardown(end_of_file_ends_the_response, lab_clean),
		cmocka_unit_test_teardown(own_peer_has_closed, lab_clean),
		cmocka_unit_test_teardown(announced_close_ends_the_connection, lab_clean),
		cmocka_unit_test_teardown(pipelined_behind_a_punt, lab_clean),
		cmocka_unit_test_teardown(sends_of_all_sizes_after_a_split_head, lab_clean),
		cmocka_unit_test_teardown(end_of_file_behind_many_bytes, lab_clean),
		cmocka_unit_test_teardown(end_of_file_in_another_process, lab_clean),
		cmocka_unit_test_teardown(half_close_by_the_client, lab_clean),
		cmocka_unit_test_teardown(cut_off_response_is_reset, lab_clean),
		cmocka_unit_test_teardown(idle_upstream_may_close, lab_clean),
		cmocka_unit_test_teardown(unasked_bytes_reach_nobody, lab_clean),
		cmocka_unit_test_teardown(surplus_ends_its_connection, lab_clean),
		cmocka_unit_test_teardown(full_upstream_socket_gets_no_head, lab_clean),
		cmocka_unit_test_teardown(element_of_another, lab_clean),
		cmocka_unit_test_teardown(upstream_socket_of_another, lab_clean),
		cmocka_unit_test_teardown(refused_gray_falls_back, lab_clean),
		cmocka_unit_test_teardown(big_bodies_in_part, lab_clean),
		cmocka_unit_test_teardown(many_chunks, lab_clean),
		cmocka_unit_test_teardown(answers_do_not_mix, lab_clean),
		cmocka_unit_test_teardown(pool_serves_connections_in_a_row, lab_clean),
		cmocka_unit_test_teardown(ended_socket_of_the_pool_is_passed_over, lab_clean),
		cmocka_unit_test_teardown(held_back_behind_a_redirect, lab_clean),
		cmocka_unit_test_teardown(the_agent_is_told_to_end, lab_clean),
		cmocka_unit_test_teardown(base_goes_on_without_the_agent, lab_clean),
	};

	return RUN_BOTH_WAYS("steer", tests, setup, lab_teardown);
}
