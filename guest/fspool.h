/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fspool.h - Threads that wait for file systems, so that the loop does not
 *
 * They are not libuv's: a file of /workspace may come from the host by way of a
 * loop of ours, whose own work must never queue behind those who wait for it.
 * In a VM they work as the agents' user with no capability, so that the kernel
 * decides what they may reach, and what they make belongs to the agents.
 */
#ifndef GUEST_FSPOOL_H
#define GUEST_FSPOOL_H

#include <sys/queue.h>
#include <uv.h>

#include "core/base.h"

struct fspool; /* Opaque. */

/* A piece of work, embedded by whoever wants it done. */
struct fswork {
	void (*run)(struct fswork *w);	/* On some thread. */
	void (*done)(struct fswork *w); /* Then on the loop. */
	TAILQ_ENTRY(fswork) link;	/* Private. */
};

/* No thread runs before there is work.  @as_agent: see above.
 * Return: 0 or a negative errno. */
int fspool_open(uv_loop_t *loop, bool as_agent, struct fspool **out);
/* Have it done; in order, FS_THREADS at a time.  Neither function runs before
 * this returns. */
void fspool_submit(struct fspool *p, struct fswork *w);
/* Has all that was submitted been done? */
bool fspool_is_idle(const struct fspool *p);
/* Wait for what runs and throw away what waits; no @done comes any more, but
 * that of everything submitted, during this call.  NULL is allowed. */
void fspool_close(struct fspool *p);

#endif
