/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An upstream socket from connect to close. All of them: upstreams.c; fresh ones: pool.c; requests that had none: punt.c.
 */
#include "kern/upstream.h"

#include <errno.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "kern/downstream.h"
#include "kern/ends.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

/*
 * Time to connect: one lost SYN, which the kernel repeats after a second, is no reason to leave the lane; behind the own
 * peer's address there is only an answer of 503, so it has room for two (they are repeated at 1 and 3 s).
 */
#define CONNECT_SECONDS 1.5
#define CONNECT_PEER_SECONDS 3.5
/* From the end of an upstream socket to what follows from it: its last bytes are through by then. */
#define END_SECONDS 0.005
/* For a connection of our own to ourselves. */
#define PAIR_MS 500
/* Each of its two. The kernel doubles it, and by itself would let the second grow to tcp_rmem[2]: a slow reader's share. */
#define BUFFER_BYTES (4 << 20)

struct lw_up *lw_upstream_state(struct lw_upstreams *ups, const struct upstream *u,
				struct lw_up *buf)
{
	int fd = bpf_map__fd(ups->kern->skel->maps.lw_ups);

	return bpf_map_lookup_elem(fd, &u->cookie, buf) ? NULL : buf;
}

int lw_upstream_flow(struct lw_upstreams *ups, uint64_t down, struct lw_flow *ret)
{
	return bpf_map_lookup_elem(bpf_map__fd(ups->kern->skel->maps.lw_flows), &down, ret) ?
		       -errno :
		       0;
}

struct upstream *lw_upstream_get(struct lw_upstreams *ups, uint64_t cookie)
{
	const struct lw_bytes key = LW_BYTES_OF(cookie);

	return lw_bytemap_get(&ups->by_cookie, &key, 1);
}

/* ---- which upstream sockets a downstream socket has: a list under its cookie ---- */

static void link_down(struct lw_upstreams *ups, struct upstream *u, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);

	u->down = down;
	u->next = lw_bytemap_get(&ups->by_down, &key, 1);
	if (lw_bytemap_put(&ups->by_down, &key, 1, u))
		u->next = NULL; /* found by the sweep instead */
}

static void unlink_down(struct lw_upstreams *ups, struct upstream *u)
{
	const struct lw_bytes key = LW_BYTES_OF(u->down);
	struct upstream *head = lw_bytemap_get(&ups->by_down, &key, 1), **at = &head;

	while (*at && *at != u)
		at = &(*at)->next;
	if (!*at)
		return;
	*at = u->next;
	if (head)
		(void)lw_bytemap_put(&ups->by_down, &key, 1, head);
	else
		(void)lw_bytemap_remove(&ups->by_down, &key, 1);
}

void lw_upstream_fin(struct lw_upstreams *ups, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);

	for (struct upstream *u = lw_bytemap_get(&ups->by_down, &key, 1); u; u = u->next)
		(void)shutdown(u->fd, SHUT_WR);
}

/* ---- end ---- */

/*
 * Nobody will read the rest of the response that u is in the middle of. The kernel says so to the pod by itself only
 * where unread bytes are in TCP's own queue, not where the verdict has taken them: the pod would go on asking for a
 * window, with a full buffer, until TIME_WAIT is over.
 */
static bool is_cut_off(struct lw_upstreams *ups, const struct upstream *u)
{
	struct lw_up state;

	return u->state == UPSTREAM_BOUND && lw_upstream_state(ups, u, &state) &&
	       !(state.flags & LW_UP_DEAD) &&
	       (state.frame.state == LW_FRAME_LENGTH || state.frame.state == LW_FRAME_CHUNKED ||
		state.frame.state == LW_FRAME_CLOSE || (state.flags & LW_UP_RELAY));
}

