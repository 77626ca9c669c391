/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FIN guard: the own peer's close is kept from the client while a steered response is due, and only then.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "kern/internal.h"
#include "laneway/reasons.h"
#include "both_ways.h"
#include "locked.h"
#include "turns.h"

#define WAIT_MS lab_patience_ms(10000)

static int base, base2, gray;

static int setup(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){ .guard = true });
	base = lab_listen(LAB_BASE);
	base2 = lab_listen(LAB_BASE2);
	gray = lab_listen(LAB_GRAY);
	return 0;
}

static void reset(int fd)
{
	struct linger l = { .l_onoff = 1 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l)), 0);
	close(fd);
}

/* Waits until the guard has kept back more than `before` packets. */
static void wait_held(uint64_t before)
{
	for (int ms = 0; lab_count(LW_REASON_FIN_HELD) <= before; ms++) {
		assert_in_range(ms, 0, WAIT_MS);
		poll(NULL, 0, 1);
	}
}

/* Part of a steered response has come, and the own peer is gone. */
static void steered_with_peer_gone(int *c, int *g, bool rst)
{
	uint64_t before = lab_count(LW_REASON_FIN_HELD);
	struct lw_flow f;
	int b;

	open_pair(LAB_BASE, base, c, &b);
	base_turn(*c, b);
	lab_send(*c, GRAY_REQUEST);
	*g = lab_accept_request(gray);
	lab_expect(*g, GRAY_TAGGED);
	lab_send(*g, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	lab_expect(*c, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
	if (rst)
		reset(b);
	else
		close(b);
	wait_held(before);
	assert_true(lab_flow(*c, &f));
	assert_true(f.fin_held);
	lab_expect_nothing(*c);
	lab_send(*g, "def");
	lab_expect(*c, "def");
	lab_expect_nothing(*c);
}

static void fin_waits_for_the_response(void **state)
{
	int c, g;

	(void)state;
	steered_with_peer_gone(&c, &g, false);
	/* the peer's TCP repeats it, and it is kept back again */
	wait_held(lab_count(LW_REASON_FIN_HELD));
	lab_expect_nothing(c);
	lab_send(g, "ghi");
	lab_expect(c, "ghi");
	/* and once more, when it may pass */
	lab_expect_eof(c);
	close(c);
	lab_expect_eof(g);
	close(g);
}

static void fin_before_any_byte_of_the_response(void **state)
{
	uint64_t before = lab_count(LW_REASON_FIN_HELD);
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	close(b);
	wait_held(before);
	lab_expect_nothing(c);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, OK(4, "gray"));
	lab_expect(c, OK(4, "gray"));
	lab_expect_eof(c);
	close(c);
	close(g);
}

/* The request's body is still on its way, by the agent or not. */
static void fin_within_the_request(void **state)
{
	uint64_t before = lab_count(LW_REASON_FIN_HELD);
	int c, b, g;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, "PUT / HTTP/1.1\r\nUser-Agent: xiaoming\r\nContent-Length: 6\r\n\r\nabc");
	g = lab_accept_request(gray);
	close(b);
	wait_held(before);
	lab_send(c, "def");
	lab_expect(g, "PUT / HTTP/1.1\r\n" TAG
		      "User-Agent: xiaoming\r\nContent-Length: 6\r\n\r\nabcdef");
	lab_send(g, OK(2, "ok"));
	lab_expect(c, OK(2, "ok"));
	lab_expect_eof(c);
	close(c);
	close(g);
}

/* A reset comes once. The connection goes on without its peer: base requests have another base pod. */
static void reset_peer_is_done_without(void **state)
{
	int c, g, b = -1;
	struct lw_flow f;

	(void)state;
	steered_with_peer_gone(&c, &g, true);
	lab_send(g, "ghi");
	lab_expect(c, "ghi");
	lab_expect_nothing(c);
	for (int i = 0; i < 3; i++) {
		lab_send(c, BASE_REQUEST);
		if (b < 0)
			b = lab_accept_request(lab_bound_to(c) == 11 ? base : base2);
		lab_expect(b, BASE_REQUEST);
		lab_send(b, OK(4, "base"));
		lab_expect(c, OK(4, "base"));
		assert_true(lab_flow(c, &f));
		assert_int_equal(f.lane, 0);
		assert_int_not_equal(f.route, LW_ROUTE_PEER);
		gray_turn(c, gray, &g);
	}
	close(c);
	lab_expect_eof(b);
	lab_expect_eof(g);
	close(b);
	close(g);
}

