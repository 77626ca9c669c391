/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/show_trace.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/json.h"
#include "daemon/show.h"

static const struct {
	const char *title;
	int width; /* to begin with */
} columns[LW_SHOW_TRACE_COLUMNS] = {
	{ "TIME", 12 },	    { "CLIENT", 24 }, { "ASKED FOR", 21 }, { "POD", 24 },    { "LANE", 4 },
	{ "EVIDENCE", 15 }, { "REASON", 10 }, { "TRACE", 5 },	   { "REQUEST", 0 },
};

static void print_row(struct lw_show_trace *show, const char *const cells[LW_SHOW_TRACE_COLUMNS])
{
	for (int i = 0; i < LW_SHOW_TRACE_COLUMNS; i++) {
		/* names of objects come from elsewhere */
		_cleanup_free_ char *cell = strdup(cells[i]);
		int len;

		if (!cell)
			continue;
		lw_str_make_plain(cell);
		len = (int)strlen(cell);
		if (len > show->widths[i])
			show->widths[i] = len;
		if (i + 1 < LW_SHOW_TRACE_COLUMNS)
			(void)printf("%-*s  ", show->widths[i], cell);
		else
			(void)puts(cell);
	}
}

void lw_show_trace_begin(struct lw_show_trace *show)
{
	const char *titles[LW_SHOW_TRACE_COLUMNS];

	for (int i = 0; i < LW_SHOW_TRACE_COLUMNS; i++) {
		titles[i] = columns[i].title;
		if (show->widths[i] < columns[i].width)
			show->widths[i] = columns[i].width;
	}
	print_row(show, titles);
	show->begun = true;
}

/* "2026-11-24T16:03:12.345678Z" as "17:03:12.345" of here. */
static const char *local_time(const char *s, char *buf, size_t size)
{
	struct tm tm = {}, here;
	const char *rest = strptime(s, "%Y-%m-%dT%H:%M:%S", &tm);
	time_t at;

	if (!rest)
		return s;
	at = timegm(&tm);
	(void)localtime_r(&at, &here);
	(void)snprintf(buf, size, "%02d:%02d:%02d%.4s", here.tm_hour, here.tm_min, here.tm_sec,
		       rest);
	return buf;
}

/* A pod's name where it is known, else the address. */
static const char *name_of(struct json_object *hop, const char *pod, const char *address)
{
	const char *name = lw_json_str(hop, pod);

	if (!*name)
		name = lw_json_str(hop, address);
	return *name ? name : "-";
}

void lw_show_trace_hop(struct lw_show_trace *show, struct json_object *hop)
{
	char request[256], trace[256], evidence[LW_SHOW_EVIDENCE_LEN], at[32];
	const char *id = lw_json_str(hop, "trace_id");
	const char *cells[LW_SHOW_TRACE_COLUMNS] = {
		local_time(lw_json_str(hop, "time"), at, sizeof(at)),
		name_of(hop, "client_pod", "client"),
		lw_json_str(hop, "asked"),
		name_of(hop, "pod", "endpoint"),
		lw_json_str(hop, "lane"),
		lw_show_evidence(hop, evidence),
		lw_json_str(hop, "reason"),
		trace,
		request,
	};

	(void)snprintf(trace, sizeof(trace), "%s%s", *id ? id : "-",
		       lw_json_bool(hop, "trace_id_cut") ? "..." : "");
	(void)snprintf(request, sizeof(request), "%s %s%s", lw_json_str(hop, "method"),
		       lw_json_str(hop, "path"), lw_json_bool(hop, "path_cut") ? "..." : "");
	if (!show->begun)
		lw_show_trace_begin(show);
	print_row(show, cells);
}
