/* SPDX-License-Identifier: Apache-2.0 */
/*
 * qmp_run.h - Take a machine's QEMU through a list of steps
 *
 * Connects to its monitor, waiting for a QEMU that has just been started, does
 * one step after the other, and lets go.
 */
#ifndef HOST_QMP_RUN_H
#define HOST_QMP_RUN_H

#include "host/backend.h"
#include "host/qmp.h"

#define QMP_STEPS_MAX  8
#define QMP_CONNECT_MS 10000  /* Until a QEMU listens. */
#define QMP_MIGRATE_MS 300000 /* Until a machine is written or read. */
#define QMP_AGAIN_MS   50     /* Until a step is tried again... */
#define QMP_AGAIN_MAX  100    /* ...and how often. */

struct qmp_step {
	const char *command;   /* NULL: none, just @call. */
	const char *arguments; /* As in struct qmp_command; borrowed. */
	int fd;		       /* Goes along if @has_fd; borrowed. */
	bool has_fd;
	bool migrates; /* Goes on until the migration that it starts is over. */
	bool again;    /* Until it works, QMP_AGAIN_MAX times at most. */
	/* Once it has worked; a negative return is the failure of the step. */
	int (*call)(const char *version, void *arg, struct err *e);
};

/* @e->code is 0, or why a step has failed: then what follows was not done. */
typedef void (*qmp_run_cb)(const struct err *e, void *arg);

struct qmp_run; /* Opaque. */

/**
 * qmp_run() - Do these steps
 * @steps: Ends with one that has neither command nor call; copied, but what it
 *	   points to must stay
 * @cb:	   Once, from the loop, unless cancelled
 */
struct qmp_run *qmp_run(uv_loop_t *loop, struct machine *m,
			const struct qmp_step *steps, qmp_run_cb cb, void *arg);
/* The machine goes, or its owner does: @cb is not called.  NULL is allowed. */
void qmp_run_cancel(struct qmp_run *r);

#endif
