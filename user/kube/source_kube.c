/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube.h"

#include <errno.h>
#include <ev.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/str.h"
#include "conf/objects.h"
#include "core/bytemap.h"
#include "kube/config.h"
#include "kube/http.h"
#include "kube/selector.h"
#include "kube/stream.h"
#include "kube/watch.h"

#define GROUP "rollouts.kruise.io"
#define EXTRAS "rollouts.kruise.io/canary-deployment"
/* A list in one answer: the server reads its cache, and the agent parses as it comes. */
#define LIST_TOTAL_S 180
#define LIST_SILENT_S 30
/* The server itself gives up after 60 s. */
#define LIST_ANSWER_S 65
#define DISCOVERY_RETRY_MS 15000

/* An object that a watch holds, and perhaps others. */
struct held {
	struct held *next, *prev; /* Rollouts only */
	enum lw_k8s_kind kind;
	unsigned int refs;
	uint64_t version;
	bool bad; /* its newest version */
	struct lw_k8s_object *waiting; /* a Rollout whose objects are not complete yet */
	bool loaded; /* a Rollout in release whose objects were complete */
	char *ns, *name; /* behind the struct */
};

/* What becomes of the objects of a watch. */
enum role { ROLE_OBJECTS, ROLE_WORKLOAD };

/* A watch, and the request it has under way. */
struct follow {
	struct follow *next;
	struct lw_source_kube *source;
	enum role role;
	enum lw_k8s_kind kind; /* LW_K8S__MAX: of a workload that the model does not keep */
	struct lw_watch *watch;
	struct lw_http_request *request;
	char *key; /* path, selectors */
	char *selector; /* ROLE_WORKLOAD: of its pods; NULL: none, or not known */
	bool root, wanted;
	uint64_t unwanted_ns;
	bool was_synced;
};

struct discovery {
	struct lw_http_request *request;
	struct lw_stream *stream;
	long status;
	uint64_t due_ns; /* UINT64_MAX: known */
	bool v1beta1, v1alpha1;
	char message[256];
};

struct lw_source_kube {
	struct lw_source_kube_options o;
	struct lw_http *http;
	struct discovery discovery;
	const char *version; /* of the Rollouts; NULL: not known */
	bool has_shared; /* TrafficRoutings */
	struct follow *follows;
	struct lw_bytemap by_key; /* struct follow */
	struct lw_bytemap helds; /* by kind, namespace, name */
	struct held *rollouts;
	size_t bad, waiting;
	ev_timer due, soon;
	bool replan, changed, ready;
	bool news; /* for state() */
	uint64_t away_ns, heard_ns;
	char error[512]; /* of the last request that failed */
};

/* What apply() takes. */
struct built {
	struct lw_k8s_object *object; /* NULL: of a kind that the model does not keep */
	char *selector;
};

static void soon(struct lw_source_kube *source)
{
	if (ev_is_active(&source->soon))
		return;
	ev_timer_set(&source->soon, 0., 0.);
	ev_timer_start(source->o.loop, &source->soon);
}

static void replan(struct lw_source_kube *source)
{
	source->replan = true;
	soon(source);
}

/* ---- objects ---- */

static size_t held_key(struct lw_bytes key[3], unsigned char *tag, enum lw_k8s_kind kind, const char *ns,
		       const char *name)
{
	*tag = (unsigned char)kind;
	key[0] = (struct lw_bytes){ tag, 1 };
	key[1] = LW_BYTES_STR(ns);
	key[2] = LW_BYTES_STR(name);
	return 3;
}

static struct held *find_held(const struct lw_source_kube *source, enum lw_k8s_kind kind, const char *ns,
			      const char *name)
{
	struct lw_bytes key[3];
	unsigned char tag;

	return lw_bytemap_get(&source->helds, key, held_key(key, &tag, kind, ns, name));
}

static struct held *get_held(struct lw_source_kube *source, enum lw_k8s_kind kind, const char *ns, const char *name)
{
	struct held *held = find_held(source, kind, ns, name);
	size_t ns_size = strlen(ns) + 1, name_size = strlen(name) + 1;
	struct lw_bytes key[3];
	unsigned char tag;

