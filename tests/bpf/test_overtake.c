/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes that go past TCP overtake none that go by it, wherever the kernel has those: what TCP has acknowledged is not at the client yet,
 * nor is what waits on its way into the client's socket.
 */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "late_reader.skel.h"
#include "locked.h"
#include "lw_lanes.skel.h"
#include "turns.h"
#include "two_pods.h"

#define LATE_NS (500 * LW_NS_PER_MS)
#define N 3000000
#define INTERIM "HTTP/1.1 102 Processing\r\n\r\n"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ 0 });
}

/* All that fd has sent is acknowledged. */
static bool is_acknowledged(int fd)
{
	struct tcp_info i;
	socklen_t len = sizeof(i);

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &i, &len), 0);
	return !i.tcpi_unacked && !i.tcpi_notsent_bytes;
}

static bool is_late(struct late_reader_bpf *late)
{
	return __atomic_load_n(&late->bss->began, __ATOMIC_ACQUIRE) > __atomic_load_n(&late->bss->ended, __ATOMIC_ACQUIRE);
}

static uint64_t upstream_address(int c)
{
	struct lw_flow f;
	struct lw_far far;

	assert_true(lab_flow(c, &f));
	assert_int_equal(bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_fars), &f.ups[f.up & (LW_FLOW_UPS - 1)].up, &far), 0);
	return far.up_sk;
}

/*
 * An interim response takes the connection, for the client is within a send; somebody has locked the upstream socket when it comes. So it is
 * looked at by whoever unlocks that one, in no interrupt's place: he has had it acknowledged when another takes his processor, or works beside
 * him. The final response comes then. True: it was so, and not over before.
 */
static bool final_response_comes_early(struct late_reader_bpf *late, size_t size)
{
	struct held client, upstream;
	int c, b, g = -1, u, one = 1, room = 65536;
	char *body = lab_noise(size, 1), *got = malloc(size), head[128];
	bool early = false;

	assert_non_null(got);
	open_pair(LAB_BASE, base, &c, &b);
	gray_turn(c, gray, &g);
	/* a request that the pod has no room for: the kernel acknowledges at once what comes while some of it is on the way (tcp_rcv_established()) */
	assert_int_equal(setsockopt(g, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)), 0);
	snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nx-mse-tag: gray\r\nContent-Length: %d\r\n\r\n", (int)size);
	lab_send(c, head);
	lab_expect(g, head);
	lab_send_n(c, body, size);
	assert_int_equal(setsockopt(g, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)), 0);
	u = lab_upstream(c);
	/* or the acknowledgement might wait for more */
	assert_int_equal(setsockopt(u, IPPROTO_TCP, TCP_QUICKACK, &one, sizeof(one)), 0);
	hold(&client, c);
	/* the first of them tell the upstream socket what window to expect, the last does not come unexpected */
	for (int i = 0; i < 3; i++) {
		lab_send(g, INTERIM);
		while (!is_acknowledged(g))
			poll(NULL, 0, 1);
	}
	hold(&upstream, u);
	lab_send(g, INTERIM);
	let_go(&client);
	joined(&client);
	late->bss->late_sk = upstream_address(c);
	let_go(&upstream);
	while (!early && pthread_tryjoin_np(upstream.thread, NULL) == EBUSY)
		early = is_late(late) && is_acknowledged(g) && is_late(late);
	lab_send(g, OK(5, "final"));
	if (early) {
		early = is_late(late);
		joined(&upstream);
	}
	for (int i = 0; i < 4; i++)
		lab_expect(c, INTERIM);
	lab_expect(c, OK(5, "final"));
	late->bss->late_sk = 0;
	lab_recv_n(g, got, size);
	assert_memory_equal(got, body, size);
	gray_turn(c, gray, &g);
	base_turn(c, b);
	close(c);
	close(b);
	close(g);
	close(u);
	free(body);
	free(got);
	return early;
}

static void what_is_acknowledged_is_not_overtaken(void **state)
{
	struct late_reader_bpf *late = late_reader_bpf__open_and_load();
	int early = 0;

	(void)state;
	assert_non_null(late);
	assert_int_equal(late_reader_bpf__attach(late), 0);
	late->bss->late_ns = LATE_NS;
	for (int i = 0; i < 8; i++)
		early += final_response_comes_early(late, N + (size_t)i * 700);
	late_reader_bpf__destroy(late);
	print_message("brought about in %d of 8\n", early);
	/* one processor, which nobody takes from another within the kernel: it does not come about */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1)
		assert_true(early > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(what_is_acknowledged_is_not_overtaken, two_pods_clean),
	};

	if (getenv("LAB_TEST"))
		cmocka_set_test_filter(getenv("LAB_TEST"));
	return cmocka_run_group_tests_name("overtake", tests, setup, two_pods_stop);
}
