/* SPDX-License-Identifier: Apache-2.0 */
/*
 * append.h - Putting batches of events into the open transaction
 *
 * The part of the store that knows numbering, epochs and chain hashes.  For the
 * writer thread alone.  It remembers where the logs that it wrote last end, so
 * the usual append reads nothing.
 */
#ifndef CORE_APPEND_H
#define CORE_APPEND_H

#include "core/db.h"
#include "core/store.h"

#define APPEND_SESSIONS 256 /* Ends of logs remembered. */

/* Where a session's log ends. */
struct append_end {
	char session[ID_MAX]; /* "": a free place. */
	int64_t n, last_seq, epoch, chain;
};

struct append {
	/* Private. */
	struct db_cache cache;
	bool host;
	struct append_end ends[APPEND_SESSIONS];
};

void append_init(struct append *a, sqlite3 *db, bool host);
void append_done(struct append *a);

/* Return: 0 with @b's acked and n_stored_before set, or an error of
 * store_append(); then the caller rolls back. */
int append_batch(struct append *a, struct store_batch *b, struct err *e);

/* As store_claim(). */
int append_claim(struct append *a, const char *session, int64_t epoch,
		 struct err *e);

/* Whatever was remembered may be wrong: after a rollback or a purge. */
void append_forget(struct append *a);

#endif
