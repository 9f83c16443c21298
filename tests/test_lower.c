// SPDX-License-Identifier: Apache-2.0
/*
 * test_lower.c - Committed files as a file system, mounted for real
 *
 * Each case makes an ordinary folder, takes it as a commit, and has a process
 * serve that in a user and mount namespace of the case's own, from a source that
 * counts, and that can be dead or lie when told so.
 */
#include "vfs/lower.h"

#include <dirent.h>
#include <fcntl.h>
#include <git2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <time.h>

#include "core/log.h"
#include "tests/tap.h"
#include "vfs/ahead.h"
#include "vfs/listing.h"

#define DEADLINE_MS	 400
#define LONG_DEADLINE_MS 30000 /* That nothing here reaches. */
#define PATH_LEN	 4096
#define SH_LEN		 2048

enum lie { LIE_NOT, LIE_CONTENT, LIE_SHORT, LIE_LISTING };

/* One object that the source has. */
struct object {
	struct vfs_oid oid;
	char *path; /* A blob: the file, or what a link says. */
	char *text; /* A listing, or what a link says. */
	size_t len;
};

/* What the two processes share. */
struct shared {
	atomic_bool dead;
	atomic_bool gave_up; /* What it was asked while it was dead fails. */
	atomic_int lie;
	atomic_uint trees, blobs, silent;
	struct vfs_lower_stats stats;
};

static struct {
	char dir[64]; /* With src, lower, cache, upper, work, merged. */
	struct vfs_oid commit;
	char hex[VFS_OID_HEX];
	struct object *objects;
	size_t n, cap;
	struct shared *shared;
	pid_t owner, pid;
	unsigned deadline_ms; /* 0: DEADLINE_MS */
	int stop;	      /* Closed: the server unmounts and ends. */
} t;

/* --- a folder as a commit --- */

static void add_object(const struct object *o)
{
	if (t.n == t.cap) {
		t.cap = t.cap ? 2 * t.cap : 64;
		t.objects = realloc(t.objects, t.cap * sizeof(*t.objects));
		OK(t.objects != NULL);
	}
	t.objects[t.n++] = *o;
}

static struct vfs_oid hash_text(const char *text, size_t len)
{
	struct vfs_oid oid;
	git_oid id;

	EQ(git_odb_hash(&id, text ? text : "", len, GIT_OBJECT_BLOB), 0);
	memcpy(oid.b, id.id, sizeof(oid.b));
	return oid;
}

static struct vfs_oid take_file(const char *path)
{
	struct object o = {.path = strdup(path)};
	git_oid id;

	EQ(git_odb_hashfile(&id, path, GIT_OBJECT_BLOB), 0);
	memcpy(o.oid.b, id.id, sizeof(o.oid.b));
	add_object(&o);
	return o.oid;
}

static struct vfs_oid take_link(const char *path, size_t len)
{
	struct object o = {.text = calloc(1, len + 1), .len = len};

	EQ(readlink(path, o.text, len + 1), len);
	o.oid = hash_text(o.text, len);
	add_object(&o);
	return o.oid;
}

static struct vfs_oid take_folder(const char *path);

static void take_entry(const char *folder, const char *name,
		       struct listing_writer *w)
{
	struct vfs_entry entry = {.name = name, .name_len = strlen(name)};
	char path[PATH_LEN];
	struct err e;
	struct stat st;

	OK(snprintf(path, sizeof(path), "%s/%s", folder, name) < PATH_LEN);
	EQ(lstat(path, &st), 0);
	entry.mode = st.st_mode;
	entry.size = S_ISDIR(st.st_mode) ? 0 : (uint64_t)st.st_size;
	if (S_ISDIR(st.st_mode)) {
		entry.oid = take_folder(path);
	} else if (S_ISLNK(st.st_mode)) {
		entry.mode = S_IFLNK;
		entry.oid = take_link(path, entry.size);
	} else if (st.st_size == 0) {
		entry.oid = hash_text("", 0); /* Nobody asks for it. */
	} else {
		entry.oid = take_file(path);
	}
	if (listing_add(w, &entry, &e) < 0)
		FAIL("%s: %s", path, e.msg);
}

static struct vfs_oid take_folder(const char *path)
{
	struct listing_writer w = {0};
	const struct dirent *entry;
	struct object o = {0};
	struct jw text = {0};
	DIR *d = opendir(path);

	OK(d != NULL);
	while ((entry = readdir(d)) != NULL)
		if (strcmp(entry->d_name, ".") != 0 &&
		    strcmp(entry->d_name, "..") != 0)
			take_entry(path, entry->d_name, &w);
	closedir(d);
	EQ(listing_end(&w, &text, NULL), 0);
	o.text = jw_take(&text, &o.len);
	if (o.text == NULL)
		o.text = strdup("");
	o.oid = hash_text(o.text, o.len);
	add_object(&o);
	return o.oid;
}

