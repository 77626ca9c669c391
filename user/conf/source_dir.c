/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/source_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/objects.h"
#include "conf/yaml_tree.h"
#include "core/bytemap.h"

/* How long a file that has gone may take to come back before its objects go. */
#define GONE_MS 100
/* How often a folder that has gone is looked for. */
#define LOST_MS 1000
#define WATCHED                                                                             \
	(IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | \
	 IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)
/* Rounds of one dispatch; then the event loop gets its turn. */
#define ROUNDS_MAX 16

/* An object that a file has, or had when it could last be read. */
struct item {
	struct item *
		next_same; /* the same object in other files; the list's head is in source->items */
	struct item *next; /* of the file */
	struct file *file;
	enum lw_k8s_kind kind;
	char *ns, *name;
	bool in_force; /* the model has this file's version */
	bool seen; /* in the reading that is going on: well or badly */
	struct lw_k8s_object *shadow; /* unless in force: what would be, if the other file went */
};

struct file {
	struct file *next; /* by name */
	char *name;
	struct item *items;
	uint64_t hash; /* of its bytes */
	size_t errors;
	uint64_t gone_ns; /* when it went; 0: it is there */
	bool read; /* hash is set */
	bool dirty; /* to be read */
	bool writing; /* somebody is; wait for the close */
	bool present; /* found by the scan that is going on */
};

struct lw_source_dir {
	char *path;
	struct lw_model *model;
	lw_finding_cb cb;
	void *arg;
	int inotify_fd, timer_fd,
		epoll_fd; /* none of the folder: its removal is only told when nobody has it open */
	struct file *files;
	struct lw_bytemap items; /* struct item, by kind, namespace and name */
	bool lost; /* the folder is gone */
	bool lost_said;
	bool rescan;
	bool changed; /* the model, in the dispatch that is going on */
};

/* What the callbacks of one reading share. */
struct reading {
	struct lw_source_dir *source;
	struct file *file;
	const char *path;
	bool unknown; /* something could not be told what it is: nothing of the file goes */
};

/* ---- items ---- */

static size_t item_key(struct lw_bytes key[3], const unsigned char *kind, const char *ns,
		       const char *name)
{
	key[0] = (struct lw_bytes){ kind, 1 };
	key[1] = LW_BYTES_STR(ns);
	key[2] = LW_BYTES_STR(name);
	return 3;
}

/* Head of the items of that name in all files. */
static struct item *same_items(const struct lw_source_dir *source, enum lw_k8s_kind kind,
			       const char *ns, const char *name)
{
	unsigned char k = (unsigned char)kind;
	struct lw_bytes key[3];

	return lw_bytemap_get(&source->items, key, item_key(key, &k, ns, name));
}

static int set_same_items(struct lw_source_dir *source, const struct item *like, struct item *head)
{
	unsigned char k = (unsigned char)like->kind;
	struct lw_bytes key[3];
	size_t n = item_key(key, &k, like->ns, like->name);

	if (head)
		return lw_bytemap_put(&source->items, key, n, head);
	(void)lw_bytemap_remove(&source->items, key, n);
	return 0;
}

static void free_item(struct item *item)
{
	lw_k8s_object_free(&item->shadow);
	free(item->ns);
	free(item->name);
	free(item);
}

/* NULL when out of memory. */
static struct item *add_item(struct lw_source_dir *source, struct file *file,
			     const struct lw_k8s_object *object)
{
	struct item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	*item = (struct item){
		.file = file,
		.kind = object->kind,
		.ns = strdup(object->meta.ns),
		.name = strdup(object->meta.name),
	};
	if (item->ns && item->name) {
		item->next_same = same_items(source, item->kind, item->ns, item->name);
		if (set_same_items(source, item, item) == 0) {
			item->next = file->items;
			file->items = item;
			return item;
		}
	}
	free_item(item);
	return NULL;
}

static int put_in_force(struct lw_source_dir *source, struct item *item,
			struct lw_k8s_object *object)
{
	item->in_force = true;
	source->changed = true;
	return lw_model_upsert(source->model, object);
}

/* The item is no longer in its file's list. Another file's version takes its place, if there is
 * one. */
