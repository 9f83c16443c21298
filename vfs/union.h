/* SPDX-License-Identifier: Apache-2.0 */
/*
 * union.h - What later commits changed, path by path
 *
 * The union of their diffs: a file that was changed and changed back is in it.
 */
#ifndef VFS_UNION_H
#define VFS_UNION_H

#include "core/json.h"
#include "vfs/oid.h"

#define VFS_UNION_PATHS_MAX 100000

struct vfs_repo;

struct vfs_union_stats {
	uint64_t n_commits; /* Looked at. */
	bool truncated;	    /* Paths are missing. */
};

/**
 * vfs_union() - List what changed after a commit
 * @since: An ancestor of @to; NULL: from the beginning
 * @to:    A commit
 * @out:   An array is written as one value, sorted bytewise by path, each path
 *	once, with the last that happened to it: {"path", "kind": add|modify|
 *	delete|rename, "old_path"? (of a rename), "commit", "turn"?, "session"?}.
 *	What was renamed also has a row of its own, where it is deleted.
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when @since is not before @to; else as
 * vfs_diff().
 */
int vfs_union(struct vfs_repo *repo, const struct vfs_oid *since,
	      const struct vfs_oid *to, struct vfs_union_stats *stats,
	      struct jw *out, struct err *e);

#endif
