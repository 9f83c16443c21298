// SPDX-License-Identifier: Apache-2.0
/*
 * preamble.c - What a fresh agent is told of the conversation so far
 *
 * The newest summary first, if there is one: it stands for the turns that it
 * covers.  The other turns are folded one by one, newest first, each to plain
 * text, until the next one would not fit.  A turn is read by the range of its
 * seqs, so the cost follows the budget and not the length of the log.  Turns and
 * summaries of a range that a restore has abandoned never happened, as far as
 * the agent is concerned.
 */
#include <stdio.h>
#include <string.h>

#include "core/messages.h"
#include "core/utf8.h"

#define HEAD_MAX  320 /* Bytes kept for the first line. */
#define TITLE_MAX 256 /* Bytes of one tool call's line. */
#define CUT_MARK  "\n[... cut ...]\n"

#define ENDED_TURNS                                                        \
	"FROM turn t WHERE session_id=?1 AND ended_ms IS NOT NULL "        \
	"AND first_seq IS NOT NULL AND last_seq IS NOT NULL "              \
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 " \
	"AND t.first_seq BETWEEN a.from_seq AND a.to_seq) "

/* How many there are, and how many a summary stands for that ends at ?2. */
static const char count_sql[] =
	"SELECT count(*) AS total, coalesce(sum(last_seq<=CAST(?2 AS INTEGER)),"
	"0) AS covered " ENDED_TURNS;

static const char turns_sql[] =
	"SELECT id, state, first_seq, last_seq " ENDED_TURNS
	"AND last_seq>CAST(?2 AS INTEGER) ORDER BY n DESC "
	"LIMIT 4000"; /* More never fit: a turn has words around it. */

static const char summary_sql[] =
	"SELECT to_seq, text FROM summary s WHERE session_id=?1 "
	"AND NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?1 "
	"AND a.from_seq<=s.to_seq AND a.to_seq>=s.from_seq) "
	"ORDER BY to_seq DESC LIMIT 1";

static void put(struct jw *w, const char *s)
{
	jw_lit(w, s, strlen(s));
}

static void put_string(struct jw *w, struct jv v)
{
	size_t len;
	autofree char *s = jv_strdup(v, &len);

	if (s != NULL)
		jw_lit(w, s, len);
}

/* "[tool: Edit main.c (completed)]" */
static void put_tool(struct jw *w, struct jv part)
{
	char title[TITLE_MAX], status[32];

	if (jv_strcpy(jv_get(part, "title"), title, sizeof(title)) < 0)
		snprintf(title, sizeof(title), "call");
	if (jv_strcpy(jv_get(part, "status"), status, sizeof(status)) < 0)
		snprintf(status, sizeof(status), "pending");
	put(w, "\n[tool: ");
	put(w, title);
	put(w, " (");
	put(w, status);
	put(w, ")]\n");
}

static void put_part(struct jw *w, struct jv part)
{
	struct jv type = jv_get(part, "type");

	if (jv_eq(type, "text")) {
		put_string(w, jv_get(part, "text"));
	} else if (jv_eq(type, "tool_call")) {
		put_tool(w, part);
	} else if (jv_eq(type, "resource_link")) {
		put(w, "[link: ");
		put_string(w, jv_get(part, "uri"));
		put(w, "]");
	} else if (jv_eq(type, "image") || jv_eq(type, "audio") ||
		   jv_eq(type, "resource")) {
		put(w, "[");
		put_string(w, type);
		put(w, "]");
	}
}

static void put_message(struct jw *w, struct jv message)
{
	struct jv parts = jv_get(message, "parts");
	bool user = jv_eq(jv_get(message, "role"), "user");

	put(w, user ? "\nUser: " : "\nAssistant: ");
	for (struct jv p = jv_first(parts); jv_has(p); p = jv_next(parts, p))
		put_part(w, p);
	put(w, "\n");
}

/* One turn as text into @w. */
static int put_turn(struct reader *r, const char *session, struct jv turn,
		    struct jw *w, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw messages = {0};
	char id[ID_MAX], state[16];
	struct messages_query q = {
		.session = session,
		.turn = id,
		.since = jv_int(jv_get(turn, "first_seq"), 1) - 1,
		.to_seq = jv_int(jv_get(turn, "last_seq"), 0),
	};
	struct jv root;
	int n;

	if (jv_strcpy(jv_get(turn, "id"), id, sizeof(id)) < 0 ||
	    jv_strcpy(jv_get(turn, "state"), state, sizeof(state)) < 0)
		return 0;
	jw_arr(&messages);
	n = messages_write(r, &q, &messages, e);
	jw_arr_end(&messages);
	if (n < 0)
		return n;
	n = json_parse(&j, messages.buf, messages.len, e);
	if (n < 0)
		return n;
	root = json_root(&j);
	for (struct jv m = jv_first(root); jv_has(m); m = jv_next(root, m))
		put_message(w, m);
	if (strcmp(state, "completed") != 0) {
		put(w, "[this turn was ");
		put(w,
		    strcmp(state, "failed") == 0 ? "ended by an error" : state);
		put(w, "]\n");
	}
	return w->failed ? err_set(e, -ENOMEM, "preamble: out of memory") : 0;
}

/* --- fitting ------------------------------------------------------------ */

struct preamble {
	struct reader *r;
	const char *session;
	size_t room, bytes;  /* For all texts, and of those taken. */
	char *summary;	     /* NULL: none. */
	char covered_to[24]; /* Its last seq; "0": none. */
	char **texts;	     /* Turns, newest first. */
	size_t n;
	int64_t n_total, n_covered; /* Turns. */
};

