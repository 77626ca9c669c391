/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of the node, and of --untrusted, over a model and a kernel side made up here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/lookout.h"
#include "daemon/untrusted.h"
#include "kern/devices.h"
#include "kern/kern.h"
#include "../harness/yaml_model.h"

#define UID "0b7632a2-a56e-4278-987a-22de18008dbe"

struct lw_devices {
	size_t patterns, count;
};

size_t lw_devices_count(const struct lw_devices *devices, size_t *ret_patterns)
{
	*ret_patterns = devices ? devices->patterns : 0;
	return devices ? devices->count : 0;
}

/* One that has ended, whatever its pod was. */
int lw_kern_each_kept(struct lw_kern *kern,
		      void (*cb)(const struct lw_kept_key *key, const struct lw_kept *kept,
				 void *arg),
		      void *arg)
{
	(void)kern;
	cb(&(struct lw_kept_key){ .pid = 0x7fffffff }, &(struct lw_kept){ .comm = "nginx" }, arg);
	return 0;
}

static const char pods[] =
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: gw-2, namespace: edge, uid: " UID
	", labels: {app.kubernetes.io/name: gateway},\n"
	"  annotations: {laneway.io/keep-out: \"true\"}}\n"
	"status: {podIP: 10.0.0.2}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: gw-1, namespace: edge, uid: u1, labels: {app.kubernetes.io/name: gateway}}\n"
	"status: {podIP: 10.0.0.1}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: gone, namespace: edge, uid: u3, labels: {app: job}}\n"
	"status: {phase: Succeeded, podIP: 10.0.0.3}\n"
	"---\n"
	"apiVersion: v1\n"
	"kind: Pod\n"
	"metadata: {name: other, namespace: shop, uid: u4, labels: {app: api}, annotations: {laneway.io/keep-out: \"true\"}}\n"
	"status: {podIP: 10.0.0.4}\n";

static int setup(void **state)
{
	struct lw_model *model;

	assert_int_equal(lw_model_new(&model), 0);
	lw_test_load(model, pods, NULL);
	*state = model;
	return 0;
}

static int teardown(void **state)
{
	struct lw_model *model = *state;

	lw_model_free(&model);
	return 0;
}

static const char *check(const struct lw_model *model, const char *first, const char *second)
{
	const char *const list[] = { first, second, NULL };
	static struct lw_test_findings found;

	found = (struct lw_test_findings){};
	lw_untrusted_check(model, list, lw_test_finding, &found);
	return found.text;
}

static void test_labels(void **state)
{
	assert_string_equal(check(*state, NULL, NULL), "");
	lw_untrusted_check(*state, NULL, NULL, NULL);
	assert_non_null(
		strstr(check(*state, "edge/app.kubernetes.io/name=gatway", NULL),
		       "--untrusted edge/app.kubernetes.io/name=gatway: no pod has this label"));
	/* another namespace's; one that will not run again */
	assert_non_null(
		strstr(check(*state, "edge/app=api", NULL), "edge/app=api: no pod has this label"));
	assert_non_null(
		strstr(check(*state, "edge/app=job", NULL), "edge/app=job: no pod has this label"));
}

static void test_annotation(void **state)
{
	const char *text = check(*state, "edge/app.kubernetes.io/name=gateway", "shop/app=api");

	assert_null(strstr(text, "no pod"));
	assert_non_null(strstr(
		text,
		"--untrusted edge/app.kubernetes.io/name=gateway: annotation laneway.io/keep-out keeps 1 of its 2 pods out, such as edge/gw-2:"));
	assert_non_null(strstr(
		text,
		"--untrusted shop/app=api: annotation laneway.io/keep-out keeps 1 of its 1 pods out, such as shop/other:"));
}

static void test_pod_by_uid(void **state)
{
	static const char *const list[] = { "edge/app=job", "edge/app.kubernetes.io/name=gateway",
					    NULL };
	const struct lw_k8s_object *pod;
	const char *text = NULL;

	pod = lw_untrusted_pod(*state, list, UID, &text);
	assert_non_null(pod);
	assert_string_equal(pod->meta.name, "gw-2");
	assert_string_equal(text, list[1]);
	assert_null(lw_untrusted_pod(*state, list, "u4", &text));
	assert_null(lw_untrusted_pod(*state, NULL, UID, &text));
}

static bool pod_uid(const char *text, char uid[LW_POD_UID_LEN])
{
	_cleanup_fclose_ FILE *f = fmemopen((char *)(uintptr_t)text, strlen(text), "r");

	assert_non_null(f);
	return lw_lookout_pod_uid(f, uid);
}

static void test_pod_of_a_process(void **state)
{
	char uid[LW_POD_UID_LEN];

	(void)state;
	assert_true(pod_uid(
		"0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0b7632a2_a56e_4278_987a_22de18008dbe.slice/"
		"cri-containerd-1.scope\n",
		uid));
	assert_string_equal(uid, UID);
	/* from within another pod's cgroup namespace; beside version 1 */
	assert_true(pod_uid("0::/../../pod" UID "/1", uid));
	assert_true(pod_uid("12:cpu,cpuacct:/\n11:memory:/kubepods/pod" UID "/abc\n0::/\n", uid));
	assert_string_equal(uid, UID);
	assert_false(pod_uid("0::/system.slice/kubelet.service\n", uid));
	assert_false(pod_uid("0::/\n", uid));
}

static void look(const struct lw_lookout *lookout, struct lw_test_findings *ret)
{
	*ret = (struct lw_test_findings){};
	lw_lookout_look(lookout, lw_test_finding, ret);
}

static void test_devices(void **state)
{
	static const char *const list[] = { "edge/app.kubernetes.io/name=gateway", NULL };
	struct lw_devices devices = { .patterns = 2 };
	struct lw_lookout lookout = { .devices = &devices, .model = *state, .untrusted = list };
	struct lw_test_findings found;

	look(&lookout, &found);
	assert_int_equal(found.count, 1);
	assert_non_null(
		strstr(found.text, "the program is on no device of this node that --device names"));
	devices.count = 1;
	look(&lookout, &found);
	assert_int_equal(found.count, 0);
	/* none is asked for: the status says so, and there is nothing to wait for */
	devices = (struct lw_devices){};
	look(&lookout, &found);
	assert_int_equal(found.count, 0);
	lookout.devices = NULL;
	look(&lookout, &found);
	assert_int_equal(found.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_labels, setup, teardown),
		cmocka_unit_test_setup_teardown(test_annotation, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pod_by_uid, setup, teardown),
		cmocka_unit_test(test_pod_of_a_process),
		cmocka_unit_test_setup_teardown(test_devices, setup, teardown),
	};

	return cmocka_run_group_tests_name("lookout", tests, NULL, NULL);
}
