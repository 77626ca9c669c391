/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Label selectors as a request's labelSelector= says them. Terms are sorted: what selects the same has the same text.
 */
#include "core/k8s.h"

struct json_object;

/* A metav1.LabelSelector. To be freed; NULL: it selects nothing, is none, or there is no memory. */
char *lw_selector_of_json(struct json_object *selector);
/* A Service's, without the labels by which Rollouts pins it to one revision. As above. */
char *lw_selector_of_service(const struct lw_k8s_pairs *pairs);