/*
 * The connection has become opaque on the route of an upstream socket: whether a response is due there nobody knows any more, and the own
 * peer's close is not its end. That comes with the upstream socket's.
 */
static void opaque_on_an_upstream_socket(void **state)
{
	uint64_t before = lab_count(LW_REASON_FIN_HELD);
	int c, own, b = -1;

	(void)state;
	open_pair(LAB_GRAY, gray, &c, &own);
	lab_send(c, BASE_REQUEST);
	b = lab_accept_request(lab_bound_to(c) == 11 ? base : base2);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	lab_send(c, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	lab_expect(b, "GET / HTTP/1.1\r\nno field\r\n\r\n");
	close(own);
	wait_held(before);
	lab_expect_nothing(c);
	lab_send(b, OK(4, "base"));
	lab_expect(c, OK(4, "base"));
	lab_expect_nothing(c);
	close(b);
	lab_expect_eof(c);
	close(c);
}

static void nothing_due_nothing_held(void **state)
{
	uint64_t before = lab_count(LW_REASON_FIN_HELD);
	int c, b;

	(void)state;
	/* never steered */
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	close(b);
	lab_expect_eof(c);
	close(c);
	/* a base response is due: its end is its own */
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, BASE_REQUEST);
	lab_expect(b, BASE_REQUEST);
	lab_send(b, "HTTP/1.1 200 OK\r\n\r\nto the end");
	close(b);
	lab_expect(c, "HTTP/1.1 200 OK\r\n\r\nto the end");
	lab_expect_eof(c);
	close(c);
	/* likewise a reset */
	open_pair(LAB_BASE, base, &c, &b);
	lab_send(c, BASE_REQUEST);
	lab_expect(b, BASE_REQUEST);
	reset(b);
	lab_expect_reset(c);
	close(c);
	assert_int_equal(lab_count(LW_REASON_FIN_HELD), before);
}

static bool went_past_tcp(int c)
{
	struct lw_flow f;
	struct lw_up up;

	assert_true(lab_flow(c, &f));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_ups),
					     &f.ups[f.up & (LW_FLOW_UPS - 1)].up, &up),
			 0);
	return up.passed_ns;
}

/* What an end of file waits for takes the connection: how far that is can be seen, and the end need not wait for a time to pass. */
static void what_an_end_waits_for_takes_tcp(void **state)
{
	const bool bypass = lab_kern()->config->flags & LW_CONF_BYPASS;
	int c, b, g = -1;

	(void)state;
	for (int by_client = 0; by_client < 2; by_client++) {
		uint64_t before = lab_count(LW_REASON_FIN_HELD);

		open_pair(LAB_BASE, base, &c, &b);
		g = -1;
		gray_turn(c, gray, &g);
		/* the first went by the agent, its answer by TCP, and until that is acknowledged the next ones do, too */
		for (int ms = 0; went_past_tcp(c) != bypass; ms++) {
			assert_in_range(ms, 0, WAIT_MS);
			poll(NULL, 0, 1);
			gray_turn(c, gray, &g);
		}
		lab_send(c, GRAY_REQUEST);
		lab_expect(g, GRAY_TAGGED);
		lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
		lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc");
		assert_int_equal(went_past_tcp(c), bypass);
		if (by_client) {
			assert_int_equal(shutdown(c, SHUT_WR), 0);
			lab_expect_eof(b);
		} else {
			close(b);
			wait_held(before);
		}
		lab_send(g, "def");
		lab_expect(c, "def");
		assert_false(went_past_tcp(c));
		if (by_client)
			close(b);
		lab_expect_eof(c);
		close(c);
		close(g);
	}
}

/* The last bytes may be on their way yet, but not for long. */
static void answered_and_soon_not_held(void **state)
{
	int c, b, g = -1;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	gray_turn(c, gray, &g);
	close(b);
	lab_expect_eof(c);
	close(c);
	close(g);
}

