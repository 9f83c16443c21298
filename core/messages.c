// SPDX-License-Identifier: Apache-2.0
/*
 * messages.c - The conversation as people read it: a fold of the event log
 *
 * Two types of events make messages: input.message is a whole one, acp.update
 * adds a part to what the agent says, or changes one.  The agent's message
 * grows in memory and is written when the next event belongs to another turn
 * or is an input, so memory is bounded by one turn.  Tool calls and the plan are
 * upserts: their part stays where it began and has the last values.
 *
 * The log holds what agents sent, so nothing of its shape is trusted: an update
 * that cannot be read as its kind says is kept as "other".
 */
#include "core/messages.h"

#include <string.h>

enum part_type {
	PART_TEXT,
	PART_THINKING,
	PART_BLOCK,
	PART_TOOL,
	PART_PLAN,
	PART_OTHER
};

enum tool_field {
	TOOL_TITLE,
	TOOL_KIND,
	TOOL_STATUS,
	TOOL_INPUT,
	TOOL_OUTPUT,
	TOOL_CONTENT,
	TOOL_LOCATIONS,
	TOOL_N_FIELDS
};

static const struct {
	const char *acp, *ours;
} tool_fields[TOOL_N_FIELDS] = {
	[TOOL_TITLE] = {"title", "title"},
	[TOOL_KIND] = {"kind", "kind"},
	[TOOL_STATUS] = {"status", "status"},
	[TOOL_INPUT] = {"rawInput", "input"},
	[TOOL_OUTPUT] = {"rawOutput", "output"},
	[TOOL_CONTENT] = {"content", "content"},
	[TOOL_LOCATIONS] = {"locations", "locations"},
};

struct part {
	TAILQ_ENTRY(part) link;
	enum part_type type;
	struct jw bytes; /* Decoded text, or JSON, by type. */
	char *tool_id;
	char *tool[TOOL_N_FIELDS]; /* JSON values, NULL until told. */
};
TAILQ_HEAD(part_list, part);

struct range {
	int64_t from, to;
};

struct fold {
	const struct messages_query *q;
	struct jw *out;
	char *open_turn; /* The one that has not ended, or NULL. */
	struct range *abandoned;
	size_t n_abandoned;
	/* The agent's message that grows; no parts: none. */
	struct part_list parts;
	char turn[ID_MAX];
	int64_t seq, last_seq, ts_ms;
	int n_written;
};

/* --- parts -------------------------------------------------------------- */

static void part_free(struct part *p)
{
	if (p == NULL)
		return;
	jw_done(&p->bytes);
	free(p->tool_id);
	for (size_t i = 0; i < TOOL_N_FIELDS; i++)
		free(p->tool[i]);
	free(p);
}

static struct part *part_add(struct fold *f, enum part_type type)
{
	struct part *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->type = type;
	TAILQ_INSERT_TAIL(&f->parts, p, link);
	return p;
}

/* The part of that type and, for a tool call, that id. */
static struct part *part_find(struct fold *f, enum part_type type,
			      const char *tool_id)
{
	struct part *p;

	TAILQ_FOREACH_REVERSE(p, &f->parts, part_list, link)
	{
		if (p->type == type &&
		    (tool_id == NULL || strcmp(p->tool_id, tool_id) == 0))
			return p;
	}
	return NULL;
}

static int add_raw(struct fold *f, enum part_type type, struct jv v)
{
	struct part *p = part_add(f, type);

	if (p == NULL)
		return -ENOMEM;
	jw_value(&p->bytes, v);
	return p->bytes.failed ? -ENOMEM : 0;
}

static int add_text(struct fold *f, enum part_type type, struct jv text)
{
	struct part *p = TAILQ_LAST(&f->parts, part_list);
	size_t len;
	autofree char *s = jv_strdup(text, &len);

	if (s == NULL)
		return -ENOMEM;
	if (p == NULL || p->type != type)
		p = part_add(f, type);
	if (p == NULL)
		return -ENOMEM;
	jw_lit(&p->bytes, s, len);
	return p->bytes.failed ? -ENOMEM : 0;
}

/* --- updates ------------------------------------------------------------ */

static bool is_block(struct jv content)
{
	static const char *const types[] = {"image", "audio", "resource_link",
					    "resource"};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (jv_eq(jv_get(content, "type"), types[i]))
			return true;
	}
	return false;
}

