/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/metrics.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/json.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A family begins: what it is, once, before its samples. */
static void family(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* `name="value"`, the value escaped as the format wants it. */
static void label(FILE *out, const char *name, const char *value)
{
	(void)fprintf(out, "%s=\"", name);
	for (; *value; value++) {
		if (*value == '\n')
			(void)fputs("\\n", out);
		else if (*value == '"' || *value == '\\')
			(void)fprintf(out, "\\%c", *value);
		else
			(void)fputc(*value, out);
	}
	(void)fputc('"', out);
}

/* Pairs of label and value up to a NULL, then the sample's value. */
static void sample(FILE *out, const char *name, int64_t value, ...)
{
	va_list args;
	const char *key;
	char sep = '{';

	(void)fputs(name, out);
	va_start(args, value);
	while ((key = va_arg(args, const char *))) {
		(void)fputc(sep, out);
		sep = ',';
		label(out, key, va_arg(args, const char *));
	}
	va_end(args);
	(void)fprintf(out, "%s %" PRId64 "\n", sep == ',' ? "}" : "", value);
}

/* A label, and the member of a row that it has its value from. */
struct column {
	const char *label, *member;
};

/* A sample for each row: its value is the member of that name. */
static void rows(FILE *out, const char *name, struct json_object *list, const char *value,
		 const struct column *columns, size_t ncolumns)
{
	for (size_t i = 0; i < lw_json_len(list); i++) {
		struct json_object *row = lw_json_at(list, i);

		(void)fputs(name, out);
		for (size_t k = 0; k < ncolumns; k++) {
			struct json_object *member = lw_json_get(row, columns[k].member);

			(void)fputc(k ? ',' : '{', out);
			label(out, columns[k].label, member ? json_object_get_string(member) : "");
		}
		(void)fprintf(out, "} %" PRId64 "\n",
			      json_object_get_int64(lw_json_get(row, value)));
	}
}

static void alone(FILE *out, const char *name, const char *help, int64_t value)
{
	family(out, name, "gauge", help);
	sample(out, name, value, NULL);
}

static void agent(FILE *out, struct json_object *status)
{
	struct json_object *source = lw_json_get(status, "source"),
			   *counts = lw_json_get(status, "counts");

	family(out, "laneway_info", "gauge",
	       "The agent: its version, the kernel, and the mode that the self-tests chose.");
	sample(out, "laneway_info", 1, "version", lw_json_str(status, "version"), "kernel",
	       lw_json_str(status, "kernel"), "mode", lw_json_str(status, "mode"), NULL);
	alone(out, "laneway_steering",
	      "1 while requests are steered by all that the source has told; how old that is laneway_source_connected and laneway_source_heard_seconds say.",
	      lw_json_bool(status, "steering"));
	alone(out, "laneway_uptime_seconds", "Since the agent started.",
	      lw_json_int(status, "uptime_ms") / 1000);
	alone(out, "laneway_generation", "Of the state in force; it grows with every change.",
	      lw_json_int(status, "generation"));
	family(out, "laneway_findings", "gauge", "What is wrong in the objects now.");
	sample(out, "laneway_findings", lw_json_int(source, "errors"), "severity", "error", NULL);
	sample(out, "laneway_findings", lw_json_int(source, "warnings"), "severity", "warning",
	       NULL);
	family(out, "laneway_objects", "gauge",
	       "Rows of the state in force (of a pod one for each address), enrolled connections (flows) and upstream sockets.");
	if (json_object_is_type(counts, json_type_object)) {
		json_object_object_foreach(counts, kind, value)
			sample(out, "laneway_objects", json_object_get_int64(value), "kind", kind,
			       NULL);
	}
}

/* Of an API server; a folder is always there, or the state stays. */
static void source(FILE *out, struct json_object *status)
{
	struct json_object *o = lw_json_get(status, "source");
	int64_t heard_ms = lw_json_int(o, "heard_ms_ago");

	if (strcmp(lw_json_str(o, "kind"), "kube") != 0)
		return;
	alone(out, "laneway_source_connected",
	      "1 while the API server can be reached. 0: the last state stays in force.",
	      lw_json_bool(o, "connected"));
	/* -1: nothing yet */
	if (heard_ms >= 0)
		alone(out, "laneway_source_heard_seconds",
		      "Since the API server was last heard of.", heard_ms / 1000);
	alone(out, "laneway_rollouts_waiting",
	      "Rollouts that are not in the state yet: their workload, Services and Pods have not all come.",
	      lw_json_int(o, "waiting"));
}

static void self_tests(FILE *out, struct json_object *status)
{
	static const struct column columns[] = { { "test", "name" }, { "concerns", "concerns" } };

	family(out, "laneway_selftest_ok", "gauge",
	       "1: this kernel does it right. 0: clients that need it are kept out, steered bytes take TCP (concerns=\"bypass\"), or the mode is not used.");
	rows(out, "laneway_selftest_ok", lw_json_get(status, "selftests"), "ok", columns,
	     COUNT(columns));
}

static void kept_out(FILE *out, struct json_object *status)
{
	static const char *const habits[][2] = { { "fionread", "fionread_noticed" },
						 { "splice", "splice_noticed" } };
	struct json_object *kept = lw_json_get(status, "kept_out"),
			   *processes = lw_json_get(kept, "processes");
	static const char *const whys[] = { "name", "fionread", "splice" };

	family(out, "laneway_kept_out_habit", "gauge",
	       "1: clients that do this are not enrolled, as this kernel or mode gets it wrong.");
	for (size_t i = 0; i < 2; i++)
		sample(out, "laneway_kept_out_habit", lw_json_bool(kept, habits[i][0]), "habit",
		       habits[i][0], "noticed", lw_json_bool(kept, habits[i][1]) ? "true" : "false",
		       NULL);
	family(out, "laneway_kept_out_processes", "gauge",
	       "Processes that live and whose connections are not enrolled; their connections are in laneway_decisions_total.");
	for (size_t k = 0; k < sizeof(whys) / sizeof(whys[0]); k++) {
		int64_t n = 0;

		for (size_t i = 0; i < lw_json_len(processes); i++) {
			struct json_object *p = lw_json_at(processes, i);

			n += lw_json_bool(p, "alive") &&
			     strcmp(lw_json_str(p, "why"), whys[k]) == 0;
		}
		sample(out, "laneway_kept_out_processes", n, "why", whys[k], NULL);
	}
}

static void kept_pods(FILE *out, struct json_object *status)
{
	alone(out, "laneway_kept_out_pod_addresses",
	      "Addresses of pods with annotation laneway.io/keep-out.",
	      lw_json_int(lw_json_get(status, "kept_out"), "pod_addresses"));
}

static void devices(FILE *out, struct json_object *status)
{
	struct json_object *o = lw_json_get(status, "devices");

	if (o)
		alone(out, "laneway_devices",
		      "Pods' devices with the agent's program on them. 0: no FIN guard, and requests that arrive at pods are not read.",
		      lw_json_int(o, "attached"));
}

static void left_alone(FILE *out, struct json_object *status)
{
	alone(out, "laneway_pods_left_alone",
	      "Pods to which arriving requests are not read, as they have called nothing in release (--leaf-after).",
	      lw_json_int(status, "left_alone"));
}

static void others(FILE *out, struct json_object *status)
{
	static const struct column columns[] = { { "where", "where" },
						 { "program", "program" },
						 { "before", "before" } };

	family(out, "laneway_other_programs", "gauge",
	       "Programs of other products where the agent's are attached.");
	rows(out, "laneway_other_programs", lw_json_get(status, "others"), "count", columns,
	     COUNT(columns));
}

static void decisions(FILE *out, struct json_object *stats)
{
	static const struct column columns[] = { { "workload", "workload" },
						 { "lane", "lane" },
						 { "evidence", "evidence" },
						 { "reason", "reason" },
						 { "outcome", "outcome" } };

	family(out, "laneway_decisions_total", "counter",
	       "Requests, each once with outcome=\"true\"; besides, connections that were not enrolled and what else befell requests, with outcome=\"false\".");
	rows(out, "laneway_decisions_total", lw_json_get(stats, "stats"), "count", columns,
	     COUNT(columns));
}

char *lw_metrics_text(struct json_object *status, struct json_object *stats)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	agent(out, status);
	source(out, status);
	self_tests(out, status);
	kept_out(out, status);
	kept_pods(out, status);
	devices(out, status);
	left_alone(out, status);
	others(out, status);
	decisions(out, stats);
	if (fclose(out)) {
		free(text);
		return NULL;
	}
	return text;
}
