// SPDX-License-Identifier: Apache-2.0
/*
 * check.c - Look for damage: the file, the numbering, the chain hashes
 *
 * SQLite looks at its own structures and at the foreign keys.  Then each log is
 * read from its first event: the seqs must follow each other, each event must
 * be well-formed, its chain hash must be the one that its content and the event
 * before give, and the log must end where the session says.  After a finding
 * the check goes on from what is stored, so that one fault is told once.
 *
 * A log may lack its beginning where retention has removed it: in a session that
 * is closed or archived, and in any guest.db, which may drop what the host has.
 * In a guest.db it may also lack what a rewind has abandoned.
 */
#include <stdio.h>
#include <string.h>

#include "core/reader_impl.h"

#define PAGE 1000 /* Events between which the file is let go of. */

static const char select_page[] =
	"SELECT " READER_EVENT_COLUMNS ", chain FROM event"
	" WHERE session_n=?1 AND seq>?2 ORDER BY seq LIMIT ?3";

typedef void (*report_cb)(const char *session, int64_t seq, const char *what,
			  void *arg);

struct check {
	struct reader *reader;
	report_cb report;
	void *arg;
	bool is_guest; /* The file is a guest.db. */
	int found;
};

/* The walk along one log. */
struct walk {
	const struct session_brief *session;
	int64_t seq, chain; /* Of the last event. */
	bool any;
};

static void tell(struct check *c, const char *session, int64_t seq,
		 const char *what)
{
	c->found++;
	c->report(session, seq, what, c->arg);
}

/*
 * The file.
 */

static int check_structure(struct check *c, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(c->reader->db, &q, e, "PRAGMA integrity_check", "");

	while (r >= 0) {
		const char *line;

		r = db_step(q, e);
		if (r <= 0)
			break;
		line = (const char *)sqlite3_column_text(q, 0);
		if (line != NULL && strcmp(line, "ok") != 0)
			tell(c, NULL, 0, line);
	}
	return r;
}

static int check_references(struct check *c, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	char what[ERR_MSG_MAX];
	int r = db_prepare(c->reader->db, &q, e, "PRAGMA foreign_key_check",
			   "");

	while (r >= 0 && (r = db_step(q, e)) > 0) {
		snprintf(what, sizeof(what),
			 "a row of %s refers to a row of %s that is missing",
			 (const char *)sqlite3_column_text(q, 0),
			 (const char *)sqlite3_column_text(q, 2));
		tell(c, NULL, 0, what);
	}
	return r;
}

static int find_role(struct check *c, struct err *e)
{
	static const char sql[] =
		"SELECT 1 FROM sqlite_schema WHERE name='sync'";
	autofree char *found = NULL;
	int r = reader_value(c->reader, sql, NULL, &found, e);

	c->is_guest = r > 0;
	return r;
}

/*
 * A log.
 */

static bool may_lack_beginning(const struct check *c,
			       const struct session_brief *s)
{
	return c->is_guest || s->archived_ms != 0 ||
	       strcmp(s->state, "closed") == 0 ||
	       strcmp(s->state, "expired") == 0;
}

/* A guest that was set back never had what it says is abandoned. */
static bool may_lack_before(const struct check *c, const struct walk *w,
			    const struct event_spec *ev)
{
	autojson struct json doc = {0};
	struct jv range, first;

	if (!c->is_guest || ev->type == NULL || ev->data == NULL ||
	    strcmp(ev->type, "session.rewound") != 0 ||
	    json_parse(&doc, ev->data, ev->data_len, NULL) < 0)
		return false;
	range = jv_get(json_root(&doc), "abandoned");
	first = jv_first(range);
	return jv_int(first, 0) == w->seq + 1 &&
	       jv_int(jv_next(range, first), 0) == ev->seq - 1;
}

