/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket from both ends. First byte 'q': the rest is a request, and the answer must be one line of JSON with
 * either "data" or "error". Else the rest is what an agent answers, true or not: it is shown as every command would show it.
 * Nothing may crash or leak, and metrics stay lines that a scraper takes.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/clock.h"
#include "core/image.h"
#include "core/listing.h"
#include "daemon/findings.h"
#include "daemon/json.h"
#include "daemon/metrics.h"
#include "daemon/query.h"
#include "daemon/seen.h"
#include "daemon/show.h"
#include "daemon/source.h"
#include "../harness/fake_kern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- what the kernel side has learned, and a source ---- */

int lw_learned_trace(const struct lw_kern *kern, const struct lw_trace_key *key,
		     struct lw_trace *ret)
{
	(void)kern;
	*ret = (struct lw_trace){ .lane = (unsigned char)key->id[0] % (LW_IN_UNKNOWN + 1) };
	return key->id[1] & 1 ? -ENOENT : 0;
}

bool lw_source_ready(const struct lw_source *source)
{
	(void)source;
	return true;
}

bool lw_source_settled(const struct lw_source *source)
{
	(void)source;
	return true;
}

void lw_source_json(const struct lw_source *source, struct json_object *o)
{
	(void)source;
	lw_json_add_str(o, "path", "state");
}

/* ---- the agent's end ---- */

static struct lw_image *the_image(void)
{
	static struct lw_image *image;
	struct lw_slot_key key = { .id = 1 };
	struct lw_lane lane = { .name = "gray" };
	struct lw_workload workload = { .name = "shop/Deployment/web" };
	struct lw_dest_key dest_key = { .port = 80 };
	struct lw_dest dest = { .workload = 1, .group = 1 };

	if (image)
		return image;
	require(lw_addr_parse("10.0.0.1", &dest_key.addr) == 0);
	require(lw_image_new(&image) == 0 &&
		lw_image_put(image, LW_TABLE_LANES, &key, &lane) == 0 &&
		lw_image_put(image, LW_TABLE_WORKLOADS, &key, &workload) == 0 &&
		lw_image_put(image, LW_TABLE_DESTS, &dest_key, &dest) == 0 &&
		lw_image_seal(image) == 0);
	return image;
}

static void ask(const char *request)
{
	static struct lw_kern kern = { .mode = LW_KERN_MODE_MSG, .generation = 4, .flows = 1 };
	static struct lw_listing listing;
	static struct lw_findings findings;
	static struct lw_seen seen;
	const struct lw_query query = {
		.kern = &kern,
		.image = the_image(),
		.listing = &listing,
		.seen = &seen,
		.started_ns = lw_clock_ns(),
		.source_findings = &findings,
		.build_findings = &findings,
		.node_findings = &findings,
	};
	_cleanup_free_ char *reply = lw_query_answer(&query, request);
	_cleanup_json_ struct json_object *parsed = NULL;

	free(lw_query_ping(request));
	require(reply && !strchr(reply, '\n'));
	parsed = json_tokener_parse(reply);
	require(parsed && json_object_is_type(parsed, json_type_object));
	require(!lw_json_get(parsed, "data") != !lw_json_get(parsed, "error"));
}

/* ---- a client's end ---- */

static void show(struct json_object *answer)
{
	static void (*const shows[])(struct json_object *) = { lw_show_status,	  lw_show_lanes,
							       lw_show_endpoints, lw_show_flows,
							       lw_show_stats,	  lw_show_explain,
							       lw_show_json };
	FILE *out = stdout;
	char *text = NULL;
	size_t size;

	for (size_t i = 0; i < sizeof(shows) / sizeof(shows[0]); i++) {
		stdout = open_memstream(&text, &size);
		require(stdout);
		shows[i](answer);
		(void)fclose(stdout);
		/* a terminal obeys what begins so; JSON writes it out as an escape */
		require(!memchr(text, 0x1b, size));
		free(text);
	}
	stdout = out;
}

static void scrape(struct json_object *answer)
{
	_cleanup_free_ char *text = lw_metrics_text(answer, answer);
	char *save = NULL;

	require(text);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *end = strrchr(line, ' ');

		if (*line == '#')
			continue;
		require(strncmp(line, "laneway_", 8) == 0 && end &&
			(isdigit((unsigned char)end[1]) || end[1] == '-'));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_json_ struct json_object *answer = NULL;
	_cleanup_free_ char *text = NULL;

	if (!size)
		return 0;
	text = strndup((const char *)data + 1, size - 1);
	require(text);
	if (data[0] == 'q') {
		ask(text);
		return 0;
	}
	answer = json_tokener_parse(text);
	if (answer) {
		show(answer);
		scrape(answer);
	}
	return 0;
}
