/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/source_dir_internal.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

/* How long a file that has gone may take to come back before its objects go. */
#define GONE_MS 100
/* How often a folder that has gone is looked for, and whether another one is in its place: the path may be a link, and be turned. */
#define LOOK_MS 1000
#define WATCHED                                                                             \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Rounds of one dispatch; then the event loop gets its turn. */
#define ROUNDS_MAX 16

/* ---- files ---- */

static bool is_wanted(const char *name)
{
	return name[0] != '.' &&
	       (lw_dir_has_suffix(name, ".yaml") || lw_dir_has_suffix(name, ".yml") ||
		lw_dir_has_suffix(name, ".json"));
}

static struct lw_dir_file *find_file(const struct lw_source_dir *source, const char *name)
{
	struct lw_dir_file *file = source->files;

	while (file && strcmp(file->name, name) != 0)
		file = file->next;
	return file;
}

/* NULL when out of memory. */
static struct lw_dir_file *get_file(struct lw_source_dir *source, const char *name)
{
	struct lw_dir_file **at = &source->files, *file = find_file(source, name);

	if (file)
		return file;
	file = calloc(1, sizeof(*file));
	if (!file)
		return NULL;
	file->name = strdup(name);
	if (!file->name) {
		free(file);
		return NULL;
	}
	while (*at && strcmp((*at)->name, name) < 0)
		at = &(*at)->next;
	file->next = *at;
	*at = file;
	return file;
}

/* Marks what is in the folder to be read, and what is not as gone. */
static int scan(struct lw_source_dir *source)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	struct lw_dir_file *file;

	source->rescan = false;
	source->scan_again = true;
	dir = opendir(source->path);
	if (!dir)
		return -errno;
	for (file = source->files; file; file = file->next)
		file->present = false;
	while (errno = 0, (entry = readdir(dir))) {
		if (!is_wanted(entry->d_name) || entry->d_type == DT_DIR)
			continue;
		file = get_file(source, entry->d_name);
		if (!file)
			return -ENOMEM;
		file->present = file->dirty = true;
		file->gone_ns = 0;
	}
	if (errno != 0)
		return -errno;
	for (file = source->files; file; file = file->next) {
		if (!file->present && file->gone_ns == 0)
			file->gone_ns = lw_clock_ns();
	}
	source->scan_again = false;
	return 0;
}

/* What could not be read, as there was no descriptor or no memory for it, is so no longer perhaps. No event would tell. */
static void try_again(struct lw_source_dir *source)
{
	source->rescan |= source->scan_again;
	source->scan_again = false;
	for (struct lw_dir_file *file = source->files; file; file = file->next) {
		file->dirty |= file->again;
		file->again = false;
	}
}

/* Files that are written by another name: nothing tells of that, so they are looked at with each dispatch, once a second or when somebody asks. */
static void look_behind_links(struct lw_source_dir *source)
{
	for (struct lw_dir_file *file = source->files; file; file = file->next)
		if (file->silent && !file->dirty && file->gone_ns == 0)
			file->dirty = lw_dir_is_rewritten(source, file);
}

/* Files that have been gone for long enough. */
static int drop_files(struct lw_source_dir *source)
{
	struct lw_dir_file **at = &source->files, *file;
	uint64_t now = lw_clock_ns();
	int r = 0;

	while ((file = *at)) {
		if (file->gone_ns == 0 || file->dirty ||
		    now - file->gone_ns < GONE_MS * LW_NS_PER_MS) {
			at = &file->next;
			continue;
		}
		if (lw_dir_drop_items(source, file, true) < 0)
			r = -ENOMEM;
		lw_dir_forget(source, file);
		if (lw_dir_is_silent(source, file)) {
			/* what it leads to may come back */
			file->silent = true;
			file->read = false;
			file->gone_ns = 0;
			at = &file->next;
			continue;
		}
		*at = file->next;
		lw_dir_free_file(file);
	}
	return r;
}

static int read_files(struct lw_source_dir *source)
{
	int result = 0, r;
	bool again;

	do {
		again = false;
		for (struct lw_dir_file *file = source->files; file; file = file->next) {
			if (!file->dirty || file->writing)
				continue;
			r = lw_dir_read_file(source, file);
			if (r < 0)
				result = r;
			again = true;
		}
	} while (again);
	return result;
}

