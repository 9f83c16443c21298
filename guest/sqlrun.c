// SPDX-License-Identifier: Apache-2.0
/*
 * sqlrun.c - Run strangers' SQL on one database file, with bounds
 *
 * A connection lives for one call.  It uses a rollback journal, so that a file
 * that nobody has open is complete, but for a crash, after which SQLite rolls
 * back when the file is opened next.
 *
 * What is deleted makes the file smaller at once (auto_vacuum): nobody may VACUUM
 * here.
 *
 * BEGIN and COMMIT are ours, outside the guard.  A file that a failed call has
 * made is removed again.
 */
#include "guest/sqlrun.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/base64.h"
#include "core/db.h"
#include "guest/limits.h"
#include "guest/sqlguard.h"
#include "guest/sqlmem.h"

#define PAGE_BYTES 4096

struct run {
	const struct sqlrun *q;
	sqlite3 *db;
	struct sqlguard guard;
	struct jw columns, rows; /* Of the last statement that has some. */
	bool truncated;
};

/*
 * Failures.
 */

static int stopped(enum sql_stop why, struct err *e)
{
	if (why == SQL_TIME)
		return err_set(e, -FAULT_REQUEST_TIMEOUT,
			       "sql: it takes too long");
	return err_set(e, -FAULT_CANCELLED, "sql: cancelled");
}

static bool is_io(sqlite3 *db)
{
	int code = sqlite3_errcode(db) & 0xff;

	return code == SQLITE_IOERR || code == SQLITE_PROTOCOL ||
	       code == SQLITE_INTERNAL || code == SQLITE_NOLFS;
}

/* What SQLite said, as whoever wrote the SQL may understand it. */
static int fail(struct run *r, struct err *e)
{
	struct err why = {0};
	int code;

	if (r->guard.stop != SQL_GOES)
		return stopped(r->guard.stop, e);
	if ((sqlite3_errcode(r->db) & 0xff) == SQLITE_NOMEM)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "sql: it takes too much memory");
	code = db_fail(r->db, &why, "sql");
	if (r->guard.refused != NULL)
		return err_set(e, -FAULT_FORBIDDEN, "sql: %s: not here",
			       r->guard.refused);
	if (sqlite3_errcode(r->db) == SQLITE_FULL)
		code = -FAULT_QUOTA_EXCEEDED;
	else if (code == -EINVAL || code == -EEXIST ||
		 (code == -FAULT_STORE_ERROR && !is_io(r->db)))
		code = -FAULT_INVALID_ARGUMENT;
	else if (code == -E2BIG)
		code = -FAULT_MESSAGE_TOO_LARGE;
	else if (code == -EUCLEAN)
		code = -FAULT_STORE_CORRUPT;
	return err_set(e, code, "%s", why.msg);
}

