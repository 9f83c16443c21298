// SPDX-License-Identifier: Apache-2.0
/*
 * purge.c - Delete the rows of a session from every table
 *
 * A row in `purge` opens the log for deletion, until it is deleted itself at the
 * end.  The order is one that the foreign keys allow: the session comes last.
 *
 * A full-text index keeps the words of deleted rows in its segments until these
 * are merged; `optimize` merges them all at once.
 */
#include "core/purge.h"

static const char *const core_rows[] = {
	"INSERT OR IGNORE INTO purge(session_id) VALUES(?1)",
	"DELETE FROM event WHERE session_n="
	"  (SELECT n FROM session WHERE id=?1)",
	"DELETE FROM abandoned WHERE session_id=?1",
	NULL,
};

/* What follows from events. */
static const char *const projected_rows[] = {
	"DELETE FROM turn WHERE session_id=?1",
	"DELETE FROM request WHERE session_id=?1",
	"DELETE FROM diff WHERE session_id=?1",
	"DELETE FROM artifact WHERE session_id=?1",
	"DELETE FROM kv WHERE session_id=?1",
	"DELETE FROM memory WHERE session_id=?1",
	"DELETE FROM memory_shared WHERE session_id=?1",
	"DELETE FROM summary WHERE session_id=?1",
	"DELETE FROM mcp_server WHERE session_id=?1",
	NULL,
};

static const char *const guest_rows[] = {
	"DELETE FROM sync WHERE session_id=?1",
	"DELETE FROM proc WHERE session_id=?1",
	NULL,
};

static const char *const host_rows[] = {
	"DELETE FROM mirror WHERE session_n="
	"  (SELECT n FROM session WHERE id=?1)",
	"DELETE FROM search_state WHERE session_n="
	"  (SELECT n FROM session WHERE id=?1)",
	"DELETE FROM cursor WHERE session_id=?1",
	"DELETE FROM secret WHERE scope=?1",
	"DELETE FROM token WHERE session_id=?1",
	"DELETE FROM schedule_run WHERE session_id=?1",
	"DELETE FROM schedule WHERE session_id=?1",
	NULL,
};

static const char forget_words[] =
	"INSERT INTO search(search, rowid, text) SELECT 'delete', id, text"
	"  FROM search_doc WHERE session_n="
	"  (SELECT n FROM session WHERE id=?1)";
static const char search_docs[] = "DELETE FROM search_doc WHERE session_n="
				  "  (SELECT n FROM session WHERE id=?1)";
static const char merge_search[] =
	"INSERT INTO search(search) VALUES('optimize')";
static const char session_row[] = "DELETE FROM session WHERE id=?1";
static const char end_purge[] = "DELETE FROM purge WHERE session_id=?1";

static int delete_rows(sqlite3 *db, const char *const *sql, const char *session,
		       struct err *e)
{
	int r = 0;

	for (; *sql != NULL && r >= 0; sql++)
		r = db_run(db, e, *sql, "s", session);
	return r;
}

static int delete_words(sqlite3 *db, const char *session, struct err *e)
{
	int r = db_run(db, e, forget_words, "s", session);

	if (r >= 0)
		r = db_run(db, e, search_docs, "s", session);
	return r > 0 ? db_exec(db, merge_search, e) : r;
}

int purge_projected(sqlite3 *db, const char *session, struct err *e)
{
	return delete_rows(db, projected_rows, session, e);
}

int purge_session(sqlite3 *db, const char *session, bool host, struct err *e)
{
	int r = delete_rows(db, core_rows, session, e);

	if (r >= 0)
		r = purge_projected(db, session, e);
	if (r >= 0)
		r = delete_rows(db, host ? host_rows : guest_rows, session, e);
	if (r >= 0 && host)
		r = delete_words(db, session, e);
	if (r >= 0)
		r = db_run(db, e, session_row, "s", session);
	if (r == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no such session");
	if (r >= 0)
		r = db_run(db, e, end_purge, "s", session);
	return r < 0 ? r : 0;
}
