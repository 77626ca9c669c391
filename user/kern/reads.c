/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/reads.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kern/internal.h"
#include "lw_reads.skel.h"

#define LINKS_MAX 8
#define PIN LW_LINK_PIN "reads_"

struct lw_reads {
	struct lw_reads_bpf *skel;
	struct bpf_link *links[LINKS_MAX];
};

/* Where an answer is seen: one of these, the best first (bpf/hook_reads.h). */
static const char *const senders[] = { "lw_sends", "lw_sends_locked", "lw_sent" };
#define NSENDERS (sizeof(senders) / sizeof(senders[0]))

static int load(struct lw_kern *kern, struct lw_reads *reads, size_t sender)
{
	reads->skel = lw_reads_bpf__open();
	if (!reads->skel)
		return -errno;
	for (size_t i = 0; i < NSENDERS; i++)
		bpf_program__set_autoload(
			bpf_object__find_program_by_name(reads->skel->obj, senders[i]),
			i == sender);
	if (lw_kern_share_maps(kern, reads->skel->obj))
		return -EINVAL;
	return lw_reads_bpf__load(reads->skel);
}

static int pin(const struct lw_kern *kern, struct bpf_link *link, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/" PIN "%s", kern->pin_dir, name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return bpf_link__pin(link, path);
}

static int attach(struct lw_kern *kern, struct lw_reads *reads, size_t sender)
{
	struct bpf_program *prog;
	size_t n = 0;
	int r;

	bpf_object__for_each_program(prog, reads->skel->obj)
	{
		if (!bpf_program__autoload(prog))
			continue;
		if (n == LINKS_MAX)
			return -E2BIG;
		reads->links[n] = bpf_program__attach(prog);
		if (!reads->links[n])
			return -errno;
		r = pin(kern, reads->links[n], bpf_program__name(prog) + 3);
		if (r)
			return r;
		n++;
	}
	return lw_kern_note_attached(kern, "lw_reads (%zu tracing hooks, answers by %s)", n,
				     senders[sender]);
}

int lw_reads_start(struct lw_kern *kern, struct lw_reads **ret)
{
	_cleanup_(lw_reads_stop) struct lw_reads *reads = NULL;
	int r = 0;

	for (size_t i = 0; i < NSENDERS; i++) {
		reads = calloc(1, sizeof(*reads));
		if (!reads)
			return -ENOMEM;
		r = load(kern, reads, i);
		if (!r)
			r = attach(kern, reads, i);
		if (!r) {
			*ret = TAKE_PTR(reads);
			return 0;
		}
		lw_reads_stop(&reads);
		(void)lw_reads_unpin(kern);
	}
	/* whatever the kernel says of a hook it does not have */
	return r == -ENOMEM ? r : -EOPNOTSUPP;
}

int lw_reads_unpin(const struct lw_kern *kern)
{
	int r = lw_kern_unpin(kern->pin_dir, PIN);

	return r < 0 ? r : 0;
}

void lw_reads_stop(struct lw_reads **reads)
{
	if (!*reads)
		return;
	for (size_t i = 0; i < LINKS_MAX; i++)
		bpf_link__destroy((*reads)->links[i]);
	lw_reads_bpf__destroy((*reads)->skel);
	free(*reads);
	*reads = NULL;
}
