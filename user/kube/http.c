/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kube/config.h"

/*
 * One libcurl pool. There is one, and after a deadline a new one: requests on the old one end there, and with the
 * last of them it goes.
 */
struct pool {
	struct pool *next;
	struct lw_http *http;
	CURLM *multi;
	ev_timer timer;
	size_t requests;
	bool dead; /* a request got no answer */
};

struct lw_http {
	struct ev_loop *loop;
	struct lw_kube_config *config;
	struct pool *pools; /* the first takes new requests */
	struct lw_http_request *requests;
	char *base; /* URL without the target */
	/* where the server is, if the URL says what its certificate says */
	struct curl_slist *connect_to;
	struct lw_http_counts ended;
};

struct lw_http_request {
	struct lw_http_request *next, *prev;
	struct lw_http *http;
	struct pool *pool;
	CURL *easy;
	struct curl_slist *headers;
	struct lw_http_callbacks callbacks;
	void *arg;
	ev_timer deadline;
	uint64_t begun_ns, heard_ns;
	uint64_t probe_ns; /* when another answer of its connection was last asked for anew, as all were silent; 0: never */
	/* Our end of its connection, from when it is answered: this tells connections apart. The descriptor cannot be had of one at work. 0: unknown. */
	long local_port;
	unsigned int total_s, answer_s, silent_s;
	uint64_t silent_ns; /* silent_s, and the request's own part of the spread */
	uint64_t refused_ns; /* when an answer of status 300 or more began; 0: none did */
	bool answered; /* the head is complete */
	bool ended; /* by a callback */
	char error[CURL_ERROR_SIZE];
};

static void drain(struct pool *pool);

/* ---- libcurl on libev ---- */

struct socket {
	ev_io io;
	struct pool *pool;
};

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct pool *pool = ((struct socket *)w)->pool;
	int running, flags = 0;

	(void)loop;
	flags |= revents & EV_READ ? CURL_CSELECT_IN : 0;
	flags |= revents & EV_WRITE ? CURL_CSELECT_OUT : 0;
	(void)curl_multi_socket_action(pool->multi, w->fd, flags, &running);
	drain(pool);
}

static void on_timeout(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct pool *pool = w->data;
	int running;

	(void)loop;
	(void)revents;
	(void)curl_multi_socket_action(pool->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	drain(pool);
}

static int want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct socket *s = socket_arg;
	struct pool *pool = arg;

	(void)easy;
	if (s)
		ev_io_stop(pool->http->loop, &s->io);
	if (what == CURL_POLL_REMOVE) {
		free(s);
		(void)curl_multi_assign(pool->multi, fd, NULL);
		return 0;
	}
	if (!s) {
		s = calloc(1, sizeof(*s));
		if (!s)
			return -1;
		s->pool = pool;
		ev_init(&s->io, on_io);
		(void)curl_multi_assign(pool->multi, fd, s);
	}
	ev_io_set(&s->io, fd,
		  (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0));
	ev_io_start(pool->http->loop, &s->io);
	return 0;
}

static int want_timeout(CURLM *multi, long timeout_ms, void *arg)
{
	struct pool *pool = arg;

	(void)multi;
	ev_timer_stop(pool->http->loop, &pool->timer);
	if (timeout_ms >= 0) {
		ev_timer_set(&pool->timer, (double)timeout_ms / 1000., 0.);
		ev_timer_start(pool->http->loop, &pool->timer);
	}
	return 0;
}

/* ---- pools ---- */

static void free_pool(struct pool *pool)
{
	(void)curl_multi_cleanup(pool->multi);
	ev_timer_stop(pool->http->loop, &pool->timer);
	free(pool);
}

