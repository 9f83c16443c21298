// SPDX-License-Identifier: Apache-2.0
/*
 * history.c - What an agent may look up in the log of its session
 *
 * Turns are folded one by one (core/messages.h) until the answer is full, so
 * what is read follows what is told, but for a search, which reads the log.
 */
#include "guest/history.h"

#include <stdio.h>
#include <string.h>

#include "core/messages.h"
#include "core/search.h"
#include "core/utf8.h"
#include "guest/limits.h"

#define NUMBER_TEXT 24 /* Of an int64_t in decimal. */

static unsigned limit_of(const struct history_query *q)
{
	return q->limit > 0 && q->limit < HISTORY_LIMIT_MAX ? q->limit
	       : q->limit == 0				    ? HISTORY_LIMIT
							    : HISTORY_LIMIT_MAX;
}

/* How to read on from @seq. */
static void put_next(const struct history_query *q, int64_t seq, struct jw *w)
{
	jw_key(w, "next");
	jw_obj(w);
	jw_kint(w, q->oldest ? "since" : "until", seq);
	jw_obj_end(w);
}

/*
 * Words.
 */

/* Copy a hit, without what is the same in all. */
static void put_hit(struct jv hit, struct jw *w)
{
	static const char *const keys[] = {"seq", "turn", "role", "ts_ms",
					   "snippet"};

	jw_obj(w);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		jw_kvalue(w, keys[i], jv_get(hit, keys[i]));
	jw_obj_end(w);
}

static int write_hits(struct reader *r, const struct history_query *q,
		      struct jw *out, struct err *e)
{
	const struct search_query s = {
		.text = q->text, .session = q->session, .limit = limit_of(q)};
	autojson struct json j = {0};
	autojw struct jw hits = {0};
	struct jv root;
	int n;

	jw_arr(&hits);
	n = search_find(r, &s, &hits, e);
	jw_arr_end(&hits);
	if (n >= 0)
		n = json_parse(&j, hits.buf, hits.len, e);
	if (n < 0)
		return n;
	root = json_root(&j);
	jw_obj(out);
	jw_key(out, "hits");
	jw_arr(out);
	for (struct jv h = jv_first(root); jv_has(h); h = jv_next(root, h)) {
		int64_t seq = jv_int(jv_get(h, "seq"), 0);

		if (seq > q->since && (q->until == 0 || seq < q->until))
			put_hit(h, out);
	}
	jw_arr_end(out);
	jw_obj_end(out);
	return 0;
}

/*
 * Events.
 */

struct events_out {
	const struct history_query *q;
	struct jw *out;
	unsigned n;
	int64_t last; /* Seq of the last one told. */
	bool more;
};

static void put_large(const struct event *ev, struct jw *w)
{
	jw_obj(w);
	jw_kint(w, "seq", ev->seq);
	jw_kstr(w, "type", ev->type);
	jw_kstr(w, "turn", ev->turn[0] != '\0' ? ev->turn : NULL);
	jw_kint(w, "bytes", (int64_t)ev->len);
	jw_obj_end(w);
}

static bool is_beyond(const struct history_query *q, int64_t seq)
{
	return q->oldest ? q->until > 0 && seq >= q->until : seq <= q->since;
}

/* Return: non-zero ends it. */
static int on_event(const struct event *ev, void *arg)
{
	struct events_out *o = arg;
	bool large = ev->len > HISTORY_EVENT_MAX;

	if (is_beyond(o->q, ev->seq))
		return 1;
	if (o->n == limit_of(o->q) ||
	    (o->n > 0 && !large && o->out->len + ev->len > HISTORY_BYTES)) {
		o->more = true;
		return 1;
	}
	if (large)
		put_large(ev, o->out);
	else
		jw_raw(o->out, ev->line, ev->len - 1);
	o->last = ev->seq;
	o->n++;
	return 0;
}

