/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests on their way to a pod, as lw_to_pod reads them off the wire: packets made by hand, and what is then known of
 * the connection. No packet is altered or kept.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "kern/internal.h"
#include "turns.h"

#define POD "10.1.0.9"
#define CLIENT "10.1.0.7"
#define POD6 "fd00::9"
#define CLIENT6 "fd00::7"
#define GRAY 1
#define CLIENT_PORT 40000

#define TAGGED "GET /x HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\n\r\n"
#define PLAIN "GET /x HTTP/1.1\r\nHost: a\r\nUser-Agent: curl/8\r\n\r\n"

/* How packets are made. */
struct shape {
	bool v6;
	int vlans; /* tags that the device has left in */
	int ip_options, tcp_options; /* bytes, of four */
};
static struct shape shape;
static const char *client_ip;

static int setup(void **state)
{
	(void)state;
	lab_start(&(struct lab_options){ .no_agent = true });
	return 0;
}

static struct lw_tuple tuple(void)
{
	struct lw_tuple t = { .local_port = LAB_PORT, .peer_port = CLIENT_PORT };

	assert_int_equal(lw_addr_parse(shape.v6 ? POD6 : POD, &t.local), 0);
	assert_int_equal(lw_addr_parse(client_ip ? client_ip :
				       shape.v6	 ? CLIENT6 :
						   CLIENT,
				       &t.peer),
			 0);
	return t;
}

static int map(const struct bpf_map *m)
{
	return bpf_map__fd(m);
}

#define maps (lab_kern()->skel->maps)

static int fresh(void **state)
{
	struct lw_trace_key key;
	struct lw_tuple t;

	(void)state;
	while (!bpf_map_get_next_key(map(maps.lw_inbound), NULL, &t))
		assert_int_equal(bpf_map_delete_elem(map(maps.lw_inbound), &t), 0);
	while (!bpf_map_get_next_key(map(maps.lw_in_heads), NULL, &t))
		assert_int_equal(bpf_map_delete_elem(map(maps.lw_in_heads), &t), 0);
	while (!bpf_map_get_next_key(map(maps.lw_traces), NULL, &key))
		assert_int_equal(bpf_map_delete_elem(map(maps.lw_traces), &key), 0);
	shape = (struct shape){};
	client_ip = NULL;
	return 0;
}

static size_t put16(uint8_t *at, unsigned int v)
{
	at[0] = (uint8_t)(v >> 8);
	at[1] = (uint8_t)v;
	return 2;
}

#define ACK 0x10
#define SYN 0x02

/* One packet as a device has it; its bytes. */
static size_t compose(uint8_t *in, size_t size, uint32_t seq, uint8_t flags, const void *payload,
		      size_t n)
{
	struct lw_tuple t = tuple();
	size_t at = 12, tcp_len = 20 + (size_t)shape.tcp_options;

	memset(in, 0, size);
	for (int i = 0; i < shape.vlans; i++) {
		at += put16(in + at, i + 1 < shape.vlans ? 0x88a8 : 0x8100);
		at += put16(in + at, 7);
	}
	at += put16(in + at, shape.v6 ? 0x86dd : 0x0800);
	if (shape.v6) {
		in[at] = 0x60;
		put16(in + at + 4, (unsigned int)(tcp_len + n));
		in[at + 6] = IPPROTO_TCP;
		memcpy(in + at + 8, t.peer.ip, 16);
		memcpy(in + at + 24, t.local.ip, 16);
		at += 40;
	} else {
		size_t ip_len = 20 + (size_t)shape.ip_options;

		in[at] = (uint8_t)(0x40 | ip_len / 4);
		put16(in + at + 2, (unsigned int)(ip_len + tcp_len + n));
		in[at + 9] = IPPROTO_TCP;
		memcpy(in + at + 12, t.peer.ip + 12, 4);
		memcpy(in + at + 16, t.local.ip + 12, 4);
		memset(in + at + 20, 1, (size_t)shape.ip_options);
		at += ip_len;
	}
	put16(in + at, t.peer_port);
	put16(in + at + 2, t.local_port);
	put16(in + at + 4, seq >> 16);
	put16(in + at + 6, seq & 0xffff);
	in[at + 12] = (uint8_t)(tcp_len / 4 << 4);
	in[at + 13] = flags;
	memset(in + at + 20, 1, (size_t)shape.tcp_options);
	at += tcp_len;
	assert_in_range(at + n, 0, size);
	memcpy(in + at, payload, n);
	at += n;
	/* Ethernet fills short frames up */
	return at < 60 ? 60 : at;
}

