// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_verbs.c - The MCP client of the echo agent
 *
 * A server is a child with pipes, initialized as soon as it is started.  What
 * a verb asks of one that is not ready yet is kept until it is.  A verb either
 * says its result at once or opens calls that the set waits for; when the last
 * of them has ended, the verb has.
 *
 * As the SDKs do it, a server gets only what its configuration names and a few
 * variables of the agent's environment, and at its end: end of file, two
 * seconds later SIGTERM, two seconds later SIGKILL.
 */
#include "tests/fake/mcp_verbs.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>

#include "core/lines.h"

#define LEGACY	       "2025-11-25"
#define MODERN	       "2026-07-28"
#define META	       "io.modelcontextprotocol/"
#define LINE_MAX_BYTES (64u << 20)
#define NAME_SIZE      80
#define ENV_MAX	       256
#define ARGS_MAX       256
#define NOTES_MAX      4096
#define PAGES_MAX      64
#define CALL_MS	       60000
#define WAIT_MS	       10000
#define GRACE_MS       2000
#define REAP_MS	       10 /* Between two looks at a server that ends. */
#define FLOOD_SIZE     300
#define NEVER	       INT64_MAX

enum state { STARTING, READY, FAILED, ENDING, GONE };

static const char *const state_names[] = {
	[STARTING] = "starting", [READY] = "ready", [FAILED] = "failed",
	[ENDING] = "ending",	 [GONE] = "gone",
};

/* Something that the server said by itself, and nobody asked about yet. */
struct note {
	TAILQ_ENTRY(note) link;
	char *method, *params;
};

struct server {
	TAILQ_ENTRY(server) link;
	struct mcp_set *set;
	char name[NAME_SIZE];
	char *config; /* Its entry, as JSON. */
	enum state state;
	bool modern;
	char *why;  /* It has failed. */
	char *info; /* Result of initialize or server/discover, as JSON. */
	pid_t pid;
	int in, out;	 /* Our ends of its pipes; -1: closed. */
	int status;	 /* As of waitpid(), once GONE. */
	int64_t kill_at; /* ENDING: the next signal. */
	int n_signals;
	struct lines lines;
	struct jw send; /* Whole lines; from sent on they wait. */
	size_t sent;
	int64_t next_id, n_strays;
	TAILQ_HEAD(notes, note) notes;
	unsigned n_notes;
};

struct call {
	TAILQ_ENTRY(call) link;
	struct server *server;
	int64_t id;
	int64_t deadline;
	bool sent;
	bool waited; /* The verb ends with it. */
	char *method, *params;
	char *expect;	 /* Of a flood: the answer ends so. */
	char *responses; /* To what a modern server has asked, and its state. */
	unsigned n_pages;
	/* @message is absent when there is no answer: then @why tells. */
	void (*done)(struct call *c, struct jv message, const char *why);
};

/* Calls with an answer that is checked, several at a time to each server. */
struct flood {
	int64_t left, depth, right, wrong, failed, n;
	char names[512];
	char tool[NAME_SIZE];
	char *arguments; /* NULL: an echo whose answer is checked. */
	const char *what;
	bool on;
	char first_wrong[200];
};

struct mcp_set {
	TAILQ_HEAD(servers, server) servers;
	TAILQ_HEAD(calls, call) calls;
	mcp_say_cb say;
	void *arg;
	char *answer; /* To requests of servers; NULL: they are refused. */
	struct flood flood;
	/* Waiting for a note, for a state or for an end. */
	struct server *waits;
	char wait_note[NAME_SIZE];
	bool wait_state, wait_end;
	int64_t wait_until;
};

extern char **environ;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void *must(void *p)
{
	if (p == NULL) {
		fprintf(stderr, "echo-agent: no memory\n");
		exit(1);
	}
	return p;
}

static char *raw_dup(struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	return raw == NULL ? NULL : must(strndup(raw, n));
}

static void sayf(struct mcp_set *m, const char *fmt, ...) printf_like(2, 3);
static void sayf(struct mcp_set *m, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		must(NULL);
	m->say(text, (size_t)n, m->arg);
}

/* --- lines out ----------------------------------------------------------- */

static void close_in(struct server *s)
{
	if (s->in >= 0)
		close(s->in);
	s->in = -1;
}

static void write_lines(struct server *s)
{
	while (s->in >= 0 && s->sent < s->send.len) {
		ssize_t n = write(s->in, s->send.buf + s->sent,
				  s->send.len - s->sent);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0 && errno != EINTR)
			close_in(s);
		if (n > 0)
			s->sent += (size_t)n;
	}
	jw_reset(&s->send);
	s->sent = 0;
}

static void send_line(struct server *s, const char *text, size_t n)
{
	if (s->in < 0)
		return;
	jw_lit(&s->send, text, n);
	jw_lit(&s->send, "\n", 1);
	if (s->send.failed)
		must(NULL);
	write_lines(s);
}

static void send_msg(struct server *s, struct jw *w)
{
	jw_obj_end(w);
	if (w->failed)
		must(NULL);
	send_line(s, w->buf, w->len);
}

