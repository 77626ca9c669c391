/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the agent writes where programs may read waits for those that run: also on a kernel where membarrier() does not, one that
 * keeps processors free of ticks (nohz_full=).
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "busy.skel.h"
#include "kern/internal.h"

#define BUSY_NS (100 * LW_NS_PER_MS)

static struct busy_bpf *busy;
static struct lw_kern kern = { .wait_map = -1, .wait_inner = -1 };

static int setup(void **state)
{
	(void)state;
	busy = busy_bpf__open_and_load();
	assert_non_null(busy);
	busy->bss->busy_ns = BUSY_NS;
	return lw_wait_open(&kern);
}

static int teardown(void **state)
{
	(void)state;
	lw_wait_close(&kern);
	busy_bpf__destroy(busy);
	return 0;
}

static void *run(void *arg)
{
	char packet[64] = { 0 };
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = packet, .data_size_in = sizeof(packet));

	*(int *)arg = bpf_prog_test_run_opts(bpf_program__fd(busy->progs.busy), &opts);
	return NULL;
}

/* Refuses membarrier() as a kernel with nohz_full= does (kernel/sched/membarrier.c). */
static void refuse_membarrier(void)
{
	struct sock_filter insns[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_membarrier, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { .len = sizeof(insns) / sizeof(insns[0]), .filter = insns };

	assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

static void waits_for_what_runs(void **state)
{
	(void)state;
	refuse_membarrier();
	for (int i = 0; i < 3; i++) {
		pthread_t thread;
		int r = -1;

		busy->bss->began = busy->bss->ended = 0;
		assert_int_equal(pthread_create(&thread, NULL, run, &r), 0);
		while (!__atomic_load_n(&busy->bss->began, __ATOMIC_ACQUIRE))
			sched_yield();
		assert_int_equal(lw_wait_for_programs(&kern), 0);
		assert_int_equal(__atomic_load_n(&busy->bss->ended, __ATOMIC_ACQUIRE), 1);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(r, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(waits_for_what_runs) };

	return !!cmocka_run_group_tests_name("wait", tests, setup, teardown);
}