void lw_upstream_close(struct lw_upstreams *ups, struct upstream *u)
{
	const struct lw_bytes key = LW_BYTES_OF(u->cookie);
	struct lw_lanes_bpf *s = ups->kern->skel;
	struct lw_up state;

	if (u->punt)
		lw_punt_drop(ups, u);
	if (u->state == UPSTREAM_READY) {
		struct lw_pool_put_args args = { .key = u->pool->key, .up = u->cookie };

		/*
		 * No longer in the pool: lw_take() gave it to a downstream socket, the event is on its way, and it is
		 * not ours to close. Or it found it dead and passed it over: then nobody has it.
		 */
		if (lw_kern_call(s->progs.lw_pool_drop, &args, sizeof(args)) == 1 &&
		    !(lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_DEAD) &&
		      !state.down)) {
			ev_io_stop(ups->loop, &u->io);
			return;
		}
		u->pool->ready--;
	} else if (u->state == UPSTREAM_CONNECTING && u->pool) {
		u->pool->connecting--;
	} else if (u->state == UPSTREAM_BOUND) {
		unlink_down(ups, u);
	}
	if (u->relay_of) {
		struct upstream *of = u->relay_of;

		/* by itself, as somebody has ended the loopback connection: the client's response ends with it */
		lw_relay_unlink(of);
		ev_timer_stop(ups->loop, &of->timer);
		lw_upstream_watch(of);
	}
	if (u->relay)
		lw_relay_unlink(u);
	ev_io_stop(ups->loop, &u->io);
	ev_timer_stop(ups->loop, &u->timer);
	if (u->ending)
		lw_ends_forget(ups->ends, u->ending, u->down);
	if (is_cut_off(ups, u))
		(void)setsockopt(u->fd, SOL_SOCKET, SO_LINGER, &(struct linger){ .l_onoff = 1 },
				 sizeof(struct linger));
	(void)lw_close(u->fd);
	(void)lw_close(u->far);
	lw_gone_add(ups, u->cookie);
	/* its verdict makes this row anew, as long as there is a socket */
	(void)bpf_map_delete_elem(bpf_map__fd(s->maps.lw_streams), &u->cookie);
	(void)lw_bytemap_remove(&ups->by_cookie, &key, 1);
	free(u);
}

/*
 * An end of file for the downstream socket of u, behind all that u brought: the FIN of a connection of the
 * agent's own, which lw_reply sends on like any other. A FIN needs a packet of its own to be seen there.
 */
static int send_fin(struct lw_upstreams *ups, const struct upstream *u)
{
	struct upstream *end;
	int r = lw_upstream_local(ups, &u->key, u->down, LW_FRAME_CLOSE, &end);

	if (!r && shutdown(end->far, SHUT_WR))
		r = -errno;
	return r;
}

int lw_upstream_backlog(struct lw_upstreams *ups, uint64_t down)
{
	struct lw_backlog_args args = { .down = down };

	return lw_kern_call(ups->kern->skel->progs.lw_backlog, &args, sizeof(args));
}

/* What it is in the midst of has no other end, or none that is understood. */
static bool ends_by_eof(const struct lw_up *state)
{
	return (state->flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)) ||
	       state->frame.state == LW_FRAME_CLOSE || state->frame.state == LW_FRAME_LOST;
}

bool lw_upstream_ends_downstream(const struct lw_up *state)
{
	return (state->flags & LW_UP_FIN_SENT) ||
	       (ends_by_eof(state) && !(state->flags & LW_UP_RESET)) ||
	       ((state->flags & LW_UP_CLOSING) && !lw_up_is_due(state));
}

void lw_upstream_on_eof(void *arg, uint64_t cookie, int r)
{
	struct lw_upstreams *ups = arg;
	struct upstream *u = lw_upstream_get(ups, cookie);
	struct lw_flow flow;

	lw_kern_heartbeat(ups->kern);
	if (!u)
		return;
	u->ending = 0;
	/* -ENOENT: it has gone, or another process has it; that one is told by the FIN in its queue, where there can be one */
	if (r == -ENOENT && lw_kern_mode(ups->kern) == LW_KERN_MODE_VERDICT)
		r = 0;
	if (r && !lw_upstream_flow(ups, u->down, &flow)) {
		if (r != -ENOENT)
			lw_warn("end a client connection of process %u behind its response: %s, resetting it",
				flow.pid, strerror(-r));
		(void)lw_downstream_reset(ups->netns, u->down, &flow);
	}
	lw_upstream_close(ups, u);
}

