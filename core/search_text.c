// SPDX-License-Identifier: Apache-2.0
/*
 * search_text.c - What of a log can be searched: its texts, one by one
 *
 * Chunks in a row are one text, which grows until something else is said or its
 * turn is over.  So a word that an agent sent in two pieces is one word.  A text
 * ends where a range begins or ends that a rewind has abandoned.  The log is
 * hostile: what cannot be read as its kind says has no text.
 */
#include "core/search_text.h"

#include <string.h>

#include "core/reader_impl.h"

#define EVENTS_MAX 20000 /* Looked at in one call with a budget. */

struct walk {
	struct search_text_list *out;
	struct search_text *open; /* What the agent is saying; or NULL. */
	char *tool;		  /* The last tool title; or NULL. */
	size_t bytes, budget;
	int64_t seq; /* Looked at. */
	unsigned n_events;
	bool memory_out, stopped;
	sqlite3_stmt *ranges; /* Is ?2 in an abandoned one?  NULL: no. */
	bool abandoned;	      /* The event looked at last was. */
};

static void text_free(struct search_text *t)
{
	if (t != NULL)
		jw_done(&t->text);
	free(t);
}

void search_text_free(struct search_text_list *l)
{
	struct search_text *t;

	while ((t = TAILQ_FIRST(l)) != NULL) {
		TAILQ_REMOVE(l, t, link);
		text_free(t);
	}
}

static void close_text(struct walk *w)
{
	struct search_text *t = take_ptr(w->open);

	if (t == NULL)
		return;
	w->bytes += t->text.len;
	w->memory_out |= t->text.failed;
	TAILQ_INSERT_TAIL(w->out, t, link);
}

static struct search_text *text_new(struct walk *w, const struct event *ev,
				    const char *role)
{
	struct search_text *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		w->memory_out = true;
		return NULL;
	}
	*t = (struct search_text){.role = role,
				  .first_seq = ev->seq,
				  .last_seq = ev->seq,
				  .ts_ms = ev->ts_ms};
	memcpy(t->turn, ev->turn, ID_MAX);
	return t;
}

/* Append a string; NULs in it become spaces. */
static void put_string(struct walk *w, struct jw *out, struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);

	if (s == NULL) {
		w->memory_out |= jv_is(v, JV_STRING);
		return;
	}
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\0')
			s[i] = ' ';
	jw_lit(out, s, len);
}

/* A text of one event. */
static void add_text(struct walk *w, const struct event *ev, const char *role,
		     struct jv v)
{
	struct search_text *t;

	if (!jv_is(v, JV_STRING))
		return;
	t = text_new(w, ev, role);
	if (t == NULL)
		return;
	put_string(w, &t->text, v);
	w->open = t;
	close_text(w);
}

/* --- events ------------------------------------------------------------- */

static void on_input(struct walk *w, const struct event *ev, struct jv data)
{
	struct jv content = jv_get(data, "content");

	close_text(w);
	w->open = text_new(w, ev, "user");
	for (struct jv b = jv_first(content);
	     jv_has(b) && w->open != NULL && jv_is(content, JV_ARRAY);
	     b = jv_next(content, b)) {
		if (w->open->text.len > 0)
			jw_lit(&w->open->text, "\n", 1);
		put_string(w, &w->open->text, jv_get(b, "text"));
	}
	close_text(w);
}

static bool is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

/* May the open text end before this chunk? */
static bool may_cut(const struct walk *w, struct jv chunk)
{
	const struct jw *t = &w->open->text;
	bool full = w->budget > 0 && w->bytes + t->len >= w->budget;
	size_t len;
	const char *raw = jv_raw(chunk, &len);

	if (t->len >= SEARCH_TEXT_HARD)
		return true;
	if (t->len == 0 || (t->len < SEARCH_TEXT_SOFT && !full))
		return false;
	return is_space(t->buf[t->len - 1]) || (len > 2 && is_space(raw[1])) ||
	       (len > 3 && raw[1] == '\\' && raw[2] == 'n');
}

static bool is_spent(const struct walk *w)
{
	return w->budget > 0 && w->open == NULL &&
	       (w->bytes >= w->budget || w->n_events >= EVENTS_MAX);
}

static void on_chunk(struct walk *w, const struct event *ev, struct jv update)
{
	struct jv chunk = jv_path(update, "content.text");

	if (!jv_is(chunk, JV_STRING)) {
		close_text(w);
		return;
	}
	if (w->open != NULL &&
	    (strcmp(w->open->turn, ev->turn) != 0 || may_cut(w, chunk))) {
		close_text(w);
		w->stopped = is_spent(w);
		if (w->stopped)
			return;
	}
	if (w->open == NULL)
		w->open = text_new(w, ev, "agent");
	if (w->open == NULL)
		return;
	put_string(w, &w->open->text, chunk);
	w->open->last_seq = ev->seq;
}

/* Agents repeat the title with each change of a call. */
static void on_tool(struct walk *w, const struct event *ev, struct jv update)
{
	struct jv title = jv_get(update, "title");
	char *text;

	close_text(w);
	if (!jv_is(title, JV_STRING) ||
	    (w->tool != NULL && jv_eq(title, w->tool)))
		return;
	text = jv_strdup(title, NULL);
	w->memory_out |= text == NULL;
	free(w->tool);
	w->tool = text;
	add_text(w, ev, "tool", title);
}

