/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The story again on IPv6: pods and a ClusterIP of that family, and IPv6 sockets that speak IPv4.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "laneway/reasons.h"
#include "both_ways.h"
#include "turns.h"

#define BASE6 "fd00::11"
#define GRAY6 "fd00::21"
#define VIP6 "fd00::100"
#define MAPPED(ip) "::ffff:" ip

static int base, gray, base4, gray4;

static int setup(void **state)
{
	static const struct lw_rules_cond cond = { LW_SUBJECT_HEADER, LW_OP_EXACT, "User-Agent",
						   "xiaoming" };
	static const struct lw_rules_mod set = { "x-mse-tag", "gray" };
	static const struct lw_rules_entry entry = {
		.conds = &cond, .nconds = 1, .lane = 1, .set = &set, .nset = 1
	};
	static const struct lab_lane lanes[] = { { "gray", "x-mse-tag", "gray" }, { 0 } };
	static const struct lab_pod pods[] = {
		{ .ip = BASE6 },
		{ .ip = GRAY6, .lane = 1 },
		/* of another workload, which has no rule: the tag alone counts there */
		{ .ip = LAB_BASE, .workload = 2 },
		{ .ip = LAB_GRAY, .lane = 1, .workload = 2 },
		{ 0 },
	};
	static const char *const vips[] = { VIP6, NULL };
	static const struct lab_state s = {
		.pods = pods, .lanes = lanes, .entries = &entry, .nentries = 1, .vips = vips
	};

	(void)state;
	lab_start(&(struct lab_options){ .state = &s });
	lab_add_address(BASE6);
	lab_add_address(GRAY6);
	lab_add_address(VIP6);
	base = lab_listen(BASE6);
	gray = lab_listen(GRAY6);
	base4 = lab_listen(LAB_BASE);
	gray4 = lab_listen(LAB_GRAY);
	return 0;
}

static void requests_alternate(void **state)
{
	int c, b, g = -1;
	struct lw_flow f;

	(void)state;
	open_pair(BASE6, base, &c, &b);
	for (int i = 0; i < 5; i++) {
		base_turn(c, b);
		gray_turn(c, gray, &g);
		lab_expect_nothing(b);
	}
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.requests, 10);
	assert_int_equal(f.peer.ip[0], 0xfd);
	assert_int_equal(f.peer.ip[15], 0x11);
	close(c);
	lab_expect_eof(g);
	lab_expect_eof(b);
	close(g);
	close(b);
}

static void untagged_leaves_the_gray_pod(void **state)
{
	int c, b = -1, g;

	(void)state;
	/* not from the pod's own address, which is what connect would choose here */
	c = lab_connect_from("::1", GRAY6, LAB_PORT);
	g = lab_accept(gray, c);
	lane_turn(c, base, &b, BASE_REQUEST, BASE_REQUEST);
	lab_expect_nothing(g);
	turn(c, g, GRAY_REQUEST, GRAY_TAGGED, OK(0, ""));
	close(c);
	close(b);
	close(g);
}

static void gray_pods_own_requests_are_gray(void **state)
{
	int c = lab_connect_from(GRAY6, BASE6, LAB_PORT), b = lab_accept(base, c), g = -1;
	struct lw_flow f;

	(void)state;
	lane_turn(c, gray, &g, BASE_REQUEST, "GET /a HTTP/1.1\r\n" TAG "Host: w\r\n\r\n");
	assert_true(lab_flow(c, &f));
	assert_int_equal(f.evidence, LW_EVIDENCE_POD);
	close(c);
	close(g);
	close(b);
}

static void cluster_ip_becomes_a_pod(void **state)
{
	int c = lab_connect(VIP6, LAB_VIP_PORT), b, g = -1;
	struct sockaddr_in6 a = { 0 };
	struct in6_addr vip;
	socklen_t len = sizeof(a);

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, VIP6, &vip), 1);
	assert_int_equal(getpeername(c, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(a.sin6_family, AF_INET6);
	assert_memory_equal(&a.sin6_addr, &vip, sizeof(vip));
	assert_int_equal(ntohs(a.sin6_port), LAB_VIP_PORT);
	b = lab_accept(base, c);
	base_turn(c, b);
	gray_turn(c, gray, &g);
	close(c);
	close(b);
	close(g);
}

/* An IPv6 socket connected to an IPv4 address, as Java and Go have them by default. */
static void mapped_addresses(void **state)
{
	static const char tagged[] = "GET / HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n";
	int c = lab_connect(MAPPED(LAB_BASE), LAB_PORT), b = lab_accept(base4, c), g = -1;
	struct sockaddr_in6 a = { 0 };
	struct in6_addr pod;
	socklen_t len = sizeof(a);
	struct lw_flow f;

	(void)state;
	assert_int_equal(inet_pton(AF_INET6, MAPPED(LAB_BASE), &pod), 1);
	assert_int_equal(getpeername(c, (struct sockaddr *)&a, &len), 0);
	assert_int_equal(a.sin6_family, AF_INET6);
	assert_memory_equal(&a.sin6_addr, &pod, sizeof(pod));
	for (int i = 0; i < 3; i++) {
		base_turn(c, b);
		lane_turn(c, gray4, &g, tagged, tagged);
	}
	assert_true(lab_flow(c, &f));
	assert_memory_equal(f.peer.ip, &pod, sizeof(pod));
	assert_int_equal(f.client.ip[10], 0xff);
	close(c);
	lab_expect_eof(g);
	close(b);
	close(g);
}

static void ends_are_carried_over(void **state)
{
	int c, b, g;

	(void)state;
	open_pair(BASE6, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	close(g);
	lab_expect_reset(c);
	close(c);
	close(b);

	open_pair(BASE6, base, &c, &b);
	lab_send(c, GRAY_REQUEST);
	g = lab_accept_request(gray);
	lab_expect(g, GRAY_TAGGED);
	lab_send(g, "HTTP/1.1 200 OK\r\n\r\nall");
	close(g);
	lab_expect(c, "HTTP/1.1 200 OK\r\n\r\nall");
	lab_expect_eof(c);
	close(c);
	close(b);

	/* the reset finds a socket of one family that speaks the other, too */
	c = lab_connect(MAPPED(LAB_BASE), LAB_PORT);
	b = lab_accept(base4, c);
	lab_send(c, "GET / HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n");
	g = lab_accept_request(gray4);
	lab_expect(g, "GET / HTTP/1.1\r\nx-mse-tag: gray\r\n\r\n");
	lab_send(g, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	close(g);
	lab_expect_reset(c);
	close(c);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(requests_alternate, lab_clean),
		cmocka_unit_test_teardown(untagged_leaves_the_gray_pod, lab_clean),
		cmocka_unit_test_teardown(gray_pods_own_requests_are_gray, lab_clean),
		cmocka_unit_test_teardown(cluster_ip_becomes_a_pod, lab_clean),
		cmocka_unit_test_teardown(mapped_addresses, lab_clean),
		cmocka_unit_test_teardown(ends_are_carried_over, lab_clean),
	};

	return RUN_BOTH_WAYS("ipv6", tests, setup, lab_teardown);
}
