/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Findings that hold, kept for status. At most LW_FINDINGS_MAX are listed; the rest are counted only.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/bytemap.h"
#include "core/finding.h"

/* Those of some 240 objects that have all they may have: one team's shall not hide another's. */
#define LW_FINDINGS_MAX 4096
/* So many are known: one that is found again is not counted again, and one that is forgotten counts no more. The rest count until any is forgotten. */
#define LW_FINDINGS_KNOWN (4 * LW_FINDINGS_MAX)

struct json_object;

struct lw_findings {
	struct lw_finding *items; /* texts are owned */
	size_t count, known; /* the first ones are listed */
	struct lw_bytemap by_text; /* of them */
	size_t errors, warnings; /* in all */
	size_t unknown_errors, unknown_warnings; /* those of them that are not known */
};

/* A lw_finding_cb; arg is the struct lw_findings. One that is there already is not added again. */
void lw_findings_add(const struct lw_finding *finding, void *arg);
bool lw_findings_has(const struct lw_findings *findings, const struct lw_finding *finding);
/* Moves those whose texts begin with prefix: they hold no longer. Others are listed in their place. */
void lw_findings_forget(struct lw_findings *findings, const char *prefix,
			struct lw_findings *ret_forgotten);
/* Empties; a zeroed struct is empty too. */
void lw_findings_clear(struct lw_findings *findings);
/* Logs those that are not in before (may be NULL), each as an error or a warning. */
void lw_findings_log(const struct lw_findings *findings, const struct lw_findings *before);
/* How many there are that are not listed. */
size_t lw_findings_more(const struct lw_findings *findings);
/* [{"severity": "error", "text": "..."}, ...] onto array. */
void lw_findings_json(const struct lw_findings *findings, struct json_object *array);
