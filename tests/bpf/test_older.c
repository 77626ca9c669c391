/* SPDX-License-Identifier: Apache-2.0 */
/*
 * More connections that pods had accepted before the agent than there is room for: it says so, rather than knowing some of them.
 * (begin() of the kernel side then takes nobody's work for evidence.) A pod is a child in a network namespace of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../harness/lab.h"
#include "kern/internal.h"

static pid_t pod;

/* A connection of the pod's to itself; says so with a byte. */
static void pod_child(int out)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	socklen_t len = sizeof(sa);
	int l, c;

	if (unshare(CLONE_NEWNET))
		_exit(1);
	l = socket(AF_INET, SOCK_STREAM, 0);
	c = socket(AF_INET, SOCK_STREAM, 0);
	if (ioctl(c, SIOCSIFFLAGS, &lo) || bind(l, (struct sockaddr *)&sa, len) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&sa, &len) ||
	    connect(c, (struct sockaddr *)&sa, len) || accept(l, NULL, NULL) < 0 ||
	    write(out, "", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static int setup(void **state)
{
	int fds[2];
	char c;

	(void)state;
	lab_start(&(struct lab_options){ .no_agent = true });
	assert_int_equal(pipe(fds), 0);
	pod = fork();
	if (!pod)
		pod_child(fds[1]);
	close(fds[1]);
	assert_int_equal(read(fds[0], &c, 1), 1);
	close(fds[0]);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	kill(pod, SIGKILL);
	waitpid(pod, NULL, 0);
	lab_stop();
	return 0;
}

static size_t rows(int fd, uint64_t from)
{
	uint64_t key, *at = NULL;
	size_t n = 0;

	while (!bpf_map_get_next_key(fd, at, &key)) {
		at = &key;
		n += key < from;
	}
	return n;
}

static void no_room_for_all(void **state)
{
	const uint64_t first = 1ull << 40; /* no socket has such a number */
	int fd = bpf_map__fd(lab_kern()->skel->maps.lw_older);
	struct lw_tuple none = { 0 };
	uint64_t n = 0, key;

	(void)state;
	for (key = first; !bpf_map_update_elem(fd, &key, &none, BPF_NOEXIST); key++)
		n++;
	assert_int_equal(errno, E2BIG);
	assert_in_range(n, LW_MAX_OLDER / 2, LW_MAX_OLDER);
	lab_kern()->config->flags &= ~(uint32_t)LW_CONF_OLDER;
	assert_int_equal(lw_reads_add_older(lab_kern()), -E2BIG);
	assert_int_equal(lab_kern()->config->flags & LW_CONF_OLDER, 0);
	for (key = first; key < first + n; key++)
		assert_int_equal(bpf_map_delete_elem(fd, &key), 0);
	/* and with room it knows them, the pod's among them */
	assert_int_equal(lw_reads_add_older(lab_kern()), 0);
	assert_int_equal(lab_kern()->config->flags & LW_CONF_OLDER, LW_CONF_OLDER);
	assert_true(rows(fd, first) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(no_room_for_all) };

	return !!cmocka_run_group_tests_name("older", tests, setup, teardown);
}
