/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/tracers.h"

#include <errno.h>
#include <ev.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/addr.h"
#include "base/clock.h"
#include "base/str.h"
#include "core/image.h"
#include "core/names.h"
#include "daemon/control.h"
#include "daemon/json.h"
#include "daemon/seen.h"
#include "daemon/words.h"
#include "kern/hops.h"

/* How often the ring is looked at: nobody wakes us, so that no request is slower for being traced. */
#define LOOK_S 0.05
/* Hops taken in one look, so that the agent has time for its other work. More come: the ring loses them. */
#define LOOK_MAX 500
/* Looks between two tellings of what was lost. */
#define LOOKS_TOLD 20
#define SAMPLE_MAX 1000000
#define ERROR_LEN 256

struct tracer {
	struct lw_control_stream *stream; /* NULL: free */
	struct lw_hops_filter filter;
	struct lw_addr from; /* of the client; none: any */
	char trace[LW_HOP_TRACE + 1]; /* id; "": any */
	uint64_t since_ns;
	uint64_t lost_before; /* lw_hops_lost() at its beginning */
	uint64_t lost_reader; /* hops there was no room for */
	uint64_t told_ring, told_reader;
};

struct lw_tracers {
	struct lw_tracers_options options;
	struct tracer tracers[LW_TRACERS_MAX];
	ev_timer look;
	unsigned int looks;
	/* CLOCK_REALTIME less lw_clock_ns() */
	int64_t realtime_ns;
};

/* ---- what is sent ---- */

static void add_time(const struct lw_tracers *t, struct json_object *o, uint64_t at_ns)
{
	uint64_t ns = at_ns + (uint64_t)t->realtime_ns;
	time_t seconds = (time_t)(ns / LW_NS_PER_SEC);
	char buf[48], date[24];
	struct tm tm;

	(void)gmtime_r(&seconds, &tm);
	(void)strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	(void)snprintf(buf, sizeof(buf), "%s.%06uZ", date,
		       (unsigned int)(ns % LW_NS_PER_SEC / 1000));
	lw_json_add_str(o, "time", buf);
}

/* "" for no address at all. */
static void add_addr(struct json_object *o, const char *key, const struct lw_addr *addr,
		     uint16_t port)
{
	if (lw_addr_is_any(addr))
		lw_json_add_str(o, key, "");
	else
		lw_json_add_addr(o, key, addr, port);
}

/* Method, and path without its query: what is secret in a request stands there, if not in its headers. */
static void add_line(struct json_object *o, const struct lw_hop *hop)
{
	size_t len = hop->line_len < LW_HOP_LINE ? hop->line_len : LW_HOP_LINE, end;
	char line[LW_HOP_LINE + 1], *path;

	lw_str_printable(hop->line, len, line);
	path = strchr(line, ' ');
	if (path)
		*path++ = '\0';
	else
		path = line + len;
	end = 0;
	while (path[end] && hop->line[path + end - line] != '?' &&
	       hop->line[path + end - line] != '#')
		end++;
	lw_json_add_bool(o, "path_cut", !path[end] && len < hop->line_len);
	path[end] = '\0';
	lw_json_add_str(o, "method", line);
	lw_json_add_str(o, "path", path);
}

/* "" where the request has none. */
static void add_trace(struct json_object *o, const struct lw_hop *hop)
{
	size_t len = hop->trace_len < LW_HOP_TRACE ? hop->trace_len : LW_HOP_TRACE;
	char id[LW_HOP_TRACE + 1];

	lw_str_printable(hop->trace, len, id);
	lw_json_add_str(o, "trace_header", lw_names_name(hop->trace_header));
	lw_json_add_str(o, "trace_id", id);
	lw_json_add_bool(o, "trace_id_cut", len < hop->trace_len);
}

static struct json_object *hop_json(const struct lw_tracers *t, const struct lw_hop *hop)
{
	struct json_object *line = lw_json_new_object(NULL, NULL);
	struct json_object *o = lw_json_new_object(line, "hop");
	const struct lw_image *image = *t->options.image;
	char buf[16], client[LW_WORD_CLIENT_LEN];

