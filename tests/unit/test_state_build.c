/* SPDX-License-Identifier: Apache-2.0 */
#include "core/state_build.h"

#include <setjmp.h>
#include <errno.h>
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
#include "conf/source_dir.h"
#include "core/regex.h"

#ifndef LW_TEST_DATA
#define LW_TEST_DATA "tests/data"
#endif

struct fixture {
	struct lw_model *model;
	struct lw_state_builder *builder;
	struct lw_image *image;
	struct lw_listing *listing;
	struct lw_test_findings findings;
};

static int setup(void **state)
{
	const struct lw_state_options options = { .node = "n1" };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(lw_model_new(&f->model), 0);
	assert_int_equal(lw_state_builder_new(&options, &f->builder), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lw_image_free(&f->image);
	lw_listing_free(&f->listing);
	lw_state_builder_free(&f->builder);
	lw_model_free(&f->model);
	free(f);
	return 0;
}

static void build_image(struct fixture *f)
{
	lw_image_free(&f->image);
	lw_listing_free(&f->listing);
	f->findings = (struct lw_test_findings){};
	assert_int_equal(
		lw_state_build(f->builder, f->model, lw_test_finding, &f->findings, &f->image), 0);
}

static void build(struct fixture *f)
{
	build_image(f);
	assert_int_equal(lw_state_list(f->builder, &f->listing), 0);
}

/* ---- objects ---- */

/* A pod of Deployment `deployment`; more: further members of metadata, ports: "name: number" of TCP ports. */
static void add_pod(struct fixture *f, const char *deployment, const char *hash, const char *name,
		    const char *ips, const char *more_labels, const char *more, const char *ports)
{
	char yaml[2048];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: u-%s, labels: {app: web, pod-template-hash: %s%s},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: %s-%s, controller: true}]%s},"
		" spec: {nodeName: n1, containers: [{ports: [%s]}]},"
		" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [%s]}}",
		name, name, hash, more_labels, deployment, hash, more, ports, ips);
	lw_test_load(f->model, yaml, NULL);
}

/* A pod of another kind of workload, whose revision label is in `hash`; app is its name up to the first '-'. */
static void add_owned_pod(struct fixture *f, const char *owner, const char *hash, const char *name,
			  const char *ip)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: u-%s, labels: {app: %.*s, %s},"
		" ownerReferences: [{%s, controller: true}]}, spec: {nodeName: n1},"
		" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [{ip: %s}]}}",
		name, name, (int)strcspn(name, "-"), name, hash, owner, ip);
	lw_test_load(f->model, yaml, NULL);
}

#define PORT_HTTP(n) "{name: http, containerPort: " #n "}"

static void add_service(struct fixture *f, const char *name, const char *selector, const char *ips,
			const char *ports)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {selector: {%s}, clusterIPs: [%s],"
		" ports: [%s]}}",
		name, selector, ips, ports);
	lw_test_load(f->model, yaml, NULL);
}

/* Rollout web of Deployment web, own trafficRoutings, one matching step. */
static void add_rollout(struct fixture *f, const char *reason, const char *state,
			const char *canary, const char *strategy)
{
	char yaml[2048];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {%s: {"
		"   trafficRoutings: [{service: web}], steps: [{matches: [{headers: [{name: user, value: me}]}]}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: %s}],"
		"   %s: {currentStepIndex: 1, currentStepState: %s, podTemplateHash: %s, stableRevision: old}}}",
		strategy, reason,
		strcmp(strategy, "canary") == 0 ? "canaryStatus" : "blueGreenStatus", state,
		canary);
	lw_test_load(f->model, yaml, NULL);
}

/* With an extra Deployment for the canary, at its first step. */
static void load_canary_style(struct fixture *f)
{
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   enableExtraWorkloadForCanary: true, trafficRoutings: [{service: web}], steps: [{traffic: 5%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
}

/* Two base pods, one canary, Service web on 10.9.0.1:80. */
static void add_web(struct fixture *f)
{
	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", "", "", PORT_HTTP(8080));
	add_pod(f, "web", "old", "web-2", "{ip: 10.0.0.2}", "", "", PORT_HTTP(8080));
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "", PORT_HTTP(8080));
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
}

/* A builder that enrols ahead, in the place of the other. */
static void ahead(struct fixture *f)
{
	const struct lw_state_options options = { .node = "n1", .enrol_ahead = true };

	lw_state_builder_free(&f->builder);
	assert_int_equal(lw_state_builder_new(&options, &f->builder), 0);
}

/* ---- what is in the image ---- */

static struct lw_addr addr(const char *s)
{
	struct lw_addr a;

	assert_int_equal(lw_addr_parse(s, &a), 0);
	return a;
}

static const struct lw_dest *dest(const struct fixture *f, const char *ip, uint16_t port)
{
	const struct lw_dest_key key = { .addr = addr(ip), .port = port };

	return lw_image_get(f->image, LW_TABLE_DESTS, &key);
}

static const struct lw_pod *pod(const struct fixture *f, const char *ip)
{
	const struct lw_pod_key key = { .addr = addr(ip) };

	return lw_image_get(f->image, LW_TABLE_PODS, &key);
}

/* "10.0.0.1:8080 10.0.0.2:8080", port * for 0, the ones on this node with a star behind. */
static const char *endpoints(const struct fixture *f, const struct lw_dest *d, uint32_t lane)
{
	static char text[512];
	const struct lw_group_key group_key = { .group = d->group, .lane = lane };
	const struct lw_group *group = lw_image_get(f->image, LW_TABLE_GROUPS, &group_key);
	char buf[LW_ADDR_STRLEN];

	text[0] = '\0';
	for (uint32_t i = 0; group && i < group->count; i++) {
		const struct lw_endpoint_key key = { .group = d->group, .lane = lane, .idx = i };
		const struct lw_endpoint *e = lw_image_get(f->image, LW_TABLE_ENDPOINTS, &key);
		const struct lw_pod *row;
		size_t len = strlen(text);
		bool is_local;

		assert_non_null(e);
		is_local = i < group->local;
		row = lw_image_get(f->image, LW_TABLE_PODS,
				   &(struct lw_pod_key){ .addr = e->addr });
		if (row) /* a Service may have pods of workloads that are in no release */
			assert_int_equal(is_local, !!(row->flags & LW_POD_LOCAL));
		(void)snprintf(text + len, sizeof(text) - len, "%s%s%s", i ? " " : "",
			       lw_addr_format_port(&e->addr, e->port, buf), is_local ? "" : "!");
	}
	return text;
}

static const struct lw_workload *workload(const struct fixture *f, uint32_t id)
{
	const struct lw_slot_key key = { .id = id };

	return lw_image_get(f->image, LW_TABLE_WORKLOADS, &key);
}

static const struct lw_listing_workload *listed(const struct fixture *f, const char *name)
{
	for (size_t i = 0; i < f->listing->nworkloads; i++) {
		if (strcmp(f->listing->workloads[i].name, name) == 0)
			return &f->listing->workloads[i];
	}
	fail_msg("%s is not listed", name);
	return NULL;
}

/* ---- the example ---- */

static void load_dir(struct fixture *f, const char *dir)
{
	struct lw_source_dir *source;

	assert_int_equal(lw_source_dir_open(dir, f->model, lw_test_finding, &f->findings, &source),
			 0);
	assert_string_equal(f->findings.text, "");
	lw_source_dir_close(&source);
}

static void the_example_as_it_stands_is_all_plain(void **state)
{
	struct fixture *f = *state;

	load_dir(f, LW_TEST_DATA "/seed");
	assert_int_equal(lw_model_count(f->model, LW_K8S_ROLLOUT), 3);
	assert_int_equal(lw_model_count(f->model, LW_K8S_DEPLOYMENT), 5);
	assert_int_equal(lw_model_count(f->model, LW_K8S_SERVICE), 3);
	assert_int_equal(lw_model_count(f->model, LW_K8S_TRAFFIC_ROUTING), 1);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	assert_int_equal(f->listing->nlanes, 1);
	assert_string_equal(f->listing->lanes[0].name, "gray");
	assert_false(f->listing->lanes[0].open);
	assert_int_equal(f->listing->lanes[0].nworkloads, 3);
}

static void the_example_in_release(void **state)
{
	struct fixture *f = *state;
	const struct lw_tag_key tag_key = { .header = LW_HDR_TAG_FIRST, .len = 4, .value = "gray" };
	const struct lw_slot_key lane_key = { .id = 1 };
	const struct lw_listing_workload *a;
	const struct lw_rule *rule;
	const struct lw_lane *lane;

	load_dir(f, LW_TEST_DATA "/release");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 2);

	/* A: by its Service, and by its pods' addresses. */
	assert_non_null(dest(f, "10.96.20.1", 20001));
	assert_int_equal(dest(f, "10.96.20.1", 20001)->flags, LW_DEST_SERVICE | LW_DEST_UNPINNED);
	assert_string_equal(endpoints(f, dest(f, "10.96.20.1", 20001), 0),
			    "192.168.42.115:20001! 192.168.42.116:20001!");
	assert_string_equal(endpoints(f, dest(f, "10.96.20.1", 20001), 1), "192.168.42.117:20001!");
	assert_null(dest(f, "10.96.20.1", 20002));
	assert_string_equal(endpoints(f, dest(f, "192.168.42.116", 0), 1), "192.168.42.117:*!");
	assert_string_equal(endpoints(f, dest(f, "192.168.42.117", 0), 0),
			    "192.168.42.115:*! 192.168.42.116:*!");
	assert_int_equal(dest(f, "192.168.42.116", 0)->flags, 0);
	assert_int_equal(pod(f, "192.168.42.117")->lane, 1);
	assert_int_equal(pod(f, "192.168.42.117")->flags, LW_POD_READY);
	assert_string_equal(pod(f, "192.168.42.117")->name,
			    "default/spring-cloud-a-7cx9w-5d4c7b6f8a-q7z4m");
	assert_int_equal(pod(f, "192.168.42.115")->lane, 0);
	assert_int_equal(pod(f, "192.168.42.115")->workload,
			 dest(f, "192.168.42.116", 0)->workload);
	assert_int_not_equal(pod(f, "192.168.42.115")->uid_hash,
			     pod(f, "192.168.42.116")->uid_hash);
	/* B is not in release, C is. */
	assert_null(dest(f, "192.168.42.118", 0));
	assert_null(pod(f, "192.168.42.118"));
	assert_string_equal(endpoints(f, dest(f, "192.168.42.101", 0), 1), "192.168.42.102:*!");
	assert_string_equal(workload(f, pod(f, "192.168.42.101")->workload)->name,
			    "default/Deployment/spring-cloud-c");

	/* The rule guards A alone. */
	assert_int_not_equal(workload(f, pod(f, "192.168.42.115")->workload)->entry, 0);
	assert_int_equal(workload(f, pod(f, "192.168.42.101")->workload)->entry, 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 1);
	rule = lw_image_value(f->image, LW_TABLE_RULES, 0);
	assert_string_equal(rule->source, "TrafficRouting default/mse-traffic match 1");
	assert_int_equal(rule->lane, 1);
	lane = lw_image_get(f->image, LW_TABLE_LANES, &lane_key);
	assert_non_null(lane);
	assert_string_equal(lane->name, "gray");
	assert_int_equal(
		((const struct lw_tag *)lw_image_get(f->image, LW_TABLE_TAGS, &tag_key))->lane, 1);

	/* For people. */
	a = listed(f, "default/Deployment/spring-cloud-a");
	assert_true(a->open);
	assert_string_equal(a->lane_name, "gray");
	assert_string_equal(a->rollout, "default/rollout-a");
	assert_string_equal(a->traffic_routing, "default/mse-traffic");
	assert_int_equal(a->base_ready, 2);
	assert_int_equal(a->canary_ready, 1);
	assert_false(listed(f, "default/Deployment/spring-cloud-b")->open);
	assert_int_equal(f->listing->nrules, 1);
	assert_string_equal(f->listing->rules[0].text, "header User-Agent = xiaoming");
	assert_int_equal(f->listing->nendpoints, 5);
	assert_string_equal(f->listing->endpoints[2].lane_name, "gray");
	assert_string_equal(f->listing->endpoints[2].ips[0], "192.168.42.117");
	assert_string_equal(f->listing->endpoints[2].ports, "20001");
	assert_int_equal(f->listing->nservices, 1);
	assert_string_equal(f->listing->services[0].ports, "20001->20001");
	assert_true(f->listing->lanes[0].open);
	assert_string_equal(f->listing->lanes[0].tag_header, "x-mse-tag");
}

static void the_entry_hop_need_not_be_in_release(void **state)
{
	struct fixture *f = *state;

	load_dir(f, LW_TEST_DATA "/release");
	assert_true(lw_model_remove(f->model, LW_K8S_ROLLOUT, "default", "rollout-a"));
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default",
				    "spring-cloud-a-7cx9w-5d4c7b6f8a-q7z4m"));
	build(f);
	/* A's requests are tagged, and its pods are all base: C has the lane. */
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 2);
	assert_int_equal(listed(f, "default/Deployment/spring-cloud-a")->route, LW_LISTING_ENTRY);
	assert_non_null(dest(f, "10.96.20.1", 20001));
	assert_int_not_equal(workload(f, dest(f, "10.96.20.1", 20001)->workload)->entry, 0);
	assert_string_equal(endpoints(f, dest(f, "10.96.20.1", 20001), 1), "");
	assert_int_equal(pod(f, "192.168.42.115")->lane, 0);
	/* Once nothing of the lane is in release, the entry is left alone too. */
	assert_true(lw_model_remove(f->model, LW_K8S_ROLLOUT, "default", "rollout-c"));
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 0);
}

