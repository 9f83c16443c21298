// SPDX-License-Identifier: Apache-2.0
/*
 * db.c - SQLite the way every database of ours is opened
 *
 * A new database is made under a temporary name without any fsync, synced once
 * as a whole, and then renamed, so a power cut leaves all of it or nothing.
 * To make its tables takes milliseconds, for which whoever makes a VM waits: so
 * one that was made beforehand is copied, if it is there beside the program.
 * The folder is not synced here: until something is committed there is nothing
 * to lose, and SQLite syncs the folder with the first commit to a new
 * write-ahead log.
 *
 * application_id tells our files from those of other programs, and user_version
 * is the number of the schema.
 *
 * A reader opens mode=ro, which needs a -shm file beside the database, or the
 * right to make one.  Where there is neither, in a folder that may not be
 * written, no daemon is at work either, and two more ways are tried: with no
 * -wal file the database is complete and may be read as immutable; with one, it
 * is read without locks and with the log's index kept in memory.
 */
#include "core/db.h"

#include <assert.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "core/schema.h"

#define APPLICATION_GUEST 0x48696247 /* "HibG", as in guest.sql. */
#define APPLICATION_HOST  0x48696248 /* "HibH", as in host.sql. */
#define APPLICATION_VFS	  0x48696256 /* "HibV", as in vfs.sql. */
#define OPEN_FLAGS	  (SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE)

static const struct {
	int64_t application;
	bool alone; /* Without what stores of events share. */
	const char *sql;
	/* From version n + 1 to n + 2. */
	const char *steps[DB_SCHEMA_VERSION - 1];
	/* Each session that is written to keeps a page of the event index hot:
	 * a guest has few, and little memory. */
	const char *cache;
	const char *prepared; /* Its name, in the program's folder. */
} schemas[] = {
	[DB_GUEST] = {.application = APPLICATION_GUEST,
		      .prepared = "guest.db",
		      .sql = schema_guest,
		      .steps = {"PRAGMA user_version=2", schema_core_3,
				schema_core_4, "PRAGMA user_version=5"},
		      .cache = "PRAGMA cache_size=-1024"},
	[DB_HOST] = {.application = APPLICATION_HOST,
		     .sql = schema_host,
		     .steps = {schema_host_2, schema_core_3, schema_core_4,
			       schema_host_5},
		     .cache = "PRAGMA cache_size=-8192"},
	[DB_VFS] = {.application = APPLICATION_VFS,
		    .alone = true,
		    .sql = schema_vfs,
		    .steps = {"PRAGMA user_version=2", "PRAGMA user_version=3",
			      "PRAGMA user_version=4", "PRAGMA user_version=5"},
		    .cache = "PRAGMA cache_size=-1024"},
};

/* page_size and secure_delete come first: they shape what is written next. */
static const char writer_pragmas[] = "PRAGMA page_size=8192;"
				     "PRAGMA secure_delete=ON;"
				     "PRAGMA synchronous=FULL;"
				     "PRAGMA foreign_keys=ON;"
				     "PRAGMA recursive_triggers=ON;"
				     "PRAGMA trusted_schema=OFF;"
				     "PRAGMA temp_store=MEMORY;"
				     "PRAGMA journal_size_limit=16777216;"
				     "PRAGMA busy_timeout=5000;";

/* For a file that nobody else knows yet. */
static const char creator_pragmas[] = "PRAGMA page_size=8192;"
				      "PRAGMA synchronous=OFF;"
				      "PRAGMA locking_mode=EXCLUSIVE;"
				      "PRAGMA journal_mode=MEMORY;";

/* Not trusted_schema=OFF: the views use json_extract(), which SQLite 3.40 does
 * not count among the innocuous functions. */
#define READER_PRAGMAS               \
	"PRAGMA query_only=ON;"      \
	"PRAGMA cell_size_check=ON;" \
	"PRAGMA temp_store=MEMORY;"  \
	"PRAGMA cache_size=-1024;"   \
	"PRAGMA busy_timeout=5000;"

static const char reader_pragmas[] = READER_PRAGMAS;

/* Without locks: the index of the log in memory.  That must be known before
 * anything is read. */
