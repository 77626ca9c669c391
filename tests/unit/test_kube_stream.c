/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The streaming parser: every cut of the text, what is kept of an object and what is not, and bad text.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "kube/stream.h"

#define POD                                                                                                                                     \
	"{\"metadata\":{\"name\":\"p\",\"namespace\":\"shop\",\"resourceVersion\":\"7\",\"managedFields\":[{\"a\":[1,{}]}],"                    \
	"\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":\"{\\\"x\\\":1}\","                                              \
	"\"rollouts.kruise.io/hash\":\"h\"},\"labels\":{\"app\":\"a\\u00e9\\ud83d\\ude00\",\"n\\u006f\":\"\"},\"unknown\":{\"deep\":[[[1]]]}}," \
	"\"spec\":{\"nodeName\":\"n1\",\"volumes\":[{\"name\":\"v\"}],\"containers\":[{\"name\":\"c\",\"image\":\"i\","                         \
	"\"ports\":[{\"containerPort\":80,\"name\":\"http\",\"hostIP\":null}],\"env\":[]}]},"                                                   \
	"\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\",\"lastProbeTime\":null}],"                   \
	"\"podIP\":\"10.0.0.1\",\"containerStatuses\":[{\"imageID\":\"x\"}]}}"
#define POD_KEPT                                                                                                               \
	"{\"metadata\":{\"name\":\"p\",\"namespace\":\"shop\",\"resourceVersion\":\"7\","                                      \
	"\"annotations\":{\"rollouts.kruise.io/hash\":\"h\"},\"labels\":{\"app\":\"a\xc3\xa9\xf0\x9f\x98\x80\",\"no\":\"\"}}," \
	"\"spec\":{\"nodeName\":\"n1\",\"containers\":[{\"ports\":[{\"containerPort\":80,\"name\":\"http\"}]}]},"              \
	"\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"True\"}],\"podIP\":\"10.0.0.1\"}}"

#define LIST                                                                                                         \
	"{\"kind\":\"PodList\",\"apiVersion\":\"v1\",\"metadata\":{\"resourceVersion\":\"42\",\"continue\":\"c/1\"," \
	"\"remainingItemCount\":3},\"items\":[" POD ",\n " POD "]}"
#define WATCH                                                                                                                         \
	"{\"type\":\"ADDED\",\"object\":" POD "}\n{\"object\":" POD ",\"type\":\"MODIFIED\"}\n"                                       \
	"{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\",\"creationTimestamp\":null}}}\n" \
	"{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\",\"status\":\"Failure\",\"metadata\":{}}}\n"

struct seen {
	char text[16384];
	size_t n;
	int answer;
};

static int on_object(const char *type, struct json_object *object, void *arg)
{
	struct seen *seen = arg;

	seen->n++;
	(void)strcat(seen->text, type);
	(void)strcat(seen->text,
		     json_object_to_json_string_ext(
			     object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	(void)strcat(seen->text, "|");
	return seen->answer;
}

/* What comes of a text that arrives in two pieces; the end included. */
static int read_in_two(enum lw_stream_mode mode, const char *text, size_t len, size_t cut,
		       struct seen *seen)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = NULL;
	int r;

	*seen = (struct seen){};
	assert_int_equal(lw_stream_new(mode, on_object, seen, &stream), 0);
	r = lw_stream_feed(stream, text, cut);
	if (r == 0)
		r = lw_stream_feed(stream, text + cut, len - cut);
	return r ? r : lw_stream_end(stream);
}

static void at_every_cut(enum lw_stream_mode mode, const char *text, const char *expected)
{
	static struct seen seen;
	size_t len = strlen(text);

	for (size_t cut = 0; cut <= len; cut++) {
		assert_int_equal(read_in_two(mode, text, len, cut, &seen), 0);
		assert_string_equal(seen.text, expected);
	}
}

static void test_cuts(void **state)
{
	(void)state;
	at_every_cut(LW_STREAM_LIST, LIST, POD_KEPT "|" POD_KEPT "|");
	at_every_cut(
		LW_STREAM_WATCH, WATCH,
		"ADDED" POD_KEPT "|MODIFIED" POD_KEPT "|"
		"BOOKMARK{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\"}}|"
		"ERROR{\"kind\":\"Status\",\"code\":410,\"reason\":\"Expired\",\"message\":\"too old\",\"status\":\"Failure\",\"metadata\":{}}|");
	at_every_cut(
		LW_STREAM_DOCUMENT,
		"{\"kind\":\"APIGroup\",\"name\":\"x\",\"versions\":[{\"groupVersion\":\"x/v1\",\"version\":\"v1\"}],\"code\":-12.5e1}",
		"{\"kind\":\"APIGroup\",\"versions\":[{\"version\":\"v1\"}],\"code\":-125.0}|");
}

/* Whatever conf/objects.c reads of a kind is kept: what is missing here passes for not told there. */
static void test_all_that_is_read(void **state)
{
	static const char *const objects[] = {
		"{\"spec\":{\"type\":\"ClusterIP\",\"sessionAffinity\":\"ClientIP\",\"selector\":{\"app\":\"web\"},"
		"\"clusterIP\":\"10.0.0.1\",\"clusterIPs\":[\"10.0.0.1\"],"
		"\"ports\":[{\"name\":\"http\",\"port\":80,\"protocol\":\"TCP\",\"targetPort\":\"http\"}]}}",
		"{\"metadata\":{\"name\":\"p\",\"namespace\":\"n\",\"uid\":\"u\",\"generation\":1,"
		"\"deletionTimestamp\":\"2026-11-22T09:00:00Z\",\"labels\":{\"app\":\"web\"},"
		"\"annotations\":{\"laneway.io/keep-out\":\"true\"},\"finalizers\":[\"f\"],"
		"\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"r\",\"uid\":\"u\",\"controller\":true}]},"
		"\"spec\":{\"nodeName\":\"n1\",\"hostNetwork\":true,"
		"\"initContainers\":[{\"restartPolicy\":\"Always\",\"ports\":[{\"name\":\"h\",\"containerPort\":80,\"protocol\":\"TCP\"}]}]},"
		"\"status\":{\"podIPs\":[{\"ip\":\"10.0.0.1\"}]}}",
		"{\"spec\":{\"replicas\":3,\"selector\":{\"matchLabels\":{\"app\":\"web\"}}}}",
		"{\"spec\":{\"workloadRef\":{\"name\":\"w\"},\"objectRef\":[{\"service\":\"s\"}],\"strategy\":{\"canary\":{\"steps\":[{\"matches\":[]}]}}},"
		"\"status\":{\"observedGeneration\":2,\"phase\":\"Progressing\","
		"\"conditions\":[{\"type\":\"Progressing\",\"status\":\"True\",\"reason\":\"InRolling\"}],"
		"\"canaryStatus\":{\"currentStepIndex\":1},\"blueGreenStatus\":{\"currentStepIndex\":1}}}",
	};
	char text[2048], expected[2048];

	(void)state;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		(void)snprintf(text, sizeof(text), "{\"type\":\"ADDED\",\"object\":%s}",
			       objects[i]);
		(void)snprintf(expected, sizeof(expected), "ADDED%s|", objects[i]);
		at_every_cut(LW_STREAM_WATCH, text, expected);
	}
}

