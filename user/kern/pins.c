/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is below bpffs: our pins, and what an earlier agent has left of its.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "kern/tc_filter.h"
#include "kern/internal.h"
#include "kern/leftover.h"

#define OLD_DIR "laneway_old" /* no dot: bpffs keeps those names for itself */

static int is_empty(const char *path)
{
	_cleanup_closedir_ DIR *d = opendir(path);
	struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return 0;
	return 1;
}

int lw_pins_mount(const char *path, bool *ret_mounted)
{
	struct statfs s;
	int r;

	*ret_mounted = false;
	if (statfs(path, &s))
		return -errno;
	if (s.f_type == BPF_FS_MAGIC)
		return 0;
	/* what is in it would be hidden: a path mistyped may be anything, /etc say */
	r = is_empty(path);
	if (r <= 0)
		return r < 0 ? r : -ENOTEMPTY;
	if (mount("bpf", path, "bpf", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL))
		return -errno;
	*ret_mounted = true;
	return 0;
}

int lw_kern_unpin(const char *dir, const char *prefix)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *e;
	int n = 0;

	if (!d)
		return errno == ENOENT ? 0 : -errno;
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..") ||
		    strncmp(e->d_name, prefix, strlen(prefix)) != 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0))
			return -errno;
		n++;
	}
	if (!*prefix && rmdir(dir))
		return -errno;
	return n;
}

int lw_kern_cleanup(const char *bpffs)
{
	static const char *const dirs[] = { LW_PIN_DIR, OLD_DIR };
	int n = 0;

	lw_kern_hush_libbpf();
	for (size_t i = 0; i < 2; i++) {
		_cleanup_free_ char *dir = NULL;
		int r;

		if (asprintf(&dir, "%s/%s", bpffs ? bpffs : "/sys/fs/bpf", dirs[i]) < 0) {
			dir = NULL;
			return -ENOMEM;
		}
		lw_leftover_end(dir, true, NULL);
		r = lw_kern_unpin(dir, "");
		if (r < 0)
			return r;
		n += r;
	}
	return n + lw_filter_cleanup();
}

int lw_pins_put_aside(struct lw_kern *kern, const char *bpffs)
{
	int r;

	if (asprintf(&kern->old_dir, "%s/" OLD_DIR, bpffs) < 0) {
		kern->old_dir = NULL;
		return -ENOMEM;
	}
	if (!access(kern->pin_dir, F_OK)) {
		/* a start that did not get as far as lw_kern_end_old(), or an agent that both have gone behind */
		lw_leftover_end(kern->old_dir, true, kern);
		r = lw_kern_unpin(kern->old_dir, "");
		if (r >= 0 && rename(kern->pin_dir, kern->old_dir))
			r = -errno;
		if (r < 0) {
			lw_error("put aside what an earlier agent left in '%s': %s", kern->pin_dir,
				 strerror(-r));
			return r;
		}
	}
	if (kern->other)
		return 0;
	/* who waits for an answer of that agent is told now, in any case */
	lw_leftover_end(kern->old_dir, !kern->fail_closed, kern);
	if (!kern->fail_closed)
		lw_kern_end_old(kern);
	return 0;
}

void lw_kern_end_old(struct lw_kern *kern)
{
	int r;

	if (!kern->old_dir)
		return;
	r = lw_kern_unpin(kern->old_dir, "");
	if (r < 0)
		lw_warn("remove what an earlier agent left in '%s': %s", kern->old_dir,
			strerror(-r));
	else if (r > 0)
		lw_info("removed %d pins that an earlier agent left in '%s'", r, kern->old_dir);
	free(kern->old_dir);
	kern->old_dir = NULL;
}

int lw_pins_make(struct lw_kern *kern)
{
	_cleanup_free_ char *prog = NULL;
	struct bpf_map *map;

	if (mkdir(kern->pin_dir, 0700) && errno != EEXIST)
		return -errno;
	bpf_object__for_each_map(map, kern->skel->obj)
	{
		_cleanup_free_ char *path = NULL;
		const char *name = bpf_map__name(map);
		int r;

		if (strncmp(name, "lw_", 3) || !strncmp(name, "lw_lanes.", 9))
			continue;
		if (asprintf(&path, "%s/%s", kern->pin_dir, name + 3) < 0) {
			path = NULL;
			return -ENOMEM;
		}
		r = bpf_map__pin(map, path);
		if (r)
			return r;
	}
	if (asprintf(&prog, "%s/" LW_TO_POD_PIN, kern->pin_dir) < 0) {
		prog = NULL;
		return -ENOMEM;
	}
	return bpf_obj_pin(kern->to_pod, prog) ? -errno : 0;
}
