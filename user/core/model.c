/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytemap.h"
#include "core/model_shape.h"
#include "core/rollout.h"

#define EXTRA_LABEL "rollouts.kruise.io/canary-deployment"

/* First part of every key of the index, so that one map holds them all. */
enum index_kind {
	INDEX_OBJECT,
	INDEX_OWNED,
	INDEX_LABELLED,
	INDEX_EXTRAS,
	INDEX_NAMED_AFTER,
	INDEX_KEPT_OUT,
	INDEX_HOST_NETWORK,
	INDEX_ORPHANS,
	INDEX_ADDRESS,
	INDEX__MAX,
};

struct lw_model_list {
	struct lw_model_link *head;
	size_t count;
	enum index_kind index;
};

struct lw_model_record {
	struct lw_k8s_object *object;
	struct lw_k8s_object *adopted; /* what memory.adopted points to */
	struct lw_model_memory memory;
	uint64_t version; /* 0: not among those changed */
	struct lw_model_record *newer, *older; /* changed */
	struct lw_model_pod pod; /* its index is that of any kind */
	uint64_t *labels; /* pod.labels, behind the links */
	size_t nlinks;
	struct lw_model_link links[]; /* those of addresses first */
};

struct records {
	struct lw_model_record **items;
	size_t count;
	size_t room;
};

struct lw_model {
	struct records kinds[LW_K8S__MAX];
	struct lw_bytemap objects; /* struct lw_model_record */
	struct lw_bytemap lists; /* struct lw_model_list */
	size_t empty_lists;
	uint64_t version, shape;
	struct lw_model_record *newest; /* of the objects changed in place */
	size_t links[INDEX__MAX]; /* how many there are: most models have no orphans, and no extras
				   */
};

#define MAX_PARTS 6
struct key {
	struct lw_bytes parts[MAX_PARTS];
	size_t n;
	unsigned char tag[2];
};

static void key_start(struct key *key, enum index_kind index, unsigned int sub)
{
	key->tag[0] = (unsigned char)index;
	key->tag[1] = (unsigned char)sub;
	key->parts[0] = (struct lw_bytes){ key->tag, sizeof(key->tag) };
	key->n = 1;
}

static void key_add(struct key *key, const char *s)
{
	assert(key->n < MAX_PARTS);
	key->parts[key->n++] = (struct lw_bytes){ s, strlen(s) };
}

static void object_key(struct key *key, enum lw_k8s_kind kind, const char *ns, const char *name)
{
	key_start(key, INDEX_OBJECT, kind);
	key_add(key, ns);
	key_add(key, name);
}

static void owned_key(struct key *key, enum lw_k8s_kind kind, const char *ns, const char *group,
		      const char *owner_kind, const char *name)
{
	key_start(key, INDEX_OWNED, kind);
	key_add(key, ns);
	key_add(key, group);
	key_add(key, owner_kind);
	key_add(key, name);
}

static void labelled_key(struct key *key, const char *ns, const char *label, const char *value)
{
	key_start(key, INDEX_LABELLED, 0);
	key_add(key, ns);
	key_add(key, label);
	key_add(key, value);
}

static void name_key(struct key *key, enum index_kind index, const char *ns, const char *name)
{
	key_start(key, index, 0);
	key_add(key, ns);
	key_add(key, name);
}

