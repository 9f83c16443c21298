/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sideloop.h - A second thread with a loop of its own
 *
 * What must go on while the main loop is busy, or may not be kept waiting by
 * it, lives on the side loop.  The two share nothing; jobs go over and come
 * back through a mailbox.  Calls are made on the home loop's thread unless said.
 */
#ifndef GUEST_SIDELOOP_H
#define GUEST_SIDELOOP_H

#include <sys/queue.h>
#include <uv.h>

#include "core/err.h"

struct sideloop; /* Opaque. */

/* Work for the side loop.  Owned by whoever posts it, in place until done. */
struct sideloop_job {
	/* On the side loop.  Leads to one sideloop_end(), at once or later. */
	void (*run)(struct sideloop_job *job);
	/* On the home loop, or in sideloop_close(). */
	void (*done)(struct sideloop_job *job);

	/* Private. */
	struct sideloop *side;
	STAILQ_ENTRY(sideloop_job) link;
};

/* Make the loop; nothing runs on it yet, so handles may be made on it. */
int sideloop_open(uv_loop_t *home, struct sideloop **out, struct err *e);
/* Start the thread.  It keeps @home alive only while jobs are out. */
int sideloop_start(struct sideloop *s, struct err *e);
uv_loop_t *sideloop_loop(struct sideloop *s);

void sideloop_post(struct sideloop *s, struct sideloop_job *job);
/* On the side loop: give a job back. */
void sideloop_end(struct sideloop_job *job);

/**
 * sideloop_close() - Wait for the thread's end, and free it
 * @stop: Runs on the side loop as the last job: it closes every handle there and
 *        lets the jobs that are under way end.  May be NULL
 *
 * All jobs are done when this returns.  The mailbox's handle then closes on the
 * home loop.  A NULL @s is allowed.
 */
void sideloop_close(struct sideloop *s, void (*stop)(void *arg), void *arg);

#endif
