// SPDX-License-Identifier: Apache-2.0
/*
 * render.c - A log for people: one line an event, or the conversation
 *
 *	01-31 12:00:00     17 acp.update            agent: Hello
 *
 * The gist of an event is made by a function for its type; an event of a type
 * without one shows its data.  On a terminal a line is cut at its width, else at
 * GIST_MAX.
 */
#include <string.h>
#include <time.h>

#include "host/cli/cli.h"

#define GIST_MAX   240
#define GIST_MIN   20
#define HEAD_CHARS 43 /* Before the gist. */

struct gist {
	struct jw w;
	size_t max;
};

static void put(struct gist *g, const char *s)
{
	jw_lit(&g->w, s, strlen(s));
}

static void put_string(struct gist *g, struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);

	if (s != NULL)
		cli_put_line(&g->w, s, len, g->max);
}

static void put_json(struct gist *g, struct jv v)
{
	size_t len;
	const char *raw = jv_raw(v, &len);

	if (raw != NULL)
		cli_put_line(&g->w, raw, len, g->max);
}

/* " (text)", when there is text. */
static void put_note(struct gist *g, struct jv v)
{
	if (!jv_is(v, JV_STRING))
		return;
	put(g, " (");
	put_string(g, v);
	put(g, ")");
}

/* --- kinds of update ---------------------------------------------------- */

static void gist_chunk(struct gist *g, const char *who, struct jv update)
{
	struct jv content = jv_get(update, "content");

	put(g, who);
	if (jv_is(jv_get(content, "text"), JV_STRING))
		put_string(g, jv_get(content, "text"));
	else
		put_note(g, jv_get(content, "type"));
}

static void gist_update(struct gist *g, struct jv data)
{
	struct jv update = jv_path(data, "msg.params.update");
	struct jv kind = jv_get(update, "sessionUpdate");

	if (jv_eq(kind, "agent_message_chunk")) {
		gist_chunk(g, "agent: ", update);
	} else if (jv_eq(kind, "agent_thought_chunk")) {
		gist_chunk(g, "thinks: ", update);
	} else if (jv_eq(kind, "tool_call") ||
		   jv_eq(kind, "tool_call_update")) {
		put(g, "tool: ");
		put_string(g, jv_has(jv_get(update, "title"))
				      ? jv_get(update, "title")
				      : jv_get(update, "toolCallId"));
		put_note(g, jv_get(update, "status"));
	} else if (jv_eq(kind, "plan")) {
		put(g, "plan: ");
		put_string(g, jv_get(jv_first(jv_get(update, "entries")),
				     "content"));
	} else {
		put_string(g, kind);
	}
}

/* --- types -------------------------------------------------------------- */

static void gist_created(struct gist *g, struct jv data)
{
	struct jv agent = jv_get(data, "agent");

	put_string(g, jv_is(agent, JV_OBJECT) ? jv_get(agent, "name") : agent);
	put(g, " in ");
	put_string(g, jv_get(data, "cwd"));
}

static void gist_state(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "from"));
	put(g, " -> ");
	put_string(g, jv_get(data, "to"));
	put_note(g, jv_get(data, "reason"));
}

static void gist_input(struct gist *g, struct jv data)
{
	struct jv first = jv_first(jv_get(data, "content"));

	put(g, "user: ");
	if (jv_is(jv_get(first, "text"), JV_STRING))
		put_string(g, jv_get(first, "text"));
	else
		put_note(g, jv_get(first, "type"));
}

static void gist_turn_started(struct gist *g, struct jv data)
{
	put(g, "turn ");
	put_json(g, jv_get(data, "n"));
}

static void gist_turn_completed(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "stop_reason"));
	if (!jv_has(jv_get(data, "duration_ms")))
		return;
	put(g, " after ");
	put_json(g, jv_get(data, "duration_ms"));
	put(g, " ms");
}

static void gist_turn_failed(struct gist *g, struct jv data)
{
	put_string(g, jv_path(data, "error.message"));
}