/* ---- crafted packets ---- */

struct packet {
	uint8_t b[256];
	size_t n;
};

static void eth(struct packet *p, uint16_t proto)
{
	*p = (struct packet){ .n = 14 };
	p->b[12] = (uint8_t)(proto >> 8);
	p->b[13] = (uint8_t)proto;
}

static void tcp(struct packet *p, uint16_t from, uint16_t to, uint8_t flags)
{
	uint8_t *t = p->b + p->n;

	t[0] = (uint8_t)(from >> 8);
	t[1] = (uint8_t)from;
	t[2] = (uint8_t)(to >> 8);
	t[3] = (uint8_t)to;
	t[12] = 5 << 4;
	t[13] = flags;
	p->n += 20;
}

static struct packet v4(const char *from, const char *to, uint8_t options, uint16_t frag,
			uint8_t flags)
{
	struct packet p;
	uint8_t *ip;

	eth(&p, 0x0800);
	ip = p.b + 14;
	ip[0] = (uint8_t)(0x40 | (5 + options / 4));
	ip[3] = (uint8_t)(40 + options);
	ip[6] = (uint8_t)(frag >> 8);
	ip[7] = (uint8_t)frag;
	ip[8] = 64;
	ip[9] = 6;
	assert_int_equal(inet_pton(AF_INET, from, ip + 12), 1);
	assert_int_equal(inet_pton(AF_INET, to, ip + 16), 1);
	p.n += 20u + options;
	tcp(&p, 8080, 40000, flags);
	return p;
}

static struct packet v6(const char *from, const char *to, uint8_t next, uint8_t flags)
{
	struct packet p;
	uint8_t *ip;

	eth(&p, 0x86dd);
	ip = p.b + 14;
	ip[0] = 0x60;
	ip[5] = 20;
	ip[6] = next;
	ip[7] = 64;
	assert_int_equal(inet_pton(AF_INET6, from, ip + 8), 1);
	assert_int_equal(inet_pton(AF_INET6, to, ip + 24), 1);
	p.n += 40;
	tcp(&p, 8080, 40000, flags);
	return p;
}

#define FIN 0x01
#define RST 0x04
#define ACK 0x10
#define PASS -1
#define DROP 2

#define verdict(p, want) check_verdict(p, want, __LINE__)
static void check_verdict(const struct packet *p, int want, int line)
{
	struct lw_lanes_bpf *s = lab_kern()->skel;
	uint8_t out[512];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = p->b, .data_size_in = (uint32_t)p->n,
		    .data_out = out, .data_size_out = sizeof(out));

	assert_int_equal(bpf_prog_test_run_opts(bpf_program__fd(s->progs.lw_to_pod), &opts), 0);
	if ((int)opts.retval != want)
		print_error("line %d: verdict %d\n", line, (int)opts.retval);
	assert_int_equal((int)opts.retval, want);
	assert_int_equal(opts.data_size_out, p->n);
	assert_memory_equal(out, p->b, p->n);
}

#define DOWN 0xd0d0d0d0d0ull
#define UP 0xe0e0e0e0e0ull

/* A connection peer:8080 -> local:40000 in the maps alone; up: of its upstream socket, NULL: there is none. */
static void craft_as(const char *peer, const char *local, const struct lw_flow *f,
		     const struct lw_up *up)
{
	struct lw_lanes_bpf *s = lab_kern()->skel;
	uint64_t down = DOWN, up_cookie = UP;
	struct lw_tuple t = { .local_port = 40000, .peer_port = 8080 };

	assert_int_equal(lw_addr_parse(peer, &t.peer), 0);
	assert_int_equal(lw_addr_parse(local, &t.local), 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(s->maps.lw_tuples), &t, &down, BPF_ANY),
			 0);
	assert_int_equal(bpf_map_update_elem(bpf_map__fd(s->maps.lw_flows), &down, f, BPF_ANY), 0);
	if (up)
		assert_int_equal(
			bpf_map_update_elem(bpf_map__fd(s->maps.lw_ups), &up_cookie, up, BPF_ANY),
			0);
}

