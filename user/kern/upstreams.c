/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All upstream sockets: what the kernel side tells of them, what it could not tell and is swept up, signs of life, and the end.
 */
#include "kern/upstream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/aside.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kern/downstream.h"
#include "kern/ends.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

#define HEARTBEAT_SECONDS 0.1
#define TICK_SECONDS 1.0
/* Ticks between looks at bound sockets, for what we have not been told. */
#define SWEEP_TICKS 5
/* A fresh socket that nobody took in this time is closed. */
#define POOL_IDLE_NS (2 * LW_NS_PER_SEC)
/* Taken from the ring at once: the rest waits for a turn of the loop, as punts and new connections do. */
#define EVENTS_MAX 512
/* libbpf stops at a negative number, and has taken this one out then. */
#define ENOUGH (-ECANCELED)
#define DRAIN_SECONDS 5.0
#define DRAIN_LOOK_SECONDS 0.02

static int on_event(void *arg, void *data, size_t size)
{
	struct lw_upstreams *ups = arg;
	const struct lw_event *e = data;
	struct lw_pool_key key = { .netns = e->netns, .addr = e->addr, .port = e->port };
	struct upstream *u;

	lw_kern_heartbeat(ups->kern);
	if (size < sizeof(*e))
		return 0;
	switch (e->type) {
	case LW_EVENT_TAKEN:
		u = lw_upstream_get(ups, e->up);
		if (u && u->state == UPSTREAM_READY)
			lw_upstream_taken(ups, u, e->down);
		lw_pool_demand(ups, &key, e->lane, (pid_t)e->pid);
		break;
	case LW_EVENT_DOWN_CLOSED:
		lw_upstream_close_all(ups, e->down);
		break;
	case LW_EVENT_DOWN_FIN:
		if (!lw_punt_has(ups, e->down))
			lw_upstream_fin(ups, e->down);
		break;
	case LW_EVENT_UP_DEAD:
		u = lw_upstream_get(ups, e->up);
		if (u && u->state != UPSTREAM_CONNECTING)
			lw_upstream_ended(ups, u);
		break;
	case LW_EVENT_RELAY:
		u = lw_upstream_get(ups, e->up);
		if (u && u->state == UPSTREAM_BOUND && !u->relay)
			lw_relay_start(ups, u);
		break;
	case LW_EVENT_UP_RELEASED:
		u = lw_upstream_get(ups, e->up);
		if (u && u->punt) /* what is left of the request goes with it */
			lw_punt_forget(ups, u->down);
		else if (u)
			lw_upstream_close(ups, u);
		break;
	default:
		break;
	}
	return ++ups->events < EVENTS_MAX ? 0 : ENOUGH;
}

static void on_ring(struct ev_loop *loop, ev_io *w, int events)
{
	struct lw_upstreams *ups = w->data;

	(void)loop;
	(void)events;
	ups->events = 0;
	(void)ring_buffer__consume(ups->ring);
}

/* Each turn of the loop: an agent with more to do than it can is alive, and its timers are late. */
static void on_turn(struct ev_loop *loop, ev_prepare *w, int events)
{
	struct lw_upstreams *ups = w->data;

	(void)loop;
	(void)events;
	lw_kern_heartbeat(ups->kern);
}

static void on_heartbeat(struct ev_loop *loop, ev_timer *w, int events)
{
	struct lw_upstreams *ups = w->data;

	(void)loop;
	(void)events;
	lw_kern_heartbeat(ups->kern);
	lw_gone_forget(ups, false);
}

/* The ring of events may have been full: what those that were lost would have said is read from the maps. */
#define SWEEP_MAX 4096

struct sweep {
	struct lw_upstreams *ups;
	uint64_t stale[SWEEP_MAX]; /* cookies: with one socket others may go */
	size_t n;
	uint64_t now;
	bool bound; /* look at bound ones too */
};

