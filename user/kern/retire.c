/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An agent that another one has taken over from: both work on the same maps for a while. Programs give no request to our
 * upstream sockets any more (lw_config.agent), but those that are on them end there, and answers find their way. Events
 * are the other agent's; what they would have told is read from the maps, again and again until no socket is left.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"
#include "kern/upstream.h"

#define LOOK_SECONDS 0.02
/* Network namespaces are let go of every five seconds, as by an agent that is at work (upstreams.c). */
#define SWEEP_LOOKS 250
/* A program that began before the other agent was at work has sent by then. */
#define IDLE_NS LW_NS_PER_SEC
/* Looked at in one go: the rest waits for the next. */
#define LOOK_MAX 4096

struct look {
	size_t skip; /* looked at before */
	size_t n;
	struct upstream *at[LOOK_MAX];
};

static bool collect(void *value, void *arg)
{
	struct look *look = arg;

	if (look->skip)
		look->skip--;
	else if (look->n < LOOK_MAX)
		look->at[look->n++] = value;
	return true;
}

/* What an event would have said of it. False: others may have gone with it. */
static bool look_at(struct lw_upstreams *ups, struct upstream *u)
{
	struct lw_flow flow;
	struct lw_up state;

	if (u->state == UPSTREAM_CONNECTING && u->pool) {
		lw_upstream_close(ups, u);
		return true;
	}
	if (u->state == UPSTREAM_READY) {
		if (lw_upstream_state(ups, u, &state) && state.down)
			lw_upstream_taken(ups, u, state.down);
		else
			/* leaves it alone if it is taken in this moment */
			lw_upstream_close(ups, u);
		return true;
	}
	if (u->state != UPSTREAM_BOUND)
		return true;
	if (u->punt && lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_ORPHAN)) {
		/* with what is left of the request, which would be taken for one that is under way when we end */
		lw_upstream_close(ups, u);
		return true;
	}
	if (u->relay || u->relay_of || u->punt) {
		if (lw_upstream_flow(ups, u->down, &flow) != -ENOENT)
			return true;
		lw_upstream_close_all(ups, u->down);
		return false;
	}
	if (ev_is_active(&u->timer))
		return true;
	if (!lw_upstream_state(ups, u, &state) || (state.flags & LW_UP_ORPHAN) ||
	    lw_upstream_flow(ups, u->down, &flow)) {
		lw_upstream_close(ups, u);
		return true;
	}
	if ((state.flags & LW_UP_RELAY) && !u->relayed)
		lw_relay_start(ups, u);
	else if (state.flags & LW_UP_DEAD)
		lw_upstream_ended(ups, u);
	else if ((flow.flags & LW_FLOW_FIN_SENT) && !lw_punt_has(ups, u->down))
		(void)shutdown(u->fd, SHUT_WR); /* once more does no harm */
	else if (u->far < 0 && lw_clock_ns() - ups->retired_ns > IDLE_NS &&
		 !lw_upstream_is_unfinished(ups, u, &flow))
		lw_upstream_close(ups, u);
	return true;
}

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
	static struct look look;
	struct lw_upstreams *ups = w->data;

	(void)loop;
	(void)events;
	/* until the other one is at work what programs hand over is ours */
	if (ups->kern->beats && ups->kern->config->agent == ups->kern->number)
		lw_kern_heartbeat(ups->kern);
	else
		ups->kern->beats = false;
	lw_gone_forget(ups, false);
	look.n = 0;
	look.skip = ups->retire_at;
	lw_bytemap_filter(&ups->by_cookie, collect, &look);
	ups->retire_at = look.n == LOOK_MAX ? ups->retire_at + LOOK_MAX : 0;
	for (size_t i = 0; i < look.n && look_at(ups, look.at[i]); i++)
		;
	if (++ups->ticks % SWEEP_LOOKS == 0)
		lw_netns_sweep(ups->netns);
}

void lw_upstreams_retire(struct lw_upstreams *ups)
{
	if (!ups || ups->retired)
		return;
	ups->retired = true;
	ups->retired_ns = lw_clock_ns();
	ev_io_stop(ups->loop, &ups->ring_io);
	ev_timer_stop(ups->loop, &ups->heartbeat);
	ev_timer_stop(ups->loop, &ups->tick);
	ev_timer_init(&ups->retire, on_look, 0., LOOK_SECONDS);
	ups->retire.data = ups;
	ev_timer_start(ups->loop, &ups->retire);
}

void lw_upstreams_other_gone(struct lw_upstreams *ups)
{
	struct lw_pool_key key, next;
	int fd, r;

	if (!ups || !ups->kern->adopts)
		return;
	fd = bpf_map__fd(ups->kern->skel->maps.lw_pools);
	r = bpf_map_get_next_key(fd, NULL, &next);
	while (!r) {
		struct lw_bytes bytes;

		key = next;
		bytes = LW_BYTES_OF(key);
		r = bpf_map_get_next_key(fd, &key, &next); /* before the key may go */
		if (!lw_bytemap_get(&ups->pools, &bytes, 1))
			(void)bpf_map_delete_elem(fd, &key);
	}
}
