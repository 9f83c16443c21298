// SPDX-License-Identifier: Apache-2.0
/*
 * echo_agent.c - A small ACP agent that does what its prompt says
 *
 * Plain text comes back as it is.  Text that starts with `!` is a script, with
 * commands between newlines or `;;`: the table `verbs` has them all.  So a test
 * or a first try of the product needs no model and no key, and each thing that
 * an agent may do wrong can be asked for.
 *
 * One process, one thread, any number of sessions, each with at most one turn.
 * The loop runs one command of every turn that waits for nothing, flushes what
 * was said, and polls; so it reads its stdin while it works, and a cancel is
 * seen between any two commands.  At the end of stdin the turns that can go on
 * by themselves are finished.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <time.h>

#include "core/json.h"
#include "core/lines.h"
#include "tests/fake/mcp_verbs.h"

#define PROTOCOL       1
#define OUT_MAX	       (64u << 10) /* Flushed when this much waits. */
#define LINE_MAX_BYTES (64u << 20)
#define FLOOD_SLICE    1024 /* Updates between two looks at stdin. */
#define ASKS_MAX       80
#define RUN_OUTPUT_MAX (1u << 20)
#define CHUNKS_MAX     8
#define AWAIT_MS       5 /* Between two looks at a file. */
#define POLL_MAX       512
#define NEVER	       INT64_MAX

#define RPC_PARSE     -32700
#define RPC_INVALID   -32600
#define RPC_METHOD    -32601
#define RPC_PARAMS    -32602
#define RPC_NOT_FOUND -32002
#define RPC_CANCELLED -32800

struct options {
	int64_t slow_start, slow_new;
	int64_t fail_new, exit_on_start, protocol;
	int64_t fail_load, crash_on_load, replay_late;
	const char *store;
	bool no_resume, fork, hang_on_load, replay_wrong;
	bool no_answer, load, image, system_prompt, banner, steer;
	bool models, bare, mode_option, deaf_set;
	const char *auth; /* Its method; needed, and not done yet. */
	bool auth_terminal, auth_refused, close, delete;
};

struct text {
	STAILQ_ENTRY(text) link;
	bool agent; /* It said so, not the user. */
	char *s;
};
STAILQ_HEAD(texts, text);

/* A question that waits for its answer. */
struct ask {
	int64_t id;
	char tool[64];
	bool elicitation;
};

/* What a permission is asked for; a NULL is not said. */
struct tool {
	const char *id, *title, *kind, *path;
};

/* A request to the client that waits for its answer. */
struct outcall {
	TAILQ_ENTRY(outcall) link;
	int64_t id;
	struct session *session;
	struct turn *turn; /* That waits for it, or NULL. */
	void (*answered)(struct outcall *c, struct jv answer);
	char terminal[48]; /* For the next request. */
	char what[];	   /* Method. */
};

struct flood {
	int64_t next, last; /* Nothing to send when next > last. */
	size_t size;
	int64_t slice; /* Of them in a millisecond; 0: as it goes. */
};

struct turn {
	char *id;     /* Of the request, as JSON. */
	char *script; /* What is left of it starts at `at`. */
	char *at;
	char *preamble;	     /* Text blocks before the last one. */
	int64_t wake;	     /* Do nothing before this time. */
	const char *awaited; /* Nor before this file is there, or NULL. */
	struct ask asks[ASKS_MAX];
	unsigned n_asks;
	unsigned n_calls; /* That it waits for. */
	bool name_asks;	  /* Say which one was answered. */
	bool go_on;	  /* While questions are open. */
	bool cancelled;	  /* Ends as soon as no request is open. */
	bool ignore_cancel;
	bool idle_update, idle_ask;
	struct jw said; /* To be remembered at its end. */
	int64_t late_updates;
	int64_t tokens_in, tokens_out;
	struct flood flood;
	int run_fd; /* Output of the command that runs, or -1. */
	pid_t run_pid;
	struct jw run_output;
};

struct session {
	TAILQ_ENTRY(session) link;
	char id[48];
	char mode[16], model[16], thought[16], style[16];
	bool web;
	char *params; /* Of session/new, as JSON. */
	struct mcp_set *mcp;
	struct texts history;
	struct turn *turn;
};

/* An answer that waits for its time. */
struct late_line {
	TAILQ_ENTRY(late_line) link;
	int64_t due;
	char *line;
	size_t len;
};

static struct agent {
	struct options opt;
	char **argv;
	TAILQ_HEAD(sessions, session) sessions;
	TAILQ_HEAD(late_lines, late_line) late;
	TAILQ_HEAD(outcalls, outcall) calls;
	int64_t next_id;
	int64_t n_prompts;
	struct lines in;
	bool in_ended, in_ignored, crlf;
	struct jw out; /* Whole lines. */
	struct jw msg; /* The message being built. */
} agent;

extern char **environ;

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "echo-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *must(void *p)
{
	if (p == NULL)
		die("memory");
	return p;
}

/* --- output -------------------------------------------------------------- */

static void flush(void)
{
	const char *at = agent.out.buf;
	size_t n = agent.out.len;

	while (n > 0) {
		ssize_t r = write(STDOUT_FILENO, at, n);

		if (r < 0 && errno != EINTR)
			exit(0); /* The client went away. */
		if (r > 0) {
			at += r;
			n -= (size_t)r;
		}
	}
	jw_reset(&agent.out);
}

static void put(const char *bytes, size_t n)
{
	jw_lit(&agent.out, bytes, n);
	if (agent.out.failed)
		die("output");
	if (agent.out.len >= OUT_MAX)
		flush();
}

/* Send the message that was built in agent.msg. */
static void send_msg(void)
{
	if (agent.msg.failed)
		die("message");
	jw_lit(&agent.msg, agent.crlf ? "\r\n \n\r\n" : "\n",
	       agent.crlf ? 6 : 1);
	put(agent.msg.buf, agent.msg.len);
}

static struct jw *begin_msg(void)
{
	struct jw *w = &agent.msg;

	jw_reset(w);
	w->comma = false;
	jw_obj(w);
	jw_kstr(w, "jsonrpc", "2.0");
	return w;
}

static struct jw *begin_result(const char *id)
{
	struct jw *w = begin_msg();

	jw_kraw(w, "id", id);
	jw_key(w, "result");
	jw_obj(w);
	return w;
}

static void end_result(struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
	send_msg();
}

/* The same, but not before @delay ms have passed. */
static void end_result_late(struct jw *w, int64_t delay)
{
	struct late_line *l;

	if (delay <= 0) {
		end_result(w);
		return;
	}
	jw_obj_end(w);
	jw_obj_end(w);
	jw_lit(w, "\n", 1);
	l = must(calloc(1, sizeof(*l)));
	l->due = now_ms() + delay;
	l->line = must(jw_take(w, &l->len));
	TAILQ_INSERT_TAIL(&agent.late, l, link);
}

static void send_error(const char *id, int64_t code, const char *message)
{
	struct jw *w = begin_msg();

	jw_kraw(w, "id", id);
	jw_key(w, "error");
	jw_obj(w);
	jw_kint(w, "code", code);
	jw_kstr(w, "message", message);
	jw_obj_end(w);
	jw_obj_end(w);
	send_msg();
}

static struct jw *begin_update(const char *session, const char *kind)
{
	struct jw *w = begin_msg();

	jw_kstr(w, "method", "session/update");
	jw_key(w, "params");
	jw_obj(w);
	jw_kstr(w, "sessionId", session);
	jw_key(w, "update");
	jw_obj(w);
	jw_kstr(w, "sessionUpdate", kind);
	return w;
}

static void end_update(struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
	jw_obj_end(w);
	send_msg();
}

static void text_block(struct jw *w, const char *text, size_t n)
{
	jw_obj(w);
	jw_kstr(w, "type", "text");
	jw_key(w, "text");
	jw_strn(w, text, n);
	jw_obj_end(w);
}

static void chunk(const char *session, const char *kind, const char *text,
		  size_t n)
{
	struct jw *w = begin_update(session, kind);

	jw_key(w, "content");
	text_block(w, text, n);
	end_update(w);
}

static void sayn(struct session *s, const char *text, size_t n)
{
	if (s->turn != NULL)
		jw_lit(&s->turn->said, text, n);
	chunk(s->id, "agent_message_chunk", text, n);
}

static void say(struct session *s, const char *text)
{
	sayn(s, text, strlen(text));
}

static void sayf(struct session *s, const char *fmt, ...) printf_like(2, 3);
static void sayf(struct session *s, const char *fmt, ...)
{
	char *text;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		die("memory");
	va_end(ap);
	say(s, text);
	free(text);
}

/* Say @text in a few chunks, none of which cuts a character. */
static void say_in_chunks(struct session *s, const char *text)
{
	size_t len = strlen(text), n = len / 16, size;

	if (n < 3)
		n = len < 8 ? 1 : 3;
	if (n > CHUNKS_MAX)
		n = CHUNKS_MAX;
	size = (len + n - 1) / n;
	while (len > 0) {
		size_t part = size < len ? size : len;

		while (part < len && ((unsigned char)text[part] & 0xc0) == 0x80)
			part++;
		sayn(s, text, part);
		text += part;
		len -= part;
	}
}

/* --- history ------------------------------------------------------------- */

/* The file of a session under --store: on each line a JSON string that the user
 * said, or {"agent":..}. */
static FILE *history_file(const char *id, const char *mode)
{
	char path[4096];

	if (agent.opt.store == NULL || strchr(id, '/') != NULL)
		return NULL;
	snprintf(path, sizeof(path), "%s/%s", agent.opt.store, id);
	return fopen(path, mode);
}