	add_time(t, o, hop->at_ns);
	add_addr(o, "client", &hop->client, hop->client_port);
	lw_json_add_str(o, "client_pod",
			lw_word_client(image, t->options.model, &hop->client, client));
	lw_json_add_int(o, "pid", hop->pid);
	lw_json_add_int(o, "connection", (int64_t)hop->down);
	add_addr(o, "asked", &hop->asked, hop->asked_port);
	lw_json_add_str(o, "workload",
			lw_word_workload_hash(t->options.seen, hop->workload_hash, buf));
	add_addr(o, "endpoint", &hop->pod, hop->pod_port);
	lw_json_add_str(o, "pod", lw_word_pod(image, &hop->pod));
	lw_json_add_str(o, "route", lw_word_route(hop->route));
	lw_json_add_str(o, "lane", lw_word_lane(t->options.seen, hop->lane, buf));
	lw_json_add_str(o, "evidence", lw_word_evidence(hop->evidence));
	/* no older than LOOK_S: of a lane's tag the header that it has now */
	lw_json_add_str(o, "header",
			lw_word_header(t->options.seen, hop->header, hop->lane, UINT64_MAX));
	lw_json_add_str(o, "reason", lw_word_reason(hop->reason));
	add_trace(o, hop);
	add_line(o, hop);
	return line;
}

/* Takes line. */
static bool send_line(struct lw_control_stream *stream, struct json_object *line)
{
	_cleanup_json_ struct json_object *owned = line;

	return lw_control_stream_send(
		stream, json_object_to_json_string_ext(
				owned, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
}

static void tell_lost(struct lw_tracers *t, struct tracer *tracer, bool always)
{
	uint64_t ring = lw_hops_lost(t->options.hops[0]) - tracer->lost_before;
	struct json_object *line, *o;

	if (!always && ring == tracer->told_ring && tracer->lost_reader == tracer->told_reader)
		return;
	line = lw_json_new_object(NULL, NULL);
	o = lw_json_new_object(line, "lost");
	lw_json_add_int(o, "ring", (int64_t)ring);
	lw_json_add_int(o, "reader", (int64_t)tracer->lost_reader);
	if (!send_line(tracer->stream, line))
		return;
	tracer->told_ring = ring;
	tracer->told_reader = tracer->lost_reader;
}

/* ---- the ring ---- */

/* As add_trace() tells it: of a longer one, so much. */
static bool has_trace(const struct lw_hop *hop, const char *id)
{
	size_t len = hop->trace_len < LW_HOP_TRACE ? hop->trace_len : LW_HOP_TRACE;

	return strlen(id) == len && memcmp(hop->trace, id, len) == 0;
}

static bool wants(const struct tracer *tracer, const struct lw_hop *hop)
{
	const struct lw_hops_filter *f = &tracer->filter;

	/* of what the kernel side tells, which knows nothing of these */
	if ((!lw_addr_is_any(&tracer->from) &&
	     memcmp(&tracer->from, &hop->client, sizeof(hop->client)) != 0) ||
	    (*tracer->trace && !has_trace(hop, tracer->trace)))
		return false;

	return tracer->stream && (f->lanes >> (hop->lane & 31) & 1) &&
	       (!f->workload || f->workload == hop->workload_hash) && hop->dice <= f->sample &&
	       hop->at_ns >= tracer->since_ns;
}

static void on_hop(const struct lw_hop *hop, void *arg)
{
	_cleanup_json_ struct json_object *line = NULL;
	struct lw_tracers *t = arg;

	for (size_t i = 0; i < LW_TRACERS_MAX; i++) {
		struct tracer *tracer = &t->tracers[i];

		if (!wants(tracer, hop))
			continue;
		if (!line)
			line = hop_json(t, hop);
		if (!send_line(tracer->stream, json_object_get(line)))
			tracer->lost_reader++;
	}
}

static void look(struct lw_tracers *t)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_REALTIME, &ts);
	t->realtime_ns = (int64_t)((uint64_t)ts.tv_sec * LW_NS_PER_SEC + (uint64_t)ts.tv_nsec -
				   lw_clock_ns());
	(void)lw_hops_read(t->options.hops[0], LOOK_MAX, on_hop, t);
}

