/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/stream.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yajl/yajl_parse.h>

#include "base/cleanup.h"
#include "kube/member.h"

/* Behind an object as long as this the parser is made anew: its buffer never shrinks. */
#define BIG_OBJECT (64u << 10)

/*
 * Which members are kept. Lists are passed through: what is wanted of a list is wanted of its items. What
 * nothing below is said of is kept whole.
 */
struct want {
	const char *key; /* NULL ends the table */
	const struct want *below;
	bool prefix; /* every key that begins so */
};

static const struct want want_owner[] = { { .key = "apiVersion" }, { .key = "kind" },
					  { .key = "name" },	   { .key = "uid" },
					  { .key = "controller" }, {} };
static const struct want want_annotations[] = { { .key = "rollouts.kruise.io/", .prefix = true },
						{ .key = "laneway.io/", .prefix = true },
						{} };
static const struct want want_meta[] = { { .key = "name" },
					 { .key = "namespace" },
					 { .key = "uid" },
					 { .key = "generation" },
					 { .key = "resourceVersion" },
					 { .key = "continue" },
					 { .key = "deletionTimestamp" },
					 { .key = "labels" },
					 { .key = "finalizers" },
					 { .key = "annotations", .below = want_annotations },
					 { .key = "ownerReferences", .below = want_owner },
					 {} };
static const struct want want_container_port[] = { { .key = "name" },
						   { .key = "containerPort" },
						   { .key = "protocol" },
						   {} };
static const struct want want_container[] = { { .key = "restartPolicy" },
					      { .key = "ports", .below = want_container_port },
					      {} };
/* One table for all kinds: what one kind has and another wants under the same name is small. */
static const struct want want_spec[] = {
	/* Pod */
	{ .key = "nodeName" },
	{ .key = "hostNetwork" },
	{ .key = "containers", .below = want_container },
	{ .key = "initContainers", .below = want_container },
	/* Service; workloads, but for the template */
	{ .key = "type" },
	{ .key = "selector" },
	{ .key = "clusterIP" },
	{ .key = "clusterIPs" },
	{ .key = "sessionAffinity" },
	{ .key = "ports" },
	{ .key = "replicas" },
	/* Rollout, TrafficRouting */
	{ .key = "workloadRef" },
	{ .key = "objectRef" },
	{ .key = "strategy" },
	{ .key = "disabled" },
	{},
};
static const struct want want_conditions[] = { { .key = "type" },
					       { .key = "status" },
					       { .key = "reason" },
					       {} };
static const struct want want_status[] = {
	{ .key = "phase" },
	{ .key = "podIP" },
	{ .key = "podIPs" },
	{ .key = "conditions", .below = want_conditions },
	{ .key = "observedGeneration" },
	{ .key = "currentStepIndex" },
	{ .key = "currentStepState" },
	{ .key = "canaryStatus" },
	{ .key = "blueGreenStatus" },
	{},
};
static const struct want want_object[] = {
	{ .key = "apiVersion" },
	{ .key = "kind" },
	{ .key = "metadata", .below = want_meta },
	{ .key = "spec", .below = want_spec },
	{ .key = "status", .below = want_status },
	/* Status, the event ERROR */
	{ .key = "message" },
	{ .key = "reason" },
	{ .key = "code" },
	{},
};
static const struct want want_list[] = { { .key = "kind" },
					 { .key = "metadata", .below = want_meta },
					 { .key = "items", .below = want_object },
					 {} };
static const struct want want_event[] = { { .key = "type" },
					  { .key = "object", .below = want_object },
					  {} };
static const struct want want_group_version[] = { { .key = "version" }, { .key = "name" }, {} };
static const struct want want_document[] = { { .key = "kind" },
					     { .key = "message" },
					     { .key = "reason" },
					     { .key = "code" },
					     { .key = "versions", .below = want_group_version },
					     { .key = "resources", .below = want_group_version },
					     {} };

struct frame {
	struct json_object *container;
	const struct want *want; /* NULL: everything */
	bool items; /* a list's own: what is in it is handed on */
	bool item; /* handed on when it ends; the frame owns it */
};