/* A new one for the requests to come. 0 or -ENOMEM. */
static int add_pool(struct lw_http *http)
{
	struct pool *pool = calloc(1, sizeof(*pool));

	if (!pool)
		return -ENOMEM;
	pool->multi = curl_multi_init();
	if (!pool->multi) {
		free(pool);
		return -ENOMEM;
	}
	pool->http = http;
	ev_init(&pool->timer, on_timeout);
	pool->timer.data = pool;
	(void)curl_multi_setopt(pool->multi, CURLMOPT_SOCKETFUNCTION, want_socket);
	(void)curl_multi_setopt(pool->multi, CURLMOPT_SOCKETDATA, pool);
	(void)curl_multi_setopt(pool->multi, CURLMOPT_TIMERFUNCTION, want_timeout);
	(void)curl_multi_setopt(pool->multi, CURLMOPT_TIMERDATA, pool);
	(void)curl_multi_setopt(pool->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
	(void)curl_multi_setopt(pool->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, 1000l);
	pool->next = http->pools;
	http->pools = pool;
	return 0;
}

static void sweep_pools(struct lw_http *http)
{
	struct pool **at = &http->pools->next, *pool;

	while ((pool = *at)) {
		if (pool->requests > 0) {
			at = &pool->next;
			continue;
		}
		*at = pool->next;
		free_pool(pool);
	}
}

/* ---- a request ---- */

/* Takes it out and frees it, without a word. */
static void remove_request(struct lw_http_request *request)
{
	struct lw_http *http = request->http;
	curl_off_t bytes = 0;
	long connections = 0;

	(void)curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
	(void)curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &connections);
	http->ended.bytes += (uint64_t)bytes;
	http->ended.connections += (uint64_t)connections;
	ev_timer_stop(http->loop, &request->deadline);
	(void)curl_multi_remove_handle(request->pool->multi, request->easy);
	curl_easy_cleanup(request->easy);
	curl_slist_free_all(request->headers);
	request->pool->requests--;
	if (request->prev)
		request->prev->next = request->next;
	else
		http->requests = request->next;
	if (request->next)
		request->next->prev = request->prev;
	free(request);
}

/* Takes libcurl's " after 3 ms" out: the same trouble has the same text, and is logged once. */
static void cut_time(char *text)
{
	char *at = strstr(text, " after "), *end;

	if (!at)
		return;
	(void)strtoul(at + 7, &end, 10);
	if (end > at + 7 && strncmp(end, " ms", 3) == 0)
		memmove(at, end + 3, strlen(end + 3) + 1);
}

static void finish(struct lw_http_request *request, const char *trouble)
{
	struct lw_http_callbacks callbacks = request->callbacks;
	void *arg = request->arg;
	curl_off_t retry_after = 0;
	char text[CURL_ERROR_SIZE + 64];

	(void)curl_easy_getinfo(request->easy, CURLINFO_RETRY_AFTER, &retry_after);
	if (trouble) {
		(void)snprintf(text, sizeof(text), "%s", trouble);
		cut_time(text);
	}
	remove_request(request);
	callbacks.done(trouble ? text : NULL,
		       retry_after > 0 && retry_after < 300 ? (unsigned int)retry_after : 0, arg);
}

/* Takes up what has ended. */
static void drain(struct pool *pool)
{
	struct lw_http *http = pool->http;
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(pool->multi, &left))) {
		struct lw_http_request *request;
		CURLcode code = message->data.result;
		const char *trouble = NULL;

		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&request);
		if (code != CURLE_OK && !request->ended)
			trouble = request->error[0] ? request->error : curl_easy_strerror(code);
		finish(request, trouble);
	}
	sweep_pools(http);
}

static size_t on_header(char *line, size_t size, size_t n, void *arg)
{
	struct lw_http_request *request = arg;
	size_t len = size * n;
	long status = 0;

	(void)line;
	request->heard_ns = lw_clock_ns();
	if (len > 2 || request->answered)
		return len;
	(void)curl_easy_getinfo(request->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status < 200)
		return len;
	request->answered = true;
	request->refused_ns = status >= 300 ? request->heard_ns : 0;
	/* another deadline is the next now */
	ev_timer_stop(request->http->loop, &request->deadline);
	ev_timer_set(&request->deadline, 0., 0.);
	ev_timer_start(request->http->loop, &request->deadline);
	(void)curl_easy_getinfo(request->easy, CURLINFO_LOCAL_PORT, &request->local_port);
	request->ended = request->callbacks.head(status, request->arg) != 0;
	return request->ended ? 0 : len;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct lw_http_request *request = arg;

	request->heard_ns = lw_clock_ns();
	if (!request->ended)
		request->ended = request->callbacks.data(data, size * n, request->arg) != 0;
	return request->ended ? 0 : size * n;
}

/* For one request of a connection after the other: whoever asks anew finds out for all whether the server is there. */
#define PROBE_S (LW_HTTP_ANSWER_S + LW_HTTP_CONNECT_S)

