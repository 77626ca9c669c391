/* SPDX-License-Identifier: Apache-2.0 */
#include "core/pod_cgroup.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>

/* The UID at s: 8-4-4-4-12 hexadecimal digits. What follows it; NULL: there is none. */
static const char *read_uid(const char *s, char uid[LW_POD_UID_LEN])
{
	size_t i;

	for (i = 0; i < 36; i++) {
		bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (is_dash ? s[i] != '-' && s[i] != '_' :
			      !isxdigit((unsigned char)s[i]) || isupper((unsigned char)s[i]))
			return NULL;
		uid[i] = is_dash ? '-' : s[i];
	}
	uid[i] = '\0';
	return s + i;
}

bool lw_pod_cgroup(const char *name, char uid[LW_POD_UID_LEN])
{
	for (const char *s = strstr(name, "pod"); s; s = strstr(s + 1, "pod")) {
		const char *end;

		if (s != name && s[-1] != '-')
			continue;
		end = read_uid(s + strlen("pod"), uid);
		if (!end)
			continue;
		if (strncmp(end, ".slice", strlen(".slice")) == 0)
			end += strlen(".slice");
		if (*end == '\0' || *end == ':')
			return true;
	}
	return false;
}
