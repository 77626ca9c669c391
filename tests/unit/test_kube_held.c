/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What becomes of objects that watches bring, several of one object at once; driven as the watches would.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kube/source_kube_internal.h"

struct world {
	struct lw_source_kube source;
	struct lw_kube_follow follows[3];
	size_t findings;
	char forgotten[128];
};

static void on_finding(const struct lw_finding *finding, void *arg)
{
	assert_int_equal(finding->severity, LW_FINDING_ERROR);
	((struct world *)arg)->findings++;
}

static void on_soon(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

static void on_forget(const char *prefix, void *arg)
{
	struct world *world = arg;

	(void)snprintf(world->forgotten, sizeof(world->forgotten), "%s", prefix);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	world->source.o = (struct lw_source_kube_options){
		.loop = ev_loop_new(0), .finding = on_finding, .forget = on_forget, .arg = world
	};
	assert_non_null(world->source.o.loop);
	assert_int_equal(lw_model_new(&world->source.o.model), 0);
	ev_timer_init(&world->source.soon, on_soon, 0., 0.);
	for (size_t i = 0; i < 3; i++)
		world->follows[i] =
			(struct lw_kube_follow){ .source = &world->source, .kind = LW_K8S_POD };
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	lw_kube_free_helds(&world->source);
	lw_model_free(&world->source.o.model);
	ev_timer_stop(world->source.o.loop, &world->source.soon);
	ev_loop_destroy(world->source.o.loop);
	free(world);
	return 0;
}

static void bring(struct world *world, size_t watch, const char *name, uint64_t version, bool first,
		  const char *json)
{
	const struct lw_watch_callbacks cb = lw_kube_held_callbacks(&world->follows[watch]);
	struct json_object *tree = json_tokener_parse(json);

	assert_non_null(tree);
	cb.apply("shop", name, version, first, cb.build(tree, cb.arg), cb.arg);
	(void)json_object_put(tree);
}

static void pod(struct world *world, size_t watch, uint64_t version, bool first)
{
	char json[256];

	(void)snprintf(
		json, sizeof(json),
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"shop\",\"uid\":\"%d\"}}",
		(int)version);
	bring(world, watch, "p", version, first, json);
}

static void gone(struct world *world, size_t watch)
{
	const struct lw_watch_callbacks cb = lw_kube_held_callbacks(&world->follows[watch]);

	cb.gone("shop", "p", cb.arg);
}

/* The version in the model; 0: none. */
static int in_model(const struct world *world)
{
	const struct lw_k8s_object *object =
		lw_model_get(world->source.o.model, LW_K8S_POD, "shop", "p");

	return object ? atoi(object->meta.uid) : 0;
}

static void the_newest_of_several_watches_counts(void **state)
{
	struct world *world = *state;

	pod(world, 0, 10, true);
	pod(world, 1, 9, true);
	assert_int_equal(in_model(world), 10);
	pod(world, 1, 12, false);
	pod(world, 0, 11, false);
	pod(world, 0, 12, false);
	assert_int_equal(in_model(world), 12);
	gone(world, 0);
	assert_int_equal(in_model(world), 12);
	gone(world, 1);
	assert_int_equal(in_model(world), 0);
}

/* A backup was restored: what the server has now counts, whichever of the watches is listed anew first. */
static void a_server_may_go_back(void **state)
{
	struct world *world = *state;

	for (size_t first = 0; first < 2; first++) {
		pod(world, 0, 1000, true);
		pod(world, 1, 1000, true);
		pod(world, first, 899, false);
		pod(world, !first, 899, false);
		assert_int_equal(in_model(world), 899);
		pod(world, first, 900, false);
		assert_int_equal(in_model(world), 900);
		gone(world, 0);
		gone(world, 1);
	}
	/* the watch that brought it is over */
	for (size_t i = 0; i < 3; i++)
		pod(world, i, 1000, true);
	gone(world, 0);
	pod(world, 1, 1000, false);
	pod(world, 2, 899, false);
	pod(world, 1, 899, false);
	assert_int_equal(in_model(world), 899);
}

/* The server has another version of the API: resource versions are the same, and what is held is not all of it. */
static void rollouts_of_another_api_version_take_their_place(void **state)
{
	static const char json[] =
		"{\"apiVersion\":\"rollouts.kruise.io/%s\",\"kind\":\"Rollout\",\"metadata\":{\"name\":\"r\",\"namespace\":\"shop\"},"
		"\"spec\":{\"workloadRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"web\"},"
		"\"objectRef\":{\"workloadRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"web\"}},"
		"\"strategy\":{\"canary\":{\"trafficRoutings\":[{\"service\":\"web\"}],\"steps\":[{\"replicas\":1,\"matches\":[{%s}]}]}}}}";
	struct world *world = *state;
	const struct lw_k8s_object *object;
	char alpha[768], beta[768];

	world->follows[0].kind = world->follows[1].kind = LW_K8S_ROLLOUT;
	(void)snprintf(alpha, sizeof(alpha), json, "v1alpha1", "");
	(void)snprintf(beta, sizeof(beta), json, "v1beta1", "\"path\":{\"value\":\"/beta\"}");
	bring(world, 0, "r", 1, true, alpha);
	assert_int_equal(lw_source_kube_errors(&world->source), 1);
	world->follows[0].unwanted_ns = 1;
	bring(world, 1, "r", 1, true, beta);
	for (int i = 0; i < 2; i++) {
		object = lw_model_get(world->source.o.model, LW_K8S_ROLLOUT, "shop", "r");
		assert_non_null(object);
		assert_int_equal(object->rollout.steps[0].route.matches[0].n, 1);
		assert_int_equal(lw_source_kube_errors(&world->source), 0);
		/* the other one is still open for a while */
		bring(world, 0, "r", 2, false, alpha);
		bring(world, i, "r", 2, false, i ? beta : alpha);
	}
}

/* One with a rule that is refused is in the model, and an error as long as it has it. */
static void a_flaw_is_an_error_of_an_object_that_counts(void **state)
{
	static const char json[] =
		"{\"apiVersion\":\"rollouts.kruise.io/v1alpha1\",\"kind\":\"TrafficRouting\",\"metadata\":{\"name\":\"t\","
		"\"namespace\":\"shop\"},\"spec\":{\"objectRef\":[{\"service\":\"web\"}],\"strategy\":{\"matches\":[{\"headers\":"
		"[{\"name\":\"user\",\"type\":\"RegularExpression\",\"value\":\"%s\"}]}]}},\"status\":{\"phase\":\"%s\"}}";
	struct world *world = *state;
	const struct lw_k8s_object *object;
	char text[512];

	world->follows[0].kind = LW_K8S_TRAFFIC_ROUTING;
	(void)snprintf(text, sizeof(text), json, "(?!x).*", "Progressing");
	bring(world, 0, "t", 1, true, text);
	object = lw_model_get(world->source.o.model, LW_K8S_TRAFFIC_ROUTING, "shop", "t");
	assert_non_null(object);
	assert_string_equal(object->traffic_routing.phase, "Progressing");
	assert_int_equal(lw_source_kube_errors(&world->source), 1);
	assert_int_equal(world->findings, 1);
	assert_string_equal(world->forgotten, "");
	(void)snprintf(text, sizeof(text), json, "x.*", "Healthy");
	bring(world, 0, "t", 2, false, text);
	assert_string_equal(world->forgotten, "API server: TrafficRouting shop/t: ");
	assert_int_equal(lw_source_kube_errors(&world->source), 0);
	assert_int_equal(world->findings, 1);
	/* a malformed one leaves what there was */
	bring(world, 0, "t", 3, false,
	      "{\"apiVersion\":\"rollouts.kruise.io/v1alpha1\",\"kind\":\"TrafficRouting\",\"metadata\":{\"name\":\"t\","
	      "\"namespace\":\"shop\"},\"spec\":7}");
	object = lw_model_get(world->source.o.model, LW_K8S_TRAFFIC_ROUTING, "shop", "t");
	assert_string_equal(object->traffic_routing.phase, "Healthy");
	assert_int_equal(lw_source_kube_errors(&world->source), 1);
}

static void versioned_pod(struct world *world, uint64_t version, bool first, const char *hash,
			  const char *phase)
{
	char json[256];

	(void)snprintf(
		json, sizeof(json),
		"{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\",\"namespace\":\"shop\",\"labels\":"
		"{\"pod-template-hash\":\"%s\"}},\"status\":{\"phase\":\"%s\"}}",
		hash, phase);
	bring(world, 1, "p", version, first, json);
}

/* After a rollback a workload's objects are wanted for as long as pods of the abandoned version live; each change of a pod may be the end of that. */
static void leftovers_of_a_rollback(void **state)
{
	static const char rolled_back[] =
		"{\"apiVersion\":\"rollouts.kruise.io/v1beta1\",\"kind\":\"Rollout\",\"metadata\":{\"name\":\"r\",\"namespace\":\"shop\"},"
		"\"spec\":{\"workloadRef\":{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"name\":\"web\"},\"strategy\":{\"canary\":"
		"{\"trafficRoutings\":[{\"service\":\"web\"}],\"steps\":[{\"traffic\":\"5%\"}]}}},\"status\":{\"phase\":\"Healthy\",\"conditions\":"
		"[{\"type\":\"Succeeded\",\"status\":\"False\"},{\"type\":\"Progressing\",\"status\":\"False\",\"reason\":\"Completed\"}],"
		"\"canaryStatus\":{\"currentStepIndex\":1,\"podTemplateHash\":\"new\",\"stableRevision\":\"old\"}}}";
	struct world *world = *state;
	struct lw_source_kube *source = &world->source;
	const struct lw_k8s_object *rollout;

	world->follows[0].kind = LW_K8S_ROLLOUT;
	bring(world, 0, "r", 1, true, rolled_back);
	rollout = lw_model_get(source->o.model, LW_K8S_ROLLOUT, "shop", "r");
	assert_non_null(rollout);
	assert_false(lw_kube_has_leftovers(source, rollout));
	versioned_pod(world, 2, true, "old", "Running");
	assert_false(lw_kube_has_leftovers(source, rollout));
	versioned_pod(world, 3, false, "new", "Running");
	assert_true(lw_kube_has_leftovers(source, rollout));
	source->leftovers = true;
	source->replan = false;
	/* it has ended, and is kept for its logs */
	versioned_pod(world, 4, false, "new", "Failed");
	assert_false(lw_kube_has_leftovers(source, rollout));
	assert_true(source->replan);
	versioned_pod(world, 5, false, "new", "Running");
	assert_true(lw_kube_has_leftovers(source, rollout));
	source->replan = false;
	gone(world, 1);
	assert_false(lw_kube_has_leftovers(source, rollout));
	assert_true(source->replan);
	source->leftovers = source->replan = false;
	versioned_pod(world, 6, true, "new", "Running");
	gone(world, 1);
	assert_false(source->replan);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(the_newest_of_several_watches_counts),
		T(a_server_may_go_back),
		T(rollouts_of_another_api_version_take_their_place),
		T(a_flaw_is_an_error_of_an_object_that_counts),
		T(leftovers_of_a_rollback),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
