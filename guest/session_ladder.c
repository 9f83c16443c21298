// SPDX-License-Identifier: Apache-2.0
/*
 * session_ladder.c - Sessions: how an agent that was initialized gets its context
 *
 *	native -- refused --> transcript, or none --> opened
 *	   |                     (session/new)          ^
 *	   '-- session/resume, session/load, session/fork
 *
 * What the native step was refused with is told in session.resumed.  One that
 * takes NATIVE_TIMEOUT_MS, and one that the agent does not survive, is refused,
 * too: the agent is started again and goes on below it.
 *
 * session/load and session/fork have the agent tell its past again: before its
 * answer, or also after it.  All of that up to the first prompt is history, and
 * compared with the log.  An agent with the quirk late_replay_ms goes on only
 * when it has been silent for that time; the start's deadline ends this, too.
 */
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

/*
 * What the agent says of the past, and of others.
 */

static bool is_history(const struct session *s, bool ours, struct jv update)
{
	/* The id of a fork is not known before its answer. */
	if (!ours && s->replaying != REPLAYING_FORK)
		return false;
	return s->replaying != REPLAYING_NOTHING && replay_is_history(update);
}

/* Between an agent's first word and its answer its session has no id yet. */
static bool is_ours(const struct session *s, struct jv id)
{
	return s->acp_id == NULL || !jv_is(id, JV_STRING) ||
	       jv_eq(id, s->acp_id);
}

static void await_silence(struct session *s);

enum agent_news session_sort_update(const struct rpc_msg *m, void *arg)
{
	struct session *s = arg;
	struct jv update = jv_get(m->params, "update");
	bool ours = is_ours(s, jv_get(m->params, "sessionId"));

	if (!is_history(s, ours, update))
		return ours ? AGENT_NEWS : AGENT_FOREIGN;
	replay_add(&s->replay, update);
	if (s->replaying == REPLAYING_LATE)
		await_silence(s);
	return AGENT_HISTORY;
}

void session_end_replay(struct session *s)
{
	if (s->replaying != REPLAYING_NOTHING &&
	    s->replay.n_updates > s->n_replayed)
		log_info("%s: the agent told %u updates of the past after it "
			 "was ready, leaving them out",
			 s->id, s->replay.n_updates - s->n_replayed);
	s->replaying = REPLAYING_NOTHING;
}

/*
 * The record.
 */

static void write_replay(struct session *s, struct jw *w)
{
	struct replay_result v;
	struct err e = {0};

	if (replay_compare(&s->replay, s->guest->reader, s->id, &v, &e) < 0) {
		log_error("%s: what its agent remembers cannot be compared: "
			  "%s, continuing",
			  s->id, e.msg);
		return;
	}
	if (v.agent == REPLAY_DIFFERS)
		log_info("%s: the agent remembers another conversation than "
			 "the log holds, continuing",
			 s->id);
	jw_key(w, "replay");
	replay_write(&s->replay, &v, w);
	s->n_replayed = s->replay.n_updates;
}

void session_record_resumed(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "restore", restore_name(s->rung));
	jw_kint(&w, "last_seq", s->journal.last_seq);
	jw_kint(&w, "epoch", s->journal.epoch);
	if (s->refused.len > 0) {
		jw_key(&w, "refused");
		jw_arr(&w);
		jw_raw(&w, s->refused.buf, s->refused.len);
		jw_arr_end(&w);
	}
	if (s->replaying != REPLAYING_NOTHING)
		write_replay(s, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.resumed", NULL, &w);
}

void session_refuse_native(struct session *s, int64_t code, const char *why)
{
	struct jw *w = &s->refused;

	log_info("%s: agent refused %s: %lld %s, continuing without it", s->id,
		 s->native_method, (long long)code, why);
	s->facts.native_refused = true;
	s->replaying = REPLAYING_NOTHING;
	free(take_ptr(s->acp_id));
	jw_obj(w);
	jw_kstr(w, "rung", restore_name(RESTORE_NATIVE));
	jw_kstr(w, "method", s->native_method);
	jw_kint(w, "code", code);
	jw_kstr(w, "message", why);
	jw_obj_end(w);
	s->native_method = NULL;
}

/*
 * The steps.
 */

/* The agent's session is open. */
static void opened(struct session *s, struct jv result)
{
	session_take_state(s, result);
	if (s->replaying == REPLAYING_NOTHING) {
		session_restore_config(s);
		return;
	}
	s->replaying = REPLAYING_LATE;
	if (s->launch->quirks.late_replay_ms > 0)
		await_silence(s);
	else
		session_restore_config(s);
}

static void session_on_silence(uv_timer_t *t)
{
	struct session *s = t->data;

	session_arm_start(s);
	session_restore_config(s);
}

