/* SPDX-License-Identifier: Apache-2.0 */
/*
 * packed.h - Read a large file out of a pack, piece by piece
 *
 * libgit2 reads an object of a pack as a whole, into memory.
 */
#ifndef VFS_PACKED_H
#define VFS_PACKED_H

#include "vfs/oid.h"

struct vfs_packed; /* Opaque. */

/**
 * vfs_packed_open() - Find a blob in the packs of a repository
 * @repo: Its folder; what it borrows from others is looked through, too
 * @size: Of the blob
 *
 * Return: NULL when no pack has it as it is: it may be loose, a delta, or gone,
 * or memory is out.
 */
struct vfs_packed *vfs_packed_open(const char *repo, const struct vfs_oid *blob,
				   uint64_t size);
/* The next bytes, at most @n.  Return: their number, not 0 before the end;
 * -EIO. */
int vfs_packed_read(struct vfs_packed *p, char *to, size_t n);
void vfs_packed_close(struct vfs_packed *p); /* NULL is allowed. */

#endif
