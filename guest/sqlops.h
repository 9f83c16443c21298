/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sqlops.h - What is asked of databases, off the loop
 *
 * Those of one session are done one by one, in order; of several sessions a few
 * at a time.
 */
#ifndef GUEST_SQLOPS_H
#define GUEST_SQLOPS_H

#include <uv.h>

#include "core/id.h"
#include "core/json.h"

struct sqlops; /* Opaque. */
struct sqlop;

enum sql_verb {
	SQL_DO_EXECUTE,
	SQL_DO_QUERY,
	SQL_DO_SCHEMA,
	SQL_DO_LIST,
	SQL_DO_DROP,
	SQL_DO_COPY,   /* All of them, for session @to. */
	SQL_DO_RENAME, /* All of them become those of session @to. */
	SQL_DO_REMOVE, /* All of them. */
};

struct sql_ask {
	enum sql_verb verb;
	const char *db, *sql; /* Where the verb needs them. */
	struct jv params;     /* As of struct sqlrun. */
	int64_t timeout_ms;   /* 0: the longest. */
	const char *to;
};

/* @json: the result, an object, while @e is NULL. */
typedef void (*sqlop_cb)(const char *json, const struct err *e, void *arg);

/* @state: folder of guest.db; borrowed. */
int sqlops_open(uv_loop_t *loop, const char *state, struct sqlops **out);
/* What is under way is cancelled and ends, during this call.  NULL is allowed. */
void sqlops_close(struct sqlops *o);

/**
 * sqlops_ask() - Have it done
 * @a:   Copied
 * @cb:  Once, never during this call
 * @out: To cancel it with, until @cb; may be NULL
 *
 * Return: 0; -FAULT_INVALID_ARGUMENT; -FAULT_MESSAGE_TOO_LARGE;
 * -FAULT_OVERLOADED; -ENOMEM.
 */
int sqlops_ask(struct sqlops *o, const char *session, const struct sql_ask *a,
	       sqlop_cb cb, void *arg, struct sqlop **out, struct err *e);
/* Its end is told all the same, soon. */
void sqlop_cancel(struct sqlop *op);

/* Has all been done? */
bool sqlops_are_idle(const struct sqlops *o);
/* Remove what belongs to no session, for some time: @known says which there
 * are. */
void sqlops_sweep(struct sqlops *o,
		  bool (*known)(const char *session, void *arg), void *arg);

/* The verb of a name: execute, query, schema, list, drop.  -1: none. */
int sql_verb_from_name(const char *name);

#endif
