/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What upstream.c, upstreams.c, pool.c, room.c, punt.c, relay.c and retire.c know of each other. */
#include <ev.h>
#include <stdbool.h>

#include "core/bytemap.h"
#include "kern/kern.h"
#include "kern/netns.h"
#include "laneway/follow.h"

/* Bytes of requests that wait in the agent for their pods, of all clients: it has 1 GiB for all that it does (deploy/). */
#define LW_PUNT_HELD_MAX (256u << 20)

enum upstream_state {
	UPSTREAM_FAILED, /* or not begun */
	UPSTREAM_CONNECTING,
	UPSTREAM_READY, /* in its pool */
	UPSTREAM_BOUND, /* a downstream socket's, until it closes */
};

struct punt;

struct pool {
	struct lw_pool_key key;
	uint16_t lane;
	pid_t pid; /* a process of the namespace */
	unsigned int ready, connecting;
	unsigned int taken; /* since the last tick */
	double rate; /* takes a second, smoothed */
	int idle_ticks;
};

struct upstream {
	struct lw_upstreams *ups;
	enum upstream_state state;
	int fd;
	bool fin_made; /* an end of file has been sent on its behalf */
	pid_t ending; /* its downstream socket's end of file is asked for, of this process (ends.h); 0: not */
	int far; /* the other end, where the agent itself is the server; else -1 */
	uint64_t cookie;
	struct lw_pool_key key;
	uint16_t lane;
	uint64_t pod; /* whose address it was as it was opened (pod_at()); 0: of the own peer, it does not matter */
	/* a connection of the agent's own: what is read from fd goes on by it */
	struct upstream *relay;
	struct upstream *relay_of; /* the other way round */
	char *rest; /* read from fd, and not sent on yet: relay's far end had no room */
	size_t rest_len;
	bool relayed; /* relay has been set once */
	struct pool *pool; /* while CONNECTING or READY for one */
	struct punt *punt; /* the request it was opened for, until that is on its way */
	ev_io room; /* the rest of punt, or of a relay's bytes, waits for room */
	uint64_t down; /* while BOUND */
	struct upstream *next; /* of the same downstream socket */
	uint64_t since_ns; /* READY */
	ev_io io;
	ev_timer timer;
};

/* A row that is kept for a while. Where there are more the oldest go earlier. */
#define LW_GONE_MAX 8192
struct lw_gone {
	uint64_t cookie;
	uint64_t at_ns;
};

struct lw_upstreams {
	struct lw_kern *kern;
	struct ev_loop *loop;
	struct lw_netns *netns;
	struct lw_ends *ends;
	struct ring_buffer *ring;
	unsigned int events; /* taken out of it in this turn */
	bool fail_closed;
	unsigned int pool_max;
	unsigned int ticks;
	bool short_of; /* no more sockets can be opened; until the next tick */
	size_t others; /* rows of lw_ups that are not ours, when they were counted last */
	uint64_t short_told_ns;
	uint64_t drain_until_ns;
	bool retired; /* another agent has taken over: what is open here is let go of */
	uint64_t retired_ns;
	size_t retire_at;
	ev_timer retire;
	ev_io ring_io;
	ev_prepare beat;
	ev_timer heartbeat, tick;
	struct lw_bytemap by_cookie; /* every upstream */
	struct lw_bytemap by_down; /* first of the bound ones of a downstream socket */
	struct lw_bytemap pools;
	/* punt.c */
	struct lw_bytemap punts; /* by downstream cookie */
	int punt_near, punt_far; /* the loopback connection that punted messages enter by */
	ev_io punt_io;
	char *punt_buf;
	size_t punt_len;
	size_t punt_held; /* bytes of all requests in punts */
	char *relay_buf;
	unsigned int relays; /* upstream sockets whose bytes the agent moves */
	/* gone.c: a ring, the oldest at gone_at */
	struct lw_gone gone[LW_GONE_MAX];
	size_t gone_at, ngone;
};

/* upstream.c */
int lw_upstream_new(struct lw_upstreams *ups, int fd, const struct lw_pool_key *key, uint16_t lane,
		    struct upstream **ret);
int lw_upstream_open(struct lw_upstreams *ups, const struct lw_pool_key *key, uint16_t lane,
		     pid_t pid, struct upstream **ret);
struct upstream *lw_upstream_get(struct lw_upstreams *ups, uint64_t cookie);
/* The kernel's view of it, copied to buf; NULL if there is none. */
struct lw_up *lw_upstream_state(struct lw_upstreams *ups, const struct upstream *u,
				struct lw_up *buf);
int lw_upstream_flow(struct lw_upstreams *ups, uint64_t down, struct lw_flow *ret);
int lw_upstream_enter(struct lw_upstreams *ups, struct upstream *u);
/*
 * The socket belongs to down from here on: its verdict sends what comes to it there. punt: enum lw_punt_flags of its first request. frame: where
 * its responses stand.
 */
