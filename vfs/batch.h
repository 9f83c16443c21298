/* SPDX-License-Identifier: Apache-2.0 */
/*
 * batch.h - Add many objects to a repository at once, durably
 *
 * All of a batch becomes one pack, whatever its number of objects: three syncs,
 * not one for each.  Nobody sees any of it before vfs_batch_end(), and then all
 * of it is on the disk.  An object that the repository has is not written again.
 */
#ifndef VFS_BATCH_H
#define VFS_BATCH_H

#include "vfs/repo.h"

struct vfs_batch;

/* Begin; the caller holds a lock of @r that keeps other batches away.  @r lives
 * longer.  Return: 0; -FAULT_DISK_FULL, -FAULT_STORE_ERROR. */
int vfs_batch_begin(struct vfs_repo *r, struct vfs_batch **out, struct err *e);

/* Give up what was not ended.  NULL is allowed. */
void vfs_batch_free(struct vfs_batch *b);

/* Add an object that is in memory. */
int vfs_batch_add(struct vfs_batch *b, git_object_t type, const void *data,
		  size_t n, struct vfs_oid *out, struct err *e);

/* Add a blob of @size bytes whose bytes come piece by piece, with no other
 * object in between. */
int vfs_batch_blob(struct vfs_batch *b, uint64_t size, struct err *e);
int vfs_batch_blob_data(struct vfs_batch *b, const char *data, size_t n,
			struct err *e);
int vfs_batch_blob_end(struct vfs_batch *b, struct vfs_oid *out, struct err *e);

/* Let everyone see the objects, once they are on the disk.  After it, only
 * vfs_batch_free().  Return: 0; a fault, after which none of them was added. */
int vfs_batch_end(struct vfs_batch *b, struct err *e);

#endif
