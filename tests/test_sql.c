// SPDX-License-Identifier: Apache-2.0
/*
 * test_sql.c - Strangers' SQL: what it may do, what it may not, and how much
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "core/err.h"
#include "guest/limits.h"
#include "guest/sqldb.h"
#include "guest/sqlmem.h"
#include "guest/sqlrun.h"
#include "tests/tap.h"

static char dir[64];

static void begin(void)
{
	strcpy(dir, "/tmp/hib-sql-XXXXXX");
	OK(mkdtemp(dir) != NULL);
	EQ(sqlmem_init(), 0);
}

static void end(void)
{
	char cmd[128];

	snprintf(cmd, sizeof(cmd), "rm -rf %s", dir);
	EQ(system(cmd), 0);
}

/* What the last one said. */
static struct jw said;
static struct err why;

static int run_with(enum sql_op op, const char *db, const char *sql,
		    const char *params, int64_t timeout_ms)
{
	autojson struct json j = {0};
	char path[PATH_MAX];
	struct sqlrun q = {.op = op,
			   .path = path,
			   .sql = sql,
			   .params = {.i = -1},
			   .timeout_ms = timeout_ms};
	int r;

	why = (struct err){0};
	jw_reset(&said);
	if (params != NULL) {
		EQ(json_parse(&j, params, strlen(params), NULL), 0);
		q.params = json_root(&j);
	}
	r = sqldb_place(dir, db, op == SQL_EXECUTE, path, &q.max_bytes, &why);
	return r < 0 ? r : sqlrun(&q, &said, &why);
}

static int execute(const char *sql)
{
	return run_with(SQL_EXECUTE, "a", sql, NULL, 0);
}

static int query(const char *sql)
{
	return run_with(SQL_QUERY, "a", sql, NULL, 0);
}

/* The rows of a query, as JSON. */
static const char *rows(const char *sql, const char *params)
{
	static char text[1024];
	autojson struct json j = {0};
	const char *raw;
	size_t len;

	if (run_with(SQL_QUERY, "a", sql, params, 0) < 0)
		return why.msg;
	EQ(json_parse(&j, said.buf, said.len, NULL), 0);
	raw = jv_raw(jv_get(json_root(&j), "rows"), &len);
	snprintf(text, sizeof(text), "%.*s", (int)len, raw);
	return text;
}

static bool is_file(const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return access(path, F_OK) == 0;
}

TEST(what_is_written_is_read)
{
	begin();
	EQ(query("SELECT 1"), -FAULT_FILE_NOT_FOUND);
	EQ(execute("CREATE TABLE t(a INTEGER PRIMARY KEY, b TEXT);"
		   "INSERT INTO t(b) VALUES('x'),('y'); -- two\n"),
	   0);
	STR_EQ(said.buf, "{\"columns\":[],\"rows\":[],\"truncated\":false,"
			 "\"changes\":2,\"last_insert_rowid\":2}");
	STR_EQ(rows("SELECT * FROM t ORDER BY a", NULL),
	       "[[1,\"x\"],[2,\"y\"]]");
	EQ(execute("INSERT INTO t(b) VALUES('z') RETURNING a AS id"), 0);
	STR_EQ(said.buf, "{\"columns\":[\"id\"],\"rows\":[[3]],"
			 "\"truncated\":false,\"changes\":1,"
			 "\"last_insert_rowid\":3}");
	EQ(run_with(SQL_SCHEMA, "a", NULL, NULL, 0), 0);
	OK(strstr(said.buf, "{\"type\":\"table\",\"name\":\"t\",\"table\":"
			    "\"t\",\"sql\":\"CREATE TABLE t(") != NULL);
	end();
}

TEST(values_come_back_as_they_went)
{
	begin();
	EQ(execute("CREATE TABLE t(a, b)"), 0);
	EQ(run_with(SQL_EXECUTE, "a", "INSERT INTO t VALUES(?1, ?2)",
		    "[9007199254740993,{\"base64\":\"AAEC\"}]", 0),
	   0);
	EQ(run_with(SQL_EXECUTE, "a", "INSERT INTO t VALUES(:x, $y)",
		    "{\"x\":2.0,\"y\":\"\xc3\xa9\\u0001\"}", 0),
	   0);
	EQ(run_with(SQL_EXECUTE, "a", "INSERT INTO t VALUES(?, ?)",
		    "[true,null]", 0),
	   0);
	STR_EQ(rows("SELECT * FROM t", NULL),
	       "[[9007199254740993,{\"base64\":\"AAEC\"}],"
	       "[2.0,\"\xc3\xa9\\u0001\"],[1,null]]");
	STR_EQ(rows("SELECT ?1 + ?2", "[1.5,1e3]"), "[[1001.5]]");
	STR_EQ(rows("SELECT 9e999, 'x' || char(0) || 'y'", NULL),
	       "[[null,\"x\\u0000y\"]]");
	end();
}

