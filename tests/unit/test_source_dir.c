/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/source_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../harness/yaml_model.h"
#include "base/cleanup.h"
#include "base/clock.h"

#define POD(name) "{apiVersion: v1, kind: Pod, metadata: {name: " name "}}\n"
#define POD_ON(name, node) \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name "}, spec: {nodeName: " node "}}\n"
#define BAD_POD(name) \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name "}, spec: {nodeName: 1}}\n"

struct fixture {
	char dir[64];
	struct lw_model *model;
	struct lw_source_dir *source;
	struct lw_test_findings findings;
};

static void path_of(const struct fixture *f, const char *name, char path[160])
{
	(void)snprintf(path, 160, "%s/%s", f->dir, name);
}

static void write_file(const struct fixture *f, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	path_of(f, name, path);
	file = fopen(path, "we");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static void remove_file(const struct fixture *f, const char *name)
{
	char path[160];

	path_of(f, name, path);
	assert_int_equal(unlink(path), 0);
}

static void rename_file(const struct fixture *f, const char *from, const char *to)
{
	char from_path[160], to_path[160];

	path_of(f, from, from_path);
	path_of(f, to, to_path);
	assert_int_equal(rename(from_path, to_path), 0);
}

static char forgotten[256];

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/lw-source-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	assert_int_equal(lw_model_new(&f->model), 0);
	*state = f;
	return 0;
}

static void empty_folder(const char *dir)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;

	while (d && (entry = readdir(d))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			(void)(unlinkat(dirfd(d), entry->d_name, 0) == 0 ||
			       unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR) == 0);
	}
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_source_dir_close(&f->source);
	lw_model_free(&f->model);
	empty_folder(f->dir);
	(void)rmdir(f->dir);
	free(f);
	return 0;
}

static void open_source(struct fixture *f)
{
	assert_int_equal(
		lw_source_dir_open(f->dir, f->model, lw_test_finding, &f->findings, &f->source), 0);
}

/* As an event loop: dispatches until the model has changed; fails if nothing comes of it for a minute. */
static void wait_change(struct fixture *f)
{
	struct pollfd fd = { .fd = lw_source_dir_fd(f->source), .events = POLLIN };
	uint64_t until = lw_clock_ns() + 60 * LW_NS_PER_SEC;
	int r = 0;

	while (r == 0) {
		/* it looks each second by itself */
		if (poll(&fd, 1, 60000) != 1 || lw_clock_ns() > until)
			fail_msg("no change came");
		r = lw_source_dir_dispatch(f->source);
	}
	assert_int_equal(r, 1);
}

/* What there is to be dispatched changes nothing. */
static void no_change(struct fixture *f)
{
	assert_int_equal(lw_source_dir_dispatch(f->source), 0);
}

static const struct lw_k8s_object *pod(const struct fixture *f, const char *name)
{
	return lw_model_get(f->model, LW_K8S_POD, "default", name);
}

static size_t pods(const struct fixture *f)
{
	return lw_model_count(f->model, LW_K8S_POD);
}

static void reads_what_is_there(void **state)
{
	struct fixture *f = *state;
	char path[160];

	write_file(f, "a.yaml", POD("a") "---\n" POD("b"));
	write_file(f, "b.yml", POD("c"));
	write_file(f, "c.json",
		   "{\"apiVersion\": \"v1\", \"kind\": \"Pod\", \"metadata\": {\"name\": \"d\"}}");
	write_file(f, "d.txt", POD("e"));
	write_file(f, ".e.yaml", POD("e"));
	write_file(f, "f.yaml~", POD("e"));
	path_of(f, "sub.yaml", path);
	assert_int_equal(mkdir(path, 0755), 0);
	open_source(f);
	assert_int_equal(pods(f), 4);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_source_dir_errors(f->source), 0);
	no_change(f);
}

