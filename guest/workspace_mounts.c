// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_mounts.c - The mounts that make /workspace
 */
#include "guest/workspace_mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "guest/idmap.h"
#include "guest/limits.h"

static int fail(struct err *e, const char *verb, const char *path)
{
	int code = -errno;

	return err_set(e, code, "workspace: %s %s: %s", verb, path,
		       strerror(-code));
}

int workspace_mount_plain(int dir, const char *at, struct err *e)
{
	autoclose int tree = open_tree(dir, "upper",
				       OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC |
					       AT_SYMLINK_NOFOLLOW);

	if (tree < 0)
		return fail(e, "open", "upper");
	if (move_mount(tree, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return fail(e, "mount", at);
	return 0;
}

int workspace_open_lower(const struct workspace_overlay *o)
{
	char path[PATH_MAX], hex[VFS_OID_HEX];

	snprintf(path, sizeof(path), "%s/%s", o->lower,
		 vfs_oid_format(&o->commit, hex));
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* What the kernel says of file systems that it has not, or does not combine, or
 * not for us. */
static bool is_unsupported(int error)
{
	return error == ENODEV || error == EINVAL || error == EPERM ||
	       error == EOPNOTSUPP;
}

/* In a user namespace whiteouts and opaque folders are marked by user.*
 * attributes, which is userxattr. */
int workspace_mount_overlay(const struct workspace_overlay *o, struct err *e)
{
	char options[3 * PATH_MAX], hex[VFS_OID_HEX];

	snprintf(options, sizeof(options),
		 "lowerdir=%s/%s,upperdir=%s/upper,workdir=%s/work,userxattr",
		 o->lower, vfs_oid_format(&o->commit, hex), o->vfs, o->vfs);
	if (mount("workspace", o->at, "overlay", MS_NOSUID | MS_NODEV,
		  options) == 0)
		return 0;
	if (is_unsupported(errno))
		errno = EOPNOTSUPP;
	return fail(e, "mount an overlay at", o->at);
}

static int open_folder(int dir, const char *name)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};

	return (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
}

/* Agents could have made a folder of that name there themselves. */
static int make_folder(int dir, const char *name)
{
	const unsigned owner = idmap_agent();
	int fd = open_folder(dir, name);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(dir, name, 0755) < 0 ||
	    (owner != 0 &&
	     fchownat(dir, name, owner, owner, AT_SYMLINK_NOFOLLOW) < 0))
		return -1;
	return open_folder(dir, name);
}

/* Return: the folder @at, made if need be; or -1. */
static int open_point(const char *at)
{
	autoclose int dir = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];

	while (dir >= 0 && *at != '\0') {
		const char *end = strchrnul(++at, '/');
		int next;

		snprintf(name, sizeof(name), "%.*s", (int)(end - at), at);
		next = make_folder(dir, name);
		close(dir);
		dir = next;
		at = end;
	}
	return take_fd(&dir);
}

int workspace_bind(unsigned i, const char *at, struct err *e)
{
	autoclose int point = open_point(at);
	autoclose int tree = -1;
	char aside[sizeof(WORKSPACE_BINDS_AT) + 16];

	if (point < 0 && errno == ELOOP)
		return err_set(e, -FAULT_PATH_ESCAPE,
			       "workspace: a symbolic link is in the way of "
			       "the mount %s",
			       at);
	if (point < 0)
		return fail(e, "make the mount point", at);
	snprintf(aside, sizeof(aside), WORKSPACE_BINDS_AT "/%u", i);
	tree = open_tree(AT_FDCWD, aside, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		return fail(e, "open", aside);
	if (move_mount(tree, "", point, "",
		       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0)
		return fail(e, "mount", at);
	return 0;
}