static void msg_begin(struct jw *w)
{
	jw_obj(w);
	jw_kstr(w, "jsonrpc", "2.0");
}

static void notify(struct server *s, const char *method, const char *params)
{
	autojw struct jw w = {0};

	msg_begin(&w);
	jw_kstr(&w, "method", method);
	if (params != NULL)
		jw_kraw(&w, "params", params);
	send_msg(s, &w);
}

static void write_meta(struct jw *w, const struct call *c)
{
	jw_key(w, "_meta");
	jw_obj(w);
	if (c->server->modern) {
		jw_kstr(w, META "protocolVersion", MODERN);
		jw_kraw(w, META "clientInfo",
			"{\"name\":\"echo\",\"version\":\"" HIB_VERSION "\"}");
		jw_kraw(w, META "clientCapabilities",
			"{\"elicitation\":{},\"sampling\":{},\"roots\":{}}");
	}
	if (strcmp(c->method, "tools/call") == 0)
		jw_kint(w, "progressToken", c->id);
	jw_obj_end(w);
}

/* The params of the call, with what each request has besides. */
static void write_params(struct jw *w, const struct call *c)
{
	bool meta = c->server->modern || strcmp(c->method, "tools/call") == 0;
	const char *members = c->params != NULL ? c->params + 1 : "}";

	if (!meta) {
		if (c->params != NULL)
			jw_kraw(w, "params", c->params);
		return;
	}
	jw_key(w, "params");
	jw_obj(w);
	write_meta(w, c);
	if (c->responses != NULL)
		jw_lit(w, c->responses, strlen(c->responses));
	if (*(members + strspn(members, " \t")) != '}')
		jw_lit(w, ",", 1);
	jw_lit(w, members, strlen(members));
}

static void send_call(struct call *c)
{
	autojw struct jw w = {0};

	c->sent = true;
	msg_begin(&w);
	jw_kint(&w, "id", c->id);
	jw_kstr(&w, "method", c->method);
	write_params(&w, c);
	send_msg(c->server, &w);
}

/* --- calls --------------------------------------------------------------- */

static struct call *
call_new(struct server *s, const char *method, const char *params,
	 void (*done)(struct call *c, struct jv message, const char *why))
{
	struct call *c = must(calloc(1, sizeof(*c)));

	c->server = s;
	c->id = s->next_id++;
	c->deadline = now_ms() + CALL_MS;
	c->method = must(strdup(method));
	c->params = params != NULL ? must(strdup(params)) : NULL;
	c->done = done;
	c->waited = true;
	TAILQ_INSERT_TAIL(&s->set->calls, c, link);
	return c;
}

static void call_free(struct call *c)
{
	free(c->method);
	free(c->params);
	free(c->expect);
	free(c->responses);
	free(c);
}

static void call_end(struct call *c, struct jv message, const char *why)
{
	TAILQ_REMOVE(&c->server->set->calls, c, link);
	c->done(c, message, why);
	call_free(c);
}

/* Send it now, or when the server is ready; a dead one has no answers. */
static void call_go(struct call *c)
{
	if (c->server->state == READY)
		send_call(c);
	else if (c->server->state != STARTING)
		call_end(c, (struct jv){.i = -1}, "gone");
}

static void cancel_call(struct call *c)
{
	char params[64];

	snprintf(params, sizeof(params), "{\"requestId\":%lld}",
		 (long long)c->id);
	if (c->sent)
		notify(c->server, "notifications/cancelled", params);
	TAILQ_REMOVE(&c->server->set->calls, c, link);
	call_free(c);
}

/* The first call of @s, or of any with @s NULL, that was to end by @deadline. */
static struct call *find_call(struct mcp_set *m, const struct server *s,
			      int64_t deadline)
{
	struct call *c;

	TAILQ_FOREACH (c, &m->calls, link)
		if ((s == NULL || c->server == s) && c->deadline <= deadline)
			return c;
	return NULL;
}

/* The end of one call may be the end of others. */
static void end_calls(struct mcp_set *m, const struct server *s,
		      int64_t deadline, const char *why)
{
	struct call *c;

	while ((c = find_call(m, s, deadline)) != NULL)
		call_end(c, (struct jv){.i = -1}, why);
}

static void end_calls_of(struct server *s)
{
	end_calls(s->set, s, NEVER, "gone");
}

/* --- results as text ----------------------------------------------------- */

static void add_content(struct jw *text, struct jv block)
{
	size_t n = 0;
	autofree char *said = jv_strdup(jv_get(block, "text"), &n);
	const char *raw = said;

	if (text->len > 0)
		jw_lit(text, "\n", 1);
	if (said == NULL)
		raw = jv_raw(block, &n);
	jw_lit(text, raw, n);
}

