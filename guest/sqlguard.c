// SPDX-License-Identifier: Apache-2.0
/*
 * sqlguard.c - What strangers' SQL may do in its database, and how much
 *
 * SQLite asks about every action of a statement when it is prepared.  What is
 * not in the table is refused, so an action of a later version is, too.
 *
 * While a statement runs SQLite calls back every SQL_OPS_STEP operations of its
 * machine: that is where time is counted.  One operation is bounded by the length
 * of a value.
 */
#include "guest/sqlguard.h"

#include <string.h>
#include <time.h>

#include "core/base.h"
#include "guest/limits.h"

/* NULL: refused without a word of its own. */
static const struct {
	bool allowed;
	const char *what;
} actions[] = {
	[SQLITE_CREATE_INDEX] = {true, NULL},
	[SQLITE_CREATE_TABLE] = {true, NULL},
	[SQLITE_CREATE_TEMP_INDEX] = {true, NULL},
	[SQLITE_CREATE_TEMP_TABLE] = {true, NULL},
	[SQLITE_CREATE_TEMP_TRIGGER] = {true, NULL},
	[SQLITE_CREATE_TEMP_VIEW] = {true, NULL},
	[SQLITE_CREATE_TRIGGER] = {true, NULL},
	[SQLITE_CREATE_VIEW] = {true, NULL},
	[SQLITE_DELETE] = {true, NULL},
	[SQLITE_DROP_INDEX] = {true, NULL},
	[SQLITE_DROP_TABLE] = {true, NULL},
	[SQLITE_DROP_TEMP_INDEX] = {true, NULL},
	[SQLITE_DROP_TEMP_TABLE] = {true, NULL},
	[SQLITE_DROP_TEMP_TRIGGER] = {true, NULL},
	[SQLITE_DROP_TEMP_VIEW] = {true, NULL},
	[SQLITE_DROP_TRIGGER] = {true, NULL},
	[SQLITE_DROP_VIEW] = {true, NULL},
	[SQLITE_INSERT] = {true, NULL},
	[SQLITE_READ] = {true, NULL},
	[SQLITE_SELECT] = {true, NULL},
	[SQLITE_UPDATE] = {true, NULL},
	[SQLITE_ALTER_TABLE] = {true, NULL},
	[SQLITE_REINDEX] = {true, NULL},
	[SQLITE_ANALYZE] = {true, NULL},
	[SQLITE_SAVEPOINT] = {true, NULL},
	[SQLITE_RECURSIVE] = {true, NULL},
	[SQLITE_PRAGMA] = {false, "this pragma"},
	[SQLITE_FUNCTION] = {false, "this function"},
	[SQLITE_TRANSACTION] = {false, "BEGIN and COMMIT: each call is one "
				       "transaction"},
	[SQLITE_ATTACH] = {false, "ATTACH and VACUUM"},
	[SQLITE_DETACH] = {false, "DETACH"},
	[SQLITE_CREATE_VTABLE] = {false, "virtual tables"},
	[SQLITE_DROP_VTABLE] = {false, "virtual tables"},
};

static const char *const pragmas[] = {
	"application_id",  "foreign_key_check", "foreign_key_list",
	"foreign_keys",	   "freelist_count",	"function_list",
	"index_info",	   "index_list",	"index_xinfo",
	"integrity_check", "page_count",	"page_size",
	"quick_check",	   "table_info",	"table_list",
	"table_xinfo",	   "user_version",
};

static const char *const bad_functions[] = {
	"fts3_tokenizer", "load_extension", "readfile", "writefile", "edit",
};

static bool is_in(const char *name, const char *const *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (name != NULL && sqlite3_stricmp(name, list[i]) == 0)
			return true;
	return false;
}

/* @first, @second: what they are depends on the action. */
static bool is_allowed(int action, const char *first, const char *second)
{
	if (action == SQLITE_PRAGMA)
		return is_in(first, pragmas, ARRAY_LEN(pragmas));
	if (action == SQLITE_FUNCTION)
		return !is_in(second, bad_functions, ARRAY_LEN(bad_functions));
	return action >= 0 && (size_t)action < ARRAY_LEN(actions) &&
	       actions[action].allowed;
}

static int on_action(void *arg, int action, const char *first,
		     const char *second, const char *database,
		     const char *trigger)
{
	struct sqlguard *g = arg;

	(void)database;
	(void)trigger;
	if (is_allowed(action, first, second))
		return SQLITE_OK;
	g->refused = "this";
	if (action >= 0 && (size_t)action < ARRAY_LEN(actions) &&
	    actions[action].what != NULL)
		g->refused = actions[action].what;
	return SQLITE_DENY;
}

static int64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* Return: non-zero interrupts. */
static int on_progress(void *arg)
{
	struct sqlguard *g = arg;

	if (g->cancelled != NULL && atomic_load(g->cancelled))
		g->stop = SQL_CANCELLED;
	else if (now_ns() >= g->deadline_ns)
		g->stop = SQL_TIME;
	return g->stop != SQL_GOES;
}

int sqlguard_open(sqlite3 *db)
{
	static const struct {
		int limit, value;
	} limits[] = {
		{SQLITE_LIMIT_LENGTH, SQL_VALUE_MAX},
		{SQLITE_LIMIT_SQL_LENGTH, SQL_TEXT_MAX},
		{SQLITE_LIMIT_COLUMN, 200},
		{SQLITE_LIMIT_EXPR_DEPTH, 200},
		{SQLITE_LIMIT_COMPOUND_SELECT, 100},
		{SQLITE_LIMIT_VDBE_OP, 250000},
		{SQLITE_LIMIT_FUNCTION_ARG, 100},
		{SQLITE_LIMIT_ATTACHED, 0},
		{SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
		{SQLITE_LIMIT_VARIABLE_NUMBER, SQL_PARAMS_MAX},
		{SQLITE_LIMIT_TRIGGER_DEPTH, 32},
		{SQLITE_LIMIT_WORKER_THREADS, 0},
	};
	static const struct {
		int option, on;
	} options[] = {
		{SQLITE_DBCONFIG_DEFENSIVE, 1},
		{SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
		{SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
		{SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0},
	};

	for (size_t i = 0; i < ARRAY_LEN(limits); i++)
		(void)sqlite3_limit(db, limits[i].limit, limits[i].value);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (sqlite3_db_config(db, options[i].option, options[i].on,
				      NULL) != SQLITE_OK)
			return -EINVAL;
	return 0;
}

void sqlguard_begin(struct sqlguard *g, sqlite3 *db)
{
	g->stop = SQL_GOES;
	g->refused = NULL;
	sqlite3_progress_handler(db, SQL_OPS_STEP, on_progress, g);
	(void)sqlite3_set_authorizer(db, on_action, g);
}

void sqlguard_end(sqlite3 *db)
{
	sqlite3_progress_handler(db, 0, NULL, NULL);
	(void)sqlite3_set_authorizer(db, NULL, NULL);
}