/* The pods of a workload between two releases are found only when somebody asks for them. */
static void the_entry_hop_may_be_between_releases(void **state)
{
	static const char rollout[] =
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: rollout-a, annotations:"
		" {rollouts.kruise.io/trafficrouting: mse-traffic}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment,"
		" name: spring-cloud-a}, strategy: {canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}},"
		" status: {phase: Healthy, conditions: [{type: Progressing, status: \"False\", reason: Completed}]}}";
	struct fixture *f = *state;
	const struct lw_listing_workload *a;

	load_dir(f, LW_TEST_DATA "/release");
	lw_test_load(f->model, rollout, NULL);
	build(f);
	assert_string_equal(f->findings.text, "");
	a = listed(f, "default/Deployment/spring-cloud-a");
	assert_int_equal(a->route, LW_LISTING_ENTRY);
	assert_int_equal(a->base_pods, 3);
	/* also the pod of its extra Deployment, whose name another workload might have */
	assert_int_equal(workload(f, pod(f, "192.168.42.117")->workload)->entry,
			 workload(f, dest(f, "10.96.20.1", 20001)->workload)->entry);
	assert_int_equal(pod(f, "192.168.42.117")->lane, 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 2);

	/* With no rule that leads there it stays out, and its pods are listed all the same. */
	assert_true(lw_model_remove(f->model, LW_K8S_TRAFFIC_ROUTING, "default", "mse-traffic"));
	build(f);
	a = listed(f, "default/Deployment/spring-cloud-a");
	assert_int_equal(a->route, LW_LISTING_PLAIN);
	assert_int_equal(a->base_pods + a->canary_pods + a->draining_pods, 3);
	assert_null(pod(f, "192.168.42.117"));
}

/* Misspelt, say: a release that goes by it steers nothing, and that is told before it begins. */
static void a_traffic_routing_that_is_not_there_is_told(void **state)
{
	struct fixture *f = *state;

	load_dir(f, LW_TEST_DATA "/release");
	assert_true(lw_model_remove(f->model, LW_K8S_TRAFFIC_ROUTING, "default", "mse-traffic"));
	build(f);
	assert_int_equal(f->findings.count, 3);
	assert_non_null(strstr(
		f->findings.text,
		"Rollout default/rollout-a: annotation rollouts.kruise.io/trafficrouting: TrafficRouting mse-traffic is"
		" not there"));
	assert_int_equal(listed(f, "default/Deployment/spring-cloud-a")->route, LW_LISTING_STABLE);
}

/* ---- pods ---- */

static void pods_are_told_by_hash(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_string_equal(listed(f, "default/Deployment/web")->lane_name, "gray");
	assert_string_equal(f->listing->rules[0].source, "Rollout default/web step 1 match 1");
	assert_int_equal(pod(f, "10.0.0.1")->flags, LW_POD_READY | LW_POD_LOCAL);
}

static void a_pod_of_neither_revision_is_drained(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "web", "between", "web-4", "{ip: 10.0.0.4}", "", "", "");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_int_equal(pod(f, "10.0.0.4")->lane, 1);
	assert_true(pod(f, "10.0.0.4")->flags & LW_POD_TERMINATING);
	assert_int_equal(listed(f, "default/Deployment/web")->draining_pods, 1);
	/* Without a canary nobody enters the lane, though that one is kept apart. */
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-3"));
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_false(listed(f, "default/Deployment/web")->open);
	assert_false(f->listing->lanes[0].open);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
}

/* Nothing tells of which revision it is: it is no canary, and not on its way out for that. */
static void a_pod_without_a_revision_is_base(void **state)
{
	static const char set[] = "apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web";
	struct fixture *f = *state;

	add_owned_pod(f, set, "pod-template-hash: old", "web-1", "10.0.0.1");
	add_owned_pod(f, set, "any: other", "web-2", "10.0.0.2");
	add_owned_pod(f, set, "pod-template-hash: new", "web-3", "10.0.0.3");
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{traffic: 5%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
}

/* v1 -> v2 -> v3: the status tells nothing of v2 any more, its Deployment is gone, its pods go one after the other. */
static void canaries_that_were_overtaken_are_drained(void **state)
{
	static const char *const status[] = {
		"InRolling}], canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: v2, stableRevision: v1}",
		"Initializing}]",
		"InRolling}], canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: v3, stableRevision: v1}",
	};
	struct fixture *f = *state;
	char yaml[1024];

	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}}}",
		NULL);
	add_pod(f, "web", "v1", "web-1", "{ip: 10.0.0.1}", "", "", "");
	add_pod(f, "web-7cx9w", "v2", "web-2", "{ip: 10.0.0.2}", "", "", "");
	add_pod(f, "web-other", "x", "web-3", "{ip: 10.0.0.3}", "", "", "");
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {workloadRef: {apiVersion: apps/v1,"
			" kind: Deployment, name: web}, strategy: {canary: {enableExtraWorkloadForCanary: true,"
			" trafficRoutings: [{service: web}], steps: [{traffic: 5%%}]}}}, status: {phase: Progressing,"
			" conditions: [{type: Progressing, status: \"True\", reason: %s}}",
			status[i]);
		lw_test_load(f->model, yaml, NULL);
		build(f);
		assert_non_null(dest(f, "10.9.0.1", 80));
		/* not that of a Deployment that is called much alike */
		assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
				    "10.0.0.1:8080 10.0.0.3:8080");
		assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1),
				    i == 0 ? "10.0.0.2:8080" : "");
		assert_int_equal(!!(pod(f, "10.0.0.2")->flags & LW_POD_TERMINATING), i > 0);
	}
}

/* A Rollout in the style that makes a second Deployment, bound to TrafficRouting lane; status: from the reason on. */
static void load_extra_rollout(struct fixture *f, const char *status)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, annotations:"
		" {rollouts.kruise.io/trafficrouting: lane}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web},"
		" strategy: {canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: %s}",
		status);
	lw_test_load(f->model, yaml, NULL);
}

/*
 * Pods of a second Deployment are never base, whatever the status tells: they are the lane's if that Deployment is of this release, and
 * else on their way out. Nor do they make it sure that there are stable pods.
 */
static void pods_of_a_second_deployment_are_never_base(void **state)
{
	struct fixture *f = *state;

	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {selector: {matchLabels: {app: web}}}}",
		NULL);
	add_pod(f, "web", "v1", "web-1", "{ip: 10.0.0.1}", "", "", "");
	add_pod(f, "web-7cx9w", "v2", "web-2", "{ip: 10.0.0.2}", "", "", "");
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	/* first seen as it is being set up: which revision is stable nobody has said */
	load_extra_rollout(f, "Initializing}]}");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
	assert_true(pod(f, "10.0.0.2")->flags & LW_POD_TERMINATING);
	/* the canary's hash may be the release before's yet */
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-zzzzz, labels:"
		" {rollouts.kruise.io/canary-deployment: web}}, spec: {}}\n"
		"---\n"
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: lane,"
		" finalizers: [progressing.rollouts.kruise.io/web]}, spec: {objectRef: [{service: web}],"
		" strategy: {matches: [{headers: [{name: u, value: x}]}]}}, status: {phase: Progressing}}",
		NULL);
	add_pod(f, "web-zzzzz", "v3", "web-3", "{ip: 10.0.0.3}", "", "", "");
	load_extra_rollout(
		f, "InRolling}], canaryStatus: {currentStepIndex: 1, currentStepState: StepUpgrade,"
		   " podTemplateHash: v2, stableRevision: v1}}");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_true(pod(f, "10.0.0.2")->flags & LW_POD_TERMINATING);
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-7cx9w, labels:"
		" {rollouts.kruise.io/canary-deployment: web}, deletionTimestamp: \"2026-11-22T09:00:00Z\"}, spec: {}}",
		NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_true(pod(f, "10.0.0.2")->flags & LW_POD_TERMINATING);
	/* a pod of neither revision, and no stable one but in a second Deployment: rather that than none */
	add_pod(f, "web", "v0", "web-1", "{ip: 10.0.0.1}", "", "", "");
	add_pod(f, "web-7cx9w", "v1", "web-2", "{ip: 10.0.0.2}", "", "", "");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
}

/* Upstream's "canary" is then the old version, which is everybody's. */
static void a_rollback_in_batches_drains_the_newer_pods(void **state)
{
	static const char set[] = "apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web";
	struct fixture *f = *state;

	add_owned_pod(f, set, "pod-template-hash: v1", "web-1", "10.0.0.1");
	add_owned_pod(f, set, "pod-template-hash: v1", "web-2", "10.0.0.2");
	add_owned_pod(f, set, "pod-template-hash: v2", "web-3", "10.0.0.3");
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, annotations:"
		" {rollouts.kruise.io/trafficrouting: lane, rollouts.kruise.io/rollback-in-batch: \"true\"}},"
		" spec: {workloadRef: {apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: web},"
		" strategy: {canary: {steps: [{replicas: 20%}, {replicas: 60%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 2, currentStepState: StepPaused, podTemplateHash: v1, stableRevision: v1}}}\n"
		"---\n"
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: lane,"
		" finalizers: [progressing.rollouts.kruise.io/web]}, spec: {objectRef: [{service: web}],"
		" strategy: {matches: [{headers: [{name: u, value: x}]}]}}, status: {phase: Progressing}}",
		NULL);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(listed(f, "default/CloneSet/web")->route, LW_LISTING_STABLE);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_int_equal(pod(f, "10.0.0.1")->lane, 0);
	assert_int_equal(pod(f, "10.0.0.1")->flags & LW_POD_TERMINATING, 0);
	assert_true(pod(f, "10.0.0.3")->flags & LW_POD_TERMINATING);
	assert_int_equal(listed(f, "default/CloneSet/web")->draining_pods, 1);
}

static void a_rollback_takes_the_canary_out_of_the_way(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "Cancelling", "StepPaused", "new", "canary");
	build(f);
	assert_false(listed(f, "default/Deployment/web")->open);
	assert_int_equal(listed(f, "default/Deployment/web")->route, LW_LISTING_STABLE);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 0), 0), "10.0.0.1:* 10.0.0.2:*");
	assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 0), 1), "");
	assert_true(pod(f, "10.0.0.3")->flags & LW_POD_TERMINATING);
	/* what it has begun is its lane's still */
	assert_int_equal(pod(f, "10.0.0.3")->flags & LW_POD_OLD, 0);
	assert_int_equal(lw_pod_own_lane(pod(f, "10.0.0.3")), 1);
	/* The canary is gone: there is nothing left to keep apart. */
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-3"));
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
}

static void before_the_first_route_all_goes_to_stable(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	/* The hash in the status is still the one of the release before. */
	add_rollout(f, "InRolling", "StepUpgrade", "older", "canary");
	build(f);
	assert_int_equal(listed(f, "default/Deployment/web")->route, LW_LISTING_STABLE);
	assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 0), 0), "10.0.0.1:* 10.0.0.2:*");
	assert_true(pod(f, "10.0.0.3")->flags & LW_POD_TERMINATING);
}

static void a_finished_release_is_left_alone(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "Finalising", "Completed", "new", "canary");
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 0);
}

static void blue_green_ends_with_all_on_the_new(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "Finalising", "Completed", "new", "blueGreen");
	build(f);
	assert_int_equal(listed(f, "default/Deployment/web")->route, LW_LISTING_NEW);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.3:8080");
	assert_int_equal(pod(f, "10.0.0.3")->lane, 0);
	assert_int_equal(pod(f, "10.0.0.3")->flags & LW_POD_OLD, 0);
	assert_true(pod(f, "10.0.0.1")->flags & LW_POD_TERMINATING);
	/* What an old one sends must not go where a canary of another workload is. */
	assert_int_not_equal(pod(f, "10.0.0.1")->lane, 0);
	assert_true(pod(f, "10.0.0.1")->flags & LW_POD_OLD);
	assert_int_equal(lw_pod_own_lane(pod(f, "10.0.0.1")), 0);
	/* Without a new pod that serves, the old ones go on. */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "",
		", deletionTimestamp: \"2026-11-22T09:00:00Z\"", "");
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
}

static void with_no_stable_pod_left_base_is_all(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-1"));
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-2"));
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.3:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	/* who is connected to one stays with it */
	assert_true(pod(f, "10.0.0.3")->flags & LW_POD_BASE);
	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", "", "", PORT_HTTP(8080));
	build(f);
	assert_false(pod(f, "10.0.0.3")->flags & LW_POD_BASE);
}

