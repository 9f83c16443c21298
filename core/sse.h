/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sse.h - Server-Sent Events: writing and reading the stream
 *
 * The format of the WHATWG HTML standard, section 9.2: fields `id`, `event`,
 * `data`, `retry`, comments, events ended by an empty line.
 */
#ifndef CORE_SSE_H
#define CORE_SSE_H

#include "core/json.h"
#include "core/lines.h"

#define SSE_LINE_MAX (17u << 20) /* Longest line accepted by the reader. */

/* Append one event to @w.  @id < 0: no id line.  @data must hold no line end. */
void sse_write(struct jw *w, int64_t id, const char *event, const char *data,
	       size_t len);
void sse_write_comment(struct jw *w, const char *text);
void sse_write_retry(struct jw *w, int ms);

struct sse_event {
	const char *id;	   /* Last id seen, NULL if none yet. */
	const char *event; /* "message" when none was given. */
	const char *data;
	size_t len;
};

struct sse_reader {
	int retry_ms; /* What the stream has asked for last; -1: nothing. */
	struct lines lines;
	char *id, *event;
	struct jw data;
	bool any_data, begun;
	void (*cb)(const struct sse_event *ev, void *arg);
	void *arg;
};

void sse_reader_init(struct sse_reader *s,
		     void (*cb)(const struct sse_event *ev, void *arg),
		     void *arg);
void sse_reader_done(struct sse_reader *s);
/* @data is scratch space of the call; @s->cb may run in it, and must not end the
 * reader.  Return: 0; -EMSGSIZE when an event is too long; -ENOMEM. */
int sse_reader_feed(struct sse_reader *s, char *data, size_t n);

#endif
