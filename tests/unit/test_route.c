/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where a request goes whose lane is known, as the kernel programs decide it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "laneway/abi.h"

#define N(array) (sizeof(array) / sizeof((array)[0]))
#define SLOT 1
#define GROUP 5
#define GRAY 1
#define BLUE 2
#define EMPTY 3 /* a lane without a ready pod */
#define ZERO 4 /* a lane whose row says that there is none */

static const struct lw_group *get_group(__u32 slot, __u32 group, __u32 lane)
{
	static const struct lw_group some = { .count = 2 }, none = { .count = 0 };

	if (slot != SLOT || group != GROUP)
		return NULL;
	return lane == ZERO ? &none : lane <= BLUE ? &some : NULL;
}

#define lw_get_group(slot, group, lane) get_group(slot, group, lane)
#include "laneway/route.h"

static struct lw_peer peer_of(unsigned lane, unsigned flags)
{
	struct lw_pod pod = { .workload = 7, .lane = lane, .flags = flags };
	struct lw_peer peer;

	lw_peer_is(&peer, &pod, 0);
	return peer;
}

/* Whom it serves: base, and each lane. */
static void serves(const struct lw_peer *peer, bool base, bool gray, bool blue)
{
	assert_int_equal(lw_peer_serves(peer, 0), base);
	assert_int_equal(lw_peer_serves(peer, GRAY), gray);
	assert_int_equal(lw_peer_serves(peer, BLUE), blue);
}

static void test_peer(void **state)
{
	const struct lw_pod outside = { .lane = GRAY, .flags = LW_POD_READY };
	struct lw_peer peer;

	(void)state;
	peer = peer_of(0, LW_POD_READY);
	serves(&peer, true, false, false);
	peer = peer_of(GRAY, LW_POD_READY);
	serves(&peer, false, true, false);
	peer = peer_of(GRAY, LW_POD_READY | LW_POD_BASE);
	serves(&peer, true, true, false);
	/* no pod, and one that is in the state for its flags alone */
	lw_peer_is(&peer, NULL, 0);
	serves(&peer, true, false, false);
	lw_peer_is(&peer, &outside, 0);
	serves(&peer, true, false, false);
}

/* It takes no new request of anybody; a base pod does, ready or not. */
static void test_leaves(void **state)
{
	static const unsigned flags[] = { 0, LW_POD_READY | LW_POD_TERMINATING, LW_POD_BASE,
					  LW_POD_READY | LW_POD_TERMINATING | LW_POD_BASE,
					  LW_POD_TERMINATING | LW_POD_OLD };
	struct lw_peer peer;

	(void)state;
	for (size_t i = 0; i < N(flags); i++) {
		peer = peer_of(GRAY, flags[i]);
		assert_int_equal(peer.lane, LW_LANE_ONCE);
		serves(&peer, false, false, false);
		peer = peer_of(0, flags[i]);
		serves(&peer, true, false, false);
	}
}

/* It may be a canary: no request is for it, base ones neither. */
static void test_unknown(void **state)
{
	const struct lw_pod pod = { .workload = 7, .flags = LW_POD_READY };
	struct lw_peer peer;

	(void)state;
	lw_peer_is(&peer, NULL, 1);
	serves(&peer, false, false, false);
	lw_peer_is(&peer, &pod, 1);
	serves(&peer, false, false, false);
}

/* What a pod asks itself, while it is in its own lane. Base's is not, where the pod is for base requests only as long as it is ready. */
static void test_client(void **state)
{
	struct lw_peer peer;

	(void)state;
	peer = peer_of(GRAY, 0);
	lw_peer_is_client(&peer, GRAY);
	serves(&peer, false, true, false);
	peer = peer_of(GRAY, LW_POD_READY | LW_POD_TERMINATING | LW_POD_OLD);
	lw_peer_is_client(&peer, 0);
	serves(&peer, true, false, false);
	peer = peer_of(GRAY, LW_POD_READY | LW_POD_BASE);
	lw_peer_is_client(&peer, GRAY);
	serves(&peer, true, true, false);
	peer = peer_of(GRAY, LW_POD_BASE);
	lw_peer_is_client(&peer, GRAY);
	serves(&peer, false, true, false);
}

static void test_target(void **state)
{
	(void)state;
	assert_int_equal(lw_target_lane(SLOT, GROUP, GRAY, 0), GRAY);
	assert_int_equal(lw_target_lane(SLOT, GROUP, 0, 0), 0);
	assert_int_equal(lw_target_lane(SLOT, GROUP, EMPTY, 0), 0);
	assert_int_equal(lw_target_lane(SLOT, GROUP, ZERO, 0), 0);
	/* its own peer needs no endpoint beside it */
	assert_int_equal(lw_target_lane(SLOT, GROUP, EMPTY, 1), EMPTY);
	/* of this generation and this destination */
	assert_int_equal(lw_target_lane(0, GROUP, GRAY, 0), 0);
	assert_int_equal(lw_target_lane(SLOT, GROUP + 1, GRAY, 0), 0);
}

static void test_canaries(void **state)
{
	(void)state;
	assert_true(lw_has_canaries(SLOT, GROUP));
	assert_false(lw_has_canaries(SLOT, GROUP + 1));
	assert_true(lw_has_endpoint(SLOT, GROUP, 0));
	assert_false(lw_has_endpoint(SLOT, GROUP, ZERO));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_peer),	cmocka_unit_test(test_leaves),
		cmocka_unit_test(test_unknown), cmocka_unit_test(test_client),
		cmocka_unit_test(test_target),	cmocka_unit_test(test_canaries),
	};

	return !!cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