static void test_list_meta(void **state)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = NULL;
	static struct seen seen;

	(void)state;
	assert_int_equal(lw_stream_new(LW_STREAM_LIST, on_object, &seen, &stream), 0);
	assert_string_equal(lw_stream_resource_version(stream), "");
	assert_int_equal(lw_stream_feed(stream, LIST, strlen(LIST)), 0);
	assert_string_equal(lw_stream_resource_version(stream), "42");
	assert_string_equal(lw_stream_continue(stream), "c/1");
}

/* Items before the metadata, none at all, and null for none, as Go writes it. */
static void test_odd_lists(void **state)
{
	(void)state;
	at_every_cut(LW_STREAM_LIST,
		     "{\"items\":[{\"kind\":\"Pod\"}],\"metadata\":{\"resourceVersion\":\"1\"}}",
		     "{\"kind\":\"Pod\"}|");
	at_every_cut(LW_STREAM_LIST, "{\"metadata\":{},\"items\":[]}", "");
	at_every_cut(LW_STREAM_LIST, "{\"metadata\":null,\"items\":null}", "");
	/* Also below a field that is kept. */
	at_every_cut(
		LW_STREAM_LIST,
		"{\"items\":[{\"metadata\":{\"finalizers\":[\"a\",null,[1,true]],\"labels\":null}}]}",
		"{\"metadata\":{\"finalizers\":[\"a\",null,[1,true]],\"labels\":null}}|");
}

/* Every text that is cut short is an error at the end, and none before. */
static void test_truncated(void **state)
{
	static struct seen seen;

	(void)state;
	for (size_t len = 0; len < strlen(LIST); len++)
		assert_int_equal(read_in_two(LW_STREAM_LIST, LIST, len, len / 2, &seen), -EBADMSG);
	assert_int_equal(read_in_two(LW_STREAM_WATCH, "", 0, 0, &seen), 0);
	for (size_t len = 1; len < strlen(WATCH); len++)
		assert_int_equal(read_in_two(LW_STREAM_WATCH, WATCH, len, len / 2, &seen),
				 WATCH[len - 1] == '\n' || WATCH[len] == '\n' ? 0 : -EBADMSG);
}