/* The texts of a result, or what went wrong.  Return: whether it is right. */
static bool result_text(struct jw *text, struct jv message, const char *why)
{
	struct jv error = jv_get(message, "error");
	struct jv result = jv_get(message, "result");
	struct jv content = jv_get(result, "content");
	bool failed = jv_bool(jv_get(result, "isError"), false);
	char head[64];
	int n;

	if (why != NULL) {
		jw_lit(text, why, strlen(why));
		return false;
	}
	if (jv_has(error)) {
		autofree char *said = jv_strdup(jv_get(error, "message"), NULL);

		n = snprintf(head, sizeof(head), "fault %lld: ",
			     (long long)jv_int(jv_get(error, "code"), 0));
		jw_lit(text, head, (size_t)n);
		jw_lit(text, said ? said : "", said ? strlen(said) : 0);
		return false;
	}
	for (struct jv b = jv_first(content); jv_has(b);
	     b = jv_next(content, b))
		add_content(text, b);
	return !failed;
}

static void say_result(struct call *c, struct jv message, const char *why)
{
	struct mcp_set *m = c->server->set;
	autojw struct jw text = {0};
	bool right = result_text(&text, message, why);

	if (!right && jv_has(jv_get(message, "result")))
		sayf(m, "error: %s", text.buf != NULL ? text.buf : "");
	else
		m->say(text.buf != NULL ? text.buf : "", text.len, m->arg);
}

static void say_raw(struct call *c, struct jv message, const char *why)
{
	struct mcp_set *m = c->server->set;
	struct jv v = jv_get(message, "result");
	autofree char *raw = NULL;

	if (!jv_has(v))
		v = jv_get(message, "error");
	raw = raw_dup(v);
	sayf(m, "%s", why != NULL ? why : raw != NULL ? raw : "nothing");
}

/* --- verbs that list and call -------------------------------------------- */

static char *word(char **args)
{
	char *w = *args, *end = w + strcspn(w, " ");

	*args = *end == '\0' ? end : end + 1;
	*end = '\0';
	return w;
}

static struct server *find_server(struct mcp_set *m, const char *name)
{
	struct server *s;

	TAILQ_FOREACH (s, &m->servers, link)
		if (strcmp(s->name, name) == 0)
			return s;
	sayf(m, "no server %s", name);
	return NULL;
}

static char *call_params(const char *tool, const char *arguments)
{
	autojw struct jw w = {0};

	jw_obj(&w);
	jw_kstr(&w, "name", tool);
	if (*arguments != '\0')
		jw_kraw(&w, "arguments", arguments);
	jw_obj_end(&w);
	return must(jw_take(&w, NULL));
}

static struct call *
tool_call(struct server *s, const char *tool, const char *arguments,
	  void (*done)(struct call *c, struct jv message, const char *why))
{
	autofree char *params = call_params(tool, arguments);

	return call_new(s, "tools/call", params, done);
}

static void do_call(struct mcp_set *m, struct server *s, char *args)
{
	const char *tool = word(&args);

	(void)m;
	call_go(tool_call(s, tool, args, say_result));
}

static void do_raw(struct mcp_set *m, struct server *s, char *args)
{
	const char *method = word(&args);

	(void)m;
	call_go(call_new(s, method, *args != '\0' ? args : NULL, say_raw));
}

static void do_note(struct mcp_set *m, struct server *s, char *args)
{
	const char *method = word(&args);

	(void)m;
	notify(s, method, *args != '\0' ? args : NULL);
}

static void do_line(struct mcp_set *m, struct server *s, char *args)
{
	(void)m;
	send_line(s, args, strlen(args));
}

static void say_list(struct call *c, struct jv message, const char *why)
{
	struct mcp_set *m = c->server->set;
	struct jv list = jv_path(message, "result.tools"), next;
	autojw struct jw text = {0}, params = {0};
	struct call *more;

	if (!jv_has(list)) {
		say_raw(c, message, why);
		return;
	}
	for (struct jv t = jv_first(list); jv_has(t); t = jv_next(list, t)) {
		autofree char *name = jv_strdup(jv_get(t, "name"), NULL);

		if (name != NULL)
			jw_lit(&text, name, strlen(name));
		jw_lit(&text, "\n", 1);
	}
	m->say(text.len > 0 ? text.buf : "", text.len, m->arg);
	next = jv_path(message, "result.nextCursor");
	if (!jv_has(next) || c->n_pages == PAGES_MAX)
		return;
	jw_obj(&params);
	jw_kvalue(&params, "cursor", next);
	jw_obj_end(&params);
	more = call_new(c->server, "tools/list", params.buf, say_list);
	more->n_pages = c->n_pages + 1;
	call_go(more);
}

static void do_list(struct mcp_set *m, struct server *s, char *args)
{
	(void)m;
	(void)args;
	call_go(call_new(s, "tools/list", NULL, say_list));
}

/* --- calls in the background --------------------------------------------- */

static void do_start(struct mcp_set *m, struct server *s, char *args)
{
	const char *tool = word(&args);
	struct call *c = tool_call(s, tool, args, say_result);

	(void)m;
	c->waited = false;
	call_go(c);
}

