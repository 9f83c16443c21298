/* SPDX-License-Identifier: Apache-2.0 */
/*
 * walk.h - Everything that a commit holds, a folder before what is in it
 */
#ifndef VFS_WALK_H
#define VFS_WALK_H

#include "vfs/browse.h"

/* @path is relative to the top folder and NUL-terminated; @entry's name is its
 * last component.  What it returns other than 0 ends the walk and is returned.
 */
typedef int (*vfs_walk_cb)(const char *path, const struct vfs_entry *entry,
			   void *arg);

/**
 * vfs_walk() - Walk a commit or a tree, in bytewise order within each folder
 *
 * Takes no C stack for depth.  Return: 0; -FAULT_STORE_CORRUPT for a path of
 * more than VFS_PATH_MAX bytes; what vfs_browse_tree() or @cb returned.
 */
int vfs_walk(struct vfs_repo *repo, const struct vfs_oid *oid, vfs_walk_cb cb,
	     void *arg, struct err *e);

#endif
