/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Checks and header blocks of entry rules. Internal to rules.c.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/rules.h"

#define LW_RULES_QUOTE_LEN 67
#define LW_RULES_BAGGAGE "baggage"

/* Formats err; always -EINVAL. */
__attribute__((format(printf, 3, 4))) int lw_rules_fail(char *err, size_t err_len,
							const char *format, ...);

/* A header line that is to be put on, or (value NULL) taken off a request; what: "header" and the like, for err. 0 or -EINVAL. */
int lw_rules_check_line(const char *what, const char *name, const char *value, char *err,
			size_t err_len);

/* lw_rules_check() but for what the regular expressions are. */
int lw_rules_check_uncompiled(const struct lw_rules_entry *entry, char *err, size_t err_len);

/* Lines under construction, a multiple of 8 bytes once padded. */
struct lw_rules_block {
	__u8 bytes[LW_BLOCK_LEN];
	size_t len; /* over LW_BLOCK_LEN: bytes does not hold it all */
	size_t last; /* offset behind the colon of the last line */
};
void lw_rules_block_add(struct lw_rules_block *block, const char *name, const char *value);
/* 0 or -EINVAL: it does not fit. */
int lw_rules_block_pad(struct lw_rules_block *block, char *err, size_t err_len);

/*
 * The line that makes a lane a member of the baggage, padded; room for it is behind the first `used` bytes of a block. The key is the
 * tag's header in small letters, the value the tag's, encoded. 0 or -EINVAL.
 */
int lw_rules_baggage_block(const char *tag_header, const char *tag_value, size_t used,
			   struct lw_rules_block *ret, char *err, size_t err_len);
/* The entry's own lines put a member with this key there. */
bool lw_rules_names_in_baggage(const struct lw_rules_entry *entry, const char *tag_header);

/* What an entry does to a request's lines. */
struct lw_rules_mods {
	struct lw_rules_block block;
	const char *remove[LW_MODS_REMOVE]; /* no two alike */
	size_t nremove;
};
/*
 * Fills *ret (may be NULL) for a lane whose tag has the given header and value; tag NULL: not known
 * yet. Names and values must have been checked. 0 or -EINVAL.
 */
int lw_rules_check_mods(const struct lw_rules_entry *entry, const struct lw_rules_mod *tag,
			struct lw_rules_mods *ret, char *err, size_t err_len);
