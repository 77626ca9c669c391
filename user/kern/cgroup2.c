/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/magic.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/cgroup2.h"

int lw_cgroup2_is_not(const char *dir)
{
	struct statfs s;

	if (statfs(dir, &s))
		return -errno;
	return s.f_type != CGROUP2_SUPER_MAGIC;
}

static char *first_mounted(void)
{
	FILE *f = setmntent("/proc/self/mounts", "re");
	struct mntent *m;
	char *path = NULL;

	if (!f)
		return NULL;
	while (!path && (m = getmntent(f)))
		if (!strcmp(m->mnt_type, "cgroup2"))
			path = strdup(m->mnt_dir);
	endmntent(f);
	return path;
}

char *lw_cgroup2_find(const char *dir)
{
	_cleanup_free_ char *below = NULL;

	if (!dir)
		return first_mounted();
	if (lw_cgroup2_is_not(dir) != 1)
		return strdup(dir); /* or what is wrong with it is said later */
	if (asprintf(&below, "%s/unified", dir) < 0) {
		below = NULL;
		return NULL;
	}
	if (lw_cgroup2_is_not(below))
		return strdup(dir);
	lw_info("'%s' is of cgroup version 1: version 2 is at '%s'", dir, below);
	return strdup(below);
}
