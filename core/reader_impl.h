/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_impl.h - What the files of the reader share
 */
#ifndef CORE_READER_IMPL_H
#define CORE_READER_IMPL_H

#include "core/db.h"
#include "core/reader.h"

#define READER_KEPT 16 /* Statements. */

struct reader {
	sqlite3 *db;
	/* Prepared and not in use, the one used last first. */
	sqlite3_stmt *kept[READER_KEPT];
	unsigned n_kept;
};

/* A statement in use.  It is no longer among those that are kept, so that a
 * callback may use the same text again. */
struct reading {
	struct reader *reader;
	sqlite3_stmt *q;
};

/* The statement of that text, bound as by db_prepare().  reading_end() gives it
 * back, and so ends its read transaction. */
int reading_begin(struct reading *out, struct reader *r, struct err *e,
		  const char *sql, const char *fmt, ...);
/* The same, bound by the caller. */
int reading_begin_unbound(struct reading *out, struct reader *r, struct err *e,
			  const char *sql);
void reading_end(struct reading *g); /* Zeroes are allowed. */
#define autoreading cleanup(reading_end)
/* Before the connection is closed. */
void reading_forget(struct reader *r);

/* Of a row that begins with seq, epoch, ts_ms, type, turn_id, ctx, data: an
 * event whose strings live as long as the row.  -EUCLEAN: no event of ours. */
int reader_row_event(sqlite3_stmt *q, const char *session,
		     struct event_spec *out, struct err *e);
#define READER_EVENT_COLUMNS "seq, epoch, ts_ms, type, turn_id, ctx, data"

#endif