TEST(wrong_parameters_are_refused)
{
	static const struct {
		const char *sql, *params;
	} wrong[] = {
		{"SELECT ?1", NULL},
		{"SELECT ?1", "[]"},
		{"SELECT ?1", "[1,2]"},
		{"SELECT 1", "[1]"},
		{"SELECT :a", "{\"b\":1}"},
		{"SELECT ?1", "[[1]]"},
		{"SELECT ?1", "[{\"base64\":\"?\"}]"},
		{"SELECT ?1; SELECT 2", "[1]"},
	};

	begin();
	EQ(execute("CREATE TABLE t(a)"), 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		if (run_with(SQL_QUERY, "a", wrong[i].sql, wrong[i].params,
			     0) != -FAULT_INVALID_ARGUMENT)
			FAIL("%s with %s", wrong[i].sql,
			     wrong[i].params ? wrong[i].params : "nothing");
	STR_EQ(rows("SELECT ?1 -- alone\n ; ", "[7]"), "[[7]]");
	end();
}

TEST(what_reaches_beyond_the_database_is_refused)
{
	static const char *const bad[] = {
		"ATTACH '/tmp/x' AS x",
		"DETACH main",
		"CREATE VIRTUAL TABLE v USING fts5(a)",
		"CREATE VIRTUAL TABLE v USING rtree(a,b,c)",
		"CREATE TABLE q(a); CREATE VIRTUAL TABLE temp.v USING fts5(a)",
		"SELECT load_extension('/tmp/x.so')",
		"SELECT fts3_tokenizer('simple')",
		"PRAGMA journal_mode=OFF",
		"PRAGMA writable_schema=ON",
		"PRAGMA max_page_count=1000000",
		"PRAGMA synchronous=OFF",
		"PRAGMA temp_store_directory='/tmp'",
		"PRAGMA database_list",
		"SELECT * FROM pragma_database_list",
		"PRAGMA query_only=OFF",
		"PRAGMA soft_heap_limit=1",
		"PRAGMA trusted_schema=ON",
		"BEGIN",
		"COMMIT",
		"ROLLBACK",
		"EXPLAIN COMMIT",
	};

	begin();
	EQ(execute("CREATE TABLE t(a)"), 0);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (execute(bad[i]) != -FAULT_FORBIDDEN)
			FAIL("%s: %d %s", bad[i], why.code, why.msg);
	EQ(execute("DELETE FROM sqlite_schema"), -FAULT_INVALID_ARGUMENT);
	EQ(execute("CREATE VIEW w AS SELECT load_extension('x')"), 0);
	OK(query("SELECT * FROM w") < 0);
	EQ(execute("VACUUM"), -FAULT_INVALID_ARGUMENT);
	EQ(execute("VACUUM INTO '/tmp/hib-sql-out'"), -FAULT_INVALID_ARGUMENT);
	OK(access("/tmp/hib-sql-out", F_OK) < 0);
	/* The rest of it still works. */
	EQ(execute("PRAGMA user_version=7; SAVEPOINT s; CREATE INDEX i ON t(a);"
		   "RELEASE s; ANALYZE; PRAGMA integrity_check"),
	   0);
	STR_EQ(rows("SELECT name FROM pragma_table_info('t')", NULL),
	       "[[\"a\"]]");
	STR_EQ(rows("SELECT value FROM json_each('[1]')", NULL), "[[1]]");
	end();
}

TEST(a_query_only_reads)
{
	begin();
	EQ(execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)"), 0);
	EQ(query("DELETE FROM t"), -FAULT_INVALID_ARGUMENT);
	EQ(query("SELECT 1; DROP TABLE t"), -FAULT_INVALID_ARGUMENT);
	EQ(query("PRAGMA user_version=3"), -FAULT_INVALID_ARGUMENT);
	STR_EQ(rows("SELECT a FROM t", NULL), "[[1]]");
	end();
}

TEST(all_of_a_call_is_done_or_nothing)
{
	begin();
	EQ(execute("CREATE TABLE t(a UNIQUE)"), 0);
	EQ(execute("INSERT INTO t VALUES(1); INSERT INTO t VALUES(1)"),
	   -FAULT_INVALID_ARGUMENT);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[0]]");
	EQ(execute("INSERT INTO t VALUES(1); nonsense"),
	   -FAULT_INVALID_ARGUMENT);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[0]]");
	/* What fails makes no file. */
	EQ(run_with(SQL_EXECUTE, "b", "CREATE TABLE u(a); nonsense", NULL, 0),
	   -FAULT_INVALID_ARGUMENT);
	OK(!is_file("b.db"));
	OK(!is_file("b.db-journal"));
	end();
}