/* Its downstream socket is gone, or has let go of it. One that has closed its sending side is told to the pod. */
static bool is_over(struct lw_upstreams *ups, struct upstream *u)
{
	struct lw_flow flow;
	struct lw_up state;

	if (lw_upstream_flow(ups, u->down, &flow) == -ENOENT)
		return true;
	if (u->punt) /* what is left of the request goes with it */
		return lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_ORPHAN);
	if (u->relay || u->relay_of || u->far >= 0 || ev_is_active(&u->timer))
		return false;
	if (lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_ORPHAN))
		return true;
	if ((flow.flags & LW_FLOW_FIN_SENT) && !lw_punt_has(ups, u->down))
		(void)shutdown(u->fd, SHUT_WR); /* once more does no harm */
	return false;
}

static bool sweep_one(void *value, void *arg)
{
	struct sweep *s = arg;
	struct upstream *u = value;

	lw_kern_heartbeat(s->ups->kern);
	if (s->n < SWEEP_MAX &&
	    ((u->state == UPSTREAM_READY && s->now - u->since_ns > POOL_IDLE_NS) ||
	     (s->bound && u->state == UPSTREAM_BOUND && is_over(s->ups, u))))
		s->stale[s->n++] = u->cookie;
	return true;
}

static void end_stale(struct lw_upstreams *ups, uint64_t cookie)
{
	struct upstream *u = lw_upstream_get(ups, cookie);
	struct lw_flow flow;
	struct lw_up state;

	lw_kern_heartbeat(ups->kern);
	if (!u)
		return;
	if (u->state == UPSTREAM_READY && lw_upstream_state(ups, u, &state) && state.down)
		lw_upstream_taken(ups, u, state.down);
	else if (u->state == UPSTREAM_BOUND && lw_upstream_flow(ups, u->down, &flow) == -ENOENT)
		lw_upstream_close_all(ups, u->down);
	else
		lw_upstream_close(ups, u);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	static struct sweep s;
	struct lw_upstreams *ups = w->data;

	(void)loop;
	(void)events;
	s.ups = ups;
	s.now = lw_clock_ns();
	/* where there was more to do than one look takes, the next one is at the next tick */
	s.bound = ++ups->ticks % SWEEP_TICKS == 0 || s.n == SWEEP_MAX;
	s.n = 0;
	lw_room_tick(ups, s.bound);
	lw_tcp_memory_tick(ups->kern);
	lw_bytemap_filter(&ups->by_cookie, sweep_one, &s);
	for (size_t i = 0; i < s.n; i++)
		end_stale(ups, s.stale[i]);
	lw_pools_tick(ups);
	if (s.bound)
		lw_netns_sweep(ups->netns);
}

int lw_upstreams_start(struct lw_kern *kern, struct ev_loop *loop,
		       const struct lw_upstreams_options *options, struct lw_upstreams **ret)
{
	_cleanup_(lw_upstreams_stop) struct lw_upstreams *ups = NULL;
	int r;

	*ret = NULL;
	if (lw_kern_mode(kern) == LW_KERN_MODE_NONE)
		return 0;
	ups = calloc(1, sizeof(*ups));
	if (!ups)
		return -ENOMEM;
	ups->kern = kern;
	ups->loop = loop;
	ups->fail_closed = options->fail_closed;
	ups->pool_max = options->pool_max ? options->pool_max : LW_POOL_MAX_DEFAULT;
	if (ups->pool_max > LW_POOL_SLOTS)
		ups->pool_max = LW_POOL_SLOTS;
	r = lw_netns_new(&ups->netns);
	if (r)
		return r;
	ups->ring = ring_buffer__new(bpf_map__fd(kern->skel->maps.lw_events), on_event, ups, NULL);
	if (!ups->ring)
		return -errno;
	r = lw_ends_new(loop, lw_upstream_on_eof, ups, &ups->ends);
	if (r)
		return r;
	r = lw_punts_start(ups);
	if (r)
		return r;
	if (kern->other)
		lw_room_count_others(ups);
	ev_io_init(&ups->ring_io, on_ring, ring_buffer__epoll_fd(ups->ring), EV_READ);
	ev_timer_init(&ups->heartbeat, on_heartbeat, 0., HEARTBEAT_SECONDS);
	ev_timer_init(&ups->tick, on_tick, TICK_SECONDS, TICK_SECONDS);
	ups->ring_io.data = ups->heartbeat.data = ups->tick.data = ups;
	ev_io_start(loop, &ups->ring_io);
	ev_timer_start(loop, &ups->heartbeat);
	kern->beats = true;
	ev_prepare_init(&ups->beat, on_turn);
	ups->beat.data = ups;
	ev_prepare_start(loop, &ups->beat);
	ev_timer_start(loop, &ups->tick);
	*ret = TAKE_PTR(ups);
	return 0;
}

