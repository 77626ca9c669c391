/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define LINE_MAX_BYTES 4096

#define NAME(id, name) name,
static const char *const level_names[] = { LW_LOG_LEVEL_LIST(NAME) };
static const char *const format_names[] = { LW_LOG_FORMAT_LIST(NAME) };

static enum lw_log_level max_level = LW_LOG_INFO;
static enum lw_log_format line_format = LW_LOG_FORMAT_TEXT;

void lw_log_set_level(enum lw_log_level level)
{
	max_level = level;
}

void lw_log_set_format(enum lw_log_format format)
{
	line_format = format;
}

int lw_log_level_parse(const char *name, enum lw_log_level *ret)
{
	for (unsigned int i = 0; i < LW_LOG__MAX; i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

int lw_log_format_parse(const char *name, enum lw_log_format *ret)
{
	for (unsigned int i = 0; i < LW_LOG_FORMAT__MAX; i++) {
		if (strcmp(name, format_names[i]) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

bool lw_log_enabled(enum lw_log_level level)
{
	return level <= max_level;
}

void lw_logv(enum lw_log_level level, const char *format, va_list args)
{
	char msg[LINE_MAX_BYTES], line[LINE_MAX_BYTES * 6 + 128];
	int saved = errno;
	size_t len;

	if (!lw_log_enabled(level))
		return;
	(void)vsnprintf(msg, sizeof(msg), format, args);
	len = strlen(msg);
	while (len > 0 && msg[len - 1] == '\n')
		msg[--len] = '\0';

	if (line_format == LW_LOG_FORMAT_JSON) {
		char quoted[LINE_MAX_BYTES * 6 + 3];
		struct timespec now;

		(void)clock_gettime(CLOCK_REALTIME, &now);
		lw_str_json(msg, quoted, sizeof(quoted));
		(void)snprintf(
			line, sizeof(line), "{\"ts\":%lld.%03ld,\"level\":\"%s\",\"msg\":%s}\n",
			(long long)now.tv_sec, now.tv_nsec / 1000000, level_names[level], quoted);
	} else {
		/* One line is one event: what a file or a peer put in cannot start another. */
		for (char *p = msg; *p;) {
			size_t n = lw_str_utf8_len(p);

			if (n != 0 && lw_str_shown_len(p) == 0)
				memset(p, ' ', n);
			p += n != 0 ? n : 1;
		}
		(void)snprintf(line, sizeof(line), "%s: %s\n", level_names[level], msg);
	}
	/* Nowhere to tell if stderr is gone. */
	if (write(STDERR_FILENO, line, strlen(line)) < 0)
		errno = saved;
	errno = saved;
}

void lw_log(enum lw_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	lw_logv(level, format, args);
	va_end(args);
}
