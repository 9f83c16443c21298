/* SPDX-License-Identifier: Apache-2.0 */
/*
 * workspace_disk.h - The folders that /workspace is made of
 *
 *	upper/	what was written
 *	work/	overlay's own, and files that are being checked out
 *	cache/	what was fetched
 *	old/	the upper/ of before a reset, until its ignored trees are moved
 *	trash/	what is to be removed
 *
 * Calls block.  A reset that was killed at any step is begun again, or finished,
 * by the next one.
 */
#ifndef GUEST_WORKSPACE_DISK_H
#define GUEST_WORKSPACE_DISK_H

#include <stdatomic.h>

#include "guest/workspace_state.h"

/* Make what is missing.  @dir: the folder they are in. */
int workspace_disk_make(int dir, struct err *e);
/* Put upper/ aside as old/, with an empty one in its place.  @now: the state
 * that it was in. */
int workspace_disk_reset(int dir, const struct workspace_state *now,
			 struct err *e);
/* Have old/, if it is there, removed with the rest of the trash. */
int workspace_disk_drop_old(int dir, struct err *e);
/* The same with what is in work/. */
int workspace_disk_drop_work(int dir, struct err *e);
bool workspace_disk_has_trash(int dir);
/* Remove what is in trash/, as far as that goes, until *@stop. */
void workspace_disk_empty_trash(int dir, const atomic_bool *stop);

#endif
