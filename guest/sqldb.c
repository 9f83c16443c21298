// SPDX-License-Identifier: Apache-2.0
/*
 * sqldb.c - The databases of a session, as files
 */
#include "guest/sqldb.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/db.h"
#include "guest/limits.h"

#define SUFFIX	   ".db"
#define SUFFIX_LEN (sizeof(SUFFIX) - 1)
#define ROOM_MIN   (16 << 10) /* Bytes that a new one needs. */

struct dbfile {
	char name[SQL_NAME_MAX + 1];
	int64_t bytes;
};

struct dbfiles {
	struct dbfile v[SQL_DBS_MAX];
	unsigned n;
};

int sqldb_check_name(const char *name, struct err *e)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyz"
				    "ABCDEFGHIJKLMNOPQRSTUVWXYZ_";
	static const char rest[] = "abcdefghijklmnopqrstuvwxyz"
				   "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
	size_t n = strspn(name, rest);

	if (strspn(name, first) > 0 && n <= SQL_NAME_MAX && name[n] == '\0')
		return 0;
	return err_set(e, -FAULT_INVALID_ARGUMENT,
		       "a database has a name of 1 to %d letters, digits and "
		       "_, no digit first",
		       SQL_NAME_MAX);
}

void sqldb_folder(const char *state, const char *session, char out[PATH_MAX])
{
	snprintf(out, PATH_MAX, "%s/sql/%s", state, session);
}

static int fail(struct err *e, const char *doing)
{
	return err_set(e, -errno, "sql: %s: %s", doing, strerror(errno));
}

static int put_path(const char *folder, const char *name, const char *suffix,
		    char out[PATH_MAX], struct err *e)
{
	int n = snprintf(out, PATH_MAX, "%s/%s%s", folder, name, suffix);

	return n < PATH_MAX ? 0
			    : err_set(e, -ENAMETOOLONG, "sql: path too long");
}

/*
 * Which there are.
 */

static bool read_name(const char *file, char out[SQL_NAME_MAX + 1])
{
	size_t n = strlen(file);

	if (n <= SUFFIX_LEN || n - SUFFIX_LEN > SQL_NAME_MAX ||
	    strcmp(file + n - SUFFIX_LEN, SUFFIX) != 0)
		return false;
	memcpy(out, file, n - SUFFIX_LEN);
	out[n - SUFFIX_LEN] = '\0';
	return sqldb_check_name(out, NULL) == 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct dbfile *)a)->name,
		      ((const struct dbfile *)b)->name);
}

static int find_all(const char *folder, struct dbfiles *out, struct err *e)
{
	DIR *d = opendir(folder);
	const struct dirent *en;
	struct stat st;

	out->n = 0;
	if (d == NULL)
		return errno == ENOENT ? 0 : fail(e, "read the folder");
	while (out->n < SQL_DBS_MAX && (en = readdir(d)) != NULL) {
		struct dbfile *f = &out->v[out->n];

		if (!read_name(en->d_name, f->name) ||
		    fstatat(dirfd(d), en->d_name, &st, AT_SYMLINK_NOFOLLOW) <
			    0 ||
		    !S_ISREG(st.st_mode))
			continue;
		f->bytes = st.st_size;
		out->n++;
	}
	closedir(d);
	qsort(out->v, out->n, sizeof(out->v[0]), by_name);
	return 0;
}

int sqldb_list(const char *folder, struct jw *out, struct err *e)
{
	struct dbfiles all;
	int r = find_all(folder, &all, e);

	if (r < 0)
		return r;
	jw_obj(out);
	jw_key(out, "databases");
	jw_arr(out);
	for (unsigned i = 0; i < all.n; i++) {
		jw_obj(out);
		jw_kstr(out, "name", all.v[i].name);
		jw_kint(out, "bytes", all.v[i].bytes);
		jw_obj_end(out);
	}
	jw_arr_end(out);
	jw_obj_end(out);
	return out->failed ? err_set(e, -ENOMEM, "sql: out of memory") : 0;
}

/*
 * Room.
 */

/* The folder and the one above it. */
static int make_folder(const char *folder, struct err *e)
{
	char above[PATH_MAX];

	snprintf(above, sizeof(above), "%s", folder);
	*strrchr(above, '/') = '\0';
	if (mkdir(above, 0700) < 0 && errno != EEXIST)
		return fail(e, "make the folder");
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return fail(e, "make the folder");
	return 0;
}

