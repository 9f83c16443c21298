// SPDX-License-Identifier: Apache-2.0
/*
 * test_headroom.c - Room in a write-ahead log before it is needed
 */
#include "core/headroom.h"

#include <sys/stat.h>

#include "core/db.h"
#include "tests/tap.h"

#define MAX (8u << 20)

struct kit {
	char dir[32], path[48], log[56];
	sqlite3 *db;
};

static sqlite3 *open_db(const char *path)
{
	sqlite3 *db;
	struct err e = {0};

	EQ(db_open(path, DB_GUEST, &db, &e), 0);
	return db;
}

static void kit_open(struct kit *k)
{
	strcpy(k->dir, "/tmp/hib-headroom.XXXXXX");
	OK(mkdtemp(k->dir) != NULL);
	snprintf(k->path, sizeof(k->path), "%s/s.db", k->dir);
	snprintf(k->log, sizeof(k->log), "%s-wal", k->path);
	k->db = open_db(k->path);
}

static void kit_close(struct kit *k)
{
	char cmd[64];

	db_close(k->db);
	snprintf(cmd, sizeof(cmd), "rm -r %s", k->dir);
	EQ(system(cmd), 0);
}

static off_t size_of(const char *path)
{
	struct stat st;

	EQ(stat(path, &st), 0);
	return st.st_size;
}

static void put(sqlite3 *db, const char *key)
{
	EQ(db_run(db, NULL, "INSERT INTO meta(k, v) VALUES(?1, 'x')", "s", key),
	   1);
}

static int64_t count(sqlite3 *db)
{
	autostmt sqlite3_stmt *q = NULL;

	EQ(db_prepare(db, &q, NULL, "SELECT count(*) FROM meta", ""), 0);
	EQ(db_step(q, NULL), 1);
	return sqlite3_column_int64(q, 0);
}

/* What is on disk now, opened somewhere else: as after a power cut. */
static int64_t count_in_copy(const struct kit *k)
{
	char cmd[256], path[64];
	sqlite3 *copy;
	int64_t n;

	snprintf(cmd, sizeof(cmd),
		 "mkdir %s/copy && cp %s %s %s/copy && rm -f %s/copy/*-shm",
		 k->dir, k->path, k->log, k->dir, k->dir);
	EQ(system(cmd), 0);
	snprintf(path, sizeof(path), "%s/copy/s.db", k->dir);
	copy = open_db(path);
	n = count(copy);
	put(copy, "more");
	EQ(count(copy), n + 1);
	db_close(copy);
	snprintf(cmd, sizeof(cmd), "rm -r %s/copy", k->dir);
	EQ(system(cmd), 0);
	return n;
}

TEST(commits_go_where_there_is_room)
{
	struct kit k;
	off_t size;

	kit_open(&k);
	headroom_make(k.db, 0, MAX);
	size = size_of(k.log);
	EQ(size, HEADROOM_BYTES);
	EQ(count_in_copy(&k), 0);
	put(k.db, "a");
	put(k.db, "b");
	EQ(size_of(k.log), size);
	EQ(count_in_copy(&k), 2);
	kit_close(&k);
}

TEST(room_behind_what_is_written_changes_nothing_of_it)
{
	struct kit k;
	off_t used;

	kit_open(&k);
	put(k.db, "a");
	used = size_of(k.log);
	OK(used > 0);
	headroom_make(k.db, (size_t)used, MAX);
	EQ(size_of(k.log), used + HEADROOM_BYTES);
	EQ(count_in_copy(&k), 1);
	put(k.db, "b");
	EQ(count_in_copy(&k), 2);
	kit_close(&k);
}

TEST(none_is_made_where_there_is_enough)
{
	struct kit k;

	kit_open(&k);
	headroom_make(k.db, 0, MAX);
	headroom_make(k.db, HEADROOM_BYTES / 2, MAX);
	EQ(size_of(k.log), HEADROOM_BYTES);
	headroom_make(k.db, HEADROOM_BYTES / 2 + 1, MAX);
	EQ(size_of(k.log), 2 * HEADROOM_BYTES);
	headroom_make(k.db, MAX, MAX);
	EQ(size_of(k.log), 2 * HEADROOM_BYTES);
	kit_close(&k);
}

TEST(none_is_made_while_another_writes)
{
	struct kit k;
	sqlite3 *other;

	kit_open(&k);
	other = open_db(k.path);
	EQ(db_exec(k.db, "PRAGMA busy_timeout=1", NULL), 0);
	EQ(db_exec(other, "BEGIN IMMEDIATE", NULL), 0);
	headroom_make(k.db, 0, MAX);
	EQ(size_of(k.log), 0);
	put(other, "a");
	EQ(db_exec(other, "COMMIT", NULL), 0);
	db_close(other);
	EQ(count(k.db), 1);
	kit_close(&k);
}

TESTS(CASE(commits_go_where_there_is_room),
      CASE(room_behind_what_is_written_changes_nothing_of_it),
      CASE(none_is_made_where_there_is_enough),
      CASE(none_is_made_while_another_writes))
