/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlguard.h - What strangers' SQL may do in its database, and how much
 *
 * Tables, indexes, views, triggers and rows of the one database; nothing of any
 * other file, nothing of the process, no transaction of its own.
 */
#ifndef GUEST_SQLGUARD_H
#define GUEST_SQLGUARD_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum sql_stop { SQL_GOES, SQL_TIME, SQL_CANCELLED };

struct sqlguard {
	/* In. */
	int64_t deadline_ns;	      /* Of CLOCK_MONOTONIC. */
	const atomic_bool *cancelled; /* May be NULL. */
	/* Out. */
	enum sql_stop stop;  /* Why it was interrupted. */
	const char *refused; /* What was, in words; NULL: nothing. */
};

/* A new connection: its limits, and nothing that the file says is trusted. */
int sqlguard_open(sqlite3 *db);
/* From now on, and until it is lifted, what is prepared is strangers'. */
void sqlguard_begin(struct sqlguard *g, sqlite3 *db);
void sqlguard_end(sqlite3 *db);

#endif
