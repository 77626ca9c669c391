/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The store of model.h: model.c keeps the objects, model_index.c the lists that builds read. Included by these two only.
 */
#include "core/bytemap.h"
#include "core/model.h"

/* First part of every key, so that one map holds all lists. */
enum lw_model_index {
	LW_INDEX_OWNED,
	LW_INDEX_LABELLED,
	LW_INDEX_EXTRAS,
	LW_INDEX_NAMED_AFTER,
	LW_INDEX_KEPT_OUT,
	LW_INDEX_HOST_NETWORK,
	LW_INDEX_ORPHANS,
	LW_INDEX_ADDRESS,
	LW_INDEX__MAX,
};

/* Objects with one key. */
struct lw_model_list {
	struct lw_model_link *head;
	size_t count;
	enum lw_model_index index;
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

struct lw_model_records {
	struct lw_model_record **items;
	size_t count;
	size_t room;
};

struct lw_model {
	struct lw_model_records kinds[LW_K8S__MAX];
	struct lw_bytemap objects; /* struct lw_model_record */
	struct lw_bytemap lists; /* struct lw_model_list */
	size_t empty_lists;
	uint64_t version, shape;
	struct lw_model_record *newest; /* of the objects changed in place */
	size_t links[LW_INDEX__MAX]; /* how many there are: most models have no orphans, and no extras */
};

/* Names the lists that the record belongs in, made if need be; lw_model_link_all() puts it in. 0 or -ENOMEM. */
int lw_model_prepare(struct lw_model *model, struct lw_model_record *record);
void lw_model_link_all(struct lw_model *model, struct lw_model_record *record);
void lw_model_unlink_all(struct lw_model *model, struct lw_model_record *record);
/* Lists are kept when they run empty, as most are filled again; not for ever. */
void lw_model_sweep_lists(struct lw_model *model);
void lw_model_free_lists(struct lw_model *model);
