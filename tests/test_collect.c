// SPDX-License-Identifier: Apache-2.0
/*
 * test_collect.c - What the host is told is what the workspace is
 *
 * The other side is played by a list of entries that change sets are applied
 * to.  After each of them it is compared with the tree itself.
 */
#include "vfs/collect.h"

#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>

#include "core/json.h"
#include "tests/tap.h"
#include "vfs/changes.h"
#include "vfs/passing.h"
#include "vfs/sent.h"

#define SETS_MAX (64u << 20)

struct entry {
	char *path;
	uint32_t mode;
	char *data;
	size_t n;
};

struct tree {
	struct entry *all;
	size_t n;
};

/* One workspace, with what the host has of it. */
struct bench {
	int upper, view, lower, passing;
	struct vfs_sent *sent;
	struct tree host;
	struct vfs_collect_result result; /* Of the last walk. */
	struct jw set;			  /* That it wrote. */
};

static char dir[] = "/tmp/test_collect.XXXXXX";

/*
 * Trees.
 */

static void entry_done(struct entry *en)
{
	free(en->path);
	free(en->data);
}

static void tree_done(struct tree *t)
{
	while (t->n > 0)
		entry_done(&t->all[--t->n]);
	free(t->all);
	t->all = NULL;
}

static bool is_below(const char *path, const char *top)
{
	size_t n = strlen(top);

	return strncmp(path, top, n) == 0 && path[n] == '/';
}

/* With all below it, if there is any. */
static void tree_remove(struct tree *t, const char *path)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->all[i].path, path) == 0 ||
		    is_below(t->all[i].path, path))
			entry_done(&t->all[i]);
		else
			t->all[kept++] = t->all[i];
	}
	t->n = kept;
}

static struct entry *tree_find(const struct tree *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->all[i].path, path) == 0)
			return &t->all[i];
	return NULL;
}

static void tree_add(struct tree *t, const char *path, uint32_t mode,
		     const char *data, size_t n)
{
	char *copy = malloc(n + 1);

	t->all = reallocarray(t->all, t->n + 1, sizeof(*t->all));
	OK(t->all != NULL && copy != NULL);
	if (n > 0)
		memcpy(copy, data, n);
	t->all[t->n++] = (struct entry){strdup(path), mode, copy, n};
}

static int by_path(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	return strcmp(x->path, y->path);
}

static void tree_sort(struct tree *t)
{
	if (t->n > 1)
		qsort(t->all, t->n, sizeof(*t->all), by_path);
}

static void tree_expect(struct tree *got, struct tree *want)
{
	tree_sort(got);
	tree_sort(want);
	for (size_t i = 0; i < got->n || i < want->n; i++) {
		const struct entry *g = &got->all[i], *w = &want->all[i];

		if (i >= want->n || (i < got->n && by_path(g, w) < 0))
			FAIL("the host has %s, which is not there", g->path);
		if (i >= got->n || by_path(g, w) > 0)
			FAIL("the host does not have %s", w->path);
		if (g->mode != w->mode)
			FAIL("%s: mode %o, should be %o", g->path, g->mode,
			     w->mode);
		if (g->n != w->n || memcmp(g->data, w->data, g->n) != 0)
			FAIL("%s: other content", g->path);
	}
}

static char *slurp(const char *path, size_t *n)
{
	FILE *f = fopen(path, "r");
	autojw struct jw w = {0};
	char part[65536];
	size_t len;

	OK(f != NULL);
	while ((len = fread(part, 1, sizeof(part), f)) > 0)
		jw_lit(&w, part, len);
	fclose(f);
	*n = w.len;
	return w.len > 0 ? jw_take(&w, NULL) : strdup("");
}

/* nftw() has no argument to pass on. */
static struct tree *reading;
static size_t root_len;

static int read_entry(const char *path, const struct stat *st, int type,
		      struct FTW *at)
{
	char target[4096];
	autofree char *data = NULL;
	size_t n = 0;

	(void)type;
	if (at->level == 0)
		return 0;
	if (S_ISREG(st->st_mode)) {
		data = slurp(path, &n);
	} else if (S_ISLNK(st->st_mode)) {
		ssize_t len = readlink(path, target, sizeof(target));

		OK(len > 0);
		n = (size_t)len;
		data = strndup(target, n);
	} else if (!S_ISDIR(st->st_mode)) {
		return 0;
	}
	tree_add(reading, path + root_len + 1,
		 S_ISLNK(st->st_mode) ? S_IFLNK : st->st_mode, data, n);
	return 0;
}