static void packet(uint32_t seq, uint8_t flags, const void *payload, size_t n)
{
	static uint8_t in[32768], out[sizeof(in)];
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = in, .data_out = out,
		    .data_size_out = sizeof(out));
	size_t at = compose(in, sizeof(in), seq, flags, payload, n);

	opts.data_size_in = (uint32_t)at;
	assert_int_equal(
		bpf_prog_test_run_opts(bpf_program__fd(lab_kern()->skel->progs.lw_to_pod), &opts),
		0);
	assert_int_equal((int)opts.retval, -1);
	assert_int_equal(opts.data_size_out, at);
	assert_memory_equal(out, in, at);
}

static void data(uint32_t seq, const char *text, size_t n)
{
	packet(seq, ACK, text, n);
}

static bool look(struct lw_in *ret)
{
	struct lw_tuple t = tuple();

	return !bpf_map_lookup_elem(map(maps.lw_inbound), &t, ret);
}

#define expect_state(state) expect_state_at(state, __LINE__)
static void expect_state_at(int state, int line)
{
	struct lw_in in;

	if (!look(&in) || in.state != state) {
		print_error("line %d: not in state %d\n", line, state);
		fail();
	}
}

/* The n-th request was the last one, of this lane, and its head ends there. */
#define expect_request(n, lane, end) expect_request_at(n, lane, end, __LINE__)
static void expect_request_at(unsigned int n, unsigned int lane, uint32_t end, int line)
{
	const struct lw_in_request *q;
	struct lw_in in;

	if (!look(&in)) {
		print_error("line %d: the connection is not known\n", line);
		fail();
	}
	q = &in.last[(in.requests - 1) % LW_IN_REQUESTS];
	if (in.state != LW_IN_FOLLOWED || in.requests != n || q->lane != lane || q->end != end) {
		print_error("line %d: state %d, %u requests, the last in lane %d up to %u\n", line,
			    in.state, in.requests, q->lane, q->end);
		fail();
	}
}

/* Since then the connection is followed without a gap. */
static void expect_from(uint32_t seq)
{
	struct lw_in in;

	assert_true(look(&in));
	assert_int_equal(in.from, seq);
}

#define N(text) (sizeof(text) - 1)

static void whole_heads(void **state)
{
	uint32_t seq = 0xffffffe0u; /* and over the end of the numbers */

	(void)state;
	data(seq, TAGGED, N(TAGGED));
	expect_request(1, GRAY, seq + (uint32_t)N(TAGGED));
	seq += (uint32_t)N(TAGGED);
	data(seq, PLAIN, N(PLAIN));
	expect_request(2, 0, seq + (uint32_t)N(PLAIN));
}

static void of_any_shape(void **state)
{
	static const struct shape shapes[] = {
		{ .tcp_options = 12 },
		{ .ip_options = 8, .tcp_options = 12 },
		{ .vlans = 1 },
		{ .vlans = 2, .ip_options = 40 },
		{ .v6 = true },
		{ .v6 = true, .tcp_options = 20 },
		{ .v6 = true, .vlans = 1 },
	};

	for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
		fresh(state);
		shape = shapes[i];
		data(1000, TAGGED, N(TAGGED));
		expect_request(1, GRAY, 1000 + (uint32_t)N(TAGGED));
	}
}

