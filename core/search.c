// SPDX-License-Identifier: Apache-2.0
/*
 * search.c - Finding words in what was said
 *
 * A search is two questions, asked in one read transaction so that no text can
 * move from one answer to the other in between: the index, and the ends of logs
 * that are not in it yet.  Those are read text by text into an index in memory,
 * a slice at a time, so both are asked by the same engine in the same words.
 *
 * What a user types is no query of FTS5: each word and phrase becomes a string
 * of it, in which nothing has a meaning but the quote, and that is in none.
 */
#include "core/search.h"

#include <stdio.h>
#include <string.h>

#include "core/reader_impl.h"

#define SLICE_BYTES (256u << 10) /* Of text, in the index in memory. */
#define MARK	    "\x02"	 /* Where a match begins, to count bytes. */
#define WORDS	    "12"	 /* In a snippet. */

struct hit {
	char session[ID_MAX];
	struct search_text at; /* But for its text. */
	int64_t seq;
	char *snippet;
};

struct finding {
	struct reader *reader;
	const struct search_query *q;
	char *match; /* The query in FTS5's words. */
	unsigned limit;
	struct hit *hits;
	size_t n, cap;
};

/* --- the query ---------------------------------------------------------- */

/* Take the next word or phrase off @*p: it holds no quote.  Return: its length,
 * 0 at the end. */
static size_t next_term(const char **p, const char **start)
{
	size_t n;

	do {
		bool quoted;

		*p += strspn(*p, " \t\r\n");
		quoted = **p == '"';
		*start = *p + quoted;
		n = strcspn(*start, quoted ? "\"" : " \t\r\n\"");
		*p = *start + n;
		*p += quoted && **p == '"';
	} while (n == 0 && **p != '\0');
	return n;
}

static int make_match(struct finding *f, struct err *e)
{
	autojw struct jw w = {0};
	const char *p = f->q->text, *start;
	unsigned terms = 0;
	size_t n;

	if (strlen(p) > SEARCH_QUERY_MAX)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "a search has at most %d bytes",
			       SEARCH_QUERY_MAX);
	while ((n = next_term(&p, &start)) > 0) {
		if (++terms > SEARCH_WORDS_MAX)
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "a search has at most %d words",
				       SEARCH_WORDS_MAX);
		jw_lit(&w, " \"", 2);
		jw_lit(&w, start, n);
		jw_lit(&w, "\"", 1);
	}
	if (terms == 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "there is nothing to search for");
	f->match = jw_take(&w, NULL);
	return f->match ? 0 : err_set(e, -ENOMEM, "search: out of memory");
}

/* --- hits --------------------------------------------------------------- */

static int newest_first(const void *a, const void *b)
{
	const struct hit *x = a, *y = b;

	if (x->at.ts_ms != y->at.ts_ms)
		return x->at.ts_ms < y->at.ts_ms ? 1 : -1;
	if (strcmp(x->session, y->session) != 0)
		return strcmp(y->session, x->session);
	return x->seq < y->seq ? 1 : x->seq > y->seq ? -1 : 0;
}

/* Keep as many as are wanted. */
static void cut_hits(struct finding *f)
{
	if (f->n > 0)
		qsort(f->hits, f->n, sizeof(*f->hits), newest_first);
	while (f->n > f->limit)
		free(f->hits[--f->n].snippet);
}

static struct hit *add_hit(struct finding *f)
{
	struct hit *h;

	if (f->n >= 4 * (size_t)f->limit)
		cut_hits(f);
	if (f->n == f->cap) {
		size_t cap = f->cap ? f->cap * 2 : 16;

		h = reallocarray(f->hits, cap, sizeof(*h));
		if (h == NULL)
			return NULL;
		f->hits = h;
		f->cap = cap;
	}
	h = &f->hits[f->n++];
	*h = (struct hit){0};
	return h;
}

/* The match of one text: @q's columns are its snippet and the whole of it with
 * marks.  That text is at @t. */
static int take_hit(struct finding *f, sqlite3_stmt *q, const char *session,
		    const struct search_text *t, struct err *e)
{
	const char *snippet = (const char *)sqlite3_column_text(q, 0);
	const char *marked = (const char *)sqlite3_column_text(q, 1);
	struct hit *h = add_hit(f);

	if (h == NULL)
		return err_set(e, -ENOMEM, "search: out of memory");
	h->at = *t;
	memcpy(h->session, session, ID_MAX);
	h->seq = search_text_seq(f->reader, session, t,
				 marked ? strcspn(marked, MARK) : 0);
	h->snippet = strdup(snippet ? snippet : "");
	return h->snippet ? 0 : err_set(e, -ENOMEM, "search: out of memory");
}

