/* SPDX-License-Identifier: Apache-2.0 */
/*
 * named.h - The thaw of a guest that was not started: whose disk it has
 *
 * A VM that begins with a copy of another one's disk boots with the store of that
 * one.  Before anything is fed to it the host says who it is, and which session
 * is which (rekey.h).  There are no agents; what they had open is ended by the
 * start that follows.
 */
#ifndef GUEST_NAMED_H
#define GUEST_NAMED_H

#include "guest/call.h"

struct guest;
struct named; /* Opaque. */

/* thaw {vm, sessions}: answered, with what the logs end with, once that is
 * stored.  Who asks meanwhile joins.  Return: 0; a refusal. */
int named_thaw(struct guest *g, struct call *c, struct err *e);
/* Is that under way? */
bool named_is_busy(const struct guest *g);

#endif