/* files: 2 edited, 1 added */
static void gist_diff(struct gist *g, struct jv data)
{
	static const struct {
		const char *kind, *word;
	} kinds[] = {{"modify", "edited"},
		     {"add", "added"},
		     {"delete", "deleted"},
		     {"rename", "renamed"}};
	struct jv files = jv_get(data, "files");
	const char *between = "files: ";
	char text[48];

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		size_t n = 0;

		for (struct jv f = jv_first(files); jv_has(f);
		     f = jv_next(files, f))
			n += jv_eq(jv_get(f, "kind"), kinds[i].kind);
		if (n == 0)
			continue;
		snprintf(text, sizeof(text), "%s%zu %s", between, n,
			 kinds[i].word);
		put(g, text);
		between = ", ";
	}
	if (jv_bool(jv_get(data, "truncated"), false))
		put(g, ", and more");
}

static void gist_reason(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "reason"));
}

static void gist_message(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "message"));
}

static void gist_text(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "text"));
}

static void gist_restore(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "restore"));
}

static void gist_requested(struct gist *g, struct jv data)
{
	struct jv options = jv_get(data, "options");
	const char *between = " [";

	put_string(g, request_words(data));
	for (struct jv o = jv_first(options); jv_has(o);
	     o = jv_next(options, o)) {
		put(g, between);
		put_string(g, jv_get(o, "optionId"));
		between = " ";
	}
	if (jv_count(options) > 0)
		put(g, "]");
}

static void gist_call(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "name"));
	put(g, " ");
	put_json(g, jv_get(data, "arguments"));
}

static void gist_resolved(struct gist *g, struct jv data)
{
	put_string(g, jv_get(data, "outcome"));
	put_note(g, jv_get(data, "option"));
	put(g, " by ");
	put_string(g, jv_get(data, "by"));
	put_note(g, jv_has(jv_get(data, "rule")) ? jv_get(data, "rule")
						 : jv_get(data, "reason"));
}

static void gist_rpc(struct gist *g, struct jv data)
{
	struct jv msg = jv_get(data, "msg");

	put(g, jv_eq(jv_get(data, "dir"), "in") ? "<- " : "-> ");
	if (jv_has(jv_get(msg, "method")))
		put_string(g, jv_get(msg, "method"));
	else if (jv_has(jv_get(msg, "error")))
		put_json(g, jv_get(msg, "error"));
	else
		put_json(g, jv_get(msg, "result"));
}

static const struct {
	const char *type;
	void (*fn)(struct gist *g, struct jv data);
} gists[] = {
	{"acp.update", gist_update},
	{"acp.request", gist_rpc},
	{"acp.response", gist_rpc},
	{"acp.notify", gist_rpc},
	{"session.created", gist_created},
	{"session.state", gist_state},
	{"session.ready", gist_restore},
	{"session.resumed", gist_restore},
	{"session.error", gist_message},
	{"session.closed", gist_reason},
	{"input.message", gist_input},
	{"turn.started", gist_turn_started},
	{"turn.completed", gist_turn_completed},
	{"turn.diff", gist_diff},
	{"turn.failed", gist_turn_failed},
	{"turn.cancelled", gist_reason},
	{"turn.interrupted", gist_reason},
	{"permission.requested", gist_requested},
	{"permission.resolved", gist_resolved},
	{"elicitation.requested", gist_requested},
	{"elicitation.resolved", gist_resolved},
	{"tool.requested", gist_call},
	{"tool.resolved", gist_resolved},
	{"agent.stderr", gist_text},
};

static void make_gist(struct gist *g, const char *type, struct jv data)
{
	for (size_t i = 0; i < ARRAY_LEN(gists); i++) {
		if (strcmp(gists[i].type, type) == 0) {
			gists[i].fn(g, data);
			return;
		}
	}
	put_json(g, data);
}

