// SPDX-License-Identifier: Apache-2.0
/*
 * project_again.c - The rows of a session after a rewind
 *
 * The session.rewound events are walked from the newest to the oldest.  One that
 * stands in a range found before is abandoned, and says nothing; else its range
 * is one of those that are abandoned now.
 *
 * The row of the session itself stays, for events and turns refer to it: it is
 * reset by its session.created.  Updates of the agent make no rows and are not
 * read, so this takes as long as the rest of the log.
 */
#include "core/project_again.h"

#include <string.h>

#include "core/db.h"
#include "core/purge.h"
#include "core/reader_impl.h"
#include "core/search.h"

/* Not of a hot path: these are not kept with the writer's statements. */
#define run(p, sql, fmt, ...) \
	db_run((p)->db->db, (p)->e, sql, fmt, ##__VA_ARGS__)

struct range {
	int64_t from, to;
};

/* Return: whether the event abandons a range that can be. */
static bool read_range(struct jv data, int64_t seq, struct range *out)
{
	struct jv list = jv_get(data, "abandoned");
	struct jv first = jv_first(list);

	if (!jv_is(list, JV_ARRAY) || jv_count(list) != 2)
		return false;
	out->from = jv_int(first, 0);
	out->to = jv_int(jv_next(list, first), 0);
	return out->from >= 1 && out->to >= out->from && out->to < seq;
}

/*
 * The ranges.
 */

static const char rewinds[] =
	"SELECT seq, epoch, data FROM event WHERE session_n=?1"
	" AND type='session.rewound' AND type<>'acp.update'"
	" ORDER BY seq DESC";
static const char insert_range[] =
	"INSERT INTO abandoned(session_id, from_seq, to_seq, by_epoch,"
	"  snapshot_id) SELECT ?1, ?2, ?3, ?4, ?5 WHERE NOT EXISTS"
	"  (SELECT 1 FROM abandoned WHERE session_id=?1"
	"   AND ?6 BETWEEN from_seq AND to_seq)"
	/* Of a log that was not written by us. */
	" ON CONFLICT DO UPDATE SET to_seq=max(to_seq, excluded.to_seq)";

static int add_range(struct projection *p, sqlite3_stmt *q)
{
	const char *text = (const char *)sqlite3_column_text(q, 2);
	int64_t seq = sqlite3_column_int64(q, 0);
	autojson struct json doc = {0};
	char snapshot[ID_MAX] = "";
	struct jv data;
	struct range a;

	if (text == NULL || json_parse(&doc, text, strlen(text), NULL) < 0)
		return 0;
	data = json_root(&doc);
	if (!read_range(data, seq, &a))
		return 0;
	if (jv_strcpy(jv_get(data, "snapshot"), snapshot, ID_MAX) < 0 ||
	    !id_is(snapshot, "snp"))
		snapshot[0] = '\0';
	return run(p, insert_range, "siiisi", p->ev->session, a.from, a.to,
		   sqlite3_column_int64(q, 1),
		   snapshot[0] != '\0' ? snapshot : NULL, seq);
}

static int find_ranges(struct projection *p)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = run(p, "DELETE FROM abandoned WHERE session_id=?1", "s",
		    p->ev->session);

	if (r >= 0)
		r = db_prepare(p->db->db, &q, p->e, rewinds, "i", p->n);
	while (r >= 0 && (r = db_step(q, p->e)) > 0)
		r = add_range(p, q);
	return r;
}

/*
 * The rows.
 */

static const char is_here[] =
	"SELECT 1 FROM event WHERE session_n=?1 AND seq=1 AND EXISTS"
	" (SELECT 1 FROM event WHERE session_n=?1 AND seq BETWEEN ?2 AND ?3)";
/* The numbers are sorted, not the events: LIMIT keeps both apart. */
static const char left[] =
	"SELECT " READER_EVENT_COLUMNS " FROM"
	" (SELECT seq AS at FROM event x INDEXED BY event_other"
	"  WHERE session_n=?1 AND type<>'acp.update' ORDER BY seq LIMIT -1)"
	" CROSS JOIN event e ON e.session_n=?1 AND e.seq=at"
	" WHERE NOT EXISTS (SELECT 1 FROM abandoned a WHERE a.session_id=?2"
	"  AND at BETWEEN a.from_seq AND a.to_seq)";

/* Return: whether both the range and the beginning of the log are stored. */
static int can_repeat(struct projection *p, const struct range *a)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(p->db->db, &q, p->e, is_here, "iii", p->n, a->from,
			   a->to);

	return r < 0 ? r : db_step(q, p->e);
}

static int repeat_row(struct projection *p, sqlite3_stmt *q)
{
	autofree struct event *ev = NULL;
	struct event_spec spec;
	int r = reader_row_event(q, p->ev->session, &spec, p->e);

	if (r < 0)
		return r;
	ev = event_new(&spec);
	if (ev == NULL)
		return err_set(p->e, -ENOMEM, "projection: out of memory");
	return project_event_again(p, ev);
}

static int repeat_all(struct projection *p)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(p->db->db, &q, p->e, left, "is", p->n,
			   p->ev->session);

	while (r >= 0 && (r = db_step(q, p->e)) > 0)
		r = repeat_row(p, q);
	return r;
}

int project_again(struct projection *p)
{
	struct range a;
	int r;

	if (!read_range(p->data, p->ev->seq, &a))
		return 0;
	r = find_ranges(p);
	if (r >= 0)
		r = can_repeat(p, &a);
	if (r <= 0)
		return r;
	r = p->host ? search_cut(p->db->db, p->n, a.from, p->e) : 0;
	if (r >= 0)
		r = purge_projected(p->db->db, p->ev->session, p->e);
	return r < 0 ? r : repeat_all(p);
}
