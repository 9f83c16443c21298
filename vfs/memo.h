/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memo.h - What reading a repository remembers: sizes, and the blob at hand
 *
 * Bounded.  Owned by a struct vfs_repo; objects never change, so nothing in it
 * can be stale.
 */
#ifndef VFS_MEMO_H
#define VFS_MEMO_H

#include <git2.h>

#include "core/base.h"

struct vfs_memo_size {
	git_oid oid;
	int64_t size; /* -1: nothing is here. */
};

struct vfs_memo {
	struct vfs_memo_size *sizes; /* VFS_SIZES_MAX; NULL: not one yet. */
	/* The blob at hand: one of data, stream and packed; none: no blob. */
	git_oid blob;
	void *data; /* Of backend. */
	git_odb_backend *backend;
	git_odb_stream *stream;
	struct vfs_packed *packed;
	uint64_t pos, size; /* Where stream or packed stands; of the blob. */
};

void vfs_memo_done(struct vfs_memo *m);
/* Let go of the blob at hand. */
void vfs_memo_drop_blob(struct vfs_memo *m);
/* Return: the size of that object, or -1. */
int64_t vfs_memo_size(const struct vfs_memo *m, const git_oid *oid);
/* Another one may have to go.  Without memory nothing is remembered. */
void vfs_memo_add_size(struct vfs_memo *m, const git_oid *oid, int64_t size);

#endif
