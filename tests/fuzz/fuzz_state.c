/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as the text of a state folder's file, YAML, or JSON if it starts with '{': read, kept in a
 * model, built twice. Nothing may crash or leak, a finding is one line, and what the image refers to is in it.
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
#include "core/regex.h"
#include "core/state_build.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

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
	return lw_model_upsert(arg, object);
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
			struct lw_endpoint_key ek = { .group = key->group, .lane = key->lane, .idx = k };

			require(lw_image_get(image, LW_TABLE_ENDPOINTS, &ek) != NULL);
		}
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_STEPS); i++) {
		const struct lw_step *step = lw_image_value(image, LW_TABLE_STEPS, i);

		require(leads_somewhere(image, step->on_match) && leads_somewhere(image, step->on_miss));
		require(step->op != LW_OP_REGEX || by_id(image, LW_TABLE_DFAS, step->dfa) != NULL);
	}
	for (size_t i = 0; i < lw_image_rows(image, LW_TABLE_RULES); i++) {
		const struct lw_rule *rule = lw_image_value(image, LW_TABLE_RULES, i);

		require(by_id(image, LW_TABLE_LANES, rule->lane) != NULL);
		require(rule->block_len % 8 == 0 && rule->block_len <= LW_BLOCK_LEN);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct lw_state_options options = { .node = "node-1" };
	struct lw_state_builder *builder = NULL;
	struct lw_model *model = NULL;
	struct lw_image *image;
	int r;

	require(lw_model_new(&model) == 0 && lw_state_builder_new(&options, &builder) == 0);
	r = size && data[0] == '{' ? lw_json_each((const char *)data, size, on_document, model) :
				     lw_yaml_each((const char *)data, size, on_document, model);
	require(r == 0 || r == -ENOMEM);
	for (unsigned i = 0; i < 2; i++) {
		struct lw_listing *listing = NULL;

		image = NULL;
		require(lw_state_build(builder, model, on_finding, NULL, &image) == 0);
		require(lw_state_list(builder, &listing) == 0);
		check_image(image);
		lw_image_free(&image);
		lw_listing_free(&listing);
	}
	lw_state_builder_free(&builder);
	lw_model_free(&model);
	return 0;
}