static int drop_item(struct lw_source_dir *source, struct item *item)
{
	struct item *head = same_items(source, item->kind, item->ns, item->name), *best = NULL;
	struct item **at = &head;
	int r = 0;

	while (*at != item)
		at = &(*at)->next_same;
	*at = item->next_same;
	/* Never fails: the key is there. */
	(void)set_same_items(source, item, head);

	if (item->in_force) {
		for (struct item *other = head; other; other = other->next_same) {
			if (other->shadow &&
			    (!best || strcmp(other->file->name, best->file->name) < 0))
				best = other;
		}
		if (best)
			r = put_in_force(source, best, TAKE_PTR(best->shadow));
		else if (lw_model_remove(source->model, item->kind, item->ns, item->name))
			source->changed = true;
	}
	free_item(item);
	return r;
}

/* Drops the items of a file that the last reading did not see; all of them if all is set. */
static int drop_items(struct lw_source_dir *source, struct file *file, bool all)
{
	struct item **at = &file->items, *item;
	int r = 0;

	while ((item = *at)) {
		if (item->seen && !all) {
			at = &item->next;
			continue;
		}
		*at = item->next;
		if (drop_item(source, item) < 0)
			r = -ENOMEM;
	}
	return r;
}

/* ---- reading a file ---- */

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct reading *reading = arg;

	reading->file->errors += finding->severity == LW_FINDING_ERROR;
	if (reading->source->cb)
		reading->source->cb(finding, reading->source->arg);
}

static void complain(struct reading *reading, const char *text)
{
	lw_finding_emit(on_finding, reading, LW_FINDING_ERROR, "%s: %s", reading->path, text);
}

static void report_twice(struct reading *reading, const struct lw_k8s_object *object,
			 const struct file *other)
{
	lw_finding_emit(on_finding, reading, LW_FINDING_ERROR, "%s: %s %s/%s: %s%s%s",
			object->meta.origin, lw_k8s_kind_name(object->kind), object->meta.ns,
			object->meta.name,
			other ? "is in " : "is in this file twice: the first counts",
			other ? other->name : "", other ? " too: that one counts" : "");
}

static int on_object(struct lw_k8s_object *object, void *arg)
{
	struct reading *reading = arg;
	struct lw_source_dir *source = reading->source;
	struct item *item = NULL, *in_force = NULL, *other;

	other = same_items(source, object->kind, object->meta.ns, object->meta.name);
	for (; other; other = other->next_same) {
		if (other->file == reading->file)
			item = other;
		else if (other->in_force)
			in_force = other;
	}
	if (item && item->seen) {
		report_twice(reading, object, NULL);
		lw_k8s_object_free(&object);
		return 0;
	}
	if (!item)
		item = add_item(source, reading->file, object);
	if (!item) {
		lw_k8s_object_free(&object);
		return -ENOMEM;
	}
	item->seen = true;
	lw_k8s_object_free(&item->shadow);
	if (in_force && strcmp(in_force->file->name, reading->file->name) < 0) {
		report_twice(reading, object, in_force->file);
		item->shadow = object;
		return 0;
	}
	if (in_force) {
		/* Its version goes with the model's; read again, it is this one's shadow. */
		in_force->in_force = false;
		in_force->file->read = false;
		in_force->file->dirty = true;
	}
	return put_in_force(source, item, object);
}

static void on_bad(enum lw_k8s_kind kind, const char *ns, const char *name, void *arg)
{
	struct reading *reading = arg;

	if (!name) {
		reading->unknown = true;
		return;
	}
	for (struct item *item = same_items(reading->source, kind, ns, name); item;
	     item = item->next_same) {
		if (item->file == reading->file)
			item->seen = true;
	}
}

static int on_document(const struct lw_tree_document *document, void *arg)
{
	struct reading *reading = arg;
	const struct lw_objects_reader reader = {
		.file = reading->path,
		.document = document->number,
		.finding = on_finding,
		.object = on_object,
		.bad = on_bad,
		.arg = reading,
	};

	if (!document->error)
		return lw_objects_read(&reader, document->root, document->line);
	lw_finding_emit(on_finding, reading, LW_FINDING_ERROR, "%s:%u: document %zu: %s",
			reading->path, document->line, document->number, document->error);
	reading->unknown = true;
	return 0;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
}

static bool is_wanted(const char *name)
{
	return name[0] != '.' &&
	       (has_suffix(name, ".yaml") || has_suffix(name, ".yml") || has_suffix(name, ".json"));
}

