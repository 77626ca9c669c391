/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/events.h"

#include <errno.h>
#include <ev.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "kube/answer.h"
#include "kube/config.h"
#include "kube/http.h"
#include "kube/member.h"

#define TOTAL_S 30
#define NAME_MAX_BYTES 253

/* One Event on its way: it is posted; if it is there already it is read, and patched if it is old. */
struct op {
	struct op *next, *prev;
	struct lw_kube_events *events;
	struct lw_http_request *request;
	enum { POST, GET, PATCH } step;
	uint64_t id;
	struct json_object *object;
	char *path; /* of the namespace's Events */
	char *name;
	int64_t since;
	struct lw_answer answer;
};

struct lw_kube_events {
	struct ev_loop *loop;
	struct lw_kube_config *config;
	struct lw_http *http; /* NULL: nothing was written yet */
	char *host;
	void (*done)(uint64_t id, const char *error, void *arg);
	void *arg;
	struct op *ops;
	size_t count;
};

void lw_kube_events_name(const char *object, uint64_t hash, char *ret, size_t size)
{
	size_t max = NAME_MAX_BYTES - 17, n = strlen(object);

	n = n < max ? n : max;
	/* what is cut may not end in a dot or a dash */
	while (n > 0 && (object[n - 1] == '.' || object[n - 1] == '-'))
		n--;
	(void)snprintf(ret, size, "%.*s.%016llx", (int)n, object, (unsigned long long)hash);
}

void lw_kube_events_time(int64_t unix_time, char ret[32])
{
	time_t t = (time_t)unix_time;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(ret, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		ret[0] = '\0';
}

int64_t lw_kube_events_parse_time(const char *s)
{
	struct tm tm = {};
	const char *end = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);

	return end && (*end == 'Z' || *end == '.') ? (int64_t)timegm(&tm) : 0;
}

/* ---- JSON: out of memory leaves a member out, and the API server says what is missing ---- */

static struct json_object *add_object(struct json_object *o, const char *key)
{
	struct json_object *member = json_object_new_object();

	(void)json_object_object_add(o, key, member);
	return member;
}

static void add(struct json_object *o, const char *key, const char *value)
{
	(void)json_object_object_add(o, key, json_object_new_string(value));
}

static void add_writer(const struct lw_kube_events *events, struct json_object *o)
{
	struct json_object *source = add_object(o, "source");

	add(source, "component", "laneway");
	add(source, "host", events->host);
	add(o, "reportingComponent", "laneway");
	add(o, "reportingInstance", events->host);
}

static struct json_object *event_json(const struct lw_kube_events *events,
				      const struct lw_kube_event *event)
{
	struct json_object *o = json_object_new_object(), *member;
	char now[32];

	if (!o)
		return NULL;
	lw_kube_events_time((int64_t)time(NULL), now);
	add(o, "apiVersion", "v1");
	add(o, "kind", "Event");
	member = add_object(o, "metadata");
	add(member, "name", event->name);
	add(member, "namespace", event->ns);
	member = add_object(o, "involvedObject");
	add(member, "apiVersion", event->api_version);
	add(member, "kind", event->kind);
	add(member, "namespace", event->ns);
	add(member, "name", event->object);
	add(member, "uid", event->uid);
	add(o, "type", event->warning ? "Warning" : "Normal");
	add(o, "reason", event->reason);
	add(o, "message", event->message);
	add(o, "firstTimestamp", now);
	add(o, "lastTimestamp", now);
	(void)json_object_object_add(o, "count", json_object_new_int(1));
	add_writer(events, o);
	return o;
}

/* What changes when it happens again. NULL: it is recent enough, or it is no Event. */
static struct json_object *patch_json(const struct op *op, struct json_object *there, bool *ret_bad)
{
	struct json_object *meta = NULL, *count = NULL, *o;

	*ret_bad = !json_object_object_get_ex(there, "metadata", &meta);
	if (*ret_bad ||
	    lw_kube_events_parse_time(lw_kube_text(there, "lastTimestamp")) >= op->since)
		return NULL;
	o = json_object_new_object();
	*ret_bad = !o;
	if (!o)
		return NULL;
	/* of two writers that have seen the same one only the first one counts it up */
	add(add_object(o, "metadata"), "resourceVersion", lw_kube_text(meta, "resourceVersion"));
	(void)json_object_object_get_ex(there, "count", &count);
	(void)json_object_object_add(o, "count",
				     json_object_new_int(json_object_get_int(count) + 1));
	add(o, "lastTimestamp", lw_kube_text(op->object, "lastTimestamp"));
	add(o, "message", lw_kube_text(op->object, "message"));
	add_writer(op->events, o);
	return o;
}

/* ---- an Event on its way ---- */

static void free_op(struct op *op)
{
	struct lw_kube_events *events = op->events;

	lw_http_cancel(&op->request);
	if (op->prev)
		op->prev->next = op->next;
	else
		events->ops = op->next;
	if (op->next)
		op->next->prev = op->prev;
	events->count--;
	(void)json_object_put(op->object);
	free(op->path);
	free(op->name);
	lw_answer_free(&op->answer);
	free(op);
}

