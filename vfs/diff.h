/* SPDX-License-Identifier: Apache-2.0 */
/*
 * diff.h - What changed between two commits, as git tells it
 *
 * One row for a file.  Its patch is what `git diff --full-index` prints for it
 * and `git apply` takes; it is there whole or not at all.  A binary file, and a
 * change of permissions that git has no mode for, has none.
 */
#ifndef VFS_DIFF_H
#define VFS_DIFF_H

#include "core/json.h"
#include "vfs/oid.h"

#define VFS_DIFF_FILES_MAX   1000	  /* Rows... */
#define VFS_DIFF_ROWS_MAX    (1u << 20)	  /* ...and their bytes, as JSON. */
#define VFS_DIFF_PATCH_MAX   (64u << 10)  /* Bytes of one patch. */
#define VFS_DIFF_PATCHES_MAX (1u << 20)	  /* Of all of them, as JSON. */
#define VFS_DIFF_FILE_MAX    (16u << 20)  /* Of a file that is compared. */
#define VFS_DIFF_BYTES_MAX   (256u << 20) /* Of all files compared. */
#define VFS_DIFF_SIMILAR_MAX (64u << 20)  /* Of files looked at for renames. */
#define VFS_DIFF_PAIRS_MAX   (1000u * 1000u) /* Likely renames looked at... */
#define VFS_DIFF_EXACT_MAX   (25u * VFS_DIFF_PAIRS_MAX) /* ...by their ids. */
#define VFS_DIFF_CHANGES_MAX 100000 /* Beyond, renames are not looked for. */

struct vfs_repo;

struct vfs_diff_stats {
	uint64_t n_files; /* Changed; more than there are rows if truncated. */
	bool truncated;	  /* Rows are missing. */
};

enum vfs_diff_kind {
	VFS_DIFF_ADD,
	VFS_DIFF_MODIFY,
	VFS_DIFF_DELETE,
	VFS_DIFF_RENAME,
};

struct vfs_diff_change {
	enum vfs_diff_kind kind;
	const char *path;
	const char *old_path;		 /* Of a rename; else NULL. */
	const struct vfs_oid *old, *new; /* NULL: there is no file. */
	uint32_t old_mode, mode;	 /* st_mode; 0: there is nothing. */
};

/* What it returns other than 0 ends the comparison and is returned. */
typedef int (*vfs_diff_cb)(const struct vfs_diff_change *change, void *arg);

/* "add", "modify", "delete", "rename" */
const char *vfs_diff_kind_name(enum vfs_diff_kind kind);

/* Every change without its patch, sorted bytewise by path; else as vfs_diff().
 * Of more than VFS_DIFF_CHANGES_MAX changes the others are in @out alone. */
int vfs_diff_each(struct vfs_repo *repo, const struct vfs_oid *from,
		  const struct vfs_oid *to, vfs_diff_cb cb, void *arg,
		  struct vfs_diff_stats *out, struct err *e);

/**
 * vfs_diff() - Compare two commits
 * @from:  A commit or tree; NULL: nothing
 * @to:    A commit or tree
 * @files: An array is written as one value, sorted bytewise by path:
 *	{"path", "kind": add|modify|delete|rename, "old_path"? (of a rename),
 *	 "old": oid|null, "new": oid|null, "old_mode"? (octal; of a delete, or
 *	 when it changed), "mode"? (of what is there now), "binary"?: true,
 *	 "added", "deleted" (lines; 0 for what was not compared), "patch"? or,
 *	 when that is no UTF-8, "patch_b64"?, "truncated"?: true (its patch was
 *	 too long, or it was too large to be compared)}
 *	A path that is no UTF-8 also has "path_b64" or "old_path_b64".
 *	Folders are rows (mode 04....) only when one without files comes or
 *	goes, or when its permissions change; old and new are null then.
 *
 * Return: 0; -FAULT_SNAPSHOT_NOT_FOUND; -FAULT_STORE_CORRUPT; -ENOMEM.
 */
int vfs_diff(struct vfs_repo *repo, const struct vfs_oid *from,
	     const struct vfs_oid *to, struct vfs_diff_stats *out,
	     struct jw *files, struct err *e);

#endif