/* All of the file. 0, -EFBIG, -EISDIR (no regular file), or another -errno. */
static int slurp(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_free_ char *text = NULL;
	size_t len = 0, room;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EISDIR;
	if (st.st_size > LW_SOURCE_FILE_MAX)
		return -EFBIG;
	room = (size_t)st.st_size + 4096;
	text = malloc(room);
	if (!text)
		return -ENOMEM;
	for (;;) {
		ssize_t n = read(fd, text + len, room - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
		if (len == room) { /* it grows while it is read; whoever writes will close it */
			if (len > LW_SOURCE_FILE_MAX)
				return -EFBIG;
			room *= 2;
			char *more = realloc(text, room);

			if (!more)
				return -ENOMEM;
			text = more;
		}
	}
	*ret = TAKE_PTR(text);
	*ret_len = len;
	return 0;
}

static void drain(struct lw_source_dir *source);

static int read_file(struct lw_source_dir *source, struct file *file)
{
	_cleanup_free_ char *text = NULL, *path = NULL;
	struct reading reading = { .source = source, .file = file };
	uint64_t hash;
	size_t len = 0;
	int r;

	if (asprintf(&path, "%s/%s", source->path, file->name) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	reading.path = path;
	file->dirty = false;
	r = slurp(path, &text, &len);
	if (r == -ENOENT) {
		if (file->gone_ns == 0)
			file->gone_ns = lw_clock_ns();
		return 0;
	}
	if (r == -ENOMEM)
		return r;
	/* Who writes now has begun before it was read, or not: what was read may be half. The close
	 * brings it here again. */
	drain(source);
	if (file->writing)
		return 0;
	file->gone_ns = 0;
	if (r < 0) {
		file->errors = 0;
		file->read = false;
		complain(&reading, r == -EFBIG	? "expected at most 64 MiB: not read" :
				   r == -EISDIR ? "expected a file: not read" :
						  strerror(-r));
		return 0;
	}
	hash = lw_bytes_hash(text, len, 0);
	if (file->read && file->hash == hash)
		return 0;
	file->read = true;
	file->hash = hash;
	file->errors = 0;
	for (struct item *item = file->items; item; item = item->next)
		item->seen = false;
	r = has_suffix(file->name, ".json") ? lw_json_each(text, len, on_document, &reading) :
					      lw_yaml_each(text, len, on_document, &reading);
	if (r == 0 && !reading.unknown)
		r = drop_items(source, file, false);
	if (r < 0)
		file->read = false;
	return r;
}

/* ---- files ---- */

static struct file *find_file(const struct lw_source_dir *source, const char *name)
{
	struct file *file = source->files;

	while (file && strcmp(file->name, name) != 0)
		file = file->next;
	return file;
}

/* NULL when out of memory. */
static struct file *get_file(struct lw_source_dir *source, const char *name)
{
	struct file **at = &source->files, *file = find_file(source, name);

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

static void free_file(struct file *file)
{
	struct item *item, *next;

	for (item = file->items; item; item = next) {
		next = item->next;
		free_item(item);
	}
	free(file->name);
	free(file);
}

/* Marks what is in the folder to be read, and what is not as gone. */
static int scan(struct lw_source_dir *source)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	struct file *file;

	source->rescan = false;
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
	return 0;
}

/* Files that have been gone for long enough. */
static int drop_files(struct lw_source_dir *source)
{
	struct file **at = &source->files, *file;
	uint64_t now = lw_clock_ns();
	int r = 0;

	while ((file = *at)) {
		if (file->gone_ns == 0 || file->dirty ||
		    now - file->gone_ns < GONE_MS * LW_NS_PER_MS) {
			at = &file->next;
			continue;
		}
		*at = file->next;
		if (drop_items(source, file, true) < 0)
			r = -ENOMEM;
		free_file(file);
	}
	return r;
}

static int read_files(struct lw_source_dir *source)
{
	int result = 0, r;
	bool again;

	do {
		again = false;
		for (struct file *file = source->files; file; file = file->next) {
			if (!file->dirty || file->writing)
				continue;
			r = read_file(source, file);
			if (r < 0)
				result = r;
			again = true;
		}
	} while (again);
	return result;
}

/* ---- events ---- */

/* Of a link there is no close to wait for. */
static bool is_link(const struct lw_source_dir *source, const char *name)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", source->path, name) < 0) {
		path = NULL;
		return false;
	}
	return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
}

