/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Builds the automaton over header names that the kernel programs run (include/laneway/names.h).
 * Pure.
 */
#include <stddef.h>

#include "laneway/abi.h"

struct lw_names_entry {
	const char *name;
	__u8 id; /* enum lw_header_id, not LW_HDR_OTHER */
};

/* Whether byte may stand in a header name. */
int lw_names_is_tchar(unsigned char byte);

/* In every set without being listed: what framing, cookies and traces need. */
#define LW_NAMES_FIXED 12
extern const struct lw_names_entry lw_names_fixed[LW_NAMES_FIXED];
/* The name of one of these with that id, or "baggage", in lower case; "" if there is none. */
const char *lw_names_name(unsigned id);
/* The name of the header of a lane's tag, as it is put on. */
void lw_names_tag(const struct lw_lane *lane, char ret[static LW_STEP_NAME_LEN + 1]);

/*
 * 0,
 * -EINVAL (an empty name, one that is no token, id 0), -EEXIST (one name, two ids) or -E2BIG (more
 * than LW_NAMES_STATES). *ret is undefined on failure.
 */
int lw_names_build(const struct lw_names_entry *entries, size_t n, struct lw_names *ret);
