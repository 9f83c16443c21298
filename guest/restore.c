// SPDX-License-Identifier: Apache-2.0
/*
 * restore.c - The ladder by which an agent gets its context back
 */
#include "guest/restore.h"

/* session/resume is preferred: it repeats no history. */
static const char has_turns_sql[] =
	"SELECT 1 FROM turn WHERE session_id=?1 LIMIT 1";

/* Completed since the agent's session was made. */
static const char native_worth_sql[] =
	"SELECT 1 FROM turn t WHERE t.session_id=?1 AND t.state='completed' "
	"AND t.first_seq>(SELECT coalesce(max(e.seq),0) FROM event e "
	"WHERE e.session_n=(SELECT n FROM session WHERE id=?1) "
	"AND e.type='session.ready' AND e.type<>'acp.update' "
	"AND json_extract(e.data,'$.restore')<>'native') LIMIT 1";

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

static int ask(struct reader *r, const char *sql, const char *session,
	       bool *out, struct err *e)
{
	const char *const args[] = {session, NULL};
	autofree char *value = NULL;
	int n = reader_value(r, sql, args, &value, e);

	if (n >= 0)
		*out = n > 0;
	return n < 0 ? n : 0;
}

int restore_read(struct reader *r, const char *session,
		 struct restore_facts *out, struct err *e)
{
	int n = ask(r, has_turns_sql, session, &out->has_turns, e);

	if (n == 0)
		n = ask(r, native_worth_sql, session, &out->native_worth, e);
	return n;
}

const char *restore_method(const struct acp_caps *caps)
{
	if (caps->resume)
		return "session/resume";
	return caps->load ? "session/load" : NULL;
}

enum restore restore_next(const struct restore_facts *f)
{
	return f->has_turns ? RESTORE_TRANSCRIPT : RESTORE_NONE;
}

enum restore restore_first(const struct restore_facts *f,
			   const struct acp_caps *caps, const char *acp_session)
{
	if (f->first)
		return RESTORE_NEW;
	if (f->want_none)
		return RESTORE_NONE;
	if (f->native_worth && acp_session != NULL &&
	    restore_method(caps) != NULL)
		return RESTORE_NATIVE;
	return restore_next(f);
}
