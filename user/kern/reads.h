/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The hooks that tell what each thread is at work on: bpf/hook_reads.h. They are pinned and outlive a killed agent: what stands in the
 * counts of a moment would count for ever, and what came behind it would not be seen.
 */

struct lw_kern;
struct lw_reads;

/*
 * Attaches them. 0; -EOPNOTSUPP where this kernel lacks one, and nothing is attached then; or another -errno. *ret is for
 * lw_reads_stop().
 */
int lw_reads_start(struct lw_kern *kern, struct lw_reads **ret);
/*
 * Tells them which connections the pods of this machine have accepted already. After the hook that notices new ones is
 * attached. 0 or -errno.
 */
int lw_reads_add_older(struct lw_kern *kern);
/* Lets go of them; what is pinned stays. Takes NULL; sets *reads to NULL. */
void lw_reads_stop(struct lw_reads **reads);
/* Takes those away that are pinned, an earlier agent's or our own. 0 or -errno. */
int lw_reads_unpin(const struct lw_kern *kern);