static void finish(struct op *op, const char *error)
{
	struct lw_kube_events *events = op->events;
	uint64_t id = op->id;

	free_op(op);
	events->done(id, error, events->arg);
}

static int on_head(long status, void *arg)
{
	((struct op *)arg)->answer.status = status;
	return 0;
}

static int on_data(const char *data, size_t len, void *arg)
{
	return lw_answer_add(&((struct op *)arg)->answer, data, len);
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg);
static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };

/* body NULL: GET. 0 or -ENOMEM. */
static int ask(struct op *op, int step, const char *body)
{
	_cleanup_free_ char *target = NULL;

	op->step = step;
	lw_answer_begin(&op->answer);
	if (asprintf(&target, "%s%s%s", op->path, step == POST ? "" : "/",
		     step == POST ? "" : op->name) < 0) {
		target = NULL;
		return -ENOMEM;
	}
	if (step == GET)
		return lw_http_get(op->events->http, target, TOTAL_S, TOTAL_S, TOTAL_S, &callbacks,
				   op, &op->request);
	return lw_http_send(op->events->http, step == POST ? "POST" : "PATCH", target,
			    step == POST ? "application/json" : "application/merge-patch+json",
			    body, TOTAL_S, &callbacks, op, &op->request);
}

/* 1: it is as it should be, 0: asked, -errno. */
static int patch(struct op *op)
{
	struct json_object *there = op->answer.text ? json_tokener_parse(op->answer.text) : NULL,
			   *changes;
	bool bad;
	int r;

	changes = patch_json(op, there, &bad);
	if (!changes) {
		(void)json_object_put(there);
		return bad ? -EBADMSG : 1;
	}
	r = ask(op, PATCH, json_object_to_json_string_ext(changes, JSON_C_TO_STRING_PLAIN));
	(void)json_object_put(changes);
	(void)json_object_put(there);
	return r;
}

static const char *verb_of(const struct op *op)
{
	return op->step == POST ? "create" : op->step == GET ? "get" : "patch";
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct op *op = arg;
	char text[512];
	int r = -EIO;

	(void)retry_after_s;
	op->request = NULL;
	if (!trouble && op->step == POST && op->answer.status == 409)
		r = ask(op, GET, NULL);
	else if (!trouble && op->step == GET && op->answer.status == 200)
		r = patch(op);
	else if (!trouble &&
		 (op->answer.status / 100 == 2 || (op->step == PATCH && op->answer.status == 409)))
		r = 1;
	else if (trouble)
		(void)snprintf(text, sizeof(text), "%s", trouble);
	else if (op->answer.status == 403)
		(void)snprintf(
			text, sizeof(text),
			"not allowed: grant the verb \"%s\" on resource \"events\" of API group \"\"",
			verb_of(op));
	else
		(void)snprintf(text, sizeof(text), "the API server answers %ld to \"%s\"",
			       op->answer.status, verb_of(op));
	if (r == -EIO) {
		finish(op, text);
		return;
	}
	if (r != 0)
		finish(op, r > 0 ? NULL : strerror(-r));
}

/* ---- all of them ---- */

int lw_kube_events_new(struct ev_loop *loop, struct lw_kube_config *config, const char *host,
		       void (*done)(uint64_t id, const char *error, void *arg), void *arg,
		       struct lw_kube_events **ret)
{
	struct lw_kube_events *events = calloc(1, sizeof(*events));

	if (!events)
		return -ENOMEM;
	events->host = strdup(host);
	if (!events->host) {
		free(events);
		return -ENOMEM;
	}
	events->loop = loop;
	events->config = config;
	events->done = done;
	events->arg = arg;
	*ret = events;
	return 0;
}

void lw_kube_events_free(struct lw_kube_events **events_ptr)
{
	struct lw_kube_events *events = *events_ptr;

	if (!events)
		return;
	while (events->ops)
		free_op(events->ops);
	lw_http_free(&events->http);
	free(events->host);
	free(events);
	*events_ptr = NULL;
}

int lw_kube_events_write(struct lw_kube_events *events, const struct lw_kube_event *event,
			 uint64_t id)
{
	struct op *op;
	int r;

	if (events->count >= LW_KUBE_EVENTS_MAX)
		return -EBUSY;
	if (!events->http) {
		r = lw_http_new(events->loop, events->config, &events->http);
		if (r < 0)
			return r;
	}
	op = calloc(1, sizeof(*op));
	if (!op)
		return -ENOMEM;
	op->events = events;
	op->id = id;
	op->since = event->since;
	op->next = events->ops;
	if (op->next)
		op->next->prev = op;
	events->ops = op;
	events->count++;
	op->object = event_json(events, event);
	op->name = strdup(event->name);
	if (asprintf(&op->path, "/api/v1/namespaces/%s/events", event->ns) < 0)
		op->path = NULL;
	r = op->object && op->name && op->path ?
		    ask(op, POST,
			json_object_to_json_string_ext(op->object, JSON_C_TO_STRING_PLAIN)) :
		    -ENOMEM;
	if (r < 0)
		free_op(op);
	return r;
}