static void tree_read(struct tree *t, const char *root)
{
	reading = t;
	root_len = strlen(root);
	EQ(nftw(root, read_entry, 32, FTW_PHYS), 0);
}

/*
 * Change sets.
 */

/* As with git, a file takes the place of a folder and of all in it. */
static int on_file(void *arg, const char *path, uint32_t mode, uint64_t size,
		   struct err *e)
{
	(void)size, (void)e;
	tree_remove(arg, path);
	tree_add(arg, path, mode, NULL, 0);
	return 0;
}

static int on_data(void *arg, const char *data, size_t n, struct err *e)
{
	struct tree *t = arg;
	struct entry *last = &t->all[t->n - 1];

	(void)e;
	last->data = realloc(last->data, last->n + n + 1);
	OK(last->data != NULL);
	memcpy(last->data + last->n, data, n);
	last->n += n;
	return 0;
}

static int on_file_end(void *arg, struct err *e)
{
	(void)arg, (void)e;
	return 0;
}

static int on_dir(void *arg, const char *path, uint32_t mode, struct err *e)
{
	struct entry *old = tree_find(arg, path);

	(void)e;
	if (old == NULL)
		tree_add(arg, path, S_IFDIR | mode, NULL, 0);
	else if (S_ISDIR(old->mode))
		old->mode = S_IFDIR | mode;
	else
		FAIL("%s: a folder over a file", path);
	return 0;
}

static int on_remove(void *arg, const char *path, struct err *e)
{
	(void)e;
	tree_remove(arg, path);
	return 0;
}

static int on_clear(void *arg, struct err *e)
{
	(void)e;
	tree_done(arg);
	return 0;
}

static void apply(struct tree *t, const char *set, size_t n)
{
	static const struct vfs_changes_ops ops = {
		on_file, on_data, on_file_end, on_dir, on_remove, on_clear};
	struct vfs_changes *c = vfs_changes_new(&ops, t, NULL);
	struct err e = {0};

	if (vfs_changes_feed(c, set, n, &e) < 0 || vfs_changes_end(c, &e) < 0)
		FAIL("%s", e.msg);
	vfs_changes_free(c);
}

/*
 * Workspaces.
 */

static int on_write(const char *data, size_t n, void *arg)
{
	struct bench *b = arg;

	jw_lit(&b->set, data, n);
	return b->set.len > SETS_MAX ? -EFBIG : 0;
}

static void open_bench(struct bench *b, const char *upper, const char *view)
{
	struct err e = {0};

	*b = (struct bench){0};
	b->upper = open(upper, O_PATH | O_DIRECTORY | O_CLOEXEC);
	b->view = open(view, O_PATH | O_DIRECTORY | O_CLOEXEC);
	b->lower = b->passing = -1;
	OK(b->upper >= 0 && b->view >= 0);
	if (vfs_sent_open("vfs.db", &b->sent, &e) < 0)
		FAIL("%s", e.msg);
}

/* In a new folder: the workspace is "up". */
static void make_bench(struct bench *b)
{
	OK(mkdtemp(dir) != NULL);
	EQ(chdir(dir), 0);
	EQ(mkdir("up", 0755), 0);
	open_bench(b, "up", "up");
}

static void drop_bench(struct bench *b)
{
	char command[128];

	vfs_sent_close(b->sent);
	tree_done(&b->host);
	jw_done(&b->set);
	close(b->upper);
	close(b->view);
	EQ(chdir("/"), 0);
	snprintf(command, sizeof(command), "chmod -R u+rwx %s; rm -rf %s", dir,
		 dir);
	EQ(system(command), 0);
}

static void walk(struct bench *b, bool from_nothing)
{
	struct vfs_collect_spec spec = {.upper = b->upper,
					.view = b->view,
					.lower = b->lower,
					.passing = b->passing,
					.sent = b->sent,
					.from_nothing = from_nothing,
					.write = on_write,
					.arg = b};
	struct err e = {0};

	jw_reset(&b->set);
	if (vfs_collect(&spec, &b->result, &e) < 0)
		FAIL("%s", e.msg);
	EQ(b->result.changed, b->set.len > 0);
}

