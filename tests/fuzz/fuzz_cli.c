/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a command line: words separated by NUL or line end, the first one a command. What would start an agent,
 * touch the kernel or take its time is made up here. Nothing may crash or leak; the exit code is one of the five; a
 * command line that is wrong gets its one line and the way on, and nothing on standard output.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/agent.h"
#include "daemon/cmd.h"
#include "daemon/self_test.h"
#include "kern/kern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WORDS_MAX 64

static void require(bool holds)
{
	if (!holds)
		abort();
}

/* ---- what is not run ---- */

int lw_agent_run(const struct lw_agent_options *options)
{
	require(options->source.state_dir || options->source.kube || options->source.kubeconfig);
	require(options->pool_max <= LW_POOL_SLOTS);
	for (size_t i = 0; options->keep_out && options->keep_out[i]; i++)
		require(*options->keep_out[i] && strlen(options->keep_out[i]) < 16);
	return 0;
}

int lw_agent_lock(const char *socket, const char *bpffs, struct lw_agent_locks *ret)
{
	(void)socket;
	(void)bpffs;
	(void)ret;
	return -EBUSY;
}

void lw_agent_unlock(struct lw_agent_locks *locks)
{
	(void)locks;
}

int lw_kern_cleanup(const char *bpffs)
{
	(void)bpffs;
	return 0;
}

enum lw_exit lw_self_test_run(bool json)
{
	(void)json;
	return LW_EXIT_OK;
}

/* ---- */

/* `status --wait SECONDS` polls for so long, however it is abbreviated. */
static bool takes_its_time(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (strncmp(argv[i], "--w", 3) == 0 && strncmp(argv[i], "--watch", 7) != 0)
			return true;
	return false;
}

static const struct lw_cmd *find(const char *name)
{
	static const struct lw_cmd *const commands[] = {
		&lw_cmd_agent,	   &lw_cmd_check, &lw_cmd_status,  &lw_cmd_lanes,
		&lw_cmd_endpoints, &lw_cmd_flows, &lw_cmd_stats,   &lw_cmd_metrics,
		&lw_cmd_explain,   &lw_cmd_trace, &lw_cmd_cleanup,
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void run(const struct lw_cmd *cmd, int argc, char **argv)
{
	FILE *out = stdout, *err = stderr;
	sigset_t signals;
	char *said = NULL, *complained = NULL;
	size_t nsaid, ncomplained;
	enum lw_exit code;

	stdout = open_memstream(&said, &nsaid);
	stderr = open_memstream(&complained, &ncomplained);
	require(stdout && stderr && sigprocmask(SIG_SETMASK, NULL, &signals) == 0);
	optind = 0;
	code = cmd->run(cmd, argc, argv);
	/* trace takes SIGINT and SIGTERM for itself */
	require(sigprocmask(SIG_SETMASK, &signals, NULL) == 0);
	(void)fclose(stdout);
	(void)fclose(stderr);
	stdout = out;
	stderr = err;
	require(code <= LW_EXIT_SYSTEM);
	if (code == LW_EXIT_USAGE) {
		require(nsaid == 0);
		require(strstr(complained, "\nTry: laneway help "));
	}
	if (code == LW_EXIT_NO_AGENT || code == LW_EXIT_USAGE)
		require(strncmp(complained, "laneway ", 8) == 0);
	free(said);
	free(complained);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1), *argv[WORDS_MAX + 1], called[64];
	const struct lw_cmd *cmd;
	int argc = 0;

	require(text);
	memcpy(text, data, size);
	text[size] = '\0';
	for (char *at = text, *end = text + size; at < end && argc < WORDS_MAX;
	     at += strlen(at) + 1) {
		at[strcspn(at, "\n")] = '\0';
		argv[argc++] = at;
	}
	argv[argc] = NULL;
	cmd = argc ? find(argv[0]) : NULL;
	if (cmd && !takes_its_time(argc, argv)) {
		(void)snprintf(called, sizeof(called), "laneway %s", cmd->name);
		argv[0] = called;
		run(cmd, argc, argv);
	}
	free(text);
	return 0;
}