/* Its steered response is due, unless resp_seq is 1. */
static void craft(const char *peer, const char *local, uint32_t resp_seq)
{
	craft_as(peer, local, &(struct lw_flow){ .route = LW_ROUTE_UP, .ups[0] = { .up = UP } },
		 &(struct lw_up){ .down = DOWN, .req_seq = 1, .resp_seq = resp_seq });
}

static void uncraft(void)
{
	struct lw_lanes_bpf *s = lab_kern()->skel;
	uint64_t down = DOWN, up = UP;
	struct lw_tuple t;

	bpf_map_delete_elem(bpf_map__fd(s->maps.lw_flows), &down);
	bpf_map_delete_elem(bpf_map__fd(s->maps.lw_ups), &up);
	while (!bpf_map_get_next_key(bpf_map__fd(s->maps.lw_tuples), NULL, &t))
		bpf_map_delete_elem(bpf_map__fd(s->maps.lw_tuples), &t);
}

static void crafted_packets(void **state)
{
	const char *peer = "10.0.0.1", *me = "10.0.0.2", *peer6 = "fd00::1", *me6 = "fd00::2";
	struct packet p, q;

	(void)state;
	craft(peer, me, 0);
	craft(peer6, me6, 0);
	p = v4(peer, me, 0, 0, FIN | ACK);
	verdict(&p, DROP);
	p = v4(peer, me, 0, 0, RST);
	verdict(&p, DROP);
	p = v4(peer, me, 40, 0, FIN);
	verdict(&p, DROP);
	p = v4(peer, me, 0, 0x4000, FIN); /* don't fragment */
	verdict(&p, DROP);
	p = v6(peer6, me6, 6, FIN | ACK);
	verdict(&p, DROP);
	p = v6(peer6, me6, 6, RST | ACK);
	verdict(&p, DROP);

	/* nor does what it says before, such as a 408, where the steered response is to begin */
	p = v4(peer, me, 0, 0, ACK);
	memcpy(p.b + p.n, "HTTP", 4);
	p.n += 4;
	p.b[14 + 3] += 4;
	verdict(&p, DROP);
	p.b[p.n - 1] = 'X';
	verdict(&p, PASS);

	/* anything else passes */
	for (unsigned int flags = 0; flags < 256; flags++) {
		p = v4(peer, me, 0, 0, (uint8_t)flags);
		verdict(&p, flags & (FIN | RST) ? DROP : PASS);
		p = v6(peer6, me6, 6, (uint8_t)flags);
		verdict(&p, flags & (FIN | RST) ? DROP : PASS);
	}
	p = v4(me, peer, 0, 0, FIN);
	verdict(&p, PASS);
	p = v4(peer, "10.0.0.3", 0, 0, FIN);
	verdict(&p, PASS);
	p = v6(me6, peer6, 6, FIN);
	verdict(&p, PASS);
	p = v6(peer6, me6, 17, FIN);
	verdict(&p, PASS);
	p = v6(peer6, me6, 0, FIN); /* hop-by-hop options: not looked into */
	verdict(&p, PASS);
	p = v4(peer, me, 0, 0, FIN);
	p.b[14 + 9] = 17;
	verdict(&p, PASS);
	p = v4(peer, me, 0, 0, FIN);
	p.b[14 + 20 + 3] ^= 1; /* another port */
	verdict(&p, PASS);
	/* a later fragment has no ports: these are its payload */
	p = v4(peer, me, 0, 0x0010, FIN);
	verdict(&p, PASS);
	/* not IP: ARP, a VLAN tag, and bytes that look like IPv4 behind it */
	p = v4(peer, me, 0, 0, FIN);
	p.b[12] = 0x08;
	p.b[13] = 0x06;
	verdict(&p, PASS);
	p.b[12] = 0x81;
	p.b[13] = 0x00;
	verdict(&p, PASS);

	/* cut short anywhere behind the IP header (the kernel runs nothing on less than that) */
	p = v4(peer, me, 8, 0, FIN);
	q = v6(peer6, me6, 6, FIN);
	for (size_t n = 14 + 20; n < 14 + 28 + 14; n++) {
		struct packet cut = p;

		cut.n = n;
		verdict(&cut, PASS);
	}
	for (size_t n = 14 + 40; n < 14 + 40 + 14; n++) {
		struct packet cut = q;

		cut.n = n;
		verdict(&cut, PASS);
	}
	/* header lengths that cannot be */
	for (unsigned int ihl = 0; ihl < 5; ihl++) {
		p = v4(peer, me, 0, 0, FIN);
		p.b[14] = (uint8_t)(0x40 | ihl);
		verdict(&p, PASS);
	}
	/* noise */
	srandom(4711);
	for (int i = 0; i < 3000; i++) {
		p.n = 14 + 40 + (size_t)random() % 100;
		for (size_t k = 0; k < p.n; k++)
			p.b[k] = (uint8_t)random();
		p.b[12] = i & 1 ? 0x08 : 0x86;
		p.b[13] = i & 1 ? 0x00 : 0xdd;
		verdict(&p, PASS);
	}

	/* answered: nothing is due */
	uncraft();
	craft(peer, me, 1);
	p = v4(peer, me, 0, 0, FIN);
	verdict(&p, PASS);
	uncraft();
}

