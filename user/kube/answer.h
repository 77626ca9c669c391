/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* A small answer of an API server, collected whole. */
#include <stddef.h>

#define LW_ANSWER_MAX (256 << 10) /* bytes */

struct lw_answer {
	long status; /* 0: none yet */
	char *text; /* ends with NUL; NULL: nothing came */
	size_t len;
};

/* 0, -EMSGSIZE or -ENOMEM: what a callback of struct lw_http_callbacks then returns. */
int lw_answer_add(struct lw_answer *answer, const char *data, size_t len);
/* For another answer. The memory of text stays. */
void lw_answer_begin(struct lw_answer *answer);
void lw_answer_free(struct lw_answer *answer);
