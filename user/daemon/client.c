/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/str.h"
#include "daemon/cmd.h"
#include "daemon/json.h"

int lw_cmd_parse_seconds(const char *s, unsigned int *ret_ms)
{
	double seconds;
	char *end;

	/* strtod() takes blanks, signs, "inf" and hexadecimal; a number of seconds is none of those. */
	if (!*s || strspn(s, "0123456789.") != strlen(s))
		return -EINVAL;
	seconds = strtod(s, &end);
	if (*end || end == s || seconds > 86400)
		return -EINVAL;
	*ret_ms = (unsigned int)ceil(seconds * 1000);
	return 0;
}

bool lw_cmd_client_option(const struct lw_cmd *cmd, struct lw_cmd_client *client, int opt,
			  enum lw_exit *ret_exit)
{
	switch (opt) {
	case 'h':
		*ret_exit = lw_cmd_help(cmd);
		return false;
	case 'o':
		if (strcmp(optarg, "json") != 0 && strcmp(optarg, "table") != 0) {
			*ret_exit =
				lw_cmd_usage(cmd, "--output is table or json, not '%s'", optarg);
			return false;
		}
		client->json = strcmp(optarg, "json") == 0;
		return true;
	case 's':
		client->socket = optarg;
		return true;
	case LW_OPT_TIMEOUT:
		if (lw_cmd_parse_seconds(optarg, &client->timeout_ms) < 0) {
			*ret_exit = lw_cmd_usage(cmd, "--timeout is a number of seconds, not '%s'",
						 optarg);
			return false;
		}
		return true;
	default:
		/* getopt_long() has said what is wrong. */
		(void)fprintf(stderr, "Try: laneway help %s\n", cmd->name);
		*ret_exit = LW_EXIT_USAGE;
		return false;
	}
}

bool lw_cmd_client_parse(const struct lw_cmd *cmd, struct lw_cmd_client *client, int argc,
			 char **argv, enum lw_exit *ret_exit)
{
	static const struct option options[] = { LW_CMD_CLIENT_LONG, {} };
	int opt;

	while ((opt = getopt_long(argc, argv, LW_CMD_CLIENT_SHORT, options, NULL)) != -1)
		if (!lw_cmd_client_option(cmd, client, opt, ret_exit))
			return false;
	if (optind < argc) {
		*ret_exit = lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);
		return false;
	}
	return true;
}

int lw_cmd_try(const struct lw_cmd_client *client, struct json_object *request,
	       struct json_object **ret_data, char *ret_error, size_t error_size)
{
	_cleanup_json_ struct json_object *owned = request, *reply = NULL;
	_cleanup_free_ char *line = NULL;
	const char *error;
	struct json_object *data;
	int r;

	r = lw_control_call(client->socket,
			    json_object_to_json_string_ext(owned, JSON_C_TO_STRING_PLAIN),
			    client->timeout_ms, &line);
	if (r < 0)
		return r;
	reply = json_tokener_parse(line);
	data = lw_json_get(reply, "data");
	if (data) {
		*ret_data = json_object_get(data);
		return 0;
	}
	error = lw_json_str(reply, "error");
	if (*error)
		(void)lw_str_copy(ret_error, error_size, error);
	else
		(void)snprintf(
			ret_error, error_size,
			"the answer of '%s' makes no sense: is that an agent of another version?",
			client->socket);
	return -EPROTO;
}

enum lw_exit lw_cmd_unreachable(const struct lw_cmd *cmd, const struct lw_cmd_client *client,
				int error)
{
	switch (error) {
	case -ENOENT:
	case -ECONNREFUSED:
		lw_cmd_error(cmd, "no agent at '%s'; start one: laneway agent --state DIR",
			     client->socket);
		break;
	case -E2BIG:
		lw_cmd_error(
			cmd,
			"expected at most %d bytes to ask the agent with, all headers together",
			LW_CONTROL_REQUEST_MAX);
		return LW_EXIT_USAGE;
	case -ETIMEDOUT:
		lw_cmd_error(cmd, "the agent at '%s' did not answer in %u ms", client->socket,
			     client->timeout_ms);
		break;
	default:
		lw_cmd_error(cmd, "ask the agent at '%s': %s", client->socket, strerror(-error));
		break;
	}
	return LW_EXIT_NO_AGENT;
}

enum lw_exit lw_cmd_ask(const struct lw_cmd *cmd, const struct lw_cmd_client *client,
			struct json_object *request, struct json_object **ret_data)
{
	char error[256];
	int r;

	r = lw_cmd_try(client, request, ret_data, error, sizeof(error));
	if (r == 0)
		return LW_EXIT_OK;
	if (r != -EPROTO)
		return lw_cmd_unreachable(cmd, client, r);
	lw_cmd_error(cmd, "%s", error);
	return LW_EXIT_NO;
}
