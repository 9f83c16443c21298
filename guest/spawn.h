/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn.h - Start a session init and hold the ends of its pipes
 */
#ifndef GUEST_SPAWN_H
#define GUEST_SPAWN_H

#include <sys/types.h>

#include "guest/proc.h"

/* What the parent holds of a child; every descriptor is close-on-exec, -1 when
 * there is none, and owned by whoever got the struct.  The pidfd of an init that
 * another one makes comes with its report INIT_BORN. */
struct spawn {
	int pidfd; /* Of the init; readable once all of its namespace is gone. */
	int status; /* Seqpacket socket: struct init_report of it. */
	int in;	    /* Write end of stdin. */
	int out;    /* Read end of stdout. */
	int err;    /* Read end of stderr. */
};

/**
 * spawn_start() - Start the init that starts the program
 * @spec: What to run; complete when this returns
 * @join: Of the program in whose namespaces it is to run, or NULL
 * @out:  Set on success
 * @e:    Set on failure
 *
 * Blocks for the time of one execve(), and only the calling thread; with @join
 * not at all.
 *
 * Return: 0 or a negative errno.
 */
int spawn_start(const struct proc_spec *spec, const struct spawn *join,
		struct spawn *out, struct err *e);

/* Close what is still open.  Starts and ends nothing else. */
void spawn_done(struct spawn *s);

#endif
