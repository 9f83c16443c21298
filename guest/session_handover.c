// SPDX-License-Identifier: Apache-2.0
/*
 * session_handover.c - Sessions: a new program for the daemon
 *
 * An idle session is handed over with its agent: its process, and what is known
 * of that in memory alone.  All else is in the store.  One with MCP servers is
 * not: shims, servers and what they have said to each other are too much to be
 * carried.  Its agent ends as before a sleep, and is started again for the next
 * prompt.  So does one that cannot be taken over.
 */
#include "core/log.h"
#include "guest/session_impl.h"

#define LOG_COMPONENT "session"

static bool stays_behind(const struct session *s)
{
	return s->mcp != NULL || s->gateway != NULL || s->entrance != NULL;
}

bool session_is_at_work(const struct session *s)
{
	return s->state == SESSION_RUNNING || s->state == SESSION_WAITING ||
	       s->next != NULL || s->n_queued > 0 || s->n_asks > 0 ||
	       s->terminals.n > 0;
}

void session_leave_behind(struct session *s, const char *reason)
{
	if (s->state == SESSION_IDLE && stays_behind(s))
		(void)session_suspend(s, false, reason, NULL, NULL);
}

/* Nothing of it is under way, by anyone. */
static bool is_idle(const struct session *s)
{
	return s->state == SESSION_IDLE && s->agent != NULL && !s->agent_dead &&
	       s->launch != NULL && s->launch->source != NULL &&
	       !stays_behind(s) && !session_is_at_work(s) && !s->stuck &&
	       s->answered.type == NULL && s->files_due == NULL &&
	       s->purge == NULL && s->n_config_jobs == 0 && s->n_notes == 0 &&
	       s->files.n_working + s->files.n_waiting == 0 &&
	       !uv_is_active((const uv_handle_t *)&s->leftovers.timer);
}

bool session_may_hand_over(const struct session *s)
{
	if (s->stuck || !session_is_live(s))
		return session_is_settled(s);
	return is_idle(s) && journal_is_quiet(&s->journal) &&
	       agent_may_hand_over(s->agent);
}

/* What the store does not know. */
static void put_memory(const struct session *s, struct jw *w)
{
	jw_kstr(w, "session", s->id);
	jw_kstr(w, "door", s->door);
	jw_kint(w, "epoch", s->journal.epoch);
	jw_kint(w, "rung", s->rung);
	jw_kint(w, "via", s->via);
	jw_kint(w, "terminals", (int64_t)s->terminals.last);
	jw_kbool(w, "replays", s->replaying != REPLAYING_NOTHING);
	jw_kbool(w, "instructions_due", s->instructions_due);
	jw_kbool(w, "preamble_due", s->preamble_due);
	jw_kraw(w, "capabilities", s->capabilities);
	jw_kraw(w, "modes", s->settings.modes);
	jw_kraw(w, "models", s->settings.models);
	jw_kraw(w, "options", s->settings.options);
	jw_kraw(w, "launch", s->launch->source);
}

int session_hand_over(struct session *s, struct jw *w, struct err *e)
{
	int r;

	if (!session_is_live(s))
		return 0;
	jw_obj(w);
	put_memory(s, w);
	jw_key(w, "agent");
	r = agent_hand_over(s->agent, w, e);
	jw_obj_end(w);
	if (r < 0)
		return r;
	s->agent = NULL;
	confine_leave(take_ptr(s->confine));
	return 1;
}

static int take_caps(struct session *s, struct jv caps)
{
	autojson struct json j = {0};
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kvalue(&w, "agentCapabilities", caps);
	jw_obj_end(&w);
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return -ENOMEM;
	acp_read_caps(json_root(&j), &s->caps);
	if (s->launch->quirks.no_load)
		s->caps.load = false;
	return 0;
}

static int take_memory(struct session *s, struct jv from, struct err *e)
{
	int r = launch_read(jv_get(from, "launch"), s->cwd, &s->launch, e);

	if (r < 0)
		return r;
	s->journal.secrets = s->launch->secrets;
	s->journal.epoch = jv_int(jv_get(from, "epoch"), s->journal.epoch);
	(void)jv_strcpy(jv_get(from, "door"), s->door, sizeof(s->door));
	s->rung = (enum restore)jv_int(jv_get(from, "rung"), RESTORE_NONE);
	s->via = (enum instruct_via)jv_int(jv_get(from, "via"), 0);
	s->terminals.last = (uint64_t)jv_int(jv_get(from, "terminals"), 0);
	s->n_starts = 1;
	if (jv_bool(jv_get(from, "replays"), false))
		s->replaying = REPLAYING_LATE;
	s->instructions_due = jv_bool(jv_get(from, "instructions_due"), false);
	s->preamble_due = jv_bool(jv_get(from, "preamble_due"), false);
	r = take_caps(s, jv_get(from, "capabilities"));
	if (r == 0)
		r = settings_set(&s->settings, jv_get(from, "modes"),
				 jv_get(from, "models"),
				 jv_get(from, "options"));
	return r < 0 ? err_set(e, r, "%s: out of memory", s->id) : 0;
}

int session_take_over(struct guest *g, struct jv from, struct err *e)
{
	struct session *s;
	char id[ID_MAX];
	int r;

	if (jv_strcpy(jv_get(from, "session"), id, sizeof(id)) < 0)
		return err_set(e, -EINVAL, "a session without an id");
	r = session_find(g, id, &s, e);
	if (r == 0)
		r = take_memory(s, from, e);
	if (r < 0)
		proc_leave_behind(jv_path(from, "agent.proc"));
	else
		r = session_adopt_agent(s, jv_get(from, "agent"), e);
	if (r < 0)
		return r;
	log_info("%s: goes on with its agent, pid %d", id,
		 (int)agent_pid(s->agent));
	return 0;
}
