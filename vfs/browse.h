/* SPDX-License-Identifier: Apache-2.0 */
/*
 * browse.h - What a commit of a workspace holds, as its users see it
 *
 * Names are those that the users gave, permissions those that they set; what
 * the repository needs to keep them (vfs/name.h, vfs/dirmeta.h) does not show.
 * A symbolic link is an entry and is never followed.  Everything here only
 * reads, and reads what others wrote: what is malformed is an error or is left
 * out, never trusted.
 *
 * All of it blocks; any thread, one at a time for a repository.
 */
#ifndef VFS_BROWSE_H
#define VFS_BROWSE_H

#include "core/err.h"
#include "vfs/entry.h"
#include "vfs/path.h"

#define VFS_DIR_ENTRIES_MAX (1u << 20)	/* Of one folder. */
#define VFS_SIZES_MAX	    (1u << 14)	/* Remembered of a repository. */
#define VFS_BLOB_WHOLE_MAX  (1u << 20)	/* Read at once; beyond, streamed. */
#define VFS_READ_CHUNK	    (64u << 10) /* Given to a callback at once. */
#define VFS_BLOB_MEMORY_MAX (64u << 20) /* Of one that memory holds whole. */

struct vfs_repo;

/* What it returns other than 0 ends the reading and is returned. */
typedef int (*vfs_data_cb)(const void *data, size_t n, void *arg);

/* The tree of a commit; a tree is its own.
 * Return: 0; -FAULT_SNAPSHOT_NOT_FOUND when there is no such thing here. */
int vfs_browse_root(struct vfs_repo *repo, const struct vfs_oid *oid,
		    struct vfs_oid *out_tree, struct err *e);

/**
 * vfs_browse_tree() - List a folder: every entry with its size, sorted bytewise
 * @oid: A commit (its top folder) or a tree
 * @cb:  Called before this returns; the entry lives for the call
 *
 * Return: 0; -FAULT_SNAPSHOT_NOT_FOUND; -FAULT_STORE_CORRUPT; what @cb returned.
 */
int vfs_browse_tree(struct vfs_repo *repo, const struct vfs_oid *oid,
		    vfs_entry_cb cb, void *arg, struct err *e);

/**
 * vfs_browse_find() - Look a path up, one component after the other
 * @commit: Or a tree
 * @path:   Relative; "" is the top folder.  Slashes may be doubled, "." is
 *	    nothing
 * @out:    Its name lies in @path, without a NUL of its own
 *
 * Return: 0; -FAULT_PATH_ESCAPE for ".."; -FAULT_FILE_NOT_FOUND, also below what
 * is no folder; what vfs_browse_tree() returns.
 */
int vfs_browse_find(struct vfs_repo *repo, const struct vfs_oid *commit,
		    const char *path, struct vfs_entry *out, struct err *e);

/* Bytes of a file or of what a link says.  Return: 0; -FAULT_FILE_NOT_FOUND. */
int vfs_browse_size(struct vfs_repo *repo, const struct vfs_oid *blob,
		    uint64_t *out, struct err *e);

/**
 * vfs_browse_read() - Give a range of a file's bytes, less at its end
 * @cb: Called before this returns, with at most VFS_READ_CHUNK bytes each time
 *
 * Small files are read whole.  A large one that is an object of its own is
 * inflated as it is read, in little memory; reading on where the last call
 * stopped goes on from there, going back starts over.  A large one in a pack is
 * held in memory, once, until its end was read or another large one is asked
 * for: libgit2 has no other way.
 *
 * Return: 0; -FAULT_FILE_NOT_FOUND; -FAULT_STORE_CORRUPT; what @cb returned.
 */
int vfs_browse_read(struct vfs_repo *repo, const struct vfs_oid *blob,
		    uint64_t off, uint64_t len, vfs_data_cb cb, void *arg,
		    struct err *e);

#endif