static int by_oid(const void *a, const void *b)
{
	return memcmp(((const struct object *)a)->oid.b,
		      ((const struct object *)b)->oid.b, VFS_OID_BYTES);
}

static const struct object *find(const struct vfs_oid *oid)
{
	const struct object key = {.oid = *oid};

	return bsearch(&key, t.objects, t.n, sizeof(key), by_oid);
}

/* --- the source --- */

struct answer {
	uv_idle_t idle;
	int status;
	char *data;
	size_t n;
	vfs_bytes_cb cb;
	void *arg;
	struct answer *next; /* While the source is dead. */
};

static struct answer *unanswered;

static void free_answer(uv_handle_t *idle)
{
	struct answer *a = idle->data;

	free(a->data);
	free(a);
}

static void on_idle(uv_idle_t *idle)
{
	struct answer *a = idle->data;

	uv_close((uv_handle_t *)idle, free_answer);
	a->cb(a->status, a->data, a->n, a->arg);
}

static void send_answer(uv_loop_t *loop, struct answer *a)
{
	a->idle.data = a;
	(void)uv_idle_init(loop, &a->idle);
	(void)uv_idle_start(&a->idle, on_idle);
}

/* Once it lives again, a source answers late what it was asked before. */
static void answer(uv_loop_t *loop, struct answer *a)
{
	struct answer *late;

	if (atomic_load(&t.shared->dead)) {
		a->next = unanswered;
		unanswered = a;
		atomic_fetch_add(&t.shared->silent, 1);
		return;
	}
	send_answer(loop, a);
	while ((late = unanswered) != NULL) {
		unanswered = late->next;
		if (atomic_load(&t.shared->gave_up))
			late->status = -FAULT_GUEST_UNREACHABLE;
		send_answer(loop, late);
	}
}

static struct answer *new_answer(vfs_bytes_cb cb, void *arg)
{
	struct answer *a = calloc(1, sizeof(*a));

	OK(a != NULL);
	a->cb = cb;
	a->arg = arg;
	return a;
}

static void source_tree(void *loop, const struct vfs_oid *oid, vfs_bytes_cb cb,
			void *arg)
{
	const struct object *o = find(oid);
	struct answer *a = new_answer(cb, arg);

	atomic_fetch_add(&t.shared->trees, 1);
	if (o == NULL) {
		a->status = -FAULT_FILE_NOT_FOUND;
	} else {
		a->n = o->len;
		a->data = malloc(o->len + 1);
		memcpy(a->data, o->text, o->len);
	}
	if (atomic_load(&t.shared->lie) == LIE_LISTING && a->n > 0)
		a->data[a->n - 1] = '/';
	answer(loop, a);
}

static void read_blob(const struct object *o, uint64_t off, struct answer *a)
{
	int fd;

	if (o->text != NULL) {
		memcpy(a->data, o->text + off, a->n);
		return;
	}
	fd = open(o->path, O_RDONLY | O_CLOEXEC);
	EQ(pread(fd, a->data, a->n, (off_t)off), a->n);
	close(fd);
}

static void source_blob(void *loop, const struct vfs_oid *oid, uint64_t off,
			size_t len, vfs_bytes_cb cb, void *arg)
{
	const struct object *o = find(oid);
	struct answer *a = new_answer(cb, arg);

	OK(o != NULL && len <= LOWER_CHUNK);
	atomic_fetch_add(&t.shared->blobs, 1);
	a->n = len;
	a->data = malloc(len);
	read_blob(o, off, a);
	if (atomic_load(&t.shared->lie) == LIE_CONTENT)
		a->data[0] ^= 1;
	if (atomic_load(&t.shared->lie) == LIE_SHORT)
		a->n--;
	answer(loop, a);
}

static const struct vfs_source_ops source_ops = {
	.tree = source_tree,
	.blob = source_blob,
};

/* --- the server --- */

static void path_of(char out[PATH_LEN], const char *name)
{
	OK(snprintf(out, PATH_LEN, "%s/%s", t.dir, name) < PATH_LEN);
}

static void on_stop(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	vfs_lower_stats(poll->data, &t.shared->stats);
	vfs_lower_close(poll->data, NULL, NULL);
	uv_close((uv_handle_t *)poll, NULL);
	while (unanswered != NULL) {
		struct answer *a = unanswered;

		unanswered = a->next;
		a->cb(-FAULT_GUEST_UNREACHABLE, NULL, 0, a->arg);
		free(a->data);
		free(a);
	}
}

