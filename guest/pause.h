/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pause.h - Sleep with memory: the guest stands still, and goes on later
 *
 *	SERVING --freeze {warm}--> PAUSING --> PAUSED --thaw--> THAWING --> SERVING
 *	   ^                          |           |
 *	   '--- cannot be done -------'           '-- freeze, poweroff, SIGTERM
 *	                                              --> (thaw) --> FREEZING
 *
 * Paused, every other process of the VM is stopped, nothing is read from any, no
 * timer runs, and all that has happened is in the log, which goes on flowing to
 * the host.  Whoever keeps the memory from then on, or copies it, may have the
 * guest go on from exactly there.
 */
#ifndef GUEST_PAUSE_H
#define GUEST_PAUSE_H

#include "guest/call.h"

struct guest;

/* freeze {"warm":true, reason, deadline_ms}: answered with what the log ends
 * with, once the guest is paused; when it cannot be in time, all goes on, and the
 * answer is not_ready.  Return: 0; a refusal. */
int guest_pause(struct guest *g, struct call *c, struct err *e);
/* thaw: answered once the sessions are stored as going on.  One that is not
 * paused is thawed already; for one that is not started see named.h.  Return: 0; a refusal. */
int guest_thaw(struct guest *g, struct call *c, struct err *e);

/* Take the next step, if it can be taken. */
void pause_step(struct guest *g);
/* Go on at once, whoever has asked for a pause; harmless without one. */
void pause_end(struct guest *g, const char *reason);
/* Is nothing read but what the host says? */
bool pause_is_still(const struct guest *g);
/* The guest ends, as it is. */
void pause_abandon(struct guest *g);

#endif
