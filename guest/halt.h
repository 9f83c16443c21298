/* SPDX-License-Identifier: Apache-2.0 */
/*
 * halt.h - Stop every process of the VM but ourselves, and continue them
 *
 * By SIGSTOP to all at once, which only process 1 may do to a whole VM and no
 * process can refuse: the kernel makes it one step against fork(2), it reaches
 * those in namespaces below, and their process 1 too, as it comes from above.
 * A process that was stopped before, by its user, stays so afterwards.
 *
 * Programs may notice two things: some system calls that wait (signal(7) has the
 * list, epoll_wait(2) is one) fail with EINTR, and one that handles SIGCONT gets
 * it.  A debugger is told of both signals by what it traces.
 */
#ifndef GUEST_HALT_H
#define GUEST_HALT_H

#include <sys/types.h>

#include "core/base.h"

/* Zeroed before; all is private. */
struct halt {
	bool on;
	pid_t *before; /* Those that were stopped already. */
	size_t n, cap;
};

/* Threads that have not stopped yet. */
struct halt_count {
	unsigned running;
	unsigned waiting; /* In a system call that ends before they stop. */
};

/* Stop them; they do a little later.  Return: 0; -EPERM when we are not process
 * 1 of a VM, and nothing is stopped; another negative errno. */
int halt_begin(struct halt *h);
/* Have they?  Return: 0 or a negative errno. */
int halt_count(struct halt_count *out);
/* Continue them.  Harmless when they were not stopped. */
void halt_end(struct halt *h);

#endif
