/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/source_dir_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "conf/objects.h"
#include "conf/yaml_tree.h"

/* What the callbacks of one reading share. */
struct reading {
	struct lw_source_dir *source;
	struct lw_dir_file *file;
	const char *path;
	bool unknown; /* something could not be told what it is: nothing of the file goes */
};

/* ---- its objects ---- */

static size_t item_key(struct lw_bytes key[3], const unsigned char *kind, const char *ns,
		       const char *name)
{
	key[0] = (struct lw_bytes){ kind, 1 };
	key[1] = LW_BYTES_STR(ns);
	key[2] = LW_BYTES_STR(name);
	return 3;
}

/* Head of the items of that name in all files. */
static struct lw_dir_item *same_items(const struct lw_source_dir *source, enum lw_k8s_kind kind,
				      const char *ns, const char *name)
{
	unsigned char k = (unsigned char)kind;
	struct lw_bytes key[3];

	return lw_bytemap_get(&source->items, key, item_key(key, &k, ns, name));
}

static int set_same_items(struct lw_source_dir *source, const struct lw_dir_item *like,
			  struct lw_dir_item *head)
{
	unsigned char k = (unsigned char)like->kind;
	struct lw_bytes key[3];
	size_t n = item_key(key, &k, like->ns, like->name);

	if (head)
		return lw_bytemap_put(&source->items, key, n, head);
	(void)lw_bytemap_remove(&source->items, key, n);
	return 0;
}

static void free_item(struct lw_dir_item *item)
{
	lw_k8s_object_free(&item->shadow);
	free(item->ns);
	free(item->name);
	free(item);
}

