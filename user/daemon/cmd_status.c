/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "daemon/cmd.h"
#include "daemon/json.h"
#include "daemon/show.h"

#define POLL_MS 50

enum { OPT_WAIT = LW_OPT_OWN, OPT_ALIVE, OPT_BRIEF };

struct question {
	struct lw_cmd_client client;
	bool brief;
};

static enum lw_exit finish(const struct question *q, struct json_object *data)
{
	if (q->client.json)
		lw_show_json(data);
	else if (q->brief)
		lw_show_steering(data);
	else
		lw_show_status(data);
	if (lw_json_bool(data, "steering"))
		return LW_EXIT_OK;
	return strcmp(lw_json_str(data, "mode"), "none") == 0 ? LW_EXIT_SYSTEM : LW_EXIT_NO;
}

static struct json_object *status_request(bool brief)
{
	struct json_object *request = lw_json_new_object(NULL, NULL);

	lw_json_add_str(request, "cmd", "status");
	if (brief)
		lw_json_add_bool(request, "brief", true);
	return request;
}

/* It cannot become another answer than this. */
static bool is_final(struct json_object *data)
{
	return lw_json_bool(data, "steering") || strcmp(lw_json_str(data, "mode"), "none") == 0;
}

/* Asks until the answer is yes, cannot become yes, or the time is up; briefly, and for what is printed once more. */
static enum lw_exit wait_steering(const struct lw_cmd *cmd, const struct question *q,
				  unsigned int wait_ms)
{
	uint64_t deadline_ns = lw_clock_ns() + wait_ms * LW_NS_PER_MS;
	bool brief = true;

	for (;;) {
		_cleanup_json_ struct json_object *data = NULL;
		struct timespec pause = { .tv_nsec = POLL_MS * LW_NS_PER_MS };
		struct lw_cmd_client attempt = q->client;
		uint64_t now = lw_clock_ns();
		uint64_t left_ms = now < deadline_ns ? (deadline_ns - now) / LW_NS_PER_MS + 1 : 1;
		char error[256];
		int r;

		if (attempt.timeout_ms > left_ms && brief)
			attempt.timeout_ms = (unsigned int)left_ms;
		r = lw_cmd_try(&attempt, status_request(brief), &data, error, sizeof(error));
		if (r == 0 && is_final(data)) {
			if (!brief || q->brief)
				return finish(q, data);
			brief = false;
			continue;
		}
		if (lw_clock_ns() >= deadline_ns) {
			if (r == 0 && brief && !q->brief) {
				brief = false;
				continue;
			}
			if (r == 0) {
				(void)finish(q, data);
				lw_cmd_error(cmd, "not steering after %u ms", wait_ms);
				return LW_EXIT_NO;
			}
			lw_cmd_error(cmd, "no agent at '%s' after %u ms: %s", q->client.socket,
				     wait_ms, r == -EPROTO ? error : strerror(-r));
			return LW_EXIT_NO_AGENT;
		}
		brief = true;
		(void)nanosleep(&pause, NULL);
	}
}

/* That there is an answer is the answer, also where an agent of another version knows no such question. */
static enum lw_exit alive(const struct lw_cmd *cmd, const struct lw_cmd_client *client)
{
	_cleanup_json_ struct json_object *data = NULL;
	struct json_object *request = lw_json_new_object(NULL, NULL);
	char error[256];
	int r;

	lw_json_add_str(request, "cmd", "ping");
	r = lw_cmd_try(client, request, &data, error, sizeof(error));
	return r == 0 || r == -EPROTO ? LW_EXIT_OK : lw_cmd_unreachable(cmd, client, r);
}

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	static const struct option options[] = { LW_CMD_CLIENT_LONG,
						 { "wait", required_argument, NULL, OPT_WAIT },
						 { "alive", no_argument, NULL, OPT_ALIVE },
						 { "brief", no_argument, NULL, OPT_BRIEF },
						 {} };
	struct question q = { .client = LW_CMD_CLIENT_INIT };
	_cleanup_json_ struct json_object *data = NULL;
	unsigned int wait_ms = 0;
	bool wait = false, is_alive = false;
	enum lw_exit code;
	int opt;

	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT, options, NULL)) != -1) {
		if (opt == OPT_WAIT) {
			if (lw_cmd_parse_seconds(optarg, &wait_ms) < 0)
				return lw_cmd_usage(cmd, "--wait is a number of seconds, not '%s'",
						    optarg);
			wait = true;
		} else if (opt == OPT_ALIVE) {
			is_alive = true;
		} else if (opt == OPT_BRIEF) {
			q.brief = true;
		} else if (!lw_cmd_client_option(cmd, &q.client, opt, &code)) {
			return code;
		}
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	if (wait && is_alive)
		return lw_cmd_usage(cmd, "--wait and --alive are two questions");
	if (is_alive)
		return alive(cmd, &q.client);
	if (wait)
		return wait_steering(cmd, &q, wait_ms);
	code = lw_cmd_ask(cmd, &q.client, status_request(q.brief), &data);
	return code == LW_EXIT_OK ? finish(&q, data) : code;
}

const struct lw_cmd lw_cmd_status = {
	.name = "status",
	.usage = "[--wait SECONDS | --alive] [--brief] [-o json]",
	.summary = "is the agent steering, how, and by which state",
	.help = "Prints the mode the self-tests chose, the programs attached, the generation of the\n"
		"state in force, what was found in the state's files, and counts: rows of the maps, of which\n"
		"a pod has one for each address, and connections.\n"
		"The agent looks at its files before it answers, so that with --wait a script may\n"
		"change them and go on when the change is in force.\n"
		"\n"
		"Exit code: 0 when requests are steered by the current state, 1 when not (yet),\n"
		"3 when there is no agent, 4 when no safe way of steering exists on this kernel.\n"
		"\n"
		"      --alive               print nothing, and leave with 0 if the agent answers at all; costs\n"
		"                            the agent nothing, for a liveness probe\n"
		"      --brief               the first two lines alone, which cost the agent no look at the\n"
		"                            kernel's tables, for a readiness probe; the same exit codes\n"
		"      --wait SECONDS        ask until the answer is yes, so long at most\n" LW_CMD_CLIENT_HELP,
	.run = run,
};
