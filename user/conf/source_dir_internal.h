/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * What the files of source_dir.h share; included by these only. source_dir.c has the folder and its events, dir_file.c the objects of
 * each file and how it is read.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "conf/source_dir.h"
#include "core/bytemap.h"
#include "core/k8s.h"

/* An object that a file has, or had when it could last be read. */
struct lw_dir_item {
	struct lw_dir_item *
		next_same; /* the same object in other files; the list's head is in source->items */
	struct lw_dir_item *next; /* of the file */
	struct lw_dir_file *file;
	enum lw_k8s_kind kind;
	char *ns, *name;
	bool in_force; /* the model has this file's version */
	bool seen; /* in the reading that is going on: well or badly */
	struct lw_k8s_object *shadow; /* unless in force: what would be, if the other file went */
};

/* Which version of a file it is. */
struct lw_dir_stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec changed; /* st_ctim: a write sets it, too */
};

struct lw_dir_file {
	struct lw_dir_file *next; /* by name */
	char *name;
	struct lw_dir_item *items;
	uint64_t hash; /* of its bytes */
	size_t errors;
	bool told; /* a finding, of its last reading */
	uint64_t gone_ns; /* when it went; 0: it is there */
	bool read; /* hash is set */
	bool dirty; /* to be read */
	bool again; /* it could not be: by the next dispatch */
	bool writing; /* somebody is; wait for the close */
	bool present; /* found by the scan that is going on */
	bool silent; /* it may be written without an event in the folder */
	struct lw_dir_stamp stamp; /* before it was last read; links are followed */
};

struct lw_source_dir {
	char *path;
	struct lw_model *model;
	lw_finding_cb cb;
	lw_finding_forget_cb forget; /* NULL: findings are kept by nobody */
	void *arg;
	int inotify_fd, timer_fd,
		epoll_fd; /* none of the folder: its removal is only told when nobody has it open */
	int watch; /* of inotify; -1: none */
	dev_t dev; /* of the folder that is watched */
	ino_t ino;
	struct lw_dir_file *files;
	struct lw_bytemap items; /* struct lw_dir_item, by kind, namespace and name */
	bool lost; /* the folder is gone, or cannot be watched */
	bool lost_said;
	bool rescan;
	bool scan_again; /* it could not be read: by the next dispatch */
	bool changed; /* the model, in the dispatch that is going on */
};

/* source_dir.c. Takes in all events there are. */
void lw_dir_drain(struct lw_source_dir *source);

/* dir_file.c. Each 0 or -errno. Reads it, unless its bytes are those of before; a bad object is reported, and its last good version stays. */
int lw_dir_read_file(struct lw_source_dir *source, struct lw_dir_file *file);
/* Drops the objects that the last reading did not see; all of them if all is set. */
int lw_dir_drop_items(struct lw_source_dir *source, struct lw_dir_file *file, bool all);
/* No finding of it holds any more. */
void lw_dir_forget(struct lw_source_dir *source, struct lw_dir_file *file);
/* What the model has of it stays. */
void lw_dir_free_file(struct lw_dir_file *file);
/* dir_file.c. Is it a link, or has it another name, by which it may be written without an event in the folder? Or is it no file at all? */
bool lw_dir_is_silent(const struct lw_source_dir *source, const struct lw_dir_file *file);
/* dir_file.c. Of such a one: is it another version than the one that was read? */
bool lw_dir_is_rewritten(const struct lw_source_dir *source, const struct lw_dir_file *file);
bool lw_dir_has_suffix(const char *name, const char *suffix);
