// SPDX-License-Identifier: Apache-2.0
/*
 * sqlops.c - What is asked of databases, off the loop
 */
#include "guest/sqlops.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "core/log.h"
#include "guest/fspool.h"
#include "guest/limits.h"
#include "guest/sqldb.h"
#include "guest/sqlrun.h"

#define LOG_COMPONENT "sql"

struct sqlop {
	struct fswork work;
	TAILQ_ENTRY(sqlop) link; /* In ops. */
	struct sqlops *ops;
	char session[ID_MAX], to[ID_MAX];
	enum sql_verb verb;
	char db[SQL_NAME_MAX + 1];
	char *sql, *params;
	int64_t timeout_ms;
	bool running;
	atomic_bool cancelled;
	sqlop_cb cb;
	void *arg;

	/* Of the thread while it runs. */
	struct jw out;
	struct err err;
};

struct sqlops {
	struct fspool *pool;
	const char *state;
	TAILQ_HEAD(sqlop_list, sqlop) ops; /* In order. */
	bool closing;
};

/*
 * On a thread.
 */

static int run_sql(struct sqlop *op, const char *folder)
{
	static const enum sql_op kinds[] = {
		[SQL_DO_EXECUTE] = SQL_EXECUTE,
		[SQL_DO_QUERY] = SQL_QUERY,
		[SQL_DO_SCHEMA] = SQL_SCHEMA,
	};
	autojson struct json j = {0};
	char path[PATH_MAX];
	struct sqlrun q = {
		.op = kinds[op->verb],
		.path = path,
		.sql = op->sql,
		.params = {.i = -1},
		.timeout_ms = op->timeout_ms,
		.cancelled = &op->cancelled,
	};
	int r = sqldb_place(folder, op->db, op->verb == SQL_DO_EXECUTE, path,
			    &q.max_bytes, &op->err);

	if (r == 0 && op->params != NULL)
		r = json_parse(&j, op->params, strlen(op->params), &op->err);
	if (r < 0)
		return r;
	if (op->params != NULL)
		q.params = json_root(&j);
	return sqlrun(&q, &op->out, &op->err);
}

static int run_verb(struct sqlop *op)
{
	char folder[PATH_MAX], to[PATH_MAX];

	sqldb_folder(op->ops->state, op->session, folder);
	switch (op->verb) {
	case SQL_DO_LIST:
		return sqldb_list(folder, &op->out, &op->err);
	case SQL_DO_DROP:
		return sqldb_drop(folder, op->db, &op->err);
	case SQL_DO_COPY:
		sqldb_folder(op->ops->state, op->to, to);
		return sqldb_copy(folder, to, &op->err);
	case SQL_DO_RENAME:
		sqldb_folder(op->ops->state, op->to, to);
		return sqldb_rename(folder, to, &op->err);
	case SQL_DO_REMOVE:
		return sqldb_remove(folder, &op->err);
	default:
		return run_sql(op, folder);
	}
}

static void sqlop_run(struct fswork *w)
{
	struct sqlop *op = container_of(w, struct sqlop, work);

	if (atomic_load(&op->cancelled))
		err_set(&op->err, -FAULT_CANCELLED, "sql: cancelled");
	else
		(void)run_verb(op);
}

/*
 * On the loop.
 */

static void sqlop_free(struct sqlop *op)
{
	jw_done(&op->out);
	free(op->sql);
	free(op->params);
	free(op);
}

static void sqlop_on_done(struct fswork *w);

/* Let the first one of the session run, unless one does. */
static void begin_next(struct sqlops *o, const char *session)
{
	struct sqlop *op;

	TAILQ_FOREACH (op, &o->ops, link)
		if (strcmp(op->session, session) == 0)
			break;
	if (op == NULL || op->running || o->closing)
		return;
	op->running = true;
	op->work.run = sqlop_run;
	op->work.done = sqlop_on_done;
	fspool_submit(o->pool, &op->work);
}

static void sqlop_on_done(struct fswork *w)
{
	struct sqlop *op = container_of(w, struct sqlop, work);
	struct sqlops *o = op->ops;

	TAILQ_REMOVE(&o->ops, op, link);
	begin_next(o, op->session);
	if (op->cb != NULL)
		op->cb(op->out.len > 0 ? op->out.buf : "{}",
		       op->err.code < 0 ? &op->err : NULL, op->arg);
	else if (op->err.code < 0)
		log_error("%s: %s", op->session, op->err.msg);
	sqlop_free(op);
}

int sqlops_open(uv_loop_t *loop, const char *state, struct sqlops **out)
{
	struct sqlops *o = calloc(1, sizeof(*o));
	int r;

	if (o == NULL)
		return -ENOMEM;
	r = fspool_open(loop, false, &o->pool);
	if (r < 0) {
		free(o);
		return r;
	}
	o->state = state;
	TAILQ_INIT(&o->ops);
	*out = o;
	return 0;
}

