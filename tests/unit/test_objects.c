/* SPDX-License-Identifier: Apache-2.0 */
#include "conf/objects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../harness/yaml_model.h"
#include "base/addr.h"
#include "base/cleanup.h"

#define ROLLOUT_BETA                               \
	"apiVersion: rollouts.kruise.io/v1beta1\n" \
	"kind: Rollout\n"                          \
	"metadata: {name: web, namespace: shop}\n" \
	"spec:\n"                                  \
	"  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n"
#define ROLLOUT_ALPHA                               \
	"apiVersion: rollouts.kruise.io/v1alpha1\n" \
	"kind: Rollout\n"                           \
	"metadata: {name: web, namespace: shop}\n"  \
	"spec:\n"                                   \
	"  objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n"
#define ROUTING                                     \
	"apiVersion: rollouts.kruise.io/v1alpha1\n" \
	"kind: TrafficRouting\n"                    \
	"metadata: {name: entry}\n"                 \
	"spec:\n"                                   \
	"  objectRef: [{service: web}]\n"

/* One bad object each, and its one line. */
static const struct {
	const char *yaml, *finding;
} bad[] = {
	{ "apiVersion: v1\nkind: Pod\nmetadata: {labels: {a: b}}\n",
	  "test.yaml:3: document 1: Pod default/?: metadata.name: expected a string, got nothing" },
	{ "apiVersion: v1\nkind: Pod\nmetadata:\n  name: p\n  labels:\n    a: b\n    on: yes\n",
	  "test.yaml:7: document 1: Pod default/p: metadata.labels.on: expected a string, got the boolean true" },
	{ "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: [a]}\n",
	  "test.yaml:3: document 1: Pod default/p: metadata.labels: expected a mapping, got a list" },
	{ "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nstatus:\n  podIPs:\n  - ip: 10.0.0.1\n  - ip: 10.0.0.256\n",
	  "test.yaml:7: document 1: Pod default/p: status.podIPs[1].ip: expected an IP address, got \"10.0.0.256\"" },
	{ "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - ports:\n    - containerPort: http\n",
	  "test.yaml:7: document 1: Pod default/p: spec.containers[0].ports[0].containerPort: expected an integer, got \"http\"" },
	{ "apiVersion: v1\nkind: Service\nmetadata: {name: s, namespace: n1}\nspec:\n  ports:\n  - port: 70000\n",
	  "test.yaml:6: document 1: Service n1/s: spec.ports[0].port: expected an integer from 1 to 65535, got the integer 70000" },
	{ "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec:\n  ports:\n  - port: 80\n    protocol: tcp\n",
	  "test.yaml:7: document 1: Service default/s: spec.ports[0].protocol: expected TCP or UDP or SCTP, got \"tcp\"" },
	{ "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: \"2\"}\n",
	  "test.yaml:4: document 1: Deployment default/d: spec.replicas: expected an integer, got \"2\"" },
	{ "apiVersion: apps/v1beta2\nkind: Deployment\nmetadata: {name: d}\nspec: {}\n",
	  "test.yaml:1: document 1: Deployment default/d: apiVersion: expected apps/v1, got \"apps/v1beta2\"" },
	{ "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec:\n  selector:\n    matchExpressions:\n"
	  "    - {key: a, operator: Near}\n",
	  "test.yaml:7: document 1: Deployment default/d: spec.selector.matchExpressions[0].operator: expected In or NotIn or Exists or DoesNotExist, got \"Near\"" },
	{ "apiVersion: rollouts.kruise.io/v2\nkind: Rollout\nmetadata: {name: r}\nspec: {}\n",
	  "test.yaml:1: document 1: Rollout default/r: apiVersion: expected rollouts.kruise.io/v1beta1 or rollouts.kruise.io/v1alpha1, got \"rollouts.kruise.io/v2\"" },
	{ ROLLOUT_BETA "  strategy:\n    canary:\n      steps:\n      - traffic: 20\n",
	  "test.yaml:9: document 1: Rollout shop/web: spec.strategy.canary.steps[0].traffic: expected a percentage, \"0%\" to \"100%\", got the integer 20" },
	{ ROLLOUT_BETA "  strategy:\n    canary:\n      steps:\n      - traffic: 120%\n",
	  "test.yaml:9: document 1: Rollout shop/web: spec.strategy.canary.steps[0].traffic: expected a percentage, \"0%\" to \"100%\", got \"120%\"" },
	{ ROLLOUT_BETA "  strategy: {}\n",
	  "test.yaml:6: document 1: Rollout shop/web: spec.strategy: expected canary or blueGreen, got neither" },
	{ ROLLOUT_BETA "  strategy: {canary: {}, blueGreen: {}}\n",
	  "test.yaml:6: document 1: Rollout shop/web: spec.strategy: expected canary or blueGreen, got both" },
	{ ROLLOUT_BETA
	  "  strategy:\n    canary:\n      trafficRoutings: [{service: a}, {service: b}]\n",
	  "test.yaml:8: document 1: Rollout shop/web: spec.strategy.canary.trafficRoutings: expected at most 1 items, got 2" },
	{ ROLLOUT_BETA
	  "  strategy:\n    canary:\n      steps:\n      - matches:\n        - headers:\n          - name: a b\n            value: c\n",
	  "test.yaml:11: document 1: Rollout shop/web: spec.strategy.canary.steps[0].matches[0].headers[0].name: expected HTTP token characters, 256 at most, got \"a b\"" },
	{ ROLLOUT_BETA
	  "  strategy:\n    canary:\n      steps:\n      - matches:\n        - headers:\n          - name: a\n            value: c\n            type: Regex\n",
	  "test.yaml:13: document 1: Rollout shop/web: spec.strategy.canary.steps[0].matches[0].headers[0].type: expected Exact or RegularExpression, got \"Regex\"" },
	{ ROLLOUT_ALPHA "  strategy: {canary: {steps: [{weight: 101}]}}\n",
	  "test.yaml:6: document 1: Rollout shop/web: spec.strategy.canary.steps[0].weight: expected an integer from 0 to 100, got the integer 101" },
	{ ROLLOUT_ALPHA "  strategy: {blueGreen: {}}\n",
	  "test.yaml:6: document 1: Rollout shop/web: spec.strategy: expected canary, got nothing" },
	{ ROLLOUT_ALPHA
	  "  strategy: {canary: {}}\nstatus:\n  canaryStatus: {currentStepIndex: one}\n",
	  "test.yaml:8: document 1: Rollout shop/web: status.canaryStatus.currentStepIndex: expected an integer, got \"one\"" },
	{ "apiVersion: rollouts.kruise.io/v1alpha1\nkind: TrafficRouting\nmetadata: {name: entry}\nspec: {strategy: {}}\n",
	  "test.yaml:4: document 1: TrafficRouting default/entry: spec: expected objectRef with a service, got nothing" },
	{ ROUTING "  strategy:\n    matches:\n    - headers:\n      - name: a\n",
	  "test.yaml:9: document 1: TrafficRouting default/entry: spec.strategy.matches[0].headers[0].value: expected a string, got nothing" },
	{ ROUTING "  strategy: {requestHeaderModifier: {remove: [1]}}\n",
	  "test.yaml:6: document 1: TrafficRouting default/entry: spec.strategy.requestHeaderModifier.remove[0]: expected a string, got the integer 1" },
	{ "just a word\n", "test.yaml:1: document 1: expected an object with apiVersion and kind" },
	{ "kind: Pod\n", "test.yaml:1: document 1: apiVersion: expected a string" },
	{ "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n",
	  "test.yaml:3: document 1: List: expected no List within a List" },
	{ "apiVersion: v1\nkind: List\nitems: {}\n",
	  "test.yaml:3: document 1: List: items: expected a list" },
};

