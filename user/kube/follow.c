/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* The server itself gives up after 60 s. */
#define LIST_ANSWER_S 65

static int on_head(long status, void *arg)
{
	struct lw_kube_follow *follow = arg;

	if (status < 500)
		lw_kube_note_contact(follow->source);
	return lw_watch_head(follow->watch, status);
}

static int on_data(const char *data, size_t len, void *arg)
{
	struct lw_kube_follow *follow = arg;

	follow->source->heard_ns = lw_clock_ns();
	return lw_watch_data(follow->watch, data, len);
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct lw_kube_follow *follow = arg;
	struct lw_source_kube *source = follow->source;

	follow->request = NULL;
	lw_watch_end(follow->watch, lw_clock_ns(), trouble, retry_after_s);
	if (lw_watch_error(follow->watch)[0])
		lw_kube_note_trouble(source, lw_watch_error(follow->watch),
				     trouble || lw_watch_status(follow->watch) >= 500);
	if (lw_watch_synced(follow->watch) && !follow->was_synced) {
		follow->was_synced = true;
		lw_kube_replan(source);
	}
	/* What is refused may need another version of the API; a watch that is listed anew may be one of a server that has another. */
	if (follow->root && lw_watch_status(follow->watch) == 404)
		lw_kube_discover_by(source, lw_clock_ns() + LW_NS_PER_SEC);
	if (follow->root && lw_watch_lists(follow->watch) != follow->lists) {
		if (follow->lists > 0)
			lw_kube_discover_by(source, lw_clock_ns());
		follow->lists = lw_watch_lists(follow->watch);
	}
	lw_kube_schedule(source);
}

void lw_kube_begin(struct lw_kube_follow *follow)
{
	static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };
	struct lw_source_kube *source = follow->source;
	_cleanup_free_ char *target = NULL;
	unsigned int expire_s;
	bool listing = lw_watch_state(follow->watch) == LW_WATCH_LIST;
	int r;

	r = lw_watch_begin(follow->watch, lw_clock_ns(), &target, &expire_s);
	if (r == 0)
		r = lw_http_get(source->http, target,
				listing ? LW_KUBE_LIST_TOTAL_S : expire_s + 60,
				listing ? LIST_ANSWER_S : LW_HTTP_ANSWER_S,
				listing ? LW_KUBE_LIST_SILENT_S : source->o.silent_s, &callbacks,
				follow, &follow->request);
	if (r < 0)
		lw_watch_end(follow->watch, lw_clock_ns(), "out of memory", 0);
}

static void free_follow(struct lw_kube_follow *follow, bool forget)
{
	struct lw_bytes key = LW_BYTES_STR(follow->key ? follow->key : "");

	lw_http_cancel(&follow->request);
	(void)lw_bytemap_remove(&follow->source->by_key, &key, 1);
	lw_watch_free(&follow->watch, forget);
	free(follow->selector);
	free(follow->key);
	free(follow);
}

struct lw_kube_follow *lw_kube_want(struct lw_source_kube *source, const struct lw_kube_aim *aim)
{
	_cleanup_free_ char *text = NULL;
	struct lw_kube_follow *follow;
	struct lw_bytes key;

	if (asprintf(&text, "%d %d %s\n%s\n%s", aim->role, aim->kind, aim->path,
		     aim->labels ? aim->labels : "", aim->fields ? aim->fields : "") < 0) {
		text = NULL;
		return NULL;
	}
	key = LW_BYTES_STR(text);
	follow = lw_bytemap_get(&source->by_key, &key, 1);
	if (follow) {
		follow->wanted = true;
		return follow;
	}
	follow = calloc(1, sizeof(*follow));
	if (!follow)
		return NULL;
	follow->source = source;
	follow->role = aim->role;
	follow->kind = aim->kind;
	follow->root = aim->root;
	follow->wanted = true;
	if (lw_watch_new(&(struct lw_watch_options){ .path = aim->path,
						     .labels = aim->labels,
						     .fields = aim->fields,
						     .api_version = aim->api_version,
						     .kind = aim->kind_name,
						     .callbacks = lw_kube_held_callbacks(follow) },
			 &follow->watch) < 0 ||
	    lw_bytemap_put(&source->by_key, &key, 1, follow) < 0) {
		lw_watch_free(&follow->watch, false);
		free(follow);
		return NULL;
	}
	follow->key = TAKE_PTR(text);
	follow->next = source->follows;
	source->follows = follow;
	return follow;
}

void lw_kube_close_unwanted(struct lw_source_kube *source, uint64_t now)
{
	struct lw_kube_follow **at = &source->follows, *follow;

	while ((follow = *at)) {
		if (follow->unwanted_ns == 0 ||
		    now - follow->unwanted_ns < LW_SOURCE_LINGER_S * LW_NS_PER_SEC) {
			at = &follow->next;
			continue;
		}
		*at = follow->next;
		free_follow(follow, true);
	}
}

void lw_kube_free_follows(struct lw_source_kube *source)
{
	struct lw_kube_follow *follow;

	while ((follow = source->follows)) {
		source->follows = follow->next;
		free_follow(follow, false);
	}
	lw_bytemap_clear(&source->by_key);
}
