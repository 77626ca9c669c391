/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../harness/yaml_model.h"
#include "core/pod_label.h"

static void what_is_one(void **state)
{
	static const struct {
		const char *text, *ns, *key, *value; /* ns NULL: it is none */
	} rows[] = {
		{ "a/b=c", "a", "b", "c" },	{ "a/example.org/b=", "a", "example.org/b", "" },
		{ "a/b=c=d", "a", "b=c", "d" }, { "a/b", NULL, NULL, NULL },
		{ "/b=c", NULL, NULL, NULL },	{ "a/=c", NULL, NULL, NULL },
		{ "b=c", NULL, NULL, NULL },	{ "a=b/c", NULL, NULL, NULL },
		{ "", NULL, NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lw_pod_label label;

		assert_int_equal(lw_pod_label_parse(rows[i].text, &label),
				 rows[i].ns ? 0 : -EINVAL);
		if (rows[i].ns) {
			assert_string_equal(label.ns, rows[i].ns);
			assert_string_equal(label.key, rows[i].key);
			assert_string_equal(label.value, rows[i].value);
		}
		lw_pod_label_clear(&label);
		assert_null(label.ns);
	}
}

static void which_pods(void **state)
{
	struct lw_pod_label label;
	struct lw_model *model;
	size_t n = 0;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	assert_int_equal(lw_pod_label_parse("edge/role=gateway", &label), 0);
	lw_test_load(
		model,
		"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: edge, labels: {role: gateway}}}\n---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: b, namespace: edge, labels: {role: gateway}}}\n---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: c, namespace: edge, labels: {role: other}}}\n---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: d, labels: {role: gateway}}}",
		NULL);
	for (const struct lw_model_link *l = lw_pod_label_pods(&label, model); l; l = l->next, n++)
		assert_true(lw_pod_label_names(&label, l->object));
	assert_int_equal(n, 2);
	for (size_t i = 0; i < lw_model_count(model, LW_K8S_POD); i++)
		n -= lw_pod_label_names(&label, lw_model_at(model, LW_K8S_POD, i));
	assert_int_equal(n, 0);
	lw_pod_label_clear(&label);
	lw_model_free(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_one),
		cmocka_unit_test(which_pods),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
