/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/str.h"

#define LINE_MAX_BYTES 4096
#define LINE_ROOM (LINE_MAX_BYTES * 6 + 128)

#define NAME(id, name) name,
static const char *const level_names[] = { LW_LOG_LEVEL_LIST(NAME) };
static const char *const format_names[] = { LW_LOG_FORMAT_LIST(NAME) };

static enum lw_log_level max_level = LW_LOG_INFO;
static enum lw_log_format line_format = LW_LOG_FORMAT_TEXT;
static bool drops;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long lost; /* lines, since the last that was taken */
static bool cut_off; /* the last that was taken ends amidst */

void lw_log_set_level(enum lw_log_level level)
{
	max_level = level;
}

void lw_log_set_format(enum lw_log_format format)
{
	line_format = format;
}

void lw_log_drop(bool yes)
{
	drops = yes;
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

/* One line of text or JSON, its newline included. */
static size_t render(enum lw_log_level level, char msg[LINE_MAX_BYTES], char line[LINE_ROOM])
{
	if (line_format == LW_LOG_FORMAT_JSON) {
		char quoted[LINE_MAX_BYTES * 6 + 3];
		struct timespec now;

		(void)clock_gettime(CLOCK_REALTIME, &now);
		lw_str_json(msg, quoted, sizeof(quoted));
		(void)snprintf(line, LINE_ROOM, "{\"ts\":%lld.%03ld,\"level\":\"%s\",\"msg\":%s}\n",
			       (long long)now.tv_sec, now.tv_nsec / 1000000, level_names[level],
			       quoted);
	} else {
		/* One line is one event: what a file or a peer put in cannot start another. */
		for (char *p = msg; *p;) {
			size_t n = lw_str_utf8_len(p);

			if (n != 0 && lw_str_shown_len(p) == 0)
				memset(p, ' ', n);
			p += n != 0 ? n : 1;
		}
		(void)snprintf(line, LINE_ROOM, "%s: %s\n", level_names[level], msg);
	}
	return strlen(line);
}

/* Is there room at once for PIPE_BUF bytes? pipe(7): so much goes whole or not at all. */
static bool has_room(void)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	return !drops || poll(&p, 1, 0) == 1;
}

/* False: not all of it was taken. Nowhere to tell if stderr is gone: then it is as if it were. */
static bool put(const char *line, size_t len)
{
	size_t most = drops ? PIPE_BUF : len;

	if (cut_off && (!has_room() || write(STDERR_FILENO, "\n", 1) < 0))
		return false;
	cut_off = false;
	for (size_t at = 0; at < len;) {
		size_t n = len - at < most ? len - at : most;
		ssize_t w;

		if (!has_room()) {
			cut_off = at > 0;
			return false;
		}
		w = write(STDERR_FILENO, line + at, n);
		if (w <= 0)
			return true;
		at += (size_t)w;
	}
	return true;
}

void lw_logv(enum lw_log_level level, const char *format, va_list args)
{
	char msg[LINE_MAX_BYTES], note[LINE_MAX_BYTES], line[LINE_ROOM];
	int saved = errno;
	size_t len;

	if (!lw_log_enabled(level))
		return;
	(void)vsnprintf(msg, sizeof(msg), format, args);
	len = strlen(msg);
	while (len > 0 && msg[len - 1] == '\n')
		msg[--len] = '\0';

	(void)pthread_mutex_lock(&lock);
	if (lost) {
		(void)snprintf(note, sizeof(note),
			       "%lu lines of this log are missing: nobody has read it", lost);
		if (put(line, render(LW_LOG_WARN, note, line)))
			lost = 0;
	}
	if (lost || !put(line, render(level, msg, line)))
		lost++;
	(void)pthread_mutex_unlock(&lock);
	errno = saved;
}

void lw_log(enum lw_log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	lw_logv(level, format, args);
	va_end(args);
}
