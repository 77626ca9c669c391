/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* How long the machine has been suspended: /proc counts from boot and the kernel's own time stands still meanwhile. */
static uint64_t suspended_ns(void)
{
	struct timespec boot, monotonic;
	int64_t ns;

	if (clock_gettime(CLOCK_BOOTTIME, &boot) || clock_gettime(CLOCK_MONOTONIC, &monotonic))
		return 0;
	ns = (int64_t)(boot.tv_sec - monotonic.tv_sec) * (int64_t)LW_NS_PER_SEC + boot.tv_nsec -
	     monotonic.tv_nsec;
	return ns > 0 ? (uint64_t)ns : 0;
}

bool lw_process_is(pid_t pid, uint64_t started_ns)
{
	const uint64_t tick_ns = LW_NS_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	_cleanup_fclose_ FILE *f = NULL;
	unsigned long long ticks;
	char path[32], line[1024];
	const char *end;

	/* of those that are asked for most have ended, and this costs little */
	if (kill(pid, 0) && errno == ESRCH)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f || !fgets(line, sizeof(line), f))
		return false;
	/* a name may have parentheses and blanks of its own; behind it are 19 fields in front of the start */
	end = strrchr(line, ')');
	if (!end || sscanf(end + 1,
			   " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s"
			   " %*s %*s %llu",
			   &ticks) != 1)
		return false;
	return (ticks + 1) * tick_ns > started_ns &&
	       ticks * tick_ns <= started_ns + suspended_ns() + tick_ns;
}