static void history_add(struct session *s, const char *text, bool agent_said)
{
	struct text *t = must(calloc(1, sizeof(*t)));

	t->s = must(strdup(text));
	t->agent = agent_said;
	STAILQ_INSERT_TAIL(&s->history, t, link);
}

static void history_keep(struct session *s, const char *text, bool agent_said)
{
	FILE *f = history_file(s->id, "ae");
	autojw struct jw w = {0};

	history_add(s, text, agent_said);
	if (f == NULL)
		return;
	if (agent_said) {
		jw_obj(&w);
		jw_kstr(&w, "agent", text);
		jw_obj_end(&w);
	} else {
		jw_str(&w, text);
	}
	if (!w.failed)
		fprintf(f, "%s\n", w.buf);
	fclose(f);
}

/* A session that was never spoken to can be loaded too. */
static void history_touch(struct session *s)
{
	FILE *f = history_file(s->id, "ae");

	if (f != NULL)
		fclose(f);
}

static int history_line(char *line, size_t len, void *arg)
{
	autojson struct json j = {0};
	autofree char *text = NULL;
	struct jv v;

	if (json_parse(&j, line, len, NULL) < 0)
		return 0;
	v = json_root(&j);
	text = jv_strdup(jv_is(v, JV_OBJECT) ? jv_get(v, "agent") : v, NULL);
	if (text != NULL)
		history_add(arg, text, jv_is(v, JV_OBJECT));
	return 0;
}

static void history_load(struct session *s, FILE *f)
{
	struct lines l;
	char buf[4096];
	size_t n;

	lines_init(&l, LINE_MAX_BYTES);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		if (lines_feed(&l, buf, n, history_line, s) < 0)
			break;
	lines_done(&l);
	fclose(f);
}

/* --- sessions ------------------------------------------------------------ */

static struct session *session_find(struct jv id)
{
	struct session *s;

	TAILQ_FOREACH (s, &agent.sessions, link)
		if (jv_eq(id, s->id))
			return s;
	return NULL;
}

static char *raw_dup(struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	return raw == NULL ? NULL : must(strndup(raw, n));
}

static void on_mcp_said(const char *text, size_t n, void *arg)
{
	sayn(arg, text, n);
}

static struct session *session_add(const char *id, struct jv params)
{
	struct session *s = must(calloc(1, sizeof(*s)));

	snprintf(s->id, sizeof(s->id), "%s", id);
	snprintf(s->mode, sizeof(s->mode), "code");
	snprintf(s->model, sizeof(s->model), "small");
	snprintf(s->thought, sizeof(s->thought), "low");
	snprintf(s->style, sizeof(s->style), "terse");
	s->params = raw_dup(params);
	STAILQ_INIT(&s->history);
	TAILQ_INSERT_TAIL(&agent.sessions, s, link);
	s->mcp = mcp_start(jv_get(params, "mcpServers"), on_mcp_said, s);
	return s;
}

static void id_and_name(struct jw *w, const char *key, const char *id,
			const char *name)
{
	jw_obj(w);
	jw_kstr(w, key, id);
	jw_kstr(w, "name", name);
	jw_obj_end(w);
}

/* What can be set, besides modes.  What is called "locked" is offered and refused. */
static const char *const model_names[] = {"small", "large", "locked", NULL};
static const char *const mode_names[] = {"code", "plan", NULL};
static const char *const thought_names[] = {"low", "high", NULL};
static const char *const style_names[] = {"terse", "chatty", "locked", NULL};

static void write_names(struct jw *w, const char *key, const char *id,
			const char *const *names)
{
	jw_key(w, key);
	jw_arr(w);
	for (; *names != NULL; names++)
		id_and_name(w, id, *names, *names);
	jw_arr_end(w);
}

static void begin_option(struct jw *w, const char *id, const char *category,
			 const char *type)
{
	jw_obj(w);
	jw_kstr(w, "id", id);
	jw_kstr(w, "name", id);
	if (category != NULL)
		jw_kstr(w, "category", category);
	jw_kstr(w, "type", type);
}

static void write_select(struct jw *w, const char *id, const char *category,
			 const char *current, const char *const *names)
{
	begin_option(w, id, category, "select");
	jw_kstr(w, "currentValue", current);
	write_names(w, "options", "value", names);
	jw_obj_end(w);
}

/* One in groups. */
static void write_style(struct jw *w, const struct session *s)
{
	begin_option(w, "style", NULL, "select");
	jw_kstr(w, "currentValue", s->style);
	jw_key(w, "options");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "group", "all");
	jw_kstr(w, "name", "All");
	write_names(w, "options", "value", style_names);
	jw_obj_end(w);
	jw_arr_end(w);
	jw_obj_end(w);
}

static void write_config(struct jw *w, const struct session *s)
{
	jw_key(w, "configOptions");
	jw_arr(w);
	write_select(w, "model", "model", s->model, model_names);
	write_select(w, "effort", "thought_level", s->thought, thought_names);
	if (agent.opt.mode_option)
		write_select(w, "mode", "mode", s->mode, mode_names);
	write_style(w, s);
	begin_option(w, "web", NULL, "boolean");
	jw_kbool(w, "currentValue", s->web);
	jw_obj_end(w);
	begin_option(w, "future", "model", "slider");
	jw_obj_end(w);
	jw_arr_end(w);
}

/* As agents did before there were config options. */
static void write_models(struct jw *w, const struct session *s)
{
	jw_key(w, "models");
	jw_obj(w);
	jw_kstr(w, "currentModelId", s->model);
	write_names(w, "availableModels", "modelId", model_names);
	jw_obj_end(w);
}

static void write_session(struct jw *w, const struct session *s)
{
	if (agent.opt.bare)
		return;
	jw_key(w, "modes");
	jw_obj(w);
	jw_kstr(w, "currentModeId", s->mode);
	write_names(w, "availableModes", "id", mode_names);
	jw_obj_end(w);
	if (agent.opt.models)
		write_models(w, s);
	else
		write_config(w, s);
}

/* --- turns --------------------------------------------------------------- */

static void turn_free(struct turn *t)
{
	struct outcall *c;

	TAILQ_FOREACH (c, &agent.calls, link)
		if (c->turn == t)
			c->turn = NULL;
	if (t->run_fd >= 0) {
		kill(-t->run_pid, SIGKILL);
		kill(t->run_pid, SIGKILL); /* Not yet in its session. */
		close(t->run_fd);
		waitpid(t->run_pid, NULL, 0);
	}
	jw_done(&t->run_output);
	jw_done(&t->said);
	free(t->id);
	free(t->script);
	free(t->preamble);
	free(t);
}

static void write_stop(struct jw *w, const struct turn *t, const char *reason)
{
	jw_kstr(w, "stopReason", reason);
	if (t->tokens_in + t->tokens_out == 0)
		return;
	jw_key(w, "usage");
	jw_obj(w);
	jw_kint(w, "inputTokens", t->tokens_in);
	jw_kint(w, "outputTokens", t->tokens_out);
	jw_kint(w, "totalTokens", t->tokens_in + t->tokens_out);
	jw_obj_end(w);
}

static void ask_idle(const struct session *s);

/* Take the turn off its session, its answer having been sent. */
static void turn_over(struct session *s)
{
	struct turn *t = s->turn;

	s->turn = NULL;
	if (t->said.len > 0)
		history_keep(s, t->said.buf, true);
	for (int64_t i = 1; t->cancelled && i <= t->late_updates; i++)
		sayf(s, "late %lld", (long long)i);
	if (t->idle_update)
		say(s, "idle");
	if (t->idle_ask)
		ask_idle(s);
	turn_free(t);
}

static void turn_stop(struct session *s, const char *reason)
{
	struct jw *w = begin_result(s->turn->id);

	write_stop(w, s->turn, reason);
	end_result(w);
	turn_over(s);
}

static void turn_fail(struct session *s, int64_t code, const char *message)
{
	send_error(s->turn->id, code, message);
	turn_over(s);
}

static void turn_cancel(struct session *s)
{
	struct turn *t = s->turn;

	if (t == NULL || t->ignore_cancel)
		return;
	t->cancelled = true;
	mcp_cancel(s->mcp);
	if (t->n_asks == 0)
		turn_stop(s, "cancelled");
}

/* --- verbs --------------------------------------------------------------- */

/* Cut the first word off *args; "" when there is none. */
static char *word(char **args)
{
	char *w = *args, *end = w + strcspn(w, " ");

	*args = *end == '\0' ? end : end + 1;
	*end = '\0';
	return w;
}

static int64_t number(char **args, int64_t otherwise)
{
	const char *w = word(args);

	return *w == '\0' ? otherwise : strtoll(w, NULL, 10);
}

static void do_say(struct session *s, char *args)
{
	say(s, args);
}

static void do_chunks(struct session *s, char *args)
{
	int64_t n = number(&args, 1);

	for (int64_t i = 1; i <= n; i++)
		sayf(s, "%s %lld", args, (long long)i);
}

static void do_think(struct session *s, char *args)
{
	chunk(s->id, "agent_thought_chunk", args, strlen(args));
}

/* Members of a tool call. */
static void write_tool(struct jw *w, const struct tool *t)
{
	jw_kstr(w, "toolCallId", t->id);
	if (t->title != NULL)
		jw_kstr(w, "title", t->title);
	if (t->kind != NULL)
		jw_kstr(w, "kind", t->kind);
	jw_kstr(w, "status", "pending");
	if (t->path == NULL)
		return;
	jw_key(w, "locations");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "path", t->path);
	jw_obj_end(w);
	jw_arr_end(w);
}

static void tool_call(struct session *s, const char *id, const char *title,
		      const char *kind)
{
	const struct tool t = {.id = id, .title = title, .kind = kind};
	struct jw *w = begin_update(s->id, "tool_call");

	write_tool(w, &t);
	end_update(w);
}

