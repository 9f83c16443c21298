/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stall.h - Have a thread give up what does not come
 *
 * For a library that waits without a deadline (libgit2, for a server).  A second
 * thread looks whether the first has got on lately.  When it has not, it is sent
 * STALL_SIGNAL, by which its system call ends with EINTR, and again until it has
 * come back: one that comes between two calls ends none.
 *
 * The signal's handler, which does nothing, stays that of the process.
 */
#ifndef VFS_STALL_H
#define VFS_STALL_H

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

#define STALL_SIGNAL SIGUSR2

struct stall {
	/* Private. */
	pthread_t waits, looks;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned silent_ms, ticks;
	bool stalled, over;
};

/* From here on the calling thread must get on every @silent_ms.  @s stays where
 * it is.  Return: 0, or -errno and nothing has begun. */
int stall_begin(struct stall *s, unsigned silent_ms);
/* It has got on. */
void stall_tick(struct stall *s);
/* By the same thread.  Return: it had to be interrupted. */
bool stall_end(struct stall *s);

#endif
