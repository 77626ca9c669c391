/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pod_label.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int lw_pod_label_parse(const char *text, struct lw_pod_label *ret)
{
	const char *slash = strchr(text, '/'), *equals = strrchr(text, '=');

	*ret = (struct lw_pod_label){};
	if (!slash || slash == text || !equals || equals <= slash + 1)
		return -EINVAL;
	ret->ns = strndup(text, (size_t)(slash - text));
	ret->key = strndup(slash + 1, (size_t)(equals - slash - 1));
	ret->value = strdup(equals + 1);
	if (ret->ns && ret->key && ret->value)
		return 0;
	lw_pod_label_clear(ret);
	return -ENOMEM;
}

void lw_pod_label_clear(struct lw_pod_label *label)
{
	free(label->ns);
	free(label->key);
	free(label->value);
	*label = (struct lw_pod_label){};
}

bool lw_pod_label_names(const struct lw_pod_label *label, const struct lw_k8s_object *pod)
{
	const char *value = lw_k8s_pairs_get(&pod->meta.labels, label->key);

	return value && strcmp(value, label->value) == 0 && strcmp(pod->meta.ns, label->ns) == 0;
}

const struct lw_model_link *lw_pod_label_pods(const struct lw_pod_label *label,
					      const struct lw_model *model)
{
	return lw_model_labelled(model, label->ns, label->key, label->value, NULL);
}
