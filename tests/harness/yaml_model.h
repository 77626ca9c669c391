/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * A model out of YAML in a test's source. Findings are kept as text, one a line.
 */
#include "core/finding.h"
#include "core/model.h"

struct lw_test_findings {
	char text[8192];
	size_t count;
};

/* A lw_finding_cb; arg: struct lw_test_findings. */
void lw_test_finding(const struct lw_finding *finding, void *arg);

/* Reads the documents as file "test.yaml" into the model. findings NULL: there must be none. */
void lw_test_load(struct lw_model *model, const char *yaml, struct lw_test_findings *findings);

/* The one object of the text. */
struct lw_k8s_object *lw_test_object(const char *yaml);
