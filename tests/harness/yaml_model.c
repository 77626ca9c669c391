/* SPDX-License-Identifier: Apache-2.0 */
#include "yaml_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "conf/objects.h"
#include "conf/yaml_tree.h"

struct loading {
	struct lw_model *model; /* NULL: keep the object in one */
	struct lw_k8s_object *one;
	struct lw_test_findings *findings;
};

void lw_test_finding(const struct lw_finding *finding, void *arg)
{
	struct lw_test_findings *findings = arg;
	size_t len = strlen(findings->text);

	findings->count++;
	(void)snprintf(findings->text + len, sizeof(findings->text) - len, "%s\n", finding->text);
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct loading *loading = arg;

	if (!loading->findings)
		fail_msg("%s", finding->text);
	lw_test_finding(finding, loading->findings);
}

static int on_object(struct lw_k8s_object *object, void *arg)
{
	struct loading *loading = arg;

	if (loading->model)
		return lw_model_upsert(loading->model, object);
	assert_null(loading->one);
	loading->one = object;
	return 0;
}

static int on_document(const struct lw_tree_document *document, void *arg)
{
	struct loading *loading = arg;
	const struct lw_objects_reader reader = {
		.file = "test.yaml",
		.document = document->number,
		.finding = on_finding,
		.object = on_object,
		.arg = loading,
	};

	if (document->error)
		fail_msg("test.yaml:%u: %s", document->line, document->error);
	return lw_objects_read(&reader, document->root, document->line);
}

void lw_test_load(struct lw_model *model, const char *yaml, struct lw_test_findings *findings)
{
	struct loading loading = { .model = model, .findings = findings };

	assert_int_equal(lw_yaml_each(yaml, strlen(yaml), on_document, &loading), 0);
}

struct lw_k8s_object *lw_test_object(const char *yaml)
{
	struct loading loading = {};

	assert_int_equal(lw_yaml_each(yaml, strlen(yaml), on_document, &loading), 0);
	assert_non_null(loading.one);
	return loading.one;
}