	if (held)
		return held;
	held = calloc(1, sizeof(*held) + ns_size + name_size);
	if (!held)
		return NULL;
	held->kind = kind;
	held->ns = memcpy(held + 1, ns, ns_size);
	held->name = memcpy(held->ns + ns_size, name, name_size);
	if (lw_bytemap_put(&source->helds, key, held_key(key, &tag, kind, ns, name), held) < 0) {
		free(held);
		return NULL;
	}
	if (kind == LW_K8S_ROLLOUT) {
		held->next = source->rollouts;
		if (held->next)
			held->next->prev = held;
		source->rollouts = held;
	}
	return held;
}

static void drop_waiting(struct lw_source_kube *source, struct held *held)
{
	if (held->waiting)
		source->waiting--;
	lw_k8s_object_free(&held->waiting);
}

static void remove_held(struct lw_source_kube *source, struct held *held)
{
	struct lw_bytes key[3];
	unsigned char tag;

	if (held->kind == LW_K8S_ROLLOUT) {
		if (held->prev)
			held->prev->next = held->next;
		else
			source->rollouts = held->next;
		if (held->next)
			held->next->prev = held->prev;
	}
	source->bad -= held->bad;
	drop_waiting(source, held);
	(void)lw_bytemap_remove(&source->helds, key, held_key(key, &tag, held->kind, held->ns, held->name));
	free(held);
}

static void upsert(struct lw_source_kube *source, struct lw_k8s_object *object)
{
	if (lw_model_upsert(source->o.model, object) < 0)
		lw_finding_emit(source->o.finding, source->o.arg, LW_FINDING_ERROR, "out of memory: an object is not taken up");
	source->changed = true;
	soon(source);
}

/* It is in release, and can steer requests at all. */
static bool is_in_release(const struct lw_k8s_object *object)
{
	const struct lw_k8s_rollout *rollout = &object->rollout;

	return (rollout->service[0] || rollout->traffic_routing[0]) && strcmp(rollout->status.phase, "Progressing") == 0;
}

struct reading {
	struct lw_source_kube *source;
	struct lw_k8s_object *object;
};

static int on_read(struct lw_k8s_object *object, void *arg)
{
	((struct reading *)arg)->object = object;
	return 0;
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct lw_source_kube *source = ((struct reading *)arg)->source;

	if (source->o.finding)
		source->o.finding(finding, source->o.arg);
}

static void *build(struct json_object *tree, void *arg)
{
	struct follow *follow = arg;
	struct reading reading = { follow->source, NULL };
	const struct lw_objects_reader reader = {
		.file = "API server", .finding = on_finding, .object = on_read, .arg = &reading
	};
	struct built *built = calloc(1, sizeof(*built));
	struct json_object *spec = NULL, *selector = NULL;

	if (!built)
		return NULL;
	if (follow->kind != LW_K8S__MAX) {
		(void)lw_objects_read(&reader, tree, 0);
		built->object = reading.object;
		if (!built->object) {
			free(built);
			return NULL;
		}
	}
	if (follow->role == ROLE_WORKLOAD && json_object_object_get_ex(tree, "spec", &spec) &&
	    json_object_object_get_ex(spec, "selector", &selector))
		built->selector = lw_selector_of_json(selector);
	return built;
}

static void drop(void *p, void *arg)
{
	struct built *built = p;

	(void)arg;
	lw_k8s_object_free(&built->object);
	free(built->selector);
	free(built);
}

static void set_bad(struct lw_source_kube *source, struct held *held, bool bad)
{
	source->bad += (size_t)bad - (size_t)held->bad;
	held->bad = bad;
}

/* A Rollout's new version: into the model, or aside until its objects are complete. */
static void apply_rollout(struct lw_source_kube *source, struct held *held, struct lw_k8s_object *object)
{
	replan(source);
	if (!is_in_release(object))
		held->loaded = false;
	if (held->loaded || !is_in_release(object)) {
		drop_waiting(source, held);
		upsert(source, object);
		return;
	}
	drop_waiting(source, held);
	held->waiting = object;
	source->waiting++;
}

