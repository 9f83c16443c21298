/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tree_kit.h - Compare two file trees, or print one so that it can be compared
 *
 * Everything a program can see of a tree is looked at: names, types,
 * permissions, contents, targets of symbolic links, which names are links of
 * the same file, and modification times that somebody has set.  Paths are
 * walked by descriptors, so no depth and no length of a path is too much.
 */
#ifndef TESTS_TREE_KIT_H
#define TESTS_TREE_KIT_H

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <xxhash.h>

#include "core/base.h"

#define TREE_NO_LINKS  BIT(0) /* Links of one file may have become copies. */
#define TREE_NO_TIMES  BIT(1) /* Times that were set may be lost. */
#define TREE_NO_MODES  BIT(2)
#define TREE_NO_INODES BIT(3) /* Names of one file may have several numbers. */

/* A time before this one was set by a program; later ones come from a clock
 * and differ from tree to tree. */
#define TREE_SET_TIME 1000000000

#define TREE_DIFFERENCES_MAX 20 /* Of which is told. */

struct tree_names {
	char **name;
	size_t n, room;
};

/* A name of a file with several. */
struct tree_link {
	struct stat a, b;
	char *path;
};

struct tree {
	unsigned flags;
	unsigned n_differences;
	char *path; /* Of the entry that is looked at. */
	size_t path_len, path_room;
	struct tree_link *links;
	size_t n_links;
};

static inline void *tree_must(void *p)
{
	if (p == NULL) {
		perror("memory");
		exit(EX_OSERR);
	}
	return p;
}

/* A folder that has to be there. */
static inline int tree_open(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		perror(dir);
		exit(EX_NOINPUT);
	}
	return fd;
}

/* --- names ----------------------------------------------------------------- */

static inline void tree_add_name(struct tree_names *l, const char *name)
{
	if (l->n == l->room) {
		l->room = l->room ? l->room * 2 : 32;
		l->name = tree_must(
			reallocarray(l->name, l->room, sizeof(*l->name)));
	}
	l->name[l->n++] = tree_must(strdup(name));
}

static inline int tree_by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static inline void tree_free_names(struct tree_names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->name[i]);
	free(l->name);
	*l = (struct tree_names){0};
}

