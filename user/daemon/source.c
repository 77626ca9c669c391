/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/source.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/str.h"
#include "conf/source_dir.h"
#include "daemon/announce.h"
#include "daemon/json.h"
#include "kube/config.h"
#include "kube/source_kube.h"
#include "kube/successor.h"

struct lw_source {
	struct ev_loop *loop;
	lw_finding_cb finding;
	lw_finding_forget_cb forget;
	void (*changed)(void *arg);
	void *arg;
	uint64_t changed_ns;

	const char *dir; /* NULL: an API server */
	struct lw_source_dir *folder;
	ev_io io;
	bool gone; /* the folder */

	struct lw_kube_config *config;
	char node[256]; /* this one's name, as pods have it */
	struct lw_source_kube *kube;
	struct lw_announcer *announcer; /* NULL: no Events */
	struct lw_kube_successor *successor; /* the question; NULL: not asked */
	bool dirty; /* the model has changed since the last refresh */
	bool was_away, was_ready;
	char said[512]; /* the error logged last */
};

static void on_io(struct ev_loop *loop, ev_io *w, int revents)
{
	struct lw_source *source = w->data;

	(void)loop;
	(void)revents;
	source->changed(source->arg);
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct lw_source *source = arg;

	source->finding(finding, source->arg);
}

static void on_forget(const char *prefix, void *arg)
{
	struct lw_source *source = arg;

	source->forget(prefix, source->arg);
}

static void on_kube(void *arg)
{
	struct lw_source *source = arg;

	source->dirty = true;
	source->changed_ns = lw_clock_ns();
	source->changed(source->arg);
}

/* What an operator should find in the log, said once. */
static void on_kube_state(void *arg)
{
	struct lw_source *source = arg;
	struct lw_source_kube_info info;

	lw_source_kube_info(source->kube, &info);
	if (strcmp(info.error, source->said) != 0 && info.error[0])
		lw_warn("%s: %s", info.server, info.error);
	(void)snprintf(source->said, sizeof(source->said), "%s", info.error);
	if (info.away_ns != 0 && !source->was_away)
		lw_warn("%s: cannot be reached, %s", info.server,
			lw_source_kube_ready(source->kube) ? "keeping the state in force" :
							     "nothing is steered yet");
	else if (info.away_ns == 0 && source->was_away)
		lw_info("%s: is back", info.server);
	source->was_away = info.away_ns != 0;
	if (lw_source_kube_ready(source->kube) && !source->was_ready)
		lw_info("%s: all objects have come, Rollouts as %s", info.server, info.version);
	source->was_ready = lw_source_kube_ready(source->kube);
}

static int open_folder(struct lw_source *source, const struct lw_source_options *o,
		       struct lw_model *model)
{
	int r = lw_source_dir_open(o->state_dir, model, on_finding, source, &source->folder);

	if (r < 0) {
		lw_error("read the state '%s': %s", o->state_dir, lw_source_dir_strerror(r));
		return r;
	}
	lw_source_dir_set_forget(source->folder, on_forget);
	source->dir = o->state_dir;
	ev_io_init(&source->io, on_io, lw_source_dir_fd(source->folder), EV_READ);
	source->io.data = source;
	ev_io_start(source->loop, &source->io);
	return 0;
}

static int open_kube(struct lw_source *source, const struct lw_source_options *o,
		     struct lw_model *model)
{
	char error[512] = "";
	int r;

	if (o->kubeconfig)
		r = lw_kube_config_file(o->kubeconfig, o->context, &source->config, error,
					sizeof(error));
	else
		r = lw_kube_config_pod(LW_KUBE_POD_DIR, &source->config, error, sizeof(error));
	if (r < 0) {
		lw_error("%s", error);
		return r;
	}
	if (o->node)
		(void)lw_str_copy(source->node, sizeof(source->node), o->node);
	else
		(void)gethostname(source->node, sizeof(source->node) - 1);
	r = lw_source_kube_open(&(struct lw_source_kube_options){ .loop = source->loop,
								  .config = source->config,
								  .model = model,
								  .silent_s = o->silent_s,
								  .pods = o->pods,
								  .node = source->node,
								  .enrol_ahead = o->enrol_ahead,
								  .finding = on_finding,
								  .forget = on_forget,
								  .changed = on_kube,
								  .state = on_kube_state,
								  .arg = source },
				&source->kube);
	if (r < 0) {
		lw_error("ask '%s': %s", source->config->server, strerror(-r));
		return r;
	}
	if (!o->events)
		return 0;
	r = lw_announcer_new(source->loop, source->config, source->node, &source->announcer);
	if (r < 0)
		lw_error("start writing Events: %s", strerror(-r));
	return r;
}

void lw_source_tell(struct lw_source *source, const struct lw_listing *listing,
		    const struct lw_findings *from_source, const struct lw_findings *from_build)
{
	struct lw_source_kube_info info;

	if (!source->announcer)
		return;
	lw_source_kube_info(source->kube, &info);
	lw_announcer_update(source->announcer, info.version, listing, from_source, from_build);
}

