// SPDX-License-Identifier: Apache-2.0
/*
 * fschange.c - Change names and modes
 *
 *	mkdir {path, parents: false, mode: "0755"} -> entry
 *	move {from, to, overwrite: false} -> entry
 *	chmod {path, mode} -> entry
 *	symlink {path, target or target_b64, over: false} -> entry
 *
 * A link is moved and made as it is; chmod follows it.  Made over what is there,
 * which may be anything but a folder, it replaces that in one step.
 *
 * What cannot be renamed, because it would come from another file system or is a
 * folder of the commit below the workspace (overlayfs refuses that), is copied
 * and then removed, as mv(1) does.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base64.h"
#include "guest/fsat.h"
#include "guest/fsentry.h"
#include "guest/fsops.h"
#include "vfs/passing.h"
#include "vfs/path.h"

static int put_entry(struct fscall *c, const char *path, struct err *e)
{
	autoclose int fd = fsat_look(c->root, path, false, e);

	return fd < 0 ? fd : fsentry_put_fd(&c->out, path, fd, false, e);
}

static int set_mode(struct fscall *c, const char *path, int mode, struct err *e)
{
	autoclose int fd = fsat_look(c->root, path, true, e);
	char self[32];

	if (fd < 0)
		return fd;
	/* fchmod() takes no O_PATH descriptor. */
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	return chmod(self, (mode_t)mode) < 0 ? fsat_fail(errno, path, e) : 0;
}

static bool is_folder(struct fscall *c, const char *path)
{
	struct err none = {0};
	autoclose int fd = fsat_folder(c->root, path, &none);

	return fd >= 0;
}

static int make_folder(struct fscall *c, const char *path, bool parents,
		       struct err *e)
{
	autoclose int dir = -1;
	const char *name;

	if (parents && is_folder(c, path))
		return 0;
	dir = fsat_parent(c->root, path, parents, &name, e);
	if (dir < 0)
		return dir;
	if (mkdirat(dir, name, 0755) < 0 &&
	    !(errno == EEXIST && parents && is_folder(c, path)))
		return fsat_fail(errno, path, e);
	return 1;
}

int fs_mkdir(struct fscall *c, struct err *e)
{
	bool parents = jv_bool(jv_get(c->in, "parents"), false);
	int mode = fsentry_mode(jv_get(c->in, "mode"), -1, e);
	struct vfs_path path;
	int r;

	if (e->code < 0 || vfs_path_get(&path, c->in, "path", e) < 0)
		return e->code;
	r = make_folder(c, path.text, parents, e);
	if (r > 0 && mode >= 0)
		r = set_mode(c, path.text, mode, e);
	return r < 0 ? r : put_entry(c, path.text, e);
}

int fs_chmod(struct fscall *c, struct err *e)
{
	int mode = fsentry_mode(jv_get(c->in, "mode"), -1, e);
	struct vfs_path path;

	if (e->code == 0 && mode < 0)
		err_set(e, -FAULT_INVALID_ARGUMENT, "mode is missing");
	if (e->code < 0 || vfs_path_get(&path, c->in, "path", e) < 0 ||
	    set_mode(c, path.text, mode, e) < 0)
		return e->code;
	return put_entry(c, path.text, e);
}

/* What a link shall say. */
static int get_target(struct jv in, char **out, struct err *e)
{
	struct jv b64 = jv_get(in, "target_b64");
	autofree char *text = NULL;
	size_t n = 0;

	text = jv_strdup(jv_has(b64) ? b64 : jv_get(in, "target"), &n);
	if (text == NULL || (jv_has(b64) && base64_read(text, &n) < 0) ||
	    n == 0 || n > VFS_PATH_MAX || strlen(text) != n)
		return err_set(e, -FAULT_INVALID_ARGUMENT,
			       "target is no string of 1 to %d bytes",
			       VFS_PATH_MAX);
	*out = take_ptr(text);
	return 0;
}

static int rename_over(struct fscall *c, int dir, const char *temp,
		       const char *name)
{
	int r, error;

	pthread_mutex_lock(&c->tree->lock);
	r = renameat(dir, temp, dir, name);
	pthread_mutex_unlock(&c->tree->lock);
	error = errno;
	if (r < 0)
		(void)unlinkat(dir, temp, 0);
	errno = error;
	return r;
}

/* @path: of @name, which is in @dir. */
static int link_over(struct fscall *c, const char *target, const char *path,
		     int dir, const char *name)
{
	char temp[VFS_PASSING_MAX];
	int r;

	if (vfs_passing_take(c->tree->passing, path, temp) < 0)
		return -1;
	r = symlinkat(target, dir, temp);
	if (r == 0)
		r = rename_over(c, dir, temp, name);
	vfs_passing_drop(c->tree->passing, temp);
	return r;
}

int fs_symlink(struct fscall *c, struct err *e)
{
	bool over = jv_bool(jv_get(c->in, "over"), false);
	autofree char *target = NULL;
	struct vfs_path path;
	autoclose int dir = -1;
	const char *name;
	int r;

	if (vfs_path_get(&path, c->in, "path", e) < 0 ||
	    get_target(c->in, &target, e) < 0)
		return e->code;
	dir = fsat_parent(c->root, path.text, true, &name, e);
	if (dir < 0)
		return dir;
	r = over ? link_over(c, target, path.text, dir, name)
		 : symlinkat(target, dir, name);
	return r < 0 ? fsat_fail(errno, path.text, e)
		     : put_entry(c, path.text, e);
}

/* A file that is expected to be one version is none that another has just been
 * moved to: hence the lock.  Return: also -EXDEV, which is not in @e. */
static int move_locked(struct fscall *c, const char *from, const char *to,
		       bool overwrite, struct err *e)
{
	autoclose int from_dir = -1, to_dir = -1;
	const char *from_name, *to_name;

	from_dir = fsat_parent(c->root, from, false, &from_name, e);
	if (from_dir < 0)
		return from_dir;
	if (faccessat(from_dir, from_name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return fsat_fail(errno, from, e);
	to_dir = fsat_parent(c->root, to, true, &to_name, e);
	if (to_dir < 0)
		return to_dir;
	if (renameat2(from_dir, from_name, to_dir, to_name,
		      overwrite ? 0 : RENAME_NOREPLACE) == 0)
		return 0;
	if (errno == EXDEV)
		return -EXDEV;
	return fsat_fail(errno, errno == EEXIST ? to : from, e);
}

int fs_move(struct fscall *c, struct err *e)
{
	bool overwrite = jv_bool(jv_get(c->in, "overwrite"), false);
	struct vfs_path from, to;
	int r;

	if (vfs_path_get(&from, c->in, "from", e) < 0 ||
	    vfs_path_get(&to, c->in, "to", e) < 0)
		return e->code;
	pthread_mutex_lock(&c->tree->lock);
	r = move_locked(c, from.text, to.text, overwrite, e);
	pthread_mutex_unlock(&c->tree->lock);
	if (r == -EXDEV) {
		r = fs_copy_all(c, &from, &to, overwrite, e);
		if (r == 0)
			r = fs_remove_all(c, &from, e);
	}
	return r < 0 ? r : put_entry(c, to.text, e);
}
