/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * hop: the HTTP/1.1 service the demo, the tests and the benchmark run in their pods. It stands in for
 * the services of the example (it prints their line, and asks the next hop for the rest of it), and has
 * an endpoint for every kind of framing. `hop --help` lists both.
 *
 * One epoll loop a thread, nothing shared between threads. A connection is served one request at a time;
 * pipelined requests wait in its input buffer.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include "../harness/tool.h"

#define HEAD_MAX (64u << 10)
#define IN_MAX (256u << 10)
#define OUT_MAX (8u << 20) /* an echo stops reading when this much waits for its reader */
/* A body up to here is echoed when it is whole: proxies take an answer before the end for a refusal. */
#define ECHO_WHOLE (4u << 20)
#define LISTS_MAX 32
#define THREADS_MAX 64

/* ---- options ---- */

struct endpoint {
	struct sockaddr_storage addr;
	socklen_t len;
};

struct options {
	const char *name, *color, *config, *ip;
	struct endpoint listen[LISTS_MAX], next[LISTS_MAX];
	const char *forward[LISTS_MAX];
	const char *registry;
	int nlisten, nnext, nforward, threads;
	int ids; /* where the X-Id of each request goes, a line each; -1: nowhere */
	long idle_ms;
	bool as_asked, bytes;
};
extern struct options opt;

/* ---- byte queues: buf.c ---- */

struct buf {
	char *data;
	size_t start, end, cap;
};

static inline size_t buf_len(const struct buf *b)
{
	return b->end - b->start;
}

static inline char *buf_head(struct buf *b)
{
	return b->data + b->start;
}

void buf_reserve(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *data, size_t n);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_drop(struct buf *b, size_t n);
void buf_free(struct buf *b);

/* ---- connections ---- */

enum kind { KIND_LISTEN, KIND_CONN, KIND_UP };

struct object { /* what epoll points at; first member of the structs below */
	enum kind kind;
	int fd;
	uint32_t events;
	bool closed;
	struct object *next_dead;
};

enum state {
	STATE_HEAD, /* a request head is due */
	STATE_BODY, /* its body */
	STATE_WAIT, /* the next hop's answer, or a timer */
	STATE_SEND, /* the answer goes out */
	STATE_TUNNEL, /* bytes are echoed until end of file */
	STATE_LINGER, /* all sent, write side shut; the peer's end of file is due */
};

enum action {
	ACT_CHAIN,
	ACT_ID,
	ACT_SIZE,
	ACT_CHUNKED,
	ACT_CLOSE,
	ACT_ECHO,
	ACT_HASH,
	ACT_HEAD,
	ACT_STATUS,
	ACT_SLOW,
	ACT_DRIP,
	ACT_SLOWLY,
	ACT_EARLY,
	ACT_UPGRADE,
	ACT_CONNECT,
	ACT_RESET,
	ACT_SHORT,
	ACT_NONE,
};

enum chunk {
	CK_SIZE,
	CK_EXT,
	CK_SIZE_LF,
	CK_DATA,
	CK_DATA_CR,
	CK_DATA_LF,
	CK_LINE,
	CK_LINE_REST,
	CK_LINE_LF,
	CK_END_LF
};

struct worker;
struct up;

struct conn {
	struct object ob;
	struct worker *w;
	struct conn *prev, *next;
	struct buf in, out;
	enum state state;
	bool eof, blocked;
	char ip[INET6_ADDRSTRLEN];

	/* the request */
	enum action action;
	bool http10, keep, is_head, chunked, expect, trailers, extensions, streaming, cork;
	uint64_t arg, arg2, seed;
	uint64_t body_left; /* of a body with a length */
	enum chunk ck;
	uint64_t ck_left;
	int ck_digits;
	uint64_t body_len, body_hash;
	uint64_t kbps; /* at which the body is read; 0: as it comes */
	char tag[256], id[128];
	/* head as received, or the body to echo; header lines for the next hop */
	struct buf head, forward;
	struct buf target; /* as asked for */

	/* the answer */
	bool answer_chunked, answer_close, answer_reset;
	uint64_t gen_at, gen_end; /* pattern bytes still to be made */
	uint64_t deadline; /* ms; 0: none */
	uint64_t drips;
	struct up *up;
};

struct up {
	struct object ob;
	struct worker *w;
	struct conn *owner; /* NULL: idle in the pool */
	struct up *next_idle;
	struct endpoint to;
	bool reused, close, connected;
	struct buf in, req;
};

struct worker {
	int ep;
	uint64_t next_timer; /* no deadline is before this */
	unsigned int turn;
	struct conn *conns;
	struct up *idle; /* connections of the pool that wait for a request */
	struct object *dead;
	struct endpoint next[LISTS_MAX];
	int nnext;
	struct timespec registry_read; /* mtime of the registry file as last read */
};

/* main.c. "PORT", ":PORT", "IP:PORT" or "[IP6]:PORT". */
bool parse_endpoint(const char *text, struct endpoint *ret);
void die(const char *what) __attribute__((noreturn));

/* conn.c */
/* ms; 0: none. */
void set_deadline(struct conn *c, uint64_t deadline);
void watch(struct worker *w, struct object *ob, uint32_t events);
void up_close(struct up *u);
void conn_close(struct conn *c);
/* Frees what was closed in the batch of events that is done with. */
void reap(struct worker *w);

/* request.c. Reads the head in [p, p + len), blank line included. An error text, or NULL. */
const char *parse_head(struct conn *c, const char *p, size_t len);
/* Takes what there is of the body off the input. 1: the body is whole; 0: more is due; -1: malformed. */
int body_run(struct conn *c);

/* answer.c. The request is in, body and all (a long ACT_ECHO is answered for the most part). */
void answer(struct conn *c);
void answer_text(struct conn *c, int status, const char *text, size_t len);
void answer_error(struct conn *c, int status, const char *why);
/* The service's own line, and the next hop's behind it. */
void answer_chain(struct conn *c, int status, const char *rest, size_t len);
void put_chunk(struct conn *c, const void *data, size_t len);
void put_last_chunk(struct conn *c);
/* The answer's head and what has come of the body. */
void echo_start(struct conn *c);

/* next.c. Asks the next hop; its answer leads to answer_chain() and conn_run(). */
void up_start(struct conn *c);
void up_event(struct up *u);

/* serve.c. Goes on with a connection as far as it can. */
void conn_run(struct conn *c);
/* One epoll loop; arg: struct worker. */
void *worker_run(void *arg);
