/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of objects by owner, label, name and address, so that a build never searches. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/model_internal.h"

#define EXTRA_LABEL "rollouts.kruise.io/canary-deployment"

#define MAX_PARTS 6
struct key {
	struct lw_bytes parts[MAX_PARTS];
	size_t n;
	unsigned char tag[2];
};

static void key_start(struct key *key, enum lw_model_index index, unsigned int sub)
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

static void owned_key(struct key *key, enum lw_k8s_kind kind, const char *ns, const char *group,
		      const char *owner_kind, const char *name)
{
	key_start(key, LW_INDEX_OWNED, kind);
	key_add(key, ns);
	key_add(key, group);
	key_add(key, owner_kind);
	key_add(key, name);
}

static void labelled_key(struct key *key, const char *ns, const char *label, const char *value)
{
	key_start(key, LW_INDEX_LABELLED, 0);
	key_add(key, ns);
	key_add(key, label);
	key_add(key, value);
}

static void name_key(struct key *key, enum lw_model_index index, const char *ns, const char *name)
{
	key_start(key, index, 0);
	key_add(key, ns);
	key_add(key, name);
}

static void address_key(struct key *key, const struct lw_addr *addr)
{
	key_start(key, LW_INDEX_ADDRESS, 0);
	key->parts[key->n++] = (struct lw_bytes){ addr, sizeof(*addr) };
}

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
	list->index = (enum lw_model_index)key->tag[0];
	model->empty_lists++;
	return list;
}

/* Names the list; lw_model_link is put in by lw_model_link_all(). */
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

void lw_model_link_all(struct lw_model *model, struct lw_model_record *record)
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
		else if (link->list->index == LW_INDEX_ADDRESS)
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

void lw_model_unlink_all(struct lw_model *model, struct lw_model_record *record)
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

void lw_model_sweep_lists(struct lw_model *model)
{
	if (model->empty_lists < 1024 || model->empty_lists < model->lists.count / 2)
		return;
	lw_bytemap_filter(&model->lists, list_in_use, NULL);
	model->empty_lists = 0;
}

static bool free_list(void *value, void *arg)
{
	(void)arg;
	free(value);
	return false;
}

void lw_model_free_lists(struct lw_model *model)
{
	lw_bytemap_filter(&model->lists, free_list, NULL);
	lw_bytemap_clear(&model->lists);
}

/* `web-7d4b9` of a pod labelled pod-template-hash=7d4b9 is of Deployment `web`. Length of that, or 0. */
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
		name_key(&key, LW_INDEX_KEPT_OUT, "", "");
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (record->object->pod.host_network) {
		name_key(&key, LW_INDEX_HOST_NETWORK, "", "");
		r = prepare(model, record, &key);
		if (r < 0)
			return r;
	}
	if (meta->owner.kind[0] == '\0') {
		name_key(&key, LW_INDEX_ORPHANS, meta->ns, "");
		return prepare(model, record, &key);
	}
	len = deployment_name_len(meta);
	if (len > 0) {
		name_key(&key, LW_INDEX_NAMED_AFTER, meta->ns, meta->owner.name);
		key.parts[key.n - 1].len = len;
		return prepare(model, record, &key);
	}
	return 0;
}

int lw_model_prepare(struct lw_model *model, struct lw_model_record *record)
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
		name_key(&key, LW_INDEX_EXTRAS, meta->ns, extra_of);
		r = prepare(model, record, &key);
	}
	return r;
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

	name_key(&key, LW_INDEX_EXTRAS, ns, deployment);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_named_after(const struct lw_model *model, const char *ns,
						 const char *deployment)
{
	struct key key;

	name_key(&key, LW_INDEX_NAMED_AFTER, ns, deployment);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_kept_out(const struct lw_model *model)
{
	struct key key;

	name_key(&key, LW_INDEX_KEPT_OUT, "", "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_host_network(const struct lw_model *model)
{
	struct key key;

	name_key(&key, LW_INDEX_HOST_NETWORK, "", "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_orphans(const struct lw_model *model, const char *ns)
{
	struct key key;

	name_key(&key, LW_INDEX_ORPHANS, ns, "");
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_at_address(const struct lw_model *model,
						const struct lw_addr *addr)
{
	struct key key;

	address_key(&key, addr);
	return walk(model, &key, NULL);
}

const struct lw_model_link *lw_model_same_address(const struct lw_model *model,
						  const struct lw_k8s_object *object, size_t i)
{
	(void)model;
	/* Links of addresses come first. */
	return object->record->links[i].list->head;
}
