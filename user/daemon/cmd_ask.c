/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands that ask one question of the agent and print the answer.
 */
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "base/str.h"
#include "daemon/cmd.h"
#include "daemon/json.h"
#include "daemon/show.h"

static struct json_object *new_request(const struct lw_cmd *cmd)
{
	struct json_object *request = lw_json_new_object(NULL, NULL);

	lw_json_add_str(request, "cmd", cmd->name);
	return request;
}

/* Takes request. */
static enum lw_exit ask_and_show(const struct lw_cmd *cmd, const struct lw_cmd_client *client,
				 struct json_object *request, void (*show)(struct json_object *))
{
	_cleanup_json_ struct json_object *data = NULL;
	enum lw_exit code;

	code = lw_cmd_ask(cmd, client, request, &data);
	if (code != LW_EXIT_OK)
		return code;
	if (client->json)
		lw_show_json(data);
	else
		show(data);
	return LW_EXIT_OK;
}

static enum lw_exit run_plain(const struct lw_cmd *cmd, int argc, char **argv,
			      void (*show)(struct json_object *))
{
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	enum lw_exit code;

	if (!lw_cmd_client_parse(cmd, &client, argc, argv, &code))
		return code;
	return ask_and_show(cmd, &client, new_request(cmd), show);
}

static enum lw_exit run_lanes(const struct lw_cmd *cmd, int argc, char **argv)
{
	return run_plain(cmd, argc, argv, lw_show_lanes);
}

static enum lw_exit run_endpoints(const struct lw_cmd *cmd, int argc, char **argv)
{
	return run_plain(cmd, argc, argv, lw_show_endpoints);
}

static enum lw_exit run_stats(const struct lw_cmd *cmd, int argc, char **argv)
{
	return run_plain(cmd, argc, argv, lw_show_stats);
}

static enum lw_exit run_flows(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum { OPT_LIMIT = LW_OPT_OWN };
	static const struct option options[] = { LW_CMD_CLIENT_LONG,
						 { "limit", required_argument, NULL, OPT_LIMIT },
						 {} };
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	struct json_object *request;
	uint64_t limit = 1000;
	enum lw_exit code;
	int opt;

	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT, options, NULL)) != -1) {
		if (opt == OPT_LIMIT) {
			if (lw_str_u64(optarg, LW_MAX_FLOWS, &limit) < 0)
				return lw_cmd_usage(cmd, "--limit is 0 to %d, not '%s'",
						    LW_MAX_FLOWS, optarg);
		} else if (!lw_cmd_client_option(cmd, &client, opt, &code)) {
			return code;
		}
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	request = new_request(cmd);
	lw_json_add_int(request, "limit", (int64_t)limit);
	return ask_and_show(cmd, &client, request, lw_show_flows);
}

static enum lw_exit run_explain(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum { OPT_FROM = LW_OPT_OWN, OPT_TO, OPT_PATH };
	static const struct option options[] = { LW_CMD_CLIENT_LONG,
						 { "from", required_argument, NULL, OPT_FROM },
						 { "to", required_argument, NULL, OPT_TO },
						 { "path", required_argument, NULL, OPT_PATH },
						 { "header", required_argument, NULL, 'H' },
						 {} };
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	_cleanup_json_ struct json_object *request = new_request(cmd), *data = NULL;
	struct json_object *headers = lw_json_new_array(request, "headers");
	const char *from = NULL, *to = NULL, *path = "/";
	struct lw_addr addr;
	enum lw_exit code;
	uint16_t port;
	int opt;

	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT "H:", options, NULL)) != -1) {
		switch (opt) {
		case OPT_FROM:
			from = optarg;
			break;
		case OPT_TO:
			to = optarg;
			break;
		case OPT_PATH:
			path = optarg;
			break;
		case 'H':
			if (optarg[0] == ':' || !strchr(optarg, ':') || strpbrk(optarg, "\r\n"))
				return lw_cmd_usage(cmd, "-H is 'Name: value', not '%s'", optarg);
			lw_json_add_str(headers, NULL, optarg);
			break;
		default:
			if (!lw_cmd_client_option(cmd, &client, opt, &code))
				return code;
		}
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
	if (!from || !to)
		return lw_cmd_usage(cmd, "--from IP and --to IP:PORT are needed");
	if (lw_addr_parse(from, &addr) < 0)
		return lw_cmd_usage(cmd, "--from is an IP address, not '%s'", from);
	if (lw_addr_parse_port(to, &addr, &port) < 0)
		return lw_cmd_usage(cmd, "--to is IP:PORT or [IPv6]:PORT, not '%s'", to);
	lw_json_add_str(request, "from", from);
	lw_json_add_str(request, "to", to);
	lw_json_add_str(request, "path", path);

	code = lw_cmd_ask(cmd, &client, TAKE_PTR(request), &data);
	if (code != LW_EXIT_OK)
		return code;
	if (client.json)
		lw_show_json(data);
	else
		lw_show_explain(data);
	return lw_json_bool(data, "known") ? LW_EXIT_OK : LW_EXIT_NO;
}