int lw_source_open(const struct lw_source_options *options, struct ev_loop *loop,
		   struct lw_model *model, lw_finding_cb finding, lw_finding_forget_cb forget,
		   void (*changed)(void *arg), void *arg, struct lw_source **ret)
{
	_cleanup_(lw_source_close) struct lw_source *source = calloc(1, sizeof(*source));
	int r;

	if (!source) {
		lw_error("start: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	source->loop = loop;
	source->finding = finding;
	source->forget = forget;
	source->changed = changed;
	source->arg = arg;
	source->changed_ns = lw_clock_ns();
	r = options->state_dir ? open_folder(source, options, model) :
				 open_kube(source, options, model);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

int lw_source_ask_successor(struct lw_source *source, const char *daemonset_ns,
			    const char *daemonset,
			    void (*done)(bool follows, const char *why, void *arg), void *arg)
{
	if (!source->config || source->successor)
		return -EINVAL;
	return lw_kube_successor_ask(source->loop, source->config, daemonset_ns, daemonset, done,
				     arg, &source->successor);
}

void lw_source_close(struct lw_source **source_ptr)
{
	struct lw_source *source = *source_ptr;

	if (!source)
		return;
	if (source->folder)
		ev_io_stop(source->loop, &source->io);
	lw_source_dir_close(&source->folder);
	lw_announcer_free(&source->announcer);
	lw_kube_successor_free(&source->successor);
	lw_source_kube_close(&source->kube);
	lw_kube_config_free(&source->config);
	free(source);
	*source_ptr = NULL;
}

static int refresh_folder(struct lw_source *source)
{
	int r = lw_source_dir_dispatch(source->folder);

	if (r < 0) {
		const char *error = lw_source_dir_strerror(r);

		/* it is tried again each second, and whenever the agent is asked */
		if (strcmp(source->said, error) != 0)
			lw_warn("read '%s': %s, keeping the state in force", source->dir, error);
		(void)snprintf(source->said, sizeof(source->said), "%s", r == -ENOENT ? "" : error);
		if (r == -ENOENT) {
			source->gone = true;
			return 0;
		}
		return r;
	}
	source->said[0] = '\0';
	if (source->gone && !lw_source_dir_gone(source->folder)) {
		lw_info("'%s' is back", source->dir);
		source->gone = false;
	}
	if (r > 0)
		source->changed_ns = lw_clock_ns();
	return r;
}

int lw_source_refresh(struct lw_source *source)
{
	bool dirty = source->dirty;

	if (source->folder)
		return refresh_folder(source);
	source->dirty = false;
	return dirty;
}

bool lw_source_ready(const struct lw_source *source)
{
	return source->folder || lw_source_kube_ready(source->kube);
}

bool lw_source_settled(const struct lw_source *source)
{
	return !source->folder || lw_source_dir_settled(source->folder);
}

size_t lw_source_errors(const struct lw_source *source)
{
	return source->folder ? lw_source_dir_errors(source->folder) :
				lw_source_kube_errors(source->kube);
}

/* ---- status ---- */

static void on_watch(const struct lw_source_kube_watch *watch, void *arg)
{
	struct json_object *o = lw_json_new_object(arg, NULL);

	lw_json_add_str(o, "path", watch->path);
	lw_json_add_str(o, "labels", watch->labels);
	lw_json_add_str(o, "fields", watch->fields);
	lw_json_add_str(o, "state", watch->state);
	lw_json_add_bool(o, "synced", watch->synced);
	lw_json_add_int(o, "objects", (int64_t)watch->objects);
	lw_json_add_int(o, "lists", (int64_t)watch->lists);
	lw_json_add_str(o, "error", watch->error);
}

static int64_t ms_ago(uint64_t ns)
{
	return ns ? (int64_t)((lw_clock_ns() - ns) / LW_NS_PER_MS) : -1;
}

static void kube_json(const struct lw_source *source, struct json_object *o)
{
	struct lw_source_kube_info info;

	lw_source_kube_info(source->kube, &info);
	lw_json_add_str(o, "kind", "kube");
	lw_json_add_str(o, "server", info.server);
	lw_json_add_str(o, "context", info.context);
	lw_json_add_str(o, "rollouts", info.version);
	lw_json_add_bool(o, "ready", lw_source_kube_ready(source->kube));
	lw_json_add_bool(o, "connected", info.connected);
	lw_json_add_int(o, "away_ms", info.away_ns ? ms_ago(info.away_ns) : 0);
	lw_json_add_int(o, "heard_ms_ago", ms_ago(info.heard_ns));
	lw_json_add_int(o, "requests", (int64_t)info.requests);
	lw_json_add_int(o, "bytes", (int64_t)info.bytes);
	lw_json_add_int(o, "connections", (int64_t)info.connections);
	lw_json_add_int(o, "waiting", (int64_t)info.waiting);
	lw_json_add_str(o, "error", info.error);
	lw_source_kube_each(source->kube, on_watch, lw_json_new_array(o, "watches"));
}

void lw_source_json(const struct lw_source *source, struct json_object *o)
{
	if (source->folder) {
		lw_json_add_str(o, "path", source->dir);
		lw_json_add_bool(o, "gone", source->gone);
	} else {
		kube_json(source, o);
	}
	lw_json_add_int(o, "changed_ms_ago", ms_ago(source->changed_ns));
}
