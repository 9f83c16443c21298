// SPDX-License-Identifier: Apache-2.0
/*
 * workspace_mounts.c - The mounts that make /workspace
 */
#include "guest/workspace_mounts.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

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
