// SPDX-License-Identifier: Apache-2.0
/*
 * tools.c - Functions of this program that agents call
 *
 * For each session with such functions there is one subscription.  An event
 * tool.requested of a name that is registered here runs its callback, and
 * tool.resolved ends a call that somebody else has ended.  What was asked before
 * the subscription began is found among the requests that wait.
 */
#include <stdio.h>
#include <string.h>

#include "host/lib/lib.h"

struct tool {
	TAILQ_ENTRY(tool) link;
	char session[HIB_ID_MAX]; /* "": of all that are made here. */
	char *name, *definition;
	struct hib_tool t; /* Callbacks; its strings are not used. */
};

/* A session that is listened to. */
struct tool_watch {
	TAILQ_ENTRY(tool_watch) link;
	struct hib *h;
	char session[HIB_ID_MAX];
	int64_t since; /* Earlier requests are in @waiting. */
	struct hib_subscription *sub;
	struct json waiting_doc;
	char *waiting;
	uv_timer_t timer; /* Has them served by the loop. */
};

/* --- tools -------------------------------------------------------------- */

static void tool_free(struct hib *h, struct tool *t)
{
	TAILQ_REMOVE(&h->tools, t, link);
	free(t->name);
	free(t->definition);
	free(t);
}

static bool is_of(const struct tool *t, const char *session)
{
	return t->session[0] == '\0' || strcmp(t->session, session) == 0;
}

/* One of the session's own hides one of all. */
static struct tool *find_tool(struct hib *h, const char *session,
			      struct jv name)
{
	struct tool *t, *found = NULL;

	TAILQ_FOREACH (t, &h->tools, link)
		if (is_of(t, session) && jv_eq(name, t->name) &&
		    (found == NULL || t->session[0] != '\0'))
			found = t;
	return found;
}

static bool is_hidden(struct hib *h, const struct tool *all,
		      const char *session)
{
	struct tool *t;

	TAILQ_FOREACH (t, &h->tools, link)
		if (all->session[0] == '\0' && t->session[0] != '\0' &&
		    is_of(t, session) && strcmp(t->name, all->name) == 0)
			return true;
	return false;
}

/* The member "tools". */
static void put_tools(struct hib *h, const char *session, struct jw *w)
{
	struct tool *t;

	jw_key(w, "tools");
	jw_arr(w);
	TAILQ_FOREACH (t, &h->tools, link)
		if (is_of(t, session) && !is_hidden(h, t, session))
			jw_raw(w, t->definition, strlen(t->definition));
	jw_arr_end(w);
}

void tools_put(struct hib *h, struct jw *w)
{
	if (!TAILQ_EMPTY(&h->tools))
		put_tools(h, "", w);
}

/* --- calls -------------------------------------------------------------- */

/* @body: of the request. */
static void serve(struct hib *h, const char *session, struct jv id,
		  struct jv body)
{
	struct tool *t = find_tool(h, session, jv_get(body, "name"));
	struct jv args = jv_get(body, "arguments");
	struct tool_call_spec s = {
		.session = session,
		.deadline_ms = jv_int(jv_get(body, "deadline_ms"), 0),
	};
	char req[HIB_ID_MAX];
	struct tool_call *c;

	if (t == NULL || !jv_is(args, JV_OBJECT) ||
	    jv_strcpy(id, req, sizeof(req)) < 0 ||
	    tool_call_find(h, req) != NULL)
		return;
	s.id = req;
	s.name = t->name;
	s.arguments = jv_raw(args, &s.arguments_len);
	s.cancelled = t->t.cancelled;
	s.arg = t->t.arg;
	c = tool_call_new(h, &s);
	if (c != NULL)
		t->t.call(tool_call_public(c), t->t.arg);
}

static void resolved(struct hib *h, struct jv id)
{
	char req[HIB_ID_MAX];
	struct tool_call *c;

	if (jv_strcpy(id, req, sizeof(req)) < 0)
		return;
	c = tool_call_find(h, req);
	if (c != NULL)
		tool_call_ended(c);
}

static void watch_on_event(const struct hib_event *ev, void *arg)
{
	struct tool_watch *w = arg;
	autojson struct json j = {0};
	struct jv req;

	if (strncmp(ev->type, "tool.", 5) != 0 ||
	    json_parse(&j, ev->json, ev->len, NULL) < 0)
		return;
	req = jv_path(json_root(&j), "ctx.req");
	if (strcmp(ev->type, "tool.requested") == 0)
		serve(w->h, w->session, req, jv_get(json_root(&j), "data"));
	else if (strcmp(ev->type, "tool.resolved") == 0)
		resolved(w->h, req);
}