static void a_bad_object_is_one_line(void **state)
{
	char line[600];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct lw_test_findings findings = {};
		struct lw_model *model;

		assert_int_equal(lw_model_new(&model), 0);
		lw_test_load(model, bad[i].yaml, &findings);
		(void)snprintf(line, sizeof(line), "%s\n", bad[i].finding);
		if (strcmp(findings.text, line) != 0)
			fail_msg("%s\n-- not --\n%s", findings.text, line);
		for (size_t kind = 0; kind < LW_K8S__MAX; kind++)
			assert_int_equal(lw_model_count(model, (enum lw_k8s_kind)kind), 0);
		lw_model_free(&model);
	}
}

static void a_regular_expression_that_cannot_be_is_named(void **state)
{
	struct lw_test_findings findings = {};
	struct lw_model *model;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	lw_test_load(model,
		     ROUTING
		     "  strategy:\n    matches:\n    - headers: [{name: ok, value: a}]\n"
		     "    - headers: [{name: user, value: '(?<=x)y', type: RegularExpression}]\n",
		     &findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(strstr(
		findings.text,
		"test.yaml:9: document 1: TrafficRouting default/entry: spec.strategy.matches[1]: "));
	/* No request enters by it, but what else the object says counts. */
	assert_int_equal(lw_model_count(model, LW_K8S_TRAFFIC_ROUTING), 1);
	assert_int_equal(
		lw_model_at(model, LW_K8S_TRAFFIC_ROUTING, 0)->traffic_routing.route.nmatches, 2);

	/* In a Rollout without trafficRoutings nobody uses it. */
	lw_test_load(
		model,
		ROLLOUT_BETA
		"  strategy: {canary: {steps: [{matches: [{headers: [{name: user, value: '(?<=x)y',"
		" type: RegularExpression}]}]}]}}\n",
		NULL);
	assert_int_equal(lw_model_count(model, LW_K8S_ROLLOUT), 1);
	lw_model_free(&model);
}

static void each_flaw_is_told(void **state)
{
	struct lw_test_findings findings = {};
	struct lw_model *model;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	lw_test_load(
		model,
		ROLLOUT_BETA
		"  strategy:\n    canary:\n      trafficRoutings: [{service: web}]\n      steps:\n"
		"      - matches:\n"
		"        - headers: [{name: user, value: '(?!x).*', type: RegularExpression}]\n"
		"      - traffic: 20%\n"
		"        requestHeaderModifier: {set: [{name: Content-Length, value: '1'}]}\n"
		"status: {phase: Progressing}\n",
		&findings);
	assert_int_equal(findings.count, 2);
	assert_non_null(strstr(
		findings.text,
		"test.yaml:11: document 1: Rollout shop/web: spec.strategy.canary.steps[0].matches[0]: "));
	assert_non_null(strstr(
		findings.text,
		"test.yaml:13: document 1: Rollout shop/web: spec.strategy.canary.steps[1].requestHeaderModifier: "));
	assert_non_null(lw_model_get(model, LW_K8S_ROLLOUT, "shop", "web"));
	assert_string_equal(lw_model_at(model, LW_K8S_ROLLOUT, 0)->rollout.status.phase,
			    "Progressing");

	/* One that is malformed besides is not taken up, and that is what is told. */
	findings = (struct lw_test_findings){};
	assert_true(lw_model_remove(model, LW_K8S_ROLLOUT, "shop", "web"));
	lw_test_load(
		model,
		ROLLOUT_BETA
		"  strategy:\n    canary:\n      trafficRoutings: [{service: web}]\n      steps:\n"
		"      - matches:\n"
		"        - headers: [{name: user, value: '(?!x).*', type: RegularExpression}]\n"
		"      - traffic: 20\n",
		&findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(strstr(findings.text, "steps[1].traffic: expected a percentage"));
	assert_int_equal(lw_model_count(model, LW_K8S_ROLLOUT), 0);
	lw_model_free(&model);
}

/* All the steps and matches there may be, each with one. */
static void of_many_flaws_some_are_told(void **state)
{
	_cleanup_free_ char *yaml = malloc(1 << 20);
	struct lw_test_findings findings = {};
	struct lw_model *model;
	size_t len;

	(void)state;
	assert_non_null(yaml);
	assert_int_equal(lw_model_new(&model), 0);
	len = (size_t)snprintf(
		yaml, 1 << 20,
		"%s  strategy:\n    canary:\n      trafficRoutings: [{service: web}]\n      steps:\n",
		ROLLOUT_ALPHA);
	for (int step = 0; step < 50; step++) {
		len += (size_t)snprintf(yaml + len, (1 << 20) - len,
					"      - replicas: 1\n        matches:\n");
		for (int i = 0; i < 128; i++)
			len += (size_t)snprintf(yaml + len, (1 << 20) - len, "        - {}\n");
	}
	lw_test_load(model, yaml, &findings);
	assert_int_equal(findings.count, LW_FINDINGS_EACH + 1);
	assert_non_null(strstr(findings.text, "steps[0].matches[0]: "));
	assert_non_null(strstr(findings.text, "steps[0].matches[15]: "));
	assert_null(strstr(findings.text, "steps[0].matches[16]: "));
	assert_non_null(strstr(findings.text, "document 1: Rollout shop/web: and 6384 more\n"));
	assert_non_null(lw_model_get(model, LW_K8S_ROLLOUT, "shop", "web"));
	lw_model_free(&model);
}

/* What an API server makes of a match by path for a client of v1alpha1. */
static void an_empty_match_of_v1alpha1_is_not_all_requests(void **state)
{
	static const char steps[] =
		"  strategy: {canary: {trafficRoutings: [{service: web}], steps: [{replicas: 1, matches: [{}]}]}}\n";
	struct lw_test_findings findings = {};
	const struct lw_k8s_object *rollout;
	struct lw_model *model;
	char yaml[1024];

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	(void)snprintf(yaml, sizeof(yaml), "%s%s", ROLLOUT_ALPHA, steps);
	lw_test_load(model, yaml, &findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(strstr(
		findings.text,
		"Rollout shop/web: spec.strategy.canary.steps[0].matches[0]: a match without headers"));
	rollout = lw_model_get(model, LW_K8S_ROLLOUT, "shop", "web");
	assert_non_null(rollout);
	assert_int_equal(rollout->rollout.steps[0].route.nmatches, 1);
	assert_non_null(rollout->rollout.steps[0].route.matches[0].refused);
	/* v1beta1 would tell the rest */
	(void)snprintf(yaml, sizeof(yaml), "%s%s", ROLLOUT_BETA, steps);
	lw_test_load(model, yaml, NULL);
	rollout = lw_model_get(model, LW_K8S_ROLLOUT, "shop", "web");
	assert_null(rollout->rollout.steps[0].route.matches[0].refused);
	lw_model_free(&model);
}

/* Each may be as large as one may be, but not all of them: reading the object would take minutes. */
static void regular_expressions_of_one_object_have_a_bound(void **state)
{
	struct lw_test_findings findings = {};
	const struct lw_k8s_route *route;
	size_t len, refused = 0;
	struct lw_model *model;
	char yaml[32768];

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	len = (size_t)snprintf(
		yaml, sizeof(yaml),
		"%s  strategy:\n    canary:\n      trafficRoutings: [{service: web}]\n      steps:\n      - matches:\n",
		ROLLOUT_BETA);
	for (int i = 0; i < 127; i++)
		len += (size_t)snprintf(
			yaml + len, sizeof(yaml) - len,
			"        - headers: [{name: user, value: '(a|b)*a(a|b){10}%d', type: RegularExpression},"
			" {name: other, value: '(a|b)*b(a|b){10}%d', type: RegularExpression}]\n",
			i, i);
	(void)snprintf(
		yaml + len, sizeof(yaml) - len,
		"        - headers: [{name: user, value: me}]\nstatus: {phase: Progressing}\n");
	lw_test_load(model, yaml, &findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(
		strstr(findings.text, "take too long to compile: those from here on are refused"));
	assert_int_equal(lw_model_count(model, LW_K8S_ROLLOUT), 1);
	route = &lw_model_at(model, LW_K8S_ROLLOUT, 0)->rollout.steps[0].route;
	assert_int_equal(route->nmatches, 128);
	for (size_t i = 0; i < 128; i++)
		refused += route->matches[i].refused != NULL;
	assert_in_range(refused, 1, 126);
	assert_null(route->matches[0].refused);
	assert_non_null(route->matches[126].refused);
	assert_null(route->matches[127].refused);
	lw_model_free(&model);
}

/* Nor all of one match, which has room for thirty. */
static void regular_expressions_of_one_match_have_a_bound(void **state)
{
	struct lw_test_findings findings = {};
	const struct lw_k8s_route *route;
	struct lw_model *model;
	char yaml[8192];
	size_t len;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	len = (size_t)snprintf(
		yaml, sizeof(yaml),
		"%s  strategy:\n    canary:\n      trafficRoutings: [{service: web}]\n      steps:\n      - matches:\n        - headers:\n",
		ROLLOUT_BETA);
	for (int i = 0; i < 16; i++)
		len += (size_t)snprintf(
			yaml + len, sizeof(yaml) - len,
			"          - {name: h%d, value: '(a?b?c?d?){%d}', type: RegularExpression}\n",
			i, 300 - i);
	(void)snprintf(
		yaml + len, sizeof(yaml) - len,
		"        - headers: [{name: user, value: me}]\nstatus: {phase: Progressing}\n");
	lw_test_load(model, yaml, &findings);
	assert_int_equal(findings.count, 1);
	assert_non_null(
		strstr(findings.text, "take too long to compile: those from here on are refused"));
	route = &lw_model_at(model, LW_K8S_ROLLOUT, 0)->rollout.steps[0].route;
	assert_int_equal(route->nmatches, 2);
	assert_non_null(route->matches[0].refused);
	assert_null(route->matches[1].refused);
	lw_model_free(&model);
}

static void the_rest_of_a_list_is_read(void **state)
{
	struct lw_test_findings findings = {};
	struct lw_model *model;

	(void)state;
	assert_int_equal(lw_model_new(&model), 0);
	lw_test_load(model,
		     "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: ''}\nitems:\n"
		     "- {apiVersion: v1, kind: Pod, metadata: {name: a}}\n"
		     "- {apiVersion: v1, kind: Pod, metadata: {name: 7}}\n"
		     "- {apiVersion: v1, kind: ConfigMap, metadata: {name: 7}}\n"
		     "- {apiVersion: argoproj.io/v1alpha1, kind: Rollout, metadata: {name: 7}}\n"
		     "- {apiVersion: v1, kind: Pod, metadata: {name: b, namespace: other}}\n"
		     "---\n"
		     "apiVersion: v1\nkind: PodList\nitems: [{metadata: {name: c}}]\n"
		     "---\n"
		     "apiVersion: v1\nkind: WaitingList\nmetadata: {name: w}\n",
		     &findings);
	assert_string_equal(
		findings.text,
		"test.yaml:6: document 1: Pod default/?: metadata.name: expected a string, got the integer 7\n");
	assert_int_equal(lw_model_count(model, LW_K8S_POD), 3);
	assert_non_null(lw_model_get(model, LW_K8S_POD, "default", "a"));
	assert_non_null(lw_model_get(model, LW_K8S_POD, "other", "b"));
	assert_non_null(lw_model_get(model, LW_K8S_POD, "default", "c"));
	lw_model_free(&model);
}

static void a_pod_as_kubectl_prints_it(void **state)
{
	struct lw_k8s_object *pod = lw_test_object(
		"apiVersion: v1\n"
		"kind: Pod\n"
		"metadata:\n"
		"  annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}', laneway.io/keep-out: 'true'}\n"
		"  creationTimestamp: \"2026-11-22T09:00:00Z\"\n"
		"  deletionTimestamp: \"2026-11-22T10:00:00Z\"\n"
		"  deletionGracePeriodSeconds: 30\n"
		"  generateName: web-7d4b9-\n"
		"  labels: {app: web, pod-template-hash: 7d4b9}\n"
		"  managedFields: [{manager: kubelet, operation: Update, fieldsV1: {'f:status': {'k:{\"type\":\"Ready\"}': {}}}}]\n"
		"  name: web-7d4b9-x2x8s\n"
		"  namespace: shop\n"
		"  ownerReferences:\n"
		"  - {apiVersion: x.io/v1, kind: Other, name: o, uid: u0}\n"
		"  - {apiVersion: apps/v1, blockOwnerDeletion: true, controller: true, kind: ReplicaSet, name: web-7d4b9, uid: u1}\n"
		"  uid: 6a3f\n"
		"spec:\n"
		"  containers:\n"
		"  - name: web\n"
		"    ports:\n"
		"    - {containerPort: 8080, name: http, protocol: TCP}\n"
		"    - {containerPort: 53, name: dns, protocol: UDP}\n"
		"    - {containerPort: 9090}\n"
		"  initContainers:\n"
		"  - {name: init, ports: [{containerPort: 1}]}\n"
		"  - {name: side, restartPolicy: Always, ports: [{containerPort: 15000, name: admin}]}\n"
		"  nodeName: node-1\n"
		"status:\n"
		"  conditions:\n"
		"  - {lastProbeTime: null, status: \"True\", type: Initialized}\n"
		"  - {lastProbeTime: null, status: \"True\", type: Ready}\n"
		"  phase: Running\n"
		"  podIP: 10.0.0.7\n"
		"  podIPs: [{ip: 10.0.0.7}, {ip: 'fd00::7'}, {ip: 10.0.0.7}]\n");
	char buf[LW_ADDR_STRLEN];

	(void)state;
	assert_string_equal(pod->meta.ns, "shop");
	assert_string_equal(pod->meta.uid, "6a3f");
	assert_string_equal(pod->meta.origin, "test.yaml:1: document 1");
	assert_true(pod->meta.deleting);
	assert_string_equal(pod->meta.owner.group, "apps");
	assert_string_equal(pod->meta.owner.kind, "ReplicaSet");
	assert_string_equal(pod->meta.owner.name, "web-7d4b9");
	assert_int_equal(pod->meta.annotations.n, 0);
	assert_string_equal(pod->pod.keep_out, "true");
	assert_string_equal(lw_k8s_pairs_get(&pod->meta.labels, "pod-template-hash"), "7d4b9");
	assert_true(pod->pod.ready);
	assert_string_equal(pod->pod.node, "node-1");
	assert_int_equal(pod->pod.nips, 2);
	assert_string_equal(lw_addr_format(&pod->pod.ips[0], buf), "10.0.0.7");
	assert_string_equal(lw_addr_format(&pod->pod.ips[1], buf), "fd00::7");
	assert_int_equal(pod->pod.nports, 3);
	assert_string_equal(pod->pod.ports[0].name, "http");
	assert_int_equal(pod->pod.ports[1].number, 9090);
	assert_string_equal(pod->pod.ports[2].name, "admin");
	lw_k8s_object_free(&pod);
}

static void services(void **state)
{
	struct lw_k8s_object *s;

	(void)state;
	s = lw_test_object(
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.9.0.1,"
		" clusterIPs: [10.9.0.1, 'fd00::1'], selector: {app: web}, ports: ["
		"{port: 80, targetPort: http}, {port: 81, targetPort: 8081}, {port: 82}, {port: 83, targetPort: 0},"
		" {port: 53, protocol: UDP}]}}");
	assert_int_equal(s->service.nips, 2);
	assert_int_equal(s->service.nports, 4);
	assert_int_equal(s->service.ports[0].target, 0);
	assert_string_equal(s->service.ports[0].target_name, "http");
	assert_int_equal(s->service.ports[1].target, 8081);
	assert_int_equal(s->service.ports[2].target, 82);
	assert_int_equal(s->service.ports[3].target, 83);
	lw_k8s_object_free(&s);

	s = lw_test_object(
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: None, clusterIPs: [None],"
		" ports: [{port: 80}]}}");
	assert_int_equal(s->service.nips, 0);
	lw_k8s_object_free(&s);
	s = lw_test_object(
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {clusterIP: 10.9.0.1,"
		" ports: [{port: 80}]}}");
	assert_int_equal(s->service.nips, 1);
	lw_k8s_object_free(&s);
	s = lw_test_object(
		"{apiVersion: v1, kind: Service, metadata: {name: s}, spec: {type: ExternalName, externalName: a.b}}");
	assert_true(s->service.external);
	lw_k8s_object_free(&s);
}

static void selectors(void **state)
{
	struct lw_k8s_object *d = lw_test_object(
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: d}, spec: {selector: {matchLabels: {app: web},"
		" matchExpressions: [{key: tier, operator: In, values: [a, b]}, {key: old, operator: DoesNotExist},"
		" {key: zone, operator: NotIn, values: [z]}, {key: app, operator: Exists}]}}}");
	static const struct {
		struct lw_k8s_pair labels[4];
		bool matches;
	} rows[] = {
		{ { { "app", "web" }, { "tier", "b" } }, true },
		{ { { "app", "web" }, { "tier", "c" } }, false },
		{ { { "app", "db" }, { "tier", "a" } }, false },
		{ { { "app", "web" }, { "tier", "a" }, { "old", "" } }, false },
		{ { { "app", "web" }, { "tier", "a" }, { "zone", "z" } }, false },
		{ { { "app", "web" }, { "tier", "a" }, { "zone", "y" } }, true },
		{ { { "app", "web" } }, false },
	};
	const struct lw_k8s_selector nothing = {};

	(void)state;
	assert_int_equal(d->workload.replicas, 1);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lw_k8s_pairs labels = { rows[i].labels, 0 };

		while (labels.n < 4 && rows[i].labels[labels.n].key)
			labels.n++;
		assert_int_equal(lw_k8s_selector_matches(&d->workload.selector, &labels),
				 rows[i].matches);
		assert_false(lw_k8s_selector_matches(&nothing, &labels));
	}
	lw_k8s_object_free(&d);
}

/* ---- Rollouts ---- */

static void both_versions_come_out_alike(void **state)
{
	struct lw_k8s_object *alpha = lw_test_object(
		"apiVersion: rollouts.kruise.io/v1alpha1\n"
		"kind: Rollout\n"
		"metadata: {name: web, annotations: {rollouts.kruise.io/trafficrouting: entry, rollouts.kruise.io/hash: h}}\n"
		"spec:\n"
		"  objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}\n"
		"  strategy:\n"
		"    canary:\n"
		"      trafficRoutings: [{service: web, gracePeriodSeconds: 3, ingress: {name: web}}]\n"
		"      steps: [{weight: 20}, {replicas: 3, matches: [{headers: [{name: u, value: v}]}]}, {replicas: 50%}]\n"
		"      patchPodTemplateMetadata: {labels: {alicloud.service.tag: gray}}\n"
		"status:\n"
		"  phase: Progressing\n"
		"  conditions:\n"
		"  - {type: Succeeded, status: \"False\", reason: Completed, message: ''}\n"
		"  - {type: Progressing, status: \"True\", reason: InRolling, message: ''}\n"
		"  canaryStatus: {currentStepIndex: 2, currentStepState: StepPaused, podTemplateHash: p, stableRevision: s,\n"
		"    rolloutHash: h, canaryRevision: c, finalisingStep: '', nextStepIndex: 3, canaryReplicas: 1, canaryReadyReplicas: 1}\n");
	struct lw_k8s_object *beta = lw_test_object(
		"apiVersion: rollouts.kruise.io/v1beta1\n"
		"kind: Rollout\n"
		"metadata: {name: web, annotations: {rollouts.kruise.io/trafficrouting: entry, rollouts.kruise.io/hash: h}}\n"
		"spec:\n"
		"  workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}\n"
		"  strategy:\n"
		"    canary:\n"
		"      enableExtraWorkloadForCanary: true\n"
		"      trafficRoutings: [{service: web}]\n"
		"      steps: [{traffic: 20%, replicas: 20%}, {replicas: 3, matches: [{headers: [{name: u, value: v, type: Exact}]}]},\n"
		"        {replicas: 50%}]\n"
		"      patchPodTemplateMetadata: {labels: {alicloud.service.tag: gray}}\n"
		"status:\n"
		"  phase: Progressing\n"
		"  currentStepIndex: 2\n"
		"  currentStepState: StepPaused\n"
		"  conditions: [{type: Progressing, status: \"True\", reason: InRolling, message: ''}]\n"
		"  canaryStatus: {currentStepIndex: 2, currentStepState: StepPaused, podTemplateHash: p, stableRevision: s,\n"
		"    rolloutHash: h, canaryRevision: c, finalisingStep: '', nextStepIndex: 3, canaryReplicas: 1, canaryReadyReplicas: 1}\n");
	const struct lw_k8s_object *const both[] = { alpha, beta };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		const struct lw_k8s_rollout *r = &both[i]->rollout;

		assert_int_equal(r->style, LW_K8S_STYLE_CANARY);
		assert_string_equal(r->workload_group, "apps");
		assert_string_equal(r->workload_kind, "Deployment");
		assert_string_equal(r->service, "web");
		assert_string_equal(r->traffic_routing, "entry");
		assert_string_equal(r->hash, "h");
		assert_int_equal(r->nsteps, 3);
		assert_int_equal(r->steps[0].route.weight_pct, 20);
		assert_true(r->steps[0].replicas_pct && r->steps[0].replicas == 20);
		assert_int_equal(r->steps[1].route.weight_pct, -1);
		assert_true(!r->steps[1].replicas_pct && r->steps[1].replicas == 3);
		assert_int_equal(r->steps[1].route.nmatches, 1);
		assert_int_equal(r->steps[1].route.matches[0].n, 1);
		assert_int_equal(r->steps[1].route.matches[0].conds[0].op, LW_OP_EXACT);
		assert_int_equal(r->steps[2].route.nmatches, 0);
		assert_true(r->steps[2].replicas_pct && r->steps[2].replicas == 50);
		assert_string_equal(lw_k8s_pairs_get(&r->patch_labels, "alicloud.service.tag"),
				    "gray");
		assert_string_equal(r->status.phase, "Progressing");
		assert_string_equal(r->status.reason, "InRolling");
		assert_int_equal(r->status.step, 2);
		assert_string_equal(r->status.step_state, "StepPaused");
		assert_string_equal(r->status.pod_template_hash, "p");
		assert_string_equal(r->status.stable_revision, "s");
		assert_string_equal(r->status.rollout_hash, "h");
		assert_string_equal(r->status.update_revision, "c");
	}
	lw_k8s_object_free(&alpha);
	lw_k8s_object_free(&beta);
}

static void styles(void **state)
{
	static const struct {
		const char *version, *annotation, *kind, *strategy;
		enum lw_k8s_style style;
	} rows[] = {
		{ "v1alpha1", "", "Deployment", "canary: {}", LW_K8S_STYLE_CANARY },
		{ "v1alpha1", "rollouts.kruise.io/rolling-style: Partition", "Deployment",
		  "canary: {}", LW_K8S_STYLE_PARTITION },
		{ "v1alpha1", "rollouts.kruise.io/rolling-style: canary", "Deployment",
		  "canary: {}", LW_K8S_STYLE_CANARY },
		{ "v1alpha1", "", "CloneSet", "canary: {}", LW_K8S_STYLE_PARTITION },
		{ "v1beta1", "", "Deployment", "canary: {}", LW_K8S_STYLE_PARTITION },
		{ "v1beta1", "", "Deployment", "canary: {enableExtraWorkloadForCanary: true}",
		  LW_K8S_STYLE_CANARY },
		{ "v1beta1", "", "StatefulSet", "canary: {enableExtraWorkloadForCanary: true}",
		  LW_K8S_STYLE_PARTITION },
		{ "v1beta1", "", "Deployment", "blueGreen: {}", LW_K8S_STYLE_BLUE_GREEN },
	};
	char yaml[1024];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool alpha = strcmp(rows[i].version, "v1alpha1") == 0;
		struct lw_k8s_object *object;

		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: rollouts.kruise.io/%s, kind: Rollout, metadata: {name: r, annotations: {%s}},"
			" spec: {%sworkloadRef: {apiVersion: apps/v1, kind: %s, name: w}%s, strategy: {%s}}}",
			rows[i].version, rows[i].annotation, alpha ? "objectRef: {" : "",
			rows[i].kind, alpha ? "}" : "", rows[i].strategy);
		object = lw_test_object(yaml);
		assert_int_equal(object->rollout.style, rows[i].style);
		lw_k8s_object_free(&object);
	}
}

static void blue_green_status_and_matches_of_v1beta1(void **state)
{
	struct lw_k8s_object *object = lw_test_object(
		ROLLOUT_BETA
		"  strategy:\n"
		"    blueGreen:\n"
		"      disableGenerateCanaryService: true\n"
		"      trafficRoutings: [{service: web}]\n"
		"      steps:\n"
		"      - traffic: 0%\n"
		"        replicas: 100%\n"
		"      - matches:\n"
		"        - headers: [{name: A, value: x}, {name: a, value: z}, {name: canary-by-cookie, value: user}]\n"
		"          queryParams: [{name: q, value: '^b', type: RegularExpression}, {name: Q, value: c}]\n"
		"          path: {value: /v1}\n"
		"        - path: {type: Exact, value: /exact}\n"
		"        - path: {}\n"
		"        - {}\n"
		"        requestHeaderModifier:\n"
		"          set: [{name: x-mse-tag, value: gray}]\n"
		"          add: [{name: x-more, value: '1'}]\n"
		"          remove: [x-less]\n"
		"status:\n"
		"  phase: Progressing\n"
		"  conditions: [{type: Progressing, status: \"False\", reason: Completed}]\n"
		"  blueGreenStatus: {currentStepIndex: 1, currentStepState: StepUpgrade, updatedRevision: u, podTemplateHash: p}\n"
		"  canaryStatus: {currentStepIndex: 9, currentStepState: Completed, canaryRevision: c}\n");
	const struct lw_k8s_rollout *r = &object->rollout;
	const struct lw_k8s_match *m = r->steps[1].route.matches;

	(void)state;
	assert_int_equal(r->style, LW_K8S_STYLE_BLUE_GREEN);
	assert_true(r->no_canary_service);
	assert_int_equal(r->steps[0].route.weight_pct, 0);
	assert_int_equal(r->status.step, 1);
	assert_string_equal(r->status.update_revision, "u");
	assert_string_equal(r->status.reason, "");
	assert_int_equal(r->steps[1].route.nmatches, 4);
	assert_int_equal(m[0].n, 5);
	assert_string_equal(m[0].conds[0].name, "A"); /* of equal names the first */
	assert_string_equal(m[0].conds[0].value, "x");
	assert_int_equal(m[0].conds[1].subject, LW_SUBJECT_COOKIE);
	assert_string_equal(m[0].conds[1].name, "user");
	assert_string_equal(m[0].conds[1].value, "always");
	assert_int_equal(m[0].conds[2].subject, LW_SUBJECT_QUERY);
	assert_int_equal(m[0].conds[2].op, LW_OP_REGEX);
	assert_string_equal(m[0].conds[3].name, "Q"); /* query names have their case */
	assert_int_equal(m[0].conds[4].subject, LW_SUBJECT_PATH);
	assert_int_equal(m[0].conds[4].op, LW_OP_PREFIX);
	assert_int_equal(m[1].conds[0].op, LW_OP_EXACT);
	assert_string_equal(m[2].conds[0].value, "/");
	assert_int_equal(m[3].n, 0);
	assert_int_equal(r->steps[1].route.modifier.nset, 1);
	assert_string_equal(r->steps[1].route.modifier.set[0].key, "x-mse-tag");
	assert_string_equal(r->steps[1].route.modifier.add[0].value, "1");
	assert_string_equal(r->steps[1].route.modifier.remove[0], "x-less");
	lw_k8s_object_free(&object);
}

static void a_traffic_routing(void **state)
{
	struct lw_k8s_object *object = lw_test_object(
		"apiVersion: rollouts.kruise.io/v1alpha1\n"
		"kind: TrafficRouting\n"
		"metadata: {name: entry, finalizers: [progressing.rollouts.kruise.io/web, rollouts.kruise.io/trafficrouting]}\n"
		"spec:\n"
		"  objectRef: [{service: web}, {service: other}]\n"
		"  strategy: {weight: 30, matches: [{headers: [{name: a, value: b}]}]}\n"
		"status: {phase: Progressing}\n");
	const struct lw_k8s_traffic_routing *t = &object->traffic_routing;

	(void)state;
	assert_string_equal(t->service, "web");
	assert_string_equal(t->phase, "Progressing");
	assert_int_equal(t->route.weight_pct, 30);
	assert_int_equal(t->route.nmatches, 1);
	assert_int_equal(t->route.matches[0].n, 1);
	assert_int_equal(object->meta.nfinalizers, 2);
	lw_k8s_object_free(&object);
}

/* Nothing that an API server lets through keeps its status out, and nothing is taken for less than it says. */
static void what_is_wrong_in_a_traffic_routing(void **state)
{
	static const struct {
		const char *strategy, *finding;
		size_t refused;
	} rows[] = {
		{ "{weight: 150}",
		  "spec.strategy.weight: expected an integer from 0 to 100, got 150: no request enters by it\n",
		  0 },
		{ "{weight: -1}",
		  "spec.strategy.weight: expected an integer from 0 to 100, got -1: no request enters by it\n",
		  0 },
		{ "{matches: [{}, {headers: [{name: a, value: b}]}]}",
		  "spec.strategy.matches[0]: a match without headers: ", 1 },
		{ "{matches: [{path: {value: /x}}]}",
		  "spec.strategy.matches[0]: path and queryParams are for steps of v1beta1 ", 1 },
		{ "{matches: [{headers: [{name: a, value: b}], queryParams: [{name: a, value: b}]}]}",
		  "spec.strategy.matches[0]: path and queryParams are for steps of v1beta1 ", 1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct lw_test_findings findings = {};
		const struct lw_k8s_object *object;
		struct lw_model *model;
		size_t refused = 0;
		char yaml[1024];

		assert_int_equal(lw_model_new(&model), 0);
		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: entry},"
			" spec: {objectRef: [{service: web}], strategy: %s}, status: {phase: Progressing}}",
			rows[i].strategy);
		lw_test_load(model, yaml, &findings);
		assert_int_equal(findings.count, 1);
		if (!strstr(findings.text, rows[i].finding))
			fail_msg("%s: %s", rows[i].strategy, findings.text);
		object = lw_model_get(model, LW_K8S_TRAFFIC_ROUTING, "default", "entry");
		assert_non_null(object);
		assert_string_equal(object->traffic_routing.phase, "Progressing");
		assert_int_equal(object->traffic_routing.route.weight_pct, -1);
		for (size_t m = 0; m < object->traffic_routing.route.nmatches; m++)
			refused += object->traffic_routing.route.matches[m].refused != NULL;
		assert_int_equal(refused, rows[i].refused);
		lw_model_free(&model);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bad_object_is_one_line),
		cmocka_unit_test(a_regular_expression_that_cannot_be_is_named),
		cmocka_unit_test(each_flaw_is_told),
		cmocka_unit_test(of_many_flaws_some_are_told),
		cmocka_unit_test(an_empty_match_of_v1alpha1_is_not_all_requests),
		cmocka_unit_test(regular_expressions_of_one_object_have_a_bound),
		cmocka_unit_test(regular_expressions_of_one_match_have_a_bound),
		cmocka_unit_test(the_rest_of_a_list_is_read),
		cmocka_unit_test(a_pod_as_kubectl_prints_it),
		cmocka_unit_test(services),
		cmocka_unit_test(selectors),
		cmocka_unit_test(both_versions_come_out_alike),
		cmocka_unit_test(styles),
		cmocka_unit_test(blue_green_status_and_matches_of_v1beta1),
		cmocka_unit_test(a_traffic_routing),
		cmocka_unit_test(what_is_wrong_in_a_traffic_routing),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
