// SPDX-License-Identifier: Apache-2.0
/*
 * session_start.c - Sessions: the handshake with an agent
 *
 *	spawn -> started -> initialize -> (the ladder) -> (settings) -> ready
 *
 * The process is started while session.created (or session.resuming) is being
 * committed: it is told nothing before that is stored, and killed when it is
 * not.  One timer bounds the whole start.  Whatever goes wrong ends in
 * session_start_failed(), but for agents that end while a session is resumed:
 * those are started again, up to RESUME_TRIES_MAX times in all.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "core/loop.h"
#include "core/time.h"
#include "guest/limits.h"
#include "guest/prewarm.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

/* Of what it says of itself.  What is no object counts as absent. */
static char *copy_object(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return jv_is(v, JV_OBJECT) && len <= SETTINGS_BYTES_MAX
		       ? strndup(raw, len)
		       : NULL;
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
	forget(&s->config_refused);
	settings_done(&s->settings);
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
	jw_kraw(w, "modes", s->settings.modes);
	jw_kraw(w, "config_options", s->settings.options);
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
	struct err clean = *e;

	redact_err(s->journal.secrets, &clean);
	log_info("%s: start failed: %s", s->id, clean.msg);
	uv_timer_stop(&s->timer);
	s->spawn_due = false;
	session_record_error(s, e);
	session_move(s, SESSION_FAILED, fault_name(err_fault(e->code)));
	session_fail_waiting(s, e, false);
	session_end_agent(s, AGENT_END_KILL);
}

void session_start_refused(struct session *s, const char *method,
			   const struct rpc_answer *a)
{
	struct err e = {0};
	int r = acp_refused(method, a->error, &e);

	agent_explain(s->agent, NULL, &e);
	if (r == -FAULT_AGENT_AUTH_REQUIRED)
		session_explain_auth(s, &e);
	session_start_failed(s, &e);
}

void session_start_broken(struct session *s, const char *why)
{
	struct err e = {0};

	err_set(&e, -FAULT_AGENT_PROTOCOL_ERROR, "agent %s", why);
	agent_explain(s->agent, NULL, &e);
	session_start_failed(s, &e);
}

/*
 * Ready.
 */