static void on_look(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct lw_tracers *t = w->data;

	(void)loop;
	(void)revents;
	look(t);
	if (++t->looks % LOOKS_TOLD)
		return;
	for (size_t i = 0; i < LW_TRACERS_MAX; i++)
		if (t->tracers[i].stream)
			tell_lost(t, &t->tracers[i], false);
}

/* Tells the kernel side what any of them wants. */
static void apply(struct lw_tracers *t)
{
	struct lw_hops_filter all = {};
	bool several = false;

	for (size_t i = 0; i < LW_TRACERS_MAX; i++) {
		const struct lw_hops_filter *f = &t->tracers[i].filter;

		if (!t->tracers[i].stream)
			continue;
		several |= all.lanes && all.workload != f->workload;
		all.lanes |= f->lanes;
		all.workload = several ? 0 : f->workload;
		if (f->sample > all.sample)
			all.sample = f->sample;
	}
	lw_hops_set(t->options.hops[0], &all);
	if (!all.lanes)
		ev_timer_stop(t->options.loop, &t->look);
	else if (!ev_is_active(&t->look))
		ev_timer_again(t->options.loop, &t->look);
}

/* ---- requests ---- */

/* The lanes asked for; 0 with an error. */
static uint32_t find_lanes(const struct lw_tracers *t, const char *name, bool base, char *err)
{
	const uint32_t all = (1u << LW_MAX_LANES) - 2;
	const char *known;

	if (!*name)
		return all | base;
	if (strcmp(name, "base") == 0)
		return 1;
	for (unsigned int id = 1; id < LW_MAX_LANES; id++) {
		known = lw_seen_lane(t->options.seen, id);
		if (known && strcmp(known, name) == 0)
			return 1u << id | base;
	}
	(void)snprintf(err, ERROR_LEN,
		       "no lane '%s' has been open since the agent started; see laneway lanes",
		       name);
	return 0;
}

/* "ns/Kind/name" by that, by "ns/name", or by "name". */
static bool is_called(const char *full, const char *name)
{
	const char *first = strchr(full, '/'), *last = strrchr(full, '/');
	size_t ns = first ? (size_t)(first - full) : 0;

	if (strcmp(full, name) == 0)
		return true;
	if (!first || first == last)
		return false;
	return strcmp(last + 1, name) == 0 ||
	       (strncmp(full, name, ns) == 0 && strcmp(last, name + ns) == 0);
}

/* -ENOENT or -EEXIST with an error. */
static int find_workload(const struct lw_tracers *t, const char *name, uint32_t *ret, char *err)
{
	const struct lw_image *image = *t->options.image;
	const struct lw_workload *found = NULL, *w;

	for (size_t i = 0; image && i < lw_image_rows(image, LW_TABLE_WORKLOADS); i++) {
		w = lw_image_value(image, LW_TABLE_WORKLOADS, i);
		if (!is_called(w->name, name))
			continue;
		if (found) {
			(void)snprintf(err, ERROR_LEN,
				       "'%s' may be %.80s or %.80s: name one of them", name,
				       found->name, w->name);
			return -EEXIST;
		}
		found = w;
	}
	if (!found) {
		(void)snprintf(err, ERROR_LEN, "no workload '%s' is in release; see laneway lanes",
			       name);
		return -ENOENT;
	}
	*ret = found->name_hash;
	return 0;
}

static bool read_filter(const struct lw_tracers *t, struct json_object *request,
			struct lw_hops_filter *ret, char *err)
{
	const char *workload = lw_json_str(request, "workload");
	int64_t sample = lw_json_get(request, "sample") ? lw_json_int(request, "sample") : 1;

