/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Does a new version of an object leave the shape of a model as it was? See model.h.
 */
#include <stdbool.h>

#include "core/k8s.h"

/* Two versions of one object. */
bool lw_model_same_shape(const struct lw_k8s_object *a, const struct lw_k8s_object *b);
