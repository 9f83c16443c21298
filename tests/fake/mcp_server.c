// SPDX-License-Identifier: Apache-2.0
/*
 * mcp_server.c - An MCP server on stdio that does what it is told
 *
 * It speaks both eras of the protocol and has a tool for each thing that a
 * server may do, well or badly (mcp_tools.c).  What it does by itself is chosen
 * by options: the table `option_table` has them all.
 *
 * One process, one thread.  The loop answers what has come, flushes, and polls
 * for more until the next thing is due.  It ends with its stdin, unless it was
 * told not to.  It uses nothing but core/: it is no second opinion about our
 * protocol code, but no copy of it either.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <time.h>

#include "core/lines.h"
#include "tests/fake/mcp_server.h"

#define LATEST	       "2025-11-25"
#define MODERN	       "2026-07-28"
#define META	       "io.modelcontextprotocol/"
#define STATE	       "state-of-the-fake"
#define OUT_MAX	       (64u << 10) /* Flushed when this much waits. */
#define LINE_MAX_BYTES (64u << 20)
#define EXTRAS_MAX     64
#define NAME_SIZE      80
#define LISTENS_MAX    8
#define ASKS_MAX       64
#define SLEEPER	       3600

#define RPC_PARSE	-32700
#define RPC_METHOD	-32601
#define RPC_PARAMS	-32602
#define NOT_FOUND	-32002
#define VERSION_UNKNOWN -32022

struct timer {
	TAILQ_ENTRY(timer) link;
	int64_t due;
	struct later l;
};

/* A question to the client. */
struct question {
	int64_t id;
	char *call; /* Id of the call that waits, as JSON. */
};

static struct server {
	struct {
		const char *name, *log, *starts, *fail_if, *say, *banner;
		const char *instructions;
		int64_t slow_start, exit_on_start, page, many;
		bool modern_only, legacy_only, deaf, no_discover;
		bool ignore_eof, ignore_term, leave, child;
	} opt;
	char **argv;
	FILE *log;
	struct lines in;
	bool in_ended, initialized;
	char *caps; /* Of the legacy client, as JSON. */
	int64_t n_calls, next_id;
	TAILQ_HEAD(timers, timer) timers;
	char extras[EXTRAS_MAX][NAME_SIZE];
	unsigned n_extras;
	char *listens[LISTENS_MAX]; /* Ids, as JSON. */
	unsigned n_listens;
	struct question asked[ASKS_MAX];
	unsigned n_asked;
	struct jw out; /* Whole lines. */
	struct jw msg; /* The message being built. */
} server;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "mcp_server: %s: %s\n", what, strerror(errno));
	exit(1);
}

void *must(void *p)
{
	if (p == NULL)
		die("memory");
	return p;
}

static char *raw_dup(struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	return raw == NULL ? NULL : must(strndup(raw, n));
}

int64_t calls_seen(void)
{
	return server.n_calls;
}

char **server_argv(void)
{
	return server.argv;
}

/* --- output -------------------------------------------------------------- */

void flush(void)
{
	const char *at = server.out.buf;
	size_t n = server.out.len;

	while (n > 0) {
		ssize_t r = write(STDOUT_FILENO, at, n);

		if (r < 0 && errno != EINTR)
			exit(0); /* The client went away. */
		if (r > 0) {
			at += r;
			n -= (size_t)r;
		}
	}
	jw_reset(&server.out);
}

void put(const char *bytes, size_t n)
{
	jw_lit(&server.out, bytes, n);
	if (server.out.failed)
		die("output");
	if (server.out.len >= OUT_MAX)
		flush();
}

static struct jw *msg_begin(void)
{
	struct jw *w = &server.msg;

	jw_reset(w);
	w->comma = false;
	jw_obj(w);
	jw_kstr(w, "jsonrpc", "2.0");
	return w;
}

static void msg_end(struct jw *w)
{
	jw_obj_end(w);
	jw_lit(w, "\n", 1);
	if (w->failed)
		die("message");
	put(w->buf, w->len);
}

struct jw *answer_begin(const char *id, bool modern)
{
	struct jw *w = msg_begin();

	jw_kraw(w, "id", id);
	jw_key(w, "result");
	jw_obj(w);
	if (modern)
		jw_kstr(w, "resultType", "complete");
	return w;
}

