/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader.h - Reading a store: synchronous, short, from any one thread
 *
 * A reader has its own connection and never holds a read transaction between
 * calls.  It serves the daemons' loops in pages, and offline readers with every
 * daemon dead: then the file is opened mode=ro and left byte-equal (only -shm
 * may change).  Rows are given as JSON objects whose keys are column names;
 * columns that hold JSON are embedded as they are.
 */
#ifndef CORE_READER_H
#define CORE_READER_H

#include "core/event.h"

#define READER_PAGE_EVENTS 1000
#define READER_PAGE_MAX	   10000
#define READER_PAGE_BYTES  (8u << 20)
#define READER_SCAN_MAX	   50000
#define READER_PATTERNS	   16 /* In types, and in exclude. */

struct sqlite3;
struct reader; /* Opaque. */

/* Return: 0; -ENOENT; -EUCLEAN (not a store, or damaged). */
int reader_open(const char *path, struct reader **out, struct err *e);
void reader_close(struct reader *r); /* NULL is allowed. */

static inline void reader_closep(struct reader **r)
{
	reader_close(*r);
}
#define autoreader cleanup(reader_closep)

struct event_query {
	const char *session;
	int64_t since;	  /* Exclusive; 0 is everything. */
	unsigned limit;	  /* 0: READER_PAGE_EVENTS; capped at _MAX. */
	size_t max_bytes; /* 0: READER_PAGE_BYTES; one event always fits. */
	/* Newest first: events before since, or from the end when it is 0. */
	bool descending;
	const char *turn; /* Only this turn; NULL: all. */
	/* Comma-separated types, or beginnings of types followed by `*`:
	 * "turn.*,input.message"; NULL: all.  exclude wins.  What no known type
	 * matches is -FAULT_INVALID_ARGUMENT. */
	const char *types, *exclude;
	int64_t from_ms, to_ms; /* 0: open. */
};

struct event_page {
	struct jw *out;	    /* In: lines are appended, each with its '\n'. */
	int64_t next_since; /* Seq of the last event looked at. */
	unsigned count;
	/* There is more behind next_since.  With a filter a page may be short,
	 * even empty, and have more: it looks at READER_SCAN_MAX events. */
	bool has_more;
};

/**
 * reader_events() - One page of a session's log
 *
 * Return: 0; -FAULT_SESSION_NOT_FOUND; -FAULT_CURSOR_AHEAD when since >
 * last_seq (data: last_seq, epoch); -FAULT_CURSOR_GONE (data: first_seq) when
 * ascending over events that are removed; -FAULT_TURN_NOT_FOUND.
 */
int reader_events(struct reader *r, const struct event_query *q,
		  struct event_page *page, struct err *e);

/* The same events one by one, for folds; a non-zero result of @cb ends it and
 * is returned.  Pages by key inside; no limit (q->limit is per page).  @ev lives
 * for the call. */
int reader_each_event(struct reader *r, const struct event_query *q,
		      int (*cb)(const struct event *ev, void *arg), void *arg,
		      struct err *e);

/* What routing and checking need of a session, without JSON. */
struct session_brief {
	char id[ID_MAX], vm_id[ID_MAX], open_turn[ID_MAX],
		open_turn_input[ID_MAX];
	char state[16], suspended_from[16], agent[64];
	int64_t n, epoch, last_seq, chain, turn_count;
	int64_t archived_ms, expires_ms; /* 0: not. */
	int pending;			 /* Open requests. */
};
/* Return: 0 or -FAULT_SESSION_NOT_FOUND. */
int reader_session(struct reader *r, const char *id, struct session_brief *out,
		   struct err *e);
/* Every session (of a VM, or NULL for all). */
int reader_sessions(struct reader *r, const char *vm,
		    int (*cb)(const struct session_brief *b, void *arg),
		    void *arg, struct err *e);
/* Chain hash of event @seq; 0 when @seq is 0 or absent. */
int64_t reader_chain(struct reader *r, int64_t session_n, int64_t seq);

/**
 * reader_rows() - Run one SELECT and write its rows as JSON objects
 * @sql:  Trusted text with ?1, ?2...
 * @args: NULL-terminated list of strings to bind, or NULL
 * @out:  Objects are written as values (inside an array that the caller opened)
 *
 * Return: number of rows or a negative code.
 */
int reader_rows(struct reader *r, const char *sql, const char *const *args,
		struct jw *out, struct err *e);
/* First column of the first row as a string: 1, owned by the caller; 0: none. */
int reader_value(struct reader *r, const char *sql, const char *const *args,
		 char **out, struct err *e);

/**
 * reader_check() - Look for damage: the file, the numbering, the chain hashes
 * @report: called for each finding; @session is NULL when it is the file's
 *
 * Return: number of findings or a negative code.
 */
int reader_check(struct reader *r,
		 void (*report)(const char *session, int64_t seq,
				const char *what, void *arg),
		 void *arg, struct err *e);

#endif