#define COUNT_TO(n)                                                           \
	"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM c WHERE " \
	"i<" n ") SELECT i FROM c"

TEST(a_result_is_cut)
{
	autojson struct json j = {0};

	begin();
	EQ(execute("CREATE TABLE t(a)"), 0);
	EQ(query(COUNT_TO("1000")), 0);
	OK(strstr(said.buf, "\"truncated\":false") != NULL);
	EQ(query(COUNT_TO("1001")), 0);
	EQ(json_parse(&j, said.buf, said.len, NULL), 0);
	EQ(jv_count(jv_get(json_root(&j), "rows")), SQL_ROWS_MAX);
	OK(jv_bool(jv_get(json_root(&j), "truncated"), false));
	EQ(query("SELECT hex(zeroblob(300000)) FROM (" COUNT_TO("9") ")"), 0);
	EQ(json_parse(&j, said.buf, said.len, NULL), 0);
	EQ(jv_count(jv_get(json_root(&j), "rows")), 1);
	OK(jv_bool(jv_get(json_root(&j), "truncated"), false));
	/* The rows that are not told are written all the same. */
	EQ(execute("INSERT INTO t " COUNT_TO("3000") " RETURNING a"), 0);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[3000]]");
	end();
}

TEST(what_takes_too_long_is_interrupted)
{
	struct timespec a, b;

	begin();
	EQ(execute("CREATE TABLE t(a); INSERT INTO t " COUNT_TO("2000")), 0);
	clock_gettime(CLOCK_MONOTONIC, &a);
	EQ(run_with(SQL_EXECUTE, "a",
		    "DELETE FROM t; SELECT count(*) FROM (" COUNT_TO(
			    "1000000000") ")",
		    NULL, 200),
	   -FAULT_REQUEST_TIMEOUT);
	clock_gettime(CLOCK_MONOTONIC, &b);
	OK(b.tv_sec - a.tv_sec < 20);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[2000]]");
	end();
}

TEST(memory_is_bounded)
{
	begin();
	EQ(execute("CREATE TABLE t(a)"), 0);
	EQ(query("SELECT count(*) FROM (SELECT hex(randomblob(100000)) AS x "
		 "FROM (" COUNT_TO("100000") ") ORDER BY x)"),
	   -FAULT_QUOTA_EXCEEDED);
	EQ(query("SELECT zeroblob(100000000)"), -FAULT_MESSAGE_TOO_LARGE);
	end();
}

/* A query that is doubled 20 times before it runs. */
TEST(memory_of_what_does_not_run_yet_is_bounded)
{
	char sql[4096] = "WITH c0(x) AS (SELECT 1)";
	size_t n = strlen(sql);
	struct rusage usage;

	for (int i = 1; i <= 20; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n,
				      ",c%d(x) AS (SELECT x FROM c%d UNION ALL "
				      "SELECT x FROM c%d)",
				      i, i - 1, i - 1);
	snprintf(sql + n, sizeof(sql) - n, " SELECT count(*) FROM c20");
	begin();
	EQ(execute("CREATE TABLE t(a)"), 0);
	EQ(query(sql), -FAULT_QUOTA_EXCEEDED);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[0]]");
	EQ(getrusage(RUSAGE_SELF, &usage), 0);
	OK(usage.ru_maxrss < 1 << 20);
	end();
}

static int fill(const char *db)
{
	return run_with(SQL_EXECUTE, db,
			"CREATE TABLE IF NOT EXISTS t(a);"
			"WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i+1 "
			"FROM c WHERE i<490) INSERT INTO t SELECT "
			"randomblob(100000) FROM c",
			NULL, 0);
}

TEST(files_have_limits)
{
	char path[PATH_MAX];
	struct stat st;

	begin();
	EQ(fill("a"), 0); /* 49 MB. */
	EQ(fill("a"), -FAULT_QUOTA_EXCEEDED);
	snprintf(path, sizeof(path), "%s/a.db", dir);
	EQ(stat(path, &st), 0);
	OK(st.st_size <= SQL_DB_BYTES);
	STR_EQ(rows("SELECT count(*) FROM t", NULL), "[[490]]");
	EQ(fill("b"), 0);
	EQ(fill("c"), -FAULT_QUOTA_EXCEEDED);
	EQ(execute("DROP TABLE t"), 0);
	EQ(fill("c"), 0);
	end();
}