void answer_end(struct jw *w)
{
	jw_obj_end(w);
	msg_end(w);
}

static void write_text(struct jw *w, const char *text, size_t n)
{
	jw_key(w, "content");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	jw_strn(w, text, n);
	jw_obj_end(w);
	jw_arr_end(w);
}

void answer_textn(const char *id, bool modern, const char *text, size_t n)
{
	struct jw *w = answer_begin(id, modern);

	write_text(w, text, n);
	answer_end(w);
}

void answer_text(const char *id, bool modern, const char *fmt, ...)
{
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		die("memory");
	va_end(ap);
	answer_textn(id, modern, text, strlen(text));
}

void answer_failed(const struct tool_call *c, const char *fmt, ...)
{
	struct jw *w = answer_begin(c->id, c->modern);
	autofree char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		die("memory");
	va_end(ap);
	write_text(w, text, strlen(text));
	jw_kbool(w, "isError", true);
	answer_end(w);
}

void answer_fault(const char *id, int code, const char *message,
		  const char *data)
{
	struct jw *w = msg_begin();

	jw_kraw(w, "id", id);
	jw_key(w, "error");
	jw_obj(w);
	jw_kint(w, "code", code);
	jw_kstr(w, "message", message);
	if (data != NULL)
		jw_kraw(w, "data", data);
	jw_obj_end(w);
	msg_end(w);
}

struct jw *note_begin(const char *method)
{
	struct jw *w = msg_begin();

	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_obj(w);
	return w;
}

void note_end(struct jw *w)
{
	jw_obj_end(w);
	msg_end(w);
}

void list_changed(const char *kind)
{
	char method[64];
	struct jw *w;

	snprintf(method, sizeof(method), "notifications/%s/list_changed", kind);
	if (server.initialized)
		note_end(note_begin(method));
	for (unsigned i = 0; i < server.n_listens; i++) {
		w = note_begin(method);
		jw_key(w, "_meta");
		jw_obj(w);
		jw_kraw(w, META "subscriptionId", server.listens[i]);
		jw_obj_end(w);
		note_end(w);
	}
}

/* --- later --------------------------------------------------------------- */

void later_add(const struct tool_call *c, int64_t ms, int64_t steps,
	       bool (*run)(struct later *l))
{
	struct timer *t = must(calloc(1, sizeof(*t)));

	t->due = now_ms() + ms;
	t->l = (struct later){
		.id = must(strdup(c->id)),
		.token = raw_dup(c->token),
		.modern = c->modern,
		.step = 1,
		.steps = steps,
		.ms = ms,
		.run = run,
	};
	TAILQ_INSERT_TAIL(&server.timers, t, link);
}

static void timer_free(struct timer *t)
{
	TAILQ_REMOVE(&server.timers, t, link);
	free(t->l.id);
	free(t->l.token);
	free(t);
}

/* Return: the milliseconds to the next thing that is due; -1: nothing is. */
static int run_timers(void)
{
	struct timer *t = TAILQ_FIRST(&server.timers), *next;
	int64_t now = now_ms(), first = INT64_MAX;

	for (; t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if (t->due <= now) {
			if (!t->l.run(&t->l)) {
				timer_free(t);
				continue;
			}
			t->l.step++;
			t->due = now + t->l.ms;
		}
		first = t->due < first ? t->due : first;
	}
	if (first == INT64_MAX)
		return -1;
	return first > now ? (int)(first - now) : 0;
}

/* --- questions ----------------------------------------------------------- */

/* A modern server asks by its answer, and is called again. */
static void ask_by_answer(const struct tool_call *c, const char *method,
			  const char *params)
{
	struct jw *w = msg_begin();

	jw_kraw(w, "id", c->id);
	jw_key(w, "result");
	jw_obj(w);
	jw_kstr(w, "resultType", "input_required");
	jw_key(w, "inputRequests");
	jw_obj(w);
	jw_key(w, "answer");
	jw_obj(w);
	jw_kstr(w, "method", method);
	if (params != NULL)
		jw_kraw(w, "params", params);
	jw_obj_end(w);
	jw_obj_end(w);
	jw_kstr(w, "requestState", STATE);
	answer_end(w);
}