static void by_the_senders_pod(void **state)
{
	(void)state;
	client_ip = LAB_GRAY;
	data(1, PLAIN, N(PLAIN));
	expect_request(1, GRAY, 1 + (uint32_t)N(PLAIN));
	client_ip = LAB_BASE;
	data(1, PLAIN, N(PLAIN));
	expect_request(1, 0, 1 + (uint32_t)N(PLAIN));
}

static void cut_anywhere(void **state)
{
	static const char head[] =
		"POST /x HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\nContent-Length: 5\r\n\r\n";
	static const char stream[] =
		"POST /x HTTP/1.1\r\nHost: a\r\nx-mse-tag: gray\r\nContent-Length: 5\r\n\r\n12345" PLAIN;
	struct lw_tuple t;

	for (size_t cut = 1; cut < N(stream); cut++) {
		fresh(state);
		data(77, stream, cut);
		data(77 + (uint32_t)cut, stream + cut, N(stream) - cut);
		expect_request(2, 0, 77 + (uint32_t)N(stream));
	}
	fresh(state);
	for (size_t i = 0; i < N(stream); i++) {
		data(77 + (uint32_t)i, stream + i, 1);
		if (i + 1 == N(head))
			expect_request(1, GRAY, 77 + (uint32_t)N(head));
	}
	expect_request(2, 0, 77 + (uint32_t)N(stream));
	/* nothing is kept of heads that are through */
	assert_int_not_equal(bpf_map_get_next_key(map(maps.lw_in_heads), NULL, &t), 0);
}

static void several_in_one(void **state)
{
	static const char two[] = PLAIN TAGGED;
	static const char chunked[] =
		"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nGET /\r\n0\r\nT: 1\r\n\r\n" TAGGED;

	data(1, two, N(two));
	expect_request(2, GRAY, 1 + (uint32_t)N(two));
	for (size_t cut = 1; cut < N(chunked); cut++) {
		fresh(state);
		data(1, chunked, cut);
		data(1 + (uint32_t)cut, chunked + cut, N(chunked) - cut);
		expect_request(2, GRAY, 1 + (uint32_t)N(chunked));
	}
}

static void long_heads(void **state)
{
	static char text[20000];
	size_t n, at;

	(void)state;
	n = (size_t)snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\nx-mse-tag: gray\r\nCookie: ");
	memset(text + n, 'c', 12000);
	n += 12000;
	n += (size_t)snprintf(text + n, sizeof(text) - n, "\r\n\r\n");
	for (size_t piece = 1000; piece <= 3000; piece += 1000) {
		fresh(state);
		for (at = 0; at < n; at += piece)
			data(1 + (uint32_t)at, text + at, n - at < piece ? n - at : piece);
		expect_request(1, GRAY, 1 + (uint32_t)n);
	}
	fresh(state);
	/* longer than any head may be */
	memset(text + 50, 'c', sizeof(text) - 50);
	for (at = 0; at < sizeof(text); at += 1448)
		data(1 + (uint32_t)at, text + at,
		     sizeof(text) - at < 1448 ? sizeof(text) - at : 1448);
	expect_state(LW_IN_LOST);
}

static void what_comes_twice(void **state)
{
	(void)state;
	data(1, TAGGED, N(TAGGED));
	data(1, TAGGED, N(TAGGED));
	data(0, "\0", 1); /* a keep-alive probe */
	expect_request(1, GRAY, 1 + (uint32_t)N(TAGGED));
	/* the end of it again, with the next one behind */
	data(1 + (uint32_t)N(TAGGED) - 4, "\r\n\r\n" PLAIN, 4 + N(PLAIN));
	expect_request(2, 0, 1 + (uint32_t)(N(TAGGED) + N(PLAIN)));
}

