/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proctab.h - All processes of the VM at one moment
 *
 * Read from /proc, so in our numbering of pids.  A process may have ended, and
 * its pid have another owner, by the time that it is looked at: whoever acts on
 * one does so by proctab_open().
 */
#ifndef GUEST_PROCTAB_H
#define GUEST_PROCTAB_H

#include <sys/types.h>

#include "core/base.h"

#define PROCTAB_NAME 16 /* Bytes of a name, its NUL included. */

struct proctab_entry {
	pid_t pid, parent, sid;
	uint64_t start; /* Ticks of the boot clock. */
	int threads;
	bool zombie;
	char name[PROCTAB_NAME];
};

struct proctab {
	struct proctab_entry *v; /* By pid. */
	size_t n, cap;
};

/* Return: 0 or a negative errno.  @t: zeroed, or read before. */
int proctab_read(struct proctab *t);
void proctab_done(struct proctab *t);

/* NULL when there was none. */
const struct proctab_entry *proctab_find(const struct proctab *t, pid_t pid);
/* The ancestor of @e that is a child of @above, or @e itself if it is one; NULL
 * when it does not descend from @above. */
const struct proctab_entry *proctab_child_of(const struct proctab *t,
					     const struct proctab_entry *e,
					     pid_t above);

/* A pidfd of just this process, or a negative errno when it is gone. */
int proctab_open(const struct proctab_entry *e);

/* The boot clock, in the same ticks. */
uint64_t proctab_now(void);

#endif