static void apply(const char *ns, const char *name, uint64_t version, bool first, void *p, void *arg)
{
	_cleanup_free_ struct built *built = p;
	struct follow *follow = arg;
	struct lw_source_kube *source = follow->source;
	struct held *held;

	if (follow->role == ROLE_WORKLOAD) {
		free(follow->selector);
		follow->selector = built ? TAKE_PTR(built->selector) : NULL;
		replan(source);
	}
	if (follow->kind == LW_K8S__MAX)
		return;
	held = get_held(source, follow->kind, ns, name);
	if (!held) {
		if (built)
			lw_k8s_object_free(&built->object);
		return;
	}
	held->refs += first;
	/* Another watch has it, or is ahead. */
	if (held->refs > 1 && version != 0 && held->version >= version) {
		if (built)
			lw_k8s_object_free(&built->object);
		return;
	}
	held->version = version;
	set_bad(source, held, !built);
	if (!built)
		return;
	if (follow->kind == LW_K8S_TRAFFIC_ROUTING || follow->kind == LW_K8S_SERVICE)
		replan(source);
	if (follow->kind == LW_K8S_ROLLOUT)
		apply_rollout(source, held, built->object);
	else
		upsert(source, built->object);
}

static void gone(const char *ns, const char *name, void *arg)
{
	struct follow *follow = arg;
	struct lw_source_kube *source = follow->source;
	struct held *held;

	if (follow->role == ROLE_WORKLOAD) {
		free(follow->selector);
		follow->selector = NULL;
	}
	if (follow->kind != LW_K8S_POD)
		replan(source);
	if (follow->kind == LW_K8S__MAX)
		return;
	held = find_held(source, follow->kind, ns, name);
	if (!held || --held->refs > 0)
		return;
	if (lw_model_remove(source->o.model, held->kind, held->ns, held->name))
		source->changed = true;
	remove_held(source, held);
	soon(source);
}

/* ---- follows ---- */

static void schedule(struct lw_source_kube *source);

static void note_contact(struct lw_source_kube *source)
{
	source->heard_ns = lw_clock_ns();
	if (source->away_ns != 0) {
		for (struct follow *follow = source->follows; follow; follow = follow->next)
			lw_watch_hurry(follow->watch, source->heard_ns);
		source->news = true;
		soon(source);
	}
	source->away_ns = 0;
}

static int on_head(long status, void *arg)
{
	struct follow *follow = arg;

	if (status < 500)
		note_contact(follow->source);
	return lw_watch_head(follow->watch, status);
}

static int on_data(const char *data, size_t len, void *arg)
{
	struct follow *follow = arg;

	follow->source->heard_ns = lw_clock_ns();
	return lw_watch_data(follow->watch, data, len);
}

static bool any_following(const struct lw_source_kube *source)
{
	for (const struct follow *follow = source->follows; follow; follow = follow->next) {
		if (lw_watch_following(follow->watch))
			return true;
	}
	return false;
}

static void note_trouble(struct lw_source_kube *source, const char *text, bool is_away)
{
	(void)lw_str_copy(source->error, sizeof(source->error), text);
	if (is_away && source->away_ns == 0 && !any_following(source))
		source->away_ns = lw_clock_ns();
	source->news = true;
	soon(source);
}

static void on_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct follow *follow = arg;
	struct lw_source_kube *source = follow->source;

	follow->request = NULL;
	lw_watch_end(follow->watch, lw_clock_ns(), trouble, retry_after_s);
	if (lw_watch_error(follow->watch)[0])
		note_trouble(source, lw_watch_error(follow->watch),
			     trouble || lw_watch_status(follow->watch) >= 500);
	if (lw_watch_synced(follow->watch) && !follow->was_synced) {
		follow->was_synced = true;
		replan(source);
	}
	/* What is refused may need another version of the API. */
	if (follow->root && lw_watch_status(follow->watch) == 404 && source->discovery.due_ns == UINT64_MAX)
		source->discovery.due_ns = lw_clock_ns() + 1000 * LW_NS_PER_MS;
	schedule(source);
}

static void begin(struct follow *follow)
{
	static const struct lw_http_callbacks callbacks = { on_head, on_data, on_done };
	struct lw_source_kube *source = follow->source;
	_cleanup_free_ char *target = NULL;
	unsigned int expire_s;
	bool listing = lw_watch_state(follow->watch) == LW_WATCH_LIST;
	int r;

	r = lw_watch_begin(follow->watch, lw_clock_ns(), &target, &expire_s);
	if (r == 0)
		r = lw_http_get(source->http, target, listing ? LIST_TOTAL_S : expire_s + 60,
				listing ? LIST_ANSWER_S : LW_HTTP_ANSWER_S,
				listing ? LIST_SILENT_S : source->o.silent_s, &callbacks, follow, &follow->request);
	if (r < 0)
		lw_watch_end(follow->watch, lw_clock_ns(), "out of memory", 0);
}

