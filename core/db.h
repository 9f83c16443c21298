/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db.h - SQLite the way every database of ours is opened
 *
 * WAL, synchronous=FULL, foreign_keys, recursive_triggers (without it INSERT OR
 * REPLACE would delete rows past the append-only trigger), secure_delete, page
 * size 8192, schema migrations by user_version.  SQLite's results are turned
 * into our codes here and nowhere else.
 */
#ifndef CORE_DB_H
#define CORE_DB_H

#include <sqlite3.h>
#include <stdarg.h>

#include "core/err.h"

#define DB_SCHEMA_VERSION 5

enum db_schema { DB_GUEST, DB_HOST, DB_VFS };

/* Open for writing; make or migrate the schema.  After a power cut a new file
 * is there whole or not at all.  -EUCLEAN: another program's file, damage, or a
 * schema newer than we know; -EROFS: not writable. */
int db_open(const char *path, enum db_schema schema, sqlite3 **out,
	    struct err *e);
/* Open mode=ro: leaves the file byte-equal.  -ENOENT; -EUCLEAN as above. */
int db_open_readonly(const char *path, sqlite3 **out, struct err *e);
/* An empty database in memory, of nobody else. */
int db_open_memory(sqlite3 **out, struct err *e);
void db_close(sqlite3 *db); /* NULL is allowed. */

/* Run statements without parameters or results. */
int db_exec(sqlite3 *db, const char *sql, struct err *e);

/**
 * db_prepare() - A statement with its parameters bound
 * @fmt: one letter each: s text, S text with length (const char *, size_t),
 *       b blob (const void *, size_t), i int64_t, n NULL (no argument);
 *       a NULL string binds NULL.  Text is bound SQLITE_STATIC.
 */
int db_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e, const char *sql,
	       const char *fmt, ...);
/* Bind the parameters of a statement of the caller's own, in the same way. */
int db_vbind(sqlite3_stmt *q, struct err *e, const char *fmt, va_list *args);
/* Prepare, bind, step to the end, finalize.  Return: rows changed or error. */
int db_run(sqlite3 *db, struct err *e, const char *sql, const char *fmt, ...);
/* SQLITE_ROW: 1, SQLITE_DONE: 0, else our code. */
int db_step(sqlite3_stmt *q, struct err *e);
/* Our code for SQLite's last failure, with words: "@doing: sqlite's words".
 * -EEXIST: a row of that key is there; -EINVAL: another constraint or a trigger
 * refused it; -ENOSPC, -EBUSY, -EROFS, -EUCLEAN...; else -FAULT_STORE_ERROR. */
int db_fail(sqlite3 *db, struct err *e, const char *doing);

/*
 * Statements of a hot path, prepared once and kept, for one thread.
 */
#define DB_CACHE_MAX 96

struct db_cache {
	sqlite3 *db;
	/* Private. */
	struct {
		const char *sql;
		sqlite3_stmt *q;
	} slot[DB_CACHE_MAX];
	unsigned n;
};
/* Before the connection is closed; leaves zeroes. */
void db_cache_done(struct db_cache *c);
/* As db_prepare(), but the statement stays with the cache: give it back with
 * sqlite3_reset() and do not ask for it again before.  @sql is told by its
 * address: a literal or static text. */
int db_cache_prepare(struct db_cache *c, sqlite3_stmt **out, struct err *e,
		     const char *sql, const char *fmt, ...);
/* As db_run(). */
int db_cache_run(struct db_cache *c, struct err *e, const char *sql,
		 const char *fmt, ...);

static inline void db_finalizep(sqlite3_stmt **q)
{
	sqlite3_finalize(*q);
}
#define autostmt cleanup(db_finalizep)

static inline void db_resetp(sqlite3_stmt **q)
{
	(void)sqlite3_reset(*q); /* Repeats the error that db_step() told. */
}
#define autoreset cleanup(db_resetp) /* For those of a cache. */

static inline void db_closep(sqlite3 **db)
{
	db_close(*db);
}
#define autodb cleanup(db_closep)

#endif
