// SPDX-License-Identifier: Apache-2.0
/*
 * sqlcopy.c - The databases of a session, for its fork
 *
 *	the VM runs:	the guest copies them for the fork, in its own disk;
 *			if the fork is of another VM, they move there
 *	it is off:	hibd copies the files, with what a crash has left beside
 *			them, which SQLite needs to roll back
 */
#include "host/daemon/sqlcopy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX  (128u << 20) /* Bytes: a database, or its journal. */
#define FILES_MAX 32
#define NAME_LEN  80 /* Of a file, at most. */
#define PIECE	  (256u << 10)

/* --- folders ------------------------------------------------------------ */

/* The guest may have put anything there: a folder, or an error. */
static int open_folder(int at, const char *name)
{
	int fd = openat(at, name,
			O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

/* disk/state of a VM, which is ours to make. */
static int open_state(const struct hibd *d, const char *vm)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s/disk/state", d->home.vms, vm);
	return open_folder(AT_FDCWD, path);
}

/* What is of a session there.  -ENOENT: nothing. */
static int open_session(const struct hibd *d, const char *vm,
			const char *session)
{
	autoclose int state = open_state(d, vm);
	autoclose int all = state < 0 ? state : open_folder(state, "sql");

	return all < 0 ? all : open_folder(all, session);
}

/* As the guest makes them, for the owner of @like. */
static int make_folder(int at, const char *name, const struct stat *like)
{
	autoclose int fd = -1;

	if (mkdirat(at, name, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open_folder(at, name);
	if (fd < 0)
		return fd;
	if (geteuid() == 0 && fchown(fd, like->st_uid, like->st_gid) < 0)
		return -errno;
	return take_fd(&fd);
}

/* --- files -------------------------------------------------------------- */

/* NAME.db or NAME.db-journal. */
static bool is_database(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyz"
				"ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

	return n > 0 && strlen(name) <= NAME_LEN &&
	       (strcmp(name + n, ".db") == 0 ||
		strcmp(name + n, ".db-journal") == 0);
}

static int copy_bytes(int from, int to)
{
	autofree char *piece = malloc(PIECE);
	uint64_t all = 0;
	ssize_t n;

	if (piece == NULL)
		return -ENOMEM;
	while ((n = read(from, piece, PIECE)) > 0) {
		all += (uint64_t)n;
		if (all > FILE_MAX)
			return -EFBIG;
		if (write(to, piece, (size_t)n) != n)
			return errno != 0 ? -errno : -ENOSPC;
	}
	if (n < 0 || fsync(to) < 0)
		return -errno;
	return 0;
}

/* What is no file is passed over. */
static int copy_file(int from, int to, const char *name,
		     const struct stat *like)
{
	autoclose int in = openat(
		from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	autoclose int out = -1;
	struct stat st;

	if (in < 0 || fstat(in, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	if (st.st_size > FILE_MAX)
		return -EFBIG;
	out = openat(to, name,
		     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		     0600);
	if (out < 0)
		return -errno;
	if (geteuid() == 0 && fchown(out, like->st_uid, like->st_gid) < 0)
		return -errno;
	errno = 0;
	return copy_bytes(in, out);
}

/* Do something with each database in a folder. */
static int each_file(int folder,
		     int (*act)(int folder, const char *name, void *arg),
		     void *arg)
{
	int fd = fcntl(folder, F_DUPFD_CLOEXEC, 0), r = 0;
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *en;
	unsigned n = 0;

	if (d == NULL)
		return -errno;
	rewinddir(d);
	while (r == 0 && n < FILES_MAX && (en = readdir(d)) != NULL)
		if (is_database(en->d_name)) {
			n++;
			r = act(folder, en->d_name, arg);
		}
	closedir(d);
	return r;
}

struct target {
	int fd;
	struct stat like;
};

static int copy_each(int folder, const char *name, void *arg)
{
	const struct target *t = arg;

	return copy_file(folder, t->fd, name, &t->like);
}

static int remove_each(int folder, const char *name, void *arg)
{
	(void)arg;
	(void)unlinkat(folder, name, 0);
	return 0;
}

/* Remove a folder of databases, if it is there. */
static void remove_folder(int at, const char *name)
{
	autoclose int fd = open_folder(at, name);

	if (fd < 0)
		return;
	(void)each_file(fd, remove_each, NULL);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

/* --- on a thread of the pool -------------------------------------------- */

/* Into a folder whose name begins with a dot, then it gets its own.  What an
 * earlier attempt has left is in the way. */
static int copy_into(const struct sqlcopy *c, int from)
{
	autoclose int state = open_state(c->d, c->to_vm), all = -1;
	struct target t = {.fd = -1};
	char half[ID_MAX + 1];
	int r;

	if (state < 0 || fstat(state, &t.like) < 0)
		return state < 0 ? state : -errno;
	all = make_folder(state, "sql", &t.like);
	if (all < 0)
		return all;
	snprintf(half, sizeof(half), ".%s", c->to);
	remove_folder(all, half);
	remove_folder(all, c->to);
	t.fd = make_folder(all, half, &t.like);
	if (t.fd < 0)
		return t.fd;
	r = each_file(from, copy_each, &t);
	if (r == 0 && (fsync(t.fd) < 0 || renameat(all, half, all, c->to) < 0))
		r = -errno;
	close(t.fd);
	return r;
}

/* The copies of the guest have been moved. */
static void remove_made(const struct sqlcopy *c)
{
	autoclose int state = open_state(c->d, c->vm);
	autoclose int all = state < 0 ? state : open_folder(state, "sql");

	if (all >= 0)
		remove_folder(all, c->to);
}

static void sqlcopy_work(uv_work_t *w)
{
	struct sqlcopy *c = container_of(w, struct sqlcopy, work);
	autoclose int from =
		open_session(c->d, c->vm, c->made ? c->to : c->session);
	int r = 0;

	if (c->err.code < 0)
		return;
	/* The guest need not have left anything to be copied. */
	if (from < 0 && from != -ENOENT)
		r = from;
	else if (from >= 0)
		r = copy_into(c, from);
	if (from >= 0 && c->made)
		remove_made(c);
	if (r < 0)
		err_set(&c->err, r, "databases of %s: %s", c->session,
			strerror(-r));
}

/* --- on the loop -------------------------------------------------------- */

static void sqlcopy_on_worked(uv_work_t *w, int status)
{
	struct sqlcopy *c = container_of(w, struct sqlcopy, work);
	struct vm *vm = vm_find(c->d, c->vm);

	if (status < 0)
		err_set(&c->err, status, "databases of %s: %s", c->session,
			uv_strerror(status));
	if (c->locked && vm != NULL)
		vm_unlock(vm);
	c->done(c, &c->err);
}

static void copy_files(struct sqlcopy *c)
{
	int r = uv_queue_work(&c->d->loop, &c->work, sqlcopy_work,
			      sqlcopy_on_worked);

	if (r < 0)
		sqlcopy_on_worked(&c->work, r);
}

static void on_made(const char *body, size_t len, const struct err *e,
		    void *arg)
{
	struct sqlcopy *c = arg;

	(void)body;
	(void)len;
	c->made = true;
	if (e->code < 0 || strcmp(c->vm, c->to_vm) == 0)
		c->done(c, e);
	else
		copy_files(c);
}

static void on_awake(struct vm *vm, const struct err *e, void *arg)
{
	struct sqlcopy *c = arg;
	autojw struct jw w = {0};

	if (e->code < 0) {
		c->done(c, e);
		return;
	}
	jw_obj(&w);
	jw_kstr(&w, "session", c->session);
	jw_kstr(&w, "to", c->to);
	jw_obj_end(&w);
	link_call(vm_link(vm), "sql.fork", w.buf, on_made, c);
}

static bool has_databases(const struct sqlcopy *c)
{
	autoclose int fd = open_session(c->d, c->vm, c->session);

	return fd >= 0 || fd != -ENOENT;
}

bool sqlcopy_begin(struct sqlcopy *c)
{
	struct vm *vm = vm_find(c->d, c->vm);

	if (vm == NULL || !has_databases(c))
		return false;
	if (!vm_is_off(vm)) {
		vm_need(vm, on_awake, c);
		return true;
	}
	c->locked = !vm_is_locked(vm);
	if (c->locked)
		vm_lock(vm);
	else
		err_set(&c->err, -FAULT_NOT_READY,
			"files of %s are being restored", c->vm);
	copy_files(c);
	return true;
}