static void test_garbage(void **state)
{
	static const struct {
		enum lw_stream_mode mode;
		const char *text;
	} bad[] = {
		{ LW_STREAM_LIST, "<html>502</html>" },
		{ LW_STREAM_LIST, "[]" },
		{ LW_STREAM_LIST, "12" },
		{ LW_STREAM_LIST, "\"items\"" },
		{ LW_STREAM_LIST, "{\"items\":[1]}" },
		{ LW_STREAM_LIST, "{\"items\":[[]]}" },
		{ LW_STREAM_LIST, "{\"items\":[null]}" },
		{ LW_STREAM_LIST, "{\"items\":[]}{\"items\":[]}" },
		{ LW_STREAM_LIST, "{\"items\":[{\"kind\":\"\xff\"}]}" },
		{ LW_STREAM_LIST,
		  "{\"items\":[{\"kind\":1234567890123456789012345678901234567890123456789012345678901234567890}]}" },
		{ LW_STREAM_WATCH, "{\"type\":\"ADDED\"}" },
		{ LW_STREAM_WATCH, "{\"type\":\"ADDED\",\"object\":1}" },
		{ LW_STREAM_WATCH, "{\"type\":\"ADDED\",\"object\":{}}x" },
		{ LW_STREAM_WATCH, "null" },
		{ LW_STREAM_WATCH, "{'type':1}" },
	};
	static struct seen seen;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		size_t len = strlen(bad[i].text);

		for (size_t cut = 0; cut <= len; cut++)
			assert_int_equal(read_in_two(bad[i].mode, bad[i].text, len, cut, &seen),
					 -EBADMSG);
	}
}

static void test_depth(void **state)
{
	char text[4096] = "{\"items\":[{\"metadata\":{\"labels\":";
	static struct seen seen;
	size_t len = strlen(text);

	(void)state;
	memset(text + len, '[', 100);
	assert_int_equal(read_in_two(LW_STREAM_LIST, text, strlen(text), 0, &seen), -EBADMSG);
	/* Not kept: deeper is all right, but not without end. */
	(void)strcpy(text, "{\"items\":[{\"more\":");
	len = strlen(text);
	memset(text + len, '[', 900);
	memset(text + len + 900, ']', 900);
	(void)strcpy(text + len + 1800, "}]}");
	assert_int_equal(read_in_two(LW_STREAM_LIST, text, strlen(text), 1000, &seen), 0);
	memset(text + len, '[', 1800);
	assert_int_equal(read_in_two(LW_STREAM_LIST, text, strlen(text), 1000, &seen), -EBADMSG);
}

static int feed(struct lw_stream *stream, const char *text)
{
	return lw_stream_feed(stream, text, strlen(text));
}

/* Objects of 1 MB, the bulk in a field that is not read: memory does not follow. */
static void test_large(void **state)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = NULL;
	_cleanup_free_ char *blob = malloc(16001);
	static struct seen seen;

	(void)state;
	seen = (struct seen){};
	memset(blob, 'x', 16000);
	blob[16000] = '\0';
	assert_int_equal(lw_stream_new(LW_STREAM_WATCH, on_object, &seen, &stream), 0);
	for (size_t n = 0; n < 20; n++) {
		assert_int_equal(
			feed(stream,
			     "{\"type\":\"ADDED\",\"object\":{\"kind\":\"Pod\",\"blob\":\""),
			0);
		for (size_t i = 0; i < 63; i++)
			assert_int_equal(feed(stream, blob), 0);
		/* The object's end and the next one's beginning in one piece, behind which the parser is made anew. */
		assert_int_equal(
			feed(stream,
			     "\"}}{\"type\":\"DELETED\",\"object\":{\"kind\":\"Pod\"}}\n{\"ty"),
			0);
		assert_int_equal(feed(stream, "pe\":\"ADDED\",\"object\":{}}"), 0);
		assert_int_equal(seen.n, 3 * (n + 1));
	}
	assert_int_equal(lw_stream_end(stream), 0);
	assert_int_equal(strncmp(seen.text,
				 "ADDED{\"kind\":\"Pod\"}|DELETED{\"kind\":\"Pod\"}|ADDED{}|", 48),
			 0);
}

/* A string without an end is not kept for ever. */
static void test_endless(void **state)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = NULL;
	static char blob[65537];
	static struct seen seen;
	size_t fed = 0;
	int r = 0;

	(void)state;
	memset(blob, 'x', sizeof(blob) - 1);
	assert_int_equal(lw_stream_new(LW_STREAM_WATCH, on_object, &seen, &stream), 0);
	assert_int_equal(feed(stream, "{\"type\":\""), 0);
	for (; r == 0 && fed < 2 * LW_STREAM_OBJECT_MAX; fed += sizeof(blob) - 1)
		r = feed(stream, blob);
	assert_int_equal(r, -EBADMSG);
	assert_string_equal(lw_stream_error(stream), "an object of more than 4 MiB");
}

static void test_callback_ends(void **state)
{
	_cleanup_(lw_stream_free) struct lw_stream *stream = NULL;
	static struct seen seen;

	(void)state;
	seen = (struct seen){ .answer = 1 };
	assert_int_equal(lw_stream_new(LW_STREAM_WATCH, on_object, &seen, &stream), 0);
	assert_int_equal(lw_stream_feed(stream, WATCH, strlen(WATCH)), 1);
	assert_int_equal(seen.n, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cuts),	      cmocka_unit_test(test_list_meta),
		cmocka_unit_test(test_odd_lists),     cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_garbage),	      cmocka_unit_test(test_depth),
		cmocka_unit_test(test_large),	      cmocka_unit_test(test_endless),
		cmocka_unit_test(test_callback_ends), cmocka_unit_test(test_all_that_is_read),
	};

	return !!cmocka_run_group_tests(tests, NULL, NULL);
}
