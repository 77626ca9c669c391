/* SPDX-License-Identifier: Apache-2.0 */
/* Ports that pods of one workload call the same and number differently. Of many names at many pods, too, in n log n. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/state_rows.h"

/* Nearly all workloads are so: every pod as its template has it. */
static bool all_agree(const struct lw_state_workload *workload)
{
	const struct lw_k8s_pod *first = workload->pods ? &workload->pods->object->pod : NULL;

	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		const struct lw_k8s_pod *other = &pod->object->pod;

		if (other->nnamed != first->nnamed)
			return false;
		for (size_t i = 0; i < other->nnamed; i++)
			if (other->named[i]->number != first->named[i]->number ||
			    strcmp(other->named[i]->name, first->named[i]->name) != 0)
				return false;
	}
	return true;
}

static int compare_ports(const void *a, const void *b)
{
	const struct lw_state_port *x = a, *y = b;
	int order = strcmp(x->name, y->name);

	return order ? order : (int)x->number - (int)y->number;
}

/* Keeps those whose names have several numbers. */
static size_t drop_agreed(struct lw_state_port *ports, size_t n)
{
	size_t kept = 0, next;

	for (size_t i = 0; i < n; i = next) {
		for (next = i + 1; next < n && strcmp(ports[next].name, ports[i].name) == 0;)
			next++;
		if (ports[i].number == ports[next - 1].number)
			continue;
		memmove(&ports[kept], &ports[i], (next - i) * sizeof(ports[0]));
		kept += next - i;
	}
	return kept;
}

/* Of a pod's names for one number the first has it. */
static int mark_taken(struct lw_state_port *ports, size_t n)
{
	struct lw_bytemap seen = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct lw_bytes key[] = { LW_BYTES_OF(ports[i].pod),
						LW_BYTES_OF(ports[i].number) };

		ports[i].taken = lw_bytemap_get(&seen, key, 2);
		if (!ports[i].taken)
			r = lw_bytemap_put(&seen, key, 2, &ports[i]);
	}
	lw_bytemap_clear(&seen);
	return r;
}

int lw_state_find_ports(struct lw_state *state, const struct lw_state_workload *workload,
			struct lw_state_port **ret, size_t *ret_n)
{
	struct lw_state_port *ports;
	size_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (all_agree(workload))
		return 0;
	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next)
		n += pod->object->pod.nnamed;
	ports = lw_arena_new_array(state->scratch, struct lw_state_port, n);
	if (!ports)
		return -ENOMEM;
	n = 0;
	for (const struct lw_state_pod *pod = workload->pods; pod; pod = pod->next) {
		for (size_t i = 0; i < pod->object->pod.nnamed; i++) {
			const struct lw_k8s_container_port *port = pod->object->pod.named[i];

			ports[n++] = (struct lw_state_port){ .name = port->name,
							     .pod = pod,
							     .number = port->number };
		}
	}
	if (n > 1)
		qsort(ports, n, sizeof(ports[0]), compare_ports);
	*ret = ports;
	*ret_n = drop_agreed(ports, n);
	return mark_taken(ports, *ret_n);
}