static const char lockless_pragmas[] =
	"PRAGMA locking_mode=EXCLUSIVE;" READER_PRAGMAS;

/*
 * Errors.
 */

/* What the system said, when SQLite passes on that it failed. */
static int system_code(sqlite3 *db, int otherwise)
{
	int number = sqlite3_system_errno(db);

	if (number == EFBIG || number == EDQUOT)
		return -ENOSPC; /* The file can grow no more: the same to us. */
	return number != 0 ? -number : otherwise;
}

/* A quota and a limit of file sizes come as failed writes.  When a COMMIT fails
 * SQLite does not keep the number, but nothing has touched errno since. */
static int io_code(sqlite3 *db, int number)
{
	int extended = sqlite3_extended_errcode(db);

	if (extended == SQLITE_IOERR_NOMEM)
		return -ENOMEM;
	if (system_code(db, 0) == -ENOSPC)
		return -ENOSPC;
	if (extended == SQLITE_IOERR_WRITE &&
	    (number == EFBIG || number == EDQUOT))
		return -ENOSPC;
	return -FAULT_STORE_ERROR;
}

static int constraint_code(int extended)
{
	switch (extended) {
	case SQLITE_CONSTRAINT_UNIQUE:
	case SQLITE_CONSTRAINT_PRIMARYKEY:
	case SQLITE_CONSTRAINT_ROWID:
		return -EEXIST;
	default:
		return -EINVAL;
	}
}

static int code_of(sqlite3 *db, int number)
{
	if (db == NULL)
		return -ENOMEM;

	switch (sqlite3_errcode(db) & 0xff) {
	case SQLITE_FULL:
		return -ENOSPC;
	case SQLITE_NOMEM:
		return -ENOMEM;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return -EBUSY;
	case SQLITE_READONLY:
		return -EROFS;
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return -EACCES;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return -EUCLEAN;
	case SQLITE_TOOBIG:
		return -E2BIG;
	case SQLITE_INTERRUPT:
		return -ECANCELED;
	case SQLITE_CANTOPEN:
		return system_code(db, -ENOENT);
	case SQLITE_CONSTRAINT:
		return constraint_code(sqlite3_extended_errcode(db));
	case SQLITE_IOERR:
		return io_code(db, number);
	default:
		return -FAULT_STORE_ERROR;
	}
}

int db_fail(sqlite3 *db, struct err *e, const char *doing)
{
	return err_set(e, code_of(db, errno), "%s: %s", doing,
		       db ? sqlite3_errmsg(db) : "out of memory");
}

/*
 * Statements.
 */

int db_exec(sqlite3 *db, const char *sql, struct err *e)
{
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return db_fail(db, e, "store");
	return 0;
}

static int bind_one(sqlite3_stmt *q, int i, char kind, va_list *args)
{
	const void *p;
	size_t n;

	switch (kind) {
	case 's':
		p = va_arg(*args, const char *);
		return sqlite3_bind_text(q, i, p, -1, SQLITE_STATIC);
	case 'S':
		p = va_arg(*args, const char *);
		n = va_arg(*args, size_t);
		return sqlite3_bind_text64(q, i, p, n, SQLITE_STATIC,
					   SQLITE_UTF8);
	case 'b':
		p = va_arg(*args, const void *);
		n = va_arg(*args, size_t);
		return sqlite3_bind_blob64(q, i, p, n, SQLITE_STATIC);
	case 'i':
		return sqlite3_bind_int64(q, i, va_arg(*args, int64_t));
	default:
		assert(kind == 'n');
		return sqlite3_bind_null(q, i);
	}
}

int db_vbind(sqlite3_stmt *q, struct err *e, const char *fmt, va_list *args)
{
	assert((int)strlen(fmt) == sqlite3_bind_parameter_count(q));
	for (int i = 0; fmt[i] != '\0'; i++)
		if (bind_one(q, i + 1, fmt[i], args) != SQLITE_OK)
			return db_fail(sqlite3_db_handle(q), e, "store: bind");
	return 0;
}

