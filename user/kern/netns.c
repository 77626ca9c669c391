/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/netns.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "core/bytemap.h"

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

struct entry {
	int fd; /* -1: there was none to be found */
	int age; /* sweeps since it was used */
};

struct lw_netns {
	int own; /* the agent's */
	int short_of; /* -errno: it could not be looked everywhere */
	struct lw_bytemap entries; /* by cookie */
};

int lw_netns_new(struct lw_netns **ret)
{
	struct lw_netns *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return -ENOMEM;
	ns->own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ns->own < 0) {
		int r = -errno;

		free(ns);
		return r;
	}
	*ret = ns;
	return 0;
}

static bool drop(void *value, void *arg)
{
	struct entry *e = value;

	(void)arg;
	(void)lw_close(e->fd);
	free(e);
	return false;
}

void lw_netns_free(struct lw_netns **ns)
{
	if (!*ns)
		return;
	lw_bytemap_filter(&(*ns)->entries, drop, NULL);
	lw_bytemap_clear(&(*ns)->entries);
	(void)close((*ns)->own);
	free(*ns);
	*ns = NULL;
}

static bool keep(void *value, void *arg)
{
	struct entry *e = value;

	return (e->fd >= 0 && ++e->age <= 2) || drop(e, arg);
}

void lw_netns_sweep(struct lw_netns *ns)
{
	lw_bytemap_filter(&ns->entries, keep, NULL);
}

/* A socket made inside; the thread is back in its own namespace whatever happens. */
static int socket_in(struct lw_netns *ns, int fd, int family, int type, int protocol)
{
	int sock, r;

	if (setns(fd, CLONE_NEWNET))
		return -errno;
	sock = socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	r = sock < 0 ? -errno : sock;
	if (setns(ns->own, CLONE_NEWNET)) {
		/* going on in a pod's namespace would be worse than ending */
		perror("laneway: return to the own network namespace");
		abort();
	}
	return r;
}

static bool is_cookie(struct lw_netns *ns, int fd, uint64_t want)
{
	_cleanup_close_ int sock = socket_in(ns, fd, AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	if (sock == -EMFILE || sock == -ENFILE)
		ns->short_of = sock;
	return sock >= 0 && !getsockopt(sock, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) &&
	       cookie == want;
}

static int try_path(struct lw_netns *ns, const char *path, uint64_t cookie)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == EMFILE || errno == ENFILE))
		ns->short_of = -errno;
	return fd >= 0 && is_cookie(ns, fd, cookie) ? TAKE_FD(fd) : -1;
}

/* The entries of /proc (processes), or of /run/netns (names). */
static int try_dir(struct lw_netns *ns, const char *dir, bool processes, uint64_t cookie)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *e;
	char path[512];
	int fd = -1;

	while (d && fd < 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.' || (processes && !isdigit((unsigned char)e->d_name[0])))
			continue;
		(void)snprintf(path, sizeof(path), processes ? "/proc/%s/ns/net" : "/run/netns/%s",
			       e->d_name);
		fd = try_path(ns, path, cookie);
	}
	return fd;
}

static int find(struct lw_netns *ns, uint64_t cookie, pid_t pid)
{
	char path[64];
	int fd;

	if (is_cookie(ns, ns->own, cookie))
		return fcntl(ns->own, F_DUPFD_CLOEXEC, 3);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	fd = try_path(ns, path, cookie);
	if (fd < 0)
		fd = try_dir(ns, "/run/netns", false, cookie);
	if (fd < 0)
		fd = try_dir(ns, "/proc", true, cookie);
	return fd;
}

int lw_netns_socket(struct lw_netns *ns, uint64_t cookie, pid_t pid, int family, int type,
		    int protocol)
{
	const struct lw_bytes key = LW_BYTES_OF(cookie);
	struct entry *e = lw_bytemap_get(&ns->entries, &key, 1);
	int fd, r;

	if (!e) {
		ns->short_of = 0;
		fd = find(ns, cookie, pid);
		if (fd < 0 && ns->short_of)
			return ns->short_of;
		e = calloc(1, sizeof(*e));
		if (!e || lw_bytemap_put(&ns->entries, &key, 1, e)) {
			free(e);
			(void)lw_close(fd);
			return -ENOMEM;
		}
		e->fd = fd;
	}
	/* not to be looked for with each request: that is a walk through all processes */
	if (e->fd < 0)
		return -ENOENT;
	e->age = 0;
	r = socket_in(ns, e->fd, family, type, protocol);
	return r;
}

struct each {
	struct lw_netns *ns;
	struct lw_bytemap seen; /* by inode number */
	int family, type, protocol;
	int (*cb)(int sock, void *arg);
	void *arg;
};

static int each_path(struct each *e, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC), sock = -1;
	struct lw_bytes key;
	struct stat st;
	int r;

	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -errno : 0;
	if (fstat(fd, &st))
		return 0;
	key = LW_BYTES_OF(st.st_ino);
	if (lw_bytemap_get(&e->seen, &key, 1))
		return 0;
	r = lw_bytemap_put(&e->seen, &key, 1, e);
	if (r < 0)
		return r;
	sock = socket_in(e->ns, fd, e->family, e->type, e->protocol);
	if (sock == -EMFILE || sock == -ENFILE)
		return sock;
	return sock < 0 ? 0 : e->cb(sock, e->arg);
}

static int each_in_dir(struct each *e, const char *dir, bool processes)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;
	char path[512];
	int r = d || errno == ENOENT ? 0 : -errno;

	while (d && !r && (entry = readdir(d))) {
		if (entry->d_name[0] == '.' ||
		    (processes && !isdigit((unsigned char)entry->d_name[0])))
			continue;
		(void)snprintf(path, sizeof(path), processes ? "/proc/%s/ns/net" : "/run/netns/%s",
			       entry->d_name);
		r = each_path(e, path);
	}
	return r;
}

int lw_netns_each(struct lw_netns *ns, int family, int type, int protocol,
		  int (*cb)(int sock, void *arg), void *arg)
{
	struct each e = {
		.ns = ns, .family = family, .type = type, .protocol = protocol, .cb = cb, .arg = arg
	};
	struct stat own;
	struct lw_bytes key;
	int r;

	if (fstat(ns->own, &own))
		return -errno;
	key = LW_BYTES_OF(own.st_ino);
	r = lw_bytemap_put(&e.seen, &key, 1, &e);
	if (!r)
		r = each_in_dir(&e, "/run/netns", false);
	if (!r)
		r = each_in_dir(&e, "/proc", true);
	lw_bytemap_clear(&e.seen);
	return r;
}