static struct jw *begin_tool_update(struct session *s, const char *id,
				    const char *status)
{
	struct jw *w = begin_update(s->id, "tool_call_update");

	jw_kstr(w, "toolCallId", id);
	jw_kstr(w, "status", status);
	return w;
}

static const char *const kinds[] = {
	"read",	   "edit",  "delete", "move",	     "search",
	"execute", "think", "fetch",  "switch_mode", "other",
};

/* Cut the last word off @title if it is a kind of tool. */
static const char *tool_kind(char *title)
{
	char *last = strrchr(title, ' ');

	for (size_t i = 0; last != NULL && i < ARRAY_LEN(kinds); i++)
		if (strcmp(last + 1, kinds[i]) == 0) {
			*last = '\0';
			return kinds[i];
		}
	return "other";
}

static void do_tool(struct session *s, char *args)
{
	const char *id = word(&args), *kind = tool_kind(args);
	struct jw *w;

	tool_call(s, id, args, kind);
	end_update(begin_tool_update(s, id, "in_progress"));
	w = begin_tool_update(s, id, "completed");
	jw_key(w, "content");
	jw_arr(w);
	jw_obj(w);
	jw_kstr(w, "type", "content");
	jw_key(w, "content");
	text_block(w, "done", 4);
	jw_obj_end(w);
	jw_arr_end(w);
	end_update(w);
}

static void do_toolopen(struct session *s, char *args)
{
	const char *id = word(&args);

	tool_call(s, id, args, "other");
	end_update(begin_tool_update(s, id, "in_progress"));
}

static const char *const all_options[] = {"allow_once", "allow_always",
					  "reject_once", "reject_always", NULL};

