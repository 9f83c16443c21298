// SPDX-License-Identifier: Apache-2.0
/*
 * toolcall.c - A call of a function of this program, until it is answered
 *
 *	  tool_call_new --> OPEN --- result, error ---> SENDING ---> gone
 *	                     |                            |
 *	                     '-- ended by others -> answered, unheard
 *
 * The user may answer in the callback or at any time later.  The answer is sent
 * from the loop, again and again over lost connections; that it is not wanted
 * any more is no failure.
 */
#include <stdio.h>
#include <string.h>

#include "host/lib/lib.h"

struct tool_call {
	struct hib_tool_call pub; /* What the user has; first. */
	TAILQ_ENTRY(tool_call) link;
	struct hib *h;
	char session[HIB_ID_MAX], id[HIB_ID_MAX];
	char *name, *arguments;
	bool ended; /* Nobody waits for the answer. */
	bool answered;
	bool refused; /* The answer says that it was. */
	void (*cancelled)(struct hib_tool_call *call, void *arg);
	void *arg;
	struct jw body; /* Of the answer. */
	struct http_call *http;
	uv_timer_t timer; /* Between attempts. */
	unsigned failures;
	struct jw refusal; /* What was answered to the answer. */
	int status;
};

/* --- life --------------------------------------------------------------- */

static void call_on_closed(uv_handle_t *t)
{
	struct tool_call *c = t->data;

	jw_done(&c->body);
	jw_done(&c->refusal);
	free(c->name);
	free(c->arguments);
	free(c);
}

static void call_free(struct tool_call *c)
{
	TAILQ_REMOVE(&c->h->tool_calls, c, link);
	uv_close((uv_handle_t *)&c->timer, call_on_closed);
}

struct tool_call *tool_call_new(struct hib *h, const struct tool_call_spec *s)
{
	struct tool_call *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return NULL;
	c->h = h;
	c->name = strdup(s->name);
	c->arguments = strndup(s->arguments, s->arguments_len);
	if (c->name == NULL || c->arguments == NULL) {
		free(c->name);
		free(c->arguments);
		free(c);
		return NULL;
	}
	memcpy(c->session, s->session, sizeof(c->session));
	memcpy(c->id, s->id, sizeof(c->id));
	c->cancelled = s->cancelled;
	c->arg = s->arg;
	c->pub = (struct hib_tool_call){
		.size = sizeof(c->pub),
		.session = c->session,
		.id = c->id,
		.name = c->name,
		.arguments = c->arguments,
		.deadline_ms = s->deadline_ms,
	};
	uv_timer_init(&h->loop, &c->timer);
	c->timer.data = c;
	TAILQ_INSERT_TAIL(&h->tool_calls, c, link);
	return c;
}

struct hib_tool_call *tool_call_public(struct tool_call *c)
{
	return &c->pub;
}

struct tool_call *tool_call_find(struct hib *h, const char *id)
{
	struct tool_call *c;

	TAILQ_FOREACH (c, &h->tool_calls, link)
		if (strcmp(c->id, id) == 0)
			break;
	return c;
}

/* Answered by somebody else, cancelled, or too late.  What was answered here is
 * on its way, or was taken. */
void tool_call_ended(struct tool_call *c)
{
	if (c->answered || c->ended)
		return;
	c->ended = true;
	if (c->cancelled != NULL)
		c->cancelled(&c->pub, c->arg);
}

void tool_calls_close(struct hib *h)
{
	struct tool_call *c, *next;

	for (c = TAILQ_FIRST(&h->tool_calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->http == NULL)
			call_free(c);
	}
}

/* --- the answer --------------------------------------------------------- */

static void send_answer(struct tool_call *c);

static void call_on_timer(uv_timer_t *t)
{
	send_answer(t->data);
}

static void call_on_head(struct http_call *http, int status, void *arg)
{
	struct tool_call *c = arg;

	(void)http;
	c->status = status;
}

static void call_on_body(struct http_call *http, char *data, size_t n,
			 void *arg)
{
	struct tool_call *c = arg;

	(void)http;
	if (c->status >= 400 && n <= LIB_BODY_MAX - c->refusal.len)
		jw_lit(&c->refusal, data, n);
}

/* What the daemon says; 0: it was taken. */
static int read_refusal(const struct tool_call *c)
{
	autojson struct json j = {0};
	struct err e = {0};

	if (c->status < 400)
		return 0;
	if (c->refusal.len == 0 ||
	    json_parse(&j, c->refusal.buf, c->refusal.len, NULL) < 0)
		return -FAULT_INTERNAL;
	return err_read(&e, json_root(&j));
}

static void begin_result(struct tool_call *c)
{
	struct jw *w = &c->body;

	jw_reset(w);
	w->comma = false;
	jw_obj(w);
	jw_kbool(w, "partial", true);
	jw_key(w, "results");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "id", c->id);
}