static void do_cancel(struct mcp_set *m, struct server *s, char *args)
{
	struct call *c, *last = NULL;

	(void)args;
	TAILQ_FOREACH (c, &m->calls, link)
		if (c->server == s && !c->waited)
			last = c;
	if (last == NULL)
		sayf(m, "nothing to cancel");
	else
		cancel_call(last);
}

static void do_join(struct mcp_set *m, struct server *s, char *args)
{
	struct call *c;

	(void)args;
	TAILQ_FOREACH (c, &m->calls, link)
		if (c->server == s)
			c->waited = true;
}

static void do_strays(struct mcp_set *m, struct server *s, char *args)
{
	(void)args;
	sayf(m, "%lld", (long long)s->n_strays);
}

/* --- many calls ---------------------------------------------------------- */

static void flood_answered(struct call *c, struct jv message, const char *why)
{
	struct flood *f = &c->server->set->flood;
	autojw struct jw text = {0};
	size_t want = c->expect != NULL ? strlen(c->expect) : 0;

	if (!result_text(&text, message, why))
		f->failed++;
	else if (text.len < want ||
		 (want > 0 &&
		  memcmp(text.buf + text.len - want, c->expect, want) != 0))
		f->wrong++;
	else
		f->right++;
	if (f->wrong + f->failed == 1 && f->first_wrong[0] == '\0')
		snprintf(f->first_wrong, sizeof(f->first_wrong), "%s",
			 text.buf != NULL ? text.buf : "");
}

/* One of another length each time, that no other call has. */
static char *flood_message(const struct server *s, int64_t n)
{
	size_t pad = (size_t)(n * 7919 % FLOOD_SIZE);
	char *text = must(malloc(NAME_SIZE + 32 + pad));
	int len = snprintf(text, NAME_SIZE + 32, "%s-%lld-", s->name,
			   (long long)n);

	memset(text + len, 'x', pad);
	text[(size_t)len + pad] = '\0';
	return text;
}

static void flood_one(struct server *s, struct flood *f)
{
	autofree char *message = flood_message(s, f->n++);
	autojw struct jw w = {0};
	struct call *c;

	jw_obj(&w);
	jw_kstr(&w, "message", message);
	jw_obj_end(&w);
	c = tool_call(s, f->tool, f->arguments ? f->arguments : w.buf,
		      flood_answered);
	if (f->arguments == NULL)
		c->expect = take_ptr(message);
	f->left--;
	call_go(c);
}

static int64_t open_calls(const struct server *s)
{
	const struct call *c;
	int64_t n = 0;

	TAILQ_FOREACH (c, &s->set->calls, link)
		n += c->server == s;
	return n;
}

static bool in_flood(const struct flood *f, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = f->names; *at != '\0';
	     at += strcspn(at, ","), at += *at == ',')
		if (strcspn(at, ",") == n && memcmp(at, name, n) == 0)
			return true;
	return false;
}

/* Keep each server busy; at the end of all calls say how they went. */
static void flood_step(struct mcp_set *m)
{
	struct flood *f = &m->flood;
	struct server *s;
	bool open = false;

	TAILQ_FOREACH (s, &m->servers, link) {
		int64_t n;

		if (!in_flood(f, s->name))
			continue;
		n = open_calls(s);
		for (; f->left > 0 && n < f->depth; n++)
			flood_one(s, f);
		open = open || open_calls(s) > 0;
	}
	if (open || f->left > 0)
		return;
	f->on = false;
	sayf(m, "%s: %lld right, %lld wrong, %lld failed%s%s", f->what,
	     (long long)f->right, (long long)f->wrong, (long long)f->failed,
	     f->first_wrong[0] != '\0' ? ": " : "", f->first_wrong);
	free(f->arguments);
	f->arguments = NULL;
}

static void flood_begin(struct mcp_set *m, const struct flood *f)
{
	m->flood = *f;
	m->flood.on = true;
	for (const char *at = f->names; *at != '\0';
	     at += strcspn(at, ","), at += *at == ',') {
		autofree char *name = must(strndup(at, strcspn(at, ",")));

		if (find_server(m, name) == NULL)
			m->flood.on = false;
	}
}

static void do_par(struct mcp_set *m, struct server *s, char *args)
{
	struct flood f = {.what = "par"};

	(void)s;
	f.left = strtoll(word(&args), NULL, 10);
	f.depth = f.left;
	snprintf(f.names, sizeof(f.names), "%s", word(&args));
	snprintf(f.tool, sizeof(f.tool), "%s", word(&args));
	f.arguments = must(strdup(*args != '\0' ? args : "{}"));
	flood_begin(m, &f);
}

static void do_flood(struct mcp_set *m, struct server *s, char *args)
{
	struct flood f = {.what = "flood"};

	(void)s;
	f.left = strtoll(word(&args), NULL, 10);
	f.depth = strtoll(word(&args), NULL, 10);
	snprintf(f.names, sizeof(f.names), "%s", word(&args));
	snprintf(f.tool, sizeof(f.tool), "%s", *args != '\0' ? args : "echo");
	flood_begin(m, &f);
}

/* --- notes --------------------------------------------------------------- */