static void ask_by_request(const struct tool_call *c, const char *method,
			   const char *params)
{
	struct question *q = &server.asked[server.n_asked];
	struct jw *w;

	if (server.n_asked == ASKS_MAX) {
		answer_failed(c, "too many questions");
		return;
	}
	server.n_asked++;
	q->id = server.next_id++;
	q->call = must(strdup(c->id));
	w = msg_begin();
	jw_kint(w, "id", q->id);
	jw_kstr(w, "method", method);
	if (params != NULL)
		jw_kraw(w, "params", params);
	msg_end(w);
}

/* What the client said is the text of the result. */
void ask_client(const struct tool_call *c, const char *method,
		const char *params)
{
	struct jv answer = jv_get(c->responses, "answer");
	size_t n;
	const char *raw = jv_raw(answer, &n);

	if (!c->modern)
		ask_by_request(c, method, params);
	else if (jv_has(answer))
		answer_textn(c->id, true, raw, n);
	else
		ask_by_answer(c, method, params);
}

static void on_answer(struct jv message)
{
	int64_t id = jv_int(jv_get(message, "id"), -1);
	struct jv said = jv_get(message, "result");
	size_t n;
	const char *raw;

	if (!jv_has(said))
		said = jv_get(message, "error");
	raw = jv_raw(said, &n);
	for (unsigned i = 0; i < server.n_asked; i++) {
		struct question *q = &server.asked[i];

		if (q->id != id)
			continue;
		answer_textn(q->call, false, raw != NULL ? raw : "",
			     raw != NULL ? n : 0);
		free(q->call);
		*q = server.asked[--server.n_asked];
		return;
	}
}

/* --- tools --------------------------------------------------------------- */

bool extra_tool_add(const char *name)
{
	if (server.n_extras == EXTRAS_MAX || strlen(name) >= NAME_SIZE)
		return false;
	snprintf(server.extras[server.n_extras++], NAME_SIZE, "%s", name);
	return true;
}

bool extra_tool_remove(const char *name)
{
	for (unsigned i = 0; i < server.n_extras; i++) {
		if (strcmp(server.extras[i], name) != 0)
			continue;
		server.n_extras--;
		memmove(server.extras[i], server.extras[i + 1],
			(server.n_extras - i) * sizeof(server.extras[0]));
		return true;
	}
	return false;
}

static void write_tool(struct jw *w, const char *name, const char *description,
		       const char *properties)
{
	jw_obj(w);
	jw_kstr(w, "name", name);
	jw_kstr(w, "description", description);
	jw_key(w, "inputSchema");
	jw_obj(w);
	jw_kstr(w, "type", "object");
	jw_key(w, "properties");
	jw_lit(w, "{", 1);
	jw_lit(w, properties, strlen(properties));
	jw_lit(w, "}", 1);
	jw_obj_end(w);
	jw_obj_end(w);
}

/* The tool of that number: those of the table, then what was added, then
 * --many.  Return: false behind the last one. */
static bool write_nth_tool(struct jw *w, int64_t i, int64_t n_fixed)
{
	char name[NAME_SIZE];

	if (i < n_fixed) {
		write_tool(w, tools[i].name, tools[i].description,
			   tools[i].schema);
		return true;
	}
	i -= n_fixed;
	if (i < server.n_extras) {
		write_tool(w, server.extras[i], "Say the message",
			   "\"message\":{\"type\":\"string\"}");
		return true;
	}
	i -= server.n_extras;
	if (i >= server.opt.many)
		return false;
	snprintf(name, sizeof(name), "tool_%lld", (long long)i + 1);
	write_tool(w, name, "One of many", "");
	return true;
}

static int64_t n_tools(void)
{
	int64_t n = 0;

	while (tools[n].name != NULL)
		n++;
	return n;
}

/* --- requests ------------------------------------------------------------ */

struct request {
	const char *id; /* NULL: a notification. */
	bool modern;
	struct jv params, meta;
};

static void write_info(struct jw *w, const char *key)
{
	jw_key(w, key);
	jw_obj(w);
	jw_kstr(w, "name", server.opt.name);
	jw_kstr(w, "version", HIB_VERSION);
	jw_obj_end(w);
}

/* What modern results of a list have more. */
static void write_cache(struct jw *w, const struct request *r)
{
	if (!r->modern)
		return;
	jw_kint(w, "ttlMs", 60000);
	jw_kstr(w, "cacheScope", "private");
	jw_key(w, "_meta");
	jw_obj(w);
	write_info(w, META "serverInfo");
	jw_obj_end(w);
}