static int on_message_chunk(struct fold *f, struct jv update)
{
	struct jv content = jv_get(update, "content");
	struct jv text = jv_get(content, "text");

	if (jv_eq(jv_get(content, "type"), "text") && jv_is(text, JV_STRING))
		return add_text(f, PART_TEXT, text);
	if (is_block(content))
		return add_raw(f, PART_BLOCK, content);
	return add_raw(f, PART_OTHER, update);
}

static int on_thought_chunk(struct fold *f, struct jv update)
{
	struct jv text = jv_path(update, "content.text");

	if (jv_is(text, JV_STRING))
		return add_text(f, PART_THINKING, text);
	return add_raw(f, PART_OTHER, update);
}

static int tool_merge(struct part *p, struct jv update)
{
	for (size_t i = 0; i < TOOL_N_FIELDS; i++) {
		struct jv v = jv_get(update, tool_fields[i].acp);
		size_t len;
		const char *raw = jv_raw(v, &len);
		char *copy;

		if (raw == NULL || jv_is(v, JV_NULL))
			continue;
		copy = strndup(raw, len);
		if (copy == NULL)
			return -ENOMEM;
		free(p->tool[i]);
		p->tool[i] = copy;
	}
	return 0;
}

static int on_tool_call(struct fold *f, struct jv update)
{
	struct jv id = jv_get(update, "toolCallId");
	autofree char *tool_id = NULL;
	struct part *p;

	if (!jv_is(id, JV_STRING))
		return add_raw(f, PART_OTHER, update);
	tool_id = jv_strdup(id, NULL);
	if (tool_id == NULL)
		return -ENOMEM;
	p = part_find(f, PART_TOOL, tool_id);
	if (p == NULL) {
		p = calloc(1, sizeof(*p));
		if (p == NULL)
			return -ENOMEM;
		p->type = PART_TOOL;
		p->tool_id = take_ptr(tool_id);
		TAILQ_INSERT_TAIL(&f->parts, p, link);
	}
	return tool_merge(p, update);
}

static int on_plan(struct fold *f, struct jv update)
{
	struct jv entries = jv_get(update, "entries");
	struct part *p;

	if (!jv_is(entries, JV_ARRAY))
		return add_raw(f, PART_OTHER, update);
	p = part_find(f, PART_PLAN, NULL);
	if (p == NULL)
		return add_raw(f, PART_PLAN, entries);
	jw_reset(&p->bytes);
	jw_value(&p->bytes, entries);
	return p->bytes.failed ? -ENOMEM : 0;
}

static int on_other(struct fold *f, struct jv update)
{
	return add_raw(f, PART_OTHER, update);
}

/* NULL: makes no part.  A user_message_chunk repeats an input. */
static const struct {
	const char *kind;
	int (*fn)(struct fold *f, struct jv update);
} kinds[] = {
	{"agent_message_chunk", on_message_chunk},
	{"agent_thought_chunk", on_thought_chunk},
	{"tool_call", on_tool_call},
	{"tool_call_update", on_tool_call},
	{"plan", on_plan},
	{"user_message_chunk", NULL},
	{"available_commands_update", NULL},
	{"current_mode_update", NULL},
	{"config_option_update", NULL},
	{"session_info_update", NULL},
	{"usage_update", NULL},
};

static int (*find_kind(struct jv update))(struct fold *f, struct jv update)
{
	struct jv kind = jv_get(update, "sessionUpdate");

	if (!jv_is(update, JV_OBJECT))
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (jv_eq(kind, kinds[i].kind))
			return kinds[i].fn;
	}
	return on_other;
}

/* --- writing ------------------------------------------------------------ */

static bool is_final(const char *status)
{
	return status != NULL && strcmp(status, "\"pending\"") != 0 &&
	       strcmp(status, "\"in_progress\"") != 0;
}

/* A call that its turn's end has left open is closed by that. */
static void write_tool(const struct part *p, bool ended, struct jw *w)
{
	jw_kstr(w, "id", p->tool_id);
	for (size_t i = 0; i < TOOL_N_FIELDS; i++) {
		if (i == TOOL_STATUS && ended && !is_final(p->tool[i]))
			jw_kstr(w, "status", "unfinished");
		else if (p->tool[i] != NULL)
			jw_kraw(w, tool_fields[i].ours, p->tool[i]);
	}
}

