/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

/* A child with a name that is hard to read. */
static pid_t begin(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)prctl(PR_SET_NAME, ") S (1 2) 3");
		for (;;)
			(void)pause();
	}
	assert_true(pid > 0);
	return pid;
}

static void end(pid_t pid)
{
	(void)kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_is(void **state)
{
	uint64_t started_ns = lw_clock_ns(), until_ns;
	pid_t pid = begin();

	(void)state;
	/* it was made in between, however long that took */
	until_ns = lw_clock_ns();
	while (!lw_process_is(pid, started_ns) && started_ns < until_ns)
		started_ns += 5 * LW_NS_PER_MS;
	for (int i = 0; i < 20; i++) {
		assert_true(lw_process_is(pid, started_ns));
		(void)usleep(1000); /* by then it has its name */
	}
	/* a process that had the number before, and one that has it later */
	assert_false(lw_process_is(pid, started_ns - LW_NS_PER_SEC / 5));
	assert_false(lw_process_is(pid, started_ns + LW_NS_PER_SEC / 5));
	assert_false(lw_process_is(pid, 1));
	end(pid);
	assert_false(lw_process_is(pid, started_ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_is),
	};

	return cmocka_run_group_tests_name("process", tests, NULL, NULL);
}
