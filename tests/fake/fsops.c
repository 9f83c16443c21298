// SPDX-License-Identifier: Apache-2.0
/*
 * fsops.c - The same random file operations in two folders
 *
 * The subject is the file system to be tested, the reference one that is
 * trusted.  Each operation is done in both; result, errno and what is then to
 * be seen at its paths have to be the same, and now and then both trees are
 * compared whole.  The first difference ends the run, with the operations that
 * led there.  All that is chosen follows from the seed and from what is in the
 * reference, so that a run goes on where another one, or a reboot, has left
 * the two trees.
 *
 * What a file system may do otherwise stands in the table `allowed`.
 *
 * Exit code: 0 all was equal, 1 there was a difference, 64 and above: it could
 * not be tried.
 */
#include <getopt.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "tests/tree_kit.h"

#define PATH_ROOM     (PATH_MAX * 2)
#define DEPTH_MAX     7
#define DIR_ENTRIES   20	  /* About as many in one folder. */
#define OFFSET_MAX    (256 << 10) /* Files are about as large. */
#define LENGTH_MAX    (64 << 10)
#define HUGE_LENGTH   (1 << 20)
#define CHURN_FILES   60
#define CHECK_EVERY   1000 /* Operations between two whole compares. */
#define N_SLOTS	      6
#define HISTORY	      24
#define SECONDS_LIMIT 600000000 /* Of times that are set. */

/* The subject does something wrong, so that it is seen to be found. */
enum bug {
	BUG_NONE,
	BUG_APPEND,   /* Appends overwrite. */
	BUG_TRUNCATE, /* A file does not become shorter. */
	BUG_TAIL,     /* What a file grows by is not zero. */
	BUG_RENAME,   /* The old name stays. */
	BUG_LINK,     /* A link is a copy. */
	BUG_CHMOD,    /* Permissions stay. */
	BUG_UNLINK,   /* Another errno. */
	BUG_MMAP,     /* What is written to memory is lost. */
	BUG_EXCL,     /* O_EXCL opens what is there. */
	BUG_READDIR,  /* A name is left out. */
	BUG_TIME,     /* Times are not kept. */
	BUG_OPEN,     /* An open file forgets what is written. */
};

static const char *const bug_names[] = {
	[BUG_NONE] = "none",	     [BUG_APPEND] = "append",
	[BUG_TRUNCATE] = "truncate", [BUG_TAIL] = "tail",
	[BUG_RENAME] = "rename",     [BUG_LINK] = "link",
	[BUG_CHMOD] = "chmod",	     [BUG_UNLINK] = "unlink",
	[BUG_MMAP] = "mmap",	     [BUG_EXCL] = "excl",
	[BUG_READDIR] = "readdir",   [BUG_TIME] = "time",
	[BUG_OPEN] = "open",
};

/* One of the two trees. */
struct side {
	const char *path;
	int root;
	int slots[N_SLOTS]; /* Files that stay open, or -1. */
	enum bug bug;
};

struct op;

struct op_type {
	const char *name;
	int (*run)(struct side *s, const struct op *o, uint64_t *out);
	unsigned weight;
	bool makes;  /* `path` is better a new one. */
	bool two;    /* `to` is used, and better a new one. */
	bool dir;    /* `path` is better a folder. */
	bool slot;   /* `slot` is used, not `path`. */
	bool source; /* `path` only has to be there. */
};

/* An operation with everything that was chosen for it. */
struct op {
	const struct op_type *type;
	char path[PATH_ROOM], to[PATH_ROOM]; /* Below the root. */
	int64_t off;
	size_t len;
	unsigned mode, slot;
	int flags;
	uint64_t seed; /* Of data. */
};

/* What is to be seen at a path. */
struct look {
	int err;
	unsigned mode, links;
	int64_t size, time;
	uint64_t hash;
};

struct result {
	int value; /* Or a negative errno. */
	uint64_t hash;
	struct look path, to;
};