static void free_follow(struct follow *follow, bool forget)
{
	struct lw_bytes key = LW_BYTES_STR(follow->key ? follow->key : "");

	lw_http_cancel(&follow->request);
	(void)lw_bytemap_remove(&follow->source->by_key, &key, 1);
	lw_watch_free(&follow->watch, forget);
	free(follow->selector);
	free(follow->key);
	free(follow);
}

/* What a watch is to be. */
struct aim {
	enum role role;
	enum lw_k8s_kind kind;
	const char *api_version, *kind_name;
	const char *path, *labels, *fields;
	bool root;
};

/* The watch for it, made if need be, and wanted from here on. NULL when out of memory. */
static struct follow *want(struct lw_source_kube *source, const struct aim *aim)
{
	_cleanup_free_ char *text = NULL;
	struct follow *follow;
	struct lw_bytes key;

	if (asprintf(&text, "%d %d %s\n%s\n%s", aim->role, aim->kind, aim->path, aim->labels ? aim->labels : "",
		     aim->fields ? aim->fields : "") < 0) {
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
						     .callbacks = { build, apply, gone, drop, follow } },
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

/* ---- which watches there are to be ---- */

/* Whether all of them have been complete once, and whether one that has not is in trouble. */
struct needs {
	bool complete, failed;
};

static struct follow *need(struct lw_source_kube *source, struct needs *needs, const struct aim *aim)
{
	struct follow *follow = want(source, aim);

	if (!follow || !lw_watch_synced(follow->watch)) {
		needs->complete = false;
		needs->failed |= follow && lw_watch_error(follow->watch)[0];
	}
	return follow;
}

static const struct {
	const char *group, *kind, *api_version, *resource;
} workload_kinds[] = {
	{ "apps", "Deployment", "apps/v1", "deployments" },
	{ "apps", "StatefulSet", "apps/v1", "statefulsets" },
	{ "apps", "DaemonSet", "apps/v1", "daemonsets" },
	{ "apps", "ReplicaSet", "apps/v1", "replicasets" },
	{ "apps.kruise.io", "CloneSet", "apps.kruise.io/v1alpha1", "clonesets" },
	{ "apps.kruise.io", "StatefulSet", "apps.kruise.io/v1beta1", "statefulsets" },
	{ "apps.kruise.io", "DaemonSet", "apps.kruise.io/v1alpha1", "daemonsets" },
};

static struct follow *need_objects(struct lw_source_kube *source, struct needs *needs, enum lw_k8s_kind kind,
				   const char *api_version, const char *ns, const char *resource, const char *labels)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s/namespaces/%s/%s", strchr(api_version, '/') ? "/apis" : "/api",
		       api_version, ns, resource);
	return need(source, needs,
		    &(struct aim){ ROLE_OBJECTS, kind, api_version, lw_k8s_kind_name(kind), path, labels, NULL, false });
}

/* The workload itself; NULL: of a kind whose pods cannot be found. */
static struct follow *need_workload(struct lw_source_kube *source, struct needs *needs,
				    const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	char path[512], fields[300];

	for (size_t i = 0; i < sizeof(workload_kinds) / sizeof(workload_kinds[0]); i++) {
		const char *api_version = workload_kinds[i].api_version;

		if (strcmp(spec->workload_group, workload_kinds[i].group) != 0 ||
		    strcmp(spec->workload_kind, workload_kinds[i].kind) != 0)
			continue;
		(void)snprintf(path, sizeof(path), "/apis/%s/namespaces/%s/%s", api_version, rollout->meta.ns,
			       workload_kinds[i].resource);
		(void)snprintf(fields, sizeof(fields), "metadata.name=%s", spec->workload_name);
		return need(source, needs,
			    &(struct aim){ ROLE_WORKLOAD, i == 0 ? LW_K8S_DEPLOYMENT : LW_K8S__MAX, api_version,
					   spec->workload_kind, path, NULL, fields, false });
	}
	return NULL;
}

/* The pods of a Service at which requests enter. */
static void need_entry(struct lw_source_kube *source, struct needs *needs, const char *ns, const char *name)
{
	const struct lw_k8s_object *service = lw_model_get(source->o.model, LW_K8S_SERVICE, ns, name);
	_cleanup_free_ char *labels = service ? lw_selector_of_service(&service->service.selector) : NULL;

	if (labels)
		(void)need_objects(source, needs, LW_K8S_POD, "v1", ns, "pods", labels);
}

