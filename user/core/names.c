/* SPDX-License-Identifier: Apache-2.0 */
#include "core/names.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "laneway/names.h"

const struct lw_names_entry lw_names_fixed[] = {
	{ "content-length", LW_HDR_CONTENT_LENGTH },
	{ "transfer-encoding", LW_HDR_TRANSFER_ENCODING },
	{ "upgrade", LW_HDR_UPGRADE },
	{ "cookie", LW_HDR_COOKIE },
	{ "connection", LW_HDR_CONNECTION },
	{ "expect", LW_HDR_EXPECT },
	{ "traceparent", LW_HDR_TRACEPARENT },
	{ "b3", LW_HDR_B3 },
	{ "x-b3-traceid", LW_HDR_B3_TRACE_ID },
	{ "sw8", LW_HDR_SW8 },
	{ "uber-trace-id", LW_HDR_UBER_TRACE_ID },
	{ "x-request-id", LW_HDR_REQUEST_ID },
};
_Static_assert(sizeof(lw_names_fixed) / sizeof(lw_names_fixed[0]) == LW_NAMES_FIXED,
	       "LW_NAMES_FIXED");

const char *lw_names_name(unsigned id)
{
	for (size_t i = 0; i < LW_NAMES_FIXED; i++)
		if (lw_names_fixed[i].id == id)
			return lw_names_fixed[i].name;
	return id == LW_HDR_BAGGAGE ? "baggage" : "";
}

void lw_names_tag(const struct lw_lane *lane, char ret[static LW_STEP_NAME_LEN + 1])
{
	size_t len = 0;

	while (len < lane->block_len && len < LW_STEP_NAME_LEN && lane->block[len] != ':')
		len++;
	memcpy(ret, lane->block, len);
	ret[len] = '\0';
}

static unsigned char lower(unsigned char byte)
{
	return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

int lw_names_is_tchar(unsigned char byte)
{
	byte = lower(byte);
	return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') ||
	       (byte && strchr("!#$%&'*+-.^_`|~", byte));
}

static int add(struct lw_names *names, const struct lw_names_entry *entry, unsigned *nstates)
{
	const unsigned char *name = (const unsigned char *)entry->name;
	unsigned state = LW_NAMES_START;

	for (; *name; name++) {
		__u16 *next = &names->next[state * LW_NAMES_CLASSES + names->class_of[*name]];

		if (!*next) {
			if (*nstates == LW_NAMES_STATES)
				return -E2BIG;
			*next = (*nstates)++;
		}
		state = *next;
	}
	if (names->id_of[state] && names->id_of[state] != entry->id)
		return -EEXIST;
	names->id_of[state] = entry->id;
	return 0;
}

int lw_names_build(const struct lw_names_entry *entries, size_t n, struct lw_names *ret)
{
	unsigned nclasses = 2, nstates = LW_NAMES_START + 1;
	bool used[256] = {};
	int r;

	for (size_t i = 0; i < LW_NAMES_FIXED + n; i++) {
		const struct lw_names_entry *entry =
			i < LW_NAMES_FIXED ? &lw_names_fixed[i] : &entries[i - LW_NAMES_FIXED];
		const unsigned char *name = (const unsigned char *)entry->name;

		if (!*name || entry->id == LW_HDR_OTHER)
			return -EINVAL;
		for (; *name; name++) {
			if (!lw_names_is_tchar(*name))
				return -EINVAL;
			used[lower(*name)] = true;
		}
	}

	memset(ret, 0, sizeof(*ret));
	/* 51 token characters, letters of both cases counted once: they cannot outrun LW_NAMES_CLASSES. */
	for (unsigned byte = 0; byte < 256; byte++)
		if (lw_names_is_tchar(byte) && lower(byte) == byte)
			ret->class_of[byte] = used[byte] ? nclasses++ : 1;
	for (unsigned byte = 'A'; byte <= 'Z'; byte++)
		ret->class_of[byte] = ret->class_of[lower(byte)];

	for (size_t i = 0; i < LW_NAMES_FIXED + n; i++) {
		r = add(ret, i < LW_NAMES_FIXED ? &lw_names_fixed[i] : &entries[i - LW_NAMES_FIXED],
			&nstates);
		if (r < 0)
			return r;
	}
	return 0;
}