/* Write those whose names are in @offered, with commas between them. */
static void permission_options(struct jw *w, const char *offered)
{
	static const char *const names[] = {"Allow", "Always allow", "Reject",
					    "Always reject"};

	jw_key(w, "options");
	jw_arr(w);
	for (size_t i = 0; all_options[i] != NULL; i++) {
		if (offered != NULL && strstr(offered, all_options[i]) == NULL)
			continue;
		jw_obj(w);
		jw_kstr(w, "optionId", all_options[i]);
		jw_kstr(w, "name", names[i]);
		jw_kstr(w, "kind", all_options[i]);
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

static struct jw *begin_request(const char *method, int64_t id)
{
	struct jw *w = begin_msg();

	jw_kint(w, "id", id);
	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_obj(w);
	return w;
}

static void end_request(struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
	send_msg();
}

/* @offered: NULL for all options. */
static void request_permission(const char *session, int64_t id,
			       const struct tool *t, const char *offered)
{
	struct jw *w = begin_request("session/request_permission", id);

	jw_kstr(w, "sessionId", session);
	jw_key(w, "toolCall");
	jw_obj(w);
	write_tool(w, t);
	jw_obj_end(w);
	permission_options(w, offered);
	end_request(w);
}

/* Remember a question.  Return: its id. */
static int64_t open_ask(struct session *s, const char *tool, bool elicitation)
{
	struct turn *t = s->turn;
	struct ask *a = &t->asks[t->n_asks];

	if (t->n_asks == ASKS_MAX)
		die("questions");
	t->n_asks++;
	a->id = agent.next_id++;
	a->elicitation = elicitation;
	snprintf(a->tool, sizeof(a->tool), "%s", tool);
	return a->id;
}

static void ask(struct session *s, const struct tool *t, const char *offered)
{
	request_permission(s->id, open_ask(s, t->id, false), t, offered);
}

/* ID TITLE [KIND] [PATH]; a path is a last word with a slash in it. */
static struct tool parse_tool(char *args, const char *kind)
{
	struct tool t = {.id = word(&args), .title = args};
	char *last = strrchr(args, ' ');

	if (last != NULL && strchr(last, '/') != NULL) {
		*last = '\0';
		t.path = last + 1;
	}
	t.kind = tool_kind(args);
	if (strcmp(t.kind, "other") == 0)
		t.kind = kind;
	return t;
}

static void do_announce(struct session *s, char *args)
{
	const struct tool t = parse_tool(args, "other");
	struct jw *w = begin_update(s->id, "tool_call");

	write_tool(w, &t);
	end_update(w);
}

static void do_ask(struct session *s, char *args)
{
	const struct tool t = parse_tool(args, "edit");

	s->turn->name_asks = false;
	ask(s, &t, NULL);
}

static void do_askid(struct session *s, char *args)
{
	const struct tool t = {.id = word(&args)};

	ask(s, &t, NULL);
}

static void do_askwith(struct session *s, char *args)
{
	const char *offered = word(&args);
	const struct tool t = parse_tool(args, "edit");

	ask(s, &t, offered);
}

static void do_askfor(struct session *s, char *args)
{
	const char *session = word(&args);
	const struct tool t = parse_tool(args, "edit");

	request_permission(session, open_ask(s, t.id, false), &t, NULL);
}

static void do_askmany(struct session *s, char *args)
{
	int64_t n = number(&args, 1);

	s->turn->name_asks = true;
	for (int64_t i = 1; i <= n; i++) {
		char id[32];
		const struct tool t = {
			.id = id, .title = "One of many", .kind = "edit"};

		snprintf(id, sizeof(id), "t%lld", (long long)i);
		ask(s, &t, NULL);
	}
}

static void do_ask3(struct session *s, char *args)
{
	char three[] = "3";

	(void)args;
	do_askmany(s, three);
}

static void do_idleask(struct session *s, char *args)
{
	(void)args;
	s->turn->idle_ask = true;
}

/* Between turns. */
static void ask_idle(const struct session *s)
{
	const struct tool t = {.id = "idle", .title = "Idle", .kind = "edit"};

	request_permission(s->id, agent.next_id++, &t, NULL);
}

static void do_goon(struct session *s, char *args)
{
	(void)args;
	s->turn->go_on = true;
}

static void do_join(struct session *s, char *args)
{
	(void)args;
	s->turn->go_on = false;
}

static void do_withdraw(struct session *s, char *args)
{
	const struct turn *t = s->turn;
	struct jw *w = begin_msg();

	(void)args;
	jw_kstr(w, "method", "$/cancel_request");
	jw_key(w, "params");
	jw_obj(w);
	jw_kint(w, "requestId", t->n_asks > 0 ? t->asks[t->n_asks - 1].id : -1);
	end_request(w);
}

static void do_form(struct session *s, char *args)
{
	struct jw *w =
		begin_request("elicitation/create", open_ask(s, "form", true));

	jw_kstr(w, "mode", "form");
	jw_kstr(w, "sessionId", s->id);
	jw_kstr(w, "toolCallId", "t1");
	jw_kstr(w, "message", "Please fill in");
	jw_kraw(w, "requestedSchema", args);
	end_request(w);
}

/* About the prompt that runs instead of the session. */
static void do_url(struct session *s, char *args)
{
	const char *id = word(&args);
	struct jw *w =
		begin_request("elicitation/create", open_ask(s, id, true));

	jw_kstr(w, "mode", "url");
	jw_kraw(w, "requestId", s->turn->id);
	jw_kstr(w, "message", "Please log in");
	jw_kstr(w, "elicitationId", id);
	jw_kstr(w, "url", args);
	end_request(w);
}

static void do_complete(struct session *s, char *args)
{
	struct jw *w = begin_msg();

	(void)s;
	jw_kstr(w, "method", "elicitation/complete");
	jw_key(w, "params");
	jw_obj(w);
	jw_kstr(w, "elicitationId", args);
	end_request(w);
}

/* Begin a request to the client; the caller writes what params has more. */
static struct jw *
begin_call(struct session *s, struct turn *t, const char *method,
	   void (*answered)(struct outcall *c, struct jv answer))
{
	struct outcall *c = must(calloc(1, sizeof(*c) + strlen(method) + 1));
	struct jw *w = begin_msg();

	strcpy(c->what, method);
	c->id = agent.next_id++;
	c->session = s;
	c->turn = t;
	c->answered = answered;
	TAILQ_INSERT_TAIL(&agent.calls, c, link);
	if (t != NULL)
		t->n_calls++;
	jw_kint(w, "id", c->id);
	jw_kstr(w, "method", method);
	jw_key(w, "params");
	jw_obj(w);
	jw_kstr(w, "sessionId", s->id);
	return w;
}

static void end_call(struct jw *w)
{
	jw_obj_end(w);
	jw_obj_end(w);
	send_msg();
}

/* Say an error answer.  Return: whether it is one. */
static bool say_error(struct outcall *c, struct jv answer)
{
	struct jv error = jv_get(answer, "error");
	autofree char *why = jv_strdup(jv_get(error, "message"), NULL);

	if (!jv_has(error))
		return false;
	sayf(c->session, "error %lld: %s",
	     (long long)jv_int(jv_get(error, "code"), 0), why);
	return true;
}

static void call_answered(struct outcall *c, struct jv answer)
{
	autofree char *result = raw_dup(jv_get(answer, "result"));

	if (!say_error(c, answer))
		sayf(c->session, "%s", result);
}

static void call(struct session *s, struct turn *t, char *args)
{
	const char *method = word(&args);
	struct jw *w = begin_call(s, t, method, call_answered);

	if (*args != '\0') {
		jw_lit(w, ",", 1);
		jw_lit(w, args, strlen(args));
	}
	end_call(w);
}

static void do_call(struct session *s, char *args)
{
	call(s, s->turn, args);
}

static void do_send(struct session *s, char *args)
{
	call(s, NULL, args);
}

static void read_answered(struct outcall *c, struct jv answer)
{
	struct jv content = jv_path(answer, "result.content");
	size_t n = 0;
	autofree char *text = jv_strdup(content, &n);

	if (!say_error(c, answer))
		sayn(c->session, text != NULL ? text : "(none)",
		     text != NULL ? n : 6);
}

static void do_fsread(struct session *s, char *args)
{
	const char *path = word(&args);
	int64_t line = number(&args, 0), limit = number(&args, 0);
	struct jw *w =
		begin_call(s, s->turn, "fs/read_text_file", read_answered);

	jw_kstr(w, "path", path);
	if (line > 0)
		jw_kint(w, "line", line);
	if (limit > 0)
		jw_kint(w, "limit", limit);
	end_call(w);
}

static void do_fswrite(struct session *s, char *args)
{
	const char *path = word(&args);
	struct jw *w =
		begin_call(s, s->turn, "fs/write_text_file", call_answered);

	jw_kstr(w, "path", path);
	jw_kstr(w, "content", args);
	end_call(w);
}

/* The life of a terminal, as the agent of a command line sees it: create, wait,
 * output, release. */
static void term_step(struct outcall *c, const char *method,
		      void (*answered)(struct outcall *c, struct jv answer))
{
	struct jw *w = begin_call(c->session, c->turn, method, answered);

	strcpy(TAILQ_LAST(&agent.calls, outcalls)->terminal, c->terminal);
	jw_kstr(w, "terminalId", c->terminal);
	end_call(w);
}

static void term_released(struct outcall *c, struct jv answer)
{
	(void)say_error(c, answer);
}

static void term_output(struct outcall *c, struct jv answer)
{
	struct jv result = jv_get(answer, "result");
	autofree char *text = jv_strdup(jv_get(result, "output"), NULL);
	autofree char *end = raw_dup(jv_get(result, "exitStatus"));

	if (!say_error(c, answer))
		sayf(c->session, "%s%s", text, end);
	term_step(c, "terminal/release", term_released);
}

static void term_ended(struct outcall *c, struct jv answer)
{
	if (!say_error(c, answer))
		term_step(c, "terminal/output", term_output);
}

static void term_created(struct outcall *c, struct jv answer)
{
	if (say_error(c, answer))
		return;
	(void)jv_strcpy(jv_path(answer, "result.terminalId"), c->terminal,
			sizeof(c->terminal));
	term_step(c, "terminal/wait_for_exit", term_ended);
}

static void do_term(struct session *s, char *args)
{
	struct jw *w = begin_call(s, s->turn, "terminal/create", term_created);

	jw_kstr(w, "command", args);
	end_call(w);
}

static void do_termbg(struct session *s, char *args)
{
	struct jw *w = begin_call(s, s->turn, "terminal/create", call_answered);

	jw_kstr(w, "command", args);
	end_call(w);
}

static void do_plan(struct session *s, char *args)
{
	struct jw *w = begin_update(s->id, "plan");
	char *entry;

	jw_key(w, "entries");
	jw_arr(w);
	while ((entry = strsep(&args, "|")) != NULL) {
		jw_obj(w);
		jw_kstr(w, "content", entry);
		jw_kstr(w, "priority", "medium");
		jw_kstr(w, "status", "pending");
		jw_obj_end(w);
	}
	jw_arr_end(w);
	end_update(w);
}

static void do_write(struct session *s, char *args)
{
	const char *path = word(&args);
	FILE *f = fopen(path, "we");

	if (f == NULL || fputs(args, f) < 0)
		sayf(s, "%s: %s", path, strerror(errno));
	else
		say(s, "ok");
	if (f != NULL)
		fclose(f);
}

/* Say what is in a file, or why that cannot be said. */
static void do_read(struct session *s, char *args)
{
	FILE *f = fopen(args, "re");
	autojw struct jw text = {0};
	char buf[4096];
	size_t n;

	if (f == NULL) {
		sayf(s, "%s: %s", args, strerror(errno));
		return;
	}
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		jw_lit(&text, buf, n);
	fclose(f);
	sayn(s, text.len > 0 ? text.buf : "", text.len);
}

static _Noreturn void run_child(const char *command, int out)
{
	setsid();
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	dup2(out, STDOUT_FILENO);
	dup2(out, STDERR_FILENO);
	execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(127);
}

static void do_run(struct session *s, char *args)
{
	struct turn *t = s->turn;
	int p[2];

	flush();
	if (pipe2(p, O_CLOEXEC) < 0)
		die("pipe");
	t->run_pid = fork();
	if (t->run_pid < 0)
		die("fork");
	if (t->run_pid == 0)
		run_child(args, p[1]);
	close(p[1]);
	t->run_fd = p[0];
}

/* A process that goes on in the agent's own process session. */
static void do_helper(struct session *s, char *args)
{
	pid_t pid;

	flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
			dup2(null, fd);
		execl("/bin/sh", "sh", "-c", args, (char *)NULL);
		_exit(127);
	}
	say(s, "helper");
}

static void do_sleep(struct session *s, char *args)
{
	s->turn->wake = now_ms() + number(&args, 0);
}

/* For a test that must have done something before the turn goes on. */
static void do_await(struct session *s, char *args)
{
	s->turn->awaited = args;
}

static void do_flood(struct session *s, char *args)
{
	int64_t n = number(&args, 1), size = number(&args, 0);

	s->turn->flood = (struct flood){
		.next = 1,
		.last = n,
		.size = size > 0 ? (size_t)size : 0,
		.slice = number(&args, 0),
	};
}

static void do_stop(struct session *s, char *args)
{
	turn_stop(s, args);
}

static void do_error(struct session *s, char *args)
{
	int64_t code = number(&args, -32603);

	turn_fail(s, code, args);
}

static void do_usage(struct session *s, char *args)
{
	struct turn *t = s->turn;
	struct jw *w;

	t->tokens_in = number(&args, 0);
	t->tokens_out = number(&args, 0);
	w = begin_update(s->id, "usage_update");
	jw_kint(w, "used", t->tokens_in + t->tokens_out);
	jw_kint(w, "size", 200000);
	end_update(w);
}

static void do_crash(struct session *s, char *args)
{
	int sig = (int)number(&args, SIGSEGV);

	(void)s;
	flush();
	(void)signal(sig, SIG_DFL);
	raise(sig);
}

static void do_exit(struct session *s, char *args)
{
	(void)s;
	flush();
	_exit((int)number(&args, 0));
}

static void do_garbage(struct session *s, char *args)
{
	static const char text[] = "this is not JSON\n{\"half\":\n\n[1,2]\n";

	(void)s;
	(void)args;
	put(text, sizeof(text) - 1);
}

static void raw_update(struct session *s, const char *text, size_t n)
{
	char head[256];
	int len = snprintf(
		head, sizeof(head),
		"{\"jsonrpc\":\"2.0\",\"method\":\"session/update\",\"params\":"
		"{\"sessionId\":\"%s\",\"update\":{\"sessionUpdate\":"
		"\"agent_message_chunk\",\"content\":{\"type\":\"text\","
		"\"text\":\"",
		s->id);

	put(head, (size_t)len);
	put(text, n);
	put("\"}}}}\n", 6);
}

static void do_badutf8(struct session *s, char *args)
{
	(void)args;
	raw_update(s, "a\xff\xc3(b", 5);
}

static char *xs(size_t n)
{
	char *text = must(malloc(n + 1));

	memset(text, 'x', n);
	text[n] = '\0';
	return text;
}

/* A line of that many bytes in all, its newline not counted. */
static void do_bigline(struct session *s, char *args)
{
	size_t n = (size_t)number(&args, 0), frame;
	autofree char *text = NULL;

	flush();
	raw_update(s, "", 0);
	frame = agent.out.len - 1;
	jw_reset(&agent.out);
	text = xs(n > frame ? n - frame : 0);
	raw_update(s, text, strlen(text));
}

static void do_toolong(struct session *s, char *args)
{
	size_t n = (size_t)number(&args, 0);
	autofree char *text = xs(n);

	(void)s;
	put(text, n);
	put("\n", 1);
}

static void do_stderr(struct session *s, char *args)
{
	(void)s;
	fprintf(stderr, "%s\n", args);
}

static void say_strings(struct session *s, char **v)
{
	autojw struct jw text = {0};

	for (; *v != NULL; v++) {
		if (text.len > 0)
			jw_lit(&text, "\n", 1);
		jw_lit(&text, *v, strlen(*v));
	}
	sayn(s, text.len > 0 ? text.buf : "", text.len);
}

static void do_env(struct session *s, char *args)
{
	const char *value;

	if (*args == '\0') {
		say_strings(s, environ);
		return;
	}
	value = getenv(args);
	say(s, value != NULL ? value : "(unset)");
}

static void do_argv(struct session *s, char *args)
{
	(void)args;
	say_strings(s, agent.argv);
}

static void do_cwd(struct session *s, char *args)
{
	autofree char *cwd = getcwd(NULL, 0);

	(void)args;
	say(s, cwd != NULL ? cwd : strerror(errno));
}

static void do_pid(struct session *s, char *args)
{
	(void)args;
	sayf(s, "%d", (int)getpid());
}

static void do_uid(struct session *s, char *args)
{
	(void)args;
	sayf(s, "%u", (unsigned)geteuid());
}

static void do_mounts(struct session *s, char *args)
{
	char path[] = "/proc/self/mounts";

	(void)args;
	do_read(s, path);
}

static void do_ps(struct session *s, char *args)
{
	char command[] = "cd /proc && for p in [0-9]*; do "
			 "echo \"$p $(cat $p/comm 2>/dev/null)\"; done";

	(void)args;
	do_run(s, command);
}

static void do_unknownupdate(struct session *s, char *args)
{
	struct jw *w = begin_update(s->id, "echo_unknown");

	(void)args;
	jw_kint(w, "answer", 42);
	end_update(w);
}

static void do_updatefor(struct session *s, char *args)
{
	(void)s;
	chunk(args, "agent_message_chunk", "stray", 5);
}

static void do_wrongid(struct session *s, char *args)
{
	struct jw *w = begin_result("999999");

	(void)args;
	write_stop(w, s->turn, "end_turn");
	end_result(w);
}

static void do_both(struct session *s, char *args)
{
	struct jw *w = begin_result(s->turn->id);

	(void)args;
	write_stop(w, s->turn, "end_turn");
	jw_obj_end(w);
	jw_kraw(w, "error", "{\"code\":-32603,\"message\":\"both\"}");
	jw_obj_end(w);
	send_msg();
	turn_over(s);
}

/* Fork twice.  Return: true in the orphan. */
static bool orphan(void)
{
	pid_t pid;

	flush();
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return false;
	}
	setsid();
	if (fork() != 0)
		_exit(0);
	return true;
}

