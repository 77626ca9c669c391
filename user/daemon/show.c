/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/show.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/grid.h"
#include "base/str.h"
#include "daemon/json.h"

/* Columns that fit beside three others. */
#define EVIDENCE_MAX (LW_GRID_COLUMNS - 3)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))
#define _cleanup_grid_ _cleanup_(lw_grid_free)

static const char *or_dash(const char *s)
{
	return *s ? s : "-";
}

static struct lw_grid *new_grid(const char *const *titles, size_t count)
{
	struct lw_grid *grid = NULL;

	if (lw_grid_new(titles, count, &grid) < 0)
		(void)fprintf(stderr, "laneway: out of memory\n");
	return grid;
}

static void print_grid(const struct lw_grid *grid)
{
	if (lw_grid_print(grid, stdout) < 0)
		(void)fprintf(stderr, "laneway: out of memory\n");
}

/* "250 ms", "12 s", "3 min", "5 h", "2 d" */
static const char *format_age(int64_t ms, char *buf, size_t size)
{
	static const struct {
		int64_t from_ms, unit_ms;
		const char *name;
	} units[] = {
		{ 2 * 86400000LL, 86400000, "d" },
		{ 2 * 3600000LL, 3600000, "h" },
		{ 2 * 60000LL, 60000, "min" },
		{ 1000, 1000, "s" },
		{ 0, 1, "ms" },
	};

	for (size_t i = 0; i < COUNT(units); i++) {
		if (ms >= units[i].from_ms) {
			(void)snprintf(buf, size, "%" PRId64 " %s", ms / units[i].unit_ms,
				       units[i].name);
			return buf;
		}
	}
	(void)lw_str_copy(buf, size, "0 ms");
	return buf;
}

static const char *join(struct json_object *array, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < lw_json_len(array) && at < size; i++)
		at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? "," : "",
				       json_object_get_string(lw_json_at(array, i)));
	return or_dash(buf);
}

/* What came from elsewhere, on one line and harmless to a terminal. */
static void print_plain(const char *s)
{
	while (*s) {
		size_t len = lw_str_shown_len(s);

		if (len == 0) {
			(void)putchar('?');
			s++;
			continue;
		}
		(void)fwrite(s, 1, len, stdout);
		s += len;
	}
}

/* printf(), and whatever is in what it prints is harmless to a terminal. */
__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list args;
	char *save = NULL;

	va_start(args, format);
	if (vasprintf(&text, format, args) < 0)
		text = NULL;
	va_end(args);
	for (char *line = text; line; line = save) {
		save = strchr(line, '\n');
		if (save)
			*save++ = '\0';
		print_plain(line);
		if (save)
			(void)putchar('\n');
	}
}

void lw_show_json(struct json_object *data)
{
	(void)puts(json_object_to_json_string_ext(data, JSON_C_TO_STRING_PRETTY |
								JSON_C_TO_STRING_NOSLASHESCAPE |
								JSON_C_TO_STRING_SPACED));
}

void lw_show_findings(struct json_object *o, const char *indent)
{
	struct json_object *findings = lw_json_get(o, "findings");
	int64_t more = lw_json_int(o, "findings_truncated");

	for (size_t i = 0; i < lw_json_len(findings); i++) {
		struct json_object *f = lw_json_at(findings, i);

		say("%s%s: ", indent, lw_json_str(f, "severity"));
		print_plain(lw_json_str(f, "text"));
		(void)putchar('\n');
	}
	if (more > 0)
		say("%sand %" PRId64 " more\n", indent, more);
}

static void show_counts(struct json_object *counts)
{
	bool first = true;

	if (!json_object_is_type(counts, json_type_object))
		return;
	say("counts    ");
	json_object_object_foreach(counts, key, value) {
		say("%s%s %" PRId64, first ? " " : ", ", key, json_object_get_int64(value));
		first = false;
	}
	(void)putchar('\n');
}

