// SPDX-License-Identifier: Apache-2.0
/*
 * reading.c - Statements of a reader, kept for the next time
 *
 * To prepare one takes longer than to run it, and daemons ask the same few
 * questions for every prompt.  They are known by their text.
 */
#include <stdarg.h>
#include <string.h>

#include "core/reader_impl.h"

static sqlite3_stmt *take_kept(struct reader *r, const char *sql)
{
	for (unsigned i = 0; i < r->n_kept; i++) {
		sqlite3_stmt *q = r->kept[i];

		if (strcmp(sqlite3_sql(q), sql) != 0)
			continue;
		memmove(&r->kept[i], &r->kept[i + 1],
			(--r->n_kept - i) * sizeof(*r->kept));
		return q;
	}
	return NULL;
}

int reading_begin_unbound(struct reading *out, struct reader *r, struct err *e,
			  const char *sql)
{
	sqlite3_stmt *q = take_kept(r, sql);

	if (q == NULL &&
	    sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q,
			       NULL) != SQLITE_OK)
		return db_fail(r->db, e, "reader");
	*out = (struct reading){r, q};
	return 0;
}

int reading_begin(struct reading *out, struct reader *r, struct err *e,
		  const char *sql, const char *fmt, ...)
{
	autoreading struct reading g = {0};
	va_list args;
	int code = reading_begin_unbound(&g, r, e, sql);

	if (code < 0)
		return code;
	va_start(args, fmt);
	code = db_vbind(g.q, e, fmt, &args);
	va_end(args);
	if (code < 0)
		return code;
	*out = g;
	g = (struct reading){0};
	return 0;
}

void reading_end(struct reading *g)
{
	struct reader *r = g->reader;

	if (g->q == NULL)
		return;
	(void)sqlite3_reset(g->q); /* Repeats the error that db_step() told. */
	(void)sqlite3_clear_bindings(g->q);
	if (r->n_kept == READER_KEPT)
		sqlite3_finalize(r->kept[--r->n_kept]);
	memmove(&r->kept[1], &r->kept[0], r->n_kept++ * sizeof(*r->kept));
	r->kept[0] = take_ptr(g->q);
}

void reading_forget(struct reader *r)
{
	while (r->n_kept > 0)
		sqlite3_finalize(r->kept[--r->n_kept]);
}
