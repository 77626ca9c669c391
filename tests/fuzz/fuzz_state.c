/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the text of a state folder's file, YAML, or JSON if it starts with '{': read and kept in a
 * model, of which an image is built if anything is in it. Nothing may crash or leak, a finding is one line, and what the image refers to is in
 * it. Building takes several times as long as all else, so one in EACH, by a hash of the bytes, is built after its first object, its
 * second, fourth, and so on, and twice in the end; with FUZZ_ALL set each is, and after every object. A build that follows another makes the
 * same as one from nothing.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/objects.h"
#include "conf/yaml_tree.h"
#include "core/image.h"
#include "core/model.h"

#include "../harness/twin.h"

#define BUILDS_MAX 32
#define EACH 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
	struct lw_model *model;
	struct lw_twin *twin;
	unsigned int objects;
	bool often, all;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	(void)arg;
	require(*finding->text && !strchr(finding->text, '\n'));
}

static int on_object(struct lw_k8s_object *object, void *arg)
{
	struct run *run = arg;
	int r = lw_model_upsert(run->model, object);

	run->objects += r == 0;
	if (r == 0 && run->often && run->objects <= BUILDS_MAX &&
	    (run->all || !(run->objects & (run->objects - 1))))
		require(!lw_twin_build(run->twin, run->objects % 2, NULL));
	return r;
}

static int on_document(const struct lw_tree_document *document, void *arg)
{
	const struct lw_objects_reader reader = {
		.file = "fuzz.yaml",
		.document = document->number,
		.finding = on_finding,
		.object = on_object,
		.arg = arg,
	};

	if (document->error)
		return 0;
	return lw_objects_read(&reader, document->root, document->line);
}

static const void *by_id(const struct lw_image *image, enum lw_table_id table, uint32_t id)
{
	struct lw_slot_key key = { .id = id };

	return lw_image_get(image, table, &key);
}

static bool leads_somewhere(const struct lw_image *image, uint32_t to)
{
	if (to == LW_STEP_END)
		return true;
	return to & LW_STEP_ENTER ? by_id(image, LW_TABLE_RULES, to & ~LW_STEP_ENTER) != NULL :
				    by_id(image, LW_TABLE_STEPS, to) != NULL;
}

static void check_image(const struct lw_image *image)
{
	require(by_id(image, LW_TABLE_NAMES, 0) != NULL);
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_DESTS); i++) {
		const struct lw_dest *dest = lw_image_value(image, LW_TABLE_DESTS, i);

		require(by_id(image, LW_TABLE_WORKLOADS, dest->workload) != NULL);
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_PODS); i++) {
		const struct lw_pod *pod = lw_image_value(image, LW_TABLE_PODS, i);

		require(!pod->lane || pod->lane < LW_MAX_LANES);
		require(memchr(pod->name, 0, sizeof(pod->name)) != NULL);
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_WORKLOADS); i++) {
		const struct lw_workload *w = lw_image_value(image, LW_TABLE_WORKLOADS, i);

		require(leads_somewhere(image, w->entry));
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_GROUPS); i++) {
		const struct lw_group_key *key = lw_image_key(image, LW_TABLE_GROUPS, i);
		const struct lw_group *group = lw_image_value(image, LW_TABLE_GROUPS, i);

		require(group->local <= group->count);
		for (uint32_t k = 0; k < group->count; k++) {
			struct lw_endpoint_key ek = { .group = key->group,
						      .lane = key->lane,
						      .idx = k };

			require(lw_image_get(image, LW_TABLE_ENDPOINTS, &ek) != NULL);
		}
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_STEPS); i++) {
		const struct lw_step *step = lw_image_value(image, LW_TABLE_STEPS, i);

		require(leads_somewhere(image, step->on_match) &&
			leads_somewhere(image, step->on_miss));
		require(step->op != LW_OP_REGEX || by_id(image, LW_TABLE_DFAS, step->dfa) != NULL);
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_RULES); i++) {
		const struct lw_rule *rule = lw_image_value(image, LW_TABLE_RULES, i);

		require(by_id(image, LW_TABLE_LANES, rule->lane) != NULL);
		require(rule->block_len % 8 == 0 && rule->block_len <= LW_BLOCK_LEN);
	}
}

static bool is_built_often(const uint8_t *data, size_t size)
{
	uint32_t hash = 2166136261;

	for (size_t i = 0; i < size; i++)
		hash = (hash ^ data[i]) * 16777619;
	return (hash >> 8) % EACH == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run run = { .all = getenv("FUZZ_ALL") != NULL };
	int r;

	require(lw_model_new(&run.model) == 0);
	run.often = run.all || is_built_often(data, size);
	run.twin = lw_twin_new(run.model, size % 2);
	r = size && data[0] == '{' ? lw_json_each((const char *)data, size, on_document, &run) :
				     lw_yaml_each((const char *)data, size, on_document, &run);
	require(r == 0 || r == -ENOMEM);
	for (unsigned i = 0; i < (run.often ? 2 : run.objects > 0); i++) {
		require(!lw_twin_build(run.twin, true, NULL));
		check_image(lw_twin_image(run.twin));
	}
	lw_twin_free(run.twin);
	lw_model_free(&run.model);
	return 0;
}
