/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's sign of life, and whose doing it was when it gave none for long. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "kern/internal.h"

/* Where the time went. It beats with every punt, and this costs system calls: no more often than that. */
#define SHARE_NS (LW_HEARTBEAT_MAX_NS / 20)

/*
 * What this thread has had of the machine, by /proc/PID/schedstat: nanoseconds on a processor, and ready to run without one. False: this kernel
 * does not count (CONFIG_SCHED_INFO; it says 0 then), or the file cannot be had.
 */
static bool read_share(struct lw_share *ret)
{
	_cleanup_close_ int fd = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	char text[128];
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;

	if (n <= 0)
		return false;
	text[n] = '\0';
	return sscanf(text, "%" SCNu64 " %" SCNu64, &ret->worked_ns, &ret->waited_ns) == 2 &&
	       ret->worked_ns;
}

static uint64_t ms(uint64_t ns)
{
	return ns / LW_NS_PER_MS;
}

static void was_away(const struct lw_kern *kern, uint64_t now, const struct lw_share *share)
{
	const struct lw_share *was = &kern->share;
	char whose[128] = "";

	if (share->known && was->known)
		(void)snprintf(whose, sizeof(whose),
			       " (it worked %" PRIu64 " ms of it, waited %" PRIu64
			       " ms for a processor, and slept or was stopped for the rest)",
			       ms(share->worked_ns - was->worked_ns),
			       ms(share->waited_ns - was->waited_ns));
	lw_warn("the agent gave no sign of life for %" PRIu64
		" ms%s: requests without an upstream socket %s (agent-stale)",
		ms(now - kern->beat_ns), whose,
		kern->fail_closed ? "were refused" : "followed their own peers");
}

void lw_kern_heartbeat(struct lw_kern *kern)
{
	uint64_t now = lw_clock_ns();

	if (!kern->config || !kern->beats)
		return;
	__atomic_store_n(&kern->config->heartbeat_ns, now, __ATOMIC_RELEASE);
	if (now - kern->share.at_ns > SHARE_NS) {
		struct lw_share share = { .at_ns = now };

		share.known = read_share(&share);
		if (kern->beat_ns && now - kern->beat_ns > LW_HEARTBEAT_MAX_NS)
			was_away(kern, now, &share);
		kern->share = share;
	}
	kern->beat_ns = now;
}
