/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One list and watch, driven as a transport would: which requests follow from which answers, and what is in the set.
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

#include "base/cleanup.h"
#include "base/clock.h"
#include "kube/watch.h"

#define POD(name, version)                                       \
	"{\"metadata\":{\"namespace\":\"shop\",\"name\":\"" name \
	"\",\"resourceVersion\":\"" version "\"}}"
#define LIST(version, more, items)                                           \
	"{\"kind\":\"PodList\",\"metadata\":{\"resourceVersion\":\"" version \
	"\",\"continue\":\"" more "\"},\"items\":[" items "]}"
#define EVENT(type, object) "{\"type\":\"" type "\",\"object\":" object "}\n"

/* The set as the callbacks tell it: "a=5 b=6", and what happened since last asked. */
struct world {
	struct lw_watch *watch;
	char log[2048];
	size_t built, dropped;
	uint64_t now;
};

static void *build(struct json_object *tree, void *arg)
{
	struct world *world = arg;
	struct json_object *value = NULL;

	/* Items of a list that do not say are given kind and version. */
	assert_true(json_object_object_get_ex(tree, "kind", &value));
	assert_string_equal(json_object_get_string(value), "Pod");
	assert_true(json_object_object_get_ex(tree, "apiVersion", &value));
	if (json_object_object_get_ex(tree, "message", &value))
		return NULL; /* a bad one */
	world->built++;
	return strdup("built");
}

static void note(struct world *world, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void note(struct world *world, const char *format, ...)
{
	size_t len = strlen(world->log);
	va_list args;

	va_start(args, format);
	(void)vsnprintf(world->log + len, sizeof(world->log) - len, format, args);
	va_end(args);
}

static void apply(const char *ns, const char *name, uint64_t version, bool first, void *built,
		  void *arg)
{
	struct world *world = arg;

	assert_string_equal(ns, "shop");
	note(world, "%s%s=%d%s ", first ? "+" : "", name, (int)version, built ? "" : "(bad)");
	world->dropped += built != NULL;
	free(built);
}

static void gone(const char *ns, const char *name, void *arg)
{
	assert_string_equal(ns, "shop");
	note(arg, "-%s ", name);
}

static void drop(void *built, void *arg)
{
	((struct world *)arg)->dropped++;
	free(built);
}

static int setup(void **state)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_int_equal(
		lw_watch_new(&(struct lw_watch_options){ .path = "/api/v1/namespaces/shop/pods",
							 .labels = "app=a,x in (1,2)",
							 .api_version = "v1",
							 .kind = "Pod",
							 .callbacks = { build, apply, gone, drop,
									world } },
			     &world->watch),
		0);
	world->now = lw_clock_ns();
	*state = world;
	return 0;
}

static int teardown(void **state)
{
	struct world *world = *state;

	lw_watch_free(&world->watch, false);
	assert_int_equal(world->built, world->dropped);
	free(world);
	return 0;
}

/* Begins the next request as soon as it may; its query behind the selector. */
static const char *next(struct world *world)
{
	static char query[512];
	static const char prefix[] =
		"/api/v1/namespaces/shop/pods?labelSelector=app%3Da%2Cx%20in%20%281%2C2%29&";
	_cleanup_free_ char *target = NULL;
	unsigned int expire_s;
	char *at;

	assert_true(lw_watch_due(world->watch) != UINT64_MAX);
	if (lw_watch_due(world->watch) > world->now)
		world->now = lw_watch_due(world->watch);
	assert_int_equal(lw_watch_begin(world->watch, world->now, &target, &expire_s), 0);
	assert_true(lw_watch_due(world->watch) == UINT64_MAX);
	assert_int_equal(strncmp(target, prefix, strlen(prefix)), 0);
	(void)snprintf(query, sizeof(query), "%s", target + strlen(prefix));
	at = strstr(query, "&timeoutSeconds=");
	if (at) {
		assert_in_range(expire_s, LW_WATCH_MIN_S, LW_WATCH_MAX_S);
		*at = '\0';
	}
	return query;
}

/* The answer, in pieces of every size; how the request is ended by it. */
static int answer(struct world *world, long status, const char *text)
{
	size_t len = strlen(text);
	int r = 0;

	assert_int_equal(lw_watch_head(world->watch, status), 0);
	for (size_t i = 0, n = 1; r == 0 && i < len; i += n, n = n % 7 + 1)
		r = lw_watch_data(world->watch, text + i, len - i < n ? len - i : n);
	return r;
}

