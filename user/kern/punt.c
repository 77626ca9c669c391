/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Punted requests: no upstream socket was ready, so their bytes come here, each message behind a struct
 * lw_punt. An upstream socket is opened, the bytes are written, and the kernel side is told to go on by itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/downstream.h"
#include "kern/internal.h"
#include "kern/upstream_internal.h"

/* A send is at most this long in the kernel's hands, with room for the frame. */
#define PUNT_BUF (4 << 20)
/*
 * The descriptor of the connection that punted messages enter by, or the last one there may be. As a process is killed its descriptors are
 * closed from the highest on (their files wait in a list that is worked off from its end, task_work_run()): the upstream sockets must not
 * go first, or what is sent meanwhile would be punted, to nobody. Tables of descriptors have room for all below.
 */
#define PUNT_FD 32767
/* At once: some hundred requests, each with a socket to open. Heartbeat and timers come between. */
#define PUNT_READ (64 << 10)
/* What a fresh connection takes at once: less than its first send buffer (tcp_wmem). */
#define WRITE_AHEAD (8 << 10)

struct punt {
	uint64_t down;
	struct lw_punt first; /* frame of the first message */
	char *data;
	size_t len, written;
	uint32_t seq; /* of the last message in data */
	struct upstream *u; /* NULL: none yet, or none any more */
	bool connected;
	bool again; /* another pod of the lane is tried */
	bool fell_back; /* to the own peer's address */
	bool opaque; /* the client's connection has become so behind this request */
	bool left; /* by its client, which reads no answer: the pod gets what there is of the request */
};

static void punt_free(struct lw_upstreams *ups, struct punt *p)
{
	const struct lw_bytes key = LW_BYTES_OF(p->down);

	(void)lw_bytemap_remove(&ups->punts, &key, 1);
	ups->punt_held -= p->len;
	if (p->u) {
		ev_io_stop(ups->loop, &p->u->room);
		p->u->punt = NULL;
	}
	free(p->data);
	free(p);
}

void lw_punt_drop(struct lw_upstreams *ups, struct upstream *u)
{
	punt_free(ups, u->punt);
}

void lw_punt_forget(struct lw_upstreams *ups, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);
	struct punt *p = lw_bytemap_get(&ups->punts, &key, 1);
	struct upstream *u;

	if (!p)
		return;
	u = p->u;
	punt_free(ups, p);
	if (u)
		lw_upstream_close(ups, u);
}

/* As TCP does it with what has been sent before a close: as far as it fits into the socket's buffer. */
static void punt_leave(struct lw_upstreams *ups, struct punt *p)
{
	struct upstream *u = p->u;

	if (p->len > p->written)
		(void)send(u->fd, p->data + p->written, p->len - p->written,
			   MSG_NOSIGNAL | MSG_DONTWAIT);
	punt_free(ups, p);
	lw_upstream_close(ups, u);
}

static void read_all_punted(struct lw_upstreams *ups);

void lw_punt_leave(struct lw_upstreams *ups, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);
	struct punt *p = lw_bytemap_get(&ups->punts, &key, 1);

	if (!p)
		return;
	p->left = true;
	if (p->connected) {
		read_all_punted(ups);
		p = lw_bytemap_get(&ups->punts, &key, 1);
		if (p)
			punt_leave(ups, p);
	} else if (!p->u) {
		punt_free(ups, p);
	}
}

bool lw_punt_has(struct lw_upstreams *ups, uint64_t down)
{
	const struct lw_bytes key = LW_BYTES_OF(down);

	return lw_bytemap_get(&ups->punts, &key, 1);
}

static int bind_down(struct lw_upstreams *ups, struct punt *p, struct upstream *u, uint32_t seq,
		     size_t bytes)
{
	struct lw_bind_args args = {
		.down = p->down,
		.up = u->cookie,
		.seq = seq,
		.id = p->first.id,
		.addr = u->key.addr,
		.port = u->key.port,
		.lane = u->lane,
		.bytes = bytes,
	};

	return lw_kern_call(ups->kern->skel->progs.lw_bind, &args, sizeof(args));
}

/*
 * How far the pod has the request, or is about to have it. An answer may come before its end, and the next request must not overtake
 * the rest.
 */
static void note_written(struct lw_upstreams *ups, const struct punt *p, uint32_t seq)
{
	struct lw_bind_args args = {
		.down = p->down, .up = p->u->cookie, .seq = seq, .id = p->first.id, .written = 1
	};

	(void)lw_kern_call(ups->kern->skel->progs.lw_bind, &args, sizeof(args));
}

