/* SPDX-License-Identifier: Apache-2.0 */
/*
 * checkpoint_pipe.h - POST /checkpoint with a body written by another thread
 *
 *	worker --bytes, at most CHECKPOINT_PIPE--> loop of the uplink --> host
 *
 * The request is made with the first byte.  A writer that is ahead of the host
 * waits, and so does one that wants the answer.
 */
#ifndef GUEST_CHECKPOINT_PIPE_H
#define GUEST_CHECKPOINT_PIPE_H

#include <pthread.h>
#include <uv.h>

#include "core/json.h"
#include "guest/workspace.h"

struct checkpoint_pipe {
	struct workspace *ws;
	uint64_t wait_ms; /* For the host. */

	/* Private. */
	uv_async_t wake;		/* Of the loop. */
	struct uplink_request *request; /* The same. */
	bool writable, sent;		/* The same. */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	struct jw in;  /* Written and not yet taken. */
	struct jw out; /* With the loop: the last piece. */
	bool finished; /* Nothing more is written. */
	bool answered;
	struct err err;
	char *answer;
	size_t answer_len;
};

/* On the loop of the workspace.  Zeroed but for the public members.
 * Return: 0 or a negative errno. */
int checkpoint_pipe_open(struct checkpoint_pipe *p);
/* The worker has ended; @closed runs when the memory may go. */
void checkpoint_pipe_close(struct checkpoint_pipe *p, uv_close_cb closed);

/* On the worker's thread, blocking.  Return: 0; -ECANCELED when the host has
 * answered, or cannot be reached: the answer says why. */
int checkpoint_pipe_write(struct checkpoint_pipe *p, const char *data,
			  size_t n);
/* The body is complete, or @whole is false and it never will be: the request is
 * broken off, if it has not been answered.
 * Return: 0 and the answer, on the heap; or what went wrong. */
int checkpoint_pipe_finish(struct checkpoint_pipe *p, bool whole, char **out,
			   size_t *out_len, struct err *e);
/* Begin another request. */
void checkpoint_pipe_again(struct checkpoint_pipe *p);

#endif
