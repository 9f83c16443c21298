/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revision.h - The commit that a request names
 *
 * A turn, a commit or "HEAD".  What the log says of a turn is asked on the loop,
 * what the repository has on the pool.
 */
#ifndef HOST_DAEMON_REVISION_H
#define HOST_DAEMON_REVISION_H

#include "core/id.h"
#include "core/reader.h"
#include "vfs/oid.h"
#include "vfs/repo.h"

struct revision {
	char name[VFS_REV_MAX + 1];
	char logged[VFS_OID_HEX]; /* What the log says of a turn; or "". */
};

/* @vm: whose turn it is, if @name is one.
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_TURN_NOT_FOUND when that VM had no
 * such turn. */
int revision_read(struct revision *v, struct reader *r, const char *vm,
		  const char *name, struct err *e);
/* The files of a session as they were at the end of its event @seq: the last
 * commit that its log tells of until then.  Return: whether there is one. */
bool revision_of_session(struct revision *v, struct reader *r,
			 const char *session, int64_t seq);

/* On the pool.  Return: 0 with a commit that is there;
 * -FAULT_SNAPSHOT_NOT_FOUND; -FAULT_TURN_NOT_FOUND. */
int revision_resolve(const struct revision *v, struct vfs_repo *repo,
		     struct vfs_oid *out, struct err *e);

#endif
