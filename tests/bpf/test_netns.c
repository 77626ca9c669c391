/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Network namespaces by their cookies (user/kern/netns.c): without programs, but not without root.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/sockios.h>

#include "kern/netns.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

/* A socket in a namespace of its own, where no process is. */
static int lonely_socket(void)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC), sock;

	assert_true(own >= 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(setns(own, CLONE_NEWNET), 0);
	assert_true(sock >= 0);
	close(own);
	return sock;
}

/* A process in the socket's namespace, until it is killed or the test ends. */
static pid_t move_in(int sock)
{
	int fd = ioctl(sock, SIOCGSKNS), told[2];
	pid_t pid;
	char c;

	assert_true(fd >= 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!prctl(PR_SET_PDEATHSIG, SIGKILL) && !setns(fd, CLONE_NEWNET) &&
		    write(told[1], "", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	close(fd);
	close(told[1]);
	assert_int_equal(read(told[0], &c, 1), 1);
	close(told[0]);
	return pid;
}

/* To look through all processes with each request of such a client would take the agent's time. */
static void one_that_is_not_found_is_not_looked_for_again(void **state)
{
	int sock = lonely_socket(), found;
	struct lw_netns *ns = NULL;
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);
	pid_t pid;

	(void)state;
	assert_int_equal(getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len), 0);
	assert_int_equal(lw_netns_new(&ns), 0);
	assert_int_equal(lw_netns_socket(ns, cookie, 1, AF_INET, SOCK_DGRAM, 0), -ENOENT);
	pid = move_in(sock);
	assert_int_equal(lw_netns_socket(ns, cookie, pid, AF_INET, SOCK_DGRAM, 0), -ENOENT);
	lw_netns_sweep(ns);
	found = lw_netns_socket(ns, cookie, 1, AF_INET, SOCK_DGRAM, 0);
	assert_true(found >= 0);
	close(found);
	/* it is known now, whoever is in it */
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	found = lw_netns_socket(ns, cookie, 1, AF_INET, SOCK_DGRAM, 0);
	assert_true(found >= 0);
	close(found);
	close(sock);
	lw_netns_free(&ns);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_is_not_found_is_not_looked_for_again),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