/* A rollback counts as over while pods of the abandoned version live: nobody is sent to them. */
static void abandoned_version_gets_nothing(void **state)
{
	static const char rolled_back[] =
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{matches: [{headers: [{name: user, value: me}]}]}]}}},"
		" status: {phase: Healthy, conditions: [{type: Succeeded, status: \"False\"}, {type: Progressing, status: \"False\", reason: Completed}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}";
	struct fixture *f = *state;

	add_web(f);
	lw_test_load(f->model, rolled_back, NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "");
	assert_true(dest(f, "10.9.0.1", 80)->flags & LW_DEST_UNPINNED);
	assert_true(pod(f, "10.0.0.3")->flags & LW_POD_TERMINATING);
	/* with the last of them it is over */
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-3"));
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	/* and where there are no others: somebody has taken it up again, without a release */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "", PORT_HTTP(8080));
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-1"));
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-2"));
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
}

/* A Deployment that was between two versions when a canary of a third came: both are base. */
static void main_deployment_of_two_versions_is_base(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "web", "older", "web-4", "{ip: 10.0.0.4}", "", "", PORT_HTTP(8080));
	load_canary_style(f);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080 10.0.0.4:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
}

/* Of the other styles the old version's pods are there to the end: between two of them canaries are not for everybody. */
static void without_a_stable_pod_canaries_stay_canaries(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "blueGreen");
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-1"));
	assert_true(lw_model_remove(f->model, LW_K8S_POD, "default", "web-2"));
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	load_canary_style(f);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
}

static void only_ready_pods_take_requests(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	add_pod(f, "web", "old", "web-2", "{ip: 10.0.0.2}", "",
		", deletionTimestamp: \"2026-11-22T09:00:00Z\"", "");
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-3, labels: {app: web, pod-template-hash: new},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-new, controller: true}]},"
		" spec: {nodeName: n2}, status: {conditions: [{type: Ready, status: \"False\"}], podIP: 10.0.0.3}}",
		NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "");
	assert_int_equal(pod(f, "10.0.0.2")->flags,
			 LW_POD_READY | LW_POD_TERMINATING | LW_POD_LOCAL);
	assert_int_equal(pod(f, "10.0.0.3")->flags, 0);
	assert_non_null(dest(f, "10.0.0.3", 0));
	assert_true(listed(f, "default/Deployment/web")->open);
}

static void local_pods_come_first(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-0, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" spec: {nodeName: n2}, status: {conditions: [{type: Ready, status: \"True\"}], podIP: 10.0.0.0}}",
		NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080 10.0.0.0:8080!");
}

static void families_do_not_mix(void **state)
{
	struct fixture *f = *state;

	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}, {ip: 'fd00::1'}", "", "", "");
	add_pod(f, "web", "new", "web-3", "{ip: 'fd00::3'}, {ip: 10.0.0.3}", "", "", "");
	add_service(f, "web", "app: web", "10.9.0.1, 'fd00:9::1'", "{port: 80, targetPort: 8080}");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_string_equal(endpoints(f, dest(f, "fd00:9::1", 80), 1), "[fd00::3]:8080");
	assert_string_equal(endpoints(f, dest(f, "fd00::3", 0), 0), "[fd00::1]:*");
	assert_int_not_equal(dest(f, "fd00::3", 0)->group, dest(f, "10.0.0.3", 0)->group);
	assert_int_equal(pod(f, "fd00::3")->lane, 1);
}

static void ports_by_name_may_differ(void **state)
{
	struct fixture *f = *state;

	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", "", "",
		PORT_HTTP(8080) ", {name: admin, containerPort: 9000}");
	add_pod(f, "web", "old", "web-2", "{ip: 10.0.0.2}", "", "", "");
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "",
		PORT_HTTP(8090) ", {name: admin, containerPort: 9000}");
	add_service(f, "web", "app: web", "10.9.0.1",
		    "{port: 80, targetPort: http}, {port: 81, targetPort: nothing}");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	/* Pods that have no port of that name are no endpoints. */
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8090");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 81), 0), "");
	/* A client of a pod address follows the name, where the number is one the name has. */
	assert_string_equal(endpoints(f, dest(f, "10.0.0.1", 8080), 1), "10.0.0.3:8090");
	assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 8090), 0), "10.0.0.1:8080");
	assert_null(dest(f, "10.0.0.3", 8080));
	assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 0), 0), "10.0.0.1:* 10.0.0.2:*");
	assert_null(dest(f, "10.0.0.1", 9000)); /* the same everywhere */
}

/* "{name: p0, containerPort: FIRST}, {name: p1, ...", n of them; free() it. */
static char *many_ports(unsigned int n, const char *format, unsigned int first)
{
	size_t size = 64 * (size_t)n + 1, len = 0;
	char *text = malloc(size);

	assert_non_null(text);
	text[0] = '\0';
	for (unsigned int i = 0; i < n; i++) {
		len += (size_t)snprintf(text + len, size - len, "%s", i ? ", " : "");
		len += (size_t)snprintf(text + len, size - len, format, i, first + i);
	}
	return text;
}

/* As add_pod(), but of any length, and with what is wrong with it. */
static void add_pod_with_ports(struct fixture *f, const char *hash, const char *name,
			       const char *ip, const char *ports, struct lw_test_findings *findings)
{
	char *yaml;

	assert_true(
		asprintf(
			&yaml,
			"{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: u-%s, labels: {app: web, pod-template-hash: %s},"
			" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-%s, controller: true}]},"
			" spec: {nodeName: n1, containers: [{ports: [%s]}]},"
			" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [{ip: %s}]}}",
			name, name, hash, hash, ports, ip) > 0);
	lw_test_load(f->model, yaml, findings);
	free(yaml);
}

/* Whoever may make pods and Services must not get each node's agent to work for minutes, or out of memory. */
static void ports_without_number_are_cut(void **state)
{
	struct fixture *f = *state;
	struct lw_test_findings found = {};
	char *ports, *yaml;

	/* Each name has another number in the canary, so that each would be a destination of its own. */
	ports = many_ports(1000, "{name: p%u, containerPort: %u}", 1000);
	add_pod_with_ports(f, "old", "web-1", "10.0.0.1", ports, &found);
	free(ports);
	assert_string_equal(
		found.text,
		"test.yaml:1: document 1: Pod default/web-1: spec.containers[0].ports[256]: a pod has 256 TCP ports at most:"
		" names from here on are none, and no targetPort of a Service finds them; give the Service their numbers\n");
	ports = many_ports(1000, "{name: p%u, containerPort: %u}", 3000);
	add_pod_with_ports(f, "new", "web-3", "10.0.0.3", ports, &found);
	free(ports);
	assert_int_equal(found.count, 2);
	found = (struct lw_test_findings){};
	ports = many_ports(1000, "{name: s%u, port: %u, targetPort: p1}", 1);
	assert_true(
		asprintf(&yaml,
			 "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web},"
			 " clusterIPs: [10.9.0.1], ports: [%s]}}",
			 ports) > 0);
	lw_test_load(f->model, yaml, &found);
	free(ports);
	free(yaml);
	assert_string_equal(
		found.text,
		"test.yaml:1: document 1: Service default/web: spec.ports[256]: a Service has 256 TCP ports at most: those from"
		" here on are left to kube-proxy, which knows no lanes; make another Service of them\n");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 2 * (1 + 256) + 256);
	assert_string_equal(endpoints(f, dest(f, "10.0.0.1", 1255), 1), "10.0.0.3:3255");
	assert_null(dest(f, "10.0.0.1", 1256));
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 256), 1), "10.0.0.3:3001");
	assert_null(dest(f, "10.9.0.1", 257));

	/* For people it is cut further. */
	assert_int_equal(f->listing->nendpoints, 2);
	assert_int_equal(strncmp(f->listing->endpoints[0].ports, "p0:1000,p1:1001,", 16), 0);
	assert_in_range(strlen(f->listing->endpoints[0].ports), 900, 1023);
	assert_non_null(strstr(f->listing->endpoints[0].ports, " more"));
	assert_int_equal(strncmp(f->listing->services[0].ports, "1->p1,2->p1,", 12), 0);
	assert_in_range(strlen(f->listing->services[0].ports), 900, 1023);
}

/* What is known by its number alone needs none of that, and nothing is told of it. */
static void ports_without_a_name_are_left_out(void **state)
{
	struct fixture *f = *state;
	char *ports = many_ports(4096, "{name: '', hostIP: '%u', containerPort: %u}", 1);

	add_pod_with_ports(f, "old", "web-1", "10.0.0.1", ports, NULL);
	add_pod_with_ports(f, "new", "web-3", "10.0.0.3", ports, NULL);
	free(ports);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 2);
	assert_in_range(strlen(f->listing->endpoints[0].ports), 900, 1023);
}

/* Nor do they take the room of those that have one. */
static void ports_without_a_name_take_no_room(void **state)
{
	char *many = many_ports(300, "{name: '', hostIP: '%u', containerPort: %u}", 1),
	     ports[32768];
	struct fixture *f = *state;

	(void)snprintf(ports, sizeof(ports), "%s, {name: http, containerPort: 8080}", many);
	free(many);
	add_pod_with_ports(f, "old", "web-1", "10.0.0.1", ports, NULL);
	(void)snprintf(ports, sizeof(ports), "{name: http, containerPort: 8081}");
	add_pod_with_ports(f, "new", "web-3", "10.0.0.3", ports, NULL);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_string_equal(endpoints(f, dest(f, "10.0.0.1", 8080), 1), "10.0.0.3:8081");
}

/* Of a pod's names for one number the first has it, in whatever order the pods and their ports come. */
static void ports_may_have_several_names(void **state)
{
	struct fixture *f = *state;

	for (int turn = 0; turn < 2; turn++) {
		add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", "", "",
			turn ? "{name: a, containerPort: 80}, {name: b, containerPort: 80}" :
			       "{name: b, containerPort: 80}, {name: a, containerPort: 80}, {name: a, containerPort: 90}");
		add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "",
			"{name: b, containerPort: 82}, {name: a, containerPort: 81}, {name: c, containerPort: 83}");
		add_rollout(f, "InRolling", "StepPaused", "new", "canary");
		build(f);
		assert_string_equal(f->findings.text, "");
		assert_string_equal(endpoints(f, dest(f, "10.0.0.1", 80), 1), "10.0.0.3:81");
		assert_string_equal(endpoints(f, dest(f, "10.0.0.3", 82), 0), "10.0.0.1:80");
		assert_null(dest(f, "10.0.0.1", 90));
		assert_null(dest(f, "10.0.0.3", 83));
		lw_model_remove(f->model, LW_K8S_POD, "default", "web-1");
		lw_model_remove(f->model, LW_K8S_POD, "default", "web-3");
	}
}

/* A match may have 33 conditions of 4 KiB: for people it is cut. */
static void the_text_of_a_rule_is_cut(void **state)
{
	struct fixture *f = *state;
	size_t size = 2 * 17 * 5000, len = 0;
	char *yaml = malloc(size);

	assert_non_null(yaml);
	add_web(f);
	len += (size_t)snprintf(
		yaml, size,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{matches: [");
	for (int m = 0; m < 2; m++) {
		len += (size_t)snprintf(yaml + len, size - len, "%s{headers: [{name: h, value: %s}",
					m ? ", " : "", m ? "b" : "a");
		for (int i = 0; i < 15; i++)
			len += (size_t)snprintf(yaml + len, size - len,
						", {name: h%d, value: v%0*d}", i, m ? 4000 : 90, 0);
		len += (size_t)snprintf(yaml + len, size - len, "]}");
	}
	len += (size_t)snprintf(
		yaml + len, size - len,
		"]}]}}}, status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		" canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}");
	assert_true(len < size);
	lw_test_load(f->model, yaml, NULL);
	free(yaml);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(f->listing->nrules, 2);
	for (int i = 0; i < 2; i++) {
		const char *text = f->listing->rules[i].text;

		assert_int_equal(strncmp(text,
					 i ? "header h = b and header h0 = v0000" :
					     "header h = a and header h0 = v0000",
					 34),
				 0);
		assert_in_range(strlen(text), 900, 1023);
		assert_string_equal(strstr(text, " more") ?: text, " more");
	}
}

static void lanes_by_label(void **state)
{
	struct fixture *f = *state;
	static const char *const labels[] = {
		", alicloud.service.tag: blue", ", opensergo.io/canary-blue: any",
		", alicloud.service.tag: blue, opensergo.io/canary-red: any"
	};

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", labels[i], "", "");
		build(f);
		assert_string_equal(listed(f, "default/Deployment/web")->lane_name, "blue");
		assert_string_equal(f->listing->endpoints[2].lane_name, "blue");
	}
	/* The pod's own label is what it is called, whatever the label was that its Rollout patches in. */
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   enableExtraWorkloadForCanary: true, trafficRoutings: [{service: web}], steps: [{matches: [{headers: [{name: user,"
		"   value: me}]}]}], patchPodTemplateMetadata: {labels: {opensergo.io/canary-gray: gray}}}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}",
		", alicloud.service.tag: v7, opensergo.io/canary-gray: gray", "", "");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_string_equal(listed(f, "default/Deployment/web")->lane_name, "v7");
	assert_int_equal(f->listing->nrules, 1);
	assert_string_equal(f->listing->rules[0].lane_name, "v7");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 1);
	/* Without one, the patch says what they are going to be called. */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "", "");
	build(f);
	assert_string_equal(listed(f, "default/Deployment/web")->lane_name, "gray");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	/* "base" names no lane, and a label does not make a stable pod a canary. */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", alicloud.service.tag: base", "", "");
	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", ", alicloud.service.tag: gray", "", "");
	build(f);
	assert_string_equal(listed(f, "default/Deployment/web")->lane_name, "gray");
	assert_int_equal(pod(f, "10.0.0.1")->lane, 0);
}

static void options_name_other_labels(void **state)
{
	const struct lw_state_options options = { .tag_header = "x-lane",
						  .lane_label = "lane",
						  .lane_label_prefix = "in-",
						  .default_lane = "next" };
	struct fixture *f = *state;

	lw_state_builder_free(&f->builder);
	assert_int_equal(lw_state_builder_new(&options, &f->builder), 0);
	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->listing->lanes[0].name, "next");
	assert_string_equal(f->listing->lanes[0].tag_header, "x-lane");
	assert_string_equal(f->listing->lanes[0].tag_value, "next");
	assert_false(f->listing->endpoints[0].local);
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}",
		", in-red: \"\", alicloud.service.tag: gray", "", "");
	build(f);
	assert_string_equal(f->listing->endpoints[2].lane_name, "red");
}

/* A pod of no workload; more: members of its spec. */
static void add_gateway(struct fixture *f, const char *ns, const char *name, const char *label,
			const char *ips, const char *spec, const char *more)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, namespace: %s, uid: u-%s, labels: {%s}%s}, spec: {nodeName: n1%s},"
		" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [%s]}}",
		name, ns, name, label, more, spec, ips);
	lw_test_load(f->model, yaml, NULL);
}