/* "watching  12  /api/v1/namespaces/shop/pods  app=a" */
static void show_watches(struct json_object *watches)
{
	static const char *const titles[] = { "STATE", ">OBJECTS", "WATCH", "SELECTOR", "ERROR" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));

	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(watches); i++) {
		struct json_object *w = lw_json_at(watches, i);

		lw_grid_cell(grid, "%s", lw_json_str(w, "state"));
		if (lw_json_bool(w, "synced"))
			lw_grid_cell(grid, "%" PRId64, lw_json_int(w, "objects"));
		else
			lw_grid_cell(grid, "-");
		lw_grid_cell(grid, "%s", lw_json_str(w, "path"));
		lw_grid_cell(grid, "%s%s", or_dash(lw_json_str(w, "labels")),
			     lw_json_str(w, "fields"));
		lw_grid_cell(grid, "%s", lw_json_str(w, "error"));
	}
	print_grid(grid);
}

static void show_kube(struct json_object *source)
{
	char age[32], heard[32];

	say("state      ");
	print_plain(lw_json_str(source, "server"));
	say(" (context ");
	print_plain(lw_json_str(source, "context"));
	say("): ");
	if (lw_json_bool(source, "connected"))
		say("connected");
	else if (lw_json_int(source, "away_ms") > 0)
		say("away since %s ago, %s",
		    format_age(lw_json_int(source, "away_ms"), age, sizeof(age)),
		    lw_json_bool(source, "ready") ? "the last state stays in force" :
						    "nothing is steered yet");
	else
		say("not connected yet");
	if (lw_json_int(source, "heard_ms_ago") >= 0)
		say(", last heard of %s ago",
		    format_age(lw_json_int(source, "heard_ms_ago"), heard, sizeof(heard)));
	say(", changed %s ago, errors %" PRId64 ", warnings %" PRId64 "\n",
	    format_age(lw_json_int(source, "changed_ms_ago"), age, sizeof(age)),
	    lw_json_int(source, "errors"), lw_json_int(source, "warnings"));
	if (*lw_json_str(source, "error")) {
		say("           ");
		print_plain(lw_json_str(source, "error"));
		(void)putchar('\n');
	}
	if (lw_json_int(source, "waiting") > 0)
		say("           %" PRId64 " Rollouts wait for their workload, Services and Pods\n",
		    lw_json_int(source, "waiting"));
	say("requests   %" PRId64 " to the API server over %" PRId64 " connections, %" PRId64
	    " bytes received\n",
	    lw_json_int(source, "requests"), lw_json_int(source, "connections"),
	    lw_json_int(source, "bytes"));
	show_watches(lw_json_get(source, "watches"));
}

static void show_source(struct json_object *source)
{
	char age[32];

	if (strcmp(lw_json_str(source, "kind"), "kube") == 0) {
		show_kube(source);
		return;
	}
	say("state      ");
	print_plain(lw_json_str(source, "path"));
	if (lw_json_bool(source, "gone"))
		say(": gone, the last state stays in force");
	say(", changed %s ago, errors %" PRId64 ", warnings %" PRId64 "\n",
	    format_age(lw_json_int(source, "changed_ms_ago"), age, sizeof(age)),
	    lw_json_int(source, "errors"), lw_json_int(source, "warnings"));
}

#define KEPT_SHOWN 20

static void show_host_pods(struct json_object *pods)
{
	int64_t n = lw_json_int(pods, "pods");

	if (n > 0)
		say("host pods  %" PRId64 " of %" PRId64
		    " on the host network are told apart by their cgroups\n",
		    lw_json_int(pods, "found"), n);
}

/* Those that live, or those that have ended, at most so many. How many there were. */
static size_t show_kept(struct json_object *processes, bool alive, size_t most)
{
	size_t shown = 0;

	for (size_t i = 0; i < lw_json_len(processes) && shown < most; i++) {
		struct json_object *p = lw_json_at(processes, i);
		char age[32];

		if (lw_json_bool(p, "alive") != alive)
			continue;
		say("  ");
		print_plain(lw_json_str(p, "program"));
		say("[%" PRId64 "]%s, %s, since %s: %" PRId64 " connections not enrolled\n",
		    lw_json_int(p, "pid"), alive ? "" : " (ended)", lw_json_str(p, "why"),
		    format_age(lw_json_int(p, "since_ms_ago"), age, sizeof(age)),
		    lw_json_int(p, "connections"));
		shown++;
	}
	return shown;
}

