/* SPDX-License-Identifier: Apache-2.0 */
/*
 * steps.h - What to do to the files of a workspace so that some paths are as in
 * another commit
 *
 * Folders that both commits have alike are not looked into, so it takes as long
 * as there are differences.  A file that is replaced is one step, and so is a
 * link; a folder is removed before a file takes its place, and the other way
 * round.
 */
#ifndef HOST_DAEMON_STEPS_H
#define HOST_DAEMON_STEPS_H

#include "host/daemon/retake.h"
#include "vfs/entry.h"

#define STEPS_MAX (1u << 18) /* More is -FAULT_MESSAGE_TOO_LARGE. */

enum step_kind {
	STEP_REMOVE, /* With what is in it. */
	STEP_FOLDER, /* Make it. */
	STEP_FILE,   /* Write it, over whatever is there. */
	STEP_LINK,   /* The same. */
	STEP_MODE,   /* Set the permissions. */
};

struct step {
	enum step_kind kind;
	uint32_t mode;	    /* Permissions. */
	struct vfs_oid oid; /* Of the content. */
	char *path;	    /* As vfs/path.h makes them. */
};

struct steps {
	struct step *v; /* In this order. */
	size_t n, cap;
};

/**
 * steps_find() - Compare two commits
 * @t:	    The paths
 * @has:    The commit of what is there; NULL: no file is there
 * @wanted: The other one
 * @out:    Zeroed; steps_done() whatever this returns
 *
 * On the pool.  Return: 0; -FAULT_FILE_NOT_FOUND when a path is in neither.
 */
int steps_find(const struct retake *t, struct vfs_repo *repo,
	       const struct vfs_oid *has, const struct vfs_oid *wanted,
	       struct steps *out, struct err *e);
void steps_done(struct steps *s);

#endif
