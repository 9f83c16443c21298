/* SPDX-License-Identifier: Apache-2.0 */
/*
 * history.h - The commits of a workspace: which, when, by which turn
 *
 * A workspace has one line of commits, each with at most one parent that
 * matters here: the state before it.
 */
#ifndef VFS_HISTORY_H
#define VFS_HISTORY_H

#include "core/err.h"
#include "core/id.h"
#include "vfs/oid.h"

#define VFS_HISTORY_REASON_MAX 32
#define VFS_HISTORY_BACK_MAX   1000000 /* Commits that a person counts. */

struct reader;
struct vfs_repo;

struct vfs_history_commit {
	struct vfs_oid id, parent;
	bool has_parent;
	int64_t time_ms; /* Full seconds: git keeps no more. */
	char session[ID_MAX], turn[ID_MAX]; /* Empty: made outside a turn. */
	char reason[VFS_HISTORY_REASON_MAX];
	int64_t seq; /* Of the session's event; 0: none. */
};

/* What it returns other than 0 ends the walk and is returned. */
typedef int (*vfs_history_cb)(const struct vfs_history_commit *c, void *arg);

struct vfs_history_query {
	struct vfs_oid from;
	const char *path; /* Only what changed it or below it; NULL: all. */
	uint64_t limit;	  /* 0: none. */
};

/* The newest first.  Return: 0; -FAULT_SNAPSHOT_NOT_FOUND; what @cb returned;
 * for a path also what vfs_browse_find() says but that it is not there. */
int vfs_history_log(struct vfs_repo *repo, const struct vfs_history_query *q,
		    vfs_history_cb cb, void *arg, struct err *e);

/* One commit.  Return: 0 or -FAULT_SNAPSHOT_NOT_FOUND. */
int vfs_history_get(struct vfs_repo *repo, const struct vfs_oid *commit,
		    struct vfs_history_commit *out, struct err *e);

/**
 * vfs_history_resolve() - The commit that a person names
 * @reader: Knows turns whose refs are not made yet; NULL: do without
 * @rev:    A turn: the files as it left them; "HEAD" or NULL: the newest; a
 *	    commit's id, its first 7 or more digits, a ref.  Behind any of them
 *	    "~N", "^": so many commits before it
 *
 * Return: 0; -FAULT_TURN_NOT_FOUND when that turn has no commit here;
 * -FAULT_SNAPSHOT_NOT_FOUND, also when nothing was ever committed.
 */
int vfs_history_resolve(struct vfs_repo *repo, struct reader *reader,
			const char *rev, struct vfs_oid *out, struct err *e);

#endif