static int write_events(struct reader *r, const struct history_query *q,
			const char *turn, struct jw *out, struct err *e)
{
	const struct event_query eq = {
		.session = q->session,
		.since = q->oldest ? q->since : q->until,
		.descending = !q->oldest,
		.turn = turn,
		.types = q->types,
		.limit = 256,
	};
	struct events_out o = {.q = q, .out = out};
	int n;

	jw_obj(out);
	jw_key(out, "events");
	jw_arr(out);
	n = reader_each_event(r, &eq, on_event, &o, e);
	jw_arr_end(out);
	if (o.more)
		put_next(q, o.last, out);
	jw_obj_end(out);
	return n < 0 ? n : 0;
}

/*
 * Turns.
 */

#define TURNS                                                              \
	"FROM turn t JOIN session s ON s.id=t.session_id "                 \
	"WHERE t.session_id=?1 AND t.first_seq IS NOT NULL "               \
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 " \
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq) "
#define TURN_ROWS                                             \
	"SELECT t.id AS turn, t.n, t.state, t.first_seq, "    \
	"coalesce(t.last_seq, s.last_seq) AS last_seq " TURNS \
	"AND t.first_seq>CAST(?2 AS INTEGER) AND (?3='0' OR " \
	"t.first_seq<CAST(?3 AS INTEGER)) AND (?4='' OR t.id=?4) ORDER BY t.n "

/* At most @max bytes of a text into @w.  Return: whether it was cut. */
static bool put_text(struct jw *w, const char *s, size_t len, size_t max)
{
	bool is_cut = len > max;

	if (is_cut)
		for (len = max; len > 0 && utf8_is_tail((unsigned char)s[len]);
		     len--)
			;
	jw_strn(w, s, len);
	return is_cut;
}

/* The words of a message: texts, and what tools were called. */
static void put_part(struct jv part, struct jw *words)
{
	struct jv type = jv_get(part, "type");
	autofree char *s = NULL;
	size_t len;

	if (jv_eq(type, "text")) {
		s = jv_strdup(jv_get(part, "text"), &len);
		if (s != NULL)
			jw_lit(words, s, len);
	} else if (jv_eq(type, "tool_call")) {
		s = jv_strdup(jv_get(part, "title"), &len);
		jw_lit(words, "\n[tool: ", 8);
		if (s != NULL)
			jw_lit(words, s, len);
		jw_lit(words, "]\n", 2);
	}
}

static void put_message(struct jv message, struct jw *w)
{
	static const char *const keys[] = {"role", "seq", "last_seq"};
	struct jv parts = jv_get(message, "parts");
	autojw struct jw words = {0};
	bool is_cut;

	for (struct jv p = jv_first(parts); jv_has(p); p = jv_next(parts, p))
		put_part(p, &words);
	jw_obj(w);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		jw_kvalue(w, keys[i], jv_get(message, keys[i]));
	jw_key(w, "text");
	is_cut = put_text(w, words.buf ? words.buf : "", words.len,
			  HISTORY_TEXT_MAX);
	if (is_cut)
		jw_kbool(w, "cut", true);
	jw_obj_end(w);
}

/* A turn with its messages. */
static int put_turn(struct reader *r, const char *session, struct jv row,
		    struct jw *w, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw text = {0};
	char id[ID_MAX] = "";
	const struct messages_query q = {
		.session = session,
		.turn = id,
		.since = jv_int(jv_get(row, "first_seq"), 1) - 1,
		.to_seq = jv_int(jv_get(row, "last_seq"), 0),
	};
	struct jv root;
	int n;

	(void)jv_strcpy(jv_get(row, "turn"), id, sizeof(id));
	jw_arr(&text);
	n = messages_write(r, &q, &text, e);
	jw_arr_end(&text);
	if (n >= 0)
		n = json_parse(&j, text.buf, text.len, e);
	if (n < 0)
		return n;
	root = json_root(&j);
	jw_obj(w);
	for (struct jv k = jv_first(row); jv_has(k); k = jv_next(row, k)) {
		jw_value(w, k);
		jw_lit(w, ":", 1);
		jw_value(w, jv_value(k));
	}
	jw_key(w, "messages");
	jw_arr(w);
	for (struct jv m = jv_first(root); jv_has(m); m = jv_next(root, m))
		put_message(m, w);
	jw_arr_end(w);
	jw_obj_end(w);
	return 0;
}

