// SPDX-License-Identifier: Apache-2.0
/*
 * checkpoint_pipe.c - POST /checkpoint with a body written by another thread
 *
 * What both threads touch is under the lock: the bytes between them, whether
 * there are more to come, and the answer.  The worker wakes the loop by an async
 * handle, the loop the worker by a condition.
 */
#include "guest/checkpoint_pipe.h"

#include <assert.h>
#include <string.h>

#include "guest/limits.h"

/* --- on the loop --- */

/* @body: taken over. */
static void set_answer(struct checkpoint_pipe *p, const struct err *e,
		       char *body, size_t n)
{
	pthread_mutex_lock(&p->lock);
	if (e != NULL)
		p->err = *e;
	p->answer = body;
	p->answer_len = n;
	p->answered = true;
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
}

static void pipe_on_done(const struct err *e, char *body, size_t n, void *arg)
{
	struct checkpoint_pipe *p = arg;
	char *copy = NULL;
	struct err why = {0};

	p->request = NULL;
	if (e == NULL) {
		copy = malloc(n + 1);
		if (copy == NULL)
			err_set(&why, -ENOMEM, "checkpoint: out of memory");
		else
			memcpy(copy, body, n + 1);
	}
	set_answer(p, e != NULL ? e : copy == NULL ? &why : NULL, copy, n);
}

/* Return: whether the body is complete and taken. */
static bool take_piece(struct checkpoint_pipe *p)
{
	struct jw taken;
	bool last;

	pthread_mutex_lock(&p->lock);
	taken = p->in;
	p->in = p->out;
	p->out = taken;
	jw_reset(&p->in);
	last = p->finished;
	pthread_cond_broadcast(&p->moved);
	pthread_mutex_unlock(&p->lock);
	return last;
}

static void pump(struct checkpoint_pipe *p)
{
	bool last;

	if (p->request == NULL || !p->writable || p->sent)
		return;
	last = take_piece(p);
	if (p->out.len > 0) {
		p->writable = false;
		/* A failure ends the request soon. */
		(void)uplink_write(p->request, p->out.buf, p->out.len);
	}
	if (last) {
		p->sent = true;
		uplink_fin(p->request);
	}
}

static void pipe_on_writable(struct uplink_request *q, void *arg)
{
	struct checkpoint_pipe *p = arg;

	(void)q;
	p->writable = true;
	pump(p);
}

static void begin_request(struct checkpoint_pipe *p)
{
	static const struct uplink_events events = {
		.writable = pipe_on_writable, .done = pipe_on_done};
	const struct uplink_spec spec = {
		.method = "POST",
		.path = "/checkpoint",
		.answer_max = CHECKPOINT_ANSWER,
		.wait_ms = p->wait_ms,
		.streamed = true,
		.ev = &events,
		.arg = p,
	};
	struct uplink *u = workspace_uplink(p->ws);
	struct err e = {0};

	p->writable = p->sent = false;
	p->request = u == NULL ? NULL : uplink_request(u, &spec);
	if (p->request != NULL)
		return;
	err_set(&e, u == NULL ? -ECANCELED : -ENOMEM, "checkpoint: %s",
		u == NULL ? "the guest is ending" : "out of memory");
	set_answer(p, &e, NULL, 0);
}

static void pipe_on_wake(uv_async_t *async)
{
	struct checkpoint_pipe *p =
		container_of(async, struct checkpoint_pipe, wake);
	bool idle, broken;

	pthread_mutex_lock(&p->lock);
	idle = p->answered || (p->in.len == 0 && p->request == NULL);
	broken = p->err.code < 0 && !p->answered;
	pthread_mutex_unlock(&p->lock);
	if (broken) {
		if (p->request != NULL)
			uplink_drop(take_ptr(p->request));
		set_answer(p, NULL, NULL, 0);
		return;
	}
	if (idle)
		return;
	if (p->request == NULL)
		begin_request(p);
	pump(p);
}

int checkpoint_pipe_open(struct checkpoint_pipe *p)
{
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->moved, NULL);
	return uv_async_init(workspace_loop(p->ws), &p->wake, pipe_on_wake);
}

void checkpoint_pipe_close(struct checkpoint_pipe *p, uv_close_cb closed)
{
	assert(p->request == NULL);
	jw_done(&p->in);
	jw_done(&p->out);
	free(p->answer);
	pthread_cond_destroy(&p->moved);
	pthread_mutex_destroy(&p->lock);
	uv_close((uv_handle_t *)&p->wake, closed);
}

/* --- on the worker's thread --- */

int checkpoint_pipe_write(struct checkpoint_pipe *p, const char *data, size_t n)
{
	int r = 0;

	pthread_mutex_lock(&p->lock);
	while (p->in.len >= CHECKPOINT_PIPE && !p->answered)
		pthread_cond_wait(&p->moved, &p->lock);
	if (p->answered)
		r = -ECANCELED;
	else
		jw_lit(&p->in, data, n);
	if (p->in.failed)
		r = -ENOMEM;
	pthread_mutex_unlock(&p->lock);
	if (r == 0)
		(void)uv_async_send(&p->wake);
	return r;
}

int checkpoint_pipe_finish(struct checkpoint_pipe *p, bool whole, char **out,
			   size_t *out_len, struct err *e)
{
	pthread_mutex_lock(&p->lock);
	p->finished = true;
	if (!whole && !p->answered)
		err_set(&p->err, -ECANCELED, "checkpoint: given up");
	(void)uv_async_send(&p->wake);
	while (!p->answered)
		pthread_cond_wait(&p->moved, &p->lock);
	pthread_mutex_unlock(&p->lock);
	if (p->err.code < 0) {
		*e = p->err;
		return e->code;
	}
	*out = take_ptr(p->answer);
	*out_len = p->answer_len;
	return 0;
}

/* The loop has no part in it between two requests. */
void checkpoint_pipe_again(struct checkpoint_pipe *p)
{
	pthread_mutex_lock(&p->lock);
	jw_reset(&p->in);
	free(take_ptr(p->answer));
	p->err = (struct err){0};
	p->finished = p->answered = false;
	pthread_mutex_unlock(&p->lock);
}
