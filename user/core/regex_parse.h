/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The syntax tree of a regular expression. Internal to regex.c.
 */
#include <stddef.h>
#include <stdint.h>

struct lw_regex_set;

#define LW_REGEX_NONE UINT32_MAX
#define LW_REGEX_INF UINT16_MAX

enum lw_regex_kind {
	LW_REGEX_SET, /* one byte out of sets[set] */
	LW_REGEX_BOL,
	LW_REGEX_EOL,
	LW_REGEX_CAT, /* children */
	LW_REGEX_ALT, /* children */
	LW_REGEX_REPEAT, /* one child, min to max times */
};

struct lw_regex_node {
	uint8_t kind; /* enum lw_regex_kind */
	uint16_t set;
	uint16_t min;
	uint16_t max; /* LW_REGEX_INF: no end */
	uint32_t last; /* last child; LW_REGEX_NONE: no child */
	uint32_t prev; /* the child before this one */
};

struct lw_regex_tree {
	struct lw_regex_node *nodes;
	size_t nnodes;
	size_t nodes_size;
	struct lw_regex_set *sets; /* no two alike */
	size_t nsets;
	size_t sets_size;
	uint32_t root;
};

/* 0, -EINVAL (err: one clause) or -ENOMEM. The caller frees *tree, zeroed before, in any case. */
int lw_regex_parse(const char *pattern, struct lw_regex_tree *tree, char *err, size_t err_len);
void lw_regex_tree_free(struct lw_regex_tree *tree);