static void what_is_missing(void **state)
{
	static const char post[] = "POST /x HTTP/1.1\r\nContent-Length: 3000\r\n\r\n";
	uint32_t seq = 1;

	(void)state;
	/* of a body nothing need be seen */
	data(seq, post, N(post));
	seq += (uint32_t)N(post);
	data(seq + 1000, "x", 1);
	expect_state(LW_IN_FOLLOWED);
	seq += 3000;
	data(seq, TAGGED, N(TAGGED));
	expect_request(2, GRAY, seq + (uint32_t)N(TAGGED));
	seq += (uint32_t)N(TAGGED);
	/* bytes that may have been a head */
	data(seq + 10, "x-mse-tag: gray\r\n\r\n", 19);
	expect_state(LW_IN_GAP);
	/* and from the next head on all is known again */
	data(seq + 100, PLAIN, N(PLAIN));
	expect_request(3, 0, seq + 100 + (uint32_t)N(PLAIN));
	expect_from(seq + 100);
	/* a body that looks like a request, before its head: what is known begins there, and says so */
	fresh(state);
	data(1, TAGGED, N(TAGGED));
	expect_from(1);
	seq = 1 + (uint32_t)N(TAGGED);
	data(seq + (uint32_t)N(post), PLAIN, N(PLAIN));
	data(seq, post, N(post));
	expect_request(2, 0, seq + (uint32_t)(N(post) + N(PLAIN)));
	expect_from(seq + (uint32_t)N(post));
}

/* Another CPU begins with a packet of the connection, or has done with it. */
static void another_cpu_is_at_it(unsigned int busy)
{
	struct lw_tuple t = tuple();
	struct lw_in in;

	assert_true(look(&in));
	assert_int_equal(in.busy, !busy);
	in.busy = busy;
	assert_int_equal(bpf_map_update_elem(map(maps.lw_inbound), &t, &in, BPF_ANY), 0);
}

/* Packets of one connection on two CPUs at once: one is not read, and what follows says what was missed. */
static void two_at_once(void **state)
{
	static const char post[] = "POST /x HTTP/1.1\r\nContent-Length: 3000\r\n\r\n";
	uint32_t seq = 1;
	struct lw_in in;

	(void)state;
	data(seq, post, N(post));
	seq += (uint32_t)N(post);
	/* a part of a body is nothing that has to be seen */
	another_cpu_is_at_it(1);
	data(seq, "xx", 2);
	assert_true(look(&in));
	assert_int_equal(in.next, seq);
	another_cpu_is_at_it(0);
	data(seq + 2, "x", 1);
	seq += 3000;
	data(seq, PLAIN, N(PLAIN));
	expect_request(2, 0, seq + (uint32_t)N(PLAIN));
	seq += (uint32_t)N(PLAIN);
	/* a head is: from the next one on all is known again */
	another_cpu_is_at_it(1);
	data(seq, TAGGED, N(TAGGED));
	assert_true(look(&in));
	assert_int_equal(in.next, seq);
	another_cpu_is_at_it(0);
	seq += (uint32_t)N(TAGGED);
	data(seq, PLAIN, N(PLAIN));
	expect_request(3, 0, seq + (uint32_t)N(PLAIN));
	expect_from(seq);
}

static void no_http(void **state)
{
	static const char *const lost[] = {
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
		"GET / HTTP/1.1\nHost: a\n\n",
		"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\n x: folded\r\n\r\n",
	};
	struct lw_in in;

	data(1, "\x16\x03\x01", 3);
	assert_false(look(&in));
	for (size_t i = 0; i < sizeof(lost) / sizeof(lost[0]); i++) {
		fresh(state);
		data(1, lost[i], strlen(lost[i]));
		expect_state(LW_IN_LOST);
		/* for good: what looks like a head may be the inside of something else */
		data(1 + (uint32_t)strlen(lost[i]), TAGGED, N(TAGGED));
		expect_state(LW_IN_LOST);
		/* until the ports are used again */
		packet(5, SYN, "", 0);
		assert_false(look(&in));
	}
}

