/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pods that are left alone as clients, because their annotation says so.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "core/state_internal.h"

/* Of this node alone, and only while it may be found by its UID. */
static bool is_host_pod(const struct lw_state_builder *builder, const struct lw_model_link *l)
{
	return l->pod->host_network && l->pod->uid && builder->node_hash &&
	       l->pod->node == builder->node_hash;
}

/* Does its annotation keep it out? What is odd about it is told. */
static bool is_kept(const struct lw_model_link *l, lw_finding_cb cb, void *arg)
{
	const struct lw_k8s_meta *meta = &l->object->meta;
	const char *value = l->object->pod.keep_out, *why;

	if (l->pod->ended || strcmp(value, "false") == 0)
		return false;
	if (strcmp(value, "true") != 0)
		why = "expected \"true\" or \"false\"; it is not kept out";
	else if (l->pod->host_network && !l->pod->uid)
		why = "on the host network an address is not one pod's, and it has no uid; it is not kept out, see --keep-out";
	else
		return true;
	lw_finding_emit(cb, arg, LW_FINDING_WARNING,
			"%s%sPod %s/%s: metadata.annotations.laneway.io/keep-out: %s", meta->origin,
			meta->origin[0] ? ": " : "", meta->ns, meta->name, why);
	return false;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct lw_addr));
}

/* Sorts them, and takes away those that stand twice. How many are left. */
static size_t tidy(struct lw_addr *addrs, size_t n)
{
	size_t left = 0;

	if (n > 1)
		qsort(addrs, n, sizeof(*addrs), compare);
	for (size_t i = 0; i < n; i++)
		if (left == 0 || compare(&addrs[i], &addrs[left - 1]) != 0)
			addrs[left++] = addrs[i];
	return left;
}

int lw_state_kept_pods(const struct lw_state_builder *builder, const struct lw_model *model,
		       lw_finding_cb cb, void *arg, struct lw_addr **ret, size_t *ret_n)
{
	_cleanup_free_ struct lw_addr *addrs = NULL;
	size_t n = 0, room = 0;

	for (const struct lw_model_link *l = lw_model_kept_out(model); l; l = l->next)
		room += l->pod->nips + 1;
	addrs = calloc(room + 1, sizeof(*addrs));
	if (!addrs)
		return -ENOMEM;
	for (const struct lw_model_link *l = lw_model_kept_out(model); l; l = l->next) {
		if (!is_kept(l, cb, arg))
			continue;
		if (is_host_pod(builder, l))
			lw_host_pod_addr(&addrs[n++], l->pod->uid);
		for (size_t i = 0; i < l->pod->nips && !l->pod->host_network; i++)
			addrs[n++] = l->pod->ips[i];
	}
	n = tidy(addrs, n);
	if (n > LW_MAX_KEPT_PODS) {
		lw_finding_emit(
			cb, arg, LW_FINDING_ERROR,
			"annotation laneway.io/keep-out is on pods of %zu addresses, and %d can be kept out: the others' connections are steered",
			n, LW_MAX_KEPT_PODS);
		n = LW_MAX_KEPT_PODS;
	}
	*ret = TAKE_PTR(addrs);
	*ret_n = n;
	return 0;
}
