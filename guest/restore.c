// SPDX-License-Identifier: Apache-2.0
/*
 * restore.c - The ladder by which an agent gets its context back
 */
#include "guest/restore.h"

#include <stdlib.h>

static const char has_turns_sql[] =
	"SELECT 1 FROM turn t WHERE session_id=?1 AND NOT EXISTS "
	"(SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq) LIMIT 1";

/* Where the agent's present session was begun, or ours was copied. */
static const char since_sql[] =
	"SELECT coalesce(max(e.seq),0) FROM event e "
	"WHERE e.session_n=(SELECT n FROM session WHERE id=?1) "
	"AND e.type<>'acp.update' AND (e.type IN ('session.forked',"
	"'session.imported') OR (e.type='session.ready' "
	"AND json_extract(e.data,'$.restore')<>'native'))";

static const char worth_sql[] =
	"SELECT s.acp_session_id FROM session s WHERE s.id=?1 "
	"AND s.acp_session_id IS NOT NULL AND EXISTS "
	"(SELECT 1 FROM turn t WHERE t.session_id=?1 AND t.state='completed' "
	"AND t.first_seq>CAST(?2 AS INTEGER) AND NOT EXISTS "
	"(SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq))";

/* The ACP session that ours could be forked from: that of the session it was
 * copied from, of the same agent, while neither has gone on. */
static const char fork_sql[] =
	"SELECT source.id FROM session s JOIN event e ON e.session_n=s.n "
	"JOIN session source ON source.id=json_extract(e.data,'$.from') "
	"WHERE s.id=?1 AND e.type='session.forked' AND e.type<>'acp.update' "
	"AND e.seq=CAST(?2 AS INTEGER) AND source.agent=s.agent "
	"AND source.acp_session_id="
	"json_extract(e.data,'$.native.acp_session_id') "
	"AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.session_id=s.id "
	"AND t.first_seq>e.seq) "
	"AND NOT EXISTS (SELECT 1 FROM turn t WHERE t.session_id=source.id "
	"AND t.first_seq>coalesce(json_extract(e.data,'$.at'),0))";

static const char *const names[] = {
	[RESTORE_NEW] = "new",
	[RESTORE_NATIVE] = "native",
	[RESTORE_TRANSCRIPT] = "transcript",
	[RESTORE_NONE] = "none",
};

const char *restore_name(enum restore r)
{
	return names[r];
}

/* The first value of a query about a session; NULL in *out when there is
 * none. */
static int ask(struct reader *r, const char *sql, const char *session,
	       const char *arg, char **out, struct err *e)
{
	const char *const args[] = {session, arg, NULL};

	*out = NULL;
	return reader_value(r, sql, args, out, e);
}

/* The ACP session that a session's agent could take up again, or NULL, and the
 * seq behind which it knows the log. */
static int read_native(struct reader *r, const char *session, char **out_acp,
		       char **out_since, struct err *e)
{
	int n = ask(r, since_sql, session, NULL, out_since, e);

	return n < 0 ? n : ask(r, worth_sql, session, *out_since, out_acp, e);
}

static int read_fork(struct reader *r, const char *session, const char *since,
		     char **out, struct err *e)
{
	autofree char *source = NULL, *source_since = NULL;
	int n = ask(r, fork_sql, session, since, &source, e);

	if (n < 0 || source == NULL)
		return n;
	return read_native(r, source, out, &source_since, e);
}

int restore_read(struct reader *r, const char *session,
		 struct restore_facts *out, struct err *e)
{
	autofree char *turns = NULL, *since = NULL;
	int n = ask(r, has_turns_sql, session, NULL, &turns, e);

	restore_done(out);
	if (n >= 0)
		n = read_native(r, session, &out->acp_session, &since, e);
	if (n >= 0)
		n = read_fork(r, session, since, &out->fork_source, e);
	if (n < 0) {
		restore_done(out);
		return n;
	}
	out->has_turns = turns != NULL;
	out->native_since = since != NULL ? strtoll(since, NULL, 10) : 0;
	out->native_refused = false;
	return 0;
}

void restore_done(struct restore_facts *f)
{
	free(take_ptr(f->acp_session));
	free(take_ptr(f->fork_source));
}

struct restore_native restore_native(const struct restore_facts *f,
				     const struct acp_caps *caps)
{
	if (f->first || f->want_none || f->native_refused)
		return (struct restore_native){0};
	/* session/resume is preferred: it repeats no history. */
	if (f->acp_session != NULL && (caps->resume || caps->load))
		return (struct restore_native){caps->resume ? "session/resume"
							    : "session/load",
					       f->acp_session};
	if (f->fork_source != NULL && caps->fork)
		return (struct restore_native){"session/fork", f->fork_source};
	return (struct restore_native){0};
}

enum restore restore_rung(const struct restore_facts *f,
			  const struct acp_caps *caps)
{
	if (f->first)
		return RESTORE_NEW;
	if (f->want_none)
		return RESTORE_NONE;
	if (restore_native(f, caps).method != NULL)
		return RESTORE_NATIVE;
	return f->has_turns ? RESTORE_TRANSCRIPT : RESTORE_NONE;
}
