/* SPDX-License-Identifier: Apache-2.0 */
/*
 * execs.h - Programs that are run from outside, over a sleep of their VM
 *
 * A warm sleep may end the channel, and with it the streams of such programs
 * (guest/exec.h).  Before it does the host has taken all that they wrote, so that
 * nothing is lost and nothing comes twice when it goes back to them.
 */
#ifndef HOST_DAEMON_EXECS_H
#define HOST_DAEMON_EXECS_H

#include "core/json.h"
#include "host/daemon/daemon.h"

struct vm;

/* The guest is paused, and @sent, {id: bytes}, is what it has written to each; one
 * of which that cannot be true is ended.  Nothing: it is not paused. */
void execs_expect(struct hibd *d, const char *vm, struct jv sent);
/* Has less than that come of one?  What comes last is told by
 * vm_execs_came(). */
bool execs_are_behind(struct hibd *d, const char *vm);
/* The ids of those that have lost their stream to the sleep, a list. */
void execs_write(struct hibd *d, const char *vm, struct jw *w);
/* It goes on: so do they. */
void execs_attach(struct hibd *d, struct vm *vm);
/* It does not: they have ended. */
void execs_end(struct hibd *d, const char *vm);

#endif
