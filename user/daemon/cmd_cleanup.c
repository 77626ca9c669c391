/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/agent.h"
#include "daemon/cmd.h"
#include "kern/kern.h"

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum { OPT_BPFFS = LW_OPT_OWN };
	static const struct option options[] = {
		{ "bpffs", required_argument, NULL, OPT_BPFFS },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	const char *bpffs = NULL, *socket = LW_CONTROL_PATH;
	_cleanup_(lw_agent_unlock) struct lw_agent_locks locks = LW_AGENT_LOCKS_INIT;
	_cleanup_closedir_ DIR *d = NULL;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "hs:", options, NULL)) != -1) {
		switch (opt) {
		case OPT_BPFFS:
			bpffs = optarg;
			break;
		case 's':
			socket = optarg;
			break;
		case 'h':
			return lw_cmd_help(cmd);
		default:
			(void)fprintf(stderr, "Try: laneway help %s\n", cmd->name);
			return LW_EXIT_USAGE;
		}
	}
	if (optind < argc)
		return lw_cmd_usage(cmd, "'%s' is one argument too many", argv[optind]);

	/* mistyped, it would pass for one with nothing left */
	d = bpffs ? opendir(bpffs) : NULL;
	if (bpffs && !d) {
		lw_cmd_error(cmd, "open '%s': %s", bpffs, strerror(errno));
		return LW_EXIT_SYSTEM;
	}
	r = lw_agent_lock(socket, bpffs, &locks);
	if (r == -EBUSY) {
		lw_cmd_error(cmd, "an agent is running; stop it, it cleans up after itself");
		return LW_EXIT_NO;
	}
	if (r < 0) {
		lw_cmd_error(cmd, "lock '%s.lock': %s", socket, strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	r = lw_kern_cleanup(bpffs);
	if (r < 0) {
		lw_cmd_error(cmd, "remove what an agent left: %s", strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	(void)printf("%d removed\n", r);
	return LW_EXIT_OK;
}

const struct lw_cmd lw_cmd_cleanup = {
	.name = "cleanup",
	.usage = "[--bpffs DIR] [--socket PATH]",
	.summary = "remove every pin and program an agent that was killed left behind",
	.help = "An agent that is stopped with SIGTERM leaves nothing (but see its --leave-hooks), and one\n"
		"that starts goes on with what it finds, or takes it away: this is for when no agent is to run\n"
		"any more.\n"
		"Exit code 1: an agent is running.\n"
		"\n"
		"      --bpffs DIR           where it was told to pin (/sys/fs/bpf)\n"
		"  -s, --socket PATH         its control socket (" LW_CONTROL_PATH ")\n"
		"  -h, --help                this text\n",
	.run = run,
};
