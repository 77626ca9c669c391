/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Requests to one API server, on the event loop: libcurl with one pool of connections, HTTP/2 where the server
 * offers it (then all requests share a connection), gzip, and the credentials of a struct lw_kube_config, whose
 * token is looked at before every request.
 *
 * Every request has deadlines: 10 s to connect, and as long as the caller says until the answer begins, and for silence
 * within it. Too short ones do harm: a server that is merely slow is asked again and again for what it cannot finish. While anything comes over its connection, a request's silence is no sign of anything; when nothing does,
 * one request of it ends, and by asking again finds out for all. A request without an answer is followed by others on new
 * connections: the old one may lead nowhere.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ev_loop;
struct lw_kube_config;
struct lw_http;
struct lw_http_request;

#define LW_HTTP_CONNECT_S 10
/* When a server that is asked for something small has not begun to answer. */
#define LW_HTTP_ANSWER_S 30

struct lw_http_callbacks {
	/* Status of the answer, once, before its data. Other than 0 ends the request. */
	int (*head)(long status, void *arg);
	/* Decoded. Other than 0 ends the request, as if the answer ended there. */
	int (*data)(const char *data, size_t len, void *arg);
	/* The request is over, and freed when this returns. trouble: NULL, or what went wrong in plain words. */
	void (*done)(const char *trouble, unsigned int retry_after_s, void *arg);
};

struct lw_http_counts {
	uint64_t requests, bytes; /* bytes of bodies, as they came over the wire */
	uint64_t connections; /* opened */
};

/* config and loop must outlive it. 0 or -errno. */
int lw_http_new(struct ev_loop *loop, struct lw_kube_config *config, struct lw_http **ret);
/* Ends all requests without a word. Takes NULL; sets *http to NULL. Not from within a callback. */
void lw_http_free(struct lw_http **http);

/*
 * target: path and query. total_s: longest time for the whole answer, 0: any. answer_s: until it begins, and, of
 * status 300 or more, again until it has ended: what is there by then is all of it. silent_s: the longest silence within it, of which each
 * request has up to an eighth more, at random. The callbacks are called from the event loop, never from here. 0 or -ENOMEM.
 */
int lw_http_get(struct lw_http *http, const char *target, unsigned int total_s,
		unsigned int answer_s, unsigned int silent_s,
		const struct lw_http_callbacks *callbacks, void *arg, struct lw_http_request **ret);
/* What is sent: body is copied; all of the answer has to be there within total_s. As above. */
int lw_http_send(struct lw_http *http, const char *method, const char *target,
		 const char *content_type, const char *body, unsigned int total_s,
		 const struct lw_http_callbacks *callbacks, void *arg,
		 struct lw_http_request **ret);
/* Ends it without a word. Takes NULL; sets *request to NULL. Not from within a callback. */
void lw_http_cancel(struct lw_http_request **request);

void lw_http_counts(const struct lw_http *http, struct lw_http_counts *ret);
