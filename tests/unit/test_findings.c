/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/findings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

static void add(struct lw_findings *findings, enum lw_severity severity, size_t object, size_t i)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "Rollout shop/web-%zu: flaw %zu", object, i);
	lw_findings_add(&(struct lw_finding){ severity, text }, findings);
}

static bool has(const struct lw_findings *findings, size_t object, size_t i)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "Rollout shop/web-%zu: flaw %zu", object, i);
	return lw_findings_has(findings, &(struct lw_finding){ LW_FINDING_ERROR, text });
}

static void each_is_kept_once(void **state)
{
	struct lw_findings findings = {};

	(void)state;
	add(&findings, LW_FINDING_ERROR, 1, 1);
	add(&findings, LW_FINDING_ERROR, 1, 1);
	add(&findings, LW_FINDING_WARNING, 1, 1);
	assert_int_equal(findings.count, 2);
	assert_int_equal(findings.errors, 1);
	assert_int_equal(findings.warnings, 1);
	lw_findings_clear(&findings);
	assert_false(has(&findings, 1, 1));
}

/* What one object has is forgotten, and is no news if it is found again. */
static void those_of_an_object_are_forgotten(void **state)
{
	struct lw_findings findings = {}, forgotten = {};

	(void)state;
	for (size_t object = 1; object <= 3; object++)
		for (size_t i = 0; i < 3; i++)
			add(&findings, LW_FINDING_ERROR, object, i);
	lw_findings_forget(&findings, "Rollout shop/web-2: ", &forgotten);
	assert_int_equal(findings.count, 6);
	assert_int_equal(findings.errors, 6);
	assert_int_equal(forgotten.count, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(has(&findings, 1, i) && has(&findings, 3, i));
		assert_true(!has(&findings, 2, i) && has(&forgotten, 2, i));
	}
	add(&findings, LW_FINDING_ERROR, 2, 0);
	assert_true(has(&findings, 2, 0));
	assert_int_equal(findings.errors, 7);
	lw_findings_clear(&findings);
	lw_findings_clear(&forgotten);
}

/* A team with many bad objects, each at all it may have: the one bad object of another is there too. */
static void many_hide_no_other(void **state)
{
	struct lw_findings findings = {};

	(void)state;
	for (size_t object = 0; object < 200; object++)
		for (size_t i = 0; i <= LW_FINDINGS_EACH; i++)
			add(&findings, LW_FINDING_ERROR, object, i);
	add(&findings, LW_FINDING_ERROR, 1000, 0);
	assert_true(has(&findings, 1000, 0));
	for (size_t i = 0; i <= LW_FINDINGS_MAX; i++)
		add(&findings, LW_FINDING_ERROR, 2000, i);
	assert_int_equal(findings.count, LW_FINDINGS_MAX);
	assert_int_equal(findings.errors, 200 * (LW_FINDINGS_EACH + 1) + 1 + LW_FINDINGS_MAX + 1);
	lw_findings_clear(&findings);
}

/* An object that is read anew, and found as it was, changes no number, be there more of them than are listed; nor does what has been mended stay. */
static void what_is_not_listed_is_counted_once(void **state)
{
	struct lw_findings findings = {}, forgotten = {};
	size_t objects = LW_FINDINGS_MAX / LW_FINDINGS_EACH + 10,
	       errors = objects * LW_FINDINGS_EACH;
	char prefix[64];

	(void)state;
	for (size_t object = 0; object < objects; object++)
		for (size_t i = 0; i < LW_FINDINGS_EACH; i++)
			add(&findings, LW_FINDING_ERROR, object, i);
	for (int round = 0; round < 3; round++) {
		for (size_t object = 0; object < objects; object += objects - 1) {
			(void)snprintf(prefix, sizeof(prefix), "Rollout shop/web-%zu: ", object);
			lw_findings_forget(&findings, prefix, &forgotten);
			assert_int_equal(findings.errors, errors - LW_FINDINGS_EACH);
			assert_true(has(&forgotten, object, 0) && !has(&findings, object, 0));
			/* others are listed in its place */
			assert_int_equal(findings.count, LW_FINDINGS_MAX);
			for (size_t i = 0; i < LW_FINDINGS_EACH; i++)
				add(&findings, LW_FINDING_ERROR, object, i);
			lw_findings_clear(&forgotten);
		}
		assert_int_equal(findings.errors, errors);
		assert_int_equal(lw_findings_more(&findings), errors - LW_FINDINGS_MAX);
	}
	for (size_t object = 0; object < objects; object++) {
		(void)snprintf(prefix, sizeof(prefix), "Rollout shop/web-%zu: ", object);
		lw_findings_forget(&findings, prefix, &forgotten);
	}
	assert_int_equal(findings.errors, 0);
	assert_int_equal(lw_findings_more(&findings), 0);
	/* there is an end to what is known, and what is beyond it does not grow either */
	for (size_t i = 0; i < LW_FINDINGS_KNOWN + 10; i++)
		add(&findings, LW_FINDING_ERROR, 2000, i);
	assert_int_equal(findings.errors, LW_FINDINGS_KNOWN + 10);
	for (int round = 0; round < 3; round++) {
		lw_findings_forget(&findings, "Rollout shop/web-1: ", &forgotten);
		for (size_t i = 0; i < 10; i++)
			add(&findings, LW_FINDING_ERROR, 1, i);
		assert_int_equal(findings.errors, LW_FINDINGS_KNOWN + 10);
	}
	lw_findings_clear(&findings);
	lw_findings_clear(&forgotten);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_is_kept_once),
		cmocka_unit_test(those_of_an_object_are_forgotten),
		cmocka_unit_test(many_hide_no_other),
		cmocka_unit_test(what_is_not_listed_is_counted_once),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