/* A checkpoint that the host takes. */
static void checkpoint(struct bench *b)
{
	struct err e = {0};

	walk(b, false);
	if (b->result.changed)
		apply(&b->host, b->set.buf, b->set.len);
	EQ(vfs_sent_commit(b->sent, NULL, &e), 0);
}

static void expect_same(struct bench *b, const char *root)
{
	struct tree now = {0};

	tree_read(&now, root);
	tree_expect(&b->host, &now);
	tree_done(&now);
}

/* A checkpoint, after which the host has what is there; one more is empty. */
static void settle(struct bench *b, const char *root)
{
	checkpoint(b);
	expect_same(b, root);
	checkpoint(b);
	OK(!b->result.changed);
}

static void put_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (f == NULL)
		FAIL("%s: %m", path);
	fputs(text, f);
	EQ(fclose(f), 0);
}

static bool set_has(const struct bench *b, const char *text)
{
	return b->set.len > 0 &&
	       memmem(b->set.buf, b->set.len, text, strlen(text)) != NULL;
}

/*
 * Cases.
 */

TEST(what_is_new_is_told_once)
{
	struct bench b;

	make_bench(&b);
	checkpoint(&b);
	OK(!b.result.changed);
	put_file("up/a", "one");
	EQ(mkdir("up/empty", 0700), 0);
	EQ(mkdir("up/d", 0755), 0);
	EQ(symlink("../a", "up/d/link"), 0);
	put_file("up/d/\"q\\\n\x01\xff", "");
	EQ(chmod("up/a", 0750), 0);
	settle(&b, "up");
	put_file("up/a", "two");
	settle(&b, "up");
	EQ(b.result.n_put, 0);
	drop_bench(&b);
}

TEST(what_is_gone_is_deleted)
{
	struct bench b;

	make_bench(&b);
	EQ(mkdir("up/d", 0755), 0);
	EQ(mkdir("up/d/e", 0755), 0);
	put_file("up/d/e/f", "x");
	put_file("up/a", "x");
	settle(&b, "up");
	EQ(system("rm -rf up/d up/a"), 0);
	checkpoint(&b);
	STR_EQ(b.set.buf, "D a\nD d\ndone\n");
	EQ(b.host.n, 0);
	drop_bench(&b);
}

TEST(another_kind_of_entry_takes_a_place)
{
	struct bench b;

	make_bench(&b);
	EQ(mkdir("up/a", 0755), 0);
	put_file("up/a/x", "x");
	put_file("up/b", "b");
	EQ(symlink("b", "up/c"), 0);
	EQ(mkdir("up/d", 0755), 0);
	put_file("up/d/x", "x");
	settle(&b, "up");
	EQ(system("rm -rf up/a && echo a >up/a && rm up/b && mkdir up/b && "
		  "echo x >up/b/x && rm up/c && mkdir up/c && rm -r up/d && "
		  "ln -s b up/d"),
	   0);
	settle(&b, "up");
	EQ(system("rm -rf up/a && mkfifo up/a && rm -r up/b && mkfifo up/b"),
	   0);
	settle(&b, "up");
	EQ(b.result.n_special, 2);
	drop_bench(&b);
}

TEST(what_the_host_did_not_take_is_told_again)
{
	struct bench b;

	make_bench(&b);
	put_file("up/a", "one");
	settle(&b, "up");
	put_file("up/b", "two");
	EQ(unlink("up/a"), 0);
	walk(&b, false);
	OK(b.result.changed);
	vfs_sent_rollback(b.sent);
	settle(&b, "up");
	drop_bench(&b);
}

TEST(without_rows_everything_is_told)
{
	struct bench b;
	struct err e = {0};

	make_bench(&b);
	put_file("up/a", "one");
	settle(&b, "up");
	EQ(vfs_sent_drop_below(b.sent, "", &e), 0);
	put_file("up/b", "two");
	EQ(unlink("up/a"), 0);
	walk(&b, true);
	apply(&b.host, b.set.buf, b.set.len);
	EQ(vfs_sent_commit(b.sent, NULL, &e), 0);
	expect_same(&b, "up");
	drop_bench(&b);
}