/* --- watches ------------------------------------------------------------ */

static void watch_on_closed(uv_handle_t *t)
{
	struct tool_watch *w = t->data;

	json_done(&w->waiting_doc);
	free(w->waiting);
	free(w);
}

static void watch_free(struct tool_watch *w)
{
	TAILQ_REMOVE(&w->h->tool_watches, w, link);
	uv_close((uv_handle_t *)&w->timer, watch_on_closed);
}

/* The session is gone, or the daemon stays away: its tools have no callers. */
static void watch_on_end(const struct hib_error *e, void *arg)
{
	(void)e;
	watch_free(arg);
}

static void watch_on_timer(uv_timer_t *timer)
{
	struct tool_watch *w = timer->data;
	struct jv rows = json_root(&w->waiting_doc);

	for (struct jv row = jv_first(rows); jv_has(row);
	     row = jv_next(rows, row))
		if (jv_eq(jv_get(row, "kind"), "tool") &&
		    jv_eq(jv_get(row, "state"), "pending") &&
		    jv_int(jv_get(row, "asked_seq"), 0) <= w->since)
			serve(w->h, w->session, jv_get(row, "id"),
			      jv_get(row, "body"));
}

static struct tool_watch *find_watch(struct hib *h, const char *session)
{
	struct tool_watch *w;

	TAILQ_FOREACH (w, &h->tool_watches, link)
		if (strcmp(w->session, session) == 0)
			break;
	return w;
}

static int read_end(struct hib *h, const char *session, int64_t *seq,
		    struct hib_error *e)
{
	autofree char *row = NULL;
	autojson struct json j = {0};
	int r = hib_get_session(h, session, false, &row, e);

	if (r == 0 && json_parse(&j, row, strlen(row), NULL) == 0)
		*seq = jv_int(jv_get(json_root(&j), "last_seq"), 0);
	return r;
}

static struct tool_watch *watch_new(struct hib *h, const char *session)
{
	struct tool_watch *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	w->h = h;
	memcpy(w->session, session, sizeof(w->session));
	uv_timer_init(&h->loop, &w->timer);
	w->timer.data = w;
	TAILQ_INSERT_TAIL(&h->tool_watches, w, link);
	return w;
}

/* First where the log ends, then what waits by then, then what follows. */
static int watch_begin(struct tool_watch *w, struct hib_error *e)
{
	struct hib_subscribe s = {
		.size = sizeof(s),
		.on_event = watch_on_event,
		.on_end = watch_on_end,
		.arg = w,
	};
	int r = read_end(w->h, w->session, &w->since, e);

	if (r == 0)
		r = hib_get_requests(w->h, w->session, &w->waiting, e);
	if (r == 0)
		(void)json_parse(&w->waiting_doc, w->waiting,
				 strlen(w->waiting), NULL);
	s.since = w->since;
	if (r == 0)
		r = hib_on_event(w->h, w->session, &s, &w->sub, e);
	if (r == 0)
		uv_timer_start(&w->timer, watch_on_timer, 0, 0);
	return r;
}

static int watch_session(struct hib *h, const char *session,
			 struct hib_error *e)
{
	struct tool_watch *w = find_watch(h, session);
	struct err err = {0};
	int r;

	if (w != NULL)
		return 0;
	w = watch_new(h, session);
	if (w == NULL) {
		r = err_set(&err, -ENOMEM, "out of memory");
		return lib_result(r, &err, e);
	}
	r = watch_begin(w, e);
	if (r < 0)
		watch_free(w);
	return r;
}

int tools_attach(struct hib *h, const char *session, struct hib_error *e)
{
	return TAILQ_EMPTY(&h->tools) ? 0 : watch_session(h, session, e);
}

void tools_close(struct hib *h)
{
	while (!TAILQ_EMPTY(&h->tools))
		tool_free(h, TAILQ_FIRST(&h->tools));
	while (!TAILQ_EMPTY(&h->tool_watches)) {
		struct tool_watch *w = TAILQ_FIRST(&h->tool_watches);

		hib_unsubscribe(w->sub);
		watch_free(w);
	}
	tool_calls_close(h);
}

/* --- outside ------------------------------------------------------------ */

static int write_definition(const struct hib_tool *t, struct jw *w,
			    struct err *e)
{
	int r;

