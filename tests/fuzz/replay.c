/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fuzz target without libFuzzer: every file of its corpus once, tests/fuzz/corpus/NAME for a program called NAME. Each is named
 * first, so that the last one named is the one that broke it.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int only_files(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static int run(const char *path)
{
	FILE *f = fopen(path, "re");
	uint8_t *data = NULL;
	size_t size = 0;
	long end;

	if (!f || fseek(f, 0, SEEK_END) || (end = ftell(f)) < 0 || fseek(f, 0, SEEK_SET)) {
		perror(path);
		return 1;
	}
	/* of its own size, so that nothing is read behind it */
	data = malloc((size_t)end);
	if (data)
		size = fread(data, 1, (size_t)end, f);
	(void)fclose(f);
	if (size != (size_t)end) {
		fprintf(stderr, "%s: %zu of %ld bytes read\n", path, size, end);
		free(data);
		return 1;
	}
	printf("%s\n", path);
	(void)fflush(stdout);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 0;
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	char folder[256], path[512];
	int n, bad = 0;

	(void)argc;
	(void)snprintf(folder, sizeof(folder), "tests/fuzz/corpus/%s",
		       strrchr(argv[0], '/') ? strrchr(argv[0], '/') + 1 : argv[0]);
	n = scandir(folder, &entries, only_files, alphasort);
	if (n <= 0) {
		fprintf(stderr, "%s: %s\n", folder, n < 0 ? strerror(errno) : "nothing in it");
		return 1;
	}
	(void)setenv("FUZZ_ALL", "1", 1);
	for (int i = 0; i < n; i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		bad |= run(path);
		free(entries[i]);
	}
	free(entries);
	printf("%d inputs\n", n);
	return bad;
}