static void punt_write(struct lw_upstreams *ups, struct punt *p);

static void on_writable(struct ev_loop *loop, ev_io *w, int events)
{
	struct upstream *u = w->data;

	(void)loop;
	(void)events;
	if (u->punt)
		punt_write(u->ups, u->punt);
}

static void punt_write(struct lw_upstreams *ups, struct punt *p)
{
	struct upstream *u = p->u;
	struct lw_flow flow;
	size_t bytes;
	bool ahead;
	int r;

	if (p->opaque) /* before the bytes that answers may come for */
		lw_upstream_opaque(ups, u);
	/* so little is taken at once by a fresh connection, and answered before we are back; of more the call below tells */
	ahead = p->len - p->written <= WRITE_AHEAD;
	if (ahead)
		note_written(ups, p, p->seq);
	while (p->written < p->len) {
		ssize_t n = send(u->fd, p->data + p->written, p->len - p->written,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			if (ahead)
				note_written(ups, p, p->seq - 1);
			/* beside u->io, by which the answer may be on its way already (relay.c) */
			if (!ev_is_active(&u->room)) {
				ev_io_init(&u->room, on_writable, u->fd, EV_WRITE);
				u->room.data = u;
				ev_io_start(ups->loop, &u->room);
			}
			return;
		}
		if (n < 0) {
			/* the pod took part of the request and went away */
			punt_free(ups, p);
			lw_upstream_ended(ups, u);
			return;
		}
		p->written += (size_t)n;
	}
	bytes = p->len;
	ups->punt_held -= bytes;
	p->len = p->written = 0;
	ev_io_stop(ups->loop, &u->room);
	r = bind_down(ups, p, u, p->seq, bytes);
	if (r == 1)
		return; /* another message is on its way here */
	if (r > 0 && lw_upstream_flow(ups, p->down, &flow) == -ENOENT) {
		/* the client is gone, of which we are about to be told; what else it has sent may be on its way here */
		p->left = true;
		return;
	}
	/* the client's end of file, if it has come by now; else it is told of, as the flow has its upstream socket */
	if (!r && !lw_upstream_flow(ups, p->down, &flow) && (flow.flags & LW_FLOW_FIN_SENT))
		lw_upstream_fin(ups, p->down);
	punt_free(ups, p);
	if (r)
		lw_upstream_close(ups, u);
}

