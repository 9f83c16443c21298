// SPDX-License-Identifier: Apache-2.0
/*
 * fsremove.c - Remove a file, a link or a folder
 *
 *	remove {path, recursive: false, etag} -> {}
 *
 * Below a folder nothing is resolved by a path: we go down by descriptors that
 * follow no link and enter no other file system, and up by "..", which must be
 * the folder that we came from, or somebody moves the tree while it is removed
 * and we stop.  So only one descriptor is open, however deep it goes.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/fsat.h"
#include "guest/fswrite.h"
#include "guest/limits.h"
#include "vfs/path.h"

#define FOLDERS 64 /* Names kept at a time. */

struct removal {
	struct fscall *call;
	const char *path; /* For words. */
	int dir;	  /* Where we are; readable. */
};

static int open_below(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

static int fail(const struct removal *m, struct err *e)
{
	if (errno != EXDEV && errno != EBUSY)
		return fsat_fail(errno, m->path, e);
	return err_set(e, -FAULT_FORBIDDEN, "/%.*s: something is mounted in it",
		       ERR_MSG_MAX / 2, m->path);
}

static int move_to(struct removal *m, int fd)
{
	if (fd < 0)
		return -1;
	close(m->dir);
	m->dir = fd;
	return 0;
}

static int go_up(struct removal *m, const struct stat *to)
{
	autoclose int fd =
		openat(m->dir, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	errno = EBUSY;
	if (st.st_dev != to->st_dev || st.st_ino != to->st_ino)
		return -1;
	return move_to(m, take_fd(&fd));
}

static int empty(struct removal *m, unsigned depth, struct err *e);

static int remove_folder(struct removal *m, const char *name, unsigned depth,
			 struct err *e)
{
	struct stat here;

	if (depth == FS_DEPTH_MAX)
		return err_set(e, -FAULT_MESSAGE_TOO_LARGE,
			       "/%.*s: more than %u folders in folders",
			       ERR_MSG_MAX / 2, m->path, FS_DEPTH_MAX);
	if (fstat(m->dir, &here) < 0 ||
	    move_to(m, open_below(m->dir, name)) < 0)
		return fail(m, e);
	if (empty(m, depth + 1, e) < 0)
		return e->code;
	if (go_up(m, &here) < 0 || unlinkat(m->dir, name, AT_REMOVEDIR) < 0)
		return fail(m, e);
	return 0;
}

/* Remove what is in the folder we are in, but for folders: of these, up to
 * FOLDERS names.  Return: their number, or the failure. */
static int empty_once(struct removal *m, char (*names)[VFS_PATH_NAME_MAX + 1],
		      struct err *e)
{
	int fd = openat(m->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	struct dirent *en;

	if (d == NULL) {
		close_fd(&fd);
		return fail(m, e);
	}
	while (n >= 0 && n < FOLDERS && (en = readdir(d)) != NULL) {
		if (strcmp(en->d_name, ".") == 0 ||
		    strcmp(en->d_name, "..") == 0)
			continue;
		if (atomic_load(&m->call->gone))
			n = err_set(e, -FAULT_CANCELLED, "nobody waits for it");
		else if (en->d_type == DT_DIR)
			memcpy(names[n++], en->d_name, strlen(en->d_name) + 1);
		else if (unlinkat(m->dir, en->d_name, 0) < 0 && errno != ENOENT)
			n = fail(m, e);
	}
	closedir(d);
	return n;
}

static int empty(struct removal *m, unsigned depth, struct err *e)
{
	autofree char(*names)[VFS_PATH_NAME_MAX + 1] =
		malloc(FOLDERS * sizeof(*names));
	int n;

	if (names == NULL)
		return err_set(e, -ENOMEM, "remove: out of memory");
	while ((n = empty_once(m, names, e)) > 0)
		for (int i = 0; i < n; i++)
			if (remove_folder(m, names[i], depth, e) < 0)
				return e->code;
	return n;
}

/* With the lock: what somebody expects to be there is not removed meanwhile. */
static int unlink_locked(struct fscall *c, int dir, const char *name,
			 const struct fsexpect *expect, struct err *e)
{
	struct stat st;

	pthread_mutex_lock(&c->tree->lock);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		fsat_fail(errno, name, e);
	else if (fsexpect_check(expect, &st, name, e) == 0 &&
		 unlinkat(dir, name, S_ISDIR(st.st_mode) ? AT_REMOVEDIR : 0) <
			 0)
		fsat_fail(errno, name, e);
	pthread_mutex_unlock(&c->tree->lock);
	return e->code;
}

static int remove_path(struct fscall *c, const struct vfs_path *path,
		       const struct fsexpect *expect, bool recursive,
		       struct err *e)
{
	struct removal m = {.call = c, .path = path->text};
	const char *name;
	autoclose int dir = fsat_parent(c->root, path->text, false, &name, e);
	int r;

	if (dir < 0)
		return dir;
	r = unlink_locked(c, dir, name, expect, e);
	if (r != -FAULT_HAS_CHILDREN || !recursive)
		return r;
	e->code = 0;
	m.dir = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (m.dir < 0)
		return fail(&m, e);
	r = remove_folder(&m, name, 0, e);
	close(m.dir);
	return r;
}

int fs_remove_all(struct fscall *c, const struct vfs_path *path, struct err *e)
{
	const struct fsexpect whatever = {0};

	return remove_path(c, path, &whatever, true, e);
}

int fs_remove(struct fscall *c, struct err *e)
{
	struct fsexpect expect;
	struct vfs_path path;

	if (vfs_path_get(&path, c->in, "path", e) < 0 ||
	    fsexpect_read(&expect, c->in, e) < 0 ||
	    remove_path(c, &path, &expect,
			jv_bool(jv_get(c->in, "recursive"), false), e) < 0)
		return e->code;
	jw_obj(&c->out);
	jw_obj_end(&c->out);
	return 0;
}
