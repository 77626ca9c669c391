/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A build that follows another one makes the same as one from nothing, whatever has happened to the objects between:
 * a small cluster is changed at random, thousands of times, an object or a few at a time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../harness/twin.h"
#include "../harness/yaml_model.h"
#include "core/image.h"

#define APPS 6
#define PODS 6 /* of an app */
#define CHANGES 3000

static uint64_t seed;

/* 0..n-1 */
static unsigned int dice(unsigned int n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(seed >> 33) % n;
}

static bool once_in(unsigned int n)
{
	return dice(n) == 0;
}

#define ONE_OF(...)                                               \
	({                                                        \
		static const char *const all[] = { __VA_ARGS__ }; \
		all[dice(sizeof(all) / sizeof(all[0]))];          \
	})

static void load(struct lw_model *model, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void load(struct lw_model *model, const char *format, ...)
{
	struct lw_test_findings findings = {};
	char yaml[4096];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(yaml, sizeof(yaml), format, args);
	va_end(args);
	assert_in_range(n, 1, sizeof(yaml) - 1);
	lw_test_load(model, yaml, &findings);
	assert_string_equal(findings.text, "");
}

/* ---- objects of app n, as they are or could be ---- */

/* Most of the time what the app is in any case; the rest of the time it changes the shape. */
static const char *usual(const char *usual_value, const char *other)
{
	return once_in(12) ? other : usual_value;
}

static void put_rollout(struct lw_model *model, unsigned int n)
{
	const char *phase = usual("Progressing", "Healthy");
	const char *reason = ONE_OF("InRolling", "InRolling", "InRolling", "Initializing",
				    "Cancelling", "Finalising", "Paused");
	const char *state = ONE_OF("StepPaused", "StepPaused", "StepTrafficRouting", "StepUpgrade",
				   "StepReady");
	const char *style = n % 3 == 2 ? "blueGreen" : "canary";
	char routing[64] = "";

	if (n % 3 == 1)
		(void)snprintf(routing, sizeof(routing),
			       ", rollouts.kruise.io/trafficrouting: tr-%u", n % 2);
	load(model,
	     "{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: ro-%u, annotations: {rollouts.kruise.io/hash: h%s}},"
	     " spec: {workloadRef: {apiVersion: apps/v1, kind: %s, name: app-%u}, strategy: {%s: {%s"
	     " trafficRoutings: [{service: %s-%u}], steps: ["
	     "  {replicas: 1, matches: [{headers: [{name: user, value: u%u}]}], requestHeaderModifier: {set: [{name: %s, value: %s}]}},"
	     "  {replicas: 50%%, traffic: %u%%}, {replicas: 100%%}]}}},"
	     " status: {phase: %s, conditions: [{type: Progressing, status: \"True\", reason: %s}],"
	     " %s: {currentStepIndex: %u, currentStepState: %s, podTemplateHash: %s, stableRevision: %s, rolloutHash: h}}}",
	     n, routing, usual("Deployment", "CloneSet"), once_in(20) ? dice(APPS) : n, style,
	     n % 3 == 0 ? "enableExtraWorkloadForCanary: true," : "", usual("svc", "none"), n,
	     dice(3), usual("x-mse-tag", "x-other-tag"), ONE_OF("gray", "gray", "blue"), dice(101),
	     phase, reason, style[0] == 'c' ? "canaryStatus" : "blueGreenStatus", 1 + dice(3),
	     state, usual("new", "newer"), usual("old", "older"));
}

static void put_routing(struct lw_model *model, unsigned int n)
{
	load(model,
	     "{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: tr-%u, finalizers: [%s]},"
	     " spec: {objectRef: [{service: svc-%u}], strategy: {matches: [{headers: [{name: tester, value: t%u}]}],"
	     " requestHeaderModifier: {set: [{name: x-mse-tag, value: gray}]}}}, status: {phase: %s}}",
	     n,
	     once_in(4) ?
		     "" :
		     "progressing.rollouts.kruise.io/ro-1, progressing.rollouts.kruise.io/ro-4",
	     dice(APPS), dice(3),
	     ONE_OF("Progressing", "Progressing", "Progressing", "Healthy", "Finalizing"));
}

static void put_deployment(struct lw_model *model, unsigned int n, bool extra)
{
	load(model,
	     "{apiVersion: apps/v1, kind: Deployment, metadata: {name: app-%u%s, uid: d-%u%s%s%s},"
	     " spec: {replicas: %u, selector: {matchLabels: {app: app-%u}}}}",
	     n, extra ? "-x" : "", n, extra ? "-x" : "",
	     extra && once_in(8) ? ", deletionTimestamp: \"2026-01-01T00:00:00Z\"" : "",
	     extra ? ", labels: {rollouts.kruise.io/canary-deployment: app-0}" : "", 1 + dice(3),
	     n);
}

static void put_replica_set(struct lw_model *model, unsigned int n, const char *rev)
{
	load(model,
	     "{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: app-%u-%s, uid: r-%u-%s,"
	     " ownerReferences: [{apiVersion: apps/v1, kind: Deployment, name: app-%u, uid: %s-%u, controller: true}]}, spec: {replicas: %u}}",
	     n, rev, n, rev, n, usual("d", "former"), n, dice(5));
}

static void put_pod(struct lw_model *model, unsigned int n, unsigned int i)
{
	const char *rev = i < 3 ? "old" : usual("new", "old");
	char owner[256] = "";
	unsigned int ip = n * PODS + i;

	if (!once_in(12))
		(void)snprintf(
			owner, sizeof(owner),
			", ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: app-%u%s-%s, controller: true}]",
			n, n == 0 && i >= 4 ? "-x" : "", rev);
	load(model,
	     "{apiVersion: v1, kind: Pod, metadata: {name: app-%u-%u, uid: p-%u-%u, labels: {app: %s-%u, pod-template-hash: %s%s%s}%s%s},"
	     " spec: {nodeName: node-%u%s, containers: [{ports: [{name: http, containerPort: %s}]}]},"
	     " status: {phase: %s, conditions: [{type: Ready, status: \"%s\"}], podIPs: [{ip: 10.0.0.%u}, {ip: \"fd00::%u\"}]}}",
	     n, i, n, i, usual("app", "other"), n, rev, once_in(5) ? ", shared: a" : "",
	     i == 5 && once_in(3) ? ", alicloud.service.tag: blue" : "", owner,
	     once_in(6) ? ", deletionTimestamp: \"2026-01-01T00:00:00Z\"" : "", i % 2,
	     once_in(25) ? ", hostNetwork: true" : "", usual("8080", "8081"),
	     once_in(40) ? "Succeeded" : "Running", once_in(4) ? "False" : "True",
	     1 + (once_in(40) ? dice(APPS * PODS) : ip), 1 + ip);
}

static void put_service(struct lw_model *model, unsigned int n)
{
	load(model,
	     "{apiVersion: v1, kind: Service, metadata: {name: svc-%u%s, labels: {laneway.io/passes-lanes: '%s'}}, spec: {selector: {%s}, clusterIPs: [10.96.0.%u],"
	     " ports: [{port: 80, targetPort: http}, {port: 81, targetPort: 8080}]}}",
	     n, once_in(20) ? "-canary" : "", once_in(3) ? "true" : "false",
	     once_in(6) ? "shared: a" :
			  (const char *[]){ "app: app-0", "app: app-1", "app: app-2", "app: app-3",
					    "app: app-4", "app: app-5" }[n],
	     1 + n);
}

/* ---- what happens ---- */

static void remove_one(struct lw_model *model, enum lw_k8s_kind kind)
{
	size_t n = lw_model_count(model, kind);
	const struct lw_k8s_object *object;
	char *ns, *name;

	if (n == 0)
		return;
	object = lw_model_at(model, kind, dice((unsigned int)n));
	ns = strdup(object->meta.ns);
	name = strdup(object->meta.name);
	assert_true(ns && name && lw_model_remove(model, kind, ns, name));
	free(ns);
	free(name);
}

static void change(struct lw_model *model)
{
	unsigned int n = dice(APPS);

	switch (dice(24)) {
	case 0:
		put_deployment(model, n, false);
		break;
	case 1:
		put_deployment(model, 0, true);
		break;
	case 2:
		put_replica_set(model, n, ONE_OF("old", "new"));
		break;
	case 3:
		put_service(model, n);
		break;
	case 4:
		if (once_in(4))
			remove_one(model, (enum lw_k8s_kind)dice(LW_K8S__MAX));
		break;
	case 5 ... 7:
		put_routing(model, dice(2));
		break;
	case 8 ... 13:
		put_pod(model, n, dice(PODS));
		break;
	default:
		put_rollout(model, n);
		break;
	}
}

static void fill(struct lw_model *model)
{
	for (unsigned int n = 0; n < APPS; n++) {
		put_service(model, n);
		if (n != 3) {
			put_deployment(model, n, false);
			put_replica_set(model, n, "old");
			put_replica_set(model, n, "new");
		}
		for (unsigned int i = 0; i < PODS; i++)
			put_pod(model, n, i);
		if (n != 5)
			put_rollout(model, n);
	}
	put_deployment(model, 0, true);
	put_routing(model, 0);
	put_routing(model, 1);
}

static void builds_that_follow_make_the_same(void **state)
{
	unsigned int followed = 0, lanes = 0;

	(void)state;
	for (uint64_t run = 1; run <= 6; run++) {
		struct lw_model *model;
		struct lw_twin *twin;

		seed = run;
		assert_int_equal(lw_model_new(&model), 0);
		fill(model);
		twin = lw_twin_new(model, run % 2 == 0);
		for (unsigned int i = 0; i < CHANGES / 6; i++) {
			bool has_followed;
			const char *differs;

			differs = lw_twin_build(twin, once_in(2), &has_followed);
			if (differs)
				fail_msg("run %u, change %u (%s): %s", (unsigned int)run, i,
					 has_followed ? "followed" : "from nothing", differs);
			followed += has_followed;
			lanes += lw_image_rows(lw_twin_image(twin), LW_TABLE_LANES) > 0;
			for (unsigned int k = once_in(4) ? 3 : 1; k > 0; k--)
				change(model);
		}
		lw_twin_free(twin);
		lw_model_free(&model);
	}
	print_message("%u of %u builds have followed; a lane was there in %u\n", followed, CHANGES,
		      lanes);
	/* Else it says nothing. */
	assert_true(followed > CHANGES / 4 && lanes > CHANGES / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(builds_that_follow_make_the_same) };

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
