/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/pod_cgroup.h"

#define UID "0b7632a2-a56e-4278-987a-22de18008dbe"
#define UID_ "0b7632a2_a56e_4278_987a_22de18008dbe"
#define ID "0bc5eac79e3ae7a0c2651f14722aa10fa333eb2325c2ca97da33aa284cda81b0"

static void test_pods(void **state)
{
	static const char *const names[] = {
		"kubepods-burstable-pod" UID_ ".slice",
		"kubepods-besteffort-pod" UID_ ".slice",
		"kubepods-pod" UID_ ".slice", /* guaranteed */
		"pod" UID, /* driver cgroupfs */
		"kubepods-burstable-pod" UID_
		".slice:cri-containerd:" ID, /* containerd that knows nothing of systemd */
		"kubelet-kubepods-burstable-pod" UID_ ".slice", /* kind */
	};
	char uid[LW_POD_UID_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		memset(uid, 'x', sizeof(uid));
		if (!lw_pod_cgroup(names[i], uid))
			fail_msg("%s is none", names[i]);
		assert_string_equal(uid, UID);
	}
}

static void test_others(void **state)
{
	static const char *const names[] = {
		"",
		"pod",
		"kubepods",
		"kubepods.slice",
		"kubepods-burstable.slice",
		"cri-containerd-" ID ".scope",
		"crio-" ID ".scope",
		"crio-conmon-" ID ".scope",
		"docker-" ID ".scope",
		"containerd.service",
		"pod0b7632a2a56e4278987a22de18008dbe", /* a static pod: the API has another UID for it */
		"pod" UID "0",
		"pod" UID ".service",
		("xpod" UID),
		"pod0B7632A2-a56e-4278-987a-22de18008dbe",
		"pod0b7632a2-a56e-4278-987a-22de18008db",
		"pod0b7632a2-a56e-4278-987a-22de18008dbg",
		"podpodpod-pod",
	};
	char uid[LW_POD_UID_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (lw_pod_cgroup(names[i], uid))
			fail_msg("%s is one: %s", names[i], uid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pods),
		cmocka_unit_test(test_others),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
