/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/watch.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/bytemap.h"
#include "kube/member.h"
#include "kube/stream.h"

/* What cannot get better soon: not allowed, not there. */
#define HOPELESS_MS LW_WATCH_BACKOFF_MAX_MS
/* A watch that ends sooner, with nothing in it, counts as a failure: no request may follow at once. */
#define SHORT_NS (2 * LW_NS_PER_SEC)
/* Bad answers in a row at one resourceVersion; then it is listed anew. */
#define BAD_MAX 3

/* lw_stream_cb's: ends the answer, on purpose. */
#define END_ANSWER 1
/* Of an answer with another status than 200: a Status has some hundred bytes. */
#define REFUSAL_MAX (64u << 10)

struct item {
	char *ns, *name; /* behind the struct */
	uint64_t version;
	unsigned int seen; /* number of the list it was in */
};

/* Of a list that is not complete. */
struct pending {
	struct item *item;
	void *built; /* NULL: it was bad */
	uint64_t version;
};

struct lw_watch {
	char *path, *labels, *fields, *api_version, *kind;
	struct lw_watch_callbacks callbacks;
	struct lw_bytemap items; /* struct item by ns, name */
	enum lw_watch_state state;
	char *version; /* resourceVersion to go on from; NULL: none */
	char *next; /* continue of the list; NULL: its first chunk */
	bool consistent; /* the list asks for the present, not for the server's cache */
	bool synced, busy, answered, any;
	unsigned int list; /* number of the list that is going on, or was last */
	unsigned int lists; /* complete */
	unsigned int failures, bad;
	unsigned int gones; /* 410 in a row, with nothing seen between */
	uint64_t due_ns, begun_ns;
	struct lw_stream *stream;
	long status; /* of the answer */
	size_t refusal_bytes; /* of one with another status than 200 */
	long code; /* of an ERROR event, or of a Status */
	struct pending *pending;
	size_t npending, room;
	char error[512];
	char message[400]; /* of a Status */
};

/* ---- the set ---- */

static size_t key_of(struct lw_bytes key[2], const char *ns, const char *name)
{
	key[0] = LW_BYTES_STR(ns);
	key[1] = LW_BYTES_STR(name);
	return 2;
}

static struct item *find_item(const struct lw_watch *watch, const char *ns, const char *name)
{
	struct lw_bytes key[2];

	return lw_bytemap_get(&watch->items, key, key_of(key, ns, name));
}

/* NULL when out of memory. Not applied yet: version 0, and of no list. */
static struct item *add_item(struct lw_watch *watch, const char *ns, const char *name)
{
	size_t ns_size = strlen(ns) + 1, name_size = strlen(name) + 1;
	struct item *item = calloc(1, sizeof(*item) + ns_size + name_size);
	struct lw_bytes key[2];

	if (!item)
		return NULL;
	item->ns = memcpy(item + 1, ns, ns_size);
	item->name = memcpy(item->ns + ns_size, name, name_size);
	if (lw_bytemap_put(&watch->items, key, key_of(key, ns, name), item) < 0) {
		free(item);
		return NULL;
	}
	return item;
}

static void remove_item(struct lw_watch *watch, const char *ns, const char *name)
{
	struct lw_bytes key[2];
	struct item *item = lw_bytemap_remove(&watch->items, key, key_of(key, ns, name));

	if (!item)
		return;
	watch->callbacks.gone(item->ns, item->name, watch->callbacks.arg);
	free(item);
}

static void drop_pending(struct lw_watch *watch)
{
	for (size_t i = 0; i < watch->npending; i++) {
		if (watch->pending[i].built)
			watch->callbacks.drop(watch->pending[i].built, watch->callbacks.arg);
	}
	free(watch->pending);
	watch->pending = NULL;
	watch->npending = watch->room = 0;
}

