/* SPDX-License-Identifier: Apache-2.0 */
/*
 * laneway trace: follows a stream of the agent's until told to stop.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/cmd.h"
#include "daemon/json.h"
#include "daemon/show_trace.h"

/* How long the agent may take to say what it has left to say. */
#define END_MS 2000

struct trace {
	const struct lw_cmd *cmd;
	struct lw_cmd_client client;
	struct lw_control_lines *lines;
	struct lw_show_trace show;
	uint64_t count, shown; /* count 0: no end */
	int64_t ring, reader; /* lost */
};

static void on_line(struct trace *t, const char *line)
{
	_cleanup_json_ struct json_object *parsed = json_tokener_parse(line);
	struct json_object *hop = lw_json_get(parsed, "hop"), *lost = lw_json_get(parsed, "lost");

	if (lost) {
		t->ring = lw_json_int(lost, "ring");
		t->reader = lw_json_int(lost, "reader");
		return;
	}
	if (!hop || (t->count && t->shown == t->count))
		return;
	t->shown++;
	if (t->client.json)
		(void)puts(line);
	else
		lw_show_trace_hop(&t->show, hop);
}

/* The signals that end a trace, as something to wait for. */
static int open_stop(int *ret_fd)
{
	sigset_t stop;

	(void)sigemptyset(&stop);
	(void)sigaddset(&stop, SIGINT);
	(void)sigaddset(&stop, SIGTERM);
	if (sigprocmask(SIG_BLOCK, &stop, NULL) < 0)
		return -errno;
	*ret_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
	return *ret_fd < 0 ? -errno : 0;
}

/* 0: it was enough; -errno as lw_control_next(). */
static int follow(struct trace *t, int stop_fd)
{
	const char *line;
	int r;

	while (!t->count || t->shown < t->count) {
		r = lw_control_next(t->lines, -1, stop_fd, &line);
		if (r == -EINTR) {
			if (isatty(STDERR_FILENO)) /* behind the "^C" of a terminal */
				(void)fputc('\n', stderr);
			break;
		}
		if (r < 0)
			return r;
		on_line(t, line);
		if (!lw_control_has_line(t->lines) && fflush(stdout) != 0)
			break;
	}
	lw_control_enough(t->lines);
	while (lw_control_next(t->lines, END_MS, -1, &line) == 0)
		on_line(t, line);
	return 0;
}

/* The answer to the request. */
static enum lw_exit begin(struct trace *t)
{
	_cleanup_json_ struct json_object *parsed = NULL;
	const char *line;
	int r;

	r = lw_control_next(t->lines, (int)t->client.timeout_ms, -1, &line);
	if (r < 0)
		return lw_cmd_unreachable(t->cmd, &t->client, r);
	parsed = json_tokener_parse(line);
	if (lw_json_get(parsed, "data"))
		return LW_EXIT_OK;
	lw_cmd_error(t->cmd, "%s",
		     lw_json_get(parsed, "error") ?
			     lw_json_str(parsed, "error") :
			     "the answer makes no sense: an agent of another version?");
	return LW_EXIT_NO;
}

/* Takes request. */
static enum lw_exit trace(struct trace *t, struct json_object *request)
{
	_cleanup_json_ struct json_object *owned = request;
	_cleanup_close_ int stop_fd = -1;
	enum lw_exit code;
	int r;