static void on_event(struct lw_source_dir *source, const struct inotify_event *event)
{
	const char *name = event->len > 0 ? event->name : "";
	struct file *file;

	if (event->mask & IN_Q_OVERFLOW) {
		for (file = source->files; file; file = file->next)
			file->writing = false;
		source->rescan = true;
		return;
	}
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
		if (is_link(source, name))
			file->dirty = true;
	}
}

/* Takes in all events there are. */
static void drain(struct lw_source_dir *source)
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

/* For the first file to be dropped, or for looking for the folder. */
static void set_timer(struct lw_source_dir *source)
{
	struct itimerspec when = {};
	uint64_t now = lw_clock_ns(), wait_ns = UINT64_MAX;

	/* without the folder none is dropped */
	for (const struct file *file = source->files; file && !source->lost; file = file->next) {
		uint64_t due = file->gone_ns + GONE_MS * LW_NS_PER_MS;

		if (file->gone_ns != 0 && wait_ns > (due > now ? due - now : 1))
			wait_ns = due > now ? due - now : 1;
	}
	if (source->lost && wait_ns > LOST_MS * LW_NS_PER_MS)
		wait_ns = LOST_MS * LW_NS_PER_MS;
	if (wait_ns != UINT64_MAX) {
		when.it_value.tv_sec = (time_t)(wait_ns / LW_NS_PER_SEC);
		when.it_value.tv_nsec = (long)(wait_ns % LW_NS_PER_SEC);
	}
	(void)timerfd_settime(source->timer_fd, 0, &when, NULL);
}

/* Opens the folder and watches it; everything in it is to be read. */
static int watch(struct lw_source_dir *source)
{
	_cleanup_close_ int inotify_fd = -1;
	struct epoll_event event = { .events = EPOLLIN };

	inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (inotify_fd < 0 || inotify_add_watch(inotify_fd, source->path, WATCHED) < 0 ||
	    epoll_ctl(source->epoll_fd, EPOLL_CTL_ADD, inotify_fd, &event) < 0)
		return -errno;
	(void)lw_close(source->inotify_fd);
	source->inotify_fd = TAKE_FD(inotify_fd);
	for (struct file *file = source->files; file; file = file->next)
		file->writing = false;
	source->rescan = true;
	source->lost = source->lost_said = false;
	return 0;
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
	source->inotify_fd = source->timer_fd = source->epoll_fd = -1;
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
	r = watch(source);
	if (r < 0)
		return r;
	r = lw_source_dir_dispatch(source);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(source);
	return 0;
}

int lw_source_dir_fd(const struct lw_source_dir *source)
{
	return source->epoll_fd;
}

int lw_source_dir_dispatch(struct lw_source_dir *source)
{
	uint64_t expirations;
	int result = 0, r;

	source->changed = false;
	if (read(source->timer_fd, &expirations, sizeof(expirations)) > 0 && source->lost)
		(void)watch(source);
	drain(source);
	for (int round = 0; round < ROUNDS_MAX && !source->lost; round++) {
		bool any = source->rescan;

		for (const struct file *file = source->files; file && !any; file = file->next)
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
		drain(source);
	}
	if (!source->lost) {
		r = drop_files(source);
		if (r < 0)
			result = r;
	}
	set_timer(source);
	if (source->lost && !source->lost_said) {
		source->lost_said = true;
		result = -ENOENT;
	}
	return result < 0 ? result : source->changed;
}

bool lw_source_dir_settled(const struct lw_source_dir *source)
{
	for (const struct file *file = source->files; file && !source->lost; file = file->next)
		if (file->gone_ns != 0)
			return false;
	return true;
}

size_t lw_source_dir_errors(const struct lw_source_dir *source)
{
	size_t errors = 0;

	for (const struct file *file = source->files; file; file = file->next)
		errors += file->errors;
	return errors;
}

void lw_source_dir_close(struct lw_source_dir **source_ptr)
{
	struct lw_source_dir *source = *source_ptr;
	struct file *file, *next;

	if (!source)
		return;
	(void)lw_close(source->inotify_fd);
	(void)lw_close(source->timer_fd);
	(void)lw_close(source->epoll_fd);
	for (file = source->files; file; file = next) {
		next = file->next;
		free_file(file);
	}
	lw_bytemap_clear(&source->items);
	free(source->path);
	free(source);
	*source_ptr = NULL;
}