static void pods_that_are_not_believed(void **state)
{
	static const char *const untrusted[] = { "edge/app=gateway", "edge/role=edge",
						 "default/canary=yes", NULL };
	const struct lw_state_options options = { .node = "n1", .untrusted = untrusted };
	struct fixture *f = *state;

	lw_state_builder_free(&f->builder);
	assert_int_equal(lw_state_builder_new(&options, &f->builder), 0);
	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	/* of a workload in the image, and of none; by two of the list; both families */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", canary: 'yes'", "", "");
	add_gateway(f, "edge", "g1", "app: gateway, role: edge", "{ip: 10.0.1.1}, {ip: 'fd00::1'}",
		    "", "");
	/* of other namespaces and values, in the image or not */
	add_pod(f, "web", "old", "web-2", "{ip: 10.0.0.2}", ", role: edge", "", "");
	add_gateway(f, "default", "g2", "app: gateway", "{ip: 10.0.1.2}", "", "");
	add_gateway(f, "edge", "g3", "app: gateway2", "{ip: 10.0.1.3}", "", "");
	/* two on one node's own address */
	add_gateway(f, "edge", "g4", "app: gateway", "{ip: 10.1.0.1}", ", hostNetwork: true", "");
	add_gateway(f, "edge", "g5", "app: gateway", "{ip: 10.1.0.1}", ", hostNetwork: true", "");
	/* one that is going, whose address is another's by now */
	add_gateway(f, "edge", "g6", "app: gateway", "{ip: 10.0.0.1}", "",
		    ", deletionTimestamp: \"2026-01-01T00:00:00Z\"");
	/* and one that has ended */
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: g7, namespace: edge, labels: {app: gateway}},"
		" status: {phase: Failed, podIPs: [{ip: 10.0.1.7}]}}",
		NULL);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(pod(f, "10.0.0.3")->flags & LW_POD_UNTRUSTED, LW_POD_UNTRUSTED);
	assert_int_equal(pod(f, "10.0.0.2")->flags & LW_POD_UNTRUSTED, 0);
	assert_null(pod(f, "10.0.1.7"));
	assert_int_not_equal(pod(f, "10.0.0.3")->lane, 0);
	assert_int_equal(pod(f, "10.0.0.1")->flags & LW_POD_UNTRUSTED, 0);
	assert_string_equal(pod(f, "10.0.0.1")->name, "default/web-1");
	assert_string_equal(pod(f, "10.0.1.1")->name, "edge/g1");
	assert_int_equal(pod(f, "10.0.1.1")->workload, 0);
	assert_int_equal(pod(f, "10.0.1.1")->lane, 0);
	assert_int_equal(pod(f, "10.0.1.1")->flags, LW_POD_UNTRUSTED);
	assert_int_equal(pod(f, "fd00::1")->flags, LW_POD_UNTRUSTED);
	assert_int_equal(pod(f, "10.1.0.1")->flags, LW_POD_UNTRUSTED);
	assert_null(pod(f, "10.0.1.2"));
	assert_null(pod(f, "10.0.1.3"));
	assert_null(dest(f, "10.0.1.1", 0));

	/* as they come and go; the rest is not built anew for them */
	add_gateway(f, "edge", "g1", "app: other", "{ip: 10.0.1.1}", "", "");
	add_gateway(f, "edge", "g3", "role: edge", "{ip: 10.0.1.3}", "", "");
	build(f);
	assert_null(pod(f, "10.0.1.1"));
	assert_int_equal(pod(f, "10.0.1.3")->flags, LW_POD_UNTRUSTED);
}

static void what_is_no_label_is_refused(void **state)
{
	static const char *const list[] = { "edge/role=gateway", "role=gateway", NULL };
	const struct lw_state_options options = { .untrusted = list };
	struct lw_state_builder *builder = NULL;

	(void)state;
	assert_int_equal(lw_state_builder_new(&options, &builder), -EINVAL);
	assert_null(builder);
}

/* ---- more than there is room for ---- */

/* Deployment aaa, in release before web by name: pods with 63 addresses each, `n` addresses in all. */
static void add_crowd(struct fixture *f, unsigned int n)
{
	static char ips[8192];
	unsigned int at = 0;
	char name[32];

	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: aaa},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: aaa}, strategy: {canary: {"
		"   trafficRoutings: [{service: aaa}], steps: [{traffic: 0%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: fresh, stableRevision: stale}}}",
		NULL);
	while (at < n) {
		size_t len = 0;

		for (unsigned int end = at + 63; at < end && at < n; at++)
			len += (size_t)snprintf(ips + len, sizeof(ips) - len, "{ip: 10.%u.%u.%u},",
						100 + (at >> 16), at >> 8 & 255, at & 255);
		(void)snprintf(name, sizeof(name), "aaa-%u", at);
		{
			_cleanup_free_ char *yaml = NULL;

			assert_true(
				asprintf(
					&yaml,
					"{apiVersion: v1, kind: Pod, metadata: {name: %s, uid: u-%s, labels: {pod-template-hash: %s},"
					" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: aaa-%s, controller: true}]},"
					" spec: {nodeName: n1, containers: [{}]},"
					" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [%s]}}",
					name, name, at == n ? "fresh" : "stale",
					at == n ? "fresh" : "stale", ips) > 0);
			lw_test_load(f->model, yaml, NULL);
		}
	}
}

/*
 * Who is not believed has room before all others. A pod for whose row there is none is no destination and no endpoint: a canary pod
 * must not pass for a base one.
 */
static void pods_without_room_are_left_alone(void **state)
{
	enum { GATEWAYS = 100 };
	static const char *const untrusted[] = { "edge/app=gateway", "default/canary=yes", NULL };
	const struct lw_state_options options = { .node = "n1", .untrusted = untrusted };
	struct fixture *f = *state;
	char name[32], ip[32];

	lw_state_builder_free(&f->builder);
	assert_int_equal(lw_state_builder_new(&options, &f->builder), 0);
	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	add_crowd(f, LW_MAX_PODS - GATEWAYS - 1);
	build(f);
	assert_string_equal(f->findings.text, "");
	for (unsigned int i = 0; i < GATEWAYS; i++) {
		(void)snprintf(name, sizeof(name), "g%u", i);
		(void)snprintf(ip, sizeof(ip), "{ip: 10.99.0.%u}", i);
		add_gateway(f, "edge", name, "app: gateway", ip, "", "");
	}
	/* another one of web's, itself not believed */
	add_pod(f, "web", "old", "web-4", "{ip: 10.0.0.4}", ", canary: 'yes'", "", "");
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(
		strstr(f->findings.text,
		       "lw_pods holds 65536 rows and is full: some of the state is not in force"));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_PODS), LW_MAX_PODS);
	for (unsigned int i = 0; i < GATEWAYS; i++) {
		(void)snprintf(ip, sizeof(ip), "10.99.0.%u", i);
		assert_non_null(pod(f, ip));
		assert_int_equal(pod(f, ip)->flags, LW_POD_UNTRUSTED);
	}
	assert_int_equal(pod(f, "10.0.0.4")->flags & LW_POD_UNTRUSTED, LW_POD_UNTRUSTED);
	assert_non_null(dest(f, "10.0.0.4", 0));
	for (unsigned int i = 1; i <= 3; i++) {
		(void)snprintf(ip, sizeof(ip), "10.0.0.%u", i);
		assert_null(pod(f, ip));
		assert_null(dest(f, ip, 0));
	}
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.4:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "");
	/* what has room does not depend on what there was before */
	assert_false(lw_state_has_followed(f->builder));
}

/* ---- owners ---- */

static void pods_of_the_second_deployment(void **state)
{
	struct fixture *f = *state;

	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", "", "", "");
	add_pod(f, "web-x7k2p", "new", "web-3", "{ip: 10.0.0.3}", "", "", "");
	add_pod(f, "web-api", "new2", "api-1", "{ip: 10.0.0.9}", "", "", "");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   enableExtraWorkloadForCanary: true, trafficRoutings: [{service: web}], steps: [{traffic: 30%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new,"
		"   stableRevision: old}}}",
		NULL);
	/* Neither its object nor its ReplicaSet is here: name and hash tell. */
	build(f);
	assert_int_equal(pod(f, "10.0.0.3")->lane, 1);
	assert_null(pod(f, "10.0.0.9"));
	assert_string_equal(f->listing->rules[0].source, "Rollout default/web step 1 weight 30");
	assert_string_equal(f->listing->rules[0].text, "30% of requests");
	/* The object is here, and is another's: it is not ours. */
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-x7k2p}, spec: {}}",
		NULL);
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_PODS), 0);
	lw_test_load(f->model,
		     "{apiVersion: apps/v1, kind: Deployment, metadata: {name: web-x7k2p, labels:"
		     " {rollouts.kruise.io/canary-deployment: web}}, spec: {}}",
		     NULL);
	build(f);
	assert_int_equal(pod(f, "10.0.0.3")->lane, 1);
	/* ReplicaSets tell, whatever they are called. */
	add_pod(f, "web", "old", "odd-name", "{ip: 10.0.0.2}", "", "", "");
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-old, uid: rs, ownerReferences:"
		" [{apiVersion: apps/v1, kind: Deployment, name: another, controller: true}]}, spec: {}}",
		NULL);
	build(f);
	assert_null(pod(f, "10.0.0.2"));
}

static void an_owner_made_anew_does_not_own(void **state)
{
	struct fixture *f = *state;

	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", "", "", "");
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web, uid: d2}, spec: {}}\n"
		"---\n"
		"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-new, ownerReferences:"
		" [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d1, controller: true}]}, spec: {}}",
		NULL);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_int_equal(listed(f, "default/Deployment/web")->canary_pods, 0);
	/* Likewise the ReplicaSet of a pod. */
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: web-new, uid: r2, ownerReferences:"
		" [{apiVersion: apps/v1, kind: Deployment, name: web, uid: d2, controller: true}]}, spec: {}}\n"
		"---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: web-3, labels: {app: web, pod-template-hash: new},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-new, uid: r1, controller: true}]},"
		" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [{ip: 10.0.0.3}]}}",
		NULL);
	build(f);
	assert_int_equal(listed(f, "default/Deployment/web")->canary_pods, 0);
}

static void stateful_sets_by_their_own_label(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3; i++) {
		char yaml[700];

		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: v1, kind: Pod, metadata: {name: db-%d, labels: {app: db, controller-revision-hash: db-%s},"
			" ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: db, controller: true}]},"
			" status: {conditions: [{type: Ready, status: \"True\"}], podIP: 10.0.1.%d}}",
			i, i == 2 ? "new" : "old", i + 1);
		lw_test_load(f->model, yaml, NULL);
	}
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: db},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}, strategy: {canary: {"
		"   trafficRoutings: [{service: db}], steps: [{traffic: 50%, replicas: 1}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: db-new,"
		"   stableRevision: db-old}}}",
		NULL);
	/* Its Service is not here: the rule is the workload's all the same. */
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.0.1.1", 0), 0), "10.0.1.1:*! 10.0.1.2:*!");
	assert_string_equal(endpoints(f, dest(f, "10.0.1.1", 0), 1), "10.0.1.3:*!");
	assert_int_not_equal(workload(f, dest(f, "10.0.1.1", 0)->workload)->entry, 0);
}

