/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint.h - Tell the host what has changed in /workspace
 *
 * One checkpoint is made at a time, the others wait in order.  One that finds
 * nothing changed does not speak to the host at all.  What the host did not take
 * is told again by the next one.
 *
 * Calls and callbacks are of the main loop.
 */
#ifndef GUEST_CHECKPOINT_H
#define GUEST_CHECKPOINT_H

#include "core/id.h"
#include "guest/workspace.h"

/* A commit, or none. */
struct checkpoint_commit {
	bool has;
	struct vfs_oid oid;
};

/* One checkpoint.  Owned by whoever starts it, in place until done. */
struct checkpoint {
	/* Set before. */
	const char *reason;		    /* turn, sleep, request, late. */
	char session[ID_MAX], turn[ID_MAX]; /* Whose it is; "" for none. */
	int64_t n, seq;			    /* Of the turn; of its log. */
	bool wants_diff;
	bool knows_from;	       /* Else: from what it was before. */
	struct checkpoint_commit from; /* Where the diff begins. */
	uint64_t wait_ms;	       /* For the host, when it is away. */
	/* Once; @e says why there is none:
	 *   -FAULT_GUEST_UNREACHABLE  the host is away
	 *   -ECANCELED		       the guest ends
	 * or what the host or the disk said. */
	void (*done)(struct checkpoint *c, const struct err *e);

	/* Set when it is done without an error. */
	bool changed;		       /* There is something to tell. */
	struct checkpoint_commit head; /* The newest commit of this VM. */
	char *answer;		       /* The host's; NULL: it was not asked. */
	size_t answer_len;

	/* Private. */
	TAILQ_ENTRY(checkpoint) link;
};

struct checkpoints; /* Opaque. */

/* @vfs: folder of vfs.db.  @lower, @view: where the commits and the workspace are
 * seen; borrowed for good.  NULL: out of memory. */
struct checkpoints *checkpoints_new(struct workspace *ws, const char *vfs,
				    const char *lower, const char *view);
/* Begin no other: call it before workspace_close(), which waits for the one
 * that runs. */
void checkpoints_stop(struct checkpoints *cs);
/* Afterwards.  Those that wait are told -ECANCELED. */
void checkpoints_free(struct checkpoints *cs); /* Both: NULL is allowed. */

/* The workspace is mounted.  @c is zeroed but for what is set before. */
void checkpoint_start(struct checkpoints *cs, struct checkpoint *c);
/* Free what a finished one holds. */
void checkpoint_done(struct checkpoint *c);

/* The newest commit.  False before the first checkpoint of this boot. */
bool checkpoints_head(const struct checkpoints *cs,
		      struct checkpoint_commit *out);

/* Somebody outside the sessions has written to the workspace: the next turn
 * begins with a checkpoint, so that it is not the turn's. */
void checkpoints_touch(struct checkpoints *cs);
/* An earlier boot may have told the host what it did not write down: the next one
 * asks it, whatever has changed.  Before the first. */
void checkpoints_doubt(struct checkpoints *cs);
/* Has that not been written down? */
bool checkpoints_are_doubtful(const struct checkpoints *cs);
/* Is one under way? */
bool checkpoints_are_busy(const struct checkpoints *cs);
/* Is there something that is not to be taken for a turn's: was it touched, or is
 * a checkpoint under way? */
bool checkpoints_are_due(const struct checkpoints *cs);

#endif
