/* SPDX-License-Identifier: Apache-2.0 */
/*
 * name.h - Names of files as git can hold them
 *
 * A name in the workspace may be any bytes; a name in a git tree may not.  git
 * refuses `.git` in each spelling that some file system takes for it (`.GIT`,
 * `git~1`, `.git `, with code points that HFS+ ignores, after a backslash),
 * and reads `.gitmodules` and `.gitattributes` as orders for itself.  Such a
 * name, and one that begins with our own `.hib-`, is stored as `.hib-x` and
 * the name, with an `x` after each of its backslashes.  All others are stored
 * as they are.  The mapping is one to one: equal stored names are equal names.
 */
#ifndef VFS_NAME_H
#define VFS_NAME_H

#include "core/base.h"

#define VFS_NAME_MAX   255			  /* Bytes of a name. */
#define VFS_STORED_MAX (6 + 2 * VFS_NAME_MAX + 1) /* Stored, with its NUL. */

#define VFS_DIRMETA_NAME ".hib-dir" /* Reserved: vfs/dirmeta.h. */

/**
 * vfs_name_store() - The name in a git tree of a file
 * @name: Its name in the workspace, @n bytes, any but NUL and '/'
 * @out:  NUL-terminated
 *
 * Return: 0; -EINVAL for an empty name, ".", "..", a NUL or a '/';
 * -ENAMETOOLONG.
 */
int vfs_name_store(const char *name, size_t n, char out[VFS_STORED_MAX]);

/**
 * vfs_name_load() - The name in the workspace of an entry of a git tree
 *
 * Return: 0, or -ENOENT when @stored is nothing that vfs_name_store() makes:
 * it is reserved (VFS_DIRMETA_NAME), and no file.
 */
int vfs_name_load(const char *stored, char out[VFS_NAME_MAX + 1]);

#endif
