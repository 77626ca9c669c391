/* SPDX-License-Identifier: Apache-2.0 */
/* Pods that are kept out are so while one agent follows another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/addr.h"
#include "kern/internal.h"
#include "two_pods.h"

static int setup(void **state)
{
	(void)state;
	return two_pods_start(&(struct lab_options){ .no_agent = true });
}

static bool is_kept(const struct lw_addr *addr)
{
	uint32_t value;

	return !bpf_map_lookup_elem(bpf_map__fd(lab_kern()->skel->maps.lw_kept_pods), addr, &value);
}

static void kept_out_during_a_takeover(void **state)
{
	struct lw_kern *first = lab_kern(), *second;
	struct lw_addr addrs[3];

	(void)state;
	assert_int_equal(lw_addr_parse("10.0.0.1", &addrs[0]), 0);
	assert_int_equal(lw_addr_parse("10.0.0.2", &addrs[1]), 0);
	assert_int_equal(lw_addr_parse("10.0.0.3", &addrs[2]), 0);
	assert_int_equal(lw_kern_keep_pods(first, addrs, 2), 0);
	assert_int_equal(lw_kern_open(&first->options, &second), 0);
	assert_true(lw_kern_adopts(second));
	/* it knows of no pod yet */
	assert_true(first->config->flags & LW_CONF_KEEPS_PODS);
	assert_true(is_kept(&addrs[0]) && is_kept(&addrs[1]));
	assert_int_equal(lw_kern_keep_pods(second, addrs + 1, 2), 0);
	assert_true(first->config->flags & LW_CONF_KEEPS_PODS);
	assert_true(!is_kept(&addrs[0]) && is_kept(&addrs[1]) && is_kept(&addrs[2]));
	assert_int_equal(lw_kern_kept_pods(second), 2);
	assert_int_equal(lw_kern_keep_pods(second, NULL, 0), 0);
	assert_false(first->config->flags & LW_CONF_KEEPS_PODS);
	assert_true(!is_kept(&addrs[1]) && !is_kept(&addrs[2]));
	lw_kern_supersede(second, true);
	lw_kern_close(&second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kept_out_during_a_takeover),
	};

	return !!cmocka_run_group_tests_name("kept", tests, setup, lab_teardown);
}
