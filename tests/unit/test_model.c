/* SPDX-License-Identifier: Apache-2.0 */
#include "core/model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../harness/yaml_model.h"

static int setup(void **state)
{
	return lw_model_new((struct lw_model **)state);
}

static int teardown(void **state)
{
	lw_model_free((struct lw_model **)state);
	return 0;
}

static struct lw_k8s_object *pod(const char *ns, const char *name, const char *labels,
				 const char *owner, const char *ip)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: v1, kind: Pod, metadata: {namespace: %s, name: %s, labels: {%s}, ownerReferences: [%s]},"
		" status: {podIP: %s}}",
		ns, name, labels, owner, ip);
	return lw_test_object(yaml);
}

static size_t length(const struct lw_model_link *l)
{
	size_t n = 0;

	for (; l; l = l->next)
		n++;
	return n;
}

#define SET "{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4b9, uid: u1, controller: true}"

static void objects_are_kept_by_kind_namespace_and_name(void **state)
{
	struct lw_model *model = *state;
	struct lw_k8s_object *a = pod("x", "a", "app: web", "", "10.0.0.1");

	assert_int_equal(lw_model_upsert(model, a), 0);
	assert_int_equal(lw_model_upsert(model, pod("w", "a", "app: web", "", "10.0.0.2")), 0);
	assert_int_equal(lw_model_count(model, LW_K8S_POD), 2);
	assert_ptr_equal(lw_model_get(model, LW_K8S_POD, "x", "a"), a);
	assert_ptr_equal(lw_model_at(model, LW_K8S_POD, lw_model_index_of(model, a)), a);
	assert_null(lw_model_get(model, LW_K8S_SERVICE, "x", "a"));
	assert_null(lw_model_get(model, LW_K8S_POD, "z", "a"));
	assert_true(lw_model_remove(model, LW_K8S_POD, "x", "a"));
	assert_false(lw_model_remove(model, LW_K8S_POD, "x", "a"));
	assert_int_equal(lw_model_count(model, LW_K8S_POD), 1);
	assert_string_equal(lw_model_at(model, LW_K8S_POD, 0)->meta.ns, "w");
}

static void an_upsert_moves_all_indexes(void **state)
{
	struct lw_model *model = *state;
	const struct lw_k8s_object *now;
	size_t count;

	assert_int_equal(lw_model_upsert(model, pod("x", "a", "app: web, pod-template-hash: 7d4b9",
						    SET, "10.0.0.1")),
			 0);
	assert_int_equal(length(lw_model_labelled(model, "x", "app", "web", &count)), 1);
	assert_int_equal(count, 1);
	assert_int_equal(
		length(lw_model_owned(model, LW_K8S_POD, "x", "apps", "ReplicaSet", "web-7d4b9")),
		1);
	assert_int_equal(
		length(lw_model_owned(model, LW_K8S_POD, "x", "", "ReplicaSet", "web-7d4b9")), 0);
	assert_int_equal(length(lw_model_named_after(model, "x", "web")), 1);
	assert_int_equal(length(lw_model_orphans(model, "x")), 0);

	assert_int_equal(lw_model_upsert(model, pod("x", "a", "app: db", "", "10.0.0.2")), 0);
	assert_int_equal(lw_model_count(model, LW_K8S_POD), 1);
	assert_null(lw_model_labelled(model, "x", "app", "web", &count));
	assert_int_equal(count, 0);
	assert_null(lw_model_owned(model, LW_K8S_POD, "x", "apps", "ReplicaSet", "web-7d4b9"));
	assert_null(lw_model_named_after(model, "x", "web"));
	assert_int_equal(length(lw_model_orphans(model, "x")), 1);
	now = lw_model_get(model, LW_K8S_POD, "x", "a");
	assert_int_equal(length(lw_model_same_address(model, now, 0)), 1);
	assert_ptr_equal(lw_model_labelled(model, "x", "app", "db", NULL)->object, now);
}