static void serve(int ready, int stop, bool cached)
{
	char at[PATH_LEN], cache[PATH_LEN];
	struct vfs_lower_spec spec = {
		.ops = &source_ops,
		.uid = 0,
		.mtime = 1700000000,
		.deadline_ms = t.deadline_ms > 0 ? t.deadline_ms : DEADLINE_MS,
	};
	int fuse = vfs_fuse_open();
	struct vfs_lower *l;
	uv_poll_t poll;
	uv_loop_t loop;
	struct err e;

	path_of(at, "lower");
	path_of(cache, "cache");
	spec.cache = cached ? cache : NULL;
	spec.source = &loop;
	EQ(uv_loop_init(&loop), 0);
	if (fuse < 0 || vfs_lower_open(&loop, fuse, at, &spec, &l, &e) < 0)
		exit(2);
	(void)uv_poll_init(&loop, &poll, stop);
	poll.data = l;
	(void)uv_poll_start(&poll, UV_READABLE, on_stop);
	EQ(write(ready, "r", 1), 1);
	close(ready);
	EQ(uv_run(&loop, UV_RUN_DEFAULT), 0);
	EQ(uv_loop_close(&loop), 0);
}

static void free_objects(void)
{
	for (size_t i = 0; i < t.n; i++) {
		free(t.objects[i].path);
		free(t.objects[i].text);
	}
	free(t.objects);
	t.objects = NULL;
	t.n = t.cap = 0;
}

static void start(bool cached)
{
	int ready[2], stop[2];
	char c;

	OK(pipe2(ready, O_CLOEXEC) == 0 && pipe2(stop, O_CLOEXEC) == 0);
	t.pid = fork();
	if (t.pid == 0) {
		alarm(0);
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ready[0]);
		close(stop[1]);
		serve(ready[1], stop[0], cached);
		exit(0);
	}
	close(ready[1]);
	close(stop[0]);
	t.stop = stop[1];
	if (read(ready[0], &c, 1) != 1)
		FAIL("the server did not start");
	close(ready[0]);
}

/* It ends only when nothing is left in its loop. */
static void stop(void)
{
	int status;

	close(t.stop);
	EQ(waitpid(t.pid, &status, 0), t.pid);
	EQ(status, 0);
	t.pid = 0;
}

/* --- a case --- */

static int sh(const char *fmt, ...) printf_like(1, 2);

