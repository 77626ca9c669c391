/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "daemon/cmd.h"

static const struct lw_cmd *const commands[] = {
	&lw_cmd_agent,	   &lw_cmd_check, &lw_cmd_status,  &lw_cmd_lanes,
	&lw_cmd_endpoints, &lw_cmd_flows, &lw_cmd_stats,   &lw_cmd_metrics,
	&lw_cmd_explain,   &lw_cmd_trace, &lw_cmd_cleanup,
};

static const char about[] =
	"laneway keeps each request of a release in its lane: requests that belong to the canary go\n"
	"to the canary of every service that has one, all others never touch it. It does so in the\n"
	"kernel, per request, without a sidecar and without a change to the applications.\n";

static const char exits[] =
	"Exit codes\n"
	"  0  done; the answer is yes\n"
	"  1  the answer is no, or objects have errors; another agent is at work\n"
	"  2  the command line is wrong\n"
	"  3  the agent cannot be reached\n"
	"  4  the system or the kernel cannot do it\n"
	"  5  the agent failed for another reason, and another try may do better\n";

static const char start[] =
	"To begin\n"
	"  laneway check DIR            what would be steered, and what is wrong\n"
	"  laneway agent --state DIR    steer (root)\n"
	"  laneway status --wait 10     wait until it does\n"
	"  laneway lanes                who is in which lane\n";

static const struct lw_cmd *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_overview(FILE *out)
{
	(void)fprintf(out, "Usage: laneway COMMAND [OPTION...]\n\n%s\nCommands\n", about);
	for (size_t i = 0; i < sizeof(commands) / sizeof(*commands); i++)
		(void)fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	(void)fprintf(out, "  %-10s %s\n  %-10s %s\n\n%s\n%s\n", "help",
		      "laneway help COMMAND: what it does, its options, examples", "version",
		      "the version", start, exits);
}

static enum lw_exit too_many(const char *arg)
{
	(void)fprintf(stderr, "laneway: '%s' is one argument too many\nTry: laneway help\n", arg);
	return LW_EXIT_USAGE;
}

static enum lw_exit help(int argc, char **argv)
{
	const struct lw_cmd *cmd;

	if (argc > 2)
		return too_many(argv[2]);
	/* what the overview lists, and what says no more than it does */
	if (argc < 2 || !strcmp(argv[1], "help") || !strcmp(argv[1], "version")) {
		print_overview(stdout);
		return LW_EXIT_OK;
	}
	cmd = find(argv[1]);
	if (!cmd) {
		(void)fprintf(stderr, "laneway: no command '%s'\nTry: laneway help\n", argv[1]);
		return LW_EXIT_USAGE;
	}
	return lw_cmd_help(cmd);
}

static enum lw_exit dispatch(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	static char called[64];
	const struct lw_cmd *cmd;

	if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
		return help(argc - 1, argv + 1);
	if (strcmp(name, "version") == 0 || strcmp(name, "--version") == 0) {
		if (argc > 2)
			return too_many(argv[2]);
		(void)printf("laneway %s\n", LW_VERSION);
		return LW_EXIT_OK;
	}
	if (!*name) {
		print_overview(stderr);
		return LW_EXIT_USAGE;
	}
	cmd = find(name);
	if (!cmd) {
		(void)fprintf(stderr, "laneway: no command '%s'\nTry: laneway help\n", name);
		return LW_EXIT_USAGE;
	}
	/* What getopt_long() begins its complaints with. */
	(void)snprintf(called, sizeof(called), "laneway %s", cmd->name);
	argv[1] = called;
	return cmd->run(cmd, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	enum lw_exit code = dispatch(argc, argv);

	/* A full disk or a closed pipe must not pass for an answer. */
	if (fflush(stdout) != 0 || ferror(stdout)) {
		(void)fprintf(stderr, "laneway: writing the output failed\n");
		if (code == LW_EXIT_OK)
			code = LW_EXIT_SYSTEM;
	}
	return (int)code;
}
