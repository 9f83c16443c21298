/* SPDX-License-Identifier: Apache-2.0 */
/*
 * purge.h - Delete the rows of a session from every table
 */
#ifndef CORE_PURGE_H
#define CORE_PURGE_H

#include "core/db.h"

/* In the open transaction.  @host: the tables of hib.db, else of guest.db.
 * Return: 0; -FAULT_SESSION_NOT_FOUND. */
int purge_session(sqlite3 *db, const char *session, bool host, struct err *e);
/* Only those that follow from its events (core/project.h).  Return: < 0 when it
 * fails. */
int purge_projected(sqlite3 *db, const char *session, struct err *e);

#endif