static void show_kept_out(struct json_object *kept)
{
	struct json_object *processes = lw_json_get(kept, "processes");
	size_t alive = 0, shown;
	bool fionread = lw_json_bool(kept, "fionread"), splice = lw_json_bool(kept, "splice");

	say("kept out   ");
	if (fionread)
		say("who asks FIONREAD%s", splice ? "; " : "");
	if (splice)
		say("who reads with splice(2)%s", lw_json_bool(kept, "splice_noticed") ?
							  "" :
							  " (by name only: not noticed here)");
	if (!fionread && !splice)
		say("nobody for what the kernel does");
	for (size_t i = 0; i < lw_json_len(processes); i++)
		alive += lw_json_bool(lw_json_at(processes, i), "alive");
	say("; %zu processes", alive);
	if (alive < lw_json_len(processes))
		say(" (and %zu that have ended)", lw_json_len(processes) - alive);
	say(", %" PRId64 " pod addresses\n", lw_json_int(kept, "pod_addresses"));
	shown = show_kept(processes, true, KEPT_SHOWN);
	(void)show_kept(processes, false, KEPT_SHOWN - shown);
	if (lw_json_len(processes) > KEPT_SHOWN)
		say("  and %zu more (-o json)\n", lw_json_len(processes) - KEPT_SHOWN);
}

static void show_bypass(struct json_object *bypass)
{
	bool requests = lw_json_bool(bypass, "requests");

	if (!lw_json_bool(bypass, "responses"))
		say("bypass     none: between two pods of this node steered bytes take TCP\n");
	else
		say("bypass     %s\n",
		    requests ?
			    "requests and responses" :
			    "responses alone: of what passes TCP by this kernel tells no server that asks FIONREAD");
}

/* Of an agent that steers: elsewhere there is nothing to be on. */
static void show_devices(struct json_object *devices)
{
	int64_t n = lw_json_int(devices, "attached");

	if (!devices)
		return;
	if (n > 0)
		say("devices    %" PRId64 " of pods have the program that guards and reads\n", n);
	else
		say("devices    no device: %s: there is no FIN guard, and requests that arrive at pods are not read\n",
		    lw_json_int(devices, "patterns") > 0 ?
			    "none that --device names has the program" :
			    "--device is not given");
}

static void show_left_alone(int64_t n)
{
	if (n > 0)
		say("left alone %" PRId64
		    " pods: what arrives there is not read, as they have called nothing in release (--leaf-after)\n",
		    n);
}

static void show_others(struct json_object *others)
{
	if (lw_json_len(others) == 0)
		return;
	say("others     programs of other products, left alone\n");
	for (size_t i = 0; i < lw_json_len(others); i++) {
		struct json_object *o = lw_json_at(others, i);
		const char *program = lw_json_str(o, "program");

		say("  ");
		print_plain(*program ? program : "(no name)");
		say(" (%s", lw_json_str(o, "where"));
		if (lw_json_int(o, "count") > 1)
			say(", %" PRId64 " times", lw_json_int(o, "count"));
		say(", runs %s ours)\n", lw_json_bool(o, "before") ? "before" : "after");
	}
}

void lw_show_steering(struct json_object *data)
{
	char age[32];

	say("laneway    %s, pid %" PRId64 ", up %s, kernel %s\n", lw_json_str(data, "version"),
	    lw_json_int(data, "pid"), format_age(lw_json_int(data, "uptime_ms"), age, sizeof(age)),
	    lw_json_str(data, "kernel"));
	say("steering   %s (mode %s, generation %" PRId64 ")%s%s\n",
	    lw_json_bool(data, "steering") ? "yes" : "no", lw_json_str(data, "mode"),
	    lw_json_int(data, "generation"), *lw_json_str(data, "why") ? ": " : "",
	    lw_json_str(data, "why"));
}

