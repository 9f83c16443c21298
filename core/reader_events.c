// SPDX-License-Identifier: Apache-2.0
/*
 * reader_events.c - Pages of a session's log
 *
 * Two ways lead to a page.  Where updates are wanted, nearly all rows are: the
 * log is walked in the order of seq, and what the filter does not pass is
 * skipped here.  Where they are not, the index event_other, which leaves them
 * out, is asked for the seqs of each type, so that ten turns are found in a
 * million chunks without reading these.
 *
 * A page is one statement, and no transaction outlives it.  Walking with a
 * filter is bounded by READER_SCAN_MAX; the cursor moves over what was skipped.
 */
#include <stdio.h>
#include <string.h>

#include "core/reader_impl.h"
#include "core/type_filter.h"

#define FOLD_PAGE 256 /* Events between which a fold lets go of the file. */

/* What becomes of an event.  Return: 0; 1 when the page has no room for it; an
 * error or a callback's result below 0. */
typedef int (*scan_sink)(const struct event_spec *ev, void *arg);

struct scan {
	struct reader *reader;
	const struct event_query *q;
	struct type_filter filter;
	int64_t n, last_seq, epoch, first_seq; /* Of the session. */
	int64_t after, before; /* Wanted seqs are strictly between. */
	unsigned limit;
	bool by_index; /* No update is wanted. */
	scan_sink sink;
	void *arg;
};

static const char select_session[] =
	"SELECT n, last_seq, epoch, coalesce((SELECT seq FROM event"
	"  WHERE session_n=s.n ORDER BY seq LIMIT 1), last_seq+1)"
	" FROM session s WHERE id=?1";
static const char select_turn[] =
	"SELECT first_seq, last_seq FROM turn WHERE session_id=?1 AND id=?2";
static const char select_upward[] =
	"SELECT " READER_EVENT_COLUMNS " FROM event"
	" WHERE session_n=?1 AND seq>?2 AND seq<?3 ORDER BY seq LIMIT ?4";
static const char select_downward[] =
	"SELECT " READER_EVENT_COLUMNS " FROM event"
	" WHERE session_n=?1 AND seq>?2 AND seq<?3 ORDER BY seq DESC LIMIT ?4";

/*
 * Preparing.
 */