TEST(rules_are_about_what_the_host_does_not_have)
{
	struct bench b;

	make_bench(&b);
	EQ(system("mkdir -p up/node_modules/x up/w/node_modules up/out up/tag "
		  "&& touch up/node_modules/x/y up/out/o up/old.o && "
		  "echo 'Signature: 8a477f597d28d172789f06886806bc55' "
		  ">up/tag/CACHEDIR.TAG"),
	   0);
	checkpoint(&b);
	OK(!set_has(&b, "node_modules") && !set_has(&b, "tag"));
	OK(set_has(&b, "old.o") && set_has(&b, "out/o"));
	put_file("up/.hibignore", "*.o\nout/\n!node_modules/\n!tag/\n");
	EQ(system("touch up/new.o up/out/p && echo x >up/old.o && "
		  "echo '!new2.o' >up/w/.hibignore && touch up/w/new2.o"),
	   0);
	checkpoint(&b);
	OK(!set_has(&b, "new.o"));
	OK(set_has(&b, "old.o") && set_has(&b, "out/p"));
	OK(set_has(&b, "node_modules/x/y") && set_has(&b, "CACHEDIR.TAG"));
	OK(set_has(&b, "w/new2.o"));
	EQ(system("rm -r up/old.o up/new.o"), 0);
	checkpoint(&b);
	OK(set_has(&b, "D old.o\n") && !set_has(&b, "new.o"));
	drop_bench(&b);
}

TEST(rules_are_read_where_users_see_them)
{
	struct bench b;

	make_bench(&b);
	EQ(system("mkdir -p view/d up/d && echo '*.o' >view/d/.hibignore && "
		  "touch up/d/x.o up/x.o && mkfifo view/.hibignore"),
	   0);
	close(b.view);
	b.view = open("view", O_PATH | O_DIRECTORY | O_CLOEXEC);
	checkpoint(&b);
	OK(set_has(&b, " x.o") && !set_has(&b, "d/x.o"));
	drop_bench(&b);
}

TEST(what_the_commit_below_has_is_not_ignored)
{
	struct bench b;

	make_bench(&b);
	EQ(system("mkdir -p low/d up/d up/node_modules && touch low/d/old.o && "
		  "echo '*.o' >up/.hibignore && echo 1 >up/d/old.o && "
		  "touch up/d/new.o up/node_modules/x"),
	   0);
	b.lower = open("low", O_PATH | O_DIRECTORY | O_CLOEXEC);
	OK(b.lower >= 0);
	checkpoint(&b);
	OK(set_has(&b, "d/old.o"));
	OK(!set_has(&b, "d/new.o") && !set_has(&b, "node_modules"));
	checkpoint(&b);
	OK(!b.result.changed);
	close(b.lower);
	drop_bench(&b);
}

TEST(a_name_that_a_file_has_in_passing_is_not_told)
{
	char name[VFS_PASSING_MAX], path[64];
	autoclose int here = -1;
	struct bench b;

	make_bench(&b);
	here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	b.passing = vfs_passing_open(here, geteuid());
	OK(b.passing >= 0);
	put_file("up/.hib-0123456789abcdef", "the user's");
	EQ(vfs_passing_take(b.passing, "f", name), 0);
	snprintf(path, sizeof(path), "up/%s", name);
	put_file(path, "new");
	checkpoint(&b);
	OK(tree_find(&b.host, ".hib-0123456789abcdef") != NULL);
	OK(tree_find(&b.host, name) == NULL);
	EQ(b.result.n_passing, 1);
	/* Nor does one that was told before stay. */
	vfs_passing_drop(b.passing, name);
	checkpoint(&b);
	OK(tree_find(&b.host, name) != NULL);
	EQ(symlinkat("f", b.passing, name), 0);
	checkpoint(&b);
	OK(tree_find(&b.host, name) == NULL);
	close(b.passing);
	drop_bench(&b);
}

TEST(rules_that_cannot_be_read_end_the_walk)
{
	struct vfs_collect_result result;
	struct vfs_collect_spec spec;
	struct err e = {0};
	struct bench b;

	make_bench(&b);
	put_file("up/a", "x");
	spec = (struct vfs_collect_spec){.upper = b.upper,
					 .view = -1,
					 .lower = -1,
					 .passing = -1,
					 .sent = b.sent,
					 .write = on_write,
					 .arg = &b};
	EQ(vfs_collect(&spec, &result, &e), -EBADF);
	EQ(b.set.len, 0);
	drop_bench(&b);
}

