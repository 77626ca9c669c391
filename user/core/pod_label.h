/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * "NAMESPACE/LABEL=VALUE": pods by one label, as --untrusted names them. Labels have slashes, values no equals sign.
 */
#include <stdbool.h>

#include "core/model.h"

struct lw_pod_label {
	char *ns, *key, *value;
};

/* 0, -EINVAL (it is none) or -ENOMEM; *ret is to be cleared if it is 0, and empty if not. */
int lw_pod_label_parse(const char *text, struct lw_pod_label *ret);
/* Takes an empty one. */
void lw_pod_label_clear(struct lw_pod_label *label);
bool lw_pod_label_names(const struct lw_pod_label *label, const struct lw_k8s_object *pod);
/* All that it names, those that have ended too. */
const struct lw_model_link *lw_pod_label_pods(const struct lw_pod_label *label,
					      const struct lw_model *model);
