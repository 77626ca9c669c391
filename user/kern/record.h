/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What an agent leaves beside its pinned maps for the next one: who it is and how it can be asked, and what of its
 * kernel side can be used again. A map of its own, <pins>/agent, pinned last: where it is, all else is complete.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "kern/kern.h"

#define LW_RECORD_TESTS 64

struct lw_record {
	/* These stay where they are, whatever becomes of the rest: any build reads them of any other. */
	uint64_t build; /* lw_record_build(): of the kernel side */
	uint64_t cgroup; /* id of the one that the hooks are on */
	uint32_t pid;
	uint32_t pad;
	char socket[128]; /* the agent's control socket, as it sees it */
	/* Read where build is the same. */
	uint64_t program; /* of the whole executable: the self-tests need not run again where it is the same */
	uint32_t mode; /* enum lw_kern_mode */
	uint32_t keeps;
	uint32_t past; /* enum lw_past */
	uint32_t took_us; /* the self-tests */
	uint32_t ntests;
	struct {
		uint32_t ok;
		uint32_t keeps;
		uint32_t past;
		char name[32];
		char detail[160];
	} tests[LW_RECORD_TESTS];
};

/* Tells one build's kernel side from another's: its programs, and so the maps and what they hold. */
uint64_t lw_record_build(void);
/* Tells one executable from another; 0: it cannot be read. */
uint64_t lw_record_program(void);
/* 0 for one that is none. */
uint64_t lw_record_cgroup(const char *path);

/* Of the agent that pinned below dir. *ret_id: of the map itself. 0 or -errno; what another build's lacks is 0. */
int lw_record_read(const char *dir, struct lw_record *ret, uint32_t *ret_id);
/* Makes it, or writes the one that is there anew. 0 or -errno. */
int lw_record_write(const char *dir, const struct lw_record *record);

void lw_record_put_tests(struct lw_record *record, const struct lw_selftest_result *tests);
/* NULL: out of memory, or one of them is unknown. */
struct lw_selftest_result *lw_record_get_tests(const struct lw_record *record);