static int find_session(struct scan *s, struct err *e)
{
	autoreading struct reading g = {0};
	int r = reading_begin(&g, s->reader, e, select_session, "s",
			      s->q->session);

	if (r == 0)
		r = db_step(g.q, e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no such session");
	s->n = sqlite3_column_int64(g.q, 0);
	s->last_seq = sqlite3_column_int64(g.q, 1);
	s->epoch = sqlite3_column_int64(g.q, 2);
	s->first_seq = sqlite3_column_int64(g.q, 3);
	return 0;
}

static int check_cursor(const struct scan *s, struct err *e)
{
	int64_t since = s->q->since;

	if (since > s->last_seq) {
		err_set(e, -FAULT_CURSOR_AHEAD,
			"session %s ends at event %lld, not at %lld",
			s->q->session, (long long)s->last_seq,
			(long long)since);
		err_data(e, "\"last_seq\":%lld,\"epoch\":%lld",
			 (long long)s->last_seq, (long long)s->epoch);
		return -FAULT_CURSOR_AHEAD;
	}
	if (!s->q->descending && since < s->first_seq - 1) {
		err_set(e, -FAULT_CURSOR_GONE,
			"session %s begins at event %lld: older ones are "
			"removed",
			s->q->session, (long long)s->first_seq);
		err_data(e, "\"first_seq\":%lld", (long long)s->first_seq);
		return -FAULT_CURSOR_GONE;
	}
	return 0;
}

/* All events of a turn stand between its first and its last. */
static int narrow_to_turn(struct scan *s, struct err *e)
{
	autoreading struct reading g = {0};
	int r;

	if (s->q->turn == NULL)
		return 0;
	r = reading_begin(&g, s->reader, e, select_turn, "ss", s->q->session,
			  s->q->turn);
	if (r == 0)
		r = db_step(g.q, e);
	if (r < 0)
		return r;
	if (r == 0)
		return err_set(e, -FAULT_TURN_NOT_FOUND,
			       "session %s has no such turn", s->q->session);
	if (sqlite3_column_int64(g.q, 0) > s->after)
		s->after = sqlite3_column_int64(g.q, 0) - 1;
	if (sqlite3_column_type(g.q, 1) != SQLITE_NULL &&
	    sqlite3_column_int64(g.q, 1) < s->before)
		s->before = sqlite3_column_int64(g.q, 1) + 1;
	return 0;
}

static int scan_init(struct scan *s, struct err *e)
{
	const struct event_query *q = s->q;
	int r = type_filter_init(&s->filter, q->types, q->exclude, e);

	if (r == 0)
		r = find_session(s, e);
	if (r == 0)
		r = check_cursor(s, e);
	if (r < 0)
		return r;

	s->limit = q->limit ? q->limit : READER_PAGE_EVENTS;
	if (s->limit > READER_PAGE_MAX)
		s->limit = READER_PAGE_MAX;
	s->by_index = !type_filter_passes(&s->filter, "acp.update");
	s->before = INT64_MAX;
	if (!q->descending)
		s->after = q->since;
	else if (q->since > 0)
		s->before = q->since;
	return narrow_to_turn(s, e);
}

/* Rows that the statement may give: one more than are used tells whether there
 * are more. */
static int64_t row_limit(const struct scan *s)
{
	const struct event_query *q = s->q;
	bool skips = q->turn != NULL || q->from_ms != 0 || q->to_ms != 0 ||
		     s->filter.n_exclude > 0 ||
		     (s->filter.n_types > 0 && !s->by_index);

	return (skips ? (int64_t)READER_SCAN_MAX : (int64_t)s->limit) + 1;
}

/*
 * The statement over the index of other types:
 *
 *	SELECT .. FROM event WHERE session_n=?1 AND seq IN (
 *	  SELECT seq .. AND type=?4
 *	  UNION SELECT seq .. AND type>=?5 AND type<?6
 *	  ORDER BY seq LIMIT n) ORDER BY seq
 */

static void put_sql(struct jw *sql, const char *s)
{
	jw_lit(sql, s, strlen(s));
}

static void put_branch(struct jw *sql, const char *condition)
{
	put_sql(sql, "SELECT seq FROM event INDEXED BY event_other"
		     " WHERE session_n=?1 AND type<>'acp.update'"
		     " AND seq>?2 AND seq<?3");
	put_sql(sql, condition);
}

static void put_order(const struct scan *s, struct jw *sql)
{
	put_sql(sql, " ORDER BY seq");
	if (s->q->descending)
		put_sql(sql, " DESC");
}

static void write_index_sql(const struct scan *s, struct jw *sql)
{
	char limit[40];

	put_sql(sql, "SELECT " READER_EVENT_COLUMNS " FROM event"
		     " WHERE session_n=?1 AND seq IN (");
	if (s->filter.n_types == 0)
		put_branch(sql, "");
	for (unsigned i = 0; i < s->filter.n_types; i++) {
		if (i > 0)
			put_sql(sql, " UNION ");
		put_branch(sql, s->filter.types[i].prefix
					? " AND type>=? AND type<?"
					: " AND type=?");
	}
	put_order(s, sql);
	snprintf(limit, sizeof(limit), " LIMIT %lld)", (long long)row_limit(s));
	put_sql(sql, limit);
	put_order(s, sql);
}

/* The first type behind all that begin with @p: the last byte is one up. */
static void type_behind(const struct type_pattern *p, char out[EVENT_TYPE_MAX])
{
	strcpy(out, p->len > 0 ? p->text : "y");
	out[strlen(out) - 1]++;
}

static int bind_type(sqlite3_stmt *q, int *i, const char *type)
{
	return sqlite3_bind_text(q, (*i)++, type, -1, SQLITE_TRANSIENT);
}

static int bind_types(const struct scan *s, sqlite3_stmt *q)
{
	char behind[EVENT_TYPE_MAX];
	int i = 4, r = SQLITE_OK;

	for (unsigned t = 0; t < s->filter.n_types && r == SQLITE_OK; t++) {
		const struct type_pattern *p = &s->filter.types[t];

		r = bind_type(q, &i, p->text);
		if (r != SQLITE_OK || !p->prefix)
			continue;
		type_behind(p, behind);
		r = bind_type(q, &i, behind);
	}
	return r;
}

static int begin_by_index(const struct scan *s, struct reading *g,
			  struct err *e)
{
	autojw struct jw sql = {0};
	int r;

	write_index_sql(s, &sql);
	if (sql.failed)
		return err_set(e, -ENOMEM, "reader: out of memory");
	r = reading_begin_unbound(g, s->reader, e, sql.buf);
	if (r < 0)
		return r;
	if (sqlite3_bind_int64(g->q, 1, s->n) != SQLITE_OK ||
	    sqlite3_bind_int64(g->q, 2, s->after) != SQLITE_OK ||
	    sqlite3_bind_int64(g->q, 3, s->before) != SQLITE_OK ||
	    bind_types(s, g->q) != SQLITE_OK)
		return db_fail(s->reader->db, e, "reader");
	return 0;
}

static int begin(const struct scan *s, struct reading *g, struct err *e)
{
	if (s->by_index)
		return begin_by_index(s, g, e);
	return reading_begin(g, s->reader, e,
			     s->q->descending ? select_downward : select_upward,
			     "iiii", s->n, s->after, s->before, row_limit(s));
}

/*
 * Walking.
 */

/* A column's text; NULL stays NULL. */
static const char *column(sqlite3_stmt *q, int i, size_t *len)
{
	const char *s = (const char *)sqlite3_column_text(q, i);

	*len = (size_t)sqlite3_column_bytes(q, i);
	return s;
}

static bool is_object_text(const char *s, size_t len)
{
	return len >= 2 && s[0] == '{' && s[len - 1] == '}';
}

int reader_row_event(sqlite3_stmt *q, const char *session,
		     struct event_spec *out, struct err *e)
{
	size_t type_len, turn_len;

	*out = (struct event_spec){.session = session,
				   .seq = sqlite3_column_int64(q, 0),
				   .epoch = sqlite3_column_int64(q, 1),
				   .ts_ms = sqlite3_column_int64(q, 2)};
	out->type = column(q, 3, &type_len);
	out->turn = column(q, 4, &turn_len);
	out->ctx = column(q, 5, &out->ctx_len);
	out->data = column(q, 6, &out->data_len);
	if (out->type == NULL || !event_type_ok(out->type) ||
	    (out->turn != NULL && !id_is(out->turn, "trn")) ||
	    (out->ctx != NULL && !is_object_text(out->ctx, out->ctx_len)) ||
	    out->data == NULL || !is_object_text(out->data, out->data_len))
		return err_set(e, -EUCLEAN, "session %s: event %lld is damaged",
			       session, (long long)out->seq);
	return 0;
}

static bool passes(const struct scan *s, const struct event_spec *ev)
{
	const struct event_query *q = s->q;

	if (q->turn != NULL &&
	    (ev->turn == NULL || strcmp(ev->turn, q->turn) != 0))
		return false;
	if (q->from_ms != 0 && ev->ts_ms < q->from_ms)
		return false;
	if (q->to_ms != 0 && ev->ts_ms > q->to_ms)
		return false;
	return type_filter_passes(&s->filter, ev->type);
}

/* Return: 1 to go on; 0 when the page is full at this row; an error. */
static int look_at(const struct scan *s, sqlite3_stmt *q,
		   struct event_page *page, struct err *e)
{
	struct event_spec ev;
	int r;

	if (page->count == s->limit)
		return 0;
	r = reader_row_event(q, s->q->session, &ev, e);
	if (r < 0)
		return r;
	if (passes(s, &ev)) {
		r = s->sink(&ev, s->arg);
		if (r != 0)
			return r < 0 ? r : 0;
		page->count++;
	}
	page->next_since = ev.seq;
	return 1;
}

/* Behind the last row upwards there is nothing that the filter passes. */
static void reach_end(const struct scan *s, struct event_page *page)
{
	if (!s->q->descending && page->next_since < s->last_seq)
		page->next_since = s->last_seq;
}

static int scan(struct scan *s, struct event_page *page, struct err *e)
{
	autoreading struct reading g = {0};
	int64_t rows = 0, max_rows;
	int r = scan_init(s, e);

	if (r == 0)
		r = begin(s, &g, e);
	if (r < 0)
		return r;

	page->count = 0;
	page->has_more = false;
	page->next_since = s->q->since;
	max_rows = row_limit(s) - 1;
	while ((r = db_step(g.q, e)) > 0) {
		r = rows++ < max_rows ? look_at(s, g.q, page, e) : 0;
		if (r <= 0) {
			page->has_more = r == 0;
			return r;
		}
	}
	if (r == 0)
		reach_end(s, page);
	return r;
}

/*
 * A page of lines.
 */

struct line_sink {
	struct jw *out;
	size_t start, max_bytes;
};

static int write_line(const struct event_spec *ev, void *arg)
{
	struct line_sink *s = arg;
	size_t before = s->out->len;

	event_write(s->out, ev);
	if (s->out->failed)
		return -ENOMEM;
	if (before == s->start || s->out->len - s->start <= s->max_bytes)
		return 0;
	s->out->len = before; /* Not this one. */
	s->out->buf[before] = '\0';
	return 1;
}

int reader_events(struct reader *r, const struct event_query *q,
		  struct event_page *page, struct err *e)
{
	struct line_sink sink = {
		.out = page->out,
		.start = page->out->len,
		.max_bytes = q->max_bytes ? q->max_bytes : READER_PAGE_BYTES,
	};
	struct scan s = {.reader = r, .q = q, .sink = write_line, .arg = &sink};
	int result = scan(&s, page, e);

	if (result == -ENOMEM)
		return err_set(e, -ENOMEM, "reader: out of memory");
	return result;
}

/*
 * A fold.
 */

struct fold {
	int (*cb)(const struct event *ev, void *arg);
	void *arg;
	int result; /* Of the callback. */
};

static int fold_event(const struct event_spec *spec, void *arg)
{
	struct fold *f = arg;
	autofree struct event *ev = event_new(spec);

	if (ev == NULL)
		return -ENOMEM;
	f->result = f->cb(ev, f->arg);
	return f->result != 0 ? -ECANCELED : 0;
}

int reader_each_event(struct reader *r, const struct event_query *q,
		      int (*cb)(const struct event *ev, void *arg), void *arg,
		      struct err *e)
{
	struct fold fold = {.cb = cb, .arg = arg};
	struct event_query step = *q;
	struct event_page page = {0};

	if (step.limit == 0)
		step.limit = FOLD_PAGE;
	do {
		struct scan s = {.reader = r,
				 .q = &step,
				 .sink = fold_event,
				 .arg = &fold};
		int result = scan(&s, &page, e);

		if (fold.result != 0)
			return fold.result;
		if (result == -ENOMEM)
			return err_set(e, -ENOMEM, "reader: out of memory");
		if (result < 0)
			return result;
		step.since = page.next_since;
	} while (page.has_more);
	return 0;
}
