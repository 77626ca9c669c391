/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whether there is room for one more upstream socket: descriptors of the agent, and rows of lw_ups; and for one more request
 * that has none.
 */
#include <sys/resource.h>

#include "base/clock.h"
#include "base/log.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

/*
 * Descriptors and rows that sockets for a lane leave alone: what is refused is answered with a connection of the agent's
 * own, what is cut off is reset, and commands are answered by others. Half of it for requests that fall back to their peer.
 */
#define RESERVE 128

static int count_other(uint64_t cookie, const struct lw_up *up, void *arg)
{
	struct lw_upstreams *ups = arg;

	(void)cookie;
	ups->others += up->agent != ups->kern->number;
	return 0;
}

void lw_room_count_others(struct lw_upstreams *ups)
{
	ups->others = 0;
	(void)lw_kern_each_up(ups->kern, count_other, ups);
}

static bool is_full(const struct lw_upstreams *ups, size_t keep)
{
	return ups->by_cookie.count + ups->ngone + ups->others >= LW_MAX_UPSTREAMS - keep;
}

/* fd is new, and so the lowest that was free. */
bool lw_room_in_reserve(const struct lw_upstreams *ups, int fd, uint16_t lane)
{
	size_t keep = lane == LW_LANE_ONCE ? RESERVE / 2 : RESERVE;
	struct rlimit l;

	return is_full(ups, keep) ||
	       (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur != RLIM_INFINITY &&
		(rlim_t)fd + keep >= l.rlim_cur);
}

bool lw_room_holds_much(const struct lw_upstreams *ups)
{
	return ups->punt_held > LW_PUNT_HELD_MAX / 4 * 3;
}

void lw_room_is_out(struct lw_upstreams *ups)
{
	const char *what = ups->fail_closed ? "are refused" : "follow their own peers";

	if (ups->short_of || ups->retired)
		return;
	ups->short_of = true;
	lw_kern_take_punts(ups->kern, false);
	if (lw_clock_ns() - ups->short_told_ns > 60 * LW_NS_PER_SEC || !ups->short_told_ns) {
		ups->short_told_ns = lw_clock_ns();
		if (lw_room_holds_much(ups)) {
			lw_warn("requests that pods are slow to take fill %zu MiB here: others that need an upstream socket %s",
				ups->punt_held >> 20, what);
			return;
		}
		lw_warn("no room for more upstream sockets (%zu are open, and %zu another agent's): requests that need one %s; %s",
			ups->by_cookie.count, ups->others, what,
			is_full(ups, RESERVE) ? "there can be no more" :
						"raise the limit of open files");
	}
}

void lw_room_tick(struct lw_upstreams *ups, bool count)
{
	if (ups->others && (count || ups->short_of))
		lw_room_count_others(ups);
	if (ups->short_of && !is_full(ups, RESERVE) && !lw_room_holds_much(ups)) {
		ups->short_of = false;
		lw_kern_take_punts(ups->kern, true);
	}
}
