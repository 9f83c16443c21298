// SPDX-License-Identifier: Apache-2.0
/*
 * sent.c - What the host has of a workspace: the file vfs.db
 *
 * The table is core/schema/vfs.sql's.  Its key is (folder, name), so that one
 * look reads the rows of a folder in order; the view session_files has whole
 * paths for people.  The first change begins the transaction.
 */
#include "vfs/sent.h"

#include <stdio.h>
#include <string.h>

#include "core/ballast.h"
#include "core/db.h"
#include "core/log.h"

#define LOG_COMPONENT "vfs"
#define BALLAST_BYTES (1u << 20) /* For some thousand rows. */

struct vfs_sent {
	sqlite3 *db;
	struct db_cache cache;
	bool dirty; /* A transaction is open. */
	/* Agents share the disk, and may fill it. */
	struct ballast ballast;
};

static const char sql_list[] =
	"SELECT name, kind, mode, size, mtime_ns, ctime_ns, ino, racy, "
	"opaque FROM entry WHERE dir=?1 ORDER BY name";
static const char sql_ignored[] =
	"SELECT CASE WHEN dir=x'' THEN name ELSE dir || x'2f' || name END, "
	"kind, mode, size, mtime_ns, ctime_ns, ino, racy, opaque "
	"FROM entry WHERE kind='ignored' ORDER BY dir, name";
static const char sql_put[] =
	"INSERT OR REPLACE INTO entry (dir, name, kind, mode, size, mtime_ns, "
	"ctime_ns, ino, racy, opaque) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
static const char sql_drop[] = "DELETE FROM entry WHERE dir=?1 AND name=?2";
static const char sql_drop_in[] = "DELETE FROM entry WHERE dir=?1";
static const char sql_drop_deeper[] =
	"DELETE FROM entry WHERE dir>?1 AND dir<?2";
static const char sql_drop_all[] = "DELETE FROM entry";
static const char sql_head[] = "SELECT v FROM meta WHERE k='head'";
static const char sql_generation[] = "SELECT v FROM meta WHERE k='generation'";
static const char sql_set_generation[] =
	"INSERT OR REPLACE INTO meta (k, v) VALUES ('generation', ?1)";
static const char sql_no_meta[] = "DELETE FROM meta";
static const char sql_set_head[] =
	"INSERT OR REPLACE INTO meta (k, v) VALUES ('head', ?1)";

static const char *const kind_names[] = {
	[VFS_SENT_FILE] = "file",	[VFS_SENT_FOLDER] = "folder",
	[VFS_SENT_LINK] = "link",	[VFS_SENT_DELETED] = "deleted",
	[VFS_SENT_IGNORED] = "ignored",
};

/*
 * Opening.
 */

/* A write-ahead log that belongs to another file would be replayed into the
 * new one. */
static int remove_files(const char *path)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		autofree char *name = NULL;

		if (asprintf(&name, "%s%s", path, suffixes[i]) < 0) {
			name = NULL;
			return -ENOMEM;
		}
		if (unlink(name) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int check(sqlite3 *db, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	const char *said;
	int r = db_prepare(db, &q, e, "PRAGMA quick_check(1)", "");

	if (r == 0)
		r = db_step(q, e);
	if (r < 0)
		return r;
	said = (const char *)sqlite3_column_text(q, 0);
	if (said == NULL || strcmp(said, "ok") != 0)
		return err_set(e, -EUCLEAN, "damaged: %s", said ? said : "");
	return 0;
}

static int open_checked(const char *path, sqlite3 **out, struct err *e)
{
	autodb sqlite3 *db = NULL;
	int r = db_open(path, DB_VFS, &db, e);

	if (r == 0)
		r = check(db, e);
	if (r == 0)
		*out = take_ptr(db);
	return r;
}

int vfs_sent_open(const char *path, struct vfs_sent **out, struct err *e)
{
	struct vfs_sent *s = calloc(1, sizeof(*s));
	int r;

	if (s == NULL)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	r = open_checked(path, &s->db, e);
	if (r == -EUCLEAN) {
		log_debug("%s: of no use, made anew", path);
		r = remove_files(path);
		if (r == 0)
			r = open_checked(path, &s->db, e);
		else
			err_set(e, r, "%s: %s", path, strerror(-r));
	}
	if (r == 0 && ballast_init(&s->ballast, path, BALLAST_BYTES) < 0)
		r = err_set(e, -ENOMEM, "%s: out of memory", path);
	if (r < 0) {
		db_close(s->db);
		free(s);
		return r;
	}
	ballast_hold(&s->ballast);
	s->cache.db = s->db;
	*out = s;
	return 0;
}

void vfs_sent_close(struct vfs_sent *s)
{
	if (s == NULL)
		return;
	vfs_sent_rollback(s);
	db_cache_done(&s->cache);
	db_close(s->db);
	ballast_done(&s->ballast);
	free(s);
}

/*
 * Reading.
 */

static enum vfs_sent_kind kind_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(kind_names); i++)
		if (name != NULL && strcmp(kind_names[i], name) == 0)
			return (enum vfs_sent_kind)i;
	return VFS_SENT_IGNORED; /* The schema has no other. */
}

