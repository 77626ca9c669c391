/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent that has failed leaves with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "daemon/agent_exit.h"

/* Trying again does not help: systemd leaves it (deploy/systemd/laneway.service). */
static void test_lasting(void **state)
{
	/* a right, a kernel, /proc, a PID namespace, a cgroup, a bpffs, a program that does not load */
	static const int needs[] = { EPERM, EOPNOTSUPP, ENOENT, ESRCH, ENOTDIR, ENOTEMPTY, EINVAL };
	/* a program that stands alone; a hook that the kernel does not have */
	static const int refusals[] = { EPERM, EINVAL, EOPNOTSUPP };

	(void)state;
	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		assert_int_equal(lw_agent_exit(lw_agent_kern_error(-needs[i], false)),
				 LW_EXIT_SYSTEM);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++)
		assert_int_equal(lw_agent_exit(lw_agent_kern_error(-refusals[i], true)),
				 LW_EXIT_SYSTEM);
}

static void test_passing(void **state)
{
	static const int shortages[] = { ENOMEM, EAGAIN, EMFILE, ENFILE, ENOSPC, EINTR, EIO };
	/* pins that somebody takes away meanwhile */
	static const int races[] = { ENOENT, EEXIST, ENOMEM, E2BIG };
	/* of the rest: a folder that is not mounted yet, or not to be read; the first state; the control socket */
	static const int others[] = { ENOENT, EACCES, EPERM, ENOMEM, EADDRINUSE, EIO };

	(void)state;
	for (size_t i = 0; i < sizeof(shortages) / sizeof(shortages[0]); i++)
		assert_int_equal(lw_agent_exit(lw_agent_kern_error(-shortages[i], false)),
				 LW_EXIT_FAILED);
	for (size_t i = 0; i < sizeof(races) / sizeof(races[0]); i++)
		assert_int_equal(lw_agent_exit(lw_agent_kern_error(-races[i], true)),
				 LW_EXIT_FAILED);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_int_equal(lw_agent_exit(-others[i]), LW_EXIT_FAILED);
}

static void test_others(void **state)
{
	(void)state;
	assert_int_equal(lw_agent_exit(lw_agent_kern_error(0, false)), LW_EXIT_OK);
	assert_int_equal(lw_agent_exit(lw_agent_kern_error(-EBUSY, false)), LW_EXIT_NO);
	assert_int_equal(lw_agent_exit(lw_agent_kern_error(-EBUSY, true)), LW_EXIT_NO);
	assert_int_equal(LW_EXIT_FAILED, 5); /* is in the docs, and in units */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lasting),
		cmocka_unit_test(test_passing),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests_name("agent_exit", tests, NULL, NULL);
}
