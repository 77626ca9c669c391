/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The subcommands: what each is called, its help, and what they share on the command line.
 */
#include <getopt.h>
#include <stdbool.h>

#include "daemon/control.h"

struct json_object;

/* What the program exits with. */
enum lw_exit {
	LW_EXIT_OK = 0,
	LW_EXIT_NO = 1, /* the answer is no, or objects have errors; another agent is at work */
	LW_EXIT_USAGE = 2,
	LW_EXIT_NO_AGENT = 3, /* the agent cannot be reached */
	LW_EXIT_SYSTEM = 4, /* the system or the kernel cannot do it */
	LW_EXIT_FAILED = 5, /* the agent has failed for another reason: another try may do better */
};

struct lw_cmd {
	const char *name;
	const char *usage; /* after "laneway NAME " */
	const char *summary; /* one line */
	const char *help; /* what it does and what to do with it */
	enum lw_exit (*run)(const struct lw_cmd *cmd, int argc, char **argv);
};

extern const struct lw_cmd lw_cmd_agent, lw_cmd_check, lw_cmd_status, lw_cmd_lanes,
	lw_cmd_endpoints, lw_cmd_flows, lw_cmd_stats, lw_cmd_metrics, lw_cmd_explain, lw_cmd_trace,
	lw_cmd_cleanup;

/* Prints how the command is used on stdout. LW_EXIT_OK, for `return`. */
enum lw_exit lw_cmd_help(const struct lw_cmd *cmd);
/* "laneway NAME: ..." and where to read on, on stderr. LW_EXIT_USAGE, for `return`. */
enum lw_exit lw_cmd_usage(const struct lw_cmd *cmd, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* "laneway NAME: ..." on stderr. */
void lw_cmd_error(const struct lw_cmd *cmd, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Options of every command that asks the agent. */
struct lw_cmd_client {
	const char *socket;
	bool json;
	unsigned int timeout_ms;
};
#define LW_CMD_CLIENT_INIT                                    \
	{                                                     \
		.socket = LW_CONTROL_PATH, .timeout_ms = 5000 \
	}
#define LW_CMD_CLIENT_SHORT "ho:s:"
/* Values of long options without a letter; commands start their own at LW_OPT_OWN. */
enum { LW_OPT_TIMEOUT = 1000, LW_OPT_OWN = 1100 };
/* clang-format off */
#define LW_CMD_CLIENT_LONG                                    \
	{ "help", no_argument, NULL, 'h' },                   \
	{ "output", required_argument, NULL, 'o' },           \
	{ "socket", required_argument, NULL, 's' },           \
	{ "timeout", required_argument, NULL, LW_OPT_TIMEOUT }
/* clang-format on */
#define LW_CMD_CLIENT_HELP \
	"  -o, --output table|json   how to print the answer (table)\n" LW_CMD_SOCKET_HELP
/* of a command that prints in one way */
#define LW_CMD_SOCKET_HELP                                                               \
	"  -s, --socket PATH         the agent's control socket (" LW_CONTROL_PATH ")\n" \
	"      --timeout SECONDS     how long to wait for an answer (5)\n"               \
	"  -h, --help                this text\n"

/*
 * One option of the shared set. True: go on with the next. False: *ret_exit says what to leave with
 * (after --help, a bad value, or an option that is not of the set).
 */
bool lw_cmd_client_option(const struct lw_cmd *cmd, struct lw_cmd_client *client, int opt,
			  enum lw_exit *ret_exit);
/* All the options and no argument: for commands that have none of their own. As above. */
bool lw_cmd_client_parse(const struct lw_cmd *cmd, struct lw_cmd_client *client, int argc,
			 char **argv, enum lw_exit *ret_exit);
/* "3", "0.5": seconds as milliseconds, at most a day. 0 or -EINVAL. */
int lw_cmd_parse_seconds(const char *s, unsigned int *ret_ms);

#define LW_CMD_UNTRUSTED_MAX 16
/* --untrusted: adds text, which stays the caller's, to a list that has room for so many. False: the usage has been told. */
bool lw_cmd_add_untrusted(const struct lw_cmd *cmd, const char *text, const char **list, size_t *n);
/* --tag-header: can it carry a lane? False: the usage has been told. */
bool lw_cmd_tag_header_ok(const struct lw_cmd *cmd, const char *name);

/*
 * Sends {"cmd": ...} and hands over the "data" of the answer. Takes request. LW_EXIT_OK, or what to
 * leave with; the reason has then been printed.
 */
enum lw_exit lw_cmd_ask(const struct lw_cmd *cmd, const struct lw_cmd_client *client,
			struct json_object *request, struct json_object **ret_data);
/* Why the agent could not be asked, on stderr. LW_EXIT_NO_AGENT, for `return`. */
enum lw_exit lw_cmd_unreachable(const struct lw_cmd *cmd, const struct lw_cmd_client *client,
				int error);
/* lw_cmd_ask(), but quiet: 0 or -errno; -EPROTO when the agent answered with an error or nonsense. */
int lw_cmd_try(const struct lw_cmd_client *client, struct json_object *request,
	       struct json_object **ret_data, char *ret_error, size_t error_size);