static void end_result(struct tool_call *c)
{
	jw_obj_end(&c->body);
	jw_arr_end(&c->body);
	jw_obj_end(&c->body);
}

/* The agent must hear something. */
static void send_refused(struct tool_call *c, int why)
{
	autofree char *text = NULL;

	if (asprintf(&text, "the result was refused: %s",
		     fault_name(err_fault(why))) < 0)
		text = NULL;
	begin_result(c);
	jw_kstr(&c->body, "error", text != NULL ? text : "out of memory");
	end_result(c);
	send_answer(c);
}

static bool is_bad_result(int r)
{
	return r == -FAULT_INVALID_ARGUMENT || r == -FAULT_MESSAGE_TOO_LARGE;
}

static void call_on_end(struct http_call *http, int r, void *arg)
{
	struct tool_call *c = arg;
	(void)http;
	c->http = NULL;
	if (r == 0)
		r = read_refusal(c);
	if (is_bad_result(r) && !c->refused) {
		c->refused = true;
		send_refused(c, r);
		return;
	}
	/* A refusal says that the call is open no more. */
	if (r == -ECANCELED ||
	    (r <= -FAULT_INVALID_ARGUMENT && r != -FAULT_DRAINING) || r == 0 ||
	    ++c->failures > c->h->attempts) {
		call_free(c);
		return;
	}
	if ((r == -ECONNREFUSED || r == -ENOENT) && c->h->autostart)
		(void)start_daemon(c->h, NULL);
	uv_timer_start(&c->timer, call_on_timer, lib_pause_ms(c->failures), 0);
}

static void send_answer(struct tool_call *c)
{
	static const struct http_call_ops ops = {
		.head = call_on_head,
		.body = call_on_body,
		.end = call_on_end,
	};
	struct jw path = path_session(c->session, "/tools/results");
	struct http_call_spec spec = {
		.method = "POST",
		.path = path.buf,
		.body = c->body.buf,
		.body_len = c->body.len,
	};

	jw_reset(&c->refusal);
	c->status = 0;
	if (!path.failed && !c->body.failed)
		c->http = http_call(c->h->http, &spec, &ops, c);
	jw_done(&path);
	if (c->http == NULL)
		call_free(c);
}

/* From the loop, so that the user may answer within a callback. */
static void finish(struct tool_call *c)
{
	end_result(c);
	c->answered = true;
	uv_timer_start(&c->timer, call_on_timer, 0, 0);
}

/* Return: NULL when it needs no answer any more. */
static struct tool_call *begin(struct hib_tool_call *call)
{
	struct tool_call *c = container_of(call, struct tool_call, pub);

	if (c->answered)
		return NULL;
	if (c->ended) {
		call_free(c);
		return NULL;
	}
	begin_result(c);
	return c;
}

void hib_tool_result(struct hib_tool_call *call, const char *text)
{
	struct tool_call *c = begin(call);

	if (c == NULL)
		return;
	jw_kstr(&c->body, "content", text != NULL ? text : "");
	finish(c);
}

void hib_tool_result_json(struct hib_tool_call *call, const char *json)
{
	struct tool_call *c = begin(call);
	autojson struct json j = {0};
	struct err e = {0};

	if (c == NULL)
		return;
	if (json == NULL || json_parse(&j, json, strlen(json), &e) < 0)
		jw_kstr(&c->body, "error", "the result is no JSON");
	else
		jw_kvalue(&c->body, "content", json_root(&j));
	finish(c);
}

void hib_tool_error(struct hib_tool_call *call, const char *message)
{
	struct tool_call *c = begin(call);

	if (c == NULL)
		return;
	jw_kstr(&c->body, "error", message != NULL ? message : "failed");
	finish(c);
}

/* --- progress ----------------------------------------------------------- */

static void progress_on_end(struct http_call *http, int r, void *arg)
{
	(void)http;
	(void)r;
	(void)arg;
}

/* Sent once: the next one tells more. */
void hib_tool_progress(struct hib_tool_call *call, int64_t progress,
		       int64_t total, const char *message)
{
	static const struct http_call_ops ops = {.end = progress_on_end};
	struct tool_call *c = container_of(call, struct tool_call, pub);
	struct jw path = path_session(c->session, "/tools/progress");
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "id", c->id);
	jw_kint(&w, "progress", progress);
	if (total > 0)
		jw_kint(&w, "total", total);
	if (message != NULL)
		jw_kstr(&w, "message", message);
	jw_obj_end(&w);
	if (!c->answered && !c->ended && !w.failed && !path.failed)
		(void)http_call(c->h->http,
				&(struct http_call_spec){.method = "POST",
							 .path = path.buf,
							 .body = w.buf,
							 .body_len = w.len},
				&ops, NULL);
	jw_done(&path);
}
