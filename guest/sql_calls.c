// SPDX-License-Identifier: Apache-2.0
/*
 * sql_calls.c - What the host and the guest's life ask of databases
 */
#include "guest/sql_calls.h"

#include <string.h>

#include "guest/limits.h"
#include "guest/session.h"
#include "guest/sqlops.h"

static void on_done(const char *json, const struct err *e, void *arg)
{
	struct call *c = arg;

	if (e != NULL) {
		call_fail(c, e);
		return;
	}
	jw_raw(&c->result, json, strlen(json));
	call_reply(c);
}

static int read_session(struct guest *g, struct call *c, struct session **out,
			char id[ID_MAX], struct err *e)
{
	if (jv_strcpy(jv_get(c->params, "session"), id, ID_MAX) < 0)
		return err_set(e, -FAULT_INVALID_ID,
			       "session is no id of a session");
	return session_find(g, id, out, e);
}

static int read_verb(struct jv v, enum sql_verb *out, struct err *e)
{
	char name[16];
	int verb;

	if (jv_strcpy(v, name, sizeof(name)) < 0)
		name[0] = '\0';
	verb = sql_verb_from_name(name);
	if (verb < 0)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "op is none of execute, query, schema, list, "
			       "drop");
	*out = (enum sql_verb)verb;
	return 0;
}

static int read_rest(struct jv p, struct sql_ask *a, char **sql,
		     char db[SQL_NAME_MAX + 1], struct err *e)
{
	size_t len = 0;

	if (a->verb != SQL_DO_LIST) {
		/* One that is too long is no name, as one without letters. */
		if (jv_strcpy(jv_get(p, "db"), db, SQL_NAME_MAX + 1) < 0)
			db[0] = '\0';
		a->db = db;
	}
	a->params = jv_get(p, "params");
	a->timeout_ms = jv_int(jv_get(p, "timeout_ms"), 0);
	if (a->timeout_ms < 0 || a->timeout_ms > SQL_TIMEOUT_MS)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "timeout_ms: 1 to %d", SQL_TIMEOUT_MS);
	if (a->verb > SQL_DO_QUERY)
		return 0;
	*sql = jv_strdup(jv_get(p, "sql"), &len);
	if (*sql == NULL || strlen(*sql) != len)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "sql is no string, or holds a NUL");
	a->sql = *sql;
	return 0;
}

int guest_sql(struct guest *g, struct call *c, struct err *e)
{
	autofree char *sql = NULL;
	char id[ID_MAX], db[SQL_NAME_MAX + 1];
	struct sql_ask a = {.params = {.i = -1}};
	struct session *s;

	if (read_session(g, c, &s, id, e) < 0 ||
	    read_verb(jv_get(c->params, "op"), &a.verb, e) < 0 ||
	    read_rest(c->params, &a, &sql, db, e) < 0)
		return e->code;
	return sqlops_ask(g->sql, id, &a, on_done, c, NULL, e);
}

int guest_sql_fork(struct guest *g, struct call *c, struct err *e)
{
	char id[ID_MAX], to[ID_MAX];
	struct sql_ask a = {.verb = SQL_DO_COPY, .params = {.i = -1}, .to = to};
	struct session_brief b;

	/* The source may be a fork that has not come either. */
	if (jv_strcpy(jv_get(c->params, "session"), id, sizeof(id)) < 0 ||
	    jv_strcpy(jv_get(c->params, "to"), to, sizeof(to)) < 0 ||
	    !id_is(id, "ses") || !id_is(to, "ses"))
		return err_set(e, -FAULT_INVALID_ID,
			       "session or to is no id of a session");
	if (reader_session(g->reader, to, &b, NULL) == 0)
		return err_set(e, -FAULT_ALREADY_EXISTS,
			       "session %s is here already", to);
	return sqlops_ask(g->sql, id, &a, on_done, c, NULL, e);
}

void guest_purge_sql(struct guest *g, struct jv session)
{
	const struct sql_ask a = {.verb = SQL_DO_REMOVE, .params = {.i = -1}};
	char id[ID_MAX];

	if (jv_strcpy(session, id, sizeof(id)) > 0 && id_is(id, "ses"))
		(void)sqlops_ask(g->sql, id, &a, NULL, NULL, NULL, NULL);
}

static bool is_known(const char *session, void *arg)
{
	const struct guest *g = arg;
	struct session_brief b;

	return reader_session(g->reader, session, &b, NULL) == 0;
}

void guest_sweep_sql(struct guest *g)
{
	sqlops_sweep(g->sql, is_known, g);
}
