// SPDX-License-Identifier: Apache-2.0
/*
 * bulk.c - Long work on libuv's threads, a few pieces at a time
 *
 * The pool is one for the process, and so is this queue.  Only the thread of the
 * loop touches it.
 */
#include "host/bulk.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "core/base.h"

struct piece {
	STAILQ_ENTRY(piece) link;
	uv_work_t work;
	uv_loop_t *loop;
	uv_work_t *of; /* The caller's, and its functions. */
	uv_work_cb run;
	uv_after_work_cb done;
};

STAILQ_HEAD(piece_list, piece);

static struct piece_list waiting = STAILQ_HEAD_INITIALIZER(waiting);
static unsigned n_running;

static void begin_next(void);

static void piece_work(uv_work_t *w)
{
	struct piece *p = container_of(w, struct piece, work);

	p->run(p->of);
}

static void piece_on_worked(uv_work_t *w, int status)
{
	struct piece *p = container_of(w, struct piece, work);

	n_running--;
	begin_next();
	p->done(p->of, status);
	free(p);
}

static void begin_next(void)
{
	struct piece *p = STAILQ_FIRST(&waiting);

	if (p == NULL || n_running == BULK_MAX)
		return;
	STAILQ_REMOVE_HEAD(&waiting, link);
	n_running++;
	(void)uv_queue_work(p->loop, &p->work, piece_work, piece_on_worked);
}

void bulk_queue(uv_loop_t *loop, uv_work_t *w, uv_work_cb work,
		uv_after_work_cb done)
{
	struct piece *p = malloc(sizeof(*p));

	if (p == NULL)
		abort();
	*p = (struct piece){.loop = loop, .of = w, .run = work, .done = done};
	STAILQ_INSERT_TAIL(&waiting, p, link);
	begin_next();
}
