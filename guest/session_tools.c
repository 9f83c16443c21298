// SPDX-License-Identifier: Apache-2.0
/*
 * session_tools.c - Sessions: functions of the user's program
 *
 *	call --> OPEN ---> resolved, on its way to the store ---> answered, freed
 *	          results, an error, the deadline,
 *	          the agent, the end of the turn
 *
 * A call of a tool of the server "host" is an event and a request before anybody
 * outside sees it, and the session waits as long as one is open.  Whoever may
 * answer gives the results of all that are open, or says that he knows only of
 * some; the agent gets its result once that is stored.  What waits for nobody's
 * answer any more ends as cancelled, in words that the agent understands, if it
 * still listens.
 *
 * Tools are told by the event session.tools, the newest of which holds.  There is
 * a server for them as soon as they were told once, even if there is none: an
 * agent that has been started with it is told of what changes.
 */
#include <stdio.h>
#include <string.h>

#include "core/content.h"
#include "core/time.h"
#include "guest/builtins.h"
#include "guest/limits.h"
#include "guest/session_impl.h"

struct tool_call {
	TAILQ_ENTRY(tool_call) link; /* While it is open. */
	struct session *session;
	struct builtin_call *q; /* NULL: nobody wants the answer. */
	char id[ID_MAX];	/* req_... */
	bool open;
	bool reported; /* The program has told how far it is. */
	int64_t told;  /* Progress that we have told: seconds. */
	int64_t began_ms, deadline_ms; /* Unix time. */
	struct jw result;	       /* CallToolResult, once resolved. */
	struct journal_effect stored;
	uv_timer_t timer;
};

/* How a call ends. */
struct tool_end {
	const char *outcome; /* result, error, cancelled */
	const char *by, *actor;
	struct jv content;  /* Of a result. */
	struct jv error;    /* Of an error, a string. */
	const char *reason; /* For the agent, of what was cancelled. */
};

/*
 * Life.
 */

static void tool_call_on_closed(uv_handle_t *h)
{
	struct tool_call *t = container_of(h, struct tool_call, timer);

	jw_done(&t->result);
	free(t);
}

static void tool_call_free(struct tool_call *t)
{
	uv_close((uv_handle_t *)&t->timer, tool_call_on_closed);
}

static void take_off(struct tool_call *t)
{
	struct session *s = t->session;

	TAILQ_REMOVE(&s->tool_calls, t, link);
	s->n_tool_calls--;
	t->open = false;
	uv_timer_stop(&t->timer);
}

/*
 * Events.
 */

static void record(struct tool_call *t, const char *actor, const char *type,
		   struct jw *data)
{
	struct session *s = t->session;
	autojw struct jw ctx = {0};

	jw_obj(&ctx);
	if (s->turn.input[0] != '\0')
		jw_kstr(&ctx, "input", s->turn.input);
	jw_kstr(&ctx, "req", t->id);
	if (actor != NULL)
		jw_kstr(&ctx, "actor", actor);
	jw_obj_end(&ctx);
	if (ctx.failed)
		journal_break(&s->journal, -ENOMEM, "out of memory");
	else
		journal_add_jw(&s->journal, type, ctx.buf, data);
}

static void record_requested(struct tool_call *t)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", t->q->tool);
	jw_kvalue(&w, "arguments", t->q->args);
	jw_kint(&w, "deadline_ms", t->deadline_ms);
	jw_obj_end(&w);
	record(t, NULL, "tool.requested", &w);
}

static void record_resolved(struct tool_call *t, const struct tool_end *end)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "outcome", end->outcome);
	if (jv_has(end->content))
		jw_kvalue(&w, "content", end->content);
	if (jv_has(end->error))
		jw_kvalue(&w, "error", end->error);
	jw_kstr(&w, "by", end->by);
	jw_obj_end(&w);
	record(t, end->actor, "tool.resolved", &w);
}

/*
 * What the agent gets.
 */

static void write_text(struct jw *w, struct jv string)
{
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_kvalue(w, "text", string);
	jw_obj_end(w);
}

