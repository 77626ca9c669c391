/* SPDX-License-Identifier: Apache-2.0 */
#include "core/names.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "laneway/names.h"

static const struct lw_names_entry fixed[] = {
	{ "content-length", LW_HDR_CONTENT_LENGTH },
	{ "transfer-encoding", LW_HDR_TRANSFER_ENCODING },
	{ "upgrade", LW_HDR_UPGRADE },
	{ "cookie", LW_HDR_COOKIE },
	{ "connection", LW_HDR_CONNECTION },
};
#define NFIXED (sizeof(fixed) / sizeof(fixed[0]))

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

	for (size_t i = 0; i < NFIXED + n; i++) {
		const struct lw_names_entry *entry = i < NFIXED ? &fixed[i] : &entries[i - NFIXED];
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

	for (size_t i = 0; i < NFIXED + n; i++) {
		r = add(ret, i < NFIXED ? &fixed[i] : &entries[i - NFIXED], &nstates);
		if (r < 0)
			return r;
	}
	return 0;
}