struct count {
	struct lw_upstreams *ups;
	size_t n;
};

static bool count_one(void *value, void *arg)
{
	struct count *c = arg;
	struct lw_flow flow;

	c->n += lw_upstream_is_unfinished(c->ups, value, &flow);
	return true;
}

static void on_drain(struct ev_loop *loop, ev_timer *w, int events)
{
	struct lw_upstreams *ups = w->data;
	struct count c = { .ups = ups, .n = ups->punts.count };

	(void)events;
	lw_bytemap_filter(&ups->by_cookie, count_one, &c);
	if ((!c.n && !lw_ends_any(ups->ends)) || lw_clock_ns() >= ups->drain_until_ns)
		ev_break(loop, EVBREAK_ALL);
}

void lw_upstreams_drain(struct lw_upstreams *ups)
{
	ev_timer timer;

	if (!ups)
		return;
	if (!ups->retired) /* else others steer on by the same maps */
		lw_kern_stop_steering(ups->kern);
	ups->drain_until_ns = lw_clock_ns() + (uint64_t)(DRAIN_SECONDS * LW_NS_PER_SEC);
	ev_timer_init(&timer, on_drain, 0., DRAIN_LOOK_SECONDS);
	timer.data = ups;
	ev_timer_start(ups->loop, &timer);
	ev_run(ups->loop, 0);
	ev_timer_stop(ups->loop, &timer);
}

struct all {
	struct upstream *at[256];
	size_t n;
};

static bool collect_one(void *value, void *arg)
{
	struct all *all = arg;

	if (all->n < sizeof(all->at) / sizeof(all->at[0]))
		all->at[all->n++] = value;
	return true;
}

void lw_upstreams_stop(struct lw_upstreams **ups_)
{
	struct lw_upstreams *ups = *ups_;
	struct all all;

	*ups_ = NULL;
	if (!ups)
		return;
	if (ups->ring_io.data) {
		ev_io_stop(ups->loop, &ups->ring_io);
		ev_timer_stop(ups->loop, &ups->heartbeat);
		ups->kern->beats = false;
		ev_prepare_stop(ups->loop, &ups->beat);
		ev_timer_stop(ups->loop, &ups->tick);
	}
	if (ups->retired)
		ev_timer_stop(ups->loop, &ups->retire);
	lw_punts_stop(ups);
	do {
		all.n = 0;
		lw_bytemap_filter(&ups->by_cookie, collect_one, &all);
		for (size_t i = 0; i < all.n; i++) {
			struct lw_flow flow;

			if (lw_upstream_is_unfinished(ups, all.at[i], &flow))
				(void)lw_downstream_reset(ups->netns, all.at[i]->down, &flow);
			if (all.at[i]->state == UPSTREAM_READY)
				all.at[i]->pool->ready--;
			if (all.at[i]->state != UPSTREAM_BOUND)
				all.at[i]->state = UPSTREAM_FAILED;
			lw_upstream_close(ups, all.at[i]);
		}
	} while (all.n);
	lw_gone_forget(ups, true);
	lw_aside_settle(LW_LOCKS_PATIENCE_MS);
	lw_ends_free(&ups->ends);
	lw_pools_free(ups);
	lw_bytemap_clear(&ups->by_cookie);
	lw_bytemap_clear(&ups->by_down);
	ring_buffer__free(ups->ring);
	lw_netns_free(&ups->netns);
	free(ups->relay_buf);
	free(ups);
}