/* Of three pods two are known: step 2 does not replace all for that. */
static void how_many_pods_there_are_is_not_how_many_there_are_to_be(void **state)
{
	static const char set[] = "apiVersion: apps/v1, kind: StatefulSet, name: db";
	struct fixture *f = *state;

	add_owned_pod(f, set, "controller-revision-hash: db-v1", "db-0", "10.0.0.1");
	add_owned_pod(f, set, "controller-revision-hash: db-v2", "db-2", "10.0.0.3");
	add_service(f, "db", "app: db", "10.9.0.1", "{port: 80, targetPort: 8080}");
	for (int paused = 0; paused < 2; paused++) {
		char yaml[1024];

		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: db},"
			" spec: {workloadRef: {apiVersion: apps/v1, kind: StatefulSet, name: db}, strategy: {canary: {"
			"   trafficRoutings: [{service: db}], steps: [{traffic: 10%%, replicas: 1}, {traffic: 20%%, replicas: 2},"
			"   {replicas: 3}]}}},"
			" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
			"   canaryStatus: {currentStepIndex: 2, currentStepState: %s, podTemplateHash: db-v2, stableRevision: db-v1}}}",
			paused ? "StepPaused" : "StepUpgrade");
		lw_test_load(f->model, yaml, NULL);
		build(f);
		assert_string_equal(f->findings.text, "");
		assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0), "10.0.0.1:8080");
		assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
		assert_int_equal(f->listing->nrules, 1);
		assert_string_equal(f->listing->rules[0].source,
				    paused ? "Rollout default/db step 2 weight 20" :
					     "Rollout default/db step 1 weight 10");
	}
}

/* ---- Services ---- */

static void services_as_rollouts_leaves_them(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	add_service(f, "web", "app: web, pod-template-hash: old", "10.9.0.1",
		    "{port: 80, targetPort: 8080}");
	add_service(f, "web-canary", "app: web, pod-template-hash: new", "10.9.0.2",
		    "{port: 80, targetPort: 8080}");
	add_service(f, "second", "app: web", "10.9.0.3",
		    "{port: 80}, {port: 80}, {port: 53, protocol: UDP}");
	add_service(f, "second-canary", "app: web", "10.9.0.4", "{port: 80}");
	add_service(f, "headless", "app: web", "None", "{port: 80}");
	add_service(f, "hash-only", "pod-template-hash: new", "10.9.0.5", "{port: 80}");
	add_service(f, "other", "app: other", "10.9.0.6", "{port: 80}");
	add_service(f, "twin", "app: web", "10.9.0.3", "{port: 80}");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_int_equal(dest(f, "10.9.0.1", 80)->flags, LW_DEST_SERVICE);
	assert_int_equal(dest(f, "10.9.0.3", 80)->flags, LW_DEST_SERVICE | LW_DEST_UNPINNED);
	assert_null(dest(f, "10.9.0.2", 80));
	assert_string_equal(endpoints(f, dest(f, "10.9.0.3", 80), 0), "10.0.0.1:80 10.0.0.2:80");
	assert_null(dest(f, "10.9.0.3", 53));
	assert_non_null(dest(f, "10.9.0.4", 80)); /* nobody generated this one */
	assert_null(dest(f, "10.9.0.5", 80));
	assert_null(dest(f, "10.9.0.6", 80));
	/* where the Rollout has none made, one of that name is the user's */
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], disableGenerateCanaryService: true, steps: [{traffic: 5%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.2", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
}

static void a_service_over_several_workloads(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "old-web", "x", "legacy-1", "{ip: 10.0.0.8}", "", "", "");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	/* Pods of a workload that is not in release are base. */
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080 10.0.0.8:8080");
	assert_string_equal(workload(f, dest(f, "10.9.0.1", 80)->workload)->name,
			    "default/Deployment/web");
}

/* ---- addresses ---- */

static void an_address_belongs_to_one(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	/* Gone, and its address was given to a pod of somebody else. */
	add_pod(f, "web", "old", "web-2", "{ip: 10.0.0.2}", "",
		", deletionTimestamp: \"2026-11-22T09:00:00Z\"", "");
	add_pod(f, "db", "x", "db-1", "{ip: 10.0.0.2}", "", "", "");
	build(f);
	assert_string_equal(pod(f, "10.0.0.2")->name, "default/db-1");
	assert_int_not_equal(pod(f, "10.0.0.2")->workload, pod(f, "10.0.0.1")->workload);
	assert_string_equal(endpoints(f, dest(f, "10.0.0.1", 0), 0), "10.0.0.1:*");
	/* Two that both live: one of them, and the image stands. */
	add_pod(f, "web", "old", "web-5", "{ip: 10.0.0.3}", "", "", "");
	build(f);
	assert_string_equal(pod(f, "10.0.0.3")->name, "default/web-3");
	/* A pod that has ended has no address. */
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-1, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" status: {phase: Succeeded, podIP: 10.0.0.1}}",
		NULL);
	build(f);
	assert_null(pod(f, "10.0.0.1"));
	/* and takes none from another */
	add_pod(f, "web", "old", "web-6", "{ip: 10.0.0.1}", "",
		", deletionTimestamp: \"2026-11-22T09:00:00Z\"", "");
	build(f);
	assert_string_equal(pod(f, "10.0.0.1")->name, "default/web-6");
	/* A node's is no pod's, nor is a Service's. */
	lw_test_load(f->model,
		     "{apiVersion: v1, kind: Pod, metadata: {name: zz}, spec: {hostNetwork: true},"
		     " status: {phase: Running, podIPs: [{ip: 10.0.0.1}]}}",
		     NULL);
	add_service(f, "zz", "app: zz", "10.0.0.3", "{port: 80}");
	build(f);
	assert_null(pod(f, "10.0.0.1"));
	assert_null(pod(f, "10.0.0.3"));
}

/* Whose an address is may change without anybody's labels: the other one's rows go. */
static void an_address_changes_hands(void **state)
{
	static const char db[] =
		"{apiVersion: v1, kind: Pod, metadata: {name: db-1, uid: u-db-1}, status: {phase: Running, podIPs: [{ip: 10.0.0.2}],"
		" conditions: [{type: Ready, status: \"%s\"}]}}";
	struct fixture *f = *state;
	char yaml[512];

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (int ready = 0; ready < 2; ready++) {
		(void)snprintf(yaml, sizeof(yaml), db, ready ? "True" : "False");
		lw_test_load(f->model, yaml, NULL);
		build(f);
		assert_int_equal(pod(f, "10.0.0.2") != NULL, !ready);
		assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
				    ready ? "10.0.0.1:8080" : "10.0.0.1:8080 10.0.0.2:8080");
	}
}

static void the_host_network_tells_no_pods(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-6, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" spec: {hostNetwork: true}, status: {podIP: 192.168.1.1}}",
		NULL);
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	assert_string_equal(
		f->findings.text,
		"test.yaml:1: document 1: Rollout default/web: pods of default/Deployment/web use the host network,"
		" where an address tells no pod: left alone\n");
}

static const struct lw_pod *host_pod(const struct fixture *f, const char *uid)
{
	struct lw_pod_key key = {};

	lw_host_pod_addr(&key.addr, lw_model_text_hash(uid));
	return lw_image_get(f->image, LW_TABLE_PODS, &key);
}

/* CloneSet db, whose canary is in the lane; the Service web is where requests enter it. */
static void add_db(struct fixture *f, const char *reason)
{
	static const char set[] = "apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: db";
	char yaml[1024];

	add_owned_pod(f, set, "pod-template-hash: old", "db-1", "10.0.1.1");
	add_owned_pod(f, set, "pod-template-hash: new", "db-2", "10.0.1.2");
	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: db, annotations:"
		" {rollouts.kruise.io/trafficrouting: lane}},"
		" spec: {workloadRef: {apiVersion: apps.kruise.io/v1alpha1, kind: CloneSet, name: db},"
		" strategy: {canary: {steps: [{replicas: 20%%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: %s}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}\n"
		"---\n"
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: lane,"
		" finalizers: [progressing.rollouts.kruise.io/db]}, spec: {objectRef: [{service: web}],"
		" strategy: {matches: [{headers: [{name: u, value: x}]}]}}, status: {phase: Progressing}}",
		reason);
	lw_test_load(f->model, yaml, NULL);
}

/* A canary pod of a workload that is left alone, as it is on the host network: its requests are in its lane while that is open. */
static void canaries_on_the_host_network_send_in_their_lane(void **state)
{
	static const char pod_yaml[] =
		"{apiVersion: v1, kind: Pod, metadata: {name: web-%s, uid: u-%s, labels: {app: web, pod-template-hash: %s},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-%s, controller: true}]},"
		" spec: {nodeName: %s, hostNetwork: true}, status: {phase: Running, podIPs: [{ip: 192.168.1.1}]}}";
	struct fixture *f = *state;
	char yaml[512];

	for (int i = 0; i < 3; i++) {
		static const char *const revs[] = { "old", "new", "new" }, *const names[] = { "1",
											      "2",
											      "3" };

		(void)snprintf(yaml, sizeof(yaml), pod_yaml, names[i], names[i], revs[i], revs[i],
			       i == 2 ? "n2" : "n1");
		lw_test_load(f->model, yaml, NULL);
	}
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	add_db(f, "InRolling");
	build(f);
	assert_int_equal(host_pod(f, "u-1")->lane, 0);
	assert_int_equal(host_pod(f, "u-2")->lane, pod(f, "10.0.1.2")->lane);
	assert_int_not_equal(host_pod(f, "u-2")->lane, 0);
	assert_null(host_pod(f, "u-3")); /* another node's */
	/* the rule of the TrafficRouting leads there, and finds nobody to guard */
	assert_null(dest(f, "10.9.0.1", 80));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 1);
	/* nothing of the lane is anywhere else */
	add_db(f, "Cancelling");
	build(f);
	assert_true(lw_state_has_followed(f->builder));
	assert_int_equal(host_pod(f, "u-2")->lane, 0);
	/* a step that routes nothing */
	add_db(f, "InRolling");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{replicas: 1}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
	build(f);
	assert_true(lw_state_has_followed(f->builder));
	assert_int_equal(host_pod(f, "u-2")->lane, 0);
}

/* Written by hand, they need not have a uid: then nothing tells them by their cgroup. */
static void host_pods_without_a_uid_are_passed_over(void **state)
{
	static const char kept[] =
		"default/agent: metadata.annotations.laneway.io/keep-out: on the host network an address is not"
		" one pod's, and it has no uid; it is not kept out, see --keep-out";
	static const char *const ns[] = { "a", "b", "default" };
	_cleanup_free_ struct lw_addr *addrs = NULL;
	struct fixture *f = *state;
	char yaml[512];
	size_t n = 9;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (int i = 0; i < 3; i++) {
		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: %s%s}, spec: {nodeName: n1,"
			" hostNetwork: true}, status: {phase: Running, podIPs: [{ip: 10.5.5.5}]}}",
			ns[i], i == 2 ? ", annotations: {laneway.io/keep-out: \"true\"}" : "");
		lw_test_load(f->model, yaml, NULL);
	}
	/* one that has ended has no address any more */
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: job, annotations: {laneway.io/keep-out: \"true\"}},"
		" status: {phase: Succeeded, podIPs: [{ip: 10.5.5.6}]}}",
		NULL);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_PODS), 3);
	assert_int_equal(
		lw_state_kept_pods(f->builder, f->model, lw_test_finding, &f->findings, &addrs, &n),
		0);
	assert_int_equal(n, 0);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(f->findings.text, kept));
}

