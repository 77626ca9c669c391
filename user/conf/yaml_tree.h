/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * YAML and JSON text as trees of json-c objects that remember their lines. Scalars mean what they
 * mean to Kubernetes (sigs.k8s.io/yaml): YAML 1.1 booleans and numbers, no dates, no base 60; `<<`
 * merges. A document that cannot be read does not keep the others of its text from being read.
 */
#include <stddef.h>

struct json_object;

#define LW_TREE_DEPTH_MAX 256
/* Nodes that all aliases of a document may stand for together. More: an error. */
#define LW_TREE_ALIAS_NODES_MAX 1000000

struct lw_tree_document {
	size_t number; /* from 1 */
	unsigned int line; /* where it begins, or what error is about */
	struct json_object
		*root; /* NULL: empty, null, or an error; lw_tree's, take a reference to keep it */
	const char *error; /* NULL: none */
};
/* Returning non-zero ends the reading. */
typedef int (*lw_tree_cb)(const struct lw_tree_document *document, void *arg);

/* Hands every document to cb. What cb returned, 0, or -ENOMEM. */
int lw_yaml_each(const char *text, size_t len, lw_tree_cb cb, void *arg);
/* The same for JSON: one value, or several one after the other. */
int lw_json_each(const char *text, size_t len, lw_tree_cb cb, void *arg);

/* Line of a value in a tree of this module; 0 for NULL, which null is. */
unsigned int lw_tree_line(struct json_object *value);
