/* SPDX-License-Identifier: Apache-2.0 */
/*
 * refs.h - Move a reference of a repository, durably
 *
 * libgit2 and git leave a `.lock` file behind when they are killed, and from
 * then on refuse.  These can tell a lock of their own past from another's.
 */
#ifndef VFS_REFS_H
#define VFS_REFS_H

#include "core/err.h"
#include "vfs/oid.h"

#define VFS_REF_MAIN  "refs/heads/main"
#define VFS_REF_TURNS "refs/hib/" /* and <session>/<turn> */

/**
 * vfs_refs_set() - Let a reference name an object
 * @gitdir: The repository; the caller alone writes references of it, but for
 *          plain git commands
 * @ref:    Full name, well-formed
 *
 * Synced when it returns.
 * Return: 0; -FAULT_OVERLOADED while a git command changes it;
 * -FAULT_DISK_FULL, -FAULT_STORE_ERROR.
 */
int vfs_refs_set(const char *gitdir, const char *ref, const struct vfs_oid *oid,
		 struct err *e);

#endif
