// SPDX-License-Identifier: Apache-2.0
/*
 * log.c - One line per event on stderr
 *
 * A line is built on the stack and written at once.  Only the JSON form
 * allocates; when memory is out, its event is logged in words.  What cannot be
 * written is lost: there is nobody left to tell.
 */
#include "core/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/json.h"
#include "core/time.h"

#define PREFIX_MAX 128 /* Time, level and component. */
#define ESCAPE_MAX 4   /* Bytes that one byte can become: \x1b */

static const char *const level_names[] = {
	[LOG_ERROR] = "error",
	[LOG_WARN] = "warn",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug",
};

static enum log_level max_level = LOG_INFO;
static bool as_json;
static int64_t max_bytes;

static void keep_short(void)
{
	struct stat st;

	if (max_bytes > 0 && fstat(STDERR_FILENO, &st) == 0 &&
	    S_ISREG(st.st_mode) && st.st_size > max_bytes)
		(void)!ftruncate(STDERR_FILENO, 0);
}

static void write_line(const char *line, size_t len)
{
	ssize_t r;

	keep_short();
	do
		r = write(STDERR_FILENO, line, len);
	while (r < 0 && errno == EINTR);
}

/* Copy @msg with its control bytes escaped.  Return: bytes written to @out,
 * which has room for ESCAPE_MAX times as many as @msg. */
static size_t escape(char *out, const char *msg)
{
	static const char hex[] = "0123456789abcdef";
	char *o = out;

	for (; *msg != '\0'; msg++) {
		unsigned char c = (unsigned char)*msg;

		if (c >= ' ' && c != 0x7f) {
			*o++ = *msg;
			continue;
		}
		*o++ = '\\';
		if (c == '\n') {
			*o++ = 'n';
			continue;
		}
		*o++ = 'x';
		*o++ = hex[c >> 4];
		*o++ = hex[c & 15];
	}
	return (size_t)(o - out);
}

static void log_words(enum log_level level, const char *component,
		      const char *msg, int64_t ms)
{
	char line[PREFIX_MAX + LOG_MSG_MAX * ESCAPE_MAX + 1];
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm = {0};
	size_t n;

	gmtime_r(&seconds, &tm);
	n = strftime(line, PREFIX_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
	n += (size_t)snprintf(line + n, PREFIX_MAX - n,
			      ".%03dZ %s %.64s: ", (int)(ms % 1000),
			      level_names[level], component);
	n += escape(line + n, msg);
	line[n++] = '\n';
	write_line(line, n);
}

/* Return: -ENOMEM when nothing was logged. */
static int log_object(enum log_level level, const char *component,
		      const char *msg, int64_t ms)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kint(&w, "ts", ms);
	jw_kstr(&w, "level", level_names[level]);
	jw_kstr(&w, "component", component);
	jw_kstr(&w, "msg", msg);
	jw_obj_end(&w);
	jw_lit(&w, "\n", 1);
	if (w.failed)
		return -ENOMEM;
	write_line(w.buf, w.len);
	return 0;
}

void log_set_level(enum log_level level)
{
	max_level = level;
}

int log_set_level_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(level_names); i++) {
		if (strcmp(level_names[i], name) == 0) {
			max_level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_json(bool json)
{
	as_json = json;
}

void log_set_max(int64_t bytes)
{
	max_bytes = bytes;
}

void log_line(enum log_level level, const char *component, const char *fmt, ...)
{
	int saved = errno;
	int64_t ms = now_ms();
	char msg[LOG_MSG_MAX];
	va_list ap;
	int n;

	if (level > max_level)
		return;

	va_start(ap, fmt);
	n = vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(msg))
		memcpy(msg + sizeof(msg) - sizeof("..."), "...", sizeof("..."));

	if (!as_json || log_object(level, component, msg, ms) < 0)
		log_words(level, component, msg, ms);
	errno = saved;
}