static void tags_that_contradict(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE },
					       { .ip = LAB_GRAY, .lane = 1 },
					       {} };
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" },
						 { "blue", "x-mse-tag", "blue" },
						 {} };
	static const struct lab_state two = { .pods = pods, .lanes = lanes };
	static const char both[] = "GET /x HTTP/1.1\r\nx-mse-tag: gray\r\nx-mse-tag: blue\r\n\r\n";
	static const char unknown[] = "GET /x HTTP/1.1\r\nx-mse-tag: red\r\n\r\n";

	(void)state;
	lab_publish(&two);
	data(1, both, N(both));
	expect_request(1, LW_IN_UNKNOWN, 1 + (uint32_t)N(both));
	data(1 + (uint32_t)N(both), unknown, N(unknown));
	expect_request(2, 0, 1 + (uint32_t)(N(both) + N(unknown)));
}

/*
 * Anybody may send a pod that is not believed a tag, and it may hand it on; but to a destination it goes without. Else a forged one
 * would come back as what the pod is at work on.
 */
static void tags_that_are_not_believed(void **state)
{
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, {} };
	static const struct {
		struct lab_pod pods[3];
		unsigned int lane;
	} rows[] = {
		{ { { .ip = POD } }, GRAY },
		{ { { .ip = POD, .untrusted = true } }, 0 },
		{ { { .ip = CLIENT } }, GRAY },
		{ { { .ip = CLIENT, .untrusted = true } }, 0 },
		{ { { .ip = POD }, { .ip = CLIENT, .untrusted = true } }, GRAY },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct lab_state s = { .pods = rows[i].pods, .lanes = lanes };

		fresh(state);
		lab_publish(&s);
		data(1, TAGGED, N(TAGGED));
		expect_request(1, rows[i].lane, 1 + (uint32_t)N(TAGGED));
	}
}

/* The lane that a trace id is known to be of; -1: none. */
static int trace_lane(unsigned int header, const char *id)
{
	struct lw_trace_key key = { .pod = tuple().local,
				    .header = (__u8)header,
				    .len = (__u8)strlen(id) };
	struct lw_trace trace;

	assert_in_range(strlen(id), 0, sizeof(key.id));
	memcpy(key.id, id, strlen(id));
	return bpf_map_lookup_elem(map(maps.lw_traces), &key, &trace) ? -1 : (int)trace.lane;
}

/* The same id in requests of two lanes, which two CPUs see at the same time: neither is forgotten. */
#define ROUNDS 4000
#define HEAD_WITH_ID "GET /x HTTP/1.1\r\nx-request-id: 00000000\r\n"
#define ID_AT (14 + 20 + 20 + N(HEAD_WITH_ID) - 10)
#define SEQ_AT (14 + 20 + 4)
struct sender {
	pthread_t thread;
	uint8_t in[1024];
	size_t n, payload;
	int cpu, errors;
};
static int arrived; /* senders, of all rounds */

static void *send_all(void *arg)
{
	struct sender *s = arg;
	uint8_t out[sizeof(s->in)];
	char id[9];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(s->cpu, &cpus);
	if (pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus))
		s->errors++;
	for (int i = 0; i < ROUNDS; i++) {
		LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = s->in,
			    .data_size_in = (uint32_t)s->n, .data_out = out,
			    .data_size_out = sizeof(out));

		snprintf(id, sizeof(id), "%08x", (unsigned int)i);
		memcpy(s->in + ID_AT, id, 8);
		put16(s->in + SEQ_AT + 2, (unsigned int)((size_t)i * s->payload) & 0xffff);
		put16(s->in + SEQ_AT, (unsigned int)((size_t)i * s->payload) >> 16);
		__atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
		while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < 2 * (i + 1))
			sched_yield();
		if (bpf_prog_test_run_opts(bpf_program__fd(lab_kern()->skel->progs.lw_to_pod),
					   &opts))
			s->errors++;
	}
	return NULL;
}

