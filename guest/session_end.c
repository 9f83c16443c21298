// SPDX-License-Identifier: Apache-2.0
/*
 * session_end.c - Sessions: suspend, close, expiry, agents that end themselves
 *
 * What ends a session first ends its turn (interrupted, or cancelled by a
 * close), then moves the state, then the agent.  Killing waits for no commit:
 * if the commit fails the agent has to end all the same.  Calls are answered
 * when the agent is gone, which the kernel makes sure of:
 *
 *	suspend  end of its stdin, SIGTERM 1 s later, SIGKILL 2 s after that;
 *	         during a turn SIGTERM at once
 *	close    session/close if the agent has it, end of its stdin, SIGTERM
 *	         5 s later, SIGKILL 2 s after that; by force SIGKILL at once, but
 *	         of a session that is destroyed the agent is first told to delete
 *	         what it holds, if it can, and has 1 s for that
 *	freeze   as suspend; during a turn SIGKILL at once
 *
 * Agents write their own stores some time after a turn has ended.  One that is
 * idle is given the time to, or it would have forgotten that turn when it wakes.
 *
 * An agent that ends by itself, or breaks the protocol, fails the turn and the
 * session (T12), but for one that is ending anyway.
 */
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

void session_end_agent(struct session *s, enum agent_end how)
{
	mcp_set_stop(s->mcp);
	if (s->agent != NULL)
		agent_end(s->agent, how);
}

static bool is_in_turn(const struct session *s)
{
	return s->state == SESSION_RUNNING || s->state == SESSION_WAITING;
}

static void fail_waiting(struct session *s, int fault, const char *why)
{
	struct err e = {0};

	err_set(&e, -fault, "session %s %s", s->id, why);
	session_fail_waiting(s, &e, false);
}

/* Answer now, or when the agent is gone. */
static void reply_when_gone(struct session *s, struct call *c)
{
	if (c == NULL)
		return;
	if (s->agent != NULL)
		TAILQ_INSERT_TAIL(&s->enders, c, link);
	else
		session_reply_state(s, c);
}

/*
 * Suspend.
 */

/* End the turn and the start, and be suspended. */
static void suspend(struct session *s, const char *reason)
{
	uv_timer_stop(&s->timer);
	s->spawn_due = false;
	if (turn_is_open(&s->turn))
		session_interrupt_turn(s, reason);
	session_move(s, SESSION_SUSPENDED, reason);
}

int session_suspend(struct session *s, bool force, const char *reason,
		    struct call *c, struct err *e)
{
	enum agent_end how;

	if (s->state == SESSION_SUSPENDED) {
		reply_when_gone(s, c);
		return 0;
	}
	if (!(force && is_in_turn(s)) && session_allows(s, OP_SUSPEND, e) < 0)
		return e->code;
	how = s->state == SESSION_IDLE ? AGENT_END_SAVE : AGENT_END_TERM;
	suspend(s, reason == NULL ? "suspend" : reason);
	fail_waiting(s, FAULT_NOT_READY, "is being suspended");
	session_end_agent(s, how);
	reply_when_gone(s, c);
	return 0;
}

void session_freeze(struct session *s, const char *reason)
{
	bool idle = s->state == SESSION_IDLE;

	if (s->state == SESSION_CLOSING) {
		session_end_agent(s, AGENT_END_KILL);
		return;
	}
	if (session_is_live(s)) {
		suspend(s, reason);
		fail_waiting(s, FAULT_DRAINING, "goes to sleep");
	}
	session_end_agent(s, idle ? AGENT_END_SAVE : AGENT_END_KILL);
}

/*
 * Close.
 */

static void finish_close(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "reason", s->close_reason[0] ? s->close_reason : "closed");
	jw_obj_end(&w);
	session_move(s, SESSION_CLOSED, "closed");
	journal_add_jw(&s->journal, "session.closed", NULL, &w);
}

