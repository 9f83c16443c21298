/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore.h - Give a VM files that it had
 */
#ifndef HOST_DAEMON_RESTORE_H
#define HOST_DAEMON_RESTORE_H

#include "host/daemon/daemon.h"

struct restore_spec {
	struct vm *vm;
	const char *to;	 /* A turn or a commit. */
	struct jv paths; /* Only these, strings; absent or null: everything. */
	bool force;	 /* Whatever is lost. */
};

/* @out: {"vm","n","head","from","was"}, of what was done. */
typedef void (*restore_cb)(const struct err *e, const struct jw *out,
			   void *arg);

/* Begin; of some paths a VM that runs goes on.  @spec is not needed afterwards.
 * Return: 0, and @cb comes once; -FAULT_INVALID_ARGUMENT; -FAULT_PATH_ESCAPE;
 * -FAULT_TURN_NOT_FOUND; -ENOMEM. */
int restore_start(struct hibd *d, const struct restore_spec *spec,
		  restore_cb cb, void *arg, struct err *e);

#endif
