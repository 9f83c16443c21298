// SPDX-License-Identifier: Apache-2.0
/*
 * session_ask.c - Sessions: what the agent asks, and who answers
 *
 * A question is an event and a row before anybody sees it; its answer is stored
 * before the agent hears it.  The session waits as long as one is open, and the
 * first answer that fits is the one.
 *
 * A policy, or what was answered for always, may answer in the user's place:
 * request and answer then share a batch, and the session does not wait.
 *
 * Nobody can be asked between turns, while a turn is cancelled, about another
 * session of the agent, or beyond REQUESTS_MAX: such a question is recorded and
 * answered as cancelled in one batch, and the event says why.
 *
 * The agent may take a question back ($/cancel_request), and tell that what a
 * URL was for is done (elicitation/complete).  While the URL still waits for an
 * answer that is one: accepted, by the agent.
 *
 * MCP servers ask the same way, but for what is about the agent's protocol.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/session_impl.h"

/*
 * Events.
 */

static void record(struct session *s, const struct ask *a, const char *actor,
		   const char *type, struct jw *data)
{
	autojw struct jw ctx = {0};

	ask_write_ctx(a, s->turn.input, actor, &ctx);
	if (ctx.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		journal_add_jw(&s->journal, type, ctx.buf, data);
}

static void record_request(struct session *s, const struct ask *a,
			   const struct rpc_msg *m, bool decided)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	ask_write_request(a, m, &w);
	if (decided)
		jw_kbool(&w, "decided", true);
	jw_obj_end(&w);
	record(s, a, NULL, ask_requested_type(a->kind), &w);
}

static void record_answer(struct session *s, const struct ask *a,
			  const struct answer *an)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	ask_write_answer(a, an, &w);
	jw_obj_end(&w);
	record(s, a, an->actor, ask_resolved_type(a->kind), &w);
}

/*
 * Resolving.
 */

static void reply(struct session *s, const struct ask *a,
		  const struct answer *an)
{
	autojw struct jw w = {0};

	if (s->agent_dead && a->told == NULL)
		return;
	ask_write_reply(a, an, &w);
	if (w.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else if (a->told != NULL)
		a->told(w.buf, a->told_arg);
	else
		agent_reply(s->agent, a->rpc_id, strlen(a->rpc_id), w.buf);
}

static void forget(struct session *s, struct ask *a)
{
	TAILQ_REMOVE(&s->asks, a, link);
	s->n_asks--;
	ask_free(a);
}

static void resolve(struct session *s, struct ask *a, const struct answer *an)
{
	record_answer(s, a, an);
	reply(s, a, an);
	forget(s, a);
}

void session_stop_waiting(struct session *s)
{
	if (s->state == SESSION_WAITING && s->n_asks + s->n_tool_calls == 0)
		session_move(s, SESSION_RUNNING, "answered");
}

void session_cancel_asks(struct session *s)
{
	const struct answer an = answer_cancelled("cancel");

	while (!TAILQ_EMPTY(&s->asks))
		resolve(s, TAILQ_FIRST(&s->asks), &an);
	session_cancel_tool_calls(s);
}

void session_drop_asks(struct session *s)
{
	const struct answer an = answer_cancelled("cancel");

	while (!TAILQ_EMPTY(&s->asks)) {
		struct ask *a = TAILQ_FIRST(&s->asks);

		if (a->told != NULL)
			reply(s, a, &an);
		forget(s, a);
	}
	session_drop_tool_calls(s);
}

static void ask_on_expired(struct ask *a, void *arg)
{
	const struct answer an = answer_cancelled("timeout");

	resolve(arg, a, &an);
	session_stop_waiting(arg);
}

/*
 * Asking.
 */

/* A permission names the wait if there is one, else what was asked first. */
const char *session_wait_kind(const struct session *s)
{
	const struct ask *a, *first = TAILQ_FIRST(&s->asks);
	const char *tool = session_oldest_tool_call(s);

	TAILQ_FOREACH (a, &s->asks, link)
		if (a->kind == ASK_PERMISSION)
			return ask_kind_name(ASK_PERMISSION);
	if (tool != NULL && (first == NULL || strcmp(tool, first->id) < 0))
		return "tool";
	return ask_kind_name(ASK_ELICITATION);
}

/* An elicitation may be about a request of ours instead of a session: it is
 * one of this agent, which has no other session. */
static bool is_foreign(const struct session *s, struct jv params)
{
	struct jv id = jv_get(params, "sessionId");

	return jv_is(id, JV_STRING) &&
	       (s->acp_id == NULL || !jv_eq(id, s->acp_id));
}

/* Why nobody can be asked; NULL: somebody can. */
static const char *why_not(const struct session *s, struct jv params)
{
	if (is_foreign(s, params))
		return "foreign_session";
	if (!session_is_prompted(s))
		return "no_turn";
	if (s->turn.cancelling)
		return "turn_cancelled";
	return s->n_asks + s->n_tool_calls >= REQUESTS_MAX ? "too_many" : NULL;
}

/* Is the answer known before anybody is asked? */
static bool decide(struct session *s, struct ask *a, const struct rpc_msg *m,
		   struct decision *d)
{
	d->answer = answer_cancelled("cancel");
	d->answer.reason = why_not(s, m->params);
	if (d->answer.reason != NULL)
		return true;
	return a->kind == ASK_PERMISSION &&
	       session_decide(s, a, jv_get(m->params, "toolCall"), d);
}

static void answer_at_once(struct session *s, struct ask *a,
			   const struct answer *an)
{
	record_answer(s, a, an);
	reply(s, a, an);
	ask_free(a);
}

static void wait_for_answer(struct session *s, struct ask *a)
{
	TAILQ_INSERT_TAIL(&s->asks, a, link);
	s->n_asks++;
	if (s->state == SESSION_RUNNING)
		session_move(s, SESSION_WAITING, ask_kind_name(a->kind));
}

/* A request that became a question. */
static void take(struct session *s, struct ask *a, const struct rpc_msg *m)
{
	struct decision d = {0};
	bool decided = decide(s, a, m, &d);

	if (!decided)
		ask_set_timeout(a, s->permission_timeout_ms);
	record_request(s, a, m, decided);
	if (decided)
		answer_at_once(s, a, &d.answer);
	else
		wait_for_answer(s, a);
	free(d.option);
}

static void ask(struct session *s, enum ask_kind kind, const struct rpc_msg *m)
{
	struct err e = {0};
	struct ask *a;
	int r = ask_new(s->guest->loop, kind, m, &a, &e);

	if (r < 0) {
		session_refuse(s, m,
			       r == -EINVAL ? RPC_INVALID_PARAMS : RPC_INTERNAL,
			       e.msg);
		return;
	}
	a->expired = ask_on_expired;
	a->arg = s;
	take(s, a, m);
}

void session_ask_permission(struct session *s, const struct rpc_msg *m)
{
	ask(s, ASK_PERMISSION, m);
}

void session_ask_elicitation(struct session *s, const struct rpc_msg *m)
{
	ask(s, ASK_ELICITATION, m);
}

/*
 * Questions of MCP servers.
 */

int session_ask_user(struct session *s, const struct mcp_user_question *q,
		     void **out, struct err *e)
{
	const struct rpc_msg m = {
		.kind = RPC_REQUEST, .id = {.i = -1}, .params = q->params};
	struct ask *a;
	int r = ask_new(s->guest->loop, ASK_ELICITATION, &m, &a, e);

	if (r < 0)
		return r;
	a->expired = ask_on_expired;
	a->arg = s;
	a->told = q->done;
	a->told_arg = q->arg;
	*out = a;
	take(s, a, &m);
	return 0;
}

void session_forget_ask(struct session *s, void *asked)
{
	const struct answer an = answer_cancelled("server");
	struct ask *a = asked;

	record_answer(s, a, &an);
	forget(s, a);
	session_stop_waiting(s);
}

/*
 * What the agent says of its own questions.
 */

/* Is the value written exactly so? */
static bool is_raw(struct jv v, const char *text)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return raw != NULL && text != NULL && strlen(text) == len &&
	       memcmp(raw, text, len) == 0;
}