TEST(deep_trees_need_no_stack)
{
	struct bench b;
	int at;

	make_bench(&b);
	at = open("up", O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 3000; i++) {
		int next;

		EQ(mkdirat(at, i % 2 ? "a" : "b", 0755), 0);
		next = openat(at, i % 2 ? "a" : "b", O_RDONLY | O_DIRECTORY);
		OK(next >= 0);
		close(at);
		at = next;
	}
	close(at);
	checkpoint(&b);
	OK(b.host.n >= 1500 && b.host.n < 2100);
	EQ(b.result.n_unreadable, 1);
	checkpoint(&b);
	OK(!b.result.changed);
	drop_bench(&b);
}

static void make_many(int n)
{
	char path[64];

	for (int i = 0; i < n; i++) {
		if (i % 1000 == 0) {
			snprintf(path, sizeof(path), "up/%d", i / 1000);
			EQ(mkdir(path, 0755), 0);
		}
		snprintf(path, sizeof(path), "up/%d/%d", i / 1000, i);
		close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
	}
}

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

TEST(many_entries_are_looked_at_once)
{
	struct err e = {0};
	struct bench b;
	double t;

	make_bench(&b);
	make_many(5000);
	t = seconds();
	walk(&b, false);
	EQ(vfs_sent_commit(b.sent, NULL, &e), 0);
	fprintf(stderr, "# 5000 new files: %.0f ms\n", (seconds() - t) * 1e3);
	EQ(b.result.n_put, 5000);
	t = seconds();
	walk(&b, false);
	fprintf(stderr, "# the same unchanged: %.0f ms\n",
		(seconds() - t) * 1e3);
	OK(!b.result.changed && b.result.n_entries == 5005);
	drop_bench(&b);
}

TEST(little_that_did_not_change_costs_little)
{
	struct bench b;
	double t;

	make_bench(&b);
	EQ(system("for i in 1 2 3 4 5 6 7 8 9 0; do mkdir up/$i; "
		  "touch up/$i/1 up/$i/2 up/$i/3; done"),
	   0);
	settle(&b, "up");
	t = seconds();
	for (int i = 0; i < 100; i++)
		walk(&b, false);
	fprintf(stderr, "# 40 entries: %.0f us\n", (seconds() - t) * 1e4);
	drop_bench(&b);
}

/*
 * What changes meanwhile.
 */

static volatile bool stop;

/* Each state is one letter, in one length. */
static void *rewrite(void *arg)
{
	size_t n = *(size_t *)arg;
	char *data = malloc(n);

	for (char c = 'a'; !stop; c = c == 'z' ? 'a' : (char)(c + 1)) {
		int fd = open("up/new", O_WRONLY | O_CREAT | O_TRUNC, 0644);

		memset(data, c, n);
		OK(write(fd, data, n) == (ssize_t)n);
		close(fd);
		EQ(rename("up/new", "up/a"), 0);
		usleep(500);
	}
	free(data);
	return NULL;
}

static void files_that_are_replaced_are_whole(size_t n)
{
	struct bench b;
	pthread_t t;

	make_bench(&b);
	EQ(pthread_create(&t, NULL, rewrite, &n), 0);
	for (int i = 0; i < 100; i++) {
		const struct entry *en;

		checkpoint(&b);
		en = tree_find(&b.host, "a");
		for (size_t k = 0; en != NULL && k < en->n; k++)
			OK(en->n == n && en->data[k] == en->data[0]);
	}
	stop = true;
	EQ(pthread_join(t, NULL), 0);
	settle(&b, "up");
	drop_bench(&b);
}

TEST(small_files_that_are_replaced_are_whole)
{
	files_that_are_replaced_are_whole(10000);
}

TEST(large_files_that_are_replaced_are_whole)
{
	files_that_are_replaced_are_whole(300000);
}

static void *append(void *arg)
{
	int fd = open("up/log", O_WRONLY | O_CREAT | O_APPEND, 0644);

	(void)arg;
	while (!stop) {
		OK(write(fd, "0123456789abcde\n", 16) == 16);
		usleep(20);
	}
	close(fd);
	return NULL;
}

TEST(a_file_that_grows_is_told_as_it_was)
{
	struct bench b;
	pthread_t t;

	make_bench(&b);
	EQ(pthread_create(&t, NULL, append, NULL), 0);
	for (int i = 0; i < 20; i++) {
		const struct entry *en;

		checkpoint(&b);
		en = tree_find(&b.host, "log");
		for (size_t k = 0; en != NULL && k < en->n; k++)
			OK(en->data[k] == "0123456789abcde\n"[k % 16]);
	}
	stop = true;
	EQ(pthread_join(t, NULL), 0);
	settle(&b, "up");
	drop_bench(&b);
}

