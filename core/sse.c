// SPDX-License-Identifier: Apache-2.0
/*
 * sse.c - Server-Sent Events: writing and reading the stream
 *
 * The reader takes LF and CR LF as line ends, not a CR alone, which no server
 * writes.  Fields it does not know are passed over; an event that the stream's
 * end cuts off is not delivered, as the standard says.
 */
#include "core/sse.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool one_line(const char *s, size_t n)
{
	return memchr(s, '\n', n) == NULL && memchr(s, '\r', n) == NULL;
}

static void put_field(struct jw *w, const char *name, const char *value,
		      size_t n)
{
	assert(one_line(value, n));
	jw_lit(w, name, strlen(name));
	jw_lit(w, value, n);
	jw_lit(w, "\n", 1);
}

void sse_write(struct jw *w, int64_t id, const char *event, const char *data,
	       size_t len)
{
	char num[24];

	if (id >= 0) {
		snprintf(num, sizeof(num), "%lld", (long long)id);
		put_field(w, "id: ", num, strlen(num));
	}
	if (event != NULL)
		put_field(w, "event: ", event, strlen(event));
	put_field(w, "data: ", data, len);
	jw_lit(w, "\n", 1);
}

void sse_write_comment(struct jw *w, const char *text)
{
	put_field(w, ": ", text, strlen(text));
	jw_lit(w, "\n", 1);
}

void sse_write_retry(struct jw *w, int ms)
{
	char num[24];

	snprintf(num, sizeof(num), "%d", ms);
	put_field(w, "retry: ", num, strlen(num));
	jw_lit(w, "\n", 1);
}

void sse_reader_init(struct sse_reader *s,
		     void (*cb)(const struct sse_event *ev, void *arg),
		     void *arg)
{
	*s = (struct sse_reader){.cb = cb, .arg = arg, .retry_ms = -1};
	lines_init(&s->lines, SSE_LINE_MAX);
}

void sse_reader_done(struct sse_reader *s)
{
	lines_done(&s->lines);
	jw_done(&s->data);
	free(s->id);
	free(s->event);
	*s = (struct sse_reader){0};
}

static int set_string(char **field, const char *value, size_t n)
{
	char *copy = strndup(value, n);

	if (copy == NULL)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

/* An empty line: deliver what was gathered. */
static void dispatch(struct sse_reader *s)
{
	struct sse_event ev = {
		.id = s->id,
		.event = s->event && *s->event ? s->event : "message",
		.data = s->data.len > 0 ? s->data.buf : "",
		.len = s->data.len,
	};

	if (s->any_data)
		s->cb(&ev, s->arg);
	jw_reset(&s->data);
	s->any_data = false;
	free(s->event);
	s->event = NULL;
}

static int add_data(struct sse_reader *s, const char *value, size_t n)
{
	if (n + 1 > SSE_LINE_MAX - s->data.len)
		return -EMSGSIZE;
	if (s->any_data)
		jw_lit(&s->data, "\n", 1);
	jw_lit(&s->data, value, n);
	s->any_data = true;
	return s->data.failed ? -ENOMEM : 0;
}

/* A pause in milliseconds: digits alone. */
static void set_retry(struct sse_reader *s, const char *value, size_t n)
{
	if (n > 0 && n < 10 && strspn(value, "0123456789") == n)
		s->retry_ms = atoi(value);
}

static int on_field(struct sse_reader *s, const char *name, const char *value,
		    size_t n)
{
	if (strcmp(name, "data") == 0)
		return add_data(s, value, n);
	if (strcmp(name, "event") == 0)
		return set_string(&s->event, value, n);
	if (strcmp(name, "retry") == 0)
		set_retry(s, value, n);
	/* An id with a NUL in it is none. */
	if (strcmp(name, "id") == 0 && memchr(value, '\0', n) == NULL)
		return set_string(&s->id, value, n);
	return 0;
}

static int on_line(char *line, size_t len, void *arg)
{
	struct sse_reader *s = arg;
	size_t name_len;
	char *colon, *value;

	if (!s->begun && len >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
		line += 3; /* A byte order mark. */
		len -= 3;
	}
	s->begun = true;
	if (len > 0 && line[len - 1] == '\r')
		line[--len] = '\0';
	if (len == 0) {
		dispatch(s);
		return 0;
	}

	colon = memchr(line, ':', len);
	name_len = colon ? (size_t)(colon - line) : len;
	if (strlen(line) < name_len)
		return 0; /* No field that we know has a NUL in its name. */
	if (colon == NULL)
		return on_field(s, line, "", 0);
	*colon = '\0';
	value = colon + 1;
	if (value < line + len && *value == ' ')
		value++;
	return on_field(s, line, value, (size_t)(line + len - value));
}

int sse_reader_feed(struct sse_reader *s, char *data, size_t n)
{
	return lines_feed(&s->lines, data, n, on_line, s);
}
