/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sql_calls.h - What the host and the guest's life ask of databases
 */
#ifndef GUEST_SQL_CALLS_H
#define GUEST_SQL_CALLS_H

#include "guest/guest.h"

/* Methods, as in calls.c: {session, op, db, sql, params, timeout_ms}, see
 * sqlrun.h and sqldb.h for the results... */
int guest_sql(struct guest *g, struct call *c, struct err *e);
/* ...and {session, to}: copies of all databases for a fork that is to come. */
int guest_sql_fork(struct guest *g, struct call *c, struct err *e);

/* Remove what a fork that never came has here. */
void guest_purge_sql(struct guest *g, struct jv session);
/* All sessions are known: remove the databases of those that never came. */
void guest_sweep_sql(struct guest *g);

#endif