const struct lw_cmd lw_cmd_lanes = {
	.name = "lanes",
	.usage = "[-o json]",
	.summary = "the lanes, the workloads in each, and what lets a request in",
	.help = "A lane is open for a workload while its release has pods in it. Requests of a lane use\n"
		"the lane's ready pods of every workload that has some and base pods of all others.\n"
		"BASE and CANARY are pods that are ready, of how many there are; '-' where none is known,\n"
		"as between releases with an API server as the source.\n"
		"\n" LW_CMD_CLIENT_HELP,
	.run = run_lanes,
};

const struct lw_cmd lw_cmd_endpoints = {
	.name = "endpoints",
	.usage = "[-o json]",
	.summary = "the pods requests may go to, by workload and lane",
	.help = "Pods of workloads in release. To one that is not ready, or is being deleted, no request\n"
		"is steered, and requests it is working on finish. A base pod goes on being asked over\n"
		"connections that its clients have to it, until they or it close them.\n"
		"\n" LW_CMD_CLIENT_HELP,
	.run = run_endpoints,
};

const struct lw_cmd lw_cmd_flows = {
	.name = "flows",
	.usage = "[--limit N] [-o json]",
	.summary = "connections now enrolled, and where the last request of each went",
	.help = "One line a connection of a client on this node to a workload with an open lane.\n"
		"ASKED FOR is the address the application connected to, POD where its last request\n"
		"went, ROUTE how: peer (its own connection), up (through an upstream socket), punt (by\n"
		"the agent, until an upstream socket is ready). EVIDENCE is why its last request is in its\n"
		"lane, with the header that says so: tag (x-mse-tag). A STATE that begins with 'opaque' says\n"
		"why requests of this connection are no longer looked at.\n"
		"\n"
		"      --limit N             connections to print (1000)\n" LW_CMD_CLIENT_HELP,
	.run = run_flows,
};

const struct lw_cmd lw_cmd_stats = {
	.name = "stats",
	.usage = "[-o json]",
	.summary = "decisions by workload, lane, evidence and reason",
	.help = "Since the agent started, or the first of those that handed over to each other. EVIDENCE is\n"
		"why the request is in its lane, REASON what became of it; each reason is\n"
		"explained below the table. 'ok' and 'pool-empty' went to their lane, and 'no-endpoint'\n"
		"to base, as the lane has no ready pod; all else is a miss. 'unreachable' tells how many\n"
		"that the agent carried no pod took. It is counted besides, as are reasons about a connection,\n"
		"such as 'opaque-...': a sum of all counts such requests twice.\n"
		"The second table has the requests of each workload by evidence; those that were\n"
		"ambiguous went to base.\n"
		"\n" LW_CMD_CLIENT_HELP,
	.run = run_stats,
};

const struct lw_cmd lw_cmd_explain = {
	.name = "explain",
	.usage = "--from IP --to IP:PORT [-H 'Name: value']... [--path P] [-o json]",
	.summary = "what would be decided for a request, and by which rule of which object",
	.help = "Nothing is sent. Weights are told, not thrown. Of what the agent learns at run time, trace\n"
		"ids given with -H are looked up; on what a thread of the client is at work when it\n"
		"sends cannot be known before, and what its processes are at work on now is told.\n"
		"Exit code 1: the destination belongs to no workload in release.\n"
		"\n"
		"      --from IP             the client's own address\n"
		"      --to IP:PORT          the address it connects to: a pod's or a ClusterIP\n"
		"  -H, --header 'N: value'   a header of the request; may be given often\n"
		"      --path P              the request's path and query (/)\n" LW_CMD_CLIENT_HELP
		"\n"
		"Example\n"
		"  laneway explain --from 10.0.0.7 --to 10.96.0.12:8080 -H 'User-Agent: xiaoming'\n"
		"  laneway explain --from 10.0.0.7 --to 10.96.0.12:8080 \\\n"
		"    -H 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'\n",
	.run = run_explain,
};