struct lw_stream {
	enum lw_stream_mode mode;
	lw_stream_cb cb;
	void *arg;
	yajl_handle parser;
	struct json_object *root; /* of a list or document, or the event that is being read */
	struct frame frames[LW_STREAM_KEPT_MAX];
	size_t depth; /* of frames */
	size_t skipped; /* depth below a member that is not wanted */
	bool skip_next; /* the value of the key just read */
	const struct want *below; /* what is wanted of it */
	char *key;
	size_t key_room;
	size_t object_bytes; /* read since the last object, whole chunks */
	bool object_ended; /* in this chunk */
	bool big, renew, done;
	int result; /* what ended it */
	char error[256];
};

/* 0, for `return`: ends the parse. */
static int stop(struct lw_stream *stream, int result, const char *error)
{
	stream->result = result;
	if (error)
		(void)snprintf(stream->error, sizeof(stream->error), "%s", error);
	return 0;
}

static struct frame *top(struct lw_stream *stream)
{
	return stream->depth > 0 ? &stream->frames[stream->depth - 1] : NULL;
}

/* ---- where a value goes ---- */

/* Takes value, which may be NULL (null). */
static int place(struct lw_stream *stream, struct json_object *value)
{
	struct frame *frame = top(stream);
	int r;

	if (json_object_is_type(frame->container, json_type_array))
		r = json_object_array_add(frame->container, value);
	else
		r = json_object_object_add(frame->container, stream->key, value);
	if (r == 0)
		return 1;
	(void)json_object_put(value);
	return stop(stream, -ENOMEM, NULL);
}

/* Whether the value that begins now is passed over; what is wanted of it otherwise. */
static bool is_skipped(struct lw_stream *stream, const struct want **ret_want)
{
	struct frame *frame = top(stream);

	if (stream->skipped > 0)
		return true;
	if (stream->skip_next) {
		stream->skip_next = false;
		return true;
	}
	*ret_want = json_object_is_type(frame->container, json_type_array) ? frame->want :
									     stream->below;
	return false;
}

static int scalar(struct lw_stream *stream, struct json_object *value, bool is_null)
{
	const struct want *want;

	if (!value && !is_null)
		return stop(stream, -ENOMEM, NULL);
	if (stream->depth == 0) {
		(void)json_object_put(value);
		return stop(stream, -EBADMSG, "expected an object, got something else");
	}
	if (top(stream)->items) {
		(void)json_object_put(value);
		return stop(stream, -EBADMSG, "items: expected objects, got something else");
	}
	if (is_skipped(stream, &want)) {
		(void)json_object_put(value);
		return 1;
	}
	return place(stream, value);
}

static const struct want *want_of_root(const struct lw_stream *stream)
{
	return stream->mode == LW_STREAM_LIST  ? want_list :
	       stream->mode == LW_STREAM_WATCH ? want_event :
						 want_document;
}

static int begin(struct lw_stream *stream, bool is_map)
{
	struct frame *parent = top(stream), frame = {};
	bool is_item = false;

	if (stream->depth + stream->skipped == LW_STREAM_DEPTH_MAX)
		return stop(stream, -EBADMSG, "nested too deeply");
	if (!parent) {
		if (!is_map)
			return stop(stream, -EBADMSG, "expected an object, got a list");
		if (stream->done)
			return stop(stream, -EBADMSG, "there is more behind the end of it");
		frame.want = want_of_root(stream);
	} else if (parent->items) {
		if (!is_map)
			return stop(stream, -EBADMSG, "items: expected objects, got a list");
		frame.want = parent->want;
		is_item = true;
	} else if (is_skipped(stream, &frame.want)) {
		stream->skipped++;
		return 1;
	}
	if (stream->depth == LW_STREAM_KEPT_MAX)
		return stop(stream, -EBADMSG, "nested too deeply");
	frame.container = is_map ? json_object_new_object() : json_object_new_array();
	if (!frame.container)
		return stop(stream, -ENOMEM, NULL);
	frame.item = is_item;
	frame.items = stream->mode == LW_STREAM_LIST && stream->depth == 1 && !is_map &&
		      frame.want == want_object;
	if (!parent) {
		(void)json_object_put(stream->root);
		stream->root = frame.container;
	} else if (!is_item && !place(stream, frame.container)) {
		return 0;
	}
	stream->frames[stream->depth++] = frame;
	return 1;
}

