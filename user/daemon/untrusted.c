/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/untrusted.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* Pods that "NAMESPACE/LABEL=VALUE" names; it has been checked: lw_state_untrusted_ok(). NULL also without memory. */
static const struct lw_model_link *pods_of(const struct lw_model *model, const char *text)
{
	const char *slash = strchr(text, '/'), *equals = strrchr(text, '=');
	_cleanup_free_ char *ns = strndup(text, (size_t)(slash - text));
	_cleanup_free_ char *key = strndup(slash + 1, (size_t)(equals - slash - 1));

	return ns && key ? lw_model_labelled(model, ns, key, equals + 1, NULL) : NULL;
}

void lw_untrusted_check(const struct lw_model *model, const char *const *list, lw_finding_cb cb,
			void *arg)
{
	for (; list && *list; list++) {
		const struct lw_k8s_object *first = NULL;
		size_t n = 0, kept = 0;

		for (const struct lw_model_link *l = pods_of(model, *list); l; l = l->next) {
			const struct lw_k8s_object *pod = l->object;

			n += !l->pod->ended;
			if (l->pod->ended || strcmp(pod->pod.keep_out, "true") != 0)
				continue;
			kept++;
			/* the same one each time, in whatever order they come */
			if (!first || strcmp(pod->meta.name, first->meta.name) < 0)
				first = pod;
		}
		if (!n)
			lw_finding_emit(cb, arg, LW_FINDING_WARNING,
					"--untrusted %s: no pod has this label", *list);
		if (kept)
			lw_finding_emit(
				cb, arg, LW_FINDING_WARNING,
				"--untrusted %s: annotation laneway.io/keep-out keeps %zu of its %zu pods out, such as %s/%s: forged tags on their requests are not taken off",
				*list, kept, n, first->meta.ns, first->meta.name);
	}
}

const struct lw_k8s_object *lw_untrusted_pod(const struct lw_model *model, const char *const *list,
					     const char *uid, const char **ret_text)
{
	for (; list && *list; list++) {
		for (const struct lw_model_link *l = pods_of(model, *list); l; l = l->next) {
			if (strcmp(l->object->meta.uid, uid) != 0)
				continue;
			*ret_text = *list;
			return l->object;
		}
	}
	return NULL;
}
