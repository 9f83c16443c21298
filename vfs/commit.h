/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commit.h - Make a commit of a change set (vfs/changes.h)
 *
 *	vfs_commit_begin(repo, &spec, &c, e)
 *	vfs_commit_feed(c, data, n, e)		any number of times, any split
 *	vfs_commit_end(c, &result, e)
 *	vfs_commit_free(c)			also in the middle: nothing happened
 *
 * The tree is that of the base with the changes; the parent is the head of the
 * repository, which the commit becomes.  Files are never held in memory, the
 * list of changes is.  A commit that is begun keeps all others away, from other
 * processes too, until it is freed.
 */
#ifndef VFS_COMMIT_H
#define VFS_COMMIT_H

#include "vfs/changes.h"
#include "vfs/repo.h"

#define VFS_REASON_MAX 32 /* Letters. */

struct vfs_commit_spec {
	const struct vfs_oid *base; /* Commit; NULL: an empty workspace. */
	const char *session;	    /* "ses_..", or NULL. */
	const char *turn;	    /* "trn_.."; with a session only. */
	const char *reason;	    /* Lowercase letters, or NULL. */
	int64_t n;		    /* Of the turn in its session, from 1. */
	int64_t seq;		    /* Last event before; 0: none. */
	int64_t time_ms;	    /* Since 1970. */
	size_t memory;		    /* Bytes; 0: VFS_EDIT_BYTES_MAX. */
	struct vfs_changes_limits limits;
};

struct vfs_commit_result {
	struct vfs_oid commit; /* The head now. */
	struct vfs_oid parent; /* The head before. */
	bool has_commit;       /* False: still nothing was ever committed. */
	bool has_parent;
	bool changed; /* False: no commit was made. */
};

struct vfs_commit;

/**
 * vfs_commit_begin() - Begin a commit
 * @r:    Lives longer
 * @spec: Copied
 *
 * Return: 0; -FAULT_STALE_EPOCH when the base is not here;
 * -FAULT_INVALID_ARGUMENT, -FAULT_INVALID_ID; -FAULT_OVERLOADED while another
 * commit is made; -FAULT_DISK_FULL, -FAULT_STORE_ERROR, -FAULT_STORE_CORRUPT.
 */
int vfs_commit_begin(struct vfs_repo *r, const struct vfs_commit_spec *spec,
		     struct vfs_commit **out, struct err *e);

/* Add bytes of the change set.  Return: 0; as vfs_changes_feed();
 * -FAULT_QUOTA_EXCEEDED also for too many changes to hold; as
 * vfs_commit_begin().  After a failure it does nothing but fail. */
int vfs_commit_feed(struct vfs_commit *c, const char *data, size_t n,
		    struct err *e);

/* A regular file or link whose content the repository has, as if the change set
 * said so here: before its end, between two of its commands.  @path: relative.
 * Return: as vfs_commit_feed(). */
int vfs_commit_file(struct vfs_commit *c, const char *path, uint32_t mode,
		    const struct vfs_oid *content, struct err *e);

/**
 * vfs_commit_end() - Commit
 *
 * When it returns 0 all is on the disk: the objects, then the reference of the
 * turn (if the spec has one and something changed), then refs/heads/main.
 * Return: 0; as vfs_commit_feed().  After a failure the head is the old one.
 */
int vfs_commit_end(struct vfs_commit *c, struct vfs_commit_result *out,
		   struct err *e);

/* NULL is allowed. */
void vfs_commit_free(struct vfs_commit *c);

/* Let the reference of a turn name a commit that is there, durably.
 * Return: 0; -FAULT_INVALID_ID; -FAULT_FILE_NOT_FOUND when there is no such
 * commit; -FAULT_OVERLOADED while a commit is made; -FAULT_DISK_FULL,
 * -FAULT_STORE_ERROR. */
int vfs_commit_mark_turn(struct vfs_repo *r, const char *session,
			 const char *turn, const struct vfs_oid *commit,
			 struct err *e);

#endif
