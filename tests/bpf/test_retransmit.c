/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Segments that come again with new bytes behind those that have arrived already. TCP leaves it to the reader to
 * pass over what it has (tcp_recvmsg()); a verdict program is given all of it (tcp_read_skb()).
 */
#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "turns.h"
#include "both_ways.h"
#include "two_pods.h"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

/* Nothing that comes to fd is taken any more; its TCP never hears of it. */
static void deafen(int fd)
{
	struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { .len = 1, .filter = &drop };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)), 0);
}

static void undeafen(int fd)
{
	int none = 0;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none)), 0);
}

/*
 * `to` gets one, and then one and two in one segment: the acknowledgement of one does not arrive, nor does two
 * the first time, so that both are sent again together (tcp_retrans_try_collapse()).
 */
static void send_overlapping(int from, int to, const char *one, const char *two)
{
	uint32_t sent;

	deafen(from);
	lab_send(from, one);
	lab_expect(to, one);
	deafen(to);
	sent = lab_tcp_info(from).tcpi_total_retrans;
	lab_send(from, two);
	/* more than the probe of the last segment: what comes now starts with the first */
	while (lab_tcp_info(from).tcpi_total_retrans < sent + 2)
		usleep(1000);
	undeafen(to);
	undeafen(from);
}

static void base_bytes_come_once(void **state)
{
	int c, b;

	(void)state;
	for (int i = 0; i < 3; i++) {
		open_pair(LAB_BASE, base, &c, &b);
		lab_send(c, BASE_REQUEST);
		lab_expect(b, BASE_REQUEST);
		lab_send(b, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
		lab_expect(c, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n");
		send_overlapping(b, c, "0123456789", "abcdefghij");
		lab_expect(c, "abcdefghij");
		base_turn(c, b);
		close(c);
		close(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(base_bytes_come_once, lab_clean),
	};

	return RUN_BOTH_WAYS("retransmit", tests, setup, lab_teardown);
}