/* --- the index ---------------------------------------------------------- */

#define FITS \
	" (?2 IS NULL OR s.id=?2) AND (?3=0 OR (s.archived_ms IS NULL)=(?3<0))"
#define NOT_ABANDONED                                  \
	" NOT EXISTS (SELECT 1 FROM abandoned a WHERE" \
	"  a.session_id=s.id AND d.first_seq BETWEEN a.from_seq AND a.to_seq)"
#define EXCERPT                                       \
	"snippet(search, 0, ?3, ?4, '…', " WORDS ")," \
	" highlight(search, 0, '" MARK "', '')"

static const char select_docs[] =
	"SELECT d.id, s.id, d.turn_id, d.role, d.first_seq, d.last_seq, d.ts_ms"
	" FROM search JOIN search_doc d ON d.id=search.rowid"
	" JOIN session s ON s.n=d.session_n"
	" WHERE search MATCH ?1 AND" FITS " AND" NOT_ABANDONED
	" ORDER BY d.ts_ms DESC, d.id DESC LIMIT ?4";
static const char select_excerpt[] =
	"SELECT " EXCERPT " FROM search WHERE search MATCH ?1 AND rowid=?2";

static const char *role_of(const unsigned char *name)
{
	static const char *const roles[] = {"user", "agent", "tool", "title"};

	for (size_t i = 0; name != NULL && i < ARRAY_LEN(roles); i++)
		if (strcmp(roles[i], (const char *)name) == 0)
			return roles[i];
	return "agent";
}

static const char *or_empty(const char *s)
{
	return s ? s : "";
}

static int read_excerpt(struct finding *f, sqlite3 *db, int64_t id,
			const char *session, const struct search_text *t,
			struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(db, &q, e, select_excerpt, "siss", f->match, id,
			   or_empty(f->q->mark_on), or_empty(f->q->mark_off));

	if (r == 0)
		r = db_step(q, e);
	return r > 0 ? take_hit(f, q, session, t, e) : r;
}

static int take_doc(struct finding *f, sqlite3_stmt *q, struct err *e)
{
	const char *session = (const char *)sqlite3_column_text(q, 1);
	const char *turn = (const char *)sqlite3_column_text(q, 2);
	struct search_text t = {
		.role = role_of(sqlite3_column_text(q, 3)),
		.first_seq = sqlite3_column_int64(q, 4),
		.last_seq = sqlite3_column_int64(q, 5),
		.ts_ms = sqlite3_column_int64(q, 6),
	};

	if (!id_is(session, "ses"))
		return 0;
	if (turn != NULL && strlen(turn) < ID_MAX)
		strcpy(t.turn, turn);
	return read_excerpt(f, f->reader->db, sqlite3_column_int64(q, 0),
			    session, &t, e);
}

static int ask_index(struct finding *f, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(f->reader->db, &q, e, select_docs, "ssii", f->match,
			   f->q->session, (int64_t)f->q->archived,
			   (int64_t)f->limit);

	while (r >= 0 && (r = db_step(q, e)) > 0)
		r = take_doc(f, q, e);
	return r;
}

/* --- what is not in it yet ---------------------------------------------- */

/* The same words as the index on disk. */
static const char memory_sql[] = "CREATE VIRTUAL TABLE search USING fts5(text,"
				 " tokenize='unicode61 remove_diacritics 2')";

#define TAILS(indexed)                                     \
	"SELECT s.id, " indexed " AS seq FROM session s"   \
	" WHERE s.last_seq>" indexed " AND ?1=?1 AND" FITS \
	" ORDER BY s.n DESC"

static const char select_tails[] =
	TAILS("coalesce((SELECT seq FROM search_state x"
	      " WHERE x.session_n=s.n), 0)");
static const char select_all[] = TAILS("0");

/* Search texts in an index of their own. */
static int ask_texts(struct finding *f, sqlite3 *db, const char *session,
		     const struct search_text_list *texts, struct err *e)
{
	const struct search_text *t;
	int64_t id = 0;
	int r = db_exec(db, "DELETE FROM search", e);

	TAILQ_FOREACH (t, texts, link) {
		if (r < 0)
			return r;
		r = db_run(db, e,
			   "INSERT INTO search(rowid, text) VALUES(?, ?)", "iS",
			   ++id, or_empty(t->text.buf), t->text.len);
	}
	id = 0;
	TAILQ_FOREACH (t, texts, link) {
		if (r < 0)
			return r;
		r = read_excerpt(f, db, ++id, session, t, e);
	}
	return r;
}