/* Run a command with $S the folder, $L what is served of it, $M an overlay. */
static int sh(const char *fmt, ...)
{
	char script[SH_LEN];
	va_list ap;

	va_start(ap, fmt);
	OK(vsnprintf(script, sizeof(script), fmt, ap) < SH_LEN);
	va_end(ap);
	return system(script);
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	OK(fd >= 0);
	EQ(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* A kernel without user namespaces, or that keeps /dev/fuse from us. */
static void enter_namespaces(void)
{
	char uids[32], gids[32];
	int fuse;

	snprintf(uids, sizeof(uids), "0 %u 1", geteuid());
	snprintf(gids, sizeof(gids), "0 %u 1", getegid());
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		SKIP("no user namespaces: %s", strerror(errno));
	write_file("/proc/self/setgroups", "deny");
	write_file("/proc/self/uid_map", uids);
	write_file("/proc/self/gid_map", gids);
	EQ(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	fuse = vfs_fuse_open();
	if (fuse < 0)
		SKIP("/dev/fuse: %s", strerror(-fuse));
	close(fuse);
}

static void set_var(const char *name, const char *folder, const char *below)
{
	char path[PATH_LEN];

	OK(snprintf(path, sizeof(path), "%s/%s%s%s", t.dir, folder,
		    below[0] != '\0' ? "/" : "", below) < PATH_LEN);
	EQ(setenv(name, path, 1), 0);
}

static void tear_down(void)
{
	free_objects();
	if (getpid() != t.owner)
		return;
	if (t.pid > 0) {
		close(t.stop);
		(void)waitpid(t.pid, NULL, 0);
	}
	(void)sh("umount -l $M $S 2>/dev/null; rm -rf '%s'", t.dir);
}

/* @make is a script that fills $S. */
static void set_up(const char *make, bool cached)
{
	enter_namespaces();
	umask(022);
	snprintf(t.dir, sizeof(t.dir), "/tmp/test_lower.XXXXXX");
	OK(mkdtemp(t.dir) != NULL);
	t.owner = getpid();
	t.shared = mmap(NULL, sizeof(*t.shared), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	OK(t.shared != MAP_FAILED);
	(void)atexit(tear_down);
	set_var("S", "src", "");
	set_var("M", "merged", "");
	set_var("D", ".", "");
	EQ(sh("mkdir $S $D/lower $D/upper $D/work $M && cd $S && { %s; }",
	      make),
	   0);
	EQ(git_libgit2_init(), 1);
	t.commit = take_folder(getenv("S"));
	qsort(t.objects, t.n, sizeof(*t.objects), by_oid);
	vfs_oid_format(&t.commit, t.hex);
	set_var("L", "lower", t.hex);
	start(cached);
}

static void mount_overlay(void)
{
	char options[2 * PATH_LEN];

	snprintf(options, sizeof(options),
		 "lowerdir=%s,upperdir=%s/upper,workdir=%s/work,userxattr",
		 getenv("L"), t.dir, t.dir);
	if (mount("overlay", getenv("M"), "overlay", 0, options) < 0)
		SKIP("no overlay in a user namespace: %s", strerror(errno));
}

static unsigned trees(void)
{
	return atomic_load(&t.shared->trees);
}

static unsigned blobs(void)
{
	return atomic_load(&t.shared->blobs);
}

static int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static const char *in_lower(const char *name)
{
	static char path[PATH_LEN];

	OK(snprintf(path, sizeof(path), "%s/%s", getenv("L"), name) < PATH_LEN);
	return path;
}

/* Return: how many bytes, or -errno. */
static int read_lower(const char *name, char *out, size_t cap)
{
	int fd = open(in_lower(name), O_RDONLY | O_CLOEXEC), code;
	ssize_t n = fd < 0 ? -1 : read(fd, out, cap);

	code = errno;
	if (fd >= 0)
		close(fd);
	return n < 0 ? -code : (int)n;
}

/* --- facts --- */

#define ODD_TREE                                                           \
	"mkdir -p a/b/c empty .git/objects 'name with\nnewline' && "       \
	"echo 1 >a/one && echo 2 >a/b/two && chmod 600 a/one && "          \
	"chmod 755 a/b/two && : >a/nothing && ln -s ../a/one a/b/link && " \
	"ln -s nowhere dangling && echo ref >.git/HEAD && "                \
	"printf x >\"$(printf '\\377\\001')\" && echo y >'git~1' && "      \
	"echo dash >./-rf && head -c 300000 /dev/urandom >a/random && "    \
	"chmod 700 a/b/c && echo z >.gitmodules && chmod 4755 a/b/two"

#define LIST  "find . -printf '%%p %%y %%m %%l\\0' | sort -z"
#define SIZES "find . ! -type d -printf '%%p %%s\\0' | sort -z"

TEST(a_commit_is_seen_as_it_is)
{
	set_up(ODD_TREE, true);
	EQ(sh("cd $S && " LIST " >$D/want && " SIZES " >>$D/want"), 0);
	EQ(sh("cd $L && " LIST " >$D/got && " SIZES " >>$D/got"), 0);
	EQ(sh("cmp $D/want $D/got"), 0);
	EQ(sh("diff -r --no-dereference $S $L"), 0);
	EQ(sh("ls $D/lower | grep -qx %s", t.hex), 0);
	stop();
}

/* The kernel keeps both: a server that is stopped is not missed. */
TEST(a_name_is_looked_up_once)
{
	struct stat st;

	set_up("mkdir dir && echo 1 >dir/one", true);
	EQ(stat(in_lower("dir/one"), &st), 0);
	EQ(stat(in_lower("dir/none"), &st), -1);
	EQ(kill(t.pid, SIGSTOP), 0);
	EQ(stat(in_lower("dir/one"), &st), 0);
	EQ(stat(in_lower("dir/none"), &st), -1);
	EQ(errno, ENOENT);
	EQ(kill(t.pid, SIGCONT), 0);
	stop();
}

TEST(nothing_can_be_changed)
{
	struct stat st;

	set_up("echo 1 >file && mkdir dir", true);
	EQ(open(in_lower("file"), O_WRONLY), -1);
	EQ(errno, EROFS);
	EQ(open(in_lower("new"), O_WRONLY | O_CREAT, 0600), -1);
	EQ(errno, EROFS);
	EQ(unlink(in_lower("file")), -1);
	EQ(errno, EROFS);
	EQ(rmdir(in_lower("dir")), -1);
	EQ(errno, EROFS);
	EQ(chmod(in_lower("file"), 0777), -1);
	EQ(errno, EROFS);
	EQ(stat(in_lower("file"), &st), 0);
	EQ(st.st_mtim.tv_sec, 1700000000);
	EQ(st.st_uid, 0);
	EQ(stat(in_lower("dir"), &st), 0);
	OK(st.st_nlink >= 2);
	stop();
}

TEST(what_is_no_commit_is_not_there)
{
	unsigned asked;

	set_up("echo 1 >file", true);
	EQ(sh("! ls $D/lower/%040d 2>/dev/null", 7), 0);
	asked = trees();
	OK(asked >= 1);
	EQ(sh("! ls $D/lower/file $D/lower/x 2>/dev/null"), 0);
	EQ(trees(), asked);
	EQ(sh("test -z \"$(ls -A $D/lower)\" && ls $L >/dev/null"), 0);
	EQ(sh("test \"$(ls -A $D/lower)\" = %s", t.hex), 0);
	stop();
}

TEST(each_object_is_fetched_once)
{
	set_up("for i in 1 2 3 4 5 6 7 8; do mkdir $i && "
	       "for j in 1 2 3 4; do echo $i.$j >$i/$j; done; done; "
	       "head -c 900000 /dev/urandom >random",
	       true);
	EQ(sh("for i in 1 2 3 4 5 6 7 8; do "
	      "find $L -type f -exec cat {} + | wc -c >$D/n$i & done; wait; "
	      "cat $D/n? | sort -u | wc -l | grep -qx 1"),
	   0);
	EQ(trees(), 9);
	EQ(blobs(), 33);
	EQ(sh("find $L -ls >/dev/null; cat $L/3/*; test ! -e $L/no"), 0);
	EQ(trees(), 9);
	EQ(blobs(), 33);
	stop();
	EQ(t.shared->stats.trees, 9);
}

TEST(a_large_file_comes_in_chunks)
{
	char c;
	int fd;

	set_up("head -c 157286403 /dev/urandom >large", true);
	fd = open(in_lower("large"), O_RDONLY | O_CLOEXEC);
	EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM), 0);
	EQ(pread(fd, &c, 1, 100 << 20), 1);
	EQ(blobs(), 1);
	EQ(sh("cmp $S/large $L/large & cmp $S/large $L/large && wait $!"), 0);
	EQ(blobs(), 151);
	close(fd);
	stop();
	EQ(sh("cmp $S/large $(find $D/cache -size +1M)"), 0);

	start(true);
	EQ(sh("cmp $S/large $L/large"), 0);
	EQ(blobs(), 151);
	stop();
}

TEST(all_works_without_a_cache)
{
	set_up(ODD_TREE "&& head -c 5000001 /dev/urandom >large", false);
	EQ(sh("diff -r --no-dereference $S $L"), 0);
	EQ(sh("cmp $S/large $L/large"), 0);
	stop();
}

TEST(the_cache_is_used_and_not_trusted)
{
	char buf[64];

	set_up("echo one >1; echo two >2", true);
	EQ(sh("cat $L/1 $L/2 >/dev/null"), 0);
	EQ(blobs(), 2);
	stop();
	EQ(sh("cd $D/cache && f=$(grep -rl one .) && echo bad >$f"), 0);
	start(true);
	EQ(read_lower("2", buf, sizeof(buf)), 4);
	EQ(blobs(), 2);
	EQ(read_lower("1", buf, sizeof(buf)), 4);
	EQ(memcmp(buf, "one\n", 4), 0);
	EQ(blobs(), 3);
	EQ(trees(), 1);
	stop();
}

TEST(a_killed_server_leaves_no_half_objects)
{
	set_up("head -c 60000000 /dev/urandom >large; "
	       "for i in $(seq 200); do echo $i >$i; done",
	       true);
	(void)sh("cat $L/* >/dev/null 2>&1 &");
	while (blobs() < 30)
		(void)poll(NULL, 0, 1);
	(void)kill(t.pid, SIGKILL);
	EQ(waitpid(t.pid, NULL, 0), t.pid);
	close(t.stop);
	EQ(sh("umount -l $D/lower"), 0);
	start(true);
	EQ(sh("diff -r $S $L"), 0);
	stop();
	EQ(sh("test -z \"$(ls -A $D/cache/tmp)\""), 0);
}

TEST(numbers_stay_the_same)
{
	set_up(ODD_TREE, true);
	EQ(sh("cd $L && find . -printf '%%i %%p\\n' | sort >$D/1"), 0);
	stop();
	start(true);
	EQ(sh("cd $L && find . | tac | xargs -d '\\n' stat >/dev/null 2>&1;"
	      "find . -printf '%%i %%p\\n' | sort >$D/2; cmp $D/1 $D/2"),
	   0);
	EQ(sh("cd $L && test \"$(ls -i a | sed -n 's/ *\\([0-9]*\\) one/\\1/p')\""
	      " = \"$(stat -c %%i a/one)\""),
	   0);
	stop();
}

TEST(a_dead_source_is_an_error_in_time)
{
	char buf[16];
	int64_t began;

	set_up("echo 1 >one; echo 2 >two; mkdir dir", true);
	EQ(read_lower("one", buf, sizeof(buf)), 2);
	atomic_store(&t.shared->dead, true);
	began = now_ms();
	EQ(read_lower("two", buf, sizeof(buf)), -EIO);
	OK(now_ms() - began >= DEADLINE_MS - 10);
	OK(now_ms() - began < 20 * DEADLINE_MS);
	EQ(sh("! ls $L/dir 2>/dev/null"), 0);
	EQ(read_lower("one", buf, sizeof(buf)), 2);
	atomic_store(&t.shared->dead, false);
	EQ(read_lower("two", buf, sizeof(buf)), 2);
	EQ(sh("ls $L/dir"), 0);
	stop();
}

/* A process that is killed does not wait for the deadline. */
TEST(a_killed_reader_ends_at_once)
{
	int64_t began;
	pid_t pid;

	t.deadline_ms = LONG_DEADLINE_MS;
	set_up("mkdir dir", true);
	EQ(sh("ls $L >/dev/null"), 0);
	atomic_store(&t.shared->dead, true);
	pid = fork();
	if (pid == 0) {
		(void)opendir(in_lower("dir"));
		(void)access(in_lower("dir/x"), F_OK);
		_exit(0);
	}
	while (atomic_load(&t.shared->silent) == 0)
		(void)poll(NULL, 0, 1);
	began = now_ms();
	(void)kill(pid, SIGKILL);
	EQ(waitpid(pid, NULL, 0), pid);
	OK(now_ms() - began < LONG_DEADLINE_MS / 2);
	stop();
}

static void on_signal(int sig)
{
	(void)sig;
}

/* Nor does one that only gets a signal see anything of it, and it can still be
 * killed later. */
TEST(a_signal_disturbs_no_reader)
{
	struct sigaction sa = {.sa_handler = on_signal};
	int64_t began;
	int status;
	pid_t pid;

	t.deadline_ms = LONG_DEADLINE_MS;
	set_up("mkdir dir other; : >other/file", true);
	EQ(sh("ls $L >/dev/null"), 0);
	atomic_store(&t.shared->dead, true);
	EQ(sigaction(SIGUSR1, &sa, NULL), 0);
	pid = fork();
	if (pid == 0) {
		if (opendir(in_lower("dir")) == NULL ||
		    access(in_lower("dir/x"), F_OK) == 0 || errno != ENOENT)
			_exit(1);
		while (!atomic_load(&t.shared->dead))
			(void)poll(NULL, 0, 1);
		(void)access(in_lower("other/x"), F_OK);
		_exit(0);
	}
	while (atomic_load(&t.shared->silent) == 0)
		(void)poll(NULL, 0, 1);
	EQ(kill(pid, SIGUSR1), 0);
	atomic_store(&t.shared->dead, false);
	EQ(sh("ls $D/lower/%040d 2>/dev/null", 1) != 0, 1);
	atomic_store(&t.shared->dead, true);
	while (atomic_load(&t.shared->silent) == 1)
		(void)poll(NULL, 0, 1);
	EQ(kill(pid, SIGUSR1), 0);
	(void)poll(NULL, 0, 10);
	began = now_ms();
	(void)kill(pid, SIGTERM);
	EQ(waitpid(pid, &status, 0), pid);
	OK(WIFSIGNALED(status));
	OK(now_ms() - began < LONG_DEADLINE_MS / 2);
	stop();
}

TEST(a_server_ends_with_readers_waiting)
{
	char buf[16];
	pid_t pid;
	int status;

	set_up("echo 1 >one", true);
	EQ(sh("ls $L >/dev/null"), 0);
	atomic_store(&t.shared->dead, true);
	pid = fork();
	if (pid == 0)
		_exit(read_lower("one", buf, sizeof(buf)) == -EIO);
	while (atomic_load(&t.shared->silent) == 0)
		(void)poll(NULL, 0, 1);
	stop();
	EQ(waitpid(pid, &status, 0), pid);
	EQ(WEXITSTATUS(status), 1);
}

TEST(a_source_that_lies_is_an_error)
{
	char buf[16];

	set_up("echo 1 >one; mkdir dir; echo 2 >dir/two", true);
	EQ(sh("ls $L >/dev/null"), 0);
	atomic_store(&t.shared->lie, LIE_CONTENT);
	EQ(read_lower("one", buf, sizeof(buf)), -EIO);
	atomic_store(&t.shared->lie, LIE_SHORT);
	EQ(read_lower("one", buf, sizeof(buf)), -EIO);
	atomic_store(&t.shared->lie, LIE_LISTING);
	EQ(read_lower("dir/two", buf, sizeof(buf)), -EIO);
	atomic_store(&t.shared->lie, LIE_NOT);
	EQ(read_lower("one", buf, sizeof(buf)), 2);
	EQ(read_lower("dir/two", buf, sizeof(buf)), 2);
	stop();
}

/* --- what is asked for ahead --- */

/* Files 100 to 199 of a folder each, and folders of one file. */
#define MANY                                                         \
	"mkdir f d && for i in $(seq 100 199); do echo $i >f/$i && " \
	"mkdir d/$i && echo $i >d/$i/file; done"

static int read_number(unsigned number)
{
	char name[32], buf[16];
	int n;

	snprintf(name, sizeof(name), "f/%u", number);
	n = read_lower(name, buf, sizeof(buf));
	if (n > 0)
		EQ((unsigned)atoi(buf), number);
	return n;
}

static void wait_for(const atomic_uint *count, unsigned n)
{
	while (atomic_load(count) < n)
		(void)poll(NULL, 0, 1);
}

TEST(who_reads_in_order_is_read_for)
{
	set_up(MANY, true);
	for (unsigned i = 100; i < 102; i++)
		EQ(read_number(i), 4);
	EQ(blobs(), 2);
	EQ(read_number(102), 4);
	wait_for(&t.shared->blobs, 3 + AHEAD_MIN);
	for (unsigned i = 103; i < 110; i++)
		EQ(read_number(i), 4);
	OK(blobs() > 110 - 100);
	EQ(sh("cat $L/f/* >/dev/null"), 0);
	EQ(blobs(), 100);
	stop();
	start(true);
	EQ(sh("cat $L/f/* >/dev/null"), 0);
	EQ(blobs(), 100);
	stop();
}

TEST(who_walks_in_order_is_walked_for)
{
	set_up(MANY, true);
	EQ(sh("ls $L/d/100 $L/d/101 >/dev/null"), 0);
	EQ(trees(), 4);
	EQ(sh("ls $L/d/102 >/dev/null"), 0);
	wait_for(&t.shared->trees, 5 + AHEAD_MIN);
	EQ(sh("find $L >/dev/null"), 0);
	EQ(trees(), 103);
	EQ(blobs(), 0);
	stop();
}

TEST(who_picks_files_is_not_read_for)
{
	unsigned n = 0;

	set_up(MANY, true);
	for (unsigned i = 0; i < 12; i++, n++)
		EQ(read_number(100 + i * 37 % 100), 4);
	EQ(sh("ls $L/f >/dev/null"), 0);
	EQ(blobs(), n);
	stop();
}

/* Return: how many entries the folder has, or -errno.  Of a folder, unlike of a
 * file, the kernel asks once. */
static int list_number(unsigned number)
{
	const struct dirent *entry;
	char name[32];
	int n = 0;
	DIR *d;

	snprintf(name, sizeof(name), "d/%u", number);
	d = opendir(in_lower(name));
	OK(d != NULL);
	errno = 0;
	while ((entry = readdir(d)) != NULL)
		n += entry->d_name[0] != '.';
	if (errno != 0)
		n = -errno;
	closedir(d);
	return n;
}

/* List it in a process. */
static pid_t lister_of(unsigned number, int want)
{
	pid_t pid = fork();

	if (pid == 0) {
		EQ(list_number(number), want);
		_exit(0);
	}
	return pid;
}

static void ended_well(pid_t pid)
{
	int status;

	EQ(waitpid(pid, &status, 0), pid);
	EQ(status, 0);
}

/* A source that is dead has been asked for folders of d ahead. */
static pid_t ask_a_dead_source(void)
{
	pid_t pid;

	set_up(MANY, true);
	EQ(list_number(100), 1);
	EQ(list_number(101), 1);
	atomic_store(&t.shared->dead, true);
	pid = lister_of(102, -EIO);
	wait_for(&t.shared->silent, 1 + AHEAD_MIN);
	return pid;
}

TEST(what_was_asked_ahead_has_its_readers_time)
{
	pid_t first = ask_a_dead_source();
	int64_t began;

	(void)poll(NULL, 0, DEADLINE_MS / 2);
	began = now_ms();
	EQ(list_number(103), -EIO);
	OK(now_ms() - began >= DEADLINE_MS - 10);
	OK(now_ms() - began < 20 * DEADLINE_MS);
	ended_well(first);
	atomic_store(&t.shared->dead, false);
	EQ(sh("diff -r $S $L"), 0);
	stop();
}

TEST(what_failed_ahead_is_asked_for_its_reader)
{
	pid_t first = ask_a_dead_source(), second;

	EQ(access(in_lower("d/103"), F_OK), 0);
	second = lister_of(103, 1);
	while (sh("grep -q 'State:.*[SD] (' /proc/%d/status", second) != 0)
		(void)poll(NULL, 0, 1);
	atomic_store(&t.shared->gave_up, true);
	atomic_store(&t.shared->dead, false);
	EQ(list_number(150), 1);
	ended_well(first);
	ended_well(second);
	stop();
}

/* The second folder is larger than what may stay in memory. */
TEST(a_folder_may_be_wide)
{
	set_up("mount -t tmpfs x . && cd $S && mkdir w l && (cd w && seq 100000 | xargs touch) && (cd l && "
	       "seq -f $(printf 'n%0180d' 0)%.0f 80000 | xargs touch)",
	       false);
	EQ(sh("test $(ls -f $L/w | wc -l) = 100002"), 0);
	EQ(sh("cd $S/w && ls >$D/want && cd $L/w && ls | cmp $D/want -"), 0);
	EQ(sh("test $(find $L/w -type f -newermt 2001-01-01 | wc -l) = 100000"),
	   0);
	EQ(trees(), 2);
	EQ(sh("test $(ls -f $L/l | wc -l) = 80002"), 0);
	EQ(sh("test -f $L/w/77777 && test ! -e $L/w/none"), 0);
	OK(trees() >= 4);
	stop();
	OK(t.shared->stats.dirs_bytes < 2 * LOWER_DIRS_BYTES);
}

TEST(folders_may_be_deep)
{
	set_up("p=d; for i in $(seq 199); do p=$p/d; done; mkdir -p $p && "
	       "echo deep >$p/file",
	       true);
	EQ(sh("cd $L && cat $(find . -type f) | grep -qx deep"), 0);
	EQ(sh("diff -r $S $L"), 0);
	EQ(trees(), 201);
	stop();
}

TEST(a_file_can_be_mapped)
{
	char *map;
	int fd;

	set_up("seq 100000 >numbers", true);
	fd = open(in_lower("numbers"), O_RDONLY | O_CLOEXEC);
	map = mmap(NULL, 588895, PROT_READ, MAP_PRIVATE, fd, 0);
	OK(map != MAP_FAILED);
	EQ(memcmp(map + 588895 - 7, "100000\n", 7), 0);
	EQ(memcmp(map, "1\n2\n", 4), 0);
	EQ(munmap(map, 588895), 0);
	close(fd);
	stop();
}

TEST(an_overlay_takes_what_is_written)
{
	set_up("mkdir dir && echo 1 >dir/one && echo 2 >two && echo 3 >three",
	       true);
	mount_overlay();
	EQ(sh("cd $M && echo more >>two && rm three && mv dir moved && "
	      "echo new >moved/new && mkdir dir && chmod 700 dir"),
	   0);
	EQ(sh("cd $M && test \"$(cat two)\" = \"$(printf '2\\nmore')\" && "
	      "test ! -e three && cat moved/one && test -z \"$(ls dir)\""),
	   0);
	EQ(sh("test -c $D/upper/three && test -f $D/upper/moved/one"), 0);
	EQ(sh("rm -rf $M/* && test -z \"$(ls $M)\" && diff -r $S $L"), 0);
	stop();
}

TEST(git_finds_nothing_changed_in_an_overlay)
{
	if (system("command -v git >/dev/null") != 0)
		SKIP("no git");
	set_up("export HOME=$D && git init -q . && git config user.name x && "
	       "git config user.email x@x && mkdir a && seq 1000 >a/n && "
	       "seq 50 | xargs -I{} cp a/n a/{} && git add . && "
	       "git commit -qm 1",
	       true);
	mount_overlay();
	EQ(sh("export HOME=$D && cd $M && test -z \"$(git status -s)\""), 0);
	EQ(sh("export HOME=$D && cd $M && echo x >>a/7 && rm a/8 && "
	      "git add -A && git commit -qm 2 && "
	      "test -z \"$(git status -s)\" && git fsck"),
	   0);
	EQ(sh("umount $M"), 0);
	stop();
}

TESTS(CASE(a_commit_is_seen_as_it_is), CASE(a_name_is_looked_up_once),
      CASE(nothing_can_be_changed), CASE(what_is_no_commit_is_not_there),
      CASE(each_object_is_fetched_once), CASE(a_large_file_comes_in_chunks),
      CASE(all_works_without_a_cache), CASE(the_cache_is_used_and_not_trusted),
      CASE(a_killed_server_leaves_no_half_objects), CASE(numbers_stay_the_same),
      CASE(a_dead_source_is_an_error_in_time),
      CASE(a_killed_reader_ends_at_once), CASE(a_signal_disturbs_no_reader),
      CASE(a_server_ends_with_readers_waiting),
      CASE(a_source_that_lies_is_an_error),
      CASE(who_reads_in_order_is_read_for),
      CASE(who_walks_in_order_is_walked_for),
      CASE(who_picks_files_is_not_read_for),
      CASE(what_was_asked_ahead_has_its_readers_time),
      CASE(what_failed_ahead_is_asked_for_its_reader),
      CASE(a_folder_may_be_wide), CASE(folders_may_be_deep),
      CASE(a_file_can_be_mapped), CASE(an_overlay_takes_what_is_written),
      CASE(git_finds_nothing_changed_in_an_overlay))