static int vprepare(sqlite3 *db, sqlite3_stmt **out, struct err *e,
		    const char *sql, const char *fmt, va_list *args)
{
	autostmt sqlite3_stmt *q = NULL;
	int r;

	if (sqlite3_prepare_v2(db, sql, -1, &q, NULL) != SQLITE_OK)
		return db_fail(db, e, "store");
	r = db_vbind(q, e, fmt, args);
	if (r < 0)
		return r;
	*out = take_ptr(q);
	return 0;
}

int db_prepare(sqlite3 *db, sqlite3_stmt **out, struct err *e, const char *sql,
	       const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = vprepare(db, out, e, sql, fmt, &args);
	va_end(args);
	return r;
}

int db_step(sqlite3_stmt *q, struct err *e)
{
	switch (sqlite3_step(q)) {
	case SQLITE_ROW:
		return 1;
	case SQLITE_DONE:
		return 0;
	default:
		return db_fail(sqlite3_db_handle(q), e, "store");
	}
}

static int step_to_end(sqlite3 *db, sqlite3_stmt *q, struct err *e)
{
	int r;

	do
		r = db_step(q, e);
	while (r > 0);
	return r < 0 ? r : sqlite3_changes(db);
}

int db_run(sqlite3 *db, struct err *e, const char *sql, const char *fmt, ...)
{
	autostmt sqlite3_stmt *q = NULL;
	va_list args;
	int r;

	va_start(args, fmt);
	r = vprepare(db, &q, e, sql, fmt, &args);
	va_end(args);
	return r < 0 ? r : step_to_end(db, q, e);
}

void db_cache_done(struct db_cache *c)
{
	while (c->n > 0)
		sqlite3_finalize(c->slot[--c->n].q);
	*c = (struct db_cache){0};
}

/* The statement of that text, prepared if it is new. */
static int cached(struct db_cache *c, sqlite3_stmt **out, struct err *e,
		  const char *sql)
{
	sqlite3_stmt *q = NULL;

	for (unsigned i = 0; i < c->n; i++) {
		if (c->slot[i].sql == sql) {
			*out = c->slot[i].q;
			return 0;
		}
	}
	assert(c->n < DB_CACHE_MAX);
	if (sqlite3_prepare_v3(c->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &q,
			       NULL) != SQLITE_OK)
		return db_fail(c->db, e, "store");
	c->slot[c->n].sql = sql;
	c->slot[c->n++].q = q;
	*out = q;
	return 0;
}

static int vcache_prepare(struct db_cache *c, sqlite3_stmt **out, struct err *e,
			  const char *sql, const char *fmt, va_list *args)
{
	sqlite3_stmt *q;
	int r = cached(c, &q, e, sql);

	if (r == 0)
		r = db_vbind(q, e, fmt, args);
	if (r == 0)
		*out = q;
	return r;
}

int db_cache_prepare(struct db_cache *c, sqlite3_stmt **out, struct err *e,
		     const char *sql, const char *fmt, ...)
{
	va_list args;
	int r;

	va_start(args, fmt);
	r = vcache_prepare(c, out, e, sql, fmt, &args);
	va_end(args);
	return r;
}

int db_cache_run(struct db_cache *c, struct err *e, const char *sql,
		 const char *fmt, ...)
{
	autoreset sqlite3_stmt *q = NULL;
	va_list args;
	int r;

	va_start(args, fmt);
	r = vcache_prepare(c, &q, e, sql, fmt, &args);
	va_end(args);
	return r < 0 ? r : step_to_end(c->db, q, e);
}

/* First column of the first row of a query without parameters. */
static int ask_int(sqlite3 *db, const char *sql, int64_t *out, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	int r = db_prepare(db, &q, e, sql, "");

	if (r == 0)
		r = db_step(q, e);
	if (r < 0)
		return r;
	*out = r > 0 ? sqlite3_column_int64(q, 0) : 0;
	return 0;
}

/*
 * Opening.
 */

void db_close(sqlite3 *db)
{
	int r = sqlite3_close(db);

	assert(r == SQLITE_OK); /* Else a statement was forgotten. */
}

/* Nobody asks how much memory SQLite uses, and counting it takes a lock for
 * each allocation.  Too late, and without harm, when SQLite is in use. */
