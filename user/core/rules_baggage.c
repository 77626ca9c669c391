/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lane's tag as a member of the W3C baggage (https://www.w3.org/TR/baggage/).
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "core/rules_check.h"

/* baggage-octet, without '%', which begins an encoded one. */
static bool is_plain(unsigned char c)
{
	return c > ' ' && c < 0x7f && !strchr("\",;\\%", c);
}

int lw_rules_baggage_block(const char *tag_header, const char *tag_value, size_t used,
			   struct lw_rules_block *ret, char *err, size_t err_len)
{
	char member[LW_NAME_LEN + 3 * LW_TAG_VALUE_LEN], *to = member;
	size_t room = sizeof(member) - 3 * LW_TAG_VALUE_LEN - 2;

	if (strlen(tag_header) > room)
		return lw_rules_fail(err, err_len,
				     "tag header \"%.60s\": too long for a key of the baggage",
				     tag_header);
	for (const char *c = tag_header; *c; c++)
		*to++ = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
	*to++ = '=';
	for (const char *c = tag_value; *c; c++) {
		if (is_plain((unsigned char)*c))
			*to++ = *c;
		else
			to += sprintf(to, "%%%02X", (unsigned char)*c);
	}
	*to = '\0';
	ret->len = ret->last = 0;
	lw_rules_block_add(ret, LW_RULES_BAGGAGE, member);
	if (lw_rules_block_pad(ret, err, err_len) < 0)
		return -EINVAL;
	if (used + ret->len > sizeof(ret->bytes))
		return lw_rules_fail(
			err, err_len,
			"the headers to put on a request take %zu bytes with the baggage; the limit is %zu",
			used + ret->len, sizeof(ret->bytes));
	return 0;
}

static bool names(const struct lw_rules_mod *mods, size_t n, const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < n; i++) {
		const char *v = mods[i].value ?: "";

		if (strcasecmp(mods[i].name, LW_RULES_BAGGAGE) != 0)
			continue;
		for (; *v; v++)
			if (!strncasecmp(v, key, len) && (v[len] == '=' || v[len] == ' '))
				return true;
	}
	return false;
}

bool lw_rules_names_in_baggage(const struct lw_rules_entry *entry, const char *tag_header)
{
	return names(entry->set, entry->nset, tag_header) ||
	       names(entry->add, entry->nadd, tag_header);
}