/* Ranges that a rewind has undone. */
static bool is_abandoned(struct reader *r, const char *session, int64_t seq)
{
	static const char sql[] = "SELECT 1 FROM abandoned WHERE session_id=?1"
				  " AND ?2 BETWEEN from_seq AND to_seq";
	autostmt sqlite3_stmt *q = NULL;

	return db_prepare(r->db, &q, NULL, sql, "si", session, seq) == 0 &&
	       db_step(q, NULL) > 0;
}

static void drop_abandoned(struct reader *r, const char *session,
			   struct search_text_list *texts)
{
	struct search_text_list kept = TAILQ_HEAD_INITIALIZER(kept);
	struct search_text *t;

	while ((t = TAILQ_FIRST(texts)) != NULL) {
		TAILQ_REMOVE(texts, t, link);
		if (is_abandoned(r, session, t->first_seq)) {
			jw_done(&t->text);
			free(t);
		} else {
			TAILQ_INSERT_TAIL(&kept, t, link);
		}
	}
	TAILQ_CONCAT(texts, &kept, link);
}

static int ask_tail(struct finding *f, sqlite3 *db, const char *session,
		    int64_t since, struct err *e)
{
	int more = 1, r = 0;

	while (more == 1 && r >= 0) {
		struct search_text_list texts = TAILQ_HEAD_INITIALIZER(texts);

		more = search_text_read(f->reader, session, since, SLICE_BYTES,
					true, &texts, &since, e);
		if (more >= 0) {
			drop_abandoned(f->reader, session, &texts);
			r = ask_texts(f, db, session, &texts, e);
		}
		search_text_free(&texts);
	}
	return more < 0 ? more : r;
}

static bool has_index(struct reader *r)
{
	autofree char *found = NULL;

	return reader_value(r,
			    "SELECT 1 FROM sqlite_schema WHERE"
			    " name='search_state'",
			    NULL, &found, NULL) == 1;
}

static int ask_tails(struct finding *f, bool indexed, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	autodb sqlite3 *db = NULL;
	int r = db_prepare(f->reader->db, &q, e,
			   indexed ? select_tails : select_all, "ssi", "",
			   f->q->session, (int64_t)f->q->archived);

	while (r >= 0 && (r = db_step(q, e)) > 0) {
		char session[ID_MAX];
		const char *id = (const char *)sqlite3_column_text(q, 0);

		if (!id_is(id, "ses"))
			continue;
		strcpy(session, id);
		if (db == NULL && (r = db_open_memory(&db, e)) == 0)
			r = db_exec(db, memory_sql, e);
		if (r >= 0)
			r = ask_tail(f, db, session, sqlite3_column_int64(q, 1),
				     e);
	}
	return r;
}

/* --- the answer --------------------------------------------------------- */

static void write_hit(struct finding *f, const struct hit *h, struct jw *out)
{
	const char *args[] = {h->session, NULL};
	autofree char *title = NULL;

	(void)reader_value(f->reader,
			   "SELECT title FROM session WHERE id=?1 AND title"
			   " IS NOT NULL",
			   args, &title, NULL);
	jw_obj(out);
	jw_kstr(out, "session", h->session);
	jw_kstr(out, "session_title", title);
	jw_kstr(out, "turn", h->at.turn[0] ? h->at.turn : NULL);
	jw_kint(out, "seq", h->seq);
	jw_kstr(out, "role", h->at.role);
	jw_kint(out, "ts_ms", h->at.ts_ms);
	jw_kstr(out, "snippet", h->snippet);
	jw_obj_end(out);
}

static int find(struct finding *f, struct err *e)
{
	bool indexed = has_index(f->reader);
	int r = ask_tails(f, indexed, e);

	if (r >= 0 && indexed)
		r = ask_index(f, e);
	cut_hits(f);
	return r < 0 ? r : 0;
}

static void finding_done(struct finding *f)
{
	f->limit = 0;
	cut_hits(f);
	free(f->hits);
	free(f->match);
}

int search_find(struct reader *r, const struct search_query *q, struct jw *out,
		struct err *e)
{
	struct finding f = {.reader = r, .q = q, .limit = q->limit};
	struct session_brief b;
	int code = make_match(&f, e), n = 0;

