/* SPDX-License-Identifier: Apache-2.0 */
/*
 * export.h - A commit of a workspace for others: a tar file, a git repository
 *
 * All of it blocks; any thread, one at a time for a repository.
 */
#ifndef VFS_EXPORT_H
#define VFS_EXPORT_H

#include "vfs/browse.h"

/**
 * vfs_export_tar() - Write the files of a commit as a tar file (POSIX pax)
 * @commit: Its time is that of every file; a tree has none
 * @write:  Given the archive, piece by piece
 *
 * Names, permissions, contents, links and empty folders are exact; all belongs
 * to uid and gid 0.  The same commit gives the same bytes.
 *
 * Return: 0; what @write returned; what vfs_walk() and vfs_browse_read() do.
 */
int vfs_export_tar(struct vfs_repo *repo, const struct vfs_oid *commit,
		   vfs_data_cb write, void *arg, struct err *e);

struct vfs_export_stats {
	uint64_t n_commits;
	uint64_t n_skipped; /* Names that git refuses, as ".git". */
};

/**
 * vfs_export_git() - Make a repository of a commit and those before it
 * @dir:  Does not exist, or is an empty folder
 * @bare: Without a working tree
 * @out:  Its branch main ends in a commit with these files
 *
 * Everything has its real name.  What git cannot hold is not there: empty
 * folders, permissions but the x bit, and names that it refuses, which are
 * counted once for each folder that was written with them.  Commits keep their
 * messages, times and authors, and so have other ids where their files have.
 *
 * Return: 0; -FAULT_ALREADY_EXISTS; -FAULT_SNAPSHOT_NOT_FOUND;
 * -FAULT_DISK_FULL, -FAULT_STORE_ERROR, -FAULT_STORE_CORRUPT.
 */
int vfs_export_git(struct vfs_repo *repo, const struct vfs_oid *commit,
		   const char *dir, bool bare, struct vfs_export_stats *out,
		   struct err *e);

#endif
