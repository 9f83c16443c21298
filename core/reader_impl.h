/* SPDX-License-Identifier: Apache-2.0 */
/*
 * reader_impl.h - What the files of the reader share
 */
#ifndef CORE_READER_IMPL_H
#define CORE_READER_IMPL_H

#include "core/db.h"
#include "core/reader.h"

struct reader {
	sqlite3 *db;
};

/* Of a row that begins with seq, epoch, ts_ms, type, turn_id, ctx, data: an
 * event whose strings live as long as the row.  -EUCLEAN: no event of ours. */
int reader_row_event(sqlite3_stmt *q, const char *session,
		     struct event_spec *out, struct err *e);
#define READER_EVENT_COLUMNS "seq, epoch, ts_ms, type, turn_id, ctx, data"

#endif
