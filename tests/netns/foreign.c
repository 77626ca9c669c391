/* SPDX-License-Identifier: Apache-2.0 */
/*
 * foreign: what another eBPF product may have where the agent's programs are. Says "ready", and takes all away at the end
 * of its standard input.
 *   foreign sockets CGROUP    every connection made below CGROUP enters a sockhash with an sk_msg program, as soon as
 *                             it is established; at the end: "messages N", how many that program has seen
 *   foreign connect CGROUP    a program at connect4 that lets everything pass, beside others
 *   foreign balancer CGROUP SERVICE POD   connections to the address SERVICE go to POD, and getpeername says SERVICE
 *   foreign alone CGROUP      the same, but tolerates no other beside it
 *   foreign tc PATH           a classifier that says "accept, and no further program", pinned at PATH for tc(8)
 *   foreign tcx DEVICE        the same, attached to the egress of DEVICE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <net/if.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LICENSE "GPL"
/* enum bpf_attach_type of 6.6; older headers end before it. */
#define TCX_EGRESS 47

#define INSN(c, d, s, o, i) \
	((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define SET(d, i) INSN(BPF_ALU64 | BPF_MOV | BPF_K, d, 0, 0, i)
#define COPY(d, s) INSN(BPF_ALU64 | BPF_MOV | BPF_X, d, s, 0, 0)
#define ADD(d, i) INSN(BPF_ALU64 | BPF_ADD | BPF_K, d, 0, 0, i)
#define LOAD32(d, s, o) INSN(BPF_LDX | BPF_MEM | BPF_W, d, s, o, 0)
#define STORE32(d, s, o) INSN(BPF_STX | BPF_MEM | BPF_W, d, s, o, 0)
#define JUMP_IF(d, i, o) INSN(BPF_JMP | BPF_JEQ | BPF_K, d, 0, o, i)
#define JUMP_IF32(d, i, o) INSN(BPF_JMP32 | BPF_JEQ | BPF_K, d, 0, o, i)
#define SET32(d, i) INSN(BPF_ALU | BPF_MOV | BPF_K, d, 0, 0, i)
#define CALL(f) INSN(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define MAP(d, fd) INSN(BPF_LD | BPF_IMM | BPF_DW, d, BPF_PSEUDO_MAP_FD, 0, fd), INSN(0, 0, 0, 0, 0)
#define ADD_TO(d, s, o) INSN(BPF_STX | BPF_ATOMIC | BPF_DW, d, s, o, BPF_ADD)
#define END INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)

static long bpf(int cmd, union bpf_attr *attr)
{
	return syscall(SYS_bpf, cmd, attr, sizeof(*attr));
}

static int must(long r, const char *what)
{
	if (r < 0) {
		fprintf(stderr, "foreign: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return (int)r;
}

static int new_map(uint32_t type, uint32_t key, uint32_t value, uint32_t entries)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = key, .value_size = value, .max_entries = entries
	};

	return must(bpf(BPF_MAP_CREATE, &attr), "make a map");
}

static int load(const char *name, uint32_t type, uint32_t attach, const struct bpf_insn *insns,
		size_t n)
{
	static char log[16384];
	union bpf_attr attr = {
		.prog_type = type,
		.expected_attach_type = attach,
		.insns = (uint64_t)(uintptr_t)insns,
		.insn_cnt = (uint32_t)n,
		.license = (uint64_t)(uintptr_t)LICENSE,
		.log_buf = (uint64_t)(uintptr_t)log,
		.log_size = sizeof(log),
		.log_level = 1,
	};
	int fd;

	strncpy(attr.prog_name, name, sizeof(attr.prog_name) - 1);
	fd = (int)bpf(BPF_PROG_LOAD, &attr);
	if (fd < 0)
		fprintf(stderr, "%s", log);
	return must(fd, name);
}
#define LOAD(name, type, attach, insns) \
	load(name, type, attach, insns, sizeof(insns) / sizeof((insns)[0]))

static void attach_to(int prog, int target, uint32_t type, uint32_t flags)
{
	union bpf_attr attr = { .target_fd = (uint32_t)target,
				.attach_bpf_fd = (uint32_t)prog,
				.attach_type = type,
				.attach_flags = flags };

	(void)must(bpf(BPF_PROG_ATTACH, &attr), "attach");
}

static void detach_from(int prog, int target, uint32_t type)
{
	union bpf_attr attr = { .target_fd = (uint32_t)target,
				.attach_bpf_fd = (uint32_t)prog,
				.attach_type = type };

	(void)must(bpf(BPF_PROG_DETACH, &attr), "detach");
}

static int open_cgroup(const char *path)
{
	return must(open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), path);
}

static void wait_for_the_end(void)
{
	char buf[64];

	printf("ready\n");
	fflush(stdout);
	while (read(0, buf, sizeof(buf)) > 0)
		;
}

static int sockets(const char *path)
{
	int cgroup = open_cgroup(path), hash = new_map(BPF_MAP_TYPE_SOCKHASH, 4, 8, 65536),
	    count = new_map(BPF_MAP_TYPE_ARRAY, 4, 8, 1);
	const struct bpf_insn msg[] = {
		SET(1, 0),
		STORE32(10, 1, -4),
		COPY(2, 10),
		ADD(2, -4),
		MAP(1, count),
		CALL(BPF_FUNC_map_lookup_elem),
		JUMP_IF(0, 0, 2),
		SET(1, 1),
		ADD_TO(0, 1, 0),
		SET(0, 1),
		END,
	};
	const struct bpf_insn ops[] = {
		LOAD32(2, 1, offsetof(struct bpf_sock_ops, op)),
		JUMP_IF(2, BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB, 2),
		SET(0, 1),
		END,
		LOAD32(2, 1, offsetof(struct bpf_sock_ops, local_port)),
		STORE32(10, 2, -4),
		MAP(2, hash),
		COPY(3, 10),
		ADD(3, -4),
		SET(4, BPF_ANY),
		CALL(BPF_FUNC_sock_hash_update),
		SET(0, 1),
		END,
	};
	uint64_t seen = 0;
	uint32_t zero = 0;
	union bpf_attr look = { .map_fd = (uint32_t)count,
				.key = (uint64_t)(uintptr_t)&zero,
				.value = (uint64_t)(uintptr_t)&seen };
	int prog = LOAD("foreign_msg", BPF_PROG_TYPE_SK_MSG, BPF_SK_MSG_VERDICT, msg), hook;

	attach_to(prog, hash, BPF_SK_MSG_VERDICT, 0);
	hook = LOAD("foreign_ops", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS, ops);
	attach_to(hook, cgroup, BPF_CGROUP_SOCK_OPS, BPF_F_ALLOW_MULTI);
	wait_for_the_end();
	detach_from(hook, cgroup, BPF_CGROUP_SOCK_OPS);
	(void)must(bpf(BPF_MAP_LOOKUP_ELEM, &look), "count");
	printf("messages %llu\n", (unsigned long long)seen);
	return 0;
}

static int at_connect(const char *path, uint32_t flags)
{
	const struct bpf_insn pass[] = { SET(0, 1), END };
	int cgroup = open_cgroup(path);
	int prog = LOAD("foreign_connect", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT,
			pass);

	attach_to(prog, cgroup, BPF_CGROUP_INET4_CONNECT, flags);
	wait_for_the_end();
	detach_from(prog, cgroup, BPF_CGROUP_INET4_CONNECT);
	return 0;
}

/* In place of the address `from` the program's context is to have `to`. */
static int replace(const char *name, uint32_t attach, in_addr_t from, in_addr_t to)
{
	const int16_t at = offsetof(struct bpf_sock_addr, user_ip4);
	const struct bpf_insn insns[] = {
		LOAD32(2, 1, at),
		JUMP_IF32(2, (int32_t)from, 2),
		SET(0, 1),
		END,
		SET32(2, (int32_t)to),
		STORE32(1, 2, at),
		SET(0, 1),
		END,
	};

	return LOAD(name, BPF_PROG_TYPE_CGROUP_SOCK_ADDR, attach, insns);
}

static int balancer(const char *path, const char *service, const char *pod)
{
	int cgroup = open_cgroup(path), there, back;

	there = replace("foreign_there", BPF_CGROUP_INET4_CONNECT, inet_addr(service),
			inet_addr(pod));
	back = replace("foreign_back", BPF_CGROUP_INET4_GETPEERNAME, inet_addr(pod),
		       inet_addr(service));
	attach_to(there, cgroup, BPF_CGROUP_INET4_CONNECT, BPF_F_ALLOW_MULTI);
	attach_to(back, cgroup, BPF_CGROUP_INET4_GETPEERNAME, BPF_F_ALLOW_MULTI);
	wait_for_the_end();
	detach_from(there, cgroup, BPF_CGROUP_INET4_CONNECT);
	detach_from(back, cgroup, BPF_CGROUP_INET4_GETPEERNAME);
	return 0;
}

static int classifier(const char *path, const char *device)
{
	const struct bpf_insn accept[] = { SET(0, 0), END };
	int prog = LOAD("foreign_tc", BPF_PROG_TYPE_SCHED_CLS, 0, accept);

	if (device) {
		int index = (int)if_nametoindex(device);

		attach_to(prog, index, TCX_EGRESS, 0);
		wait_for_the_end();
		detach_from(prog, index, TCX_EGRESS);
	} else {
		union bpf_attr pin = { .pathname = (uint64_t)(uintptr_t)path,
				       .bpf_fd = (uint32_t)prog };

		(void)must(bpf(BPF_OBJ_PIN, &pin), path);
		wait_for_the_end();
		unlink(path);
	}
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "sockets"))
		return sockets(argv[2]);
	if (argc == 3 && !strcmp(argv[1], "connect"))
		return at_connect(argv[2], BPF_F_ALLOW_MULTI);
	if (argc == 5 && !strcmp(argv[1], "balancer"))
		return balancer(argv[2], argv[3], argv[4]);
	if (argc == 3 && !strcmp(argv[1], "alone"))
		return at_connect(argv[2], 0);
	if (argc == 3 && !strcmp(argv[1], "tc"))
		return classifier(argv[2], NULL);
	if (argc == 3 && !strcmp(argv[1], "tcx"))
		return classifier(NULL, argv[2]);
	fprintf(stderr, "usage: see foreign.c\n");
	return 2;
}
