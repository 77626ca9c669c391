/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"
#include "core/model_shape.h"
#include "core/rollout.h"

/* Of an object; kind lives as long as the key. */
#define KEY_PARTS 3
static void object_key(struct lw_bytes key[KEY_PARTS], const enum lw_k8s_kind *kind, const char *ns,
		       const char *name)
{
	key[0] = LW_BYTES_OF(*kind);
	key[1] = LW_BYTES_STR(ns);
	key[2] = LW_BYTES_STR(name);
}

int lw_model_new(struct lw_model **ret)
{
	struct lw_model *model = calloc(1, sizeof(*model));

	if (!model)
		return -ENOMEM;
	*ret = model;
	return 0;
}

static void free_record(struct lw_model_record *record)
{
	lw_k8s_object_free(&record->object);
	lw_k8s_object_free(&record->adopted);
	free(record->memory.stable);
	free(record);
}

void lw_model_free(struct lw_model **model)
{
	if (!*model)
		return;
	for (size_t kind = 0; kind < LW_K8S__MAX; kind++) {
		struct lw_model_records *records = &(*model)->kinds[kind];

		for (size_t i = 0; i < records->count; i++)
			free_record(records->items[i]);
		free(records->items);
	}
	lw_model_free_lists(*model);
	lw_bytemap_clear(&(*model)->objects);
	free(*model);
	*model = NULL;
}

/* ---- pods ---- */

uint64_t lw_model_text_hash(const char *s)
{
	return s && s[0] ? lw_bytes_hash(s, strlen(s), 1) | 1 : 0;
}

uint64_t lw_model_label_hash(const char *key, const char *value)
{
	return lw_bytes_hash(value, strlen(value), lw_bytes_hash(key, strlen(key), 2)) | 1;
}

static void fill_pod(struct lw_model_record *record)
{
	const struct lw_k8s_object *object = record->object;
	const struct lw_k8s_meta *meta = &object->meta;

	record->pod = (struct lw_model_pod){
		.template_hash =
			lw_model_text_hash(lw_k8s_pairs_get(&meta->labels, "pod-template-hash")),
		.revision_hash = lw_model_text_hash(
			lw_k8s_pairs_get(&meta->labels, "controller-revision-hash")),
		.uid = lw_model_text_hash(meta->uid),
		.owner_uid = lw_model_text_hash(meta->owner.uid),
		.node = lw_model_text_hash(object->pod.node),
		.labels = record->labels,
		.nlabels = meta->labels.n,
		.ips = object->pod.ips,
		.nips = (uint32_t)object->pod.nips,
		.ended = strcmp(object->pod.phase, "Succeeded") == 0 ||
			 strcmp(object->pod.phase, "Failed") == 0,
		.ready = object->pod.ready,
		.deleting = meta->deleting,
		.host_network = object->pod.host_network,
	};
	for (size_t i = 0; i < meta->labels.n; i++)
		record->labels[i] =
			lw_model_label_hash(meta->labels.items[i].key, meta->labels.items[i].value);
}

/* ---- objects ---- */

static int records_room(struct lw_model_records *records)
{
	size_t room = records->room ? records->room * 2 : 16;
	struct lw_model_record **items;

	if (records->count < records->room)
		return 0;
	items = realloc(records->items, room * sizeof(struct lw_model_record *));
	if (!items)
		return -ENOMEM;
	records->items = items;
	records->room = room;
	return 0;
}

/* Carries over to record what is remembered of old, and keeps of old what is still needed. */
static void remember(struct lw_model_record *record, struct lw_model_record *old)
{
	record->memory = old->memory;
	old->memory.stable = NULL;
	lw_rollout_remember(old->object, record->object, &record->memory);

	record->adopted = old->adopted;
	old->adopted = NULL;
	if (!lw_rollout_plan_is_stale(record->object)) {
		lw_k8s_object_free(&record->adopted);
	} else if (!lw_rollout_plan_is_stale(old->object)) {
		lw_k8s_object_free(&record->adopted);
		record->adopted = old->object;
		record->adopted->record = NULL;
		old->object = NULL;
	}
	record->memory.adopted = record->adopted;
}

/* Takes the record off the list of those changed. */
static void forget_change(struct lw_model *model, struct lw_model_record *record)
{
	if (record->version == 0)
		return;
	if (record->newer)
		record->newer->older = record->older;
	else
		model->newest = record->older;
	if (record->older)
		record->older->newer = record->newer;
	record->version = 0;
}

