/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of lw_ups whose sockets have been closed. The kernel gives a row that is deleted to the next socket at once, and a program that has looked it
 * up before would write there: a pod's thread, which sends a response, does so under its own socket's lock, not under that of ours. So they
 * are kept, as good as none (LW_UP_GONE), until such a program has ended: they take microseconds, if their thread keeps its processor.
 */
#include <bpf/bpf.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

#define GONE_NS (2 * LW_NS_PER_SEC)

static void delete_row(struct lw_upstreams *ups, uint64_t cookie)
{
	(void)bpf_map_delete_elem(bpf_map__fd(ups->kern->skel->maps.lw_ups), &cookie);
}

static void forget_oldest(struct lw_upstreams *ups)
{
	delete_row(ups, ups->gone[ups->gone_at].cookie);
	ups->gone_at = (ups->gone_at + 1) % LW_GONE_MAX;
	ups->ngone--;
}

void lw_gone_add(struct lw_upstreams *ups, uint64_t cookie)
{
	struct lw_up_mark_args args = { .up = cookie,
					.flags = LW_UP_GONE | LW_UP_DEAD | LW_UP_ORPHAN };
	struct lw_gone *gone;

	if (lw_kern_call(ups->kern->skel->progs.lw_up_mark, &args, sizeof(args))) {
		delete_row(ups, cookie); /* there is none, or it cannot be marked */
		return;
	}
	if (ups->ngone == LW_GONE_MAX)
		forget_oldest(ups);
	gone = &ups->gone[(ups->gone_at + ups->ngone++) % LW_GONE_MAX];
	gone->cookie = cookie;
	gone->at_ns = lw_clock_ns();
}

void lw_gone_forget(struct lw_upstreams *ups, bool all)
{
	uint64_t now = lw_clock_ns();

	while (ups->ngone && (all || now - ups->gone[ups->gone_at].at_ns > GONE_NS)) {
		lw_kern_heartbeat(ups->kern);
		forget_oldest(ups);
	}
}
