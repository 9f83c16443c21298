// SPDX-License-Identifier: Apache-2.0
/*
 * session_start.c - Sessions: create, resume, the handshake with an agent
 *
 *	spawn -> started -> initialize -> (the ladder's step) -> ready
 *	                                  session/new
 *	                                  session/resume or session/load
 *
 * The process is started while session.created (or session.resuming) is being
 * committed: it is told nothing before that is stored, and killed when it is
 * not.  One timer bounds the whole start.  Whatever goes wrong ends in
 * session_start_failed() but a refused native step, which goes one step down.
 */
#include <assert.h>
#include <string.h>

#include "core/log.h"
#include "core/time.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

static char *copy_json(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return raw == NULL || jv_is(v, JV_NULL) ? NULL : strndup(raw, len);
}

static void forget(char **text)
{
	free(*text);
	*text = NULL;
}

void session_forget_agent(struct session *s)
{
	forget(&s->capabilities);
	forget(&s->agent_info);
	forget(&s->modes);
	forget(&s->config_options);
	s->caps = (struct acp_caps){0};
}

void session_write_live(struct session *s, struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "session", s->id);
	jw_kstr(w, "state", session_state_names[s->state]);
	jw_kint(w, "epoch", s->journal.epoch);
	jw_kraw(w, "capabilities", s->capabilities);
	jw_kraw(w, "agent_info", s->agent_info);
	jw_kraw(w, "modes", s->modes);
	jw_kraw(w, "config_options", s->config_options);
	if (s->state == SESSION_IDLE)
		jw_kstr(w, "restore", restore_name(s->rung));
	jw_obj_end(w);
}

static void answer_starters(struct session *s)
{
	struct call *c;

	while ((c = TAILQ_FIRST(&s->starters)) != NULL) {
		TAILQ_REMOVE(&s->starters, c, link);
		session_write_live(s, &c->result);
		call_reply_after(c, &s->journal);
	}
}

void session_start_failed(struct session *s, const struct err *e)
{
	log_info("%s: start failed: %s", s->id, e->msg);
	uv_timer_stop(&s->timer);
	s->spawn_due = false;
	session_record_error(s, e);
	session_move(s, SESSION_FAILED, fault_name(err_fault(e->code)));
	session_fail_waiting(s, e, false);
	session_end_agent(s, AGENT_END_KILL);
}

/* The agent answered with an error, or not at all. */
static void refuse(struct session *s, const char *method,
		   const struct rpc_answer *a)
{
	struct err e = {0};
	char words[ERR_MSG_MAX / 2] = "";
	int64_t code = jv_int(jv_get(a->error, "code"), RPC_INTERNAL);

	(void)jv_strcpy(jv_get(a->error, "message"), words, sizeof(words));
	err_set(&e,
		code == ACP_AUTH_REQUIRED ? -FAULT_AGENT_AUTH_REQUIRED
					  : -FAULT_AGENT_PROTOCOL_ERROR,
		"agent refused %s: %lld %s", method, (long long)code, words);
	agent_explain(s->agent, NULL, &e);
	session_start_failed(s, &e);
}

static void break_off(struct session *s, const char *why)
{
	struct err e = {0};

	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR, "agent %s", why);
	agent_explain(s->agent, NULL, &e);
	session_start_failed(s, &e);
}

/*
 * Ready.
 */

static void record_resumed(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "restore", restore_name(s->rung));
	jw_kint(&w, "last_seq", s->journal.last_seq);
	jw_kint(&w, "epoch", s->journal.epoch);
	if (s->n_replayed > 0)
		jw_kint(&w, "replayed", s->n_replayed);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.resumed", NULL, &w);
}

static void record_ready(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "restore", restore_name(s->rung));
	jw_kint(&w, "pid", agent_pid(s->agent));
	jw_kstr(&w, "acp_session_id", s->acp_id);
	jw_kraw(&w, "agent_info", s->agent_info);
	jw_kraw(&w, "capabilities", s->capabilities);
	jw_kraw(&w, "modes", s->modes);
	jw_kraw(&w, "config_options", s->config_options);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.ready", NULL, &w);
}

