// SPDX-License-Identifier: Apache-2.0
/*
 * session_pause.c - Sessions: what a pause of the VM says in their logs
 *
 *	session.state   {from X, to suspended, suspended_from X}
 *	  ...                 the VM sleeps, its memory is kept
 *	session.resumed {restore warm, paused_ms: how long}
 *	session.state   {from suspended, to X}
 *
 * In between memory holds all that it held: the agent, the open turn, what waits
 * for an answer.  Only a session that does one thing or another can be paused:
 * one that starts or closes, or ends its turn, is waited for.
 */
#include "core/time.h"
#include "guest/session_impl.h"

static bool is_at_work(const struct session *s)
{
	return BIT(s->state) & (BIT(SESSION_IDLE) | BIT(SESSION_RUNNING) |
				BIT(SESSION_WAITING));
}

bool session_may_pause(const struct session *s)
{
	if (s->stuck || !is_at_work(s))
		return session_is_settled(s);
	return s->answered.type == NULL && s->held_prompt == NULL;
}

bool session_is_quiet(const struct session *s)
{
	return journal_is_quiet(&s->journal) ||
	       (s->stuck && journal_is_landed(&s->journal));
}

bool session_is_paused(const struct session *s)
{
	return s->paused_from != SESSION_STARTING;
}

void session_pause(struct session *s, const char *reason)
{
	if (!is_at_work(s))
		return;
	s->paused_from = s->state;
	s->paused_ms = now_ms();
	session_move(s, SESSION_SUSPENDED, reason);
}

/* Its row says that it has ended, as of all of a suspended session. */
static void write_servers(const struct session *s, struct jw *w)
{
	struct upstream *u;

	jw_key(w, "mcp");
	jw_arr(w);
	for (u = mcp_set_first(s->mcp); u != NULL; u = mcp_set_next(u)) {
		if (u->state != UPSTREAM_READY)
			continue;
		jw_obj(w);
		jw_kstr(w, "name", u->spec->name);
		if (u->pid > 0)
			jw_kint(w, "pid", u->pid);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static void record_resumed(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "restore", "warm");
	jw_kint(&w, "last_seq", s->journal.last_seq);
	jw_kint(&w, "epoch", s->journal.epoch);
	jw_kint(&w, "paused_ms", now_ms() - s->paused_ms);
	if (s->mcp != NULL)
		write_servers(s, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.resumed", NULL, &w);
}

void session_unpause(struct session *s, const char *reason)
{
	enum session_state to = s->paused_from;

	session_arm_ttl(s);
	if (!session_is_paused(s))
		return;
	s->paused_from = SESSION_STARTING;
	record_resumed(s);
	session_move(s, to, reason);
}