/* @ended: its turn has. */
static void write_part(const struct part *p, bool ended, struct jw *w)
{
	static const char *const types[] = {
		[PART_TEXT] = "text",	   [PART_THINKING] = "thinking",
		[PART_TOOL] = "tool_call", [PART_PLAN] = "plan",
		[PART_OTHER] = "other",	   [PART_BLOCK] = NULL,
	};
	const char *bytes = p->bytes.buf ? p->bytes.buf : "";

	if (p->type == PART_BLOCK) {
		jw_raw(w, bytes, p->bytes.len);
		return;
	}
	jw_obj(w);
	jw_kstr(w, "type", types[p->type]);
	switch (p->type) {
	case PART_TEXT:
	case PART_THINKING:
		jw_key(w, "text");
		jw_strn(w, bytes, p->bytes.len);
		break;
	case PART_TOOL:
		write_tool(p, ended, w);
		break;
	case PART_PLAN:
		jw_kraw(w, "entries", bytes);
		break;
	default:
		jw_kraw(w, "update", bytes);
	}
	jw_obj_end(w);
}

static void write_head(struct fold *f, const char *role, const char *turn,
		       int64_t seq, int64_t last_seq, int64_t ts_ms)
{
	struct jw *w = f->out;

	jw_obj(w);
	jw_kstr(w, "role", role);
	jw_kstr(w, "turn", turn[0] ? turn : NULL);
	jw_kint(w, "seq", seq);
	jw_kint(w, "last_seq", last_seq);
	jw_kint(w, "ts", ts_ms);
	jw_key(w, "parts");
	jw_arr(w);
	f->n_written++;
}

static void write_tail(struct fold *f)
{
	jw_arr_end(f->out);
	jw_obj_end(f->out);
}

static void drop_parts(struct fold *f)
{
	struct part *p;

	while ((p = TAILQ_FIRST(&f->parts)) != NULL) {
		TAILQ_REMOVE(&f->parts, p, link);
		part_free(p);
	}
}

/* Write what the agent said up to here. */
static void flush(struct fold *f)
{
	bool ended = f->turn[0] != '\0' && (f->open_turn == NULL ||
					    strcmp(f->turn, f->open_turn) != 0);
	struct part *p;

	if (TAILQ_EMPTY(&f->parts))
		return;
	write_head(f, "agent", f->turn, f->seq, f->last_seq, f->ts_ms);
	TAILQ_FOREACH (p, &f->parts, link) {
		write_part(p, ended, f->out);
	}
	write_tail(f);
	drop_parts(f);
}

/* --- the fold ----------------------------------------------------------- */

static bool is_abandoned(const struct fold *f, int64_t seq)
{
	for (size_t i = 0; i < f->n_abandoned; i++) {
		if (seq >= f->abandoned[i].from && seq <= f->abandoned[i].to)
			return true;
	}
	return false;
}

static void fold_input(struct fold *f, const struct event *ev, struct jv data)
{
	struct jv content = jv_get(data, "content");

	flush(f);
	write_head(f, "user", ev->turn, ev->seq, ev->seq, ev->ts_ms);
	for (struct jv b = jv_first(content); jv_has(b);
	     b = jv_next(content, b))
		jw_value(f->out, b);
	write_tail(f);
}

static int fold_update(struct fold *f, const struct event *ev, struct jv data)
{
	struct jv update = jv_path(data, "msg.params.update");
	int (*fn)(struct fold *, struct jv) = find_kind(update);

	if (fn == NULL)
		return 0;
	if (strcmp(f->turn, ev->turn) != 0)
		flush(f);
	if (TAILQ_EMPTY(&f->parts)) {
		memcpy(f->turn, ev->turn, sizeof(f->turn));
		f->seq = ev->seq;
		f->ts_ms = ev->ts_ms;
	}
	f->last_seq = ev->seq;
	return fn(f, update);
}

