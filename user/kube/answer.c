/* SPDX-License-Identifier: Apache-2.0 */
#include "kube/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lw_answer_add(struct lw_answer *answer, const char *data, size_t len)
{
	char *grown;

	if (answer->len + len > LW_ANSWER_MAX)
		return -EMSGSIZE;
	grown = realloc(answer->text, answer->len + len + 1);
	if (!grown)
		return -ENOMEM;
	answer->text = grown;
	memcpy(grown + answer->len, data, len);
	answer->len += len;
	grown[answer->len] = '\0';
	return 0;
}

void lw_answer_begin(struct lw_answer *answer)
{
	answer->status = 0;
	answer->len = 0;
	if (answer->text)
		*answer->text = '\0';
}

void lw_answer_free(struct lw_answer *answer)
{
	free(answer->text);
	*answer = (struct lw_answer){};
}