void lw_show_status(struct json_object *data)
{
	struct json_object *tests = lw_json_get(data, "selftests");
	struct json_object *attached = lw_json_get(data, "attached");
	struct json_object *source = lw_json_get(data, "source");
	struct json_object *findings = lw_json_get(source, "findings");
	struct json_object *decisions = lw_json_get(data, "decisions");

	lw_show_steering(data);
	show_source(source);
	show_counts(lw_json_get(data, "counts"));
	say("decisions  %" PRId64 " ok, %" PRId64 " carried by the agent, %" PRId64
	    " with another outcome%s\n",
	    lw_json_int(decisions, "ok"), lw_json_int(decisions, "carried"),
	    lw_json_int(decisions, "other"),
	    lw_json_int(decisions, "other") ? " (laneway stats)" : "");
	show_kept_out(lw_json_get(data, "kept_out"));
	show_bypass(lw_json_get(data, "bypass"));
	show_host_pods(lw_json_get(data, "host_pods"));
	show_devices(lw_json_get(data, "devices"));
	show_left_alone(lw_json_int(data, "left_alone"));
	show_others(lw_json_get(data, "others"));
	say("self-tests in %.1f ms\n", (double)lw_json_int(data, "selftests_us") / 1000);
	for (size_t i = 0; i < lw_json_len(tests); i++) {
		struct json_object *t = lw_json_at(tests, i);

		say("  %-3s  %-24s  %s\n", lw_json_bool(t, "ok") ? "ok" : "no",
		    lw_json_str(t, "name"), lw_json_str(t, "detail"));
	}
	say("attached\n");
	for (size_t i = 0; i < lw_json_len(attached); i++)
		say("  %s\n", json_object_get_string(lw_json_at(attached, i)));
	if (lw_json_len(findings) > 0)
		say("findings\n");
	lw_show_findings(source, "  ");
}

/* "1/2": pods that are ready, of how many */
static void show_ready(struct lw_grid *grid, bool uncounted, struct json_object *pods,
		       const char *ready, const char *all)
{
	if (uncounted)
		lw_grid_cell(grid, "-");
	else
		lw_grid_cell(grid, "%" PRId64 "/%" PRId64, lw_json_int(pods, ready),
			     lw_json_int(pods, all));
}

static void show_workloads(struct json_object *workloads)
{
	static const char *const titles[] = { "WORKLOAD", "LANE",    "ROUTE", "STEP",
					      ">BASE",	  ">CANARY", "WHY" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));

	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(workloads); i++) {
		struct json_object *w = lw_json_at(workloads, i), *pods = lw_json_get(w, "pods");
		/* between releases they are not asked for, where an API server is the source */
		bool uncounted = strcmp(lw_json_str(w, "route"), "plain") == 0 &&
				 !lw_json_int(pods, "base") && !lw_json_int(pods, "canary") &&
				 !lw_json_int(pods, "draining");

		lw_grid_cell(grid, "%s", lw_json_str(w, "name"));
		lw_grid_cell(grid, "%s", or_dash(lw_json_str(w, "lane")));
		lw_grid_cell(grid, "%s", lw_json_str(w, "route"));
		if (lw_json_int(w, "steps") > 0)
			lw_grid_cell(grid, "%" PRId64 "/%" PRId64 " %s", lw_json_int(w, "step"),
				     lw_json_int(w, "steps"), lw_json_str(w, "step_state"));
		else
			lw_grid_cell(grid, "-");
		show_ready(grid, uncounted, pods, "base_ready", "base");
		show_ready(grid, uncounted, pods, "canary_ready", "canary");
		lw_grid_cell(grid, "%s", lw_json_str(w, "why"));
	}
	print_grid(grid);
}