	jw_obj(w);
	jw_kstr(w, "name", t->name);
	jw_kstr(w, "description", t->description ? t->description : "");
	r = lib_put_json(w, "inputSchema", t->schema, e);
	if (t->timeout_ms > 0)
		jw_kint(w, "timeoutMs", t->timeout_ms);
	jw_obj_end(w);
	if (r == 0 && w->failed)
		r = err_set(e, -ENOMEM, "out of memory");
	return r;
}

static struct tool *find_own(struct hib *h, const char *session,
			     const char *name)
{
	struct tool *t;

	TAILQ_FOREACH (t, &h->tools, link)
		if (strcmp(t->session, session) == 0 &&
		    strcmp(t->name, name) == 0)
			break;
	return t;
}

static int add_tool(struct hib *h, const char *session,
		    const struct hib_tool *options, struct err *e)
{
	autojw struct jw definition = {0};
	struct tool *t = calloc(1, sizeof(*t));
	struct tool *before;

	if (t == NULL || write_definition(options, &definition, e) < 0) {
		free(t);
		return e->code != 0 ? e->code
				    : err_set(e, -ENOMEM, "out of memory");
	}
	snprintf(t->session, sizeof(t->session), "%s", session);
	t->name = strdup(options->name);
	t->definition = jw_take(&definition, NULL);
	t->t = *options;
	before = find_own(h, session, options->name);
	if (before != NULL)
		tool_free(h, before);
	TAILQ_INSERT_TAIL(&h->tools, t, link);
	if (t->name != NULL && t->definition != NULL)
		return 0;
	tool_free(h, t);
	return err_set(e, -ENOMEM, "out of memory");
}

static int check(struct hib *h, const char *session, const struct hib_tool *t,
		 struct err *e)
{
	int r = lib_may_run(h, e);

	if (r < 0)
		return r;
	if (session != NULL && !id_is(session, "ses"))
		return err_set(e, -FAULT_INVALID_ID, "that is no session id");
	if (t->name == NULL || t->call == NULL)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a tool has a name and a callback");
	return 0;
}

/* Tell the daemon which there are now. */
static int put_session(struct hib *h, const char *session, struct hib_error *e)
{
	struct jw path = path_session(session, "/tools"), body = {0};
	struct request q = {.method = "PUT", .path = path.buf};
	int r;

	jw_obj(&body);
	put_tools(h, session, &body);
	jw_obj_end(&body);
	q.body = body.buf;
	q.body_len = body.len;
	r = request_json(h, &q, NULL, e);
	jw_done(&path);
	jw_done(&body);
	return r;
}

int hib_register_tool(struct hib *h, const char *session,
		      const struct hib_tool *options, struct hib_error *e)
{
	struct hib_tool t;
	struct err err = {0};
	int r = lib_options(&t, sizeof(t), options, &err);

	if (r == 0)
		r = check(h, session, &t, &err);
	if (r == 0)
		r = add_tool(h, session != NULL ? session : "", &t, &err);
	if (r < 0 || session == NULL)
		return lib_result(r, &err, e);
	r = put_session(h, session, e);
	if (r == 0)
		r = watch_session(h, session, e);
	if (r < 0)
		tool_free(h, find_own(h, session, t.name));
	return r;
}

int hib_unregister_tool(struct hib *h, const char *session, const char *name,
			struct hib_error *e)
{
	struct err err = {0};
	struct tool *t = find_own(h, session != NULL ? session : "", name);
	int r = lib_may_run(h, &err);

	if (r == 0 && t == NULL)
		r = err_set(&err, -FAULT_KEY_NOT_FOUND,
			    "tool %.64s is not registered", name);
	if (r < 0)
		return lib_result(r, &err, e);
	tool_free(h, t);
	if (session == NULL)
		return lib_result(0, &err, e);
	return put_session(h, session, e);
}

static int results_body(const struct hib_tool_results *o, struct jw *w,
			struct err *e)
{
	int r;

	jw_obj(w);
	r = lib_put_json(w, "results", o->results, e);
	if (o->partial)
		jw_kbool(w, "partial", true);
	if (o->actor != NULL)
		jw_kstr(w, "actor", o->actor);
	jw_obj_end(w);
	return r;
}

int hib_submit_tool_results(struct hib *h, const char *session,
			    const struct hib_tool_results *options,
			    struct hib_error *e)
{
	struct hib_tool_results o;
	struct jw path, body = {0};
	struct err err = {0};
	int r = lib_options(&o, sizeof(o), options, &err);

	if (r == 0)
		r = results_body(&o, &body, &err);
	if (r < 0) {
		jw_done(&body);
		return lib_result(r, &err, e);
	}
	path = path_session(session, "/tools/results");
	return request_post(h, &path, &body, true, NULL, e);
}