static int exec(struct run *r, const char *sql, struct err *e)
{
	if (sqlite3_exec(r->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail(r, e);
	return 0;
}

/*
 * Parameters.
 */

static int bind_number(sqlite3_stmt *s, int i, struct jv v)
{
	char text[64];
	size_t len;
	const char *raw = jv_raw(v, &len);
	int64_t n = jv_int(v, INT64_MIN);

	if (n != INT64_MIN)
		return sqlite3_bind_int64(s, i, n);
	snprintf(text, sizeof(text), "%.*s", (int)len, raw);
	return sqlite3_bind_double(s, i, strtod(text, NULL));
}

static int bind_blob(sqlite3_stmt *s, int i, struct jv v)
{
	size_t len;
	char *bytes = jv_strdup(jv_get(v, "base64"), &len);

	if (bytes == NULL || base64_read(bytes, &len) < 0) {
		free(bytes);
		return SQLITE_MISMATCH;
	}
	return sqlite3_bind_blob64(s, i, bytes, len, free);
}

static int bind_text(sqlite3_stmt *s, int i, struct jv v)
{
	size_t len;
	char *text = jv_strdup(v, &len);

	if (text == NULL)
		return SQLITE_NOMEM;
	return sqlite3_bind_text64(s, i, text, len, free, SQLITE_UTF8);
}

static int bind_value(sqlite3_stmt *s, int i, struct jv v)
{
	switch (jv_type(v)) {
	case JV_NULL:
		return sqlite3_bind_null(s, i);
	case JV_BOOL:
		return sqlite3_bind_int(s, i, jv_bool(v, false));
	case JV_NUMBER:
		return bind_number(s, i, v);
	case JV_STRING:
		return bind_text(s, i, v);
	case JV_OBJECT:
		return bind_blob(s, i, v);
	default:
		return SQLITE_MISMATCH;
	}
}

static int bind_one(sqlite3_stmt *s, int i, struct jv v, struct err *e)
{
	switch (bind_value(s, i, v)) {
	case SQLITE_OK:
		return 0;
	case SQLITE_TOOBIG:
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "sql: parameter %d has more than %u bytes", i,
			       SQL_VALUE_MAX);
	case SQLITE_NOMEM:
		return err_set(e, -ENOMEM, "sql: out of memory");
	default:
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sql: parameter %d has none of the types", i);
	}
}

/* The member for :name, @name or $name. */
static struct jv named(struct jv params, sqlite3_stmt *s, int i)
{
	const char *name = sqlite3_bind_parameter_name(s, i);

	return name != NULL ? jv_get(params, name + 1) : (struct jv){.i = -1};
}

static int bind_all(struct run *r, sqlite3_stmt *s, struct err *e)
{
	struct jv params = r->q->params, v = jv_first(params);
	int n = sqlite3_bind_parameter_count(s), code = 0;
	bool is_array = jv_is(params, JV_ARRAY);
	size_t given = is_array ? jv_count(params) : 0;

	if ((jv_is(params, JV_OBJECT) ? 0 : given) > (size_t)n ||
	    (!jv_is(params, JV_OBJECT) && given < (size_t)n))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sql: %d parameters in it, %zu given", n, given);
	for (int i = 1; i <= n && code == 0; i++) {
		struct jv value = is_array ? v : named(params, s, i);

		if (!jv_has(value))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "sql: parameter %d is not given", i);
		code = bind_one(s, i, value, e);
		if (is_array)
			v = jv_next(params, v);
	}
	return code;
}

/*
 * Rows.
 */

static void put_real(struct jw *w, double d)
{
	char digits[32];

	if (!isfinite(d)) {
		jw_null(w);
		return;
	}
	snprintf(digits, sizeof(digits), "%.17g", d);
	if (digits[strspn(digits, "-0123456789")] == '\0')
		strcat(digits, ".0"); /* Still no integer to its reader. */
	jw_raw(w, digits, strlen(digits));
}

static void put_cell(struct jw *w, sqlite3_stmt *s, int i)
{
	switch (sqlite3_column_type(s, i)) {
	case SQLITE_INTEGER:
		jw_int(w, sqlite3_column_int64(s, i));
		break;
	case SQLITE_FLOAT:
		put_real(w, sqlite3_column_double(s, i));
		break;
	case SQLITE_TEXT: {
		const char *text = (const char *)sqlite3_column_text(s, i);

		jw_strn(w, text, (size_t)sqlite3_column_bytes(s, i));
		break;
	}
	case SQLITE_BLOB: {
		const void *bytes = sqlite3_column_blob(s, i);

		jw_obj(w);
		jw_key(w, "base64");
		base64_write(w, bytes, (size_t)sqlite3_column_bytes(s, i));
		jw_obj_end(w);
		break;
	}
	default:
		jw_null(w);
	}
}

/* Return: whether it fits; else nothing of it is there. */
static bool put_row(struct jw *w, sqlite3_stmt *s)
{
	const size_t before = w->len;
	const bool comma = w->comma;

	jw_arr(w);
	for (int i = 0; i < sqlite3_column_count(s); i++) {
		put_cell(w, s, i);
		if (w->len > SQL_RESULT_MAX) {
			w->len = before;
			w->comma = comma;
			return false;
		}
	}
	jw_arr_end(w);
	return true;
}

