// SPDX-License-Identifier: Apache-2.0
/*
 * qmp_run.c - Take a machine's QEMU through a list of steps
 *
 * A migration is over when QEMU says so in an event (the capability `events`);
 * its command has been answered long before.  One timer does for all that is
 * waited for here; qmp.c has its own for each answer.
 */
#include "host/qmp_run.h"

#include <assert.h>
#include <string.h>

#include "host/launched.h"

#define CONNECT_AGAIN_MS 2
#define CONNECT_TRIES	 (QMP_CONNECT_MS / CONNECT_AGAIN_MS)

struct qmp_run {
	uv_loop_t *loop;
	struct machine *m;
	struct qmp_step steps[QMP_STEPS_MAX];
	const struct qmp_step *step;
	char version[QMP_VERSION_MAX];
	struct qmp *qmp; /* Once connected. */
	uv_timer_t timer;
	unsigned tries; /* Of the connection, or of a step. */
	bool migrating; /* The step is answered, and is not over. */
	bool migrated;	/* It is over, and not yet answered. */
	bool over;
	qmp_run_cb cb;
	void *arg;
};

static void run_step(struct qmp_run *r);

static void run_on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void run_drop(struct qmp_run *r)
{
	r->over = true;
	qmp_close(take_ptr(r->qmp));
	uv_close((uv_handle_t *)&r->timer, run_on_closed);
}

static void run_end(struct qmp_run *r, const struct err *e)
{
	const struct err why = *e;

	assert(!r->over);
	run_drop(r);
	r->cb(&why, r->arg);
}

void qmp_run_cancel(struct qmp_run *r)
{
	if (r != NULL && !r->over)
		run_drop(r);
}

/* --- steps ------------------------------------------------------------------ */

static void run_next(struct qmp_run *r)
{
	struct err e = {0};

	uv_timer_stop(&r->timer);
	r->migrating = r->migrated = false;
	r->tries = 0;
	if (r->step->call != NULL &&
	    r->step->call(r->version, r->arg, &e) < 0) {
		run_end(r, &e);
		return;
	}
	r->step++;
	run_step(r);
}

static void run_on_late(uv_timer_t *t)
{
	struct err e;

	err_set(&e, -ETIMEDOUT, "the machine's state took more than %d ms",
		QMP_MIGRATE_MS);
	run_end(t->data, &e);
}

static void run_on_again(uv_timer_t *t)
{
	run_step(t->data);
}

static void run_on_answer(struct qmp *q, const struct err *e, struct jv result,
			  void *arg)
{
	struct qmp_run *r = arg;

	(void)q, (void)result;
	if (e->code < 0 && r->step->again && ++r->tries < QMP_AGAIN_MAX) {
		uv_timer_start(&r->timer, run_on_again, QMP_AGAIN_MS, 0);
	} else if (e->code < 0) {
		run_end(r, e);
	} else if (r->step->migrates && !r->migrated) {
		r->migrating = true;
		uv_timer_start(&r->timer, run_on_late, QMP_MIGRATE_MS, 0);
	} else {
		run_next(r);
	}
}

static void run_step(struct qmp_run *r)
{
	static const struct err none;
	const struct qmp_step *s = r->step;

	if (s->command == NULL && s->call == NULL) {
		run_end(r, &none);
		return;
	}
	if (s->command == NULL) {
		run_next(r);
		return;
	}
	qmp_ask(r->qmp,
		&(struct qmp_command){.name = s->command,
				      .arguments = s->arguments,
				      .fd = s->has_fd ? s->fd : -1},
		run_on_answer, r);
}

/* --- the connection --------------------------------------------------------- */

static void run_on_ready(struct qmp *q, const char *version, void *arg)
{
	struct qmp_run *r = arg;

	(void)q;
	r->tries = 0;
	memcpy(r->version, version, sizeof(r->version));
	run_step(r);
}

static void run_on_event(struct qmp *q, const char *name, struct jv data,
			 void *arg)
{
	struct qmp_run *r = arg;
	struct jv status = jv_get(data, "status");
	struct err e;

	(void)q;
	if (!r->step->migrates || strcmp(name, "MIGRATION") != 0)
		return;
	if (jv_eq(status, "failed") || jv_eq(status, "cancelled")) {
		err_set(&e, -EIO, "QEMU could not move the machine's state");
		run_end(r, &e);
	} else if (jv_eq(status, "completed") && r->migrating) {
		run_next(r);
	} else if (jv_eq(status, "completed")) {
		r->migrated = true;
	}
}

static void run_on_broken(struct qmp *q, const struct err *e, void *arg)
{
	(void)q;
	run_end(arg, e);
}

static const struct qmp_events run_events = {
	.ready = run_on_ready,
	.event = run_on_event,
	.broken = run_on_broken,
};

/* QEMU has just been started, and will listen soon. */
static void run_on_connect(uv_timer_t *t)
{
	struct qmp_run *r = t->data;
	struct err e = {0};
	int fd = launched_channel(r->m, "qmp", &e);

	if (fd == -EAGAIN && ++r->tries < CONNECT_TRIES) {
		uv_timer_start(t, run_on_connect, CONNECT_AGAIN_MS, 0);
		return;
	}
	if (fd >= 0)
		r->qmp = qmp_open(r->loop, fd, &run_events, r);
	if (fd >= 0 && r->qmp == NULL)
		err_set(&e, -ENOMEM, "qmp: out of memory");
	if (r->qmp == NULL)
		run_end(r, &e);
}

struct qmp_run *qmp_run(uv_loop_t *loop, struct machine *m,
			const struct qmp_step *steps, qmp_run_cb cb, void *arg)
{
	struct qmp_run *r = calloc(1, sizeof(*r));
	size_t n = 0;

	/* Without memory there is nobody who could say so. */
	if (r == NULL)
		abort();
	while (steps[n].command != NULL || steps[n].call != NULL)
		n++;
	assert(n < QMP_STEPS_MAX);
	memcpy(r->steps, steps, n * sizeof(*steps));
	r->step = r->steps;
	r->loop = loop;
	r->m = m;
	r->cb = cb;
	r->arg = arg;
	uv_timer_init(loop, &r->timer);
	r->timer.data = r;
	uv_timer_start(&r->timer, run_on_connect, 0, 0);
	return r;
}