static struct run {
	uint64_t rng;
	bool overlay, verbose;
	struct op op, history[HISTORY];
	uint64_t n, n_done, n_allowed;
	struct side subject, reference;
} run;

/* --- chance ------------------------------------------------------------------ */

/* splitmix64 */
static uint64_t next(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static unsigned below(unsigned n)
{
	return (unsigned)(next(&run.rng) % n);
}

static bool chance(unsigned percent)
{
	return below(100) < percent;
}

static void fill(char *buf, size_t n, uint64_t seed)
{
	for (size_t i = 0; i < n; i += 8) {
		uint64_t word = next(&seed);

		memcpy(buf + i, &word, n - i < 8 ? n - i : 8);
	}
}

/* --- operations --------------------------------------------------------------
 * Each returns 0 or a number to compare, or a negative errno; *out is a hash of
 * what it has read. */

static char data[HUGE_LENGTH];

static int result(int64_t r)
{
	return r < 0 ? -errno : (int)r;
}

static bool wrong(const struct side *s, enum bug bug)
{
	return s->bug == bug;
}

static int open_at(struct side *s, const struct op *o, int flags)
{
	return openat(s->root, o->path, flags | O_CLOEXEC | O_NONBLOCK,
		      o->mode);
}

static const char *op_data(const struct op *o)
{
	fill(data, o->len, o->seed);
	return data;
}

static int do_create(struct side *s, const struct op *o, uint64_t *out)
{
	int flags = o->flags;

	if (wrong(s, BUG_EXCL))
		flags &= ~O_EXCL;
	autoclose int fd = open_at(s, o, flags | O_CREAT | O_WRONLY);

	(void)out;
	return fd < 0 ? -errno : result(write(fd, op_data(o), o->len));
}

static int do_write(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_WRONLY);

	(void)out;
	return fd < 0 ? -errno : result(pwrite(fd, op_data(o), o->len, o->off));
}

static int do_append(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd =
		open_at(s, o, O_WRONLY | (wrong(s, BUG_APPEND) ? 0 : O_APPEND));

	(void)out;
	return fd < 0 ? -errno : result(write(fd, op_data(o), o->len));
}

/* A read by read() and one of mapped memory have to see the same. */
static int do_read(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_RDONLY | o->flags);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return (int)(st.st_mode & S_IFMT);
	int r = tree_hash_fd(fd, out);
	if (r < 0 || st.st_size == 0)
		return r;
	void *m = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (m == MAP_FAILED)
		return -errno;
	r = XXH3_64bits(m, (size_t)st.st_size) != *out;
	munmap(m, (size_t)st.st_size);
	return r;
}

static int do_truncate(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_WRONLY);
	struct stat st;

	(void)out;
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	if (wrong(s, BUG_TRUNCATE) && o->off < st.st_size)
		return 0;
	if (wrong(s, BUG_TAIL) && o->off > st.st_size)
		(void)!pwrite(fd, "x", 1, o->off - 1);
	return result(ftruncate(fd, o->off));
}

static int map_and_write(const struct side *s, int fd, const struct op *o)
{
	off_t start = o->off & ~(off_t)4095;
	size_t skip = (size_t)(o->off - start), n = skip + o->len;
	struct stat st;

	if (fstat(fd, &st) < 0 || (st.st_size < o->off + (off_t)o->len &&
				   ftruncate(fd, o->off + (off_t)o->len) < 0))
		return -errno;
	char *m =
		mmap(NULL, n, PROT_READ | PROT_WRITE,
		     wrong(s, BUG_MMAP) ? MAP_PRIVATE : MAP_SHARED, fd, start);
	if (m == MAP_FAILED)
		return -errno;
	memcpy(m + skip, op_data(o), o->len);
	int r = o->seed & 1 ? result(msync(m, n, MS_SYNC)) : 0;
	munmap(m, n);
	return r;
}

static int do_mmap(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_RDWR);

	(void)out;
	return fd < 0 ? -errno : map_and_write(s, fd, o);
}