static void two_lanes_at_once(void **state)
{
	static const char *const text[] = { HEAD_WITH_ID "\r\n",
					    HEAD_WITH_ID "x-mse-tag: gray\r\n\r\n" };
	struct sender s[2] = {};
	struct lw_trace_key key = { .pod = tuple().local, .header = LW_HDR_REQUEST_ID, .len = 8 };
	struct lw_trace trace;
	int forgotten = 0;
	char id[9];

	(void)state;
	arrived = 0;
	for (int i = 0; i < 2; i++) {
		client_ip = i ? CLIENT : "10.1.0.6";
		s[i].payload = strlen(text[i]);
		s[i].n = compose(s[i].in, sizeof(s[i].in), 0, ACK, text[i], s[i].payload);
		s[i].cpu = i % (int)sysconf(_SC_NPROCESSORS_ONLN);
	}
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&s[i].thread, NULL, send_all, &s[i]), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(s[i].thread, NULL);
	assert_int_equal(s[0].errors + s[1].errors, 0);
	for (int i = 0; i < ROUNDS; i++) {
		snprintf(id, sizeof(id), "%08x", (unsigned int)i);
		memcpy(key.id, id, 8);
		assert_int_equal(bpf_map_lookup_elem(map(maps.lw_traces), &key, &trace), 0);
		forgotten += trace.lane != LW_IN_UNKNOWN;
	}
	assert_int_equal(forgotten, 0);
}

static void request_with(uint32_t *seq, const char *lane_line, const char *line)
{
	char text[1024];
	int n = snprintf(text, sizeof(text), "GET /x HTTP/1.1\r\n%s%s\r\n\r\n", lane_line, line);

	data(*seq, text, (size_t)n);
	*seq += (uint32_t)n;
}

static void traces(void **state)
{
	static const struct {
		unsigned int header;
		const char *line, *id;
	} known[] = {
		{ LW_HDR_TRACEPARENT,
		  "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		  "4bf92f3577b34da6a3ce929d0e0e4736" },
		{ LW_HDR_B3,
		  "b3: 80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
		  "80f198ee56343ba864fe8b2a57d3eff7" },
		{ LW_HDR_B3_TRACE_ID, "X-B3-TraceId: 463ac35c9f6413ad", "463ac35c9f6413ad" },
		{ LW_HDR_SW8,
		  "sw8: 1-TVlUUkFDRUlEMTIz-U0VHTUVOVA==-3-UFJPRA==-aW5z-L2E=-ZXhhbXBsZQ==",
		  "TVlUUkFDRUlEMTIz" },
		{ LW_HDR_UBER_TRACE_ID, "uber-trace-id: 6f1a2b3c4d5e6f70:1:0:1",
		  "6f1a2b3c4d5e6f70" },
		{ LW_HDR_REQUEST_ID, "X-Request-ID: 2f1f9a52-3b1d-4c8b-9a3e-2b9e5c1d7f00",
		  "2f1f9a52-3b1d-4c8b-9a3e-2b9e5c1d7f00" },
	};
	static const char *const none[] = {
		"b3: 0",
		"b3: d",
		"traceparent: 00",
		"traceparent: xxxx",
		"sw8: 1-",
		"x-request-id: 7",
		"traceparent: 00-00000000000000000000000000000000-0000000000000000-00",
		"X-B3-TraceId: 0000000000000000",
		"x-request-id: 00000000-0000-0000-0000-000000000000"
	};
	struct lw_trace_key key;
	uint32_t seq = 1;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		fresh(state);
		request_with(&seq, "x-mse-tag: gray\r\n", known[i].line);
		assert_int_equal(trace_lane(known[i].header, known[i].id), GRAY);
		request_with(&seq, "x-mse-tag: gray\r\n", known[i].line);
		assert_int_equal(trace_lane(known[i].header, known[i].id), GRAY);
		/* used for a base request too: it is no evidence any more */
		request_with(&seq, "", known[i].line);
		assert_int_equal(trace_lane(known[i].header, known[i].id), LW_IN_UNKNOWN);
		fresh(state);
		request_with(&seq, "", known[i].line);
		assert_int_equal(trace_lane(known[i].header, known[i].id), 0);
	}
	fresh(state);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		request_with(&seq, "x-mse-tag: gray\r\n", none[i]);
	assert_int_not_equal(bpf_map_get_next_key(map(maps.lw_traces), NULL, &key), 0);
}