static void note_free(struct server *s, struct note *n)
{
	TAILQ_REMOVE(&s->notes, n, link);
	s->n_notes--;
	free(n->method);
	free(n->params);
	free(n);
}

static void note_add(struct server *s, struct jv method, struct jv params)
{
	struct note *n = must(calloc(1, sizeof(*n)));

	n->method = must(jv_strdup(method, NULL));
	n->params = raw_dup(params);
	TAILQ_INSERT_TAIL(&s->notes, n, link);
	if (++s->n_notes > NOTES_MAX)
		note_free(s, TAILQ_FIRST(&s->notes));
}

/* Take the first note of that method and say its params.
 * Return: false when there is none. */
static bool take_note(struct server *s, const char *method)
{
	struct note *n;

	TAILQ_FOREACH (n, &s->notes, link) {
		if (strcmp(n->method, method) != 0)
			continue;
		sayf(s->set, "%s", n->params != NULL ? n->params : "{}");
		note_free(s, n);
		return true;
	}
	return false;
}

static void wait_begin(struct mcp_set *m, struct server *s, int64_t ms)
{
	m->waits = s;
	m->wait_until = now_ms() + ms;
	m->wait_note[0] = '\0';
	m->wait_state = m->wait_end = false;
}

static void do_wait(struct mcp_set *m, struct server *s, char *args)
{
	const char *method = word(&args);

	if (take_note(s, method))
		return;
	wait_begin(m, s, *args != '\0' ? strtoll(args, NULL, 10) : WAIT_MS);
	snprintf(m->wait_note, sizeof(m->wait_note), "%s", method);
}

static void do_notes(struct mcp_set *m, struct server *s, char *args)
{
	struct note *n;

	(void)args;
	while ((n = TAILQ_FIRST(&s->notes)) != NULL) {
		sayf(m, "%s\n", n->method);
		note_free(s, n);
	}
}

static void do_answer(struct mcp_set *m, struct server *s, char *args)
{
	(void)s;
	free(m->answer);
	m->answer = *args != '\0' ? must(strdup(args)) : NULL;
}

/* --- starting ------------------------------------------------------------ */

static void server_fail(struct server *s, const char *why)
{
	s->state = FAILED;
	free(s->why);
	s->why = must(strdup(why));
	end_calls_of(s);
}

static void initialized(struct call *c, struct jv message, const char *why)
{
	struct server *s = c->server;
	struct mcp_set *m = s->set;
	struct jv result = jv_get(message, "result");
	struct call *waiting, *next;
	autojw struct jw text = {0};

	if (s->state != STARTING)
		return;
	if (!jv_has(result)) {
		(void)result_text(&text, message, why);
		server_fail(s, text.buf != NULL ? text.buf : "no result");
		return;
	}
	s->info = raw_dup(result);
	s->state = READY;
	if (!s->modern)
		notify(s, "notifications/initialized", NULL);
	for (waiting = TAILQ_FIRST(&m->calls); waiting != NULL;
	     waiting = next) {
		next = TAILQ_NEXT(waiting, link);
		if (waiting->server == s && !waiting->sent)
			send_call(waiting);
	}
}

static void initialize(struct server *s, const char *params)
{
	static const char plain[] =
		"{\"protocolVersion\":\"" LEGACY "\",\"capabilities\":{},"
		"\"clientInfo\":{\"name\":\"echo\",\"version\":\"" HIB_VERSION
		"\"}}";
	struct call *c;

	if (s->modern)
		c = call_new(s, "server/discover", NULL, initialized);
	else
		c = call_new(s, "initialize", params != NULL ? params : plain,
			     initialized);
	c->waited = false;
	send_call(c);
}

/* What the SDKs let through, then what the configuration has. */
static void make_env(struct jv config, char *env[ENV_MAX])
{
	static const char *const inherited[] = {"HOME",	 "LOGNAME", "PATH",
						"SHELL", "TERM",    "USER"};
	struct jv list = jv_get(config, "env");
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_LEN(inherited); i++) {
		const char *value = getenv(inherited[i]);

		if (value != NULL &&
		    asprintf(&env[n], "%s=%s", inherited[i], value) >= 0)
			n++;
	}
	for (struct jv e = jv_first(list); jv_has(e) && n < ENV_MAX - 1;
	     e = jv_next(list, e)) {
		autofree char *name = jv_strdup(jv_get(e, "name"), NULL);
		autofree char *value = jv_strdup(jv_get(e, "value"), NULL);

		if (name != NULL && value != NULL &&
		    asprintf(&env[n], "%s=%s", name, value) >= 0)
			n++;
	}
	env[n] = NULL;
}

