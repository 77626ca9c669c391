/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/findings.h"
#include "daemon/json.h"

static void test_reading_takes_anything(void **state)
{
	static const char *const inputs[] = { "{}",   "[]",	      "1",	   "\"x\"",
					      "null", "{\"k\":null}", "{\"k\":{}}" };

	(void)state;
	for (size_t i = 0; i < sizeof(inputs) / sizeof(*inputs); i++) {
		_cleanup_json_ struct json_object *o = json_tokener_parse(inputs[i]);

		assert_string_equal(lw_json_str(o, "k"), "");
		assert_int_equal(lw_json_int(o, "k"), 0);
		assert_false(lw_json_bool(o, "k"));
		assert_int_equal(lw_json_len(o), 0);
		assert_null(lw_json_at(o, 0));
	}
}

static void test_round_trip(void **state)
{
	_cleanup_json_ struct json_object *o = lw_json_new_object(NULL, NULL), *back = NULL;
	struct json_object *array = lw_json_new_array(o, "a");

	(void)state;
	lw_json_add_str(array, NULL, "plain");
	lw_json_add_str(array, NULL, "bad \xff\xc3 end");
	lw_json_add_int(o, "n", INT64_MIN);
	lw_json_add_bool(o, "b", true);
	back = json_tokener_parse(json_object_to_json_string(o));
	assert_non_null(back);
	array = lw_json_get(back, "a");
	assert_int_equal(lw_json_len(array), 2);
	assert_string_equal(json_object_get_string(lw_json_at(array, 0)), "plain");
	assert_string_equal(json_object_get_string(lw_json_at(array, 1)),
			    "bad \xef\xbf\xbd\xef\xbf\xbd end");
	assert_true(lw_json_int(back, "n") == INT64_MIN);
	assert_true(lw_json_bool(back, "b"));
}

static void test_findings(void **state)
{
	_cleanup_json_ struct json_object *array = lw_json_new_array(NULL, NULL);
	struct lw_findings findings = {}, forgotten = {};
	char text[32] = "a.yaml:1: wrong";

	(void)state;
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, text }, &findings);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, text }, &findings);
	lw_findings_add(&(struct lw_finding){ LW_FINDING_WARNING, text }, &findings);
	assert_int_equal(findings.count, 2);
	assert_int_equal(findings.errors, 1);
	assert_int_equal(findings.warnings, 1);
	memset(text, 'x', 4); /* the texts are copies */
	lw_findings_json(&findings, array);
	assert_string_equal(lw_json_str(lw_json_at(array, 0), "text"), "a.yaml:1: wrong");
	assert_string_equal(lw_json_str(lw_json_at(array, 0), "severity"), "error");
	assert_string_equal(lw_json_str(lw_json_at(array, 1), "severity"), "warning");

	lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, "b.yaml:1: wrong" }, &findings);
	lw_findings_forget(&findings, "a.yaml:", &forgotten);
	assert_int_equal(findings.count, 1);
	assert_int_equal(findings.errors, 1);
	assert_int_equal(findings.warnings, 0);
	assert_string_equal(findings.items[0].text, "b.yaml:1: wrong");
	assert_int_equal(forgotten.count, 2);
	lw_findings_clear(&forgotten);

	for (int i = 0; i < 2 * LW_FINDINGS_MAX; i++) {
		(void)snprintf(text, sizeof(text), "f%d", i);
		lw_findings_add(&(struct lw_finding){ LW_FINDING_ERROR, text }, &findings);
	}
	assert_int_equal(findings.count, LW_FINDINGS_MAX);
	assert_int_equal(findings.errors, 1 + 2 * LW_FINDINGS_MAX);
	lw_findings_clear(&findings);
	assert_int_equal(findings.count, 0);
	assert_int_equal(findings.errors, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reading_takes_anything),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_findings),
	};

	return !!cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
