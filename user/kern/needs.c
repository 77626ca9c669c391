/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/needs.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/cgroup2.h"

#define BTF "/sys/kernel/btf/vmlinux"
#define PID_NS "/proc/self/ns/pid"
/* The number of the first one, in every kernel: PROC_PID_INIT_INO. */
#define HOST_PID_NS 0xEFFFFFFCu

static int check_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname u;

	/* what cannot be read is left to the self-tests */
	if (uname(&u) || sscanf(u.release, "%u.%u", &major, &minor) != 2)
		return 0;
	if (major > LW_KERNEL_MAJOR || (major == LW_KERNEL_MAJOR && minor >= LW_KERNEL_MINOR))
		return 0;
	lw_error("Linux %s is too old: laneway needs %d.%d or newer", u.release, LW_KERNEL_MAJOR,
		 LW_KERNEL_MINOR);
	return -EOPNOTSUPP;
}

/* The programs are fitted to the kernel's own structures when they are loaded. */
static int check_btf(void)
{
	if (!access(BTF, R_OK))
		return 0;
	lw_error(
		"read '%s': %s; laneway needs a kernel built with CONFIG_DEBUG_INFO_BTF, and /sys mounted",
		BTF, strerror(errno));
	return -EOPNOTSUPP;
}

/*
 * One that is lacking is told here and not by the first request that needs it. CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON,
 * too; CAP_DAC_OVERRIDE lets into folders like CAP_DAC_READ_SEARCH.
 */
static const struct right {
	const char *name, *what_for;
	uint64_t any_of;
} rights[] = {
	{ "CAP_SYS_ADMIN", "bpf(2), clients' network namespaces", 1ull << CAP_SYS_ADMIN },
	{ "CAP_NET_ADMIN", "programs on cgroups, sockets, devices", 1ull << CAP_NET_ADMIN },
	{ "CAP_SYS_PTRACE", "namespaces of other users' processes", 1ull << CAP_SYS_PTRACE },
	{ "CAP_DAC_READ_SEARCH", "descriptors of other users' processes",
	  1ull << CAP_DAC_READ_SEARCH | 1ull << CAP_DAC_OVERRIDE },
};

static int check_rights(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/status", "re");
	char line[256], lacking[400] = "";
	unsigned long long have;
	size_t len = 0;

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "CapEff: %llx", &have) != 1)
			continue;
		for (const struct right *r = rights;
		     r < rights + sizeof(rights) / sizeof(rights[0]); r++)
			if (!(have & r->any_of))
				len += (size_t)snprintf(lacking + len, sizeof(lacking) - len,
							"%s%s (%s)", len ? " and " : "", r->name,
							r->what_for);
		if (!len)
			return 0;
		lw_error("the agent lacks %s: start it as root, with all capabilities", lacking);
		return -EPERM;
	}
	lw_error("read '/proc/self/status': /proc is not mounted");
	return -ENOENT;
}

/* All kernels have the helper that are new enough; one that is locked down keeps it to itself (security/lockdown). */
static int check_lockdown(void)
{
	/* bpf_probe_read_kernel(r10 - 8, 8, 0), and return 0 */
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_1, .src_reg = BPF_REG_10 },
		{ .code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_1, .imm = -8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = 8 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_probe_read_kernel },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0 },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	_cleanup_close_ int prog = bpf_prog_load(BPF_PROG_TYPE_SK_MSG, "lw_needs", "Dual BSD/GPL",
						 insns, sizeof(insns) / sizeof(insns[0]), NULL);

	/* what is short for the moment is not what this is about */
	if (prog >= 0 || errno != EINVAL)
		return 0;
	lw_error(
		"the kernel is locked down (/sys/kernel/security/lockdown: confidentiality): its programs may not read what laneway decides by; "
		"boot with lockdown=integrity, or none");
	return -EPERM;
}

/* A descriptor of another process, which is made for it. 0 or -errno. */
static int take_descriptor(void)
{
	_cleanup_close_ int pidfd = -1, taken = -1;
	int fds[2], r = 0;
	pid_t pid;
	char c;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	pid = fork();
	if (pid == 0) {
		(void)close(fds[1]);
		(void)!read(fds[0], &c, 1); /* until the other end is closed */
		_exit(0);
	}
	if (pid < 0)
		r = -errno;
	if (!r)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (!r && pidfd < 0)
		r = -errno;
	if (!r)
		taken = (int)syscall(SYS_pidfd_getfd, pidfd, fds[0], 0);
	if (!r && taken < 0)
		r = -errno;
	(void)close(fds[0]);
	(void)close(fds[1]);
	if (pid > 0)
		(void)waitpid(pid, NULL, 0);
	return r;
}

/* By them a connection is brought to its end behind its response (ends.h). */
static int check_descriptors(void)
{
	int r = take_descriptor();

	if (r != -EPERM && r != -EACCES && r != -ENOSYS)
		return 0;
	lw_error(
		"the agent may take no descriptor of another process (pidfd_getfd(2): %s): set the sysctl kernel.yama.ptrace_scope to 2 or less, "
		"and let its seccomp profile allow it",
		strerror(-r));
	return r;
}

/* Of a client that the programs tell of another process would be looked at, or none. */
static int check_pids(void)
{
	struct stat st;

	if (stat(PID_NS, &st) || st.st_ino == HOST_PID_NS)
		return 0;
	lw_error(
		"the agent is in a PID namespace of its own: start it in the host's (hostPID: true), by whose numbers the kernel tells of clients");
	return -ESRCH;
}

static int check_cgroup(const char *cgroup)
{
	int r = lw_cgroup2_is_not(cgroup);

	if (r < 0)
		lw_error("open cgroup '%s': %s", cgroup, strerror(-r));
	if (r <= 0)
		return r;
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
	if (!r)
		r = check_lockdown();
	if (!r)
		r = check_descriptors();
	/* the self-tests alone have no clients */
	if (!r && cgroup)
		r = check_pids();
	if (!r && cgroup)
		r = check_cgroup(cgroup);
	return r;
}
