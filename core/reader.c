// SPDX-License-Identifier: Apache-2.0
/*
 * reader.c - Reading a store: sessions, rows, values
 *
 * Each function is one statement, stepped to its end and reset, so that no read
 * transaction is left open: one forgotten reader keeps the writer from ever
 * starting its log anew.
 */
#include "core/reader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/reader_impl.h"

int reader_open(const char *path, struct reader **out, struct err *e)
{
	autofree struct reader *r = calloc(1, sizeof(*r));
	int code;

	if (r == NULL)
		return err_set(e, -ENOMEM, "reader: out of memory");
	code = db_open_readonly(path, &r->db, e);
	if (code < 0)
		return code;
	*out = take_ptr(r);
	return 0;
}

void reader_close(struct reader *r)
{
	if (r == NULL)
		return;
	reading_forget(r);
	db_close(r->db);
	free(r);
}

/*
 * Sessions.
 */

#define BRIEF_COLUMNS                                                          \
	"s.id, s.vm_id, t.id, t.input_id, s.state, s.suspended_from, s.agent," \
	" s.n, s.epoch, s.last_seq, (SELECT chain FROM event"                  \
	"   WHERE session_n=s.n AND seq=s.last_seq),"                          \
	" s.turn_count, s.archived_ms, s.expires_ms,"                          \
	" (SELECT count(*) FROM request WHERE session_id=s.id"                 \
	"   AND state='pending')"                                              \
	" FROM session s LEFT JOIN turn t ON t.session_id=s.id"                \
	"   AND t.state IN ('running','waiting')"

static const char select_brief[] = "SELECT " BRIEF_COLUMNS " WHERE s.id=?1";
static const char select_briefs[] =
	"SELECT " BRIEF_COLUMNS " WHERE ?1 IS NULL OR s.vm_id=?1 ORDER BY s.n";

/* What does not fit is not ours, and reads as nothing. */
static void copy_text(sqlite3_stmt *q, int i, char *out, size_t cap)
{
	const char *s = (const char *)sqlite3_column_text(q, i);

	if (s == NULL || strlen(s) >= cap)
		s = "";
	strcpy(out, s);
}

/* The first of the bytes that fit, up to a character's border. */
static void copy_name(sqlite3_stmt *q, int i, char *out, size_t cap)
{
	const char *s = (const char *)sqlite3_column_text(q, i);
	size_t n = s ? strlen(s) : 0;

	if (n >= cap)
		for (n = cap - 1; n > 0 && (s[n] & 0xc0) == 0x80; n--)
			;
	if (n > 0)
		memcpy(out, s, n);
	out[n] = '\0';
}

static void read_brief(sqlite3_stmt *q, struct session_brief *b)
{
	copy_text(q, 0, b->id, sizeof(b->id));
	copy_text(q, 1, b->vm_id, sizeof(b->vm_id));
	copy_text(q, 2, b->open_turn, sizeof(b->open_turn));
	copy_text(q, 3, b->open_turn_input, sizeof(b->open_turn_input));
	copy_text(q, 4, b->state, sizeof(b->state));
	copy_text(q, 5, b->suspended_from, sizeof(b->suspended_from));
	copy_name(q, 6, b->agent, sizeof(b->agent));
	b->n = sqlite3_column_int64(q, 7);
	b->epoch = sqlite3_column_int64(q, 8);
	b->last_seq = sqlite3_column_int64(q, 9);
	b->chain = sqlite3_column_int64(q, 10);
	b->turn_count = sqlite3_column_int64(q, 11);
	b->archived_ms = sqlite3_column_int64(q, 12);
	b->expires_ms = sqlite3_column_int64(q, 13);
	b->pending = sqlite3_column_int(q, 14);
}

int reader_session(struct reader *r, const char *id, struct session_brief *out,
		   struct err *e)
{
	autoreading struct reading g = {0};
	int code = reading_begin(&g, r, e, select_brief, "s", id);

	if (code == 0)
		code = db_step(g.q, e);
	if (code < 0)
		return code;
	if (code == 0)
		return err_set(e, -FAULT_SESSION_NOT_FOUND,
			       "there is no such session");
	read_brief(g.q, out);
	return 0;
}

int reader_sessions(struct reader *r, const char *vm,
		    int (*cb)(const struct session_brief *b, void *arg),
		    void *arg, struct err *e)
{
	autoreading struct reading g = {0};
	struct session_brief b;
	int result = 0, code = reading_begin(&g, r, e, select_briefs, "s", vm);

	while (code >= 0 && result == 0) {
		code = db_step(g.q, e);
		if (code <= 0)
			return code;
		read_brief(g.q, &b);
		result = cb(&b, arg);
	}
	return code < 0 ? code : result;
}