static void end(struct world *world, const char *trouble)
{
	lw_watch_end(world->watch, world->now, trouble, 0);
}

static void reply(struct world *world, long status, const char *text)
{
	(void)answer(world, status, text);
	end(world, NULL);
}

static void expect_log(struct world *world, const char *expected)
{
	assert_string_equal(world->log, expected);
	world->log[0] = '\0';
}

static uint64_t wait_ms(const struct world *world)
{
	return lw_watch_due(world->watch) <= world->now ?
		       0 :
		       (lw_watch_due(world->watch) - world->now) / LW_NS_PER_MS;
}

#define FIRST "limit=500&resourceVersion=0"
#define WATCH(version) "watch=1&allowWatchBookmarks=true&resourceVersion=" version

static void list_ab(struct world *world)
{
	assert_string_equal(next(world), FIRST);
	reply(world, 200, LIST("10", "", POD("a", "3") "," POD("b", "4")));
	expect_log(world, "+a=3 +b=4 ");
	assert_true(lw_watch_synced(world->watch));
}

static void test_story(void **state)
{
	struct world *world = *state;

	assert_false(lw_watch_synced(world->watch));
	list_ab(world);
	assert_string_equal(next(world), WATCH("10"));
	assert_false(lw_watch_following(world->watch));
	assert_int_equal(
		answer(world, 200,
		       EVENT("ADDED", POD("c", "11")) EVENT("MODIFIED", POD("a", "12"))
			       EVENT("DELETED", POD("b", "13")) EVENT(
				       "BOOKMARK", "{\"metadata\":{\"resourceVersion\":\"20\"}}")),
		0);
	assert_true(lw_watch_following(world->watch));
	expect_log(world, "+c=11 a=12 -b ");
	assert_int_equal(lw_watch_count(world->watch), 2);
	end(world, NULL);
	/* Expired in order: at once, from the bookmark on. */
	assert_int_equal(wait_ms(world), 0);
	assert_string_equal(next(world), WATCH("20"));
	reply(world, 200, EVENT("DELETED", POD("a", "21")) EVENT("DELETED", POD("nobody", "22")));
	expect_log(world, "-a ");
	assert_string_equal(next(world), WATCH("22"));
}

static void test_chunks(void **state)
{
	struct world *world = *state;

	assert_string_equal(next(world), FIRST);
	reply(world, 200, LIST("10", "to/k=n", POD("a", "3")));
	expect_log(world, "");
	assert_false(lw_watch_synced(world->watch));
	assert_string_equal(next(world), "limit=500&continue=to%2Fk%3Dn");
	/* Cut: none of it counts, and it begins anew. */
	(void)answer(world, 200, "{\"items\":[" POD("b", "4"));
	end(world, "connection reset");
	expect_log(world, "");
	assert_int_equal(lw_watch_count(world->watch), 0);
	assert_string_equal(next(world), FIRST);
	reply(world, 200, LIST("11", "t", POD("a", "3")));
	assert_string_equal(next(world), "limit=500&continue=t");
	reply(world, 200, LIST("11", "", POD("b", "4")));
	expect_log(world, "+a=3 +b=4 ");
	/* Of the chunks that took too long: a new list, of the present. */
	assert_string_equal(next(world), WATCH("11"));
}

static void test_continue_expired(void **state)
{
	struct world *world = *state;

	(void)next(world);
	reply(world, 200, LIST("10", "t", POD("a", "3")));
	assert_string_equal(next(world), "limit=500&continue=t");
	reply(world, 410,
	      "{\"kind\":\"Status\",\"code\":410,\"message\":\"The provided continue parameter is too old\"}");
	expect_log(world, "");
	assert_string_equal(next(world), "limit=500");
	reply(world, 200, LIST("12", "", POD("b", "4")));
	expect_log(world, "+b=4 ");
}

