// SPDX-License-Identifier: Apache-2.0
/*
 * rekey.c - Sessions of a VM that was set back or cloned
 *
 * A session is renamed in place: its events name it by a number, and chain hashes
 * do not know of ids.  Rows that refer to it by its id are renamed with it; the
 * foreign key of turns is looked at when the transaction commits.
 */
#include "core/rekey.h"

#include <string.h>

#include "core/fork.h"
#include "core/purge.h"

static const char rename_row[] =
	"UPDATE session SET id=?2, root_id=iif(root_id=?1, ?2, root_id)"
	" WHERE id=?1";
static const char *const rename_others[] = {
	"UPDATE turn SET session_id=?2 WHERE session_id=?1",
	"UPDATE request SET session_id=?2 WHERE session_id=?1",
	"UPDATE diff SET session_id=?2 WHERE session_id=?1",
	"UPDATE artifact SET session_id=?2 WHERE session_id=?1",
	"UPDATE kv SET session_id=?2 WHERE session_id=?1",
	"UPDATE memory SET session_id=?2 WHERE session_id=?1",
	"UPDATE memory_shared SET session_id=?2 WHERE session_id=?1",
	"UPDATE summary SET session_id=?2 WHERE session_id=?1",
	"UPDATE mcp_server SET session_id=?2 WHERE session_id=?1",
	"UPDATE abandoned SET session_id=?2 WHERE session_id=?1",
	"UPDATE sync SET session_id=?2 WHERE session_id=?1",
	"UPDATE proc SET session_id=?2 WHERE session_id=?1",
};

static int rename_session(struct append *a, const char *from, const char *to,
			  struct err *e)
{
	sqlite3 *db = a->cache.db;
	int r = db_exec(db, "PRAGMA defer_foreign_keys=ON", e);

	if (r >= 0)
		r = db_run(db, e, rename_row, "ss", from, to);
	if (r == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "session %s is not here", from);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(rename_others); i++)
		r = db_run(db, e, rename_others[i], "ss", from, to);
	append_forget(a); /* It knows the end of a log by its id. */
	return r < 0 ? r : 0;
}

static int purge(struct append *a, const char *session, struct err *e)
{
	int r = purge_session(a->cache.db, session, a->host, e);

	append_forget(a);
	if (r == -FAULT_SESSION_NOT_FOUND)
		return 0;
	return r < 0 ? r : 1;
}

static int load_page(struct append *a, struct store_rekey_one *o,
		     struct store_batch *page, struct err *e)
{
	int r;

	TAILQ_INIT(&page->events);
	r = o->next(o, page->acked, &page->events, e);
	if (r == 0 && !TAILQ_EMPTY(&page->events))
		r = append_batch(a, page, e) < 0 ? e->code : 1;
	event_list_free(&page->events);
	return r;
}

static int load(struct append *a, struct store_rekey_one *o, struct err *e)
{
	struct store_batch page = {.fresh_only = true};
	int r;

	memcpy(page.session, o->tail.session, ID_MAX);
	do
		r = load_page(a, o, &page, e);
	while (r > 0);
	return r;
}

int rekey_log(struct append *a, struct store_rekey_one *o, struct err *e)
{
	const char *session = o->tail.session;
	int r = 0;

	if (o->how == STORE_PURGE)
		return purge(a, session, e);
	if (o->how == STORE_RENAME)
		r = rename_session(a, o->from, session, e);
	else if (o->how == STORE_COPY)
		r = fork_copy(a, o->from, o->to, session, e);
	else if (o->how == STORE_LOAD)
		r = load(a, o, e);
	if (r >= 0 && o->epoch > 0)
		r = append_claim(a, session, o->epoch, e);
	if (r >= 0 && !TAILQ_EMPTY(&o->tail.events))
		r = append_batch(a, &o->tail, e);
	return r < 0 ? r : 0;
}