static void show_rules(struct json_object *rules)
{
	static const char *const titles[] = { "LANE", "ENTERED AT", "WHEN", "RULE" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));

	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(rules); i++) {
		struct json_object *r = lw_json_at(rules, i);

		lw_grid_cell(grid, "%s", lw_json_str(r, "lane"));
		lw_grid_cell(grid, "%s", lw_json_str(r, "workload"));
		lw_grid_cell(grid, "%s", lw_json_str(r, "when"));
		lw_grid_cell(grid, "%s", lw_json_str(r, "source"));
	}
	print_grid(grid);
}

void lw_show_lanes(struct json_object *data)
{
	static const char *const titles[] = { "LANE", "STATE", "TAG", "WHY" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));
	struct json_object *lanes = lw_json_get(data, "lanes");
	struct json_object *workloads = lw_json_get(data, "workloads");
	struct json_object *rules = lw_json_get(data, "rules");

	if (!grid)
		return;
	if (lw_json_len(lanes) == 0)
		(void)puts("no lanes: all requests are base");
	for (size_t i = 0; i < lw_json_len(lanes); i++) {
		struct json_object *l = lw_json_at(lanes, i);
		const char *header = lw_json_str(l, "tag_header");

		lw_grid_cell(grid, "%s", lw_json_str(l, "name"));
		lw_grid_cell(grid, "%s", lw_json_bool(l, "open") ? "open" : "closed");
		lw_grid_cell(grid, "%s%s%s", or_dash(header), *header ? ": " : "",
			     *header ? lw_json_str(l, "tag_value") : "");
		lw_grid_cell(grid, "%s", lw_json_str(l, "why"));
	}
	if (lw_json_len(lanes) > 0)
		print_grid(grid);
	if (lw_json_len(workloads) > 0) {
		(void)putchar('\n');
		show_workloads(workloads);
	}
	if (lw_json_len(rules) > 0) {
		(void)putchar('\n');
		show_rules(rules);
	}
}

static const char *pod_state(struct json_object *e)
{
	if (lw_json_bool(e, "terminating"))
		return "draining";
	return lw_json_bool(e, "ready") ? "ready" : "not ready";
}

static void show_services(struct json_object *services)
{
	static const char *const titles[] = { "SERVICE", "WORKLOAD", "ADDRESSES", "PORTS" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));
	char buf[512];

	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(services); i++) {
		struct json_object *s = lw_json_at(services, i);

		lw_grid_cell(grid, "%s", lw_json_str(s, "service"));
		lw_grid_cell(grid, "%s", lw_json_str(s, "workload"));
		lw_grid_cell(grid, "%s", join(lw_json_get(s, "ips"), buf, sizeof(buf)));
		lw_grid_cell(grid, "%s", or_dash(lw_json_str(s, "ports")));
	}
	print_grid(grid);
}

void lw_show_endpoints(struct json_object *data)
{
	static const char *const titles[] = { "WORKLOAD", "LANE", "POD",  "ADDRESSES",
					      "PORTS",	  "NODE", "STATE" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));
	struct json_object *endpoints = lw_json_get(data, "endpoints");
	struct json_object *services = lw_json_get(data, "services");
	char buf[512];

	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(endpoints); i++) {
		struct json_object *e = lw_json_at(endpoints, i);

		lw_grid_cell(grid, "%s", lw_json_str(e, "workload"));
		lw_grid_cell(grid, "%s", lw_json_str(e, "lane"));
		lw_grid_cell(grid, "%s", lw_json_str(e, "pod"));
		lw_grid_cell(grid, "%s", join(lw_json_get(e, "ips"), buf, sizeof(buf)));
		lw_grid_cell(grid, "%s", or_dash(lw_json_str(e, "ports")));
		lw_grid_cell(grid, "%s%s", or_dash(lw_json_str(e, "node")),
			     lw_json_bool(e, "local") ? " (here)" : "");
		lw_grid_cell(grid, "%s", pod_state(e));
	}
	if (lw_json_len(endpoints) == 0)
		(void)puts("no workload is in release: all requests are base");
	else
		print_grid(grid);
	if (lw_json_len(services) > 0) {
		(void)putchar('\n');
		show_services(services);
	}
}