static int do_fallocate(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_RDWR);
	int mode = o->seed & 1 ? FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE : 0;

	(void)out;
	return fd < 0 ? -errno
		      : result(fallocate(fd, mode, o->off, (off_t)o->len));
}

/* From one file system to another it is done by hand, as cp(1) does it. */
static int do_copy(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int from = open_at(s, o, O_RDONLY);
	autoclose int to =
		openat(s->root, o->to,
		       O_WRONLY | O_CREAT | O_NONBLOCK | O_CLOEXEC, o->mode);
	off_t in = 0, at = o->off;
	ssize_t n;

	(void)out;
	if (from < 0 || to < 0)
		return -errno;
	/* It may copy less than it could (copy_file_range(2)), when memory is
	 * short or a signal comes, and on one side alone. */
	do
		n = copy_file_range(from, &in, to, &at, o->len - (size_t)in, 0);
	while (n > 0 && (size_t)in < o->len);
	if (in > 0)
		return result(in);
	if (n >= 0 || errno != EXDEV)
		return result(n);
	n = pread(from, data, o->len, 0);
	return n < 0 ? -errno : result(pwrite(to, data, (size_t)n, o->off));
}

static int do_rename(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	if (wrong(s, BUG_RENAME) &&
	    linkat(s->root, o->path, s->root, o->to, 0) == 0)
		return 0;
	return result(renameat(s->root, o->path, s->root, o->to));
}

static int do_noreplace(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(
		renameat2(s->root, o->path, s->root, o->to, RENAME_NOREPLACE));
}

static int do_exchange(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(
		renameat2(s->root, o->path, s->root, o->to, RENAME_EXCHANGE));
}