static void preamble_done(struct preamble *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->texts[i]);
	free(p->texts);
	free(p->summary);
}

/* Keep the head and the tail of a text; cuts between characters. */
static void cut(char *s, size_t len, size_t max)
{
	size_t mark = strlen(CUT_MARK);
	size_t head = (max - mark) / 2;
	size_t tail = len - (max - mark - head);

	while (head > 0 && utf8_is_tail((unsigned char)s[head]))
		head--;
	while (tail < len && utf8_is_tail((unsigned char)s[tail]))
		tail++;
	memcpy(s + head, CUT_MARK, mark);
	memmove(s + head + mark, s + tail, len - tail + 1);
}

/* A text may hold U+0000; an agent's prompt had better not. */
static void drop_nuls(char *s, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (s[i] == '\0')
			s[i] = ' ';
}

/* Rows of a query as an array.  Return: their number or a negative code. */
static int read_rows(struct preamble *p, const char *sql, const char *arg,
		     struct jw *rows, struct json *j, struct err *e)
{
	const char *args[] = {p->session, arg, NULL};
	int n, r;

	jw_arr(rows);
	n = reader_rows(p->r, sql, args, rows, e);
	jw_arr_end(rows);
	if (n < 0)
		return n;
	if (rows->failed)
		return err_set(e, -ENOMEM, "preamble: out of memory");
	r = json_parse(j, rows->buf, rows->len, e);
	return r < 0 ? r : n;
}

/* The newest summary; at most half of the room is its. */
static int take_summary(struct preamble *p, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct jv row;
	size_t len;
	int n = read_rows(p, summary_sql, NULL, &rows, &j, e);

	if (n <= 0)
		return n;
	row = jv_first(json_root(&j));
	p->summary = jv_strdup(jv_get(row, "text"), &len);
	if (p->summary == NULL)
		return err_set(e, -ENOMEM, "preamble: out of memory");
	drop_nuls(p->summary, len);
	if (len > p->room / 2)
		cut(p->summary, len, p->room / 2);
	p->bytes = strlen(p->summary) + 1;
	snprintf(p->covered_to, sizeof(p->covered_to), "%lld",
		 (long long)jv_int(jv_get(row, "to_seq"), 0));
	return 0;
}

static int count_turns(struct preamble *p, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct jv row;
	int n = read_rows(p, count_sql, p->covered_to, &rows, &j, e);

	if (n <= 0)
		return n;
	row = jv_first(json_root(&j));
	p->n_total = jv_int(jv_get(row, "total"), 0);
	p->n_covered = jv_int(jv_get(row, "covered"), 0);
	return 0;
}

/* Return: 1 when the turn was taken, 0 when there is no room for it. */
static int take_turn(struct preamble *p, struct jw *text)
{
	size_t len, room = p->room - p->bytes;
	char *s = jw_take(text, &len);

	if (s == NULL)
		return -ENOMEM;
	drop_nuls(s, len);
	if (len > room) {
		if (p->n > 0) {
			free(s);
			return 0;
		}
		cut(s, len, room);
	}
	p->bytes += strlen(s);
	p->texts[p->n++] = s;
	return 1;
}

static int take_turns(struct preamble *p, struct err *e)
{
	autojson struct json j = {0};
	autojw struct jw rows = {0};
	struct jv turns;
	int n = read_rows(p, turns_sql, p->covered_to, &rows, &j, e);

	if (n <= 0)
		return n;
	turns = json_root(&j);
	p->texts = calloc((size_t)n, sizeof(*p->texts));
	if (p->texts == NULL)
		return err_set(e, -ENOMEM, "preamble: out of memory");
	for (struct jv t = jv_first(turns); jv_has(t); t = jv_next(turns, t)) {
		autojw struct jw text = {0};

		n = put_turn(p->r, p->session, t, &text, e);
		if (n < 0)
			return n;
		n = take_turn(p, &text);
		if (n < 0)
			return err_set(e, n, "preamble: out of memory");
		if (n == 0)
			break;
	}
	return 0;
}

static void put_head(const struct preamble *p, struct jw *w)
{
	int64_t left_out = p->n_total - (int64_t)p->n;
	char head[HEAD_MAX];

	snprintf(head, sizeof(head),
		 "This session was started again. What follows is the record "
		 "of its conversation so far, for your memory; do not answer "
		 "it again. %lld earlier turn%s left out.\n",
		 (long long)left_out, left_out == 1 ? " was" : "s were");
	put(w, head);
	if (p->summary == NULL)
		return;
	snprintf(head, sizeof(head), "A summary of the first %lld:\n",
		 (long long)p->n_covered);
	put(w, head);
	put(w, p->summary);
	put(w, "\n");
}

static char *join(const struct preamble *p)
{
	struct jw w = {0};

	put_head(p, &w);
	for (size_t i = p->n; i-- > 0;)
		put(&w, p->texts[i]);
	return jw_take(&w, NULL);
}

int messages_preamble(struct reader *r, const char *session, size_t budget,
		      char **out, struct err *e)
{
	struct preamble p = {.r = r, .session = session, .covered_to = "0"};
	char *text = NULL;
	int n;

	if (budget < MESSAGES_PREAMBLE_MIN)
		budget = MESSAGES_PREAMBLE_MIN;
	p.room = budget - HEAD_MAX;
	n = take_summary(&p, e);
	if (n == 0)
		n = count_turns(&p, e);
	if (n == 0)
		n = take_turns(&p, e);
	if (n == 0 && p.n_total > 0) {
		text = join(&p);
		if (text == NULL)
			n = err_set(e, -ENOMEM, "preamble: out of memory");
	}
	preamble_done(&p);
	if (n == 0)
		*out = text;
	return n;
}
