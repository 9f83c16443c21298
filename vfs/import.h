/* SPDX-License-Identifier: Apache-2.0 */
/*
 * import.h - Make the first commit of a workspace from files that are elsewhere
 *
 * What may be named:
 *
 *	/some/folder		everything in it, a .git too; not what a
 *				.hibignore of it names
 *	/some/repository#REV	the files of a commit of a git repository on
 *				this machine; "#" alone: of its HEAD
 *	https://..[#REV]	the same of a repository to be cloned (also
 *	ssh://.., git://.., file://.., user@host:path)
 *
 * A commit gives its files, not its history: in the workspace they are no
 * repository.  Submodules become empty folders.
 *
 * Objects of a repository on this machine are shared by hard links when it is
 * on the same file system and ours; else the contents of the files are copied.
 */
#ifndef VFS_IMPORT_H
#define VFS_IMPORT_H

#include "core/err.h"
#include "vfs/oid.h"

#define VFS_IMPORT_WHAT_MAX 8192 /* Bytes of what is named. */

struct vfs_import_progress {
	const char *stage; /* "receive", "read" */
	uint64_t n, total; /* Objects or files; total 0: not known. */
	uint64_t bytes;	   /* Received or read. */
};

/* Called now and then, in the middle of it.  What it returns, when not 0, ends
 * the import as -FAULT_CANCELLED. */
typedef int (*vfs_import_cb)(const struct vfs_import_progress *p, void *arg);

/**
 * vfs_import() - Make a repository with one commit of these files
 * @what:      See above
 * @repo_path: Of the repository, which is made if it is not there; nothing is
 *	       committed in it.  After a failure that still holds
 * @cb:	       May be NULL
 * @out:       The commit
 *
 * Blocks, for a clone as long as the other side says something every minute (over
 * ssh as long as it likes: libssh2 waits on after a signal); any thread, see
 * vfs/stall.h.  A password in a URL is in no message.
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when there is no such thing, it has no
 * files, or a folder holds the repository; -FAULT_SNAPSHOT_NOT_FOUND when it has no such revision;
 * -FAULT_UNAUTHORIZED when it cannot be had; -FAULT_REQUEST_TIMEOUT when its
 * server went silent; -FAULT_CANCELLED; what
 * vfs_commit_begin() and vfs_commit_feed() return.
 */
int vfs_import(const char *what, const char *repo_path, vfs_import_cb cb,
	       void *arg, struct vfs_oid *out, struct err *e);

#endif
