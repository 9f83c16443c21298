/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event_line.h - The line of an event in our own form, read in place
 *
 * Nearly all lines that are read were made by event_write(): their members stand
 * in a known order with nothing between them, and need no tree of tokens.
 */
#ifndef CORE_EVENT_LINE_H
#define CORE_EVENT_LINE_H

#include "core/event.h"

struct event_line {
	char session[ID_MAX];
	char turn[ID_MAX]; /* "" outside a turn. */
	char type[EVENT_TYPE_MAX];
	int64_t seq, epoch, ts_ms;
	const char *ctx, *data; /* JSON objects in the line; ctx may be NULL. */
	size_t ctx_len, data_len;
};

/*
 * Take a line, without its newline, apart.  It is hostile, and held against all
 * that event_parse() demands.
 * Return: false when it is no event, and also for one of any other form, which
 * has to be read as JSON.
 */
bool event_line_read(const char *line, size_t len, struct event_line *out);

#endif
