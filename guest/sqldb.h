/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqldb.h - The databases of a session, as files
 *
 * STATE/sql/SESSION/NAME.db, and a journal beside it while it is written.  The
 * folder says which there are.  All of this blocks; for a thread that may wait,
 * one at a time for a session.
 */
#ifndef GUEST_SQLDB_H
#define GUEST_SQLDB_H

#include <limits.h>

#include "core/json.h"

/* Letters, digits and _, no digit first.  Return: 0 or
 * -FAULT_INVALID_ARGUMENT. */
int sqldb_check_name(const char *name, struct err *e);

/* The folder of a session; need not be there. */
void sqldb_folder(const char *state, const char *session, char out[PATH_MAX]);

/**
 * sqldb_place() - The file of a database, and how large it may grow
 * @make: Make the folder, and have room for one more
 *
 * Return: 0; -FAULT_QUOTA_EXCEEDED; -FAULT_INVALID_ARGUMENT...
 */
int sqldb_place(const char *folder, const char *name, bool make,
		char out[PATH_MAX], int64_t *max_bytes, struct err *e);

/* {"databases":[{"name","bytes"}]}, by name. */
int sqldb_list(const char *folder, struct jw *out, struct err *e);
/* Return: 0 or -FAULT_FILE_NOT_FOUND. */
int sqldb_drop(const char *folder, const char *name, struct err *e);
/* Remove the folder with all in it; none is fine. */
int sqldb_remove(const char *folder, struct err *e);

/* The folder becomes @to, on disk when this returns; none, because that was done
 * before or there are no databases, is fine. */
int sqldb_rename(const char *folder, const char *to, struct err *e);

/* A consistent copy of all of them in a folder of their own; it appears whole or
 * not at all, and synced.  No databases, no folder.  What an earlier attempt has
 * left there is removed. */
int sqldb_copy(const char *folder, const char *to, struct err *e);

#endif