static void do_orphan(struct session *s, char *args)
{
	(void)args;
	if (orphan()) {
		(void)signal(SIGTERM, SIG_IGN);
		(void)signal(SIGHUP, SIG_IGN);
		for (;;)
			pause();
	}
	say(s, "orphan");
}

static void do_spawn(struct session *s, char *args)
{
	int64_t n = number(&args, 1);

	for (int64_t i = 0; i < n; i++)
		if (orphan())
			_exit(0);
	sayf(s, "spawned %lld", (long long)n);
}

static void do_ignorecancel(struct session *s, char *args)
{
	(void)args;
	s->turn->ignore_cancel = true;
}

static void do_lateupdates(struct session *s, char *args)
{
	s->turn->late_updates = number(&args, 1);
}

static void do_ignoreterm(struct session *s, char *args)
{
	(void)s;
	(void)args;
	(void)signal(SIGTERM, SIG_IGN);
}

static void do_hang(struct session *s, char *args)
{
	(void)args;
	s->turn->wake = NEVER;
}

static void do_closestdout(struct session *s, char *args)
{
	(void)s;
	(void)args;
	flush();
	close(STDOUT_FILENO);
	(void)open("/dev/null", O_WRONLY); /* The number stays taken. */
}

static void do_stdinstop(struct session *s, char *args)
{
	(void)s;
	(void)args;
	agent.in_ignored = true;
}

static void do_idleupdate(struct session *s, char *args)
{
	(void)args;
	s->turn->idle_update = true;
}

static void do_mode(struct session *s, char *args)
{
	(void)args;
	say(s, s->mode);
}

static void do_model(struct session *s, char *args)
{
	(void)args;
	say(s, s->model);
}

static void do_settings(struct session *s, char *args)
{
	(void)args;
	sayf(s, "%s %s %s %s %s", s->model, s->mode, s->thought, s->style,
	     s->web ? "web" : "-");
}

/* The agent changes its mind by itself. */
static void do_switch(struct session *s, char *args)
{
	const char *what = word(&args);
	struct jw *w;

	if (strcmp(what, "model") == 0) {
		snprintf(s->model, sizeof(s->model), "%s", args);
		w = begin_update(s->id, "config_option_update");
		write_config(w, s);
	} else {
		snprintf(s->mode, sizeof(s->mode), "%s", args);
		w = begin_update(s->id, "current_mode_update");
		jw_kstr(w,
			strcmp(what, "oldmode") == 0 ? "modeId"
						     : "currentModeId",
			s->mode);
	}
	end_update(w);
}

/* Send a line as it is, but for $S, the session, and $I, the prompt's id. */
static void do_raw(struct session *s, char *args)
{
	for (; *args != '\0'; args++) {
		const char *what = NULL;

		if (args[0] == '$' && args[1] == 'S')
			what = s->id;
		else if (args[0] == '$' && args[1] == 'I')
			what = s->turn->id;
		if (what == NULL) {
			put(args, 1);
			continue;
		}
		put(what, strlen(what));
		args++;
	}
	put("\n", 1);
}

/* Whatever answers the prompt has been sent. */
static void do_gone(struct session *s, char *args)
{
	(void)args;
	turn_over(s);
}

/* From now on lines end as on another system, with a blank one behind each. */
static void do_crlf(struct session *s, char *args)
{
	(void)s;
	(void)args;
	agent.crlf = true;
}

/* A notification whose params are nested so deep. */
static void do_nested(struct session *s, char *args)
{
	int64_t n = number(&args, 1);

	(void)s;
	put("{\"jsonrpc\":\"2.0\",\"method\":\"_echo/nested\",\"params\":", 50);
	for (int64_t i = 1; i < n; i++)
		put("[", 1);
	for (int64_t i = 1; i < n; i++)
		put("]", 1);
	put("}\n", 2);
}

static void do_count(struct session *s, char *args)
{
	(void)args;
	sayf(s, "%lld", (long long)agent.n_prompts);
}

static void do_preamble(struct session *s, char *args)
{
	(void)args;
	say(s, s->turn->preamble);
}

static void do_mcp(struct session *s, char *args)
{
	autojson struct json j = {0};
	autofree char *mcp = NULL;

	if (*args != '\0') {
		mcp_command(s->mcp, args);
		return;
	}
	if (json_parse(&j, s->params, strlen(s->params), NULL) == 0)
		mcp = raw_dup(jv_get(json_root(&j), "mcpServers"));
	say(s, mcp != NULL ? mcp : "(none)");
}

static void do_meta(struct session *s, char *args)
{
	(void)args;
	say(s, s->params);
}

static const struct verb {
	const char *name;
	void (*run)(struct session *s, char *args);
} verbs[] = {
	{"say", do_say},		     /* TEXT */
	{"chunks", do_chunks},		     /* N TEXT */
	{"think", do_think},		     /* TEXT */
	{"tool", do_tool},		     /* ID TITLE [KIND] */
	{"toolopen", do_toolopen},	     /* ID TITLE */
	{"announce", do_announce},	     /* ID TITLE [KIND] [PATH] */
	{"ask", do_ask},		     /* The same, and asks. */
	{"askid", do_askid},		     /* ID; it was announced. */
	{"askwith", do_askwith},	     /* OPTION,OPTION and as ask. */
	{"askfor", do_askfor},		     /* SESSION and as ask. */
	{"askmany", do_askmany},	     /* N at once: t1, t2, ... */
	{"ask3", do_ask3},		     /* Three at once. */
	{"idleask", do_idleask},	     /* After the answer. */
	{"form", do_form},		     /* SCHEMA */
	{"url", do_url},		     /* ID URL */
	{"complete", do_complete},	     /* ID, of a URL. */
	{"goon", do_goon},		     /* Wait for no answer, until... */
	{"join", do_join},		     /* ...here. */
	{"withdraw", do_withdraw},	     /* The last question. */
	{"call", do_call},		     /* METHOD [MEMBERS] */
	{"send", do_send},		     /* The same, not waiting. */
	{"fsread", do_fsread},		     /* PATH [LINE LIMIT] */
	{"fswrite", do_fswrite},	     /* PATH TEXT */
	{"term", do_term},		     /* COMMAND */
	{"termbg", do_termbg},		     /* COMMAND, left running. */
	{"plan", do_plan},		     /* A|B|C */
	{"write", do_write},		     /* PATH TEXT */
	{"read", do_read},		     /* PATH */
	{"run", do_run},		     /* COMMAND */
	{"helper", do_helper},		     /* COMMAND, left running. */
	{"sleep", do_sleep},		     /* MS */
	{"await", do_await},		     /* PATH of a file. */
	{"flood", do_flood},		     /* N [SIZE [IN_A_MS]] */
	{"stop", do_stop},		     /* REASON */
	{"error", do_error},		     /* CODE MESSAGE */
	{"usage", do_usage},		     /* IN OUT */
	{"crash", do_crash},		     /* [SIGNAL] */
	{"exit", do_exit},		     /* CODE */
	{"garbage", do_garbage},	     /* Lines that are no JSON. */
	{"badutf8", do_badutf8},	     /* Inside an update. */
	{"bigline", do_bigline},	     /* BYTES */
	{"toolong", do_toolong},	     /* BYTES */
	{"stderr", do_stderr},		     /* TEXT */
	{"env", do_env},		     /* [NAME] */
	{"argv", do_argv},		     /* */
	{"cwd", do_cwd},		     /* */
	{"pid", do_pid},		     /* */
	{"uid", do_uid},		     /* */
	{"mounts", do_mounts},		     /* */
	{"ps", do_ps},			     /* */
	{"unknownupdate", do_unknownupdate}, /* */
	{"updatefor", do_updatefor},	     /* SESSION */
	{"wrongid", do_wrongid},	     /* Besides the right one. */
	{"both", do_both},		     /* Result and error. */
	{"orphan", do_orphan},		     /* A daemon that stays. */
	{"spawn", do_spawn},		     /* N */
	{"ignorecancel", do_ignorecancel},   /* */
	{"lateupdates", do_lateupdates},     /* N, after a cancel. */
	{"ignoreterm", do_ignoreterm},	     /* */
	{"hang", do_hang},		     /* */
	{"closestdout", do_closestdout},     /* */
	{"stdinstop", do_stdinstop},	     /* */
	{"idleupdate", do_idleupdate},	     /* After the answer. */
	{"mode", do_mode},		     /* */
	{"model", do_model},		     /* */
	{"settings", do_settings},	     /* All that can be set. */
	{"switch", do_switch},		     /* model|mode|oldmode VALUE */
	{"raw", do_raw},		     /* LINE */
	{"gone", do_gone},		     /* The answer was raw. */
	{"crlf", do_crlf},		     /* */
	{"nested", do_nested},		     /* DEPTH */
	{"count", do_count},		     /* Prompts seen. */
	{"preamble", do_preamble},	     /* Blocks before the last. */
	{"mcp", do_mcp},   /* [VERB...] of mcp_verbs.c; none: mcpServers. */
	{"meta", do_meta}, /* params of session/new. */
};