/* Of HTTP/2 a connection has many, of HTTP/1.1 each has its own: what comes over another says nothing of it. */
static bool share_connection(const struct lw_http_request *a, const struct lw_http_request *b)
{
	return a->answered && b->answered && a->pool == b->pool && a->local_port == b->local_port &&
	       a->local_port > 0;
}

/* When the request has been silent for too long. */
static uint64_t silent_due(const struct lw_http_request *request, uint64_t now)
{
	uint64_t heard = request->heard_ns, due;

	if (!request->answered)
		return heard + request->answer_s * LW_NS_PER_SEC;
	if (request->pool->dead)
		return heard + request->silent_ns;
	for (const struct lw_http_request *other = request->http->requests; other;
	     other = other->next)
		if (heard < other->heard_ns && share_connection(request, other))
			heard = other->heard_ns;
	due = heard + request->silent_ns;
	if (due <= now && request->probe_ns != 0 &&
	    now < request->probe_ns + PROBE_S * LW_NS_PER_SEC)
		due = request->probe_ns + PROBE_S * LW_NS_PER_SEC;
	return due;
}

/* Fires when the next deadline would pass, and looks again. */
static void on_deadline(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_http_request *request = w->data;
	struct lw_http *http = request->http;
	unsigned int silent_s = request->answered ? request->silent_s : request->answer_s;
	uint64_t now = lw_clock_ns(), due = silent_due(request, now), total_due;
	char trouble[96];

	(void)revents;
	(void)snprintf(trouble, sizeof(trouble), "the server was silent for %u s", silent_s);
	if (!request->answered)
		(void)snprintf(trouble, sizeof(trouble), "no answer within %u s", silent_s);
	total_due = request->begun_ns + request->total_s * LW_NS_PER_SEC;
	if (request->total_s && total_due < due) {
		due = total_due;
		(void)snprintf(trouble, sizeof(trouble), "not done after %u s", request->total_s);
	}
	if (request->refused_ns && request->refused_ns + request->answer_s * LW_NS_PER_SEC < due)
		due = request->refused_ns + request->answer_s * LW_NS_PER_SEC;
	if (now < due) {
		ev_timer_set(w, (double)(due - now) / 1e9 + .001, 0.);
		ev_timer_start(loop, w);
		return;
	}
	if (request->answered) {
		for (struct lw_http_request *other = http->requests; other; other = other->next)
			if (share_connection(request, other))
				other->probe_ns = now;
	} else {
		/* Its connection may lead nowhere, and nobody else would find out. */
		request->pool->dead = true;
		if (request->pool == http->pools)
			(void)add_pool(http);
	}
	/* what is to be known of a refusal has been said */
	finish(request, request->refused_ns ? NULL : trouble);
	sweep_pools(http);
}

static void set_pem(CURL *easy, CURLoption file_option, CURLoption blob_option,
		    const struct lw_kube_pem *pem)
{
	struct curl_blob blob = { pem->data, pem->len, CURL_BLOB_NOCOPY };

	if (pem->data)
		(void)curl_easy_setopt(easy, blob_option, &blob);
	else if (pem->file)
		(void)curl_easy_setopt(easy, file_option, pem->file);
}

static void set_credentials(struct lw_http *http, CURL *easy)
{
	const struct lw_kube_config *config = http->config;

	set_pem(easy, CURLOPT_CAINFO, CURLOPT_CAINFO_BLOB, &config->ca);
	/* the cluster's own is the only one: no certificate of the machine's other authorities is its API server's */
	if (config->ca.file || config->ca.data)
		(void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
	/* a file of it is read anew with each connection, as it is rotated */
	(void)curl_easy_setopt(easy, CURLOPT_CA_CACHE_TIMEOUT, 0l);
	set_pem(easy, CURLOPT_SSLCERT, CURLOPT_SSLCERT_BLOB, &config->cert);
	set_pem(easy, CURLOPT_SSLKEY, CURLOPT_SSLKEY_BLOB, &config->key);
	if (config->insecure) {
		(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0l);
		(void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0l);
	}
	if (config->proxy)
		(void)curl_easy_setopt(easy, CURLOPT_PROXY, config->proxy);
	if (http->connect_to)
		(void)curl_easy_setopt(easy, CURLOPT_CONNECT_TO, http->connect_to);
	if (config->user) {
		(void)curl_easy_setopt(easy, CURLOPT_USERNAME, config->user);
		(void)curl_easy_setopt(easy, CURLOPT_PASSWORD,
				       config->password ? config->password : "");
	}
}

/* Takes *list. */
static int add_header(struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (!longer)
		return -ENOMEM;
	*list = longer;
	return 0;
}

static int set_headers(struct lw_http_request *request)
{
	const char *token = lw_kube_config_token(request->http->config);
	_cleanup_free_ char *line = NULL;

	if (add_header(&request->headers, "Accept: application/json") < 0)
		return -ENOMEM;
	if (token) {
		if (asprintf(&line, "Authorization: Bearer %s", token) < 0) {
			line = NULL;
			return -ENOMEM;
		}
		if (add_header(&request->headers, line) < 0)
			return -ENOMEM;
	}
	(void)curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers);
	return 0;
}

