/* SPDX-License-Identifier: Apache-2.0 */
/*
 * patch.h - The change of one file as text that `git apply` takes
 */
#ifndef VFS_PATCH_H
#define VFS_PATCH_H

#include "core/err.h"

#define VFS_PATCH_CONTEXT 3 /* Lines around a change. */

struct jw;

/* One state of a file. */
struct vfs_patch_side {
	const char *path; /* Real name, relative. */
	uint32_t mode;	  /* st_mode; 0: there is no file. */
	char oid[41];	  /* Hex; unused when there is none. */
	const void *data; /* NULL when there is none or it is empty. */
	size_t len;
};

struct vfs_patch_stats {
	bool binary;		 /* Nothing is written then, */
	uint64_t added, deleted; /* and no line is counted. */
};

/**
 * vfs_patch_write() - Compare two states, of which one at least is there
 * @similarity: Percent, of a rename; else not looked at
 * @max:	Bytes that may be written
 * @out:	Bytes are appended as they are; NULL: only count
 *
 * A file that becomes a link, or the other way round, is one that goes and one
 * that comes, as git has it.  Lines are counted whatever becomes of the text.
 *
 * Return: 0; -EMSGSIZE when the patch outgrows @max, and @out is as it was;
 * -FAULT_STORE_CORRUPT; -ENOMEM.
 */
int vfs_patch_write(const struct vfs_patch_side *old,
		    const struct vfs_patch_side *new, unsigned similarity,
		    size_t max, struct jw *out, struct vfs_patch_stats *stats,
		    struct err *e);

#endif
