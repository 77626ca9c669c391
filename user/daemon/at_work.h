/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which processes of a pod are at work on a request: of those that the programs know, the ones in whose network namespace
 * the pod's address is. All of it is read from /proc when it is asked for.
 */
#include "core/explain.h"

#define LW_AT_WORK_MAX 64

struct lw_kern;

struct lw_at_work {
	struct lw_explain_work work[LW_AT_WORK_MAX];
	size_t n; /* of these */
	size_t total; /* that there are */
	size_t nowhere; /* processes at work that are not in this /proc */
};

/* 0 or -ENOMEM. */
int lw_at_work_find(const struct lw_kern *kern, const struct lw_addr *at, struct lw_at_work *ret);
