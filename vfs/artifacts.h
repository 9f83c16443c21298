/* SPDX-License-Identifier: Apache-2.0 */
/*
 * artifacts.h - Which files of a commit are results that somebody waits for
 *
 * A session names its results by patterns.  A file that fits one, and that is
 * new or has other contents than in the commit before, is an artifact.  Its
 * bytes stay where they are, in the repository.
 */
#ifndef VFS_ARTIFACTS_H
#define VFS_ARTIFACTS_H

#include "core/json.h"
#include "vfs/oid.h"

#define VFS_ARTIFACTS_MAX	   256	/* Of one commit. */
#define VFS_ARTIFACT_PATTERNS_MAX  32	/* Of one session... */
#define VFS_ARTIFACT_PATTERN_BYTES 1024 /* ...and of each. */

struct vfs_repo;
struct vfs_artifacts; /* Opaque: patterns that were read. */

/**
 * vfs_artifacts_new() - Read patterns
 * @patterns: JSON array of strings with the syntax of gitignore(5), seen from
 *            the top of the workspace: "*.pdf", "!draft.pdf", "out/" and two
 *            stars for all that is in a folder.  The last one that fits decides;
 *            only files are asked about, so one that ends in a slash fits none
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT when it is none, too long or too many;
 * -ENOMEM.
 */
int vfs_artifacts_new(struct jv patterns, struct vfs_artifacts **out,
		      struct err *e);
void vfs_artifacts_free(struct vfs_artifacts *a); /* NULL is allowed. */

/**
 * vfs_artifacts_find() - The artifacts of a commit
 * @from: The commit before; NULL: nothing was there
 * @out:  An array is written as one value, in the order of a walk:
 *	  {"name", "path", "oid", "size", "sha256"}, for a path that is no UTF-8
 *	  also "path_b64"; the first VFS_ARTIFACTS_MAX
 * @more: How many there are beyond those
 *
 * Return: 0; -FAULT_SNAPSHOT_NOT_FOUND; -FAULT_STORE_CORRUPT; -ENOMEM.
 */
int vfs_artifacts_find(const struct vfs_artifacts *a, struct vfs_repo *repo,
		       const struct vfs_oid *from, const struct vfs_oid *to,
		       struct jw *out, uint64_t *more, struct err *e);

#endif