/* The names in a folder, sorted.  0, or a negative errno. */
static inline int tree_list(int at, const char *path, struct tree_names *out)
{
	const struct dirent *entry;
	int fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	*out = (struct tree_names){0};
	if (d == NULL)
		return -errno;
	while ((errno = 0, entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			tree_add_name(out, entry->d_name);
	int r = -errno;
	closedir(d);
	if (r == 0 && out->n > 0)
		qsort(out->name, out->n, sizeof(*out->name), tree_by_name);
	return r;
}

/* Print a name so that it stays in one line, whatever its bytes are. */
static inline void tree_print_name(FILE *out, const char *name)
{
	for (; *name != '\0'; name++)
		if (*name <= ' ' || *name == 0x7f || *name == '\\')
			fprintf(out, "\\%03o", (unsigned char)*name);
		else
			fputc(*name, out);
}

/* Add a component to the path; the length before it is what tree_leave()
 * wants. */
static inline size_t tree_enter(struct tree *t, const char *name)
{
	size_t n = strlen(name), before = t->path_len;

	if (t->path_len + n + 2 > t->path_room) {
		t->path_room = (t->path_len + n + 2) * 2;
		t->path = tree_must(realloc(t->path, t->path_room));
	}
	if (before > 0)
		t->path[t->path_len++] = '/';
	strcpy(t->path + t->path_len, name);
	t->path_len += n;
	return before;
}

static inline void tree_leave(struct tree *t, size_t before)
{
	t->path_len = before;
	t->path[before] = '\0';
}

/* --- contents --------------------------------------------------------------- */

/* The hash of what a descriptor reads from its beginning. */
static inline int tree_hash_fd(int fd, uint64_t *out)
{
	XXH3_state_t *x = tree_must(XXH3_createState());
	static char buf[65536];
	off_t off = 0;
	ssize_t n;

	XXH3_64bits_reset(x);
	while ((n = pread(fd, buf, sizeof(buf), off)) > 0) {
		XXH3_64bits_update(x, buf, (size_t)n);
		off += n;
	}
	*out = XXH3_64bits_digest(x);
	XXH3_freeState(x);
	return n < 0 ? -errno : 0;
}

static inline int tree_hash_file(int at, const char *name, uint64_t *out)
{
	autoclose int fd = openat(
		at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

	*out = 0;
	return fd < 0 ? -errno : tree_hash_fd(fd, out);
}

/* The target of a link, or "" with a negative errno. */
static inline int tree_target(int at, const char *name, char out[PATH_MAX])
{
	ssize_t n = readlinkat(at, name, out, PATH_MAX - 1);

	out[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -errno : 0;
}

/* --- compare ---------------------------------------------------------------- */

#define tree_differ(t, ...)                                        \
	do {                                                       \
		if ((t)->n_differences++ < TREE_DIFFERENCES_MAX) { \
			fputs("differs: ", stdout);                \
			tree_print_name(stdout, (t)->path);        \
			printf(": " __VA_ARGS__);                  \
			putchar('\n');                             \
		}                                                  \
	} while (0)

static inline bool tree_same_file(const struct stat *x, const struct stat *y)
{
	return x->st_dev == y->st_dev && x->st_ino == y->st_ino;
}

static inline void tree_differ_of(struct tree *t, const struct tree_link *l,
				  const struct stat *a, const struct stat *b)
{
	tree_differ(t,
		    "with %s one file in one tree alone: %lx:%lu %lx:%lu, "
		    "%lx:%lu %lx:%lu",
		    l->path, l->a.st_dev, l->a.st_ino, a->st_dev, a->st_ino,
		    l->b.st_dev, l->b.st_ino, b->st_dev, b->st_ino);
}

/* Names of one file here have to be names of one file there. */
static inline void tree_compare_links(struct tree *t, const struct stat *a,
				      const struct stat *b)
{
	if (a->st_nlink != b->st_nlink)
		tree_differ(t, "%lu and %lu links", (unsigned long)a->st_nlink,
			    (unsigned long)b->st_nlink);
	if (a->st_nlink < 2 || (t->flags & TREE_NO_INODES))
		return;
	for (size_t i = 0; i < t->n_links; i++)
		if (tree_same_file(&t->links[i].a, a) !=
		    tree_same_file(&t->links[i].b, b))
			tree_differ_of(t, &t->links[i], a, b);
	t->links = tree_must(
		reallocarray(t->links, t->n_links + 1, sizeof(*t->links)));
	t->links[t->n_links++] =
		(struct tree_link){*a, *b, tree_must(strdup(t->path))};
}

static inline void tree_compare_stat(struct tree *t, const struct stat *a,
				     const struct stat *b)
{
	if (a->st_mode != b->st_mode && !(t->flags & TREE_NO_MODES))
		tree_differ(t, "mode %o and %o", a->st_mode, b->st_mode);
	if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
		tree_differ(t, "%lld and %lld bytes", (long long)a->st_size,
			    (long long)b->st_size);
	if (!S_ISDIR(a->st_mode) && !(t->flags & TREE_NO_LINKS))
		tree_compare_links(t, a, b);
	if (!(t->flags & TREE_NO_TIMES) && S_ISREG(a->st_mode) &&
	    (a->st_mtime < TREE_SET_TIME || b->st_mtime < TREE_SET_TIME) &&
	    a->st_mtime != b->st_mtime)
		tree_differ(t, "times %lld and %lld", (long long)a->st_mtime,
			    (long long)b->st_mtime);
}

static inline void tree_compare_file(struct tree *t, int a, int b,
				     const char *name)
{
	uint64_t x, y;
	int r = tree_hash_file(a, name, &x), s = tree_hash_file(b, name, &y);

	if (r != s)
		tree_differ(t, "cannot be read alike: %s and %s", strerror(-r),
			    strerror(-s));
	else if (x != y)
		tree_differ(t, "contents");
}

/* Not inlined: its arrays are too much for each level of a deep tree. */
__attribute__((noinline, unused)) static void
tree_compare_target(struct tree *t, int a, int b, const char *name)
{
	char x[PATH_MAX], y[PATH_MAX];
	int r = tree_target(a, name, x), s = tree_target(b, name, y);

	if (r != s || strcmp(x, y) != 0)
		tree_differ(t, "points to '%s' and '%s'", x, y);
}

static inline void tree_compare_dir(struct tree *t, int a, int b,
				    const char *name);

static inline void tree_compare_entry(struct tree *t, int a, int b,
				      const char *name)
{
	size_t before = tree_enter(t, name);
	struct stat x, y;
	int r = fstatat(a, name, &x, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;
	int s = fstatat(b, name, &y, AT_SYMLINK_NOFOLLOW) < 0 ? errno : 0;

	if (r != 0 || s != 0) {
		if (r != s)
			tree_differ(t, "stat: %s and %s", strerror(r),
				    strerror(s));
	} else if ((x.st_mode ^ y.st_mode) & S_IFMT) {
		tree_differ(t, "type %o and %o", x.st_mode, y.st_mode);
	} else {
		tree_compare_stat(t, &x, &y);
		if (S_ISREG(x.st_mode))
			tree_compare_file(t, a, b, name);
		else if (S_ISLNK(x.st_mode))
			tree_compare_target(t, a, b, name);
		else if (S_ISDIR(x.st_mode))
			tree_compare_dir(t, a, b, name);
	}
	tree_leave(t, before);
}

/* The names of two folders, side by side. */
static inline void tree_compare_names(struct tree *t, int a, int b,
				      const struct tree_names *x,
				      const struct tree_names *y)
{
	size_t i = 0, j = 0;

	while (i < x->n || j < y->n) {
		int order = i == x->n	? 1
			    : j == y->n ? -1
					: strcmp(x->name[i], y->name[j]);
		const char *only = order < 0 ? x->name[i] : y->name[j];

		if (order == 0) {
			tree_compare_entry(t, a, b, x->name[i]);
		} else {
			size_t before = tree_enter(t, only);

			tree_differ(t, "is only in the %s tree",
				    order < 0 ? "first" : "second");
			tree_leave(t, before);
		}
		i += order <= 0;
		j += order >= 0;
	}
}

static inline void tree_compare_dir(struct tree *t, int a, int b,
				    const char *name)
{
	struct tree_names x = {0}, y = {0};
	int r = tree_list(a, name, &x), s = tree_list(b, name, &y);
	autoclose int in_a = openat(a, name, O_PATH | O_CLOEXEC);
	autoclose int in_b = openat(b, name, O_PATH | O_CLOEXEC);

	if (r != s)
		tree_differ(t, "cannot be listed alike: %s and %s",
			    strerror(-r), strerror(-s));
	else
		tree_compare_names(t, in_a, in_b, &x, &y);
	tree_free_names(&x);
	tree_free_names(&y);
}

/*
 * tree_compare() - Say on stdout how two trees differ
 *
 * What the caller may not read has to be unreadable in both.  The folders on
 * top are compared by what is in them alone.
 *
 * Return: the number of differences.
 */
static inline unsigned tree_compare(const char *a, const char *b,
				    unsigned flags)
{
	struct tree t = {.flags = flags};
	autoclose int at_a = tree_open(a), at_b = tree_open(b);

	tree_enter(&t, "");
	tree_compare_dir(&t, at_a, at_b, ".");
	for (size_t i = 0; i < t.n_links; i++)
		free(t.links[i].path);
	free(t.path);
	free(t.links);
	return t.n_differences;
}

/* --- digest ----------------------------------------------------------------- */

static inline void tree_digest_file(int at, const char *name,
				    const struct stat *st)
{
	uint64_t hash;

	printf("f %04o %lld ", st->st_mode & 07777, (long long)st->st_size);
	if (tree_hash_file(at, name, &hash) < 0)
		printf("- ");
	else
		printf("%016lx ", (unsigned long)hash);
}

__attribute__((noinline, unused)) static void
tree_digest_target(int at, const char *name)
{
	char target[PATH_MAX];

	(void)tree_target(at, name, target);
	printf("l ");
	tree_print_name(stdout, target);
	putchar(' ');
}

static inline void tree_digest_dir(struct tree *t, int at, const char *name);

static inline void tree_digest_entry(struct tree *t, int at, const char *name)
{
	size_t before = tree_enter(t, name);
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		st.st_mode = 0;
		printf("! %s ", strerrorname_np(errno));
	} else if (S_ISREG(st.st_mode)) {
		tree_digest_file(at, name, &st);
	} else if (S_ISLNK(st.st_mode)) {
		tree_digest_target(at, name);
	} else {
		printf("%c %04o ", S_ISDIR(st.st_mode) ? 'd' : 'o',
		       st.st_mode & 07777);
	}
	tree_print_name(stdout, t->path);
	putchar('\n');
	if (S_ISDIR(st.st_mode))
		tree_digest_dir(t, at, name);
	tree_leave(t, before);
}

static inline void tree_digest_dir(struct tree *t, int at, const char *name)
{
	struct tree_names l;
	autoclose int in = openat(at, name, O_PATH | O_CLOEXEC);

	if (tree_list(at, name, &l) < 0)
		printf("! unreadable\n");
	for (size_t i = 0; i < l.n; i++)
		tree_digest_entry(t, in, l.name[i]);
	tree_free_names(&l);
}

/*
 * tree_digest() - Print a line for everything in a tree, always in one order
 *
 * Links between files and times are left out: what remains is what a commit
 * keeps, so the outputs of two trees that hold the same are the same.
 */
static inline void tree_digest(const char *dir)
{
	struct tree t = {0};
	autoclose int at = tree_open(dir);

	tree_enter(&t, "");
	tree_digest_dir(&t, at, ".");
	free(t.path);
}
#endif
