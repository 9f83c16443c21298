// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_sql.c - Whatever strangers execute, it stays within its database
 *
 * The property: no file but the database and its journal is made or changed, the
 * file stays whole and within its bound, and a result within its own.  What
 * takes long is cut short.
 */
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "guest/limits.h"
#include "guest/sqlmem.h"
#include "guest/sqlrun.h"

#define BYTES	(4 << 20) /* Of the database. */
#define RUN_MS	200
#define SQL_LEN 4096

static char dir[64], path[96];

static void end(void)
{
	(void)unlink(path);
	(void)rmdir(dir);
}

/* In memory, because each run syncs. */
static void begin(void)
{
	strcpy(dir, "/dev/shm/hib-fuzz-sql-XXXXXX");
	if (mkdtemp(dir) == NULL)
		abort();
	(void)atexit(end);
	if (sqlmem_init() < 0)
		abort();
	snprintf(path, sizeof(path), "%s/a.db", dir);
	/* Names that strangers will try are relative to it. */
	if (chdir(dir) < 0)
		abort();
}

static int run(enum sql_op op, const char *sql, struct jw *out, struct err *e)
{
	const struct sqlrun q = {.op = op,
				 .path = path,
				 .sql = sql,
				 .params = {.i = -1},
				 .max_bytes = BYTES,
				 .timeout_ms = RUN_MS};

	return sqlrun(&q, out, e);
}

static void check_folder(void)
{
	DIR *d = opendir(dir);
	const struct dirent *en;
	struct stat st;

	while (d != NULL && (en = readdir(d)) != NULL)
		if (en->d_name[0] != '.' && strcmp(en->d_name, "a.db") != 0) {
			fprintf(stderr, "it has made %s\n", en->d_name);
			abort();
		}
	closedir(d);
	if (stat(path, &st) == 0 && st.st_size > BYTES)
		abort();
}

static void check_whole(void)
{
	autojw struct jw out = {0};

	if (access(path, F_OK) == 0 &&
	    (run(SQL_QUERY, "PRAGMA quick_check", &out, NULL) < 0 ||
	     strstr(out.buf, "[[\"ok\"]]") == NULL))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	autojw struct jw out = {0};
	char sql[SQL_LEN + 1];
	struct err e = {0};

	if (size == 0 || size > SQL_LEN)
		return 0;
	if (dir[0] == '\0')
		begin();
	memcpy(sql, data + 1, size - 1);
	sql[size - 1] = '\0';
	(void)run(data[0] & 1 ? SQL_QUERY : SQL_EXECUTE, sql, &out, &e);
	if (out.len > SQL_RESULT_MAX + (64u << 10))
		abort();
	check_folder();
	check_whole();
	if (data[0] & 2)
		(void)unlink(path);
	return 0;
}
