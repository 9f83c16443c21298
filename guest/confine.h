/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine.h - The limits of one session's processes: how they are kept, and when
 *	       they bite
 *
 * By a control group where the VM has a tree of them.  Else processes by a
 * resource limit that a user namespace of the session's own makes count for the
 * session alone, memory and open files by limits of each process, and the time
 * on processors not at all.  confine_write() says which.
 *
 * That a control group's limit bites is told by the kernel.  A resource limit
 * tells nobody: during turns the processes of the session are counted now and
 * then.  Each limit is told once between two calls of confine_turn().
 */
#ifndef GUEST_CONFINE_H
#define GUEST_CONFINE_H

#include <sys/types.h>
#include <uv.h>

#include "guest/cgroups.h"

struct confine; /* Opaque; of one agent process. */

struct confine_spec {
	uv_loop_t *loop;
	const struct cgroups *cgroups; /* Must outlive it. */
	const char *session;
	struct quota quota;
	bool isolate; /* Else nothing is kept. */
	/* @how as confine_write() says it. */
	void (*bites)(const char *resource, int64_t limit, const char *how,
		      void *arg);
	void *arg;
};

/* Return: NULL when memory is out. */
struct confine *confine_new(const struct confine_spec *spec);
/* The agent is gone.  NULL is allowed. */
void confine_free(struct confine *c);

/* Let go of it, and leave its group and who is in it.  NULL is allowed. */
void confine_leave(struct confine *c);

/* It is told to somebody else that a limit bites, from now on. */
void confine_adopt(struct confine *c,
		   void (*bites)(const char *resource, int64_t limit,
				 const char *how, void *arg),
		   void *arg);

/* What the session init is to set, and the file by which it enters the group,
 * NULL for none; both live as long as @c. */
const struct quota *confine_quota(const struct confine *c);
const char *confine_group(const struct confine *c);

/* Write {"processes":{"limit":N,"how":W},..}: limits that were asked for. */
void confine_write(const struct confine *c, struct jw *w);

/* A turn has begun, or is over. */
void confine_turn(struct confine *c, bool on, pid_t agent);

#endif
