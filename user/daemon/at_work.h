/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Which processes of a pod are at work on a request, and which are kept out: of those that the programs know, the ones in whose network
 * namespace the pod's address is. All of it is read from /proc when it is asked for.
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

/* A process there that lives and is kept out: "nginx[12] (name)". False: none is known. */
bool lw_at_work_kept(struct lw_kern *kern, const struct lw_addr *at, char *text, size_t size);
/* 0 or -ENOMEM. */
int lw_at_work_find(const struct lw_kern *kern, const struct lw_addr *at, struct lw_at_work *ret);