/* Blocks are passed on as they are, and a string is one; any other value is
 * given as its JSON text. */
static void write_content(struct jw *w, struct jv content)
{
	size_t len;
	const char *raw = jv_raw(content, &len);

	jw_key(w, "content");
	if (jv_is(content, JV_ARRAY)) {
		jw_value(w, content);
		return;
	}
	jw_arr(w);
	if (jv_is(content, JV_STRING)) {
		write_text(w, content);
	} else {
		content_text(w, raw, len);
	}
	jw_arr_end(w);
	if (jv_is(content, JV_OBJECT))
		jw_kvalue(w, "structuredContent", content);
}

static void write_failure(struct jw *w, const struct tool_end *end)
{
	jw_key(w, "content");
	jw_arr(w);
	if (jv_has(end->error)) {
		write_text(w, end->error);
	} else {
		content_text(w, end->reason, strlen(end->reason));
	}
	jw_arr_end(w);
	jw_kbool(w, "isError", true);
}

static void write_result(struct jw *w, const struct tool_end *end)
{
	jw_obj(w);
	if (jv_has(end->content))
		write_content(w, end->content);
	else
		write_failure(w, end);
	jw_obj_end(w);
}

static void tool_call_on_stored(struct journal_effect *ef, const struct err *e)
{
	struct tool_call *t = container_of(ef, struct tool_call, stored);
	struct builtin_call *q = take_ptr(t->q);

	if (q != NULL) {
		q->cancelled = NULL;
		if (e != NULL)
			builtin_fault(q, e);
		else
			builtin_reply(q,
				      t->result.failed ? NULL : t->result.buf);
	}
	tool_call_free(t);
}

/*
 * Resolving.
 */

static void resolve(struct tool_call *t, const struct tool_end *end)
{
	record_resolved(t, end);
	take_off(t);
	write_result(&t->result, end);
	t->stored.run = tool_call_on_stored;
	journal_then(&t->session->journal, &t->stored);
}

static struct tool_end end_cancelled(const char *by, const char *reason)
{
	return (struct tool_end){
		.outcome = "cancelled",
		.by = by,
		.content = {.i = -1},
		.error = {.i = -1},
		.reason = reason,
	};
}

void session_cancel_tool_calls(struct session *s)
{
	const struct tool_end end = end_cancelled(
		"cancel", "the turn has ended before there was a result");

	while (!TAILQ_EMPTY(&s->tool_calls))
		resolve(TAILQ_FIRST(&s->tool_calls), &end);
}

/* The journal is of no use any more. */
void session_drop_tool_calls(struct session *s)
{
	struct tool_call *t;

	while ((t = TAILQ_FIRST(&s->tool_calls)) != NULL) {
		take_off(t);
		if (t->q != NULL) {
			t->q->cancelled = NULL;
			builtin_error(t->q, "the session has ended");
		}
		tool_call_free(t);
	}
}

/* The agent, or its connection.  When it has ended its turn will, too, and
 * resolves what is open. */
static void tool_call_on_cancelled(struct builtin_call *q)
{
	const struct tool_end end =
		end_cancelled("agent", "the agent has cancelled the call");
	struct tool_call *t = q->data;
	bool ended = q->session == NULL || t->session->agent_dead;

	t->q = NULL;
	builtin_error(q, "cancelled");
	if (!t->open || ended)
		return;
	resolve(t, &end);
	session_stop_waiting(t->session);
}

/*
 * Time.
 */

static void expire(struct tool_call *t)
{
	const struct tool_end end = end_cancelled(
		"timeout", "the host function gave no result in time");
	struct session *s = t->session;

	resolve(t, &end);
	session_stop_waiting(s);
}

static void arm(struct tool_call *t);

/* Clients give up what shows no progress; it has to grow. */
static void tell_alive(struct tool_call *t, int64_t now)
{
	int64_t seconds = (now - t->began_ms) / 1000;

	if (t->q == NULL || t->reported || seconds <= t->told)
		return;
	t->told = seconds;
	builtin_progress(t->q, seconds, 0, "waiting for the host");
}

