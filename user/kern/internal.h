/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/* What the files of kern/ know of each other. */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "kern/kern.h"
#include "kern/notice.h"
#include "lw_lanes.skel.h"

#define LW_KERN_LINKS 5
#define LW_KERN_ATTACHED 24

struct lw_kern {
	struct lw_lanes_bpf *skel;
	struct bpf_link *links[LW_KERN_LINKS];
	struct lw_config *config; /* mmapped */
	char *pin_dir;
	char *old_dir; /* what a killed agent may have pinned, until our first state is in force; NULL: nothing */
	bool fail_closed;
	char *bpffs_mounted; /* we mounted it */
	enum lw_kern_mode mode;
	struct lw_selftest_result *tests;
	uint32_t keeps, noticed; /* enum lw_keep: whom the mode would hurt, and who of them is noticed */
	struct lw_notice *notice;
	char *attached[LW_KERN_ATTACHED + 1];
	size_t nattached;
	struct lw_image *slots[2]; /* what is in each; NULL: nothing */
	uint64_t in_force_ns;
};

/*
 * Runs the self-tests. *ret: an array ending with a NULL name, for free(). *ret_keeps: enum lw_keep, clients that must
 * not be enrolled in this mode. 0 or -errno.
 */
int lw_selftest_run(struct lw_selftest_result **ret, enum lw_kern_mode *ret_mode, uint32_t *ret_keeps);

/* Takes away what an earlier agent has left, now that we decide. */
void lw_kern_end_old(struct lw_kern *kern);
int lw_kern_map_fd(const struct lw_kern *kern, enum lw_table_id table);
/* Adds to what lw_kern_attached() says. */
int lw_kern_note_attached(struct lw_kern *kern, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Runs one of the programs of agent_calls.h. Its return value, or -errno. */
int lw_kern_call(const struct bpf_program *prog, void *args, size_t size);
