/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search_text.h - What of a log can be searched: its texts, one by one
 *
 * A text is a prompt, what an agent said without a break, the title of a tool
 * call or of the session, with the events that it stands in.  A long one is cut
 * between two words; thoughts and what is said of other sessions are left out.
 */
#ifndef CORE_SEARCH_TEXT_H
#define CORE_SEARCH_TEXT_H

#include "core/reader.h"

#define SEARCH_TEXT_SOFT (32u << 10) /* Cut between words beyond that. */
#define SEARCH_TEXT_HARD (1u << 20)  /* Cut anywhere. */

struct search_text {
	TAILQ_ENTRY(search_text) link;
	char turn[ID_MAX]; /* "" outside a turn. */
	const char *role;  /* user, agent, tool or title. */
	int64_t first_seq, last_seq, ts_ms;
	struct jw text; /* Its bytes. */
};
TAILQ_HEAD(search_text_list, search_text);

void search_text_free(struct search_text_list *l);

/**
 * search_text_read() - The texts of a part of a log
 * @since:   Exclusive
 * @budget:  Bytes of text after which it stops where no text is open; 0: none
 * @whole:   Also the text that is still open at the end of the log
 * @out:     Texts are added; of the caller
 * @through: What was looked at: reading on from here misses nothing and repeats
 *           nothing
 *
 * Return: 1 when it stopped before the end; 0 at the end; or an error.
 */
int search_text_read(struct reader *r, const char *session, int64_t since,
		     size_t budget, bool whole, struct search_text_list *out,
		     int64_t *through, struct err *e);

/* In which event byte @offset of the text stands: between first_seq and
 * last_seq; first_seq when that cannot be told. */
int64_t search_text_seq(struct reader *r, const char *session,
			const struct search_text *t, size_t offset);

#endif
