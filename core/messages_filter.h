/* SPDX-License-Identifier: Apache-2.0 */
/*
 * messages_filter.h - A part of the conversation, as context for something else
 *
 * A filter chooses messages by time and their parts by type and tool; a message
 * none of whose parts is left is left out.  The log stays as it is: what a
 * filtered view is told beside it, that something is missing, is made for the
 * view and stored nowhere.
 */
#ifndef CORE_MESSAGES_FILTER_H
#define CORE_MESSAGES_FILTER_H

#include "core/messages.h"

struct messages_filter {
	const char *parts;	/* Types of parts, by commas; NULL: all. */
	const char *tool;	/* Only calls of that title or kind. */
	int64_t from_ms, to_ms; /* When a message began; 0: open. */
	bool notice;		/* End with a message that counts the rest. */
};

/* Write what passes as values into @out, inside an array that the caller opened;
 * the notice is {"role":"notice","left_out":N,"parts":[{"type":"text",..}]}.
 * Return: 0; -FAULT_INVALID_ARGUMENT when a type of part is none; as
 * messages_write(). */
int messages_write_filtered(struct reader *r, const struct messages_query *q,
			    const struct messages_filter *f, struct jw *out,
			    struct err *e);

#endif
