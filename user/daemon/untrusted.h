/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What is to be told of --untrusted: where it takes nothing off though somebody may rely on it.
 */
#include "core/finding.h"
#include "core/model.h"

/*
 * The labels that no pod has, most likely misspelt, and those with pods that are kept out by annotation. list: as lw_state_options
 * has it. Of a model that is complete.
 */
void lw_untrusted_check(const struct lw_model *model, const char *const *list, lw_finding_cb cb,
			void *arg);
/* The pod with this uid, if one of the list names it; NULL. *ret_text: which one. */
const struct lw_k8s_object *lw_untrusted_pod(const struct lw_model *model, const char *const *list,
					     const char *uid, const char **ret_text);
