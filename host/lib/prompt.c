// SPDX-License-Identifier: Apache-2.0
/*
 * prompt.c - Prompts, and waiting for what comes of them
 *
 * A prompt carries an idempotency key, so that repeating it after a lost
 * connection joins the turn that it began.  Plain waiting is the daemon's work:
 * the answer comes when the turn has ended.  For the text as it comes, we
 * prompt without waiting and follow the log from the prompt's own event to the
 * event that ends the turn.
 *
 * A queued prompt has no turn yet.  It has one once its input.message appears;
 * when a turn before it ends badly, the queue is emptied and it never will.
 */
#include <stdio.h>
#include <string.h>

#include "host/lib/lib.h"

struct turn_wait {
	hib_text_cb on_text;
	hib_event_cb on_event;
	void *arg;
	struct hib_reply *reply;
	char input[HIB_ID_MAX]; /* Of a queued prompt. */
	struct jw text;
	bool done;
	bool gone; /* The subscription has ended by itself. */
	struct err err;
};

/* --- reply -------------------------------------------------------------- */

/* Callers of earlier versions have a shorter struct. */
static int reply_begin(struct hib_reply *ours, const struct hib_reply *theirs,
		       struct err *e)
{
	*ours = (struct hib_reply){0};
	if (theirs == NULL || theirs->size < sizeof(theirs->size))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "the size of the reply is not set");
	ours->size = theirs->size;
	return 0;
}

static void reply_give(struct hib_reply *theirs, struct hib_reply *ours)
{
	size_t n = ours->size < sizeof(*ours) ? ours->size : sizeof(*ours);

	if (ours->size == 0)
		return;
	memcpy(theirs, ours, n);
}

void hib_reply_done(struct hib_reply *reply)
{
	size_t size;

	if (reply == NULL)
		return;
	size = reply->size;
	free(reply->text);
	free(reply->usage);
	free(reply->error);
	memset(reply, 0, size);
	reply->size = size;
}

static char *raw_dup(struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	return raw == NULL || jv_is(v, JV_NULL) ? NULL : strndup(raw, len);
}

static void copy_string(struct jv v, char *out, size_t cap)
{
	if (jv_strcpy(v, out, cap) < 0)
		out[0] = '\0';
}

/* --- asking ------------------------------------------------------------- */

static int prompt_body(const struct hib_prompt *p, bool wait, struct jw *w,
		       struct err *e)
{
	autojson struct json j = {0};
	struct err bad = {0};
	char key[HIB_ID_MAX];

	if ((p->text == NULL) == (p->content == NULL))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a prompt is either text or content");
	if (p->content != NULL &&
	    json_parse(&j, p->content, strlen(p->content), &bad) < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT, "content: %s",
			       bad.msg);
	id_new(key, "msg");
	jw_obj(w);
	if (p->text != NULL)
		jw_kstr(w, "text", p->text);
	else
		jw_kraw(w, "content", p->content);
	if (p->on_busy != NULL)
		jw_kstr(w, "onBusy", p->on_busy);
	if (p->actor != NULL)
		jw_kstr(w, "actor", p->actor);
	if (p->no_wake)
		jw_kbool(w, "noWake", true);
	jw_kstr(w, "idempotencyKey",
		p->idempotency_key ? p->idempotency_key : key);
	jw_kbool(w, "wait", wait);
	jw_obj_end(w);
	return w->failed ? err_set(e, -ENOMEM, "out of memory") : 0;
}

/* POST it; the answer is in @j over @out. */
static int prompt_post(struct hib *h, const char *session,
		       const struct hib_prompt *p, bool wait, struct json *j,
		       struct jw *out, struct err *e)
{
	struct jw path = path_session(session, "/prompt");
	autojw struct jw body = {0};
	struct request q = {.method = "POST", .path = path.buf};
	int r = 0;

	if (q.path == NULL)
		r = err_set(e, -FAULT_INVALID_ID, "that is no session id");
	if (r == 0)
		r = prompt_body(p, wait, &body, e);
	if (r == 0) {
		q.body = body.buf;
		q.body_len = body.len;
		r = request_run(h, &q, e);
	}
	*out = q.out;
	jw_done(&path);
	if (r == 0)
		r = json_parse(j, out->buf ? out->buf : "", out->len, e);
	return r;
}

