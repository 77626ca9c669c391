/* SPDX-License-Identifier: Apache-2.0 */
#include "twin.h"

#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/image.h"
#include "core/state_build.h"
#include "daemon/listing_json.h"

struct lw_twin {
	const struct lw_model *model;
	struct lw_state_builder *builders[2];
	struct lw_image *images[2];
	char *findings[2];
	size_t findings_len[2];
	char text[1024];
};

struct lw_twin *lw_twin_new(const struct lw_model *model, bool enrol_ahead)
{
	struct lw_twin *twin = calloc(1, sizeof(*twin));

	if (!twin)
		abort();
	twin->model = model;
	for (size_t i = 0; i < 2; i++) {
		static const char *const untrusted[] = { "default/app=app-1", "default/app=app-4",
							 "default/web=app-3", NULL };
		const struct lw_state_options options = {
			.node = "node-1",
			.from_nothing = i == 1,
			.untrusted = untrusted,
			.baggage = true,
			.enrol_ahead = enrol_ahead,
		};

		if (lw_state_builder_new(&options, &twin->builders[i]) < 0)
			abort();
	}
	return twin;
}

void lw_twin_free(struct lw_twin *twin)
{
	for (size_t i = 0; i < 2; i++) {
		lw_image_free(&twin->images[i]);
		lw_state_builder_free(&twin->builders[i]);
		free(twin->findings[i]);
	}
	free(twin);
}

static void on_finding(const struct lw_finding *finding, void *arg)
{
	if (!*finding->text || strchr(finding->text, '\n'))
		abort(); /* a finding is one line */
	(void)fprintf(arg, "%d %s\n", finding->severity, finding->text);
}

static void hex(const void *data, size_t len, char text[97])
{
	for (size_t i = 0; i < len && i < 48; i++)
		(void)snprintf(text + 2 * i, 3, "%02x", ((const unsigned char *)data)[i]);
}

static const char *compare_images(struct lw_twin *twin)
{
	for (enum lw_table_id t = 0; t < LW_TABLE__MAX; t++) {
		const struct lw_table_info *info = &lw_tables[t];
		char is[97] = "", want[97] = "";
		size_t n = lw_image_rows(twin->images[0], t), m = lw_image_rows(twin->images[1], t);

		for (size_t row = 0; row < n && row < m; row++) {
			bool key =
				memcmp(lw_image_key(twin->images[0], t, row),
				       lw_image_key(twin->images[1], t, row), info->key_size) != 0;

			if (!key &&
			    memcmp(lw_image_value(twin->images[0], t, row),
				   lw_image_value(twin->images[1], t, row), info->value_size) == 0)
				continue;
			if (key) {
				hex(lw_image_key(twin->images[0], t, row), info->key_size, is);
				hex(lw_image_key(twin->images[1], t, row), info->key_size, want);
			} else {
				hex(lw_image_value(twin->images[0], t, row), info->value_size, is);
				hex(lw_image_value(twin->images[1], t, row), info->value_size,
				    want);
			}
			(void)snprintf(twin->text, sizeof(twin->text),
				       "%s: %s of row %zu of %zu is %s, not %s", info->name,
				       key ? "the key" : "the value", row, n, is, want);
			return twin->text;
		}
		if (n != m) {
			(void)snprintf(twin->text, sizeof(twin->text), "%s: %zu rows, not %zu",
				       info->name, n, m);
			return twin->text;
		}
	}
	return NULL;
}

static struct json_object *list(struct lw_state_builder *builder)
{
	struct json_object *all = json_object_new_object(), *part;
	struct lw_listing *listing = NULL;

	if (lw_state_list(builder, &listing) < 0)
		abort();
	part = json_object_new_object();
	lw_listing_json_lanes(listing, part);
	json_object_object_add(all, "lanes", part);
	part = json_object_new_object();
	lw_listing_json_endpoints(listing, part);
	json_object_object_add(all, "endpoints", part);
	lw_listing_free(&listing);
	return all;
}

static const char *compare_listings(struct lw_twin *twin)
{
	struct json_object *a = list(twin->builders[0]), *b = list(twin->builders[1]);
	const char *x = json_object_to_json_string(a), *y = json_object_to_json_string(b),
		   *ret = NULL;

	if (strcmp(x, y) != 0) {
		size_t at = 0, from;

		while (x[at] == y[at])
			at++;
		from = at > 100 ? at - 100 : 0;
		(void)snprintf(twin->text, sizeof(twin->text), "listing: '%.200s', not '%.200s'",
			       x + from, y + from);
		ret = twin->text;
	}
	json_object_put(a);
	json_object_put(b);
	return ret;
}

const char *lw_twin_build(struct lw_twin *twin, bool listing, bool *ret_followed)
{
	const char *ret;

	for (size_t i = 0; i < 2; i++) {
		FILE *f;

		free(twin->findings[i]);
		f = open_memstream(&twin->findings[i], &twin->findings_len[i]);
		lw_image_free(&twin->images[i]);
		if (!f ||
		    lw_state_build(twin->builders[i], twin->model, on_finding, f,
				   &twin->images[i]) < 0 ||
		    fclose(f) != 0)
			abort();
	}
	if (ret_followed)
		*ret_followed = lw_state_has_followed(twin->builders[0]);
	ret = compare_images(twin);
	if (!ret && strcmp(twin->findings[0], twin->findings[1]) != 0) {
		(void)snprintf(twin->text, sizeof(twin->text), "findings: '%.400s', not '%.400s'",
			       twin->findings[0], twin->findings[1]);
		ret = twin->text;
	}
	return ret || !listing ? ret : compare_listings(twin);
}

const struct lw_image *lw_twin_image(const struct lw_twin *twin)
{
	return twin->images[0];
}