static void ready(struct session *s, struct jv result)
{
	bool fresh = s->rung != RESTORE_NATIVE;

	uv_timer_stop(&s->timer);
	s->modes = copy_json(jv_get(result, "modes"));
	s->config_options = copy_json(jv_get(result, "configOptions"));
	s->preamble_due = s->rung == RESTORE_TRANSCRIPT;
	s->instructions_due =
		fresh && s->instructions != NULL && !s->caps.system_prompt;
	if (!s->facts.first)
		record_resumed(s);
	record_ready(s);
	session_move(s, SESSION_IDLE, "ready");
	answer_starters(s);
	session_settle(s);
}

/*
 * The ladder.
 */

static void step(struct session *s);

static void session_on_new(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;
	size_t len;
	char *id;

	if (a->status == -ECANCELED || s->state != SESSION_STARTING)
		return;
	if (a->status < 0) {
		refuse(s, "session/new", a);
		return;
	}
	id = jv_strdup(jv_get(a->result, "sessionId"), &len);
	if (id == NULL || strlen(id) != len || len == 0 ||
	    len > ACP_SESSION_ID_MAX) {
		free(id);
		break_off(s, "answered session/new without a session id");
		return;
	}
	free(s->acp_id);
	s->acp_id = id;
	ready(s, a->result);
}

static void session_on_native(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status == -ECANCELED || s->state != SESSION_STARTING)
		return;
	s->n_replayed = agent_set_replaying(s->agent, false);
	if (a->status == 0) {
		ready(s, a->result);
		return;
	}
	s->n_replayed = 0;
	s->rung = restore_next(&s->facts);
	step(s);
}

