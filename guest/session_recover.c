// SPDX-License-Identifier: Apache-2.0
/*
 * session_recover.c - Sessions: what a lost boot or a failed commit left open
 *
 * Recovery is one path for two cases: a boot that finds what the last one left,
 * and a commit that failed.  Both read state, open turn and pending requests
 * from the store and add what ends them: the turn ends (interrupted, or failed
 * with the store's error), requests are cancelled, the session is suspended, or
 * closed if it was closing.  When not even this can be stored the session is
 * stuck: calls answer the store's error, and each later commit of another
 * session, and each call, tries again.
 */
#include <string.h>

#include "core/log.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

static const char pending_sql[] =
	"SELECT id, kind, tool_call_id FROM request "
	"WHERE session_id=?1 AND state='pending' ORDER BY asked_seq";

static const char *resolved_type(struct jv row)
{
	if (jv_eq(jv_get(row, "kind"), "tool"))
		return "tool.resolved";
	return ask_resolved_type(jv_eq(jv_get(row, "kind"), "elicitation")
					 ? ASK_ELICITATION
					 : ASK_PERMISSION);
}

static void cancel_request(struct session *s, const char *input, struct jv row)
{
	autojw struct jw ctx = {0}, w = {0};
	struct jv tool = jv_get(row, "tool_call_id");

	jw_obj(&ctx);
	if (input[0] != '\0')
		jw_kstr(&ctx, "input", input);
	jw_kvalue(&ctx, "req", jv_get(row, "id"));
	if (jv_is(tool, JV_STRING))
		jw_kvalue(&ctx, "tool", tool);
	jw_obj_end(&ctx);
	jw_lit(&w, "{\"outcome\":\"cancelled\",\"by\":\"cancel\"}", 37);
	if (ctx.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		journal_add_jw(&s->journal, resolved_type(row), ctx.buf, &w);
}

static int cancel_requests(struct session *s, const char *input, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	autojw struct jw w = {0};
	autojson struct json j = {0};
	struct jv list;
	int r;

	jw_arr(&w);
	r = reader_rows(s->guest->reader, pending_sql, args, &w, e);
	jw_arr_end(&w);
	if (r <= 0)
		return r;
	if (w.failed || json_parse(&j, w.buf, w.len, e) < 0)
		return err_set(e, -ENOMEM, "session %s: out of memory", s->id);
	list = json_root(&j);
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		cancel_request(s, input, it);
	return 0;
}

static void end_open_turn(struct session *s, const struct session_brief *b,
			  const struct err *why)
{
	autojw struct jw ctx = {0}, w = {0};

	jw_obj(&ctx);
	jw_kstr(&ctx, "input", b->open_turn_input);
	jw_obj_end(&ctx);
	jw_obj(&w);
	if (why == NULL) {
		jw_kstr(&w, "reason", "vm_lost");
	} else {
		jw_key(&w, "error");
		session_write_error(why, &w);
	}
	jw_obj_end(&w);
	journal_add_jw(&s->journal,
		       why == NULL ? "turn.interrupted" : "turn.failed",
		       ctx.failed ? NULL : ctx.buf, &w);
	memcpy(s->journal.turn, "", 1);
}

static void end_live_state(struct session *s, const char *reason)
{
	autojw struct jw w = {0};

	if (s->state == SESSION_CLOSING) {
		jw_obj(&w);
		jw_kstr(&w, "reason", reason);
		jw_obj_end(&w);
		session_move(s, SESSION_CLOSED, reason);
		journal_add_jw(&s->journal, "session.closed", NULL, &w);
	} else if (session_is_live(s)) {
		session_move(s, SESSION_SUSPENDED, reason);
	}
}

static void session_on_recovered(struct journal_effect *ef, const struct err *e)
{
	struct session *s = container_of(ef, struct session, recovered);
	struct journal_effect *settled = take_ptr(s->settled);

	if (e != NULL) {
		s->stuck = true;
		s->guest->stuck++;
		log_error("%s: recovery cannot be stored, trying later: %s",
			  s->id, e->msg);
	}
	if (settled != NULL)
		settled->run(settled, e);
}

/* Add what ends all that the store holds open.  @why: NULL after a boot. */
static int recover(struct session *s, const struct err *why, struct err *e)
{
	struct session_brief b;
	int r = reader_session(s->guest->reader, s->id, &b, e);

	if (r < 0)
		return r;
	journal_reset(&s->journal, b.last_seq, b.epoch);
	s->state = session_state_from_name(b.state);
	memcpy(s->journal.turn, b.open_turn, ID_MAX);
	r = session_load_always(s, e);
	if (r == 0)
		r = session_load_tools(s, e);
	if (r == 0 && b.pending > 0)
		r = cancel_requests(s, b.open_turn_input, e);
	if (r < 0)
		return r;
	if (b.open_turn[0] != '\0')
		end_open_turn(s, &b, why);
	end_live_state(s, why == NULL ? "vm_lost"
				      : fault_name(err_fault(why->code)));
	s->recovered.run = session_on_recovered;
	journal_then(&s->journal, &s->recovered);
	return 0;
}

int session_reconcile(struct session *s, struct journal_effect *ef,
		      struct err *e)
{
	int r;

	s->settled = ef;
	r = recover(s, NULL, e);
	if (r < 0)
		s->settled = NULL;
	return r;
}

/* Forget what memory holds ahead of the log. */
static void drop_memory(struct session *s, const struct err *e)
{
	session_fail_waiting(s, e, true);
	call_list_fail(&s->enders, e);
	session_drop_asks(s);
	prompts_free(&s->steered);
	turn_done(&s->turn);
	session_forget_files(s);
	s->spawn_due = false;
	s->paused_from = SESSION_STARTING;
	uv_timer_stop(&s->timer);
	session_end_agent(s, AGENT_END_KILL);
}

static void set_stuck(struct session *s)
{
	s->stuck = true;
	s->guest->stuck++;
}

/* A commit has failed, and nothing is in flight any more. */
void session_on_lost(struct journal *j, const struct err *e)
{
	struct session *s = container_of(j, struct session, journal);
	struct err why = *e, again = {0};
	int r;

	if (s->stuck)
		return;
	if (why.code == -ENOSPC || why.code == -EDQUOT)
		why.code = -FAULT_DISK_FULL;
	else
		why.code = -FAULT_STORE_ERROR;
	if (!s->lost)
		log_error("%s: %s", s->id, why.msg);
	drop_memory(s, &why);
	r = recover(s, &why, &again);
	if (r == -FAULT_SESSION_NOT_FOUND) {
		s->lost = s->retire = true; /* Its creation failed. */
		guest_sweep_later(s->guest);
	} else if (r < 0) {
		journal_break(j, r, again.msg);
		set_stuck(s);
	}
}

void session_retry(struct session *s)
{
	struct err why = s->journal.err;

	if (!s->stuck || !journal_is_landed(&s->journal))
		return;
	s->stuck = false;
	s->guest->stuck--;
	session_on_lost(&s->journal, &why);
}
