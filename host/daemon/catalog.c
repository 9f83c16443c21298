// SPDX-License-Identifier: Apache-2.0
/*
 * catalog.c - Writes to the host's own tables of hib.db
 */
#include "host/daemon/catalog.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/db.h"
#include "core/log.h"
#include "core/time.h"

#define LOG_COMPONENT "catalog"
#define INT_TEXTS     8

struct statement {
	STAILQ_ENTRY(statement) link;
	const char *sql; /* Static text. */
	unsigned n;
	char *args[CATALOG_ARGS_MAX];
};

struct change {
	struct store_job job;
	STAILQ_HEAD(statement_list, statement) statements;
	bool failed;
	change_done_cb cb;
	void *arg;
};

static void statement_free(struct statement *q)
{
	for (unsigned i = 0; i < q->n; i++)
		free(q->args[i]);
	free(q);
}

void change_free(struct change *c)
{
	struct statement *q;

	while ((q = STAILQ_FIRST(&c->statements)) != NULL) {
		STAILQ_REMOVE_HEAD(&c->statements, link);
		statement_free(q);
	}
	free(c);
}

struct change *change_new(void)
{
	struct change *c = calloc(1, sizeof(*c));

	/* A few dozen bytes: without them nothing else would go on either. */
	if (c == NULL)
		abort();
	STAILQ_INIT(&c->statements);
	return c;
}

void change_add(struct change *c, const char *sql, unsigned n, ...)
{
	struct statement *q = calloc(1, sizeof(*q));
	va_list ap;

	assert(n <= CATALOG_ARGS_MAX);
	if (q == NULL) {
		c->failed = true;
		return;
	}
	q->sql = sql;
	va_start(ap, n);
	for (; q->n < n; q->n++) {
		const char *arg = va_arg(ap, const char *);

		q->args[q->n] = arg ? strdup(arg) : NULL;
		c->failed |= arg != NULL && q->args[q->n] == NULL;
	}
	va_end(ap);
	STAILQ_INSERT_TAIL(&c->statements, q, link);
}

const char *int_text(int64_t n)
{
	static char texts[INT_TEXTS][24];
	static unsigned next;
	char *t = texts[next++ % INT_TEXTS];

	snprintf(t, sizeof(texts[0]), "%lld", (long long)n);
	return t;
}

void change_add_vm_event(struct change *c, const char *vm, const char *type,
			 const char *data)
{
	change_add(c,
		   "INSERT INTO vm_event(vm_id, seq, ts_ms, type, data) SELECT "
		   "?1, coalesce(max(seq),0)+1, ?2, ?3, ?4 FROM vm_event "
		   "WHERE vm_id=?1",
		   4, vm, int_text(now_ms()), type, data);
}

static int statement_run(sqlite3 *db, const struct statement *q, struct err *e)
{
	autostmt sqlite3_stmt *s = NULL;

	if (sqlite3_prepare_v2(db, q->sql, -1, &s, NULL) != SQLITE_OK)
		return db_fail(db, e, q->sql);
	for (unsigned i = 0; i < q->n; i++)
		sqlite3_bind_text(s, (int)i + 1, q->args[i], -1, SQLITE_STATIC);
	return db_step(s, e);
}

int change_apply(struct change *c, sqlite3 *db, struct err *e)
{
	struct statement *q;

	if (c->failed)
		return err_set(e, -ENOMEM, "catalog: out of memory");
	STAILQ_FOREACH (q, &c->statements, link) {
		int r = statement_run(db, q, e);

		if (r < 0)
			return r;
	}
	return 0;
}

static int change_run(sqlite3 *db, struct store_job *j, struct err *e)
{
	return change_apply(container_of(j, struct change, job), db, e);
}

static void change_on_done(struct store_job *j, const struct err *e)
{
	struct change *c = container_of(j, struct change, job);

	if (c->cb != NULL)
		c->cb(e, c->arg);
	else if (e->code < 0)
		log_error("%s", e->msg);
	change_free(c);
}

void change_submit(struct store *s, struct change *c, change_done_cb cb,
		   void *arg)
{
	c->cb = cb;
	c->arg = arg;
	c->job.run = change_run;
	c->job.done = change_on_done;
	store_submit(s, &c->job);
}

void change_await(struct store *s, change_done_cb cb, void *arg)
{
	struct change *c = change_new();

	/* Changes are stored in their order. */
	change_add(c, "SELECT 1", 0);
	change_submit(s, c, cb, arg);
}
