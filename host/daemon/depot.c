// SPDX-License-Identifier: Apache-2.0
/*
 * depot.c - The repository of one VM, and the work on it off the loop
 *
 * A lane has a queue and at most one request at the pool.  While a job runs, its
 * thread alone touches the lane's repository; between jobs the loop does.
 */
#include "host/daemon/depot.h"

#include <assert.h>
#include <string.h>

struct lane {
	struct depot *depot;
	bool writes;
	uv_work_t work;
	struct vfs_repo *repo; /* NULL: not open. */
	STAILQ_HEAD(job_list, depot_job) waiting;
	struct depot_job *running;
	bool held;
	bool resting; /* Close the repository when it is free. */
};

struct depot {
	uv_loop_t *loop;
	char *path;
	struct lane reader, writer;
	bool closing, freed;
	uv_idle_t idle; /* Ends what waits, once closing. */
	void (*closed)(void *arg);
	void *arg;
};

static void lane_go(struct lane *l);
static void depot_settle(struct depot *d);

/* --- on a thread of the pool -------------------------------------------- */

static int lane_open(struct lane *l, struct err *e)
{
	const char *path = l->depot->path;
	int r;

	if (l->repo != NULL)
		return 0;
	r = vfs_repo_open(path, !l->writes, &l->repo, e);
	if (r == -FAULT_FILE_NOT_FOUND && l->writes)
		return vfs_repo_create(path, &l->repo, e);
	if (r == -FAULT_FILE_NOT_FOUND)
		return err_set(e, r, "nothing of the workspace is stored yet");
	return r;
}

static void lane_work(uv_work_t *w)
{
	struct lane *l = w->data;
	struct depot_job *j = l->running;
	int r;

	r = lane_open(l, &j->err);
	if (r == 0)
		r = j->work(j, l->repo, &j->err);
	if (r < 0 && j->err.code == 0)
		err_set(&j->err, r, "workspace: %s", strerror(-r));
	if (r >= 0)
		j->err.code = 0;
}

/* --- on the loop -------------------------------------------------------- */

static void lane_end(struct lane *l, struct depot_job *j)
{
	struct err e = j->err;

	l->running = NULL;
	j->done(j, &e);
	if (l->depot->closing)
		depot_settle(l->depot);
	else
		lane_go(l);
}

static void lane_on_done(uv_work_t *w, int status)
{
	struct lane *l = w->data;

	(void)status;
	lane_end(l, l->running);
}

static void lane_run(struct lane *l, struct depot_job *j)
{
	assert(l->running == NULL);
	l->running = j;
	j->err = (struct err){0};
	/* It fails only without a function to run. */
	(void)uv_queue_work(l->depot->loop, &l->work, lane_work, lane_on_done);
}

static void lane_go(struct lane *l)
{
	struct depot_job *j = STAILQ_FIRST(&l->waiting);

	if (l->running != NULL || l->held || l->depot->closing)
		return;
	if (l->resting)
		vfs_repo_close(take_ptr(l->repo));
	l->resting = false;
	if (j == NULL)
		return;
	STAILQ_REMOVE_HEAD(&l->waiting, link);
	lane_run(l, j);
}

static void lane_add(struct lane *l, struct depot_job *j)
{
	STAILQ_INSERT_TAIL(&l->waiting, j, link);
	if (l->depot->closing)
		depot_settle(l->depot);
	else
		lane_go(l);
}

void depot_read(struct depot *d, struct depot_job *j)
{
	lane_add(&d->reader, j);
}

void depot_write(struct depot *d, struct depot_job *j)
{
	lane_add(&d->writer, j);
}

void depot_hold(struct depot *d)
{
	assert(!d->writer.held && d->writer.running == NULL);
	d->writer.held = true;
}

void depot_next(struct depot *d, struct depot_job *j)
{
	assert(d->writer.held);
	if (d->closing)
		lane_add(&d->writer, j);
	else
		lane_run(&d->writer, j);
}

void depot_release(struct depot *d)
{
	assert(d->writer.held);
	d->writer.held = false;
	if (d->closing)
		depot_settle(d);
	else
		lane_go(&d->writer);
}

void depot_rest(struct depot *d)
{
	d->reader.resting = d->writer.resting = true;
	lane_go(&d->reader);
	lane_go(&d->writer);
}

/* --- life --------------------------------------------------------------- */

static void lane_init(struct lane *l, struct depot *d, bool writes)
{
	l->depot = d;
	l->writes = writes;
	l->work.data = l;
	STAILQ_INIT(&l->waiting);
}

struct depot *depot_new(uv_loop_t *loop, const char *path)
{
	struct depot *d = calloc(1, sizeof(*d));

	if (d == NULL)
		return NULL;
	d->loop = loop;
	d->path = strdup(path);
	if (d->path == NULL) {
		free(d);
		return NULL;
	}
	lane_init(&d->reader, d, false);
	lane_init(&d->writer, d, true);
	uv_idle_init(loop, &d->idle);
	d->idle.data = d;
	return d;
}

const char *depot_path(const struct depot *d)
{
	return d->path;
}

static void depot_on_closed(uv_handle_t *h)
{
	struct depot *d = h->data;

	if (d->closed != NULL)
		d->closed(d->arg);
	free(d->path);
	free(d);
}

static void lane_cancel(struct lane *l)
{
	struct depot_job *j;

	while ((j = STAILQ_FIRST(&l->waiting)) != NULL) {
		struct err e = {0};

		STAILQ_REMOVE_HEAD(&l->waiting, link);
		err_set(&e, -ECANCELED, "the workspace is closed");
		j->done(j, &e);
	}
}

/* Closing: end what waits; the last one out frees. */
static void depot_on_idle(uv_idle_t *h)
{
	struct depot *d = h->data;

	uv_idle_stop(h);
	lane_cancel(&d->reader);
	lane_cancel(&d->writer);
	if (d->freed || d->reader.running != NULL ||
	    d->writer.running != NULL || d->writer.held)
		return;
	d->freed = true;
	vfs_repo_close(d->reader.repo);
	vfs_repo_close(d->writer.repo);
	uv_close((uv_handle_t *)h, depot_on_closed);
}

static void depot_settle(struct depot *d)
{
	if (!d->freed)
		uv_idle_start(&d->idle, depot_on_idle);
}

void depot_close(struct depot *d, void (*closed)(void *arg), void *arg)
{
	if (d == NULL)
		return;
	d->closing = true;
	d->closed = closed;
	d->arg = arg;
	depot_settle(d);
}