static _Noreturn void run_server(struct jv config, int in, int out)
{
	struct jv list = jv_get(config, "args");
	char *argv[ARGS_MAX], *env[ENV_MAX];
	unsigned n = 0;

	argv[n++] = must(jv_strdup(jv_get(config, "command"), NULL));
	for (struct jv a = jv_first(list); jv_has(a) && n < ARGS_MAX - 1;
	     a = jv_next(list, a))
		argv[n++] = must(jv_strdup(a, NULL));
	argv[n] = NULL;
	make_env(config, env);
	dup2(in, STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	(void)signal(SIGPIPE, SIG_DFL);
	execvpe(argv[0], argv, env);
	fprintf(stderr, "echo-agent: %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void spawn_server(struct server *s, struct jv config)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0) {
		server_fail(s, "no pipes");
		return;
	}
	s->pid = fork();
	if (s->pid == 0)
		run_server(config, in[0], out[1]);
	close(in[0]);
	close(out[1]);
	s->in = in[1];
	s->out = out[0];
	(void)fcntl(s->in, F_SETFL, O_NONBLOCK);
	(void)fcntl(s->out, F_SETFL, O_NONBLOCK);
	if (s->pid < 0)
		server_fail(s, "no process");
}

/* @how: "modern", the params of initialize as JSON, or empty. */
static void server_start(struct server *s, const char *how)
{
	autojson struct json j = {0};
	struct jv config;

	s->state = STARTING;
	s->modern = strcmp(how, "modern") == 0;
	s->next_id = 0;
	(void)json_parse(&j, s->config, strlen(s->config), NULL);
	config = json_root(&j);
	if (!jv_is(jv_get(config, "command"), JV_STRING)) {
		server_fail(s, "no command");
		return;
	}
	spawn_server(s, config);
	if (s->state == STARTING)
		initialize(s, *how == '{' ? how : NULL);
}

/* --- ending -------------------------------------------------------------- */

static void server_gone(struct server *s)
{
	close_in(s);
	if (s->out >= 0)
		close(s->out);
	s->out = -1;
	s->pid = 0;
	s->state = GONE;
	end_calls_of(s);
}

/* Return: whether it has ended. */
static bool reap(struct server *s)
{
	if (s->pid <= 0 || waitpid(s->pid, &s->status, WNOHANG) != s->pid)
		return s->pid <= 0;
	server_gone(s);
	return true;
}

/* Its stdout has ended, or it is to end. */
static void server_close(struct server *s)
{
	if (s->state == GONE || s->state == ENDING)
		return;
	close_in(s);
	s->state = ENDING;
	s->n_signals = 0;
	s->kill_at = now_ms() + GRACE_MS;
	end_calls_of(s);
	if (s->pid <= 0)
		server_gone(s);
}

static void ending_step(struct server *s)
{
	if (reap(s) || s->kill_at > now_ms())
		return;
	(void)kill(s->pid, s->n_signals++ == 0 ? SIGTERM : SIGKILL);
	s->kill_at = now_ms() + GRACE_MS;
}

static void do_close(struct mcp_set *m, struct server *s, char *args)
{
	(void)args;
	server_close(s);
	wait_begin(m, s, 3 * GRACE_MS);
	m->wait_end = true;
}

static void do_kill(struct mcp_set *m, struct server *s, char *args)
{
	(void)m;
	if (s->pid > 0)
		(void)kill(s->pid, *args != '\0' ? (int)strtol(args, NULL, 10)
						 : SIGKILL);
}

static void forget(struct server *s)
{
	while (!TAILQ_EMPTY(&s->notes))
		note_free(s, TAILQ_FIRST(&s->notes));
	lines_done(&s->lines);
	lines_init(&s->lines, LINE_MAX_BYTES);
	jw_reset(&s->send);
	s->sent = 0;
	free(s->info);
	free(s->why);
	s->info = s->why = NULL;
	s->n_strays = 0;
}

/* End it, if it is there, without asking long. */
static void server_kill(struct server *s)
{
	end_calls_of(s);
	if (s->pid > 0) {
		(void)kill(s->pid, SIGKILL);
		(void)waitpid(s->pid, &s->status, 0);
	}
	server_gone(s);
}

static void do_open(struct mcp_set *m, struct server *s, char *args)
{
	(void)m;
	if (s->state != GONE)
		server_kill(s);
	forget(s);
	server_start(s, args);
}

/* --- about a server ------------------------------------------------------ */

static void say_state(struct server *s)
{
	autojson struct json j = {0};
	struct jv info, who;
	autofree char *version = NULL, *name = NULL;

	if (s->state != READY) {
		sayf(s->set, "%s%s%s", state_names[s->state],
		     s->why != NULL ? ": " : "", s->why != NULL ? s->why : "");
		return;
	}
	(void)json_parse(&j, s->info, strlen(s->info), NULL);
	info = json_root(&j);
	who = jv_get(info, "serverInfo");
	if (s->modern)
		who = jv_get(jv_get(info, "_meta"), META "serverInfo");
	name = jv_strdup(jv_get(who, "name"), NULL);
	version = jv_strdup(jv_get(info, "protocolVersion"), NULL);
	sayf(s->set, "ready %s %s", name != NULL ? name : "?",
	     version != NULL ? version : MODERN);
}

static void do_state(struct mcp_set *m, struct server *s, char *args)
{
	(void)args;
	wait_begin(m, s, CALL_MS);
	m->wait_state = true;
}

static void do_info(struct mcp_set *m, struct server *s, char *args)
{
	(void)args;
	sayf(m, "%s", s->info != NULL ? s->info : state_names[s->state]);
}

/* Look whether what is waited for has come. */
static void wait_step(struct mcp_set *m)
{
	struct server *s = m->waits;
	bool late = m->wait_until <= now_ms();
	bool passing = s->state == STARTING || s->state == ENDING;

	if (m->wait_state && (!passing || late)) {
		m->waits = NULL;
		say_state(s);
	} else if (m->wait_end && s->state == GONE) {
		m->waits = NULL;
		sayf(m, WIFSIGNALED(s->status) ? "signal %d" : "exit %d",
		     WIFSIGNALED(s->status) ? WTERMSIG(s->status)
					    : WEXITSTATUS(s->status));
	} else if (m->wait_note[0] != '\0' && take_note(s, m->wait_note)) {
		m->waits = NULL;
	} else if (late) {
		m->waits = NULL;
		sayf(m, "none");
	}
}

/* --- lines in ------------------------------------------------------------ */

/* A request of the server. */
static void on_request(struct server *s, struct jv id)
{
	autojw struct jw w = {0};

	msg_begin(&w);
	jw_kvalue(&w, "id", id);
	if (s->set->answer != NULL)
		jw_kraw(&w, "result", s->set->answer);
	else
		jw_kraw(&w, "error",
			"{\"code\":-32601,\"message\":\"method not found\"}");
	send_msg(s, &w);
}

/* A modern server asks by its result: call it again with the answers.
 * Return: false when there is nothing to answer with. */
static bool answer_questions(struct call *c, struct jv result)
{
	struct jv asked = jv_get(result, "inputRequests");
	struct jv state = jv_get(result, "requestState");
	autojw struct jw w = {0};

	if (!jv_eq(jv_get(result, "resultType"), "input_required") ||
	    c->server->set->answer == NULL)
		return false;
	jw_lit(&w, ",\"inputResponses\":{", 19);
	for (struct jv k = jv_first(asked); jv_has(k); k = jv_next(asked, k)) {
		note_add(c->server, jv_get(jv_value(k), "method"),
			 jv_get(jv_value(k), "params"));
		jw_value(&w, k);
		jw_lit(&w, ":", 1);
		jw_lit(&w, c->server->set->answer,
		       strlen(c->server->set->answer));
	}
	jw_lit(&w, "}", 1);
	if (jv_has(state)) {
		jw_lit(&w, ",\"requestState\":", 16);
		jw_value(&w, state);
	}
	free(c->responses);
	c->responses = must(jw_take(&w, NULL));
	c->id = c->server->next_id++;
	send_call(c);
	return true;
}

static void on_answer(struct server *s, struct jv message)
{
	int64_t id = jv_int(jv_get(message, "id"), -1);
	struct call *c;

	TAILQ_FOREACH (c, &s->set->calls, link) {
		if (c->server != s || c->id != id || !c->sent)
			continue;
		if (!answer_questions(c, jv_get(message, "result")))
			call_end(c, message, NULL);
		return;
	}
	s->n_strays++;
}

static int on_line(char *line, size_t len, void *arg)
{
	struct server *s = arg;
	autojson struct json j = {0};
	struct jv message, method;

	if (len == 0 || json_parse(&j, line, len, NULL) < 0) {
		s->n_strays += len > 0;
		return 0;
	}
	message = json_root(&j);
	method = jv_get(message, "method");
	if (!jv_is(method, JV_STRING)) {
		on_answer(s, message);
		return 0;
	}
	note_add(s, method, jv_get(message, "params"));
	if (jv_has(jv_get(message, "id")))
		on_request(s, jv_get(message, "id"));
	return 0;
}

static void read_lines(struct server *s)
{
	static char buf[64 << 10];
	ssize_t n;

	while (s->out >= 0) {
		n = read(s->out, buf, sizeof(buf));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n > 0 &&
		    lines_feed(&s->lines, buf, (size_t)n, on_line, s) == 0)
			continue;
		close(s->out);
		s->out = -1;
		server_close(s);
	}
}