static bool keep_seen(void *value, void *arg)
{
	struct lw_watch *watch = arg;
	struct item *item = value;

	if (item->seen == watch->list)
		return true;
	watch->callbacks.gone(item->ns, item->name, watch->callbacks.arg);
	free(item);
	return false;
}

static bool is_listed_only(void *value, void *arg)
{
	struct item *item = value;

	(void)arg;
	if (item->version != UINT64_MAX)
		return true;
	free(item);
	return false;
}

/* A list that did not come to its end leaves no trace. */
static void discard_list(struct lw_watch *watch)
{
	drop_pending(watch);
	lw_bytemap_filter(&watch->items, is_listed_only, NULL);
	free(watch->next);
	watch->next = NULL;
	watch->list++;
}

/* ---- objects that arrive ---- */

static int set_text(char **at, const char *s)
{
	char *copy = strdup(s);

	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

/* What a Status says. */
static void read_status(struct lw_watch *watch, struct json_object *status)
{
	watch->code = (long)json_object_get_int64(lw_kube_member(status, "code", json_type_int));
	(void)lw_str_copy(watch->message, sizeof(watch->message), lw_kube_text(status, "message"));
}

/* apiVersion and kind, where the items of a PodList leave them out. */
static int complete(const struct lw_watch *watch, struct json_object *object)
{
	const char *const members[][2] = { { "apiVersion", watch->api_version },
					   { "kind", watch->kind } };

	for (size_t i = 0; i < 2; i++) {
		struct json_object *value;

		if (lw_kube_member(object, members[i][0], json_type_string))
			continue;
		value = json_object_new_string(members[i][1]);
		if (!value || json_object_object_add(object, members[i][0], value) < 0) {
			(void)json_object_put(value);
			return -ENOMEM;
		}
	}
	return 0;
}

static int on_listed(struct lw_watch *watch, struct json_object *object, const char *ns,
		     const char *name, uint64_t version)
{
	struct item *item = find_item(watch, ns, name);

	if (!item) {
		item = add_item(watch, ns, name);
		if (!item)
			return -ENOMEM;
		item->version = UINT64_MAX; /* listed only */
	}
	item->seen = watch->list;
	if (version != 0 && item->version == version)
		return 0;
	if (watch->npending == watch->room) {
		size_t room = watch->room ? watch->room * 2 : 64;
		struct pending *grown = realloc(watch->pending, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		watch->pending = grown;
		watch->room = room;
	}
	if (complete(watch, object) < 0)
		return -ENOMEM;
	watch->pending[watch->npending++] =
		(struct pending){ .item = item,
				  .built = watch->callbacks.build(object, watch->callbacks.arg),
				  .version = version };
	return 0;
}

static int on_event(struct lw_watch *watch, const char *type, struct json_object *object,
		    const char *ns, const char *name, uint64_t version)
{
	struct item *item;
	bool first;

	if (strcmp(type, "DELETED") == 0) {
		remove_item(watch, ns, name);
		return 0;
	}
	if (strcmp(type, "ADDED") != 0 && strcmp(type, "MODIFIED") != 0)
		return 0;
	item = find_item(watch, ns, name);
	first = !item;
	if (!item)
		item = add_item(watch, ns, name);
	if (!item || complete(watch, object) < 0)
		return -ENOMEM;
	item->version = version;
	item->seen = watch->list;
	watch->callbacks.apply(item->ns, item->name, version, first,
			       watch->callbacks.build(object, watch->callbacks.arg),
			       watch->callbacks.arg);
	return 0;
}

static int bad_answer(struct lw_watch *watch, const char *what)
{
	(void)snprintf(watch->message, sizeof(watch->message), "%s", what);
	return -EBADMSG;
}

static int on_object(const char *type, struct json_object *object, void *arg)
{
	struct lw_watch *watch = arg;
	struct json_object *meta = lw_kube_member(object, "metadata", json_type_object);
	const char *name = lw_kube_text(meta, "name"), *ns = lw_kube_text(meta, "namespace"),
		   *version = lw_kube_text(meta, "resourceVersion");
	uint64_t number = 0;
	int r;

	if (watch->status != 200) {
		read_status(watch, object);
		return 0;
	}
	if (strcmp(type, "ERROR") == 0) {
		read_status(watch, object);
		return END_ANSWER;
	}
	watch->any = true;
	(void)lw_str_u64(version, UINT64_MAX - 1, &number);
	if (strcmp(type, "BOOKMARK") == 0)
		r = 0;
	else if (!name[0])
		return bad_answer(watch, "an object without a name");
	else if (watch->state == LW_WATCH_LIST)
		return on_listed(watch, object, ns, name, number);
	else
		r = on_event(watch, type, object, ns, name, number);
	if (r == 0 && version[0]) {
		r = set_text(&watch->version, version);
		watch->bad = watch->gones = 0;
	}
	return r;
}

/* ---- requests ---- */

/* Appends "KEY=VALUE" with what a query needs escaped. */
static void add_query(FILE *f, const char **sep, const char *key, const char *value)
{
	(void)fprintf(f, "%s%s=", *sep, key);
	*sep = "&";
	for (; *value; value++) {
		if (isalnum((unsigned char)*value) || strchr("-._~", *value))
			(void)fputc(*value, f);
		else
			(void)fprintf(f, "%%%02X", (unsigned char)*value);
	}
}

static uint32_t random_below(uint32_t n)
{
	uint32_t r;

	if (getrandom(&r, sizeof(r), GRND_NONBLOCK) != sizeof(r))
		r = (uint32_t)lw_clock_ns();
	return n ? r % n : 0;
}

static void add_list_query(const struct lw_watch *watch, FILE *f, const char **sep)
{
	char number[16];

	if (!watch->next && !watch->consistent && watch->version) {
		/* Without a limit: with one, the server asks etcd. */
		add_query(f, sep, "resourceVersion", watch->version);
		add_query(f, sep, "resourceVersionMatch", "NotOlderThan");
		return;
	}
	(void)snprintf(number, sizeof(number), "%d", LW_WATCH_LIMIT);
	add_query(f, sep, "limit", number);
	if (watch->next)
		add_query(f, sep, "continue", watch->next);
	else if (!watch->consistent)
		add_query(f, sep, "resourceVersion", "0");
}

int lw_watch_begin(struct lw_watch *watch, uint64_t now_ns, char **ret, unsigned int *ret_expire_s)
{
	_cleanup_free_ char *target = NULL;
	unsigned int expire_s = 0;
	const char *sep = "?";
	char number[16];
	size_t len;
	FILE *f = open_memstream(&target, &len);

	if (!f)
		return -ENOMEM;
	(void)fputs(watch->path, f);
	if (watch->labels)
		add_query(f, &sep, "labelSelector", watch->labels);
	if (watch->fields)
		add_query(f, &sep, "fieldSelector", watch->fields);
	if (watch->state == LW_WATCH_LIST) {
		add_list_query(watch, f, &sep);
	} else {
		expire_s = LW_WATCH_MIN_S + random_below(LW_WATCH_MAX_S - LW_WATCH_MIN_S);
		(void)snprintf(number, sizeof(number), "%u", expire_s);
		add_query(f, &sep, "watch", "1");
		add_query(f, &sep, "allowWatchBookmarks", "true");
		add_query(f, &sep, "resourceVersion", watch->version);
		add_query(f, &sep, "timeoutSeconds", number);
	}
	if (fclose(f) != 0)
		return -ENOMEM;
	watch->busy = true;
	watch->answered = watch->any = false;
	watch->status = watch->code = 0;
	watch->message[0] = '\0';
	watch->begun_ns = now_ns;
	lw_stream_free(&watch->stream);
	*ret = TAKE_PTR(target);
	*ret_expire_s = expire_s;
	return 0;
}

int lw_watch_head(struct lw_watch *watch, long status)
{
	enum lw_stream_mode mode = status != 200		 ? LW_STREAM_DOCUMENT :
				   watch->state == LW_WATCH_LIST ? LW_STREAM_LIST :
								   LW_STREAM_WATCH;

	watch->status = status;
	watch->refusal_bytes = 0;
	watch->answered = status == 200;
	if (watch->answered && watch->state == LW_WATCH_WATCH)
		watch->error[0] = '\0';
	lw_stream_free(&watch->stream);
	return lw_stream_new(mode, on_object, watch, &watch->stream);
}

int lw_watch_data(struct lw_watch *watch, const char *data, size_t len)
{
	int r = watch->stream ? lw_stream_feed(watch->stream, data, len) : -EBADMSG;

	if (watch->status != 200) {
		/* What a proxy writes under a bad status is no JSON, and need not be; nor need it come to an end. */
		if (r != 0)
			lw_stream_free(&watch->stream);
		watch->refusal_bytes += len;
		return watch->refusal_bytes > REFUSAL_MAX ? END_ANSWER : 0;
	}
	if (r == -ENOMEM)
		(void)bad_answer(watch, "out of memory");
	else if (r == -EBADMSG && !watch->message[0] && watch->stream)
		(void)bad_answer(watch, lw_stream_error(watch->stream));
	return r;
}

/* ---- how it ended ---- */

static void retry(struct lw_watch *watch, uint64_t now_ns, unsigned int retry_after_s)
{
	uint32_t ms = LW_WATCH_BACKOFF_MAX_MS;

	if (watch->failures < 5)
		ms = 1000u << watch->failures;
	watch->failures++;
	/* At random: nodes that lost the same server do not come back together. */
	watch->due_ns =
		now_ns + (20 + random_below(ms)) * LW_NS_PER_MS + retry_after_s * LW_NS_PER_SEC;
}

static void fail(struct lw_watch *watch, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct lw_watch *watch, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(watch->error, sizeof(watch->error), format, args);
	va_end(args);
}

/* "rollouts" of "/apis/rollouts.kruise.io/v1beta1/rollouts". */
static const char *resource_of(const struct lw_watch *watch)
{
	return strrchr(watch->path, '/') + 1;
}

/* "rollouts.kruise.io", "" for the core. */
static void group_of(const struct lw_watch *watch, char *buf, size_t size)
{
	buf[0] = '\0';
	if (strncmp(watch->path, "/apis/", 6) == 0)
		(void)snprintf(buf, size, "%.*s", (int)strcspn(watch->path + 6, "/"),
			       watch->path + 6);
}

static void fail_status(struct lw_watch *watch, long code)
{
	const char *verb = watch->state == LW_WATCH_LIST ? "list" : "watch",
		   *resource = resource_of(watch);
	const char *said = watch->message[0] ? watch->message : "no reason given";
	char group[128];

	group_of(watch, group, sizeof(group));
	if (code == 403)
		fail(watch,
		     "not allowed to %s %s: grant the verb \"%s\" on resource \"%s\" of API group \"%s\" (the server says: %s)",
		     verb, resource, verb, resource, group, said);
	else if (code == 401)
		fail(watch,
		     "%s %s: the API server does not accept the token or certificate (401: %s)",
		     verb, resource, said);
	else if (code == 404)
		fail(watch, "%s %s: the API server has no such resource in API group \"%s\"", verb,
		     resource, group);
	else
		fail(watch, "%s %s: the API server answers %ld: %s", verb, resource, code, said);
}

static void list_anew(struct lw_watch *watch)
{
	discard_list(watch);
	watch->state = LW_WATCH_LIST;
	watch->bad = 0;
}

static void end_badly(struct lw_watch *watch, uint64_t now_ns, long code,
		      unsigned int retry_after_s)
{
	bool listing = watch->state == LW_WATCH_LIST;

	if (listing)
		discard_list(watch);
	if (code == 410 || (listing && code == 504 && !watch->consistent && watch->version)) {
		/* Of a list: the cache is behind what was seen, or the chunks took too long. */
		if (listing)
			watch->consistent = true;
		else
			watch->consistent = false;
		if (watch->gones > 0)
			fail_status(watch, code);
		list_anew(watch);
		watch->failures = watch->gones++;
		retry(watch, now_ns, 0);
		return;
	}
	fail_status(watch, code);
	retry(watch, now_ns, retry_after_s);
	if (code == 401 || code == 403 || code == 404) {
		watch->due_ns =
			now_ns + (HOPELESS_MS / 2 + random_below(HOPELESS_MS / 2)) * LW_NS_PER_MS;
		if (watch->failures <= 3) /* it may just be being set up */
			watch->due_ns = now_ns + (500 + random_below(2000)) * LW_NS_PER_MS;
	}
}

static void finish_list(struct lw_watch *watch)
{
	for (size_t i = 0; i < watch->npending; i++) {
		struct pending *pending = &watch->pending[i];

		bool first = pending->item->version == UINT64_MAX;

		pending->item->version = pending->version;
		watch->callbacks.apply(pending->item->ns, pending->item->name, pending->version,
				       first, pending->built, watch->callbacks.arg);
		pending->built = NULL;
	}
	drop_pending(watch);
	lw_bytemap_filter(&watch->items, keep_seen, watch);
	watch->list++;
	watch->lists++;
	watch->synced = true;
	watch->consistent = false;
	watch->failures = 0;
	watch->error[0] = '\0';
	watch->state = LW_WATCH_WATCH;
}

static int end_of_list(struct lw_watch *watch)
{
	const char *version = lw_stream_resource_version(watch->stream);
	const char *next = lw_stream_continue(watch->stream);

	if (next[0])
		return set_text(&watch->next, next);
	if (!version[0])
		return bad_answer(watch, "a list without a resourceVersion");
	if (set_text(&watch->version, version) < 0)
		return -ENOMEM;
	free(watch->next);
	watch->next = NULL;
	finish_list(watch);
	return 0;
}

static void end_cut(struct lw_watch *watch, uint64_t now_ns, const char *what)
{
	bool listing = watch->state == LW_WATCH_LIST;
	/* What was open for long was well, however quiet: what has cut it says nothing of the next. */
	bool lasted =
		watch->status == 200 && !watch->message[0] && now_ns - watch->begun_ns >= SHORT_NS;

	if (!listing && (watch->any || lasted))
		watch->failures = 0;
	fail(watch, "%s %s: %s", listing ? "list" : "watch", resource_of(watch), what);
	if (listing)
		discard_list(watch);
	retry(watch, now_ns, 0);
}

void lw_watch_end(struct lw_watch *watch, uint64_t now_ns, const char *trouble,
		  unsigned int retry_after_s)
{
	bool listing = watch->state == LW_WATCH_LIST, ended;
	long code = watch->status != 200 ? watch->status : watch->code;

	watch->busy = false;
	watch->answered = false;
	if (watch->code == 410) /* servers behind a proxy, too, mean what their Status says */
		code = 410;
	if (watch->status != 0 && code != 0) {
		end_badly(watch, now_ns, code, retry_after_s);
	} else if (watch->message[0]) {
		char what[sizeof(watch->message) + 32];

		(void)snprintf(what, sizeof(what), "the answer is bad: %s", watch->message);
		watch->any = false;
		end_cut(watch, now_ns, what);
		if (++watch->bad >= BAD_MAX && !listing)
			list_anew(watch);
	} else if (trouble || watch->status == 0) {
		end_cut(watch, now_ns, trouble ? trouble : "no answer");
	} else {
		ended = watch->stream && lw_stream_end(watch->stream) == 0;
		if (listing && (!ended || end_of_list(watch) < 0)) {
			end_cut(watch, now_ns,
				watch->message[0] ? watch->message :
				watch->stream	  ? lw_stream_error(watch->stream) :
						    "out of memory");
		} else if (!listing && !watch->any && now_ns - watch->begun_ns < SHORT_NS) {
			end_cut(watch, now_ns, "the server ended it at once");
		} else {
			if (!listing)
				watch->failures = 0;
			watch->due_ns = now_ns;
		}
	}
	lw_stream_free(&watch->stream);
}

/* ---- the watch ---- */

static int copy(char **ret, const char *s)
{
	*ret = s ? strdup(s) : NULL;
	return s && !*ret ? -ENOMEM : 0;
}

static void cleanup_watch(struct lw_watch **watch)
{
	lw_watch_free(watch, false);
}

int lw_watch_new(const struct lw_watch_options *options, struct lw_watch **ret)
{
	_cleanup_(cleanup_watch) struct lw_watch *watch = calloc(1, sizeof(*watch));

	if (!watch || copy(&watch->path, options->path) < 0 ||
	    copy(&watch->labels, options->labels) < 0 ||
	    copy(&watch->fields, options->fields) < 0 ||
	    copy(&watch->api_version, options->api_version) < 0 ||
	    copy(&watch->kind, options->kind) < 0)
		return -ENOMEM;
	watch->callbacks = options->callbacks;
	watch->list = 1;
	*ret = TAKE_PTR(watch);
	return 0;
}

struct farewell {
	struct lw_watch *watch;
	bool forget;
};

static bool let_go(void *value, void *arg)
{
	struct farewell *farewell = arg;
	struct item *item = value;

	if (farewell->forget && item->version != UINT64_MAX)
		farewell->watch->callbacks.gone(item->ns, item->name,
						farewell->watch->callbacks.arg);
	free(item);
	return false;
}

void lw_watch_free(struct lw_watch **watch_ptr, bool forget)
{
	struct lw_watch *watch = *watch_ptr;
	struct farewell farewell = { watch, forget };

	if (!watch)
		return;
	drop_pending(watch);
	lw_bytemap_filter(&watch->items, let_go, &farewell);
	lw_bytemap_clear(&watch->items);
	lw_stream_free(&watch->stream);
	free(watch->path);
	free(watch->labels);
	free(watch->fields);
	free(watch->api_version);
	free(watch->kind);
	free(watch->version);
	free(watch->next);
	free(watch);
	*watch_ptr = NULL;
}

uint64_t lw_watch_due(const struct lw_watch *watch)
{
	return watch->busy ? UINT64_MAX : watch->due_ns;
}

void lw_watch_hurry(struct lw_watch *watch, uint64_t now_ns)
{
	uint64_t soon_ns = now_ns + (20 + random_below(1000)) * LW_NS_PER_MS;

	if (watch->busy || (watch->status != 0 && watch->status < 500))
		return;
	watch->failures = 0;
	if (watch->due_ns > soon_ns)
		watch->due_ns = soon_ns;
}

enum lw_watch_state lw_watch_state(const struct lw_watch *watch)
{
	return watch->state;
}

bool lw_watch_synced(const struct lw_watch *watch)
{
	return watch->synced;
}

bool lw_watch_following(const struct lw_watch *watch)
{
	return watch->busy && watch->answered && watch->state == LW_WATCH_WATCH;
}

size_t lw_watch_count(const struct lw_watch *watch)
{
	return watch->items.count;
}

const char *lw_watch_error(const struct lw_watch *watch)
{
	return watch->error;
}

long lw_watch_status(const struct lw_watch *watch)
{
	return watch->status;
}

unsigned int lw_watch_lists(const struct lw_watch *watch)
{
	return watch->lists;
}

const char *lw_watch_path(const struct lw_watch *watch)
{
	return watch->path;
}

const char *lw_watch_labels(const struct lw_watch *watch)
{
	return watch->labels ? watch->labels : "";
}

const char *lw_watch_fields(const struct lw_watch *watch)
{
	return watch->fields ? watch->fields : "";
}