/*
 * Brings the downstream socket to the end its upstream socket came to: a reset where bytes are missing, else an
 * end of file, in two ways at once. The FIN in its queue is what a reader that sleeps in recv(2) gets; shutdown() is
 * what wakes one that waits for an edge of epoll and would not look for a FIN behind the last byte.
 */
static void on_end(struct ev_loop *loop, ev_timer *w, int events)
{
	struct upstream *u = w->data;
	struct lw_upstreams *ups = u->ups;
	struct lw_flow flow;
	struct lw_up state;
	int r = 0;
	char c;

	(void)events;
	/* thousands end in one turn where a client drops all it has */
	lw_kern_heartbeat(ups->kern);
	/* an end of the agent's own making: lw_reply has sent its FIN on, but not in mode msg */
	if ((u->far >= 0 && lw_kern_mode(ups->kern) == LW_KERN_MODE_VERDICT) ||
	    !lw_upstream_state(ups, u, &state) || (state.flags & LW_UP_ORPHAN) ||
	    lw_upstream_flow(ups, u->down, &flow)) {
		lw_upstream_close(ups, u);
		return;
	}
	/*
	 * The kernel tells of an end before the bytes that came in one packet with it go on (tcp_data_queue()). Where that is done by a thread that
	 * had locked the socket, it may be made to wait for its processor in between: this waits for it, where a response is missing.
	 */
	if (lw_up_is_due(&state)) {
		(void)recv(u->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);
		if (!lw_upstream_state(ups, u, &state)) {
			lw_upstream_close(ups, u);
			return;
		}
	}
	if ((state.flags & LW_UP_CUT) || !lw_upstream_ends_downstream(&state)) {
		if (lw_up_is_due(&state) || (state.flags & LW_UP_CUT) || ends_by_eof(&state)) {
			lw_debug(
				"reset client connection %llx: its upstream connection closed before the response ended",
				(unsigned long long)u->down);
			r = lw_downstream_reset(ups->netns, u->down, &flow);
		}
		if (r && r != -ENOENT)
			lw_warn("reset a client connection of process %u whose response was cut off: %s, it waits until its own time-out",
				flow.pid, strerror(-r));
		lw_upstream_close(ups, u);
		return;
	}
	if (lw_kern_mode(ups->kern) == LW_KERN_MODE_VERDICT && !(state.flags & LW_UP_FIN_SENT) &&
	    !u->fin_made) {
		u->fin_made = true;
		r = send_fin(ups, u);
		if (r)
			lw_warn("put an end of file behind a response to process %u: %s", flow.pid,
				strerror(-r));
		ev_timer_set(w, END_SECONDS, 0.);
		ev_timer_start(loop, w);
		return;
	}
	if (lw_upstream_backlog(ups, u->down) > 0) {
		/*
		 * The end of file comes behind the bytes, and shutdown() behind the end of file: a reader that it wakes
		 * before gets EAGAIN, which is no answer to a blocking recv() (tcp_bpf_recvmsg_parser()).
		 */
		ev_timer_set(w, 10 * END_SECONDS, 0.);
		ev_timer_start(loop, w);
		return;
	}
	u->ending = (pid_t)flow.pid;
	r = lw_ends_ask(ups->ends, u->ending, flow.netns, u->down, u->cookie);
	if (r == -EEXIST) { /* by another of its upstream sockets */
		u->ending = 0;
		lw_upstream_close(ups, u);
	} else if (r) {
		lw_upstream_on_eof(ups, u->cookie, r);
	}
}

/*
 * LW_EVENT_RELAY is on its way, or was lost: what can be read from the socket is the client's, and the rest of a
 * response.
 */
static bool wants_relay(struct lw_upstreams *ups, const struct upstream *u)
{
	struct lw_up state;

	return !u->relayed && lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_RELAY);
}

void lw_upstream_ended(struct lw_upstreams *ups, struct upstream *u)
{
	if (u->state != UPSTREAM_BOUND) {
		lw_upstream_close(ups, u);
		return;
	}
	if (u->relay)
		return; /* its last bytes are read first */
	if (u->ending)
		return;
	if (wants_relay(ups, u)) {
		lw_relay_start(ups, u);
		return;
	}
	ev_io_stop(ups->loop, &u->io);
	if (!ev_is_active(&u->timer)) {
		ev_timer_init(&u->timer, on_end, END_SECONDS, 0.);
		ev_timer_start(ups->loop, &u->timer);
	}
}