static void a_change_is_followed(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", POD_ON("a", "n1") "---\n" POD("b"));
	open_source(f);
	write_file(f, "a.yaml", POD_ON("a", "n2") "---\n" POD("c"));
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	assert_null(pod(f, "b"));
	assert_non_null(pod(f, "c"));

	/* The same bytes again are no change. */
	write_file(f, "a.yaml", POD_ON("a", "n2") "---\n" POD("c"));
	no_change(f);

	write_file(f, "new.yaml", POD("d"));
	wait_change(f);
	assert_int_equal(pods(f), 3);
	write_file(f, "tmp", POD("e"));
	no_change(f);
	rename_file(f, "tmp", "moved.yaml");
	wait_change(f);
	assert_non_null(pod(f, "e"));
	remove_file(f, "new.yaml");
	wait_change(f);
	assert_null(pod(f, "d"));
	rename_file(f, "moved.yaml", "moved.bak");
	wait_change(f);
	assert_int_equal(pods(f), 2);
}

static void a_file_being_written_is_left_alone(void **state)
{
	_cleanup_fclose_ FILE *file = NULL;
	struct fixture *f = *state;
	char path[160];

	write_file(f, "a.yaml", POD("a") "---\n" POD("b"));
	open_source(f);
	path_of(f, "a.yaml", path);
	file = fopen(path, "we"); /* it is empty now */
	assert_non_null(file);
	no_change(f);
	assert_true(fputs(POD("a"), file) >= 0 && fflush(file) == 0);
	no_change(f);
	assert_int_equal(pods(f), 2);
	assert_true(fputs("---\n" POD("c"), file) >= 0);
	assert_int_equal(fclose(TAKE_PTR(file)), 0);
	wait_change(f);
	assert_int_equal(pods(f), 2);
	assert_non_null(pod(f, "c"));
}

/* As on a full disk: that is no word of the objects that were in it. */
static void an_emptied_file_takes_nothing_away(void **state)
{
	struct fixture *f = *state;

	write_file(f, "empty.yaml", "");
	write_file(f, "a.yaml", POD("a") "---\n" POD("b"));
	open_source(f);
	assert_string_equal(f->findings.text, "");
	write_file(f, "a.yaml", " \n");
	no_change(f);
	assert_non_null(strstr(f->findings.text,
			       "/a.yaml: has become empty: what was in it stays in"
			       " force; delete the file to take that away\n"));
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	assert_int_equal(pods(f), 2);
	write_file(f, "a.yaml", POD("a"));
	wait_change(f);
	assert_int_equal(pods(f), 1);
	assert_int_equal(lw_source_dir_errors(f->source), 0);
	write_file(f, "a.yaml", "");
	no_change(f);
	remove_file(f, "a.yaml");
	wait_change(f);
	assert_int_equal(pods(f), 0);
	assert_int_equal(lw_source_dir_errors(f->source), 0);
}

static void an_editor_replaces_a_file_in_two_steps(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", POD_ON("a", "n1"));
	open_source(f);
	assert_true(lw_source_dir_settled(f->source));
	rename_file(f, "a.yaml", "a.yaml~");
	no_change(f);
	assert_non_null(pod(f, "a"));
	assert_false(lw_source_dir_settled(f->source));
	write_file(f, "a.yaml", POD_ON("a", "n2"));
	wait_change(f);
	assert_true(lw_source_dir_settled(f->source));
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	/* Its time does not run on. */
	remove_file(f, "a.yaml~");
	write_file(f, "b.yaml", POD("b"));
	remove_file(f, "b.yaml");
	write_file(f, "b.yaml", POD("b"));
	wait_change(f);
	assert_int_equal(pods(f), 2);
}

static void the_last_good_version_stays(void **state)
{
	struct fixture *f = *state;
	char line[256];

	write_file(f, "a.yaml", POD_ON("a", "n1") "---\n" POD("b"));
	open_source(f);
	write_file(f, "a.yaml", BAD_POD("a") "---\n" POD_ON("b", "n9"));
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	assert_string_equal(pod(f, "b")->pod.node, "n9");
	(void)snprintf(
		line, sizeof(line),
		"%s/a.yaml:1: document 1: Pod default/a: spec.nodeName: expected a string, got the integer 1\n",
		f->dir);
	assert_string_equal(f->findings.text, line);
	assert_int_equal(lw_source_dir_errors(f->source), 1);

	/* A document nobody can read: what the file had stays. */
	write_file(f, "a.yaml", "a: [\n---\n" POD("c"));
	wait_change(f);
	assert_int_equal(pods(f), 3);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	assert_int_equal(lw_source_dir_errors(f->source), 1);

	/* All is well again: what is no longer there goes. */
	write_file(f, "a.yaml", POD("c"));
	wait_change(f);
	assert_int_equal(pods(f), 1);
	assert_int_equal(lw_source_dir_errors(f->source), 0);

	/* Bad from the first: there is nothing to stay. */
	write_file(f, "z.yaml", BAD_POD("z"));
	no_change(f);
	assert_null(pod(f, "z"));
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	remove_file(f, "z.yaml");
	write_file(f, "a.yaml", POD("c") "---\n" POD("c"));
	wait_change(f);
	assert_non_null(strstr(f->findings.text,
			       "Pod default/c: is in this file twice: the first counts\n"));
	assert_int_equal(pods(f), 1);
}

