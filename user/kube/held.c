/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/source_kube_internal.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/objects.h"
#include "core/rollout.h"
#include "kube/member.h"
#include "kube/selector.h"

#define ORIGIN "API server" /* how findings begin */

/* What apply() takes. */
struct built {
	struct lw_k8s_object *object; /* NULL: of a kind that the model does not keep */
	char *selector;
	bool flawed; /* an error was told of it, and it is taken up all the same */
};

static size_t held_key(struct lw_bytes key[3], unsigned char *tag, enum lw_k8s_kind kind,
		       const char *ns, const char *name)
{
	*tag = (unsigned char)kind;
	key[0] = (struct lw_bytes){ tag, 1 };
	key[1] = LW_BYTES_STR(ns);
	key[2] = LW_BYTES_STR(name);
	return 3;
}

static struct lw_kube_held *find_held(const struct lw_source_kube *source, enum lw_k8s_kind kind,
				      const char *ns, const char *name)
{
	struct lw_bytes key[3];
	unsigned char tag;

	return lw_bytemap_get(&source->helds, key, held_key(key, &tag, kind, ns, name));
}

static struct lw_kube_held *get_held(struct lw_source_kube *source, enum lw_k8s_kind kind,
				     const char *ns, const char *name)
{
	struct lw_kube_held *held = find_held(source, kind, ns, name);
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

static void drop_waiting(struct lw_source_kube *source, struct lw_kube_held *held)
{
	if (held->waiting)
		source->waiting--;
	lw_k8s_object_free(&held->waiting);
}

static void remove_held(struct lw_source_kube *source, struct lw_kube_held *held)
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
	(void)lw_bytemap_remove(&source->helds, key,
				held_key(key, &tag, held->kind, held->ns, held->name));
	free(held);
}

void lw_kube_upsert(struct lw_source_kube *source, struct lw_k8s_object *object)
{
	if (lw_model_upsert(source->o.model, object) < 0)
		lw_finding_emit(source->o.finding, source->o.arg, LW_FINDING_ERROR,
				"out of memory: an object is not taken up");
	source->changed = true;
	lw_kube_soon(source);
}

bool lw_kube_is_in_release(const struct lw_k8s_object *object)
{
	return lw_k8s_routes_traffic(object) &&
	       strcmp(object->rollout.status.phase, "Progressing") == 0;
}

bool lw_kube_has_leftovers(const struct lw_source_kube *source, const struct lw_k8s_object *object)
{
	static const char *const labels[] = { "pod-template-hash", "controller-revision-hash" };

	if (!lw_k8s_routes_traffic(object) || !lw_rollout_is_abandoned(object))
		return false;
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		const struct lw_model_link *l =
			lw_model_labelled(source->o.model, object->meta.ns, labels[i],
					  object->rollout.status.pod_template_hash, NULL);

		for (; l; l = l->next)
			if (!l->pod->ended)
				return true;
	}
	return false;
}

/* What was found in an object holds no longer. */
static void forget(const struct lw_source_kube *source, const struct lw_kube_held *held)
{
	_cleanup_free_ char *prefix = NULL;

	if (!held->bad || !source->o.forget)
		return;
	if (asprintf(&prefix, ORIGIN ": %s %s/%s: ", lw_k8s_kind_name(held->kind), held->ns,
		     held->name) < 0) {
		prefix = NULL;
		return;
	}
	source->o.forget(prefix, source->o.arg);
}

/* That of the tree, if it is held already. */
static struct lw_kube_held *held_of(const struct lw_kube_follow *follow, struct json_object *tree)
{
	struct json_object *meta = lw_kube_member(tree, "metadata", json_type_object);

	return find_held(follow->source, follow->kind, lw_kube_text(meta, "namespace"),
			 lw_kube_text(meta, "name"));
}

struct reading {
	struct lw_source_kube *source;
	struct lw_k8s_object *object;
	bool error;
};

static int on_read(struct lw_k8s_object *object, void *arg)
{
	((struct reading *)arg)->object = object;
	return 0;
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct reading *reading = arg;
	struct lw_source_kube *source = reading->source;

	reading->error |= finding->severity == LW_FINDING_ERROR;
	if (source->o.finding)
		source->o.finding(finding, source->o.arg);
}

