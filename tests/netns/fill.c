/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill: brings a map of the agent's to its limit, as very many connections, threads or traces would.
 *   fill full MAP    entries until there is no room; says "ready", and when it is told anything on its standard input takes them out again
 *   fill churn MAP   in a map that pushes out the least used: says "ready" once each place has been taken, and goes on putting
 *                    in new ones until it is told anything; then says how many
 *   fill drop MAP    says "ready", and takes every entry out again and again until it is told anything; then says how many. As if
 *                    they were pushed out at once
 * MAP is a path below the agent's bpffs. Keys are random, values zero.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE_MAX_ 32768
#define TURN 1024 /* entries between two looks at standard input */

static int map;
static struct bpf_map_info info;
static uint64_t rng;

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static void die(const char *what)
{
	fprintf(stderr, "fill: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_key(unsigned char *key)
{
	for (uint32_t i = 0; i < info.key_size; i++) {
		if (i % 8 == 0) {
			rng ^= rng << 13;
			rng ^= rng >> 7;
			rng ^= rng << 17;
		}
		key[i] = (unsigned char)(rng >> i % 8 * 8);
	}
}

static long put(const unsigned char *key)
{
	static const unsigned char value[SIZE_MAX_];
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)key, .value = (uintptr_t)value, .flags = BPF_NOEXIST };

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static long take(const unsigned char *key)
{
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)key };

	return bpf(BPF_MAP_DELETE_ELEM, &attr);
}

static bool told(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

static int full(void)
{
	unsigned char *keys = calloc(info.max_entries, info.key_size);
	uint32_t n = 0;

	if (!keys)
		die("keys");
	for (;; n++) {
		if (n == info.max_entries)
			break;
		make_key(keys + n * info.key_size);
		if (put(keys + n * info.key_size)) {
			if (errno == E2BIG)
				break;
			die("put an entry in");
		}
	}
	ready();
	(void)getchar();
	while (n--)
		if (take(keys + n * info.key_size))
			die("take an entry out");
	return 0;
}

static int churn(void)
{
	unsigned char key[512];
	uint64_t n = 0;

	do {
		for (unsigned int i = 0; i < TURN; i++, n++) {
			make_key(key);
			if (put(key))
				die("put an entry in");
			if (n == info.max_entries)
				ready();
		}
	} while (n <= info.max_entries || !told());
	printf("%llu\n", (unsigned long long)n);
	return 0;
}

static int drop(void)
{
	unsigned char key[512];
	union bpf_attr attr = { .map_fd = (uint32_t)map, .next_key = (uintptr_t)key };
	uint64_t n = 0;

	ready();
	while (!told()) {
		while (!bpf(BPF_MAP_GET_NEXT_KEY, &attr))
			n += !take(key);
		usleep(200);
	}
	printf("%llu\n", (unsigned long long)n);
	return 0;
}

int main(int argc, char **argv)
{
	union bpf_attr attr = {};

	if (argc != 3 || (strcmp(argv[1], "full") && strcmp(argv[1], "churn") && strcmp(argv[1], "drop"))) {
		fputs("usage: fill full|churn|drop MAP\n", stderr);
		return 2;
	}
	attr.pathname = (uintptr_t)argv[2];
	map = (int)bpf(BPF_OBJ_GET, &attr);
	if (map < 0)
		die(argv[2]);
	attr = (union bpf_attr){ .info = { .bpf_fd = (uint32_t)map, .info_len = sizeof(info), .info = (uintptr_t)&info } };
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		die("ask for the map's sizes");
	if (info.key_size > 512 || info.value_size > SIZE_MAX_ || getrandom(&rng, sizeof(rng), 0) != sizeof(rng)) {
		fputs("fill: not this map\n", stderr);
		return 1;
	}
	rng |= 1;
	return !strcmp(argv[1], "full") ? full() : !strcmp(argv[1], "drop") ? drop() : churn();
}