/* --- the set ------------------------------------------------------------- */

void mcp_step(struct mcp_set *m)
{
	struct server *s;

	TAILQ_FOREACH (s, &m->servers, link) {
		read_lines(s);
		write_lines(s);
		if (s->state == ENDING)
			ending_step(s);
	}
	end_calls(m, NULL, now_ms(), "timeout");
	if (m->flood.on)
		flood_step(m);
	if (m->waits != NULL)
		wait_step(m);
}

bool mcp_busy(const struct mcp_set *m)
{
	const struct call *c;

	if (m->flood.on || m->waits != NULL)
		return true;
	TAILQ_FOREACH (c, &m->calls, link)
		if (c->waited)
			return true;
	return false;
}

void mcp_cancel(struct mcp_set *m)
{
	struct call *c, *next;

	m->flood.on = false;
	m->waits = NULL;
	for (c = TAILQ_FIRST(&m->calls); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->done != initialized)
			cancel_call(c);
	}
}

nfds_t mcp_poll(const struct mcp_set *m, struct pollfd *pf, nfds_t cap)
{
	const struct server *s;
	nfds_t n = 0;

	TAILQ_FOREACH (s, &m->servers, link) {
		if (s->out >= 0 && n < cap)
			pf[n++] = (struct pollfd){s->out, POLLIN, 0};
		if (s->in >= 0 && s->sent < s->send.len && n < cap)
			pf[n++] = (struct pollfd){s->in, POLLOUT, 0};
	}
	return n;
}