static void tool_call_on_timer(uv_timer_t *timer)
{
	struct tool_call *t = container_of(timer, struct tool_call, timer);
	int64_t now = now_ms();

	if (now >= t->deadline_ms) {
		expire(t);
		return;
	}
	tell_alive(t, now);
	arm(t);
}

static void arm(struct tool_call *t)
{
	int64_t left = t->deadline_ms - now_ms();

	if (left > HOST_TOOL_ALIVE_MS)
		left = HOST_TOOL_ALIVE_MS;
	uv_timer_start(&t->timer, tool_call_on_timer,
		       left > 0 ? (uint64_t)left : 0, 0);
}

/*
 * Calls.
 */

/* Why nobody can be asked; NULL: somebody can. */
static const char *why_not(const struct session *s)
{
	if (!session_is_prompted(s))
		return "host functions can be called during a turn only";
	if (s->turn.cancelling)
		return "the turn is being cancelled";
	if (s->n_tool_calls + s->n_asks >= REQUESTS_MAX)
		return "too many requests are open";
	return NULL;
}

static int check_call(struct session *s, struct builtin_call *q, struct jv tool,
		      struct err *e)
{
	autofree char *schema = host_tool_schema(tool);
	const char *why = why_not(s);
	size_t len;

	if (why != NULL)
		return err_set(e, -FAULT_NOT_READY, "%s", why);
	if (schema == NULL)
		return err_set(e, -ENOMEM, "tool: out of memory");
	(void)jv_raw(q->args, &len);
	if (len > HOST_TOOL_ARGS_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "the arguments have %zu bytes, at most %u", len,
			       HOST_TOOL_ARGS_MAX);
	return builtin_check(q, schema, e);
}

static struct tool_call *tool_call_new(struct session *s,
				       struct builtin_call *q, struct jv tool)
{
	struct tool_call *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->session = s;
	t->q = q;
	id_new(t->id, "req");
	t->began_ms = now_ms();
	t->deadline_ms = t->began_ms + host_tool_timeout(tool);
	uv_timer_init(s->guest->loop, &t->timer);
	q->data = t;
	q->cancelled = tool_call_on_cancelled;
	return t;
}

bool session_call_tool(struct session *s, struct builtin_call *q)
{
	struct jv tool = host_tools_find(&s->tools, q->tool);
	struct tool_call *t;
	struct err e = {0};

	if (!jv_has(tool))
		return false;
	if (check_call(s, q, tool, &e) < 0) {
		builtin_fault(q, &e);
		return true;
	}
	t = tool_call_new(s, q, tool);
	if (t == NULL) {
		err_set(&e, -ENOMEM, "tool: out of memory");
		builtin_fault(q, &e);
		return true;
	}
	record_requested(t);
	t->open = true;
	TAILQ_INSERT_TAIL(&s->tool_calls, t, link);
	s->n_tool_calls++;
	arm(t);
	if (s->state == SESSION_RUNNING)
		session_move(s, SESSION_WAITING, "tool");
	return true;
}

const char *session_oldest_tool_call(const struct session *s)
{
	const struct tool_call *t = TAILQ_FIRST(&s->tool_calls);

	return t == NULL ? NULL : t->id;
}

static struct tool_call *find_call(struct session *s, struct jv id)
{
	struct tool_call *t;

	TAILQ_FOREACH (t, &s->tool_calls, link)
		if (jv_eq(id, t->id))
			break;
	return t;
}

bool session_has_tool_call(const struct session *s, const char *id)
{
	const struct tool_call *t;

	TAILQ_FOREACH (t, &s->tool_calls, link)
		if (strcmp(t->id, id) == 0)
			return true;
	return false;
}

/*
 * Results from the host.
 */

static bool are_blocks(struct jv list)
{
	for (struct jv it = jv_first(list); jv_has(it); it = jv_next(list, it))
		if (!jv_is(jv_get(it, "type"), JV_STRING))
			return false;
	return true;
}

