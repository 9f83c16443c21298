/* SPDX-License-Identifier: Apache-2.0 */
/*
 * still.h - Have a loop do nothing for a while, and then go on where it was
 *
 * What is on its way stays there: nothing is read, no end of a process is noticed,
 * and no timer runs; each has what it had left when the loop goes on.  Jobs of
 * other threads come back all the same, and handles that are started meanwhile
 * work as ever.
 */
#ifndef GUEST_STILL_H
#define GUEST_STILL_H

#include <uv.h>

#include "core/base.h"

/* A handle that was at work. */
struct still_handle {
	uv_handle_t *handle;
	union {
		struct {
			uv_timer_cb cb;
			uint64_t left_ms, repeat_ms;
		} timer;
		struct {
			uv_poll_cb cb;
			int events;
		} poll;
		struct {
			uv_read_cb cb;
			uv_alloc_cb alloc;
			void *data;
		} read;
	} was;
};

/* Zeroed before; all is private. */
struct still {
	uv_loop_t *loop;
	uint64_t since_ms;
	bool (*exempt)(const uv_handle_t *h, void *arg);
	void *arg;
	struct still_handle *list;
	size_t n, cap;
	int error;
};

/* Return: 0; -ENOMEM, and nothing has changed. */
int still_begin(struct still *s, uv_loop_t *loop,
		bool (*exempt)(const uv_handle_t *h, void *arg), void *arg);
/* Go on.  What was closed, or started anew, meanwhile is left alone. */
void still_end(struct still *s);
/* Free it; without an end the loop is about to be closed. */
void still_done(struct still *s);

#endif
