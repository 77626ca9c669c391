/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/needs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

#define BTF "/sys/kernel/btf/vmlinux"

static int check_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	/* what cannot be read is left to the self-tests */
	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0;
	if (major > LW_KERNEL_MAJOR || (major == LW_KERNEL_MAJOR && minor >= LW_KERNEL_MINOR))
		return 0;
	lw_error("Linux %s is too old: laneway needs %d.%d or newer", u.release, LW_KERNEL_MAJOR, LW_KERNEL_MINOR);
	return -EOPNOTSUPP;
}

/* The programs are fitted to the kernel's own structures when they are loaded. */
static int check_btf(void)
{
	if (!access(BTF, R_OK))
		return 0;
	lw_error("read '%s': %s; laneway needs a kernel built with CONFIG_DEBUG_INFO_BTF, and /sys mounted", BTF, strerror(errno));
	return -EOPNOTSUPP;
}

/* Programs and network namespaces take both; CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON, too. */
static int check_rights(void)
{
	static const uint64_t needed = 1ull << CAP_SYS_ADMIN | 1ull << CAP_NET_ADMIN;
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	unsigned long long have;
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &have) != 1)
			continue;
		if ((have & needed) == needed)
			return 0;
		lw_error("the agent lacks %s%s%s: start it as root, with all capabilities",
			 have & 1ull << CAP_SYS_ADMIN ? "" : "CAP_SYS_ADMIN", (have & needed) ? "" : " and ",
			 have & 1ull << CAP_NET_ADMIN ? "" : "CAP_NET_ADMIN");
		return -EPERM;
	}
	lw_error("read '/proc/self/status': /proc is not mounted");
	return -ENOENT;
}

static int check_cgroup(const char *cgroup)
{
	struct statfs s;

	if (statfs(cgroup, &s)) {
		int r = -errno;

		lw_error("open cgroup '%s': %s", cgroup, strerror(-r));
		return r;
	}
	if (s.f_type == CGROUP2_SUPER_MAGIC)
		return 0;
	lw_error("'%s' is no folder of a cgroup2 hierarchy: name one with --cgroup", cgroup);
	return -ENOTDIR;
}

int lw_needs_check(const char *cgroup)
{
	int r = check_kernel();

	if (!r)
		r = check_rights();
	if (!r)
		r = check_btf();
	if (!r && cgroup)
		r = check_cgroup(cgroup);
	return r;
}