/* Turns until the answer is full.  @first: seq where the last one begins. */
static int put_turns(struct reader *r, const struct history_query *q,
		     struct jv rows, struct jw *out, int64_t *first,
		     struct err *e)
{
	unsigned n = 0;
	int code = 0;

	for (struct jv v = jv_first(rows); jv_has(v) && code == 0;
	     v = jv_next(rows, v)) {
		autojw struct jw one = {0};

		code = put_turn(r, q->session, v, &one, e);
		if (code < 0 || n == limit_of(q) ||
		    (n > 0 && out->len + one.len > HISTORY_BYTES))
			return code < 0 ? code : 1;
		jw_raw(out, one.buf, one.len);
		*first = jv_int(jv_get(v, "first_seq"), 0);
		n++;
	}
	return code;
}

static int read_turns(struct reader *r, const struct history_query *q,
		      const char *turn, struct jw *rows, struct err *e)
{
	char since[NUMBER_TEXT], until[NUMBER_TEXT], limit[NUMBER_TEXT];
	const char *args[] = {q->session,	since, until,
			      turn ? turn : "", limit, NULL};

	snprintf(since, sizeof(since), "%lld", (long long)q->since);
	snprintf(until, sizeof(until), "%lld", (long long)q->until);
	snprintf(limit, sizeof(limit), "%u", limit_of(q) + 1);
	return reader_rows(r,
			   q->oldest ? TURN_ROWS "ASC LIMIT CAST(?5 AS INTEGER)"
				     : TURN_ROWS
				   "DESC LIMIT CAST(?5 AS INTEGER)",
			   args, rows, e);
}

static int count_turns(struct reader *r, const char *session, struct jw *out,
		       struct err *e)
{
	const char *args[] = {session, NULL};
	autofree char *text = NULL;
	int n = reader_value(r, "SELECT count(*) " TURNS, args, &text, e);

	if (n > 0)
		jw_kraw(out, "total_turns", text);
	return n < 0 ? n : 0;
}

static int write_turns(struct reader *r, const struct history_query *q,
		       const char *turn, struct jw *out, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	int64_t first = 0;
	int n;

	jw_arr(&rows);
	n = read_turns(r, q, turn, &rows, e);
	jw_arr_end(&rows);
	if (n >= 0)
		n = json_parse(&j, rows.buf, rows.len, e);
	if (n < 0)
		return n;
	jw_obj(out);
	jw_key(out, "turns");
	jw_arr(out);
	n = put_turns(r, q, json_root(&j), out, &first, e);
	jw_arr_end(out);
	if (n > 0)
		put_next(q, first, out);
	if (n >= 0)
		n = count_turns(r, q->session, out, e);
	jw_obj_end(out);
	return n;
}

/*
 * All of it.
 */

/* The id of a turn that is named by it or by its number. */
static int find_turn(struct reader *r, const struct history_query *q,
		     char **out, struct err *e)
{
	const char *args[] = {q->session, q->turn, NULL};
	int n;

	if (q->turn == NULL)
		return 0;
	n = reader_value(r,
			 "SELECT id FROM turn WHERE session_id=?1 AND"
			 " (id=?2 OR CAST(n AS TEXT)=?2)",
			 args, out, e);
	if (n == 0)
		return err_set(e, -FAULT_TURN_NOT_FOUND,
			       "there is no turn '%.64s'", q->turn);
	return n < 0 ? n : 0;
}

int history_write(struct reader *r, const struct history_query *q,
		  struct jw *out, struct err *e)
{
	autofree char *turn = NULL;
	int n = find_turn(r, q, &turn, e);

	if (n < 0)
		return n;
	if (q->text != NULL)
		n = write_hits(r, q, out, e);
	else if (q->types != NULL)
		n = write_events(r, q, turn, out, e);
	else
		n = write_turns(r, q, turn, out, e);
	if (n == 0 && out->failed)
		return err_set(e, -ENOMEM, "history: out of memory");
	return n;
}
