/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill: brings a map of the agent's to its limit, as very many connections, threads or traces would.
 *   fill full MAP [N]  entries until there is no room, or N of them; says "ready", and puts one in wherever another goes; when it is
 *                      told anything on its standard input it takes its own out again
 *   fill churn MAP     in a map that pushes out the least used: says "ready" once each place has been taken, and goes on putting
 *                      in new ones until it is told anything; then says how many
 *   fill drop MAP      says "ready", and takes every entry out again and again until it is told anything; then says how many. As if
 *                      they were pushed out at once
 *   fill busy MAP [N]  in an array of places that programs take for themselves: takes them all, or those from number N on
 *   fill ring MAP      in a ring buffer: events that mean nothing, until there is no room; then says "ready"
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

#define KEY_MAX 512
#define TURN 1024 /* entries between two looks at standard input */

static int map;
static struct bpf_map_info info;
static unsigned char *value; /* of all CPUs, where each has its own */
static size_t share, size; /* bytes of it that are one CPU's, and all */
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
	union bpf_attr attr = { .map_fd = (uint32_t)map,
				.key = (uintptr_t)key,
				.value = (uintptr_t)value,
				.flags = BPF_NOEXIST };

	return bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static long take(const unsigned char *key)
{
	union bpf_attr attr = { .map_fd = (uint32_t)map, .key = (uintptr_t)key };

	return bpf(BPF_MAP_DELETE_ELEM, &attr);
}

static bool told_within(int ms)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static bool told(void)
{
	return told_within(0);
}

static void ready(void)
{
	puts("ready");
	fflush(stdout);
}

/* Up to `most` keys, `n` of which are in it: how many are then. */
static uint32_t put_all(unsigned char *keys, uint32_t n, uint32_t most)
{
	for (; n < most; n++) {
		make_key(keys + n * info.key_size);
		if (put(keys + n * info.key_size)) {
			if (errno == E2BIG)
				break;
			die("put an entry in");
		}
	}
	return n;
}

static int full(uint32_t most)
{
	unsigned char *keys = calloc(most, info.key_size);
	uint32_t n;

	if (!keys)
		die("keys");
	n = put_all(keys, 0, most);
	ready();
	while (!told_within(1))
		n = put_all(keys, n, most);
	while (n--)
		if (take(keys + n * info.key_size) && errno != ENOENT) /* the agent may have */
			die("take an entry out");
	return 0;
}

static int churn(void)
{
	unsigned char key[KEY_MAX];
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
	unsigned char key[KEY_MAX];
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

/* Whether a place is taken stands in its first four bytes. */
static void take_places(uint32_t from, uint32_t yes)
{
	for (uint32_t key = from; key < info.max_entries; key++) {
		union bpf_attr attr = { .map_fd = (uint32_t)map,
					.key = (uintptr_t)&key,
					.value = (uintptr_t)value };

		if (bpf(BPF_MAP_LOOKUP_ELEM, &attr))
			die("look at a place");
		for (size_t at = 0; at < size; at += share)
			memcpy(value + at, &yes, sizeof(yes));
		if (bpf(BPF_MAP_UPDATE_ELEM, &attr))
			die("take a place");
	}
}

static int busy(uint32_t from)
{
	take_places(from, 1);
	ready();
	(void)getchar();
	take_places(from, 0);
	return 0;
}

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define ZERO(o) INSN(BPF_ST | BPF_MEM | BPF_DW, 10, 0, o, 0)
#define SET(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)

/* Only a program can write to a ring. */
static int ring(void)
{
	/* struct lw_event is that long, and of type 0 there is none */
	const struct bpf_insn insns[] = {
		ZERO(-56),
		ZERO(-48),
		ZERO(-40),
		ZERO(-32),
		ZERO(-24),
		ZERO(-16),
		ZERO(-8),
		INSN(BPF_LD | BPF_IMM | BPF_DW, 1, BPF_PSEUDO_MAP_FD, 0, map),
		INSN(0, 0, 0, 0, 0),
		INSN(BPF_ALU64 | BPF_MOV | BPF_X, 2, 10, 0, 0),
		INSN(BPF_ALU64 | BPF_ADD | BPF_K, 2, 0, 0, -56),
		SET(3, 56),
		SET(4, 0),
		INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_ringbuf_output),
		INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0),
	};
	static const char packet[64];
	union bpf_attr attr = { .prog_type = BPF_PROG_TYPE_SOCKET_FILTER,
				.insns = (uintptr_t)insns,
				.insn_cnt = sizeof(insns) / sizeof(insns[0]),
				.license = (uintptr_t) "GPL" };
	int prog = (int)bpf(BPF_PROG_LOAD, &attr);

	if (prog < 0)
		die("load the program that fills a ring");
	do {
		attr = (union bpf_attr){ .test = { .prog_fd = (uint32_t)prog,
						   .data_in = (uintptr_t)packet,
						   .data_size_in = sizeof(packet),
						   .repeat = 64 } };
		if (bpf(BPF_PROG_TEST_RUN, &attr))
			die("run the program that fills a ring");
	} while (!attr.test.retval);
	ready();
	return 0;
}

/* How many there could be: a map of theirs has a value for each. */
static size_t possible_cpus(void)
{
	FILE *f = fopen("/sys/devices/system/cpu/possible", "r");
	unsigned int first, last = 0;

	if (!f || fscanf(f, "%u-%u", &first, &last) < 1)
		die("ask for the CPUs");
	fclose(f);
	return last + 1;
}

static void make_value(void)
{
	bool own = info.type == BPF_MAP_TYPE_PERCPU_HASH || info.type == BPF_MAP_TYPE_PERCPU_ARRAY;

	share = (info.value_size + 7) / 8 * 8;
	size = share * (own ? possible_cpus() : 1);
	value = calloc(1, size + 8);
	if (!value)
		die("value");
}

int main(int argc, char **argv)
{
	static const char *const hows[] = { "full", "churn", "drop", "busy", "ring" };
	union bpf_attr attr = {};
	uint32_t n;
	size_t how = 0;

	while (argc > 1 && how < 5 && strcmp(argv[1], hows[how]))
		how++;
	if (argc < 3 || argc > (how == 0 || how == 3 ? 4 : 3) || how == 5) {
		fputs("usage: fill full|churn|drop|busy|ring MAP\n       fill full|busy MAP N\n",
		      stderr);
		return 2;
	}
	n = argc == 4 ? (uint32_t)strtoul(argv[3], NULL, 0) : 0;
	attr.pathname = (uintptr_t)argv[2];
	map = (int)bpf(BPF_OBJ_GET, &attr);
	if (map < 0)
		die(argv[2]);
	attr = (union bpf_attr){ .info = { .bpf_fd = (uint32_t)map,
					   .info_len = sizeof(info),
					   .info = (uintptr_t)&info } };
	if (bpf(BPF_OBJ_GET_INFO_BY_FD, &attr))
		die("ask for the map's sizes");
	if (info.key_size > KEY_MAX || getrandom(&rng, sizeof(rng), 0) != sizeof(rng)) {
		fputs("fill: not this map\n", stderr);
		return 1;
	}
	rng |= 1;
	make_value();
	switch (how) {
	case 0:
		return full(argc == 4 ? n : info.max_entries);
	case 1:
		return churn();
	case 2:
		return drop();
	case 3:
		return busy(n);
	default:
		return ring();
	}
}
