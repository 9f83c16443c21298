/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bundle.h - Commits with all that they need, as one file
 *
 * A git pack.  It blocks; any thread, one at a time for a repository.
 */
#ifndef VFS_BUNDLE_H
#define VFS_BUNDLE_H

#include "vfs/repo.h"

/* Write the commits and those before them to @fd, also what is borrowed.
 * Return: 0; -FAULT_FILE_NOT_FOUND; -FAULT_DISK_FULL, -FAULT_STORE_ERROR. */
int vfs_bundle_write(struct vfs_repo *r, const struct vfs_oid *commits,
		     size_t n, int fd, struct err *e);

/* Take in what anybody may have written, and let main name @head of it.
 * Return: 0; -FAULT_STORE_CORRUPT when it is no pack or @head is not in it;
 * -FAULT_DISK_FULL, -FAULT_STORE_ERROR. */
int vfs_bundle_read(struct vfs_repo *r, int fd, const struct vfs_oid *head,
		    struct err *e);

#endif