static void addresses_are_shared_across_kinds(void **state)
{
	struct lw_model *model = *state;
	const struct lw_k8s_object *service;

	assert_int_equal(lw_model_upsert(model, pod("x", "a", "", "", "10.0.0.1")), 0);
	assert_int_equal(lw_model_upsert(model, pod("x", "b", "", "", "10.0.0.1")), 0);
	lw_test_load(model,
		     "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: x},"
		     " spec: {clusterIPs: [10.9.9.9, 10.0.0.1], ports: [{port: 80}]}}",
		     NULL);
	service = lw_model_get(model, LW_K8S_SERVICE, "x", "s");
	assert_int_equal(length(lw_model_same_address(model, service, 0)), 1);
	assert_int_equal(length(lw_model_same_address(model, service, 1)), 3);
	assert_true(lw_model_remove(model, LW_K8S_POD, "x", "b"));
	assert_int_equal(length(lw_model_same_address(model, service, 1)), 2);
	assert_ptr_equal(lw_model_at_address(model, &service->service.ips[1]),
			 lw_model_same_address(model, service, 1));
	assert_null(lw_model_at_address(model, &(struct lw_addr){}));
}

/* It comes and goes with the annotation alone, which is a change of shape: no build may follow past it unseen. */
static void pods_are_kept_out_by_annotation(void **state)
{
	static const char text[] =
		"{apiVersion: v1, kind: Pod, metadata: {name: a, namespace: x%s}, status: {podIP: 10.0.0.1}}";
	struct lw_model *model = *state;
	uint64_t shape;
	char buf[256];

	for (int i = 0; i < 2; i++) {
		(void)snprintf(buf, sizeof(buf), text, "");
		lw_test_load(model, buf, NULL);
		assert_null(lw_model_kept_out(model));
		shape = lw_model_shape(model);
		(void)snprintf(buf, sizeof(buf), text,
			       ", annotations: {laneway.io/keep-out: 'true'}");
		lw_test_load(model, buf, NULL);
		assert_int_equal(length(lw_model_kept_out(model)), 1);
		assert_string_equal(lw_model_kept_out(model)->object->pod.keep_out, "true");
		assert_true(lw_model_shape(model) > shape);
	}
	assert_true(lw_model_remove(model, LW_K8S_POD, "x", "a"));
	assert_null(lw_model_kept_out(model));
}

static void only_names_by_the_pattern_tell_a_deployment(void **state)
{
	struct lw_model *model = *state;
	static const char other_hash[] =
		"{apiVersion: apps/v1, kind: ReplicaSet, name: web-other, controller: true}";
	static const char no_name[] =
		"{apiVersion: apps/v1, kind: ReplicaSet, name: -7d4b9, controller: true}";
	static const char no_set[] =
		"{apiVersion: apps/v1, kind: StatefulSet, name: web-7d4b9, controller: true}";
	static const char no_controller[] =
		"{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d4b9}";

	assert_int_equal(lw_model_upsert(model, pod("x", "a", "pod-template-hash: 7d4b9",
						    other_hash, "10.0.0.1")),
			 0);
	assert_int_equal(lw_model_upsert(model, pod("x", "b", "pod-template-hash: 7d4b9", no_name,
						    "10.0.0.2")),
			 0);
	assert_int_equal(lw_model_upsert(model, pod("x", "c", "pod-template-hash: 7d4b9", no_set,
						    "10.0.0.3")),
			 0);
	assert_int_equal(lw_model_upsert(model, pod("x", "d", "pod-template-hash: 7d4b9",
						    no_controller, "10.0.0.4")),
			 0);
	assert_null(lw_model_named_after(model, "x", "web"));
	assert_null(lw_model_named_after(model, "x", ""));
	assert_int_equal(length(lw_model_orphans(model, "x")), 1);
}

static void extra_deployments_are_found_by_their_label(void **state)
{
	struct lw_model *model = *state;

	lw_test_load(
		model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-x1, namespace: x,"
		" labels: {rollouts.kruise.io/canary-deployment: web}}, spec: {replicas: 1}}",
		NULL);
	assert_int_equal(length(lw_model_extras(model, "x", "web")), 1);
	assert_null(lw_model_extras(model, "w", "web"));
	assert_true(lw_model_remove(model, LW_K8S_DEPLOYMENT, "x", "web-x1"));
	assert_null(lw_model_extras(model, "x", "web"));
}