int64_t reader_chain(struct reader *r, int64_t session_n, int64_t seq)
{
	static const char sql[] =
		"SELECT chain FROM event WHERE session_n=?1 AND seq=?2";
	autoreading struct reading g = {0};

	if (seq == 0 ||
	    reading_begin(&g, r, NULL, sql, "ii", session_n, seq) < 0 ||
	    db_step(g.q, NULL) <= 0)
		return 0;
	return sqlite3_column_int64(g.q, 0);
}

/*
 * Rows as JSON.
 */

/* Columns of any table that hold JSON. */
static const char *const json_columns[] = {
	"agent_caps", "agent_info", "answer",	"body",	  "config",
	"ctx",	      "cursors",    "damage",	"data",	  "entries",
	"env_names",  "error",	    "features", "hashes", "last_error",
	"meta",	      "server",	    "spec",	"tags",	  "tools",
	"usage",      "workspace",
};

static bool holds_json(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(json_columns); i++)
		if (strcmp(json_columns[i], name) == 0)
			return true;
	return false;
}

static void write_text(struct jw *out, const char *name, const char *s,
		       size_t len)
{
	autojson struct json doc = {0};

	if (holds_json(name) && json_parse(&doc, s, len, NULL) == 0)
		jw_value(out, json_root(&doc));
	else
		jw_strn(out, s, len);
}

static void write_real(struct jw *out, double d)
{
	char digits[32];
	int n = snprintf(digits, sizeof(digits), "%.17g", d);

	if (isfinite(d))
		jw_raw(out, digits, (size_t)n);
	else
		jw_null(out);
}

static void write_hex(struct jw *out, const uint8_t *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	jw_raw(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		char two[] = {hex[p[i] >> 4], hex[p[i] & 15]};

		jw_lit(out, two, sizeof(two));
	}
	jw_lit(out, "\"", 1);
}

static void write_column(sqlite3_stmt *q, int i, struct jw *out)
{
	const char *name = sqlite3_column_name(q, i);
	const void *p;

	jw_key(out, name ? name : "");
	switch (sqlite3_column_type(q, i)) {
	case SQLITE_INTEGER:
		jw_int(out, sqlite3_column_int64(q, i));
		break;
	case SQLITE_FLOAT:
		write_real(out, sqlite3_column_double(q, i));
		break;
	case SQLITE_TEXT:
		p = sqlite3_column_text(q, i);
		write_text(out, name ? name : "", p,
			   (size_t)sqlite3_column_bytes(q, i));
		break;
	case SQLITE_BLOB:
		p = sqlite3_column_blob(q, i);
		write_hex(out, p, (size_t)sqlite3_column_bytes(q, i));
		break;
	default:
		jw_null(out);
	}
}

static void write_row(sqlite3_stmt *q, struct jw *out)
{
	jw_obj(out);
	for (int i = 0; i < sqlite3_column_count(q); i++)
		write_column(q, i, out);
	jw_obj_end(out);
}

/* Strings are bound as text; where a number is compared, SQLite converts. */
static int begin_with(struct reading *g, struct reader *r, const char *sql,
		      const char *const *args, struct err *e)
{
	int code = reading_begin_unbound(g, r, e, sql);

	for (int i = 1; code == 0 && args != NULL && *args != NULL; i++, args++)
		if (sqlite3_bind_text(g->q, i, *args, -1, SQLITE_STATIC) !=
		    SQLITE_OK)
			code = db_fail(r->db, e, "reader");
	return code;
}

int reader_rows(struct reader *r, const char *sql, const char *const *args,
		struct jw *out, struct err *e)
{
	autoreading struct reading g = {0};
	int n = 0, code = begin_with(&g, r, sql, args, e);

	while (code >= 0) {
		code = db_step(g.q, e);
		if (code <= 0)
			break;
		write_row(g.q, out);
		n++;
	}
	if (code < 0)
		return code;
	return out->failed ? err_set(e, -ENOMEM, "reader: out of memory") : n;
}

int reader_value(struct reader *r, const char *sql, const char *const *args,
		 char **out, struct err *e)
{
	autoreading struct reading g = {0};
	const char *s;
	int code = begin_with(&g, r, sql, args, e);

	if (code == 0)
		code = db_step(g.q, e);
	if (code <= 0)
		return code;
	s = (const char *)sqlite3_column_text(g.q, 0);
	*out = strdup(s ? s : "");
	return *out ? 1 : err_set(e, -ENOMEM, "reader: out of memory");
}
