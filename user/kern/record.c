/* SPDX-License-Identifier: Apache-2.0 */
#include "kern/record.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "kern/internal.h"

#define PIN "agent"
/* Far more than any build's record. */
#define VALUE_MAX (1 << 20)
#define FNV_START 14695981039346656037ull

static uint64_t fnv(uint64_t h, const void *data, size_t n)
{
	for (const unsigned char *p = data, *end = p + n; p < end; p++)
		h = (h ^ *p) * 1099511628211ull;
	return h;
}

uint64_t lw_record_build(void)
{
	static const uint32_t abi = LW_ABI_VERSION;
	size_t n = 0;
	const void *elf = lw_lanes_bpf__elf_bytes(&n);

	return fnv(fnv(FNV_START, elf, n), &abi, sizeof(abi));
}

uint64_t lw_record_program(void)
{
	_cleanup_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	uint64_t h = FNV_START;
	char buf[65536];
	ssize_t n;

	if (fd < 0)
		return 0;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		h = fnv(h, buf, (size_t)n);
	return n < 0 ? 0 : h;
}

uint64_t lw_record_cgroup(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_ino;
}

static int open_pin(const char *dir, struct bpf_map_info *ret)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	__u32 len = sizeof(*ret);

	memset(ret, 0, sizeof(*ret));
	if (asprintf(&path, "%s/" PIN, dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	fd = bpf_obj_get(path);
	if (fd < 0 || bpf_obj_get_info_by_fd(fd, ret, &len))
		return -errno;
	return TAKE_FD(fd);
}

int lw_record_read(const char *dir, struct lw_record *ret, uint32_t *ret_id)
{
	struct bpf_map_info info;
	_cleanup_close_ int fd = open_pin(dir, &info);
	_cleanup_free_ char *value = NULL;
	uint32_t zero = 0;

	if (fd < 0)
		return fd;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size < sizeof(uint64_t) ||
	    info.value_size > VALUE_MAX)
		return -EPROTO;
	value = calloc(1, info.value_size > sizeof(*ret) ? info.value_size : sizeof(*ret));
	if (!value)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &zero, value))
		return -errno;
	memcpy(ret, value, sizeof(*ret));
	ret->socket[sizeof(ret->socket) - 1] = '\0';
	*ret_id = info.id;
	return 0;
}

int lw_record_write(const char *dir, const struct lw_record *record)
{
	struct bpf_map_info info;
	_cleanup_close_ int fd = open_pin(dir, &info);
	_cleanup_free_ char *path = NULL;
	uint32_t zero = 0;
	bool is_new = fd < 0;

	if (is_new)
		fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "lw_agent", sizeof(zero), sizeof(*record),
				    1, NULL);
	if (fd < 0 || bpf_map_update_elem(fd, &zero, record, BPF_ANY))
		return -errno;
	if (!is_new)
		return 0;
	if (asprintf(&path, "%s/" PIN, dir) < 0) {
		path = NULL;
		return -ENOMEM;
	}
	return bpf_obj_pin(fd, path) ? -errno : 0;
}

void lw_record_put_tests(struct lw_record *record, const struct lw_selftest_result *tests)
{
	for (record->ntests = 0; tests->name && record->ntests < LW_RECORD_TESTS;
	     tests++, record->ntests++) {
		record->tests[record->ntests].ok = tests->ok;
		record->tests[record->ntests].keeps = tests->keeps;
		record->tests[record->ntests].past = tests->past;
		(void)lw_str_copy(record->tests[record->ntests].name, sizeof(record->tests[0].name),
				  tests->name);
		(void)lw_str_copy(record->tests[record->ntests].detail,
				  sizeof(record->tests[0].detail), tests->detail);
	}
}

struct lw_selftest_result *lw_record_get_tests(const struct lw_record *record)
{
	_cleanup_free_ struct lw_selftest_result *all = calloc(LW_RECORD_TESTS + 1, sizeof(*all));

	if (!all || record->ntests > LW_RECORD_TESTS)
		return NULL;
	for (size_t i = 0; i < record->ntests; i++) {
		if (!lw_selftest_name(record->tests[i].name, &all[i]))
			return NULL;
		all[i].ok = record->tests[i].ok;
		all[i].keeps = record->tests[i].keeps;
		all[i].past = record->tests[i].past;
		(void)snprintf(all[i].detail, sizeof(all[i].detail), "%.*s",
			       (int)sizeof(record->tests[i].detail) - 1, record->tests[i].detail);
	}
	return TAKE_PTR(all);
}