static int hand_on(struct lw_stream *stream, const char *type, struct json_object *object)
{
	int r;

	stream->object_ended = true;
	stream->big = stream->object_bytes > BIG_OBJECT;
	stream->object_bytes = 0;
	r = stream->cb(type, object, stream->arg);
	return r == 0 ? 1 : stop(stream, r, NULL);
}

static int end_of_root(struct lw_stream *stream)
{
	struct json_object *object = NULL;
	int more;

	if (stream->mode == LW_STREAM_LIST) {
		stream->done = true;
		return 1;
	}
	if (stream->mode == LW_STREAM_DOCUMENT) {
		stream->done = true;
		return hand_on(stream, "", stream->root);
	}
	(void)json_object_object_get_ex(stream->root, "object", &object);
	if (!json_object_is_type(object, json_type_object))
		return stop(stream, -EBADMSG, "an event without an object");
	more = hand_on(stream, lw_kube_text(stream->root, "type"), object);
	(void)json_object_put(stream->root);
	stream->root = NULL;
	if (more && stream->big) {
		stream->renew = true;
		return 0;
	}
	return more;
}

static int end(struct lw_stream *stream)
{
	struct frame frame;
	int more;

	if (stream->skipped > 0) {
		stream->skipped--;
		return 1;
	}
	frame = stream->frames[--stream->depth];
	if (stream->depth == 0)
		return end_of_root(stream);
	if (!frame.item)
		return 1;
	more = hand_on(stream, "", frame.container);
	(void)json_object_put(frame.container);
	return more;
}

/* ---- yajl's callbacks ---- */

static int on_null(void *ctx)
{
	return scalar(ctx, NULL, true);
}

static int on_boolean(void *ctx, int value)
{
	return scalar(ctx, json_object_new_boolean(value), false);
}

static int on_number(void *ctx, const char *text, size_t len)
{
	struct lw_stream *stream = ctx;
	char number[64];
	long long i;

	if (stream->skipped > 0)
		return 1;
	if (stream->skip_next) { /* however long */
		stream->skip_next = false;
		return 1;
	}
	if (len >= sizeof(number))
		return stop(stream, -EBADMSG, "a number of too many digits");
	memcpy(number, text, len);
	number[len] = '\0';
	errno = 0;
	i = strtoll(number, NULL, 10);
	if (errno == 0 && !strpbrk(number, ".eE"))
		return scalar(stream, json_object_new_int64(i), false);
	return scalar(stream, json_object_new_double(strtod(number, NULL)), false);
}

static int on_string(void *ctx, const unsigned char *text, size_t len)
{
	struct lw_stream *stream = ctx;

	if (stream->skipped > 0)
		return 1;
	if (stream->skip_next) {
		stream->skip_next = false;
		return 1;
	}
	return scalar(stream, json_object_new_string_len((const char *)text, (int)len), false);
}

static int on_start_map(void *ctx)
{
	return begin(ctx, true);
}

static int on_start_array(void *ctx)
{
	return begin(ctx, false);
}

static int on_end(void *ctx)
{
	return end(ctx);
}

static const struct want *find(const struct want *want, const char *key, size_t len)
{
	for (; want->key; want++) {
		size_t want_len = strlen(want->key);

		if (len >= want_len && (want->prefix || len == want_len) &&
		    memcmp(key, want->key, want_len) == 0)
			return want;
	}
	return NULL;
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
	struct lw_stream *stream = ctx;
	const struct want *want;

	if (stream->skipped > 0)
		return 1;
	stream->below = NULL;
	if (top(stream)->want) {
		want = find(top(stream)->want, (const char *)text, len);
		stream->skip_next = !want;
		if (!want)
			return 1;
		stream->below = want->below;
	}
	if (len >= stream->key_room) {
		char *grown = realloc(stream->key, len + 64);

		if (!grown)
			return stop(stream, -ENOMEM, NULL);
		stream->key = grown;
		stream->key_room = len + 64;
	}
	memcpy(stream->key, text, len);
	stream->key[len] = '\0';
	return 1;
}

