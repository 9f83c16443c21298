// SPDX-License-Identifier: Apache-2.0
/*
 * revision.c - The commit that a request names
 *
 * The events that end a turn tell the newest commit, turn.diff the one that the
 * turn has made, also when that was made later (ctx.late).
 */
#include "host/daemon/revision.h"

#include <stdio.h>
#include <string.h>

#include "vfs/history.h"

#define TELLS_COMMIT                                                          \
	"SELECT json_extract(e.data,'$.commit') FROM event e WHERE "          \
	"e.session_n=(SELECT n FROM session WHERE id=?1) AND e.type IN ("     \
	"'turn.completed','turn.failed','turn.cancelled','turn.interrupted'," \
	"'turn.diff') AND json_extract(e.data,'$.commit') IS NOT NULL "       \
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 "    \
	"AND e.seq BETWEEN a.from_seq AND a.to_seq) "

/* Of turn ?2. */
#define OF_TURN "AND (e.turn_id=?2 OR json_extract(e.ctx,'$.late')=?2) "
/* Of turns that had ended by event ?2. */
#define UNTIL                                                              \
	"AND (e.seq<=CAST(?2 AS INTEGER) OR json_extract(e.ctx,'$.late') " \
	"IN (SELECT id FROM turn WHERE session_id=?1 "                     \
	"AND last_seq<=CAST(?2 AS INTEGER))) "
#define NEWEST "ORDER BY e.seq DESC LIMIT 1"

static bool ask(struct revision *v, struct reader *r, const char *sql,
		const char *session, const char *arg)
{
	const char *args[] = {session, arg, NULL};
	autofree char *hex = NULL;
	struct vfs_oid oid;

	if (reader_value(r, sql, args, &hex, NULL) != 1 ||
	    vfs_oid_parse(hex, &oid) < 0)
		return false;
	snprintf(v->logged, sizeof(v->logged), "%s", hex);
	return true;
}

int revision_read(struct revision *v, struct reader *r, const char *vm,
		  const char *name, struct err *e)
{
	const char *args[] = {name, vm, NULL};
	autofree char *session = NULL;

	*v = (struct revision){0};
	if (strlen(name) >= sizeof(v->name))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "'%.80s...' is no turn or commit", name);
	snprintf(v->name, sizeof(v->name), "%s", name);
	if (!id_is(name, "trn"))
		return 0;
	if (reader_value(r,
			 "SELECT t.session_id FROM turn t JOIN session s ON "
			 "s.id=t.session_id WHERE t.id=?1 AND s.vm_id=?2 "
			 "ORDER BY s.n DESC LIMIT 1",
			 args, &session, NULL) != 1)
		return err_set(e, -FAULT_TURN_NOT_FOUND, "%s has no turn %s",
			       vm, name);
	(void)ask(v, r, TELLS_COMMIT OF_TURN NEWEST, session, name);
	return 0;
}

bool revision_of_session(struct revision *v, struct reader *r,
			 const char *session, int64_t seq)
{
	char text[24];

	*v = (struct revision){0};
	snprintf(text, sizeof(text), "%lld", (long long)seq);
	if (!ask(v, r, TELLS_COMMIT UNTIL NEWEST, session, text))
		return false;
	snprintf(v->name, sizeof(v->name), "%s", v->logged);
	return true;
}

int revision_resolve(const struct revision *v, struct vfs_repo *repo,
		     struct vfs_oid *out, struct err *e)
{
	const char *name = v->logged[0] != '\0' ? v->logged : v->name;
	struct vfs_history_commit c;
	struct vfs_oid oid;
	int r = vfs_history_resolve(repo, NULL, name, &oid, e);

	if (r == 0)
		r = vfs_history_get(repo, &oid, &c, e);
	if (r == 0)
		*out = oid;
	return r;
}
