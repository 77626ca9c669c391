/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/cmd.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

#include "core/pod_label.h"
#include "core/rules.h"

enum lw_exit lw_cmd_help(const struct lw_cmd *cmd)
{
	(void)printf("Usage: laneway %s %s\n\n%c%s.\n\n%s", cmd->name, cmd->usage,
		     toupper((unsigned char)cmd->summary[0]), cmd->summary + 1, cmd->help);
	return LW_EXIT_OK;
}

void lw_cmd_error(const struct lw_cmd *cmd, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "laneway %s: ", cmd->name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
}

enum lw_exit lw_cmd_usage(const struct lw_cmd *cmd, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "laneway %s: ", cmd->name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fprintf(stderr, "\nUsage: laneway %s %s\nTry: laneway help %s\n", cmd->name,
		      cmd->usage, cmd->name);
	return LW_EXIT_USAGE;
}

bool lw_cmd_add_untrusted(const struct lw_cmd *cmd, const char *text, const char **list, size_t *n)
{
	struct lw_pod_label label;

	if (lw_pod_label_parse(text, &label) < 0) {
		(void)lw_cmd_usage(cmd, "--untrusted is NAMESPACE/LABEL=VALUE of pods, not '%s'",
				   text);
		return false;
	}
	lw_pod_label_clear(&label);
	if (*n == LW_CMD_UNTRUSTED_MAX) {
		(void)lw_cmd_usage(cmd, "--untrusted may be given %d times", LW_CMD_UNTRUSTED_MAX);
		return false;
	}
	list[(*n)++] = text;
	return true;
}

bool lw_cmd_tag_header_ok(const struct lw_cmd *cmd, const char *name)
{
	struct lw_rules *rules = NULL;
	char error[256] = "out of memory";
	int r = lw_rules_new(&rules);

	/* whatever its value will be */
	if (r == 0) {
		r = lw_rules_lane(rules, 1, "lane", name, "lane", error, sizeof(error));
		lw_rules_free(&rules);
	}
	if (r < 0)
		(void)lw_cmd_usage(cmd, "--tag-header is the name of a header of its own: %s",
				   error);
	return r == 0;
}