/* record has taken the place of old, NULL: of none. */
static void note_change(struct lw_model *model, struct lw_model_record *record,
			struct lw_model_record *old)
{
	model->version++;
	/* Whose a contested address is depends on the state of all that have it. */
	if (!old || old->pod.contested || !lw_model_same_shape(old->object, record->object))
		model->shape = model->version;
	if (!old)
		return;
	forget_change(model, old);
	record->version = model->version;
	record->older = model->newest;
	if (model->newest)
		model->newest->newer = record;
	model->newest = record;
}

int lw_model_upsert(struct lw_model *model, struct lw_k8s_object *object)
{
	struct lw_model_records *records = &model->kinds[object->kind];
	struct lw_model_record *record = NULL, *old;
	size_t max_links = 6 + object->meta.labels.n;
	struct lw_bytes key[KEY_PARTS];

	if (object->kind == LW_K8S_POD)
		max_links += object->pod.nips;
	else if (object->kind == LW_K8S_SERVICE)
		max_links += object->service.nips;

	record = calloc(1, sizeof(*record) + max_links * sizeof(record->links[0]) +
				   object->meta.labels.n * sizeof(record->labels[0]));
	if (!record) {
		lw_k8s_object_free(&object);
		return -ENOMEM;
	}
	record->object = object;
	record->labels = (uint64_t *)&record->links[max_links];
	if (object->kind == LW_K8S_POD)
		fill_pod(record);
	object_key(key, &object->kind, object->meta.ns, object->meta.name);
	old = lw_bytemap_get(&model->objects, key, KEY_PARTS);
	if (lw_model_prepare(model, record) < 0 || records_room(records) < 0 ||
	    lw_bytemap_put(&model->objects, key, KEY_PARTS, record) < 0) {
		free_record(record);
		return -ENOMEM;
	}

	object->record = record;
	note_change(model, record, old);
	if (old) {
		lw_model_unlink_all(model, old);
		record->pod.index = old->pod.index;
		if (object->kind == LW_K8S_ROLLOUT)
			remember(record, old);
		free_record(old);
	} else {
		record->pod.index = records->count++;
	}
	records->items[record->pod.index] = record;
	lw_model_link_all(model, record);
	lw_model_sweep_lists(model);
	return 0;
}

bool lw_model_remove(struct lw_model *model, enum lw_k8s_kind kind, const char *ns,
		     const char *name)
{
	struct lw_model_records *records = &model->kinds[kind];
	struct lw_model_record *record;
	struct lw_bytes key[KEY_PARTS];

	object_key(key, &kind, ns, name);
	record = lw_bytemap_remove(&model->objects, key, KEY_PARTS);
	if (!record)
		return false;
	model->shape = ++model->version;
	forget_change(model, record);
	lw_model_unlink_all(model, record);
	records->items[record->pod.index] = records->items[--records->count];
	records->items[record->pod.index]->pod.index = record->pod.index;
	free_record(record);
	lw_model_sweep_lists(model);
	return true;
}

uint64_t lw_model_version(const struct lw_model *model)
{
	return model->version;
}

uint64_t lw_model_shape(const struct lw_model *model)
{
	return model->shape;
}

const struct lw_k8s_object *lw_model_changed_before(const struct lw_model *model,
						    const struct lw_k8s_object *than,
						    uint64_t *ret_version)
{
	const struct lw_model_record *record = than ? than->record->older : model->newest;

	if (!record)
		return NULL;
	*ret_version = record->version;
	return record->object;
}

size_t lw_model_count(const struct lw_model *model, enum lw_k8s_kind kind)
{
	return model->kinds[kind].count;
}

const struct lw_k8s_object *lw_model_at(const struct lw_model *model, enum lw_k8s_kind kind,
					size_t i)
{
	assert(i < model->kinds[kind].count);
	return model->kinds[kind].items[i]->object;
}

size_t lw_model_index_of(const struct lw_model *model, const struct lw_k8s_object *object)
{
	(void)model;
	return object->record->pod.index;
}

const struct lw_k8s_object *lw_model_get(const struct lw_model *model, enum lw_k8s_kind kind,
					 const char *ns, const char *name)
{
	struct lw_model_record *record;
	struct lw_bytes key[KEY_PARTS];

	object_key(key, &kind, ns, name);
	record = lw_bytemap_get(&model->objects, key, KEY_PARTS);
	return record ? record->object : NULL;
}

const struct lw_model_memory *lw_model_memory_of(const struct lw_model *model,
						 const struct lw_k8s_object *rollout)
{
	(void)model;
	return &rollout->record->memory;
}

const struct lw_model_pod *lw_model_pod_of(const struct lw_model *model,
					   const struct lw_k8s_object *object)
{
	(void)model;
	return &object->record->pod;
}