/* Go on when the agent has repeated nothing for a while. */
static void await_silence(struct session *s)
{
	uint64_t wait = (uint64_t)s->launch->quirks.late_replay_ms;
	uint64_t now = loop_now(s->guest->loop);
	uint64_t left = s->start_deadline > now ? s->start_deadline - now : 0;

	if (s->state == SESSION_STARTING && TAILQ_EMPTY(&s->config_jobs))
		uv_timer_start(&s->timer, session_on_silence,
			       wait < left ? wait : left, 0);
}

static bool take_id(struct session *s, struct jv result)
{
	size_t len;
	autofree char *id = jv_strdup(jv_get(result, "sessionId"), &len);

	if (id == NULL || strlen(id) != len || len == 0 ||
	    len > ACP_SESSION_ID_MAX)
		return false;
	free(s->acp_id);
	s->acp_id = take_ptr(id);
	return true;
}

static void call_agent(struct session *s, const char *method,
		       const char *acp_session, uint64_t timeout_ms,
		       rpc_done_cb done)
{
	bool system_prompt = s->via == INSTRUCT_SYSTEM_PROMPT;
	autojw struct jw w = {0}, meta = {0}, mcp = {0};
	struct acp_open o = {
		.cwd = s->cwd,
		.session = acp_session,
		.instructions = system_prompt ? s->instructions : NULL,
	};

	if (s->via == INSTRUCT_META) {
		instruct_write_meta(&s->launch->instruct, s->instructions,
				    &meta);
		o.meta = meta.buf;
	}
	session_mcp_write(s, &mcp);
	o.mcp = mcp.buf;
	acp_write_open(&w, &o);
	w.failed |= meta.failed || mcp.failed;
	if (w.failed ||
	    agent_call(s->agent, method, w.buf, timeout_ms, done, s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

static void session_on_new(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status == -ECANCELED || s->state != SESSION_STARTING ||
	    session_authenticate(s, a))
		return;
	if (a->status < 0)
		session_start_refused(s, "session/new", a);
	else if (!take_id(s, a->result))
		session_start_broken(s, "answered session/new without a "
					"session id");
	else
		opened(s, a->result);
}

static void open_fresh(struct session *s)
{
	free(take_ptr(s->acp_id));
	call_agent(s, "session/new", NULL, 0, session_on_new);
}

static void session_on_native(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;
	char words[ERR_MSG_MAX] = "";
	struct err e = {0};

	if (a->status == -ECANCELED || s->state != SESSION_STARTING ||
	    session_authenticate(s, a))
		return;
	if (a->status == -ETIMEDOUT) {
		err_set(&e, -FAULT_REQUEST_TIMEOUT, "no answer in time");
		session_start_lost(s, &e);
	} else if (a->status < 0) {
		(void)jv_strcpy(jv_get(a->error, "message"), words,
				sizeof(words));
		session_refuse_native(
			s, jv_int(jv_get(a->error, "code"), RPC_INTERNAL),
			words);
		session_climb(s);
	} else if (s->replaying == REPLAYING_FORK && !take_id(s, a->result)) {
		session_refuse_native(s, FAULT_AGENT_PROTOCOL_ERROR,
				      "the answer has no session id");
		session_climb(s);
	} else {
		s->native_method = NULL;
		opened(s, a->result);
	}
}

/* Shorter than the start's own deadline, so that there is time for more. */
static uint64_t native_timeout(const struct session *s)
{
	int64_t half = s->start_timeout_ms / 2;

	return (uint64_t)(half < NATIVE_TIMEOUT_MS ? half : NATIVE_TIMEOUT_MS);
}

static void open_native(struct session *s)
{
	struct restore_native n = restore_native(&s->facts, &s->caps);

	s->native_method = n.method;
	replay_begin(&s->replay, n.since);
	s->n_replayed = 0;
	free(take_ptr(s->acp_id));
	if (strcmp(n.method, "session/fork") == 0) {
		s->replaying = REPLAYING_FORK;
	} else {
		s->acp_id = strdup(n.session);
		if (s->acp_id == NULL)
			journal_break(&s->journal, -ENOMEM, "out of memory");
		if (strcmp(n.method, "session/load") == 0)
			s->replaying = REPLAYING_LOAD;
	}
	call_agent(s, n.method, n.session, native_timeout(s),
		   session_on_native);
}

void session_climb(struct session *s)
{
	s->via = instruct_choose(&s->launch->instruct, s->instructions,
				 s->caps.system_prompt);
	s->rung = restore_rung(&s->facts, &s->caps);
	s->replaying = REPLAYING_NOTHING;
	if (s->rung == RESTORE_NATIVE)
		open_native(s);
	else
		open_fresh(s);
}