int lw_upstream_bind(struct lw_upstreams *ups, struct upstream *u, uint64_t down, uint32_t punt,
		     enum lw_frame_state frame);
/* One whose other end, ret->far, the agent itself holds; bound to down. */
int lw_upstream_local(struct lw_upstreams *ups, const struct lw_pool_key *key, uint64_t down,
		      enum lw_frame_state frame, struct upstream **ret);
/* Two ends of a loopback connection. */
int lw_tcp_pair(int ret[2]);
/* Its responses are not followed any more. */
void lw_upstream_opaque(struct lw_upstreams *ups, const struct upstream *u);
void lw_upstream_watch(struct upstream *u);
/* The client's end of file, for the pods it was connected to. */
void lw_upstream_fin(struct lw_upstreams *ups, uint64_t down);
/* Does the end of its connection end its downstream socket's? */
bool lw_upstream_ends_downstream(const struct lw_up *state);
int lw_upstream_backlog(struct lw_upstreams *ups, uint64_t down);
/* All of a downstream socket that is gone, and what is left of its punted request. */
void lw_upstream_close_all(struct lw_upstreams *ups, uint64_t down);
/* Is a request or response of u's downstream socket on u, and not through? *flow: the downstream socket's. */
bool lw_upstream_is_unfinished(struct lw_upstreams *ups, const struct upstream *u,
			       struct lw_flow *flow);
/* It was taken from its pool by that downstream socket. */
void lw_upstream_taken(struct lw_upstreams *ups, struct upstream *u, uint64_t down);
/* Its connection is over: closes it, and ends its downstream socket where a response was due. */
void lw_upstream_ended(struct lw_upstreams *ups, struct upstream *u);
void lw_upstream_close(struct lw_upstreams *ups, struct upstream *u);
/* The downstream socket of that upstream socket has been shut down, or has not; of lw_ends_new(). arg: lw_upstreams. */
void lw_upstream_on_eof(void *arg, uint64_t cookie, int r);

/* gone.c */
/* The socket of that row has been closed. */
void lw_gone_add(struct lw_upstreams *ups, uint64_t cookie);
/* Deletes rows that no program can be at work on any more, or all. */
void lw_gone_forget(struct lw_upstreams *ups, bool all);

/* pool.c */
/* u, opened for its pool, is connected. */
void lw_pool_put(struct lw_upstreams *ups, struct upstream *u);
/* One more socket of this kind was wanted. */
void lw_pool_demand(struct lw_upstreams *ups, const struct lw_pool_key *key, uint16_t lane,
		    pid_t pid);
void lw_pools_tick(struct lw_upstreams *ups);
void lw_pools_free(struct lw_upstreams *ups);

/* room.c */
/* Would fd, which is new and so the lowest that was free, or its row take what is kept for others than lanes? */
bool lw_room_in_reserve(const struct lw_upstreams *ups, int fd, uint16_t lane);
/* There is none. Until a later tick no request is handed to us: they follow their own peers, or are refused. */
void lw_room_is_out(struct lw_upstreams *ups);
/* Requests in punts have so much that no other is to begin. */
bool lw_room_holds_much(const struct lw_upstreams *ups);
/* Rows of lw_ups that are not ours: the agent that we have taken over from, of the same build, may have tens of thousands. */
void lw_room_count_others(struct lw_upstreams *ups);
/* count: the others anew. */
void lw_room_tick(struct lw_upstreams *ups, bool count);

/* relay.c */
/* The reader of u's downstream socket is slow: from here on the agent moves the bytes. */
void lw_relay_start(struct lw_upstreams *ups, struct upstream *u);
/* Its relay goes on without it, or it without its relay. */
void lw_relay_unlink(struct upstream *u);
/* Moves what there is, as far as the reader keeps up. */
void lw_relay_pump(struct lw_upstreams *ups, struct upstream *u);

/* punt.c */
int lw_punts_start(struct lw_upstreams *ups);
void lw_punts_stop(struct lw_upstreams *ups);
void lw_punt_connected(struct lw_upstreams *ups, struct upstream *u, int error);
/* Are there bytes of the client's here? An end of file that it has sent follows them by itself. */
bool lw_punt_has(struct lw_upstreams *ups, uint64_t down);
void lw_punt_forget(struct lw_upstreams *ups, uint64_t down);
/* Its client has closed, and reads no answer: the pod gets what there is of the request, at once or as soon as it is connected to. */
void lw_punt_leave(struct lw_upstreams *ups, uint64_t down);
/* u closes: what is left of the request it was opened for has nowhere to go. */
void lw_punt_drop(struct lw_upstreams *ups, struct upstream *u);
