/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/untrusted.h"

#include <string.h>

#include "base/cleanup.h"
#include "core/pod_label.h"

void lw_untrusted_check(const struct lw_model *model, const char *const *list, lw_finding_cb cb,
			void *arg)
{
	for (; list && *list; list++) {
		_cleanup_(lw_pod_label_clear) struct lw_pod_label label;
		const struct lw_k8s_object *first = NULL;
		size_t n = 0, kept = 0;

		/* without memory it is told the next time */
		if (lw_pod_label_parse(*list, &label) < 0)
			continue;
		for (const struct lw_model_link *l = lw_pod_label_pods(&label, model); l;
		     l = l->next) {
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
		_cleanup_(lw_pod_label_clear) struct lw_pod_label label;

		if (lw_pod_label_parse(*list, &label) < 0)
			continue;
		for (const struct lw_model_link *l = lw_pod_label_pods(&label, model); l;
		     l = l->next) {
			if (strcmp(l->object->meta.uid, uid) != 0)
				continue;
			*ret_text = *list;
			return l->object;
		}
	}
	return NULL;
}