int64_t mcp_due(const struct mcp_set *m)
{
	int64_t due = m->waits != NULL ? m->wait_until : NEVER;
	const struct server *s;
	const struct call *c;

	TAILQ_FOREACH (s, &m->servers, link)
		if (s->state == ENDING && now_ms() + REAP_MS < due)
			due = now_ms() + REAP_MS;
	TAILQ_FOREACH (c, &m->calls, link)
		if (c->deadline < due)
			due = c->deadline;
	return due;
}

static const struct {
	const char *name;
	void (*run)(struct mcp_set *m, struct server *s, char *args);
	bool no_server; /* Its first word is no server. */
} verbs[] = {
	{"list", do_list, false},   /* NAME: names of all its tools. */
	{"call", do_call, false},   /* NAME TOOL [JSON] */
	{"raw", do_raw, false},	    /* NAME METHOD [PARAMS]: result as JSON. */
	{"note", do_note, false},   /* NAME METHOD [PARAMS] */
	{"line", do_line, false},   /* NAME LINE, as it is. */
	{"par", do_par, true},	    /* N NAME TOOL [JSON]: N at once. */
	{"flood", do_flood, true},  /* N DEPTH NAME,NAME [TOOL]: echoes. */
	{"start", do_start, false}, /* NAME TOOL [JSON], not waiting. */
	{"cancel", do_cancel, false}, /* NAME: the last one started. */
	{"join", do_join, false},     /* NAME: wait for what was started. */
	{"strays", do_strays, false}, /* NAME: answers to nothing. */
	{"wait", do_wait, false},     /* NAME METHOD [MS]: a notification. */
	{"notes", do_notes, false},   /* NAME: methods of what it told. */
	{"answer", do_answer, true},  /* [JSON], to requests from now on. */
	{"state", do_state, false},   /* NAME, once it is no more starting. */
	{"info", do_info, false},     /* NAME: its answer to initialize. */
	{"open", do_open, false},     /* NAME [INITIALIZE PARAMS|modern] */
	{"close", do_close, false},   /* NAME: how it ended. */
	{"kill", do_kill, false},     /* NAME [SIGNAL] */
};

void mcp_command(struct mcp_set *m, char *args)
{
	const char *verb = word(&args);
	struct server *s = NULL;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (strcmp(verb, verbs[i].name) != 0)
			continue;
		if (!verbs[i].no_server) {
			s = find_server(m, word(&args));
			if (s == NULL)
				return;
		}
		verbs[i].run(m, s, args);
		mcp_step(m);
		return;
	}
	sayf(m, "unknown verb: mcp %s", verb);
}

struct mcp_set *mcp_start(struct jv servers, mcp_say_cb say, void *arg)
{
	struct mcp_set *m = must(calloc(1, sizeof(*m)));

	m->say = say;
	m->arg = arg;
	TAILQ_INIT(&m->servers);
	TAILQ_INIT(&m->calls);
	for (struct jv v = jv_first(servers); jv_has(v);
	     v = jv_next(servers, v)) {
		struct server *s = must(calloc(1, sizeof(*s)));

		s->set = m;
		s->in = s->out = -1;
		s->config = raw_dup(v);
		(void)jv_strcpy(jv_get(v, "name"), s->name, sizeof(s->name));
		lines_init(&s->lines, LINE_MAX_BYTES);
		TAILQ_INIT(&s->notes);
		TAILQ_INSERT_TAIL(&m->servers, s, link);
		server_start(s, "");
	}
	return m;
}

static bool all_gone(struct mcp_set *m)
{
	struct server *s;

	TAILQ_FOREACH (s, &m->servers, link)
		if (s->state != GONE)
			return false;
	return true;
}

static void server_free(struct server *s)
{
	forget(s);
	lines_done(&s->lines);
	jw_done(&s->send);
	free(s->config);
	free(s);
}

void mcp_end(struct mcp_set *m)
{
	struct server *s;

	if (m == NULL)
		return;
	mcp_cancel(m);
	TAILQ_FOREACH (s, &m->servers, link)
		server_close(s);
	while (!all_gone(m)) {
		TAILQ_FOREACH (s, &m->servers, link)
			if (s->state == ENDING)
				ending_step(s);
		if (!all_gone(m))
			poll(NULL, 0, REAP_MS);
	}
	while ((s = TAILQ_FIRST(&m->servers)) != NULL) {
		TAILQ_REMOVE(&m->servers, s, link);
		server_free(s);
	}
	free(m->answer);
	free(m->flood.arguments);
	free(m);
}