/* Two long ids that differ behind what is kept of them. */
/* Of one request not so many are noted that it pushes those of others out. */
static void many_trace_ids(void **state)
{
	char lines[512], id[32];
	uint32_t seq = 1;
	size_t len = 0;

	(void)state;
	for (unsigned int i = 0; i <= LW_IN_TRACE_IDS; i++)
		len += (size_t)snprintf(lines + len, sizeof(lines) - len,
					"%sx-request-id: one-of-many-%u", i ? "\r\n" : "", i);
	request_with(&seq, "x-mse-tag: gray\r\n", lines);
	(void)snprintf(id, sizeof(id), "one-of-many-%u", LW_IN_TRACE_IDS - 1);
	assert_int_equal(trace_lane(LW_HDR_REQUEST_ID, id), GRAY);
	(void)snprintf(id, sizeof(id), "one-of-many-%u", LW_IN_TRACE_IDS);
	assert_int_equal(trace_lane(LW_HDR_REQUEST_ID, id), -1);
}

static void long_trace_ids(void **state)
{
	char a[96] = "x-request-id: ", b[96];
	struct lw_trace_key key, next;
	uint32_t seq = 1;

	(void)state;
	memset(a + 14, 'r', 70);
	memcpy(b, a, sizeof(a));
	b[80] = 's';
	request_with(&seq, "x-mse-tag: gray\r\n", a);
	request_with(&seq, "", b);
	assert_int_equal(bpf_map_get_next_key(map(maps.lw_traces), NULL, &key), 0);
	assert_int_equal(bpf_map_get_next_key(map(maps.lw_traces), &key, &next), 0);
}

/* Without a lane that one could be in nothing is read. */
static void no_lane_no_reading(void **state)
{
	static const struct lab_pod pods[] = { { .ip = LAB_BASE }, {} };
	static const struct lab_lane lanes[] = { {} };
	static const struct lab_state none = { .pods = pods, .lanes = lanes };
	struct lw_in in;

	(void)state;
	lab_publish(&none);
	data(1, TAGGED, N(TAGGED));
	assert_false(look(&in));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(whole_heads, fresh),
		cmocka_unit_test_setup(of_any_shape, fresh),
		cmocka_unit_test_setup(by_the_senders_pod, fresh),
		cmocka_unit_test_setup(cut_anywhere, fresh),
		cmocka_unit_test_setup(several_in_one, fresh),
		cmocka_unit_test_setup(long_heads, fresh),
		cmocka_unit_test_setup(what_comes_twice, fresh),
		cmocka_unit_test_setup(what_is_missing, fresh),
		cmocka_unit_test_setup(two_at_once, fresh),
		cmocka_unit_test_setup(no_http, fresh),
		cmocka_unit_test_setup(traces, fresh),
		cmocka_unit_test_setup(two_lanes_at_once, fresh),
		cmocka_unit_test_setup(many_trace_ids, fresh),
		cmocka_unit_test_setup(long_trace_ids, fresh),
		cmocka_unit_test_setup(tags_that_contradict, fresh),
		cmocka_unit_test_setup(tags_that_are_not_believed, fresh),
		cmocka_unit_test_setup(no_lane_no_reading, fresh),
	};

	return !!cmocka_run_group_tests(tests, setup, lab_teardown);
}