int sqldb_place(const char *folder, const char *name, bool make,
		char out[PATH_MAX], int64_t *max_bytes, struct err *e)
{
	int64_t others = 0;
	bool is_there = false;
	struct dbfiles all;

	if (sqldb_check_name(name, e) < 0 ||
	    put_path(folder, name, SUFFIX, out, e) < 0 ||
	    find_all(folder, &all, e) < 0)
		return e->code;
	for (unsigned i = 0; i < all.n; i++) {
		if (strcmp(all.v[i].name, name) == 0)
			is_there = true;
		else
			others += all.v[i].bytes;
	}
	*max_bytes = SQL_ALL_BYTES - others;
	if (*max_bytes > SQL_DB_BYTES)
		*max_bytes = SQL_DB_BYTES;
	if (!make || is_there)
		return 0;
	if (all.n == SQL_DBS_MAX)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "sql: there are %d databases already",
			       SQL_DBS_MAX);
	if (*max_bytes < ROOM_MIN)
		return err_set(e, -FAULT_QUOTA_EXCEEDED,
			       "sql: the databases have %d bytes already",
			       SQL_ALL_BYTES);
	return make_folder(folder, e);
}

/*
 * Removing.
 */

int sqldb_drop(const char *folder, const char *name, struct err *e)
{
	char path[PATH_MAX], journal[PATH_MAX];

	if (sqldb_check_name(name, e) < 0 ||
	    put_path(folder, name, SUFFIX "-journal", journal, e) < 0 ||
	    put_path(folder, name, SUFFIX, path, e) < 0)
		return e->code;
	if (unlink(path) < 0)
		return errno == ENOENT ? err_set(e, -FAULT_FILE_NOT_FOUND,
						 "sql: there is no such "
						 "database")
				       : fail(e, "remove");
	(void)unlink(journal);
	return 0;
}

int sqldb_remove(const char *folder, struct err *e)
{
	DIR *d = opendir(folder);
	const struct dirent *en;

	if (d == NULL)
		return errno == ENOENT ? 0 : fail(e, "read the folder");
	while ((en = readdir(d)) != NULL)
		if (strcmp(en->d_name, ".") != 0 &&
		    strcmp(en->d_name, "..") != 0)
			(void)unlinkat(dirfd(d), en->d_name, 0);
	closedir(d);
	return rmdir(folder) == 0 ? 0 : fail(e, "remove the folder");
}

/*
 * Copying.
 */

static int sync_path(const char *path, int flags, struct err *e)
{
	autoclose int fd = open(path, O_RDONLY | O_CLOEXEC | flags);

	return fd >= 0 && fsync(fd) == 0 ? 0 : fail(e, "sync");
}

/* VACUUM INTO reads one state of it, after what a crash left is rolled back. */
static int copy_one(const char *from, const char *to, struct err *e)
{
	autodb sqlite3 *db = NULL;

	if (sqlite3_open_v2(from, &db,
			    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX |
				    SQLITE_OPEN_EXRESCODE |
				    SQLITE_OPEN_NOFOLLOW,
			    NULL) != SQLITE_OK)
		return db_fail(db, e, "sql: copy");
	if (db_run(db, e, "VACUUM INTO ?1", "s", to) < 0)
		return e->code;
	return sync_path(to, 0, e);
}

static int copy_all(const char *folder, const char *to,
		    const struct dbfiles *all, struct err *e)
{
	char source[PATH_MAX], target[PATH_MAX];

	if (make_folder(to, e) < 0)
		return e->code;
	for (unsigned i = 0; i < all->n; i++) {
		if (put_path(folder, all->v[i].name, SUFFIX, source, e) < 0 ||
		    put_path(to, all->v[i].name, SUFFIX, target, e) < 0 ||
		    copy_one(source, target, e) < 0)
			return e->code;
	}
	return sync_path(to, O_DIRECTORY, e);
}

int sqldb_copy(const char *folder, const char *to, struct err *e)
{
	char half[PATH_MAX];
	struct dbfiles all;
	int r = find_all(folder, &all, e);

	if (r < 0 || all.n == 0)
		return r;
	r = put_path(to, "", "", half, e);
	if (r < 0)
		return r;
	strcpy(half + strlen(half) - 1, ".");
	r = sqldb_remove(half, e);
	if (r == 0)
		r = copy_all(folder, half, &all, e);
	if (r == 0)
		r = sqldb_remove(to, e);
	if (r == 0 && rename(half, to) < 0)
		r = fail(e, "rename the copy");
	if (r < 0)
		(void)sqldb_remove(half, NULL);
	return r;
}

/*
 * Renaming.
 */

int sqldb_rename(const char *folder, const char *to, struct err *e)
{
	char parent[PATH_MAX];
	int r = put_path(to, "..", "", parent, e);

	if (r < 0)
		return r;
	if (rename(folder, to) < 0)
		return errno == ENOENT ? 0 : fail(e, "rename the folder");
	return sync_path(parent, O_DIRECTORY, e);
}
