/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an API server answers, parsed as it arrives: objects as trees of json-c, with the fields that
 * conf/objects.h reads and no others. A field that is not read is never stored, nor is the text: what a
 * stream holds is one object's kept fields, and at most one token that a chunk cut in two.
 */
#include <stddef.h>

struct json_object;
struct lw_stream;

enum lw_stream_mode {
	LW_STREAM_LIST, /* one PodList or the like: hands on every item */
	LW_STREAM_WATCH, /* {"type": ..., "object": ...} one after the other: hands on every object */
	LW_STREAM_DOCUMENT, /* one Status, APIGroup or the like: hands on the whole */
};

/*
 * etcd takes objects of 1.5 MiB. One that is longer here is made of little but characters that an API server writes as six (\u003c): it is
 * refused. For this bounds time, too: the parser looks at a token that spans chunks from its start again with each.
 */
#define LW_STREAM_OBJECT_MAX (4u << 20)
/* Of what is kept, and of all there is. */
#define LW_STREAM_KEPT_MAX 32
#define LW_STREAM_DEPTH_MAX 1000

/* type: of a watch event, else "". The object is the stream's: take a reference to keep it. Other than 0 ends it. */
typedef int (*lw_stream_cb)(const char *type, struct json_object *object, void *arg);

/* 0 or -ENOMEM. */
int lw_stream_new(enum lw_stream_mode mode, lw_stream_cb cb, void *arg, struct lw_stream **ret);
/* Takes NULL; sets *stream to NULL. Not from within the callback. */
void lw_stream_free(struct lw_stream **stream);

/* 0, what cb returned, -ENOMEM, or -EBADMSG: lw_stream_error() says what is wrong. After an error only free it. */
int lw_stream_feed(struct lw_stream *stream, const char *data, size_t len);
/* There is no more. 0, or -EBADMSG in the middle of a value, or where a list or document is missing. */
int lw_stream_end(struct lw_stream *stream);
/* One line, "" if there was no error. */
const char *lw_stream_error(const struct lw_stream *stream);

/* Of a list's metadata, "" where it is not told, or not yet. */
const char *lw_stream_resource_version(const struct lw_stream *stream);
const char *lw_stream_continue(const struct lw_stream *stream);
