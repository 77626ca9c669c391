/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/selector.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kube/member.h"

#define TERMS_MAX 64

struct terms {
	char *items[TERMS_MAX];
	size_t n;
	bool bad;
};

static int compare_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void add(struct terms *terms, char *term)
{
	if (!term || terms->n == TERMS_MAX) {
		free(term);
		terms->bad = true;
		return;
	}
	terms->items[terms->n++] = term;
}

static void add_equal(struct terms *terms, const char *key, const char *value)
{
	char *term;

	add(terms, asprintf(&term, "%s=%s", key, value) < 0 ? NULL : term);
}

/* The terms, joined by commas. Lets go of them. */
static char *join(struct terms *terms)
{
	char *text = NULL;
	size_t len = 1;

	qsort(terms->items, terms->n, sizeof(terms->items[0]), compare_text);
	for (size_t i = 0; i < terms->n; i++)
		len += strlen(terms->items[i]) + 1;
	if (!terms->bad && terms->n > 0)
		text = calloc(1, len);
	for (size_t i = 0; i < terms->n; i++) {
		if (text && i > 0)
			strcat(text, ",");
		if (text)
			strcat(text, terms->items[i]);
		free(terms->items[i]);
	}
	return text;
}

/* "key in (a,b)" */
static char *of_expression(struct json_object *expression)
{
	struct json_object *key = lw_kube_member(expression, "key", json_type_string);
	struct json_object *op = lw_kube_member(expression, "operator", json_type_string);
	struct json_object *values = lw_kube_member(expression, "values", json_type_array);
	_cleanup_free_ char *text = NULL;
	const char *k, *o;
	size_t size;
	FILE *f;

	if (!key || !op)
		return NULL;
	k = json_object_get_string(key);
	o = json_object_get_string(op);
	f = open_memstream(&text, &size);
	if (!f)
		return NULL;
	if (strcmp(o, "Exists") == 0) {
		(void)fputs(k, f);
	} else if (strcmp(o, "DoesNotExist") == 0) {
		(void)fprintf(f, "!%s", k);
	} else {
		(void)fprintf(f, "%s %s (", k, strcmp(o, "In") == 0 ? "in" : "notin");
		for (size_t i = 0; values && i < json_object_array_length(values); i++)
			(void)fprintf(f, "%s%s", i ? "," : "",
				      json_object_get_string(json_object_array_get_idx(values, i)));
		(void)fputc(')', f);
	}
	return fclose(f) == 0 ? TAKE_PTR(text) : NULL;
}

char *lw_selector_of_json(struct json_object *selector)
{
	struct json_object *labels = lw_kube_member(selector, "matchLabels", json_type_object);
	struct json_object *expressions =
		lw_kube_member(selector, "matchExpressions", json_type_array);
	struct terms terms = {};

	if (labels) {
		json_object_object_foreach(labels, key, value)
			add_equal(&terms, key, json_object_get_string(value));
	}
	for (size_t i = 0; expressions && i < json_object_array_length(expressions); i++)
		add(&terms, of_expression(json_object_array_get_idx(expressions, i)));
	return join(&terms);
}

char *lw_selector_of_service(const struct lw_k8s_pairs *pairs)
{
	struct terms terms = {};

	for (size_t i = 0; i < pairs->n; i++) {
		const char *key = pairs->items[i].key;

		if (strcmp(key, "pod-template-hash") != 0 &&
		    strcmp(key, "controller-revision-hash") != 0)
			add_equal(&terms, key, pairs->items[i].value);
	}
	return join(&terms);
}
