/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search.h - Finding words in what was said
 *
 * The index is filled behind the writing of the log, per session and in the
 * order of its events (search_state).  Whoever searches reads what is not in
 * the index yet from the log itself, so that nothing is missed at any moment,
 * with every daemon dead too, and in a database of a version without an index.
 */
#ifndef CORE_SEARCH_H
#define CORE_SEARCH_H

#include "core/db.h"
#include "core/search_text.h"

#define SEARCH_QUERY_MAX 1024 /* Bytes of what is looked for. */
#define SEARCH_WORDS_MAX 32   /* Words and phrases in it. */
#define SEARCH_LIMIT	 20   /* Hits, when no limit is given. */
#define SEARCH_LIMIT_MAX 1000

struct search_query {
	/* Words, all of which must stand in a text, and "phrases". */
	const char *text;
	const char *session; /* Only this one; NULL: all. */
	int archived;	     /* 0: both; 1: only the archive; -1: the rest. */
	unsigned limit;	     /* 0: SEARCH_LIMIT. */
	/* Around what was found in a snippet; NULL: nothing. */
	const char *mark_on, *mark_off;
};

/* Write hits as values inside an array that the caller opened, the newest
 * first: {"session","session_title","turn","seq","role","ts_ms","snippet"}, seq
 * being that of the event in which the first match begins.
 * Return: their number; -FAULT_INVALID_ARGUMENT; -FAULT_SESSION_NOT_FOUND. */
int search_find(struct reader *r, const struct search_query *q, struct jw *out,
		struct err *e);

/* Up to which event a session is in the index; 0: nothing, or no index. */
int64_t search_indexed(struct reader *r, const char *session);

/* On the writer thread, in the open transaction: put texts of a session into the
 * index, which was at @since and is at @through then.  A session that is gone,
 * or whose index is elsewhere by now, is left as it is. */
int search_add(struct sqlite3 *db, const char *session, int64_t since,
	       int64_t through, const struct search_text_list *texts,
	       struct err *e);

/* The same: events from @from on are abandoned.  A text that began before is taken
 * out, with those behind it, and has to be read again. */
int search_cut(struct sqlite3 *db, int64_t session_n, int64_t from,
	       struct err *e);

#endif