const char *lw_show_evidence(struct json_object *o, char buf[LW_SHOW_EVIDENCE_LEN])
{
	const char *evidence = lw_json_str(o, "evidence"), *header = lw_json_str(o, "header");

	if (*header && strcmp(header, evidence) != 0)
		(void)snprintf(buf, LW_SHOW_EVIDENCE_LEN, "%s (%s)", evidence, header);
	else
		(void)snprintf(buf, LW_SHOW_EVIDENCE_LEN, "%s", evidence);
	return buf;
}

void lw_show_flows(struct json_object *data)
{
	static const char *const titles[] = { "CLIENT",	  "ASKED FOR", "POD",  "ROUTE", "LANE",
					      "EVIDENCE", ">REQS",     ">AGE", "STATE" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));
	struct json_object *flows = lw_json_get(data, "flows");
	int64_t total = lw_json_int(data, "total");
	char age[32], evidence[LW_SHOW_EVIDENCE_LEN];

	if (!grid)
		return;
	if (total == 0) {
		(void)puts("no connection is enrolled");
		return;
	}
	for (size_t i = 0; i < lw_json_len(flows); i++) {
		struct json_object *f = lw_json_at(flows, i);
		const char *pod = lw_json_str(f, "pod"), *client = lw_json_str(f, "client_pod");

		lw_grid_cell(grid, "%s", *client ? client : lw_json_str(f, "client"));
		lw_grid_cell(grid, "%s", lw_json_str(f, "asked"));
		lw_grid_cell(grid, "%s", *pod ? pod : lw_json_str(f, "endpoint"));
		lw_grid_cell(grid, "%s", lw_json_str(f, "route"));
		lw_grid_cell(grid, "%s", lw_json_str(f, "lane"));
		lw_grid_cell(grid, "%s", lw_show_evidence(f, evidence));
		lw_grid_cell(grid, "%" PRId64, lw_json_int(f, "requests"));
		lw_grid_cell(grid, "%s", format_age(lw_json_int(f, "age_ms"), age, sizeof(age)));
		/* of those that are left alone some reasons do not say so by their name: "scratch", "kept-splice" */
		lw_grid_cell(grid, "%s%s",
			     lw_json_bool(f, "opaque") &&
					     strncmp(lw_json_str(f, "reason"), "opaque", 6) != 0 ?
				     "opaque: " :
				     "",
			     lw_json_str(f, "reason"));
	}
	print_grid(grid);
	if ((int64_t)lw_json_len(flows) < total)
		say("%zu of %" PRId64 " connections; --limit shows more\n", lw_json_len(flows),
		    total);
}

/* One row a workload; a column for each evidence that there has been, and for what was ambiguous in any case. */
static void show_by_evidence(struct json_object *workloads, struct json_object *kinds)
{
	static const char ambiguous[] = "ambiguous";
	const char *titles[EVIDENCE_MAX + 3] = { "WORKLOAD", ">REQUESTS" };
	const char *names[EVIDENCE_MAX + 1];
	char upper[EVIDENCE_MAX + 1][32];
	_cleanup_grid_ struct lw_grid *grid = NULL;
	size_t n = 0;

	if (!json_object_is_type(kinds, json_type_object))
		return;
	json_object_object_foreach(kinds, name, help) {
		(void)help;
		if (n < EVIDENCE_MAX && strcmp(name, ambiguous) != 0)
			names[n++] = name;
	}
	names[n++] = ambiguous;
	for (size_t i = 0; i < n; i++) {
		upper[i][0] = '>';
		(void)lw_str_copy(upper[i] + 1, sizeof(upper[i]) - 1, names[i]);
		for (char *c = upper[i]; *c; c++)
			*c = (char)toupper((unsigned char)*c);
		titles[2 + i] = upper[i];
	}
	grid = new_grid(titles, 2 + n);
	if (!grid)
		return;
	for (size_t i = 0; i < lw_json_len(workloads); i++) {
		struct json_object *w = lw_json_at(workloads, i), *by = lw_json_get(w, "evidence");

		lw_grid_cell(grid, "%s", lw_json_str(w, "workload"));
		lw_grid_cell(grid, "%" PRId64, lw_json_int(w, "requests"));
		for (size_t k = 0; k < n; k++)
			lw_grid_cell(grid, "%" PRId64, lw_json_int(by, names[k]));
	}
	print_grid(grid);
	(void)putchar('\n');
}