static void write_capabilities(struct jw *w)
{
	jw_kraw(w, "capabilities",
		"{\"tools\":{\"listChanged\":true},\"resources\":"
		"{\"subscribe\":true,\"listChanged\":true},\"prompts\":"
		"{\"listChanged\":true},\"logging\":{},\"completions\":{}}");
	if (server.opt.instructions != NULL)
		jw_kstr(w, "instructions", server.opt.instructions);
}

static const char *negotiated(struct jv asked)
{
	static const char *const versions[] = {"2024-11-05", "2025-03-26",
					       "2025-06-18", LATEST};

	for (size_t i = 0; i < ARRAY_LEN(versions); i++)
		if (jv_eq(asked, versions[i]))
			return versions[i];
	return LATEST;
}

static void refuse_version(const struct request *r, const char *supported)
{
	char data[128];

	snprintf(data, sizeof(data), "{\"supported\":[\"%s\"]}", supported);
	answer_fault(r->id, VERSION_UNKNOWN, "unsupported version", data);
}

static void on_initialize(const struct request *r)
{
	struct jw *w;

	if (server.opt.modern_only) {
		refuse_version(r, MODERN);
		return;
	}
	server.initialized = true;
	free(server.caps);
	server.caps = raw_dup(jv_get(r->params, "capabilities"));
	w = answer_begin(r->id, false);
	jw_kstr(w, "protocolVersion",
		negotiated(jv_get(r->params, "protocolVersion")));
	write_capabilities(w);
	write_info(w, "serverInfo");
	answer_end(w);
}

static void on_discover(const struct request *r)
{
	struct jw *w;

	if (server.opt.no_discover)
		return;
	if (server.opt.legacy_only) {
		answer_fault(r->id, RPC_METHOD, "method not found", NULL);
		return;
	}
	w = answer_begin(r->id, true);
	jw_kraw(w, "supportedVersions", "[\"" MODERN "\"]");
	write_capabilities(w);
	write_cache(w, r);
	answer_end(w);
}

static void on_empty(const struct request *r)
{
	answer_end(answer_begin(r->id, r->modern));
}

static void on_tools_list(const struct request *r)
{
	autofree char *cursor = jv_strdup(jv_get(r->params, "cursor"), NULL);
	int64_t at = cursor != NULL ? strtoll(cursor, NULL, 10) : 0;
	int64_t end = server.opt.page > 0 ? at + server.opt.page : INT64_MAX;
	int64_t n_fixed = n_tools();
	struct jw *w = answer_begin(r->id, r->modern);
	char next[32];

	jw_key(w, "tools");
	jw_arr(w);
	while (at < end && write_nth_tool(w, at, n_fixed))
		at++;
	jw_arr_end(w);
	if (at == end && at < n_fixed + server.n_extras + server.opt.many) {
		snprintf(next, sizeof(next), "%lld", (long long)at);
		jw_kstr(w, "nextCursor", next);
	}
	write_cache(w, r);
	answer_end(w);
}

static const struct tool *find_tool(struct jv name)
{
	for (const struct tool *t = tools; t->name != NULL; t++)
		if (jv_eq(name, t->name))
			return t;
	for (unsigned i = 0; i < server.n_extras; i++)
		if (jv_eq(name, server.extras[i]))
			return &tools[0]; /* They all echo. */
	return NULL;
}

static void on_tools_call(const struct request *r)
{
	const struct tool *t = find_tool(jv_get(r->params, "name"));
	autofree char *level =
		jv_strdup(jv_get(r->meta, META "logLevel"), NULL);
	autofree char *caps =
		raw_dup(jv_get(r->meta, META "clientCapabilities"));
	const struct tool_call c = {
		.id = r->id,
		.args = jv_get(r->params, "arguments"),
		.token = jv_get(r->meta, "progressToken"),
		.responses = jv_get(r->params, "inputResponses"),
		.modern = r->modern,
		.log_level = level,
		.caps = r->modern ? caps : server.caps,
	};

	server.n_calls++;
	if (t == NULL)
		answer_fault(r->id, RPC_PARAMS, "unknown tool", NULL);
	else if (jv_has(c.responses) &&
		 !jv_eq(jv_get(r->params, "requestState"), STATE))
		answer_fault(r->id, RPC_PARAMS, "wrong requestState", NULL);
	else
		t->run(&c);
}