static int set_up(struct lw_http_request *request, const char *target)
{
	CURL *easy = request->easy;
	_cleanup_free_ char *url = NULL;

	if (asprintf(&url, "%s%s", request->http->base, target) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	if (curl_easy_setopt(easy, CURLOPT_URL, url) != CURLE_OK || set_headers(request) < 0)
		return -ENOMEM;
	(void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "https,http");
	(void)curl_easy_setopt(easy, CURLOPT_PRIVATE, request);
	(void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1l);
#if LIBCURL_VERSION_NUM >= 0x075700
	/* else a request that ends before its name is found waits in the loop for the name servers' own time-outs */
	(void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1l);
#endif
	(void)curl_easy_setopt(easy, CURLOPT_NOPROGRESS, 1l);
	(void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, request->error);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, request);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_data);
	(void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, request);
	(void)curl_easy_setopt(easy, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1l);
	(void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	(void)curl_easy_setopt(easy, CURLOPT_PIPEWAIT, 1l);
	(void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(easy, CURLOPT_ACCEPT_ENCODING, "gzip");
	(void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "laneway/" LW_VERSION);
	(void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, (long)LW_HTTP_CONNECT_S);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1l);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 30l);
	(void)curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 10l);
	set_credentials(request->http, easy);
	return 0;
}

/* method NULL: GET. */
static int set_body(struct lw_http_request *request, const char *method, const char *content_type,
		    const char *body)
{
	_cleanup_free_ char *line = NULL;

	if (!method)
		return 0;
	if (asprintf(&line, "Content-Type: %s", content_type) < 0) {
		line = NULL;
		return -ENOMEM;
	}
	/* libcurl waits for "100 Continue" otherwise, where a body is not small */
	if (add_header(&request->headers, line) < 0 || add_header(&request->headers, "Expect:") < 0)
		return -ENOMEM;
	if (curl_easy_setopt(request->easy, CURLOPT_CUSTOMREQUEST, method) != CURLE_OK ||
	    curl_easy_setopt(request->easy, CURLOPT_HTTPHEADER, request->headers) != CURLE_OK ||
	    curl_easy_setopt(request->easy, CURLOPT_COPYPOSTFIELDS, body) != CURLE_OK)
		return -ENOMEM;
	return 0;
}

/* Takes request. */
static int start(struct lw_http_request *request, const char *method, const char *target,
		 const char *content_type, const char *body, struct lw_http_request **ret)
{
	struct lw_http *http = request->http;
	unsigned int first_s = request->answer_s;

	request->begun_ns = request->heard_ns = lw_clock_ns();
	request->easy = curl_easy_init();
	if (!request->easy || set_up(request, target) < 0 ||
	    set_body(request, method, content_type, body) < 0 ||
	    curl_multi_add_handle(http->pools->multi, request->easy) != CURLM_OK) {
		curl_easy_cleanup(request->easy);
		curl_slist_free_all(request->headers);
		free(request);
		return -ENOMEM;
	}
	request->pool = http->pools;
	request->pool->requests++;
	http->ended.requests++;
	request->next = http->requests;
	if (request->next)
		request->next->prev = request;
	http->requests = request;
	if (request->total_s && request->total_s < first_s)
		first_s = request->total_s;
	ev_timer_init(&request->deadline, on_deadline, (double)first_s, 0.);
	request->deadline.data = request;
	ev_timer_start(http->loop, &request->deadline);
	*ret = request;
	return 0;
}

static struct lw_http_request *new_request(struct lw_http *http,
					   const struct lw_http_callbacks *callbacks, void *arg)
{
	struct lw_http_request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->http = http;
	request->callbacks = *callbacks;
	request->arg = arg;
	return request;
}