/* ---- events ---- */

static void on_event(struct lw_source_dir *source, const struct inotify_event *event)
{
	const char *name = event->len > 0 ? event->name : "";
	struct lw_dir_file *file;

	if (event->mask & IN_Q_OVERFLOW) {
		for (file = source->files; file; file = file->next)
			file->writing = false;
		source->rescan = true;
		return;
	}
	if (event->wd != source->watch)
		return; /* of the folder that was watched before */
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_UNMOUNT)) {
		source->lost = true;
		return;
	}
	/* A ConfigMap's files are links through `..data`, which alone is swapped. */
	if ((event->mask & IN_MOVED_TO) && strcmp(name, "..data") == 0)
		source->rescan = true;
	if (!is_wanted(name) || (event->mask & IN_ISDIR))
		return;
	if (event->mask & (IN_DELETE | IN_MOVED_FROM)) {
		file = find_file(source, name);
		if (file) {
			file->gone_ns = lw_clock_ns();
			file->dirty = file->writing = false;
		}
		return;
	}
	file = get_file(source, name);
	if (!file) {
		source->rescan = true;
		return;
	}
	if (event->mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) {
		file->writing = false;
		file->dirty = true;
		file->gone_ns = 0;
	} else if (event->mask & IN_MODIFY) {
		file->writing = true;
	} else if (event->mask & IN_CREATE) {
		file->gone_ns = 0;
		/* there is no close to wait for */
		if (lw_dir_is_silent(source, file))
			file->dirty = true;
	}
}

