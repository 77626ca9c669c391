/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The source `--state DIR`: keeps a model equal to the objects in a folder of *.yaml, *.yml and
 * *.json files (not in its subfolders), watched with inotify.
 *
 * A file is read when its writer has closed it or it was moved in, and only if its bytes changed. A
 * file that goes away takes its objects along 100 ms later, unless one of its name came back by
 * then: editors replace files in two steps. A document or object that is bad gives a finding; the
 * last good version of it stays, and so do, when a document cannot be read at all, the other
 * objects the file had. The same object in two files: that of the first file by name counts, the
 * other is a finding. Also follows the `..data` symlink by which ConfigMap volumes swap all files
 * at once. A folder that goes away leaves the model as it is, and is looked for once a second.
 */
#include <stdbool.h>
#include <stddef.h>

#include "core/finding.h"
#include "core/model.h"

/* A file that is longer is a finding, and not read. */
#define LW_SOURCE_FILE_MAX (64u << 20)

struct lw_source_dir;

/*
 * Reads the folder into the model and starts watching. model and cb (may be NULL) must outlive it.
 * 0 or -errno when the folder cannot be read or watched.
 */
int lw_source_dir_open(const char *path, struct lw_model *model, lw_finding_cb cb, void *arg,
		       struct lw_source_dir **ret);
/* The words for such an error: what the kernel says of its bounds for inotify is what it says of open files and full disks. */
const char *lw_source_dir_strerror(int error);
/* forget is called with cb's arg, from lw_source_dir_dispatch(): of a file that is read anew, or that has gone. */
void lw_source_dir_set_forget(struct lw_source_dir *source, lw_finding_forget_cb forget);
/* Poll it for input, then call lw_source_dir_dispatch(). */
int lw_source_dir_fd(const struct lw_source_dir *source);
/*
 * Never blocks. 1 if the model changed, 0 if not, -errno: -ENOENT when the folder is gone (said
 * once; the model stays as it is), else what could not be read or watched, which is tried again at
 * the next call: within a second the descriptor asks for it.
 */
int lw_source_dir_dispatch(struct lw_source_dir *source);
/* No file has gone whose objects are to go, too, but have not yet, and none is being written. As of the last dispatch. */
bool lw_source_dir_settled(const struct lw_source_dir *source);
/* The folder is not there, or cannot be watched. As of the last dispatch. */
bool lw_source_dir_gone(const struct lw_source_dir *source);
/* Errors that hold now, over all files. */
size_t lw_source_dir_errors(const struct lw_source_dir *source);
/* Takes NULL; sets *source to NULL. The model keeps its objects. */
void lw_source_dir_close(struct lw_source_dir **source);