void session_withdraw(struct session *s, const struct rpc_msg *m)
{
	const struct answer an = answer_cancelled("agent");
	struct jv id = jv_get(m->params, "requestId");
	struct ask *a;

	TAILQ_FOREACH (a, &s->asks, link)
		if (is_raw(id, a->rpc_id))
			break;
	if (a == NULL)
		return;
	record_answer(s, a, &an);
	agent_reply_error(s->agent, a->rpc_id, strlen(a->rpc_id),
			  ACP_REQUEST_CANCELLED, "request cancelled");
	forget(s, a);
	session_stop_waiting(s);
}

void session_complete_url(struct session *s, const struct rpc_msg *m)
{
	struct jv id = jv_get(m->params, "elicitationId");
	struct answer an = answer_cancelled("agent");
	struct ask *a;

	an.action = "accept";
	TAILQ_FOREACH (a, &s->asks, link)
		if (a->told == NULL && a->elicitation != NULL &&
		    jv_eq(id, a->elicitation))
			break;
	if (a == NULL)
		return;
	resolve(s, a, &an);
	session_stop_waiting(s);
}

/*
 * Answers from the host.
 */

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

int session_answer(struct session *s, const char *request, struct answer *an,
		   struct call *c, struct err *e)
{
	struct ask *a;

	if (session_allows(s, OP_ANSWER, e) < 0)
		return e->code;
	TAILQ_FOREACH (a, &s->asks, link)
		if (strcmp(a->id, request) == 0)
			break;
	if (session_has_tool_call(s, request))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "request %s is a call, answered by its result",
			       request);
	if (a == NULL)
		return refuse_answer(s, request, e);
	if (an->actor != NULL && answer_is_reserved(an->actor))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "no client is called '%s'", an->actor);
	if (ask_check(a, an, e) < 0)
		return e->code;
	an->by = an->actor == NULL ? "client" : an->actor;
	session_remember(s, a, an);
	resolve(s, a, an);
	session_stop_waiting(s);
	jw_obj(&c->result);
	jw_kstr(&c->result, "request", request);
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}
