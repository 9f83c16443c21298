/* SPDX-License-Identifier: Apache-2.0 */
/*
 * depot.h - The repository of one VM, and the work on it off the loop
 *
 * Git work may take long, so it runs on the pool, in two lanes of one job at a
 * time: one that reads and one that writes.  So a repository has one writer, a
 * VM never has more than two threads of the pool, and what waits, waits here.
 * The repository is made by the first job that writes.
 *
 * A job must never wait for anybody outside, least of all a guest: who gets its
 * data in pieces holds the lane (depot_hold()) and does one job a piece.
 */
#ifndef HOST_DAEMON_DEPOT_H
#define HOST_DAEMON_DEPOT_H

#include <sys/queue.h>
#include <uv.h>

#include "core/err.h"
#include "vfs/repo.h"

struct depot; /* Opaque. */

/* Owned by who submits it, in place until done() was called. */
struct depot_job {
	/* On a thread of the pool.  @repo is the lane's; it is kept open. */
	int (*work)(struct depot_job *j, struct vfs_repo *repo, struct err *e);
	/* On the loop, exactly once, never before the submission returned:
	 * e->code is 0 or what work() said; -FAULT_FILE_NOT_FOUND for a reader
	 * where there is no repository yet; -ECANCELED when the depot closed
	 * before it ran. */
	void (*done)(struct depot_job *j, const struct err *e);
	/* Private. */
	STAILQ_ENTRY(depot_job) link;
	struct err err;
};

/* @path: of the repository, copied; need not be there.  NULL: out of memory. */
struct depot *depot_new(uv_loop_t *loop, const char *path);
/* What waits is cancelled once this has returned, what runs ends as usual; then
 * @d is freed.  @closed (may be NULL) runs before that, on the loop: nobody
 * uses the repository any more.  NULL is allowed. */
void depot_close(struct depot *d, void (*closed)(void *arg), void *arg);

const char *depot_path(const struct depot *d);

void depot_read(struct depot *d, struct depot_job *j);
void depot_write(struct depot *d, struct depot_job *j);

/*
 * Within done() of a job that wrote: keep the lane.  No other job of it runs
 * until the holder gives it back; its own are depot_next(), one at a time.
 */
void depot_hold(struct depot *d);
void depot_next(struct depot *d, struct depot_job *j);
void depot_release(struct depot *d);

/* The VM sleeps: close the repository until somebody asks again. */
void depot_rest(struct depot *d);

#endif
