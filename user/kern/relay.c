/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Responses to slow readers. A packet redirected to a socket waits there without a window: the pod could send for
 * ever. Past LW_BACKLOG_MAX packets the rest of what an upstream socket brings stays in its own queue, where TCP
 * holds the pod back, and the agent carries it over a loopback connection of its own, no faster than it is read.
 * There is no way back on that socket: bytes would overtake others.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "kern/downstream.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

#define RELAY_BUF (128 << 10)
/* Packets that may wait for the reader when more are sent on. */
#define BACKLOG_LOW 32
#define LOOK_SECONDS 0.005
/* So often for this many at once; where there are more, each is looked at more seldom. A look is a call into the kernel. */
#define LOOK_MANY 128
/* Moved in one turn: a client that has become quick again, with a pod that is quick, would have the agent to itself. */
#define PUMP_ROUNDS 16

static void on_look(struct ev_loop *loop, ev_timer *w, int events)
{
	struct upstream *u = w->data;

	(void)loop;
	(void)events;
	lw_kern_heartbeat(u->ups->kern);
	lw_relay_pump(u->ups, u);
}

static double look_again(const struct lw_upstreams *ups)
{
	return ups->relays > LOOK_MANY ? LOOK_SECONDS * ups->relays / LOOK_MANY : LOOK_SECONDS;
}

void lw_relay_unlink(struct upstream *u)
{
	ev_io_stop(u->ups->loop, &u->relay->room);
	free(u->rest);
	u->rest = NULL;
	u->rest_len = 0;
	u->ups->relays--;
	u->relay->relay_of = NULL;
	u->relay = NULL;
}

static void give_up(struct lw_upstreams *ups, struct upstream *u, const char *what, int error)
{
	struct lw_flow flow;

	lw_warn("%s for a slow client: %s, resetting it", what, strerror(error));
	if (!lw_upstream_flow(ups, u->down, &flow))
		(void)lw_downstream_reset(ups->netns, u->down, &flow);
	lw_upstream_close(ups, u);
}

void lw_relay_start(struct lw_upstreams *ups, struct upstream *u)
{
	int r = 0;

	u->relayed = true;
	if (!ups->relay_buf) {
		ups->relay_buf = malloc(RELAY_BUF);
		if (!ups->relay_buf)
			r = -ENOMEM;
	}
	if (!r)
		r = lw_upstream_local(ups, &(struct lw_pool_key){ .netns = u->key.netns }, u->down,
				      LW_FRAME_HEAD, &u->relay);
	if (r) {
		give_up(ups, u, "make a connection", -r);
		return;
	}
	u->relay->relay_of = u;
	ups->relays++;
	lw_upstream_opaque(ups, u->relay);
	ev_timer_stop(ups->loop, &u->timer);
	lw_relay_pump(ups, u);
}

/* The last byte has been read: what follows from the end is as for any upstream socket. */
static void ended(struct lw_upstreams *ups, struct upstream *u)
{
	struct upstream *relay = u->relay;
	struct lw_up state;

	if (lw_upstream_state(ups, u, &state) && lw_upstream_ends_downstream(&state)) {
		/* its FIN is the client's; then it is over, too */
		(void)shutdown(relay->far, SHUT_WR);
		lw_upstream_close(ups, u);
		return;
	}
	lw_relay_unlink(u);
	lw_upstream_ended(ups, u);
}

static void on_room(struct ev_loop *loop, ev_io *w, int events)
{
	struct upstream *u = w->data;

	(void)loop;
	(void)events;
	lw_relay_pump(u->ups, u);
}

/* 0: all of it is on its way; 1: as much as there was room for, the rest is kept, and sent when there is room; or -errno. */
static int send_on(struct lw_upstreams *ups, struct upstream *u, const char *data, size_t len)
{
	char *rest;

	/* the near end's verdict takes everything at once, as a rule: but what comes by loopback can be late, as on any way */
	while (len) {
		ssize_t n = send(u->relay->far, data, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EAGAIN)
			break;
		if (n < 0)
			return -errno;
		data += n;
		len -= (size_t)n;
	}
	if (len) {
		rest = malloc(len);
		if (!rest)
			return -ENOMEM;
		memcpy(rest, data, len);
		free(u->rest);
		u->rest = rest;
		ev_io_stop(ups->loop, &u->io);
		if (!ev_is_active(&u->relay->room)) {
			ev_io_init(&u->relay->room, on_room, u->relay->far, EV_WRITE);
			u->relay->room.data = u;
			ev_io_start(ups->loop, &u->relay->room);
		}
	} else {
		free(u->rest);
		u->rest = NULL;
		ev_io_stop(ups->loop, &u->relay->room);
	}
	u->rest_len = len;
	return len ? 1 : 0;
}

void lw_relay_pump(struct lw_upstreams *ups, struct upstream *u)
{
	for (int i = 0; i < PUMP_ROUNDS; i++) {
		ssize_t n;
		int r;

		lw_kern_heartbeat(ups->kern);
		r = u->rest ? send_on(ups, u, u->rest, u->rest_len) : 0;
		if (r > 0)
			return;
		if (r < 0) {
			give_up(ups, u, "send on", -r);
			return;
		}
		if (lw_upstream_backlog(ups, u->down) > BACKLOG_LOW) {
			ev_io_stop(ups->loop, &u->io);
			ev_timer_stop(ups->loop, &u->timer);
			ev_timer_init(&u->timer, on_look, look_again(ups), 0.);
			ev_timer_start(ups->loop, &u->timer);
			return;
		}
		n = recv(u->fd, ups->relay_buf, RELAY_BUF, MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN) {
			lw_upstream_watch(u);
			return;
		}
		if (n <= 0) {
			ended(ups, u);
			return;
		}
		r = send_on(ups, u, ups->relay_buf, (size_t)n);
		if (r > 0)
			return;
		if (r < 0) {
			give_up(ups, u, "send on", -r);
			return;
		}
	}
	lw_upstream_watch(u); /* what there is more comes in the next turn */
}