static void show_legend(struct json_object *legend)
{
	if (!json_object_is_type(legend, json_type_object))
		return;
	json_object_object_foreach(legend, name, help) {
		(void)printf("%-18s %s\n", name, json_object_get_string(help));
	}
}

void lw_show_stats(struct json_object *data)
{
	static const char *const titles[] = { "WORKLOAD", "LANE", "EVIDENCE", "REASON", ">COUNT" };
	_cleanup_grid_ struct lw_grid *grid = new_grid(titles, COUNT(titles));
	struct json_object *stats = lw_json_get(data, "stats");

	if (!grid)
		return;
	if (lw_json_len(stats) == 0) {
		(void)puts("no request has been decided yet");
		return;
	}
	for (size_t i = 0; i < lw_json_len(stats); i++) {
		struct json_object *s = lw_json_at(stats, i);

		lw_grid_cell(grid, "%s", lw_json_str(s, "workload"));
		lw_grid_cell(grid, "%s", lw_json_str(s, "lane"));
		lw_grid_cell(grid, "%s", lw_json_str(s, "evidence"));
		lw_grid_cell(grid, "%s", lw_json_str(s, "reason"));
		lw_grid_cell(grid, "%" PRId64, lw_json_int(s, "count"));
	}
	print_grid(grid);
	(void)putchar('\n');
	show_by_evidence(lw_json_get(data, "workloads"), lw_json_get(data, "evidence"));
	show_legend(lw_json_get(data, "evidence"));
	(void)putchar('\n');
	show_legend(lw_json_get(data, "reasons"));
}

void lw_show_explain(struct json_object *data)
{
	struct json_object *trace = lw_json_get(data, "trace");
	struct json_object *endpoints = lw_json_get(data, "endpoints");
	const char *rule = lw_json_str(data, "rule");
	char evidence[LW_SHOW_EVIDENCE_LEN];

	for (size_t i = 0; i < lw_json_len(trace); i++) {
		say("%2zu  ", i + 1);
		print_plain(json_object_get_string(lw_json_at(trace, i)));
		(void)putchar('\n');
	}
	if (lw_json_len(trace) > 0)
		(void)putchar('\n');
	if (!lw_json_bool(data, "known")) {
		(void)puts("the destination belongs to no workload in release: "
			   "the connection is left alone");
		return;
	}
	say("workload   %s\n", lw_json_str(data, "workload"));
	say("lane       %s (evidence: %s)%s\n", lw_json_str(data, "lane"),
	    lw_show_evidence(data, evidence),
	    lw_json_bool(lw_json_get(data, "learned"), "run_time") ?
		    ", unless what the sender is at work on says otherwise" :
		    "");
	if (*rule)
		say("rule       %s\n", rule);
	say("outcome    %s: %s\n", lw_json_str(data, "reason"), lw_json_str(data, "reason_help"));
	for (size_t i = 0; i < lw_json_len(endpoints); i++) {
		struct json_object *e = lw_json_at(endpoints, i);

		say("%-10s %s%s%s%s\n", i ? "" : "one of", lw_json_str(e, "address"),
		    *lw_json_str(e, "pod") ? "  " : "", lw_json_str(e, "pod"),
		    lw_json_bool(e, "local") ? " (here)" : "");
	}
	if (lw_json_int(data, "endpoints_total") > (int64_t)lw_json_len(endpoints))
		say("%-10s and %" PRId64 " more\n", "",
		    lw_json_int(data, "endpoints_total") - (int64_t)lw_json_len(endpoints));
}