static void check_number(struct check *c, const struct walk *w,
			 const struct event_spec *ev)
{
	char what[ERR_MSG_MAX];

	if (ev->seq == w->seq + 1 ||
	    (!w->any && may_lack_beginning(c, w->session)) ||
	    may_lack_before(c, w, ev))
		return;
	snprintf(what, sizeof(what), "events %lld to %lld are missing",
		 (long long)w->seq + 1, (long long)ev->seq - 1);
	tell(c, w->session->id, ev->seq, what);
}

/* Where the event before is not there, its hash cannot be known. */
static void check_chain(struct check *c, const struct walk *w,
			const struct event_spec *ev, int64_t chain)
{
	if (ev->seq != 1 && (!w->any || ev->seq != w->seq + 1))
		return;
	if (chain != event_chain(ev->seq == 1 ? 0 : w->chain, ev->seq, ev->type,
				 ev->data, ev->data_len))
		tell(c, w->session->id, ev->seq,
		     "the chain hash does not fit the content");
}

static void check_row(struct check *c, struct walk *w, sqlite3_stmt *q)
{
	struct event_spec ev;
	int64_t chain = sqlite3_column_int64(q, 7);
	bool sound = reader_row_event(q, w->session->id, &ev, NULL) == 0;

	check_number(c, w, &ev);
	if (sound)
		check_chain(c, w, &ev, chain);
	else
		tell(c, w->session->id, ev.seq, "the event is not well-formed");
	w->seq = ev.seq;
	w->chain = chain;
	w->any = true;
}

/* Return: number of rows. */
static int check_page(struct check *c, struct walk *w, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	int n = 0, r = db_prepare(c->reader->db, &q, e, select_page, "iii",
				  w->session->n, w->seq, (int64_t)PAGE);

	while (r >= 0) {
		r = db_step(q, e);
		if (r <= 0)
			break;
		check_row(c, w, q);
		n++;
	}
	return r < 0 ? r : n;
}

static int check_log(struct check *c, const struct session_brief *session,
		     struct err *e)
{
	struct walk w = {.session = session};
	char what[ERR_MSG_MAX];
	int n;

	do {
		n = check_page(c, &w, e);
		if (n < 0)
			return n;
	} while (n == PAGE);
	/* Written to meanwhile, the log may be longer than it was. */
	if (w.seq < session->last_seq &&
	    (w.any || !may_lack_beginning(c, session))) {
		snprintf(what, sizeof(what),
			 "the log ends at event %lld, the session at %lld",
			 (long long)w.seq, (long long)session->last_seq);
		tell(c, session->id, w.seq, what);
	}
	return 0;
}

/*
 * All logs.  Their ids are collected first, for no statement is to be open
 * while a long log is read.
 */

struct ids {
	struct session_brief *v;
	size_t n, cap;
};

static int collect(const struct session_brief *b, void *arg)
{
	struct ids *ids = arg;

	if (ids->n == ids->cap) {
		size_t cap = ids->cap ? 2 * ids->cap : 16;
		void *v = reallocarray(ids->v, cap, sizeof(*ids->v));

		if (v == NULL)
			return -ENOMEM;
		ids->v = v;
		ids->cap = cap;
	}
	ids->v[ids->n++] = *b;
	return 0;
}

static int check_logs(struct check *c, struct err *e)
{
	struct ids ids = {0};
	int r = reader_sessions(c->reader, NULL, collect, &ids, e);

	if (r == -ENOMEM)
		err_set(e, r, "check: out of memory");
	for (size_t i = 0; i < ids.n && r >= 0; i++)
		r = check_log(c, &ids.v[i], e);
	free(ids.v);
	return r;
}

int reader_check(struct reader *reader, report_cb report, void *arg,
		 struct err *e)
{
	struct check c = {.reader = reader, .report = report, .arg = arg};
	int r = find_role(&c, e);

	if (r >= 0)
		r = check_structure(&c, e);
	if (r >= 0)
		r = check_references(&c, e);
	if (r >= 0)
		r = check_logs(&c, e);
	return r < 0 ? r : c.found;
}