static void address_key(struct key *key, const struct lw_addr *addr)
{
	key_start(key, INDEX_ADDRESS, 0);
	key->parts[key->n++] = (struct lw_bytes){ addr, sizeof(*addr) };
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

static bool free_list(void *value, void *arg)
{
	(void)arg;
	free(value);
	return false;
}

void lw_model_free(struct lw_model **model)
{
	if (!*model)
		return;
	for (size_t kind = 0; kind < LW_K8S__MAX; kind++) {
		struct records *records = &(*model)->kinds[kind];

		for (size_t i = 0; i < records->count; i++)
			free_record(records->items[i]);
		free(records->items);
	}
	lw_bytemap_filter(&(*model)->lists, free_list, NULL);
	lw_bytemap_clear(&(*model)->lists);
	lw_bytemap_clear(&(*model)->objects);
	free(*model);
	*model = NULL;
}

/* ---- links ---- */

/* The list of the key, made if need be; NULL when out of memory. */
static struct lw_model_list *get_list(struct lw_model *model, const struct key *key)
{
	struct lw_model_list *list = lw_bytemap_get(&model->lists, key->parts, key->n);

	if (list)
		return list;
	list = calloc(1, sizeof(*list));
	if (!list)
		return NULL;
	if (lw_bytemap_put(&model->lists, key->parts, key->n, list) < 0) {
		free(list);
		return NULL;
	}
	list->index = (enum index_kind)key->tag[0];
	model->empty_lists++;
	return list;
}

/* Names the list; lw_model_link is put in by link_all(). */
static int prepare(struct lw_model *model, struct lw_model_record *record, const struct key *key)
{
	struct lw_model_list *list = get_list(model, key);

	if (!list)
		return -ENOMEM;
	record->links[record->nlinks++] = (struct lw_model_link){
		.list = list, .record = record, .object = record->object, .pod = &record->pod
	};
	return 0;
}

static void contest(struct lw_model_list *list)
{
	for (struct lw_model_link *link = list->head; link; link = link->next)
		link->record->pod.contested = true;
}

static void link_all(struct lw_model *model, struct lw_model_record *record)
{
	for (size_t i = 0; i < record->nlinks; i++) {
		struct lw_model_link *link = &record->links[i];

		link->next = link->list->head;
		if (link->next)
			link->next->prev = link;
		link->list->head = link;
		model->links[link->list->index]++;
		if (link->list->count++ == 0)
			model->empty_lists--;
		else if (link->list->index == INDEX_ADDRESS)
			contest(link->list);
	}
}

static bool list_in_use(void *value, void *arg)
{
	struct lw_model_list *list = value;

	(void)arg;
	if (list->count > 0)
		return true;
	free(list);
	return false;
}

static void unlink_all(struct lw_model *model, struct lw_model_record *record)
{
	for (size_t i = 0; i < record->nlinks; i++) {
		struct lw_model_link *link = &record->links[i];

		if (link->prev)
			link->prev->next = link->next;
		else
			link->list->head = link->next;
		if (link->next)
			link->next->prev = link->prev;
		model->links[link->list->index]--;
		if (--link->list->count == 0)
			model->empty_lists++;
	}
	record->nlinks = 0;
}

/* Lists are kept when they run empty, as most are filled again; not for ever. */
static void sweep(struct lw_model *model)
{
	if (model->empty_lists < 1024 || model->empty_lists < model->lists.count / 2)
		return;
	lw_bytemap_filter(&model->lists, list_in_use, NULL);
	model->empty_lists = 0;
}

/* `web-7d4b9` of a pod labelled pod-template-hash=7d4b9 is of Deployment `web`. Length of that, or
 * 0. */
static size_t deployment_name_len(const struct lw_k8s_meta *pod)
{
	const char *hash = lw_k8s_pairs_get(&pod->labels, "pod-template-hash");
	size_t len = strlen(pod->owner.name), hash_len;

	if (!hash || strcmp(pod->owner.kind, "ReplicaSet") != 0)
		return 0;
	hash_len = strlen(hash);
	if (hash_len == 0 || len < hash_len + 2 || pod->owner.name[len - hash_len - 1] != '-' ||
	    strcmp(pod->owner.name + len - hash_len, hash) != 0)
		return 0;
	return len - hash_len - 1;
}

static int prepare_pod(struct lw_model *model, struct lw_model_record *record)
{
	const struct lw_k8s_meta *meta = &record->object->meta;
	struct key key;
	size_t len;
	int r;

	for (size_t i = 0; i < meta->labels.n; i++) {
		labelled_key(&key, meta->ns, meta->labels.items[i].key,
			     meta->labels.items[i].value);
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (record->object->pod.keep_out[0]) {
		name_key(&key, INDEX_KEPT_OUT, "", "");
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (record->object->pod.host_network) {
		name_key(&key, INDEX_HOST_NETWORK, "", "");
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (meta->owner.kind[0] == '\0') {
		name_key(&key, INDEX_ORPHANS, meta->ns, "");
		return prepare(model, record, &key);
	}
	len = deployment_name_len(meta);
	if (len > 0) {
		name_key(&key, INDEX_NAMED_AFTER, meta->ns, meta->owner.name);
		key.parts[key.n - 1].len = len;
		return prepare(model, record, &key);
	}
	return 0;
}

static int prepare_all(struct lw_model *model, struct lw_model_record *record)
{
	const struct lw_k8s_object *object = record->object;
	const struct lw_k8s_meta *meta = &object->meta;
	const struct lw_addr *ips = NULL;
	const char *extra_of;
	size_t nips = 0;
	struct key key;
	int r = 0;

	if (object->kind == LW_K8S_POD) {
		ips = object->pod.ips;
		nips = object->pod.nips;
	} else if (object->kind == LW_K8S_SERVICE) {
		ips = object->service.ips;
		nips = object->service.nips;
	}
	for (size_t i = 0; i < nips; i++) {
		address_key(&key, &ips[i]);
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}

	if (object->kind == LW_K8S_POD || object->kind == LW_K8S_REPLICA_SET) {
		owned_key(&key, object->kind, meta->ns, meta->owner.group, meta->owner.kind,
			  meta->owner.name);
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (object->kind == LW_K8S_POD)
		return prepare_pod(model, record);

	extra_of = object->kind == LW_K8S_DEPLOYMENT ? lw_model_extra_of(object) : NULL;
	if (extra_of) {
		name_key(&key, INDEX_EXTRAS, meta->ns, extra_of);
		r = prepare(model, record, &key);
	}
	return r;
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

static int records_room(struct records *records)
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
static void note_change(struct lw_model *model, struct lw_model_record *record, struct lw_model_record *old)
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
	struct records *records = &model->kinds[object->kind];
	struct lw_model_record *record = NULL, *old;
	size_t max_links = 6 + object->meta.labels.n;
	struct key key;

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
	object_key(&key, object->kind, object->meta.ns, object->meta.name);
	old = lw_bytemap_get(&model->objects, key.parts, key.n);
	if (prepare_all(model, record) < 0 || records_room(records) < 0 ||
	    lw_bytemap_put(&model->objects, key.parts, key.n, record) < 0) {
		free_record(record);
		return -ENOMEM;
	}

	object->record = record;
	note_change(model, record, old);
	if (old) {
		unlink_all(model, old);
		record->pod.index = old->pod.index;
		if (object->kind == LW_K8S_ROLLOUT)
			remember(record, old);
		free_record(old);
	} else {
		record->pod.index = records->count++;
	}
	records->items[record->pod.index] = record;
	link_all(model, record);
	sweep(model);
	return 0;
}

bool lw_model_remove(struct lw_model *model, enum lw_k8s_kind kind, const char *ns,
		     const char *name)
{
	struct records *records = &model->kinds[kind];
	struct lw_model_record *record;
	struct key key;

	object_key(&key, kind, ns, name);
	record = lw_bytemap_remove(&model->objects, key.parts, key.n);
	if (!record)
		return false;
	model->shape = ++model->version;
	forget_change(model, record);
	unlink_all(model, record);
	records->items[record->pod.index] = records->items[--records->count];
	records->items[record->pod.index]->pod.index = record->pod.index;
	free_record(record);
	sweep(model);
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

const struct lw_k8s_object *lw_model_changed_before(const struct lw_model *model, const struct lw_k8s_object *than,
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
	struct key key;

	object_key(&key, kind, ns, name);
	record = lw_bytemap_get(&model->objects, key.parts, key.n);
	return record ? record->object : NULL;
}

const struct lw_model_memory *lw_model_memory_of(const struct lw_model *model,
						 const struct lw_k8s_object *rollout)
{
	(void)model;
	return &rollout->record->memory;
}

const struct lw_model_pod *lw_model_pod_of(const struct lw_model *model, const struct lw_k8s_object *object)
{
	(void)model;
	return &object->record->pod;
}

const char *lw_model_extra_of(const struct lw_k8s_object *deployment)
{
	return lw_k8s_pairs_get(&deployment->meta.labels, EXTRA_LABEL);
}

static const struct lw_model_link *walk(const struct lw_model *model, const struct key *key,
					size_t *ret_count)
{
	const struct lw_model_list *list = NULL;

	if (model->links[key->tag[0]] > 0)
		list = lw_bytemap_get(&model->lists, key->parts, key->n);
	if (ret_count)
		*ret_count = list ? list->count : 0;
	return list ? list->head : NULL;
}

const struct lw_model_link *lw_model_owned(const struct lw_model *model, enum lw_k8s_kind kind,
					   const char *ns, const char *owner_group,
					   const char *owner_kind, const char *owner_name)
{
	struct key key;

	owned_key(&key, kind, ns, owner_group, owner_kind, owner_name);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_labelled(const struct lw_model *model, const char *ns,
					      const char *label, const char *value,
					      size_t *ret_count)
{
	struct key key;

	labelled_key(&key, ns, label, value);
	return walk(model, &key, ret_count);
}

const struct lw_model_link *lw_model_extras(const struct lw_model *model, const char *ns,
					    const char *deployment)
{
	struct key key;

	name_key(&key, INDEX_EXTRAS, ns, deployment);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_named_after(const struct lw_model *model, const char *ns,
						 const char *deployment)
{
	struct key key;

	name_key(&key, INDEX_NAMED_AFTER, ns, deployment);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_kept_out(const struct lw_model *model)
{
	struct key key;

	name_key(&key, INDEX_KEPT_OUT, "", "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_host_network(const struct lw_model *model)
{
	struct key key;

	name_key(&key, INDEX_HOST_NETWORK, "", "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_orphans(const struct lw_model *model, const char *ns)
{
	struct key key;

	name_key(&key, INDEX_ORPHANS, ns, "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_same_address(const struct lw_model *model,
						  const struct lw_k8s_object *object, size_t i)
{
	(void)model;
	/* Links of addresses come first. */
	return object->record->links[i].list->head;
}