static void gone_410(struct world *world, bool as_event)
{
	static const char status[] =
		"{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old resource version\"}";

	list_ab(world);
	assert_string_equal(next(world), WATCH("10"));
	if (as_event) {
		char text[512];

		(void)snprintf(text, sizeof(text), EVENT("ERROR", "%s"), status);
		assert_int_not_equal(answer(world, 200, text), 0);
		end(world, NULL);
	} else {
		reply(world, 410, status);
	}
	expect_log(world, ""); /* no gap: all stays until the list is complete */
	assert_int_equal(lw_watch_count(world->watch), 2);
	assert_string_equal(next(world), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
	reply(world, 200, LIST("90", "", POD("a", "3") "," POD("c", "80")));
	expect_log(world, "+c=80 -b "); /* a has not changed */
	assert_string_equal(next(world), WATCH("90"));
}

static void test_410_status(void **state)
{
	gone_410(*state, false);
}

static void test_410_event(void **state)
{
	gone_410(*state, true);
}

/* A server that does not have what was seen (etcd was restored): what it has counts. */
static void test_back_in_time(void **state)
{
	struct world *world = *state;

	list_ab(world);
	(void)next(world);
	reply(world, 410, "{}");
	assert_string_equal(next(world), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
	reply(world, 504,
	      "{\"kind\":\"Status\",\"code\":504,\"message\":\"Timeout: Too large resource version: 10, current: 5\"}");
	assert_string_equal(next(world), "limit=500");
	reply(world, 200, LIST("5", "", POD("a", "2")));
	expect_log(world, "a=2 -b ");
	assert_string_equal(next(world), WATCH("5"));
}

static void test_cut(void **state)
{
	struct world *world = *state;

	list_ab(world);
	(void)next(world);
	assert_int_equal(
		answer(world, 200,
		       EVENT("ADDED",
			     POD("c", "11")) "{\"type\":\"DELETED\",\"object\":{\"metadata\":{\"na"),
		0);
	end(world, "connection reset");
	expect_log(world, "+c=11 ");
	assert_string_equal(lw_watch_error(world->watch), "watch pods: connection reset");
	assert_in_range(wait_ms(world), 1, 1020);
	assert_string_equal(next(world), WATCH("11"));
	assert_int_equal(answer(world, 200, EVENT("DELETED", POD("c", "12"))), 0);
	assert_string_equal(lw_watch_error(world->watch), "");
	expect_log(world, "-c ");
}

/* Nothing happens, and the server sends no bookmarks: that it is silent each time is no failure, and the next does not come later and later. */
static void test_quiet(void **state)
{
	struct world *world = *state;
	uint64_t longest = 0;

	list_ab(world);
	for (int i = 0; i < 10; i++) {
		assert_string_equal(next(world), WATCH("10"));
		assert_int_equal(answer(world, 200, ""), 0);
		world->now += 150 * LW_NS_PER_SEC;
		end(world, "the server was silent for 150 s");
		assert_in_range(wait_ms(world), 0, 1020);
	}
	/* nor has one been well that was refused, however long it took */
	for (int i = 0; i < 30; i++) {
		(void)next(world);
		assert_int_equal(answer(world, 502, ""), 0);
		world->now += 150 * LW_NS_PER_SEC;
		end(world, "the server was silent for 150 s");
		longest = longest > wait_ms(world) ? longest : wait_ms(world);
	}
	assert_true(longest > 15000);
}

/* Garbage is gone on from; if it stays garbage, listed anew. */
static void test_garbage(void **state)
{
	struct world *world = *state;

	list_ab(world);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(next(world), WATCH("10"));
		assert_int_not_equal(answer(world, 200, "{\"type\":\"ADDED\",<html>"), 0);
		end(world, NULL);
		assert_non_null(strstr(lw_watch_error(world->watch), "the answer is bad: no JSON"));
		expect_log(world, "");
	}
	assert_string_equal(next(world), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
	reply(world, 200, "<html>");
	assert_string_equal(next(world), "resourceVersion=10&resourceVersionMatch=NotOlderThan");
	reply(world, 200, LIST("11", "", POD("a", "3")));
	expect_log(world, "-b ");
}

static void test_bad_object(void **state)
{
	struct world *world = *state;

	list_ab(world);
	(void)next(world);
	assert_int_equal(
		answer(world, 200,
		       EVENT("MODIFIED",
			     "{\"metadata\":{\"namespace\":\"shop\",\"name\":\"a\",\"resourceVersion\":\"11\"},\"message\":\"bad\"}")),
		0);
	expect_log(world, "a=11(bad) ");
	assert_int_not_equal(answer(world, 200, EVENT("MODIFIED", "{\"metadata\":{}}")), 0);
	end(world, NULL);
	assert_non_null(strstr(lw_watch_error(world->watch), "an object without a name"));
}

static void test_refused(void **state)
{
	struct world *world = *state;

	for (int i = 0; i < 6; i++) {
		(void)next(world);
		reply(world, 403,
		      "{\"kind\":\"Status\",\"code\":403,\"reason\":\"Forbidden\",\"message\":\"pods is forbidden: User x cannot list resource\"}");
		assert_string_equal(
			lw_watch_error(world->watch),
			"not allowed to list pods: grant the verb \"list\" on resource \"pods\" of API group \"\" (the server says: pods is forbidden: User x cannot list resource)");
	}
	/* It is not asked all the time. */
	assert_in_range(wait_ms(world), LW_WATCH_BACKOFF_MAX_MS / 2 - 1, LW_WATCH_BACKOFF_MAX_MS);
	list_ab(world);
	assert_string_equal(lw_watch_error(world->watch), "");
	(void)next(world);
	reply(world, 401, "Unauthorized");
	assert_non_null(
		strstr(lw_watch_error(world->watch), "does not accept the token or certificate"));
	(void)next(world);
	reply(world, 404, "404 page not found");
	assert_string_equal(lw_watch_error(world->watch),
			    "watch pods: the API server has no such resource in API group \"\"");
}

/* What a proxy says in place of the server is not read for ever: be it no JSON, or a text without an end. */
static void test_long_refusal(void **state)
{
	static const char *const begins[] = { "<html>", "{\"message\":\"", "" };
	struct world *world = *state;
	char piece[4096];

	memset(piece, 'a', sizeof(piece));
	for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
		size_t bytes = 0;
		int r = 0;

		(void)next(world);
		assert_int_equal(answer(world, 502, begins[i]), 0);
		for (; r == 0 && bytes < 1 << 20; bytes += sizeof(piece))
			r = lw_watch_data(world->watch, piece, sizeof(piece));
		assert_int_not_equal(r, 0);
		assert_in_range(bytes, 64 << 10, 80 << 10);
		end(world, NULL);
		assert_non_null(strstr(lw_watch_error(world->watch),
				       "the API server answers 502: no reason given"));
	}
	/* a Status behind it counts as ever */
	(void)next(world);
	reply(world, 500, "{\"kind\":\"Status\",\"code\":500,\"message\":\"etcd is away\"}");
	assert_non_null(
		strstr(lw_watch_error(world->watch), "the API server answers 500: etcd is away"));
}

static void test_backoff(void **state)
{
	struct world *world = *state;
	uint64_t longest = 0;

	for (int round = 0; round < 60; round++) {
		uint64_t limit = round < 5 ? 1000u << round : LW_WATCH_BACKOFF_MAX_MS;

		(void)next(world);
		end(world, "Connection refused");
		assert_in_range(wait_ms(world), 19, limit + 20);
		longest = longest > wait_ms(world) ? longest : wait_ms(world);
	}
	assert_true(longest > 15000);
	/* Another has reached the server. */
	(void)next(world);
	end(world, "Connection refused");
	lw_watch_hurry(world->watch, world->now);
	assert_in_range(wait_ms(world), 0, 1020);
	/* The server's wish counts. */
	(void)next(world);
	(void)answer(world, 429, "{}");
	lw_watch_end(world->watch, world->now, NULL, 60);
	assert_true(wait_ms(world) >= 60000);
	/* A server that ends every watch at once is not asked without a pause. */
	list_ab(world);
	for (int i = 0; i < 3; i++) {
		(void)next(world);
		reply(world, 200, "");
		assert_true(wait_ms(world) > 0);
	}
}

static void test_forget(void **state)
{
	struct world *world = *state;

	list_ab(world);
	lw_watch_free(&world->watch, true);
	assert_true(strcmp(world->log, "-a -b ") == 0 || strcmp(world->log, "-b -a ") == 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(story),	  TEST(chunks),	   TEST(continue_expired),
		TEST(410_status), TEST(410_event), TEST(back_in_time),
		TEST(cut),	  TEST(quiet),	   TEST(garbage),
		TEST(bad_object), TEST(refused),   TEST(long_refusal),
		TEST(backoff),	  TEST(forget),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
