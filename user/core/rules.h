/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Entry rules as a decision list for the kernel: owns the tables lw_steps, lw_rules, lw_dfas,
 * lw_lanes, lw_tags and lw_names of one generation. What each match means is in docs/rules.md.
 * Pure.
 *
 * Use: lw_rules_new(), lw_rules_lane() for every lane, lw_rules_workload() for every workload,
 * lw_rules_finish(). Nothing passed in is kept: strings and arrays may go after each call.
 */
#include <stddef.h>
#include <stdint.h>

#include "laneway/abi.h"

struct lw_image;

struct lw_rules_cond {
	enum lw_subject subject; /* LW_SUBJECT_HEADER, _COOKIE, _QUERY, _PATH */
	enum lw_op op;
	const char *name; /* header, cookie or query parameter; ignored for the path */
	const char *value;
};

struct lw_rules_mod {
	const char *name;
	const char *value;
};

/* One alternative of several (OR); its conditions must all hold (AND). */
struct lw_rules_entry {
	const struct lw_rules_cond *conds;
	size_t nconds; /* 0: weight_pct decides */
	unsigned weight_pct; /* 0..100; ignored where nconds > 0 */
	uint16_t lane;
	const struct lw_rules_mod *set;
	size_t nset;
	const struct lw_rules_mod *add;
	size_t nadd;
	const char *const *remove;
	size_t nremove;
	const char
		*source; /* "TrafficRouting default/mse-traffic match 1"; cut to fit; NULL: empty */
};

struct lw_rules;

/* 0 or -ENOMEM. */
int lw_rules_new(struct lw_rules **ret);
/* Takes NULL; sets *rules to NULL. */
void lw_rules_free(struct lw_rules **rules);

/*
 * Lanes go on as members of the W3C baggage, too: their blocks get a line for it, and the names know the header. Before any lane
 * is declared. 0 or -ENOMEM.
 */
int lw_rules_use_baggage(struct lw_rules *rules);

/*
 * Declares a lane (1..LW_MAX_LANES - 1) and the header line that tags its requests. Again with the same
 * arguments: no effect. 0, -ENOMEM, or -EINVAL (err: one sentence): the tag is another lane's, the
 * lane has another tag, a name or value cannot stand in a header.
 */
int lw_rules_lane(struct lw_rules *rules, uint16_t lane, const char *lane_name,
		  const char *tag_header, const char *tag_value, char *err, size_t err_len);

/*
 * Appends the decision list of one workload: the first entry that holds wins. *ret_entry is for
 * lw_workload.entry, 0 if n is 0. The lanes must have been declared. 0, -ENOMEM, or -EINVAL: err is
 * one sentence saying what is wrong, and nothing was added.
 */
int lw_rules_workload(struct lw_rules *rules, const struct lw_rules_entry *entries, size_t n,
		      uint32_t *ret_entry, char *err, size_t err_len);

/*
 * All of lw_rules_workload() that can be said of one entry by itself: regular expressions, names,
 * values, lengths. 0 or -EINVAL (-ENOMEM).
 */
int lw_rules_check(const struct lw_rules_entry *entry, char *err, size_t err_len);

/* Writes the six tables. Once. 0, -ENOMEM, -E2BIG (a table is full). */
int lw_rules_finish(struct lw_rules *rules, struct lw_image *image);