static void answer_list(const struct request *r, const char *key,
			const char *list)
{
	struct jw *w = answer_begin(r->id, r->modern);

	jw_kraw(w, key, list);
	write_cache(w, r);
	answer_end(w);
}

static void on_resources_list(const struct request *r)
{
	answer_list(r, "resources",
		    "[{\"uri\":\"test://text\",\"name\":\"text\","
		    "\"mimeType\":\"text/plain\"}]");
}

static void on_templates_list(const struct request *r)
{
	answer_list(r, "resourceTemplates",
		    "[{\"uriTemplate\":\"test://items/{id}\","
		    "\"name\":\"items\"}]");
}

static void on_prompts_list(const struct request *r)
{
	answer_list(r, "prompts",
		    "[{\"name\":\"greet\",\"arguments\":"
		    "[{\"name\":\"who\",\"required\":true}]}]");
}

static void on_resources_read(const struct request *r)
{
	autofree char *uri = jv_strdup(jv_get(r->params, "uri"), NULL);
	struct jw *w;

	if (uri == NULL || strncmp(uri, "test://", 7) != 0) {
		answer_fault(r->id, r->modern ? RPC_PARAMS : NOT_FOUND,
			     "no such resource", NULL);
		return;
	}
	w = answer_begin(r->id, r->modern);
	jw_key(w, "contents");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "uri", uri);
	jw_kstr(w, "mimeType", "text/plain");
	jw_kstr(w, "text", "some text");
	jw_obj_end(w);
	jw_arr_end(w);
	write_cache(w, r);
	answer_end(w);
}

static void on_prompts_get(const struct request *r)
{
	autofree char *who =
		jv_strdup(jv_path(r->params, "arguments.who"), NULL);
	struct jw *w;
	char text[256];

	if (!jv_eq(jv_get(r->params, "name"), "greet") || who == NULL) {
		answer_fault(r->id, RPC_PARAMS, "no such prompt", NULL);
		return;
	}
	snprintf(text, sizeof(text), "Greet %s", who);
	w = answer_begin(r->id, r->modern);
	jw_key(w, "messages");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "role", "user");
	jw_key(w, "content");
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_kstr(w, "text", text);
	jw_obj_end(w);
	jw_obj_end(w);
	jw_arr_end(w);
	answer_end(w);
}

static void on_complete(const struct request *r)
{
	answer_list(r, "completion", "{\"values\":[\"one\",\"two\"]}");
}

/* It stays open: its id marks what is told because of it. */
static void on_listen(const struct request *r)
{
	struct jw *w;

	if (server.n_listens == LISTENS_MAX) {
		answer_fault(r->id, RPC_PARAMS, "too many", NULL);
		return;
	}
	server.listens[server.n_listens++] = must(strdup(r->id));
	w = note_begin("notifications/subscriptions/acknowledged");
	jw_kvalue(w, "notifications", jv_get(r->params, "notifications"));
	jw_key(w, "_meta");
	jw_obj(w);
	jw_kraw(w, META "subscriptionId", r->id);
	jw_obj_end(w);
	note_end(w);
}

static void unlisten(unsigned i)
{
	answer_end(answer_begin(server.listens[i], true));
	free(server.listens[i]);
	server.listens[i] = server.listens[--server.n_listens];
}

static void on_cancelled(const struct request *r)
{
	autofree char *id = raw_dup(jv_get(r->params, "requestId"));
	struct timer *t = TAILQ_FIRST(&server.timers), *next;

	for (; id != NULL && t != NULL; t = next) {
		next = TAILQ_NEXT(t, link);
		if (strcmp(t->l.id, id) == 0)
			timer_free(t);
	}
	for (unsigned i = 0; id != NULL && i < server.n_listens; i++)
		if (strcmp(server.listens[i], id) == 0)
			unlisten(i--);
}

static void on_nothing(const struct request *r)
{
	(void)r;
}

