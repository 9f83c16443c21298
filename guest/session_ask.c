// SPDX-License-Identifier: Apache-2.0
/*
 * session_ask.c - Sessions: what the agent asks, and who answers
 *
 * A question is an event and a row before anybody sees it; its answer is stored
 * before the agent hears it.  The session waits as long as one is open.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/session_impl.h"

/* Record the outcome, and answer the agent. */
static void resolve(struct session *s, struct permission *p, const char *option,
		    const char *by)
{
	autojw struct jw ctx = {0}, w = {0}, answer = {0};

	TAILQ_REMOVE(&s->permissions, p, link);
	s->n_permissions--;
	permission_write_ctx(p, s->turn.input, &ctx);
	jw_obj(&w);
	jw_kstr(&w, "outcome", option == NULL ? "cancelled" : "selected");
	if (option != NULL)
		jw_kstr(&w, "option", option);
	jw_kstr(&w, "by", by);
	jw_obj_end(&w);
	acp_write_outcome(&answer, option);
	if (ctx.failed || answer.failed) {
		journal_break(&s->journal, -ENOMEM, "out of memory");
	} else {
		journal_add_jw(&s->journal, "permission.resolved", ctx.buf, &w);
		if (!s->agent_dead)
			agent_reply(s->agent, p->rpc_id, strlen(p->rpc_id),
				    answer.buf);
	}
	permission_free(p);
}

static void resolve_and_run(struct session *s, struct permission *p,
			    const char *option, const char *by)
{
	resolve(s, p, option, by);
	if (s->state == SESSION_WAITING && s->n_permissions == 0)
		session_move(s, SESSION_RUNNING, "answered");
}

void session_cancel_asks(struct session *s)
{
	while (!TAILQ_EMPTY(&s->permissions))
		resolve(s, TAILQ_FIRST(&s->permissions), NULL, "cancel");
}

static void permission_on_expired(struct permission *p, void *arg)
{
	resolve_and_run(arg, p, NULL, "timeout");
}

static void record_request(struct session *s, const struct permission *p,
			   const struct rpc_msg *m)
{
	autojw struct jw ctx = {0}, w = {0};

	permission_write_ctx(p, s->turn.input, &ctx);
	jw_obj(&w);
	jw_kvalue(&w, "options", jv_get(m->params, "options"));
	jw_kvalue(&w, "tool", jv_get(m->params, "toolCall"));
	jw_kvalue(&w, "rpc_id", m->id);
	if (p->deadline_ms > 0)
		jw_kint(&w, "deadline_ms", p->deadline_ms);
	jw_obj_end(&w);
	if (ctx.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		journal_add_jw(&s->journal, "permission.requested", ctx.buf,
			       &w);
}

void session_ask(struct session *s, const struct rpc_msg *m)
{
	struct permission *p;
	struct err e = {0};
	int r;

	/* Nobody can be asked between turns, or while the turn is cancelled. */
	if (!turn_is_open(&s->turn) || s->turn.cancelling ||
	    s->n_permissions == REQUESTS_MAX) {
		session_reply(s, m,
			      "{\"outcome\":{\"outcome\":\"cancelled\"}}");
		return;
	}
	r = permission_new(s->guest->loop, m, s->permission_timeout_ms, &p, &e);
	if (r < 0) {
		session_refuse(s, m,
			       r == -EINVAL ? RPC_INVALID_PARAMS : RPC_INTERNAL,
			       e.msg);
		return;
	}
	p->expired = permission_on_expired;
	p->arg = s;
	TAILQ_INSERT_TAIL(&s->permissions, p, link);
	s->n_permissions++;
	record_request(s, p, m);
	if (s->state == SESSION_RUNNING)
		session_move(s, SESSION_WAITING, "permission");
}

/* Not pending: because it was answered, or because it never was. */
static int refuse_answer(const struct session *s, const char *request,
			 struct err *e)
{
	const char *args[] = {s->id, request, NULL};
	autofree char *state = NULL;

	if (reader_value(s->guest->reader,
			 "SELECT state FROM request WHERE session_id=?1 AND "
			 "id=?2",
			 args, &state, NULL) == 1)
		return err_set(e, -FAULT_NOT_WAITING, "request %s is %s",
			       request, state);
	return err_set(e, -FAULT_REQUEST_NOT_FOUND, "session %s never asked %s",
		       s->id, request);
}

int session_answer(struct session *s, const char *request, const char *option,
		   const char *by, struct call *c, struct err *e)
{
	struct permission *p;

	if (session_allows(s, OP_ANSWER, e) < 0)
		return e->code;
	TAILQ_FOREACH (p, &s->permissions, link)
		if (strcmp(p->id, request) == 0)
			break;
	if (p == NULL)
		return refuse_answer(s, request, e);
	if (option != NULL && !permission_offers(p, option))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "request %s does not offer '%.64s'", request,
			       option);
	resolve_and_run(s, p, option, by == NULL ? "client" : by);
	jw_obj(&c->result);
	jw_kstr(&c->result, "request", request);
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}