static void many_pods_that_come_and_go_leave_nothing(void **state)
{
	struct lw_model *model = *state;
	char name[32], labels[64], ip[32];
	size_t count;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 3000; i++) {
			(void)snprintf(name, sizeof(name), "p%d", i);
			(void)snprintf(labels, sizeof(labels), "app: web, only: \"%d-%d\"", round,
				       i);
			(void)snprintf(ip, sizeof(ip), "10.%d.%d.%d", round, i / 250, i % 250 + 1);
			assert_int_equal(lw_model_upsert(model, pod("x", name, labels, SET, ip)),
					 0);
		}
		(void)lw_model_labelled(model, "x", "app", "web", &count);
		assert_int_equal(count, 3000);
		(void)lw_model_labelled(model, "x", "only", "0-7", &count);
		assert_int_equal(count, round == 0);
	}
	for (int i = 2999; i >= 0; i -= 1) {
		(void)snprintf(name, sizeof(name), "p%d", i);
		assert_true(lw_model_remove(model, LW_K8S_POD, "x", name));
	}
	assert_int_equal(lw_model_count(model, LW_K8S_POD), 0);
	assert_null(lw_model_labelled(model, "x", "app", "web", NULL));
}

/* ---- memory of Rollouts ---- */

static void roll(struct lw_model *model, int step, const char *step_state, const char *weight,
		 const char *hash, const char *status_hash)
{
	char yaml[1500];

	(void)snprintf(
		yaml, sizeof(yaml),
		"apiVersion: rollouts.kruise.io/v1beta1\n"
		"kind: Rollout\n"
		"metadata: {name: web, namespace: x, annotations: {rollouts.kruise.io/hash: %s}}\n"
		"spec:\n"
		"  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n"
		"  strategy:\n"
		"    canary:\n"
		"      trafficRoutings: [{service: web}]\n"
		"      steps: [{traffic: %s}, {traffic: %s}, {traffic: %s}]\n"
		"status:\n"
		"  phase: Progressing\n"
		"  conditions: [{type: Progressing, status: \"True\", reason: InRolling}]\n"
		"  canaryStatus: {currentStepIndex: %d, currentStepState: %s, canaryRevision: r1, rolloutHash: %s}\n",
		hash, weight, weight, weight, step, step_state, status_hash);
	lw_test_load(model, yaml, NULL);
}

static const struct lw_model_memory *memory_of(struct lw_model *model)
{
	return lw_model_memory_of(model, lw_model_get(model, LW_K8S_ROLLOUT, "x", "web"));
}

static void a_jump_is_remembered_over_upserts(void **state)
{
	struct lw_model *model = *state;

	roll(model, 3, "StepPaused", "10%", "h", "h");
	assert_int_equal(memory_of(model)->previous_step, 0);
	roll(model, 1, "StepUpgrade", "10%", "h", "h");
	assert_int_equal(memory_of(model)->previous_step, 3);
	assert_true(lw_model_remove(model, LW_K8S_ROLLOUT, "x", "web"));
	roll(model, 1, "StepUpgrade", "10%", "h", "h");
	assert_int_equal(memory_of(model)->previous_step, 0);
}

static void the_plan_in_force_is_kept_while_another_waits(void **state)
{
	struct lw_model *model = *state;

	roll(model, 1, "StepPaused", "10%", "h1", "h1");
	assert_null(memory_of(model)->adopted);
	roll(model, 1, "StepPaused", "20%", "h2", "h1");
	assert_non_null(memory_of(model)->adopted);
	assert_int_equal(memory_of(model)->adopted->rollout.steps[0].route.weight_pct, 10);
	/* Edited again before it was taken up. */
	roll(model, 1, "StepPaused", "30%", "h3", "h1");
	assert_int_equal(memory_of(model)->adopted->rollout.steps[0].route.weight_pct, 10);
	roll(model, 1, "StepUpgrade", "30%", "h3", "h3");
	assert_null(memory_of(model)->adopted);
	/* Stale from the first: nothing is known of the plan in force. */
	assert_true(lw_model_remove(model, LW_K8S_ROLLOUT, "x", "web"));
	roll(model, 1, "StepPaused", "20%", "h2", "h1");
	assert_null(memory_of(model)->adopted);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(objects_are_kept_by_kind_namespace_and_name),
		T(an_upsert_moves_all_indexes),
		T(addresses_are_shared_across_kinds),
		T(pods_are_kept_out_by_annotation),
		T(only_names_by_the_pattern_tell_a_deployment),
		T(extra_deployments_are_found_by_their_label),
		T(many_pods_that_come_and_go_leave_nothing),
		T(a_jump_is_remembered_over_upserts),
		T(the_plan_in_force_is_kept_while_another_waits),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
