// SPDX-License-Identifier: Apache-2.0
/*
 * project_notes.c - The rows of notes: kv, memory, summary
 *
 * What a log holds may come from anywhere.  A key or value that note.h would not
 * have written makes no row.
 */
#include "core/project_notes.h"

#include <string.h>

#include "core/db.h"
#include "core/note.h"

#define run(p, sql, fmt, ...) \
	db_cache_run((p)->db, (p)->e, sql, fmt, ##__VA_ARGS__)

static const char *member_key(struct projection *p)
{
	return member_text_of(p, jv_get(p->data, "key"), 1, NOTE_KEY_MAX);
}

/*
 * kv
 */

int project_kv_set(struct projection *p)
{
	static const char sql[] =
		"INSERT INTO kv(session_id, key, value, created_ms, updated_ms)"
		" VALUES(?1, ?2, ?3, ?4, ?4) ON CONFLICT DO UPDATE SET"
		"  value=excluded.value, updated_ms=excluded.updated_ms";
	const char *key = member_key(p);
	const char *value =
		member_text_of(p, jv_get(p->data, "value"), 0, NOTE_VALUE_MAX);

	if (key == NULL || value == NULL)
		return 0;
	return run(p, sql, "sssi", p->ev->session, key, value, p->ev->ts_ms);
}

int project_kv_deleted(struct projection *p)
{
	const char *key = member_key(p);

	if (key == NULL)
		return 0;
	return run(p, "DELETE FROM kv WHERE session_id=?1 AND key=?2", "ss",
		   p->ev->session, key);
}

/*
 * memory
 */

static bool is_shared(struct projection *p)
{
	return jv_eq(jv_get(p->data, "scope"), "vm");
}

/* @value: NULL deletes. */
static int set_shared(struct projection *p, const char *key, const char *value,
		      struct slice meta)
{
	static const char sql[] =
		"INSERT INTO memory_shared(session_id, key, value, meta, rev,"
		"  created_ms, updated_ms)"
		" VALUES(?1, ?2, ?3, coalesce(?4, '{}'), ?5, ?6, ?6)"
		" ON CONFLICT DO UPDATE SET value=excluded.value,"
		"  meta=excluded.meta, rev=excluded.rev,"
		"  updated_ms=excluded.updated_ms";

	return run(p, sql, "sssSii", p->ev->session, key, value, meta.p,
		   meta.len, jv_int(jv_get(p->data, "rev"), 0), p->ev->ts_ms);
}

/* A value that is not a string is kept as JSON. */
static const char *memory_value(struct projection *p)
{
	struct jv value = jv_get(p->data, "value");
	struct slice s;

	if (jv_is(value, JV_STRING))
		return member_text_of(p, value, 0, NOTE_VALUE_MAX);
	s = member_json_of(value, jv_type(value), NOTE_VALUE_MAX);
	return s.p != NULL ? member_hold(p, strndup(s.p, s.len)) : NULL;
}

int project_memory_set(struct projection *p)
{
	static const char sql[] =
		"INSERT INTO memory(session_id, key, value, meta, created_ms,"
		"  updated_ms) VALUES(?1, ?2, ?3, coalesce(?4, '{}'), ?5, ?5)"
		" ON CONFLICT DO UPDATE SET value=excluded.value,"
		"  meta=excluded.meta, updated_ms=excluded.updated_ms";
	const char *key = member_key(p), *value = memory_value(p);
	struct slice meta = member_json(p, "meta", JV_OBJECT);

	if (key == NULL || value == NULL)
		return 0;
	if (is_shared(p))
		return set_shared(p, key, value, meta);
	return run(p, sql, "sssSi", p->ev->session, key, value, meta.p,
		   meta.len, p->ev->ts_ms);
}

int project_memory_deleted(struct projection *p)
{
	const char *key = member_key(p);

	if (key == NULL)
		return 0;
	if (is_shared(p))
		return set_shared(p, key, NULL, (struct slice){0});
	return run(p, "DELETE FROM memory WHERE session_id=?1 AND key=?2", "ss",
		   p->ev->session, key);
}

/*
 * summary
 */

int project_summary(struct projection *p)
{
	static const char sql[] =
		"INSERT OR REPLACE INTO summary(session_id, to_seq, from_seq,"
		"  text, tokens, model, created_ms)"
		" VALUES(?1, ?2, ?3, ?4, nullif(?5, -1), ?6, ?7)";
	int64_t to = jv_int(jv_get(p->data, "to_seq"), 0);
	int64_t from = jv_int(jv_get(p->data, "from_seq"), 0);
	const char *words =
		member_text_of(p, jv_get(p->data, "text"), 0, NOTE_TEXT_MAX);

	if (from < 1 || to < from || words == NULL)
		return 0;
	return run(p, sql, "siisisi", p->ev->session, to, from, words,
		   jv_int(jv_get(p->data, "tokens"), -1),
		   member_text(p, "model"), p->ev->ts_ms);
}