static int do_link(struct side *s, const struct op *o, uint64_t *out)
{
	int r = result(linkat(s->root, o->path, s->root, o->to, 0));

	(void)out;
	if (r == 0 && wrong(s, BUG_LINK)) {
		unlinkat(s->root, o->to, 0);
		autoclose int fd = openat(s->root, o->to,
					  O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
		autoclose int from = open_at(s, o, O_RDONLY);

		(void)!copy_file_range(from, NULL, fd, NULL, HUGE_LENGTH, 0);
	}
	return r;
}

static int do_symlink(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(symlinkat(o->to, s->root, o->path));
}

static int do_readlink(struct side *s, const struct op *o, uint64_t *out)
{
	char target[PATH_MAX];
	int r = tree_target(s->root, o->path, target);

	*out = XXH3_64bits(target, strlen(target));
	return r;
}

static int do_unlink(struct side *s, const struct op *o, uint64_t *out)
{
	int r = result(unlinkat(s->root, o->path, 0));

	(void)out;
	return r == -EISDIR && wrong(s, BUG_UNLINK) ? -EPERM : r;
}

static int do_mkdir(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(mkdirat(s->root, o->path, o->mode));
}

static int do_rmdir(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(unlinkat(s->root, o->path, AT_REMOVEDIR));
}

static int do_chmod(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	if (wrong(s, BUG_CHMOD))
		return 0;
	return result(fchmodat(s->root, o->path, o->mode, 0));
}

static int do_utimens(struct side *s, const struct op *o, uint64_t *out)
{
	time_t at = (time_t)(o->seed % SECONDS_LIMIT);
	struct timespec t[2] = {{.tv_sec = at}, {.tv_sec = at}};

	(void)out;
	if (wrong(s, BUG_TIME))
		t[1].tv_sec++;
	return result(utimensat(s->root, o->path, t, 0));
}

static int do_access(struct side *s, const struct op *o, uint64_t *out)
{
	struct stat st;
	int r = result(fstatat(s->root, o->path, &st, 0));

	if (r == 0)
		*out = st.st_mode;
	return r < 0 ? r : result(faccessat(s->root, o->path, o->mode & 7, 0));
}

static int do_list(struct side *s, const struct op *o, uint64_t *out)
{
	struct tree_names l;
	int r = tree_list(s->root, o->path, &l);

	for (size_t i = wrong(s, BUG_READDIR); r == 0 && i < l.n; i++)
		*out = *out * 31 + XXH3_64bits(l.name[i], strlen(l.name[i]));
	tree_free_names(&l);
	return r;
}

static int do_sync(struct side *s, const struct op *o, uint64_t *out)
{
	autoclose int fd = open_at(s, o, O_RDONLY);

	(void)out;
	return fd < 0 ? -errno : result(fsync(fd));
}

/* --- a folder that changes while it is read ---------------------------------- */

struct churn {
	int dir;
	unsigned seen[CHURN_FILES]; /* How often each was listed. */
};

static const char *churn_name(char out[32], unsigned i)
{
	snprintf(out, 32, "churn-%u", i);
	return out;
}

/* Read a few entries; false at the end. */
static bool churn_read(struct churn *c)
{
	/* In words, as the kernel aligns its records. */
	uint64_t buf[64];
	long n = syscall(SYS_getdents64, c->dir, buf, sizeof(buf));

	for (long at = 0; at < n;) {
		const struct dirent64 *d =
			(const void *)((const char *)buf + at);
		unsigned i;

		if (sscanf(d->d_name, "churn-%u", &i) == 1 && i < CHURN_FILES)
			c->seen[i]++;
		at += d->d_reclen;
	}
	return n > 0;
}

/* Make, or remove, every third file from the first on. */
static void churn_change(const struct churn *c, unsigned first, bool make)
{
	char name[32];

	for (unsigned i = first; i < CHURN_FILES; i += 3) {
		if (make)
			close(openat(c->dir, churn_name(name, i),
				     O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
		else
			unlinkat(c->dir, churn_name(name, i), 0);
	}
}

/* The files of thirds 0 and 1 are there when reading begins, those of 1 are
 * removed and those of 2 made meanwhile: each of 0 has to be listed once, no
 * other one twice. */
static int do_churn(struct side *s, const struct op *o, uint64_t *out)
{
	struct churn c = {.dir = openat(s->root, o->path,
					O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
	int bad = 0;

	(void)out;
	if (c.dir < 0)
		return -errno;
	churn_change(&c, 0, true);
	churn_change(&c, 1, true);
	(void)churn_read(&c);
	churn_change(&c, 1, false);
	churn_change(&c, 2, true);
	while (churn_read(&c))
		continue;
	for (unsigned i = 0; i < CHURN_FILES; i++)
		bad += i % 3 == 0 ? c.seen[i] != 1 : c.seen[i] > 1;
	churn_change(&c, 0, false);
	churn_change(&c, 2, false);
	close(c.dir);
	return faccessat(s->root, o->path, W_OK, 0) < 0 ? 0 : bad;
}

/* --- files that stay open ----------------------------------------------------- */

static int do_open(struct side *s, const struct op *o, uint64_t *out)
{
	int *fd = &s->slots[o->slot];

	(void)out;
	if (*fd >= 0)
		close(*fd);
	*fd = open_at(s, o, o->flags | O_RDWR);
	return *fd < 0 ? -errno : 0;
}

static int do_open_write(struct side *s, const struct op *o, uint64_t *out)
{
	int fd = s->slots[o->slot];

	(void)out;
	if (wrong(s, BUG_OPEN))
		return fd < 0 ? -EBADF : (int)o->len;
	return result(pwrite(fd, op_data(o), o->len, o->off));
}

static int do_open_read(struct side *s, const struct op *o, uint64_t *out)
{
	struct stat st;

	if (fstat(s->slots[o->slot], &st) < 0)
		return -errno;
	*out = (uint64_t)st.st_size * 31 + st.st_nlink;
	uint64_t hash;
	int r = tree_hash_fd(s->slots[o->slot], &hash);
	*out ^= hash;
	return r;
}

static int do_open_truncate(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(ftruncate(s->slots[o->slot], o->off));
}

static int do_open_mmap(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return map_and_write(s, s->slots[o->slot], o);
}

static int do_open_sync(struct side *s, const struct op *o, uint64_t *out)
{
	(void)out;
	return result(fdatasync(s->slots[o->slot]));
}

static int do_close(struct side *s, const struct op *o, uint64_t *out)
{
	int *fd = &s->slots[o->slot], r = result(close(*fd));

	(void)out;
	*fd = -1;
	return r;
}

/* --- the tables ---------------------------------------------------------------- */

static const struct op_type types[] = {
	{"create", do_create, 14, .makes = true},
	{"write", do_write, 8, .source = true},
	{"append", do_append, 5, .source = true},
	{"read", do_read, 6, .source = true},
	{"truncate", do_truncate, 4, .source = true},
	{"mmap", do_mmap, 4, .source = true},
	{"fallocate", do_fallocate, 2, .source = true},
	{"copy", do_copy, 2, .two = true},
	{"rename", do_rename, 8, .two = true},
	{"noreplace", do_noreplace, 2, .two = true},
	{"exchange", do_exchange, 2, .two = true},
	{"link", do_link, 4, .two = true},
	{"symlink", do_symlink, 4, .makes = true},
	{"readlink", do_readlink, 2, .source = true},
	{"unlink", do_unlink, 7, .source = true},
	{"mkdir", do_mkdir, 7, .makes = true},
	{"rmdir", do_rmdir, 4, .dir = true},
	{"chmod", do_chmod, 4, .source = true},
	{"utimens", do_utimens, 2, .source = true},
	{"access", do_access, 3, .source = true},
	{"list", do_list, 3, .dir = true},
	{"churn", do_churn, 1, .dir = true},
	{"sync", do_sync, 1, .source = true},
	{"open", do_open, 4, .source = true},
	{"open-write", do_open_write, 4, .slot = true},
	{"open-read", do_open_read, 3, .slot = true},
	{"open-truncate", do_open_truncate, 2, .slot = true},
	{"open-mmap", do_open_mmap, 2, .slot = true},
	{"open-sync", do_open_sync, 1, .slot = true},
	{"close", do_close, 2, .slot = true},
};

/*
 * What an overlay without redirect_dir does otherwise.  Where it refuses so,
 * the reference is not asked.  Three more things are known and not looked at: a
 * file of the lower tree that is open for reading alone goes on showing its old
 * contents when another descriptor writes to it; such a file keeps its inode
 * number when it is written, but a link of it has another one; and the link
 * count of a folder does not count the folders in it.
 */
static const struct {
	const char *op;
	int err;
} allowed[] = {
	/* Of a folder of the lower tree; mv(1) then copies. */
	{"rename", EXDEV},
	{"noreplace", EXDEV},
	{"exchange", EXDEV},
};

static bool is_dir(const struct side *s, const char *path)
{
	struct stat st;

	return fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

static bool is_allowed(const struct op *o, int r)
{
	if (!run.overlay)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(allowed); i++)
		if (strcmp(allowed[i].op, o->type->name) == 0 &&
		    allowed[i].err == -r &&
		    (is_dir(&run.reference, o->path) ||
		     is_dir(&run.reference, o->to)))
			return true;
	return false;
}

/* --- choosing ------------------------------------------------------------------ */

/* Names that some file system or git does not like are among them. */
static const char *const odd_names[] = {
	"\xc3\xa9",    "e\xcc\x81",
	"new\nline",   "tab\there",
	" space ",     "back\\slash",
	"\"quoted\"",  "\xff\xfe bytes",
	"-rf",	       "*",
	".git",	       "GIT~1",
	".GIT",	       ".hib-dir",
	".hib-x.git",  "CON",
	".gitmodules", "a:b",
	"trailing. ",  "\x01\x7f",
	"...",	       "\xe2\x80\x8c.git",
};

static void new_name(char out[NAME_MAX + 1])
{
	unsigned kind = below(100);

	if (kind < 60) {
		snprintf(out, NAME_MAX + 1, "%c%u", 'a' + (char)below(6),
			 below(8));
	} else if (kind < 75) {
		snprintf(out, NAME_MAX + 1, "%c%u", 'A' + (char)below(6),
			 below(8)); /* The twin of another. */
	} else if (kind < 97) {
		snprintf(out, NAME_MAX + 1, "%s",
			 odd_names[below(ARRAY_LEN(odd_names))]);
	} else {
		memset(out, 'n', NAME_MAX);
		out[NAME_MAX] = '\0';
		out[below(NAME_MAX)] = 'm';
	}
}

/* 0 when it does not fit: paths may come near PATH_MAX, and go beyond. */
static bool add_component(char path[PATH_ROOM], const char *name)
{
	size_t n = strlen(path);

	if (n + strlen(name) + 2 > PATH_ROOM)
		return false;
	snprintf(path + n, PATH_ROOM - n, "%s%s", n > 0 ? "/" : "", name);
	return true;
}

/* Now and then a path is written in another way, or wrongly. */
static void disguise(char path[PATH_ROOM])
{
	static const char *const ends[] = {"", ".", "x", "./."};

	if (chance(3))
		(void)add_component(path, ends[below(ARRAY_LEN(ends))]);
}

/* Walk down the reference at random: to something that is there, or to a name
 * that most likely is not. */
static void choose_path(char path[PATH_ROOM], bool fresh, bool dir)
{
	path[0] = '\0';
	for (unsigned depth = 0; depth < DEPTH_MAX; depth++) {
		char name[NAME_MAX + 1];
		struct tree_names l;
		int r = tree_list(run.reference.root, depth ? path : ".", &l);
		bool full = l.n >= DIR_ENTRIES;
		bool make = l.n == 0 || chance(fresh && !full ? 45 : 4);

		if (make)
			new_name(name);
		else
			snprintf(name, sizeof(name), "%s",
				 l.name[below((unsigned)l.n)]);
		tree_free_names(&l);
		if (r < 0 || !add_component(path, name) || make)
			break;
		if (!is_dir(&run.reference, path) || chance(dir ? 40 : 15))
			break;
	}
	disguise(path);
}

/* A target stays below the folder of its link, wherever that is moved to. */
static void choose_target(char to[PATH_ROOM])
{
	char name[NAME_MAX + 1];

	to[0] = '\0';
	if (chance(10)) {
		snprintf(to, PATH_ROOM, "/nowhere/%u", below(10));
	} else if (chance(3)) {
		while (strlen(to) < PATH_MAX - 2)
			strcat(to, "l");
	} else {
		for (unsigned n = 1 + below(2); n > 0; n--) {
			new_name(name);
			(void)add_component(to, name);
		}
	}
}

static unsigned choose_mode(void)
{
	static const unsigned usual[] = {0644, 0644, 0755, 0755, 0600,
					 0700, 0666, 0777, 0640};
	static const unsigned rare[] = {0444,  0555,  0111, 0000,
					01777, 02755, 04755};

	return chance(92) ? usual[below(ARRAY_LEN(usual))]
			  : rare[below(ARRAY_LEN(rare))];
}

static int choose_flags(void)
{
	static const int flags[] = {0,		0,	O_TRUNC,
				    O_EXCL,	O_EXCL, O_APPEND,
				    O_NOFOLLOW, O_SYNC, O_DIRECTORY};

	return flags[below(ARRAY_LEN(flags))];
}

static const struct op_type *choose_type(void)
{
	unsigned sum = 0;

	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		sum += types[i].weight;
	unsigned left = below(sum);
	const struct op_type *t = types;
	while (left >= t->weight)
		left -= t++->weight;
	return t;
}

static void choose(struct op *o)
{
	*o = (struct op){
		.type = choose_type(),
		.off = chance(30) ? 0 : below(OFFSET_MAX),
		.len = chance(1) ? HUGE_LENGTH : below(LENGTH_MAX) + 1,
		.mode = choose_mode(),
		.slot = below(N_SLOTS),
		.flags = choose_flags(),
		.seed = next(&run.rng),
	};
	if (chance(60))
		o->len %= 4096;
	if (!o->type->slot)
		choose_path(o->path, o->type->makes, o->type->dir);
	/* What is below a folder that is closed cannot be tried. */
	if (chance(95) &&
	    (o->type->run == do_mkdir || is_dir(&run.reference, o->path)))
		o->mode |= 0700;
	if (o->type->two)
		choose_path(o->to, chance(70), false);
	else if (o->type->run == do_symlink)
		choose_target(o->to);
}

/* --- doing --------------------------------------------------------------------- */

static void look(const struct side *s, const char *path, struct look *out)
{
	struct stat st;

	*out = (struct look){0};
	if (path[0] == '\0')
		return;
	if (fstatat(s->root, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		out->err = errno;
		return;
	}
	out->mode = st.st_mode;
	if (S_ISDIR(st.st_mode))
		return; /* Its size and links are as each file system counts. */
	out->links = (unsigned)st.st_nlink;
	out->size = st.st_size;
	if (st.st_mtime < TREE_SET_TIME)
		out->time = st.st_mtime;
	if (S_ISREG(st.st_mode))
		out->err = -tree_hash_file(s->root, path, &out->hash);
}

static void look_at_paths(const struct side *s, const struct op *o,
			  struct result *r)
{
	bool two = o->type->two;

	look(s, o->path, &r->path);
	look(s, two ? o->to : "", &r->to);
}

static void print_op(FILE *f, const struct op *o)
{
	fprintf(f, "%s", o->type->name);
	if (o->type->slot || o->type->run == do_open)
		fprintf(f, " slot=%u", o->slot);
	if (!o->type->slot) {
		fputc(' ', f);
		tree_print_name(f, o->path);
	}
	if (o->to[0] != '\0') {
		fputs(" to=", f);
		tree_print_name(f, o->to);
	}
	fprintf(f, " off=%lld len=%zu mode=%o flags=%o\n", (long long)o->off,
		o->len, o->mode, (unsigned)o->flags);
}

static void print_look(const char *what, const struct look *l)
{
	printf("  %s: %s mode %o, %u links, %lld bytes, time %lld, hash %016lx\n",
	       what, l->err ? strerrorname_np(l->err) : "there", l->mode,
	       l->links, (long long)l->size, (long long)l->time,
	       (unsigned long)l->hash);
}

static void print_result(const char *who, const struct result *r)
{
	printf("%s: %d (%s), hash %016lx\n", who, r->value,
	       r->value < 0 ? strerrorname_np(-r->value) : "ok",
	       (unsigned long)r->hash);
	print_look("path", &r->path);
	print_look("to", &r->to);
}

static void print_history(void)
{
	uint64_t from = run.n > HISTORY ? run.n - HISTORY : 0;

	for (uint64_t i = from; i < run.n; i++) {
		printf("%lu: ", (unsigned long)i);
		print_op(stdout, &run.history[i % HISTORY]);
	}
}

static bool same_look(const struct look *a, const struct look *b)
{
	return a->err == b->err && a->mode == b->mode && a->links == b->links &&
	       a->size == b->size && a->time == b->time && a->hash == b->hash;
}

static bool same_result(const struct result *a, const struct result *b)
{
	return a->value == b->value && a->hash == b->hash &&
	       same_look(&a->path, &b->path) && same_look(&a->to, &b->to);
}

/* Do the operation in both trees; false when they then differ. */
static bool do_both(const struct op *o)
{
	struct result s = {0}, r = {0};

	s.value = o->type->run(&run.subject, o, &s.hash);
	if (is_allowed(o, s.value)) {
		run.n_allowed++;
		r.value = s.value;
	} else {
		r.value = o->type->run(&run.reference, o, &r.hash);
	}
	run.n_done += s.value >= 0;
	look_at_paths(&run.subject, o, &s);
	look_at_paths(&run.reference, o, &r);
	if (same_result(&s, &r))
		return true;
	print_history();
	print_result("subject", &s);
	print_result("reference", &r);
	return false;
}

static bool same_trees(void)
{
	unsigned flags = run.overlay ? TREE_NO_INODES : 0;

	if (tree_compare(run.subject.path, run.reference.path, flags) == 0)
		return true;
	print_history();
	return false;
}

static int run_operations(uint64_t n, uint64_t check)
{
	for (run.n = 0; run.n < n;) {
		struct op *o = &run.history[run.n % HISTORY];

		choose(o);
		run.n++;
		if (run.verbose)
			print_op(stdout, o);
		if (!do_both(o) || (run.n % check == 0 && !same_trees()))
			return 1;
	}
	if (!same_trees())
		return 1;
	printf("%lu operations equal, %lu of them done, %lu allowed to fail\n",
	       (unsigned long)n, (unsigned long)run.n_done,
	       (unsigned long)run.n_allowed);
	return 0;
}

/* --- commands ------------------------------------------------------------------ */

static _Noreturn void usage(void)
{
	fputs("usage: fsops run [--seed S] [--ops N] [--check N] [--overlay]\n"
	      "                 [--verbose] [--bug NAME] SUBJECT REFERENCE\n"
	      "       fsops compare [--no-links] [--no-times] [--no-modes]\n"
	      "                     [--no-inodes] A B\n"
	      "       fsops digest DIR\n",
	      stderr);
	exit(EX_USAGE);
}

static enum bug bug_of_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(bug_names); i++)
		if (strcmp(bug_names[i], name) == 0)
			return (enum bug)i;
	usage();
}

static void open_side(struct side *s, const char *path)
{
	s->path = path;
	s->root = tree_open(path);
	memset(s->slots, -1, sizeof(s->slots));
}

static int run_command(int argc, char **argv)
{
	static const struct option options[] = {
		{"seed", required_argument, NULL, 's'},
		{"ops", required_argument, NULL, 'n'},
		{"check", required_argument, NULL, 'c'},
		{"bug", required_argument, NULL, 'b'},
		{"overlay", no_argument, NULL, 'o'},
		{"verbose", no_argument, NULL, 'v'},
		{0},
	};
	uint64_t n = 1000, check = CHECK_EVERY;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case 's':
			run.rng = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			n = strtoull(optarg, NULL, 10);
			break;
		case 'c':
			check = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			run.subject.bug = bug_of_name(optarg);
			break;
		case 'o':
			run.overlay = true;
			break;
		case 'v':
			run.verbose = true;
			break;
		default:
			usage();
		}
	}
	if (argc - optind != 2 || check == 0)
		usage();
	open_side(&run.subject, argv[optind]);
	open_side(&run.reference, argv[optind + 1]);
	return run_operations(n, check);
}

static int compare_command(int argc, char **argv)
{
	static const struct option options[] = {
		{"no-links", no_argument, NULL, TREE_NO_LINKS},
		{"no-times", no_argument, NULL, TREE_NO_TIMES},
		{"no-modes", no_argument, NULL, TREE_NO_MODES},
		{"no-inodes", no_argument, NULL, TREE_NO_INODES},
		{0},
	};
	unsigned flags = 0;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == '?')
			usage();
		flags |= (unsigned)c;
	}
	if (argc - optind != 2)
		usage();
	return tree_compare(argv[optind], argv[optind + 1], flags) > 0;
}

static int digest_command(int argc, char **argv)
{
	if (argc != 2)
		usage();
	tree_digest(argv[1]);
	return 0;
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		int (*run)(int argc, char **argv);
	} commands[] = {
		{"run", run_command},
		{"compare", compare_command},
		{"digest", digest_command},
	};

	umask(022);
	for (size_t i = 0; argc > 1 && i < ARRAY_LEN(commands); i++)
		if (strcmp(commands[i].name, argv[1]) == 0)
			return commands[i].run(argc - 1, argv + 1);
	usage();
}
