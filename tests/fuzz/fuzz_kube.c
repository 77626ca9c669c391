/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as what an API server answers. The first byte says in what pieces they come, the second which status the
 * answer has; it is a list's answer, and what is behind a line "WATCH" is the answer to the watch that follows. Objects are
 * read and kept in a model. Nothing may crash or leak, an error is one line, and the set is what the callbacks said.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "conf/objects.h"
#include "core/model.h"
#include "kube/watch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct world {
	struct lw_model *model;
	struct lw_k8s_object *object;
	size_t count;
};

static void require(bool holds)
{
	if (!holds)
		abort();
}

static int on_object(struct lw_k8s_object *object, void *arg)
{
	struct world *world = arg;

	lw_k8s_object_free(&world->object);
	world->object = object;
	return 0;
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	(void)arg;
	require(*finding->text && !strchr(finding->text, '\n'));
}

static void *build(struct json_object *tree, void *arg)
{
	const struct lw_objects_reader reader = {
		.file = "fuzz", .finding = on_finding, .object = on_object, .arg = arg
	};
	struct world *world = arg;
	struct lw_k8s_object *object;

	(void)lw_objects_read(&reader, tree, 0);
	object = world->object;
	world->object = NULL;
	return object;
}

static void apply(const char *ns, const char *name, uint64_t version, bool first, void *built,
		  void *arg)
{
	struct world *world = arg;

	(void)ns;
	(void)version;
	require(*name);
	world->count += first;
	if (built)
		(void)lw_model_upsert(world->model, built);
}

static void gone(const char *ns, const char *name, void *arg)
{
	struct world *world = arg;

	require(world->count-- > 0);
	(void)lw_model_remove(world->model, LW_K8S_POD, *ns ? ns : "default", name);
}

static void drop(void *built, void *arg)
{
	struct lw_k8s_object *object = built;

	(void)arg;
	lw_k8s_object_free(&object);
}

static void answer(struct lw_watch *watch, long status, size_t piece, const char *data, size_t size)
{
	unsigned int expire_s;
	char *target;
	int r = 0;

	require(lw_watch_begin(watch, lw_clock_ns(), &target, &expire_s) == 0);
	free(target);
	require(lw_watch_head(watch, status) == 0);
	for (size_t i = 0; r == 0 && i < size; i += piece)
		r = lw_watch_data(watch, data + i, size - i < piece ? size - i : piece);
	lw_watch_end(watch, lw_clock_ns(), NULL, 0);
	require(!strchr(lw_watch_error(watch), '\n') || status != 200);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const long statuses[] = { 200, 200, 200, 410, 403, 504 };
	struct world world = {};
	struct lw_watch *watch;
	const char *text = (const char *)data + 2, *second;
	size_t len, piece;

	if (size < 2)
		return 0;
	len = size - 2;
	piece = (size_t)data[0] + 1;
	require(lw_model_new(&world.model) == 0);
	require(lw_watch_new(&(struct lw_watch_options){ .path = "/api/v1/pods",
							 .api_version = "v1",
							 .kind = "Pod",
							 .callbacks = { build, apply, gone, drop,
									&world } },
			     &watch) == 0);
	second = memmem(text, len, "\nWATCH\n", 7);
	answer(watch, statuses[data[1] % 6], piece, text, second ? (size_t)(second - text) : len);
	if (second)
		answer(watch, statuses[data[1] / 6 % 6], piece, second + 7,
		       len - (size_t)(second + 7 - text));
	if (lw_watch_synced(watch))
		require(lw_watch_count(watch) == world.count);
	lw_watch_free(&watch, true);
	require(world.count == 0);
	lw_model_free(&world.model);
	return 0;
}
