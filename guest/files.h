/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files.h - Files that one session's agent has read and written for it
 *
 * Each is done by a small program (fsop.h) in the namespaces of the agent, as
 * its user: the daemon opens no path that an agent names.  FILE_OPS_MAX are at
 * work at a time, the others wait in their order.
 *
 * What is not UTF-8 in a file becomes U+FFFD in the answer.
 */
#ifndef GUEST_FILES_H
#define GUEST_FILES_H

#include <sys/queue.h>
#include <uv.h>

#include "core/json.h"
#include "guest/proc.h"
#include "guest/reply.h"

#define ACP_RESOURCE_NOT_FOUND (-32002)

struct file_op; /* Opaque. */

/* Embedded by the session.  Private but for its existence. */
struct files {
	uv_loop_t *loop;
	const struct reply_to *to;
	TAILQ_HEAD(file_op_list, file_op) working, waiting;
	unsigned n_working, n_waiting;
	size_t bytes; /* To be written by those that wait. */
	int passing;
};

/* @to: borrowed; the answers go there.  @passing: records of vfs/passing.h,
 * borrowed; or -1. */
void files_init(struct files *f, uv_loop_t *loop, const struct reply_to *to,
		int passing);
/* End all; they are not answered any more. */
void files_done(struct files *f);

/* Where and how. */
struct file_place {
	struct proc *join; /* The agent. */
	bool isolate;
	bool missing_empty; /* A missing file reads as an empty one. */
};

/* Each takes the params of the ACP method of its name, and answers request @id
 * later.  Return: 0; or a failure, and it is not answered:
 * -FAULT_INVALID_ARGUMENT; -FAULT_MESSAGE_TOO_LARGE; -FAULT_OVERLOADED; -ENOMEM
 * or another negative errno. */
int files_read_text(struct files *f, const struct file_place *place,
		    const char *id, struct jv params, struct err *e);
int files_write_text(struct files *f, const struct file_place *place,
		     const char *id, struct jv params, struct err *e);

#endif