static void put_columns(struct run *r, sqlite3_stmt *s)
{
	jw_reset(&r->columns);
	jw_reset(&r->rows);
	r->truncated = false;
	jw_arr(&r->columns);
	for (int i = 0; i < sqlite3_column_count(s); i++)
		jw_str(&r->columns, sqlite3_column_name(s, i));
	jw_arr_end(&r->columns);
	jw_arr(&r->rows);
}

/* To the end; but what only reads stops where nothing more is taken. */
static int step_all(struct run *r, sqlite3_stmt *s, struct err *e)
{
	const bool reads = sqlite3_stmt_readonly(s) != 0;
	unsigned n = 0;
	int code;

	if (sqlite3_column_count(s) > 0)
		put_columns(r, s);
	while ((code = sqlite3_step(s)) == SQLITE_ROW) {
		if (!r->truncated &&
		    (n++ == SQL_ROWS_MAX || !put_row(&r->rows, s)))
			r->truncated = true;
		if (r->truncated && reads)
			return 0;
	}
	return code == SQLITE_DONE ? 0 : fail(r, e);
}

/*
 * Statements.
 */

/* White space and comments alone are no statement. */
static bool is_more(struct run *r, const char *sql)
{
	autostmt sqlite3_stmt *s = NULL;

	return sqlite3_prepare_v2(r->db, sql, -1, &s, NULL) != SQLITE_OK ||
	       s != NULL;
}

static int run_one(struct run *r, sqlite3_stmt *s, struct err *e)
{
	int code;

	if (r->q->op == SQL_QUERY && !sqlite3_stmt_readonly(s))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sql: a query only reads; this is to be "
			       "executed");
	code = bind_all(r, s, e);
	return code < 0 ? code : step_all(r, s, e);
}

static int run_all(struct run *r, struct err *e)
{
	const char *sql = r->q->sql;
	const bool has_params = jv_count(r->q->params) > 0;
	int code = 0;

	while (code == 0 && *sql != '\0') {
		autostmt sqlite3_stmt *s = NULL;

		if (sqlite3_prepare_v2(r->db, sql, -1, &s, &sql) != SQLITE_OK)
			return fail(r, e);
		if (s == NULL)
			continue;
		if (has_params && is_more(r, sql))
			return err_set(e, -FAULT_INVALID_ARGUMENT,
				       "sql: parameters are for one statement "
				       "alone");
		code = run_one(r, s, e);
	}
	return code;
}

static int write_result(struct run *r, struct jw *out, struct err *e)
{
	if (r->columns.len == 0) {
		jw_arr(&r->columns);
		jw_arr_end(&r->columns);
		jw_arr(&r->rows);
	}
	jw_arr_end(&r->rows);
	if (r->columns.failed || r->rows.failed)
		return err_set(e, -ENOMEM, "sql: out of memory");
	jw_obj(out);
	jw_kraw(out, "columns", r->columns.buf);
	jw_kraw(out, "rows", r->rows.buf);
	jw_kbool(out, "truncated", r->truncated);
	if (r->q->op == SQL_EXECUTE) {
		jw_kint(out, "changes", sqlite3_total_changes64(r->db));
		jw_kint(out, "last_insert_rowid",
			sqlite3_last_insert_rowid(r->db));
	}
	jw_obj_end(out);
	return 0;
}

/*
 * The schema.
 */