/* The agent itself answers: no pod can be reached, or may be. */
static void punt_refuse(struct lw_upstreams *ups, struct punt *p)
{
	static const char answer[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
	struct lw_pool_key key = { .netns = p->first.netns };
	struct lw_flow flow;
	struct upstream *u;
	int r = lw_upstream_local(ups, &key, p->down, LW_FRAME_HEAD, &u);

	if (r) {
		lw_warn("answer a request that no pod takes: %s, resetting the connection",
			strerror(-r));
		if (!lw_upstream_flow(ups, p->down, &flow))
			(void)lw_downstream_reset(ups->netns, p->down, &flow);
		punt_free(ups, p);
		return;
	}
	r = bind_down(ups, p, u, 0, 0);
	/* what follows of the request keeps coming here, where nobody waits for it: never to the answer's far end */
	punt_free(ups, p);
	/* the response announces the end of the connection: its FIN follows */
	if (r || send(u->far, answer, sizeof(answer) - 1, MSG_NOSIGNAL) < 0 ||
	    shutdown(u->far, SHUT_WR))
		lw_upstream_close(ups, u);
}

static void punt_open(struct lw_upstreams *ups, struct punt *p, const struct lw_pool_key *key,
		      uint16_t lane);

/* The endpoint behind that one, in the order of its group and lane; false: there is no other. */
static bool next_endpoint(struct lw_upstreams *ups, const struct lw_flow *flow,
			  const struct lw_punt *that, struct lw_pool_key *key)
{
	struct lw_endpoint_key at = { .slot = lw_kern_generation(ups->kern) & 1,
				      .group = flow->group,
				      .lane = that->lane };
	int fd = bpf_map__fd(ups->kern->skel->maps.lw_endpoints);
	bool any = false, behind = false;
	struct lw_endpoint ep;

	for (; at.idx < LW_MAX_ENDPOINTS && !bpf_map_lookup_elem(fd, &at, &ep); at.idx++) {
		if (!memcmp(&ep.addr, &that->addr, sizeof(ep.addr))) {
			behind = true;
		} else if (!any || behind) {
			key->addr = ep.addr;
			key->port = ep.port ? ep.port : flow->asked_port;
			any = true;
			if (behind)
				break;
		}
	}
	return any;
}

/*
 * No upstream socket came of it: another pod of the lane has the request, as one that counts as ready may be gone with its node. Where
 * there is none, fail open: the request goes where it would have gone without us.
 */
static void punt_failed(struct lw_upstreams *ups, struct punt *p, int error)
{
	struct lw_pool_key key = { .netns = p->first.netns };
	struct lw_flow flow;

	lw_debug("no connection for a punted request: %s", strerror(error));
	p->u = NULL;
	if (p->left) {
		punt_free(ups, p);
		return;
	}
	if (lw_upstream_flow(ups, p->down, &flow)) {
		punt_refuse(ups, p);
		return;
	}
	if (!p->again && !p->fell_back && next_endpoint(ups, &flow, &p->first, &key)) {
		p->again = true;
		punt_open(ups, p, &key, p->first.lane);
		return;
	}
	if (ups->fail_closed || p->fell_back) {
		punt_refuse(ups, p);
		return;
	}
	p->fell_back = true;
	key.addr = flow.peer;
	key.port = flow.peer_port;
	punt_open(ups, p, &key, LW_LANE_ONCE);
}

static void punt_open(struct lw_upstreams *ups, struct punt *p, const struct lw_pool_key *key,
		      uint16_t lane)
{
	int r = lw_upstream_open(ups, key, lane, (pid_t)p->first.pid, &p->u);

	if (r)
		punt_failed(ups, p, -r);
	else
		p->u->punt = p;
}

/* The client of the request that u was opened for is gone. */
static void leave_at(struct lw_upstreams *ups, struct upstream *u)
{
	uint64_t cookie = u->cookie;

	u->punt->left = true;
	read_all_punted(ups);
	/* what has been read may have ended it */
	u = lw_upstream_get(ups, cookie);
	if (u && u->punt)
		punt_leave(ups, u->punt);
}

void lw_punt_connected(struct lw_upstreams *ups, struct upstream *u, int error)
{
	struct punt *p = u->punt;

	if (!error && p->left) {
		leave_at(ups, u);
		return;
	}
	if (!error) {
		int r = lw_upstream_enter(ups, u);

		if (!r)
			r = lw_upstream_bind(ups, u, p->down, p->first.flags, LW_FRAME_HEAD);
		if (!r)
			r = bind_down(ups, p, u, 0, 0);
		if (!r) {
			p->connected = true;
			lw_upstream_watch(u); /* it may end before it has all of the request */
			punt_write(ups, p);
			return;
		}
		if (r > 0) { /* the client is gone, of which we are about to be told */
			leave_at(ups, u);
			return;
		}
		error = -r;
	}
	u->punt = NULL;
	lw_upstream_close(ups, u);
	punt_failed(ups, p, error);
}

/* What has been sent of a request cannot be kept: nobody else would tell the client. */
static void punt_lost(struct lw_upstreams *ups, uint64_t down)
{
	struct lw_flow flow;

	if (!lw_upstream_flow(ups, down, &flow))
		(void)lw_downstream_reset(ups->netns, down, &flow);
	lw_punt_forget(ups, down);
}

static void on_message(struct lw_upstreams *ups, const struct lw_punt *frame, const char *data)
{
	const struct lw_bytes key = LW_BYTES_OF(frame->down);
	struct lw_pool_key pool = { .netns = frame->netns,
				    .addr = frame->addr,
				    .port = frame->port };
	struct punt *p;
	char *grown = NULL;

	/* a thousand of them take their time: it is alive that is at work on them */
	lw_kern_heartbeat(ups->kern);
	if (frame->seq == 1)
		lw_punt_forget(ups, frame->down);
	p = lw_bytemap_get(&ups->punts, &key, 1);
	if (frame->seq == 1) {
		p = calloc(1, sizeof(*p));
		if (!p || lw_bytemap_put(&ups->punts, &key, 1, p)) {
			free(p);
			punt_lost(ups, frame->down);
			return;
		}
		p->down = frame->down;
		p->first = *frame;
	}
	if (!p || frame->seq != p->seq + 1)
		return; /* of a request given up before */
	if (ups->punt_held + frame->len <= LW_PUNT_HELD_MAX)
		grown = realloc(p->data, p->len + frame->len);
	if (!grown) {
		punt_lost(ups, frame->down);
		return;
	}
	p->data = grown;
	memcpy(p->data + p->len, data, frame->len);
	p->len += frame->len;
	ups->punt_held += frame->len;
	if (lw_room_holds_much(ups))
		lw_room_is_out(ups);
	p->seq = frame->seq;
	if (frame->flags & LW_PUNT_OPAQUE)
		p->opaque = true;
	if (p->seq == 1) {
		lw_pool_demand(ups, &pool, frame->lane, (pid_t)frame->pid);
		punt_open(ups, p, &pool, frame->lane);
	} else if (p->connected && !p->left) {
		punt_write(ups, p);
	}
}

/* False: there is nothing. */
static bool read_punted(struct lw_upstreams *ups)
{
	size_t at = 0, room = PUNT_BUF - ups->punt_len;
	ssize_t n = recv(ups->punt_near, ups->punt_buf + ups->punt_len,
			 room < PUNT_READ ? room : PUNT_READ, MSG_DONTWAIT);

	if (n <= 0)
		return false;
	ups->punt_len += (size_t)n;
	while (ups->punt_len - at >= sizeof(struct lw_punt)) {
		struct lw_punt frame;

		memcpy(&frame, ups->punt_buf + at, sizeof(frame));
		if (frame.magic != LW_PUNT_MAGIC || frame.len > PUNT_BUF - sizeof(frame)) {
			lw_error("a punted message is not framed: dropping %zu bytes",
				 ups->punt_len - at);
			at = ups->punt_len;
			break;
		}
		if (ups->punt_len - at < sizeof(frame) + frame.len)
			break;
		on_message(ups, &frame, ups->punt_buf + at + sizeof(frame));
		at += sizeof(frame) + frame.len;
	}
	if (at)
		memmove(ups->punt_buf, ups->punt_buf + at, ups->punt_len - at);
	ups->punt_len -= at;
	return true;
}

/*
 * Before a client's end is acted on: what it has sent is here by then, if not read, and is to be sent on first. Others go on sending:
 * no more is read than there can be of one. Never from on_message().
 */
static void read_all_punted(struct lw_upstreams *ups)
{
	for (size_t n = 0; n < 2 * (size_t)LW_PUNT_MAX_BYTES / PUNT_READ && read_punted(ups); n++)
		;
}

static void on_punted(struct ev_loop *loop, ev_io *w, int events)
{
	(void)loop;
	(void)events;
	(void)read_punted(w->data);
}

/* *fd becomes a high one; it stays as it is where there is none. */
static void move_up(int *fd)
{
	struct rlimit l;
	int high = PUNT_FD;

	if (!getrlimit(RLIMIT_NOFILE, &l) && l.rlim_cur != RLIM_INFINITY && l.rlim_cur <= PUNT_FD)
		high = (int)l.rlim_cur - 1;
	high = fcntl(*fd, F_DUPFD_CLOEXEC, high);
	if (high < 0)
		return;
	(void)close(*fd);
	*fd = high;
}

int lw_punts_start(struct lw_upstreams *ups)
{
	int pair[2], r;
	uint32_t key = ups->kern->number & 1;
	uint64_t fd;

	ups->punt_near = ups->punt_far = -1;
	ups->punt_buf = malloc(PUNT_BUF);
	if (!ups->punt_buf)
		return -ENOMEM;
	r = lw_tcp_pair(pair);
	if (r)
		return r;
	move_up(&pair[0]);
	ups->punt_near = pair[0];
	ups->punt_far = pair[1];
	fd = (uint64_t)ups->punt_near;
	if (bpf_map_update_elem(bpf_map__fd(ups->kern->skel->maps.lw_punt_sock), &key, &fd,
				BPF_ANY))
		return -errno;
	ev_io_init(&ups->punt_io, on_punted, ups->punt_near, EV_READ);
	ups->punt_io.data = ups;
	ev_io_start(ups->loop, &ups->punt_io);
	return 0;
}

static bool punt_drop(void *value, void *arg)
{
	struct lw_upstreams *ups = arg;
	struct punt *p = value;
	struct lw_flow flow;

	/* nobody else would tell the client, where there is no upstream socket that it is bound to yet */
	if (!lw_upstream_flow(ups, p->down, &flow))
		(void)lw_downstream_reset(ups->netns, p->down, &flow);
	if (p->u) {
		ev_io_stop(ups->loop, &p->u->room);
		p->u->punt = NULL;
	}
	free(p->data);
	free(p);
	return false;
}

void lw_punts_stop(struct lw_upstreams *ups)
{
	if (ups->punt_io.data)
		ev_io_stop(ups->loop, &ups->punt_io);
	lw_bytemap_filter(&ups->punts, punt_drop, ups);
	lw_bytemap_clear(&ups->punts);
	if (ups->punt_buf) {
		(void)lw_close(ups->punt_near);
		(void)lw_close(ups->punt_far);
	}
	free(ups->punt_buf);
	ups->punt_buf = NULL;
}