static void read_row(sqlite3_stmt *q, struct vfs_sent_row *row)
{
	*row = (struct vfs_sent_row){
		.kind = kind_of((const char *)sqlite3_column_text(q, 1)),
		.mode = (uint32_t)sqlite3_column_int64(q, 2),
		.size = sqlite3_column_int64(q, 3),
		.mtime_ns = sqlite3_column_int64(q, 4),
		.ctime_ns = sqlite3_column_int64(q, 5),
		.ino = (uint64_t)sqlite3_column_int64(q, 6),
		.racy = sqlite3_column_int(q, 7) != 0,
		.opaque = sqlite3_column_int(q, 8) != 0,
	};
}

static int each_row(sqlite3_stmt *q, vfs_sent_cb cb, void *arg, struct err *e)
{
	int r;

	while ((r = db_step(q, e)) > 0) {
		struct vfs_sent_row row;
		const char *name = (const char *)sqlite3_column_text(q, 0);

		if (name == NULL)
			return err_set(e, -ENOMEM, "vfs.db: out of memory");
		read_row(q, &row);
		r = cb(name, &row, arg);
		if (r != 0)
			break;
	}
	return r;
}

int vfs_sent_list(struct vfs_sent *s, const char *dir, vfs_sent_cb cb,
		  void *arg, struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&s->cache, &q, e, sql_list, "b", dir,
				 strlen(dir));

	return r < 0 ? r : each_row(q, cb, arg, e);
}

int vfs_sent_ignored(struct vfs_sent *s, vfs_sent_cb cb, void *arg,
		     struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&s->cache, &q, e, sql_ignored, "");

	return r < 0 ? r : each_row(q, cb, arg, e);
}

int vfs_sent_head(struct vfs_sent *s, struct vfs_oid *out, struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&s->cache, &q, e, sql_head, "");

	if (r == 0)
		r = db_step(q, e);
	if (r < 0)
		return r;
	if (r == 0 ||
	    vfs_oid_parse((const char *)sqlite3_column_text(q, 0), out) < 0)
		return err_set(e, -ENOENT, "vfs.db: nothing was committed");
	return 0;
}

int vfs_sent_generation(struct vfs_sent *s, int64_t *out, struct err *e)
{
	autoreset sqlite3_stmt *q = NULL;
	int r = db_cache_prepare(&s->cache, &q, e, sql_generation, "");

	if (r == 0)
		r = db_step(q, e);
	if (r < 0)
		return r;
	*out = r > 0 ? sqlite3_column_int64(q, 0) : 0;
	return 0;
}

/*
 * Changing.
 */

static int begin(struct vfs_sent *s, struct err *e)
{
	int r = s->dirty ? 0 : db_exec(s->db, "BEGIN IMMEDIATE", e);

	if (r == 0)
		s->dirty = true;
	return r;
}