/* What notices another pod at the same address goes by its name then. */
static void pods_without_a_uid_differ_all_the_same(void **state)
{
	static const char yaml[] =
		"{apiVersion: v1, kind: Pod, metadata: {name: %s, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" status: {conditions: [{type: Ready, status: \"True\"}], podIP: %s}}";
	struct fixture *f = *state;
	char text[512];

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	(void)snprintf(text, sizeof(text), yaml, "web-7", "10.0.0.7");
	lw_test_load(f->model, text, NULL);
	(void)snprintf(text, sizeof(text), yaml, "web-8", "10.0.0.8");
	lw_test_load(f->model, text, NULL);
	build(f);
	assert_int_not_equal(pod(f, "10.0.0.7")->uid_hash, 0);
	assert_int_not_equal(pod(f, "10.0.0.7")->uid_hash, pod(f, "10.0.0.8")->uid_hash);
}

/* ---- ids, lanes ---- */

static void ids_stay(void **state)
{
	struct fixture *f = *state;
	uint32_t id, group;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	id = dest(f, "10.9.0.1", 80)->workload;
	group = dest(f, "10.9.0.1", 80)->group;
	add_rollout(f, "Finalising", "Completed", "new", "canary");
	build(f);
	load_dir(f, LW_TEST_DATA "/release");
	build(f);
	assert_int_not_equal(dest(f, "10.96.20.1", 20001)->workload, id);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_int_equal(dest(f, "10.9.0.1", 80)->workload, id);
	assert_int_equal(dest(f, "10.9.0.1", 80)->group, group);
}

/* A Service by another name of the pods of add_web(). */
static void put_preview(struct fixture *f, const char *name, const char *ports)
{
	char *yaml;

	assert_true(
		asprintf(&yaml,
			 "{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {selector: {app: web}, clusterIPs: [10.9.0.2],"
			 " ports: [%s]}}",
			 name, ports) > 0);
	lw_test_load(f->model, yaml, NULL);
	free(yaml);
}

/* As previews of changes do it, each by a name of its own. What stays keeps its numbers; no number is given twice. */
static void names_that_come_and_go_are_forgotten(void **state)
{
	char *ports = many_ports(200, "{name: s%u, port: %u, targetPort: 8080}", 1);
	struct fixture *f = *state;
	uint32_t workload, group, first, last = 0;
	char name[32];

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (int i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "preview-%d", i);
		put_preview(f, name, ports);
		build_image(f);
		assert_string_equal(f->findings.text, "");
		if (i == 0) {
			workload = dest(f, "10.9.0.1", 80)->workload;
			group = dest(f, "10.9.0.1", 80)->group;
			first = dest(f, "10.9.0.2", 1)->group;
		}
		assert_int_equal(dest(f, "10.9.0.1", 80)->workload, workload);
		assert_int_equal(dest(f, "10.9.0.1", 80)->group, group);
		assert_true(dest(f, "10.9.0.2", 1)->group > last);
		last = dest(f, "10.9.0.2", 200)->group;
		/* one that follows finds all that is there */
		add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
		build_image(f);
		assert_true(lw_state_has_followed(f->builder));
		assert_int_equal(dest(f, "10.9.0.2", 200)->group, last);
		assert_string_equal(endpoints(f, dest(f, "10.9.0.2", 200), 1), "10.0.0.3:8080");
		assert_true(lw_model_remove(f->model, LW_K8S_SERVICE, "default", name));
	}
	put_preview(f, "preview-0", ports);
	build_image(f);
	assert_int_not_equal(dest(f, "10.9.0.2", 1)->group, first);
	assert_true(dest(f, "10.9.0.2", 1)->group > last);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.2", 1), 1), "10.0.0.3:8080");
	free(ports);
}

/* Kruise has kinds of its own that are called as those of Kubernetes. */
static void kinds_of_two_groups_are_two(void **state)
{
	struct fixture *f = *state;
	const struct lw_pod *one, *two;

	add_web(f);
	add_owned_pod(f, "apiVersion: apps/v1, kind: DaemonSet, name: gw", "tier: front", "gw-1",
		      "10.0.2.1");
	add_owned_pod(f, "apiVersion: apps.kruise.io/v1alpha1, kind: DaemonSet, name: gw",
		      "tier: front", "gw-2", "10.0.2.2");
	add_service(f, "gw", "app: gw", "10.9.0.9", "{port: 80, targetPort: 8080}");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web, annotations:"
		" {rollouts.kruise.io/trafficrouting: lane}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment,"
		" name: web}, strategy: {canary: {steps: [{replicas: 1}]}}}, status: {phase: Progressing,"
		" conditions: [{type: Progressing, status: \"True\", reason: InRolling}], canaryStatus:"
		" {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}\n"
		"---\n"
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: lane,"
		" finalizers: [progressing.rollouts.kruise.io/web]}, spec: {objectRef: [{service: gw}],"
		" strategy: {matches: [{headers: [{name: u, value: x}]}]}}, status: {phase: Progressing}}",
		NULL);
	for (int i = 0; i < 2; i++) {
		build(f);
		assert_string_equal(f->findings.text, "");
		assert_int_equal(lw_image_rows(f->image, LW_TABLE_WORKLOADS), 3);
		one = pod(f, "10.0.2.1");
		two = pod(f, "10.0.2.2");
		assert_int_not_equal(one->workload, two->workload);
		assert_int_not_equal(dest(f, "10.0.2.1", 0)->group, dest(f, "10.0.2.2", 0)->group);
		assert_string_equal(endpoints(f, dest(f, "10.0.2.1", 0), 0), "10.0.2.1:*");
		assert_string_equal(endpoints(f, dest(f, "10.9.0.9", 80), 0),
				    "10.0.2.1:8080 10.0.2.2:8080");
		assert_int_not_equal(workload(f, one->workload)->entry, 0);
		assert_int_not_equal(workload(f, two->workload)->entry, 0);
		/* once more, following */
		add_service(f, "web", "app: web", "10.9.0.1", "{port: 81, targetPort: 8080}");
	}
}

static void lanes_run_out(void **state)
{
	struct fixture *f = *state;
	char label[64];

	ahead(f); /* what is left alone is so then, too */
	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (int i = 1; i <= 16; i++) {
		(void)snprintf(label, sizeof(label), ", alicloud.service.tag: lane-%d", i);
		add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", label, "", "");
		build(f);
		if (i < 16) {
			assert_string_equal(f->findings.text, "");
			assert_int_equal(pod(f, "10.0.0.3")->lane, i);
		}
	}
	assert_int_equal(f->findings.count, 1);
	assert_non_null(
		strstr(f->findings.text, "Rollout default/web: lane lane-16 is one too many"));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
	/* One that was open before still has its id. */
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", alicloud.service.tag: lane-7", "",
		"");
	build(f);
	assert_int_equal(pod(f, "10.0.0.3")->lane, 7);
}

/* What an earlier agent has given out stays as it was, and is given to nobody else. */
static void lanes_of_an_earlier_builder_keep_their_numbers(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "red", "blue", "green" };
	static const int ids[] = { 1, 2, 4 };
	char label[64];

	assert_int_equal(lw_state_builder_lane(f->builder, 0, "base"), -EINVAL);
	assert_int_equal(lw_state_builder_lane(f->builder, LW_MAX_LANES, "far"), -EINVAL);
	assert_int_equal(lw_state_builder_lane(f->builder, 2, "blue"), 0);
	assert_int_equal(lw_state_builder_lane(f->builder, 3, "gray"), 0);
	assert_int_equal(lw_state_builder_lane(f->builder, 3, "pink"), -EINVAL);
	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	for (size_t i = 0; i < 3; i++) {
		(void)snprintf(label, sizeof(label), ", alicloud.service.tag: %s", names[i]);
		add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", label, "", "");
		build(f);
		assert_int_equal(pod(f, "10.0.0.3")->lane, ids[i]);
		assert_string_equal(f->listing->lanes[0].name, names[i]);
	}
}

/* TrafficRouting of these Rollouts, at work; strategy: its members. */
static void add_shared(struct fixture *f, const char *name, const char *service,
		       const char *rollout, const char *strategy)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: %s, finalizers:"
		" [progressing.rollouts.kruise.io/%s]}, spec: {objectRef: [{service: %s}], strategy: {%s,"
		" requestHeaderModifier: {set: [{name: x-mse-tag, value: %s}]}}}, status: {phase: Progressing}}",
		name, rollout, service, strategy, name);
	lw_test_load(f->model, yaml, NULL);
}

/* Rollout of the Deployment of its name, at its first step, by this TrafficRouting. */
static void add_rollout_by(struct fixture *f, const char *name, const char *shared)
{
	char yaml[1024];

	(void)snprintf(
		yaml, sizeof(yaml),
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: %s, annotations:"
		" {rollouts.kruise.io/trafficrouting: %s}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment,"
		" name: %s}, strategy: {canary: {steps: [{replicas: 1}]}}}, status: {phase: Progressing,"
		" conditions: [{type: Progressing, status: \"True\", reason: InRolling}], canaryStatus:"
		" {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		name, shared, name);
	lw_test_load(f->model, yaml, NULL);
}

/* Two lanes at once, over one entry: web is in blue, db in red. */
static void several_lanes_at_once(void **state)
{
	struct fixture *f = *state;
	static const char shared[] =
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: to-%s, finalizers:"
		" [progressing.rollouts.kruise.io/%s]}, spec: {objectRef: [{service: web}], strategy: {matches:"
		" [{headers: [{name: user, value: %s}]}], requestHeaderModifier: {set: [{name: x-more, value: a},"
		" {name: X-MSE-Tag, value: %s}]}}}, status: {phase: Progressing}}";
	static const char *const lanes[][2] = { { "web", "blue" }, { "db", "red" } };
	char yaml[1024], to[16];

	add_web(f);
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", alicloud.service.tag: blue", "", "");
	add_pod(f, "db", "old", "db-1", "{ip: 10.0.1.1}", ", tier: db", "", "");
	add_pod(f, "db", "new", "db-2", "{ip: 10.0.1.2}", ", tier: db, alicloud.service.tag: red",
		"", "");
	add_service(f, "web", "app: web, tier: front", "10.9.0.1", "{port: 80}");
	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", ", tier: front", "", "");
	for (int i = 0; i < 2; i++) {
		(void)snprintf(yaml, sizeof(yaml), shared, lanes[i][1], lanes[i][0], lanes[i][1],
			       lanes[i][1]);
		lw_test_load(f->model, yaml, NULL);
		(void)snprintf(to, sizeof(to), "to-%s", lanes[i][1]);
		add_rollout_by(f, lanes[i][0], to);
	}
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(f->listing->nlanes, 2);
	assert_string_equal(f->listing->lanes[0].name, "blue");
	assert_string_equal(f->listing->lanes[0].tag_header, "X-MSE-Tag");
	assert_string_equal(f->listing->lanes[0].tag_value, "blue");
	assert_string_equal(f->listing->lanes[1].tag_value, "red");
	/* Both rules guard web, each leads into its own lane. */
	assert_int_equal(f->listing->nrules, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(f->listing->rules[i].workload, "default/Deployment/web");
		assert_string_equal(f->listing->rules[i].lane_name, lanes[i][1]);
	}
	assert_int_not_equal(pod(f, "10.0.0.3")->lane, pod(f, "10.0.1.2")->lane);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_TAGS), 2);
	/* One for both, which says nothing of a tag: the lane is that of the workload it guards, not that of the first. */
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: to-blue, finalizers:"
		" [progressing.rollouts.kruise.io/db, progressing.rollouts.kruise.io/web]}, spec: {objectRef: [{service: web}],"
		" strategy: {matches: [{headers: [{name: user, value: a}]}]}}, status: {phase: Progressing}}",
		NULL);
	add_rollout_by(f, "db", "to-blue");
	build(f);
	assert_int_equal(f->listing->nrules, 1);
	assert_string_equal(f->listing->rules[0].lane_name, "blue");
	/* What becomes of one of that name in another namespace is not theirs. */
	for (int i = 0; i < 2; i++) {
		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: to-blue, namespace: other},"
			" spec: {objectRef: [{service: web}], strategy: {weight: %d}}, status: {phase: Healthy}}",
			10 + i);
		lw_test_load(f->model, yaml, NULL);
		build(f);
		assert_int_equal(f->listing->nrules, 1);
	}
	assert_true(lw_state_has_followed(f->builder));
}

/* What one object is given by its weight does not take from what another asks for by a match. */
static void matches_come_before_weights(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", alicloud.service.tag: blue", "",
		PORT_HTTP(8080));
	add_pod(f, "db", "old", "db-1", "{ip: 10.0.1.1}", ", tier: db", "", "");
	add_pod(f, "db", "new", "db-2", "{ip: 10.0.1.2}", ", tier: db, alicloud.service.tag: red",
		"", "");
	add_pod(f, "web", "old", "web-1", "{ip: 10.0.0.1}", ", tier: front", "", PORT_HTTP(8080));
	add_service(f, "front", "tier: front", "10.9.0.2", "{port: 80}");
	add_shared(f, "blue", "front", "web", "weight: 100");
	add_shared(
		f, "red", "front", "db",
		"matches: [{headers: [{name: user, value: li}]}, {headers: [{name: user, value: wu}]}]");
	add_rollout_by(f, "web", "blue");
	add_rollout_by(f, "db", "red");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(f->listing->nrules, 3);
	assert_string_equal(f->listing->rules[0].text, "header user = li");
	assert_string_equal(f->listing->rules[0].lane_name, "red");
	assert_string_equal(f->listing->rules[1].text, "header user = wu");
	assert_string_equal(f->listing->rules[2].text, "all requests");
	assert_string_equal(f->listing->rules[2].lane_name, "blue");
	/* nothing is left for what comes behind all; told of the first alone, as the others' order is that of their names */
	add_shared(f, "red", "front", "db", "weight: 50");
	build(f);
	assert_int_equal(f->listing->nrules, 2);
	assert_string_equal(f->listing->rules[1].lane_name, "red");
	assert_string_equal(
		f->findings.text,
		"TrafficRouting default/red weight 50: no request enters default/Deployment/web by it, as all that are"
		" left do by TrafficRouting default/blue weight 100\n");
	add_shared(f, "blue", "front", "web", "weight: 99");
	build(f);
	assert_string_equal(f->findings.text, "");
}