/* Answers that have a connection each and fell silent together, as in a cluster at rest, are not all cut together, nor again after that. */
static uint64_t spread_ns(unsigned int silent_s)
{
	uint32_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)lw_clock_ns();
	return silent_s ? r % (silent_s * 125) * LW_NS_PER_MS : 0;
}

int lw_http_get(struct lw_http *http, const char *target, unsigned int total_s,
		unsigned int answer_s, unsigned int silent_s,
		const struct lw_http_callbacks *callbacks, void *arg, struct lw_http_request **ret)
{
	struct lw_http_request *request = new_request(http, callbacks, arg);

	if (!request)
		return -ENOMEM;
	request->total_s = total_s;
	request->answer_s = answer_s;
	request->silent_s = silent_s;
	request->silent_ns = silent_s * LW_NS_PER_SEC + spread_ns(silent_s);
	return start(request, NULL, target, NULL, NULL, ret);
}

int lw_http_send(struct lw_http *http, const char *method, const char *target,
		 const char *content_type, const char *body, unsigned int total_s,
		 const struct lw_http_callbacks *callbacks, void *arg, struct lw_http_request **ret)
{
	struct lw_http_request *request = new_request(http, callbacks, arg);

	if (!request)
		return -ENOMEM;
	request->total_s = request->answer_s = request->silent_s = total_s;
	request->silent_ns = total_s * LW_NS_PER_SEC;
	return start(request, method, target, content_type, body, ret);
}

void lw_http_cancel(struct lw_http_request **request)
{
	if (*request)
		remove_request(*request);
	*request = NULL;
}

/* ---- all of it ---- */

/* The URL says the name that the certificate has, and libcurl is told where that is. */
static int rename_server(struct lw_http *http, const char *name)
{
	const char *server = http->config->server, *host = strstr(server, "://") + 3, *end,
		   *port = "";
	_cleanup_free_ char *to = NULL;
	char *base;

	end = host + strcspn(host, "/");
	for (const char *p = end; p > host && *p != ']'; p--) {
		if (*p == ':') {
			port = p + 1;
			break;
		}
	}
	if (asprintf(&to, "::%.*s", (int)(end - host), host) < 0) {
		to = NULL;
		return -ENOMEM;
	}
	if (!port[0]) {
		char *with_port;

		if (asprintf(&with_port, "%s:443", to) < 0)
			return -ENOMEM;
		free(to);
		to = with_port;
	}
	if (asprintf(&base, "%.*s%s%s%s", (int)(host - server), server, name, port[0] ? ":" : "",
		     port[0] ? port : end) < 0)
		return -ENOMEM;
	free(http->base);
	http->base = base;
	return add_header(&http->connect_to, to);
}

int lw_http_new(struct ev_loop *loop, struct lw_kube_config *config, struct lw_http **ret)
{
	_cleanup_(lw_http_free) struct lw_http *http = NULL;

	if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return -ENOMEM;
	http = calloc(1, sizeof(*http));
	if (!http)
		return -ENOMEM;
	http->loop = loop;
	http->config = config;
	http->base = strdup(config->server);
	if (!http->base || add_pool(http) < 0 ||
	    (config->tls_server_name && rename_server(http, config->tls_server_name) < 0))
		return -ENOMEM;
	*ret = TAKE_PTR(http);
	return 0;
}

void lw_http_free(struct lw_http **http_ptr)
{
	struct lw_http *http = *http_ptr;
	struct pool *pool;

	if (!http)
		return;
	while (http->requests)
		remove_request(http->requests);
	while ((pool = http->pools)) {
		http->pools = pool->next;
		free_pool(pool);
	}
	curl_slist_free_all(http->connect_to);
	free(http->base);
	free(http);
	*http_ptr = NULL;
}

void lw_http_counts(const struct lw_http *http, struct lw_http_counts *ret)
{
	*ret = http->ended;
	for (const struct lw_http_request *request = http->requests; request;
	     request = request->next) {
		curl_off_t bytes = 0;
		long connections = 0;

		(void)curl_easy_getinfo(request->easy, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
		(void)curl_easy_getinfo(request->easy, CURLINFO_NUM_CONNECTS, &connections);
		ret->bytes += (uint64_t)bytes;
		ret->connections += (uint64_t)connections;
	}
}
