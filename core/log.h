/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log.h - One line per event on stderr
 *
 *	2026-01-31T12:00:00.123Z info session: ses_1 is ready
 *	{"ts":1769860800123,"level":"info","component":"session","msg":"..."}
 *
 * An event is always one line, written by one write(2), so that lines of
 * several threads and processes never mix: control bytes in a message are
 * escaped, and a message longer than LOG_MSG_MAX is cut and ends in "...".
 *
 * Library code (core/, vfs/, mcp/) returns errors and logs only at debug.
 * Programs log, once, at the place that decides what happens next.
 */
#ifndef CORE_LOG_H
#define CORE_LOG_H

#include "core/base.h"

#define LOG_MSG_MAX 2048 /* Bytes of a message before escaping, and its NUL. */

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/*
 * Settings of the process, made by main() before it starts any thread.
 */

/* Log nothing above this level.  The default is LOG_INFO. */
void log_set_level(enum log_level level);
/* The same by name: "error", "warn", "info", "debug".
 * Return: -EINVAL when there is no such level. */
int log_set_level_name(const char *name);
/* One JSON object per line instead of words.  The default is false. */
void log_set_json(bool json);

/* Empty the file that is stderr when it is longer; a pipe stays as it is.  0, the
 * default: it may grow. */
void log_set_max(int64_t bytes);

/* Log one event; leaves errno as it was. */
void log_line(enum log_level level, const char *component, const char *fmt, ...)
	printf_like(3, 4);

/* The file that logs defines LOG_COMPONENT as a string. */
#define log_error(...) log_line(LOG_ERROR, LOG_COMPONENT, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, LOG_COMPONENT, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, LOG_COMPONENT, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, LOG_COMPONENT, __VA_ARGS__)

#endif