TEST(there_are_ten_at_most)
{
	char name[16];

	begin();
	for (int i = 0; i < SQL_DBS_MAX; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		EQ(run_with(SQL_EXECUTE, name, "CREATE TABLE t(a)", NULL, 0),
		   0);
	}
	EQ(run_with(SQL_EXECUTE, "more", "CREATE TABLE t(a)", NULL, 0),
	   -FAULT_QUOTA_EXCEEDED);
	EQ(run_with(SQL_EXECUTE, "d3", "DROP TABLE t", NULL, 0), 0);
	EQ(sqldb_drop(dir, "d4", NULL), 0);
	EQ(sqldb_drop(dir, "d4", NULL), -FAULT_FILE_NOT_FOUND);
	EQ(run_with(SQL_EXECUTE, "more", "CREATE TABLE t(a)", NULL, 0), 0);
	jw_reset(&said);
	EQ(sqldb_list(dir, &said, NULL), 0);
	OK(strstr(said.buf, "{\"name\":\"d9\",") != NULL);
	OK(strstr(said.buf, "{\"name\":\"d4\",") == NULL);
	end();
}

TEST(names_are_checked)
{
	static const char *const bad[] = {"",	  "1a",	 "a-b",	    "a.b",
					  "../a", "a/b", "\xc3\xa9"};
	char name[SQL_NAME_MAX + 2] = "";

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		EQ(sqldb_check_name(bad[i], NULL), -FAULT_INVALID_ARGUMENT);
	memset(name, 'a', SQL_NAME_MAX);
	EQ(sqldb_check_name(name, NULL), 0);
	name[SQL_NAME_MAX] = 'a';
	EQ(sqldb_check_name(name, NULL), -FAULT_INVALID_ARGUMENT);
	EQ(sqldb_check_name("_a9", NULL), 0);
}

TEST(a_copy_is_whole)
{
	char to[128];

	begin();
	snprintf(to, sizeof(to), "%s.copy", dir);
	EQ(sqldb_copy(dir, to, NULL), 0);
	OK(access(to, F_OK) < 0); /* Nothing to be copied. */
	EQ(execute("CREATE TABLE t(a); INSERT INTO t VALUES(1)"), 0);
	EQ(run_with(SQL_EXECUTE, "b", "CREATE TABLE u(a)", NULL, 0), 0);
	EQ(sqldb_copy(dir, to, NULL), 0);
	EQ(execute("DELETE FROM t"), 0);
	EQ(sqldb_remove(dir, NULL), 0);
	EQ(rename(to, dir), 0);
	STR_EQ(rows("SELECT a FROM t", NULL), "[[1]]");
	OK(is_file("b.db"));
	EQ(sqldb_remove(dir, NULL), 0);
	EQ(sqldb_remove(dir, NULL), 0);
	end();
}

/* The power goes in the middle of a transaction: again and again. */
TEST(a_killed_writer_leaves_a_whole_file)
{
	begin();
	EQ(execute("CREATE TABLE t(a); INSERT INTO t VALUES(0)"), 0);
	for (int i = 0; i < 20; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(20);
			for (;;)
				(void)execute(
					"UPDATE t SET a=a+1; INSERT INTO t "
					"SELECT max(a) FROM t; DELETE FROM t "
					"WHERE rowid>1 AND rowid%3=0");
		}
		usleep((useconds_t)(2000 + i * 1500));
		kill(pid, SIGKILL);
		EQ(waitpid(pid, NULL, 0), pid);
		STR_EQ(rows("PRAGMA integrity_check", NULL), "[[\"ok\"]]");
	}
	end();
}

TESTS(CASE(what_is_written_is_read), CASE(values_come_back_as_they_went),
      CASE(wrong_parameters_are_refused),
      CASE(what_reaches_beyond_the_database_is_refused),
      CASE(a_query_only_reads), CASE(all_of_a_call_is_done_or_nothing),
      CASE(a_result_is_cut), CASE(what_takes_too_long_is_interrupted),
      CASE(memory_is_bounded), CASE(memory_of_what_does_not_run_yet_is_bounded),
      CASE(files_have_limits), CASE(there_are_ten_at_most),
      CASE(names_are_checked), CASE(a_copy_is_whole),
      CASE(a_killed_writer_leaves_a_whole_file))