	if (strlen(workload) >= LW_SOURCE_LEN ||
	    strlen(lw_json_str(request, "lane")) >= LW_LANE_NAME_LEN) {
		(void)snprintf(err, ERROR_LEN, "a name is too long");
		return false;
	}
	if (sample < 1 || sample > SAMPLE_MAX) {
		(void)snprintf(err, ERROR_LEN, "sample is 1 to %d", SAMPLE_MAX);
		return false;
	}
	ret->sample = UINT32_MAX / (uint32_t)sample;
	ret->lanes =
		find_lanes(t, lw_json_str(request, "lane"), lw_json_bool(request, "base"), err);
	if (!ret->lanes)
		return false;
	return !*workload || find_workload(t, workload, &ret->workload, err) == 0;
}

static bool read_whose(struct json_object *request, struct tracer *ret, char *err)
{
	const char *from = lw_json_str(request, "from"), *trace = lw_json_str(request, "trace_id");

	if (*from && (lw_addr_parse(from, &ret->from) < 0 || lw_addr_is_any(&ret->from))) {
		(void)snprintf(err, ERROR_LEN, "from is a client's IP address, not '%.64s'", from);
		return false;
	}
	if (!lw_str_copy(ret->trace, sizeof(ret->trace), trace)) {
		(void)snprintf(err, ERROR_LEN, "a trace id has no more than %d bytes here",
			       LW_HOP_TRACE);
		return false;
	}
	return true;
}

static char *refusal(const char *error)
{
	_cleanup_json_ struct json_object *reply = lw_json_new_object(NULL, NULL);

	lw_json_add_str(reply, "error", error);
	return strdup(json_object_to_json_string_ext(reply, JSON_C_TO_STRING_PLAIN));
}

static struct tracer *find_tracer(struct lw_tracers *t, const struct lw_control_stream *stream)
{
	for (size_t i = 0; i < LW_TRACERS_MAX; i++)
		if (t->tracers[i].stream == stream)
			return &t->tracers[i];
	return NULL;
}

bool lw_tracers_begin(struct lw_tracers *tracers, struct lw_control_stream *stream,
		      const char *request, char **ret_reply)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(request);
	struct tracer *tracer = find_tracer(tracers, NULL);
	struct tracer new = { .stream = stream };
	struct json_object *answer;
	char err[ERROR_LEN] = "";

	if (strcmp(lw_json_str(parsed, "cmd"), "trace") != 0)
		return false;
	if (!tracers->options.hops[0])
		(void)snprintf(err, sizeof(err),
			       "nothing is steered here, or not yet; see laneway status");
	else if (!tracer)
		(void)snprintf(err, sizeof(err), "%d tracers are at work already", LW_TRACERS_MAX);
	else
		(void)(read_filter(tracers, parsed, &new.filter, err) &&
		       read_whose(parsed, &new, err));
	if (*err) {
		*ret_reply = refusal(err);
		return true;
	}
	new.since_ns = lw_clock_ns();
	new.lost_before = lw_hops_lost(tracers->options.hops[0]);
	*tracer = new;
	apply(tracers);
	answer = lw_json_new_object(NULL, NULL);
	(void)lw_json_new_object(answer, "data");
	(void)send_line(stream, answer);
	return true;
}

void lw_tracers_end(struct lw_tracers *tracers, struct lw_control_stream *stream)
{
	struct tracer *tracer = find_tracer(tracers, stream);

	if (!tracer)
		return;
	look(tracers);
	tell_lost(tracers, tracer, true);
	tracer->stream = NULL;
	apply(tracers);
}

int lw_tracers_new(const struct lw_tracers_options *options, struct lw_tracers **ret)
{
	struct lw_tracers *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->options = *options;
	ev_timer_init(&t->look, on_look, LOOK_S, LOOK_S);
	t->look.data = t;
	*ret = t;
	return 0;
}

void lw_tracers_free(struct lw_tracers **tracers)
{
	struct lw_tracers *t = TAKE_PTR(*tracers);

	if (!t)
		return;
	ev_timer_stop(t->options.loop, &t->look);
	free(t);
}