/* --- the scheduler ------------------------------------------------------- */

/* The next command of a script; NULL at its end. */
static char *next_command(struct turn *t)
{
	char *at = t->at, *end;

	if (at == NULL || *at == '\0')
		return NULL;
	for (end = at; *end != '\0' && *end != '\n'; end++)
		if (end[0] == ';' && end[1] == ';')
			break;
	t->at = *end == '\0' ? end : end + (*end == '\n' ? 1 : 2);
	*end = '\0';
	return at + strspn(at, " ");
}

static void run_command(struct session *s, char *command)
{
	char *args = command + 1;
	const char *name;

	if (*command != '!') {
		if (*command != '\0')
			say(s, command);
		return;
	}
	name = word(&args);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		if (strcmp(name, verbs[i].name) == 0) {
			verbs[i].run(s, args);
			return;
		}
	sayf(s, "unknown verb: %s", name);
}

/* One slice of a flood: "i=7 xxxx", padded to its size. */
static void flood(struct session *s, struct flood *f)
{
	size_t room = f->size > 32 ? f->size : 32;
	autofree char *text = xs(room);
	char head[32];
	int64_t end = f->next + (f->slice > 0 ? f->slice : FLOOD_SLICE);

	while (f->next < end && f->next <= f->last) {
		size_t n = (size_t)snprintf(head, sizeof(head), "i=%lld ",
					    (long long)f->next++);

		memcpy(text, head, n);
		raw_update(s, text, f->size > n ? f->size : n - 1);
	}
	if (f->slice > 0)
		s->turn->wake = now_ms() + 1;
}

/* Whether something has to come before the turn goes on. */
static bool turn_waits(const struct session *s)
{
	const struct turn *t = s->turn;

	return (t->n_asks > 0 && !t->go_on) || t->n_calls > 0 ||
	       t->run_fd >= 0 || mcp_busy(s->mcp);
}

static void turn_step(struct session *s)
{
	struct turn *t = s->turn;
	char *command;

	if (t->flood.next > 0 && t->flood.next <= t->flood.last) {
		flood(s, &t->flood);
		return;
	}
	if (t->awaited != NULL && access(t->awaited, F_OK) < 0) {
		t->wake = now_ms() + AWAIT_MS;
		return;
	}
	t->awaited = NULL;
	command = next_command(t);
	if (command == NULL)
		turn_stop(s, "end_turn");
	else
		run_command(s, command);
}

