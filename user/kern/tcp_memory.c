/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where TCP runs out of memory (net.ipv4.tcp_mem). An enrolled socket is worse off then than any other: TCP lets each socket send something,
 * whatever the bound (tcp_sendmsg_locked(), force_schedule), but a send that a program is to look at waits until there is memory
 * (tcp_bpf_sendmsg(), sk_msg_alloc()): of a base request, too. So before it is out nothing more is enrolled, and what is enrolled is left to TCP
 * at a moment when nothing of it is under way elsewhere: first it is told that its next request is the own peer's, then, a
 * tick later, it is taken out of its map. Not where it has a verdict program, whose queue would go with it; nor where its own peer
 * may be a canary, or its client is not believed (lw_may_be_plain()).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/internal.h"

/* Pages that TCP has, and that it may have. False: not told here. */
static bool read_memory(unsigned long *ret_used, unsigned long *ret_max)
{
	_cleanup_fclose_ FILE *stat = fopen("/proc/net/sockstat", "re"),
			      *sysctl = fopen("/proc/sys/net/ipv4/tcp_mem", "re");
	char line[256];

	if (!stat || !sysctl || fscanf(sysctl, "%*u %*u %lu", ret_max) != 1)
		return false;
	while (fgets(line, sizeof(line), stat)) {
		const char *mem = strncmp(line, "TCP: ", 5) ? NULL : strstr(line, " mem ");

		if (mem)
			return sscanf(mem, " mem %lu", ret_used) == 1;
	}
	return false;
}

static int leave(struct lw_kern *kern, uint64_t cookie, enum lw_leave what)
{
	struct lw_leave_args args = { .down = cookie, .what = what };

	return lw_kern_call(kern->skel->progs.lw_leave, &args, sizeof(args));
}

static int leave_one(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	struct lw_kern *kern = arg;

	(void)flow;
	if (leave(kern, cookie, LW_LEAVE_ASK) == 0 &&
	    !bpf_map_delete_elem(bpf_map__fd(kern->skel->maps.lw_down_socks), &cookie))
		(void)leave(kern, cookie, LW_LEAVE_LEFT);
	return 0;
}

static int keep_one(uint64_t cookie, const struct lw_flow *flow, void *arg)
{
	if (flow->noticed & LW_KEEP_MEMORY)
		(void)leave(arg, cookie, LW_LEAVE_NOT);
	return 0;
}

void lw_tcp_memory_tick(struct lw_kern *kern)
{
	unsigned long used, max;
	bool is_short;

	if (!read_memory(&used, &max))
		return;
	is_short = used > (kern->tcp_short ? max / 4 * 3 : max / 8 * 7);
	if (!is_short && (kern->tcp_short || !kern->tcp_looked))
		(void)lw_kern_each_flow(kern, keep_one, kern);
	kern->tcp_looked = true;
	if (is_short != kern->tcp_short) {
		kern->tcp_short = is_short;
		lw_kern_set_flag(kern, LW_CONF_TCP_SHORT, is_short);
		if (is_short)
			lw_warn("TCP has %lu of the %lu pages that net.ipv4.tcp_mem lets it have: new connections are not steered (tcp-memory)%s",
				used, max,
				kern->found.mode == LW_KERN_MODE_VERDICT ?
					"" :
					", and those that are become plain ones");
		else
			lw_info("TCP has memory again: new connections are steered");
	}
	if (is_short && kern->found.mode != LW_KERN_MODE_VERDICT)
		(void)lw_kern_each_flow(kern, leave_one, kern);
}
