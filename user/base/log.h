/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * Log lines on stderr, one write(2) each (but see lw_log_drop()), as text ("warn: ...") or as one JSON object a line with
 * ts (seconds since the epoch), level and msg. Settings are global to the process. From any thread.
 */
#include <stdarg.h>
#include <stdbool.h>

#define LW_LOG_LEVEL_LIST(X) \
	X(ERROR, "error")    \
	X(WARN, "warn")      \
	X(INFO, "info")      \
	X(DEBUG, "debug")
#define LW_LOG_FORMAT_LIST(X) \
	X(TEXT, "text")       \
	X(JSON, "json")

#define LW_ENUM_LOG_LEVEL(id, name) LW_LOG_##id,
enum lw_log_level { LW_LOG_LEVEL_LIST(LW_ENUM_LOG_LEVEL) LW_LOG__MAX };
#define LW_ENUM_LOG_FORMAT(id, name) LW_LOG_FORMAT_##id,
enum lw_log_format { LW_LOG_FORMAT_LIST(LW_ENUM_LOG_FORMAT) LW_LOG_FORMAT__MAX };

/* Up to info, as text, until told otherwise. */
void lw_log_set_level(enum lw_log_level level);
void lw_log_set_format(enum lw_log_format format);
/*
 * A pipe or socket whose reader is behind holds the writer up. With `yes` lines are dropped then, and counted in the first one that
 * follows: for who has others to serve. Longer ones than PIPE_BUF
 * take several writes, and may end amidst.
 */
void lw_log_drop(bool yes);
/* 0, or -EINVAL for a name that is none; *ret then stays. */
int lw_log_level_parse(const char *name, enum lw_log_level *ret);
int lw_log_format_parse(const char *name, enum lw_log_format *ret);
bool lw_log_enabled(enum lw_log_level level);

/* One line; no newline at the end is needed. Longer than 4 KiB is cut. Keeps errno. */
void lw_log(enum lw_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
void lw_logv(enum lw_log_level level, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

#define lw_error(...) lw_log(LW_LOG_ERROR, __VA_ARGS__)
#define lw_warn(...) lw_log(LW_LOG_WARN, __VA_ARGS__)
#define lw_info(...) lw_log(LW_LOG_INFO, __VA_ARGS__)
#define lw_debug(...) lw_log(LW_LOG_DEBUG, __VA_ARGS__)
