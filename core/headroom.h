/* SPDX-License-Identifier: Apache-2.0 */
/*
 * headroom.h - Room in a write-ahead log before it is needed
 *
 * A commit that makes its log longer has to wait for the file system's own
 * journal, too, since the new length must be on disk with it; one that writes
 * over what is there waits for its data alone, which takes about half as long.
 * So the log is made longer between commits, by zeros, which to SQLite are the
 * end of the log: no frame begins with a page of number 0.
 */
#ifndef CORE_HEADROOM_H
#define CORE_HEADROOM_H

#include <sqlite3.h>
#include <stddef.h>

/* Bytes that are made at a time, when less than half of them are left. */
#define HEADROOM_BYTES (1u << 20)

/* Make room, on disk, behind the first @used bytes of the log of @db if there is
 * too little; not beyond @max.  No transaction of @db may be open.  That it
 * cannot be done (a full disk, another writer) costs time later, nothing else. */
void headroom_make(sqlite3 *db, size_t used, size_t max);

#endif