/* NULL when out of memory. */
static struct lw_dir_item *add_item(struct lw_source_dir *source, struct lw_dir_file *file,
				    const struct lw_k8s_object *object)
{
	struct lw_dir_item *item = calloc(1, sizeof(*item));

	if (!item)
		return NULL;
	*item = (struct lw_dir_item){
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

static int put_in_force(struct lw_source_dir *source, struct lw_dir_item *item,
			struct lw_k8s_object *object)
{
	item->in_force = true;
	source->changed = true;
	return lw_model_upsert(source->model, object);
}

/* The item is no longer in its file's list. Another file's version takes its place, if there is
 * one. */
static int drop_item(struct lw_source_dir *source, struct lw_dir_item *item)
{
	struct lw_dir_item *head = same_items(source, item->kind, item->ns, item->name),
			   *best = NULL;
	struct lw_dir_item **at = &head;
	int r = 0;

	while (*at != item)
		at = &(*at)->next_same;
	*at = item->next_same;
	/* Never fails: the key is there. */
	(void)set_same_items(source, item, head);

	if (item->in_force) {
		for (struct lw_dir_item *other = head; other; other = other->next_same) {
			if (other->shadow &&
			    (!best || strcmp(other->file->name, best->file->name) < 0))
				best = other;
		}
		if (best) {
			/* that it is in another file too was told as an error of its file, which holds no longer */
			best->file->read = false;
			best->file->dirty = true;
			r = put_in_force(source, best, TAKE_PTR(best->shadow));
		} else if (lw_model_remove(source->model, item->kind, item->ns, item->name))
			source->changed = true;
	}
	free_item(item);
	return r;
}

int lw_dir_drop_items(struct lw_source_dir *source, struct lw_dir_file *file, bool all)
{
	struct lw_dir_item **at = &file->items, *item;
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

/* ---- reading it ---- */

void lw_dir_forget(struct lw_source_dir *source, struct lw_dir_file *file)
{
	_cleanup_free_ char *prefix = NULL;

	file->errors = 0;
	if (!file->told || !source->forget)
		return;
	if (asprintf(&prefix, "%s/%s:", source->path, file->name) < 0) {
		prefix = NULL;
		return;
	}
	file->told = false;
	source->forget(prefix, source->arg);
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	struct reading *reading = arg;

	reading->file->told = true;
	reading->file->errors += finding->severity == LW_FINDING_ERROR;
	if (reading->source->cb)
		reading->source->cb(finding, reading->source->arg);
}

static void complain(struct reading *reading, const char *text)
{
	lw_finding_emit(on_finding, reading, LW_FINDING_ERROR, "%s: %s", reading->path, text);
}

static void report_twice(struct reading *reading, const struct lw_k8s_object *object,
			 const struct lw_dir_file *other)
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
	struct lw_dir_item *item = NULL, *in_force = NULL, *other;

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
	/* A file that has gone is in nobody's way: as likely as not it has been renamed to this one. */
	if (in_force && in_force->file->gone_ns == 0 &&
	    strcmp(in_force->file->name, reading->file->name) < 0) {
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
	for (struct lw_dir_item *item = same_items(reading->source, kind, ns, name); item;
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

bool lw_dir_has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), suffix_len = strlen(suffix);

	return len > suffix_len && strcmp(name + len - suffix_len, suffix) == 0;
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

/*
 * Has a file that held objects lost all it had? Where the disk is full that is what is left of it: no object says so by having nothing in
 * it, and whoever wants them gone deletes the file.
 */
static bool is_emptied(const struct lw_dir_file *file, const char *text, size_t len)
{
	size_t blank = 0;

	while (blank < len && memchr(" \t\r\n", text[blank], 4))
		blank++;
	return file->items && blank == len;
}

/* For free(); NULL: out of memory. */
static char *path_of(const struct lw_source_dir *source, const struct lw_dir_file *file)
{
	char *path;

	return asprintf(&path, "%s/%s", source->path, file->name) < 0 ? NULL : path;
}

/* Follows links. All zero: there is none. */
static struct lw_dir_stamp stamp_of(const char *path)
{
	struct lw_dir_stamp stamp = {};
	struct stat st;

	if (stat(path, &st) == 0) {
		stamp.dev = st.st_dev;
		stamp.ino = st.st_ino;
		stamp.size = st.st_size;
		stamp.changed = st.st_ctim;
	}
	return stamp;
}

bool lw_dir_is_silent(const struct lw_source_dir *source, const struct lw_dir_file *file)
{
	_cleanup_free_ char *path = path_of(source, file);
	struct stat st;

	return path && lstat(path, &st) == 0 && (!S_ISREG(st.st_mode) || st.st_nlink > 1);
}

bool lw_dir_is_rewritten(const struct lw_source_dir *source, const struct lw_dir_file *file)
{
	_cleanup_free_ char *path = path_of(source, file);
	struct lw_dir_stamp now;

	if (!path)
		return false;
	now = stamp_of(path);
	return now.dev != file->stamp.dev || now.ino != file->stamp.ino ||
	       now.size != file->stamp.size || now.changed.tv_sec != file->stamp.changed.tv_sec ||
	       now.changed.tv_nsec != file->stamp.changed.tv_nsec;
}

static int read_file(struct lw_source_dir *source, struct lw_dir_file *file)
{
	_cleanup_free_ char *text = NULL, *path = path_of(source, file);
	struct reading reading = { .source = source, .file = file };
	uint64_t hash;
	size_t len = 0;
	int r;

	if (!path)
		return -ENOMEM;
	reading.path = path;
	file->dirty = false;
	file->silent = lw_dir_is_silent(source, file);
	file->stamp = stamp_of(path);
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
	lw_dir_drain(source);
	if (file->writing)
		return 0;
	file->gone_ns = 0;
	if (r < 0) {
		lw_dir_forget(source, file);
		file->read = false;
		file->again = r != -EFBIG && r != -EISDIR;
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
	lw_dir_forget(source, file);
	if (is_emptied(file, text, len)) {
		complain(
			&reading,
			"has become empty: what was in it stays in force; delete the file to take that away");
		return 0;
	}
	for (struct lw_dir_item *item = file->items; item; item = item->next)
		item->seen = false;
	r = lw_dir_has_suffix(file->name, ".json") ?
		    lw_json_each(text, len, on_document, &reading) :
		    lw_yaml_each(text, len, on_document, &reading);
	if (r == 0 && !reading.unknown)
		r = lw_dir_drop_items(source, file, false);
	if (r < 0)
		file->read = false;
	return r;
}

int lw_dir_read_file(struct lw_source_dir *source, struct lw_dir_file *file)
{
	int r = read_file(source, file);

	if (r < 0)
		file->again = true;
	return r;
}

void lw_dir_free_file(struct lw_dir_file *file)
{
	struct lw_dir_item *item, *next;

	for (item = file->items; item; item = next) {
		next = item->next;
		free_item(item);
	}
	free(file->name);
	free(file);
}