/* A gateway on the host network: nothing can be steered there, and whoever reads that the lane is open must be told so. */
static void no_request_enters_on_the_host_network(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_service(f, "edge", "app: edge", "10.9.0.2", "{port: 80}");
	add_gateway(f, "default", "edge-1", "app: edge", "{ip: 192.168.1.1}", ", hostNetwork: true",
		    "");
	add_shared(f, "gray", "edge", "web", "matches: [{headers: [{name: user, value: li}]}]");
	add_rollout_by(f, "web", "gray");
	build(f);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_string_equal(
		f->findings.text,
		"test.yaml:1: document 1: TrafficRouting default/gray: pods of default/Service/edge, where its requests"
		" enter, use the host network, where an address tells no pod: none enters there\n");
	assert_string_equal(f->listing->lanes[0].why,
			    "1 of 1 workloads are in it; no rule leads into it");
}

/* Two releases in one lane: what one of them sets is no tag of the other's, which names the configured header. */
static void configured_header_is_the_tag(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "db", "old", "db-1", "{ip: 10.0.1.1}", ", tier: db", "", "");
	add_pod(f, "db", "new", "db-2", "{ip: 10.0.1.2}", ", tier: db", "", "");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {trafficRoutings:"
		" [{service: web}], steps: [{traffic: 30%, requestHeaderModifier: {set: [{name: x-canary, value: \"1\"}]}}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}], canaryStatus:"
		" {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: entry, finalizers:"
		" [progressing.rollouts.kruise.io/db]}, spec: {objectRef: [{service: web}], strategy: {matches: [{headers: [{name: user,"
		" value: me}]}], requestHeaderModifier: {set: [{name: x-mse-tag, value: gray}]}}}, status: {phase: Progressing}}",
		NULL);
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: db, annotations:"
		" {rollouts.kruise.io/trafficrouting: entry}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: db},"
		" strategy: {canary: {steps: [{replicas: 1}]}}}, status: {phase: Progressing, conditions: [{type: Progressing,"
		" status: \"True\", reason: InRolling}], canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused,"
		" podTemplateHash: new, stableRevision: old}}}",
		NULL);
	build(f);
	assert_int_equal(f->listing->nlanes, 1);
	assert_string_equal(f->listing->lanes[0].tag_header, "x-mse-tag");
	assert_string_equal(f->listing->lanes[0].tag_value, "gray");
	assert_non_null(strstr(
		f->findings.text,
		"sets \"x-canary: 1\" for lane gray, which TrafficRouting default/entry tags \"x-mse-tag: gray\""));
}

/* web in release in a lane of its own, zebra, with a step that sets these headers; beside what release/ has, in gray. */
static void load_lane_that_sets(struct fixture *f, const char *headers)
{
	static const char rollout[] =
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{traffic: 30%%, requestHeaderModifier: {set:"
		" [%s]}}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new,"
		"   stableRevision: old}}}";
	char yaml[1024];

	load_dir(f, LW_TEST_DATA "/release");
	add_web(f);
	add_pod(f, "web", "new", "web-3", "{ip: 10.0.0.3}", ", alicloud.service.tag: zebra", "",
		"");
	(void)snprintf(yaml, sizeof(yaml), rollout, headers);
	lw_test_load(f->model, yaml, NULL);
}

static void a_tag_of_two_lanes_is_the_first_ones(void **state)
{
	struct fixture *f = *state;

	load_lane_that_sets(f, "{name: x-mse-tag, value: gray}");
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(f->findings.text,
			       "Rollout default/web: \"x-mse-tag: gray\" cannot tag lane zebra"));
	/* The lane is tagged by its name then, and its rule stands. */
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 2);
	assert_string_equal(f->listing->lanes[1].tag_value, "zebra");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 2);
}

/* Not even its name can tag it: one error, and what is shown of it is as it is. */
static void a_lane_without_a_tag_is_entered_by_nobody(void **state)
{
	struct fixture *f = *state;

	load_lane_that_sets(f, "{name: x-mse-tag, value: zebra}");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: mse-traffic, finalizers:"
		" [progressing.rollouts.kruise.io/rollout-a, progressing.rollouts.kruise.io/rollout-c]},"
		" spec: {objectRef: [{service: spring-cloud-a}], strategy: {weight: 10, requestHeaderModifier: {set:"
		" [{name: x-mse-tag, value: zebra}]}}}, status: {phase: Progressing}}",
		NULL);
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(f->findings.text,
			       " cannot tag lane zebra: lane \"zebra\" has the same tag"));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 1);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 1);
	assert_string_equal(f->listing->lanes[1].name, "zebra");
	assert_string_equal(f->listing->lanes[1].tag_value, "");
	assert_string_equal(f->listing->rules[1].text, "no request: refused");
}

/* Which of several headers is the tag is a guess where none has its name: whoever sends that one enters the lane. */
static void a_guessed_tag_is_told(void **state)
{
	struct fixture *f = *state;

	load_lane_that_sets(f, "{name: x-more, value: a}, {name: x-lane, value: green}");
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(
		f->findings.text,
		"Rollout default/web: sets 2 headers, none of them \"x-mse-tag\": the first, \"x-more: a\", is the tag"));
}

/* What a rule's fault must not do is to leave a release as it was when the rule was written. */
static void a_match_that_is_refused_holds_nothing_up(void **state)
{
	static const char yaml[] =
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{matches: [{headers: [{name: user, value: '(?!x).*',"
		"   type: RegularExpression}]}, {headers: [{name: user, value: me}]}]}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: %s}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new,"
		"   stableRevision: old}}}";
	struct lw_test_findings told = {};
	struct fixture *f = *state;
	const struct lw_rule *rule;
	char text[1024];

	add_web(f);
	(void)snprintf(text, sizeof(text), yaml, "InRolling");
	lw_test_load(f->model, text, &told);
	assert_int_equal(told.count, 1);
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(f->findings.text, "Rollout default/web step 1 match 1: "));
	assert_true(listed(f, "default/Deployment/web")->open);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 1);
	rule = lw_image_value(f->image, LW_TABLE_RULES, 0);
	assert_string_equal(rule->source, "Rollout default/web step 1 match 2");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 0);
	assert_int_equal(f->listing->nrules, 2);
	assert_string_equal(f->listing->rules[0].text, "no request: refused");
	assert_string_equal(f->listing->rules[1].text, "header user = me");

	(void)snprintf(text, sizeof(text), yaml, "Finalising");
	lw_test_load(f->model, text, &told);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(listed(f, "default/Deployment/web")->route, LW_LISTING_PLAIN);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DESTS), 0);
}

static size_t compiled;

int __real_lw_regex_compile(const char *pattern, struct lw_dfa *ret, size_t *ret_work, char *err,
			    size_t err_len);
int __wrap_lw_regex_compile(const char *pattern, struct lw_dfa *ret, size_t *ret_work, char *err,
			    size_t err_len);
int __wrap_lw_regex_compile(const char *pattern, struct lw_dfa *ret, size_t *ret_work, char *err,
			    size_t err_len)
{
	compiled++;
	return __real_lw_regex_compile(pattern, ret, ret_work, err, err_len);
}

/* TrafficRouting `name` to Service web: matches of so many headers each, all values differ, and none is another name's. */
static void add_expressions(struct fixture *f, const char *name, unsigned int matches,
			    unsigned int headers)
{
	size_t size = 1024 + (size_t)matches * headers * 100, len;
	char *yaml = malloc(size);

	assert_non_null(yaml);
	len = (size_t)snprintf(
		yaml, size,
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: TrafficRouting, metadata: {name: %s,"
		" finalizers: [progressing.rollouts.kruise.io/db]}, spec: {objectRef: [{service: web}], strategy: {matches: [",
		name);
	for (unsigned int m = 0; m < matches; m++) {
		len += (size_t)snprintf(yaml + len, size - len, "%s{headers: [", m ? ", " : "");
		for (unsigned int h = 0; h < headers; h++)
			len += (size_t)snprintf(
				yaml + len, size - len,
				"%s{name: h%u, value: '%s-%u-%u.*', type: RegularExpression}",
				h ? ", " : "", h, name, m, h);
		len += (size_t)snprintf(yaml + len, size - len, "]}");
	}
	len += (size_t)snprintf(yaml + len, size - len, "]}}, status: {phase: Progressing}}");
	assert_true(len < size);
	lw_test_load(f->model, yaml, NULL);
	free(yaml);
}

/* One object has room for two thousand, and a Service may select the pods of any number of workloads. */
static void expressions_are_compiled_once(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 4; i++) {
		char name[16], pod_name[24], ip[32];

		(void)snprintf(name, sizeof(name), "web%d", i);
		(void)snprintf(pod_name, sizeof(pod_name), "%s-1", name);
		(void)snprintf(ip, sizeof(ip), "{ip: 10.0.1.%d}", i + 1);
		add_pod(f, name, "old", pod_name, ip, "", "", "");
	}
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	add_owned_pod(f, "apiVersion: apps/v1, kind: ReplicaSet, name: db-old",
		      "pod-template-hash: old", "db-1", "10.0.0.1");
	add_owned_pod(f, "apiVersion: apps/v1, kind: ReplicaSet, name: db-new",
		      "pod-template-hash: new", "db-2", "10.0.0.2");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: db, annotations:"
		" {rollouts.kruise.io/trafficrouting: entry}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment,"
		" name: db}, strategy: {canary: {steps: [{replicas: 1}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}",
		NULL);

	/* More than there is room for: none of them is in force. */
	add_expressions(f, "entry", 128, 16);
	build(f);
	assert_int_equal(f->findings.count, 4);
	assert_non_null(
		strstr(f->findings.text,
		       "entry rules of default/Deployment/web0: more than 256 different regular"));
	compiled = 0;
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	build(f);
	assert_int_equal(f->findings.count, 4);
	assert_int_equal(compiled, 0);

	/* As many as there are automata, at each of the workloads. */
	add_expressions(f, "entry", 64, 4);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 256);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 4 * 64);
	compiled = 0;
	add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
	build(f);
	assert_int_equal(compiled, 0);
	/* Another object's go through the same cache. */
	add_expressions(f, "other", 128, 16);
	assert_int_equal(compiled, 2048);
	build(f);
	assert_int_equal(compiled, 2048);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 256);

	/* One more leaves the workload without any, and says which is which. */
	add_expressions(f, "entry", 51, 6);
	build(f);
	assert_int_equal(f->findings.count, 4);
	assert_non_null(strstr(
		f->findings.text,
		"entry rules of default/Deployment/web3: more than 256 different regular expressions in entry rules\n"));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_DFAS), 0);
}

/* Of all the matches there may be some are told. */
static void of_many_that_are_refused_some_are_told(void **state)
{
	struct lw_test_findings told = {};
	struct fixture *f = *state;
	char text[8192];
	size_t len;

	add_web(f);
	len = (size_t)snprintf(
		text, sizeof(text),
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: Rollout, metadata: {name: web},"
		" spec: {objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{replicas: 1, matches: [{}");
	for (int i = 1; i < 128; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, ", {}");
	(void)snprintf(
		text + len, sizeof(text) - len,
		"]}]}}}, status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}");
	lw_test_load(f->model, text, &told);
	build(f);
	assert_int_equal(f->findings.count, LW_FINDINGS_EACH + 1);
	assert_non_null(strstr(f->findings.text, "Rollout default/web step 1 match 16: "));
	assert_null(strstr(f->findings.text, "Rollout default/web step 1 match 17: "));
	assert_non_null(strstr(f->findings.text,
			       "entry rules of default/Deployment/web: and 112 more are refused"));
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
}

static void no_request_enters_by_an_empty_match_of_v1alpha1(void **state)
{
	struct lw_test_findings told = {};
	struct fixture *f = *state;

	add_web(f);
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1alpha1, kind: Rollout, metadata: {name: web},"
		" spec: {objectRef: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}, strategy: {canary: {"
		"   trafficRoutings: [{service: web}], steps: [{replicas: 1, matches: [{}]}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new,"
		"   stableRevision: old}}}",
		&told);
	build(f);
	assert_int_equal(f->findings.count, 1);
	assert_non_null(strstr(f->findings.text,
			       "Rollout default/web step 1 match 1: a match without headers"));
	assert_true(listed(f, "default/Deployment/web")->open);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_string_equal(f->listing->rules[0].text, "no request: refused");
}

static void two_rollouts_of_one_workload(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web-again},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {}}}}",
		NULL);
	build(f);
	assert_string_equal(
		f->findings.text,
		"test.yaml:1: document 1: Rollout default/web-again: default/Deployment/web is already"
		" released by Rollout default/web: ignored\n");
	assert_true(listed(f, "default/Deployment/web")->open);
}