static void cancel_turn_for_close(struct session *s)
{
	autojw struct jw w = {0};

	if (!s->turn.cancelling)
		session_send_cancel(s);
	jw_obj(&w);
	jw_kstr(&w, "by", "close");
	jw_kstr(&w, "reason", s->close_reason[0] ? s->close_reason : NULL);
	session_end_turn(s, "turn.cancelled", &w);
}

static void session_on_acp_closed(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status != -ECANCELED && s->state == SESSION_CLOSING)
		session_end_agent(s, AGENT_END_ASK);
}

static void session_on_acp_deleted(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status != -ECANCELED && s->state == SESSION_CLOSING)
		session_end_agent(s, AGENT_END_KILL);
}

/* A last call that is about the agent's session.  Return: whether it was made,
 * and @done ends the agent. */
static bool say_last(struct session *s, const char *method, rpc_done_cb done)
{
	autojw struct jw w = {0};

	if (s->acp_id == NULL)
		return false;
	acp_write_session(&w, s->acp_id);
	return !w.failed &&
	       agent_call(s->agent, method, w.buf, ACP_CLOSE_MS, done, s) >= 0;
}

/* Let the agent go, for a bounded time. */
static void part_with_agent(struct session *s, enum close_how how,
			    bool starting)
{
	if (how == CLOSE_FORGET && !starting &&
	    s->caps.delete &&say_last(s, "session/delete",
				      session_on_acp_deleted))
		return;
	if (how == CLOSE_ASK && !starting && s->caps.close &&
	    say_last(s, "session/close", session_on_acp_closed))
		return;
	if (how != CLOSE_ASK)
		session_end_agent(s, AGENT_END_KILL);
	else
		session_end_agent(s, starting ? AGENT_END_TERM : AGENT_END_ASK);
}

static void close_live(struct session *s, enum close_how how)
{
	bool starting = s->state == SESSION_STARTING;

	uv_timer_stop(&s->timer);
	s->spawn_due = false;
	if (turn_is_open(&s->turn))
		cancel_turn_for_close(s);
	session_move(s, SESSION_CLOSING, "close");
	fail_waiting(s, FAULT_SESSION_CLOSING, "is being closed");
	if (s->agent == NULL)
		finish_close(s);
	else
		part_with_agent(s, how, starting);
}

int session_close(struct session *s, enum close_how how, const char *reason,
		  struct call *c, struct err *e)
{
	(void)e;
	if (s->state == SESSION_CLOSING) {
		if (how != CLOSE_ASK)
			session_end_agent(s, AGENT_END_KILL);
	} else if (s->state != SESSION_CLOSED && s->state != SESSION_EXPIRED) {
		session_copy(s->close_reason, sizeof(s->close_reason), reason);
		if (session_is_live(s))
			close_live(s, how);
		else
			finish_close(s);
	}
	reply_when_gone(s, c);
	return 0;
}

/*
 * Archive.
 */

int session_archive(struct session *s, bool on, struct call *c, struct err *e)
{
	if (s->state == SESSION_STARTING)
		return err_set(e, -FAULT_NOT_READY, "session %s is starting",
			       s->id);
	if (on && session_is_live(s))
		session_close(s, CLOSE_ASK, "archived", NULL, e);
	journal_add(&s->journal, on ? "session.archived" : "session.unarchived",
		    NULL, "{}", 2);
	reply_when_gone(s, c);
	return 0;
}

/*
 * Expiry.
 */

static void session_on_expired(uv_timer_t *t)
{
	struct session *s = t->data;

	if (s->state == SESSION_CLOSED || s->state == SESSION_EXPIRED ||
	    s->stuck)
		return;
	uv_timer_stop(&s->timer);
	s->spawn_due = false;
	if (turn_is_open(&s->turn))
		session_interrupt_turn(s, "ttl");
	session_move(s, SESSION_EXPIRED, "ttl");
	journal_add(&s->journal, "session.expired", NULL, "{}", 2);
	fail_waiting(s, FAULT_SESSION_EXPIRED, "has expired");
	session_end_agent(s, AGENT_END_KILL);
}