	r = open_stop(&stop_fd);
	if (r < 0) {
		lw_cmd_error(t->cmd, "wait for signals: %s", strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	r = lw_control_open(t->client.socket,
			    json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PLAIN),
			    t->client.timeout_ms, &t->lines);
	if (r < 0)
		return lw_cmd_unreachable(t->cmd, &t->client, r);
	code = begin(t);
	if (code != LW_EXIT_OK)
		return code;
	if (!t->client.json) {
		lw_show_trace_begin(&t->show);
		(void)fflush(stdout);
	}
	r = follow(t, stop_fd);
	(void)fflush(stdout);
	(void)fprintf(
		stderr,
		"laneway trace: %llu hops; lost: %lld to a full ring, %lld to a slow reader\n",
		(unsigned long long)t->shown, (long long)t->ring, (long long)t->reader);
	if (r == 0)
		return LW_EXIT_OK;
	lw_cmd_error(t->cmd, r == -EPIPE ? "the agent has ended" : "read from the agent: %s",
		     strerror(-r));
	return LW_EXIT_NO_AGENT;
}

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum {
		OPT_LANE = LW_OPT_OWN,
		OPT_BASE,
		OPT_WORKLOAD,
		OPT_FROM,
		OPT_TRACE_ID,
		OPT_SAMPLE,
		OPT_COUNT
	};
	static const struct option options[] = {
		LW_CMD_CLIENT_LONG,
		{ "lane", required_argument, NULL, OPT_LANE },
		{ "base", no_argument, NULL, OPT_BASE },
		{ "workload", required_argument, NULL, OPT_WORKLOAD },
		{ "from", required_argument, NULL, OPT_FROM },
		{ "trace-id", required_argument, NULL, OPT_TRACE_ID },
		{ "sample", required_argument, NULL, OPT_SAMPLE },
		{ "count", required_argument, NULL, OPT_COUNT },
		{}
	};
	struct trace t = { .cmd = cmd, .client = LW_CMD_CLIENT_INIT };
	_cleanup_json_ struct json_object *request = lw_json_new_object(NULL, NULL);
	struct lw_addr addr;
	enum lw_exit code;
	uint64_t number;
	int opt;

	lw_json_add_str(request, "cmd", cmd->name);
	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT, options, NULL)) != -1) {
		switch (opt) {
		case OPT_LANE:
			lw_json_add_str(request, "lane", optarg);
			break;
		case OPT_BASE:
			lw_json_add_bool(request, "base", true);
			break;
		case OPT_WORKLOAD:
			lw_json_add_str(request, "workload", optarg);
			break;
		case OPT_FROM:
			if (lw_addr_parse(optarg, &addr) < 0)
				return lw_cmd_usage(cmd, "--from is an IP address, not '%s'",
						    optarg);
			lw_json_add_str(request, "from", optarg);
			break;
		case OPT_TRACE_ID:
			lw_json_add_str(request, "trace_id", optarg);
			break;
		case OPT_SAMPLE:
			if (lw_str_u64(optarg, 1000000, &number) < 0 || number == 0)
				return lw_cmd_usage(cmd, "--sample is 1 to 1000000, not '%s'",
						    optarg);
			lw_json_add_int(request, "sample", (int64_t)number);
			break;
		case OPT_COUNT:
			if (lw_str_u64(optarg, INT64_MAX, &t.count) < 0 || t.count == 0)
				return lw_cmd_usage(
					cmd, "--count is a number of hops, 1 or more, not '%s'",
					optarg);
			break;
		default:
			if (!lw_cmd_client_option(cmd, &t.client, opt, &code))
				return code;
		}
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	code = trace(&t, TAKE_PTR(request));
	lw_control_close(&t.lines);
	return code;
}

const struct lw_cmd lw_cmd_trace = {
	.name = "trace",
	.usage =
		"[--lane NAME] [--base] [--workload W] [--from IP] [--trace-id ID] [--sample N] [--count N] [-o json]",
	.summary = "follow requests live as this node's pods send them, one line a hop",
	.help = "Shows the requests of all lanes, as they are sent on: by which pod, to which address it\n"
		"asked for, to which pod they went, in which lane, on what evidence, and what became of\n"
		"them (see laneway stats). Ends with --count, SIGINT or SIGTERM; then says on stderr how\n"
		"many hops were lost: rather than hold up a request, what does not fit is not told.\n"
		"With the evidence stands the header that it was read in, of tags and traces.\n"
		"Costs nothing while nobody traces. Paths are shown without their query.\n"
		"\n"
		"      --lane NAME           requests of this lane only (\"base\" for base)\n"
		"      --base                base requests as well\n"
		"      --workload W          requests to this workload only: ns/Kind/name, ns/name or name\n"
		"      --from IP             requests of the client with this address only\n"
		"      --trace-id ID         requests with this trace id only, as column TRACE shows it\n"
		"      --sample N            one of N requests (1)\n"
		"      --count N             end after N hops\n" LW_CMD_CLIENT_HELP "\n"
		"Example\n"
		"  laneway trace --lane gray\n",
	.run = run,
};