static int fold_event(const struct event *ev, void *arg)
{
	struct fold *f = arg;
	autojson struct json j = {0};
	struct jv data;
	int r;

	if (f->q->to_seq > 0 && ev->seq > f->q->to_seq)
		return 1; /* Enough. */
	if (is_abandoned(f, ev->seq) || event_is_foreign(ev))
		return 0;
	r = json_parse(&j, ev->data, ev->data_len, NULL);
	if (r == -ENOMEM)
		return r;
	data = json_root(&j);
	if (strcmp(ev->type, "input.message") == 0)
		fold_input(f, ev, data);
	else
		r = fold_update(f, ev, data);
	return r == -ENOMEM || f->out->failed ? -ENOMEM : 0;
}

static int load_abandoned(struct fold *f, struct reader *r, struct err *e)
{
	const char *args[] = {f->q->session, NULL};
	autojson struct json j = {0};
	autojw struct jw w = {0};
	int n;

	jw_arr(&w);
	n = reader_rows(r,
			"SELECT from_seq, to_seq FROM abandoned "
			"WHERE session_id=?1",
			args, &w, e);
	jw_arr_end(&w);
	if (n <= 0)
		return n;
	if (w.failed || json_parse(&j, w.buf, w.len, NULL) < 0)
		return err_set(e, -ENOMEM, "messages: out of memory");
	f->abandoned = calloc((size_t)n, sizeof(*f->abandoned));
	if (f->abandoned == NULL)
		return err_set(e, -ENOMEM, "messages: out of memory");
	for (struct jv v = jv_first(json_root(&j)); jv_has(v);
	     v = jv_next(json_root(&j), v))
		f->abandoned[f->n_abandoned++] = (struct range){
			.from = jv_int(jv_get(v, "from_seq"), 0),
			.to = jv_int(jv_get(v, "to_seq"), 0),
		};
	return 0;
}

static int load_open_turn(struct fold *f, struct reader *r, struct err *e)
{
	const char *args[] = {f->q->session, NULL};
	int n = reader_value(r,
			     "SELECT id FROM turn WHERE session_id=?1 "
			     "AND ended_ms IS NULL",
			     args, &f->open_turn, e);

	return n < 0 ? n : 0;
}

int messages_write(struct reader *r, const struct messages_query *q,
		   struct jw *out, struct err *e)
{
	struct event_query events = {
		.session = q->session,
		.since = q->since,
		.turn = q->turn,
		.types = "input.message,acp.update",
	};
	struct fold f = {.q = q, .out = out};
	int n;

	TAILQ_INIT(&f.parts);
	n = load_abandoned(&f, r, e);
	if (n == 0)
		n = load_open_turn(&f, r, e);
	if (n == 0)
		n = reader_each_event(r, &events, fold_event, &f, e);
	if (n >= 0)
		flush(&f);
	drop_parts(&f);
	free(f.abandoned);
	free(f.open_turn);
	if (n == -ENOMEM || out->failed)
		return err_set(e, -ENOMEM, "messages: out of memory");
	return n < 0 ? n : f.n_written;
}

/* --- the reply ---------------------------------------------------------- */

static int add_reply(const struct event *ev, void *arg)
{
	struct jw *text = arg;
	autojson struct json j = {0};
	struct jv update, chunk;
	autofree char *s = NULL;
	size_t len;

	if (event_is_foreign(ev) ||
	    json_parse(&j, ev->data, ev->data_len, NULL) < 0)
		return 0;
	update = jv_path(json_root(&j), "msg.params.update");
	chunk = jv_path(update, "content.text");
	if (!jv_eq(jv_get(update, "sessionUpdate"), "agent_message_chunk") ||
	    !jv_is(chunk, JV_STRING))
		return 0;
	s = jv_strdup(chunk, &len);
	if (s == NULL)
		return -ENOMEM;
	jw_lit(text, s, len);
	return text->failed ? -ENOMEM : 0;
}

int messages_reply(struct reader *r, const char *session, const char *turn,
		   char **out, struct err *e)
{
	struct event_query q = {
		.session = session,
		.turn = turn,
		.types = "acp.update",
	};
	autojw struct jw text = {0};
	char *reply;
	int n = reader_each_event(r, &q, add_reply, &text, e);

	if (n == -ENOMEM)
		return err_set(e, n, "reply: out of memory");
	if (n < 0)
		return n;
	reply = jw_take(&text, NULL);
	if (reply == NULL)
		return err_set(e, -ENOMEM, "reply: out of memory");
	*out = reply;
	return 0;
}