static void step(struct session *s)
{
	bool native = s->rung == RESTORE_NATIVE;
	const char *method = native ? restore_method(&s->caps) : "session/new";
	const struct acp_open o = {
		.cwd = s->cwd,
		.session = native ? s->acp_id : NULL,
		.instructions = s->caps.system_prompt ? s->instructions : NULL,
	};
	autojw struct jw w = {0};

	acp_write_open(&w, &o);
	if (native)
		(void)agent_set_replaying(s->agent, true);
	if (w.failed ||
	    agent_call(s->agent, method, w.buf, 0,
		       native ? session_on_native : session_on_new, s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

static void session_on_initialized(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;

	if (a->status == -ECANCELED || s->state != SESSION_STARTING)
		return;
	if (a->status < 0) {
		refuse(s, "initialize", a);
		return;
	}
	if (jv_int(jv_get(a->result, "protocolVersion"), 0) != ACP_VERSION) {
		break_off(s, "speaks another version of ACP than 1");
		return;
	}
	session_forget_agent(s);
	acp_read_caps(a->result, &s->caps);
	s->agent_info = copy_json(jv_get(a->result, "agentInfo"));
	s->capabilities = copy_json(jv_get(a->result, "agentCapabilities"));
	s->rung = restore_first(&s->facts, &s->caps, s->acp_id);
	step(s);
}

static void record_started(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kint(&w, "pid", agent_pid(s->agent));
	jw_key(&w, "argv");
	launch_write_argv(s->launch, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "agent.started", NULL, &w);
}

static void session_on_started(void *arg)
{
	struct session *s = arg;
	autojw struct jw w = {0};

	record_started(s);
	if (s->state != SESSION_STARTING)
		return;
	acp_write_initialize(&w);
	if (w.failed || agent_call(s->agent, "initialize", w.buf, 0,
				   session_on_initialized, s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

static const struct agent_events agent_events = {
	.started = session_on_started,
	.update = session_on_update,
	.request = session_on_request,
	.broken = session_on_broken,
	.gone = session_on_gone,
};

/*
 * Starting.
 */

static void session_on_start_timeout(uv_timer_t *t)
{
	struct session *s = t->data;
	struct err e = {0};

	err_set(&e, -FAULT_START_TIMEOUT, "agent was not ready within %lld ms",
		(long long)s->start_timeout_ms);
	if (s->agent != NULL)
		agent_explain(s->agent, NULL, &e);
	session_start_failed(s, &e);
}

void session_spawn(struct session *s)
{
	const struct agent_setup setup = {
		.loop = s->guest->loop,
		.journal = &s->journal,
		.launch = s->launch,
		.isolate = s->guest->opt->isolate,
		.events = &agent_events,
		.arg = s,
	};
	struct err e = {0};

	s->spawn_due = s->agent != NULL;
	if (s->spawn_due)
		return;
	s->agent_dead = false;
	if (agent_start(&setup, &s->agent, &e) < 0)
		session_start_failed(s, &e);
	else if (s->guest->holding)
		agent_pause(s->agent, true);
}

void session_begin_start(struct session *s, bool first, bool want_none,
			 int64_t timeout_ms)
{
	assert(s->launch != NULL);
	s->facts.first = first;
	s->facts.want_none = want_none;
	s->start_timeout_ms = timeout_ms > 0 ? timeout_ms : START_TIMEOUT_MS;
	s->n_replayed = 0;
	s->journal.late[0] = '\0';
	uv_timer_start(&s->timer, session_on_start_timeout,
		       (uint64_t)s->start_timeout_ms, 0);
	session_spawn(s);
}

/*
 * Create.
 */

/* Names and transports; what else a server's spec has may be secret. */
static void write_mcp(struct jv list, struct jw *w)
{
	jw_arr(w);
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv type = jv_get(it, "type");

		jw_obj(w);
		jw_kvalue(w, "name", jv_get(it, "name"));
		jw_key(w, "transport");
		if (jv_is(type, JV_STRING))
			jw_value(w, type);
		else
			jw_str(w, "stdio");
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

/* The config, and what a later boot must know beside it. */
static void write_config(const struct session_spec *spec, struct jw *w)
{
	jw_obj(w);
	for (struct jv k = jv_first(spec->config); jv_has(k);
	     k = jv_next(spec->config, k)) {
		if (jv_eq(k, "instructions") ||
		    jv_eq(k, "permission_timeout_ms"))
			continue;
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	if (spec->instructions != NULL)
		jw_kstr(w, "instructions", spec->instructions);
	if (spec->permission_timeout_ms > 0)
		jw_kint(w, "permission_timeout_ms",
			spec->permission_timeout_ms);
	jw_obj_end(w);
}

static void record_created(struct session *s, const struct session_spec *spec)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "vm", s->guest->vm);
	jw_kstr(&w, "agent", spec->agent_name);
	if (jv_is(jv_get(spec->agent, "version"), JV_STRING))
		jw_kvalue(&w, "resolved", jv_get(spec->agent, "version"));
	jw_kstr(&w, "cwd", spec->cwd);
	jw_key(&w, "env_names");
	launch_write_env_names(spec->launch, &w);
	jw_key(&w, "config");
	write_config(spec, &w);
	jw_key(&w, "mcp");
	write_mcp(spec->mcp, &w);
	jw_kstr(&w, "create_hash", spec->create_hash);
	if (spec->title != NULL)
		jw_kstr(&w, "title", spec->title);
	if (jv_is(spec->tags, JV_ARRAY))
		jw_kvalue(&w, "tags", spec->tags);
	if (spec->parent != NULL)
		jw_kstr(&w, "parent", spec->parent);
	if (spec->root != NULL)
		jw_kstr(&w, "root", spec->root);
	if (spec->expires_ms > 0)
		jw_kint(&w, "expires_ms", spec->expires_ms);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.created", NULL, &w);
}

/* The id is taken: by the same creation, or by another. */
static int join_create(struct session *s, const struct session_spec *spec,
		       struct call *c, struct err *e)
{
	if (strcmp(s->create_hash, spec->create_hash) != 0)
		return err_set(e, -FAULT_SESSION_CONFLICT,
			       "session %s exists with other options", s->id);
	if (s->state == SESSION_STARTING) {
		TAILQ_INSERT_TAIL(&s->starters, c, link);
		return 0;
	}
	session_write_live(s, &c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

static int check_room(const struct guest *g, struct err *e)
{
	if (guest_live_sessions(g) < g->max_sessions)
		return 0;
	return err_set(e, -FAULT_LIMIT_SESSIONS,
		       "%lld sessions are live in this VM, no more may be",
		       (long long)g->max_sessions);
}

static int copy_or_fail(char **out, const char *text)
{
	*out = text == NULL ? NULL : strdup(text);
	return text != NULL && *out == NULL ? -ENOMEM : 0;
}

int session_create(struct guest *g, struct session_spec *spec, struct call *c,
		   struct err *e)
{
	struct session *s;
	int r = session_find(g, spec->id, &s, e);

	if (r == 0)
		return join_create(s, spec, c, e);
	if (r != -FAULT_SESSION_NOT_FOUND)
		return r;
	if (check_room(g, e) < 0)
		return e->code;
	s = session_new(g, spec->id);
	if (s == NULL)
		return err_set(e, -ENOMEM, "session: out of memory");
	s->state = SESSION_STARTING;
	if (copy_or_fail(&s->agent_name, spec->agent_name) < 0 ||
	    copy_or_fail(&s->cwd, spec->cwd) < 0 ||
	    copy_or_fail(&s->instructions, spec->instructions) < 0) {
		session_abandon(s);
		return err_set(e, -ENOMEM, "session: out of memory");
	}
	session_copy(s->create_hash, sizeof(s->create_hash), spec->create_hash);
	s->permission_timeout_ms = spec->permission_timeout_ms;
	s->expires_ms = spec->expires_ms;
	record_created(s, spec);
	s->launch = take_ptr(spec->launch);
	TAILQ_INSERT_TAIL(&s->starters, c, link);
	session_arm_ttl(s);
	session_begin_start(s, true, false, spec->start_timeout_ms);
	return 0;
}

/*
 * Resume.
 */

static int answer_live(struct session *s, struct call *c)
{
	jw_obj(&c->result);
	jw_kstr(&c->result, "session", s->id);
	jw_kstr(&c->result, "restore", "live");
	jw_kstr(&c->result, "state", session_state_names[s->state]);
	jw_kint(&c->result, "epoch", s->journal.epoch);
	jw_kraw(&c->result, "capabilities", s->capabilities);
	jw_kraw(&c->result, "agent_info", s->agent_info);
	jw_kraw(&c->result, "modes", s->modes);
	jw_kraw(&c->result, "config_options", s->config_options);
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

/* Suspended, failed or closed: bring an agent back.  Without a call the caller
 * waits by other means. */
int session_resume(struct session *s, struct session_wake *w, struct call *c,
		   struct err *e)
{
	int r = session_allows(s, OP_RESUME, e);

	if (r < 0)
		return r;
	if (s->state == SESSION_STARTING) {
		TAILQ_INSERT_TAIL(&s->starters, c, link);
		return 0;
	}
	if (session_is_live(s))
		return answer_live(s, c);
	if (w->launch == NULL && s->launch == NULL)
		return err_set(e, -FAULT_NOT_READY,
			       "session %s needs to be told its agent", s->id);
	r = restore_read(s->guest->reader, s->id, &s->facts, e);
	if (r < 0 || check_room(s->guest, e) < 0)
		return e->code;
	if (w->launch != NULL) {
		launch_free(s->launch);
		s->launch = take_ptr(w->launch);
	}
	s->journal.epoch++;
	journal_add(&s->journal, "session.resuming", NULL, "{}", 2);
	session_move(s, SESSION_STARTING, "resume");
	if (c != NULL)
		TAILQ_INSERT_TAIL(&s->starters, c, link);
	session_begin_start(s, false, w->want_none, w->start_timeout_ms);
	return 0;
}
