/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/agent.h"
#include "daemon/cmd.h"
#include "daemon/json.h"
#include "daemon/show.h"
#include "kern/kern.h"

static enum lw_exit run(const struct lw_cmd *cmd, int argc, char **argv)
{
	enum { OPT_BPFFS = LW_OPT_OWN };
	static const struct option options[] = {
		{ "bpffs", required_argument, NULL, OPT_BPFFS },
		{ "output", required_argument, NULL, 'o' },
		{ "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	struct lw_cmd_client client = LW_CMD_CLIENT_INIT;
	_cleanup_json_ struct json_object *data = NULL;
	const char *bpffs = NULL;
	enum lw_exit code;
	_cleanup_(lw_agent_unlock) struct lw_agent_locks locks = LW_AGENT_LOCKS_INIT;
	_cleanup_closedir_ DIR *d = NULL;
	int opt, r;

	while ((opt = getopt_long(argc, argv, "ho:s:", options, NULL)) != -1) {
		switch (opt) {
		case OPT_BPFFS:
			bpffs = optarg;
			break;
		default:
			if (!lw_cmd_client_option(cmd, &client, opt, &code))
				return code;
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
	r = lw_agent_lock(client.socket, bpffs, &locks);
	if (r == -EBUSY) {
		lw_cmd_error(cmd, "an agent is running; stop it, it cleans up after itself");
		return LW_EXIT_NO;
	}
	if (r < 0) {
		lw_cmd_error(cmd, "lock '%s.lock': %s", client.socket, strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	r = lw_kern_cleanup(bpffs);
	if (r < 0) {
		lw_cmd_error(cmd, "remove what an agent left: %s", strerror(-r));
		return LW_EXIT_SYSTEM;
	}
	data = lw_json_new_object(NULL, NULL);
	lw_json_add_int(data, "removed", r);
	if (client.json)
		lw_show_json(data);
	else
		(void)printf("%d removed\n", r);
	return LW_EXIT_OK;
}

const struct lw_cmd lw_cmd_cleanup = {
	.name = "cleanup",
	.usage = "[--bpffs DIR] [--socket PATH] [-o json]",
	.summary = "remove every pin and program an agent that was killed left behind",
	.help = "An agent that is stopped with SIGTERM leaves nothing (but see its --leave-hooks), and one\n"
		"that starts goes on with what it finds, or takes it away: this is for when no agent is to run\n"
		"any more.\n"
		"Exit code 1: an agent is running.\n"
		"\n"
		"      --bpffs DIR           where it was told to pin (/sys/fs/bpf)\n"
		"  -o, --output table|json   how to print (table)\n"
		"  -s, --socket PATH         its control socket (" LW_CONTROL_PATH ")\n"
		"  -h, --help                this text\n",
	.run = run,
};
