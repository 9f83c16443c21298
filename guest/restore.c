// SPDX-License-Identifier: Apache-2.0
/*
 * restore.c - The ladder by which an agent gets its context back
 */
#include "guest/restore.h"

#include <stdio.h>

static const char has_turns_sql[] =
	"SELECT 1 FROM turn t WHERE session_id=?1 AND NOT EXISTS "
	"(SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq) LIMIT 1";

/* Where the agent's present session was begun, or ours was copied.  In a clone
 * with its memory the agent's goes on. */
static const char since_sql[] =
	"SELECT coalesce(max(e.seq),0) FROM event e "
	"WHERE e.session_n=(SELECT n FROM session WHERE id=?1) "
	"AND e.type<>'acp.update' AND (e.type='session.imported' "
	"OR (e.type='session.forked' "
	"AND json_extract(e.data,'$.warm') IS NOT 1) "
	"OR (e.type='session.ready' "
	"AND json_extract(e.data,'$.restore')<>'native')) "
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND e.seq BETWEEN a.from_seq AND a.to_seq)";

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
		       int64_t *out_since, struct err *e)
{
	autofree char *since = NULL;
	int n = ask(r, since_sql, session, NULL, &since, e);

	if (n > 0)
		n = ask(r, worth_sql, session, since, out_acp, e);
	if (n >= 0)
		*out_since = since != NULL ? strtoll(since, NULL, 10) : 0;
	return n;
}

/* The same of the session that ours is a copy of: seqs are those of the copy. */
static int read_fork(struct reader *r, const char *session, int64_t since,
		     struct restore_facts *out, struct err *e)
{
	autofree char *source = NULL;
	char forked[24];
	int n;

	snprintf(forked, sizeof(forked), "%lld", (long long)since);
	n = ask(r, fork_sql, session, forked, &source, e);
	if (n <= 0)
		return n;
	return read_native(r, source, &out->fork_source, &out->fork_since, e);
}

int restore_read(struct reader *r, const char *session,
		 struct restore_facts *out, struct err *e)
{
	autofree char *turns = NULL;
	int n = ask(r, has_turns_sql, session, NULL, &turns, e);

	restore_done(out);
	if (n >= 0)
		n = read_native(r, session, &out->acp_session, &out->acp_since,
				e);
	if (n >= 0)
		n = read_fork(r, session, out->acp_since, out, e);
	if (n < 0) {
		restore_done(out);
		return n;
	}
	out->has_turns = turns != NULL;
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
	if (f->acp_session != NULL && (caps->resume || caps->load))
		return (struct restore_native){
			/* Preferred, as it repeats no history. */
			.method = caps->resume ? "session/resume"
					       : "session/load",
			.session = f->acp_session,
			.since = f->acp_since,
		};
	if (f->fork_source != NULL && caps->fork)
		return (struct restore_native){
			.method = "session/fork",
			.session = f->fork_source,
			.since = f->fork_since,
		};
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