static const struct method {
	const char *name;
	void (*run)(const struct request *r);
	bool legacy; /* Gone in the modern era. */
} methods[] = {
	{"initialize", on_initialize, true},
	{"server/discover", on_discover, false},
	{"ping", on_empty, true},
	{"logging/setLevel", on_empty, true},
	{"tools/list", on_tools_list, false},
	{"tools/call", on_tools_call, false},
	{"resources/list", on_resources_list, false},
	{"resources/templates/list", on_templates_list, false},
	{"resources/read", on_resources_read, false},
	{"resources/subscribe", on_empty, true},
	{"resources/unsubscribe", on_empty, true},
	{"prompts/list", on_prompts_list, false},
	{"prompts/get", on_prompts_get, false},
	{"completion/complete", on_complete, false},
	{"subscriptions/listen", on_listen, false},
	{"notifications/cancelled", on_cancelled, false},
	{"notifications/initialized", on_nothing, true},
	{"notifications/roots/list_changed", on_nothing, true},
};

static const struct method *find_method(struct jv name)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (jv_eq(name, methods[i].name))
			return &methods[i];
	return NULL;
}

/* Return: whether the error was sent. */
static bool refuse(const struct request *r, struct jv name,
		   const struct method *m)
{
	if (m == NULL || (r->modern && m->legacy)) {
		answer_fault(r->id, RPC_METHOD, "method not found", NULL);
		return true;
	}
	if (r->modern && server.opt.legacy_only) {
		if (jv_eq(name, "server/discover"))
			return false; /* It has an answer of its own. */
		refuse_version(r, LATEST);
		return true;
	}
	if (!r->modern && server.opt.modern_only &&
	    !jv_eq(name, "initialize")) {
		answer_fault(r->id, RPC_PARAMS, "_meta is missing", NULL);
		return true;
	}
	return false;
}

static void on_method(struct jv name, const struct request *r)
{
	const struct method *m = find_method(name);

	bool note = m != NULL && strncmp(m->name, "notifications/", 14) == 0;

	if (note)
		m->run(r);
	else if (r->id != NULL && !refuse(r, name, m))
		m->run(r);
}

static int on_line(char *line, size_t len, void *arg)
{
	autojson struct json j = {0};
	autofree char *id = NULL;
	struct jv message, method, params, meta;

	(void)arg;
	if (server.log != NULL) {
		fprintf(server.log, "%s\n", line);
		fflush(server.log);
	}
	if (len == 0 || server.opt.deaf)
		return 0;
	if (json_parse(&j, line, len, NULL) < 0) {
		answer_fault("null", RPC_PARSE, "parse error", NULL);
		return 0;
	}
	message = json_root(&j);
	method = jv_get(message, "method");
	params = jv_get(message, "params");
	meta = jv_get(params, "_meta");
	id = raw_dup(jv_get(message, "id"));
	if (!jv_is(method, JV_STRING)) {
		on_answer(message);
		return 0;
	}
	on_method(method, &(struct request){
				  .id = id,
				  .modern = jv_has(
					  jv_get(meta, META "protocolVersion")),
				  .params = params,
				  .meta = meta,
			  });
	return 0;
}

/* --- the process --------------------------------------------------------- */

pid_t start_sleeper(bool leaves)
{
	int p[2];
	pid_t pid, sleeper = 0;

	flush();
	if (pipe2(p, O_CLOEXEC) < 0)
		die("pipe");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		if (leaves && setsid() >= 0 && fork() != 0)
			_exit(0);
		sleeper = getpid();
		(void)!write(p[1], &sleeper, sizeof(sleeper));
		(void)signal(SIGTERM, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		sleep(SLEEPER);
		_exit(0);
	}
	close(p[1]);
	if (read(p[0], &sleeper, sizeof(sleeper)) != sizeof(sleeper))
		sleeper = 0;
	close(p[0]);
	if (leaves)
		waitpid(pid, NULL, 0);
	return sleeper;
}