/* A response of before that comes once more, as its acknowledgement was late, is not the beginning of what a peer says unasked. */
static void response_of_before_comes_again(void **state)
{
	struct packet p = v4("10.0.0.1", "10.0.0.2", 0, 0, ACK);
	uint64_t down = DOWN;
	struct lw_flow f;

	(void)state;
	memcpy(p.b + p.n, "HTTP", 4);
	p.n += 4;
	p.b[14 + 3] += 4;
	craft_as("10.0.0.1", "10.0.0.2",
		 &(struct lw_flow){ .route = LW_ROUTE_UP, .rcv_seq = 50, .ups[0] = { .up = UP } },
		 &(struct lw_up){ .down = DOWN, .req_seq = 1 });
	for (uint8_t seq = 0; seq <= 50; seq += 10) {
		p.b[14 + 20 + 7] = seq;
		verdict(&p, seq < 50 ? PASS : DROP);
		assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_flows),
						     &down, &f),
				 0);
		assert_int_equal(f.fin_held, seq == 50);
	}
	uncraft();
}

/* What is due is told by the route, and by what is known of the upstream socket. */
static void what_is_due(void **state)
{
	static const struct {
		const char *what;
		uint32_t route, punt; /* of the flow */
		bool bound, there; /* its upstream socket: known to the flow, and in the map */
		uint32_t flags, resp_seq; /* of it; one request has gone there */
		int want;
	} cases[] = {
		{ "due", LW_ROUTE_UP, 0, true, true, 0, 0, DROP },
		{ "answered", LW_ROUTE_UP, 0, true, true, 0, 1, PASS },
		{ "it has ended", LW_ROUTE_UP, 0, true, true, LW_UP_DEAD, 0, PASS },
		{ "answered, and the agent carries the response", LW_ROUTE_UP, 0, true, true,
		  LW_UP_RELAY, 1, DROP },
		{ "it has ended, and the agent carries the response", LW_ROUTE_UP, 0, true, true,
		  LW_UP_RELAY | LW_UP_DEAD, 1, DROP },
		{ "a tunnel", LW_ROUTE_UP, 0, true, true, LW_UP_TUNNEL, 1, DROP },
		{ "a tunnel that has ended", LW_ROUTE_UP, 0, true, true, LW_UP_TUNNEL | LW_UP_DEAD,
		  1, PASS },
		{ "forgotten", LW_ROUTE_UP, 0, true, false, 0, 0, PASS },
		{ "with the agent, no upstream socket yet", LW_ROUTE_PUNT, 1, false, false, 0, 0,
		  DROP },
		{ "the agent has done with it", LW_ROUTE_PUNT, 0, false, false, 0, 0, PASS },
		{ "with the agent, and the upstream socket forgotten", LW_ROUTE_PUNT, 1, true,
		  false, 0, 0, PASS },
		{ "on the own peer's route", LW_ROUTE_PEER, 0, true, true, 0, 0, PASS },
	};
	struct packet p = v4("10.0.0.1", "10.0.0.2", 0, 0, FIN | ACK);

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct lw_flow f = { .route = cases[i].route,
				     .punt = cases[i].punt,
				     .ups[0] = { .up = cases[i].bound ? UP : 0 } };
		struct lw_up up = { .down = DOWN,
				    .flags = cases[i].flags,
				    .req_seq = 1,
				    .resp_seq = cases[i].resp_seq };

		print_message("%s\n", cases[i].what);
		craft_as("10.0.0.1", "10.0.0.2", &f, cases[i].there ? &up : NULL);
		verdict(&p, cases[i].want);
		uncraft();
	}
}

