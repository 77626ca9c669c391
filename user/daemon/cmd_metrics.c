/* SPDX-License-Identifier: Apache-2.0 */
/* `laneway metrics`: Prometheus text, once, or by HTTP for as long as the command runs. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "daemon/cmd.h"
#include "daemon/exporter.h"
#include "daemon/json.h"
#include "daemon/metrics.h"

/* The answers of the agent to both questions. 0, or as lw_cmd_try(). */
static int ask(const struct lw_cmd_client *client, struct json_object **ret_status,
	       struct json_object **ret_stats, char *error, size_t size)
{
	static const char *const questions[] = { "status", "stats" };
	struct json_object **answers[] = { ret_status, ret_stats };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		struct json_object *request = lw_json_new_object(NULL, NULL);

		lw_json_add_str(request, "cmd", questions[i]);
		r = lw_cmd_try(client, request, answers[i], error, size);
	}
	return r;
}

static enum lw_exit print(const struct lw_cmd *cmd, const struct lw_cmd_client *client)
{
	_cleanup_json_ struct json_object *status = NULL, *stats = NULL;
	_cleanup_free_ char *text = NULL;
	char error[256];
	int r = ask(client, &status, &stats, error, sizeof(error));

	if (r == -EPROTO) {
		lw_cmd_error(cmd, "%s", error);
		return LW_EXIT_NO;
	}
	if (r < 0)
		return lw_cmd_unreachable(cmd, client, r);
	text = lw_metrics_text(status, stats);
	if (!text) {
		lw_cmd_error(cmd, "out of memory");
		return LW_EXIT_SYSTEM;
	}
	(void)fputs(text, stdout);
	return LW_EXIT_OK;
}

static char *text_of(void *arg, char *error, size_t size)
{
	_cleanup_json_ struct json_object *status = NULL, *stats = NULL;
	const struct lw_cmd_client *client = arg;
	char *text;
	int r = ask(client, &status, &stats, error, size);

	if (r < 0) {
		if (r != -EPROTO)
			(void)snprintf(error, size, "ask the agent at '%s': %s", client->socket,
				       strerror(-r));
		return NULL;
	}
	text = lw_metrics_text(status, stats);
	if (!text)
		(void)snprintf(error, size, "out of memory");
	return text;
}

static enum lw_exit serve(const struct lw_cmd *cmd, struct lw_cmd_client *client,
			  const char *listen)
{
	struct lw_exporter *exporter = NULL;
	struct lw_addr addr;
	uint16_t port;
	sigset_t ends;
	int r, sig;

	if (lw_addr_parse_port(listen, &addr, &port) < 0)
		return lw_cmd_usage(cmd, "--listen is IP:PORT, not '%s'", listen);
	(void)signal(SIGPIPE, SIG_IGN);
	/* before there is a thread, which has them blocked, too */
	(void)sigemptyset(&ends);
	(void)sigaddset(&ends, SIGTERM);
	(void)sigaddset(&ends, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &ends, NULL);
	r = lw_exporter_start(&addr, port, text_of, client, &exporter);
	if (r < 0) {
		lw_cmd_error(cmd, "listen on %s: %s", listen, strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	(void)fprintf(stderr, "laneway metrics: GET /metrics on %s\n", listen);
	(void)sigwait(&ends, &sig);
	lw_exporter_stop(&exporter);
	return LW_EXIT_OK;
}

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum { OPT_LISTEN = LW_OPT_OWN };
	static const struct option options[] = { LW_CMD_CLIENT_LONG,
						 { "listen", required_argument, NULL, OPT_LISTEN },
						 {} };
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	const char *listen = NULL;
	enum lw_exit code;
	int opt;

	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT, options, NULL)) != -1) {
		if (opt == OPT_LISTEN)
			listen = optarg;
		else if (!lw_cmd_client_option(cmd, &client, opt, &code))
			return code;
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	if (client.json)
		return lw_cmd_usage(cmd,
				    "it prints Prometheus text; 'status' and 'stats' have -o json");
	return listen ? serve(cmd, &client, listen) : print(cmd, &client);
}

const struct lw_cmd lw_cmd_metrics = {
	.name = "metrics",
	.usage = "[--listen IP:PORT]",
	.summary = "status and counters as Prometheus text",
	.help = "Prints it once, for the node exporter's textfile collector, e.g.\n"
		"  laneway metrics >laneway.prom.new && mv laneway.prom.new laneway.prom\n"
		"or, with --listen, serves it: GET /metrics by HTTP, for as long as the command runs. That\n"
		"needs no right but to the control socket, and asks the agent once a second at most;\n"
		"while there is no agent the answer is 503.\n"
		"\n"
		"laneway_selftest_ok and laneway_kept_out_* say what this kernel allows and who is\n"
		"left alone for it, laneway_decisions_total what became of requests.\n"
		"\n"
		"      --listen IP:PORT      serve it there; 0.0.0.0 and [::] are all addresses. Whoever can\n"
		"                            connect can read it\n" LW_CMD_SOCKET_HELP,
	.run = run,
};