static void on_update(struct walk *w, const struct event *ev, struct jv data)
{
	struct jv update = jv_path(data, "msg.params.update");
	struct jv kind = jv_get(update, "sessionUpdate");

	if (jv_eq(kind, "agent_message_chunk"))
		on_chunk(w, ev, update);
	else if (jv_eq(kind, "tool_call") || jv_eq(kind, "tool_call_update"))
		on_tool(w, ev, update);
	else if (jv_eq(kind, "agent_thought_chunk") || jv_eq(kind, "plan"))
		close_text(w);
}

static void look_at(struct walk *w, const struct event *ev)
{
	autojson struct json j = {0};
	int r;

	if (strncmp(ev->type, "turn.", 5) == 0) {
		close_text(w);
		return;
	}
	r = json_parse(&j, ev->data, ev->data_len, NULL);
	w->memory_out |= r == -ENOMEM;
	if (r < 0)
		return;
	if (strcmp(ev->type, "acp.update") == 0) {
		on_update(w, ev, json_root(&j));
	} else if (strcmp(ev->type, "input.message") == 0) {
		on_input(w, ev, json_root(&j));
	} else {
		close_text(w);
		add_text(w, ev, "title", jv_get(json_root(&j), "title"));
	}
}

/* --- what is abandoned --------------------------------------------------- */

static int find_ranges(struct walk *w, struct reader *r, const char *session,
		       struct err *e)
{
	const char *args[] = {session, NULL};
	autofree char *any = NULL;
	int n = reader_value(
		r, "SELECT 1 FROM abandoned WHERE session_id=?1 LIMIT 1", args,
		&any, e);

	if (n <= 0)
		return n;
	return db_prepare(r->db, &w->ranges, e,
			  "SELECT 1 FROM abandoned WHERE session_id=?1"
			  " AND ?2 BETWEEN from_seq AND to_seq",
			  "si", session, (int64_t)0);
}

static bool is_abandoned(struct walk *w, int64_t seq)
{
	bool is = w->ranges != NULL &&
		  sqlite3_bind_int64(w->ranges, 2, seq) == SQLITE_OK &&
		  db_step(w->ranges, NULL) > 0;

	(void)sqlite3_reset(w->ranges);
	return is;
}

static void cross_border(struct walk *w, const struct event *ev)
{
	bool abandoned = is_abandoned(w, ev->seq);

	if (abandoned != w->abandoned)
		close_text(w);
	w->abandoned = abandoned;
}

static int walk_on_event(const struct event *ev, void *arg)
{
	struct walk *w = arg;

	cross_border(w, ev);
	w->stopped = is_spent(w);
	if (!w->stopped && !event_is_foreign(ev))
		look_at(w, ev);
	if (w->stopped)
		return 1;
	w->n_events++;
	w->seq = ev->seq;
	return w->memory_out ? -ENOMEM : 0;
}

static const char text_types[] =
	"input.message,acp.update,turn.*,session.created,session.config,"
	"session.forked";

int search_text_read(struct reader *r, const char *session, int64_t since,
		     size_t budget, bool whole, struct search_text_list *out,
		     int64_t *through, struct err *e)
{
	struct event_query q = {
		.session = session, .since = since, .types = text_types};
	struct walk w = {.out = out, .budget = budget, .seq = since};
	struct session_brief b;
	int code = reader_session(r, session, &b, e);

	if (code == 0)
		code = find_ranges(&w, r, session, e);
	if (code >= 0)
		code = reader_each_event(r, &q, walk_on_event, &w, e);
	(void)sqlite3_finalize(w.ranges);
	if (code >= 0 && !w.stopped && b.last_seq > w.seq)
		w.seq = b.last_seq; /* What is behind has no text. */
	if (code >= 0 && whole)
		close_text(&w);
	if (w.open != NULL)
		w.seq = w.open->first_seq - 1;
	text_free(w.open);
	free(w.tool);
	if (code == -ENOMEM)
		return err_set(e, -ENOMEM, "search: out of memory");
	if (code < 0)
		return code;
	*through = w.seq;
	return w.stopped;
}

/* --- where in it -------------------------------------------------------- */

struct locate {
	size_t offset; /* Still to go. */
	int64_t last_seq, seq;
};

static int locate_on_event(const struct event *ev, void *arg)
{
	struct locate *l = arg;
	autojson struct json j = {0};
	autofree char *s = NULL;
	struct jv update;
	size_t len = 0;

	if (ev->seq > l->last_seq)
		return 1;
	if (event_is_foreign(ev) ||
	    json_parse(&j, ev->data, ev->data_len, NULL) < 0)
		return 0;
	update = jv_path(json_root(&j), "msg.params.update");
	if (!jv_eq(jv_get(update, "sessionUpdate"), "agent_message_chunk"))
		return 0;
	s = jv_strdup(jv_path(update, "content.text"), &len);
	if (s != NULL && l->offset < len) {
		l->seq = ev->seq;
		return 1;
	}
	l->offset -= len;
	return 0;
}

int64_t search_text_seq(struct reader *r, const char *session,
			const struct search_text *t, size_t offset)
{
	struct event_query q = {.session = session,
				.since = t->first_seq - 1,
				.types = "acp.update"};
	struct locate l = {.offset = offset, .last_seq = t->last_seq};

	if (t->first_seq == t->last_seq)
		return t->first_seq;
	(void)reader_each_event(r, &q, locate_on_event, &l, NULL);
	return l.seq > 0 ? l.seq : t->first_seq;
}