/* What the command has said so far; at its end the turn goes on. */
static void read_run(struct session *s)
{
	struct turn *t = s->turn;
	int status = 0;
	char buf[4096];
	ssize_t n = read(t->run_fd, buf, sizeof(buf));

	if (n > 0) {
		if (t->run_output.len < RUN_OUTPUT_MAX)
			jw_lit(&t->run_output, buf, (size_t)n);
		return;
	}
	close(t->run_fd);
	t->run_fd = -1;
	waitpid(t->run_pid, &status, 0);
	if (t->run_output.len > 0)
		sayn(s, t->run_output.buf, t->run_output.len);
	jw_reset(&t->run_output);
	sayf(s, "exit: %d",
	     WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

static void send_due(int64_t now)
{
	struct late_line *l;

	while ((l = TAILQ_FIRST(&agent.late)) != NULL && l->due <= now) {
		TAILQ_REMOVE(&agent.late, l, link);
		put(l->line, l->len);
		free(l->line);
		free(l);
	}
}

/* Run what can be run.  Return: when there is more to do, NEVER if nothing. */
static int64_t schedule(void)
{
	int64_t now = now_ms(), due = NEVER;
	struct session *s;

	send_due(now);
	if (!TAILQ_EMPTY(&agent.late))
		due = TAILQ_FIRST(&agent.late)->due;
	TAILQ_FOREACH (s, &agent.sessions, link) {
		if (s->turn != NULL && !turn_waits(s) && s->turn->wake <= now)
			turn_step(s);
		if (s->turn != NULL && !turn_waits(s) && s->turn->wake < due)
			due = s->turn->wake;
	}
	return due;
}

/* --- requests ------------------------------------------------------------ */

/* One request or notification; id is NULL for a notification. */
struct call {
	const char *id;
	struct jv params;
};

/* Beside the method asked for one that nobody can call. */
static void write_auth(struct jw *w)
{
	jw_key(w, "authMethods");
	jw_arr(w);
	if (agent.opt.auth != NULL) {
		jw_raw(w, "{\"id\":\"login\",\"type\":\"terminal\"}", 32);
		jw_obj(w);
		jw_kstr(w, "id", agent.opt.auth);
		if (agent.opt.auth_terminal)
			jw_kstr(w, "type", "terminal");
		jw_obj_end(w);
	}
	jw_arr_end(w);
}

/* Opening a session needs it.  Return: whether the error was sent. */
static bool needs_auth(struct call *c)
{
	if (agent.opt.auth == NULL)
		return false;
	send_error(c->id, -32000, "log in first");
	return true;
}

static void on_authenticate(struct call *c)
{
	if (agent.opt.auth == NULL || agent.opt.auth_refused ||
	    !jv_eq(jv_get(c->params, "methodId"), agent.opt.auth)) {
		send_error(c->id, -32603, "wrong key");
		return;
	}
	agent.opt.auth = NULL;
	end_result(begin_result(c->id));
}

static void on_initialize(struct call *c)
{
	struct jw *w;

	if (agent.opt.no_answer)
		return;
	if (agent.opt.banner)
		put("echo agent, at your service\n", 28);
	w = begin_result(c->id);
	jw_kint(w, "protocolVersion", agent.opt.protocol);
	jw_key(w, "agentCapabilities");
	jw_obj(w);
	jw_kbool(w, "loadSession", agent.opt.load);
	jw_key(w, "promptCapabilities");
	jw_obj(w);
	jw_kbool(w, "image", agent.opt.image);
	jw_kbool(w, "audio", false);
	jw_kbool(w, "embeddedContext", false);
	jw_obj_end(w);
	jw_key(w, "sessionCapabilities");
	jw_obj(w);
	if (agent.opt.load && !agent.opt.no_resume)
		jw_kraw(w, "resume", "{}");
	if (agent.opt.fork)
		jw_kraw(w, "fork", "{}");
	if (agent.opt.close)
		jw_kraw(w, "close", "{}");
	if (agent.opt.delete)
		jw_kraw(w, "delete", "{}");
	if (agent.opt.system_prompt)
		jw_kraw(w, "systemPrompt", "{\"mode\":{\"override\":{}}}");
	jw_obj_end(w);
	jw_obj_end(w);
	write_auth(w);
	jw_key(w, "agentInfo");
	jw_obj(w);
	jw_kstr(w, "name", "echo");
	jw_kstr(w, "title", "Echo");
	jw_kstr(w, "version", HIB_VERSION);
	jw_obj_end(w);
	end_result_late(w, agent.opt.slow_start);
}

/* One of a random id. */
static struct session *session_new(struct jv params)
{
	struct session *s;
	uint64_t random;
	char id[48];

	if (getrandom(&random, sizeof(random), 0) != sizeof(random))
		die("getrandom");
	snprintf(id, sizeof(id), "echo-%016llx", (unsigned long long)random);
	s = session_add(id, params);
	history_touch(s);
	return s;
}

static void on_new(struct call *c)
{
	struct session *s;
	struct jw *w;

	if (needs_auth(c))
		return;
	if (agent.opt.fail_new != 0) {
		send_error(c->id, agent.opt.fail_new, "no session for you");
		return;
	}
	if (!jv_is(jv_get(c->params, "cwd"), JV_STRING) ||
	    !jv_is(jv_get(c->params, "mcpServers"), JV_ARRAY)) {
		send_error(c->id, RPC_PARAMS, "cwd and mcpServers are needed");
		return;
	}
	s = session_new(c->params);
	w = begin_result(c->id);
	jw_kstr(w, "sessionId", s->id);
	write_session(w, s);
	end_result_late(w, agent.opt.slow_new);
}

/* What an agent may do wrong when it is asked for a session that it had.
 * Return: true when it has. */
static bool fail_load(struct call *c)
{
	if (agent.opt.crash_on_load >= 0)
		_exit((int)agent.opt.crash_on_load);
	if (agent.opt.fail_load != 0)
		send_error(c->id, agent.opt.fail_load, "not this one");
	return agent.opt.hang_on_load || agent.opt.fail_load != 0;
}

/* The session named, if it is here or on disk; else the error is sent. */
static struct session *session_again(struct call *c)
{
	struct session *s = session_find(jv_get(c->params, "sessionId"));
	char id[48];
	FILE *f;

	if (needs_auth(c))
		return NULL;
	if (!agent.opt.load && !agent.opt.fork) {
		send_error(c->id, RPC_METHOD, "not supported");
		return NULL;
	}
	if (fail_load(c))
		return NULL;
	if (s != NULL)
		return s;
	f = jv_strcpy(jv_get(c->params, "sessionId"), id, sizeof(id)) > 0
		    ? history_file(id, "re")
		    : NULL;
	if (f == NULL) {
		send_error(c->id, RPC_NOT_FOUND, "no such session");
		return NULL;
	}
	s = session_add(id, c->params);
	history_load(s, f);
	return s;
}

static void answer_session(struct call *c, struct session *s)
{
	struct jw *w = begin_result(c->id);

	write_session(w, s);
	end_result_late(w, agent.opt.slow_new);
}

static void on_resume(struct call *c)
{
	struct session *s = session_again(c);

	if (s != NULL)
		answer_session(c, s);
}

/* All that was said before, each in its own cuts, and some news. */
static void replay(struct session *s)
{
	struct text *t;
	struct jw *w;

	STAILQ_FOREACH (t, &s->history, link)
		if (!t->agent)
			chunk(s->id, "user_message_chunk", t->s, strlen(t->s));
		else if (!agent.opt.replay_wrong)
			say_in_chunks(s, t->s);
	if (agent.opt.replay_wrong)
		say(s, "I never said anything");
	w = begin_update(s->id, "available_commands_update");
	jw_kraw(w, "availableCommands", "[]");
	end_update(w);
}

static void replay_later(struct session *s)
{
	struct late_line *l = must(calloc(1, sizeof(*l)));

	flush();
	replay(s);
	l->due = now_ms() + agent.opt.replay_late;
	l->line = must(jw_take(&agent.out, &l->len));
	TAILQ_INSERT_TAIL(&agent.late, l, link);
}

static void on_load(struct call *c)
{
	struct session *s = session_again(c);

	if (s == NULL)
		return;
	if (agent.opt.replay_late == 0)
		replay(s);
	answer_session(c, s);
	if (agent.opt.replay_late > 0)
		replay_later(s);
}

/* Told again under the new id, before that is known. */
static void on_fork(struct call *c)
{
	struct session *s = session_again(c), *copy;
	struct text *t;
	struct jw *w;

	if (s == NULL)
		return;
	copy = session_new(c->params);
	STAILQ_FOREACH (t, &s->history, link)
		history_keep(copy, t->s, t->agent);
	replay(copy);
	w = begin_result(c->id);
	jw_kstr(w, "sessionId", copy->id);
	write_session(w, copy);
	end_result(w);
}

static struct session *session_of(struct call *c)
{
	struct session *s = session_find(jv_get(c->params, "sessionId"));

	if (s == NULL && c->id != NULL)
		send_error(c->id, RPC_NOT_FOUND, "no such session");
	return s;
}

static void on_close(struct call *c)
{
	if (session_of(c) != NULL)
		end_result(begin_result(c->id));
}

static void on_delete(struct call *c)
{
	struct session *s = session_of(c);
	char path[4096];

	if (s == NULL)
		return;
	snprintf(path, sizeof(path), "%s/%s",
		 agent.opt.store ? agent.opt.store : ".", s->id);
	(void)unlink(path);
	end_result(begin_result(c->id));
}

static bool is_one_of(struct jv value, const char *const *names)
{
	for (; *names != NULL; names++)
		if (jv_eq(value, *names))
			return true;
	return false;
}

/* Set it, or send the error.  Return: whether the answer is still to come. */
static bool set_name(struct call *c, struct jv value, char *out, size_t cap,
		     const char *const *names)
{
	if (agent.opt.deaf_set)
		return false;
	if (jv_eq(value, "locked")) {
		send_error(c->id, -32603, "that one is locked");
		return false;
	}
	if (!is_one_of(value, names)) {
		send_error(c->id, RPC_PARAMS, "no such value");
		return false;
	}
	(void)jv_strcpy(value, out, cap);
	return true;
}

static void on_set_mode(struct call *c)
{
	struct session *s = session_of(c);

	if (s != NULL && set_name(c, jv_get(c->params, "modeId"), s->mode,
				  sizeof(s->mode), mode_names))
		end_result(begin_result(c->id));
}

static void on_set_model(struct call *c)
{
	struct session *s = session_of(c);

	if (s != NULL && set_name(c, jv_get(c->params, "modelId"), s->model,
				  sizeof(s->model), model_names))
		end_result(begin_result(c->id));
}

static bool set_option(struct call *c, struct session *s)
{
	const struct {
		const char *id;
		char *at;
		const char *const *names;
	} selects[] = {
		{"model", s->model, model_names},
		{"mode", s->mode, mode_names},
		{"effort", s->thought, thought_names},
		{"style", s->style, style_names},
	};
	struct jv id = jv_get(c->params, "configId");
	struct jv value = jv_get(c->params, "value");

	for (size_t i = 0; i < ARRAY_LEN(selects); i++)
		if (jv_eq(id, selects[i].id))
			return set_name(c, value, selects[i].at, 16,
					selects[i].names);
	if (!jv_eq(id, "web") || !jv_is(value, JV_BOOL) ||
	    !jv_eq(jv_get(c->params, "type"), "boolean")) {
		send_error(c->id, RPC_PARAMS, "no such option");
		return false;
	}
	s->web = jv_bool(value, false);
	return true;
}

static void on_set_config_option(struct call *c)
{
	struct session *s = session_of(c);
	struct jw *w;

	if (s == NULL || !set_option(c, s))
		return;
	w = begin_result(c->id);
	write_config(w, s);
	end_result(w);
}

/* All that was said to the session, one text to a line. */
static void recite(struct session *s)
{
	autojw struct jw all = {0};
	struct text *t;

	STAILQ_FOREACH (t, &s->history, link) {
		if (t->agent)
			continue;
		if (all.len > 0)
			jw_lit(&all, "\n", 1);
		jw_lit(&all, t->s, strlen(t->s));
	}
	say_in_chunks(s, all.len > 0 ? all.buf : "");
}

/* What stands before the last text of a prompt is context: it is kept, not
 * repeated. */
static void plain(struct session *s, const char *last)
{
	if (strcmp(last, "what did I say") == 0)
		recite(s);
	else
		say_in_chunks(s, last);
}

/* The texts before the last go to the history, and together into @before.
 * Return: the last text, owned by the caller. */
static char *take_texts(struct session *s, struct jv prompt, struct jw *before)
{
	char *last = NULL;

	for (struct jv b = jv_first(prompt); jv_has(b);
	     b = jv_next(prompt, b)) {
		if (!jv_eq(jv_get(b, "type"), "text"))
			continue;
		if (last != NULL) {
			history_keep(s, last, false);
			jw_lit(before, last, strlen(last));
			free(last);
		}
		last = must(jv_strdup(jv_get(b, "text"), NULL));
	}
	return last != NULL ? last : must(strdup(""));
}

/* A prompt during a turn: it is heard, and what waits goes on. */
static void steer(struct session *s, struct call *c)
{
	autojw struct jw before = {0};
	struct jw *w;
	autofree char *text =
		take_texts(s, jv_get(c->params, "prompt"), &before);

	sayf(s, "steered: %s", text);
	s->turn->wake = 0;
	w = begin_result(c->id);
	jw_kstr(w, "stopReason", "end_turn");
	end_result(w);
}

static void on_prompt(struct call *c)
{
	struct session *s = session_of(c);
	autojw struct jw before = {0};
	struct turn *t;

	if (s == NULL)
		return;
	if (s->turn != NULL && agent.opt.steer) {
		steer(s, c);
		return;
	}
	if (s->turn != NULL) {
		send_error(c->id, RPC_INVALID, "a prompt is running");
		return;
	}
	agent.n_prompts++;
	t = must(calloc(1, sizeof(*t)));
	s->turn = t;
	t->run_fd = -1;
	t->id = must(strdup(c->id));
	t->script = take_texts(s, jv_get(c->params, "prompt"), &before);
	t->preamble =
		must(before.len > 0 ? jw_take(&before, NULL) : strdup(""));
	if (t->script[0] == '!')
		t->at = t->script;
	else
		plain(s, t->script);
	history_keep(s, t->script, false);
}

static void on_cancel(struct call *c)
{
	struct session *s = session_of(c);

	if (s != NULL)
		turn_cancel(s);
}

/* A prompt that is cancelled as a request is answered as one. */
static void on_cancel_request(struct call *c)
{
	size_t n;
	const char *id = jv_raw(jv_get(c->params, "requestId"), &n);
	struct session *s;

	TAILQ_FOREACH (s, &agent.sessions, link)
		if (id != NULL && s->turn != NULL && strlen(s->turn->id) == n &&
		    memcmp(s->turn->id, id, n) == 0) {
			mcp_cancel(s->mcp);
			turn_fail(s, RPC_CANCELLED, "cancelled");
			return;
		}
}

static const struct method {
	const char *name;
	void (*run)(struct call *c);
	bool notification;
} methods[] = {
	{"initialize", on_initialize, false},
	{"authenticate", on_authenticate, false},
	{"session/new", on_new, false},
	{"session/load", on_load, false},
	{"session/resume", on_resume, false},
	{"session/fork", on_fork, false},
	{"session/prompt", on_prompt, false},
	{"session/close", on_close, false},
	{"session/delete", on_delete, false},
	{"session/set_mode", on_set_mode, false},
	{"session/set_model", on_set_model, false},
	{"session/set_config_option", on_set_config_option, false},
	{"session/cancel", on_cancel, true},
	{"$/cancel_request", on_cancel_request, true},
};

static void on_method(struct jv name, struct call *c)
{
	for (size_t i = 0; i < ARRAY_LEN(methods); i++)
		if (jv_eq(name, methods[i].name) &&
		    methods[i].notification == (c->id == NULL)) {
			methods[i].run(c);
			return;
		}
	if (c->id != NULL)
		send_error(c->id, RPC_METHOD, "method not found");
}

static void put_raw(struct jw *w, struct jv v)
{
	size_t n;
	const char *raw = jv_raw(v, &n);

	jw_lit(w, raw, n);
}

/* "allow_once", "cancelled", "accept {...}", "error -32800" */
static void write_outcome(struct jw *w, struct jv message)
{
	struct jv result = jv_get(message, "result");
	struct jv content = jv_get(result, "content");
	struct jv said = jv_path(result, "outcome.optionId");
	autofree char *text = NULL;

	if (!jv_has(said))
		said = jv_path(result, "outcome.outcome");
	if (!jv_has(said))
		said = jv_get(result, "action");
	if (jv_has(jv_get(message, "error"))) {
		jw_lit(w, "error ", 6);
		put_raw(w, jv_path(message, "error.code"));
		return;
	}
	text = jv_strdup(said, NULL);
	jw_lit(w, text ? text : "none", text ? strlen(text) : 4);
	if (jv_has(content)) {
		jw_lit(w, " ", 1);
		put_raw(w, content);
	}
}

/* The answer to a question. */
static void ask_answered(struct session *s, unsigned i, struct jv message)
{
	struct turn *t = s->turn;
	struct ask a = t->asks[i];
	autojw struct jw outcome = {0};

	t->n_asks--;
	memmove(t->asks + i, t->asks + i + 1, (t->n_asks - i) * sizeof(a));
	write_outcome(&outcome, message);
	if (t->name_asks || a.elicitation)
		sayf(s, "%s outcome: %s", a.tool, outcome.buf);
	else
		sayf(s, "outcome: %s", outcome.buf);
	if (t->cancelled && t->n_asks == 0)
		turn_stop(s, "cancelled");
}

/* The answer to another request: what follows from it may be the next one. */
static void outcall_answered(struct outcall *c, struct jv message)
{
	TAILQ_REMOVE(&agent.calls, c, link);
	c->answered(c, message);
	if (c->turn != NULL)
		c->turn->n_calls--;
	free(c);
}

static void on_answer(struct jv message)
{
	int64_t id = jv_int(jv_get(message, "id"), -1);
	struct outcall *c;
	struct session *s;

	TAILQ_FOREACH (c, &agent.calls, link)
		if (c->id == id) {
			outcall_answered(c, message);
			return;
		}
	TAILQ_FOREACH (s, &agent.sessions, link)
		for (unsigned i = 0; s->turn != NULL && i < s->turn->n_asks;
		     i++)
			if (s->turn->asks[i].id == id) {
				ask_answered(s, i, message);
				return;
			}
}

static int on_line(char *line, size_t len, void *arg)
{
	autojson struct json j = {0};
	autofree char *id = NULL;
	struct jv message, method;

	(void)arg;
	if (len == 0)
		return 0;
	if (json_parse(&j, line, len, NULL) < 0) {
		send_error("null", RPC_PARSE, "parse error");
		return 0;
	}
	message = json_root(&j);
	method = jv_get(message, "method");
	id = raw_dup(jv_get(message, "id"));
	if (jv_is(method, JV_STRING))
		on_method(method, &(struct call){
					  .id = id,
					  .params = jv_get(message, "params"),
				  });
	else if (id != NULL)
		on_answer(message);
	else
		send_error("null", RPC_INVALID, "invalid request");
	return 0;
}

/* --- the loop ------------------------------------------------------------ */

static void read_stdin(void)
{
	static char buf[64 << 10];
	ssize_t n = read(STDIN_FILENO, buf, sizeof(buf));

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0 || lines_feed(&agent.in, buf, (size_t)n, on_line, NULL) < 0)
		agent.in_ended = true;
}

static void read_runs(const struct pollfd *pf, nfds_t n)
{
	struct session *s;

	for (nfds_t i = 1; i < n; i++)
		TAILQ_FOREACH (s, &agent.sessions, link)
			if (pf[i].revents != 0 && s->turn != NULL &&
			    s->turn->run_fd == pf[i].fd)
				read_run(s);
}

/* Add what the MCP clients wait for.  Return: the new number. */
static nfds_t poll_mcp(struct pollfd *pf, nfds_t n, nfds_t cap, int64_t *due)
{
	struct session *s;

	TAILQ_FOREACH (s, &agent.sessions, link) {
		n += mcp_poll(s->mcp, pf + n, cap - n);
		if (mcp_due(s->mcp) < *due)
			*due = mcp_due(s->mcp);
	}
	return n;
}

/* Whether a turn can go on by itself, without the client. */
static bool turns_go_on(void)
{
	struct session *s;

	TAILQ_FOREACH (s, &agent.sessions, link)
		if (s->turn != NULL &&
		    (s->turn->run_fd >= 0 || mcp_busy(s->mcp)))
			return true;
	return false;
}

/* Wait for stdin, a command, a server or the time @due.
 * Return: false when nothing can ever happen any more. */
static bool wait_until(int64_t due)
{
	struct pollfd pf[POLL_MAX] = {{.fd = -1}};
	struct session *s;
	nfds_t n = 1, n_runs;
	int64_t ms;

	if (!agent.in_ended && !agent.in_ignored)
		pf[0] = (struct pollfd){STDIN_FILENO, POLLIN, 0};
	TAILQ_FOREACH (s, &agent.sessions, link)
		if (s->turn != NULL && s->turn->run_fd >= 0 &&
		    n < ARRAY_LEN(pf))
			pf[n++] = (struct pollfd){s->turn->run_fd, POLLIN, 0};
	if (agent.in_ended && due == NEVER && !turns_go_on())
		return false;

	n_runs = n;
	n = poll_mcp(pf, n, ARRAY_LEN(pf), &due);
	ms = due - now_ms();
	if (ms > 1000 * 1000)
		ms = 1000 * 1000;
	if (poll(pf, n, due == NEVER ? -1 : ms < 0 ? 0 : (int)ms) > 0) {
		if (pf[0].revents != 0)
			read_stdin();
		read_runs(pf, n_runs);
	}
	TAILQ_FOREACH (s, &agent.sessions, link)
		mcp_step(s->mcp);
	return true;
}

static void session_free(struct session *s)
{
	struct text *t;

	while ((t = STAILQ_FIRST(&s->history)) != NULL) {
		STAILQ_REMOVE_HEAD(&s->history, link);
		free(t->s);
		free(t);
	}
	if (s->turn != NULL)
		turn_free(s->turn);
	mcp_end(s->mcp);
	free(s->params);
	free(s);
}

static void agent_done(void)
{
	struct outcall *c;
	struct session *s;

	while ((s = TAILQ_FIRST(&agent.sessions)) != NULL) {
		TAILQ_REMOVE(&agent.sessions, s, link);
		session_free(s);
	}
	while ((c = TAILQ_FIRST(&agent.calls)) != NULL) {
		TAILQ_REMOVE(&agent.calls, c, link);
		free(c);
	}
	lines_done(&agent.in);
	jw_done(&agent.out);
	jw_done(&agent.msg);
}

/* --- options ------------------------------------------------------------- */

static const struct {
	const char *name;
	bool *flag;
	int64_t *number;
	const char **text;
} option_table[] = {
	{"--slow-start", .number = &agent.opt.slow_start}, /* MS */
	{"--slow-new", .number = &agent.opt.slow_new},	   /* MS */
	{"--no-answer", .flag = &agent.opt.no_answer},
	{"--load", .flag = &agent.opt.load},
	{"--no-resume", .flag = &agent.opt.no_resume},
	{"--fork", .flag = &agent.opt.fork},
	{"--fail-load", .number = &agent.opt.fail_load},	 /* CODE */
	{"--crash-on-load", .number = &agent.opt.crash_on_load}, /* CODE */
	{"--hang-on-load", .flag = &agent.opt.hang_on_load},
	{"--replay-late", .number = &agent.opt.replay_late}, /* MS */
	{"--replay-wrong", .flag = &agent.opt.replay_wrong},
	{"--store", .text = &agent.opt.store}, /* DIR */
	{"--image", .flag = &agent.opt.image},
	{"--fail-new", .number = &agent.opt.fail_new},		 /* CODE */
	{"--exit-on-start", .number = &agent.opt.exit_on_start}, /* CODE */
	{"--protocol", .number = &agent.opt.protocol},		 /* N */
	{"--system-prompt", .flag = &agent.opt.system_prompt},
	{"--banner", .flag = &agent.opt.banner},
	{"--steer", .flag = &agent.opt.steer},
	{"--auth", .text = &agent.opt.auth}, /* METHOD */
	{"--auth-terminal", .flag = &agent.opt.auth_terminal},
	{"--auth-refused", .flag = &agent.opt.auth_refused},
	{"--close", .flag = &agent.opt.close},
	{"--delete", .flag = &agent.opt.delete},
	{"--models", .flag = &agent.opt.models}, /* No config options. */
	{"--bare", .flag = &agent.opt.bare},	 /* Nothing can be set. */
	{"--mode-option", .flag = &agent.opt.mode_option},
	{"--deaf-set", .flag = &agent.opt.deaf_set}, /* Never answers that. */
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

int main(int argc, char **argv)
{
	int64_t due;
	int n;

	agent.argv = argv;
	agent.opt.protocol = PROTOCOL;
	agent.opt.exit_on_start = -1;
	agent.opt.crash_on_load = -1;
	for (int i = 1; i < argc; i += n) {
		n = take_option(argv + i);
		if (n == 0) {
			fprintf(stderr, "echo-agent: bad option '%s'\n",
				argv[i]);
			return 2;
		}
	}
	if (agent.opt.exit_on_start >= 0)
		return (int)agent.opt.exit_on_start;

	(void)signal(SIGPIPE, SIG_IGN);
	TAILQ_INIT(&agent.sessions);
	TAILQ_INIT(&agent.late);
	TAILQ_INIT(&agent.calls);
	lines_init(&agent.in, LINE_MAX_BYTES);
	do {
		due = schedule();
		if (due > now_ms())
			flush();
	} while (wait_until(due));
	flush();
	agent_done();
	return 0;
}