/* Wants what belongs to a Rollout in release. */
static struct needs plan_release(struct lw_source_kube *source, const struct lw_k8s_object *rollout)
{
	const struct lw_k8s_rollout *spec = &rollout->rollout;
	const struct lw_k8s_object *shared = NULL;
	struct needs needs = { .complete = true };
	struct follow *workload;

	workload = need_workload(source, &needs, rollout);
	if (strcmp(spec->workload_kind, "Deployment") == 0)
		(void)need_objects(source, &needs, LW_K8S_DEPLOYMENT, "apps/v1", rollout->meta.ns, "deployments",
				   EXTRAS);
	(void)need_objects(source, &needs, LW_K8S_SERVICE, "v1", rollout->meta.ns, "services", NULL);
	if (workload && workload->selector)
		(void)need_objects(source, &needs, LW_K8S_POD, "v1", rollout->meta.ns, "pods", workload->selector);
	if (spec->traffic_routing[0])
		shared = lw_model_get(source->o.model, LW_K8S_TRAFFIC_ROUTING, rollout->meta.ns, spec->traffic_routing);
	if (shared && shared->traffic_routing.service[0])
		need_entry(source, &needs, rollout->meta.ns, shared->traffic_routing.service);
	if (spec->service[0])
		need_entry(source, &needs, rollout->meta.ns, spec->service);
	return needs;
}

/*
 * Services that pass lanes on: wherever they are, and while there is a release, their pods. Whether they have come holds nothing up
 * once it is known that they will not: what they lack is a tag, what waits is a release.
 */
static bool plan_passing(struct lw_source_kube *source, bool releasing)
{
	struct needs needs = { .complete = true };

	(void)need(source, &needs,
		   &(struct aim){ ROLE_OBJECTS, LW_K8S_SERVICE, "v1", lw_k8s_kind_name(LW_K8S_SERVICE), "/api/v1/services",
				  LW_K8S_PASSES_LANES "=true", NULL, false });
	for (size_t i = 0; releasing && i < lw_model_count(source->o.model, LW_K8S_SERVICE); i++) {
		const struct lw_k8s_object *service = lw_model_at(source->o.model, LW_K8S_SERVICE, i);

		if (lw_k8s_passes_lanes(service))
			need_entry(source, &needs, service->meta.ns, service->meta.name);
	}
	return needs.complete || needs.failed;
}

/* The pods of this node, in release or not: what they say of themselves as clients counts. As above, what is refused holds nothing up. */
static bool plan_node(struct lw_source_kube *source)
{
	struct needs needs = { .complete = true };
	char fields[300];

	if (!source->o.node)
		return true;
	(void)snprintf(fields, sizeof(fields), "spec.nodeName=%s", source->o.node);
	(void)need(source, &needs,
		   &(struct aim){ ROLE_OBJECTS, LW_K8S_POD, "v1", lw_k8s_kind_name(LW_K8S_POD), "/api/v1/pods", NULL, fields,
				  false });
	return needs.complete || needs.failed;
}

static const struct lw_k8s_object *newest(const struct lw_source_kube *source, const struct held *held)
{
	return held->waiting ? held->waiting : lw_model_get(source->o.model, LW_K8S_ROLLOUT, held->ns, held->name);
}

static void plan_roots(struct lw_source_kube *source, bool *ret_synced)
{
	struct needs needs = { .complete = source->version };
	char api_version[64], path[128];

	if (source->version) {
		(void)snprintf(api_version, sizeof(api_version), GROUP "/%s", source->version);
		(void)snprintf(path, sizeof(path), "/apis/%s/rollouts", api_version);
		(void)need(source, &needs,
			   &(struct aim){ ROLE_OBJECTS, LW_K8S_ROLLOUT, api_version, "Rollout", path, NULL, NULL, true });
	}
	if (source->version && source->has_shared)
		(void)need(source, &needs,
			   &(struct aim){ ROLE_OBJECTS, LW_K8S_TRAFFIC_ROUTING, GROUP "/v1alpha1", "TrafficRouting",
					  "/apis/" GROUP "/v1alpha1/trafficroutings", NULL, NULL, true });
	for (const char *const *pods = source->o.pods; pods && *pods; pods++) {
		_cleanup_free_ char *ns = strndup(*pods, strcspn(*pods, "/"));

		if (ns)
			(void)need_objects(source, &needs, LW_K8S_POD, "v1", ns, "pods", *pods + strlen(ns) + 1);
		else
			needs.complete = false;
	}
	*ret_synced = needs.complete;
}

