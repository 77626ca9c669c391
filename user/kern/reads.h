/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* The hooks that tell what each thread is at work on: bpf/hook_reads.h. */

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
/* Takes NULL; sets *reads to NULL. */
void lw_reads_stop(struct lw_reads **reads);
