// SPDX-License-Identifier: Apache-2.0
/*
 * builtin_sql.c - The server "sql": databases of a session
 */
#include <string.h>

#include "guest/builtins.h"
#include "guest/guest.h"
#include "guest/limits.h"
#include "guest/session.h"
#include "guest/sqlops.h"

static void on_done(const char *json, const struct err *e, void *arg)
{
	struct builtin_call *q = arg;

	if (e != NULL)
		builtin_fault(q, e);
	else
		builtin_reply_value(q, json);
}

static void on_cancelled(struct builtin_call *q)
{
	sqlop_cancel(q->data);
}

static void ask(struct builtin_call *q, enum sql_verb verb)
{
	struct sqlops *sql = session_guest(q->session)->sql;
	const char *session = session_journal(q->session)->session;
	autofree char *db = NULL, *text = NULL;
	struct sql_ask a = {.verb = verb, .params = jv_get(q->args, "params")};
	struct sqlop *op;
	struct err e = {0};

	if (builtin_get_text(q, "database", SQL_NAME_MAX, &db, &e) < 0 ||
	    builtin_get_text(q, "sql", SQL_TEXT_MAX, &text, &e) < 0) {
		builtin_fault(q, &e);
		return;
	}
	a.db = db;
	a.sql = text;
	if (sqlops_ask(sql, session, &a, on_done, q, &op, &e) < 0) {
		builtin_fault(q, &e);
		return;
	}
	q->data = op;
	q->cancelled = on_cancelled;
}

static void sql_execute(struct builtin_call *q)
{
	ask(q, SQL_DO_EXECUTE);
}

static void sql_query(struct builtin_call *q)
{
	ask(q, SQL_DO_QUERY);
}

static void sql_schema(struct builtin_call *q)
{
	ask(q, SQL_DO_SCHEMA);
}

static void sql_list(struct builtin_call *q)
{
	ask(q, SQL_DO_LIST);
}

static void sql_drop(struct builtin_call *q)
{
	ask(q, SQL_DO_DROP);
}

#define DATABASE                                         \
	"\"database\":{\"type\":\"string\",\"pattern\":" \
	"\"^[A-Za-z_][A-Za-z0-9_]{0,63}$\"}"
#define STATEMENT                                                            \
	DATABASE ",\"sql\":{\"type\":\"string\"},\"params\":{\"type\":["     \
		 "\"array\",\"object\"],\"description\":\"for ?1, ?2... or " \
		 ":name\"}"
#define OBJECT(required, properties)                        \
	"{\"type\":\"object\",\"required\":[" required "]," \
	"\"properties\":{" properties "},\"additionalProperties\":false}"
#define READS "{\"readOnlyHint\":true,\"openWorldHint\":false}"
#define WRITES                                              \
	"{\"readOnlyHint\":false,\"destructiveHint\":true," \
	"\"openWorldHint\":false}"

static const struct builtin_tool tools[] = {
	{.name = "sql_execute",
	 .title = "Execute SQL",
	 .description = "Run SQLite statements that may write, as one "
			"transaction. The database is made when it is not "
			"there. Up to 1000 rows come back.",
	 .input_schema = OBJECT("\"database\",\"sql\"", STATEMENT),
	 .annotations = WRITES,
	 .call = sql_execute},
	{.name = "sql_query",
	 .title = "Query",
	 .description = "Run a statement that only reads a database that is "
			"there. Up to 1000 rows come back.",
	 .input_schema = OBJECT("\"database\",\"sql\"", STATEMENT),
	 .annotations = READS,
	 .call = sql_query},
	{.name = "sql_schema",
	 .title = "Schema",
	 .description = "List the tables, indexes, views and triggers of a "
			"database.",
	 .input_schema = OBJECT("\"database\"", DATABASE),
	 .annotations = READS,
	 .call = sql_schema},
	{.name = "sql_list",
	 .title = "List databases",
	 .description = "List the databases of this session.",
	 .input_schema = OBJECT("", ""),
	 .annotations = READS,
	 .call = sql_list},
	{.name = "sql_drop",
	 .title = "Drop a database",
	 .description = "Remove a database with all that is in it.",
	 .input_schema = OBJECT("\"database\"", DATABASE),
	 .annotations = WRITES,
	 .call = sql_drop},
};

const struct builtin builtin_sql = {
	.name = "sql",
	.title = "SQL databases",
	.instructions = "SQLite databases of this session: up to 10, of 50 MB "
			"each. Other files, virtual tables and extensions are "
			"out of reach; a call takes 30 seconds at most.",
	.tools = tools,
	.n_tools = ARRAY_LEN(tools),
};