static void configure(void)
{
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
}

static int connect_to(const char *name, int flags, const char *vfs,
		      const char *pragmas, sqlite3 **out, struct err *e)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	autodb sqlite3 *db = NULL;
	int r;

	(void)pthread_once(&once, configure);
	if (sqlite3_open_v2(name, &db, flags | OPEN_FLAGS, vfs) != SQLITE_OK)
		return db_fail(db, e, "open");
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	r = db_exec(db, pragmas, e);
	if (r < 0)
		return r;
	*out = take_ptr(db);
	return 0;
}

static int make_schema(sqlite3 *db, enum db_schema schema, struct err *e)
{
	int r = schemas[schema].alone ? 0 : db_exec(db, schema_core, e);

	return r < 0 ? r : db_exec(db, schemas[schema].sql, e);
}

/* A new database takes the same steps as an old one. */
static int take_steps(sqlite3 *db, enum db_schema schema, int64_t version,
		      struct err *e)
{
	int r = 0;

	if (version == 0) {
		r = make_schema(db, schema, e);
		version = 1;
	}
	for (; r == 0 && version < DB_SCHEMA_VERSION; version++)
		r = db_exec(db, schemas[schema].steps[version - 1], e);
	if (r == 0 && !schemas[schema].alone)
		r = db_exec(db, schema_views, e);
	return r;
}

/* In one transaction.  Another process may have been quicker. */
static int migrate(sqlite3 *db, enum db_schema schema, struct err *e)
{
	int64_t version;
	int r = db_exec(db, "BEGIN IMMEDIATE", e);

	if (r < 0)
		return r;
	r = ask_int(db, "PRAGMA user_version", &version, e);
	if (r == 0 && version < DB_SCHEMA_VERSION)
		r = take_steps(db, schema, version, e);
	if (r == 0)
		r = db_exec(db, "COMMIT", e);
	if (r < 0 && sqlite3_get_autocommit(db) == 0)
		(void)db_exec(db, "ROLLBACK", NULL);
	return r;
}

static int use_wal(sqlite3 *db, struct err *e)
{
	autostmt sqlite3_stmt *q = NULL;
	const char *mode;
	int r = db_prepare(db, &q, e, "PRAGMA journal_mode=WAL", "");

	if (r == 0)
		r = db_step(q, e);
	if (r < 0)
		return r;
	mode = r > 0 ? (const char *)sqlite3_column_text(q, 0) : NULL;
	if (mode == NULL || strcmp(mode, "wal") != 0)
		return err_set(e, -ENOTSUP,
			       "store: the file system cannot "
			       "hold a write-ahead log");
	return 0;
}

static int write_new(const char *path, enum db_schema schema, struct err *e)
{
	autodb sqlite3 *db = NULL;
	int r = connect_to(path, SQLITE_OPEN_READWRITE, NULL, creator_pragmas,
			   &db, e);

	if (r == 0)
		r = migrate(db, schema, e);
	if (r == 0)
		r = use_wal(db, e);
	return r;
}

/* Return: a new one that was made before; -1: there is none. */
static int open_prepared(enum db_schema schema)
{
	char path[PATH_MAX], *name;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);

	if (schemas[schema].prepared == NULL || n <= 0)
		return -1;
	path[n] = '\0';
	name = strrchr(path, '/') + 1;
	if ((size_t)(name - path) + strlen(schemas[schema].prepared) >=
	    sizeof(path))
		return -1;
	strcpy(name, schemas[schema].prepared);
	return open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

static uint32_t number_at(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	       (uint32_t)p[2] << 8 | p[3];
}

/* One that is being installed may be cut short, or of another version. */
static bool is_as_made(int fd, enum db_schema schema, off_t size)
{
	unsigned char head[100]; /* As SQLite's file format has it. */

	return pread(fd, head, sizeof(head), 0) == sizeof(head) &&
	       memcmp(head, "SQLite format 3", 16) == 0 &&
	       (int64_t)number_at(head + 28) * (head[16] << 8 | head[17]) ==
		       size &&
	       number_at(head + 60) == DB_SCHEMA_VERSION &&
	       number_at(head + 68) == schemas[schema].application;
}