/* ---- the stream ---- */

static int new_parser(struct lw_stream *stream)
{
	static const yajl_callbacks callbacks = {
		.yajl_null = on_null,
		.yajl_boolean = on_boolean,
		.yajl_number = on_number,
		.yajl_string = on_string,
		.yajl_start_map = on_start_map,
		.yajl_map_key = on_key,
		.yajl_end_map = on_end,
		.yajl_start_array = on_start_array,
		.yajl_end_array = on_end,
	};

	if (stream->parser)
		yajl_free(stream->parser);
	stream->parser = yajl_alloc(&callbacks, NULL, stream);
	if (!stream->parser)
		return -ENOMEM;
	(void)yajl_config(stream->parser, yajl_allow_multiple_values, 1);
	return 0;
}

int lw_stream_new(enum lw_stream_mode mode, lw_stream_cb cb, void *arg, struct lw_stream **ret)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = calloc(1, sizeof(*stream));

	if (!stream || new_parser(stream) < 0)
		return -ENOMEM;
	stream->mode = mode;
	stream->cb = cb;
	stream->arg = arg;
	*ret = TAKE_PTR(stream);
	return 0;
}

void lw_stream_free(struct lw_stream **stream_ptr)
{
	struct lw_stream *stream = *stream_ptr;

	if (!stream)
		return;
	for (size_t i = 0; i < stream->depth; i++) {
		if (stream->frames[i].item)
			(void)json_object_put(stream->frames[i].container);
	}
	(void)json_object_put(stream->root);
	if (stream->parser)
		yajl_free(stream->parser);
	free(stream->key);
	free(stream);
	*stream_ptr = NULL;
}

int lw_stream_feed(struct lw_stream *stream, const char *data, size_t len)
{
	while (len > 0) {
		yajl_status status;

		stream->object_ended = stream->renew = false;
		stream->object_bytes += len;
		status = yajl_parse(stream->parser, (const unsigned char *)data, len);
		if (status == yajl_status_client_canceled && stream->renew) {
			size_t used = yajl_get_bytes_consumed(stream->parser);

			if (new_parser(stream) < 0)
				return -ENOMEM;
			data += used;
			len -= used;
			continue;
		}
		if (status == yajl_status_client_canceled)
			return stream->result;
		if (status != yajl_status_ok) {
			unsigned char *text = yajl_get_error(stream->parser, 0, NULL, 0);

			(void)snprintf(stream->error, sizeof(stream->error), "no JSON: %s",
				       text ? (const char *)text : "?");
			stream->error[strcspn(stream->error, "\n")] = '\0';
			if (text)
				yajl_free_error(stream->parser, text);
			return -EBADMSG;
		}
		if (stream->object_bytes > LW_STREAM_OBJECT_MAX) {
			(void)stop(stream, -EBADMSG, "an object of more than 4 MiB");
			return -EBADMSG;
		}
		break;
	}
	return 0;
}

int lw_stream_end(struct lw_stream *stream)
{
	if (stream->depth == 0 && (stream->done || stream->mode == LW_STREAM_WATCH))
		return 0;
	(void)stop(stream, -EBADMSG, "it ends in the middle");
	return -EBADMSG;
}

const char *lw_stream_error(const struct lw_stream *stream)
{
	return stream->error;
}

static const char *list_meta(const struct lw_stream *stream, const char *key)
{
	struct json_object *meta = NULL;

	if (stream->root)
		(void)json_object_object_get_ex(stream->root, "metadata", &meta);
	return lw_kube_text(meta, key);
}

const char *lw_stream_resource_version(const struct lw_stream *stream)
{
	return list_meta(stream, "resourceVersion");
}

const char *lw_stream_continue(const struct lw_stream *stream)
{
	return list_meta(stream, "continue");
}