static void a_step_of_weight_0_leads_nobody_in(void **state)
{
	struct fixture *f = *state;

	add_web(f);
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {blueGreen: {"
		"   trafficRoutings: [{service: web}], steps: [{traffic: 0%, replicas: 100%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   blueGreenStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new,"
		"   stableRevision: old}}}",
		NULL);
	build(f);
	assert_true(listed(f, "default/Deployment/web")->open);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
}

#define HEALTHY_WEB(spec)                                                                                    \
	"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: web}, spec: {workloadRef:" \
	" {apiVersion: apps/v1, kind: Deployment, name: web}, strategy: {canary: {" spec                     \
	"steps: [{replicas: 1}]}}},"                                                                         \
	" status: {phase: Healthy, conditions: [{type: Progressing, status: \"False\", reason: Completed}]}}"

/* What a connection that is enrolled ahead has noted must hold when its release begins. */
static void connections_are_enrolled_ahead(void **state)
{
	struct fixture *f = *state;
	struct lw_dest service, own;

	add_web(f);
	lw_test_load(f->model, HEALTHY_WEB("trafficRoutings: [{service: web}], "), NULL);
	build(f);
	assert_null(dest(f, "10.9.0.1", 80));
	ahead(f);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 0);
	service = *dest(f, "10.9.0.1", 80);
	own = *dest(f, "10.0.0.1", 0);
	assert_string_equal(endpoints(f, &service, 0), "10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080");
	assert_int_equal(workload(f, service.workload)->entry, 0);
	assert_int_equal(listed(f, "default/Deployment/web")->route, LW_LISTING_PLAIN);
	assert_non_null(strstr(listed(f, "default/Deployment/web")->why, "enrolled ahead"));

	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_memory_equal(dest(f, "10.9.0.1", 80), &service, sizeof(service));
	assert_memory_equal(dest(f, "10.0.0.1", 0), &own, sizeof(own));
	assert_string_equal(endpoints(f, &service, 0), "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, &service, 1), "10.0.0.3:8080");
	assert_null(strstr(listed(f, "default/Deployment/web")->why, "ahead"));

	/* a step without traffic, in which the Service has the canary, too; and the end */
	lw_test_load(f->model, HEALTHY_WEB("trafficRoutings: [{service: web}], "), NULL);
	build(f);
	assert_memory_equal(dest(f, "10.9.0.1", 80), &service, sizeof(service));
	assert_string_equal(endpoints(f, &service, 0), "10.0.0.1:8080 10.0.0.2:8080 10.0.0.3:8080");
}

/*
 * An agent that starts while a newer release overtakes one does not know which revision is the stable one. The Service's selector
 * has it: what it leaves out is not everybody's.
 */
static void a_pinned_service_says_who_is_stable(void **state)
{
	struct fixture *f = *state;

	ahead(f);
	add_web(f);
	add_service(f, "web", "app: web, pod-template-hash: old", "10.9.0.1",
		    "{port: 80, targetPort: 8080}");
	add_rollout(f, "Initializing", "\"\"", "\"\"", "canary");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	/* in a release its roles count: it is pinned before its canaries are routed to, and some time after */
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 0),
			    "10.0.0.1:8080 10.0.0.2:8080");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.1", 80), 1), "10.0.0.3:8080");
}

/* A Rollout that does nothing about traffic has no release to wait for; nor can a host network's pods be told apart. */
static void what_no_release_can_route_is_not_enrolled_ahead(void **state)
{
	struct fixture *f = *state;

	ahead(f);
	add_web(f);
	lw_test_load(f->model, HEALTHY_WEB(""), NULL);
	build(f);
	assert_null(dest(f, "10.9.0.1", 80));
	lw_test_load(f->model, HEALTHY_WEB("trafficRoutings: [{service: web}], "), NULL);
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-4, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" spec: {hostNetwork: true}, status: {phase: Running, podIPs: [{ip: 10.0.0.4}]}}",
		NULL);
	build(f);
	assert_null(dest(f, "10.9.0.1", 80));
	assert_null(dest(f, "10.0.0.1", 0));
}

/* Where requests are going to enter, and who passes lanes on. */
static void the_way_into_a_lane_is_enrolled_ahead(void **state)
{
	struct fixture *f = *state;

	ahead(f);
	load_dir(f, LW_TEST_DATA "/release");
	assert_true(lw_model_remove(f->model, LW_K8S_ROLLOUT, "default", "rollout-a"));
	lw_test_load(
		f->model,
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: rollout-c, annotations:"
		" {rollouts.kruise.io/trafficrouting: mse-traffic}}, spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment,"
		" name: spring-cloud-c}, strategy: {canary: {enableExtraWorkloadForCanary: true, steps: [{replicas: 1}]}}},"
		" status: {phase: Healthy, conditions: [{type: Progressing, status: \"False\", reason: Completed}]}}",
		NULL);
	add_pod(f, "between", "b", "between-1", "{ip: 10.0.0.9}", ", hop: between", "",
		PORT_HTTP(8080));
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Service, metadata: {name: between, labels: {laneway.io/passes-lanes: \"true\"}},"
		" spec: {selector: {hop: between}, clusterIPs: [10.9.0.9], ports: [{port: 80}]}}",
		NULL);
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_LANES), 0);
	assert_int_equal(lw_image_rows(f->image, LW_TABLE_RULES), 0);
	assert_non_null(dest(f, "10.96.20.1", 20001));
	assert_non_null(dest(f, "10.9.0.9", 80));
}

/* Two Deployments could adopt the pod, and the first that is in release has it, whichever was a moment ago. */
static void whose_a_pod_is_does_not_depend_on_what_was(void **state)
{
	static const char zeb[] =
		"{apiVersion: rollouts.kruise.io/v1beta1, kind: Rollout, metadata: {name: zeb},"
		" spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: zeb}, strategy: {canary: {"
		"   trafficRoutings: [{service: zeb}], steps: [{traffic: 5%}]}}},"
		" status: {phase: Progressing, conditions: [{type: Progressing, status: \"True\", reason: InRolling}],"
		"   canaryStatus: {currentStepIndex: 1, currentStepState: StepPaused, podTemplateHash: new, stableRevision: old}}}";
	struct fixture *f = *state;

	add_web(f);
	add_pod(f, "zeb", "old", "zeb-1", "{ip: 10.0.1.1}", "", "", "");
	add_pod(f, "zeb", "new", "zeb-2", "{ip: 10.0.1.2}", "", "", "");
	lw_test_load(
		f->model,
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: web}, spec: {replicas: 2, selector: {matchLabels: {app: web}}}}\n"
		"---\n"
		"{apiVersion: apps/v1, kind: Deployment, metadata: {name: zeb}, spec: {replicas: 2, selector: {matchLabels: {app: web}}}}\n"
		"---\n"
		"{apiVersion: v1, kind: Pod, metadata: {name: orphan, labels: {app: web, pod-template-hash: old}},"
		" status: {conditions: [{type: Ready, status: \"True\"}], phase: Running, podIPs: [{ip: 10.0.0.7}]}}",
		NULL);
	lw_test_load(f->model, zeb, NULL);
	for (int i = 0; i < 3; i++) {
		add_rollout(f, i == 1 ? "InRolling" : "Finalising",
			    i == 1 ? "StepPaused" : "Completed", "new", "canary");
		build_image(f); /* to list them takes all pods */
		assert_int_equal(pod(f, "10.0.0.7")->workload,
				 pod(f, i == 1 ? "10.0.0.1" : "10.0.1.1")->workload);
	}
}

/* While a lane is open, by whichever address they are asked; a Service that is another's name selects nobody. */
static void services_that_pass_lanes_on(void **state)
{
	static const struct {
		const char *name, *spec;
	} services[] = {
		{ "service", "clusterIPs: [10.9.0.8]" },
		{ "pods", "clusterIPs: [None]" },
		{ "elsewhere", "type: ExternalName, externalName: example.org" },
	};
	struct fixture *f = *state;
	char yaml[512], owner[64], ip[32];

	add_web(f);
	for (int i = 0; i < 3; i++) {
		(void)snprintf(owner, sizeof(owner),
			       "apiVersion: apps/v1, kind: StatefulSet, name: %s",
			       services[i].name);
		(void)snprintf(ip, sizeof(ip), "10.0.8.%d", i);
		add_owned_pod(f, owner, "any: revision", services[i].name, ip);
		(void)snprintf(
			yaml, sizeof(yaml),
			"{apiVersion: v1, kind: Service, metadata: {name: %s, labels: {laneway.io/passes-lanes: \"true\"}},"
			" spec: {%s, selector: {app: %s}, ports: [{port: 80}]}}",
			services[i].name, services[i].spec, services[i].name);
		lw_test_load(f->model, yaml, NULL);
	}
	add_rollout(f, "Cancelling", "StepPaused", "new", "canary");
	build(f);
	assert_non_null(pod(f, "10.0.0.3"));
	assert_null(dest(f, "10.9.0.8", 80));
	assert_null(pod(f, "10.0.8.1"));
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_string_equal(f->findings.text, "");
	assert_string_equal(endpoints(f, dest(f, "10.9.0.8", 80), 0), "10.0.8.0:80");
	assert_non_null(dest(f, "10.0.8.0", 0));
	assert_non_null(dest(f, "10.0.8.1", 0));
	assert_null(dest(f, "10.0.8.2", 0));
}

/* A build that follows another finds nothing new of a workload, and tells what was found. */
static void findings_are_told_again(void **state)
{
	struct fixture *f = *state;
	char first[sizeof(f->findings.text)];

	add_web(f);
	lw_test_load(
		f->model,
		"{apiVersion: v1, kind: Pod, metadata: {name: web-4, labels: {app: web, pod-template-hash: old},"
		" ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-old, controller: true}]},"
		" spec: {hostNetwork: true}, status: {phase: Running, podIPs: [{ip: 10.0.0.4}]}}",
		NULL);
	add_rollout(f, "InRolling", "StepPaused", "new", "canary");
	build(f);
	assert_false(lw_state_has_followed(f->builder));
	assert_non_null(strstr(f->findings.text, "use the host network"));
	(void)snprintf(first, sizeof(first), "%s", f->findings.text);
	for (int i = 0; i < 2; i++) {
		add_service(f, "web", "app: web", "10.9.0.1", "{port: 80, targetPort: 8080}");
		build(f);
		assert_true(lw_state_has_followed(f->builder));
		assert_string_equal(f->findings.text, first);
	}
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_example_as_it_stands_is_all_plain),
		T(the_example_in_release),
		T(the_entry_hop_need_not_be_in_release),
		T(the_entry_hop_may_be_between_releases),
		T(a_traffic_routing_that_is_not_there_is_told),
		T(pods_are_told_by_hash),
		T(a_pod_of_neither_revision_is_drained),
		T(a_pod_without_a_revision_is_base),
		T(canaries_that_were_overtaken_are_drained),
		T(pods_of_a_second_deployment_are_never_base),
		T(a_rollback_in_batches_drains_the_newer_pods),
		T(a_rollback_takes_the_canary_out_of_the_way),
		T(before_the_first_route_all_goes_to_stable),
		T(a_finished_release_is_left_alone),
		T(blue_green_ends_with_all_on_the_new),
		T(with_no_stable_pod_left_base_is_all),
		T(abandoned_version_gets_nothing),
		T(main_deployment_of_two_versions_is_base),
		T(without_a_stable_pod_canaries_stay_canaries),
		T(only_ready_pods_take_requests),
		T(local_pods_come_first),
		T(families_do_not_mix),
		T(ports_by_name_may_differ),
		T(ports_without_number_are_cut),
		T(ports_without_a_name_are_left_out),
		T(ports_without_a_name_take_no_room),
		T(ports_may_have_several_names),
		T(the_text_of_a_rule_is_cut),
		T(lanes_by_label),
		T(options_name_other_labels),
		T(pods_that_are_not_believed),
		T(what_is_no_label_is_refused),
		T(pods_without_room_are_left_alone),
		T(pods_of_the_second_deployment),
		T(an_owner_made_anew_does_not_own),
		T(stateful_sets_by_their_own_label),
		T(how_many_pods_there_are_is_not_how_many_there_are_to_be),
		T(services_as_rollouts_leaves_them),
		T(a_service_over_several_workloads),
		T(an_address_belongs_to_one),
		T(an_address_changes_hands),
		T(the_host_network_tells_no_pods),
		T(canaries_on_the_host_network_send_in_their_lane),
		T(host_pods_without_a_uid_are_passed_over),
		T(pods_without_a_uid_differ_all_the_same),
		T(ids_stay),
		T(names_that_come_and_go_are_forgotten),
		T(kinds_of_two_groups_are_two),
		T(lanes_run_out),
		T(lanes_of_an_earlier_builder_keep_their_numbers),
		T(several_lanes_at_once),
		T(matches_come_before_weights),
		T(no_request_enters_on_the_host_network),
		T(configured_header_is_the_tag),
		T(a_tag_of_two_lanes_is_the_first_ones),
		T(a_lane_without_a_tag_is_entered_by_nobody),
		T(a_guessed_tag_is_told),
		T(a_match_that_is_refused_holds_nothing_up),
		T(expressions_are_compiled_once),
		T(of_many_that_are_refused_some_are_told),
		T(no_request_enters_by_an_empty_match_of_v1alpha1),
		T(two_rollouts_of_one_workload),
		T(a_step_of_weight_0_leads_nobody_in),
		T(connections_are_enrolled_ahead),
		T(a_pinned_service_says_who_is_stable),
		T(what_no_release_can_route_is_not_enrolled_ahead),
		T(the_way_into_a_lane_is_enrolled_ahead),
		T(whose_a_pod_is_does_not_depend_on_what_was),
		T(services_that_pass_lanes_on),
		T(findings_are_told_again),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
