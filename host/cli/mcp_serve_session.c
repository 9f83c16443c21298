// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_serve_session.c - hib mcp serve: sessions
 *
 * A prompt tells what its turn does as progress: the agent's text as it comes, a
 * line at a time, and the titles of its tool calls.  A client that cancels its
 * call ends the turn; when we end the turn goes on.
 */
#include <string.h>

#include "host/cli/mcp_serve.h"

int serve_session_create(struct serve_call *c)
{
	struct hib_session_options o = {.size = sizeof(o)};
	autojw struct jw config = {0};
	const char *model;
	char *json = NULL;
	int r;

	if (serve_need(c, "agent", &o.agent) < 0 ||
	    serve_text(c, "vm", &o.vm) < 0 ||
	    serve_text(c, "cwd", &o.cwd) < 0 ||
	    serve_text(c, "title", &o.title) < 0 ||
	    serve_text(c, "instructions", &o.instructions) < 0 ||
	    serve_text(c, "policy", &o.policy) < 0 ||
	    serve_text(c, "net", &o.net) < 0 ||
	    serve_text(c, "model", &model) < 0 ||
	    serve_env(c, "env", &o.env) < 0)
		return -1;
	if (model != NULL) {
		jw_obj(&config);
		jw_kstr(&config, "model", model);
		jw_obj_end(&config);
		o.config = config.buf;
	}
	r = hib_create_session(c->h, &o, NULL, &json, &c->err);
	return serve_take(c, r, NULL, json);
}

/* --- prompts ------------------------------------------------------------- */

struct told {
	struct serve_call *c;
	struct jw line; /* Of the agent's text, not told yet. */
};

static void tell_line(struct told *t)
{
	if (t->line.len > 0)
		serve_progress(t->c, t->line.buf, t->line.len);
	jw_reset(&t->line);
}

static int prompt_on_text(const char *text, size_t len, void *arg)
{
	struct told *t = arg;

	while (len > 0) {
		const char *nl = memchr(text, '\n', len);
		size_t n = nl != NULL ? (size_t)(nl - text) : len;

		jw_lit(&t->line, text, n);
		if (nl != NULL)
			tell_line(t);
		n += nl != NULL;
		text += n;
		len -= n;
	}
	return 0;
}

static void prompt_on_event(const struct hib_event *ev, void *arg)
{
	autofree char *title = NULL;
	autojson struct json j = {0};
	struct told *t = arg;
	struct jv update;

	if (strcmp(ev->type, "acp.update") != 0 ||
	    json_parse(&j, ev->json, ev->len, NULL) < 0)
		return;
	update = jv_path(json_root(&j), "data.msg.params.update");
	if (jv_eq(jv_get(update, "sessionUpdate"), "agent_message_chunk"))
		return;
	tell_line(t);
	if (jv_eq(jv_get(update, "sessionUpdate"), "tool_call"))
		title = jv_strdup(jv_get(update, "title"), NULL);
	if (title != NULL)
		serve_progress(t->c, title, strlen(title));
}

static void put_reply(struct jw *w, const struct hib_reply *reply)
{
	jw_obj(w);
	jw_kstr(w, "turn", reply->turn);
	jw_kstr(w, "state", reply->state);
	jw_kstr(w, "stop_reason", reply->stop_reason);
	jw_kstr(w, "text", reply->text != NULL ? reply->text : "");
	if (reply->usage != NULL)
		jw_kraw(w, "usage", reply->usage);
	if (reply->error != NULL)
		jw_kraw(w, "error", reply->error);
	jw_kint(w, "first_seq", reply->first_seq);
	jw_kint(w, "last_seq", reply->last_seq);
	jw_obj_end(w);
}

/* Somebody has interrupted us.  The turn ends only if it is the client. */
static int interrupted(struct serve_call *c, const char *session,
		       const struct hib_reply *reply)
{
	if (c->err.code == HIB_CANCELLED && serve_is_unwanted(c))
		(void)hib_cancel_prompt(c->h, session,
					reply->turn[0] ? reply->turn : NULL,
					NULL);
	return -1;
}

int serve_session_prompt(struct serve_call *c)
{
	struct hib_reply reply = {.size = sizeof(reply)};
	struct hib_prompt p = {.size = sizeof(p), .actor = "mcp"};
	struct told t = {.c = c};
	const char *session;
	int r;

	if (serve_need(c, "session", &session) < 0 ||
	    serve_need(c, "text", &p.text) < 0 ||
	    serve_text(c, "on_busy", &p.on_busy) < 0)
		return -1;
	r = hib_prompt_stream(c->h, session, &p, prompt_on_text,
			      prompt_on_event, &t, &reply, &c->err);
	if (r == 0) {
		put_reply(&c->out, &reply);
		jw_lit(&c->text, reply.text ? reply.text : "",
		       reply.text ? strlen(reply.text) : 0);
	} else {
		r = interrupted(c, session, &reply);
	}
	jw_done(&t.line);
	hib_reply_done(&reply);
	return r;
}

/* --- reading ------------------------------------------------------------- */

int serve_session_list(struct serve_call *c)
{
	struct hib_list_options o = {.size = sizeof(o)};
	int64_t limit = 0;
	char *json = NULL;
	int r;

	if (serve_text(c, "vm", &o.vm) < 0 ||
	    serve_text(c, "state", &o.state) < 0 ||
	    serve_text(c, "tag", &o.tag) < 0 ||
	    serve_text(c, "cursor", &o.cursor) < 0 ||
	    serve_number(c, "limit", &limit) < 0)
		return -1;
	o.limit = (unsigned)(limit < UINT32_MAX ? limit : UINT32_MAX);
	r = hib_list_persisted_sessions(c->h, &o, &json, &c->err);
	return serve_take(c, r, "sessions", json);
}

int serve_session_messages(struct serve_call *c)
{
	const char *session, *turn;
	char *json = NULL;
	int r;

	if (serve_need(c, "session", &session) < 0 ||
	    serve_text(c, "turn", &turn) < 0)
		return -1;
	r = hib_get_messages(c->h, session, turn, &json, &c->err);
	return serve_take(c, r, "messages", json);
}

int serve_session_close(struct serve_call *c)
{
	const char *session;
	char *json = NULL;
	int r;

	if (serve_need(c, "session", &session) < 0)
		return -1;
	r = hib_close_session(c->h, session, serve_flag(c, "force"), &json,
			      &c->err);
	return serve_take(c, r, NULL, json);
}
