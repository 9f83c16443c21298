/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dir.h - One folder of a commit, decoded: real names, real permissions
 */
#ifndef VFS_DIR_H
#define VFS_DIR_H

#include "vfs/browse.h"

struct vfs_dir {
	struct vfs_entry *entries; /* Sorted bytewise by name; size is 0. */
	size_t n;
	uint32_t mode; /* Its own, when it is the root of a workspace. */
	/* Private. */
	char *names;
};

/* Return: 0; -FAULT_STORE_CORRUPT; -E2BIG past VFS_DIR_ENTRIES_MAX; -ENOMEM. */
int vfs_dir_load(struct vfs_repo *repo, const struct vfs_oid *tree,
		 struct vfs_dir *out, struct err *e);
void vfs_dir_done(struct vfs_dir *d);
/* NULL when there is none of that name. */
const struct vfs_entry *vfs_dir_get(const struct vfs_dir *d, const char *name,
				    size_t n);

static inline void vfs_dir_donep(struct vfs_dir *d)
{
	vfs_dir_done(d);
}
#define autodir cleanup(vfs_dir_donep)

#endif