/* Return: whether all of it was copied. */
static bool copy_prepared(enum db_schema schema, int to)
{
	autoclose int from = open_prepared(schema);
	struct stat st;
	ssize_t n = 1;
	off_t left;

	if (from < 0 || fstat(from, &st) < 0 ||
	    !is_as_made(from, schema, st.st_size))
		return false;
	for (left = st.st_size; left > 0 && n > 0; left -= n)
		n = sendfile(to, from, NULL, (size_t)left);
	return left == 0;
}

static int fill(int fd, const char *tmp, enum db_schema schema, struct err *e)
{
	if (copy_prepared(schema, fd))
		return 0;
	if (ftruncate(fd, 0) < 0)
		return err_set(e, -errno, "truncate: %s", strerror(errno));
	return write_new(tmp, schema, e);
}

/* Held while a database is made: its makers come one after the other. */
static int lock_folder(const char *path, struct err *e)
{
	autofree char *copy = strdup(path);
	autoclose int fd = -1;

	if (copy == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return err_set(e, -errno, "create: %s", strerror(errno));
	return take_fd(&fd);
}

/* With what SQLite has beside it, of one that was killed. */
static void remove_half_made(const char *tmp)
{
	static const char *const ends[] = {"", "-journal", "-wal", "-shm"};

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		autofree char *path = NULL;

		if (asprintf(&path, "%s%s", tmp, ends[i]) >= 0)
			(void)unlink(path);
		else
			path = NULL;
	}
}

static int make(const char *tmp, const char *path, enum db_schema schema,
		struct err *e)
{
	autoclose int fd =
		open(tmp, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r;

	if (fd < 0)
		return err_set(e, -errno, "create: %s", strerror(errno));
	r = fill(fd, tmp, schema, e);
	if (r == 0 && fsync(fd) < 0)
		r = err_set(e, -errno, "fsync: %s", strerror(errno));
	if (r == 0 && rename(tmp, path) < 0)
		r = err_set(e, -errno, "rename: %s", strerror(errno));
	return r;
}

static int create(const char *path, enum db_schema schema, struct err *e)
{
	autoclose int lock = lock_folder(path, e);
	autofree char *tmp = NULL;
	int r;

	if (lock < 0)
		return lock;
	if (access(path, F_OK) == 0)
		return 0; /* Another process was quicker. */
	if (asprintf(&tmp, "%s.new", path) < 0) {
		tmp = NULL;
		return err_set(e, -ENOMEM, "out of memory");
	}
	remove_half_made(tmp);
	r = make(tmp, path, schema, e);
	if (r < 0)
		remove_half_made(tmp);
	return r;
}

struct identity {
	int64_t application, version, n_objects;
};

static int identify(sqlite3 *db, struct identity *out, struct err *e)
{
	int r = ask_int(db, "PRAGMA application_id", &out->application, e);

	if (r == 0)
		r = ask_int(db, "PRAGMA user_version", &out->version, e);
	if (r == 0)
		r = ask_int(db, "SELECT count(*) FROM sqlite_schema",
			    &out->n_objects, e);
	return r;
}

static bool is_empty(const struct identity *id)
{
	return id->version == 0 && id->n_objects == 0;
}

static int check_version(const struct identity *id, struct err *e)
{
	if (id->version < 1)
		return err_set(e, -EUCLEAN, "another program's database");
	if (id->version > DB_SCHEMA_VERSION)
		return err_set(e, -EUCLEAN,
			       "schema %lld is newer than this program knows",
			       (long long)id->version);
	return 0;
}

static int open_writer(const char *path, enum db_schema schema, sqlite3 **out,
		       struct err *e)
{
	autodb sqlite3 *db = NULL;
	struct identity id;
	int r = connect_to(path, SQLITE_OPEN_READWRITE, NULL, writer_pragmas,
			   &db, e);