/* What the daemon says of a turn that began, is queued, or has ended. */
static void reply_read(struct hib_reply *reply, struct jv v)
{
	copy_string(jv_get(v, "turn"), reply->turn, sizeof(reply->turn));
	copy_string(jv_get(v, "state"), reply->state, sizeof(reply->state));
	if (reply->state[0] == '\0')
		snprintf(reply->state, sizeof(reply->state), "%s",
			 reply->turn[0] ? "running" : "queued");
	copy_string(jv_get(v, "stopReason"), reply->stop_reason,
		    sizeof(reply->stop_reason));
	reply->text = jv_strdup(jv_get(v, "text"), NULL);
	reply->usage = raw_dup(jv_get(v, "usage"));
	reply->error = raw_dup(jv_get(v, "error"));
	reply->first_seq = jv_int(jv_get(v, "seq"), 0);
	reply->last_seq = jv_int(jv_get(v, "last_seq"), 0);
}

/* --- following ---------------------------------------------------------- */

static void wait_fail(struct turn_wait *t, int code, const char *why)
{
	if (!t->done)
		err_set(&t->err, code, "%s", why);
	t->done = true;
}

static void on_update(struct turn_wait *t, struct jv data)
{
	struct jv update = jv_path(data, "msg.params.update");
	struct jv chunk = jv_path(update, "content.text");
	autofree char *s = NULL;
	size_t len;

	if (!jv_eq(jv_get(update, "sessionUpdate"), "agent_message_chunk") ||
	    !jv_is(chunk, JV_STRING))
		return;
	s = jv_strdup(chunk, &len);
	if (s == NULL) {
		wait_fail(t, -ENOMEM, "out of memory");
		return;
	}
	jw_lit(&t->text, s, len);
	if (t->on_text != NULL && t->on_text(s, len, t->arg) != 0)
		wait_fail(t, -FAULT_CANCELLED, "the caller wants no more");
}

static bool is_turn_end(const char *type)
{
	static const char *const types[] = {"turn.completed", "turn.failed",
					    "turn.cancelled",
					    "turn.interrupted"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (strcmp(type, types[i]) == 0)
			return true;
	}
	return false;
}

static void on_turn_end(struct turn_wait *t, const struct hib_event *ev,
			struct jv data)
{
	struct hib_reply *reply = t->reply;

	snprintf(reply->state, sizeof(reply->state), "%s",
		 ev->type + strlen("turn."));
	copy_string(jv_get(data, "stop_reason"), reply->stop_reason,
		    sizeof(reply->stop_reason));
	reply->usage = raw_dup(jv_get(data, "usage"));
	reply->error = raw_dup(jv_get(data, "error"));
	reply->last_seq = ev->seq;
	t->done = true;
}

/* Before our turn has begun. */
static void on_queue_event(struct turn_wait *t, const struct hib_event *ev,
			   struct jv data)
{
	if (strcmp(ev->type, "input.message") == 0 &&
	    jv_eq(jv_get(data, "id"), t->input)) {
		snprintf(t->reply->turn, sizeof(t->reply->turn), "%s",
			 ev->turn);
		snprintf(t->reply->state, sizeof(t->reply->state), "running");
		t->reply->first_seq = ev->seq;
	} else if (is_turn_end(ev->type) &&
		   strcmp(ev->type, "turn.completed") != 0) {
		wait_fail(t, -FAULT_CANCELLED,
			  "the turn before ended badly, which empties the "
			  "queue");
	}
}

static void wait_on_event(const struct hib_event *ev, void *arg)
{
	struct turn_wait *t = arg;
	autojson struct json j = {0};
	struct jv data;

	if (t->done || json_parse(&j, ev->json, ev->len, NULL) < 0)
		return;
	data = jv_get(json_root(&j), "data");
	if (t->reply->turn[0] == '\0')
		on_queue_event(t, ev, data);
	if (t->reply->turn[0] == '\0' || strcmp(ev->turn, t->reply->turn) != 0)
		return;
	if (t->on_event != NULL)
		t->on_event(ev, t->arg);
	if (strcmp(ev->type, "acp.update") == 0 &&
	    !jv_bool(jv_path(json_root(&j), "ctx.foreign"), false))
		on_update(t, data);
	else if (is_turn_end(ev->type))
		on_turn_end(t, ev, data);
}

static void wait_on_end(const struct hib_error *e, void *arg)
{
	struct turn_wait *t = arg;

	t->gone = true;
	wait_fail(t, -e->code, e->message);
}

/* Follow the log until the turn has ended. */
static int wait_turn(struct hib *h, const char *session, int64_t since,
		     struct turn_wait *t, struct err *e)
{
	struct hib_subscribe s = {
		.size = sizeof(s),
		.since = since,
		.on_event = wait_on_event,
		.on_end = wait_on_end,
		.arg = t,
	};
	struct hib_subscription *sub;
	struct hib_error out;

