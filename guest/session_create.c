// SPDX-License-Identifier: Apache-2.0
/*
 * session_create.c - Sessions: the calls that begin a start
 *
 * Create records what the session is made of and resume what it was; both leave
 * the rest to session_start.c, and their calls wait in session.starters.
 */
#include <string.h>

#include "guest/limits.h"
#include "guest/session_impl.h"

/*
 * Create.
 */

static void write_mcp(const struct mcp_config *c, struct jw *w)
{
	jw_arr(w);
	for (size_t i = 0; c != NULL && i < c->n; i++)
		mcp_spec_write(&c->specs[i], w);
	jw_arr_end(w);
}

/* The config, and what a later boot must know beside it. */
static void write_config(const struct session_spec *spec, struct jw *w)
{
	jw_obj(w);
	for (struct jv k = jv_first(spec->config); jv_has(k);
	     k = jv_next(spec->config, k)) {
		if (jv_eq(k, "instructions") || jv_eq(k, "policy") ||
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
	if (spec->policy != NULL)
		jw_kraw(w, "policy", spec->policy);
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
	write_mcp(spec->launch->mcp, &w);
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
	    copy_or_fail(&s->instructions, spec->instructions) < 0 ||
	    copy_or_fail(&s->policy, spec->policy) < 0) {
		session_abandon(s);
		return err_set(e, -ENOMEM, "session: out of memory");
	}
	session_copy(s->create_hash, sizeof(s->create_hash), spec->create_hash);
	s->os_instructions =
		jv_bool(jv_get(spec->config, "os_instructions"), false);
	s->permission_timeout_ms = spec->permission_timeout_ms;
	s->expires_ms = spec->expires_ms;
	s->quota = spec->quota;
	s->journal.secrets = spec->launch->secrets;
	record_created(s, spec);
	if (jv_has(spec->tools) && session_take_tools(s, spec->tools) < 0)
		journal_break(&s->journal, -ENOMEM, "out of memory");
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
	jw_kraw(&c->result, "modes", s->settings.modes);
	jw_kraw(&c->result, "config_options", s->settings.options);
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

static void record_resuming(struct session *s)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_key(&w, "mcp");
	write_mcp(s->launch->mcp, &w);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.resuming", NULL, &w);
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
		return err_set(e, -FAULT_SESSION_NOT_LIVE,
			       "session %s needs to be told its agent", s->id);
	r = restore_read(s->guest->reader, s->id, &s->facts, e);
	if (r < 0 || check_room(s->guest, e) < 0)
		return e->code;
	if (w->launch != NULL) {
		session_mcp_end(s); /* Of an agent that is ending still. */
		launch_free(s->launch);
		s->launch = take_ptr(w->launch);
		s->journal.secrets = s->launch->secrets;
	}
	s->journal.epoch++;
	record_resuming(s);
	session_move(s, SESSION_STARTING, "resume");
	if (c != NULL)
		TAILQ_INSERT_TAIL(&s->starters, c, link);
	session_begin_start(s, false, w->want_none, w->start_timeout_ms);
	return 0;
}