static void the_first_file_by_name_counts(void **state)
{
	struct fixture *f = *state;

	write_file(f, "b.yaml", POD_ON("a", "of-b"));
	write_file(f, "c.yaml", POD_ON("a", "of-c"));
	open_source(f);
	assert_string_equal(pod(f, "a")->pod.node, "of-b");
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(
		f->findings.text,
		"/c.yaml:1: document 1: Pod default/a: is in b.yaml too: that one counts\n"));
	assert_int_equal(lw_source_dir_errors(f->source), 1);

	/* One that comes before takes over. */
	write_file(f, "a.yaml", POD_ON("a", "of-a"));
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "of-a");
	assert_int_equal(lw_source_dir_errors(f->source), 2);

	/* When the one in force goes, the next by name has its turn. */
	remove_file(f, "a.yaml");
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "of-b");
	write_file(f, "b.yaml", POD("other"));
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "of-c");
	write_file(f, "c.yaml", "# nothing\n");
	wait_change(f);
	assert_null(pod(f, "a"));
	assert_int_equal(pods(f), 1);
	assert_int_equal(lw_source_dir_errors(f->source), 0);
}

/* What was told of a file that has gone holds no longer. */
static void a_file_gets_another_name(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", POD("a") "---\n" POD("b"));
	open_source(f);
	rename_file(f, "a.yaml", "b.yaml");
	wait_change(f);
	while (!lw_source_dir_settled(f->source))
		(void)lw_source_dir_dispatch(f->source);
	assert_int_equal(pods(f), 2);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_source_dir_errors(f->source), 0);

	/* Copied first, and then taken away. */
	write_file(f, "c.yaml", POD("a") "---\n" BAD_POD("c") "---\n" POD("b"));
	no_change(f);
	assert_int_equal(lw_source_dir_errors(f->source), 3);
	remove_file(f, "b.yaml");
	wait_change(f);
	assert_int_equal(pods(f), 2);
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	no_change(f);
	write_file(f, "c.yaml", "# nothing\n");
	wait_change(f);
	assert_int_equal(pods(f), 0);
	assert_int_equal(lw_source_dir_errors(f->source), 0);
}

static void a_config_map_swaps_all_files_at_once(void **state)
{
	struct fixture *f = *state;
	char path[160], target[64];

	for (int i = 1; i <= 2; i++) {
		(void)snprintf(target, sizeof(target), "..%d", i);
		path_of(f, target, path);
		assert_int_equal(mkdir(path, 0755), 0);
		(void)snprintf(target, sizeof(target), "..%d/a.yaml", i);
		write_file(f, target, i == 1 ? POD_ON("a", "n1") : POD_ON("a", "n2"));
	}
	path_of(f, "..data", path);
	assert_int_equal(symlink("..1", path), 0);
	path_of(f, "a.yaml", path);
	assert_int_equal(symlink("..data/a.yaml", path), 0);
	open_source(f);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	path_of(f, "..data_tmp", path);
	assert_int_equal(symlink("..2", path), 0);
	rename_file(f, "..data_tmp", "..data");
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	/* A link that is made, where no writer closes anything. */
	path_of(f, "b.yaml", path);
	write_file(f, "b", POD("b"));
	assert_int_equal(symlink("b", path), 0);
	wait_change(f);
	assert_non_null(pod(f, "b"));
	/* What it leads to is written, or replaced, and no event tells of that. */
	write_file(f, "b", POD_ON("b", "n3"));
	wait_change(f);
	assert_string_equal(pod(f, "b")->pod.node, "n3");
	write_file(f, "b.new", POD_ON("b", "n4"));
	rename_file(f, "b.new", "b");
	wait_change(f);
	assert_string_equal(pod(f, "b")->pod.node, "n4");
	remove_file(f, "b");
	wait_change(f);
	assert_null(pod(f, "b"));
	write_file(f, "b", POD_ON("b", "n5"));
	wait_change(f);
	assert_string_equal(pod(f, "b")->pod.node, "n5");
	remove_file(f, "..1/a.yaml");
	remove_file(f, "..2/a.yaml");
}