static const struct {
	const char *name;
	bool *flag;
	int64_t *number;
	const char **text;
} option_table[] = {
	{"--name", .text = &server.opt.name},
	{"--instructions", .text = &server.opt.instructions},
	/* Each line that comes, and nothing else, is added to this file. */
	{"--log", .text = &server.opt.log},
	/* Each start adds a line, the pid, to this file. */
	{"--starts", .text = &server.opt.starts},
	/* It exits at start with 3 while there is this file. */
	{"--fail-if", .text = &server.opt.fail_if},
	{"--stderr", .text = &server.opt.say},	  /* At start. */
	{"--banner", .text = &server.opt.banner}, /* A line on stdout. */
	{"--slow-start", .number = &server.opt.slow_start},	  /* MS */
	{"--exit-on-start", .number = &server.opt.exit_on_start}, /* CODE */
	{"--page", .number = &server.opt.page}, /* Tools on one page. */
	{"--many", .number = &server.opt.many}, /* More tools: tool_N. */
	{"--modern-only", .flag = &server.opt.modern_only},
	{"--legacy-only", .flag = &server.opt.legacy_only},
	{"--no-discover", .flag = &server.opt.no_discover}, /* No answer. */
	{"--deaf", .flag = &server.opt.deaf}, /* Answers nothing. */
	{"--ignore-eof", .flag = &server.opt.ignore_eof},
	{"--ignore-term", .flag = &server.opt.ignore_term},
	{"--leave", .flag = &server.opt.leave}, /* A double fork sleeps. */
	{"--child", .flag = &server.opt.child}, /* A child sleeps. */
};

/* Take the option at argv[0].  Return: how many words it has, 0 if unknown. */
static int take_option(char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(option_table); i++) {
		if (strcmp(argv[0], option_table[i].name) != 0)
			continue;
		if (option_table[i].flag != NULL) {
			*option_table[i].flag = true;
			return 1;
		}
		if (argv[1] == NULL)
			return 0;
		if (option_table[i].number != NULL)
			*option_table[i].number = strtoll(argv[1], NULL, 10);
		else
			*option_table[i].text = argv[1];
		return 2;
	}
	return 0;
}

static void count_start(void)
{
	FILE *f = fopen(server.opt.starts, "ae");

	if (f == NULL)
		die(server.opt.starts);
	fprintf(f, "%d\n", (int)getpid());
	fclose(f);
}

/* What the options want before the first message. */
static void start(void)
{
	if (server.opt.starts != NULL)
		count_start();
	if (server.opt.say != NULL)
		fprintf(stderr, "%s\n", server.opt.say);
	if (server.opt.exit_on_start >= 0)
		exit((int)server.opt.exit_on_start);
	if (server.opt.fail_if != NULL && access(server.opt.fail_if, F_OK) == 0)
		exit(3);
	if (server.opt.log != NULL) {
		server.log = fopen(server.opt.log, "ae");
		if (server.log == NULL)
			die(server.opt.log);
	}
	if (server.opt.ignore_term)
		(void)signal(SIGTERM, SIG_IGN);
	if (server.opt.leave)
		(void)start_sleeper(true);
	if (server.opt.child)
		(void)start_sleeper(false);
	if (server.opt.slow_start > 0)
		usleep((useconds_t)server.opt.slow_start * 1000);
	if (server.opt.banner != NULL) {
		put(server.opt.banner, strlen(server.opt.banner));
		put("\n", 1);
	}
}

static void read_stdin(void)
{
	static char buf[64 << 10];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0 || lines_feed(&server.in, buf, (size_t)n, on_line, NULL) < 0)
		server.in_ended = true;
}

static void run(void)
{
	struct pollfd pf = {.fd = STDIN_FILENO, .events = POLLIN};
	int ms;

	for (;;) {
		ms = run_timers();
		flush();
		if (server.in_ended && !server.opt.ignore_eof)
			return;
		if (server.in_ended)
			pf.fd = -1;
		if (poll(&pf, 1, ms) > 0)
			read_stdin();
	}
}

static void server_done(void)
{
	while (!TAILQ_EMPTY(&server.timers))
		timer_free(TAILQ_FIRST(&server.timers));
	while (server.n_listens > 0)
		free(server.listens[--server.n_listens]);
	while (server.n_asked > 0)
		free(server.asked[--server.n_asked].call);
	if (server.log != NULL)
		fclose(server.log);
	free(server.caps);
	lines_done(&server.in);
	jw_done(&server.out);
	jw_done(&server.msg);
}

int main(int argc, char **argv)
{
	int n;

	server.argv = argv;
	server.opt.name = "fake";
	server.opt.exit_on_start = -1;
	for (int i = 1; i < argc; i += n) {
		n = take_option(argv + i);
		if (n == 0) {
			fprintf(stderr, "mcp_server: bad option '%s'\n",
				argv[i]);
			return 2;
		}
	}
	(void)signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&server.timers);
	lines_init(&server.in, LINE_MAX_BYTES);
	start();
	run();
	server_done();
	return 0;
}
