/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/agent_exit.h"

#include <errno.h>

/* Somebody has too much of something for the moment, or has it first. */
static bool is_passing(int r)
{
	switch (r) {
	case -ENOMEM:
	case -EAGAIN:
	case -EBUSY:
	case -EINTR:
	case -EIO:
	case -EMFILE:
	case -ENFILE:
	case -ENOBUFS:
	case -ENOSPC:
	case -ETIMEDOUT:
		return true;
	default:
		return false;
	}
}

/* The kernel refuses, and will: it does not know it, does not allow it, or somebody else's program stands alone there. */
static bool is_refused(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
	case -EINVAL:
	case -ENOSYS:
	case -EOPNOTSUPP:
		return true;
	default:
		return false;
	}
}

int lw_agent_kern_error(int r, bool tried)
{
	if (r < 0 && (tried ? is_refused(r) : !is_passing(r)))
		return -EOPNOTSUPP;
	return r;
}

enum lw_exit lw_agent_exit(int r)
{
	switch (r) {
	case 0:
		return LW_EXIT_OK;
	case -EBUSY:
		return LW_EXIT_NO;
	case -EOPNOTSUPP:
		return LW_EXIT_SYSTEM;
	default:
		return LW_EXIT_FAILED;
	}
}