	if (r < 0)
		return r;
	if (sqlite3_db_readonly(db, "main") == 1)
		return err_set(e, -EROFS, "the file may not be written");
	r = db_exec(db, schemas[schema].cache, e);
	if (r == 0)
		r = identify(db, &id, e);
	if (r < 0)
		return r;
	if (!is_empty(&id)) {
		if (id.application != schemas[schema].application)
			return err_set(e, -EUCLEAN,
				       "not a database of this "
				       "kind");
		r = check_version(&id, e);
		if (r < 0)
			return r;
	}
	r = use_wal(db, e);
	if (r == 0 && id.version < DB_SCHEMA_VERSION)
		r = migrate(db, schema, e);
	if (r < 0)
		return r;
	*out = take_ptr(db);
	return 0;
}

int db_open(const char *path, enum db_schema schema, sqlite3 **out,
	    struct err *e)
{
	struct stat st;
	struct err why = {0};
	int r = 0;

	if (stat(path, &st) < 0 && errno == ENOENT)
		r = create(path, schema, &why);
	if (r == 0)
		r = open_writer(path, schema, out, &why);
	if (r < 0)
		return err_set(e, r, "store %s: %s", path, why.msg);
	return 0;
}

/*
 * Opening for reading.
 */

/* Connect, and read something: only then SQLite looks for the log. */
static int try_readonly(const char *name, int flags, const char *vfs,
			sqlite3 **out, struct err *e)
{
	autodb sqlite3 *db = NULL;
	struct identity id;
	int r = connect_to(name, SQLITE_OPEN_READONLY | flags, vfs,
			   vfs ? lockless_pragmas : reader_pragmas, &db, e);

	if (r == 0)
		r = identify(db, &id, e);
	if (r == 0 && id.application != APPLICATION_GUEST &&
	    id.application != APPLICATION_HOST)
		r = err_set(e, -EUCLEAN, "not a store");
	if (r == 0)
		r = check_version(&id, e);
	if (r < 0)
		return r;
	*out = take_ptr(db);
	return 0;
}

/* A URI that names the file whatever bytes its path has. */
static char *immutable_uri(const char *path)
{
	static const char hex[] = "0123456789ABCDEF", end[] = "?immutable=1";
	char *uri = malloc(5 + 3 * strlen(path) + sizeof(end));
	char *p = uri;

	if (uri == NULL)
		return NULL;
	p = stpcpy(p, "file:");
	for (; *path != '\0'; path++) {
		*p++ = '%';
		*p++ = hex[(unsigned char)*path >> 4];
		*p++ = hex[*path & 15];
	}
	strcpy(p, end);
	return uri;
}

/* Is there a write-ahead log with something in it? */
static bool has_log(const char *path)
{
	autofree char *wal = NULL;
	struct stat st;

	if (asprintf(&wal, "%s-wal", path) < 0) {
		wal = NULL;
		return true;
	}
	return stat(wal, &st) == 0 ? st.st_size > 0 : errno != ENOENT;
}

static int open_without_shm(const char *path, sqlite3 **out, struct err *e)
{
	autofree char *uri = NULL;

	if (has_log(path))
		return try_readonly(path, 0, "unix-none", out, e);
	uri = immutable_uri(path);
	if (uri == NULL)
		return err_set(e, -ENOMEM, "out of memory");
	return try_readonly(uri, SQLITE_OPEN_URI, NULL, out, e);
}

int db_open_memory(sqlite3 **out, struct err *e)
{
	return connect_to(
		":memory:", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL,
		"PRAGMA trusted_schema=OFF", out, e);
}

int db_open_readonly(const char *path, sqlite3 **out, struct err *e)
{
	struct err why = {0};
	struct stat st;
	int r;

	if (stat(path, &st) < 0 || access(path, R_OK) < 0)
		return err_set(e, -errno, "store %s: %s", path,
			       strerror(errno));
	if (!S_ISREG(st.st_mode))
		return err_set(e, -EUCLEAN, "store %s: not a file", path);
	r = try_readonly(path, 0, NULL, out, &why);
	if (r == -EACCES || r == -EROFS || r == -ENOENT || r == -EPERM)
		r = open_without_shm(path, out, &why);
	if (r < 0)
		return err_set(e, r, "store %s: %s", path, why.msg);
	return 0;
}