int vfs_sent_put(struct vfs_sent *s, const char *dir, const char *name,
		 const struct vfs_sent_row *row, struct err *e)
{
	int r = begin(s, e);

	if (r == 0)
		r = db_cache_run(&s->cache, e, sql_put, "bbsiiiiiii", dir,
				 strlen(dir), name, strlen(name),
				 kind_names[row->kind], (int64_t)row->mode,
				 row->size, row->mtime_ns, row->ctime_ns,
				 (int64_t)row->ino, (int64_t)row->racy,
				 (int64_t)row->opaque);
	return r < 0 ? r : 0;
}

/* What is in the folder, and then what is in folders of it: their paths begin
 * with "dir/", and so lie before "dir0". */
static int drop_below(struct vfs_sent *s, const char *dir, size_t n,
		      struct err *e)
{
	autofree char *first = malloc(n + 1), *last = malloc(n + 1);
	int r;

	if (first == NULL || last == NULL)
		return err_set(e, -ENOMEM, "vfs.db: out of memory");
	memcpy(first, dir, n);
	memcpy(last, dir, n);
	first[n] = '/';
	last[n] = '/' + 1;
	r = db_cache_run(&s->cache, e, sql_drop_in, "b", dir, n);
	if (r >= 0)
		r = db_cache_run(&s->cache, e, sql_drop_deeper, "bb", first,
				 n + 1, last, n + 1);
	return r < 0 ? r : 0;
}

int vfs_sent_drop_below(struct vfs_sent *s, const char *dir, struct err *e)
{
	int r = begin(s, e);

	if (r < 0)
		return r;
	if (dir[0] != '\0')
		return drop_below(s, dir, strlen(dir), e);
	r = db_cache_run(&s->cache, e, sql_drop_all, "");
	return r < 0 ? r : 0;
}

int vfs_sent_drop(struct vfs_sent *s, const char *dir, const char *name,
		  struct err *e)
{
	autofree char *path = NULL;
	int n, r = begin(s, e);

	if (r == 0)
		r = db_cache_run(&s->cache, e, sql_drop, "bb", dir, strlen(dir),
				 name, strlen(name));
	if (r < 0)
		return r;
	n = asprintf(&path, "%s%s%s", dir, dir[0] ? "/" : "", name);
	if (n < 0) {
		path = NULL;
		return err_set(e, -ENOMEM, "vfs.db: out of memory");
	}
	return drop_below(s, path, (size_t)n, e);
}

bool vfs_sent_is_dirty(const struct vfs_sent *s)
{
	return s->dirty;
}

int vfs_sent_commit(struct vfs_sent *s, const struct vfs_oid *head,
		    struct err *e)
{
	char hex[VFS_OID_HEX];
	int r = 0;

	if (head != NULL) {
		r = begin(s, e);
		if (r == 0)
			r = db_cache_run(&s->cache, e, sql_set_head, "s",
					 vfs_oid_format(head, hex));
	}
	if (r >= 0 && s->dirty)
		r = db_exec(s->db, "COMMIT", e);
	if (r < 0) {
		vfs_sent_rollback(s);
		return r;
	}
	s->dirty = false;
	ballast_hold(&s->ballast);
	return 0;
}

void vfs_sent_make_room(struct vfs_sent *s)
{
	ballast_drop(&s->ballast);
}

void vfs_sent_rollback(struct vfs_sent *s)
{
	if (s->dirty && sqlite3_get_autocommit(s->db) == 0)
		(void)db_exec(s->db, "ROLLBACK", NULL);
	s->dirty = false;
}

int vfs_sent_reset(struct vfs_sent *s, int64_t generation, struct err *e)
{
	char text[24];
	int r = vfs_sent_drop_below(s, "", e);

	snprintf(text, sizeof(text), "%lld", (long long)generation);
	if (r == 0)
		r = db_cache_run(&s->cache, e, sql_no_meta, "");
	if (r >= 0)
		r = db_cache_run(&s->cache, e, sql_set_generation, "s", text);
	if (r >= 0)
		return vfs_sent_commit(s, NULL, e);
	vfs_sent_rollback(s);
	return r;
}
