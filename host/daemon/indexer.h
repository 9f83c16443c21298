/* SPDX-License-Identifier: Apache-2.0 */
/*
 * indexer.h - Fill the search index behind the writing of the log
 *
 * Off the hot path: texts are read by a thread of the pool, a while after a
 * turn has ended, and put into the index in small transactions between those of
 * the log.  A session's row of search_state says how far the index is and moves
 * with it, so a hibd that is killed misses nothing and repeats nothing.
 */
#ifndef HOST_DAEMON_INDEXER_H
#define HOST_DAEMON_INDEXER_H

#include "core/event.h"
#include "core/store.h"

#define INDEXER_DELAY_MS    250		 /* From an event to its indexing. */
#define INDEXER_SLICE_BYTES (256u << 10) /* Text of one transaction. */
#define INDEXER_TOUCHED_MAX 256 /* Sessions noted; more: all are looked at. */

struct indexer; /* Opaque. */

/* Starts with what earlier processes have left.  @db: path, copied.
 * NULL: out of memory. */
struct indexer *indexer_new(uv_loop_t *loop, struct store *s, const char *db);
/* Before the store is closed.  Its memory goes when its work has ended. */
void indexer_close(struct indexer *x); /* NULL is allowed. */

/* An event that is no acp.* was stored: does the index have to follow? */
void indexer_on_event(struct indexer *x, const struct event *ev);

#endif
