/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <string.h>

#include "core/state_internal.h"

/* Keys of a Service's selector that are looked at. With more it selects nothing here. */
#define SELECTOR_MAX 64

bool lw_state_is_hash_key(const char *key)
{
	return strcmp(key, "pod-template-hash") == 0 ||
	       strcmp(key, "controller-revision-hash") == 0;
}

static bool has_label(const struct lw_model_pod *pod, uint64_t label)
{
	for (size_t i = 0; i < pod->nlabels; i++) {
		if (pod->labels[i] == label)
			return true;
	}
	return false;
}

bool lw_state_names_revision(const struct lw_k8s_service *service, const struct lw_model_pod *pod)
{
	for (size_t i = 0; i < service->selector.n; i++) {
		const struct lw_k8s_pair *item = &service->selector.items[i];

		if (lw_state_is_hash_key(item->key) &&
		    !has_label(pod, lw_model_label_hash(item->key, item->value)))
			return false;
	}
	return true;
}

int lw_state_each_selected(struct lw_state *state, const struct lw_k8s_object *service,
			   int (*cb)(struct lw_state *state, struct lw_state_pod *pod, void *arg),
			   void *arg)
{
	const struct lw_k8s_pairs *selector = &service->service.selector;
	const struct lw_model_link *fewest = NULL;
	size_t fewest_count = SIZE_MAX, nlabels = 0;
	uint64_t labels[SELECTOR_MAX];
	int r;

	for (size_t i = 0; i < selector->n && fewest_count > 0; i++) {
		const struct lw_model_link *l;
		size_t count;

		if (lw_state_is_hash_key(selector->items[i].key))
			continue;
		if (nlabels == SELECTOR_MAX)
			return 0;
		labels[nlabels++] =
			lw_model_label_hash(selector->items[i].key, selector->items[i].value);
		l = lw_model_labelled(state->model, service->meta.ns, selector->items[i].key,
				      selector->items[i].value, &count);
		if (count < fewest_count) {
			fewest = l;
			fewest_count = count;
		}
	}
	for (; fewest; fewest = fewest->next) {
		bool selected = !fewest->pod->ended;

		__builtin_prefetch(fewest->next);
		for (size_t i = 0; i < nlabels && selected; i++)
			selected = has_label(fewest->pod, labels[i]);
		r = selected ? cb(state, lw_state_pod_of(state, fewest), arg) : 0;
		if (r != 0)
			return r;
	}
	return 0;
}

/* `<service>-canary` of a Rollout with trafficRoutings: made by Rollouts, not by the user. */
static int generated_services(struct lw_state *state, struct lw_bytemap *ret)
{
	int r;

	for (const struct lw_state_workload *w = state->workloads; w; w = w->next) {
		struct lw_bytes key[3];

		if (!w->rollout || !w->rollout->rollout.service[0] ||
		    w->rollout->rollout.no_canary_service)
			continue;
		key[0] = LW_BYTES_STR(w->ns);
		key[1] = LW_BYTES_STR(w->rollout->rollout.service);
		r = lw_bytemap_put(ret, key, 2, (void *)w);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool is_generated(const struct lw_bytemap *generated, const struct lw_k8s_meta *meta)
{
	static const char suffix[] = "-canary";
	size_t len = strlen(meta->name);
	struct lw_bytes key[2];

	if (len < sizeof(suffix) || strcmp(meta->name + len - (sizeof(suffix) - 1), suffix) != 0)
		return false;
	key[0] = LW_BYTES_STR(meta->ns);
	key[1] = (struct lw_bytes){ meta->name, len - (sizeof(suffix) - 1) };
	return lw_bytemap_get(generated, key, 2);
}

/* Labels of pods, by hash: a set with room to spare, 0 for an empty place. */
struct labels {
	uint64_t *hashes;
	size_t mask;
};

static void add_label(struct labels *labels, uint64_t hash)
{
	size_t at = hash & labels->mask;

	while (labels->hashes[at] && labels->hashes[at] != hash)
		at = (at + 1) & labels->mask;
	labels->hashes[at] = hash;
}

static bool is_label(const struct labels *labels, uint64_t hash)
{
	size_t at = hash & labels->mask;

	while (labels->hashes[at] && labels->hashes[at] != hash)
		at = (at + 1) & labels->mask;
	return labels->hashes[at] != 0;
}

static void add_labels(struct labels *labels, const struct lw_state_pod *pod)
{
	for (size_t i = 0; i < pod->model->nlabels; i++)
		add_label(labels, pod->model->labels[i]);
}

/* Of the pods of which something may be in the image, now or before, that is not as it was. */
static int find_labels(struct lw_state *state, struct labels *ret)
{
	size_t n = 0, room = 64;

	for (const struct lw_state_workload *w = state->workloads; w; w = w->next)
		for (const struct lw_state_pod *pod = w->owner.changed ? w->pods : NULL; pod;
		     pod = pod->next)
			n += pod->model->nlabels;
	for (size_t i = 0; i < state->nchanged_pods; i++)
		n += state->changed_pods[i]->model->nlabels;
	while (room < 2 * n)
		room *= 2;
	ret->mask = room - 1;
	ret->hashes = lw_arena_new_array(state->scratch, uint64_t, room);
	if (!ret->hashes)
		return -ENOMEM;
	for (const struct lw_state_workload *w = state->workloads; w; w = w->next)
		for (const struct lw_state_pod *pod = w->owner.changed ? w->pods : NULL; pod;
		     pod = pod->next)
			add_labels(ret, pod);
	for (size_t i = 0; i < state->nchanged_pods; i++)
		add_labels(ret, state->changed_pods[i]);
	return 0;
}

/* May it select one of those pods? Most Services need no further look. */
static bool may_select(const struct labels *labels, const struct lw_k8s_service *service)
{
	for (size_t i = 0; i < service->selector.n; i++) {
		const struct lw_k8s_pair *item = &service->selector.items[i];

		if (!lw_state_is_hash_key(item->key) &&
		    !is_label(labels, lw_model_label_hash(item->key, item->value)))
			return false;
	}
	return true;
}

int lw_state_add_services(struct lw_state *state)
{
	size_t n = lw_model_count(state->model, LW_K8S_SERVICE);
	struct lw_bytemap generated = {};
	int r;

	state->services = lw_arena_new_array(state->arena, struct lw_state_service, n);
	if (!state->services)
		return -ENOMEM;
	r = generated_services(state, &generated);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct lw_k8s_object *service = lw_model_at(state->model, LW_K8S_SERVICE, i);

		state->services[i].never = service->service.external ||
					   service->service.nips == 0 ||
					   is_generated(&generated, &service->meta);
		state->services[i].passes = lw_k8s_passes_lanes(service);
	}
	lw_bytemap_clear(&generated);
	return r;
}

int lw_state_mark_services(struct lw_state *state)
{
	struct labels labels;
	int r = find_labels(state, &labels);

	for (size_t i = 0; r == 0 && i < lw_model_count(state->model, LW_K8S_SERVICE); i++)
		state->services[i].owner.changed =
			!state->services[i].never &&
			may_select(&labels, &lw_model_at(state->model, LW_K8S_SERVICE, i)->service);
	return r;
}
