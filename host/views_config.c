// SPDX-License-Identifier: Apache-2.0
/*
 * views_config.c - What a session's agent is set to, told by the log
 *
 * The last session.ready says what the agent offered and what was set then.
 * What changed it since is read behind it: updates of the agent, its answers
 * to changes of options, and session.config for changes that have no such
 * answer.  So the view is the same whether the agent runs or not.
 */
#include <string.h>

#include "core/settings.h"
#include "host/views.h"

struct config_fold {
	struct settings settings;
	char *acp_id; /* JSON text. */
	int64_t seq;  /* Of session.ready. */
};

static bool is_of_session(const struct config_fold *f, struct jv params)
{
	struct jv v = jv_get(params, "sessionId");
	size_t len;
	const char *id = jv_raw(v, &len);

	return !jv_is(v, JV_STRING) ||
	       (f->acp_id != NULL && strlen(f->acp_id) == len &&
		memcmp(f->acp_id, id, len) == 0);
}

/* The answer to session/new or session/fork has options of another session. */
static int fold_response(struct config_fold *f, struct jv data)
{
	struct jv result = jv_path(data, "msg.result");

	if (!jv_eq(jv_get(data, "dir"), "in") ||
	    jv_has(jv_get(result, "sessionId")))
		return 0;
	return settings_set_options(&f->settings,
				    jv_get(result, "configOptions"));
}

/* What was set; while no agent runs, what the next one will be told. */
static int fold_wishes(struct config_fold *f, struct jv data)
{
	struct settings_target t;
	struct wish w;
	int r = wish_check(data, false, NULL);

	for (size_t i = 0; r == 0 && wish_at(data, i, &w); i++) {
		if (jv_is(w.value, JV_NULL) ||
		    settings_find(&f->settings, &w, &t, NULL) < 0)
			continue;
		r = settings_apply(&f->settings, &t);
		settings_target_done(&t);
	}
	return r == -ENOMEM ? r : 0;
}

/* Nearly all of a log is other updates: they are not even parsed. */
static bool may_matter(const struct event *ev)
{
	static const char *const words[] = {
		"current_mode_update", "config_option_update", "configOptions"};

	if (strcmp(ev->type, "session.config") == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (memmem(ev->data, ev->data_len, words[i],
			   strlen(words[i])) != NULL)
			return true;
	return false;
}

static int fold_event(const struct event *ev, void *arg)
{
	struct config_fold *f = arg;
	autojson struct json j = {0};
	struct jv data, params;
	int r;

	if (!may_matter(ev))
		return 0;
	r = json_parse(&j, ev->data, ev->data_len, NULL);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	data = json_root(&j);
	if (strcmp(ev->type, "session.config") == 0)
		return fold_wishes(f, data);
	if (strcmp(ev->type, "acp.response") == 0)
		return fold_response(f, data);
	params = jv_path(data, "msg.params");
	if (!is_of_session(f, params))
		return 0;
	return settings_note(&f->settings, jv_get(params, "update"));
}

static int fold_ready(const struct event *ev, void *arg)
{
	struct config_fold *f = arg;
	autojson struct json j = {0};
	struct jv data;
	const char *id;
	size_t len;
	int r = json_parse(&j, ev->data, ev->data_len, NULL);

	if (r < 0)
		return r;
	data = json_root(&j);
	f->seq = ev->seq;
	id = jv_raw(jv_get(data, "acp_session_id"), &len);
	if (id != NULL)
		f->acp_id = strndup(id, len);
	r = settings_set(&f->settings, jv_get(data, "modes"),
			 jv_get(data, "models"),
			 jv_get(data, "config_options"));
	return r < 0 ? r : 1; /* The last one was wanted. */
}

static int fold(struct reader *r, const char *session, struct config_fold *f,
		struct err *e)
{
	struct event_query q = {
		.session = session,
		.types = "session.ready",
		.descending = true,
		.limit = 1,
	};
	int n = reader_each_event(r, &q, fold_ready, f, e);

	if (n < 0 || f->seq == 0)
		return n;
	q = (struct event_query){
		.session = session,
		.types = "session.config,acp.update,acp.response",
		.since = f->seq,
	};
	return reader_each_event(r, &q, fold_event, f, e);
}

/* The wishes of the session's row. */
static int write_wishes(struct reader *r, const char *session, struct jw *out,
			struct err *e)
{
	const char *args[] = {session, NULL};
	autofree char *text = NULL;
	autojson struct json j = {0};
	int n = reader_value(r, "SELECT config FROM session WHERE id=?1", args,
			     &text, e);

	if (n < 0)
		return n;
	jw_key(out, "config");
	jw_obj(out);
	if (n == 1 && json_parse(&j, text, strlen(text), NULL) == 0 &&
	    wish_check(json_root(&j), false, NULL) == 0)
		wish_write(json_root(&j), SIZE_MAX, out);
	jw_obj_end(out);
	return 0;
}

int views_config(struct reader *r, const char *session, struct jw *out,
		 struct err *e)
{
	struct config_fold f = {0};
	struct session_brief b;
	int n = reader_session(r, session, &b, e);

	if (n < 0)
		return n;
	n = fold(r, session, &f, e);
	jw_obj(out);
	jw_kraw(out, "modes", f.settings.modes);
	jw_kraw(out, "configOptions", f.settings.options);
	if (f.settings.models != NULL)
		jw_kraw(out, "models", f.settings.models);
	if (n >= 0)
		n = write_wishes(r, session, out, e);
	jw_obj_end(out);
	settings_done(&f.settings);
	free(f.acp_id);
	if (n == -ENOMEM || out->failed)
		return err_set(e, -ENOMEM, "config: out of memory");
	return n < 0 ? n : 0;
}