static int check_result(struct jv r, struct err *e)
{
	struct jv content = jv_get(r, "content"), error = jv_get(r, "error");
	size_t len = 0;

	if (!jv_is(jv_get(r, "id"), JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a result has no id");
	if (jv_has(content) == jv_has(error))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a result has either content or an error");
	if (jv_has(error) && !jv_is(error, JV_STRING))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "an error is no string");
	if (jv_is(content, JV_ARRAY) && !are_blocks(content))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "content is an array, but not of blocks");
	(void)jv_raw(jv_has(content) ? content : error, &len);
	if (len > HOST_TOOL_RESULT_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "a result has %zu bytes, at most %u", len,
			       HOST_TOOL_RESULT_MAX);
	return 0;
}

/* The calls that wait, for whoever named others. */
static int mismatch(struct session *s, struct err *e)
{
	char ids[ERR_DATA_MAX] = "";
	struct tool_call *t;
	size_t at = 0;

	TAILQ_FOREACH (t, &s->tool_calls, link) {
		if (at + ID_MAX + 4 > sizeof(ids))
			break;
		at += (size_t)snprintf(ids + at, sizeof(ids) - at, "%s\"%s\"",
				       at > 0 ? "," : "", t->id);
	}
	err_set(e, -FAULT_RESULTS_MISMATCH,
		"the results are not those of the %u open calls",
		s->n_tool_calls);
	err_data(e, "\"pending\":[%s]", ids);
	return e->code;
}

/* Is each of an open call, named once, and all of them unless @partial? */
static int check_ids(struct session *s, struct jv list, bool partial,
		     struct err *e)
{
	for (struct jv it = jv_first(list); jv_has(it);
	     it = jv_next(list, it)) {
		struct jv id = jv_get(it, "id"), other;
		const struct tool_call *t = find_call(s, id);

		if (t == NULL)
			return mismatch(s, e);
		for (other = jv_first(list); other.i != it.i;
		     other = jv_next(list, other))
			if (jv_eq(jv_get(other, "id"), t->id))
				return mismatch(s, e);
	}
	if (!partial && jv_count(list) != s->n_tool_calls)
		return mismatch(s, e);
	return 0;
}

static int check_results(struct session *s, const struct tool_results *r,
			 struct err *e)
{
	if (!jv_is(r->list, JV_ARRAY) || jv_count(r->list) == 0 ||
	    jv_count(r->list) > REQUESTS_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "results are no array of 1 to %d", REQUESTS_MAX);
	for (struct jv it = jv_first(r->list); jv_has(it);
	     it = jv_next(r->list, it))
		if (check_result(it, e) < 0)
			return e->code;
	if (r->actor != NULL && answer_is_reserved(r->actor))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "no client is called '%s'", r->actor);
	if (s->n_tool_calls == 0)
		return err_set(e, -FAULT_NOT_WAITING,
			       "session %s waits for no tool", s->id);
	return check_ids(s, r->list, r->partial, e);
}

int session_tool_results(struct session *s, const struct tool_results *r,
			 struct call *c, struct err *e)
{
	if (session_allows(s, OP_ANSWER, e) < 0 || check_results(s, r, e) < 0)
		return e->code;
	for (struct jv it = jv_first(r->list); jv_has(it);
	     it = jv_next(r->list, it)) {
		struct jv error = jv_get(it, "error");
		const struct tool_end end = {
			.outcome = jv_has(error) ? "error" : "result",
			.by = r->actor != NULL ? r->actor : "client",
			.actor = r->actor,
			.content = jv_get(it, "content"),
			.error = error,
		};

		resolve(find_call(s, jv_get(it, "id")), &end);
	}
	session_stop_waiting(s);
	jw_obj(&c->result);
	jw_kint(&c->result, "resolved", (int64_t)jv_count(r->list));
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

int session_tool_progress(struct session *s, struct jv params, struct call *c,
			  struct err *e)
{
	struct tool_call *t = find_call(s, jv_get(params, "id"));
	int64_t n = jv_int(jv_get(params, "progress"), -1);
	autofree char *message = jv_strdup(jv_get(params, "message"), NULL);