static void plan(struct lw_source_kube *source)
{
	uint64_t now = lw_clock_ns();
	bool roots, passing, own, releasing = false, complete = true;

	source->replan = false;
	for (struct follow *follow = source->follows; follow; follow = follow->next)
		follow->wanted = false;
	plan_roots(source, &roots);
	for (struct held *held = source->rollouts; held && !releasing; held = held->next) {
		const struct lw_k8s_object *rollout = newest(source, held);

		releasing = rollout && is_in_release(rollout);
	}
	passing = plan_passing(source, releasing);
	own = plan_node(source);
	for (struct held *held = source->rollouts; held; held = held->next) {
		const struct lw_k8s_object *rollout = newest(source, held);
		struct needs needs;

		if (!rollout || !is_in_release(rollout))
			continue;
		needs = plan_release(source, rollout);
		/* Without the TrafficRoutings it is not known where requests enter. */
		if (!needs.complete || !roots || !passing || !own) {
			/* One namespace that is refused does not keep the others from being steered. */
			complete &= !held->waiting || needs.failed;
			continue;
		}
		held->loaded = true;
		if (held->waiting) {
			struct lw_k8s_object *object = TAKE_PTR(held->waiting);

			source->waiting--;
			upsert(source, object);
		}
	}
	for (struct follow *follow = source->follows; follow; follow = follow->next) {
		if (follow->wanted)
			follow->unwanted_ns = 0;
		else if (follow->unwanted_ns == 0)
			follow->unwanted_ns = now;
	}
	if (!source->ready && roots && passing && own && complete) {
		source->ready = source->changed = source->news = true;
	}
}

static void close_unwanted(struct lw_source_kube *source, uint64_t now)
{
	struct follow **at = &source->follows, *follow;

	while ((follow = *at)) {
		if (follow->unwanted_ns == 0 || now - follow->unwanted_ns < LW_SOURCE_LINGER_S * LW_NS_PER_SEC) {
			at = &follow->next;
			continue;
		}
		*at = follow->next;
		free_follow(follow, true);
	}
}

/* ---- which version of the API there is ---- */