/* All of the response has been followed, but the last of it may be on its way to the client yet. */
static void what_is_on_its_way(void **state)
{
	struct packet p = v4("10.0.0.1", "10.0.0.2", 0, 0, FIN);
	struct lw_flow f = { .route = LW_ROUTE_UP, .ups[0] = { .up = UP } }, real;
	struct lw_up up = { .down = DOWN, .req_seq = 1, .resp_seq = 1 };
	struct held taken;
	int c, b;

	(void)state;
	open_pair(LAB_BASE, base, &c, &b);
	base_turn(c, b);
	assert_true(lab_flow(c, &real));
	/* by a socket that somebody takes bytes from, or has */
	up.reply_sk = real.sk;
	craft_as("10.0.0.1", "10.0.0.2", &f, &up);
	verdict(&p, PASS);
	hold(&taken, c);
	verdict(&p, DROP);
	let_go(&taken);
	joined(&taken);
	verdict(&p, PASS);
	up.reply_sk = 0;
	/* past TCP: long enough ago, and just now, which it is to stay however slow the test is */
	up.passed_ns = lw_clock_ns() - 2 * LW_GIVING_NS;
	craft_as("10.0.0.1", "10.0.0.2", &f, &up);
	verdict(&p, PASS);
	up.passed_ns = lw_clock_ns() + 600 * LW_GIVING_NS;
	craft_as("10.0.0.1", "10.0.0.2", &f, &up);
	verdict(&p, DROP);
	/* to one that its application reads, and does not read any more */
	f.sk = real.sk;
	craft_as("10.0.0.1", "10.0.0.2", &f, &up);
	verdict(&p, DROP);
	assert_int_equal(shutdown(c, SHUT_RD), 0);
	verdict(&p, PASS);
	uncraft();
	close(c);
	close(b);
}

/* Last: without a live agent nothing is kept back. */
static void dead_agent_keeps_nothing_back(void **state)
{
	struct packet p = v4("10.0.0.1", "10.0.0.2", 0, 0, FIN);
	struct lw_config *conf;

	(void)state;
	craft("10.0.0.1", "10.0.0.2", 0);
	verdict(&p, DROP);
	lab_kill_agent();
	conf = lab_kern()->config;
	conf->heartbeat_ns -= conf->heartbeat_max_ns;
	verdict(&p, PASS);
	uncraft();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(fin_waits_for_the_response, lab_clean),
		cmocka_unit_test_teardown(fin_before_any_byte_of_the_response, lab_clean),
		cmocka_unit_test_teardown(fin_within_the_request, lab_clean),
		cmocka_unit_test_teardown(reset_peer_is_done_without, lab_clean),
		cmocka_unit_test_teardown(opaque_on_an_upstream_socket, lab_clean),
		cmocka_unit_test_teardown(nothing_due_nothing_held, lab_clean),
		cmocka_unit_test_teardown(what_an_end_waits_for_takes_tcp, lab_clean),
		cmocka_unit_test_teardown(answered_and_soon_not_held, lab_clean),
		cmocka_unit_test_teardown(crafted_packets, lab_clean),
		cmocka_unit_test_teardown(response_of_before_comes_again, lab_clean),
		cmocka_unit_test_teardown(what_is_due, lab_clean),
		cmocka_unit_test_teardown(what_is_on_its_way, lab_clean),
		cmocka_unit_test_teardown(dead_agent_keeps_nothing_back, lab_clean),
	};

	return RUN_BOTH_WAYS("fin_guard", tests, setup, lab_teardown);
}