	if (hib_on_event(h, session, &s, &sub, &out) < 0)
		return err_set(e, -out.code, "%s", out.message);
	while (!t->done) {
		lib_run(h, UV_RUN_ONCE);
		if (lib_interrupted(h))
			wait_fail(t, -FAULT_CANCELLED, "interrupted");
	}
	if (!t->gone)
		hib_unsubscribe(sub);
	if (t->err.code < 0)
		*e = t->err;
	return t->err.code;
}

/* Last seq of the log before a prompt that may be queued. */
static int find_since(struct hib *h, const char *session, int64_t *since,
		      struct err *e)
{
	autofree char *json = NULL;
	autojson struct json j = {0};
	struct hib_error out;

	if (hib_get_session(h, session, false, &json, &out) < 0)
		return err_set(e, -out.code, "%s", out.message);
	if (json_parse(&j, json, strlen(json), e) < 0)
		return -EPROTO;
	*since = jv_int(jv_get(json_root(&j), "last_seq"), 0);
	return 0;
}

static int stream(struct hib *h, const char *session,
		  const struct hib_prompt *p, struct turn_wait *t,
		  struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw answer = {0};
	int64_t since = 0;
	int r = lib_may_run(h, e);

	if (r == 0 && p->on_busy != NULL && strcmp(p->on_busy, "queue") == 0)
		r = find_since(h, session, &since, e);
	if (r == 0)
		r = prompt_post(h, session, p, false, &j, &answer, e);
	if (r < 0)
		return r;
	reply_read(t->reply, json_root(&j));
	copy_string(jv_get(json_root(&j), "input"), t->input, sizeof(t->input));
	if (t->reply->first_seq > 0)
		since = t->reply->first_seq - 1;
	if (!p->no_wait)
		r = wait_turn(h, session, since, t, e);
	free(t->reply->text);
	t->reply->text = jw_take(&t->text, NULL);
	return r;
}

int hib_prompt_stream(struct hib *h, const char *session,
		      const struct hib_prompt *prompt, hib_text_cb on_text,
		      hib_event_cb on_event, void *arg,
		      struct hib_reply *out_reply, struct hib_error *e)
{
	struct hib_reply reply;
	struct hib_prompt p;
	struct turn_wait t = {
		.on_text = on_text,
		.on_event = on_event,
		.arg = arg,
		.reply = &reply,
	};
	struct err err = {0};
	int r = lib_options(&p, sizeof(p), prompt, &err);

	if (r == 0)
		r = reply_begin(&reply, out_reply, &err);
	if (r == 0) {
		r = stream(h, session, &p, &t, &err);
		jw_done(&t.text);
		reply_give(out_reply, &reply);
	}
	return lib_result(r, &err, e);
}

/* --- without a stream --------------------------------------------------- */

static int send_and_wait(struct hib *h, const char *session,
			 const struct hib_prompt *p, struct hib_reply *reply,
			 struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw answer = {0};
	int r = prompt_post(h, session, p, !p->no_wait, &j, &answer, e);

	if (r == 0)
		reply_read(reply, json_root(&j));
	if (reply->text == NULL)
		reply->text = strdup("");
	return r;
}

int hib_send_prompt(struct hib *h, const char *session,
		    const struct hib_prompt *prompt,
		    struct hib_reply *out_reply, struct hib_error *e)
{
	struct hib_reply reply;
	struct hib_prompt p;
	struct err err = {0};
	int r = lib_options(&p, sizeof(p), prompt, &err);

	if (r == 0 && p.on_busy != NULL && strcmp(p.on_busy, "queue") == 0)
		return hib_prompt_stream(h, session, prompt, NULL, NULL, NULL,
					 out_reply, e);
	if (r == 0)
		r = reply_begin(&reply, out_reply, &err);
	if (r == 0) {
		r = send_and_wait(h, session, &p, &reply, &err);
		reply_give(out_reply, &reply);
	}
	return lib_result(r, &err, e);
}

int hib_cancel_prompt(struct hib *h, const char *session, const char *turn,
		      struct hib_error *e)
{
	struct jw path = path_session(session, "/cancel");
	struct jw body = {0};

	jw_obj(&body);
	if (turn != NULL)
		jw_kstr(&body, "turn", turn);
	jw_obj_end(&body);
	return request_post(h, &path, &body, true, NULL, e);
}