static void write_instructions(const struct session *s, struct jw *w)
{
	bool any = s->instructions != NULL;

	jw_obj(w);
	jw_kstr(w, "via", instruct_name(s->via));
	jw_kbool(w, "os", any && s->os_instructions);
	jw_kint(w, "bytes", any ? (int64_t)strlen(s->instructions) : 0);
	jw_obj_end(w);
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
	jw_kraw(&w, "modes", s->settings.modes);
	jw_kraw(&w, "config_options", s->settings.options);
	if (s->settings.models != NULL)
		jw_kraw(&w, "models", s->settings.models);
	if (s->config_refused != NULL)
		jw_kraw(&w, "config_refused", s->config_refused);
	jw_key(&w, "features");
	jw_arr(&w);
	if (mcp_set_any_ready(s->mcp))
		jw_str(&w, "mcp");
	jw_arr_end(&w);
	jw_key(&w, "limits");
	confine_write(s->confine, &w);
	jw_key(&w, "instructions");
	write_instructions(s, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.ready", NULL, &w);
}

void session_take_state(struct session *s, struct jv result)
{
	if (settings_set(&s->settings, jv_get(result, "modes"),
			 jv_get(result, "models"),
			 jv_get(result, "configOptions")) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

void session_ready(struct session *s)
{
	bool fresh = s->rung != RESTORE_NATIVE;

	if (session_mcp_is_due(s))
		return;
	uv_timer_stop(&s->timer);
	s->preamble_due = s->rung == RESTORE_TRANSCRIPT;
	s->instructions_due = fresh && s->via == INSTRUCT_PREAMBLE;
	if (!s->facts.first)
		session_record_resumed(s);
	record_ready(s);
	session_move(s, SESSION_IDLE, "ready");
	answer_starters(s);
	session_settle(s);
}

/*
 * The handshake.
 */

static void take_initialized(struct session *s, struct jv result)
{
	session_forget_agent(s);
	acp_read_caps(result, &s->caps);
	session_note_auth(s, result);
	s->agent_info = copy_object(jv_get(result, "agentInfo"));
	s->capabilities = copy_object(jv_get(result, "agentCapabilities"));
	if (s->launch->quirks.no_load)
		s->caps.load = false;
	session_climb(s);
}

static void session_on_initialized(const struct rpc_answer *a, void *arg)
{
	struct session *s = arg;
	struct err e = {0};

	if (a->status == -ECANCELED || s->state != SESSION_STARTING)
		return;
	if (a->status < 0) {
		session_start_refused(s, "initialize", a);
	} else if (acp_check_version(a->result, &e) < 0) {
		agent_explain(s->agent, NULL, &e);
		session_start_failed(s, &e);
	} else {
		take_initialized(s, a->result);
	}
}

/* @prewarmed_ms: since when it has waited for a session; 0: it has not. */
static void record_started(struct session *s, int64_t prewarmed_ms)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kint(&w, "pid", agent_pid(s->agent));
	jw_key(&w, "argv");
	launch_write_argv(s->launch, &w);
	if (prewarmed_ms > 0)
		jw_kint(&w, "prewarmed_ms", prewarmed_ms);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "agent.started", NULL, &w);
}

static void session_on_started(void *arg)
{
	struct session *s = arg;

	record_started(s, 0);
	if (s->state != SESSION_STARTING)
		return;
	session_mcp_begin(s);
	if (agent_initialize(s->agent, s->launch, session_on_initialized, s) <
	    0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
}

static const struct agent_events agent_events = {
	.started = session_on_started,
	.sort = session_sort_update,
	.update = session_on_update,
	.notify = session_on_notify,
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

/* What the agent did not survive is not asked of it again. */
static void blame_native(struct session *s, const struct err *why)
{
	if (s->native_method != NULL)
		session_refuse_native(s, err_fault(why->code), why->msg);
}

void session_start_lost(struct session *s, const struct err *why)
{
	struct err e = {0};

	if (s->facts.first) {
		session_start_failed(s, why);
		return;
	}
	blame_native(s, why);
	if (s->n_starts >= RESUME_TRIES_MAX) {
		err_set(&e, -FAULT_NO_PROGRESS,
			"agent was started %u times and never got ready: %s",
			s->n_starts, why->msg);
		memcpy(e.data, why->data, sizeof(e.data));
		session_start_failed(s, &e);
		return;
	}
	log_info("%s: %s, starting it again", s->id, why->msg);
	session_end_agent(s, AGENT_END_KILL);
	session_spawn(s);
}

static void session_on_limit(const char *resource, int64_t limit,
			     const char *how, void *arg)
{
	struct session *s = arg;
	autojw struct jw w = {0};

	log_info("%s: is at its limit of %s", s->id, resource);
	jw_obj(&w);
	jw_kstr(&w, "resource", resource);
	jw_kint(&w, "limit", limit);
	jw_kstr(&w, "how", how);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.limit", NULL, &w);
}

static struct confine *new_confine(struct session *s)
{
	return confine_new(&(struct confine_spec){
		.loop = s->guest->loop,
		.cgroups = &s->guest->cgroups,
		.session = s->door,
		.quota = s->quota,
		.isolate = s->guest->opt->isolate,
		.bites = session_on_limit,
		.arg = s,
	});
}

/* Return: false when memory is out. */
static bool set_up(struct session *s, struct agent_setup *out)
{
	*out = (struct agent_setup){
		.loop = s->guest->loop,
		.journal = &s->journal,
		.launch = s->launch,
		.isolate = s->guest->opt->isolate,
		.confine = new_confine(s),
		.mcp = session_mcp_folder(s),
		.events = &agent_events,
		.arg = s,
	};
	return out->confine != NULL;
}

static int have_agent(struct session *s, struct agent_setup *setup, int r)
{
	if (r < 0)
		confine_free(setup->confine);
	else
		s->confine = setup->confine;
	return r;
}

static int start_agent(struct session *s, struct err *e)
{
	struct agent_setup setup;

	if (!set_up(s, &setup))
		return err_set(e, -FAULT_AGENT_SPAWN_FAILED,
			       "agent: out of memory");
	return have_agent(s, &setup, agent_start(&setup, &s->agent, e));
}

int session_adopt_agent(struct session *s, struct jv from, struct err *e)
{
	struct agent_setup setup;

	if (!set_up(s, &setup))
		return err_set(e, -ENOMEM, "agent: out of memory");
	return have_agent(s, &setup,
			  agent_take_over(&setup, from, &s->agent, e));
}

/* Of a session that begins: an agent that has waited for just that. */
static bool find_prewarmed(struct session *s, struct prewarmed_agent *out)
{
	const struct prewarm_want want = {
		.name = s->agent_name,
		.launch = s->launch,
		.quota = &s->quota,
	};

	session_copy(s->door, sizeof(s->door), s->id);
	return s->facts.first && prewarm_take(s->guest, &want, out);
}

/* What has been said up to now is the session's, as if it had been said now. */
static void adopt(struct session *s, const struct prewarmed_agent *p)
{
	s->agent = p->agent;
	s->confine = p->confine;
	session_copy(s->door, sizeof(s->door), p->id);
	confine_adopt(s->confine, session_on_limit, s);
	record_started(s, p->started_ms);
	agent_adopt(s->agent, &s->journal, &agent_events, s);
}

static void begin_adopted(struct session *s, const struct prewarmed_agent *p)
{
	autojson struct json j = {0};
	struct err e = {0};

	session_mcp_begin(s);
	if (json_parse(&j, p->initialized, strlen(p->initialized), &e) < 0)
		session_start_failed(s, &e);
	else
		take_initialized(s, json_root(&j));
}

void session_spawn(struct session *s)
{
	autoprewarmed struct prewarmed_agent p = {0};
	struct err e = {0};
	bool found;

	s->spawn_due = s->agent != NULL;
	if (s->spawn_due)
		return;
	s->agent_dead = false;
	s->ready_due = false;
	if (s->n_starts++ > 0)
		s->journal.epoch++;
	if (launch_tell(s->launch, s->instructions, &e) < 0) {
		session_start_failed(s, &e);
		return;
	}
	found = find_prewarmed(s, &p);
	if (found)
		adopt(s, &p);
	if (session_mcp_open(s, &e) < 0 || (!found && start_agent(s, &e) < 0)) {
		session_start_failed(s, &e);
		return;
	}
	if (s->guest->holding)
		session_hold(s, true);
	if (found)
		begin_adopted(s, &p);
}

void session_arm_start(struct session *s)
{
	uint64_t now = loop_now(s->guest->loop);
	uint64_t left = s->start_deadline > now ? s->start_deadline - now : 0;

	uv_timer_start(&s->timer, session_on_start_timeout, left, 0);
}

void session_begin_start(struct session *s, bool first, bool want_none,
			 int64_t timeout_ms)
{
	assert(s->launch != NULL);
	s->facts.first = first;
	s->facts.want_none = want_none;
	s->start_timeout_ms = timeout_ms > 0 ? timeout_ms : START_TIMEOUT_MS;
	s->start_deadline =
		loop_now(s->guest->loop) + (uint64_t)s->start_timeout_ms;
	s->n_starts = 0;
	s->replaying = REPLAYING_NOTHING;
	s->native_method = NULL;
	jw_reset(&s->refused);
	s->journal.late[0] = '\0';
	if (session_serve_tools(s) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	session_arm_start(s);
	session_spawn(s);
}