/* No writer closes what is no file: it is told of at once, as when it had been there before. */
static void what_is_no_file_is_told_of(void **state)
{
	struct fixture *f = *state;
	char path[160];

	open_source(f);
	path_of(f, "pipe.yaml", path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_true(lw_source_dir_dispatch(f->source) >= 0);
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	assert_non_null(strstr(f->findings.text, "expected a file"));
	remove_file(f, "pipe.yaml");
}

/* What is being written is not taken up, and not passed over in silence. */
static void until_a_file_is_closed_it_is_not_settled(void **state)
{
	struct fixture *f = *state;
	char path[160];
	FILE *out;

	write_file(f, "a.yaml", POD_ON("a", "n1"));
	open_source(f);
	path_of(f, "a.yaml", path);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_true(fputs(POD_ON("a", "n2"), out) >= 0);
	assert_int_equal(fflush(out), 0);
	assert_true(lw_source_dir_dispatch(f->source) >= 0);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	assert_false(lw_source_dir_settled(f->source));
	assert_int_equal(fclose(out), 0);
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	assert_true(lw_source_dir_settled(f->source));
}

/* No event tells that there are descriptors again: without another try the state of before would stay, and count as what there is. */
static void without_a_descriptor_it_is_tried_again(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none;
	char path[160];
	int fd, first, second;

	path_of(f, "..1", path);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(f, "..1/a.yaml", POD_ON("a", "n1"));
	path_of(f, "..2", path);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(f, "..2/a.yaml", POD_ON("a", "n2"));
	path_of(f, "..data", path);
	assert_int_equal(symlink("..1", path), 0);
	path_of(f, "a.yaml", path);
	assert_int_equal(symlink("..data/a.yaml", path), 0);
	open_source(f);
	path_of(f, "..data_tmp", path);
	assert_int_equal(symlink("..2", path), 0);
	rename_file(f, "..data_tmp", "..data");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	none = (struct rlimit){ (rlim_t)fd, limit.rlim_max };
	assert_int_equal(close(fd), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	first = lw_source_dir_dispatch(f->source);
	second = lw_source_dir_dispatch(f->source);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(first, -EMFILE);
	assert_int_equal(second, -EMFILE);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	remove_file(f, "..1/a.yaml");
	remove_file(f, "..2/a.yaml");
}

/* Nor one that a file beyond a link can be read again, which lies elsewhere. */
static void a_file_that_cannot_be_read_is_tried_again(void **state)
{
	struct fixture *f = *state;
	char path[160];

	path_of(f, "loop", path);
	assert_int_equal(symlink("loop", path), 0);
	path_of(f, "b.yaml", path);
	assert_int_equal(symlink("loop", path), 0);
	open_source(f);
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	no_change(f);
	assert_int_equal(lw_source_dir_errors(f->source), 1);
	remove_file(f, "loop");
	write_file(f, "loop", POD("b"));
	wait_change(f);
	assert_non_null(pod(f, "b"));
	assert_int_equal(lw_source_dir_errors(f->source), 0);
}

/* As who checks out each revision beside the last does it. */
static void the_path_is_turned_to_another_folder(void **state)
{
	struct fixture *f = *state;
	char path[160], folder[64];

	(void)strcpy(folder, f->dir);
	path_of(f, "v1", path);
	assert_int_equal(mkdir(path, 0755), 0);
	path_of(f, "v2", path);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(f, "v1/a.yaml", POD_ON("a", "n1") "---\n" POD("b"));
	write_file(f, "v2/a.yaml", POD_ON("a", "n2"));
	path_of(f, "now", path);
	assert_int_equal(symlink("v1", path), 0);
	(void)strcat(f->dir, "/now");
	open_source(f);
	(void)strcpy(f->dir, folder);
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	path_of(f, "next", path);
	assert_int_equal(symlink("v2", path), 0);
	rename_file(f, "next", "now");
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	write_file(f, "v1/a.yaml", POD_ON("a", "n3"));
	no_change(f);
	write_file(f, "v2/b.yaml", POD("b"));
	wait_change(f);
	assert_int_equal(pods(f), 2);
	for (int i = 1; i <= 2; i++) {
		(void)snprintf(folder, sizeof(folder), "v%d/a.yaml", i);
		remove_file(f, folder);
	}
	remove_file(f, "v2/b.yaml");
}

/* That takes no descriptor to notice, and one to read it: until there is one, what is in force is not what there is. */
static void the_path_is_turned_where_no_descriptor_is_left(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, none;
	char path[160], folder[64];
	int fd, first, second;

	(void)strcpy(folder, f->dir);
	path_of(f, "v1", path);
	assert_int_equal(mkdir(path, 0755), 0);
	path_of(f, "v2", path);
	assert_int_equal(mkdir(path, 0755), 0);
	write_file(f, "v1/a.yaml", POD_ON("a", "n1"));
	write_file(f, "v2/a.yaml", POD_ON("a", "n2"));
	path_of(f, "now", path);
	assert_int_equal(symlink("v1", path), 0);
	(void)strcat(f->dir, "/now");
	open_source(f);
	(void)strcpy(f->dir, folder);
	path_of(f, "next", path);
	assert_int_equal(symlink("v2", path), 0);
	rename_file(f, "next", "now");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	none = (struct rlimit){ (rlim_t)fd, limit.rlim_max };
	assert_int_equal(close(fd), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	first = lw_source_dir_dispatch(f->source);
	second = lw_source_dir_dispatch(f->source);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(first, -EMFILE);
	assert_int_equal(second, -EMFILE);
	assert_false(lw_source_dir_gone(f->source));
	assert_string_equal(pod(f, "a")->pod.node, "n1");
	wait_change(f);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
	/* it is the new one that is watched */
	write_file(f, "v2/b.yaml", POD("b"));
	wait_change(f);
	assert_non_null(pod(f, "b"));
	remove_file(f, "v1/a.yaml");
	remove_file(f, "v2/a.yaml");
	remove_file(f, "v2/b.yaml");
}

/* What is there cannot be watched: that is said for as long as it is so, and not that the folder is back. */
static void a_folder_that_cannot_be_watched(void **state)
{
	struct fixture *f = *state;
	FILE *file;

	write_file(f, "a.yaml", POD_ON("a", "n1"));
	open_source(f);
	remove_file(f, "a.yaml");
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(lw_source_dir_dispatch(f->source), -ENOENT);
	assert_int_equal(lw_source_dir_dispatch(f->source), 0);
	assert_true(lw_source_dir_gone(f->source));
	file = fopen(f->dir, "we");
	assert_non_null(file);
	assert_int_equal(fclose(file), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(lw_source_dir_dispatch(f->source), -ENOTDIR);
		assert_true(lw_source_dir_gone(f->source));
	}
	assert_non_null(pod(f, "a"));
	assert_int_equal(unlink(f->dir), 0);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	write_file(f, "a.yaml", POD_ON("a", "n2"));
	assert_int_equal(lw_source_dir_dispatch(f->source), 1);
	assert_false(lw_source_dir_gone(f->source));
	assert_string_equal(pod(f, "a")->pod.node, "n2");
}

static void a_folder_that_goes_and_comes_back(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", POD("a"));
	open_source(f);
	remove_file(f, "a.yaml");
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(lw_source_dir_dispatch(f->source), -ENOENT);
	assert_int_equal(lw_source_dir_dispatch(f->source), 0);
	assert_non_null(pod(f, "a"));
	/* its objects stay, and it is looked for once a second, not all the time */
	assert_true(lw_source_dir_settled(f->source));
	assert_int_equal(
		poll(&(struct pollfd){ .fd = lw_source_dir_fd(f->source), .events = POLLIN }, 1,
		     300),
		0);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	write_file(f, "b.yaml", POD("b"));
	wait_change(f);
	assert_non_null(pod(f, "b"));
	while (pod(f, "a"))
		wait_change(f);
}

/* `laneway status` may ask before the next look: what it is told must not be of before. */
static void a_folder_that_is_back_is_read_at_once(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", POD_ON("a", "n1"));
	open_source(f);
	remove_file(f, "a.yaml");
	assert_int_equal(rmdir(f->dir), 0);
	assert_int_equal(lw_source_dir_dispatch(f->source), -ENOENT);
	assert_int_equal(mkdir(f->dir, 0755), 0);
	write_file(f, "a.yaml", POD_ON("a", "n2"));
	assert_int_equal(lw_source_dir_dispatch(f->source), 1);
	assert_string_equal(pod(f, "a")->pod.node, "n2");
}

static void forget(const char *prefix, void *arg)
{
	(void)arg;
	(void)strncat(forgotten, strrchr(prefix, '/'), sizeof(forgotten) - strlen(forgotten) - 1);
}

/* What was wrong in a file is no more once it has been read anew, whatever else is. */
static void findings_are_forgotten_with_their_file(void **state)
{
	struct fixture *f = *state;

	write_file(f, "a.yaml", "a: [");
	write_file(f, "b.yaml", "b: [");
	write_file(f, "c.yaml", POD("c"));
	open_source(f);
	lw_source_dir_set_forget(f->source, forget);
	assert_int_equal(lw_source_dir_errors(f->source), 2);
	forgotten[0] = '\0';
	write_file(f, "c.yaml", POD_ON("c", "n1"));
	wait_change(f);
	assert_string_equal(forgotten, "");
	write_file(f, "a.yaml", POD("a"));
	wait_change(f);
	assert_string_equal(forgotten, "/a.yaml:");
	/* the same once more is no news, another fault is */
	write_file(f, "b.yaml", "b: [");
	no_change(f);
	assert_string_equal(forgotten, "/a.yaml:");
	write_file(f, "b.yaml", "b: {");
	no_change(f);
	assert_string_equal(forgotten, "/a.yaml:/b.yaml:");
	remove_file(f, "b.yaml");
	remove_file(f, "c.yaml");
	wait_change(f);
	assert_string_equal(forgotten, "/a.yaml:/b.yaml:/b.yaml:");
	assert_int_equal(lw_source_dir_errors(f->source), 0);
}

static void what_cannot_be_opened(void **state)
{
	struct lw_source_dir *source = NULL;
	struct fixture *f = *state;
	char path[160];

	path_of(f, "nothing", path);
	assert_int_equal(lw_source_dir_open(path, f->model, NULL, NULL, &source), -ENOENT);
	write_file(f, "file", "");
	path_of(f, "file", path);
	assert_int_equal(lw_source_dir_open(path, f->model, NULL, NULL, &source), -ENOTDIR);
	assert_null(source);

	path_of(f, "big.yaml", path);
	write_file(f, "big.yaml", POD("a"));
	assert_int_equal(truncate(path, (off_t)LW_SOURCE_FILE_MAX + 1), 0);
	write_file(f, "ok.yaml", POD("b"));
	open_source(f);
	assert_int_equal(pods(f), 1);
	assert_non_null(strstr(f->findings.text, "/big.yaml: expected at most 64 MiB: not read\n"));
	assert_int_equal(lw_source_dir_errors(f->source), 1);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(reads_what_is_there),
		T(a_change_is_followed),
		T(a_file_being_written_is_left_alone),
		T(an_emptied_file_takes_nothing_away),
		T(an_editor_replaces_a_file_in_two_steps),
		T(the_last_good_version_stays),
		T(the_first_file_by_name_counts),
		T(a_file_gets_another_name),
		T(a_config_map_swaps_all_files_at_once),
		T(what_is_no_file_is_told_of),
		T(until_a_file_is_closed_it_is_not_settled),
		T(without_a_descriptor_it_is_tried_again),
		T(a_file_that_cannot_be_read_is_tried_again),
		T(the_path_is_turned_to_another_folder),
		T(the_path_is_turned_where_no_descriptor_is_left),
		T(a_folder_that_cannot_be_watched),
		T(a_folder_that_goes_and_comes_back),
		T(a_folder_that_is_back_is_read_at_once),
		T(findings_are_forgotten_with_their_file),
		T(what_cannot_be_opened),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
