/* SPDX-License-Identifier: Apache-2.0 */
/*
 * passing.h - Names that files have in passing, until they are renamed
 *
 * Who replaces a file makes the new one beside it under a name of ours, and then
 * renames it.  A kill in between would leave that name for good, and by itself
 * it tells nothing: a user may call a file whatever we do.  So each name is
 * written down before a file gets it, in a folder that is no part of the
 * workspace, and struck out when no file has it any more.  What is found there
 * at a boot is what the last one left, and exactly that is removed.
 *
 * The record of a name is a symbolic link of that name, which says what path it
 * was for: one step in the journal of the file system, as the making of the file
 * is one behind it, so the order of the two survives a loss of power, too.
 *
 * The records are a descriptor of their folder, or -1: nothing is written down.
 * All of it blocks; any thread.
 */
#ifndef VFS_PASSING_H
#define VFS_PASSING_H

#include <sys/types.h>

#include "core/base.h"

#define VFS_PASSING_MAX 24 /* Bytes of a name, with its NUL. */

/* The records in the folder @dir; made if need be, for those who run as @owner.
 * Return: a descriptor or a negative errno. */
int vfs_passing_open(int dir, uid_t owner);

/**
 * vfs_passing_take() - A new name, written down
 * @path: What the file will be renamed to, from the root of the workspace, or
 *        absolute; the name is to be used in the same folder
 *
 * Return: 0, then vfs_passing_drop() is to follow when no file has the name; or
 * -1 with errno.
 */
int vfs_passing_take(int records, const char *path, char out[VFS_PASSING_MAX]);
/* Strike it out.  errno stays. */
void vfs_passing_drop(int records, const char *name);

/* Could it be such a name?  A user's may, too. */
bool vfs_passing_resembles(const char *name);
/* Is it one, now?  Asked before one looks at what a folder was seen to have: by
 * the time that it is none, no file has it. */
bool vfs_passing_is(int records, const char *name);

/* Is there any? */
bool vfs_passing_any(int records);
/* Remove the files that have such names still, in the workspace @root, when
 * nobody can be at work on them.  What cannot be removed stays written down. */
void vfs_passing_sweep(int records, int root);

#endif
