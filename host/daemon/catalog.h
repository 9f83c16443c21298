/* SPDX-License-Identifier: Apache-2.0 */
/*
 * catalog.h - Writes to the host's own tables of hib.db
 *
 * VMs, their log, tokens, sealed secrets, tombstones.  A change is one or more
 * statements that the store's writer runs in one transaction with whatever else
 * it has, so a change costs no commit of its own.
 */
#ifndef HOST_DAEMON_CATALOG_H
#define HOST_DAEMON_CATALOG_H

#include "core/store.h"

#define CATALOG_ARGS_MAX 12

struct sqlite3;
struct change; /* Statements to run together; opaque. */

typedef void (*change_done_cb)(const struct err *e, void *arg);

/* Never NULL: out of memory shows at change_submit(). */
struct change *change_new(void);

/* Add a statement with @n text arguments (const char *, copied; NULL binds
 * NULL; STRICT columns convert numbers by themselves). */
void change_add(struct change *c, const char *sql, unsigned n, ...);
/* The same for integers, as text: valid until the next call but eight. */
const char *int_text(int64_t n);

/* On the writer thread, within another job of it; the change stays the
 * caller's.  Return: 0 or why, and then that job has to be undone. */
int change_apply(struct change *c, struct sqlite3 *db, struct err *e);

/* Give up a change that is not submitted. */
void change_free(struct change *c);

/* Hand over.  @cb (may be NULL, then a failure is logged) runs on the loop. */
void change_submit(struct store *s, struct change *c, change_done_cb cb,
		   void *arg);

/* Run @cb once all that was handed over before is stored. */
void change_await(struct store *s, change_done_cb cb, void *arg);

/* Add to the log of a VM: seq is the next of that VM. */
void change_add_vm_event(struct change *c, const char *vm, const char *type,
			 const char *data);

#endif