void lw_dir_drain(struct lw_source_dir *source)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;

	while ((n = read(source->inotify_fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		for (char *p = buf; n > 0 && p < buf + n;) {
			const struct inotify_event *event = (const struct inotify_event *)p;

			on_event(source, event);
			p += sizeof(*event) + event->len;
		}
	}
}

/* For the first file to be dropped, or for a look at the folder. */
static void set_timer(struct lw_source_dir *source)
{
	struct itimerspec when = {};
	uint64_t now = lw_clock_ns(), wait_ns = LOOK_MS * LW_NS_PER_MS;

	/* without the folder none is dropped */
	for (const struct lw_dir_file *file = source->files; file && !source->lost;
	     file = file->next) {
		uint64_t due = file->gone_ns + GONE_MS * LW_NS_PER_MS;

		if (file->gone_ns != 0 && wait_ns > (due > now ? due - now : 1))
			wait_ns = due > now ? due - now : 1;
	}
	when.it_value.tv_sec = (time_t)(wait_ns / LW_NS_PER_SEC);
	when.it_value.tv_nsec = (long)(wait_ns % LW_NS_PER_SEC);
	(void)timerfd_settime(source->timer_fd, 0, &when, NULL);
}

/* Watches the folder at the path; everything in it is to be read. */
static int watch(struct lw_source_dir *source)
{
	struct stat st;

	/* first: if it is another one by the time it is watched, that shows at the next look */
	if (stat(source->path, &st) < 0)
		return -errno;
	/* the place of the one before, where there is room for no more */
	if (source->watch >= 0)
		(void)inotify_rm_watch(source->inotify_fd, source->watch);
	source->watch = inotify_add_watch(source->inotify_fd, source->path, WATCHED);
	if (source->watch < 0) {
		source->lost = true;
		return -errno;
	}
	source->dev = st.st_dev;
	source->ino = st.st_ino;
	for (struct lw_dir_file *file = source->files; file; file = file->next)
		file->writing = false;
	source->rescan = true;
	source->lost = source->lost_said = false;
	return 0;
}

/* Does the path lead to another folder than the one that is watched? */
static bool is_another(const struct lw_source_dir *source)
{
	struct stat st;

	return stat(source->path, &st) == 0 && S_ISDIR(st.st_mode) &&
	       (st.st_dev != source->dev || st.st_ino != source->ino);
}

/* ---- the source ---- */

int lw_source_dir_open(const char *path, struct lw_model *model, lw_finding_cb cb, void *arg,
		       struct lw_source_dir **ret)
{
	_cleanup_(lw_source_dir_close) struct lw_source_dir *source = calloc(1, sizeof(*source));
	struct epoll_event event = { .events = EPOLLIN };
	int r;

	if (!source)
		return -ENOMEM;
	source->inotify_fd = source->timer_fd = source->epoll_fd = source->watch = -1;
	source->model = model;
	source->cb = cb;
	source->arg = arg;
	source->path = strdup(path);
	if (!source->path)
		return -ENOMEM;
	source->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (source->epoll_fd < 0)
		return -errno;
	source->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (source->timer_fd < 0 ||
	    epoll_ctl(source->epoll_fd, EPOLL_CTL_ADD, source->timer_fd, &event) < 0)
		return -errno;
	source->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (source->inotify_fd < 0 ||
	    epoll_ctl(source->epoll_fd, EPOLL_CTL_ADD, source->inotify_fd, &event) < 0)
		return -errno;
	r = watch(source);
	if (r < 0)
		return r;
	r = lw_source_dir_dispatch(source);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

const char *lw_source_dir_strerror(int error)
{
	switch (error) {
	case -EMFILE:
		return "no more open files, or instances of inotify: raise the limit of open files, or the "
		       "sysctl fs.inotify.max_user_instances";
	case -ENOSPC:
		return "no more watches of inotify: raise the sysctl fs.inotify.max_user_watches";
	default:
		return strerror(-error);
	}
}

void lw_source_dir_set_forget(struct lw_source_dir *source, lw_finding_forget_cb forget)
{
	source->forget = forget;
}

int lw_source_dir_fd(const struct lw_source_dir *source)
{
	return source->epoll_fd;
}

int lw_source_dir_dispatch(struct lw_source_dir *source)
{
	uint64_t expirations;
	int result = 0, watched = 0, r;

	source->changed = false;
	(void)!read(source->timer_fd, &expirations, sizeof(expirations));
	/* whoever asks is told of what is there now, also between two looks */
	if (source->lost || is_another(source)) {
		watched = watch(source);
		if (watched != -ENOENT)
			result = watched;
	}
	lw_dir_drain(source);
	try_again(source);
	look_behind_links(source);
	for (int round = 0; round < ROUNDS_MAX && !source->lost; round++) {
		bool any = source->rescan;

		for (const struct lw_dir_file *file = source->files; file && !any;
		     file = file->next)
			any = file->dirty && !file->writing;
		if (!any)
			break;
		if (source->rescan) {
			r = scan(source);
			if (r < 0)
				result = r;
		}
		r = read_files(source);
		if (r < 0)
			result = r;
		lw_dir_drain(source);
	}
	if (!source->lost) {
		r = drop_files(source);
		if (r < 0)
			result = r;
		/* those whose turn it is now */
		r = read_files(source);
		if (r < 0)
			result = r;
	}
	set_timer(source);
	if (source->lost && !source->lost_said && (watched == 0 || watched == -ENOENT)) {
		source->lost_said = true;
		result = -ENOENT;
	}
	return result < 0 ? result : source->changed;
}

bool lw_source_dir_settled(const struct lw_source_dir *source)
{
	for (const struct lw_dir_file *file = source->files; file && !source->lost;
	     file = file->next)
		if (file->gone_ns != 0 || file->writing)
			return false;
	return true;
}

bool lw_source_dir_gone(const struct lw_source_dir *source)
{
	return source->lost;
}

size_t lw_source_dir_errors(const struct lw_source_dir *source)
{
	size_t errors = 0;

	for (const struct lw_dir_file *file = source->files; file; file = file->next)
		errors += file->errors;
	return errors;
}

void lw_source_dir_close(struct lw_source_dir **source_ptr)
{
	struct lw_source_dir *source = *source_ptr;
	struct lw_dir_file *file, *next;

	if (!source)
		return;
	(void)lw_close(source->inotify_fd);
	(void)lw_close(source->timer_fd);
	(void)lw_close(source->epoll_fd);
	for (file = source->files; file; file = next) {
		next = file->next;
		lw_dir_free_file(file);
	}
	lw_bytemap_clear(&source->items);
	free(source->path);
	free(source);
	*source_ptr = NULL;
}