static int on_document(const char *type, struct json_object *document, void *arg)
{
	struct discovery *discovery = arg;
	struct json_object *versions = NULL, *value = NULL;

	(void)type;
	if (json_object_object_get_ex(document, "message", &value))
		(void)lw_str_copy(discovery->message, sizeof(discovery->message), json_object_get_string(value));
	if (!json_object_object_get_ex(document, "versions", &versions) ||
	    !json_object_is_type(versions, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(versions); i++) {
		struct json_object *item = json_object_array_get_idx(versions, i);
		const char *name;

		if (!json_object_is_type(item, json_type_object) || !json_object_object_get_ex(item, "version", &value))
			continue;
		name = json_object_get_string(value);
		discovery->v1beta1 |= name && strcmp(name, "v1beta1") == 0;
		discovery->v1alpha1 |= name && strcmp(name, "v1alpha1") == 0;
	}
	return 0;
}

static int on_discovery_head(long status, void *arg)
{
	struct lw_source_kube *source = arg;

	if (status < 500)
		note_contact(source);
	source->discovery.status = status;
	return lw_stream_new(LW_STREAM_DOCUMENT, on_document, &source->discovery, &source->discovery.stream);
}

static int on_discovery_data(const char *data, size_t len, void *arg)
{
	struct lw_source_kube *source = arg;

	return source->discovery.stream ? lw_stream_feed(source->discovery.stream, data, len) : -EBADMSG;
}

static void on_discovery_done(const char *trouble, unsigned int retry_after_s, void *arg)
{
	struct lw_source_kube *source = arg;
	struct discovery *discovery = &source->discovery;
	char text[400];

	discovery->request = NULL;
	discovery->due_ns = UINT64_MAX;
	lw_stream_free(&discovery->stream);
	if (!trouble && discovery->status == 200 && (discovery->v1beta1 || discovery->v1alpha1)) {
		const char *version = discovery->v1beta1 ? "v1beta1" : "v1alpha1";

		source->error[0] = '\0';
		source->version = version;
		source->has_shared = discovery->v1alpha1;
		replan(source);
		return;
	}
	if (trouble)
		(void)snprintf(text, sizeof(text), "ask for API group " GROUP ": %s", trouble);
	else if (discovery->status == 404)
		(void)snprintf(text, sizeof(text), "the API server has no API group " GROUP ": are the CRDs of Kruise Rollouts installed?");
	else if (discovery->status == 200)
		(void)snprintf(text, sizeof(text), "API group " GROUP " has neither v1beta1 nor v1alpha1");
	else
		(void)snprintf(text, sizeof(text), "ask for API group " GROUP ": the API server answers %ld: %s",
			       discovery->status, discovery->message[0] ? discovery->message : "no reason given");
	note_trouble(source, text, trouble || discovery->status >= 500);
	discovery->due_ns = lw_clock_ns() + retry_after_s * LW_NS_PER_SEC +
			    (200 + lw_clock_ns() % (trouble ? 2000 : DISCOVERY_RETRY_MS)) * LW_NS_PER_MS;
	schedule(source);
}

static void discover(struct lw_source_kube *source)
{
	static const struct lw_http_callbacks callbacks = { on_discovery_head, on_discovery_data, on_discovery_done };
	struct discovery *discovery = &source->discovery;

	*discovery = (struct discovery){ .due_ns = UINT64_MAX };
	if (lw_http_get(source->http, "/apis/" GROUP, LIST_SILENT_S, LW_HTTP_ANSWER_S, LIST_SILENT_S, &callbacks, source,
			&discovery->request) < 0)
		discovery->due_ns = lw_clock_ns() + LW_NS_PER_SEC;
}

/* ---- time ---- */

static void schedule(struct lw_source_kube *source)
{
	uint64_t due = source->discovery.due_ns, now = lw_clock_ns();

	for (const struct follow *follow = source->follows; follow; follow = follow->next) {
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

	if (source->discovery.due_ns <= now)
		discover(source);
	for (struct follow *follow = source->follows; follow; follow = follow->next) {
		if (!follow->request && lw_watch_due(follow->watch) <= now)
			begin(follow);
	}
	schedule(source);
}

static void on_due(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_source_kube *source = w->data;

	(void)loop;
	(void)revents;
	close_unwanted(source, lw_clock_ns());
	pump(source);
}

static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_source_kube *source = w->data;

	(void)loop;
	(void)revents;
	/* What is planned may name what it has just put in the model. */
	for (int round = 0; round < 4 && source->replan; round++)
		plan(source);
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
	soon(source);
	*ret = source;
	return 0;
}

static bool free_held(void *value, void *arg)
{
	struct held *held = value;

	(void)arg;
	lw_k8s_object_free(&held->waiting);
	free(held);
	return false;
}

void lw_source_kube_close(struct lw_source_kube **source_ptr)
{
	struct lw_source_kube *source = *source_ptr;
	struct follow *follow;

	if (!source)
		return;
	ev_timer_stop(source->o.loop, &source->due);
	ev_timer_stop(source->o.loop, &source->soon);
	while ((follow = source->follows)) {
		source->follows = follow->next;
		free_follow(follow, false);
	}
	lw_http_cancel(&source->discovery.request);
	lw_stream_free(&source->discovery.stream);
	lw_http_free(&source->http);
	lw_bytemap_filter(&source->helds, free_held, NULL);
	lw_bytemap_clear(&source->helds);
	lw_bytemap_clear(&source->by_key);
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
	for (const struct follow *follow = source->follows; follow && !error[0]; follow = follow->next)
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
	for (const struct follow *follow = source->follows; follow; follow = follow->next) {
		const struct lw_watch *watch = follow->watch;

		cb(&(struct lw_source_kube_watch){
			   .path = lw_watch_path(watch),
			   .labels = lw_watch_labels(watch),
			   .fields = lw_watch_fields(watch),
			   .state = follow->unwanted_ns ? "closing" :
				    lw_watch_following(watch) ? "watching" :
				    follow->request ? (lw_watch_state(watch) == LW_WATCH_LIST ? "listing" : "opening") :
						      "waiting",
			   .objects = lw_watch_count(watch),
			   .lists = lw_watch_lists(watch),
			   .synced = lw_watch_synced(watch),
			   .error = lw_watch_error(watch),
		   },
		   arg);
	}
}