	if (f.limit == 0)
		f.limit = SEARCH_LIMIT;
	if (f.limit > SEARCH_LIMIT_MAX)
		f.limit = SEARCH_LIMIT_MAX;
	if (code == 0 && q->session != NULL)
		code = reader_session(r, q->session, &b, e);
	if (code == 0)
		code = db_exec(r->db, "BEGIN", e);
	if (code == 0) {
		code = find(&f, e);
		for (size_t i = 0; code == 0 && i < f.n; i++, n++)
			write_hit(&f, &f.hits[i], out);
		(void)db_exec(r->db, "COMMIT", NULL);
	}
	finding_done(&f);
	if (code == 0 && out->failed)
		return err_set(e, -ENOMEM, "search: out of memory");
	return code < 0 ? code : n;
}

/* --- filling the index -------------------------------------------------- */

int64_t search_indexed(struct reader *r, const char *session)
{
	const char *args[] = {session, NULL};
	autofree char *seq = NULL;

	if (reader_value(r,
			 "SELECT seq FROM search_state WHERE session_n="
			 "(SELECT n FROM session WHERE id=?1)",
			 args, &seq, NULL) != 1)
		return 0;
	return strtoll(seq, NULL, 10);
}

static int add_one(sqlite3 *db, int64_t n, const struct search_text *t,
		   struct err *e)
{
	const char *turn = t->turn[0] ? t->turn : NULL;
	const char *text = or_empty(t->text.buf);
	int r = db_run(db, e,
		       "INSERT INTO search_doc(session_n, first_seq, last_seq,"
		       " ts_ms, turn_id, role, text) VALUES(?,?,?,?,?,?,?)",
		       "iiiissS", n, t->first_seq, t->last_seq, t->ts_ms, turn,
		       t->role, text, t->text.len);

	if (r < 0)
		return r;
	return db_run(db, e, "INSERT INTO search(rowid, text) VALUES(?, ?)",
		      "iS", (int64_t)sqlite3_last_insert_rowid(db), text,
		      t->text.len);
}

/* Local key of a session whose index is at @since; 0: it is not. */
static int64_t find_state(sqlite3 *db, const char *session, int64_t since,
			  struct err *e)
{
	static const char sql[] =
		"SELECT n FROM session WHERE id=?1 AND ?2=coalesce("
		"(SELECT seq FROM search_state WHERE session_n=n), 0)";
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(db, &q, e, sql, "si", session, since);

	if (r == 0)
		r = db_step(q, e);
	return r > 0 ? sqlite3_column_int64(q, 0) : r;
}

int search_add(sqlite3 *db, const char *session, int64_t since, int64_t through,
	       const struct search_text_list *texts, struct err *e)
{
	const struct search_text *t;
	int64_t n = find_state(db, session, since, e);
	int r = 0;

	if (n <= 0)
		return (int)n;
	TAILQ_FOREACH (t, texts, link) {
		r = add_one(db, n, t, e);
		if (r < 0)
			return r;
	}
	r = db_run(db, e,
		   "INSERT INTO search_state(session_n, seq) VALUES(?1, ?2)"
		   " ON CONFLICT DO UPDATE SET seq=excluded.seq",
		   "ii", n, through);
	return r < 0 ? r : 0;
}

int search_cut(sqlite3 *db, int64_t session_n, int64_t from, struct err *e)
{
	static const char first[] =
		"SELECT min(first_seq) FROM search_doc WHERE session_n=?1"
		" AND first_seq<?2 AND last_seq>=?2";
	static const char forget[] =
		"INSERT INTO search(search, rowid, text) SELECT 'delete', id,"
		"  text FROM search_doc WHERE session_n=?1 AND first_seq>=?2";
	static const char *const undo[] = {
		forget,
		"DELETE FROM search_doc WHERE session_n=?1 AND first_seq>=?2",
		"UPDATE search_state SET seq=?2-1 WHERE session_n=?1",
	};
	autostmt sqlite3_stmt *q = NULL;
	int64_t begin;
	int r = db_prepare(db, &q, e, first, "ii", session_n, from);

	if (r == 0)
		r = db_step(q, e);
	if (r <= 0 || sqlite3_column_type(q, 0) == SQLITE_NULL)
		return r < 0 ? r : 0;
	begin = sqlite3_column_int64(q, 0);
	for (size_t i = 0; i < ARRAY_LEN(undo) && r >= 0; i++)
		r = db_run(db, e, undo[i], "ii", session_n, begin);
	return r < 0 ? r : 0;
}