void sqlops_close(struct sqlops *o)
{
	struct sqlop *op;

	if (o == NULL)
		return;
	o->closing = true;
	TAILQ_FOREACH (op, &o->ops, link)
		sqlop_cancel(op);
	fspool_close(o->pool);
	while ((op = TAILQ_FIRST(&o->ops)) != NULL) {
		TAILQ_REMOVE(&o->ops, op, link);
		err_set(&op->err, -ECANCELED, "the guest is ending");
		if (op->cb != NULL)
			op->cb("{}", &op->err, op->arg);
		sqlop_free(op);
	}
	free(o);
}

/* Copy what is asked. */
static int fill(struct sqlop *op, const struct sql_ask *a, struct err *e)
{
	size_t len = 0;
	const char *raw = jv_raw(a->params, &len);
	const bool has_params =
		jv_is(a->params, JV_ARRAY) || jv_is(a->params, JV_OBJECT);

	op->verb = a->verb;
	op->timeout_ms = a->timeout_ms;
	if (a->db != NULL && sqldb_check_name(a->db, e) < 0)
		return e->code;
	if (jv_has(a->params) && !has_params && !jv_is(a->params, JV_NULL))
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "params is no array or object");
	if (len > SQL_PARAMS_BYTES ||
	    (a->sql != NULL && strlen(a->sql) > SQL_TEXT_MAX))
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "sql: more than %u bytes, or %u of params",
			       SQL_TEXT_MAX, SQL_PARAMS_BYTES);
	snprintf(op->db, sizeof(op->db), "%s", a->db ? a->db : "");
	snprintf(op->to, sizeof(op->to), "%s", a->to ? a->to : "");
	op->sql = strdup(a->sql ? a->sql : "");
	op->params = has_params ? strndup(raw, len) : NULL;
	if (op->sql == NULL || (has_params && op->params == NULL))
		return err_set(e, -ENOMEM, "sql: out of memory");
	return 0;
}

static void cancel_all(struct sqlops *o, const char *session)
{
	struct sqlop *op;

	TAILQ_FOREACH (op, &o->ops, link)
		if (strcmp(op->session, session) == 0)
			sqlop_cancel(op);
}

static unsigned count(const struct sqlops *o, const char *session)
{
	const struct sqlop *op;
	unsigned n = 0;

	TAILQ_FOREACH (op, &o->ops, link)
		n += strcmp(op->session, session) == 0;
	return n;
}

int sqlops_ask(struct sqlops *o, const char *session, const struct sql_ask *a,
	       sqlop_cb cb, void *arg, struct sqlop **out, struct err *e)
{
	struct err why = {0};
	struct sqlop *op;
	int r;

	/* Who cleans up is not kept from it. */
	if (count(o, session) >= SQL_OPS_MAX && a->verb < SQL_DO_COPY)
		return err_set(e, -FAULT_OVERLOADED,
			       "sql: %u calls are under way", SQL_OPS_MAX);
	op = calloc(1, sizeof(*op));
	if (op == NULL)
		return err_set(e, -ENOMEM, "sql: out of memory");
	r = fill(op, a, &why);
	if (r < 0) {
		sqlop_free(op);
		return err_set(e, r, "%s", why.msg);
	}
	op->ops = o;
	op->cb = cb;
	op->arg = arg;
	memcpy(op->session, session, strlen(session) + 1);
	if (a->verb == SQL_DO_REMOVE)
		cancel_all(o, session);
	TAILQ_INSERT_TAIL(&o->ops, op, link);
	begin_next(o, session);
	if (out != NULL)
		*out = op;
	return 0;
}

void sqlop_cancel(struct sqlop *op)
{
	atomic_store(&op->cancelled, true);
}

/* A fork may be on its way whose databases are here already. */
static bool is_fresh(DIR *d, const char *name)
{
	struct stat st;

	return fstatat(dirfd(d), name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	       time(NULL) - st.st_mtime < SQL_SWEEP_S;
}

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void sqlops_sweep(struct sqlops *o,
		  bool (*known)(const char *session, void *arg), void *arg)
{
	char path[PATH_MAX];
	const struct dirent *en;
	struct err e = {0};
	DIR *d;

	snprintf(path, sizeof(path), "%s/sql", o->state);
	d = opendir(path);
	while (d != NULL && (en = readdir(d)) != NULL) {
		if (is_self(en->d_name) || is_fresh(d, en->d_name) ||
		    (id_is(en->d_name, "ses") && known(en->d_name, arg)))
			continue;
		sqldb_folder(o->state, en->d_name, path);
		if (sqldb_remove(path, &e) < 0)
			log_error("%s: %s", en->d_name, e.msg);
	}
	if (d != NULL)
		closedir(d);
}

int sql_verb_from_name(const char *name)
{
	static const char *const names[] = {
		[SQL_DO_EXECUTE] = "execute", [SQL_DO_QUERY] = "query",
		[SQL_DO_SCHEMA] = "schema",   [SQL_DO_LIST] = "list",
		[SQL_DO_DROP] = "drop",
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcmp(names[i], name) == 0)
			return (int)i;
	return -1;
}

bool sqlops_are_idle(const struct sqlops *o)
{
	return TAILQ_EMPTY(&o->ops) && fspool_is_idle(o->pool);
}