static void *build(struct json_object *tree, void *arg)
{
	struct lw_kube_follow *follow = arg;
	struct reading reading = { .source = follow->source };
	const struct lw_objects_reader reader = {
		.file = ORIGIN, .finding = on_finding, .object = on_read, .arg = &reading
	};
	struct built *built = calloc(1, sizeof(*built));
	struct lw_kube_held *held;
	struct json_object *spec = NULL, *selector = NULL;

	if (!built)
		return NULL;
	if (follow->kind != LW_K8S__MAX) {
		held = held_of(follow, tree);
		if (held)
			forget(follow->source, held);
		(void)lw_objects_read(&reader, tree, 0);
		built->object = reading.object;
		built->flawed = reading.error;
		if (!built->object) {
			free(built);
			return NULL;
		}
	}
	if (follow->role == LW_KUBE_WORKLOAD && json_object_object_get_ex(tree, "spec", &spec) &&
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

static void set_bad(struct lw_source_kube *source, struct lw_kube_held *held, bool bad)
{
	source->bad += (size_t)bad - (size_t)held->bad;
	held->bad = bad;
}

/* A Rollout's new version: into the model, or aside until its objects are complete. */
static void apply_rollout(struct lw_source_kube *source, struct lw_kube_held *held,
			  struct lw_k8s_object *object)
{
	lw_kube_replan(source);
	if (!lw_kube_is_in_release(object))
		held->loaded = false;
	if (held->loaded || !lw_kube_is_in_release(object)) {
		drop_waiting(source, held);
		lw_kube_upsert(source, object);
		return;
	}
	drop_waiting(source, held);
	held->waiting = object;
	source->waiting++;
}

/* Another watch has it, or is ahead. Not where the one that brought it has an older version now: the server's data went back. */
static bool is_passed_over(const struct lw_kube_held *held, const struct lw_kube_follow *follow,
			   uint64_t version)
{
	if (held->refs < 2 || version == 0)
		return false;
	/* two watches of Rollouts are of two versions of the API, and the one that ends would tell less */
	if (follow->kind == LW_K8S_ROLLOUT)
		return follow->unwanted_ns != 0;
	return held->version == version ||
	       (held->version > version && held->from && held->from != follow);
}

static void apply(const char *ns, const char *name, uint64_t version, bool first, void *p,
		  void *arg)
{
	_cleanup_free_ struct built *built = p;
	struct lw_kube_follow *follow = arg;
	struct lw_source_kube *source = follow->source;
	struct lw_kube_held *held;

	if (follow->role == LW_KUBE_WORKLOAD) {
		free(follow->selector);
		follow->selector = built ? TAKE_PTR(built->selector) : NULL;
		lw_kube_replan(source);
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
	if (is_passed_over(held, follow, version)) {
		if (built)
			lw_k8s_object_free(&built->object);
		return;
	}
	held->version = version;
	held->from = follow;
	set_bad(source, held, !built || built->flawed);
	if (!built)
		return;
	if (follow->kind == LW_K8S_TRAFFIC_ROUTING || follow->kind == LW_K8S_SERVICE ||
	    (follow->kind == LW_K8S_POD && source->leftovers))
		lw_kube_replan(source);
	if (follow->kind == LW_K8S_ROLLOUT)
		apply_rollout(source, held, built->object);
	else
		lw_kube_upsert(source, built->object);
}

static void gone(const char *ns, const char *name, void *arg)
{
	struct lw_kube_follow *follow = arg;
	struct lw_source_kube *source = follow->source;
	struct lw_kube_held *held;

	if (follow->role == LW_KUBE_WORKLOAD) {
		free(follow->selector);
		follow->selector = NULL;
	}
	if (follow->kind != LW_K8S_POD || source->leftovers)
		lw_kube_replan(source);
	if (follow->kind == LW_K8S__MAX)
		return;
	held = find_held(source, follow->kind, ns, name);
	if (held && held->from == follow)
		held->from = NULL;
	if (!held || --held->refs > 0)
		return;
	if (lw_model_remove(source->o.model, held->kind, held->ns, held->name))
		source->changed = true;
	forget(source, held);
	remove_held(source, held);
	lw_kube_soon(source);
}

const struct lw_k8s_object *lw_kube_newest(const struct lw_source_kube *source,
					   const struct lw_kube_held *held)
{
	return held->waiting ? held->waiting :
			       lw_model_get(source->o.model, LW_K8S_ROLLOUT, held->ns, held->name);
}

struct lw_watch_callbacks lw_kube_held_callbacks(struct lw_kube_follow *follow)
{
	return (struct lw_watch_callbacks){ build, apply, gone, drop, follow };
}

static bool free_held(void *value, void *arg)
{
	struct lw_kube_held *held = value;

	(void)arg;
	lw_k8s_object_free(&held->waiting);
	free(held);
	return false;
}

void lw_kube_free_helds(struct lw_source_kube *source)
{
	lw_bytemap_filter(&source->helds, free_held, NULL);
	lw_bytemap_clear(&source->helds);
}