static int write_schema(struct run *r, struct jw *out, struct err *e)
{
	autostmt sqlite3_stmt *s = NULL;
	struct stat st = {0};
	int code;

	if (sqlite3_prepare_v2(r->db,
			       "SELECT type, name, tbl_name, sql FROM"
			       " sqlite_schema WHERE name NOT LIKE 'sqlite\\_%'"
			       " ESCAPE '\\' ORDER BY type<>'table', name",
			       -1, &s, NULL) != SQLITE_OK)
		return fail(r, e);
	jw_obj(out);
	jw_key(out, "tables");
	jw_arr(out);
	while ((code = sqlite3_step(s)) == SQLITE_ROW &&
	       out->len < SQL_RESULT_MAX) {
		static const char *const keys[] = {"type", "name", "table",
						   "sql"};

		jw_obj(out);
		for (int i = 0; i < (int)ARRAY_LEN(keys); i++) {
			jw_key(out, keys[i]);
			put_cell(out, s, i);
		}
		jw_obj_end(out);
	}
	jw_arr_end(out);
	if (stat(r->q->path, &st) == 0)
		jw_kint(out, "bytes", st.st_size);
	jw_obj_end(out);
	return code == SQLITE_DONE || code == SQLITE_ROW ? 0 : fail(r, e);
}

/*
 * All of it.
 */

static int connect_to(struct run *r, struct err *e)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
		    SQLITE_OPEN_EXRESCODE | SQLITE_OPEN_NOFOLLOW;
	char pragmas[256];

	if (r->q->op == SQL_EXECUTE)
		flags |= SQLITE_OPEN_CREATE;
	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA page_size=%d;PRAGMA auto_vacuum=FULL;"
		 "PRAGMA cache_size=-1024;"
		 "PRAGMA temp_store=MEMORY;PRAGMA synchronous=FULL;"
		 "PRAGMA foreign_keys=ON;PRAGMA cell_size_check=ON;"
		 "PRAGMA max_page_count=%lld;PRAGMA query_only=%d",
		 PAGE_BYTES, (long long)(r->q->max_bytes / PAGE_BYTES),
		 r->q->op != SQL_EXECUTE);
	if (sqlite3_open_v2(r->q->path, &r->db, flags, NULL) != SQLITE_OK ||
	    sqlguard_open(r->db) < 0)
		return fail(r, e);
	return exec(r, pragmas, e);
}

/* The transaction, with strangers' statements in it. */
static int transact(struct run *r, struct jw *out, struct err *e)
{
	int code = exec(
		r, r->q->op == SQL_EXECUTE ? "BEGIN IMMEDIATE" : "BEGIN", e);

	if (code < 0)
		return code;
	sqlguard_begin(&r->guard, r->db);
	code = run_all(r, e);
	sqlguard_end(r->db);
	r->guard.stop = SQL_GOES;
	if (code == 0)
		code = write_result(r, out, e);
	if (code == 0)
		code = exec(r, "COMMIT", e);
	return code; /* Else closing rolls back. */
}

static int64_t deadline(const struct sqlrun *q)
{
	int64_t ms = q->timeout_ms > 0 ? q->timeout_ms : SQL_TIMEOUT_MS;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (ts.tv_sec * 1000 + ms) * 1000000 + ts.tv_nsec;
}

/* A file without a page is none. */
static void remove_empty(const char *path, bool was_there, int code)
{
	struct stat st;

	if (stat(path, &st) == 0 &&
	    (st.st_size == 0 || (code < 0 && !was_there)))
		(void)unlink(path);
}

int sqlrun(const struct sqlrun *q, struct jw *out, struct err *e)
{
	struct run r = {.q = q};
	const bool was_there = access(q->path, F_OK) == 0;
	int code;

	if (!was_there && q->op != SQL_EXECUTE)
		return err_set(e, -FAULT_FILE_NOT_FOUND,
			       "sql: there is no such database");
	r.guard.deadline_ns = deadline(q);
	r.guard.cancelled = q->cancelled;
	sqlmem_begin(SQL_MEMORY_MAX);
	code = connect_to(&r, e);
	if (code == 0)
		code = q->op == SQL_SCHEMA ? write_schema(&r, out, e)
					   : transact(&r, out, e);
	(void)sqlite3_close(r.db);
	sqlmem_end();
	remove_empty(q->path, was_there, code);
	jw_done(&r.columns);
	jw_done(&r.rows);
	if (code == 0 && out->failed)
		return err_set(e, -ENOMEM, "sql: out of memory");
	return code;
}
