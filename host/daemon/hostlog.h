/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hostlog.h - The host as the writer of a log, while its VM is off
 *
 * Allowed only for a session whose whole tail the host holds, or whose tail is
 * declared lost with the VM's disk: so no event ever follows the terminal event
 * of its turn, and nobody sees a number that is taken back.  Each hand-over
 * takes a new epoch, which fences out a guest that does not know of it.
 */
#ifndef HOST_DAEMON_HOSTLOG_H
#define HOST_DAEMON_HOSTLOG_H

#include "host/daemon/daemon.h"

struct hostlog_entry {
	const char *type;
	const char *data; /* JSON object. */
	const char *turn; /* NULL: none. */
};

typedef void (*hostlog_done_cb)(const struct err *e, void *arg);

/* Does the host hold everything the guest ever wrote of it? */
bool hostlog_tail_complete(struct hibd *d, const struct session_brief *b);

/* Append @n events after b->last_seq, with a new epoch. */
void hostlog_append(struct hibd *d, const struct session_brief *b,
		    const struct hostlog_entry *entries, unsigned n,
		    hostlog_done_cb cb, void *arg);

/* Close every session of a VM that is off; @cb when all are. */
void hostlog_close_all(struct hibd *d, const char *vm, const char *reason,
		       hostlog_done_cb cb, void *arg);

/* What closes the session: events for a state in which nothing runs.
 * @buf holds the text.  Return: number of entries, 0 when it is closed. */
unsigned hostlog_closing(const struct session_brief *b, const char *reason,
			 char *buf, size_t cap, struct hostlog_entry out[2]);

#endif