void render_event(const struct event *ev, unsigned width)
{
	autojson struct json j = {0};
	autojw struct jw line = {0};
	struct gist g = {.max = GIST_MAX};
	time_t seconds = (time_t)(ev->ts_ms / 1000);
	struct tm tm;
	char when[16];

	localtime_r(&seconds, &tm);
	strftime(when, sizeof(when), "%m-%d %H:%M:%S", &tm);
	(void)json_parse(&j, ev->data, ev->data_len, NULL);
	make_gist(&g, ev->type, json_root(&j));
	if (width > 0)
		g.max = width > HEAD_CHARS + GIST_MIN ? width - HEAD_CHARS - 1
						      : GIST_MIN;
	if (g.w.buf != NULL)
		cli_put_line(&line, g.w.buf, g.w.len, g.max);
	printf("%-14s %6lld %-20s %s\n", when, (long long)ev->seq, ev->type,
	       line.buf ? line.buf : "");
	jw_done(&g.w);
}

/* --- the conversation --------------------------------------------------- */

static void print_string(struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);

	if (s != NULL)
		cli_print_safe(stdout, s, len);
	if (s != NULL && (len == 0 || s[len - 1] != '\n'))
		putchar('\n');
}

/* "  [tool] title (status)" and the like, on one line. */
static void print_note(const char *what, struct jv text, struct jv status)
{
	struct gist g = {.max = GIST_MAX};

	put_string(&g, text);
	put_note(&g, status);
	printf("  [%s] %s\n", what, g.w.buf ? g.w.buf : "");
	jw_done(&g.w);
}

static void print_plan(struct jv entries)
{
	for (struct jv x = jv_first(entries); jv_has(x);
	     x = jv_next(entries, x))
		print_note("plan", jv_get(x, "content"), jv_get(x, "status"));
}

static void print_part(struct jv part)
{
	struct jv type = jv_get(part, "type");
	char name[32];

	if (jv_strcpy(type, name, sizeof(name)) < 0)
		return;
	if (strcmp(name, "text") == 0)
		print_string(jv_get(part, "text"));
	else if (strcmp(name, "thinking") == 0)
		print_note("thinks", jv_get(part, "text"),
			   (struct jv){.i = -1});
	else if (strcmp(name, "tool_call") == 0)
		print_note("tool", jv_get(part, "title"),
			   jv_get(part, "status"));
	else if (strcmp(name, "plan") == 0)
		print_plan(jv_get(part, "entries"));
	else if (strcmp(name, "other") == 0)
		print_note("other", jv_path(part, "update.sessionUpdate"),
			   (struct jv){.i = -1});
	else
		print_note(name, jv_get(part, "uri"), jv_get(part, "mimeType"));
}

/* Who says a message; whatever is not known is the agent's. */
static const char *speaker(struct jv message)
{
	struct jv role = jv_get(message, "role");

	if (jv_eq(role, "user"))
		return "User";
	return jv_eq(role, "notice") ? "Note" : "Agent";
}

void render_messages(struct jv messages)
{
	bool bold = cli_width() > 0 && getenv("NO_COLOR") == NULL;
	const char *on = bold ? "\033[1m" : "", *off = bold ? "\033[0m" : "";
	bool first = true;

	for (struct jv m = jv_first(messages); jv_has(m);
	     m = jv_next(messages, m)) {
		struct jv parts = jv_get(m, "parts");

		printf("%s%s%s:%s\n", first ? "" : "\n", on, speaker(m), off);
		first = false;
		for (struct jv p = jv_first(parts); jv_has(p);
		     p = jv_next(parts, p))
			print_part(p);
	}
}

/* --- the conversation as it happens ------------------------------------- */

/* Notes begin on a line of their own. */
static void end_line(struct talk *t)
{
	if (t->in_line)
		putchar('\n');
	t->in_line = false;
}

static void talk_text(struct talk *t, struct jv text)
{
	size_t len;
	autofree char *s = jv_strdup(text, &len);

	if (s == NULL || len == 0)
		return;
	cli_print_safe(stdout, s, len);
	t->in_line = s[len - 1] != '\n';
}

/* "  [what] gist of the event" */
static void talk_note(struct talk *t, const char *what, const struct event *ev,
		      struct jv data)
{
	struct gist g = {.max = GIST_MAX};

	end_line(t);
	make_gist(&g, ev->type, data);
	printf("  [%s] %s\n", what, g.w.buf ? g.w.buf : "");
	jw_done(&g.w);
}