	if (n < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "progress is no number of 0 or more");
	if (t == NULL)
		return err_set(e, -FAULT_NOT_WAITING,
			       "session %s has no such call open", s->id);
	t->reported = true;
	if (t->q != NULL)
		builtin_progress(t->q, n, jv_int(jv_get(params, "total"), 0),
				 message);
	call_reply(c);
	return 0;
}

/*
 * The tools.
 */

void session_write_tools(const struct session *s, struct jw *w)
{
	host_tools_write(&s->tools, w);
}

int session_serve_tools(struct session *s)
{
	if (s->tools.text == NULL ||
	    mcp_config_has_builtin(s->launch->mcp, builtin_host.name))
		return 0;
	/* Of an agent that is ending still: they point into what moves now. */
	session_mcp_end(s);
	return mcp_config_add_builtin(&s->launch->mcp, builtin_host.name);
}

/* Does the agent that runs have a server for them? */
static bool offers_tools(const struct session *s)
{
	return s->agent != NULL && !s->agent_dead &&
	       mcp_config_has_builtin(s->launch->mcp, builtin_host.name);
}

int session_take_tools(struct session *s, struct jv list)
{
	autojw struct jw w = {0};
	int r = host_tools_set(&s->tools, list);

	if (r < 0)
		return r;
	jw_obj(&w);
	jw_kvalue(&w, "tools", list);
	jw_obj_end(&w);
	journal_add_jw(&s->journal, "session.tools", NULL, &w);
	session_mcp_changed(s, builtin_host.name);
	return 0;
}

/* Have the server read them again. */
static void tell_change(struct session *s)
{
	struct upstream *u = s->mcp != NULL ? mcp_set_first(s->mcp) : NULL;

	for (; u != NULL; u = mcp_set_next(u))
		if (u->spec->builtin != NULL &&
		    strcmp(u->spec->builtin, builtin_host.name) == 0)
			upstream_list_changed(u, "tools");
}

int session_set_tools(struct session *s, struct jv list, struct call *c,
		      struct err *e)
{
	if (session_allows(s, OP_UPDATE, e) < 0 ||
	    host_tools_check(list, e) < 0)
		return e->code;
	if (session_take_tools(s, list) < 0)
		return err_set(e, -ENOMEM, "tools: out of memory");
	tell_change(s);
	jw_obj(&c->result);
	jw_kint(&c->result, "tools", (int64_t)jv_count(list));
	jw_kbool(&c->result, "offered", offers_tools(s));
	jw_obj_end(&c->result);
	call_reply_after(c, &s->journal);
	return 0;
}

/* Those of a range that was abandoned are not of this conversation. */
static const char tools_sql[] =
	"SELECT json_extract(data,'$.tools') FROM event WHERE "
	"session_n=(SELECT n FROM session WHERE id=?1) "
	"AND type='session.tools' AND type<>'acp.update' "
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND seq BETWEEN a.from_seq AND a.to_seq) "
	"ORDER BY seq DESC LIMIT 1";

int session_load_tools(struct session *s, struct err *e)
{
	const char *const args[] = {s->id, NULL};
	autofree char *text = NULL;
	autojson struct json j = {0};
	int r;

	host_tools_done(&s->tools);
	r = reader_value(s->guest->reader, tools_sql, args, &text, e);
	if (r <= 0 || text == NULL)
		return r < 0 ? r : 0;
	if (json_parse(&j, text, strlen(text), NULL) < 0 ||
	    host_tools_check(json_root(&j), NULL) < 0)
		return 0; /* Another one wrote it; there are no tools. */
	if (host_tools_set(&s->tools, json_root(&j)) < 0)
		return err_set(e, -ENOMEM, "session %s: out of memory", s->id);
	return 0;
}
