/* SPDX-License-Identifier: Apache-2.0 */
/* One agent at a time: on a socket path, on a bpffs, and on a cgroup. */
#include <errno.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "daemon/agent_internal.h"
#include "daemon/lock.h"
#include "kern/cgroup2.h"

const char *lw_agent_bpffs(const char *bpffs)
{
	return bpffs ? bpffs : "/sys/fs/bpf";
}

int lw_agent_lock_bpffs(const char *bpffs, int *ret_fd)
{
	struct statfs fs;

	if (statfs(lw_agent_bpffs(bpffs), &fs) < 0 || fs.f_type != BPF_FS_MAGIC)
		return 0;
	return lw_lock_take(lw_agent_bpffs(bpffs), ret_fd);
}

/* Two agents of one cgroup, with a bpffs each, would both take its connections: each one's upstream sockets would be the other's to steer. */
static int lock_cgroup(const char *cgroup, struct lw_agent_locks *locks)
{
	_cleanup_free_ char *dir = NULL;

	if (locks->cgroup_fd >= 0)
		return 0;
	dir = lw_cgroup2_find(cgroup);
	if (!dir || lw_cgroup2_is_not(dir)) /* that is for others to say */
		return 0;
	locks->cgroup_busy = lw_lock_take(dir, &locks->cgroup_fd) == -EBUSY;
	return locks->cgroup_busy ? -EBUSY : 0;
}

static int lock_places(const char *socket, const char *bpffs, struct lw_agent_locks *locks)
{
	char path[PATH_MAX];
	int r = 0, more = 0;

	if (locks->socket_fd < 0) {
		if (snprintf(path, sizeof(path), "%s.lock", socket) >= (int)sizeof(path))
			return -ENAMETOOLONG;
		r = lw_lock_mkdir(path);
		if (r < 0)
			return r;
		r = lw_lock_take(path, &locks->socket_fd);
	}
	if ((r == 0 || r == -EBUSY) && locks->bpffs_fd < 0)
		more = lw_agent_lock_bpffs(bpffs, &locks->bpffs_fd);
	return r < 0 ? r : more;
}

int lw_agent_lock_more(const char *socket, const char *bpffs, const char *cgroup,
		       struct lw_agent_locks *locks)
{
	int r = lock_places(socket, bpffs, locks), also = 0;

	if (r == 0 || r == -EBUSY)
		also = lock_cgroup(cgroup, locks);
	return r < 0 ? r : also;
}

int lw_agent_lock(const char *socket, const char *bpffs, struct lw_agent_locks *ret)
{
	_cleanup_(lw_agent_unlock) struct lw_agent_locks locks = LW_AGENT_LOCKS_INIT;
	int r = lock_places(socket, bpffs, &locks);

	if (r < 0)
		return r;
	ret->socket_fd = TAKE_FD(locks.socket_fd);
	ret->bpffs_fd = TAKE_FD(locks.bpffs_fd);
	return 0;
}

void lw_agent_unlock(struct lw_agent_locks *locks)
{
	locks->socket_fd = lw_close(locks->socket_fd);
	locks->bpffs_fd = lw_close(locks->bpffs_fd);
	locks->cgroup_fd = lw_close(locks->cgroup_fd);
}
