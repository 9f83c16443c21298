// SPDX-License-Identifier: Apache-2.0
/*
 * headroom.c - Room in a write-ahead log before it is needed
 *
 * The zeros are written with the write lock held, behind the end of the file:
 * so another process, which may be about to add frames there, is not in the way.
 */
#include "core/headroom.h"

#include "core/db.h"

static const char zeros[16 << 10];

static sqlite3_file *log_of(sqlite3 *db)
{
	sqlite3_file *log = NULL;

	if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER,
				 &log) != SQLITE_OK ||
	    log == NULL || log->pMethods == NULL)
		return NULL;
	return log;
}

/* Is there less than half of the room behind @used?  Then where it begins. */
static bool is_short(sqlite3_file *log, size_t used, sqlite3_int64 *end)
{
	return log->pMethods->xFileSize(log, end) == SQLITE_OK &&
	       *end - (sqlite3_int64)used < (sqlite3_int64)HEADROOM_BYTES / 2;
}

static void extend(sqlite3_file *log, sqlite3_int64 end)
{
	const sqlite3_int64 goal = end + (sqlite3_int64)HEADROOM_BYTES;
	int r = SQLITE_OK;

	for (; r == SQLITE_OK && end < goal; end += (int)sizeof(zeros))
		r = log->pMethods->xWrite(log, zeros, sizeof(zeros), end);
	if (r == SQLITE_OK)
		(void)log->pMethods->xSync(log, SQLITE_SYNC_NORMAL |
							SQLITE_SYNC_DATAONLY);
}

void headroom_make(sqlite3 *db, size_t used, size_t max)
{
	sqlite3_file *log = log_of(db);
	sqlite3_int64 end;

	if (log == NULL || used >= max || !is_short(log, used, &end) ||
	    db_exec(db, "BEGIN IMMEDIATE", NULL) < 0)
		return;
	if (is_short(log, used, &end))
		extend(log, end);
	(void)db_exec(db, "ROLLBACK", NULL);
}