static void talk_tool(struct talk *t, struct jv update)
{
	struct jv status = jv_get(update, "status");
	struct jv title = jv_get(update, "title");
	bool begins = jv_eq(jv_get(update, "sessionUpdate"), "tool_call");

	if (!begins && !jv_eq(status, "completed") && !jv_eq(status, "failed"))
		return;
	end_line(t);
	print_note("tool", jv_has(title) ? title : jv_get(update, "toolCallId"),
		   status);
}

static void talk_update(struct talk *t, struct jv data)
{
	struct jv update = jv_path(data, "msg.params.update");
	struct jv kind = jv_get(update, "sessionUpdate");

	if (jv_eq(kind, "agent_message_chunk")) {
		talk_text(t, jv_path(update, "content.text"));
	} else if (jv_eq(kind, "tool_call") ||
		   jv_eq(kind, "tool_call_update")) {
		talk_tool(t, update);
	} else if (jv_eq(kind, "plan")) {
		end_line(t);
		print_plan(jv_get(update, "entries"));
	}
}

static void talk_input(struct talk *t, struct jv data)
{
	struct jv content = jv_get(data, "content");

	end_line(t);
	putchar('\n');
	for (struct jv b = jv_first(content); jv_has(b);
	     b = jv_next(content, b)) {
		fputs("> ", stdout);
		t->in_line = true;
		if (jv_is(jv_get(b, "text"), JV_STRING))
			talk_text(t, jv_get(b, "text"));
		else
			talk_text(t, jv_get(b, "type"));
		end_line(t);
	}
}

/* Which question, so that it can be answered by name. */
static void talk_question(struct talk *t, const struct event *ev,
			  struct jv data)
{
	autojson struct json j = {0};
	char req[ID_MAX] = "";

	bool call = strcmp(ev->type, "tool.requested") == 0;

	talk_note(t, call ? "calls" : "asks", ev, data);
	if (ev->ctx != NULL &&
	    json_parse(&j, ev->ctx, ev->ctx_len, NULL) == 0 &&
	    jv_strcpy(jv_get(json_root(&j), "req"), req, sizeof(req)) > 0)
		printf("         %s\n", req);
}

static bool is_one_of(struct jv v, const char *const *list)
{
	for (; *list != NULL; list++)
		if (jv_eq(v, *list))
			return true;
	return false;
}

/* How a type is called in a note; what is in neither table is not told. */
static const struct {
	const char *type, *what;
} notes[] = {
	{"permission.resolved", "answer"},
	{"elicitation.resolved", "answer"},
	{"tool.resolved", "result"},
	{"turn.failed", "turn failed"},
	{"turn.cancelled", "turn cancelled"},
	{"turn.interrupted", "turn interrupted"},
	{"session.error", "error"},
};

void render_talk(struct talk *t, const struct event *ev)
{
	static const char *const ends[] = {"suspended", "closing", "closed",
					   "failed",	"expired", NULL};
	autojson struct json j = {0};
	struct jv data;

	if (event_is_foreign(ev) ||
	    json_parse(&j, ev->data, ev->data_len, NULL) < 0)
		return;
	data = json_root(&j);
	if (strcmp(ev->type, "acp.update") == 0) {
		talk_update(t, data);
	} else if (strcmp(ev->type, "input.message") == 0) {
		talk_input(t, data);
	} else if (strcmp(ev->type, "permission.requested") == 0 ||
		   strcmp(ev->type, "elicitation.requested") == 0 ||
		   strcmp(ev->type, "tool.requested") == 0) {
		talk_question(t, ev, data);
	} else if (strcmp(ev->type, "turn.completed") == 0) {
		end_line(t);
		if (!jv_eq(jv_get(data, "stop_reason"), "end_turn"))
			talk_note(t, "turn stopped", ev, data);
	} else if (strcmp(ev->type, "session.state") == 0) {
		t->over = is_one_of(jv_get(data, "to"), ends);
		if (t->over)
			talk_note(t, "session", ev, data);
	}
	for (size_t i = 0; i < ARRAY_LEN(notes); i++)
		if (strcmp(notes[i].type, ev->type) == 0)
			talk_note(t, notes[i].what, ev, data);
}
