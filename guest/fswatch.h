/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fswatch.h - What happens to the files of the workspace, as it happens
 *
 *	watch {path: "/", recursive: false}
 *		-> {"watching": folders} LF, then lines:
 *	{"type":"create"|"modify"|"delete","path"}
 *	{"type":"rename","path","from"}
 *	{"type":"overflow"}
 *
 * with "directory":true of one.  modify is told when a writer has closed the
 * file, and when its mode has changed.  Of a folder that came with things in it,
 * these are told as created, some perhaps twice.  A reader who is too slow gets
 * one overflow in the place of what was lost, and looks again for himself.  The
 * stream ends when what is watched is gone.
 *
 * Changes under a mount of the host's, made on the host, may stay unseen.
 */
#ifndef GUEST_FSWATCH_H
#define GUEST_FSWATCH_H

#include "core/h2.h"
#include "core/json.h"
#include "guest/fspool.h"

struct fstree;
struct fswatches; /* Opaque: all of them. */

/* @tree: what is watched; borrowed. */
int fswatches_open(uv_loop_t *loop, struct fspool *pool,
		   const struct fstree *tree, struct fswatches **out);
/* Answer @s from here on; @params are not kept. */
void fswatch_start(struct fswatches *all, struct h2_stream *s,
		   struct jv params);
/* The streams have ended before.  The memory goes when the pool has been closed
 * and the loop has closed the handles.  NULL is allowed. */
void fswatches_close(struct fswatches *all);

#endif