/* ---- begin ---- */

/* Nothing may be read from a fresh socket; a bound one's bytes come here for a slow reader only. Else an end does. */
static void on_readable(struct ev_loop *loop, ev_io *w, int events)
{
	struct upstream *u = w->data;
	char c;

	(void)loop;
	(void)events;
	if (u->relay) {
		lw_relay_pump(u->ups, u);
		return;
	}
	/* a packet on its way to the verdict makes the socket look readable for a moment */
	if (recv(u->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN)
		return;
	lw_upstream_ended(u->ups, u);
}

void lw_upstream_watch(struct upstream *u)
{
	ev_io_stop(u->ups->loop, &u->io);
	ev_io_init(&u->io, on_readable, u->fd, EV_READ);
	ev_io_start(u->ups->loop, &u->io);
}

int lw_upstream_enter(struct lw_upstreams *ups, struct upstream *u)
{
	uint64_t fd = (uint64_t)u->fd;

	if (bpf_map_update_elem(bpf_map__fd(ups->kern->skel->maps.lw_up_socks), &u->cookie, &fd,
				BPF_NOEXIST))
		return -errno;
	return 0;
}

int lw_upstream_bind(struct lw_upstreams *ups, struct upstream *u, uint64_t down, uint32_t punt,
		     enum lw_frame_state frame)
{
	struct lw_up state = {
		.self = u->cookie,
		.down = down,
		.netns = u->key.netns,
		.addr = u->key.addr,
		.port = u->key.port,
		.req_seq = 1,
		.head_bits = !!(punt & LW_PUNT_IS_HEAD),
		.agent = ups->kern->number,
		/* the agent writes the first request */
		.flags = LW_UP_REQ_WIRE | (punt & LW_PUNT_CLOSES ? LW_UP_CLOSING : 0),
		.frame.state = (__u8)frame,
	};

	lw_response_begin(&state);
	if (bpf_map_update_elem(bpf_map__fd(ups->kern->skel->maps.lw_ups), &u->cookie, &state,
				BPF_ANY))
		return -errno;
	u->state = UPSTREAM_BOUND;
	link_down(ups, u, down);
	return 0;
}

void lw_upstream_opaque(struct lw_upstreams *ups, const struct upstream *u)
{
	struct lw_up_mark_args args = { .up = u->cookie, .flags = LW_UP_OPAQUE };

	(void)lw_kern_call(ups->kern->skel->progs.lw_up_mark, &args, sizeof(args));
}

/* Tells the pod that has this address in the state in force from others; 0: there is none. */
static uint64_t pod_at(const struct lw_upstreams *ups, const struct lw_addr *addr)
{
	struct lw_pod_key key = { .addr = *addr, .slot = lw_kern_generation(ups->kern) & 1 };
	struct lw_pod pod;

	return bpf_map_lookup_elem(bpf_map__fd(ups->kern->skel->maps.lw_pods), &key, &pod) ?
		       0 :
		       1ull << 32 | pod.uid_hash;
}

static void connected(struct upstream *u, int error)
{
	struct lw_upstreams *ups = u->ups;

	/* a SYN may have waited until the address was another pod's */
	if (!error && u->pod && pod_at(ups, &u->key.addr) != u->pod)
		error = EHOSTUNREACH;

	lw_kern_heartbeat(ups->kern);
	ev_io_stop(ups->loop, &u->io);
	ev_timer_stop(ups->loop, &u->timer);
	if (u->punt) {
		lw_punt_connected(ups, u, error);
		return;
	}
	if (error) {
		lw_upstream_close(ups, u);
		return;
	}
	lw_pool_put(ups, u);
}

static void on_connect(struct ev_loop *loop, ev_io *w, int events)
{
	struct upstream *u = w->data;
	int error = 0;
	socklen_t len = sizeof(error);

	(void)loop;
	(void)events;
	if (getsockopt(u->fd, SOL_SOCKET, SO_ERROR, &error, &len))
		error = errno;
	connected(u, error);
}

/* Of a busy agent the timer may be seen before the connection that is long there. */
static void on_connect_timeout(struct ev_loop *loop, ev_timer *w, int events)
{
	struct upstream *u = w->data;
	struct pollfd p = { .fd = u->fd, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1)
		on_connect(loop, &u->io, events);
	else
		connected(u, ETIMEDOUT);
}

int lw_upstream_new(struct lw_upstreams *ups, int fd, const struct lw_pool_key *key, uint16_t lane,
		    struct upstream **ret)
{
	_cleanup_free_ struct upstream *u = calloc(1, sizeof(*u));
	struct lw_sk sk = { .role = LW_ROLE_UP };
	struct lw_up state = { .netns = key->netns, .addr = key->addr, .port = key->port };
	struct lw_lanes_bpf *s = ups->kern->skel;
	socklen_t len = sizeof(sk.cookie);
	struct lw_bytes bytes;
	int r;

	if (!u)
		return -ENOMEM;
	if (getsockopt(fd, SOL_SOCKET, SO_COOKIE, &sk.cookie, &len))
		return -errno;
	sk.netns = key->netns;
	lw_response_begin(&state);
	state.self = sk.cookie;
	state.agent = ups->kern->number;
	/* before connect: the hooks know the agent's own sockets by this */
	if (bpf_map_update_elem(bpf_map__fd(s->maps.lw_sk), &fd, &sk, BPF_ANY) ||
	    bpf_map_update_elem(bpf_map__fd(s->maps.lw_ups), &sk.cookie, &state, BPF_NOEXIST))
		return -errno;
	u->ups = ups;
	u->cookie = sk.cookie;
	u->far = -1;
	u->fd = fd;
	u->key = *key;
	u->lane = lane;
	u->io.data = u->timer.data = u;
	ev_init(&u->io, on_connect);
	ev_init(&u->timer, on_connect_timeout);
	bytes = LW_BYTES_OF(u->cookie);
	r = lw_bytemap_put(&ups->by_cookie, &bytes, 1, u);
	if (r) {
		(void)bpf_map_delete_elem(bpf_map__fd(s->maps.lw_ups), &u->cookie);
		return r;
	}
	*ret = TAKE_PTR(u);
	return 0;
}

int lw_upstream_open(struct lw_upstreams *ups, const struct lw_pool_key *key, uint16_t lane,
		     pid_t pid, struct upstream **ret)
{
	struct sockaddr_storage sa;
	socklen_t len = lw_addr_to_sockaddr(&key->addr, key->port, &sa);
	uint64_t pod = lane == LW_LANE_ONCE ? 0 : pod_at(ups, &key->addr);
	_cleanup_close_ int fd = -1;
	struct upstream *u;
	int one = 1, size = BUFFER_BYTES, r;

	/* a pool is filled by the dozen, and there are many */
	lw_kern_heartbeat(ups->kern);
	if (lane != LW_LANE_ONCE && !pod)
		return -EHOSTUNREACH; /* gone since it was chosen: the address may be anybody's */
	fd = lw_netns_socket(ups->netns, key->netns, pid, sa.ss_family, SOCK_STREAM, IPPROTO_TCP);
	if (fd == -EMFILE || fd == -ENFILE || (fd >= 0 && lw_room_in_reserve(ups, fd, lane))) {
		lw_room_is_out(ups);
		return -EMFILE;
	}
	if (fd < 0)
		return fd;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	r = lw_upstream_new(ups, fd, key, lane, &u);
	if (r == -E2BIG) {
		lw_room_count_others(ups);
		lw_room_is_out(ups);
	}
	if (r)
		return r;
	TAKE_FD(fd);
	if (connect(u->fd, (struct sockaddr *)&sa, len) && errno != EINPROGRESS) {
		r = -errno;
		u->state = UPSTREAM_FAILED;
		lw_upstream_close(ups, u);
		return r;
	}
	u->state = UPSTREAM_CONNECTING;
	u->pod = pod;
	ev_io_set(&u->io, u->fd, EV_WRITE);
	ev_io_start(ups->loop, &u->io);
	ev_timer_set(&u->timer, lane == LW_LANE_ONCE ? CONNECT_PEER_SECONDS : CONNECT_SECONDS, 0.);
	ev_timer_start(ups->loop, &u->timer);
	*ret = u;
	return 0;
}

int lw_tcp_pair(int ret[2])
{
	/* loopback takes microseconds; where its packets are dropped (conntrack is full, a firewall) connect() would try for minutes */
	const struct timeval patience = { .tv_usec = PAIR_MS * 1000 };
	_cleanup_close_ int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), a = -1, b = -1;
	struct sockaddr_in sa = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) },
			   from = {}, us = {};
	socklen_t len = sizeof(sa), from_len, us_len = sizeof(us);

	if (l < 0 || bind(l, (struct sockaddr *)&sa, sizeof(sa)) || listen(l, 1) ||
	    getsockname(l, (struct sockaddr *)&sa, &len) ||
	    setsockopt(l, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)))
		return -errno;
	a = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (a < 0 || setsockopt(a, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		return -errno;
	if (connect(a, (struct sockaddr *)&sa, len) ||
	    getsockname(a, (struct sockaddr *)&us, &us_len))
		return errno == EINPROGRESS ? -ETIMEDOUT : -errno;
	/* whoever looks for open ports may have been quicker */
	do {
		(void)lw_close(b);
		from_len = sizeof(from);
		b = accept4(l, (struct sockaddr *)&from, &from_len, SOCK_CLOEXEC);
		if (b < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	} while (from.sin_port != us.sin_port || from.sin_addr.s_addr != us.sin_addr.s_addr);
	ret[0] = TAKE_FD(a);
	ret[1] = TAKE_FD(b);
	return 0;
}

int lw_upstream_local(struct lw_upstreams *ups, const struct lw_pool_key *key, uint64_t down,
		      enum lw_frame_state frame, struct upstream **ret)
{
	struct upstream *u;
	int pair[2], r = lw_tcp_pair(pair);

	if (r)
		return r;
	r = lw_upstream_new(ups, pair[0], key, LW_LANE_ONCE, &u);
	if (r) {
		(void)close(pair[0]);
		(void)close(pair[1]);
		return r;
	}
	u->far = pair[1];
	r = lw_upstream_enter(ups, u);
	if (!r)
		r = lw_upstream_bind(ups, u, down, 0, frame);
	if (r) {
		lw_upstream_close(ups, u);
		return r;
	}
	lw_upstream_watch(u);
	*ret = u;
	return 0;
}

void lw_upstream_close_all(struct lw_upstreams *ups, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);
	struct upstream *u;

	lw_punt_leave(ups, down);
	while ((u = lw_bytemap_get(&ups->by_down, &key, 1)))
		lw_upstream_close(ups, u);
}

void lw_upstream_taken(struct lw_upstreams *ups, struct upstream *u, uint64_t down)
{
	struct lw_up state;

	u->pool->ready--;
	u->pool = NULL;
	u->state = UPSTREAM_BOUND;
	link_down(ups, u, down);
	/* stopped if we were about to close it as it was taken (lw_upstream_close()) */
	if (!ev_is_active(&u->io))
		lw_upstream_watch(u);
	/* its end may have been told while it was still ours */
	if (lw_upstream_state(ups, u, &state) && (state.flags & LW_UP_DEAD))
		lw_upstream_ended(ups, u);
}

bool lw_upstream_is_unfinished(struct lw_upstreams *ups, const struct upstream *u,
			       struct lw_flow *flow)
{
	struct lw_up state;
	char c;

	if (u->state != UPSTREAM_BOUND || lw_upstream_flow(ups, u->down, flow) ||
	    !lw_upstream_state(ups, u, &state) || (state.flags & LW_UP_ORPHAN))
		return false;
	/* a relay's near end, which is through with all that it was given: what is yet to come waits at the other's */
	if (u->far >= 0 && (state.flags & LW_UP_OPAQUE))
		return u->relay_of && (u->relay_of->rest ||
				       recv(u->relay_of->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) > 0);
	if (lw_up_is_due(&state) || (state.flags & (LW_UP_TUNNEL | LW_UP_OPAQUE)))
		return true;
	return flow->route != LW_ROUTE_PEER && flow->ups[flow->up % LW_FLOW_UPS].up == u->cookie &&
	       flow->frame.state != LW_FRAME_HEAD;
}
