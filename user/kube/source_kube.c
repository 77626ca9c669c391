/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "kube/config.h"

void lw_kube_soon(struct lw_source_kube *source)
{
	if (ev_is_active(&source->soon))
		return;
	ev_timer_set(&source->soon, 0., 0.);
	ev_timer_start(source->o.loop, &source->soon);
}

void lw_kube_replan(struct lw_source_kube *source)
{
	source->replan = true;
	lw_kube_soon(source);
}

/* ---- what is known of the server ---- */

void lw_kube_note_contact(struct lw_source_kube *source)
{
	source->heard_ns = lw_clock_ns();
	if (source->away_ns != 0) {
		for (struct lw_kube_follow *follow = source->follows; follow; follow = follow->next)
			lw_watch_hurry(follow->watch, source->heard_ns);
		source->news = true;
		lw_kube_soon(source);
	}
	source->away_ns = 0;
}

static bool any_following(const struct lw_source_kube *source)
{
	for (const struct lw_kube_follow *follow = source->follows; follow; follow = follow->next) {
		if (lw_watch_following(follow->watch))
			return true;
	}
	return false;
}

void lw_kube_note_trouble(struct lw_source_kube *source, const char *text, bool is_away)
{
	(void)lw_str_copy(source->error, sizeof(source->error), text);
	if (is_away && source->away_ns == 0 && !any_following(source))
		source->away_ns = lw_clock_ns();
	source->news = true;
	lw_kube_soon(source);
}

/* ---- time ---- */

void lw_kube_schedule(struct lw_source_kube *source)
{
	uint64_t due = source->discovery.due_ns, now = lw_clock_ns();

	for (const struct lw_kube_follow *follow = source->follows; follow; follow = follow->next) {
		uint64_t at = lw_watch_due(follow->watch);

		if (follow->unwanted_ns != 0) {
			uint64_t closing = follow->unwanted_ns + LW_SOURCE_LINGER_S * LW_NS_PER_SEC;

			at = at < closing ? at : closing;
		}
		due = due < at ? due : at;
	}
	ev_timer_stop(source->o.loop, &source->due);
	if (due == UINT64_MAX)
		return;
	ev_timer_set(&source->due, due > now ? (double)(due - now) / 1e9 + .0005 : 0., 0.);
	ev_timer_start(source->o.loop, &source->due);
}

/* Begins every request whose time has come. */
static void pump(struct lw_source_kube *source)
{
	uint64_t now = lw_clock_ns();

	if (!source->discovery.request && source->discovery.due_ns <= now)
		lw_kube_discover(source);
	for (struct lw_kube_follow *follow = source->follows; follow; follow = follow->next) {
		if (!follow->request && lw_watch_due(follow->watch) <= now)
			lw_kube_begin(follow);
	}
	lw_kube_schedule(source);
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_source_kube *source = w->data;

	(void)loop;
	(void)revents;
	lw_kube_close_unwanted(source, lw_clock_ns());
	pump(source);
}

static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_source_kube *source = w->data;

	(void)loop;
	(void)revents;
	/* What is planned may name what it has just put in the model. */
	for (int round = 0; round < 4 && source->replan; round++)
		lw_kube_plan(source);
	pump(source);
	if (source->news) {
		source->news = false;
		source->o.state(source->o.arg);
	}
	if (source->changed) {
		source->changed = false;
		source->o.changed(source->o.arg);
	}
}

/* ---- the source ---- */

int lw_source_kube_open(const struct lw_source_kube_options *options, struct lw_source_kube **ret)
{
	struct lw_source_kube *source = calloc(1, sizeof(*source));
	int r;

	if (!source)
		return -ENOMEM;
	source->o = *options;
	if (source->o.silent_s == 0)
		source->o.silent_s = LW_SOURCE_SILENT_S;
	r = lw_http_new(options->loop, options->config, &source->http);
	if (r < 0) {
		free(source);
		return r;
	}
	ev_timer_init(&source->due, on_due, 0., 0.);
	ev_timer_init(&source->soon, on_soon, 0., 0.);
	source->due.data = source->soon.data = source;
	source->discovery.due_ns = 0;
	lw_kube_soon(source);
	*ret = source;
	return 0;
}

void lw_source_kube_close(struct lw_source_kube **source_ptr)
{
	struct lw_source_kube *source = *source_ptr;

	if (!source)
		return;
	ev_timer_stop(source->o.loop, &source->due);
	ev_timer_stop(source->o.loop, &source->soon);
	lw_kube_free_follows(source);
	lw_http_cancel(&source->discovery.request);
	lw_stream_free(&source->discovery.stream);
	lw_http_free(&source->http);
	lw_kube_free_helds(source);
	free(source);
	*source_ptr = NULL;
}

bool lw_source_kube_ready(const struct lw_source_kube *source)
{
	return source->ready;
}

size_t lw_source_kube_errors(const struct lw_source_kube *source)
{
	return source->bad;
}

void lw_source_kube_info(const struct lw_source_kube *source, struct lw_source_kube_info *ret)
{
	struct lw_http_counts counts;
	const char *error = source->version ? "" : source->error;

	lw_http_counts(source->http, &counts);
	for (const struct lw_kube_follow *follow = source->follows; follow && !error[0];
	     follow = follow->next)
		error = lw_watch_error(follow->watch);
	*ret = (struct lw_source_kube_info){
		.server = source->o.config->server,
		.context = source->o.config->context,
		.version = source->version ? source->version : "",
		.connected = source->away_ns == 0 && source->heard_ns != 0,
		.away_ns = source->away_ns,
		.heard_ns = source->heard_ns,
		.requests = counts.requests,
		.bytes = counts.bytes,
		.connections = counts.connections,
		.waiting = source->waiting,
		.error = error,
	};
}

void lw_source_kube_each(const struct lw_source_kube *source,
			 void (*cb)(const struct lw_source_kube_watch *watch, void *arg), void *arg)
{
	for (const struct lw_kube_follow *follow = source->follows; follow; follow = follow->next) {
		const struct lw_watch *watch = follow->watch;

		cb(
			&(struct lw_source_kube_watch){
				.path = lw_watch_path(watch),
				.labels = lw_watch_labels(watch),
				.fields = lw_watch_fields(watch),
				.state = follow->unwanted_ns	   ? "closing" :
					 lw_watch_following(watch) ? "watching" :
					 follow->request ? (lw_watch_state(watch) == LW_WATCH_LIST ?
								    "listing" :
								    "opening") :
							   "waiting",
				.objects = lw_watch_count(watch),
				.lists = lw_watch_lists(watch),
				.synced = lw_watch_synced(watch),
				.error = lw_watch_error(watch),
			},
			arg);
	}
}
