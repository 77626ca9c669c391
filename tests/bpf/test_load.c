/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every program passes the kernel's verifier. The other tests need a kernel on which enrolling is safe; this one is for all
 * kernels that are supported. Of a program that does not pass, the end of the verifier's log is shown.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "kern/internal.h"
#include "../harness/lab.h"
#include "lw_notice.skel.h"
#include "lw_reads.skel.h"
#include "lw_selftest.skel.h"

#define LOG_SIZE (16u << 20)
#define LOG_SHOWN 6000
/* Of a million instructions that it follows at most. Kernels differ in how many it takes them, and some clang's code takes more. */
#define VERIFIED_MAX 800000

/* Instructions that the verifier has followed. */
static unsigned int verified(const struct bpf_program *p)
{
	struct bpf_prog_info info = { 0 };
	__u32 len = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(bpf_program__fd(p), &info, &len), 0);
	return info.verified_insns;
}

static int quiet(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	(void)format;
	(void)args;
	return 0;
}

/*
 * One program at a time, so that one that fails hides no other. Of those in `choice`, a list that ends in NULL, the agent uses
 * one, and not every kernel has each of them. One for fentry is left out where there is no such thing.
 */
static void load_each(struct bpf_object *(*open)(void), const char *what, const char *const *choice)
{
	char *log = malloc(LOG_SIZE);
	size_t n = 0, bad = 0, choices = 0, chosen = 0;
	char most_of[64] = "";
	unsigned int most = 0;
	bool more = true, fentry = lab_has_fentry();

	assert_non_null(log);
	for (size_t i = 0; more; i++) {
		struct bpf_object *obj = open();
		struct bpf_program *p, *one = NULL;
		bool optional = false;
		size_t at = 0;
		int r;

		assert_non_null(obj);
		bpf_object__for_each_program(p, obj)
		{
			bpf_program__set_autoload(p, at == i);
			if (at++ == i)
				one = p;
		}
		more = i + 1 < at;
		if (!one) {
			bpf_object__close(obj);
			break;
		}
		if (!fentry && bpf_program__expected_attach_type(one) == BPF_TRACE_FENTRY) {
			printf("n/a: %s, for fentry, which this kernel has not, or lets nobody use\n",
			       bpf_program__name(one));
			bpf_object__close(obj);
			continue;
		}
		n++;
		for (const char *const *c = choice; c && *c; c++)
			optional |= !strcmp(*c, bpf_program__name(one));
		log[0] = '\0';
		bpf_program__set_log_buf(one, log, LOG_SIZE);
		/* the log is asked for only when loading fails without one */
		r = bpf_object__load(obj);
		choices += optional;
		chosen += optional && !r;
		if (r) {
			size_t len = strlen(log);

			bad += !optional;
			fprintf(stderr, "%s: %s does not load. The end of the log:\n%s\n", what,
				bpf_program__name(one),
				log + (len > LOG_SHOWN ? len - LOG_SHOWN : 0));
		} else if (verified(one) > most) {
			most = verified(one);
			snprintf(most_of, sizeof(most_of), "%s", bpf_program__name(one));
		}
		bpf_object__close(obj);
	}
	free(log);
	printf("%s: %zu programs; the verifier follows most of %s, %u instructions\n", what, n,
	       most_of, most);
	assert_true(n > 0);
	assert_int_equal(bad, 0);
	assert_true(!choices || chosen);
	assert_true(most < VERIFIED_MAX);
}

static struct bpf_object *open_lanes(void)
{
	size_t size;
	const void *elf = lw_lanes_bpf__elf_bytes(&size);

	return bpf_object__open_mem(elf, size, NULL);
}

static struct bpf_object *open_notice(void)
{
	size_t size;
	const void *elf = lw_notice_bpf__elf_bytes(&size);

	return bpf_object__open_mem(elf, size, NULL);
}

static struct bpf_object *open_selftest(void)
{
	size_t size;
	const void *elf = lw_selftest_bpf__elf_bytes(&size);

	return bpf_object__open_mem(elf, size, NULL);
}

static struct bpf_object *open_reads(void)
{
	size_t size;
	const void *elf = lw_reads_bpf__elf_bytes(&size);

	return bpf_object__open_mem(elf, size, NULL);
}

static void test_lanes(void **state)
{
	(void)state;
	load_each(open_lanes, "lw_lanes", NULL);
}

static void test_selftest(void **state)
{
	(void)state;
	load_each(open_selftest, "lw_selftest", NULL);
}

/*
 * Also those that the agent would not use here: the hook of all system calls is for kernels that cannot attach the others, which
 * are none of those that are tested.
 */
static void test_notice(void **state)
{
	(void)state;
	load_each(open_notice, "lw_notice", NULL);
}

/* What pods have read and answered: see user/kern/reads.c */
static void test_reads(void **state)
{
	static const char *const senders[] = { "lw_sends", "lw_sends_locked", "lw_sent", NULL };

	(void)state;
	load_each(open_reads, "lw_reads", senders);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lanes),
		cmocka_unit_test(test_notice),
		cmocka_unit_test(test_selftest),
		cmocka_unit_test(test_reads),
	};

	libbpf_set_print(quiet);
	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
