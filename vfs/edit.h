/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edit.h - A committed tree with changes that are not yet written
 *
 * Only the directories on the way to a change are read, and only those that
 * became different are written.  The last change of a path wins:
 *
 *	a file where a directory is	replaces all that is in it
 *	a file below a file		makes that one a directory
 *	directories on the way		are made, with 0755
 *	nothing below a directory	leaves it there, empty
 *
 * The tree that comes out depends on what it holds alone, not on how it came
 * to hold it.  Entries that stand for no file (vfs/name.h), and submodules,
 * are dropped from directories that are written again.
 */
#ifndef VFS_EDIT_H
#define VFS_EDIT_H

#include "vfs/batch.h"

#define VFS_EDIT_BYTES_MAX ((size_t)1 << 30) /* Of memory, if not told. */

struct vfs_edit;

/**
 * vfs_edit_new() - Begin with a tree
 * @r:    Lives longer
 * @tree: Tree or commit; NULL: empty
 * @max:  Bytes of memory; 0: VFS_EDIT_BYTES_MAX
 *
 * Return: 0; -FAULT_STORE_CORRUPT, -FAULT_STORE_ERROR, -FAULT_INTERNAL.
 */
int vfs_edit_new(struct vfs_repo *r, const struct vfs_oid *tree, size_t max,
		 struct vfs_edit **out, struct err *e);
/* NULL is allowed. */
void vfs_edit_free(struct vfs_edit *ed);

/*
 * Changes.  Paths are relative and well-formed (vfs/changes.h).  Each returns
 * 0; -FAULT_QUOTA_EXCEEDED when it takes more memory than it may; or as
 * vfs_edit_new().
 */

/* @mode: S_IFREG and permissions, or S_IFLNK. */
int vfs_edit_file(struct vfs_edit *ed, const char *path, uint32_t mode,
		  const struct vfs_oid *oid, struct err *e);
/* @mode: permissions.  "" is the root. */
int vfs_edit_dir(struct vfs_edit *ed, const char *path, uint32_t mode,
		 struct err *e);
int vfs_edit_remove(struct vfs_edit *ed, const char *path, struct err *e);
int vfs_edit_clear(struct vfs_edit *ed, struct err *e);

/* Add the trees that are new to @b.  Return: 0 or a fault. */
int vfs_edit_write(struct vfs_edit *ed, struct vfs_batch *b,
		   struct vfs_oid *out, struct err *e);

#endif