void session_arm_ttl(struct session *s)
{
	int64_t left = s->expires_ms - now_ms();

	if (s->expires_ms > 0)
		uv_timer_start(&s->ttl, session_on_expired,
			       left > 0 ? (uint64_t)left : 0, 0);
	else
		uv_timer_stop(&s->ttl);
}

void session_set_ttl(struct session *s, int64_t ttl_ms)
{
	int64_t end = 0;

	if (ttl_ms > 0 && __builtin_add_overflow(now_ms(), ttl_ms, &end))
		return;
	s->expires_ms = end;
	session_arm_ttl(s);
}

/*
 * Agents that end by themselves.
 */

static void fail_turn(struct session *s, const struct err *e)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "error");
	session_write_error(e, &w);
	session_end_turn(s, "turn.failed", &w);
}

static void fail_session(struct session *s, const struct err *e)
{
	session_record_error(s, e);
	session_move(s, SESSION_FAILED, fault_name(err_fault(e->code)));
	session_fail_waiting(s, e, false);
}

void sessions_fail_turns(struct guest *g, const struct err *e)
{
	const char *reason = fault_name(err_fault(e->code));
	struct session *s;

	TAILQ_FOREACH (s, &g->sessions, link) {
		if (!turn_is_open(&s->turn))
			continue;
		fail_turn(s, e);
		session_move(s, SESSION_SUSPENDED, reason);
		fail_waiting(s, FAULT_NOT_READY, "was suspended");
		session_end_agent(s, AGENT_END_KILL);
	}
}

/* It broke the protocol; it runs still. */
void session_on_broken(const struct err *e, void *arg)
{
	struct session *s = arg;
	struct err why = *e;

	agent_explain(s->agent, NULL, &why);
	if (s->state == SESSION_STARTING && !s->spawn_due) {
		session_start_lost(s, &why);
		return;
	}
	if (turn_is_open(&s->turn))
		fail_turn(s, &why);
	if (s->state == SESSION_IDLE || is_in_turn(s))
		fail_session(s, &why);
	session_end_agent(s, AGENT_END_KILL);
}

static void answer_enders(struct session *s)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&s->enders)) != NULL) {
		TAILQ_REMOVE(&s->enders, c, link);
		session_reply_state(s, c);
	}
}

/* Record the exit where it belongs: behind the end of the turn it ended. */
static void die(struct session *s, const struct proc_end *end)
{
	struct err e = {0};

	agent_describe_end(s->agent, end, &e);
	if (turn_is_open(&s->turn))
		fail_turn(s, &e);
	agent_record_exit(s->agent, end);
	fail_session(s, &e);
}

static void die_starting(struct session *s, const struct proc_end *end)
{
	struct err e = {0};

	agent_describe_end(s->agent, end, &e);
	agent_record_exit(s->agent, end);
	if (end->failed == PROC_STEP_NONE)
		session_start_lost(s, &e);
	else
		session_start_failed(s, &e);
}

void session_on_gone(const struct proc_end *end, void *arg)
{
	struct session *s = arg;

	log_debug("%s: agent is gone", s->id);
	s->agent_dead = true;
	session_serve_end(s);
	session_mcp_end(s);
	if (s->state == SESSION_IDLE || is_in_turn(s))
		die(s, end);
	else if (s->state == SESSION_STARTING && !s->spawn_due)
		die_starting(s, end);
	else
		agent_record_exit(s->agent, end);
	s->agent = NULL;
	session_late_files(s);
	if (s->state == SESSION_CLOSING)
		finish_close(s);
	answer_enders(s);
	if (s->spawn_due)
		session_spawn(s);
	guest_sweep_later(s->guest);
}
