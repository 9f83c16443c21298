/* SPDX-License-Identifier: Apache-2.0 */
/*
 * retake.h - Take files and folders from an older commit into a new one
 */
#ifndef HOST_DAEMON_RETAKE_H
#define HOST_DAEMON_RETAKE_H

#include "core/json.h"
#include "vfs/oid.h"
#include "vfs/repo.h"

struct retake {
	char **paths; /* As vfs/path.h makes them. */
	size_t n;
};

void retake_done(struct retake *t);
/* Add a path.  Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_PATH_ESCAPE. */
int retake_add(struct retake *t, struct jv path, struct err *e);

/*
 * On the pool.
 */

/* Does @from have them all, or else the head?  Return: 0; -FAULT_FILE_NOT_FOUND;
 * others. */
int retake_check(const struct retake *t, struct vfs_repo *repo,
		 const struct vfs_oid *from, struct err *e);
/* Commit the head with those paths as they are in @from, without those that it
 * lacks.  @out: the new head,
 * or the old one when nothing is different.  Return: 0 or why not. */
int retake_commit(const struct retake *t, struct vfs_repo *repo,
		  const struct vfs_oid *from, struct vfs_oid *out,
		  struct err *e);

#endif