/* What stood in a name when it was looked at may be anything when opened. */
static void *swap_kinds(void *arg)
{
	(void)arg;
	put_file("up.file", "fine");
	EQ(mkfifo("up.fifo", 0644), 0);
	EQ(symlink("/etc/passwd", "up.link"), 0);
	EQ(mkdir("up.dir", 0755), 0);
	put_file("up.dir/x", "fine");
	while (!stop) {
		static const char *const kinds[] = {"up.file", "up.fifo",
						    "up.link", "up.dir"};

		for (size_t i = 0; i < 4; i++) {
			EQ(rename(kinds[i], "up/a"), 0);
			sched_yield();
			EQ(rename("up/a", kinds[i]), 0);
		}
	}
	return NULL;
}

TEST(nothing_is_followed_and_nothing_hangs)
{
	struct bench b;
	pthread_t t;

	make_bench(&b);
	EQ(pthread_create(&t, NULL, swap_kinds, NULL), 0);
	for (int i = 0; i < 2000; i++) {
		checkpoint(&b);
		OK(!set_has(&b, "root:"));
	}
	stop = true;
	EQ(pthread_join(t, NULL), 0);
	settle(&b, "up");
	drop_bench(&b);
}

/* On a disk; memory file systems do not show writes through a mapping. */
TEST(writes_through_a_mapping_are_seen)
{
	struct bench b;
	char *map;
	int fd;

	make_bench(&b);
	fd = open("up/m", O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	EQ(ftruncate(fd, 8192), 0);
	map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	OK(map != MAP_FAILED);
	map[0] = 'a';
	checkpoint(&b);
	map[0] = 'b';
	checkpoint(&b);
	if (!b.result.changed) {
		drop_bench(&b);
		SKIP("this file system does not show writes by mmap");
	}
	for (int i = 0; i < 20; i++) {
		map[0] = (char)('b' + i);
		map[5000] = (char)('c' + i);
		checkpoint(&b);
		EQ(tree_find(&b.host, "m")->data[0], 'b' + i);
		EQ(tree_find(&b.host, "m")->data[5000], 'c' + i);
	}
	drop_bench(&b);
}

/*
 * Random work.
 */

static unsigned pick(unsigned n)
{
	return (unsigned)random() % n;
}

static void random_path(char *out, const char *root)
{
	static const char *const names[] = {"a", "b", "c", "d.x", "e f", "a0"};

	out += sprintf(out, "%s", root);
	for (unsigned n = 1 + pick(4); n > 0; n--)
		out += sprintf(out, "/%s", names[pick(ARRAY_LEN(names))]);
}

static int remove_entry(const char *path, const struct stat *st, int type,
			struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

/* Most have no effect, as what they need is not there. */
static void random_step(const char *root)
{
	char a[256], b[256];
	int fd;

	random_path(a, root);
	random_path(b, root);
	switch (pick(12)) {
	case 0:
	case 1:
	case 2:
		(void)mkdir(a, pick(4) ? 0755 : 0700);
		break;
	case 3:
	case 4:
	case 5:
		fd = open(a, O_WRONLY | O_CREAT | (pick(2) ? O_TRUNC : 0),
			  pick(4) ? 0644 : 0755);
		if (fd >= 0) {
			(void)!write(fd, b, 1 + pick(20));
			close(fd);
		}
		break;
	case 6:
		(void)!unlink(a);
		break;
	case 7:
		(void)nftw(a, remove_entry, 16, FTW_PHYS | FTW_DEPTH);
		break;
	case 8:
	case 9:
		(void)!rename(a, b);
		break;
	case 10:
		(void)!symlink(b, a);
		break;
	default:
		if (pick(2))
			(void)!chmod(a, pick(2) ? 0755 : 0750);
		else
			(void)!truncate(a, pick(20));
	}
}

TEST(random_work_in_a_folder)
{
	struct bench b;

	srandom((unsigned)getpid());
	make_bench(&b);
	for (int round = 0; round < 150; round++) {
		for (unsigned n = pick(40); n > 0; n--)
			random_step("up");
		if (pick(5) == 0) {
			walk(&b, false);
			vfs_sent_rollback(b.sent);
		}
		checkpoint(&b);
		expect_same(&b, "up");
	}
	drop_bench(&b);
}

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		SKIP("no user namespace: %s: %m", path);
	close(fd);
}

/* A user namespace of our own, and memory to work in that goes with it. */
static void enter_namespace(void)
{
	char map[64];
	unsigned uid = getuid(), gid = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		SKIP("no user namespace: %m");
	write_text("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_text("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_text("/proc/self/gid_map", map);
	OK(mkdtemp(dir) != NULL);
	if (mount("tmpfs", dir, "tmpfs", 0, NULL) < 0)
		SKIP("no tmpfs: %m");
	EQ(chdir(dir), 0);
}

static void mount_overlay(void)
{
	if (mount("overlay", "merged", "overlay", 0,
		  "lowerdir=lower,upperdir=up,workdir=work,userxattr") < 0)
		SKIP("no overlay: %m");
}

/* The memory goes with the namespace. */
static void leave_overlay(struct bench *b)
{
	vfs_sent_close(b->sent);
	tree_done(&b->host);
	jw_done(&b->set);
	close(b->upper);
	close(b->view);
	EQ(umount("merged"), 0);
	EQ(chdir("/"), 0);
	(void)umount2(dir, MNT_DETACH);
	(void)rmdir(dir);
}

TEST(random_work_in_an_overlay)
{
	struct bench b;

	srandom((unsigned)getpid());
	enter_namespace();
	EQ(system("mkdir up work lower merged"), 0);
	for (int i = 0; i < 200; i++)
		random_step("lower");
	mount_overlay();
	open_bench(&b, "up", "merged");
	tree_read(&b.host, "lower");
	for (int round = 0; round < 150; round++) {
		for (unsigned n = pick(40); n > 0; n--)
			random_step("merged");
		if (pick(5) == 0) {
			walk(&b, false);
			vfs_sent_rollback(b.sent);
		}
		checkpoint(&b);
		expect_same(&b, "merged");
		if (pick(20) == 0) {
			struct err e = {0};

			/* vfs.db was lost: from the commit below again. */
			tree_done(&b.host);
			tree_read(&b.host, "lower");
			EQ(vfs_sent_drop_below(b.sent, "", &e), 0);
			EQ(vfs_sent_commit(b.sent, NULL, &e), 0);
		}
	}
	leave_overlay(&b);
}

TEST(a_folder_made_anew_hides_what_was_below)
{
	struct bench b;

	enter_namespace();
	EQ(system("mkdir -p up work lower/d/e merged && echo x >lower/d/a && "
		  "echo y >lower/d/e/b"),
	   0);
	mount_overlay();
	open_bench(&b, "up", "merged");
	tree_read(&b.host, "lower");
	settle(&b, "merged");
	EQ(system("rm -rf merged/d && mkdir merged/d && echo z >merged/d/c"),
	   0);
	settle(&b, "merged");
	EQ(system("rm -rf merged/d && mkdir merged/d && echo z >merged/d/c"),
	   0);
	settle(&b, "merged");
	EQ(system("rm -rf merged/d"), 0);
	settle(&b, "merged");
	leave_overlay(&b);
}

TESTS(CASE(what_is_new_is_told_once), CASE(what_is_gone_is_deleted),
      CASE(another_kind_of_entry_takes_a_place),
      CASE(what_the_host_did_not_take_is_told_again),
      CASE(without_rows_everything_is_told),
      CASE(rules_are_about_what_the_host_does_not_have),
      CASE(rules_are_read_where_users_see_them),
      CASE(what_the_commit_below_has_is_not_ignored),
      CASE(a_name_that_a_file_has_in_passing_is_not_told),
      CASE(rules_that_cannot_be_read_end_the_walk),
      CASE(deep_trees_need_no_stack), CASE(many_entries_are_looked_at_once),
      CASE(little_that_did_not_change_costs_little),
      CASE(small_files_that_are_replaced_are_whole),
      CASE(large_files_that_are_replaced_are_whole),
      CASE(a_file_that_grows_is_told_as_it_was),
      CASE(nothing_is_followed_and_nothing_hangs),
      CASE(writes_through_a_mapping_are_seen), CASE(random_work_in_a_folder),
      CASE(random_work_in_an_overlay),
      CASE(a_folder_made_anew_hides_what_was_below))
